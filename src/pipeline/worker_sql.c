/* SPDX-License-Identifier: PostgreSQL */
/*
 * worker_sql.c - a worker's connection to its source, and what that sees.
 */
#include "internal.h"

#define VISIBLE_WAIT (10 * WM_SEC)

enum wm_status
worker_sql(struct worker *w, struct wm_error *err)
{
	enum wm_status st;

	if (w->sql != NULL && PQstatus(wm_pg_conn(w->sql)) == CONNECTION_OK)
		return WM_OK;
	wm_pg_close(w->sql);
	w->sql = NULL;
	st = source_connect(w->source, WM_PG_SQL, "walmill worker", &w->sql, err);
	/* Whatever is wrong with the source, its own threads judge it: here it is only out of reach. */
	return st == WM_OK ? WM_OK : (err->status = WM_RETRY);
}

enum wm_status
worker_sql_now(struct worker *w, struct wm_error *err)
{
	wm_usec until = wm_clock_mono() + VISIBLE_WAIT;
	enum wm_status st = worker_sql(w, err);

	while (st == WM_OK && !w->xid_visible) {
		WM_AUTO(wm_pg_clearp) PGresult *res = NULL;

		st = wm_pg_query(w->sql, "SELECT pg_catalog.pg_current_snapshot()", 0, NULL,
		    "could not read the snapshot", &res, err);
		if (st != WM_OK)
			break;
		w->xid_visible = wm_snapshot_sees(PQgetvalue(res, 0, 0), w->xid);
		if (w->xid_visible)
			break;
		if (worker_stopping(w) || wm_clock_mono() > until)
			return wm_fail(err, WM_RETRY,
			    "transaction %" PRIu32
			    " of source \"%s\" has been committed but is not visible yet",
			    w->xid, w->source->config->name);
		worker_rest(w, wm_clock_mono() + WM_MSEC);
	}
	return st;
}

bool
worker_sees_all(const struct worker *w, const char *visible)
{
	size_t n = w->napplied < APPLIED_XIDS ? w->napplied : APPLIED_XIDS;

	for (size_t i = 0; i < n; i++)
		if (!wm_snapshot_sees(visible, w->applied[i]))
			return false;
	return true;
}

enum wm_status
worker_sql_all(struct worker *w, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status st = worker_sql(w, err);

	if (st == WM_OK)
		st = wm_pg_query(w->sql, "SELECT pg_catalog.pg_current_snapshot()", 0, NULL,
		    "could not read the snapshot", &res, err);
	if (st != WM_OK || worker_sees_all(w, PQgetvalue(res, 0, 0)))
		return st;
	return wm_fail_code(err, WM_RETRY, "later",
	    "a transaction that has been committed is not visible at the source yet; try again later");
}
