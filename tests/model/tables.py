# SPDX-License-Identifier: PostgreSQL
"""Random tables and random statements on them.

Every table of a kind has the same key, and a column's name tells its type: whatever is dropped, renamed and made
again, a view can follow, and a difference is a defect.
"""

import dataclasses
import fnmatch

KEYS = 60           # few: transactions meet, keys come again
COLUMNS_MAX = 6     # that come and go


@dataclasses.dataclass(frozen=True)
class Kind:
    names: tuple            # tables that may be there at a time
    key: tuple              # what tells rows apart
    definition: str         # columns and constraints of the key
    tail: str = ""
    after: str = ""         # statements behind CREATE TABLE
    rule_key: tuple = ()    # what a rule has to say


KINDS = {
    "t": Kind(("t0", "t1", "t2"), ("id",), "id int PRIMARY KEY"),
    "p": Kind(("p0", "p1"), ("b", "a"), "a int, b text, PRIMARY KEY (b, a)"),
    "q": Kind(("q0", "q1"), ("id", "region"), "id int, region int, PRIMARY KEY (id, region)",
              "PARTITION BY LIST (region)"),
    "u": Kind(("u0",), ("code",), "id int PRIMARY KEY, code text NOT NULL, CONSTRAINT {table}_code_{n} UNIQUE (code)",
              after="ALTER TABLE {table} REPLICA IDENTITY USING INDEX {table}_code_{n}"),
    "f": Kind(("f0",), ("id",), "id int NOT NULL, CONSTRAINT {table}_id_{n} UNIQUE (id)",
              after="ALTER TABLE {table} REPLICA IDENTITY FULL", rule_key=("id",)),
}
NAMES = tuple(name for kind in KINDS.values() for name in kind.names)
# In every table: what rules speak about. The others come and go.
COMMON = {"n": "int", "v": "text", "flag": "bool", "doc": "text"}
# First letter of a column that comes and goes: its type, and defaults that a new column may have.
LETTERS = {
    "i": ("int", ("7", "-1")),
    "s": ("text", ("'by default'", "repeat('x', 3000)", "md5('m')")),
    "c": ("numeric(6,2)", ("1.50", "random() * 100")),
    "z": ("timestamptz", ("now()", "'2024-02-29 12:00:00+00'", "clock_timestamp()")),
    "j": ("jsonb", ("'{\"a\": [1, null]}'",)),
    "l": ("int[]", ("'{1,NULL,3}'",)),
    "m": ("mood", ("'good'",)),
    "h": ("bytea", ("'\\x00ff'",)),
    "d": ("date", ("'2024-02-29'", "'infinity'")),
    "e": ("double precision", ("0.1", "'NaN'")),
    "b": ("bool", ("true",)),
    "g": ("uuid", ("'00112233-4455-6677-8899-aabbccddeeff'",)),
    "y": ("numeric", ("12345678901234567890.123", "'NaN'")),
    "k": ("char(5)", ("'ab'",)),
    "o": ("interval", ("'1 year 2 mons 04:05:06'",)),
    "r": ("tstzrange", ("'[2024-01-01 00:00:00+00,)'",)),
}
# What a column `w` may become next; its values keep their text.
WIDER = {"integer": ("bigint", "numeric(20,3)", "text"), "bigint": ("numeric(20,3)", "text"),
         "numeric(20,3)": ("text",)}
REGIONS = 4


def kind_of(name):
    return KINDS[name[0]]


def matches(name, patterns):
    """As a rule's `table`, without its schema."""
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


def literal(text):
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _insert(table, values):
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(map(str, values.values()))})"


