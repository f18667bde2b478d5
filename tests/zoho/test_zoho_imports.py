# SPDX-License-Identifier: PostgreSQL
"""Synchronous imports."""

import json
import threading
import urllib.parse

import pytest
from client import CSV, FORM, Client, import_config
from walmill_testing import wait_until


def ids(zoho, table="t"):
    return [row["id"] for row in zoho.rows(table, "id")]


def test_upsert(zoho, client, table):
    client.insert(table, {"id": "1", "name": "old", "price": "1"})
    data = client.load(table, "id,name,price\n1,new,2.50\n2,second,\n").data
    assert data == {
        "importSummary": {"importType": "UPDATEADD", "totalColumnCount": 3, "selectedColumnCount": 3,
                          "totalRowCount": 2, "successRowCount": 2, "warnings": 0, "importOperation": "updated"},
        "columnDetails": {"id": "Number", "name": "Plain Text", "price": "Decimal Number"}, "importErrors": ""}
    assert zoho.rows(table) == [{"id": "1", "name": "new", "price": "2.5"},
                                {"id": "2", "name": "second", "price": None}]


def test_append_and_truncate(zoho, client, table):
    for kind, expected in (("append", ["1"]), ("APPEND", ["1", "1"]), ("TruncateAdd", ["1"])):
        assert client.load(table, "id\n1\n", kind).data["importSummary"]["importType"] == kind.upper()
        assert ids(zoho) == expected


@pytest.mark.parametrize("change, code", [
    ({"importType": None}, 8079), ({"importType": "REPLACE"}, 8119), ({"fileType": None}, 8079),
    ({"fileType": "TXT"}, 8516), ({"autoIdentify": None}, 8079), ({"autoIdentify": "false"}, 8516),
    ({"delimiter": None}, 8079), ({"quoted": None}, 8079), ({"commentChar": None}, 8079), ({"delimiter": "0"}, 8516),
    ({"delimiter": 4}, 8516), ({"quoted": 3}, 8516), ({"delimiter": True}, 8516), ({"onError": "IGNORE"}, 8516),
    ({"matchingColumns": None}, 8079), ({"matchingColumns": []}, 8516), ({"matchingColumns": "id"}, 8516),
    ({"matchingColumns": ["ID"]}, 7107), ({"matchingColumns": ["nowhere"]}, 7107),
    ({"matchingColumns": [f"c{n}" for n in range(101)]}, 8516), ({"selectedColumns": ["nowhere"]}, 8046),
    ({"thousandSeparator": 0, "decimalSeparator": 1}, 8148), ({"thousandSeparator": 1}, 8148),
    ({"columnSeparators": {"price": [","]}}, 8149), ({"columnSeparators": {"price": [",", ","]}}, 8148),
    ({"columnSeparators": {"nowhere": [",", "."]}}, 7107), ({"colour": "red"}, 8080), ({"callbackUrl": "x"}, 8080),
    ({"skipTop": -1}, 8516), ({"matchNulls": "no"}, 8516)])
def test_config_refused(zoho, client, table, change, code):
    assert client.load(table, "id,name,price\n1,x,1\n", **change).code == code
    assert zoho.count(table) == 0


def test_matching_column_has_to_be_in_the_file(client, table):
    assert client.load(table, "name\nx\n").code == 7107


@pytest.mark.parametrize("text, code", [
    ("", 7203), (" \n", 7203), ("id,name,price\n", 7203), ("id,name\n1,x,y\n", 7208), ('id,name\n1,"x\n', 7248),
    ('id,name\n1,"x"y\n', 7248), (b"id,name\n1,\xff\n", 7248), ("id,id\n1,1\n", 7248), ("a,b\n1,2\n", 8016),
    ("id\nx\n", 7232)])
def test_files_refused(zoho, client, table, text, code):
    assert client.load(table, text, "APPEND").code == code
    assert zoho.count(table) == 0


@pytest.mark.parametrize("kind, text, code", [("JSON", " ", 7203), ("JSON", "[1]", 7248), ("JSON", '[{"id": []}]', 7248),
                                              ("XML", "<id>1</id>", 7248)])
def test_other_files_refused(client, table, kind, text, code):
    assert client.load(table, text, fileType=kind).code == code


