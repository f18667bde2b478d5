# SPDX-License-Identifier: PostgreSQL
"""Secrets, masked and excluded values planted everywhere: nothing that the programs print or store shows one.

The level debug is no exception for secrets and masked values. The journal's files hold what the source sent, so that
masked values are in them (mode 0600); what is excluded never leaves a source of PostgreSQL 15 or later.
"""

import json
import urllib.error
import urllib.request

import pytest
from walmill_testing import free_port, wait_until

PASSWORDS = {"source": "Pw1-of-the-source", "target": "Pw2-of-the-target", "mask": "Pw3-key-of-the-masks",
             "api": "Pw4-key-of-the-api"}
MASKED = {"email": "Mx1-email-planted", "phone": "Mx2-phone-planted", "iban": "Mx3-iban-planted", "name": "Mx4-name-planted",
          "note": "Mx5-note-planted", "ssn": "Mx6-key-planted"}
EXCLUDED = "Mx7-excluded-planted"
PLAIN = "Plain-value-of-a-row"

SCHEMA = """
    CREATE TABLE p (id int PRIMARY KEY, email text, phone text, iban text, name text, note text, excluded text, amount text, n int);
    CREATE TABLE q (ssn text PRIMARY KEY, n int, phone text);
    CREATE TABLE r (id int PRIMARY KEY, n int, email text);
"""
RULES = """
    - table: public.p
      on_error: dead_letter
      columns:
        exclude: [excluded]
        mask: {email: sha256, phone: redact, iban: last4, name: null, note: {text: hidden}}
        check: {email: "email like '%@%'"}
        compute: {parsed: "CASE WHEN id = 4 OR id = 14 THEN json_extract(email, '$.a') END",
                  number: "CASE WHEN id = 5 OR id = 15 THEN abs(-9223372036854775807 - (phone is not null)) END"}
        type: {amount: integer}
    - table: public.q
      on_error: dead_letter
      retry: {every: 100ms, at_most: 3}
      columns: {mask: {ssn: sha256, phone: redact}, check: {phone: "n < 100 and phone like 'Mx2%'"}}
    - {table: public.r, on_error: stop, columns: {mask: {email: sha256}, check: {email: "n < 100"}}}
"""


def plant(db, first):
    """Good rows, and rows that check, expression and target refuse, each with every value planted."""
    row = ", ".join(f"'{MASKED[c]}{{at}}0000'" for c in ("email", "phone", "iban", "name", "note"))
    for offset, at, amount in ((0, "@x", "1"), (1, "", PLAIN), (2, "@x", PLAIN), (3, "@x", "1"), (4, "@x", "1")):
        values = row.format(at=at)
        db.execute(f"INSERT INTO p VALUES ({first + offset}, {values}, '{EXCLUDED}', '{amount}', 1)")
    db.execute(f"UPDATE p SET excluded = excluded || 'again', amount = '{PLAIN}' WHERE id = {first}")
    db.execute(f"INSERT INTO q VALUES ('{MASKED['ssn']} {first}', 500, '{MASKED['phone']}'), "
               f"('{MASKED['ssn']} {first + 1}', 5, '{MASKED['phone']}')")


