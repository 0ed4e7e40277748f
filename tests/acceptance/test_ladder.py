"""The ladder: asked, acknowledged in time or climbed, tier by tier, until somebody owns it."""

from copy import deepcopy
from datetime import date

from notifiers.message import EntryKind
from rules.decision import State
from tests.acceptance.conftest import Begin
from tests.harness import (
    POLICY,
    Acknowledged,
    Breached,
    Commented,
    Escalated,
    Hears,
    NotClimbed,
    Notified,
    Opened,
    Raised,
    Stands,
    Timeline,
    impacted,
    ladders,
    line,
    policy,
)

ALERT, NOTICE, UPDATE, REMINDER = (
    EntryKind.ALERT,
    EntryKind.NOTICE,
    EntryKind.UPDATE,
    EntryKind.REMINDER,
)


def short_order(story: Timeline, order: str = "PO-1", partner: str = "kontor") -> None:
    """12 of 150 units are short: a case at management."""
    story.order(order, partner, promised="2026-12-01", lines=[line("LAMP", "150", unit_price="10")])
    story.given(impacted(order, "short", partner, quantity="12"))


def test_a_case_is_acknowledged_in_time(story: Timeline) -> None:
    story.at("2026-11-02 09:00")  # a Monday
    short_order(story)
    story.expect(
        Opened("PO-1", "management", "2026-11-02 09:00", why="12 of 150 units short = 8.0 % > 5 %"),
        Notified("management"),
        Hears("anna", NOTICE, "PO-1"),  # the account manager always knows
        Stands("PO-1", State.OPEN, "management", due="2026-11-02 11:00"),
    )
    story.expect_nobody_told()

    story.at("2026-11-02 10:59")
    story.skip()  # one reminder
    story.ack("PO-1", by="claire")
    story.expect(
        Acknowledged("PO-1", by="claire"),
        Hears("anna", UPDATE, "PO-1", why="acknowledged by Claire Dubois"),
        Stands("PO-1", State.ACKNOWLEDGED, "management"),
    )
    story.advance(hours=24)
    story.expect_silence()


def test_silence_climbs_tier_by_tier_in_business_hours_and_never_past_the_last(
    story: Timeline,
) -> None:
    story.at("2026-11-02 08:00")  # a Monday
    story.order("PO-1", "nordlicht", promised="2026-11-02 10:00")
    story.at("2026-11-03 09:00")
    story.expect(
        Opened("PO-1", "frontline", "2026-11-02 14:00", why="over 4 h late > 4bh"),
        Hears("anna", ALERT, "PO-1", at="2026-11-02 14:00"),
        # Monday has three of the four hours left.
        Stands("PO-1", State.OPEN, "frontline", due="2026-11-03 10:00"),
    )
    story.expect_silence()
    story.at("2026-11-03 11:01")
    story.expect(
        Breached("PO-1", "frontline", "2026-11-03 10:00", why="did not acknowledge in time"),
        Escalated("PO-1", "management", "2026-11-03 10:00"),
        Hears("claire", ALERT, "PO-1", at="2026-11-03 10:00"),
        Hears("anna", NOTICE, "PO-1"),
        Stands("PO-1", State.OPEN, "management", due="2026-11-03 12:00"),
        Hears("claire", REMINDER, "PO-1", at="2026-11-03 11:00"),
    )
    story.expect_silence()
    story.at("2026-11-03 12:59")
    story.expect(
        Breached("PO-1", "management", "2026-11-03 12:00"),
        Escalated("PO-1", "executive", "2026-11-03 12:00"),
        Hears("david", ALERT, "PO-1", at="2026-11-03 12:00"),
        Hears("claire", REMINDER, "PO-1", at="2026-11-03 12:00"),  # a moment before it climbs
        Hears("claire", NOTICE, "PO-1"),
        Hears("anna", NOTICE, "PO-1"),
    )
    story.expect_silence()
    story.at("2026-11-04 09:00")
    story.expect(
        Breached("PO-1", "executive", "2026-11-03 13:00"),
        NotClimbed("PO-1", "executive", why="executive is the last tier"),
        Hears("opsdesk", NOTICE, "PO-1", at="2026-11-03 13:00"),
        Stands("PO-1", State.OPEN, "executive"),
    )
    story.expect_no_step()
    story.skip()
    story.advance(days=30)
    story.expect(Stands("PO-1", State.OPEN, "executive"))
    assert {kind for told in story.told() for kind in [told.entry.kind]} <= {REMINDER, NOTICE}


