# SPDX-License-Identifier: PostgreSQL
"""What each key of a rule does to the view, at both targets."""

import hashlib
import hmac
import json
import re
import time

import pytest
from walmill_testing import wait_until

ORDERS = "CREATE TABLE orders (id int PRIMARY KEY, status text, amount numeric(12,2), email text, created_at timestamptz, note text)"


def test_where_follows_rows_in_and_out(db, start):
    db.execute(ORDERS + "; INSERT INTO orders (id, status, amount) SELECT i, CASE WHEN i % 2 = 0 THEN 'draft' ELSE 'paid' END, i FROM generate_series(1, 20) i")
    daemon = start("- {table: public.orders, where: \"status <> 'draft' and amount > 3\"}")
    where = "status <> 'draft' AND amount > 3"
    daemon.same("orders", where=where)
    db.execute("UPDATE orders SET status = 'paid' WHERE id = 10; UPDATE orders SET status = 'draft' WHERE id = 11; "
               "UPDATE orders SET amount = 1 WHERE id = 13; UPDATE orders SET amount = 100 WHERE id IN (1, 2); "
               "UPDATE orders SET id = 500 WHERE id = 15; UPDATE orders SET id = 501, status = 'draft' WHERE id = 17; "
               "DELETE FROM orders WHERE id = 19; INSERT INTO orders (id, status, amount) VALUES (30, 'draft', 50), (31, 'new', 50), (32, NULL, 50)")
    daemon.same("orders", where=where)
    assert daemon.rows("SELECT count(*) FROM orders WHERE id IN (1, 10, 31, 500)") == [(4,)]


def test_row_that_begins_to_match_is_written_whole(db, start):
    """Its large value is not in the stream: it has to be read again at the source."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, state text, doc text); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; "
               "INSERT INTO t SELECT i, 'off', repeat(md5(i::text), 500) FROM generate_series(1, 6) i")
    daemon = start("- {table: public.t, where: \"state = 'on'\"}")
    db.execute("UPDATE t SET state = 'on' WHERE id <= 3")
    daemon.same("t", where="state = 'on'")
    db.execute("UPDATE t SET state = 'off' WHERE id = 1; UPDATE t SET state = 'on', id = 40 WHERE id = 4")
    # Matches only for a moment, and is gone at the source when it is read again.
    db.execute("UPDATE t SET state = 'on' WHERE id = 5; DELETE FROM t WHERE id = 5")
    daemon.same("t", where="state = 'on'")
    assert daemon.rows("SELECT count(*) FROM t") == [(3,)]
    assert daemon.rule("t")["rereads"] >= 3


def test_rows_that_begin_to_match_and_have_moved_on_when_they_are_read_again(db, start):
    """While walmill is behind, the row that it wants to read again has another key by now, or is out and in again."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, state text, doc text); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; "
               "INSERT INTO t SELECT i, 'off', repeat(md5(i::text), 500) FROM generate_series(1, 8) i")
    daemon = start("- {table: public.t, where: \"state = 'on'\"}")
    daemon.wait()
    daemon.sigterm()
    db.execute("UPDATE t SET state = 'on' WHERE id <= 6")
    db.execute("UPDATE t SET id = id + 100 WHERE id IN (1, 2)")
    db.execute("UPDATE t SET id = id + 100 WHERE id = 102; UPDATE t SET state = 'off' WHERE id = 3")
    db.execute("UPDATE t SET state = 'on' WHERE id = 3; UPDATE t SET id = 300 WHERE id = 4; INSERT INTO t VALUES (4, 'on', 'another')")
    db.execute("DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 'off', 'again'); UPDATE t SET state = 'off' WHERE id = 6")
    daemon.start()
    daemon.same("t", where="state = 'on'")


def test_where_over_a_large_value(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, doc text); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; "
               "INSERT INTO t SELECT i, 0, repeat(CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END, 2000) FROM generate_series(1, 6) i")
    daemon = start("- {table: public.t, where: \"doc like 'even%'\"}")
    db.execute("UPDATE t SET n = id")
    daemon.same("t", where="doc LIKE 'even%'")


