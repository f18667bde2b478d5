# SPDX-License-Identifier: PostgreSQL
"""Targets that run out of space, become read-only, are altered by hand, lock, time out, or vanish in a COMMIT."""

import os
import pathlib
import re
import subprocess
import tempfile
import threading

import pytest
from walmill_testing import PostgresTarget, Proxy, differences, wait_until
from walmill_testing.proxy import DOWN, UP

TABLE = "CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i, 'v' FROM generate_series(1, 50) i"
# What does not compress: 1 MB in 100 rows.
LARGE = ("INSERT INTO t SELECT %s + i, i, (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 312) "
         "WHERE i > 0) FROM generate_series(1, 100) i")


# ---- no space, no writing ----

class SmallDisk:
    """A file system of a few MiB."""

    def __init__(self):
        # Not below tmp_path: the server's user must reach it.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wm-small-", dir="/tmp"))
        self.folder.chmod(0o755)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m,mode=0755", "walmill-test", self.folder],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.folder.rmdir()
            pytest.skip(f"may not mount a small file system here: {done.stderr.strip()}")

    def remount(self, option):
        subprocess.run(["mount", "-o", f"remount,{option}", self.folder], check=True)

    def unmount(self):
        subprocess.run(["umount", "-l", self.folder], check=True)
        self.folder.rmdir()


@pytest.fixture
def small_disk():
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    disk = SmallDisk()
    yield disk
    disk.unmount()


@pytest.fixture(params=["sqlite", "postgres"])
def small(request, pg, small_disk):
    """A target's block of configuration whose data is on a small disk, and the disk."""
    if request.param == "sqlite":
        yield f"type: sqlite\npath: {small_disk.folder}/small.db", small_disk
        return
    place = small_disk.folder / "space"
    place.mkdir()
    place.chmod(0o700)
    os.chown(place, pg.data.stat().st_uid, pg.data.stat().st_gid)
    with pg.admin() as admin:
        admin.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        admin.execute("CREATE DATABASE small TABLESPACE small")
        yield f"type: postgres\nuri: {pg.uri('small')}", small_disk
        admin.execute("DROP DATABASE small WITH (FORCE)")
        admin.execute("DROP TABLESPACE small")


RULES = "- {name: a, table: public.t, target: large}\n- {name: b, table: public.t, target: small}"


def trouble(d, target, state):
    """What a target in this state says."""
    now = d.target(target)
    return now["state"] == state and now["last_error"]


@pytest.mark.parametrize("when", ["seed", "stream"])
def test_out_of_space(db, small, daemon, when):
    """It says so, tries again, holds up nobody, and goes on where it was as soon as there is space."""
    block, disk = small
    db.execute(TABLE)

    def fill():
        for i in range(20):
            db.execute(LARGE, (1 + i) * 1000)

    if when == "seed":
        fill()
    d = daemon(RULES, targets={"large": "type: sqlite\npath: lite.db", "small": block}).start()
    if when == "stream":
        d.same("t")
        fill()
    error = wait_until(lambda: trouble(d, "small", "retrying"), "the lack of space is noticed", 60)
    assert re.search("is full|No space left|free disk space", error), error
    assert "space" in error, error
    db.execute("UPDATE t SET v = 'meanwhile' WHERE id <= 5")
    wait_until(lambda: not d.differences("t", "large"), "the other target goes on")
    assert d.target("large")["state"] == "ok" and d.errors() == []
    disk.remount("size=200m")
    d.same("t")
    assert d.errors() == [] and d.target("small")["state"] == "ok"
    d.sigterm()


def test_read_only_file_system(db, small_disk, daemon):
    """Nobody else is held up, and it goes on by itself."""
    db.execute(TABLE)
    d = daemon(RULES, targets={"large": "type: sqlite\npath: lite.db",
                               "small": f"type: sqlite\npath: {small_disk.folder}/small.db"}).start()
    d.same("t")
    d.sigterm()
    small_disk.remount("ro")
    db.execute("UPDATE t SET v = 'meanwhile' WHERE id <= 5")
    d.start()
    error = wait_until(lambda: trouble(d, "small", "failed"), "it is noticed")
    assert "small.db" in error and "write" in error, error
    wait_until(lambda: not d.differences("t", "large"), "the other target goes on")
    small_disk.remount("rw")
    wait_until(lambda: d.target("small")["state"] == "ok", "it is looked at again", 90)
    d.same("t")
    d.sigterm()


