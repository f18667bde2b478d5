# SPDX-License-Identifier: PostgreSQL
"""A client that does nothing by itself: what is wrong in a request is wrong on purpose."""

import dataclasses
import http.client
import json
import urllib.parse

from walmill_testing import wait_until

FORM = "application/x-www-form-urlencoded"
BOUNDARY = "walmill-boundary"
CSV = {"fileType": "CSV", "autoIdentify": False, "delimiter": 0, "quoted": 2, "commentChar": "\u0001",
       "thousandSeparator": 4, "decimalSeparator": 0}


@dataclasses.dataclass
class Answer:
    status: int
    text: str
    body: dict = None

    @property
    def code(self):
        """The error's; None of a success, and of a file."""
        return self.body["data"]["errorCode"] if self.body and self.body.get("status") == "failure" else None

    @property
    def data(self):
        assert self.status == 200 and self.body["status"] == "success", self
        return self.body["data"]


class Client:
    def __init__(self, zoho, token=None):
        self.zoho = zoho
        self.timeout = 30
        self.host = urllib.parse.urlsplit(zoho.api_url).netloc
        self.token = token or self.tokens()["access_token"]

    # ---- requests ----

    def send(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, timeout=self.timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return Answer(answer.status, text, json.loads(text))
        except ValueError:
            return Answer(answer.status, text)

    def tokens(self, **form):
        """The token endpoint's answer; None takes a parameter away."""
        form = {"grant_type": "refresh_token", "client_id": self.zoho.client_id,
                "client_secret": self.zoho.client_secret, "refresh_token": self.zoho.refresh_token, **form}
        body = urllib.parse.urlencode({name: value for name, value in form.items() if value is not None})
        return self.send("POST", "/oauth/v2/token", body, {"Content-Type": FORM}).body

    def call(self, method, path, config=None, where="body", headers=None, **parts):
        """A call with CONFIG (a text is sent as it is); parts are those of a multipart body."""
        headers = {"Authorization": f"Zoho-oauthtoken {self.token}", "ZANALYTICS-ORGID": self.zoho.org,
                   **(headers or {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        path, body = f"/restapi/v2{path}", None
        if config is not None and not isinstance(config, str):
            config = json.dumps(config)
        if config is not None and (method == "GET" or where == "url"):
            path += "?" + urllib.parse.urlencode({"CONFIG": config})
        elif config is not None and parts:
            parts = {"CONFIG": config, **parts}
        elif config is not None:
            body = urllib.parse.urlencode({"CONFIG": config})
            headers.setdefault("Content-Type", FORM)
        if parts:
            body = multipart(parts)
            headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
        return self.send(method, path, body, headers)

    # ---- the calls of a table ----

    def path(self, table):
        defined = self.zoho.definition(table)
        return f"/workspaces/{defined['workspace']}/views/{defined['id']}"

    def insert(self, table, columns, **more):
        return self.call("POST", f"{self.path(table)}/rows", {"columns": columns, **more})

    def update(self, table, columns, **more):
        return self.call("PUT", f"{self.path(table)}/rows", {"columns": columns, **more})

    def delete(self, table, **config):
        return self.call("DELETE", f"{self.path(table)}/rows", config)

    def load(self, table, text, kind="UPDATEADD", **more):
        """A synchronous import; None takes a key of CONFIG away."""
        return self.call("POST", f"{self.path(table)}/data", import_config(kind, more), FILE=text)

    def job(self, table, text, kind="UPDATEADD", **more):
        return self.call("POST", f"/bulk{self.path(table)}/data", import_config(kind, more), FILE=text)

    def batch(self, table, text, key, last, kind="UPDATEADD", **more):
        config = {"batchKey": key, "isLastBatch": last}
        if key == "start":
            config = {**import_config(kind, {"fileType": None, **more}), **config}
        return self.call("POST", f"/bulk{self.path(table)}/data/batch", config, FILE=text)

    def details(self, job):
        return self.call("GET", f"/bulk/workspaces/{self.zoho.workspace}/importjobs/{job}")

    def ended(self, job):
        """The details of a job when it has come to an end."""
        def look():
            data = self.details(job).data
            return data if data["jobCode"] not in ("1001", "1002") else None
        self.zoho.set(rate_bulk=0, rate_overall=0)
        return wait_until(look, f"the end of job {job}")

    def export(self, table, **config):
        return self.call("GET", f"{self.path(table)}/data", {"responseFormat": "json", **config})


def import_config(kind, more):
    config = {"importType": kind, **CSV, **more}
    if kind == "UPDATEADD":
        config.setdefault("matchingColumns", ["id"])
    return {name: value for name, value in config.items() if value is not None}


def multipart(parts):
    body = b""
    for name, value in parts.items():
        file = '; filename="rows.csv"\r\nContent-Type: text/csv' if name == "FILE" else ""
        body += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
                 + (value if isinstance(value, bytes) else value.encode()) + b"\r\n")
    return body + f"--{BOUNDARY}--\r\n".encode()
