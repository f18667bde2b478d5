# SPDX-License-Identifier: PostgreSQL
"""Sources that lose the publication or a privilege, cut the line anywhere, or wait for signs of life."""

import sqlite3

import pytest
from walmill_testing import Proxy, wait_until
from walmill_testing.proxy import DOWN, UP

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i"


def source(d):
    return d.status()["sources"][0]


# ---- the publication ----

def refused_until_torn_down(d, mark):
    """It ends with what is wrong and the remedy, stays refused, and the remedy is one."""
    d.wait_exit(3, 60)
    said = d.log()[mark:]
    assert all(word in said for word in ('publication "walmill_shop"', "walmill teardown")), said
    d.launch()
    d.wait_exit(3, 60)
    d.run("teardown")
    d.start()
    d.same("t")
    d.sigterm()


def test_publication_dropped_while_it_runs(db, daemon):
    """What was committed meanwhile is in no stream: that must not pass for a whole copy."""
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    mark = len(d.log())
    db.execute("DROP PUBLICATION walmill_shop")
    db.execute("INSERT INTO t VALUES (500, 'unpublished'); DELETE FROM t WHERE id = 1")
    refused_until_torn_down(d, mark)


@pytest.fixture
def unpublished(db, daemon):
    """A daemon that has ended, and changes since its publication was dropped."""
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    d.sigterm()
    db.execute("DROP PUBLICATION walmill_shop")
    db.execute("INSERT INTO t VALUES (500, 'unpublished'); DELETE FROM t WHERE id = 1")
    return d


def test_trap_25_publication_missing_at_the_start(unpublished):
    mark = len(unpublished.log())
    refused_until_torn_down(unpublished.launch(), mark)


def test_trap_25_publication_made_again_by_hand(db, unpublished):
    """The server looks for it where the slot stands, and there it does not exist."""
    db.execute("CREATE PUBLICATION walmill_shop FOR TABLE t")
    mark = len(unpublished.log())
    refused_until_torn_down(unpublished.launch(), mark)


def test_publication_of_somebody_else_dropped(db, daemon):
    """With `manage: false` walmill makes none, and says which is missing."""
    db.execute(TABLE + "; CREATE PUBLICATION theirs FOR TABLE t")
    db.execute("SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')")
    d = daemon("- table: public.t",
               sources={"shop": f"uri: {db.uri}\nmanage: false\nslot: theirs\npublication: theirs"}).start()
    d.same("t")
    db.execute("DROP PUBLICATION theirs; INSERT INTO t VALUES (500, 'unpublished')")
    d.wait_exit(3, 60)
    assert 'publication "theirs"' in d.log()
    assert db.rows("SELECT count(*) FROM pg_publication") == [(0,)]


# ---- privileges ----

@pytest.fixture
def role(db):
    """Owns the database's tables, but is no superuser."""
    name = f"follower_{db.name}"
    db.execute(f"CREATE ROLE {name} LOGIN REPLICATION; GRANT CREATE ON DATABASE {db.name} TO {name}; "
               f"ALTER SCHEMA public OWNER TO {name}")
    yield name
    db.execute(f"ALTER SCHEMA public OWNER TO postgres; ALTER DATABASE {db.name} OWNER TO postgres")
    db.execute(f"REASSIGN OWNED BY {name} TO postgres; DROP OWNED BY {name}; DROP ROLE {name}")


def followed(db, daemon, role, **options):
    db.execute(TABLE + f"; ALTER TABLE t OWNER TO {role}")
    return daemon("- table: public.t", sources={"shop": f"uri: {db.cluster.uri(db.name, role)}\ndiscover: 200ms"}, **options)


def end_sessions(db, role):
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", role)


