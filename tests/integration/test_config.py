# SPDX-License-Identifier: PostgreSQL
"""A wrong configuration: exit status 2, every mistake with file:line:column and a hint, nothing done."""

import re
import textwrap

import pytest


def write(folder, text, rules=None):
    (folder / "walmill.yaml").write_text(textwrap.dedent(text).lstrip("\n"))
    if rules is not None:
        (folder / "rules.d").mkdir()
        (folder / "rules.d" / "shop.yaml").write_text(textwrap.dedent(rules).lstrip("\n"))
    return folder / "walmill.yaml"


@pytest.mark.parametrize("command", [["check"], ["check", "--offline"], ["run"]])
def test_all_mistakes_at_once_with_their_places(db, tmp_path, walmill, command):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    config = write(tmp_path, f"""
        sources:
          shop:
            uri: {db.uri}
            slott: x
        targets:
          lite:
            type: sqlite
            path: out/lite.db
          odd:
            type: sqllite
        journal: {{max_bytes: many}}
        state: state
        log: {{level: loud}}
        admin: {{socket: walmill.sock}}
        """, """
        rules:
          - table: public.t
            colums: {exclude: [x]}
            target: lite
          - name: second
            table: public.t
            on_delete: perhaps
            target: lihte
            where: "id = ("
          - name: third
            target: lite
          - name: third
            table: public.t
            target: lite
            batch: {rows: -1}
        """)
    done = walmill(*command, "-c", config, expect=2)
    lines = done.stderr.splitlines() if command[0] == "run" else (done.stderr + done.stdout).splitlines()
    main, rules = re.escape(str(config)), re.escape(str(tmp_path / "rules.d" / "shop.yaml"))
    for pattern in (
        rf'{main}:4:5: .*"slott".*"slot"',
        rf'{main}:10:11: .*"sqllite".*sqlite',
        rf"{main}:11:22: .*many",
        rf"{main}:13:14: .*loud",
        rf'{rules}:3:5: .*"colums".*"columns"',
        rf'{rules}:7:16: .*perhaps',
        rf'{rules}:8:13: .*"lihte".*"lite"',
        rf"{rules}:9:12: .*where",
        rf"{rules}:10:5: .*table",
        rf"{rules}:12:5: .*third",
        rf"{rules}:15:19: .*rows",
    ):
        assert any(re.search(pattern, line) for line in lines), f"{pattern} not in\n" + "\n".join(lines)
    assert not (tmp_path / "state").exists() and not (tmp_path / "out").exists()
    assert db.slot() is None and db.rows("SELECT count(*) FROM pg_publication") == [(0,)]


@pytest.mark.parametrize("text, pattern", [
    ("sources: [", r":\d+:\d+: "),
    ("sources: {a: {uri: x}, a: {uri: y}}\ntargets: {t: {type: sqlite, path: x}}\nrules: [{table: a.b}]", r":1:24: .*\ba\b"),
    ("\tx: 1", r":1:\d+: "),
    ("sources: 5", r":1:10: .*sources"),
    ("", r"sources"),
    ("sources: {a: {}}\ntargets: {t: {type: sqlite, path: x}}\nrules: []", r":1:\d+: .*uri"),
    ("sources: {a: {uri: '${env:WM_NOT_SET_ANYWHERE}'}}\ntargets: {t: {type: sqlite, path: x}}\nrules: []", r":1:20: .*WM_NOT_SET_ANYWHERE"),
    ("sources: {a: {uri: '${file:/nonexistent/secret}'}}\ntargets: {t: {type: sqlite, path: x}}\nrules: []", r":1:20: .*/nonexistent/secret"),
    ("sources: {a: {uri: x}}\ntargets: {t: {path: x}}\nrules: []", r":2:\d+: .*type"),
    ("sources: {a: {uri: x}}\ntargets: {t: {type: sqlite}}\nrules: []", r":2:\d+: .*path"),
    ("sources: {a: {uri: x}}\ntargets: {t: {type: sqlite, path: x}}\nrules: [{table: a.b, mode: history}]", r":3:\d+: .*history"),
    ("sources: {a: {uri: x}}\ntargets: {t: {type: sqlite, path: x}}\nadmin: {listen: '127.0.0.1:0'}\nrules: []", r":3:\d+: .*secret_key"),
    ("sources: {a: {uri: x, slot: Upper-Case}}\ntargets: {t: {type: sqlite, path: x}}\nrules: []", r":1:29: .*slot"),
])
def test_one_mistake(tmp_path, walmill, text, pattern):
    path = tmp_path / "walmill.yaml"
    path.write_text(text)
    done = walmill("check", "--offline", "-c", path, expect=2)
    shown = done.stderr + done.stdout
    assert re.search(pattern, shown) and str(path) in shown, shown


def test_a_file_that_is_not_there(tmp_path, walmill):
    done = walmill("run", "-c", tmp_path / "none.yaml", expect=2)
    assert str(tmp_path / "none.yaml") in done.stderr


def test_rules_as_a_file_and_in_place_and_in_name_order(db, tmp_path, walmill):
    base = f"sources: {{shop: {{uri: '{db.uri}'}}}}\ntargets: {{lite: {{type: sqlite, path: x.db}}}}\nstate: state\n"
    rules = "rules:\n  - table: public.a\n  - {table: public.b, where: 'x ='}\n"
    (tmp_path / "one.yaml").write_text(rules)
    path = tmp_path / "walmill.yaml"
    path.write_text(base + "rules: one.yaml\n")
    assert "one.yaml:3:" in walmill("check", "--offline", "-c", path, expect=2).stderr
    path.write_text(base + rules)
    assert "walmill.yaml:6:" in walmill("check", "--offline", "-c", path, expect=2).stderr
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "20.yaml").write_text("rules: [{name: b, table: public.b, where: '('}]")
    (tmp_path / "r" / "10.yaml").write_text("rules: [{name: a, table: public.a, where: ')'}]")
    (tmp_path / "r" / "notes.txt").write_text("no rules")
    path.write_text(base + "rules: r\n")
    shown = walmill("check", "--offline", "-c", path, expect=2).stderr
    assert 0 <= shown.find("10.yaml:1:") < shown.find("20.yaml:1:") and "notes.txt" not in shown
