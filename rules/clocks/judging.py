"""From one run of a commitment (start, stop, pauses, terms over time) to a clock with its state."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rules.calendars import BusinessCalendar
from rules.clocks import dues
from rules.clocks.clock import US, Clock, ClockState, Downgrade, Exclusion, Excuse, Target
from rules.deadlines import deadline
from schemas.units import Span

#: Reason of the time in which a ticket was settled. Unlike a wait it has no cap, and a clock that
#: is in it is not paused: nothing is owed unless the ticket is opened again.
SETTLED = "settled"

HolderAt = Callable[[int], str]
"""An instant to the person, or the role if no person took it, who held the commitment then."""


class Terms(NamedTuple):
    """What was promised from an instant on."""

    since: int
    recorded: int
    """When the event that brought these terms was taken in; 0 if none did."""
    target: Target | None
    partner_tier: str
    calendar: BusinessCalendar
    calendar_name: str
    planned: int | None = None
    """The due time without pauses, where it was settled and stored once."""
    actor: str = ""
    """Whose word brought these terms: a person, or the source where it names nobody."""
    agreed_by: str | None = None


class Run(NamedTuple):
    """One instance of a commitment, before anybody says what is due when."""

    subject: str
    metric: str
    cycle: str
    started_at: int
    recorded: int
    """When the event that started it was taken in."""
    ended_at: int | None = None
    ended_as: ClockState = ClockState.MET
    reason: str = ""
    excluded: tuple[Exclusion, ...] = ()
    owed_by: str = US
    asked_again: tuple[int, ...] = ()
    escalation_tier: str = ""


def judge(
    run: Run,
    terms: Sequence[Terms],
    as_of: int,
    excuses: Mapping[str, Excuse],
    holder_at: HolderAt,
) -> Clock | None:
    """The clock of a run at an instant; None if nothing was ever promised.

    `terms` are sorted and the first are in force when the run starts. A change of terms counts
    from the start: the spent time and the pauses stay, the budget is the new one. A due time that
    passed while its terms were in force, or had passed when they came (`retroactive`), is a breach
    and stays one; nothing later can add a second one to the same instance.
    """
    end = as_of if run.ended_at is None else run.ended_at
    due: int | None = None
    planned: int | None = None
    breached_at = recorded_at = None
    retroactive = promised = False
    downgrades: list[Downgrade] = []
    last = terms[0]
    for n, term in enumerate(terms):
        if n and term.since > end:
            break
        last = term
        span = None if term.target is None else term.target.span
        before = planned
        if span is None:
            due = planned = None
            if before is not None and term.actor:
                downgrades.append(Downgrade(term.since, term.actor, term.agreed_by))
            continue
        promised = True
        planned = term.planned
        if planned is None:
            planned = deadline(run.started_at, span, term.calendar)
        if before is not None and before < planned and term.actor:
            downgrades.append(Downgrade(term.since, term.actor, term.agreed_by))
        until = end
        if n + 1 < len(terms) and terms[n + 1].since < end:
            until = terms[n + 1].since
        due = dues.postponed(planned, span, term.calendar, run.excluded, until)
        if due < until:
            breached_at = due
            retroactive = n > 0 and due < term.since
            recorded_at = _recorded(run, term, due)
            break
    if not promised and (last.target is None or last.target.span is not None):
        return None
    state, reason, stopped_at = _state(run, last, breached_at is not None, end)
    if not promised:
        state, reason = ClockState.NOT_APPLICABLE, "the policy says that it is not promised"
    clock = Clock(
        run.subject,
        run.metric,
        run.cycle,
        run.owed_by,
        state,
        as_of,
        run.started_at,
        last.target,
        last.partner_tier,
        last.calendar,
        last.calendar_name,
        planned,
        due,
        breached_at,
        recorded_at,
        retroactive,
        stopped_at,
        reason,
        run.excluded,
        None,
        run.asked_again,
        holder_at(end if breached_at is None else breached_at),
        run.escalation_tier,
        tuple(downgrades),
    )
    if excuses and state in (ClockState.RUNNING, ClockState.PAUSED, ClockState.BREACHED):
        excuse = excuses.get(clock.key)
        if excuse is not None and run.started_at <= excuse.at <= as_of:
            clock.state = ClockState.EXCUSED
            clock.excuse = excuse
            clock.reason = f"excused by {excuse.approver}"
    return clock


def _state(run: Run, last: Terms, breached: bool, end: int) -> tuple[ClockState, str, int | None]:
    """The state with its reason, and when the clock stopped."""
    if not breached and (last.target is None or last.target.span is None):
        return ClockState.CANCELLED, "no longer promised", max(last.since, run.started_at)
    if run.ended_at is not None:
        state = ClockState.BREACHED if breached else run.ended_as
        return state, run.reason, run.ended_at
    current = next(
        (x for x in run.excluded if x.start <= end and (x.end is None or end < x.end)), None
    )
    if current is not None and current.reason == SETTLED:
        state = ClockState.BREACHED if breached else ClockState.CANCELLED
        return state, "the ticket was settled without it", max(current.start, run.started_at)
    if breached:
        return ClockState.BREACHED, "", None
    if current is None:
        return ClockState.RUNNING, "", None
    return ClockState.PAUSED, current.reason, None


def _recorded(run: Run, term: Terms, due: int) -> int:
    """When everything that makes this the due time had been taken in; not before it passed."""
    known = max(due, run.recorded, term.recorded)
    for x in run.excluded:
        if x.start <= due:
            known = max(known, x.recorded, x.end_recorded)
    return known


def capped(
    excluded: Sequence[Exclusion], cap: Span | None, calendar: BusinessCalendar
) -> tuple[Exclusion, ...]:
    """Exclusions of which those for a wait end when all of them together reach the cap."""
    if cap is None:
        return tuple(excluded)
    found: list[Exclusion] = []
    used = 0
    first: int | None = None
    for x in excluded:
        if x.reason == SETTLED:
            found.append(x)
            continue
        first = x.start if first is None else first
        limit = dues.used_up(x.start, used, cap, calendar, first)
        end = limit if x.end is None else min(x.end, limit)
        if end > x.start:
            found.append(Exclusion(x.start, end, x.reason, x.actor, x.recorded, x.end_recorded))
            used += dues.measured(x.start, end, cap, calendar)
    return tuple(found)
