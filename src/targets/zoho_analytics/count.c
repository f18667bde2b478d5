/* SPDX-License-Identifier: PostgreSQL */
/*
 * count.c - how many rows a view has.
 *
 * Zoho has no call for that; the least is an export of one column.  That has its price, so it is done for views that
 * are not large, once, when they are seeded.
 */
#include <math.h>

#include "walmill/strutil.h"
#include "zoho.h"

/* A column of the key has a value in every row. */
static char *
export_config(const struct wm_zoho_sink *s)
{
	cJSON *o = cJSON_CreateObject(), *columns;

	cJSON_AddStringToObject(o, "responseFormat", "csv");
	columns = cJSON_AddArrayToObject(o, "selectedColumns");
	cJSON_AddItemToArray(columns, cJSON_CreateString(s->key_names[0]));
	/* Else it would be left out where it is marked as personal data. */
	cJSON_AddBoolToObject(o, "showPersonalCols", true);
	return wm_zoho_print(o);
}

enum wm_status
wm_zoho_count(struct wm_zoho_sink *s, uint64_t expected, uint64_t *ret, struct wm_error *err)
{
	struct wm_zoho *z = s->z;
	WM_AUTO(wm_freep) char *config = export_config(s);
	WM_AUTO(wm_freep) char *path = wm_asprintf("/workspaces/%s/views/%s/data", z->account->workspace, s->to->id);
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	const struct wm_zoho_call call = { .what = "could not count its rows", .method = "GET", .class = WM_ZOHO_BULK,
		.path = path, .config = config, .units = z->price.export * ceil((double)expected / 1000),
		.timeout = z->import_timeout, .file = true };
	enum wm_status st;

	if (z->count_max == 0 || expected > (uint64_t)z->count_max)
		return wm_fail(err, WM_REJECT,
		    "it has more rows than \"count_max\" of target \"%s\" (%lld)", z->base.name,
		    (long long)z->count_max);
	if (config == NULL || path == NULL)
		return wm_oom(err, "a request");
	st = wm_zoho_call(z, &call, &a, err);
	if (st != WM_OK)
		return st;
	if (a.trouble != WM_ZOHO_FINE)
		return wm_zoho_sink_fail(s, &a, call.what, err);
	if (a.records == 0)
		return wm_fail(err, WM_RETRY, "target \"%s\": view \"%s\": %s: the export has no header", z->base.name,
		    s->view->name, call.what);
	*ret = a.records - 1;
	return WM_OK;
}
