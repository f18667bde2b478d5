# SPDX-License-Identifier: PostgreSQL
"""Importing a file into a table: what CONFIG may say, and what is done; also the synchronous calls."""

import asyncio
import contextlib

from . import files, values
from .config import Key
from .errors import ZohoError
from .rows import KINDS

TYPES = ("APPEND", "TRUNCATEADD", "UPDATEADD")
RIGHTS = {"APPEND": "importAppend", "TRUNCATEADD": "importDeleteAllAdd", "UPDATEADD": "importAddOrUpdate"}
FILE_TYPES = ("CSV", "JSON", "XML", "XLS", "XLSX", "PARQUET", "GEOMETRY")
POLICIES = ("ABORT", "SKIPROW", "SETCOLUMNEMPTY")


def common_keys(settings):
    return {
        "autoIdentify": Key("boolean", required=True),
        "onError": Key("string", choices=POLICIES),
        "selectedColumns": Key("strings", low=1, high=settings.selected_columns_max),
        "skipTop": Key("integer", low=0),
        "delimiter": Key("integer", low=0, high=3),
        "quoted": Key("integer", low=0, high=2),
        "commentChar": Key("string", low=1, high=1),
        "thousandSeparator": Key("integer", low=0, high=4),
        "decimalSeparator": Key("integer", low=0, high=1),
        "columnSeparators": Key("pairs"),
        "dateFormat": Key("string"),
        "columnDateFormat": Key("object"),
        "columnTimeFormat": Key("object"),
        "columnDurationFormat": Key("object"),
        "columnDataTypes": Key("objects"),
        "updateNullForNegativeValues": Key("boolean"),
        "retainColumnNames": Key("boolean"),
        "importHiddenRows": Key("boolean"),
        "importHiddenColumns": Key("boolean"),
    }


def existing_keys(settings):
    """Of an import into a table that is there, without what says where the file comes from."""
    return {"importType": Key("string", required=True),
            "matchingColumns": Key("strings", low=1, high=settings.matching_columns_max),
            "matchNulls": Key("boolean"), **common_keys(settings)}


FILE_TYPE = {"fileType": Key("string", required=True, choices=FILE_TYPES)}


def import_keys(settings):
    return {**existing_keys(settings), **FILE_TYPE}


def new_table_keys(settings):
    return {"tableName": Key("string", required=True, low=1, high=100), **common_keys(settings), **FILE_TYPE}


def check(world, call, config):
    """What keys say together."""
    if "importType" in config:
        config["importType"] = config["importType"].upper()
        if config["importType"] not in TYPES:
            raise ZohoError(8119, "importType must be one of APPEND, TRUNCATEADD and UPDATEADD.")
        world.require_right(call, RIGHTS[config["importType"]])
    needed = []
    if not config["autoIdentify"] and config.get("fileType", "CSV").upper() == "CSV":
        needed += ["delimiter", "quoted"] + ["commentChar"] * world.settings.comment_char_mandatory
    if config.get("importType") == "UPDATEADD":
        needed.append("matchingColumns")
    for name in needed:
        if name not in config:
            raise ZohoError(8079, f"The mandatory key {name} is missing in CONFIG.")
    if values.THOUSANDS[config.get("thousandSeparator", 0)] == values.POINTS[config.get("decimalSeparator", 0)]:
        raise ZohoError(8148, "thousandSeparator and decimalSeparator must differ.")
    for name, pair in config.get("columnSeparators", {}).items():
        if len(pair) < 2 or not all(len(mark) == 1 for mark in pair):
            raise ZohoError(8149, f"columnSeparators of {name} needs two separators.")
        if pair[0] == pair[1]:
            raise ZohoError(8148, f"The two separators of {name} must differ.")


