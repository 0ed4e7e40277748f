"""Which commitment wins, and what a change of severity, category, tier or policy does."""

from typing import Any

import pytest

from rules.policy import PolicyError
from tests.clock_timelines import ALWAYS, Timeline, by_key, policy, shown

TIERED = {
    "strategic": {
        "resolution": "24h",
        "first_response": "2h",
        "overrides": [
            {"when": {"severity": "high", "category": ["quality", "damage"]}, "resolution": "4h"},
            {"when": {"severity": "high"}, "resolution": "8h", "first_response": "1h"},
            {"when": {"severity": "trivial"}, "without": ["resolution"]},
        ],
    },
    "standard": {"resolution": "72h"},
}


def told(tier: Any = "strategic", **opened: Any) -> Timeline:
    timeline = Timeline(policy(TIERED, calendar=ALWAYS), tier=tier)
    return timeline.opened("2026-11-02 10:00", **opened)


@pytest.mark.parametrize(
    ("traits", "winner", "due"),
    [
        ({}, "commitments.strategic.resolution", "2026-11-03 10:00"),
        (
            {"severity": "high"},
            "commitments.strategic.overrides[0].resolution",
            "2026-11-02 14:00",
        ),
        (
            {"severity": "high", "category": "delay"},
            "commitments.strategic.overrides[1].resolution",
            "2026-11-02 18:00",
        ),
        ({"severity": "low"}, "commitments.strategic.resolution", "2026-11-03 10:00"),
    ],
)
def test_the_first_override_listed_that_speaks_of_the_metric_wins(
    traits: dict[str, str], winner: str, due: str
) -> None:
    clock = told(**traits).clock("resolution", "2026-11-02 11:00")
    assert clock.target is not None
    assert (clock.target.winner, shown(clock.due)) == (winner, due)


def test_each_metric_has_its_own_winner_with_the_reason() -> None:
    clock = told(severity="high").clock("first_response", "2026-11-02 10:30")
    assert clock.target is not None
    assert clock.target.winner == "commitments.strategic.overrides[1].first_response"
    assert clock.target.why == (
        "the first override of strategic that matches category quality, severity high"
    )
    assert clock.target.tickets == "severity high"
    both = told(severity="high").clock("resolution", "2026-11-02 10:30").target
    assert both is not None
    assert both.tickets == "category quality or damage, severity high"
    base = told().clock("first_response", "2026-11-02 10:30").target
    assert base is not None
    assert base.why == (
        "what strategic partners are promised; "
        "no override speaks of it for category quality, severity unknown"
    )


def test_without_is_not_applicable_and_nothing_promised_is_no_clock() -> None:
    found = by_key(told(severity="trivial").all("2026-11-09 10:00"))
    assert found["resolution/1"].state == "not applicable"
    assert "next_response/1" not in found


def test_a_milder_severity_gives_time_back_and_is_no_breach() -> None:
    timeline = told(severity="high").status("2026-11-02 13:00", "open", severity="low")
    clock = timeline.clock("resolution", "2026-11-02 20:00")
    assert (clock.state, shown(clock.due)) == ("running", "2026-11-03 10:00")


def test_a_milder_severity_after_the_breach_does_not_unmake_it() -> None:
    timeline = told(severity="high").status("2026-11-02 14:01", "open", severity="low")
    clock = timeline.clock("resolution", "2026-11-02 20:00")
    assert (clock.state, shown(clock.breached_at)) == ("breached", "2026-11-02 14:00")
    assert not clock.retroactive


def test_a_breach_stays_one_when_the_severity_rises_later() -> None:
    timeline = told(severity="low").status("2026-11-03 11:00", "open", severity="high")
    clock = timeline.clock("resolution", "2026-11-03 12:00")
    assert shown(clock.breached_at) == "2026-11-03 10:00"
    assert [c.state for c in timeline.all("2026-11-03 12:00") if c.metric == "resolution"] == [
        "breached"
    ]


