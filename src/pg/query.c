/* SPDX-License-Identifier: PostgreSQL */
/*
 * query.c - statements, their results, and quoting.
 */
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

void
wm_pg_clearp(PGresult **res)
{
	PQclear(*res);
}

enum wm_status
wm_pg_exec(struct wm_pg *c, const char *sql, const char *what, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = wm_pg_run(c, sql, 0, NULL);

	switch (PQresultStatus(res)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_EMPTY_QUERY:
		return WM_OK;
	default:
		return wm_pg_fail(c, res, err, "%s", what);
	}
}

enum wm_status
wm_pg_query(struct wm_pg *c, const char *sql, int n, const char *const *params, const char *what,
    PGresult **ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = wm_pg_run(c, sql, n, params);

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return wm_pg_fail(c, res, err, "%s", what);
	*ret = res;
	res = NULL;
	return WM_OK;
}

enum wm_status
wm_pg_query_sql(struct wm_pg *c, const struct wm_buf *sql, const char *what, PGresult **ret,
    struct wm_error *err)
{
	if (sql->failed)
		return wm_oom(err, "a statement");
	return wm_pg_query(c, sql->data, 0, NULL, what, ret, err);
}

enum wm_status
wm_pg_exec_sql(struct wm_pg *c, const struct wm_buf *sql, const char *what, struct wm_error *err)
{
	if (sql->failed)
		return wm_oom(err, "a statement");
	return wm_pg_exec(c, sql->data, what, err);
}

void
wm_pg_quote_ident(struct wm_buf *b, const char *name)
{
	wm_buf_addc(b, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			wm_buf_addc(b, '"');
		wm_buf_addc(b, *name);
	}
	wm_buf_addc(b, '"');
}

void
wm_pg_quote_literal(struct wm_buf *b, const char *s)
{
	/* standard_conforming_strings decides what a backslash means, but not in E''. */
	if (strchr(s, '\\') != NULL)
		wm_buf_addc(b, 'E');
	wm_buf_addc(b, '\'');
	for (; *s != '\0'; s++) {
		if (*s == '\'' || *s == '\\')
			wm_buf_addc(b, *s);
		wm_buf_addc(b, *s);
	}
	wm_buf_addc(b, '\'');
}

void
wm_pg_add_oids(struct wm_buf *sql, const uint32_t *oids, size_t n)
{
	wm_buf_adds(sql, "'{");
	for (size_t i = 0; i < n; i++)
		wm_buf_addf(sql, "%s%u", i > 0 ? "," : "", (unsigned)oids[i]);
	wm_buf_adds(sql, "}'::pg_catalog.oid[]");
}

bool
wm_pg_bool(const PGresult *res, int row, int col)
{
	return PQgetvalue(res, row, col)[0] == 't';
}

int64_t
wm_pg_int(const PGresult *res, int row, int col)
{
	int64_t v;

	return wm_parse_i64(PQgetvalue(res, row, col), &v) ? v : 0;
}

uint32_t
wm_pg_oid(const PGresult *res, int row, int col)
{
	return (uint32_t)wm_pg_int(res, row, col);
}

wm_lsn
wm_pg_lsn(const PGresult *res, int row, int col)
{
	wm_lsn lsn;

	return wm_lsn_parse(PQgetvalue(res, row, col), &lsn) ? lsn : 0;
}
