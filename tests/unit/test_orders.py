"""The facts of an order, sentence by sentence: delay, finality, impact, exposure, categories."""

import json
from decimal import Decimal
from typing import Any

import pytest

from rules.orders import Order, effective_at, version_of
from rules.subjects import Contribution, state_subject
from schemas.events import Malformed, UnknownType, parse_event
from schemas.policy import ImpactMeasure
from schemas.time import DAY, HOUR, Instant, iso
from tests.harness import BERLIN, Event, delivery, impacted, line, moment, placed

PROMISED = "2026-11-10 12:00"
D = Decimal


def contribution(event: Event, n: int = 0) -> Contribution:
    """What an event says of its order; without a time it bears the n-th hour of 1 November."""
    time = moment(event.at) if event.at else moment("2026-11-01 00:00") + n * HOUR
    envelope = {
        "specversion": "1.0",
        "id": event.id or f"e{n:03}",
        "source": event.source,
        "type": event.type,
        "time": iso(time, BERLIN),
        "data": event.data,
    }
    parsed = parse_event(json.dumps(envelope).encode())
    assert not isinstance(parsed, Malformed | UnknownType), parsed
    return state_subject(parsed, Instant(0)).contribution


def known(
    *events: Event, asked: str = "2026-11-05 12:00", measure: ImpactMeasure = ImpactMeasure.UNITS
) -> Order:
    """What is known of an order, silence counted up to `asked`."""
    said = [contribution(event, n) for n, event in enumerate(events)]
    order = Order(BERLIN, measure)
    for one in sorted(said, key=lambda c: (effective_at(c, BERLIN), version_of(c))):
        order.apply(one, effective_at(one, BERLIN))
    order.ask(moment(asked), moment(asked))
    return order


def placing(*lines: dict[str, Any], promised: str = PROMISED, **more: Any) -> Event:
    return placed("PO-1", promised=promised, lines=list(lines) or None, **more)


def came(*lines: dict[str, Any], on: str = "2026-11-10 10:00", **more: Any) -> Event:
    return delivery("PO-1", lines=list(lines) or None, on=on, **more)


def came_unspecified(*, final: bool | None = None, on: str = "2026-11-10 10:00") -> Event:
    event = delivery("PO-1", on=on, final=final)
    del event.data["lines"]
    return event


def said(type_: str, at: str | None = None, **data: Any) -> Event:
    for name in ("promised_at", "eta"):
        if len(data.get(name, "")) > 10:
            data[name] = iso(moment(data[name]), BERLIN)
    return Event(type_, {"partner_id": "kontor", "order_id": "PO-1", **data}, "/erp", at=at)


def amended(by: str, at: str | None = None, **data: Any) -> Event:
    return said("order.amended", at, agreed_by=by, **data)


def cancelled(by: str, at: str | None = None, **data: Any) -> Event:
    return said("order.cancelled", at, by=by, **data)


def rescheduled(eta: str, at: str | None = None, **data: Any) -> Event:
    return said("delivery.rescheduled", at, eta=eta, **data)


def report(kind: str, **data: Any) -> Event:
    return impacted("PO-1", kind, **data)


def categories(order: Order) -> set[str]:
    found = order.categories()
    assert found is not None
    return set(found)


# --- delay ----------------------------------------------------------------------------------------


def test_before_the_promise_nothing_is_known_of_a_delay() -> None:
    assert known(placing()).delay() is None


def test_after_the_promise_silence_is_a_delay() -> None:
    assert known(placing(), asked="2026-11-12 13:00").delay() == 49 * HOUR


def test_a_delivery_is_held_against_the_promise() -> None:
    assert known(placing(), came()).delay() == -2 * HOUR
    assert known(placing(), came(on="2026-11-11 12:00")).delay() == DAY


def test_days_mean_their_end_for_promises_and_deliveries_alike() -> None:
    assert known(placing(promised="2026-11-10"), came(on="2026-11-10")).delay() == 0
    late = known(placing(promised="2026-11-10"), came(on="2026-11-11 00:00"))
    assert late.delay() == 0  # the midnight at which that day ends
    assert known(placing(promised="2026-11-10"), came(on="2026-11-11")).delay() == DAY


