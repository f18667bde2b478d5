# SPDX-License-Identifier: PostgreSQL
"""Seeds whose rows nobody looks into: from the source's COPY to the target's, in binary form, range by range."""

import random
import re

import pytest
from test_types import columns  # noqa: F401
from walmill_testing import wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i % 7, md5(i::text) FROM generate_series(1, 20000) i"


class Watched:
    """A daemon with a postgres target, and what the target's server was told since."""

    def __init__(self, daemon, pg, dw, rules="- table: public.t", **options):
        dw.execute(f"ALTER DATABASE {dw.name} SET log_statement = 'all'")
        self.log, self.since = pg.log, pg.log.stat().st_size
        self.daemon = daemon(rules, targets={"dw": f"type: postgres\nuri: {dw.uri}"}, **options)

    def copies(self, table="t"):
        """How many ranges were passed, and how many batches of rows went by COPY, since the last call."""
        with open(self.log, "rb") as log:
            log.seek(self.since)
            text = log.read().decode(errors="replace")
        self.since += len(text.encode())
        found = re.findall(rf'COPY "public"\."{table}" \([^)]*\) FROM STDIN( \(FORMAT binary\))?', text)
        return sum(map(bool, found)), sum(not x for x in found)


@pytest.fixture
def watched(daemon, pg, dw):
    def make(*args, **options):
        return Watched(daemon, pg, dw, *args, **options)
    return make


def test_rows_pass(db, watched):
    db.execute(TABLE)
    w = watched("- {table: public.t, seed: {batch_rows: 3000}}")
    d = w.daemon.start()
    d.same("t")
    ranges, batches = w.copies()
    assert ranges > 3 and batches == 0
    rule = d.rule("t")
    assert rule["rows_seeded"] == rule["rows_read"] == 20000
    db.execute("UPDATE t SET n = n + 1 WHERE id % 5 = 0; DELETE FROM t WHERE id % 9 = 0; INSERT INTO t VALUES (-1, 1, 'x')")
    d.same("t")
    d.sigterm()


@pytest.mark.parametrize("rule", [
    "where: n < 5",
    "columns: {compute: {w: n + 1}}",
    "columns: {mask: {v: sha256}}",
    "columns: {translate: {v: {x: y}}}",
    "columns: {check: {n: n >= 0}}",
    "columns: {type: {n: bigint}}",
    "mode: append",
])
def test_a_rule_that_looks_into_rows(db, watched, rule):
    db.execute(TABLE)
    w = watched(f"- {{table: public.t, {rule}}}")
    d = w.daemon.start()
    d.wait()
    assert w.copies()[0] == 0
    assert d.rule("t")["rows_read"] == 20000
    d.sigterm()


def test_columns_chosen_renamed_and_marked(db, dw, watched):
    db.execute(TABLE)
    db.execute("ALTER TABLE t ADD secret text DEFAULT 's', ADD gone int; ALTER TABLE t DROP gone; ALTER TABLE t ADD last date DEFAULT '2024-02-29'")
    w = watched("- {table: public.t, on_delete: soft, columns: {exclude: [secret], rename: {n: number}}}")
    d = w.daemon.start()
    d.wait()
    assert w.copies()[0] > 0
    assert dw.rows("SELECT count(*) FROM t WHERE NOT _walmill_deleted") == [(20000,)]
    db.execute("DELETE FROM t WHERE id <= 10")
    d.wait()
    ours = dw.rows("SELECT id, number, v, last FROM t WHERE NOT _walmill_deleted ORDER BY id")
    assert ours == db.rows("SELECT id, n, v, last FROM t ORDER BY id")
    assert dw.rows("SELECT count(*) FROM t WHERE _walmill_deleted") == [(10,)]
    d.sigterm()


@pytest.mark.parametrize("made, condition", [
    ("CREATE TABLE t (id int PRIMARY KEY, n text, v text)", "true"),
    ("CREATE TABLE t (id int PRIMARY KEY, n bigint, v text)", "true"),
    ("CREATE TABLE t (id int UNIQUE, n int, v text)", "true"),
    ("CREATE TABLE t (id int PRIMARY KEY, n int, v varchar)", "true"),
    ("CREATE TABLE t (id int PRIMARY KEY, n int, v text, by text); "
     "CREATE FUNCTION sign() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.by = ''trigger''; RETURN NEW; END'; "
     "CREATE TRIGGER sign BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION sign()", "by = 'trigger'"),
])
def test_a_table_that_does_not_take_bytes(db, dw, watched, made, condition):
    db.execute(TABLE)
    dw.execute(made)
    w = watched()
    d = w.daemon.start()
    d.wait()
    assert w.copies()[0] == 0
    assert dw.rows(f"SELECT count(*) FROM t WHERE {condition}") == [(20000,)]
    assert dw.rows("SELECT id::int, n::int, v::text FROM t ORDER BY 1") == db.rows("SELECT * FROM t ORDER BY 1")
    d.sigterm()


