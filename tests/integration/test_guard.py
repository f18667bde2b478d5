# SPDX-License-Identifier: PostgreSQL
"""Where the source or a target is not what walmill left: exit status 3, a remedy, nothing changed."""

import os
import shutil

import psycopg2
import psycopg2.extras
import pytest
from walmill_testing import wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i"


@pytest.fixture
def stopped(db, daemon):
    """A daemon that ran and ended well, and changes that it has not seen."""
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    db.execute("INSERT INTO t VALUES (101, 'streamed')")
    d.same("t")
    d.sigterm()
    db.execute("INSERT INTO t VALUES (102, 'unseen'); DELETE FROM t WHERE id <= 5")
    return d


def refused(d, *words):
    mark = len(d.log())
    d.launch()
    d.wait_exit(3)
    text = d.log()[mark:]
    assert all(word in text for word in words), text
    assert d.rows("SELECT count(*) FROM t") == [(101,)]
    return text


def test_trap_04_another_cluster(stopped, db, other_pg):
    other = other_pg.create_database()
    try:
        other.execute(TABLE)
        stopped.sources["shop"] = other.uri
        stopped.write_config()
        refused(stopped, "shop", "system identifier", "URI")
        assert other.slot() is None and other.rows("SELECT count(*) FROM pg_publication") == [(0,)]
        # The right one again, and nothing was lost.
        stopped.sources["shop"] = db.uri
        stopped.write_config()
        stopped.start()
        stopped.same("t")
        stopped.sigterm()
    finally:
        other.drop()


def test_trap_04_slot_dropped_and_the_remedy(stopped, db):
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    text = refused(stopped, "walmill_shop", "teardown")
    assert db.slot() is None
    assert "walmill teardown" in text
    stopped.run("teardown")
    stopped.start()
    stopped.same("t")
    stopped.sigterm()


def test_trap_04_slot_recreated(stopped, db):
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    db.execute("SELECT pg_create_logical_replication_slot('walmill_shop', 'pgoutput')")
    before = db.slot()["confirmed_flush_lsn"]
    refused(stopped, "walmill_shop", "teardown")
    assert db.slot()["confirmed_flush_lsn"] == before


def test_slot_of_another_plugin(stopped, db):
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    try:
        db.execute("SELECT pg_create_logical_replication_slot('walmill_shop', 'test_decoding')")
    except psycopg2.errors.UndefinedFile:
        pytest.skip("this server has no other plugin")
    refused(stopped, "walmill_shop")


def test_trap_04_slot_advanced_by_somebody_else(stopped, db):
    db.execute("SELECT pg_replication_slot_advance('walmill_shop', pg_current_wal_lsn())")
    refused(stopped, "walmill_shop", "teardown")


def test_slot_read_by_somebody_else(stopped, db):
    """A curious `SELECT ... get_changes` moves the slot as well."""
    db.execute("SELECT count(*) FROM pg_logical_slot_get_binary_changes('walmill_shop', NULL, NULL, "
               "'proto_version', '1', 'publication_names', 'walmill_shop')")
    refused(stopped, "walmill_shop")


def test_slot_dropped_while_it_runs(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    d.lose_slot()
    d.wait_exit(3, 60)
    assert "walmill_shop" in d.log() and "teardown" in d.log()


def test_target_file_gone(stopped):
    path = stopped.folder / "lite.db"
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"{path}{suffix}"):
            os.unlink(f"{path}{suffix}")
    mark = len(stopped.log())
    stopped.launch()
    stopped.wait_exit(3)
    assert "lite" in stopped.log()[mark:] and "teardown" in stopped.log()[mark:]


def test_target_put_back_to_an_older_state(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    d.sigterm()
    shutil.copy(d.folder / "lite.db", d.folder / "backup.db")
    d.start()
    db.execute("INSERT INTO t VALUES (500, 'in neither')")
    d.same("t")
    wait_until(lambda: d.status()["sources"][0]["acknowledged_lsn"] == d.status()["sources"][0]["received_lsn"], "acknowledged")
    d.sigterm()
    for suffix in ("-wal", "-shm"):
        if (d.folder / f"lite.db{suffix}").exists():
            (d.folder / f"lite.db{suffix}").unlink()
    shutil.copy(d.folder / "backup.db", d.folder / "lite.db")
    d.launch()
    d.wait_exit(3)
    assert "lite" in d.log() and "teardown" in d.log()


def test_emptied_postgres_target(db, dw, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t")
    d.sigterm()
    dw.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for (schema,) in dw.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%walmill%'"):
        dw.execute(f'DROP SCHEMA "{schema}" CASCADE')
    d.launch()
    d.wait_exit(3)
    assert "dw" in d.log() and "teardown" in d.log()


def test_state_lost_but_the_slot_is_there(stopped, db):
    """Without its state walmill must not believe that a slot of this name is its own and complete."""
    shutil.rmtree(stopped.folder / "state")
    mark = len(stopped.log())
    stopped.launch()
    stopped.wait_exit(3)
    assert "walmill_shop" in stopped.log()[mark:]
    assert stopped.rows("SELECT count(*) FROM t") == [(101,)]
    assert db.slot() is not None


def test_slot_that_somebody_else_uses(stopped, db, pg):
    """Active by another reader: that may end, so it is tried again."""
    reader = psycopg2.connect(pg.dsn(db.name), connection_factory=psycopg2.extras.LogicalReplicationConnection)
    try:
        reader.cursor().start_replication(slot_name="walmill_shop", decode=False,
                                          options={"proto_version": "1", "publication_names": "walmill_shop"})
        wait_until(lambda: db.slot()["active"], "the other reader")
        stopped.launch()
        stopped.wait_log("is active", timeout=30)
        assert stopped.process.poll() is None
    finally:
        reader.close()
    wait_until(stopped.ready, "it goes on by itself", 60)
    stopped.same("t")
    stopped.sigterm()


def test_publication_that_another_session_makes_at_the_same_time(db, daemon):
    """A start that was killed leaves such a session at the server for a while."""
    db.execute(TABLE)
    other = db.connect(autocommit=False)
    other.cursor().execute("CREATE PUBLICATION walmill_shop")
    d = daemon("- table: public.t").launch()
    wait_until(lambda: db.value("SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))",
                                other.info.backend_pid), "walmill waits for the other session")
    other.commit()
    wait_until(d.ready, "the daemon streams")
    d.same("t")
