/* SPDX-License-Identifier: PostgreSQL */
/*
 * catalog.c - the tables of a database and their columns, in as many statements whatever their
 * number.  Nothing here locks a table: sizes are the planner's estimates.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

/* Ordinary and partitioned tables that are neither temporary nor the server's own. */
#define USER_TABLES \
	"pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace " \
	"AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' " \
	"AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' "

static const char tables_sql[] =
    "SELECT c.oid, n.nspname, c.relname, c.relreplident, c.relkind, c.relpersistence = 'u', "
    "c.relispartition, coalesce(h.inhparent, 0), "
    /* never analysed: what the statistics counted, if they did */
    "greatest(c.reltuples::float8, nullif(pg_catalog.pg_stat_get_live_tuples(c.oid), 0)::float8)::int8, "
    "greatest(c.relpages, 0)::int8 * pg_catalog.current_setting('block_size')::int8, "
    "pg_catalog.pg_has_role(c.relowner, 'USAGE'), "
    "pg_catalog.has_schema_privilege(n.oid, 'USAGE') "
    "AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT'), "
    "pg_catalog.row_security_active(c.oid), "
    "CASE WHEN c.relispartition THEN c.relfilenode ELSE 0 END, c.relnatts, "
    "coalesce((SELECT max(a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attisdropped), 0), "
    WM_PARTITION_LINK " "
    "FROM " USER_TABLES
    "LEFT JOIN pg_catalog.pg_inherits h ON c.relispartition AND h.inhrelid = c.oid "
    "ORDER BY c.oid";

/*
 * The replica identity by default is the primary key, unless that is deferrable: then two rows may have one
 * key within a transaction, and a change does not tell which it means.  Columns that an index only includes
 * are no part of it.
 */
static const char columns_sql[] =
    "SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, a.attgenerated, "
    "coalesce(a.attnum = ANY ((p.indkey::int2[])[0:p.indnkeyatts - 1]), false), "
    "c.relreplident = 'f' OR coalesce(a.attnum = ANY ((r.indkey::int2[])[0:r.indnkeyatts - 1]), false), a.attnum "
    "FROM pg_catalog.pg_attribute a JOIN (" USER_TABLES ") ON c.oid = a.attrelid "
    "LEFT JOIN pg_catalog.pg_index p ON p.indrelid = c.oid AND p.indisprimary AND p.indimmediate "
    "LEFT JOIN pg_catalog.pg_index r ON r.indrelid = c.oid AND r.indisvalid AND r.indimmediate "
    "AND (c.relreplident = 'd' AND r.indisprimary OR c.relreplident = 'i' AND r.indisreplident) "
    "WHERE a.attnum > 0 AND NOT a.attisdropped "
    "ORDER BY a.attrelid, a.attnum";

void
wm_tables_free(struct wm_tables *t)
{
	for (size_t i = 0; i < t->n; i++)
		wm_relation_free(t->list[i].rel);
	free(t->list);
	*t = (struct wm_tables){ .n = 0 };
}

static bool
read_table(const PGresult *res, int row, struct wm_table *t)
{
	t->rel = calloc(1, sizeof(*t->rel));
	if (t->rel == NULL)
		return false;
	t->rel->oid = wm_pg_oid(res, row, 0);
	t->rel->schema = strdup(PQgetvalue(res, row, 1));
	t->rel->name = strdup(PQgetvalue(res, row, 2));
	t->rel->identity = (enum wm_identity)PQgetvalue(res, row, 3)[0];
	t->kind = PQgetvalue(res, row, 4)[0];
	t->unlogged = wm_pg_bool(res, row, 5);
	t->partition = wm_pg_bool(res, row, 6);
	t->rows = t->kind == 'p' ? -1 : (double)wm_pg_int(res, row, 8);
	t->bytes = t->kind == 'p' ? 0 : wm_pg_int(res, row, 9);
	t->owned = wm_pg_bool(res, row, 10);
	t->readable = wm_pg_bool(res, row, 11);
	t->row_security = wm_pg_bool(res, row, 12);
	t->node = wm_pg_oid(res, row, 13);
	t->rel->last_number = (uint16_t)wm_pg_int(res, row, 14);
	t->rel->last_dropped = (uint16_t)wm_pg_int(res, row, 15);
	t->link = (uint32_t)wm_pg_int(res, row, 16);
	return t->rel->schema != NULL && t->rel->name != NULL;
}

