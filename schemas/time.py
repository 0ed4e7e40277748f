"""Instants: integer microseconds since 1970-01-01T00:00:00Z.

Everything inside Detente compares, stores and subtracts instants as plain integers, so that
both databases and every zone agree to the microsecond. Aware datetimes appear only at borders.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import NewType
from zoneinfo import ZoneInfo

Instant = NewType("Instant", int)

MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: The years that an event, a deadline or a calendar may lie in. Wider than any trade, narrower
#: than what arithmetic on dates can overflow.
FIRST_YEAR = 1990
LAST_YEAR = 2099


def to_instant(moment: datetime) -> Instant:
    """The instant of an aware datetime. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no UTC offset; write e.g. 2026-11-01T10:00:00Z")
    delta = moment - _EPOCH
    return Instant((delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds)


def to_datetime(instant: int, zone: ZoneInfo | None = None) -> datetime:
    """The instant as an aware datetime, in UTC unless a zone is given."""
    moment = _EPOCH + timedelta(microseconds=instant)
    return moment if zone is None else moment.astimezone(zone)


def end_of_day(day: date, zone: ZoneInfo) -> Instant:
    """When a local day ends: the midnight that follows it.

    This is what a date without a time means, for promises and deliveries alike.
    """
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone)
    return to_instant(midnight)


def iso(instant: int, zone: ZoneInfo | None = None) -> str:
    """RFC 3339 text of an instant: `2026-11-01T10:00:00Z`, or with the zone's offset."""
    text = to_datetime(instant, zone).isoformat()
    return text.replace("+00:00", "Z") if zone is None else text


def local_text(instant: int, zone: ZoneInfo) -> str:
    """An instant for people, to the minute, in a zone: `2026-11-01 10:00 CET`."""
    moment = to_datetime(instant, zone)
    return f"{moment.isoformat(' ', 'minutes')[:16]} {moment.tzname()}"
