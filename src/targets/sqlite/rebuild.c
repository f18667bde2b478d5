/* SPDX-License-Identifier: PostgreSQL */
/*
 * rebuild.c - changes the types of columns of a table that has rows.
 *
 * SQLite cannot alter a column's type, so the table is made anew beside the old one, filled, and
 * takes its name.  The user's columns, constraints, indexes, triggers and views stay as they
 * were.  Everything happens in the open transaction.
 */
#include "sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"

#define NEW_NAME "_walmill_rebuild"
#define CONVERT "_walmill_convert"

struct rebuild {
	struct wm_sqlite		*s;
	const struct wm_view		*view;
	const struct wm_sqlite_shape	*shape;
};

static const struct wm_view_column *
retyped_column(const struct rebuild *r, const struct wm_sqlite_column *have)
{
	for (unsigned i = 0; i < r->view->ncolumns; i++)
		if (sqlite3_stricmp(r->view->columns[i].name, have->name) == 0)
			return wm_sqlite_must_retype(&r->view->columns[i], have) ? &r->view->columns[i] : NULL;
	return NULL;
}

/* ---- values ---- */

static char *
hex(const unsigned char *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * n + 3), *to = text;

	if (text == NULL)
		return NULL;
	*to++ = '\\';
	*to++ = 'x';
	for (size_t i = 0; i < n; i++) {
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
	*to = '\0';
	return text;
}

/* A stored value in PostgreSQL's text form, as a cast to text writes it there. */
static char *
render(sqlite3_value *from, const char *old_type, bool to_text, uint32_t *ret_len)
{
	char text[WM_SQLITE_REAL_LEN];
	const char *stored;
	char *data;

	switch (sqlite3_value_type(from)) {
	case SQLITE_INTEGER:
		if (to_text && sqlite3_stricmp(old_type, "BOOLEAN") == 0)
			data = strdup(sqlite3_value_int(from) != 0 ? "true" : "false");
		else
			data = wm_asprintf("%lld", sqlite3_value_int64(from));
		break;
	case SQLITE_FLOAT:
		wm_sqlite_real_text(sqlite3_value_double(from), wm_sqlite_affinity(old_type) != WM_SQLITE_REAL,
		    text, sizeof(text));
		data = strdup(text);
		break;
	case SQLITE_BLOB:
		data = hex(sqlite3_value_blob(from), (size_t)sqlite3_value_bytes(from));
		break;
	default:
		stored = (const char *)sqlite3_value_text(from);
		data = stored != NULL ? strdup(stored) : NULL;
		break;
	}
	*ret_len = data != NULL ? (uint32_t)strlen(data) : 0;
	return data;
}

static void
result_cell(sqlite3_context *context, const struct wm_sqlite_cell *cell)
{
	switch (cell->type) {
	case SQLITE_INTEGER:
		sqlite3_result_int64(context, cell->integer);
		break;
	case SQLITE_FLOAT:
		sqlite3_result_double(context, cell->real);
		break;
	case SQLITE_TEXT:
		sqlite3_result_text64(context, cell->data, cell->len, SQLITE_TRANSIENT, SQLITE_UTF8);
		break;
	case SQLITE_BLOB:
		if (cell->len == 0)
			sqlite3_result_zeroblob(context, 0);
		else
			sqlite3_result_blob64(context, cell->data, cell->len, sqlite3_free);
		break;
	default:
		sqlite3_result_null(context);
		break;
	}
}

/* _walmill_convert(value, old declared type, enum wm_sqlite_storage) */
static void
convert(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	enum wm_sqlite_storage storage = (enum wm_sqlite_storage)sqlite3_value_int(argv[2]);
	const char *old_type = (const char *)sqlite3_value_text(argv[1]);
	WM_AUTO(wm_freep) char *text = NULL;
	struct wm_value value = { .kind = WM_VALUE_TEXT };
	struct wm_sqlite_cell cell;
	struct wm_error err;

	(void)argc;
	if (sqlite3_value_type(argv[0]) == SQLITE_NULL)
		return;
	/* As PostgreSQL casts an integer. */
	if (storage == WM_SQLITE_AS_BOOL && sqlite3_value_type(argv[0]) == SQLITE_INTEGER) {
		sqlite3_result_int(context, sqlite3_value_int64(argv[0]) != 0);
		return;
	}
	text = render(argv[0], old_type != NULL ? old_type : "", storage == WM_SQLITE_AS_TEXT, &value.len);
	value.data = text;
	if (text == NULL)
		sqlite3_result_error_nomem(context);
	else if (wm_sqlite_cell(storage, &value, &cell, &err) != WM_OK)
		sqlite3_result_error(context, err.text, -1);
	else
		result_cell(context, &cell);
}

/* ---- the new table ---- */

static enum wm_status
run(const struct rebuild *r, const struct wm_buf *sql, const char *what, struct wm_error *err)
{
	if (sql->failed)
		return wm_oom(err, "an SQL statement");
	return wm_sqlite_exec(r->s, sql->data, err, "table \"%s\": could not change a column's type: %s",
	    r->view->name, what);
}

static const char *
declare(const void *arg, const char *name)
{
	const struct rebuild *r = arg;
	const struct wm_sqlite_column *have = wm_sqlite_shape_column(r->shape, name);
	const struct wm_view_column *column = have != NULL ? retyped_column(r, have) : NULL;

	return column != NULL ? wm_sqlite_declared(column) : NULL;
}

