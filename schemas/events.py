"""The event catalogue: what Detente takes in, as CloudEvents 1.0 in structured JSON.

`parse_event` turns bytes into exactly one of three things: an event of the catalogue, an event
of a type that nobody here knows (kept and counted), or the reasons why it cannot be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from schemas.fields import PRINTABLE
from schemas.time import FIRST_YEAR, LAST_YEAR

#: The largest event that is read, in bytes. A larger one is a mistake or an attack.
MAX_EVENT_BYTES = 256 * 1024
_CURRENCY = r"^[A-Z]{3}$"

Id = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE, examples=["PO-1017"])]
"""A name that another system gave. Printable, so that it can be shown and stored as it is."""

Text = Annotated[str, Field(max_length=4000)]

Moment = Annotated[
    AwareDatetime,
    Field(
        strict=True,
        ge=datetime(FIRST_YEAR, 1, 1, tzinfo=UTC),
        le=datetime(LAST_YEAR, 12, 31, tzinfo=UTC),
        description="An instant with its UTC offset, e.g. 2026-11-01T10:00:00+01:00.",
    ),
]
Day = Annotated[date, Field(strict=True, ge=date(FIRST_YEAR, 1, 1), le=date(LAST_YEAR, 12, 31))]
MomentOrDay = Annotated[
    Moment | Day,
    Field(
        union_mode="left_to_right",
        description="An instant, or a date that stands for the end of that day in the "
        "partner's time zone.",
    ),
]
Quantity = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=6)]
Currency = Annotated[str, Field(pattern=_CURRENCY, description="ISO 4217, e.g. EUR.")]


class Data(BaseModel):
    """What every payload shares. A field that nobody knows is kept apart and counted."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


class PartnerData(Data):
    """A payload about one partner."""

    partner_id: Id


# --- orders -----------------------------------------------------------------------------------


class OrderLine(Data):
    """One line of an order. `line_id` tells two lines of one sku apart."""

    line_id: Id | None = None
    sku: Id
    quantity: Quantity
    unit_price: Quantity | None = None
    promised_at: MomentOrDay | None = None


class OrderPlaced(PartnerData):
    """An order was confirmed. Its promise is the one that lateness is counted against."""

    order_id: Id
    promised_at: MomentOrDay
    currency: Currency | None = None
    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=2000)]


class Party(StrEnum):
    """Who agreed to, or called off, something."""

    PARTNER = "partner"
    US = "us"


class OrderAmended(PartnerData):
    """Promise or lines were changed. Only what the partner agreed to moves the promise."""

    order_id: Id
    promised_at: MomentOrDay | None = None
    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=2000)] | None = None
    agreed_by: Party


class ImpactKind(StrEnum):
    """What is wrong with the goods or their papers."""

    SHORT = "short"
    DAMAGED = "damaged"
    WRONG_ITEM = "wrong_item"
    QUALITY = "quality"
    PRICE = "price"
    DOCUMENTATION = "documentation"
    RETURN = "return"
    OTHER = "other"


class LineQuantity(Data):
    """A quantity of one line, named by `line_id` or by `sku`."""

    line_id: Id | None = None
    sku: Id | None = None
    quantity: Quantity


class OrderImpacted(PartnerData):
    """Part of an order is affected. Exactly one of lines, quantity, impact_percent says how much.

    `report_id` names the report, so that a later event with the same one corrects it.
    """

    order_id: Id
    report_id: Id | None = None
    kind: ImpactKind
    lines: Annotated[tuple[LineQuantity, ...], Field(min_length=1, max_length=2000)] | None = None
    quantity: Quantity | None = None
    impact_percent: Annotated[Decimal, Field(ge=0, le=100, max_digits=9)] | None = None
    note: Text | None = None


class OrderCancelled(PartnerData):
    """The order, or the named lines of it, was called off."""

    order_id: Id
    by: Party
    lines: Annotated[tuple[LineQuantity, ...], Field(min_length=1, max_length=2000)] | None = None
    reason: Text | None = None