def test_read_only_database(db, dw, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t")
    for restart in (False, True):
        dw.execute(f"ALTER DATABASE {dw.name} SET default_transaction_read_only = on")
        end_sessions(dw)
        if restart:
            d.sigterm()
            d.start()
        db.execute("UPDATE t SET v = v || 'x'; INSERT INTO t SELECT max(id) + 1 FROM t")
        wait_until(lambda: "read-only" in (trouble(d, "dw", "retrying") or ""), "it is noticed")
        dw.execute(f"SET default_transaction_read_only = off; ALTER DATABASE {dw.name} RESET default_transaction_read_only")
        end_sessions(dw)
        d.same("t")
        assert d.errors() == []
    d.sigterm()


def end_sessions(dw):
    dw.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
               "WHERE datname = current_database() AND pid <> pg_backend_pid()")


# ---- constraints that somebody adds ----

CONSTRAINTS = {
    "unique": ("ALTER TABLE t ADD CONSTRAINT added UNIQUE (v)", "CREATE UNIQUE INDEX added ON t (v)"),
    "not null": ("ALTER TABLE t ADD CONSTRAINT added CHECK (v IS NOT NULL)",
                 "CREATE TRIGGER added BEFORE INSERT ON t WHEN NEW.v IS NULL BEGIN SELECT RAISE(ABORT, 'v is null'); END"),
    "foreign key": ("CREATE TABLE words AS SELECT v FROM t; ALTER TABLE words ADD PRIMARY KEY (v); "
                    "ALTER TABLE t ADD CONSTRAINT added FOREIGN KEY (v) REFERENCES words", None),
    "exclusion": ("ALTER TABLE t ADD CONSTRAINT added EXCLUDE USING btree (v WITH =)", None),
}


@pytest.mark.parametrize("kind", CONSTRAINTS)
def test_trap_28_constraint_added_by_hand(db, start, kind):
    """Rows that violate it become dead letters, others go on; without it a retry brings them."""
    db.execute(TABLE + "; UPDATE t SET v = 'v' || id")
    daemon = start("- {table: public.t, on_error: dead_letter}")
    daemon.same("t")
    postgres = daemon.reader().kind == "postgres"
    statement = CONSTRAINTS[kind][0 if postgres else 1]
    if statement is None:
        pytest.skip("SQLite has no such constraint on a table that exists, or walmill does not have it checked")
    daemon.reader().execute(statement)
    bad = "NULL" if kind == "not null" else "'v3'" if kind != "foreign key" else "'no such word'"
    good = "v" if kind == "foreign key" else "v || 'x'"
    db.execute(f"BEGIN; INSERT INTO t VALUES (101, 1, {bad}), (102, 1, {bad}); UPDATE t SET n = 0, v = {good} WHERE id BETWEEN 41 AND 50; "
               "DELETE FROM t WHERE id = 1; COMMIT")
    daemon.wait()
    assert sorted(int(x["key"]["id"]) for x in daemon.errors()) == [101, 102]
    assert daemon.rule("t")["state"] == "streaming"
    assert not daemon.differences("t", where="id < 100")
    daemon.reader().execute("ALTER TABLE t DROP CONSTRAINT added" if postgres else
                            "DROP TRIGGER added" if kind == "not null" else "DROP INDEX added")
    daemon.run("errors retry")
    daemon.same("t")
    assert daemon.errors() == []


