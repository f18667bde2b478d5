# SPDX-License-Identifier: PostgreSQL
"""Commits that do not wait for the target's disk: what a target loses in a power loss comes again."""

import contextlib
import os
import pathlib
import shutil
import signal

import pytest
from walmill_testing import wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i"
TRIES = 10      # what is committed so lasts within a second, which may pass before the power is cut


def processes(cluster, title):
    children = pathlib.Path(f"/proc/{cluster.server.pid}/task/{cluster.server.pid}/children").read_text(encoding="ascii")
    found = []
    for pid in children.split():
        with contextlib.suppress(FileNotFoundError):     # it may have ended meanwhile
            if title in pathlib.Path(f"/proc/{pid}/cmdline").read_text(encoding="ascii"):
                found.append(int(pid))
    return found


def cut_power(cluster):
    """What the server has not written to its WAL files is gone."""
    for pid in processes(cluster, "walwriter"):
        os.kill(pid, signal.SIGKILL)        # it may be frozen
    cluster.stop("immediate")


def changes(db, turn):
    for i in range(20):
        db.execute(f"UPDATE t SET v = 'turn {turn}' WHERE id = {i + 1}; INSERT INTO t VALUES ({1000 + 20 * turn + i}, 'new')")


@pytest.mark.parametrize("settings", ["", "journal: off"], ids=["journal", "journal-off"])
def test_server_loses_its_last_commits(db, other_pg, daemon, settings):
    db.execute(TABLE)
    dw = other_pg.create_database()
    d = daemon("- table: public.t", targets={"dw": f"type: postgres\nuri: {dw.uri}"}, settings=settings).start()
    d.wait()
    for turn in range(TRIES):
        os.kill(processes(other_pg, "walwriter")[0], signal.SIGSTOP)
        changes(db, turn)
        # Not by `walmill wait`, which waits for the disk.
        wait_until(lambda at=turn: d.rows("SELECT v FROM t WHERE id = 20") == [(f"turn {at}",)], "the changes are there")
        cut_power(other_pg)
        dw.close()
        other_pg.start()
        d.wait()
        assert d.differences("public.t") == []
        if "target_behind" in d.log():
            break
    else:
        pytest.fail("no commit was ever lost")
    # All is durable after a stop in good order.
    changes(db, TRIES)
    d.wait()
    d.sigterm()
    cut_power(other_pg)
    dw.close()
    other_pg.start()
    assert d.differences("public.t") == []
    d.start()
    d.wait()
    assert d.differences("public.t") == []
    d.sigterm()
    dw.drop()


def test_file_loses_its_last_commits(db, daemon):
    """The file as it was when its last synced commit was made, in place of a power loss; the source still has the rest."""
    db.execute(TABLE)
    d = daemon("- table: public.t", targets={"lite": "type: sqlite\npath: lite.db"}, settings="journal: off").start()
    for turn in range(TRIES):
        d.wait()
        lsn = db.value("SELECT pg_current_wal_lsn() - '0/0'")
        wait_until(lambda at=lsn: db.slot()["confirmed"] >= at, "all that is there is durable")
        files = [path for path in d.folder.glob("lite.db*") if not path.name.endswith("-shm")]
        for path in files:
            shutil.copy(path, d.folder / f"before-{path.name}")
        changes(db, turn)
        wait_until(lambda at=turn: d.rows("SELECT v FROM t WHERE id = 20") == [(f"turn {at}",)], "the changes are there")
        d.sigkill()
        if db.slot()["confirmed"] <= lsn:
            break
        d.start()
    else:
        pytest.fail("every commit was durable at once")
    for path in d.folder.glob("lite.db*"):
        path.unlink()
    for path in files:
        shutil.copy(d.folder / f"before-{path.name}", path)
    d.start()
    d.same("t")
    d.sigterm()
