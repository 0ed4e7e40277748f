"""Whoever acknowledges a case owns it, wherever they say so."""

import pytest

from rules.decision import State
from tests.harness import Commented, Stands, Timeline, impacted


@pytest.fixture
def asked(story: Timeline) -> Timeline:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.advance(minutes=10)
    return story


def owner(story: Timeline) -> str | None:
    case = story.case("PO-1")
    assert case is not None
    return case.owner


@pytest.mark.parametrize("by", ["claire", "henrik"])  # she was asked, he stands in for her
def test_whoever_was_asked_owns_it_by_acknowledging(asked: Timeline, by: str) -> None:
    assert owner(asked) is None
    asked.ack("PO-1", by=by)
    asked.expect(Stands("PO-1", State.ACKNOWLEDGED))
    assert owner(asked) == by


def test_whoever_was_not_asked_owns_nothing_unless_they_take_it_over(asked: Timeline) -> None:
    asked.ack("PO-1", by="anna")
    asked.expect(Commented("PO-1", by="anna", why="counted as a comment"))
    assert owner(asked) is None
    asked.advance(minutes=1)
    asked.command("acknowledged", "PO-1", by="anna", take_over=True)
    asked.expect(Stands("PO-1", State.ACKNOWLEDGED))
    assert owner(asked) == "anna"


def test_the_tier_that_acknowledges_last_has_it(asked: Timeline) -> None:
    asked.ack("PO-1", by="claire")
    asked.advance(minutes=1)
    asked.command("escalated", "PO-1", by="claire", note="they threaten to leave")
    assert owner(asked) == "claire"
    asked.advance(minutes=1)
    asked.ack("PO-1", by="david")
    assert owner(asked) == "david"
