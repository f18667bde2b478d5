/* SPDX-License-Identifier: PostgreSQL */
/*
 * postgres_peer.c - the postgres target seen from outside: a schema of its own in the database
 * that WM_TEST_PG_URI names (tests/with-postgres makes one).
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "walmill/buf.h"
#include "walmill/config.h"
#include "walmill/targets.h"

struct place {
	char	 schema[40];
	PGconn	*pq, *locker;
};

static const char *
unavailable(void)
{
	return getenv("WM_TEST_PG_URI") != NULL ? NULL : "WM_TEST_PG_URI is not set (tests/with-postgres sets it)";
}

static PGconn *
connect_to_schema(struct fixture *f)
{
	struct place *p = f->place;
	char settings[256];
	PGconn *pq = PQconnectdb(getenv("WM_TEST_PG_URI"));

	if (PQstatus(pq) != CONNECTION_OK)
		fail_msg("%s", PQerrorMessage(pq));
	/* A case that would wait for the target for ever fails. */
	snprintf(settings, sizeof(settings), "SET search_path = %s; SET client_min_messages = warning; "
	    "SET statement_timeout = '20s'; SET timezone = 'UTC'; SET extra_float_digits = 3", p->schema);
	PQclear(PQexec(pq, settings));
	return pq;
}

static void
run(PGconn *pq, const char *text)
{
	PGresult *res = PQexec(pq, text);

	if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", text, PQerrorMessage(pq));
	PQclear(res);
}

static void
set_option(struct fixture *f, const char *name, const char *text)
{
	for (const struct wm_option *o = f->peer->ops->options; o->name != NULL; o++)
		if (strcmp(o->name, name) == 0)
			OK(wm_option_set(o, text, f->target, &error));
}

static void
set_up(struct fixture *f)
{
	static unsigned count;
	struct place *p = wm_arena_calloc(f->arena, 1, sizeof(*p));
	const char *uri = getenv("WM_TEST_PG_URI");
	char text[1024];

	assert_non_null(p);
	f->place = p;
	snprintf(p->schema, sizeof(p->schema), "c%ld_%u", (long)getpid(), count++);
	p->pq = connect_to_schema(f);
	snprintf(text, sizeof(text), "CREATE SCHEMA %s", p->schema);
	run(p->pq, text);
	OK(wm_target_create(f->peer->ops, "warehouse", &f->target, &error));
	/* A target must end its wait for a lock; here it need not be long. */
	snprintf(text, sizeof(text), "%s%coptions=-c%%20lock_timeout%%3D50", uri, strchr(uri, '?') != NULL ? '&' : '?');
	set_option(f, "uri", text);
	set_option(f, "schema", p->schema);
}

static void
set_up_parallel(struct fixture *f)
{
	set_up(f);
	set_option(f, "apply", "parallel");
	set_option(f, "workers", "3");
	f->target->lone = true;
}

static void
tear_down(struct fixture *f)
{
	struct place *p = f->place;
	char text[128];

	PQfinish(p->locker);
	snprintf(text, sizeof(text), "DROP SCHEMA %s CASCADE", p->schema);
	run(p->pq, text);
	PQfinish(p->pq);
}

static void
sql(struct fixture *f, const char *text)
{
	struct place *p = f->place;

	run(p->pq, text);
}

static const char *
query(struct fixture *f, const char *text)
{
	struct place *p = f->place;
	PGresult *res = PQexec(p->pq, text);
	struct wm_buf b;
	const char *rows;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", text, PQerrorMessage(p->pq));
	wm_buf_init(&b, 64 << 20);
	for (int i = 0; i < PQntuples(res); i++) {
		wm_buf_adds(&b, i > 0 ? "\n" : "");
		for (int j = 0; j < PQnfields(res); j++) {
			wm_buf_adds(&b, j > 0 ? "|" : "");
			wm_buf_adds(&b, PQgetisnull(res, i, j) ? "<null>" : PQgetvalue(res, i, j));
		}
	}
	PQclear(res);
	assert_false(b.failed);
	rows = wm_arena_dup(f->arena, b.data, b.len);
	wm_buf_free(&b);
	return rows;
}

static void
lock(struct fixture *f, const char *table)
{
	struct place *p = f->place;
	char text[128];

	p->locker = connect_to_schema(f);
	snprintf(text, sizeof(text), "BEGIN; LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", table);
	run(p->locker, text);
}

static void
unlock(struct fixture *f)
{
	struct place *p = f->place;

	run(p->locker, "ROLLBACK");
}

static bool
has_table(struct fixture *f, const char *table)
{
	struct place *p = f->place;
	char text[256];

	snprintf(text, sizeof(text), "SELECT count(*) FROM pg_tables WHERE schemaname = '%s' AND tablename = '%s'",
	    p->schema, table);
	return strcmp(query(f, text), "1") == 0;
}

static const char *
shown(struct fixture *f, const char *type, const char *text)
{
	(void)f;
	(void)type;
	/* A numeric has no exponent: what PostgreSQL would never send. */
	return strcmp(text, "1e20") == 0 ? "100000000000000000000" : text;
}

#define PEER(title, begins) \
	{ \
		.name = (title), \
		.can = CAN_SQL | CAN_EMPTY_TEXT | CAN_RETYPE | CAN_LARGE_TEXT, \
		.ops = &wm_target_postgres_ops, \
		.unavailable = unavailable, \
		.set_up = (begins), \
		.tear_down = tear_down, \
		.sql = sql, \
		.query = query, \
		.lock = lock, \
		.unlock = unlock, \
		.has_table = has_table, \
		.shown = shown, \
	}

const struct peer postgres_peer = PEER("postgres", set_up);
/* Large batches are shared by several sessions. */
const struct peer postgres_parallel_peer = PEER("postgres parallel", set_up_parallel);
