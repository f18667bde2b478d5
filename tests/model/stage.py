# SPDX-License-Identifier: PostgreSQL
"""Runs operations, one after the other, on a source with several connections and a daemon with both targets.

An operation is a dict that JSON holds, and means the same wherever it stands: a script from which some were taken out
is a script. Statements that the source refuses change nothing; all else that goes wrong is a Failure.
"""

import concurrent.futures
import json

import psycopg2
from rulebook import expected, to_yaml
from tables import NAMES
from walmill_testing import Daemon, cannot_decode, wait_until
from walmill_testing.postgres import server_version

CONNECTIONS = 3
SCHEMA = """
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TABLE bank_a (id int PRIMARY KEY, n int NOT NULL);
    INSERT INTO bank_a SELECT i, 0 FROM generate_series(1, 5) i;
    CREATE TABLE bank_b (id int PRIMARY KEY, n int NOT NULL);
    INSERT INTO bank_b SELECT i, 0 FROM generate_series(1, 5) i;
"""
# So small that transactions leave memory.
DATABASE = {"logical_decoding_work_mem": "64kB", "statement_timeout": "60s"}
# Classes of SQLSTATE: what was meant to happen now and then, and what a script that lost operations meets.
REFUSALS = ("22", "23", "25", "2B", "3B", "0A", "40", "42", "53", "55")
MISTAKES = ("42601",)       # a syntax error is one of ours
BLOCKED = """
    WITH RECURSIVE before AS (SELECT unnest(pg_blocking_pids(%s)) AS pid
                              UNION SELECT unnest(pg_blocking_pids(pid)) FROM before)
    SELECT count(*) FROM before WHERE pid = ANY(%s)
"""


class Failure(AssertionError):
    """The target is not what it has to be."""


class Undecodable(Exception):
    """PostgreSQL cannot read its own WAL."""


