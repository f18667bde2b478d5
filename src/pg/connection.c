/* SPDX-License-Identifier: PostgreSQL */
/*
 * connection.c - connecting, and why it failed.
 *
 * Keep-alive and time-out settings are defaults that the user's URI may change; what decides
 * how values are rendered is not.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PROBE_TIMEOUT (5 * WM_SEC)
#define PARAMS_MAX 20
#define SILENCE (60 * WM_SEC)

/*
 * Of the role or database, a time limit would cut long reads off: the URI may still set one.  And a session of a walmill
 * that went without a word, with its machine, must not keep its locks for hours.
 */
static const char before_user[] = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 "
    "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3";
static const char after_user[] =
    "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 "
    "-c timezone=UTC -c bytea_output=hex -c lc_monetary=C";

struct params {
	const char	*names[PARAMS_MAX], *values[PARAMS_MAX];
	size_t		 n;
};

static void
conninfo_freep(PQconninfoOption **options)
{
	PQconninfoFree(*options);
}

static void
finishp(PGconn **pq)
{
	PQfinish(*pq);
}

static void
freememp(char **s)
{
	PQfreemem(*s);
}

static void
add(struct params *p, const char *name, const char *value)
{
	p->names[p->n] = name;
	p->values[p->n] = value;
	p->n++;
}

/* libpq takes the last of equal keywords; those of the URI stand where dbname stands. */
static void
make_params(struct params *p, const char *uri, enum wm_pg_kind kind, const char *application,
    const char *options)
{
	add(p, "connect_timeout", "10");
	add(p, "keepalives", "1");
	add(p, "keepalives_idle", "30");
	add(p, "keepalives_interval", "10");
	add(p, "keepalives_count", "3");
	add(p, "tcp_user_timeout", "60000");
	add(p, "dbname", uri);
	add(p, "client_encoding", "UTF8");
	add(p, "application_name", application);
	add(p, "replication", kind == WM_PG_REPLICATION ? "database" : "false");
	add(p, "options", options);
}

/*
 * libpq quotes the text that it stumbled over, which may be a password: only what stands before
 * it is shown.
 */
static enum wm_status
bad_uri(const char *message, struct wm_error *err)
{
	size_t n = strcspn(message, "\":");

	if (strncmp(message, "missing \"=\"", 11) == 0)
		return wm_fail(err, WM_FATAL,
		    "bad connection URI: it is neither postgresql://... nor key=value "
		    "settings");
	while (n > 0 && (message[n - 1] == ' ' || message[n - 1] == '\n'))
		n--;
	return wm_fail(err, WM_FATAL,
	    "bad connection URI: %.*s (the place is not shown, it may hold a password)", (int)n,
	    message);
}

/* Our settings around those of the user (URI or PGOPTIONS), as the keyword options takes them. */
static enum wm_status
make_options(const char *uri, struct wm_buf *ret, struct wm_error *err)
{
	WM_AUTO(freememp) char *message = NULL;
	WM_AUTO(conninfo_freep) PQconninfoOption *parsed = PQconninfoParse(uri, &message);
	const char *user = getenv("PGOPTIONS");

	if (parsed == NULL)
		return bad_uri(message != NULL ? message : "out of memory", err);
	for (const PQconninfoOption *o = parsed; o->keyword != NULL; o++) {
		if (strcmp(o->keyword, "options") == 0 && o->val != NULL)
			user = o->val;
	}
	wm_buf_addf(ret, "%s %s %s", before_user, user != NULL ? user : "", after_user);
	return ret->failed ? wm_oom(err, "connection settings") : WM_OK;
}

/*
 * libpq shows the SQLSTATE of a refused connection only in a verbose text, and verbosity can
 * be set only on a connection that is under way: asks once more, step by step.
 */
static bool
probe_sqlstate(const struct params *p, char ret_code[6])
{
	WM_AUTO(finishp) PGconn *pq = PQconnectStartParams(p->names, p->values, 1);
	wm_usec deadline = wm_clock_mono() + PROBE_TIMEOUT;
	PostgresPollingStatusType step = PGRES_POLLING_WRITING;

	if (pq == NULL)
		return false;
	PQsetErrorVerbosity(pq, PQERRORS_VERBOSE);
	while (PQstatus(pq) != CONNECTION_BAD &&
	    (step == PGRES_POLLING_WRITING || step == PGRES_POLLING_READING)) {
		struct pollfd fd = { .fd = PQsocket(pq),
			.events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT };
		wm_usec left = deadline - wm_clock_mono();
		int n = left > 0 ? poll(&fd, 1, (int)(left / WM_MSEC) + 1) : 0;

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		if (n > 0)
			step = PQconnectPoll(pq);
	}
	return wm_pg_find_sqlstate(PQerrorMessage(pq), ret_code);
}

