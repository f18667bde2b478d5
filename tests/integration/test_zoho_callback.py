# SPDX-License-Identifier: PostgreSQL
"""Zoho Analytics tells that a job has ended, or somebody says so, or nobody does."""

import urllib.error
import urllib.request

import pytest
from walmill_testing import free_port
from walmill_testing.compare import differences
from walmill_testing.zoho_view import ZohoView

NEVER = "600s"      # the next poll: no test waits for that


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def follow(db, daemon, zoho, port):
    """Starts a daemon whose first seed is one job: follow(poll_interval=..., ...)."""
    running = []

    def run(**options):
        db.execute("CREATE TABLE t (id int PRIMARY KEY, v text);"
                   "INSERT INTO t SELECT i, 'value ' || i FROM generate_series(1, 1000) i")
        zoho.set(callback_private=True)
        block = {"flush_interval": "100ms", "import_max": "10KiB", "callback_url": f"http://127.0.0.1:{port}/", **options}
        made = daemon("- table: public.t", targets={"zoho": zoho.target(**block)},
                      settings=f"admin: {{socket: walmill.sock, listen: '127.0.0.1:{port}', secret_key: hush-hush}}\n"
                               "log: {level: debug}")
        running.append(made)
        return made.start()

    yield run
    for each in running:
        if each.process is not None:
            each.sigterm()


@pytest.fixture
def check(db, zoho):
    def same(daemon):
        daemon.wait()
        found = differences(db.main, "t", ZohoView(zoho))
        assert not found, "\n".join(found) + f"\nlog:\n{daemon.log()[-6000:]}"
    return same


def address(zoho, call="import_job"):
    return zoho.wait_calls(call)[0]["config"]["callbackUrl"]


def post(url, body=b"{}", method="POST"):
    """The answer's HTTP status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_end_of_a_job_is_told(zoho, follow, check):
    daemon = follow(poll_interval=NEVER)
    check(daemon)
    assert len(zoho.calls("import_job")) == 1 and len(zoho.calls("job")) == 1
    [told] = zoho.state()["callbacks"]
    assert told["result"] == 200
    assert post(told["url"]) == 404, "it is good for once"
    token = told["url"].rpartition("/")[2]
    assert token[:32] not in daemon.log() + daemon.run("status", "--json").stdout + daemon.metrics()


def test_a_call_that_is_lost_does_no_harm(zoho, follow, check):
    zoho.fault("import_job", "callback_lost")
    daemon = follow(poll_interval="200ms")
    check(daemon)
    assert zoho.state()["callbacks"] == [] and "callbackUrl" in zoho.calls("import_job")[0]["config"]


def test_a_call_that_is_forged_does_no_harm(zoho, follow, check):
    """No job ends until the test lets the clock go on, whatever is said."""
    zoho.freeze()
    daemon = follow(poll_interval=NEVER)
    url = address(zoho)
    before, _, token = url.rpartition("/")
    for wrong in (token[:-1] + ("0" if token[-1] != "0" else "1"), "0" * len(token), token[:32], token + "0", "%00",
                  token.upper() + "x", ""):
        assert post(f"{before}/{wrong}") in (401, 404)
    assert post(url, None, "GET") == 404
    assert not zoho.calls("job")
    lie = b'{"jobId": "1", "jobCode": "1004", "jobStatus": "JOB COMPLETED", "jobInfo": {"importSummary": {}}}'
    assert post(url, lie) == 200
    zoho.wait_calls("job")
    assert daemon.rule("t")["state"] == "seeding" and not zoho.rows("t")
    assert post(url, lie) == 404
    zoho.thaw()
    check(daemon)


def test_an_address_that_zoho_does_not_take(zoho, follow, check):
    zoho.set(callback_private=False)
    zoho.fault("import_job", "error", code=8127)
    daemon = follow(poll_interval="200ms")
    check(daemon)
    assert ["callbackUrl" in call["config"] for call in zoho.calls("import_job") if call["code"] is None] == [False]
    assert daemon.log().count("callback_refused") == 1


def test_a_view_that_is_filled_anew(db, zoho, follow, check):
    daemon = follow(poll_interval=NEVER, job_max="10KiB")
    check(daemon)
    daemon.sources["shop"] = f"uri: {db.uri}\non_slot_lost: seed"
    daemon.write_config()
    daemon.write_rules("- {table: public.t, batch: {rows: 100}}")
    daemon.restart()
    check(daemon)
    daemon.lose_slot("UPDATE t SET v = 'unseen' WHERE id % 7 = 0")
    check(daemon)
    assert "callbackUrl" in zoho.calls("batch")[0]["config"]
    assert zoho.state()["callbacks"][-1]["result"] == 200


def test_an_address_that_is_none(daemon, zoho, db):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    made = daemon("- table: public.t", targets={"zoho": zoho.target(callback_url="walmill.example.com")})
    done = made.run("check", expect=1)
    assert "callback_url" in done.stdout + done.stderr
