"""Files of events: JSON lines, from a path or standard input, compressed or not."""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO, cast

from streams.records import KEPT_BYTES, InputError, RawRecord, Record, RejectedRecord

STANDARD_INPUT = "-"
MAX_LINE = 1024 * 1024
"""Bytes of one event; a longer line is rejected."""
MAX_ARRAY = 64 * 1024 * 1024
"""Bytes of a .json file with one array, which is read whole; more belongs into JSON lines."""

_BOM = b"\xef\xbb\xbf"
_GZIP_MAGIC = b"\x1f\x8b"
_SPACE = " \t\r\n"


@contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """Open a path, or standard input for ``-``, and unpack gzip whatever the name says.

    Everything that goes wrong while the file is opened or read comes out as InputError.
    """
    try:
        with _open(path) as stream:
            yield stream
    except EOFError:
        raise InputError(
            f"{path}: the gzip data stops before its end, so the file is cut off; "
            "what came before was read"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip data ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


@contextmanager
def _open(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD_INPUT:
        yield _unpacked(cast(io.BufferedReader, sys.stdin.buffer))  # not ours to close
        return
    with Path(path).open("rb") as stream:
        yield _unpacked(stream)


def _unpacked(stream: io.BufferedReader) -> BinaryIO:
    packed = stream.peek(2)[:2] == _GZIP_MAGIC
    return cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if packed else stream


def read_events(path: str) -> Iterator[Record]:
    """Yield one record for each line of JSON, or for each item of a ``.json`` file with one array.

    Blank lines and a byte order mark are passed over. A line that is too long or not UTF-8 is
    rejected, the others go on; whether it is an event is for the parser to say. Raises InputError,
    for a damaged file after the good lines before the damage.
    """
    with open_input(path) as stream:
        first = stream.readline(MAX_LINE + 1)
        body = first.removeprefix(_BOM)
        name = PurePath(path)
        extension = PurePath(name.stem).suffix if name.suffix.lower() == ".gz" else name.suffix
        if extension.lower() == ".json" and body.lstrip()[:1] in (b"[", b""):
            rest = stream.read(MAX_ARRAY)
            if len(first) + len(rest) > MAX_ARRAY:
                raise InputError(
                    f"{path}: more than {MAX_ARRAY // 2**20} MiB in one JSON document; "
                    "write one event a line instead (.jsonl)"
                )
            yield from _items(path, body + rest)
        else:
            yield from _lines(path, body, stream)


def _lines(path: str, line: bytes, stream: BinaryIO) -> Iterator[Record]:
    number = 1
    while line:
        yield from _line(path, f"line {number}", line)
        whole = line.endswith(b"\n")
        while not whole and (rest := stream.readline(MAX_LINE)):
            whole = rest.endswith(b"\n")
        line = stream.readline(MAX_LINE + 1)
        number += 1


def _line(path: str, position: str, line: bytes) -> Iterator[Record]:
    if len(line) > MAX_LINE:
        reason = f"the line is longer than {MAX_LINE} bytes; one event is one line, at most so long"
        yield RejectedRecord(path, position, line[:KEPT_BYTES], reason)
        return
    value = line.strip()
    if fault := _not_utf8(value):
        yield RejectedRecord(path, position, line[:KEPT_BYTES], fault)
    elif value:
        yield RawRecord(path, position, value)


def _not_utf8(value: bytes) -> str | None:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        found = value[error.start : error.start + 1].hex()
        return f"not UTF-8: byte 0x{found} at offset {error.start} of the text; events are UTF-8"
    return None


def _items(path: str, body: bytes) -> Iterator[Record]:
    """Cut an array into the very bytes of its items, so that no number changes on the way."""
    if fault := _not_utf8(body):
        yield RejectedRecord(path, "whole file", body[:KEPT_BYTES], fault)
        return
    text = body.decode()
    start = _skip(text, 0)
    if start == len(text):
        return
    at = _skip(text, start + 1)
    if text[at : at + 1] == "]" and _skip(text, at + 1) == len(text):
        return
    decoder = json.JSONDecoder()
    number = 0
    while True:
        number += 1
        try:
            _, end = decoder.raw_decode(text, at)
            following = _skip(text, end)
            mark = text[following : following + 1]
            if mark not in (",", "]"):
                raise ValueError(f"expected , or ] after item {number}")
            if mark == "]" and _skip(text, following + 1) != len(text):
                raise ValueError("the array ends, and something follows")
        except (ValueError, RecursionError) as error:
            reason = f"not a JSON array from here on: {error}"
            kept = text[at:].encode()[:KEPT_BYTES]
            yield RejectedRecord(path, f"item {number} and all after it", kept, reason)
            return
        yield RawRecord(path, f"item {number}", text[at:end].encode())
        if mark == "]":
            return
        at = _skip(text, following + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
