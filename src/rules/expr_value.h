/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_value.h - values of a row as SQLite's, and back.
 */
#ifndef WM_RULES_EXPR_VALUE_H
#define WM_RULES_EXPR_VALUE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "walmill/arena.h"
#include "walmill/model.h"

/* Binds v, which SQLite borrows, to parameter at; SQLite's code. */
int wm_expr_bind(sqlite3_stmt *stmt, int at, const struct wm_value *v, const struct wm_type *type,
    struct wm_arena *arena);
/* Column i of the row that stmt stands on.  False: memory is out. */
bool wm_expr_result(sqlite3_stmt *stmt, int i, struct wm_arena *arena, struct wm_value *ret);

#endif
