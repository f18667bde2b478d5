# SPDX-License-Identifier: PostgreSQL
"""Import jobs of the zoho_analytics target: how many are open at a time, and how their end is learned."""

import pytest
from walmill_testing import wait_until
from walmill_testing.compare import differences
from walmill_testing.zoho_view import ZohoView

UNLIMITED = {"rate_bulk": 0, "rate_dml": 0, "rate_metadata": 0, "rate_overall": 0}
LIMITS = {"imports_per_minute": 1000, "row_calls_per_minute": 1000, "calls_per_minute": 1000,
          "metadata_calls_per_minute": 1000}
TABLES = [f"t{i}" for i in range(8)]


@pytest.fixture
def follow(daemon, zoho):
    """Starts a daemon that writes to the server: follow(rules, targets=2, flush_interval="60s", ...)."""
    running = []

    def run(rules, targets=0, start=True, **options):
        zoho.set(**UNLIMITED)
        block = {"flush_interval": "100ms", "poll_interval": "100ms", **LIMITS, **options}
        named = {f"z{i}": zoho.target(**block, **({"workspace": zoho.workspace_name} if i % 2 else {}))
                 for i in range(targets)}
        made = daemon(rules, targets=named or {"zoho": zoho.target(**block)})
        running.append(made)
        return made.start() if start else made

    yield run
    for each in running:
        if each.process is not None:
            each.sigterm()


def make_tables(db, rows):
    for name in TABLES:
        db.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v text);"
                   f"INSERT INTO {name} SELECT i, '{name} has ' || i FROM generate_series(1, {rows}) i")


def check_same(db, zoho, daemon):
    daemon.wait(120)
    for name in TABLES:
        found = differences(db.main, name, ZohoView(zoho))
        assert not found, "\n".join(found) + f"\nlog:\n{daemon.log()[-6000:]}"


def test_stopped_while_many_views_are_seeded(db, zoho, follow):
    """Seeders share the target: one that meets the stop while it is away must not leave the others without."""
    make_tables(db, 100)
    zoho.set(import_seconds=0.5)
    daemon = follow("\n".join(f"- {{table: public.{name}, seed: {{workers: 8}}}}" for name in TABLES), start=False)
    daemon.launch()
    wait_until(lambda: zoho.calls("import"), "an import is under way")
    daemon.sigterm()
    zoho.set(import_seconds=0)
    daemon.start()
    check_same(db, zoho, daemon)


def test_eight_targets_have_five_jobs_at_most(db, zoho, follow):
    """Of one organisation, by its id and by its name; no job ends until the test lets the clock go on."""
    make_tables(db, 1000)
    rules = "\n".join(f"- {{table: public.{name}, target: z{i}}}" for i, name in enumerate(TABLES))
    daemon = follow(rules, 8, start=False, import_max="10KiB")
    zoho.freeze()
    daemon.start()

    def counts():
        facts = daemon.target("z3")["facts"]
        return facts["jobs_open"], facts["jobs_waiting"], len(zoho.calls("import_job"))

    wait_until(lambda: counts() == (5, 3, 5), "three wait for their turn", 60)
    # Jobs of threads that are gone count until they have ended.
    daemon.write_rules(rules.replace("}", ", batch: {rows: 900}}"))
    daemon.sighup()
    wait_until(lambda: counts() == (5, 8, 5), "all wait for their turn", 60)
    zoho.thaw()
    check_same(db, zoho, daemon)
    assert not [call for call in zoho.calls() if call["code"] is not None]
    assert len(zoho.calls("token")) == 1


def test_jobs_of_others_are_waited_for(db, zoho, follow):
    make_tables(db, 1000)
    zoho.fault("import_job", "error", code=8134, times=0)
    daemon = follow("- table: public.t0", import_max="10KiB")
    wait_until(lambda: "taken by others" in (daemon.target("zoho")["last_error"] or ""), "status says what it waits for")
    assert daemon.target("zoho")["state"] == "retrying"
    zoho.wait_calls("import_job", 3)
    zoho.heal()
    daemon.wait()
    assert not differences(db.main, "t0", ZohoView(zoho))
    assert daemon.target("zoho")["state"] == "ok" and daemon.target("zoho")["last_error"] is None
    assert daemon.log().count("target_waits") == 1 and "target_retry" not in daemon.log()


@pytest.fixture
def lost(db, zoho, follow):
    """A daemon for eight views, whose slot is lost while it is down; rows change meanwhile."""
    make_tables(db, 3000)
    rules = "\n".join(f"- {{table: public.{name}, seed: {{workers: 8}}, batch: {{rows: 50}}}}" for name in TABLES)
    daemon = follow(rules, job_max="20KiB")
    daemon.sources["shop"] = f"uri: {db.uri}\non_slot_lost: seed"
    daemon.write_config()
    daemon.restart()
    check_same(db, zoho, daemon)
    daemon.sigterm()
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    for name in TABLES:
        db.execute(f"DELETE FROM {name} WHERE id % 3 = 0; UPDATE {name} SET v = 'unseen' WHERE id % 7 = 0")
    return daemon


