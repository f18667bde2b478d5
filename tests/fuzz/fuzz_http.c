/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_http.c - fuzz target of the admin server: what somebody sends to one of its sockets, byte by
 * byte, in front of a pipeline that takes every call.  An input that names the key goes to the TCP
 * listener, any other to the control socket.
 *
 * Besides not crashing: what comes back is HTTP or nothing, and nobody without the key learns
 * more over TCP than whether the daemon lives.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "walmill/admin.h"
#include "walmill/strutil.h"

#define KEY "k3y"
#define SECRET "uptime"		/* in every status and all metrics, elsewhere only as an echo */

/* ---- the pipeline, as the server sees it ---- */

enum wm_phase
wm_pipeline_phase(struct wm_pipeline *p, struct wm_error *err)
{
	(void)p, (void)err;
	return WM_PHASE_RUNNING;
}

bool
wm_pipeline_alive(struct wm_pipeline *p)
{
	(void)p;
	return true;
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
	return strlen(rule) % 2 == 0 ? WM_OK : wm_fail(err, WM_REJECT, "there is no rule \"%s\"", rule);
}

enum wm_status
wm_pipeline_resume(struct wm_pipeline *p, const char *rule, struct wm_error *err)
{
	return wm_pipeline_pause(p, rule, err);
}

enum wm_status
wm_pipeline_retry(struct wm_pipeline *p, struct wm_retry *retry, struct wm_error *err)
{
	(void)p, (void)err;
	retry->processed = retry->ids != NULL ? retry->nids : 1;
	retry->end = true;
	return WM_OK;
}

enum wm_status
wm_pipeline_row(struct wm_pipeline *p, const char *rule, struct wm_row_call *call, struct wm_error *err)
{
	(void)p;
	(void)rule;
	(void)call;
	return wm_fail(err, WM_REJECT, "there is no such rule");
}

bool
wm_pipeline_callback(struct wm_pipeline *p, const char *token)
{
	(void)p;
	return strcmp(token, "expected") == 0;
}

enum wm_status
wm_pipeline_wait(struct wm_pipeline *p, wm_lsn lsn, wm_usec timeout, struct wm_error *err)
{
	(void)p;
	require(timeout >= 0);
	return lsn % 2 == 0 ? WM_OK : wm_fail(err, WM_RETRY, "target warehouse is 5 bytes behind");
}

/* ---- the server, once ---- */

static struct {
	struct wm_admin		*admin;
	struct wm_state		*state;
	char			 folder[40], socket[60];
	struct sockaddr_in	 tcp;
} server;

static void
stop(void)
{
	WM_AUTO(wm_freep) char *command = wm_asprintf("rm -rf '%s'", server.folder);

	wm_admin_stop(server.admin);
	wm_state_close(server.state);
	require(command != NULL && system(command) == 0);
}

static void
start(void)
{
	struct wm_admin_options options = { .socket = server.socket, .secret_key = KEY };
	socklen_t len = sizeof(server.tcp);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char listen[32];
	struct wm_error err;

	snprintf(server.folder, sizeof(server.folder), "/tmp/walmill-fuzz-http.XXXXXX");
	require(mkdtemp(server.folder) != NULL);
	snprintf(server.socket, sizeof(server.socket), "%s/s", server.folder);
	/* A port that is free now. */
	server.tcp.sin_family = AF_INET;
	server.tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	require(bind(fd, (struct sockaddr *)&server.tcp, len) == 0);
	require(getsockname(fd, (struct sockaddr *)&server.tcp, &len) == 0);
	close(fd);
	snprintf(listen, sizeof(listen), "127.0.0.1:%d", ntohs(server.tcp.sin_port));
	require(wm_state_open(server.folder, &server.state, &err) == WM_OK);
	options.listen = listen;
	options.state = server.state;
	require(wm_admin_start(&options, &server.admin, &err) == WM_OK);
	atexit(stop);
}

/* -1: libFuzzer's clock came in between. */
static int
dial(bool over_tcp)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	/* A port that was used rests for a minute: each connection comes from another address of the loopback net. */
	static uint32_t from = INADDR_LOOPBACK;
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(over_tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0), rc;

	if (over_tcp) {
		from = from % (1U << 16) == 0 ? INADDR_LOOPBACK : from + 1;
		in.sin_addr.s_addr = htonl(from);
		require(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
		rc = connect(fd, (struct sockaddr *)&server.tcp, sizeof(server.tcp));
	} else {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", server.socket);
		rc = connect(fd, (struct sockaddr *)&un, sizeof(un));
	}
	if (rc == 0)
		return fd;
	perror("fuzz_http: connect");
	require(errno == EINTR);
	close(fd);
	return -1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool has_key = memmem(data, size, KEY, sizeof(KEY) - 1) != NULL;
	bool may_see = has_key || memmem(data, size, SECRET, sizeof(SECRET) - 1) != NULL;
	bool over_tcp = has_key || memmem(data, size, "Key", 3) != NULL;
	char reply[8192];
	size_t len = 0;
	ssize_t n;
	int fd;

	if (size > 16384)
		return 0;
	if (server.admin == NULL)
		start();
	fd = dial(over_tcp);
	if (fd < 0)
		return 0;
	/* Cut short when the server has answered and closed. */
	for (size_t sent = 0; sent < size && (n = send(fd, data + sent, size - sent, MSG_NOSIGNAL)) > 0;)
		sent += (size_t)n;
	shutdown(fd, SHUT_WR);
	while (len < sizeof(reply) && (n = recv(fd, reply + len, sizeof(reply) - len, 0)) > 0)
		len += (size_t)n;
	close(fd);
	require(len < 5 || memcmp(reply, "HTTP/", 5) == 0);
	require(!over_tcp || may_see || memmem(reply, len, SECRET, sizeof(SECRET) - 1) == NULL);
	return 0;
}