# --- deliveries -------------------------------------------------------------------------------


class DeliveryDispatched(PartnerData):
    """A delivery left. Its eta is a forecast."""

    delivery_id: Id
    order_id: Id
    carrier: Id | None = None
    lane: Id | None = None
    eta: MomentOrDay | None = None


class DeliveryRescheduled(PartnerData):
    """A new forecast for one delivery, or without delivery_id for all that is outstanding."""

    delivery_id: Id | None = None
    order_id: Id
    eta: MomentOrDay
    reason: Text | None = None


class DeliveredLine(LineQuantity):
    """What came of one line, and how much of that was damaged."""

    damaged: Quantity | None = None


class DeliveryCompleted(PartnerData):
    """A delivery arrived. Without lines and not final, it says nothing about quantities."""

    delivery_id: Id
    order_id: Id
    delivered_at: MomentOrDay | None = None
    lines: Annotated[tuple[DeliveredLine, ...], Field(max_length=2000)] | None = None
    final: bool | None = None


class DeliveryFailed(PartnerData):
    """A delivery will not arrive; its eta is void."""

    delivery_id: Id
    order_id: Id
    reason: Text | None = None


# --- tickets ----------------------------------------------------------------------------------


class TicketOpened(PartnerData):
    """The partner, or we for the partner, opened a ticket."""

    ticket_id: Id
    order_id: Id | None = None
    category: Id
    severity: Id | None = None
    channel: Id | None = None
    urgent: bool | None = None
    summary: Text | None = None


class Author(StrEnum):
    """Who wrote a message."""

    PARTNER = "partner"
    US = "us"
    SYSTEM = "system"


class MessageKind(StrEnum):
    """Only a reply is an answer; a note is internal, an automatic message is nobody's word."""

    REPLY = "reply"
    NOTE = "note"
    AUTOMATIC = "automatic"


class TicketMessage(PartnerData):
    """Somebody wrote on a ticket."""

    ticket_id: Id
    author: Author
    kind: MessageKind


class TicketState(StrEnum):
    """Where a ticket stands in the helpdesk."""

    OPEN = "open"
    WAITING_ON_PARTNER = "waiting_on_partner"
    WAITING_ON_US = "waiting_on_us"
    RESOLVED = "resolved"
    CLOSED = "closed"


class TicketStatus(PartnerData):
    """A ticket changed its state, and perhaps its category or severity."""

    ticket_id: Id
    status: TicketState
    category: Id | None = None
    severity: Id | None = None
    actor: Annotated[
        Id | None, Field(description="Who said so; pauses and downgrades are reported by person.")
    ] = None
    agreed_by: Annotated[
        Id | None, Field(description="Who agreed that it is less urgent; shown with a downgrade.")
    ] = None


# --- touchpoints, disruptions, metrics --------------------------------------------------------


class TouchpointHeld(PartnerData):
    """A promised check-in, review or planning session took place."""

    kind: Id
    held_at: MomentOrDay | None = None
    note: Text | None = None


class TouchpointSkipped(PartnerData):
    """A promised session was called off, with somebody's agreement."""

    kind: Id
    agreed_by: Id
    note: Text | None = None


class DisruptionDeclared(Data):
    """Something that makes many orders late at once. Exactly one selector says which."""

    disruption_id: Id
    severity: Id
    summary: Text
    partner_ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=5000)] | None = None
    carrier: Id | None = None
    lane: Id | None = None
    order_ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=5000)] | None = None
    scope: Literal["all"] | None = None


class DisruptionCleared(Data):
    """The disruption is over; what gets late from now on stands for itself again."""

    disruption_id: Id
    summary: Text | None = None


class MetricReported(PartnerData):
    """A figure about a partner that another system computed."""

    metric: Id
    value: Annotated[Decimal, Field(max_digits=24)]
    unit: Id | None = None
    period: Id | None = None


# --- commands ---------------------------------------------------------------------------------


class Command(Data):
    """What somebody decided about a case."""

    case_id: Id
    actor: Id
    partner_id: Id | None = None
    note: Text | None = None


