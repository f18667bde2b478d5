/* SPDX-License-Identifier: PostgreSQL */
/*
 * shape.c - a table as it is in the file, and what that means for a view.
 *
 * ensure and preflight judge by the same findings, so that `walmill check` tells beforehand
 * what a run would refuse or change.
 */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"

/* ---- reading ---- */

void
wm_sqlite_shape_free(struct wm_sqlite_shape *shape)
{
	for (size_t i = 0; i < shape->n; i++) {
		free(shape->columns[i].name);
		free(shape->columns[i].type);
	}
	free(shape->columns);
	free(shape->kind);
	free(shape->name);
	*shape = (struct wm_sqlite_shape){ 0 };
}

const struct wm_sqlite_column *
wm_sqlite_shape_column(const struct wm_sqlite_shape *shape, const char *name)
{
	for (size_t i = 0; i < shape->n; i++)
		if (sqlite3_stricmp(shape->columns[i].name, name) == 0)
			return &shape->columns[i];
	return NULL;
}

/* Prepares a query of the catalog about the view's table; its name is ?1. */
static enum wm_status
query(struct wm_sqlite *s, const struct wm_view *view, const char *sql, sqlite3_stmt **ret, struct wm_error *err)
{
	int rc = sqlite3_prepare_v2(s->db, sql, -1, ret, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(*ret, 1, view->name, -1, SQLITE_STATIC);
	if (rc != SQLITE_OK)
		return wm_sqlite_fail(s, rc, err, "could not look at table \"%s\"", view->name);
	return WM_OK;
}

/* True for a row; at the end or after an error *ret_status tells which. */
static bool
next(struct wm_sqlite *s, const struct wm_view *view, sqlite3_stmt *stmt, enum wm_status *ret_status,
    struct wm_error *err)
{
	int rc = sqlite3_step(stmt);

	*ret_status = WM_OK;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		*ret_status = wm_sqlite_fail(s, rc, err, "could not look at table \"%s\"", view->name);
	return rc == SQLITE_ROW;
}

static char *
column_dup(sqlite3_stmt *stmt, int i)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	return text != NULL ? strdup(text) : strdup("");
}

static enum wm_status
read_kind(struct wm_sqlite *s, const struct wm_view *view, struct wm_sqlite_shape *shape, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
	enum wm_status status = query(s, view, "SELECT type, name FROM pragma_table_list"
	    " WHERE schema = 'main' AND name = ?1 COLLATE NOCASE", &stmt, err);

	if (status != WM_OK || !next(s, view, stmt, &status, err))
		return status;
	shape->kind = column_dup(stmt, 0);
	shape->name = column_dup(stmt, 1);
	return shape->kind != NULL && shape->name != NULL ? WM_OK : wm_oom(err, "a table's description");
}

