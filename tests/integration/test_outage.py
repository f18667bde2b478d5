# SPDX-License-Identifier: PostgreSQL
"""Sources and targets that go away, freeze, come back: nothing is lost and nobody else is held up."""

import os
import signal
import sqlite3
import subprocess
import threading

import psycopg2
from walmill_testing import Proxy, environment, program, wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i"


class Load(threading.Thread):
    """Single-row transactions until it is stopped; a transaction cut off by the server is tried again."""

    def __init__(self, db):
        super().__init__()
        self.db = db
        self.done = threading.Event()
        self.count = 0
        self.failure = None

    def run(self):
        connection = None
        while not self.done.is_set():
            try:
                if connection is None:
                    connection = psycopg2.connect(self.db.cluster.dsn(self.db.name))
                    connection.autocommit = True
                with connection.cursor() as c:
                    i = self.count
                    c.execute("INSERT INTO t VALUES (%s, 'load') ON CONFLICT (id) DO NOTHING", (1000 + i,))
                    c.execute("UPDATE t SET v = v || 'x' WHERE id = %s", (i % 100 + 1,))
                    c.execute("DELETE FROM t WHERE id = %s", (1000 + i - 50,))
                self.count += 1
            except psycopg2.Error as failure:
                # The server is away: the test did that.  A lost connection has no SQLSTATE, or one of an
                # OperationalError.
                if failure.pgcode is not None and not isinstance(failure, psycopg2.OperationalError):
                    self.failure = failure
                    return
                connection = None
        if connection is not None:
            connection.close()

    def __enter__(self):
        self.start()
        wait_until(lambda: self.count > 20, "the load runs")
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()
        assert self.failure is None, self.failure

    def more(self, n=100):
        upto = self.count + n
        wait_until(lambda: self.count >= upto, "more load", 60)


