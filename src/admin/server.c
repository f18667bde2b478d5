/* SPDX-License-Identifier: PostgreSQL */
/*
 * server.c - libmicrohttpd around the routes: connections, keys, bodies, time-outs.
 *
 * One MHD daemon a listener, a thread a connection (bounded).  The threads share the context
 * of routes.h and nothing else.
 */
#include <errno.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "listen.h"
#include "routes.h"
#include "walmill/admin.h"
#include "walmill/log.h"
#include "walmill/strutil.h"

#define BODY_MAX ((size_t)64 * 1024)
#define ANSWER_MAX ((size_t)64 * 1024 * 1024)
#define CONNECTIONS_MAX 64u
#define IDLE_TIMEOUT_S 30u
#define MEMORY_A_CONNECTION ((size_t)32 * 1024)

struct listener {
	struct wm_admin		*admin;
	struct MHD_Daemon	*daemon;	/* NULL: not running */
	bool			 needs_key;
};

struct wm_admin {
	struct wm_admin_context	 context;
	struct listener		 local, tcp;
	char			*socket;	/* path to remove at the end, or NULL */
	unsigned char		 key_hash[SHA256_DIGEST_LENGTH];
};

struct call {
	struct wm_buf	 body;
	bool		 done;			/* an answer was queued before the body came */
};

/* ---- keys ---- */

static const char *
sent_key(struct MHD_Connection *connection)
{
	static const char bearer[] = "Bearer ";
	const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);

	if (header != NULL && strncasecmp(header, bearer, sizeof(bearer) - 1) == 0)
		return header + sizeof(bearer) - 1 + strspn(header + sizeof(bearer) - 1, " ");
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Walmill-Key");
}

/* Hashes are compared, so that neither length nor content of the key shows in the time taken. */
static bool
may_call(const struct listener *listener, struct MHD_Connection *connection, const char *url)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	const char *key;

	if (!listener->needs_key || wm_admin_route_open(url))
		return true;
	key = sent_key(connection);
	if (key == NULL)
		return false;
	SHA256((const unsigned char *)key, strlen(key), hash);
	return CRYPTO_memcmp(hash, listener->admin->key_hash, sizeof(hash)) == 0;
}

/* ---- answers ---- */

/* Takes the answer's body over. */
static enum MHD_Result
send_answer(struct MHD_Connection *connection, struct wm_admin_answer *answer)
{
	size_t len = answer->body.len;
	char *text = wm_buf_steal(&answer->body);
	struct MHD_Response *response;
	enum MHD_Result result;

	if (text == NULL)
		return MHD_NO;
	response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (answer->status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"walmill\"");
	result = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
send_refusal(struct MHD_Connection *connection, unsigned status, const char *code, const char *message)
{
	struct wm_admin_answer answer = { 0 };

	wm_buf_init(&answer.body, ANSWER_MAX);
	wm_admin_refuse(&answer, status, code, "%s", message);
	return send_answer(connection, &answer);
}

static enum MHD_Result
send_too_large(struct MHD_Connection *connection)
{
	return send_refusal(connection, MHD_HTTP_CONTENT_TOO_LARGE, "too_large", "the body is larger than 64 KiB");
}

/* ---- one call ---- */

static const char *
query(void *arg, const char *name)
{
	return MHD_lookup_connection_value(arg, MHD_GET_ARGUMENT_KIND, name);
}

/* Headers are here, the body is not: what can be refused is refused now. */
static enum MHD_Result
begin(const struct listener *listener, struct MHD_Connection *connection, const char *url, void **slot)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	struct call *call = calloc(1, sizeof(*call));
	uint64_t n;

	if (call == NULL)
		return MHD_NO;
	wm_buf_init(&call->body, BODY_MAX);
	*slot = call;
	if (!may_call(listener, connection, url)) {
		call->done = true;
		return send_refusal(connection, MHD_HTTP_UNAUTHORIZED, "unauthorized",
		    "the key is missing or wrong: send \"Authorization: Bearer KEY\" with admin's secret_key");
	}
	if (length != NULL && (!wm_parse_u64(length, &n) || n > BODY_MAX)) {
		call->done = true;
		return send_too_large(connection);
	}
	return MHD_YES;
}

static enum MHD_Result
finish(const struct listener *listener, struct MHD_Connection *connection, const char *url, const char *method,
    struct call *call)
{
	struct wm_admin_request request = {
		.method = method, .path = url, .body = call->body.data, .len = call->body.len, .query = query,
		.query_arg = connection,
	};
	struct wm_admin_answer answer = { 0 };

