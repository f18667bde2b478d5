# SPDX-License-Identifier: PostgreSQL
"""What a change costs with many tables and many rules; how long a start takes."""

import time

from .common import Line, Stage, cpu, say, wait_until

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
    """Microseconds of CPU a change, and seconds of a start, once the connection stands."""
    with Stage() as stage:
        source = stage.first.create_database()
        populate(source, tables)
        walmill = stage.walmill(source, '{type: "null"}', rules(number)).start()
        walmill.wait()
        walmill.stop()
        began = time.monotonic()
        walmill.start()
        wait_until(lambda: walmill.check() or walmill.log().count("ready:") == 2, "the second start", 120, poll=0.01)
        start = time.monotonic() - began
        before = cpu(walmill.process.pid)
        load(source, changes)
        walmill.wait()
        used = cpu(walmill.process.pid) - before
        return used * 1e6 / changes, start


def run(options):
    base = None
    for tables, number in options.sizes:
        used, start = size(tables, number, options.changes)
        base = base or used
        name = f"{tables:,} tables, {number or 1:,} rules"
        say(f"growth: {name}: {used:.2f} us a change, start {start:.2f} s")
        yield Line(f"CPU of a change with {name}", used, "us", "with the first size", base, "no growth")
        yield Line(f"start with {name}", start, "s", goal="<= 3 s")
