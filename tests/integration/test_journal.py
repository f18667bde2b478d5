# SPDX-License-Identifier: PostgreSQL
"""The durable journal: a target that is away holds up nobody, and what the source was told is safe."""

import pytest
from walmill_testing import wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i"
RULES = "- {name: a, table: public.t, target: lite}\n- {name: b, table: public.t, target: dw}"
CHANGES = "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series({0}, {0} + 2000) i; UPDATE t SET v = v || 'y' " \
    "WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0"


def position(db):
    return db.value("SELECT pg_current_wal_lsn() - '0/0'")


def journal(d):
    return [each for each in (d.folder / "state/journal/shop").glob("*") if each.is_file()]


class Away:
    """A daemon with two targets, of which one is away."""

    def __init__(self, db, server, daemon, settings="", more=""):
        self.db = db
        self.server = server
        self.database = server.create_database()
        db.execute(TABLE)
        self.d = daemon(RULES + more, settings=settings, targets={
            "lite": "type: sqlite\npath: lite.db", "dw": f"type: postgres\nuri: {self.database.uri}"}).start()
        self.d.same("t")
        self.leave()

    def leave(self):
        self.database.close()
        self.server.stop()

    def come_back(self):
        self.server.start()

    def lite_is_the_same(self):
        """`wait` would wait for the other, too."""
        wait_until(lambda: not self.d.differences("t", "lite"), "the target that is there has everything", 60)


@pytest.fixture
def away(db, other_pg, daemon):
    made = []

    def make(**options):
        made.append(Away(db, other_pg, daemon, **options))
        return made[-1]

    yield make
    if other_pg.server is None:
        other_pg.start()
    for each in made:
        each.d.destroy()
        each.database.drop()


def test_a_target_that_is_away_holds_up_nobody(away, db):
    a = away()
    for i in range(5):
        db.execute(CHANGES.format(1000 + 3000 * i))
        a.lite_is_the_same()
    lsn = position(db)
    wait_until(lambda: db.slot()["confirmed"] >= lsn, "the source lets its WAL go", 30)
    assert a.d.target("dw")["state"] == "retrying"
    source = a.d.status()["sources"][0]
    assert source["journal_state"] == "ok" and source["journal_bytes"] > 1 << 20
    # What is kept for it outlives the daemon, however that ends.
    a.d.sigkill()
    a.d.start()
    db.execute(CHANGES.format(100000))
    a.d.restart()
    a.lite_is_the_same()
    a.come_back()
    a.d.same("t")
    wait_until(lambda: len(journal(a.d)) <= 3, "the files go when nobody needs them")
    a.d.sigterm()


def test_at_the_bound_it_stops_acknowledging_and_drops_nothing(away, db):
    a = away(settings="journal: {max_bytes: 8MiB}\nmemory: 4MiB")
    for i in range(10):
        db.execute(CHANGES.format(1000 + 3000 * i))
    wait_until(lambda: a.d.status()["sources"][0]["journal_state"] == "full", "the bound is reached", 60)
    assert "journal_full" in a.d.log()
    assert sum(each.stat().st_size for each in journal(a.d)) <= 8 << 20
    assert db.slot()["confirmed"] < position(db)
    assert 'walmill_source_journal_state{source="shop",state="full"} 1' in a.d.metrics()
    a.d.sigkill()
    a.d.start()
    a.come_back()
    a.d.same("t")
    wait_until(lambda: a.d.status()["sources"][0]["journal_state"] == "ok", "there is room again")
    lsn = position(db)
    wait_until(lambda: db.slot()["confirmed"] >= lsn, "the slot follows again", 30)
    a.d.sigterm()


@pytest.mark.parametrize("away_at_the_end", [False, True])
def test_trap_19_a_transaction_larger_than_the_journal(away, db, away_at_the_end):
    """Its beginning is gone before it ends; should a target fail then, the source still has it."""
    a = away(settings="journal: {max_bytes: 8MiB}\nmemory: 4MiB")
    a.come_back()
    a.d.same("t")
    db.execute("INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1000, 60000) i")
    if away_at_the_end:
        wait_until(lambda: a.d.status()["sources"][0]["changes"] > 30000, "it is under way")
        a.leave()
        a.d.sigkill()
        a.d.start()
        a.come_back()
    a.d.same("t")
    a.d.sigterm()


def break_off(d, db):
    """A transaction whose beginning is in the journal when the daemon is killed."""
    before = d.status()["sources"][0]["changes"]
    db.execute("INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1000, 120000) i")
    wait_until(lambda: d.status()["sources"][0]["changes"] > before + 1000, "it is under way", 30)
    d.sigkill()
    d.start()


OTHER = "CREATE TABLE u (id int PRIMARY KEY, v text)"


@pytest.mark.parametrize("table", ["t", "u"])
def test_a_broken_transaction_behind_whole_ones(away, db, table):
    """A target that lags meets it later; it takes what came before, be it for this target or for none of its rules."""
    db.execute(OTHER)
    a = away(more="\n- {name: c, table: public.u, target: lite}")
    for i in range(3):
        db.execute(f"INSERT INTO {table} VALUES ({500 + i}, 'whole')")
    a.lite_is_the_same()
    break_off(a.d, db)
    a.come_back()
    a.d.same("t")
    a.d.sigterm()


