/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_publication.c - publications on a real server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server.h"

#define PUBLICATION "wm_test\"p"

static bool
sync_tables(const struct wm_published *tables, size_t n)
{
	struct wm_error err;
	bool changed = false;

	if (wm_publication_sync(sql, PUBLICATION, WM_PUBLISH_ALL, tables, n, &changed, &err) != WM_OK)
		fail_msg("%s", err.text);
	return changed;
}

static const char *
published(void)
{
	return ask(sql,
	    wm_pg_version(sql) >= 150000 ?
		"SELECT string_agg(schemaname || '.' || tablename || attnames::text, ' ' ORDER BY 1) "
		"FROM (SELECT schemaname, tablename, attnames FROM pg_publication_tables WHERE pubname = 'wm_test\"p' "
		"ORDER BY tablename) x" :
		"SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY tablename) "
		"FROM pg_publication_tables WHERE pubname = 'wm_test\"p'");
}

static void
a_publication_is_made_and_kept_in_step(void **state WM_UNUSED)
{
	const char *ab[] = { "b", "a" }, *abc[] = { "a", "b", "c" };
	struct wm_published t[3];
	struct wm_error err;
	bool lists, there = true;

	needs_server();
	lists = wm_pg_version(sql) >= 150000;
	run("CREATE SCHEMA \"wm_test \"\"2\"; CREATE TABLE p1 (a int PRIMARY KEY, b int, c int); "
	    "CREATE TABLE \"wm_test \"\"2\".\"P\"\"2\" (a int PRIMARY KEY, b int); CREATE TABLE p3 (a int PRIMARY KEY, b int) "
	    "PARTITION BY RANGE (a); CREATE TABLE p3a PARTITION OF p3 DEFAULT; CREATE TABLE child () INHERITS (p1)");
	t[0] = (struct wm_published){ oid_of("p1"), "wm_test", "p1", 2, ab, false };
	t[1] = (struct wm_published){ oid_of("\"wm_test \"\"2\".\"P\"\"2\""), "wm_test \"2", "P\"2",
		0, NULL, false };
	t[2] = (struct wm_published){ oid_of("p3"), "wm_test", "p3", 1, abc, false };

	assert_int_equal(wm_publication_exists(sql, PUBLICATION, &there, &err), WM_OK);
	assert_false(there);
	assert_true(sync_tables(NULL, 0));
	assert_false(sync_tables(NULL, 0));
	assert_int_equal(wm_publication_exists(sql, PUBLICATION, &there, &err), WM_OK);
	assert_true(there);
	assert_true(sync_tables(t, 3));
	assert_string_equal(published(),
	    lists ? "wm_test \"2.P\"2{a,b} wm_test.p1{a,b} wm_test.p3{a}" :
		    "wm_test \"2.P\"2 wm_test.p1 wm_test.p3");
	assert_false(sync_tables(t, 3));

	/* Out of step in each way, and back. */
	run("ALTER PUBLICATION \"wm_test\"\"p\" SET (publish = 'insert')");
	assert_true(sync_tables(t, 3));
	if (lists) {
		/* A column list of a partitioned table holds the option fast. */
		run("ALTER PUBLICATION \"wm_test\"\"p\" SET TABLE wm_test.p1 (a), wm_test.p3");
		run("ALTER PUBLICATION \"wm_test\"\"p\" SET (publish_via_partition_root = false)");
		assert_true(sync_tables(t, 3));
		assert_string_equal(
		    published(), "wm_test \"2.P\"2{a,b} wm_test.p1{a,b} wm_test.p3{a}");
		run("ALTER PUBLICATION \"wm_test\"\"p\" SET TABLES IN SCHEMA wm_test");
		assert_true(sync_tables(t, 3));
		run("ALTER PUBLICATION \"wm_test\"\"p\" SET TABLE wm_test.p1 (a, b) WHERE (a > 1), "
		    "\"wm_test \"\"2\".\"P\"\"2\", wm_test.p3 (a)");
		assert_true(sync_tables(t, 3));
		assert_false(sync_tables(t, 3));
		t[0].ncolumns = 3;
		t[0].columns = abc;
		assert_true(sync_tables(t, 3));
		run("ALTER TABLE p1 REPLICA IDENTITY NOTHING");
		run("ALTER TABLE p1 REPLICA IDENTITY FULL");
		assert_true(sync_tables(t, 3));
		assert_false(sync_tables(t, 3));
	}
	assert_true(sync_tables(t + 1, 1));
	assert_true(sync_tables(NULL, 0));
	assert_false(sync_tables(NULL, 0));
	if (wm_pg_version(sql) >= 180000)
		assert_string_equal(
		    ask(sql, "SELECT pubgencols FROM pg_publication WHERE pubname = 'wm_test\"p'"),
		    "s");
	assert_int_equal(wm_publication_drop(sql, PUBLICATION, &err), WM_OK);
	assert_int_equal(wm_publication_drop(sql, PUBLICATION, &err), WM_OK);
	assert_int_equal(wm_publication_exists(sql, PUBLICATION, &there, &err), WM_OK);
	assert_false(there);
}

