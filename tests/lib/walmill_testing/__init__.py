# SPDX-License-Identifier: PostgreSQL
"""Private PostgreSQL clusters, the real walmill, and exact comparison: for every test that runs the program."""

from .compare import PostgresTarget, SqliteTarget, differences, source_rows
from .daemon import Daemon, environment, program, run_walmill, sanitizer_reports
from .decoding import cannot_decode
from .postgres import Cluster, Database
from .proxy import Proxy
from .wait import free_port, wait_until

__all__ = [
    "Cluster", "Daemon", "Database", "PostgresTarget", "Proxy", "SqliteTarget", "cannot_decode",
    "differences", "environment", "free_port", "program", "run_walmill", "sanitizer_reports", "source_rows",
    "wait_until",
]
