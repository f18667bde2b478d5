# SPDX-License-Identifier: PostgreSQL
"""Dead letters again: retry, drop, and that an older value is never put over a newer one."""

import contextlib
import json
import random
import sqlite3
import subprocess
import threading

import pytest
from walmill_testing import wait_until
from walmill_testing.daemon import program
from walmill_testing.refusal import accept, refuse

TABLE = "CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i, 'v' FROM generate_series(1, 50) i"
LONG = "CREATE TABLE t (id int PRIMARY KEY, n int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL"


def retry(daemon, *options, expect=0):
    return json.loads(daemon.run("errors retry", "--json", *options, expect=expect).stdout)


def letters(daemon):
    return {str(x["key"].get("id")): x for x in daemon.errors()}


def begin(db, start, rule="- {table: public.t, on_error: dead_letter}", table=TABLE):
    db.execute(table)
    daemon = start(rule)
    daemon.same("t")
    refuse(daemon)
    return daemon


def test_retry_writes_what_was_refused(db, start):
    daemon = begin(db, start)
    db.execute("INSERT INTO t VALUES (101, 500, 'a'), (102, 1, 'b'), (103, 700, NULL)")
    db.execute("UPDATE t SET n = 900 WHERE id = 5")
    daemon.wait()
    assert set(letters(daemon)) == {"101", "103", "5"}
    assert letters(daemon)["103"]["row"] == {"id": "103", "n": "700", "v": None}
    assert letters(daemon)["103"]["table"] == "public.t"
    failed = retry(daemon, expect=1)
    assert (failed["processed"], failed["failed"], failed["end"]) == (0, 3, True)
    assert all("small" in x["message"] for x in failed["failures"])
    assert {x["attempts"] for x in daemon.errors()} == {2}
    accept(daemon)
    done = retry(daemon)
    assert (done["processed"], done["failed"], done["end"]) == (3, 0, True)
    assert daemon.errors() == [] and daemon.rule("t")["dead_letters"] == 0
    daemon.same("t")
    assert retry(daemon) == {"last": 0, "processed": 0, "failed": 0, "end": True, "failures": []}


