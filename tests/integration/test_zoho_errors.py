# SPDX-License-Identifier: PostgreSQL
"""What becomes of each error of Zoho Analytics: what goes on by itself, what stops, and what the operator is told."""

import pytest
from walmill_testing import wait_until
from walmill_testing.compare import differences
from walmill_testing.zoho_view import ZohoView

LIMITS = {"imports_per_minute": 1000, "row_calls_per_minute": 1000, "calls_per_minute": 1000,
          "metadata_calls_per_minute": 1000}
# Tried again with the same rows.
AGAIN = {"passing": [7005], "taken": [7092, 8062, 8132, 18072, 7429, 10001], "units": [6043, 6044], "token": [8535]}
# What was known of the view is looked up anew.
MENDED = [7104, 7105, 7106, 7107, 8016, 8046, 7330]
# Of a row, but of none when it is sent again: no row may be blamed for it.
ROWS = [7232, 7208, 7248, 7512, 7515, 7203, 8148, 8149, 8516, 7327, 7507]
# Code: what the operator can do.
RULE = {7137: "only a table", 7397: "only a table", 7439: "only a table", 101021: "only a table",
        7164: "Zoho keeps this table", 7165: "Zoho keeps this table", 7301: "refresh token belongs to",
        8023: "refresh token belongs to", 7319: "another workspace", 7405: "settings", 7478: "exclude"}
TARGET = {7103: '"org" and "workspace"', 8083: '"org"', 6001: "plan's rows are used up", 8079: "zoho:8079", 8504: "zoho:8504"}


@pytest.fixture
def daemon_of_two(db, daemon, zoho):
    """Two views at the server, each of 300 rows, and a file."""
    for name in ("t", "u"):
        db.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v text);"
                   f"INSERT INTO {name} SELECT i, 'value ' || i FROM generate_series(1, 300) i")
    zoho.set(rate_bulk=0, rate_dml=0, rate_metadata=0, rate_overall=0)
    block = zoho.target(flush_interval="100ms", units_retry="100ms", units_per_day=100_000_000, **LIMITS)
    made = daemon("- {table: public.t, target: zoho}\n- {table: public.u, target: zoho}\n"
                  "- {table: public.t, name: file, target: lite}",
                  targets={"zoho": block, "lite": "type: sqlite\npath: lite.db"}).start()
    yield made
    if made.process is not None:
        made.sigterm()


@pytest.fixture
def same(db, zoho, daemon_of_two):
    def check(*tables):
        for name in tables:
            found = differences(db.main, name, ZohoView(zoho))
            assert not found, "\n".join(found) + f"\nlog:\n{daemon_of_two.log()[-6000:]}"
    return check


def change(db, what):
    for name in ("t", "u"):
        db.execute(f"UPDATE {name} SET v = '{what} ' || id")


@pytest.mark.parametrize("codes", [*AGAIN.values(), MENDED, ROWS], ids=[*AGAIN, "mended", "rows"])
def test_goes_on_by_itself(codes, db, zoho, daemon_of_two, same):
    daemon_of_two.wait()
    for code in codes:
        zoho.heal()
        zoho.fault("import", "error", code=code, table="t")
        change(db, code)
        daemon_of_two.wait()
        same("t", "u")
        assert zoho.faults()[0]["hits"] == 1
        # The same of a call for a single row.
        zoho.heal()
        zoho.fault("update_row", "error", code=code, table="t")
        db.execute(f"UPDATE t SET v = 'alone {code}' WHERE id = 1")
        daemon_of_two.wait()
        same("t")
        assert zoho.faults()[0]["hits"] == 1
    assert daemon_of_two.errors() == []
    assert daemon_of_two.target("zoho")["state"] == "ok" and daemon_of_two.target("zoho")["last_error"] is None


@pytest.mark.parametrize("code", RULE)
def test_stops_the_rule_alone(code, db, zoho, daemon_of_two, same):
    daemon_of_two.wait()
    zoho.fault("import", "error", code=code, table="t", message="As Zoho says it.", times=0)
    change(db, "refused")
    wait_until(lambda: daemon_of_two.rule("t")["state"] == "failed", "the rule stops")
    told = daemon_of_two.rule("t")["last_error"]
    assert 'view "t"' in told and f"zoho:{code}" in told and "As Zoho says it." in told and RULE[code] in told
    wait_until(lambda: not differences(db.main, "u", ZohoView(zoho)), "the other rule goes on")
    assert daemon_of_two.rule("u")["state"] == "streaming" and daemon_of_two.target("zoho")["state"] == "ok"
    zoho.heal()
    daemon_of_two.run("resume", "t")
    wait_until(lambda: daemon_of_two.rule("t")["state"] == "streaming", "the rule goes on")
    daemon_of_two.wait()
    same("t", "u")
    assert daemon_of_two.errors() == [] and daemon_of_two.rule("t")["last_error"] is None


@pytest.mark.parametrize("code", TARGET)
def test_stops_the_target_alone(code, db, zoho, daemon_of_two, same):
    daemon_of_two.wait()
    zoho.fault("import", "error", code=code, message="As Zoho says it.", times=0)
    change(db, "refused")
    wait_until(lambda: daemon_of_two.target("zoho")["state"] == "failed", "the target stops")
    told = daemon_of_two.target("zoho")["last_error"]
    assert f"zoho:{code}" in told and "As Zoho says it." in told and TARGET[code] in told
    wait_until(lambda: not daemon_of_two.differences("t", "lite"), "the other target goes on")
    zoho.heal()
    daemon_of_two.restart()
    daemon_of_two.wait()
    same("t", "u")
    assert daemon_of_two.errors() == []


def test_a_token_that_was_revoked(db, daemon, zoho):
    """What the operator reads names the target once, says what is wrong and which command mends it."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    made = daemon("- table: public.t", targets={"zoho": zoho.target()})
    zoho.revoke()
    done = made.run("check", expect=1)
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if "invalid_code" in line]
    assert line.count('target "zoho"') == 1 and "revoked" in line and "walmill zoho login" in line
    made.launch()
    made.wait_exit(1)
    [line] = [line for line in made.log().splitlines() if "ERROR failed:" in line]
    assert line.count('target "zoho"') == 1 and "walmill zoho login" in line
    assert zoho.refresh_token not in made.log() + done.stdout + done.stderr
