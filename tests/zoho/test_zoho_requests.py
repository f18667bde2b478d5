# SPDX-License-Identifier: PostgreSQL
"""What holds for every call: CONFIG, ids, the envelope, limits a minute and units a day."""

import gzip

import pytest
from client import FORM

UPDATE = {"columns": {"id": "1"}, "updateAllRows": True}


def rows(client, table):
    return f"{client.path(table)}/rows"


def test_config_in_body_or_url(zoho, client, table):
    assert client.call("PUT", rows(client, table), UPDATE).status == 200
    assert client.call("PUT", rows(client, table), UPDATE, where="url").status == 200
    assert client.call("DELETE", rows(client, table), {"deleteAllRows": True}, where="url").status == 200
    assert [call["config_in"] for call in zoho.calls("update_row", "delete_row")] == ["body", "url", "url"]
    zoho.set(config_in_body=False)
    assert client.call("PUT", rows(client, table), UPDATE).code == 8504
    zoho.set(config_in_body=True, config_in_url=False)
    assert client.call("PUT", rows(client, table), UPDATE, where="url").code == 8504


def test_config_in_a_multipart_body_or_beside_it(client, table):
    path = f"{client.path(table)}/data"
    config = {"importType": "append", "fileType": "csv", "autoIdentify": True}
    assert client.call("POST", path, config, FILE="id,name\n1,x\n").status == 200
    assert client.call("POST", path, config, where="url", FILE="id,name\n1,x\n").status == 200


@pytest.mark.parametrize("text, code", [
    ("{", 8080), ("[]", 8080), ('{"columns": {"id": "1"}, "updateAllRows": true, "x": 1}', 8080),
    ('{"columns": {"id": "1"}, "columns": {"id": "2"}, "updateAllRows": true}', 8080), ("{}", 8079),
    ('{"columns": {"id": "1"}, "updateAllRows": "true"}', 8516), ('{"columns": ["id"], "updateAllRows": true}', 8516),
    ('{"columns": {"id": "1"}, "updateAllRows": true, "dateFormat": 1}', 8516)])
def test_config_refused(client, table, text, code):
    answer = client.call("PUT", rows(client, table), text)
    assert (answer.status, answer.code) == (400, code)
    assert set(answer.body) == {"status", "summary", "data"} and set(answer.body["data"]) == {
        "errorCode", "errorMessage"}


def test_config_length(client, table):
    assert client.insert(table, {"name": "x" * 100_001}).code == 8507


def test_bodies_that_are_no_form(client, table):
    path = rows(client, table)
    assert client.call("PUT", path, headers={"Content-Type": "application/json"}).code == 8504
    packed = gzip.compress(b"CONFIG=%7B%7D")
    answer = client.send("PUT", f"/restapi/v2{path}", packed, {
        "Authorization": f"Zoho-oauthtoken {client.token}", "ZANALYTICS-ORGID": client.zoho.org,
        "Content-Type": FORM, "Content-Encoding": "gzip"})
    assert answer.code == 8504


def test_ids(zoho, client, table):
    view = zoho.definition(table)["id"]
    other = zoho.control("POST", "workspaces", {"name": "Other"})["id"]
    for workspace, table_id, status, code in (("1", view, 404, 7103), (zoho.workspace, "1", 404, 7104),
                                              (other, view, 400, 7319)):
        answer = client.call("PUT", f"/workspaces/{workspace}/views/{table_id}/rows", UPDATE)
        assert (answer.status, answer.code) == (status, code)


def test_paths_and_methods_that_are_none(zoho, client, table):
    assert client.call("PUT", f"{client.path(table)}/data", {}).status == 404
    assert client.call("GET", "/nowhere").status == 404
    assert len(zoho.calls("unknown")) == 2


@pytest.mark.parametrize("kind, limit, work", [
    ("dml", 100, lambda client: client.insert("t", {"nowhere": "1"})),
    ("bulk", 40, lambda client: client.load("t", "")),
    ("metadata", 60, lambda client: client.call("GET", "/workspaces"))])
def test_calls_a_minute(zoho, client, table, kind, limit, work):
    zoho.freeze()
    codes = {work(client).code for _ in range(limit)}
    assert 6045 not in codes
    refused = work(client)
    assert (refused.status, refused.code) == (200, 6045)
    zoho.set(quota_status=429)
    assert work(client).status == 429
    zoho.advance(60)
    assert work(client).code != 6045


def test_calls_a_minute_overall(zoho, client, table):
    zoho.freeze()
    for _ in range(60):
        client.insert(table, {"nowhere": "1"})
    for _ in range(40):
        assert client.call("GET", "/workspaces").code is None
    assert client.insert(table, {"id": "1"}).code == 6045
    zoho.set(rate_overall=0)
    assert client.insert(table, {"id": "1"}).code is None


def test_units_a_day(zoho, client, table):
    zoho.set(plan="Free", token_life=100_000)
    client.token = client.tokens()["access_token"]
    zoho.use_units(998.5)
    assert client.insert(table, {"id": "1"}).status == 200
    refused = client.insert(table, {"id": "2"})
    assert (refused.status, refused.code) == (200, 6043)
    assert client.load(table, "id\n3\n").code == 6043
    assert client.job(table, "id\n3\n").code == 6043
    assert client.batch(table, "id\n3\n", "start", False).code == 6043
    zoho.set(quota_code=6044, quota_status=400)
    refused = client.delete(table, deleteAllRows=True)
    assert (refused.status, refused.code) == (400, 6044)
    zoho.set_clock(zoho.now() // 86400 * 86400 + 86400 - 2)
    assert client.insert(table, {"id": "2"}).code == 6044
    zoho.advance(2)
    assert client.insert(table, {"id": "2"}).status == 200


def test_prices(zoho, client, table):
    def price(work):
        before = zoho.units()
        work()
        return zoho.units() - before

    lines = "".join(f"{number},x\n" for number in range(1500))
    assert price(lambda: client.load(table, f"id,name\n{lines}", "APPEND")) == 20
    assert price(lambda: client.load(table, f"id,name\n{lines}")) == 30
    assert price(lambda: client.load(table, "id,name\n1,x\n")) == 15
    assert price(lambda: client.update(table, {"name": "x"}, criteria='"id" < 3')) == 3
    zoho.set(price_whole_thousands=False, price_row_update=0.3)
    assert price(lambda: client.load(table, "id,name\n1,x\n2,y\n")) == pytest.approx(0.03)
    assert price(lambda: client.update(table, {"name": "x"}, criteria='"id" = -1')) == pytest.approx(0.3)


def test_rows_of_the_plan(zoho, client, table):
    zoho.set(plan_rows=2)
    client.insert(table, {"id": "1"})
    assert client.load(table, "id\n2\n3\n").code == 6001
    assert client.load(table, "id\n1\n2\n").status == 200
    assert client.insert(table, {"id": "3"}).code == 6001
    assert zoho.rows(table, "id") == [{"id": "1"}, {"id": "2"}]


def test_wrong_use_of_the_control_interface(zoho):
    for work in (lambda: zoho.set(colour="red"), lambda: zoho.fault("import", "explode"),
                 lambda: zoho.table("x", c="NOTYPE"), lambda: zoho.rows("nowhere")):
        with pytest.raises(AssertionError):
            work()
