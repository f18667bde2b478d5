# SPDX-License-Identifier: PostgreSQL
"""The fault matrix: faults by real means, for each target with and without the journal, under load.

Here a fixed sample; all of it with `make fault`, or WM_FAULT_ALL=1. WM_FAULT_SEED: the seed of all that is random.
"""

import os
import random
import subprocess

import load as loads
import pytest
from faults import FAULTS
from matrix import COLUMNS, Cell, Matrix
from walmill_testing import Proxy, wait_until

SEED = os.environ.get("WM_FAULT_SEED") or str(random.SystemRandom().randrange(10**9))
DISK = "8m"
SAMPLE = [("walsender_stopped", "sqlite, journal"), ("source_cut_at_byte", "postgres, journal"),
          ("target_cut_at_byte", "postgres, journal off"), ("source_half_open", "sqlite, journal off"),
          ("disk_full", "sqlite, journal"), ("fsync_fails", "postgres, journal"), ("clock_back", "sqlite, journal off")]
ALL = os.environ.get("WM_FAULT_PAGE") or os.environ.get("WM_FAULT_ALL")

MATRIX = Matrix("Faults by real means", "Random load of two connections (rows, keys, truncations, definitions, "
                "subtransactions, rollbacks) before, during and after each fault.",
                {name: fault.what for name, fault in FAULTS.items()})


def rules():
    return "\n".join(f"- {{name: {table}, table: public.{table}, target: target, batch: {{rows: 50}}}}" for table in loads.TABLES)


class Run:
    """A daemon between proxies, under load."""

    def __init__(self, db, d, to_source, to_target):
        self.db = db
        self.d = d
        self.source = db.cluster
        self.to_source = to_source
        self.to_target = to_target
        self.target = None
        self.load = None
        self.disk = self.control = self.clock = None
        self.chance = random.Random(SEED)
        self.mark = 0           # where log and source stood when the fault began
        self.begin = None

    def new_log(self):
        """Since the fault began."""
        return self.d.log()[self.mark:]

    def walsender(self):
        slot = self.db.slot()
        return slot and slot["active_pid"]

    def streams_again(self):
        wait_until(self.d.ready, "it streams again", 60)

    def acknowledges_again(self):
        return self.db.value("SELECT confirmed_flush_lsn > %s FROM pg_replication_slots WHERE slot_name = 'walmill_shop'",
                             self.begin)


@pytest.fixture
def to_source(pg):
    with Proxy(pg.socket) as proxy:
        yield proxy


@pytest.fixture
def target(request, cell):
    """(YAML of the target, its proxy, its cluster)"""
    if cell.target == "sqlite":
        yield "type: sqlite\npath: lite.db\nbusy_timeout: 300ms", None, None
        return
    cluster = request.getfixturevalue("other_pg")
    database = cluster.create_database()
    with Proxy(cluster.socket) as proxy:
        yield f"type: postgres\nuri: {proxy.uri(database.name)}\nsilence: 2s", proxy, cluster
    database.drop()


@pytest.fixture
def disk(cell, tmp_path):
    """A small file system of its own, when the fault needs one."""
    if "disk" not in FAULTS[cell.row].needs:
        yield None
        return
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "walmill-test", folder], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def preload(request, cell, folder):
    """What the fault needs in the daemon's environment."""
    needs = FAULTS[cell.row].needs
    if "errors" in needs:
        return {"LD_PRELOAD": str(request.getfixturevalue("disk_errors")), "WM_DISK_ERRORS": str(folder / "control")}
    if "clock" in needs:
        return {"LD_PRELOAD": str(request.getfixturevalue("clock_jumps")), "WM_CLOCK": str(folder / "control")}
    return {}


@pytest.fixture
def run(request, cell, db, disk, to_source, target, daemon, tmp_path):
    block, to_target, cluster = target
    state = f"state: {disk}/state" if disk else ""
    (tmp_path / "control").write_text("")
    db.execute(loads.SCHEMA)
    # The server gives up a walmill that is silent, and walmill a server that is, after seconds.
    uri = f"{to_source.uri(db.name)}?options=-c%20wal_sender_timeout%3D2s"
    d = daemon(rules(), targets={"target": block}, sources={"shop": f"uri: {uri}\nsilence: 2s\ndiscover: 500ms"},
               settings=f"memory: 1MiB\n{state}\n{cell.journal}", env=preload(request, cell, tmp_path))
    made = Run(db, d, to_source, to_target)
    made.target = cluster
    made.disk = disk
    made.control = made.clock = tmp_path / "control"
    d.start()
    return made


def cells():
    for name, fault in FAULTS.items():
        for column in COLUMNS:
            if fault.applies(column.split(",")[0], not column.endswith("off")) and (ALL or (name, column) in SAMPLE):
                yield pytest.param(Cell(MATRIX, name, column), id=f"{name}-{column.replace(', ', '-').replace(' ', '-')}")


@pytest.mark.parametrize("cell", cells())
def test_fault(cell, run):
    print(f"WM_FAULT_SEED={SEED}")
    with loads.Load(run.db, f"{SEED}/{cell.row}", writers=2, patient=True) as load:
        run.load = load
        wait_until(lambda: load.transactions > 30, "the load is under way", 30)
        run.mark = len(run.d.log())
        run.begin = run.db.lsn()
        FAULTS[cell.row].act(run)
        run.to_source.heal()
        before = load.transactions
        wait_until(lambda: load.transactions > before + 30, "the load goes on", 30)
    wait_until(run.d.ready, "it streams", 60)
    loads.assert_exact(run.d, f"WM_FAULT_SEED={SEED}")
    run.d.sigterm()
