/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_server.c - the HTTP API over its real sockets, in front of a pipeline that this file plays.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "walmill/admin.h"
#include "walmill/strutil.h"

#define KEY "correct horse battery staple"

/* ---- the pipeline, as the server sees it ---- */

struct wm_pipeline {
	pthread_mutex_t	 lock;
	pthread_cond_t	 changed;
	enum wm_phase	 phase;
	bool		 alive, release;
	int		 waiting;
	wm_lsn		 lsn;		/* of the last wait */
	wm_usec		 timeout;
};

enum wm_phase
wm_pipeline_phase(struct wm_pipeline *p, struct wm_error *err)
{
	(void)err;
	return p->phase;
}

bool
wm_pipeline_alive(struct wm_pipeline *p)
{
	return p->alive;
}

enum wm_status
wm_pipeline_snapshot(struct wm_pipeline *p, struct wm_snapshot *ret, struct wm_error *err)
{
	(void)p, (void)err;
	*ret = (struct wm_snapshot){ .uptime_s = 7 };
	return WM_OK;
}

void
wm_snapshot_free(struct wm_snapshot *s)
{
	(void)s;
}

enum wm_status
wm_pipeline_pause(struct wm_pipeline *p, const char *rule, struct wm_error *err)
{
	(void)p;
	return strcmp(rule, "orders") == 0 ? WM_OK : wm_fail(err, WM_REJECT, "there is no rule \"%s\"", rule);
}

enum wm_status
wm_pipeline_resume(struct wm_pipeline *p, const char *rule, struct wm_error *err)
{
	return wm_pipeline_pause(p, rule, err);
}

/* One letter is taken and one is not. */
enum wm_status
wm_pipeline_retry(struct wm_pipeline *p, struct wm_retry *retry, struct wm_error *err)
{
	(void)p;
	if (retry->filter.rule != NULL && strcmp(retry->filter.rule, "broken") == 0)
		return wm_fail(err, WM_FATAL, "the state is broken");
	retry->last = retry->ids != NULL ? retry->ids[retry->nids - 1] : retry->filter.after + retry->filter.limit;
	retry->processed = 1;
	retry->failed = 1;
	retry->nfailures = 1;
	retry->failures = calloc(1, sizeof(*retry->failures));
	retry->failures[0] = (struct wm_retry_result){ .id = 2, .why = strdup("too large") };
	return WM_OK;
}

/* The rule's name is the error's code, "good" none; what came is told. */
enum wm_status
wm_pipeline_row(struct wm_pipeline *p, const char *rule, struct wm_row_call *call, struct wm_error *err)
{
	(void)p;
	if (strcmp(rule, "good") != 0)
		return wm_fail_code(err, WM_REJECT, rule, "it is %s", rule);
	call->written = wm_asprintf("{\"%s\":\"%s\",\"n\":%zu,\"remove\":%d,\"table\":\"%s\"}", call->names[0],
	    call->values[0], call->n, call->remove, call->table != NULL ? call->table : "");
	return WM_OK;
}

bool
wm_pipeline_callback(struct wm_pipeline *p, const char *token)
{
	(void)p;
	return strcmp(token, "expected") == 0;
}

/* timeout 0: too late at once; lsn 1: cannot happen; else until released. */
enum wm_status
wm_pipeline_wait(struct wm_pipeline *p, wm_lsn lsn, wm_usec timeout, struct wm_error *err)
{
	p->lsn = lsn;
	p->timeout = timeout;
	if (timeout == 0)
		return wm_fail(err, WM_RETRY, "target warehouse is 5 bytes behind");
	if (lsn == 1)
		return wm_fail(err, WM_FATAL, "source shop has failed");
	pthread_mutex_lock(&p->lock);
	p->waiting++;
	pthread_cond_broadcast(&p->changed);
	while (!p->release)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return WM_OK;
}

/* ---- fixture ---- */

struct fixture {
	struct wm_pipeline	 pipeline;
	struct wm_state		*state;
	struct wm_admin		*admin;
	char			 folder[64], socket[256], listen[32];
	int			 port;
	struct wm_error		 err;
};

/* A port that is free now. */
static int
free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	return ntohs(in.sin_port);
}

