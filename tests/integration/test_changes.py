# SPDX-License-Identifier: PostgreSQL
"""The stream: each kind of change and of transaction, at both targets."""

import threading
import time

import pytest
from walmill_testing import wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text, n int)"
RULE = "- table: public.t"


def test_insert_update_delete(db, start):
    db.execute(TABLE + "; INSERT INTO t SELECT i, 'seeded', i FROM generate_series(1, 100) i")
    daemon = start(RULE)
    daemon.same("t")
    db.execute("INSERT INTO t SELECT i, 'streamed', i FROM generate_series(101, 200) i")
    db.execute("UPDATE t SET v = 'updated' WHERE id % 3 = 0")
    db.execute("DELETE FROM t WHERE id % 5 = 0")
    daemon.same("t")
    rule = daemon.rule("t")
    assert (rule["inserts"], rule["updates"], rule["deletes"]) == (100, 66, 40)
    assert rule["rows_seeded"] == 100 and rule["state"] == "streaming"


def test_many_changes_of_one_row_in_one_transaction(db, start):
    db.execute(TABLE + "; INSERT INTO t VALUES (1, 'a', 0)")
    daemon = start(RULE)
    with db.connect(autocommit=False) as tx, tx.cursor() as c:
        for i in range(50):
            c.execute("UPDATE t SET n = %s WHERE id = 1", (i,))
        c.execute("DELETE FROM t WHERE id = 1")
        c.execute("INSERT INTO t VALUES (1, 'b', -1), (2, 'gone', 0)")
        c.execute("UPDATE t SET n = 77 WHERE id = 1")
        c.execute("DELETE FROM t WHERE id = 2")
        c.execute("INSERT INTO t VALUES (3, 'short-lived', 0)")
        c.execute("UPDATE t SET id = 4 WHERE id = 3")
    daemon.same("t")
    assert sorted(daemon.rows("SELECT id, v, n FROM t")) == [(1, "b", 77), (4, "short-lived", 0)]


def test_trap_09_key_changes(db, start):
    db.execute(TABLE + "; INSERT INTO t SELECT i, 'v' || i, i FROM generate_series(1, 20) i")
    daemon = start(RULE)
    db.execute("UPDATE t SET id = id + 1000 WHERE id <= 10")
    daemon.same("t")
    # Two rows swap their keys, and a chain moves up by one: each state between would collide.
    with db.connect(autocommit=False) as tx, tx.cursor() as c:
        c.execute("UPDATE t SET id = -1 WHERE id = 11")
        c.execute("UPDATE t SET id = 11 WHERE id = 12")
        c.execute("UPDATE t SET id = 12 WHERE id = -1")
    with db.connect(autocommit=False) as tx, tx.cursor() as c:
        for i in range(20, 12, -1):
            c.execute("UPDATE t SET id = id + 1 WHERE id = %s", (i,))
    db.execute("DELETE FROM t WHERE id = 1001; UPDATE t SET id = 1001, v = 'moved onto a deleted key' WHERE id = 1002")
    daemon.same("t")


def test_key_of_several_columns(db, start):
    db.execute("CREATE TABLE t (a text, v int, b int, PRIMARY KEY (b, a)); INSERT INTO t VALUES ('x', 1, 1), ('x', 2, 2), ('y', 3, 1)")
    daemon = start(RULE)
    db.execute("UPDATE t SET v = 9 WHERE a = 'x' AND b = 2; UPDATE t SET a = 'z' WHERE a = 'y'; DELETE FROM t WHERE b = 1 AND a = 'x'")
    daemon.same("t")


def test_truncate(db, start):
    db.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t); INSERT INTO t VALUES (1, 'a', 1); INSERT INTO u VALUES (1, 1)")
    daemon = start("- table: public.t\n- table: public.u")
    daemon.same("t", "u")
    db.execute("TRUNCATE t, u RESTART IDENTITY")
    daemon.same("t", "u")
    db.execute("INSERT INTO t VALUES (1, 'b', 1); INSERT INTO u VALUES (1, 1)")
    # Rows before and behind the truncation, in one transaction.
    db.execute("INSERT INTO t VALUES (2, 'c', 2); TRUNCATE t CASCADE; INSERT INTO t VALUES (3, 'd', 3)")
    daemon.same("t", "u")
    assert daemon.rows("SELECT id FROM t") == [(3,)] and daemon.rows("SELECT id FROM u") == []


