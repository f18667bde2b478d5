# SPDX-License-Identifier: PostgreSQL
"""Small loads that lead a daemon to a point at which it kills itself.

A scenario is a generator: it calls `arm`, does something, and yields where the daemon may have died.
"""

import signal

from walmill_testing import wait_until
from walmill_testing.refusal import accept, refuse
from walmill_testing.transactions import commit, prepare, rollback

TABLES = """
    CREATE TABLE t (id int PRIMARY KEY, n int, v text);
    INSERT INTO t SELECT i, i % 90, repeat('v', i % 50) FROM generate_series(1, 3000) i;
    CREATE TABLE m (id int PRIMARY KEY, secret text);
    INSERT INTO m SELECT i, 's' || i FROM generate_series(1, 50) i;
"""
RULES = """
    - {table: "public.t*", target: target, on_error: %s, batch: {rows: 50}, seed: {batch_rows: 500, workers: 1}}
    - {table: public.m, target: target, columns: {mask: {secret: sha256}}}
"""
SOURCE = "uri: {}\ndiscover: 100ms"
SLOTS = 4           # so many that t is not in the first lane
# The smallest journal, so that its files are many.
SETTINGS = "memory: 1MiB\nreceipts: {keep: 1h, max_bytes: 1MiB}"


class Stage:
    """A source, a target, and a daemon that is to die."""

    def __init__(self, db, daemon, block, journal, disk_errors):
        """disk_errors(): the library that makes a disk fail"""
        self.db = db
        self.control = None
        self.disk_errors = disk_errors
        self.command_died = False
        self.refusing = False
        self.prepared = []
        self.tables = ["t"]
        self.slots = 1
        db.execute(TABLES)
        self.d = daemon(RULES % "dead_letter", targets={"target": block}, sources={"shop": SOURCE.format(db.uri)},
                        settings=f"{SETTINGS}\n{journal}")

    # ---- the daemon ----

    def start(self):
        """Without a fault, until it is in step."""
        self.d.start(60)
        self.d.same(*self.tables)

    def launch(self, point):
        """From here on it may die at the point."""
        self.d.env["WALMILL_FAULT_AT"] = point
        self.d.launch()
        del self.d.env["WALMILL_FAULT_AT"]

    def died(self):
        if self.command_died:
            return True
        code = self.d.process and self.d.process.poll()
        assert code in (None, -signal.SIGKILL), f"the daemon ended with {code}:\n{self.d.log()}"
        return code is not None

    def up(self):
        """Until it streams, or has died."""
        wait_until(lambda: self.died() or self._streams(), "it streams or has died", 60)

    def _streams(self):
        status = self.d.try_status()
        return status is not None and all(s["state"] == "streaming" for s in status["sources"])

    def wait(self):
        """Until it is in step, or has died."""
        self.d.run("wait", "--timeout", "20", expect=None)

    def command(self, point, *words):
        """A command that may die, while no daemon runs."""
        self.d.env["WALMILL_FAULT_AT"] = point
        done = self.d.run(*words, expect=None)
        del self.d.env["WALMILL_FAULT_AT"]
        self.command_died = done.returncode == -signal.SIGKILL
        assert self.command_died or done.returncode == 0, done.stderr

    def again(self):
        """What an operator does after the death: the same once more."""
        if self.d.process is not None:
            self.d.process.wait(30)
            self.d.process = None
        if self.command_died:
            self.d.run("teardown")
        if self.control is not None:
            self.control.write_text("")
        self.d.start(60)

    # ---- target and disk ----

    def refuse(self):
        refuse(self.d)
        self.refusing = True

    def prepare(self, gid, sql):
        """The transaction stays, whatever happens to the daemon."""
        gid = f"{self.db.name} {gid}"
        prepare(self.db, gid, sql)
        self.prepared.append(gid)

    def end_prepared(self, end, n=1):
        """The oldest ones; end: commit or rollback."""
        for gid in self.prepared[:n]:
            end(self.db, gid)
        del self.prepared[:n]

    def take_all(self):
        """The target takes everything again, and nothing is left as a letter, or prepared."""
        self.end_prepared(commit, len(self.prepared))
        if self.refusing:
            accept(self.d)
            self.refusing = False
        self.d.wait()
        while self.d.errors():
            self.d.run("errors retry", expect=None)

    def disk_refuses(self, what):
        self.control = self.d.folder / "control"
        self.control.write_text(what)
        self.d.env.update(LD_PRELOAD=str(self.disk_errors()), WM_DISK_ERRORS=str(self.control))

    def journal_files(self):
        return sorted(each for each in (self.d.folder / "state/journal/shop").glob("*") if len(each.name) == 16)

    def same(self):
        self.d.same(*self.tables)
        self.d.same("m", columns=["id"])
        assert self.d.errors() == []
        wait_until(lambda: self.db.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")
                   == self.slots, "every slot is one of a lane", 30)

    def set_slots(self, number):
        self.slots = number
        self.d.sources["shop"] = f"{SOURCE.format(self.db.uri)}\nslots: {number}"
        self.d.write_config()