/* The same columns in the same order, with the types asked for. */
static bool
as_intended(const struct rebuild *r, const struct wm_sqlite_shape *made)
{
	if (made->n != r->shape->n)
		return false;
	for (size_t i = 0; i < made->n; i++) {
		const struct wm_view_column *column = retyped_column(r, &r->shape->columns[i]);
		const char *type = column != NULL ? wm_sqlite_declared(column) : r->shape->columns[i].type;

		if (strcmp(made->columns[i].name, r->shape->columns[i].name) != 0 ||
		    wm_sqlite_affinity(made->columns[i].type) != wm_sqlite_affinity(type))
			return false;
	}
	return true;
}

static enum wm_status
not_understood(const struct rebuild *r, struct wm_error *err)
{
	return wm_fail(err, WM_REJECT, "sqlite \"%s\": table \"%s\": could not change a column's type: "
	    "its CREATE TABLE statement is not understood; change the type by hand", r->s->path, r->view->name);
}

static enum wm_status
verify(const struct rebuild *r, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_shape_free) struct wm_sqlite_shape made = { 0 };
	struct wm_view view = *r->view;
	char name[] = NEW_NAME;
	enum wm_status status;

	view.name = name;
	status = wm_sqlite_shape_read(r->s, &view, &made, err);
	if (status == WM_OK && !as_intended(r, &made))
		return not_understood(r, err);
	return status;
}

static enum wm_status
create(const struct rebuild *r, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	const char *old;
	enum wm_status status;
	int rc;

	wm_buf_init(&sql, WM_SQLITE_SQL_MAX);
	rc = sqlite3_prepare_v2(r->s->db, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1", -1,
	    &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, r->shape->name, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW)
		return wm_sqlite_fail(r->s, rc, err, "could not look at table \"%s\"", r->view->name);
	old = (const char *)sqlite3_column_text(stmt, 0);
	if (old == NULL || !wm_sqlite_create_sql(old, NEW_NAME, declare, r, &sql))
		return not_understood(r, err);
	status = run(r, &sql, "could not create the new table", err);
	return status == WM_OK ? verify(r, err) : status;
}

/* ---- its rows ---- */

static void
add_value(const struct rebuild *r, const struct wm_sqlite_column *have, struct wm_buf *sql)
{
	const struct wm_view_column *column = retyped_column(r, have);

	if (column == NULL) {
		wm_sqlite_quote(sql, have->name);
		return;
	}
	wm_buf_adds(sql, CONVERT "(");
	wm_sqlite_quote(sql, have->name);
	wm_buf_adds(sql, ", '");
	for (const char *p = have->type; *p != '\0'; p++) {
		if (*p == '\'')
			wm_buf_addc(sql, '\'');
		wm_buf_addc(sql, *p);
	}
	wm_buf_addf(sql, "', %d)", (int)wm_sqlite_storage(column));
}

static enum wm_status
copy(const struct rebuild *r, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	const char *sep = "";

	wm_buf_init(&sql, WM_SQLITE_SQL_MAX);
	wm_buf_adds(&sql, "INSERT INTO " NEW_NAME " (");
	for (size_t i = 0; i < r->shape->n; i++) {
		if (r->shape->columns[i].generated)
			continue;
		wm_buf_adds(&sql, sep);
		sep = ", ";
		wm_sqlite_quote(&sql, r->shape->columns[i].name);
	}
	wm_buf_adds(&sql, ") SELECT ");
	sep = "";
	for (size_t i = 0; i < r->shape->n; i++) {
		if (r->shape->columns[i].generated)
			continue;
		wm_buf_adds(&sql, sep);
		sep = ", ";
		add_value(r, &r->shape->columns[i], &sql);
	}
	wm_buf_adds(&sql, " FROM ");
	wm_sqlite_quote(&sql, r->view->name);
	return run(r, &sql, "could not convert the rows (empty the table and seed the rule again)", err);
}

/* ---- the swap ---- */

/* The statements that make the table's indexes and triggers, which fall with it. */
static enum wm_status
save_objects(const struct rebuild *r, struct wm_buf *b, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(r->s->db, "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE"
	    " AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid", -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, r->view->name, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
			wm_buf_adds(b, (const char *)sqlite3_column_text(stmt, 0));
			/* The statement may end in a comment. */
			wm_buf_adds(b, "\n;");
		}
	if (rc != SQLITE_DONE)
		return wm_sqlite_fail(r->s, rc, err, "could not look at table \"%s\"", r->view->name);
	return WM_OK;
}

static enum wm_status
swap(const struct rebuild *r, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	enum wm_status status;

	wm_buf_init(&sql, WM_SQLITE_SQL_MAX);
	wm_buf_adds(&sql, "DROP TABLE ");
	wm_sqlite_quote(&sql, r->view->name);
	wm_buf_adds(&sql, "; ALTER TABLE " NEW_NAME " RENAME TO ");
	wm_sqlite_quote(&sql, r->view->name);
	wm_buf_addc(&sql, ';');
	status = save_objects(r, &sql, err);
	return status == WM_OK ? run(r, &sql, "could not replace the table", err) : status;
}

enum wm_status
wm_sqlite_rebuild(struct wm_sqlite *s, const struct wm_view *view, const struct wm_sqlite_shape *shape,
    struct wm_error *err)
{
	const struct rebuild r = { .s = s, .view = view, .shape = shape };
	enum wm_status status;
	int rc;

	rc = sqlite3_create_function_v2(s->db, CONVERT, 3, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
	    NULL, convert, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return wm_sqlite_fail(s, rc, err, "could not register a function");
	status = create(&r, err);
	if (status == WM_OK)
		status = copy(&r, err);
	return status == WM_OK ? swap(&r, err) : status;
}
