# SPDX-License-Identifier: PostgreSQL
"""Rows that a target or a check refuses: on_error, dead letters, and that nothing else is lost."""

import json

import pytest
from walmill_testing import wait_until
from walmill_testing.refusal import accept, refuse

TABLE = "CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i, 'v' FROM generate_series(1, 50) i"


def test_trap_03_refused_rows_become_dead_letters(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t, on_error: dead_letter}")
    daemon.same("t")
    refuse(daemon)
    # Three bad ones among many, in one transaction; and a bad update.
    db.execute("INSERT INTO t SELECT i, CASE WHEN i IN (107, 155, 199) THEN i * 10 ELSE 1 END, 'w' FROM generate_series(101, 200) i")
    db.execute("UPDATE t SET n = 5000 WHERE id = 7; UPDATE t SET v = 'fine' WHERE id = 8; DELETE FROM t WHERE id = 9")
    daemon.wait()
    missing = {r[0] for r in db.rows("SELECT id FROM t")} - {r[0] for r in daemon.rows("SELECT id FROM t")}
    assert missing == {107, 155, 199}
    assert daemon.rows("SELECT n FROM t WHERE id = 7") == [(7,)]
    assert daemon.rows("SELECT v FROM t WHERE id = 8") == [("fine",)]
    letters = daemon.errors()
    assert {(x["rule"], x["key"]["id"]) for x in letters} == {("t", i) for i in (7, 107, 155, 199)} or \
        {(x["rule"], str(x["key"]["id"])) for x in letters} == {("t", str(i)) for i in (7, 107, 155, 199)}
    assert all(("small" in x["message"]) for x in letters)
    assert daemon.rule("t")["dead_letters"] == 4 and daemon.rule("t")["state"] == "streaming"
    text = daemon.run("errors list").stdout
    assert text.count("\n") >= 4 and "107" in text
    one = daemon.run("errors show", str(letters[0]["id"]))
    assert "small" in one.stdout
    assert json.loads(daemon.run("errors show", "--json", str(letters[0]["id"])).stdout)["id"] == letters[0]["id"]
    daemon.run("errors show", "999999", expect=1)
    # They last, and are not stored twice, and the row comes with its next good version.
    daemon.restart()
    assert [x["id"] for x in daemon.errors()] == [x["id"] for x in letters]
    db.execute("UPDATE t SET n = 3 WHERE id IN (107, 7); DELETE FROM t WHERE id = 155")
    daemon.wait()
    assert daemon.rows("SELECT id, n FROM t WHERE id IN (7, 107, 155, 199) ORDER BY id") == [(7, 3), (107, 3)]


def test_dead_letters_can_be_read_without_a_daemon(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t, on_error: dead_letter, columns: {check: {n: n < 100}}}")
    db.execute("INSERT INTO t VALUES (900, 900, 'x')")
    daemon.wait()
    daemon.sigterm()
    assert len(daemon.errors()) == 1


def test_check_refuses_rows_of_seed_and_stream(db, start):
    db.execute(TABLE + "; INSERT INTO t VALUES (60, -5, 'bad in the seed')")
    daemon = start("""
        - table: public.t
          columns: {check: {n: n >= 0, v: "length(v) < 40"}, mask: {v: sha256}}
          on_error: dead_letter
        """)
    db.execute("INSERT INTO t VALUES (70, -1, 'the secret of row 70'), (71, NULL, 'unknown is no failure'), (72, 1, repeat('too long ', 9)), (73, 3, 'good')")
    daemon.wait()
    assert {r[0] for r in daemon.rows("SELECT id FROM t WHERE id >= 60")} == {71, 73}
    letters = daemon.errors()
    assert len(letters) == 3 and {x["class"] for x in letters} == {"check"}
    # A masked value is in no dead letter and in no log.
    shown = json.dumps(letters) + daemon.log() + daemon.run("errors list").stdout
    for letter in letters:
        shown += daemon.run("errors show", str(letter["id"])).stdout
    assert "the secret" not in shown and "too long" not in shown and "bad in the seed" not in shown
    assert daemon.rule("t")["dead_letters"] == 3


def test_row_that_begins_to_fail_a_check_keeps_its_last_good_version(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t, columns: {check: {n: n >= 0}}, on_error: dead_letter}")
    db.execute("UPDATE t SET n = -1, v = 'bad' WHERE id = 1")
    daemon.wait()
    assert daemon.rows("SELECT n, v FROM t WHERE id = 1") == [(1, "v")]
    db.execute("UPDATE t SET n = 2 WHERE id = 1")
    daemon.same("t")