static enum wm_status
start(struct fixture *f)
{
	const struct wm_admin_options options = {
		.socket = f->socket,
		.listen = f->listen,
		.secret_key = KEY,
		.pipeline = &f->pipeline,
		.state = f->state,
	};

	return wm_admin_start(&options, &f->admin, &f->err);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	pthread_mutex_init(&f->pipeline.lock, NULL);
	pthread_cond_init(&f->pipeline.changed, NULL);
	f->pipeline.phase = WM_PHASE_RUNNING;
	f->pipeline.alive = true;
	f->pipeline.release = true;
	snprintf(f->folder, sizeof(f->folder), "/tmp/walmill-test-admin.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->socket, sizeof(f->socket), "%s/walmill.sock", f->folder);
	f->port = free_port();
	snprintf(f->listen, sizeof(f->listen), "127.0.0.1:%d", f->port);
	assert_int_equal(wm_state_open(f->folder, &f->state, &f->err), WM_OK);
	assert_int_equal(start(f), WM_OK);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	WM_AUTO(wm_freep) char *command = wm_asprintf("rm -rf '%s'", f->folder);

	wm_admin_stop(f->admin);
	wm_state_close(f->state);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void
send_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;		/* the server has answered and closed */
		text += n;
		len -= (size_t)n;
	}
}

/* One request as it is; the whole answer in reply. */
static void
raw(int fd, const char *request, char *reply, size_t size)
{
	size_t len = 0;
	ssize_t n;

	send_all(fd, request, strlen(request));
	while (len < size - 1 && (n = recv(fd, reply + len, size - 1 - len, 0)) > 0)
		len += (size_t)n;
	reply[len] = '\0';
	close(fd);
}