@pytest.mark.parametrize("settings", ["seed: {mode: never}", "events: [update, delete]"])
def test_update_brings_a_row_that_the_view_never_got(db, start, settings):
    """With or without a large value that the stream leaves out."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, doc text); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL")
    if "never" in settings:
        db.execute("INSERT INTO t VALUES (1, 1, 'short'), (2, 2, repeat('x', 5000)), (3, 3, repeat('x', 5000))")
    daemon = start("- {table: public.t, %s}" % settings)
    daemon.wait()
    db.execute("INSERT INTO t VALUES (4, 4, 'short'), (5, 5, repeat('x', 5000)), (6, 6, repeat('x', 5000))")
    db.execute("UPDATE t SET n = n + 10 WHERE id NOT IN (3, 6); UPDATE t SET id = id + 100 WHERE id IN (3, 6)")
    daemon.same("t")


def test_append_tells_what_the_event_said(db, start):
    """Large values that the stream leaves out are read again, by when the row has moved on; the others are of then."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, doc text); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; "
               "INSERT INTO t VALUES (1, 1, repeat('x', 5000))")
    daemon = start("- {table: public.t, mode: append}")
    daemon.wait()
    daemon.sigterm()
    for n in (2, 3, 4):
        db.execute(f"UPDATE t SET n = {n}")
    daemon.start()
    daemon.wait()
    assert daemon.rows("SELECT n, length(doc) FROM t ORDER BY _walmill_lsn") == [(n, 5000) for n in (1, 2, 3, 4)]


def test_fixed_width_text_counts_without_its_blanks(db, start):
    """As in PostgreSQL: char(5) 'on' is equal to 'on' and two characters long."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, state char(5), word char(9)); "
               "INSERT INTO t VALUES (1, 'on', 'one'), (2, 'off', 'two'), (3, 'on', NULL)")
    daemon = start("""
        - {name: kept, table: public.t, view: kept, where: "state = 'on'"}
        - table: public.t
          columns: {compute: {n: length(state)}, translate: {state: {on: 1, off: 0, "*": what}}, mask: {word: last2}}
        """)
    db.execute("INSERT INTO t VALUES (4, 'on', 'four'); UPDATE t SET state = 'off' WHERE id = 3")
    daemon.same("t", view="kept", where="state = 'on'")
    assert [(i, s, w, str(n)) for i, s, w, n in daemon.rows("SELECT id, state, word, n FROM t ORDER BY id")] == [
        (1, "1", "*ne", "2"), (2, "0", "*wo", "3"), (3, "0", None, "3"), (4, "1", "**ur", "2")]


def test_boolean_as_a_number(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a bool, b bool); INSERT INTO t VALUES (1, true, NULL)")
    daemon = start("- {table: public.t, columns: {type: {a: integer, b: numeric}}}")
    db.execute("INSERT INTO t VALUES (2, false, true)")
    daemon.wait()
    assert daemon.rows("SELECT id, a, b FROM t ORDER BY id") == [(1, 1, None), (2, 0, 1)]


def test_compute(db, start):
    db.execute(ORDERS)
    daemon = start("""
        - table: public.orders
          columns:
            include: [id, amount]
            compute: {gross: "round(amount * 1.19, 2)", day: "date(created_at)", label: "upper(status) || '-' || id", amount2: "amount + 1"}
        """)
    db.execute("INSERT INTO orders (id, status, amount, created_at) VALUES (1, 'paid', 100.00, '2024-02-29 23:30:00+00'), (2, NULL, NULL, NULL)")
    db.execute("UPDATE orders SET amount = 10.10 WHERE id = 1")
    daemon.wait()
    assert set(daemon.reader().columns("orders")) == {"id", "amount", "gross", "day", "label", "amount2"}
    gross, day, label, more = daemon.rows("SELECT gross, day, label, amount2 FROM orders WHERE id = 1")[0]
    assert (float(gross), str(day), label, float(more)) == (12.02, "2024-02-29", "PAID-1", 11.1)
    assert daemon.rows("SELECT gross, day, label, amount2 FROM orders WHERE id = 2") == [(None, None, None, None)]


def test_masks(db, start):
    db.execute("CREATE TABLE people (id int PRIMARY KEY, email text, phone text, iban text, name text, note text)")
    db.execute("INSERT INTO people VALUES (1, 'ann@example.com', '+41 79 111 22 33', 'CH9300762011623852957', 'Ann', 'x')")
    daemon = start("""
        - table: public.people
          columns:
            mask: {email: sha256, phone: redact, iban: last4, name: null, note: {text: hidden}}
        """, settings="mask_key: ${env:TEST_MASK_KEY}", env={"TEST_MASK_KEY": "a key only for this test"})
    db.execute("INSERT INTO people VALUES (2, 'ann@example.com', '1', 'DE89370400440532013000', 'Bob', 'y'), "
               "(3, 'other@example.com', NULL, '12', NULL, NULL), (4, NULL, NULL, NULL, NULL, NULL)")
    daemon.wait()
    rows = {r[0]: r[1:] for r in daemon.rows("SELECT id, email, phone, iban, name, note FROM people")}
    digest = hmac.new(b"a key only for this test", b"ann@example.com", hashlib.sha256).hexdigest()
    assert rows[1][0] == rows[2][0] == digest and rows[3][0] != digest
    assert rows[1][0] != hashlib.sha256(b"ann@example.com").hexdigest()
    assert rows[4][0] is None
    assert "111" not in rows[1][1] and rows[1][1] == rows[2][1] and rows[3][1] is None
    assert re.fullmatch(r"[^0-9A-Z]+2957", rows[1][2]) and rows[2][2].endswith("3000") and "12" not in rows[3][2]
    assert [rows[i][3] for i in (1, 2, 3)] == [None] * 3
    assert rows[1][4] == rows[2][4] == "hidden"
    everything = daemon.log() + json.dumps(daemon.status())
    assert "ann@example.com" not in everything and "a key only for this test" not in everything


def test_mask_key_of_its_own_lasts(db, start):
    """Without a key one is made, secret and the same over a restart."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, email text); INSERT INTO t VALUES (1, 'a@b')")
    daemon = start("- {table: public.t, columns: {mask: {email: sha256}}}")
    daemon.wait()
    daemon.restart()
    db.execute("INSERT INTO t VALUES (2, 'a@b')")
    daemon.wait()
    one, two = (r[0] for r in daemon.rows("SELECT email FROM t ORDER BY id"))
    assert one == two and re.fullmatch("[0-9a-f]{64}", one)
    assert one != hashlib.sha256(b"a@b").hexdigest()


