"""When something is due if some of the time does not count.

A commitment in hours or months is counted in real time, one in business hours or days in the open
time of its calendar. Time that does not count moves the due time by as much of the same kind: a
pause outside business hours moves nothing.
"""

from collections.abc import Iterable
from typing import Protocol

from rules.calendars import BusinessCalendar
from rules.deadlines import deadline
from schemas.units import Span, Unit


class Interval(Protocol):
    """Time that does not count, from `start` until `end`, or still (None)."""

    @property
    def start(self) -> int:
        """First instant that does not count."""
        ...

    @property
    def end(self) -> int | None:
        """First instant that counts again."""
        ...


def runs_in_business_time(span: Span) -> bool:
    """Whether only open hours count towards it."""
    return span.unit is Unit.BUSINESS_TIME or span.unit is Unit.BUSINESS_DAYS


def measured(start: int, end: int, span: Span, calendar: BusinessCalendar) -> int:
    """The microseconds from `start` to `end` as `span` counts them."""
    return calendar.between_us(start, end) if runs_in_business_time(span) else end - start


def advanced(at: int, amount: int, span: Span, calendar: BusinessCalendar) -> int:
    """When so many more microseconds have passed, as `span` counts them. Never before `at`."""
    if amount <= 0:
        return at
    return calendar.add_us(at, amount) if runs_in_business_time(span) else at + amount


def postponed(
    planned: int,
    span: Span,
    calendar: BusinessCalendar,
    excluded: Iterable[Interval],
    until: int,
) -> int:
    """When it is due after the pauses that began by its due time, up to an instant.

    `excluded` is sorted and does not overlap. A pause that lasts at `until` counts as ending then.
    A pause that begins at the very due time still comes before it: late is strictly after.
    """
    due = planned
    for x in excluded:
        if x.start > due or x.start >= until:
            break
        end = until if x.end is None else min(x.end, until)
        # Closed hours may end the pause after the closing at which it would be due.
        due = max(advanced(due, measured(x.start, end, span, calendar), span, calendar), end)
    return due


def used_up(start: int, used: int, cap: Span, calendar: BusinessCalendar, first: int) -> int:
    """When pauses that have used `used` of a cap reach it, if one starts now.

    A cap in days or months is worth what it is from the first pause's start.
    """
    worth = measured(first, deadline(first, cap, calendar), cap, calendar)
    return advanced(start, worth - used, cap, calendar)