def test_eight_views_are_filled_anew_with_five_jobs_at_most(db, zoho, lost):
    """Batch imports are open for as long as their views are read: none may wait for one that waits for it."""
    before = len(zoho.calls())
    lost.start()
    check_same(db, zoho, lost)
    calls = zoho.calls(since=before)
    assert {call["table"] for call in calls if call["name"] == "batch"} == set(TABLES)
    assert not [call for call in calls if call["code"] is not None or call["name"] in ("delete_row", "import")]
    assert [job["code"] for job in zoho.jobs()] == [1004] * 8


def test_a_table_whose_import_nobody_knows(db, zoho, lost):
    """The first batch is taken, its answer is lost: only the server can end the import, which it does after a day."""
    zoho.fault("batch", "drop_after")
    lost.start()
    zoho.wait_calls("batch")
    [name] = {call["table"] for call in zoho.calls("batch") if call["faults"]}
    wait_until(lambda: "locked since" in (lost.rule(name)["last_error"] or ""), "the rule says what it waits for")
    told = lost.rule(name)["last_error"]
    for word in (f'view "{name}"', "answer to the first batch", "Zoho's support", "zoho:7092"):
        assert word in told
    wait_until(lambda: lost.target("zoho")["last_error"] == told, "so does the target", 30)
    assert lost.target("zoho")["state"] == "retrying" and lost.target("zoho")["facts"]["views_locked"] == 1
    for other in TABLES:
        wait_until(lambda: other == name or not differences(db.main, other, ZohoView(zoho)), "others go on", 60)
    assert lost.log().count("target_waits") == 1
    assert "could not import a batch of rows" in lost.log() and "target_retry: stopping" not in lost.log()
    lost.sigkill()
    lost.start()
    wait_until(lambda: told in (lost.target("zoho")["last_error"] or ""), "it is remembered, with its time")
    zoho.advance(90000)
    check_same(db, zoho, lost)
    assert lost.rule(name)["last_error"] is None and lost.target("zoho")["state"] == "ok"
    assert lost.target("zoho")["facts"]["views_locked"] == 0
    lost.restart()
    assert lost.target("zoho")["facts"]["views_locked"] == 0


def test_a_table_whose_import_nobody_knows_while_the_stream_goes_on(db, zoho, follow):
    """A rule changes, so that its view is filled anew; other rules do not wait for its table."""
    make_tables(db, 3000)
    rules = "- {table: public.t0%s, batch: {rows: 50}}\n- table: public.t1"
    daemon = follow(rules % ", on_delete: ignore", job_max="20KiB")
    daemon.wait()
    zoho.fault("batch", "drop_after")
    daemon.write_rules(rules % ", where: id % 2 = 0")
    daemon.sighup()
    wait_until(lambda: "locked since" in (daemon.rule("t0")["last_error"] or ""), "the rule says what it waits for")
    db.execute("UPDATE t1 SET v = 'meanwhile'; UPDATE t0 SET v = 'late' WHERE id < 100")
    wait_until(lambda: not differences(db.main, "t1", ZohoView(zoho)), "the other rule's view is in step")
    wait_until(lambda: daemon.target("zoho")["state"] == "retrying", "the target says so, too", 30)
    zoho.advance(90000)
    daemon.wait(60)
    assert not differences(db.main, "t0", ZohoView(zoho), where="id % 2 = 0")
    assert daemon.rule("t0")["last_error"] is None and daemon.target("zoho")["state"] == "ok"


def test_a_rule_that_stops_leaves_no_job_behind(db, zoho, lost):
    """More of them than there are places: the others must not wait for these."""
    for name in TABLES[:6]:
        db.execute(f"ALTER TABLE {name} ADD x float8; UPDATE {name} SET x = 'NaN' WHERE id = 2999")
    rules = "\n".join(f"- {{table: public.{name}, seed: {{workers: 8}}, batch: {{rows: 50}}, on_error: stop}}"
                      for name in TABLES)
    lost.write_rules(rules)
    lost.start()
    wait_until(lambda: all(lost.rule(name)["state"] == ("failed" if name in TABLES[:6] else "streaming")
                           for name in TABLES), "all have ended in one way or the other", 60)
    for name in TABLES[6:]:
        assert not differences(db.main, name, ZohoView(zoho))
    wait_until(lambda: not [job for job in zoho.jobs() if job["code"] in (1001, 1002)], "no job is open")
    assert 8134 not in [call["code"] for call in zoho.calls()]
