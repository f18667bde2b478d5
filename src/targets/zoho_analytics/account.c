/* SPDX-License-Identifier: PostgreSQL */
/*
 * account.c - what instances of one organisation share in this process, and where Zoho is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "walmill/strutil.h"
#include "zoho.h"

/* Accounts live as long as the process: there are as many as targets were ever configured. */
static pthread_mutex_t accounts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wm_zoho_account *accounts;

/* In the order of the words of "data_center". */
static const struct {
	const char *api, *accounts;
} centers[] = {
	{ "https://analyticsapi.zoho.com", "https://accounts.zoho.com" },
	{ "https://analyticsapi.zoho.eu", "https://accounts.zoho.eu" },
	{ "https://analyticsapi.zoho.in", "https://accounts.zoho.in" },
	{ "https://analyticsapi.zoho.com.au", "https://accounts.zoho.com.au" },
	{ "https://analyticsapi.zoho.com.cn", "https://accounts.zoho.com.cn" },
	{ "https://analyticsapi.zoho.jp", "https://accounts.zoho.jp" },
	{ "https://analyticsapi.zoho.sa", "https://accounts.zoho.sa" },
	{ "https://analyticsapi.zohocloud.ca", "https://accounts.zohocloud.ca" },
	{ "https://analyticsapi.zoho.uk", "https://accounts.zoho.uk" },
};

const char *
wm_zoho_api_url(const struct wm_zoho *z)
{
	return z->api_url != NULL ? z->api_url : centers[z->data_center].api;
}

const char *
wm_zoho_accounts_url(const struct wm_zoho *z)
{
	return z->accounts_url != NULL ? z->accounts_url : centers[z->data_center].accounts;
}

struct wm_zoho_login
wm_zoho_login_of(const struct wm_zoho *z)
{
	return (struct wm_zoho_login){ .accounts_url = wm_zoho_accounts_url(z), .client_id = z->client_id,
		.client_secret = z->client_secret, .refresh_token = z->refresh_token,
		.cache = z->token_cache != NULL ? z->token_cache : z->own_cache, .timeout = z->timeout };
}

/* All that makes a difference to what is shared. */
static char *
account_name(const struct wm_zoho *z)
{
	uint64_t secret = wm_hash(z->refresh_token, strlen(z->refresh_token), 0);

	secret = wm_hash(z->client_secret, strlen(z->client_secret), secret);
	return wm_asprintf("%s %s %s %s %s %016llx %lld %lld", wm_zoho_api_url(z), wm_zoho_accounts_url(z), z->org,
	    z->workspace, z->client_id, (unsigned long long)secret, (long long)z->units_per_day,
	    (long long)z->rate_bulk);
}

static struct wm_zoho_account *
make(const struct wm_zoho *z, char *name)
{
	const unsigned limits[WM_ZOHO_NCLASSES] = { [WM_ZOHO_DML] = (unsigned)z->rate_dml,
		[WM_ZOHO_BULK] = (unsigned)z->rate_bulk, [WM_ZOHO_METADATA] = (unsigned)z->rate_metadata,
		[WM_ZOHO_OVERALL] = (unsigned)z->rate_overall };
	struct wm_zoho_account *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->name = name;
	a->made = wm_clock_wall();
	pthread_mutex_init(&a->token_lock, NULL);
	pthread_mutex_init(&a->lock, NULL);
	wm_zoho_quota_init(&a->quota, limits, z->units_per_day > 0 ? (double)z->units_per_day : -1, z->day_begins);
	a->next = accounts;
	accounts = a;
	return a;
}

struct wm_zoho_account *
wm_zoho_account_of(const struct wm_zoho *z)
{
	WM_AUTO(wm_freep) char *name = account_name(z);
	struct wm_zoho_account *a;

	if (name == NULL)
		return NULL;
	pthread_mutex_lock(&accounts_lock);
	for (a = accounts; a != NULL && strcmp(a->name, name) != 0; a = a->next)
		;
	if (a == NULL && (a = make(z, name)) != NULL)
		name = NULL;
	pthread_mutex_unlock(&accounts_lock);
	return a;
}

/* ---- views ---- */

struct wm_zoho_view *
wm_zoho_view_of(struct wm_zoho_account *a, const char *name)
{
	struct wm_zoho_view *v;

	pthread_mutex_lock(&a->lock);
	for (v = a->views; v != NULL && strcmp(v->name, name) != 0; v = v->next)
		;
	if (v == NULL && (v = calloc(1, sizeof(*v))) != NULL) {
		v->name = strdup(name);
		if (v->name == NULL) {
			free(v);
			v = NULL;
		} else {
			pthread_mutex_init(&v->writing, NULL);
			v->next = a->views;
			a->views = v;
		}
	}
	pthread_mutex_unlock(&a->lock);
	return v;
}

void
wm_zoho_view_forget(struct wm_zoho_view *v)
{
	free(v->id);
	v->id = NULL;
	for (size_t i = 0; i < v->ncolumns; i++)
		free(v->columns[i].name);
	free(v->columns);
	v->columns = NULL;
	v->ncolumns = 0;
}

const struct wm_zoho_column *
wm_zoho_view_column(const struct wm_zoho_view *v, const char *name)
{
	for (size_t i = 0; i < v->ncolumns; i++)
		if (strcasecmp(v->columns[i].name, name) == 0)
			return &v->columns[i];
	return NULL;
}
