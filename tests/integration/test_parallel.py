# SPDX-License-Identifier: PostgreSQL
"""`apply: parallel`: several sessions of one target share its large batches."""

import pytest
from walmill_testing import wait_until
from walmill_testing.refusal import refuse

TABLE = """
    CREATE TABLE t (id int PRIMARY KEY, n int, doc text);
    ALTER TABLE t ALTER doc SET STORAGE EXTERNAL;
    INSERT INTO t SELECT i, 0, repeat(md5(i::text), CASE WHEN i % 10 = 0 THEN 100 ELSE 1 END) FROM generate_series(1, 5000) i;
"""
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'walmill'"


@pytest.fixture
def parallel(db, daemon, dw):
    """A daemon in step; its rules as given."""
    def start(rule=""):
        db.execute(TABLE)
        d = daemon(f"- {{table: public.t{rule}}}",
                   targets={"dw": f"type: postgres\nuri: {dw.uri}\napply: parallel\nworkers: 3"}).start()
        # The first batch of a view goes with the look at its table.
        db.execute("UPDATE t SET n = 1 WHERE id <= 10")
        d.same("t")
        return d
    return start


def test_large_batches_are_shared(parallel, db, dw):
    d = parallel()
    assert dw.value(SESSIONS) == 1, "a small batch needs one session"
    for turn in range(3):
        db.execute("INSERT INTO t SELECT i, 1, 'new' FROM generate_series(%s, %s) i", 5001 + 1000 * turn, 6000 + 1000 * turn)
        db.execute("UPDATE t SET n = n + 1 WHERE id % 2 = 0")
        db.execute("DELETE FROM t WHERE id %% 7 = %s", turn)
    d.same("t")
    assert dw.value(SESSIONS) == 4
    assert "batch_unshared" not in d.log()
    d.sigterm()


def test_table_changes_its_shape_and_rows_their_keys(parallel, db):
    d = parallel()
    db.execute("UPDATE t SET n = 1")
    d.same("t")
    db.execute("ALTER TABLE t ADD more int; ALTER TABLE t ALTER n TYPE bigint; UPDATE t SET more = id, n = 5000000000")
    d.same("t")
    # Values that the stream leaves out go along with their key.
    db.execute("UPDATE t SET id = id + 10000 WHERE id % 3 = 0; UPDATE t SET more = 2")
    db.execute("BEGIN; TRUNCATE t; INSERT INTO t SELECT i, i, 'again' FROM generate_series(1, 2000) i; COMMIT")
    db.execute("UPDATE t SET n = 7")
    d.same("t")
    assert "batch_unshared" not in d.log()
    d.sigterm()


def test_refused_row_is_found_and_the_others_are_there(parallel, db, dw):
    d = parallel(", on_error: dead_letter")
    refuse(d)
    db.execute("UPDATE t SET n = CASE WHEN id = 777 THEN 100 ELSE 2 END")
    wait_until(lambda: len(d.errors()) == 1, "the dead letter", 30)
    d.wait()
    assert "777" in str(d.errors()[0]["key"])
    assert dw.rows("SELECT n, count(*) FROM t GROUP BY n ORDER BY n") == [(0, 1), (2, 4999)]
    assert "batch_unshared" in d.log()
    db.execute("UPDATE t SET n = 3")
    d.same("t")
    d.sigterm()


def test_session_that_is_lost_is_made_again(parallel, db, dw):
    d = parallel()
    db.execute("UPDATE t SET n = 1")
    d.same("t")
    # All but the one that stores the positions.
    assert len(dw.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                       " AND application_name = 'walmill' AND backend_start > (SELECT min(backend_start) FROM pg_stat_activity"
                       "  WHERE datname = current_database() AND application_name = 'walmill')")) == 3
    for n in range(2, 6):
        db.execute("UPDATE t SET n = %s", n)
        d.same("t")
    assert dw.value(SESSIONS) == 4
    assert d.status()["targets"][0]["retries"] == 0
    d.sigterm()
