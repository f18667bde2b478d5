# SPDX-License-Identifier: PostgreSQL
"""Changes of a table's definition while it is followed, at both targets."""

import sqlite3

import pytest
from walmill_testing import wait_until

RULE = "- table: public.t"


def make(db):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t SELECT i, 'a' || i, i FROM generate_series(1, 5) i")


def arrives(daemon, table, **options):
    """Unlike `wait`, this asks for no look at the catalog."""
    def same():
        try:
            return not daemon.differences(table, **options)
        except Exception:       # pylint: disable=broad-except
            return False        # no such view yet

    wait_until(same, f"{table} at the target", 30)


def daemon_sees(daemon, table, **options):
    """A table is found within source.discover: `wait` cannot know of it before."""
    arrives(daemon, table, **options)
    daemon.same(table, **options)


def start_that_hardly_looks(db, start):
    """What the stream says has to do, but for a `wait`."""
    daemon = start(RULE, sources={"shop": f"uri: {db.uri}\ndiscover: 1h"})
    daemon.same("t")
    return daemon


def test_add_column(db, start):
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    db.execute("ALTER TABLE t ADD c timestamptz")
    db.execute("INSERT INTO t VALUES (6, 'a6', 6, '2024-01-01'); UPDATE t SET c = '2024-06-01' WHERE id = 1")
    daemon.same("t")


def test_add_column_with_a_default_fills_old_rows(db, start):
    """The stream says nothing of the rows that were there: their new values must arrive all the same."""
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    db.execute("ALTER TABLE t ADD c int NOT NULL DEFAULT 42")
    db.execute("UPDATE t SET b = 0 WHERE id = 2")
    daemon.same("t")
    db.execute("ALTER TABLE t ADD d text DEFAULT md5(random()::text)")
    db.execute("INSERT INTO t VALUES (7, 'x', 7)")
    daemon.same("t")


def test_drop_column_keeps_it_at_the_target(db, start):
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    db.execute("ALTER TABLE t DROP a")
    db.execute("INSERT INTO t VALUES (6, 6); UPDATE t SET b = 50 WHERE id = 1")
    daemon.same("t")
    assert "a" in daemon.reader().columns("t")
    db.execute("ALTER TABLE t ADD a text; UPDATE t SET a = 'again' WHERE id <= 2")
    daemon.same("t")


def test_rename_column(db, start):
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    db.execute("ALTER TABLE t RENAME a TO a2")
    db.execute("INSERT INTO t VALUES (6, 'new', 6); UPDATE t SET a2 = 'x' WHERE id = 1")
    daemon.same("t")


def test_rename_of_the_key_column_says_what_to_do(db, start):
    """The view's own key cannot follow; that rule stops, with the remedy, and the others go on."""
    make(db)
    db.execute("CREATE TABLE u (id int PRIMARY KEY)")
    daemon = start("- table: public.t\n- table: public.u")
    daemon.same("t")
    db.execute("ALTER TABLE t RENAME id TO key_id")
    db.execute("INSERT INTO t VALUES (6, 'new', 6)")
    wait_until(lambda: daemon.rule("t")["state"] == "failed", "the rule stops")
    assert "key_id" in daemon.log() and "key:" in daemon.log()
    db.execute("INSERT INTO u VALUES (1)")
    wait_until(lambda: daemon.rows("SELECT id FROM u") == [(1,)], "the other rule goes on")
    # The remedy, for a view that is to be kept under its old name.
    daemon.write_rules("- {table: public.t, view: t2}\n- table: public.u")
    daemon.sighup()
    wait_until(lambda: daemon.rule("t")["state"] == "streaming", "the changed rule")
    daemon.same("t", view="t2")


