/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_http.c - the HTTP client against a server of this file, which answers as the path says.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "walmill/http.h"
#include "walmill/strutil.h"

#define SECRET "s3cr3t"

struct server {
	int		 fd, port;
	int		 stop;		/* eventfd */
	pthread_t	 thread;
	atomic_int	 connections, requests;
};

static struct server server;

/* ---- a resolver that hangs ---- */

#define HANGING "hanging.invalid"

static sem_t go_on;
static atomic_int resolving;

/* libcurl's threads call this one. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (node != NULL && strcmp(node, HANGING) == 0) {
		atomic_fetch_add(&resolving, 1);
		sem_wait(&go_on);
		atomic_fetch_sub(&resolving, 1);
		return EAI_NONAME;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, ret);
}

/* ---- the server ---- */

/* Waits for bytes or the end; false at the end. */
static bool
readable(int fd)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = server.stop, .events = POLLIN } };

	return poll(fds, 2, -1) > 0 && fds[1].revents == 0;
}

static bool
put(int fd, const char *s)
{
	size_t n = strlen(s);

	return send(fd, s, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static size_t
content_length(const char *head)
{
	const char *at = strcasestr(head, "\r\nContent-Length: ");
	char digits[20] = "";
	uint64_t n = 0;

	if (at != NULL)
		snprintf(digits, sizeof(digits), "%.*s", (int)strspn(at + 18, "0123456789"), at + 18);
	return at != NULL && wm_parse_u64(digits, &n) ? n : 0;
}

/* One whole request; false when the client has gone. */
static bool
take_request(int fd, struct wm_buf *in)
{
	for (;;) {
		char *end = strstr(in->data, "\r\n\r\n");
		char buf[4096];
		ssize_t n;

		if (end != NULL && in->len >= (size_t)(end + 4 - in->data) + content_length(in->data))
			return true;
		if (!readable(fd) || (n = recv(fd, buf, sizeof(buf), 0)) <= 0)
			return false;
		wm_buf_add(in, buf, (size_t)n);
	}
}

/* Answers with the request itself. */
static bool
echo(int fd, const struct wm_buf *in)
{
	WM_AUTO(wm_freep) char *head = wm_asprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", in->len);

	return put(fd, head) && send(fd, in->data, in->len, MSG_NOSIGNAL) == (ssize_t)in->len;
}

/* A byte now and then, for ever. */
static bool
trickle(int fd)
{
	struct pollfd stop = { .fd = server.stop, .events = POLLIN };

	if (!put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"))
		return false;
	while (poll(&stop, 1, 50) == 0 && put(fd, "x"))
		;
	return false;
}

/* In 100 s, in the form that HTTP dates have. */
static bool
busy_until(int fd)
{
	time_t t = time(NULL) + 100;
	char date[64];
	struct tm tm;
	WM_AUTO(wm_freep) char *head = NULL;

	gmtime_r(&t, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	head = wm_asprintf("HTTP/1.1 503 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
	return put(fd, head);
}

/* False: hang up. */
static bool
answer(int fd, const struct wm_buf *in)
{
	if (strstr(in->data, "/hang") != NULL)
		return readable(fd) && false;
	if (strstr(in->data, "/trickle") != NULL)
		return trickle(fd);
	if (strstr(in->data, "/break") != NULL)
		return put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") && false;
	if (strstr(in->data, "/gone") != NULL)
		return false;
	if (strstr(in->data, "/busy-date") != NULL)
		return busy_until(fd);
	if (strstr(in->data, "/busy") != NULL)
		return put(fd, "HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nlate");
	if (strstr(in->data, "/refused") != NULL)
		return put(fd, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
	if (strstr(in->data, "/elsewhere") != NULL)
		return put(fd, "HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
	return echo(fd, in);
}

static void
free_bufp(struct wm_buf *b)
{
	wm_buf_free(b);
}

static void *
serve(void *arg)
{
	(void)arg;
	while (readable(server.fd)) {
		WM_AUTO(free_bufp) struct wm_buf in;
		int fd = accept(server.fd, NULL, NULL);

		wm_buf_init(&in, 16U << 20);
		atomic_fetch_add(&server.connections, 1);
		while (take_request(fd, &in)) {
			atomic_fetch_add(&server.requests, 1);
			if (!answer(fd, &in))
				break;
			wm_buf_reset(&in);
		}
		close(fd);
	}
	return NULL;
}

static int
start(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);

	(void)state;
	server.fd = socket(AF_INET, SOCK_STREAM, 0);
	server.stop = eventfd(0, 0);
	if (bind(server.fd, (struct sockaddr *)&a, n) != 0 || listen(server.fd, 5) != 0 ||
	    getsockname(server.fd, (struct sockaddr *)&a, &n) != 0)
		return -1;
	server.port = ntohs(a.sin_port);
	return pthread_create(&server.thread, NULL, serve, NULL);
}

static int
stop(void **state)
{
	uint64_t one = 1;

	(void)state;
	if (write(server.stop, &one, sizeof(one)) != sizeof(one))
		return -1;
	pthread_join(server.thread, NULL);
	close(server.fd);
	close(server.stop);
	return 0;
}

/* ---- the client ---- */

static struct wm_http *
client(const atomic_bool *cancel)
{
	struct wm_http *c = NULL;

	assert_int_equal(wm_http_create(&(struct wm_http_options){ .cancel = cancel }, &c, NULL), WM_OK);
	return c;
}

/* The request's url is a path of the server. */
static enum wm_status
ask(struct wm_http *c, struct wm_http_request r, struct wm_http_response *ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *url = wm_asprintf("http://user:" SECRET "@127.0.0.1:%d%s", server.port, r.url);
	enum wm_status st;

	r.url = url;
	r.method = r.method == NULL ? "GET" : r.method;
	r.max_response = r.max_response == 0 ? 1U << 20 : r.max_response;
	r.timeout = r.timeout == 0 ? 20 * WM_SEC : r.timeout;
	*err = (struct wm_error){ 0 };
	st = wm_http_send(c, &r, ret, err);
	return st == WM_OK ? wm_http_judge(&r, ret, err) : st;
}

static void
assert_text(const struct wm_error *err, const char *part)
{
	char origin[64];

	if (strstr(err->text, part) == NULL)
		fail_msg("\"%s\" is not in: %s", part, err->text);
	snprintf(origin, sizeof(origin), "127.0.0.1:%d", server.port);
	assert_non_null(strstr(err->text, origin));
	assert_null(strstr(err->text, SECRET));
}

static void
what_is_sent(void **state)
{
	const char *const headers[] = { "X-One: 1", "Authorization: Bearer " SECRET, NULL };
	struct wm_http *c = client(NULL);
	struct wm_http_response a;
	struct wm_error err;

	(void)state;
	assert_int_equal(ask(c, (struct wm_http_request){ .method = "POST", .url = "/form?a=b", .headers = headers,
	    .type = "application/json", .body = "{}", .len = 2 }, &a, &err), WM_OK);
	assert_int_equal(a.code, 200);
	assert_true(a.maybe_sent);
	assert_memory_equal(a.body.data, "POST /form?a=b HTTP/1.1\r\n", 25);
	assert_non_null(strstr(a.body.data, "\r\nX-One: 1\r\n"));
	assert_non_null(strstr(a.body.data, "\r\nAuthorization: Bearer " SECRET "\r\n"));
	assert_non_null(strstr(a.body.data, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(a.body.data, "\r\nUser-Agent: walmill/"));
	assert_null(strstr(a.body.data, "Expect"));
	assert_non_null(strstr(a.body.data, "\r\n\r\n{}"));
	wm_http_response_free(&a);
	/* The next one does not inherit anything. */
	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/plain" }, &a, &err), WM_OK);
	assert_memory_equal(a.body.data, "GET /plain HTTP/1.1\r\n", 21);
	assert_null(strstr(a.body.data, "X-One"));
	assert_null(strstr(a.body.data, "Content-"));
	wm_http_response_free(&a);
	assert_int_equal(ask(c, (struct wm_http_request){ .method = "DELETE", .url = "/thing" }, &a, &err), WM_OK);
	assert_memory_equal(a.body.data, "DELETE /thing HTTP/1.1\r\n", 24);
	wm_http_response_free(&a);
	wm_http_destroy(c);
}

static void
parts(void **state)
{
	static char big[300000];
	const struct wm_http_part list[] = {
		{ .name = "CONFIG", .type = "application/json", .data = "{\"a\":1}", .len = 7 },
		{ .name = "FILE", .filename = "rows.csv", .type = "text/csv", .data = big, .len = sizeof(big) },
		{ .name = "EMPTY" },
	};
	struct wm_http *c = client(NULL);
	struct wm_http_response a;
	struct wm_error err;
	const char *at;

	(void)state;
	memset(big, 'r', sizeof(big));
	assert_int_equal(ask(c, (struct wm_http_request){ .method = "POST", .url = "/import", .parts = list,
	    .nparts = WM_ARRAY_SIZE(list) }, &a, &err), WM_OK);
	assert_non_null(strstr(a.body.data, "\r\nContent-Type: multipart/form-data; boundary="));
	assert_non_null(strstr(a.body.data,
	    "form-data; name=\"CONFIG\"\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\r\n"));
	at = strstr(a.body.data, "name=\"FILE\"; filename=\"rows.csv\"\r\nContent-Type: text/csv\r\n\r\n");
	assert_non_null(at);
	at = strstr(at, "\r\n\r\n") + 4;
	assert_memory_equal(at, big, sizeof(big));
	assert_memory_equal(at + sizeof(big), "\r\n--", 4);
	assert_non_null(strstr(at, "name=\"EMPTY\"\r\n\r\n\r\n--"));
	wm_http_response_free(&a);
	wm_http_destroy(c);
}

static void
a_connection_is_used_again(void **state)
{
	struct wm_http *c = client(NULL);
	int before = atomic_load(&server.connections);

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct wm_http_response a;
		struct wm_error err;

		assert_int_equal(ask(c, (struct wm_http_request){ .url = "/again" }, &a, &err), WM_OK);
		wm_http_response_free(&a);
	}
	assert_int_equal(atomic_load(&server.connections), before + 1);
	wm_http_destroy(c);
}

static void
refusals(void **state)
{
	struct wm_http *c = client(NULL);
	struct wm_http_response a;
	struct wm_error err;

	(void)state;
	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/busy?key=" SECRET }, &a, &err), WM_RETRY);
	assert_string_equal(err.code, "http:429");
	assert_int_equal(err.retry_after, 7 * WM_SEC);
	assert_string_equal(a.body.data, "late");
	assert_text(&err, "GET to http://127.0.0.1:");
	assert_text(&err, "status 429");
	wm_http_response_free(&a);

	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/busy-date" }, &a, &err), WM_RETRY);
	assert_string_equal(err.code, "http:503");
	assert_in_range(err.retry_after, 90 * WM_SEC, 100 * WM_SEC);
	wm_http_response_free(&a);

	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/refused" }, &a, &err), WM_REJECT);
	assert_string_equal(err.code, "http:403");
	assert_int_equal(a.retry_after, 0);
	wm_http_response_free(&a);

	/* Nothing is told to another host. */
	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/elsewhere" }, &a, &err), WM_REJECT);
	assert_int_equal(a.code, 302);
	assert_text(&err, "not followed");
	wm_http_response_free(&a);
	wm_http_destroy(c);
}

static void
failures(void **state)
{
	struct wm_http *c = client(NULL);
	struct wm_http_response a;
	struct wm_error err;

	(void)state;
	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/gone?key=" SECRET }, &a, &err), WM_RETRY);
	assert_text(&err, "GET to http://127.0.0.1:");
	assert_true(a.maybe_sent);
	wm_http_response_free(&a);

	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/break" }, &a, &err), WM_RETRY);
	assert_string_equal(err.code, "curl:18");
	assert_true(a.maybe_sent);
	wm_http_response_free(&a);

	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/hang", .timeout = 200 * WM_MSEC }, &a, &err),
	    WM_RETRY);
	assert_string_equal(err.code, "curl:28");
	assert_text(&err, "timed out");
	assert_true(a.maybe_sent);
	wm_http_response_free(&a);

	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/trickle", .low_speed = 1000,
	    .low_speed_time = WM_SEC }, &a, &err), WM_RETRY);
	assert_string_equal(err.code, "curl:28");
	assert_text(&err, "too slow");
	wm_http_response_free(&a);

	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/echo", .max_response = 10 }, &a, &err), WM_RETRY);
	assert_text(&err, "larger than it may be");
	assert_true(a.body.len <= 10);
	wm_http_response_free(&a);
	wm_http_destroy(c);
}

static enum wm_status
plain(struct wm_http *c, const char *url, struct wm_http_response *a, struct wm_error *err)
{
	return wm_http_send(c, &(struct wm_http_request){ .method = "GET", .url = url, .max_response = 1000 }, a, err);
}

static void
nothing_there(void **state)
{
	struct wm_http *c = client(NULL);
	struct wm_http_response a;
	struct wm_error err;

	(void)state;
	/* A request of before must not show through. */
	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/echo" }, &a, &err), WM_OK);
	wm_http_response_free(&a);
	assert_int_equal(plain(c, "http://127.0.0.1:1/path/" SECRET "?q=" SECRET, &a, &err), WM_RETRY);
	assert_string_equal(err.code, "curl:7");
	assert_memory_equal(err.text, "GET to http://127.0.0.1:1 failed: ", 34);
	assert_null(strstr(err.text, SECRET));
	assert_false(a.maybe_sent);
	assert_int_equal(a.code, 0);
	wm_http_response_free(&a);

	assert_int_equal(plain(c, "http://no-such-host.invalid/", &a, &err), WM_RETRY);
	assert_string_equal(err.code, "curl:6");
	assert_false(a.maybe_sent);
	wm_http_response_free(&a);

	assert_int_equal(plain(c, "ftp://127.0.0.1/" SECRET, &a, &err), WM_FATAL);
	wm_http_response_free(&a);
	assert_int_equal(plain(c, "file:///etc/passwd", &a, &err), WM_FATAL);
	wm_http_response_free(&a);
	assert_int_equal(plain(c, "http://a b/" SECRET, &a, &err), WM_FATAL);
	assert_null(strstr(err.text, SECRET));
	wm_http_response_free(&a);
	wm_http_destroy(c);
}

struct canceller {
	atomic_bool	cancel;
	int		asked;		/* requests before the one that hangs */
};

static void *
cancel_soon(void *arg)
{
	struct canceller *k = arg;

	while (atomic_load(&server.requests) == k->asked)
		usleep(1000);
	atomic_store(&k->cancel, true);
	return NULL;
}

static void
a_stop_ends_a_request(void **state)
{
	struct canceller k = { .asked = atomic_load(&server.requests) };
	struct wm_http *c = client(&k.cancel);
	wm_usec began = wm_clock_mono();
	struct wm_http_response a;
	struct wm_error err;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &k), 0);
	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/hang" }, &a, &err), WM_RETRY);
	assert_string_equal(err.code, WM_HTTP_CANCELLED);
	assert_true(wm_clock_mono() - began < 5 * WM_SEC);
	pthread_join(thread, NULL);
	wm_http_response_free(&a);
	wm_http_destroy(c);
}

