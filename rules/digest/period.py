"""Periods of reports: ISO weeks, and years, in the zone of the reports."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from rules.clocks.working_days import local_day, start_of_day
from schemas.report import Period
from schemas.time import FIRST_YEAR, LAST_YEAR, Instant, to_datetime

_WEEK = re.compile(r"(\d{4})-?W(\d{2})", re.IGNORECASE)
_YEAR = re.compile(r"\d{4}")
#: How many periods before are shown beside one.
BEFORE = 4


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days on the wall, from the first midnight (exclusive) to the last (inclusive)."""

    key: str
    first: date
    last: date
    zone: ZoneInfo

    @property
    def begin(self) -> Instant:
        """The midnight before the first day; what fell due then belongs to the period before."""
        return start_of_day(self.first, self.zone)

    @property
    def end(self) -> Instant:
        """The midnight after the last day, which belongs to the period."""
        return start_of_day(self.last + timedelta(days=1), self.zone)

    @property
    def is_week(self) -> bool:
        """Whether it is one week; else a year."""
        return "W" in self.key

    @property
    def label(self) -> str:
        """`16 to 22 November 2026 (week 47)`."""
        if not self.is_week:
            return self.key
        first, last = self.first, self.last
        begin = f"{first.day}"
        if first.year != last.year:
            begin = f"{first.day} {first:%B} {first.year}"
        elif first.month != last.month:
            begin = f"{first.day} {first:%B}"
        return f"{begin} to {last.day} {last:%B} {last.year} (week {int(self.key[-2:])})"

    @property
    def short(self) -> str:
        """For the axis of a chart: `W47`."""
        return self.key.partition("-")[2] or self.key

    def before(self, n: int = BEFORE) -> tuple["Days", ...]:
        """The periods just before, oldest first."""
        return tuple(self.shifted(-n) for n in range(n, 0, -1))

    def shifted(self, n: int) -> "Days":
        """The period so many later, or earlier if negative."""
        if self.is_week:
            return week_of_day(self.first + timedelta(weeks=n), self.zone)
        return year(int(self.key) + n, self.zone)

    def document(self) -> Period:
        """As reports carry it."""
        return Period(
            key=self.key,
            label=self.label,
            begin=to_datetime(self.begin, self.zone),
            end=to_datetime(self.end, self.zone),
            timezone=self.zone.key,
        )


def week_of_day(day: date, zone: ZoneInfo) -> Days:
    """The ISO week that a day is in."""
    number = day.isocalendar()
    monday = day - timedelta(days=number.weekday - 1)
    key = f"{number.year}-W{number.week:02}"
    return Days(key, monday, monday + timedelta(days=6), zone)


def week_at(at: int, zone: ZoneInfo) -> Days:
    """The ISO week that an instant is in."""
    return week_of_day(local_day(at, zone), zone)


def year(number: int, zone: ZoneInfo) -> Days:
    """A calendar year."""
    return Days(f"{number:04}", date(number, 1, 1), date(number, 12, 31), zone)


def read_period(text: str, zone: ZoneInfo) -> Days:
    """The week or year that somebody names. Raises ValueError that says what is accepted."""
    written = text.strip()
    found = _WEEK.fullmatch(written)
    try:
        if found is not None:
            monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
            if FIRST_YEAR <= monday.year <= LAST_YEAR:
                return week_of_day(monday, zone)
        elif _YEAR.fullmatch(written) and FIRST_YEAR <= int(written) <= LAST_YEAR:
            return year(int(written), zone)
    except ValueError:
        weeks = "; not every year has a week 53"
        raise ValueError(f"{text!r} is no week{weeks}; write e.g. 2026-W47") from None
    raise ValueError(f"{text!r} is no week or year; write e.g. 2026-W47, or 2026")