def test_source_stopped_and_started_again(db, pg, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    for how in ("fast", "immediate"):
        with Load(db) as load:
            db.close()
            pg.stop(how)
            wait_until(lambda: d.status()["sources"][0]["state"] != "streaming", "the loss is noticed")
            pg.start()
            load.more()
        wait_until(d.ready, "it streams again", 60)
        d.same("t")
    d.sigterm()


def test_source_away_at_the_start(db, pg, daemon):
    db.execute(TABLE)
    db.close()
    d = daemon("- table: public.t")
    pg.stop()
    d.launch()
    wait_until(lambda: d.try_status() is not None, "status answers without a source")
    wait_until(lambda: d.status()["sources"][0]["state"] in ("connecting", "retrying"), "it tries again")
    assert d.process.poll() is None
    pg.start()
    wait_until(d.ready, "it streams", 60)
    d.same("t")
    d.sigterm()


def test_sigterm_while_the_source_is_away(db, pg, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    db.close()
    pg.stop()
    wait_until(lambda: d.status()["sources"][0]["state"] != "streaming", "the loss is noticed")
    d.sigterm()
    pg.start()
    db.execute("DELETE FROM t WHERE id < 50")
    d.start()
    d.same("t")
    d.sigterm()


def test_status_answers_while_a_wait_cannot_reach_the_source(db, pg, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t", sources={"shop": f"uri: {db.uri}&connect_timeout=4"}).start()
    d.wait()
    answered = 0
    # Connections are taken by the kernel and answered by nobody; those that are open work.
    os.kill(pg.server.pid, signal.SIGSTOP)
    try:
        with subprocess.Popen([program(), "wait", "-c", str(d.config), "--timeout", "1"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, env=environment(d.folder)) as waiting:
            while waiting.poll() is None:
                d.status()
                answered += waiting.poll() is None
            assert waiting.returncode == 1 and "shop" in waiting.stderr.read()
    finally:
        os.kill(pg.server.pid, signal.SIGCONT)
    # A few may be answered before the wait arrives; one that waits for it ends with it.
    assert answered >= 10
    d.same("t")
    d.sigterm()


def test_a_stop_before_a_resumed_rule_gets_its_changes_again(db, pg, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t\n- {name: u, table: public.t, view: u}").start()
    d.wait()
    d.run("pause", "t")
    db.execute("INSERT INTO t VALUES (1000, 'missed')")
    wait_until(lambda: d.rows("SELECT count(*) FROM u WHERE id = 1000") == [(1,)], "the other rule goes on")
    db.close()
    pg.stop("immediate")
    d.run("resume", "t")
    d.sigterm()
    pg.start()
    d.start()
    d.same("t")
    d.sigterm()


def test_source_connections_killed_under_load(db, start):
    db.execute(TABLE)
    daemon = start("- table: public.t")
    with Load(db) as load:
        for _ in range(8):
            pid = wait_until(lambda: (db.slot() or {}).get("active_pid"), "it streams", 60)
            load.more(30)
            # The walsender and whatever else walmill has open there.
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                       "AND application_name LIKE '%%walmill%%' OR pid = %s", pid)
    wait_until(daemon.ready, "it streams again", 60)
    daemon.same("t")


def test_trap_17_frozen_walsender_is_noticed(db, daemon):
    """The connection stays open and says nothing: only a deadline can tell."""
    db.execute(TABLE)
    d = daemon("- table: public.t", sources={"shop": f"uri: {db.uri}\nsilence: 3s"}).start()
    d.same("t")
    pid = db.slot()["active_pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        db.execute("INSERT INTO t VALUES (500, 'unseen yet')")
        wait_until(lambda: d.status()["sources"][0]["state"] != "streaming", "the silence is noticed", 30)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(d.ready, "it streams again", 60)
    d.same("t")
    d.sigterm()


def test_trap_17_quiet_source_is_not_taken_for_a_frozen_one(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t", sources={"shop": f"uri: {db.uri}\nsilence: 1s"}).start()
    d.same("t")
    uptime = d.status()["uptime_s"]
    wait_until(lambda: d.status()["uptime_s"] > uptime + 4, "four times the bound", 20, poll=0.3)
    source = d.status()["sources"][0]
    assert (source["state"], source["reconnects"], source["last_error"]) == ("streaming", 0, None)
    d.sigterm()


def test_trap_18_postgres_target_away_holds_up_nobody_and_catches_up(db, other_pg, daemon):
    target = other_pg.create_database()
    try:
        db.execute(TABLE)
        d = daemon("- {name: a, table: public.t, target: lite}\n- {name: b, table: public.t, target: dw}",
                   targets={"lite": "type: sqlite\npath: lite.db", "dw": f"type: postgres\nuri: {target.uri}"}).start()
        d.same("t")
        target.close()
        with Load(db) as load:
            other_pg.stop("immediate")
            load.more()
            wait_until(lambda: d.target("dw")["state"] == "retrying", "the outage is noticed")
            load.more()
            lsn = db.lsn()
            wait_until(lambda: lsn_value(d.target("lite")["applied_lsn"]) >= lsn_value(lsn), "the other target goes on")
            assert d.target("dw")["last_error"] and d.target("dw")["retries"] > 0
            assert d.target("lite")["state"] == "ok"
            done = d.run("wait", "--timeout", "1", expect=1)
            assert "dw" in done.stderr
            other_pg.start()
            load.more()
        d.same("t")
        assert d.target("dw")["state"] == "ok"
        d.sigterm()
    finally:
        if other_pg.server is None:
            other_pg.start()
        d.destroy()
        target.drop()


def test_a_source_shuts_down_while_a_target_is_away_without_a_journal(db, pg, other_pg, daemon):
    """A server that shuts down waits for what it sent to be acknowledged, which cannot be."""
    target = other_pg.create_database()
    try:
        db.execute(TABLE)
        d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {target.uri}"}, settings="journal: off",
                   sources={"shop": f"uri: {db.uri}\ndiscover: 200ms"}).start()
        d.same("t")
        target.close()
        other_pg.stop("immediate")
        db.execute("UPDATE t SET v = 'changed'")
        wait_until(lambda: d.target("dw")["state"] == "retrying", "the outage is noticed")
        db.close()
        pg.stop("fast")
        pg.start()
        other_pg.start()
        wait_until(d.ready, "it streams again", 60)
        d.same("t")
        d.sigterm()
    finally:
        for each in (pg, other_pg):
            if each.server is None:
                each.start()
        d.destroy()
        target.drop()


def lsn_value(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def test_target_connections_killed_under_load(db, dw, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    with Load(db) as load:
        for _ in range(10):
            load.more(30)
            dw.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    d.same("t")
    d.sigterm()


def test_target_away_at_the_start(db, other_pg, daemon):
    target = other_pg.create_database()
    try:
        db.execute(TABLE)
        target.close()
        d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {target.uri}"})
        other_pg.stop()
        d.launch()
        wait_until(lambda: (d.try_status() or {"targets": [{"state": ""}]})["targets"][0]["state"] == "retrying", "it retries")
        db.execute("UPDATE t SET v = 'meanwhile' WHERE id = 1")
        other_pg.start()
        wait_until(d.ready, "it streams", 60)
        d.same("t")
        d.sigterm()
    finally:
        if other_pg.server is None:
            other_pg.start()
        d.destroy()
        target.drop()


def test_table_younger_than_the_slot_at_a_target_that_was_away(db, other_pg, daemon):
    """The slot's snapshot has its rows as they were before it was published."""
    db.execute("CREATE TABLE t1 (id int PRIMARY KEY); CREATE TABLE t2 (id int NOT NULL, v text); "
               "INSERT INTO t2 SELECT i, 'v' FROM generate_series(1, 5) i")
    dw = other_pg.create_database()
    dw.close()
    other_pg.stop()
    try:
        d = daemon("- {table: 'public.t*', target: dw}", targets={"dw": f"type: postgres\nuri: {dw.uri}"},
                   sources={"shop": f"uri: {db.uri}\ndiscover: 200ms"}).start()
        # It had no key, and could not be followed.
        db.execute("ALTER TABLE t2 ADD PRIMARY KEY (id); UPDATE t2 SET v = 'w' WHERE id = 1; DELETE FROM t2 WHERE id = 2")
        wait_until(lambda: db.value("SELECT count(*) FROM pg_publication_tables WHERE tablename = 't2'") == 1,
                   "the table is published")
    finally:
        other_pg.start()
    d.same("t1", "t2")
    d.sigterm()
    d.destroy()
    dw.drop()


def test_sqlite_file_locked_by_somebody_else(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    lock = sqlite3.connect(d.folder / "lite.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE t SET v = 'locked out'")
    wait_until(lambda: d.target("lite")["state"] == "retrying", "the lock is noticed", 60)
    lock.execute("ROLLBACK")
    lock.close()
    d.same("t")
    d.sigterm()


def test_status_answers_while_a_pause_waits_for_a_busy_target(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    lock = sqlite3.connect(d.folder / "lite.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE t SET v = 'locked out'")
    answered = 0
    with subprocess.Popen([program(), "pause", "-c", str(d.config), "t"], stderr=subprocess.PIPE, text=True) as pause:
        while pause.poll() is None and answered < 10:
            d.status()
            answered += pause.poll() is None
        lock.execute("ROLLBACK")
        lock.close()
        assert pause.wait(60) == 0, pause.stderr.read()
    assert answered == 10
    assert d.rule("t")["state"] == "paused"
    d.run("resume", "t")
    d.same("t")
    d.sigterm()


def test_readers_do_not_hold_up_the_sqlite_target(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    reader = sqlite3.connect(f"file:{d.folder}/lite.db?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (100,)
    db.execute("DELETE FROM t WHERE id > 50")
    d.same("t")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (100,)    # its snapshot
    reader.close()
    d.sigterm()


def test_wait_for_wal_that_no_commit_has_written(db, start):
    """What an open transaction has written the server would write out, and pass, some fifteen seconds later."""
    db.execute(TABLE)
    daemon = start("- table: public.t")
    daemon.wait()
    with db.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for i in range(3):
            cursor.execute("INSERT INTO t VALUES (%s, 'not committed')", (1000 + i,))
            daemon.run("wait", "--timeout", "5")
        connection.rollback()


def test_trap_11_idle_slot_moves_with_the_server(db, pg, start):
    """WAL of other databases and of tables that nobody follows must not pile up behind the slot."""
    db.execute(TABLE + "; CREATE TABLE not_followed (v text)")
    daemon = start("- table: public.t")
    daemon.same("t")
    other = pg.create_database()
    try:
        other.execute("CREATE TABLE x AS SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
        lsn = db.value("SELECT pg_current_wal_lsn() - '0/0'")
        wait_until(lambda: db.slot()["confirmed"] >= lsn, "the slot passes the other database's WAL", 60)
        db.execute("INSERT INTO not_followed SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
        lsn = db.value("SELECT pg_current_wal_lsn() - '0/0'")
        wait_until(lambda: db.slot()["confirmed"] >= lsn, "the slot passes the WAL of a table that nobody follows", 60)
    finally:
        other.drop()
    db.execute("INSERT INTO t VALUES (500, 'x')")
    daemon.same("t")
    daemon.restart()
    daemon.same("t")


def test_trap_01_nothing_is_acknowledged_before_every_target_has_it(db, other_pg, daemon):
    """With `journal: off` the source keeps what a target that is away lacks."""
    target = other_pg.create_database()
    try:
        db.execute(TABLE)
        d = daemon("- {name: a, table: public.t, target: lite}\n- {name: b, table: public.t, target: dw}", settings="journal: off",
                   targets={"lite": "type: sqlite\npath: lite.db", "dw": f"type: postgres\nuri: {target.uri}"}).start()
        d.same("t")
        target.close()
        other_pg.stop()
        before = db.value("SELECT pg_current_wal_lsn() - '0/0'")
        db.execute("INSERT INTO t VALUES (500, 'x')")
        wait_until(lambda: d.rows("SELECT count(*) FROM t WHERE id = 500", "lite") == [(1,)], "the row at the other target")
        wait_until(lambda: d.target("dw")["state"] == "retrying", "the outage is noticed")
        assert db.slot()["confirmed"] <= before
        # The daemon may die now: what the slot kept comes again, to both, and is not done twice.
        d.sigkill()
        other_pg.start()
        d.start()
        d.same("t")
        d.sigterm()
    finally:
        if other_pg.server is None:
            other_pg.start()
        d.destroy()
        target.drop()


def test_seeded_table_is_not_locked_while_another_still_seeds(db, dw, daemon):
    """Whoever alters both would wait for the seed, and the seed for him, and the server does not see it."""
    for table in ("a", "b"):
        db.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v text); INSERT INTO {table} VALUES (1, 'v')")
    dw.execute("CREATE TABLE b (id int PRIMARY KEY, v text)")
    dw.execute("CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS "
               "'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END'")
    dw.execute("CREATE TRIGGER stuck BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION stuck()")
    dw.execute("SELECT pg_advisory_lock(1)")
    d = daemon("- table: public.a\n- table: public.b", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).launch()
    wait_until(lambda: dw.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), "b is stuck")
    d.wait_log("seeded: table public.a")

    def altered():
        try:
            return db.execute("SET LOCAL lock_timeout = '100ms'; ALTER TABLE a ADD n int") is not None
        except psycopg2.errors.LockNotAvailable:
            return False

    wait_until(altered, "a is altered")
    dw.execute("SELECT pg_advisory_unlock(1)")
    db.execute("INSERT INTO a VALUES (2, 'w', 3)")
    d.same("a", "b")


def test_source_and_target_go_together_without_a_journal(pg, db, dw, daemon):
    """What memory no longer has comes again from the source, when that is back: until then the target waits."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    with Proxy(pg.socket) as proxy:
        d = daemon("- {table: public.t, batch: {rows: 50}}", targets={"dw": f"type: postgres\nuri: {dw.uri}"},
                   sources={"shop": proxy.uri(db.name)}, settings="memory: 1MiB\njournal: off").start()
        d.same("t")
        writer = "SELECT min(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'walmill'"
        pid = dw.value(writer)
        # A lock at the target: small transactions have to wait, so that they are written with the large one behind them.
        locker = dw.connect(autocommit=False)
        locker.cursor().execute("LOCK TABLE t")
        since = proxy.bytes["down"]
        for i in range(20):
            db.execute("INSERT INTO t VALUES (%s, 'small')", -i)
        db.execute("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i")
        wait_until(lambda: proxy.bytes["down"] > since + 1500000, "memory is full")
        proxy.rate = 1000000
        locker.rollback()
        # Memory holds a part of it: what came first is written, not committed, and gone from memory.
        wait_until(lambda: proxy.bytes["down"] > since + 4000000, "half of the transaction is here")
        proxy.refuse(cut=False)
        proxy.cut_at(300000)
        dw.execute("SELECT pg_terminate_backend(%s)", pid)
        wait_until(lambda: d.process.poll() is not None or dw.value(writer) not in (None, pid), "walmill is at the target again")
        proxy.heal()
        d.same("t")
        d.sigterm()


def test_target_cut_off_while_memory_begins_within_a_transaction(pg, db, dw, daemon):
    """Without a journal memory may begin in the middle of what is applied: what follows is all there."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    with Proxy(pg.socket) as proxy:
        d = daemon("- {table: public.t, batch: {rows: 50}}", targets={"dw": f"type: postgres\nuri: {dw.uri}"},
                   sources={"shop": proxy.uri(db.name)}, settings="memory: 8MiB\njournal: off").start()
        db.execute("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 3000) i")
        d.same("t")
        locker = dw.connect(autocommit=False)
        locker.cursor().execute("LOCK TABLE t")
        since = proxy.bytes["down"]
        db.execute("DO $$ BEGIN FOR i IN 3001..7000 LOOP INSERT INTO t VALUES (i, repeat('y', 500)); COMMIT; END LOOP; END $$")
        wait_until(lambda: proxy.bytes["down"] > since + 2000000, "memory has more than the part that is applied")
        dw.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE datname = current_database() AND application_name = 'walmill'")
        locker.rollback()
        d.same("t")
        d.sigterm()
