# SPDX-License-Identifier: PostgreSQL
"""The zoho_analytics target against the strict server of tests/zoho; each scenario ends in an exact comparison."""

import os
import threading
import time

import pytest
from walmill_testing import wait_until
from walmill_testing.compare import differences
from walmill_testing.zoho_view import ZohoView

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2), at timestamptz(0), day date, ok boolean)"
ROWS = ("INSERT INTO t SELECT i, CASE i % 5 WHEN 0 THEN NULL ELSE 'value ' || i END, i / 3.0, "
        "'2024-02-29 23:00:00+00'::timestamptz + i * interval '1 hour', '2024-01-01'::date + i, i % 2 = 0 "
        "FROM generate_series({}, {}) i")
RULE = "- table: public.t"
# For tests of something else than what is called in a minute.
UNLIMITED = {"rate_bulk": 0, "rate_dml": 0, "rate_overall": 0}
LIMITS = {"imports_per_minute": 1000, "row_calls_per_minute": 1000, "calls_per_minute": 1000}


@pytest.fixture
def follow(daemon, zoho):
    """Starts a daemon that writes to the server: follow(rules, flush_interval="60s", ...)."""
    running = []

    def run(rules=RULE, env=None, targets=None, **options):
        block = zoho.target(**{"flush_interval": "100ms", **options})
        made = daemon(rules, targets={"zoho": block, **(targets or {})}, env=env)
        running.append(made)
        return made.start()

    yield run
    for each in running:
        if each.process is not None:
            each.sigterm()


@pytest.fixture
def same(db, zoho):
    """Demands, once all is said to be visible, that views equal their tables."""
    def check(daemon, *tables, **options):
        daemon.wait(100)        # a minute that is full has to pass, perhaps
        for table in tables or ("t",):
            found = differences(db.main, table, ZohoView(zoho), **options)
            assert not found, "\n".join(found) + f"\nlog:\n{daemon.log()[-6000:]}"
    return check


def test_seed_and_stream(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 2500))
    daemon = follow()
    same(daemon)
    db.execute(ROWS.format(2501, 2600))
    db.execute("UPDATE t SET v = 'updated', n = -n WHERE id % 3 = 0")
    db.execute("DELETE FROM t WHERE id % 7 = 0")
    db.execute("UPDATE t SET id = id + 100000 WHERE id % 11 = 0")
    same(daemon)
    db.execute("UPDATE t SET v = 'it''s \"quoted\", #5' || chr(10) || '~x' WHERE id = 1")
    same(daemon)
    db.execute("TRUNCATE t;" + ROWS.format(1, 10))
    same(daemon)
    db.execute("TRUNCATE t")
    same(daemon)
    assert not [call for call in zoho.calls() if call["code"] is not None or call["secrets_in_url"]]


def test_a_seed_is_counted(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 2500))
    daemon = follow(RULE + "\n  where: id <= 2001")
    same(daemon, where="id <= 2001")
    assert 'view "t" at target "zoho" has the 2001 rows of its seed' in daemon.log()
    assert [(call["rows"], call["units"]) for call in zoho.calls("export")] == [(2001, 9)]
    assert daemon.rule("t")["last_error"] is None


def test_rows_that_a_seed_has_lost_are_told(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 500))
    zoho.fault("import", "vanish", rows=3)
    daemon = follow()
    daemon.wait()
    assert 'wrote 500 rows, but view "t" at target "zoho" has 497' in daemon.rule("t")["last_error"]
    db.execute("UPDATE t SET v = 'again'")
    same(daemon)


def test_rows_that_are_one_at_the_target_are_told(db, zoho, follow):
    db.execute(TABLE + ";" + ROWS.format(1, 500) + "; UPDATE t SET n = id % 400; ALTER TABLE t REPLICA IDENTITY FULL")
    daemon = follow(RULE + "\n  key: [n]\n  batch: {rows: 300}")
    daemon.wait()
    assert 'wrote 500 rows, but view "t" at target "zoho" has 400' in daemon.rule("t")["last_error"]


def test_a_large_seed_is_not_counted(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 500))
    daemon = follow(count_max=499)
    same(daemon)
    assert not zoho.calls("export") and 'more rows than "count_max"' in daemon.log()


@pytest.mark.parametrize("deed", ["error", "drop_after", "http"])
def test_a_seed_that_cannot_be_counted_is_none_the_worse(deed, db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 500))
    zoho.fault("export", deed, times=0, code=7301 if deed == "error" else None)
    daemon = follow()
    same(daemon)
    assert "are not counted" in daemon.log() and len(zoho.calls("import")) == 1


def test_coalesced_into_the_fewest_units(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 100))
    daemon = follow(flush_interval="1h")
    same(daemon)
    before = len(zoho.calls())
    for turn in range(100):
        db.execute(f"UPDATE t SET v = 'turn {turn}'")
    same(daemon)
    calls = [call for call in zoho.calls(since=before) if call["name"] != "columns"]
    assert [(call["name"], call["rows"], call["units"]) for call in calls] == [("import", 100, 15)]


def test_few_rows_go_by_row_calls(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 100))
    daemon = follow(flush_interval="1h")
    same(daemon)
    before = len(zoho.calls())
    db.execute("UPDATE t SET v = 'changed' WHERE id <= 3; DELETE FROM t WHERE id BETWEEN 50 AND 69")
    same(daemon)
    assert [(call["name"], call["rows"]) for call in zoho.calls(since=before)] == [
        ("delete_row", 20), ("update_row", 1), ("update_row", 1), ("update_row", 1)]


