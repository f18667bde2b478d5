/* SPDX-License-Identifier: PostgreSQL */
/*
 * probe.c - what `walmill check` can find out of the account without changing anything: scopes, and units.
 *
 * A call without what it needs is refused for that; one whose token lacks the scope is refused for the token, before.
 */
#include "walmill/strutil.h"
#include "zoho.h"

#define NO_JOB "1"

struct probe {
	const char		*scopes, *method, *path;	/* the path behind /restapi/v2/workspaces/{id} or its view */
	enum wm_zoho_class	 class;
	bool			 of_view;
	const char		*config;
};

static const struct probe probes[] = {
	{ "ZohoAnalytics.data.create, data.read", "GET", "/importjobs/" NO_JOB, WM_ZOHO_BULK, false, NULL },
	{ "ZohoAnalytics.modeling.create", "POST", "/tables", WM_ZOHO_METADATA, false, "{}" },
	{ "ZohoAnalytics.data.update", "PUT", "/rows", WM_ZOHO_DML, true, "{}" },
	/* Of all things not one without a criterion; this one no row meets. */
	{ "ZohoAnalytics.data.delete", "DELETE", "/rows", WM_ZOHO_DML, true, "{\"criteria\":\"1=2\"}" },
};

static enum wm_status
try(struct wm_zoho *z, const struct probe *p, const struct wm_zoho_view *v, const char *subject,
    struct wm_diags *findings, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	WM_AUTO(wm_freep) char *path = wm_asprintf("%s/workspaces/%s%s%s%s", p->class == WM_ZOHO_BULK ? "/bulk" : "",
	    z->account->workspace, p->of_view ? "/views/" : "", p->of_view ? v->id : "", p->path);
	const struct wm_zoho_call call = { .what = "could not look at the scopes",
		.method = p->method,
		.class = p->class,
		.path = path,
		.config = p->config,
		.free = true };
	enum wm_status st = path == NULL ? wm_oom(err, "a request") : wm_zoho_call(z, &call, &a, err);

	if (st == WM_OK && a.trouble == WM_ZOHO_TOKEN)
		wm_diags_add(findings, WM_ERROR, subject,
		    "make a grant code with all scopes of walmill-zoho_analytics(5), and "
		    "run `walmill zoho login`",
		    "the refresh token has not the scopes %s", p->scopes);
	return st;
}

static void
tell_units(const struct wm_zoho *z, const char *subject, struct wm_diags *findings)
{
	struct wm_zoho_account *a = z->account;
	double left, allocated;

	pthread_mutex_lock(&a->lock);
	left = wm_zoho_quota_left(&a->quota, wm_clock_wall());
	allocated = a->quota.allocated;
	pthread_mutex_unlock(&a->lock);
	if (left < 0)
		wm_diags_add(findings, WM_WARNING, subject,
		    "set \"units_per_day\" to what the plan has",
		    "Zoho does not tell how "
		    "many API units there are: the account is no administrator's, or lacks ZohoAnalytics.usermanagement.read");
	else
		wm_diags_add(findings, left < 1 ? WM_WARNING : WM_NOTE, subject, NULL,
		    "%.0f of %.0f API units are left today", left, allocated);
}

enum wm_status
wm_zoho_probe(struct wm_zoho *z, const struct wm_zoho_view *v, const char *subject, struct wm_diags *findings,
    struct wm_error *err)
{
	enum wm_status st = WM_OK;

	for (size_t i = 0; st == WM_OK && i < WM_ARRAY_SIZE(probes); i++) {
		if ((z->probed & 1U << i) != 0 || (probes[i].of_view && v->id == NULL))
			continue;
		st = try(z, &probes[i], v, subject, findings, err);
		z->probed |= 1U << i;
	}
	if (st == WM_OK && !z->told_units)
		tell_units(z, subject, findings);
	z->told_units = true;
	return st;
}