def test_a_line_is_there_when_the_delivery_came_that_made_it_complete() -> None:
    order = known(
        placing(),
        came(line("LAMP", "60"), on="2026-11-09 12:00"),
        came(line("LAMP", "40"), on="2026-11-13 12:00", delivery_id="D-2"),
        came(line("LAMP", "5"), on="2026-11-20 12:00", delivery_id="D-3"),
    )
    assert order.delay() == 3 * DAY


def test_the_largest_delay_of_a_line_is_the_order_s() -> None:
    order = known(
        placing(line("LAMP"), line("BULB", promised_at="2026-11-08 12:00")),
        came(line("LAMP"), on="2026-11-09 12:00"),
        came(line("BULB"), on="2026-11-09 12:00", delivery_id="D-2"),
    )
    assert order.delay() == DAY
    assert order.arrivals() == [
        (moment(PROMISED), moment("2026-11-09 12:00")),
        (moment("2026-11-08 12:00"), moment("2026-11-09 12:00")),
    ]


def test_deliveries_add_up_in_the_order_in_which_they_came_not_were_reported() -> None:
    late_first = known(
        placing(),
        came(line("LAMP", "40"), on="2026-11-13 12:00", delivery_id="D-2"),
        came(line("LAMP", "60"), on="2026-11-09 12:00"),
    )
    assert late_first.delay() == 3 * DAY


def test_the_last_word_about_a_delivery_stands() -> None:
    order = known(
        placing(),
        came(on="2026-11-13 12:00", at="2026-11-13 13:00"),
        came(on="2026-11-09 12:00", at="2026-11-13 14:00"),
    )
    assert order.delay() == -DAY


def test_between_two_words_of_one_time_source_and_id_decide() -> None:
    first = came(on="2026-11-13 12:00", at="2026-11-13 13:00", id="a")
    second = came(on="2026-11-09 12:00", at="2026-11-13 13:00", id="b")
    assert known(placing(), first, second).delay() == -DAY
    assert known(placing(), second, first).delay() == -DAY


def test_the_first_confirmation_is_the_promise() -> None:
    again = placed("PO-1", promised="2026-11-20 12:00", id="again")
    assert known(placing(), again, came(on="2026-11-11 12:00")).delay() == DAY


def test_an_amendment_moves_the_promise_only_if_the_partner_agreed() -> None:
    later = "2026-11-12 12:00"
    on_the_12th = came(on="2026-11-12 12:00")
    assert known(placing(), amended("partner", promised_at=later), on_the_12th).delay() == 0
    assert known(placing(), amended("us", promised_at=later), on_the_12th).delay() == 2 * DAY


def test_both_promises_are_shown() -> None:
    order = known(
        placing(),
        amended("partner", promised_at="2026-11-12 12:00"),
        came(on="2026-11-15 12:00"),
    )
    assert "promised 2026-11-12 12:00 CET (first promised 2026-11-10 12:00 CET)" in (
        order.in_words("delay")
    )


def test_an_amendment_does_not_unmake_a_miss() -> None:
    order = known(
        placing(),
        amended("partner", at="2026-11-13 12:00", promised_at="2026-11-20 12:00"),
        asked="2026-11-14 12:00",
    )
    assert order.delay() is None  # under the new promise nothing is late
    order.hindsight = True
    assert order.delay() == 3 * DAY


def test_what_had_come_by_its_old_promise_never_missed_it() -> None:
    order = known(
        placing(),
        came(on="2026-11-10 10:00"),
        amended("partner", at="2026-11-13 12:00", promised_at="2026-11-20 12:00"),
        asked="2026-11-14 12:00",
    )
    order.hindsight = True
    assert order.delay() is not None
    assert order.delay() < 0  # type: ignore[operator]  # it is not None, says the line above


