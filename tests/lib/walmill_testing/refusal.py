# SPDX-License-Identifier: PostgreSQL
"""What an administrator may have put on a view by hand: no n of 100 or more."""


def refuse(daemon, table="t"):
    """From here on; rows that are there stay."""
    if daemon.reader().kind == "postgres":
        daemon.reader().execute(f"ALTER TABLE {table} ADD CONSTRAINT small CHECK (n < 100) NOT VALID")
    else:
        daemon.reader().execute("".join(
            f"CREATE TRIGGER small_{event} BEFORE {event} ON {table} WHEN NEW.n >= 100 BEGIN SELECT RAISE(ABORT, 'n is not small'); END;"
            for event in ("INSERT", "UPDATE")))


def accept(daemon, table="t"):
    if daemon.reader().kind == "postgres":
        daemon.reader().execute(f"ALTER TABLE {table} DROP CONSTRAINT small")
    else:
        daemon.reader().execute("DROP TRIGGER small_INSERT; DROP TRIGGER small_UPDATE;")
