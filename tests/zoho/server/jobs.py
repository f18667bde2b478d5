# SPDX-License-Identifier: PostgreSQL
"""Asynchronous import jobs and batch imports: slots, states, callbacks."""

import asyncio
import collections
import dataclasses
import ipaddress
import traceback
import urllib.parse

import aiohttp

from . import imports
from .clock import POLL
from .config import Key, check as check_keys
from .errors import ZohoError

WAITING, RUNNING, FAILED, DONE, GONE = 1001, 1002, 1003, 1004, 1005
STATES = {WAITING: "JOB NOT INITIATED", RUNNING: "JOB IN PROGRESS", FAILED: "ERROR OCCURRED",
          DONE: "JOB COMPLETED", GONE: "JOB NOT FOUND"}


@dataclasses.dataclass
class Job:
    id: str
    user: str
    view: object
    call: object                # the request that made it
    config: dict
    code: int = WAITING
    lost: bool = False
    error: ZohoError = None
    answer: dict = None
    expires: float = None
    callback: str = None
    # Of a batch import:
    key: str = None
    waiting: collections.deque = dataclasses.field(default_factory=collections.deque)
    batches: int = 0
    fed_at: float = None        # when the last one came
    closed: bool = False
    staged: object = None       # the rows that TRUNCATEADD has not shown yet


class Jobs:
    def __init__(self, world):
        self.world = world
        self.all = {}
        self.batches = {}       # key -> Job
        self.callbacks = []     # what was sent: (url, body, the answer's status or the error)

    def begin(self, call, view, config, work):
        """A new job, which has a slot and the table's lock from now on."""
        settings, storage = self.world.settings, self.world.storage
        if sum(job.code in (WAITING, RUNNING) for job in self.all.values()) >= settings.import_jobs_max:
            raise ZohoError(8134, f"{settings.import_jobs_max} import jobs are in progress.")
        job = Job(storage.new_id(), call.user, view, call, config, callback=config.get("callbackUrl"))
        job.lost = call.fault_of("job_lost") is not None
        self.all[job.id] = job
        view.importing = job
        self.world.spawn(self._run(job, work))
        return job

    async def _run(self, job, work):
        world = self.world
        try:
            while job.view.writing:
                await asyncio.sleep(POLL)
            await world.clock.until(job.call.at + world.settings.job_queue_seconds)
            job.code = RUNNING
            if job.call.fault_of("job_stuck"):
                await world.clock.until(float("inf"))
            if not job.lost or job.call.fault_of("job_lost").commit:
                job.answer = await work(job)
            job.code = DONE
        except ZohoError as error:
            job.code, job.error = FAILED, error
        except asyncio.CancelledError:
            raise
        except Exception:       # a mistake of this server: the test shall see it
            world.failures.append(traceback.format_exc())
            job.code, job.error = FAILED, ZohoError(7005, "Internal error")
        finally:
            job.view.importing = None
            job.expires = world.clock.now() + world.settings.job_retention
        await self._call_back(job)

    async def _call_back(self, job):
        if not job.callback or job.lost or job.call.fault_of("callback_lost"):
            return
        try:
            timeout = aiohttp.ClientTimeout(total=5)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                async with session.post(job.callback, json=self.details(job)) as answer:
                    result = answer.status
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            result = str(error)
        self.callbacks.append({"url": job.callback, "body": self.details(job), "result": result})

    def details(self, job):
        code = job.code
        if job.lost or job.expires is not None and self.world.clock.now() > job.expires:
            return {"jobId": job.id, "jobCode": str(GONE), "jobStatus": STATES[GONE]}
        body = {"jobId": job.id, "jobCode": str(code), "jobStatus": STATES[code]}
        if job.key:
            body["batchKey"] = job.key
        if job.error:
            body["jobInfo"] = {"errorCode": job.error.code, "errorMessage": job.error.message}
        elif code == DONE:
            body["jobInfo"] = job.answer
        if job.expires is not None:
            body["expiryTime"] = str(int(job.expires * 1000))
        return body


# ---- one file ----

def job_keys(settings):
    return {**imports.import_keys(settings), "callbackUrl": Key("string")}


async def create(world, call):
    config, view = call.config, call.view
    imports.check(world, call, config)
    imports.check_table(world, view, config)
    await check_callback(world, config)
    raw = _file(call)
    world.quota.require(world.quota.import_price(config["importType"], 1))

    async def work(job):
        await world.clock.until(call.at + world.settings.job_queue_seconds + world.settings.job_seconds)
        _injected(call)
        return {"viewId": view.id, **await imports.execute(world, call, view, config, raw)}
    imports.check_table(world, view, config)        # another may have come while the callback was tried
    return "Create bulk import job", {"jobId": world.jobs.begin(call, view, config, work).id}


def _file(call):
    if call.body.file is None:
        raise ZohoError(8504, "The mandatory parameter FILE is missing.")
    if not call.body.file.strip():
        raise ZohoError(7203, "The file is empty.")
    return call.body.file


def _injected(call):
    fault = call.fault_of("job_error")
    if fault:
        raise ZohoError(fault.code or 7005, fault.message or "The job failed.")


