/* SPDX-License-Identifier: PostgreSQL */
/*
 * flight.h - a run of statements sent in one go in libpq's pipeline mode.
 *
 * Between start and land the connection takes nothing else.  Statements behind one that fails
 * are not run.
 */
#ifndef WM_FLIGHT_H
#define WM_FLIGHT_H

#include <stddef.h>

#include "postgres.h"

struct wm_flight_tag { /* what a statement works on */
	const char *view; /* name; NULL: none.  Must live until land */
	size_t row; /* index in the batch of its only row, or WM_BAD_UNKNOWN */
};

struct wm_flight_job;

struct wm_flight {
	struct wm_pg *pg;
	struct wm_flight_job *jobs;
	size_t n, size;
};

enum wm_status wm_flight_start(struct wm_flight *f, struct wm_pg *pg, struct wm_error *err)
    WM_MUST_CHECK;
/*
 * Queues a statement; params are its text[] in binary form.  A stmt with a name is prepared the
 * first time; one without is sent with its text.
 */
enum wm_status wm_flight_send(struct wm_flight *f, struct wm_postgres_stmt *stmt,
    const struct wm_buf *params, const struct wm_flight_tag *tag, struct wm_error *err)
    WM_MUST_CHECK;
/* One without parameters; view is for the tag. */
enum wm_status wm_flight_send_text(
    struct wm_flight *f, const char *sql, const char *view, struct wm_error *err) WM_MUST_CHECK;
/*
 * Waits for all results.  The first failure's error, status by wm_pg_classify, begins with what;
 * its statement's tag goes to *ret_bad.
 */
enum wm_status wm_flight_land(struct wm_flight *f, const char *what, struct wm_flight_tag *ret_bad,
    struct wm_error *err) WM_MUST_CHECK;
/* bookmarks.c: queues what stores them. */
enum wm_status wm_postgres_send_bookmarks(struct wm_postgres *t, struct wm_flight *f,
    const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err) WM_MUST_CHECK;
void wm_flight_free(struct wm_flight *f); /* for WM_AUTO */

#endif
