"""Calendar months in a time zone: what scorecards are about."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from schemas.time import FIRST_YEAR, LAST_YEAR, Instant, end_of_day, to_datetime

_WRITTEN = re.compile(r"(\d{4})-(\d{2})")


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """One month. It begins after the midnight before its first day and ends with the last one's."""

    year: int
    number: int
    """1 to 12."""

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Read `2026-10`. Raises ValueError that says what is accepted."""
        match = _WRITTEN.fullmatch(text.strip())
        if match and FIRST_YEAR < int(match[1]) <= LAST_YEAR and 1 <= int(match[2]) <= 12:
            return cls(int(match[1]), int(match[2]))
        raise ValueError(f"{text!r} is no month; write year and month, e.g. 2026-10")

    @classmethod
    def of(cls, instant: int, zone: ZoneInfo) -> "Month":
        """The month that an instant lies in. The midnight at which a month ends belongs to it."""
        local = to_datetime(instant - 1, zone)
        return cls(local.year, local.month)

    @property
    def key(self) -> str:
        """`2026-10`."""
        return f"{self.year}-{self.number:02}"

    @property
    def label(self) -> str:
        """`October 2026`."""
        return f"{date(self.year, self.number, 1):%B %Y}"

    def begin(self, zone: ZoneInfo) -> Instant:
        """The midnight after which it begins."""
        return end_of_day(date(self.year, self.number, 1) - timedelta(days=1), zone)

    def end(self, zone: ZoneInfo) -> Instant:
        """The midnight with which it ends."""
        return self.plus(1).begin(zone)

    def plus(self, months: int) -> "Month":
        """So many months later; a negative number is earlier."""
        year, number = divmod(self.year * 12 + self.number - 1 + months, 12)
        return Month(year, number + 1)
