"""How commands hand records to the running service, and get their outcomes."""

from collections.abc import Sequence

import msgspec

from schemas.events import Problem
from streams import outcome as out
from streams.outcome import Outcome
from streams.records import RawRecord, Record, RejectedRecord

#: The page that takes them. It opens only to the token beside the database.
PATH = "/local/records"


class _Record(msgspec.Struct, array_like=True):
    input: str
    position: str
    value: bytes
    reason: str | None = None


class _Outcome(msgspec.Struct, array_like=True):
    name: str
    reason: str | None = None
    problems: list[tuple[str, str]] = []


def encode_records(records: Sequence[Record]) -> bytes:
    """The body of a request."""
    return msgspec.msgpack.encode(
        [_Record(r.input, r.position, r.value, getattr(r, "reason", None)) for r in records]
    )


def decode_records(body: bytes) -> list[Record]:
    """Read a request's body. Raises msgspec.DecodeError."""
    return [
        RawRecord(r.input, r.position, r.value)
        if r.reason is None
        else RejectedRecord(r.input, r.position, r.value, r.reason)
        for r in msgspec.msgpack.decode(body, type=list[_Record])
    ]


def encode_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    """The body of an answer."""
    return msgspec.msgpack.encode(
        [
            _Outcome(
                type(outcome).__name__,
                getattr(outcome, "reason", None),
                [(p.path, p.expected) for p in getattr(outcome, "problems", ())],
            )
            for outcome in outcomes
        ]
    )


def decode_outcomes(body: bytes) -> list[Outcome]:
    """Read an answer's body."""
    return [_outcome(each) for each in msgspec.msgpack.decode(body, type=list[_Outcome])]


def _outcome(each: _Outcome) -> Outcome:
    reason = each.reason or ""
    match each.name:
        case "Accepted":
            return out.Accepted()
        case "Duplicate":
            return out.Duplicate()
        case "Conflict":
            return out.Conflict(reason)
        case "Refused":
            return out.Refused(reason, tuple(Problem(*problem) for problem in each.problems))
        case "SetAside":
            return out.SetAside(reason)
        case "Parked":
            return out.Parked(reason)
        case other:
            raise ValueError(f"the service answered {other!r}; is it of another version?")