def test_sizes(zoho, client, table):
    path = f"{client.path(table)}/data"
    zoho.set(file_max=1000, data_max=500)
    assert client.load(table, "id\n" + "1\n" * 600).code == 8139
    config = import_config("APPEND", {})
    assert client.call("POST", path, config, DATA="id\n" + "1\n" * 250).code == 8139
    assert client.call("POST", path, config, DATA="id\n1\n").data["importSummary"]["successRowCount"] == 1
    assert client.call("POST", path, config, DATA="id\n1\n", FILE="id\n1\n").code == 8080
    assert client.call("POST", path, config).code == 8504


def test_data_in_a_form(zoho, client, table):
    body = urllib.parse.urlencode({"CONFIG": json.dumps(import_config("APPEND", {})), "DATA": 'id,name\n1,"a&b=c+d"\n'})
    answer = client.send("POST", f"/restapi/v2{client.path(table)}/data", body, {
        "Authorization": f"Zoho-oauthtoken {client.token}", "ZANALYTICS-ORGID": zoho.org, "Content-Type": FORM})
    assert answer.data["importSummary"]["successRowCount"] == 1
    assert zoho.rows(table, "name") == [{"name": "a&b=c+d"}]
    assert zoho.calls("import")[0]["bytes"] == 20


def test_all_or_nothing(zoho, client, table):
    lines = "".join(f"{number},n\n" for number in range(1, 8))
    refused = client.load(table, f"id,name\n{lines}x,n\n9,n\ny,n\n", "APPEND")
    assert (refused.status, refused.code) == (400, 7232)
    message = refused.body["data"]["errorMessage"]
    assert message == "<nobr>[Line: 9 Field:  1] (id) -ERROR: invalid number value</NOBR><br>"
    assert zoho.count(table) == 0
    zoho.set(abort_error_lines=10)
    assert client.load(table, f"id,name\n{lines}x,n\n9,n\ny,n\n").body["data"]["errorMessage"].count("Line:") == 2


def test_rows_skipped_or_emptied(zoho, client, table):
    text = "id,name,price\n1,a,cheap\n2,b,5\n"
    data = client.load(table, text, onError="SKIPROW").data
    assert (data["importSummary"]["totalRowCount"], data["importSummary"]["successRowCount"]) == (2, 1)
    assert "[Line: 2 Field:  3] (price) -ERROR" in data["importErrors"]
    assert ids(zoho) == ["2"]
    data = client.load(table, text, onError="SETCOLUMNEMPTY").data
    assert (data["importSummary"]["successRowCount"], data["importSummary"]["warnings"]) == (2, 1)
    assert "-WARNING" in data["importErrors"]
    assert zoho.rows(table)[1] == {"id": "1", "name": "a", "price": None}


def test_truncate_that_fails(zoho, client, table):
    client.insert(table, {"id": "1"})
    assert client.load(table, "id\nx\n", "TRUNCATEADD").code == 7232
    assert zoho.count(table) == 0
    zoho.set(truncateadd_failure="restored")
    client.insert(table, {"id": "1"})
    assert client.load(table, "id\nx\n", "TRUNCATEADD").code == 7232
    assert zoho.count(table) == 1


@pytest.mark.parametrize("text, more", [
    ("id\tname\n1\ta,b\n", {"delimiter": 1}), ("id;name\n1;a,b\n", {"delimiter": 2}),
    ("id name\n1 a,b\n", {"delimiter": 3}),
    ("id;name\n1;a,b\n", {"autoIdentify": True}), ("id,name\n1,'a,b'\n", {"quoted": 1}), ('id,name\r\n1,"a,b"\r\n', {}),
    ('id\tname\n1\ta,b\n', {"delimiter": 1, "quoted": 0}), ('#\nid,name\n# x\n1,"a,b"\n', {"commentChar": "#"}),
    ('x\ny\nid,name\n1,"a,b"\n', {"skipTop": 2}), ('extra,id,name\n0,1,"a,b"\n', {}),
    ('id,price,name\n1,9,"a,b"\n', {"selectedColumns": ["id", "name"]}),
    (json.dumps([{"id": 1, "name": "a,b"}]), {"fileType": "JSON"})])
def test_forms_of_a_file(zoho, client, table, text, more):
    assert client.load(table, text, **more).data["importSummary"]["successRowCount"] == 1
    assert zoho.rows(table) == [{"id": "1", "name": "a,b", "price": None}]