def test_a_tier_for_major_conflicts_only_is_not_climbed_to(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    short_order(story)  # 120 EUR of a standard partner
    story.at("2026-11-02 10:30")
    story.skip()
    story.at("2026-11-02 11:30")
    story.expect(
        Breached("PO-1", "management", "2026-11-02 11:00"),
        NotClimbed("PO-1", "management", why="executive is only for cases that meet its only_when"),
        Hears("henrik", NOTICE, "PO-1"),  # who stands in for Claire
        Hears("opsdesk", NOTICE, "PO-1"),
        Stands("PO-1", State.OPEN, "management"),
    )
    assert not story.told("david")


def test_it_is_climbed_to_once_the_conflict_has_become_old_enough(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    short_order(story)
    story.at("2026-11-02 11:30")
    story.skip()
    story.at("2026-11-10 09:00")
    # Opened on a Monday morning; five business days are over on the next Monday at 09:00.
    story.expect(Escalated("PO-1", "executive", "2026-11-09 09:00", why="old enough"))
    story.expect(Hears("david", ALERT, "PO-1", at="2026-11-09 09:00"))


def test_much_money_makes_a_conflict_major(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01", lines=[line("PUMP", "10", unit_price="30000")])
    story.given(impacted("PO-1", "damaged", quantity="1"))
    story.at("2026-11-02 11:30")
    story.expect(
        Opened("PO-1", "management"),
        Escalated("PO-1", "executive", "2026-11-02 11:00"),
        Notified("executive", "PO-1"),
    )


def test_an_owner_who_falls_silent_past_the_resolve_clock_loses_the_case_upwards(
    story: Timeline,
) -> None:
    story.at("2026-11-02 09:00")
    short_order(story, partner="nordlicht")
    story.advance(minutes=30)
    story.ack("PO-1", by="claire")
    # Resolved within three business days of being asked.
    story.expect(Stands("PO-1", State.ACKNOWLEDGED, "management", due="2026-11-05 09:00"))
    story.skip()
    story.at("2026-11-05 08:59")
    story.expect_silence()
    story.at("2026-11-05 09:30")
    story.expect(
        Breached("PO-1", "management", "2026-11-05 09:00", why="did not resolve in time"),
        Escalated("PO-1", "executive", "2026-11-05 09:00"),
        Notified("executive", "PO-1"),
        Stands("PO-1", State.OPEN, "executive"),  # and asks to be acknowledged anew
    )


def test_reminders_go_out_in_business_hours_and_have_a_limit(begin: Begin) -> None:
    slow = {"acknowledge_within": "10bd", "resolve_within": "10bd"}
    story = begin(policy(ladders=ladders(management=slow)))
    story.at("2026-11-02 15:30")
    short_order(story)
    story.skip()
    story.advance(days=7)
    for at in ("02 16:30", "03 09:30", "03 10:30", "03 11:30", "03 12:30"):
        story.expect(Hears("claire", REMINDER, "PO-1", at=f"2026-11-{at}"))
    story.expect_nobody_told()


def test_the_word_of_somebody_who_is_not_asked_is_a_comment(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    short_order(story)
    story.skip()
    story.ack("PO-1", by="anna")
    story.expect(
        Commented("PO-1", by="anna", why="anna is not the partnership manager"),
        Stands("PO-1", State.OPEN, "management", due="2026-11-02 11:00"),
    )
    story.expect_nobody_told()


def test_whoever_takes_the_case_over_owns_it_from_then_on(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    short_order(story)
    story.skip()
    story.ack("PO-1", by="anna", take_over=True)
    story.expect(
        Acknowledged("PO-1", by="anna", why="taken over"),
        Stands("PO-1", State.ACKNOWLEDGED, "management", owner="anna"),
        Hears("claire", UPDATE, "PO-1"),
    )
    story.expect_silence()


def test_a_stand_in_s_word_counts_like_that_of_whom_they_stand_in_for(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    short_order(story)
    story.ack("PO-1", by="henrik")
    story.expect(Acknowledged("PO-1", by="henrik"), Stands("PO-1", State.ACKNOWLEDGED))


def test_the_day_off_of_whoever_is_asked_does_not_count(begin: Begin) -> None:
    calendars = deepcopy(POLICY["calendars"])
    calendars["default"]["extra_holidays"] = [date(2026, 11, 3)]
    story = begin(policy(calendars=calendars))
    story.at("2026-11-02 16:00")
    short_order(story)
    story.expect(Stands("PO-1", due="2026-11-04 10:00"))


def test_an_acknowledgement_at_the_very_instant_of_the_deadline_is_in_time(
    story: Timeline,
) -> None:
    story.at("2026-11-02 09:00")
    short_order(story)
    story.at("2026-11-02 11:00")
    story.skip()
    story.ack("PO-1", by="claire")
    story.advance(hours=1)
    story.command("commented", "PO-1", by="anna", note="thanks")  # and looked at once more
    story.expect(
        Acknowledged("PO-1", by="claire"),
        Commented("PO-1", by="anna"),
        Stands("PO-1", State.ACKNOWLEDGED, "management"),
    )
    story.expect_no_step()


def test_a_worse_rule_raises_the_case_and_asks_the_higher_tier(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    lines = [line("PUMP", "10", unit_price="30000")]
    story.order("PO-1", "nordlicht", promised="2026-11-03 09:00", lines=lines)
    story.given(impacted("PO-1", "short", "nordlicht", quantity="1"))
    story.expect(Opened("PO-1", "management"), Notified("management"))
    story.advance(minutes=5)
    story.ack("PO-1", by="claire")
    story.advance(minutes=5)
    story.skip()
    story.given(impacted("PO-1", "damaged", "nordlicht", quantity="2"))
    story.expect(
        Raised("PO-1", "executive", why="90,000.00 EUR exposed > 50,000 EUR"),
        Stands("PO-1", State.OPEN, "executive"),
        Notified("executive"),
        Hears("claire", NOTICE),
        Hears("anna", NOTICE),
    )
