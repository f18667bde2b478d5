/* SPDX-License-Identifier: PostgreSQL */
/*
 * shape.c - looks at the table behind a view.
 *
 * A column's type is left alone when it holds what the view brings (typefit.h), when the rule
 * overrides it, when either side is not a built-in type, and when the view's is not known
 * beforehand (a compute expression): then the operator made it so, and the casts of the write
 * decide.
 */
#include "shape.h"

#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "typefit.h"
#include "walmill/strutil.h"

enum { NAME_MAX_BYTES = 63, SQL_MAX = 16 << 20 };

enum field {
	F_SCHEMA,
	F_MAY_CREATE,
	F_KIND,
	F_OWNED,
	F_WRITABLE,
	F_ROW_SECURITY,
	F_TRUNCATABLE,
	F_COPYABLE,
	F_HAS_KEY,
	F_OTHER_KEY,
	F_NAME,
	F_TYPE,
	F_CAST,
	F_BUILTIN,
	F_NOT_NULL,
	F_DEFAULT,
	F_GENERATED,
	F_OWN_CAST,
};

/* One row a column; one row in all when there is no table or no schema. */
static const char query_head[] =
    "SELECT n.oid IS NOT NULL,"
    " CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')"
    "  ELSE has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') END,"
    " c.relkind, pg_has_role(c.relowner, 'USAGE'),"
    " has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
    "  AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')"
    "  AND has_table_privilege(c.oid, 'DELETE'),"
    " row_security_active(c.oid),"
    " has_table_privilege(c.oid, 'TRUNCATE')"
    "  AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.confrelid = c.oid AND f.contype = 'f'"
    "   AND f.conrelid <> c.oid)"
    "  AND NOT EXISTS (SELECT FROM pg_trigger d WHERE d.tgrelid = c.oid AND d.tginitdeferred),"
    /* Rules are for INSERT alone; so are triggers of a statement that may update. */
    " c.relkind IN ('r', 'p') AND NOT row_security_active(c.oid)"
    "  AND NOT EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid)"
    "  AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal),"
    " x.has_key, x.other_key,"
    " a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, -1), a.atttypid < 16384,"
    " a.attnotnull, a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' OR a.attidentity = 'a',"
    /* INSERT gets such a value by an operator's function, COPY by the type's own. */
    " EXISTS (SELECT FROM pg_type y JOIN pg_cast f ON f.casttarget IN (y.oid, y.typbasetype, y.typelem)"
    "  WHERE y.oid = a.atttypid AND y.oid >= 16384 AND f.castsource = 'text'::regtype AND f.castmethod = 'f')"
    " FROM (SELECT ";
static const char query_join[] =
    ") w LEFT JOIN pg_namespace n ON n.nspname = w.s"
    " LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.t"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " LEFT JOIN LATERAL (SELECT bool_or(i.usable AND i.names = w.k) AS has_key,"
    "  bool_or(i.names IS DISTINCT FROM w.k) AS other_key"
    "  FROM (SELECT p.indisvalid AND p.indimmediate AND p.indpred IS NULL AND p.indexprs IS NULL AS usable,"
    "   ARRAY(SELECT k.attname::text COLLATE \"C\" FROM pg_attribute k WHERE k.attrelid = p.indrelid"
    "    AND k.attnum = ANY ((p.indkey::int2[])[0:p.indnkeyatts - 1]) ORDER BY 1) AS names"
    "   FROM pg_index p WHERE p.indrelid = c.oid AND p.indisunique) i) x ON true"
    " ORDER BY a.attnum";

static enum wm_status
check_name(const char *name, const char *kind, const struct wm_view *view, struct wm_error *err)
{
	if (name[0] == '\0')
		return wm_fail(err, WM_REJECT,
		    "view \"%s\" of rule \"%s\": empty %s name; write table or schema.table",
		    view->name, view->rule, kind);
	if (strlen(name) > NAME_MAX_BYTES)
		return wm_fail(err, WM_REJECT,
		    "view \"%s\" of rule \"%s\": %s name \"%s\" is longer than the %d bytes "
		    "that PostgreSQL keeps; give it a shorter one (`view:`, `columns.rename`)",
		    view->name, view->rule, kind, name, NAME_MAX_BYTES);
	return WM_OK;
}

