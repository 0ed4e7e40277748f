"""Business calendars: other systems' cases, then what those do not show."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rules.calendars import BusinessCalendar, IntervalText
from schemas.time import to_datetime, to_instant

FACTS = json.loads(
    (Path(__file__).parents[1] / "facts" / "business_hours.json").read_text(encoding="utf-8")
)
OFFICE: dict[str, list[IntervalText]] = {"mon-fri": ["09:00-17:00"]}
ALWAYS: dict[str, list[IntervalText]] = {"mon-sun": ["00:00-24:00"]}
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def at(text: str, zone: str = "UTC") -> datetime:
    """`2026-11-02 09:00` on the wall of a zone; an offset in the text stands above the zone."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


def days_later(calendar: BusinessCalendar, start: str, days: int) -> str:
    """The wall time that many business days later, as text without an offset."""
    moment = to_instant(at(start, calendar.zone.key))
    due = to_datetime(calendar.add_business_days(moment, days), calendar.zone)
    return due.replace(tzinfo=None).isoformat(" ", "minutes")


# -- cases of other systems ------------------------------------------------------------------------


def fact_calendar(case: dict[str, Any]) -> BusinessCalendar:
    told = case["calendar"]
    return BusinessCalendar(
        told["tz"], told["hours"], told["holidays"], told.get("overrides"), told.get("breaks")
    )


@pytest.mark.parametrize("case", FACTS, ids=lambda case: case["id"])
def test_other_systems_agree(case: dict[str, Any]) -> None:
    calendar = fact_calendar(case)
    start = datetime.fromisoformat(case["start"])
    match case["op"]:
        case "add":
            amount = timedelta(seconds=case["seconds"])
            wanted = datetime.fromisoformat(case.get("expected_gap_clip", case["expected_close"]))
            assert calendar.add(start, amount) == wanted
            assert calendar.between(start, wanted) == amount
        case "between":
            minutes = case.get("expected_gap_clip", case["expected"])
            elapsed = timedelta(minutes=minutes)
            if "expected_gap_clip" not in case:
                elapsed = timedelta(seconds=case.get("expected_seconds", minutes * 60))
            end = datetime.fromisoformat(case["end"])
            assert calendar.between(start, end) == elapsed
            assert calendar.between(end, start) == -elapsed
        case op:
            pytest.fail(f"{case['id']}: nobody reads op {op!r}")


def test_all_facts_are_there() -> None:
    assert len({case["id"] for case in FACTS}) == 130


# -- the ends of intervals -------------------------------------------------------------------------


def test_an_opening_is_open_and_a_closing_is_not() -> None:
    calendar = BusinessCalendar("Europe/Berlin", OFFICE)
    monday = at("2026-11-02 09:00", "Europe/Berlin")
    assert calendar.is_open(monday)
    assert not calendar.is_open(monday - timedelta.resolution)
    assert calendar.is_open(monday + 8 * HOUR - timedelta.resolution)
    assert not calendar.is_open(monday + 8 * HOUR)


def test_a_budget_that_fills_the_day_ends_at_closing() -> None:
    calendar = BusinessCalendar("UTC", OFFICE)
    monday = at("2026-11-02 09:00")
    assert calendar.add(monday, 8 * HOUR) == at("2026-11-02 17:00")
    assert calendar.add(monday, 8 * HOUR + timedelta.resolution) == (
        at("2026-11-03 09:00") + timedelta.resolution
    )
    assert calendar.add(monday, 40 * HOUR) == at("2026-11-06 17:00")


def test_subtract_mirrors_add() -> None:
    calendar = BusinessCalendar("UTC", OFFICE)
    friday = at("2026-11-06 17:00")
    assert calendar.subtract(friday, 8 * HOUR) == at("2026-11-06 09:00")
    assert calendar.subtract(friday, 40 * HOUR) == at("2026-11-02 09:00")
    assert calendar.subtract(at("2026-11-02 10:00"), 2 * HOUR) == at("2026-10-30 16:00")
    assert calendar.subtract(at("2026-11-08 12:00"), HOUR) == at("2026-11-06 16:00")


