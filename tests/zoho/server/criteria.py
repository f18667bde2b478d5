# SPDX-License-Identifier: PostgreSQL
"""The criteria grammar: parsed, resolved against the table, and turned into an SQL condition with parameters."""

import lark

from . import dates, values
from .errors import ZohoError

GRAMMAR = r"""
    ?start: either
    ?either: both (OR both)*
    ?both: negated (AND negated)*
    ?negated: NOT negated -> negation | "(" either ")" | comparison
    comparison: operand OPERATOR operand            -> compared
              | operand NOT? IN "(" literal ("," literal)* ")" -> listed
              | operand NOT? LIKE TEXT              -> alike
              | operand IS NOT? NULL                -> missing
    ?operand: column | literal | call
    column: (name ".")? name
    name: QUOTED | BARE
    call: BARE "(" (operand ("," operand)* | "*")? ")"
    literal: TEXT | NUMBER
    OR.2: /or\b/i
    AND.2: /and\b/i
    NOT.2: /not\b/i
    IN.2: /in\b/i
    LIKE.2: /like\b/i
    IS.2: /is\b/i
    NULL.2: /null\b/i
    OPERATOR: "!=" | "<>" | "<=" | ">=" | "=" | "<" | ">"
    QUOTED: /"[^"]+"(?!")/
    BARE: /[A-Za-z_][A-Za-z0-9_]*/
    TEXT: /'([^']|'')*'/
    NUMBER: /[+-]?[0-9]+(\.[0-9]+)?/
    %import common.WS
    %ignore WS
"""
PARSER = lark.Lark(GRAMMAR, parser="lalr", maybe_placeholders=False)
AGGREGATES = {"sum", "avg", "count", "min", "max", "stddev", "variance", "median", "mode", "countdistinct"}


def condition(text, view, storage):
    """(SQL, parameters) of a criteria."""
    try:
        tree = PARSER.parse(text)
    except lark.exceptions.LarkError:
        raise ZohoError(7331, "The criteria has a syntax error.") from None
    return Compiler(view, storage).compiled(tree)


def _tokens(tree, kind):
    return [child for child in tree.children if isinstance(child, lark.Token) and child.type == kind]


def _trees(tree):
    return [child for child in tree.children if isinstance(child, lark.Tree)]


def _unquoted(token):
    if token.type == "TEXT":
        return token[1:-1].replace("''", "'")
    return token[1:-1] if token.type == "QUOTED" else str(token)


def _joined(parts, word):
    """As a tree of little depth: SQLite limits that."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_joined(parts[:half], word)} {word} {_joined(parts[half:], word)})"


class Compiler:
    def __init__(self, view, storage):
        self.view, self.storage = view, storage
        self.reader = values.Reader(storage.settings, {"dateFormat": "yyyy-MM-dd HH:mm:ss"})

    def compiled(self, tree):
        parts = getattr(self, f"_{tree.data}")(tree)
        return parts[0], tuple(parts[1])

    def _either(self, tree, word="OR"):
        parts = [self.compiled(child) for child in _trees(tree)]
        return _joined([sql for sql, _ in parts], word), [value for _, own in parts for value in own]

    def _both(self, tree):
        return self._either(tree, "AND")

    def _negation(self, tree):
        sql, parameters = self.compiled(_trees(tree)[0])
        return f"NOT ({sql})", parameters

    def _compared(self, tree):
        left, right = _trees(tree)
        column = self._column(left)
        operator = str(_tokens(tree, "OPERATOR")[0])
        if right.data != "literal":
            return f"{column.sql} {operator} {self._column(right).sql}", []
        if operator == "=":
            self.storage.index(self.view, [column])
        return f"{column.sql} {operator} ?", [self._value(column, right)]

    def _listed(self, tree):
        first, *rest = _trees(tree)
        column = self._column(first)
        self.storage.index(self.view, [column])
        found = [self._value(column, literal) for literal in rest]
        word = "NOT IN" if _tokens(tree, "NOT") else "IN"
        return f"{column.sql} {word} ({', '.join('?' * len(found))})", found

    def _alike(self, tree):
        column = self._column(_trees(tree)[0])
        word = "NOT LIKE" if _tokens(tree, "NOT") else "LIKE"
        return f"CAST({column.sql} AS TEXT) {word} ?", [_unquoted(_tokens(tree, "TEXT")[0])]

    def _missing(self, tree):
        column = self._column(_trees(tree)[0])
        return f"{column.sql} IS {'NOT ' if _tokens(tree, 'NOT') else ''}NULL", []

    def _column(self, tree):
        if tree.data == "call":
            name = str(tree.children[0]).casefold()
            if name in AGGREGATES:
                raise ZohoError(7333, f"The aggregate function {name} is not allowed in a criteria.")
        if tree.data != "column":
            raise ZohoError(7331, "The criteria has a syntax error.")
        names = [_unquoted(child.children[0]) for child in _trees(tree)]
        if len(names) == 2 and names[0] != self.view.name:
            raise ZohoError(7332, f"The criteria names an unknown table: {names[0]}.")
        column = self.view.column(names[-1])
        if column is None:
            raise ZohoError(7330, f"The criteria names an unknown column: {names[-1]}.")
        return column

    def _value(self, column, literal):
        text = _unquoted(literal.children[0])
        if column.type == "DATE" and len(text) == 10:
            text += " 00:00:00"
        reader = self.reader
        if column.type == "DATE_AS_DATE":
            reader = values.Reader(self.storage.settings, {"dateFormat": "yyyy-MM-dd"})
        if column.type in ("PLAIN", "MULTI_LINE", "EMAIL", "URL", "GEO"):
            return text
        try:
            if column.type == "DATE" and "." in text:
                return dates.stamp(dates.compiled("yyyy-MM-dd HH:mm:ss.SSS", 3).read(text))
            return reader.reader(column)(text)
        except ValueError:
            raise ZohoError(7327, f"The criteria's value for {column.name} cannot be converted.") from None