static enum wm_status
read_tables(const PGresult *res, struct wm_tables *ret, struct wm_error *err)
{
	int n = PQntuples(res);

	ret->list = calloc((size_t)n + 1, sizeof(*ret->list));
	if (ret->list == NULL)
		return wm_oom(err, "the list of tables");
	for (int i = 0; i < n; i++) {
		ret->n++;
		if (!read_table(res, i, &ret->list[i]))
			return wm_oom(err, "the list of tables");
	}
	return WM_OK;
}

/* The list is sorted by OID. */
static struct wm_table *
find_table(const struct wm_tables *tables, uint32_t oid)
{
	size_t low = 0, high = tables->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (tables->list[middle].rel->oid == oid)
			return &tables->list[middle];
		if (tables->list[middle].rel->oid < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* A partitioned table holds what its partitions hold. */
static void
add_to_parents(const PGresult *res, struct wm_tables *tables)
{
	for (size_t i = 0; i < tables->n; i++) {
		struct wm_table *leaf = &tables->list[i], *up;

		if (leaf->kind != 'r' || !leaf->partition)
			continue;
		up = find_table(tables, wm_pg_oid(res, (int)i, 7));
		while (up != NULL) {
			if (leaf->rows >= 0)
				up->rows = leaf->rows + (up->rows > 0 ? up->rows : 0);
			up->bytes += leaf->bytes;
			leaf->root = up->rel->oid;
			up = find_table(tables, wm_pg_oid(res, (int)(up - tables->list), 7));
		}
	}
}

/* Whether the stream carries a column: a virtual one never, a stored generated one from 18 on. */
static bool
is_streamed(const char *generated, int version)
{
	return generated[0] == '\0' || (generated[0] == 's' && version >= 180000);
}

/* The columns in rows first to last, all of table t. */
static bool
read_columns(const PGresult *res, int first, int last, int version, struct wm_table *t)
{
	struct wm_relation *rel = t->rel;

	rel->columns = calloc((size_t)(last - first) + 1, sizeof(*rel->columns));
	if (rel->columns == NULL)
		return false;
	for (int i = first; i < last; i++) {
		struct wm_column *col = &rel->columns[rel->ncolumns];
		const char *generated = PQgetvalue(res, i, 4);
		uint32_t oid = wm_pg_oid(res, i, 2);
		int32_t typmod = (int32_t)wm_pg_int(res, i, 3);

		if (!is_streamed(generated, version)) {
			t->has_generated |= generated[0] == 's';
			continue;
		}
		rel->ncolumns++;
		col->name = strdup(PQgetvalue(res, i, 1));
		if (col->name == NULL)
			return false;
		if (!wm_type_builtin(oid, typmod, &col->type))
			col->type = (struct wm_type){ .oid = oid, .typmod = typmod };
		col->primary = wm_pg_bool(res, i, 5);
		col->number = (uint16_t)wm_pg_int(res, i, 7);
		col->identity = wm_pg_bool(res, i, 6);
	}
	return true;
}

/* Both the list and the rows are sorted by OID, and of one snapshot. */
static enum wm_status
read_all_columns(const PGresult *res, int version, struct wm_tables *tables, struct wm_error *err)
{
	int row = 0;

	for (size_t i = 0; i < tables->n; i++) {
		int first = row;

		while (row < PQntuples(res) && wm_pg_oid(res, row, 0) == tables->list[i].rel->oid)
			row++;
		if (!read_columns(res, first, row, version, &tables->list[i]))
			return wm_oom(err, "the columns of tables");
	}
	return WM_OK;
}

static enum wm_status
resolve_all(struct wm_pg *c, const struct wm_tables *tables, struct wm_error *err)
{
	WM_AUTO(wm_freep) struct wm_relation **rels =
	    calloc(tables->n + 1, sizeof(struct wm_relation *));

	if (rels == NULL)
		return wm_oom(err, "the list of tables");
	for (size_t i = 0; i < tables->n; i++)
		rels[i] = tables->list[i].rel;
	return wm_pg_resolve_types(c, rels, tables->n, err);
}

static enum wm_status
read_catalog(struct wm_pg *c, struct wm_tables *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *tables = NULL;
	WM_AUTO(wm_pg_clearp) PGresult *columns = NULL;
	enum wm_status status;

	status = wm_pg_query(
	    c, tables_sql, 0, NULL, "could not read the catalog's tables", &tables, err);
	if (status == WM_OK)
		status = wm_pg_query(
		    c, columns_sql, 0, NULL, "could not read the catalog's columns", &columns, err);
	if (status == WM_OK)
		status = read_tables(tables, ret, err);
	if (status == WM_OK)
		status = read_all_columns(columns, wm_pg_version(c), ret, err);
	if (status != WM_OK)
		return status;
	add_to_parents(tables, ret);
	return resolve_all(c, ret, err);
}

enum wm_status
wm_catalog_tables(struct wm_pg *c, struct wm_tables *ret, struct wm_error *err)
{
	WM_AUTO(wm_tables_free) struct wm_tables tables = { .n = 0 };
	/* One snapshot for all statements; a transaction of the caller must have its own. */
	bool own = PQtransactionStatus(c->pq) == PQTRANS_IDLE;
	enum wm_status status = WM_OK, ended = WM_OK;

	if (own)
		status = wm_pg_exec(c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		    "could not read the catalog", err);
	if (status == WM_OK)
		status = read_catalog(c, &tables, err);
	if (own)
		ended = wm_pg_exec(
		    c, "COMMIT", "could not read the catalog", status == WM_OK ? err : NULL);
	if (status == WM_OK)
		status = ended;
	if (status != WM_OK)
		return status;
	*ret = tables;
	tables = (struct wm_tables){ .n = 0 };
	return WM_OK;
}

/* A hash of every row that decides; the rows differ, so that none cancels another out. */
enum wm_status
wm_catalog_version(struct wm_pg *c, uint64_t *ret, struct wm_error *err)
{
	static const char sql[] =
	    "WITH t AS MATERIALIZED (SELECT c.oid, pg_catalog.concat_ws(' ', c.relkind, c.relreplident, "
	    "c.relpersistence, c.relispartition, CASE WHEN c.relispartition THEN c.relfilenode END, "
	    "pg_catalog.quote_ident(n.nspname), "
	    "pg_catalog.quote_ident(c.relname)) AS what FROM " USER_TABLES ") "
	    "SELECT coalesce(pg_catalog.bit_xor(pg_catalog.hashtextextended(v.what, 0)), 0) FROM ("
	    "SELECT pg_catalog.concat_ws(' ', 't', t.oid, t.what) FROM t "
	    "UNION ALL SELECT pg_catalog.concat_ws(' ', 'a', a.attrelid, a.attnum, a.atttypid, a.atttypmod, "
	    "a.attgenerated, a.attname) "
	    "FROM t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped "
	    "UNION ALL SELECT pg_catalog.concat_ws(' ', 'i', i.indexrelid, i.indrelid, i.indisprimary, "
	    "i.indisreplident, i.indisvalid, i.indkey) FROM t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid "
	    "WHERE i.indisprimary OR i.indisreplident "
	    "UNION ALL SELECT pg_catalog.concat_ws(' ', 'h', h.inhrelid, h.inhparent, h.xmin) "
	    "FROM t JOIN pg_catalog.pg_inherits h ON h.inhrelid = t.oid) v(what)";
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status status;

	status = wm_pg_query(c, sql, 0, NULL, "could not read the catalog's version", &res, err);
	if (status == WM_OK)
		*ret = (uint64_t)wm_pg_int(res, 0, 0);
	return status;
}
