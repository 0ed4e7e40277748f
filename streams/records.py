"""What an input yields: one event as bytes, or what could not become one and why."""

from dataclasses import dataclass

KEPT_BYTES = 64 * 1024
"""So much of a rejected record is kept; the rest is still in the input, at its position."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One CloudEvent in structured JSON, not parsed yet."""

    input: str
    """Name of the input as the user wrote it, such as the path of a file."""
    position: str
    """Where in the input, for people: "line 17", "row 17 (sheet Orders)", "rows 17-19"."""
    value: bytes


@dataclass(frozen=True, slots=True)
class BrokerRecord(RawRecord):
    """One that came with headers, which go with it when it is handed on."""

    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A piece of input that could not even become the bytes of an event."""

    input: str
    position: str
    value: bytes
    """The original bytes, cut to KEPT_BYTES; the cells as a JSON array if it was a sheet's row."""
    reason: str
    """What was found, where, and what is accepted."""
    headers: tuple[tuple[str, bytes], ...] = ()
    """As of a BrokerRecord."""


Record = RawRecord | RejectedRecord


class InputError(Exception):
    """An input cannot be read, or not to its end; the message names it and says why."""
