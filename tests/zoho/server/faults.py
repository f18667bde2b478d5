# SPDX-License-Identifier: PostgreSQL
"""Faults by script: which request meets one is decided when the request arrives, in the order of arrival."""

import dataclasses

DEEDS = {
    "drop_headers": "the connection ends before the body is read",
    "drop_before": "the connection ends when the body is read, nothing is done",
    "drop_after": "the connection ends when all is done and stored, without an answer",
    "drop_midway": "all is done, the answer ends in its middle",
    "delay": "`seconds` of real time pass before anything is done",
    "delay_after": "`seconds` of real time pass before the answer is sent",
    "error": "`code` and `message` instead of being done, with HTTP `status` when given",
    "error_after": "all is done, then `code` (7005 when not given)",
    "http": "an answer that is not Zoho's: HTTP `status` (502 when not given), `message` as HTML, nothing is done",
    "expire_tokens": "every access token has ended",
    "exhaust": "the API units of the day are used up",
    "partial": "the first `rows` rows of an import are lost, the answer counts them",
    "vanish": "the first `rows` rows of an import are not stored, the answer says that they are",
    "job_error": "the job fails with `code` and `message`",
    "job_lost": "nobody knows the job that was made; its work is done all the same with `commit`",
    "callback_lost": "nobody is told that the job has ended, although CONFIG asks for it",
    "job_stuck": "the job stays in progress",
    "token_error": "the token endpoint answers `message` as its error, with HTTP `status` (200 when not given)",
    "throttle": "the token endpoint says that there were too many requests",
}


@dataclasses.dataclass
class Fault:
    do: str
    call: str = "*"             # the call's name; see routes.py
    table: str = None           # of one table only
    skip: int = 0               # so many calls are let through first
    times: int = 1              # then so many meet it; 0 is all
    probability: float = 1.0    # of each of these, by the server's seed
    code: int = None
    status: int = None
    message: str = None
    seconds: float = 0.0
    rows: int = 0
    commit: bool = False
    hits: int = 0

    def __post_init__(self):
        if self.do not in DEEDS:
            raise ValueError(f"no such fault: {self.do}")


class Faults:
    def __init__(self, random):
        self.random = random
        self.all = []

    def take(self, name, table):
        """The faults that a call meets."""
        met = []
        for fault in self.all:
            if fault.call not in ("*", name) or fault.table not in (None, table):
                continue
            if fault.times and fault.hits >= fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
            elif fault.probability >= 1 or self.random.random() < fault.probability:
                fault.hits += 1
                met.append(fault)
        return met
