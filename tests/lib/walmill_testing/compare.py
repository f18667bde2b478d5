# SPDX-License-Identifier: PostgreSQL
"""Exact comparison of a source table with a view, value by value, as docs/types.md says."""

import collections
import decimal
import math
import sqlite3

import psycopg2

CONTEXT = decimal.Context(prec=200)     # plenty: no comparison may round


def _columns(connection, table):
    """[(name, base type, typmod)] in order; a domain counts as what it is made from."""
    with connection.cursor() as cursor:
        cursor.execute("""
            WITH RECURSIVE base AS (
                SELECT a.attnum, a.attname, a.atttypid AS type, a.atttypmod AS typmod
                FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
              UNION ALL
                SELECT b.attnum, b.attname, t.typbasetype, t.typtypmod
                FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd')
            SELECT attname, typname, typmod FROM base b JOIN pg_type t ON t.oid = b.type
            WHERE t.typtype <> 'd' ORDER BY attnum""", (table,))
        return cursor.fetchall()


def _select(connection, relation, expressions, where=None):
    """Every value as its type's output function writes it: what the stream and COPY carry."""
    parts = [f"CASE WHEN num_nulls({e}) = 0 THEN format('%s', {e}) END" for e in expressions]
    with connection.cursor() as cursor:
        cursor.execute("SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; "
                       "SET bytea_output = 'hex'; SET extra_float_digits = 1")
        cursor.execute("SELECT " + ", ".join(parts) + f" FROM {relation}"
                       + (f" WHERE {where}" if where else ""))
        return cursor.fetchall()


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def source_rows(connection, table, columns=None, where=None, computed=None):
    """([(name, type, typmod)], rows of texts) of a source's table; computed: {name: (expression, type)}, in its SQL."""
    described = _columns(connection, table)
    if columns is not None:
        by_name = {c[0]: c for c in described}
        described = [by_name[name] for name in columns]
    computed = computed or {}
    described = [c for c in described if c[0] not in computed] + [(n, c[1], -1) for n, c in computed.items()]
    expressions = [f"({computed[c[0]][0]})" if c[0] in computed else quote(c[0]) for c in described]
    return described, _select(connection, table, expressions, where)


class SqliteTarget:
    """A file that the sqlite target writes."""

    kind = "sqlite"

    def __init__(self, path):
        self.path = path

    def _open(self):
        return sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)

    def rows(self, sql):
        connection = self._open()
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def execute(self, sql):
        """What an operator does by hand."""
        connection = sqlite3.connect(self.path, timeout=30)
        with connection:
            connection.executescript(sql)
        connection.close()

    def columns(self, view):
        return [row[1] for row in self.rows(f"PRAGMA table_info({quote(view)})")]

    def tables(self):
        return {row[0] for row in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def view_rows(self, view, columns, where=None):
        # SQLite takes a quoted name of no column for a text.
        missing = set(columns) - set(self.columns(view))
        assert not missing, f"view {view} has no column {sorted(missing)}"
        return self.rows("SELECT " + ", ".join(map(quote, columns)) + f" FROM {quote(view)}"
                         + (f" WHERE {where}" if where else ""))

    @staticmethod
    def expected(text, kind, typmod):
        """The cell that a source's value has to become."""
        if text is None:
            return None
        if kind == "bool":
            return {"t": 1, "f": 0}[text]
        if kind in ("int2", "int4", "int8", "oid"):
            return int(text)
        if kind in ("float4", "float8"):
            return float(text) if math.isfinite(float(text)) else text
        if kind == "numeric":
            finite = text not in ("NaN", "Infinity", "-Infinity")
            if finite and 0 <= typmod - 4 and (typmod - 4) >> 16 <= 15:
                return CONTEXT.create_decimal(text).normalize(CONTEXT)
            return text
        if kind == "bytea":
            return bytes.fromhex(text[2:])
        return text

    @staticmethod
    def actual(cell, kind, typmod):
        if kind == "numeric" and isinstance(cell, (int, float)) and 0 <= typmod - 4:
            return CONTEXT.create_decimal(repr(cell)).normalize(CONTEXT)
        return cell


class PostgresTarget:
    """A database that the postgres target writes."""

    kind = "postgres"

    def __init__(self, dsn):
        self.dsn = dsn

    def _run(self, sql):
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def rows(self, sql):
        return self._run(sql)

    def execute(self, sql):
        self._run(sql)

    def columns(self, view):
        return [row[0] for row in self._run(
            f"SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('{quote(view)}') AND attnum > 0 "
            "AND NOT attisdropped ORDER BY attnum")]

    def tables(self):
        return {row[0] for row in self._run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}

    def view_rows(self, view, columns, where=None):
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True
        try:
            return _select(connection, ".".join(map(quote, view.split("."))), map(quote, columns), where)
        finally:
            connection.close()

    @staticmethod
    def expected(text, _kind, _typmod):
        return text

    @staticmethod
    def actual(cell, _kind, _typmod):
        return cell


_PLAIN = (str, int, bytes, type(None))      # never equal to one another


def _cell(value):
    """Tells values of any mixture of types apart: 1 from '1', from True, from 1.0."""
    return value if type(value) in _PLAIN else (type(value).__name__, repr(value))


def _counted(rows, described, convert):
    """{row: how often it is there}; by columns, since a table may have many rows."""
    columns = [[_cell(convert(value, kind, typmod)) for value in column]
               for column, (_, kind, typmod) in zip(zip(*rows), described)]
    return collections.Counter(zip(*columns))


def differences(connection, table, target, view=None, columns=None, where=None, rename=None, computed=None,
                view_where=None):
    """A list of texts, empty when the view equals the table: no row more, less or different.

    where, computed: in the source's SQL; view_where: which of the view's rows count, in the target's.
    """
    described, rows = source_rows(connection, table, columns, where, computed)
    names = [(rename or {}).get(c[0], c[0]) for c in described]
    want = _counted(rows, described, target.expected)
    have = _counted(target.view_rows(view or table.rpartition(".")[2], names, view_where), described, target.actual)
    return _diff(want, have, names)


def _diff(want, have, names):
    missing, extra = sorted(want - have, key=repr), sorted(have - want, key=repr)
    if not missing and not extra:
        return []
    out = [f"{want.total()} rows wanted, {have.total()} there; {len(missing)} missing or different, "
           f"{len(extra)} too many or different"]
    # A few in full are worth more than all of them cut; of two versions of a row, what differs.
    by_first = {row[0]: row for row in extra}
    for row in missing[:4]:
        other = by_first.pop(row[0], None)
        out.append(f"missing: {_short(names, row)}" if other is None else
                   f"row {_cut(repr(row[0]))} wanted, then there: {_short(*_differing(names, row, other))}, "
                   f"{_short(*_differing(names, other, row))}")
    out += [f"extra: {_short(names, row)}" for row in list(by_first.values())[:4]]
    return out


def _differing(names, row, other):
    columns = [i for i, pair in enumerate(zip(row, other)) if pair[0] != pair[1]]
    return [names[i] for i in columns], [row[i] for i in columns]


def _short(names, row):
    texts = [cell[1] if isinstance(cell, tuple) else repr(cell) for cell in row]
    return "{" + ", ".join(f"{n}: {_cut(t)}" for n, t in zip(names, texts)) + "}"


def _cut(text):
    return text if len(text) < 90 else f"{text[:60]}... ({len(text)} characters)"