def test_every_type(db, dw, watched, columns):  # noqa: F811
    """A table for each type: what passes, and what does not, is what the other way writes."""
    rng = random.Random(5)
    for name, (kind, values) in columns.items():
        db.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, c {kind})")
        for i, value in enumerate([*values, None] + [rng.choice(values) for _ in range(5)]):
            db.execute(f"INSERT INTO {name} VALUES ({i}, %s)", value)
    w = watched("- {table: public.*, view: 'pass_{table}'}\n- {table: public.*, name: looked, view: 'look_{table}', where: true}")
    d = w.daemon.start()
    d.wait()
    for name in columns:
        mine, theirs = (dw.rows(f"SELECT id, c::text FROM {x}_{name} ORDER BY id") for x in ("pass", "look"))
        assert mine == theirs == db.rows(f"SELECT id, c::text FROM {name} ORDER BY id"), name
    since = w.since
    passed = [name for name in columns if (setattr(w, "since", since), w.copies(f"pass_{name}"))[1][0]]
    assert len(passed) > 40 and not {"c_money", "c_xml", "c_regtype"} & set(passed)
    d.sigterm()


def test_rows_that_are_refused(db, dw, watched):
    db.execute(TABLE)
    dw.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text CHECK (v <> 'bad')); INSERT INTO t VALUES (777, 0, 'there')")
    db.execute("UPDATE t SET v = 'bad' WHERE id IN (5000, 15000)")
    w = watched("- {table: public.t, on_error: dead_letter, seed: {batch_rows: 3000}}")
    d = w.daemon.start()
    d.wait()
    assert w.copies()[0] > 0
    assert [(x["class"], x["key"]["id"]) for x in d.errors()] == [("row", "5000"), ("row", "15000")]
    d.same("t", where="v <> 'bad'")
    rule = d.rule("t")
    assert (rule["rows_read"], rule["rows_seeded"]) == (20000, 19998)
    d.sigterm()


def test_a_receipt_of_each_row(db, watched):
    db.execute("CREATE TABLE t (a bigint, b text, c uuid, d smallint, e bool, v text, PRIMARY KEY (a, b, c, d, e)); INSERT INTO t SELECT "
               "-i, 'b' || i, '01234567-89ab-cdef-0123-456789abcdef', i, true, md5(i::text) FROM generate_series(1, 3000) i")
    w = watched()
    d = w.daemon.start()
    d.wait()
    assert w.copies()[0] > 0
    keys = ["a=-77", "b=b77", "c=01234567-89ab-cdef-0123-456789abcdef", "d=77", "e=t"]
    assert " 3000 " in d.run("receipts", *[x for key in keys for x in ("--key", key)]).stdout
    assert " 3000 " not in d.run("receipts", *[x for key in ["a=-78", *keys[1:]] for x in ("--key", key)]).stdout
    d.sigterm()


def test_kill_in_the_middle_again_and_again(db, dw, watched):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i, md5(i::text) FROM generate_series(1, 150000) i")
    w = watched("- {table: public.t, seed: {batch_rows: 5000}}")
    d = w.daemon
    d.launch()
    for turn in range(1, 6):
        wait_until(lambda: dw.rows("SELECT to_regclass('t') IS NOT NULL") == [(True,)] and
                   dw.rows("SELECT count(*) FROM t")[0][0] >= turn * 15000, "some ranges are there")
        d.sigkill()
        db.execute(f"UPDATE t SET n = -n, v = repeat('x', 100) WHERE id % 11 = {turn}; DELETE FROM t WHERE id % 101 = {turn}; "
                   f"INSERT INTO t SELECT i, i, 'new' FROM generate_series({turn}000000, {turn}000100) i")
        d.launch()
    wait_until(d.ready, "the daemon streams")
    d.same("t")
    assert w.copies()[0] > 20
    d.sigterm()


def creation(w):
    """How the target's table was made, of what the server was told since."""
    with open(w.log, "rb") as log:
        log.seek(w.since)
        text = log.read().decode(errors="replace")
    made = re.search(r'CREATE TABLE "public"\."t" \((.*?)\); RELEASE', text, re.DOTALL).group(1)
    return "PRIMARY KEY" in made, 'ALTER TABLE "public"."t" ADD PRIMARY KEY ("id")' in text


def has_key(dw):
    return dw.rows("SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'p'") == [("t_pkey",)]


def test_the_key_comes_after_the_rows(db, dw, watched):
    db.execute(TABLE)
    w = watched()
    d = w.daemon.start()
    d.same("t")
    assert creation(w) == (False, True) and has_key(dw)
    db.execute("UPDATE t SET n = n + 1 WHERE id % 5 = 0; DELETE FROM t WHERE id % 9 = 0; INSERT INTO t VALUES (-1, 1, 'x')")
    d.same("t")
    d.sigterm()


