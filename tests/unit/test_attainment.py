"""Figures over clocks: what counts, what is left out and counted beside, and how it is shown."""

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.attainment import (
    Attainment,
    Outcome,
    attainment,
    by_actor,
    by_holder,
    by_partner,
    by_tier_and_metric,
    control_totals,
    durations,
    grouped,
    quantile,
    rows_in,
    wilson,
)
from rules.clocks.clock import Clock
from schemas.time import HOUR
from tests.clock_timelines import ALWAYS, Timeline, at, policy

WEEK = (at("2026-11-02 00:00"), at("2026-11-09 00:00"))


def clocks(*timelines: Timeline, as_of: str = "2026-11-09 00:00") -> list[Clock]:
    return [clock for timeline in timelines for clock in timeline.all(as_of)]


def ticket(opened: str = "2026-11-02 10:00", promise: str = "24h", **settings: object) -> Timeline:
    return Timeline(policy({"resolution": promise}, dict(settings), ALWAYS)).opened(opened)


def seven() -> list[Clock]:
    """One of each class."""
    missing = {"overrides": [{"when": {"severity": "x"}, "without": ["resolution"]}]}
    return clocks(
        ticket().status("2026-11-02 20:00", "resolved"),
        ticket(),
        ticket(promise="9d"),
        ticket(promise="9d").status("2026-11-04 00:00", "waiting_on_partner"),
        ticket().excused("2026-11-04 10:00", "resolution/1", "claire"),
        Timeline(policy(missing)).opened("2026-11-03 10:00", severity="x"),
        Timeline(
            policy({"overrides": [{"when": {"severity": "x"}, "resolution": "24h"}]}, {}, ALWAYS)
        )
        .opened("2026-11-03 10:00", severity="x")
        .status("2026-11-03 11:00", "open", severity="y"),
    )


def test_every_instance_is_in_one_class_and_the_classes_add_up() -> None:
    figure = attainment(rows_in(seven(), *WEEK))
    assert (figure.met, figure.breached, figure.n) == (1, 1, 2)
    assert figure.left_out == dict.fromkeys(
        (
            Outcome.CANCELLED,
            Outcome.EXCUSED,
            Outcome.NEVER_RAN,
            Outcome.NOT_YET_DUE,
            Outcome.PAUSED,
        ),
        1,
    )
    assert figure.instances == 7
    assert figure.oldest_pause == 5 * 24 * HOUR


def test_an_instance_counts_in_the_period_in_which_it_fell_due() -> None:
    late = ticket("2026-11-08 10:00").status("2026-11-08 11:00", "resolved")
    assert rows_in(clocks(late), *WEEK) == []  # due on Monday, though kept on Sunday
    following = (WEEK[1], at("2026-11-16 00:00"))
    (row,) = rows_in(clocks(late, as_of="2026-11-16 00:00"), *following)
    assert row.outcome is Outcome.MET


def test_what_is_due_at_the_very_end_belongs_to_the_period() -> None:
    edge = ticket("2026-11-08 00:00").status("2026-11-08 12:00", "resolved")
    assert len(rows_in(clocks(edge), *WEEK)) == 1
    assert rows_in(clocks(edge, as_of="2026-11-16 00:00"), WEEK[1], at("2026-11-16 00:00")) == []


def test_a_breach_counts_once_however_long_it_stays_open() -> None:
    following = (WEEK[1], at("2026-11-16 00:00"))
    assert len(rows_in(clocks(ticket()), *WEEK)) == 1
    assert rows_in(clocks(ticket(), as_of="2026-11-16 00:00"), *following) == []


@pytest.mark.parametrize(
    ("met", "breached", "shown", "reaches"),
    [
        (1999, 1, "99.9", False),  # 99.95 %
        (9999, 1, "99.9", False),
        (2000, 0, "100.0", True),
        (0, 3, "0.0", False),
        (2, 1, "66.6", False),
    ],
)
def test_only_all_of_them_show_as_a_hundred(
    met: int, breached: int, shown: str, reaches: bool
) -> None:
    figure = Attainment(met, breached, {})
    assert (figure.percent, figure.reaches(Decimal(100))) == (shown, reaches)


def test_a_target_is_compared_without_rounding() -> None:
    assert Attainment(1999, 1, {}).reaches(Decimal("99.95")) is True
    assert Attainment(1998, 1, {}).reaches(Decimal("99.95")) is False


