# SPDX-License-Identifier: PostgreSQL
"""A full batch is written while the next one gathers."""

from walmill_testing import wait_until

BATCH = 50


def test_worker_gathers_while_the_target_writes(db, dw, daemon):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 300) i")
    d = daemon(f"- {{table: public.t, target: dw, batch: {{rows: {BATCH}}}}}", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    d.same("t")
    first, second = (dw.connect(autocommit=False) for _ in range(2))
    first.cursor().execute("SELECT FROM t WHERE id = 300 FOR UPDATE")
    second.cursor().execute("SELECT FROM t WHERE id = 1 FOR UPDATE")
    # The target is kept busy until all of a large transaction has come, and then within its first batch.
    db.execute("UPDATE t SET n = 1 WHERE id = 300")
    db.execute("UPDATE t SET n = 2 WHERE id < 300")
    wait_until(lambda: d.status()["sources"][0]["changes"] >= 300, "all has come")
    first.rollback()
    wait_until(lambda: d.status()["rules"][0]["updates"] == 1 + 2 * BATCH, "one batch is written, another one gathers")
    second.rollback()
    d.same("t")
