/* SPDX-License-Identifier: PostgreSQL */
/*
 * parallel.h - `apply: parallel`: several sessions share each large batch.
 *
 * Rows of a batch are one per key, so their order among each other is free, and the next batch begins when the last
 * session has committed: the changes of a key stay in order.  What is given up are the source's transactions: a reader
 * may see some of one, and after a crash more of the stream than the bookmarks say, until it has been applied again.
 */
#ifndef WM_POSTGRES_PARALLEL_H
#define WM_POSTGRES_PARALLEL_H

#include "rows.h"

/* Whether the sessions may share this batch now. */
bool wm_postgres_shares(struct wm_postgres *t, const struct wm_batch *batch);
/*
 * Stores the batch and commits it.  parts are as the main session has them.  false: something was refused or lost, and
 * some of the batch may be stored: the main session is to write all of it, which says why.
 */
bool wm_postgres_share(struct wm_postgres *t, const struct wm_postgres_part *parts, size_t n);
/* The tables of views are other ones now. */
void wm_postgres_sides_forget(struct wm_postgres *t);
void wm_postgres_sides_close(struct wm_postgres *t);

#endif