static enum wm_status
check_names(const struct wm_shape *shape, const struct wm_view *view, struct wm_error *err)
{
	enum wm_status st = check_name(shape->schema, "schema", view, err);

	if (st == WM_OK)
		st = check_name(shape->table, "table", view, err);
	for (unsigned i = 0; i < view->ncolumns && st == WM_OK; i++) {
		const struct wm_view_column *c = &view->columns[i];

		st = check_name(c->name, "column", view, err);
		if (st == WM_OK && c->override != NULL && !wm_typefit_valid(c->override))
			return wm_fail(err, WM_REJECT,
			    "view \"%s\" of rule \"%s\": type \"%s\" of column \"%s\" is not "
			    "the name of a type",
			    view->name, view->rule, c->override, c->name);
	}
	if (st == WM_OK && view->nkeys == 0)
		return wm_fail(err, WM_REJECT,
		    "view \"%s\" of rule \"%s\" has no key; set `key:` in the rule", view->name,
		    view->rule);
	return st;
}

static enum wm_status
split_name(
    const char *home, const struct wm_view *view, struct wm_shape *shape, struct wm_error *err)
{
	const char *dot = strchr(view->name, '.');
	struct wm_buf quoted;

	shape->schema =
	    dot == NULL ? strdup(home) : strndup(view->name, (size_t)(dot - view->name));
	shape->table = strdup(dot == NULL ? view->name : dot + 1);
	if (shape->schema == NULL || shape->table == NULL)
		return wm_oom(err, "a table's name");
	wm_buf_init(&quoted, SQL_MAX);
	wm_pg_quote_ident(&quoted, shape->schema);
	wm_buf_addc(&quoted, '.');
	wm_pg_quote_ident(&quoted, shape->table);
	shape->name = wm_buf_steal(&quoted);
	return shape->name == NULL ? wm_oom(err, "a table's name") : check_names(shape, view, err);
}

static void
build_query(struct wm_buf *sql, const struct wm_shape *shape, const struct wm_view *view)
{
	wm_buf_adds(sql, query_head);
	wm_pg_quote_literal(sql, shape->schema);
	wm_buf_adds(sql, "::text AS s, ");
	wm_pg_quote_literal(sql, shape->table);
	wm_buf_adds(sql, "::text AS t, ARRAY(SELECT e COLLATE \"C\" FROM unnest(ARRAY[");
	for (unsigned i = 0; i < view->nkeys; i++) {
		if (i > 0)
			wm_buf_adds(sql, ", ");
		wm_pg_quote_literal(sql, view->columns[view->keys[i]].name);
	}
	wm_buf_adds(sql, "]::text[]) e ORDER BY 1) AS k");
	wm_buf_adds(sql, query_join);
}

static bool
truth(const PGresult *res, int row, enum field f)
{
	return PQgetvalue(res, row, f)[0] == 't'; /* NULL reads as "" */
}

static enum wm_status
read_result(struct wm_shape *shape, struct wm_error *err)
{
	const PGresult *res = shape->res;
	int rows = PQntuples(res);

	shape->schema_exists = truth(res, 0, F_SCHEMA);
	shape->may_create = truth(res, 0, F_MAY_CREATE);
	shape->kind = PQgetvalue(res, 0, F_KIND)[0];
	shape->owned = truth(res, 0, F_OWNED);
	shape->writable = truth(res, 0, F_WRITABLE);
	shape->row_security = truth(res, 0, F_ROW_SECURITY);
	shape->truncatable = truth(res, 0, F_TRUNCATABLE);
	shape->copyable = truth(res, 0, F_COPYABLE);
	shape->has_key = truth(res, 0, F_HAS_KEY);
	shape->has_other_key = truth(res, 0, F_OTHER_KEY);
	shape->columns = calloc((size_t)rows, sizeof(*shape->columns));
	if (shape->columns == NULL)
		return wm_oom(err, "a table's columns");
	for (int i = 0; i < rows && !PQgetisnull(res, i, F_NAME); i++)
		shape->columns[shape->ncolumns++] = (struct wm_shape_column){
			.name = PQgetvalue(res, i, F_NAME),
			.type = PQgetvalue(res, i, F_TYPE),
			.cast = PQgetvalue(res, i, F_CAST),
			.builtin = truth(res, i, F_BUILTIN),
			.not_null = truth(res, i, F_NOT_NULL),
			.has_default = truth(res, i, F_DEFAULT),
			.generated = truth(res, i, F_GENERATED),
			.own_cast = truth(res, i, F_OWN_CAST),
		};
	return WM_OK;
}

