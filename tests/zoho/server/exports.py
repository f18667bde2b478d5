# SPDX-License-Identifier: PostgreSQL
"""Synchronous export: the answer is the file, without an envelope."""

import csv
import io
import json

from . import criteria, values
from .config import Key
from .errors import ZohoError

KEYS = {"responseFormat": Key("string", required=True, choices=("CSV", "JSON")), "criteria": Key("string"),
        "selectedColumns": Key("strings", low=1), "showPersonalCols": Key("boolean"),
        "showHiddenCols": Key("boolean")}


def _columns(config, view):
    shown = [column for column in view.columns
             if (config.get("showPersonalCols", False) or not column.personal)
             and (config.get("showHiddenCols", True) or not column.hidden)]
    if "selectedColumns" not in config:
        return shown
    for name in config["selectedColumns"]:
        if view.column(name) is None:
            raise ZohoError(7107, f"There is no column {name}.")
    return [view.column(name) for name in config["selectedColumns"] if view.column(name) in shown]


async def export(world, call):
    """The content type and the file."""
    config, view, storage = call.config, call.view, world.storage
    if view.type != 0 or storage.count(view) > world.settings.export_rows_max:
        raise ZohoError(8133, f"{view.name} cannot be exported synchronously.")
    columns = _columns(config, view)
    where, parameters = ("1", ())
    if "criteria" in config:
        where, parameters = criteria.condition(config["criteria"], view, storage)
    names = [column.name for column in columns]
    rows = [[values.shown(value) for value in row] for row in storage.select(view, columns, where, parameters)]
    price = world.quota.rows_price(world.settings.price_export, len(rows))
    world.quota.require(price)
    if config["responseFormat"].upper() == "JSON":
        kind, text = "application/json", json.dumps({"data": [dict(zip(names, row)) for row in rows]})
    else:
        kind, out = "text/csv", io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([names, *rows])
        text = out.getvalue()
    if len(text) > world.settings.export_bytes_max:
        raise ZohoError(8133, f"{view.name} is too large to be exported synchronously.")
    world.charge(call, price)
    call.rows = len(rows)
    return kind, text
