# SPDX-License-Identifier: PostgreSQL
"""`streaming: true`: large transactions come before they have committed, and nobody sees a difference."""

import concurrent.futures
import random

import pytest
from walmill_testing import wait_until
from walmill_testing.transactions import MANY, TABLES, early


def block(db, more=""):
    return f"uri: {early(db)}\nstreaming: true\n{more}"


def streamed(db):
    """How many transactions the server has streamed before their end."""
    return db.value("SELECT stream_txns FROM pg_stat_replication_slots WHERE slot_name = 'walmill_shop'")


@pytest.fixture
def follow(db, start):
    db.execute(TABLES)
    return start("- table: public.*", sources={"shop": block(db)})


def test_commit_and_rollback(db, follow):
    other = db.connect(autocommit=False)
    c = other.cursor()
    c.execute(MANY.format(1001, 8000))
    wait_until(lambda: streamed(db) == 1, "it is streamed")
    db.execute("UPDATE t SET n = 5 WHERE id < 100")
    follow.same("t")
    c.execute("DELETE FROM t WHERE id % 10 = 0 AND id > 1000")
    other.commit()
    follow.same("t", "u")
    c.execute(MANY.format(10001, 18000))
    other.rollback()
    db.execute("UPDATE u SET v = 'after'")
    follow.same("t", "u")


def test_trap_08_savepoints_of_a_streamed_transaction(db, follow):
    """What was rolled back is left out, and nothing else: also where a table, or its new form, came first in that."""
    c = db.connect(autocommit=False).cursor()
    c.execute("SAVEPOINT a; UPDATE u SET v = 'never'; " + MANY.format(1001, 4000))
    c.execute("SAVEPOINT b; DELETE FROM t; " + MANY.format(1, 4000) + "; RELEASE b; UPDATE t SET n = 7; ROLLBACK TO a")
    c.execute(MANY.format(5001, 8000))
    c.execute("SAVEPOINT c; ALTER TABLE t ADD z int; " + MANY.format(9001, 12000) + "; ROLLBACK TO c")
    c.execute("UPDATE t SET n = 9 WHERE id BETWEEN 5000 AND 7000; SAVEPOINT d; " + MANY.format(20001, 21000) + "; RELEASE d")
    wait_until(lambda: streamed(db) == 1, "it is streamed")
    c.execute("COMMIT")
    db.execute("UPDATE u SET v = 'w'; UPDATE t SET v = 'w' WHERE id < 10")
    follow.same("t", "u")


class Nest:
    """A transaction of savepoints within savepoints, of which some are rolled back; with what was done to three tables."""

    def __init__(self, db, seed):
        self.random = random.Random(seed)
        self.first = 100000 * seed      # far enough from the others', which must not wait for its rows
        self.left = 60
        self.cursor = db.connect(autocommit=False).cursor()

    def change(self):
        n = self.random.choice((1, 5, 300, 1500))
        kind = self.random.random()
        self.first += n
        self.left -= 1
        if kind < 0.6:
            self.cursor.execute(MANY.format(self.first - n, self.first - 1))
        elif kind < 0.75:
            self.cursor.execute("UPDATE t SET n = n + 1 WHERE id BETWEEN %s AND %s", (self.first - 1500, self.first))
        elif kind < 0.85:
            self.cursor.execute("DELETE FROM t WHERE id BETWEEN %s AND %s AND id %% 3 = 0", (self.first - 900, self.first))
        else:
            self.cursor.execute("INSERT INTO u VALUES (%s, 'w')", (self.first,))

    def part(self, depth):
        for _ in range(self.random.randint(1, 3)):
            self.change()
        for _ in range(self.random.randint(0, 3) if depth < 5 and self.left > 20 else 0):
            name = f"s{depth}"
            self.cursor.execute(f"SAVEPOINT {name}")
            self.part(depth + 1)
            # After a rollback the savepoint stands, and may be gone back to once more.
            for _ in range(self.random.choice((0, 0, 1, 1, 2))):
                self.cursor.execute(f"ROLLBACK TO {name}")
                self.change()
            if self.random.random() < 0.5:
                self.cursor.execute(f"RELEASE {name}")
            if self.random.random() < 0.3:
                self.change()


