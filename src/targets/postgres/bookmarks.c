/* SPDX-License-Identifier: PostgreSQL */
/*
 * bookmarks.c - the table of bookmarks, and the commit that writes them with the data.
 */
#include <stdlib.h>
#include <string.h>

#include "flight.h"
#include "parallel.h"
#include "textarray.h"
#include "walmill/fault.h"

#define TABLE "_walmill_bookmarks"

enum { SQL_MAX = 1 << 16, VALUES_MAX = 64 << 20 };

static void
add_table(struct wm_buf *sql, const struct wm_postgres *t)
{
	wm_pg_quote_ident(sql, t->home);
	wm_buf_adds(sql, "." TABLE);
}

struct place {
	bool schema, table; /* they exist */
	bool allowed; /* to use the table; or to make what is missing */
};

static enum wm_status
look(struct wm_postgres *t, struct place *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	const char *params[] = { t->home };
	enum wm_status st;

	st = wm_pg_query(t->pg,
	    "SELECT n.oid IS NOT NULL, c.oid IS NOT NULL, CASE"
	    " WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')"
	    " WHEN c.oid IS NULL THEN has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE')"
	    " ELSE has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
	    " AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')"
	    " AND has_table_privilege(c.oid, 'DELETE') END"
	    " FROM (SELECT $1::text AS s) w LEFT JOIN pg_namespace n ON n.nspname = w.s"
	    " LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = '" TABLE "'",
	    1, params, "could not look for table " TABLE, &res, err);
	if (st != WM_OK)
		return st;
	ret->schema = PQgetvalue(res, 0, 0)[0] == 't';
	ret->table = PQgetvalue(res, 0, 1)[0] == 't';
	ret->allowed = PQgetvalue(res, 0, 2)[0] == 't';
	return WM_OK;
}

enum wm_status
wm_postgres_bookmarks_check(struct wm_postgres *t, struct wm_diags *findings, struct wm_error *err)
{
	struct place place;
	enum wm_status st;

	if (t->bookmarks_checked)
		return WM_OK;
	st = look(t, &place, err);
	if (st != WM_OK)
		return st;
	t->bookmarks_checked = true;
	if (!place.allowed)
		wm_diags_add(findings, WM_ERROR, "table \"" TABLE "\"",
		    place.table ?
			"GRANT SELECT, INSERT, UPDATE, DELETE on it to walmill's role" :
			"GRANT USAGE, CREATE on the schema to walmill's role, or set the target's `schema:`",
		    "this role may not %s the table of bookmarks in schema \"%s\"",
		    place.table ? "use" : "create", t->home);
	return WM_OK;
}

static enum wm_status
make_table(struct wm_postgres *t, bool schema_exists, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	enum wm_status st;

	wm_buf_init(&sql, SQL_MAX);
	/* One string is one transaction, so that the lock covers all of it. */
	wm_buf_adds(&sql, "SELECT pg_advisory_xact_lock(hashtext('walmill " TABLE "')); ");
	if (!schema_exists) {
		wm_buf_adds(&sql, "CREATE SCHEMA IF NOT EXISTS ");
		wm_pg_quote_ident(&sql, t->home);
		wm_buf_adds(&sql, "; ");
	}
	wm_buf_adds(&sql, "CREATE TABLE IF NOT EXISTS ");
	add_table(&sql, t);
	wm_buf_adds(
	    &sql, " (source text, name text, value text NOT NULL, PRIMARY KEY (source, name))");
	if (sql.failed)
		return wm_oom(err, "a table's definition");
	st = wm_pg_exec(t->pg, sql.data, "could not create table " TABLE, err);
	if (st == WM_OK || st == WM_RETRY)
		return st;
	if (strcmp(err->code, "23505") == 0 || strcmp(err->code, "42P07") == 0 ||
	    strcmp(err->code, "42P06") == 0)
		return err->status = WM_RETRY; /* made by someone else at this moment */
	err->status = WM_FATAL;
	return wm_error_prefix(err,
	    "schema \"%s\" of the target must let walmill's role create tables "
	    "(GRANT USAGE, CREATE), or set `schema:`",
	    t->home);
}

