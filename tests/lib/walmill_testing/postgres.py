# SPDX-License-Identifier: PostgreSQL
"""Throw-away PostgreSQL clusters: a temporary folder, a Unix socket, nothing of the system's."""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import psycopg2
import psycopg2.extensions

from .wait import wait_until

SETTINGS = {
    "listen_addresses": "",
    "wal_level": "logical",
    "fsync": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "max_prepared_transactions": "20",
    "log_min_messages": "warning",
    "timezone": "Europe/Berlin",    # so that a target in the wrong zone is noticed
}


def bindir():
    """The folder of initdb and postgres: WM_PG_BINDIR, else Debian's 15, else the newest there is."""
    if os.environ.get("WM_PG_BINDIR"):
        return pathlib.Path(os.environ["WM_PG_BINDIR"])
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    debian = pathlib.Path("/usr/lib/postgresql/15/bin")
    return debian if debian in found or not found else found[-1]


def server_version():
    """The major version of the servers that the tests start."""
    text = subprocess.run([bindir() / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return int(re.search(r"(\d+)", text).group(1))


def _owner():
    """Who runs the servers: root must not."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("neither a user postgres nor a user nobody is there to run PostgreSQL")


def _as_owner(argv):
    if os.geteuid() != 0:
        return argv
    owner = _owner()
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", *argv]


class Cluster:
    """One server of its own; `stop`, `start` and `kill` keep its data."""

    def __init__(self, copy_of=None, **settings):
        """copy_of: a stopped cluster, whose files this one begins with.  port: it listens there on 127.0.0.1, too."""
        # Short: a socket's path may have 107 bytes. Not below TMPDIR: the owner must reach it.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wm-pg-", dir="/tmp"))
        self.folder.chmod(0o711)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = settings.get("port", 5432)
        if "port" in settings:
            settings["listen_addresses"] = "127.0.0.1"
        self.settings = {**SETTINGS, "unix_socket_directories": str(self.folder), **settings}
        self.server = None
        self.count = 0
        if os.geteuid() == 0:
            shutil.chown(self.folder, _owner().pw_uid, _owner().pw_gid)
        if copy_of is not None:
            subprocess.run(_as_owner(["cp", "-a", copy_of.data, self.data]), check=True, cwd=self.folder)
            return
        subprocess.run(
            _as_owner([bindir() / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                       "--locale=C", "-N"]),
            check=True, cwd=self.folder, stdout=subprocess.DEVNULL)

    def begin_at(self, segment, oid):
        """Before the first start: the WAL begins with this segment, new objects get numbers from oid on."""
        subprocess.run(_as_owner([bindir() / "pg_resetwal", "-l", segment, "-o", str(oid), "-D", self.data]), check=True,
                       cwd=self.folder, stdout=subprocess.DEVNULL)
        return self

    def start(self):
        argv = [bindir() / "postgres", "-D", self.data]
        for name, value in self.settings.items():
            argv += ["-c", f"{name}={value}"]
        with open(self.log, "ab") as log:
            # In our own process group: whoever ends the tests ends the server, too.
            self.server = subprocess.Popen(_as_owner(argv), cwd=self.folder, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log)
        wait_until(self._answers, f"PostgreSQL in {self.folder} answers", 60)
        return self

    def freeze(self, frozen=True):
        """Stops every process with SIGSTOP, the one that would start new ones first, or lets them go on."""
        children = pathlib.Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text(encoding="ascii")
        for pid in [self.server.pid, *map(int, children.split())]:
            # One may have ended meanwhile.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def _answers(self):
        if self.server.poll() is not None:
            raise AssertionError(f"PostgreSQL ended: {self.log.read_text()}")
        try:
            psycopg2.connect(self.dsn("postgres")).close()
            return True
        except psycopg2.OperationalError:
            return False

    def stop(self, how="fast"):
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        if self.server is not None and self.server.poll() is None:
            self.server.send_signal(signals[how])
            try:
                self.server.wait(30)
            except subprocess.TimeoutExpired:
                self.server.send_signal(signal.SIGQUIT)
                self.server.wait(30)
                self.server = None
                raise AssertionError(f"PostgreSQL did not stop ({how}): {self.log.read_text()[-2000:]}") from None
        self.server = None

    def destroy(self):
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def socket(self):
        """For a proxy: the server has no TCP port, unless it was given one."""
        return self.folder / f".s.PGSQL.{self.port}"

    def other_port(self, before):
        return "" if self.port == 5432 else f"{before}port={self.port}"

    def dsn(self, database, user="postgres"):
        return f"host={self.folder}{self.other_port(' ')} dbname={database} user={user}"

    def uri(self, database, user="postgres"):
        return f"postgresql://{user}@/{database}?host={self.folder}{self.other_port('&')}"

    def tcp_uri(self, database, user="postgres"):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def create_database(self):
        self.count += 1
        name = f"t{self.count}"
        with self.admin() as admin:
            admin.execute(f"CREATE DATABASE {name}")
        return Database(self, name)

    def admin(self):
        return Database(self, "postgres")


class Database:
    """A database and one connection in autocommit mode; more by `connect`."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.connections = []
        self._main = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def uri(self):
        return self.cluster.uri(self.name)

    def connect(self, autocommit=True, user="postgres"):
        connection = psycopg2.connect(self.cluster.dsn(self.name, user))
        connection.autocommit = autocommit
        self.connections.append(connection)
        return connection

    @property
    def main(self):
        if self._main is None or self._main.closed:
            self._main = self.connect()
        return self._main

    def execute(self, sql, *arguments):
        """Runs one or several statements; several make one transaction, as with psql -c."""
        with self.main.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return cursor.rowcount

    def rows(self, sql, *arguments):
        with self.main.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return cursor.fetchall()

    def value(self, sql, *arguments):
        return self.rows(sql, *arguments)[0][0]

    def lsn(self):
        return self.value("SELECT pg_current_wal_lsn()")

    def slot(self, name="walmill_shop"):
        """The slot's row as a dict, or None."""
        with self.main.cursor() as cursor:
            cursor.execute("SELECT *, confirmed_flush_lsn - '0/0' AS confirmed FROM pg_replication_slots "
                           "WHERE slot_name = %s", (name,))
            row = cursor.fetchone()
            return row and dict(zip([c.name for c in cursor.description], row))

    def close(self):
        for connection in self.connections:
            connection.close()
        self.connections = []
        self._main = None

    def drop(self):
        """Ends whoever uses the database, and what is prepared in it, then drops its slots and itself."""
        self.close()
        with Database(self.cluster, self.name) as again:
            for gid, in again.rows("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
                again.execute("ROLLBACK PREPARED %s", gid)
        with self.cluster.admin() as admin:
            ending = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
            for slot, in admin.rows("SELECT slot_name FROM pg_replication_slots WHERE database = %s", self.name):
                admin.execute(ending, self.name)
                wait_until(lambda slot=slot: not admin.value(
                    "SELECT active FROM pg_replication_slots WHERE slot_name = %s", slot), "the slot is free")
                admin.execute("SELECT pg_drop_replication_slot(%s)", slot)
            admin.execute(f'DROP DATABASE "{self.name}" WITH (FORCE)')