def test_nothing_added_or_subtracted_moves_to_open_time_only() -> None:
    calendar = BusinessCalendar("UTC", OFFICE)
    nothing = timedelta(0)
    for moment, after, before in [
        ("2026-11-02 12:00", "2026-11-02 12:00", "2026-11-02 12:00"),
        ("2026-11-02 09:00", "2026-11-02 09:00", "2026-11-02 09:00"),
        ("2026-11-02 17:00", "2026-11-03 09:00", "2026-11-02 17:00"),
        ("2026-11-07 12:00", "2026-11-09 09:00", "2026-11-06 17:00"),
    ]:
        assert calendar.add(at(moment), nothing) == at(after)
        assert calendar.next_open(at(moment)) == at(after)
        assert calendar.subtract(at(moment), nothing) == at(before)


def test_a_negative_amount_goes_the_other_way() -> None:
    calendar = BusinessCalendar("UTC", OFFICE)
    moment = at("2026-11-04 12:00")
    assert calendar.add(moment, -10 * HOUR) == calendar.subtract(moment, 10 * HOUR)
    assert calendar.subtract(moment, -10 * HOUR) == calendar.add(moment, 10 * HOUR)


def test_microseconds_are_kept() -> None:
    calendar = BusinessCalendar("UTC", OFFICE)
    start = at("2026-11-02 16:59:59.999998")
    assert calendar.add(start, 3 * timedelta.resolution) == at("2026-11-03 09:00:00.000001")
    assert calendar.between(start, at("2026-11-03 09:00:00.000001")) == 3 * timedelta.resolution


def test_results_are_in_the_zone_of_the_calendar() -> None:
    calendar = BusinessCalendar("America/New_York", OFFICE)
    due = calendar.add(at("2026-11-02 22:30+09:00"), HOUR)
    assert due.isoformat() == "2026-11-02T10:00:00-05:00"
    assert calendar.next_open(at("2026-11-02 12:00")).tzinfo is ZoneInfo("America/New_York")


def test_the_zone_of_the_question_does_not_matter() -> None:
    calendar = BusinessCalendar("Asia/Tokyo", OFFICE)
    start, end = at("2026-11-01 20:00"), at("2026-11-03 03:15")
    here = ZoneInfo("America/Los_Angeles")
    assert calendar.between(start.astimezone(here), end) == calendar.between(start, end)
    assert calendar.between(start, end) == timedelta(hours=11, minutes=15)


# -- several intervals, and intervals over midnight ------------------------------------------------


def test_a_lunch_break_is_closed() -> None:
    calendar = BusinessCalendar("UTC", {"mon-fri": ["09:00-12:00", "13:00-17:00"]})
    assert calendar.add(at("2026-11-02 11:30"), HOUR) == at("2026-11-02 13:30")
    assert calendar.add(at("2026-11-02 11:00"), HOUR) == at("2026-11-02 12:00")
    assert not calendar.is_open(at("2026-11-02 12:30"))


def test_a_night_shift_belongs_to_the_day_it_starts_on() -> None:
    calendar = BusinessCalendar("UTC", {"fri": ["22:00-06:00"]}, "2026-11-13")
    assert calendar.is_open(at("2026-11-07 05:59"))
    assert not calendar.is_open(at("2026-11-06 05:59"))
    assert calendar.between(at("2026-11-06"), at("2026-11-09")) == 8 * HOUR
    assert calendar.between(at("2026-11-13"), at("2026-11-16")) == timedelta(0)


def test_a_holiday_does_not_send_home_the_shift_before_it() -> None:
    calendar = BusinessCalendar("UTC", {"mon-sun": ["22:00-06:00"]}, [date(2026, 11, 4)])
    assert calendar.is_open(at("2026-11-04 03:00"))
    assert not calendar.is_open(at("2026-11-04 23:00"))
    assert not calendar.is_open(at("2026-11-05 03:00"))
    assert calendar.is_open(at("2026-11-05 23:00"))


def test_a_sunday_night_shift_runs_into_monday() -> None:
    calendar = BusinessCalendar("UTC", {"sun": ["20:00-04:00"], "mon": ["04:00-08:00"]})
    assert calendar.add(at("2026-11-01 20:00"), 12 * HOUR) == at("2026-11-02 08:00")


