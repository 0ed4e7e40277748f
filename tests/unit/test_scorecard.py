"""A scorecard by hand: what is said of a partner in a month, and what its figures come to."""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rules.decision import Kind, StepKind, StepRow
from rules.months import Month
from rules.partner_months import PartnerMonths
from rules.problem_figures import Problem, case_problem, solving, ticket_problem
from rules.scorecard.lead_times import deviation, variation
from rules.scorecard.scorecard import FOR_PARTNER, Scorecard, scorecard
from rules.subjects import Contribution, Document, case_id, state_subject, subject_key
from schemas.events import Malformed, UnknownType, parse_event
from schemas.report import Figure, Report, Visibility
from schemas.time import DAY, HOUR
from tests.clock_timelines import TICKET, Timeline, at, policy
from tests.order_pasts import Said, line

NOVEMBER = Month(2026, 11)
ISSUED = at("2026-12-02 07:00")
D = Decimal


class Partner:
    """What is known of partner `acme`, in UTC, and its scorecard."""

    def __init__(self, promised: dict[str, Any] | None = None, **reporting: Any) -> None:
        promised = promised or {
            "first_response": "2h", "resolution": "24h", "partner_response": "48h"
        }  # fmt: skip
        compiled = policy(promised, reporting=reporting, calendar=ALWAYS)
        self.timeline = Timeline(compiled)
        self.orders: dict[str, Said] = {}
        self.tickets: dict[str, Timeline] = {}
        self.figures: dict[str, list[Contribution]] = defaultdict(list)
        self.cases: list[tuple[str, str, tuple[str, ...], list[StepRow]]] = []

    def order(self, name: str) -> Said:
        return self.orders.setdefault(name, Said(UTC_ZONE))

    def ticket(self, name: str, opened: str, category: str = "quality") -> Timeline:
        self.tickets[name] = timeline = Timeline(self.timeline.world.policies.newest)
        return timeline.opened(opened, category)

    def measured(self, when: str, metric: str, value: str, **data: Any) -> None:
        body = {
            "specversion": "1.0",
            "id": f"m{len(self.figures[metric])}",
            "source": "/planning",
            "type": "metric.reported",
            "time": f"{when.replace(' ', 'T')}:00Z",
            "data": {"partner_id": "acme", "metric": metric, "value": value, **data},
        }
        event = parse_event(json.dumps(body).encode())
        assert not isinstance(event, Malformed | UnknownType), event
        self.figures[metric].append(state_subject(event, None).contribution)

    def months(
        self, month: Month = NOVEMBER, as_of: int = ISSUED, known_at: int | None = None
    ) -> PartnerMonths:
        months = PartnerMonths("acme", self.timeline.world, month, as_of, known_at)
        for name, said in self.orders.items():
            months.add_order(name, said.contributions)
        for name, timeline in self.tickets.items():
            key = subject_key(Kind.TICKET, "acme", name)
            months.add_ticket(key, Document(timeline.contributions, {}, []))
        for metric, contributions in self.figures.items():
            months.add_figure(metric, contributions)
        for case in self.cases:
            months.add_case(*case)
        return months

    def card(self, month: Month = NOVEMBER, as_of: int = ISSUED) -> Scorecard:
        return scorecard(self.months(month, as_of), "Acme")

    def restated(self, known_at: int) -> Report:
        """November as it was issued first, by what is known later."""
        return scorecard(self.months(known_at=known_at), "Acme").report

    def report(self, month: Month = NOVEMBER, as_of: int = ISSUED) -> Report:
        return self.card(month, as_of).report


ALWAYS = {"timezone": "UTC", "hours": {"mon-sun": ["00:00-24:00"]}}
UTC_ZONE = Timeline(policy(calendar=ALWAYS)).world.zone("acme")


def figure(report: Report, name: str) -> Figure:
    found = report.figure(name)
    assert found is not None, name
    return found


def shown(report: Report, *names: str) -> list[tuple[str, int | None]]:
    return [(figure(report, name).shown, figure(report, name).n) for name in names]


# --- deliveries -----------------------------------------------------------------------------------


