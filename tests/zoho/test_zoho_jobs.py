# SPDX-License-Identifier: PostgreSQL
"""Import jobs and batch imports."""

import http.server
import json
import threading

import pytest
from client import Client, import_config, CSV
from walmill_testing import wait_until


def test_states(zoho, client, table):
    zoho.freeze()
    zoho.set(job_queue_seconds=10, job_seconds=20)
    job = client.job(table, "id,name\n1,x\n").data["jobId"]
    assert client.details(job).data == {"jobId": job, "jobCode": "1001", "jobStatus": "JOB NOT INITIATED"}
    zoho.advance(11)
    wait_until(lambda: client.details(job).data["jobCode"] == "1002", "the job began")
    assert client.insert(table, {"id": "2"}).code == 7092
    assert zoho.count(table) == 0
    zoho.advance(25)
    data = client.ended(job)
    assert (data["jobCode"], data["jobStatus"]) == ("1004", "JOB COMPLETED")
    assert data["jobInfo"]["importSummary"]["successRowCount"] == 1
    assert data["jobInfo"]["viewId"] == zoho.definition(table)["id"]
    assert data["expiryTime"] == str(int((zoho.now() + 3600) * 1000))
    assert zoho.rows(table, "id") == [{"id": "1"}]
    zoho.advance(3550)
    client.token = client.tokens()["access_token"]
    assert client.details(job).data["jobCode"] == "1004"
    zoho.advance(51)
    assert client.details(job).data == {"jobId": job, "jobCode": "1005", "jobStatus": "JOB NOT FOUND"}


def test_error(zoho, client, table):
    data = client.ended(client.job(table, "id\nx\n").data["jobId"])
    assert (data["jobCode"], data["jobInfo"]["errorCode"]) == ("1003", 7232)
    assert "[Line: 2 Field:  1] (id)" in data["jobInfo"]["errorMessage"]
    assert zoho.count(table) == 0
    assert client.insert(table, {"id": "1"}).status == 200


def test_refused_at_once(zoho, client, table):
    assert client.job(table, "").code == 7203
    assert client.job(table, "id\n1\n", importType="X").code == 8119
    assert client.job(table, "id\n1\n", matchingColumns=["nowhere"]).code == 7107
    path = f"/bulk{client.path(table)}/data"
    assert client.call("POST", path, import_config("APPEND", {}), DATA="id\n1\n").code == 8504
    zoho.set(bulk_file_max=10)
    assert client.job(table, "id\n1\n2\n3\n4\n").code == 8139
    assert not zoho.jobs()


def test_only_the_maker_may_ask(zoho, client, table):
    job = client.job(table, "id\n1\n").data["jobId"]
    token = client.tokens(refresh_token=zoho.new_refresh_token(user="other"))["access_token"]
    refused = Client(zoho, token).details(job)
    assert (refused.status, refused.code) == (403, 8138)
    unknown = client.details("1")
    assert (unknown.status, unknown.code) == (404, 8137)
    zoho.set(unknown_job=1005)
    assert client.details("1").data["jobCode"] == "1005"


def test_five_at_a_time(zoho, client):
    zoho.set(job_seconds=1000)
    for number in range(6):
        zoho.table(f"t{number}", id="NUMBER")
    for number in range(4):
        assert client.job(f"t{number}", "id\n1\n").status == 200
    assert client.job("t0", "id\n1\n").code == 7092
    open_batch = client.batch("t4", "id\n1\n", "start", False).data
    assert client.job("t5", "id\n1\n").code == 8134
    assert client.batch("t5", "id\n1\n", "start", False).code == 8134
    client.batch("t4", "id\n2\n", open_batch["batchKey"], True)
    zoho.advance(1001)
    client.ended(open_batch["jobId"])
    assert client.job("t5", "id\n1\n").status == 200


def test_job_status_costs_nothing(zoho, client, table):
    job = client.job(table, "id\n1\n").data["jobId"]
    client.ended(job)
    assert zoho.units() == 15


# ---- batches ----

def test_batches(zoho, client, table):
    first = client.batch(table, "id,name\n1,a\n2,b\n", "start", False, "APPEND").data
    assert set(first) == {"batchKey", "jobId"} and first["batchKey"] != "start"
    wait_until(lambda: zoho.count(table) == 2, "the first batch is seen")
    assert client.details(first["jobId"]).data["batchKey"] == first["batchKey"]
    assert client.batch(table, "id,name\n3,c\n", first["batchKey"], False).data == first
    assert client.insert(table, {"id": "9"}).code == 7092
    assert client.batch(table, "id,name\n4,d\n", first["batchKey"], True).data == first
    data = client.ended(first["jobId"])
    assert data["jobCode"] == "1004"
    assert data["jobInfo"]["importSummary"]["totalRowCount"] == 4
    assert [row["id"] for row in zoho.rows(table)] == ["1", "2", "3", "4"]


def test_truncateadd_is_seen_at_the_end(zoho, client, table):
    client.load(table, "id,name\n1,old\n2,old\n")
    key = client.batch(table, "id,name\n1,new\n", "start", False, "TRUNCATEADD").data
    wait_until(lambda: zoho.units() == 15 + 10, "the first batch is read")
    assert [row["name"] for row in zoho.rows(table)] == ["old", "old"]
    client.batch(table, "id,name\n3,new\n", key["batchKey"], True)
    assert client.ended(key["jobId"])["jobInfo"]["importSummary"]["importType"] == "TRUNCATEADD"
    assert zoho.rows(table) == [{"id": "1", "name": "new", "price": None}, {"id": "3", "name": "new", "price": None}]
    client.load(table, "id,name\n1,again\n")
    assert client.update(table, {"name": "x"}, criteria='"id"=3').data["updatedRows"] == 1


