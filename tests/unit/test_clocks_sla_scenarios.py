"""Scenarios from other systems' tests and documents, told in our events and under our policy.

What each source calls a state, a target or an update is translated below; where we decide
otherwise than a source, the test says so by name.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rules.clocks.warning_times import warnings
from schemas.policy import Clocks
from schemas.time import SECOND, to_instant
from schemas.units import parse_lead
from tests.clock_timelines import Timeline, at, policy, shown

_FILE = Path(__file__).resolve().parents[1] / "facts" / "sla_scenarios.json"
SCENARIOS: dict[str, dict[str, Any]] = {
    s["id"]: s for s in json.loads(_FILE.read_text(encoding="utf-8"))
}

#: The sources' names for what pauses, settles and continues a ticket.
STATES = {
    "closed": "closed",
    "resolved": "resolved",
    "open": "open",
    "InProgress": "open",
    "ASSIGNED": "open",
    "OnHold": "waiting_on_partner",
    "WAITING": "waiting_on_partner",
    "pending": "waiting_on_partner",
}
METRICS = {
    "first_response": "first_response",
    "time_to_own": "first_response",
    "next_update": "next_response",
    "resolution": "resolution",
    "cadence_update": "status_update",
}


def calendar(scenario: dict[str, Any]) -> dict[str, Any]:
    given = scenario["calendar"]
    hours = {day: [f"{a}-{b}" for a, b in spans] for day, spans in given["hours"].items()}
    return {"timezone": given["tz"], "hours": hours, "extra_holidays": given["holidays"]}


def minutes(value: Any) -> str:
    """Sources count minutes of their calendar; `1bh` is an hour of ours."""
    amount = value["minutes"] if isinstance(value, dict) else value
    return f"{amount / 60:.10f}".rstrip("0").rstrip(".") + "bh"


def told(scenario: dict[str, Any]) -> Timeline:
    """The scenario as a ticket of our own."""
    given = scenario["policy"]
    events = list(scenario["events"])
    promised: dict[str, Any] = {}
    overrides: list[dict[str, Any]] = []
    for name, metric in METRICS.items():
        target = given.get(name)
        if isinstance(target, dict) and "minutes" not in target:
            overrides += [
                {"when": {"severity": severity}, metric: minutes(value)}
                for severity, value in target.items()
            ]
        elif target is not None and "condition" in given:
            wanted = given["condition"].removeprefix("priority = ")
            overrides.append({"when": {"severity": wanted}, metric: minutes(target)})
        elif target is not None:
            promised[metric] = minutes(target)
    if "resolution_due" in given:  # no target is given, only the due time: 16 hours earlier
        promised["resolution"] = "16bh"
        events.insert(0, {"at": "2024-01-15T00:00Z", "type": "created"})
    # Of the sources, GLPI alone says that a wait leaves the first answer's clock running.
    pauses = ["resolution"] + ([] if "time_to_own" in given else ["first_response"])
    clocks = {
        "pause": pauses,
        "status_update": "grid" if given.get("mode") == "fixed_grid" else "rolling",
        "warn": [f"{n}min" for n in given.get("warnings_minutes_before", [])],
    }
    timeline = Timeline(policy({**promised, "overrides": overrides}, clocks, calendar(scenario)))
    for event in events:
        say(timeline, event)
    return timeline


def say(timeline: Timeline, event: dict[str, Any]) -> None:
    when = event["at"]
    match event["type"]:
        case "created":
            timeline.opened(when, severity=event.get("priority"))
        case "state":
            timeline.status(when, STATES[event["to"]])
        case "priority":
            timeline.status(when, "open", severity=event["to"])
        case "agent_reply" | "agent_update":
            timeline.us(when)
        case "policy_change":
            timeline.say(when, "case.moved", case_id="C-000000000000", actor="anna")
        case "evaluate":
            pass  # when somebody looks makes no difference
        case other:
            raise AssertionError(f"unknown event {other!r}")


def instant(text: str) -> int:
    return to_instant(datetime.fromisoformat(text))


#: Warnings, variants of a scenario and clocks that are gone have tests of their own below.
APART = {"warning#1", "warning#2", "resolution.if_hold_were_09:30-10:00"}
EXPECTED = [
    pytest.param(name, n, id=f"{name}-{n}-{expected['metric']}")
    for name, scenario in SCENARIOS.items()
    for n, expected in enumerate(scenario["expect"])
    if expected["metric"] not in APART and expected.get("due", "any") is not None
]


@pytest.mark.parametrize(("name", "n"), EXPECTED)
def test_the_source_s_expectation_holds(name: str, n: int) -> None:
    scenario = SCENARIOS[name]
    expected = scenario["expect"][n]
    metric, _, cycle = expected["metric"].replace("cadence", "cadence_update").partition("#")
    as_of = expected.get("as_of", scenario["events"][-1]["at"])
    clock = told(scenario).clock(METRICS[metric], as_of, cycle or "1")

    for field in expected.keys() - {"metric", "as_of", "warning"}:
        wanted = expected[field]
        match field:
            case "due":
                assert clock.due == instant(wanted)
            case "due_next_open":
                assert clock.next_open_due == instant(wanted)
            case "state":
                assert clock.state == wanted
            case "breached":
                assert (clock.breached_at is not None) == wanted
            case "breached_at":
                assert clock.breached_at == instant(wanted)
            case "elapsed_minutes":
                assert clock.spent == wanted * 60 * SECOND
            case "remaining_minutes" | "margin_minutes":
                assert clock.budget is not None
                assert clock.budget - clock.spent == wanted * 60 * SECOND
            case "hold_seconds":
                assert clock.held_up == wanted * SECOND
            case _:
                raise AssertionError(f"nothing checks {field!r}")


def test_every_scenario_is_told_and_checked() -> None:
    assert {param.values[0] for param in EXPECTED} == set(SCENARIOS)
    assert len(SCENARIOS) == 14


def test_dynamics_a_hold_inside_hours_extends_by_that_much() -> None:
    scenario = json.loads(json.dumps(SCENARIOS["dynamics-hold-outside-hours"]))
    scenario["events"][1]["at"] = "2024-01-15T09:30Z"
    scenario["events"][2]["at"] = "2024-01-15T10:00Z"
    clock = told(scenario).clock("resolution", "2024-01-15T10:00Z")
    assert clock.due == instant(scenario["expect"][1]["due"])


def test_glpi_each_level_warns_once_at_its_time() -> None:
    scenario = SCENARIOS["glpi-escalation-levels"]
    timeline = told(scenario)
    settings = timeline.world.policies.newest.document.clocks
    clock = timeline.clock("resolution", "2025-05-26T10:00Z")
    wanted = [instant(e["fires_at"]) for e in scenario["expect"] if "fires_at" in e]
    assert [warn.at for warn in warnings(clock, settings)] == wanted


def test_glpi_a_warning_moves_with_the_pause() -> None:
    scenario = SCENARIOS["glpi-pause-then-policy-and-calendar-change"]
    timeline = told(scenario)
    settings = timeline.world.policies.newest.document.clocks
    clock = timeline.clock("resolution", scenario["expect"][0]["as_of"])
    assert [w.at for w in warnings(clock, settings)] == [instant(scenario["expect"][0]["warning"])]


def test_glpi_the_pause_survives_a_real_change_of_policy_and_calendar() -> None:
    """As the scenario tells it: a policy of four hours around the clock gives way to this one."""
    scenario = SCENARIOS["glpi-pause-then-policy-and-calendar-change"]
    before = policy({"resolution": "4h"})
    after = policy({"resolution": "6bh"}, calendar=calendar(scenario))
    timeline = Timeline(before, ("2034-08-16 13:05", after))
    for event in scenario["events"]:
        say(timeline, event)
    assert shown(timeline.clock("resolution", "2034-08-16 13:09").due) == "2034-08-16 17:09"
    assert shown(timeline.clock("resolution", "2034-08-16 13:10").due) == "2034-08-17 08:10"


def test_servicenow_a_budget_that_was_gone_already_is_breached_retroactively() -> None:
    """The lesson of the scenario, with a target of two hours."""
    scenario = json.loads(json.dumps(SCENARIOS["servicenow-retroactive-start"]))
    scenario["policy"]["resolution"]["P1"] = 120
    clock = told(scenario).clock("resolution", "2024-02-05T03:00:01Z")
    assert (clock.state, shown(clock.breached_at)) == ("breached", "2024-02-05 02:00")
    assert clock.retroactive
    assert clock.recorded_at == at("2024-02-05 03:00")
    assert warnings(clock, Clocks(warn=(parse_lead("75%"),))) == []


def test_zammad_what_no_policy_covers_any_more_is_cancelled_and_stays_in_history() -> None:
    scenario = SCENARIOS["zammad-policy-no-longer-matches"]
    timeline = told(scenario)
    assert {c.metric for c in timeline.all("2013-03-21T09:30Z")} == {"first_response", "resolution"}
    # An update falls due only after a question: no clock of it exists, which is their null.
    after = timeline.all("2013-03-21T09:45Z")
    assert {str(c.state) for c in after} == {"cancelled"}
    assert {c.due for c in after} == {None}
    assert {c.reason for c in after} == {"no longer promised"}
    assert {shown(c.stopped_at) for c in after} == {"2013-03-21 09:45"}


def test_chatwoot_late_is_late_whenever_the_job_runs_which_chatwoot_itself_calls_a_hit() -> None:
    scenario = SCENARIOS["chatwoot-polling-hole"]
    assert scenario["alternates"][0]["state"] == "hit"
    clock = told(scenario).clock("resolution", "2024-02-05T23:00Z")
    assert (clock.state, clock.late) == ("breached", 60 * SECOND)


def test_zammad_a_budget_that_ends_at_closing_is_due_at_the_closing_instant() -> None:
    """Current Zammad says the next opening; the calendar's convention here is the closing."""
    scenario = SCENARIOS["zammad-pause-then-exact-close"]
    theirs = scenario["alternates"][0]["due"]
    clock = told(scenario).clock("first_response", "2013-06-04T15:00Z")
    assert clock.due != instant(theirs) == clock.next_open_due