def november() -> Partner:
    """Seven orders, six of them due in November: whole on the day, early, a day late, short,
    missing, re-promised; and one that the partner cancelled."""
    acme = Partner(targets={"default": {"otif": "33.4", "on_time": 50}})
    acme.order("on the day").placed("2026-11-10").came("2026-11-10 09:00")
    acme.order("early").placed("2026-11-10").came("2026-11-05 09:00")
    acme.order("a day late").placed("2026-11-10").came("2026-11-11 20:00")
    acme.order("short").placed("2026-11-10").came("2026-11-10", line("lamp", 90), final=True)
    acme.order("missing").placed("2026-11-30")
    again = acme.order("re-promised").placed("2026-11-10")
    again.amended("2026-11-09 09:00", promised_at="2026-12-04").came("2026-11-20 09:00")
    acme.order("cancelled").placed("2026-11-10").cancelled("2026-11-09 09:00", "partner")
    return acme


def test_otif_counts_all_that_was_due_and_misses_what_was_not_delivered() -> None:
    report = november().report()
    assert shown(report, "otif/strict", "otif", "otif/within_tolerance") == [
        ("16.6 %", 6), ("33.3 %", 6), ("50.0 %", 6),
    ]  # fmt: skip
    assert shown(report, "on_time/strict", "on_time", "in_full") == [
        ("33.3 %", 6), ("50.0 %", 6), ("66.6 %", 6),
    ]  # fmt: skip
    # The re-promised one is due in December on that basis.
    assert shown(report, "otif/repromised", "on_time/repromised") == [("40.0 %", 5), ("60.0 %", 5)]
    assert shown(report, "otif/lines", "in_full/lines") == [("33.3 %", 6), ("66.6 %", 6)]


def test_a_target_is_met_by_whole_numbers() -> None:
    report = november().report()
    assert figure(report, "otif").reached is False  # 2 of 6 is less than 33.4 %
    assert figure(report, "on_time").reached is True
    assert figure(report, "otif/strict").target is None
    assert figure(report, "in_full").reached is None


def test_the_rows_behind_a_figure_say_why() -> None:
    table = november().card().behind("otif")
    assert table is not None
    rows = {row[0]: (row[-2], row[-1]) for row in table.rows}
    assert rows == {
        "on the day": ("hit", "on the promised day"),
        "early": ("hit", "by the promise"),
        "a day late": ("miss", "complete 20 h late"),
        "short": ("miss", "10 had not come by 2026-12-02 07:00 UTC"),
        "missing": ("miss", "nothing came by 2026-12-02 07:00 UTC"),
        "re-promised": ("miss", "complete 9 d 9 h late"),
        "cancelled": ("left out", "cancelled by the partner before it was due"),
    }


def test_a_draft_counts_what_was_due_so_far_and_says_so() -> None:
    report = november().report(as_of=at("2026-11-22 12:00"))
    assert shown(report, "otif") == [("40.0 %", 5)]
    assert "not over" in report.period.label
    assert any("draft" in note for note in report.notes)
    with pytest.raises(ValueError, match="has not begun"):
        november().report(as_of=at("2026-11-01 00:00"))


def test_months_before_are_judged_at_the_same_distance_from_their_ends() -> None:
    acme = Partner()
    acme.order("october").placed("2026-10-31", when="2026-10-01 08:00").came("2026-11-02 10:00")
    late = "in_full"
    december = figure(acme.report(Month(2026, 12), at("2027-01-01 09:00")), late)
    assert december.before[-2] == 0  # a day after October it had not come
    assert figure(acme.report(Month(2026, 12), at("2027-01-03 09:00")), late).before[-2] == 100
    october = acme.report(Month(2026, 10), at("2026-11-01 09:00"))
    assert figure(october, late).value == december.before[-2]


def test_the_month_is_that_of_the_partner_s_zone() -> None:
    compiled = policy(
        calendar={"timezone": "America/New_York", "hours": {"mon-fri": ["09:00-17:00"]}}
    )
    months = PartnerMonths("acme", Timeline(compiled).world, NOVEMBER, ISSUED)
    said = Said(ZoneInfo("America/New_York")).placed("2026-11-30").came("2026-11-30 23:00")
    months.add_order("PO-1", said.contributions)  # at 04:00 of 1 December in London
    assert shown(scorecard(months, "Acme").report, "otif/strict") == [("100.0 %", 1)]


