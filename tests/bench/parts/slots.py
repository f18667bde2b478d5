# SPDX-License-Identifier: PostgreSQL
"""What a second slot gives and costs: a backlog of one-row transactions over several tables, `slots: 2` against `slots: 1`.

Time is from walmill's start until `walmill wait` says that all is there. Beside it the CPU of the source's server, which
decodes the whole WAL once for each slot.
"""

import statistics

from .common import ROW, ROWS, Line, Stage, cluster_cpu, say

TABLES = 8          # two lanes have four each
PROCEDURE = f"""
    CREATE PROCEDURE one_row_transactions(many int, old int) LANGUAGE plpgsql AS $$
    DECLARE k int;
    BEGIN
        FOR i IN 1..many LOOP
            k := 1 + floor(random() * old);
            EXECUTE format('UPDATE account%s SET n = n + 1, v = md5(%s::text), at = clock_timestamp() WHERE id = %s',
                           i % {TABLES}, i, k);
            COMMIT;
        END LOOP;
    END $$
"""


class Consumer:
    def __init__(self, stage, source, target, slots):
        self.source = source
        self.walmill = stage.walmill(source, target, source_options=f", slots: {slots}")
        self.walmill.start().wait()
        self.walmill.stop()

    def consume(self):
        before = cluster_cpu(self.source.cluster)

        def there():
            self.walmill.wait()
            return True
        seconds, used, peak = self.walmill.timed(there)
        lanes = [s["changes"] for s in self.walmill.status()["sources"]]
        self.walmill.stop()
        return {"seconds": seconds, "cpu_s": used, "peak_mib": peak, "source_cpu_s": cluster_cpu(self.source.cluster) - before,
                "largest_lane": max(lanes) / max(sum(lanes), 1)}


def verify(source, target):
    for i in range(TABLES):
        sql = f"SELECT count(*), sum(n), sum(id) FROM account{i}"
        if source.rows(sql) != target.rows(sql):
            raise RuntimeError(f"account{i}: the target differs from the source")


def run(options):
    with Stage() as stage:
        source = stage.first.create_database()
        rows = options.rows // TABLES
        for i in range(TABLES):
            source.execute(f"CREATE TABLE account{i} ({ROW})")
            source.execute(f"INSERT INTO account{i} {ROWS}", 1, rows)
        source.execute(PROCEDURE)
        source.execute("VACUUM ANALYZE")
        targets = {slots: stage.second.create_database() for slots in (1, 2)}
        consumers = {("postgres", slots): Consumer(stage, source, f"{{type: postgres, uri: '{targets[slots].uri}'}}", slots)
                     for slots in (1, 2)}
        consumers.update({("null", slots): Consumer(stage, source, '{type: "null"}', slots) for slots in (1, 2)})
        taken = {key: [] for key in consumers}
        for i in range(options.repeat + 1):
            source.execute("CALL one_row_transactions(%s, %s)", options.transactions if i > 0 else options.transactions // 20, rows)
            source.execute("CHECKPOINT")
            for key, consumer in consumers.items():
                taken[key].append(consumer.consume())
            say(f"slots: {f'round {i} of {options.repeat}' if i > 0 else 'warm-up'}: "
                + ", ".join(f"{target} {slots}: {found[-1]['seconds']:.2f} s" for (target, slots), found in taken.items()))
        for target in targets.values():
            verify(source, target)
        for target in ("postgres", "null"):
            one, two = ({key: statistics.median(r[key] for r in taken[target, slots][1:]) for key in taken[target, slots][0]}
                        for slots in (1, 2))
            yield Line(f"{options.transactions:,} one-row transactions over {TABLES} tables, slots: 2, to {target}", two["seconds"], "s",
                       "slots: 1", one["seconds"],
                       figures={**two, "cpu_us_per_change": two["cpu_s"] * 1e6 / options.transactions,
                                **{f"one_{key}": value for key, value in one.items()}})
