"""What people do about a case is an event like any other."""

from typing import Any

import pytest

from notifiers.message import EntryKind
from rules.decision import State
from streams import outcome as out
from tests.acceptance.conftest import Begin
from tests.harness import (
    Acknowledged,
    Assigned,
    Breached,
    Closed,
    Commented,
    Deescalated,
    Escalated,
    Event,
    Hears,
    Notified,
    Opened,
    Reopened,
    Resolved,
    Snoozed,
    Stands,
    Timeline,
    Waiting,
    Woken,
    directory,
    impacted,
)

ALERT, UPDATE = EntryKind.ALERT, EntryKind.UPDATE


@pytest.fixture
def damaged(story: Timeline) -> Timeline:
    """A case at management since Monday, 09:00, of which the story may now tell."""
    story.at("2026-11-02 09:00")
    story.order("PO-1", "nordlicht", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", "nordlicht", quantity="50"))
    story.advance(minutes=10)
    story.skip()
    return story


def test_escalated_by_hand(damaged: Timeline) -> None:
    story = damaged
    story.command("escalated", "PO-1", by="claire", note="they threaten to leave")
    story.expect(
        Escalated("PO-1", "executive", by="claire", why="they threaten to leave"),
        Hears("david", ALERT, "PO-1", why="they threaten to leave"),
        Hears("anna", EntryKind.NOTICE, "PO-1"),
        Stands("PO-1", State.OPEN, "executive", due="2026-11-02 10:10"),
    )
    story.expect_nobody_told()  # Claire knows what she did


def test_escalated_by_hand_whatever_the_only_when_says(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.advance(minutes=10)
    story.command("escalated", "PO-1", by="claire", to="executive")
    story.expect(Escalated("PO-1", "executive", by="claire"), Notified("executive"))


def test_there_is_no_tier_above_the_last(damaged: Timeline) -> None:
    story = damaged
    story.command("escalated", "PO-1", by="claire")
    story.advance(minutes=1)
    story.command("escalated", "PO-1", by="claire")
    story.expect(Commented("PO-1", by="claire", why="there is no tier to go to"))
    story.command("escalated", "PO-1", by="claire", to="the moon")
    story.expect(Commented("PO-1", by="claire"), Stands("PO-1", State.OPEN, "executive"))


def test_deescalated_by_hand(damaged: Timeline) -> None:
    story = damaged
    story.command("deescalated", "PO-1", by="claire", note="Anna has it in hand")
    story.expect(
        Deescalated("PO-1", "frontline", by="claire"),
        Hears("anna", ALERT, "PO-1"),
        Stands("PO-1", State.OPEN, "frontline", due="2026-11-02 13:10"),
    )
    case = story.case("PO-1")
    assert case is not None
    assert case.highest_tier == "management"


def test_deescalated_by_whoever_has_acknowledged_it_stays_acknowledged(damaged: Timeline) -> None:
    story = damaged
    story.ack("PO-1", by="claire")
    story.advance(minutes=5)
    story.command("deescalated", "PO-1", by="claire")
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, "frontline"))


def test_assigned_to_somebody_else(damaged: Timeline) -> None:
    story = damaged
    story.command("assigned", "PO-1", by="claire", to="jonas")
    story.expect(
        Assigned("PO-1", by="claire", why="assigned to jonas"),
        Stands("PO-1", State.OPEN, "management", owner="jonas"),  # still to be acknowledged
        Hears("anna", UPDATE),
    )
    story.advance(minutes=5)
    story.ack("PO-1", by="jonas")
    story.expect(Acknowledged("PO-1", by="jonas"), Stands("PO-1", State.ACKNOWLEDGED))


def test_assigned_to_oneself_is_taken_over(damaged: Timeline) -> None:
    story = damaged
    story.command("assigned", "PO-1", by="jonas", to="jonas")
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, owner="jonas"))
    story.at("2026-11-02 12:00")
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, "management"))