static void
cannot_sync(struct wm_pg *c, const struct wm_published *tables, size_t n, enum wm_status status,
    const char *text)
{
	struct wm_error err;
	bool changed = false;

	assert_int_equal(wm_publication_sync(c, PUBLICATION, WM_PUBLISH_ALL, tables, n, &changed, &err), status);
	assert_string_equal(err.text, text);
	assert_string_equal(ask(c, "SELECT 1"), "1");
}

static void
what_the_role_may_not_is_told_with_the_fix(void **state WM_UNUSED)
{
	struct wm_published t[2];
	struct wm_pg *c;
	char text[400];

	needs_server();
	run("DROP ROLE IF EXISTS wm_test_plain; CREATE ROLE wm_test_plain LOGIN; DROP ROLE IF EXISTS wm_test_owner; "
	    "CREATE ROLE wm_test_owner; CREATE TABLE o1 (a int); CREATE TABLE o2 (a int); "
	    "ALTER TABLE o1 OWNER TO wm_test_owner; ALTER TABLE o2 OWNER TO wm_test_owner");
	t[0] = (struct wm_published){ oid_of("o1"), "wm_test", "o1", 0, NULL, false };
	t[1] = (struct wm_published){ oid_of("o2"), "wm_test", "o2", 0, NULL, false };
	c = connect_as("user=wm_test_plain", WM_PG_SQL);
	snprintf(text, sizeof(text),
	    "could not create publication \"" PUBLICATION "\": role \"wm_test_plain\" lacks CREATE "
	    "on database \"%s\"; run: GRANT CREATE ON DATABASE \"%s\" TO \"wm_test_plain\"",
	    PQdb(wm_pg_conn(c)), PQdb(wm_pg_conn(c)));
	cannot_sync(c, t, 2, WM_OPERATOR, text);
	snprintf(text, sizeof(text), "GRANT CREATE ON DATABASE \"%s\" TO wm_test_plain",
	    PQdb(wm_pg_conn(c)));
	run(text);
	cannot_sync(c, t, 2, WM_OPERATOR,
	    "could not put table \"wm_test.o1\" (and 1 more tables alike) into publication \"" PUBLICATION
	    "\": it belongs to role \"wm_test_owner\"; run: GRANT \"wm_test_owner\" TO \"wm_test_plain\", or "
	    "let its owner make the publication and set manage: false");
	run("CREATE PUBLICATION \"wm_test\"\"p\"");
	cannot_sync(c, t, 2, WM_OPERATOR,
	    "could not alter publication \"" PUBLICATION "\": it belongs to role \"postgres\"; "
	    "run: ALTER PUBLICATION \"" PUBLICATION
	    "\" OWNER TO \"wm_test_plain\", or set manage: false");
	run("DROP PUBLICATION \"wm_test\"\"p\"; CREATE PUBLICATION \"wm_test\"\"p\" FOR ALL TABLES");
	cannot_sync(sql, t, 2, WM_OPERATOR,
	    "could not set the tables of publication \"" PUBLICATION "\": it was created FOR "
	    "ALL TABLES; drop it, choose another name for walmill's, or set manage: false");
	run("DROP PUBLICATION \"wm_test\"\"p\"");
	run("DROP TABLE o2");
	cannot_sync(sql, t, 2, WM_RETRY,
	    "could not publish table \"wm_test.o2\": it was dropped meanwhile");
	run("ALTER TABLE o1 RENAME TO o9");
	cannot_sync(sql, t, 1, WM_RETRY,
	    "could not create publication \"" PUBLICATION "\": relation \"wm_test.o1\" does not "
	    "exist");
	wm_pg_close(c);
	run("DROP OWNED BY wm_test_plain, wm_test_owner; DROP ROLE wm_test_plain; DROP ROLE wm_test_owner");
}

static void
assert_finding(const struct wm_diags *d, size_t i, enum wm_severity severity, const char *place,
    const char *text)
{
	assert_true(i < d->n);
	assert_string_equal(d->list[i].text, text);
	assert_string_equal(d->list[i].place, place);
	assert_int_equal(d->list[i].severity, severity);
}

