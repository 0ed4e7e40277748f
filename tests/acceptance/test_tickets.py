"""Tickets: what was promised, in the partner's business hours, and what is urgent."""

from typing import Any

import pytest

from notifiers.message import EntryKind
from rules.decision import State
from tests.acceptance.conftest import Begin
from tests.harness import (
    Event,
    Hears,
    NoCase,
    Notified,
    Opened,
    Reopened,
    Resolved,
    Retracted,
    Stands,
    Timeline,
    directory,
    policy,
)

UNANSWERED = {"name": "unanswered", "when": {"breach": "first_response"}, "open_at": "frontline"}
SLOW = {
    "name": "slow",
    "when": {"breach": ["first_response", "next_response", "resolution"]},
    "open_at": "frontline",
}


@pytest.fixture
def helpdesk(begin: Begin) -> Timeline:
    return begin(policy(rules=[UNANSWERED]))


def wrote(story: Timeline, author: str, kind: str = "reply", ticket: str = "T-1") -> None:
    story.said(
        "ticket.message", partner_id="alpenfrisch", ticket_id=ticket, author=author, kind=kind
    )


def became(story: Timeline, status: str, **more: Any) -> None:
    story.said("ticket.status", partner_id="alpenfrisch", ticket_id="T-1", status=status, **more)


def test_a_ticket_stays_unanswered_over_a_bank_holiday(helpdesk: Timeline) -> None:
    story = helpdesk
    story.at("2026-12-24 14:00")  # a Thursday; Friday is Christmas Day
    story.ticket("T-1", "alpenfrisch", summary="Where is my invoice?")
    # Four business hours: three on Thursday, none on Friday, one on Monday.
    story.at("2026-12-28 10:00")
    story.expect(NoCase("T-1"))
    story.advance(minutes=1)
    story.expect(
        Opened("T-1", "frontline", "2026-12-28 10:00", why="was due 2026-12-28 10:00"),
        Hears("anna", EntryKind.ALERT, "T-1"),
    )
    story.expect_silence()


def test_an_answer_at_the_last_moment_is_in_time(helpdesk: Timeline) -> None:
    story = helpdesk
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 14:00")
    wrote(story, "us")
    story.advance(days=5)
    story.expect(NoCase("T-1"))


@pytest.mark.parametrize(
    ("author", "kind"),
    [("us", "note"), ("us", "automatic"), ("system", "reply"), ("partner", "reply")],
)
def test_notes_machines_and_the_partner_are_no_answer(
    helpdesk: Timeline, author: str, kind: str
) -> None:
    story = helpdesk
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.advance(hours=1)
    wrote(story, author, kind)
    story.at("2026-11-02 14:01")
    story.expect(Opened("T-1", "frontline", "2026-11-02 14:00"))


def test_an_answer_that_came_in_time_and_is_reported_late_takes_the_case_back(
    helpdesk: Timeline,
) -> None:
    story = helpdesk
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 14:30")
    story.expect(Opened("T-1"))
    story.skip()
    answer = {"partner_id": "alpenfrisch", "ticket_id": "T-1", "author": "us", "kind": "reply"}
    story.given(Event("ticket.message", answer, "/helpdesk", at="2026-11-02 13:00"))
    story.expect(Retracted("T-1"), Hears("anna", EntryKind.RETRACTION, "T-1"))


def test_every_question_waits_for_its_own_answer(begin: Begin) -> None:
    story = begin(policy(rules=[SLOW]))
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 11:00")
    wrote(story, "us")
    story.at("2026-11-02 12:00")
    wrote(story, "partner")
    story.at("2026-11-02 15:00")
    wrote(story, "partner")  # asks again; the promise runs from the first time
    story.at("2026-11-03 13:00")
    story.expect(Opened("T-1", "frontline", "2026-11-03 12:00", why="next response was due"))