# --- accuracy, lead time, defects -----------------------------------------------------------------


def test_accuracy_counts_an_order_in_the_month_in_which_it_is_found_wrong() -> None:
    acme = Partner()
    for n in range(3):
        acme.order(f"fine {n}").placed("2026-11-10").came("2026-11-10")
    october = acme.order("october").placed("2026-10-10", when="2026-10-01 08:00").came("2026-10-10")
    october.reported("2026-11-04 09:00", "price", lines=[line("lamp", 1)])
    acme.order("damaged").placed("2026-11-10").came("2026-11-10", line("lamp", 100, damaged=3))
    accuracy = figure(acme.report(), "accuracy")
    assert (accuracy.shown, accuracy.n) == ("80.0 %", 5)
    assert accuracy.before[-1] == 100


def test_an_order_that_was_found_wrong_is_so_in_one_month() -> None:
    acme = Partner()
    said = acme.order("wrong").placed("2026-10-10", when="2026-10-01 08:00")
    said.came("2026-10-10", line("lamp", 50)).reported("2026-10-12 09:00", "price",
                                                       lines=[line("lamp", 1)])  # fmt: skip
    said.came("2026-11-05", line("lamp", 50), name="rest")
    accuracy = figure(acme.report(), "accuracy")
    assert (accuracy.shown, accuracy.n, accuracy.before[-1]) == ("100.0 %", 1, D(0))


def test_what_never_came_is_overdue_however_long_ago_it_was_promised() -> None:
    acme = Partner()
    lamps = line("lamp", 100, unit_price="2")
    acme.order("forgotten").placed("2026-03-10", lamps, when="2026-03-01 08:00", currency="EUR")
    assert shown(acme.report(), "exposure/EUR") == [("200.00 EUR", 1)]


def test_defects_per_million_are_of_what_was_found_and_delivered_in_the_month() -> None:
    acme = Partner()
    acme.order("a").placed("2026-11-10").came("2026-11-10", line("lamp", 100, damaged=1))
    said = acme.order("b").placed("2026-10-10", when="2026-10-01 08:00").came("2026-10-10")
    said.reported("2026-10-20 09:00", "quality", report_id="r", lines=[line("lamp", 5)])
    said.reported("2026-11-20 09:00", "quality", report_id="r", lines=[line("lamp", 7)])
    found = figure(acme.report(), "defects_per_million")
    assert (found.value, found.n) == (D(30_000), 100)  # 1 + (7 - 5) of 100
    assert found.before[-1] == 50_000


def test_lead_times_of_the_orders_that_were_completed() -> None:
    acme = Partner()
    for days in (2, 4, 9):
        said = acme.order(f"{days} days").placed("2026-11-20")
        said.came(f"2026-11-{1 + days:02} 08:00")
    acme.order("open").placed("2026-11-20").came("2026-11-15", line("lamp", 1))
    report = acme.report()
    names = [f"lead_time/{name}" for name in ("median", "p90", "deviation", "variation")]
    assert [found for found, _ in shown(report, *names)] == ["4.0 d", "9.0 d", "3.6 d", "72.1 %"]
    assert figure(report, "lead_time/median").n == 3


def test_nine_of_ten_orders_did_not_take_longer_than_the_nearest_rank_says() -> None:
    acme = Partner()
    for days in range(1, 21):
        said = acme.order(f"{days} days").placed("2026-11-30")
        said.came(f"2026-11-{1 + days:02} 08:00")
    assert [found for found, _ in shown(acme.report(), "lead_time/p90")] == ["18.0 d"]


@pytest.mark.parametrize(
    ("values", "spread", "share"),
    [
        ([], None, None),
        ([5], None, None),
        ([5, 5], 0, D("0.0")),
        ([0, 0], 0, None),
        ([2, 4, 4, 4, 5, 5, 7, 9], 2, D("40.0")),
    ],
)
def test_spread(values: list[int], spread: int | None, share: Decimal | None) -> None:
    assert deviation(values) == spread
    assert variation(values) == share


