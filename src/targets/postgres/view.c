/* SPDX-License-Identifier: PostgreSQL */
/*
 * view.c - what an instance knows of the views it writes: their statements.
 *
 * Entries are found by what a view says, not by its address, which its plan may free.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres.h"
#include "sql.h"
#include "walmill/strutil.h"

enum { SQL_MAX = 16 << 20 };

static uint64_t
hash_string(const char *s, uint64_t seed)
{
	return s == NULL ? wm_hash("", 0, seed) : wm_hash(s, strlen(s) + 1, seed);
}

static uint64_t
fingerprint(const struct wm_view *view)
{
	uint64_t h = hash_string(view->name, 0);

	for (unsigned i = 0; i < view->ncolumns; i++) {
		h = hash_string(view->columns[i].name, h);
		h = hash_string(view->columns[i].type.name, h);
		h = hash_string(view->columns[i].override, h);
	}
	return wm_hash(view->keys, view->nkeys * sizeof(*view->keys), h);
}

static void
view_free(struct wm_postgres_view *v)
{
	for (int kind = 0; kind < WM_POSTGRES_NKINDS; kind++)
		free(v->stmts[kind].sql);
	free(v->empty);
	free(v->copy);
	free(v);
}

static void
view_freep(struct wm_postgres_view **v)
{
	if (*v != NULL)
		view_free(*v);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_statements(const struct wm_postgres_view *a, const struct wm_postgres_view *b)
{
	for (int kind = 0; kind < WM_POSTGRES_NKINDS; kind++)
		if (!same_text(a->stmts[kind].sql, b->stmts[kind].sql))
			return false;
	return same_text(a->empty, b->empty) && same_text(a->copy, b->copy);
}

static struct wm_postgres_view *
lookup(struct wm_postgres *t, uint64_t print)
{
	struct wm_postgres_view *v = t->views;

	while (v != NULL && v->fingerprint != print)
		v = v->next;
	return v;
}

static bool
build_statement(struct wm_postgres *t, struct wm_postgres_view *v, enum wm_postgres_kind kind,
    const struct wm_sql_table *table)
{
	const struct wm_view *view = table->view;
	struct wm_postgres_stmt *stmt = &v->stmts[kind];
	struct wm_buf sql;

	wm_buf_init(&sql, SQL_MAX);
	switch (kind) {
	case WM_POSTGRES_MOVE:
		wm_sql_move(&sql, table);
		stmt->nparams = view->ncolumns + 1 + view->nkeys;
		break;
	case WM_POSTGRES_DELETE:
		wm_sql_delete(&sql, table);
		stmt->nparams = view->nkeys;
		break;
	case WM_POSTGRES_UPDATE:
		if (view->ncolumns == view->nkeys)
			return true;
		wm_sql_update(&sql, table);
		stmt->nparams = view->ncolumns + 1;
		break;
	default:
		wm_sql_upsert(&sql, table);
		stmt->nparams = view->ncolumns;
		break;
	}
	snprintf(stmt->name, sizeof(stmt->name), "walmill_%u", t->nstatements++);
	stmt->sql = wm_buf_steal(&sql);
	return stmt->sql != NULL;
}

bool
wm_postgres_copyable(const struct wm_shape *shape, const struct wm_view *view)
{
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_shape_column *c = wm_shape_column(shape, view->columns[i].name);

		if (c->generated || c->own_cast)
			return false;
	}
	return shape->copyable;
}

static char *
copy_statement(const struct wm_sql_table *table)
{
	struct wm_buf sql;

	wm_buf_init(&sql, SQL_MAX);
	wm_sql_copy(&sql, table);
	return wm_buf_steal(&sql);
}

static struct wm_postgres_view *
view_new(struct wm_postgres *t, const struct wm_sql_table *table, const struct wm_shape *shape)
{
	WM_AUTO(view_freep) struct wm_postgres_view *v = calloc(1, sizeof(*v));
	struct wm_postgres_view *done;

	if (v == NULL)
		return NULL;
	v->fingerprint = fingerprint(table->view);
	v->empty = wm_asprintf(shape->truncatable ? "TRUNCATE %s" : "DELETE FROM %s", table->name);
	if (v->empty == NULL)
		return NULL;
	if (wm_postgres_copyable(shape, table->view) && (v->copy = copy_statement(table)) == NULL)
		return NULL;
	for (int kind = 0; kind < WM_POSTGRES_NKINDS; kind++)
		if (!build_statement(t, v, (enum wm_postgres_kind)kind, table))
			return NULL;
	done = v;
	v = NULL;
	return done;
}

enum wm_status
wm_postgres_view_keep(struct wm_postgres *t, const struct wm_view *view,
    const struct wm_shape *shape, struct wm_postgres_view **ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) const char **casts = calloc(view->ncolumns, sizeof(*casts));
	struct wm_sql_table table = { .name = shape->name, .view = view, .casts = casts };
	struct wm_postgres_view *v, *old;

	if (casts == NULL)
		return wm_oom(err, "a view's statements");
	for (unsigned i = 0; i < view->ncolumns; i++)
		casts[i] = wm_shape_column(shape, view->columns[i].name)->cast;
	v = view_new(t, &table, shape);
	if (v == NULL)
		return wm_oom(err, "a view's statements");
	old = lookup(t, v->fingerprint);
	if (old != NULL && same_statements(old, v)) {
		view_free(v);
		v = old;
	} else {
		/* The table has changed: every view over it may be out of date. */
		if (old != NULL)
			wm_postgres_views_forget(t);
		v->next = t->views;
		t->views = v;
	}
	if (ret != NULL)
		*ret = v;
	return WM_OK;
}

enum wm_status
wm_postgres_view_find(struct wm_postgres *t, const struct wm_view *view,
    struct wm_postgres_view **ret, struct wm_error *err)
{
	WM_AUTO(wm_shape_free) struct wm_shape shape = { 0 };
	struct wm_postgres_view *v = lookup(t, fingerprint(view));
	enum wm_status st;

	if (v != NULL) {
		*ret = v;
		return WM_OK;
	}
	/* Ensured by another instance, or before this one was opened. */
	st = wm_shape_load(t->pg, t->home, view, &shape, err);
	if (st == WM_OK && !wm_shape_complete(&shape, view))
		st = wm_fail(err, WM_FATAL,
		    "view \"%s\": table %s was dropped or altered after it had been checked; "
		    "restart walmill to have it made again",
		    view->name, shape.name);
	return st == WM_OK ? wm_postgres_view_keep(t, view, &shape, ret, err) : st;
}

void
wm_postgres_views_forget(struct wm_postgres *t)
{
	while (t->views != NULL) {
		struct wm_postgres_view *v = t->views;

		t->views = v->next;
		view_free(v);
	}
}
