# SPDX-License-Identifier: PostgreSQL
"""CONFIG: where it stands in a request, and whether it is what the call allows."""

import dataclasses
import json
import urllib.parse

import aiohttp

from .errors import ZohoError

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


@dataclasses.dataclass
class Body:
    """What a request brought."""
    config_text: str = None
    config_in: str = None       # url or body
    file: bytes = None
    data: str = None
    form: dict = dataclasses.field(default_factory=dict)


async def read_body(request, settings, file_max):
    """The parts of a request; the body is always read to its end, so that the client can read the answer."""
    if "Content-Encoding" in request.headers:
        await request.read()
        raise ZohoError(8504, "Compressed bodies are not supported.")
    body = Body()
    if request.method != "GET" and request.content_type == MULTIPART:
        await _read_multipart(request, body, file_max)
    else:
        raw = await request.read()
        if request.method != "GET" and request.content_type == FORM:
            body.form = _decoded_form(raw)
            body.config_text, body.data = body.form.get("CONFIG"), body.form.get("DATA")
    if body.config_text is not None:
        body.config_in = "body"
        if not settings.config_in_body:
            body.config_text = None
    if body.config_text is None and "CONFIG" in request.query and (request.method == "GET" or settings.config_in_url):
        body.config_text, body.config_in = request.query["CONFIG"], "url"
    return body


def _decoded_form(raw):

    try:
        return dict(urllib.parse.parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict"))
    except (UnicodeError, ValueError):
        raise ZohoError(8504, "The body is no form.") from None


async def _read_multipart(request, body, file_max):
    too_long = False
    try:
        reader = await request.multipart()
        async for part in reader:
            raw = bytearray()
            while chunk := await part.read_chunk(1 << 16):
                if len(raw) + len(chunk) > max(file_max, 1_000_000) + 1_000_000:
                    too_long = True
                else:
                    raw += chunk
            if part.name == "CONFIG":
                body.config_text = raw.decode()
            elif part.name == "DATA":
                body.data = raw.decode()
            elif part.name == "FILE" and part.filename:
                body.file = bytes(raw)
                too_long = too_long or len(raw) > file_max
    except (ValueError, UnicodeError, aiohttp.ClientError):
        raise ZohoError(8504, "The body is no multipart form.") from None
    if too_long:
        raise ZohoError(8139, f"The file is larger than {file_max} bytes.")


@dataclasses.dataclass
class Key:
    """What one key of CONFIG may be."""
    kind: str                   # string, boolean, integer, strings, object, pairs, columns
    required: bool = False
    low: int = None             # of an integer, or of how many a list or an object holds
    high: int = None
    choices: tuple = ()         # without case


def parse(text, keys, settings, strict=True):
    """CONFIG as a dictionary, checked; a call without any mandatory key needs none."""
    if text is None:
        if any(key.required for key in keys.values()):
            raise ZohoError(8504, "The mandatory parameter CONFIG is missing.")
        return {}
    if len(text) > settings.config_max:
        raise ZohoError(8507, f"CONFIG is longer than {settings.config_max} characters.")
    try:
        config = json.loads(text, object_pairs_hook=_without_repeats)
    except ValueError:
        raise ZohoError(8080, "CONFIG is no JSON.") from None
    if not isinstance(config, dict):
        raise ZohoError(8080, "CONFIG is no JSON object.")
    check(config, keys, settings, strict)
    return config


def check(config, keys, settings, strict=True):
    for name in config:
        if strict and name not in keys:
            raise ZohoError(8080, f"CONFIG has an unknown key: {name}.")
    for name, key in keys.items():
        if name in config:
            _check_value(name, config[name], key, settings)
        elif key.required:
            raise ZohoError(8079, f"The mandatory key {name} is missing in CONFIG.")


def _without_repeats(pairs):
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key twice")
    return made


def _is_strings(value):
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


TYPES = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "strings": _is_strings,
    "integers": lambda value: isinstance(value, list) and all(TYPES["integer"](each) for each in value),
    "object": lambda value: isinstance(value, dict) and all(isinstance(each, str) for each in value.values()),
    "pairs": lambda value: isinstance(value, dict) and all(_is_strings(each) for each in value.values()),
    "objects": lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
    "any object": lambda value: isinstance(value, dict),
}


def _check_value(name, value, key, settings):
    if not TYPES[key.kind](value):
        raise ZohoError(8516, f"The value of {name} has the wrong type, it must be of type {key.kind}.")
    size = value if key.kind == "integer" else len(value) if key.kind != "boolean" else 0
    if key.low is not None and size < key.low or key.high is not None and size > key.high:
        raise ZohoError(settings.bad_value_code, f"The value of {name} is out of range.")
    if key.choices and value.upper() not in key.choices:
        raise ZohoError(settings.bad_value_code, f"The value of {name} is not valid.")


def one_of(config, criteria, everything, code):
    """Whether all rows are meant; exactly one of the two keys has to say which."""
    if (criteria in config) == config.get(everything, False):
        raise ZohoError(code, f"Exactly one of {criteria} and {everything} is needed.")
    return criteria not in config


DATE_KEYS = {"dateFormat": Key("string"), "columnDateFormat": Key("object")}
