/* SPDX-License-Identifier: PostgreSQL */
/*
 * wait.c - waiting for a server's answer, and for how long.
 *
 * TCP tells whether the other machine is there, not whether anybody there works at the statement: a server that is
 * frozen, or a middlebox that has forgotten the connection, acknowledges bytes for ever.  So when a statement has been
 * silent for long another connection looks after it.  A server that works, or waits for a lock, has all the time that
 * it needs; one that answers nobody, or holds that it has answered, is given up.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"
#include "walmill/log.h"

#define LOOKER "walmill look"
#define LOOK_FOR (10 * WM_SEC)
#define TLS_SLICE (100 * WM_MSEC)

/* The connection is of no use any more: whatever is asked of it fails at once, for this reason. */
static void
give_up(struct wm_pg *c, const char *why)
{
	snprintf(c->given_up, sizeof(c->given_up), "no answer for %d s: %s", (int)(c->silence / WM_SEC), why);
	(void)shutdown(PQsocket(c->pq), SHUT_RDWR);
}

static bool
readable(const PGconn *pq)
{
	struct pollfd fd = { .fd = PQsocket(pq), .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

/* Who is waited for, once in a while: the operator can help there. */
static void
tell_who_is_waited_for(struct wm_pg *c, struct wm_pg *looker)
{
	WM_AUTO(wm_buf_free) struct wm_buf who;
	struct wm_error ignored;

	wm_buf_init(&who, 2000);
	/* At the first look, the second, the fourth, ... */
	if ((c->looks & (c->looks - 1)) == 0 && wm_pg_blockers(looker, c, &who, &ignored) == WM_OK && who.len > 0)
		wm_log(WM_LOG_WARNING, "server_waits", "a statement at %s has waited for %d s: for %s", c->where,
		    (int)(c->looks * (unsigned)(c->silence / WM_SEC)), who.data);
}

/* It would keep its locks, which we need, until the server's own time-outs. */
static void
end_process(struct wm_pg *looker, const char *const *pid)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	struct wm_error err;

	if (wm_pg_query(looker, "SELECT pg_catalog.pg_terminate_backend($1)", 1, pid,
		"could not end our former session", &res, &err) != WM_OK)
		wm_log(WM_LOG_WARNING, "session_left", "%s; it may keep locks", err.text);
}

/*
 * What the server says of the statement.  A process that it does not know is no news: behind a pooler the number that
 * libpq has is the pooler's.
 */
static void
ask(struct wm_pg *c, struct wm_pg *looker)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	char pid[16];
	const char *params[] = { pid };
	struct wm_error err;

	snprintf(pid, sizeof(pid), "%d", PQbackendPID(c->pq));
	if (wm_pg_query(looker,
		"SELECT state LIKE 'idle%' OR coalesce(wait_event_type = 'Client', false) FROM pg_catalog.pg_stat_activity"
		" WHERE pid = $1 AND usename = current_user AND application_name LIKE 'walmill%'",
		1, params, "could not look after a statement", &res, &err) != WM_OK) {
		if (err.code[0] == '\0')
			give_up(c, "nor does the server answer another connection");
		return;
	}
	if (PQntuples(res) == 0 || PQgetisnull(res, 0, 0))
		return;
	/* The answer may have come while we asked. */
	if (!wm_pg_bool(res, 0, 0) || readable(c->pq)) {
		tell_who_is_waited_for(c, looker);
		return;
	}
	give_up(c, "the server waits for us, so that bytes were lost on the way");
	end_process(looker, params);
}

static void
look_after(struct wm_pg *c)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *looker = NULL;
	struct wm_error err = { 0 };

	if (c->uri == NULL) {
		give_up(c, "the server is frozen, or out of reach");
		return;
	}
	c->looks++;
	if (wm_pg_connect(c->uri, WM_PG_SQL, LOOKER, &looker, &err) != WM_OK) {
		/* Whoever refuses is there. */
		if (err.status == WM_RETRY && err.code[0] == '\0')
			give_up(c, "the server takes no new connection either");
		return;
	}
	/* Nobody looks after the one who looks. */
	free(looker->uri);
	looker->uri = NULL;
	looker->silence = LOOK_FOR;
	ask(c, looker);
}

/*
 * Bytes that TLS has decrypted and libpq had no room for do not show at the socket: a record holds 16 kB at most, and
 * libpq makes room for 8 each time.
 */