def test_trap_05_unchanged_toast_is_kept(db, start):
    """The stream leaves out a large value that an update did not touch."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, doc text, j jsonb); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL")
    db.execute("INSERT INTO t SELECT i, i, repeat(md5(i::text), 1000), jsonb_build_object('a', repeat(md5(i::text), 500)) "
               "FROM generate_series(1, 10) i")
    daemon = start(RULE)
    db.execute("UPDATE t SET n = n + 100")
    db.execute("UPDATE t SET n = n + 1 WHERE id <= 5; UPDATE t SET n = n + 1 WHERE id <= 3")
    db.execute("UPDATE t SET id = id + 50 WHERE id = 1")
    # Written, and changed beside the large value, in one transaction; and one that did change.
    db.execute("INSERT INTO t VALUES (20, 1, repeat('n', 100000), NULL); UPDATE t SET n = 2 WHERE id = 20; "
               "UPDATE t SET doc = repeat('m', 100000) WHERE id = 2; UPDATE t SET n = 3 WHERE id = 2; UPDATE t SET id = 21 WHERE id = 20")
    db.execute("UPDATE t SET n = 5 WHERE id = 21; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (3, 0, 'short', NULL)")
    daemon.same("t")


def test_trap_08_rollbacks_leave_nothing(db, start):
    db.execute(TABLE)
    daemon = start(RULE)
    tx = db.connect(autocommit=False)
    with tx.cursor() as c:
        c.execute("INSERT INTO t SELECT i, 'rolled back', 0 FROM generate_series(1, 1000) i")
        tx.rollback()
        c.execute("INSERT INTO t VALUES (1, 'kept', 0)")
        c.execute("SAVEPOINT a")
        c.execute("INSERT INTO t VALUES (2, 'dropped', 0); UPDATE t SET v = 'dropped' WHERE id = 1")
        c.execute("SAVEPOINT b")
        c.execute("INSERT INTO t VALUES (3, 'dropped, too', 0)")
        c.execute("RELEASE SAVEPOINT b")
        c.execute("ROLLBACK TO SAVEPOINT a")
        c.execute("INSERT INTO t VALUES (4, 'kept', 0)")
        c.execute("SAVEPOINT c")
        c.execute("UPDATE t SET n = 5 WHERE id = 4")
        c.execute("RELEASE SAVEPOINT c")
        tx.commit()
    db.execute("DO $$ BEGIN FOR i IN 10..40 LOOP BEGIN INSERT INTO t VALUES (i, 'sub', i); IF i % 2 = 0 THEN RAISE 'no'; END IF; "
               "EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$")
    daemon.same("t")
    assert daemon.rows("SELECT count(*) FROM t") == [(17,)]


def test_trap_02_interleaved_transactions_in_commit_order(db, start):
    db.execute(TABLE + "; INSERT INTO t VALUES (1, 'start', 0)")
    daemon = start(RULE)
    early, late = db.connect(autocommit=False), db.connect(autocommit=False)
    with early.cursor() as a, late.cursor() as b:
        a.execute("INSERT INTO t VALUES (10, 'begun first, committed last', 0)")
        b.execute("INSERT INTO t VALUES (11, 'begun last', 0); UPDATE t SET v = 'late' WHERE id = 1")
        late.commit()
        a.execute("UPDATE t SET v = v || ', then early' WHERE id = 1")
        early.commit()
    daemon.same("t")
    assert daemon.rows("SELECT v FROM t WHERE id = 1") == [("late, then early",)]


def test_a_reader_never_sees_half_a_transaction(db, start):
    """Money moves between two tables; at the target the sum must be right at every moment."""
    db.execute("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int); "
               "INSERT INTO a SELECT i, 100 FROM generate_series(1, 10) i; INSERT INTO b SELECT i, 100 FROM generate_series(1, 10) i")
    daemon = start("- table: public.a\n- table: public.b")
    daemon.same("a", "b")
    sums, done = [], threading.Event()

    def watch():
        while not done.is_set():
            sums.append(daemon.rows("SELECT (SELECT sum(v) FROM a) + (SELECT sum(v) FROM b)")[0][0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for i in range(3000):
            if i > 300 and len(sums) > 30:
                break
            db.execute("UPDATE a SET v = v - %s WHERE id = %s; UPDATE b SET v = v + %s WHERE id = %s", i, i % 10 + 1, i,
                       (i * 7) % 10 + 1)
        daemon.same("a", "b")
    finally:
        done.set()
        watcher.join()
    assert set(sums) == {2000} and len(sums) > 30


def test_trap_19_one_large_transaction(db, start):
    db.execute(TABLE)
    daemon = start(RULE, settings="memory: 4MiB")
    db.execute("INSERT INTO t SELECT i, repeat('x', 100), i FROM generate_series(1, 60000) i; UPDATE t SET n = -n WHERE id % 10 = 0")
    daemon.same("t")


def test_replica_identity_full(db, start):
    db.execute(TABLE + "; ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)")
    daemon = start(RULE)
    db.execute("UPDATE t SET v = NULL WHERE id = 1; UPDATE t SET id = 7 WHERE id = 2; INSERT INTO t VALUES (3, 'c', 3); DELETE FROM t WHERE id = 1")
    daemon.same("t")


def test_replica_identity_full_without_a_primary_key(db, start):
    db.execute("CREATE TABLE t (id int NOT NULL, v text); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, 'a'), (2, NULL)")
    daemon = start("- {table: public.t, key: [id]}")
    db.execute("UPDATE t SET v = 'z' WHERE id = 2; UPDATE t SET id = 5 WHERE id = 1; INSERT INTO t VALUES (6, 'x'); DELETE FROM t WHERE id = 6")
    daemon.same("t")


def test_deferrable_primary_key_is_no_key(db, start):
    """Rows may share it within a transaction: an update that shifts all keys would leave one row."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE); INSERT INTO t SELECT generate_series(1, 9); "
               "ALTER TABLE t REPLICA IDENTITY FULL")
    daemon = start("- table: public.t")
    wait_until(lambda: daemon.rule("t")["state"] == "failed", "the rule failed")
    assert "deferrable" in daemon.rule("t")["last_error"]
    db.execute("UPDATE t SET id = id + 1")


