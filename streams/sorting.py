"""External merge sort: any number of records in order of time, within a fixed amount of memory."""

import heapq
import marshal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import msgspec

from schemas.time import to_instant
from streams.records import RawRecord, Record, RejectedRecord

Keyed = tuple[bytes, Any]
"""A sort key, and something that marshal can write."""

MEMORY = 64 * 1024 * 1024
_FAN_IN = 32  # runs merged at once: open files and read buffers stay few however long the input
_OVERHEAD = 300  # bytes that Python's objects around one record take, measured generously
_CELL_OVERHEAD = 60  # ... and around each text of a list in it

_UNREADABLE = b""  # before every real key, so that the parser rejects it before all else
_key = itemgetter(0)


def event_key(value: bytes) -> bytes:
    """Key of a CloudEvent that orders by (time as an instant, source, id), as bytes.

    An envelope that cannot be read, or whose time has no offset, gets the lowest key of all.
    """
    try:
        event = msgspec.json.decode(value)
        instant = to_instant(datetime.fromisoformat(event["time"]))
        texts = (event["source"].encode(), event["id"].encode())
    except (
        msgspec.DecodeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        return _UNREADABLE
    # UTF-8 sorts like its code points; the escaping keeps the borders of the texts in order too
    source, name = (text.replace(b"\0", b"\0\xff") for text in texts)
    key: bytes = (instant + (1 << 62)).to_bytes(8, "big") + source + b"\0\0" + name
    return key


def sort_records(
    records: Iterable[Record],
    key: Callable[[bytes], bytes] = event_key,
    directory: Path | None = None,
    memory: int = MEMORY,
) -> Iterator[Record]:
    """Yield the records by ``key``; rejected ones first, equal keys in their old order.

    ``memory`` (bytes) bounds what is held before it is written to unnamed temporary files in
    ``directory`` (default: the system's), which vanish even if the process is killed. Raises
    OSError when that disk is full.
    """
    inputs: dict[str, int] = {}

    def keyed() -> Iterator[Keyed]:
        for record in records:
            number = inputs.setdefault(record.input, len(inputs))
            if isinstance(record, RawRecord):
                yield key(record.value), (number, record.position, record.value, None)
            else:
                yield _UNREADABLE, (number, record.position, record.value, record.reason)

    names: list[str] = []
    for _, (number, position, value, reason) in sort_keyed(keyed(), directory, memory):
        names = names or list(inputs)
        if reason is None:
            yield RawRecord(names[number], position, value)
        else:
            yield RejectedRecord(names[number], position, value, reason)


def sort_keyed(
    items: Iterable[Keyed], directory: Path | None = None, memory: int = MEMORY
) -> Iterator[Keyed]:
    """Yield (key, payload) pairs by key, stably; on disk once they outgrow ``memory`` bytes."""
    levels: list[list[IO[bytes]]] = []  # runs of one level are equally deep merged, oldest first
    block = memory // (2 * _FAN_IN)  # bytes read from a run at a time: half the memory for a level
    held: list[Keyed] = []
    size = 0
    try:
        for item in items:
            held.append(item)
            size += _size(item)
            if size >= memory:
                held.sort(key=_key)
                _add_run(levels, _write_run(held, directory, block), directory, block)
                held, size = [], 0
        held.sort(key=_key)
        runs = [run for level in reversed(levels) for run in level]
        # merge() prefers earlier iterables among equals: older runs first keep the sort stable
        yield from heapq.merge(*map(_read_run, runs), held, key=_key) if runs else held
    finally:
        for run in chain.from_iterable(levels):
            run.close()


def _size(item: Keyed) -> int:
    key, payload = item
    size = _OVERHEAD + len(key)
    for part in payload:
        if isinstance(part, bytes | str):
            size += len(part)
        elif isinstance(part, list):
            size += sum(_CELL_OVERHEAD + len(cell) for cell in part)
    return size


def _add_run(
    levels: list[list[IO[bytes]]], run: IO[bytes], directory: Path | None, block: int
) -> None:
    for level in levels:
        level.append(run)
        if len(level) < _FAN_IN:
            return
        run = _write_run(heapq.merge(*map(_read_run, level), key=_key), directory, block)
        for merged in level:
            merged.close()
        level.clear()
    levels.append([run])


def _write_run(items: Iterable[Keyed], directory: Path | None, block_size: int) -> IO[bytes]:
    run: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - sort_keyed closes it
    block: list[Keyed] = []
    size = 0
    for item in items:
        block.append(item)
        size += _size(item)
        if size >= block_size:
            marshal.dump(block, run)
            block, size = [], 0
    marshal.dump(block, run)
    run.flush()
    return run


def _read_run(run: IO[bytes]) -> Iterator[Keyed]:
    run.seek(0)
    while True:
        try:
            block = marshal.load(run)  # noqa: S302 - we wrote it, and nobody else can open it
        except EOFError:
            return
        yield from block
