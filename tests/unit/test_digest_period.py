"""Periods of reports: ISO weeks at the turn of the year and of the clocks, and when one is due."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from rules.digest.period import read_period, week_at, week_of_day
from schemas.policy import DigestIssue, ScorecardIssue
from schemas.time import HOUR, iso, to_instant
from streams.issuing import digest_due, scorecards_due

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(text: str) -> int:
    return to_instant(datetime.fromisoformat(text).replace(tzinfo=BERLIN))


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [
        ("2026-W47", date(2026, 11, 16), date(2026, 11, 22)),
        ("2026-W53", date(2026, 12, 28), date(2027, 1, 3)),
        ("2026-W01", date(2025, 12, 29), date(2026, 1, 4)),
        ("2020-w53", date(2020, 12, 28), date(2021, 1, 3)),
    ],
)
def test_a_week_is_the_iso_week(key: str, first: date, last: date) -> None:
    week = read_period(key, BERLIN)
    assert (week.key, week.first, week.last) == (key.upper(), first, last)
    assert {week_of_day(day, BERLIN) for day in (first, last)} == {week}


def test_weeks_follow_each_other_over_the_turn_of_the_year() -> None:
    week = read_period("2027-W01", BERLIN)
    assert [w.key for w in week.before()] == ["2026-W50", "2026-W51", "2026-W52", "2026-W53"]
    assert [w.end for w in week.before()[-1:]] == [week.begin]


@pytest.mark.parametrize(("key", "hours"), [("2026-W13", 167), ("2026-W43", 169)])
def test_a_week_in_which_the_clocks_change_is_an_hour_shorter_or_longer(
    key: str, hours: int
) -> None:
    week = read_period(key, BERLIN)
    assert week.end - week.begin == hours * HOUR
    assert week_at(week.end - 1, BERLIN) == week


def test_it_is_called_by_its_days() -> None:
    assert read_period("2026-W47", BERLIN).label == "16 to 22 November 2026 (week 47)"
    assert read_period("2026-W49", BERLIN).label == "30 November to 6 December 2026 (week 49)"
    expected = "28 December 2026 to 3 January 2027 (week 53)"
    assert read_period("2026-W53", BERLIN).label == expected


@pytest.mark.parametrize(
    ("now", "due", "key"),
    [
        ("2026-11-23T06:59", "2026-11-16T06:00:00Z", "2026-W46"),
        ("2026-11-23T07:00", "2026-11-23T06:00:00Z", "2026-W47"),
        ("2026-11-29T23:59", "2026-11-23T06:00:00Z", "2026-W47"),
        ("2027-01-04T07:00", "2027-01-04T06:00:00Z", "2026-W53"),
        ("2026-10-26T07:00", "2026-10-26T06:00:00Z", "2026-W43"),  # winter time since Sunday
    ],
)
def test_the_digest_of_the_week_before_is_due(now: str, due: str, key: str) -> None:
    issue = DigestIssue.model_validate({"to": ["executive_sponsor"]})
    at, week = digest_due(issue, BERLIN, berlin(now))  # type: ignore[arg-type]  # an instant
    assert (iso(at), week.key) == (due, key)


def test_an_hour_that_the_clocks_skip_is_the_next_one() -> None:
    issue = DigestIssue.model_validate({"day": "sun", "at": "02:30", "to": ["executive_sponsor"]})
    at, week = digest_due(issue, BERLIN, berlin("2026-03-29T12:00"))  # type: ignore[arg-type]
    assert (iso(at, BERLIN)[11:16], week.key) == ("03:30", "2026-W12")


@pytest.mark.parametrize(
    ("now", "key"),
    [
        ("2026-11-02T06:59", "2026-09"),
        ("2026-11-02T07:00", "2026-10"),
        ("2027-01-01T12:00", "2026-11"),
        ("2027-01-02T07:00", "2026-12"),
    ],
)
def test_scorecards_of_the_month_before_are_due(now: str, key: str) -> None:
    _, month = scorecards_due(ScorecardIssue(), BERLIN, berlin(now))  # type: ignore[arg-type]
    assert month.key == key
