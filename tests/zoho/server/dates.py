# SPDX-License-Identifier: PostgreSQL
"""Java's date patterns, read strictly: what a pattern does not say is no date."""

import dataclasses
import datetime
import functools
import re

from .errors import ZohoError

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DATE_FIELDS = {"year", "month", "day"}


def _either(words):
    return "|".join(words)


def _names(words, count):
    return _either(word[:3] for word in words) if count <= 3 else _either(words)


# Pattern letter: what the number of letters means to the expression, or None when it means nothing.
LETTERS = {
    "y": lambda n: r"(?P<year>\d{4})" if n == 4 else r"(?P<short_year>\d\d)" if n == 2 else None,
    "M": lambda n: rf"(?P<month>\d{{{n},2}})" if n <= 2 else f"(?P<month_name>{_names(MONTHS, n)})",
    "d": lambda n: rf"(?P<day>\d{{{n},2}})" if n <= 2 else None,
    "H": lambda n: rf"(?P<hour>\d{{{n},2}})" if n <= 2 else None,
    "h": lambda n: rf"(?P<hour12>\d{{{n},2}})" if n <= 2 else None,
    "m": lambda n: rf"(?P<minute>\d{{{n},2}})" if n <= 2 else None,
    "s": lambda n: rf"(?P<second>\d{{{n},2}})" if n <= 2 else None,
    "S": lambda n: rf"(?P<fraction>\d{{{n}}})",
    "a": lambda n: "(?P<half>[AaPp][Mm])",
    "E": lambda n: f"(?:{_names(DAYS, n)})",
}
PIECES = re.compile(r"([A-Za-z])\1*|'((?:[^']|'')*)'|[^A-Za-z']+")


@dataclasses.dataclass
class Pattern:
    expression: re.Pattern
    fields: set

    def read(self, text):
        """A datetime; ValueError when the text is none."""
        found = self.expression.fullmatch(text)
        if not found:
            raise ValueError("does not match the date format")
        part = found.groupdict()
        year = int(part.get("year") or 1970)
        if part.get("short_year"):
            year = 2000 + int(part["short_year"])
        month = int(part.get("month") or 1)
        if part.get("month_name"):
            month = 1 + [name[:3] for name in MONTHS].index(part["month_name"][:3])
        hour = int(part.get("hour") or 0)
        if part.get("hour12"):
            if not 1 <= int(part["hour12"]) <= 12:
                raise ValueError("hour")
            hour = int(part["hour12"]) % 12 + (12 if part["half"].upper() == "PM" else 0)
        fraction = (part.get("fraction") or "").ljust(6, "0")
        return datetime.datetime(year, month, int(part.get("day") or 1), hour, int(part.get("minute") or 0),
                                 int(part.get("second") or 0), int(fraction))


@functools.lru_cache(maxsize=256)
def compiled(pattern, fraction_digits):
    """The Pattern; 7512 when it is none."""
    bad = ZohoError(7512, f"The date format {pattern!r} is not valid.")
    expression, fields, end = "", set(), 0
    for piece in PIECES.finditer(pattern):
        if piece.start() != end:
            raise bad
        end = piece.end()
        letter, quoted = piece.group(1), piece.group(2)
        if letter:
            count = len(piece.group())
            part = LETTERS.get(letter, lambda n: None)(count)
            if part is None or letter == "S" and count > fraction_digits:
                raise bad
            expression += part
            fields.update(re.findall(r"\?P<(\w+)>", part))
        else:
            expression += re.escape(piece.group() if quoted is None else quoted.replace("''", "'") or "'")
    if end != len(pattern) or not fields or ("hour12" in fields) != ("half" in fields):
        raise bad
    try:
        made = re.compile(expression)
    except re.error:        # a letter twice
        raise bad from None
    return Pattern(made, {"year" if f == "short_year" else "month" if f == "month_name" else f for f in fields})


def check(pattern, kind, fraction_digits):
    """7512 unless it is a pattern that gives what the type needs."""
    made = compiled(pattern, fraction_digits)
    if kind in ("DATE", "DATE_AS_DATE") and not made.fields >= DATE_FIELDS:
        raise ZohoError(7512, f"The date format {pattern!r} is not valid.")
    return made


def stamp(moment):
    """The form that is stored and exported."""
    text = moment.strftime("%H:%M:%S")
    if moment.microsecond:
        text += f".{moment.microsecond // 1000:03}"
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02} {text}"


def spoken(moment):
    """The form of lastImportTime."""
    return moment.strftime("%d %B, %Y %I:%M:%S %p UTC")