@pytest.mark.parametrize("shrinks", [False, True], ids=["to text", "to integer"])
def test_trap_22_alter_type(db, start, shrinks):
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    db.execute("ALTER TABLE t ALTER b TYPE bigint; INSERT INTO t VALUES (6, 'x', %d)" % (5 if shrinks else 5000000000))
    daemon.same("t")
    db.execute("ALTER TABLE t ALTER b TYPE numeric(20,3); INSERT INTO t VALUES (7, 'x', 1.125)")
    daemon.same("t")
    db.execute("ALTER TABLE t ALTER b TYPE int; INSERT INTO t VALUES (8, 'x', 7)" if shrinks else
               "ALTER TABLE t ALTER b TYPE text; INSERT INTO t VALUES (8, 'x', 'seven'); UPDATE t SET a = 'y' WHERE id = 1")
    daemon.same("t")


def test_made_again_with_a_type_that_old_values_do_not_fit(db, start):
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    db.execute("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, a int, b date); INSERT INTO t VALUES (1, 7, '2024-02-29')")
    daemon_sees(daemon, "t")
    assert daemon.rule("t")["state"] == "streaming"


def test_trap_22_ddl_and_rows_in_one_transaction(db, start):
    make(db)
    daemon = start(RULE)
    db.execute("INSERT INTO t VALUES (10, 'before', 1); ALTER TABLE t ADD c text DEFAULT 'd'; INSERT INTO t VALUES (11, 'after', 2, 'c'); "
               "ALTER TABLE t DROP b; INSERT INTO t VALUES (12, 'last', 'e'); UPDATE t SET c = 'f' WHERE id < 3")
    daemon.same("t")


def test_table_that_is_renamed_and_a_new_one_in_its_place(db, start):
    """The rule is about the name: the old table's rows make room for the new one's."""
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    db.execute("ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'fresh', 1)")
    daemon_sees(daemon, "t")
    db.execute("INSERT INTO t_old VALUES (99, 'not wanted', 0); INSERT INTO t VALUES (2, 'fresh', 2)")
    daemon_sees(daemon, "t")


def test_new_table_by_glob(db, start):
    make(db)
    daemon = start("- {name: all, table: public.*}", sources={"shop": f"uri: {db.uri}\ndiscover: 300ms"})
    daemon.same("t")
    db.execute("CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u SELECT i, 'before walmill knew' FROM generate_series(1, 1000) i")
    daemon_sees(daemon, "u")
    db.execute("UPDATE u SET v = 'x' WHERE id % 2 = 0; DELETE FROM u WHERE id % 5 = 0; INSERT INTO u VALUES (5000, 'y'); INSERT INTO t VALUES (50, 'c', 1)")
    daemon.same("t", "u")


def test_table_dropped_and_others_go_on(db, start):
    make(db)
    db.execute("CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)")
    daemon = start("- {name: all, table: public.*}", sources={"shop": f"uri: {db.uri}\ndiscover: 300ms"})
    daemon.same("t", "u")
    db.execute("DROP TABLE u; INSERT INTO t VALUES (50, 'c', 1)")
    daemon.same("t")
    assert daemon.rows("SELECT id FROM u") == [(1,)]


def test_ddl_while_the_daemon_is_down(db, start):
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    daemon.sigterm()
    db.execute("ALTER TABLE t ADD c int DEFAULT 5; INSERT INTO t VALUES (6, 'x', 6, 6); ALTER TABLE t RENAME a TO z; UPDATE t SET z = 'q' WHERE id = 1")
    daemon.start()
    daemon.same("t")


def test_add_column_beside_excluded_ones(db, start):
    """The publication's column list has to follow; what was written meanwhile is read again."""
    make(db)
    daemon = start("- {table: public.t, columns: {exclude: [a]}}", sources={"shop": f"uri: {db.uri}\ndiscover: 300ms"})
    daemon.same("t", columns=["id", "b"])
    db.execute("ALTER TABLE t ADD c text DEFAULT 'old rows'")
    db.execute("INSERT INTO t VALUES (6, 'hidden', 6, 'new'); UPDATE t SET c = 'changed' WHERE id = 1")
    daemon_sees(daemon, "t", columns=["id", "b", "c"])
    # PostgreSQL holds a column of a column list; CASCADE takes the whole table from the publication.
    db.execute("UPDATE t SET c = 'again' WHERE id = 2; ALTER TABLE t DROP b CASCADE")
    db.execute("INSERT INTO t VALUES (7, 'hidden', 'last'); UPDATE t SET c = 'unpublished' WHERE id = 3; DELETE FROM t WHERE id = 4")
    daemon_sees(daemon, "t", columns=["id", "c"])
    assert "a" not in daemon.reader().columns("t")


