/* SPDX-License-Identifier: PostgreSQL */
/*
 * identity.c - which cluster this is, and where its write-ahead log stands.
 */
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

/* XLOG_BLCKSZ as every packaged server has it, and the sizes of a page's header. */
#define XLOG_PAGE 8192
#define SHORT_PAGE_HEADER 24
#define LONG_PAGE_HEADER 40

enum wm_status
wm_pg_identify(struct wm_pg *c, struct wm_pg_identity *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	struct wm_pg_identity id = { .timeline = 0 };
	enum wm_status status;

	status =
	    wm_pg_query(c, "IDENTIFY_SYSTEM", 0, NULL, "could not identify the cluster", &res, err);
	if (status != WM_OK)
		return status;
	if (PQntuples(res) != 1 || PQnfields(res) < 3)
		return wm_fail(err, WM_FATAL,
		    "could not identify the cluster: the answer has %d rows of %d fields",
		    PQntuples(res), PQnfields(res));
	snprintf(id.system_id, sizeof(id.system_id), "%s", PQgetvalue(res, 0, 0));
	id.timeline = wm_pg_oid(res, 0, 1);
	id.wal_lsn = wm_pg_lsn(res, 0, 2);
	*ret = id;
	return WM_OK;
}

/* Copies the next word of a line to dst and returns what follows it. */
static const char *
next_word(const char *line, char *dst, size_t size)
{
	size_t n;

	line += strspn(line, " \t");
	n = strcspn(line, " \t\r\n");
	snprintf(dst, size, "%.*s", (int)n, line);
	return line + n;
}

/*
 * A history file has a line for each timeline that came before: "1	0/3000148	reason", the
 * place where the next one begins.
 */
static wm_lsn
find_switch(const char *history, uint32_t ancestor)
{
	while (*history != '\0') {
		char timeline[24], at[24];
		uint64_t number;
		wm_lsn lsn;

		history = next_word(history, timeline, sizeof(timeline));
		history = next_word(history, at, sizeof(at));
		if (wm_parse_u64(timeline, &number) && number == ancestor && wm_lsn_parse(at, &lsn))
			return lsn;
		history += strcspn(history, "\n");
		history += *history == '\n';
	}
	return 0;
}

enum wm_status
wm_pg_timeline_switch(
    struct wm_pg *c, uint32_t timeline, uint32_t ancestor, wm_lsn *ret_lsn, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	char sql[40];
	enum wm_status status;

	/* The first timeline has no history file, and none of them is its own ancestor. */
	if (timeline <= 1 || ancestor >= timeline) {
		*ret_lsn = 0;
		return WM_OK;
	}
	snprintf(sql, sizeof(sql), "TIMELINE_HISTORY %u", (unsigned)timeline);
	status = wm_pg_query(c, sql, 0, NULL, "could not read the timeline's history", &res, err);
	if (status != WM_OK)
		return status;
	if (PQntuples(res) != 1 || PQnfields(res) != 2)
		return wm_fail(err, WM_FATAL,
		    "could not read the history of timeline %u: the answer has %d rows of "
		    "%d fields",
		    (unsigned)timeline, PQntuples(res), PQnfields(res));
	*ret_lsn = find_switch(PQgetvalue(res, 0, 1), ancestor);
	return WM_OK;
}

/*
 * The insert position stands behind the header of a page that nothing has been written to yet,
 * while a stream that has sent everything stands before it.
 */
static wm_lsn
without_page_header(wm_lsn lsn)
{
	uint32_t in_page = (uint32_t)(lsn % XLOG_PAGE);

	return in_page == SHORT_PAGE_HEADER || in_page == LONG_PAGE_HEADER ? lsn - in_page : lsn;
}

enum wm_status
wm_pg_current_lsn(struct wm_pg *c, wm_lsn *ret_lsn, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status status;

	/* Insert, not write: a commit that need not wait for its WAL is visible before it is written. */
	status = wm_pg_query(c,
	    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() "
	    "THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END",
	    0, NULL, "could not read the server's WAL position", &res, err);
	if (status == WM_OK)
		*ret_lsn = without_page_header(wm_pg_lsn(res, 0, 0));
	return status;
}

enum wm_status
wm_pg_current_lsn_to_wait_for(struct wm_pg *c, wm_lsn *ret_lsn, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status status = wm_pg_current_lsn(c, ret_lsn, err);

	if (status != WM_OK)
		return status;
	/* The end of a transaction that has an id is WAL which the server writes within a moment. */
	return wm_pg_query(c,
	    "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() "
	    "AND pg_catalog.pg_current_wal_flush_lsn() < pg_catalog.pg_current_wal_insert_lsn() "
	    "THEN pg_catalog.pg_current_xact_id() END",
	    0, NULL, "could not have the server's WAL written", &res, err);
}

enum wm_status
wm_pg_emit_message(struct wm_pg *c, const char *prefix, const char *text, wm_lsn *ret_lsn, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	const char *params[] = { prefix, text };
	enum wm_status status;

	status = wm_pg_query(c,
	    "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() "
	    "THEN pg_catalog.pg_logical_emit_message(false, $1::pg_catalog.text, $2::pg_catalog.text) END",
	    2, params, "could not write a message into the WAL", &res, err);
	if (status == WM_OK)
		*ret_lsn = wm_pg_lsn(res, 0, 0);
	return status;
}