# ---- scenarios ----

def first_start(s, point):
    """Slot, publication, state, journal, views and seed are made."""
    s.launch(point)
    yield
    s.up()
    yield
    s.db.execute("UPDATE t SET n = 1 WHERE id < 20")
    s.wait()
    yield


def stream(s, point):
    """Transactions small and large, and enough of them to fill files of the journal."""
    s.start()
    s.d.sigterm()
    s.launch(point)
    s.up()
    yield
    for turn in range(8):
        s.db.execute("UPDATE t SET n = n + 1 WHERE id %% 7 = %s", turn)
        s.db.execute("DELETE FROM t WHERE id = %s", 100 + turn)
        yield
    s.db.execute("INSERT INTO t SELECT i, 1, repeat('x', 60) FROM generate_series(10001, 20000) i")
    s.db.execute("UPDATE t SET id = id + 50000 WHERE id BETWEEN 200 AND 210")
    s.wait()
    yield
    s.db.execute("TRUNCATE t")
    s.db.execute("INSERT INTO t SELECT i, 1, repeat('x', 60) FROM generate_series(1, 5000) i")
    s.wait()
    yield


def letters(s, point):
    """Rows are refused, void by later changes, tried again in vain and with success."""
    s.start()
    s.refuse()
    s.d.sigterm()
    s.launch(point)
    s.up()
    yield
    s.db.execute("INSERT INTO t VALUES (5001, 500, 'a'), (5002, 1, 'b'), (5003, 500, 'c')")
    s.wait()
    yield
    s.db.execute("UPDATE t SET n = 5 WHERE id = 5001")
    s.wait()
    yield
    s.d.run("errors retry", expect=None)
    yield
    accept(s.d)
    s.refusing = False
    s.d.run("errors retry", expect=None)
    yield


def broken_off(s, point):
    """A large transaction of which the last row is refused: it is rolled back, and tried again."""
    s.d.write_rules(RULES % "retry")
    s.start()
    s.refuse()
    s.d.sigterm()
    s.launch(point)
    s.up()
    yield
    s.db.execute("INSERT INTO t SELECT i, CASE i WHEN 80000 THEN 500 ELSE 1 END, 'x' FROM generate_series(10001, 80000) i")
    yield


def new_table(s, point):
    """A table that a rule takes comes, so that the publication is altered."""
    s.start()
    s.d.sigterm()
    s.launch(point)
    s.up()
    yield
    s.db.execute("CREATE TABLE t2 (id int PRIMARY KEY, v text); INSERT INTO t2 SELECT i, 'v' FROM generate_series(1, 700) i")
    s.tables.append("t2")
    wait_until(lambda: s.died() or s.db.rows("SELECT FROM pg_publication_tables WHERE tablename = 't2'"), "it is published")
    s.db.execute("UPDATE t2 SET v = 'w' WHERE id < 10")
    s.wait()
    yield


