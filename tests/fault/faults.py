# SPDX-License-Identifier: PostgreSQL
"""Faults by real means, each on a Run that is under load; each returns when it is over and walmill is at it again.

A fault that did not bite is no proof: each looks for its trace.
"""

import os
import signal
import sqlite3
import subprocess
import time

from walmill_testing import wait_until

BOTH = ("sqlite", "postgres")
FAULTS = {}


class Fault:
    def __init__(self, act, targets=BOTH, journal=None, needs=()):
        self.act = act
        self.name = act.__name__
        self.what = act.__doc__.strip().split("\n")[0].rstrip(".")
        self.targets = targets
        self.journal = journal      # True: only with it
        self.needs = needs          # what has to be there from the start: "disk", "errors", "clock"

    def applies(self, target, journal):
        return target in self.targets and (journal or not self.journal)


def fault(**options):
    def add(act):
        FAULTS[act.__name__] = Fault(act, **options)
        return act
    return add


def hold(run, seconds):
    """The load goes on that long, and does something meanwhile."""
    before = run.load.transactions
    time.sleep(seconds)
    wait_until(lambda: run.load.transactions > before, "the load goes on", 30)


def reconnected(proxy, since, more=1):
    wait_until(lambda: proxy.accepted >= since + more, "walmill connects again", 60)


# ---- the daemon ----

@fault()
def kill_9(run):
    """The daemon is killed with SIGKILL and started again, three times."""
    for _ in range(3):
        hold(run, 0.3)
        run.d.sigkill()
        run.d.start(60)


@fault()
def daemon_stopped(run):
    """The daemon is stopped with SIGSTOP until the server gives it up, then continued."""
    run.d.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: not run.db.slot()["active"], "the server gives it up", 30)
    run.d.process.send_signal(signal.SIGCONT)
    run.streams_again()


# ---- the source's server ----

@fault()
def walsender_stopped(run):
    """The server's process that streams is stopped with SIGSTOP until walmill gives it up, then continued."""
    pid = run.walsender()
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: "source_retry" in run.new_log(), "walmill notices", 30)
    finally:
        os.kill(pid, signal.SIGCONT)
    run.streams_again()


@fault()
def walsender_terminated(run):
    """The server's process that streams is terminated, three times."""
    for _ in range(3):
        pid = run.walsender()
        run.db.execute("SELECT pg_terminate_backend(%s)", pid)
        wait_until(lambda pid=pid: run.walsender() != pid, "another one streams", 60)


def restart(run, cluster, how):
    cluster.stop(how)
    cluster.start()
    run.db.close()


@fault()
def source_restarted(run):
    """The source's server is stopped (fast) and started."""
    restart(run, run.source, "fast")
    run.streams_again()


@fault()
def source_crashed(run):
    """The source's server is stopped (immediate: it recovers from its WAL) and started."""
    restart(run, run.source, "immediate")
    run.streams_again()


# ---- the target ----

@fault(targets=("postgres",))
def target_restarted(run):
    """The target's server is stopped (fast) and started."""
    since = run.to_target.accepted
    restart(run, run.target, "fast")
    reconnected(run.to_target, since)


@fault(targets=("postgres",))
def target_crashed(run):
    """The target's server is stopped (immediate) and started, twice."""
    for _ in range(2):
        since = run.to_target.accepted
        restart(run, run.target, "immediate")
        reconnected(run.to_target, since)


@fault(targets=("postgres",))
def target_frozen(run):
    """Every process of the target's server is stopped with SIGSTOP until walmill gives it up, then continued."""
    run.target.freeze()
    try:
        wait_until(lambda: "the server takes no new connection either" in run.new_log(), "walmill gives it up", 60)
    finally:
        run.target.freeze(False)
    run.streams_again()