def test_row_that_is_refused_under_a_new_key_is_not_left_under_its_old_one(db, start):
    """What the source does to it later names the new key, so nothing would ever take the old row away."""
    db.execute(TABLE + "; ALTER TABLE t ADD doc text; ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; UPDATE t SET doc = repeat('x', 5000) WHERE id < 4")
    daemon = start("- {table: public.t, columns: {check: {v: v <> 'bad'}}, on_error: dead_letter}")
    daemon.same("t")
    refuse(daemon)
    db.execute("UPDATE t SET id = 101, v = 'bad' WHERE id = 1")		# by the check
    db.execute("UPDATE t SET id = 102, n = 100 WHERE id = 2")		# by the target, with a value that is not in the stream
    db.execute("UPDATE t SET id = 104, n = 100 WHERE id = 4")		# by the target, whole
    daemon.wait()
    assert daemon.rows("SELECT id FROM t WHERE id IN (1, 2, 4) OR id > 100") == []
    assert len(daemon.errors()) == 3
    db.execute("DELETE FROM t WHERE id = 101; UPDATE t SET n = 5 WHERE id = 102; UPDATE t SET n = 6 WHERE id = 104")
    daemon.same("t")


def test_refused_row_comes_whole_with_its_next_good_version(db, start):
    """Its large value did not change, so the stream does not bring it; the target never had it."""
    db.execute(TABLE + "; ALTER TABLE t ADD doc text; ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; "
               "INSERT INTO t VALUES (60, 60, 'of the seed', repeat('x', 5000))")
    daemon = start("- {table: public.t, on_error: dead_letter}")
    daemon.same("t")
    refuse(daemon)
    db.execute("INSERT INTO t VALUES (61, 500, 'refused', repeat('y', 5000)), (62, 500, 'refused', repeat('z', 5000))")
    daemon.wait()
    db.execute("UPDATE t SET n = 1 WHERE id = 61")
    daemon.wait()
    daemon.restart()
    db.execute("UPDATE t SET n = 1 WHERE id = 62")
    daemon.same("t")


def test_trap_18_stop_fails_the_rule_alone_and_resume_loses_nothing(db, start):
    db.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY)")
    daemon = start("- {table: public.t, on_error: stop}\n- table: public.u")
    daemon.same("t", "u")
    refuse(daemon)
    db.execute("INSERT INTO t VALUES (500, 500, 'bad')")
    wait_until(lambda: daemon.rule("t")["state"] == "failed", "the rule stops")
    db.execute("INSERT INTO t VALUES (501, 1, 'good'); UPDATE t SET v = 'x' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO u VALUES (1)")
    wait_until(lambda: daemon.rows("SELECT count(*) FROM u") == [(1,)], "the other rule goes on")
    assert daemon.rows("SELECT count(*) FROM t") == [(50,)]
    assert daemon.errors() == []
    # It stays stopped over a restart, with nothing lost.
    daemon.restart()
    db.execute("INSERT INTO t VALUES (502, 1, 'good'); INSERT INTO u VALUES (2)")
    wait_until(lambda: daemon.rows("SELECT count(*) FROM u") == [(2,)], "the other rule goes on after the restart")
    accept(daemon)
    daemon.run("resume", "t")
    daemon.same("t", "u")
    assert daemon.rule("t")["state"] == "streaming"


def test_trap_03_retry_until_the_target_takes_it(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t, on_error: retry}")
    daemon.same("t")
    refuse(daemon)
    db.execute("INSERT INTO t VALUES (500, 500, 'bad')")
    db.execute("INSERT INTO t VALUES (501, 1, 'behind it')")

    def retries():
        target = daemon.target("target")
        return target["state"] == "retrying" and target["retries"] > 1 and "small" in (target["last_error"] or "")

    wait_until(retries, "it retries, and says why", 30)
    assert daemon.rows("SELECT count(*) FROM t WHERE id >= 500") == [(0,)]
    accept(daemon)
    daemon.same("t")
    assert daemon.errors() == [] and daemon.rule("t")["dead_letters"] == 0


