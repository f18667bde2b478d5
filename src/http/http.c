/* SPDX-License-Identifier: PostgreSQL */
/*
 * http.c - one HTTP request and its answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"
#include "walmill/strutil.h"

#define RETRY_AFTER_MAX (366 * 86400)	/* seconds */

static void
mime_freep(curl_mime **mime)
{
	curl_mime_free(*mime);
}

static void
url_cleanupp(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void
curl_freep(char **s)
{
	curl_free(*s);
}

char *
wm_http_origin(const char *url)
{
	WM_AUTO(url_cleanupp) CURLU *u = curl_url();
	WM_AUTO(curl_freep) char *scheme = NULL;
	WM_AUTO(curl_freep) char *host = NULL;
	WM_AUTO(curl_freep) char *port = NULL;

	if (u == NULL || curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return NULL;
	if (curl_url_get(u, CURLUPART_PORT, &port, 0) != CURLUE_OK)
		return wm_asprintf("%s://%s", scheme, host);
	return wm_asprintf("%s://%s:%s", scheme, host, port);
}

void
wm_http_add_form(struct wm_buf *form, const char *name, const char *value)
{
	WM_AUTO(curl_freep) char *n = curl_easy_escape(NULL, name, 0);
	WM_AUTO(curl_freep) char *v = curl_easy_escape(NULL, value, 0);

	if (n == NULL || v == NULL)
		form->failed = true;
	else
		wm_buf_addf(form, "%s%s=%s", form->len > 0 ? "&" : "", n, v);
}

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
	struct wm_buf *b = arg;

	wm_buf_add(b, data, size * n);
	return b->failed ? 0 : size * n;
}

/* ---- what is sent ---- */

struct cursor {			/* in a part: curl reads it without a copy of its own */
	const struct wm_http_part	*part;
	size_t				 at;
};

static size_t
read_part(char *buf, size_t size, size_t n, void *arg)
{
	struct cursor *c = arg;
	size_t room = size * n, left = c->part->len - c->at, take = left < room ? left : room;

	if (take > 0)
		memcpy(buf, (const char *)c->part->data + c->at, take);
	c->at += take;
	return take;
}

static int
seek_part(void *arg, curl_off_t offset, int origin)
{
	struct cursor *c = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > c->part->len)
		return CURL_SEEKFUNC_CANTSEEK;
	c->at = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static bool
add_part(curl_mime *mime, const struct wm_http_part *part, struct cursor *cursor)
{
	curl_mimepart *p = curl_mime_addpart(mime);

	cursor->part = part;
	return p != NULL && curl_mime_name(p, part->name) == CURLE_OK &&
	    (part->filename == NULL || curl_mime_filename(p, part->filename) == CURLE_OK) &&
	    (part->type == NULL || curl_mime_type(p, part->type) == CURLE_OK) &&
	    curl_mime_data_cb(p, (curl_off_t)part->len, read_part, seek_part, NULL, cursor) == CURLE_OK;
}

static bool
set_parts(struct wm_http *c, const struct wm_http_request *r, struct cursor *cursors, curl_mime **ret)
{
	curl_mime *mime = *ret = curl_mime_init(c->easy);

	for (size_t i = 0; i < r->nparts; i++)
		if (mime == NULL || !add_part(mime, &r->parts[i], &cursors[i]))
			return false;
	curl_easy_setopt(c->easy, CURLOPT_MIMEPOST, mime);
	return true;
}

static bool
set_headers(struct wm_http *c, const struct wm_http_request *r, struct curl_slist **ret)
{
	WM_AUTO(wm_freep) char *type = NULL;
	bool good = transfer_add_line(ret, "Expect:");	/* many servers never answer it, and curl would wait a second */

	if (r->nparts == 0 && r->len > 0) {
		type = wm_asprintf("Content-Type: %s", r->type == NULL ? "application/octet-stream" : r->type);
		good = good && type != NULL && transfer_add_line(ret, type);
	}
	for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++)
		good = good && transfer_add_line(ret, r->headers[i]);
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, *ret);
	return good;
}

static void
set_method(struct wm_http *c, const struct wm_http_request *r)
{
	if (strcmp(r->method, "HEAD") == 0) {
		curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (r->nparts == 0 && (r->len > 0 || strcmp(r->method, "GET") != 0)) {
		curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
		curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, r->len > 0 ? r->body : "");
	}
	curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, r->method);
}

