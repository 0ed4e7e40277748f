"""Subjects: how they are named, and what one event contributes to one of them.

A subject's document is a list of contributions and the steps already taken. Each contribution
is kept as compactly as the fold allows: names, instants as integers, decimals as text, a date
without a time as its text (the partner's zone says which instant it is when it is folded).
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from rules.decision import Kind
from schemas import events as ev
from schemas.events import Event, TicketStatus
from schemas.time import Instant, to_instant

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U to misread aloud
#: What somebody types who takes a digit for the letter that it is like.
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})


def subject_key(kind: Kind, partner_id: str, name: str) -> str:
    """The key of a subject, e.g. `order:ACME:PO-17`. Different subjects have different keys."""
    if "%" in partner_id or ":" in partner_id:
        partner_id = partner_id.replace("%", "%25").replace(":", "%3A")
    return f"{kind}:{partner_id}:{name}"


def split_key(key: str) -> tuple[Kind, str, str]:
    """The kind, partner and name that a key was made of."""
    kind, partner_id, name = key.split(":", 2)
    return Kind(kind), partner_id.replace("%3A", ":").replace("%25", "%"), name


@lru_cache(maxsize=10_000)
def case_id(key: str) -> str:
    """The id of the one case that a subject can have: `C-` and twelve letters of its key's hash."""
    number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
    letters = []
    for _ in range(12):
        number, letter = divmod(number, 32)
        letters.append(_ALPHABET[letter])
    return "C-" + "".join(letters)


def case_id_meant(text: str) -> str | None:
    """The id of a case, or its beginning, as somebody writes it; None if it cannot be one.

    `C-` may be left out, letters may be small, and O, I and L stand for the digits they look like.
    """
    letters = text.strip("`* ").upper().removeprefix("C-").translate(_MISREAD)
    return f"C-{letters}" if letters.isalnum() else None


class Contribution(NamedTuple):
    """What one event said about one subject."""

    type: str
    source: str
    id: str
    time: int
    """The event's own time; among several versions of one thing the latest stands."""
    recorded: int
    data: list[Any]
    """The payload, in the order of the NamedTuple of its type below."""

    def same_content(self, other: "Contribution") -> bool:
        """Whether both say the same; when they were recorded does not matter."""
        return self.type == other.type and self.time == other.time and self.data == other.data


# The payloads, by type. When is an instant (int) or a date as text (str).
When = int | str


class Line(NamedTuple):
    """A line as it was ordered."""

    line_id: str | None
    sku: str
    quantity: str
    unit_price: str | None
    promised: When | None


class Part(NamedTuple):
    """A quantity of a line, named by line_id or by sku; `damaged` only in deliveries."""

    line_id: str | None
    sku: str | None
    quantity: str
    damaged: str | None


class Placed(NamedTuple):
    """Of `order.placed`."""

    promised: When
    currency: str | None
    lines: list[list[Any]]


class Amended(NamedTuple):
    """Of `order.amended`."""

    promised: When | None
    lines: list[list[Any]] | None
    agreed_by: str


class Impacted(NamedTuple):
    """Of `order.impacted`."""

    report_id: str | None
    kind: str
    lines: list[list[Any]] | None
    quantity: str | None
    percent: str | None
    note: str | None


class Cancelled(NamedTuple):
    """Of `order.cancelled`."""

    by: str
    lines: list[list[Any]] | None
    reason: str | None


class Dispatched(NamedTuple):
    """Of `delivery.dispatched`."""

    delivery_id: str
    carrier: str | None
    lane: str | None
    eta: When | None


class Rescheduled(NamedTuple):
    """Of `delivery.rescheduled`."""

    delivery_id: str | None
    eta: When
    reason: str | None


class Completed(NamedTuple):
    """Of `delivery.completed`."""

    delivery_id: str
    delivered: When | None
    lines: list[list[Any]] | None
    final: bool | None


class Failed(NamedTuple):
    """Of `delivery.failed`."""

    delivery_id: str
    reason: str | None


class Opened(NamedTuple):
    """Of `ticket.opened`."""

    order_id: str | None
    category: str
    severity: str | None
    channel: str | None
    urgent: bool
    summary: str | None


class Message(NamedTuple):
    """Of `ticket.message`."""

    author: str
    kind: str


class Status(NamedTuple):
    """Of `ticket.status`."""

    status: str
    category: str | None
    severity: str | None
    actor: str | None = None
    """Who said so, where the helpdesk names somebody."""
    agreed_by: str | None = None


class Held(NamedTuple):
    """Of `touchpoint.held`."""

    kind: str
    held: When | None
    note: str | None


