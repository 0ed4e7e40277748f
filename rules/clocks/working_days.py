"""Days on the wall: which are working days, and when a closure lies ahead."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from rules.calendars import BusinessCalendar
from schemas.policy import Shift
from schemas.time import Instant, to_datetime, to_instant

_DAY = timedelta(days=1)


def start_of_day(day: date, zone: ZoneInfo) -> Instant:
    """Local midnight, the first instant of a day."""
    return to_instant(datetime(day.year, day.month, day.day, tzinfo=zone))


def local_day(at: int, zone: ZoneInfo) -> date:
    """The day that an instant belongs to there."""
    return to_datetime(at, zone).date()


def is_working_day(day: date, calendar: BusinessCalendar) -> bool:
    """Whether the calendar has any open time on that day of the wall."""
    zone = calendar.zone
    return calendar.next_open_us(start_of_day(day, zone)) < start_of_day(day + _DAY, zone)


def shifted(day: date, earliest: date, shift: Shift, calendar: BusinessCalendar) -> date | None:
    """The day on which something falls due that would on `day`; None if no day is left for it.

    `before` does not go before `earliest`.
    """
    if shift is Shift.NONE or is_working_day(day, calendar):
        return day
    if shift is Shift.AFTER:
        return local_day(calendar.next_open_us(start_of_day(day, calendar.zone)), calendar.zone)
    while day > earliest:
        day -= _DAY
        if is_working_day(day, calendar):
            return day
    return None


@dataclass(frozen=True, slots=True)
class Closure:
    """A weekend or a holiday: from the last closing until the next opening."""

    closes_at: int
    reopens_at: int


def closure_ahead(at: int, calendar: BusinessCalendar) -> Closure | None:
    """The closure that begins when the day of `at` ends, if that is the last working day before."""
    today = local_day(at, calendar.zone)
    if not is_working_day(today, calendar) or is_working_day(today + _DAY, calendar):
        return None
    midnight = start_of_day(today + _DAY, calendar.zone)
    return Closure(calendar.subtract_us(midnight, 0), calendar.next_open_us(midnight))
