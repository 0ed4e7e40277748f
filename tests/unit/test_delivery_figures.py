"""What counts as on time and in full, by hand: each story with what it comes to."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from rules.delivery_figures import Basis, Condition, Due, Grade
from tests.order_pasts import LATER, Said, line

MISSED, TOLERATED, BEFORE, STRICT = Grade
TIME = "2026-11-10 12:00"
DAY = "2026-11-10"
NEW_YORK = ZoneInfo("America/New_York")


def grades(due: Due) -> tuple[Grade, Grade, Grade]:
    """OTIF, on time, in full."""
    return due.otif, due.on_time, due.full


# --- when it came ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promised", "came", "grade"),
    [
        (TIME, "2026-11-10 08:00", STRICT),
        (TIME, "2026-11-10 12:00", STRICT),
        (TIME, "2026-11-10 12:00:01", TOLERATED),
        (TIME, "2026-11-09 23:59", BEFORE),
        (TIME, "2026-11-09", BEFORE),  # the end of that day is the promised day's midnight
        (TIME, "2026-11-10", TOLERATED),  # a day without a time is its end, which is after noon
        (TIME, "2026-11-11 12:00", TOLERATED),  # the limit itself is within tolerance
        (TIME, "2026-11-11 12:00:01", MISSED),
        (DAY, "2026-11-10", STRICT),
        (DAY, "2026-11-10 00:01", STRICT),
        (DAY, "2026-11-11 00:00", STRICT),  # the midnight with which the day ends
        (DAY, "2026-11-11 00:00:01", TOLERATED),
        (DAY, "2026-11-11", TOLERATED),
        (DAY, "2026-11-12 00:00:01", MISSED),
        (DAY, "2026-11-09", BEFORE),
    ],
)
def test_a_whole_delivery(promised: str, came: str, grade: Grade) -> None:
    order, only_line = Said().placed(promised).came(came).dues()
    assert grades(order) == grades(only_line) == (grade, grade, BEFORE)


def test_days_are_those_of_the_partner() -> None:
    # 22:00 in New York is 04:00 of the next day in Berlin.
    assert Said(NEW_YORK).placed(DAY).came("2026-11-10 22:00").order().otif is STRICT
    assert Said(NEW_YORK).placed(DAY).came("2026-11-10 22:00").order().due == Said(NEW_YORK).at(
        "2026-11-11 00:00"
    )
    assert Said().placed(DAY).came("2026-11-10 22:00").order().otif is STRICT


def test_the_promised_day_may_have_25_hours() -> None:
    early = Said().placed("2026-10-25", when="2026-10-01 08:00")
    assert early.came("2026-10-25 00:30").order().otif is STRICT


def test_tolerance_may_be_counted_in_business_time() -> None:
    friday = "2026-11-13 12:00"
    monday = Said().placed(friday).came("2026-11-16 12:00")
    assert monday.order(late="8bh").otif is TOLERATED
    assert monday.order(late="7bh").otif is MISSED


def test_what_nobody_delivered_is_a_miss_once_it_is_due() -> None:
    assert grades(Said().placed(TIME).order()) == (MISSED, MISSED, MISSED)


def test_the_same_promise_for_a_whole_order_that_is_late_counts_in_full() -> None:
    assert grades(Said().placed(TIME).came("2026-11-20 12:00").order()) == (MISSED, MISSED, BEFORE)


# --- how much came --------------------------------------------------------------------------------


def test_parts_add_up_and_the_last_one_says_when() -> None:
    said = Said().placed(TIME).came("2026-11-08 10:00", line("lamp", 60))
    assert grades(said.order(as_of="2026-11-10 13:00")) == (MISSED, MISSED, MISSED)
    said.came("2026-11-10 11:00", line("lamp", 40))
    assert grades(said.order()) == (STRICT, STRICT, BEFORE)


def test_a_rest_that_comes_late_is_late_and_in_full() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", 60))
    said.came("2026-11-13 10:00", line("lamp", 40))
    assert grades(said.order()) == (MISSED, MISSED, BEFORE)


def test_a_final_delivery_that_is_short_is_on_time_and_not_in_full() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", 99), final=True)
    assert grades(said.order()) == (MISSED, STRICT, MISSED)


def test_a_further_delivery_voids_that_it_was_final() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", 99), final=True)
    said.came("2026-11-20 10:00", line("lamp", 1))
    assert grades(said.order()) == (MISSED, MISSED, BEFORE)


def test_more_than_was_ordered_offsets_nothing() -> None:
    bought = (line("lamp", 100, line_id="1"), line("bulb", 50, line_id="2"))
    said = Said().placed(TIME, *bought)
    said.came("2026-11-10 10:00", line("lamp", 120, line_id="1"), line("bulb", 40, line_id="2"))
    order, lamps, bulbs = said.dues()
    assert grades(lamps) == (STRICT, STRICT, BEFORE)
    assert (lamps.came, lamps.ordered) == (Decimal(100), Decimal(100))
    assert grades(bulbs) == (MISSED, MISSED, MISSED)
    assert grades(order) == (MISSED, MISSED, MISSED)


@pytest.mark.parametrize(
    ("came", "otif", "full"), [(95, TOLERATED, TOLERATED), (94, MISSED, MISSED)]
)
def test_so_much_may_be_missing_and_no_more(came: int, otif: Grade, full: Grade) -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", came), final=True)
    due = said.order(short="5")
    assert (due.otif, due.full) == (otif, full)
    assert due.on_time is STRICT  # nothing more is to come


def test_almost_all_without_a_final_word_is_tolerated_and_not_on_time() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", 95))
    assert grades(said.order(short="5")) == (TOLERATED, TOLERATED, TOLERATED)


def test_a_final_delivery_without_lines_brought_everything() -> None:
    said = Said().placed(TIME)
    said.say("2026-11-10 10:00", "delivery.completed", delivery_id="d", final=True)
    assert grades(said.order()) == (STRICT, STRICT, BEFORE)


def test_a_corrected_report_of_a_delivery_counts_as_corrected() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", name="d")
    assert said.order(as_of="2026-11-11 00:00").otif is STRICT
    said.came("2026-11-14 10:00", said="2026-11-15 10:00", name="d")
    assert grades(said.order()) == (MISSED, MISSED, BEFORE)
    assert said.order(as_of="2026-11-11 00:00").otif is STRICT


@pytest.mark.parametrize(("kind", "is_whole"), [
    ("short", False), ("wrong_item", False), ("damaged", True), ("quality", True), ("price", True),
])  # fmt: skip
def test_a_report_that_goods_are_missing_is_believed(kind: str, is_whole: bool) -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00")
    said.reported("2026-11-12 10:00", kind, lines=[line("lamp", 3)])
    expected = (STRICT, STRICT, BEFORE) if is_whole else (MISSED, STRICT, MISSED)
    assert [grades(due) for due in said.dues()] == [expected, expected]


def test_what_a_report_and_the_deliveries_say_is_the_same_shortage() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", 95), final=True)
    said.reported("2026-11-12 10:00", "short", lines=[line("lamp", 5)])
    assert said.order(short="5").full is TOLERATED


def test_a_report_that_names_no_line_is_about_the_order_only() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00")
    said.reported("2026-11-12 10:00", "short", quantity=3)
    order, only_line = said.dues()
    assert grades(order) == (MISSED, STRICT, MISSED)
    assert grades(only_line) == (STRICT, STRICT, BEFORE)
    assert grades(said.order(short="3")) == (TOLERATED, STRICT, TOLERATED)


def test_a_report_that_was_taken_back_counts_no_more() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00")
    said.reported("2026-11-12 10:00", "short", report_id="r", lines=[line("lamp", 3)])
    said.reported("2026-11-13 10:00", "short", report_id="r", lines=[line("lamp", 0)])
    assert grades(said.order()) == (STRICT, STRICT, BEFORE)


# --- several lines --------------------------------------------------------------------------------


def test_an_order_falls_due_with_its_last_line_and_is_as_good_as_its_worst() -> None:
    bought = (line("lamp", 1, promised_at="2026-11-05T12:00:00+01:00"), line("bulb", 1))
    said = Said().placed(TIME, *bought)
    said.came("2026-11-06 10:00", line("lamp", 1)).came("2026-11-10 10:00", line("bulb", 1))
    order, lamps, bulbs = said.dues()
    assert (lamps.due, bulbs.due, order.due) == (
        said.at("2026-11-05 12:00"),
        said.at(TIME),
        said.at(TIME),
    )
    assert [due.otif for due in (order, lamps, bulbs)] == [TOLERATED, TOLERATED, STRICT]


def test_a_line_of_which_nothing_came_does_not_make_a_closed_order_late() -> None:
    said = Said().placed(TIME, line("lamp", 1), line("bulb", 1))
    said.came("2026-11-10 10:00", line("lamp", 1), final=True)
    order, _, bulbs = said.dues()
    assert grades(order) == (MISSED, STRICT, MISSED)
    assert grades(bulbs) == (MISSED, MISSED, MISSED)


# --- other terms ----------------------------------------------------------------------------------


def test_a_new_promise_leaves_the_first_one_and_has_a_figure_of_its_own() -> None:
    said = Said().placed(TIME).amended("2026-11-09 10:00", promised_at="2026-11-12 12:00")
    said.came("2026-11-12 09:00")
    first, again = said.order(), said.order(Basis.AGREED)
    assert (first.due, first.otif) == (said.at(TIME), MISSED)
    assert (again.due, again.otif) == (said.at("2026-11-12 12:00"), STRICT)
    assert again.first_promise == said.at(TIME)


def test_what_we_alone_promise_anew_changes_nothing() -> None:
    said = Said().placed(TIME).amended("2026-11-09 10:00", "us", promised_at="2026-11-12 12:00")
    assert said.order(Basis.AGREED).due == said.at(TIME)


@pytest.mark.parametrize("came_first", [True, False])
def test_a_promise_that_was_missed_is_not_replaced_any_more(came_first: bool) -> None:
    said = Said().placed(TIME)
    if came_first:
        said.came("2026-11-12 09:00")
    said.amended("2026-11-12 10:00", promised_at="2026-11-14 12:00")
    if not came_first:
        said.came("2026-11-13 09:00")
    again = said.order(Basis.AGREED)
    assert (again.due, again.otif) == (said.at(TIME), MISSED)


def test_of_several_new_promises_the_last_that_was_made_in_time_counts() -> None:
    said = Said().placed(TIME).amended("2026-11-09 10:00", promised_at="2026-11-12 12:00")
    said.amended("2026-11-12 12:00", promised_at="2026-11-15 12:00")
    said.amended("2026-11-15 12:01", promised_at="2026-11-20 12:00")
    assert said.order(Basis.AGREED).due == said.at("2026-11-15 12:00")


def test_a_quantity_that_the_partner_changes_counts_if_it_was_changed_in_time() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", 60))
    fewer = [line("lamp", 60)]
    in_time = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", 60))
    assert grades(in_time.amended("2026-11-10 11:00", lines=fewer).order()) == (
        STRICT,
        STRICT,
        BEFORE,
    )
    too_late = said.amended("2026-11-10 12:01", lines=fewer)
    assert grades(too_late.order()) == (MISSED, MISSED, MISSED)


def test_a_line_that_is_added_after_the_promise_falls_due_when_it_is_added() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00")
    said.amended("2026-11-12 10:00", lines=[line("bulb", 5)])
    for basis in Basis:
        order, _, bulbs = said.dues(basis)
        assert bulbs.due == order.due == said.at("2026-11-12 10:00")
        assert bulbs.otif is MISSED


# --- cancellations --------------------------------------------------------------------------------


def test_what_the_partner_cancels_in_time_is_left_out() -> None:
    for when in ("2026-11-05 10:00", TIME):
        order, only_line = Said().placed(TIME).cancelled(when, "partner").dues()
        assert order.called_off
        assert only_line.called_off


def test_what_the_partner_cancels_after_the_promise_was_missed() -> None:
    order = Said().placed(TIME).cancelled("2026-11-10 12:01", "partner").order()
    assert not order.called_off
    assert grades(order) == (MISSED, MISSED, MISSED)


def test_a_promise_that_was_moved_may_be_missed_at_first_and_cancelled_in_the_end() -> None:
    said = Said().placed(TIME).amended("2026-11-09 10:00", promised_at="2026-11-20 12:00")
    said.cancelled("2026-11-15 10:00", "partner")
    assert grades(said.order()) == (MISSED, MISSED, MISSED)
    assert said.order(Basis.AGREED).called_off


def test_what_we_cancel_is_a_miss() -> None:
    order = Said().placed(TIME).cancelled("2026-11-05 10:00", "us").order()
    assert not order.called_off
    assert grades(order) == (MISSED, MISSED, MISSED)


def test_what_we_cut_is_on_time_and_short() -> None:
    said = Said().placed(TIME).cancelled("2026-11-05 10:00", "us", lines=[line("lamp", 40)])
    said.came("2026-11-10 10:00", line("lamp", 60))
    assert grades(said.order()) == (MISSED, STRICT, MISSED)
    assert said.order(short="40").otif is TOLERATED


def test_a_line_that_the_partner_cancels_does_not_count_and_the_others_do() -> None:
    said = Said().placed(TIME, line("lamp", 1), line("bulb", 1))
    said.cancelled("2026-11-05 10:00", "partner", lines=[line("bulb", 1)])
    said.came("2026-11-10 10:00", line("lamp", 1))
    order, lamps, bulbs = said.dues()
    assert bulbs.called_off
    assert grades(order) == grades(lamps) == (STRICT, STRICT, BEFORE)


def test_an_order_that_nobody_reported_is_not_due() -> None:
    assert Said().came(TIME).dues() == []


def test_an_order_that_was_only_amended_is_not_due_until_it_is_entered() -> None:
    said = Said().amended("2026-11-02 10:00", lines=[line("lamp", 5)])
    assert said.dues() == []
    order, only_line = said.placed(TIME, when="2026-11-03 08:00").dues()
    assert order.ordered == only_line.ordered == 5


def test_an_order_may_be_entered_after_its_goods_came() -> None:
    said = Said().came("2026-11-09 10:00").placed(TIME, when="2026-11-15 08:00")
    assert grades(said.order()) == (BEFORE, BEFORE, BEFORE)
    assert said.dues(as_of="2026-11-14 00:00") == []


# --- how an order stood ---------------------------------------------------------------------------


def test_what_a_month_brought_is_the_difference_of_two_moments() -> None:
    said = Said().placed(TIME, currency="EUR")
    said.came("2026-11-10 10:00", line("lamp", 60, damaged=2))
    said.came("2026-11-20 10:00", line("lamp", 40))
    said.reported("2026-11-25 10:00", "quality", lines=[line("lamp", 5)])
    said.reported("2026-11-26 10:00", "price", quantity=1)
    before, part, all_, end = said.conditions(
        "2026-11-09 00:00", "2026-11-15 00:00", "2026-11-21 00:00", "2026-11-30 00:00"
    )
    assert before == Condition()
    assert (part.came, part.defective, part.done_at) == (Decimal(60), Decimal(2), None)
    assert (all_.came, all_.defective, all_.inaccurate) == (Decimal(100), Decimal(2), False)
    assert all_.done_at == said.at("2026-11-20 10:00")
    assert all_.lead_time == said.at("2026-11-20 10:00") - said.at("2026-11-01 08:00")
    assert (end.defective, end.inaccurate) == (Decimal(7), True)


def test_defective_units_are_at_most_those_that_came() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", 10))
    said.reported("2026-11-11 10:00", "quality", quantity=50)
    assert said.conditions("2026-11-12 00:00")[0].defective == 10


def test_short_and_late_units_are_not_defective() -> None:
    said = Said().placed(TIME).came("2026-11-10 10:00", line("lamp", 10), final=True)
    said.reported("2026-11-11 10:00", "short", quantity=90)
    assert said.conditions("2026-11-12 00:00")[0].defective == 0


def test_the_value_that_is_overdue() -> None:
    said = Said().placed(TIME, line("lamp", 100, unit_price="2.50"), currency="EUR")
    said.came("2026-11-10 10:00", line("lamp", 60))
    assert said.overdue(TIME) is None
    assert said.overdue("2026-11-10 12:01") == ("EUR", Decimal(100))
    assert Said().placed(TIME).overdue("2026-11-10 12:01") == ("", Decimal(0))
    assert said.came("2026-11-11 10:00", line("lamp", 40)).overdue(LATER) is None


def test_goods_that_came_before_the_order_was_entered_have_no_lead_time() -> None:
    said = Said().came("2026-11-09 10:00").placed(TIME, when="2026-11-15 08:00")
    (found,) = said.conditions("2026-11-16 00:00")
    assert found.done_at == said.at("2026-11-09 10:00")
    assert found.lead_time is None