/* What a connection that failed means; fills code when the server gave one. */
static enum wm_status
judge(const struct params *p, const PGconn *failed, char code[6])
{
	struct params quick = *p;
	enum wm_status status;

	if (PQconnectionNeedsPassword(failed))
		return WM_FATAL;
	add(&quick, "connect_timeout", "2");
	switch (PQpingParams(quick.names, quick.values, 1)) {
	case PQPING_NO_ATTEMPT:		/* a setting that libpq refuses */
		return WM_FATAL;
	case PQPING_OK:			/* the server is well, so it is about us */
		break;
	case PQPING_REJECT:		/* it starts, recovers or shuts down */
		memcpy(code, WM_PG_CANNOT_CONNECT_NOW, sizeof(WM_PG_CANNOT_CONNECT_NOW));
		return WM_RETRY;
	default:
		return WM_RETRY;
	}
	if (!probe_sqlstate(p, code))
		return WM_RETRY;
	status = wm_pg_classify(code);
	return status == WM_REJECT ? WM_FATAL : status;
}

static enum wm_status
refused(const struct params *p, const PGconn *failed, const char *where, struct wm_error *err)
{
	char code[6] = "";
	enum wm_status status = judge(p, failed, code);
	char fix[300] = "";

	if (strcmp(code, "42501") == 0)
		snprintf(fix, sizeof(fix),
		    "; ALTER ROLE \"%.63s\" LOGIN REPLICATION, or GRANT CONNECT ON DATABASE \"%.63s\" "
		    "TO \"%.63s\", gives the privilege",
		    PQuser(failed), PQdb(failed), PQuser(failed));
	else if (PQconnectionNeedsPassword(failed))
		snprintf(fix, sizeof(fix), "; put the password into the URI or into ~/.pgpass");
	return wm_fail_code(err, status, code, "could not connect to PostgreSQL (%s): %.600s%s",
	    where, PQerrorMessage(failed), fix);
}

static void
ignore_notice(void *arg WM_UNUSED, const PGresult *res WM_UNUSED)
{
}

static void
set_where(struct wm_pg *c)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, sizeof(c->where) - 1);
	wm_buf_addf(&b, "host=%.120s port=%.10s dbname=%.63s",
	    PQhost(c->pq) != NULL ? PQhost(c->pq) : "", PQport(c->pq) != NULL ? PQport(c->pq) : "",
	    PQdb(c->pq) != NULL ? PQdb(c->pq) : "");
	memcpy(c->where, b.data, b.len + 1);
}

enum wm_status
wm_pg_connect(const char *uri, enum wm_pg_kind kind, const char *application, struct wm_pg **ret,
    struct wm_error *err)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *c = calloc(1, sizeof(*c));
	WM_AUTO(wm_buf_free) struct wm_buf options;
	struct params params = { .n = 0 };
	enum wm_status status;

	wm_buf_init(&options, 8192);
	if (c == NULL || (c->uri = strdup(uri)) == NULL)
		return wm_oom(err, "a connection");
	c->silence = SILENCE;
	status = make_options(uri, &options, err);
	if (status != WM_OK)
		return status;
	make_params(&params, uri, kind, application, options.data);
	c->pq = PQconnectdbParams(params.names, params.values, 1);
	if (c->pq == NULL)
		return wm_oom(err, "a connection");
	set_where(c);
	if (PQstatus(c->pq) != CONNECTION_OK)
		return refused(&params, c->pq, c->where, err);
	PQsetNoticeReceiver(c->pq, ignore_notice, NULL);
	c->cancel = PQgetCancel(c->pq);
	*ret = c;
	c = NULL;
	return WM_OK;
}

void
wm_pg_close(struct wm_pg *c)
{
	if (c == NULL)
		return;
	PQfreeCancel(c->cancel);
	PQfinish(c->pq);
	free(c->uri);
	free(c);
}

void
wm_pg_set_silence(struct wm_pg *c, wm_usec silence)
{
	c->silence = silence;
}

void
wm_pg_cancel(struct wm_pg *c)
{
	char why[256];

	/* Not heard: then the command goes on, and the caller may ask again. */
	if (c->cancel != NULL)
		(void)!PQcancel(c->cancel, why, sizeof(why));
}

void
wm_pg_closep(struct wm_pg **c)
{
	wm_pg_close(*c);
}

PGconn *
wm_pg_conn(struct wm_pg *c)
{
	return c->pq;
}

int
wm_pg_version(const struct wm_pg *c)
{
	return PQserverVersion(c->pq);
}

const char *
wm_pg_where(const struct wm_pg *c)
{
	return c->where;
}
