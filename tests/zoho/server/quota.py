# SPDX-License-Identifier: PostgreSQL
"""Calls a minute and class, API units a day."""

import collections
import fractions
import math

from .errors import ZohoError

DAY = 86_400


class Quota:
    def __init__(self, settings, clock):
        self.settings, self.clock = settings, clock
        self.minute = None
        self.calls = collections.Counter()      # of this minute, by class
        self.day = None
        self.used = fractions.Fraction(0)       # of this day
        self.total = fractions.Fraction(0)

    def allocated(self):
        return self.settings.daily_units[self.settings.plan]

    def _roll(self):
        now = self.clock.now()
        if self.minute != now // 60:
            self.minute = now // 60
            self.calls.clear()
        day = (now - self.settings.day_begins) // DAY
        if self.day != day:
            self.day = day
            self.used = fractions.Fraction(0)

    def count(self, kind):
        """One call of a class."""
        self._roll()
        for each in ("overall", kind):
            limit = getattr(self.settings, f"rate_{each}")
            if limit and self.calls[each] >= limit:
                raise ZohoError(6045, f"The limit of {limit} {each.upper()} calls a minute is exceeded.")
        self.calls.update(("overall", kind))

    def remaining(self):
        self._roll()
        return self.allocated() - self.used

    def require(self, units):
        if units and self.remaining() < fractions.Fraction(str(units)):
            raise ZohoError(self.settings.quota_code, "The API units of the day are used up.")

    def charge(self, units):
        """What was done has to be paid, even beyond the limit."""
        self._roll()
        self.used += fractions.Fraction(str(units))
        self.total += fractions.Fraction(str(units))

    def exhaust(self):
        self._roll()
        self.used = max(self.used, fractions.Fraction(self.allocated()))

    def import_price(self, kind, rows):
        return self.rows_price(self.settings.price_updateadd if kind == "UPDATEADD" else self.settings.price_append, rows)

    def rows_price(self, per, rows):
        """Of so many rows, where a thousand cost `per`."""
        if self.settings.price_whole_thousands:
            return per * max(1, math.ceil(rows / 1000))
        return per * rows / 1000


def plain(units):
    """An exact sum as Zoho writes numbers: without a fraction when it has none."""
    return str(int(units)) if units == int(units) else str(round(float(units), 3))
