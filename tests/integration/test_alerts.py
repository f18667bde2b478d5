# SPDX-License-Identifier: PostgreSQL
"""Who is told when an operator is needed: once when it begins, now and then while it lasts, once when it ends."""

import json
import os
import re
import signal
import sqlite3
import time

import pytest
from walmill_testing import Cluster, Proxy, run_walmill, wait_until
from walmill_testing.receivers import Certificate, Hook, MailServer

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 50) i"
SECRET = "s3cr3t-path"
AT_ONCE = {"repeat": "0", "interval": "0", "retrying": "0"}


@pytest.fixture
def hook():
    made = Hook()
    yield made
    made.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def mail_server(request):
    """Makes servers: mail_server(**options)."""
    made = []

    def make(**options):
        made.append(MailServer(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def alerts(*receivers):
    """The section of the configuration; JSON is YAML."""
    return "alerts: " + json.dumps(receivers)


def to(receiver, **options):
    return {"to": f"{receiver.origin}/hook/{SECRET}?key={SECRET}", **AT_ONCE, **options}


def by_mail(server, scheme="smtp", **options):
    return {"to": "mailto:ops@example.com,second@example.com", "smtp": f"{scheme}://127.0.0.1:{server.port}", **AT_ONCE,
            **options}


def active(d):
    return {(a["kind"], a["object"]) for a in d.status()["alerts"]}


def receivers(d):
    return d.status()["alert_receivers"]


def stop(d):
    """Ends well, and nobody can read in the log where alerts go."""
    d.sigterm()
    assert SECRET not in d.log()


# ---- each kind begins and ends ----

def test_a_source_that_is_away(db, daemon, hook):
    db.execute(TABLE)
    with Proxy(db.cluster.socket) as proxy:
        d = daemon("- table: public.t", sources={"shop": proxy.uri(db.name)},
                   settings=alerts(to(hook, repeat="500ms"))).start()
        d.same("t")
        assert hook.messages == [] and active(d) == set()
        proxy.refuse()
        told = hook.wait("raised", "source_retrying")
        assert told["type"] == "source" and told["object"] == "shop" and told["times"] == 1 and told["until"] is None
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["since"])
        assert told["host"] == os.uname().nodename and told["host"] in told["text"]
        assert "source_retrying" in told["text"] and told["reason"] in told["text"] and told["reason"]
        assert told["version"] == d.status()["version"]
        assert active(d) == {("source_retrying", "shop")}
        assert 'walmill_alert_active{kind="source_retrying",object="shop"} 1\n' in d.metrics()
        assert "alert source_retrying, source shop, since " in d.run("status").stdout
        wait_until(lambda: len(hook.told("reminder", "source_retrying")) >= 2, "reminders")
        assert all(m["since"] == told["since"] for m in hook.told("reminder", "source_retrying"))
        proxy.heal()
        over = hook.wait("cleared", "source_retrying", 60)
        assert over["since"] == told["since"] and over["until"] >= over["since"]
        assert active(d) == set()
        assert 'walmill_alert_active{kind="source_retrying",object="shop"} 0\n' in d.metrics()
        assert f'walmill_alerts_sent_total{{to="{hook.origin}"}} {len(hook.messages)}\n' in d.metrics()
        assert f'walmill_alerts_failed_total{{to="{hook.origin}"}} 0\n' in d.metrics()
        assert len(hook.told("raised", "source_retrying")) == 1
        d.same("t")
        stop(d)


def test_patience_with_a_source_that_comes_back(db, daemon, hook):
    db.execute(TABLE)
    with Proxy(db.cluster.socket) as proxy:
        d = daemon("- table: public.t", sources={"shop": proxy.uri(db.name)},
                   settings=alerts(to(hook, retrying="1h"))).start()
        proxy.refuse()
        wait_until(lambda: d.status()["sources"][0]["state"] == "retrying", "it is away")
        uptime = d.status()["uptime_s"]
        wait_until(lambda: d.status()["uptime_s"] > uptime + 3, "looks at it")
        assert active(d) == set()
        proxy.heal()
        d.same("t")
        stop(d)
        assert hook.messages == []


def test_a_target_that_is_away_until_the_journal_is_full(db, dw, daemon, hook):
    db.execute(TABLE)
    with Proxy(dw.cluster.socket) as proxy:
        d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {proxy.uri(dw.name)}"},
                   settings=f"journal: {{max_bytes: 8MiB}}\nmemory: 4MiB\n{alerts(to(hook))}").start()
        d.same("t")
        proxy.refuse()
        for i in range(10):
            db.execute("INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(%s, %s) i",
                       1000 + i * 3000, 3999 + i * 3000)
        assert hook.wait("raised", "target_retrying", object="dw")["type"] == "target"
        assert "8 MiB" in hook.wait("raised", "journal_full", 60, object="shop")["reason"]
        assert active(d) == {("target_retrying", "dw"), ("journal_full", "shop")}
        proxy.heal()
        hook.wait("cleared", "target_retrying", 60)
        hook.wait("cleared", "journal_full", 60)
        d.same("t")
        assert len(hook.messages) == 4
        stop(d)


