# SPDX-License-Identifier: PostgreSQL
"""Private PostgreSQL clusters, the real walmill, and exact comparison: for every test that runs the program."""

from .compare import PostgresTarget, SqliteTarget, differences, source_rows
from .daemon import Daemon, program, run_walmill
from .postgres import Cluster, Database
from .wait import wait_until

__all__ = [
    "Cluster", "Daemon", "Database", "PostgresTarget", "SqliteTarget", "differences", "program",
    "run_walmill", "source_rows", "wait_until",
]
