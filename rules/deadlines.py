"""When a span that starts at an instant ends, in the unit that it is counted in."""

from calendar import monthrange
from zoneinfo import ZoneInfo

from rules.calendars import BusinessCalendar
from schemas.time import DAY, HOUR, MINUTE, Instant, to_datetime, to_instant
from schemas.units import Span, Unit


def deadline(start: int, span: Span, calendar: BusinessCalendar) -> Instant:
    """The instant at which `span` has passed since `start`, by that calendar."""
    match span.unit:
        case Unit.ELAPSED:
            return Instant(start + span.amount)
        case Unit.BUSINESS_TIME:
            return calendar.add_us(start, span.amount)
        case Unit.BUSINESS_DAYS:
            return calendar.add_business_days(start, span.amount)
        case Unit.MONTHS:
            return _add_months(start, span.amount, calendar.zone)


def _add_months(start: int, months: int, zone: ZoneInfo) -> Instant:
    local = to_datetime(start, zone)
    year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
    # The 31st of a month that has none is its last day, as people expect of "in a month".
    day = min(local.day, monthrange(year, month + 1)[1])
    return to_instant(local.replace(year=year, month=month + 1, day=day))


def in_words(microseconds: int) -> str:
    """A length of time for people: `57 h`, `3 d 4 h`, `25 min`."""
    sign, left = ("-" if microseconds < 0 else ""), abs(microseconds)
    if left >= 4 * DAY:
        days, rest = divmod(left, DAY)
        hours = rest // HOUR
        return f"{sign}{days} d {hours} h" if hours else f"{sign}{days} d"
    if left >= HOUR:
        hours, rest = divmod(left, HOUR)
        minutes = rest // MINUTE
        return f"{sign}{hours} h {minutes} min" if minutes else f"{sign}{hours} h"
    if left >= MINUTE:
        return f"{sign}{left // MINUTE} min"
    return f"{sign}{left // 1_000_000} s"