def test_nothing_due_is_no_attainment() -> None:
    nothing = attainment([])
    assert (nothing.percent, nothing.reaches(Decimal(90)), nothing.interval) == ("none", None, None)


def test_if_every_excuse_were_a_breach() -> None:
    figure = attainment(rows_in(seven(), *WEEK)).if_excuses_were_breaches
    assert (figure.met, figure.breached, figure.instances) == (1, 2, 7)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Brown, Cai and DasGupta (2001) and the calculators built on them give these.
    [(5, 10, 0.2366, 0.7634), (9, 10, 0.5958, 0.9821), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_wilsons_interval(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_no_interval_of_what_is_no_share(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson(successes, n)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share(share: tuple[int, int]) -> None:
    successes, n = share
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1


def test_groups_by_tier_and_metric_by_partner_and_by_who_held_it() -> None:
    owned = ticket().say(
        "2026-11-02 11:00", "case.assigned", case_id="C-0", actor="anna", to="bert"
    )
    rows = rows_in(clocks(ticket().status("2026-11-02 20:00", "resolved"), owned), *WEEK)
    assert grouped(rows, by_tier_and_metric)[("strategic", "resolution")].percent == "50.0"
    assert list(grouped(rows, by_partner)) == [("acme",)]
    assert grouped(rows, by_holder)[("bert",)].breached == 1


def test_pauses_and_excuses_are_shown_by_who_made_them() -> None:
    paused = ticket().status("2026-11-02 12:00", "waiting_on_partner")
    paused.status("2026-11-02 15:00", "open")
    own = ticket().say("2026-11-02 11:00", "case.assigned", case_id="C-0", actor="a", to="bert")
    own.excused("2026-11-04 10:00", "resolution/1", "bert")
    found = by_actor(rows_in(clocks(paused, own), *WEEK))
    assert (found["/desk"].pauses, found["/desk"].paused) == (1, 3 * HOUR)
    assert (found["bert"].excuses, found["bert"].own_excuses) == (1, 1)


def test_who_paused_and_who_made_it_less_urgent_is_named_where_the_helpdesk_does() -> None:
    promises = {
        "resolution": "48h",
        "overrides": [{"when": {"severity": "high"}, "resolution": "8h"}],
    }
    told = Timeline(policy(promises, {}, ALWAYS)).opened("2026-11-02 10:00", severity="high")
    told.status("2026-11-02 12:00", "waiting_on_partner", actor="ida")
    told.status("2026-11-02 15:00", "open", severity="low", actor="olaf")
    told.status("2026-11-02 16:00", "open", severity="high", actor="vera")
    told.status("2026-11-02 17:00", "resolved")
    found = by_actor(rows_in(clocks(told), *WEEK))
    assert {who: (f.pauses, f.downgrades) for who, f in found.items()} == {
        "ida": (1, 0),
        "olaf": (0, 1),  # and making it more urgent is none
    }


def test_a_median_stands_beside_what_is_still_open() -> None:
    done = [ticket().status(f"2026-11-02 {hour}:00", "resolved") for hour in (11, 12, 13, 20)]
    found = durations(clocks(*done, ticket("2026-11-03 00:00")))
    assert (found.n, found.median, found.p90) == (4, 2 * HOUR, 10 * HOUR)
    assert (found.still_open, found.oldest) == (1, 6 * 24 * HOUR)


def test_percentiles_are_values_that_were_observed() -> None:
    assert [quantile(range(1, 11), p) for p in (50, 90, 100)] == [5, 9, 10]
    assert quantile([], 50) is None


def test_control_totals_can_be_held_against_each_source() -> None:
    found = control_totals({("orders", "/erp"): 3, ("orders", "/web"): 2, ("tickets", "/desk"): 7})
    assert [(c.name, c.source, c.counted) for c in found] == [
        ("orders", "/erp", 3),
        ("orders", "/web", 2),
        ("orders", "all", 5),
        ("tickets", "/desk", 7),
        ("tickets", "all", 7),
    ]


@given(st.lists(st.sampled_from(range(7)), max_size=30))
def test_the_classes_of_any_selection_add_up(chosen: list[int]) -> None:
    all_rows = rows_in(seven(), *WEEK)
    rows = [all_rows[n] for n in chosen]
    figure = attainment(rows)
    counts = Counter(row.outcome for row in rows)
    assert figure.instances == len(rows)
    assert all(
        figure.left_out.get(o, 0) == counts[o] for o in Outcome if o not in ("met", "breached")
    )