class Stage:
    """A context: databases, connections, the daemon."""

    def __init__(self, pg, settings, streaming=False):
        self.pg = pg
        self.settings = settings
        self.source = "discover: 200ms" + "\nstreaming: true" * streaming
        self.parameters = dict(DATABASE)
        # Everything, where the server can be told so; else what is larger than the memory that it has.
        if streaming and server_version() >= 17:
            self.parameters["debug_logical_replication_streaming"] = "immediate"
        self.rules = []
        self.version = 0
        self.paused = set()         # as we asked
        self.perhaps = set()        # paused once, then the rule was taken out
        self.checks = 0
        self.answered = False       # since it was started

    def __enter__(self):
        self.db = self.pg.create_database()
        self.dw = self.pg.create_database()
        for name, value in self.parameters.items():
            self.db.execute(f"ALTER DATABASE {self.db.name} SET {name} = '{value}'")
        self.db.execute(SCHEMA)
        self.clients = [self.db.connect() for _ in range(CONNECTIONS)]
        self.runner = concurrent.futures.ThreadPoolExecutor(1)
        self.daemon = Daemon({"shop": f"uri: {self.db.uri}\n{self.source}"},
                             {"lite": "type: sqlite\npath: lite.db", "dw": f"type: postgres\nuri: {self.dw.uri}"},
                             to_yaml([], 0), self.settings)
        self.daemon.source_db = self.db
        return self

    def __exit__(self, *_):
        self.daemon.destroy()
        self.runner.shutdown()
        self.db.drop()
        self.dw.drop()

    # ---- operations ----

    def run(self, operation):
        arguments = dict(operation)
        try:
            getattr(self, "do_" + arguments.pop("do"))(**arguments)
            process = self.daemon.process
            assert process is None or process.poll() is None, f"the daemon ended with {process.returncode}"
        except AssertionError as failure:
            undecodable = cannot_decode(self.daemon)
            if undecodable:
                raise Undecodable(undecodable) from failure
            raise Failure(f"{json.dumps(operation, ensure_ascii=False)[:300]}\n{failure}") from failure

    def look(self, on):
        """A function that asks within a connection's transaction; nothing when that has failed."""
        def ask(sql, *arguments):
            with self.clients[on].cursor() as cursor:
                cursor.execute(sql, arguments)
                return cursor.fetchall()
        return ask

    def status(self, on):
        """idle, open or failed: the state of a connection's transaction."""
        known = {psycopg2.extensions.TRANSACTION_STATUS_IDLE: "idle",
                 psycopg2.extensions.TRANSACTION_STATUS_INTRANS: "open"}
        return known.get(self.clients[on].info.transaction_status, "failed")

    def do_sql(self, on, sql):
        """Who waits for another of our connections would wait for ever; who waits for walmill, goes on in the end."""
        statement = self.runner.submit(self._execute, on, sql)
        canceled = False
        while not concurrent.futures.wait([statement], 0.05).done:
            if not canceled and self._blocked(on):
                self.clients[on].cancel()
                canceled = True
        failure = statement.result()
        code = (failure.pgcode or "") if failure else None
        expected_end = failure is None or (code.startswith(REFUSALS) and code not in MISTAKES)
        assert expected_end or (canceled and code == "57014"), f"{code}: {failure}"

    def _execute(self, on, sql):
        try:
            with self.clients[on].cursor() as cursor:
                cursor.execute(sql)
            return None
        except psycopg2.Error as failure:
            return failure

    def _blocked(self, on):
        pids = [client.info.backend_pid for client in self.clients]
        return self.db.value(BLOCKED, pids[on], [pid for pid in pids if pid != pids[on]]) > 0

    def do_settle(self):
        """No transaction is open any more."""
        for on in range(CONNECTIONS):
            if self.status(on) != "idle":
                self.do_sql(on, "ROLLBACK")

    def do_rules(self, rules):
        there = {r["name"] for r in rules}
        self.perhaps |= {n for n in self.paused if n not in there}
        self.paused &= there
        self.rules = rules
        self.version += 1
        self.daemon.write_rules(to_yaml(rules, self.version))
        if self._answers():
            self.daemon.sighup()

    def do_start(self):
        if self.daemon.process is None:
            self.answered = False
            self.daemon.launch()

    def do_kill(self):
        if self.daemon.process is not None:
            self.daemon.sigkill()

    def do_stop(self):
        self.do_settle()
        if self._answers():
            self.daemon.sigterm()

    def _ask(self, word, rule):
        """A reload may have the worker that is asked end just then."""
        wait_until(lambda: "try again" not in self.daemon.run(word, rule, expect=None).stderr, f"{word} {rule} is answered")
        self.daemon.run(word, rule)

    def do_pause(self, rule):
        if self._in_force(rule):
            self._ask("pause", rule)
            self.paused.add(rule)

    def do_resume(self, rule):
        if self._in_force(rule):
            self._ask("resume", rule)
            self.paused.discard(rule)

    def do_wait(self):
        """Lets the targets come this far; what they hold is looked at by `check`."""
        if self.daemon.process is not None:
            self.do_settle()
            self._ready()
            self._wait()

    def do_peek(self):
        """The sum over both tables of the bank is 0 in every state that a reader may see."""
        if self.checks == 0:
            return
        for target in ("lite", "dw"):
            total = self.daemon.rows("SELECT (SELECT sum(n) FROM bank_a) + (SELECT sum(n) FROM bank_b)", target)[0][0]
            assert total == 0, f"{target}: half a transaction can be seen, the sum is {total}"

    def do_check(self, strict):
        """Every view equals its table. Not strict: it becomes so soon, for `wait` cannot know what is not found yet."""
        self.do_settle()
        self._ready()
        # Those beside a paused rule go on; nothing says how far they are.
        strict = self._wait() and strict
        if not strict:
            self._equal_within(25)
        found = self._differences()
        if found:
            later = "equal within 5 s" if self._equal_within(5) else "still so 5 s later"
            raise AssertionError(f"after `wait` had returned, {later}:\n" + "\n".join(found))
        assert self.daemon.rows("PRAGMA integrity_check", "lite") == [("ok",)]
        errors = self.daemon.errors()
        assert errors == [], errors
        wait_until(lambda: not self._restless(), "every rule streams", 30, poll=0.1)
        self._wait()
        found = self._differences()
        assert not found, "after every rule had come to rest:\n" + "\n".join(found)
        self.checks += 1

    # ---- the oracle ----

    def _equal_within(self, seconds):
        try:
            wait_until(lambda: not self._differences(all_of_them=False), "equal", seconds, poll=0.1)
            return True
        except AssertionError:
            return False

    def _ready(self):
        self.do_start()
        wait_until(self.daemon.ready, "the daemon streams", 30)
        wait_until(lambda: self.daemon.rule(f"version-{self.version}") is not None or self.version == 0,
                   f"the rules, version {self.version}", 30)

    def _answers(self):
        """Whether it runs; it has its signals in hand before it answers first (and a reload may wait for us)."""
        if self.daemon.process is None:
            return False
        if not self.answered:
            wait_until(lambda: self.daemon.process.poll() is not None or self.daemon.try_status() is not None,
                       "the daemon answers", 30)
            self.answered = True
        return True

    def _in_force(self, rule):
        """Whether the running daemon has the rule and can be asked: nobody holds a lock."""
        if self.daemon.process is None or rule not in {r["name"] for r in self.rules}:
            return False
        self.do_settle()
        self._ready()
        return True

    def _wait(self):
        """False when there is nothing to wait for: `wait` says so when a rule is paused."""
        if "paused" in self._states().values():
            return False
        self.daemon.wait()
        return True

    def _states(self):
        return {r["name"]: r["state"] for r in self.daemon.status()["rules"]}

    def _restless(self):
        """Rules in a state that they shall not stay in."""
        states = self._states()
        missing = {r["name"] for r in self.rules} - set(states)
        assert not missing, f"no such rules: {missing}"
        held = {n for n in self.paused if states[n] != "paused"}
        return held | {n for n, s in states.items()
                       if s != "streaming" and not (s == "paused" and n in self.paused | self.perhaps)}

    def there(self, look=None):
        """Tables, as committed or as `look` sees them."""
        return {t for t, in (look or self.db.rows)("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND "
                                                   "relnamespace = 'public'::regnamespace")} & set(NAMES)

    def _columns(self, table):
        return [c for c, in self.db.rows("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass "
                                         "AND attnum > 0 AND NOT attisdropped", f"public.{table}")]

    def _noticed(self, table, there, options):
        """The columns to compare: one that is NULL in all rows is made with the first row that the rule takes."""
        name = options.get("rename", {})
        where = options.get("where", "true")
        return [c for c in options["columns"] if name.get(c, c) in there
                or self.db.value(f"SELECT count(*) FROM {table} WHERE ({where}) AND num_nulls({c}) = 0")]

    def _differences(self, all_of_them=True):
        """A list of texts; a view that is not there yet, or lacks a column, is a difference as well."""
        paused = {n for n, s in self._states().items() if s == "paused" and n in self.paused | self.perhaps}
        there = sorted(self.there())
        out = []
        for rule in self.rules:
            if rule["name"] in paused:
                continue
            for table, view, options in expected(rule, there, self._columns):
                try:
                    options["columns"] = self._noticed(table, self.daemon.reader(rule["target"]).columns(view), options)
                    found = self.daemon.differences(table, rule["target"], view=view, **options)
                except Exception as missing:        # pylint: disable=broad-except
                    found = [f"{type(missing).__name__}: {str(missing).strip()}"]
                if found:
                    out += [f"rule {rule['name']}, {table}, view {view} in {rule['target']}:", *found]
                    if not all_of_them:
                        return out
        for table in ("bank_a", "bank_b"):
            for target in ("lite", "dw"):
                out += self.daemon.differences(table, target)
        return out