@pytest.mark.parametrize("seed", range(3))
def test_trap_08_savepoints_at_random(db, follow, seed):
    """Several such transactions side by side, of which some are rolled back as a whole."""
    nests = [Nest(db, 10 * seed + n + 1) for n in range(6)]
    with concurrent.futures.ThreadPoolExecutor(len(nests)) as pool:
        list(pool.map(lambda nest: nest.part(0), nests))
    for n, nest in enumerate(nests):
        nest.cursor.execute("ROLLBACK" if n % 3 == 2 else "COMMIT")
        db.execute("UPDATE u SET v = v || 'x' WHERE id = 1")
    follow.same("t", "u")
    assert streamed(db) >= 4
    assert follow.status()["sources"][0]["waiting_bytes"] == 0


def test_definitions_and_truncation(db, follow):
    c = db.connect(autocommit=False).cursor()
    c.execute("CREATE TABLE w (id int PRIMARY KEY); INSERT INTO w SELECT generate_series(1, 3000)")
    c.execute(MANY.format(1001, 4000) + "; ALTER TABLE t ADD z int DEFAULT 5; UPDATE t SET z = id WHERE id % 2 = 0")
    c.execute("TRUNCATE u, t; INSERT INTO u VALUES (5, 'v'); INSERT INTO t SELECT i, 2, 'again', i FROM generate_series(1, 5000) i")
    wait_until(lambda: streamed(db) == 1, "it is streamed")
    c.execute("UPDATE t SET id = id + 100000 WHERE id < 2000; COMMIT")
    follow.same("t", "u")
    wait_until(lambda: follow.rows("SELECT count(*) FROM w") == [(3000,)], "the new table is there")
    follow.same("t", "u", "w")


def test_side_by_side(db, follow):
    """Two are open at a time, and others commit in between."""
    one, two = (db.connect(autocommit=False).cursor() for _ in range(2))
    for turn in range(5):
        one.execute(MANY.format(10000 * turn + 2001, 10000 * turn + 4000))
        two.execute(MANY.format(10000 * turn + 4001, 10000 * turn + 6000))
        db.execute("UPDATE t SET n = n + 1 WHERE id <= 20; INSERT INTO u VALUES (%s, 'between')", 100 + turn)
    wait_until(lambda: streamed(db) == 2, "both are streamed")
    two.execute("COMMIT")
    db.execute("UPDATE t SET n = -1 WHERE id BETWEEN 4001 AND 4100")
    follow.same("t", "u")
    one.execute("UPDATE t SET n = -2 WHERE id BETWEEN 4001 AND 4050; COMMIT")
    follow.same("t", "u")


@pytest.mark.parametrize("journal", ["", "journal: off"], ids=["journal", "journal off"])
def test_killed_while_it_is_open(db, both, daemon, journal):
    db.execute(TABLES)
    d = daemon("- {name: a, table: public.*, target: lite}\n- {name: b, table: public.*, target: dw}",
               targets=both, sources={"shop": block(db)}, settings=f"memory: 1MiB\n{journal}").start()
    d.same("t")
    c = db.connect(autocommit=False).cursor()
    c.execute(MANY.format(1001, 20000))
    wait_until(lambda: streamed(db) == 1, "it is streamed")
    db.execute("UPDATE u SET v = 'w'")
    d.same("u")
    d.sigkill()
    d.start()
    c.execute(MANY.format(20001, 60000) + "; COMMIT")
    wait_until(lambda: d.status()["sources"][0]["changes"] > 1000, "it is on its way into the journal")
    d.sigkill()
    d.start()
    d.same("t", "u")
    d.sigterm()


def test_no_room_for_open_transactions(db, daemon):
    """The server keeps them then, as it does without `streaming`."""
    db.execute(TABLES)
    d = daemon("- table: public.*", sources={"shop": block(db)}, settings="journal: {max_bytes: 1MiB}").start()
    d.same("t")
    db.execute(MANY.format(1001, 60000))
    d.same("t", "u")
    assert d.log().count("open transactions take more than the 1048576 bytes") == 1
    db.execute(MANY.format(60001, 90000))
    d.same("t", "u")
    d.sigterm()
