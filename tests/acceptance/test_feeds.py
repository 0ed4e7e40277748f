"""A deadline waits for its input: silence is only proven by a feed that speaks."""

from typing import Any

from rules.decision import Kind, State
from schemas.time import Instant
from tests.acceptance.conftest import Begin
from tests.harness import (
    Acknowledged,
    Escalated,
    NoCase,
    Notified,
    Opened,
    Stands,
    Timeline,
    delivery,
    impacted,
    placed,
    policy,
)

HOURLY = {"/erp": {"cadence": "1h", "about": ["orders"]}}


def held(story: Timeline) -> int:
    """Deadlines that wait for a feed."""
    until = story.feeds.horizon(story.now).orders
    with story.store.reading() as tx:
        return tx.count_held(Kind.ORDER, Instant(until), story.now)


def test_while_a_feed_is_silent_nobody_is_called_late_for_want_of_a_report(begin: Begin) -> None:
    story = begin(policy(sources=HOURLY))
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-02 12:00")
    story.order("PO-2", promised="2026-11-02 12:00")
    story.at("2026-11-04 14:00")  # it should have spoken 53 times by now
    story.expect(NoCase("PO-1"), NoCase("PO-2"))
    assert story.feeds.report("/erp", story.now).is_silent
    assert held(story) == 2

    story.at("2026-11-04 15:00")
    late: dict[str, Any] = {"at": "2026-11-04 14:59"}
    story.given(
        delivery("PO-1", on="2026-11-02 11:00", **late),
        placed("PO-3", promised="2026-12-01", **late),
    )
    assert not story.feeds.report("/erp", story.now).is_silent
    assert held(story) == 0
    story.expect(
        NoCase("PO-1"),
        Opened("PO-2", "management", "2026-11-04 12:00"),
        Notified("management", "PO-2", at="2026-11-04 15:00"),
    )


def test_a_backlog_after_a_silence_raises_no_false_alarm(begin: Begin) -> None:
    """The feed speaks again, with what it had to say long ago: it has to catch up first."""
    story = begin(policy(sources=HOURLY))
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-02 12:00")
    story.order("PO-2", promised="2026-11-02 12:00")
    story.at("2026-11-04 15:00")
    story.given(delivery("PO-1", at="2026-11-02 11:00"))
    story.advance(minutes=1)
    story.expect(NoCase("PO-2"))
    story.given(delivery("PO-2", at="2026-11-02 11:30"))
    story.advance(minutes=1)
    story.given(placed("PO-3", promised="2026-12-01"))
    story.advance(hours=5)
    story.expect(NoCase("PO-1"), NoCase("PO-2"))
    story.expect_silence()


def test_a_silent_feed_of_tickets_holds_no_order(begin: Begin) -> None:
    story = begin(policy(sources={"/helpdesk": {"cadence": "1h", "about": ["tickets"]}}))
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-02 12:00")
    story.ticket("T-1")
    story.at("2026-11-04 12:01")
    story.expect(Opened("PO-1", "management"))


def test_a_feed_that_never_spoke_holds_what_it_should_have_spoken_of(begin: Begin) -> None:
    story = begin(policy(sources={"/carrier": {"cadence": "1h", "about": ["orders"]}}))
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-02 12:00")
    story.at("2026-11-06 12:00")
    story.expect(NoCase("PO-1"))


