/* SPDX-License-Identifier: PostgreSQL */
/*
 * ensure.c - the view's table is made, or completed; nothing of the user's is taken away.
 */
#include "sqlite.h"

#include <string.h>

#include "walmill/fault.h"

/* A word by itself needs no quotes; in quotes SQLite takes any text for a type's name. */
void
wm_sqlite_add_type(struct wm_buf *b, const char *declared)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (declared[0] == '\0')
		return;
	wm_buf_addc(b, ' ');
	if (declared[strspn(declared, letters)] == '\0')
		wm_buf_adds(b, declared);
	else
		wm_sqlite_quote(b, declared);
}

static enum wm_status
run(struct wm_sqlite *s, const struct wm_view *view, const struct wm_buf *sql, const char *what,
    struct wm_error *err)
{
	if (sql->failed)
		return wm_oom(err, "an SQL statement");
	return wm_sqlite_exec(s, sql->data, err, "table \"%s\": %s", view->name, what);
}

static enum wm_status
create(struct wm_sqlite *s, const struct wm_view *view, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;

	wm_buf_init(&sql, WM_SQLITE_SQL_MAX);
	wm_buf_adds(&sql, "CREATE TABLE ");
	wm_sqlite_quote(&sql, view->name);
	wm_buf_adds(&sql, " (");
	for (unsigned i = 0; i < view->ncolumns; i++) {
		wm_buf_adds(&sql, i > 0 ? ", " : "");
		wm_sqlite_quote(&sql, view->columns[i].name);
		wm_sqlite_add_type(&sql, wm_sqlite_declared(&view->columns[i]));
		wm_buf_adds(&sql, view->columns[i].key ? " NOT NULL" : "");
	}
	if (view->nkeys > 0) {
		wm_buf_adds(&sql, ", PRIMARY KEY (");
		wm_sqlite_key_list(&sql, view);
		wm_buf_addc(&sql, ')');
	}
	wm_buf_addc(&sql, ')');
	return run(s, view, &sql, "could not create the table", err);
}

static enum wm_status
add_columns(struct wm_sqlite *s, const struct wm_view *view, const struct wm_sqlite_shape *shape,
    enum wm_found *found, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	enum wm_status status = WM_OK;

	wm_buf_init(&sql, WM_SQLITE_SQL_MAX);
	for (unsigned i = 0; status == WM_OK && i < view->ncolumns; i++) {
		const struct wm_view_column *column = &view->columns[i];

		if (wm_sqlite_shape_column(shape, column->name) != NULL)
			continue;
		wm_buf_reset(&sql);
		wm_buf_adds(&sql, "ALTER TABLE ");
		wm_sqlite_quote(&sql, view->name);
		wm_buf_adds(&sql, " ADD COLUMN ");
		wm_sqlite_quote(&sql, column->name);
		wm_sqlite_add_type(&sql, wm_sqlite_declared(column));
		status = run(s, view, &sql, "could not add a column", err);
		*found = WM_FOUND_SOME;
	}
	return status;
}

/* WM_REJECT with the first error among the findings. */
static enum wm_status
refuse(struct wm_sqlite *s, const struct wm_diags *findings, struct wm_error *err)
{
	for (size_t i = 0; i < findings->n; i++) {
		const struct wm_diag *d = &findings->list[i];

		if (d->severity == WM_ERROR)
			return wm_fail(err, WM_REJECT, "sqlite \"%s\": %s: %s%s%s", s->path, d->place, d->text,
			    d->fix != NULL ? "; " : "", d->fix != NULL ? d->fix : "");
	}
	return WM_OK;
}

static bool
retypes(const struct wm_view *view, const struct wm_sqlite_shape *shape)
{
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_sqlite_column *have = wm_sqlite_shape_column(shape, view->columns[i].name);

		if (have != NULL && wm_sqlite_must_retype(&view->columns[i], have))
			return true;
	}
	return false;
}

static enum wm_status
fit(struct wm_sqlite *s, const struct wm_view *view, enum wm_found *found, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_shape_free) struct wm_sqlite_shape shape = { 0 };
	WM_AUTO(wm_diags_free) struct wm_diags findings = { 0 };
	enum wm_status status = wm_sqlite_shape_read(s, view, &shape, err);

	if (status != WM_OK)
		return status;
	wm_sqlite_judge(view, &shape, &findings);
	status = refuse(s, &findings, err);
	if (status != WM_OK)
		return status;
	*found = shape.kind == NULL ? WM_FOUND_NONE : WM_FOUND_ALL;
	if (shape.kind == NULL)
		return create(s, view, err);
	if (retypes(view, &shape))
		status = wm_sqlite_rebuild(s, view, &shape, err);
	return status == WM_OK ? add_columns(s, view, &shape, found, err) : status;
}

enum wm_status
wm_sqlite_ensure(struct wm_sqlite *s, const struct wm_view *view, enum wm_found *ret_found, struct wm_error *err)
{
	enum wm_status status;

	wm_sqlite_cache_forget(s, view->name);
	status = wm_sqlite_begin(s, err);
	if (status == WM_OK)
		status = wm_sqlite_savepoint(s, err);
	if (status != WM_OK)
		return status;
	status = wm_sqlite_release(s, fit(s, view, ret_found, err), err);
	WM_FAULT(sqlite_shaped);
	return status;
}
