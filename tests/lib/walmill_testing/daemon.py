# SPDX-License-Identifier: PostgreSQL
"""The real program: one command, or a daemon with a configuration of its own."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap

from .compare import PostgresTarget, SqliteTarget, differences
from .wait import wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[3]


def program():
    """WALMILL, else ./walmill in the build folder."""
    path = os.environ.get("WALMILL") or pathlib.Path(os.environ.get("WM_BUILDDIR", SOURCE)) / "walmill"
    return str(pathlib.Path(path).resolve())


def environment(reports, **extra):
    """Nothing of the user's own walmill or libpq; sanitizers write into files, so that nothing is overlooked."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "WALMILL", "NOTIFY_", "WATCHDOG_"))}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        env[name] = ":".join(filter(None, [os.environ.get(name), f"log_path={reports}/sanitizer",
                                           "print_stacktrace=1" if name == "UBSAN_OPTIONS" else ""]))
    env["no_proxy"] = "127.0.0.1,localhost"
    env.update(extra)
    return env


def sanitizer_reports(folder):
    """What sanitizers have written since the last call; only of programs that have ended."""
    texts = []
    for path in sorted(pathlib.Path(folder).glob("sanitizer.*")):
        texts.append(path.read_text(errors="replace"))
        path.unlink()
    return "\n".join(texts)


def run_walmill(*arguments, expect=0, cwd=None, timeout=60, env=None, **options):
    """Runs a command to its end; expect: the exit status it must have, or None for any."""
    with tempfile.TemporaryDirectory(prefix="wm-san-") as reports:
        done = subprocess.run([program(), *map(str, arguments)], cwd=cwd, timeout=timeout, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              env=environment(reports, **(env or {})), check=False, **options)
        found = sanitizer_reports(reports)
    assert not found, found
    assert expect is None or done.returncode == expect, (
        f"walmill {' '.join(map(str, arguments))}: exit status {done.returncode}, expected {expect}\n"
        f"stdout: {done.stdout}\nstderr: {done.stderr}")
    return done