def many_rows(s, point):
    """A seed and a stream in batches that are large enough for the faster ways of a target."""
    s.db.execute("CREATE TABLE many (id int PRIMARY KEY, v text); INSERT INTO many SELECT i, 'v' FROM generate_series(1, 2000) i")
    s.d.write_rules("- {name: many, table: public.many, target: target}", "20-many.yaml")
    s.tables.append("many")
    s.launch(point)
    yield
    s.up()
    s.wait()
    yield
    for turn in range(1, 4):
        s.db.execute("INSERT INTO many SELECT i, 'w' FROM generate_series(2000 * %s + 1, 2000 * %s) i", turn, turn + 1)
        s.wait()
        yield


def shared_rows(s, point):
    """A stream whose large batches several sessions share."""
    s.d.targets["target"] += "\napply: parallel\nworkers: 2"
    s.d.write_config()
    s.d.write_rules(RULES.replace("rows: 50", "rows: 1000") % "dead_letter")
    s.start()
    s.db.execute("UPDATE t SET n = 1 WHERE id = 1")
    s.wait()
    s.d.sigterm()
    s.launch(point)
    s.up()
    for turn in range(1, 5):
        s.db.execute("UPDATE t SET n = %s, v = v || 'x'", turn)
        s.db.execute("DELETE FROM t WHERE id %% 50 = %s", turn)
        s.wait()
        yield


def gap(s, point):
    """Somebody takes a table out of the publication, and changes it before walmill puts it back."""
    s.start()
    s.d.sigterm()
    s.launch(point)
    s.up()
    yield
    # The new column has walmill look.
    s.db.execute("ALTER PUBLICATION walmill_shop DROP TABLE t; UPDATE t SET n = 7 WHERE id < 100; ALTER TABLE t ADD more int")
    wait_until(lambda: s.died() or s.db.rows("SELECT FROM pg_publication_tables WHERE tablename = 't'"), "it is published")
    s.db.execute("UPDATE t SET n = 8 WHERE id < 50")
    s.wait()
    yield


def second_life(s, point):
    """After a teardown the views are emptied and seeded again."""
    s.start()
    s.d.sigterm()
    s.d.run("teardown")
    s.db.execute("DELETE FROM t WHERE id < 500; INSERT INTO t VALUES (9000, 1, 'new')")
    s.launch(point)
    s.up()
    s.wait()
    yield


def prepared(s, point):
    """Transactions are prepared, and end when others have been acknowledged, or at once."""
    s.d.sources["shop"] += "\ntwo_phase: true"
    s.d.write_config()
    s.start()
    s.d.sigterm()
    s.launch(point)
    s.up()
    yield
    for turn in range(4):
        s.prepare(f"{turn} committed", f"UPDATE t SET n = n + 1 WHERE id % 7 = {turn}")
        s.prepare(f"{turn} rolled back", f"DELETE FROM t WHERE id > 2000 AND id % 9 = 0 AND id % 7 = {turn + 2}; "
                  f"UPDATE m SET secret = 'never' WHERE id = {turn + 1}")
        s.db.execute(f"INSERT INTO t VALUES ({6000 + turn}, 1, 'meanwhile')")
        s.wait()
        yield
        s.end_prepared(commit)
        s.end_prepared(rollback)
        s.wait()
        yield
        s.prepare(f"{turn} at once", f"INSERT INTO t SELECT i, 1, 'a' FROM generate_series({7000 + turn * 100}, {7050 + turn * 100}) i")
        s.end_prepared(commit)
    s.wait()
    yield