class CaseAcknowledged(Command):
    """Somebody owns up to the case. `take_over`: although others were asked."""

    take_over: bool = False
    bulk: bool = False
    """Given for many cases at once; counted apart in reports."""


class CaseAssigned(Command):
    """The case has a new owner."""

    to: Id


class CaseEscalated(Command):
    """Moved up by hand, one tier or to the named one."""

    to: Id | None = None


class CaseDeescalated(Command):
    """Moved down by hand, one tier or to the named one."""

    to: Id | None = None


class CaseWaiting(Command):
    """Nothing can be done until the partner answers."""

    until: Moment | None = None


class CaseSnoozed(Command):
    """Put off until an instant, by a person."""

    until: Moment


class CaseCommented(Command):
    """A remark."""

    note: Annotated[str, Field(min_length=1, max_length=4000)]


class CaseResolved(Command):
    """Solved. The root cause is what patterns and reports learn from."""

    root_cause: Annotated[str, Field(min_length=1, max_length=400)]
    action: Text | None = None
    prevention: Text | None = None


class CaseClosed(Command):
    """Nothing more to do or to learn."""


class CaseReopened(Command):
    """Not solved after all."""


class CaseMoved(Command):
    """Judged again under the policy version that is in force at this command's time."""


class CaseDisputed(Command):
    """Somebody says the case is wrong, and names the evidence."""

    evidence: Annotated[str, Field(min_length=1, max_length=4000)]


class Verdict(StrEnum):
    """How a dispute ended."""

    UPHELD = "upheld"
    """The case stands."""
    CORRECTED = "corrected"
    """The case was wrong and is retracted."""
    EXCUSED = "excused"
    """It happened, and does not count against us."""


class CaseDisputeDecided(Command):
    """The verdict on a dispute, by somebody who does not own the case."""

    verdict: Verdict


class ClockExcused(Data):
    """A breach, or a coming one, that shall not count, with its approver."""

    clock_id: Id
    actor: Id
    partner_id: Id | None = None
    note: Text | None = None


# --- the envelope -----------------------------------------------------------------------------


