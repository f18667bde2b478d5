# SPDX-License-Identifier: PostgreSQL
"""Organisations, workspaces, views, columns, the plan, exports; making tables and columns."""

import csv
import io

import pytest


def design(name="new", columns=(("id", "NUMBER"),), **more):
    return {"tableDesign": {"TABLENAME": name, "TABLEDESCRIPTION": "", "FOLDERNAME": "", "COLUMNS": [
        {"COLUMNNAME": column, "DATATYPE": kind} for column, kind in columns], **more}}


def create(client, config):
    return client.call("POST", f"/workspaces/{client.zoho.workspace}/tables", config)


def add(client, table, config):
    return client.call("POST", f"{client.path(table)}/columns", config)


def test_workspaces(zoho, client):
    data = client.call("GET", "/workspaces").data
    assert [(each["workspaceId"], each["workspaceName"], each["orgId"]) for each in data["ownedWorkspaces"]] == [
        (zoho.workspace, zoho.workspace_name, zoho.org)]
    assert data["sharedWorkspaces"] == []
    assert client.call("GET", "/workspaces/owned").data["workspaces"] == data["ownedWorkspaces"]
    assert client.call("GET", "/workspaces/shared").data["workspaces"] == []


def test_views(zoho, client):
    for name in ("alpha", "beta", "gamma"):
        zoho.table(name)
    zoho.table("board", _type=7)
    path = f"/workspaces/{zoho.workspace}/views"

    def names(**config):
        return [view["viewName"] for view in client.call("GET", path, config).data["views"]]
    assert names() == ["alpha", "beta", "gamma", "board"]
    assert names(viewTypes=[0], startIndex=1, noOfResult=1) == ["beta"]
    assert names(keyword="AMM") == ["gamma"]
    assert names(sortedColumn=0, sortedOrder=1)[0] == "gamma"
    assert client.call("GET", path).data["views"][3]["viewType"] == "Dashboard"
    assert client.call("GET", path, {"viewTypes": ["0"]}).code == 8516
    assert client.call("GET", path, {"page": 1}).code == 8080


def test_ids_by_name_and_back(zoho, client, table):
    def names(**config):
        return client.call("GET", "/metadetails", config)
    data = names(workspaceName="Walmill", viewName=table).data
    assert data["workspaces"]["workspaceId"] == zoho.workspace
    assert data["views"]["viewId"] == zoho.definition(table)["id"]
    assert names(workspaceName="walmill").code == 7103
    assert names(workspaceName="Walmill", viewName="T").code == 7104
    assert names(viewName=table).code == 8079
    view = client.call("GET", f"/views/{data['views']['viewId']}", headers={"ZANALYTICS-ORGID": None}).data["views"]
    assert (view["viewName"], view["workspaceId"]) == (table, zoho.workspace)
    assert client.call("GET", "/views/1").code == 7104


def test_columns(zoho, client, table):
    zoho.table("child", of={"type": "NUMBER", "lookup": ["t", "id"], "mandatory": True})
    columns = client.call("GET", f"{client.path(table)}/metadata").data["columns"]
    assert [(column["columnName"], column["dataType"], column["columnIndex"]) for column in columns] == [
        ("id", "NUMBER", 0), ("name", "PLAIN", 1), ("price", "DECIMAL_NUMBER", 2)]
    assert all(len(column["columnId"]) > 10 and column["isNullable"] for column in columns)
    child = client.call("GET", f"{client.path('child')}/metadata").data["columns"][0]
    assert (child["pkTableName"], child["isNullable"]) == ("t", False)
    zoho.table("board", _type=7)
    assert client.call("GET", f"{client.path('board')}/metadata").code == 7397
    zoho.deny("design")
    assert client.call("GET", f"{client.path(table)}/metadata").code == 7301


def test_create_table(zoho, client):
    config = design(columns=(("id", "NUMBER"), ("name", "PLAIN"), ("at", "DATE")))
    config["tableDesign"]["COLUMNS"][0]["MANDATORY"] = "true"
    assert create(client, config).data == {"viewId": zoho.definition("new")["id"]}
    assert client.load("new", "id,name\n,x\n", "APPEND").code == 7232
    assert client.load("new", "id,name\n1,x\n", "APPEND").status == 200


@pytest.mark.parametrize("config, code", [
    (design("t"), 7111), (design(columns=(("a", "PLAIN"), ("A", "PLAIN"))), 7128),
    (design(columns=(("a", "TEXT"),)), 7146),
    (design(""), 7126), (design('a"b'), 7126), (design(columns=(("", "PLAIN"),)), 7127), (design(FOLDERNAME="f"), 7144),
    (design(columns=()), 8079), (design(COLOUR="red"), 8080), ({}, 8079), ({"tableDesign": "x"}, 8516),
    (design(TABLENAME=None), 8516), (design(COLUMNS=[{"COLUMNNAME": "a"}]), 8079),
    (design(COLUMNS=[{"COLUMNNAME": "a", "DATATYPE": "PLAIN", "MANDATORY": True}]), 8516),
    (design(columns=[(f"c{n}", "PLAIN") for n in range(301)]), 7478)])
