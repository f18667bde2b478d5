/* SPDX-License-Identifier: PostgreSQL */
/*
 * start.c - the beginning of a session: what it asks the server for, and how often it will tell where it is.
 */
#include "start.h"

#include "walmill/buf.h"

#define FEEDBACK_BUSY (1 * WM_SEC)	/* while there is something to acknowledge */
#define FEEDBACK_IDLE (10 * WM_SEC)

/* A slot that has two_phase goes on with it whatever is asked for. */
static const char *
protocol(const struct wm_receiver *r, bool streams)
{
	if (r->two_phase)
		return streams ? "'3', two_phase 'on', streaming 'on'" : "'3', two_phase 'on'";
	return streams ? "'2', streaming 'on'" : "'1'";
}

enum wm_status
wm_start_replication(struct wm_pg *c, const struct wm_receiver *r, bool streams, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	struct wm_buf sql, names;

	wm_buf_init(&sql, 4096);
	wm_buf_init(&names, 1024);
	wm_pg_quote_ident(&names, r->publication);
	if (r->inserts != NULL) {
		wm_buf_addc(&names, ',');
		wm_pg_quote_ident(&names, r->inserts);
	}
	wm_buf_adds(&sql, "START_REPLICATION SLOT ");
	wm_pg_quote_ident(&sql, r->slot);
	wm_buf_addf(&sql, " LOGICAL " WM_LSN_FMT " (proto_version %s, messages 'true', publication_names ",
	    WM_LSN_ARGS(r->start), protocol(r, streams));
	wm_pg_quote_literal(&sql, names.data);
	wm_buf_adds(&sql, ")");
	if (!sql.failed && !names.failed)
		res = wm_pg_run(c, sql.data, 0, NULL);
	wm_buf_free(&sql);
	wm_buf_free(&names);
	if (PQresultStatus(res) != PGRES_COPY_BOTH)
		return wm_pg_fail(c, res, err, "could not start streaming from slot \"%s\"", r->slot);
	if (PQsetnonblocking(wm_pg_conn(c), 1) != 0)
		return wm_pg_fail(c, NULL, err, "could not make the connection non-blocking");
	return WM_OK;
}

/* Well inside the server's own time-out, whatever it is set to. */
enum wm_status
wm_start_intervals(struct wm_pg *c, wm_usec *ret_busy, wm_usec *ret_idle, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	const char *sql = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'";
	enum wm_status st = wm_pg_query(c, sql, 0, NULL, "could not read wal_sender_timeout", &res, err);
	wm_usec third = 0;

	if (st != WM_OK)
		return st;
	for (const char *p = PQntuples(res) == 1 ? PQgetvalue(res, 0, 0) : ""; *p >= '0' && *p <= '9'; p++)
		third = third * 10 + (*p - '0');	/* milliseconds */
	third = third * WM_MSEC / 3;
	*ret_busy = third > 0 && third < FEEDBACK_BUSY ? third : FEEDBACK_BUSY;
	*ret_idle = third > 0 && third < FEEDBACK_IDLE ? third : FEEDBACK_IDLE;
	return WM_OK;
}
