"""A forecast opens a case before the harm is done; better news takes it back."""

from notifiers.message import EntryKind
from rules.decision import State
from tests.harness import (
    Deescalated,
    Hears,
    NoCase,
    Notified,
    Opened,
    Retracted,
    Stands,
    Timeline,
    delivery,
)

RETRACTION = EntryKind.RETRACTION


def dispatched(story: Timeline, eta: str, delivery_id: str = "D-1") -> None:
    story.said(
        "delivery.dispatched",
        partner_id="kontor",
        order_id="PO-1",
        delivery_id=delivery_id,
        eta=eta,
    )


def rescheduled(story: Timeline, eta: str, **to: str) -> None:
    story.said("delivery.rescheduled", partner_id="kontor", order_id="PO-1", eta=eta, **to)


def test_a_forecast_goes_wrong_and_right_again(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    dispatched(story, eta="2026-11-10 10:00")
    story.expect(NoCase("PO-1"))

    story.at("2026-11-04 09:00")
    rescheduled(story, "2026-11-13 09:00", delivery_id="D-1")
    story.expect(
        Opened("PO-1", "management", "2026-11-04 09:00", why="expected 2026-11-13 09:00"),
        Notified("management"),
        Hears("anna"),
    )
    story.at("2026-11-04 09:50")
    rescheduled(story, "2026-11-10 11:00", delivery_id="D-1")
    story.expect(
        Retracted("PO-1", at="2026-11-04 09:50"),
        Hears("claire", RETRACTION, "PO-1"),
        Hears("anna", RETRACTION, "PO-1"),
        Stands("PO-1", State.RETRACTED),
    )
    story.at("2026-11-12 12:00")
    story.expect_silence()
    # It did not come after all: this time it is no forecast.
    story.advance(minutes=1)
    story.expect(
        Opened("PO-1", "management", "2026-11-12 12:00", why="not delivered by 2026-11-12 12:00"),
        Notified("management"),
        Stands("PO-1", State.OPEN, "management"),
    )


def test_a_delivery_in_time_takes_back_what_a_forecast_had_opened(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    dispatched(story, eta="2026-11-14 10:00")
    story.at("2026-11-02 10:00")
    story.ack("PO-1", by="claire")
    story.skip()
    story.at("2026-11-10 11:00")
    story.skip()  # nobody resolved it in the meantime
    story.delivered("PO-1")
    story.expect(Retracted("PO-1", at="2026-11-10 11:00"), Hears("claire", RETRACTION))
    story.expect(Hears("anna", RETRACTION))


def test_a_delivery_that_is_late_but_less_so_than_feared_still_takes_it_back(
    story: Timeline,
) -> None:
    story.at("2026-11-09 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    dispatched(story, eta="2026-11-14 10:00")
    story.expect(Opened("PO-1"))
    story.at("2026-11-11 12:00")
    story.delivered("PO-1")
    story.expect(Retracted("PO-1"), Stands("PO-1", State.RETRACTED))


def test_a_delivery_as_late_as_was_forecast_proves_the_case_right(story: Timeline) -> None:
    story.at("2026-11-09 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    dispatched(story, eta="2026-11-14 10:00")
    story.skip()
    story.ack("PO-1", by="claire")
    story.at("2026-11-14 11:00")
    story.delivered("PO-1")
    story.expect(Stands("PO-1", rules=("late-delivery",)))
    assert story.case("PO-1").state is not State.RETRACTED  # type: ignore[union-attr]  # it stands


def test_when_a_delivery_fails_its_forecast_is_void(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    dispatched(story, eta="2026-11-10 10:00", delivery_id="D-1")
    dispatched(story, eta="2026-11-14 10:00", delivery_id="D-2")
    story.expect(NoCase("PO-1"))
    story.at("2026-11-03 09:00")
    story.said("delivery.failed", partner_id="kontor", order_id="PO-1", delivery_id="D-1")
    story.expect(Opened("PO-1", "management", why="expected 2026-11-14 10:00"))


def test_a_delivery_that_fails_is_no_better_news(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    dispatched(story, eta="2026-11-14 10:00")
    story.at("2026-11-02 10:00")
    story.ack("PO-1", by="claire")
    story.skip()
    story.advance(minutes=1)
    story.said("delivery.failed", partner_id="kontor", order_id="PO-1", delivery_id="D-1")
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, "management"))
    story.expect_silence()


def test_the_best_of_several_forecasts_counts(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    dispatched(story, eta="2026-11-10 10:00", delivery_id="D-1")
    dispatched(story, eta="2026-11-20 10:00", delivery_id="D-2")
    story.expect(NoCase("PO-1"))


def test_a_worse_forecast_for_everything_outstanding_replaces_the_others(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    dispatched(story, eta="2026-11-10 10:00")
    story.advance(minutes=1)
    rescheduled(story, "2026-11-20 10:00")
    story.expect(Opened("PO-1", "management"))


def test_what_only_the_forecast_had_raised_goes_back_down(story: Timeline) -> None:
    story.at("2026-11-02 08:00")
    story.order("PO-1", "nordlicht", promised="2026-11-02 10:00")
    story.at("2026-11-02 15:00")
    story.expect(Opened("PO-1", "frontline"))
    story.said(
        "delivery.rescheduled", partner_id="nordlicht", order_id="PO-1", eta="2026-11-06 10:00"
    )
    story.expect(Stands("PO-1", State.OPEN, "management"))
    story.skip()
    story.at("2026-11-02 16:00")
    story.given(delivery("PO-1", "nordlicht"))
    # Six hours late it was, two days it was not.
    story.expect(
        Deescalated("PO-1", "frontline", "2026-11-02 16:00", why="what raised it was wrong"),
        Stands("PO-1", State.OPEN, "frontline", rules=("late-strategic",)),
    )