def test_replica_identity_of_an_index(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL, v int); CREATE UNIQUE INDEX t_code ON t (code); "
               "ALTER TABLE t REPLICA IDENTITY USING INDEX t_code; INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)")
    daemon = start(RULE)
    db.execute("UPDATE t SET v = 9 WHERE id = 1; UPDATE t SET code = 'c' WHERE id = 2; UPDATE t SET id = 10 WHERE id = 1")
    daemon.same("t")
    db.execute("DELETE FROM t WHERE id = 2")
    daemon.same("t")


def test_replica_identity_nothing_takes_inserts(db, start):
    db.execute("CREATE TABLE t (id int, v text); ALTER TABLE t REPLICA IDENTITY NOTHING; INSERT INTO t VALUES (1, 'a')")
    daemon = start("- {table: public.t, mode: append, events: [insert]}")
    db.execute("INSERT INTO t VALUES (2, 'b'), (2, 'b')")
    daemon.wait()
    assert sorted(daemon.rows("SELECT id, v FROM t")) == [(1, "a"), (2, "b"), (2, "b")]
    # Nobody is kept from changing it: only its inserts are published.
    db.execute("UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (3, 'd')")
    daemon.wait()
    assert sorted(daemon.rows("SELECT id, v FROM t")) == [(1, "a"), (2, "b"), (2, "b"), (3, "d")]


def test_trap_09_table_without_a_key_is_refused_and_others_go_on(db, start):
    db.execute(TABLE + "; CREATE TABLE nokey (id int, v text); INSERT INTO nokey VALUES (1, 'a'); INSERT INTO t VALUES (1, 'a', 1)")
    daemon = start("- table: public.nokey\n- table: public.t")
    daemon.wait_log("nokey")
    assert daemon.rule("nokey")["state"] == "failed"
    assert "REPLICA IDENTITY" in daemon.log() and "primary key" in daemon.log()
    wait_until(lambda: daemon.rule("t")["rows_seeded"] == 1, "the other rule's seed")
    db.execute("INSERT INTO t VALUES (2, 'b', 2)")
    wait_until(lambda: daemon.reader().columns("t") and daemon.rows("SELECT count(*) FROM t") == [(2,)], "the other rule goes on")
    # Nobody is kept from writing to it.
    db.execute("UPDATE nokey SET v = 'b'; DELETE FROM nokey")


def test_failed_rule_says_why_when_its_other_tables_are_seeded(db, start):
    db.execute("CREATE TABLE a_nokey (id int); CREATE TABLE b (id int PRIMARY KEY, v text); CREATE TABLE c (id int PRIMARY KEY, v text); "
               "INSERT INTO b SELECT i, 'v' FROM generate_series(1, 100) i; INSERT INTO c SELECT * FROM b")
    daemon = start("- {name: all, table: public.*}")
    wait_until(lambda: daemon.rule("all")["rows_seeded"] == 200, "the seed of the others")
    wait_until(lambda: daemon.log().count("seeded:") == 2, "the end of it")
    assert daemon.rule("all")["state"] == "failed"
    assert "a_nokey" in daemon.rule("all")["last_error"]


