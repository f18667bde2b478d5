# SPDX-License-Identifier: PostgreSQL
"""Every setting of the server, with its default.

The second half holds what is not documented or not verified: there the default is what hurts a careless client
most, so that a client which passes does not depend on luck.
"""

DOCUMENTED = {
    # ---- tokens ----
    "token_life": 3600,                 # seconds
    "tokens_per_window": 10,            # access tokens per refresh token ...
    "token_window": 600,                # ... within so many seconds
    "live_tokens": 15,                  # one more ends the oldest
    "refresh_tokens_per_user": 20,      # one more ends the oldest
    "grant_life": 180,                  # seconds that a grant code is good for, once

    # ---- limits ----
    "config_max": 100_000,              # characters of CONFIG: 8507
    "callback_url_max": 10_000,
    "row_columns_max": 300,
    "matching_columns_max": 100,
    "selected_columns_max": 300,
    "table_columns_max": 300,           # 7478
    "add_columns_max": 10,              # 8173
    "file_max": 20_000_000,             # bytes of FILE in a synchronous import
    "bulk_file_max": 100_000_000,       # the same in a job or a batch
    "data_max": 10_000_000,             # characters of DATA: 8139
    "export_rows_max": 1_000_000,       # 8133
    "export_bytes_max": 100_000_000,
    "batches_max": 100,                 # 7336
    "import_jobs_max": 5,               # per organisation, open batch imports among them: 8134
    "job_retention": 3600,              # seconds that a finished job can be asked for

    # ---- quota: calls a minute and class, units a day; a limit of 0 is none ----
    "rate_overall": 100,
    "rate_dml": 100,
    "rate_bulk": 40,
    "rate_metadata": 60,
    "plan": "Enterprise",
    "daily_units": {"Free": 1_000, "Basic": 4_000, "Standard": 10_000, "Premium": 30_000, "Enterprise": 100_000},
    "plan_rows": 0,                     # rows of the organisation: 6001

    # ---- how long things take ----
    "row_seconds": 0.002,               # real time that a row call keeps its table: a second one meets 8062
    "import_seconds": 0.0,              # real time that a synchronous import keeps its table, besides its work
    "job_queue_seconds": 0.0,           # the server's time that a job stays 1001, then ...
    "job_seconds": 0.05,                # ... 1002
}

UNVERIFIED = {
    # ---- the token endpoint ----
    "throttle_status": 400,
    "throttle_body": {"error": "Access Denied", "status": "failure",
                      "error_description": "You have made too many requests continuously. "
                                           "Please try again after some time."},
    "bad_secret_error": "invalid_client_secret",
    "missing_parameter_error": "general_error",
    "token_answer_scope": False,        # whether the answer repeats the scope
    "job_status_scopes": ["data.read", "data.create"],      # all of them: the two references disagree

    # ---- where parameters may stand ----
    "config_in_body": True,             # False: a CONFIG in the body is not seen, 8504
    "config_in_url": True,              # of POST, PUT and DELETE; GET has it always there

    # ---- quota ----
    "quota_status": 200,                # HTTP status of 6001 and 6043 to 6045
    "quota_code": 6043,                 # or its variant, 6044
    "job_status_class": "bulk",         # the minute limit that asking for a job counts in
    "export_class": "bulk",
    "day_begins": 0,                    # seconds after 00:00 UTC
    # Units: a call's own, and per row. The two published tables differ, so these are the dear ones.
    "price_row_insert": 1,
    "price_row_update": 1,              # each row that it changed
    "price_row_delete": 1,              # each row that it deleted
    "price_append": 10,                 # 1,000 rows, also of TRUNCATEADD
    "price_updateadd": 15,              # 1,000 rows
    "price_whole_thousands": True,      # False: in proportion
    "price_metadata": 5,
    "price_modeling": 5,
    "price_export": 3,                  # 1,000 rows
    "charge_failed_imports": True,

    # ---- what values may be ----
    "number_digits": 19,                # of NUMBER, and never beyond 64 bits
    "decimal_digits": 19,               # of DECIMAL_NUMBER, CURRENCY and PERCENT, both sides of the point
    "number_exponents": False,          # 1e5
    "boolean_literals": {"true": True, "false": False},     # exactly these
    "plain_max": 250,
    "multi_line_max": 100_000,
    "text_limit_in_bytes": True,
    "text_ignores_case": False,         # when texts are compared, in criteria and matchingColumns; only at a reset
    "default_date_format": "dd/MM/yyyy HH:mm:ss",           # where CONFIG names none
    "default_day_format": "dd/MM/yyyy",
    "default_time_format": "HH:mm:ss",
    "default_duration_format": "HH:mm:ss",
    "date_fraction_digits": 3,          # more S in a pattern: 7512
    "row_bad_value": "error",           # or "invalidColumns": 200, the row is written without the value
    "row_value_code": 7507,             # of that error
    "bad_value_code": 8516,             # of a CONFIG value of the right type that is none of the allowed

    # ---- files ----
    "updateadd_missing_columns": "clear",       # or "keep": columns that the file lacks, in rows that it updates
    "duplicate_keys": "insert_all",     # every line of a new key is inserted, of an old one the first counts; or
                                        # "last_wins", "first_wins", "error"
    "duplicate_matches": "all",         # or "first": rows of the table with the same key
    "utf8_bom": "keep",                 # or "strip"
    "header_only_is_empty": True,       # 7203
    "file_header_ignores_case": False,
    "unknown_file_columns": "ignore",   # or "error": 8016
    "comment_inside_quotes": True,      # a quoted line break and commentChar hide the rest of the record
    "comment_char_mandatory": True,     # with autoIdentify false
    "truncateadd_failure": "emptied",   # or "restored": a synchronous one that failed
    "abort_error_lines": 1,             # lines that 7232 names
    "import_error_lines": 100,          # lines that importErrors names

    # ---- jobs ----
    "unknown_job": 8137,                # or 1005, for an id that never was
    "batch_open_seconds": 86_400,       # a batch import without a new batch for so long fails and frees its slot
    "callback_private": False,          # True: a callback to a private address is no 8127
}

DEFAULTS = {**DOCUMENTED, **UNVERIFIED}


class Settings:
    """Attributes by the names above."""

    def __init__(self):
        self.__dict__.update(DEFAULTS)

    def change(self, changes):
        unknown = sorted(set(changes) - set(DEFAULTS))
        if unknown:
            raise KeyError(f"no such setting: {', '.join(unknown)}")
        self.__dict__.update(changes)
