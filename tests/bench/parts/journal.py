# SPDX-License-Identifier: PostgreSQL
"""What a target takes from the journal: a rule is paused while its changes come in, and then goes on."""

import itertools
import sqlite3
import time

from .common import ROW, ROWS, Line, Stage, cpu, peak_mib, rounds, say
from walmill_testing import SqliteTarget


def run(options):
    with Stage() as stage:
        source, lite = stage.first.create_database(), stage.folder / "journal.db"
        source.execute(f"CREATE TABLE item ({ROW})")
        source.execute(f"INSERT INTO item {ROWS}", 1, options.rows)
        daemon = stage.walmill(source, f"{{type: sqlite, path: '{lite}'}}", "- {name: item, table: public.item}").start()
        daemon.wait()
        count, used = itertools.count(1), []

        def walmill():
            """Half of the rows are updated; from resume until the last one is there."""
            daemon.run("pause", "item")
            turn = next(count)
            source.execute("UPDATE item SET n = %s, v = md5((id + n)::text) WHERE id <= %s", turn, options.upserts)
            daemon.wait_passed(source.value("SELECT pg_current_wal_insert_lsn()"))
            before, began = cpu(daemon.process.pid), time.monotonic()
            daemon.resume("item")
            seconds = time.monotonic() - began
            used.append(cpu(daemon.process.pid) - before)
            if SqliteTarget(lite).rows(f"SELECT count(*) FROM item WHERE n = {turn} AND id <= {options.upserts}") != [(options.upserts,)]:
                raise RuntimeError("the target lacks some of the upserts")
            return seconds

        def by_hand():
            """The same upserts by Python's sqlite3, 10,000 a transaction, over the same number of rows."""
            path = stage.folder / "by_hand.db"
            values = source.rows("SELECT id, n, v, amount::text, at::text FROM item WHERE id <= %s ORDER BY id", options.upserts)
            db = sqlite3.connect(path, isolation_level=None)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, n INTEGER, v TEXT, amount TEXT, at TEXT)")
            began = time.monotonic()
            for part in range(0, len(values), 10_000):
                db.execute("BEGIN")
                db.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET n = excluded.n, v = excluded.v,"
                               " amount = excluded.amount, at = excluded.at", values[part:part + 10_000])
                db.execute("COMMIT")
            seconds = time.monotonic() - began
            db.close()
            return seconds

        found = rounds("sqlite from the journal", options.repeat, {"by hand": by_hand, "walmill": walmill})
        rate = options.upserts / found["walmill"]
        say(f"sqlite from the journal: {rate:,.0f} upserts a second")
        yield Line(f"{options.upserts:,} upserts from the journal to sqlite", found["walmill"], "s", "Python's sqlite3", found["by hand"],
                   also={">= 250,000 a second": rate >= 250_000},
                   figures={"rows_per_s": rate, "cpu_us_per_change": used[-1] * 1e6 / options.upserts,
                            "peak_mib": peak_mib(daemon.process.pid)})