def fetch(port, path, key=PASSWORDS["api"], body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=None if body is None else json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def everything_asked(d, port=None):
    """What a user sees who asks for everything, of a running daemon (port) or a stopped one."""
    commands = [[c, *j] for c in ("errors list", "receipts", "check") for j in ([], ["--json"])]
    if port is not None:
        commands += [[c, *j] for c in ("status", "errors retry") for j in ([], ["--json"])]
    ids = [str(x["id"]) for x in d.errors()]
    commands += [["errors show", *j, i] for i in ids for j in ([], ["--json"])]
    text = "".join(done.stdout + done.stderr for done in (d.run(*c, expect=None) for c in commands))
    if port is not None:
        text += "".join(fetch(port, p) for p in ("/metrics", "/v1/status", "/v1/errors", f"/v1/errors/{ids[0]}", "/v1/receipts", "/"))
        text += fetch(port, "/v1/status", "Pw5-a-wrong-key") + fetch(port, "/v1/errors/retry", body={"limit": "x"})
    return text


def stored(d, journal):
    """Every file under the folder but the configuration."""
    found = {}
    for path in d.folder.rglob("*"):
        if path.is_file() and path != d.config and (journal or "journal" not in path.parts):
            found[str(path)] = path.read_bytes().decode(errors="replace")
    return found


def demand_none(texts, secrets):
    for where, text in texts.items():
        for secret in secrets:
            at = text.find(secret)
            assert at < 0, f"{secret!r} in {where}: ...{text[max(0, at - 200):at + 100]}..."


@pytest.mark.parametrize("log", ["{format: text}", "{format: json}", "{format: text, level: debug}"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_trap_30_nothing_planted_shows(db, dw, pg, daemon, pg_version, kind, log):
    db.execute(SCHEMA)
    plant(db, 1)
    port = free_port()
    source = f"uri: postgresql://postgres:${{env:WM_SOURCE}}@/{db.name}?host={pg.folder}"
    target = "type: sqlite\npath: lite.db" if kind == "sqlite" else \
        f"type: postgres\nuri: postgresql://postgres:{PASSWORDS['target']}@/{dw.name}?host={pg.folder}"
    d = daemon(RULES, sources={"shop": source}, targets={"target": target},
               settings=f"mask_key: ${{env:WM_MASK}}\nlog: {log}\n"
                        f"admin: {{socket: walmill.sock, listen: '127.0.0.1:{port}', secret_key: '{PASSWORDS['api']}'}}",
               env={"WM_SOURCE": PASSWORDS["source"], "WM_MASK": PASSWORDS["mask"]}).start()
    d.wait()
    plant(db, 11)
    db.execute(f"INSERT INTO r VALUES (1, 1, '{MASKED['email']}'), (2, 500, '{MASKED['email']}')")
    wait_until(lambda: d.rule("r")["state"] == "failed", "the rule that stops")
    wait_until(lambda: {x["class"] for x in d.errors()} >= {"check", "expression"} and len(d.errors()) >= 8, "all kinds of letters")
    shown = {"asked": everything_asked(d, port)}
    d.sigkill()
    d.start()
    db.execute("UPDATE p SET n = 2; UPDATE q SET n = n + 1")
    d.wait_log("dead_letter")
    letters = json.dumps(d.errors())
    shown["asked again"] = everything_asked(d, port)
    d.sigterm()
    shown["asked without a daemon"] = everything_asked(d)
    # Configurations that are wrong, or lead to nobody, have their secrets at hand when they say so.
    for bad in (source.replace(f"/{db.name}", "/nonexistent_db"), source.replace(str(pg.folder), "/nonexistent"),
                source + "&no_such_parameter=1", source.replace("@/", "@[/"), source + "\nuril: x"):
        d.sources["shop"] = bad
        d.write_config()
        for command in ("check", "check --json", "run", "teardown"):
            done = d.run(command, expect=None, timeout=60) if command != "run" or "nonexistent" not in bad else None
            shown[f"{command} of {bad}"] = "" if done is None else done.stdout + done.stderr
    shown["log"] = d.log()
    demand_none(shown, [*PASSWORDS.values(), "Pw5", *MASKED.values(), EXCLUDED])
    demand_none(stored(d, False), [*PASSWORDS.values(), *MASKED.values(), EXCLUDED])
    if pg_version >= 15:
        demand_none(stored(d, True), [*PASSWORDS.values(), EXCLUDED])
    assert all(oct(p.stat().st_mode & 0o77) == "0o0" for p in (d.folder / "state").rglob("*"))
    # A row's other values are in its dead letter, and in no message.
    assert PLAIN in letters
    if "debug" not in log:
        demand_none({"log": d.log()}, [PLAIN])
    demand_none({"messages": json.dumps([x["message"] for x in json.loads(letters)])}, [PLAIN])


def test_sync_shows_no_password(db, dw, pg, walmill, tmp_path):
    db.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    source = f"postgresql://postgres:{PASSWORDS['source']}@/{db.name}?host={pg.folder}"
    target = f"postgresql://postgres:{PASSWORDS['target']}@/{dw.name}?host={pg.folder}"
    state = tmp_path / "state"
    common = ["--source", source, "--target", target, "--state", state]
    done = [walmill("sync", *common, "--once"), walmill("sync", *common, "--once", "--json"),
            walmill("sync", "--source", source + "&x=1", "--target", target, "--state", state, "--once", expect=None),
            walmill("sync", "--source", source, "--target", target + "&x=1", "--state", state, "--once", expect=None),
            walmill("teardown", *common)]
    shown = {str(i): x.stdout + x.stderr for i, x in enumerate(done)}
    shown |= {str(p): p.read_bytes().decode(errors="replace") for p in state.rglob("*") if p.is_file()}
    demand_none(shown, PASSWORDS.values())
