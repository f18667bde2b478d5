/* SPDX-License-Identifier: PostgreSQL */
/*
 * receipts.c - receipts as JSON, and the call that reads them.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "routes.h"
#include "walmill/admin.h"
#include "walmill/strutil.h"

#define RECEIPTS_MAX 1000

struct list {
	cJSON		*array;
	int64_t		 last;
	bool		 failed;	/* memory is out */
};

static void
deletep(cJSON **json)
{
	cJSON_Delete(*json);
}

bool
wm_admin_receipt_key(const char *json, uint64_t *ret)
{
	WM_AUTO(deletep) cJSON *object = cJSON_Parse(json);
	const cJSON *item;
	uint64_t key = 0;

	if (!cJSON_IsObject(object) || object->child == NULL)
		return false;
	/* Texts only: a number would pass through a double. */
	cJSON_ArrayForEach(item, object) {
		if (!cJSON_IsString(item))
			return false;
		key += wm_receipt_key(item->string, item->valuestring, strlen(item->valuestring));
	}
	*ret = key;
	return true;
}

static bool
add_lsn(cJSON *o, const char *name, wm_lsn lsn)
{
	char text[WM_LSN_STRLEN];

	return (lsn == 0 ? cJSON_AddNullToObject(o, name) :
			   cJSON_AddStringToObject(o, name, wm_lsn_format(lsn, text))) != NULL;
}

static bool
fill(cJSON *o, const struct wm_receipt *r)
{
	char time[40], sum[24];

	snprintf(sum, sizeof(sum), "%016" PRIx64, r->checksum);
	return cJSON_AddNumberToObject(o, "id", (double)r->id) != NULL &&
	    cJSON_AddStringToObject(o, "time", wm_clock_format(r->time, time, sizeof(time))) != NULL &&
	    cJSON_AddStringToObject(o, "source", r->source) != NULL &&
	    cJSON_AddStringToObject(o, "target", r->target) != NULL &&
	    cJSON_AddStringToObject(o, "rule", r->rule) != NULL &&
	    cJSON_AddStringToObject(o, "origin", r->origin) != NULL &&
	    add_lsn(o, "first_lsn", r->first_lsn) && add_lsn(o, "last_lsn", r->last_lsn) &&
	    cJSON_AddNumberToObject(o, "rows", (double)r->rows) != NULL &&
	    cJSON_AddNumberToObject(o, "refused", (double)r->refused) != NULL &&
	    cJSON_AddStringToObject(o, "checksum", sum) != NULL &&
	    (r->answer[0] == '\0' ? cJSON_AddNullToObject(o, "answer") :
				    cJSON_AddStringToObject(o, "answer", r->answer)) != NULL;
}

static void
add_receipt(void *arg, const struct wm_receipt *receipt)
{
	struct list *list = arg;
	cJSON *item = list->failed ? NULL : cJSON_CreateObject();

	list->last = receipt->id;
	if (item != NULL && fill(item, receipt) && cJSON_AddItemToArray(list->array, item))
		return;
	list->failed = true;
	cJSON_Delete(item);
}

enum wm_status
wm_admin_render_receipts(const char *folder, const struct wm_receipt_filter *filter, struct wm_buf *out,
    struct wm_error *err)
{
	WM_AUTO(deletep) cJSON *root = cJSON_CreateObject();
	struct list list = { .array = cJSON_AddArrayToObject(root, "receipts"), .last = filter->after };
	enum wm_status status;
	char *text = NULL;
	bool end = false;

	list.failed = list.array == NULL;
	status = wm_receipts_read(folder, filter, add_receipt, &list, &end, err);
	if (status != WM_OK)
		return status;
	if (!list.failed && cJSON_AddNumberToObject(root, "last", (double)list.last) != NULL &&
	    cJSON_AddBoolToObject(root, "end", end) != NULL)
		text = cJSON_PrintUnformatted(root);
	if (text != NULL)
		wm_buf_adds(out, text);
	cJSON_free(text);
	return text == NULL || out->failed ? wm_oom(err, "receipts") : WM_OK;
}

void
wm_admin_get_receipts(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer)
{
	WM_AUTO(wm_freep) char *folder = wm_state_folder(context->state);
	struct wm_receipt_filter filter = { .rule = wm_admin_query_word(request, "rule") };
	const char *key = wm_admin_query_word(request, "key");
	struct wm_error err = { 0 };
	enum wm_status status;

	if (!wm_admin_query_number(request, "after", 0, &filter.after, answer) ||
	    !wm_admin_query_number(request, "limit", 1, &filter.limit, answer))
		return;
	if (filter.limit > RECEIPTS_MAX)
		filter.limit = RECEIPTS_MAX;
	filter.by_key = key != NULL;
	if (key != NULL && !wm_admin_receipt_key(key, &filter.key)) {
		wm_admin_refuse(answer, 400, "bad_request",
		    "query parameter \"key\" must be an object of the view's key columns with texts, as {\"id\":\"7\"}");
		return;
	}
	answer->status = 200;
	answer->type = "application/json";
	status = folder == NULL ? wm_oom(&err, "receipts") :
				  wm_admin_render_receipts(folder, &filter, &answer->body, &err);
	if (status != WM_OK)
		wm_admin_refuse(answer, status == WM_REJECT ? 404 : 500,
		    status == WM_REJECT ? "not_found" : "internal", "%s", err.text);
}
