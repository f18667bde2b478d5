# SPDX-License-Identifier: PostgreSQL
"""Whatever happens at the source and to walmill: at rest, every view equals its table under the rules.

Random operations (rows, keys, definitions, transactions of several connections, rules, kills), drawn from a seed.
A failure leaves its script, made shorter, in WM_BUILDDIR/model-found.

  WM_MODEL_SEEDS="1 2"    these seeds (default: a few that are fixed)
  WM_MODEL_STEPS=150      how long a script is
  WM_MODEL_SECONDS=600    new seeds until the time is over, WM_MODEL_SEEDS is where they begin
  WM_MODEL_SHRINK=120     seconds to make a failing script shorter
  WM_MODEL_SCRIPT=FILE    runs a script again
"""

import dataclasses
import itertools
import json
import os
import pathlib
import random
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from drama import Drama, header     # noqa: E402  pylint: disable=wrong-import-position
from shrink import shrink           # noqa: E402  pylint: disable=wrong-import-position
from stage import Failure, Stage, Undecodable       # noqa: E402  pylint: disable=wrong-import-position

SEEDS = os.environ.get("WM_MODEL_SEEDS", "").split()
STEPS = int(os.environ.get("WM_MODEL_STEPS", "150"))
SECONDS = float(os.environ.get("WM_MODEL_SECONDS", "0"))
SHRINK = float(os.environ.get("WM_MODEL_SHRINK", "0"))
SCRIPT = os.environ.get("WM_MODEL_SCRIPT")
FOUND = pathlib.Path(os.environ.get("WM_BUILDDIR", ".")) / "model-found"
SHOWN = 40      # operations in a message


@dataclasses.dataclass
class Found:
    text: str
    log: str


def run(pg, head, play):
    """What goes wrong while play(stage) runs, or None."""
    with Stage(pg, head["settings"], head.get("streaming", False)) as stage:
        try:
            play(stage)
        except Failure as failure:
            return Found(str(failure), stage.daemon.log())
    return None


def replay(pg, head, operations):
    """The same for a script; the server's own failure is none."""
    def play(stage):
        for operation in operations:
            stage.run(operation)

    try:
        return run(pg, head, play)
    except Undecodable:
        return None


def lines(operations):
    return [json.dumps(operation, ensure_ascii=False) for operation in operations]


def save(name, head, operations, found):
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND / f"{name}.jsonl"
    path.write_text("\n".join(lines([head, *operations])) + "\n")
    path.with_suffix(".txt").write_text(f"{found.text}\n\nlog:\n{found.log}")
    return path.resolve()


def try_seed(pg, seed):
    """What a person needs who wants to see the failure again, or None."""
    head, operations = header(seed), []
    found = run(pg, head, lambda stage: Drama(stage, seed, operations).play(STEPS))
    if found is None:
        return None
    path = save(seed, head, operations, found)
    title = f"seed {seed} fails at operation {len(operations)}"
    if SHRINK > 0:
        operations, found = shrink(operations, found, lambda shorter: replay(pg, head, shorter), SHRINK)
        path = save(f"{seed}-short", head, operations, found)
        title += f", made shorter: {len(operations)} operations"
    shown = [line if len(line) <= 300 else f"{line[:300]} ..." for line in lines(operations[-SHOWN:])]
    return (f"{title}\n{found.text}\n"
            f"again: WM_MODEL_SEEDS={seed} WM_MODEL_STEPS={STEPS}, or WM_MODEL_SCRIPT={path}\n"
            f"the log is beside it; settings \"{head['settings']}\", the last operations:\n" + "\n".join(shown))


def play_for(pg, seconds):
    """New seeds until the time is over; a summary, and how many failed."""
    first = int(SEEDS[0]) if SEEDS else random.SystemRandom().randrange(10**6) * 1000
    deadline = time.monotonic() + seconds
    failed = undecodable = 0
    for seed in itertools.count(first):
        if time.monotonic() > deadline:
            break
        try:
            message = try_seed(pg, str(seed))
        except Undecodable:
            undecodable += 1
            continue
        if message:
            failed += 1
            print(f"\n{message}\n", flush=True)
    return (f"{seed - first} seeds from {first}, {STEPS} operations each: {failed} failed, "
            f"{undecodable} ended early because PostgreSQL could not decode its own WAL"), failed


# One of these is the test that was asked for.
if SCRIPT:
    def test_script(pg):
        head, *operations = map(json.loads, pathlib.Path(SCRIPT).read_text().splitlines())
        found = replay(pg, head, operations)
        if found:
            pytest.fail(f"{found.text}\nlog:\n{found.log[-12000:]}", pytrace=False)
elif SECONDS:
    def test_soak(pg, capsys):
        with capsys.disabled():
            summary, failed = play_for(pg, SECONDS)
            print(f"\n{summary}", flush=True)
        if failed:
            pytest.fail(summary, pytrace=False)
else:
    @pytest.mark.parametrize("seed", SEEDS or ["2", "3", "4"])
    def test_seed(pg, seed):
        try:
            message = try_seed(pg, seed)
        except Undecodable as why:
            pytest.skip(str(why))
        if message:
            pytest.fail(message, pytrace=False)