def test_translate(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, status text, flag bool, code int); INSERT INTO t VALUES (1, 'N', true, 1), (2, 'P', false, 2), (3, 'Q', NULL, 3), (4, NULL, NULL, NULL)")
    daemon = start("""
        - table: public.t
          columns:
            translate:
              status: {N: new, P: paid, "*": other}
              flag: {"true": yes it is, "false": no}
              code: {1: one}
        """)
    db.execute("INSERT INTO t VALUES (5, 'N', true, 9)")
    daemon.wait()
    assert sorted(daemon.rows("SELECT id, status, flag, code FROM t")) == [
        (1, "new", "yes it is", "one"), (2, "paid", "no", "2"), (3, "other", None, "3"), (4, None, None, None),
        (5, "new", "yes it is", "9")]


def test_rename_include_exclude_type(db, start):
    db.execute("CREATE TABLE a (id int PRIMARY KEY, cust int, secret text, v numeric); CREATE TABLE b (id int PRIMARY KEY, x int, y int, z int)")
    daemon = start("""
        - {table: public.a, columns: {exclude: [secret], rename: {cust: customer_id}, type: {v: text}}}
        - {table: public.b, columns: {include: [id, y]}}
        """)
    db.execute("INSERT INTO a VALUES (1, 7, 'hidden', 1.50); INSERT INTO b VALUES (1, 2, 3, 4); UPDATE a SET secret = 'still hidden', cust = 8")
    daemon.same("a", columns=["id", "cust"], rename={"cust": "customer_id"})
    daemon.same("b", columns=["id", "y"])
    assert daemon.rows("SELECT v FROM a") == [("1.50",)]
    assert daemon.reader().columns("a") == ["id", "customer_id", "v"]
    assert daemon.reader().columns("b") == ["id", "y"]


def test_excluded_column_does_not_leave_the_source(db, start, pg_version):
    if pg_version < 15:
        pytest.skip("column lists are there from PostgreSQL 15 on")
    db.execute("CREATE TABLE t (id int PRIMARY KEY, secret text, v text, w text)")
    start("- {table: public.t, columns: {exclude: [secret, w], compute: {l: length(w)}}}")
    # What an expression reads is needed, even when it is not written.
    assert db.rows("SELECT attnames::text[] FROM pg_publication_tables WHERE tablename = 't'") == [(["id", "v", "w"],)]