def test_column_added_under_a_list_that_has_gone_since(db, start, pg_version):
    """Another rule wants all columns now; what was written before that lacks the new one nevertheless."""
    if pg_version < 15:
        pytest.skip("column lists are there from PostgreSQL 15 on")
    make(db)
    daemon = start("- {table: public.t, columns: {exclude: [a]}}")
    daemon.same("t", columns=["id", "b"])
    daemon.sigterm()
    db.execute("ALTER TABLE t ADD c text")
    db.execute("INSERT INTO t VALUES (6, 'hidden', 6, 'not published')")
    daemon.write_rules("- {table: public.t, columns: {exclude: [a]}}\n- {table: public.t, name: all, view: whole}")
    daemon.start()
    daemon_sees(daemon, "t", columns=["id", "b", "c"])
    daemon.same("t", view="whole")


def test_kill_between_the_publication_mended_and_the_target_told(db, daemon, pg_version):
    """Once a table is published again nothing at the source shows that it was out."""
    if pg_version < 15:
        pytest.skip("column lists are there from PostgreSQL 15 on")
    make(db)
    d = daemon("- {table: public.t, columns: {exclude: [a]}}", sources={"shop": f"uri: {db.uri}\ndiscover: 300ms"}).start()
    d.same("t", columns=["id", "b"])
    d.sigterm()
    db.execute("ALTER TABLE t ADD c int; ALTER TABLE t DROP b CASCADE")
    db.execute("INSERT INTO t VALUES (7, 'hidden', 7); UPDATE t SET c = 8 WHERE id = 3; DELETE FROM t WHERE id = 4")
    lock = sqlite3.connect(d.folder / "lite.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    d.launch()
    published = "SELECT count(*) FROM pg_publication_tables WHERE pubname = 'walmill_shop'"
    wait_until(lambda: db.value(published) == 1, "the table is published again")
    d.sigkill()
    lock.close()
    d.start()
    daemon_sees(d, "t", columns=["id", "c"])
    # Told once is enough: the next start finds nothing to do.
    state = sqlite3.connect(d.folder / "state" / "walmill.db")
    wait_until(lambda: state.execute("SELECT count(*) FROM gap").fetchone() == (0,), "the gap is forgotten")
    state.close()
    told = d.log().count("table_was_out")
    d.restart()
    d.same("t", columns=["id", "c"])
    assert d.log().count("table_was_out") == told > 0


def test_changes_of_before_a_gap_are_not_put_over_what_came_in_it(db, start):
    """They are streamed still when the table is published, and seeded, again."""
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    daemon.sigterm()
    db.execute("UPDATE t SET b = -1 WHERE id = 1; INSERT INTO t VALUES (6, 'x', 6); DELETE FROM t WHERE id = 2; "
               "UPDATE t SET id = 30 WHERE id = 3")
    db.execute("ALTER PUBLICATION walmill_shop DROP TABLE t")
    db.execute("UPDATE t SET b = -2 WHERE id = 1; DELETE FROM t WHERE id = 6; INSERT INTO t VALUES (2, 'y', 2), (3, 'z', 3)")
    daemon.start()
    daemon.same("t")
    daemon.sigkill()
    daemon.start()
    daemon.same("t")


def test_gap_that_half_a_seed_has_met_already(db, daemon):
    """Until every target reflects it a gap is found again, and later changes are passed over than before."""
    make(db)
    d = daemon("- {table: 'public.t*', batch: {rows: 1}}", sources={"shop": f"uri: {db.uri}\ndiscover: 1h"}).start()
    d.same("t")
    db.execute("CREATE TABLE t2 (id int PRIMARY KEY); INSERT INTO t2 SELECT generate_series(1, 3000)")
    d.run("wait", "--timeout", "1", expect=None)        # looks at the catalog

    def some():
        try:
            return len(d.rows("SELECT id FROM t2")) > 50
        except sqlite3.OperationalError:
            return False        # no such view yet

    wait_until(some, "a part of it is seeded", 30)
    d.sigkill()
    assert len(d.rows("SELECT id FROM t2")) < 3000
    db.execute("DELETE FROM t2 WHERE id < 100")
    d.start()
    d.same("t2")


def test_enum_value_added(db, start):
    db.execute("CREATE TYPE mood AS ENUM ('good'); CREATE TABLE t (id int PRIMARY KEY, m mood); INSERT INTO t VALUES (1, 'good')")
    daemon = start(RULE)
    db.execute("ALTER TYPE mood ADD VALUE 'bad'")
    db.execute("INSERT INTO t VALUES (2, 'bad')")
    daemon.same("t")


@pytest.mark.parametrize("down", [False, True], ids=["running", "down"])
def test_column_replaced_by_another_of_the_same_name_and_type(db, start, down):
    """The stream shows no difference; every row has another value all the same."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, c text DEFAULT 'old'); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 5) i")
    daemon = start(RULE)
    daemon.same("t")
    if down:
        daemon.sigterm()
    db.execute("ALTER TABLE t DROP c; ALTER TABLE t ADD c text DEFAULT 'new'")
    db.execute("UPDATE t SET v = 'w' WHERE id = 1; INSERT INTO t VALUES (6, 'x')")
    if down:
        daemon.start()
    daemon_sees(daemon, "t")


@pytest.mark.parametrize("replace", [
    "ALTER TABLE t DROP c; ALTER TABLE t ADD c text DEFAULT 'new'",
    "ALTER TABLE t DROP c; ALTER TABLE t RENAME d TO c",
], ids=["added again", "renamed"])
def test_young_column_replaced(db, start, replace):
    """The catalog was last looked at before there was such a column, so that its number is not known."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 5) i")
    daemon = start_that_hardly_looks(db, start)
    db.execute("ALTER TABLE t ADD c text; ALTER TABLE t ADD d text DEFAULT 'd'")
    db.execute("UPDATE t SET c = 'old' WHERE id = 1")
    daemon.same("t")
    daemon.sigterm()
    db.execute(replace)
    db.execute("UPDATE t SET v = 'w' WHERE id = 2")
    daemon.start()
    daemon_sees(daemon, "t")


