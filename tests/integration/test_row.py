# SPDX-License-Identifier: PostgreSQL
"""walmill row: one row read again at the source and written."""

import json

TABLE = "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20) i"


def test_row_is_written_again(db, start):
    db.execute(TABLE)
    daemon = start("- table: public.t")
    daemon.same("t")
    daemon.reader().execute("UPDATE t SET v = 'spoilt' WHERE id = 7; DELETE FROM t WHERE id = 8")
    assert daemon.differences("t")
    done = json.loads(daemon.run("row", "t", "id=7", "--json").stdout)
    assert done == {"rule": "t", "view": "t", "written": [{"action": "upsert", "row": {"id": "7", "v": "v7"}}]}
    assert 'upsert in view "t"' in daemon.run("row", "t", "id=8").stdout
    daemon.same("t")
    db.execute("UPDATE t SET v = 'later' WHERE id IN (7, 8)")
    daemon.same("t")


def test_row_taken_out(db, start):
    db.execute(TABLE)
    daemon = start("- table: public.t")
    daemon.same("t")
    done = json.loads(daemon.run("row", "t", "id=7", "--action", "delete", "--json").stdout)
    assert done["written"] == [{"action": "delete", "row": {"id": "7"}}]
    assert daemon.rows("SELECT count(*) FROM t") == [(19,)]
    daemon.run("row", "t", "id=7")
    daemon.same("t")


def test_row_that_a_rule_leaves_out(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t, where: id > 10}")
    daemon.wait()
    done = json.loads(daemon.run("row", "t", "id=7", "--json").stdout)
    assert [row["action"] for row in done["written"]] in ([], ["delete"])
    assert daemon.rows("SELECT count(*) FROM t") == [(10,)]


def test_row_is_masked_and_settles_its_dead_letter(db, start):
    db.execute(TABLE)
    daemon = start("- {table: public.t, on_error: dead_letter, columns: {check: {v: v like 'v%'}}}")
    daemon.same("t")
    db.execute("UPDATE t SET v = 'x' WHERE id = 3")
    daemon.wait()
    assert len(daemon.errors()) == 1
    assert daemon.run("row", "t", "id=3", expect=1).stderr
    db.execute("ALTER TABLE t DISABLE TRIGGER ALL; UPDATE t SET v = 'v again' WHERE id = 3")
    daemon.run("row", "t", "id=3")
    daemon.same("t")
    assert daemon.errors() == []


def test_row_mistakes(db, start):
    db.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY)")
    daemon = start("- table: public.t\n- {name: two, table: 'public.*', view: '{table}_2'}")
    daemon.wait()
    for arguments, word in ((("t", "id=999"), "no such row"), (("nobody", "id=1"), "no rule"),
                            (("t", "v=1"), "its key: id"), (("t", "id=1", "v=1"), "its key: id"),
                            (("t", "id=abc"), "invalid input syntax"), (("two", "id=1"), "several tables"),
                            (("two", "id=1", "--table", "public.no"), "takes no table")):
        assert word in daemon.run("row", *arguments, expect=1).stderr, arguments
    daemon.run("row", "two", "id=1", "--table", "public.t")
    assert daemon.run("row", "t", "id", expect=2).stderr
    daemon.run("pause", "t")
    assert "paused" in daemon.run("row", "t", "id=1", expect=1).stderr


def test_row_with_a_long_number_in_json(db, start):
    db.execute(TABLE + "; INSERT INTO t VALUES (9007199254740993, 'long')")
    daemon = start("- table: public.t")
    daemon.same("t")
    done = json.loads(daemon.run("row", "t", "id=9007199254740993", "--json").stdout)
    assert done["written"][0]["row"]["id"] == "9007199254740993"
