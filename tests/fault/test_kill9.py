# SPDX-License-Identifier: PostgreSQL
"""kill -9 at random moments under load; after each recovery both targets equal the source exactly.

WM_KILLS: how many (default 12); WM_KILL_SEED: the seed of all that is random, as a run printed it.
"""

import os
import random
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import load as loads        # noqa: E402  pylint: disable=wrong-import-position

KILLS = int(os.environ.get("WM_KILLS", "12"))
SEED = os.environ.get("WM_KILL_SEED") or str(random.SystemRandom().randrange(10**9))


@pytest.fixture
def targets(both):
    return both


def rules():
    text = ""
    for target in ("lite", "dw"):
        for table in loads.TABLES:
            # Small batches: more places to be killed at; one table's are large enough for COPY.
            rows = 600 if (table, target) == ("pairs", "dw") else 50
            text += (f"- {{name: {table}-{target}, table: public.{table}, target: {target}, batch: {{rows: {rows}}}, "
                     f"seed: {{batch_rows: 500}}}}\n")
    return text


def stream_early(db, version):
    """The server sends transactions before their end: all, where it can be told so, else those over its least memory."""
    db.execute(f"ALTER DATABASE {db.name} SET logical_decoding_work_mem = '64kB'")
    if version >= 17:
        db.execute(f"ALTER DATABASE {db.name} SET debug_logical_replication_streaming = 'immediate'")


@pytest.mark.parametrize("options", ["", "slots: 2\nstreaming: true\ntwo_phase: true"], ids=["", "with all options"])
def test_killed_while_sessions_share_batches(db, daemon, targets, options, pg_version):
    if options and pg_version < 15:
        pytest.skip("PostgreSQL 15 and later")
    seed = f"{SEED}/parallel" + "/all" * bool(options)
    print(f"WM_KILL_SEED={SEED} WM_KILLS={KILLS}")
    chance = random.Random(seed)
    db.execute(loads.SCHEMA)
    if options:
        stream_early(db, pg_version)
    targets["dw"] += "\napply: parallel\nworkers: 3"
    d = daemon(rules().replace("rows: 50}", "rows: 5000}").replace("rows: 600}", "rows: 5000}"), targets=targets,
               sources={"shop": f"uri: {db.uri}\n{options}"}).start()
    large = db.connect().cursor()       # not the connection by which the writers end what is prepared
    for cycle in range(1, KILLS // 2 + 1):
        with loads.Load(db, f"{seed}/{cycle}", prepare=bool(options)):
            for turn in range(chance.choice((1, 2))):
                # More than the writers' transactions would gather.
                large.execute("INSERT INTO pairs SELECT i, 'large', %s FROM generate_series(1, 3000) i"
                              " ON CONFLICT (b, a) DO UPDATE SET v = pairs.v + 1", (turn,))
                time.sleep(0.3 * chance.random())
                d.sigkill()
                d.launch()
        d.sigkill()
        d.start(60)
        loads.assert_exact(d, f"WM_KILL_SEED={SEED}, kill {cycle}")
    d.sigterm()


@pytest.mark.parametrize("prepared", [False, True], ids=["", "prepared"])
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("journal, slots", [("", 1), ("journal: off", 1), ("", 3)], ids=["journal", "no-journal", "slots"])
def test_killed_under_load(db, daemon, targets, journal, slots, streaming, prepared, pg_version):
    if prepared and pg_version < 15:
        pytest.skip("PostgreSQL 15 and later")
    seed = f"{SEED}/{journal}" + "/streamed" * streaming + "/prepared" * prepared + f"/{slots}" * (slots > 1)
    print(f"WM_KILL_SEED={SEED} WM_KILLS={KILLS}")
    chance = random.Random(seed)
    db.execute(loads.SCHEMA)
    if streaming:
        stream_early(db, pg_version)
    d = daemon(rules(), targets=targets, settings=journal,
               sources={"shop": f"uri: {db.uri}\nslots: {slots}\nstreaming: {str(streaming).lower()}\n"
                                f"two_phase: {str(prepared).lower()}"}).start()
    for cycle in range(1, KILLS // 2 + 1):
        with loads.Load(db, f"{seed}/{cycle}", prepare=prepared) as load:
            for _ in range(chance.choice((1, 1, 2))):
                time.sleep(chance.choice((0.02, 0.2, 1.0)) * chance.random())
                d.sigkill()
                d.launch()
            time.sleep(0.3 * chance.random())
        d.sigkill()
        d.start(60)
        loads.assert_exact(d, f"WM_KILL_SEED={SEED}, kill {cycle}")
    streamed = db.value("SELECT stream_txns FROM pg_stat_replication_slots WHERE slot_name = 'walmill_shop'")
    assert streamed == 0 if not streaming else streamed > 0 or pg_version < 17
    d.sigterm()


def test_killed_while_tables_change_lanes(db, daemon, targets):
    """Another number of slots at each start, and most starts are killed before they have come far."""
    print(f"WM_KILL_SEED={SEED} WM_KILLS={KILLS}")
    chance = random.Random(f"{SEED}/lanes")
    db.execute(loads.SCHEMA)
    d = daemon(rules(), targets=targets).start()
    for cycle in range(1, KILLS // 2 + 1):
        numbers = []
        with loads.Load(db, f"{SEED}/lanes/{cycle}", writers=2):
            for _ in range(chance.choice((2, 3, 4))):
                d.sigkill()
                numbers.append(chance.choice((1, 2, 3, 4)))
                d.sources = {"shop": f"uri: {db.uri}\nslots: {numbers[-1]}"}
                d.write_config()
                d.launch()
                time.sleep(chance.choice((0.05, 0.3, 1.5)) * chance.random())
        d.sigkill()
        d.start(60)
        loads.assert_exact(d, f"WM_KILL_SEED={SEED}, cycle {cycle}, slots {numbers}")
    d.sigterm()


def test_killed_during_the_first_seed(db, daemon, targets):
    print(f"WM_KILL_SEED={SEED}")
    chance = random.Random(f"{SEED}/seed")
    db.execute(loads.SCHEMA)
    db.execute("INSERT INTO plain (id, v, doc) SELECT i, 'v' || i, repeat('x', i % 100) FROM generate_series(1, 30000) i; "
               "INSERT INTO pairs SELECT i, 'b', i FROM generate_series(1, 20000) i; "
               "INSERT INTO parts SELECT i, i % 2, 'p' FROM generate_series(1, 5000) i")
    d = daemon(rules(), targets=targets)
    with loads.Load(db, f"{SEED}/seed", writers=2):
        for _ in range(6):
            d.launch()
            time.sleep(chance.random() * 0.8)
            d.sigkill()
        d.start(60)
    loads.assert_exact(d, f"WM_KILL_SEED={SEED}, in the seed")
    d.sigterm()
