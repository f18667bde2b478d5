# SPDX-License-Identifier: PostgreSQL
"""`on_slot_lost: seed`: a slot that is gone or invalidated is replaced and all is seeded again, but not for ever."""

import pytest
from walmill_testing import Cluster, run_walmill, wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('v', 50) " \
    "FROM generate_series(1, 5000) i; CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u VALUES (1, 'x')"
RULES = "- {name: t, table: public.t, target: lite}\n- {name: u, table: public.u, target: lite}\n" \
    "- {name: d, table: public.t, target: dw}"
UNSEEN = "DELETE FROM t WHERE id % 3 = 0; UPDATE t SET v = 'unseen' WHERE id % 7 = 0; INSERT INTO t VALUES (9999, 'new')"


@pytest.fixture
def seeding(db, both, daemon):
    """A daemon that was in step."""

    def make(source=None, on_slot_lost="seed", **options):
        source = source or db
        source.execute(TABLE)
        block = f"uri: {source.uri}\ndiscover: 200ms\non_slot_lost: {on_slot_lost}"
        d = daemon(RULES, targets=both, sources={"shop": block}, **options).start()
        d.source_db = source
        d.same("t", target="lite")
        return d

    return make


def same(d):
    d.wait()
    for table, target in (("t", "lite"), ("u", "lite"), ("t", "dw")):
        assert not d.differences(table, target)


def seeded_again(d, times=1):
    wait_until(lambda: d.log().count(" slot_replaced:") == times, "the seed has ended, and it is said", 60)


def test_dropped_while_it_was_down(db, seeding):
    d = seeding()
    d.sigterm()
    safe = db.slot()["confirmed_flush_lsn"]
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    db.execute(UNSEEN)
    d.start()
    same(d)
    assert d.log().count("ERROR slot_lost:") == 1 and f"changes after {safe}" in d.log()
    seeded_again(d)
    # What follows is streamed, and a restart is a restart.
    db.execute("DELETE FROM t WHERE id < 100")
    same(d)
    d.restart()
    same(d)
    assert d.log().count("ERROR slot_lost:") == 1
    d.sigterm()


def test_dropped_while_it_runs(db, seeding):
    d = seeding()
    pid = d.process.pid
    for times in (1, 2):
        d.lose_slot(UNSEEN)
        seeded_again(d, times)
        same(d)
    assert d.process.pid == pid and d.process.poll() is None
    assert d.log().count("ERROR slot_lost:") == 2
    d.sigterm()


def test_trap_12_invalidated_by_the_server(seeding):
    cluster = Cluster(max_slot_wal_keep_size="1MB", max_wal_size="32MB", min_wal_size="32MB").start()
    db = cluster.create_database()
    try:
        d = seeding(db)
        d.sigterm()
        db.execute(UNSEEN + "; CREATE TABLE more (v text)")

        def lost():
            db.execute("INSERT INTO more SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
            db.execute("SELECT pg_switch_wal()")
            db.execute("CHECKPOINT")
            return db.slot()["wal_status"] == "lost"

        wait_until(lost, "the server gives the slot up", 60)
        assert "on_slot_lost" in run_walmill("check", "-c", d.config, expect=None).stdout
        d.start()
        same(d)
        seeded_again(d)
        assert db.slot()["wal_status"] != "lost"
        d.sigterm()
    finally:
        d.destroy()
        db.close()
        cluster.destroy()


def test_trap_12_lost_again_before_the_seed_has_ended(db, other_pg, daemon):
    """Or it would go round for ever."""
    database = other_pg.create_database()
    try:
        db.execute(TABLE)
        d = daemon("- {name: t, table: public.t, target: far}", targets={"far": f"type: postgres\nuri: {database.uri}"},
                   sources={"shop": f"uri: {db.uri}\ndiscover: 200ms\non_slot_lost: seed"}).start()
        d.same("t")
        database.close()
        other_pg.stop()
        d.lose_slot(UNSEEN)
        wait_until(lambda: db.slot() and d.ready(), "the new slot", 60)
        # The target is away, so that the seed cannot end.
        d.lose_slot(UNSEEN)
        d.wait_exit(3, 60)
        assert "was lost again before the seed" in d.log() and "teardown" in d.log()
        assert db.slot() is None
        # A restart does not help, as the exit status says.
        d.launch()
        d.wait_exit(3)
        assert db.slot() is None
        other_pg.start()
        d.run("teardown")
        d.start()
        d.same("t")
        d.sigterm()
    finally:
        if other_pg.server is None:
            other_pg.start()
        d.destroy()
        database.drop()


@pytest.mark.parametrize("moment", ["slot_lost:", "slot_created:", "target_of_older_slot:", "seeded:", "slot_replaced:", None])
def test_killed_in_the_middle(db, seeding, moment):
    d = seeding()
    d.sigterm()
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    db.execute(UNSEEN)
    for i in range(4):
        mark = len(d.log())
        d.launch()
        if moment is not None:
            wait_until(lambda m=mark, n=i: moment in d.log()[m:] or " ready:" in d.log()[m:], moment, poll=0.0005)
        else:
            wait_until(lambda m=mark, n=i: len(d.log()) > m + 150 * n, "somewhere", poll=0.0005)
        d.sigkill()
        db.execute("INSERT INTO t SELECT max(id) + 1, 'between' FROM t; DELETE FROM t WHERE id = (SELECT min(id) FROM t)")
    d.start()
    same(d)
    seeded_again(d)
    d.restart()
    db.execute("DELETE FROM t WHERE id < 1000")
    same(d)
    assert d.log().count("ERROR slot_lost:") >= 1
    d.sigterm()


def test_only_for_a_lost_slot(db, seeding, other_pg):
    """A slot that somebody moved, or another cluster, is an operator's business still."""
    d = seeding()
    d.sigterm()
    db.execute(UNSEEN)
    before = d.rows("SELECT count(*) FROM t", "lite")
    db.execute("SELECT pg_replication_slot_advance('walmill_shop', pg_current_wal_lsn())")
    d.launch()
    d.wait_exit(3)
    other = other_pg.create_database()
    try:
        other.execute(TABLE)
        d.sources["shop"] = f"uri: {other.uri}\non_slot_lost: seed"
        d.write_config()
        d.launch()
        d.wait_exit(3)
        assert other.slot() is None
    finally:
        other.drop()
    assert "ERROR slot_lost:" not in d.log()
    assert d.rows("SELECT count(*) FROM t", "lite") == before


def test_stop_is_the_default(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    d.sigterm()
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    d.launch()
    d.wait_exit(3)
    assert "on_slot_lost: seed" in d.log() and "ERROR slot_lost:" not in d.log() and db.slot() is None


def test_it_needs_a_slot_of_its_own(db, daemon):
    d = daemon("- table: public.t", sources={"shop": f"uri: {db.uri}\nmanage: false\non_slot_lost: seed"})
    assert "on_slot_lost: seed" in d.run("check", "--offline", expect=2).stderr