def test_a_broken_transaction_before_a_resumed_rule(daemon, db):
    """What comes again for one rule only lies before what the target has: it is waited for nevertheless."""
    db.execute(TABLE)
    db.execute(OTHER)
    d = daemon("- {name: a, table: public.t}\n- {name: b, table: public.u}").start()
    d.wait()
    d.run("pause", "a")
    for i in range(3):
        db.execute(f"INSERT INTO t VALUES ({500 + i}, 'whole')")
        db.execute(f"INSERT INTO u VALUES ({i}, 'not paused')")
    wait_until(lambda: not d.differences("u"), "the other rule goes on")
    break_off(d, db)
    d.run("resume", "a")
    d.same("t", "u")
    d.sigterm()


def test_switched_off_and_on_again(away, db):
    a = away()

    def start_with(settings):
        a.d.settings = settings
        a.d.write_config()
        a.d.start()

    db.execute(CHANGES.format(1000))
    a.lite_is_the_same()
    lsn = position(db)
    wait_until(lambda: db.slot()["confirmed"] >= lsn, "the source lets its WAL go", 30)
    a.d.sigterm()
    # Without it the target that is away could not be served.
    mark = len(a.d.log())
    a.come_back()
    start_with("journal: off")
    wait_until(lambda: a.d.target("dw")["state"] == "failed", "the target is refused")
    assert "journal: off" in a.d.log()[mark:] and "journal: off" in a.d.target("dw")["last_error"]
    db.execute("INSERT INTO t VALUES (900, 'x')")
    a.lite_is_the_same()
    a.d.sigkill()
    start_with("")
    a.d.same("t")
    a.d.sigterm()
    start_with("journal: off")
    db.execute(CHANGES.format(10000))
    a.d.same("t")
    assert journal(a.d) == []
    assert a.d.status()["sources"][0]["journal_state"] == "off"
    a.d.sigterm()
    start_with("")
    db.execute(CHANGES.format(20000))
    a.d.same("t")
    a.d.sigterm()


def test_files_that_were_taken_away(away, db):
    """Never a silent gap: the target that was behind cannot be served, and the daemon says so."""
    a = away()
    db.execute(CHANGES.format(1000))
    a.lite_is_the_same()
    lsn = position(db)
    wait_until(lambda: db.slot()["confirmed"] >= lsn, "the source lets its WAL go", 30)
    a.d.sigterm()
    for each in journal(a.d):
        each.unlink()
    a.come_back()
    a.d.start()
    wait_until(lambda: a.d.target("dw")["state"] == "failed", "the target is refused")
    assert "teardown" in a.d.target("dw")["last_error"]
    a.d.sigkill()
    a.d.run("teardown")
    a.d.start()
    a.d.same("t")
    a.d.sigterm()
    a.d.run("teardown")
    assert not (a.d.folder / "state/journal/shop").exists()


def test_a_target_that_had_left_is_seeded_again(db, daemon, both):
    """What it missed was kept for nobody."""
    db.execute(TABLE)
    d = daemon(RULES, targets=both).start()
    d.same("t")
    dw = d.targets.pop("dw")
    d.write_config()
    d.write_rules("- {name: a, table: public.t, target: lite}")
    d.restart()
    db.execute(CHANGES.format(1000))
    d.same("t")
    d.targets["dw"] = dw
    d.write_config()
    d.write_rules(RULES)
    mark = len(d.log())
    d.restart()
    d.same("t")
    assert "target_of_older_slot" in d.log()[mark:]
    d.sigterm()


@pytest.mark.parametrize("what, state", [("fsync", "failed"), ("write", "failed"), ("space", "no_space")])
def test_trap_01_a_disk_that_refuses(db, daemon, both, disk_errors, tmp_path, what, state):
    """Nothing is acknowledged that is not safe, and what was not is asked for again."""
    control = tmp_path / "control"
    control.write_text("")
    db.execute(TABLE)
    d = daemon(RULES, targets=both, env={"LD_PRELOAD": str(disk_errors), "WM_DISK_ERRORS": str(control)}).start()
    db.execute(CHANGES.format(1000))
    d.same("t")
    lsn = position(db)
    wait_until(lambda: db.slot()["confirmed"] >= lsn, "all is safe", 30)
    control.write_text(what)
    for i in range(3):
        db.execute(CHANGES.format(10000 + 3000 * i))
    wait_until(lambda: f"journal_{state}" in d.log(), "the error is told")
    assert db.slot()["confirmed"] < position(db)
    held = db.slot()["confirmed"]
    db.execute("INSERT INTO t VALUES (0, 'x')")
    wait_until(lambda: not d.differences("t", "lite"), "targets go on while the disk does not", 60)
    assert db.slot()["confirmed"] == held
    d.sigkill()
    d.start()
    control.write_text("")
    d.same("t")
    lsn = position(db)
    wait_until(lambda: db.slot()["confirmed"] >= lsn, "all is safe again", 60)
    d.sigkill()
    d.start()
    d.same("t")
    d.sigterm()
