/* SPDX-License-Identifier: PostgreSQL */
/*
 * ensure.c - makes a view's table exist as the view needs it, and reports beforehand what would
 * keep it from being so.
 *
 * Instances that make the same table at the same time wait for each other at an advisory lock
 * of the transaction.
 */
#include <inttypes.h>
#include <string.h>

#include "postgres.h"
#include "typefit.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

enum { SQL_MAX = 16 << 20 };

static void
add_create(struct wm_buf *sql, const struct wm_shape *s, const struct wm_view *view)
{
	if (!s->schema_exists) {
		wm_buf_adds(sql, "CREATE SCHEMA ");
		wm_pg_quote_ident(sql, s->schema);
		wm_buf_adds(sql, "; ");
	}
	wm_buf_addf(sql, "CREATE TABLE %s (", s->name);
	for (unsigned i = 0; i < view->ncolumns; i++) {
		wm_pg_quote_ident(sql, view->columns[i].name);
		wm_buf_addf(sql, " %s%s", wm_typefit_declared(&view->columns[i]),
		    view->columns[i].key ? " NOT NULL" : "");
		if (i + 1 < view->ncolumns || !view->bare)
			wm_buf_adds(sql, ", ");
	}
	if (!view->bare)
		wm_postgres_add_key(sql, view);
	wm_buf_addc(sql, ')');
}

/* What becomes of values whose column changes its type: each way is tried when the one before fails. */
enum conversion {
	BY_TEXT,	/* as the source would show them in the new type */
	BY_CAST,	/* rounded, perhaps: whoever changes a type has the rows read again */
	BY_EMPTYING,	/* of a view whose rows are to go */
};

static void
add_alter(struct wm_buf *sql, const struct wm_shape *s, const struct wm_view *view, enum conversion by)
{
	const char *sep = " ";

	if (by == BY_EMPTYING)
		wm_buf_addf(sql, s->truncatable ? "TRUNCATE %s; " : "DELETE FROM %s; ", s->name);
	wm_buf_addf(sql, "ALTER TABLE %s", s->name);
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_view_column *c = &view->columns[i];
		enum wm_shape_step step = wm_shape_step(s, c);

		if (step == WM_SHAPE_KEEP)
			continue;
		wm_buf_addf(
		    sql, "%s%s ", sep, step == WM_SHAPE_ADD ? "ADD COLUMN" : "ALTER COLUMN");
		wm_pg_quote_ident(sql, c->name);
		wm_buf_addf(
		    sql, step == WM_SHAPE_ADD ? " %s" : " TYPE %s USING ", wm_typefit_declared(c));
		if (step == WM_SHAPE_ALTER) {
			wm_pg_quote_ident(sql, c->name);
			wm_buf_adds(sql, by == BY_CAST ? "::" : "::text::");
			wm_typefit_add_cast(sql, wm_typefit_declared(c));
		}
		sep = ", ";
	}
}

/* Someone made the same thing at the same moment: the next look will find it. */
static bool
lost_a_race(const char *code)
{
	static const char *const codes[] = { "42P06", "42P07", "42701", "42710", "23505" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(codes); i++)
		if (strcmp(code, codes[i]) == 0)
			return true;
	return false;
}

static enum wm_status
try_change(struct wm_postgres *t, const struct wm_shape *s, const struct wm_view *view, enum conversion by,
    struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;

	wm_buf_init(&sql, SQL_MAX);
	wm_buf_adds(&sql, "SAVEPOINT walmill; ");
	if (s->kind == '\0')
		add_create(&sql, s, view);
	else
		add_alter(&sql, s, view, by);
	wm_buf_adds(&sql, "; RELEASE SAVEPOINT walmill");
	if (sql.failed)
		return wm_oom(err, "a table's definition");
	return wm_pg_exec(t->pg, sql.data,
	    s->kind == '\0' ? "could not create the table" : "could not alter the table", err);
}

static enum wm_status
change_table(struct wm_postgres *t, const struct wm_shape *s, const struct wm_view *view,
    struct wm_error *err)
{
	enum conversion last = s->kind == '\0' ? BY_TEXT : view->emptied ? BY_EMPTYING : BY_CAST;
	struct wm_error first = { 0 }, local, undo_err;

	for (enum conversion by = BY_TEXT; by <= last; by++) {
		enum wm_status st = try_change(t, s, view, by, &local);

		if (st == WM_OK) {
			t->changed_shape = true;
			return WM_OK;
		}
		if (st == WM_RETRY || lost_a_race(local.code))
			return wm_fail_code(err, WM_RETRY, local.code, "view \"%s\", table %s: %s",
			    view->name, s->name, local.text);
		if (wm_postgres_undo(t, &undo_err) != WM_OK)
			return wm_fail_code(
			    err, WM_RETRY, undo_err.code, "view \"%s\": %s", view->name, undo_err.text);
		if (by == BY_TEXT)
			first = local;
	}
	return wm_fail_code(err, WM_REJECT, first.code,
	    "view \"%s\", table %s: %s; make the table fit the rule's columns, "
	    "or set `columns.type` in the rule",
	    view->name, s->name, first.text);
}

/* The first thing that is wrong, as an error. */
static enum wm_status
judge(const struct wm_shape *s, const struct wm_view *view, struct wm_error *err)
{
	struct wm_diags findings = { 0 };
	enum wm_status st = WM_OK;

	wm_shape_check(s, view, &findings);
	if (findings.errors > findings.n)
		st = wm_oom(err, "a finding");
	else if (findings.errors > 0)
		st = wm_fail(err, WM_REJECT, "view \"%s\" of rule \"%s\": %s; %s", view->name,
		    view->rule, findings.list[0].text, findings.list[0].fix);
	wm_diags_free(&findings);
	return st;
}

