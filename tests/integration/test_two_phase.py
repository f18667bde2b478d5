# SPDX-License-Identifier: PostgreSQL
"""`two_phase: true`: transactions come when they are prepared, and are applied when they are committed."""

import pytest
from walmill_testing import Cluster, wait_until
from walmill_testing.postgres import server_version
from walmill_testing.transactions import MANY, TABLES, commit, early, prepare, rollback


def block(db, more=""):
    return f"uri: {db.uri}\ntwo_phase: true\n{more}"


def kept(d):
    """Files of transactions that have not ended."""
    folder = d.folder / "state/prepared/shop"
    return sorted(p.name for p in folder.iterdir() if "." not in p.name) if folder.exists() else []


def files(d):
    folder = d.folder / "state/prepared/shop"
    return sorted(folder.iterdir()) if folder.exists() else []


def nothing_kept(d):
    wait_until(lambda: files(d) == [], "nothing is kept any more")


def acknowledged(d, db):
    """The server has been told all that was written until now."""
    lsn = db.value("SELECT pg_current_wal_lsn()")
    wait_until(lambda: db.value("SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots "
                                "WHERE slot_name = 'walmill_shop'", lsn), "it is acknowledged", 30)


@pytest.fixture(autouse=True)
def version(request):
    if (server_version() < 15) != (request.node.name == "test_older_server"):
        pytest.skip("prepared transactions are sent from PostgreSQL 15 on")


@pytest.fixture
def follow(db, start):
    db.execute(TABLES)
    return start("- table: public.*", sources={"shop": block(db)})


@pytest.fixture(params=["", "journal: off"], ids=["journal", "no journal"])
def two(request, db, both, daemon):
    """A daemon with two targets, which may be killed."""
    db.execute(TABLES)
    return daemon("- {name: a, table: public.*, target: lite}\n- {name: b, table: public.*, target: dw}",
                  targets=both, sources={"shop": block(db)}, settings=request.param).start()


def test_commit_and_rollback(db, follow):
    assert db.value("SELECT two_phase FROM pg_replication_slots WHERE slot_name = 'walmill_shop'")
    prepare(db, "one", "INSERT INTO t VALUES (1001, 1, 'a'); UPDATE u SET v = 'one'; DELETE FROM t WHERE id < 10")
    prepare(db, "o'ther/../ \u00e4 \\", "UPDATE t SET v = 'never' WHERE id = 50")
    db.execute("INSERT INTO t VALUES (1002, 2, 'between')")
    acknowledged(follow, db)
    assert len(kept(follow)) == 2
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in files(follow))
    follow.same("t", "u")
    source = follow.status()["sources"][0]
    assert source["prepared"] == 2 and source["waiting_bytes"] > 100
    commit(db, "one")
    follow.same("t", "u")
    rollback(db, "o'ther/../ \u00e4 \\")
    db.execute("UPDATE t SET v = 'w' WHERE id BETWEEN 40 AND 60")
    follow.same("t", "u")
    nothing_kept(follow)


def test_at_once(db, follow):
    """Those that are committed before anything else happens need no file that lasts."""
    for i in range(50):
        prepare(db, f"g{i}", f"INSERT INTO t VALUES ({2000 + i}, {i}, 'a')")
        commit(db, f"g{i}")
    follow.same("t")
    prepare(db, "g0", "DELETE FROM t WHERE id > 2000")
    rollback(db, "g0")
    prepare(db, "g0", "DELETE FROM t WHERE id = 2000")
    commit(db, "g0")
    follow.same("t")
    nothing_kept(follow)


def test_several_tables_and_savepoints(db, follow):
    prepare(db, "a", "SAVEPOINT a; UPDATE u SET v = 'never'; SAVEPOINT b; DELETE FROM t; RELEASE b; ROLLBACK TO a; "
            "UPDATE t SET n = 7; SAVEPOINT c; INSERT INTO u VALUES (2, 'kept'); RELEASE c")
    db.execute("INSERT INTO u VALUES (3, 'w')")
    acknowledged(follow, db)
    commit(db, "a")
    follow.same("t", "u")
    prepare(db, "b", "TRUNCATE u, t; INSERT INTO u VALUES (9, 'again')")
    acknowledged(follow, db)
    commit(db, "b")
    follow.same("t", "u")