def test_midnight_as_an_end_is_the_end_of_the_day() -> None:
    late = BusinessCalendar("UTC", {"mon": ["18:00-00:00"]})
    same = BusinessCalendar("UTC", {"mon": ["18:00-24:00"]})
    week = at("2026-11-01"), at("2026-11-08")
    assert late.between(*week) == same.between(*week) == 6 * HOUR


def test_around_the_clock_is_elapsed_time_over_years_and_changes_of_the_clock() -> None:
    calendar = BusinessCalendar("Europe/Berlin", ALWAYS)
    start = at("2009-12-31 23:30:00.5")
    for amount in (timedelta(seconds=1), timedelta(days=1), timedelta(days=10_000, hours=5)):
        assert calendar.add(start, amount) == start + amount
        assert calendar.subtract(start + amount, amount) == start
        assert calendar.between(start, start + amount) == amount


def test_adjacent_intervals_are_one() -> None:
    whole = BusinessCalendar("UTC", OFFICE)
    halves = BusinessCalendar("UTC", {"mon-fri": [("09:00", "12:30"), ("12:30", "17:00")]})
    start = at("2026-11-02 12:30")
    for amount in (timedelta(0), HOUR, 30 * HOUR):
        assert halves.add(start, amount) == whole.add(start, amount)
        assert halves.subtract(start, amount) == whole.subtract(start, amount)


def test_the_turn_of_the_year_joins() -> None:
    calendar = BusinessCalendar("Pacific/Auckland", {"thu": ["20:00-08:00"]})
    eve = at("2026-12-31 20:00", "Pacific/Auckland")
    assert calendar.add(eve, 12 * HOUR) == eve + 12 * HOUR
    assert calendar.subtract(eve + 12 * HOUR, 12 * HOUR) == eve


def test_years_of_budget() -> None:
    calendar = BusinessCalendar("UTC", OFFICE)
    start = at("1990-01-01 09:00")
    due = calendar.add(start, timedelta(hours=40 * 1000))
    assert due == start + timedelta(weeks=1000) - timedelta(hours=64)  # Friday 17:00
    assert calendar.subtract(due, timedelta(hours=40 * 1000)) == start


# -- holidays, overrides, breaks -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "code", "day", "is_open"),
    [
        ("Europe/Berlin", "DE", "2026-12-25", False),
        ("Europe/Berlin", "DE", "2026-03-08", True),
        ("Europe/Berlin", "DE-BE", "2026-03-08", False),  # Women's Day, in Berlin
        ("Europe/Berlin", "de-be", "2026-03-08", False),
        ("Europe/Berlin", "DE-BY", "2026-03-08", True),
        ("America/New_York", "US", "2026-11-26", False),
        ("America/Los_Angeles", "US-CA", "2026-03-31", False),  # César Chávez Day
        ("America/New_York", "US", "2026-03-31", True),
        ("Europe/London", "GB", "2026-08-31", True),  # bank holiday everywhere but in Scotland
        ("Europe/London", "GB-ENG", "2026-08-31", False),
    ],
)
def test_public_holidays_by_country_and_region(
    zone: str, code: str, day: str, is_open: bool
) -> None:
    calendar = BusinessCalendar(zone, {"mon-sun": ["09:00-17:00"]}, code)
    assert calendar.is_open(at(f"{day} 12:00", zone)) is is_open


def test_a_holiday_is_a_day_of_the_zone() -> None:
    calendar = BusinessCalendar("Asia/Tokyo", ALWAYS, "JP")
    assert not calendar.is_open(at("2026-11-03 00:00", "Asia/Tokyo"))  # Monday 15:00 in UTC
    assert calendar.is_open(at("2026-11-03 15:00"))


def test_a_holiday_in_the_next_year_of_the_zone() -> None:
    calendar = BusinessCalendar("Pacific/Auckland", ALWAYS, "NZ")
    assert not calendar.is_open(at("2026-12-31 20:00"))  # New Year's morning in Auckland
    assert calendar.is_open(at("2026-12-31 10:00"))


