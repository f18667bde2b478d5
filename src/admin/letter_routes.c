/* SPDX-License-Identifier: PostgreSQL */
/*
 * letter_routes.c - the calls about dead letters.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "routes.h"
#include "walmill/admin.h"
#include "walmill/strutil.h"

#define LETTERS_MAX 1000
#define ID_MAX 9007199254740992.0	/* what JSON's numbers hold exactly */

static void
deletep(cJSON **json)
{
	cJSON_Delete(*json);
}

void
wm_admin_get_letters(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer)
{
	struct wm_dead_letter_filter filter = {
		.rule = wm_admin_query_word(request, "rule"), .class = wm_admin_query_word(request, "class"),
	};
	struct wm_error err;

	if (!wm_admin_query_number(request, "after", 0, &filter.after, answer) ||
	    !wm_admin_query_number(request, "limit", 1, &filter.limit, answer))
		return;
	if (filter.limit > LETTERS_MAX)
		filter.limit = LETTERS_MAX;
	answer->status = 200;
	answer->type = "application/json";
	if (wm_admin_render_letters(context->state, &filter, &answer->body, &err) != WM_OK)
		wm_admin_refuse(answer, 500, "internal", "%s", err.text);
}

void
wm_admin_get_letter(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer)
{
	const char *text = strrchr(request->path, '/') + 1;
	struct wm_error err;
	bool found;
	int64_t id;

	if (!wm_parse_i64(text, &id)) {
		wm_admin_refuse(answer, 404, "not_found", "\"%s\" is no id of a dead letter", text);
		return;
	}
	answer->status = 200;
	answer->type = "application/json";
	if (wm_admin_render_letter(context->state, id, &found, &answer->body, &err) != WM_OK)
		wm_admin_refuse(answer, 500, "internal", "%s", err.text);
	else if (!found)
		wm_admin_refuse(answer, 404, "not_found", "there is no dead letter %lld", (long long)id);
}

/* A member that is a whole number of at least min; false after an error answer. */
static bool
body_number(const cJSON *body, const char *name, double min, int64_t *value, struct wm_admin_answer *answer)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, name);

	if (item == NULL || cJSON_IsNull(item))
		return true;
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= min && item->valuedouble < ID_MAX)) {
		wm_admin_refuse(answer, 400, "bad_request", "\"%s\" must be a number of at least %.0f", name, min);
		return false;
	}
	*value = (int64_t)item->valuedouble;
	return true;
}

static bool
body_word(const cJSON *body, const char *name, const char **value, struct wm_admin_answer *answer)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, name);

	if (item == NULL || cJSON_IsNull(item))
		return true;
	if (!cJSON_IsString(item)) {
		wm_admin_refuse(answer, 400, "bad_request", "\"%s\" must be a text", name);
		return false;
	}
	*value = item->valuestring;
	return true;
}

/* The member "ids", malloc'd; *ret NULL when there is none.  False after an error answer. */
static bool
body_ids(const cJSON *body, int64_t **ret, size_t *ret_n, struct wm_admin_answer *answer)
{
	const cJSON *array = cJSON_GetObjectItemCaseSensitive(body, "ids"), *item;
	WM_AUTO(wm_freep) int64_t *ids = NULL;
	size_t n = 0;

	if (array == NULL || cJSON_IsNull(array))
		return true;
	if (cJSON_IsArray(array))
		ids = calloc((size_t)cJSON_GetArraySize(array) + 1, sizeof(*ids));
	cJSON_ArrayForEach(item, array) {
		if (ids == NULL || !cJSON_IsNumber(item) || !(item->valuedouble >= 1 && item->valuedouble < ID_MAX))
			break;
		ids[n++] = (int64_t)item->valuedouble;
	}
	if (ids == NULL || item != NULL || n > LETTERS_MAX) {
		wm_admin_refuse(answer, 400, "bad_request", "\"ids\" must be a list of at most %d ids of dead letters",
		    LETTERS_MAX);
		return false;
	}
	*ret = ids;
	*ret_n = n;
	ids = NULL;
	return true;
}

static void
retry_freep(struct wm_retry *retry)
{
	wm_retry_free(retry);
}

void
wm_admin_retry_letters(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer)
{
	WM_AUTO(deletep) cJSON *body = wm_admin_parse_body(request, answer);
	WM_AUTO(wm_freep) int64_t *ids = NULL;
	WM_AUTO(retry_freep) struct wm_retry retry = { 0 };
	struct wm_dead_letter_filter *filter = &retry.filter;
	struct wm_error err;

	if (body == NULL || !body_word(body, "rule", &filter->rule, answer) ||
	    !body_word(body, "class", &filter->class, answer) ||
	    !body_number(body, "after", 0, &filter->after, answer) ||
	    !body_number(body, "limit", 1, &filter->limit, answer) ||
	    !body_ids(body, &ids, &retry.nids, answer))
		return;
	retry.ids = ids;
	if (filter->limit > LETTERS_MAX)
		filter->limit = LETTERS_MAX;
	if (wm_pipeline_retry(context->pipeline, &retry, &err) != WM_OK) {
		wm_admin_refuse(answer, 500, "internal", "%s", err.text);
		return;
	}
	answer->status = 200;
	answer->type = "application/json";
	wm_admin_render_retry(&retry, &answer->body);
	if (answer->body.failed)
		wm_admin_refuse(answer, 500, "internal", "out of memory for the answer");
}

void
wm_admin_drop_letters(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer)
{
	WM_AUTO(deletep) cJSON *body = wm_admin_parse_body(request, answer);
	WM_AUTO(deletep) cJSON *done = NULL;
	WM_AUTO(wm_freep) int64_t *ids = NULL;
	int64_t dropped;
	struct wm_error err;
	size_t n = 0;

	if (body == NULL || !body_ids(body, &ids, &n, answer))
		return;
	if (n == 0) {
		wm_admin_refuse(answer, 400, "bad_request", "\"ids\" must name the dead letters to drop");
		return;
	}
	if (wm_state_dead_letters_forget(context->state, ids, n, &dropped, &err) != WM_OK) {
		wm_admin_refuse(answer, 500, "internal", "%s", err.text);
		return;
	}
	done = cJSON_CreateObject();
	cJSON_AddNumberToObject(done, "dropped", (double)dropped);
	wm_admin_answer(answer, 200, done);
}
