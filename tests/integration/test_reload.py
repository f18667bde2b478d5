# SPDX-License-Identifier: PostgreSQL
"""SIGHUP: configuration and rules are read again while everything goes on."""

import re

import psycopg2
import pytest
from walmill_testing import wait_until

TABLES = """
    CREATE TABLE t (id int PRIMARY KEY, v text, n int); CREATE TABLE u (id int PRIMARY KEY, v text);
    INSERT INTO t SELECT i, 'v' || i, i FROM generate_series(1, 500) i; INSERT INTO u SELECT i, 'u' || i FROM generate_series(1, 700) i
"""


def test_added_rule_seeds_and_streams(db, start):
    db.execute(TABLES)
    daemon = start("- table: public.t")
    daemon.same("t")
    daemon.write_rules("- table: public.u", "20-more.yaml")
    daemon.sighup()
    wait_until(lambda: daemon.rule("u") is not None, "the new rule")
    # While it seeds, the table changes.
    for i in range(50):
        db.execute("UPDATE u SET v = v || '.' WHERE id = %s; DELETE FROM u WHERE id = %s; INSERT INTO u VALUES (%s, 'new')",
                   i, 700 - i, 1000 + i)
    daemon.same("t", "u")
    assert daemon.rule("u")["rows_seeded"] > 0
    daemon.restart()
    db.execute("UPDATE u SET v = 'last' WHERE id = 3")
    daemon.same("t", "u")


def test_changed_where_seeds_again_and_rows_that_no_longer_match_vanish(db, start):
    db.execute(TABLES)
    daemon = start("- {table: public.t, where: n <= 300}")
    daemon.same("t", where="n <= 300")
    daemon.write_rules("- {table: public.t, where: n > 200}")
    daemon.sighup()
    db.execute("UPDATE t SET v = 'changed meanwhile' WHERE id % 7 = 0")
    wait_until(lambda: daemon.rows("SELECT count(*) FROM t WHERE n > 300") != [(0,)], "the changed rule")
    daemon.same("t", where="n > 200")


def test_changed_columns_fill_old_rows(db, start):
    db.execute(TABLES)
    daemon = start("- {table: public.t, columns: {exclude: [v]}}")
    daemon.same("t", columns=["id", "n"])
    daemon.write_rules("- {table: public.t, columns: {compute: {twice: n * 2}}}")
    daemon.sighup()
    wait_until(lambda: "twice" in daemon.reader().columns("t"), "the new column")
    daemon.same("t")
    assert daemon.rows("SELECT count(*) FROM t WHERE CAST(twice AS integer) = n * 2") == [(500,)]


def test_removed_rule_stops_and_its_rows_stay(db, start):
    db.execute(TABLES)
    daemon = start("- table: public.t\n- table: public.u")
    daemon.same("t", "u")
    daemon.write_rules("- table: public.t")
    daemon.sighup()
    wait_until(lambda: daemon.rule("u") is None, "the rule is gone")
    db.execute("INSERT INTO u VALUES (9000, 'unseen'); INSERT INTO t VALUES (9000, 'seen', 1)")
    daemon.same("t")
    assert daemon.rows("SELECT count(*), max(id) FROM u") == [(700, 700)]
    # And back again: what was missed comes with a new seed.
    db.execute("DELETE FROM u WHERE id <= 10")
    daemon.write_rules("- table: public.t\n- table: public.u")
    daemon.sighup()
    wait_until(lambda: daemon.rule("u") is not None, "the rule is back")
    daemon.same("t", "u")


def test_rules_removed_while_the_daemon_was_down(db, start):
    db.execute(TABLES)
    daemon = start("- table: public.t\n- table: public.u")
    daemon.same("t", "u")
    daemon.sigterm()
    daemon.write_rules("- {table: public.t, where: n > 100}")
    daemon.start()
    daemon.same("t", where="n > 100")