def test_while_the_partner_is_asked_the_resolution_does_not_run(begin: Begin) -> None:
    promises = {"growth": {"resolution": "8bh"}, "standard": {}}
    story = begin(
        policy(
            rules=[SLOW], commitments=promises, partner_tiers=["strategic", "growth", "standard"]
        )
    )
    story.at("2026-11-02 09:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 13:00")
    became(story, "waiting_on_partner")
    story.at("2026-11-05 09:00")
    story.expect(NoCase("T-1"))
    became(story, "waiting_on_us")
    story.at("2026-11-05 13:00")
    story.expect(NoCase("T-1"))
    story.advance(minutes=1)
    story.expect(Opened("T-1", "frontline", "2026-11-05 13:00", why="resolution was due"))


@pytest.mark.parametrize("status", ["resolved", "closed"])
def test_a_ticket_that_is_settled_settles_its_case(helpdesk: Timeline, status: str) -> None:
    story = helpdesk
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 15:00")
    story.skip()
    became(story, status)
    story.expect(
        Resolved("T-1", why=f"ticket {status}"),
        Stands("T-1", State.RESOLVED),
        Hears("anna", EntryKind.UPDATE, "T-1"),
    )
    story.advance(days=3)
    story.expect_silence()


def test_a_ticket_about_an_order_settles_nothing_but_itself(begin: Begin) -> None:
    story = begin(policy(rules=[*policy()["rules"], UNANSWERED]))
    story.at("2026-11-02 10:00")
    story.order("PO-1", "alpenfrisch", promised="2026-11-01 10:00", at="2026-10-20 10:00")
    story.ticket("T-1", "alpenfrisch", order_id="PO-1")
    story.at("2026-11-03 12:00")
    story.expect(Opened("T-1"), Opened("PO-1"))
    became(story, "resolved")
    story.expect(Stands("T-1", State.RESOLVED), Stands("PO-1", State.OPEN))


def test_an_urgent_ticket_starts_higher_up_and_wakes_people(begin: Begin) -> None:
    story = begin(directory=directory(people={"claire": {"quiet_hours": "20:00-07:00"}}))
    story.at("2026-11-02 22:30")
    story.ticket("T-1", "alpenfrisch", urgent=True, summary="Freezer truck broke down")
    story.expect(
        Opened("T-1", "management", why="marked urgent"),
        Hears("claire", EntryKind.ALERT, "T-1", at="2026-11-02 22:30"),
        Hears("anna", EntryKind.NOTICE, "T-1"),
    )


def test_what_is_not_urgent_waits_for_the_morning(begin: Begin) -> None:
    complaint = {"name": "complaint", "when": {"category": "complaint"}, "open_at": "management"}
    quiet = directory(people={"claire": {"quiet_hours": "20:00-07:00"}})
    story = begin(policy(rules=[complaint]), quiet)
    story.at("2026-11-02 22:30")
    story.ticket("T-1", "alpenfrisch", category="complaint")
    story.expect(Opened("T-1", "management"), Hears("anna"))
    story.expect_nobody_told()
    story.at("2026-11-03 07:30")
    story.expect(Hears("claire", EntryKind.ALERT, "T-1", at="2026-11-03 07:00"))


def test_urgent_tickets_start_where_the_policy_says(begin: Begin) -> None:
    story = begin(policy(exceptions={"urgent_tickets": "executive"}))
    story.at("2026-11-02 10:00")
    story.ticket("T-1", urgent=True)
    story.expect(Opened("T-1", "executive"), Notified("executive"))


def test_a_settled_case_opens_again_only_when_a_rule_newly_matches(begin: Begin) -> None:
    breaches = [
        {"name": f"no-{b}", "when": {"breach": b}, "open_at": "frontline"}
        for b in ("first_response", "next_response")
    ]
    story = begin(policy(rules=breaches))
    story.at("2026-11-02 09:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 14:00")
    story.expect(Opened("T-1", why="no-first_response"))
    story.command("resolved", "T-1", by="anna", root_cause="everybody was at the fair")
    story.skip()
    story.advance(days=1)
    wrote(story, "us")  # late, but that is known and settled
    story.expect(Stands("T-1", State.RESOLVED))
    story.advance(hours=1)
    wrote(story, "partner")
    story.advance(days=2)
    story.expect(Reopened("T-1", "frontline", why="no-next_response"), Stands("T-1", State.OPEN))
