# SPDX-License-Identifier: PostgreSQL
"""The null target: all is read, judged and counted, nothing is kept."""


def test_takes_all_and_goes_on_where_it_was(db, daemon):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i, 'v' FROM generate_series(1, 100) i")
    daemon = daemon("- {table: public.t, on_error: dead_letter, columns: {check: {n: n < 1000}}}", targets={"target": "type: \"null\""}).start()
    daemon.wait()
    assert (daemon.rule("t")["rows_seeded"], daemon.rule("t")["state"]) == (100, "streaming")
    db.execute("INSERT INTO t VALUES (101, 1, 'v'), (102, 5000, 'v'); UPDATE t SET v = 'w' WHERE id < 11; DELETE FROM t WHERE id > 90 AND id < 101")
    daemon.wait()
    rule = daemon.rule("t")
    assert (rule["inserts"], rule["updates"], rule["deletes"], rule["dead_letters"]) == (2, 10, 10, 1)
    daemon.sigkill()
    db.execute("UPDATE t SET v = 'x' WHERE id < 6")
    daemon.start()
    daemon.wait()
    rule, target = daemon.rule("t"), daemon.target("target")
    assert (rule["rows_seeded"], rule["updates"], rule["dead_letters"]) == (100, 5, 1)
    assert (target["type"], target["state"], target["rows_written"]) == ("null", "ok", 5)
