# SPDX-License-Identifier: PostgreSQL
"""The rows API and the criteria grammar."""

import threading

import pytest
from client import Client


def seeded(client, table, count=3):
    for number in range(1, count + 1):
        client.insert(table, {"id": str(number), "name": f"n{number}", "price": f"{number}.50"})


def test_insert(zoho, client, table):
    data = client.insert(table, {"id": "42", "NAME": "x", "nowhere": "1"}).data
    assert data == {"addedColumns": {"id": "42", "NAME": "x"}, "invalidColumns": {"nowhere": "1"}}
    assert zoho.rows(table) == [{"id": "42", "name": "x", "price": None}]
    assert zoho.units() == 1


def test_insert_refuses(zoho, client, table):
    assert client.insert(table, {"nowhere": "1"}).code == 8016
    assert client.insert(table, {"id": 1}).code == 8516
    assert client.insert(table, {"id": None}).code == 8516
    assert client.insert(table, {"id": "x"}).code == 7507
    assert client.insert(table, {"id": "1"}, colour="red").code == 8080
    assert client.insert(table, {f"c{n}": "" for n in range(301)}).code == 8516
    assert client.call("POST", f"{client.path(table)}/rows", {}).code == 8079
    assert client.call("POST", f"{client.path(table)}/rows").code == 8504
    assert zoho.count(table) == 0


def test_bad_value_may_be_reported_only(zoho, client, table):
    zoho.set(row_bad_value="invalidColumns")
    assert client.insert(table, {"id": "1", "price": "dear"}).data["invalidColumns"] == {"price": "dear"}
    assert zoho.rows(table) == [{"id": "1", "name": None, "price": None}]


def test_lookup(zoho, client, table):
    zoho.table("child", of={"type": "NUMBER", "lookup": ["t", "id"]})
    assert client.insert("child", {"of": "1"}).code == 7515
    seeded(client, table, 1)
    assert client.insert("child", {"of": "1"}).status == 200


def test_dates(zoho, client):
    zoho.table("d", at="DATE", day="DATE_AS_DATE")
    assert client.insert("d", {"at": "2024-01-31 23:59:58"}).code == 7507
    assert client.insert("d", {"at": "2024-01-31 23:59:58"}, dateFormat="yyyy-qq-dd").code == 7512
    good = {"dateFormat": "yyyy-MM-dd HH:mm:ss", "columnDateFormat": {"day": "yyyy-MM-dd"}}
    assert client.insert("d", {"at": "2024-01-31 23:59:58", "day": "2024-02-29"}, **good).status == 200
    assert client.insert("d", {"at": "2024-01-31 23:59:58.5", "day": "2024-02-29"}, **good).code == 7507
    assert client.insert("d", {"day": "2023-02-29"}, **good).code == 7507
    assert zoho.rows("d") == [{"at": "2024-01-31 23:59:58", "day": "2024-02-29"}]


def test_update(zoho, client, table):
    seeded(client, table)
    assert client.update(table, {"name": "new"}, criteria='"id" in (1, 3)').data == {
        "updatedColumns": {"name": "new"}, "updatedRows": 2, "invalidColumns": {}}
    assert client.update(table, {"name": "all"}, updateAllRows=True).data["updatedRows"] == 3
    assert client.update(table, {"name": "x"}, criteria='"id" = 9').data["updatedRows"] == 0
    assert [row["name"] for row in zoho.rows(table)] == ["all"] * 3


def test_update_or_insert(zoho, client, table):
    for name, added in (("a", True), ("b", None)):
        data = client.update(table, {"id": "7", "name": name}, criteria='"id"=7', addIfNotExist=True).data
        assert data.get("newRowAdded") == added
        assert data["updatedRows"] == (0 if added else 1)
    assert zoho.rows(table) == [{"id": "7", "name": "b", "price": None}]
    assert client.update(table, {"name": "c"}, criteria='"id"=8', addIfNotExist="true").code == 8516
    zoho.deny("addRow")
    refused = client.update(table, {"name": "c"}, criteria='"id"=8', addIfNotExist=True)
    assert (refused.status, refused.code) == (403, 7301)


