# SPDX-License-Identifier: PostgreSQL
"""What becomes of values at Zoho Analytics where there is a choice, and of rows and tables that do not come whole."""

import pytest
from walmill_testing import wait_until
from walmill_testing.compare import differences
from walmill_testing.zoho_view import ZohoView


@pytest.fixture
def follow(daemon, zoho):
    """Starts a daemon that writes to the server: follow(rules, flush_interval="60s", ...)."""
    running = []

    def run(rules="- table: public.t", **options):
        made = daemon(rules, targets={"zoho": zoho.target(**{"flush_interval": "100ms", **options})})
        running.append(made)
        return made.start()

    yield run
    for each in running:
        if each.process is not None:
            each.sigterm()


def test_words_zone_and_empty_texts(db, zoho, follow):
    """The same by an import and by a call for a row; the counters tell what is shown otherwise than the source has it."""
    zoho.set(boolean_literals={"Yes": True, "No": False})
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, ok boolean, at timestamptz, local timestamp);"
               "INSERT INTO t SELECT i, CASE i WHEN 1 THEN '' WHEN 2 THEN NULL ELSE 'x' END, i = 1, "
               "'2024-12-31 20:00:00+00', '2024-12-31 20:00:00' FROM generate_series(1, 50) i")
    daemon = follow(true_word="Yes", false_word="No", empty_text="(empty)", time_zone="+05:30")
    daemon.wait()

    def row(number):
        return next(row for row in zoho.rows("t") if row["id"] == str(number))

    for turn in range(2):
        assert row(1) == {"id": "1", "v": "(empty)", "ok": "true", "at": "2025-01-01 01:30:00", "local": "2024-12-31 20:00:00"}
        assert row(2)["v"] is None and row(2)["ok"] == "false"
        assert daemon.target("zoho")["facts"]["values_empty"] == turn + 1
        db.execute("UPDATE t SET local = local WHERE id <= 2")
        daemon.wait()
    assert zoho.calls("update_row") and not zoho.mistakes()


def test_values_that_zoho_has_nothing_for_become_null(db, zoho, follow):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, x float8, n numeric, at timestamp, day date);"
               "INSERT INTO t VALUES (1, 'NaN', '12345678901234567890', 'infinity', '10000-01-01'), (2, 1, 2, NULL, NULL)")
    daemon = follow(unfit_values="null")
    daemon.wait()
    assert zoho.rows("t") == [{"id": "1", "x": None, "n": None, "at": None, "day": None},
                              {"id": "2", "x": "1", "n": "2", "at": None, "day": None}]
    assert daemon.target("zoho")["facts"]["values_unfit"] == 4 and daemon.errors() == []


def test_types_that_the_rule_names(db, zoho, follow):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric, price numeric, mail text, day date);"
               "INSERT INTO t VALUES (1, '12345678901234567890.5', 9.99, 'a@example.com', '2024-02-29')")
    daemon = follow("- {table: public.t, columns: {type: {n: PLAIN, price: CURRENCY, mail: EMAIL, day: DATE}}}")
    daemon.wait()
    assert {column["name"]: column["type"] for column in zoho.definition("t")["columns"]} == {
        "id": "NUMBER", "n": "PLAIN", "price": "CURRENCY", "mail": "EMAIL", "day": "DATE"}
    assert zoho.rows("t") == [{"id": "1", "n": "12345678901234567890.5", "price": "9.99", "mail": "a@example.com",
                               "day": "2024-02-29 00:00:00"}]


@pytest.mark.parametrize("rows", [2, 200])      # by calls for rows, by imports
def test_values_that_the_stream_leaves_out(rows, db, zoho, follow):
    """A large value that an update did not touch is not in the stream: the row is read again."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, large text); ALTER TABLE t ALTER large SET STORAGE EXTERNAL;"
               f"INSERT INTO t SELECT i, 0, repeat(i || ' ', 3000) FROM generate_series(1, {rows}) i")
    daemon = follow()
    daemon.wait()
    for turn in range(2):
        db.execute(f"UPDATE t SET n = {turn + 1}")
        daemon.wait()
        assert not differences(db.main, "t", ZohoView(zoho))
    db.execute("UPDATE t SET id = id + 1000, n = 9")
    daemon.wait()
    assert not differences(db.main, "t", ZohoView(zoho))
    assert daemon.rule("t")["rereads"] > 0


def test_columns_come_and_go(db, zoho, follow):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i")
    daemon = follow()
    daemon.wait()
    db.execute("ALTER TABLE t ADD added int DEFAULT 7; INSERT INTO t VALUES (101, 'new', 8)")
    daemon.wait()
    wait_until(lambda: not differences(db.main, "t", ZohoView(zoho)), "the new column is filled", 60)
    db.execute("ALTER TABLE t DROP v; UPDATE t SET added = 9 WHERE id < 5")
    daemon.wait()
    assert not differences(db.main, "t", ZohoView(zoho))
    assert "v" in [column["name"] for column in zoho.definition("t")["columns"]], "nothing is dropped at Zoho"


def test_tokens_that_are_throttled(db, zoho, follow):
    """Zoho says that there were too many: it is left alone for ten minutes, and nobody is told that they are wrong."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    zoho.fault("token", "throttle")
    daemon = follow()
    wait_until(lambda: daemon.target("zoho")["last_error"], "status tells")
    target = daemon.target("zoho")
    assert target["state"] == "retrying" and "ten minutes" in target["last_error"] and "token_cache" in target["last_error"]
    assert len(zoho.calls("token")) == 1


@pytest.mark.parametrize("name", ["general_error", "server_error"])
def test_tokens_that_cannot_be_had_for_the_moment(name, db, zoho, follow):
    db.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    zoho.fault("token", "token_error", message=name)
    daemon = follow()
    daemon.wait()
    assert zoho.rows("t") == [{"id": "1"}] and len(zoho.calls("token")) == 2