def check_table(world, view, config):
    """Whether the table can take the import at all."""
    if view.type != 0:
        raise ZohoError(7439, f"{view.name} is not a table.")
    if view.kind in ("snapshot", "system", "stream"):
        code, what = KINDS[view.kind]
        raise ZohoError(code, f"{view.name} is {what}.")
    if view.importing is not None:
        raise ZohoError(7092, f"An import into {view.name} is in progress.")
    named = {name for key in ("columnSeparators", "columnDateFormat", "columnTimeFormat", "columnDurationFormat")
             for name in config.get(key, {})}
    if config.get("importType") == "UPDATEADD":
        named.update(config["matchingColumns"])
    for name in sorted(named):
        if view.column(name) is None:
            raise ZohoError(7107, f"The column {name} is not present in the table.")
    values.Reader(world.settings, config).check_formats(view.columns)


def content(call):
    """The bytes of FILE or of DATA."""
    if call.body.file is not None and call.body.data is not None:
        raise ZohoError(8080, "FILE and DATA exclude each other.")
    if call.body.file is None and call.body.data is None:
        raise ZohoError(8504, "The mandatory parameter FILE is missing.")
    return call.body.file if call.body.data is None else call.body.data.encode()


@contextlib.asynccontextmanager
async def locked(view, owner):
    """The table's lock; a row call that is at work ends first."""
    view.importing = owner
    try:
        while view.writing:
            await asyncio.sleep(0.001)
        yield
    finally:
        view.importing = None


async def parsed_file(world, view, config, raw, fault):
    """The file's rows as the table takes them. The work is a thread's, so that other calls are answered meanwhile."""
    settings, columns = world.settings, list(view.columns)
    table = await asyncio.to_thread(files.read, raw, config, settings)
    found = files.targets(table, config, columns, settings)
    for name in config["matchingColumns"] if config.get("importType") == "UPDATEADD" else ():
        if view.column(name) not in found:
            raise ZohoError(7107, f"The matching column {name} is not in the file.")
    lookups = {column.id: world.storage.values_of(column.lookup, view.workspace)
               for column in columns if column.lookup}
    parsed = await asyncio.to_thread(files.convert, table, config, found, columns, settings, lookups)
    parsed.lose(fault.rows if fault else 0)
    return table, parsed


def write(world, view, config, parsed):
    """All rows or none."""
    db = world.storage.db
    db.execute("BEGIN")
    try:
        if config.get("importType") == "UPDATEADD":
            upsert(world, view, config, parsed)
        else:
            if config.get("importType") == "TRUNCATEADD":
                world.storage.delete(view)
            world.check_plan_rows(len(parsed.rows))
            world.storage.insert(view, parsed.columns, parsed.rows)
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def upsert(world, view, config, parsed):
    settings, storage = world.settings, world.storage
    matching = [view.column(name) for name in config["matchingColumns"]]
    places = [parsed.columns.index(column) for column in matching]
    where = " AND ".join(f"{column.sql} IS ?" for column in matching)
    storage.index(view, matching)
    there, old, new = {}, {}, []
    for row in parsed.rows:
        key = tuple(row[at] for at in places)
        if None in key and not config.get("matchNulls"):
            new.append(row)
            continue
        again = key in there
        if not again:
            there[key] = storage.db.execute(f"SELECT 1 FROM {view.sql} WHERE {where}", key).fetchone() is not None
        if again and settings.duplicate_keys == "error":
            raise ZohoError(7232, "The file has a key twice.")
        if not there[key] and settings.duplicate_keys == "insert_all":
            new.append(row)
        elif not again or settings.duplicate_keys == "last_wins":
            old[key] = row
    new += [row for key, row in old.items() if not there[key]]
    world.check_plan_rows(len(new))
    cleared = [] if settings.updateadd_missing_columns == "keep" else [
        column for column in view.columns if column not in parsed.columns and column.type != "AUTO_NUMBER"]
    if settings.duplicate_matches == "first":
        where = f"row = (SELECT min(row) FROM {view.sql} WHERE {where})"
    for key, row in old.items():
        if there[key]:
            storage.update(view, parsed.columns + cleared, row + [None] * len(cleared), where, key)
    storage.insert(view, parsed.columns, new)


