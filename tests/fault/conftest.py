# SPDX-License-Identifier: PostgreSQL
"""A test with a parameter `cell` puts what became of it into its matrix."""

import matrix
import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    cell = getattr(item, "callspec", None) and item.callspec.params.get("cell")
    if cell and (report.when == "call" or not report.passed):
        cell.matrix.put(cell.row, cell.column, "ok" if report.passed else report.outcome)


def pytest_terminal_summary(terminalreporter):
    matrix.show(terminalreporter.write_line)


@pytest.fixture
def block(request, cell):
    """The target of a cell, as YAML."""
    if cell.target == "sqlite":
        return "type: sqlite\npath: lite.db"
    return f"type: postgres\nuri: {request.getfixturevalue('dw').uri}"
