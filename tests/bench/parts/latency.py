# SPDX-License-Identifier: PostgreSQL
"""From a commit at the source until a reader of the target sees it, in a stream that is otherwise idle."""

import statistics
import time

from .common import ROW, Line, Stage, say, wait_until

PAUSE = 0.003       # between two commits: the stream has come to rest


def measure(source, target, first, n):
    """Milliseconds of each commit, the source's own wait for its disk not counted; sorted."""
    found = []
    writer, reader = source.connect().cursor(), target.connect().cursor()
    reader.execute("PREPARE look(bigint) AS SELECT 1 FROM item WHERE id = $1")
    for i in range(first, first + n):
        writer.execute("INSERT INTO item VALUES (%s, 1, 'v', 1, now())", (i,))
        began = time.monotonic()
        while True:
            reader.execute(f"EXECUTE look({i})")
            if reader.rowcount:
                break
            if time.monotonic() - began > 10:
                raise RuntimeError(f"row {i} did not arrive within 10 s")
        found.append((time.monotonic() - began) * 1000)
        time.sleep(PAUSE)
    return sorted(found)


def run(options):
    with Stage(synchronous_commit="on", fsync="on") as stage:
        source, target, peer = stage.first.create_database(), stage.second.create_database(), stage.second.create_database()
        for each in (source, peer):
            each.execute(f"CREATE TABLE item ({ROW})")
        source.execute("CREATE PUBLICATION bench FOR TABLE item")
        walmill = stage.walmill(source, f"{{type: postgres, uri: '{target.uri}'}}").start()
        walmill.wait()
        peer.execute(f"CREATE SUBSCRIPTION bench CONNECTION '{source.cluster.dsn(source.name)}' PUBLICATION bench")
        wait_until(lambda: peer.value("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"), "the subscription's copy", 60)
        found = {"walmill": [], "subscription": []}
        # Each alone: the other has what came meanwhile behind it when its turn comes.
        for turn in range(2 * (options.repeat + 1)):
            name = ("walmill", "subscription")[turn % 2]
            if name == "walmill":
                peer.execute("ALTER SUBSCRIPTION bench DISABLE")
                walmill.wait()
            else:
                walmill.stop()
                peer.execute("ALTER SUBSCRIPTION bench ENABLE")
            times = measure(source, target if name == "walmill" else peer, turn * options.commits + 1, options.commits)
            if name == "subscription":
                walmill.start().wait()
            if turn > 1:
                found[name] += times
        for name, times in found.items():
            say(f"latency: {name}: p50 {statistics.median(times):.2f} ms, p99 {sorted(times)[len(times) * 99 // 100]:.2f} ms")
        for share, most in ((50, 0.5), (99, 2)):
            own, other = (sorted(found[name])[len(found[name]) * share // 100] for name in ("walmill", "subscription"))
            yield Line(f"one commit to visible at the target, p{share}", own, "ms", "subscription", other, at_most=most)
