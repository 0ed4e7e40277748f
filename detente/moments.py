"""Moments and lengths of time as people read and write them on the command line."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from rules.calendars import BusinessCalendar
from rules.deadlines import deadline
from schemas.time import DAY, HOUR, MINUTE, Instant, end_of_day, local_text, to_instant
from schemas.units import SPAN_SYNTAX, Unit, parse_span


def length(microseconds: int) -> str:
    """A length of time in its largest unit: `3 d`, `2 h`, `5 min`."""
    size = abs(microseconds)
    if size >= 2 * DAY:
        return f"{size // DAY} d"
    if size >= HOUR:
        return f"{size // HOUR} h"
    return f"{size // MINUTE} min"


def due_in(due: Instant | None, now: int) -> str:
    """`in 2 h`, `3 h overdue`, `now`; nothing where nothing is due."""
    if due is None:
        return ""
    left = due - now
    if abs(left) < MINUTE:
        return "now"
    return f"in {length(left)}" if left > 0 else f"{length(left)} overdue"


def ago(at: int, now: int) -> str:
    """`3 d ago`."""
    return "just now" if now - at < MINUTE else f"{length(now - at)} ago"


def read_age(text: str) -> int:
    """An age such as `3d` in microseconds. Raises ValueError that says what is accepted."""
    span = parse_span(text)
    if span.unit is not Unit.ELAPSED:
        raise ValueError(f"{text!r}: an age is counted on the clock; write e.g. 30min, 4h, 3d, 2w")
    return span.amount


def read_until(text: str, now: int, calendar: BusinessCalendar) -> Instant:
    """A moment to come: `2026-11-23`, `2026-11-23 14:00`, or a length of time: `3d`, `4bh`.

    A day means when business opens on it; times are the calendar's. Raises ValueError that says
    what is accepted.
    """
    try:
        moment = _moment(text.strip(), now, calendar)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time to come; write a day (2026-11-23), a time (2026-11-23 14:00), "
            f"or a length of time: {SPAN_SYNTAX}"
        ) from None
    if moment <= now:
        raise ValueError(
            f"{text!r} has passed: {local_text(moment, calendar.zone)}; write a later time"
        )
    return moment


def _moment(text: str, now: int, calendar: BusinessCalendar) -> Instant:
    try:
        span = parse_span(text)
    except ValueError:
        pass
    else:
        return deadline(now, span, calendar)
    if len(text) <= len("2026-11-23"):
        day = datetime.combine(date.fromisoformat(text), time(), tzinfo=calendar.zone)
        return calendar.next_open_us(to_instant(day))
    moment = datetime.fromisoformat(text)
    return to_instant(moment if moment.tzinfo else moment.replace(tzinfo=calendar.zone))


def read_past(text: str, now: int, zone: ZoneInfo) -> Instant:
    """A moment that has been: `2026-11-23 14:00`, with an offset or in the zone, or `2026-11-23`.

    A day means its end. Raises ValueError that says what is accepted.
    """
    written = text.strip()
    try:
        if len(written) <= len("2026-11-23"):
            at = end_of_day(date.fromisoformat(written), zone)
        else:
            moment = datetime.fromisoformat(written)
            at = to_instant(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time; write a day (2026-11-23), which means its end, or a time "
            "(2026-11-23 14:00, or with an offset 2026-11-23T14:00:00+01:00)"
        ) from None
    if at > now:
        raise ValueError(
            f"{text!r} is {local_text(at, zone)}, which is yet to come; write a time that has been"
        )
    return at