def test_definitions(db, follow):
    """What a rolled back one has described is not seen; what a committed one has is known to those that follow."""
    prepare(db, "never", "ALTER TABLE t ADD never int DEFAULT 5; UPDATE t SET never = id")
    acknowledged(follow, db)
    rollback(db, "never")
    db.execute("UPDATE t SET n = n + 1")
    follow.same("t")
    prepare(db, "z", "INSERT INTO t VALUES (2000, 2, 'before'); ALTER TABLE t ADD z int DEFAULT 5; "
            "UPDATE t SET z = id WHERE id % 2 = 0; CREATE TABLE w (id int PRIMARY KEY); INSERT INTO w VALUES (1)")
    db.execute("UPDATE u SET v = 'meanwhile'")
    acknowledged(follow, db)
    commit(db, "z")
    follow.same("t", "u")
    db.execute("UPDATE t SET z = z + 1; INSERT INTO w VALUES (2)")
    wait_until(lambda: "seeded: table public.w " in follow.log(), "the new table is there")
    follow.same("t", "u", "w")


def test_descriptions_serve_both_sides(db, follow):
    """The server describes a table once in a session, be it within what is prepared or outside of it."""
    follow.restart()
    prepare(db, "first", "INSERT INTO t VALUES (1001, 1, 'a')")
    db.execute("INSERT INTO t VALUES (1002, 1, 'described within another')")
    follow.same("t")
    prepare(db, "second", "INSERT INTO t VALUES (1003, 1, 'described before')")
    acknowledged(follow, db)
    follow.restart()
    # In this session nothing is described before the commits.
    commit(db, "second")
    follow.same("t")
    rollback(db, "first")
    prepare(db, "third", "INSERT INTO u VALUES (2, 'described within')")
    rollback(db, "third")
    db.execute("UPDATE u SET v = 'w'")
    follow.same("t", "u")


def test_other_columns_are_published_meanwhile(db, start):
    """Each is read as it was described when it was sent."""
    db.execute(TABLES + "CREATE PUBLICATION p FOR TABLE t, u")
    db.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    try:
        d = start("- table: public.*", sources={"shop": block(db, "manage: false\nslot: s\npublication: p")})
        prepare(db, "one", "INSERT INTO t VALUES (1001, 1, 'a')")
        db.execute("INSERT INTO t VALUES (1002, 1, 'b')")
        d.same("t")
        db.execute("ALTER PUBLICATION p SET TABLE t (id, v), u")
        db.execute("INSERT INTO t (id, v) VALUES (1003, 'c')")
        d.same("u")
        commit(db, "one")
        db.execute("INSERT INTO t (id, v) VALUES (1004, 'd')")
        d.wait()
        assert d.rows("SELECT id, n, v FROM t WHERE id > 1000 ORDER BY id") == [
            (1001, 1, "a"), (1002, 1, "b"), (1003, None, "c"), (1004, None, "d")]
    finally:
        d.sigterm()
        db.execute("SELECT pg_drop_replication_slot('s')")


def test_killed_between(db, two):
    """What was acknowledged is nowhere else."""
    two.same("t", "u")
    prepare(db, "a", "INSERT INTO t VALUES (1001, 1, 'a'); UPDATE u SET v = 'a'")
    prepare(db, "b", "DELETE FROM t WHERE id = 5")
    db.execute("UPDATE t SET n = 1 WHERE id = 7")
    acknowledged(two, db)
    two.sigkill()
    two.start()
    two.same("t", "u")
    assert len(kept(two)) == 2
    commit(db, "a")
    two.same("t", "u")
    two.sigkill()
    rollback(db, "b")
    two.start()
    two.same("t", "u")
    nothing_kept(two)
    two.sigterm()


def test_ended_while_it_was_down(db, two):
    prepare(db, "a", "INSERT INTO t VALUES (1001, 1, 'a')")
    prepare(db, "b", "INSERT INTO t VALUES (1002, 1, 'b')")
    acknowledged(two, db)
    two.sigkill()
    commit(db, "a")
    rollback(db, "b")
    prepare(db, "a", "INSERT INTO t VALUES (1003, 1, 'c')")
    two.start()
    two.same("t", "u")
    commit(db, "a")
    two.same("t", "u")
    nothing_kept(two)
    two.sigterm()


