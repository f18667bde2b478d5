# SPDX-License-Identifier: PostgreSQL
"""Waiting for a condition, never for a time."""

import time

POLL = 0.02


def wait_until(condition, what, timeout=20.0, poll=POLL):
    """Returns what condition() returned when it first was true; AssertionError after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(poll)