def test_retry_by_id_page_rule_and_class(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE u (id int PRIMARY KEY, n int)")
    daemon = start("- {table: public.t, on_error: dead_letter}\n"
                   "- {table: public.u, on_error: dead_letter, columns: {check: {n: n < 100}}}")
    daemon.same("t", "u")
    refuse(daemon)
    db.execute("INSERT INTO t SELECT i, 500 FROM generate_series(1, 7) i; INSERT INTO u VALUES (1, 500)")
    daemon.wait()
    accept(daemon)
    ids = [x["id"] for x in daemon.errors() if x["rule"] == "t"]
    one = retry(daemon, str(ids[3]))
    assert (one["last"], one["processed"], one["end"]) == (ids[3], 1, True)
    page = retry(daemon, "--rule", "t", "--limit", "2")
    assert (page["last"], page["processed"], page["end"]) == (ids[1], 2, False)
    page = retry(daemon, "--class", "row", "--after", str(page["last"]))
    assert (page["last"], page["processed"], page["end"]) == (ids[6], 4, True)
    checked = retry(daemon, "--class", "check", expect=1)
    assert checked["failed"] == 1 and "check" in checked["failures"][0]["message"]
    assert retry(daemon, "999999", expect=1)["failures"][0]["message"] == "there is no such dead letter"
    daemon.same("t")
    shown = daemon.run("errors retry", expect=1)
    assert "processed 0, failed 1, end yes" in shown.stdout and "dead letter" in shown.stderr
    daemon.run("errors retry", "--rule", "t", "5", expect=2)
    daemon.run("errors drop", str(daemon.errors()[0]["id"]))
    assert daemon.errors() == []
    daemon.run("errors drop", "1", expect=1)


def test_later_change_makes_a_letter_void(db, start):
    daemon = begin(db, start)
    db.execute("INSERT INTO t SELECT i, 500, 'first' FROM generate_series(101, 106) i")
    daemon.wait()
    assert len(daemon.errors()) == 6
    db.execute("UPDATE t SET n = 1, v = 'second' WHERE id = 101; DELETE FROM t WHERE id = 102")
    db.execute("UPDATE t SET n = 600, v = 'third' WHERE id = 103; UPDATE t SET id = 204 WHERE id = 104")
    daemon.wait()
    now = letters(daemon)
    assert set(now) == {"103", "105", "106", "204"}
    assert now["103"]["row"]["v"] == "third" and now["103"]["attempts"] == 1
    accept(daemon)
    assert retry(daemon)["processed"] == 4
    daemon.same("t")
    # The same in one transaction: what is written last counts.
    refuse(daemon)
    db.execute("BEGIN; INSERT INTO t VALUES (301, 500, 'x'); UPDATE t SET n = 1 WHERE id = 301; COMMIT")
    db.execute("INSERT INTO t VALUES (302, 500, 'x'); TRUNCATE t; INSERT INTO t VALUES (303, 500, 'x')")
    daemon.wait()
    assert set(letters(daemon)) == {"303"}
    accept(daemon)
    assert retry(daemon)["processed"] == 1
    daemon.same("t")


def test_update_that_leaves_values_out_of_a_refused_row(db, start):
    """The stream does not send TOAST values that did not change; the target never got them."""
    daemon = begin(db, start, table=LONG)
    db.execute("INSERT INTO t SELECT i, 500, repeat('abc' || i, 3000) FROM generate_series(1, 5) i")
    db.execute("INSERT INTO t SELECT i, 1, repeat('abc' || i, 3000) FROM generate_series(6, 9) i")
    daemon.wait()
    db.execute("UPDATE t SET n = 5 WHERE id = 1; UPDATE t SET id = 12 WHERE id = 2")
    db.execute("UPDATE t SET id = 13, n = 3 WHERE id = 3; UPDATE t SET n = 700 WHERE id = 4; UPDATE t SET n = 4 WHERE id = 4")
    # A row that the target has, refused in part, then changed again; and one whose key changes as it is refused.
    db.execute("UPDATE t SET n = 500 WHERE id IN (6, 7, 8); UPDATE t SET id = 16 WHERE id = 6; UPDATE t SET n = 6 WHERE id = 7")
    db.execute("UPDATE t SET id = 19, n = 500 WHERE id = 9")
    daemon.wait()
    assert set(letters(daemon)) == {"12", "5", "16", "8", "19"}
    accept(daemon)
    assert retry(daemon)["failed"] == 0
    daemon.same("t")


def test_what_a_rule_refused_is_kept_masked_and_read_again(db, start):
    db.execute(TABLE)
    daemon = start("""
        - table: public.t
          events: [insert, delete]
          columns: {check: {n: n < 100}, mask: {v: sha256}, compute: {twice: n * 2}}
          on_error: dead_letter
        """)
    db.execute("INSERT INTO t VALUES (101, 500, 'the secret'), (102, 500, 'x'), (103, 500, NULL)")
    daemon.wait()
    kept = letters(daemon)["101"]
    assert kept["op"] == "upsert" and kept["class"] == "check" and kept["row"]["n"] == "500"
    assert kept["row"]["twice"] == "1000" and len(kept["row"]["v"]) == 64
    assert "the secret" not in json.dumps(daemon.errors()) + daemon.log()
    # The rule takes no updates, so what was refused is judged again as the source has it.
    db.execute("UPDATE t SET n = 5 WHERE id = 101; UPDATE t SET n = 900 WHERE id = 102")
    daemon.wait()
    again = retry(daemon, expect=1)
    assert (again["processed"], again["failed"]) == (1, 2)
    assert daemon.rows("SELECT n, twice FROM t WHERE id = 101") == [(5, 10)] or \
        [(str(a), str(b)) for a, b in daemon.rows("SELECT n, twice FROM t WHERE id = 101")] == [("5", "10")]
    assert set(letters(daemon)) == {"102", "103"}
    db.execute("DELETE FROM t WHERE id = 103")
    daemon.wait()
    assert set(letters(daemon)) == {"102"}


def test_masked_key_cannot_be_read_again(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t, columns: {check: {n: n < 100}, mask: {id: sha256}}, on_error: dead_letter}")
    db.execute("INSERT INTO t VALUES (101, 500, 'x')")
    daemon.wait()
    failed = retry(daemon, expect=1)
    assert failed["failed"] == 1 and "masked" in failed["failures"][0]["message"]
    db.execute("UPDATE t SET n = 1 WHERE id = 101")
    daemon.wait()
    assert daemon.errors() == [] and daemon.rows("SELECT count(*) FROM t") == [(51,)]


def test_refused_rows_of_a_seed(db, start):
    db.execute(TABLE + "; INSERT INTO t VALUES (60, 500, 'x'), (61, 600, 'y')")
    daemon = start("- {table: public.t, on_error: dead_letter, columns: {check: {n: n < 100}}}")
    daemon.wait()
    assert {x["origin"] for x in daemon.errors()} == {"seed"} and set(letters(daemon)) == {"60", "61"}
    # The rule is widened: it is seeded again, and its old letters are no more.
    daemon.write_rules("- {table: public.t, on_error: dead_letter, columns: {check: {n: n < 550}}}")
    daemon.sighup()
    wait_until(lambda: set(letters(daemon)) == {"61"}, "the letters of the new seed")
    daemon.wait()
    assert daemon.rows("SELECT count(*) FROM t") == [(51,)]


def test_append_keeps_every_event(db, start):
    daemon_rule = "- {table: public.t, mode: append, on_error: dead_letter}"
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text)")
    daemon = start(daemon_rule)
    db.execute("INSERT INTO t VALUES (1, 1, 'x')")
    daemon.wait()
    refuse(daemon)
    db.execute("INSERT INTO t VALUES (2, 500, 'x')")
    db.execute("UPDATE t SET n = 600 WHERE id = 2")
    db.execute("UPDATE t SET n = 2 WHERE id = 2")
    daemon.wait()
    assert len(daemon.errors()) == 2
    accept(daemon)
    assert retry(daemon)["processed"] == 2
    assert daemon.rows("SELECT n FROM t WHERE id = 2 ORDER BY _walmill_lsn, _walmill_seq") == [(500,), (600,), (2,)]
    assert [r[0] for r in daemon.rows("SELECT _walmill_op FROM t WHERE id = 2 ORDER BY _walmill_lsn, _walmill_seq")] == \
        ["insert", "update", "update"]


