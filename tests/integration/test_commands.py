# SPDX-License-Identifier: PostgreSQL
"""The commands, as a user sees them: texts, JSON, exit statuses."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from walmill_testing import program, wait_until
from walmill_testing.daemon import SOURCE

COMMANDS = ["sync", "run", "check", "init", "status", "wait", "errors", "pause", "resume", "teardown"]
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i"


# ---- usage ----

@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(walmill, command):
    done = walmill(command, "--help")
    assert f"walmill {command}" in done.stdout and "--help" in done.stdout and done.stderr == ""


def test_help_and_version(walmill):
    done = walmill("--help")
    assert all(re.search(rf"\b{command}\b", done.stdout) for command in COMMANDS)
    assert re.fullmatch(r"walmill \d+\.\d+\.\d+\n", walmill("--version").stdout)


@pytest.mark.parametrize("arguments, word", [
    ([], "Usage|usage|command"),
    (["snyc"], "sync"),
    (["--no-such-option"], "no-such-option"),
    (["run", "--no-such-option"], "no-such-option"),
    (["run", "surplus"], "surplus"),
    (["sync", "--source", "postgresql:///x"], "--target"),
    (["sync", "--target", "sqlite:x.db"], "--source"),
    (["pause"], "RULE|rule"),
    (["errors"], "list"),
    (["errors", "frobnicate"], "frobnicate"),
    (["errors", "show"], "ID"),
    (["errors", "show", "seven"], "seven"),
    (["wait", "--timeout", "soon"], "soon|timeout"),
    (["wait", "--lsn", "xyz"], "xyz"),
    (["run", "-c"], "-c|--config|'c'"),
])
def test_wrong_usage(walmill, arguments, word):
    done = walmill(*arguments, expect=2)
    assert re.search(word, done.stderr) and done.stdout == "", done.stderr


@pytest.mark.parametrize("command", ["status", "wait", "errors list", "errors show 1", "pause t", "resume t", "teardown", "run", "check"])
def test_configuration_that_is_not_there(walmill, tmp_path, command):
    done = walmill(*command.split(), "-c", tmp_path / "none.yaml", expect=2)
    assert "none.yaml" in done.stderr and done.stdout == ""


def test_no_daemon(daemon):
    d = daemon("- table: public.t")
    for arguments in (["status"], ["status", "--json"], ["wait", "--timeout", "1"], ["pause", "t"], ["resume", "t"]):
        done = d.run(*arguments, expect=1)
        assert "walmill.sock" in done.stderr and done.stdout == "", done.stderr


@pytest.mark.parametrize("arguments", [
    ["run"], ["check"], ["status"], ["wait"], ["errors", "list"], ["errors", "show", "1"], ["pause", "t"],
    ["resume", "t"], ["teardown"],
], ids=" ".join)
def test_no_configuration(walmill, tmp_path, arguments):
    done = walmill(*arguments, "-c", tmp_path / "walmill.yaml", expect=2)
    assert f"{tmp_path}/walmill.yaml" in done.stderr and done.stdout == "", done.stderr


# ---- status ----

FIELDS = {
    "sources": {"name": str, "state": str, "received_lsn": str, "acknowledged_lsn": str, "server_lsn": str,
                "lag_bytes": int, "transactions": int, "changes": int},
    "targets": {"name": str, "type": str, "state": str, "applied_lsn": str, "lag_bytes": int, "lag_s": float,
                "rows_written": int, "retries": int, "last_error": type(None)},
    "rules": {"name": str, "source": str, "target": str, "table": str, "view": str, "state": str, "rows_seeded": int,
              "seed_total": int, "inserts": int, "updates": int, "deletes": int, "dead_letters": int},
}


def test_status_json(db, daemon, both):
    db.execute(TABLE)
    d = daemon("- {name: a, table: public.t, target: lite, view: tt}\n- {name: b, table: public.t, target: dw}",
               targets=both).start()
    d.wait()
    db.execute("INSERT INTO t VALUES (200, 'x'), (201, 'y')")
    db.execute("UPDATE t SET v = 'z' WHERE id = 200; DELETE FROM t WHERE id = 201")
    d.wait()
    status = d.status()
    assert {"version", "pid", "uptime_s", "sources", "targets", "rules"} <= set(status)
    assert status["pid"] == d.process.pid and 0 < status["uptime_s"] < 600
    for part, fields in FIELDS.items():
        for item in status[part]:
            for field, kind in fields.items():
                assert field in item, (part, field)
                assert isinstance(item[field], (int, float) if kind is float else kind), (part, field, item[field])
    source, = status["sources"]
    assert source["name"] == "shop" and source["state"] == "streaming"
    assert source["transactions"] >= 2 and source["changes"] >= 4
    lsn = re.compile(r"[0-9A-F]+/[0-9A-F]+")
    assert all(lsn.fullmatch(source[k]) for k in ("received_lsn", "acknowledged_lsn", "server_lsn"))
    assert [(t["name"], t["type"], t["state"], t["retries"], t["lag_s"]) for t in status["targets"]] == [
        ("lite", "sqlite", "ok", 0, 0), ("dw", "postgres", "ok", 0, 0)]
    assert all(t["rows_written"] >= 102 for t in status["targets"])
    assert [(r["name"], r["source"], r["target"], r["table"], r["view"], r["state"]) for r in status["rules"]] == [
        ("a", "shop", "lite", "public.t", "tt", "streaming"), ("b", "shop", "dw", "public.t", "t", "streaming")]
    for rule in status["rules"]:
        assert (rule["rows_seeded"], rule["inserts"], rule["updates"], rule["deletes"], rule["dead_letters"]) == (
            100, 2, 1, 1, 0)
    # The acknowledged position follows by itself.
    wait_until(lambda: d.status()["sources"][0]["lag_bytes"] == 0, "nothing is left")
    text = d.run("status").stdout
    assert all(word in text for word in ("shop", "lite", "dw", "streaming", "public.t"))
    d.sigterm()


# ---- wait, pause, resume ----

def test_wait(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.wait()
    for i in range(30):
        db.execute("INSERT INTO t VALUES (%s, 'w')", 1000 + i)
        d.run("wait", "--lsn", db.lsn(), "--timeout", "20")
        assert d.rows(f"SELECT v FROM t WHERE id = {1000 + i}") == [("w",)]
    started = time.monotonic()
    done = d.run("wait", "--lsn", "FFFF/0", "--timeout", "0.5", expect=1)
    assert 0.4 < time.monotonic() - started < 10 and done.stderr != ""
    d.sigterm()


def test_pause_and_resume(db, start):
    db.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY)")
    daemon = start("- table: public.t\n- table: public.u")
    daemon.same("t", "u")
    daemon.run("pause", "t")
    assert daemon.rule("t")["state"] == "paused" and daemon.rule("u")["state"] == "streaming"
    db.execute("INSERT INTO t VALUES (500, 'x'); UPDATE t SET v = 'y' WHERE id <= 50; INSERT INTO u VALUES (1)")
    db.execute("DELETE FROM t WHERE id = 51; UPDATE t SET id = 501 WHERE id = 52")
    wait_until(lambda: daemon.rows("SELECT count(*) FROM u") == [(1,)], "the other rule goes on")
    assert daemon.rows("SELECT count(*), min(v), max(v) FROM t") == [(100, "v", "v")]
    # It stays paused over a restart.
    daemon.restart()
    db.execute("INSERT INTO t VALUES (502, 'z'); INSERT INTO u VALUES (2)")
    wait_until(lambda: daemon.rows("SELECT count(*) FROM u") == [(2,)], "the other rule goes on after the restart")
    assert daemon.rule("t")["state"] == "paused"
    assert daemon.rows("SELECT count(*) FROM t") == [(100,)]
    daemon.run("resume", "t")
    daemon.same("t", "u")
    assert daemon.rule("t")["state"] == "streaming"


def test_pause_of_an_unknown_rule(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    done = d.run("pause", "tt", expect=1)
    assert "tt" in done.stderr
    d.sigterm()


def test_second_daemon_is_refused(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    done = d.run("run", expect=1)
    assert str(d.process.pid) in done.stderr or "walmill.sock" in done.stderr
    db.execute("INSERT INTO t VALUES (1000, 'x')")
    d.same("t")
    d.sigterm()


def test_sigint_ends_it_as_sigterm_does(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    db.execute("INSERT INTO t VALUES (1000, 'x')")
    d.sigterm(signal.SIGINT)
    d.start()
    d.same("t")
    d.sigterm()


# ---- check ----

def test_check_of_a_good_configuration(db, daemon, both):
    db.execute(TABLE)
    d = daemon("- {table: public.t, target: lite}\n- {name: u, table: public.t, target: dw}", targets=both)
    d.run("check")
    d.run("check", "--offline")
    json.loads(d.run("check", "--json").stdout)
    # Nothing was made anywhere.
    assert db.rows("SELECT count(*) FROM pg_publication") == [(0,)] and db.slot() is None
    assert not (d.folder / "lite.db").exists() and d.reader("dw").tables() == set()


def test_check_finds_everything_and_says_the_fix(db, daemon):
    db.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE nokey (id int)")
    d = daemon("""
        - table: public.nokey
        - {name: columns, table: public.t, columns: {exclude: [idd]}}
        - {name: nobody, table: public.no_such_table}
        """)
    done = d.run("check", expect=1)
    text = done.stdout + done.stderr
    assert "nokey" in text and "REPLICA IDENTITY" in text
    assert "idd" in text
    assert "nobody" in text
    findings = json.loads(d.run("check", "--json", expect=1).stdout)
    assert "nokey" in json.dumps(findings)
    # Without the databases the rules are right.
    d.run("check", "--offline")


def test_rule_that_matches_no_table_is_a_warning(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t\n- {name: later, table: public.later_*}")
    done = d.run("check")
    assert "later" in done.stdout + done.stderr


def test_check_warns_of_a_key_that_is_not_unique(db, daemon):
    """Two rows of one key would overwrite each other, and no error would tell."""
    db.execute("CREATE TABLE good (id int PRIMARY KEY, code text NOT NULL UNIQUE); ALTER TABLE good REPLICA IDENTITY FULL; "
               "CREATE TABLE twice (id int PRIMARY KEY, code text); ALTER TABLE twice REPLICA IDENTITY FULL; "
               "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE); ALTER TABLE late REPLICA IDENTITY FULL; "
               "CREATE TABLE partial (id int PRIMARY KEY, code text); CREATE UNIQUE INDEX ON partial (code) WHERE id > 7; "
               "ALTER TABLE partial REPLICA IDENTITY FULL")
    d = daemon("- {table: public.good, key: [code]}\n- {table: public.twice, key: [code]}\n- {table: public.late, key: [id]}\n"
               "- {table: public.partial, key: [code]}\n- {name: both, view: both, table: public.twice, key: [code, id]}")
    found = [x for x in json.loads(d.run("check", "--json").stdout)["findings"] if "unique" in x["text"]]
    assert len(found) == 3 and all(x["severity"] == "warning" and "not deferrable" in x["fix"] for x in found)
    assert {re.search(r"public\.(\w+)", x["place"])[1] for x in found} == {"late", "partial", "twice"}


def test_check_needs_the_privileges(db, pg, daemon):
    with pg.admin() as admin:
        admin.execute("CREATE ROLE wm_nobody LOGIN")
    try:
        db.execute(TABLE)
        d = daemon("- table: public.t", sources={"shop": pg.uri(db.name, "wm_nobody")})
        done = d.run("check", expect=None)
        text = done.stdout + done.stderr
        assert done.returncode in (1, 2, 3)
        assert "REPLICATION" in text and "SELECT" in text, text
    finally:
        with pg.admin() as admin:
            admin.execute("DROP ROLE wm_nobody")


def test_check_of_a_server_that_does_not_answer(daemon):
    d = daemon("- table: public.t", sources={"shop": "postgresql:///x?host=/nonexistent"})
    done = d.run("check", expect=None)
    assert done.returncode in (1, 2, 3) and "/nonexistent" in done.stdout + done.stderr
    d.run("check", "--offline")


def test_check_of_wal_level(db, daemon, other_pg):
    other_pg.stop()
    other_pg.settings["wal_level"] = "replica"
    other_pg.start()
    plain = other_pg.create_database()
    try:
        plain.execute(TABLE)
        d = daemon("- table: public.t", sources={"shop": plain.uri})
        done = d.run("check", expect=None)
        assert done.returncode in (1, 2, 3) and "wal_level" in done.stdout + done.stderr
        # And run says the same, and that a restart of walmill does not help.
        d.launch()
        d.wait_exit(3)
        assert "wal_level" in d.log()
    finally:
        plain.drop()
        other_pg.stop()
        other_pg.settings["wal_level"] = "logical"
        other_pg.start()


# ---- init, teardown ----

def test_init_writes_what_check_and_run_take(db, dw, walmill, tmp_path):
    db.execute("CREATE TABLE customers (id int PRIMARY KEY, name text); CREATE SCHEMA s; CREATE TABLE s.orders (id int PRIMARY KEY, customer int); "
               "CREATE TABLE no_key (v text); INSERT INTO customers VALUES (1, 'a'); INSERT INTO s.orders VALUES (1, 1)")
    for name, uri in (("lite", f"sqlite:{tmp_path}/warehouse.db"), ("dw", dw.uri)):
        folder = tmp_path / name
        folder.mkdir()
        walmill("init", "--source", db.uri, "--target", uri, "--dir", folder)
        text = (folder / "walmill.yaml").read_text()
        assert "#" in text and list((folder / "rules.d").glob("*.yaml"))
        walmill("check", "-c", folder / "walmill.yaml")
        # A second time it does not overwrite what may have been edited.
        (folder / "walmill.yaml").write_text(text + "\n# edited\n")
        walmill("init", "--source", db.uri, "--target", uri, "--dir", folder, expect=1)
        assert (folder / "walmill.yaml").read_text().endswith("# edited\n")
    assert db.slot() is None and db.rows("SELECT count(*) FROM pg_publication") == [(0,)]


def test_init_output_runs(db, daemon, walmill):
    db.execute("CREATE TABLE customers (id int PRIMARY KEY, name text); INSERT INTO customers VALUES (1, 'a')")
    d = daemon("- table: public.x", sources={"shop": db.uri})
    init = d.folder / "init"
    walmill("init", "--source", db.uri, "--target", f"sqlite:{d.folder}/warehouse.db", "--dir", init)
    text = (init / "walmill.yaml").read_text()
    # As it is, but for places that only root may use.
    if not re.search(r"^state:", text, re.MULTILINE):
        text += "\nstate: state\n"
    if not re.search(r"^admin:", text, re.MULTILINE):
        text += "admin: {socket: walmill.sock}\n"
    (init / "walmill.yaml").write_text(text)
    d.config = init / "walmill.yaml"
    d.start()
    db.execute("INSERT INTO customers VALUES (2, 'b')")
    d.wait()
    d.reader("lite").path = d.folder / "warehouse.db"
    assert sorted(d.rows("SELECT id, name FROM customers")) == [(1, "a"), (2, "b")]
    d.sigterm()


def test_trap_16_teardown(db, daemon):
    db.execute(TABLE)
    d = daemon("- table: public.t").start()
    d.same("t")
    assert db.slot() is not None
    d.sigterm()
    d.run("teardown")
    assert db.slot() is None and db.rows("SELECT count(*) FROM pg_publication") == [(0,)]
    d.run("teardown")       # nothing is left to do: that is no failure
    # The view's rows stay, and the next run begins anew.
    assert d.rows("SELECT count(*) FROM t") == [(100,)]
    db.execute("DELETE FROM t WHERE id <= 10; INSERT INTO t VALUES (1000, 'x')")
    d.start()
    d.same("t")
    d.sigterm()


def test_teardown_leaves_what_walmill_did_not_make(db, daemon):
    db.execute(TABLE + "; CREATE PUBLICATION theirs FOR TABLE t")
    db.execute("SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')")
    d = daemon("- table: public.t", sources={"shop": f"uri: {db.uri}\nslot: theirs\npublication: theirs\nmanage: false"})
    d.start()
    d.same("t")
    d.sigterm()
    d.run("teardown", expect=None)
    assert db.slot("theirs") is not None and db.rows("SELECT pubname FROM pg_publication") == [("theirs",)]


def test_manage_false_uses_what_is_there_and_checks_it(db, daemon):
    db.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY); CREATE PUBLICATION theirs FOR TABLE t")
    source = f"uri: {db.uri}\nslot: theirs\npublication: theirs\nmanage: false"
    d = daemon("- table: public.t\n- table: public.u", sources={"shop": source})
    done = d.run("check", expect=None)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert "theirs" in text and re.search(r"\bu\b", text), text
    assert db.rows("SELECT tablename FROM pg_publication_tables") == [("t",)]
    assert db.slot("theirs") is None


# ---- the shipped example, and secrets ----

def test_shipped_shop_example(db, daemon):
    """rules/shop.yaml is executed for real, on a shop that has every table that it speaks of."""
    text = (SOURCE / "rules" / "shop.yaml").read_text()
    db.execute("""
        CREATE TABLE customers (id bigint PRIMARY KEY, name text, email text, iban text, country text, password_hash text,
            created_at timestamptz DEFAULT now());
        CREATE TABLE orders (id bigint PRIMARY KEY, cust bigint, status text, amount numeric(12,2), contact_email text,
            contact_phone text, delivery_note text, internal_note text, created_at timestamptz DEFAULT '2024-05-01 12:00:00+00');
        CREATE TABLE order_items (order_id bigint, line int, product text, PRIMARY KEY (order_id, line));
        CREATE TABLE order_items_2023 (LIKE order_items INCLUDING ALL);
        CREATE TABLE order_items_tmp (LIKE order_items INCLUDING ALL);
        INSERT INTO customers SELECT i, 'c' || i, 'c' || i || '@example.com', 'CH93' || 1000 + i, 'CH', 'never' FROM generate_series(1, 20) i;
        INSERT INTO orders SELECT i, i % 20 + 1, CASE WHEN i % 10 = 0 THEN 'draft' ELSE 'P' END, i, 'c@example.com', '+41791112233',
            'ring twice', 'never' FROM generate_series(1, 50) i;
        INSERT INTO orders VALUES (60, 1, 'N', 2000000, 'c@example.com', NULL, NULL, NULL);
        INSERT INTO order_items SELECT i / 3, i % 3, 'p' || i FROM generate_series(1, 99) i;
        INSERT INTO order_items_2023 VALUES (1, 1, 'old'); INSERT INTO order_items_tmp VALUES (1, 1, 'tmp')
        """)
    names = {name: set(re.findall(rf"^\s*(?:-\s+)?{name}: ([\w-]+)\s*(?:#.*)?$", text, re.MULTILINE)) for name in ("source", "target")}
    sources = {name: db.uri for name in names["source"]} or None
    targets = {name: f"type: sqlite\npath: {name}.db" for name in names["target"]} or None
    d = daemon("- table: public.x", sources=sources, targets=targets)
    d.write_rules(None)
    (d.rules_folder / "shop.yaml").write_text(text)
    d.run("check")
    d.start()
    db.execute("INSERT INTO orders (id, cust, status, amount, contact_email) VALUES (1000, 1, 'X', 5, 'd@example.com')")
    db.execute("DELETE FROM customers WHERE id = 1; DELETE FROM order_items WHERE order_id = 1")
    d.same("order_items", "order_items_2023")
    assert all(r["state"] == "streaming" for r in d.status()["rules"])
    assert "order_items_tmp" not in d.reader().tables()
    assert d.rows("SELECT count(*) FROM orders") == [(46,)]
    row, = d.rows("SELECT customer_id, status, gross, day, contact_phone, delivery_note, length(contact_email) FROM orders WHERE id = 21")
    assert row[:4] == (2, "paid", 24.99, "2024-05-01") and row[4].endswith("2233") and "791" not in row[4]
    assert "ring" not in row[5] and row[6] == 64
    assert d.rows("SELECT status FROM orders WHERE id = 1000") == [("other",)]
    assert [x["rule"] for x in d.errors()] == ["orders"]
    assert d.rows("SELECT count(*) FROM customers WHERE _walmill_deleted AND id = 1") == [(1,)]
    assert d.rows("SELECT name, iban FROM customers WHERE id = 2")[0][0] == "(a customer)"
    shown = d.log() + (d.folder / "warehouse.db").read_bytes().decode(errors="replace")
    assert "never" not in shown and "ring twice" not in shown
    d.sigterm()


def test_trap_30_secrets_never_show(db, pg, daemon, tmp_path):
    secret = "Geheim-pa55word-for-the-test"
    (tmp_path / "mask").write_text("another-secret-from-a-file\n")
    db.execute(TABLE)
    d = daemon("- {table: public.t, columns: {mask: {v: sha256}}}",
               sources={"shop": f"uri: postgresql://postgres:${{env:WM_TEST_SECRET}}@/{db.name}?host={pg.folder}"},
               settings=f"mask_key: ${{file:{tmp_path}/mask}}\nlog: {{level: debug}}", env={"WM_TEST_SECRET": secret})
    shown = d.run("check").stdout
    d.start()
    db.execute("INSERT INTO t VALUES (1000, 'v')")
    d.wait()
    done = [d.run(*c) for c in (("status",), ("status", "--json"), ("errors list",), ("check", "--json"))]
    d.sigterm()
    # And where a connection fails, the URI is in everybody's mind.
    d.sources["shop"] = "uri: postgresql://postgres:${env:WM_TEST_SECRET}@/nonexistent_db?host=" + str(pg.folder)
    d.write_config()
    done.append(d.run("check", expect=None))
    shown += d.log() + "".join(x.stdout + x.stderr for x in done)
    for path in (d.folder / "state").rglob("*"):
        if path.is_file():
            shown += path.read_bytes().decode(errors="replace")
    assert secret not in shown and "another-secret-from-a-file" not in shown


def test_credentials_of_systemd(db, daemon, tmp_path):
    db.execute(TABLE)
    (tmp_path / "uri").write_text(db.uri)
    d = daemon("- table: public.t", sources={"shop": "uri: ${credential:uri}"},
               env={"CREDENTIALS_DIRECTORY": str(tmp_path)}).start()
    d.same("t")
    d.sigterm()


def test_config_from_the_environment(walmill, daemon):
    d = daemon("- table: public.t")
    walmill("check", "--offline", env={"WALMILL_CONFIG": str(d.config)})
    walmill("check", "--offline", env={"WALMILL_CONFIG": "/nonexistent/walmill.yaml"}, expect=2)


def test_notify_socket(db, daemon, tmp_path):
    """systemd's protocol: ready after the source streams, stopping at the end."""
    if b"libsystemd" not in subprocess.run(["ldd", program()], capture_output=True, check=True).stdout:
        pytest.skip("built without libsystemd")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        path = f"/tmp/wm-notify-{tmp_path.name[-20:]}"
        s.bind(path)
        s.settimeout(30)
        try:
            db.execute(TABLE)
            d = daemon("- table: public.t", env={"NOTIFY_SOCKET": path}).launch()
            seen = b""
            while b"READY=1" not in seen:
                seen += s.recv(4096) + b"\n"
            assert d.ready()
            d.sigterm()
            while b"STOPPING=1" not in seen:
                seen += s.recv(4096) + b"\n"
        finally:
            os.unlink(path)
