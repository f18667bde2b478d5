/* SPDX-License-Identifier: PostgreSQL */
/*
 * slot.c - replication slots.  Plain statements only, so that they also work on a replication
 * connection.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "walmill/fault.h"

static void
add_info_sql(struct wm_buf *sql, int version, const char *slot)
{
	const char *invalidation = version >= 170000 ? "s.invalidation_reason" :
	    version >= 160000 ? "CASE WHEN s.wal_status = 'lost' THEN 'wal_removed' "
				"WHEN s.conflicting THEN 'conflicting with recovery' END" :
	    "CASE WHEN s.wal_status = 'lost' THEN 'wal_removed' END";

	wm_buf_addf(sql, "SELECT s.plugin, s.database, s.active, s.active_pid, s.restart_lsn, "
	    "s.confirmed_flush_lsn, s.safe_wal_size, s.wal_status IS NOT DISTINCT FROM 'lost', "
	    "s.database = pg_catalog.current_database(), %s "
	    "FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = ", invalidation);
	wm_pg_quote_literal(sql, slot);
}

enum wm_status
wm_slot_info(struct wm_pg *c, const char *slot, struct wm_slot_info *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	struct wm_slot_info info = { .safe_wal_size = -1 };
	enum wm_status status;
	char what[120];

	snprintf(
	    what, sizeof(what), "could not read the state of replication slot \"%.63s\"", slot);
	wm_buf_init(&sql, 4096);
	add_info_sql(&sql, wm_pg_version(c), slot);
	status = wm_pg_query_sql(c, &sql, what, &res, err);
	if (status != WM_OK)
		return status;
	if (PQntuples(res) == 1) {
		info.exists = true;
		snprintf(info.plugin, sizeof(info.plugin), "%s", PQgetvalue(res, 0, 0));
		snprintf(info.database, sizeof(info.database), "%s", PQgetvalue(res, 0, 1));
		info.active = wm_pg_bool(res, 0, 2);
		info.active_pid = (int)wm_pg_int(res, 0, 3);
		info.restart_lsn = wm_pg_lsn(res, 0, 4);
		info.confirmed_lsn = wm_pg_lsn(res, 0, 5);
		if (!PQgetisnull(res, 0, 6))
			info.safe_wal_size = wm_pg_int(res, 0, 6);
		info.lost = wm_pg_bool(res, 0, 7) || !PQgetisnull(res, 0, 9);
		info.same_database = wm_pg_bool(res, 0, 8);
		snprintf(info.invalidation, sizeof(info.invalidation), "%s", PQgetvalue(res, 0, 9));
	}
	*ret = info;
	return WM_OK;
}

static const char *
status_word(const char *text)
{
	static const char *const words[] = { "reserved", "extended", "unreserved" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(words); i++)
		if (strcmp(text, words[i]) == 0)
			return words[i];
	return "lost";
}

enum wm_status
wm_slot_wal(struct wm_pg *c, const char *slot, struct wm_slot_wal *ret, bool *ret_found, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	const char *params[] = { slot };
	enum wm_status st;

	st = wm_pg_query(c,
	    "SELECT s.wal_status, greatest(0, CASE WHEN pg_catalog.pg_is_in_recovery() "
	    "THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END - s.restart_lsn)"
	    "::pg_catalog.int8, (SELECT CASE WHEN g.setting::pg_catalog.int8 >= 0 "
	    "THEN g.setting::pg_catalog.int8 * 1048576 END FROM pg_catalog.pg_settings g "
	    "WHERE g.name = 'max_slot_wal_keep_size'), greatest(0, s.safe_wal_size) "
	    "FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $1",
	    1, params, "could not read how much WAL is kept", &res, err);
	if (st != WM_OK)
		return st;
	*ret_found = PQntuples(res) == 1;
	if (!*ret_found)
		return WM_OK;
	*ret = (struct wm_slot_wal){ .status = status_word(PQgetvalue(res, 0, 0)),
		.retained = wm_pg_int(res, 0, 1),
		.budget = PQgetisnull(res, 0, 2) ? -1 : wm_pg_int(res, 0, 2),
		.left = -1 };
	/* greatest() passes over what is null, as it is for a slot that is lost. */
	if (ret->budget >= 0)
		ret->left = wm_pg_int(res, 0, 3);
	return WM_OK;
}

/* What a restart cannot mend is for the operator, with the fix that the server does not name. */
static enum wm_status
not_created(struct wm_pg *c, const PGresult *res, const char *slot, struct wm_error *err)
{
	struct wm_error why = { .status = WM_OK };
	enum wm_status status =
	    wm_pg_fail(c, res, &why, "could not create replication slot \"%s\"", slot);

	if (strcmp(why.code, "42501") == 0)
		return wm_fail_code(err, WM_OPERATOR, why.code,
		    "%s; run: ALTER ROLE \"%s\" REPLICATION", why.text, PQuser(c->pq));
	if (strcmp(why.code, "55000") == 0)
		return wm_fail_code(err, WM_OPERATOR, why.code,
		    "%s; set wal_level = logical at the server and "
		    "restart it",
		    why.text);
	if (err != NULL)
		*err = why;
	return status;
}

