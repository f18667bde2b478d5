/* SPDX-License-Identifier: PostgreSQL */
/*
 * http.h - the one client of HTTP servers, over libcurl: alerts, and targets behind an HTTP API.
 *
 * A client keeps its connections from one request to the next.  It is used by one thread at a time.  Only http and
 * https are spoken, certificates are verified, and redirects are not followed: they come back as an answer.  Errors
 * name scheme, host and port and nothing else of the address, because path and query often hold a secret.
 */
#ifndef WM_HTTP_H
#define WM_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/buf.h"
#include "walmill/clock.h"
#include "walmill/error.h"

struct wm_http;

struct wm_http_options {
	const atomic_bool	*cancel;	/* borrowed: a request ends within a moment once it is true; NULL: none */
	const char		*ca_file;	/* PEM certificates to trust in place of the system's, borrowed; NULL: the system's */
};

enum wm_status wm_http_create(const struct wm_http_options *options, struct wm_http **ret, struct wm_error *err)
    WM_MUST_CHECK;
void wm_http_destroy(struct wm_http *c);	/* NULL is a no-op */

struct wm_http_part {			/* of a multipart/form-data body; all borrowed */
	const char	*name;
	const char	*filename;	/* NULL: a plain field */
	const char	*type;		/* media type; NULL: curl's choice */
	const void	*data;
	size_t		 len;
};

struct wm_http_request {		/* all borrowed */
	const char			*method, *url;
	const char *const		*headers;	/* "Name: value", NULL-terminated; NULL: none */
	const char			*type;		/* media type of the body */
	const void			*body;
	size_t				 len;
	const struct wm_http_part	*parts;		/* in place of a body */
	size_t				 nparts;
	wm_usec				 timeout;	/* of the whole; 0: none */
	wm_usec				 connect_timeout;	/* 0: a few seconds */
	uint64_t			 low_speed;	/* bytes a second; slower for low_speed_time is a failure; 0: none */
	wm_usec				 low_speed_time;
	size_t				 max_response;	/* bytes of the answer's body; more is a failure */
	bool				 once;		/* never sent twice: curl repeats what a kept connection has swallowed */
};

struct wm_http_response {
	int		 code;			/* HTTP status; 0: there was no answer */
	struct wm_buf	 body;
	wm_usec		 retry_after;		/* as the server asks; 0: it did not */
	bool		 maybe_sent;		/* the request may have reached the server, whatever came of it */
};

/* err.code of a request that the cancel flag ended. */
#define WM_HTTP_CANCELLED "cancelled"

/*
 * One request.  WM_OK: there is an answer, with whatever HTTP status.  WM_RETRY: there is none (code "curl:28", ... or
 * WM_HTTP_CANCELLED); WM_FATAL: the request cannot be made at all.  *ret is filled in either case and is freed by
 * wm_http_response_free.
 */
enum wm_status wm_http_send(struct wm_http *c, const struct wm_http_request *request, struct wm_http_response *ret,
    struct wm_error *err) WM_MUST_CHECK;
void wm_http_response_free(struct wm_http_response *response);
/*
 * What an answer's HTTP status means where the server says nothing better: WM_OK for 2xx, WM_RETRY (with retry_after)
 * for 408, 425, 429 and 5xx, else WM_REJECT; code "http:429", ...
 */
enum wm_status wm_http_judge(const struct wm_http_request *request, const struct wm_http_response *response,
    struct wm_error *err) WM_MUST_CHECK;
/* Connects, TLS included, and sends nothing. */
enum wm_status wm_http_reach(struct wm_http *c, const char *url, wm_usec timeout, struct wm_error *err) WM_MUST_CHECK;

/* "https://host:port" of an address, which may be shown; malloc'd, NULL when it is none. */
char *wm_http_origin(const char *url);
/* Adds "name=value", encoded, and "&" before it unless the form is empty. */
void wm_http_add_form(struct wm_buf *form, const char *name, const char *value);

#endif