def test_lines_of_an_amendment_that_came_before_the_order_share_no_place_with_its_own() -> None:
    early = amended("partner", at="2026-10-31 12:00", lines=[line("BULB", "5")])
    order = known(placing(), early, came(final=True))
    assert [one.key for one in order.lines] == ["#1", "#2"]


def test_what_came_late_stays_late_though_a_new_promise_was_agreed_afterwards() -> None:
    order = known(
        placing(),
        came(on="2026-11-13 12:00"),
        amended("partner", at="2026-11-14 12:00", promised_at="2026-11-20 12:00"),
        asked="2026-11-15 12:00",
    )
    order.hindsight = True
    assert order.delay() == 3 * DAY


# --- forecasts ------------------------------------------------------------------------------------


def test_a_forecast_speaks_for_what_has_not_come() -> None:
    order = known(placing(), said("delivery.dispatched", delivery_id="D-1", eta="2026-11-13 12:00"))
    assert order.delay() == 3 * DAY


def test_a_later_forecast_of_a_delivery_replaces_the_earlier() -> None:
    better = rescheduled("2026-11-10 09:00", at="2026-11-05 10:00", delivery_id="D-1")
    worse = rescheduled("2026-11-13 12:00", at="2026-11-05 09:00", delivery_id="D-1")
    assert known(placing(), better, worse).delay() == -3 * HOUR


def test_the_best_of_several_deliveries_counts() -> None:
    one = rescheduled("2026-11-13 12:00", delivery_id="D-1")
    two = rescheduled("2026-11-12 12:00", delivery_id="D-2")
    assert known(placing(), one, two).delay() == 2 * DAY


def test_a_failed_delivery_s_forecast_is_void_until_there_is_a_new_one() -> None:
    forecast = rescheduled("2026-11-13 12:00", at="2026-11-02 09:00", delivery_id="D-1")
    failed = said("delivery.failed", at="2026-11-03 09:00", delivery_id="D-1")
    second = rescheduled("2026-11-14 12:00", at="2026-11-04 09:00", delivery_id="D-1")
    assert known(placing(), forecast, failed).delay() is None
    assert known(placing(), forecast, failed, second).delay() == 4 * DAY


def test_a_forecast_that_has_passed_is_no_excuse() -> None:
    forecast = rescheduled("2026-11-10 11:00", delivery_id="D-1")
    assert known(placing(), forecast, asked="2026-11-11 12:00").delay() == DAY


def test_what_has_come_is_not_forecast_any_more() -> None:
    order = known(
        placing(),
        rescheduled("2026-11-20 12:00", delivery_id="D-1"),
        came(line("LAMP", "60"), delivery_id="D-1"),
    )
    assert order.delay() is None
    assert order.best_eta() is None


# --- cancellations --------------------------------------------------------------------------------


def test_a_cancelled_order_is_not_late() -> None:
    for by in ("partner", "us"):
        assert known(placing(), cancelled(by), asked="2026-12-01 12:00").delay() is None


def test_a_cancellation_does_not_unmake_a_miss() -> None:
    order = known(placing(), cancelled("partner", at="2026-11-13 12:00"), asked="2026-11-30 12:00")
    assert order.delay() is None
    order.hindsight = True
    assert order.delay() == 3 * DAY


def test_called_off_by_the_partner_it_was_never_ordered() -> None:
    order = known(
        placing(),
        cancelled("partner", lines=[line("LAMP", "20")]),
        came(line("LAMP", "80")),
    )
    assert order.impact() == 0
    assert order.delay() == -2 * HOUR


def test_called_off_by_us_it_is_short_against_what_was_ordered() -> None:
    order = known(
        placing(),
        cancelled("us", lines=[line("LAMP", "20")]),
        came(line("LAMP", "80")),
    )
    assert order.impact() == 20
    assert order.delay() == -2 * HOUR  # what was left to come, came


def test_an_order_that_we_call_off_altogether_is_short_of_everything() -> None:
    assert known(placing(), cancelled("us")).impact() == 100


def test_of_what_has_come_nothing_can_be_called_off() -> None:
    order = known(
        placing(),
        came(line("LAMP", "60"), on="2026-11-02 12:00"),
        cancelled("us", at="2026-11-03 12:00"),
    )
    assert order.impact() == 40


