/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_connection.c - connections, identity and slots on a real server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server.h"

/* ---- connections ---- */

static void
values_are_rendered_alike_whatever_the_role_sets(void **state WM_UNUSED)
{
	struct wm_pg *c;

	needs_server();
	run("DROP ROLE IF EXISTS wm_test_odd; CREATE ROLE wm_test_odd LOGIN REPLICATION; "
	    "ALTER ROLE wm_test_odd SET datestyle = 'SQL, DMY'; ALTER ROLE wm_test_odd SET timezone = 'Asia/Kolkata'; "
	    "ALTER ROLE wm_test_odd SET bytea_output = 'escape'; ALTER ROLE wm_test_odd SET intervalstyle = 'iso_8601'; "
	    "ALTER ROLE wm_test_odd SET extra_float_digits = -3; ALTER ROLE wm_test_odd SET client_encoding = 'LATIN1'; "
	    "ALTER ROLE wm_test_odd SET statement_timeout = '1h'");
	for (int kind = WM_PG_SQL; kind <= WM_PG_REPLICATION; kind++) {
		c = connect_as(
		    "user=wm_test_odd&options=-c%20work_mem%3D5MB", (enum wm_pg_kind)kind);
		assert_string_equal(ask(c, "SELECT '2024-01-02 03:04:05.5+05'::timestamptz"),
		    "2024-01-01 22:04:05.5+00");
		assert_string_equal(ask(c, "SELECT '\\xff'::bytea"), "\\xff");
		assert_string_equal(
		    ask(c, "SELECT '-1 day 2 hours'::interval"), "-1 days +02:00:00");
		assert_string_equal(ask(c, "SELECT 0.1::float8 + 0.2"), "0.30000000000000004");
		assert_string_equal(ask(c, "SELECT 1.5::numeric::money"), "$1.50");
		assert_string_equal(ask(c, "SHOW client_encoding"), "UTF8");
		assert_string_equal(ask(c, "SHOW statement_timeout"), "0");
		assert_string_equal(ask(c, "SHOW application_name"), "walmill-test");
		/* What the URI sets beside that stays. */
		assert_string_equal(ask(c, "SHOW work_mem"), "5MB");
		wm_pg_close(c);
	}
	run("DROP ROLE wm_test_odd");
}

static void
refused_as(const char *more, enum wm_pg_kind kind, enum wm_status status, const char *code,
    const char *part)
{
	struct wm_pg *c = NULL;
	struct wm_error err;
	char text[1000];

	uri_with(more, text, sizeof(text));
	assert_int_equal(wm_pg_connect(text, kind, "walmill-test", &c, &err), status);
	assert_string_equal(err.code, code);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" not in: %s", part, err.text);
}

static void
refused_connections_tell_what_to_do(void **state WM_UNUSED)
{
	needs_server();
	refused_as(
	    "dbname=wm_test_none", WM_PG_SQL, WM_FATAL, "3D000", "\"wm_test_none\" does not exist");
	refused_as(
	    "user=wm_test_none", WM_PG_SQL, WM_FATAL, "28000", "\"wm_test_none\" does not exist");
	run("DROP ROLE IF EXISTS wm_test_plain; CREATE ROLE wm_test_plain LOGIN CONNECTION LIMIT 0");
	refused_as(
	    "user=wm_test_plain", WM_PG_SQL, WM_RETRY, "53300", "too many connections for role");
	run("ALTER ROLE wm_test_plain CONNECTION LIMIT -1");
	refused_as("user=wm_test_plain", WM_PG_REPLICATION, WM_FATAL, "42501",
	    "ALTER ROLE \"wm_test_plain\" LOGIN REPLICATION");
	refused_as("options=-c%20nosuch%3D1", WM_PG_SQL, WM_FATAL, "42704", "\"nosuch\"");
	run("DROP ROLE wm_test_plain");
}

static void
a_lost_connection_is_tried_again(void **state WM_UNUSED)
{
	struct wm_pg *c;
	struct wm_error err;
	char kill[100];

	needs_server();
	c = connect_as("connect_timeout=5", WM_PG_SQL);
	snprintf(kill, sizeof(kill), "SELECT pg_terminate_backend(%d, 5000)",
	    PQbackendPID(wm_pg_conn(c)));
	run(kill);
	assert_int_equal(wm_pg_exec(c, "SELECT 1", "could not look", &err), WM_RETRY);
	assert_int_equal(strncmp(err.text, "could not look: ", 16), 0);
	assert_int_equal(wm_pg_exec(c, "SELECT 1", "could not look", &err), WM_RETRY);
	wm_pg_close(c);
}

