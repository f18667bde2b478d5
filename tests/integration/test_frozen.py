# SPDX-License-Identifier: PostgreSQL
"""Statements that are not answered: a server that works is waited for, one that is frozen or out of reach is given up."""

import time

import pytest
from walmill_testing import Proxy, wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i"


def gave_up(d, why):
    assert d.process.poll() is None
    return why in (d.target("dw")["last_error"] or "")


@pytest.fixture
def target(other_pg):
    database = other_pg.create_database()
    yield database
    database.drop()


def test_trap_17_a_target_that_is_frozen(db, other_pg, target, daemon):
    """Its kernel still takes what is sent, so TCP has nothing to say."""
    db.execute(TABLE)
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {target.uri}\nsilence: 1s"}).start()
    d.same("t")
    other_pg.freeze()
    try:
        db.execute("INSERT INTO t VALUES (500, 'unseen yet')")
        wait_until(lambda: gave_up(d, "the server takes no new connection either"), "the silence is noticed", 60)
        assert d.target("dw")["state"] == "retrying"
    finally:
        other_pg.freeze(False)
    d.same("t")
    d.sigterm()


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "working"])
def test_a_target_that_takes_no_more_of_many_rows(db, other_pg, target, daemon, frozen):
    """What waits to be sent is waited for as answers are."""
    db.execute(TABLE)
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {target.uri}\nsilence: 1s"}).start()
    d.same("t")
    with other_pg.admin() as admin:
        other = target.connect(autocommit=False)
        other.cursor().execute("INSERT INTO t VALUES (500, 'not committed')")
        db.execute("INSERT INTO t SELECT i, repeat(md5(i::text), 40) FROM generate_series(499, 20000) i")
        wait_until(lambda: admin.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%COPY%%' AND wait_event = 'transactionid'"),
                   "the row that is there is met", 60)
        if frozen:
            other_pg.freeze()
        try:
            if frozen:
                wait_until(lambda: gave_up(d, "the server takes no new connection either"), "the silence is noticed", 60)
            else:
                d.wait_log("has waited for 2 s", 30)
        finally:
            other_pg.freeze(False)
        other.rollback()
        other.close()
    d.same("t")
    assert frozen or d.target("dw")["retries"] == 0
    d.sigterm()


def test_trap_17_a_target_behind_a_firewall_that_forgot_it(db, other_pg, target, daemon):
    db.execute(TABLE)
    with Proxy(other_pg.socket) as proxy:
        d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {proxy.uri(target.name)}\nsilence: 1s"}).start()
        d.same("t")
        proxy.half_open()
        db.execute("INSERT INTO t VALUES (500, 'x'); DELETE FROM t WHERE id = 1")
        d.wait_log("no answer for 1 s: the server waits for us", 30)
        d.same("t")
        d.sigterm()


def test_trap_17_a_source_behind_a_firewall_that_forgot_it(db, pg, daemon):
    """Not the stream alone: whoever looks for new tables must not wait for ever either."""
    db.execute(TABLE)
    with Proxy(pg.socket) as proxy:
        uri = f"{proxy.uri(db.name)}?options=-c%20wal_sender_timeout%3D1s"
        d = daemon("- table: public.*", sources={"shop": f"uri: {uri}\nsilence: 1s\ndiscover: 300ms"}).start()
        d.same("t")
        proxy.half_open()
        db.execute("CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)")
        d.wait_log("seeded: table public.u", 60)
        d.same("t", "u")
        d.sigterm()


def test_a_target_that_works_is_waited_for(db, dw, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {dw.uri}\nsilence: 1s"}).start()
    d.same("t")
    dw.execute("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NEW; END'")
    dw.execute("CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()")
    began = time.monotonic()
    db.execute("INSERT INTO t VALUES (500, 'slow')")
    d.same("t")
    assert time.monotonic() - began >= 3
    assert d.target("dw")["retries"] == 0
    d.sigterm()


def test_who_holds_the_lock_is_said(db, dw, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {dw.uri}\nsilence: 1s"}).start()
    d.same("t")
    locker = dw.connect(autocommit=False)
    locker.cursor().execute("LOCK TABLE t")
    db.execute("INSERT INTO t VALUES (500, 'waits')")
    d.wait_log("server_waits")
    assert f"for process {locker.get_backend_pid()} of postgres" in d.log()
    locker.rollback()
    d.same("t")
    assert d.target("dw")["retries"] == 0
    d.sigterm()
