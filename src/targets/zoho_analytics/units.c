/* SPDX-License-Identifier: PostgreSQL */
/*
 * units.c - the units used today outlive the process: else each restart would have the whole day's again, where Zoho
 * does not tell how many are left.
 *
 * Each worker keeps the account's number, with the name of the process: those that another process has kept are what
 * was used before this one began, and the largest of them is right.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "walmill/log.h"
#include "walmill/strutil.h"
#include "zoho.h"

#define UNITS "units"			/* the name of what is kept */
#define KEEP_EVERY (10 * WM_SEC)

/* The process, and within it the account: a new configuration makes another. */
static void
writer(const struct wm_zoho *z, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%ld %lld", (long)getpid(), (long long)z->account->made);
}

static void
take(void *arg, const char *name, const char *text)
{
	struct wm_zoho *z = arg;
	struct wm_zoho_account *a = z->account;
	cJSON *o = strcmp(name, UNITS) == 0 ? cJSON_Parse(text) : NULL;
	const cJSON *used = cJSON_GetObjectItemCaseSensitive(o, "used");
	char own[48];

	writer(z, own, sizeof(own));
	if (cJSON_IsNumber(used) && strcmp(wm_zoho_text(o, "by"), own) != 0) {
		pthread_mutex_lock(&a->lock);
		wm_zoho_quota_restore(&a->quota, wm_zoho_number(o, "day_ends", 0) * WM_SEC, used->valuedouble,
		    wm_clock_wall());
		pthread_mutex_unlock(&a->lock);
	}
	cJSON_Delete(o);
}

enum wm_status
wm_zoho_units_restore(struct wm_zoho *z, struct wm_error *err)
{
	const struct wm_target_host *host = z->base.host;

	return host == NULL || host->kept == NULL ? WM_OK : host->kept(host->arg, take, z, err);
}

/* The number and its day, if it is to be kept; malloc'd, or NULL. */
static char *
due(struct wm_zoho *z, bool now)
{
	struct wm_zoho_account *a = z->account;
	wm_usec mono = wm_clock_mono();
	char own[48], *text = NULL;
	cJSON *o;

	pthread_mutex_lock(&a->lock);
	(void)wm_zoho_quota_left(&a->quota, wm_clock_wall());	/* of today */
	if (a->quota.used != z->units_kept && (now || z->units_kept_at == 0 || mono - z->units_kept_at >= KEEP_EVERY)) {
		z->units_kept = a->quota.used;
		z->units_kept_at = mono;
		writer(z, own, sizeof(own));
		o = cJSON_CreateObject();
		cJSON_AddNumberToObject(o, "used", a->quota.used);
		cJSON_AddNumberToObject(o, "day_ends", (double)(a->quota.day_ends / WM_SEC));
		cJSON_AddStringToObject(o, "by", own);
		text = wm_zoho_print(o);
	}
	pthread_mutex_unlock(&a->lock);
	return text;
}

void
wm_zoho_units_keep(struct wm_zoho *z, bool now)
{
	const struct wm_target_host *host = z->base.host;
	WM_AUTO(wm_freep) char *text = host == NULL || host->keep == NULL || z->account == NULL ? NULL : due(z, now);
	struct wm_error err = { 0 };

	if (text != NULL && host->keep(host->arg, UNITS, text, &err) != WM_OK)
		wm_log(WM_LOG_WARNING, "units_not_kept",
		    "target \"%s\": the API units used today could not be noted: %s", z->base.name,
		    err.text);
}