# --- problems -------------------------------------------------------------------------------------


def test_problems_solved_open_and_back() -> None:
    acme = Partner()
    acme.ticket("quick", "2026-11-02 10:00").status("2026-11-02 12:00", "resolved")
    slow = acme.ticket("slow", "2026-11-02 10:00", "invoice").status("2026-11-03 10:00", "resolved")
    slow.status("2026-11-04 10:00", "open").status("2026-11-06 10:00", "closed")
    acme.ticket("open", "2026-11-20 00:00", "other")
    acme.ticket("back", "2026-11-29 10:00", "other")
    report = acme.report()
    assert shown(report, "resolution/median", "resolution/p90") == [("2.0 h", 2), ("96.0 h", 2)]
    assert shown(report, "resolution/open", "resolution/oldest") == [("2", None), ("11 d", 2)]
    assert report.summary[-1].text == (
        "2 problems solved (median 2.0 h), 2 open, the oldest for 11 d."
    )
    # In December the 30 days of both are over: `slow` had come back after its first solution.
    december = acme.report(Month(2026, 12), at("2027-01-02 07:00"))
    assert shown(december, "solved_for_good") == [("66.6 %", 3)]


def test_a_month_of_nothing_but_old_problems_is_said_without_a_tenth_of_a_day() -> None:
    acme = Partner()
    acme.ticket("old", "2020-04-26 02:24", "other")
    report = acme.report()
    assert report.summary[-1].text == "No problem solved, 1 open, the oldest for 2,410 d."
    before = figure(report, "resolution/oldest").before
    assert before[-1] == 2380
    acme.tickets["old"].status("2026-11-30 10:00", "resolved")
    assert acme.report().summary[-1].text == "1 problem solved (median 57,823.6 h), none open."


def test_trouble_of_the_same_category_comes_back() -> None:
    def ticket(name: str, begin: str, end: str | None, category: str) -> Problem:
        spell = (at(begin), None if end is None else at(end))
        return Problem(name, frozenset({category}), (spell,))

    solved = ticket("a", "2026-11-01 00:00", "2026-11-02 00:00", "late")
    month = at("2026-12-01 00:00"), at("2026-12-31 00:00")
    for begin, category, back in (
        ("2026-12-02 00:00", "late", True),  # the thirtieth day to its end
        ("2026-12-02 00:01", "late", False),
        ("2026-11-02 00:00", "late", False),  # began no later than it was solved
        ("2026-11-10 00:00", "other", False),
    ):
        other = ticket("b", begin, None, category)
        found = {p.name: came_back for p, came_back in solving([solved, other], *month).tried}
        assert found == {"a": back}, begin


def test_a_problem_is_judged_in_the_month_in_which_its_thirty_days_end() -> None:
    begin, end = at("2026-11-01 00:00"), at("2026-12-01 00:00")
    solved = {name: [(begin - 60 * DAY, until - 30 * DAY)] for name, until in (
        ("at its beginning", begin), ("just after", begin + 1), ("at its end", end),
        ("later", end + 1),
    )}  # fmt: skip
    problems = [Problem(name, frozenset(), tuple(spells)) for name, spells in solved.items()]
    tried = [problem.name for problem, _ in solving(problems, begin, end).tried]
    assert tried == ["just after", "at its end"]


def test_a_step_that_was_withdrawn_opened_no_case() -> None:
    opened = step(1, StepKind.OPENED, "2026-11-02 00:00")
    withdrawn = replace(opened, withdrawn_at=at("2026-11-03 00:00"))
    assert case_problem("C-1", ["late"], [opened], ISSUED, ISSUED) is not None
    assert case_problem("C-1", ["late"], [withdrawn], ISSUED, ISSUED) is None


def step(n: int, kind: StepKind, when: str, tier: str = "frontline") -> StepRow:
    return StepRow("C-1", f"{kind}:{n}", n, kind, tier, at(when), at(when), None, None, "p", {})


