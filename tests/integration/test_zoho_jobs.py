# SPDX-License-Identifier: PostgreSQL
"""Import jobs of the zoho_analytics target: how many are open at a time, and how their end is learned."""

import pytest
from walmill_testing import wait_until
from walmill_testing.compare import differences
from walmill_testing.zoho_view import ZohoView

UNLIMITED = {"rate_bulk": 0, "rate_dml": 0, "rate_metadata": 0, "rate_overall": 0}
LIMITS = {"imports_per_minute": 1000, "row_calls_per_minute": 1000, "calls_per_minute": 1000,
          "metadata_calls_per_minute": 1000}
TABLES = [f"t{i}" for i in range(8)]


@pytest.fixture
def follow(daemon, zoho):
    """Starts a daemon that writes to the server: follow(rules, targets=2, flush_interval="60s", ...)."""
    running = []

    def run(rules, targets=0, start=True, **options):
        zoho.set(**UNLIMITED)
        block = {"flush_interval": "100ms", "poll_interval": "100ms", **LIMITS, **options}
        named = {f"z{i}": zoho.target(**block, **({"workspace": zoho.workspace_name} if i % 2 else {}))
                 for i in range(targets)}
        made = daemon(rules, targets=named or {"zoho": zoho.target(**block)})
        running.append(made)
        return made.start() if start else made

    yield run
    for each in running:
        if each.process is not None:
            each.sigterm()


def make_tables(db, rows):
    for name in TABLES:
        db.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v text);"
                   f"INSERT INTO {name} SELECT i, '{name} has ' || i FROM generate_series(1, {rows}) i")


def check_same(db, zoho, daemon):
    daemon.wait(120)
    for name in TABLES:
        found = differences(db.main, name, ZohoView(zoho))
        assert not found, "\n".join(found) + f"\nlog:\n{daemon.log()[-6000:]}"


def test_stopped_while_many_views_are_seeded(db, zoho, follow):
    """Seeders share the target: one that meets the stop while it is away must not leave the others without."""
    make_tables(db, 100)
    zoho.set(import_seconds=0.5)
    daemon = follow("\n".join(f"- {{table: public.{name}, seed: {{workers: 8}}}}" for name in TABLES), start=False)
    daemon.launch()
    wait_until(lambda: zoho.calls("import"), "an import is under way")
    daemon.sigterm()
    zoho.set(import_seconds=0)
    daemon.start()
    check_same(db, zoho, daemon)