def test_snoozed_it_sleeps_until_its_time_and_the_resolve_clock_with_it(damaged: Timeline) -> None:
    story = damaged
    story.ack("PO-1", by="claire")  # to be resolved by Thursday, 09:00
    story.at("2026-11-03 09:00")
    story.skip()
    story.command("snoozed", "PO-1", by="claire", until="2026-11-04 09:00")
    story.expect(
        Snoozed("PO-1", by="claire", why="until 2026-11-04 09:00"),
        Stands("PO-1", State.SNOOZED, due="2026-11-04 09:00"),
    )
    story.at("2026-11-04 09:01")
    # A whole business day asleep: until the end of Thursday.
    story.expect(
        Woken("PO-1", at="2026-11-04 09:00"),
        Stands("PO-1", State.ACKNOWLEDGED, due="2026-11-05 17:00"),
    )
    story.at("2026-11-05 17:01")
    story.expect(Breached("PO-1", "management"), Escalated("PO-1", "executive"))


@pytest.mark.parametrize("verb", ["snoozed", "waiting"])
def test_put_off_by_somebody_who_may_not_own_it_is_a_remark(damaged: Timeline, verb: str) -> None:
    story = damaged
    story.command(verb, "PO-1", by="anna", until="2026-11-04 09:00")
    story.expect(Commented("PO-1", by="anna"), Stands("PO-1", State.OPEN, due="2026-11-02 11:00"))


def test_waiting_on_the_partner_until_a_time(damaged: Timeline) -> None:
    story = damaged
    story.ack("PO-1", by="claire")
    story.advance(minutes=1)
    story.command("waiting", "PO-1", by="claire", until="2026-11-10 09:00")
    story.expect(Waiting("PO-1", by="claire"), Stands("PO-1", State.WAITING))
    story.at("2026-11-09 23:00")
    story.expect(Stands("PO-1", State.WAITING, "management"))
    story.at("2026-11-10 09:01")
    story.expect(Woken("PO-1"), Stands("PO-1", State.ACKNOWLEDGED))


def test_waiting_without_end_never_fires(damaged: Timeline) -> None:
    story = damaged
    story.ack("PO-1", by="claire")
    story.advance(minutes=1)
    story.command("waiting", "PO-1", by="claire")
    story.skip()
    story.advance(days=25)
    story.expect(Stands("PO-1", State.WAITING, "management"))
    story.expect_no_step()


