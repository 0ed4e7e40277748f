"""Business calendars: arithmetic on the time in which somebody is at work.

One rule says what is open: **at an instant, the calendar is open if the clock on the wall in its
time zone then shows a time inside one of the day's intervals.** Everything else follows:

- Budgets are elapsed time. On the night the clocks go forward, 22:00-06:00 has seven hours.
- An interval that starts or ends at a wall time that a zone skips is clipped to the end of the
  gap: 02:30-03:15 on a night without 02:00-03:00 is open from 03:00 to 03:15.
- When the wall clock shows an hour twice, both are open or neither is.
- An interval over midnight belongs to the day on which it starts. A holiday on Tuesday does not
  send home the night shift of Monday; a break does, since breaks are cut out by wall time.

A dated override stands above a holiday, a holiday above the weekly hours, a break cuts into all.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from schemas.time import (
    DAY,
    FIRST_YEAR,
    LAST_YEAR,
    MICROSECOND,
    SECOND,
    Instant,
    iso,
    to_datetime,
    to_instant,
)

#: One interval as people write it: `"09:00-17:00"` or `("09:00", "17:00")`.
IntervalText = str | Sequence[str]

_Span = tuple[int, int]  # half-open, in microseconds; of an instant, a wall time or a time of day

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
#: Where each computed year begins (UTC), and where the last one ends.
_YEAR_STARTS = tuple(
    (date(year, 1, 1).toordinal() - _EPOCH_ORDINAL) * DAY
    for year in range(FIRST_YEAR, LAST_YEAR + 2)
)
_TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")


class _Table(NamedTuple):
    """The open intervals of consecutive years, as parallel lists for `bisect`.

    The first interval is empty and starts where the table starts, so that every covered instant
    has an interval at or before it. Tables are replaced, never changed: threads may share one.
    """

    starts: list[int]
    ends: list[int]
    before: list[int]  # open time before each interval, from an arbitrary zero
    until: int
    day_starts: list[int]  # first opening of each working day
    days: list[tuple[int, int]]  # its last closing, and its midnight in wall time


class BusinessCalendar:
    """Business hours in one time zone, with holidays: adds, subtracts and measures open time.

    `hours` maps weekdays to intervals of local time: `{"mon-fri": ["09:00-12:00", "13:00-17:00"],
    "sat": ["22:00-06:00"]}`. Keys are `mon` to `sun`, ranges of them, or several with commas. A
    pair `("09:00", "17:00")` is an interval too, seconds may be given, and `24:00` is the end of
    the day. An interval whose end is not after its start ends on the next day.

    `holidays` names public holidays by country or region (`"DE"`, `"DE-BE"`, `"US-CA"`, as the
    `holidays` package spells them), single dates (a `date` or `"2026-12-24"`), or a list of both.
    `overrides` replaces the hours of a date, for half days and extra days; `[]` is closed.
    `breaks` cuts intervals out of a date.

    Times may lie in the years 1990 to 2099 (UTC); beyond them every method raises ValueError. So
    does the constructor, naming what it found and what it accepts, for an unknown time zone,
    country, region or weekday, for malformed or overlapping intervals, and for a calendar that is
    never open. A calendar does not change; what it has computed of a year it keeps.
    """

    __slots__ = ("_breaks", "_dates", "_overrides", "_regions", "_table", "_week", "zone")

    def __init__(
        self,
        timezone: str,
        hours: Mapping[str, Sequence[IntervalText]],
        holidays: str | date | Iterable[str | date] = (),
        overrides: Mapping[str | date, Sequence[IntervalText]] | None = None,
        breaks: Mapping[str | date, Sequence[IntervalText]] | None = None,
    ) -> None:
        self.zone = zone_of(timezone)
        self._week = _week(hours)
        listed = (holidays,) if isinstance(holidays, str | date) else tuple(holidays)
        regions = [item for item in listed if isinstance(item, str) and not item[:1].isdigit()]
        self._regions = tuple(_region(code) for code in regions)
        self._dates = frozenset(
            _date(item, "holidays").toordinal() for item in listed if item not in regions
        )
        self._overrides = {
            _date(day, "overrides").toordinal(): _spans(texts, f"overrides, {day}")
            for day, texts in (overrides or {}).items()
        }
        cuts: list[_Span] = []
        for day, texts in (breaks or {}).items():
            midnight = _midnight(_date(day, "breaks").toordinal())
            spans = _spans(texts, f"breaks, {day}", may_overlap=True)
            cuts += [(midnight + start, midnight + end) for start, end in spans]
        self._breaks = _joined(cuts)
        dated = (self._wall_hours(day, frozenset()) for day in self._overrides)
        if not any(self._week) and not any(dated):
            raise ValueError(
                "hours: the calendar is never open; give at least one weekday an interval, "
                'such as {"mon-fri": ["09:00-17:00"]}'
            )
        self._table = _Table([0], [0], [0], 0, [], [])

    def __repr__(self) -> str:
        return f"BusinessCalendar({self.zone.key!r})"

    # -- aware datetimes -----------------------------------------------------------------------

    def add(self, start: datetime, amount: timedelta) -> datetime:
        """When `amount` of open time has passed since `start`, in the calendar's zone.

        A budget that ends at closing time ends at the closing instant, not at the next opening.
        Nothing added to a closed moment gives the next opening, where a clock would start; a
        closing instant is closed. A negative amount is subtracted.
        """
        return to_datetime(self.add_us(to_instant(start), amount // MICROSECOND), self.zone)

    def subtract(self, end: datetime, amount: timedelta) -> datetime:
        """The latest moment from which `amount` of open time passes until `end`: `add` mirrored.

        A budget that starts at an opening starts at that instant, not at the closing before it.
        Nothing subtracted from a closed moment gives the last closing at or before it.
        """
        return to_datetime(self.subtract_us(to_instant(end), amount // MICROSECOND), self.zone)

    def between(self, start: datetime, end: datetime) -> timedelta:
        """The open time from `start` to `end`; negative when `end` is the earlier one."""
        return timedelta(microseconds=self.between_us(to_instant(start), to_instant(end)))

    def is_open(self, at: datetime) -> bool:
        """Whether `at` is in business hours; an opening instant is, a closing instant is not."""
        return self.is_open_us(to_instant(at))

    def next_open(self, at: datetime) -> datetime:
        """`at` itself when it is in business hours, else the next opening; in the zone."""
        return to_datetime(self.next_open_us(to_instant(at)), self.zone)

    # -- instants (microseconds UTC) -----------------------------------------------------------

    def add_us(self, start: int, amount: int) -> Instant:
        """`add` on instants, with `amount` in microseconds."""
        if amount <= 0:
            return self.next_open_us(start) if amount == 0 else self.subtract_us(start, -amount)
        table = self._table
        starts, ends, before, until, _, _ = table
        if not starts[0] <= start < until:
            starts, ends, before, _, _, _ = table = self._covering(start)
        at = bisect_right(starts, start) - 1
        if start < ends[at]:
            if start + amount <= ends[at]:
                return Instant(start + amount)
            target = before[at] + start - starts[at] + amount
        else:
            target = before[at] + ends[at] - starts[at] + amount
        while True:
            at = bisect_left(before, target) - 1
            due = starts[at] + target - before[at]
            if due <= ends[at]:
                return Instant(due)
            starts, ends, before, _, _, _ = table = self._later(table)

    def subtract_us(self, end: int, amount: int) -> Instant:
        """`subtract` on instants, with `amount` in microseconds."""
        if amount < 0:
            return self.add_us(end, -amount)
        table = self._table
        starts, ends, before, until, _, _ = table
        if not starts[0] <= end < until:
            starts, ends, before, _, _, _ = table = self._covering(end)
        at = bisect_right(starts, end) - 1
        if amount == 0:
            while at == 0:
                starts, ends, before, _, _, _ = table = self._earlier(table)
                at = bisect_right(starts, end) - 1
            return Instant(min(end, ends[at]))
        target = before[at] + min(end, ends[at]) - starts[at] - amount
        while target < before[0]:
            # The zero of `before` stays where it is when a table grows.
            starts, ends, before, _, _, _ = table = self._earlier(table)
        at = bisect_right(before, target) - 1
        return Instant(starts[at] + target - before[at])

    def between_us(self, start: int, end: int) -> int:
        """`between` on instants: open microseconds, negative for a reversed range."""
        table = self._table
        starts, ends, before, until, _, _ = table
        if not (starts[0] <= start < until and starts[0] <= end < until):
            starts, ends, before, _, _, _ = self._covering(start, end)
        first = bisect_right(starts, start) - 1
        last = bisect_right(starts, end) - 1
        return (before[last] + min(end, ends[last]) - starts[last]) - (
            before[first] + min(start, ends[first]) - starts[first]
        )

    def is_open_us(self, at: int) -> bool:
        """`is_open` on an instant."""
        starts, ends, _, until, _, _ = self._table
        if not starts[0] <= at < until:
            starts, ends, _, _, _, _ = self._covering(at)
        return at < ends[bisect_right(starts, at) - 1]

    def next_open_us(self, at: int) -> Instant:
        """`next_open` on an instant."""
        table = self._table
        starts, ends, _, until, _, _ = table
        if not starts[0] <= at < until:
            starts, ends, _, _, _, _ = table = self._covering(at)
        index = bisect_right(starts, at)
        if at < ends[index - 1]:
            return Instant(at)
        while index == len(starts):
            starts, ends, _, _, _, _ = table = self._later(table)
        return Instant(starts[index])

    def add_business_days(self, start: int, days: int) -> Instant:
        """The same time on the wall, `days` working days later.

        Friday 15:00 and one day is Monday 15:00. People who promise "two business days" count
        days of the calendar, not eight-hour budgets; the two differ as soon as a day is shorter.

        A start outside business hours counts as the next opening, as it does for `add`: nobody
        works on what arrives on Saturday before Monday 09:00, so one day from it ends on Tuesday
        09:00. On a day with other hours the time is moved into them: before its opening to the
        opening, after its closing (a half day) to the closing, in a break to the end of the
        break. A working day is a day with any open time; a night shift counts as the day on
        which it starts. Negative days count back from the last open moment, mirrored.
        """
        base = self.next_open_us(start) if days >= 0 else self.subtract_us(start, 0)
        table = self._covering(base)
        while (at := bisect_right(table.day_starts, base) - 1) < 0:
            table = self._earlier(table)
        _, midnight = table.days[at]
        while (target := at + days) >= len(table.days):
            table = self._later(table)
        while target < 0:
            known = len(table.days)
            table = self._earlier(table)
            target += len(table.days) - known
        closing, target_midnight = table.days[target]
        same_time = self._instant_of(self._wall(base) - midnight + target_midnight)
        due = max(same_time, table.day_starts[target])
        if due >= closing:
            return Instant(closing)
        return self.next_open_us(due) if days >= 0 else self.subtract_us(due, 0)

    # -- the table, grown year by year ---------------------------------------------------------

    # These take and return tables instead of reading `self._table` again: another thread may have
    # put one there that counts from another zero or does not reach as far.

    def _covering(self, *instants: int) -> _Table:
        table = self._table
        for at in instants:
            if not _YEAR_STARTS[0] <= at < _YEAR_STARTS[-1]:
                raise ValueError(
                    f"{_shown(at)} is outside the years {FIRST_YEAR} to {LAST_YEAR} (UTC) "
                    "that business calendars reach"
                )
            if not table.until:
                year = _year_of(at)
                begin, end = _bounds(year)
                table = self._table = _table(begin, end, *self._open_in(year), 0)
            while at < table.starts[0]:
                table = self._earlier(table)
            while at >= table.until:
                table = self._later(table)
        return table

    def _later(self, old: _Table) -> _Table:
        if old.until == _YEAR_STARTS[-1]:
            raise ValueError(f"not enough business hours left before the end of {LAST_YEAR} (UTC)")
        year = _year_of(old.until)
        spans, days = self._open_in(year)
        total = old.before[-1] + old.ends[-1] - old.starts[-1]
        new = _table(*_bounds(year), spans, days, total)
        table = self._table = _Table(
            old.starts + new.starts[1:],
            old.ends + new.ends[1:],
            old.before + new.before[1:],
            new.until,
            old.day_starts + new.day_starts,
            old.days + new.days,
        )
        return table

    def _earlier(self, old: _Table) -> _Table:
        if old.starts[0] == _YEAR_STARTS[0]:
            raise ValueError(f"not enough business hours since the start of {FIRST_YEAR} (UTC)")
        year = _year_of(old.starts[0]) - 1
        spans, days = self._open_in(year)
        total = old.before[0] - sum(end - start for start, end in spans)
        new = _table(*_bounds(year), spans, days, total)
        table = self._table = _Table(
            new.starts + old.starts[1:],
            new.ends + old.ends[1:],
            new.before + old.before[1:],
            old.until,
            new.day_starts + old.day_starts,
            new.days + old.days,
        )
        return table

    def _open_in(self, year: int) -> tuple[list[_Span], list[tuple[int, int, int]]]:
        """The open intervals in a UTC year, and (opening, closing, midnight) of its days."""
        begin, end = _bounds(year)
        segments = _segments(self.zone, year)
        closed = set(self._dates)
        for region in self._regions:
            for near in (year - 1, year, year + 1):
                closed |= _public_holidays(*region, near)
        spans: list[_Span] = []
        days: list[tuple[int, int, int]] = []
        # Two days more at either end: a zone is up to 14 hours from UTC, a shift up to 24 long.
        for ordinal in range(date(year, 1, 1).toordinal() - 2, date(year, 12, 31).toordinal() + 3):
            pieces = [
                (max(start - offset, since), min(stop - offset, until))
                for start, stop in self._wall_hours(ordinal, closed)
                for since, until, offset in segments
                if start - offset < until and stop - offset > since
            ]
            if pieces:
                spans += pieces
                opening = min(piece[0] for piece in pieces)
                if begin <= opening < end:
                    closing = max(piece[1] for piece in pieces)
                    days.append((opening, closing, _midnight(ordinal)))
        clipped = ((max(a, begin), min(b, end)) for a, b in spans if a < end and b > begin)
        return _joined(clipped), sorted(days)

    def _wall_hours(self, ordinal: int, closed: Set[int]) -> list[_Span]:
        """The hours that belong to a day, in wall time, with breaks cut out."""
        spans = self._overrides.get(ordinal)
        if spans is None:
            spans = () if ordinal in closed else self._week[(ordinal - 1) % 7]
        midnight = _midnight(ordinal)
        hours = [(midnight + start, midnight + end) for start, end in spans]
        for cut_start, cut_end in self._breaks:
            hours = [
                (start, end)
                for a, b in hours
                for start, end in ((a, min(b, cut_start)), (max(a, cut_end), b))
                if start < end
            ]
        return hours

    def _wall(self, at: int) -> int:
        """What the wall clock shows at an instant."""
        offset = 0
        for since, _, offset_since in _segments(self.zone, _year_of(at)):
            if at < since:
                break
            offset = offset_since
        return at + offset

    def _instant_of(self, wall: int) -> int:
        """When the wall clock first shows a time, or the end of the gap that skips it."""
        year = min(max(_year_of(wall), FIRST_YEAR), LAST_YEAR)
        at = 0
        for since, until, offset in _segments(self.zone, year):
            at = max(wall - offset, since)
            if at < until:
                break
        return at


def _table(
    begin: int, until: int, spans: list[_Span], days: list[tuple[int, int, int]], zero: int
) -> _Table:
    with_first = [(begin, begin), *spans]
    sums = accumulate((end - start for start, end in with_first), initial=zero)
    return _Table(
        [start for start, _ in with_first],
        [end for _, end in with_first],
        [total for total, _ in zip(sums, with_first, strict=False)],  # the last is the whole
        until,
        [opening for opening, _, _ in days],
        [(closing, midnight) for _, closing, midnight in days],
    )


def _year_of(at: int) -> int:
    return FIRST_YEAR - 1 + bisect_right(_YEAR_STARTS, at)


def _bounds(year: int) -> _Span:
    return _YEAR_STARTS[year - FIRST_YEAR], _YEAR_STARTS[year - FIRST_YEAR + 1]


def _midnight(ordinal: int) -> int:
    return (ordinal - _EPOCH_ORDINAL) * DAY


def _joined(spans: Iterable[_Span]) -> list[_Span]:
    """Sorted, with what overlaps or touches made one."""
    joined: list[_Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _shown(at: int) -> str:
    try:
        return iso(at)
    except OverflowError:
        return f"{at} microseconds since 1970"


@lru_cache(maxsize=1024)
def _segments(zone: ZoneInfo, year: int) -> tuple[tuple[int, int, int], ...]:
    """(since, until, offset from UTC) of a UTC year and four days at either end.

    zoneinfo does not tell its transitions, so they are searched: by day, then to the second. No
    zone changes twice within a day.
    """

    def offset(second: int) -> int:
        found = datetime.fromtimestamp(second, zone).utcoffset()
        assert found is not None  # a ZoneInfo always answers for a datetime
        return found // MICROSECOND

    begin = (date(year, 1, 1).toordinal() - _EPOCH_ORDINAL - 4) * 86_400
    end = (date(year, 12, 31).toordinal() - _EPOCH_ORDINAL + 5) * 86_400
    segments = []
    since, current = begin, offset(begin)
    for day in range(begin, end, 86_400):
        if offset(day + 86_400) == current:
            continue
        low, high = day, day + 86_400
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == current else (low, middle)
        segments.append((since * SECOND, high * SECOND, current))
        since, current = high, offset(high)
    segments.append((since * SECOND, end * SECOND, current))
    return tuple(segments)


@lru_cache(maxsize=4096)
def _public_holidays(country: str, region: str | None, year: int) -> frozenset[int]:
    import holidays as holiday_tables

    # A few countries' tables cover fewer years (India's 2001 to 2035); the package then warns.
    days = holiday_tables.country_holidays(country, subdiv=region, years=year)
    return frozenset(day.toordinal() for day in days)


# -- reading what people write ---------------------------------------------------------------------


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises ValueError that says what is accepted."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        near = get_close_matches(str(name), available_timezones(), 3)
        raise ValueError(
            f"timezone: {name!r} is unknown; "
            + (f"did you mean {' or '.join(near)}? " if near else "")
            + "IANA names are accepted, such as Europe/Berlin or UTC"
        ) from None


def _region(code: str) -> tuple[str, str | None]:
    """A country and region that the `holidays` package knows, from `DE` or `DE-BE`."""
    import holidays as holiday_tables

    country, _, region = code.strip().partition("-")
    country = country.upper()
    try:
        # The package also answers to longer names, such as DEU; one spelling is enough.
        table = holiday_tables.country_holidays(country if len(country) == 2 else "")
    except NotImplementedError:
        known = [name for name in holiday_tables.list_supported_countries() if len(name) == 2]
        near = get_close_matches(country, known, 3, 0.4)
        raise ValueError(
            f"holidays: country {country!r} in {code!r} is unknown; "
            + (f"did you mean {' or '.join(near)}? " if near else "")
            + "a two-letter country code such as DE, a region such as DE-BE, "
            "or a date such as 2026-12-24 is accepted"
        ) from None
    for spelling in (region, region.upper()):
        if not region or spelling in table.subdivisions or spelling in table.subdivisions_aliases:
            return country, spelling or None
    raise ValueError(
        f"holidays: region {region!r} in {code!r} is unknown; "
        f"{country} has {', '.join(table.subdivisions) or 'no regions'}"
    )


def _date(text: str | date, place: str) -> date:
    if isinstance(text, date) and not isinstance(text, datetime):
        return text
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"{place}: {text!r} is not a date; write it as 2026-12-24") from None


def _week(hours: Mapping[str, Sequence[IntervalText]]) -> tuple[tuple[_Span, ...], ...]:
    week: dict[int, tuple[_Span, ...]] = {}
    for key, texts in hours.items():
        spans = _spans(texts, f"hours, {key}")
        for day in _weekdays(key):
            if day in week:
                raise ValueError(f"hours, {key}: {_WEEKDAYS[day]} is given twice")
            week[day] = spans
    days = tuple(week.get(day, ()) for day in range(7))
    for day, (today, tomorrow) in enumerate(pairwise((*days, days[0]))):
        if today and tomorrow and today[-1][1] > tomorrow[0][0] + DAY:
            raise ValueError(
                f"hours, {_WEEKDAYS[day]}: the interval over midnight overlaps the first one "
                f"of {_WEEKDAYS[(day + 1) % 7]}"
            )
    return days


def _weekdays(key: str) -> list[int]:
    days: list[int] = []
    for part in str(key).lower().split(","):
        names = [name.strip() for name in part.split("-")]
        if len(names) > 2 or not set(names) <= set(_WEEKDAYS):
            raise ValueError(
                f"hours: {key!r} names no weekdays; {', '.join(_WEEKDAYS)} are accepted, ranges "
                "such as mon-fri, and several with commas"
            )
        begin, end = _WEEKDAYS.index(names[0]), _WEEKDAYS.index(names[-1])
        days += [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]
    return days


def _spans(
    texts: Sequence[IntervalText], place: str, *, may_overlap: bool = False
) -> tuple[_Span, ...]:
    """Intervals of one day, sorted, in microseconds after midnight."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise ValueError(f'{place}: a list of intervals is wanted, such as ["09:00-17:00"]')
    spans = sorted(_span(text, place) for text in texts)
    for (_, end), (start, _) in pairwise(spans):
        if start < end and not may_overlap:
            raise ValueError(f"{place}: the intervals overlap at {_clock(start)}")
    return tuple(spans)


def _span(text: object, place: str) -> _Span:
    parts = text.split("-") if isinstance(text, str) else text
    if not isinstance(parts, Sequence) or len(parts) != 2:
        raise ValueError(f"{place}: {text!r} is not an interval; write it as 09:00-17:00")
    start, end = (_time(part, place) for part in parts)
    if start in {end, DAY}:
        raise ValueError(
            f"{place}: {text!r} is empty; write a whole day as 00:00-24:00, "
            "and one over midnight as 22:00-06:00"
        )
    return start, end if end > start else end + DAY


def _time(text: object, place: str) -> int:
    found = _TIME.fullmatch(str(text).strip())
    if found:
        hour, minute, second = (int(part or 0) for part in found.groups())
        seconds = hour * 3600 + minute * 60 + second
        if minute < 60 and second < 60 and seconds <= 86_400:
            return seconds * SECOND
    raise ValueError(f"{place}: {text!r} is not a time; 00:00 to 24:00 are accepted")


def _clock(at: int) -> str:
    return f"{at // SECOND // 3600:02}:{at // SECOND // 60 % 60:02}"
