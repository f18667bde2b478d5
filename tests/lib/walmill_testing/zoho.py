# SPDX-License-Identifier: PostgreSQL
"""The Zoho Analytics server of tests/zoho, as a test drives it.

    with Zoho() as zoho:
        zoho.table("orders", id="NUMBER", name="PLAIN")
        d = daemon(rules, targets={"z": zoho.target()})
        zoho.fault("import", "drop_after")
        ...
        assert zoho.rows("orders") == [{"id": "1", "name": "x"}]

Calls go by the names of tests/zoho/server/routes.py, faults by those of faults.py, settings by those of settings.py.
"""

import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from .wait import wait_until

# Errors that no state of the server can cause, only a request that should not have been sent.
MISTAKES = {7327, 7330, 7331, 7332, 7333, 7512, 8046, 8079, 8080, 8083, 8119, 8130, 8131, 8139, 8148, 8149, 8173, 8504,
            8507, 8516}
FOLDER = pathlib.Path(__file__).parents[2] / "zoho"


class Zoho:
    """A running server. What reset() makes: api_url, org, workspace, client_id, client_secret, refresh_token."""

    def __init__(self, seed=0, **settings):
        self.first = (seed, settings)
        self.process = None
        self.folder = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.folder = tempfile.TemporaryDirectory(prefix="walmill-zoho-")
        self.process = subprocess.Popen([sys.executable, "-m", "server", self.folder.name], cwd=FOLDER,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.api_url = self.accounts_url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        seed, settings = self.first
        self.reset(seed, **settings)
        return self

    def stop(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()
        self.folder.cleanup()

    def control(self, method, path, given=None):
        """One call of the control interface; AssertionError with the server's reason."""
        body = None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(f"{self.api_url}/_test/{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from None

    # ---- the whole ----

    def reset(self, seed=0, **settings):
        """As new: no table, no fault, the first time of the clock, and settings that differ from the defaults."""
        state = self.control("POST", "reset", {"seed": seed, "settings": settings})
        self.org, self.workspace, self.workspace_name = state["org"], state["workspace"], state["workspace_name"]
        self.client_id, self.client_secret = state["client_id"], state["client_secret"]
        self.refresh_token = state["refresh_token"]

    def set(self, **settings):
        self.control("POST", "settings", settings)

    def state(self):
        """now, units, tokens (live ones), jobs, callbacks, failures (of the server itself: there must be none)."""
        return self.control("GET", "state")

    def target(self, **more):
        """The block of a walmill target."""
        keys = {"type": "zoho_analytics", "api_url": self.api_url, "accounts_url": self.accounts_url,
                "org": self.org, "workspace": self.workspace, "client_id": self.client_id,
                "client_secret": self.client_secret, "refresh_token": self.refresh_token, **more}
        return "\n".join(f"{name}: {json.dumps(value)}" for name, value in keys.items())

    # ---- time ----

    def now(self):
        return self.state()["now"]

    def advance(self, seconds):
        return self.control("POST", "clock", {"advance": seconds})["now"]

    def set_clock(self, now):
        """Seconds since 1970."""
        return self.control("POST", "clock", {"set": now})["now"]

    def freeze(self):
        self.control("POST", "clock", {"run": False})

    def thaw(self):
        self.control("POST", "clock", {"run": True})

    # ---- tables ----

    def table(self, _name, _kind="", _type=0, **columns):
        """Makes a table; a column is a type, or a dictionary with type, mandatory, lookup, personal, hidden.
        _kind: snapshot, system, stream, norows; _type: 6 a query table, 7 a dashboard. Returns the view's id."""
        columns = [{"name": name, **({"type": kind} if isinstance(kind, str) else kind)}
                   for name, kind in columns.items()]
        return self.control("POST", "tables", {"name": _name, "kind": _kind, "type": _type,
                                               "columns": columns})["id"]

    def definition(self, name):
        return self.control("GET", f"tables/{urllib.parse.quote(name)}")

    def tables(self):
        return self.control("GET", "tables")

    def drop_table(self, name):
        self.control("DELETE", f"tables/{urllib.parse.quote(name)}")

    def add_column(self, name, column, kind):
        self.control("POST", f"tables/{urllib.parse.quote(name)}/columns", {"name": column, "type": kind})

    def drop_column(self, name, column):
        self.control("DELETE", f"tables/{urllib.parse.quote(name)}/columns/{urllib.parse.quote(column)}")

    def rows(self, name, *columns):
        """Every row that can be seen, in the order of arrival: {column: text, None for null}."""
        while True:
            try:
                return self._rows(self.definition(name), columns)
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):       # all rows were replaced just now
                    raise

    def _rows(self, defined, columns):
        wanted = [column for column in defined["columns"] if not columns or column["name"] in columns]
        names = ", ".join(column["sql"] for column in wanted) or "NULL"
        path = urllib.parse.quote(self.state()["path"])
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return [{column["name"]: None if value is None else str(value) for column, value in zip(wanted, row)}
                    for row in db.execute(f"SELECT {names} FROM {defined['sql']} ORDER BY row")]

    def count(self, name):
        return self.definition(name)["rows"]

    # ---- faults ----

    def fault(self, call, do, **more):
        """The next call of that name ("*": any) meets a fault. more: table, skip, times (0: all from then on),
        probability, code, status, message, seconds, rows, commit."""
        self.control("POST", "faults", {"call": call, "do": do, **more})

    def faults(self):
        """All that were set, with their hits."""
        return self.control("GET", "faults")

    def heal(self):
        self.control("DELETE", "faults")

    def expire_tokens(self):
        self.control("POST", "tokens", {"expire": True})

    def revoke(self, refresh_token=None):
        self.control("POST", "tokens", {"revoke": refresh_token or self.refresh_token})

    def new_refresh_token(self, **given):
        """given: user, scopes (without ZohoAnalytics.)."""
        return self.control("POST", "tokens", {"new": given})["refresh_token"]

    def grant_code(self, **given):
        return self.control("POST", "tokens", {"grant": given})["code"]

    def deny(self, *rights):
        """What nobody may: importAppend, importDeleteAllAdd, importAddOrUpdate, addRow, updateRow, deleteAllRows,
        createTable, design, admin. Without any: all is allowed again."""
        self.control("POST", "rights", {"denied": rights})

    def use_units(self, used):
        """So many units of the day are used."""
        self.control("POST", "units", {"used": used})

    # ---- what was called ----

    def calls(self, *names, since=0):
        """Calls in the order of arrival: name, config, rows, units, status, code, table, at, faults, config_in, ..."""
        return [call for call in self.control("GET", f"calls?since={since}") if not names or call["name"] in names]

    def mistakes(self):
        """Calls that a client must not make whatever happens: wrong requests, unknown paths, secrets in a URL."""
        return [call for call in self.calls() if call["name"] == "unknown" or call["code"] in MISTAKES
                or call["secrets_in_url"] or call["method"] != "GET" and call["config_in"] == "url"]

    def wait_calls(self, name, count=1, timeout=20.0):
        """Until so many calls of a name were answered or ended."""
        return wait_until(lambda: (found := self.calls(name)) and len(found) >= count and found,
                          f"{count} calls of {name}", timeout)

    def units(self):
        """All that were charged since the reset, over days."""
        return self.state()["units"]["total"]

    def jobs(self):
        return self.state()["jobs"]