def test_deferred_constraint_added_by_hand(db, dw, daemon):
    """No row can be told to be at fault: the daemon ends, says what to do, and nothing is skipped."""
    db.execute(TABLE)
    d = daemon("- {table: public.t, on_error: dead_letter}", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t")
    dw.execute("DELETE FROM t WHERE id > 1; ALTER TABLE t ADD CONSTRAINT added UNIQUE (v) DEFERRABLE INITIALLY DEFERRED; "
               "INSERT INTO t SELECT i, i, 'w' || i FROM generate_series(2, 50) i")
    db.execute("UPDATE t SET v = 'twice' WHERE id IN (2, 3)")
    d.wait_exit(1)
    said = d.log()[d.log().rindex(" failed:"):]
    assert all(word in said for word in ('target "dw"', '"added"', "deferred constraint", "NOT DEFERRABLE")), said
    dw.execute("ALTER TABLE t DROP CONSTRAINT added; UPDATE t SET v = 'v' WHERE id > 3")
    d.start()
    d.same("t")
    d.sigterm()


# ---- columns that somebody drops or alters ----

@pytest.mark.parametrize("down", [False, True], ids=["running", "down"])
def test_column_dropped_by_hand(db, start, down):
    """Its values of all rows are gone: they have to come again, not only those of rows that change."""
    db.execute(TABLE)
    daemon = start("- table: public.t")
    db.execute("UPDATE t SET v = 'streamed' WHERE id = 9")
    daemon.same("t")
    if down:
        daemon.sigterm()
    daemon.reader().execute("ALTER TABLE t DROP COLUMN v")
    db.execute("UPDATE t SET v = 'w' WHERE id = 1; INSERT INTO t VALUES (101, 1, 'new')")
    if down:
        daemon.start()
    else:
        wait_until(lambda: "v" in daemon.reader().columns("t") or daemon.rule("t")["state"] == "failed", "it is noticed")
        if daemon.rule("t")["state"] == "failed":
            assert "altered" in daemon.rule("t")["last_error"], daemon.rule("t")
            daemon.run("resume", "t")
        wait_until(lambda: "v" in daemon.reader().columns("t"), "the column is there again")
    daemon.same("t")


def test_column_that_the_view_is_yet_to_get_was_not_dropped(db, start):
    """The source has a new one, and the daemon ended before a row came: no reason to read the table again."""
    db.execute(TABLE)
    daemon = start("- table: public.t", sources={"shop": f"uri: {db.uri}\ndiscover: 200ms"})
    daemon.same("t")
    db.execute("ALTER TABLE t ADD late text")
    daemon.wait_log("columns_changed")
    daemon.wait()
    daemon.restart()
    db.execute("UPDATE t SET late = 'x' WHERE id = 3")
    daemon.same("t")
    assert "columns_gone" not in daemon.log()


def test_column_of_a_transaction_that_was_broken_off_was_not_dropped(db, start):
    """The view gets it once more when the transaction comes again: still no reason to read the table again."""
    db.execute(TABLE)
    daemon = start("- table: public.t")
    daemon.same("t")
    before = daemon.status()["sources"][0]["changes"]
    db.execute("ALTER TABLE t ADD late text; "
               "INSERT INTO t (id, v, late) SELECT i, repeat(md5(i::text), 20), 'x' FROM generate_series(1000, 100000) i")
    wait_until(lambda: daemon.status()["sources"][0]["changes"] > before + 25000, "a part of it is written")
    db.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'walmill_shop'")
    daemon.same("t")
    assert "columns_changed" in daemon.log() and "columns_gone" not in daemon.log()


@pytest.mark.parametrize("down", [False, True], ids=["running", "down"])
def test_column_retyped_by_hand(db, dw, daemon, down):
    """walmill does not alter an operator's own type: values that fit go on, others are told one by one."""
    db.execute(TABLE)
    d = daemon("- {table: public.t, on_error: dead_letter}", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t")
    if down:
        d.sigterm()
    dw.execute("ALTER TABLE t ALTER n TYPE smallint")
    db.execute("UPDATE t SET n = 100000 WHERE id = 1; UPDATE t SET n = 7 WHERE id = 2")
    if down:
        d.start()
    d.wait()
    if d.errors():
        assert [int(x["key"]["id"]) for x in d.errors()] == [1]
        dw.execute("ALTER TABLE t ALTER n TYPE int")
        d.run("errors retry")
    d.same("t")
    d.sigterm()


# ---- locks, deadlocks, isolation, time-outs ----

@pytest.fixture
def locker(dw):
    """A session at the target that does things to walmill's tables."""
    connection = dw.connect(autocommit=False)
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


def walmill_waits(dw):
    return dw.value("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                    "WHERE NOT l.granted AND a.datname = current_database() AND a.application_name LIKE '%%walmill%%'", 0)


def test_deadlock(db, dw, daemon, locker):
    """The server ends one of the two: walmill, here, whose batch comes again whole."""
    db.execute(TABLE)
    dw.execute(f"ALTER DATABASE {dw.name} SET deadlock_timeout = '1500ms'")
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t")
    locker.execute("SET deadlock_timeout = '1h'")
    locker.execute("UPDATE t SET v = 'theirs' WHERE id = 50")
    db.execute("UPDATE t SET v = 'ours' WHERE id IN (1, 2, 50)")
    wait_until(lambda: walmill_waits(dw), "walmill waits for the other's row")
    # The whole table: whatever row walmill has locked, the other now waits for it.
    locker.execute("UPDATE t SET v = 'theirs' WHERE id < 50")
    wait_until(lambda: "deadlock" in d.log(), "walmill was the one that the server ended")
    locker.connection.rollback()
    d.same("t")
    assert d.target("dw")["retries"] > 0 and d.errors() == []
    d.sigterm()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_other_default_isolation(db, dw, daemon, locker, isolation):
    """A row that somebody else alters at the same time is no reason to fail."""
    db.execute(TABLE)
    dw.execute(f"ALTER DATABASE {dw.name} SET default_transaction_isolation = '{isolation}'")
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t")
    for i in range(5):
        locker.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        locker.execute("SELECT count(*) FROM t")
        locker.execute("UPDATE t SET v = 'theirs' WHERE id = 1")
        db.execute("UPDATE t SET v = %s WHERE id = 1", f"ours {i}")
        wait_until(lambda: walmill_waits(dw), "walmill waits for the other's row")
        locker.connection.commit()
        d.same("t")
    assert d.errors() == []
    d.sigterm()


def test_trap_28_serialization_failure_is_tried_again(db, dw, daemon):
    db.execute(TABLE)
    d = daemon("- {table: public.t, on_error: dead_letter}", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t")
    dw.execute("CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS "
               "$$BEGIN RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001'; END$$")
    dw.execute("CREATE TRIGGER conflict BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION conflict()")
    db.execute("UPDATE t SET v = 'w' WHERE id = 3")

    def told():
        # In one look: a session that has begun again shows none of this until it has failed.
        target = d.target("dw")
        return target["state"] == "retrying" and "could not serialize" in (target["last_error"] or "")

    wait_until(told, "it is told")
    assert d.errors() == []
    dw.execute("DROP TRIGGER conflict ON t")
    d.same("t")
    assert d.errors() == []
    d.sigterm()


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
def test_trap_28_time_out_at_the_target(db, dw, daemon, locker, setting):
    """No row is at fault when somebody else holds it; the one for statements walmill lifts, large batches take long."""
    db.execute(TABLE)
    dw.execute(f"ALTER DATABASE {dw.name} SET {setting} = '300ms'")
    d = daemon("- {table: public.t, on_error: dead_letter}", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t")
    locker.execute("SELECT FROM t WHERE id = 7 FOR UPDATE")
    db.execute("UPDATE t SET v = 'w'")
    if setting == "lock_timeout":
        wait_until(lambda: "lock timeout" in (trouble(d, "dw", "retrying") or ""), "it is told")
    else:
        wait_until(lambda: dw.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                                    "AND state_change < clock_timestamp() - interval '1 s'"), "it waits for longer")
        assert d.target("dw")["retries"] == 0
    locker.connection.rollback()
    d.same("t")
    assert d.errors() == []
    d.sigterm()


# ---- connections that end in the middle ----

class CommitProxy(Proxy):
    """Loses a COMMIT, or what the server answers to it."""

    def __init__(self, upstream):
        self.lose = None            # "commit", "answer", and None
        self.lost = threading.Event()
        super().__init__(upstream)

    def _counted(self, direction, piece):
        if self.lose == "answer" and direction == DOWN and self.lost.is_set():
            return b"", False
        if self.lose and direction == UP and b"COMMIT\0" in piece:
            self.lost.set()
            if self.lose == "commit":
                self.lose = None
                return b"", True
        return super()._counted(direction, piece)


@pytest.mark.parametrize("lose", ["commit", "answer"])
@pytest.mark.parametrize("kill", [False, True], ids=["goes on", "killed"])
def test_connection_lost_in_a_commit(db, pg, dw, daemon, lose, kill):
    """Whether it was applied is for the target's own checkpoint to say: not once too few, not once too many."""
    db.execute(TABLE)
    dw.execute("CREATE TABLE applied (id int, n int)")
    with CommitProxy(pg.socket) as proxy:
        d = daemon("- {table: public.t, mode: append, view: events}\n- {name: u, table: public.t}",
                   targets={"dw": f"type: postgres\nuri: {proxy.uri(dw.name)}"}).start()
        d.wait()
        before = dw.value("SELECT count(*) FROM events")
        for i in range(5):
            proxy.lost.clear()
            proxy.lose = lose
            db.execute("UPDATE t SET n = n + 1 WHERE id = 1")
            assert proxy.lost.wait(20)
            wait_until(lambda n=i + 1: lose == "commit" or dw.value("SELECT count(*) FROM events") == before + n,
                       "the server has committed")
            if kill:
                d.sigkill()
            proxy.lose = None
            proxy.cut()
            if kill:
                d.start()
            d.wait()
            assert dw.value("SELECT count(*) FROM events") == before + i + 1
        assert not differences(db.main, "t", PostgresTarget(dw.uri))
        d.sigterm()


def test_connection_cut_at_any_byte(db, pg, dw, daemon):
    db.execute(TABLE)
    with Proxy(pg.socket) as proxy:
        d = daemon("- {table: public.t, mode: append, view: events}\n- {name: u, table: public.t}",
                   targets={"dw": f"type: postgres\nuri: {proxy.uri(dw.name)}"}).start()
        d.wait()
        for i, (direction, count) in enumerate((d, n) for d in (UP, DOWN) for n in (1, 2, 5, 23, 61, 110, 180, 300, 470, 900)):
            proxy.cut_at(count, direction)
            db.execute("UPDATE t SET n = n + 1, v = repeat('x', %s) WHERE id <= 3; INSERT INTO t VALUES (%s)", 10 * i, 100 + i)
            d.wait()
            assert not differences(db.main, "t", PostgresTarget(dw.uri))
        assert dw.value("SELECT count(*) FROM events") == 50 + 20 * 4
        d.sigterm()