def test_events(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)")
    daemon = start("- {table: public.t, events: [insert, truncate]}")
    db.execute("INSERT INTO t VALUES (2, 2); UPDATE t SET v = 99; DELETE FROM t WHERE id = 1")
    daemon.wait()
    assert sorted(daemon.rows("SELECT id, v FROM t")) == [(1, 1), (2, 2)]
    db.execute("TRUNCATE t; INSERT INTO t VALUES (3, 3)")
    daemon.wait()
    assert daemon.rows("SELECT id, v FROM t") == [(3, 3)]


def test_soft_delete(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 4) i")
    daemon = start("- {table: public.t, on_delete: soft}")
    db.execute("DELETE FROM t WHERE id IN (1, 2); UPDATE t SET id = 30 WHERE id = 3")
    daemon.wait()

    def rows():
        return {r[0]: (r[1], bool(r[2])) for r in daemon.rows("SELECT id, v, _walmill_deleted FROM t")}

    got = rows()
    assert got[1] == ("v1", True) and got[2] == ("v2", True) and got[4] == ("v4", False) and got[30] == ("v3", False)
    db.execute("INSERT INTO t VALUES (1, 'again')")
    daemon.wait()
    assert rows()[1] == ("again", False)


def test_on_delete_and_on_truncate_ignore(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    daemon = start("- {table: public.t, on_delete: ignore, on_truncate: ignore}")
    db.execute("DELETE FROM t WHERE id = 1")
    daemon.wait()
    assert sorted(daemon.rows("SELECT id, v FROM t")) == [(1, "a"), (2, "b")]
    db.execute("TRUNCATE t; INSERT INTO t VALUES (2, 'c'), (3, 'd')")
    daemon.wait()
    assert sorted(daemon.rows("SELECT id, v FROM t")) == [(1, "a"), (2, "c"), (3, "d")]


def test_append(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'seeded')")
    daemon = start("- {table: public.t, mode: append}")
    daemon.wait()
    db.execute("INSERT INTO t VALUES (2, 'a')")
    db.execute("UPDATE t SET v = 'b' WHERE id = 2; UPDATE t SET v = 'c' WHERE id = 2")
    db.execute("DELETE FROM t WHERE id = 2")
    daemon.wait()
    rows = daemon.rows("SELECT id, v, _walmill_op FROM t ORDER BY _walmill_lsn, _walmill_seq")
    assert [r[:2] for r in rows[:4]] == [(1, "seeded"), (2, "a"), (2, "b"), (2, "c")]
    assert [r[0] for r in rows] == [1, 2, 2, 2, 2]
    assert len({r[2] for r in rows[1:]}) == 3       # insert, update, delete
    daemon.restart()
    db.execute("INSERT INTO t VALUES (3, 'd')")
    daemon.wait()
    assert daemon.rows("SELECT count(*) FROM t") == [(6,)]


def test_append_seeds_of_a_later_target_do_not_repeat_what_the_stream_brings(db, daemon):
    db.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)")
    first, later = {"lite": "type: sqlite\npath: lite.db"}, {"log": "type: sqlite\npath: log.db"}
    d = daemon("- {table: public.*, target: lite}", targets=first).start()
    d.wait()
    d.sigterm()
    # Still to come by the stream, and in the seed's snapshot as well.
    db.execute("INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1), (2); INSERT INTO c VALUES (1), (2)")
    d.targets = {**first, **later}
    d.write_config()
    d.write_rules("""
        - {table: public.*, target: lite}
        - {name: log, table: public.*, target: log, mode: append, seed: {workers: 1}}
        """)
    d.start().wait()
    for table in "abc":
        assert sorted(d.rows(f"SELECT id FROM {table}", "log")) == [(1,), (2,)]
    d.sigterm()


def test_view_placeholders_and_several_tables_by_globs(db, start):
    db.execute("CREATE SCHEMA sales_eu; CREATE SCHEMA sales_us; CREATE TABLE sales_eu.orders (id int PRIMARY KEY, v text); "
               "CREATE TABLE sales_us.orders (id int PRIMARY KEY, v text); CREATE TABLE sales_us.tmp_orders (id int PRIMARY KEY); "
               "INSERT INTO sales_eu.orders VALUES (1, 'eu'); INSERT INTO sales_us.orders VALUES (1, 'us')")
    daemon = start("""- {name: all, table: ["sales_*.*", "!sales_*.tmp_*"], view: "{source}_{schema}_{table}"}""")
    db.execute("INSERT INTO sales_eu.orders VALUES (2, 'eu'); INSERT INTO sales_us.orders VALUES (3, 'us'); INSERT INTO sales_us.tmp_orders VALUES (1)")
    daemon.same("sales_eu.orders", view="shop_sales_eu_orders")
    daemon.same("sales_us.orders", view="shop_sales_us_orders")
    assert "shop_sales_us_tmp_orders" not in daemon.reader().tables()


