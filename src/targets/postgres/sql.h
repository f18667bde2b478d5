/* SPDX-License-Identifier: PostgreSQL */
/*
 * sql.h - the statements that write rows, built once for a view.
 *
 * Every parameter is a text[] with one element a row; unnest turns them into rows, and each
 * value is cast to its column's type.  Parameters, in order: the view's columns (delete: only
 * the key's); update and move then have a mask, a text of one '1' (known) or '0' (unchanged)
 * for each of the view's columns; move then has the old key's columns.
 */
#ifndef WM_SQL_H
#define WM_SQL_H

#include "walmill/buf.h"
#include "walmill/model.h"

struct wm_sql_table {
	const char *name; /* quoted, with its schema */
	const struct wm_view *view;
	const char *const *casts; /* of the view's columns: types as a cast names them */
};

void wm_sql_upsert(struct wm_buf *b, const struct wm_sql_table *t);
void wm_sql_delete(struct wm_buf *b, const struct wm_sql_table *t);
/* The view must have a column outside the key. */
void wm_sql_update(struct wm_buf *b, const struct wm_sql_table *t);
/*
 * Rows whose key changes, all at the same time: old keys mean rows as they were before the
 * statement, so that chains and swaps come out right.  A row at a new key is replaced.
 */
void wm_sql_move(struct wm_buf *b, const struct wm_sql_table *t);
/* COPY takes rows in its text form instead. */
void wm_sql_copy(struct wm_buf *b, const struct wm_sql_table *t);
/* "a", "b" */
void wm_sql_key_list(struct wm_buf *b, const struct wm_view *view);

#endif
