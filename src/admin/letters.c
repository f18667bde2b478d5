/* SPDX-License-Identifier: PostgreSQL */
/*
 * letters.c - dead letters as JSON.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "walmill/admin.h"

struct list {
	cJSON		*array;
	int64_t		 last;
	bool		 failed;	/* memory is out */
};

/* key and row are JSON already; text that is not (it never should be) stays readable as a string. */
static bool
add_json(cJSON *object, const char *name, const char *json)
{
	cJSON *item;

	if (json == NULL || json[0] == '\0')
		return cJSON_AddNullToObject(object, name) != NULL;
	/* Numbers of the row must not pass through a double: the text goes out as it is. */
	item = cJSON_Parse(json);
	if (item == NULL)
		return cJSON_AddStringToObject(object, name, json) != NULL;
	cJSON_Delete(item);
	return cJSON_AddRawToObject(object, name, json) != NULL;
}

static bool
add_time(cJSON *object, const char *name, wm_usec t)
{
	char text[40];

	return cJSON_AddStringToObject(object, name, wm_clock_format(t, text, sizeof(text))) != NULL;
}

static bool
fill(cJSON *o, const struct wm_dead_letter *l)
{
	char lsn[WM_LSN_STRLEN];

	return cJSON_AddNumberToObject(o, "id", (double)l->id) != NULL &&
	    cJSON_AddStringToObject(o, "source", l->source) != NULL &&
	    cJSON_AddStringToObject(o, "target", l->target) != NULL &&
	    cJSON_AddStringToObject(o, "rule", l->rule) != NULL &&
	    cJSON_AddStringToObject(o, "table", l->table) != NULL &&
	    cJSON_AddStringToObject(o, "view", l->view) != NULL &&
	    cJSON_AddStringToObject(o, "commit_lsn", wm_lsn_format(l->commit_lsn, lsn)) != NULL &&
	    cJSON_AddNumberToObject(o, "index", l->index) != NULL &&
	    cJSON_AddStringToObject(o, "op", l->op) != NULL &&
	    cJSON_AddStringToObject(o, "origin", l->origin) != NULL && add_json(o, "key", l->key) &&
	    add_json(o, "row", l->row) && cJSON_AddStringToObject(o, "class", l->class) != NULL &&
	    cJSON_AddStringToObject(o, "code", l->code) != NULL &&
	    cJSON_AddStringToObject(o, "message", l->message) != NULL &&
	    add_time(o, "first_time", l->first_time) && add_time(o, "last_time", l->last_time) &&
	    cJSON_AddNumberToObject(o, "attempts", (double)l->attempts) != NULL;
}

static void
add_letter(void *arg, const struct wm_dead_letter *letter)
{
	struct list *list = arg;
	cJSON *item;

	list->last = letter->id;
	if (list->failed)
		return;
	item = cJSON_CreateObject();
	list->failed = item == NULL || !fill(item, letter) || !cJSON_AddItemToArray(list->array, item);
	if (list->failed)
		cJSON_Delete(item);
}

static void
render(cJSON *json, struct wm_buf *out)
{
	char *text = cJSON_PrintUnformatted(json);

	if (text == NULL)
		out->failed = true;
	else
		wm_buf_adds(out, text);
	cJSON_free(text);
}

static void
deletep(cJSON **json)
{
	cJSON_Delete(*json);
}

enum wm_status
wm_admin_render_letters(struct wm_state *state, const struct wm_dead_letter_filter *filter, struct wm_buf *out,
    struct wm_error *err)
{
	WM_AUTO(deletep) cJSON *root = cJSON_CreateObject();
	struct list list = { .array = cJSON_AddArrayToObject(root, "errors"), .last = filter->after };
	enum wm_status status;
	bool end;

	if (list.array == NULL)
		return wm_oom(err, "the list of dead letters");
	if ((status = wm_state_dead_letters(state, filter, add_letter, &list, &end, err)) != WM_OK)
		return status;
	if (list.failed || cJSON_AddNumberToObject(root, "last", (double)list.last) == NULL ||
	    cJSON_AddBoolToObject(root, "end", end) == NULL)
		return wm_oom(err, "the list of dead letters");
	render(root, out);
	return out->failed ? wm_oom(err, "the list of dead letters") : WM_OK;
}

enum wm_status
wm_admin_render_letter(struct wm_state *state, int64_t id, bool *ret_found, struct wm_buf *out, struct wm_error *err)
{
	WM_AUTO(deletep) cJSON *array = cJSON_CreateArray();
	struct list list = { .array = array };
	enum wm_status status;
	bool found;

	if (array == NULL)
		return wm_oom(err, "a dead letter");
	if ((status = wm_state_dead_letter_get(state, id, add_letter, &list, &found, err)) != WM_OK)
		return status;
	if (found)
		render(cJSON_GetArrayItem(array, 0), out);
	if (list.failed || out->failed)
		return wm_oom(err, "a dead letter");
	*ret_found = found;
	return WM_OK;
}

static bool
add_failure(cJSON *array, const struct wm_retry_result *failure)
{
	cJSON *item = cJSON_CreateObject();

	if (item != NULL && cJSON_AddItemToArray(array, item))
		return cJSON_AddNumberToObject(item, "id", (double)failure->id) != NULL &&
		    cJSON_AddStringToObject(item, "message", failure->why) != NULL;
	cJSON_Delete(item);
	return false;
}

void
wm_admin_render_retry(const struct wm_retry *retry, struct wm_buf *out)
{
	WM_AUTO(deletep) cJSON *root = cJSON_CreateObject();
	cJSON *failures = NULL;
	bool good = cJSON_AddNumberToObject(root, "last", (double)retry->last) != NULL &&
	    cJSON_AddNumberToObject(root, "processed", (double)retry->processed) != NULL &&
	    cJSON_AddNumberToObject(root, "failed", (double)retry->failed) != NULL &&
	    cJSON_AddBoolToObject(root, "end", retry->end) != NULL &&
	    (failures = cJSON_AddArrayToObject(root, "failures")) != NULL;

	for (size_t i = 0; good && i < retry->nfailures; i++)
		good = add_failure(failures, &retry->failures[i]);
	if (good)
		render(root, out);
	out->failed |= !good;
}
