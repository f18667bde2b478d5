# SPDX-License-Identifier: PostgreSQL
"""What a process has in memory."""

import pathlib


def _mib(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {name} of process {pid}")


def peak_mib(pid):
    """Peak of the resident set."""
    return _mib(pid, "VmHWM")


def resident_mib(pid):
    return _mib(pid, "VmRSS")
