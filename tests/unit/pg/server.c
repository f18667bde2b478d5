/* SPDX-License-Identifier: PostgreSQL */
/*
 * server.c - the real server that tests of this folder run on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server.h"

static const char *uri;
struct wm_pg *sql;

void
run_on(struct wm_pg *c, const char *statement)
{
	struct wm_error err;

	if (wm_pg_exec(c, statement, "test", &err) != WM_OK)
		fail_msg("%s\n%s", statement, err.text);
}

void
run(const char *statement)
{
	run_on(sql, statement);
}

/* The URI with one or more settings, "user=x&options=y", on top. */
void
uri_with(const char *more, char *text, size_t size)
{
	snprintf(text, size, "%s%c%s", uri, strchr(uri, '?') != NULL ? '&' : '?', more);
}

struct wm_pg *
connect_as(const char *more, enum wm_pg_kind kind)
{
	struct wm_pg *c = NULL;
	struct wm_error err;
	char text[1000];

	uri_with(more, text, sizeof(text));
	if (wm_pg_connect(text, kind, "walmill-test", &c, &err) != WM_OK)
		fail_msg("%s", err.text);
	return c;
}

/* The answer of one row and field; valid until the next call. */
const char *
ask(struct wm_pg *c, const char *query)
{
	static char answer[200];
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	struct wm_error err;

	if (wm_pg_query(c, query, 0, NULL, "test", &res, &err) != WM_OK)
		fail_msg("%s", err.text);
	snprintf(answer, sizeof(answer), "%s", PQgetvalue(res, 0, 0));
	return answer;
}

int
clean(void **state WM_UNUSED)
{
	uri = getenv("WM_TEST_PG_URI");
	if (uri == NULL)
		return 0;
	wm_pg_close(sql);
	sql = connect_as("connect_timeout=5", WM_PG_SQL);
	run("SET client_min_messages = warning; DROP SCHEMA IF EXISTS wm_test CASCADE; DROP SCHEMA IF EXISTS \"wm_test \"\"2\" CASCADE; "
	    "DROP PUBLICATION IF EXISTS \"wm_test\"\"p\"; "
	    "CREATE SCHEMA wm_test; SET search_path = wm_test");
	return 0;
}

int
finish(void **state WM_UNUSED)
{
	if (uri == NULL)
		return 0;
	run("DROP SCHEMA IF EXISTS wm_test CASCADE; DROP SCHEMA IF EXISTS \"wm_test \"\"2\" CASCADE; "
	    "DROP PUBLICATION IF EXISTS \"wm_test\"\"p\"");
	wm_pg_close(sql);
	return 0;
}

void
needs_server(void)
{
	if (uri == NULL)
		skip();
}

uint32_t
oid_as(const char *kind, const char *name)
{
	char query[200];
	uint32_t oid = 0;

	snprintf(query, sizeof(query), "SELECT '%s'::%s::oid", name, kind);
	for (const char *p = ask(sql, query); *p != '\0'; p++)
		oid = oid * 10 + (uint32_t)(*p - '0');
	return oid;
}

uint32_t
oid_of(const char *table)
{
	return oid_as("regclass", table);
}
