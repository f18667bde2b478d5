# SPDX-License-Identifier: PostgreSQL
"""`slots: N`: a source's tables shared out among lanes, each with a slot of its own; and how they go from lane to lane."""

import pytest
from walmill_testing import run_walmill, wait_until
from walmill_testing.compare import differences
from walmill_testing.zoho_view import ZohoView

TABLES = [f"t{i}" for i in range(1, 10)] + ["parted"]
MAKE = "".join(f"CREATE TABLE {t} (id int PRIMARY KEY, v text); INSERT INTO {t} SELECT i, 'v' || i "
               f"FROM generate_series(1, 500) i; " for t in TABLES if t != "parted") + """
    CREATE TABLE parted (id int, region int, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
    CREATE TABLE parted0 PARTITION OF parted FOR VALUES IN (0);
    CREATE TABLE parted1 PARTITION OF parted FOR VALUES IN (1);
    INSERT INTO parted SELECT i, i % 2, 'p' FROM generate_series(1, 300) i;"""
BOTH = "- {name: all, table: public.*, target: lite}\n- {name: dw, table: public.*, target: dw}"


def change(db, tag, low):
    """Rows come, go and change in each table, one transaction for each."""
    for t in TABLES:
        db.execute(f"INSERT INTO {t} SELECT i{', 0' if t == 'parted' else ''}, '{tag}' FROM generate_series({low}, "
                   f"{low + 20}) i; UPDATE {t} SET v = '{tag}' WHERE id % 7 = 0; DELETE FROM {t} WHERE id % 50 = {low % 50}")


def block(db, slots, more=""):
    return f"uri: {db.uri}\ndiscover: 200ms\nslots: {slots}\n{more}"


def set_slots(d, slots, more=""):
    d.sources = {"shop": block(d.source_db, slots, more)}
    d.write_config()


def lanes(db):
    """Which tables each publication has."""
    found = {}
    for name, table in db.rows("SELECT p.pubname, c.relname FROM pg_publication p LEFT JOIN pg_publication_rel r "
                               "ON r.prpubid = p.oid LEFT JOIN pg_class c ON c.oid = r.prrelid ORDER BY 1, 2"):
        if not name.endswith("_inserts"):
            found.setdefault(name, set()).add(table)
    return {name: tables - {None} for name, tables in found.items()}


def slots(db):
    return [name for name, in db.rows("SELECT slot_name FROM pg_replication_slots WHERE database = current_database() "
                                      "ORDER BY 1")]


NAMES = ["walmill_shop", "walmill_shop_2", "walmill_shop_3"]


@pytest.fixture
def laned(db, both, daemon):
    def make(number=3, rules=BOTH, targets=None, settings="", more=""):
        db.execute(MAKE)
        return daemon(rules, targets=targets or both, settings=settings,
                      sources={"shop": block(db, number, more)}).start()

    return make


@pytest.mark.parametrize("journal", ["", "journal: off"], ids=["journal", "no-journal"])
def test_seed_and_stream(db, laned, journal):
    d = laned(settings=journal)
    d.same(*TABLES)
    found = lanes(db)
    assert sorted(found) == NAMES and slots(db) == NAMES
    assert sorted(t for tables in found.values() for t in tables) == sorted(TABLES)
    assert all(found.values()), "each lane has something to do"
    change(db, "first", 1000)
    d.same(*TABLES)
    # One rule is one rule: its numbers are those of all lanes.
    rule = d.rule("all")
    assert rule["state"] == "streaming" and rule["source"] == "shop"
    assert rule["rows_seeded"] == 9 * 500 + 300 and rule["inserts"] == 21 * 10
    assert [s["name"] for s in d.status()["sources"]] == ["shop", "shop/2", "shop/3"]
    assert [s["slot_name"] for s in d.status()["sources"]] == NAMES
    assert "shop/3" in d.run("status").stdout and 'source="shop/3"' in d.metrics()
    d.restart()
    change(db, "second", 2000)
    d.same(*TABLES)
    assert "table_taken_over" not in d.log() and d.rule("all")["rows_seeded"] == 9 * 500 + 300
    d.sigterm()


@pytest.mark.parametrize("reload", [False, True], ids=["restart", "reload"])
def test_more_and_fewer(db, laned, reload):
    d = laned(1)
    d.same(*TABLES)
    assert slots(db) == NAMES[:1]
    for number, low in ((3, 1000), (2, 2000), (3, 3000), (1, 4000), (3, 5000), (1, 6000)):
        change(db, f"before {number}", low)
        if reload:
            set_slots(d, number)
            d.reload()
            change(db, f"while {number}", low + 100)
        else:
            d.sigterm()
            set_slots(d, number)
            change(db, f"while {number}", low + 100)
            d.start()
        wait_until(lambda n=number: len(d.status()["sources"]) == n, "the lanes are there")
        d.same(*TABLES)
        wait_until(lambda n=number: slots(db) == NAMES[:n], "the slots are those of the lanes")
        wait_until(lambda n=number: sorted(lanes(db)) == NAMES[:n], "and so are the publications")
        change(db, f"after {number}", low + 200)
        d.same(*TABLES)
    d.sigterm()