static void
a_publication_of_others_is_checked(void **state WM_UNUSED)
{
	const char *ab[] = { "a", "b" };
	WM_AUTO(wm_diags_free) struct wm_diags d = { .n = 0 };
	struct wm_published t[3];
	struct wm_error err;
	size_t i = 0;
	bool lists;

	needs_server();
	lists = wm_pg_version(sql) >= 150000;
	run("CREATE TABLE p1 (a int PRIMARY KEY, b int); CREATE TABLE p2 (a int); CREATE TABLE p3 (a int) PARTITION BY LIST (a); "
	    "CREATE TABLE p3a PARTITION OF p3 DEFAULT");
	t[0] = (struct wm_published){ oid_of("p1"), "wm_test", "p1", 2, ab, false };
	t[1] = (struct wm_published){ oid_of("p2"), "wm_test", "p2", 0, NULL, false };
	t[2] = (struct wm_published){ oid_of("p3"), "wm_test", "p3", 0, NULL, false };
	assert_int_equal(wm_publication_check(sql, PUBLICATION, t, 3, &d, &err), WM_OK);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.errors, 1);
	assert_non_null(strstr(d.list[0].text, "it does not exist in database"));
	wm_diags_free(&d);
	d = (struct wm_diags){ .n = 0 };

	run(lists ?
		"CREATE PUBLICATION \"wm_test\"\"p\" FOR TABLE p1 (a) WHERE (a > 1), p3 WITH (publish = 'insert, update, delete')" :
		"CREATE PUBLICATION \"wm_test\"\"p\" FOR TABLE p1, p3 WITH (publish = 'insert, update, delete')");
	assert_int_equal(wm_publication_check(sql, PUBLICATION, t, 3, &d, &err), WM_OK);
	assert_finding(&d, i++, WM_WARNING, "publication \"wm_test\"p\"",
	    "it does not publish truncate: those changes never "
	    "arrive");
	assert_finding(&d, i++, WM_ERROR, "publication \"wm_test\"p\"",
	    "it publishes changes of partitioned tables under "
	    "their partitions' names");
	if (lists) {
		assert_finding(&d, i++, WM_WARNING, "table \"wm_test.p1\"",
		    "publication \"wm_test\"p\" publishes only the rows "
		    "that its WHERE accepts");
		assert_finding(&d, i++, WM_ERROR, "table \"wm_test.p1\"",
		    "publication \"wm_test\"p\" does not publish column "
		    "\"b\"");
	}
	assert_finding(&d, i++, WM_ERROR, "table \"wm_test.p2\"",
	    "publication \"wm_test\"p\" does not publish it");
	assert_finding(&d, i++, WM_ERROR, "table \"wm_test.p3\"",
	    "publication \"wm_test\"p\" does not publish it");
	assert_int_equal(d.n, i);
	wm_diags_free(&d);
	d = (struct wm_diags){ .n = 0 };

	run("DROP PUBLICATION \"wm_test\"\"p\"; CREATE PUBLICATION \"wm_test\"\"p\" FOR ALL TABLES WITH (publish_via_partition_root)");
	assert_int_equal(wm_publication_check(sql, PUBLICATION, t, 3, &d, &err), WM_OK);
	assert_int_equal(d.n, 0);
}

static void
settling_waits_for_older_transactions_only(void **state WM_UNUSED)
{
	struct wm_pg *older, *newer;
	struct wm_error err;
	uint64_t since = 0;
	char part[40];

	needs_server();
	run("CREATE TABLE x (a int)");
	older = connect_as("connect_timeout=5", WM_PG_SQL);
	newer = connect_as("connect_timeout=5", WM_PG_SQL);
	run_on(older, "BEGIN; INSERT INTO wm_test.x VALUES (1)");
	assert_int_equal(wm_pg_next_xid(sql, &since, &err), WM_OK);
	run_on(newer, "BEGIN; INSERT INTO wm_test.x VALUES (2)");
	assert_int_equal(
	    wm_publication_settle(sql, since, wm_clock_mono() + 30 * WM_MSEC, &err), WM_RETRY);
	snprintf(part, sizeof(part), "the oldest is pid %d (role", PQbackendPID(wm_pg_conn(older)));
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" not in: %s", part, err.text);
	snprintf(
	    part, sizeof(part), "SELECT pg_terminate_backend(%d)", PQbackendPID(wm_pg_conn(older)));
	assert_non_null(strstr(err.text, part));
	run_on(older, "COMMIT");
	/* newer still runs. */
	assert_int_equal(
	    wm_publication_settle(sql, since, wm_clock_mono() + 10 * WM_SEC, &err), WM_OK);
	wm_pg_close(older);
	wm_pg_close(newer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_publication_is_made_and_kept_in_step, clean),
		cmocka_unit_test_setup(what_the_role_may_not_is_told_with_the_fix, clean),
		cmocka_unit_test_setup(a_publication_of_others_is_checked, clean),
		cmocka_unit_test_setup(settling_waits_for_older_transactions_only, clean),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
