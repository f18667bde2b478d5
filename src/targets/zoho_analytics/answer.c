/* SPDX-License-Identifier: PostgreSQL */
/*
 * answer.c - Zoho's answers: the envelope, error codes and what to do about them, counts.
 */
#include "answer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "walmill/strutil.h"

static const struct {
	int			 code;
	enum wm_zoho_trouble	 trouble;
	const char		*advice;	/* NULL: nothing to do */
} codes[] = {
	{ 7005, WM_ZOHO_PASSING, NULL },
	{ 7092, WM_ZOHO_BUSY, NULL },
	{ 8062, WM_ZOHO_BUSY, NULL },
	{ 8132, WM_ZOHO_BUSY, NULL },
	{ 8134, WM_ZOHO_BUSY, "the organisation has five import jobs open, others' among them" },
	{ 18072, WM_ZOHO_BUSY, NULL },
	{ 7429, WM_ZOHO_BUSY, NULL },
	{ 10001, WM_ZOHO_BUSY, NULL },
	{ 6045, WM_ZOHO_RATE, NULL },
	{ 6043, WM_ZOHO_UNITS, "it goes on when the day's units are there again; a larger plan has more" },
	{ 6044, WM_ZOHO_UNITS, "it goes on when the day's units are there again; a larger plan has more" },
	{ 8535, WM_ZOHO_TOKEN, "make a refresh token of this data centre with the scopes of walmill-zoho_analytics(5)" },
	{ 7103, WM_ZOHO_ACCOUNT, "look at \"org\" and \"workspace\" of the target" },
	{ 7104, WM_ZOHO_VIEW, "the view has gone, or its id is another workspace's" },
	{ 7105, WM_ZOHO_VIEW, "look at the rule's \"view\"" },
	{ 7106, WM_ZOHO_VIEW, "look at the rule's \"view\"" },
	{ 7107, WM_ZOHO_STALE, NULL },
	{ 7137, WM_ZOHO_VIEW, "only a table can be written; give the rule another \"view\"" },
	{ 7397, WM_ZOHO_VIEW, "only a table can be written; give the rule another \"view\"" },
	{ 7439, WM_ZOHO_VIEW, "only a table can be written; give the rule another \"view\"" },
	{ 101021, WM_ZOHO_VIEW, "only a table can be written; give the rule another \"view\"" },
	{ 7164, WM_ZOHO_VIEW, "Zoho keeps this table itself; give the rule another \"view\"" },
	{ 7165, WM_ZOHO_VIEW, "Zoho keeps this table itself; give the rule another \"view\"" },
	{ 7301, WM_ZOHO_VIEW, "let the account that the refresh token belongs to write to the view" },
	{ 8023, WM_ZOHO_VIEW, "let the account that the refresh token belongs to write to the view" },
	{ 7319, WM_ZOHO_VIEW, "the view belongs to another workspace" },
	{ 7405, WM_ZOHO_VIEW, "let rows of the table be changed, in Zoho's settings of it" },
	{ 8016, WM_ZOHO_STALE, NULL },
	{ 8083, WM_ZOHO_ACCOUNT, "look at \"org\" of the target" },
	{ 7478, WM_ZOHO_VIEW, "leave columns out (\"exclude\")" },
	{ 6001, WM_ZOHO_ACCOUNT, "the plan's rows are used up" },
	{ 7232, WM_ZOHO_ROWS, NULL },
	{ 7208, WM_ZOHO_ROWS, NULL },
	{ 7248, WM_ZOHO_ROWS, NULL },
	{ 7512, WM_ZOHO_ROWS, NULL },
	{ 7515, WM_ZOHO_ROWS, NULL },
	{ 7327, WM_ZOHO_ROWS, NULL },
	{ 7507, WM_ZOHO_ROWS, NULL },
	{ 7203, WM_ZOHO_ROWS, NULL },
	{ 8046, WM_ZOHO_STALE, NULL },
	{ 7330, WM_ZOHO_STALE, NULL },
	{ 8148, WM_ZOHO_ROWS, NULL },
	{ 8149, WM_ZOHO_ROWS, NULL },
	{ 8516, WM_ZOHO_ROWS, NULL },
};

enum wm_zoho_trouble
wm_zoho_trouble_of(int code, long http)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(codes); i++)
		if (codes[i].code == code)
			return codes[i].trouble;
	if (http == 429)
		return WM_ZOHO_RATE;
	if (http == 401)
		return WM_ZOHO_TOKEN;
	if (http == 403)
		return WM_ZOHO_VIEW;
	/* A code that nobody documented, for a payload that was understood. */
	return http >= 400 && http < 500 ? WM_ZOHO_ACCOUNT : WM_ZOHO_PASSING;
}

