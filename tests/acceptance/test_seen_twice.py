"""Seen twice is seen once; order of arrival does not matter; nothing is dropped."""

from dataclasses import replace

import pytest

from rules.decision import CaseRow, State
from streams import outcome as out
from tests.acceptance.conftest import Begin
from tests.harness import (
    Event,
    NoCase,
    Opened,
    Stands,
    Timeline,
    delivery,
    impacted,
    line,
    placed,
    policy,
)


def test_an_event_that_comes_twice_counts_once(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    report = impacted("PO-1", "damaged", quantity="4", event_id="r-1")._replace(
        at="2026-11-02 09:00"
    )
    story.given(report)
    story.given(report, outcome=out.Duplicate)
    story.advance(days=20)
    story.given(report, outcome=out.Duplicate)  # a subject remembers as long as it lives
    story.expect(Stands("PO-1", State.WATCH))


def test_twice_in_one_batch_counts_once(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    report = impacted("PO-1", "damaged", quantity="4", event_id="r-1")
    answers = story.given(report, report, outcome=None)
    assert [type(a) for a in answers] == [out.Accepted, out.Duplicate]
    story.expect(Stands("PO-1", State.WATCH))


def test_the_same_id_with_other_content_is_kept_aside_and_shown(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="4", event_id="r-1"))
    story.given(impacted("PO-1", "damaged", quantity="90", event_id="r-1"), outcome=out.Conflict)
    story.expect(Stands("PO-1", State.WATCH))  # what was said first stands
    (kept,) = story.rejected()
    assert kept.entry.kind == "conflicting duplicate"
    assert "a correction needs an id of its own" in kept.entry.reason
    assert b'"quantity": "90"' in kept.entry.value


def test_the_same_id_from_another_source_is_another_event(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    report = impacted("PO-1", "damaged", quantity="4", event_id="r-1")
    story.given(report)
    story.given(report._replace(source="/warehouse"))
    story.expect(Opened("PO-1", "management", why="8 of 100 units"))


def test_acknowledged_twice_by_the_same_event(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    ack = Event(
        "case.acknowledged", {"case_id": story.case_id("PO-1"), "actor": "claire"}, "/slack",
        at="2026-11-02 09:00", id="click",
    )  # fmt: skip
    story.given(ack)
    story.given(ack, outcome=out.Duplicate)
    story.expect(Stands("PO-1", State.ACKNOWLEDGED))


def test_a_command_that_waits_for_its_case_is_seen_once(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    said = {"case_id": "C-0123456789AB", "actor": "claire"}
    ack = Event("case.acknowledged", said, "/slack", at="2026-11-02 10:00", id="click")
    story.given(ack, outcome=out.Parked)
    story.given(ack, outcome=out.Duplicate)
    answers = story.given(ack._replace(id="again"), ack._replace(id="again"), outcome=None)
    assert [type(a) for a in answers] == [out.Parked, out.Duplicate]
    story.given(ack._replace(data={**said, "take_over": True}), outcome=out.Conflict)
    (kept,) = story.rejected()
    assert kept.entry.kind == "conflicting duplicate"
    assert "a correction needs an id of its own" in kept.entry.reason
    with story.store.reading() as tx:
        assert [counter.n for counter in tx.counters("accepted")] == [2]
        assert [counter.n for counter in tx.counters("duplicate")] == [2]


def test_a_delivery_that_comes_before_its_order(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.given(delivery("PO-1"))
    story.advance(minutes=5)
    story.given(placed("PO-1", promised="2026-11-03 10:00", at="2026-11-01 09:00"))
    story.advance(days=10)
    story.expect(NoCase("PO-1"))


EVENTS = (
    placed("PO-1", promised="2026-11-03 10:00", at="2026-11-01 09:00", id="a",
           lines=[line("LAMP"), line("BULB")]),
    delivery("PO-1", at="2026-11-03 09:00", id="b", lines=[line("LAMP", "90")]),
    delivery("PO-1", at="2026-11-05 12:00", id="c", delivery_id="D-2", lines=[line("BULB")]),
    impacted("PO-1", "quality", quantity="20", event_id="d")._replace(at="2026-11-04 09:00"),
)  # fmt: skip


def test_whatever_order_they_arrive_in_the_case_is_the_same(begin: Begin) -> None:
    def told(order: tuple[Event, ...], cuts: int) -> tuple[CaseRow, list[object]]:
        story = begin()
        story.at("2026-11-06 09:00")
        for n in range(0, len(order), cuts):
            story.given(*order[n : n + cuts])
        case = story.case("PO-1")
        assert case is not None
        steps = [
            (s.key, s.kind, s.tier, s.at, s.receipt)
            for s in story.steps("PO-1")
            if s.withdrawn_at is None
        ]
        return replace(case, changed_at=story.now), list(steps)

    plain = told(EVENTS, len(EVENTS))
    for n in range(len(EVENTS)):  # generated histories try all the others
        turned = EVENTS[n:] + EVENTS[:n]
        assert told(turned, 1) == plain
        assert told(turned[::-1], 2) == plain


@pytest.mark.parametrize("type_", ["order.painted", "weather.report"])
def test_an_unknown_type_is_set_aside_and_its_neighbours_are_taken(
    story: Timeline, type_: str
) -> None:
    story.at("2026-11-02 09:00")
    answers = story.given(
        placed("PO-1", promised="2026-12-01"), Event(type_, {"x": 1}, "/erp"), outcome=None
    )
    assert [type(a) for a in answers] == [out.Accepted, out.SetAside]
    assert [r.entry.kind for r in story.rejected()] == ["unknown type"]


def test_a_wrong_field_is_refused_with_its_path_and_kept_with_its_bytes(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    wrong = placed("PO-2", promised="2026-12-01", lines=[line("LAMP", "-1")])
    answers = story.given(placed("PO-1", promised="2026-12-01"), wrong, outcome=None)
    assert isinstance(answers[0], out.Accepted)
    assert isinstance(answers[1], out.Refused)
    assert "lines[0].quantity" in answers[1].reason
    (kept,) = story.rejected()
    assert b"PO-2" in kept.entry.value


def test_a_field_that_nobody_knows_is_counted_and_stops_nothing(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    order = placed("PO-1", promised="2026-12-01")
    order.data["colour"] = "blue"
    story.given(order)
    with story.store.reading() as tx:
        counted = [(c.name, c.n) for c in tx.counters("unknown field")]
    assert counted == [("order.placed.colour", 1)]


def test_an_event_that_cannot_be_decided_is_isolated_with_its_subject(begin: Begin) -> None:
    """A promise at the end of all calendars: its business hours cannot be counted."""
    rule = {"name": "late", "when": {"delay": "> 400bd"}, "open_at": "management"}
    story = begin(policy(rules=[rule, *policy()["rules"]]))
    story.at("2026-11-02 09:00")
    answers = story.given(
        placed("PO-1", promised="2026-11-03 10:00"),
        placed("PO-2", promised="2099-12-30"),
        placed("PO-3", promised="2026-11-03 10:00"),
        outcome=None,
    )
    assert [type(a) for a in answers] == [out.Accepted, out.SetAside, out.Accepted]
    (kept,) = story.rejected()
    assert kept.entry.kind == "deciding failed"
    assert kept.entry.subject == story.key("PO-2")
    # What follows about the same order is kept with it; the others go on.
    story.advance(minutes=5)
    story.given(delivery("PO-2"), outcome=out.SetAside)
    assert len(story.rejected()) == 2
    story.at("2026-11-05 11:00")
    story.expect(Opened("PO-1"), Opened("PO-3"), NoCase("PO-2"))
