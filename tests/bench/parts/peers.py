# SPDX-License-Identifier: PostgreSQL
"""The backlog again, against programs that are fetched and built when they are asked for: those of tests/bench/peers."""

import pathlib
import shlex
import signal
import subprocess
import time

import psycopg2

from .backlog import SCHEMA, CHECKS, Backlog, to_postgres
from .common import Line, Stage, bindir, cluster_cpu, cpu, peak_mib, say, wait_until

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "peers"
MISSING = 77        # what `NAME build` ends with where a peer cannot be had


def there(name):
    """Builds it; false, with its word on it, where that cannot be done."""
    done = subprocess.run([FOLDER / name, "build"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode not in (0, MISSING):
        raise RuntimeError(f"{name} build ended with {done.returncode}: {done.stderr}")
    if done.returncode == MISSING:
        say(f"skipped: {name}: {done.stderr.strip()}")
    return done.returncode == 0


class Unusable(Exception):
    """It cannot do the work here."""


class Peer:
    """One of them, with a slot and a target of its own; the target begins with the rows that the slot begins behind."""

    def __init__(self, name, stage, source):
        self.name, self.slot, self.source = name, f"peer_{name}", source
        self.target = stage.second.create_database()
        self.folder = stage.folder / name
        self.folder.mkdir()
        self.target.execute(SCHEMA)
        plugin = subprocess.run([FOLDER / name, "plugin"], check=True, capture_output=True, text=True).stdout.strip()
        try:
            source.execute("SELECT pg_create_logical_replication_slot(%s, %s)", self.slot, plugin)
        except psycopg2.Error as error:
            raise Unusable(f"no slot that decodes with {plugin}: {error}") from error
        psql = shlex.quote(str(bindir() / "psql"))
        subprocess.run(f"{psql} -qX -d {shlex.quote(source.uri)} -c 'COPY account TO STDOUT (FORMAT binary)' | "
                       f"{psql} -qX -d {shlex.quote(self.target.uri)} -c 'COPY account FROM STDIN (FORMAT binary)'", shell=True, check=True)

    def consume(self, marker, _lsn):
        before, began = cluster_cpu(self.target.cluster), time.monotonic()
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen([FOLDER / self.name, "run", self.source.cluster.tcp_uri(self.source.name),
                                        self.target.cluster.tcp_uri(self.target.name), self.slot, "bench", self.folder],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            def arrived():
                if process.poll() is not None:
                    raise Unusable(f"it ended: {(self.folder / 'log').read_text(encoding='utf-8')[-2000:]}")
                return self.target.rows("SELECT 1 FROM marker WHERE id = %s", marker)
            wait_until(arrived, f"{self.name}'s last row", 3600, poll=0.01)
            found = {"seconds": time.monotonic() - began, "cpu": cpu(process.pid), "peak_mib": peak_mib(process.pid),
                     "target_cpu": cluster_cpu(self.target.cluster) - before}
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # Its session at the source ends after it.
        wait_until(lambda: not self.source.slot(self.slot)["active"], f"{self.name}'s slot is free", 60)
        return found

    def result(self):
        return [self.target.rows(sql)[0] for sql in CHECKS]


def line(work, n, found, name):
    own, peer = found["postgres"], found[name]
    return Line(f"{work}, to postgres", own["seconds"], "s", name, peer["seconds"],
                figures={"cpu_us_per_change": own["cpu"] * 1e6 / n, "peak_mib": own["peak_mib"], "target_cpu_s": own["target_cpu"],
                         "peer_cpu_us_per_change": peer["cpu"] * 1e6 / n, "peer_peak_mib": peer["peak_mib"],
                         "peer_target_cpu_s": peer["target_cpu"]})


def against(name, options):
    with Stage(tcp=True) as stage:
        backlog = Backlog(stage, options, lambda stage, source: [to_postgres(stage, source), Peer(name, stage, source)])
        small = backlog.measure("one-row transactions", backlog.one_row_transactions, options.transactions)
        large = backlog.measure("one large transaction", backlog.large_transaction, options.large)
        backlog.verify()
    return [line(f"{options.transactions:,} one-row transactions", options.transactions, small, name),
            line(f"a transaction of {options.large:,} inserts", options.large, large, name)]


def run(options):
    for name in sorted(path.name for path in FOLDER.iterdir() if path.is_file()):
        if there(name):
            try:
                yield from against(name, options)
            except Unusable as error:
                say(f"skipped: {name}: {error}")