bool
wm_pg_consume(struct wm_pg *c)
{
	bool good = PQconsumeInput(c->pq) != 0;

	for (int i = 0; good && i < 2 && PQsslInUse(c->pq); i++)
		good = PQconsumeInput(c->pq) != 0;
	return good;
}

/*
 * Waits for bytes of the server, or, with unsent, until it takes more of ours, and takes what there is; false when the
 * connection is broken, or given up.
 */
static bool
take_bytes(struct wm_pg *c, bool unsent)
{
	struct pollfd fd = { .fd = PQsocket(c->pq), .events = (short)(unsent ? POLLIN | POLLOUT : POLLIN) };
	/* What was left to TLS by whoever read before is noticed a little later. */
	wm_usec wait = PQsslInUse(c->pq) && c->silence > TLS_SLICE ? TLS_SLICE : c->silence;
	int n = poll(&fd, 1, wait / WM_MSEC < INT_MAX ? (int)(wait / WM_MSEC) : INT_MAX);

	if (n < 0)
		return errno == EINTR;
	c->quiet = n == 0 ? c->quiet + wait : 0;
	if (c->quiet >= c->silence) {
		c->quiet = 0;
		look_after(c);
	}
	return c->given_up[0] == '\0' && wm_pg_consume(c);
}

/* The same for an answer, to what may not have been sent whole. */
static bool
take_answer(struct wm_pg *c)
{
	int unsent = PQflush(c->pq);

	return unsent >= 0 && take_bytes(c, unsent > 0);
}

PGresult *
wm_pg_result(struct wm_pg *c)
{
	while (PQisBusy(c->pq) && take_answer(c))
		;
	c->looks = 0;
	c->quiet = 0;
	return PQgetResult(c->pq);
}

int
wm_pg_copy_row(struct wm_pg *c, char **ret)
{
	int n;

	while ((n = PQgetCopyData(c->pq, ret, 1)) == 0)
		if (!take_answer(c))
			return -2;
	c->looks = 0;
	c->quiet = 0;
	return n;
}

/* Waits until all that libpq holds has been sent. */
static bool
send_all(struct wm_pg *c)
{
	int unsent;

	/* Once all is sent nothing need come back: only what is unsent is waited for. */
	while ((unsent = PQflush(c->pq)) > 0)
		if (!take_bytes(c, true))
			return false;
	c->looks = 0;
	return unsent == 0;
}

/* Otherwise libpq would wait for a server that takes nothing, and nobody look after it. */
bool
wm_pg_copy_put(struct wm_pg *c, const char *data, size_t len)
{
	return PQsetnonblocking(c->pq, 1) == 0 && PQputCopyData(c->pq, data, (int)len) == 1 && send_all(c);
}

bool
wm_pg_copy_end(struct wm_pg *c, const char *why)
{
	return PQsetnonblocking(c->pq, 1) == 0 && PQputCopyEnd(c->pq, why) == 1 && send_all(c) &&
	    PQsetnonblocking(c->pq, 0) == 0;
}

/* Of a table that was not read to its end. */
static void
discard_rows(struct wm_pg *c)
{
	char *row;

	while (wm_pg_copy_row(c, &row) > 0)
		PQfreemem(row);
}

static void
discard_results(struct wm_pg *c)
{
	PGresult *res;

	while (PQstatus(c->pq) == CONNECTION_OK && (res = wm_pg_result(c)) != NULL) {
		ExecStatusType status = PQresultStatus(res);

		PQclear(res);
		if (status == PGRES_COPY_OUT)
			discard_rows(c);
		/* Rows that were not sent to their end: libpq would ask for them for ever. */
		if (status == PGRES_COPY_IN && PQputCopyEnd(c->pq, "broken off") != 1)
			return;
	}
}

PGresult *
wm_pg_run(struct wm_pg *c, const char *sql, int n, const char *const *params)
{
	PGresult *res = NULL, *next;

	if (PQpipelineStatus(c->pq) != PQ_PIPELINE_OFF)
		return NULL;
	discard_results(c);
	if ((n == 0 ? PQsendQuery(c->pq, sql) : PQsendQueryParams(c->pq, sql, n, NULL, params, NULL, NULL, 0)) == 0)
		return NULL;
	while ((next = wm_pg_result(c)) != NULL) {
		ExecStatusType status = PQresultStatus(next);

		/* Of several statements the last one that ran is the answer: the first that failed. */
		PQclear(res);
		res = next;
		if (status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH || PQstatus(c->pq) == CONNECTION_BAD)
			break;
	}
	return res;
}