@pytest.mark.parametrize("keeping", ["on_delete: soft", "on_delete: ignore", "on_truncate: ignore", "events: [insert, update]"])
def test_rows_that_the_former_rule_kept_go_with_it(db, start, keeping):
    """The seed of the changed rule meets only the rows that the source has."""
    db.execute(TABLES)
    daemon = start(f"- {{table: public.t, {keeping}}}")
    daemon.same("t")
    db.execute("DELETE FROM t WHERE id > 450" if "truncate" not in keeping else "TRUNCATE t; INSERT INTO t VALUES (1, 'again', 1)")
    daemon.wait()
    assert daemon.rows("SELECT count(*) FROM t") == [(500,)]
    daemon.write_rules("- table: public.t")
    daemon.sighup()
    wait_until(lambda: daemon.rows("SELECT count(*) FROM t") != [(500,)], "the changed rule")
    daemon.same("t")


def test_rows_that_are_marked_as_deleted_stay_when_another_key_of_the_rule_changes(db, start):
    db.execute(TABLES)
    daemon = start("- {table: public.t, on_delete: soft}")
    db.execute("DELETE FROM t WHERE id > 450")
    daemon.wait()
    daemon.write_rules("- {table: public.t, on_delete: soft, where: n > 10}")
    daemon.sighup()
    wait_until(lambda: daemon.rows("SELECT count(*) FROM t WHERE n <= 10 AND NOT _walmill_deleted") == [(0,)], "the changed rule")
    daemon.wait()
    assert daemon.rows("SELECT count(*) FROM t WHERE _walmill_deleted AND id > 450") == [(50,)]


@pytest.mark.parametrize("change", [
    "ALTER TABLE t ADD late int DEFAULT 1",
    "ALTER TABLE t ADD late int; UPDATE t SET late = 1 WHERE id % 2 = 0; ALTER TABLE t ALTER late TYPE numeric(9,2); "
    "UPDATE t SET late = 1.5",
], ids=["added", "retyped"])
def test_changed_rule_reads_columns_that_older_changes_do_not_have(db, start, change):
    """The stream is behind, and the table looked different then: all that is left to the rule's seed."""
    db.execute(TABLES)
    daemon = start("- table: public.t")
    daemon.wait()
    daemon.sigterm()
    db.execute("UPDATE t SET n = 1 WHERE id = 7; DELETE FROM t WHERE id > 490")
    db.execute("INSERT INTO t VALUES (600, 'x', 1)")
    for statement in change.split("; "):
        db.execute(statement)
    daemon.write_rules("- {table: public.t, where: late > 0}")
    daemon.start()
    daemon.same("t", where="late > 0")
    db.execute("UPDATE t SET n = 2 WHERE id IN (7, 8); INSERT INTO t VALUES (700, 'x', 1, 1), (701, 'x', 1, 0)")
    daemon.same("t", where="late > 0")
    assert daemon.rule("t")["state"] == "streaming"


def test_changed_rule_reads_a_column_that_was_excluded(db, start):
    db.execute(TABLES)
    daemon = start("- {table: public.t, columns: {exclude: [v]}}")
    daemon.wait()
    daemon.sigterm()
    db.execute("UPDATE t SET n = 1 WHERE id = 7; DELETE FROM t WHERE id > 490")
    daemon.write_rules("- {table: public.t, where: v <> 'v8'}")
    daemon.start()
    daemon.same("t", where="v <> 'v8'")
    assert daemon.rule("t")["state"] == "streaming"


def test_resumed_rule_gets_the_last_transaction_of_a_table_that_was_altered(db, start):
    """It was read without the rule, whose columns of before did not fit."""
    db.execute(TABLES)
    daemon = start("- table: public.t\n- {name: held, table: public.t, view: held}")
    daemon.wait()
    daemon.run("pause", "held")
    db.execute("ALTER TABLE t ADD late int")
    db.execute("INSERT INTO t VALUES (600, 'x', 1, 2)")
    wait_until(lambda: daemon.rows("SELECT count(*) FROM t WHERE id = 600") == [(1,)], "the other rule has it")
    daemon.run("resume", "held")
    daemon.same("t", view="held")


