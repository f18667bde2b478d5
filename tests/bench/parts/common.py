# SPDX-License-Identifier: PostgreSQL
"""What the parts of the benchmark share: servers, walmill at work, what processes have used, and a line of the table."""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from walmill_testing import Cluster, free_port, program, run_walmill, wait_until     # noqa: E402
from walmill_testing.daemon import environment     # noqa: E402
from walmill_testing.memory import peak_mib, resident_mib     # noqa: E402, F401
from walmill_testing.postgres import bindir     # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "autovacuum": "off",
            "max_wal_senders": "40", "max_replication_slots": "40", "max_connections": "100",
            "wal_sender_timeout": "10min", "wal_receiver_timeout": "10min",
            "wal_retrieve_retry_interval": "10ms"}      # else the subscription idles before it starts again
ROW = "id bigint PRIMARY KEY, n int NOT NULL, v text, amount numeric(12,2), at timestamptz"     # about 100 bytes
ROWS = "SELECT i, (i %% 1000)::int, md5(i::text), i * 0.01, now() FROM generate_series(%s::bigint, %s) i"


@dataclasses.dataclass
class Line:
    """One line of the table: what walmill took, what its peer took, and the goals."""

    work: str
    walmill: float
    unit: str = "s"
    peer_name: str = ""
    peer: float = None
    _: dataclasses.KW_ONLY
    at_most: float = None       # goal: in the line's unit
    times: float = None         # goal: as fast as the peer
    also: dict = dataclasses.field(default_factory=dict)        # other goals, and whether they are met
    figures: dict = dataclasses.field(default_factory=dict)     # more, by name; cpu_us_per_change and peak_mib are columns

    @property
    def ratio(self):
        return self.peer / self.walmill if self.peer is not None and self.walmill else None

    @property
    def goals(self):
        """By their texts, whether they are met; None: nobody knows."""
        found = dict(self.also)
        if self.at_most is not None:
            found[f"<= {self.at_most:,.4g} {self.unit}"] = self.walmill <= self.at_most
        if self.times is not None:
            found[f">= {self.times:g} times as fast"] = None if self.ratio is None else self.ratio >= self.times
        return found


def number(lsn):
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- what was used ----

def _stat(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()


def cpu(pid):
    """Seconds of a process, to the nanosecond, and of its children that have ended, in ticks."""
    clock = ~pid << 3 | 2       # as clock_getcpuclockid(3) makes it
    return time.clock_gettime(clock) + sum(map(int, _stat(pid)[13:15])) / TICKS


def cluster_cpu(cluster):
    children = pathlib.Path(f"/proc/{cluster.server.pid}/task/{cluster.server.pid}/children").read_text(encoding="ascii")
    total = cpu(cluster.server.pid)
    for pid in children.split():
        with contextlib.suppress(OSError):     # it may have ended meanwhile
            total += cpu(int(pid))
    return total


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "memory_gib": round(memory, 1), "kernel": platform.release(),
            "load_before": round(os.getloadavg()[0], 2),
            "postgres": subprocess.run([bindir() / "postgres", "--version"], check=True, capture_output=True, text=True).stdout.strip(),
            "walmill": run_walmill("--version").stdout.strip()}


def rounds(what, repeat, contestants):
    """Each contestant, in turn, in every round; a first round does not count.  Medians, and all that was measured."""
    taken = {name: [] for name in contestants}
    for i in range(repeat + 1):
        for name, run in contestants.items():
            taken[name].append(run())
        say(f"{what}: {'warm-up' if i == 0 else f'round {i} of {repeat}'}: "
            + ", ".join(f"{name} {figures[-1]:.2f} s" for name, figures in taken.items()))
    return {name: statistics.median(figures[1:]) for name, figures in taken.items()}


# ---- servers ----

class Stage:
    """Two servers, the source's and the target's, and a folder; all gone at the end."""

    def __init__(self, tcp=False, **source_settings):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wm-bench-", dir="/tmp"))
        self.clusters = []
        self.walmills = []
        self.tcp = tcp
        # The source has only to write the load; what is measured writes durably.
        self.first = self.cluster(**{"synchronous_commit": "off", **SETTINGS, **source_settings})
        self.second = self.cluster(**SETTINGS, fsync="on", synchronous_commit="off")

    def cluster(self, **settings):
        self.clusters.append(Cluster(**settings, **({"port": free_port()} if self.tcp else {})))
        return self.clusters[-1].start()

    def walmill(self, *arguments, **options):
        self.walmills.append(Walmill(self.folder / f"w{len(self.walmills)}", *arguments, **options))
        return self.walmills[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self.walmills:
            each.kill()
        for cluster in reversed(self.clusters):
            cluster.destroy()
        shutil.rmtree(self.folder, ignore_errors=True)


class Walmill:
    """The daemon over one source, with one target unless rules say otherwise."""

    def __init__(self, folder, source, target, rules="- {name: all, table: public.*}", settings="", source_options=""):
        self.folder = folder
        self.config = folder / "walmill.yaml"
        folder.mkdir()
        (folder / "rules.yaml").write_text(f"rules:\n{rules}\n", encoding="utf-8")
        self.config.write_text(
            f"sources: {{s: {{uri: '{source.uri}', slot: 'walmill_{folder.name}', publication: 'walmill_{folder.name}'{source_options}}}}}\n"
            f"targets: {{t: {target}}}\nrules: rules.yaml\nstate: state\nadmin: {{socket: walmill.sock}}\n{settings}\n", encoding="utf-8")
        self.process = None

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([program(), "run", "-c", self.config], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment(self.folder))
        return self

    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8")

    def check(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"walmill ended: {self.log()[-2000:]}")

    def wait(self, timeout=3600):
        """Until the target has what the source had at this moment."""
        def done():
            self.check()
            return run_walmill("wait", "-c", self.config, "--timeout", str(timeout), expect=None, timeout=timeout + 60).returncode == 0
        wait_until(done, "walmill is in step", timeout)

    def run(self, *words):
        return run_walmill(*words, "-c", self.config, timeout=600).stdout

    def status(self):
        return json.loads(self.run("status", "--json"))

    def wait_passed(self, lsn):
        """Until the target has read up to there; `walmill wait` does not return while a rule is paused."""
        wait_until(lambda: number(self.status()["targets"][0]["applied_lsn"]) >= number(lsn), "all has been read", 3600)

    def resume(self, rule):
        self.run("resume", rule)
        wait_until(lambda: all(r["state"] == "streaming" for r in self.status()["rules"]), "the rule is in step", 3600, poll=0.005)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(120) != 0:
            raise RuntimeError(f"walmill ended badly: {self.log()[-2000:]}")

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def timed(self, there):
        """Starts, and takes the time until there() is true; returns seconds and what the process has used."""
        began = time.monotonic()
        self.start()
        wait_until(lambda: self.check() or there(), "the last row", 3600, poll=0.01)
        return time.monotonic() - began, cpu(self.process.pid), peak_mib(self.process.pid)
