# SPDX-License-Identifier: PostgreSQL
"""Waiting for a condition, never for a time; and what has to be free for that."""

import socket
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


def free_port():
    """A TCP port of this host that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
