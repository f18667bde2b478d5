# SPDX-License-Identifier: PostgreSQL
"""Workspaces, views and columns; the rows of a table in SQLite, one column each."""

import dataclasses
import decimal
import itertools
import sqlite3

from . import values


@dataclasses.dataclass
class Column:
    id: str
    name: str
    type: str
    mandatory: bool = False
    lookup: tuple = None        # (table's name, column's name)
    personal: bool = False
    hidden: bool = False

    @property
    def sql(self):
        return f'"c{self.id}"'


@dataclasses.dataclass
class View:
    id: str
    workspace: str
    name: str
    type: int = 0               # 0 table, 1 report, 6 query table, 7 dashboard, ...
    kind: str = ""              # of a table: "", snapshot, system, stream, norows
    columns: list = dataclasses.field(default_factory=list)
    description: str = ""
    folder: str = ""
    importing: object = None    # what holds the table's lock
    writing: bool = False       # a row call is at work
    last_import: dict = dataclasses.field(default_factory=dict)
    last_auto: int = 0
    generation: int = 0         # counts replacements of all rows

    @property
    def sql(self):
        return f'"v{self.id}_{self.generation}"'

    def column(self, name):
        """By its exact name."""
        return next((column for column in self.columns if column.name == name), None)

    def column_any_case(self, name):
        return next((column for column in self.columns if column.name.casefold() == name.casefold()), None)


def _compare_decimals(a, b):
    a, b = decimal.Decimal(a), decimal.Decimal(b)
    return (a > b) - (a < b)


class Storage:
    def __init__(self, path, settings):
        self.settings = settings
        self.workspaces = {}        # id -> name
        self.folders = set()
        self.views = {}             # id -> View
        self._ids = itertools.count(1767024000003150001, 14)     # more than 32 bits, as the real ones have
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.create_collation("DECIMAL", _compare_decimals)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute(f"PRAGMA case_sensitive_like = {'OFF' if settings.text_ignores_case else 'ON'}")

    def close(self):
        self.db.close()

    def new_id(self):
        return str(next(self._ids))

    # ---- definitions ----

    def add_workspace(self, name):
        self.workspaces[self.new_id()] = name
        return list(self.workspaces)[-1]

    def add_view(self, workspace, name, **more):
        view = View(self.new_id(), workspace, name, **more)
        if view.type == 0:
            self._create(view)
        self.views[view.id] = view
        return view

    def _create(self, view):
        columns = "".join(f", {column.sql} {self._affinity(column.type)}" for column in view.columns)
        self.db.execute(f"CREATE TABLE {view.sql} (row INTEGER PRIMARY KEY AUTOINCREMENT{columns})")

    def add_column(self, view, name, kind, **more):
        column = Column(self.new_id(), name, kind, **more)
        self.db.execute(f"ALTER TABLE {view.sql} ADD COLUMN {column.sql} {self._affinity(kind)}")
        view.columns.append(column)
        return column

    def drop_column(self, view, column):
        """An operator's deed: its values are gone, and its index."""
        view.columns.remove(column)

    def drop_view(self, view):
        del self.views[view.id]
        self.db.execute(f"DROP TABLE IF EXISTS {view.sql}")

    def _affinity(self, kind):
        if kind in values.INTEGERS:
            return "INTEGER"
        if kind in values.DECIMALS:
            return "TEXT COLLATE DECIMAL"
        return "TEXT COLLATE NOCASE" if self.settings.text_ignores_case else "TEXT"

    def index(self, view, columns):
        """Makes comparisons with the columns quick."""
        name = f"i{view.generation}_" + "_".join(column.id for column in columns)
        self.db.execute(f'CREATE INDEX IF NOT EXISTS "{name}" ON {view.sql} '
                        f'({", ".join(column.sql for column in columns)})')

    def view_named(self, workspace, name):
        return next((view for view in self.views.values() if (view.workspace, view.name) == (workspace, name)), None)

    # ---- replacing all rows at once ----

    def stage(self, view):
        """A second set of rows that nobody sees yet."""
        staged = dataclasses.replace(view, generation=view.generation + 1, last_auto=0)
        self.db.execute(f"DROP TABLE IF EXISTS {staged.sql}")
        self._create(staged)
        return staged

    def swap(self, view, staged):
        self.db.execute(f"DROP TABLE {view.sql}")
        view.generation, view.last_auto = staged.generation, staged.last_auto

    def discard(self, staged):
        self.db.execute(f"DROP TABLE {staged.sql}")

    # ---- rows ----

    def rows_of_all(self):
        return sum(self.count(view) for view in self.views.values() if view.type == 0)

    def count(self, view):
        return self.db.execute(f"SELECT count(*) FROM {view.sql}").fetchone()[0]

    def insert(self, view, columns, rows):
        """Rows of values, in the order of the columns."""
        columns = list(columns)
        auto = next((column for column in view.columns if column.type == "AUTO_NUMBER"), None)
        if auto:
            columns.append(auto)
            rows = [(*row, number) for number, row in enumerate(rows, view.last_auto + 1)]
            view.last_auto += len(rows)
        if not columns:
            return
        names, marks = ", ".join(column.sql for column in columns), ", ".join("?" * len(columns))
        self.db.executemany(f"INSERT INTO {view.sql} ({names}) VALUES ({marks})", rows)

    def update(self, view, columns, row, where, parameters):
        """How many rows the condition holds for."""
        sets = ", ".join(f"{column.sql} = ?" for column in columns)
        return self.db.execute(f"UPDATE {view.sql} SET {sets} WHERE {where}", (*row, *parameters)).rowcount

    def delete(self, view, where="1", parameters=()):
        return self.db.execute(f"DELETE FROM {view.sql} WHERE {where}", parameters).rowcount

    def select(self, view, columns, where="1", parameters=()):
        names = ", ".join(column.sql for column in columns) or "NULL"
        return self.db.execute(f"SELECT {names} FROM {view.sql} WHERE {where} ORDER BY row", parameters)

    def values_of(self, lookup, workspace):
        """What a lookup column's values have to be among."""
        view = self.view_named(workspace, lookup[0])
        return {row[0] for row in self.select(view, [view.column(lookup[1])])}
