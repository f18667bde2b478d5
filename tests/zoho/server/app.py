# SPDX-License-Identifier: PostgreSQL
"""HTTP: from a request to the work of its call, and the faults on the way."""

import asyncio
import json
import traceback

from aiohttp import web

from . import config, control
from .config import Body
from .errors import ZohoError
from .exports import export
from .routes import ROUTES
from .world import Call, World

SECRETS = ("client_secret", "refresh_token", "code", "access_token", "authtoken")
REQUEST_MAX = 110_000_000


def make_app(folder):
    world = World(folder)
    app = web.Application(client_max_size=REQUEST_MAX)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _handler(world, route))
    app.router.add_post("/oauth/v2/token", _token_handler(world))
    control.add_routes(app, world)
    app.router.add_route("*", "/{path:.*}", _unknown_handler(world))
    return app


def _begin(world, request, name):
    call = Call(name, request.method, request.path, world.clock.now(), dict(request.match_info))
    call.secrets_in_url = any(secret in request.query for secret in SECRETS)
    call.view = world.storage.views.get(call.ids.get("view"))
    call.faults = world.faults.take(name, call.view.name if call.view else None)
    world.calls.append(call)
    return call


def _handler(world, route):
    async def receive(request, call):
        try:
            call.body = await config.read_body(request, world.settings, getattr(world.settings, route.file_max))
            call.bytes = len(call.body.file or call.body.data or "")
        except ZohoError as error:      # who calls is asked first
            call.unreadable = error

    async def handle(request):
        call = _begin(world, request, route.name)
        with world.task():
            return await _with_faults(request, call, receive, lambda: _answered(world, route, request, call))
    return handle


def _token_handler(world):
    async def receive(request, call):
        await request.read()
        call.body.form = {**request.query}
        if request.content_type == config.FORM:
            call.body.form.update(await request.post())

    async def answer(call):
        call.config = {"grant_type": call.body.form.get("grant_type")}
        wrong = call.fault_of("token_error")
        if wrong:
            return wrong.status or 200, json.dumps({"error": wrong.message or "general_error"})
        if call.fault_of("throttle"):
            return world.settings.throttle_status, json.dumps(world.settings.throttle_body)
        status, body = world.oauth.answer(call.body.form)
        return status, json.dumps(body)

    async def handle(request):
        call = _begin(world, request, "token")
        with world.task():
            return await _with_faults(request, call, receive, lambda: answer(call))
    return handle


def _unknown_handler(world):
    async def handle(request):
        call = _begin(world, request, "unknown")
        await request.read()
        call.status = 404
        return web.Response(status=404, text="<html><body>No such page</body></html>", content_type="text/html")
    return handle


# ---- faults on the way ----

def _dropped(request):
    """Ends the connection at once; what the handler returns then goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _with_faults(request, call, receive, work):
    if call.fault_of("drop_headers"):
        return _dropped(request)
    try:
        await receive(request, call)
    except ConnectionError:         # the client is gone; once it was understood, a request is carried out without it
        return web.Response()
    late = call.fault_of("delay")
    if late:
        await asyncio.sleep(late.seconds)
    if call.fault_of("drop_before"):
        return _dropped(request)
    broken = call.fault_of("http")
    if broken:
        call.status = broken.status or 502
        return web.Response(status=call.status, text=broken.message or "<html><body>Bad gateway</body></html>",
                            content_type="text/html")
    status, text, *kind = await work()
    call.body = Body(config_in=call.body.config_in)     # the list of calls shall not keep files
    late = call.fault_of("delay_after")
    if late:
        await asyncio.sleep(late.seconds)
    if call.fault_of("drop_after"):
        return _dropped(request)
    kind = kind[0] if kind else "application/json"
    if call.fault_of("drop_midway"):
        return await _half(request, status, text.encode(), kind)
    call.status = status
    return web.Response(status=status, text=text, content_type=kind)


async def _half(request, status, body, kind):
    answer = web.StreamResponse(status=status, headers={"Content-Type": kind, "Content-Length": str(len(body))})
    await answer.prepare(request)
    await answer.write(body[:len(body) // 2])
    request.transport.close()
    return answer


# ---- the call itself ----

async def _answered(world, route, request, call):
    """(status, text, content type) of the answer."""
    try:
        _admitted(world, route, request, call)
        if call.unreadable:
            raise call.unreadable
        keys = route.keys(world.settings) if callable(route.keys) else route.keys
        call.config = config.parse(call.body.config_text, keys, world.settings, route.strict)
        if call.body.data is not None and len(call.body.data) > world.settings.data_max:
            raise ZohoError(8139, f"DATA is longer than {world.settings.data_max} characters.")
        first, second = await route.work(world, call)
        injected = call.fault_of("error_after")
        if injected:
            raise ZohoError(injected.code or 7005, injected.message or "Internal error", injected.status)
    except ZohoError as error:
        call.code = error.code
        return error.http_status(world.settings), json.dumps(error.envelope())
    except Exception:           # a mistake of this server: the test shall see it
        world.failures.append(traceback.format_exc())
        raise
    if route.work is export:
        return 200, second, first
    return 200, json.dumps({"status": "success", "summary": first, "data": second})


def _admitted(world, route, request, call):
    """Who calls, in whose name, how often, and about what."""
    if call.fault_of("expire_tokens"):
        world.oauth.expire_all()
    if call.fault_of("exhaust"):
        world.quota.exhaust()
    scopes = route.scopes or world.settings.job_status_scopes
    call.user = world.oauth.authorize(request.headers.get("Authorization", ""), scopes)
    if route.org:
        org = request.headers.get("ZANALYTICS-ORGID")
        if not org:
            raise ZohoError(8083, "The header ZANALYTICS-ORGID is missing.")
        if org != world.org:
            raise ZohoError(7103, "There is no such organisation.")
    world.quota.count(getattr(world.settings, route.rate, route.rate))
    injected = call.fault_of("error")
    if injected:
        raise ZohoError(injected.code or 7005, injected.message or "Injected", injected.status)
    call.workspace = call.ids.get("ws")
    if "ws" in call.ids and call.workspace not in world.storage.workspaces:
        raise ZohoError(7103, "There is no such workspace.")
    if "view" in call.ids and call.view is None:
        raise ZohoError(7104, "There is no such view.")
    if "ws" in call.ids and call.view is not None and call.view.workspace != call.workspace:
        raise ZohoError(7319, "The view is not in the workspace.")
