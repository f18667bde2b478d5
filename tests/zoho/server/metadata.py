# SPDX-License-Identifier: PostgreSQL
"""Organisations, workspaces, views, columns, the last import, the plan; making tables and columns."""

import re

from . import values
from .config import Key, check
from .dates import spoken
from .errors import ZohoError
from .quota import plain

SIZES = {"PLAIN": 253, "MULTI_LINE": 65535, "EMAIL": 253, "URL": 253}
BAD_NAME = re.compile(r'["\[\]\x00-\x1f]')


# ---- reading ----

async def orgs(world, call):
    world.charge(call, world.settings.price_metadata)
    return "Get organizations", {"orgs": [{
        "orgId": world.org, "orgName": "Walmill's organisation", "planName": world.settings.plan, "isDefault": True,
        "numberOfWorkspaces": len(world.storage.workspaces), "role": "Account Admin"}]}


def _workspaces(world):
    return [{"workspaceId": id, "workspaceName": name, "orgId": world.org, "isDefault": False}
            for id, name in world.storage.workspaces.items()]


async def workspaces(world, call):
    world.charge(call, world.settings.price_metadata)
    kind = call.path.rpartition("/")[2]
    if kind == "workspaces":
        return "Get workspaces", {"ownedWorkspaces": _workspaces(world), "sharedWorkspaces": []}
    return "Get workspaces", {"workspaces": _workspaces(world) if kind == "owned" else []}


def _view(view):
    return {"viewId": view.id, "viewName": view.name, "viewDesc": view.description,
            "viewType": {0: "Table", 6: "QueryTable", 7: "Dashboard"}.get(view.type, "Report"), "parentViewId": "",
            "folderId": view.folder, "createdTime": "1767024000000", "workspaceId": view.workspace}


VIEWS_KEYS = {"viewTypes": Key("integers"), "keyword": Key("string"), "startIndex": Key("integer", low=0),
              "noOfResult": Key("integer", low=1), "sortedColumn": Key("integer"), "sortedOrder": Key("integer")}


async def views(world, call):
    config = call.config
    kinds, keyword = config.get("viewTypes"), config.get("keyword", "").casefold()
    found = [view for view in world.storage.views.values()
             if view.workspace == call.workspace and keyword in view.name.casefold()
             and (kinds is None or view.type in kinds)]
    if "sortedColumn" in config:
        found.sort(key=lambda view: view.name, reverse=config.get("sortedOrder") == 1)
    begin = config.get("startIndex", 0)
    end = begin + config["noOfResult"] if "noOfResult" in config else None
    world.charge(call, world.settings.price_metadata)
    return "Get views", {"views": [_view(view) for view in found[begin:end]]}


async def view_details(world, call):
    world.charge(call, world.settings.price_metadata)
    return "Get view details", {"views": {**_view(call.view), "orgId": world.org}}


METADETAILS_KEYS = {"workspaceName": Key("string", required=True), "viewName": Key("string")}


async def metadetails(world, call):
    name, storage = call.config["workspaceName"], world.storage
    workspace = next((id for id, own in storage.workspaces.items() if own == name), None)
    if workspace is None:
        raise ZohoError(7103, f"There is no workspace {name}.")
    answer = {"workspaces": {"workspaceId": workspace, "workspaceName": name, "orgId": world.org}}
    if "viewName" in call.config:
        view = storage.view_named(workspace, call.config["viewName"])
        if view is None:
            raise ZohoError(7104, f"There is no view {call.config['viewName']}.")
        answer["views"] = _view(view)
    world.charge(call, world.settings.price_metadata)
    return "Get meta details", answer


async def columns(world, call):
    world.require_right(call, "design")
    if call.view.type != 0:
        raise ZohoError(7397, f"{call.view.name} is not a table.")
    world.charge(call, world.settings.price_metadata)
    return "Get view metadata", {"viewId": call.view.id, "viewName": call.view.name, "columns": [{
        "columnId": column.id, "columnName": column.name, "dataType": column.type,
        "dataTypeName": values.NAMES[column.type], "columnIndex": at,
        "columnMaxSize": SIZES.get(column.type, 19), "isNullable": not column.mandatory, "defaultValue": "",
        "pkTableName": column.lookup[0] if column.lookup else "",
        "pkColumnName": column.lookup[1] if column.lookup else ""}
        for at, column in enumerate(call.view.columns)]}


async def last_import(world, call):
    world.charge(call, world.settings.price_metadata)
    last = call.view.last_import
    if not last:
        return "Get last import details", {}
    return "Get last import details", {
        "viewName": call.view.name, "lastImportTime": spoken(last["moment"]), "lastImportStatus": last["status"],
        "columns": {name: str(count) for name, count in last["columns"].items()},
        "rows": {name: str(count) for name, count in last["rows"].items()}, "importErrors": last["errors"]}


