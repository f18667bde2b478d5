# SPDX-License-Identifier: PostgreSQL
"""Every call: its name (by which faults and counts know it), path, scopes, class, and what CONFIG may hold."""

import dataclasses
import typing

from . import exports, imports, jobs, metadata, rows

BASE = "/restapi/v2"
WORKSPACE = f"{BASE}/workspaces/{{ws}}"
VIEW = f"{WORKSPACE}/views/{{view}}"
BULK = f"{BASE}/bulk/workspaces/{{ws}}"
BULK_VIEW = f"{BULK}/views/{{view}}"


@dataclasses.dataclass
class Route:
    name: str
    method: str
    path: str
    work: typing.Callable
    scopes: tuple               # () with scopes_setting
    rate: str                   # a class, or the setting that names it
    keys: typing.Any = dataclasses.field(default_factory=dict)      # or a function of the settings
    strict: bool = True
    org: bool = True
    file_max: str = "file_max"


ROUTES = (
    Route("insert_row", "POST", f"{VIEW}/rows", rows.insert, ("data.create",), "dml", rows.insert_keys),
    Route("update_row", "PUT", f"{VIEW}/rows", rows.update, ("data.update",), "dml", rows.update_keys),
    Route("delete_row", "DELETE", f"{VIEW}/rows", rows.delete, ("data.delete",), "dml", rows.DELETE_KEYS),
    Route("import", "POST", f"{VIEW}/data", imports.synchronous, ("data.create",), "bulk", imports.import_keys),
    Route("import_new", "POST", f"{WORKSPACE}/data", imports.new_table, ("data.create",), "bulk",
          imports.new_table_keys),
    Route("import_job", "POST", f"{BULK_VIEW}/data", jobs.create, ("data.create",), "bulk", jobs.job_keys,
          file_max="bulk_file_max"),
    Route("batch", "POST", f"{BULK_VIEW}/data/batch", jobs.batch, ("data.create",), "bulk", jobs.BATCH_KEYS,
          strict=False, file_max="bulk_file_max"),
    Route("batch_new", "POST", f"{BULK}/data/batch", jobs.batch, ("data.create",), "bulk", jobs.BATCH_KEYS,
          strict=False, file_max="bulk_file_max"),
    Route("job", "GET", f"{BULK}/importjobs/{{job}}", jobs.details, (), "job_status_class"),
    Route("export", "GET", f"{VIEW}/data", exports.export, ("data.read",), "export_class", exports.KEYS),
    Route("orgs", "GET", f"{BASE}/orgs", metadata.orgs, ("metadata.read",), "metadata", org=False),
    Route("workspaces", "GET", f"{BASE}/workspaces", metadata.workspaces, ("metadata.read",), "metadata"),
    Route("workspaces", "GET", f"{BASE}/workspaces/{{kind:owned|shared}}", metadata.workspaces, ("metadata.read",),
          "metadata"),
    Route("views", "GET", f"{WORKSPACE}/views", metadata.views, ("metadata.read",), "metadata", metadata.VIEWS_KEYS),
    Route("view", "GET", f"{BASE}/views/{{view}}", metadata.view_details, ("metadata.read",), "metadata", org=False),
    Route("metadetails", "GET", f"{BASE}/metadetails", metadata.metadetails, ("metadata.read",), "metadata",
          metadata.METADETAILS_KEYS),
    Route("metadata", "GET", f"{VIEW}/metadata", metadata.columns, ("metadata.read",), "metadata"),
    Route("importdetails", "GET", f"{VIEW}/importdetails", metadata.last_import, ("metadata.read",), "metadata"),
    Route("create_table", "POST", f"{WORKSPACE}/tables", metadata.create_table, ("modeling.create",), "metadata",
          metadata.TABLE_KEYS),
    Route("add_column", "POST", f"{VIEW}/columns", metadata.add_columns, ("modeling.create",), "metadata",
          metadata.COLUMN_KEYS),
    Route("resources", "GET", f"{BASE}/resources", metadata.resources, ("usermanagement.read",), "metadata"),
)
