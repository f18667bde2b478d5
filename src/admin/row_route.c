/* SPDX-License-Identifier: PostgreSQL */
/*
 * row_route.c - the call that writes one row again.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "routes.h"
#include "walmill/strutil.h"

#define EXACT_MAX 9007199254740992.0	/* what JSON's numbers hold exactly */

static void
deletep(cJSON **json)
{
	cJSON_Delete(*json);
}

/* A value of a key as PostgreSQL reads it; NULL: it cannot be had from that, or memory is out. */
static char *
value_text(const cJSON *item)
{
	if (cJSON_IsString(item))
		return strdup(item->valuestring);
	if (cJSON_IsBool(item))
		return strdup(cJSON_IsTrue(item) ? "t" : "f");
	/* Others would have lost digits already. */
	if (cJSON_IsNumber(item) && fabs(item->valuedouble) < EXACT_MAX &&
	    trunc(item->valuedouble) == item->valuedouble)
		return wm_asprintf("%.0f", item->valuedouble);
	return NULL;
}

static bool
take_key(const cJSON *key, struct wm_row_call *call, struct wm_admin_answer *answer)
{
	int n = cJSON_GetArraySize(key);
	const cJSON *item;

	if (!cJSON_IsObject(key) || n == 0) {
		wm_admin_refuse(answer, 400, "bad_request",
		    "\"key\" must be an object with the columns of the source's key");
		return false;
	}
	call->names = calloc((size_t)n, sizeof(*call->names));
	call->values = calloc((size_t)n, sizeof(*call->values));
	cJSON_ArrayForEach(item, key) {
		if (call->names == NULL || call->values == NULL)
			break;
		call->names[call->n] = strdup(item->string);
		call->values[call->n] = value_text(item);
		call->n++;
		if (call->names[call->n - 1] != NULL && call->values[call->n - 1] != NULL)
			continue;
		wm_admin_refuse(answer, 400, "bad_request",
		    "\"key\": \"%s\" must be a text or a whole number; write long "
		    "numbers as text",
		    item->string);
		return false;
	}
	return true;
}

static bool
take_words(const cJSON *body, const char **ret_rule, struct wm_row_call *call, struct wm_admin_answer *answer)
{
	const cJSON *rule = cJSON_GetObjectItemCaseSensitive(body, "rule");
	const cJSON *table = cJSON_GetObjectItemCaseSensitive(body, "table");
	const cJSON *action = cJSON_GetObjectItemCaseSensitive(body, "action");
	const char *word = cJSON_IsString(action) ? action->valuestring : action == NULL ? "upsert" : "";

	if (!cJSON_IsString(rule) || rule->valuestring[0] == '\0') {
		wm_admin_refuse(answer, 400, "bad_request", "\"rule\" must be the name of a rule");
		return false;
	}
	if (table != NULL && !cJSON_IsString(table)) {
		wm_admin_refuse(answer, 400, "bad_request", "\"table\" must be \"schema.table\"");
		return false;
	}
	if (strcmp(word, "upsert") != 0 && strcmp(word, "delete") != 0) {
		wm_admin_refuse(answer, 400, "bad_request", "\"action\" must be \"upsert\" or \"delete\"");
		return false;
	}
	*ret_rule = rule->valuestring;
	call->remove = word[0] == 'd';
	call->table = table == NULL ? NULL : strdup(table->valuestring);
	return true;
}

static void
refuse(const struct wm_error *err, struct wm_admin_answer *answer)
{
	static const struct {
		const char	*code, *shown;
		unsigned	 status;
	} codes[] = {
		{ "no_rule", "not_found", 404 },
		{ "no_row", "not_found", 404 },
		{ "bad_key", "bad_request", 400 },
		{ "not_running", "conflict", 409 },
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(codes); i++)
		if (strcmp(err->code, codes[i].code) == 0) {
			wm_admin_refuse(answer, codes[i].status, codes[i].shown, "%s", err->text);
			return;
		}
	wm_admin_refuse(answer, 409, err->status == WM_REJECT ? "refused" : "conflict", "%s", err->text);
}

void
wm_admin_post_row(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer)
{
	WM_AUTO(deletep) cJSON *body = wm_admin_parse_body(request, answer);
	WM_AUTO(wm_row_call_free) struct wm_row_call call = { 0 };
	struct wm_error err;
	const char *rule;

	if (body == NULL || !take_words(body, &rule, &call, answer) ||
	    !take_key(cJSON_GetObjectItemCaseSensitive(body, "key"), &call, answer))
		return;
	if (wm_pipeline_row(context->pipeline, rule, &call, &err) != WM_OK) {
		refuse(&err, answer);
		return;
	}
	answer->status = 200;
	answer->type = "application/json";
	wm_buf_adds(&answer->body, call.written);
	if (answer->body.failed)
		wm_admin_refuse(answer, 500, "internal", "out of memory for the answer");
}