@pytest.mark.parametrize("leaf_identity", ["", "ALTER TABLE p1 REPLICA IDENTITY FULL;"])
def test_partitioned_table_by_its_root(db, start, leaf_identity):
    db.execute("CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region); "
               "CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('north'); "
               "CREATE TABLE p2 (v text, region text NOT NULL, id int NOT NULL, PRIMARY KEY (id, region)); "
               "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN ('south'); " + leaf_identity +
               "INSERT INTO p SELECT i, CASE WHEN i % 2 = 0 THEN 'north' ELSE 'south' END, 'v' FROM generate_series(1, 50) i")
    daemon = start("- {table: public.p, view: parts}")
    daemon.same("p", view="parts")
    db.execute("UPDATE p SET v = 'w' WHERE id < 20; UPDATE p SET region = 'south' WHERE id = 2; DELETE FROM p WHERE id = 3")
    daemon.same("p", view="parts")
    db.execute("CREATE TABLE p3 PARTITION OF p FOR VALUES IN ('west'); INSERT INTO p VALUES (100, 'west', 'new partition')")
    db.execute("UPDATE p SET region = 'west' WHERE id = 4; INSERT INTO p VALUES (101, 'north', 'x')")
    daemon.same("p", view="parts")
    db.execute("TRUNCATE p")
    daemon.same("p", view="parts")
    assert daemon.reader().tables().isdisjoint({"p1", "p2", "p3"})


PARTITIONS = """
CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('north');
CREATE TABLE p2 PARTITION OF p FOR VALUES IN ('south') PARTITION BY RANGE (id);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (0) TO (20);
CREATE TABLE p2b PARTITION OF p2 FOR VALUES FROM (20) TO (1000);
CREATE TABLE alone (id int, region text, v text, PRIMARY KEY (id, region));
INSERT INTO alone SELECT i, 'west', 'brought along' FROM generate_series(1, 70) i;
INSERT INTO p SELECT i, CASE WHEN i % 2 = 0 THEN 'north' ELSE 'south' END, 'v' FROM generate_series(1, 50) i;
"""


AWAY_A_WHILE = """
ALTER TABLE p DETACH PARTITION p2;
DELETE FROM p2 WHERE id < 10;
UPDATE p2 SET v = 'changed' WHERE id < 20;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN ('south');
"""


@pytest.mark.parametrize("when, what", [
    ("running", "ALTER TABLE p ATTACH PARTITION alone FOR VALUES IN ('west')"),
    ("running", "ALTER TABLE p DETACH PARTITION p1"),
    ("running", "TRUNCATE p2a; INSERT INTO p VALUES (9, 'south', 'after')"),
    ("running", "TRUNCATE p; INSERT INTO p VALUES (1, 'south', 'after')"),
    ("running", AWAY_A_WHILE),
    ("down", AWAY_A_WHILE),
    ("down", "ALTER TABLE p2 DETACH PARTITION p2b; ALTER TABLE p ATTACH PARTITION alone FOR VALUES IN ('west')"),
    ("down", "TRUNCATE p1"),
    ("paused", "DROP TABLE p2"),
])
def test_partitions_that_come_and_go(db, start, what, when):
    """The stream says nothing of it: the catalog does."""
    db.execute(PARTITIONS)
    daemon = start("- {table: public.p, view: parts}", sources={"shop": f"uri: {db.uri}\ndiscover: 300ms"})
    daemon.same("p", view="parts")
    if when == "down":
        daemon.sigterm()
    elif when == "paused":
        daemon.run("pause", "p")
    db.execute("INSERT INTO p VALUES (101, 'north', 'just before'), (102, 'south', 'just before')")
    db.execute(what)
    if when == "down":
        daemon.start()
    elif when == "paused":
        daemon.run("resume", "p")

    def rows():
        return sorted(daemon.rows("SELECT id, region, v FROM parts")) == sorted(db.rows("SELECT id, region, v FROM p"))
    wait_until(rows, "the view equals the table", 30)
    db.execute("UPDATE p SET v = 'later'")
    daemon.wait()
    wait_until(rows, "the view still equals the table", 30)