def test_changes_gather_for_the_interval(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 10))
    daemon = follow(flush_interval="1s")
    same(daemon)
    before = len(zoho.calls())
    for i in range(5):
        db.execute(f"UPDATE t SET v = 'a{i}' WHERE id = 1")
    wait_until(lambda: {"v": "a4"} in zoho.rows("t", "v"), "the last value is there without anybody asking")
    assert len(zoho.calls("update_row", since=before)) <= 2


def load(db, stop):
    """Changes of all kinds until told to stop."""
    serial = 0
    own = db.connect()
    with own.cursor() as c:
        while not stop.is_set():
            serial += 1
            c.execute(f"UPDATE t SET v = 'live {serial}' WHERE id % 97 = {serial % 97}")
            c.execute(f"INSERT INTO t (id, v) VALUES ({1000000 + serial}, 'new') ON CONFLICT DO NOTHING")
            c.execute(f"DELETE FROM t WHERE id = {serial * 3}")
            stop.wait(0.02)
    own.close()


@pytest.fixture
def live(db):
    """Starts a live load; it ends before the test compares: live()(), or live.end()."""
    ends = []

    def begin():
        stop = threading.Event()
        thread = threading.Thread(target=load, args=(db, stop))
        thread.start()

        def end():
            stop.set()
            thread.join()
        ends.append(end)
        return end

    def end_all():
        for end in ends:
            end()

    begin.end = end_all
    yield begin
    end_all()


# WM_ZOHO_ROWS=1000000 for the seed that users have; it takes some minutes.
SEEDED = int(os.environ.get("WM_ZOHO_ROWS", "20000"))


def test_kill9_at_ten_points_of_the_seed_under_load(db, zoho, follow, same, live):
    db.execute(TABLE + ";" + ROWS.format(1, SEEDED))
    rule = f"{RULE}\n  seed: {{batch_rows: {SEEDED // 20}}}\n  batch: {{rows: {SEEDED // 40}}}"
    zoho.set(import_seconds=0.02, **UNLIMITED)
    end = live()
    daemon = follow(rule, **LIMITS)
    for turn in range(10):
        zoho.wait_calls("import", 3 * (turn + 1), 120)
        daemon.sigkill()
        daemon.start()
    end()
    daemon.wait(600)
    same(daemon)
    assert daemon.rule("t")["state"] == "streaming" and daemon.errors() == []


def test_a_rule_that_is_added_is_seeded_under_load(db, zoho, follow, same, live):
    db.execute(TABLE + ";" + ROWS.format(1, 5000) + "; CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u VALUES (1, 'x')")
    zoho.set(**UNLIMITED)
    daemon = follow("- table: public.u", **LIMITS)
    same(daemon, "u")
    end = live()
    daemon.write_rules("- table: public.u\n- {table: public.t, seed: {batch_rows: 500}}")
    daemon.sighup()
    wait_until(lambda: (daemon.rule("t") or {}).get("state") == "streaming", "the rule is seeded", 60)
    end()
    same(daemon, "t", "u")


FAULTS = {
    "error after it was stored": ("import", "error_after", {}),
    "dropped before": ("import", "drop_before", {}),
    "dropped after it was stored": ("import", "drop_after", {}),
    "cut off in the answer": ("import", "drop_midway", {}),
    "a proxy's page": ("import", "http", {"status": 502}),
    "internal error": ("import", "error", {"code": 7005}),
    "storm of locks": ("import", "error", {"code": 7092, "times": 4}),
    "import in progress elsewhere": ("import", "error", {"code": 10001}),
    "rate": ("import", "error", {"code": 6045}),
    "partial success": ("import", "partial", {"rows": 3}),
    "token ended": ("import", "expire_tokens", {}),
    "row call: error after it was stored": ("update_row", "error_after", {}),
    "row call: dropped after it was stored": ("update_row", "drop_after", {}),
    "row call: busy": ("update_row", "error", {"code": 8062, "times": 3}),
    "delete: dropped after": ("delete_row", "drop_after", {}),
    "delete: error": ("delete_row", "error", {"code": 7005}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name, db, zoho, follow, same):
    call, deed, more = FAULTS[name]
    db.execute(TABLE + ";" + ROWS.format(1, 300))
    daemon = follow()
    same(daemon)
    zoho.fault(call, deed, **more)
    db.execute("UPDATE t SET v = 'after' WHERE id <= 100; DELETE FROM t WHERE id BETWEEN 200 AND 210")
    same(daemon)
    db.execute("UPDATE t SET v = 'one' WHERE id = 150")
    same(daemon)
    assert zoho.faults()[0]["hits"] == more.get("times", 1)
    assert daemon.errors() == []


def test_a_bad_row_is_found_and_told(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 10))
    daemon = follow(RULE + "\n  on_error: dead_letter\n  columns: {type: {v: PLAIN}}")
    same(daemon)
    db.execute(ROWS.format(11, 500) + "; UPDATE t SET v = repeat('long', 100) WHERE id IN (77, 350)")
    daemon.wait()
    letters = daemon.errors()
    assert sorted(letter["key"]["id"] for letter in letters) in ([77, 350], ["77", "350"], ["350", "77"])
    assert all("longer than" in letter["message"] for letter in letters)
    found = differences(db.main, "t", ZohoView(zoho), where="id NOT IN (77, 350)")
    assert not found, found
    db.execute("UPDATE t SET v = 'short' WHERE id IN (77, 350)")
    same(daemon)
    assert daemon.errors() == []