def test_several_countries_and_single_dates() -> None:
    calendar = BusinessCalendar("UTC", ALWAYS, ["DE", "US", "2026-11-12", date(2026, 11, 13)])
    closed = [
        day for day in range(1, 31) if not calendar.is_open(datetime(2026, 11, day, 12, tzinfo=UTC))
    ]
    assert closed == [11, 12, 13, 26]  # Veterans Day, ours, ours, Thanksgiving
    assert not calendar.is_open(at("2026-10-03 12:00"))


def test_a_half_day_stands_above_a_holiday_and_the_week() -> None:
    calendar = BusinessCalendar(
        "Europe/Berlin",
        OFFICE,
        ["DE", "2026-12-24"],
        overrides={
            "2026-12-24": ["09:00-12:00"],
            date(2026, 12, 26): ["10:00-11:00"],  # a holiday on a Saturday
            "2026-12-28": [],
        },
    )
    start = at("2026-12-23 16:00", "Europe/Berlin")
    for hours, due in [(4, "2026-12-24 12:00"), (5, "2026-12-26 11:00"), (6, "2026-12-29 10:00")]:
        assert calendar.add(start, hours * HOUR) == at(due, "Europe/Berlin")


def test_an_override_may_overlap_the_shift_before_it() -> None:
    calendar = BusinessCalendar(
        "UTC", {"mon": ["22:00-06:00"]}, overrides={"2026-11-03": ["05:00-08:00"]}
    )
    assert calendar.between(at("2026-11-02"), at("2026-11-04")) == 10 * HOUR


def test_a_break_cuts_by_the_wall_clock() -> None:
    calendar = BusinessCalendar(
        "UTC",
        {"mon-sun": ["22:00-06:00"]},
        breaks={"2026-11-03": ["02:00-03:00", "02:30-03:30"], "2026-11-04": ["23:00-01:00"]},
    )
    assert calendar.between(at("2026-11-02 22:00"), at("2026-11-03 06:00")) == 6.5 * HOUR
    assert calendar.between(at("2026-11-04 22:00"), at("2026-11-05 06:00")) == 6 * HOUR


def test_a_calendar_of_dates_alone_ends() -> None:
    calendar = BusinessCalendar("UTC", {}, overrides={"2026-11-03": ["09:00-10:00"]})
    assert calendar.next_open(at("2020-01-01")) == at("2026-11-03 09:00")
    assert calendar.subtract(at("2040-01-01"), timedelta(0)) == at("2026-11-03 10:00")
    with pytest.raises(ValueError, match="not enough business hours left before the end of 2099"):
        calendar.add(at("2026-11-03"), 2 * HOUR)
    with pytest.raises(ValueError, match="not enough business hours since the start of 1990"):
        calendar.subtract(at("2026-11-04"), 2 * HOUR)


# -- changes of the clock --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "hours", "since", "until", "wanted"),
    [
        # The night has seven hours in spring and nine in autumn.
        ("Europe/Berlin", "22:00-06:00", "2026-03-28 20:00", "2026-03-29 07:00", 7),
        ("Europe/Berlin", "22:00-06:00", "2026-10-24 20:00", "2026-10-25 07:00", 9),
        # 02:00-03:00 is skipped in March and shown twice in October.
        ("Europe/Berlin", "01:30-02:30", "2026-03-29 00:00", "2026-03-29 12:00", 0.5),
        ("Europe/Berlin", "02:00-03:00", "2026-03-29 00:00", "2026-03-29 12:00", 0),
        ("Europe/Berlin", "02:30-03:30", "2026-03-29 00:00", "2026-03-29 12:00", 0.5),
        ("Europe/Berlin", "02:00-03:00", "2026-10-25 00:00", "2026-10-25 12:00", 2),
        ("Europe/Berlin", "01:00-02:00", "2026-10-25 00:00", "2026-10-25 12:00", 1),
        ("Europe/Berlin", "03:00-04:00", "2026-10-25 00:00", "2026-10-25 12:00", 1),
        ("Europe/Berlin", "02:15-02:45", "2026-10-25 00:00", "2026-10-25 12:00", 1),
        # Half an hour.
        ("Australia/Lord_Howe", "00:00-24:00", "2026-10-04 00:00", "2026-10-05 00:00", 23.5),
        ("Australia/Lord_Howe", "00:00-24:00", "2026-04-05 00:00", "2026-04-06 00:00", 24.5),
        ("Australia/Lord_Howe", "02:00-03:00", "2026-10-04 00:00", "2026-10-05 00:00", 0.5),
        # The skipped hour is the first of the day; the doubled one is the last.
        ("America/Sao_Paulo", "00:00-24:00", "2018-11-03 12:00", "2018-11-05 00:00", 35),
        ("America/Sao_Paulo", "00:30-02:00", "2018-11-04 01:00", "2018-11-04 12:00", 1),
        ("America/Sao_Paulo", "23:00-24:00", "2018-02-17 12:00", "2018-02-18 12:00", 2),
        ("Asia/Beirut", "00:00-06:00", "2026-03-29 01:00", "2026-03-29 12:00", 5),
        # Samoa had no 30 December 2011: the night shift of the 29th went on into the 31st.
        ("Pacific/Apia", "09:00-17:00", "2011-12-29 00:00", "2012-01-01 00:00", 16),
        ("Pacific/Apia", "22:00-06:00", "2011-12-29 12:00", "2011-12-31 12:00", 8),
    ],
)
def test_elapsed_time_across_changes_of_the_clock(
    zone: str, hours: str, since: str, until: str, wanted: float
) -> None:
    calendar = BusinessCalendar(zone, {"mon-sun": [hours]})
    start, end = at(since, zone), at(until, zone)
    assert calendar.between(start, end) == wanted * HOUR


