# SPDX-License-Identifier: PostgreSQL
"""The rows API: insert, update or insert, delete."""

import asyncio

from . import criteria, values
from .config import DATE_KEYS, Key, one_of
from .errors import ZohoError

KINDS = {"snapshot": (7165, "a snapshot table"), "system": (7164, "a system table"),
         "stream": (101021, "a stream table"), "norows": (7405, "a table whose rows cannot be changed")}


def insert_keys(settings):
    return {"columns": Key("object", required=True, high=settings.row_columns_max), **DATE_KEYS}


def update_keys(settings):
    return {**insert_keys(settings), "criteria": Key("string"), "updateAllRows": Key("boolean"),
            "addIfNotExist": Key("boolean")}


DELETE_KEYS = {"criteria": Key("string"), "deleteAllRows": Key("boolean")}


class Turn:
    """The table for one row call: others at the same time are refused."""

    def __init__(self, world, view):
        self.world, self.view = world, view

    async def __aenter__(self):
        check_writable(self.view)
        if self.view.writing:
            raise ZohoError(8062, "Another row request on the table is still in progress.")
        self.view.writing = True
        try:
            await asyncio.sleep(self.world.settings.row_seconds)
        except BaseException:
            self.view.writing = False
            raise

    async def __aexit__(self, *_):
        self.view.writing = False


def check_writable(view):
    if view.type != 0:
        raise ZohoError(7137, f"{view.name} is not a table.")
    if view.kind:
        code, what = KINDS[view.kind]
        raise ZohoError(code, f"{view.name} is {what}.")
    if view.importing is not None:
        raise ZohoError(7092, f"An import into {view.name} is in progress.")


class Given:
    """The columns of a CONFIG: those that the table has, with their values, and those that it has not."""

    def __init__(self, world, call):
        settings, config, view = world.settings, call.config, call.view
        self.columns, self.row, self.shown, self.invalid = [], [], {}, {}
        reader = values.Reader(settings, config)
        for name, text in config["columns"].items():
            column = view.column_any_case(name)
            if column is None or column.type == "AUTO_NUMBER":
                self.invalid[name] = text
                continue
            reader.check_formats([column])
            try:
                value = reader.reader(column)(text) if text else None
            except ValueError as bad:
                if settings.row_bad_value == "invalidColumns":
                    self.invalid[name] = text
                    continue
                raise ZohoError(settings.row_value_code, f"The value of {name} does not fit: {bad}.") from None
            if value is None and column.mandatory:
                raise ZohoError(settings.row_value_code, f"{name} is mandatory.")
            if column.lookup and value is not None and value not in world.storage.values_of(
                    column.lookup, view.workspace):
                raise ZohoError(7515, f"The value of {name} is not in the column that it looks up.")
            self.columns.append(column)
            self.row.append(value)
            self.shown[name] = text
        if not self.columns:
            raise ZohoError(8016, "No column of the table is named.")

    def insert(self, world, call):
        view = call.view
        for column in view.columns:
            if column.mandatory and column not in self.columns:
                raise ZohoError(world.settings.row_value_code, f"{column.name} is mandatory.")
        world.check_plan_rows(1)
        world.storage.insert(view, self.columns, [self.row])


async def insert(world, call):
    async with Turn(world, call.view):
        world.require_right(call, "addRow")
        given = Given(world, call)
        world.quota.require(world.settings.price_row_insert)
        given.insert(world, call)
        world.charge(call, world.settings.price_row_insert)
        call.rows = 1
        return "Row added", {"addedColumns": given.shown, "invalidColumns": given.invalid}


async def update(world, call):
    async with Turn(world, call.view):
        world.require_right(call, "updateRow")
        everything = one_of(call.config, "criteria", "updateAllRows", 8130)
        if call.config.get("addIfNotExist"):
            world.require_right(call, "addRow")
        where, parameters = ("1", ()) if everything else criteria.condition(
            call.config["criteria"], call.view, world.storage)
        given = Given(world, call)
        world.quota.require(world.settings.price_row_update)
        changed = world.storage.update(call.view, given.columns, given.row, where, parameters)
        answer = {"updatedColumns": given.shown, "updatedRows": changed, "invalidColumns": given.invalid}
        if not changed and call.config.get("addIfNotExist"):
            given.insert(world, call)
            answer["newRowAdded"] = True
        world.charge(call, world.settings.price_row_update * max(1, changed))
        call.rows = max(changed, "newRowAdded" in answer)
        return "Rows updated", answer


async def delete(world, call):
    async with Turn(world, call.view):
        world.require_right(call, "deleteAllRows")
        everything = one_of(call.config, "criteria", "deleteAllRows", 8131)
        where, parameters = ("1", ()) if everything else criteria.condition(
            call.config["criteria"], call.view, world.storage)
        world.quota.require(world.settings.price_row_delete)
        call.rows = world.storage.delete(call.view, where, parameters)
        world.charge(call, world.settings.price_row_delete * max(1, call.rows))
        return "Rows deleted", {"deletedRows": call.rows}