def test_unfit_values(db, zoho, follow, same):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, x float8, at timestamp, day date);"
               "INSERT INTO t VALUES (1, 1.5, '2024-01-01 10:00:00', '2024-01-01'), (2, 1e10, NULL, NULL)")
    daemon = follow(RULE + "\n  on_error: dead_letter")
    same(daemon)
    db.execute("INSERT INTO t VALUES (3, 'NaN', NULL, NULL), (4, 0, 'infinity', NULL), (5, 0, NULL, '0044-03-15 BC'), "
               "(6, 0, NULL, '10000-01-01'), (7, 1e300, NULL, NULL), (8, 0.25, '2024-01-01 10:00:00.5', NULL)")
    daemon.wait()
    assert len(daemon.errors()) == 5
    found = differences(db.main, "t", ZohoView(zoho), where="id IN (1, 2, 8)")
    assert not found, found


def test_wrong_credentials_stop_one_target_only(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 10))
    rules = RULE + "\n  target: zoho\n- name: lite\n  table: public.t\n  target: lite"
    daemon = follow(rules, targets={"lite": "type: sqlite\npath: lite.db"}, client_secret="wrong")
    wait_until(lambda: daemon.target("zoho")["state"] == "failed", "the target has failed")
    wait_until(lambda: daemon.rule("lite")["state"] == "streaming", "the other target is in step")
    assert not daemon.differences("t", "lite")
    assert "client_secret" in daemon.target("zoho")["last_error"]
    assert "wrong" not in daemon.log()
    assert len(zoho.calls("token")) <= 2


def test_no_token_for_each_call(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 100))
    daemon = follow()
    same(daemon)
    for i in range(10):
        db.execute(f"UPDATE t SET v = 'x{i}'")
        same(daemon)
    assert len(zoho.calls("token")) == 1


def test_no_token_for_each_start(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 100))
    daemon = follow()
    same(daemon)
    for _ in range(11):
        daemon.sigkill()
        daemon.start()
    db.execute("UPDATE t SET v = 'x'")
    same(daemon)
    assert len(zoho.calls("token")) == 1
    [cache] = (daemon.folder / "state").glob("zoho-token-*")
    assert cache.stat().st_mode & 0o777 == 0o600
    assert zoho.refresh_token not in cache.name + cache.read_text()


def test_a_scope_that_lacks_is_no_loop(db, zoho, follow):
    db.execute(TABLE + ";" + ROWS.format(1, 100))
    token = zoho.new_refresh_token(scopes=["metadata.read", "modeling.create", "usermanagement.read"])
    daemon = follow(refresh_token=token)
    zoho.wait_calls("import", 5)
    assert "scopes" in daemon.target("zoho")["last_error"]
    assert len(zoho.calls("token")) == 2


def test_a_column_removed_by_hand(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 100))
    daemon = follow()
    same(daemon)
    zoho.drop_column("t", "n")
    db.execute("UPDATE t SET v = 'x'")
    same(daemon)
    zoho.drop_column("t", "n")
    db.execute("UPDATE t SET v = 'y' WHERE id = 5")
    same(daemon)


def test_a_table_removed_by_hand(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 100))
    daemon = follow()
    same(daemon)
    zoho.drop_table("t")
    db.execute("UPDATE t SET v = 'x' WHERE id = 5")
    same(daemon)


def test_units_are_shown(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 3000))
    daemon = follow()
    same(daemon)
    facts = daemon.target("zoho")["facts"]
    assert facts["units_spent"] == zoho.units()
    assert facts["units_used"] + facts["units_left"] == 100_000
    assert facts["units_per_1000_rows"] == 15
    assert f'walmill_target_units_left{{target="zoho",type="zoho_analytics"}} {facts["units_left"]:.3f}' in daemon.metrics()
    assert "units_left" in daemon.run("status").stdout


def test_login_stores_the_refresh_token(daemon, zoho, db, same):
    db.execute(TABLE + ";" + ROWS.format(1, 10))
    made = daemon(RULE, targets={"zoho": zoho.target(flush_interval="100ms", refresh_token="${file:token}")})
    done = made.run("zoho login", zoho.grant_code())
    token = made.folder / "token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text().startswith("1000.") and token.read_text().strip() not in done.stdout + done.stderr
    assert not (made.folder / "token.new").exists()
    made.start()
    same(made)
    made.sigterm()


def test_login_says_what_is_wrong(daemon, zoho):
    made = daemon(RULE, targets={"zoho": zoho.target(refresh_token="${file:token}")})
    done = made.run("zoho login", "1000.no.code", expect=1)
    assert "grant code is not taken" in done.stderr and not list(made.folder.glob("token*"))
    made = daemon(RULE, targets={"zoho": zoho.target()})
    assert "--store" in made.run("zoho login", zoho.grant_code(), expect=1).stderr
    code = zoho.grant_code()
    made.run("zoho login", "--store", str(made.folder / "stored"), code)
    assert (made.folder / "stored").exists()
    made = daemon(RULE)
    assert "no target of type zoho_analytics" in made.run("zoho login", code, expect=2).stderr


