"""Shadow: everything is decided and kept, and one desk hears whom it would have told."""

from typing import Any

import pytest

from notifiers.message import EntryKind
from rules.decision import State
from tests.acceptance.conftest import Begin
from tests.harness import (
    Escalated,
    Hears,
    NotClimbed,
    Opened,
    Raised,
    Stands,
    Timeline,
    impacted,
    ladders,
    policy,
)


def damaged_order(story: Timeline, partner: str = "kontor") -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", partner, promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", partner, quantity="50"))


def in_shadow(*names: str) -> list[dict[str, Any]]:
    return [r | ({"mode": "shadow"} if r["name"] in names else {}) for r in policy()["rules"]]


@pytest.mark.parametrize(
    "parts",
    [
        {"mode": "shadow"},
        {"shadow": {"partners": ["kontor"]}},
        {"rules": in_shadow("order-impact")},
    ],
    ids=["everything", "a partner", "a rule"],
)
def test_everything_is_decided_and_nobody_is_disturbed(begin: Begin, parts: dict[str, Any]) -> None:
    story = begin(policy(**parts))
    damaged_order(story)
    story.expect(Opened("PO-1", "management"), Stands("PO-1", State.OPEN, "management"))
    story.advance(hours=8)
    story.expect(NotClimbed("PO-1", "management"))
    told = story.told()
    assert {one.message.person for one in told} == {"opsdesk"}
    assert all(one.entry.would_have_told is not None for one in told)
    names = {name for one in told for name in one.entry.would_have_told or ()}
    assert {"Claire Dubois", "Anna Lindner"} <= names


def test_the_redirect_target_may_be_a_person(begin: Begin) -> None:
    story = begin(policy(mode="shadow", shadow={"redirect": "jonas"}))
    damaged_order(story)
    assert {one.message.person for one in story.told()} == {"jonas"}


def test_other_partners_are_told_as_usual(begin: Begin) -> None:
    story = begin(policy(shadow={"partners": ["kontor"]}))
    damaged_order(story, "alpenfrisch")
    story.expect(Hears("claire", EntryKind.ALERT), Hears("anna", EntryKind.NOTICE))
    story.expect_nobody_told()


def test_a_rule_that_is_live_brings_a_case_out_of_shadow(begin: Begin) -> None:
    story = begin(policy(rules=in_shadow("order-impact")))
    story.at("2026-11-02 09:00")
    lines = [{"sku": "PUMP", "quantity": "10", "unit_price": "30000"}]
    story.order("PO-1", "nordlicht", promised="2026-12-01", lines=lines)
    story.given(impacted("PO-1", "damaged", "nordlicht", quantity="1"))
    assert {one.message.person for one in story.told()} == {"opsdesk"}
    story.skip()
    story.advance(minutes=1)
    story.given(impacted("PO-1", "short", "nordlicht", quantity="4"))
    story.expect(
        Raised("PO-1", "executive"),
        Hears("david", EntryKind.ALERT, "PO-1"),
        Hears("claire", EntryKind.NOTICE, "PO-1"),
        Hears("anna", EntryKind.NOTICE, "PO-1"),
    )


def test_one_tier_in_shadow_leaves_the_others_alone(begin: Begin) -> None:
    story = begin(policy(ladders=ladders(management={"mode": "shadow"})))
    story.at("2026-11-02 08:00")
    story.order("PO-1", "nordlicht", promised="2026-11-02 10:00")
    story.at("2026-11-03 12:30")
    story.expect(
        Opened("PO-1", "frontline"),
        Hears("anna", EntryKind.ALERT, "PO-1"),
        Escalated("PO-1", "management"),
        Hears("opsdesk", EntryKind.ALERT, "PO-1", tier="management"),
        Escalated("PO-1", "executive"),
        Hears("david", EntryKind.ALERT, "PO-1"),
    )
    assert not story.told("claire")


def test_who_was_only_meant_to_be_told_hears_of_no_retraction(begin: Begin) -> None:
    story = begin(policy(shadow={"partners": ["kontor"]}))
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-05 11:00")
    story.delivered("PO-1", on="2026-11-03 09:00")
    story.expect(Hears("opsdesk", EntryKind.RETRACTION, "PO-1"))
    assert not story.told("claire")


def test_in_shadow_a_forecast_that_gets_better_is_taken_back_there_too(begin: Begin) -> None:
    story = begin(policy(rules=in_shadow("late-delivery")))
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    for minute, eta in enumerate(("2026-11-20 12:00", "2026-11-10 11:00")):
        story.said("delivery.rescheduled", partner_id="kontor", order_id="PO-1", eta=eta)
        story.advance(minutes=minute + 1)
    story.expect(Hears("opsdesk", EntryKind.RETRACTION, "PO-1"))
    assert not story.told("claire")
