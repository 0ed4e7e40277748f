"""The fold, by examples that generated histories once got wrong."""

from typing import Any

from rules.decision import Kind, StepKind
from rules.subjects import case_id, subject_key
from schemas.time import HOUR, iso
from tests.properties.histories import (
    DAYS,
    GRID,
    START,
    History,
    Said,
    contributions,
    numbered,
    one_policy,
    two_policies,
)
from tests.properties.lives import Life, account, is_standing

NOW = START + DAYS * 4 * GRID
ORDER = subject_key(Kind.ORDER, "A", "O1")
TICKET = subject_key(Kind.TICKET, "A", "T1")
NUT = {"sku": "nut", "quantity": "10", "unit_price": "10"}


def order(type_: str, after: int = 0, **data: Any) -> Said:
    return Said(type_, START + after * GRID, {"partner_id": "A", "order_id": "O1", **data})


def placed(*lines: dict[str, Any]) -> Said:
    promise = iso(START + GRID)
    return order("order.placed", promised_at=promise, currency="EUR", lines=[*lines] or [NUT])


def delivered(after: int, **data: Any) -> Said:
    return order("delivery.completed", after, delivery_id="D1", **data)


def ticket(type_: str, after: int = 0, **data: Any) -> Said:
    return Said(type_, START + after * GRID, {"partner_id": "A", "ticket_id": "T1", **data})


def command(key: str, verb: str, after: int, actor: str = "ann", **data: Any) -> Said:
    data |= {"case_id": case_id(key), "actor": actor}
    return Said(f"case.{verb}", START + after * GRID, data, "/desk")


def lived(key: str, *said: Said, now: int = NOW) -> Life:
    """All of it at once."""
    life = Life(key, one_policy())
    life.take(History(key, numbered(said)).contributions(life.world), now)
    return life


def told_last(key: str, *said: Said, last: int, now: int = NOW) -> Life:
    """The event in place `last` comes after all the others were decided."""
    life = Life(key, one_policy())
    statements = History(key, numbered(said)).contributions(life.world)
    late = statements.pop(last)
    life.take(statements, now)
    life.take([late], now)
    return life


def test_a_case_that_opens_higher_after_all_is_told_there() -> None:
    said = (placed(), delivered(10, final=True), delivered(0, final=True))
    life = told_last(ORDER, *said, last=2)
    opening = [s for s in life.folded.steps if s.kind is StepKind.OPENED]
    assert [(s.tier, s.due) for s in opening] == [("management", NOW + 6 * HOUR)]
    assert "partnership_manager" in {e.role for e in life.effects if e.step == opening[0].key}
    assert account(life.folded) == account(lived(ORDER, *said).folded)


def test_an_escalation_by_hand_from_a_tier_that_proved_too_low_asks_the_next_one() -> None:
    said = (
        ticket("ticket.opened", category="quality"),
        ticket("ticket.status", status="open", severity="high"),
        command(TICKET, "escalated", 2),
    )
    life = told_last(TICKET, *said, last=1)
    assert life.folded.case is not None
    assert life.folded.case.tier == "executive"
    assert "executive_sponsor" in {e.role for e in life.effects}


def test_a_case_that_opens_when_another_proves_wrong_stands_for_itself() -> None:
    said = (
        placed({**NUT, "promised_at": iso(START)}),
        delivered(0, lines=[{"sku": "nut", "quantity": "10", "damaged": "10"}]),
        delivered(3, final=True),
        order("order.impacted", kind="short", impact_percent="3"),
    )
    life = lived(ORDER, *said)
    assert is_standing(life.folded)
    assert [s.kind for s in life.folded.steps] == [StepKind.WATCHED, StepKind.OPENED]


def test_a_line_named_twice_is_called_off_once() -> None:
    other = {"sku": "bolt", "quantity": "10", "unit_price": "1"}
    named = {"sku": "nut", "quantity": "10"}
    life = lived(
        ORDER,
        placed(NUT, other),
        order("order.cancelled", by="us", lines=[named, named]),
        order("order.impacted", kind="quality", quantity="1"),
    )
    assert life.folded.case is not None
    assert "order-impact: 11 of 20 units" in life.folded.case.headline


def test_an_order_called_off_whole_has_no_exposure_to_share() -> None:
    life = lived(
        ORDER,
        placed(),
        order("order.impacted", kind="short", quantity="1"),
        order("order.cancelled", 1, by="partner"),
    )
    assert life.folded.case is not None


def test_an_event_at_the_instant_of_a_deadline_does_not_hide_it() -> None:
    limit = 1 + 48 // 6  # the promise lies one step after the start
    life = lived(ORDER, placed(), order("delivery.failed", limit, delivery_id="D1"))
    assert life.folded.case is not None
    assert "late-delivery" in life.folded.case.rules


def test_a_new_policy_sets_deadlines_for_what_still_goes_on() -> None:
    world = two_policies()
    began = world.policies.changes_after(0)
    assert began is not None
    said = Said(
        "order.placed",
        START,
        {
            "partner_id": "C",
            "order_id": "O1",
            "promised_at": iso(began - 30 * HOUR),
            "lines": [NUT],
        },
        id="e0",
    )
    life = Life("order:C:O1", world)
    life.take(contributions([said], world, life.key), START)
    assert life.folded.feeds_due == began  # late under the old one only after 48 h
    life.tick(began + 1)
    assert life.folded.case is not None
    assert life.folded.case.tier == "executive"
    assert life.folded.case.opened_at == began


def test_a_delivered_article_does_not_take_the_place_of_a_line_that_is_named() -> None:
    named = {"sku": "nut", "quantity": "5", "line_id": "2", "promised_at": iso(START)}
    parts = [{"sku": "nut", "quantity": "10"}, {"line_id": "2", "quantity": "5"}]
    assert lived(ORDER, placed(NUT, named), delivered(0, lines=parts)).folded.case is None


def test_an_opening_that_moves_past_its_decision_is_decided_and_told_anew() -> None:
    about = {"partner_id": "C", "order_id": "O1"}
    terms = {"promised_at": iso(START), "lines": [NUT]}
    came = about | {"delivery_id": "D1", "final": True}
    said = [
        Said("order.placed", START, about | terms),
        Said("delivery.completed", START + 25 * GRID, came | {"delivered_at": iso(START)}),
        Said("delivery.completed", START + 31 * GRID, came),  # no, it came only now
    ]
    life = Life("order:C:O1", one_policy())
    order, *deliveries = contributions(numbered(said), life.world, life.key)
    life.take([order], START)
    life.tick(START + 9 * GRID)
    assert [s.at for s in life.folded.steps] == [START + 8 * GRID]
    now = START + 32 * GRID
    life.take(deliveries, now)
    (opening,) = life.folded.steps
    assert (opening.at, opening.decided_at, opening.due) == (now - GRID, now, now + GRID)
    assert life.folded.effects[0].step == opening.key


def test_a_report_taken_back_before_the_order_is_known_hides_no_other() -> None:
    share = {"kind": "short", "impact_percent": "8"}
    nothing = order("order.impacted", 2, kind="short", quantity="0", report_id="R1")
    life = lived(ORDER, order("order.impacted", 1, **share), nothing)
    assert is_standing(life.folded)
    life = lived(ORDER, order("order.impacted", 1, **share, report_id="R1"), nothing)
    assert not is_standing(life.folded)