static const char *
advice_of(int code)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(codes); i++)
		if (codes[i].code == code)
			return codes[i].advice;
	return NULL;
}

/* ---- members ---- */

const char *
wm_zoho_text(const cJSON *o, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return s == NULL ? "" : s;
}

char *
wm_zoho_print(cJSON *o)
{
	char *text = cJSON_PrintUnformatted(o);

	cJSON_Delete(o);
	return text;
}

int64_t
wm_zoho_number(const cJSON *o, const char *name, int64_t missing)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);
	int64_t n;

	if (cJSON_IsNumber(item))
		return fabs(item->valuedouble) < 9e15 ? (int64_t)item->valuedouble : missing;
	return cJSON_IsString(item) && wm_parse_i64(item->valuestring, &n) ? n : missing;
}

/* ---- envelopes ---- */

static void
set_message(struct wm_zoho_answer *a, const char *text)
{
	(void)snprintf(a->message, sizeof(a->message), "%s", text);
	for (char *p = a->message; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

void
wm_zoho_answer_parse(long http, const char *body, size_t len, struct wm_zoho_answer *ret)
{
	const char *status;

	memset(ret, 0, sizeof(*ret));
	ret->http = http;
	if (http == 204)
		return;
	ret->json = cJSON_ParseWithLength(body, len);
	ret->data = cJSON_GetObjectItemCaseSensitive(ret->json, "data");
	status = wm_zoho_text(ret->json, "status");
	ret->code = (int)wm_zoho_number(ret->data, "errorCode", 0);
	if (http >= 200 && http < 300 && ret->code == 0 && strcmp(status, "success") == 0)
		return;
	ret->trouble = wm_zoho_trouble_of(ret->code, http);
	if (ret->code == 0) {
		char text[100];

		(void)snprintf(text, sizeof(text),
		    "HTTP status %ld with an answer that is none of Zoho Analytics'", http);
		set_message(ret, text);
		if (ret->trouble == WM_ZOHO_ACCOUNT && http != 400)
			ret->trouble = http == 404 ? WM_ZOHO_ACCOUNT : WM_ZOHO_PASSING;
		return;
	}
	set_message(ret, wm_zoho_text(ret->data, "errorMessage"));
}

void
wm_zoho_answer_free(struct wm_zoho_answer *a)
{
	cJSON_Delete(a->json);
	a->json = NULL;
	a->data = NULL;
}

static enum wm_status
status_of(enum wm_zoho_trouble trouble)
{
	switch (trouble) {
	case WM_ZOHO_FINE:
		return WM_OK;
	case WM_ZOHO_ROWS:
		return WM_REJECT;
	case WM_ZOHO_VIEW:
	case WM_ZOHO_ACCOUNT:
	case WM_ZOHO_TOKEN:
		return WM_FATAL;
	default:
		return WM_RETRY;
	}
}

enum wm_status
wm_zoho_answer_fail(const struct wm_zoho_answer *a, bool *ret_view, struct wm_error *err, const char *what, ...)
{
	const char *advice = advice_of(a->code);
	char code[24] = "", context[300];
	va_list ap;

	va_start(ap, what);
	(void)vsnprintf(context, sizeof(context), what, ap);
	va_end(ap);
	if (a->code != 0)
		(void)snprintf(code, sizeof(code), "zoho:%d", a->code);
	else
		(void)snprintf(code, sizeof(code), "http:%ld", a->http);
	if (ret_view != NULL)
		*ret_view = a->trouble == WM_ZOHO_VIEW;
	return wm_fail_code(err, status_of(a->trouble), code, "%s: %s (%s)%s%s", context, a->message, code,
	    advice != NULL ? "; " : "", advice != NULL ? advice : "");
}

/* ---- imports ---- */

void
wm_zoho_import_parse(const cJSON *parent, struct wm_zoho_import *ret)
{
	const cJSON *summary = cJSON_GetObjectItemCaseSensitive(parent, "importSummary");

	ret->total = wm_zoho_number(summary, "totalRowCount", -1);
	ret->stored = wm_zoho_number(summary, "successRowCount", -1);
	ret->warnings = wm_zoho_number(summary, "warnings", -1);
	ret->selected = wm_zoho_number(summary, "selectedColumnCount", -1);
	(void)snprintf(ret->errors, sizeof(ret->errors), "%s", wm_zoho_text(parent, "importErrors"));
	for (char *p = ret->errors; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

bool
wm_zoho_import_complete(const struct wm_zoho_import *i, size_t rows)
{
	return i->total == (int64_t)rows && i->stored == (int64_t)rows && i->warnings == 0;
}