static enum wm_status
read_columns(struct wm_sqlite *s, const struct wm_view *view, struct wm_sqlite_shape *shape,
    struct wm_error *err)
{
	WM_AUTO(wm_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
	enum wm_status status = query(s, view,
	    "SELECT name, type, \"notnull\" AND dflt_value IS NULL, hidden IN (2, 3), pk"
	    " FROM pragma_table_xinfo(?1, 'main') ORDER BY cid",
	    &stmt, err);

	while (status == WM_OK && next(s, view, stmt, &status, err)) {
		struct wm_sqlite_column *columns, *column;

		columns = reallocarray(shape->columns, shape->n + 1, sizeof(*columns));
		if (columns == NULL)
			return wm_oom(err, "a table's description");
		shape->columns = columns;
		column = &columns[shape->n++];
		*column = (struct wm_sqlite_column){
			.name = column_dup(stmt, 0),
			.type = column_dup(stmt, 1),
			.required = sqlite3_column_int(stmt, 2) != 0,
			.generated = sqlite3_column_int(stmt, 3) != 0,
			.pk = sqlite3_column_int(stmt, 4),
		};
		if (column->name == NULL || column->type == NULL)
			return wm_oom(err, "a table's description");
	}
	return status;
}

static bool
is_key(const struct wm_view *view, const char *name)
{
	for (unsigned i = 0; i < view->nkeys; i++)
		if (sqlite3_stricmp(view->columns[view->keys[i]].name, name) == 0)
			return true;
	return false;
}

/* An INTEGER PRIMARY KEY has no index that could be listed. */
static bool
primary_key_fits(const struct wm_view *view, const struct wm_sqlite_shape *shape)
{
	unsigned n = 0;

	for (size_t i = 0; i < shape->n; i++) {
		if (shape->columns[i].pk == 0)
			continue;
		if (!is_key(view, shape->columns[i].name))
			return false;
		n++;
	}
	return n == view->nkeys;
}

/* Looks for a unique index whose columns are the view's key, in whatever order. */
static enum wm_status
read_unique(struct wm_sqlite *s, const struct wm_view *view, struct wm_sqlite_shape *shape, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
	unsigned matched = 0;
	bool foreign = false;
	enum wm_status status;

	shape->unique = view->nkeys == 0 || primary_key_fits(view, shape);
	if (shape->unique)
		return WM_OK;
	/* One row a column; the last column of each index is marked.  An expression has no name. */
	status = query(s, view, "SELECT i.name, i.seqno = max(i.seqno) OVER (PARTITION BY l.seq)"
	    " FROM pragma_index_list(?1, 'main') AS l, pragma_index_info(l.name, 'main') AS i"
	    " WHERE l.\"unique\" AND NOT l.partial ORDER BY l.seq, i.seqno", &stmt, err);
	while (status == WM_OK && next(s, view, stmt, &status, err)) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);

		if (name != NULL && is_key(view, name))
			matched++;
		else
			foreign = true;
		if (!sqlite3_column_int(stmt, 1))
			continue;
		shape->unique |= !foreign && matched == view->nkeys;
		matched = 0;
		foreign = false;
	}
	return status;
}

enum wm_status
wm_sqlite_shape_read(struct wm_sqlite *s, const struct wm_view *view, struct wm_sqlite_shape *ret,
    struct wm_error *err)
{
	struct wm_sqlite_shape shape = { 0 };
	enum wm_status status = read_kind(s, view, &shape, err);

	if (status == WM_OK && shape.kind != NULL)
		status = read_columns(s, view, &shape, err);
	if (status == WM_OK && shape.kind != NULL)
		status = read_unique(s, view, &shape, err);
	if (status != WM_OK) {
		wm_sqlite_shape_free(&shape);
		return status;
	}
	*ret = shape;
	return WM_OK;
}

/* ---- judging ---- */

bool
wm_sqlite_must_retype(const struct wm_view_column *column, const struct wm_sqlite_column *have)
{
	if (column->override != NULL || column->type.class == WM_TYPE_DYNAMIC)
		return false;
	return wm_sqlite_affinity(wm_sqlite_declared(column)) != wm_sqlite_affinity(have->type);
}

/* The view by itself: names that SQLite cannot tell apart, types that are none. */
static void
judge_view(const struct wm_view *view, const char *subject, struct wm_diags *findings)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ (),[]";

	if (sqlite3_strnicmp(view->name, "sqlite_", 7) == 0 || sqlite3_stricmp(view->name, WM_SQLITE_BOOKMARKS) == 0)
		wm_diags_add(findings, WM_ERROR, subject, "set another `view:` in the rule", "the name is reserved");
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_view_column *column = &view->columns[i];

		if (column->override != NULL && column->override[strspn(column->override, allowed)] != '\0')
			wm_diags_add(findings, WM_ERROR, subject,
			    "a type may have letters, digits, spaces, (), [] and commas",
			    "the type given for column \"%s\" is not one", column->name);
		for (unsigned j = 0; j < i; j++)
			if (sqlite3_stricmp(view->columns[j].name, column->name) == 0)
				wm_diags_add(findings, WM_ERROR, subject,
				    "rename one of them in the rule (`columns: rename:`)",
				    "SQLite takes the columns \"%s\" and \"%s\" for the same",
				    view->columns[j].name, column->name);
	}
}

