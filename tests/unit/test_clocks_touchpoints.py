"""Sessions that a partner tier was promised: kept, late, skipped, missed. Monday is 2 November."""

from typing import Any

import pytest

from rules.clocks.clock import Clock
from tests.clock_timelines import OFFICE, TOUCHPOINTS, Timeline, policy, shown

BERLIN = {"timezone": "Europe/Berlin", "hours": {"mon-fri": ["09:00-17:00"]}, "holidays": "DE-BE"}


def promised(*touchpoints: dict[str, Any], calendar: Any = OFFICE, **clocks: Any) -> Timeline:
    return Timeline(policy({"touchpoints": list(touchpoints)}, clocks, calendar))


def weekly(**more: Any) -> Timeline:
    return promised({"kind": "check_in", "every": "1w"}, **more)


def held(timeline: Timeline, when: str, kind: str = "check_in", **data: Any) -> Timeline:
    return timeline.say(when, "touchpoint.held", kind=kind, **data)


def row(clock: Clock) -> tuple[str, str, str | None]:
    return clock.cycle, str(clock.state), shown(clock.due)


def rows(timeline: Timeline, as_of: str, since: str = "2026-11-02 00:00") -> list[Any]:
    return [row(clock) for clock in timeline.all(as_of, TOUCHPOINTS, since)]


def test_one_is_owed_in_every_week_by_the_end_of_its_last_working_day() -> None:
    timeline = held(held(weekly(), "2026-11-04 10:00"), "2026-11-05 10:00")
    assert rows(timeline, "2026-11-18 10:00") == [
        ("2026-11-02", "met", "2026-11-07 00:00"),
        ("2026-11-09", "breached", "2026-11-14 00:00"),  # two in one week keep one
        ("2026-11-16", "running", "2026-11-21 00:00"),
    ]


def test_a_session_on_the_saturday_keeps_its_week_late() -> None:
    timeline = held(weekly(), "2026-11-07 10:00")
    (first, second) = timeline.all("2026-11-09 10:00", TOUCHPOINTS, "2026-11-02 00:00")
    assert (first.state, shown(first.stopped_at)) == ("breached", "2026-11-07 10:00")
    assert first.late == 10 * 3_600_000_000
    assert second.state == "running"


def test_nobody_is_held_to_a_week_that_began_before_the_promise_was_watched() -> None:
    assert rows(weekly(), "2026-11-10 10:00", since="2026-11-04 12:00") == [
        ("2026-11-09", "running", "2026-11-14 00:00")
    ]


@pytest.mark.parametrize(
    ("shift", "due"),
    [
        ("before", "2026-12-24 23:00"),  # Thursday's end in Berlin
        ("after", "2026-12-28 23:00"),  # Monday's
        ("none", "2026-12-27 23:00"),  # Sunday's, as the calendar on the wall has it
    ],
)
def test_christmas_shifts_the_due_day_by_the_policys_rule(shift: str, due: str) -> None:
    timeline = weekly(calendar=BERLIN, touchpoint_shift=shift)
    assert rows(timeline, "2026-12-22 10:00", "2026-12-20 23:00") == [
        ("2026-12-21", "running", due)
    ]


def test_shifted_into_the_next_week_it_still_counts_for_its_own() -> None:
    timeline = weekly(calendar=BERLIN, touchpoint_shift="after")
    held(timeline, "2026-12-28 10:00")
    found = rows(timeline, "2026-12-28 12:00", "2026-12-20 23:00")
    assert [state for _, state, _ in found] == ["met", "running"]


def test_a_week_without_a_working_day_owes_nothing() -> None:
    closed = {**OFFICE, "extra_holidays": [f"2026-11-{day:02}" for day in range(9, 14)]}
    found = rows(weekly(calendar=closed), "2026-11-17 10:00", "2026-11-09 00:00")
    assert found == [
        ("2026-11-09", "not applicable", None),
        ("2026-11-16", "running", "2026-11-21 00:00"),
    ]


def test_an_agreed_skip_is_recorded_with_who_agreed() -> None:
    timeline = weekly()
    timeline.say("2026-11-04 10:00", "touchpoint.skipped", kind="check_in", agreed_by="mr-li")
    (clock, _) = timeline.all("2026-11-11 10:00", TOUCHPOINTS, "2026-11-02 00:00")
    assert clock.state == "excused"
    assert clock.excuse is not None
    assert clock.excuse.approver == "mr-li"