class Skipped(NamedTuple):
    """Of `touchpoint.skipped`."""

    kind: str
    agreed_by: str
    note: str | None


class Declared(NamedTuple):
    """Of `disruption.declared`; `selector` says what `selected` names."""

    severity: str
    summary: str
    selector: str
    selected: list[str]


class Cleared(NamedTuple):
    """Of `disruption.cleared`."""

    summary: str | None


class Reported(NamedTuple):
    """Of `metric.reported`."""

    value: str
    unit: str | None
    period: str | None


class Ordered(NamedTuple):
    """A command, with what its verb needs and the roles that its actor fills for the partner.

    The roles are looked up when the command is taken and kept: a directory that changes later
    does not unmake an acknowledgement.
    """

    actor: str
    note: str | None
    roles: list[str]
    detail: dict[str, Any]


class Statement(NamedTuple):
    """An event as the core takes it: the subject it is about and what it contributes."""

    key: str
    kind: Kind
    partner_id: str
    contribution: Contribution


RolesOf = Callable[[str, str, int], tuple[str, ...]]
"""(actor, partner_id, at) to the roles that the actor fills there and then."""


def _when(value: datetime | date | None) -> When | None:
    if value is None:
        return None
    return to_instant(value) if isinstance(value, datetime) else value.isoformat()


def _status(said: TicketStatus) -> list[Any]:
    # Neither was always kept: without them the statement is what it was before.
    by = [said.actor or "", said.agreed_by] if said.agreed_by else [said.actor]
    return [said.status.value, said.category, said.severity, *(by if any(by) else ())]


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _lines(lines: tuple[ev.OrderLine, ...] | None) -> list[list[Any]] | None:
    if lines is None:
        return None
    return [
        [
            line.line_id,
            line.sku,
            str(line.quantity),
            None if line.unit_price is None else str(line.unit_price),
            None if line.promised_at is None else _when(line.promised_at),
        ]
        for line in lines
    ]


def _parts(lines: tuple[ev.LineQuantity, ...] | None) -> list[list[Any]] | None:
    if not lines:
        return None
    return [[line.line_id, line.sku, str(line.quantity), None] for line in lines]


def _came(lines: tuple[ev.DeliveredLine, ...] | None) -> list[list[Any]] | None:
    if not lines:
        return None
    return [
        [
            line.line_id,
            line.sku,
            str(line.quantity),
            None if line.damaged is None else str(line.damaged),
        ]
        for line in lines
    ]


def _declared(d: ev.DisruptionDeclared) -> list[Any]:
    if d.scope is not None:
        return [d.severity, d.summary, "all", []]
    if d.carrier is not None:
        return [d.severity, d.summary, "carrier", [d.carrier]]
    if d.lane is not None:
        return [d.severity, d.summary, "lane", [d.lane]]
    if d.partner_ids is not None:
        return [d.severity, d.summary, "partner", sorted(set(d.partner_ids))]
    return [d.severity, d.summary, "order", sorted(set(d.order_ids or ()))]


_Rule = tuple[Kind, str | None, Callable[[Any], list[Any]]]

#: Event type to the kind of its subject, the field that names it, and the contribution's payload.
_SHAPES: dict[str, _Rule] = {
    "order.placed": (
        Kind.ORDER,
        "order_id",
        lambda d: [_when(d.promised_at), d.currency, _lines(d.lines)],
    ),
    "delivery.completed": (
        Kind.ORDER,
        "order_id",
        lambda d: [d.delivery_id, _when(d.delivered_at), _came(d.lines), d.final],
    ),
    "order.amended": (
        Kind.ORDER,
        "order_id",
        lambda d: [_when(d.promised_at), _lines(d.lines), d.agreed_by.value],
    ),
    "order.impacted": (
        Kind.ORDER,
        "order_id",
        lambda d: [
            d.report_id,
            d.kind.value,
            _parts(d.lines),
            _text(d.quantity),
            _text(d.impact_percent),
            d.note,
        ],
    ),
    "order.cancelled": (
        Kind.ORDER,
        "order_id",
        lambda d: [d.by.value, _parts(d.lines), d.reason],
    ),
    "delivery.dispatched": (
        Kind.ORDER,
        "order_id",
        lambda d: [d.delivery_id, d.carrier, d.lane, _when(d.eta)],
    ),
    "delivery.rescheduled": (
        Kind.ORDER,
        "order_id",
        lambda d: [d.delivery_id, _when(d.eta), d.reason],
    ),
    "delivery.failed": (Kind.ORDER, "order_id", lambda d: [d.delivery_id, d.reason]),
    "ticket.opened": (
        Kind.TICKET,
        "ticket_id",
        lambda d: [d.order_id, d.category, d.severity, d.channel, bool(d.urgent), d.summary],
    ),
    "ticket.message": (Kind.TICKET, "ticket_id", lambda d: [d.author.value, d.kind.value]),
    "ticket.status": (
        Kind.TICKET,
        "ticket_id",
        _status,
    ),
    "touchpoint.held": (
        Kind.TOUCHPOINTS,
        None,
        lambda d: [d.kind, _when(d.held_at), d.note],
    ),
    "touchpoint.skipped": (Kind.TOUCHPOINTS, None, lambda d: [d.kind, d.agreed_by, d.note]),
    "disruption.declared": (Kind.DISRUPTION, "disruption_id", _declared),
    "disruption.cleared": (Kind.DISRUPTION, "disruption_id", lambda d: [d.summary]),
    "metric.reported": (Kind.METRIC, "metric", lambda d: [str(d.value), d.unit, d.period]),
}

