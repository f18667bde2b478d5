/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_answer.c - fuzz target of the HTTP client: a server on this machine gives the input as its answer, and closes.
 *
 * Besides not crashing: what is taken for an answer has a status and a body within its bound, what is not says why, and
 * neither names what a path may hold as a secret.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "walmill/http.h"

#define MAX_RESPONSE 4096

static int listener = -1;
static unsigned port;

static void
listen_once(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	if (listener >= 0)
		return;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(listener >= 0 && bind(listener, (struct sockaddr *)&at, len) == 0 && listen(listener, 10) == 0 &&
	    getsockname(listener, (struct sockaddr *)&at, &len) == 0);
	port = ntohs(at.sin_port);
}

struct answer {
	const uint8_t	*data;
	size_t		 size;
};

/* One connection: the request is read to its empty line, then comes the answer. */
static void *
serve(void *arg)
{
	const struct answer *a = arg;
	int fd = accept(listener, NULL, NULL);
	char request[4096];
	size_t have = 0;
	ssize_t n;

	require(fd >= 0);
	while (have < sizeof(request) - 1 && (n = recv(fd, request + have, sizeof(request) - 1 - have, 0)) > 0) {
		have += (size_t)n;
		request[have] = '\0';
		if (strstr(request, "\r\n\r\nping") != NULL)
			break;
	}
	/* The client may be gone before the end. */
	for (size_t sent = 0; sent < a->size; sent += (size_t)n) {
		n = send(fd, a->data + sent, a->size - sent, MSG_NOSIGNAL);
		if (n <= 0)
			break;
	}
	(void)shutdown(fd, SHUT_WR);
	while (recv(fd, request, sizeof(request), 0) > 0)
		;
	close(fd);
	return NULL;
}

static void
check(enum wm_status st, const struct wm_http_request *request, const struct wm_http_response *response,
    struct wm_error *err)
{
	if (st == WM_OK) {
		require(response->code >= 100 && response->code <= 599 && response->body.len <= MAX_RESPONSE);
		st = wm_http_judge(request, response, err);
		require((st == WM_OK) == (response->code >= 200 && response->code < 300));
	}
	require(response->maybe_sent && response->retry_after >= 0);
	require(st == WM_OK || (err->text[0] != '\0' && strstr(err->text, "secret") == NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wm_http_options options = { .cancel = NULL };
	struct answer answer = { .data = data, .size = size };
	struct wm_http_request request = { .method = "POST", .type = "text/plain", .body = "ping", .len = 4,
		.timeout = 5 * WM_SEC, .max_response = MAX_RESPONSE };
	struct wm_http_response response;
	struct wm_http *client = NULL;
	struct wm_error err = { 0 };
	char url[100];
	pthread_t server;

	listen_once();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/secret?key=secret", port);
	request.url = url;
	require(wm_http_create(&options, &client, &err) == WM_OK);
	require(pthread_create(&server, NULL, serve, &answer) == 0);
	check(wm_http_send(client, &request, &response, &err), &request, &response, &err);
	wm_http_response_free(&response);
	wm_http_destroy(client);
	pthread_join(server, NULL);
	return 0;
}