def test_create_table_refused(zoho, client, table, config, code):
    assert create(client, config).code == code
    assert list(zoho.tables()) == [table]


def test_folder(zoho, client):
    zoho.control("POST", "folders", {"name": "f"})
    assert create(client, design(FOLDERNAME="f")).status == 200
    zoho.deny("createTable")
    assert create(client, design("other")).code == 7301


def test_add_column(zoho, client, table):
    client.insert(table, {"id": "1"})
    assert len(add(client, table, {"columnName": "note", "dataType": "MULTI_LINE"}).data["columnId"]) > 10
    assert client.update(table, {"note": "x"}, criteria='"id"=1').data["updatedRows"] == 1
    several = [{"columnName": f"c{n}", "dataType": "NUMBER"} for n in range(11)]
    assert add(client, table, {"columns": several}).code == 8173
    assert add(client, table, {"columns": several[:10]}).status == 200
    assert len(zoho.definition(table)["columns"]) == 14


@pytest.mark.parametrize("config, code", [
    ({"columnName": "ID", "dataType": "NUMBER"}, 7157), ({"columnName": "a", "dataType": "X"}, 7146),
    ({"columnName": "a"}, 8079), ({"dataType": "PLAIN"}, 8079),
    ({"columnName": "a", "dataType": "PLAIN", "x": 1}, 8080),
    ({"columnName": "", "dataType": "PLAIN"}, 7127), ({"columnName": 1, "dataType": "PLAIN"}, 8516),
    ({"columns": [], "columnName": "a"}, 8080), ({"columns": []}, 8079)])
def test_add_column_refused(zoho, client, table, config, code):
    assert add(client, table, config).code == code
    assert len(zoho.definition(table)["columns"]) == 3


def test_plan(zoho, client, table):
    zoho.set(plan="Basic", price_metadata=0.1)
    zoho.use_units(100.3)
    client.insert(table, {"id": "1"})
    found = {each["resourceName"]: each["resourceUsage"] for each in client.call("GET", "/resources").data["resources"]}
    assert found["apiUnits"] == {"allocated": "4000", "used": "101.4", "remaining": "3898.6"}
    assert found["rows"] == {"allocated": "Unlimited", "used": "1", "remaining": "Unlimited"}
    zoho.deny("admin")
    assert client.call("GET", "/resources").code == 7301


def test_export(zoho, client):
    zoho.table("e", id="NUMBER", name={"type": "PLAIN"}, mail={"type": "EMAIL", "personal": True},
               secret={"type": "PLAIN", "hidden": True})
    client.load("e", 'id,name,mail,secret\n1,"a ""b""\nc",a@b.example,s\n2,,,\n')
    assert client.export("e").body == {"data": [{"id": "1", "name": 'a "b"\nc', "secret": "s"},
                                                {"id": "2", "name": "", "secret": ""}]}
    text = client.export("e", responseFormat="csv", showPersonalCols=True, showHiddenCols=False).text
    assert list(csv.reader(io.StringIO(text))) == [["id", "name", "mail"], ["1", 'a "b"\nc', "a@b.example"],
                                                   ["2", "", ""]]
    assert client.export("e", selectedColumns=["id"], criteria='"id">1').body == {"data": [{"id": "2"}]}


def test_export_costs_by_the_thousand(zoho, client, table):
    client.load(table, "id\n" + "".join(f"{i}\n" for i in range(1001)))
    client.export(table)
    assert zoho.calls("export")[-1]["units"] == 6


def test_export_refused(zoho, client, table):
    assert client.call("GET", f"{client.path(table)}/data").code == 8504
    assert client.export(table, selectedColumns=["ID"]).code == 7107
    assert client.export(table, responseFormat="xml").code == 8516
    assert client.export(table, criteria="nonsense").code == 7331
    zoho.set(export_rows_max=1)
    client.load(table, "id\n1\n2\n")
    assert client.export(table).code == 8133
    zoho.set(export_rows_max=2, export_bytes_max=10)
    assert client.export(table).code == 8133
    zoho.table("board", _type=7)
    assert client.export("board").code == 8133


def test_what_an_operator_does(zoho, client, table):
    client.load(table, "id,name\n1,x\n")
    zoho.drop_column(table, "name")
    assert client.load(table, "id,name\n1,y\n").data["importSummary"]["selectedColumnCount"] == 1
    assert client.insert(table, {"id": "2", "name": "y"}).data["invalidColumns"] == {"name": "y"}
    zoho.add_column(table, "name", "PLAIN")
    assert [row["name"] for row in zoho.rows(table)] == [None, None]
    path = client.path(table)
    zoho.drop_table(table)
    gone = client.call("POST", f"{path}/data")
    assert (gone.status, gone.code) == (404, 7104)
