/* SPDX-License-Identifier: PostgreSQL */
/*
 * snapshot.c - the transactions in which a seed reads, and what they see.
 */
#include <stdio.h>
#include <string.h>

#include "walmill/buf.h"
#include "walmill/seed.h"
#include "walmill/strutil.h"

enum wm_status
wm_seed_begin(struct wm_pg *c, const char *snapshot, char **ret_visible, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	struct wm_buf sql;
	enum wm_status st;

	wm_buf_init(&sql, 1024);
	wm_buf_adds(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;");
	if (snapshot != NULL) {
		wm_buf_adds(&sql, "SET TRANSACTION SNAPSHOT ");
		wm_pg_quote_literal(&sql, snapshot);
		wm_buf_addc(&sql, ';');
	}
	/*
	 * Row security must be an error, not missing rows.  A parallel or synchronised scan would give
	 * rows in another order than their blocks.
	 */
	wm_buf_adds(&sql, "SET LOCAL row_security = off; SET LOCAL synchronize_seqscans = off;"
	    "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL statement_timeout = 0;"
	    "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = 0");
	st = wm_pg_exec(c, sql.data, "could not begin reading", err);
	wm_buf_free(&sql);
	if (st == WM_OK)
		st = wm_pg_query(c, "SELECT pg_catalog.pg_current_snapshot()", 0, NULL,
		    "could not read the snapshot", &res, err);
	if (st != WM_OK || ret_visible == NULL)
		return st;
	*ret_visible = wm_asprintf("%s", PQgetvalue(res, 0, 0));
	return *ret_visible == NULL ? wm_oom(err, "a snapshot") : WM_OK;
}

enum wm_status
wm_seed_end(struct wm_pg *c, struct wm_error *err)
{
	return wm_pg_exec(c, "COMMIT", "could not end reading", err);
}

enum wm_status
wm_seed_has_rows(struct wm_pg *c, const char *schema, const char *name, bool *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	struct wm_buf sql;
	enum wm_status st;

	wm_buf_init(&sql, 1024);
	wm_buf_adds(&sql, "SELECT EXISTS (SELECT 1 FROM ONLY ");
	wm_pg_quote_ident(&sql, schema);
	wm_buf_addc(&sql, '.');
	wm_pg_quote_ident(&sql, name);
	wm_buf_addc(&sql, ')');
	st = wm_pg_query(c, sql.data, 0, NULL, "could not look for rows", &res, err);
	wm_buf_free(&sql);
	if (st == WM_OK)
		*ret = *PQgetvalue(res, 0, 0) == 't';
	return st;
}

enum wm_status
wm_seed_check_rewrite(struct wm_pg *c, uint32_t oid, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	char sql[200];
	enum wm_status st;

	/* The column comes by the snapshot, the function knows what is current. */
	snprintf(sql, sizeof(sql), "SELECT 1 FROM pg_catalog.pg_class WHERE oid = %" PRIu32
	    " AND relfilenode = pg_catalog.pg_relation_filenode(oid)", oid);
	st = wm_pg_query(c, sql, 0, NULL, "could not look at a table's storage", &res, err);
	if (st == WM_OK && PQntuples(res) != 1)
		return wm_fail_code(err, WM_RETRY, WM_SEED_REWRITTEN,
		    "table %" PRIu32 " was rewritten while it was read", oid);
	return st;
}

/* The decimal number at *p; moves behind it. */
static uint64_t
number(const char **p)
{
	uint64_t n = 0;

	while (**p >= '0' && **p <= '9')
		n = n * 10 + (uint64_t)(*(*p)++ - '0');
	return n;
}

bool
wm_snapshot_sees(const char *visible, uint32_t xid)
{
	const char *p = visible;
	uint64_t xmin = number(&p), xmax, full;

	if (*p == ':')
		p++;
	xmax = number(&p);
	if (*p == ':')
		p++;
	/* Give the id the epoch that puts it nearest to xmax: ids in use are less than 2^31 apart. */
	full = xmax + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)xmax);
	if (full < xmin)
		return true;
	if (full >= xmax)
		return false;
	while (*p != '\0') {
		if (number(&p) == full)
			return false;
		if (*p == ',')
			p++;
	}
	return true;
}