def test_people_s_deadlines_wait_for_no_feed(begin: Begin) -> None:
    story = begin(policy(sources=HOURLY))
    story.at("2026-11-02 09:00")
    story.order("PO-1", "nordlicht", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", "nordlicht", quantity="50"))
    story.at("2026-11-02 11:30")
    assert story.feeds.report("/erp", story.now).is_silent
    story.expect(Escalated("PO-1", "executive", "2026-11-02 11:00"))


def test_a_feed_that_falls_silent_later_unmakes_nothing_that_was_decided(begin: Begin) -> None:
    story = begin(policy(sources=HOURLY))
    story.at("2026-11-04 11:50")
    story.order("PO-1", promised="2026-11-02 12:00", at="2026-11-01 09:00")
    story.given(placed("PO-2", promised="2026-12-01"))  # the feed speaks for the last time
    story.at("2026-11-04 12:01")
    story.expect(Opened("PO-1", "management"), Notified("management", "PO-1"))
    story.at("2026-11-04 13:30")
    assert story.feeds.report("/erp", story.now).is_silent
    story.ack("PO-1", by="claire")
    story.expect(Acknowledged("PO-1"), Stands("PO-1", State.ACKNOWLEDGED))


def test_a_time_stamp_far_ahead_is_taken_and_moves_no_deadline(begin: Begin) -> None:
    story = begin(policy(sources=HOURLY))
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-02 12:00")
    story.given(placed("PO-9", promised="2027-12-01", at="2027-11-01 09:00"))
    story.at("2026-11-04 14:00")
    assert story.feeds.report("/erp", story.now).is_silent
    story.expect(NoCase("PO-1"))


def test_a_restart_after_two_days_raises_no_false_alarm_from_the_backlog(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    for n in (1, 2, 3):
        story.order(f"PO-{n}", promised="2026-11-02 12:00")
    story.advance(hours=1)
    story.restart(hours=51)  # it is Wednesday, 13:00; they were late at 12:00
    story.at("2026-11-04 13:01")
    story.expect_silence()
    # The systems that could not reach us try again, oldest first.
    story.given(delivery("PO-1", at="2026-11-02 11:00"))
    story.advance(minutes=1)
    story.given(delivery("PO-2", at="2026-11-02 11:30"))
    story.advance(minutes=1)
    story.expect_silence()
    story.at("2026-11-04 13:10")
    story.expect(
        NoCase("PO-1"),
        NoCase("PO-2"),
        Opened("PO-3", "management", "2026-11-04 12:00"),
        Notified("management", "PO-3", at="2026-11-04 13:05"),
        Stands("PO-3", due="2026-11-04 15:05"),
    )


def test_after_a_restart_a_feed_that_has_caught_up_is_not_waited_for(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-02 12:00")
    story.restart(hours=52)
    story.advance(minutes=1)
    story.order("PO-2", promised="2026-12-01")  # stamped after we came back
    story.expect(
        Opened("PO-1", "management"), Notified("management", "PO-1", at="2026-11-04 13:01")
    )


def test_people_are_given_their_time_anew_after_a_restart(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", "nordlicht", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", "nordlicht", quantity="50"))
    story.advance(minutes=10)
    story.restart(hours=50)
    story.advance(minutes=1)
    # Nobody could answer while we were away, but one tier's time had passed, and only one's.
    story.expect(
        Escalated("PO-1", "executive", "2026-11-02 11:00"),
        Stands("PO-1", State.OPEN, "executive", due="2026-11-04 12:10"),
    )


def test_a_restart_tells_nothing_twice(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.skip()
    story.restart(minutes=5)
    story.advance(minutes=10)
    story.expect_silence()


def test_an_event_at_the_very_instant_of_a_deadline_is_read_before_it(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-02 12:00")
    story.at("2026-11-04 12:00")
    story.expect(NoCase("PO-1"))
    story.given(delivery("PO-1"))
    story.advance(days=1)
    story.given(impacted("PO-1", "quality", quantity="0"))
    story.expect(NoCase("PO-1"))  # looked at once more


def test_what_happened_at_the_very_instant_may_be_heard_of_a_moment_later(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-02 12:00")
    story.at("2026-11-04 12:30")
    story.skip()
    story.given(delivery("PO-1", on="2026-11-04 12:00"))
    story.expect(Stands("PO-1", State.RETRACTED))


def test_peoples_commands_are_no_feed_that_could_fall_silent(begin: Begin) -> None:
    story = begin(policy(sources=HOURLY))
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-05")
    story.given(impacted("PO-1", "short", impact_percent=50))
    story.ack("PO-1", by="maria")
    assert set(story.feeds.heard) == {"/erp"}
