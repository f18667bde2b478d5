/* SPDX-License-Identifier: PostgreSQL */
/*
 * routes.c - the calls of the HTTP API.
 */
#include "routes.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/admin.h"
#include "walmill/strutil.h"

#define WAITS_MAX 32		/* each holds a thread for as long as its caller wishes */
#define WAIT_DEFAULT_S 30.0
#define WAIT_MAX_S 86400.0
#define LETTERS_MAX 1000

typedef void handler(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer);

static void
deletep(cJSON **json)
{
	cJSON_Delete(*json);
}

static void
snapshot_freep(struct wm_snapshot *s)
{
	wm_snapshot_free(s);
}

/* {"name": value} */
static void
answer_object(struct wm_admin_answer *answer, unsigned status, cJSON *object)
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
	answer_object(answer, status, root);
}

/* ---- health ---- */

static void
answer_health(struct wm_admin_answer *answer, bool good, const char *word)
{
	WM_AUTO(deletep) cJSON *root = cJSON_CreateObject();

	cJSON_AddStringToObject(root, "status", word);
	answer_object(answer, good ? 200 : 503, root);
}

static void
healthz(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	bool good = wm_pipeline_phase(context->pipeline, NULL) != WM_PHASE_FAILED &&
	    wm_pipeline_alive(context->pipeline);

	(void)request;
	answer_health(answer, good, good ? "ok" : "failed");
}

static void
readyz(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	static const char *const words[] = {
		[WM_PHASE_STARTING] = "starting", [WM_PHASE_RUNNING] = "ok", [WM_PHASE_DONE] = "ok",
		[WM_PHASE_FAILED] = "failed",
	};
	enum wm_phase phase = wm_pipeline_phase(context->pipeline, NULL);

	(void)request;
	answer_health(answer, phase == WM_PHASE_RUNNING || phase == WM_PHASE_DONE, words[phase]);
}

/* ---- status and metrics ---- */

static void
answer_snapshot(struct wm_admin_context *context, struct wm_admin_answer *answer, const char *type,
    void (*render)(const struct wm_snapshot *s, struct wm_buf *out))
{
	WM_AUTO(snapshot_freep) struct wm_snapshot s = { 0 };
	struct wm_error err;

	if (wm_pipeline_snapshot(context->pipeline, &s, &err) != WM_OK) {
		wm_admin_refuse(answer, 500, "internal", "%s", err.text);
		return;
	}
	answer->status = 200;
	answer->type = type;
	render(&s, &answer->body);
	if (answer->body.failed)
		wm_admin_refuse(answer, 500, "internal", "out of memory for the answer");
}

static void
get_status(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	(void)request;
	answer_snapshot(context, answer, "application/json", wm_admin_render_status);
}

static void
get_metrics(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	(void)request;
	answer_snapshot(context, answer, "text/plain; version=0.0.4; charset=utf-8", wm_admin_render_metrics);
}

/* ---- dead letters ---- */