def test_cut_by_us_in_an_amendment_is_short_too() -> None:
    order = known(placing(), amended("us", lines=[line("LAMP", "90")]), came(line("LAMP", "90")))
    assert order.impact() == 10
    assert order.delay() == -2 * HOUR


def test_less_by_agreement_is_less_ordered() -> None:
    order = known(
        placing(), amended("partner", lines=[line("LAMP", "90")]), came(line("LAMP", "90"))
    )
    assert order.impact() == 0
    assert order.final_at == moment("2026-11-10 10:00")


def test_more_by_agreement_has_to_come_too() -> None:
    order = known(
        placing(), amended("partner", lines=[line("LAMP", "150")]), came(line("LAMP"), final=True)
    )
    assert order.impact() == D(50) / 150 * 100


def test_a_new_line_by_agreement() -> None:
    order = known(placing(), amended("partner", lines=[line("BULB", "50")]), came(line("LAMP")))
    assert order.final_at is None
    assert order.delay() == -2 * HOUR


# --- final ----------------------------------------------------------------------------------------


def test_final_is_inferred_when_everything_has_come() -> None:
    assert known(placing(), came()).final_at == moment("2026-11-10 10:00")


def test_a_part_delivery_says_nothing_of_shortage_while_more_may_come() -> None:
    order = known(placing(), came(line("LAMP", "60")))
    assert order.final_at is None
    assert order.impact() == 0


def test_said_to_be_final_what_is_missing_is_short() -> None:
    order = known(placing(), came(line("LAMP", "60"), final=True))
    assert order.impact() == 40
    assert order.delay() == -2 * HOUR  # its shortage is impact, not delay
    assert order.in_words("impact") == "40 of 100 units short = 40.0 %"


def test_a_further_delivery_voids_earlier_finality() -> None:
    order = known(
        placing(),
        came(line("LAMP", "60"), final=True),
        came(line("LAMP", "20"), on="2026-11-11 10:00", delivery_id="D-2"),
    )
    assert order.final_at is None
    assert order.impact() == 0


def test_a_delivery_without_lines_that_is_not_final_says_nothing_about_quantities() -> None:
    order = known(placing(), came_unspecified(), asked="2026-11-11 12:00")
    assert order.delay() == DAY
    assert order.final_at is None


def test_a_final_one_without_lines_brought_everything_unconfirmed() -> None:
    order = known(placing(), came_unspecified(final=True))
    assert (order.delay(), order.impact()) == (-2 * HOUR, D(0))
    assert order.unconfirmed is True
    assert known(placing(), came(final=True)).unconfirmed is False


def test_over_delivery_offsets_nothing() -> None:
    order = known(
        placing(line("LAMP"), line("BULB")),
        came(line("LAMP", "150"), line("BULB", "50"), final=True),
    )
    assert order.impact() == 25


def test_lines_that_were_never_ordered_are_counted_apart() -> None:
    order = known(placing(), came(line("LAMP"), line("SOAP", "3")))
    assert order.impact() == 0
    assert order.unknown_lines == 1


# --- impact ---------------------------------------------------------------------------------------


def test_nothing_affected_is_zero() -> None:
    assert known(placing()).impact() == 0


def test_without_the_order_a_share_is_only_known_if_it_was_reported() -> None:
    assert known(report("quality", quantity="5")).impact() is None
    assert known(report("quality", impact_percent="12")).impact() == 12


def test_quantity_percent_and_lines_are_three_ways_to_say_it() -> None:
    for how in ({"quantity": "12"}, {"impact_percent": "12"}, {"lines": [line("LAMP", "12")]}):
        assert known(placing(), report("quality", **how)).impact() == 12


def test_different_kinds_add_up_to_what_was_ordered() -> None:
    damaged = report("damaged", lines=[line("LAMP", "30")])
    quality = report("quality", lines=[line("LAMP", "50")])
    price = report("price", lines=[line("LAMP", "60")])
    assert known(placing(), damaged, quality).impact() == 80
    assert known(placing(), damaged, quality, price).impact() == 100


