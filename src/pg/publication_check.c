/* SPDX-License-Identifier: PostgreSQL */
/*
 * publication_check.c - what a publication that is not ours to alter lacks; whether there is
 * one; and dropping it.
 */
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "publication.h"
#include "walmill/fault.h"

static void
check_events(const char *name, const struct wm_publication_state *now, struct wm_diags *findings)
{
	const struct {
		const char	*event;
		bool		 published;
	} events[] = {
		{ "insert", now->insert },
		{ "update", now->update },
		{ "delete", now->delete },
		{ "truncate", now->truncate },
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(events); i++) {
		if (events[i].published)
			continue;
		wm_diags_add(findings, WM_WARNING, name,
		    "ALTER PUBLICATION ... SET (publish = 'insert, update, delete, truncate')",
		    "it does not publish %s: those changes never arrive", events[i].event);
	}
}

/* One row a table and published column, sorted by OID; before 15 one row a table. */
static enum wm_status
read_published(struct wm_pg *c, const char *publication, PGresult **ret, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	bool lists = wm_pg_version(c) >= 150000;

	wm_buf_init(&sql, 4096);
	wm_buf_addf(&sql, "SELECT c.oid, %s FROM pg_catalog.pg_publication_tables t "
	    "JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname "
	    "JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename %s"
	    "WHERE t.pubname = ",
	    lists ? "t.rowfilter IS NOT NULL, a.name" : "false, NULL",
	    lists ? "LEFT JOIN LATERAL pg_catalog.unnest(t.attnames) a(name) ON true " : "");
	wm_pg_quote_literal(&sql, publication);
	wm_buf_adds(&sql, " ORDER BY c.oid");
	return wm_pg_query_sql(c, &sql, "could not read the publication's tables", ret, err);
}

/* The first of the rows of a table; -1 when it is not published. */
static int
find_published(const PGresult *res, uint32_t oid)
{
	int low = 0, high = PQntuples(res);

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (wm_pg_oid(res, middle, 0) < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < PQntuples(res) && wm_pg_oid(res, low, 0) == oid ? low : -1;
}

static bool
publishes_column(const PGresult *res, int first, const char *column)
{
	for (int i = first; i < PQntuples(res) && wm_pg_oid(res, i, 0) == wm_pg_oid(res, first, 0);
	     i++) {
		if (strcmp(PQgetvalue(res, i, 2), column) == 0)
			return true;
	}
	return false;
}

static void
check_table(struct wm_pg *c, const PGresult *res, const char *publication,
    const struct wm_published *t, struct wm_diags *findings)
{
	char subject[160], fix[400];
	int first = find_published(res, t->oid);

	snprintf(subject, sizeof(subject), "table \"%.63s.%.63s\"", t->schema, t->name);
	if (first < 0) {
		snprintf(fix, sizeof(fix),
		    "ALTER PUBLICATION \"%.63s\" ADD TABLE \"%.63s\".\"%.63s\"", publication,
		    t->schema, t->name);
		wm_diags_add(findings, WM_ERROR, subject, fix,
		    "publication \"%s\" does not publish it", publication);
		return;
	}
	if (wm_pg_bool(res, first, 1))
		wm_diags_add(findings, WM_WARNING, subject, NULL,
		    "publication \"%s\" publishes only the rows that its WHERE "
		    "accepts",
		    publication);
	for (size_t i = 0; wm_pg_version(c) >= 150000 && i < t->ncolumns; i++) {
		if (publishes_column(res, first, t->columns[i]))
			continue;
		snprintf(fix, sizeof(fix),
		    "add \"%.63s\" to the column list of publication \"%.63s\"", t->columns[i],
		    publication);
		wm_diags_add(findings, WM_ERROR, subject, fix,
		    "publication \"%s\" does not publish column \"%s\"", publication,
		    t->columns[i]);
	}
}

/* Whether one of these tables is partitioned. */
static enum wm_status
any_partitioned(
    struct wm_pg *c, const struct wm_published *tables, size_t n, bool *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	enum wm_status status;

	wm_buf_init(&sql, 64 << 20);
	wm_buf_adds(&sql, "SELECT FROM pg_catalog.pg_class WHERE relkind = 'p' AND oid IN (0");
	for (size_t i = 0; i < n; i++)
		wm_buf_addf(&sql, ",%u", (unsigned)tables[i].oid);
	wm_buf_adds(&sql, ") LIMIT 1");
	status = wm_pg_query_sql(c, &sql, "could not read the tables to publish", &res, err);
	if (status == WM_OK)
		*ret = PQntuples(res) > 0;
	return status;
}

enum wm_status
wm_publication_check(struct wm_pg *c, const char *publication, const struct wm_published *tables,
    size_t n, struct wm_diags *findings, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	struct wm_publication_state now;
	bool partitioned;
	char name[100];
	enum wm_status status;

	snprintf(name, sizeof(name), "publication \"%.63s\"", publication);
	status = wm_publication_read(c, publication, &now, err);
	if (status != WM_OK)
		return status;
	if (!now.exists) {
		wm_diags_add(findings, WM_ERROR, name,
		    "CREATE PUBLICATION it before the slot, or leave manage: false out",
		    "it does not exist in database \"%s\"", PQdb(wm_pg_conn(c)));
		return WM_OK;
	}
	status = any_partitioned(c, tables, n, &partitioned, err);
	if (status == WM_OK)
		status = read_published(c, publication, &res, err);
	if (status != WM_OK)
		return status;
	check_events(name, &now, findings);
	if (partitioned && !now.via_root)
		wm_diags_add(findings, WM_ERROR, name,
		    "ALTER PUBLICATION ... SET (publish_via_partition_root = true)",
		    "it publishes changes of partitioned tables under their partitions' names");
	for (size_t i = 0; i < n; i++)
		check_table(c, res, publication, &tables[i], findings);
	return WM_OK;
}

enum wm_status
wm_publication_exists(struct wm_pg *c, const char *publication, bool *ret, struct wm_error *err)
{
	struct wm_publication_state now;
	enum wm_status status = wm_publication_read(c, publication, &now, err);

	if (status == WM_OK)
		*ret = now.exists;
	return status;
}

enum wm_status
wm_publication_drop(struct wm_pg *c, const char *publication, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	char what[120];
	enum wm_status status;

	snprintf(what, sizeof(what), "could not drop publication \"%.63s\"", publication);
	wm_buf_init(&sql, 1024);
	wm_buf_adds(&sql, "DROP PUBLICATION IF EXISTS ");
	wm_pg_quote_ident(&sql, publication);
	status = wm_pg_exec_sql(c, &sql, what, err);
	WM_FAULT(publication_dropped);
	return status;
}
