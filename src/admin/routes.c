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

/* ---- health ---- */

static void
answer_health(struct wm_admin_answer *answer, bool good, const char *word)
{
	WM_AUTO(deletep) cJSON *root = cJSON_CreateObject();

	cJSON_AddStringToObject(root, "status", word);
	wm_admin_answer(answer, good ? 200 : 503, root);
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

/* ---- requests with a body ---- */

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
		wm_admin_answer(answer, 200, done);
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
	WM_AUTO(deletep) cJSON *body = wm_admin_parse_body(request, answer);
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
	WM_AUTO(deletep) cJSON *body = wm_admin_parse_body(request, answer);
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
	wm_admin_answer(answer, 200, done);
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

/* ---- callbacks ---- */

/* The token in the path takes the key's place.  Nothing is believed of what is sent. */
static void
post_callback(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer)
{
	WM_AUTO(deletep) cJSON *done = NULL;

	if (!wm_pipeline_callback(context->pipeline, strrchr(request->path, '/') + 1)) {
		wm_admin_refuse(answer, 404, "not_found", "nothing waits for this call");
		return;
	}
	done = cJSON_CreateObject();
	cJSON_AddTrueToObject(done, "taken");
	wm_admin_answer(answer, 200, done);
}

/* ---- the table ---- */

static const struct {
	const char	*method, *path;		/* a path that ends in / takes one more word */
	bool		 open;			/* needs no key */
	wm_admin_handler	*fn;
} routes[] = {
	{ "GET", "/healthz", true, healthz },
	{ "GET", "/readyz", true, readyz },
	{ "GET", "/metrics", false, get_metrics },
	{ "GET", "/v1/status", false, get_status },
	{ "GET", "/v1/errors", false, wm_admin_get_letters },
	{ "GET", "/v1/errors/", false, wm_admin_get_letter },
	{ "POST", "/v1/errors/retry", false, wm_admin_retry_letters },
	{ "POST", "/v1/errors/drop", false, wm_admin_drop_letters },
	{ "GET", "/v1/receipts", false, wm_admin_get_receipts },
	{ "POST", "/v1/row", false, wm_admin_post_row },
	{ "POST", "/v1/wait", false, post_wait },
	{ "POST", "/v1/callback/", true, post_callback },
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