@pytest.mark.parametrize(("reported", "counts"), [("10", 40), ("55", 55)])
def test_shortage_shown_and_reported_is_the_same_trouble_the_larger_counts(
    reported: str, counts: int
) -> None:
    order = known(
        placing(),
        came(line("LAMP", "60"), final=True),
        report("short", lines=[line("LAMP", reported)]),
    )
    assert order.impact() == counts


@pytest.mark.parametrize(("reported", "counts"), [("10", 20), ("25", 25)])
def test_damage_likewise(reported: str, counts: int) -> None:
    order = known(
        placing(),
        came(line("LAMP", "100", damaged="20")),
        report("damaged", lines=[line("LAMP", reported)]),
    )
    assert order.impact() == counts


def test_shortage_reported_for_the_order_is_the_shortage_that_its_deliveries_show() -> None:
    shown = came(line("LAMP", "60"), final=True)
    assert known(placing(), shown, report("short", quantity="10")).impact() == 40
    assert known(placing(), shown, report("short", quantity="55")).impact() == 55


def test_a_wrong_item_includes_its_shortage() -> None:
    order = known(
        placing(),
        came(line("LAMP", "60"), final=True),
        report("wrong_item", lines=[line("LAMP", "30")]),
    )
    assert order.impact() == 40
    assert categories(order) == {"short", "wrong_item"}


def test_a_report_is_corrected_by_its_name() -> None:
    first = report("quality", report_id="R", quantity="50")
    second = report("quality", report_id="R", quantity="5")
    other = report("quality", report_id="S", quantity="2")
    assert known(placing(), first, second).impact() == 5
    assert known(placing(), first, second, other).impact() == 7


def test_the_latest_of_two_reports_stands_whichever_came_first() -> None:
    late = report("quality", report_id="R", quantity="5")._replace(at="2026-11-03 10:00")
    early = report("quality", report_id="R", quantity="50")._replace(at="2026-11-03 09:00")
    assert known(placing(), late, early).impact() == 5


def test_reports_without_a_name_stand_beside_each_other() -> None:
    one, two = report("quality", quantity="3"), report("quality", quantity="4")
    assert known(placing(), one, two).impact() == 7


def test_trouble_by_article_is_at_most_what_was_ordered_of_it() -> None:
    order = known(
        placing(line("LAMP", "10"), line("BULB", "90")),
        report("damaged", lines=[line("LAMP", "40")]),
    )
    assert order.impact() == 10


def test_measured_by_value_or_by_lines() -> None:
    events = (
        placing(line("LAMP", "90", unit_price="1"), line("PUMP", "10", unit_price="91")),
        report("damaged", lines=[line("PUMP", "10")]),
    )
    assert known(*events).impact() == 10
    assert known(*events, measure=ImpactMeasure.LINES).impact() == 50
    assert known(*events, measure=ImpactMeasure.VALUE).impact() == 91


def test_by_value_it_is_unknown_without_prices() -> None:
    order = known(
        placing(line("LAMP"), line("PUMP", unit_price="5")),
        report("damaged", lines=[line("PUMP", "10")]),
        measure=ImpactMeasure.VALUE,
    )
    assert order.impact() is None


def test_several_lines_of_one_article_are_served_by_their_promises() -> None:
    order = known(
        placing(
            line("LAMP", "50", promised_at="2026-11-20 12:00"),
            line("LAMP", "50", promised_at="2026-11-09 12:00"),
        ),
        came(line("LAMP", "50"), on="2026-11-09 10:00"),
    )
    assert order.delay() == -2 * HOUR
    assert order.impact() == 0
    assert order.final_at is None


def test_lines_of_one_article_are_told_apart_by_their_names() -> None:
    order = known(
        placing(line("LAMP", "50", line_id="1"), line("LAMP", "50", line_id="2")),
        came({"line_id": "2", "quantity": "60"}, final=True),
    )
    assert order.impact() == 50  # ten too many of one offset nothing of the other
    order = known(
        placing(line("LAMP", "50", line_id="1"), line("PUMP", "50", line_id="2")),
        report("damaged", lines=[{"line_id": "2", "quantity": "5"}]),
    )
    assert set(order.skus()) == {"PUMP"}