def test_a_case_is_a_problem_from_its_opening_until_it_is_solved() -> None:
    steps = [
        step(1, StepKind.WATCHED, "2026-11-01 00:00"),
        step(2, StepKind.OPENED, "2026-11-02 00:00"),
        step(3, StepKind.RESOLVED, "2026-11-03 00:00"),
        step(4, StepKind.CLOSED, "2026-11-04 00:00"),
        step(5, StepKind.REOPENED, "2026-11-05 00:00"),
    ]
    found = case_problem("C-1", ["late"], steps, ISSUED, ISSUED)
    assert found is not None
    assert found.spells == (
        (at("2026-11-02 00:00"), at("2026-11-03 00:00")), (at("2026-11-05 00:00"), None),
    )  # fmt: skip
    assert case_problem("C-1", ["late"], steps[:1], ISSUED, ISSUED) is None
    retracted = [steps[1], step(3, StepKind.RETRACTED, "2026-11-03 00:00")]
    assert case_problem("C-1", ["late"], retracted, ISSUED, ISSUED) is None


def test_cases_by_tier_are_for_our_house_alone() -> None:
    acme = Partner()
    steps = [
        step(1, StepKind.OPENED, "2026-11-02 00:00", "frontline"),
        step(2, StepKind.ESCALATED, "2026-11-03 00:00", "management"),
        step(3, StepKind.ESCALATED, "2026-11-04 00:00", "management"),
    ]
    order = subject_key(Kind.ORDER, "acme", "PO-1")
    acme.cases.append((case_id(order), order, ("late",), steps))
    report = acme.report()
    assert shown(report, "escalations/frontline", "escalations/management") == [
        ("1", None), ("1", None),
    ]  # fmt: skip
    assert figure(report, "escalations/management").visibility is Visibility.CONFIDENTIAL
    assert shown(report, "resolution/open") == [("1", None)]


def test_a_ticket_before_anybody_opened_it_is_no_problem() -> None:
    said = Timeline(policy()).us("2026-11-02 10:00").contributions
    assert ticket_problem(TICKET, said, Timeline(policy()).world, ISSUED) is None


# --- promises and figures of others ---------------------------------------------------------------


def test_promises_count_in_the_month_in_which_they_fall_due() -> None:
    acme = Partner(targets={"strategic": {"first_response": 60}})
    acme.ticket("kept", "2026-11-02 10:00").us("2026-11-02 11:00")
    acme.ticket("late", "2026-11-02 10:00").us("2026-11-02 13:00")
    acme.ticket("silent", "2026-11-30 23:00")  # due in December
    report = acme.report()
    first = figure(report, "sla/first_response")
    assert (first.shown, first.n, first.reached) == ("50.0 %", 2, False)
    table = next(s for s in report.sections if s.id == "promises").tables[0]
    row = next(row for row in table.rows if row[0].text == "first response")
    assert [cell.text for cell in row] == [
        "first response", "us", "50.0 %", "60 %", "1", "1", "1 not yet due",
    ]  # fmt: skip
    december = acme.report(Month(2026, 12), at("2027-01-02 07:00"))
    assert shown(december, "sla/first_response") == [("0.0 %", 1)]


def test_a_restatement_knows_what_was_said_since_and_counts_nothing_that_came_since() -> None:
    acme = Partner()
    late = acme.ticket("late", "2026-11-02 10:00").us("2026-11-02 13:00")
    key = subject_key(Kind.TICKET, "acme", "late")
    late.excused("2026-12-10 09:00", "first_response/1", "claire", key)
    acme.order("missing").placed("2026-11-10").came("2026-12-10 10:00")
    acme.measured("2026-11-20 09:00", "forecast_accuracy", "70", period="2026-11")
    acme.measured("2026-12-10 09:00", "forecast_accuracy", "75", period="2026-11")
    wrong = [
        step(1, StepKind.OPENED, "2026-11-02 00:00", "management"),
        step(2, StepKind.RETRACTED, "2026-12-10 00:00"),
    ]
    order = subject_key(Kind.ORDER, "acme", "missing")
    acme.cases.append((case_id(order), order, ("late",), wrong))
    names = (
        "sla/first_response", "otif", "reported/forecast_accuracy", "resolution/open",
        "escalations/management",
    )  # fmt: skip
    first = [("0.0 %", 1), ("0.0 %", 1), ("70", None), ("2", None), ("1", None)]
    assert shown(acme.report(), *names) == first
    assert shown(acme.restated(at("2026-12-09 00:00")), *names) == first
    assert shown(acme.restated(at("2026-12-11 00:00")), *names) == [
        ("none due", 0), ("0.0 %", 1), ("75", None), ("1", None), ("0", None),
    ]  # fmt: skip


