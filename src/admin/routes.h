/* SPDX-License-Identifier: PostgreSQL */
/*
 * routes.h - from a request to its answer, without HTTP's transport.
 */
#ifndef WM_ADMIN_ROUTES_H
#define WM_ADMIN_ROUTES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "walmill/buf.h"
#include "walmill/pipeline.h"
#include "walmill/state.h"

struct cJSON;

/* What the routes work on; shared by all threads. */
struct wm_admin_context {
	struct wm_pipeline	*pipeline;
	struct wm_state		*state;
	atomic_int		 waits;		/* under way */
};

struct wm_admin_request {
	const char	*method, *path;
	const char	*body;			/* NUL-terminated */
	size_t		 len;
	const char	*(*query)(void *arg, const char *name);	/* a query parameter, or NULL */
	void		*query_arg;
};

struct wm_admin_answer {
	unsigned	 status;		/* of HTTP */
	const char	*type;			/* Content-Type */
	struct wm_buf	 body;
};

/* Calls that need no key. */
bool wm_admin_route_open(const char *path);
/* Always leaves an answer; the caller frees its body. */
void wm_admin_route(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer);
/* Makes answer the error object of the interface. */
void wm_admin_refuse(struct wm_admin_answer *answer, unsigned status, const char *code, const char *fmt, ...)
    WM_PRINTF(4, 5);

/* The object as the answer's body; NULL: memory was out. */
void wm_admin_answer(struct wm_admin_answer *answer, unsigned status, struct cJSON *object);
/* The body as an object (an empty one when there is none); NULL after an error answer. */
struct cJSON *wm_admin_parse_body(const struct wm_admin_request *request, struct wm_admin_answer *answer);

/* A query parameter that is a number of at least min; false after an error answer. */
bool wm_admin_query_number(const struct wm_admin_request *request, const char *name, int64_t min, int64_t *value,
    struct wm_admin_answer *answer);
/* A query parameter, or NULL when it is missing or empty. */
const char *wm_admin_query_word(const struct wm_admin_request *request, const char *name);

typedef void wm_admin_handler(struct wm_admin_context *context, const struct wm_admin_request *request,
    struct wm_admin_answer *answer);
wm_admin_handler wm_admin_get_letters, wm_admin_get_letter, wm_admin_retry_letters, wm_admin_drop_letters,
    wm_admin_get_receipts, wm_admin_post_row;

#endif