# --- exposure -------------------------------------------------------------------------------------


def test_a_healthy_order_exposes_nothing() -> None:
    assert known(placing()).exposure("EUR") == 0
    assert known(placing(), came()).exposure("EUR") == 0


def test_what_is_undelivered_past_its_promise_is_exposed() -> None:
    order = known(placing(), came(line("LAMP", "60")), asked="2026-11-11 12:00")
    assert order.exposure("EUR") == 400


def test_what_is_affected_is_exposed() -> None:
    assert known(placing(), report("damaged", lines=[line("LAMP", "7")])).exposure("EUR") == 70
    assert known(placing(), report("damaged", impact_percent="30")).exposure("EUR") == 300


def test_nothing_is_exposed_twice() -> None:
    order = known(
        placing(), report("damaged", lines=[line("LAMP", "70")]), asked="2026-11-11 12:00"
    )
    assert order.exposure("EUR") == 1000


def test_without_a_price_it_is_unknown() -> None:
    order = known(placing(line("LAMP")), asked="2026-11-11 12:00")
    assert order.exposure("EUR") is None


def test_a_missing_price_matters_only_where_there_is_trouble() -> None:
    order = known(
        placing(line("LAMP"), line("PUMP", "10", unit_price="5")),
        report("damaged", lines=[line("PUMP", "1")]),
    )
    assert order.exposure("EUR") == 5


def test_in_another_currency_it_is_unknown() -> None:
    late = known(placing(currency="USD", promised=PROMISED), asked="2026-11-11 12:00")
    assert late.exposure("EUR") is None
    assert late.exposure("USD") == 1000
    assert known(placing(currency="USD")).exposure("EUR") == 0


def test_what_was_called_off_is_not_waited_for() -> None:
    order = known(placing(), cancelled("partner"), asked="2026-11-20 12:00")
    assert order.exposure("EUR") == 0


# --- categories and articles ----------------------------------------------------------------------


def test_categories_are_the_kinds_of_trouble_and_delay() -> None:
    assert categories(known(placing())) == set()
    assert categories(known(placing(), asked="2026-11-11 12:00")) == {"delay"}
    both = known(placing(), report("quality", quantity="3"), came(on="2026-11-12 12:00"))
    assert categories(both) == {"quality", "delay"}
    assert categories(known(placing(), came(line("LAMP", "9"), final=True))) == {"short"}


def test_a_report_of_nothing_is_no_category() -> None:
    assert categories(known(placing(), report("quality", quantity="0"))) == set()


def test_before_the_order_is_known_a_report_has_its_category() -> None:
    assert categories(known(report("quality", quantity="3"))) == {"quality"}


def test_articles_with_trouble() -> None:
    order = known(placing(line("LAMP"), line("BULB")), report("quality", lines=[line("BULB", "1")]))
    assert set(order.skus()) == {"BULB"}


def test_age_counts_until_nothing_more_is_to_come() -> None:
    assert known(placing()).since() == moment("2026-11-01 00:00")
    assert known(placing(), came()).since() is None
    assert known(placing(), cancelled("us")).since() is None


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ("12", "12 of 150 units short = 8.0 %"),
        ("7.5", "7.5 of 150 units short = 5.0 %"),
        ("7.501", "7.501 of 150 units short = 5.001 %"),
        ("0", "nothing is affected"),
    ],
)
def test_the_arithmetic_in_words_never_contradicts_the_comparison(units: str, words: str) -> None:
    order = known(placing(line("LAMP", "150")), report("short", lines=[line("LAMP", units)]))
    assert order.in_words("impact") == words


def test_several_kinds_in_words() -> None:
    order = known(placing(), report("wrong_item", quantity="2"), report("quality", quantity="3"))
    assert order.in_words("impact") == "5 of 100 units (3 quality, 2 wrong item) = 5.0 %"