def test_an_interval_that_starts_in_a_gap_starts_at_its_end() -> None:
    calendar = BusinessCalendar("Europe/Berlin", {"sun": ["02:30-05:00"]})
    due = calendar.next_open(at("2026-03-28 12:00"))
    assert due.isoformat() == "2026-03-29T03:00:00+02:00"


def test_both_passes_of_a_doubled_hour_are_told_apart() -> None:
    calendar = BusinessCalendar("Europe/Berlin", ALWAYS)
    first = at("2026-10-25 02:30+02:00")
    assert calendar.add(first, HOUR).isoformat() == "2026-10-25T02:30:00+01:00"


def test_a_clock_changed_a_minute_after_midnight() -> None:
    zone = "America/St_Johns"  # 00:01 until 2011
    calendar = BusinessCalendar(zone, {"sun": ["00:00-06:00"]})
    start, end = at("2010-11-06 12:00", zone), at("2010-11-07 12:00", zone)
    assert calendar.between(start, end) == 6 * HOUR + MINUTE
    assert days_later(calendar, "2010-10-31 05:00", 1) == "2010-11-07 05:00"


# -- business days ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        ("2026-11-06 15:00", 1, "2026-11-09 15:00"),  # Friday to Monday
        ("2026-11-06 15:00", 0, "2026-11-06 15:00"),
        ("2026-11-06 15:00", 5, "2026-11-13 15:00"),
        ("2026-11-06 15:00", 250, "2027-11-02 15:00"),
        ("2026-11-02 09:00", 1, "2026-11-03 09:00"),  # an opening to the next day's
        ("2026-11-02 07:00", 1, "2026-11-03 09:00"),  # before opening is at opening
        ("2026-11-02 17:00", 1, "2026-11-04 09:00"),  # at closing is tomorrow's opening
        ("2026-11-02 19:00", 2, "2026-11-05 09:00"),
        ("2026-11-07 12:00", 1, "2026-11-10 09:00"),  # Saturday is Monday's opening
        ("2026-11-07 12:00", 0, "2026-11-09 09:00"),
        ("2026-11-09 15:00", -1, "2026-11-06 15:00"),
        ("2026-11-07 12:00", -1, "2026-11-05 17:00"),  # Saturday is Friday's closing
        ("2026-12-23 15:00", 1, "2026-12-24 12:00"),  # into a half day: its closing
        ("2026-12-23 10:00", 1, "2026-12-24 10:00"),
        ("2026-12-23 15:00", 2, "2026-12-28 15:00"),  # past the half day: the same time
        ("2026-12-24 11:00", 1, "2026-12-28 11:00"),
        ("2026-12-28 09:30", 1, "2026-12-29 10:00"),  # into a late start: its opening
        ("2026-12-30 09:30", -1, "2026-12-29 10:00"),
        ("2026-12-23 12:00", 1, "2026-12-24 12:00"),
        ("2026-01-05 15:00", -10, "2025-12-17 15:00"),
    ],
)
def test_business_days_keep_the_time_on_the_wall(start: str, days: int, due: str) -> None:
    calendar = BusinessCalendar(
        "Europe/Berlin",
        OFFICE,
        "DE-BE",
        overrides={"2026-12-24": ["09:00-12:00"], "2026-12-29": ["10:00-17:00"]},
    )
    assert days_later(calendar, start, days) == due