def test_a_table_that_stays_is_not_seeded_again(db, laned):
    d = laned(1, "- {name: all, table: public.*, target: dw}")
    d.same(*TABLES, target="dw")
    d.sigterm()
    set_slots(d, 2)
    d.start()
    d.same(*TABLES, target="dw")
    moved = lanes(db)["walmill_shop_2"]
    assert 0 < len(moved) < len(TABLES)
    assert d.log().count("table_taken_over") == len(moved)
    assert all(f"public.{t} " in d.log().split("table_taken_over", 1)[1] for t in moved)
    d.sigterm()


# ---- one rule, several lanes ----

CHECKED = "- {name: all, table: public.*, target: lite, columns: {check: {v: \"v <> 'bad'\"}}, on_error: dead_letter}"


def test_pause_and_resume(db, laned):
    d = laned()
    d.same(*TABLES)
    d.run("pause", "all")
    assert d.rule("all")["state"] == "paused" and d.rule("dw")["state"] == "streaming"
    change(db, "paused", 1000)
    d.run("wait", "--timeout", "20", expect=1)
    wait_until(lambda: not d.differences("t1", "dw"), "the other rule goes on")
    assert all(d.differences(t, "lite") for t in TABLES)
    # It stays paused for tables that go to other lanes, and for those that come back.
    for number in (5, 1):
        d.sigterm()
        set_slots(d, number)
        d.start()
        change(db, f"paused in {number}", 2000 * number)
        assert d.rule("all")["state"] == "paused"
        wait_until(lambda: not any(d.differences(t, "dw") for t in TABLES), "the other rule goes on")
        assert all(d.differences(t, "lite") for t in TABLES)
    d.run("resume", "all")
    d.same(*TABLES)
    assert d.rule("all")["state"] == "streaming"
    d.sigterm()


def test_row(db, laned):
    d = laned(rules="- {name: all, table: public.*, target: lite}\n"
              + "\n".join(f"- {{name: dw-{t}, table: public.{t}, target: dw}}" for t in TABLES))
    d.same(*TABLES)
    for t in TABLES:
        key = "region=0" if t == "parted" else "id=7"
        d.reader("lite").execute(f"UPDATE {t} SET v = 'spoilt' WHERE id IN (6, 7)")
        d.reader("dw").execute(f"UPDATE {t} SET v = 'spoilt' WHERE id IN (6, 7)")
        for number in (6, 7):
            keys = ["id=%d" % number] + (["region=%d" % (number % 2)] if key != "id=7" else [])
            d.run("row", "all", *keys, "--table", f"public.{t}")
            d.run("row", f"dw-{t}", *keys)
    d.same(*TABLES)
    assert "takes several tables" in d.run("row", "all", "id=7", expect=1).stderr
    assert "takes no table public.nowhere" in d.run("row", "all", "id=7", "--table", "public.nowhere", expect=1).stderr
    d.sigterm()


def test_dead_letters(db, laned):
    d = laned(rules=CHECKED + "\n- {name: dw, table: public.*, target: dw}")
    d.same(*TABLES)
    for t in TABLES:
        db.execute(f"UPDATE {t} SET v = 'bad' WHERE id IN (20, 30)")
    d.wait()
    assert d.rule("all")["dead_letters"] == 2 * len(TABLES)
    assert {e["source"] for e in d.errors()} == {"shop"}
    tried = d.run("errors retry", "--json", expect=None).stdout
    assert f'"failed":{2 * len(TABLES)}' in tried.replace(" ", "").replace("\t", "").replace("\n", "")
    assert "another source" not in tried and "is not written" not in tried
    # They go with their tables to other lanes, and are void when the rows are good again.
    d.sigterm()
    set_slots(d, 2)
    d.start()
    d.wait()
    assert d.rule("all")["dead_letters"] == 2 * len(TABLES)
    for t in TABLES:
        db.execute(f"UPDATE {t} SET v = 'good' WHERE id IN (20, 30)")
    d.same(*TABLES)
    wait_until(lambda: d.rule("all")["dead_letters"] == 0, "all are void")
    d.sigterm()


