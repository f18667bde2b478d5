# SPDX-License-Identifier: PostgreSQL
"""`slots: N`: a source's tables shared out among lanes, each with a slot of its own; and how they go from lane to lane."""

import pytest
from walmill_testing import run_walmill, wait_until

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
            since = len(d.log())
            set_slots(d, number)
            d.sighup()
            d.wait_log(" reloaded:", since)
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
