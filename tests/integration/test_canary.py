# SPDX-License-Identifier: PostgreSQL
"""A stream that is connected and stands still is noticed; one that has its reasons is left alone."""

import os
import signal
import socket
import sqlite3
import subprocess

import pytest
from walmill_testing import program, wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i"


def source(d):
    return d.status()["sources"][0]


def probe(db):
    """Counts walmill's messages from now on."""
    db.execute("SELECT pg_create_logical_replication_slot('probe', 'pgoutput')")
    return lambda: db.value(
        "SELECT count(*) FROM pg_logical_slot_peek_binary_changes('probe', NULL, NULL, 'proto_version', '1', "
        "'publication_names', 'walmill_shop', 'messages', 'true') WHERE position('walmill_shop'::bytea IN data) > 0")


@pytest.fixture
def watched(db, daemon):
    """A daemon whose connection may be silent for as long as it likes."""

    def make(canary="{every: 1s, within: 3s}", role="postgres", **options):
        db.execute(TABLE)
        db.execute(f"ALTER TABLE t OWNER TO {role}")
        block = f"uri: {db.cluster.uri(db.name, role)}\nsilence: 600s\ncanary: {canary}"
        d = daemon("- table: public.t", sources={"shop": block}, **options).start()
        d.same("t")
        return d

    return make


def test_trap_17_a_frozen_walsender_is_a_stall(db, watched):
    d = watched()
    assert d.get("/readyz")[0] == d.get("/healthz")[0] == 200
    pid = db.slot()["active_pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        db.execute("INSERT INTO t VALUES (500, 'unseen yet')")
        wait_until(lambda: source(d)["state"] == "stalled", "the stall is noticed", 30)
        assert "walmill_shop" in source(d)["last_error"] and source(d)["quiet_s"] >= 3
        assert d.get("/readyz")[0] == d.get("/healthz")[0] == 503
        assert 'walmill_source_state{source="shop",state="stalled"} 1' in d.metrics()
        assert "stalled" in d.run("status").stdout
        quiet = source(d)["quiet_s"]
        wait_until(lambda: source(d)["quiet_s"] > quiet + 4, "more than the bound once more", poll=0.3)
        assert d.log().count("source_stalled") == 1
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(d.ready, "it streams again")
    d.same("t")
    assert d.log().count("source_moves") == 1
    assert source(d)["last_error"] is None and source(d)["reconnects"] == 0
    assert d.get("/readyz")[0] == d.get("/healthz")[0] == 200
    d.sigterm()


def test_a_quiet_source_is_not_stalled(db, watched):
    d = watched("{every: 1s, within: 2s}")
    before = db.slot()["confirmed"]
    sent = probe(db)
    uptime = d.status()["uptime_s"]
    wait_until(lambda: d.status()["uptime_s"] > uptime + 6, "several messages", 20, poll=0.3)
    assert source(d)["state"] == "streaming" and source(d)["reconnects"] == 0
    assert "source_stalled" not in d.log() and "canary_refused" not in d.log()
    assert sent() >= 3 and source(d)["quiet_s"] < 3
    wait_until(lambda: db.slot()["confirmed"] > before, "the slot moves along")
    d.same("t")
    d.sigterm()


def test_off_sends_nothing(db, watched):
    d = watched("off")
    sent = probe(db)
    uptime = d.status()["uptime_s"]
    wait_until(lambda: d.status()["uptime_s"] > uptime + 3, "a while", 20, poll=0.3)
    assert sent() == 0
    d.sigterm()


@pytest.mark.parametrize("journal", ["off", "{max_bytes: 1MiB}"])
def test_a_blocked_target_is_no_stall(db, watched, journal):
    """The stream stands still because walmill does not listen: the journal is full."""
    d = watched("{every: 1s, within: 1s}", settings=f"journal: {journal}\nmemory: 1MiB")
    lock = sqlite3.connect(d.folder / "lite.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    for i in range(1, 9):
        db.execute("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(%s, %s) i", i * 1000, i * 1000 + 999)
    if journal != "off":
        wait_until(lambda: source(d)["journal_state"] == "full", "the journal is full", 60)
    uptime = d.status()["uptime_s"]
    wait_until(lambda: d.status()["uptime_s"] > uptime + 5, "five times the bound", 20, poll=0.3)
    assert source(d)["state"] == "streaming"
    lock.execute("ROLLBACK")
    lock.close()
    d.same("t")
    assert "source_stalled" not in d.log()
    d.sigterm()


def test_a_role_that_may_not_send_messages(db, watched):
    role = f"quiet_{db.name}"
    db.execute("DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE proname = "
               "'pg_logical_emit_message' LOOP EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || f || ' FROM public'; "
               "END LOOP; END $$")
    db.execute(f"CREATE ROLE {role} LOGIN REPLICATION; GRANT CREATE ON DATABASE {db.name} TO {role}")
    try:
        d = watched("{every: 1s, within: 1s}", role=role)
        d.wait_log("canary_refused")
        uptime = d.status()["uptime_s"]
        wait_until(lambda: d.status()["uptime_s"] > uptime + 3, "a while", 20, poll=0.3)
        assert source(d)["state"] == "streaming" and d.log().count("canary_refused") == 1
        db.execute("DELETE FROM t WHERE id < 50")
        d.same("t")
        d.sigterm()
    finally:
        db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_the_watchdog_of_systemd_is_not_fed(db, watched, tmp_path):
    if b"libsystemd" not in subprocess.run(["ldd", program()], capture_output=True, check=True).stdout:
        pytest.skip("built without libsystemd")
    path = f"/tmp/wm-watch-{tmp_path.name[-20:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.setblocking(False)

        def fed():
            """Whether anything that was said meanwhile feeds it."""
            said = b""
            while True:
                try:
                    said += s.recv(4096)
                except BlockingIOError:
                    return b"WATCHDOG=1" in said

        try:
            d = watched(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"})
            wait_until(fed, "it is fed")
            pid = db.slot()["active_pid"]
            os.kill(pid, signal.SIGSTOP)
            try:
                wait_until(lambda: source(d)["state"] == "stalled", "the stall is noticed", 30)
                fed()
                uptime = d.status()["uptime_s"]
                wait_until(lambda: d.status()["uptime_s"] > uptime + 2, "time to feed it", poll=0.3)
                assert not fed()
            finally:
                os.kill(pid, signal.SIGCONT)
            wait_until(fed, "it is fed again")
            d.sigterm()
        finally:
            os.unlink(path)