def test_new_rule_is_not_told_of_a_column_that_was_replaced_before(db, start):
    """By name and type the stream's column of then is the same."""
    db.execute(TABLES)
    daemon = start("- table: public.t")
    daemon.wait()
    daemon.sigterm()
    db.execute("INSERT INTO t VALUES (600, 'x', 1); UPDATE t SET n = 2 WHERE id = 7")
    db.execute("ALTER TABLE t DROP n; ALTER TABLE t ADD n int DEFAULT 5")
    daemon.write_rules("- table: public.t\n- {name: new, table: public.t, view: new}")
    daemon.start()
    daemon.same("t", view="new")
    db.execute("UPDATE t SET n = 3 WHERE id = 8")
    daemon.same("t", view="new")


def test_rule_goes_on_when_another_brings_older_changes_back(db, start):
    """What a resumed rule needs comes again for all: the table of then does not fit a rule of now."""
    db.execute(TABLES)
    held = "- {name: held, table: public.t, view: held}"
    daemon = start(held)
    daemon.wait()
    daemon.run("pause", "held")
    db.execute("UPDATE t SET n = 1 WHERE id = 7; DELETE FROM t WHERE id > 490")
    db.execute("ALTER TABLE t ADD late int DEFAULT 1")
    db.execute("INSERT INTO t VALUES (600, 'x', 1)")
    daemon.write_rules(held + "\n- {table: public.t, where: late > 0}")
    daemon.sighup()
    wait_until(lambda: (daemon.rule("t") or {}).get("state") == "streaming", "the new rule streams")
    daemon.run("resume", "held")
    daemon.same("t", where="late > 0")
    daemon.same("t", view="held")
    assert [r["state"] for r in daemon.status()["rules"]] == ["streaming"] * 2


def test_added_target(db, daemon):
    db.execute(TABLES)
    d = daemon("- {name: one, table: public.t, target: lite}").start()
    d.wait()
    d.targets["second"] = "type: sqlite\npath: second.db"
    d.write_config()
    d.write_rules("- {name: one, table: public.t, target: lite}\n- {name: two, table: public.t, target: second}")
    d.sighup()
    wait_until(lambda: d.rule("two") is not None, "the new rule")
    db.execute("UPDATE t SET v = 'x' WHERE id < 9")
    d.same("t")
    d.sigterm()


def test_erroneous_rules_change_nothing_and_are_logged_with_their_places(db, start):
    db.execute(TABLES)
    daemon = start("- table: public.t")
    daemon.same("t")
    mark = len(daemon.log())
    daemon.write_rules("- {table: public.t, wehre: n > 3}\n- {table: public.u, on_delete: perhaps}")
    daemon.sighup()
    path = re.escape(str(daemon.rules_folder / "10-test.yaml"))
    wait_until(lambda: re.search(path + r":2:23: .*wehre.*where", daemon.log()[mark:]), "the first mistake's place")
    wait_until(lambda: re.search(path + r":3:\d+: .*(perhaps|on_delete)", daemon.log()[mark:]), "the second mistake's place")
    db.execute("INSERT INTO t VALUES (9000, 'goes on', 1)")
    daemon.same("t")
    assert daemon.rule("u") is None
    daemon.write_rules("- table: public.t\n- table: public.u")
    daemon.sighup()
    wait_until(lambda: daemon.rule("u") is not None, "the mended rules")
    daemon.same("t", "u")


def test_what_cannot_change_while_running_is_refused(db, pg, start):
    db.execute(TABLES)
    daemon = start("- table: public.t")
    daemon.same("t")
    mark = len(daemon.log())
    daemon.sources["shop"] = pg.uri("postgres")
    daemon.write_config()
    daemon.write_rules("- table: public.t\n- table: public.u")
    daemon.sighup()
    wait_until(lambda: "shop" in daemon.log()[mark:] and "restart" in daemon.log()[mark:], "the refusal in the log")
    db.execute("INSERT INTO t VALUES (9000, 'goes on', 1)")
    daemon.same("t")
    assert daemon.rule("u") is None


HANDS = "- {name: r, table: public.t, view: x, where: id <= 20}\n- {name: s, table: public.u, view: y}"