def test_reported_figures_belong_to_the_month_that_they_name() -> None:
    acme = Partner(shared_metrics=["forecast_accuracy"])
    acme.measured("2026-12-01 09:00", "forecast_accuracy", "81.5", unit="percent", period="2026-11")
    acme.measured("2026-11-01 09:00", "forecast_accuracy", "79", unit="percent", period="2026-10")
    acme.measured("2026-11-10 09:00", "below_minimum", "4")
    acme.measured("2026-11-20 09:00", "below_minimum", "3")
    report = acme.report()
    forecast = figure(report, "reported/forecast_accuracy")
    assert (forecast.shown, forecast.before[-1]) == ("81.5 percent", D(79))
    assert forecast.visibility in FOR_PARTNER
    assert figure(report, "reported/below_minimum").shown == "3"
    assert figure(report, "reported/below_minimum").visibility is Visibility.CONFIDENTIAL


def test_no_list_of_a_scorecard_runs_on() -> None:
    kinds = [{"kind": f"visit_{n}", "every": "1w"} for n in range(18)]
    acme = Partner(promised={"first_response": "2h", "touchpoints": kinds},
                   shared_metrics=["m90"])  # fmt: skip
    for n in range(5):
        acme.ticket(f"late {n}", "2026-11-02 10:00").us("2026-11-02 13:00")
    for n in range(100):
        acme.measured(f"2026-{10 + n % 2}-20 09:00", f"m{n}", "1")
    months = acme.months()
    months.add_touchpoints(Document([], {}, []), at("2026-11-16 00:00"))
    report = scorecard(months, "Acme").report
    table = next(s for s in report.sections if s.id == "promises").tables[0]
    assert [cell.text for cell in table.rows[0]][:2] == ["first response", "us"]  # most broken
    assert len(table.rows) == 15
    assert table.note == ("4 more kinds of promises are not listed; each has a figure of its own.")
    assert figure(report, "sla/touchpoint:visit_9").reached is None
    reported = next(s for s in report.sections if s.id == "reported")
    # What the partner sees comes first, and what was said in the month before what was not.
    assert [f.id for f in reported.figures[:3]] == ["reported/m90", "reported/m1", "reported/m11"]
    assert len(reported.figures) == 15
    assert reported.text == ("85 more metrics are not listed; each has a figure of its own.",)
    assert figure(report, "reported/m99").value == 1


def test_every_figure_says_what_it_divides_and_leads_to_rows() -> None:
    acme = november()
    acme.ticket("kept", "2026-11-02 10:00").us("2026-11-02 11:00")
    acme.measured("2026-11-10 09:00", "below_minimum", "4")
    card = acme.card()
    for one in card.report.all_figures():
        assert one.definition.endswith("."), one.id
        assert len(one.before) == 5 or one.id.startswith("exposure/"), one.id
        behind = card.behind(one.id)
        assert behind is not None, one.id
        assert behind.title.startswith(f"{one.label}: {one.shown}"), one.id
    names = [one.id for one in card.report.all_figures()]
    assert len(names) == len(set(names))
    assert Report.model_validate_json(card.report.model_dump_json()) == card.report


# --- a real data set, and a slow calculation ------------------------------------------------------

_SCMS = Path(__file__).parents[2] / "examples/scms/SCMS_Delivery_History_Dataset.csv.gz"


def _rows() -> list[dict[str, str]]:
    with gzip.open(_SCMS, "rt", encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream.read().splitlines()))


def _day(text: str) -> date:
    return datetime.strptime(text, "%d-%b-%y").replace(tzinfo=UTC).date()