def test_column_replaced_that_had_been_renamed(db, start):
    """Its name is younger than the last look at the catalog, its number is not."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, b text, v text); INSERT INTO t SELECT i, 'old', 'v' FROM generate_series(1, 5) i")
    daemon = start_that_hardly_looks(db, start)
    db.execute("ALTER TABLE t RENAME b TO c")
    db.execute("UPDATE t SET v = 'w' WHERE id = 1")
    daemon.same("t")
    daemon.sigkill()
    db.execute("ALTER TABLE t DROP c; ALTER TABLE t ADD c text DEFAULT 'new'")
    db.execute("UPDATE t SET v = 'w' WHERE id = 2")
    daemon.start()
    daemon_sees(daemon, "t")


def test_young_column_renamed_and_added_again(db, start):
    """That both are younger than the last look only their order shows."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 5) i")
    daemon = start_that_hardly_looks(db, start)
    db.execute("ALTER TABLE t ADD c text")
    db.execute("UPDATE t SET c = 'c' WHERE id < 3")
    arrives(daemon, "t")
    db.execute("ALTER TABLE t RENAME c TO d; ALTER TABLE t ADD c text")
    db.execute("UPDATE t SET v = 'w' WHERE id = 5")
    daemon_sees(daemon, "t")


@pytest.mark.parametrize("down", [False, True], ids=["running", "down"])
def test_column_replaced_and_renamed_while_older_changes_are_under_way(db, start, down):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, c text DEFAULT 'old'); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 5) i")
    daemon = start(RULE)
    daemon.same("t")
    if down:
        daemon.sigterm()
    db.execute("UPDATE t SET v = 'w' WHERE id = 1; ALTER TABLE t RENAME c TO d")
    db.execute("UPDATE t SET v = 'x' WHERE id = 2; ALTER TABLE t DROP d; ALTER TABLE t ADD d text DEFAULT 'newer'")
    db.execute("INSERT INTO t VALUES (6, 'x'); ALTER TABLE t ADD e int DEFAULT 5; ALTER TABLE t RENAME e TO c")
    db.execute("INSERT INTO t VALUES (7, 'y'); ALTER TABLE t DROP c; ALTER TABLE t ADD c int")
    db.execute("UPDATE t SET v = 'last' WHERE id = 3")
    if down:
        daemon.start()
    daemon_sees(daemon, "t")