def test_check(daemon, zoho, db):
    db.execute(TABLE)
    made = daemon(RULE, targets={"zoho": zoho.target()})
    assert "created" in made.run("check", "--json").stdout
    zoho.table("t", id="NUMBER", v="PLAIN", n="NUMBER", at="DATE", day="DATE", ok="BOOLEAN")
    done = made.run("check", expect=1)
    assert 'column "n" is NUMBER and would have to be DECIMAL_NUMBER' in done.stdout + done.stderr
    made = daemon(RULE, targets={"zoho": zoho.target(workspace="No such")})
    done = made.run("check", expect=1)
    assert 'no workspace "No such"' in done.stdout + done.stderr
    made = daemon(RULE, targets={"zoho": zoho.target(workspace=zoho.workspace_name, org="Walmill's organisation")})
    done = made.run("check", expect=1)
    assert "would have to be DECIMAL_NUMBER" in done.stdout + done.stderr


def test_views_by_id_and_places_by_name(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 10))
    made = zoho.table("t", id="NUMBER", v="PLAIN", n="DECIMAL_NUMBER", at="DATE", day="DATE_AS_DATE", ok="BOOLEAN")
    daemon = follow(f'{RULE}\n  view: "{made}"', workspace=zoho.workspace_name, org="Walmill's organisation")
    same(daemon)


def test_two_processes_on_one_refresh_token(db, zoho, follow, same, tmp_path):
    cache = str(tmp_path / "token")
    db.execute(TABLE + ";" + ROWS.format(1, 50) + "; CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u VALUES (1, 'x')")
    first = follow(token_cache=cache)
    same(first)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    first.sigterm()
    for _ in range(12):
        first.start()
        first.sigterm()
    assert len(zoho.calls("token")) == 1
    zoho.expire_tokens()
    first.start()
    db.execute("UPDATE t SET v = 'after'")
    same(first)
    assert len(zoho.calls("token")) == 2


def test_single_row_on_demand(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 10))
    daemon = follow(flush_interval="1h")
    same(daemon)
    db.execute("UPDATE t SET v = 'waits' WHERE id = 1")
    before = len(zoho.calls())
    daemon.run("row", "t", "id=7", "--action", "delete")
    assert zoho.count("t") == 9
    daemon.run("row", "t", "id=7")
    assert [call["name"] for call in zoho.calls(since=before)].count("delete_row") == 1
    same(daemon)


def test_dead_letters_are_tried_again(db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 10))
    daemon = follow(RULE + "\n  on_error: dead_letter\n  columns: {type: {v: PLAIN}}")
    same(daemon)
    db.execute("UPDATE t SET v = repeat('x', 251) WHERE id = 3")
    daemon.wait()
    assert len(daemon.errors()) == 1
    zoho.set(plain_max=300)
    daemon.restart()
    wait_until(lambda: daemon.run("errors retry", expect=None).returncode == 0, "the letter is taken")
    same(daemon)
    assert daemon.errors() == []


DAY = 86400