def _orders_of(vendor: str, year: int) -> dict[str, list[dict[str, str]]]:
    """Orders of a vendor of which something was promised or delivered in a year."""
    orders: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows():
        if row["Vendor"] == vendor:
            orders[row["PO / SO #"]].append(row)
    dates = ("Scheduled Delivery Date", "Delivered to Client Date")
    return {
        name: rows
        for name, rows in orders.items()
        if any(_day(row[column]).year == year for row in rows for column in dates)
    }


def _placed_on(rows: Sequence[dict[str, str]]) -> date:
    try:
        return (
            datetime.strptime(rows[0]["PO Sent to Vendor Date"], "%m/%d/%y")
            .replace(tzinfo=UTC)
            .date()
        )
    except ValueError:  # `N/A - From RDC`, `Date Not Captured`
        return min(_day(row["Scheduled Delivery Date"]) for row in rows) - timedelta(days=1)


def _contributions(rows: Sequence[dict[str, str]]) -> list[Contribution]:
    """What examples/scms/by-delivery.yaml makes of the lines of one order."""
    said = Said(UTC_ZONE)
    bought = [
        {
            "line_id": row["ID"],
            "sku": row["Item Description"],
            "quantity": int(row["Line Item Quantity"]),
            "promised_at": str(_day(row["Scheduled Delivery Date"])),
        }
        for row in rows
    ]
    first = min(str(line["promised_at"]) for line in bought)
    said.placed(first, *bought, when=f"{_placed_on(rows)} 23:59:59")
    for row in rows:
        part = {"line_id": row["ID"], "quantity": int(row["Line Item Quantity"])}
        said.came(str(_day(row["Delivered to Client Date"])), part, name=row["ID"])
    return said.contributions


@pytest.mark.parametrize(
    ("vendor", "month"), [("Orgenics, Ltd", Month(2011, 9)), ("SCMS from RDC", Month(2012, 10))]
)
def test_real_deliveries_come_to_what_a_slow_calculation_says(vendor: str, month: Month) -> None:
    orders = _orders_of(vendor, month.year)
    issued = month.end(UTC_ZONE) + 31 * HOUR
    months = PartnerMonths(vendor, Timeline(policy(calendar=ALWAYS)).world, month, issued)
    for name, rows in orders.items():
        months.add_order(name, _contributions(rows))
    report = scorecard(months, vendor).report

    # What had come by the first of the following month was known when it was issued.
    known = date(month.plus(1).year, month.plus(1).number, 1)
    late = timedelta(days=1)

    def in_month(day: date) -> bool:
        return (day.year, day.month) == (month.year, month.number)

    def share(hits: Iterable[bool]) -> tuple[Decimal, int]:
        found = list(hits)
        return (D(100 * sum(found)) / len(found)).quantize(D("0.1"), "ROUND_DOWN"), len(found)

    promised_and_came = [
        [(_day(row["Scheduled Delivery Date"]), _day(row["Delivered to Client Date"]))
         for row in rows]
        for rows in orders.values()
    ]  # fmt: skip
    whole = [days for days in promised_and_came if in_month(max(p for p, _ in days))]
    lines = [day for days in promised_and_came for day in days if in_month(day[0])]
    assert len(whole) > 8
    expected = {
        "otif": share(all(c <= p for p, c in days) for days in whole),
        "otif/strict": share(all(c == p for p, c in days) for days in whole),
        "otif/within_tolerance": share(
            all(c <= min(p + late, known) for p, c in days) for days in whole
        ),
        "in_full": share(all(c <= known for _, c in days) for days in whole),
        "otif/lines": share(c <= p for p, c in lines),
        "otif/lines/strict": share(c == p for p, c in lines),
        "otif/lines/within_tolerance": share(c <= min(p + late, known) for p, c in lines),
        "in_full/lines": share(c <= known for _, c in lines),
    }
    assert {name: (figure(report, name).value, figure(report, name).n) for name in expected} == (
        expected
    )
    # Goods that came before their order was entered count when it is.
    units = sum(
        int(row["Line Item Quantity"])
        for rows in orders.values()
        for row in rows
        if in_month(max(_day(row["Delivered to Client Date"]), _placed_on(rows)))
    )
    assert figure(report, "defects_per_million").n == units