/* A query parameter that is a number of at least min; false after an error answer. */
static bool
query_number(const struct wm_admin_request *request, const char *name, int64_t min, int64_t *value,
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

static const char *
query_word(const struct wm_admin_request *request, const char *name)
{
	const char *text = request->query(request->query_arg, name);

	return text == NULL || text[0] == '\0' ? NULL : text;
}

static void
get_errors(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	struct wm_dead_letter_filter filter = {
		.rule = query_word(request, "rule"), .class = query_word(request, "class"),
	};
	struct wm_error err;

	if (!query_number(request, "after", 0, &filter.after, answer) ||
	    !query_number(request, "limit", 1, &filter.limit, answer))
		return;
	if (filter.limit > LETTERS_MAX)
		filter.limit = LETTERS_MAX;
	answer->status = 200;
	answer->type = "application/json";
	if (wm_admin_render_letters(context->state, &filter, &answer->body, &err) != WM_OK)
		wm_admin_refuse(answer, 500, "internal", "%s", err.text);
}

static void
get_error(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
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

/* ---- requests with a body ---- */

/* The body as an object (an empty one when there is none); NULL after an error answer. */
static cJSON *
parse_body(const struct wm_admin_request *request, struct wm_admin_answer *answer)
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

static bool
wait_arguments(const cJSON *body, wm_lsn *lsn, double *timeout, struct wm_admin_answer *answer)
{
	const cJSON *at = cJSON_GetObjectItemCaseSensitive(body, "lsn");
	const cJSON *seconds = cJSON_GetObjectItemCaseSensitive(body, "timeout_s");

	if (at != NULL && !cJSON_IsNull(at) && (!cJSON_IsString(at) || !wm_lsn_parse(at->valuestring, lsn))) {
		wm_admin_refuse(answer, 400, "bad_request", "\"lsn\" must be a position such as \"16/B374D848\"");
		return false;
	}
	if (seconds == NULL || cJSON_IsNull(seconds))
		return true;
	if (!cJSON_IsNumber(seconds) || !(seconds->valuedouble >= 0 && seconds->valuedouble <= WAIT_MAX_S)) {
		wm_admin_refuse(answer, 400, "bad_request",
		    "\"timeout_s\" must be a number from 0 to %.0f", WAIT_MAX_S);
		return false;
	}
	*timeout = seconds->valuedouble;
	return true;
}

static void
do_wait(struct wm_admin_context *context, wm_lsn lsn, double timeout, struct wm_admin_answer *answer)
{
	WM_AUTO(deletep) cJSON *done = NULL;
	struct wm_error err;

	switch (wm_pipeline_wait(context->pipeline, lsn, (wm_usec)(timeout * (double)WM_SEC), &err)) {
	case WM_OK:
		done = cJSON_CreateObject();
		cJSON_AddTrueToObject(done, "reached");
		answer_object(answer, 200, done);
		return;
	case WM_RETRY:
		wm_admin_refuse(answer, 504, "timeout", "%s", err.text);
		return;
	default:
		wm_admin_refuse(answer, 409, "conflict", "%s", err.text);
	}
}

static void
post_wait(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	WM_AUTO(deletep) cJSON *body = parse_body(request, answer);
	double timeout = WAIT_DEFAULT_S;
	wm_lsn lsn = 0;

	if (body == NULL || !wait_arguments(body, &lsn, &timeout, answer))
		return;
	if (atomic_fetch_add(&context->waits, 1) < WAITS_MAX)
		do_wait(context, lsn, timeout, answer);
	else
		wm_admin_refuse(answer, 429, "too_many", "%d calls wait already; try again later", WAITS_MAX);
	atomic_fetch_sub(&context->waits, 1);
}

/* Pause and resume differ in a function and a word. */
static void
with_rule(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer,
    enum wm_status (*fn)(struct wm_pipeline *p, const char *rule, struct wm_error *err), const char *state)
{
	WM_AUTO(deletep) cJSON *body = parse_body(request, answer);
	const cJSON *rule = cJSON_GetObjectItemCaseSensitive(body, "rule");
	WM_AUTO(deletep) cJSON *done = NULL;
	struct wm_error err;
	enum wm_status status;

	if (body == NULL)
		return;
	if (!cJSON_IsString(rule) || rule->valuestring[0] == '\0') {
		wm_admin_refuse(answer, 400, "bad_request", "\"rule\" must be the name of a rule");
		return;
	}
	status = fn(context->pipeline, rule->valuestring, &err);
	if (status != WM_OK) {
		wm_admin_refuse(answer, status == WM_REJECT ? 404 : 409, status == WM_REJECT ? "not_found" : "conflict",
		    "%s", err.text);
		return;
	}
	done = cJSON_CreateObject();
	cJSON_AddStringToObject(done, "rule", rule->valuestring);
	cJSON_AddStringToObject(done, "state", state);
	answer_object(answer, 200, done);
}

static void
post_pause(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	with_rule(context, request, answer, wm_pipeline_pause, "paused");
}

static void
post_resume(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	with_rule(context, request, answer, wm_pipeline_resume, "streaming");
}

/* ---- the table ---- */

static const struct {
	const char	*method, *path;		/* a path that ends in / takes one more word */
	bool		 open;			/* needs no key */
	handler		*fn;
} routes[] = {
	{ "GET", "/healthz", true, healthz },
	{ "GET", "/readyz", true, readyz },
	{ "GET", "/metrics", false, get_metrics },
	{ "GET", "/v1/status", false, get_status },
	{ "GET", "/v1/errors", false, get_errors },
	{ "GET", "/v1/errors/", false, get_error },
	{ "POST", "/v1/wait", false, post_wait },
	{ "POST", "/v1/pause", false, post_pause },
	{ "POST", "/v1/resume", false, post_resume },
};

static bool
path_matches(const char *pattern, const char *path)
{
	size_t n = strlen(pattern);

	if (pattern[n - 1] != '/')
		return strcmp(pattern, path) == 0;
	return strncmp(pattern, path, n) == 0 && path[n] != '\0' && strchr(path + n, '/') == NULL;
}

bool
wm_admin_route_open(const char *path)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(routes); i++)
		if (path_matches(routes[i].path, path))
			return routes[i].open;
	return false;
}

void
wm_admin_route(struct wm_admin_context *context, const struct wm_admin_request *request, struct wm_admin_answer *answer)
{
	const char *method = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
	const char *other = NULL;

	for (size_t i = 0; i < WM_ARRAY_SIZE(routes); i++) {
		if (!path_matches(routes[i].path, request->path))
			continue;
		if (strcmp(routes[i].method, method) == 0) {
			routes[i].fn(context, request, answer);
			return;
		}
		other = routes[i].method;
	}
	if (other != NULL)
		wm_admin_refuse(answer, 404, "not_found", "there is no call %.16s %.200s; use %s", request->method,
		    request->path, other);
	else
		wm_admin_refuse(answer, 404, "not_found", "there is no call %.16s %.200s",
		    request->method, request->path);
}