def test_replication_taken_away(db, daemon, role):
    d = followed(db, daemon, role).start()
    d.same("t")
    db.execute(f"ALTER ROLE {role} NOREPLICATION")
    end_sessions(db, role)
    error = wait_until(lambda: "replication" in (source(d)["last_error"] or "").lower() and source(d)["last_error"], "it is told")
    assert role in error and "REPLICATION" in error, error
    assert source(d)["state"] == "retrying"
    db.execute("INSERT INTO t VALUES (500, 'meanwhile')")
    db.execute(f"ALTER ROLE {role} REPLICATION")
    wait_until(d.ready, "it streams again", 60)
    d.same("t")
    d.sigterm()
    # At a start nobody has promised that it ever worked.
    db.execute(f"ALTER ROLE {role} NOREPLICATION")
    mark = len(d.log())
    d.launch()
    d.wait_exit(1)
    said = d.log()[mark:]
    assert role in said and "REPLICATION" in said, said


def test_connect_taken_away(db, daemon, role):
    d = followed(db, daemon, role).start()
    d.same("t")
    db.execute(f"REVOKE CONNECT ON DATABASE {db.name} FROM PUBLIC")
    end_sessions(db, role)
    error = wait_until(lambda: "permission denied" in (source(d)["last_error"] or "") and source(d)["last_error"], "it is told")
    assert db.name in error and "CONNECT" in error, error
    assert source(d)["state"] == "retrying"
    db.execute("INSERT INTO t VALUES (500, 'meanwhile')")
    db.execute(f"GRANT CONNECT ON DATABASE {db.name} TO PUBLIC")
    wait_until(d.ready, "it streams again", 60)
    d.same("t")
    d.sigterm()


def test_select_taken_away(db, daemon, role):
    """The stream needs no SELECT, a seed does: its rule says so, and the others go on."""
    d = followed(db, daemon, role)
    d.start()
    d.same("t")
    # An owner may grant it to itself again, but does not have it.
    db.execute(f"REVOKE SELECT ON t FROM {role}; CREATE TABLE u (id int PRIMARY KEY); ALTER TABLE u OWNER TO {role}")
    db.execute("INSERT INTO t VALUES (500, 'streamed')")
    d.same("t")
    d.write_rules("- {name: again, table: public.t, view: again}\n- table: public.u", "20-more.yaml")
    d.sighup()
    wait_until(lambda: (d.rule("again") or {"state": ""})["state"] == "failed", "the rule stops")
    error = d.rule("again")["last_error"]
    assert "permission denied" in error and "public.t" in error and f'"{role}"' in error and "GRANT SELECT" in error, error
    db.execute("INSERT INTO t VALUES (501, 'streamed, too'); INSERT INTO u VALUES (1)")
    wait_until(lambda: not d.differences("t") and d.rows("SELECT count(*) FROM u") == [(1,)], "the others go on")
    db.execute(f"GRANT SELECT ON t TO {role}")
    d.run("resume", "again")
    wait_until(lambda: not d.differences("t", view="again"), "it is seeded")
    d.same("t")
    d.sigterm()


def test_trap_18_select_never_given(db, daemon, role):
    """A first seed that may not read one table seeds the others."""
    db.execute("CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)")
    d = followed(db, daemon, role)
    db.execute(f"REVOKE SELECT ON t FROM {role}; ALTER TABLE u OWNER TO {role}")
    d.write_rules("- table: public.u", "20-more.yaml")
    d.start()
    wait_until(lambda: d.rows("SELECT count(*) FROM u") == [(1,)], "the other table is seeded")
    wait_until(lambda: d.rule("t")["state"] == "failed", "the rule stops")
    assert "GRANT SELECT" in d.rule("t")["last_error"]
    db.execute(f"GRANT SELECT ON t TO {role}")
    d.run("resume", "t")
    wait_until(lambda: not d.differences("t"), "it is seeded")
    d.sigterm()


