# SPDX-License-Identifier: PostgreSQL
"""Traps of docs/traps.md that no other file has a test for."""

import io
import sqlite3

import pytest
from walmill_testing import Cluster, Daemon, Proxy, wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def test_trap_02_restart_between_interleaved_transactions(db, daemon):
    """A transaction that began first and commits last, many rows with one position, and a message before the rows."""
    db.execute(TABLE)
    d = daemon("- {table: public.t, mode: append, view: log}\n- {name: u, table: public.t}").start()
    d.wait()
    rows = 0
    for i in range(6):
        base = 1000 * (i + 1)
        old = db.connect(autocommit=False)
        with old.cursor() as c:
            c.execute("INSERT INTO t SELECT i, 'begun first' FROM generate_series(%s, %s) i", (base, base + 99))
            db.execute("INSERT INTO t SELECT i, 'inside' FROM generate_series(%s, %s) i", base + 100, base + 109)
            d.wait()
            d.sigkill()
            d.start()
            c.execute("SELECT pg_logical_emit_message(true, 'app', 'before the rows')")
            c.copy_expert("COPY t FROM STDIN", io.StringIO("".join(f"{base + 200 + k}\tcopied\n" for k in range(50))))
        old.commit()
        old.close()
        rows += 160
        d.wait()
        assert d.rows("SELECT count(*), count(DISTINCT id) FROM log") == [(rows, rows)]
    d.same("t", view="t")
    d.sigterm()


LARGE = ("CREATE TABLE t (id int PRIMARY KEY, v text, doc text); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; "
         "INSERT INTO t SELECT i, 'v', repeat(chr(97 + i % 26), 3000) FROM generate_series(1, 3000) i")


@pytest.mark.parametrize("late", [False, True], ids=["first seed", "late seed"])
def test_trap_06_seed_beside_updates_that_leave_large_values_out(db, start, late):
    """Only the seed has the large value, only the stream the new small one: the row needs both."""
    db.execute(LARGE)
    rule = "- {table: public.t, seed: {batch_rows: 50, workers: 1}}"
    daemon = start("- {name: other, table: public.none, view: none}" if late else rule)
    if late:
        daemon.write_rules(rule)
        daemon.sighup()
    for i in range(30):
        db.execute("UPDATE t SET v = v || 'x' WHERE id %% 30 = %s", i)
    wait_until(lambda: (daemon.rule("t") or {}).get("state") == "streaming", "it is seeded", 60)
    daemon.same("t")
    assert daemon.rows("SELECT count(*) FROM t WHERE doc IS NULL OR length(doc) <> 3000") == [(0,)]


def test_trap_05_row_that_moves_on_while_it_is_read_again(pg, db, dw, daemon):
    """
    A change that leaves a large value out is older than the seed's snapshot, and the row has another key again when it
    is read. The change that says so is younger than the snapshot, and leaves the value out, too.
    """
    db.execute("CREATE TABLE t (id int PRIMARY KEY, doc text); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; "
               "INSERT INTO t SELECT i, repeat('a', 3000) FROM generate_series(1, 9) i")
    dw.execute("CREATE TABLE t (id int PRIMARY KEY, doc text)")
    dw.execute("CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS "
               "'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END'")
    dw.execute("CREATE TRIGGER stuck BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stuck()")
    with Proxy(pg.socket) as proxy:
        d = daemon("- {table: public.t, batch: {rows: 1}}", targets={"dw": f"type: postgres\nuri: {proxy.uri(dw.name)}"})
        proxy.refuse()
        d.launch()
        d.wait_log("target_retry")
        d.sigkill()         # the slot's own snapshot goes with it
        db.execute("UPDATE t SET id = 20 WHERE id = 2")
        dw.execute("SELECT pg_advisory_lock(1)")
        proxy.heal()
        d.launch()
        wait_until(lambda: dw.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), "it seeds")
        db.execute("INSERT INTO t VALUES (100, 'after the snapshot')")
        db.execute("UPDATE t SET id = 200 WHERE id = 20")
        dw.execute("SELECT pg_advisory_unlock(1)")
        d.same("t")
        d.sigterm()