def test_the_partner_s_answer_brings_a_waiting_ticket_back_to_work(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.ticket("T-1", "alpenfrisch", urgent=True)
    story.advance(minutes=5)
    story.ack("T-1", by="claire")
    story.advance(minutes=5)
    story.command("waiting", "T-1", by="claire")
    story.at("2026-11-03 09:00")
    story.said(
        "ticket.message", partner_id="alpenfrisch", ticket_id="T-1", author="partner", kind="reply"
    )
    story.expect(Woken("T-1", why="the partner answered"), Stands("T-1", State.ACKNOWLEDGED))


def test_resolved_with_its_root_cause(damaged: Timeline) -> None:
    story = damaged
    story.ack("PO-1", by="claire")
    story.skip()
    story.advance(minutes=5)
    story.command("resolved", "PO-1", by="claire", root_cause="bad pallets", action="new ones")
    story.expect(
        Resolved("PO-1", by="claire", why="root cause: bad pallets"),
        Hears("anna", UPDATE, "PO-1"),
        Stands("PO-1", State.RESOLVED),
    )
    story.advance(days=30)
    story.expect_silence()


def test_closed_after_it_was_resolved(damaged: Timeline) -> None:
    story = damaged
    story.command("resolved", "PO-1", by="claire", root_cause="bad pallets")
    story.advance(minutes=5)
    story.command("closed", "PO-1", by="claire")
    story.expect(Closed("PO-1", by="claire"), Stands("PO-1", State.CLOSED))


@pytest.mark.parametrize("settled", ["resolved", "closed"])
def test_reopened_it_asks_its_tier_anew(damaged: Timeline, settled: str) -> None:
    story = damaged
    needs: dict[str, Any] = {"root_cause": "bad pallets"} if settled == "resolved" else {}
    story.command(settled, "PO-1", by="claire", **needs)
    story.advance(days=1)
    story.skip()
    story.command("reopened", "PO-1", by="anna", note="the new ones break as well")
    story.expect(
        Reopened("PO-1", "management", by="anna"),
        Hears("claire", ALERT, "PO-1"),
        Stands("PO-1", State.OPEN, "management", due="2026-11-03 11:10"),
    )
    story.expect_nobody_told()


def test_what_is_not_settled_cannot_be_reopened(damaged: Timeline) -> None:
    story = damaged
    story.command("reopened", "PO-1", by="anna")
    story.expect(Commented("PO-1", by="anna"), Stands("PO-1", State.OPEN, due="2026-11-02 11:00"))


def test_the_same_trouble_does_not_open_a_resolved_case_again(damaged: Timeline) -> None:
    story = damaged
    story.command("resolved", "PO-1", by="claire", root_cause="bad pallets")
    story.advance(minutes=5)
    story.skip()
    story.given(impacted("PO-1", "damaged", "nordlicht", quantity="10"))
    story.expect(Stands("PO-1", State.RESOLVED))
    story.expect_silence()


def test_other_trouble_opens_a_resolved_case_again(damaged: Timeline) -> None:
    story = damaged
    story.command("resolved", "PO-1", by="claire", root_cause="bad pallets")
    story.at("2026-12-04 12:00")
    story.expect(
        Reopened("PO-1", "frontline", "2026-12-02 13:00", why="late-strategic"),
        Stands("PO-1", State.OPEN),
    )


def test_a_comment_changes_nothing(damaged: Timeline) -> None:
    story = damaged
    story.command("commented", "PO-1", by="anna", note="called them")
    story.expect(
        Commented("PO-1", by="anna", why="called them"),
        Stands("PO-1", State.OPEN, "management", due="2026-11-02 11:00"),
    )
    story.expect_nobody_told()


def test_a_second_acknowledgement_changes_nothing_that_matters(damaged: Timeline) -> None:
    story = damaged
    story.ack("PO-1", by="claire")
    story.advance(minutes=1)
    story.ack("PO-1", by="henrik")
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, "management", due="2026-11-05 09:00"))


def test_who_has_left_since_has_acknowledged_all_the_same(begin: Begin) -> None:
    story = begin()
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.advance(minutes=10)
    story.ack("PO-1", by="claire")
    story.new_directory(directory(people={"claire": {"active": False}}))
    story.advance(minutes=10)
    story.given(impacted("PO-1", "short", quantity="1"))  # folded anew
    story.expect(Stands("PO-1", State.ACKNOWLEDGED))


def test_a_command_before_its_case_waits_for_it(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.advance(minutes=5)
    # Given on another road that was quicker than the news itself.
    story.command("commented", "PO-1", by="anna", note="they called", outcome=out.Parked)
    with story.store.reading() as tx:
        assert [p.case_id for p in tx.list_parked()] == [story.case_id("PO-1")]
    story.advance(minutes=5)
    story.given(impacted("PO-1", "damaged", quantity="50", event_id="late news"))
    story.expect(Opened("PO-1", "management"))
    with story.store.reading() as tx:
        assert tx.list_parked() == []


def test_an_acknowledgement_that_overtook_its_case_counts(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.advance(minutes=10)
    story.ack("PO-1", by="claire", outcome=out.Parked)
    story.advance(minutes=1)
    damage = {"partner_id": "kontor", "order_id": "PO-1", "kind": "damaged", "quantity": "50"}
    story.given(Event("order.impacted", damage, "/erp", at="2026-11-02 09:05"))
    story.expect(Acknowledged("PO-1", by="claire"), Stands("PO-1", State.ACKNOWLEDGED))
