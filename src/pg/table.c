/* SPDX-License-Identifier: PostgreSQL */
/*
 * table.c - look-ups about one table, by its OID.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static enum wm_status
set_primary(struct wm_pg *c, struct wm_relation *rel, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	char sql[500];
	enum wm_status status;

	snprintf(sql, sizeof(sql),
	    "SELECT a.attname FROM pg_catalog.pg_class r LEFT JOIN (pg_catalog.pg_index p JOIN pg_catalog.pg_attribute a "
	    "ON a.attrelid = p.indrelid AND a.attnum = ANY ((p.indkey::int2[])[0:p.indnkeyatts - 1]) "
	    "AND p.indisprimary AND p.indimmediate) ON p.indrelid = r.oid WHERE r.oid = %u",
	    (unsigned)rel->oid);
	status = wm_pg_query(c, sql, 0, NULL, "could not read a table's primary key", &res, err);
	/* A table that was dropped meanwhile has the key that it had. */
	if (status != WM_OK || PQntuples(res) == 0)
		return status;
	for (unsigned i = 0; i < rel->ncolumns; i++)
		rel->columns[i].primary = false;
	for (int i = 0; i < PQntuples(res); i++) {
		int column = wm_relation_column(rel, PQgetvalue(res, i, 0));

		if (column >= 0)
			rel->columns[column].primary = true;
	}
	return WM_OK;
}

enum wm_status
wm_catalog_complete(struct wm_pg *c, struct wm_relation *rel, struct wm_error *err)
{
	enum wm_status status = wm_pg_resolve_types(c, &rel, 1, err);

	return status == WM_OK ? set_primary(c, rel, err) : status;
}

void
wm_leaves_free(struct wm_leaves *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->list[i].schema);
		free(l->list[i].name);
	}
	free(l->list);
	*l = (struct wm_leaves){ .n = 0 };
}

static enum wm_status
read_leaves(const PGresult *res, struct wm_leaves *ret, struct wm_error *err)
{
	int n = PQntuples(res);

	ret->list = calloc((size_t)n + 1, sizeof(*ret->list));
	if (ret->list == NULL)
		return wm_oom(err, "a table's partitions");
	for (int i = 0; i < n; i++) {
		struct wm_leaf *leaf = &ret->list[i];

		leaf->oid = wm_pg_oid(res, i, 0);
		leaf->node = wm_pg_oid(res, i, 1);
		leaf->schema = strdup(PQgetvalue(res, i, 2));
		leaf->name = strdup(PQgetvalue(res, i, 3));
		leaf->rows = (double)wm_pg_int(res, i, 4);
		leaf->blocks = (uint32_t)wm_pg_int(res, i, 5);
		leaf->link = (uint32_t)wm_pg_int(res, i, 6);
		ret->n++;
		if (leaf->schema == NULL || leaf->name == NULL)
			return wm_oom(err, "a table's partitions");
	}
	return WM_OK;
}

/* Foreign partitions are left out: the stream cannot carry their changes. */
enum wm_status
wm_catalog_leaves(struct wm_pg *c, uint32_t oid, struct wm_leaves *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	WM_AUTO(wm_leaves_free) struct wm_leaves leaves = { .n = 0 };
	char sql[1400];
	enum wm_status status;

	/* pg_partition_tree knows only tables that are partitioned or partitions.  An array is looked up by the index. */
	snprintf(sql, sizeof(sql),
	    "SELECT c.oid, pg_catalog.pg_relation_filenode(c.oid), n.nspname, c.relname, "
	    "greatest(c.reltuples::float8, nullif(pg_catalog.pg_stat_get_live_tuples(c.oid), 0)::float8)::int8, "
	    "pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8, "
	    WM_PARTITION_LINK " "
	    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
	    "WHERE c.relkind = 'r' AND c.oid = ANY (ARRAY(SELECT %u::oid UNION "
	    "SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(%u) p WHERE p.isleaf)) ORDER BY c.oid",
	    (unsigned)oid, (unsigned)oid);
	status = wm_pg_query(c, sql, 0, NULL, "could not read a table's partitions", &res, err);
	if (status == WM_OK)
		status = read_leaves(res, &leaves, err);
	if (status != WM_OK)
		return status;
	*ret = leaves;
	leaves = (struct wm_leaves){ .n = 0 };
	return WM_OK;
}

/*
 * A default that is computed once is kept beside the column (atthasmissing); any other, an
 * identity or a generated column, rewrote the table.  A column that is older than it seems was a
 * generated one (DROP EXPRESSION), which the stream left out.
 */
enum wm_status
wm_catalog_has_default(
    struct wm_pg *c, uint32_t oid, const char *column, unsigned last_number, bool *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	enum wm_status status;

	wm_buf_init(&sql, 4096);
	wm_buf_addf(&sql,
	    "SELECT a.atthasmissing OR a.atthasdef OR a.attidentity <> '' OR a.attnum <= %u "
	    "FROM pg_catalog.pg_attribute a WHERE a.attrelid = %u AND a.attnum > 0 AND a.attname = ",
	    last_number, (unsigned)oid);
	wm_pg_quote_literal(&sql, column);
	status = wm_pg_query_sql(c, &sql, "could not read a column's default", &res, err);
	if (status == WM_OK)
		*ret = PQntuples(res) != 1 || wm_pg_bool(res, 0, 0);	/* gone again: nobody knows */
	return status;
}

enum wm_status
wm_catalog_is_unique(struct wm_pg *c, const struct wm_relation *rel, const unsigned *columns, unsigned n, bool *ret,
    struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	enum wm_status status;

	wm_buf_init(&sql, 65536);
	wm_buf_addf(&sql,
	    "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = %u AND i.indisunique AND i.indisvalid "
	    "AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL "
	    "AND (i.indkey::int2[])[0:i.indnkeyatts - 1] <@ '{",
	    (unsigned)rel->oid);
	for (unsigned i = 0; i < n; i++)
		wm_buf_addf(&sql, "%s%u", i > 0 ? "," : "", (unsigned)rel->columns[columns[i]].number);
	wm_buf_adds(&sql, "}'::int2[])");
	status = wm_pg_query_sql(c, &sql, "could not read a table's indexes", &res, err);
	if (status == WM_OK)
		*ret = wm_pg_bool(res, 0, 0);
	return status;
}
