"""Which clocks there are at an instant: the subjects that can have any, read and folded anew."""

from collections.abc import Iterator
from typing import Any

from detente.desk import Desk, moment
from rules.clocks.clock import Clock, ClockState
from rules.clocks.subject_clocks import clocks_of
from rules.decision import CaseRow, Kind, StepRow
from rules.orders import effective_at
from rules.subjects import Document, read_document, split_key, subject_key
from rules.world import World
from schemas.time import SECOND, Instant
from streams.ledger import first_listed
from streams.store import STANDING, Transaction

_TICKET_EVENTS = frozenset({"ticket.opened", "ticket.message", "ticket.status"})
_SETTLED = frozenset({"resolved", "closed"})
_EMPTY = Document([], {}, [])


def world_of(desk: Desk) -> World:
    """What clocks are folded with."""
    return World(desk.knowledge.policies, desk.knowledge.recipients)


def clocks_at(
    desk: Desk, tx: Transaction, as_of: Instant, partner: str | None = None, *, past: bool = False
) -> Iterator[Clock]:
    """Every clock of a partner, or of all, at an instant that is not to come, in no order.

    Without `past`, a ticket that was settled and has been quiet since is left out: nothing of it
    can run. Reads every ticket, the sessions of each partner and the cases that were not over;
    orders only if they have such a case.
    """
    world = world_of(desk)
    cases = (
        tx.list_cases(partner=partner, states=STANDING)
        if as_of >= desk.now and not past
        else tx.cases_at(as_of, partner)
    )
    steps = tx.steps_of_cases(case.case_id for case in cases)
    of_subject = {case.subject: steps.get(case.case_id, []) for case in cases}
    yield from _ticket_clocks(tx, world, as_of, partner, of_subject, past=past)
    yield from _touchpoint_clocks(desk, tx, world, as_of, partner)
    others = [case for case in cases if case.kind not in (Kind.TICKET, Kind.TOUCHPOINTS)]
    yield from _case_clocks(tx, world, as_of, others, of_subject)


def _ticket_clocks(
    tx: Transaction,
    world: World,
    as_of: Instant,
    partner: str | None,
    steps: dict[str, list[StepRow]],
    *,
    past: bool,
) -> Iterator[Clock]:
    for row in tx.subjects_of_kind(Kind.TICKET, partner):
        document = read_document(row.document)
        if past or row.key in steps or not _is_over(document, as_of):
            yield from clocks_of(row.key, document, world, as_of, steps=steps.get(row.key, ()))


def _is_over(document: Document, as_of: int) -> bool:
    """Whether the ticket is settled and nobody has written since."""
    said = [c for c in document.contributions if c.type in _TICKET_EVENTS and c.time <= as_of]
    if not said:
        return True
    last = max(c.time for c in said)
    return all(c.type == "ticket.status" and c.data[0] in _SETTLED for c in said if c.time == last)


def _touchpoint_clocks(
    desk: Desk, tx: Transaction, world: World, as_of: Instant, partner: str | None
) -> Iterator[Clock]:
    for partner_id, document, since in touchpoint_partners(desk, tx, as_of, partner):
        key = subject_key(Kind.TOUCHPOINTS, partner_id, "")
        yield from clocks_of(key, document, world, as_of, since=since)


def touchpoint_partners(
    desk: Desk, tx: Transaction, as_of: Instant, partner: str | None = None
) -> Iterator[tuple[str, Document, Instant]]:
    """Each partner of whom touchpoints are said or owed, what was said, and since when owed.

    They are owed since the first was spoken of, or since the directory first listed the partner,
    whichever is earlier: nobody is held to what was promised before anybody watched.
    """
    said = {
        row.partner_id: read_document(row.document)
        for row in tx.subjects_of_kind(Kind.TOUCHPOINTS, partner)
    }
    listed = first_listed(tx, world_of(desk))
    for partner_id in sorted({*said, *listed}):
        if partner is not None and partner_id != partner:
            continue
        document = said.get(partner_id, _EMPTY)
        zone = desk.calendar(partner_id).zone
        times = [effective_at(c, zone) for c in document.contributions]
        since = min((*times, listed.get(partner_id, as_of)))
        if since <= as_of:
            yield partner_id, document, Instant(since)


def _case_clocks(
    tx: Transaction,
    world: World,
    as_of: Instant,
    cases: list[CaseRow],
    steps: dict[str, list[StepRow]],
) -> Iterator[Clock]:
    for row in tx.subjects_of_cases(case.case_id for case in cases).values():
        document = read_document(row.document)
        yield from clocks_of(row.key, document, world, as_of, steps=steps[row.key])


def is_running(clock: Clock) -> bool:
    """Whether somebody still owes it: it runs, is paused, or is late and nothing has come."""
    return clock.is_open and clock.state is not ClockState.EXCUSED


def clock_document(clock: Clock) -> dict[str, Any]:
    """A clock for `--json`. Lengths are seconds, counted as the commitment counts."""
    kind, partner_id, name = split_key(clock.subject)
    target, excuse = clock.target, clock.excuse
    return {
        "clock": clock.clock_id,
        "partner": partner_id or None,
        "partner_tier": clock.partner_tier,
        "subject": {"kind": str(kind), "name": name, "key": clock.subject},
        "metric": str(clock.metric),
        "cycle": clock.cycle,
        "escalation_tier": clock.escalation_tier or None,
        "state": str(clock.state),
        "reason": clock.reason or None,
        "owed_by": clock.owed_by,
        "holder": clock.holder or None,
        "promised": None if target is None or target.span is None else str(target.span),
        "promised_in": None if target is None else target.winner,
        "because": None if target is None else target.why,
        "started_at": moment(clock.started_at),
        "due": moment(clock.due),
        "due_if_nothing_happens": moment(clock.due_if_silent),
        "open_again_at": moment(clock.next_open_due),
        "planned": moment(clock.planned),
        "breached_at": moment(clock.breached_at),
        "recorded_at": moment(clock.recorded_at),
        "retroactive": clock.retroactive,
        "stopped_at": moment(clock.stopped_at),
        "late_seconds": clock.late // SECOND,
        "counted_seconds": clock.spent // SECOND,
        "not_counted_seconds": clock.held_up // SECOND,
        "not_counted": [
            {"from": moment(start), "until": moment(x.end), "reason": x.reason, "actor": x.actor}
            for start, _, x in clock.not_counted
        ],
        "asked_again": [moment(at) for at in clock.asked_again],
        "excuse": None
        if excuse is None
        else {
            "approver": excuse.approver,
            "at": moment(excuse.at),
            "note": excuse.note,
            "by_holder": excuse.by_holder,
        },
        "calendar": clock.calendar_name,
        "timezone": clock.calendar.zone.key,
    }