def test_renamed_there_and_back(db, start):
    """What was changed under the other name must not be missing under the old one."""
    make(db)
    daemon = start(RULE)
    daemon.same("t")
    db.execute("ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (10, 'x', 1); DELETE FROM u WHERE id = 2; "
               "ALTER TABLE u RENAME TO t")
    daemon_sees(daemon, "t")
    for sql in ("ALTER TABLE t RENAME TO u", "INSERT INTO u VALUES (11, 'x', 1)", "DELETE FROM u WHERE id = 3",
                "ALTER TABLE u RENAME TO t"):
        db.execute(sql)
    daemon_sees(daemon, "t")


def test_renamed_schema(db, start):
    """PostgreSQL goes on streaming the tables under the name that the schema had."""
    db.execute("CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY); INSERT INTO s.t VALUES (1), (2)")
    daemon = start("- {table: '*.t', view: '{schema}_{table}'}")
    db.execute("INSERT INTO s.t VALUES (3)")
    daemon.same("s.t", view="s_t")
    db.execute("ALTER SCHEMA s RENAME TO z")
    db.execute("INSERT INTO z.t VALUES (4); DELETE FROM z.t WHERE id = 1")
    daemon_sees(daemon, "z.t", view="z_t")
    db.execute("INSERT INTO z.t VALUES (5); DELETE FROM z.t WHERE id = 2")
    daemon_sees(daemon, "z.t", view="z_t")


def test_column_replaced_and_told_by_a_change_before_the_catalog_counts(db, dw, daemon):
    """The stream shows the same names and types in another order, and is ahead of the look at the catalog."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, c text, v text); "
               "INSERT INTO t SELECT i, 'old', 'v' FROM generate_series(1, 5) i")
    d = daemon("- table: public.t\n- table: public.fresh", targets={"dw": f"type: postgres\nuri: {dw.uri}"},
               sources={"shop": f"uri: {db.uri}\ndiscover: 100ms"}).start()
    d.same("t")
    blocker = dw.connect(autocommit=False)
    blocker.cursor().execute("LOCK TABLE t")
    db.execute("INSERT INTO t VALUES (6, 'old', 'blocked')")
    wait_until(lambda: dw.value("SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))",
                                blocker.info.backend_pid), "the target is stuck")
    db.execute("ALTER TABLE t DROP c; ALTER TABLE t ADD c text DEFAULT 'new'; CREATE TABLE fresh (id int PRIMARY KEY)")
    wait_until(lambda: db.value("SELECT count(*) FROM pg_publication_tables WHERE tablename = 'fresh'"),
               "the catalog was looked at")
    db.execute("INSERT INTO t VALUES (7, 'after')")
    blocker.rollback()
    daemon_sees(d, "t")
