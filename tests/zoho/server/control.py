# SPDX-License-Identifier: PostgreSQL
"""What the test arranges and asks, below /_test: JSON in, JSON out. A wrong use is a 400 with the reason as text."""

import dataclasses

from aiohttp import web

from . import values
from .faults import Fault
from .oauth import ALL_SCOPES
from .world import CLIENT, SECRET, USER


class Control:
    def __init__(self, world):
        self.world = world

    # ---- the whole ----

    async def reset(self, _, given):
        await self.world.reset(given.get("settings", {}), given.get("seed", 0))
        return await self.state(_, given)

    async def state(self, *_):
        world = self.world
        return {"now": world.clock.now(), "path": str(world.path), "org": world.org, "workspace": world.workspace,
                "workspace_name": world.storage.workspaces[world.workspace], "client_id": CLIENT,
                "client_secret": SECRET, "refresh_token": world.refresh_token,
                "units": {"used": float(world.quota.allocated() - world.quota.remaining()),
                          "remaining": float(world.quota.remaining()), "total": float(world.quota.total)},
                "tokens": len(world.oauth.accesses), "callbacks": world.jobs.callbacks,
                "jobs": [{"id": job.id, "code": job.code, "table": job.view.name, "batches": job.batches,
                          "closed": job.closed, "key": job.key, "lost": job.lost}
                         for job in world.jobs.all.values()],
                "failures": world.failures}

    async def settings(self, _, given):
        self.world.settings.change(given)
        return {}

    async def clock(self, _, given):
        clock = self.world.clock
        if "run" in given:
            clock.run(given["run"])
        clock.set(given.get("set", clock.now()) + given.get("advance", 0))
        return {"now": clock.now()}

    async def calls(self, request, _):
        return [call.told() for call in self.world.calls[int(request.query.get("since", 0)):]]

    # ---- faults ----

    async def add_fault(self, _, given):
        self.world.faults.all.append(Fault(**given))
        return {}

    async def faults(self, *_):
        return [dataclasses.asdict(fault) for fault in self.world.faults.all]

    async def clear_faults(self, *_):
        self.world.faults.all.clear()
        return {}

    # ---- tokens, rights, units ----

    async def tokens(self, _, given):
        """{"expire": true}, {"revoke": token}, {"new": {user, scopes}}, {"grant": {user, scopes}}."""
        auth = self.world.oauth
        if given.get("expire"):
            auth.expire_all()
        if "revoke" in given:
            auth.revoke(given["revoke"])
        answer = {}
        if "new" in given:
            answer["refresh_token"] = auth.add_refresh(
                CLIENT, given["new"].get("user", USER), given["new"].get("scopes", ALL_SCOPES)).token
        if "grant" in given:
            answer["code"] = auth.add_grant(
                CLIENT, given["grant"].get("user", USER), given["grant"].get("scopes", ALL_SCOPES))
        return answer

    async def rights(self, _, given):
        self.world.denied = set(given["denied"])
        return {}

    async def units(self, _, given):
        self.world.quota.remaining()
        self.world.quota.used = type(self.world.quota.used)(str(given["used"]))
        return {}

    # ---- tables ----

    def _view(self, request):
        name = request.match_info["table"]
        found = [view for view in self.world.storage.views.values() if view.name == name]
        if not found:
            raise ValueError(f"there is no table {name}")
        return found[0]

    async def add_table(self, request, given):
        storage = self.world.storage
        columns = given.pop("columns", [])
        view = storage.add_view(given.pop("workspace", self.world.workspace), **given)
        for column in columns:
            await self._add_column(view, column)
        return self._told(view)

    async def _add_column(self, view, given):
        if given["type"] not in values.NAMES:
            raise ValueError(f"no such type: {given['type']}")
        kind = given.pop("type")
        return self.world.storage.add_column(view, given.pop("name"), kind, **given)

    def _told(self, view):
        return {"id": view.id, "workspace": view.workspace, "sql": view.sql, "importing": view.importing is not None,
                "columns": [{"id": column.id, "name": column.name, "type": column.type, "sql": column.sql}
                            for column in view.columns],
                "rows": self.world.storage.count(view) if view.type == 0 else 0}

    async def table(self, request, _):
        return self._told(self._view(request))

    async def tables(self, *_):
        return {view.name: self._told(view) for view in self.world.storage.views.values()}

    async def drop_table(self, request, _):
        self.world.storage.drop_view(self._view(request))
        return {}

    async def add_column(self, request, given):
        await self._add_column(self._view(request), given)
        return {}

    async def drop_column(self, request, _):
        view = self._view(request)
        self.world.storage.drop_column(view, view.column(request.match_info["column"]))
        return {}

    async def add_workspace(self, _, given):
        return {"id": self.world.storage.add_workspace(given["name"])}

    async def add_folder(self, _, given):
        self.world.storage.folders.add(given["name"])
        return {}


def add_routes(app, world):
    control = Control(world)

    def handler(work):
        async def handle(request):
            given = await request.json() if request.can_read_body else {}
            try:
                return web.json_response(await work(request, given))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                return web.Response(status=400, text=str(error))
        return handle

    for method, path, work in (
            ("POST", "reset", control.reset), ("GET", "state", control.state), ("POST", "settings", control.settings),
            ("POST", "clock", control.clock), ("GET", "calls", control.calls),
            ("POST", "faults", control.add_fault), ("GET", "faults", control.faults),
            ("DELETE", "faults", control.clear_faults), ("POST", "tokens", control.tokens),
            ("POST", "rights", control.rights), ("POST", "units", control.units),
            ("POST", "tables", control.add_table), ("GET", "tables", control.tables),
            ("GET", "tables/{table}", control.table), ("DELETE", "tables/{table}", control.drop_table),
            ("POST", "tables/{table}/columns", control.add_column),
            ("DELETE", "tables/{table}/columns/{column}", control.drop_column),
            ("POST", "workspaces", control.add_workspace), ("POST", "folders", control.add_folder)):
        app.router.add_route(method, f"/_test/{path}", handler(work))
