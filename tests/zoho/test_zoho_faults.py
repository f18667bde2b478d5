# SPDX-License-Identifier: PostgreSQL
"""Faults by script, the clock, and what the server tells about calls."""

import http.client
import socket

import pytest
from client import Client
from walmill_testing import wait_until

GONE = (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError)


@pytest.mark.parametrize("deed, done", [("drop_headers", 0), ("drop_before", 0), ("drop_after", 1), ("drop_midway", 1)])
def test_dropped_connection(zoho, client, table, deed, done):
    zoho.fault("import", deed)
    with pytest.raises(GONE):
        client.load(table, "id\n1\n", "APPEND")
    assert zoho.count(table) == done
    assert [(call["status"], call["faults"]) for call in zoho.calls("import")] == [(None, [deed])]
    assert client.load(table, "id\n1\n", "APPEND").status == 200
    assert zoho.count(table) == done + 1


def test_dropped_with_a_large_body(zoho, client, table):
    zoho.fault("import", "drop_headers")
    with pytest.raises(GONE):
        client.load(table, "id\n" + "1\n" * 5_000_000, "APPEND")
    assert zoho.count(table) == 0


def test_client_that_goes_in_the_middle(zoho, client, table):
    """What was not received whole is not done, and no mistake of the server."""
    connection = socket.create_connection(client.host.split(":"))
    connection.sendall(f"POST /restapi/v2{client.path(table)}/data HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
                       f"Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\n".encode())
    zoho.wait_calls("import")
    connection.close()
    assert client.load(table, "id\n1\n").status == 200
    assert zoho.calls("import")[0]["status"] is None


def test_error_instead_of_the_work_and_after_it(zoho, client, table):
    zoho.fault("import", "error", code=7092, times=3)
    assert [client.load(table, "id\n1\n").code for _ in range(4)] == [7092, 7092, 7092, None]
    zoho.fault("import", "error_after")
    answer = client.load(table, "id\n2\n", "APPEND")
    assert (answer.status, answer.code) == (500, 7005)
    assert zoho.rows(table, "id") == [{"id": "1"}, {"id": "2"}]
    zoho.fault("*", "error", code=6045, status=429)
    assert client.insert(table, {"id": "1"}).status == 429


def test_only_of_one_table_and_after_some(zoho, client, table):
    zoho.table("other", id="NUMBER")
    zoho.fault("insert_row", "error", code=8062, table="other", skip=1, times=0)
    codes = [client.insert(name, {"id": "1"}).code for name in ("other", table, "other", table, "other")]
    assert codes == [None, None, 8062, None, 8062]
    assert zoho.faults()[0]["hits"] == 2
    zoho.heal()
    assert client.insert("other", {"id": "1"}).status == 200


def test_chance_by_seed(zoho, table):
    def codes(seed):
        zoho.reset(seed=seed)
        zoho.table(table, id="NUMBER")
        client = Client(zoho)
        zoho.fault("insert_row", "error", code=7005, times=0, probability=0.5)
        return [client.insert(table, {"id": "1"}).code for _ in range(20)]
    assert codes(1) == codes(1)
    assert codes(1) != codes(2)


def test_what_is_not_zoho(zoho, client, table):
    zoho.fault("insert_row", "http")
    zoho.fault("insert_row", "http", status=503, message="<p>later</p>")
    answer = client.insert(table, {"id": "1"})
    assert (answer.status, answer.body) == (502, None)
    zoho.heal()
    assert zoho.count(table) == 0


@pytest.mark.parametrize("deed, done", [("delay", 0), ("delay_after", 1)])
def test_slow_answers(zoho, client, table, deed, done):
    zoho.fault("insert_row", deed, seconds=1.0)
    client.timeout = 0.5
    with pytest.raises(TimeoutError):
        client.insert(table, {"id": "1"})
    assert zoho.count(table) == done
    wait_until(lambda: zoho.calls("insert_row")[0]["status"] == 200, "the answer")
    assert zoho.count(table) == 1


def test_reset_ends_what_is_under_way(zoho, client, table):
    zoho.fault("insert_row", "delay", seconds=60)
    zoho.fault("import_job", "job_stuck")
    client.job(table, "id\n1\n")
    client.timeout = 0.2
    with pytest.raises(TimeoutError):
        client.insert(table, {"id": "1"})
    zoho.reset()
    assert not zoho.jobs() and not zoho.tables() and not zoho.calls()


def test_rows_vanish(zoho, client, table):
    zoho.fault("import", "vanish", rows=2)
    data = client.load(table, "id\n1\n2\n3\n").data
    assert (data["importSummary"]["totalRowCount"], data["importSummary"]["successRowCount"]) == (3, 3)
    assert zoho.rows(table, "id") == [{"id": "3"}]


def test_partial_success(zoho, client, table):
    zoho.fault("import", "partial", rows=2)
    data = client.load(table, "id\n1\n2\n3\n").data
    assert (data["importSummary"]["totalRowCount"], data["importSummary"]["successRowCount"]) == (3, 1)
    assert zoho.rows(table, "id") == [{"id": "3"}]