def test_failed_truncateadd_changes_nothing(zoho, client, table):
    client.load(table, "id,name\n1,old\n")
    key = client.batch(table, "id,name\n1,new\n", "start", False, "TRUNCATEADD").data
    client.batch(table, "id,name\nx,new\n", key["batchKey"], False)
    client.batch(table, "id,name\n3,new\n", key["batchKey"], True)
    data = client.ended(key["jobId"])
    assert (data["jobCode"], data["jobInfo"]["errorCode"]) == ("1003", 7232)
    assert [row["name"] for row in zoho.rows(table)] == ["old"]


def test_failed_upsert_keeps_earlier_batches(zoho, client, table):
    key = client.batch(table, "id\n1\n", "start", False).data
    client.batch(table, "id\nx\n", key["batchKey"], False)
    client.batch(table, "id\n3\n", key["batchKey"], True)
    assert client.ended(key["jobId"])["jobCode"] == "1003"
    assert zoho.rows(table, "id") == [{"id": "1"}]


def test_every_batch_has_the_header(zoho, client, table):
    key = client.batch(table, "id,name\n1,x\n", "start", False).data
    client.batch(table, "2,y\n3,z\n", key["batchKey"], True)
    assert client.ended(key["jobId"])["jobInfo"]["errorCode"] == 8016


def test_batch_keys(zoho, client, table):
    zoho.table("other", id="NUMBER")
    assert client.batch(table, "id\n1\n", "nonsense", False).code == 7338
    key = client.batch(table, "id\n1\n", "start", False).data["batchKey"]
    assert client.batch("other", "id\n1\n", key, False).code == 7340
    assert client.batch(table, "", key, False).code == 7203
    assert client.batch(table, "id\n1\n", key, "true").code == 8516
    zoho.set(batches_max=2)
    assert client.batch(table, "id\n2\n", key, False).status == 200
    assert client.batch(table, "id\n3\n", key, True).code == 7336
    zoho.set(batches_max=3)
    assert client.batch(table, "id\n3\n", key, True).status == 200
    assert client.batch(table, "id\n4\n", key, True).code == 7337


@pytest.mark.parametrize("more, code", [
    ({"fileType": "CSV"}, 8080), ({"importType": None}, 8079), ({"commentChar": None}, 8079), ({"colour": 1}, 8080),
    ({"matchingColumns": None}, 8079)])
def test_first_batch_refused(zoho, client, table, more, code):
    assert client.batch(table, "id\n1\n", "start", False, **more).code == code
    assert not zoho.jobs()


def test_batch_keys_are_mandatory(client, table):
    path = f"/bulk{client.path(table)}/data/batch"
    for config in ({"batchKey": "start"}, {"isLastBatch": True}):
        assert client.call("POST", path, {**import_config("APPEND", {"fileType": None}), **config},
                           FILE="id\n1\n").code == 8079


def test_batch_left_open(zoho, client, table):
    key = client.batch(table, "id\n1\n", "start", False).data
    zoho.set(token_life=10**6)
    zoho.advance(86_401)
    client.token = client.tokens()["access_token"]
    assert client.ended(key["jobId"])["jobCode"] == "1003"
    assert client.batch(table, "id\n1\n", key["batchKey"], True).code == 7337
    assert client.load(table, "id\n1\n").status == 200


def test_batches_into_a_new_table(zoho, client):
    config = {**CSV, "tableName": "fresh", "batchKey": "start", "isLastBatch": False}
    config.pop("fileType")
    path = f"/bulk/workspaces/{zoho.workspace}/data/batch"
    key = client.call("POST", path, config, FILE="id,name\n1,a\n").data
    client.call("POST", path, {"batchKey": key["batchKey"], "isLastBatch": True}, FILE="id,name\n2,b\n")
    assert client.ended(key["jobId"])["jobInfo"]["importSummary"]["successRowCount"] == 2
    assert zoho.rows("fresh") == [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]


# ---- callbacks ----

@pytest.fixture
def listener():
    """An HTTP server, and what was sent to it."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/told", got
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("text, code", [("id\n1\n", "1004"), ("id\nx\n", "1003")])
def test_callback(zoho, client, table, listener, text, code):
    url, got = listener
    zoho.set(callback_private=True)
    job = client.job(table, text, callbackUrl=url).data["jobId"]
    wait_until(lambda: zoho.state()["callbacks"], "the callback")
    assert [(body["jobId"], body["jobCode"]) for body in got] == [(job, code)]
    assert got[0] == client.details(job).data
    assert [(each["url"], each["result"]) for each in zoho.state()["callbacks"]] == [(url, 500)]


def test_callback_refused(zoho, client, table, listener):
    for url in ("nonsense", "ftp://b.example/", "http://", "http://h:port/", "http://b.example/" + "x" * 10_000):
        assert client.job(table, "id\n1\n", callbackUrl=url).code == 8125
    assert client.job(table, "id\n1\n", callbackUrl=listener[0]).code == 8127
    zoho.set(callback_private=True)
    assert client.job(table, "id\n1\n", callbackUrl="http://127.0.0.1:1/").code == 8126
    assert not zoho.jobs()


def test_callback_lost(zoho, client, table, listener):
    url, got = listener
    zoho.set(callback_private=True)
    zoho.fault("import_job", "callback_lost")
    lost = client.job(table, "id\n1\n", callbackUrl=url).data["jobId"]
    wait_until(lambda: client.details(lost).data["jobCode"] == "1004", "the job has ended")
    told = client.job(table, "id\n2\n", callbackUrl=url).data["jobId"]
    wait_until(lambda: zoho.state()["callbacks"], "the other's callback")
    assert [body["jobId"] for body in got] == [told]
