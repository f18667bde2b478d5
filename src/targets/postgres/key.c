/* SPDX-License-Identifier: PostgreSQL */
/*
 * key.c - the unique key of a table that walmill makes, with the table or once its rows are there.
 *
 * An index that is built from all rows costs a third of one that each row is put into.
 */
#include "postgres.h"
#include "sql.h"
#include "walmill/fault.h"

enum { SQL_MAX = 16 << 20 };

/* Rows of some millions are sorted in memory, which takes a quarter less time than the server's usual 64 MB. */
static const char room[] = "SELECT set_config('maintenance_work_mem', '256MB', true)"
    " WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes('256MB')";

void
wm_postgres_add_key(struct wm_buf *sql, const struct wm_view *view)
{
	wm_buf_adds(sql, "PRIMARY KEY (");
	wm_sql_key_list(sql, view);
	wm_buf_addc(sql, ')');
}

/* *ret_has also when there is no table any more: it is made anew, with its key. */
static enum wm_status
look(struct wm_postgres *t, const struct wm_view *view, struct wm_shape *shape, bool *ret_has, struct wm_error *err)
{
	enum wm_status st;

	wm_shape_free(shape);
	st = wm_shape_load(t->pg, t->home, view, shape, err);
	*ret_has = shape->kind == '\0' || shape->has_key;
	return st;
}

static enum wm_status
add(struct wm_postgres *t, const struct wm_view *view, struct wm_error *err)
{
	WM_AUTO(wm_shape_free) struct wm_shape shape = { 0 };
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	bool has;
	enum wm_status st = look(t, view, &shape, &has, err);

	wm_buf_init(&sql, SQL_MAX);
	if (st != WM_OK || has)
		return st;
	/* Another instance may be about to do the same. */
	wm_buf_addf(&sql, "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", shape.name);
	st = sql.failed ? wm_oom(err, "a statement") : wm_pg_exec(t->pg, sql.data, "could not lock the table", err);
	if (st == WM_OK)
		st = look(t, view, &shape, &has, err);
	if (st != WM_OK || has)
		return st;
	wm_buf_reset(&sql);
	wm_buf_addf(&sql, "%s; ALTER TABLE %s ADD ", room, shape.name);
	wm_postgres_add_key(&sql, view);
	st = sql.failed ? wm_oom(err, "a statement") : wm_pg_exec(t->pg, sql.data, "could not add the key", err);
	t->changed_shape = true;
	wm_postgres_views_forget(t);
	return st;
}

enum wm_status
wm_postgres_make_key(struct wm_target *base, const struct wm_view *view, struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	struct wm_error undo_err;
	enum wm_status st = wm_postgres_begin(t, err);

	if (st == WM_OK)
		st = wm_pg_exec(t->pg, "SAVEPOINT walmill", "could not begin", err);
	if (st != WM_OK)
		return st;
	st = add(t, view, err);
	if (st == WM_OK)
		st = wm_pg_exec(t->pg, "RELEASE SAVEPOINT walmill", "could not add the key", err);
	WM_FAULT(postgres_keyed);
	if (st == WM_OK)
		return WM_OK;
	wm_error_prefix(err, "view \"%s\"", view->name);
	if (PQstatus(wm_pg_conn(t->pg)) == CONNECTION_OK && wm_postgres_undo(t, &undo_err) != WM_OK)
		return wm_fail_code(err, WM_RETRY, undo_err.code, "view \"%s\": %s", view->name, undo_err.text);
	return st;
}