def test_tokens_that_end_in_the_middle(zoho, client, table):
    job = client.job(table, "id\n1\n").data["jobId"]
    zoho.fault("job", "expire_tokens")
    assert client.details(job).code == 8535
    client.token = client.tokens()["access_token"]
    assert client.ended(job)["jobCode"] == "1004"
    zoho.expire_tokens()
    assert client.insert(table, {"id": "1"}).code == 8535


def test_token_endpoint(zoho, client):
    zoho.fault("token", "throttle")
    assert client.tokens()["error"] == "Access Denied"
    zoho.fault("token", "token_error", message="invalid_client")
    assert client.tokens() == {"error": "invalid_client"}
    zoho.fault("token", "http", status=503)
    assert client.tokens() is None
    zoho.fault("token", "drop_after")
    with pytest.raises(GONE):
        client.tokens()
    assert "access_token" in client.tokens()


def test_quota(zoho, client, table):
    zoho.fault("insert_row", "exhaust", skip=1)
    assert client.insert(table, {"id": "1"}).status == 200
    assert client.insert(table, {"id": "2"}).code == 6043
    assert client.load(table, "id\n1\n").code == 6043
    zoho.set_clock(zoho.now() + 43_200)
    client.token = client.tokens()["access_token"]
    assert client.insert(table, {"id": "2"}).status == 200


def test_jobs_that_fail_or_are_lost(zoho, client, table):
    for code, commit in (("1003", None), ("1005", False), ("1005", True)):
        if code == "1003":
            zoho.fault("import_job", "job_error", code=7005, message="No luck.")
        else:
            zoho.fault("import_job", "job_lost", commit=commit)
        data = client.ended(client.job(table, "id\n1\n", "APPEND").data["jobId"])
        assert data["jobCode"] == code
        if commit is None:
            assert data["jobInfo"] == {"errorCode": 7005, "errorMessage": "No luck."}
        wait_until(lambda: not zoho.definition(table)["importing"], "the table is free")
        assert zoho.count(table) == bool(commit)


def test_job_that_does_not_move(zoho, client, table):
    zoho.fault("batch", "job_stuck")
    job = client.batch(table, "id\n1\n", "start", True).data["jobId"]
    zoho.advance(3000)
    assert client.details(job).data["jobCode"] == "1002"
    assert client.insert(table, {"id": "1"}).code == 7092


def test_batch_that_fails_in_the_middle(zoho, client, table):
    zoho.fault("batch", "job_error", skip=1)
    key = client.batch(table, "id\n1\n", "start", False).data
    client.batch(table, "id\n2\n", key["batchKey"], False)
    client.batch(table, "id\n3\n", key["batchKey"], True)
    assert client.ended(key["jobId"])["jobInfo"]["errorCode"] == 7005
    assert zoho.rows(table, "id") == [{"id": "1"}]


def test_batch_dropped_after_it_was_taken(zoho, client, table):
    key = client.batch(table, "id\n1\n", "start", False, "APPEND").data
    zoho.fault("batch", "drop_after")
    with pytest.raises(GONE):
        client.batch(table, "id\n2\n", key["batchKey"], False)
    client.batch(table, "id\n2\n", key["batchKey"], True)
    assert client.ended(key["jobId"])["jobInfo"]["importSummary"]["totalRowCount"] == 3


def test_calls_are_told(zoho, client, table):
    client.load(table, "id,name\n1,x\n2,y\n")
    client.insert(table, {"id": "x"})
    assert [call["name"] for call in zoho.calls()] == ["token", "import", "insert_row"]
    load, insert = zoho.calls(since=1)
    assert (load["rows"], load["units"], load["status"], load["code"], load["table"]) == (2, 15, 200, None, table)
    assert load["config"]["importType"] == "UPDATEADD" and load["config_in"] == "body"
    assert (insert["units"], insert["status"], insert["code"]) == (0, 400, 7507)
    assert not zoho.calls("token")[0]["secrets_in_url"]


def test_mistakes(zoho, client, table):
    client.load(table, "id\nx\n")
    client.insert(table, {"nowhere": "x"})
    assert not zoho.mistakes()
    client.delete(table)
    client.call("DELETE", f"{client.path(table)}/rows", {"deleteAllRows": True}, where="url")
    client.call("GET", "/nowhere")
    client.send("POST", "/oauth/v2/token?client_secret=x")
    assert [call["name"] for call in zoho.mistakes()] == ["delete_row", "delete_row", "unknown", "token"]


def test_clock(zoho):
    begin = zoho.now()
    assert zoho.advance(100) >= begin + 100
    zoho.freeze()
    assert zoho.now() == zoho.now()
    assert zoho.set_clock(5000.5) == 5000.5 == zoho.now()
    zoho.thaw()
    assert zoho.now() >= 5000.5


def test_target_block(zoho):
    assert f'org: "{zoho.org}"' in zoho.target(daily_units=5).splitlines()
    assert "daily_units: 5" in zoho.target(daily_units=5)