/* A column that both have. */
static void
judge_column(const struct wm_view_column *column, const struct wm_sqlite_column *have, const char *subject,
    struct wm_diags *findings)
{
	if (have->generated)
		wm_diags_add(findings, WM_ERROR, subject, "exclude or rename the column in the rule",
		    "column \"%s\" is a generated one and cannot be written", column->name);
	else if (wm_sqlite_must_retype(column, have))
		wm_diags_add(findings, WM_NOTE, subject, "to keep its type, give it in the rule (`columns: type:`)",
		    "column \"%s\" will be changed from %s to %s, so that its values keep their form", column->name,
		    have->type[0] != '\0' ? have->type : "no type", wm_sqlite_declared(column));
}

static void
judge_columns(const struct wm_view *view, const struct wm_sqlite_shape *shape, const char *subject,
    struct wm_diags *findings)
{
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_view_column *column = &view->columns[i];
		const struct wm_sqlite_column *have = wm_sqlite_shape_column(shape, column->name);

		if (have != NULL)
			judge_column(column, have, subject, findings);
		else if (column->key)
			wm_diags_add(findings, WM_ERROR, subject,
			    "move the table away, or set another `view:` or `key:` in the rule",
			    "the key column \"%s\" is missing", column->name);
		else
			wm_diags_add(findings, WM_NOTE, subject, NULL, "column \"%s\" will be added", column->name);
	}
}

static bool
is_written(const struct wm_view *view, const char *name)
{
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (sqlite3_stricmp(view->columns[i].name, name) == 0)
			return true;
	return false;
}

/* Columns of the user's own, which stay NULL or get their default. */
static void
judge_extra_columns(const struct wm_view *view, const struct wm_sqlite_shape *shape, const char *subject,
    struct wm_diags *findings)
{
	for (size_t i = 0; i < shape->n; i++) {
		const struct wm_sqlite_column *have = &shape->columns[i];

		if (have->required && !have->generated && !is_written(view, have->name))
			wm_diags_add(findings, WM_ERROR, subject, "give the column a default, or let it be NULL",
			    "column \"%s\" is NOT NULL without a default, and the rule does not write it", have->name);
	}
}

static void
report_missing_key(const struct wm_view *view, const char *subject, struct wm_diags *findings)
{
	WM_AUTO(wm_buf_free) struct wm_buf fix;
	WM_AUTO(wm_freep) char *index = wm_asprintf("%s_key", view->name);

	wm_buf_init(&fix, WM_SQLITE_SQL_MAX);
	wm_buf_adds(&fix, "CREATE UNIQUE INDEX ");
	wm_sqlite_quote(&fix, index != NULL ? index : "walmill_key");
	wm_buf_adds(&fix, " ON ");
	wm_sqlite_quote(&fix, view->name);
	wm_buf_adds(&fix, " (");
	wm_sqlite_key_list(&fix, view);
	wm_buf_adds(&fix, ")");
	wm_diags_add(findings, WM_ERROR, subject, fix.data, "no unique index has exactly the key's columns");
}

void
wm_sqlite_judge(const struct wm_view *view, const struct wm_sqlite_shape *shape, struct wm_diags *findings)
{
	WM_AUTO(wm_freep) char *text = wm_asprintf("table \"%s\"", view->name);
	const char *subject = text != NULL ? text : view->name;

	judge_view(view, subject, findings);
	if (shape->kind == NULL) {
		wm_diags_add(findings, WM_NOTE, subject, NULL, "it will be created");
		return;
	}
	if (strcmp(shape->kind, "table") != 0) {
		wm_diags_add(findings, WM_ERROR, subject, "set another `view:` in the rule",
		    "this is a %s%s, only tables can be written", shape->kind,
		    strcmp(shape->kind, "view") == 0 ? "" : " table");
		return;
	}
	if (strcmp(shape->name, view->name) != 0)
		wm_diags_add(findings, WM_ERROR, subject, "set another `view:`, or this spelling, in the rule",
		    "SQLite takes it for the table \"%s\", which is there", shape->name);
	judge_columns(view, shape, subject, findings);
	judge_extra_columns(view, shape, subject, findings);
	if (!shape->unique)
		report_missing_key(view, subject, findings);
}
