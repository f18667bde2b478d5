# SPDX-License-Identifier: PostgreSQL
"""`slots`, `streaming`, `two_phase` and `apply: parallel` in one configuration, killed in the middle of all of it."""

import threading

import pytest
from walmill_testing import wait_until
from walmill_testing.postgres import server_version

# Of these names each of two lanes has some.
TABLES = ("a", "b", "c", "d")
LANES = ("walmill_shop", "walmill_shop_2")
LARGE = 1500        # rows that the server streams before their end, and that sessions share
WRITERS = 3
STREAMED = "SELECT sum(stream_txns) FROM pg_stat_replication_slots WHERE slot_name = %s"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'walmill'"


def rows(table, low, number=LARGE):
    return f"INSERT INTO {table} SELECT i, 1, repeat('x', 50) FROM generate_series({low}, {low + number - 1}) i"


class Writer(threading.Thread):
    """A session with keys of its own, so that no prepared transaction is in another one's way."""

    def __init__(self, db, number):
        super().__init__(daemon=True)
        self.db = db
        self.low = 1000000 * (number + 1)
        self.name = f"{db.name} writer {number}"
        self.connection = db.connect()
        self.stop = threading.Event()
        self.turns = 0
        self.failure = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.turn()
                self.turns += 1
        except Exception as failure:        # pylint: disable=broad-except
            self.failure = failure

    def turn(self):
        """What is large and prepared, over tables of both lanes; meanwhile small ones; then the end of the first."""
        low = self.low + 10000 * self.turns
        gid = f"{self.name} {self.turns}"
        with self.connection.cursor() as c:
            first, second = (TABLES[(self.turns + i) % len(TABLES)] for i in range(2))
            c.execute(f"BEGIN; {rows(first, low)}; SAVEPOINT s; {rows(second, low)}; "
                      f"DELETE FROM {first} WHERE id BETWEEN {low} AND {low + 89}; "
                      f"{'ROLLBACK TO' if self.turns % 3 == 1 else 'RELEASE'} s; {rows(first, low + 5000, 40)}")
            c.execute("PREPARE TRANSACTION %s", (gid,))
            for table in TABLES:
                c.execute(f"BEGIN; {rows(table, low + 8000, 5)}; UPDATE {table} SET n = n + 1 WHERE id >= {low + 8002} "
                          f"AND id < {low + 8010}; COMMIT")
            c.execute(f"{'ROLLBACK' if self.turns % 4 == 3 else 'COMMIT'} PREPARED %s", (gid,))
            c.execute(f"UPDATE {first} SET n = n + 1, id = -id WHERE id BETWEEN {low} AND {low + 900}; "
                      f"DELETE FROM {first} WHERE id BETWEEN {low + 900} AND {low + 1000}")
            if self.turns % 5 == 4:
                c.execute(f"UPDATE {second} SET v = v || 'y' WHERE abs(id) BETWEEN {self.low} AND {low + 9999}")

    def finish(self):
        self.stop.set()
        self.join(60)
        assert not self.is_alive(), "a writer hangs"
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def writers(db):
    made = [Writer(db, n) for n in range(WRITERS)]
    yield made
    for writer in made:
        writer.stop.set()
    for writer in made:
        if writer.is_alive():
            writer.join(60)


def at_work(writers, d, dw):
    """A large transaction more of each writer, and each lane's worker has opened the sessions that share batches."""
    before = [w.turns for w in writers]
    wait_until(lambda: all(w.failure or w.turns > b for w, b in zip(writers, before)), "the writers go on", 60)
    wait_until(lambda: dw.value(SESSIONS) == 2 * (1 + 2), "batches are shared", 60)


def test_killed_amid_all_of_it(db, dw, daemon, writers):
    if server_version() < 15:
        pytest.skip("prepared transactions are sent from PostgreSQL 15 on")
    for table in TABLES:
        db.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, n int, v text); {rows(table, 1)}")
    d = daemon("- {name: all, table: public.*, target: dw}\n- {name: file, table: public.*, target: lite}",
               targets={"dw": f"type: postgres\nuri: {dw.uri}\napply: parallel\nworkers: 2",
                        "lite": "type: sqlite\npath: lite.db"},
               sources={"shop": f"uri: {db.uri}&options=-c%20logical_decoding_work_mem%3D64kB\n"
                                "slots: 2\nstreaming: true\ntwo_phase: true"}).start()
    d.same(*TABLES)
    assert sorted(db.rows("SELECT pubname, count(*) > 0 FROM pg_publication_tables WHERE pubname = ANY(%s) GROUP BY 1",
                          list(LANES))) == [(lane, True) for lane in LANES], "each lane has tables"
    # Open and streamed, or prepared, over both kills; of both, one that ends well and one that does not.
    opened = [db.connect(autocommit=False) for _ in range(2)]
    for n, connection in enumerate(opened):
        connection.cursor().execute("; ".join(rows(table, 10000 * (n + 1)) for table in TABLES))
    holder = db.connect()
    for n, gid in enumerate((f"{db.name} kept", f"{db.name} dropped"), 3):
        holder.cursor().execute("BEGIN; " + "; ".join(rows(table, 10000 * n) for table in TABLES))
        holder.cursor().execute("PREPARE TRANSACTION %s", (gid,))
    for writer in writers:
        writer.start()
    for lane in LANES:
        wait_until(lambda lane=lane: db.value(STREAMED, lane) >= 4, f"slot {lane} streams", 60)
    for _ in range(2):
        at_work(writers, d, dw)
        d.sigkill()
        d.start(60)
    opened[0].commit()
    opened[1].rollback()
    db.execute("COMMIT PREPARED %s", f"{db.name} kept")
    at_work(writers, d, dw)
    d.sigkill()
    db.execute("ROLLBACK PREPARED %s", f"{db.name} dropped")
    d.start(60)
    for writer in writers:
        writer.finish()
    d.same(*TABLES)
    assert d.errors() == [] and "prepared_unknown" not in d.log()
    for source in ("shop", "shop@2"):
        folder = d.folder / "state/prepared" / source
        wait_until(lambda folder=folder: list(folder.iterdir()) == [], "nothing is kept any more")
    d.sigterm()