def test_switched_on_and_off(db, daemon):
    """On for a slot that is there, with a transaction prepared before; a slot that has it keeps it."""
    db.execute(TABLES)
    d = daemon("- table: public.*", sources={"shop": f"uri: {db.uri}"}).start()
    d.same("t")
    prepare(db, "before", "INSERT INTO t VALUES (1001, 1, 'before')")
    prepare(db, "never", "INSERT INTO t VALUES (1005, 1, 'never')")
    db.execute("UPDATE u SET v = 'w'")
    d.same("u")
    acknowledged(d, db)
    d.sources["shop"] = block(db)
    d.write_config()
    d.reload()
    wait_until(lambda: db.value("SELECT two_phase FROM pg_replication_slots WHERE slot_name = 'walmill_shop'"), "it is on")
    prepare(db, "within", "INSERT INTO t VALUES (1002, 1, 'within')")
    acknowledged(d, db)
    assert len(kept(d)) == 1
    commit(db, "before")
    d.same("t", "u")
    rollback(db, "never")
    d.sources["shop"] = f"uri: {db.uri}"
    d.write_config()
    d.reload()
    prepare(db, "after", "INSERT INTO t VALUES (1003, 1, 'after')")
    db.execute("UPDATE u SET v = 'x'")
    d.same("t", "u")
    acknowledged(d, db)
    assert len(kept(d)) == 2
    d.restart()
    commit(db, "within")
    commit(db, "after")
    d.same("t", "u")
    nothing_kept(d)
    d.sigterm()


def large(db, start, more=""):
    db.execute(TABLES)
    return start("- table: public.*", sources={"shop": f"uri: {early(db)}\ntwo_phase: true\nstreaming: true\n{more}"})


def test_streamed(db, start):
    """A large one comes while it is still open, and waits where the small ones do."""
    d = large(db, start)
    prepare(db, "big", f"SAVEPOINT a; {MANY.format(1001, 9000)}; SAVEPOINT b; {MANY.format(9001, 12000)}; ROLLBACK TO b; "
            f"RELEASE a; UPDATE t SET n = 3 WHERE id % 3 = 0; SAVEPOINT c; DELETE FROM t; ROLLBACK TO c; {MANY.format(20001, 24000)}")
    prepare(db, "gone", MANY.format(30001, 38000))
    db.execute("UPDATE u SET v = 'w'")
    acknowledged(d, db)
    assert db.value("SELECT stream_txns FROM pg_stat_replication_slots WHERE slot_name = 'walmill_shop'") == 2
    assert len(kept(d)) == 2
    d.same("t", "u")
    d.sigkill()
    d.start()
    # Some servers stream again what they skip, when their memory is full.
    db.execute(MANY.format(50001, 58000))
    d.same("t", "u")
    commit(db, "big")
    d.same("t", "u")
    rollback(db, "gone")
    db.execute("DELETE FROM t WHERE id % 10 = 0")
    d.same("t", "u")
    nothing_kept(d)


def test_described_in_a_stream_that_is_prepared(db, start):
    """Servers of version 15 do not describe the table again."""
    d = large(db, start)
    d.restart()
    prepare(db, "big", MANY.format(1001, 9000))
    db.execute("INSERT INTO t VALUES (20001, 1, 'a')")
    prepare(db, "small", "INSERT INTO t VALUES (20002, 1, 'a')")
    d.same("t")
    acknowledged(d, db)
    d.restart()
    commit(db, "small")
    commit(db, "big")
    d.same("t")


def test_no_room(db, start):
    """The server cannot take back what was acknowledged: the stream waits before that."""
    d = large(db, start, "silence: 5s")
    d.sigterm()
    d.settings = "journal: {max_bytes: 1MiB}"
    d.write_config()
    d.start()
    prepare(db, "big", MANY.format(1001, 30000))
    db.execute("UPDATE u SET v = 'w'")
    wait_until(lambda: "prepared transactions take more than the 1048576 bytes" in
               (d.status()["sources"][0]["last_error"] or ""), "it is said")
    assert files(d) == []
    d.sigterm()
    d.settings = "journal: {max_bytes: 64MiB}"
    d.write_config()
    d.start()
    d.same("t", "u")
    commit(db, "big")
    d.same("t", "u")


