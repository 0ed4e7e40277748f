"""Laws of the figures about deliveries, over orders with everything that can happen to one."""

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.delivery_figures import Basis, Due, Grade
from rules.months import Month
from rules.orders import effective_at
from rules.partner_months import PartnerMonths
from rules.scorecard.scorecard import scorecard
from rules.subjects import Contribution
from schemas.report import Report
from schemas.time import DAY, HOUR, Instant, to_datetime
from tests.clock_timelines import Timeline, policy
from tests.order_pasts import BERLIN, Said, line

BEGIN = Said().at("2026-10-26 00:00")
#: Six hours apart, over three weeks with a change to winter time shortly before and a month's end.
moments = st.integers(0, 21 * 4).map(lambda n: f"{to_datetime(BEGIN + n * 6 * HOUR, BERLIN):%F %T}")
days = st.integers(0, 20).map(lambda n: f"{to_datetime(BEGIN + n * DAY, BERLIN).date()}")
whens = moments | days
skus = st.sampled_from(["lamp", "bulb"])
quantities = st.sampled_from([0, 1, 5, 10, 12])
parts = st.lists(st.builds(line, skus, quantities), min_size=1, max_size=2)
maybe = st.none()

happenings = st.one_of(
    st.tuples(st.just("came"), whens, parts, st.sampled_from([None, True, False]),
              st.sampled_from(["d1", "d2", "d3"])),
    st.tuples(st.just("brought all"), moments, st.booleans()),
    st.tuples(st.just("amended"), moments, st.sampled_from(["partner", "us"]), maybe | whens,
              maybe | parts),
    st.tuples(st.just("cancelled"), moments, st.sampled_from(["partner", "us"]), maybe | parts),
    st.tuples(st.just("reported"), moments,
              st.sampled_from(["short", "wrong_item", "damaged", "price"]), parts,
              st.sampled_from([None, "r1"])),
)  # fmt: skip


@st.composite
def orders(draw: st.DrawFn) -> Said:
    said = Said()
    bought = [line("lamp", 10), line("bulb", 10)][: draw(st.integers(1, 2))]
    if draw(st.booleans()):
        bought[0]["promised_at"] = said.when(draw(whens))
    said.placed(draw(whens), *bought, when=draw(moments))
    for happening in draw(st.lists(happenings, max_size=6)):
        _say(said, *happening)
    return said


def _say(said: Said, what: str, *how: Any) -> None:
    match what, *how:
        case "came", on, lines, final, name:
            said.came(on, *lines, name=name, final=final)
        case "brought all", when, final:
            said.say(when, "delivery.completed", delivery_id="d4", final=final)
        case "amended", when, by, promised, lines:
            if promised or lines:
                said.amended(when, by, promised_at=promised, lines=lines)
        case "cancelled", when, by, lines:
            said.cancelled(when, by, lines=lines)
        case "reported", when, kind, lines, name:
            said.reported(when, kind, lines=lines, report_id=name)
        case _:
            raise AssertionError(what)


def both(said: Said, **how: Any) -> list[Due]:
    return [due for basis in Basis for due in said.dues(basis, short="10", **how)]


@given(orders(), moments)
def test_whole_and_in_time_is_at_most_either(said: Said, as_of: str) -> None:
    for due in both(said, as_of=as_of):
        full_by_then = Grade.STRICT if due.full >= Grade.ON_OR_BEFORE else due.full
        assert due.otif <= due.on_time
        assert due.otif <= full_by_then
        assert 0 <= due.came <= due.ordered or due.called_off


@given(orders(), moments)
def test_an_order_is_as_good_as_its_worst_line(said: Said, as_of: str) -> None:
    for basis in Basis:
        for order, *lines in filter(None, [said.dues(basis, as_of=as_of)]):
            standing = [due for due in lines if not due.called_off]
            assert order.called_off == (not standing)
            if standing:
                assert order.otif == min(due.otif for due in standing)
                assert order.due == max(due.due for due in standing)


@given(orders(), moments, st.randoms(use_true_random=False))
def test_order_and_repetition_of_events_change_nothing(
    said: Said, as_of: str, chance: Random
) -> None:
    shuffled = [*said.contributions, *said.contributions[:3]]
    chance.shuffle(shuffled)
    assert both(said, as_of=as_of, contributions=shuffled) == both(said, as_of=as_of)


@given(orders(), moments)
def test_as_of_is_a_replay_up_to_it(said: Said, as_of: str) -> None:
    at = said.at(as_of)
    known = [c for c in said.contributions if effective_at(c, BERLIN) <= at]
    assert both(said, as_of=as_of, contributions=known) == both(said, as_of=as_of)


