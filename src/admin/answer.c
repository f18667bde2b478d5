/* SPDX-License-Identifier: PostgreSQL */
/*
 * answer.c - bodies of calls and answers as JSON.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "routes.h"
#include "walmill/strutil.h"

static void
deletep(cJSON **json)
{
	cJSON_Delete(*json);
}

void
wm_admin_answer(struct wm_admin_answer *answer, unsigned status, cJSON *object)
{
	char *text = object == NULL ? NULL : cJSON_PrintUnformatted(object);

	wm_buf_reset(&answer->body);
	answer->status = status;
	answer->type = "application/json";
	wm_buf_adds(&answer->body, text == NULL ?
	    "{\"error\":{\"code\":\"internal\",\"message\":\"out of memory\"}}" : text);
	if (text == NULL)
		answer->status = 500;
	cJSON_free(text);
}

void
wm_admin_refuse(struct wm_admin_answer *answer, unsigned status, const char *code, const char *fmt, ...)
{
	WM_AUTO(deletep) cJSON *root = cJSON_CreateObject();
	cJSON *error = cJSON_AddObjectToObject(root, "error");
	struct wm_error err;
	va_list ap;

	va_start(ap, fmt);
	wm_vfail(&err, WM_REJECT, fmt, ap);
	va_end(ap);
	cJSON_AddStringToObject(error, "code", code);
	cJSON_AddStringToObject(error, "message", err.text);
	wm_admin_answer(answer, status, root);
}

cJSON *
wm_admin_parse_body(const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	cJSON *json;

	if (request->len == 0)
		return cJSON_CreateObject();
	json = cJSON_ParseWithLength(request->body, request->len);
	if (cJSON_IsObject(json))
		return json;
	cJSON_Delete(json);
	wm_admin_refuse(answer, 400, "bad_request", "the body must be a JSON object");
	return NULL;
}

bool
wm_admin_query_number(const struct wm_admin_request *request, const char *name, int64_t min, int64_t *value,
    struct wm_admin_answer *answer)
{
	const char *text = request->query(request->query_arg, name);

	if (text == NULL || text[0] == '\0')
		return true;
	if (!wm_parse_i64(text, value) || *value < min) {
		wm_admin_refuse(answer, 400, "bad_request", "query parameter \"%s\" must be a number of at least %lld",
		    name, (long long)min);
		return false;
	}
	return true;
}

const char *
wm_admin_query_word(const struct wm_admin_request *request, const char *name)
{
	const char *text = request->query(request->query_arg, name);

	return text == NULL || text[0] == '\0' ? NULL : text;
}
