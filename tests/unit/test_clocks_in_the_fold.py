"""Clocks inside a case's fold: their breaches open cases, and silence is asked about in time."""

from typing import Any

from rules.decision import State
from rules.story import Folded, fold
from rules.subjects import Document
from rules.world import Horizon
from tests.clock_timelines import ALWAYS, TICKET, Timeline, at, policy, shown

RULES = [
    {"name": "late", "when": {"breach": ["resolution", "first_response"]}, "open_at": "frontline"}
]


def told(promised: Any, tier: Any = "strategic", **clocks: Any) -> Timeline:
    compiled = policy(promised, clocks, ALWAYS, rules=RULES)
    return Timeline(compiled, tier=tier).opened("2026-11-02 10:00")


def folded(timeline: Timeline, now: str) -> Folded:
    document = Document(timeline.contributions, {}, [])
    horizon = Horizon.everything_until(at(now))
    return fold(TICKET, document, timeline.world, horizon, at(now), virtual=True)


def opened(timeline: Timeline, now: str) -> tuple[str | None, list[str]]:
    """When the case was opened, and the arithmetic."""
    case = folded(timeline, now).case
    if case is None or case.state is not State.OPEN:
        return None, []
    return shown(case.opened_at), [case.headline]


def test_silence_past_the_due_time_opens_the_case_at_the_due_time() -> None:
    when, (headline,) = opened(told({"first_response": "2h"}), "2026-11-02 12:30")
    assert when == "2026-11-02 12:00"
    assert "first response was due 2026-11-02 12:00 UTC and had not come" in headline


def test_until_then_the_subject_asks_to_be_woken() -> None:
    found = folded(told({"first_response": "2h"}), "2026-11-02 11:00")
    assert (found.case, shown(found.feeds_due)) == (None, "2026-11-02 12:00")


def test_a_paused_clock_asks_for_nothing_unless_the_pause_has_a_cap() -> None:
    waiting = told({"resolution": "2h"}).status("2026-11-02 11:00", "waiting_on_partner")
    assert folded(waiting, "2026-11-02 11:30").feeds_due is None
    capped = told({"resolution": "2h"}, pause_at_most="5h")
    capped.status("2026-11-02 11:00", "waiting_on_partner")
    assert shown(folded(capped, "2026-11-02 11:30").feeds_due) == "2026-11-02 17:00"
    assert opened(capped, "2026-11-02 18:00")[0] == "2026-11-02 17:00"


def test_what_was_excused_before_it_fell_due_opens_nothing() -> None:
    timeline = told({"first_response": "2h"})
    timeline.excused("2026-11-02 11:00", "first_response/1", "claire")
    assert folded(timeline, "2026-11-05 11:00").case is None


def test_the_day_on_which_the_partners_tier_changes_is_judged_without_any_event() -> None:
    dated = [
        {"tier": "standard", "since": "2026-01-01"},
        {"tier": "strategic", "since": "2026-11-03"},
    ]
    timeline = told({"strategic": {"resolution": "4h"}, "standard": {"resolution": "72h"}}, dated)
    assert shown(folded(timeline, "2026-11-02 23:00").feeds_due) == "2026-11-03 00:00"
    when, (headline,) = opened(timeline, "2026-11-03 01:00")
    assert when == "2026-11-03 00:00"
    assert "by terms that changed later" in headline


def test_the_receipt_says_that_the_partner_had_to_ask_again() -> None:
    timeline = told({"first_response": "2h"}).partner("2026-11-02 11:00")
    timeline.partner("2026-11-02 11:30")
    assert "partner asked again 2 times" in opened(timeline, "2026-11-02 13:00")[1][0]


def test_a_case_that_is_moved_is_held_to_the_new_commitments() -> None:
    first = policy({"first_response": "1h", "resolution": "48h"}, {}, ALWAYS, rules=RULES)
    second = policy(
        {"first_response": "1h", "resolution": "3h"}, {}, ALWAYS, rules=RULES, digest="2"
    )
    timeline = Timeline(first, ("2026-11-02 12:00", second)).opened("2026-11-02 10:00")
    before = folded(timeline, "2026-11-02 15:00")
    assert "resolution" not in str([step.receipt for step in before.steps])
    timeline.say("2026-11-02 14:00", "case.moved", case_id="C-0", actor="claire")
    clock = timeline.clock("resolution", "2026-11-02 15:00")
    assert (clock.state, clock.retroactive) == ("breached", True)
