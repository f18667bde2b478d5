# SPDX-License-Identifier: PostgreSQL
"""The token endpoint, access tokens, scopes, the organisation."""

import json

import pytest
from client import Client

SEARCH = ("GET", "/workspaces")


def test_refresh(zoho, client):
    answer = client.tokens()
    assert answer.pop("access_token").startswith("1000.")
    assert answer == {"api_domain": "https://www.zohoapis.com", "token_type": "Bearer", "expires_in": 3600}
    assert "refresh_token" not in answer
    zoho.set(token_answer_scope=True)
    assert "ZohoAnalytics.data.create" in client.tokens()["scope"]


@pytest.mark.parametrize("change, error", [
    ({"refresh_token": "1000.other"}, "invalid_code"), ({"client_id": "other"}, "invalid_client"),
    ({"client_secret": "other"}, "invalid_client_secret"), ({"refresh_token": None}, "general_error"),
    ({"grant_type": "password"}, "general_error")])
def test_refresh_refused(zoho, client, change, error):
    assert client.tokens(**change) == {"error": error}
    assert zoho.calls("token")[-1]["status"] == 200


def test_parameters_in_the_url_are_taken_and_seen(zoho, client):
    path = (f"/oauth/v2/token?grant_type=refresh_token&client_id={zoho.client_id}"
            f"&client_secret={zoho.client_secret}&refresh_token={zoho.refresh_token}")
    assert "access_token" in client.send("POST", path).body
    assert [call["secrets_in_url"] for call in zoho.calls("token")] == [False, True]


def test_json_is_no_form(zoho, client):
    body = json.dumps({"grant_type": "refresh_token", "client_id": zoho.client_id})
    assert client.send("POST", "/oauth/v2/token", body, {"Content-Type": "application/json"}).body == {
        "error": "general_error"}


def test_grant_code(zoho, client):
    code = zoho.grant_code(scopes=["metadata.read"])
    first = client.tokens(grant_type="authorization_code", code=code, refresh_token=None)
    assert Client(zoho, first["access_token"]).call(*SEARCH).status == 200
    assert "access_token" in client.tokens(refresh_token=first["refresh_token"])
    again = {"grant_type": "authorization_code", "refresh_token": None}
    assert client.tokens(code=code, **again) == {"error": "invalid_code"}
    late = zoho.grant_code()
    zoho.advance(181)
    assert client.tokens(code=late, **again) == {"error": "invalid_code"}


def test_throttle(zoho, client):
    zoho.freeze()
    for _ in range(9):
        assert "access_token" in client.tokens()
    assert client.tokens()["error"] == "Access Denied"
    assert zoho.calls("token")[-1]["status"] == 400
    other = zoho.new_refresh_token()
    assert "access_token" in client.tokens(refresh_token=other)
    zoho.advance(599)
    assert "error" in client.tokens()
    zoho.advance(2)
    assert "access_token" in client.tokens()


def test_fifteen_live_tokens(zoho, client):
    zoho.set(tokens_per_window=100)
    for _ in range(14):
        newest = client.tokens()["access_token"]
    assert client.call(*SEARCH).status == 200
    client.tokens()
    assert (client.call(*SEARCH).status, client.call(*SEARCH).code) == (401, 8535)
    assert Client(zoho, newest).call(*SEARCH).status == 200


def test_twenty_refresh_tokens(zoho, client):
    for _ in range(19):
        zoho.new_refresh_token()
    assert "access_token" in client.tokens()
    zoho.new_refresh_token()
    assert client.tokens() == {"error": "invalid_code"}
    assert client.call(*SEARCH).code == 8535


def test_token_life(zoho, client):
    zoho.advance(3598)
    assert client.call(*SEARCH).status == 200
    zoho.advance(3)
    assert client.call(*SEARCH).code == 8535
    zoho.set(token_life=10)
    assert client.tokens()["expires_in"] == 10


@pytest.mark.parametrize("header", [None, "", "Bearer {}", "Zoho-oauthtoken", "zoho-oauthtoken {}",
                                    "Zoho-oauthtoken x{}"])
def test_authorization_header(client, header):
    answer = client.call(*SEARCH, headers={"Authorization": header and header.format(client.token)})
    assert (answer.status, answer.code) == (401, 8535)
    assert answer.body["status"] == "failure"


@pytest.mark.parametrize("scope, allowed", [
    ("data.create", {"insert", "load", "job", "batch"}), ("data.update", {"update"}), ("data.delete", {"delete"}),
    ("data.read", {"export"}), ("metadata.read", {"views"}), ("modeling.create", {"tables"}),
    ("usermanagement.read", {"resources"}), ("data.all", {"insert", "load", "job", "batch", "update", "delete",
                                                          "export", "details"})])
def test_scopes(zoho, client, table, scope, allowed):
    zoho.set(job_seconds=0)
    token = client.tokens(refresh_token=zoho.new_refresh_token(scopes=[scope]))["access_token"]
    limited = Client(zoho, token)
    answers = {
        "insert": limited.insert(table, {"id": "1"}), "update": limited.update(table, {"id": "1"}, updateAllRows=True),
        "delete": limited.delete(table, deleteAllRows=True), "load": limited.load(table, "id\n1\n"),
        "export": limited.export(table), "views": limited.call("GET", f"/workspaces/{zoho.workspace}/views"),
        "tables": limited.call("POST", f"/workspaces/{zoho.workspace}/tables"),
        "resources": limited.call("GET", "/resources"), "details": limited.details("1"),
        "job": limited.job(table, "id\n1\n", importType="?"), "batch": limited.batch(table, "id\n1\n", "?", False)}
    assert {name for name, answer in answers.items() if answer.code != 8535} == allowed


def test_organisation(zoho, client):
    missing = client.call(*SEARCH, headers={"ZANALYTICS-ORGID": None})
    assert (missing.status, missing.code) == (400, 8083)
    wrong = client.call(*SEARCH, headers={"ZANALYTICS-ORGID": "1"})
    assert (wrong.status, wrong.code) == (404, 7103)
    orgs = client.call("GET", "/orgs", headers={"ZANALYTICS-ORGID": None}).data["orgs"]
    assert orgs[0]["orgId"] == zoho.org


def test_revoked(zoho, client):
    zoho.revoke()
    assert client.call(*SEARCH).code == 8535
    assert client.tokens() == {"error": "invalid_code"}
