"""Late truth walks back, visibly, to everybody it was told to; what people did stays."""

from notifiers.message import EntryKind
from rules.decision import State, StepKind
from tests.harness import (
    Acknowledged,
    Commented,
    Event,
    Hears,
    NoCase,
    Notified,
    Opened,
    Retracted,
    Stands,
    Timeline,
    Watched,
    impacted,
    line,
)

RETRACTION = EntryKind.RETRACTION


def test_an_acknowledged_case_is_retracted_and_everybody_who_was_told_hears_of_it(
    story: Timeline,
) -> None:
    story.at("2026-11-02 08:00")
    story.order("PO-1", "nordlicht", promised="2026-11-02 10:00")
    story.at("2026-11-03 12:30")  # frontline and management let it pass
    story.ack("PO-1", by="david")
    story.skip()
    story.at("2026-11-03 15:00")
    story.delivered("PO-1", "nordlicht", on="2026-11-02 09:30")
    story.expect(
        Hears("anna", RETRACTION, "PO-1"),
        Hears("claire", RETRACTION, "PO-1"),
        Hears("david", RETRACTION, "PO-1", why="delivered 2026-11-02 09:30"),
        Stands("PO-1", State.RETRACTED),
    )
    story.expect_nobody_told()
    withdrawn = {s.kind: s.withdrawn_at is not None for s in story.steps("PO-1")}
    assert withdrawn[StepKind.OPENED]
    assert withdrawn[StepKind.ESCALATED]
    assert withdrawn[StepKind.RETRACTED] is False
    # What David did stays on record.
    assert any(s.actor == "david" and s.withdrawn_at is None for s in story.steps("PO-1"))


def test_nobody_hears_of_a_retraction_who_heard_nothing_before(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-05 11:00")
    story.skip()
    story.delivered("PO-1", on="2026-11-03 09:30")
    story.advance(hours=1)
    assert {told.message.person for told in story.told()} == {"claire", "anna"}


def test_a_report_that_is_corrected_takes_its_case_back(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", report_id="R-1", quantity="50"))
    story.expect(Opened("PO-1", "management"))
    story.advance(minutes=30)
    story.skip()
    story.given(impacted("PO-1", "damaged", report_id="R-1", quantity="0"))
    story.expect(
        Retracted("PO-1", why="nothing is affected"),
        Hears("claire", RETRACTION),
        Hears("anna", RETRACTION),
    )
    story.expect_silence()


def test_a_report_that_shrinks_below_the_limit_leaves_it_under_watch(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", report_id="R-1", quantity="50"))
    story.advance(minutes=30)
    story.skip()
    story.given(impacted("PO-1", "damaged", report_id="R-1", quantity="3"))
    story.expect(
        Retracted("PO-1"),
        Watched("PO-1"),
        Stands("PO-1", State.WATCH, "watch", rules=("minor-shortfall",)),
        Hears("claire", RETRACTION),
        Hears("anna", RETRACTION),
    )


def test_what_is_missing_comes_after_all(story: Timeline) -> None:
    """A further delivery voids the finality of the one before."""
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-10 12:00")
    story.at("2026-11-09 10:00")
    story.delivered("PO-1", lines=[line("LAMP", "80")], final=True)
    story.expect(Opened("PO-1", "management", why="20 of 100 units short = 20.0 % > 5 %"))
    story.skip()
    story.at("2026-11-09 10:30")
    story.delivered("PO-1", lines=[line("LAMP", "20")], delivery_id="D-2")
    story.expect(Retracted("PO-1"), Stands("PO-1", State.RETRACTED))


def test_after_a_retraction_the_next_trouble_opens_it_again_and_is_told_again(
    story: Timeline,
) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", report_id="R-1", quantity="50"))
    story.advance(minutes=5)
    story.given(impacted("PO-1", "damaged", report_id="R-1", quantity="0"))
    story.advance(minutes=5)
    story.skip()
    story.given(impacted("PO-1", "quality", report_id="R-2", quantity="10"))
    story.expect(
        Opened("PO-1", "management", why="10 of 100 units quality = 10.0 % > 5 %"),
        Notified("management", "PO-1"),
        Hears("anna", EntryKind.NOTICE),
        Stands("PO-1", State.OPEN, "management"),
    )


def test_a_command_about_a_retracted_case_is_kept_as_a_remark(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", report_id="R-1", quantity="50"))
    story.advance(minutes=5)
    story.given(impacted("PO-1", "damaged", report_id="R-1", quantity="0"))
    story.skip()
    story.advance(minutes=5)
    story.ack("PO-1", by="claire")
    story.expect(
        Commented("PO-1", by="claire", why="came when the case had been retracted"),
        Stands("PO-1", State.RETRACTED),
    )


def test_a_resolved_case_that_proves_wrong_is_retracted_too(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-05 11:00")
    story.command("resolved", "PO-1", by="claire", root_cause="truck was late")
    story.skip()
    story.advance(hours=1)
    story.delivered("PO-1", on="2026-11-03 10:00")
    story.expect(Hears("claire", RETRACTION), Hears("anna", RETRACTION))
    story.expect(Stands("PO-1", State.RETRACTED))


def test_an_amendment_never_unmakes_a_miss_that_had_happened(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-05 11:00")
    story.ack("PO-1", by="claire")
    story.skip()
    story.said(
        "order.amended", partner_id="kontor", order_id="PO-1", promised_at="2026-11-20",
        agreed_by="partner",
    )  # fmt: skip
    story.at("2026-11-06 11:00")
    story.delivered("PO-1")
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, rules=("late-delivery",)))
    story.expect_silence()


def test_a_cancellation_takes_back_only_what_would_have_come_after_it(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.order("PO-2", promised="2026-11-03 10:00")
    story.at("2026-11-05 12:00")
    story.expect(Opened("PO-1"), Opened("PO-2"))
    story.ack("PO-1", by="claire")
    story.ack("PO-2", by="claire")
    story.expect(Acknowledged("PO-1"), Acknowledged("PO-2"))
    story.skip()
    # Known now: PO-1 had been called off before it was late, PO-2 is called off just now.
    for order, at in (("PO-1", "2026-11-04 10:00"), ("PO-2", "2026-11-05 12:00")):
        called_off = {"partner_id": "kontor", "order_id": order, "by": "partner"}
        story.given(Event("order.cancelled", called_off, "/erp", at=at))
    story.expect(
        Stands("PO-1", State.RETRACTED),
        Stands("PO-2", State.ACKNOWLEDGED, rules=("late-delivery",)),
    )


def test_an_order_that_is_called_off_is_not_late_any_more(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03 10:00")
    story.at("2026-11-05 09:00")
    story.said("order.cancelled", partner_id="kontor", order_id="PO-1", by="partner")
    story.advance(days=30)
    story.expect(NoCase("PO-1"))
