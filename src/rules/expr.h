/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr.h - SQL expressions over one source row, run by SQLite.
 *
 * All expressions of a plan are one prepared statement over the columns that they read; those
 * columns appear as a table named like the source's.  A set belongs to one thread at a time.
 */
#ifndef WM_RULES_EXPR_H
#define WM_RULES_EXPR_H

#include <stdbool.h>
#include <stddef.h>

#include "walmill/arena.h"
#include "walmill/error.h"
#include "walmill/model.h"

enum wm_expr_use {
	WM_EXPR_VALUE,		/* the result is wanted as it is */
	WM_EXPR_TRUE,		/* whether it is true: NULL is not */
	WM_EXPR_FALSE,		/* whether it is false: NULL is not */
};

struct wm_expr {
	char			*sql;
	char			*what;	/* "where", "columns.compute.day": for messages */
	enum wm_expr_use	 use;
};

struct wm_exprs;

/* Refuses anything but one expression.  Columns are not known yet, so any name is taken. */
enum wm_status wm_expr_check(const char *sql, struct wm_error *err) WM_MUST_CHECK;
/* list is copied.  WM_REJECT: an expression names a column that rel lacks, or does not compile. */
enum wm_status wm_exprs_compile(const struct wm_relation *rel, const struct wm_expr *list, size_t n,
    struct wm_exprs **ret, struct wm_error *err) WM_MUST_CHECK;
void wm_exprs_free(struct wm_exprs *e);			/* NULL is a no-op */
/* The columns that expression i reads: indexes into the relation, *ret_n of them. */
const unsigned *wm_exprs_reads(const struct wm_exprs *e, size_t i, unsigned *ret_n);
const char *wm_exprs_what(const struct wm_exprs *e, size_t i);
/*
 * Evaluates all for one row, whose WM_VALUE_UNCHANGED count as NULL; ret has room for all
 * results.  WM_EXPR_TRUE and WM_EXPR_FALSE give NULL for no, something else for yes.  WM_REJECT names the
 * expression that failed, and no value.
 */
enum wm_status wm_exprs_run(struct wm_exprs *e, const struct wm_value *row, struct wm_arena *arena,
    struct wm_value *ret, struct wm_error *err) WM_MUST_CHECK;

#endif