def slot_lost(s, point):
    """The slot is gone, and with it what happened since: a new one is made and all is seeded again."""
    s.d.sources["shop"] += "\non_slot_lost: seed"
    s.d.write_config()
    s.start()
    s.d.sigterm()
    s.db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    s.db.execute("DELETE FROM t WHERE id < 500; UPDATE t SET n = 3 WHERE id < 900; INSERT INTO t VALUES (9000, 1, 'new')")
    s.launch(point)
    yield
    s.up()
    s.db.execute("UPDATE t SET n = 4 WHERE id < 700")
    s.wait()
    wait_until(lambda: s.died() or "slot_replaced" in s.d.log(), "it is done", 60)
    yield


def target_left(s, point):
    s.d.targets["other"] = "type: sqlite\npath: other.db"
    s.d.write_config()
    s.d.write_rules("- {name: also, table: public.t, target: other}", "20-other.yaml")
    s.start()
    s.d.sigterm()
    del s.d.targets["other"]
    s.d.write_config()
    s.d.write_rules(None, "20-other.yaml")
    s.launch(point)
    s.up()
    yield


def _other_slots(before, after):
    def run(s, point):
        s.set_slots(before)
        s.start()
        s.d.sigterm()
        s.db.execute("DELETE FROM t WHERE id < 500; UPDATE t SET n = 3 WHERE id < 900; INSERT INTO t VALUES (9000, 1, 'new')")
        s.set_slots(after)
        s.launch(point)
        yield
        s.up()
        s.db.execute("UPDATE t SET n = 4 WHERE id < 700")
        s.wait()
        yield
    return run


more_slots = _other_slots(1, SLOTS)
more_slots.__name__ = "more_slots"
fewer_slots = _other_slots(SLOTS, 1)
fewer_slots.__name__ = "fewer_slots"


def teardown(s, point):
    s.start()
    s.d.sigterm()
    s.command(point, "teardown")
    yield


def died_before(first, scenario=None):
    """Dies at `first`, and at the point in the life after that."""
    def run(s, point):
        for _ in (scenario or first_start)(s, first):
            if s.died():
                break
        wait_until(s.died, f"it dies at {first}")
        s.d.process.wait(30)
        s.d.process = None
        s.launch(point)
        yield
        s.up()
        s.wait()
        yield

    run.__doc__ = f"After a death at {first}."
    return run


# ---- the journal's files ----

def torn_journal(s, point):
    """Its last file ends with half a frame, and the next has no head."""
    s.start()
    s.d.sigkill()
    last = s.journal_files()[-1]
    with open(last, "ab") as file:
        file.write(b"torn" * 5)
    last.with_name(f"{int(last.name, 16) + 1:016x}").write_bytes(b"no head")
    s.launch(point)
    s.up()
    yield


def short_journal(s, point):
    """Its last file lost what every target has: the journal begins again."""
    s.start()
    s.db.execute("UPDATE t SET n = n + 1")
    s.d.wait()
    # What the target does not have and the source was told is safe must not be lost: that would be refused.
    wait_until(lambda: s.d.target("target")["applied_lsn"] == s.d.status()["sources"][0]["acknowledged_lsn"], "all is told")
    s.d.sigterm()
    last = s.journal_files()[-1]
    with open(last, "ab") as file:
        file.truncate(last.stat().st_size // 2)
    s.launch(point)
    s.up()
    yield


def disk_error(s, point):
    """The journal's disk refuses to sync, from its next file on or under load."""
    s.disk_refuses("")
    s.start()
    s.d.sigterm()
    s.control.write_text("fsync" if "deleted" in point else "")
    s.launch(point)
    s.up()
    yield
    s.control.write_text("fsync")
    for turn in range(5):
        s.db.execute("UPDATE t SET n = n + 1 WHERE id %% 5 = %s", turn)
        yield


def unused_journal(s, point):
    """`journal: off` over files that no target needs."""
    off = s.d.settings
    s.d.settings = SETTINGS
    s.d.write_config()
    s.start()
    s.d.sigterm()
    s.d.settings = off
    s.d.write_config()
    s.launch(point)
    s.up()
    yield
