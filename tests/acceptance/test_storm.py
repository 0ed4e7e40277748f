"""A bad morning: five hundred cases at once, and nobody gets five hundred messages."""

from notifiers.message import EntryKind
from rules.decision import State
from tests.harness import Stands, Timeline, placed


def test_a_storm_of_five_hundred_cases(story: Timeline) -> None:
    orders = [f"PO-{n}" for n in range(500)]
    story.at("2026-11-02 09:00")
    story.given(*(placed(order, promised="2026-11-03 10:00") for order in orders))
    story.expect_silence()
    story.at("2026-11-05 10:30")
    assert len(story.cases()) == 500
    for person, kind in (("claire", EntryKind.ALERT), ("anna", EntryKind.NOTICE)):
        told = story.told(person)
        assert {one.entry.kind for one in told} == {kind}
        # Everybody is told of every case once, in a handful of messages.
        cases = [one.entry.case_id for one in told]
        assert sorted(filter(None, cases)) == sorted(story.case_id(order) for order in orders)
        assert len({one.message.idempotency_key for one in told}) <= 4

    story.skip()
    story.at("2026-11-05 11:15")  # the reminders after an hour
    reminded = [one for one in story.told() if one.entry.kind is EntryKind.REMINDER]
    assert {one.message.person for one in reminded} == {"claire"}
    assert len({one.message.idempotency_key for one in reminded}) <= 4

    story.ack("PO-0", by="claire")
    story.expect(Stands("PO-0", State.ACKNOWLEDGED), Stands("PO-1", State.OPEN))