def test_texts_arrive_as_they_are(zoho, client):
    zoho.table("m", id="NUMBER", note="MULTI_LINE")
    notes = ['say "yes"', "two\nlines", "two\r\nlines", "a,b", " blanks ", "żółw 🐢", "'", "\\n", "#x", "0012"]
    lines = "".join('%d,"%s"\n' % (number, note.replace('"', '""')) for number, note in enumerate(notes))
    client.load("m", f"id,note\n{lines}")
    assert [row["note"] for row in zoho.rows("m")] == notes


def test_comment_char_hides_what_begins_a_line(zoho, client):
    zoho.table("m", id="NUMBER", note="MULTI_LINE")
    client.load("m", 'id,note\n1,"a\n#b\nc"\n', commentChar="#")
    assert zoho.rows("m") == [{"id": "1", "note": "a\nc"}]


def test_byte_order_mark(zoho, client, table):
    assert client.load(table, "\ufeffid,name\n1,x\n").code == 7107
    zoho.set(utf8_bom="strip")
    assert client.load(table, "\ufeffid,name\n1,x\n").status == 200


def test_header_is_matched_exactly(zoho, client, table):
    data = client.load(table, "id,NAME\n1,x\n").data
    assert (data["importSummary"]["totalColumnCount"], data["importSummary"]["selectedColumnCount"]) == (2, 1)
    zoho.set(unknown_file_columns="error")
    assert client.load(table, "id,NAME\n1,x\n").code == 8016
    zoho.set(file_header_ignores_case=True)
    assert client.load(table, "id,NAME\n1,x\n").status == 200
    assert zoho.rows(table, "name") == [{"name": "x"}]


def test_missing_columns_in_an_update(zoho, client, table):
    client.insert(table, {"id": "1", "name": "x", "price": "5"})
    zoho.set(updateadd_missing_columns="keep")
    client.load(table, "id,name\n1,y\n")
    assert zoho.rows(table) == [{"id": "1", "name": "y", "price": "5"}]
    zoho.set(updateadd_missing_columns="clear")
    client.load(table, "id,name\n1,z\n")
    assert zoho.rows(table) == [{"id": "1", "name": "z", "price": None}]


@pytest.mark.parametrize("setting, expected", [
    ("insert_all", [("1", "a"), ("2", "a"), ("2", "b")]), ("last_wins", [("1", "b"), ("2", "b")]),
    ("first_wins", [("1", "a"), ("2", "a")]), ("error", [("1", "old")])])
def test_a_key_twice_in_a_file(zoho, client, table, setting, expected):
    zoho.set(duplicate_keys=setting)
    client.insert(table, {"id": "1", "name": "old"})
    assert client.load(table, "id,name\n1,a\n1,b\n2,a\n2,b\n").code == (7232 if setting == "error" else None)
    assert [(row["id"], row["name"]) for row in zoho.rows(table)] == expected


def test_a_key_twice_in_the_table(zoho, client, table):
    client.load(table, "id,name\n1,a\n1,b\n", "APPEND")
    client.load(table, "id,name\n1,c\n")
    assert [row["name"] for row in zoho.rows(table)] == ["c", "c"]
    zoho.set(duplicate_matches="first")
    client.load(table, "id,name\n1,d\n")
    assert [row["name"] for row in zoho.rows(table)] == ["d", "c"]


def test_keys_that_are_null(zoho, client, table):
    for _ in range(2):
        client.load(table, "id,name,price\n,x,1\n", matchingColumns=["id", "name"])
    assert zoho.count(table) == 2
    client.load(table, "id,name,price\n,x,2\n", matchingColumns=["id", "name"], matchNulls=True)
    assert [row["price"] for row in zoho.rows(table)] == ["2", "2"]


def test_keys_are_compared_as_values(zoho, client, table):
    client.load(table, "id,name,price\n1,x,2.50\n")
    client.load(table, "id,name,price\n01,y,2.5\n", matchingColumns=["price"])
    assert zoho.rows(table) == [{"id": "1", "name": "y", "price": "2.5"}]