def test_paused_rule_is_not_retried(db, start):
    daemon = begin(db, start)
    db.execute("INSERT INTO t VALUES (101, 500, 'x')")
    daemon.wait()
    daemon.run("pause", "t")
    accept(daemon)
    assert "paused" in retry(daemon, expect=1)["failures"][0]["message"]
    assert daemon.errors()[0]["attempts"] == 1
    daemon.run("resume", "t")
    daemon.wait()
    assert retry(daemon)["processed"] == 1
    daemon.same("t")


def test_retried_by_itself(db, start):
    daemon = begin(db, start, "- {table: public.t, on_error: dead_letter, retry: {codes: ['23*', 'row'], every: 200ms, at_most: 1000}}")
    db.execute("INSERT INTO t VALUES (101, 500, 'x')")
    wait_until(lambda: [x["attempts"] > 3 for x in daemon.errors()] == [True], "it is tried again and again")
    accept(daemon)
    wait_until(lambda: daemon.errors() == [], "it is taken")
    daemon.same("t")


def test_retried_by_itself_so_often_and_for_these_codes(db, start):
    daemon = begin(db, start, "- {table: public.t, on_error: dead_letter, retry: {every: 100ms, at_most: 2}}")
    db.execute("INSERT INTO t VALUES (101, 500, 'x')")
    wait_until(lambda: [x["attempts"] for x in daemon.errors()] == [3], "tried twice more")
    daemon.write_rules("- {table: public.t, on_error: dead_letter, retry: {codes: [nothing], every: 100ms}}")
    daemon.sighup()
    db.execute("INSERT INTO t VALUES (102, 500, 'x')")
    wait_until(lambda: len(daemon.errors()) == 2, "the second is refused")
    accept(daemon)
    db.execute("INSERT INTO t VALUES (103, 5, 'x')")
    daemon.wait()
    assert [x["attempts"] for x in daemon.errors()] == [3, 1]


def test_drop_without_a_daemon(db, start):
    daemon = begin(db, start)
    db.execute("INSERT INTO t VALUES (101, 500, 'x'), (102, 500, 'x')")
    daemon.wait()
    daemon.sigterm()
    first = daemon.errors()[0]["id"]
    asked = daemon.run("errors retry", expect=1)
    assert asked.stdout == "" and "no walmill daemon" in asked.stderr
    assert {x["attempts"] for x in daemon.errors()} == {1}
    daemon.run("errors drop", str(first))
    assert len(daemon.errors()) == 1
    daemon.run("errors drop", str(first), expect=1)


