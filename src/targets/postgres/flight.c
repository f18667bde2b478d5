/* SPDX-License-Identifier: PostgreSQL */
/*
 * flight.c - statements in libpq's pipeline mode.
 *
 * The connection is a blocking one: while libpq waits to send it reads what has arrived, so
 * that neither side can block the other.
 */
#include "flight.h"

#include <stdlib.h>

#include "walmill/fault.h"
#include "walmill/strutil.h"

struct wm_flight_job {
	struct wm_postgres_stmt *prepares; /* this job prepares it; or NULL */
	struct wm_flight_tag tag;
};

enum wm_status
wm_flight_start(struct wm_flight *f, struct wm_pg *pg, struct wm_error *err)
{
	f->pg = pg;
	f->n = 0;
	if (PQenterPipelineMode(wm_pg_conn(pg)) != 1)
		return wm_fail(
		    err, WM_RETRY, "the connection to %s is busy or closed", wm_pg_where(pg));
	return WM_OK;
}

void
wm_flight_free(struct wm_flight *f)
{
	free(f->jobs);
	f->jobs = NULL;
	f->n = f->size = 0;
}

static enum wm_status
add_job(struct wm_flight *f, struct wm_postgres_stmt *prepares, const struct wm_flight_tag *tag,
    struct wm_error *err)
{
	if (f->n == f->size) {
		size_t size = f->size == 0 ? 16 : f->size * 2;
		struct wm_flight_job *jobs = realloc(f->jobs, size * sizeof(*jobs));

		if (jobs == NULL)
			return wm_oom(err, "statements under way");
		f->jobs = jobs;
		f->size = size;
	}
	f->jobs[f->n++] = (struct wm_flight_job){ .prepares = prepares, .tag = *tag };
	return WM_OK;
}

static enum wm_status
sent(struct wm_flight *f, int ok, struct wm_error *err)
{
	return ok == 1 ?
	    WM_OK :
	    wm_pg_fail(f->pg, NULL, err, "could not send a statement to %s", wm_pg_where(f->pg));
}

static enum wm_status
prepare(struct wm_flight *f, struct wm_postgres_stmt *stmt, const struct wm_flight_tag *tag,
    struct wm_error *err)
{
	enum wm_status st;

	for (size_t i = 0; i < f->n; i++)
		if (f->jobs[i].prepares == stmt)
			return WM_OK;
	st = add_job(f, stmt, tag, err);
	return st == WM_OK ?
	    sent(f, PQsendPrepare(wm_pg_conn(f->pg), stmt->name, stmt->sql, 0, NULL), err) :
	    st;
}

static enum wm_status
send_arrays(struct wm_flight *f, const struct wm_postgres_stmt *stmt, const struct wm_buf *params,
    struct wm_error *err)
{
	WM_AUTO(wm_freep) const char **values = calloc(stmt->nparams, sizeof(*values));
	WM_AUTO(wm_freep) int *lengths = calloc(stmt->nparams, sizeof(*lengths));
	WM_AUTO(wm_freep) int *formats = calloc(stmt->nparams, sizeof(*formats));
	PGconn *conn = wm_pg_conn(f->pg);
	int n = (int)stmt->nparams;

	if (values == NULL || lengths == NULL || formats == NULL)
		return wm_oom(err, "a statement's parameters");
	for (int i = 0; i < n; i++) {
		values[i] = params[i].data;
		lengths[i] = (int)params[i].len;
		formats[i] = 1;
	}
	return sent(f,
	    stmt->name[0] != '\0' ?
		PQsendQueryPrepared(conn, stmt->name, n, values, lengths, formats, 0) :
		PQsendQueryParams(conn, stmt->sql, n, NULL, values, lengths, formats, 0),
	    err);
}

enum wm_status
wm_flight_send(struct wm_flight *f, struct wm_postgres_stmt *stmt, const struct wm_buf *params,
    const struct wm_flight_tag *tag, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	if (stmt->name[0] != '\0' && !stmt->prepared)
		st = prepare(f, stmt, tag, err);
	if (st == WM_OK)
		st = add_job(f, NULL, tag, err);
	return st == WM_OK ? send_arrays(f, stmt, params, err) : st;
}

enum wm_status
wm_flight_send_text(struct wm_flight *f, const char *sql, const char *view, struct wm_error *err)
{
	struct wm_flight_tag tag = { .view = view, .row = WM_BAD_UNKNOWN };
	enum wm_status st = add_job(f, NULL, &tag, err);

	if (st != WM_OK)
		return st;
	return sent(
	    f, PQsendQueryParams(wm_pg_conn(f->pg), sql, 0, NULL, NULL, NULL, NULL, 0), err);
}

/* Takes one result; true when it is the one that ends the flight. */
static bool
take(struct wm_flight *f, size_t *job, const PGresult *res, const char *what,
    struct wm_flight_tag *ret_bad, enum wm_status *st, struct wm_error *err)
{
	const struct wm_flight_job *j;

	if (PQresultStatus(res) == PGRES_PIPELINE_SYNC)
		return true;
	/* Behind the last statement libpq reports a connection that was lost; the first reason counts. */
	if (*job >= f->n) {
		if (*st == WM_OK)
			*st = wm_pg_fail(f->pg, res, err, "%s", what);
		return true;
	}
	j = &f->jobs[(*job)++];
	switch (PQresultStatus(res)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
		if (j->prepares != NULL)
			j->prepares->prepared = true;
		break;
	case PGRES_PIPELINE_ABORTED: break;
	default:
		if (*st == WM_OK) {
			*st = wm_pg_fail(f->pg, res, err, "%s", what);
			*ret_bad = j->tag;
		}
		break;
	}
	return false;
}

enum wm_status
wm_flight_land(
    struct wm_flight *f, const char *what, struct wm_flight_tag *ret_bad, struct wm_error *err)
{
	PGconn *conn = wm_pg_conn(f->pg);
	enum wm_status st = WM_OK;
	size_t job = 0;
	bool ended = false, gap = false;

	if (PQpipelineSync(conn) != 1)
		return wm_pg_fail(f->pg, NULL, err, "%s", what);
	WM_FAULT(postgres_sent);
	while (!ended) {
		WM_AUTO(wm_pg_clearp) PGresult *res = wm_pg_result(f->pg);

		/* One NULL stands between the results of two statements; two mean that no more will come. */
		if (res == NULL && (gap || PQstatus(conn) == CONNECTION_BAD))
			return st != WM_OK ? st : wm_pg_fail(f->pg, NULL, err, "%s", what);
		gap = res == NULL;
		if (res != NULL)
			ended = take(f, &job, res, what, ret_bad, &st, err);
	}
	if (PQexitPipelineMode(conn) != 1 && st == WM_OK)
		return wm_pg_fail(f->pg, NULL, err, "%s", what);
	return st;
}