def test_server_restarted(daemon):
    """Prepared transactions survive at the server as they do here."""
    cluster = Cluster(max_prepared_transactions="5").start()
    try:
        db = cluster.create_database()
        db.execute(TABLES)
        d = daemon("- table: public.*", sources={"shop": block(db)}).start()
        d.source_db = db
        d.same("t")
        prepare(db, "a", "INSERT INTO t VALUES (1001, 1, 'a')")
        prepare(db, "b", "INSERT INTO t VALUES (1002, 1, 'a')")
        acknowledged(d, db)
        cluster.stop("immediate")
        cluster.start()
        db.close()
        db.execute("INSERT INTO t VALUES (1003, 1, 'a')")
        d.same("t")
        commit(db, "a")
        rollback(db, "b")
        d.same("t")
        nothing_kept(d)
        d.sigterm()
    finally:
        cluster.destroy()


def test_nothing_but_locks(db, follow):
    """Some servers send the commit of such a one, and nothing else."""
    prepare(db, "a", "LOCK t")
    prepare(db, "b", "SAVEPOINT a; ALTER TABLE u ADD never int; ROLLBACK TO a")
    prepare(db, "c", "SELECT 1")
    acknowledged(follow, db)
    for gid in "abc":
        commit(db, gid)
    db.execute("UPDATE t SET n = 5; UPDATE u SET v = 'w'")
    follow.same("t", "u")


def test_its_file_is_taken_away(db, follow):
    """It is said."""
    prepare(db, "a", "INSERT INTO t VALUES (1001, 1, 'a')")
    acknowledged(follow, db)
    follow.sigkill()
    files(follow)[0].unlink()
    follow.start()
    commit(db, "a")
    db.execute("UPDATE u SET v = 'w'")
    follow.same("u")
    assert 'prepared_unknown: the server commits' in follow.log() and 'prepared as "a"' in follow.log()


def test_its_file_is_damaged(db, follow):
    """As it was, it is taken."""
    prepare(db, "a", "INSERT INTO t VALUES (1001, 1, 'a')")
    acknowledged(follow, db)
    follow.sigkill()
    commit(db, "a")
    (file,) = files(follow)
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    follow.launch()
    follow.wait_exit(3)
    assert "is damaged" in follow.log()
    file.write_bytes(content[:-1] + b"?")
    follow.launch()
    follow.wait_exit(3)
    file.write_bytes(content)
    follow.start()
    follow.same("t", "u")


def test_another_slot(db, daemon):
    """Files of a slot that is gone go, too."""
    db.execute(TABLES)
    d = daemon("- table: public.*", sources={"shop": block(db, "on_slot_lost: seed")}).start()
    d.same("t")
    prepare(db, "a", "INSERT INTO t VALUES (1001, 1, 'a')")
    acknowledged(d, db)
    d.sigterm()
    (file,) = files(d)
    content = file.read_bytes()
    rollback(db, "a")
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    d.start()
    d.same("t")
    assert files(d) == [] and d.log().count("prepared_dropped") == 1
    d.sigterm()
    file.write_bytes(content)
    d.run("teardown")
    assert not file.exists()


def test_older_server(db, daemon):
    """It goes on as without the option, and says so."""
    db.execute(TABLES)
    d = daemon("- table: public.*", sources={"shop": block(db)})
    assert '"two_phase: true" has no effect' in d.run("check").stdout
    d.start()
    assert d.log().count("two_phase_ignored") == 1
    prepare(db, "a", "INSERT INTO t VALUES (1001, 1, 'a')")
    db.execute("UPDATE u SET v = 'w'")
    d.same("t", "u")
    commit(db, "a")
    d.same("t", "u")
    d.sigterm()


def test_said_by_check(db, daemon):
    db.execute(TABLES)
    d = daemon("- table: public.*", sources={"shop": block(db)})
    assert "two_phase" not in d.run("check").stdout
    none = Cluster(max_prepared_transactions="0").start()
    try:
        other = none.create_database()
        other.execute(TABLES)
        d.sources["shop"] = block(other)
        d.write_config()
        assert "max_prepared_transactions is 0" in d.run("check").stdout
    finally:
        none.destroy()