static void *
cancel_while_resolving(void *arg)
{
	while (atomic_load(&resolving) == 0)
		usleep(1000);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

static void
a_resolver_that_hangs_is_not_waited_for(void **state)
{
	atomic_bool cancel = false;
	struct wm_http *c = client(&cancel);
	wm_usec began = wm_clock_mono();
	struct wm_http_request r = { .method = "GET", .url = "http://" HANGING "/", .max_response = 1000,
		.timeout = 300 * WM_MSEC };
	struct wm_http_response a;
	struct wm_error err;
	pthread_t thread;

	(void)state;
	assert_int_equal(wm_http_send(c, &r, &a, &err), WM_RETRY);
	assert_string_equal(err.code, "curl:28");
	assert_false(a.maybe_sent);
	wm_http_response_free(&a);
	sem_post(&go_on);
	while (atomic_load(&resolving) > 0)
		usleep(1000);
	assert_int_equal(pthread_create(&thread, NULL, cancel_while_resolving, &cancel), 0);
	r.timeout = 0;
	r.connect_timeout = 60 * WM_SEC;
	assert_int_equal(wm_http_send(c, &r, &a, &err), WM_RETRY);
	assert_string_equal(err.code, WM_HTTP_CANCELLED);
	wm_http_response_free(&a);
	pthread_join(thread, NULL);
	wm_http_destroy(c);
	assert_true(wm_clock_mono() - began < 10 * WM_SEC);
	sem_post(&go_on);
	while (atomic_load(&resolving) > 0)
		usleep(1000);
}

static void
reach(void **state)
{
	WM_AUTO(wm_freep) char *url = wm_asprintf("http://127.0.0.1:%d/" SECRET, server.port);
	struct wm_http *c = client(NULL);
	int before = atomic_load(&server.requests);
	struct wm_http_response a;
	struct wm_error err;

	(void)state;
	assert_int_equal(wm_http_reach(c, url, 5 * WM_SEC, &err), WM_OK);
	assert_int_equal(wm_http_reach(c, "http://127.0.0.1:1/" SECRET, 5 * WM_SEC, &err), WM_RETRY);
	assert_null(strstr(err.text, SECRET));
	assert_int_equal(wm_http_reach(c, "smtp://127.0.0.1/", 5 * WM_SEC, &err), WM_FATAL);
	assert_int_equal(atomic_load(&server.requests), before);
	wm_http_destroy(c);
	c = client(NULL);
	assert_int_equal(ask(c, (struct wm_http_request){ .url = "/echo" }, &a, &err), WM_OK);
	wm_http_response_free(&a);
	wm_http_destroy(c);
}

static void
addresses(void **state)
{
	WM_AUTO(wm_freep) char *a = wm_http_origin("https://u:p@hooks.example.com:8443/services/" SECRET "?x");
	WM_AUTO(wm_freep) char *b = wm_http_origin("https://hooks.example.com/a");
	WM_AUTO(free_bufp) struct wm_buf form;

	(void)state;
	assert_string_equal(a, "https://hooks.example.com:8443");
	assert_string_equal(b, "https://hooks.example.com");
	assert_null(wm_http_origin("no address"));
	wm_buf_init(&form, 1000);
	wm_http_add_form(&form, "grant type", "a&b=c");
	wm_http_add_form(&form, "n", "");
	assert_string_equal(form.data, "grant%20type=a%26b%3Dc&n=");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent),
		cmocka_unit_test(parts),
		cmocka_unit_test(a_connection_is_used_again),
		cmocka_unit_test(refusals),
		cmocka_unit_test(failures),
		cmocka_unit_test(nothing_there),
		cmocka_unit_test(a_stop_ends_a_request),
		cmocka_unit_test(a_resolver_that_hangs_is_not_waited_for),
		cmocka_unit_test(reach),
		cmocka_unit_test(addresses),
	};

	/* Whatever proxy the environment has is not for this host. */
	setenv("no_proxy", "*", 1);
	sem_init(&go_on, 0, 0);
	return cmocka_run_group_tests(tests, start, stop);
}
