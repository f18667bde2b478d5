# SPDX-License-Identifier: PostgreSQL
"""What came of each fault, a row a fault, a column a target and journal mode: printed, and kept in a page."""

import dataclasses
import datetime
import os
import pathlib
import re

from walmill_testing import run_walmill
from walmill_testing.postgres import server_version

COLUMNS = [f"{target}, journal{mode}" for target in ("sqlite", "postgres") for mode in ("", " off")]
NOT_APPLICABLE = "-"
WORST_FIRST = ("failed", "skipped", "ok", NOT_APPLICABLE)
PAGE_HEAD = """# Fault matrix

Written by `make fault`: each cell is a real run. The fault happens under load, walmill recovers (it is started again
where it died), then source and target are compared exactly, value by value. `-`: the fault cannot happen there.
"""


class Matrix:
    all = []

    def __init__(self, title, intro, rows):
        """rows: {name: what it is}"""
        self.title = title
        self.intro = intro
        self.rows = rows
        self.cells = {}
        Matrix.all.append(self)

    def put(self, row, column, verdict):
        """Of several runs in one cell the worst counts."""
        other = self.cells.get((row, column), verdict)
        self.cells[row, column] = min(other, verdict, key=WORST_FIRST.index)

    def text(self):
        lines = [f"## {self.title}", "", self.intro, "", self._about(), ""]
        lines += ["| fault | what happens | " + " | ".join(COLUMNS) + " |", "|---" * (2 + len(COLUMNS)) + "|"]
        for row, what in self.rows.items():
            cells = [self.cells.get((row, column), NOT_APPLICABLE) for column in COLUMNS]
            if cells != [NOT_APPLICABLE] * len(COLUMNS):
                lines.append(f"| {row} | {what} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"

    def _about(self):
        verdicts = list(self.cells.values())
        counts = ", ".join(f"{verdicts.count(v)} cells {v}" for v in ("ok", "failed", "skipped") if v in verdicts)
        version = run_walmill("--version").stdout.strip()
        return f"Last run: {datetime.date.today()}, {version}, PostgreSQL {server_version()}: {counts}."

    def keep(self, page):
        """Puts itself in place of what the page has under the same title."""
        old = page.read_text() if page.exists() else PAGE_HEAD
        section = re.compile(rf"^## {re.escape(self.title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
        if section.search(old):
            new = section.sub(lambda _: self.text() + "\n", old)
        else:
            new = old.rstrip("\n") + "\n\n" + self.text()
        page.write_text(new.rstrip("\n") + "\n")


@dataclasses.dataclass(frozen=True)
class Cell:
    matrix: Matrix
    row: str
    column: str

    @property
    def target(self):
        return self.column.split(",")[0]

    @property
    def journal(self):
        """The setting of it."""
        return "journal: off" if self.column.endswith("off") else ""


def show(write):
    """At the end of the tests; WM_FAULT_PAGE: where they are kept."""
    page = os.environ.get("WM_FAULT_PAGE")
    for matrix in Matrix.all:
        if not matrix.cells:
            continue
        write(matrix.text())
        if page:
            matrix.keep(pathlib.Path(page))
