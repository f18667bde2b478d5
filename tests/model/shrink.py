# SPDX-License-Identifier: PostgreSQL
"""Takes operations out of a script as long as it still fails."""

import time


def shrink(script, failure, replay, seconds):
    """replay(script): a failure or None. Returns the shortest failing script found in the time, and its failure."""
    deadline = time.monotonic() + seconds
    size = max(len(script) // 2, 1)
    while time.monotonic() < deadline:
        before = len(script)
        # From behind: what came last is most often needed, and what it needs stays in front of it.
        end = len(script) - 1       # the operation that failed
        while end > 0 and time.monotonic() < deadline:
            begin = max(end - size, 0)
            shorter = script[:begin] + script[end:]
            found = replay(shorter)
            if found:
                script, failure = shorter, found
            end = begin
        if size == 1 and len(script) == before:
            break
        size = max(size // 2, 1)
    return script, failure
