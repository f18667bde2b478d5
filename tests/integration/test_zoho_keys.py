# SPDX-License-Identifier: PostgreSQL
"""Keys of all kinds at Zoho Analytics, by imports and by calls for single rows; rows that are only marked as deleted."""

import pytest
from walmill_testing import wait_until
from walmill_testing.compare import differences
from walmill_testing.zoho_view import ZohoView

ODD = ["o'clock", "''", "'", '"', 'say "x"', "back\\slash", "\\", "\\'", "\\\\''", "a,b", "a;b", "tab\there", "#1", "--",
       "100%", "_", "or 1=1", "' or '1'='1", "ünïcödé", "日本", "NULL", "null", "true", "1", "01", "1.0", "-", "=1+1",
       "two words", "in (1)", "\u00a0", "~", "{}", "[Line: 3]", "<b>", "x" * 250]
LINES = ["line\nfeed", "return\r\nfeed"]
SPACED = [" leading", "trailing ", " "]


@pytest.fixture
def follow(daemon, zoho):
    """Starts a daemon that writes to the server: follow(rules, flush_interval="60s", ...)."""
    running = []

    def run(rules, **options):
        zoho.set(rate_bulk=0, rate_dml=0, rate_overall=0)
        block = {"flush_interval": "100ms", "imports_per_minute": 1000, "row_calls_per_minute": 1000,
                 "calls_per_minute": 1000, **options}
        made = daemon(rules, targets={"zoho": zoho.target(**block)})
        running.append(made)
        return made.start()

    yield run
    for each in running:
        if each.process is not None:
            each.sigterm()


@pytest.fixture
def same(db, zoho):
    def check(daemon, **options):
        daemon.wait()
        found = differences(db.main, "t", ZohoView(zoho), **options)
        assert not found, "\n".join(found) + f"\nlog:\n{daemon.log()[-6000:]}"
        assert daemon.errors() == [] and not zoho.mistakes()
    return check


# ---- rows that are marked ----

def marks(zoho):
    return {row["id"]: (row["v"], row["_walmill_deleted"]) for row in zoho.rows("t")}


@pytest.mark.parametrize("rows", [1, 500])      # by calls for rows, by imports
def test_soft_delete(rows, db, zoho, follow):
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, {2 * rows}) i")
    daemon = follow("- {table: public.t, on_delete: soft}")
    daemon.wait()
    assert set(marks(zoho).values()) == {(f"v{i}", "false") for i in range(1, 2 * rows + 1)}
    db.execute(f"DELETE FROM t WHERE id <= {rows}")
    daemon.wait()
    assert marks(zoho) == {str(i): (f"v{i}", "true" if i <= rows else "false") for i in range(1, 2 * rows + 1)}
    assert not zoho.calls("delete_row")
    db.execute(f"INSERT INTO t SELECT i, 'again ' || i FROM generate_series(1, {rows}) i")
    daemon.wait()
    assert marks(zoho) == {str(i): (f"again {i}" if i <= rows else f"v{i}", "false") for i in range(1, 2 * rows + 1)}
    # A row whose key changes is no deleted one.
    db.execute("UPDATE t SET id = 100000, v = 'moved' WHERE id = 1")
    daemon.wait()
    assert "1" not in marks(zoho) and marks(zoho)["100000"] == ("moved", "false")
    db.execute("INSERT INTO t VALUES (1, 'home')")
    daemon.run("row", "t", "id=1", "--action", "delete")
    assert marks(zoho)["1"] == ("home", "true")
    daemon.run("row", "t", "id=1")
    assert marks(zoho)["1"] == ("home", "false")
    assert daemon.errors() == [] and not zoho.mistakes()


def test_a_row_that_comes_and_goes_between_two_flushes(db, zoho, follow):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    daemon = follow("- {table: public.t, on_delete: soft}", flush_interval="1h")
    daemon.wait()
    db.execute("DELETE FROM t WHERE id = 1")
    db.execute("INSERT INTO t VALUES (1, 'back')")
    db.execute("INSERT INTO t VALUES (3, 'short')")
    db.execute("DELETE FROM t WHERE id IN (2, 3)")
    daemon.wait()
    found = marks(zoho)
    assert found.pop("3", ("short", "true"))[1] == "true"
    assert found == {"1": ("back", "false"), "2": ("b", "true")}


# ---- keys ----

def change_everything(db, key, new_key):
    """Updates, deletes and key changes, once few enough for row calls and once many; key: the condition's column."""
    for many in (False, True):
        which = "true" if many else "n % 7 = 0"
        db.execute(f"UPDATE t SET v = 'changed {many}' WHERE {which}")
        yield
        db.execute(f"UPDATE t SET {key} = {new_key}, v = 'moved {many}' WHERE {which if not many else 'n % 2 = 0'}")
        yield
        db.execute(f"DELETE FROM t WHERE {'n % 5 = 1' if not many else 'n % 3 = 0'}")
        yield