@pytest.mark.parametrize("how", ["running", "down", "after a while"])
@pytest.mark.parametrize("rules, table, view, where", [
    ("- {name: r2, table: public.t, view: x, where: id > 10}", "t", "x", "id > 10"),
    ("- {name: r, table: public.t, view: y}\n- {name: s, table: public.u, view: x}", "t", "y", "true"),
    ("- {name: q, table: public.u, view: x}", "u", "x", "true"),
    ("- {name: r, table: public.u, view: x}", "u", "x", "true"),
    ("- {name: r, table: public.t, view: x}", "t", "x", "true"),
], ids=["rule renamed", "views swapped", "another rule", "another table", "as it was"])
def test_views_that_change_hands(db, start, rules, table, view, where, how):
    """What another rule, or another table, left in a view must not stay in it."""
    db.execute(TABLES)
    daemon = start(HANDS)
    daemon.same("t", view="x", where="id <= 20")
    daemon.same("u", view="y")
    if how == "down":
        daemon.sigterm()
    elif how == "after a while":
        daemon.write_rules("- {name: other, table: public.u, view: z}")
        daemon.sighup()
        wait_until(lambda: daemon.rule("r") is None, "the rule is gone")
        db.execute("DELETE FROM t WHERE id = 15; DELETE FROM u WHERE id = 15")
        daemon.wait()
    daemon.write_rules(rules)
    if how == "down":
        daemon.start()
    else:
        daemon.sighup()
    columns = {"t": ["id", "v", "n"], "u": ["id", "v"]}[table]
    wait_until(lambda: set(columns) <= set(daemon.reader().columns(view)) and
               not daemon.differences(table, view=view, where=where), "the view equals the table")


def test_view_that_a_rule_left_and_takes_again(db, start):
    db.execute(TABLES)
    daemon = start("- {table: public.t, view: x}")
    daemon.same("t", view="x")
    daemon.write_rules("- {table: public.t, view: y}")
    daemon.sighup()
    wait_until(lambda: "y" in daemon.reader().tables(), "the other view")
    db.execute("DELETE FROM t WHERE id < 20")
    daemon.same("t", view="y")
    daemon.write_rules("- {table: public.t, view: x}")
    daemon.sighup()
    wait_until(lambda: not daemon.differences("t", view="x"), "the view equals the table")


@pytest.mark.parametrize("keeps", ["on_delete: ignore", "on_delete: soft", "mode: append"])
def test_rows_that_a_rule_keeps_stay_when_it_gets_another_name(db, start, keeps):
    db.execute(TABLES)
    daemon = start(f"- {{name: r, table: public.t, view: x, {keeps}}}")
    daemon.wait()
    db.execute("DELETE FROM t WHERE id <= 20")
    daemon.wait()
    daemon.write_rules(f"- {{name: r2, table: public.t, view: x, {keeps}}}")
    daemon.sighup()
    wait_until(lambda: (daemon.rule("r2") or {}).get("state") == "streaming", "the rule by its other name")
    assert daemon.rows("SELECT count(*) FROM x WHERE id <= 20")[0][0] >= 20


def test_trap_14_stop_and_reload_while_the_slot_waits_for_a_transaction(db, daemon):
    """PostgreSQL makes a slot when all older transactions have ended: nobody is to wait for that with us."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    older = psycopg2.connect(db.cluster.dsn(db.name))
    try:
        with older.cursor() as c:
            c.execute("INSERT INTO t VALUES (2)")
        d = daemon("- table: public.t").launch()
        d.wait_log("waiting_for_transactions")
        assert f"process {older.info.backend_pid} of " in d.log() and "INSERT" not in d.log()
        assert str(older.info.backend_pid) in d.status()["sources"][0]["last_error"]
        d.sigterm(timeout=10)
        assert db.slot() is None
        mark = len(d.log())
        d.launch()
        d.wait_log("waiting_for_transactions", mark)
        d.write_rules("- {table: public.t, view: other}")
        d.reload(timeout=10)
        assert d.try_status() is not None
        older.commit()
    finally:
        older.close()
    wait_until(d.ready, "the slot is there")
    d.same("t", view="other")
    d.sigterm()
