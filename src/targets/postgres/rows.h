/* SPDX-License-Identifier: PostgreSQL */
/*
 * rows.h - the rows of a batch that one session writes, and the statements that write them.
 */
#ifndef WM_POSTGRES_ROWS_H
#define WM_POSTGRES_ROWS_H

#include "flight.h"

struct wm_postgres_part { /* of one view's rows in a batch */
	const struct wm_view_batch *batch;
	size_t base; /* index of its first row over the batch's views */
	struct wm_postgres_view *view; /* as the session knows it */
	size_t *order; /* of all its rows; NULL: as they come.  Borrowed */
	size_t from, to; /* places in that order */
	bool copy; /* its new rows go by COPY */
};

/* The row at a place, and its index. */
static inline const struct wm_row *
wm_postgres_row(const struct wm_postgres_part *p, size_t place, size_t *ret_index)
{
	*ret_index = p->order == NULL ? place : p->order[place];
	return &p->batch->rows[*ret_index];
}

/* Whether the row takes the place of another one. */
bool wm_postgres_moves(const struct wm_row *row);
/* Whether it is one that COPY may store. */
bool wm_postgres_copies(const struct wm_row *row);
/* What the row takes in a statement's parameters. */
size_t wm_postgres_row_bytes(const struct wm_view *view, const struct wm_row *row);
/* Whether something of the part goes by COPY, and whether something else is in it. */
bool wm_postgres_part_copies(const struct wm_postgres_part *part);
bool wm_postgres_part_flies(const struct wm_postgres_part *part);
/* Queues, for each part, the truncate, then the statement of each kind of row that does not go by COPY. */
enum wm_status wm_postgres_send(struct wm_postgres *t, struct wm_flight *f, const struct wm_postgres_part *parts,
    size_t n, struct wm_error *err) WM_MUST_CHECK;
/*
 * One trip: what comes before (NULL-terminated), the parts (sliced, so that no more than some MiB wait in
 * memory), and what comes after, if anything.
 */
enum wm_status wm_postgres_fly(struct wm_postgres *t, const struct wm_postgres_part *parts, size_t n,
    const char *const *before, const char *after, struct wm_flight_tag *ret_bad, struct wm_error *err) WM_MUST_CHECK;
/* Whether the view's new rows are worth a COPY of their own. */
bool wm_postgres_may_copy(struct wm_postgres_view *v, const struct wm_view_batch *batch);
/* The part's rows that COPY may store; before and after are statements that go along, with their semicolons. */
enum wm_status wm_postgres_copy(struct wm_postgres *t, const struct wm_postgres_part *part, const char *before,
    const char *after, struct wm_error *err) WM_MUST_CHECK;

#endif