def test_business_days_in_a_break_move_to_its_end() -> None:
    calendar = BusinessCalendar(
        "UTC", OFFICE, overrides={"2026-11-03": ["09:00-12:00", "13:00-17:00"]}
    )
    assert days_later(calendar, "2026-11-02 12:30", 1) == "2026-11-03 13:00"
    assert days_later(calendar, "2026-11-04 12:30", -1) == "2026-11-03 12:00"


def test_business_days_of_a_night_shift() -> None:
    calendar = BusinessCalendar("Europe/Berlin", {"mon-fri": ["22:00-06:00"]})
    assert days_later(calendar, "2026-11-05 23:00", 1) == "2026-11-06 23:00"
    assert days_later(calendar, "2026-11-06 03:00", 1) == "2026-11-07 03:00"  # Thursday's shift
    assert days_later(calendar, "2026-11-07 03:00", 1) == "2026-11-10 03:00"  # Friday's shift
    assert days_later(calendar, "2027-01-01 03:00", 1) == "2027-01-02 03:00"


def test_business_days_across_changes_of_the_clock() -> None:
    calendar = BusinessCalendar("Europe/Berlin", ALWAYS)
    assert days_later(calendar, "2026-03-28 12:00", 1) == "2026-03-29 12:00"
    assert days_later(calendar, "2026-03-28 02:30", 1) == "2026-03-29 03:00"  # the end of the gap
    assert days_later(calendar, "2026-10-24 02:30", 1) == "2026-10-25 02:30"
    first = to_instant(at("2026-10-25 02:30+02:00"))
    assert calendar.add_business_days(to_instant(at("2026-10-24 00:30Z")), 1) == first


def test_a_day_that_the_zone_skipped_is_no_business_day() -> None:
    calendar = BusinessCalendar("Pacific/Apia", {"mon-sun": ["09:00-17:00"]})
    assert days_later(calendar, "2011-12-29 10:00", 1) == "2011-12-31 10:00"