def fill(db, values):
    with db.main.cursor() as c:
        c.executemany("INSERT INTO t VALUES (%s, %s, %s)", [(value, n, f"value {n}") for n, value in enumerate(values)])


@pytest.mark.parametrize("kind", ["varchar(250)", "text"])
def test_text_keys(kind, db, zoho, follow, same):
    db.execute(f"CREATE TABLE t (k {kind} PRIMARY KEY, n int, v text)")
    fill(db, ODD + LINES + SPACED)
    daemon = follow("- table: public.t")
    same(daemon)
    for _ in change_everything(db, "k", "left(k, 240) || '''\\\"'"):
        same(daemon)
    fill(db, [value for value in ODD if not db.rows("SELECT 1 FROM t WHERE k = %s", value)])
    same(daemon)


def test_composite_keys(db, zoho, follow, same):
    db.execute("CREATE TABLE t (a int, n int, v text, b varchar(40), c uuid DEFAULT gen_random_uuid(), PRIMARY KEY (b, a))")
    with db.main.cursor() as c:
        c.executemany("INSERT INTO t VALUES (%s, %s, %s, %s)",
                      [(a, 10 * a + n, "v", value[:40]) for n, value in enumerate(ODD[:-1]) for a in range(4)])
    daemon = follow("- table: public.t")
    same(daemon)
    assert zoho.calls("import")[0]["config"]["matchingColumns"] == ["a", "b"]
    for _ in change_everything(db, "a", "a + 100"):
        same(daemon)
    for _ in change_everything(db, "b", "'x''\\' || n || b"):
        same(daemon)
    # Keys that change places in one transaction.
    db.execute("UPDATE t SET a = -a; UPDATE t SET a = -a + 1")
    same(daemon)


def test_numbers_at_their_limits(db, zoho, follow, same):
    db.execute("CREATE TABLE t (k bigint PRIMARY KEY, n int, v text)")
    fill(db, [9223372036854775807, -9223372036854775808, 0, -1, 1, 9007199254740993, -9007199254740993, 2 ** 32, 10 ** 18])
    daemon = follow("- table: public.t")
    same(daemon)
    db.execute("UPDATE t SET v = 'changed'")
    same(daemon)
    db.execute("UPDATE t SET k = k - 1 WHERE k > 1; UPDATE t SET k = k + 1 WHERE k < -1")
    same(daemon)
    db.execute("INSERT INTO t SELECT 9223372036854775000 + i, i, 'many' FROM generate_series(1, 500) i; "
               "DELETE FROM t WHERE k = -9223372036854775807")
    same(daemon)
    db.execute("DELETE FROM t WHERE k > 9223372036854775400 OR k < 0")
    same(daemon)


def test_decimal_keys(db, zoho, follow, same):
    db.execute("CREATE TABLE t (k numeric PRIMARY KEY, n int, v text)")
    fill(db, ["1.50", "0", "-0.000001", "9999999999999999999", "123456789.0123456789", "1e3", "100", "0.1"])
    daemon = follow("- table: public.t")
    same(daemon)
    for _ in change_everything(db, "k", "k / 2"):
        same(daemon)
    db.execute("DELETE FROM t")
    same(daemon)


@pytest.mark.parametrize("kind, values", [
    ("uuid", [f"a0eebc99-9c0b-4ef8-bb6d-6bb9bd3800{n:02}" for n in range(10, 50)]),
    ("date", [f"2024-02-{n:02}" for n in range(1, 30)]),
    ("smallint", [-32768, 32767, 0, 5, 7, 14, 20, 21]),
])
def test_other_keys(kind, values, db, zoho, follow, same):
    db.execute(f"CREATE TABLE t (k {kind} PRIMARY KEY, n int, v text)")
    fill(db, values)
    daemon = follow("- table: public.t")
    same(daemon)
    for many in (False, True):
        which = "true" if many else "n % 4 = 0"
        db.execute(f"UPDATE t SET v = 'changed {many}' WHERE {which}")
        same(daemon)
        db.execute(f"DELETE FROM t WHERE {which} AND n % 8 = 0")
        same(daemon)


def test_keys_that_zoho_cannot_have(db, zoho, follow):
    """They are told with the row; the others are there."""
    db.execute("CREATE TABLE t (k text PRIMARY KEY, n int, v text)")
    fill(db, ["good", "", "long" * 100, "also good"])
    daemon = follow("- {table: public.t, on_error: dead_letter}")
    daemon.wait()
    letters = {letter["key"]["k"]: letter["message"] for letter in daemon.errors()}
    assert set(letters) == {"", "long" * 100}
    assert "null or empty" in letters[""] and "longer than" in letters["long" * 100]
    assert sorted(row["k"] for row in zoho.rows("t")) == ["also good", "good"]
    db.execute("UPDATE t SET k = 'mended' || n WHERE v IN ('value 1', 'value 2')")
    daemon.wait()
    wait_until(lambda: daemon.errors() == [], "nothing is left of them")
    assert not differences(db.main, "t", ZohoView(zoho))