	if (call->body.failed)
		return send_too_large(connection);
	wm_buf_init(&answer.body, ANSWER_MAX);
	wm_admin_route(&listener->admin->context, &request, &answer);
	return send_answer(connection, &answer);
}

/* MHD calls this when the headers are there, for each part of the body, and at its end. */
static enum MHD_Result
on_call(void *arg, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
    const char *data, size_t *size, void **slot)
{
	const struct listener *listener = arg;
	struct call *call = *slot;

	(void)version;
	if (call == NULL)
		return begin(listener, connection, url, slot);
	if (*size > 0) {
		/* A body without a length that is too large is read to its end, but not kept. */
		wm_buf_add(&call->body, data, *size);
		*size = 0;
		return MHD_YES;
	}
	return call->done ? MHD_YES : finish(listener, connection, url, method, call);
}

static void
on_end(void *arg, struct MHD_Connection *connection, void **slot, enum MHD_RequestTerminationCode code)
{
	struct call *call = *slot;

	(void)arg, (void)connection, (void)code;
	if (call == NULL)
		return;
	wm_buf_free(&call->body);
	free(call);
	*slot = NULL;
}

static void WM_PRINTF(2, 0)
on_log(void *arg, const char *fmt, va_list ap)
{
	char text[512];

	(void)arg;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\r\n")] = '\0';
	wm_log(WM_LOG_DEBUG, "admin_http", "%s", text);
}

/* ---- start and stop ---- */

/* Takes fd over. */
static enum wm_status
serve(struct listener *listener, int fd, const char *where, struct wm_error *err)
{
	const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
	    MHD_USE_ITC | MHD_USE_ERROR_LOG;
	sigset_t all, before;

	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	listener->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_call, listener,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
	    MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_A_CONNECTION,
	    MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (listener->daemon == NULL) {
		close(fd);
		return wm_fail(err, WM_FATAL, "could not start the server for %s: %s", where, strerror(errno));
	}
	return WM_OK;
}

static enum wm_status
start_local(struct wm_admin *a, const char *path, struct wm_error *err)
{
	enum wm_status status;
	int fd;

	if ((status = wm_admin_listen_unix(path, &fd, err)) != WM_OK)
		return status;
	if ((a->socket = strdup(path)) == NULL) {
		close(fd);
		return wm_oom(err, "the control socket's name");
	}
	return serve(&a->local, fd, path, err);
}

static enum wm_status
start_tcp(struct wm_admin *a, const char *address, const char *key, struct wm_error *err)
{
	enum wm_status status;
	int fd;

	if (key == NULL || key[0] == '\0')
		return wm_fail(err, WM_FATAL, "admin: listen is set to \"%s\" without a secret_key", address);
	SHA256((const unsigned char *)key, strlen(key), a->key_hash);
	a->tcp.needs_key = true;
	if ((status = wm_admin_listen_tcp(address, &fd, err)) != WM_OK)
		return status;
	return serve(&a->tcp, fd, address, err);
}

enum wm_status
wm_admin_start(const struct wm_admin_options *options, struct wm_admin **ret, struct wm_error *err)
{
	struct wm_admin *a = calloc(1, sizeof(*a));
	enum wm_status status = WM_OK;

	if (a == NULL)
		return wm_oom(err, "the admin server");
	a->context.pipeline = options->pipeline;
	a->context.state = options->state;
	a->local.admin = a->tcp.admin = a;
	if (options->socket != NULL)
		status = start_local(a, options->socket, err);
	if (status == WM_OK && options->listen != NULL)
		status = start_tcp(a, options->listen, options->secret_key, err);
	if (status != WM_OK) {
		wm_admin_stop(a);
		return status;
	}
	*ret = a;
	return WM_OK;
}

void
wm_admin_stop(struct wm_admin *a)
{
	if (a == NULL)
		return;
	if (a->socket != NULL)
		(void)unlink(a->socket);	/* no new callers while the old ones are answered */
	if (a->local.daemon != NULL)
		MHD_stop_daemon(a->local.daemon);
	if (a->tcp.daemon != NULL)
		MHD_stop_daemon(a->tcp.daemon);
	free(a->socket);
	OPENSSL_cleanse(a->key_hash, sizeof(a->key_hash));
	free(a);
}
