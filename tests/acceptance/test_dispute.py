"""A dispute names its evidence, is decided by somebody else than the owner, and stays on record."""

import pytest

from notifiers.message import EntryKind
from rules.decision import State, StepKind
from tests.harness import (
    Closed,
    Commented,
    Disputed,
    DisputeDecided,
    Hears,
    Retracted,
    Stands,
    Timeline,
    impacted,
)


@pytest.fixture
def disputed(story: Timeline) -> Timeline:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.advance(minutes=10)
    story.ack("PO-1", by="claire")
    story.skip()
    story.advance(minutes=10)
    story.command("disputed", "PO-1", by="anna", evidence="photo 17 shows whole boxes")
    story.expect(
        Disputed("PO-1", by="anna", why="evidence: photo 17 shows whole boxes"),
        Hears("claire", EntryKind.UPDATE, "PO-1"),
    )
    story.advance(minutes=10)
    return story


def is_disputed(story: Timeline) -> bool:
    case = story.case("PO-1")
    return case is not None and case.disputed


def test_upheld_the_case_stands(disputed: Timeline) -> None:
    story = disputed
    assert is_disputed(story)
    story.expect(Stands("PO-1", State.ACKNOWLEDGED))
    story.command("dispute_decided", "PO-1", by="david", verdict="upheld")
    story.expect(
        DisputeDecided("PO-1", by="david", why="upheld"),
        Stands("PO-1", State.ACKNOWLEDGED, "management"),
    )
    assert not is_disputed(story)


def test_corrected_the_case_is_retracted(disputed: Timeline) -> None:
    story = disputed
    story.command("dispute_decided", "PO-1", by="david", verdict="corrected")
    story.expect(
        DisputeDecided("PO-1", by="david"),
        Retracted("PO-1", why="the dispute was right"),
        Stands("PO-1", State.RETRACTED),
        Hears("anna", EntryKind.RETRACTION, "PO-1"),
    )
    story.advance(days=5)
    story.expect_no_step()
    kinds = [s.kind for s in story.steps("PO-1") if s.withdrawn_at is None]
    assert StepKind.DISPUTED in kinds
    assert StepKind.OPENED in kinds


def test_a_case_that_was_corrected_is_not_opened_again_by_the_same_facts(
    disputed: Timeline,
) -> None:
    story = disputed
    story.command("dispute_decided", "PO-1", by="david", verdict="corrected")
    story.skip()
    story.advance(minutes=10)
    story.said("delivery.dispatched", partner_id="kontor", order_id="PO-1", delivery_id="D-1")
    story.expect(Stands("PO-1", State.RETRACTED))
    story.expect_silence()


def test_excused_it_happened_and_does_not_count(disputed: Timeline) -> None:
    story = disputed
    story.command("dispute_decided", "PO-1", by="david", verdict="excused", note="force majeure")
    story.expect(
        DisputeDecided("PO-1", why="excused"),
        Closed("PO-1", why="excused"),
        Stands("PO-1", State.CLOSED),
    )


def test_until_somebody_owns_it_the_account_manager_does_and_may_not_decide(
    story: Timeline,
) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.advance(minutes=1)
    story.command("disputed", "PO-1", by="claire", evidence="photo 17")
    story.advance(minutes=1)
    story.command("dispute_decided", "PO-1", by="anna", verdict="corrected")
    story.expect(Commented("PO-1", by="anna", why="owns the case and cannot decide"))
    assert is_disputed(story)


@pytest.mark.parametrize(
    ("by", "why"),
    [("claire", "owns the case and cannot"), ("anna", "disputes the case and cannot")],
)
def test_neither_who_acknowledged_it_nor_who_disputes_it_decides(
    disputed: Timeline, by: str, why: str
) -> None:
    story = disputed
    story.command("dispute_decided", "PO-1", by=by, verdict="corrected")
    story.expect(Commented("PO-1", by=by, why=why), Stands("PO-1", State.ACKNOWLEDGED))
    assert is_disputed(story)


def test_whoever_it_was_given_to_may_not_decide_either(disputed: Timeline) -> None:
    story = disputed
    story.command("assigned", "PO-1", by="claire", to="jonas")
    story.advance(minutes=1)
    story.command("dispute_decided", "PO-1", by="jonas", verdict="upheld")
    story.expect(Commented("PO-1", by="jonas", why="cannot decide"))
    story.advance(minutes=1)
    story.command("dispute_decided", "PO-1", by="claire", verdict="upheld")
    story.expect(DisputeDecided("PO-1", by="claire"))


def test_what_nobody_disputed_cannot_be_decided(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.advance(minutes=1)
    story.command("dispute_decided", "PO-1", by="david", verdict="corrected")
    story.expect(Commented("PO-1", why="nobody had disputed"), Stands("PO-1", State.OPEN))


def test_a_disputed_case_keeps_its_clocks(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", "nordlicht", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", "nordlicht", quantity="50"))
    story.advance(minutes=1)
    story.command("disputed", "PO-1", by="anna", evidence="none yet")
    story.at("2026-11-02 11:01")
    story.expect(Stands("PO-1", State.OPEN, "executive"))