def replace(path, text):
    """A daemon that reads it at this time finds all of it, old or new."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


class Daemon:
    """A configuration in a folder, and the daemon that runs it, perhaps several times."""

    def __init__(self, sources, targets, rules, settings="", env=None):
        """sources: {name: URI or block of YAML}; targets: {name: block of YAML}; rules: a list, as YAML."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wm-", dir="/tmp"))
        self.config = self.folder / "walmill.yaml"
        self.log_path = self.folder / "log"
        self.log_path.touch()
        self.rules_folder = self.folder / "rules.d"
        self.rules_folder.mkdir()
        self.sources = sources
        self.targets = targets
        self.settings = settings
        self.env = env or {}
        self.process = None
        self.target_readers = {}
        self.source_db = None
        self.reports = ""
        self.write_config()
        self.write_rules(rules)

    # ---- files ----

    def write_config(self):
        lines = ["sources:"]
        for name, text in self.sources.items():
            block = text if "\n" in text or text.startswith("uri:") else f"uri: {text}"
            lines += [f"  {name}:", textwrap.indent(textwrap.dedent(block).strip("\n"), "    ")]
        lines.append("targets:")
        for name, text in self.targets.items():
            lines += [f"  {name}:", textwrap.indent(textwrap.dedent(text).strip("\n"), "    ")]
        if "state:" not in self.settings:
            lines.append("state: state")
        if "admin:" not in self.settings:
            lines.append("admin: {socket: walmill.sock}")
        lines.append(textwrap.dedent(self.settings).strip("\n"))
        replace(self.config, "\n".join(lines) + "\n")

    def write_rules(self, rules, name="10-test.yaml"):
        """rules: YAML list items; None removes the file."""
        path = self.rules_folder / name
        if rules is None:
            path.unlink()
        else:
            replace(path, "rules:\n" + textwrap.indent(textwrap.dedent(rules).strip("\n"), "  ") + "\n")

    # ---- life ----

    def launch(self):
        assert self.process is None, "it runs already"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([program(), "run", "-c", str(self.config)], cwd="/",
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment(self.folder, **self.env))
        return self

    def start(self, timeout=30):
        self.launch()
        wait_until(self.ready, "the daemon streams", timeout)
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log()}")
        status = self.try_status()
        return status is not None and all(s["state"] == "streaming" for s in status["sources"])

    def wait_exit(self, expect, timeout=30):
        """The daemon ends by itself."""
        status = self.process.wait(timeout)
        self.process = None
        self.check_sanitizers()
        assert status == expect, f"exit status {status}, expected {expect}:\n{self.log()}"

    def sigkill(self):
        self.process.kill()
        self.process.wait(30)
        self.process = None
        self.check_sanitizers()

    def sigterm(self, number=signal.SIGTERM, timeout=60):
        self.process.send_signal(number)
        self.wait_exit(0, timeout)

    def sighup(self):
        self.process.send_signal(signal.SIGHUP)

    def reload(self, timeout=20):
        """Until configuration and rules are in force as they are now."""
        since = len(self.log())
        self.sighup()
        self.wait_log(" reloaded: ", since, timeout)

    def restart(self):
        self.sigterm()
        return self.start()

    def lose_slot(self, then=None):
        """Its slot is dropped while it runs; it must not connect again before the slot is gone."""
        db = self.source_db
        self.process.send_signal(signal.SIGSTOP)
        try:
            db.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                       "WHERE slot_name = 'walmill_shop'")
            wait_until(lambda: not db.slot()["active"], "the slot is free")
            db.execute("SELECT pg_drop_replication_slot('walmill_shop')")
            if then is not None:
                db.execute(then)
        finally:
            self.process.send_signal(signal.SIGCONT)

    def check_sanitizers(self):
        found = sanitizer_reports(self.folder)
        assert not found, found

    def destroy(self):
        """Ends what runs, whatever state the test left it in; returns what sanitizers said, at a second call again."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        self.process = None
        self.reports += sanitizer_reports(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.reports

    # ---- questions ----

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, text, since=0, timeout=20):
        """Until a text is in the log, behind byte since of it."""
        wait_until(lambda: text in self.log()[since:], f"{text!r} in the log", timeout)

    def run(self, *arguments, expect=0, **options):
        """A command that talks to this daemon."""
        command, *rest = arguments
        words = command.split()
        return run_walmill(*words, "-c", self.config, *rest, expect=expect, env=self.env, **options)

    def try_status(self):
        done = self.run("status", "--json", expect=None)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def status(self):
        return json.loads(self.run("status", "--json").stdout)

    def rule(self, name):
        return next((r for r in self.status()["rules"] if r["name"] == name), None)

    def target(self, name):
        return next(t for t in self.status()["targets"] if t["name"] == name)

    def errors(self):
        return json.loads(self.run("errors list", "--json").stdout)["errors"]

    def get(self, path):
        """Status and body of an HTTP call on the socket."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.folder / "walmill.sock"))
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def metrics(self):
        return self.get("/metrics")[1]

    def wait(self, timeout=60):
        """Until everything committed by now is visible in every target."""
        self.run("wait", "--timeout", str(timeout), timeout=timeout + 30)

    # ---- targets ----

    def reader(self, name=None):
        if name is None:
            name = next(iter(self.targets))
        if name not in self.target_readers:
            fields = dict(line.strip().split(": ", 1) for line in textwrap.dedent(self.targets[name]).strip().split("\n"))
            if fields["type"] == "sqlite":
                self.target_readers[name] = SqliteTarget(self.folder / fields["path"])
            else:
                self.target_readers[name] = PostgresTarget(fields["uri"])
        return self.target_readers[name]

    def rows(self, sql, target=None):
        return self.reader(target).rows(sql)

    def differences(self, table, target=None, **options):
        return differences(self.source_db.main, table, self.reader(target), **options)

    def same(self, *tables, **options):
        """Waits, and demands that every target's view equals the table, exactly."""
        self.wait()
        targets = [options.pop("target")] if "target" in options else list(self.targets)
        for table in tables:
            for target in targets:
                found = self.differences(table, target, **options)
                if found:
                    raise AssertionError(f"{target}, {table}: {self._late_or_lost(table, target, options)}\n"
                                         + "\n".join(found) + f"\nlog:\n{self.log()[-6000:]}")

    def _late_or_lost(self, table, target, options):
        """Whether `wait` returned too early, or what is wrong stays wrong."""
        try:
            wait_until(lambda: not self.differences(table, target, **options), "equal", 5)
            return "it became equal within 5 s after `wait` had returned"
        except AssertionError:
            return "still different 5 s later"