enum wm_status
wm_postgres_load(
    struct wm_target *base, const char *source, wm_bookmark_fn *fn, void *arg, struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	const char *params[] = { source };
	struct wm_error local = { 0 };
	struct place place;
	enum wm_status st;

	wm_buf_init(&sql, SQL_MAX);
	st = look(t, &place, &local);
	if (st == WM_OK && !place.table)
		st = make_table(t, place.schema, &local);
	WM_FAULT(postgres_bookmarks_made);
	wm_buf_adds(&sql, "SELECT name, value FROM ");
	add_table(&sql, t);
	wm_buf_adds(&sql, " WHERE source = $1 ORDER BY name");
	if (st == WM_OK)
		st = wm_pg_query(
		    t->pg, sql.data, 1, params, "could not read the bookmarks", &res, &local);
	if (st != WM_OK)
		return wm_fail_code(
		    err, st == WM_REJECT ? WM_FATAL : st, local.code, "%s", local.text);
	for (int i = 0; i < PQntuples(res); i++)
		fn(arg, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1));
	return WM_OK;
}

/* A later bookmark of the same name counts. */
static bool
superseded(const struct wm_bookmark *list, size_t n, size_t i)
{
	for (size_t j = i + 1; j < n; j++)
		if (strcmp(list[i].name, list[j].name) == 0 &&
		    strcmp(list[i].source, list[j].source) == 0)
			return true;
	return false;
}

/* Queues one statement for the bookmarks that are set, or for those that are removed. */
static enum wm_status
send_some(struct wm_flight *f, struct wm_postgres_stmt *stmt, const struct wm_bookmark *list, size_t n, bool set,
    struct wm_error *err)
{
	struct wm_flight_tag tag = { .view = NULL, .row = WM_BAD_UNKNOWN };
	struct wm_buf params[3];
	enum wm_status st = WM_OK;
	uint32_t rows = 0;

