"""When to warn that a clock is about to run out, or that a pause has gone stale."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from rules.calendars import BusinessCalendar
from rules.clocks import dues
from rules.clocks.clock import US, Clock, ClockState
from rules.clocks.judging import SETTLED
from rules.clocks.working_days import Closure, closure_ahead
from rules.deadlines import deadline
from schemas.policy import Clocks, Metric
from schemas.units import Lead, Span, Unit

STALE_PAUSE = "stale pause"


class Warn(NamedTuple):
    """A warning to give once. `key` is the same however often it is worked out."""

    at: int
    level: str
    """`75%`, `1bh`, or `stale pause 1` for a clock's first pause."""
    clock: Clock

    @property
    def key(self) -> str:
        """Clock, cycle and level: what a warning is told once for."""
        return f"{self.clock.clock_id}/{self.level}"


def may_warn(settings: Clocks) -> bool:
    """Whether the policy asks for any warning at all."""
    return bool(settings.warn) or settings.stale_pause_after is not None


def warnings(clock: Clock, settings: Clocks) -> Sequence[Warn]:
    """Every warning of a clock, past and to come, in the order of time.

    A level is left out when the budget is shorter than it, when the clock stopped first, and when
    terms that came later had made the clock overdue already. A pause moves those after its start.
    """
    found = [*_before_due(clock, settings.warn), *_stale(clock, settings.stale_pause_after)]
    found.sort(key=itemgetter(0, 1))
    return found


def _before_due(clock: Clock, leads: Sequence[Lead]) -> Iterator[Warn]:
    span = None if clock.target is None else clock.target.span
    if span is None or clock.planned is None or clock.retroactive:
        return
    if clock.state in (ClockState.EXCUSED, ClockState.NOT_APPLICABLE):
        return
    ended = clock.stopped_at
    paused = clock.excluded[-1] if clock.state is ClockState.PAUSED else None
    for lead in leads:
        planned = _planned(clock, lead, span)
        if not clock.started_at < planned < clock.planned:
            continue
        until = clock.as_of if ended is None else ended
        at = dues.postponed(planned, span, clock.calendar, clock.excluded, until)
        if ended is not None and at >= ended:
            continue
        if paused is not None and at >= paused.start:
            continue  # it moves on until the pause ends
        yield Warn(at, lead.text, clock)


def _planned(clock: Clock, lead: Lead, span: Span) -> int:
    """When the level would be reached without any pause."""
    assert clock.planned is not None
    calendar = clock.calendar
    if lead.before is None:
        assert lead.spent is not None
        spent = int(
            dues.measured(clock.started_at, clock.planned, span, calendar) * lead.spent / 100
        )
        return dues.advanced(clock.started_at, spent, span, calendar)
    before = lead.before
    match before.unit:
        case Unit.BUSINESS_TIME:
            return calendar.subtract_us(clock.planned, before.amount)
        case Unit.BUSINESS_DAYS:
            return calendar.add_business_days(clock.planned, -before.amount)
        case _:
            return clock.planned - before.amount


def _stale(clock: Clock, after: Span | None) -> Iterator[Warn]:
    if after is None or not clock.excluded:
        return
    waits = [x for x in clock.excluded if x.reason != SETTLED]
    for n, wait in enumerate(waits, start=1):
        at = deadline(wait.start, after, clock.calendar)
        if (wait.end is None or at < wait.end) and clock.ended_at >= wait.start:
            yield Warn(at, f"{STALE_PAUSE} {n}", clock)


@dataclass(frozen=True, slots=True)
class ClosureList:
    """What one person or role should see to before a weekend or a holiday."""

    holder: str
    closure: Closure
    unanswered: tuple[Clock, ...]
    """Messages of partners that nobody has answered."""
    due_soon: tuple[Clock, ...]
    """What falls due during the closure, or soon after it."""


def before_closure(
    clocks: Sequence[Clock], calendar: BusinessCalendar, at: int, soon: Span
) -> Mapping[str, ClosureList]:
    """One list per holder on the last working day before a closure; empty on other days.

    `clocks` are as of `at`; `soon` counts from the next opening.
    """
    closure = closure_ahead(at, calendar)
    if closure is None:
        return {}
    limit = deadline(closure.reopens_at, soon, calendar)
    lists: dict[str, tuple[list[Clock], list[Clock]]] = {}
    for clock in sorted(clocks, key=lambda c: (c.due or limit, c.clock_id)):
        if not clock.is_open or clock.owed_by != US or clock.state is ClockState.EXCUSED:
            continue
        due = clock.due_if_silent
        is_question = clock.metric in (Metric.FIRST_RESPONSE, Metric.NEXT_RESPONSE)
        if is_question:
            lists.setdefault(clock.holder, ([], []))[0].append(clock)
        elif due is not None and at < due <= limit:
            lists.setdefault(clock.holder, ([], []))[1].append(clock)
    return {
        holder: ClosureList(holder, closure, tuple(questions), tuple(others))
        for holder, (questions, others) in sorted(lists.items())
    }
