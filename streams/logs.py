"""Logs: lines for people, or one JSON document a line; both with the ids of what they are about.

    _log.warning("Set aside: %s", reason, extra={"case": case_id, "partner": partner_id})
    with about(batch="orders/3/118000"): ...

Whatever is logged inside `about` bears its ids too. Values of secrets never appear, whoever logs
them: they are blotted out of every line. The same warning comes once a minute: while a database or
a broker is away, some are given many times a second.
"""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

import msgspec
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

#: The ids that a line can bear, in the order in which people see them.
IDS = ("case", "partner", "batch", "input")

_SECRET_NAMES = ("TOKEN", "SECRET", "PASSWORD")
_BLOT = "***"
_SILENT_S = 60.0
_REMEMBERED = 1_000
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default={})  # noqa: B039 - only ever replaced


@contextmanager
def about(**ids: str) -> Iterator[None]:
    """Whatever is logged inside is about these: `case`, `partner`, `batch`, `input`."""
    before = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(before)


def secrets_of(environment: Mapping[str, str], *urls: str) -> frozenset[str]:
    """What must never be logged: secrets in the environment, and the passwords in URLs."""
    found = {
        value
        for name, value in environment.items()
        # A shorter one would blot out words that mean something else.
        if any(part in name for part in _SECRET_NAMES) and len(value) >= 6
    }
    for url in urls:
        try:
            password = make_url(url).password
        except ArgumentError:
            continue
        if password:
            found.add(str(password))
    return frozenset(found)


def set_up_logs(
    *,
    json: bool,
    level: str,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Let everything from `level` up go to standard error, as lines or as JSON documents."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json(secrets) if json else _Lines(secrets))
    handler.addFilter(_Repeats())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # They tell of every request and every rebalance; their warnings are of use.
    for chatty in ("aiokafka", "faust", "mode", "apscheduler", "alembic", "aiohttp"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def _ids(record: logging.LogRecord) -> dict[str, str]:
    known = {**_about.get()}
    known |= {name: str(value) for name in IDS if (value := getattr(record, name, None))}
    return {name: known[name] for name in IDS if name in known}


class _Repeats(logging.Filter):
    """Drops a warning that was given less than a minute ago, and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self._given: dict[object, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or record.exc_info:
            return True
        said = record.name, record.levelno, record.getMessage(), *_ids(record).items()
        at, more = self._given.get(said, (0.0, 0))
        if at <= record.created < at + _SILENT_S:
            self._given[said] = at, more + 1
            return False
        if len(self._given) >= _REMEMBERED:
            self._given.clear()
        self._given[said] = record.created, 0
        record.more = more
        return True


class _Guarded(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = sorted(secrets, key=len, reverse=True)

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _BLOT)
        return text

    def message(self, record: logging.LogRecord) -> str:
        more = getattr(record, "more", 0)
        said = self.clean(record.getMessage())
        return f"{said} (and {more} more until now)" if more else said

    def details(self, record: logging.LogRecord) -> str | None:
        return self.clean(self.formatException(record.exc_info)) if record.exc_info else None


class _Lines(_Guarded):
    """`2026-11-02 10:00:00,000 WARNING What happened [case=C-... partner=acme]`."""

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in _ids(record).items())
        text = f"{self.formatTime(record)} {record.levelname} {self.message(record)}"
        lines = [f"{text} [{ids}]" if ids else text, self.details(record)]
        return "\n".join(filter(None, lines))


class _Json(_Guarded):
    """One document a line: `at`, `level`, `logger`, `message`, the ids, and `error`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        document = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
            **_ids(record),
        }
        if error := self.details(record):
            document["error"] = error
        return msgspec.json.encode(document).decode()