@pytest.mark.parametrize("n", [2000])
def test_many_bad_rows_do_not_take_for_ever(db, start, n):
    db.execute(TABLE)
    daemon = start("- {table: public.t, on_error: dead_letter}")
    daemon.same("t")
    refuse(daemon)
    db.execute("INSERT INTO t SELECT i, CASE WHEN i %% 20 = 0 THEN 1000 ELSE 1 END, 'w' FROM generate_series(1001, 1000 + %s) i", n)
    daemon.wait(90)
    assert daemon.rule("t")["dead_letters"] == n // 20
    assert daemon.rows("SELECT count(*) FROM t") == [(50 + n - n // 20,)]


def test_value_that_the_target_type_cannot_hold(db, dw, daemon):
    """An operator's own narrower column: only the rows that do not fit are put aside."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n bigint)")
    dw.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric(12,0))")
    d = daemon("- {table: public.t, on_error: dead_letter, columns: {type: {n: \"numeric(12,0)\"}}}", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    db.execute("INSERT INTO t VALUES (1, 5), (2, 9000000000000000000), (3, 7)")
    d.wait()
    assert sorted(d.rows("SELECT id FROM t")) == [(1,), (3,)]
    assert len(d.errors()) == 1
    d.sigterm()


@pytest.mark.parametrize("again", ["resume", "restart"])
def test_what_a_failed_seed_missed_does_not_stay(db, dw, daemon, again):
    """Changes pass by a table whose seed failed: rows that were deleted meanwhile must go when it comes back."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT i, 'a' FROM generate_series(1, 5) i")
    running = daemon("- {table: public.t, on_error: stop}", targets={"dw": f"type: postgres\nuri: {dw.uri}"},
                     sources={"shop": f"uri: {db.uri}\ndiscover: 200ms"}).start()
    running.same("t")
    dw.execute("ALTER TABLE t ADD d int CHECK (id <> 4 OR d IS NULL)")
    db.execute("ALTER TABLE t ADD d int NOT NULL DEFAULT 6")
    wait_until(lambda: running.rule("t")["state"] == "failed", "the seed failed")
    db.execute("DELETE FROM t WHERE id = 5; UPDATE t SET id = 30 WHERE id = 3")
    dw.execute("ALTER TABLE t DROP CONSTRAINT t_check")
    wait_until(lambda: running.target("dw")["lag_bytes"] == 0, "the changes have passed by")
    if again == "resume":
        running.run("resume", "t")
    else:
        running.restart()
    wait_until(lambda: not running.differences("t"), "the view equals the table")


@pytest.mark.parametrize("down", [False, True], ids=["running", "down"])
def test_table_that_was_refused_a_while(db, start, down):
    """Without a replica identity its updates and deletes are not sent: nothing of them may be missing later."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT i, 'a' FROM generate_series(1, 5) i")
    daemon = start("- table: public.t", sources={"shop": f"uri: {db.uri}\ndiscover: 200ms"})
    daemon.same("t")
    db.execute("ALTER TABLE t REPLICA IDENTITY NOTHING")
    wait_until(lambda: daemon.rule("t")["state"] == "failed", "the table is refused")
    db.execute("DELETE FROM t WHERE id = 1; UPDATE t SET a = 'b' WHERE id = 2; INSERT INTO t VALUES (6, 'c')")
    if down:
        daemon.restart()
    db.execute("ALTER TABLE t REPLICA IDENTITY DEFAULT")
    wait_until(lambda: not daemon.differences("t"), "the view equals the table", 20)
    daemon.same("t")


def test_table_that_one_of_two_rules_refused_a_while(db, start):
    """Its changes were published for the other rule: those that passed the refused one by are missing there."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text, x int); "
               "INSERT INTO t SELECT i, 'a', i FROM generate_series(1, 5) i")
    daemon = start("""
        - {name: all, table: public.t, view: all_of_it}
        - {name: some, table: public.t, view: some_of_it, columns: {include: [id, x]}}
        """, sources={"shop": f"uri: {db.uri}\ndiscover: 200ms"})
    daemon.same("t", view="some_of_it", columns=["id", "x"])
    db.execute("ALTER TABLE t DROP x")
    wait_until(lambda: daemon.rule("some")["state"] == "failed", "the table is refused")
    db.execute("DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (6, 'c')")
    wait_until(lambda: not daemon.differences("t", view="all_of_it", columns=["id", "a"]), "the changes have come")
    db.execute("ALTER TABLE t ADD x int")
    wait_until(lambda: not daemon.differences("t", view="some_of_it", columns=["id", "x"]), "equal again", 20)


RETYPED = "ALTER TABLE t RENAME n TO away"
MENDED = "ALTER TABLE t RENAME away TO n"


def test_view_that_cannot_be_written_stops_its_rule_alone(db, dw, daemon):
    """Neither a bad row nor a target that is away: the rule stops, and others at the same target go on."""
    db.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY)")
    d = daemon("- {table: public.t, on_error: dead_letter}\n- table: public.u",
               targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    db.execute("UPDATE t SET v = 'w' WHERE id = 3")
    d.same("t", "u")
    dw.execute(RETYPED)
    db.execute("BEGIN; UPDATE t SET n = 7 WHERE id = 1; INSERT INTO u VALUES (1); COMMIT")
    wait_until(lambda: d.rule("t")["state"] == "failed", "the rule stops")
    db.execute("INSERT INTO u VALUES (2); UPDATE t SET n = 8 WHERE id = 2")
    wait_until(lambda: d.rows("SELECT count(*) FROM u") == [(2,)], "the other rule goes on")
    assert d.target("dw")["state"] == "ok" and d.errors() == []
    assert "altered or a privilege taken away" in d.rule("t")["last_error"]
    dw.execute(MENDED)
    d.run("resume", "t")
    d.same("t", "u")
    d.sigterm()


def test_view_that_cannot_be_written_when_a_letter_is_retried(db, dw, daemon):
    db.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY)")
    d = daemon("- {table: public.t, on_error: dead_letter}\n- table: public.u",
               targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t", "u")
    refuse(d)
    db.execute("INSERT INTO t VALUES (101, 500, 'x')")
    d.wait()
    accept(d)
    dw.execute(RETYPED)
    asked = d.run("errors retry", expect=1)
    assert "cannot be written" in asked.stderr
    wait_until(lambda: d.rule("t")["state"] == "failed", "the rule stops")
    db.execute("INSERT INTO u VALUES (1)")
    wait_until(lambda: d.rows("SELECT count(*) FROM u") == [(1,)], "the other rule goes on")
    dw.execute(MENDED)
    d.run("resume", "t")
    d.wait()
    d.run("errors retry")
    d.same("t", "u")
    d.sigterm()