#: What a command carries besides its actor and note.
_ENVELOPE_OF_COMMANDS = frozenset({"case_id", "clock_id", "actor", "partner_id", "note"})


def is_command(event: Event) -> bool:
    """Whether the event is somebody's decision about a case, not news of the trade."""
    return event.type not in _SHAPES


def state_subject(event: Event, recorded: Instant | None) -> Statement:
    """What an event of the trade contributes, and to which subject.

    Without `recorded` it counts as recorded at its own time.
    """
    event_type = event.type
    kind, name, payload = _SHAPES[event_type]
    data: Any = event.data
    partner_id = "" if kind is Kind.DISRUPTION else data.partner_id  # it has no partner of its own
    time = to_instant(event.time)
    return Statement(
        subject_key(kind, partner_id, "" if name is None else getattr(data, name)),
        kind,
        partner_id,
        Contribution(
            event_type,
            event.source,
            event.id,
            time,
            time if recorded is None else recorded,
            payload(data),
        ),
    )


def command_target(event: Event) -> str:
    """The id of the case that a command is about; a clock's id starts with its case's."""
    data: Any = event.data
    if isinstance(data, ev.ClockExcused):
        return data.clock_id.partition("/")[0]
    return str(data.case_id)


def state_command(event: Event, recorded: Instant, key: str, roles_of: RolesOf) -> Statement:
    """What a command contributes to the subject of its case."""
    kind, partner_id, _ = split_key(key)
    data: Any = event.data
    at = to_instant(event.time)
    detail = {
        name: value
        for name, value in data.model_dump(mode="python", exclude_defaults=True).items()
        if name not in _ENVELOPE_OF_COMMANDS and name in type(data).model_fields
    }
    for name, value in detail.items():
        if isinstance(value, datetime):
            detail[name] = to_instant(value)
    if isinstance(data, ev.ClockExcused):
        detail["clock"] = data.clock_id
    ordered = Ordered(data.actor, data.note, sorted(roles_of(data.actor, partner_id, at)), detail)
    return Statement(
        key,
        kind,
        partner_id,
        Contribution(event.type, event.source, event.id, at, recorded, list(ordered)),
    )


class Taken(NamedTuple):
    """A step that was taken: what of it cannot be folded again."""

    decided_at: int
    due: int | None = None
    """When the acknowledgement that it asked for falls due."""
    resolve_due: int | None = None
    told: bool = False
    """Whether effects went out for it."""
    withdrawn_at: int | None = None
    shadow: bool = False
    """Whether only the redirect target was told."""
    at: int | None = None
    """The effective time that it had when it was decided."""


class Document(NamedTuple):
    """What is stored of a subject: all that was said of it, the steps taken, what it counts as."""

    contributions: list[Contribution]
    taken: dict[str, Taken]
    occurrences: list[tuple[str, str, int]]
    """(dimension, value, at) that patterns count it under."""
    read_until: int = 0
    """Up to where silence was proven when steps were decided: a feed that falls silent later does
    not unmake what had been decided with its word."""
    told: dict[str, int] = {}  # noqa: RUF012 - a default of a tuple; nobody changes it in place
    """What was told of its clocks (see `rules.clock_news`)."""
    since: int | None = None
    """Of touchpoints: from when on the directory says that they are owed."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Document).decode


def read_document(document: bytes) -> Document:
    """Decode a stored document."""
    return _decode(document)


def write_document(document: Document) -> bytes:
    """Encode a document for the store; what most never have is left out at its end."""
    if document.told or document.since is not None:
        return _encode(document)
    return _encode(document[:4])
