# SPDX-License-Identifier: PostgreSQL
"""Peak of the resident set: a large transaction, many tables, a target that was away, a large value."""

import time

from .common import ROW, ROWS, Line, Stage, peak_mib, resident_mib, say


LIMIT = 96      # MiB, but for a value that is larger
GIVEN_BACK = 10     # seconds, until what a load took is


def peak(stage, work, source, load, at_most=LIMIT, source_options="", away=False):
    target = stage.second.create_database()
    rules = "- {name: all, table: public.*}"
    walmill = stage.walmill(source, f"{{type: postgres, uri: '{target.uri}'}}", rules, source_options=source_options).start()
    walmill.wait()
    if away:
        walmill.run("pause", "all")
    load()
    if away:
        walmill.wait_passed(source.value("SELECT pg_current_wal_insert_lsn()"))
        walmill.resume("all")
    walmill.wait()
    found, until = peak_mib(walmill.process.pid), time.monotonic() + GIVEN_BACK
    while (after := resident_mib(walmill.process.pid)) > LIMIT and time.monotonic() < until:
        time.sleep(0.1)
    walmill.stop()
    say(f"memory: {work}: peak {found:.0f} MiB, afterwards {after:.0f} MiB")
    # Of what the largest load took the next one needs nothing.
    for database in (source, target):
        database.drop()
    return Line(f"peak memory, {work}", found, "MiB", at_most=at_most, also={f"<= {LIMIT} MiB afterwards": after <= LIMIT},
                figures={"afterwards_mib": after, "peak_mib": found})


def run(options):
    with Stage() as stage:
        for streaming in ("", ", streaming: true"):
            source = stage.first.create_database()
            source.execute(f"CREATE TABLE item ({ROW})")
            yield peak(stage, f"a transaction of {options.huge:,} rows{streaming}", source,
                       lambda at=source: at.execute(f"INSERT INTO item {ROWS}", 1, options.huge), source_options=streaming)
        source = stage.first.create_database()
        for i in range(options.tables):
            source.execute(f"CREATE TABLE t{i} ({ROW}); INSERT INTO t{i} VALUES (1, 1, 'v', 1, now())")
        yield peak(stage, f"{options.tables:,} tables", source,
                   lambda: [source.execute(f"UPDATE t{i} SET n = 2") for i in range(options.tables)])
        source = stage.first.create_database()
        source.execute("CREATE TABLE item (id bigint PRIMARY KEY, v text)")
        yield peak(stage, f"a target away during {options.away} MiB of changes", source,
                   lambda: [source.execute("INSERT INTO item SELECT i, repeat(md5(i::text), 32) FROM generate_series(%s::bigint, %s) i",
                                           k * 10240 + 1, k * 10240 + 10240) for k in range(options.away // 10)], away=True)
        source = stage.first.create_database()
        source.execute("CREATE TABLE item (id bigint PRIMARY KEY, v text)")
        yield peak(stage, f"one value of {options.value} MB", source,
                   lambda: source.execute(f"INSERT INTO item SELECT 1, repeat('x', {options.value}000000)"),
                   at_most=3e6 * options.value / 2**20)