def test_a_target_that_failed(db, daemon, hook):
    db.execute(TABLE)
    d = daemon("- {name: a, table: public.t, target: lite}\n- {name: b, table: public.t, target: bad}",
               targets={"lite": "type: sqlite\npath: lite.db", "bad": "type: sqlite\npath: bad.db"},
               settings=alerts(to(hook)))
    (d.folder / "bad.db").write_text("this is no database, though it is long enough to look like one\n" * 100)
    d.launch()
    assert hook.wait("raised", "target_failed", object="bad")["reason"]
    (d.folder / "bad.db").unlink()
    # It would try again by itself after a while.
    d.sighup()
    hook.wait("cleared", "target_failed", 30, object="bad")
    d.same("t")
    stop(d)
    assert len(hook.messages) == 2


@pytest.mark.parametrize("what", ["space", "fsync"])
def test_a_disk_that_refuses_the_journal(db, daemon, hook, disk_errors, tmp_path, what):
    control = tmp_path / "control"
    control.write_text("")
    db.execute(TABLE)
    d = daemon("- table: public.t", settings=alerts(to(hook)),
               env={"LD_PRELOAD": str(disk_errors), "WM_DISK_ERRORS": str(control)}).start()
    d.same("t")
    control.write_text(what)
    db.execute("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1000, 3000) i")
    assert hook.wait("raised", "journal_failed", object="shop")["reason"]
    control.write_text("")
    hook.wait("cleared", "journal_failed", 60, object="shop")
    d.same("t")
    stop(d)


def test_a_source_that_failed(db, dw, daemon, hook):
    db.execute(TABLE)
    dw.execute("CREATE TABLE u (id int PRIMARY KEY)")
    d = daemon("- {table: public.t, source: shop}\n- {table: public.u, source: theirs}",
               sources={"shop": db.uri, "theirs": f"uri: {dw.uri}\nslot: no_slot_{dw.name}\nmanage: false"},
               settings=alerts(to(hook))).launch()
    reason = hook.wait("raised", "source_failed", object="theirs")["reason"]
    assert reason.startswith(f'publication "walmill_theirs": it does not exist in database "{dw.name}"; ')
    dw.execute("CREATE PUBLICATION walmill_theirs FOR TABLE u")
    dw.execute(f"SELECT pg_create_logical_replication_slot('no_slot_{dw.name}', 'pgoutput')")
    d.sighup()
    hook.wait("cleared", "source_failed", 30, object="theirs")
    d.wait()
    stop(d)
    dw.execute(f"SELECT pg_drop_replication_slot('no_slot_{dw.name}')")
    assert len(hook.messages) == 2


