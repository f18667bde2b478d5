# SPDX-License-Identifier: PostgreSQL
"""Types: what a text has to look like to be stored in a column, and what is stored.

NUMBER and its like are stored as integers, all else as text in one canonical form, so that equal values are equal.
"""

import decimal
import re

from . import dates

# Type -> its name in metadata and columnDetails.
NAMES = {
    "PLAIN": "Plain Text", "MULTI_LINE": "Multi Line Text", "NUMBER": "Number", "POSITIVE_NUMBER": "Positive Number",
    "DECIMAL_NUMBER": "Decimal Number", "CURRENCY": "Currency", "PERCENT": "Percent", "AUTO_NUMBER": "Auto Number",
    "BOOLEAN": "Decision Box", "DATE": "Date", "DATE_AS_DATE": "Date", "TIME": "Time", "DURATION": "Duration",
    "EMAIL": "Email", "URL": "URL", "GEO": "Geo", "GEO_NUM": "Geo",
}
INTEGERS = ("NUMBER", "POSITIVE_NUMBER", "AUTO_NUMBER")
DECIMALS = ("DECIMAL_NUMBER", "CURRENCY", "PERCENT", "GEO_NUM")
TIMES = ("DATE", "DATE_AS_DATE", "TIME", "DURATION")

THOUSANDS = {0: ",", 1: ".", 2: " ", 3: "'", 4: ""}
POINTS = {0: ".", 1: ","}

EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
URL = re.compile(r"(https?|ftp)://[^\s/]+\S*|www\.\S+")
DIGITS = re.compile(r"-?[0-9]+")
DECIMAL = re.compile(r"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
EXPONENT = re.compile(r"-?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]{1,2}")


class Reader:
    """Reads texts of one request into values, by the separators and date formats that its CONFIG names."""

    def __init__(self, settings, config=None, with_separators=False):
        self.settings = settings
        self.config = config or {}
        self.separators = ("", ".")
        if with_separators:
            self.separators = (THOUSANDS[self.config.get("thousandSeparator", 0)],
                               POINTS[self.config.get("decimalSeparator", 0)])

    def check_formats(self, columns):
        """7512 for a format that is none, before any value is read."""
        for column in columns:
            if column.type in TIMES:
                dates.check(self.format(column), column.type, self.settings.date_fraction_digits)

    def format(self, column):
        keys = {"TIME": ("columnTimeFormat", "default_time_format"),
                "DURATION": ("columnDurationFormat", "default_duration_format"),
                "DATE": ("columnDateFormat", "default_date_format"),
                "DATE_AS_DATE": ("columnDateFormat", "default_day_format")}
        key, default = keys[column.type]
        own = self.config.get(key, {}).get(column.name)
        general = self.config.get("dateFormat") if key == "columnDateFormat" else None
        return own or general or getattr(self.settings, default)

    def reader(self, column):
        """A function from a text that is not empty to what is stored; it raises ValueError with the reason."""
        settings = self.settings
        if column.type in INTEGERS:
            return self._integer(column)
        if column.type in DECIMALS:
            return self._decimal(column)
        if column.type in TIMES:
            return self._time(column)
        if column.type == "BOOLEAN":
            return self._boolean
        limit = settings.plain_max if column.type != "MULTI_LINE" else settings.multi_line_max
        pattern = {"EMAIL": EMAIL, "URL": URL}.get(column.type)

        def text(value):
            size = len(value.encode()) if settings.text_limit_in_bytes else len(value)
            if size > limit:
                raise ValueError(f"longer than {limit}")
            if "\0" in value or pattern and not pattern.fullmatch(value):
                raise ValueError("invalid text value")
            return value
        return text

    def _marks(self, column):
        pair = self.config.get("columnSeparators", {}).get(column.name)
        return tuple(pair[:2]) if pair else self.separators

    def _plain_number(self, column):
        thousand, point = self._marks(column)

        def plain(value):
            if thousand and thousand in value:
                whole = value.partition(point)[0]
                groups = whole.lstrip("-").split(thousand)
                if not groups[0] or any(len(group) != 3 for group in groups[1:]):
                    raise ValueError("invalid number value")
                value = value.replace(thousand, "")
            if point != "." and "." in value:
                raise ValueError("invalid number value")
            return value.replace(point, ".")
        return plain

    def _integer(self, column):
        plain, positive, limit = self._plain_number(column), column.type != "NUMBER", self.settings.number_digits

        def integer(value):
            value = plain(value)
            if not DIGITS.fullmatch(value):
                raise ValueError("invalid number value")
            number = int(value)
            if len(str(abs(number))) > limit or not -2**63 <= number < 2**63 or positive and number < 0:
                raise ValueError("number out of range")
            return number
        return integer

    def _decimal(self, column):
        plain, limit = self._plain_number(column), self.settings.decimal_digits

        def read(value):
            value = plain(value)
            if not DECIMAL.fullmatch(value) and not (self.settings.number_exponents and EXPONENT.fullmatch(value)):
                raise ValueError("invalid decimal value")
            return canonical_decimal(value, limit)
        return read

    def _boolean(self, value):
        literals = self.settings.boolean_literals
        if value not in literals:
            raise ValueError("invalid boolean value")
        return "true" if literals[value] else "false"

    def _time(self, column):
        pattern = dates.check(self.format(column), column.type, self.settings.date_fraction_digits)
        part = {"DATE": slice(None), "DATE_AS_DATE": slice(0, 10)}.get(column.type, slice(11, None))
        return lambda value: dates.stamp(pattern.read(value))[part]


def canonical_decimal(text, limit):
    number = decimal.Decimal(text)
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    digits = len(plain.replace("-", "").replace(".", "").lstrip("0"))
    if digits > limit:
        raise ValueError("number out of range")
    return "0" if plain in ("-0", "") else plain


def shown(value):
    """As exported: everything is a text, null an empty one."""
    return "" if value is None else str(value)