def test_trap_29_units_used_up_at_noon_and_there_again_at_midnight(db, zoho, follow, same, clock_jumps, tmp_path):
    """Both clocks are the test's."""
    control = tmp_path / "clock"
    noon = int(time.time()) // DAY * DAY + DAY + DAY // 2

    def set_clocks(moment):
        control.write_text(str(moment - int(time.time())))
        zoho.set_clock(moment)

    set_clocks(noon)
    db.execute(TABLE + ";" + ROWS.format(1, 2000))
    daemon = follow(env={"LD_PRELOAD": str(clock_jumps), "WM_CLOCK": str(control)}, units_retry="3s")
    same(daemon)
    zoho.use_units(100_000)
    db.execute("UPDATE t SET v = 'in the afternoon'")
    # Changes gather for as long as may be when units run short; until the next try status says why.
    wait_until(lambda: "used up" in (daemon.target("zoho")["last_error"] or ""), "the units are used up", 60)
    assert daemon.target("zoho")["facts"]["units_left"] == 0
    assert "used up" in daemon.run("wait", "--timeout", "0.1", expect=1).stderr
    db.execute("DELETE FROM t WHERE id % 2 = 0")
    # Nothing is called all the time: each look costs a call.
    refused = len([call for call in zoho.calls() if call["code"] == 6043])
    assert 1 <= refused < 60
    set_clocks(noon + DAY // 2 + 5)
    same(daemon)
    assert daemon.target("zoho")["facts"]["units_left"] > 90_000
    assert daemon.errors() == []


def test_units_used_go_on_after_a_restart(db, zoho, follow, same, clock_jumps, tmp_path):
    control = tmp_path / "clock"
    noon = int(time.time()) // DAY * DAY + DAY + DAY // 2

    def set_clocks(moment):
        control.write_text(str(moment - int(time.time())))
        zoho.set_clock(moment)

    def used():
        return daemon.target("zoho")["facts"]["units_used"]

    set_clocks(noon)
    db.execute(TABLE + ";" + ROWS.format(1, 2000))
    daemon = follow(env={"LD_PRELOAD": str(clock_jumps), "WM_CLOCK": str(control)}, units_per_day=5000)
    same(daemon)
    assert used() == zoho.units() > 30
    daemon.restart()
    db.execute("UPDATE t SET v = 'after'")
    same(daemon)
    assert used() == zoho.units() > 60
    daemon.restart()
    before = used()
    daemon.sigkill()
    daemon.start()
    assert used() >= before == zoho.units()
    # What was used today is no matter tomorrow.
    daemon.sigterm()
    set_clocks(noon + DAY)
    daemon.start()
    assert used() < 30
    assert not zoho.calls("resources")


# ---- priorities ----

URGENT = """\
- {table: public.urgent, priority: high}
- {table: public.plain}
- {table: public.idle, priority: low, batch: {rows: 100}}"""


@pytest.fixture
def short(db, zoho, follow, same):
    """A daemon with three rules whose day has few units left: short(rules, **options)."""
    def make(rules=URGENT, **options):
        db.execute("".join(f"CREATE TABLE {name} (id int PRIMARY KEY, v text);"
                           f"INSERT INTO {name} SELECT i, 'first' FROM generate_series(1, 50) i;"
                           for name in ("urgent", "plain", "idle")))
        zoho.set(**UNLIMITED)
        zoho.use_units(92_000)
        daemon = follow(rules, flush_interval_max="200ms", **LIMITS, **options)
        same(daemon, "urgent", "plain", "idle")
        return daemon
    return make


def values(zoho, table):
    return {row["v"] for row in zoho.rows(table, "v")}


def test_the_last_units_are_for_high_priority(db, zoho, short, same):
    daemon = short()
    applied = daemon.target("zoho")["applied_lsn"]
    for turn in range(5):
        db.execute(f"UPDATE idle SET v = 'a{turn}'; UPDATE plain SET v = 'a{turn}'; UPDATE urgent SET v = 'a{turn}'")
        wait_until(lambda: values(zoho, "urgent") == {f"a{turn}"}, "what is urgent is there")
    assert values(zoho, "idle") == values(zoho, "plain") == {"first"}
    assert daemon.target("zoho")["applied_lsn"] == applied
    rules = {rule["name"]: rule for rule in daemon.status()["rules"]}
    assert (rules["idle"]["priority"], rules["idle"]["waiting"], rules["urgent"]["waiting"]) == ("low", 250, 0)
    assert daemon.target("zoho")["facts"]["flush_interval_low_s"] == DAY
    assert "rule idle: 250 changes gather, priority low" in daemon.run("status").stdout
    # All of it comes again, in order.
    daemon.sigkill()
    daemon.start()
    db.execute("UPDATE urgent SET v = 'b' WHERE id > 10; DELETE FROM idle WHERE id > 40")
    wait_until(lambda: values(zoho, "urgent") == {"a4", "b"}, "what is urgent is there")
    assert values(zoho, "idle") == {"first"}
    same(daemon, "urgent", "plain", "idle")
    assert len(zoho.rows("idle", "id")) == 40 and daemon.errors() == []


def test_what_waits_goes_out_when_there_are_units(db, zoho, short, clock_jumps, tmp_path):
    control = tmp_path / "clock"
    noon = int(time.time()) // DAY * DAY + DAY + DAY // 2

    def set_clocks(moment):
        control.write_text(str(moment - int(time.time())))
        zoho.set_clock(moment)

    set_clocks(noon)
    short(env={"LD_PRELOAD": str(clock_jumps), "WM_CLOCK": str(control)})
    db.execute("UPDATE idle SET v = 'now'; UPDATE urgent SET v = 'now'")
    wait_until(lambda: values(zoho, "urgent") == {"now"}, "what is urgent is there")
    assert values(zoho, "idle") == {"first"}
    set_clocks(noon + DAY // 2 + 5)
    wait_until(lambda: values(zoho, "idle") == {"now"}, "what could wait is there")


def test_what_waits_is_not_taken_along_by_a_bound(db, zoho, short, same):
    """Many changes of high priority: none of the bounds that they reach concerns the others."""
    short(URGENT.replace("high}", "high, batch: {rows: 200, bytes: 20KiB}}").replace("public.plain", "public.plain, batch: {bytes: 20KiB}"))
    db.execute("UPDATE idle SET v = 'waits'")
    for turn in range(30):
        db.execute(f"UPDATE urgent SET v = repeat('x', 50) || {turn}")
    wait_until(lambda: values(zoho, "urgent") == {"x" * 50 + "29"}, "what is urgent is there")
    assert values(zoho, "idle") == {"first"}


def test_priorities_under_load_and_kill9(db, zoho, short, same):
    daemon = short()
    for turn in range(8):
        before = len(zoho.calls())
        for step in range(10):
            db.execute(f"UPDATE urgent SET v = 'u{turn}.{step}' WHERE id % 10 = {step};"
                       f"UPDATE idle SET v = 'i{turn}.{step}' WHERE id % 10 = {step};"
                       f"UPDATE plain SET id = id + 1000 WHERE id % 17 = {step};"
                       f"INSERT INTO urgent VALUES ({1000 + turn * 10 + step}, 'new');"
                       f"DELETE FROM urgent WHERE id = {1000 + turn * 10 + step - 15}")
        if turn % 2 == 0:
            wait_until(lambda: zoho.calls("import", "update_row", since=before), "something is under way")
        else:
            wait_until(lambda: f"u{turn}.9" in values(zoho, "urgent"), "what is urgent is there")
        daemon.sigkill()
        daemon.start()
        if turn % 3 == 2:
            same(daemon, "urgent", "plain", "idle")
    same(daemon, "urgent", "plain", "idle")
    assert daemon.errors() == []


def test_priority_is_for_targets_with_a_budget(daemon, db):
    made = daemon("- table: public.t\n  priority: low")
    done = made.run("check", "--offline", expect=2)
    assert ':3:15: "priority" is for targets' in done.stderr


JOBS = {
    "passing": ({"do": "job_error", "code": 7005}, True),
    "lost, with its rows": ({"do": "job_lost", "commit": True}, True),
    "lost, without": ({"do": "job_lost"}, True),
    "token ended meanwhile": ({"do": "expire_tokens", "call": "job"}, True),
    "all slots taken": ({"do": "error", "code": 8134, "times": 3}, True),
    "dropped after": ({"do": "drop_after"}, True),
}


@pytest.mark.parametrize("name", JOBS)
def test_large_files_become_jobs(name, db, zoho, follow, same):
    db.execute(TABLE + ";" + ROWS.format(1, 3000))
    fault = {"call": "import_job", **JOBS[name][0]}
    zoho.fault(fault.pop("call"), fault.pop("do"), **fault)
    daemon = follow(import_max="20KiB", poll_interval="200ms")
    same(daemon)
    assert zoho.calls("import_job")
    db.execute("UPDATE t SET v = 'changed'")
    same(daemon)
    assert zoho.faults()[0]["hits"] >= 1
    assert not [job for job in zoho.jobs() if job["code"] in (1001, 1002)]
    assert daemon.errors() == []


def test_a_bad_row_in_a_job(db, zoho, follow):
    db.execute(TABLE + ";" + ROWS.format(1, 1000) + ";UPDATE t SET v = repeat('x', 300) WHERE id = 500")
    daemon = follow(RULE + "\n  on_error: dead_letter\n  columns: {type: {v: PLAIN}}", import_max="10KiB",
                    poll_interval="100ms")
    daemon.wait()
    assert [letter["key"]["id"] for letter in daemon.errors()] == ["500"]
    found = differences(db.main, "t", ZohoView(zoho), where="id <> 500")
    assert not found, found


def test_two_processes_at_the_same_time(db, zoho, daemon, same, tmp_path):
    """One refresh token, one organisation, two sources: tokens are shared, locks and limits of the other are met."""
    db.execute(TABLE + ";" + ROWS.format(1, 500) + ";CREATE TABLE u (LIKE t INCLUDING ALL); INSERT INTO u SELECT * FROM t")
    block = zoho.target(flush_interval="100ms", token_cache=str(tmp_path / "token"))
    made = [daemon(f"- table: public.{name}", targets={"zoho": block},
                   sources={name: f"uri: {db.uri}\nslot: walmill_{name}\npublication: walmill_{name}"})
            for name in ("t", "u")]
    for each in made:
        each.launch()
    for each, name in zip(made, ("t", "u")):
        wait_until(each.ready, "the daemon streams")
        same(each, name)
    zoho.expire_tokens()
    db.execute("UPDATE t SET v = 'x'; UPDATE u SET v = 'y'")
    for each, name in zip(made, ("t", "u")):
        same(each, name)
        each.sigterm()
    assert len(zoho.calls("token")) == 2


# ---- a view that is filled anew without a hole ----

BATCHED = RULE + "\n  batch: {rows: 100}"


@pytest.fixture
def lost(db, zoho, follow, same):
    """A daemon whose slot is lost while it is down; rows change meanwhile: lost(rule, **options)."""
    def make(rule=BATCHED):
        db.execute(TABLE + ";" + ROWS.format(1, 3000))
        zoho.set(**UNLIMITED)
        daemon = follow(rule, job_max="20KiB", poll_interval="100ms", **LIMITS)
        daemon.sources["shop"] = f"uri: {db.uri}\non_slot_lost: seed"
        daemon.write_config()
        daemon.sigterm()
        daemon.start()
        daemon.wait()
        daemon.sigterm()
        db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
        db.execute("DELETE FROM t WHERE id % 3 = 0; UPDATE t SET v = 'unseen' WHERE id % 7 = 0")
        return daemon
    return make


def watch(zoho, least, stop, seen):
    """Notes every count of rows below what has to be there at any time."""
    while not stop.is_set():
        count = len(zoho.rows("t", "id"))
        if count < least:
            seen.append(count)


def test_filled_anew_without_a_hole(zoho, lost, same):
    daemon = lost()
    before, stop, seen = len(zoho.calls()), threading.Event(), []
    watcher = threading.Thread(target=watch, args=(zoho, 2000, stop, seen))
    watcher.start()
    try:
        daemon.start()
        same(daemon)
    finally:
        stop.set()
        watcher.join()
    calls = zoho.calls(since=before)
    assert len([call for call in calls if call["name"] == "batch"]) > 5
    assert not [call for call in calls if call["name"] in ("delete_row", "import")]
    assert not seen
    assert [job["code"] for job in zoho.jobs()] == [1004]


def test_filled_anew_and_counted(zoho, lost):
    daemon = lost()
    zoho.fault("batch", "vanish", rows=2, skip=1)
    daemon.start()
    daemon.wait()
    assert 'wrote 2000 rows, but view "t" at target "zoho" has 1998' in daemon.rule("t")["last_error"]


@pytest.mark.parametrize("batches", [1, 2, 6])
def test_killed_while_it_is_filled_anew(batches, zoho, lost, same):
    daemon = lost()
    zoho.set(batch_open_seconds=3)     # whoever is killed before it knows the key leaves an import that nobody can end
    daemon.launch()
    zoho.wait_calls("batch", batches)
    daemon.sigkill()
    daemon.start()
    same(daemon)
    assert not [job for job in zoho.jobs() if job["code"] in (1001, 1002)]
    assert len(zoho.rows("t", "id")) == 2000


STAGE_FAULTS = {
    "the first batch's answer is lost": {"call": "batch", "do": "drop_after"},
    "another's is lost": {"call": "batch", "do": "drop_after", "skip": 3},
    "another is not taken": {"call": "batch", "do": "drop_before", "skip": 3},
    "error after it was taken": {"call": "batch", "do": "error_after", "skip": 2},
    "token ended": {"call": "batch", "do": "expire_tokens", "skip": 2},
    "the job fails": {"call": "batch", "do": "job_error", "code": 7005, "skip": 2},
    "the job is lost": {"call": "batch", "do": "job_lost"},
}


@pytest.mark.parametrize("name", STAGE_FAULTS)
def test_fault_while_it_is_filled_anew(name, zoho, lost, same):
    if "first" in name:
        zoho.set(batch_open_seconds=3)     # nobody knows its key: it ends by itself
    daemon = lost()
    fault = dict(STAGE_FAULTS[name])
    zoho.fault(fault.pop("call"), fault.pop("do"), **fault)
    daemon.start()
    same(daemon)
    assert zoho.faults()[0]["hits"] == 1
    assert not [job for job in zoho.jobs() if job["code"] in (1001, 1002)]


def test_a_bad_row_while_it_is_filled_anew(db, zoho, lost):
    daemon = lost(BATCHED + "\n  on_error: dead_letter\n  columns: {type: {v: PLAIN}}")
    db.execute("UPDATE t SET v = repeat('x', 300) WHERE id = 1000")
    daemon.start()
    daemon.wait()
    assert [letter["key"]["id"] for letter in daemon.errors()] == ["1000"]
    found = differences(db.main, "t", ZohoView(zoho), where="id <> 1000")
    assert not found, found


def test_a_rule_that_stops_while_it_is_filled_anew(db, zoho, lost, same):
    """What was put aside for it must not take what comes later."""
    daemon = lost(BATCHED + "\n  on_error: stop\n  seed: {workers: 1}")
    db.execute("UPDATE t SET n = 'NaN' WHERE id = 1999")
    daemon.start()
    wait_until(lambda: daemon.rule("t")["state"] == "failed", "the rule has stopped")
    wait_until(lambda: not [job for job in zoho.jobs() if job["code"] in (1001, 1002)], "its import is ended")
    db.execute("UPDATE t SET n = 1 WHERE id = 1999")
    daemon.run("resume", "t")
    same(daemon)
    assert daemon.rule("t")["state"] == "streaming"


def test_filled_anew_with_a_filter_and_counted(zoho, lost, same):
    daemon = lost(BATCHED + "\n  where: id % 2 = 0")
    daemon.start()
    same(daemon, where="id % 2 = 0")
    assert daemon.rule("t")["last_error"] is None and "has the 1000 rows of its seed" in daemon.log()


def test_stopped_while_it_is_filled_anew(zoho, lost, same):
    daemon = lost()
    daemon.launch()
    zoho.wait_calls("batch", 3)
    daemon.sigterm()
    daemon.start()
    same(daemon)
    assert not [job for job in zoho.jobs() if job["code"] in (1001, 1002)]


# ---- the same while the stream goes on ----

@pytest.fixture
def changed(db, zoho, follow, same):
    """A daemon whose rule for t changes while it runs, so that rows have to go: changed(before, rule)."""
    def make(before="", rule="", **options):
        db.execute(TABLE + ";" + ROWS.format(1, 3000) + "; CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u VALUES (1, 'x')")
        zoho.set(**UNLIMITED)
        first = f"- table: public.u\n{BATCHED}\n  seed: {{batch_rows: 300}}"
        daemon = follow(f"{first}\n  on_delete: ignore{before}", job_max="20KiB", poll_interval="100ms",
                        flush_interval_max="200ms", **LIMITS, **options)
        same(daemon)
        db.execute("DELETE FROM t WHERE id > 2900")
        daemon.wait()
        daemon.write_rules(f"{first}\n  where: id > 1000{rule}")
        return daemon
    return make


WHERE = {"where": "id > 1000"}


def test_filled_anew_late_without_a_hole(db, zoho, changed, same, live):
    daemon = changed()
    before, stop, seen = len(zoho.calls()), threading.Event(), []
    watcher = threading.Thread(target=watch, args=(zoho, 1850, stop, seen))
    watcher.start()
    load_ends = live()
    try:
        daemon.sighup()
        zoho.wait_calls("batch", 3)
        # The others go on.
        db.execute("UPDATE u SET v = 'meanwhile'")
        wait_until(lambda: values(zoho, "u") == {"meanwhile"}, "the other rule's change is there")
        wait_until(lambda: [job["code"] for job in zoho.jobs()] == [1004], "the rows are in place", 60)
        load_ends()
        same(daemon, **WHERE)
        same(daemon, "u")
    finally:
        stop.set()
        watcher.join()
    assert not seen
    calls = zoho.calls(since=before)
    assert len([call for call in calls if call["name"] == "batch"]) > 5
    assert not [call for call in calls if call["name"] == "delete_row" and (call["rows"] or 0) > 200]
    assert daemon.rule("t")["state"] == "streaming"


@pytest.mark.parametrize("batches", [1, 3, 6])
def test_killed_while_it_is_filled_anew_late(batches, db, zoho, changed, same, live):
    daemon = changed()
    zoho.set(batch_open_seconds=3)     # whoever is killed before it knows the key leaves an import that nobody can end
    live()
    daemon.sighup()
    zoho.wait_calls("batch", batches)
    daemon.sigkill()
    daemon.start()
    zoho.wait_calls("batch", batches + 4, 60)
    daemon.sigkill()
    daemon.start()
    db.execute("UPDATE u SET v = 'after'")
    daemon.wait(100)
    live.end()
    same(daemon, **WHERE)
    same(daemon, "u")
    assert not [job for job in zoho.jobs() if job["code"] in (1001, 1002)]


@pytest.mark.parametrize("name", STAGE_FAULTS)
def test_fault_while_it_is_filled_anew_late(name, db, zoho, changed, same, live):
    if "first" in name:
        zoho.set(batch_open_seconds=3)
    daemon = changed()
    fault = dict(STAGE_FAULTS[name])
    zoho.fault(fault.pop("call"), fault.pop("do"), **fault)
    live()
    daemon.sighup()
    wait_until(lambda: zoho.faults()[0]["hits"] == 1, "the fault is met")
    live.end()
    same(daemon, **WHERE)
    assert not [job for job in zoho.jobs() if job["code"] in (1001, 1002)]


def test_late_and_broken_off_again_and_again(db, zoho, changed, same):
    """In the end it is done in the other way, which can be broken off."""
    daemon = changed()
    zoho.fault("batch", "job_error", code=7005, times=0)
    daemon.sighup()
    wait_until(lambda: len(zoho.jobs()) == 3, "it was broken off three times")
    same(daemon, **WHERE)
    assert zoho.count("t") == 1900


def test_paused_and_resumed_while_it_is_filled_anew_late(db, zoho, changed, same):
    daemon = changed()
    zoho.fault("batch", "delay", seconds=0.3, times=0)
    daemon.sighup()
    zoho.wait_calls("batch", 2)
    daemon.run("pause", "t")
    db.execute("UPDATE t SET v = 'held back' WHERE id = 2000")
    wait_until(lambda: zoho.count("t") == 1900, "the rows are in place")
    db.execute("UPDATE u SET v = 'goes on'")
    wait_until(lambda: values(zoho, "u") == {"goes on"}, "the other rule's change is there")
    assert daemon.rule("t")["state"] == "paused" and "held back" not in values(zoho, "t")
    daemon.run("resume", "t")
    same(daemon, **WHERE)


def test_resumed_before_it_is_filled_anew_late(db, zoho, changed, same):
    daemon = changed()
    zoho.fault("batch", "delay", seconds=0.3, times=0)
    daemon.sighup()
    zoho.wait_calls("batch", 2)
    daemon.run("pause", "t")
    db.execute("UPDATE t SET v = 'held back' WHERE id = 2000")
    daemon.run("resume", "t")
    same(daemon, **WHERE)
    assert [job["code"] for job in zoho.jobs()] == [1004]


def test_altered_while_it_is_filled_anew_late(db, zoho, changed, same):
    daemon = changed()
    zoho.fault("batch", "delay", seconds=0.2, times=4)
    daemon.sighup()
    zoho.wait_calls("batch", 2)
    db.execute("ALTER TABLE t ADD COLUMN extra int DEFAULT 5; ALTER TABLE t ALTER COLUMN id TYPE bigint; INSERT INTO t (id) VALUES (9999)")
    same(daemon, **WHERE)
    db.execute("CREATE TABLE other (id int PRIMARY KEY)")
    db.execute("UPDATE t SET v = 'x' WHERE id % 2 = 0")
    same(daemon, **WHERE)


def test_a_row_stops_it_while_it_is_filled_anew_late(db, zoho, changed, same):
    daemon = changed("\n  on_error: dead_letter", "\n  on_error: stop")
    db.execute("UPDATE t SET n = 'NaN' WHERE id = 1999")
    daemon.wait()
    daemon.sighup()
    wait_until(lambda: daemon.rule("t")["state"] == "failed", "the rule has stopped")
    assert "seed_failed" in daemon.log() and "rule_stopped" not in daemon.log()
    db.execute("UPDATE u SET v = 'goes on'")
    wait_until(lambda: values(zoho, "u") == {"goes on"}, "the other rule's change is there")
    db.execute("UPDATE t SET n = 1 WHERE id = 1999")
    daemon.run("resume", "t")
    same(daemon, **WHERE)


def test_check_tells_scopes_and_units(daemon, zoho, db):
    db.execute(TABLE)
    zoho.table("t", id="NUMBER", v="PLAIN", n="DECIMAL_NUMBER", at="DATE", day="DATE_AS_DATE", ok="BOOLEAN")
    made = daemon(RULE, targets={"zoho": zoho.target()})
    assert "of 100000 API units are left today" in made.run("check", "--json").stdout
    assert not zoho.rows("t") and len(zoho.tables()) == 1
    token = zoho.new_refresh_token(scopes=["metadata.read", "data.create", "data.read", "data.update"])
    made = daemon(RULE, targets={"zoho": zoho.target(refresh_token=token)})
    said = made.run("check", expect=1)
    said = said.stdout + said.stderr
    assert "modeling.create" in said and "data.delete" in said and "usermanagement.read" in said
    assert "data.update" not in said and "not the scopes ZohoAnalytics.data.create" not in said