def test_trap_07_seed_by_several_connections_sees_one_moment(db, daemon):
    """A log that begins with its seed has every row once, whoever of the seeders or the stream brought it."""
    db.execute("CREATE TABLE t (id int, part int) PARTITION BY LIST (part); ALTER TABLE t ADD PRIMARY KEY (id, part)")
    for part in range(4):
        db.execute(f"CREATE TABLE t{part} PARTITION OF t FOR VALUES IN ({part})")
    db.execute("INSERT INTO t SELECT i, i % 4 FROM generate_series(1, 40000) i")
    d = daemon("- {table: public.t, mode: append, view: log, seed: {workers: 4, batch_rows: 1000}}\n"
               "- {name: u, table: public.t, seed: {workers: 4, batch_rows: 1000}}").launch()
    count = 40001
    wait_until(d.try_status, "it answers")
    while d.rule("u")["state"] != "streaming" or count < 40400:
        # All partitions in one transaction.
        db.execute("INSERT INTO t SELECT %s + i, i FROM generate_series(0, 3) i", count)
        count += 4
    d.wait()
    d.same("t", view="t")
    assert d.rows("SELECT count(*), count(DISTINCT id) FROM log") == [(count - 1, count - 1)]
    d.sigterm()


def test_trap_10_a_copy_that_lacks_a_table_is_no_success(db, walmill, tmp_path):
    name = f"reader_{db.name}"
    db.execute(f"CREATE ROLE {name} LOGIN REPLICATION; GRANT CREATE ON DATABASE {db.name} TO {name}; "
               f"CREATE TABLE good (id int PRIMARY KEY); INSERT INTO good VALUES (1); {TABLE}; INSERT INTO t VALUES (1); "
               f"ALTER TABLE good OWNER TO {name}; ALTER TABLE t OWNER TO {name}; REVOKE SELECT ON t FROM {name}")
    try:
        done = walmill("sync", "--source", db.cluster.uri(db.name, name), "--target", f"sqlite:{tmp_path}/copy.db", "--once",
                       "--state", tmp_path / "state", expect=1)
        assert "public.t" in done.stderr and "permission denied" in done.stderr, done.stderr
        connection = sqlite3.connect(tmp_path / "copy.db")
        assert connection.execute("SELECT count(*) FROM good").fetchall() == [(1,)]
        connection.close()
    finally:
        db.execute(f"REASSIGN OWNED BY {name} TO postgres; DROP OWNED BY {name}; DROP ROLE {name}")


def test_trap_12_slot_that_the_server_gave_up():
    """Its WAL went over max_slot_wal_keep_size: exit status 3, what is lost, and the remedy."""
    cluster = Cluster(max_slot_wal_keep_size="1MB", min_wal_size="32MB", max_wal_size="32MB").start()
    d = None
    try:
        db = cluster.create_database()
        db.execute(TABLE + "; INSERT INTO t VALUES (1, 'v')")
        d = Daemon({"shop": db.uri}, {"lite": "type: sqlite\npath: lite.db"}, "- table: public.t")
        d.source_db = db
        d.start()
        d.same("t")
        d.sigterm()
        for _ in range(4):
            db.execute("CREATE TABLE filler AS SELECT repeat('x', 1000) v FROM generate_series(1, 20000); DROP TABLE filler")
            db.execute("SELECT pg_switch_wal()")
            db.execute("CHECKPOINT")
        assert db.slot()["wal_status"] == "lost"
        d.launch()
        d.wait_exit(3)
        said = d.log()[d.log().index("source_failed:"):]
        assert all(word in said for word in ("invalidated", "walmill_shop", "max_slot_wal_keep_size", "walmill teardown")), said
        d.run("teardown")
        d.start()
        d.same("t")
        d.sigterm()
    finally:
        if d is not None:
            d.destroy()
        cluster.destroy()


def test_trap_13_late_seed_holds_no_snapshot_while_its_target_is_away(db, daemon):
    """Each batch has a snapshot of its own, and lets it go with the batch, written or not."""
    db.execute("CREATE TABLE first (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, v text); "
               "INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 3000) i")
    d = daemon("- table: public.first").start()
    d.wait()
    lock = sqlite3.connect(d.folder / "lite.db", isolation_level=None)
    lock.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    lock.execute("CREATE TRIGGER stuck BEFORE INSERT ON t WHEN NEW.id > 1000 BEGIN SELECT RAISE(ABORT, 'stuck'); END")
    d.write_rules("- table: public.first\n- {table: public.t, seed: {batch_rows: 500, workers: 1}}")
    d.sighup()
    wait_until(lambda: "stuck" in d.log(), "the seed is stuck")
    wait_until(lambda: not db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                                    "application_name LIKE 'walmill%%' AND backend_type = 'client backend' "
                                    "AND backend_xmin IS NOT NULL"), "no snapshot is held", 10)
    lock.execute("DROP TRIGGER stuck")
    lock.close()
    d.same("t")
    d.sigterm()
