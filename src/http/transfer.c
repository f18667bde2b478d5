/* SPDX-License-Identifier: PostgreSQL */
/*
 * transfer.c - the client, and one transfer of it from start to end.
 *
 * The multi interface only so that a stop is noticed at once: curl's own loop looks up once a second.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define LOOK_EVERY_MS 100
#define CONNECT_TIMEOUT (10 * WM_SEC)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void
initialise(void)
{
	global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum wm_status
wm_http_create(const struct wm_http_options *options, struct wm_http **ret, struct wm_error *err)
{
	struct wm_http *c = calloc(1, sizeof(*c));

	pthread_once(&once, initialise);
	if (c == NULL)
		return wm_oom(err, "an HTTP client");
	c->cancel = options->cancel;
	c->multi = global == CURLE_OK ? curl_multi_init() : NULL;
	c->easy = global == CURLE_OK ? curl_easy_init() : NULL;
	c->ca_file = options->ca_file == NULL ? NULL : strdup(options->ca_file);
	if (c->multi == NULL || c->easy == NULL || (options->ca_file != NULL && c->ca_file == NULL)) {
		wm_http_destroy(c);
		return wm_oom(err, "an HTTP client");
	}
	*ret = c;
	return WM_OK;
}

void
wm_http_destroy(struct wm_http *c)
{
	if (c == NULL)
		return;
	curl_easy_cleanup(c->easy);
	curl_multi_cleanup(c->multi);
	free(c->ca_file);
	free(c);
}

void
transfer_free_lines(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

bool
transfer_add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer != NULL)
		*list = longer;
	return longer != NULL;
}

/* Called when the connection stands, before the first byte of the request. */
static int
on_connected(void *arg, char *primary_ip, char *local_ip, int primary_port, int local_port)
{
	struct wm_http *c = arg;

	(void)primary_ip, (void)local_ip, (void)primary_port, (void)local_port;
	c->sent = true;
	return CURL_PREREQFUNC_OK;
}

void
transfer_begin(struct wm_http *c, const char *url, const char *protocols, wm_usec timeout, wm_usec connect_timeout)
{
	CURL *e = c->easy;

	curl_easy_reset(e);
	c->said[0] = '\0';
	c->sent = false;
	curl_easy_setopt(e, CURLOPT_URL, url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, protocols);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* A resolver that hangs is left to itself. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->said);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	if (c->ca_file != NULL) {
		curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	}
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)((connect_timeout > 0 ? connect_timeout : CONNECT_TIMEOUT) / WM_MSEC));
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(timeout / WM_MSEC));
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, c);
}

static bool
cancelled(const struct wm_http *c)
{
	return c->cancel != NULL && atomic_load(c->cancel);
}

/* The result of the one transfer, when it is over. */
static bool
finished(struct wm_http *c, CURLcode *ret)
{
	int left;
	const CURLMsg *m = curl_multi_info_read(c->multi, &left);

	if (m == NULL || m->msg != CURLMSG_DONE)
		return false;
	*ret = m->data.result;
	return true;
}

static CURLcode
drive(struct wm_http *c)
{
	CURLcode rc = CURLE_OK;
	CURLMcode mc = CURLM_OK;

	for (;;) {
		int running;

		if (cancelled(c))
			return CURLE_ABORTED_BY_CALLBACK;
		mc = curl_multi_perform(c->multi, &running);
		if (mc == CURLM_OK && finished(c, &rc))
			return rc;
		if (mc == CURLM_OK)
			mc = curl_multi_poll(c->multi, NULL, 0, LOOK_EVERY_MS, NULL);
		if (mc != CURLM_OK)
			return mc == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT;
	}
}

static enum wm_status
failed(const struct wm_http *c, CURLcode rc, const char *what, struct wm_error *err)
{
	char code[24];

	snprintf(code, sizeof(code), "curl:%d", (int)rc);
	switch (rc) {
	case CURLE_OUT_OF_MEMORY:
		return wm_oom(err, what);
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_FAILED_INIT:
		return wm_fail_code(err, WM_FATAL, code, "%s failed: %s", what, curl_easy_strerror(rc));
	case CURLE_ABORTED_BY_CALLBACK:
		return wm_fail_code(err, WM_RETRY, WM_HTTP_CANCELLED, "%s was broken off: walmill is stopping", what);
	case CURLE_WRITE_ERROR:
		return wm_fail_code(err, WM_RETRY, code, "%s failed: the answer is larger than it may be", what);
	default:
		return wm_fail_code(err, WM_RETRY, code, "%s failed: %s", what,
		    c->said[0] != '\0' ? c->said : curl_easy_strerror(rc));
	}
}

enum wm_status
transfer_run(struct wm_http *c, const char *what, struct wm_error *err)
{
	CURLcode rc;

	if (curl_multi_add_handle(c->multi, c->easy) != CURLM_OK)
		return wm_oom(err, what);
	rc = drive(c);
	curl_multi_remove_handle(c->multi, c->easy);
	return rc == CURLE_OK ? WM_OK : failed(c, rc, what, err);
}
