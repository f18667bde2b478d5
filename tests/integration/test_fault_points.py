# SPDX-License-Identifier: PostgreSQL
"""The points of --enable-fault-injection are in no program that is not built for them."""

import os
import pathlib

import pytest
from walmill_testing import program, run_walmill


def test_an_ordinary_program_has_none():
    config = pathlib.Path(os.environ.get("WM_BUILDDIR", pathlib.Path(program()).parent)) / "config.status"
    if config.exists() and "--enable-fault-injection" in config.read_text():
        pytest.skip("built with --enable-fault-injection")
    assert b"WALMILL_FAULT_AT" not in pathlib.Path(program()).read_bytes()
    done = run_walmill("--version", env={"WALMILL_FAULT_AT": "no such point"})
    assert done.stdout.startswith("walmill ")
