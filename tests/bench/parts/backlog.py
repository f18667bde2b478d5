# SPDX-License-Identifier: PostgreSQL
"""How fast a backlog is worked off: many transactions of one row, and one large transaction.

Each consumer has a slot of its own, made before the load. The load is written while none of them runs; then they run one
after the other, each alone, over the same backlog. Time is from a consumer's start to its target holding the last row.
"""

import statistics
import subprocess
import time

from .common import ROW, ROWS, Line, Stage, bindir, cluster_cpu, say, wait_until
from walmill_testing import SqliteTarget

SCHEMA = f"""
    CREATE TABLE account ({ROW});
    CREATE TABLE big ({ROW});
    CREATE TABLE marker (id int PRIMARY KEY);
"""
PROCEDURE = """
    CREATE SEQUENCE new_id;
    CREATE PROCEDURE one_row_transactions(many int, old int) LANGUAGE plpgsql AS $$
    DECLARE x float; k int;
    BEGIN
        FOR i IN 1..many LOOP
            x := random();
            k := 1 + floor(random() * old);
            IF x < 0.80 THEN
                UPDATE account SET n = n + 1, v = md5(i::text), at = clock_timestamp() WHERE id = k;
            ELSIF x < 0.95 THEN
                INSERT INTO account VALUES (old + nextval('new_id'), i, md5(i::text), i * 0.01, now());
            ELSE
                DELETE FROM account WHERE id = k;
            END IF;
            COMMIT;
        END LOOP;
    END $$
"""
CPU_GOALS = {"postgres": 2, "null": 1}      # microseconds of walmill's own, a change
CHECKS = ("SELECT count(*), sum(n), sum(id) FROM account", "SELECT count(*), sum(n), sum(id) FROM big")


class Decode:
    """pg_recvlogical: what the server's side alone takes."""

    name = "decode"

    def __init__(self, source):
        self.source = source
        source.execute("SELECT pg_create_logical_replication_slot('decode', 'pgoutput')")

    def consume(self, _marker, lsn):
        began = time.monotonic()
        subprocess.run([bindir() / "pg_recvlogical", "-d", self.source.cluster.dsn(self.source.name), "-S", "decode", "--start",
                        "-f", "/dev/null", "--no-loop", f"--endpos={lsn}", "-o", "proto_version=1", "-o", "publication_names=bench"],
                       check=True)
        return {"seconds": time.monotonic() - began}

    def result(self):
        return None


class Subscription:
    """PostgreSQL's own apply worker."""

    name = "subscription"

    def __init__(self, source, target):
        self.target = target
        target.execute(SCHEMA)
        target.execute(f"CREATE SUBSCRIPTION bench CONNECTION '{source.cluster.dsn(source.name)}' PUBLICATION bench")
        wait_until(lambda: target.value("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"), "the subscription's copy", 600)
        self.stop()

    def consume(self, marker, _lsn):
        before, began = cluster_cpu(self.target.cluster), time.monotonic()
        self.target.execute("ALTER SUBSCRIPTION bench ENABLE")
        wait_until(lambda: self.target.rows("SELECT 1 FROM marker WHERE id = %s", marker), "the subscription's last row", 3600, poll=0.01)
        seconds = time.monotonic() - began
        self.stop()
        return {"seconds": seconds, "target_cpu": cluster_cpu(self.target.cluster) - before}

    def stop(self):
        self.target.execute("ALTER SUBSCRIPTION bench DISABLE")
        wait_until(lambda: not self.target.value("SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL"), "the worker is gone", 60)

    def result(self):
        return [self.target.rows(sql)[0] for sql in CHECKS]


class ByWalmill:
    """The daemon with one target, which rows(sql) reads; rows None: it keeps nothing."""

    def __init__(self, name, walmill, rows, cluster=None):
        self.name, self.walmill, self.rows, self.cluster = name, walmill, rows, cluster
        walmill.start().wait()
        walmill.stop()

    def there(self, marker):
        if self.rows is None:
            self.walmill.wait()
            return True
        return self.rows(f"SELECT 1 FROM marker WHERE id = {marker}")

    def consume(self, marker, _lsn):
        before = cluster_cpu(self.cluster) if self.cluster else 0
        seconds, used, peak = self.walmill.timed(lambda: self.there(marker))
        found = {"seconds": seconds, "cpu": used, "peak_mib": peak}
        if self.cluster:
            found["target_cpu"] = cluster_cpu(self.cluster) - before
        self.walmill.stop()
        return found

    def result(self):
        return None if self.rows is None else [self.rows(sql)[0] for sql in CHECKS]


