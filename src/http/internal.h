/* SPDX-License-Identifier: PostgreSQL */
/*
 * internal.h - a client, and one transfer of it.
 */
#ifndef WM_HTTP_INTERNAL_H
#define WM_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "walmill/http.h"

struct wm_http {
	CURLM			*multi;		/* keeps the connections */
	CURL			*easy;
	const atomic_bool	*cancel;	/* or NULL */
	char			*ca_file;	/* or NULL */
	char			 said[CURL_ERROR_SIZE];	/* by curl, of the transfer under way */
	bool			 sent;		/* something of the request may have gone out */
};

/* As new, but for its connections: TLS, time limits and error texts as every transfer has them. */
void transfer_begin(struct wm_http *c, const char *url, const char *protocols, wm_usec timeout,
    wm_usec connect_timeout);
/* For WM_AUTO; and a line more, false when memory is out. */
void transfer_free_lines(struct curl_slist **list);
bool transfer_add_line(struct curl_slist **list, const char *line);
/* Until it is over; what: "POST to https://host". */
enum wm_status transfer_run(struct wm_http *c, const char *what, struct wm_error *err);

#endif
