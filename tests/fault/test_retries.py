# SPDX-License-Identifier: PostgreSQL
"""kill -9 while rows are refused, changed, moved, truncated, seeded again and retried, by themselves and by request.

WM_KILLS: how many for each target (default 12); WM_KILL_SEED: the seed of all that is random, as a run printed it.
"""

import json
import os
import random
import subprocess
import time

from walmill_testing import wait_until
from walmill_testing.daemon import program
from walmill_testing.refusal import accept, refuse

KILLS = int(os.environ.get("WM_KILLS", "12"))
SEED = os.environ.get("WM_KILL_SEED") or str(random.SystemRandom().randrange(10**9))
TABLE = """
    CREATE TABLE t (id int PRIMARY KEY, n int, v text, long text);
    ALTER TABLE t ALTER long SET STORAGE EXTERNAL;
    INSERT INTO t SELECT i, i % 90, 'v', repeat('long ' || i, 1000) FROM generate_series(1, 60) i;
"""
RULE = ("- {{table: public.t, on_error: dead_letter, batch: {{rows: 7}}, retry: {{every: 100ms, at_most: 1000000}}, "
        "columns: {{check: {{v: \"v <> 'bad{0}'\"}}}}}}")


def change(db, chance, turn):
    """One transaction or statement of the source."""
    row = chance.randrange(1, 80)
    n = chance.choice((1, 50, 500))
    v = chance.choice(("good", "bad", f"turn {turn}"))
    db.execute(chance.choice((
        f"INSERT INTO t VALUES ({row}, {n}, '{v}', repeat('long {turn}', 1000)) ON CONFLICT (id) DO UPDATE SET n = {n}, v = '{v}'",
        f"UPDATE t SET n = {n} WHERE id = {row}",
        f"UPDATE t SET v = '{v}', n = {n} WHERE id BETWEEN {row} AND {row + 9}",
        f"UPDATE t SET id = {row + 100 * (turn + 1)}, n = {n} WHERE id = {row} AND NOT EXISTS "
        f"(SELECT FROM t WHERE id = {row + 100 * (turn + 1)})",
        f"DELETE FROM t WHERE id = {row}",
        f"BEGIN; UPDATE t SET n = 500 WHERE id = {row}; UPDATE t SET n = {n}, v = '{v}' WHERE id = {row}; COMMIT",
        *(["TRUNCATE t"] if chance.random() < 0.1 else []),
    )))


def ask(daemon, chance):
    """A retry that nobody waits for."""
    asked = subprocess.Popen([program(), "errors", "retry", "-c", str(daemon.config)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(chance.random() / 10)
    return asked


def settled(daemon):
    """Rows without a letter are as at the source."""
    bad = {x["key"]["id"] for x in daemon.errors()}
    found = {(str(i), n, v, long) for i, n, v, long in daemon.rows("SELECT id, n, v, long FROM t")}
    wanted = {(str(i), n, v, long) for i, n, v, long in daemon.source_db.rows("SELECT id, n, v, long FROM t")}
    return {x for x in found ^ wanted if x[0] not in bad}


def test_killed_during_retries(db, start):
    print(f"WM_KILL_SEED={SEED} WM_KILLS={KILLS}")
    chance = random.Random(SEED)
    db.execute(TABLE)
    daemon = start(RULE.format(""))
    daemon.same("t")
    refuse(daemon)
    for turn in range(KILLS):
        for _ in range(chance.randrange(1, 12)):
            change(db, chance, turn)
        open_now = chance.random() < 0.4
        if open_now:
            accept(daemon)
        asked = ask(daemon, chance)
        for _ in range(chance.randrange(1, 6)):
            change(db, chance, turn)
        time.sleep(chance.random() / 10)
        daemon.sigkill()
        asked.wait(60)
        if chance.random() < 0.2:
            # Another check is another rule: its view is seeded again.
            daemon.write_rules(RULE.format("" if chance.random() < 0.5 else f" {turn}"))
        daemon.start(60)
        daemon.wait()
        if open_now:
            refuse(daemon)
        wait_until(lambda: not settled(daemon), f"WM_KILL_SEED={SEED}, kill {turn + 1}: rows without a letter", 30)
    accept(daemon)
    db.execute("UPDATE t SET v = 'good' WHERE v LIKE 'bad%'")
    daemon.wait()
    while not json.loads(daemon.run("errors retry", "--json", expect=None).stdout)["end"]:
        pass
    daemon.same("t")
    assert daemon.errors() == [], f"WM_KILL_SEED={SEED}"