@pytest.mark.parametrize("what", [
    "DROP TABLE p1",
    "TRUNCATE p1; INSERT INTO p VALUES (1, 'north', 'after')",
    "TRUNCATE p; INSERT INTO p SELECT i, 'south', 'after' FROM generate_series(1, 9) i",
])
@pytest.mark.parametrize("down", [False, True], ids=["running", "down"])
def test_partition_that_goes_in_the_middle_of_its_seed(db, start, what, down):
    db.execute(PARTITIONS + "ALTER TABLE p1 SET (fillfactor = 10); "
               "INSERT INTO p1 SELECT i, 'north', repeat('x', 500) FROM generate_series(1001, 4000) i")
    daemon = start("- table: public.alone", sources={"shop": f"uri: {db.uri}\ndiscover: 300ms"})
    daemon.same("alone")
    daemon.write_rules("- table: public.alone\n- {table: public.p, seed: {batch_rows: 1}}")
    daemon.sighup()
    wait_until(lambda: (daemon.rule("p") or {"rows_seeded": 0})["rows_seeded"] > 30, "the seed has begun")
    daemon.run("pause", "p")
    rows = daemon.rows("SELECT count(*) FROM p")[0][0]
    assert rows < 3000, "the seed must not be at its end yet"
    if down:
        daemon.sigterm()
    db.execute(what)
    if down:
        daemon.start()
    daemon.run("resume", "p")
    wait_until(lambda: daemon.rule("p")["state"] == "streaming", "p is seeded", 60)
    daemon.same("p")
    db.execute("TRUNCATE p2a; INSERT INTO p VALUES (2, 'south', 'later')")
    wait_until(lambda: not daemon.differences("p"), "the view follows again")


def test_rows_of_partitions_that_went_are_kept_where_truncates_are_ignored(db, start):
    db.execute(PARTITIONS)
    daemon = start("- {table: public.p, on_truncate: ignore}", sources={"shop": f"uri: {db.uri}\ndiscover: 300ms"})
    daemon.same("p")
    db.execute("DROP TABLE p1; ALTER TABLE p ATTACH PARTITION alone FOR VALUES IN ('west')")
    wait_until(lambda: daemon.rows("SELECT count(*) FROM p") == [(50 + 70,)], "the new partition's rows", 30)


def test_trap_23_generated_column(db, start, pg_version):
    """Before 18 no stream carries a generated column; the others must be right all the same."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b text); "
               "INSERT INTO t (id, a, b) VALUES (1, 1, 'x')")
    daemon = start(RULE)
    db.execute("INSERT INTO t (id, a, b) VALUES (2, 5, 'y'); UPDATE t SET a = 7 WHERE id = 1")
    daemon.same("t", columns=["id", "a", "b"] + (["twice"] if pg_version >= 18 else []))


def test_generated_column_that_becomes_an_ordinary_one(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED); "
               "INSERT INTO t VALUES (1, 1), (2, 2)")
    daemon = start("- table: public.t")
    daemon.same("t", columns=["id", "a"])
    db.execute("ALTER TABLE t ALTER g DROP EXPRESSION")
    db.execute("INSERT INTO t VALUES (3, 3, 3)")
    wait_until(lambda: "g" in daemon.reader().columns("t") and not daemon.differences("t"), "values of before", 20)
    daemon.same("t")


def test_logical_messages_and_other_tables_do_no_harm(db, start):
    db.execute(TABLE + "; CREATE TABLE elsewhere (id int PRIMARY KEY)")
    daemon = start(RULE)
    db.execute("SELECT pg_logical_emit_message(true, 'someone', 'text'), pg_logical_emit_message(false, 'someone', 'text')")
    db.execute("INSERT INTO elsewhere VALUES (1); INSERT INTO t VALUES (1, 'a', 1); SELECT pg_logical_emit_message(true, 'x', 'y')")
    daemon.same("t")


def test_wait_takes_up_what_only_the_catalog_tells(db, start):
    """A start looks at the catalog; `wait` must not pass before what that showed is at the target."""
    db.execute("CREATE TABLE parts (id int, region int, PRIMARY KEY (id, region)) PARTITION BY LIST (region); "
               "CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); "
               "INSERT INTO parts SELECT i, i % 2 FROM generate_series(1, 2000) i")
    daemon = start("- table: public.parts")
    daemon.same("parts")
    for _ in range(3):
        daemon.sigterm()
        db.execute("TRUNCATE parts_0; INSERT INTO parts SELECT i, 0 FROM generate_series(5000, 7000) i")
        daemon.start()
        daemon.same("parts")