async def check_callback(world, config):
    if "callbackUrl" not in config:
        return
    try:
        url = urllib.parse.urlsplit(config["callbackUrl"])
        host, port = url.hostname, url.port or {"http": 80, "https": 443}[url.scheme]
    except (ValueError, KeyError):
        host = None
    if not host or len(config["callbackUrl"]) > world.settings.callback_url_max:
        raise ZohoError(8125, "The callback URL is malformed.")
    loop = asyncio.get_running_loop()
    try:
        addresses = {found[4][0] for found in await loop.getaddrinfo(host, port)}
    except OSError:
        raise ZohoError(8126, "The callback URL cannot be reached.") from None
    if not world.settings.callback_private and not all(ipaddress.ip_address(each).is_global for each in addresses):
        raise ZohoError(8127, "The callback URL has a private address.")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 5)
        writer.close()
    except (OSError, asyncio.TimeoutError):
        raise ZohoError(8126, "The callback URL cannot be reached.") from None


async def details(world, call):
    job = world.jobs.all.get(call.ids["job"])
    if job is None and world.settings.unknown_job == GONE:
        return "Job details", {"jobId": call.ids["job"], "jobCode": str(GONE), "jobStatus": STATES[GONE]}
    if job is None or job.view.workspace != call.workspace:
        raise ZohoError(8137, "There is no such job.")
    if job.user != call.user:
        raise ZohoError(8138, "The job is not yours.")
    return "Job details", world.jobs.details(job)


# ---- many files ----

BATCH_KEYS = {"batchKey": Key("string", required=True), "isLastBatch": Key("boolean", required=True)}


def _first_keys(settings, new):
    kind = imports.new_table_keys(settings) if new else imports.existing_keys(settings)
    keys = {**kind, **BATCH_KEYS, "callbackUrl": Key("string")}
    keys.pop("fileType", None)
    return keys


async def batch(world, call):
    config = call.config
    if config["batchKey"] == "start":
        job = await _start(world, call)
    else:
        job = world.jobs.batches.get(config["batchKey"])
        if job is None:
            raise ZohoError(7338, "The batchKey is unknown.")
        if job.view.workspace != call.workspace or call.view is not None and job.view is not call.view:
            raise ZohoError(7340, "The batchKey belongs to another table.")
        if job.closed:
            raise ZohoError(7337, "The last batch has been sent.")
        if job.batches >= world.settings.batches_max:
            raise ZohoError(7336, f"More than {world.settings.batches_max} batches.")
        _enqueue(world, call, job, _file(call))
    return "Batch import", {"batchKey": job.key, "jobId": job.id}


async def _start(world, call):
    config, view, new = call.config, call.view, call.view is None
    check_keys(config, _first_keys(world.settings, new), world.settings)
    imports.check(world, call, config)
    raw = _file(call)
    await check_callback(world, config)
    kind = config.get("importType", "APPEND")
    world.quota.require(world.quota.import_price(kind, 1))
    if new:
        view = await imports.made_table(world, call, config, raw)
    imports.check_table(world, view, config)

    async def work(job):
        return await _work(world, job)
    job = world.jobs.begin(call, view, config, work)
    job.key = f"{world.random.getrandbits(64):016x}"
    world.jobs.batches[job.key] = job
    _enqueue(world, call, job, raw)
    return job


def _enqueue(world, call, job, raw):
    world.quota.require(world.quota.import_price(job.config.get("importType", "APPEND"), 1))
    job.waiting.append((call, raw))
    job.fed_at = world.clock.now()
    job.batches += 1
    job.closed = call.config["isLastBatch"]


async def _next(world, job):
    """The next batch, or None after the last; an import that nobody ends fails in the end."""
    limit = job.fed_at + world.settings.batch_open_seconds
    while not job.waiting:
        if job.closed:
            return None
        if world.clock.now() > limit:
            job.closed = True
            raise ZohoError(7337, "The batch import was left open for too long.")
        await asyncio.sleep(POLL)
    return job.waiting.popleft()


async def _work(world, job):
    """Batch by batch; what TRUNCATEADD brings is shown at the end, all at once. After an error, batches are taken and
    thrown away: the client learns of it by asking for the job."""
    error, total = None, None
    replacing = job.config.get("importType") == "TRUNCATEADD"
    if replacing:
        job.staged = world.storage.stage(job.view)
    config = {**job.config, "importType": "APPEND"} if replacing else job.config
    try:
        while (taken := await _next(world, job)) is not None:
            call, raw = taken
            try:
                if error is None:
                    _injected(call)
                    total = _sum(total, await imports.execute(world, call, job.view, config, raw, job.staged))
            except ZohoError as bad:
                error = bad
        await world.clock.until(call.at + world.settings.job_seconds)
        if error:
            raise error
        if replacing:
            world.storage.swap(job.view, job.staged)
            job.staged = None
            total["importSummary"]["importType"] = "TRUNCATEADD"
    finally:
        if job.staged:
            world.storage.discard(job.staged)
            job.staged = None
    imports.remember(world, job.view, total)
    return {"viewId": job.view.id, **total}


def _sum(total, answer):
    if total is None:
        return answer
    for name in ("totalRowCount", "successRowCount", "warnings"):
        total["importSummary"][name] += answer["importSummary"][name]
    total["importErrors"] += answer["importErrors"]
    return total