def test_a_lane_that_loses_its_slot(db, laned):
    d = laned(more="on_slot_lost: seed\n")
    d.same(*TABLES)
    d.sigterm()
    db.execute("SELECT pg_drop_replication_slot('walmill_shop_2')")
    change(db, "unseen", 1000)
    d.start()
    d.same(*TABLES)
    assert d.log().count("ERROR slot_lost:") == 1 and slots(db) == NAMES
    d.sigterm()


# ---- tables, views and rules that change ----

def test_renamed(db, laned):
    d = laned()
    d.same(*TABLES)
    before = lanes(db)
    for i, t in enumerate(("t1", "t2", "t3")):
        db.execute(f"UPDATE {t} SET v = 'before'; ALTER TABLE {t} RENAME TO renamed{i}; INSERT INTO renamed{i} VALUES "
                   f"(9000, 'after'); DELETE FROM renamed{i} WHERE id < 100")
    wait_until(lambda: sum(len(x) for x in lanes(db).values()) == len(TABLES), "the new names are published")
    d.wait()
    d.same("renamed0", "renamed1", "renamed2", *TABLES[3:])
    for i, t in enumerate(("t1", "t2", "t3")):
        db.execute(f"INSERT INTO renamed{i} VALUES (9001, 'x'); ALTER TABLE renamed{i} RENAME TO {t}; "
                   f"INSERT INTO {t} VALUES (9002, 'back'); DELETE FROM {t} WHERE id > 400 AND id < 500")
    wait_until(lambda: lanes(db) == before, "they are where they were")
    d.same(*TABLES)
    d.sigterm()


def test_a_view_that_another_lane_takes_over(db, laned):
    """Tables of different lanes for one view: the first has it, and the next when that is gone."""
    d = laned(rules="- {name: one, table: [public.t1, public.t2, public.t3], view: v, target: dw}\n"
              "- {name: lite, table: public.*, target: lite}")
    where = {t: name for name, tables in lanes(db).items() for t in tables}
    assert len({where[t] for t in ("t1", "t2", "t3")}) == 3
    wait_until(lambda: "v" in d.reader("dw").tables(), "the view is there")
    wait_until(lambda: d.rows("SELECT count(*) FROM v", "dw") == [(500,)], "the first table has it")
    for gone, following in (("t1", "t2"), ("t2", "t3")):
        db.execute(f"UPDATE {gone} SET v = 'late'; DELETE FROM {following} WHERE id <= 200; "
                   f"UPDATE {following} SET v = '{following}'; DROP TABLE {gone}")
        wait_until(lambda f=following: d.rows("SELECT count(*), min(v), max(v) FROM v", "dw") == [(300, f, f)],
                   "the next has it", 30)
        db.execute(f"INSERT INTO {following} VALUES (9999, 'new')")
        wait_until(lambda f=following: not d.differences(f, "dw", view="v"), "and it is followed", 30)
    d.sigterm()


def test_what_cannot_be_seeded_again_stays(db, laned):
    d = laned(1, "- {name: log, table: public.t2, view: log, mode: append, target: dw}\n"
              "- {name: never, table: public.t4, view: never, target: dw, seed: {mode: never}}\n"
              "- {name: rest, table: public.*, target: lite}")
    db.execute("UPDATE t2 SET v = 'one' WHERE id <= 10; UPDATE t4 SET v = 'one' WHERE id <= 10")
    d.same(*TABLES, target="lite")
    d.sigterm()
    db.execute("UPDATE t2 SET v = 'two' WHERE id <= 10; UPDATE t4 SET v = 'two' WHERE id <= 10")
    set_slots(d, 3)
    d.start()
    d.same(*TABLES, target="lite")
    assert {"t2", "t4"} <= lanes(db)["walmill_shop"]
    assert d.rows("SELECT count(*) FROM log WHERE v IN ('one', 'two')", "dw") == [(20,)]
    assert d.rows("SELECT count(*) FROM never WHERE v = 'two'", "dw") == [(10,)]
    # Without such a rule a table goes where it belongs.
    d.write_rules("- {name: rest, table: public.*, target: lite}")
    d.restart()
    change(db, "later", 1000)
    d.same(*TABLES, target="lite")
    assert not {"t2", "t4"} & lanes(db)["walmill_shop"]
    d.write_rules("- {name: log, table: public.t2, view: log, mode: append, target: dw}\n"
                  "- {name: rest, table: public.*, target: lite}")
    d.restart()
    change(db, "again", 2000)
    d.same(*TABLES, target="lite")
    assert "t2" in lanes(db)["walmill_shop"]
    d.sigterm()


# ---- what is left at the source ----

