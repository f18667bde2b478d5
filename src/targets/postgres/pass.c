/* SPDX-License-Identifier: PostgreSQL */
/*
 * pass.c - rows of a PostgreSQL source by COPY in its binary form, which nobody looks into.
 *
 * Bytes do not say what they are: the same bytes mean something else in a column of another type.  So only where each
 * column has exactly the view's type, one whose binary form has stayed what it is, and where neither side can be altered
 * until the transaction ends.
 */
#include <string.h>

#include "postgres.h"
#include "sql.h"
#include "typefit.h"
#include "walmill/strutil.h"

enum { SQL_MAX = 16 << 20, PIECE = 64 << 10 };

/* Without those whose form depends on settings (xml, money), or that name something in a database. */
static const uint32_t passing[] = { 16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 199, 600, 601, 602,
	603, 604, 628, 650, 651, 700, 701, 718, 774, 775, 829, 869, 1000, 1001, 1002, 1003, 1005,
	1007, 1009, 1014, 1015, 1016, 1021, 1022, 1028, 1040, 1041, 1042, 1043, 1082, 1083, 1114,
	1115, 1182, 1183, 1184, 1185, 1186, 1187, 1231, 1266, 1270, 1560, 1561, 1562, 1563, 1700,
	2950, 2951, 3220, 3221, 3614, 3643, 3802, 3807, 3904, 3905, 3906, 3907, 3908, 3909, 3910,
	3911, 3912, 3913, 3926, 3927 };

static bool
passes(uint32_t oid)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(passing); i++)
		if (passing[i] == oid)
			return true;
	return false;
}

static bool
column_fits(const struct wm_shape *shape, const struct wm_view_column *c)
{
	const struct wm_shape_column *there = wm_shape_column(shape, c->name);

	/* What write refuses COPY has to refuse, too: a key without a value. */
	return c->override == NULL && c->type.builtin && passes(c->type.oid) && there != NULL && there->builtin &&
	    strcmp(there->type, c->type.name) == 0 && (!c->key || there->not_null);
}

static bool
fits(const struct wm_shape *shape, const struct wm_view *view)
{
	if (!wm_shape_complete(shape, view) || (!shape->has_key && !view->bare) || !wm_postgres_copyable(shape, view))
		return false;
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (!column_fits(shape, &view->columns[i]))
			return false;
	return true;
}

/* WM_REJECT: the rows cannot go this way.  A look, a lock, and what there is now that it stays as it is. */
static enum wm_status
settle_shape(struct wm_postgres *t, const struct wm_view *view, struct wm_shape *ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *lock = NULL;
	enum wm_status st = wm_shape_load(t->pg, t->home, view, ret, err);

	if (st == WM_OK && !fits(ret, view))
		return wm_fail(err, WM_REJECT, "view \"%s\" takes no rows in binary form", view->name);
	if (st == WM_OK && (lock = wm_asprintf("LOCK TABLE %s IN ROW EXCLUSIVE MODE", ret->name)) == NULL)
		return wm_oom(err, "a statement");
	if (st == WM_OK)
		st = wm_pg_exec(t->pg, lock, "could not lock the table", err);
	if (st != WM_OK)
		return st;
	wm_shape_free(ret);
	st = wm_shape_load(t->pg, t->home, view, ret, err);
	if (st == WM_OK && !fits(ret, view))
		return wm_fail(err, WM_REJECT, "view \"%s\" takes no rows in binary form any more", view->name);
	return st;
}

struct feed {
	const struct wm_passage *rows;
	enum wm_status broke_off; /* what it failed with */
};

static enum wm_status
send_rows(struct wm_postgres *t, void *arg, struct wm_error *err)
{
	struct feed *feed = arg;
	const char *data;
	size_t len;

	while ((feed->broke_off = feed->rows->next(feed->rows->arg, &data, &len, err)) == WM_OK && len > 0)
		for (size_t at = 0, n; at < len; at += n) {
			n = len - at < PIECE ? len - at : PIECE;
			if (!wm_pg_copy_put(t->pg, data + at, n))
				return wm_pg_fail(t->pg, NULL, err, "could not write");
		}
	return feed->broke_off;
}

static enum wm_status
store(struct wm_postgres *t, const struct wm_view *view, struct feed *feed, uint64_t *ret_rows, struct wm_error *err)
{
	WM_AUTO(wm_shape_free) struct wm_shape shape = { 0 };
	struct wm_sql_table table = { .view = view };
	struct wm_buf sql;
	enum wm_status st = settle_shape(t, view, &shape, err);

	if (st != WM_OK)
		return st;
	table.name = shape.name;
	wm_buf_init(&sql, SQL_MAX);
	wm_sql_copy(&sql, &table);
	wm_buf_adds(&sql, " (FORMAT binary)");
	st = sql.failed ? wm_oom(err, "a statement") :
			  wm_postgres_copy_in(t, sql.data, send_rows, feed, ret_rows, err);
	wm_buf_free(&sql);
	return st;
}

enum wm_status
wm_postgres_pass(struct wm_target *base, const struct wm_view *view, const struct wm_passage *rows, uint64_t *ret_rows,
    struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	struct feed feed = { .rows = rows };
	struct wm_error undo_err;
	enum wm_status st;

	/* An older server may take for a value what a newer one means as another. */
	if (wm_pg_version(t->pg) / 10000 < rows->version / 10000)
		return wm_fail(err, WM_REJECT, "view \"%s\": its server is older than the source's", view->name);
	st = wm_postgres_begin(t, err);
	if (st == WM_OK)
		st = wm_pg_exec(t->pg, "SAVEPOINT walmill", "could not begin", err);
	if (st != WM_OK)
		return st;
	st = store(t, view, &feed, ret_rows, err);
	if (PQstatus(wm_pg_conn(t->pg)) == CONNECTION_BAD)
		return wm_error_prefix(err, "view \"%s\"", view->name);
	if (st == WM_OK)
		return wm_pg_exec(t->pg, "RELEASE SAVEPOINT walmill", "could not write", err);
	if (wm_postgres_undo(t, &undo_err) != WM_OK)
		return wm_fail_code(err, WM_RETRY, undo_err.code, "view \"%s\": %s", view->name, undo_err.text);
	/* What write makes of it counts. */
	return st == WM_FATAL && feed.broke_off == WM_OK ? (err->status = WM_REJECT) : st;
}