@pytest.mark.parametrize("meanwhile", [
    "UPDATE t SET n = 7, v = 'newer' WHERE id = 101",
    "UPDATE t SET n = 700, v = 'newer' WHERE id = 101",
    "DELETE FROM t WHERE id = 101",
    "UPDATE t SET id = 202, n = 8 WHERE id = 101",
    "TRUNCATE t",
    "TRUNCATE t; INSERT INTO t VALUES (101, 9, 'again')",
    None,
])
def test_kill_between_a_retry_and_its_record(db, start, meanwhile):
    """The row is in the target, the letter still there: what came meanwhile is newer than the letter."""
    daemon = begin(db, start)
    db.execute("INSERT INTO t VALUES (101, 500, 'older')")
    daemon.wait()
    accept(daemon)
    with contextlib.closing(sqlite3.connect(daemon.folder / "state" / "walmill.db", isolation_level=None)) as state:
        # Whoever wants to write to the state has to wait: the retry, when it takes the letter out.
        state.execute("BEGIN IMMEDIATE")
        asked = subprocess.Popen([program(), "errors", "retry", "-c", str(daemon.config)],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: daemon.rows("SELECT n FROM t WHERE id = 101") == [(500,)], "the row is in the target")
        daemon.sigkill()
        asked.wait(60)
    if meanwhile is not None and "700" in meanwhile:
        refuse(daemon)
    if meanwhile is not None:
        db.execute(meanwhile)
    daemon.start()
    daemon.wait()
    refused = meanwhile is not None and "700" in meanwhile
    assert len(daemon.errors()) == (meanwhile is None or refused)
    if refused:
        accept(daemon)
    retry(daemon)
    daemon.same("t")
    assert daemon.errors() == []


def test_kill_during_retries_and_changes_never_brings_an_older_value_back(db, start):
    """kill -9 at random moments while rows are refused, changed and retried; in the end all is as at the source."""
    daemon = begin(db, start)
    rng = random.Random(7)
    for turn in range(12):
        rows = ", ".join(f"({i}, {rng.choice((1, 500))}, 'turn {turn}')" for i in rng.sample(range(1, 60), 40))
        db.execute("INSERT INTO t VALUES " + rows + " ON CONFLICT (id) DO UPDATE SET n = excluded.n, v = excluded.v")
        db.execute(f"DELETE FROM t WHERE id = {rng.randrange(1, 60)}")
        if turn % 3 == 2:
            accept(daemon)
        asked = subprocess.Popen([program(), "errors", "retry", "-c", str(daemon.config)],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            asked.wait(rng.random() / 20)
        except subprocess.TimeoutExpired:
            pass
        daemon.sigkill()
        asked.wait(60)
        daemon.start()
        if turn % 3 == 2:
            daemon.wait()
            refuse(daemon)
    daemon.wait()
    # What is not refused now is as at the source already.
    bad = {int(i) for i in letters(daemon)}
    for row in db.rows("SELECT id, n, v FROM t"):
        if row[0] not in bad:
            assert daemon.rows(f"SELECT id, n, v FROM t WHERE id = {row[0]}") == [row]
    accept(daemon)
    while not retry(daemon)["end"]:
        pass
    daemon.same("t")
    assert daemon.errors() == []


def test_row_is_read_again_only_where_its_commit_shows(db, pg, daemon):
    """The stream brings a commit that waits for a standby; other sessions still see the row of before."""
    db.execute(TABLE)
    d = daemon("- {table: public.t, on_error: dead_letter, columns: {check: {n: n < 100}}}").start()
    d.same("t")
    with pg.admin() as admin, db.connect().cursor() as waiting:
        waiting.execute("SELECT pg_backend_pid()")
        pid = waiting.fetchone()[0]
        thread = threading.Thread(target=waiting.execute, args=("UPDATE t SET n = 500 WHERE id = 1",))

        def commits_wait():
            """All processes of the server have to know the setting: tries it."""
            sql = "SELECT pg_logical_emit_message(true, 'probe', '')"
            probe = threading.Thread(target=waiting.execute, args=(sql,))
            probe.start()
            asked = f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}"
            wait_until(lambda: not probe.is_alive() or admin.rows(asked) == [("SyncRep",)], "the probe waits or ends")
            hangs = probe.is_alive()
            if hangs:
                admin.execute(f"SELECT pg_cancel_backend({pid})")
            probe.join()
            return hangs

        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        admin.execute("SELECT pg_reload_conf()")
        try:
            wait_until(commits_wait, "commits wait for the standby")
            thread.start()
            wait_until(lambda: len(d.errors()) == 1, "the letter of a change that nobody sees")
            failed = retry(d, expect=1)
            assert "not visible" in failed["failures"][0]["message"] and len(d.errors()) == 1
            assert d.errors()[0]["attempts"] == 1
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
            admin.execute(f"SELECT pg_cancel_backend({pid})")
            thread.join(30)
    assert "check" in retry(d, expect=1)["failures"][0]["message"]
    db.execute("UPDATE t SET n = 2 WHERE id = 1")
    d.same("t")
    assert d.errors() == []
    d.sigterm()