def test_the_budget_of_the_slot(daemon, hook):
    cluster = Cluster(max_slot_wal_keep_size="64MB", max_wal_size="64MB", min_wal_size="32MB").start()
    try:
        tight = cluster.create_database()
        tight.execute(TABLE + "; CREATE TABLE not_followed (v text)")
        d = daemon("- table: public.t", sources={"shop": f"uri: {tight.uri}\ndiscover: 200ms"},
                   settings=f"journal: off\n{alerts(to(hook))}").start()
        d.source_db = tight
        d.same("t")
        lock = sqlite3.connect(d.folder / "lite.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        tight.execute("INSERT INTO t VALUES (1000, 'not acknowledged')")
        tight.execute("INSERT INTO not_followed SELECT repeat('x', 1000) FROM generate_series(1, 41000) i")
        assert "max_slot_wal_keep_size" in hook.wait("raised", "wal_budget", object="shop")["reason"]
        assert not hook.told("raised", "wal_budget_critical")
        tight.execute("INSERT INTO not_followed SELECT repeat('x', 1000) FROM generate_series(1, 17500) i")
        hook.wait("raised", "wal_budget_critical", object="shop")
        lock.execute("ROLLBACK")
        lock.close()
        d.same("t")

        def over(kind):
            tight.execute("CHECKPOINT")
            return hook.told("cleared", kind)

        wait_until(lambda: over("wal_budget_critical"), "it is not critical any more", 60, poll=0.3)
        wait_until(lambda: over("wal_budget"), "the slot follows", 60, poll=0.3)
        stop(d)
        tight.close()
    finally:
        cluster.destroy()


def test_a_stream_that_stands_still(db, daemon, hook):
    db.execute(TABLE)
    d = daemon("- table: public.t", sources={"shop": f"uri: {db.uri}\nsilence: 600s\ncanary: {{every: 1s, within: 2s}}"},
               settings=alerts(to(hook))).start()
    d.same("t")
    pid = db.slot()["active_pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert "walmill_shop" in hook.wait("raised", "source_stalled", 30, object="shop")["reason"]
    finally:
        os.kill(pid, signal.SIGCONT)
    hook.wait("cleared", "source_stalled", 30)
    d.same("t")
    stop(d)


def test_a_slot_that_is_lost_and_replaced(db, daemon, hook):
    db.execute(TABLE)
    d = daemon("- table: public.t", sources={"shop": f"uri: {db.uri}\ndiscover: 200ms\non_slot_lost: seed"},
               settings=alerts(to(hook))).start()
    d.same("t")
    # The seed that follows cannot end while its view is locked.
    lock = sqlite3.connect(d.folder / "lite.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    d.lose_slot()
    hook.wait("raised", "slot_lost", 30, object="shop")
    lock.execute("ROLLBACK")
    lock.close()
    hook.wait("cleared", "slot_lost", 60)
    d.same("t")
    stop(d)


def test_the_last_word_of_a_daemon_that_ends(db, daemon, hook):
    db.execute(TABLE)
    d = daemon("- table: public.t", settings=alerts(to(hook))).start()
    d.same("t")
    d.sigterm()
    assert hook.messages == []
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
    d.launch()
    d.wait_exit(3)
    assert "does not exist any more" in hook.wait("raised", "daemon_failed", object="walmill")["reason"]
    assert hook.wait("raised", "slot_lost", object="shop")
    assert len(hook.messages) == len({(m["kind"], m["object"]) for m in hook.messages})


def test_a_start_that_fails(db, daemon, hook):
    d = daemon("- table: public.t", settings=alerts(to(hook)))
    (d.folder / "state").mkdir()
    (d.folder / "state/walmill.db").write_text("no database " * 1000)
    d.launch()
    d.wait_exit(3)
    assert hook.wait("raised", "daemon_failed")["reason"]


def test_the_only_target_fails(db, daemon, hook):
    db.execute(TABLE)
    d = daemon("- table: public.t", settings=alerts(to(hook)))
    (d.folder / "lite.db").write_text("this is no database, though it is long enough to look like one\n" * 100)
    d.launch()
    d.wait_exit(1)
    assert 'target "lite"' in hook.wait("raised", "daemon_failed")["reason"]
    assert hook.wait("raised", "target_failed", object="lite")


def test_rules_and_rows(db, daemon, hook, mail_server):
    """Once a rule, however many rows; no value of a row is in it."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text); CREATE TABLE u (id int PRIMARY KEY, v text)")
    mail = mail_server()
    d = daemon('- {name: größe, table: public.t, columns: {check: {n: "n < 100"}}, on_error: dead_letter}\n'
               '- {table: public.u, columns: {check: {v: "v <> \'private words\'"}}, on_error: stop}',
               settings=alerts(to(hook), by_mail(mail, **{"from": "walmill@example.com"}))).start()
    d.wait()
    db.execute("INSERT INTO t SELECT i, 100 + i, 'private words' FROM generate_series(1, 20) i")
    db.execute("INSERT INTO u VALUES (1, 'private words')")
    told = hook.wait("raised", "dead_letters", object="größe")
    assert told["type"] == "rule" and "walmill errors list --rule größe" in told["reason"]
    hook.wait("raised", "rule_stopped", object="u")
    mail.wait("raised", "dead_letters", object="größe")
    mail.wait("raised", "rule_stopped", object="u")
    assert len(hook.messages) == len(mail.messages) == 2
    assert "private" not in json.dumps(hook.messages) + json.dumps(mail.messages)
    # More of them is the same alert; with none left it is over, and the next one is a new one.
    db.execute("INSERT INTO t VALUES (50, 200, 'private words')")
    wait_until(lambda: d.rule("größe")["dead_letters"] == 21, "one more")
    d.run("errors drop", *[str(e["id"]) for e in d.errors()])
    hook.wait("cleared", "dead_letters", object="größe")
    db.execute("UPDATE u SET v = 'good'")
    d.write_rules("- {name: größe, table: public.t, columns: {check: {n: \"n < 100\"}}, on_error: dead_letter}\n- {table: public.u}")
    d.sighup()
    hook.wait("cleared", "rule_stopped", object="u")
    wait_until(lambda: mail.told("cleared", "rule_stopped"), "the mail, too")
    assert len(hook.messages) == 4
    db.execute("INSERT INTO t VALUES (51, 200, 'private words')")
    wait_until(lambda: len(hook.told("raised", "dead_letters")) == 2, "the next ones")
    stop(d)

    found, envelope, tls = mail.mails[0]
    assert not tls and envelope.mail_from == "walmill@example.com"
    assert envelope.rcpt_tos == ["ops@example.com", "second@example.com"]
    assert found["From"].addresses[0].addr_spec == "walmill@example.com"
    assert [a.addr_spec for a in found["To"].addresses] == ["ops@example.com", "second@example.com"]
    assert abs(found["Date"].datetime.timestamp() - time.time()) < 600
    assert re.fullmatch(r"<\S+@\S+>", found["Message-ID"]) and found["Auto-Submitted"] == "auto-generated"
    ids = {m["Message-ID"] for m, _, _ in mail.mails}
    assert len(ids) == len(mail.mails)
    text = next(m for m, _, _ in mail.mails if "dead_letters" in m["Subject"])
    assert "rule \"größe\"" in text["Subject"] and "--rule größe" in text.get_content().replace("\n", "")
    assert all(len(line) <= 998 and line.isascii() for line in envelope.content.splitlines())
    assert not found.defects and not any(h.defects for h in (found["Subject"], found["Date"], found["To"], found["From"]))


def test_an_object_that_is_not_configured_any_more(db, daemon, hook):
    db.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY, v text)")
    d = daemon("- table: public.t\n- {table: public.u, columns: {check: {v: \"v <> 'bad'\"}}, on_error: stop}",
               settings=alerts(to(hook))).start()
    d.wait()
    db.execute("INSERT INTO u VALUES (1, 'bad')")
    hook.wait("raised", "rule_stopped", object="u")
    d.write_rules("- table: public.t")
    d.sighup()
    hook.wait("cleared", "rule_stopped", object="u")
    assert active(d) == set()
    stop(d)


# ---- receivers that do not listen ----

def stopped_rule(db, daemon, *receivers_, **options):
    """A daemon one of whose rules stops whenever somebody says so."""
    db.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY, v text)")
    d = daemon("- table: public.t\n- {table: public.u, columns: {check: {v: \"v <> 'bad'\"}}, on_error: stop}",
               settings=alerts(*receivers_), **options).start()
    d.same("t")
    return d


def goes_on(d):
    """`wait` alone would say that the rule has failed, until it has been tried again."""
    wait_until(lambda: d.rule("u")["state"] == "streaming", "the rule goes on")
    d.wait()


def break_rule(db):
    db.execute("INSERT INTO u VALUES (1, 'bad')")


def mend_rule(d, db):
    """`bad` comes again from the journal: only another rule takes it."""
    d.write_rules("- table: public.t\n- table: public.u")
    d.reload()
    goes_on(d)


def test_a_receiver_that_is_away(db, daemon, hook):
    d = stopped_rule(db, daemon, to(hook, secret_key="${env:KEY}"), env={"KEY": "the bearer's key"})
    hook.answer = 503
    break_rule(db)
    found = wait_until(lambda: receivers(d)[0]["failed"] >= 2 and receivers(d)[0], "tries", 30)
    assert found["sent"] == 0 and found["to"] == hook.origin
    assert f"{hook.origin} was answered with status 503" in found["last_error"]
    assert f"alerts to {hook.origin} fail: " in d.run("status").stdout
    assert re.search(rf'walmill_alerts_failed_total{{to="{hook.origin}"}} [1-9]', d.metrics())
    assert "alert_failed" in d.log()
    port = hook.port
    hook.close()
    wait_until(lambda: "connect to 127.0.0.1" in receivers(d)[0]["last_error"], "nobody listens", 30)
    back = Hook(port=port)
    try:
        back.wait("raised", "rule_stopped", 60, object="u")
        assert back.headers[0]["Authorization"] == "Bearer the bearer's key"
        found = receivers(d)[0]
        assert found["sent"] == 1 and found["last_error"] is None
    finally:
        back.close()
    stop(d)
    assert "the bearer's key" not in d.log()


def test_what_was_over_before_it_could_be_told(db, daemon, hook):
    d = stopped_rule(db, daemon, to(hook))
    hook.answer = 500
    break_rule(db)
    wait_until(lambda: receivers(d)[0]["failed"] >= 1, "a try", 30)
    mend_rule(d, db)
    wait_until(lambda: active(d) == set(), "it is over")
    hook.answer = 200
    told = hook.wait("cleared", "rule_stopped", 30, object="u")
    assert told["times"] == 1 and "began 1 time since the last message" in told["text"]
    assert len(hook.messages) == 1
    stop(d)


def test_a_receiver_that_hangs_holds_up_nobody(db, daemon, hook):
    other = Hook()
    try:
        d = stopped_rule(db, daemon, to(hook), to(other))
        hook.go_on.clear()
        break_rule(db)
        other.wait("raised", "rule_stopped", object="u")
        wait_until(lambda: hook.requests == 1, "the other one is told, too")
        db.execute("INSERT INTO t SELECT i, 'later' FROM generate_series(100, 5000) i")
        wait_until(lambda: d.rows("SELECT count(*) FROM t") == [(4951,)], "the stream goes on")
        assert [r["sent"] for r in receivers(d)] == [0, 1]
        # A reload breaks the message off, and it is sent again.
        d.sighup()
        wait_until(lambda: hook.requests == 2, "told again after the reload")
        began = time.monotonic()
        d.sigterm()
        assert time.monotonic() - began < 8
    finally:
        other.close()


def test_what_flaps_is_told_now_and_then(db, daemon, hook):
    d = stopped_rule(db, daemon, to(hook, interval="10s"))
    for i in range(3):
        db.execute("INSERT INTO u VALUES (%s, 'bad')", i)
        wait_until(lambda: active(d), "it begins")
        db.execute("UPDATE u SET v = 'good'")
        d.write_rules("- table: public.t\n- table: public.u")
        d.reload()
        wait_until(lambda: not active(d), "it ends")
        if i < 2:
            d.write_rules("- table: public.t\n- {table: public.u, columns: {check: {v: \"v <> 'bad'\"}}, on_error: stop}")
            d.reload()
            d.wait()
    first = hook.wait("raised", "rule_stopped")
    assert first["times"] == 1
    last = wait_until(lambda: not active(d) and hook.messages[-1]["state"] == "cleared" and
                      sum(m["times"] for m in hook.messages) == 3 and hook.messages[-1], "all is told", 40)
    assert last["kind"] == "rule_stopped" and len(hook.messages) < 6
    stop(d)


# ---- reload ----

def test_new_receivers_hear_what_stands(db, daemon, hook):
    d = stopped_rule(db, daemon, to(hook))
    break_rule(db)
    hook.wait("raised", "rule_stopped", object="u")
    other = Hook()
    try:
        d.settings = alerts(to(hook, repeat="1h"), to(other))
        d.write_config()
        d.sighup()
        other.wait("raised", "rule_stopped", object="u")
        assert len(hook.messages) == 1 and receivers(d)[0]["sent"] == 1
        d.settings = alerts(to(other))
        d.write_config()
        mend_rule(d, db)
        other.wait("cleared", "rule_stopped", object="u")
        assert len(hook.messages) == 1
        assert [r["to"] for r in receivers(d)] == [other.origin]
        stop(d)
    finally:
        other.close()


# ---- TLS and passwords ----

def test_tls_of_hooks(db, daemon, certificate, tmp_path):
    (tmp_path / "key").write_text("in the file\n")
    hook = Hook(certificate)
    try:
        d = stopped_rule(db, daemon, to(hook), to(hook, ca_file=str(certificate.path), header="X-Key",
                                                    secret_key=f"${{file:{tmp_path}/key}}"))
    except AssertionError:
        hook.close()
        raise
    try:
        break_rule(db)
        hook.wait("raised", "rule_stopped")
        assert hook.headers[0]["X-Key"] == "in the file" and "Authorization" not in hook.headers[0]
        wait_until(lambda: receivers(d)[0]["failed"] > 0, "who does not trust it does not tell it")
        assert "certificate" in receivers(d)[0]["last_error"]
        stop(d)
    finally:
        hook.close()


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_tls_and_password_of_mail(db, daemon, certificate, mail_server, scheme):
    from aiosmtpd.smtp import AuthResult, LoginPassword
    seen = []

    def authenticate(server, session, envelope, mechanism, data):
        seen.append(data)
        return AuthResult(success=data == LoginPassword(b"ops", b"correct horse"), handled=False)

    options = {"authenticator": authenticate, "auth_required": True}
    if scheme == "smtp":
        server = mail_server(tls_context=certificate.context(), require_starttls=True, **options)
    else:
        server = mail_server(tls=certificate, auth_require_tls=False, **options)
    block = by_mail(server, scheme, user="ops", password="${env:PASSWORD}", ca_file=str(certificate.path))
    d = stopped_rule(db, daemon, block, {**block, "to": "mailto:other@example.com", "password": "wrong horse"},
                     env={"PASSWORD": "correct horse"})
    break_rule(db)
    server.wait("raised", "rule_stopped", object="u")
    assert server.mails[0][1].rcpt_tos == ["ops@example.com", "second@example.com"]
    wait_until(lambda: receivers(d)[1]["failed"] > 0, "the other one is refused")
    assert "denied" in receivers(d)[1]["last_error"].lower()
    assert "reachable" in d.run("check", expect=1).stdout
    d.sigterm()
    assert "horse" not in d.log()


def test_no_password_without_tls(db, daemon, mail_server):
    server = mail_server(auth_require_tls=False, auth_required=False)
    d = stopped_rule(db, daemon, by_mail(server, user="ops", password="correct horse"))
    break_rule(db)
    wait_until(lambda: receivers(d)[0]["failed"] > 0, "it is not sent")
    assert server.mails == [] and "horse" not in d.log()
    d.sigterm()


# ---- check ----

def test_check(db, daemon, hook, mail_server):
    db.execute(TABLE)
    mail = mail_server()
    nobody = Hook()
    nobody.close()
    d = daemon("- table: public.t", settings=alerts(to(hook), by_mail(mail)))
    found = d.run("check").stdout
    assert f"ok       alerts to {hook.origin}: reachable" in found
    assert "ok       alerts to ops@example.com,second@example.com: reachable" in found
    assert hook.requests == 0 and mail.messages == []
    found = d.run("check", "--alerts", "--offline").stdout
    assert f"alerts to {hook.origin}: took a test message" in found and "target" not in found.split("\n", 1)[1]
    assert hook.told("test", "test")[0]["object"] == "walmill" and len(mail.told("test", "test")) == 1
    assert "alerts to" not in d.run("check", "--offline").stdout
    hook.answer = 404
    found = d.run("check", "--alerts", "--offline", expect=1).stdout
    assert f"error    alerts to {hook.origin}: POST to {hook.origin} was answered with status 404" in found
    d.settings = alerts(to(nobody))
    d.write_config()
    found = d.run("check", expect=1)
    assert f"error    alerts to {nobody.origin}: " in found.stdout and SECRET not in found.stdout + found.stderr


def test_the_configuration_names_what_is_wrong(tmp_path):
    path = tmp_path / "walmill.yaml"
    path.write_text("sources: {s: {uri: 'host=x'}}\ntargets: {t: {type: sqlite, path: t.db}}\nrules: [{table: public.t}]\n"
                    "alerts:\n- {to: 'https://h/x', remind: 6h}\n")
    done = run_walmill("check", "--offline", "-c", path, expect=2)
    assert 'walmill.yaml:5:23: unknown key "remind" in alert' in done.stderr
