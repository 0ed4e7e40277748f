"""Whoever is away is stood in for; nobody home is an alarm, and the tier stays what it is."""

from typing import Any

from notifiers.message import EntryKind
from rules.decision import State
from streams.store import OutboxStatus
from tests.acceptance.conftest import Begin
from tests.harness import (
    Acknowledged,
    Escalated,
    Hears,
    Opened,
    Stands,
    Timeline,
    directory,
    impacted,
)

ALERT = EntryKind.ALERT
AWAY = [{"from": "2026-11-02", "until": "2026-11-06"}]


def damaged_order(story: Timeline) -> None:
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))


def test_a_stand_in_is_asked_and_answers(begin: Begin) -> None:
    story = begin(directory=directory(people={"claire": {"absences": AWAY}}))
    story.at("2026-11-02 09:00")
    damaged_order(story)
    story.expect(
        Opened("PO-1", "management"),
        Hears("henrik", ALERT, "PO-1", why="you stand in for Claire Dubois"),
        Hears("anna", EntryKind.NOTICE),
    )
    story.expect_nobody_told()
    story.advance(minutes=30)
    story.ack("PO-1", by="henrik")
    story.expect(
        Acknowledged("PO-1", by="henrik"),
        Stands("PO-1", State.ACKNOWLEDGED, "management"),
        Hears("anna", EntryKind.UPDATE),
    )
    story.expect_nobody_told()


def test_an_absence_names_a_stand_in_of_its_own(begin: Begin) -> None:
    away = [{"from": "2026-11-02", "until": "2026-11-06", "stand_in": "jonas"}]
    story = begin(directory=directory(people={"claire": {"absences": away}}))
    story.at("2026-11-02 09:00")
    damaged_order(story)
    story.expect(Hears("jonas", ALERT, "PO-1", why="you stand in for Claire Dubois"))
    assert not story.told("henrik")


def test_the_stand_in_of_a_stand_in(begin: Begin) -> None:
    people: dict[str, dict[str, Any]] = {
        "claire": {"absences": AWAY},
        "henrik": {"absences": AWAY, "stand_in": "jonas"},
    }
    story = begin(directory=directory(people=people))
    story.at("2026-11-02 09:00")
    damaged_order(story)
    story.expect(Hears("jonas", ALERT, "PO-1"))


def test_who_is_back_is_asked_again(begin: Begin) -> None:
    story = begin(directory=directory(people={"claire": {"absences": AWAY}}))
    story.at("2026-11-09 09:00")
    damaged_order(story)
    story.expect(Hears("claire", ALERT, "PO-1"))


def test_with_nobody_home_operations_are_told_and_the_tier_stays(begin: Begin) -> None:
    people: dict[str, dict[str, Any]] = {"claire": {"absences": AWAY}, "henrik": {"active": False}}
    story = begin(directory=directory(people=people))
    story.at("2026-11-02 09:00")
    damaged_order(story)
    story.expect(
        Opened("PO-1", "management"),
        Hears("opsdesk", ALERT, "PO-1", why="no partnership manager can be told"),
        Stands("PO-1", State.OPEN, "management", due="2026-11-02 11:00"),
    )
    # Operations may take it over; their word alone is no acknowledgement.
    story.advance(minutes=10)
    story.ack("PO-1", by="opsdesk")
    story.expect(Stands("PO-1", State.OPEN))
    story.advance(minutes=10)
    story.ack("PO-1", by="opsdesk", take_over=True)
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, owner="opsdesk"))


def test_the_ladder_runs_on_when_nobody_is_home(begin: Begin) -> None:
    people: dict[str, dict[str, Any]] = {"anna": {"active": False}, "jonas": {"active": False}}
    story = begin(directory=directory(people=people))
    story.at("2026-11-02 08:00")
    story.order("PO-1", "nordlicht", promised="2026-11-02 10:00")
    story.at("2026-11-03 10:30")
    story.expect(
        Opened("PO-1", "frontline"),
        Hears("opsdesk", ALERT, "PO-1", why="no account manager can be told"),
        Escalated("PO-1", "management", "2026-11-03 10:00"),
        Hears("claire", ALERT, "PO-1"),
    )


def test_when_not_even_operations_can_be_told_the_message_is_kept_and_shown(begin: Begin) -> None:
    people: dict[str, dict[str, Any]] = {
        name: {"routes": []} for name in ("claire", "henrik", "opsdesk")
    }
    story = begin(directory=directory(people=people))
    story.at("2026-11-02 09:00")
    damaged_order(story)
    alert = next(e for e in story.outbox("PO-1") if e.effect.kind == "alert")
    assert (alert.status, alert.reason) == (OutboxStatus.DEAD, "nobody can be told")
    assert not story.told("opsdesk")


def test_a_role_is_filled_by_the_partner_s_own_people_first(begin: Begin) -> None:
    own = {"kontor": {"tier": "standard", "roles": {"partnership_manager": ["jonas", "david"]}}}
    story = begin(directory=directory(partners=own))
    story.at("2026-11-02 09:00")
    damaged_order(story)
    story.expect(Hears("jonas", ALERT, "PO-1"), Hears("david", ALERT, "PO-1"))
    assert not story.told("claire")
