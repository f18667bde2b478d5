# SPDX-License-Identifier: PostgreSQL
"""From a start after kill -9, in the middle of a load, until the target has everything."""

import statistics
import time

from .backlog import PROCEDURE, SCHEMA
from .common import ROWS, Line, Stage, cpu, peak_mib, say


def run(options):
    with Stage() as stage:
        source, target = stage.first.create_database(), stage.second.create_database()
        source.execute(SCHEMA)
        source.execute(PROCEDURE)
        source.execute(f"INSERT INTO account {ROWS}", 1, options.rows // 10)
        walmill = stage.walmill(source, f"{{type: postgres, uri: '{target.uri}'}}").start()
        walmill.wait()
        found = []
        for _ in range(options.repeat):
            source.execute("CALL one_row_transactions(%s, %s)", options.transactions // 10, options.rows // 10)
            walmill.kill()
            source.execute("CALL one_row_transactions(%s, %s)", options.transactions // 10, options.rows // 10)
            began = time.monotonic()
            walmill.start()
            walmill.wait()
            found.append(time.monotonic() - began)
            used, peak = cpu(walmill.process.pid), peak_mib(walmill.process.pid)
        sql = "SELECT count(*), sum(n), sum(id) FROM account"
        if source.rows(sql) != target.rows(sql):
            raise RuntimeError(f"the target holds {target.rows(sql)}, the source {source.rows(sql)}")
        say(f"recovery: {found}")
        yield Line(f"from kill -9 to caught up, {options.transactions // 10:,} transactions behind", statistics.median(found), "s",
                   figures={"cpu_us_per_change": used * 1e6 / (options.transactions // 10), "peak_mib": peak})
