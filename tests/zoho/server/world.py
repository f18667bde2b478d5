# SPDX-License-Identifier: PostgreSQL
"""All that the server knows; a reset makes it anew."""

import asyncio
import contextlib
import dataclasses
import pathlib
import random

from .clock import Clock
from .config import Body
from .errors import ZohoError
from .faults import Faults
from .jobs import Jobs
from .oauth import ALL_SCOPES, OAuth
from .quota import Quota
from .settings import Settings
from .storage import Storage

CLIENT, SECRET, USER = "1000.CLIENT", "client-secret", "owner"
ORG = "60009876543210"


@dataclasses.dataclass
class Call:
    """One request, and what became of it."""
    name: str
    method: str
    path: str
    at: float
    ids: dict = dataclasses.field(default_factory=dict)
    faults: list = dataclasses.field(default_factory=list)
    body: Body = dataclasses.field(default_factory=Body)
    unreadable: ZohoError = None
    user: str = None
    workspace: str = None
    view: object = None
    config: dict = None
    units: float = 0
    rows: int = 0
    status: int = None          # of the answer; None: there was none
    code: int = None            # the error's
    secrets_in_url: bool = False
    bytes: int = 0              # of FILE or DATA

    def fault_of(self, deed):
        return next((fault for fault in self.faults if fault.do == deed), None)

    def told(self):
        return {"name": self.name, "method": self.method, "path": self.path, "at": self.at, "config": self.config,
                "config_in": self.body.config_in, "table": self.view.name if self.view else None,
                "bytes": self.bytes, "units": self.units, "rows": self.rows,
                "status": self.status, "code": self.code, "faults": [fault.do for fault in self.faults],
                "secrets_in_url": self.secrets_in_url}


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.resets = 0
        self.storage = None
        self.tasks = set()
        self._make({}, 0)

    def _make(self, settings, seed):
        self.settings = Settings()
        self.settings.change(settings)
        self.random = random.Random(seed)
        self.clock = Clock()
        self.path = self.folder / f"zoho-{self.resets}.sqlite"
        self.storage = Storage(self.path, self.settings)
        self.workspace = self.storage.add_workspace("Walmill")
        self.org = ORG
        self.oauth = OAuth(self.settings, self.clock)
        self.oauth.add_client(CLIENT, SECRET)
        self.refresh_token = self.oauth.add_refresh(CLIENT, USER, ALL_SCOPES).token
        self.quota = Quota(self.settings, self.clock)
        self.jobs = Jobs(self)
        self.faults = Faults(self.random)
        self.denied = set()     # rights that users do not have
        self.calls = []
        self.failures = []      # mistakes of the server itself, as texts

    async def reset(self, settings, seed):
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.storage.close()
        for suffix in ("", "-wal", "-shm"):
            pathlib.Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self.resets += 1
        self._make(settings, seed)

    @contextlib.contextmanager
    def task(self):
        """What a reset ends."""
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            yield
        finally:
            self.tasks.discard(task)

    def spawn(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # ---- what calls ask for ----

    def require_right(self, call, right):
        if right in self.denied:
            raise ZohoError(7301, f"{call.user} does not have the permission {right}.")

    def check_plan_rows(self, more):
        limit = self.settings.plan_rows
        if limit and self.storage.rows_of_all() + more > limit:
            raise ZohoError(6001, "The rows of the plan are used up.")

    def charge(self, call, units):
        call.units += units
        self.quota.charge(units)