enum wm_status
wm_shape_load(struct wm_pg *pg, const char *home, const struct wm_view *view, struct wm_shape *ret,
    struct wm_error *err)
{
	WM_AUTO(wm_shape_free) struct wm_shape shape = { 0 };
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	enum wm_status st;

	wm_buf_init(&sql, SQL_MAX);
	st = split_name(home, view, &shape, err);
	if (st != WM_OK)
		return st;
	build_query(&sql, &shape, view);
	if (sql.failed)
		return wm_oom(err, "a catalog query");
	st = wm_pg_query(
	    pg, sql.data, 0, NULL, "could not look at the target's table", &shape.res, err);
	if (st == WM_OK)
		st = read_result(&shape, err);
	if (st != WM_OK)
		return wm_error_prefix(err, "view \"%s\"", view->name);
	*ret = shape;
	shape = (struct wm_shape){ 0 };
	return WM_OK;
}

void
wm_shape_free(struct wm_shape *shape)
{
	PQclear(shape->res);
	free(shape->schema);
	free(shape->table);
	free(shape->name);
	free(shape->columns);
	*shape = (struct wm_shape){ 0 };
}

const struct wm_shape_column *
wm_shape_column(const struct wm_shape *shape, const char *name)
{
	for (unsigned i = 0; i < shape->ncolumns; i++)
		if (strcmp(shape->columns[i].name, name) == 0)
			return &shape->columns[i];
	return NULL;
}

enum wm_shape_step
wm_shape_step(const struct wm_shape *shape, const struct wm_view_column *column)
{
	const struct wm_shape_column *there = wm_shape_column(shape, column->name);

	if (there == NULL)
		return WM_SHAPE_ADD;
	if (column->override != NULL || !wm_typefit_portable(&column->type) || !there->builtin ||
	    wm_typefit_holds(there->type, wm_typefit_declared(column)))
		return WM_SHAPE_KEEP;
	return WM_SHAPE_ALTER;
}

bool
wm_shape_complete(const struct wm_shape *shape, const struct wm_view *view)
{
	if (shape->kind == '\0')
		return false;
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (wm_shape_step(shape, &view->columns[i]) != WM_SHAPE_KEEP)
			return false;
	return true;
}

static const char *
kind_name(char kind)
{
	switch (kind) {
	case 'v': return "a view";
	case 'm': return "a materialized view";
	case 'f': return "a foreign table";
	case 'i':
	case 'I': return "an index";
	case 'S': return "a sequence";
	case 'c': return "a composite type";
	default: return "no table";
	}
}

/* A finding with a fix that is put together from parts. */
static void WM_PRINTF(4, 5) complain(
    struct wm_diags *findings, const struct wm_view *view, struct wm_buf *fix, const char *fmt, ...)
{
	WM_AUTO(wm_buf_free) struct wm_buf text;
	WM_AUTO(wm_buf_free) struct wm_buf subject;
	va_list ap;

	wm_buf_init(&text, SQL_MAX);
	wm_buf_init(&subject, SQL_MAX);
	va_start(ap, fmt);
	wm_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	wm_buf_addf(&subject, "view \"%s\"", view->name);
	wm_diags_add(findings, WM_ERROR, subject.data, fix->data, "%s", text.data);
	wm_buf_reset(fix);
}

static void
check_missing(const struct wm_shape *s, const struct wm_view *view, struct wm_buf *fix,
    struct wm_diags *findings)
{
	if (s->may_create)
		return;
	wm_buf_addf(fix, "%sGRANT USAGE, CREATE ON SCHEMA ",
	    s->schema_exists ? "" : "create the schema, then ");
	wm_pg_quote_ident(fix, s->schema);
	wm_buf_adds(fix, " to walmill's role");
	complain(findings, view, fix, "table %s does not exist, and this role may not create %s",
	    s->name, s->schema_exists ? "it" : "its schema");
}

