"""A case that stands lower again: whoever was asked at the higher tier hears so."""

from notifiers.message import EntryKind, Message
from rules.decision import State
from rules.effects import step_told, withdrawn_step
from tests.acceptance.conftest import Begin
from tests.harness import (
    Deescalated,
    Escalated,
    Hears,
    Notified,
    Stands,
    Timeline,
    delivery,
    impacted,
    line,
    placed,
    policy,
    rules,
)


def damaged(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))


def newest(story: Timeline, person: str) -> Message:
    return story.told(person)[-1].message


def test_who_is_asked_now_is_said_below_the_tier_that_is(story: Timeline) -> None:
    damaged(story)
    entry = newest(story, "anna").entries[0]
    assert entry.asked is not None
    assert (entry.asked.tier, entry.asked.names) == ("management", ("Claire Dubois",))
    claires = newest(story, "claire").entries[0]
    assert claires.asked is None
    assert entry.asked.until == claires.due
    story.skip()
    story.advance(minutes=10)
    story.ack("PO-1", by="claire")
    assert newest(story, "anna").entries[0].asked is None


def test_what_is_taken_down_by_hand_is_told_above_too(story: Timeline) -> None:
    damaged(story)
    story.advance(minutes=10)
    story.command("escalated", "PO-1", by="claire", note="they threaten to leave")
    story.expect(Escalated("PO-1", "executive"), Notified("executive", "PO-1"))
    story.skip()
    story.advance(minutes=10)
    story.command("deescalated", "PO-1", by="claire")
    story.expect(
        Deescalated("PO-1", "management"),
        Hears("david", EntryKind.UPDATE, "PO-1", why="deescalated to management by Claire Dubois"),
        Hears("anna", EntryKind.NOTICE, "PO-1"),
    )


def test_what_is_owned_is_told_to_everybody_and_asks_nobody(story: Timeline) -> None:
    damaged(story)
    story.advance(minutes=10)
    story.command("escalated", "PO-1", by="anna", note="they threaten to leave")
    story.advance(minutes=1)
    story.ack("PO-1", by="david")
    story.skip()
    story.advance(minutes=10)
    story.command("deescalated", "PO-1", by="david")
    story.expect(
        Stands("PO-1", State.ACKNOWLEDGED, "management"),
        Hears("claire", EntryKind.UPDATE, "PO-1", why="deescalated"),
        Hears("anna", EntryKind.UPDATE, "PO-1"),
    )
    assert not [told for told in story.told() if told.entry.kind is EntryKind.ALERT]


def late_and_worth_much(begin: Begin) -> Timeline:
    """A strategic order: late, so management is asked; damaged for much, so the sponsor is."""
    story = begin(policy(rules=rules("late-delivery", "large-exposure")))
    story.at("2026-11-02 09:00")
    story.given(
        placed("PO-1", "nordlicht", promised="2026-11-03 10:00",
               lines=[line("LAMP", unit_price="1000")])
    )  # fmt: skip
    story.at("2026-11-05 10:30")
    return story


def test_a_raise_that_late_truth_takes_back_is_told_to_those_who_heard_of_it(
    begin: Begin,
) -> None:
    story = late_and_worth_much(begin)
    story.expect(Stands("PO-1", State.OPEN, "executive"), Notified("executive", "PO-1"))
    story.skip()
    story.advance(minutes=5)
    # Nearly all had come in time: what is missing is worth little, and late all the same.
    story.given(
        delivery("PO-1", "nordlicht", lines=[line("LAMP", "99")], on="2026-11-03 09:00",
                 at="2026-11-03 09:00", final=False)
    )  # fmt: skip
    story.expect(Stands("PO-1", State.OPEN, "management"))
    story.expect(Hears("david", EntryKind.UPDATE, "PO-1", why="back to management"))
    told = [told for told in story.told("david") if told.entry.kind is EntryKind.UPDATE]
    assert told[-1].entry.asked is not None
    assert told[-1].entry.asked.tier == "management"


def test_the_story_shows_who_heard_of_a_step_that_was_taken_back() -> None:
    key = "raised:1:executive"
    assert step_told(withdrawn_step(key, 1_790_000_000_000_000)) == key
    assert step_told("opened:1:management") == "opened:1:management"


def test_a_raise_that_nobody_had_heard_of_is_taken_back_in_silence(begin: Begin) -> None:
    story = begin(policy(rules=rules("late-delivery", "large-exposure")))
    story.at("2026-11-02 09:00")
    story.given(
        placed("PO-1", "nordlicht", promised="2026-11-03 10:00",
               lines=[line("LAMP", unit_price="1000")]),
        delivery("PO-1", "nordlicht", lines=[line("LAMP", "99")], on="2026-11-03 09:00",
                 at="2026-11-03 09:00", final=False),
    )  # fmt: skip
    story.at("2026-11-05 10:30")
    assert not story.told("david")
