# SPDX-License-Identifier: PostgreSQL
"""Draws operations while they run: from a seed, from what the source's catalog says, and from nothing else.

What walmill does has no say, so that a seed gives the same drama each time.
"""

import random

from rulebook import draw_rules
from stage import CONNECTIONS
from tables import NAMES, Statements, kind_of

SETTINGS = ("", "", "journal: off", "journal: off", "journal: {max_bytes: 1MiB}", "memory: 1MiB")


def header(seed):
    chance = random.Random(f"{seed}/settings")
    return {"seed": seed, "settings": chance.choice(SETTINGS), "streaming": chance.random() < 0.5}


class Drama:
    """Draws and runs; `script` is what was run."""

    def __init__(self, stage, seed, script):
        self.stage = stage
        self.chance = random.Random(f"{seed}/operations")
        self.draw = Statements(self.chance)
        self.script = script
        self.savepoints = [[] for _ in range(CONNECTIONS)]
        self.altered = set()        # tables whose next change shows the new definition
        self.loose = False          # what was done since the last check is found by looking at the catalog

    def do(self, name, **arguments):
        operation = {"do": name, **arguments}
        self.script.append(operation)
        self.stage.run(operation)

    def sql(self, on, sql):
        self.do("sql", on=on, sql=sql)

    def one_of(self, *weighted):
        """One of (weight, thing), ..."""
        return self.chance.choices([w[1] for w in weighted], [w[0] for w in weighted])[0]

    def play(self, steps):
        for name in NAMES:
            if self.chance.random() < 0.6:
                self.sql(0, self.draw.create(name))
        self.do("rules", rules=draw_rules(self.chance))
        self.do("start")
        self.loose = True
        if self.chance.random() < 0.7:
            self.check()
        for _ in range(steps):
            self.one_of((100, self.statement), (14, self.bank), (4, self.life), (2, self.rules), (1.5, self.hold),
                        (1.5, self.check), (3, self.peek))()
        self.check()
        self.do("stop")

    # ---- walmill ----

    def check(self):
        self.end_all()
        # A definition that changed last is known with the table's next change.
        for table in sorted(self.altered & self.stage.there()):
            self.sql(0, self.draw.touch(table))
        self.do("check", strict=not self.loose)
        self.altered.clear()
        self.loose = False

    def life(self):
        for word in self.one_of((4, ("kill",)), (4, ("kill", "start")), (2, ("start",)), (1, ("stop",)),
                                (1, ("wait",))):
            if word == "stop":
                self.end_all()
            self.do(word)

    def rules(self):
        self.do("rules", rules=draw_rules(self.chance, self.stage.rules))
        self.loose = True

    def hold(self):
        names = sorted(r["name"] for r in self.stage.rules)
        if not names:
            return
        self.end_all()
        held = sorted(self.stage.paused)
        if held and self.chance.random() < 0.6:
            self.do("resume", rule=self.chance.choice(held))
        else:
            self.do("pause", rule=self.chance.choice(names))

    def peek(self):
        self.do("peek")

    # ---- transactions ----

    def end(self, on):
        status = self.stage.status(on)
        if status != "idle":
            self.sql(on, "COMMIT" if status == "open" and self.chance.random() < 0.85 else "ROLLBACK")
        self.savepoints[on].clear()

    def end_all(self):
        for on in range(CONNECTIONS):
            self.end(on)

    def statement(self):
        on = self.chance.randrange(CONNECTIONS)
        status = self.stage.status(on)
        dice = self.chance.random()
        stack = self.savepoints[on]
        if status == "idle":
            stack.clear()
            if dice < 0.3:
                self.sql(on, self.one_of((2, "BEGIN"), (1, "BEGIN ISOLATION LEVEL REPEATABLE READ")))
            self.change(on)
        elif status == "failed":
            if stack and dice < 0.7:
                self.sql(on, f"ROLLBACK TO SAVEPOINT {stack[-1]}")
            else:
                self.end(on)
        elif dice < 0.16:
            self.end(on)
        elif dice < 0.26:
            stack.append(f"s{len(stack)}")
            self.sql(on, f"SAVEPOINT {stack[-1]}")
        elif dice < 0.34 and stack:
            self.leave_savepoint(on, stack)
        else:
            self.change(on)

    def leave_savepoint(self, on, stack):
        at = self.chance.randrange(len(stack))
        if self.chance.random() < 0.5:
            self.sql(on, f"RELEASE SAVEPOINT {stack[at]}")
            del stack[at:]
        else:
            self.sql(on, f"ROLLBACK TO SAVEPOINT {stack[at]}")
            del stack[at + 1:]

    def change(self, on):
        there = self.there(on)
        if not there:
            self.sql(on, self.draw.create(self.chance.choice(NAMES)))
            self.loose = True
            return
        look, table = self.stage.look(on), self.chance.choice(there)
        dice = self.chance.random()
        if dice < 0.08:
            self.alter(on, look, table)
        elif dice < 0.12:
            self.define(on, there, table)
        else:
            kind = self.one_of((34, self.draw.insert), (36, self.draw.update), (12, self.draw.delete),
                               (16, self.draw.change_key), (6, self.draw.replace))
            self.sql(on, kind(look, table))

    def there(self, on):
        """The tables as the connection's transaction sees them."""
        return sorted(self.stage.there(self.stage.look(on)))

    def alter(self, on, look, table):
        drawn = self.draw.alter(look, table)
        if drawn is None:
            return
        sql, known_by_change = drawn
        self.sql(on, sql)
        self.altered.add(table)
        # A column list is put in step only after the catalog was looked at.
        listed = any("exclude" in r for r in self.stage.rules)
        self.loose = self.loose or listed or not known_by_change

    def define(self, on, there, table):
        """Tables as a whole."""
        kind = self.one_of((2, "truncate"), (2, "create"), (1, "drop"), (2, "rename"), (1, "rewrite"), (1, "partition"),
                           (1, "message"), (1, "enum"))
        free = [n for n in NAMES if n not in there]
        self.loose = self.loose or kind in ("create", "drop", "rename")
        if kind == "truncate":
            tables = self.chance.sample(there, min(len(there), self.chance.choice((1, 1, 2))))
            self.sql(on, f"TRUNCATE {', '.join(tables)}")
        elif kind == "create" and free:
            self.sql(on, self.draw.create(self.chance.choice(free)))
        elif kind == "drop":
            self.replace_table(on, table, f"DROP TABLE {table}")
        elif kind == "rename":
            names = [n for n in kind_of(table).names if n in free]
            if names:
                self.replace_table(on, table, f"ALTER TABLE {table} RENAME TO {self.chance.choice(names)}")
        elif kind == "rewrite" and table[0] != "q":
            self.sql(on, self.chance.choice((f"VACUUM FULL {table}", f"VACUUM FREEZE {table}",
                                             f"ALTER TABLE {table} ALTER n TYPE int USING n + 0")))
        elif kind == "partition" and table[0] == "q":
            self.sql(on, self.draw.partition(table))
        elif kind == "message":
            transactional = self.chance.choice(("true", "false"))
            self.sql(on, f"SELECT pg_logical_emit_message({transactional}, 'foreign', 'nothing for walmill')")
        elif kind == "enum":
            self.sql(on, self.draw.add_label())

    def replace_table(self, on, table, sql):
        """The name is free then, and perhaps another table's at once."""
        self.sql(on, sql)
        if self.chance.random() < 0.5:
            self.sql(on, self.draw.create(table))

    def bank(self):
        """Something goes from one row to another."""
        much = self.chance.randint(1, 9)
        one, two = (f"bank_{self.chance.choice('ab')} SET n = n {sign} {much} WHERE id = {self.chance.randint(1, 5)}"
                    for sign in "-+")
        self.sql(self.chance.randrange(CONNECTIONS), f"UPDATE {one}; UPDATE {two}")