def test_a_missed_session_can_be_excused_by_its_clock_id() -> None:
    timeline = weekly().excused("2026-11-09 10:00", "touchpoint:check_in/2026-11-02", "claire",
                                TOUCHPOINTS)  # fmt: skip
    found = timeline.all("2026-11-10 10:00", TOUCHPOINTS, "2026-11-02 00:00")
    assert [str(c.state) for c in found] == ["excused", "running"]


def test_fortnights_and_months_have_their_own_grids() -> None:
    timeline = promised(
        {"kind": "review", "every": "2w", "starting": "2026-11-02"},
        {"kind": "planning", "every": "1mo"},
        {"kind": "quarterly", "every": "3mo"},
    )
    found = timeline.all("2026-12-02 10:00", TOUCHPOINTS, "2026-10-01 00:00")
    assert [(c.metric, c.cycle, shown(c.due)) for c in found] == [
        ("touchpoint:planning", "2026-10-01", "2026-10-31 00:00"),
        ("touchpoint:quarterly", "2026-10-01", "2027-01-01 00:00"),
        ("touchpoint:planning", "2026-11-01", "2026-12-01 00:00"),
        ("touchpoint:review", "2026-11-02", "2026-11-14 00:00"),
        ("touchpoint:review", "2026-11-16", "2026-11-28 00:00"),
        ("touchpoint:review", "2026-11-30", "2026-12-12 00:00"),
        ("touchpoint:planning", "2026-12-01", "2027-01-01 00:00"),
    ]


def test_a_rolling_cadence_counts_from_the_last_session() -> None:
    timeline = promised({"kind": "check_in", "every": "1w", "anchor": "rolling"})
    held(held(timeline, "2026-11-05 10:00"), "2026-11-13 15:00")
    found = timeline.all("2026-11-14 10:00", TOUCHPOINTS, "2026-11-02 09:00")
    assert [(str(c.state), shown(c.due), shown(c.stopped_at)) for c in found] == [
        ("met", "2026-11-10 00:00", "2026-11-05 10:00"),
        ("breached", "2026-11-13 00:00", "2026-11-13 15:00"),
        ("running", "2026-11-21 00:00", None),
    ]


def test_a_day_without_a_time_counts_for_that_day() -> None:
    timeline = held(weekly(), "2026-11-09 08:00", held_at="2026-11-08")  # Sunday's, told on Monday
    (first, second) = timeline.all("2026-11-09 10:00", TOUCHPOINTS, "2026-11-02 00:00")
    assert (first.state, second.state) == ("breached", "running")
    today = held(weekly(), "2026-11-06 15:00", held_at="2026-11-06")
    assert rows(today, "2026-11-06 16:00")[0][1] == "met"


def test_a_partner_that_moves_to_a_tier_without_it_is_owed_it_no_more() -> None:
    dated = [
        {"tier": "strategic", "since": "2026-01-01"},
        {"tier": "standard", "since": "2026-11-11"},
    ]
    promised_to = {
        "strategic": {"touchpoints": [{"kind": "check_in", "every": "1w"}]},
        "standard": {"touchpoints": [{"kind": "mail", "every": "1w"}]},
    }
    timeline = Timeline(policy(promised_to), tier=dated)
    found = timeline.all("2026-11-25 10:00", TOUCHPOINTS, "2026-11-02 00:00")
    assert [(c.metric, c.cycle, str(c.state)) for c in found] == [
        ("touchpoint:check_in", "2026-11-02", "breached"),
        ("touchpoint:check_in", "2026-11-09", "cancelled"),
        ("touchpoint:mail", "2026-11-16", "breached"),
        ("touchpoint:mail", "2026-11-23", "running"),
    ]


def test_sessions_of_other_kinds_keep_nothing() -> None:
    assert (
        rows(held(weekly(), "2026-11-04 10:00", "dinner"), "2026-11-09 00:01")[0][1] == "breached"
    )


def test_a_shift_does_not_reach_back_before_its_period() -> None:
    closed = {**OFFICE, "extra_holidays": [f"2026-11-{day:02}" for day in (4, 5, 6, 9, 10)]}
    wednesdays = {"kind": "check_in", "every": "1w", "starting": "2026-11-04"}
    found = rows(promised(wednesdays, calendar=closed), "2026-11-12 10:00", "2026-11-04 00:00")
    assert found[0] == ("2026-11-04", "not applicable", None)