class Backlog:
    """consumers(stage, source) makes them, with a target each that is in step."""

    def __init__(self, stage, options, consumers):
        self.stage, self.options = stage, options
        self.marker = self.big = 0
        self.source = stage.first.create_database()
        self.source.execute(SCHEMA)
        self.source.execute(PROCEDURE)
        self.source.execute(f"INSERT INTO account {ROWS}", 1, options.rows)
        self.source.execute("CREATE PUBLICATION bench FOR TABLE account, big, marker")
        self.consumers = consumers(stage, self.source)
        self.source.execute("VACUUM ANALYZE")

    def one_row_transactions(self, n):
        self.source.execute("CALL one_row_transactions(%s, %s)", n, self.options.rows)

    def large_transaction(self, n):
        self.source.execute(f"INSERT INTO big {ROWS}", self.big + 1, self.big + n)
        self.big += n

    def round(self, load, n):
        load(n)
        self.marker += 1
        self.source.execute("INSERT INTO marker VALUES (%s)", self.marker)
        # Something behind the marker, so that pg_recvlogical comes to its end.
        lsn = self.source.lsn()
        self.source.execute("SELECT pg_logical_emit_message(true, 'bench', 'end')")
        self.source.execute("CHECKPOINT")
        return {consumer.name: consumer.consume(self.marker, lsn) for consumer in self.consumers}

    def measure(self, name, load, n):
        say(f"{name}: warm-up")
        self.round(load, max(n // 20, 1000))
        found = []
        for i in range(self.options.repeat):
            found.append(self.round(load, n))
            say(f"{name}: round {i + 1} of {self.options.repeat}: "
                + ", ".join(f"{consumer} {figures['seconds']:.2f} s" for consumer, figures in found[-1].items()))
        return {consumer: {key: statistics.median(r[consumer][key] for r in found) for key in figures}
                for consumer, figures in found[0].items()}

    def verify(self):
        wanted = [tuple(map(int, self.source.rows(sql)[0])) for sql in CHECKS]
        for consumer in self.consumers:
            got = consumer.result()
            if got is not None and [tuple(map(int, row)) for row in got] != wanted:
                raise RuntimeError(f"{consumer.name} holds {got}, the source {wanted}")


def to_postgres(stage, source, name="postgres", options=""):
    target = stage.second.create_database()
    return ByWalmill(name, stage.walmill(source, f"{{type: postgres, uri: '{target.uri}'{options}}}"), target.rows, stage.second)


def all_consumers(stage, source):
    lite = stage.folder / "bench.db"
    return [Decode(source), Subscription(source, stage.second.create_database()), to_postgres(stage, source),
            to_postgres(stage, source, "postgres, apply: parallel", ", apply: parallel, workers: 2"),
            ByWalmill("sqlite", stage.walmill(source, f"{{type: sqlite, path: '{lite}'}}"), SqliteTarget(lite).rows),
            ByWalmill("null", stage.walmill(source, '{type: "null"}'), None)]


def lines(work, n, found, times):
    limit, peer = found["decode"]["seconds"], found["subscription"]
    for consumer in ("postgres", "postgres, apply: parallel", "sqlite", "null"):
        own = found[consumer]
        figures = {"rows_per_s": n / own["seconds"], "of_decode_limit": limit / own["seconds"], "decode_s": limit,
                   "cpu_us_per_change": own["cpu"] * 1e6 / n, "peak_mib": own["peak_mib"]}
        if "target_cpu" in own:
            figures.update(target_cpu_s=own["target_cpu"], peer_target_cpu_s=peer["target_cpu"])
        most = CPU_GOALS.get(consumer)
        yield Line(f"{work}, to {consumer}", own["seconds"], "s", "subscription", peer["seconds"],
                   times=times if consumer == "postgres" else None, figures=figures,
                   also={f"CPU <= {most} us a change": figures["cpu_us_per_change"] <= most} if most else {})


def run(options):
    with Stage() as stage:
        say(f"backlog: {options.rows:,} rows, six consumers with a slot each")
        backlog = Backlog(stage, options, all_consumers)
        found = backlog.measure("one-row transactions", backlog.one_row_transactions, options.transactions)
        yield from lines(f"{options.transactions:,} one-row transactions", options.transactions, found, 3)
        found = backlog.measure("one large transaction", backlog.large_transaction, options.large)
        yield from lines(f"a transaction of {options.large:,} inserts", options.large, found, 1.4)
        backlog.verify()