@fault(targets=("sqlite",))
def target_locked(run):
    """Another program holds the write lock of the target's file."""
    other = sqlite3.connect(run.d.folder / "lite.db", timeout=30, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    wait_until(lambda: "target_retry" in run.new_log(), "walmill waits for it", 30)
    other.execute("ROLLBACK")
    other.close()


# ---- the network ----

def cut(run, proxy):
    for _ in range(5):
        hold(run, 0.2)
        since = proxy.accepted
        proxy.cut()
        reconnected(proxy, since)


def cut_at_bytes(run, proxy):
    for _ in range(8):
        since = proxy.accepted
        proxy.cut_at(run.chance.randrange(1, 30000), run.chance.choice(("up", "down")))
        reconnected(proxy, since)


def delay(run, proxy):
    proxy.delay = 0.05
    hold(run, 2)
    proxy.heal()


def throttle(run, proxy):
    since = sum(proxy.bytes.values())
    proxy.rate = 50000
    hold(run, 3)
    assert sum(proxy.bytes.values()) > since
    proxy.heal()


def stall(run, proxy):
    proxy.stall()
    hold(run, 4)
    proxy.heal()


def refuse(run, proxy):
    since = proxy.accepted
    proxy.refuse()
    hold(run, 2)
    proxy.heal()
    reconnected(proxy, since)


def half_open(run, proxy):
    since = proxy.accepted
    proxy.half_open()
    reconnected(proxy, since)
    hold(run, 2)


NETWORK = {
    "cut": (cut, "is reset, five times"),
    "cut_at_byte": (cut_at_bytes, "is reset at a random byte of either direction, eight times"),
    "delayed": (delay, "passes everything on 50 ms late"),
    "throttled": (throttle, "passes 50 kB/s"),
    "stalled": (stall, "passes nothing for 4 s, then all"),
    "refused": (refuse, "is reset, as is every new one for 2 s"),
    "half_open": (half_open, "is silently forgotten, and never reset"),
}


def _network(side, targets):
    for kind, (act, what) in NETWORK.items():
        def run_it(run, act=act):
            act(run, run.to_source if side == "source" else run.to_target)
            run.streams_again()

        run_it.__name__ = f"{side}_{kind}"
        run_it.__doc__ = f"The connection to the {side} {what}."
        fault(targets=targets)(run_it)


_network("source", BOTH)
_network("target", ("postgres",))


# ---- disks ----

@fault(needs=("disk",))
def disk_full(run):
    """The file system of state and journal has no room for a while."""
    filler = run.disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    wait_until(lambda: "make room" in run.new_log() or "full" in run.new_log(), "walmill says so", 30)
    hold(run, 1)
    filler.unlink()
    run.streams_again()


@fault(needs=("disk",))
def disk_readonly(run):
    """The file system of state and journal is read-only when the daemon is started again after a kill."""
    run.d.sigkill()
    subprocess.run(["mount", "-o", "remount,ro", run.disk], check=True)
    run.d.launch()
    run.d.wait_exit(1)
    assert "Read-only file system" in run.new_log() or "readonly" in run.new_log(), run.new_log()
    subprocess.run(["mount", "-o", "remount,rw", run.disk], check=True)
    run.d.start(60)


def disk_refuses(run, what, trace):
    run.control.write_text(what)
    wait_until(lambda: trace in run.new_log(), "walmill says so", 30)
    hold(run, 1)
    run.control.write_text("")
    run.streams_again()
    wait_until(lambda: run.acknowledges_again(), "the source is told again", 60)


@fault(journal=True, needs=("errors",))
def fsync_fails(run):
    """fsync of the journal fails with EIO for a while."""
    disk_refuses(run, "fsync", "journal_failed")


@fault(journal=True, needs=("errors",))
def write_fails(run):
    """Writes to the journal fail with EIO, half done, for a while."""
    disk_refuses(run, "write", "journal_failed")


@fault(journal=True, needs=("errors",))
def no_space(run):
    """Writes to the journal fail with ENOSPC, half done, for a while."""
    disk_refuses(run, "space", "journal_no_space")


# ---- clocks ----

def jump(run, seconds):
    run.clock.write_text(str(seconds))
    since = len(run.d.log())
    hold(run, 2)
    run.d.sigkill()
    run.d.start(60)
    year = time.strftime("%Y-%m-%d", time.gmtime(time.time() + seconds))
    assert year in run.d.log()[since:], "the daemon's clock did not jump"
    hold(run, 1)
    run.clock.write_text("0")
    hold(run, 1)


@fault(needs=("clock",))
def clock_forward(run):
    """The clock is set forward by a year, the daemon killed and started, the clock set back."""
    jump(run, 365 * 86400)


@fault(needs=("clock",))
def clock_back(run):
    """The clock is set back by a year, the daemon killed and started, the clock set right."""
    jump(run, -365 * 86400)
