"""Problems: tickets and cases, how long they took to solve, and which came back."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from rules.deadlines import in_words
from rules.partner_months import PartnerMonths
from rules.problem_figures import Problem
from rules.scorecard.sheet import Sheet, age, hours, kept
from schemas.report import ChartKind, Figure, Section, Unit

_OF = (
    "of the tickets, and cases about anything else, that were solved in the month and not open at "
    "its end, from their first opening, on the clock"
)


def problem_section(m: PartnerMonths, sheet: Sheet) -> Section:
    """Time to resolution, what is open, and what was solved for good."""
    took, still = _took(m, sheet), _still_open(m, sheet)
    return Section(
        id="problems",
        title="Problems",
        figures=(*took, *still, _for_good(m, sheet)),
        charts=(
            *sheet.chart(
                "Open problems over six months", Unit.COUNT, still[:1], kind=ChartKind.STACKED
            ),
            *sheet.chart("Resolution time over six months", Unit.HOURS, took),
        ),
    )


def _took(m: PartnerMonths, sheet: Sheet) -> list[Figure]:
    solved = m.last.solving.solved
    figures = (
        sheet.number(
            "resolution/median",
            "Resolution time, median",
            Unit.HOURS,
            f"Median time {_OF}.",
            lambda month: hours(month.solving.median),
            n=len(solved),
            counts="problems solved",
            none="none solved",
        ),
        sheet.number(
            "resolution/p90",
            "Resolution time, 9 of 10 within",
            Unit.HOURS,
            f"What nine of ten did not exceed (nearest rank) {_OF}.",
            lambda month: hours(month.solving.p90),
            n=len(solved),
            counts="problems solved",
            none="none solved",
        ),
    )
    return [sheet.put(f, ("problem", "took"), lambda: _longest(solved)) for f in figures]


def _still_open(m: PartnerMonths, sheet: Sheet) -> list[Figure]:
    left = m.last.solving.open
    figures = (
        sheet.number(
            "resolution/open",
            "Open problems",
            Unit.COUNT,
            "Tickets, and cases about anything else, that were open at the end of the month.",
            lambda month: Decimal(len(month.solving.open)),
        ),
        sheet.number(
            "resolution/oldest",
            "Oldest open problem",
            Unit.DAYS,
            "Time since the first opening of the one that was open longest at the end of the "
            "month.",
            lambda month: age(month.solving.oldest),
            n=len(left),
            counts="problems open",
            none="none open",
            rounded="to a tenth, from ten days on to whole days",
        ),
    )
    return [sheet.put(f, ("problem", "open for"), lambda: _longest(left)) for f in figures]


def _longest(problems: Sequence[tuple[Problem, int]]) -> Iterable[tuple[str, ...]]:
    ordered = sorted(problems, key=lambda entry: (-entry[1], entry[0].name))
    return ((problem.name, in_words(length)) for problem, length in ordered)


def _for_good(m: PartnerMonths, sheet: Sheet) -> Figure:
    def rows() -> Iterable[tuple[str, ...]]:
        tried = sorted(m.last.solving.tried, key=lambda entry: (not entry[1], entry[0].name))
        return ((p.name, "came back" if back else "solved for good") for p, back in tried)

    return sheet.put(
        sheet.share(
            "solved_for_good",
            "Solved for good",
            "Problems that, within 30 days after they had been solved, were neither opened again "
            "nor followed by another of the same category or under the same rule, divided by all "
            "problems whose 30 days ended in the month.",
            lambda month: kept((not back for _, back in month.solving.tried), "problems"),
            none="none to judge",
        ),
        ("problem", "counts as"),
        rows,
    )
