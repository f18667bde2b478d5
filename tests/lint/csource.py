# SPDX-License-Identifier: PostgreSQL
"""What the checks of C sources share: where the files are, and their text without comments."""

import contextlib
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.DOTALL,
)


def files(*globs):
    """Paths below the source folder, sorted; each glob starts there."""
    return sorted({path for glob in globs for path in ROOT.glob(glob)})


def relative(path):
    return path.relative_to(ROOT).as_posix()


def strip(text, keep_strings=False):
    """Comments (and strings) blanked out; line numbers stay."""

    def blank(match):
        if match.lastgroup == "string":
            return match.group() if keep_strings else '""'
        return "\n" * match.group().count("\n") or " "

    return _TOKEN.sub(blank, text)


@contextlib.contextmanager
def scratch():
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder)


def finish(problems, checked, what):
    """Prints the problems and ends the process. A check that saw no file is a failure."""
    for problem in problems:
        print(problem)
    if not checked:
        print(f"no {what} found below {ROOT}")
    sys.exit(1 if problems or not checked else 0)