@pytest.mark.parametrize("prepare, rules", [
    # A key that the source does not hold to; rows that are looked into.
    ("CREATE TABLE s (id int, n int, v text); INSERT INTO s SELECT * FROM t; ALTER TABLE s REPLICA IDENTITY FULL",
     "- {table: public.s, view: t, key: [id]}"),
    ("SELECT 1", "- {table: public.t, where: n >= 0}"),
])
def test_the_key_comes_with_the_table(db, dw, watched, prepare, rules):
    db.execute(TABLE)
    db.execute(prepare)
    w = watched(rules)
    d = w.daemon.start()
    d.same("t")
    assert creation(w)[0] and has_key(dw)
    d.sigterm()


def test_types_that_do_not_pass_have_their_key_at_once(db, dw, watched):
    db.execute(TABLE)
    db.execute("ALTER TABLE t ADD m money DEFAULT 7")
    w = watched("- {table: public.t, seed: {batch_rows: 3000}}")
    d = w.daemon.start()
    d.same("t")
    assert w.copies()[0] == 0 and has_key(dw)
    d.sigterm()


def test_a_row_of_somebody_else_before_the_key(db, dw, watched):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i, md5(i::text) FROM generate_series(1, 200000) i")
    w = watched("- {table: public.t, seed: {batch_rows: 2000, workers: 1}}")
    d = w.daemon
    d.launch()
    wait_until(lambda: dw.value("SELECT to_regclass('t') IS NOT NULL") and dw.value("SELECT count(*) FROM t") > 2000, "rows")
    dw.execute("INSERT INTO t SELECT id, -1, 'not ours' FROM t LIMIT 5")
    wait_until(d.ready, "the daemon streams")
    d.same("t")
    assert has_key(dw) and "cannot be made" in d.log()
    d.sigterm()


def test_status_says_how_long_it_will_take(db, dw, watched):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i, md5(i::text) FROM generate_series(1, 60000) i")
    db.execute("ANALYZE t")
    # A target that is slow, until it is told not to be.
    dw.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text); "
               "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END'; "
               "CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()")
    w = watched("- {table: public.t, seed: {batch_rows: 1000, workers: 1}, batch: {rows: 200}}")
    d = w.daemon.start()
    wait_until(lambda: d.rule("t")["seed_rows_per_s"] > 0, "a pace is known")
    rule = d.rule("t")
    assert rule["state"] == "seeding" and rule["seed_left_s"] > 1
    assert re.search(r"rule t: \d+% of 60,000 rows are read, [0-9,]+ rows/s, .* left", d.run("status").stdout)
    dw.execute("ALTER TABLE t DISABLE TRIGGER slow")
    d.same("t")
    rule = d.rule("t")
    assert (rule["seed_rows_per_s"], rule["seed_left_s"]) == (0, None)
    d.sigterm()


def test_a_rule_that_comes_while_the_stream_goes_on(db, dw, watched):
    """Its ranges pass between two transactions; rows that the stream has brought meanwhile send theirs the other way."""
    db.execute(TABLE)
    db.execute("CREATE TABLE first (id int PRIMARY KEY)")
    w = watched("- table: public.first")
    d = w.daemon.start()
    d.wait()
    d.write_rules("- {table: public.t, seed: {batch_rows: 2000}}", "20-late.yaml")
    d.sighup()
    for turn in range(200):
        db.execute(f"INSERT INTO t VALUES ({100000 + turn}, 1, 'live'); UPDATE t SET n = n + 1, v = 'live' WHERE id % 400 = {turn}; "
                   f"DELETE FROM t WHERE id % 400 = {399 - turn}")
    wait_until(lambda: d.rule("t") is not None and d.rule("t")["state"] == "streaming", "the rule streams")
    d.same("t")
    assert w.copies()[0] > 0 and has_key(dw)
    d.sigterm()


def test_live_changes_during_the_first_seed(db, dw, watched):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i, md5(i::text) FROM generate_series(1, 100000) i")
    w = watched("- {table: public.t, seed: {batch_rows: 3000}}")
    d = w.daemon
    d.launch()
    wait_until(lambda: dw.value("SELECT to_regclass('t') IS NOT NULL"), "the seed has begun")
    for turn in range(100):
        db.execute(f"INSERT INTO t VALUES ({200000 + turn}, 1, 'live'); UPDATE t SET n = -n, id = id + 1000000 WHERE id % 1000 = {turn}; "
                   f"DELETE FROM t WHERE id % 1000 = {999 - turn}; UPDATE t SET v = repeat(v, 3) WHERE id % 1000 = {500 + turn}")
    wait_until(d.ready, "the daemon streams")
    d.same("t")
    assert has_key(dw)
    d.sigterm()