/* One command's result, with a call for every second that it takes. */
static PGresult *
exec_watched(struct wm_pg *c, const char *sql, void (*waiting)(void *arg), void *arg)
{
	PGresult *res, *next;

	if (PQsendQuery(c->pq, sql) == 0)
		return NULL;
	while (PQisBusy(c->pq)) {
		struct pollfd fd = { .fd = PQsocket(c->pq), .events = POLLIN };
		int n = poll(&fd, 1, 1000);

		if (n == 0 && waiting != NULL)
			waiting(arg);
		if (n != 0 && PQconsumeInput(c->pq) == 0)
			break;
	}
	res = PQgetResult(c->pq);
	while (res != NULL && (next = PQgetResult(c->pq)) != NULL)
		PQclear(next);
	return res;
}

enum wm_status
wm_slot_can_failover(struct wm_pg *c, bool *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status st = wm_pg_query(c, "SELECT pg_catalog.pg_is_in_recovery()", 0, NULL,
	    "could not ask whether the server is a standby", &res, err);

	if (st == WM_OK)
		*ret = wm_pg_version(c) >= WM_SLOT_FAILOVER && !wm_pg_bool(res, 0, 0);
	return st;
}

enum wm_status
wm_slot_create(struct wm_pg *c, const char *slot, bool failover, void (*waiting)(void *arg),
    void *arg, wm_lsn *ret_consistent, char *snapshot, size_t size, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	wm_lsn consistent;

	wm_buf_init(&sql, 512);
	wm_buf_adds(&sql, "CREATE_REPLICATION_SLOT ");
	wm_pg_quote_ident(&sql, slot);
	wm_buf_adds(&sql, wm_pg_version(c) < 150000 ? " LOGICAL pgoutput EXPORT_SNAPSHOT" :
	    failover				    ? " LOGICAL pgoutput (SNAPSHOT 'export', FAILOVER true)" :
						      " LOGICAL pgoutput (SNAPSHOT 'export')");
	if (sql.failed)
		return wm_fail(err, WM_FATAL, "the name of the replication slot is too long");
	WM_FAULT(slot_before);
	res = exec_watched(c, sql.data, waiting, arg);
	WM_FAULT(slot_created);
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return not_created(c, res, slot, err);
	consistent = PQntuples(res) == 1 && PQnfields(res) >= 3 ? wm_pg_lsn(res, 0, 1) : 0;
	if (consistent == 0 || PQgetlength(res, 0, 2) == 0 ||
	    (size_t)PQgetlength(res, 0, 2) >= size)
		return wm_fail(err, WM_FATAL,
		    "could not create replication slot \"%s\": the server's answer is not "
		    "understood",
		    slot);
	snprintf(snapshot, size, "%s", PQgetvalue(res, 0, 2));
	*ret_consistent = consistent;
	return WM_OK;
}

enum wm_status
wm_pg_blockers(struct wm_pg *c, const struct wm_pg *waiting, struct wm_buf *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	char pid[16];
	const char *params[] = { pid };
	enum wm_status st;

	snprintf(pid, sizeof(pid), "%d", PQbackendPID(waiting->pq));
	/* Queries are not shown: they hold values. */
	st = wm_pg_query(c,
	    "SELECT pid::text, coalesce(usename, 'nobody'), coalesce(nullif(application_name, ''), 'no name'), "
	    "coalesce(state, 'unknown'), coalesce(date_trunc('second', xact_start)::text, 'an unknown time') "
	    "FROM pg_catalog.pg_stat_activity WHERE pid = ANY (pg_catalog.pg_blocking_pids($1::pg_catalog.int4)) ORDER BY 5",
	    1, params, "could not look who is waited for", &res, err);
	if (st != WM_OK)
		return st;
	for (int i = 0; i < PQntuples(res); i++)
		wm_buf_addf(ret, "%sprocess %s of %s (%s, %s, transaction since %s)", i == 0 ? "" : ", ",
		    PQgetvalue(res, i, 0), PQgetvalue(res, i, 1), PQgetvalue(res, i, 2), PQgetvalue(res, i, 3),
		    PQgetvalue(res, i, 4));
	return WM_OK;
}

enum wm_status
wm_slot_drop(struct wm_pg *c, const char *slot, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf sql;
	char what[120];
	enum wm_status status;

	snprintf(what, sizeof(what), "could not drop replication slot \"%.63s\"", slot);
	wm_buf_init(&sql, 1024);
	wm_buf_adds(&sql, "SELECT pg_catalog.pg_drop_replication_slot(slot_name) "
	    "FROM pg_catalog.pg_replication_slots WHERE slot_name = ");
	wm_pg_quote_literal(&sql, slot);
	status = wm_pg_exec_sql(c, &sql, what, err);
	WM_FAULT(slot_dropped);
	return status;
}