class Envelope(BaseModel):
    """The CloudEvents attributes. (`source`, `id`) names the event; others are extensions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    id: Id
    source: Id
    time: Moment


class _OrderPlaced(Envelope):
    type: Literal["order.placed"]
    data: OrderPlaced


class _OrderAmended(Envelope):
    type: Literal["order.amended"]
    data: OrderAmended


class _OrderImpacted(Envelope):
    type: Literal["order.impacted"]
    data: OrderImpacted


class _OrderCancelled(Envelope):
    type: Literal["order.cancelled"]
    data: OrderCancelled


class _DeliveryDispatched(Envelope):
    type: Literal["delivery.dispatched"]
    data: DeliveryDispatched


class _DeliveryRescheduled(Envelope):
    type: Literal["delivery.rescheduled"]
    data: DeliveryRescheduled


class _DeliveryCompleted(Envelope):
    type: Literal["delivery.completed"]
    data: DeliveryCompleted


class _DeliveryFailed(Envelope):
    type: Literal["delivery.failed"]
    data: DeliveryFailed


class _TicketOpened(Envelope):
    type: Literal["ticket.opened"]
    data: TicketOpened


class _TicketMessage(Envelope):
    type: Literal["ticket.message"]
    data: TicketMessage


class _TicketStatus(Envelope):
    type: Literal["ticket.status"]
    data: TicketStatus


class _TouchpointHeld(Envelope):
    type: Literal["touchpoint.held"]
    data: TouchpointHeld


class _TouchpointSkipped(Envelope):
    type: Literal["touchpoint.skipped"]
    data: TouchpointSkipped


class _DisruptionDeclared(Envelope):
    type: Literal["disruption.declared"]
    data: DisruptionDeclared


class _DisruptionCleared(Envelope):
    type: Literal["disruption.cleared"]
    data: DisruptionCleared


class _MetricReported(Envelope):
    type: Literal["metric.reported"]
    data: MetricReported


class _CaseAcknowledged(Envelope):
    type: Literal["case.acknowledged"]
    data: CaseAcknowledged


class _CaseAssigned(Envelope):
    type: Literal["case.assigned"]
    data: CaseAssigned


class _CaseEscalated(Envelope):
    type: Literal["case.escalated"]
    data: CaseEscalated


class _CaseDeescalated(Envelope):
    type: Literal["case.deescalated"]
    data: CaseDeescalated


class _CaseWaiting(Envelope):
    type: Literal["case.waiting"]
    data: CaseWaiting


class _CaseSnoozed(Envelope):
    type: Literal["case.snoozed"]
    data: CaseSnoozed


class _CaseCommented(Envelope):
    type: Literal["case.commented"]
    data: CaseCommented


class _CaseResolved(Envelope):
    type: Literal["case.resolved"]
    data: CaseResolved


class _CaseClosed(Envelope):
    type: Literal["case.closed"]
    data: CaseClosed


class _CaseReopened(Envelope):
    type: Literal["case.reopened"]
    data: CaseReopened


class _CaseMoved(Envelope):
    type: Literal["case.moved"]
    data: CaseMoved


class _CaseDisputed(Envelope):
    type: Literal["case.disputed"]
    data: CaseDisputed


class _CaseDisputeDecided(Envelope):
    type: Literal["case.dispute_decided"]
    data: CaseDisputeDecided


class _ClockExcused(Envelope):
    type: Literal["clock.excused"]
    data: ClockExcused


Event = (
    _OrderPlaced
    | _OrderAmended
    | _OrderImpacted
    | _OrderCancelled
    | _DeliveryDispatched
    | _DeliveryRescheduled
    | _DeliveryCompleted
    | _DeliveryFailed
    | _TicketOpened
    | _TicketMessage
    | _TicketStatus
    | _TouchpointHeld
    | _TouchpointSkipped
    | _DisruptionDeclared
    | _DisruptionCleared
    | _MetricReported
    | _CaseAcknowledged
    | _CaseAssigned
    | _CaseEscalated
    | _CaseDeescalated
    | _CaseWaiting
    | _CaseSnoozed
    | _CaseCommented
    | _CaseResolved
    | _CaseClosed
    | _CaseReopened
    | _CaseMoved
    | _CaseDisputed
    | _CaseDisputeDecided
    | _ClockExcused
)
"""An event of the catalogue: the envelope with its `type` and typed `data`."""

#: Every envelope class by the type that it carries.
CATALOGUE: dict[str, type[Envelope]] = {
    get_args(variant.model_fields["type"].annotation)[0]: variant for variant in get_args(Event)
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an event: where, and what was expected there."""

    path: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path}: {self.expected}" if self.path else self.expected


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no event of the catalogue."""

    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.problems))


@dataclass(frozen=True, slots=True)
class UnknownType:
    """A CloudEvent of a type that nobody here knows. Set aside and counted, not refused."""

    type: str

    def __str__(self) -> str:
        return f"type: {self.type!r} is not an event type that Detente knows"


_validate = TypeAdapter[Event](
    Annotated[Event, Field(discriminator="type")]
).validator.validate_json


def parse_event(value: bytes) -> Event | Malformed | UnknownType:
    """Read one CloudEvent from its JSON bytes."""
    if len(value) > MAX_EVENT_BYTES:
        return Malformed((Problem("", f"{len(value)} bytes; the most is {MAX_EVENT_BYTES}"),))
    try:
        event: Event = _validate(value)
    except ValidationError as error:
        return _explain(error)
    check = _CHECKS.get(event.type)
    if check is not None:
        problems = tuple(check(event.data))
        if problems:
            return Malformed(problems)
    return event


def _explain(error: ValidationError) -> Malformed | UnknownType:
    details = error.errors(include_url=False)
    first = details[0]
    if first["type"] == "union_tag_invalid":
        return UnknownType(str(first.get("ctx", {}).get("tag", ""))[:200])
    if first["type"] == "union_tag_not_found":
        return Malformed((Problem("type", "required: the event's type, e.g. order.placed"),))
    problems: dict[str, Problem] = {}
    for detail in details[:10]:
        path = _path(detail)
        if detail["type"] == "too_short" and detail["input"]:
            continue  # a list is only short of items because those that it has are wrong
        # A time-or-date field reports both branches: keep the one that the writer meant.
        found = detail.get("input")
        meant_date = detail["loc"][-1:] == ("date",) and isinstance(found, str) and len(found) <= 10
        if meant_date or path not in problems:
            problems[path] = Problem(path, _expectation(detail))
    return Malformed(tuple(problems.values()))


def _path(detail: ErrorDetails) -> str:
    path = ""
    location = detail["loc"]
    for number, piece in enumerate(location):
        if isinstance(piece, int):
            path += f"[{piece}]"
        elif (number == 0 and piece in CATALOGUE) or (
            number == len(location) - 1 and piece in ("datetime", "date")
        ):
            continue
        else:
            path += f".{piece}" if path else piece
    return path


_NEEDS = {
    "timezone_aware": "needs a UTC offset, e.g. 2026-11-01T10:00:00+01:00",
    "string_type": "needs text in quotes",
    "decimal_type": "needs a number such as 1250.5",
    "decimal_parsing": "needs a number such as 1250.5",
    "datetime_type": "needs text such as 2026-11-01T10:00:00+01:00",
}
_NEEDS_PATTERN = {
    PRINTABLE: "needs text without line breaks or control characters",
    _CURRENCY: "needs three capital letters such as EUR",
}


def _expectation(detail: ErrorDetails) -> str:
    found = detail.get("input")
    kind = detail["type"]
    context = detail.get("ctx", {})
    if kind == "missing":
        return "required, but missing"
    if kind == "json_invalid":
        return f"not valid JSON: {context.get('error', detail['msg'])}"
    if kind == "too_short":  # pydantic speaks of tuples
        message = f"needs at least {context['min_length']} item"
    else:
        said = detail["msg"][:1].lower() + detail["msg"][1:]
        message = _NEEDS.get(kind) or _NEEDS_PATTERN.get(context.get("pattern", ""), said)
    shown = repr(found)
    return f"{message}; found {shown if len(shown) <= 80 else shown[:77] + '...'}"


# What pydantic's types cannot say without slowing every event down: one of several fields.


def _named_lines(data: Any) -> Iterator[Problem]:
    for number, line in enumerate(data.lines or ()):
        if line.line_id is None and line.sku is None:
            yield Problem(f"data.lines[{number}]", "names its line by line_id or by sku")


def _one_measure(data: Any) -> Iterator[Problem]:
    given = [n for n in ("lines", "quantity", "impact_percent") if getattr(data, n) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        yield Problem("data", f"exactly one of lines, quantity, impact_percent; found {found}")
    yield from _named_lines(data)


_SELECTORS = ("partner_ids", "carrier", "lane", "order_ids", "scope")


def _one_selector(data: Any) -> Iterator[Problem]:
    given = [name for name in _SELECTORS if getattr(data, name) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none (for all partners say scope: all)"
        yield Problem("data", f"exactly one of {', '.join(_SELECTORS)}; found {found}")


def _some_change(data: Any) -> Iterator[Problem]:
    if data.promised_at is None and data.lines is None:
        yield Problem("data", "promised_at or lines: what was amended")


_CHECKS = {
    "order.amended": _some_change,
    "order.impacted": _one_measure,
    "order.cancelled": _named_lines,
    "delivery.completed": _named_lines,
    "disruption.declared": _one_selector,
}


def unknown_fields(event: Event) -> Iterator[str]:
    """Names of payload fields that the catalogue does not have, e.g. `lines[].color`."""
    data = event.data
    if data.__pydantic_extra__:
        yield from data.__pydantic_extra__
    for line in getattr(data, "lines", None) or ():
        if line.__pydantic_extra__:
            for name in line.__pydantic_extra__:
                yield f"lines[].{name}"
