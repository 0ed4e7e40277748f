"""Warnings before a breach, stale pauses, and the list before a weekend."""

from typing import Any

import pytest

from rules.clocks.warning_times import Warn, before_closure, warnings
from schemas.units import parse_lead, parse_span
from tests.clock_timelines import ALWAYS, OFFICE, Timeline, at, policy, shown


def told(
    promised: Any, calendar: Any = ALWAYS, opened: str = "2026-11-02 10:00", **clocks: Any
) -> Timeline:
    return Timeline(policy(promised, clocks, calendar)).opened(opened)


def of(timeline: Timeline, metric: str, as_of: str) -> list[tuple[str, str | None]]:
    settings = timeline.world.policies.newest.document.clocks
    return [(w.level, shown(w.at)) for w in warnings(timeline.clock(metric, as_of), settings)]


def test_several_levels_in_percent_and_in_business_time() -> None:
    timeline = told({"resolution": "8bh"}, OFFICE, warn=["50%", "75%", "1bh"])
    assert of(timeline, "resolution", "2026-11-02 10:00") == [
        ("50%", "2026-11-02 14:00"),
        ("75%", "2026-11-02 16:00"),
        ("1bh", "2026-11-03 09:00"),
    ]


def test_real_time_and_whole_days_before() -> None:
    timeline = told({"resolution": "3bd"}, OFFICE, warn=["30min", "1bd"])
    assert of(timeline, "resolution", "2026-11-02 10:00") == [
        ("1bd", "2026-11-04 10:00"),
        ("30min", "2026-11-05 09:30"),
    ]


def test_a_level_longer_than_the_budget_is_left_out() -> None:
    assert of(told({"resolution": "1h"}, warn=["2h"]), "resolution", "2026-11-02 10:00") == []


def test_a_level_that_was_given_stays_when_a_pause_follows_and_later_ones_move() -> None:
    timeline = told({"resolution": "4h"}, warn=["50%", "75%"])
    timeline.status("2026-11-02 12:30", "waiting_on_partner")
    assert of(timeline, "resolution", "2026-11-02 15:00") == [("50%", "2026-11-02 12:00")]
    timeline.status("2026-11-02 22:30", "open")
    assert of(timeline, "resolution", "2026-11-02 22:40") == [
        ("50%", "2026-11-02 12:00"),
        ("75%", "2026-11-02 23:00"),
    ]


def test_what_is_kept_first_needs_no_warning() -> None:
    timeline = told({"first_response": "4h"}, warn=["50%", "75%"]).us("2026-11-02 12:30")
    assert of(timeline, "first_response", "2026-11-02 20:00") == [("50%", "2026-11-02 12:00")]


def test_a_warning_has_one_key_however_often_and_whenever_it_is_worked_out() -> None:
    timeline = told({"resolution": "4h"}, warn=["50%"])
    settings = timeline.world.policies.newest.document.clocks

    def keys(as_of: str) -> list[str]:
        return [w.key for w in warnings(timeline.clock("resolution", as_of), settings)]

    first = keys("2026-11-02 11:00")
    timeline.status("2026-11-02 11:30", "waiting_on_partner").status("2026-11-02 13:00", "open")
    assert keys("2026-11-02 13:30") == first
    assert first[0].endswith("/resolution/1/50%")


def test_a_stale_pause_is_warned_about_once_each() -> None:
    timeline = told({"resolution": "9d"}, stale_pause_after="2d")
    timeline.status("2026-11-02 12:00", "waiting_on_partner").status("2026-11-05 12:00", "open")
    timeline.status("2026-11-06 12:00", "waiting_on_partner").status("2026-11-06 13:00", "open")
    timeline.status("2026-11-07 12:00", "waiting_on_partner")
    assert of(timeline, "resolution", "2026-11-10 12:00") == [
        ("stale pause 1", "2026-11-04 12:00"),
        ("stale pause 3", "2026-11-09 12:00"),
    ]


@pytest.mark.parametrize("text", ["0%", "100%", "1mo", "soon"])
def test_a_lead_that_makes_no_warning_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"75%|budget"):
        parse_lead(text)


def test_the_policy_says_where_a_lead_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"clocks\.warn\.0\n.*'soon' is no time to warn"):
        policy({}, {"warn": ["soon"]})


def closing(timeline: Timeline, when: str) -> dict[str, tuple[list[str], list[str]]]:
    calendar = timeline.world.policies.newest.default_calendar
    lists = before_closure(timeline.all(when), calendar, at(when), parse_span("4bh"))
    return {
        holder: ([c.key for c in x.unanswered], [c.key for c in x.due_soon])
        for holder, x in lists.items()
    }


def test_on_friday_each_owner_gets_what_is_unanswered_and_what_falls_due_on_monday_morning() -> (
    None
):
    promised = {"first_response": "3bd", "resolution": "5bh"}
    timeline = told(promised, OFFICE, opened="2026-11-06 14:00")  # Friday; solved by Monday 11:00
    assert closing(timeline, "2026-11-06 15:00") == {
        "account_manager": (["first_response/1"], ["resolution/1"])
    }
    timeline.us("2026-11-06 15:30")
    timeline.say("2026-11-06 15:40", "case.assigned", case_id="C-0", actor="anna", to="anna")
    assert closing(timeline, "2026-11-06 16:00") == {"anna": ([], ["resolution/1"])}


@pytest.mark.parametrize("when", ["2026-11-05 15:00", "2026-11-07 15:00"])
def test_on_other_days_there_is_no_list(when: str) -> None:
    assert closing(told({"first_response": "9bd"}, OFFICE), when) == {}


def test_the_day_before_a_holiday_is_such_a_day_too() -> None:
    closed = {**OFFICE, "extra_holidays": ["2026-11-04"]}
    timeline = told({"first_response": "9bd"}, closed)
    assert closing(timeline, "2026-11-03 15:00") == {"account_manager": (["first_response/1"], [])}


def test_a_warning_goes_to_whoever_can_still_act() -> None:
    timeline = told({"resolution": "4h"}, warn=["50%"])
    timeline.say("2026-11-02 11:00", "case.assigned", case_id="C-0", actor="anna", to="bert")
    settings = timeline.world.policies.newest.document.clocks
    (found,) = warnings(timeline.clock("resolution", "2026-11-02 11:30"), settings)
    assert isinstance(found, Warn)
    assert (found.clock.holder, shown(found.clock.due_if_silent)) == ("bert", "2026-11-02 14:00")


def test_what_is_kept_at_the_very_time_of_a_warning_needs_none() -> None:
    timeline = told({"first_response": "4h"}, warn=["50%"]).us("2026-11-02 12:00")
    assert of(timeline, "first_response", "2026-11-02 20:00") == []