static enum wm_status
look(
    struct wm_postgres *t, const struct wm_view *view, struct wm_shape *shape, struct wm_error *err)
{
	enum wm_status st;

	wm_shape_free(shape);
	st = wm_shape_load(t->pg, t->home, view, shape, err);
	return st == WM_OK ? judge(shape, view, err) : st;
}

static enum wm_status
lock_table_name(struct wm_postgres *t, const struct wm_shape *s, struct wm_error *err)
{
	uint64_t key = wm_hash(s->name, strlen(s->name), wm_hash("walmill", 7, 0));
	char sql[80];

	snprintf(sql, sizeof(sql), "SELECT pg_advisory_xact_lock(%" PRId64 ")", (int64_t)key);
	return wm_pg_exec(t->pg, sql, "could not lock the table's name", err);
}

static enum wm_found
found(const struct wm_shape *s, const struct wm_view *view)
{
	if (s->kind == '\0')
		return WM_FOUND_NONE;
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (wm_shape_step(s, &view->columns[i]) == WM_SHAPE_ADD)
			return WM_FOUND_SOME;
	return WM_FOUND_ALL;
}

enum wm_status
wm_postgres_ensure(struct wm_target *base, const struct wm_view *view, enum wm_found *ret_found, struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	WM_AUTO(wm_shape_free) struct wm_shape shape = { 0 };
	enum wm_status st = wm_postgres_begin(t, err);

	if (st == WM_OK)
		st = look(t, view, &shape, err);
	if (st != WM_OK)
		return st;
	*ret_found = WM_FOUND_ALL;
	if (!wm_shape_complete(&shape, view)) {
		st = lock_table_name(t, &shape, err);
		if (st == WM_OK)
			st = look(t, view, &shape, err);
		if (st == WM_OK && !wm_shape_complete(&shape, view)) {
			*ret_found = found(&shape, view);
			st = change_table(t, &shape, view, err);
			if (st == WM_OK)
				st = look(t, view, &shape, err);
			wm_postgres_views_forget(t);
		}
		if (st != WM_OK)
			return st;
		WM_FAULT(postgres_shaped);
	}
	if (!wm_shape_complete(&shape, view))
		return wm_fail(err, WM_REJECT,
		    "view \"%s\": table %s has not taken the types of rule \"%s\"; set "
		    "`columns.type` in the rule",
		    view->name, shape.name, view->rule);
	return wm_postgres_view_keep(t, view, &shape, NULL, err);
}

static void
note_changes(const struct wm_shape *s, const struct wm_view *view, const char *subject,
    struct wm_diags *findings)
{
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_view_column *c = &view->columns[i];
		const struct wm_shape_column *there = wm_shape_column(s, c->name);
		const char *declared = wm_typefit_declared(c);

		switch (wm_shape_step(s, c)) {
		case WM_SHAPE_ADD:
			wm_diags_add(findings, WM_NOTE, subject, NULL,
			    "column \"%s\" %s will be added to table %s", c->name, declared,
			    s->name);
			break;
		case WM_SHAPE_ALTER:
			wm_diags_add(findings, WM_WARNING, subject,
			    "set `columns.type` in the rule to keep the type that "
			    "is there",
			    "column \"%s\" of table %s is %s and will be changed to %s, which rewrites the table",
			    c->name, s->name, there->type, declared);
			break;
		case WM_SHAPE_KEEP:
			if (!wm_typefit_holds(there->type, declared))
				wm_diags_add(findings, WM_NOTE, subject, NULL,
				    "column \"%s\" of table %s is %s where the "
				    "rule has %s: values that do not fit are refused",
				    c->name, s->name, there->type, declared);
			break;
		}
	}
}

static void
note_limits(const struct wm_shape *s, const char *subject, struct wm_diags *findings)
{
	if (!s->truncatable)
		wm_diags_add(findings, WM_NOTE, subject, NULL,
		    "table %s will be emptied with DELETE, not TRUNCATE: "
		    "a foreign key, a deferred trigger or a missing privilege is in the way",
		    s->name);
	if (s->has_other_key)
		wm_diags_add(findings, WM_WARNING, subject,
		    "drop the index, or make it one that is not unique",
		    "table %s has a unique index besides the rule's key: rows are written per key, so that one may take "
		    "a value before another has given it up, and is refused",
		    s->name);
}

enum wm_status
wm_postgres_preflight(struct wm_target *base, const struct wm_view *view, struct wm_diags *findings,
    struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	WM_AUTO(wm_shape_free) struct wm_shape s = { 0 };
	WM_AUTO(wm_freep) char *subject = wm_asprintf("view \"%s\"", view->name);
	struct wm_error local;
	enum wm_status st;

	if (subject == NULL)
		return wm_oom(err, "a finding");
	st = wm_postgres_bookmarks_check(t, findings, err);
	if (st != WM_OK)
		return st;
	st = wm_shape_load(t->pg, t->home, view, &s, &local);
	if (st == WM_REJECT) {
		wm_diags_add(findings, WM_ERROR, subject, NULL, "%s", local.text);
		return WM_OK;
	}
	if (st != WM_OK)
		return wm_fail_code(err, st, local.code, "%s", local.text);
	wm_shape_check(&s, view, findings);
	if (s.kind == '\0' && s.may_create)
		wm_diags_add(findings, WM_NOTE, subject, NULL, "table %s will be created", s.name);
	if (s.kind != 'r' && s.kind != 'p')
		return WM_OK;
	if (s.owned)
		note_changes(&s, view, subject, findings);
	note_limits(&s, subject, findings);
	return WM_OK;
}