def summary(config, table, parsed, operation="updated"):
    return {
        "importSummary": {
            "importType": config.get("importType", "APPEND"), "totalColumnCount": len(table.header),
            "selectedColumnCount": len(parsed.columns), "totalRowCount": parsed.total,
            "successRowCount": len(parsed.rows), "warnings": parsed.warnings, "importOperation": operation},
        "columnDetails": {column.name: values.NAMES[column.type] for column in parsed.columns},
        "importErrors": parsed.errors}


def remember(world, view, answer=None, error=None):
    """What importdetails tells."""
    counts = answer["importSummary"] if answer else {}
    total, good = counts.get("totalRowCount", -1), counts.get("successRowCount", -1)
    bad = total - good if answer else -1
    view.last_import = {
        "moment": world.clock.datetime(), "errors": error.message if error else answer["importErrors"],
        "status": "Failed" if error else "Partial Success" if bad or counts["warnings"] else "Success",
        "columns": {"total": counts.get("totalColumnCount", -1), "success": counts.get("selectedColumnCount", -1)},
        "rows": {"total": total, "success": good, "warning": counts.get("warnings", -1), "failed": bad}}


async def execute(world, call, view, config, raw, target=None):
    """One file into a table whose lock is held, or into the rows that stand in for it: the answer's data."""
    kind = config.get("importType", "APPEND")
    try:
        table, parsed = await parsed_file(world, view, config, raw, call.fault_of("partial"))
        price = world.quota.import_price(kind, parsed.total)
        world.quota.require(price)
        answer = summary(config, table, parsed)
        vanish = call.fault_of("vanish")
        del parsed.rows[:vanish.rows if vanish else 0]
        write(world, target or view, config, parsed)
    except ZohoError as error:
        if error.code in (7232, 7208) and world.settings.charge_failed_imports:
            world.charge(call, world.quota.import_price(kind, 1))
        remember(world, view, error=error)
        raise
    world.charge(call, price)
    call.rows = parsed.total
    remember(world, view, answer)
    return answer


async def synchronous(world, call):
    view, config = call.view, call.config
    check(world, call, config)
    check_table(world, view, config)
    raw = content(call)
    world.quota.require(world.quota.import_price(config["importType"], 1))
    async with locked(view, call):
        await asyncio.sleep(world.settings.import_seconds)
        try:
            return "Import data", await execute(world, call, view, config, raw)
        except ZohoError as error:
            emptied = world.settings.truncateadd_failure == "emptied" and error.code in (7232, 7208, 6001)
            if config["importType"] == "TRUNCATEADD" and emptied:
                world.storage.delete(view)
            raise


def guessed(texts):
    """The type of a column that nobody gave one."""
    texts = [text for text in texts if text]
    for kind, pattern in (("NUMBER", values.DIGITS), ("DECIMAL_NUMBER", values.DECIMAL)):
        if texts and all(pattern.fullmatch(text) for text in texts):
            return kind
    return "PLAIN"


async def new_table(world, call):
    config = call.config
    check(world, call, config)
    view = await made_table(world, call, config, content(call))
    async with locked(view, call):
        answer = await execute(world, call, view, config, content(call))
    answer["importSummary"]["importOperation"] = "created"
    return "Import data", {"viewId": view.id, **answer}


async def made_table(world, call, config, raw):
    """The table that a file asks for, still empty."""
    world.require_right(call, "createTable")
    if world.storage.view_named(call.workspace, config["tableName"]):
        raise ZohoError(7111, f"A view with the name {config['tableName']} exists already.")
    given = {each.get("columnName"): each.get("dataType") for each in config.get("columnDataTypes", ())}
    for kind in given.values():
        if kind not in values.NAMES:
            raise ZohoError(7146, f"{kind} is not a data type.")
    table = await asyncio.to_thread(files.read, raw, config, world.settings)
    view = world.storage.add_view(call.workspace, config["tableName"])
    for at, name in enumerate(table.header):
        kind = given.get(name) or guessed(row[at] for _, row in table.records if at < len(row))
        world.storage.add_column(view, name, kind)
    return view