static void
set_limits(struct wm_http *c, const struct wm_http_request *r)
{
	if (r->low_speed > 0) {
		curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_LIMIT, (long)r->low_speed);
		curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_TIME,
		    (long)((r->low_speed_time + WM_SEC - 1) / WM_SEC));
	}
	if (r->once)
		curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(c->easy, CURLOPT_USERAGENT, "walmill/" PACKAGE_VERSION);
}

/* ---- requests ---- */

static enum wm_status
bad_url(struct wm_error *err)
{
	/* Not even shown: what is no address may well be a secret that was put there. */
	return wm_fail(err, WM_FATAL, "the address is no http:// or https:// URL");
}

static bool
is_http(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

static enum wm_status
read_answer(struct wm_http *c, const char *what, struct wm_http_response *ret, struct wm_error *err)
{
	long code = 0;
	curl_off_t seconds = 0;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &seconds);
	if (seconds > RETRY_AFTER_MAX)
		seconds = RETRY_AFTER_MAX;
	ret->retry_after = seconds > 0 ? (wm_usec)seconds * WM_SEC : 0;
	/* curl takes any three digits, and with HTTP/2 in the clear fewer. */
	if (code < 100 || code > 599)
		return wm_fail(err, WM_RETRY,
		    "%s failed: the answer has %ld for a status, which HTTP does not know", what,
		    code);
	ret->code = (int)code;
	return WM_OK;
}

enum wm_status
wm_http_send(struct wm_http *c, const struct wm_http_request *r, struct wm_http_response *ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *origin = wm_http_origin(r->url);
	WM_AUTO(wm_freep) char *what = wm_asprintf("%s to %s", r->method, origin == NULL ? "?" : origin);
	WM_AUTO(wm_freep) struct cursor *cursors = calloc(r->nparts + 1, sizeof(*cursors));
	WM_AUTO(mime_freep) curl_mime *mime = NULL;
	WM_AUTO(transfer_free_lines) struct curl_slist *headers = NULL;
	enum wm_status st;

	*ret = (struct wm_http_response){ 0 };
	wm_buf_init(&ret->body, r->max_response);
	if (what == NULL || cursors == NULL)
		return wm_oom(err, "an HTTP request");
	if (origin == NULL || !is_http(r->url))
		return bad_url(err);
	transfer_begin(c, r->url, "http,https", r->timeout, r->connect_timeout);
	curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, &ret->body);
	set_limits(c, r);
	if (!set_headers(c, r, &headers) || (r->nparts > 0 && !set_parts(c, r, cursors, &mime)))
		return wm_oom(err, "an HTTP request");
	set_method(c, r);
	st = transfer_run(c, what, err);
	ret->maybe_sent = c->sent;
	if (st == WM_OK)
		st = read_answer(c, what, ret, err);
	/* Borrowed things are the caller's again. */
	curl_easy_reset(c->easy);
	return st;
}

void
wm_http_response_free(struct wm_http_response *response)
{
	wm_buf_free(&response->body);
}

enum wm_status
wm_http_judge(const struct wm_http_request *r, const struct wm_http_response *a, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *origin = wm_http_origin(r->url);
	bool later = a->code == 408 || a->code == 425 || a->code == 429 || a->code >= 500;
	char code[24];

	if (a->code >= 200 && a->code <= 299)
		return WM_OK;
	snprintf(code, sizeof(code), "http:%d", a->code);
	(void)wm_fail_code(err, later ? WM_RETRY : WM_REJECT, code, "%s to %s was answered with status %d%s", r->method,
	    origin == NULL ? "?" : origin, a->code,
	    a->code >= 300 && a->code <= 399 ? ", a redirect, which is not followed" : "");
	if (err != NULL && later)
		err->retry_after = a->retry_after;
	return later ? WM_RETRY : WM_REJECT;
}

enum wm_status
wm_http_reach(struct wm_http *c, const char *url, wm_usec timeout, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *origin = wm_http_origin(url);
	WM_AUTO(wm_freep) char *what = wm_asprintf("the connection to %s", origin == NULL ? "?" : origin);

	if (what == NULL)
		return wm_oom(err, "an HTTP request");
	if (origin == NULL || !is_http(url))
		return bad_url(err);
	transfer_begin(c, url, "http,https", timeout, timeout);
	curl_easy_setopt(c->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
	return transfer_run(c, what, err);
}
