"""Silence is a fact: what nobody reports is late once its time, and the feed's lag, have passed."""

from notifiers.message import EntryKind
from rules.decision import State
from tests.acceptance.conftest import Begin
from tests.harness import (
    Escalated,
    Hears,
    Matched,
    NoCase,
    Notified,
    Opened,
    Raised,
    Retracted,
    Stands,
    Timeline,
    directory,
    line,
    policy,
)


def test_an_order_of_which_nobody_says_anything_is_late_48_hours_after_its_promise(
    story: Timeline,
) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-05 10:00")
    story.expect(NoCase("PO-1"))
    story.advance(minutes=1)
    story.expect(
        Opened("PO-1", "management", "2026-11-05 10:00", why="not delivered by 2026-11-05 10:00"),
        Notified("management", "PO-1", at="2026-11-05 10:00"),
        Hears("anna", EntryKind.NOTICE),
    )
    story.expect_silence()


def test_a_delivery_that_is_reported_in_time_is_no_case(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-05 10:00")  # the very instant of the deadline: 48 hours are not more than 48
    story.delivered("PO-1")
    story.advance(days=30)
    story.expect(NoCase("PO-1"))
    story.expect_silence()


def test_a_delivery_a_moment_later_is_too_late(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-05 12:00")
    story.skip()
    story.delivered("PO-1", on="2026-11-05 10:01")
    story.expect(Stands("PO-1", State.OPEN, "management"))
    story.expect_silence()


def test_a_promised_day_ends_with_the_day_where_the_partner_is(begin: Begin) -> None:
    calendars = policy()["calendars"] | {
        "new_york": {"timezone": "America/New_York", "hours": {"mon-fri": ["09:00-17:00"]}}
    }
    from_afar = {"hudson": {"tier": "standard", "calendar": "new_york"}}
    story = begin(policy(calendars=calendars), directory(partners=from_afar))
    story.at("2026-11-02 09:00")
    story.order("PO-1", "hudson", promised="2026-11-03")
    story.order("PO-2", "kontor", promised="2026-11-03")
    story.at("2026-11-07 12:00")
    story.expect(
        Opened("PO-2", "management", "2026-11-06 00:00"),  # midnight in Berlin, and 48 hours
        Opened("PO-1", "management", "2026-11-06 06:00"),  # midnight in New York
    )


def test_a_delivery_on_the_promised_day_is_in_time_whatever_the_hour(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", "nordlicht", promised="2026-11-03")
    story.at("2026-11-03 23:00")
    story.delivered("PO-1", "nordlicht", on="2026-11-03")
    story.advance(days=10)
    story.expect(NoCase("PO-1"))


def test_a_feed_that_reports_late_is_given_its_time(begin: Begin) -> None:
    story = begin(policy(sources={"/erp": {"reporting_lag": "12h"}}))
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.order("PO-2", promised="2026-11-03 10:00")
    story.at("2026-11-05 21:00")
    story.expect_silence()
    story.delivered("PO-1", on="2026-11-05 09:00")
    story.at("2026-11-05 22:30")
    story.expect(
        NoCase("PO-1"),
        # It was breached when it was due; we saw it twelve hours later, and ask from then on.
        Opened("PO-2", "management", "2026-11-05 10:00"),
        Notified("management", "PO-2", at="2026-11-05 22:00"),
        Stands("PO-2", due="2026-11-06 11:00"),
    )


def test_one_late_line_makes_the_order_late(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order(
        "PO-1",
        promised="2026-11-30",
        lines=[line("LAMP"), line("BULB", promised_at="2026-11-03 10:00")],
    )
    story.at("2026-11-04 09:00")
    story.delivered("PO-1")  # the lamps alone
    story.at("2026-11-05 11:00")
    story.expect(Opened("PO-1", "management", "2026-11-05 10:00", why="BULB"))


def test_a_part_delivery_is_not_the_end_of_waiting(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-03 09:00")
    story.delivered("PO-1", lines=[line("LAMP", "60")])
    story.at("2026-11-05 11:00")
    story.expect(Opened("PO-1", "management", "2026-11-05 10:00"))


def test_an_order_that_comes_to_our_knowledge_late_is_asked_about_from_then_on(
    story: Timeline,
) -> None:
    story.at("2026-11-10 15:30")
    story.order("PO-1", promised="2026-11-03 10:00", at="2026-11-01 12:00")
    story.expect(
        Opened("PO-1", "management", "2026-11-05 10:00"),
        Notified("management", "PO-1", at="2026-11-10 15:30"),
        # Nobody is late for an alert that they had not got.
        Stands("PO-1", State.OPEN, due="2026-11-11 09:30"),
    )


def test_a_late_truck_for_a_strategic_partner(story: Timeline) -> None:
    story.at("2026-11-02 08:00")
    story.order("PO-1", "nordlicht", promised="2026-11-02 10:00")
    story.said(
        "delivery.dispatched", partner_id="nordlicht", order_id="PO-1", delivery_id="D-1",
        carrier="Huckepack", eta="2026-11-02 09:30",
    )  # fmt: skip
    story.at("2026-11-02 09:45")
    story.said(
        "delivery.rescheduled", partner_id="nordlicht", order_id="PO-1", delivery_id="D-1",
        eta="2026-11-02 15:00", reason="flat tyre",
    )  # fmt: skip
    # Five business hours late, if it comes when it is said to: known before the promise is broken.
    story.expect(
        Opened("PO-1", "frontline", "2026-11-02 09:45", why="expected 2026-11-02 15:00"),
        Hears("anna", EntryKind.ALERT, "PO-1"),
    )
    story.expect_silence()
    story.at("2026-11-02 10:15")
    story.ack("PO-1", by="anna")
    story.at("2026-11-02 15:10")
    story.delivered("PO-1", "nordlicht")
    story.skip()
    story.command("resolved", "PO-1", by="anna", root_cause="flat tyre")
    story.advance(days=5)
    story.expect(Stands("PO-1", State.RESOLVED, "frontline", rules=("late-strategic",)))
    assert not story.told("claire")


def test_the_truck_that_does_not_come_at_all_goes_up(story: Timeline) -> None:
    story.at("2026-11-02 08:00")
    story.order("PO-1", "nordlicht", promised="2026-11-02 10:00")
    story.at("2026-11-02 14:30")
    story.ack("PO-1", by="anna")
    story.skip()
    story.at("2026-11-04 10:01")
    story.expect(Raised("PO-1", "management", "2026-11-04 10:00", why="late-delivery"))
    story.expect(Notified("management", "PO-1"), Stands("PO-1", State.OPEN))


def test_who_has_climbed_already_is_not_asked_again_when_48_hours_are_over(
    story: Timeline,
) -> None:
    story.at("2026-11-02 08:00")
    story.order("PO-1", "nordlicht", promised="2026-11-02 10:00")
    story.at("2026-11-03 10:30")
    story.expect(Opened("PO-1", "frontline"), Escalated("PO-1", "management"))
    story.ack("PO-1", by="claire")
    story.skip()
    story.at("2026-11-04 12:00")
    story.expect(Matched("PO-1", "management", "2026-11-04 10:00", why="late-delivery as well"))
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, "management"))
    story.expect_silence()


def test_false_silence_is_taken_back_when_the_truth_comes_late(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-05 11:00")
    story.ack("PO-1", by="claire")
    story.skip()
    story.at("2026-11-06 09:00")
    story.delivered("PO-1", on="2026-11-03 09:30")
    story.expect(
        Retracted("PO-1"),
        Stands("PO-1", State.RETRACTED),
        Hears("claire", EntryKind.RETRACTION, "PO-1"),
        Hears("anna", EntryKind.RETRACTION, "PO-1"),
    )
    story.advance(days=10)
    story.expect_silence()