def _usage(allocated, used):
    if allocated is None:
        return {"allocated": "Unlimited", "used": plain(used), "remaining": "Unlimited"}
    return {"allocated": plain(allocated), "used": plain(used), "remaining": plain(max(0, allocated - used))}


async def resources(world, call):
    world.require_right(call, "admin")
    world.charge(call, world.settings.price_metadata)
    units, rows = world.quota.allocated(), world.settings.plan_rows or None
    return "Get resources", {"resources": [
        {"resourceName": "apiUnits", "resourceUsage": _usage(units, units - world.quota.remaining())},
        {"resourceName": "rows", "resourceUsage": _usage(rows, world.storage.rows_of_all())}]}


# ---- making ----

TABLE_KEYS = {"tableDesign": Key("any object", required=True)}
DESIGN_KEYS = {"TABLENAME": Key("string", required=True), "TABLEDESCRIPTION": Key("string"),
               "FOLDERNAME": Key("string"), "COLUMNS": Key("objects", required=True)}
DESIGN_COLUMN_KEYS = {"COLUMNNAME": Key("string", required=True), "DATATYPE": Key("string", required=True),
                      "MANDATORY": Key("string", choices=("TRUE", "FALSE")), "DESCRIPTION": Key("string"),
                      "DEFAULT": Key("string")}


def _check_names(names, present, repeated, limit):
    seen = {name.casefold() for name in present}
    for name in names:
        if not name.strip() or len(name) > 100 or BAD_NAME.search(name):
            raise ZohoError(7127, f"{name!r} is no name for a column.")
        if name.casefold() in seen:
            raise ZohoError(repeated, f"There is a column {name} already.")
        seen.add(name.casefold())
    if len(seen) > limit:
        raise ZohoError(7478, f"A table has at most {limit} columns.")


def _check_type(kind):
    if kind not in values.NAMES:
        raise ZohoError(7146, f"{kind} is not a data type.")


async def create_table(world, call):
    world.require_right(call, "createTable")
    design = call.config["tableDesign"]
    check(design, DESIGN_KEYS, world.settings)
    for column in design["COLUMNS"]:
        check(column, DESIGN_COLUMN_KEYS, world.settings)
    name = design["TABLENAME"]
    if not name.strip() or len(name) > 100 or BAD_NAME.search(name):
        raise ZohoError(7126, f"{name!r} is no name for a table.")
    if world.storage.view_named(call.workspace, name):
        raise ZohoError(7111, f"There is a view {name} already.")
    folder = design.get("FOLDERNAME", "")
    if folder and folder not in world.storage.folders:
        raise ZohoError(7144, f"There is no folder {folder}.")
    if not design["COLUMNS"]:
        raise ZohoError(8079, "The mandatory key COLUMNS is missing in CONFIG.")
    _check_names([column["COLUMNNAME"] for column in design["COLUMNS"]], (), 7128, world.settings.table_columns_max)
    for column in design["COLUMNS"]:
        _check_type(column["DATATYPE"])
    view = world.storage.add_view(call.workspace, name, description=design.get("TABLEDESCRIPTION", ""), folder=folder)
    for column in design["COLUMNS"]:
        world.storage.add_column(view, column["COLUMNNAME"], column["DATATYPE"],
                                 mandatory=column.get("MANDATORY", "").lower() == "true")
    world.charge(call, world.settings.price_modeling)
    return "Create table", {"viewId": view.id}


COLUMN_KEYS = {"columnName": Key("string"), "dataType": Key("string"), "columns": Key("objects")}
ONE_COLUMN_KEYS = {"columnName": Key("string", required=True), "dataType": Key("string", required=True)}


async def add_columns(world, call):
    world.require_right(call, "design")
    config, view = call.config, call.view
    given = config.get("columns", [config])
    if "columns" in config and len(config) > 1:
        raise ZohoError(8080, "columns excludes the other keys.")
    for column in given or [{}]:
        check(column, ONE_COLUMN_KEYS, world.settings)
    if len(given) > world.settings.add_columns_max:
        raise ZohoError(8173, f"At most {world.settings.add_columns_max} columns at once.")
    if view.type != 0:
        raise ZohoError(7397, f"{view.name} is not a table.")
    if view.importing is not None:
        raise ZohoError(7092, f"An import into {view.name} is in progress.")
    _check_names([column["columnName"] for column in given], [column.name for column in view.columns], 7157,
                 world.settings.table_columns_max)
    for column in given:
        _check_type(column["dataType"])
    made = [world.storage.add_column(view, column["columnName"], column["dataType"]).id for column in given]
    world.charge(call, world.settings.price_modeling)
    return "Add column", {"columnId": made[0]} if "columns" not in config else {"columnIds": made}