	for (size_t i = 0; i < WM_ARRAY_SIZE(params); i++) {
		wm_buf_init(&params[i], VALUES_MAX);
		wm_textarray_begin(&params[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if ((list[i].value != NULL) != set || superseded(list, n, i))
			continue;
		wm_textarray_add_bytes(&params[0], list[i].source, strlen(list[i].source));
		wm_textarray_add_bytes(&params[1], list[i].name, strlen(list[i].name));
		if (set)
			wm_textarray_add_bytes(&params[2], list[i].value, strlen(list[i].value));
		rows++;
	}
	if (rows > 0) {
		for (unsigned i = 0; i < stmt->nparams; i++) {
			wm_textarray_end(&params[i], rows);
			if (params[i].failed)
				st = wm_oom(err, "bookmarks");
		}
		if (st == WM_OK)
			st = wm_flight_send(f, stmt, params, &tag, err);
	}
	for (size_t i = 0; i < WM_ARRAY_SIZE(params); i++)
		wm_buf_free(&params[i]);
	return st;
}

static enum wm_status
make_statements(struct wm_postgres *t, struct wm_error *err)
{
	struct wm_buf set, unset;

	wm_buf_init(&set, SQL_MAX);
	wm_buf_adds(&set, "INSERT INTO ");
	add_table(&set, t);
	wm_buf_adds(&set,
	    /* In one order: lanes of a source mark each other's. */
	    " SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ORDER BY 1, 2"
	    " ON CONFLICT (source, name) DO UPDATE SET value = EXCLUDED.value");
	wm_buf_init(&unset, SQL_MAX);
	wm_buf_adds(&unset, "DELETE FROM ");
	add_table(&unset, t);
	wm_buf_adds(&unset,
	    " AS t USING unnest($1::text[], $2::text[]) AS u(s, n) WHERE t.source = u.s AND t.name = u.n");
	t->set = (struct wm_postgres_stmt){ .sql = wm_buf_steal(&set), .nparams = 3, .name = "walmill_set" };
	t->unset = (struct wm_postgres_stmt){ .sql = wm_buf_steal(&unset), .nparams = 2, .name = "walmill_unset" };
	return t->set.sql == NULL || t->unset.sql == NULL ? wm_oom(err, "statements for bookmarks") : WM_OK;
}

void
wm_postgres_bookmarks_forget(struct wm_postgres *t)
{
	free(t->set.sql);
	free(t->unset.sql);
	t->set = t->unset = (struct wm_postgres_stmt){ 0 };
}

enum wm_status
wm_postgres_send_bookmarks(struct wm_postgres *t, struct wm_flight *f, const struct wm_bookmark *bookmarks, size_t n,
    struct wm_error *err)
{
	enum wm_status st = t->set.sql != NULL ? WM_OK : make_statements(t, err);

	if (st == WM_OK)
		st = send_some(f, &t->set, bookmarks, n, true, err);
	return st == WM_OK ? send_some(f, &t->unset, bookmarks, n, false, err) : st;
}

static enum wm_status
send_commit(struct wm_postgres *t, struct wm_flight *f, const struct wm_bookmark *bookmarks,
    size_t n, bool soon, struct wm_error *err)
{
	enum wm_status st = wm_flight_start(f, t->pg, err);

	if (st == WM_OK && !t->in_transaction)
		st = wm_flight_send_text(f, WM_POSTGRES_BEGIN, NULL, err);
	t->in_transaction = true;
	if (st == WM_OK)
		st = wm_postgres_send_bookmarks(t, f, bookmarks, n, err);
	if (st == WM_OK && !soon)
		st = wm_flight_send_text(f, WM_POSTGRES_DURABLY, NULL, err);
	return st == WM_OK ? wm_flight_send_text(f, "COMMIT", NULL, err) : st;
}

static enum wm_status
commit(struct wm_target *base, const struct wm_bookmark *bookmarks, size_t n, bool soon, struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	WM_AUTO(wm_flight_free) struct wm_flight flight = { 0 };
	struct wm_flight_tag bad;
	struct wm_error local = { 0 };
	enum wm_status st;

	if (n == 0 && !t->in_transaction)
		return WM_OK;
	/* COMMIT of a failed transaction is no error to the server: it rolls back. */
	if (t->in_transaction && PQtransactionStatus(wm_pg_conn(t->pg)) != PQTRANS_INTRANS)
		return wm_fail(err, WM_RETRY,
		    "the transaction at %s has failed or the connection is gone",
		    wm_pg_where(t->pg));
	WM_FAULT(postgres_commit_before);
	st = send_commit(t, &flight, bookmarks, n, soon, &local);
	if (st == WM_OK)
		st = wm_flight_land(&flight, "could not commit", &bad, &local);
	WM_FAULT(postgres_committed);
	if (st == WM_OK) {
		if (t->changed_shape)
			wm_postgres_sides_forget(t);
		t->in_transaction = false;
		t->changed_shape = false;
		return WM_OK;
	}
	if (strcmp(local.code, "25006") == 0) /* a standby, or read-only for a while */
		return wm_fail_code(err, WM_RETRY, local.code, "%s", local.text);
	/* Rows were checked when they were written, all but deferred constraints. */
	if (st == WM_REJECT)
		return wm_fail_code(err, WM_FATAL, local.code,
		    "%s; a deferred constraint at the target refuses the data: "
		    "drop it or make it NOT DEFERRABLE",
		    local.text);
	return wm_fail_code(err, st, local.code, "%s", local.text);
}

enum wm_status
wm_postgres_commit(struct wm_target *t, const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err)
{
	return commit(t, bookmarks, n, false, err);
}

enum wm_status
wm_postgres_commit_soon(struct wm_target *t, const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err)
{
	return commit(t, bookmarks, n, true, err);
}
