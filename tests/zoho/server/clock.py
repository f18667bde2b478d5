# SPDX-License-Identifier: PostgreSQL
"""The server's time: it begins at a fixed one and goes on by itself, unless the test stops it."""

import asyncio
import datetime
import time

BEGIN = datetime.datetime(2026, 9, 16, 12, 0, tzinfo=datetime.timezone.utc).timestamp()
POLL = 0.01     # real seconds


class Clock:
    def __init__(self):
        self.running = True
        self.base = BEGIN
        self.since = time.monotonic()

    def now(self):
        return self.base + (time.monotonic() - self.since if self.running else 0)

    def set(self, now):
        self.base, self.since = now, time.monotonic()

    def run(self, running):
        self.set(self.now())
        self.running = running

    def datetime(self):
        return datetime.datetime.fromtimestamp(self.now(), datetime.timezone.utc)

    async def until(self, moment):
        while self.now() < moment:
            await asyncio.sleep(POLL)