def test_a_change_after_the_end_changes_nothing() -> None:
    timeline = told(severity="low").status("2026-11-02 20:00", "resolved")
    timeline.status("2026-11-02 21:00", "closed", severity="high")
    assert timeline.clock("resolution", "2026-11-05 10:00").state == "met"


def test_what_was_spent_and_paused_survives_a_change() -> None:
    timeline = told(severity="low").status("2026-11-02 11:00", "waiting_on_partner")
    timeline.status("2026-11-02 19:00", "open", severity="high")
    clock = timeline.clock("resolution", "2026-11-02 20:00")
    assert (clock.state, shown(clock.due)) == ("running", "2026-11-02 22:00")
    assert clock.spent == 2 * 3_600_000_000


def test_the_partners_tier_holds_from_its_day() -> None:
    dated = [
        {"tier": "standard", "since": "2026-01-01"},
        {"tier": "strategic", "since": "2026-11-03"},
    ]
    timeline = told(dated)
    before = timeline.clock("resolution", "2026-11-02 20:00")
    assert (before.partner_tier, shown(before.due)) == ("standard", "2026-11-05 10:00")
    after = timeline.clock("resolution", "2026-11-03 00:00")
    assert (after.partner_tier, shown(after.due)) == ("strategic", "2026-11-03 10:00")
    # Promised only from then on, but counted from the start: gone by the time that it came.
    first = timeline.clock("first_response", "2026-11-03 00:01")
    assert (first.state, first.retroactive) == ("breached", True)
    assert shown(first.breached_at) == "2026-11-02 12:00"


def test_a_new_policy_reaches_a_ticket_only_when_its_case_is_moved() -> None:
    old, new = policy({"resolution": "24h"}, calendar=ALWAYS), policy({"resolution": "6h"})
    timeline = Timeline(old, ("2026-11-02 12:00", new)).opened("2026-11-02 10:00")
    assert shown(timeline.clock("resolution", "2026-11-02 13:00").due) == "2026-11-03 10:00"
    timeline.say("2026-11-02 14:00", "case.moved", case_id="C-0", actor="claire")
    assert shown(timeline.clock("resolution", "2026-11-02 14:00").due) == "2026-11-02 16:00"
    assert shown(timeline.clock("resolution", "2026-11-02 13:00").due) == "2026-11-03 10:00"


@pytest.mark.parametrize(
    ("promised", "path", "message"),
    [
        ({"resolution": "0h"}, ("resolution",), "longer than no time"),
        (
            {"overrides": [{"when": {}, "resolution": "1h"}]},
            ("overrides", 0, "when"),
            "which tickets",
        ),
        ({"overrides": [{"when": {"severity": "x"}}]}, ("overrides", 0), "changes nothing"),
        (
            {
                "overrides": [
                    {"when": {"severity": "x"}, "resolution": "1h", "without": ["resolution"]}
                ]
            },
            ("overrides", 0, "resolution"),
            "`without`",
        ),
        (
            {"touchpoints": [{"kind": "call", "every": "5bd"}]},
            ("touchpoints", 0, "every"),
            "no grid",
        ),
        (
            {"touchpoints": [{"kind": "call", "every": "1w"}, {"kind": "call", "every": "1mo"}]},
            ("touchpoints",),
            "twice",
        ),
    ],
)
def test_commitments_that_cannot_be_kept_or_meant_are_refused(
    promised: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    with pytest.raises(PolicyError) as refused:
        policy(promised)
    (problem,) = refused.value.problems
    assert problem.path == ("commitments", "strategic", *path)
    assert message in problem.message


def test_a_breach_after_the_change_is_a_live_one() -> None:
    timeline = told(severity="low").status("2026-11-02 12:00", "open", severity="high")
    clock = timeline.clock("resolution", "2026-11-02 20:00")
    assert (shown(clock.breached_at), clock.retroactive) == ("2026-11-02 14:00", False)
