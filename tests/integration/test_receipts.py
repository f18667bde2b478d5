# SPDX-License-Identifier: PostgreSQL
"""Receipts: what was written where and when."""

import json
import re
import sqlite3

import pytest
from walmill_testing import wait_until

TABLE = "CREATE TABLE t (id int, part text, n int, PRIMARY KEY (id, part)); INSERT INTO t SELECT i, 'a', i FROM generate_series(1, 50) i"


def receipts(daemon, *options):
    return json.loads(daemon.run("receipts", "--json", *options).stdout)


def of_row(daemon, number, part="a"):
    return receipts(daemon, "--key", f"id={number}", "--key", f"part={part}")["receipts"]


def settle(daemon):
    """The last answer is stored as soon as nothing comes any more."""
    wait_until(lambda: all(x["answer"] for x in receipts(daemon, "--limit", "1000")["receipts"]), "every receipt has its answer")


def test_when_a_row_arrived(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t}")
    daemon.wait()
    db.execute("UPDATE t SET n = 7 WHERE id = 5")
    daemon.wait()
    db.execute("UPDATE t SET id = 505 WHERE id = 5; DELETE FROM t WHERE id = 6")
    daemon.wait()
    settle(daemon)
    seed, update, move = of_row(daemon, 5)
    assert (seed["origin"], seed["rows"], seed["answer"], seed["last_lsn"]) == ("seed", 50, "committed", None)
    assert (update["origin"], update["rows"], update["rule"], update["target"]) == ("stream", 1, "t", "target")
    assert update["first_lsn"] == update["last_lsn"] and re.fullmatch("[0-9a-f]{16}", update["checksum"])
    assert of_row(daemon, 505) == [move] and of_row(daemon, 6)[1:] == [move] and move["rows"] >= 2
    assert of_row(daemon, 5, "b") == []
    assert receipts(daemon, "--rule", "other") == {"receipts": [], "last": 0, "end": True}
    page = receipts(daemon, "--limit", "1")
    assert page["receipts"] == [seed] and page["last"] == seed["id"] and page["end"] is False
    assert receipts(daemon, "--after", str(seed["id"]))["receipts"] == [update, move]
    shown = daemon.run("receipts", "--key", "part=a", "--key", "id=505")
    assert "committed" in shown.stdout and shown.stdout.count("\n") == 2
    daemon.run("receipts", "--key", "id", expect=2)
    # It can be read when no daemon runs.
    daemon.sigterm()
    assert of_row(daemon, 505) == [move]


def test_what_was_refused_and_retried(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t, on_error: dead_letter, columns: {check: {n: n < 100}}}")
    db.execute("INSERT INTO t VALUES (60, 'a', 1), (61, 'a', 500)")
    daemon.wait()
    settle(daemon)
    last = receipts(daemon)["receipts"][-1]
    assert (last["rows"], last["refused"]) == (1, 1)
    assert of_row(daemon, 61) == []


def test_a_kill_leaves_no_receipt_of_what_was_not_committed(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t}")
    daemon.wait()
    for turn in range(5):
        db.execute("UPDATE t SET n = n + 1")
        daemon.sigkill()
        daemon.start()
        daemon.wait()
    settle(daemon)
    assert {x["answer"] for x in receipts(daemon)["receipts"]} <= {"committed", "not known"}
    stream = [x for x in receipts(daemon)["receipts"] if x["origin"] == "stream"]
    # Each transaction once: a receipt of a batch that was taken back is gone.
    assert sum(x["rows"] for x in stream) <= 5 * 50 and len({x["last_lsn"] for x in stream}) == len(stream)
    daemon.same("t")


def test_off_and_bounded(db, daemon):
    db.execute(TABLE)
    d = daemon("- {table: public.t}", settings="receipts: off").start()
    d.wait()
    assert "are they on" in d.run("receipts", expect=1).stderr
    d.sigterm()
    d.config.write_text(d.config.read_text().replace("receipts: off", "receipts: {keep: 1h, max_bytes: 1MiB}"))
    d.start()
    for turn in range(12):
        db.execute("INSERT INTO t SELECT i, %s, 1 FROM generate_series(1, 30000) i", f"turn {turn}")
    d.wait(60)
    d.sigterm()
    with sqlite3.connect(next(d.config.parent.rglob("receipts.db"))) as file:
        assert file.execute("SELECT sum(length(keys)) FROM receipt").fetchone()[0] < 2 * 1024 * 1024
    assert of_row(d, 30000, "turn 11") != [] and of_row(d, 1, "turn 0") == []


@pytest.mark.parametrize("setting", ["receipts: {keep: 5}", "receipts: {keeps: 5min}", "receipts: {max_bytes: 1}"])
def test_mistakes_in_the_setting(db, daemon, setting):
    d = daemon("- {table: public.t}", settings=setting)
    assert re.search(r"walmill.yaml:\d+:\d+: ", d.run("check --offline", expect=2).stderr)