static int
connect_tcp(const struct fixture *f)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	    .sin_port = htons((uint16_t)f->port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static int
connect_unix(const struct fixture *f)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", f->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void
tcp(const struct fixture *f, const char *line, const char *header, char *reply, size_t size)
{
	WM_AUTO(wm_freep) char *request = wm_asprintf("%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", line,
	    header);

	raw(connect_tcp(f), request, reply, size);
}

static void
assert_contains(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static enum wm_status
call(struct fixture *f, const char *method, const char *path, const char *body, cJSON **ret)
{
	cJSON *json = body == NULL ? NULL : cJSON_Parse(body);
	WM_AUTO(wm_freep) char *text = NULL;
	enum wm_status status = wm_admin_call(f->socket, method, path, json, 10 * WM_SEC, &text, &f->err);

	cJSON_Delete(json);
	*ret = NULL;
	if (status == WM_OK)
		assert_non_null(*ret = cJSON_Parse(text));
	else
		assert_null(text);
	return status;
}

static void
assert_refused(struct fixture *f, const char *method, const char *path, const char *body, enum wm_status status,
    const char *code, const char *message)
{
	cJSON *json = NULL;

	assert_int_equal(call(f, method, path, body, &json), status);
	assert_null(json);
	assert_string_equal(f->err.code, code);
	assert_contains(f->err.text, message);
}

/* ---- tests ---- */

static void
socket_answers_without_a_key(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	cJSON *json;

	assert_int_equal(stat(f->socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(call(f, "GET", "/v1/status", NULL, &json), WM_OK);
	assert_int_equal(cJSON_GetObjectItem(json, "uptime_s")->valueint, 7);
	cJSON_Delete(json);
}

static void
tcp_wants_the_key(void **state)
{
	struct fixture *f = *state;
	char reply[8192];

	tcp(f, "GET /v1/status", "", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 401 ");
	assert_contains(reply, "WWW-Authenticate: Bearer");
	assert_contains(reply, "{\"error\":{\"code\":\"unauthorized\",");
	tcp(f, "GET /v1/status", "Authorization: Bearer " KEY "x\r\n", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 401 ");
	tcp(f, "GET /v1/status", "X-Walmill-Key:\r\n", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 401 ");
	tcp(f, "GET /nothing", "", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 401 ");
	tcp(f, "GET /v1/status", "Authorization: Bearer " KEY "\r\n", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 200 ");
	assert_contains(reply, "\"uptime_s\":7.000");
	tcp(f, "GET /metrics", "X-Walmill-Key: " KEY "\r\n", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 200 ");
	assert_contains(reply, "Content-Type: text/plain; version=0.0.4");
	assert_contains(reply, "walmill_uptime_seconds 7.000");
}

static void
a_callback_needs_its_token_and_no_key(void **state)
{
	struct fixture *f = *state;
	char reply[4096];

	tcp(f, "POST /v1/callback/expected", "Content-Length: 0\r\n", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 200 ");
	tcp(f, "POST /v1/callback/guessed", "Content-Length: 0\r\n", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 404 ");
	tcp(f, "GET /v1/callback/expected", "", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 404 ");
	tcp(f, "POST /v1/callback/", "Content-Length: 0\r\n", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 401 ");
}

static void
health_needs_no_key_and_follows_the_phase(void **state)
{
	struct fixture *f = *state;
	char reply[4096];

	tcp(f, "GET /healthz", "", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 200 ");
	tcp(f, "GET /readyz", "", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 200 ");
	f->pipeline.phase = WM_PHASE_STARTING;
	tcp(f, "GET /readyz", "", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 503 ");
	tcp(f, "GET /healthz", "", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 200 ");
	f->pipeline.alive = false;
	tcp(f, "GET /healthz", "", reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 503 ");
}

static void
unknown_calls_are_404(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "POST", "/v1/seed", "{}", WM_REJECT, "http:404", "there is no call POST /v1/seed");
	assert_refused(f, "GET", "/v1/wait", NULL, WM_REJECT, "http:404", "use POST");
	assert_refused(f, "GET", "/v1/errors/7", NULL, WM_REJECT, "http:404", "there is no dead letter 7");
	assert_refused(f, "GET", "/v1/errors/x", NULL, WM_REJECT, "http:404", "no id of a dead letter");
	assert_refused(f, "GET", "/v1/errors/7/8", NULL, WM_REJECT, "http:404", "there is no call");
}

static void
bad_arguments_are_400(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "GET", "/v1/errors?limit=0", NULL, WM_REJECT, "http:400", "\"limit\" must be a number");
	assert_refused(f, "GET", "/v1/errors?after=x", NULL, WM_REJECT, "http:400", "\"after\" must be a number");
	assert_refused(f, "POST", "/v1/pause", "{}", WM_REJECT, "http:400", "\"rule\" must be the name of a rule");
	assert_refused(f, "POST", "/v1/pause", "[]", WM_REJECT, "http:400", "must be a JSON object");
	assert_refused(f, "POST", "/v1/wait", "{\"lsn\": \"x\"}", WM_REJECT, "http:400", "\"lsn\" must be a position");
	assert_refused(f, "POST", "/v1/wait", "{\"timeout_s\": -1}", WM_REJECT, "http:400", "\"timeout_s\" must be");
}

static void
pause_and_resume_name_the_rule(void **state)
{
	struct fixture *f = *state;
	cJSON *json;

	assert_int_equal(call(f, "POST", "/v1/pause", "{\"rule\": \"orders\"}", &json), WM_OK);
	assert_string_equal(cJSON_GetObjectItem(json, "state")->valuestring, "paused");
	cJSON_Delete(json);
	assert_int_equal(call(f, "POST", "/v1/resume", "{\"rule\": \"orders\"}", &json), WM_OK);
	cJSON_Delete(json);
	assert_refused(f, "POST", "/v1/resume", "{\"rule\": \"ordres\"}", WM_REJECT, "http:404",
	    "there is no rule \"ordres\"");
}

static void
a_row_is_named_by_its_key(void **state)
{
	static const struct {
		const char	*body, *code, *text;
	} refusals[] = {
		{ "{\"rule\": \"no_row\", \"key\": {\"id\": 7}}", "http:404", "it is no_row" },
		{ "{\"rule\": \"bad_key\", \"key\": {\"id\": 7}}", "http:400", "it is bad_key" },
		{ "{\"rule\": \"not_running\", \"key\": {\"id\": 7}}", "http:409", "it is not_running" },
		{ "{\"rule\": \"23514\", \"key\": {\"id\": 7}}", "http:409", "it is 23514" },
		{ "{\"key\": {\"id\": 7}}", "http:400", "\"rule\"" },
		{ "{\"rule\": \"good\"}", "http:400", "\"key\"" },
		{ "{\"rule\": \"good\", \"key\": {\"id\": 1.5}}", "http:400", "\"id\"" },
		{ "{\"rule\": \"good\", \"key\": {\"id\": 1e17}}", "http:400", "as text" },
		{ "{\"rule\": \"good\", \"key\": {\"id\": 7}, \"action\": \"drop\"}", "http:400", "\"action\"" },
		{ "{\"rule\": \"good\", \"key\": {\"id\": 7}, \"table\": 7}", "http:400", "\"table\"" },
	};
	struct fixture *f = *state;
	cJSON *json;

	assert_int_equal(call(f, "POST", "/v1/row",
			     "{\"rule\": \"good\", \"key\": {\"id\": 7}, \"action\": \"delete\", "
			     "\"table\": \"a.b\"}",
			     &json),
	    WM_OK);
	assert_string_equal(cJSON_GetObjectItem(json, "id")->valuestring, "7");
	assert_int_equal(cJSON_GetObjectItem(json, "remove")->valueint, 1);
	assert_string_equal(cJSON_GetObjectItem(json, "table")->valuestring, "a.b");
	cJSON_Delete(json);
	assert_int_equal(
	    call(f, "POST", "/v1/row",
		"{\"rule\": \"good\", \"key\": {\"id\": \"9007199254740993\"}}", &json),
	    WM_OK);
	assert_string_equal(cJSON_GetObjectItem(json, "id")->valuestring, "9007199254740993");
	cJSON_Delete(json);
	for (size_t i = 0; i < WM_ARRAY_SIZE(refusals); i++)
		assert_refused(f, "POST", "/v1/row", refusals[i].body, WM_REJECT, refusals[i].code, refusals[i].text);
}

static void
dead_letters_are_filtered_by_query(void **state)
{
	struct fixture *f = *state;
	struct wm_dead_letter letter = {
		.source = "s", .target = "t", .rule = "a & b", .table = "x.y", .view = "y", .op = "delete", .key = "{}",
		.class = "row", .message = "m", .attempts = 1,
	};
	WM_AUTO(wm_buf_free) struct wm_buf path;
	cJSON *json;

	assert_int_equal(wm_state_dead_letter_add(f->state, &letter, &f->err), WM_OK);
	letter.rule = "other";
	assert_int_equal(wm_state_dead_letter_add(f->state, &letter, &f->err), WM_OK);
	wm_buf_init(&path, 1000);
	wm_buf_adds(&path, "/v1/errors");
	wm_admin_add_query(&path, "rule", "a & b");
	wm_admin_add_query(&path, "limit", "5");
	assert_string_equal(path.data, "/v1/errors?rule=a%20%26%20b&limit=5");
	assert_int_equal(call(f, "GET", path.data, NULL, &json), WM_OK);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "errors")), 1);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(json, "end")));
	cJSON_Delete(json);
	assert_int_equal(call(f, "GET", "/v1/errors/1", NULL, &json), WM_OK);
	assert_string_equal(cJSON_GetObjectItem(json, "rule")->valuestring, "a & b");
	cJSON_Delete(json);
}

static void
dead_letters_are_retried_and_dropped(void **state)
{
	struct fixture *f = *state;
	struct wm_dead_letter letter = { .source = "s", .target = "t", .rule = "r", .view = "v", .identity = "{}" };
	char *text = NULL;
	cJSON *json;

	assert_int_equal(wm_admin_call(f->socket, "POST", "/v1/errors/retry", NULL, WM_SEC, &text, &f->err), WM_OK);
	assert_string_equal(text, "{\"last\":0,\"processed\":1,\"failed\":1,\"end\":false,"
	    "\"failures\":[{\"id\":2,\"message\":\"too large\"}]}");
	free(text);
	assert_int_equal(call(f, "POST", "/v1/errors/retry", "{\"after\": 3, \"limit\": 5}", &json), WM_OK);
	assert_int_equal(cJSON_GetObjectItem(json, "last")->valueint, 8);
	cJSON_Delete(json);
	assert_int_equal(call(f, "POST", "/v1/errors/retry", "{\"ids\": [4, 9]}", &json), WM_OK);
	assert_int_equal(cJSON_GetObjectItem(json, "last")->valueint, 9);
	cJSON_Delete(json);
	assert_refused(f, "POST", "/v1/errors/retry", "{\"rule\": \"broken\"}", WM_REJECT, "http:500", "is broken");
	assert_refused(f, "POST", "/v1/errors/retry", "{\"rule\": 1}", WM_REJECT, "http:400", "must be a text");
	assert_refused(f, "POST", "/v1/errors/retry", "{\"limit\": 0}", WM_REJECT, "http:400", "at least 1");
	assert_refused(f, "POST", "/v1/errors/retry", "{\"ids\": [\"x\"]}", WM_REJECT, "http:400", "a list of at most");
	assert_refused(f, "POST", "/v1/errors/drop", NULL, WM_REJECT, "http:400", "must name the dead letters");
	assert_int_equal(wm_state_dead_letter_add(f->state, &letter, &f->err), WM_OK);
	assert_int_equal(call(f, "POST", "/v1/errors/drop", "{\"ids\": [1, 2]}", &json), WM_OK);
	assert_int_equal(cJSON_GetObjectItem(json, "dropped")->valueint, 1);
	cJSON_Delete(json);
}

static void
wait_passes_its_arguments_and_outcomes(void **state)
{
	struct fixture *f = *state;
	cJSON *json;

	assert_int_equal(call(f, "POST", "/v1/wait", "{\"lsn\": \"16/B374D848\", \"timeout_s\": 1.5}", &json), WM_OK);
	cJSON_Delete(json);
	assert_true(f->pipeline.lsn == 0x16B374D848);
	assert_int_equal(f->pipeline.timeout, 1500000);
	assert_int_equal(call(f, "POST", "/v1/wait", NULL, &json), WM_OK);
	cJSON_Delete(json);
	assert_true(f->pipeline.lsn == 0);
	assert_int_equal(f->pipeline.timeout, 30 * WM_SEC);
	assert_refused(f, "POST", "/v1/wait", "{\"timeout_s\": 0}", WM_RETRY, "http:504", "5 bytes behind");
	assert_refused(f, "POST", "/v1/wait", "{\"lsn\": \"0/1\"}", WM_REJECT, "http:409", "source shop has failed");
}

static void *
wait_thread(void *arg)
{
	struct fixture *f = arg;
	struct wm_error err;
	WM_AUTO(wm_freep) char *text = NULL;
	enum wm_status status = wm_admin_call(f->socket, "POST", "/v1/wait", NULL, 60 * WM_SEC, &text, &err);

	return status == WM_OK ? f : NULL;
}

static void
a_wait_holds_up_nobody(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	void *result;
	cJSON *json;

	f->pipeline.release = false;
	assert_int_equal(pthread_create(&thread, NULL, wait_thread, f), 0);
	pthread_mutex_lock(&f->pipeline.lock);
	while (f->pipeline.waiting == 0)
		pthread_cond_wait(&f->pipeline.changed, &f->pipeline.lock);
	pthread_mutex_unlock(&f->pipeline.lock);
	assert_int_equal(call(f, "GET", "/v1/status", NULL, &json), WM_OK);
	cJSON_Delete(json);
	pthread_mutex_lock(&f->pipeline.lock);
	f->pipeline.release = true;
	pthread_cond_broadcast(&f->pipeline.changed);
	pthread_mutex_unlock(&f->pipeline.lock);
	pthread_join(thread, &result);
	assert_ptr_equal(result, f);
}

static void
large_bodies_are_413(void **state)
{
	struct fixture *f = *state;
	WM_AUTO(wm_freep) char *body = malloc(100001);
	WM_AUTO(wm_freep) char *request = NULL;
	char reply[4096];

	memset(body, 'x', 100000);
	body[100000] = '\0';
	raw(connect_unix(f),
	    "POST /v1/pause HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n",
	    reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 413 ");
	assert_contains(reply, "{\"error\":{\"code\":\"too_large\",");
	request = wm_asprintf("POST /v1/pause HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n186a0\r\n%s\r\n0\r\n\r\n", body);
	raw(connect_unix(f), request, reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 413 ");
}

static void
bad_json_is_400(void **state)
{
	struct fixture *f = *state;
	char reply[4096];

	raw(connect_unix(f),
	    "POST /v1/pause HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\n{\"a\":",
	    reply, sizeof(reply));
	assert_contains(reply, "HTTP/1.1 400 ");
	assert_contains(reply, "the body must be a JSON object");
}

static void
a_second_daemon_is_kept_off_the_socket(void **state)
{
	struct fixture *f = *state;
	const struct wm_admin_options options = { .socket = f->socket, .pipeline = &f->pipeline, .state = f->state };
	struct wm_admin *second = NULL;
	cJSON *json;

	assert_int_equal(wm_admin_start(&options, &second, &f->err), WM_FATAL);
	assert_contains(f->err.text, "another daemon answers on control socket");
	assert_int_equal(call(f, "GET", "/v1/status", NULL, &json), WM_OK);
	cJSON_Delete(json);
}

static void
a_stale_socket_is_replaced_and_a_file_is_not(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	FILE *file;
	cJSON *json;

	wm_admin_stop(f->admin);
	f->admin = NULL;
	assert_int_equal(access(f->socket, F_OK), -1);
	snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", f->socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	assert_int_equal(start(f), WM_OK);
	assert_int_equal(call(f, "GET", "/v1/status", NULL, &json), WM_OK);
	cJSON_Delete(json);
	wm_admin_stop(f->admin);
	f->admin = NULL;
	file = fopen(f->socket, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(start(f), WM_FATAL);
	assert_contains(f->err.text, "a file that is no socket is there");
	assert_int_equal(access(f->socket, F_OK), 0);
}

static void
long_socket_paths_work(void **state)
{
	struct fixture *f = *state;
	char folder[200];
	cJSON *json;

	wm_admin_stop(f->admin);
	f->admin = NULL;
	snprintf(folder, sizeof(folder), "%s/%0100d", f->folder, 1);
	snprintf(f->socket, sizeof(f->socket), "%s/s", folder);
	assert_true(strlen(f->socket) > sizeof(((struct sockaddr_un *)NULL)->sun_path));
	assert_int_equal(start(f), WM_OK);
	assert_int_equal(call(f, "GET", "/v1/status", NULL, &json), WM_OK);
	cJSON_Delete(json);
	assert_int_equal(access(f->socket, F_OK), 0);
}

static void
no_daemon_is_said_clearly(void **state)
{
	struct fixture *f = *state;
	char expected[400];

	wm_admin_stop(f->admin);
	f->admin = NULL;
	snprintf(expected, sizeof(expected), "no walmill daemon answers at %s; is it running?", f->socket);
	assert_refused(f, "GET", "/v1/status", NULL, WM_FATAL, WM_ADMIN_NO_DAEMON, expected);
	snprintf(f->socket, sizeof(f->socket), "%s/no/such/%0100d", f->folder, 1);
	assert_refused(f, "GET", "/v1/status", NULL, WM_FATAL, WM_ADMIN_NO_DAEMON, "no walmill daemon answers at");
}

static void
listen_without_a_key_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct wm_admin_options options = {
		.listen = f->listen, .secret_key = "", .pipeline = &f->pipeline, .state = f->state,
	};
	struct wm_admin *admin = NULL;

	assert_int_equal(wm_admin_start(&options, &admin, &f->err), WM_FATAL);
	assert_contains(f->err.text, "without a secret_key");
	assert_null(admin);
}

int
main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(socket_answers_without_a_key),
		CASE(tcp_wants_the_key),
		CASE(a_callback_needs_its_token_and_no_key),
		CASE(health_needs_no_key_and_follows_the_phase),
		CASE(unknown_calls_are_404),
		CASE(bad_arguments_are_400),
		CASE(pause_and_resume_name_the_rule),
		CASE(a_row_is_named_by_its_key),
		CASE(dead_letters_are_filtered_by_query),
		CASE(dead_letters_are_retried_and_dropped),
		CASE(wait_passes_its_arguments_and_outcomes),
		CASE(a_wait_holds_up_nobody),
		CASE(large_bodies_are_413),
		CASE(bad_json_is_400),
		CASE(a_second_daemon_is_kept_off_the_socket),
		CASE(a_stale_socket_is_replaced_and_a_file_is_not),
		CASE(long_socket_paths_work),
		CASE(no_daemon_is_said_clearly),
		CASE(listen_without_a_key_is_refused),
	};

	return cmocka_run_group_tests_name("admin_server", tests, NULL, NULL);
}
