/* SPDX-License-Identifier: PostgreSQL */
/*
 * readback.c - one row read again at the source, by its key.
 */
#include <string.h>

#include "walmill/buf.h"
#include "walmill/seed.h"

static void
add_select(struct wm_buf *sql, const struct wm_relation *rel, const bool *needed, const unsigned *keys,
    unsigned nkeys)
{
	const char *sep = "SELECT ";

	for (unsigned i = 0; i < rel->ncolumns; i++) {
		if (!needed[i])
			continue;
		wm_buf_adds(sql, sep);
		wm_pg_quote_ident(sql, rel->columns[i].name);
		sep = ", ";
	}
	wm_buf_adds(sql, " FROM ");
	wm_pg_quote_ident(sql, rel->schema);
	wm_buf_addc(sql, '.');
	wm_pg_quote_ident(sql, rel->name);
	/* The parameter takes the column's type, so that an index on it serves. */
	for (unsigned i = 0; i < nkeys; i++) {
		wm_buf_adds(sql, i == 0 ? " WHERE " : " AND ");
		wm_pg_quote_ident(sql, rel->columns[keys[i]].name);
		wm_buf_addf(sql, " = $%u", i + 1);
	}
	wm_buf_adds(sql, " LIMIT 1");
}

static enum wm_status
copy_values(const struct wm_relation *rel, const bool *needed, const PGresult *res, struct wm_arena *arena,
    struct wm_tuple *ret, struct wm_error *err)
{
	struct wm_value *v = wm_arena_calloc(arena, rel->ncolumns, sizeof(*v));
	int field = 0;

	if (v == NULL)
		return wm_oom(err, "a row");
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		int at;

		if (!needed[i])
			continue;
		at = field++;
		if (PQgetisnull(res, 0, at))
			continue;
		v[i].kind = WM_VALUE_TEXT;
		v[i].len = (uint32_t)PQgetlength(res, 0, at);
		v[i].data = wm_arena_dup(arena, PQgetvalue(res, 0, at), v[i].len);
		if (v[i].data == NULL)
			return wm_oom(err, "a row");
	}
	*ret = (struct wm_tuple){ .n = rel->ncolumns, .values = v };
	return WM_OK;
}

enum wm_status
wm_seed_read_row(struct wm_pg *c, const struct wm_relation *rel, const bool *needed, const unsigned *keys,
    unsigned nkeys, const struct wm_tuple *key, struct wm_arena *arena, struct wm_tuple *ret, bool *ret_found,
    struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	const char **params = wm_arena_calloc(arena, nkeys + 1, sizeof(*params));
	struct wm_buf sql;
	enum wm_status st;

	if (params == NULL)
		return wm_oom(err, "a key");
	for (unsigned i = 0; i < nkeys; i++) {
		const struct wm_value *v = &key->values[keys[i]];

		params[i] = v->kind == WM_VALUE_TEXT ? wm_arena_dup(arena, v->data, v->len) : NULL;
		if (params[i] == NULL)
			return wm_fail(err, WM_FATAL,
			    "cannot read a row of %s.%s again: its key is not known", rel->schema,
			    rel->name);
	}
	wm_buf_init(&sql, 1U << 20);
	add_select(&sql, rel, needed, keys, nkeys);
	st = wm_pg_query(c, sql.data, (int)nkeys, params, "could not read a row again", &res, err);
	wm_buf_free(&sql);
	if (st != WM_OK)
		return wm_seed_failed(c, rel->schema, rel->name, err);
	*ret_found = PQntuples(res) == 1;
	return *ret_found ? copy_values(rel, needed, res, arena, ret, err) : WM_OK;
}