def test_unmanaged(db, laned):
    db.execute(MAKE.split("CREATE TABLE parted", maxsplit=1)[0])
    for name in NAMES[:2]:
        db.execute(f"CREATE PUBLICATION {name} FOR ALL TABLES WITH (publish_via_partition_root)")
        db.execute(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
    db.execute("DROP TABLE " + ", ".join(TABLES[:-1]))
    d = laned(2, more="manage: false\n")
    d.same(*TABLES)
    for number, low in ((1, 1000), (2, 2000), (1, 3000)):
        d.sigterm()
        set_slots(d, number, "manage: false\n")
        change(db, f"to {number}", low)
        d.start()
        d.same(*TABLES)
        assert slots(db) == NAMES[:2]
    assert "SELECT pg_drop_replication_slot('walmill_shop_2')" in d.log()
    db.execute("SELECT pg_drop_replication_slot('walmill_shop_2')")
    d.restart()
    set_slots(d, 2, "manage: false\n")
    assert "does not exist" in run_walmill("check", "-c", d.config, expect=1).stdout
    d.sigterm()


def test_check_and_teardown(db, laned):
    d = laned()
    d.same(*TABLES)
    found = run_walmill("check", "-c", d.config).stdout
    assert all(f'slot "{name}" exists' in found for name in NAMES) and "1 sources" in found
    set_slots(d, 16)
    found = run_walmill("check", "-c", d.config, expect=None).stdout
    assert "13 more replication slots are needed" in found or "replication slots are free" in found
    d.sigterm()
    # Also what lanes left that the daemon has not seen go.
    set_slots(d, 1)
    run_walmill("teardown", "-c", d.config)
    assert not slots(db) and not lanes(db)
    change(db, "unseen", 1000)
    d.start()
    d.same(*TABLES)
    d.sigterm()


@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
def test_a_lane_comes_back_before_it_was_cleared(db, laned, down):
    """The source is away while `slots` is lower: what the lane had is of no use when it is raised again."""
    d = laned()
    d.same(*TABLES)
    d.sigterm()
    if down:
        db.cluster.stop()
    set_slots(d, 1)
    d.launch()
    if down:
        wait_until(lambda: d.try_status() is not None, "it runs")
        d.sigterm()
        db.cluster.start()
        db.close()
    else:
        d.sigkill()
    change(db, "unseen", 1000)
    set_slots(d, 3)
    d.start()
    d.same(*TABLES)
    d.sigterm()


@pytest.mark.parametrize("how", ["target-away", "killed"])
def test_a_lane_that_never_learnt_that_its_table_went(db, laned, other_pg, how):
    """2, 3, 2: the lane that has the table first and last is not heard of at the target in between."""
    away = other_pg.create_database()
    d = laned(2, "- {name: all, table: public.*, target: dw}", targets={"dw": f"type: postgres\nuri: {away.uri}"})
    d.same(*TABLES)
    db.execute("INSERT INTO t3 SELECT i, repeat('x', 100) FROM generate_series(10000, 40000) i")
    d.same(*TABLES)
    d.sigterm()
    set_slots(d, 3)
    db.execute("DELETE FROM t3 WHERE id % 3 = 0; UPDATE t5 SET v = 'seen by nobody'")
    if how == "target-away":
        other_pg.stop()
        d.launch()
        wait_until(lambda: "t3" in lanes(db).get("walmill_shop_3", ()), "the third lane has it")
        wait_until(lambda: "t3" not in lanes(db)["walmill_shop"], "and the first has it no more")
        change(db, "unseen", 1000)
        d.sigterm()
        other_pg.start()
    else:
        d.launch()
        wait_until(lambda: "table_taken_over" in d.log(), "it begins")
        d.sigkill()
        change(db, "unseen", 1000)
    set_slots(d, 2)
    d.start()
    d.same(*TABLES)
    change(db, "after", 2000)
    d.same(*TABLES)
    d.sigterm()


def test_a_target_that_keeps_no_bookmarks(db, laned, zoho):
    """They are in the state then, and go with a lane's record."""
    zoho.set(rate_bulk=0, rate_dml=0, rate_overall=0)
    block = zoho.target(flush_interval="100ms", imports_per_minute=1000, row_calls_per_minute=1000, calls_per_minute=1000)
    tables = ["t1", "t2", "t3"]
    d = laned(3, "- {name: all, table: [public.t1, public.t2, public.t3], target: zoho}", targets={"zoho": block})

    def same():
        d.wait(100)
        for t in tables:
            found = differences(db.main, t, ZohoView(zoho))
            assert not found, "\n".join(found)

    same()
    for number, low in ((1, 1000), (3, 2000)):
        d.sigterm()
        set_slots(d, number)
        change(db, f"to {number}", low)
        d.start()
        same()
        change(db, f"in {number}", low + 100)
        same()
    d.sigterm()
