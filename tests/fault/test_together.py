# SPDX-License-Identifier: PostgreSQL
"""Status, waits, pauses, reloads and broken connections at the same time, under load; then both targets equal the source.

What a thread does to another one shows here, above all in a build with --enable-sanitizers=thread.
WM_TURNS: how often each of them acts (default 8); WM_KILL_SEED: the seed of the load, as a run printed it.
"""

import os
import random
import sys
import threading

import psycopg2
from walmill_testing import wait_until

sys.path.insert(0, os.path.dirname(__file__))
import load as loads        # noqa: E402  pylint: disable=wrong-import-position

TURNS = int(os.environ.get("WM_TURNS", "8"))
SEED = os.environ.get("WM_KILL_SEED") or str(random.SystemRandom().randrange(10**9))


def rules(extra=""):
    """Partitions are seeded side by side; a changed `extra` makes the rules of one table seed again."""
    return "\n".join(
        f"- {{name: {table}-{target}, table: public.{table}, target: {target}, batch: {{rows: 50}}, "
        f"seed: {{batch_rows: 500, workers: 3}}{extra if table == 'parts' else ''}}}"
        for target in ("lite", "dw") for table in loads.TABLES)


class Operator(threading.Thread):
    """Does one thing TURNS times."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self.act = act
        self.failure = None

    def run(self):
        try:
            for turn in range(TURNS):
                self.act(turn)
        except BaseException as failure:        # pylint: disable=broad-except
            self.failure = failure


def pause_and_resume(d, rule):
    """While the configuration is read again, or a target is busy, a request may be refused."""
    d.run("pause", rule, expect=None)
    d.run("resume", rule, expect=None)


def reload(d, turn):
    d.write_rules(rules(f", columns: {{compute: {{turn: '{turn}'}}}}" if turn % 2 == 0 else ""))
    d.sighup()
    d.run("status")


def break_connections(db):
    with psycopg2.connect(db.cluster.dsn(db.name)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                       "WHERE datname = current_database() AND application_name LIKE 'walmill%'")


def test_everything_at_the_same_time(db, daemon, both, dw):
    print(f"WM_KILL_SEED={SEED} WM_TURNS={TURNS}")
    db.execute(loads.SCHEMA)
    db.execute("INSERT INTO plain (id, v) SELECT i, 'v' || i FROM generate_series(1, 5000) i; "
               "INSERT INTO parts SELECT i, i % 2, 'p' FROM generate_series(1, 5000) i")
    d = daemon(rules(), targets=both).start()
    operators = [Operator(act) for act in (
        lambda _: [d.run("status", "--json") for _ in range(5)],
        lambda _: [d.run("errors list", "--json") for _ in range(5)],
        lambda _: d.run("wait", "--timeout", "1", expect=None),
        lambda _: pause_and_resume(d, "plain-lite"),
        lambda _: pause_and_resume(d, "pairs-dw"),
        lambda turn: reload(d, turn),
        lambda _: break_connections(db),
        lambda _: break_connections(dw),
    )]
    with loads.Load(db, SEED):
        for each in operators:
            each.start()
        for each in operators:
            each.join()
    for each in operators:
        if each.failure is not None:
            raise each.failure
    d.write_rules(rules())
    d.reload(timeout=60)
    wait_until(d.ready, "it streams", 60)
    for rule in ("plain-lite", "pairs-dw"):
        wait_until(lambda rule=rule: d.run("resume", rule, expect=None).returncode == 0, f"{rule} goes on", 60)
    loads.assert_exact(d, f"WM_KILL_SEED={SEED}")
    d.sigterm()
