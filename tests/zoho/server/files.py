# SPDX-License-Identifier: PostgreSQL
"""The files of imports: from bytes to records of texts, from records to typed rows."""

import csv
import dataclasses
import html
import io
import json

from . import values
from .errors import ZohoError

DELIMITERS = {0: ",", 1: "\t", 2: ";", 3: " "}
QUOTES = {1: "'", 2: '"'}

csv.field_size_limit(1 << 27)


@dataclasses.dataclass
class Table:
    """What a file says: names, and records with the number of the line where each begins."""
    header: list
    records: list


@dataclasses.dataclass
class Parsed:
    """What of it goes into a table."""
    columns: list
    rows: list
    total: int
    failed: int
    warnings: int
    errors: str

    def lose(self, count):
        """A fault: the first rows fail, whatever onError says."""
        count = min(count, len(self.rows))
        self.errors += "".join(_told(at + 2, 1, self.columns[0].name, "not imported", True) for at in range(count))
        del self.rows[:count]
        self.failed += count


def read(raw, config, settings):
    if not raw.strip():
        raise ZohoError(7203, "The file is empty.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ZohoError(7248, "The file is not in UTF-8.") from None
    if settings.utf8_bom == "strip":
        text = text.removeprefix("\ufeff")
    kind = config.get("fileType", "CSV").upper()
    table = _json(text) if kind == "JSON" else _csv(text, config, settings) if kind == "CSV" else None
    if table is None:
        raise ZohoError(7248, f"The file cannot be read as {kind}.")
    if not table.header or not table.records and settings.header_only_is_empty:
        raise ZohoError(7203, "The file is empty.")
    if len(set(table.header)) != len(table.header):
        raise ZohoError(7248, "The file names a column twice.")
    return table


class _Lines:
    """The lines of a text that count, and the number of the one given last."""

    def __init__(self, text, config, settings):
        self.number = 0
        self.skipped = config.get("skipTop", 0)
        self.comment = config.get("commentChar") or None
        self.inside = settings.comment_inside_quotes
        self.lines = io.StringIO(text, newline="")

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            line = next(self.lines)
            self.number += 1
            if self.number > self.skipped and not (self.inside and self.comment and line.startswith(self.comment)):
                return line


def _csv(text, config, settings):
    delimiter, quote = DELIMITERS[config.get("delimiter", 0)], config.get("quoted", 2)
    if config["autoIdentify"]:
        first = text.partition("\n")[0]
        delimiter = max(DELIMITERS.values(), key=lambda mark: (first.count(mark), mark == ","))
        quote = 2
    lines = _Lines(text, config, settings)
    options = {"quotechar": QUOTES[quote]} if quote else {"quoting": csv.QUOTE_NONE}
    records, begin = [], 1
    try:
        for record in csv.reader(lines, delimiter=delimiter, strict=True, **options):
            if record and not (lines.comment and record[0].startswith(lines.comment)):
                records.append((begin, record))
            begin = lines.number + 1
    except csv.Error as bad:
        raise ZohoError(7248, f"The file cannot be read as CSV: line {lines.number}: {bad}.") from None
    return Table(records[0][1], records[1:]) if records else Table([], [])


def _json(text):
    try:
        objects = json.loads(text, parse_int=str, parse_float=str)
        header = list(dict.fromkeys(name for each in objects for name in each))
        return Table(header, [(line, [_scalar(each.get(name)) for name in header])
                              for line, each in enumerate(objects, 1)])
    except (ValueError, TypeError, AttributeError):
        raise ZohoError(7248, "The file cannot be read as JSON.") from None


def _scalar(value):
    if isinstance(value, (dict, list)):
        raise ValueError("nested")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def targets(table, config, columns, settings):
    """For each field of the file the column that it goes into, or None."""
    selected = config.get("selectedColumns", table.header)
    for name in selected:
        if name not in table.header:
            raise ZohoError(8046, f"The selected column {name} is not in the file.")
    fold = str.casefold if settings.file_header_ignores_case else str
    by_name = {fold(column.name): column for column in columns if column.type != "AUTO_NUMBER"}
    found = [by_name.get(fold(name)) if name in selected else None for name in table.header]
    unknown = [name for name, column in zip(table.header, found) if column is None and name in selected]
    if not any(found) or unknown and settings.unknown_file_columns == "error":
        raise ZohoError(8016, f"No column of the table is called {', '.join(unknown)}.")
    return found


def convert(table, config, found, columns, settings, lookups):
    """Parsed; 7232 or 7208 when a line is wrong and onError says ABORT."""
    reader = values.Reader(settings, config, with_separators=True)
    fields = [(at, column, reader.reader(column)) for at, column in enumerate(found) if column]
    missing = [(0, column.name, "mandatory column is missing", 7232)
               for column in columns if column.mandatory and column not in found]
    policy = config.get("onError", "ABORT").upper()
    parsed = Parsed([column for _, column, _ in fields], [], len(table.records), 0, 0, "")
    errors = []
    for line, record in table.records:
        row, bad = _row(record, fields, len(found), lookups)
        bad += missing
        if not bad:
            parsed.rows.append(row)
            continue
        hard = [code for *_, code in bad if code]
        dropped = policy != "SETCOLUMNEMPTY" or bool(hard)
        errors += [_told(line, at, name, why, dropped) for at, name, why, _ in bad]
        if policy == "ABORT" and 7208 in hard:
            raise ZohoError(7208, f"Line {line} has more fields than the header.")
        if policy == "ABORT" and len(errors) >= settings.abort_error_lines:
            break
        if dropped:
            parsed.failed += 1
        else:
            parsed.warnings += len(bad)
            parsed.rows.append(row)
    if errors and policy == "ABORT":
        raise ZohoError(7232, "".join(errors))
    parsed.errors = "".join(errors[:settings.import_error_lines])
    return parsed


def _row(record, fields, width, lookups):
    """The values of a record, and what is wrong: (field, column, reason, code when it cannot be left empty)."""
    row, bad = [], []
    if len(record) > width:
        bad.append((width + 1, "", "more fields than the header", 7208))
    for at, column, read in fields:
        text = record[at] if at < len(record) else ""
        value = None
        if text:
            try:
                value = read(text)
                if column.lookup and value not in lookups[column.id]:
                    value = None
                    raise ValueError("value is not in the column that it looks up")
            except ValueError as why:
                bad.append((at + 1, column.name, str(why), 7232 if column.mandatory else 0))
        elif column.mandatory:
            bad.append((at + 1, column.name, "mandatory value is missing", 7232))
        row.append(value)
    return row, bad


def _told(line, field, name, why, dropped):
    return (f"<nobr>[Line: {line} Field:  {field}] ({html.escape(name)}) -{'ERROR' if dropped else 'WARNING'}: "
            f"{html.escape(why)}</NOBR><br>")
