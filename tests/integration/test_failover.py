# SPDX-License-Identifier: PostgreSQL
"""The primary dies and a standby takes over: walmill goes on there, with the slot that the standby kept in step."""

import psycopg2
import pytest
from walmill_testing import Cluster, run_walmill, wait_until
from walmill_testing.postgres import Database

TABLE = "CREATE TABLE t (id serial PRIMARY KEY, v text); INSERT INTO t (v) SELECT 'v' FROM generate_series(1, 1000) i"
CHANGES = "INSERT INTO t (v) VALUES ('load'); UPDATE t SET v = v || 'x' WHERE id % 97 = 0; " \
    "DELETE FROM t WHERE id = (SELECT min(id) FROM t)"
SLOT = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'walmill_shop' AND "


class Pair:
    """A primary that tells logical streams only what its standby has (waits), and that standby."""

    def __init__(self, waits=True):
        self.primary = Cluster().start()
        self.database = self.primary.create_database()
        self.database.execute(TABLE)
        self.database.close()
        self.primary.stop()
        self.standby = Cluster(copy_of=self.primary, hot_standby_feedback="on", sync_replication_slots="on",
                               primary_slot_name="standby",
                               primary_conninfo=f"host={self.primary.folder} user=postgres dbname=postgres")
        (self.standby.data / "standby.signal").touch()
        if waits:
            self.primary.settings["synchronized_standby_slots"] = "standby"
        self.primary.start()
        self.database.execute("SELECT pg_create_physical_replication_slot('standby', true)")
        self.standby.start()
        self.copy = Database(self.standby, self.database.name)

    @property
    def uri(self):
        return f"postgresql://postgres@/{self.database.name}?host={self.primary.folder},{self.standby.folder}" \
            "&target_session_attrs=read-write"

    def wait_synced(self):
        def synced():
            self.database.execute("SELECT pg_log_standby_snapshot()")
            return self.copy.value(SLOT + "synced AND NOT temporary AND invalidation_reason IS NULL")

        wait_until(synced, "the standby has a copy of the slot", 90, poll=0.2)

    def destroy(self):
        for each in (self.database, self.copy):
            each.close()
        self.standby.destroy()
        self.primary.destroy()


@pytest.fixture
def pair(request, pg_version):
    if pg_version < 17:
        pytest.skip(f"PostgreSQL {pg_version} has no failover slots")
    made = Pair(getattr(request, "param", True))
    yield made
    made.destroy()


def load_until(database, stop):
    """Transactions until stop(); whether the server was lost on the way."""
    try:
        while not stop():
            database.execute(CHANGES)
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        return True
    return False


def test_trap_16_a_promoted_standby_has_the_slot(pair, daemon):
    d = daemon("- table: public.t", sources={"shop": f"uri: {pair.uri}"}).start()
    d.source_db = pair.database
    d.same("t")
    pair.wait_synced()
    count = iter(range(200))
    assert not load_until(pair.database, lambda: next(count) > 150)
    d.same("t")
    # More, of which some is under way everywhere when the primary dies.
    count = iter(range(200))
    assert not load_until(pair.database, lambda: next(count) > 150)
    pair.database.close()
    pair.primary.stop("immediate")
    wait_until(lambda: d.status()["sources"][0]["state"] == "retrying", "the loss is noticed")
    assert pair.copy.value("SELECT pg_promote()")
    pair.copy.execute("INSERT INTO t (v) VALUES ('after the failover')")
    d.source_db = pair.copy
    wait_until(d.ready, "it streams from the new primary", 60)
    d.same("t")
    load_until(pair.copy, iter([False] * 50 + [True]).__next__)
    d.same("t")
    # It was no new seed, and a restart finds all as it should be.
    assert d.log().count("slot_created:") == 1 and "slot_lost" not in d.log()
    assert pair.copy.value(SLOT + "active")
    d.restart()
    pair.copy.execute(CHANGES)
    d.same("t")
    d.sigterm()


@pytest.mark.parametrize("pair", [False], indirect=True)
@pytest.mark.parametrize("killed", [False, True], ids=["running", "started again"])
def test_trap_16_a_standby_that_lacks_what_a_target_has(pair, other_pg, daemon, killed):
    """Nothing was acknowledged beyond what the standby has: only walmill itself knows that it has more."""
    away = other_pg.create_database()
    d = daemon("- {name: a, table: public.t, target: lite}\n- {name: b, table: public.t, target: dw}",
               sources={"shop": f"uri: {pair.uri}"}, settings="journal: off",
               targets={"lite": "type: sqlite\npath: lite.db", "dw": f"type: postgres\nuri: {away.uri}"}).start()
    try:
        d.source_db = pair.database
        d.same("t")
        pair.wait_synced()
        away.close()
        other_pg.stop()
        pair.database.execute("INSERT INTO t (id, v) VALUES (5000, 'everywhere')")
        lsn = pair.database.lsn()
        wait_until(lambda: pair.copy.value("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn), "the standby has it")
        pair.copy.close()
        pair.standby.stop()
        pair.database.execute("INSERT INTO t (id, v) VALUES (5001, 'not at the standby')")
        wait_until(lambda: d.rows("SELECT count(*) FROM t WHERE id = 5001", "lite") == [(1,)], "the other target has it")
        if killed:
            d.sigkill()
        pair.database.close()
        pair.primary.stop("immediate")
        pair.standby.start()
        assert pair.copy.value("SELECT pg_promote()")
        pair.copy.execute("INSERT INTO t (id, v) VALUES (5002, 'after it')")
        if killed:
            # The journal is gone, and what the source was told is behind both: the target's own record speaks.
            other_pg.start()
            d.start()
            wait_until(lambda: d.target("lite")["state"] == "failed", "the target is given up")
            wait_until(lambda: d.rows("SELECT count(*) FROM t WHERE id = 5002", "dw") == [(1,)], "the other goes on")
            assert d.rows("SELECT count(*) FROM t WHERE id = 5001", "dw") == [(0,)]
            assert "went over to timeline 2 at" in d.target("lite")["last_error"]
        else:
            d.wait_exit(3, 60)
        assert "went over to timeline 2 at" in d.log() and "seed anew" in d.log()
    finally:
        d.destroy()
        if other_pg.server is None:
            other_pg.start()
        away.drop()


def test_where_the_server_can_slots_are_for_failover(db, daemon, pg_version):
    if pg_version < 17:
        pytest.skip(f"PostgreSQL {pg_version} has no failover slots")
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    assert db.slot()["failover"]
    d.sigterm()
    d.run("teardown")
    d.sources["shop"] = f"uri: {db.uri}\nfailover: false"
    d.write_config()
    d.start()
    assert not db.slot()["failover"]
    d.same("t")
    d.sigterm()


def test_where_the_server_cannot_it_says_so_when_asked_for(db, daemon, pg_version):
    if pg_version >= 17:
        pytest.skip("this server has failover slots")
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    assert "failover" not in d.log()
    d.sigterm()
    d.run("teardown")
    d.sources["shop"] = f"uri: {db.uri}\nfailover: true"
    d.write_config()
    assert "failover" in run_walmill("check", "-c", d.config, expect=None).stdout
    d.start()
    d.same("t")
    assert "failover_ignored" in d.log()
    d.sigterm()