static void
errors_hold_no_value_of_a_row(void **state WM_UNUSED)
{
	struct wm_error err;

	needs_server();
	run("CREATE TABLE v (id int PRIMARY KEY, c text CHECK (c <> 'secret'))");
	assert_int_equal(wm_pg_exec(sql, "SELECT 'sec\"ret'::int", "w", &err), WM_REJECT);
	assert_string_equal(err.text, "w: invalid input syntax for type integer: \"...\"");
	assert_string_equal(err.code, "22P02");
	assert_int_equal(wm_pg_exec(sql, "SELECT 'secret'::json", "w", &err), WM_REJECT);
	assert_null(strstr(err.text, "secret"));
	assert_int_equal(
	    wm_pg_exec(sql, "INSERT INTO v VALUES (1, 'secret')", "w", &err), WM_REJECT);
	assert_string_equal(
	    err.text, "w: new row for relation \"v\" violates check constraint \"v_c_check\"");
	assert_int_equal(
	    wm_pg_exec(sql, "SELECT convert_from('\\x73ff'::bytea, 'UTF8')", "w", &err), WM_REJECT);
	assert_string_equal(err.text, "w: the value is not valid in the server's encoding");
}

/* ---- identity and slots ---- */

static void
a_slot_lives_from_create_to_drop(void **state WM_UNUSED)
{
	struct wm_pg *rep, *other;
	struct wm_slot_info info;
	struct wm_error err;
	wm_lsn consistent = 0;
	char snapshot[64] = "", import[200];

	needs_server();
	rep = connect_as("connect_timeout=5", WM_PG_REPLICATION);
	assert_int_equal(wm_slot_drop(sql, "wm_test_slot", &err), WM_OK);
	assert_int_equal(wm_slot_info(sql, "wm_test_slot", &info, &err), WM_OK);
	assert_false(info.exists);
	run("CREATE TABLE s (id int); INSERT INTO s VALUES (1)");
	assert_int_equal(
	    wm_slot_create(rep, "wm_test_slot", false, NULL, NULL, &consistent, snapshot, sizeof(snapshot), &err),
	    WM_OK);
	assert_true(consistent > 0);
	run("INSERT INTO s VALUES (2)");

	other = connect_as("connect_timeout=5", WM_PG_SQL);
	snprintf(import, sizeof(import),
	    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '%s'",
	    snapshot);
	run_on(other, import);
	assert_string_equal(ask(other, "SELECT count(*) FROM wm_test.s"), "1");
	wm_pg_close(other);

	assert_int_equal(wm_slot_info(rep, "wm_test_slot", &info, &err), WM_OK);
	assert_true(info.exists && info.same_database && !info.lost && !info.active);
	assert_string_equal(info.plugin, "pgoutput");
	assert_string_equal(info.database, PQdb(wm_pg_conn(sql)));
	assert_string_equal(info.invalidation, "");
	assert_true(info.confirmed_lsn == consistent);
	assert_true(info.restart_lsn > 0 && info.restart_lsn <= consistent);
	assert_int_equal(info.safe_wal_size, -1);

	assert_int_equal(
	    wm_slot_create(rep, "wm_test_slot", false, NULL, NULL, &consistent, snapshot, sizeof(snapshot), &err),
	    WM_FATAL);
	assert_string_equal(err.code, "42710");
	assert_string_equal(err.text,
	    "could not create replication slot \"wm_test_slot\": replication slot "
	    "\"wm_test_slot\" already exists");
	assert_int_equal(wm_slot_drop(rep, "wm_test_slot", &err), WM_OK);
	assert_int_equal(wm_slot_info(sql, "wm_test_slot", &info, &err), WM_OK);
	assert_false(info.exists);
	wm_pg_close(rep);
}

static void
the_cluster_is_identified(void **state WM_UNUSED)
{
	struct wm_pg *rep;
	struct wm_pg_identity id;
	struct wm_error err;
	wm_lsn lsn = 1, now = 0;

	needs_server();
	rep = connect_as("connect_timeout=5", WM_PG_REPLICATION);
	assert_int_equal(wm_pg_identify(rep, &id, &err), WM_OK);
	assert_string_equal(
	    id.system_id, ask(sql, "SELECT system_identifier FROM pg_control_system()"));
	assert_true(id.timeline >= 1 && id.wal_lsn > 0);
	assert_int_equal(wm_pg_current_lsn(sql, &now, &err), WM_OK);
	assert_true(now >= id.wal_lsn);
	assert_int_equal(wm_pg_timeline_switch(rep, id.timeline, id.timeline, &lsn, &err), WM_OK);
	assert_true(lsn == 0);
	/* A promoted server: its history names where it left the first timeline. */
	if (id.timeline > 1) {
		assert_int_equal(wm_pg_timeline_switch(rep, id.timeline, 1, &lsn, &err), WM_OK);
		assert_true(lsn > 0 && lsn <= id.wal_lsn);
	}
	assert_int_equal(wm_pg_timeline_switch(rep, 99, 1, &lsn, &err), WM_FATAL);
	assert_string_equal(err.code, "58P01");
	wm_pg_close(rep);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(values_are_rendered_alike_whatever_the_role_sets, clean),
		cmocka_unit_test_setup(refused_connections_tell_what_to_do, clean),
		cmocka_unit_test_setup(a_lost_connection_is_tried_again, clean),
		cmocka_unit_test_setup(errors_hold_no_value_of_a_row, clean),
		cmocka_unit_test_setup(a_slot_lives_from_create_to_drop, clean),
		cmocka_unit_test_setup(the_cluster_is_identified, clean),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