def test_select_taken_away_from_a_rule_that_reads_rows_again(db, daemon, role):
    """An update that leaves a value out, which the rule's `where` needs."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, doc text); ALTER TABLE t ALTER doc SET STORAGE EXTERNAL; "
               f"INSERT INTO t VALUES (1, 'v', repeat('x', 5000)); ALTER TABLE t OWNER TO {role}")
    d = daemon("- table: public.t\n- {name: long, table: public.t, view: long, where: length(doc) > 100}",
               sources={"shop": f"uri: {db.cluster.uri(db.name, role)}"}).start()
    d.same("t")
    db.execute(f"REVOKE SELECT ON t FROM {role}")
    db.execute("UPDATE t SET v = 'w' WHERE id = 1")
    wait_until(lambda: d.rule("long")["state"] == "failed", "the rule stops")
    assert "GRANT SELECT" in d.rule("long")["last_error"] and role in d.rule("long")["last_error"]
    wait_until(lambda: not d.differences("t"), "the other rule goes on")
    db.execute(f"GRANT SELECT ON t TO {role}")
    d.run("resume", "long")
    wait_until(lambda: not d.differences("t", view="long"), "nothing of it is lost")
    d.same("t")
    d.sigterm()


# ---- signs of life ----

@pytest.mark.parametrize("journal", ["", "journal: off"], ids=["journal", "no journal"])
def test_trap_15_short_wal_sender_timeout_and_a_slow_target(db, daemon, journal):
    """Feedback has a timer of its own: no target that waits, and no full memory, ends the stream."""
    db.execute(TABLE)
    options = "&options=-c%20wal_sender_timeout%3D1s"
    d = daemon("- table: public.t", sources={"shop": db.uri + options}, settings=journal).start()
    d.same("t")
    assert db.value("SELECT count(*) FROM pg_stat_replication WHERE application_name LIKE 'walmill%%'") == 1
    lock = sqlite3.connect(d.folder / "lite.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    uptime = d.status()["uptime_s"]
    # More than memory takes.
    for i in range(30):
        db.execute("INSERT INTO t SELECT 1000 + %s * 1000 + i, repeat(md5(i::text), 100) FROM generate_series(1, 1000) i", i)
    wait_until(lambda: d.status()["uptime_s"] > uptime + 6, "six times the bound", 30, poll=0.2)
    assert (source(d)["state"], source(d)["reconnects"]) == ("streaming", 0)
    lock.execute("ROLLBACK")
    lock.close()
    d.same("t")
    assert source(d)["reconnects"] == 0 and "wal_sender_timeout" not in db.cluster.log.read_text()
    d.sigterm()


# ---- the line ----

CHANGES = ("UPDATE t SET v = v || repeat('x', {0}) WHERE id <= 3; INSERT INTO t VALUES (1000 + {0}, 'new'); "
           "DELETE FROM t WHERE id = {0} + 10")


@pytest.mark.parametrize("journal", ["", "journal: off"], ids=["journal", "no journal"])
def test_stream_cut_at_any_byte(db, pg, daemon, journal):
    """Bytes of the stream, of a session's beginning, and of what is said to the server."""
    db.execute(TABLE)
    with Proxy(pg.socket) as proxy:
        d = daemon("- {table: public.t, mode: append, view: events}\n- {name: u, table: public.t}",
                   sources={"shop": proxy.uri(db.name)}, settings=journal).start()
        d.wait()
        cuts = [(DOWN, n) for n in (1, 3, 8, 25, 30, 47, 80, 120, 170, 230, 300, 450, 700, 1100, 1700, 2600)]
        cuts += [(UP, n) for n in (1, 20, 34, 90, 200, 420)]
        for i, (direction, count) in enumerate(cuts):
            proxy.cut_at(count, direction)
            db.execute("BEGIN; " + CHANGES.format(i) + "; COMMIT")
            wait_until(lambda: not d.differences("t"), "everything came", 60)
        proxy.heal()
        wait_until(d.ready, "it streams", 60)
        d.same("t", view="t")
        assert source(d)["reconnects"] >= 10
        # Not one too few, not one twice.
        assert d.rows("SELECT count(*) FROM events") == [(100 + 5 * len(cuts),)]
        d.sigterm()