@given(orders(), moments, whens, parts)
def test_a_cancellation_after_the_first_promise_does_not_unmake_a_miss(
    said: Said, when: str, promised: str, lines: list[dict[str, Any]]
) -> None:
    before = {due.line: due for due in said.dues()}
    said.cancelled(when, "partner", lines=lines)
    for due in said.dues():
        was = before[due.line]
        if due.due == was.due < said.at(when) and due.line:
            assert (due.otif, due.on_time, due.full) == (was.otif, was.on_time, was.full)


# --- months ---------------------------------------------------------------------------------------

_COMPILED = policy(
    calendar={"timezone": "Europe/Berlin", "hours": {"mon-fri": ["09:00-17:00"]}},
    reporting={"quantity_tolerance": 10, "targets": {"default": {"otif": 90}}},
)


_NOVEMBER = Month(2026, 11)


def months_of(
    said: list[list[Contribution]], as_of: int, month: Month = _NOVEMBER
) -> PartnerMonths:
    months = PartnerMonths("acme", Timeline(_COMPILED).world, month, as_of)
    for n, contributions in enumerate(said):
        months.add_order(f"PO-{n}", contributions)
    return months


#: Whole reports take longer to make than single orders.
fewer = settings(max_examples=settings().max_examples // 3)


def report_of(said: list[list[Contribution]], as_of: int) -> Report:
    return scorecard(months_of(said, as_of), "Acme").report


@fewer
@given(st.lists(orders(), max_size=2), st.integers(0, 30))
def test_shares_grow_with_the_grade_and_classes_add_up(said: list[Said], after: int) -> None:
    as_of = Said().at("2026-11-08 00:00") + after * DAY
    months = months_of([one.contributions for one in said], as_of)
    made = scorecard(months, "Acme")
    for prefix in ("otif", "on_time", "in_full"):
        for middle in ("", "/lines", "/repromised", "/lines/repromised"):
            names = [f"{prefix}{middle}{suffix}" for suffix in ("/strict", "", "/within_tolerance")]
            figures = [f for name in names if (f := made.report.figure(name)) is not None]
            shares = [figure.value for figure in figures]
            assert len({figure.n for figure in figures}) == 1
            assert shares == sorted(shares, key=lambda share: share or Decimal(0))
            for figure in figures:
                rows = made.behind(figure.id)
                assert rows is not None
                said_of = [row[-2] for row in rows.rows]
                assert said_of.count("hit") + said_of.count("miss") == figure.n
                assert set(said_of) <= {"hit", "miss", "left out"}
                if figure.n:
                    exact = Decimal(100) * said_of.count("hit") / figure.n
                    assert 0 <= exact - (figure.value or 0) < Decimal("0.1")
    for otif, part in (("otif", "on_time"), ("otif", "in_full"), ("otif/strict", "on_time/strict")):
        one, two = made.report.figure(otif), made.report.figure(part)
        assert one is not None
        assert two is not None
        assert (one.value or 0) <= (two.value or 0)


@fewer
@given(st.lists(orders(), min_size=1, max_size=2))
def test_each_line_counts_in_one_month_on_each_basis(said: list[Said]) -> None:
    months = months_of([one.contributions for one in said], Said().at("2026-12-24 00:00"),
                       Month(2026, 12))  # fmt: skip
    lines = [
        (basis, due.order_id, due.line)
        for month in months.months
        for basis in Basis
        for due in month.dues[basis, False]
    ]
    assert len(lines) == len(set(lines))
    assert len(lines) == sum(len(one.dues(basis)) - 1 for one in said for basis in Basis)


@fewer
@given(st.lists(orders(), max_size=2), st.randoms(use_true_random=False))
def test_a_report_is_the_same_in_whatever_order_it_is_made(
    said: list[Said], chance: Random
) -> None:
    as_of = Said().at("2026-12-01 09:00")
    contributions = [one.contributions for one in said]
    shuffled = [chance.sample(one * 2, len(one) * 2) for one in contributions]
    assert report_of(shuffled, as_of) == report_of(contributions, as_of)


@pytest.mark.parametrize("key", ["2026-13", "26-10", "2026-1", "october", "1990-01"])
def test_a_month_is_written_with_year_and_number(key: str) -> None:
    with pytest.raises(ValueError, match="write year and month"):
        Month.parse(key)


@given(st.integers(1991, 2098), st.integers(1, 12), st.integers(-30, 30))
def test_months_follow_each_other(year: int, number: int, n: int) -> None:
    month = Month(year, number)
    assert Month.parse(month.key) == month
    assert month.plus(n).plus(-n) == month
    assert month.end(BERLIN) == month.plus(1).begin(BERLIN)
    assert Month.of(month.end(BERLIN), BERLIN) == month
    assert Month.of(month.begin(BERLIN) + 1, BERLIN) == month
    assert to_datetime(month.begin(BERLIN), BERLIN) + timedelta(days=28) < to_datetime(
        Instant(month.end(BERLIN) + 2 * HOUR), BERLIN
    )