def test_one_import_at_a_time(zoho, client, table):
    zoho.set(import_seconds=0.5)
    answers = []
    other = threading.Thread(target=lambda: answers.append(Client(zoho).load(table, "id\n1\n")))
    other.start()
    wait_until(lambda: zoho.definition(table)["importing"], "the import began")
    assert client.load(table, "id\n2\n").code == 7092
    assert client.job(table, "id\n2\n").code == 7092
    assert client.batch(table, "id\n2\n", "start", False).code == 7092
    assert client.insert(table, {"id": "2"}).code == 7092
    assert client.update(table, {"id": "2"}, updateAllRows=True).code == 7092
    assert client.delete(table, deleteAllRows=True).code == 7092
    assert client.call("POST", f"{client.path(table)}/columns", {"columnName": "c", "dataType": "PLAIN"}).code == 7092
    other.join()
    assert answers[0].status == 200
    assert client.insert(table, {"id": "2"}).status == 200
    assert ids(zoho) == ["1", "2"]


@pytest.mark.parametrize("kind, type, code", [("", 6, 7439), ("snapshot", 0, 7165), ("system", 0, 7164),
                                              ("stream", 0, 101021), ("norows", 0, None)])
def test_other_views(zoho, client, kind, type, code):
    zoho.table("other", kind, type, **({} if type else {"id": "NUMBER"}))
    assert client.load("other", "id\n1\n").code == code


@pytest.mark.parametrize("kind, right", [("APPEND", "importAppend"), ("TRUNCATEADD", "importDeleteAllAdd"),
                                         ("UPDATEADD", "importAddOrUpdate")])
def test_rights(zoho, client, table, kind, right):
    zoho.deny(right)
    refused = client.load(table, "id\n1\n", kind)
    assert (refused.status, refused.code) == (403, 7301)
    zoho.deny()
    assert client.load(table, "id\n1\n", kind).status == 200


def test_mandatory_and_lookup_columns(zoho, client, table):
    client.insert(table, {"id": "1"})
    zoho.table("child", id={"type": "NUMBER", "mandatory": True}, of={"type": "NUMBER", "lookup": ["t", "id"]})
    assert client.load("child", "id,of\n,1\n", "APPEND").code == 7232
    assert client.load("child", "of\n1\n", "APPEND").code == 7232
    assert client.load("child", "id,of\n1,2\n").code == 7232
    data = client.load("child", "id,of\n1,2\n,1\n3,1\n", onError="SETCOLUMNEMPTY").data["importSummary"]
    assert (data["totalRowCount"], data["successRowCount"], data["warnings"]) == (3, 2, 1)
    assert zoho.rows("child") == [{"id": "1", "of": None}, {"id": "3", "of": "1"}]


def test_import_details(zoho, client, table):
    def details():
        return client.call("GET", f"{client.path(table)}/importdetails").data

    assert details() == {}
    client.load(table, "id,name\n1,x\n2,y\n")
    found = details()
    assert found["lastImportTime"].startswith("16 September, 2026 12:00:0")
    assert found["lastImportStatus"] == "Success" and found["viewName"] == table
    assert found["columns"] == {"total": "2", "success": "2"}
    assert found["rows"] == {"total": "2", "success": "2", "warning": "0", "failed": "0"}
    client.load(table, "id\nx\n3\n", onError="SKIPROW")
    assert (details()["lastImportStatus"], details()["rows"]["failed"]) == ("Partial Success", "1")
    client.load(table, "id\nx\n")
    assert (details()["lastImportStatus"], details()["rows"]["total"]) == ("Failed", "-1")


def test_new_table(zoho, client):
    config = {**CSV, "tableName": "fresh", "columnDataTypes": [{"columnName": "note", "dataType": "MULTI_LINE"}]}
    path = f"/workspaces/{zoho.workspace}/data"
    data = client.call("POST", path, config, FILE="id,note,price\n1,a,1.5\n").data
    assert data["viewId"] == zoho.definition("fresh")["id"]
    assert data["importSummary"]["importOperation"] == "created"
    assert [column["type"] for column in zoho.definition("fresh")["columns"]] == [
        "NUMBER", "MULTI_LINE", "DECIMAL_NUMBER"]
    assert client.call("POST", path, config, FILE="id,note,price\n1,a,1.5\n").code == 7111
    config = {**CSV, "tableName": "other", "columnDataTypes": [{"columnName": "id", "dataType": "INT"}]}
    assert client.call("POST", path, config, FILE="id\n1\n").code == 7146
