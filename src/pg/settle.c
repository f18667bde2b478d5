/* SPDX-License-Identifier: PostgreSQL */
/*
 * settle.c - waiting until the transactions that ran at some moment have ended.
 *
 * A transaction that wrote to a table before the publication had it is not streamed, though it
 * may commit later; a snapshot that is taken once all such transactions have ended has their rows.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

#define POLL_FIRST 10			/* ms, doubled each time */
#define POLL_MAX 500

static enum wm_status
query_xid(struct wm_pg *c, const char *sql, uint64_t *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status status;

	status =
	    wm_pg_query(c, sql, 0, NULL, "could not read the server's transaction ids", &res, err);
	if (status == WM_OK && !wm_parse_u64(PQgetvalue(res, 0, 0), ret))
		return wm_fail(err, WM_FATAL,
		    "could not read the server's transaction ids: the answer is no number");
	return status;
}

/*
 * Takes an id for itself: pg_snapshot_xmax is only past the last one that completed, and later
 * ones may be running.
 */
enum wm_status
wm_pg_next_xid(struct wm_pg *c, uint64_t *ret, struct wm_error *err)
{
	return query_xid(c, "SELECT pg_catalog.pg_current_xact_id()", ret, err);
}

static enum wm_status
timed_out(struct wm_pg *c, struct wm_error *err)
{
	static const char sql[] =
	    "SELECT x.who, x.fix FROM ("
	    "SELECT pg_catalog.age(a.backend_xid), pg_catalog.format('pid %s (%s, database %s, %s, since %s)', "
	    "a.pid, coalesce('role ' || pg_catalog.quote_ident(a.usename), a.backend_type), "
	    "coalesce(pg_catalog.quote_ident(a.datname), 'none'), coalesce(a.state, 'running'), "
	    "pg_catalog.date_trunc('second', a.xact_start)), "
	    "pg_catalog.format('SELECT pg_terminate_backend(%s)', a.pid) "
	    "FROM pg_catalog.pg_stat_activity a "
	    "WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid() "
	    "UNION ALL "
	    "SELECT pg_catalog.age(p.transaction), pg_catalog.format('prepared transaction %L of database %I', p.gid, "
	    "p.database), pg_catalog.format('ROLLBACK PREPARED %L', p.gid) FROM pg_catalog.pg_prepared_xacts p"
	    ") x(age, who, fix) ORDER BY x.age DESC LIMIT 1";
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status status;

	status = wm_pg_query(c, sql, 0, NULL, "could not read the running transactions", &res, err);
	if (status != WM_OK)
		return status;
	if (PQntuples(res) == 0)
		return wm_fail(err, WM_RETRY,
		    "transactions older than the publication still run, and this role may not see "
		    "whose; run: GRANT pg_monitor TO \"%s\"",
		    PQuser(c->pq));
	return wm_fail(err, WM_RETRY,
	    "transactions older than the publication still run, the oldest is %s; wait for it, "
	    "or end it: %s",
	    PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1));
}

enum wm_status
wm_publication_settle(struct wm_pg *c, uint64_t since_xid, wm_usec deadline, struct wm_error *err)
{
	int64_t wait = POLL_FIRST;

	for (;;) {
		uint64_t oldest;
		int64_t left;
		enum wm_status status;

		status = query_xid(c,
		    "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())", &oldest,
		    err);
		if (status != WM_OK || oldest >= since_xid)
			return status;
		left = (deadline - wm_clock_mono()) / WM_MSEC;
		if (left <= 0)
			return timed_out(c, err);
		poll(NULL, 0, (int)(wait < left ? wait : left));
		wait = wait * 2 < POLL_MAX ? wait * 2 : POLL_MAX;
	}
}
