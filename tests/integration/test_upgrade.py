# SPDX-License-Identifier: PostgreSQL
"""State, journal and targets that an older version wrote are opened, and gone on with."""

import json
import sqlite3

import pytest
from walmill_testing import Daemon, older, wait_until
from walmill_testing.postgres import bindir


@pytest.fixture
def left(request):
    """A daemon, not yet started, over what a version left, its source's database, and what was recorded."""
    if not (bindir() / "pg_resetwal").exists():
        pytest.skip("this PostgreSQL comes without pg_resetwal")
    cluster, db = older.source()
    d = Daemon({"shop": db.uri}, older.TARGETS, older.RULES)
    d.source_db = db
    known = older.unpack(request.param, d.folder)
    if db.value("SELECT 't'::regclass::oid::int8") != known["oid"]:
        pytest.skip("this PostgreSQL counts its objects in another way than the one of then")
    # All of this is older than the position that was recorded: walmill has seen it.
    for row in known["rows"]:
        db.execute("INSERT INTO t VALUES (%s, %s, %s, %s)", *row)
    db.execute("CREATE PUBLICATION walmill_shop FOR TABLE t WITH (publish_via_partition_root = true)")
    db.execute("CREATE PUBLICATION walmill_shop_inserts WITH (publish = 'insert, truncate', publish_via_partition_root = true)")
    db.execute("SELECT pg_create_logical_replication_slot('walmill_shop', 'pgoutput')")
    older.pass_lsn(db, known["position"])
    for name in ("state/walmill.db", "lite.db", "late.db"):
        older.rename_source(d.folder / name, known["system_id"], older.system_id(db))
    yield d, db, known
    found = d.destroy()
    cluster.destroy()
    assert not found, found


@pytest.mark.parametrize("left", older.versions(), indirect=True)
def test_trap_26_what_an_older_version_wrote(left):
    """One target catches up from the old journal; dead letters and receipts are there; nothing is seeded again."""
    d, db, known = left
    # Read without a daemon, the old state is not altered.
    early = d.run("errors list", "--json", expect=None)
    if early.returncode == 0:
        assert [[x["rule"], x["key"]] for x in json.loads(early.stdout)["errors"]] == known["letters"]
    else:
        assert "older walmill" in early.stderr and "start the daemon" in early.stderr, early.stderr
    d.start()
    good = "n >= 0"
    d.same("t", where=good)
    assert [[x["rule"], x["key"]] for x in d.errors()][:len(known["letters"])] == known["letters"]
    assert "seeded" not in d.log() and "begin" not in d.log()
    assert d.run("receipts", "--key", "id=7").stdout
    db.execute("INSERT INTO t VALUES (9000, 1, 'new', 'new'); UPDATE t SET v = 'new' WHERE id = 7; DELETE FROM t WHERE id = 8")
    d.same("t", where=good)
    # The row that was refused is mended: its letters are settled.
    db.execute("UPDATE t SET n = 1 WHERE n < 0")
    d.same("t")
    assert d.errors() == []
    d.restart()
    d.same("t")
    d.sigterm()


@pytest.mark.parametrize("left", older.versions()[-1:], indirect=True)
def test_state_of_a_newer_version(left):
    """Refused before anything is touched, by the daemon and by those who read without one."""
    d, db, _ = left
    connection = sqlite3.connect(d.folder / "state/walmill.db")
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    before = (d.folder / "state/walmill.db").read_bytes(), db.slot()["confirmed"]
    d.launch()
    d.wait_exit(1)
    assert "walmill.db" in d.log() and "newer walmill" in d.log() and "9999" in d.log(), d.log()
    assert "newer walmill" in d.run("errors list", expect=1).stderr
    assert ((d.folder / "state/walmill.db").read_bytes(), db.slot()["confirmed"]) == before
    wait_until(lambda: not db.slot()["active"], "nobody uses the slot")