@pytest.mark.parametrize("more", [{}, {"criteria": '"id"=1', "updateAllRows": True}, {"updateAllRows": False}])
def test_update_needs_one_of_criteria_and_all(client, table, more):
    assert client.update(table, {"name": "x"}, **more).code == 8130


def test_delete(zoho, client, table):
    seeded(client, table, 5)
    assert client.delete(table).code == 8131
    assert client.delete(table, criteria='"id"=1', deleteAllRows=True).code == 8131
    assert client.delete(table, criteria='"id" in (1,2)').data == {"deletedRows": 2}
    assert client.delete(table, criteria='"id"=1').data == {"deletedRows": 0}
    assert client.delete(table, deleteAllRows=True).data == {"deletedRows": 3}
    assert zoho.units() == 5 + 2 + 1 + 3
    zoho.deny("deleteAllRows")
    assert client.delete(table, criteria='"id"=1').code == 7301


@pytest.mark.parametrize("kind, type, code", [("", 6, 7137), ("snapshot", 0, 7165), ("system", 0, 7164),
                                              ("stream", 0, 101021), ("norows", 0, 7405)])
def test_no_rows_of_other_views(zoho, client, kind, type, code):
    zoho.table("other", kind, type)
    assert client.insert("other", {"id": "1"}).code == code
    assert client.update("other", {"id": "1"}, updateAllRows=True).code == code
    assert client.delete("other", deleteAllRows=True).code == code


def test_two_at_the_same_time(zoho, table):
    zoho.set(row_seconds=0.3)
    clients = [Client(zoho) for _ in range(2)]
    codes = []
    threads = [threading.Thread(target=lambda c=client: codes.append(c.insert(table, {"id": "1"}).code))
               for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes, key=str) == [8062, None]
    assert zoho.count(table) == 1


@pytest.mark.parametrize("criteria, ids", [
    ('"id"=2', "2"), ('id = 2', "2"), ('"t"."id"=2', "2"), ('"id"!=2', "13"), ('"id"<>2', "13"), ('"id" < 2', "1"),
    ('"id">=2', "23"), ('"id"=\'2\'', "2"), ('"name"=\'it\'\'s\'', "2"), ('"name"=\'It\'\'s\'', ""),
    ('"price" = 1.50', "1"), ('"price" > 1.5 and "price" < 10', "2"), ('"id"=1 or "id"=2 and "name"=\'\'', "1"),
    ('("id"=1 or "id"=2) and not "id"=1', "2"), ('"id" in (1,3)', "13"), ('"id" not in (1,3)', "2"),
    ('"name" like \'%t%\'', "2"), ('"name" not like \'%t%\'', "1"), ('"name" is null', "3"),
    ('"name" is not null', "12"), ('"id" = "price"', "")])
def test_criteria(zoho, client, table, criteria, ids):
    for row in ({"id": "1", "name": "a b", "price": "1.5"}, {"id": "2", "name": "it's", "price": "9"},
                {"id": "3", "price": "10"}):
        client.insert(table, row)
    found = client.export(table, criteria=criteria)
    assert "".join(row["id"] for row in found.body["data"]) == ids


@pytest.mark.parametrize("criteria, code", [
    ('"nowhere"=1', 7330), ('"ID"=1', 7330), ('"other"."id"=1', 7332), ('max("id")=1', 7333), ('"id"=max("id")', 7333),
    ('"id"=', 7331), ('', 7331), ('"id"==1', 7331), ('"i""d"=1', 7331), ('"id"=1; drop', 7331), ("'a'='a'", 7331),
    ('"id" in ()', 7331), ('"name"=\'a', 7331), ('"id"=\'abc\'', 7327), ('"id"=1.5', 7327), ('"price"=\'\'', 7327)])
def test_criteria_refused(client, table, criteria, code):
    assert client.delete(table, criteria=criteria).code == code


def test_long_criteria(zoho, client, table):
    seeded(client, table)
    pairs = " or ".join(f"(id={number} and name='n')" for number in range(3000))
    assert client.delete(table, criteria=pairs).data == {"deletedRows": 0}
    many = ",".join(str(number) for number in range(2, 5000))
    assert client.delete(table, criteria=f'"id" in ({many})').data == {"deletedRows": 2}
    assert client.delete(table, criteria=f'"id" in ({many * 5})').code == 8507
    assert zoho.rows(table, "id") == [{"id": "1"}]
