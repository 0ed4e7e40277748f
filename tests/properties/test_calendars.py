"""Laws of business time, and a comparison with the wall clock read minute by minute."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.calendars import BusinessCalendar
from schemas.time import DAY, HOUR, MINUTE, to_instant

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Zones with the day (UTC) near which their clocks change.
CHANGES = (
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 4)),
    ("Australia/Lord_Howe", date(2026, 10, 3)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("Asia/Beirut", date(2026, 3, 29)),
    ("America/St_Johns", date(2010, 11, 7)),
    ("Africa/Casablanca", date(2026, 3, 22)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Pacific/Kiritimati", date(1994, 12, 31)),
    ("Asia/Kathmandu", date(2026, 1, 1)),
    ("UTC", date(2027, 1, 1)),
)

Week = dict[int, list[tuple[int, int]]]  # weekday to (start, end) in minutes; end may pass 1440


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def written(spans: list[tuple[int, int]]) -> list[str]:
    return [f"{clock(a)}-{clock(b if b <= 1440 else b - 1440)}" for a, b in spans]


@st.composite
def intervals(draw: st.DrawFn) -> list[tuple[int, int]]:
    """None, one or two intervals of a day; the last may run until 05:00 of the next."""
    edges = sorted(
        draw(
            st.lists(st.integers(0, 95), max_size=4, unique=True).filter(lambda e: len(e) % 2 == 0)
        )
    )
    spans = [(a * 15, b * 15) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    start = (edges[-1] if edges else 80) * 15
    if draw(st.booleans()):
        spans.append((max(start, 5 * 60 + 1), draw(st.sampled_from((1440, 1440 + 61, 1440 + 300)))))
    return spans


@st.composite
def weeks(draw: st.DrawFn) -> Week:
    """Weekly hours without overlaps that are open at some time."""
    week: Week = {day: draw(intervals()) for day in range(7)}
    for day in range(7):
        following = week[(day + 1) % 7]
        if following and week[day] and week[day][-1][1] > following[0][0] + 1440:
            start, _ = week[day][-1]
            week[day][-1] = (start, 1440)
    if not any(week.values()):
        week[0] = [(540, 1020)]
    return week


@st.composite
def calendars(draw: st.DrawFn) -> tuple[BusinessCalendar, Week, set[date], datetime]:
    """A calendar, what it was made of, and the start of a window around a change of its clock."""
    zone, change = draw(st.sampled_from(CHANGES))
    week = draw(weeks())
    closed = {change + timedelta(days=n) for n in draw(st.sets(st.integers(-3, 3), max_size=2))}
    hours = {WEEKDAYS[day]: written(spans) for day, spans in week.items()}
    calendar = BusinessCalendar(zone, hours, sorted(closed))
    window = datetime(change.year, change.month, change.day, tzinfo=ZoneInfo("UTC"))
    return calendar, week, closed, window - timedelta(days=2)


def minute_by_minute(
    zone: ZoneInfo, week: Week, closed: set[date], start: datetime, minutes: int
) -> Iterator[bool]:
    """Whether each minute is open: look at the wall clock, then at today's and yesterday's hours.

    The slow way on purpose: no intervals are converted and no offsets are searched.
    """
    for n in range(minutes):
        wall = (start + timedelta(minutes=n)).astimezone(zone)
        shown = wall.hour * 60 + wall.minute
        today = wall.date()
        yesterday = today - timedelta(days=1)
        yield any(
            a <= minute < b
            for day, minute in ((today, shown), (yesterday, shown + 1440))
            if day not in closed
            for a, b in week[day.weekday()]
        )


@settings(max_examples=40)
@given(calendars(), st.data())
def test_it_agrees_with_the_wall_clock_read_minute_by_minute(
    made: tuple[BusinessCalendar, Week, set[date], datetime], data: st.DataObject
) -> None:
    calendar, week, closed, window = made
    minutes = 4 * 24 * 60
    is_open = list(minute_by_minute(calendar.zone, week, closed, window, minutes))
    begin = to_instant(window)
    assert [calendar.is_open_us(begin + n * MINUTE) for n in range(minutes)] == is_open
    start = data.draw(st.integers(0, minutes - 1))
    end = data.draw(st.integers(start, minutes))
    elapsed = sum(is_open[start:end])
    assert calendar.between_us(begin + start * MINUTE, begin + end * MINUTE) == elapsed * MINUTE
    if elapsed:
        last = max(n for n in range(start, end) if is_open[n])
        due = calendar.add_us(begin + start * MINUTE, elapsed * MINUTE)
        assert due == begin + (last + 1) * MINUTE
        first = min(n for n in range(start, end) if is_open[n])
        back = calendar.subtract_us(begin + end * MINUTE, elapsed * MINUTE)
        assert back == begin + first * MINUTE


made_calendars = calendars().map(lambda made: (made[0], to_instant(made[3])))
offsets = st.integers(-30 * DAY, 400 * DAY)
amounts = st.one_of(st.integers(0, 3 * HOUR), st.integers(0, 2_000 * HOUR))


@given(made_calendars, offsets, amounts)
def test_between_undoes_add_and_subtract(
    made: tuple[BusinessCalendar, int], offset: int, amount: int
) -> None:
    calendar, moment = made[0], made[1] + offset
    later = calendar.add_us(moment, amount)
    assert later >= moment
    assert calendar.between_us(moment, later) == amount
    earlier = calendar.subtract_us(moment, amount)
    assert earlier <= moment
    assert calendar.between_us(earlier, moment) == amount
    assert calendar.between_us(moment, earlier) == -amount


@given(made_calendars, offsets, amounts.filter(bool))
def test_add_ends_as_early_and_subtract_as_late_as_possible(
    made: tuple[BusinessCalendar, int], offset: int, amount: int
) -> None:
    calendar, moment = made[0], made[1] + offset
    later = calendar.add_us(moment, amount)
    assert calendar.between_us(moment, later - 1) == amount - 1
    earlier = calendar.subtract_us(moment, amount)
    assert calendar.between_us(earlier + 1, moment) == amount - 1


@given(made_calendars, offsets, amounts)
def test_from_open_time_subtract_undoes_add(
    made: tuple[BusinessCalendar, int], offset: int, amount: int
) -> None:
    calendar, moment = made[0], made[0].next_open_us(made[1] + offset)
    assert calendar.subtract_us(calendar.add_us(moment, amount), amount) == moment


@given(made_calendars, offsets, offsets, offsets)
def test_between_adds_up(made: tuple[BusinessCalendar, int], a: int, b: int, c: int) -> None:
    calendar, origin = made
    first, second, third = (origin + offset for offset in (a, b, c))
    whole = calendar.between_us(first, third)
    assert calendar.between_us(first, second) + calendar.between_us(second, third) == whole


@given(made_calendars, offsets, offsets, amounts, amounts)
def test_add_never_turns_order_round(
    made: tuple[BusinessCalendar, int], a: int, b: int, less: int, more: int
) -> None:
    calendar, origin = made
    first, second = origin + min(a, b), origin + max(a, b)
    assert calendar.add_us(first, less) <= calendar.add_us(second, less)
    assert calendar.subtract_us(first, less) <= calendar.subtract_us(second, less)
    less, more = min(less, more), max(less, more)
    assert calendar.add_us(first, less) <= calendar.add_us(first, more)
    assert calendar.subtract_us(first, more) <= calendar.subtract_us(first, less)


@given(made_calendars, offsets, amounts, amounts.filter(bool))
def test_two_budgets_are_one(
    made: tuple[BusinessCalendar, int], offset: int, first: int, second: int
) -> None:
    calendar, moment = made[0], made[1] + offset
    twice = calendar.add_us(calendar.add_us(moment, first), second)
    assert twice == calendar.add_us(moment, first + second)


@given(made_calendars, offsets)
def test_the_next_opening_is_open_and_nothing_before_it_is(
    made: tuple[BusinessCalendar, int], offset: int
) -> None:
    calendar, moment = made[0], made[1] + offset
    opening = calendar.next_open_us(moment)
    assert calendar.is_open_us(opening)
    assert calendar.between_us(moment, opening) == 0
    assert opening == moment or not calendar.is_open_us(opening - 1)


@given(made_calendars, offsets, offsets, st.integers(0, 30))
def test_business_days_end_in_open_time_and_keep_order(
    made: tuple[BusinessCalendar, int], a: int, b: int, days: int
) -> None:
    calendar, origin = made
    due = calendar.add_business_days(origin + a, days)
    assert calendar.between_us(due - 1, due) or calendar.is_open_us(due)
    assert calendar.add_business_days(origin + a, days + 1) > due
    if a <= b:
        assert due <= calendar.add_business_days(origin + b, days)


@given(made_calendars, st.lists(offsets, min_size=2, max_size=4), amounts)
def test_answers_do_not_depend_on_earlier_questions(
    made: tuple[BusinessCalendar, int], asked: list[int], amount: int
) -> None:
    calendar, origin = made
    hours = {day: written(spans) for day, spans in zip(WEEKDAYS, [[(540, 1020)]] * 7, strict=True)}
    used = BusinessCalendar(calendar.zone.key, hours, "DE")
    for offset in asked:
        fresh = BusinessCalendar(calendar.zone.key, hours, "DE")
        moment = origin + offset * 5
        assert used.add_us(moment, amount) == fresh.add_us(moment, amount)
        assert used.subtract_us(moment, amount) == fresh.subtract_us(moment, amount)
        assert used.add_business_days(moment, 3) == fresh.add_business_days(moment, 3)
