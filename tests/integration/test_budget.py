# SPDX-License-Identifier: PostgreSQL
"""How much WAL the server still keeps for the slot is said before the slot is lost."""

import sqlite3

import pytest
from walmill_testing import Cluster, wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE not_followed (v text)"
SIZE = 64 << 20


def slot(d):
    return d.status()["sources"][0]["slot"]


def write(db, mebibytes):
    db.execute("INSERT INTO not_followed SELECT repeat('x', 1000) FROM generate_series(1, %s) i", mebibytes * 970)


@pytest.fixture
def tight():
    """A database whose server keeps little WAL for a slot."""
    cluster = Cluster(max_slot_wal_keep_size="64MB", max_wal_size="64MB", min_wal_size="32MB").start()
    database = cluster.create_database()
    yield database
    database.close()
    cluster.destroy()


def test_trap_12_a_slot_in_danger_is_told_early(tight, daemon):
    tight.execute(TABLE)
    d = daemon("- table: public.t", sources={"shop": f"uri: {tight.uri}\ndiscover: 200ms"}, settings="journal: off").start()
    d.source_db = tight
    d.same("t")
    wait_until(lambda: slot(d), "the keeper looks")
    assert slot(d)["budget_bytes"] == SIZE and slot(d)["wal_status"] == "reserved"
    assert "of what it may" not in d.run("status").stdout
    lock = sqlite3.connect(d.folder / "lite.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    tight.execute("INSERT INTO t VALUES (1, 'not acknowledged')")
    write(tight, 42)
    d.wait_log("WARN  wal_budget:")
    assert "ERROR wal_budget" not in d.log()
    found = slot(d)
    assert SIZE / 2 < found["retained_bytes"] < SIZE * 3 / 4 and 0 < found["left_bytes"] < SIZE
    wait_until(lambda: slot(d)["exhausted_in_s"] is not None, "a forecast")
    assert "of what it may; used up in" in d.run("status").stdout
    write(tight, 18)
    d.wait_log("ERROR wal_budget:")
    assert f'walmill_source_slot_left_bytes{{source="shop"}} {slot(d)["left_bytes"]}\n' in d.metrics()
    assert 'walmill_source_slot_exhausted_seconds{source="shop"}' in d.metrics()
    lock.execute("ROLLBACK")
    lock.close()
    d.same("t")

    def eased():
        tight.execute("CHECKPOINT")
        return "wal_budget_eased" in d.log()

    wait_until(eased, "the slot follows, and it is said", 60, poll=0.3)
    assert slot(d)["retained_bytes"] < SIZE / 2
    assert d.log().count(" wal_budget:") == 2 and d.log().count("wal_budget_eased") == 1
    d.sigterm()


def test_without_a_limit_it_is_only_shown(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    found = wait_until(lambda: slot(d), "the keeper looks")
    assert found["wal_status"] in ("reserved", "extended") and found["retained_bytes"] >= 0
    assert found["budget_bytes"] is found["left_bytes"] is found["exhausted_in_s"] is None
    assert "walmill_source_slot_retained_bytes{" in d.metrics()
    assert "walmill_source_slot_budget_bytes{" not in d.metrics()
    assert "walmill_source_slot_left_bytes{" not in d.metrics()
    d.sigterm()
