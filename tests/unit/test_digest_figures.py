"""What a digest makes of counts: shares that never flatter, warnings that chance does not give."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.attainment import Attainment
from rules.decision import StepKind, StepRow
from rules.digest.digest import digest
from rules.digest.early_warnings import count_rises, share_falls, trends
from rules.digest.material import Counts, Material, Names
from rules.digest.open_cases import age_name
from rules.digest.period import read_period
from rules.ledger import Entered, Escalation, Instance, Pause
from rules.patterns import pattern_key
from rules.report_parts import target_of
from schemas.report import Report
from schemas.time import DAY, HOUR, Instant

WEEK = read_period("2026-W47", ZoneInfo("Europe/Berlin"))


def counts(met: int = 0, breached: int = 0, partner: str = "acme", **other: int) -> Counts:
    by_class = {"met": met, "breached": breached, **other}
    cell = (partner, "strategic", "first_response", "", "")
    return Counter({(*cell, name): n for name, n in by_class.items() if n})


def material(**parts: Any) -> Material:
    """A week in which nothing happened, but for what `parts` says."""
    nothing: dict[str, Any] = {
        "period": WEEK,
        "as_of": WEEK.end + DAY,
        "until": WEEK.end,
        "partner_tiers": ("strategic", "standard"),
        "tiers": ("frontline", "management", "executive"),
        "targets": {"strategic": {"first_response": Decimal("99.95")}},
        "tickets": ("severity critical", "severity high"),
        "names": Names({"acme": "Acme Ltd"}, {"anna": "Anna Lindner"}, False, {"anna": "manager"}),
        "counts": Counter(),
        "before": [Counter()] * 4,
        "open": Counter(),
        "openings": [Counter()] * 5,
    }
    empty = ("paused", "breaches", "escalations", "lasting", "disputes", "deescalations")
    nothing |= dict.fromkeys(empty, ())
    nothing |= {
        name: {}
        for name in (
            "pauses",
            "excuses",
            "downgrades",
            "spent",
            "going_on",
            "partner_of_case",
            "events",
        )
    }
    return Material(**nothing | parts)


def report(**parts: Any) -> Report:
    return digest(material(**parts), "p1").report


def test_a_week_without_anything_says_so_in_five_lines() -> None:
    made = report()
    assert [line.text for line in made.summary] == [
        "No promise to a partner fell due.",
        "No promise was broken.",
        "No case asked anybody, and none is open.",
        "No partner trends the wrong way by more than chance explains.",
        "Nothing waits for a decision.",
    ]


def test_a_share_just_below_all_is_never_shown_as_all_and_misses_its_target() -> None:
    figure = report(counts=counts(1999, 1)).figure("attainment/strategic/first_response")
    assert figure is not None
    assert (figure.shown, figure.reached) == ("99.9 %", True)  # exactly 99.95 %
    figure = report(counts=counts(1998, 1)).figure("attainment/strategic/first_response")
    assert figure is not None
    assert (figure.shown, figure.reached) == ("99.9 %", False)


@pytest.mark.parametrize(
    ("tier", "metric", "percent"),
    [
        ("strategic", "first_response", 95),
        ("strategic", "touchpoint:review", 60),
        ("strategic", "touchpoint:call", 50),
        ("strategic", "resolution", 90),
        ("growth", "first_response", 80),
        ("growth", "resolution", 70),
    ],
)
def test_a_target_is_the_tier_s_before_it_is_everybody_s(
    tier: str, metric: str, percent: int
) -> None:
    said = {
        "strategic": {"first_response": 95, "review": 60, "touchpoint": 50, "default": 90},
        "default": {"first_response": 80, "default": 70},
    }
    targets = {who: {k: Decimal(v) for k, v in these.items()} for who, these in said.items()}
    assert target_of(targets, tier, metric) == percent


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ([(1, 1), (2, 1), (1, 0), (9, 1)],
         "50.0 % in W43, 66.6 % in W44, 100.0 % in W45, 90.0 % in W46"),
        ([(0, 0), (2, 1), (0, 0), (9, 1)], "66.6 % in W44, 90.0 % in W46; none due in W43, W45"),
    ],
)  # fmt: skip
def test_the_summary_says_which_share_was_which_week_s(
    before: list[tuple[int, int]], said: str
) -> None:
    weeks = [counts(*week) for week in before]
    made = report(counts=counts(3, 1), before=weeks, targets={})
    assert made.summary[0].text == (
        f"75.0 % of the promises to partners were kept (4 commitments due; {said})."
    )


def test_of_weeks_in_which_nothing_was_due_the_summary_is_silent() -> None:
    assert report(counts=counts(3, 1), targets={}).summary[0].text.endswith("(4 commitments due).")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["acme", "kontor"]),
            st.sampled_from(["strategic", "standard"]),
            st.sampled_from(["first_response", "resolution", "touchpoint:call"]),
            st.sampled_from(["", "severity high", "category quality"]),
            st.sampled_from(list(Entered)),
            st.integers(1, 5),
        ),
        max_size=12,
    )
)
def test_groups_add_up_to_the_whole(cells: list[tuple[str, str, str, str, Entered, int]]) -> None:
    found: Counts = Counter()
    for partner, tier, metric, tickets, entered, n in cells:
        found[partner, tier, metric, "", tickets, str(entered)] += n
    made = report(counts=found)
    due = {f.id: f.n or 0 for f in made.all_figures() if f.unit == "percent"}
    by_metric = sum(n for name, n in due.items() if name.startswith("attainment/s"))
    by_partner = sum(n for name, n in due.items() if name.startswith("attainment-by-partner/"))
    assert due["attainment/all"] == by_metric == by_partner
    for tier, metric in {cell[1:3] for cell in cells if cell[3]}:
        whole = due[f"attainment/{tier}/{metric.removeprefix('touchpoint:')}"]
        part = f"attainment-by-tickets/{tier}/{metric}/"
        assert sum(n for name, n in due.items() if name.startswith(part)) == whole
    broken = sum(n for c, n in found.items() if c[-1] in ("breached", "open"))
    figure = made.figure("breaches/all")
    assert figure is not None
    assert figure.n == broken


def escalation(**fields: Any) -> Escalation:
    found = Escalation(
        "order:acme:PO-1", 1, "C-1", "order", "acme", "strategic", "executive",
        "executive_sponsor", "late-delivery", "escalated", "acknowledge", None,
        WEEK.begin - 2 * DAY, WEEK.begin - DAY, None, None, False, None, "", False,
    )  # fmt: skip
    return replace(found, **fields)


def test_executive_time_is_that_within_the_week_and_what_a_silent_tier_caused_is_apart() -> None:
    lasting = [
        escalation(),
        escalation(
            case_id="C-2", because="resolve", asked_at=WEEK.begin + DAY,
            ended_at=WEEK.begin + DAY + 6 * HOUR, acknowledged_at=WEEK.begin + DAY + HOUR,
        ),
        escalation(case_id="C-3", tier="management"),
        escalation(case_id="C-4", retracted=True),
    ]  # fmt: skip
    made = report(lasting=lasting)
    shown = {f.id: f.value for f in made.all_figures() if f.id.startswith("executive/")}
    assert shown == {
        "executive/cases": 2,
        "executive/time": 7 * 24 + 6,
        "executive/avoidable-cases": 1,
        "executive/avoidable-time": 7 * 24,
    }


def listed(made: Report, section: str, title: str) -> tuple[list[tuple[str, ...]], str]:
    """The rows of a table, and its note."""
    [found] = [
        table for s in made.sections if s.id == section for table in s.tables
        if table.title == title
    ]  # fmt: skip
    return [tuple(cell.text for cell in row) for row in found.rows], found.note


def test_a_long_table_shows_what_matters_most_and_says_where_the_rest_is() -> None:
    seen = WEEK.begin + HOUR
    lasting = [
        *(
            escalation(case_id=f"C-A{n}", acknowledged_at=seen, acknowledged_by="david")
            for n in range(9)
        ),
        # Answered after the week: it was not when the week ended.
        escalation(case_id="C-L", acknowledged_at=WEEK.end + HOUR, asked_at=WEEK.begin - 9 * DAY),
        *(escalation(case_id=f"C-B{n}", asked_at=WEEK.begin + n * HOUR) for n in range(1, 10)),
    ]
    made = report(lasting=lasting)
    rows, note = listed(made, "executive-attention", "Cases at executive")
    assert [row[1] for row in rows] == [
        "C-L", *(f"C-B{n}" for n in range(1, 10)), *(f"C-A{n}" for n in range(5)),
    ]  # fmt: skip
    assert note == "4 more are behind the figure executive/cases."
    rows, note = listed(made, "open-cases", "The oldest")
    assert len(rows) == 10
    assert note == "9 more are behind the figure open-cases/all."
    rows, note = listed(report(lasting=lasting[:16]), "executive-attention", "Cases at executive")
    assert (len(rows), note) == (15, "1 more is behind the figure executive/cases.")


@pytest.mark.parametrize(
    "waiting",
    [
        {"tier": "executive"},
        {"tier": "management", "kind": "pattern",
         "subject": pattern_key("acme", "late/sku", "S-1")},
    ],
)  # fmt: skip
def test_what_was_taken_up_after_the_week_still_needed_a_decision_in_it(
    waiting: dict[str, str],
) -> None:
    def asked(acknowledged_at: int) -> list[str]:
        made = report(lasting=[escalation(**waiting, acknowledged_at=acknowledged_at)])
        decisions = next(section for section in made.sections if section.id == "decisions")
        return [row[-1].text for row in decisions.tables[0].rows]

    assert asked(WEEK.end) == []
    assert asked(WEEK.end + 1) == ["C-1"]


def test_no_table_of_a_digest_runs_on() -> None:
    many = range(40)
    asked = [
        escalation(case_id=f"C-{n}", rule=f"rule-{n}", asked_at=WEEK.begin + n * HOUR) for n in many
    ]
    patterns = [
        escalation(case_id=f"P-{n}", subject=pattern_key("acme", "late/sku", f"S-{n}"),
                   kind="pattern", cause="opened")
        for n in many
    ]  # fmt: skip
    disputed = [
        StepRow(f"C-{n}", f"disputed:{n}", 1, StepKind.DISPUTED, "management",
                Instant(WEEK.begin + n + 1), Instant(WEEK.begin + n + 1), None, "anna", "p1", {})
        for n in many
    ]  # fmt: skip
    openings = Counter({(f"partner-{n}", "late"): 4 for n in many})
    due = Counter(
        {(f"partner-{n}", "standard", "resolution", "", "", "breached"): 20 for n in many}
    )
    kept_before = Counter({(*cell[:-1], "met"): 20 for cell in due})
    made = report(
        lasting=[*asked, *patterns], escalations=[*asked, *patterns], disputes=disputed,
        openings=[Counter()] * 4 + [openings], counts=due, before=[kept_before] * 4,
        pauses={f"person-{n}": (1, HOUR * n) for n in many},
        downgrades={"last": 1}, excuses={"first": (2, 1)},
        breaches=[breach(subject=f"ticket:acme:T-{n}") for n in many],
    )  # fmt: skip
    tables = {table.title: table for section in made.sections for table in section.tables}
    cut = {
        "What waits for a decision", "Longest overdue first", "Most broken first", "By rule",
        "The oldest", "Cases at executive", "The same rule, the same partner", "Patterns",
        "Partners that trend the wrong way", "By who did it", "Disputes and how they ended",
    }  # fmt: skip
    assert {title for title, table in tables.items() if " more " in f" {table.note}"} >= cut
    assert max(len(table.rows) for table in tables.values()) == 25
    rows, note = listed(made, "interventions", "By who did it")
    assert [row[0] for row in rows[:4]] == ["first", "last", "person-39", "person-38"]
    assert note.endswith("27 more people and feeds are not listed; each has a figure of its own.")
    rows, note = listed(made, "disputes", "Disputes and how they ended")
    assert [row[2] for row in rows] == [f"C-{n}" for n in range(15)]


def test_a_promise_that_depends_on_severity_is_shown_by_severity_in_the_policys_order() -> None:
    def kept(tickets: str, met: int, breached: int, metric: str = "resolution") -> Counts:
        cell = ("acme", "standard", metric, "", tickets)
        return Counter({(*cell, "met"): met, (*cell, "breached"): breached})

    made = report(
        counts=kept("", 9, 1) + kept("severity high", 1, 1) + kept("severity critical", 0, 3)
        + kept("", 5, 0, "first_response"),
        before=[Counter()] * 3 + [kept("severity high", 1, 3)],
    )  # fmt: skip
    rows, _ = listed(made, "attainment", "By severity and category")
    assert [row[1:7] for row in rows] == [
        ("resolution", "severity critical", "0.0 %", "3", "3", "-  -  -  -"),
        ("resolution", "severity high", "50.0 %", "2", "1", "-  -  -  25.0"),
        ("resolution", "all others", "90.0 %", "10", "1", "-  -  -  -"),
    ]
    plain = report(counts=kept("", 9, 1))
    titles = [table.title for section in plain.sections for table in section.tables]
    assert "By severity and category" not in titles


def breach(**fields: Any) -> Instance:
    due = WEEK.begin + DAY
    found = Instance(
        "ticket:acme:T-1", "first_response", "1", "ticket", "acme", "strategic", "", "us",
        "account_manager", "anna", "2h", Entered.BREACHED, due, due, due - HOUR, due + 3 * HOUR,
        due, False, "", 4 * HOUR, 0, None, None, None, False,
    )  # fmt: skip
    return replace(found, **fields)


@pytest.mark.parametrize(
    ("name_people", "whose"),
    [(False, ["account manager"]), (True, ["Anna Lindner (account manager)"])],
)
def test_people_are_named_only_where_the_policy_says_so(
    name_people: bool, whose: list[str]
) -> None:
    names = Names({"acme": "Acme Ltd"}, {"anna": "Anna Lindner"}, name_people, {})
    made = report(breaches=[breach()], counts=counts(0, 1), names=names)
    section = next(s for s in made.sections if s.id == "breaches")
    cells = [[cell.text for cell in row] for row in section.tables[0].rows]
    assert [row[6] for row in cells] == whose
    assert [row[5] for row in cells] == ["3 h"]
    assert ("Anna Lindner" in made.model_dump_json()) is name_people


# --- what a section counts ------------------------------------------------------------------------


def test_a_conflict_repeats_if_it_came_three_times_and_once_in_the_week() -> None:
    weeks = {
        ("acme", "late"): (1, 1, 0, 0, 1),
        ("acme", "short"): (0, 0, 0, 1, 1),
        ("kontor", "late"): (3, 0, 0, 0, 0),
    }
    openings = [Counter({pair: found[n] for pair, found in weeks.items()}) for n in range(5)]
    rows, _ = listed(report(openings=openings), "repeats", "The same rule, the same partner")
    assert rows == [("Acme Ltd", "late", "1", "3")]


def test_what_proved_wrong_is_neither_an_escalation_nor_open() -> None:
    asked = [escalation(), escalation(case_id="C-2", retracted=True)]
    made = report(escalations=asked, lasting=asked)
    for name in ("escalations/all", "escalations/executive", "open-cases/all"):
        figure = made.figure(name)
        assert figure is not None
        assert figure.n == 1, name
    text = next(section.text for section in made.sections if section.id == "escalations")
    assert text[0].startswith("1 more is left out: later events proved wrong")


def test_partners_with_most_broken_promises_stand_first() -> None:
    found = counts(9, 1) + counts(0, 5, "zeta") + counts(10, 0, "beta")
    rows, _ = listed(report(counts=found), "partners", "Most broken first")
    assert [row[0] for row in rows] == ["zeta", "Acme Ltd", "beta"]


def test_a_case_is_in_the_age_that_it_has_reached() -> None:
    ages = (0, DAY - 1, DAY, 3 * DAY, 7 * DAY, 14 * DAY - 1, 14 * DAY)
    assert [age_name(age) for age in ages] == [
        "under a day", "under a day", "1 to 3 days", "3 to 7 days", "7 to 14 days", "7 to 14 days",
        "over 14 days",
    ]  # fmt: skip


def test_a_clock_that_stood_still_for_a_week_is_asked_about() -> None:
    def asked(since: int) -> int:
        pause = Pause(since, None, "waiting on partner", "anna", 0)
        still = breach(entered=Entered.OPEN, falls_at=None, left_at=None, pauses=(pause,))
        figure = report(paused=[still]).figure("decisions/all")
        assert figure is not None
        return figure.n or 0

    assert (asked(WEEK.end - 7 * DAY + 1), asked(WEEK.end - 7 * DAY)) == (0, 1)


def test_a_session_that_is_overdue_names_its_partner() -> None:
    cell = ("acme", "strategic", "touchpoint:check_in", "", "")
    title = "Sessions whose last day fell in the period"
    for late in ("breached", "open"):
        rows, _ = listed(report(counts=Counter({(*cell, late): 1})), "touchpoints", title)
        assert rows == [("check in", "0", "1", "0", "Acme Ltd")]


# --- early warnings -------------------------------------------------------------------------------


def kept(met: int, breached: int) -> Attainment:
    return Attainment(met, breached, {})


@pytest.mark.parametrize(
    ("before", "now", "falls"),
    [
        ((30, 0), (12, 8), True),
        ((30, 0), (20, 0), False),
        ((9, 0), (0, 20), False),  # too few before
        ((30, 0), (0, 9), False),  # too few now
        ((27, 3), (17, 3), False),  # chance explains it
        ((270, 30), (170, 30), True),  # the same shares, with enough to tell
        ((10, 20), (10, 10), False),  # it rises
    ],
)
def test_a_share_falls_only_beyond_chance_and_with_enough_to_count(
    before: tuple[int, int], now: tuple[int, int], falls: bool
) -> None:
    assert share_falls(kept(*before), kept(*now)) is falls


@pytest.mark.parametrize(
    ("before", "now", "rises"),
    [
        (0, 3, False),  # fewer than four are an accident
        (0, 4, True),  # (2/5)^4 is less than one in twenty
        (1, 4, False),  # one time in twelve chance does as much
        (6, 4, False),  # just the rate
        (6, 12, True),
        (30, 24, False),
    ],
)
def test_openings_rise_only_beyond_their_rate(before: int, now: int, rises: bool) -> None:
    assert count_rises(before, now, 3, 2) is rises


def test_what_is_overdue_and_open_makes_a_share_fall_too() -> None:
    overdue = counts(10, 0, open=10)
    before = [counts(20, 0)] * 3 + [overdue]
    assert [t.kept_falls for t in trends(material(counts=overdue, before=before))] == [True]


def test_who_trends_the_wrong_way_is_named_with_the_evidence() -> None:
    good, bad = counts(20, 0), counts(10, 10)
    before = [good, good, good, bad]
    opened = [Counter({("kontor", "late"): n}) for n in (0, 0, 0, 2, 3)]
    found = trends(material(counts=bad, before=before, openings=opened))
    assert [(t.partner_id, t.kept_falls, t.openings_rise) for t in found] == [
        ("kontor", False, True),
        ("acme", True, False),
    ]
    made = report(counts=bad, before=before, openings=opened)
    assert made.summary[3].text == "2 partners trend the wrong way: kontor, Acme Ltd."
    section = next(s for s in made.sections if s.id == "early-warnings")
    assert section.tables[0].rows[1][2].text == "100.0  100.0  100.0  50.0  50.0"