static void
check_table(const struct wm_shape *s, const struct wm_view *view, struct wm_buf *fix,
    struct wm_diags *findings)
{
	if (!s->writable) {
		wm_buf_addf(fix,
		    "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON %s (and USAGE on its schema) "
		    "to walmill's role",
		    s->name);
		complain(findings, view, fix, "no privilege to write to table %s", s->name);
	}
	if (s->row_security) {
		wm_buf_addf(fix,
		    "ALTER ROLE walmill's role BYPASSRLS, or ALTER TABLE %s DISABLE ROW LEVEL SECURITY",
		    s->name);
		complain(findings, view, fix,
		    "row security of table %s would hide rows from this role", s->name);
	}
	if (!s->has_key && !view->bare) {
		wm_buf_addf(fix, "CREATE UNIQUE INDEX ON %s (", s->name);
		wm_sql_key_list(fix, view);
		wm_buf_adds(fix, "), or set the rule's `key:` to a key that the table has");
		complain(findings, view, fix,
		    "table %s has no unique index on exactly the rule's key columns "
		    "(not partial, not deferrable)",
		    s->name);
	}
}

static bool
view_has(const struct wm_view *view, const char *name)
{
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (strcmp(view->columns[i].name, name) == 0)
			return true;
	return false;
}

static void
check_existing_column(const struct wm_shape *s, const struct wm_view *view,
    const struct wm_shape_column *c, struct wm_buf *fix, struct wm_diags *findings)
{
	bool ours = view_has(view, c->name);

	if (ours && c->generated) {
		wm_buf_adds(fix,
		    "exclude the column in the rule, or make it an ordinary one "
		    "(identity: SET GENERATED BY DEFAULT)");
		complain(findings, view, fix,
		    "column \"%s\" of table %s is GENERATED ALWAYS and cannot be written", c->name,
		    s->name);
	} else if (!ours && c->not_null && !c->has_default && !c->generated) {
		wm_buf_addf(fix, "ALTER TABLE %s ALTER COLUMN ", s->name);
		wm_pg_quote_ident(fix, c->name);
		wm_buf_adds(fix, " DROP NOT NULL, or give it a default");
		complain(findings, view, fix,
		    "column \"%s\" of table %s is NOT NULL without a default, and the rule "
		    "does not fill it",
		    c->name, s->name);
	}
}

/* Columns that must be added or changed, and only the owner may. */
static void
check_step(const struct wm_shape *s, const struct wm_view *view, const struct wm_view_column *c,
    struct wm_buf *fix, struct wm_diags *findings)
{
	enum wm_shape_step step = wm_shape_step(s, c);

	if (step == WM_SHAPE_KEEP || s->owned)
		return;
	wm_buf_addf(
	    fix, "ALTER TABLE %s %s COLUMN ", s->name, step == WM_SHAPE_ADD ? "ADD" : "ALTER");
	wm_pg_quote_ident(fix, c->name);
	wm_buf_addf(fix, "%s%s as its owner, or exclude the column in the rule",
	    step == WM_SHAPE_ADD ? " " : " TYPE ", wm_typefit_declared(c));
	if (step == WM_SHAPE_ADD)
		complain(findings, view, fix,
		    "table %s has no column \"%s\", and only its owner may add one", s->name,
		    c->name);
	else
		complain(findings, view, fix,
		    "column \"%s\" of table %s is %s and must be %s, and only the owner may "
		    "change it",
		    c->name, s->name, wm_shape_column(s, c->name)->type, wm_typefit_declared(c));
}

void
wm_shape_check(const struct wm_shape *s, const struct wm_view *view, struct wm_diags *findings)
{
	WM_AUTO(wm_buf_free) struct wm_buf fix;

	wm_buf_init(&fix, SQL_MAX);
	if (s->kind == '\0') {
		check_missing(s, view, &fix, findings);
		return;
	}
	if (s->kind != 'r' && s->kind != 'p') {
		wm_buf_adds(&fix, "give the rule another `view:`, or rename what stands there");
		complain(
		    findings, view, &fix, "%s is %s, not a table", s->name, kind_name(s->kind));
		return;
	}
	check_table(s, view, &fix, findings);
	for (unsigned i = 0; i < s->ncolumns; i++)
		check_existing_column(s, view, &s->columns[i], &fix, findings);
	for (unsigned i = 0; i < view->ncolumns; i++)
		check_step(s, view, &view->columns[i], &fix, findings);
}
