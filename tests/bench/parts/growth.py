# SPDX-License-Identifier: PostgreSQL
"""What a change costs with many tables, many rules and a long journal; how long a start takes."""

import time

from .common import Line, Stage, cpu, peak_mib, say

NOISE = 1.25    # times what it costs with the first size is no growth
BUSY = 10       # tables that are written to
RULE = "- {{name: r{0}, table: public.t{0}, view: v{0}}}"


def populate(source, tables):
    for first in range(0, tables, 500):
        source.execute("".join(f"CREATE TABLE t{i} (id int PRIMARY KEY, n int, v text);" for i in range(first, min(first + 500, tables))))
    for i in range(BUSY):
        source.execute(f"INSERT INTO t{i} SELECT k, 0, md5(k::text) FROM generate_series(1, 1000) k")


def load(source, changes):
    for i in range(BUSY):
        source.execute(f"DO $$ BEGIN FOR k IN 1..{changes // BUSY} LOOP UPDATE t{i} SET n = n + 1 WHERE id = 1 + k % 1000; COMMIT; END LOOP; END $$")


def rules(number):
    """So many, each of one table; those beyond the tables name some that are not there.  0: one for all."""
    return "\n".join(RULE.format(i) for i in range(number)) if number else "- {name: all, table: public.*}"


def size(tables, number, changes):
    """Microseconds of CPU a change, seconds of a start until the target is in step, and the peak."""
    with Stage() as stage:
        source = stage.first.create_database()
        populate(source, tables)
        walmill = stage.walmill(source, '{type: "null"}', rules(number)).start()
        walmill.wait()
        walmill.stop()
        began = time.monotonic()
        walmill.start()
        walmill.wait()
        start = time.monotonic() - began
        before = cpu(walmill.process.pid)
        load(source, changes)
        walmill.wait()
        used = cpu(walmill.process.pid) - before
        return used * 1e6 / changes, start, peak_mib(walmill.process.pid)


def from_journal(mib):
    """Microseconds of CPU a change that a target reads from so much of the journal (more than stays in memory), and the peak."""
    with Stage() as stage:
        source = stage.first.create_database()
        source.execute("CREATE TABLE item (id bigint PRIMARY KEY, v text)")
        walmill = stage.walmill(source, '{type: "null"}').start()
        walmill.wait()
        walmill.run("pause", "all")
        for k in range(mib // 10):
            source.execute("INSERT INTO item SELECT i, repeat(md5(i::text), 32) FROM generate_series(%s::bigint, %s) i",
                           k * 10_000 + 1, k * 10_000 + 10_000)
        walmill.wait_passed(source.value("SELECT pg_current_wal_insert_lsn()"))
        before = cpu(walmill.process.pid)
        walmill.resume("all")
        return (cpu(walmill.process.pid) - before) * 1e6 / (mib // 10 * 10_000), peak_mib(walmill.process.pid)


def compared(work, used, base, peak):
    """base None: it is the first size's."""
    figures = {"cpu_us_per_change": used, "peak_mib": peak}
    if base is None:
        return Line(work, used, "us", figures=figures)
    goal = f"{used / base:.2f} times the first size's, <= {NOISE}"
    return Line(work, used, "us", "with the first size", base, also={goal: used <= NOISE * base}, figures=figures)


def run(options):
    base = None
    for tables, number in options.sizes:
        used, start, peak = size(tables, number, options.changes)
        name = f"{tables:,} tables, {number or 1:,} rules"
        say(f"growth: {name}: {used:.2f} us a change, start {start:.2f} s")
        yield compared(f"CPU of a change with {name}", used, base, peak)
        base = base or used
        yield Line(f"start with {name}, until in step", start, "s", at_most=3, figures={"peak_mib": peak})
    base = None
    for mib in options.journal:
        used, peak = from_journal(mib)
        say(f"growth: journal of {mib:,} MiB: {used:.2f} us a change")
        yield compared(f"CPU of a change of 1 KiB with {mib:,} MiB of journal to read", used, base, peak)
        base = base or used
