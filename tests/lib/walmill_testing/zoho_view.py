# SPDX-License-Identifier: PostgreSQL
"""A view at the Zoho Analytics server, compared value by value with its table as docs/types.md says."""

import decimal

from .compare import CONTEXT

DECIMALS = ("float4", "float8", "numeric")


class ZohoView:
    """Takes the place of a target's reader in compare.differences."""

    kind = "zoho_analytics"

    def __init__(self, zoho):
        self.zoho = zoho

    def view_rows(self, view, columns, where=None):
        assert where is None
        return [tuple(row[name] for name in columns) for row in self.zoho.rows(view)]

    @staticmethod
    def expected(text, kind, _typmod):
        if text is None or text == "":
            return None
        if kind == "bool":
            return {"t": "true", "f": "false"}[text]
        if kind in DECIMALS:
            return CONTEXT.create_decimal(text).normalize(CONTEXT)
        if kind == "timestamptz":
            return text.removesuffix("+00")[:19]
        if kind in ("timestamp", "time"):
            return text.partition(".")[0]
        return text

    @staticmethod
    def actual(cell, kind, _typmod):
        return cell if cell is None or kind not in DECIMALS else decimal.Decimal(cell).normalize(CONTEXT)
