/* SPDX-License-Identifier: PostgreSQL */
/*
 * admin.h - the control socket and the HTTP API of a running daemon, and calls to them.
 *
 * The server answers from the pipeline's snapshots and asks it for things; it is never on the
 * data path.  Every connection has a thread of its own, so that a wait holds up nobody.
 */
#ifndef WM_ADMIN_H
#define WM_ADMIN_H

#include <stdbool.h>

#include "walmill/buf.h"
#include "walmill/clock.h"
#include "walmill/error.h"
#include "walmill/pipeline.h"
#include "walmill/receipts.h"
#include "walmill/state.h"

struct cJSON;

/* ---- server ---- */

struct wm_admin;

struct wm_admin_options {
	const char		*socket;	/* path of the control socket; NULL: none */
	const char		*listen;	/* host:port; NULL: no TCP */
	const char		*secret_key;	/* needed with listen */
	struct wm_pipeline	*pipeline;	/* outlives the server */
	struct wm_state		*state;		/* outlives the server */
};

/*
 * Listens and answers from here on.  WM_FATAL when another daemon answers on the socket, an
 * address cannot be had, or listen is set without a key.  A socket file that nobody listens on is replaced.
 */
enum wm_status wm_admin_start(const struct wm_admin_options *options, struct wm_admin **ret, struct wm_error *err)
    WM_MUST_CHECK;
/*
 * Waits for the calls under way.  A /v1/wait ends at the latest when the pipeline has stopped,
 * so wm_pipeline_stop comes first.  NULL is a no-op.
 */
void wm_admin_stop(struct wm_admin *a);

/* ---- what the answers look like (pure; out fails when memory is out) ---- */

/* Section "walmill status --json" of the interface. */
void wm_admin_render_status(const struct wm_snapshot *s, struct wm_buf *out);
/* Prometheus text format. */
void wm_admin_render_metrics(const struct wm_snapshot *s, struct wm_buf *out);
/* {"errors": [...], "last": ID, "end": true}, oldest first.  WM_FATAL: the state cannot be read. */
enum wm_status wm_admin_render_letters(struct wm_state *state, const struct wm_dead_letter_filter *filter,
    struct wm_buf *out, struct wm_error *err) WM_MUST_CHECK;
/* One dead letter; *ret_found false when there is none with this id. */
enum wm_status wm_admin_render_letter(struct wm_state *state, int64_t id, bool *ret_found, struct wm_buf *out,
    struct wm_error *err) WM_MUST_CHECK;

/* {"last": ID, "processed": 1, "failed": 0, "end": true, "failures": [{"id": ID, "message": "..."}]} */
void wm_admin_render_retry(const struct wm_retry *retry, struct wm_buf *out);

/* {"receipts": [...], "last": ID, "end": true} of the file in the state folder, oldest first. */
enum wm_status wm_admin_render_receipts(const char *folder, const struct wm_receipt_filter *filter, struct wm_buf *out,
    struct wm_error *err) WM_MUST_CHECK;
/* What a filter takes for the row with this key, as {"id":"7"}; false when it is none. */
bool wm_admin_receipt_key(const char *json, uint64_t *ret) WM_MUST_CHECK;

/* ---- client ---- */

/* Adds "?name=value" or "&name=value", encoded, to the path of a call. */
void wm_admin_add_query(struct wm_buf *path, const char *name, const char *value);
/* err.code when no daemon answers on the socket. */
#define WM_ADMIN_NO_DAEMON "no daemon"

/*
 * One call over the control socket.  body may be NULL.  The answer's JSON in *ret as text, because its numbers may be
 * larger than a double holds (caller frees it).
 * WM_REJECT: the daemon refused (code "http:404", ...; its message in the text); WM_RETRY: it timed out ("http:504");
 * WM_FATAL: no daemon, or no sensible answer.
 */
enum wm_status wm_admin_call(const char *socket, const char *method, const char *path, const struct cJSON *body,
    wm_usec timeout, char **ret, struct wm_error *err) WM_MUST_CHECK;

#endif