class Statements:
    """Draws one statement at a time; `look` answers questions within the transaction that will run it."""

    def __init__(self, chance):
        self.chance = chance
        self.made = 0

    # ---- values ----

    def key(self):
        return self.chance.randint(1, KEYS)

    def text(self):
        size = self.chance.choice((0, 1, 3, 8, 30))
        return literal("".join(self.chance.choices("abxyz\u00e4\u20ac'\\\t\n ", k=size)))

    def common(self, name):
        choice = self.chance.choice
        if name == "n":
            return choice(("NULL", str(self.chance.randint(-100, 1000))))
        if name == "v":
            return choice(("NULL", "'x'", "'y'", self.text(), self.text()))
        if name == "flag":
            return choice(("NULL", "true", "false"))
        # What cannot be compressed is toasted whatever the storage.
        noise = f"(SELECT string_agg(md5(i || '{self.chance.random()}'), '') FROM generate_series(1, 150) i)"
        return choice(("NULL", "'short'", noise, f"repeat('{choice('abc')}', {choice((5, 2500, 9000))})"))

    def other(self, name):
        if name == "w":
            return self.chance.choice(("NULL", "0", "7", "12345"))
        return self.chance.choice(("NULL", *(d for d in LETTERS[name[0]][1] if "(" not in d or "repeat" in d)))

    def value(self, name):
        return self.common(name) if name in COMMON else self.other(name)

    # ---- tables ----

    def columns(self, look, table):
        """Those that are neither of the key nor common."""
        kind = kind_of(table)
        fixed = {*COMMON, *kind.key, "id"}
        return [n for n, in look(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum", f"public.{table}") if n not in fixed]

    def create(self, table):
        kind = kind_of(table)
        self.made += 1
        fill = {"table": table, "n": self.made}
        columns = [f"{n} {t}" for n, t in COMMON.items()] + ["w int"] * self.chance.randint(0, 1)
        for letter in self.chance.sample(sorted(LETTERS), self.chance.randint(0, 3)):
            columns.append(f"{self.new_name(letter)} {LETTERS[letter][0]}")
        self.chance.shuffle(columns)
        where = self.chance.choice(("before", "behind"))
        key = kind.definition.format(**fill)
        parts = [key, *columns] if where == "before" else [*columns, key]
        sql = [f"CREATE TABLE {table} ({', '.join(parts)}) {kind.tail}"]
        if not kind.tail:
            sql.append(f"ALTER TABLE {table} ALTER doc SET STORAGE {self.chance.choice(('EXTERNAL', 'EXTENDED'))}")
        if kind.after:
            sql.append(kind.after.format(**fill))
        elif self.chance.random() < 0.3:
            sql.append(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
        if kind.tail:
            sql += [f"CREATE TABLE part{self.made}_{r} PARTITION OF {table} FOR VALUES IN ({r})" for r in (0, 1)]
        rows = self.chance.choice((0, 3, 40, 400))
        if rows:
            sql.append(self.insert_many(table, rows))
        return "; ".join(sql)

    def insert_many(self, table, rows):
        target, values = {
            "t": ("id", "i"), "f": ("id", "i"), "p": ("a, b", "i, 'b' || i % 3"), "q": ("id, region", "i, i % 2"),
            "u": ("id, code", "i, 'c' || i"),
        }[table[0]]
        first = self.chance.choice((1, 1, 100))
        return (f"INSERT INTO {table} ({target}, n, v, doc) SELECT {values}, i % 100, 'v' || i % 7, "
                f"CASE WHEN i % 10 = 0 THEN repeat('d' || i, 1500) END "
                f"FROM generate_series({first}, {first + rows - 1}) i ON CONFLICT DO NOTHING")

    # ---- rows ----

    def key_values(self, table):
        key = self.key()
        return {"t": {"id": key}, "f": {"id": key}, "p": {"a": key, "b": f"'b{self.chance.randint(0, 2)}'"},
                "q": {"id": key, "region": self.chance.randint(0, REGIONS - 1) // 2},
                "u": {"id": key, "code": f"'c{self.key()}'"}}[table[0]]

    def where(self, table):
        column = "a" if table[0] == "p" else "id"
        first = self.key()
        form = self.chance.choice(("one", "one", "one", "some", "many", "code"))
        if form == "code" and table[0] == "u":
            return f"code = 'c{first}'"
        if form == "many":
            return f"{column} % {self.chance.randint(2, 5)} = 0"
        return f"{column} BETWEEN {first} AND {first + (5 if form == 'some' else 0)}"

    def insert(self, look, table):
        if self.chance.random() < 0.15:
            return self.insert_many(table, self.chance.choice((5, 50, 600)))
        names = [*COMMON, *self.columns(look, table)]
        names = [n for n in names if self.chance.random() < 0.7]
        values = {**self.key_values(table), **{n: self.value(n) for n in names}}
        conflict = "ON CONFLICT DO NOTHING"
        if names and self.chance.random() < 0.5:
            sets = ", ".join(f"{n} = excluded.{n}" for n in names)
            conflict = f"ON CONFLICT ({', '.join(kind_of(table).key)}) DO UPDATE SET {sets}"
        return f"{_insert(table, values)} {conflict}"

    def touch(self, table):
        """Inserts a row that no other statement makes."""
        self.made += 1
        return _insert(table, {
            "t": {"id": -self.made}, "f": {"id": -self.made}, "p": {"a": -self.made, "b": "'n'"},
            "q": {"id": -self.made, "region": 0}, "u": {"id": -self.made, "code": f"'n{self.made}'"},
        }[table[0]])

    def update(self, look, table):
        others = self.columns(look, table)
        names = self.chance.sample([*COMMON, *others], self.chance.randint(1, 2))
        sets = [f"{n} = {self.value(n)}" for n in names]
        sets = self.chance.choice((sets, sets, ["n = n + 1"], ["v = v || 'x'"], ["doc = doc || 'more'"],
                                   ["flag = NOT flag"]))
        return f"UPDATE {table} SET {', '.join(sets)} WHERE {self.where(table)}"

    def delete(self, _look, table):
        return f"DELETE FROM {table} WHERE {self.where(table)}"

    def change_key(self, _look, table):
        one, two = self.key(), self.key()
        more = self.chance.choice(("", "", ", n = n + 1", ", flag = NOT flag", ", doc = 'new'"))
        if table[0] == "p":
            return self.chance.choice((
                f"UPDATE {table} SET a = {one}{more} WHERE a = {two}",
                f"UPDATE {table} SET b = 'b{one % 3}'{more} WHERE a = {two} AND b = 'b{two % 3}'"))
        if table[0] == "q":
            return self.chance.choice((f"UPDATE {table} SET region = 1 - region{more} WHERE id = {one}",
                                       f"UPDATE {table} SET id = {one}{more} WHERE id = {two}"))
        column, a, b, t = ("code", f"'c{one}'", f"'c{two}'", "'turn'") if table[0] == "u" else ("id", one, two, 0)
        turn = (f"UPDATE {table} SET {column} = {t}{more} WHERE {column} = {a}; "
                f"UPDATE {table} SET {column} = {a} WHERE {column} = {b}; "
                f"UPDATE {table} SET {column} = {b} WHERE {column} = {t}")
        shift = f"UPDATE {table} SET id = id + 1000{more} WHERE id % 7 = {one % 7} AND id < 1000"
        return self.chance.choice((f"UPDATE {table} SET {column} = {a}{more} WHERE {column} = {b}", turn, shift))

    def replace(self, _look, table):
        """The row of a key goes and another of the same key comes."""
        values = {**self.key_values(table), "v": self.common("v"), "doc": self.common("doc")}
        return f"DELETE FROM {table} WHERE {self.where(table)}; {_insert(table, values)} ON CONFLICT DO NOTHING"

    # ---- definitions ----

    def add_label(self):
        self.made += 1
        return f"ALTER TYPE mood ADD VALUE 'm{self.made}'"

    def new_name(self, letter):
        return f"{letter}{self.chance.randint(0, 2)}"

    def alter(self, look, table):
        """(statement, whether a change of a row is all that walmill needs to follow), or None."""
        there = self.columns(look, table)
        kinds = ["identity"] + ["add", "add default", "add default"] * (len(there) < COLUMNS_MAX)
        kinds += ["drop", "rename", "null", "again"] * bool(there)
        kinds += ["type"] if "w" in there else ["add w"]
        kind = self.chance.choice(kinds)
        if kind in ("add", "add default"):
            letter = self.chance.choice(sorted(LETTERS))
            type_name, defaults = LETTERS[letter]
            default = ""
            if kind == "add default":
                default = self.chance.choice((" NOT NULL", "")) + f" DEFAULT {self.chance.choice(defaults)}"
            return f"ALTER TABLE {table} ADD {self.new_name(letter)} {type_name}{default}", True
        if kind == "add w":
            return f"ALTER TABLE {table} ADD w int", True
        if kind == "type":
            now, = look("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(%s) "
                        "AND attname = 'w'", f"public.{table}")[0]
            if now not in WIDER:
                return f"ALTER TABLE {table} DROP w CASCADE", False
            # Refused while a column list names the column.
            return f"ALTER TABLE {table} ALTER w TYPE {self.chance.choice(WIDER[now])}", True
        if kind == "identity":
            if table[0] in "uf":
                return None
            return f"ALTER TABLE {table} REPLICA IDENTITY {self.chance.choice(('FULL', 'DEFAULT'))}", True
        name = self.chance.choice(there)
        if kind == "null":
            return (f"ALTER TABLE {table} ALTER {name} DROP NOT NULL; "
                    f"UPDATE {table} SET {name} = NULL WHERE {self.where(table)}", True)
        if kind == "drop":
            return f"ALTER TABLE {table} DROP {name} CASCADE", False
        if name == "w":
            return None
        if kind == "again":
            letter = LETTERS[name[0]]
            return (f"ALTER TABLE {table} DROP {name} CASCADE; ALTER TABLE {table} ADD {name} {letter[0]} "
                    f"DEFAULT {self.chance.choice(letter[1])}", False)
        return f"ALTER TABLE {table} RENAME {name} TO {self.new_name(name[0])}", False

    def partition(self, table):
        """A new partition, sometimes one whose columns stand in another order."""
        self.made += 1
        region = self.chance.randint(2, REGIONS - 1)
        name = f"part{self.made}_{region}"
        if self.chance.random() < 0.5:
            return f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES IN ({region})"
        return ("DO $$ DECLARE c text; BEGIN "
                "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' "
                "ORDER BY attname DESC) INTO c FROM pg_attribute "
                f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped; "
                f"EXECUTE 'CREATE TABLE {name} (gone int, ' || c || ')'; ALTER TABLE {name} DROP gone; "
                f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES IN ({region}); END $$")
