# SPDX-License-Identifier: PostgreSQL
"""README's tour, command by command: what it shows is what one sees."""

import pathlib
import re
import sqlite3
import subprocess

import pytest
from walmill_testing import program, wait_until
from walmill_testing.daemon import environment, sanitizer_reports
from walmill_testing.postgres import bindir

README = pathlib.Path(__file__).parents[2] / "README.md"


def tour():
    """The configuration, and [[command, what it shows], ...]."""
    section = README.read_text().split("\n## Two minutes\n")[1].split("\n## ")[0]
    config = re.search(r"```yaml\n(.*?)```", section, re.S).group(1)
    steps = []
    for line in re.search(r"```console\n(.*?)```", section, re.S).group(1).splitlines():
        if line.startswith("$ "):
            steps.append([line[2:], []])
        elif steps[-1][0].count('"') % 2 == 1:
            steps[-1][0] += "\n" + line         # a quoted word that goes on
        else:
            steps[-1][1].append(line)
    return config, steps


def cells(box):
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in box if line.startswith("│")]


def words(text):
    """What a line says, but for what depends on the moment."""
    return re.sub(r"\d+/[0-9A-F]+|[0-9a-f]{12}\.\.\.|\d+(\.\d+)?( (B|KiB|MiB|us|ms|s)\b)?", "#", " ".join(text.split()))


def look(folder, sql):
    with sqlite3.connect(folder / "warehouse.db") as database:
        found = database.execute(sql)
        return [[column[0] for column in found.description]] + [
            [str(int(value)) if isinstance(value, float) and value.is_integer() else str(value) for value in row]
            for row in found]


@pytest.fixture
def shell(pg, tmp_path):
    """Runs a command of the tour as it stands; its server has a database "shop"."""
    db = pg.create_database()
    db.execute("CREATE DATABASE shop")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "walmill").symlink_to(program())
    env = environment(tmp_path)
    env.update(PATH=f"{tools}:{bindir()}:{env['PATH']}", PGHOST=str(pg.folder), PGPORT="5432", PGUSER="postgres")
    running = []

    def run(command):
        if command.endswith("&"):
            with open(tmp_path / "log", "ab") as log:
                running.append(subprocess.Popen(["walmill", *command.split()[1:-1]], env=env, cwd=tmp_path,
                                                executable=tools / "walmill", stdout=log, stderr=log))
            return ""
        return subprocess.run(command, shell=True, env=env, cwd=tmp_path, check=True, capture_output=True,
                              text=True, timeout=60).stdout

    yield run
    for each in running:
        each.terminate()
        assert each.wait(30) == 0, (tmp_path / "log").read_text()
    assert not sanitizer_reports(tmp_path)
    db.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = 'shop'")
    db.execute("DROP DATABASE shop WITH (FORCE)")
    db.drop()


def test_tour(shell, tmp_path):
    config, steps = tour()
    assert len(steps) == 8
    (tmp_path / "walmill.yaml").write_text(config)
    for command, shown in steps:
        if command.startswith("sqlite3"):
            sql = re.search(r'"(.*)"', command, re.S).group(1)
            # The first look comes right after the start, for a reader who types.
            wait_until(lambda: (tmp_path / "warehouse.db").exists() and shell("walmill wait -c walmill.yaml") == "",
                       "the daemon has done what is to be seen")
            assert [words(" ".join(row)) for row in look(tmp_path, sql)] == [words(" ".join(row)) for row in cells(shown)]
        elif command.startswith("walmill status"):
            assert words(shell(command)) == words(" ".join(shown))
        else:
            shell(command)
            assert not shown, command
