"""The HTTP binding of CloudEvents 1.0: from a request's headers and body to the events in it.

Source: CloudEvents specification, http-protocol-binding.md, sections 3.1 (binary content mode),
3.2 (structured), 3.3 (batched). https://github.com/cloudevents/spec
"""

import base64
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from urllib.parse import unquote_to_bytes

import msgspec

from schemas.events import Problem
from streams.arrays import Broken, split_array

ACCEPTED_TYPES = (
    "application/cloudevents+json (one event)",
    "application/cloudevents-batch+json (an array of events)",
    "application/x-ndjson (one event a line)",
    "application/json with the event's attributes in ce-* headers",
)

_BOM = b"\xef\xbb\xbf"
_ATTRIBUTE = re.compile(r"ce-([a-z0-9]+)")
_JSON_TYPE = re.compile(r"(application|text)/([a-z0-9.+-]+\+)?json")
_QUOTED_PAIR = re.compile(r"\\(.)")


class Mode(Enum):
    """How a body holds its events."""

    JSON = "one event or an array of them"
    LINES = "one event a line"
    BINARY = "the event's data alone"


@dataclass(frozen=True, slots=True)
class Item:
    """One event in a body."""

    place: str
    """Where in the body, for people: "item 3", "line 7"; empty for a body that is one event."""
    value: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A body that cannot be divided into events, and why."""

    value: bytes
    problem: Problem


def find_mode(content_type: str, charset: str | None, headers: Iterable[str]) -> Mode | str:
    """The mode that the headers announce, or what is wrong with them in a sentence.

    `content_type` comes without parameters, in lower case; of the headers only names are needed.
    """
    if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        return f"charset {charset!r} is not read; events are UTF-8"
    match content_type:
        case "application/cloudevents+json" | "application/cloudevents-batch+json":
            return Mode.JSON
        case "application/x-ndjson" | "application/jsonl":
            return Mode.LINES
        case _ if not _JSON_TYPE.fullmatch(content_type):
            return f"content type {content_type!r} is not read"
        case _ if any(name.lower() == "ce-specversion" for name in headers):
            return Mode.BINARY
        case _:
            return f"content type {content_type!r} comes without the header ce-specversion"


def split_body(
    mode: Mode, headers: Iterable[tuple[str, str]], body: bytes, most: int
) -> list[Item] | Unreadable:
    """The events of a body, each as its own bytes; after `most` + 1 of them it stops.

    Whether they are events is for the parser to say. In mode JSON the body itself shows whether
    it is an array, so a sender who mixes up the two content types is understood.
    """
    body = body.removeprefix(_BOM)
    match mode:
        case Mode.BINARY:
            return _binary(headers, body)
        case Mode.LINES:
            return list(islice(_lines(body), most + 1))
        case Mode.JSON if body.lstrip()[:1] != b"[":
            return [Item("", body)]
        case Mode.JSON:
            items = split_array(body, most)
            if isinstance(items, Broken):
                return Unreadable(body, Problem("", f"not a JSON array: {items}"))
            return [Item(f"item {n}", value) for n, value in enumerate(items, 1)]


def _lines(body: bytes) -> Iterator[Item]:
    for number, line in enumerate(io.BytesIO(body), 1):
        if value := line.strip():
            yield Item(f"line {number}", value)


def _binary(headers: Iterable[tuple[str, str]], body: bytes) -> list[Item] | Unreadable:
    """Put attributes and data together into one structured event, the data as its own bytes."""
    attributes: dict[str, str] = {}
    problem: Problem | None = None
    for header, raw in headers:
        match = _ATTRIBUTE.fullmatch(header.lower())
        if match is None or match[1] == "data":
            continue
        name = match[1]
        value = _header_value(raw)
        if value is None:
            problem = Problem(name, f"percent-encoded UTF-8 in the header ce-{name}")
        elif name in attributes:
            problem = Problem(name, f"the header ce-{name} once; it was sent several times")
        else:
            attributes[name] = value
    envelope = msgspec.json.encode(attributes)[:-1]
    if body.strip():
        try:
            msgspec.json.decode(body)  # only to be sure that it ends where it seems to
        except (msgspec.DecodeError, RecursionError) as error:
            problem = Problem("data", f"not valid JSON: {error}")
    if problem is not None:
        # Kept whole in the form that the specification has for data that is not JSON, which is
        # no event of the catalogue, so that it is refused and can be looked at.
        kept = b'%b,"data_base64":"%b"}' % (envelope, base64.b64encode(body))
        return Unreadable(kept, problem)
    data = b',"data":%b' % body.strip() if body.strip() else b""
    return [Item("", b"%b%b}" % (envelope, data))]


def _header_value(raw: str) -> str | None:
    """Quotes undone, then percent-encoding (section 3.1.3.2); None if that is not UTF-8."""
    if len(raw) > 1 and raw[0] == raw[-1] == '"':
        raw = _QUOTED_PAIR.sub(r"\1", raw[1:-1])
    try:
        return unquote_to_bytes(raw.encode("utf-8", "surrogateescape")).decode()
    except UnicodeError:
        return None
