# SPDX-License-Identifier: PostgreSQL
"""What an older version wrote: how it was recorded, and a source that can pass for the one of then.

A copy's state names its source by system identifier, positions and table numbers. A new cluster that begins its WAL
where the old one did, and counts its objects from the same number, differs in the identifier alone.
"""

import json
import pathlib
import sqlite3
import tarfile

from .compare import quote
from .postgres import Cluster

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "upgrade"
TABLE = "CREATE TABLE t (id int PRIMARY KEY, n int, v text, \"Odd \"\"Name\" text)"
# One target has everything; what the other lacks is in the journal.
TARGETS = {"lite": "type: sqlite\npath: lite.db", "late": "type: sqlite\npath: late.db"}
RULES = """
    - {name: lite, table: public.t, target: lite, on_error: dead_letter, columns: {check: {n: n >= 0}}}
    - {name: late, table: public.t, target: late, on_error: dead_letter, columns: {check: {n: n >= 0}}}
    """
FILES = ("walmill.yaml", "state/walmill.db", "state/receipts.db", "lite.db", "late.db")


def source():
    """(cluster, its database), with an empty table."""
    cluster = Cluster().begin_at("000000010000000000000020", 50000).start()
    db = cluster.create_database()
    db.execute(TABLE)
    return cluster, db


def system_id(db):
    return str(db.value("SELECT system_identifier FROM pg_control_system()"))


def pass_lsn(db, lsn):
    """The server's position goes on behind lsn, with nothing that anybody copies."""
    while db.value("SELECT pg_current_wal_lsn() <= %s::pg_lsn", lsn):
        db.execute("CREATE TABLE filler (); DROP TABLE filler")
        db.execute("SELECT pg_switch_wal()")


def fold(path):
    """What stands beside an SQLite file goes into it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def rename_source(path, old, new):
    """Every text in an SQLite file that has the old identifier gets the new one."""
    connection = sqlite3.connect(path)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    with connection:
        for table in tables:
            names = [quote(row[1]) for row in connection.execute(f"PRAGMA table_info({quote(table)})") if row[2] == "TEXT"]
            for name in names:
                connection.execute(f"UPDATE {quote(table)} SET {name} = replace({name}, ?, ?) WHERE {name} LIKE ?",
                                   (old, new, f"%{old}%"))
    connection.close()


def unpack(version, folder):
    """The files of a version into a daemon's folder; what is known of them."""
    with tarfile.open(FOLDER / f"{version}.tar.gz") as archive:
        archive.extractall(folder)
    return json.loads((folder / "recorded.json").read_text())


def versions():
    return sorted(path.name.removesuffix(".tar.gz") for path in FOLDER.glob("*.tar.gz"))
