"""A new policy holds from its day on; what was decided before stays decided."""

from rules.decision import State
from tests.harness import (
    Moved,
    NoCase,
    Notified,
    Opened,
    Stands,
    Timeline,
    impacted,
    ladders,
    rules,
)

STRICTER = [{"name": "any-delay", "when": {"delay": "> 2h"}, "open_at": "frontline"}]
LENIENT = [{"name": "order-impact", "when": {"impact": "> 50%"}, "open_at": "management"}]


def test_what_crossed_a_rule_while_it_was_in_force_stays(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="20"))
    story.advance(minutes=10)
    story.ack("PO-1", by="claire")
    story.skip()
    story.new_policy("2026-11-02 10:00", rules=LENIENT)
    story.at("2026-11-02 11:00")
    story.given(impacted("PO-1", "damaged", quantity="1"))
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, "management"))
    story.expect_silence()


def test_from_its_day_on_the_new_rules_decide(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.new_policy("2026-11-03 00:00", rules=LENIENT)
    story.order("PO-1", promised="2026-12-01")
    story.order("PO-2", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="20"))
    story.expect(Opened("PO-1", "management"))
    story.at("2026-11-03 09:00")
    story.given(impacted("PO-2", "damaged", quantity="20"))
    story.expect(NoCase("PO-2"))


def test_what_is_heard_of_late_is_judged_by_the_rules_of_its_time(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.new_policy("2026-11-03 00:00", rules=LENIENT)
    story.at("2026-11-04 09:00")
    story.given(impacted("PO-1", "damaged", quantity="20")._replace(at="2026-11-02 10:00"))
    story.expect(Opened("PO-1", "management", "2026-11-02 10:00", why="> 5 %"))


def test_silence_that_goes_on_is_judged_by_a_new_rule_when_it_begins(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.new_policy("2026-11-03 18:00", rules=[*STRICTER, *rules("late-delivery")])
    story.at("2026-11-03 17:59")
    story.expect(NoCase("PO-1"))
    story.at("2026-11-03 19:00")
    story.expect(Opened("PO-1", "frontline", "2026-11-03 18:00", why="any-delay"))


def test_silence_is_measured_by_the_rules_in_force_when_it_gets_too_long(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 17:00")
    story.new_policy("2026-11-03 18:00", rules=STRICTER)
    story.at("2026-11-03 19:00")
    story.expect(NoCase("PO-1"))
    story.advance(minutes=1)
    story.expect(Opened("PO-1", "frontline", "2026-11-03 19:00", why="over 2 h late > 2h"))


def test_what_is_over_is_not_judged_anew(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.new_policy("2026-11-04 18:00", rules=STRICTER)
    story.at("2026-11-03 14:00")
    story.delivered("PO-1")  # four hours late, which nobody minded then
    story.at("2026-11-06 09:00")
    story.expect(NoCase("PO-1"))


def test_a_case_keeps_its_clocks_until_it_is_moved_to_the_new_policy(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="20"))
    story.advance(minutes=10)
    quicker = ladders(management={"acknowledge_within": "1bh"})
    story.new_policy("2026-11-02 09:20", ladders=quicker)
    story.advance(minutes=20)
    story.expect(Stands("PO-1", State.OPEN, due="2026-11-02 11:00"))
    story.command("moved", "PO-1", by="opsdesk")
    story.expect(
        Opened("PO-1", "management", "2026-11-02 09:00"),
        Notified("management"),
        Moved("PO-1", by="opsdesk"),
        Stands("PO-1", State.OPEN, "management", due="2026-11-02 10:00"),
    )
    assert [s.policy for s in story.steps("PO-1")] == ["policy-1", "policy-2"]


def test_nobody_is_late_by_a_policy_that_comes_later(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="20"))
    quicker = ladders(management={"acknowledge_within": "1bh"})
    story.new_policy("2026-11-02 09:20", ladders=quicker)
    story.at("2026-11-02 10:45")  # an hour has passed, and two had been given
    story.command("moved", "PO-1", by="opsdesk")
    story.expect(Stands("PO-1", State.OPEN, "management", due="2026-11-02 11:45"))
