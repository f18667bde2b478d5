# SPDX-License-Identifier: PostgreSQL
"""walmill sync: a database followed without a configuration file."""

import re
import signal
import subprocess

import pytest
from walmill_testing import (PostgresTarget, SqliteTarget, differences, environment, program, sanitizer_reports,
                             wait_until)

SHOP = """
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, born date);
    CREATE TABLE orders (id bigint PRIMARY KEY, customer int, amount numeric(12,2), note jsonb);
    CREATE TABLE nothing_yet (id int PRIMARY KEY, v text);
    INSERT INTO customers SELECT i, 'customer ' || i, date '1980-01-01' + i FROM generate_series(1, 500) i;
    INSERT INTO orders SELECT i, i % 500 + 1, i * 1.25, jsonb_build_object('n', i) FROM generate_series(1, 3000) i;
"""


@pytest.fixture(params=["sqlite", "postgres"])
def target(request, tmp_path, dw):
    """(reader, URI) of an empty target of each type."""
    if request.param == "sqlite":
        return SqliteTarget(tmp_path / "copy.db"), f"sqlite:{tmp_path}/copy.db"
    return PostgresTarget(dw.uri), dw.uri


def assert_same(db, reader, *tables):
    for table in tables:
        assert differences(db.main, table, reader) == []


def test_once_copies_everything_and_ends(db, target, walmill, tmp_path):
    reader, uri = target
    db.execute(SHOP)
    done = walmill("sync", "--source", db.uri, "--target", uri, "--once", "--state", tmp_path / "state")
    assert_same(db, reader, "customers", "orders", "nothing_yet")
    assert len(reader.rows("SELECT * FROM orders")) == 3000
    assert done.stdout == ""
    # What was read and what the target took are both said.
    assert re.search(r"\b3000\b", done.stderr), done.stderr
    assert db.rows("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == [(1,)]
    assert db.value("SELECT count(*) > 0 AND bool_and(pubname LIKE 'walmill_%') FROM pg_publication")


def test_once_again_takes_only_what_is_new(db, target, walmill, tmp_path):
    reader, uri = target
    db.execute(SHOP)
    arguments = ("sync", "--source", db.uri, "--target", uri, "--once", "--state", tmp_path / "state")
    walmill(*arguments)
    db.execute("UPDATE orders SET amount = amount + 1 WHERE id <= 10; DELETE FROM customers WHERE id > 490")
    # A second seed would overwrite this: it shows that there was none.
    reader.execute("UPDATE customers SET name = 'changed at the target' WHERE id = 1")
    walmill(*arguments)
    assert_same(db, reader, "orders")
    assert reader.rows("SELECT count(*) FROM customers") == [(490,)]
    assert reader.rows("SELECT name FROM customers WHERE id = 1") == [("changed at the target",)]


def test_table_globs(db, target, walmill, tmp_path):
    reader, uri = target
    db.execute("CREATE SCHEMA sales; CREATE TABLE sales.orders (id int PRIMARY KEY); "
               "CREATE TABLE sales.tmp_orders (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); "
               "INSERT INTO sales.orders VALUES (1), (2)")
    walmill("sync", "--source", db.uri, "--target", uri, "--table", "sales.*", "--table", "!sales.tmp_*", "--once",
            "--state", tmp_path / "state")
    # Outside of public the schema is part of the name, so that two tables never meet in one view.
    view = "sales_orders" if reader.kind == "sqlite" else "sales.orders"
    assert reader.rows(f"SELECT id FROM {view} ORDER BY id") == [(1,), (2,)]
    assert reader.tables().isdisjoint({"sales_tmp_orders", "tmp_orders", "other"})


def test_follows_until_it_is_stopped(db, target, tmp_path):
    reader, uri = target
    db.execute(SHOP)
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([program(), "sync", "--source", db.uri, "--target", uri, "--state",
                                    tmp_path / "state"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env=environment(tmp_path))
    try:
        wait_until(lambda: "customers" in reader_tables(reader)
                   and reader.rows("SELECT count(*) FROM customers") == [(500,)], "the seed", 30)
        db.execute("INSERT INTO customers VALUES (501, 'late', NULL)")
        wait_until(lambda: reader.rows("SELECT name FROM customers WHERE id = 501") == [("late",)], "the new row")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (tmp_path / "log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert sanitizer_reports(tmp_path) == ""
    assert_same(db, reader, "customers", "orders")


def reader_tables(reader):
    """No table yet where there is no file yet."""
    if isinstance(reader, SqliteTarget) and not reader.path.exists():
        return set()
    return reader.tables()


def test_trap_20_seed_is_resumed_at_the_last_finished_batch_and_exact(db, walmill, tmp_path):
    """More rows than fit one batch of the target's, a key that is not the order of the table."""
    reader = SqliteTarget(tmp_path / "copy.db")
    db.execute("CREATE TABLE big (b int, a text, v text, PRIMARY KEY (a, b)); "
               "INSERT INTO big SELECT i, 'k' || i % 77, repeat('x', i % 200) FROM generate_series(1, 40000) i; "
               "DELETE FROM big WHERE b % 3 = 0")
    walmill("sync", "--source", db.uri, "--target", f"sqlite:{reader.path}", "--once", "--state", tmp_path / "state")
    assert_same(db, reader, "big")


@pytest.mark.parametrize("uri, words", [
    ("oracle:somewhere", ["oracle", "sqlite", "postgresql"]),
    ("no-scheme-at-all", ["sqlite", "postgresql"]),
])
def test_unknown_target_names_the_known_ones(db, walmill, tmp_path, uri, words):
    done = walmill("sync", "--source", db.uri, "--target", uri, "--once", "--state", tmp_path / "state", expect=2)
    assert all(word in done.stderr for word in words), done.stderr
    assert db.rows("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == [(0,)]
    assert db.rows("SELECT count(*) FROM pg_publication") == [(0,)]


def test_trap_16_target_that_cannot_be_opened_leaves_nothing_at_the_source(db, walmill, tmp_path):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    (tmp_path / "file").write_text("this is no SQLite database, and it is longer than a header " * 20)
    done = walmill("sync", "--source", db.uri, "--target", f"sqlite:{tmp_path}/file", "--once", "--state",
                   tmp_path / "state", expect=None)
    assert done.returncode in (1, 3), done.stderr
    assert str(tmp_path / "file") in done.stderr
    assert (tmp_path / "file").read_text().startswith("this is no SQLite database")
    done = walmill("sync", "--source", db.uri, "--target", f"sqlite:{tmp_path}/no/such/folder.db", "--once", "--state",
                   tmp_path / "state", expect=3)
    assert f"{tmp_path}/no/such" in done.stderr
    assert db.rows("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == [(0,)]
    assert db.rows("SELECT count(*) FROM pg_publication") == [(0,)]