def test_a_day_cut_away_by_a_break_is_no_business_day() -> None:
    calendar = BusinessCalendar("UTC", OFFICE, breaks={"2026-11-03": ["00:00-24:00"]})
    assert days_later(calendar, "2026-11-02 10:00", 1) == "2026-11-04 10:00"


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timezone": "Europe/Berln"}, "timezone: 'Europe/Berln' is unknown; did you mean Europe"),
        ({"timezone": "Europe"}, "timezone: 'Europe' is unknown"),
        ({"timezone": ""}, "timezone: '' is unknown; IANA names are accepted"),
        ({"timezone": "../etc"}, "timezone: '../etc' is unknown"),
        ({"hours": {}}, "hours: the calendar is never open"),
        ({"hours": {"mon-fri": []}}, "hours: the calendar is never open"),
        (
            {"hours": {}, "overrides": {"2026-11-03": ["09:00-10:00"]},
             "breaks": {"2026-11-03": ["08:00-12:00"]}},
            "hours: the calendar is never open",
        ),
        ({"hours": {"funday": ["09:00-17:00"]}}, "hours: 'funday' names no weekdays; mon, tue"),
        ({"hours": {"mon-": ["09:00-17:00"]}}, "hours: 'mon-' names no weekdays"),
        ({"hours": {"mon-fri": ["09:00-17:00"], "fri": []}}, "hours, fri: fri is given twice"),
        ({"hours": {"mon": "09:00-17:00"}}, "hours, mon: a list of intervals is wanted"),
        ({"hours": {"mon": ["09:00-12:00", "11:00-14:00"]}}, "hours, mon: .* overlap at 11:00"),
        ({"hours": {"mon": ["09:00-12:00"] * 2}}, "hours, mon: the intervals overlap at 09:00"),
        (
            {"hours": {"sun": ["22:00-06:00"], "mon": ["05:00-07:00"]}},
            "hours, sun: the interval over midnight overlaps the first one of mon",
        ),
        ({"hours": {"mon": ["09:00-09:00"]}}, "'09:00-09:00' is empty; write a whole day as 00:00"),
        ({"hours": {"mon": ["24:00-06:00"]}}, "'24:00-06:00' is empty"),
        ({"hours": {"mon": ["9-17"]}}, "hours, mon: '9' is not a time; 00:00 to 24:00"),
        ({"hours": {"mon": ["09:00-24:01"]}}, "hours, mon: '24:01' is not a time"),
        ({"hours": {"mon": ["09:00-12:60"]}}, "hours, mon: '12:60' is not a time"),
        ({"hours": {"mon": ["09:00"]}}, "hours, mon: '09:00' is not an interval; write it as"),
        ({"hours": {"mon": [900]}}, "hours, mon: 900 is not an interval"),
        ({"holidays": "XX"}, "holidays: country 'XX' in 'XX' is unknown"),
        ({"holidays": "Germany"}, "a two-letter country code such as DE"),
        ({"holidays": ["DE", "DE-QQ"]}, "region 'QQ' in 'DE-QQ' is unknown; DE has BB, BE"),
        ({"holidays": "2026-13-01"}, "holidays: '2026-13-01' is not a date; write it as"),
        ({"holidays": [datetime(2026, 1, 1, tzinfo=UTC)]}, "holidays: .* is not a date"),
        ({"overrides": {"24.12.2026": []}}, "overrides: '24.12.2026' is not a date"),
        ({"overrides": {"2026-12-24": ["noon"]}}, "overrides, 2026-12-24: 'noon' is not an inter"),
        ({"breaks": {"2026-12-24": ["12:00-12:00"]}}, "breaks, 2026-12-24: '12:00-12:00' is empty"),
    ],
)  # fmt: skip
def test_a_calendar_that_makes_no_sense_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BusinessCalendar(**{"timezone": "UTC", "hours": OFFICE} | change)


def test_a_naive_datetime_is_refused() -> None:
    calendar = BusinessCalendar("UTC", OFFICE)
    naive = at("2026-11-02 09:00").replace(tzinfo=None)
    aware = at("2026-11-02 09:00")
    for question in (
        lambda: calendar.add(naive, HOUR),
        lambda: calendar.subtract(naive, HOUR),
        lambda: calendar.between(naive, aware),
        lambda: calendar.between(aware, naive),
        lambda: calendar.is_open(naive),
        lambda: calendar.next_open(naive),
    ):
        with pytest.raises(ValueError, match="no UTC offset"):
            question()


@pytest.mark.parametrize("year", [1, 1989, 2100, 9999])
def test_other_centuries_are_refused(year: int) -> None:
    calendar = BusinessCalendar("UTC", ALWAYS)
    inside, outside = at("2026-11-02 09:00"), datetime(year, 6, 1, tzinfo=UTC)
    for question in (
        lambda: calendar.add(outside, HOUR),
        lambda: calendar.subtract(outside, HOUR),
        lambda: calendar.between(inside, outside),
        lambda: calendar.is_open(outside),
        lambda: calendar.next_open(outside),
    ):
        with pytest.raises(ValueError, match=f"{year}-06-01.* outside the years 1990 to 2099"):
            question()
    with pytest.raises(ValueError, match="outside the years 1990 to 2099"):
        calendar.is_open_us(10**30)


def test_the_first_and_the_last_moment_of_reach() -> None:
    calendar = BusinessCalendar("UTC", ALWAYS)
    first, last = at("1990-01-01"), at("2099-12-31 23:59:59.999999")
    assert calendar.between(first, last) == last - first
    assert calendar.add(last, timedelta.resolution) == at("2100-01-01")
    with pytest.raises(ValueError, match="left before the end of 2099"):
        calendar.add(last, 2 * timedelta.resolution)
    with pytest.raises(ValueError, match="since the start of 1990"):
        calendar.subtract(first, timedelta.resolution)
    with pytest.raises(ValueError, match="left before the end of 2099"):
        calendar.add_business_days(to_instant(last), 1)