def test_view_in_a_schema_of_the_target(db, dw, daemon):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    d = daemon("- {table: public.t, view: reporting.t_view}", targets={"dw": f"type: postgres\nuri: {dw.uri}"}).start()
    db.execute("INSERT INTO t VALUES (2, 'b')")
    d.same("t", view="reporting.t_view")
    assert dw.rows("SELECT to_regclass('reporting.t_view') IS NOT NULL") == [(True,)]
    d.sigterm()


def test_two_rules_for_one_table(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, kind text, v text); INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y')")
    daemon = start("""
        - {name: only-a, table: public.t, view: t_a, where: "kind = 'a'"}
        - {name: all, table: public.t, view: t_all}
        """)
    db.execute("UPDATE t SET kind = 'a' WHERE id = 2; INSERT INTO t VALUES (3, 'a', 'z'), (4, 'b', 'z')")
    daemon.same("t", view="t_a", where="kind = 'a'")
    daemon.same("t", view="t_all")


def test_two_targets_and_two_sources(db, pg, daemon, both):
    second = pg.create_database()
    try:
        for each, letter in ((db, "a"), (second, "b")):
            each.execute(f"CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, '{letter}')")
        d = daemon("""
            - {name: one-lite, source: one, target: lite, table: public.t, view: "{source}_t"}
            - {name: two-lite, source: two, target: lite, table: public.t, view: "{source}_t"}
            - {name: one-dw, source: one, target: dw, table: public.t, view: "{source}_t"}
            """, targets=both, sources={"one": db.uri, "two": second.uri}).start()
        for i in range(2, 20):
            db.execute("INSERT INTO t VALUES (%s, 'a')", i)
            second.execute("INSERT INTO t VALUES (%s, 'b')", i)
        d.same("t", view="one_t")
        d.source_db = second
        d.same("t", view="two_t", target="lite")
        d.sigterm()
    finally:
        d.destroy()
        second.drop()


def test_seed_never(db, start):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'before')")
    daemon = start("- {table: public.t, seed: {mode: never}}")
    db.execute("INSERT INTO t VALUES (2, 'after')")
    daemon.wait()
    assert daemon.rows("SELECT id FROM t") == [(2,)]


def test_a_users_own_table_and_columns_stay(db, start):
    """A view that is there already, with more columns than the source: they are never dropped or emptied."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    daemon = start("- table: public.t")
    daemon.wait()
    daemon.reader().execute("ALTER TABLE t ADD COLUMN remark text")
    daemon.reader().execute("UPDATE t SET remark = 'mine'")
    db.execute("UPDATE t SET v = 'b'; INSERT INTO t VALUES (2, 'c'); ALTER TABLE t ADD w int; UPDATE t SET w = 5")
    daemon.same("t")
    assert sorted(daemon.rows("SELECT id, remark FROM t")) == [(1, "mine"), (2, None)]


def test_a_late_seed_does_not_wait_for_the_stream(db, start):
    db.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, v text); "
               "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i")
    daemon = start("- table: public.a")
    daemon.wait()
    began = time.monotonic()
    daemon.write_rules("- table: public.a\n- {table: public.t, seed: {batch_rows: 10}}")
    daemon.sighup()
    wait_until(lambda: (daemon.rule("t") or {}).get("state") == "streaming", "t is seeded", 60)
    assert time.monotonic() - began < 20, "200 batches, each for a moment"
    daemon.same("t")


def test_fresh_changes_are_not_held_back(db, start):
    """batch.* are upper bounds: a lone change does not wait for a batch to fill."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    daemon = start("- {table: public.t, batch: {rows: 1000000, interval: 1h}}")
    daemon.wait()
    db.execute("INSERT INTO t VALUES (1)")
    wait_until(lambda: daemon.rows("SELECT count(*) FROM t") == [(1,)], "the row at the target", 10)
