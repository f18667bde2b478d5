# SPDX-License-Identifier: PostgreSQL
"""The first seed: of one table against `COPY (binary) | COPY`, of a whole database against pgcopydb."""

import itertools
import os
import shlex
import shutil
import subprocess
import time

from .common import ROW, ROWS, Line, Stage, bindir, environment, program, rounds, say, wait_until


class Seeds:
    def __init__(self, stage, source):
        self.stage, self.source = stage, source
        self.count = itertools.count()
        self.used = None

    def by_walmill(self, target, *options):
        """Seconds of `walmill sync --once`, its slot and publication gone afterwards; self.used: what it took."""
        folder = self.stage.folder / f"sync{next(self.count)}"
        began = time.monotonic()
        process = subprocess.Popen([program(), "sync", "--source", self.source.uri, "--target", target.uri, "--once",
                                    "--state", folder, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   env=environment(self.stage.folder))
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"walmill sync ended with {process.returncode}")
        self.used = {"cpu": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}
        forget(self.source)
        return seconds

    def figures(self, rows, seconds):
        return {"rows_per_s": rows / seconds, "cpu_us_per_change": self.used["cpu"] * 1e6 / rows, "peak_mib": self.used["peak_mib"]}


def forget(source):
    for slot, in source.rows("SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'walmill%%' AND NOT active"):
        source.execute("SELECT pg_drop_replication_slot(%s)", slot)
    for name, in source.rows("SELECT pubname FROM pg_publication WHERE pubname LIKE 'walmill%%'"):
        source.execute(f'DROP PUBLICATION "{name}"')


def same(source, target, table):
    sql = f"SELECT count(*), sum(id), sum(n) FROM {table}"
    if source.rows(sql) != target.rows(sql):
        raise RuntimeError(f"{table}: the target holds {target.rows(sql)}, the source {source.rows(sql)}")


def one_table(stage, options):
    source = stage.first.create_database()
    source.execute(f"CREATE TABLE item ({ROW})")
    source.execute(f"INSERT INTO item {ROWS}", 1, options.seed)
    source.execute("VACUUM ANALYZE")
    seeds = Seeds(stage, source)

    def empty():
        target = stage.second.create_database()
        target.execute(f"CREATE TABLE item ({ROW})")
        return target

    def walmill():
        target = empty()
        seconds = seeds.by_walmill(target)
        same(source, target, "item")
        return seconds

    def pipe():
        target = empty()
        psql = f"{shlex.quote(str(bindir() / 'psql'))} -qX -d"
        began = time.monotonic()
        subprocess.run(f"{psql} {shlex.quote(source.uri)} -c 'COPY item TO STDOUT (FORMAT binary)' | "
                       f"{psql} {shlex.quote(target.uri)} -c 'COPY item FROM STDIN (FORMAT binary)'", shell=True, check=True)
        seconds = time.monotonic() - began
        same(source, target, "item")
        return seconds

    found = rounds("seed of a table", options.repeat, {"pipe": pipe, "walmill": walmill})
    yield Line(f"seed of {options.seed:,} rows, key index in place", found["walmill"], "s", "COPY (binary) | COPY", found["pipe"],
               times=1.6, figures=seeds.figures(options.seed, found["walmill"]))


def whole_database(stage, options):
    source = stage.first.create_database()
    sizes = {"a": options.seed, "b": options.seed // 2, **{f"c{i}": options.seed // 100 for i in range(15)}}
    for table, n in sizes.items():
        source.execute(f"CREATE TABLE {table} ({ROW})")
        source.execute(f"INSERT INTO {table} {ROWS}", 1, n)
    source.execute("VACUUM ANALYZE")
    seeds = Seeds(stage, source)

    def walmill():
        target = stage.second.create_database()
        seconds = seeds.by_walmill(target)
        for table in sizes:
            same(source, target, table)
        return seconds

    def pgcopydb():
        target = stage.second.create_database()
        began = time.monotonic()
        subprocess.run(["pgcopydb", "clone", "--table-jobs", "2", "--index-jobs", "2", "--source", source.uri, "--target", target.uri,
                        "--dir", stage.folder / "pgcopydb", "--restart"], check=True, capture_output=True)
        seconds = time.monotonic() - began
        for table in sizes:
            same(source, target, table)
        return seconds

    contestants = {"walmill": walmill}
    if shutil.which("pgcopydb"):
        contestants["pgcopydb"] = pgcopydb
    else:
        say("skipped: pgcopydb is not installed (apt install pgcopydb)")
    found = rounds("seed of a database", options.repeat, contestants)
    yield Line(f"seed of a database, {len(sizes)} tables, {sum(sizes.values()):,} rows", found["walmill"], "s",
               "pgcopydb clone" if "pgcopydb" in found else "", found.get("pgcopydb"), times=1.67,
               figures=seeds.figures(sum(sizes.values()), found["walmill"]))


def retained(stage, options):
    """WAL that the source keeps for walmill while it seeds and somebody writes."""
    source, target = stage.first.create_database(), stage.second.create_database()
    source.execute(f"CREATE TABLE item ({ROW}); CREATE TABLE other ({ROW})")
    source.execute(f"INSERT INTO item {ROWS}", 1, options.seed)
    began_at = source.lsn()
    process = subprocess.Popen([program(), "sync", "--source", source.uri, "--target", target.uri, "--state", stage.folder / "retained"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(stage.folder))
    most, at = 0, 0
    try:
        def seeded():
            nonlocal most, at
            at += 1
            source.execute(f"INSERT INTO other {ROWS}", at * 1000 + 1, at * 1000 + 1000)
            kept = source.value("SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots WHERE slot_name LIKE 'walmill%%'")
            most = max(most, int(kept or 0))
            return target.value("SELECT to_regclass('item') IS NOT NULL") and \
                target.value("SELECT count(*) FROM item") == options.seed
        wait_until(seeded, "the seed", 3600, poll=0.02)
    finally:
        process.send_signal(15)
        process.wait(60)
    written = int(source.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", began_at))
    forget(source)
    yield Line("WAL retained at the source during a seed", most / 2**20, "MiB", "WAL written meanwhile", written / 2**20)


def run(options):
    with Stage() as stage:
        yield from one_table(stage, options)
        yield from whole_database(stage, options)
        yield from retained(stage, options)
