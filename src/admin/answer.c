/* SPDX-License-Identifier: PostgreSQL */
/*
 * answer.c - bodies of calls and answers as JSON.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "routes.h"

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
