"""Evidence of a case that may be forwarded to the partner: what happened, and what was promised.

Only what both sides have seen, or may see, is in it: events of the trade without free text, the
clocks of what each side owes the other, and the terms that they follow. Names of people, notes,
causes, partner tiers, rules that open cases, and whatever the ladder did stay in the house. Both
forms are made from the same parts, so that neither says more than the other.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from detente.clock_lists import world_of
from detente.desk import Desk, moment, words
from detente.output import shown
from rules.clocks import dues
from rules.clocks.clock import PARTNER, Clock, ClockState
from rules.clocks.subject_clocks import clocks_of
from rules.deadlines import in_words
from rules.decision import CaseRow, Kind
from rules.explain import subject_at
from rules.orders import Order, OrderedLine, effective_at, version_of
from rules.policy import CompiledPolicy
from rules.subjects import (
    Amended,
    Cancelled,
    Completed,
    Contribution,
    Dispatched,
    Document,
    Failed,
    Held,
    Impacted,
    Line,
    Message,
    Opened,
    Part,
    Placed,
    Reported,
    Rescheduled,
    Skipped,
    Status,
    When,
    split_key,
)
from rules.world import World
from schemas.time import HOUR, MINUTE, SECOND, Instant, local_text
from schemas.units import Span

_UNITS = {
    "bh": "business hour",
    "bd": "business day",
    "min": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
}
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~])")


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that both sides know of."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What was promised, by which version of the policy."""

    version: str
    since: int
    """When the subject came under it."""
    calendar: str
    """Its business hours, in words."""
    pauses: Sequence[str]
    """Metrics that do not run while the ticket waits on the partner."""
    pause_at_most: Span | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that may be told of a case."""

    case_id: str
    partner: str
    subject: str
    zone: ZoneInfo
    as_of: Instant
    happened: Sequence[Happening]
    lines: Sequence[OrderedLine]
    """Of an order."""
    clocks: Sequence[Clock]
    terms: Sequence[Terms]


def collect(desk: Desk, case: CaseRow, document: Document) -> Evidence:
    """The evidence of a case about an order, a ticket or a figure of one partner."""
    kind, partner_id, name = split_key(case.subject)
    world = world_of(desk)
    zone = world.zone(partner_id)
    partner = desk.knowledge.recipients.directory.partners.get(partner_id)
    said = sorted(
        ((effective_at(c, zone), version_of(c), c) for c in document.contributions),
        key=lambda entry: entry[:2],
    )
    past = [(at, c) for at, _, c in said if at <= desk.now]
    happened = [Happening(at, text) for at, c in past if (text := _told(c, zone)) is not None]
    lines: Sequence[OrderedLine] = ()
    if kind is Kind.ORDER:
        known = Document([c for _, c in past], {}, [])
        order = subject_at(case.subject, known, world, desk.now, desk.now)
        assert isinstance(order, Order), "the key says so"
        lines = order.lines
    return Evidence(
        case.case_id,
        (partner.name if partner is not None else None) or partner_id,
        f"{kind} {name}".strip(),
        zone,
        desk.now,
        happened,
        lines,
        clocks_of(case.subject, document, world, desk.now),
        list(_terms(world, partner_id, past)),
    )


# --- what happened --------------------------------------------------------------------------------


def _told(c: Contribution, zone: ZoneInfo) -> str | None:
    """What a contribution says to both sides; None for what is ours alone. No free text."""
    match c.type:
        case "ticket.opened":
            opened = Opened(*c.data)
            about = f" about order {opened.order_id}" if opened.order_id else ""
            return f"The ticket was opened{about}: {_traits(opened.category, opened.severity)}."
        case "ticket.message":
            message = Message(*c.data)
            if message.kind != "reply" or message.author not in ("us", "partner"):
                return None
            return "We replied." if message.author == "us" else "The partner wrote."
        case "ticket.status":
            status = Status(*c.data)
            traits = _traits(status.category, status.severity)
            return f"The ticket became: {words(status.status)}{f'; {traits}' if traits else ''}."
        case "order.placed":
            placed = Placed(*c.data)
            lines = [Line(*line) for line in placed.lines]
            what = ", ".join(f"{line.quantity} {line.sku}" for line in lines)
            return f"Ordered for {_when(placed.promised, zone)}: {what}."
        case "order.amended":
            amended = Amended(*c.data)
            agreed = "agreed by the partner" if amended.agreed_by == "partner" else "by us"
            to = "" if amended.promised is None else f", now for {_when(amended.promised, zone)}"
            changed = ", ".join(f"{x.quantity} {x.sku}" for x in map(_line, amended.lines or ()))
            return f"The order was changed, {agreed}{to}{f': {changed}' if changed else ''}."
        case "order.impacted":
            said = Impacted(*c.data)
            much = said.quantity or _parts(said.lines) or (said.percent and f"{said.percent} %")
            return f"Reported: {words(said.kind)}{f', {much}' if much else ''}."
        case "order.cancelled":
            cancelled = Cancelled(*c.data)
            by = "the partner" if cancelled.by == "partner" else "us"
            what = _parts(cancelled.lines) or "the order"
            return f"Cancelled by {by}: {what}."
        case "delivery.dispatched":
            sent = Dispatched(*c.data)
            eta = f", expected {_when(sent.eta, zone)}" if sent.eta is not None else ""
            return f"Delivery {sent.delivery_id} left{eta}."
        case "delivery.rescheduled":
            moved = Rescheduled(*c.data)
            which = f"Delivery {moved.delivery_id}" if moved.delivery_id else "What is outstanding"
            return f"{which} is now expected {_when(moved.eta, zone)}."
        case "delivery.completed":
            done = Completed(*c.data)
            came = _parts(done.lines)
            return f"Delivery {done.delivery_id} arrived{f': {came}' if came else ''}."
        case "delivery.failed":
            return f"Delivery {Failed(*c.data).delivery_id} will not arrive."
        case "touchpoint.held":
            return f"Session held: {words(Held(*c.data).kind)}."
        case "touchpoint.skipped":
            return f"Session skipped by agreement: {words(Skipped(*c.data).kind)}."
        case "metric.reported":
            figure = Reported(*c.data)
            of = f" for {figure.period}" if figure.period else ""
            return f"Reported{of}: {figure.value}{f' {figure.unit}' if figure.unit else ''}."
        case _:
            return None  # what people did about the case


def _line(raw: Sequence[Any]) -> Line:
    return Line(*raw)


def _traits(category: str | None, severity: str | None) -> str:
    parts = [f"category {category}" if category else "", f"severity {severity}" if severity else ""]
    return ", ".join(filter(None, parts))


def _parts(parts: list[list[Any]] | None) -> str:
    said = (Part(*raw) for raw in parts or ())
    return ", ".join(
        f"{part.quantity} {part.sku or f'of line {part.line_id}'}"
        + (f" ({part.damaged} damaged)" if part.damaged else "")
        for part in said
    )


def _when(when: When, zone: ZoneInfo) -> str:
    return when if isinstance(when, str) else local_text(when, zone)


# --- terms ----------------------------------------------------------------------------------------


def _terms(
    world: World, partner_id: str, past: Sequence[tuple[int, Contribution]]
) -> Iterator[Terms]:
    """By the version in force when it began, then by the one of each move to another."""
    starts = [at for n, (at, c) in enumerate(past) if n == 0 or c.type == "case.moved"]
    name = world.calendar_name(partner_id)
    version = ""
    for at in starts:
        policy = world.policies.at(at)
        if policy.hash != version:
            version = policy.hash
            clocks = policy.document.clocks
            pauses = [words(metric) for metric in clocks.pause]
            yield Terms(version, at, _hours(policy, name), pauses, clocks.pause_at_most)


def _hours(policy: CompiledPolicy, name: str) -> str:
    calendar = policy.document.calendars[name]
    days = [f"{day} {', '.join(map(str, spans))}" for day, spans in calendar.hours.items()]
    listed = calendar.holidays
    holidays = listed if isinstance(listed, str) else ", ".join(listed)
    off = f", closed on holidays of {holidays}" if holidays else ""
    return f"{'; '.join(days)} ({calendar.timezone}){off}"


def _span_words(span: Span) -> str:
    """`2 business hours` for `2bh`."""
    match = re.fullmatch(r"(\d+)([a-z]+)", str(span))
    if match is None or match[2] not in _UNITS:
        return str(span)
    return f"{match[1]} {_UNITS[match[2]]}{'' if match[1] == '1' else 's'}"


# --- clocks ---------------------------------------------------------------------------------------


def _metric(clock: Clock) -> str:
    return words(clock.metric.removeprefix("touchpoint:"))


def _promised(clock: Clock) -> Span | None:
    return None if clock.target is None else clock.target.span


def _exact(amount: int) -> str:
    """A length of time to the minute: `3 h 6 min`."""
    hours, rest = divmod(amount, HOUR)
    minutes = rest // MINUTE
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _counted(clock: Clock, amount: int) -> str:
    """Time as the promise counts it."""
    span = _promised(clock)
    in_business_time = span is not None and dues.runs_in_business_time(span)
    return f"{_exact(amount)} in business hours" if in_business_time else _exact(amount)


def _result(clock: Clock) -> str:
    """How it stands, without who excused or held it."""
    if clock.breached_at is not None:
        size = _exact(clock.late)
        late = f"{size} late" + ("" if clock.stopped_at is not None else ", still open")
        return f"{late}; excused" if clock.state is ClockState.EXCUSED else late
    if clock.state is ClockState.CANCELLED:
        return f"{clock.state}: {clock.reason}"
    return str(clock.state)


# --- as Markdown ----------------------------------------------------------------------------------


def markdown(evidence: Evidence) -> Iterator[str]:
    """The evidence as lines of Markdown. Values from outside cannot act as markup."""
    zone = evidence.zone

    def time(at: int | None) -> str:
        return "-" if at is None else local_text(at, zone)

    yield f"# {_safe(evidence.partner)}: {_safe(evidence.subject)}"
    yield ""
    yield f"Reference {evidence.case_id}, as of {time(evidence.as_of)}."
    yield f"Times are those of {zone.key}."
    yield from ("", "## What happened", "")
    yield from (f"- {time(x.at)}: {_safe(x.text)}" for x in evidence.happened)
    if evidence.lines:
        yield from ("", "## Promised and delivered", "")
        yield from _table(
            ("line", "article", "ordered", "came", "first promised", "promised now", "complete"),
            [
                (line.key, line.sku, str(line.ordered), str(line.came), time(line.first_promise),
                 time(line.promise), _complete(line, evidence))
                for line in evidence.lines
            ],
        )  # fmt: skip
    if evidence.clocks:
        yield from ("", "## Clocks", "")
        yield from _table(
            ("promise", "owed by", "within", "began", "due", "ended", "counted", "not counted",
             "result"),
            [_clock_cells(clock, zone) for clock in evidence.clocks],
        )  # fmt: skip
        if pauses := list(_pauses(evidence.clocks, zone)):
            yield from ("", "Time that was not counted:", "")
            yield from (f"- {pause}" for pause in pauses)
    yield from ("", "## Rules in force", "")
    for terms in evidence.terms:
        yield f"- Since {time(terms.since)}: policy version {terms.version}."
        yield f"  Business hours: {_safe(terms.calendar)}."
        if evidence.clocks and terms.pauses:
            most = f", {_span_words(terms.pause_at_most)} at most" if terms.pause_at_most else ""
            yield f"  Not counted while we wait for the partner{most}: {', '.join(terms.pauses)}."
    yield "- Late is strictly after the due time."
    yield "- A day without a time means the end of that day."


def _complete(line: OrderedLine, evidence: Evidence) -> str:
    if line.complete_at is not None:
        return local_text(line.complete_at, evidence.zone) + _lateness(line, line.complete_at)
    if line.called_off_at is not None:
        return "called off"
    return "not reported" + _lateness(line, evidence.as_of)


def _lateness(line: OrderedLine, at: int) -> str:
    """Against the promise that the partner last agreed to, and against the first."""
    late = []
    if at > line.promise:
        late.append(f"{in_words(at - line.promise)} late")
    if at > line.first_promise != line.promise:
        late.append(f"{in_words(at - line.first_promise)} after the first promise")
    return f" ({', '.join(late)})" if late else ""


def _clock_cells(clock: Clock, zone: ZoneInfo) -> Sequence[str]:
    span = _promised(clock)
    due = clock.due if clock.breached_at is None else clock.breached_at
    return (
        _metric(clock),
        "the partner" if clock.owed_by == PARTNER else "us",
        "not promised" if span is None else _span_words(span),
        local_text(clock.started_at, zone),
        "-" if due is None else local_text(due, zone),
        "-" if clock.stopped_at is None else local_text(clock.stopped_at, zone),
        _counted(clock, clock.spent),
        _counted(clock, clock.held_up) if clock.not_counted else "-",
        _result(clock),
    )


def _pauses(clocks: Sequence[Clock], zone: ZoneInfo) -> Iterator[str]:
    for clock in clocks:
        for start, end, x in clock.not_counted:
            until = "until now" if x.end is None else f"until {local_text(end, zone)}"
            yield f"{_metric(clock)}: {x.reason}, {local_text(start, zone)} {until}"


def _safe(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", shown(text))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    yield from (f"| {' | '.join(map(_safe, row))} |" for row in rows)


# --- as a document --------------------------------------------------------------------------------


def evidence_document(evidence: Evidence) -> dict[str, Any]:
    """The same for `--json`. Lengths are seconds, counted as the promise counts."""
    return {
        "case": evidence.case_id,
        "partner": evidence.partner,
        "subject": evidence.subject,
        "as_of": moment(evidence.as_of),
        "timezone": evidence.zone.key,
        "happened": [{"at": moment(x.at), "what": x.text} for x in evidence.happened],
        "lines": [
            {
                "line": line.key,
                "article": line.sku,
                "ordered": str(line.ordered),
                "came": str(line.came),
                "first_promised": moment(line.first_promise),
                "promised_now": moment(line.promise),
                "complete_at": moment(line.complete_at),
                "called_off_at": moment(line.called_off_at),
            }
            for line in evidence.lines
        ],
        "clocks": [_clock_document(clock) for clock in evidence.clocks],
        "rules": [
            {
                "policy": terms.version,
                "since": moment(terms.since),
                "business_hours": terms.calendar,
                "pauses": list(terms.pauses),
                "pause_at_most": None if terms.pause_at_most is None else str(terms.pause_at_most),
            }
            for terms in evidence.terms
        ],
    }


def _clock_document(clock: Clock) -> dict[str, Any]:
    span = _promised(clock)
    return {
        "promise": clock.metric,
        "cycle": clock.cycle,
        "owed_by": clock.owed_by,
        "within": None if span is None else str(span),
        "state": str(clock.state),
        "began_at": moment(clock.started_at),
        "due": moment(clock.due if clock.breached_at is None else clock.breached_at),
        "ended_at": moment(clock.stopped_at),
        "late_seconds": clock.late // SECOND,
        "counted_seconds": clock.spent // SECOND,
        "not_counted_seconds": clock.held_up // SECOND,
        "not_counted": [
            {
                "from": moment(start),
                "until": None if x.end is None else moment(end),
                "reason": x.reason,
            }
            for start, end, x in clock.not_counted
        ],
    }
