# SPDX-License-Identifier: PostgreSQL
"""Two tables, and transactions that the server sends before they have been committed."""

TABLES = """
    CREATE TABLE t (id int PRIMARY KEY, n int, v text);
    INSERT INTO t SELECT i, 0, 'v' FROM generate_series(1, 1000) i;
    CREATE TABLE u (id int PRIMARY KEY, v text);
    INSERT INTO u VALUES (1, 'v');
"""
MANY = "INSERT INTO t (id, n, v) SELECT i, 1, repeat('x', 50) FROM generate_series({}, {}) i"


def early(db):
    """The database's URI for a server process that keeps next to nothing in memory, so that it streams early."""
    return f"{db.uri}&options=-c%20logical_decoding_work_mem%3D64kB"


def prepare(db, gid, sql):
    """In a session of its own, as a transaction manager would; nothing of it is left but what is prepared."""
    connection = db.connect()
    connection.cursor().execute(f"BEGIN; {sql}")
    connection.cursor().execute("PREPARE TRANSACTION %s", (gid,))
    connection.close()


def commit(db, gid):
    db.execute("COMMIT PREPARED %s", gid)


def rollback(db, gid):
    db.execute("ROLLBACK PREPARED %s", gid)
