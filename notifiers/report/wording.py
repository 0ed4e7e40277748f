"""The words of a report that every rendering shares: amounts, remarks on figures, who issued what.

A report holds finished values. What stands here turns them into text, and decides nothing.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from itertools import pairwise

from notifiers.render import moment, plain
from schemas.report import Change, Control, Figure, Report, Tone, Unit, counted
from schemas.time import to_instant

#: For a value that is not there.
NOTHING = "–"  # noqa: RUF001 - a dash, not a minus
#: Signs beside the colours, and without them where there are none.
MARKS = {Tone.GOOD: "✓", Tone.BAD: "✗", Tone.WATCH: "!", Tone.PLAIN: ""}
#: What a screen reader says for a sign.
SAID = {Tone.GOOD: "good", Tone.BAD: "bad", Tone.WATCH: "to watch", Tone.PLAIN: ""}
#: The id of a case, which people copy: it stands on one line.
CASE_ID = re.compile(r"\bC-[0-9A-Z]{12}\b")
_UNITS = {
    Unit.PERCENT: " %",
    Unit.HOURS: " h",
    Unit.BUSINESS_HOURS: " bh",
    Unit.DAYS: " d",
    Unit.PER_MILLION: " per million",
}
#: One of each is a thousand of the one before, but for the first.
_SIZES = (
    (Decimal(1), ""),
    (Decimal("1e6"), " M"),
    (Decimal("1e9"), " bn"),
    (Decimal("1e12"), " tn"),
)
_MOST = Decimal("1e15")
_TENTH = Decimal("0.1")
_WHOLE = Decimal(100)


def number(value: Decimal | None, unit: Unit = Unit.NUMBER, target: Decimal | None = None) -> str:
    """A value of a chart without its unit, short: `97.4`, `1,250`, `1.2 M`; a dash for None.

    Rounded half to even, but never up to a target, or to all of a share, that was not reached:
    99.95 % reads 99.9.
    """
    if value is None:
        return NOTHING
    aims = [aim for aim in (target, _WHOLE if unit is Unit.PERCENT else None) if aim is not None]
    if 0 < abs(value) < _TENTH:
        return f"{_rounded(value, Decimal(1).scaleb(value.adjusted()), aims):.1g}"
    for (size, name), (larger, _) in pairwise((*_SIZES, (_MOST, ""))):
        rounded = _rounded(value, _TENTH * size, aims)
        if abs(rounded) < larger:
            shown = f"{rounded / size:,.1f}".removesuffix(".0")
            return ("0" if shown == "-0" else shown) + name
    return f"{value:.1e}"


def _rounded(value: Decimal, step: Decimal, aims: Iterable[Decimal]) -> Decimal:
    """The nearest multiple of a step, or the one below where that one would reach an aim."""
    if abs(value) >= _MOST:
        return value
    steps = (value / step).to_integral_value(ROUND_HALF_EVEN)
    if any(value < aim <= steps * step for aim in aims):
        steps = (value / step).to_integral_value(ROUND_FLOOR)
    return steps * step


def amount(value: Decimal | None, unit: Unit, target: Decimal | None = None) -> str:
    """A value of a chart with its unit: `97.4 %`, `2.5 bh`."""
    return number(value, unit, target) + (_UNITS.get(unit, "") if value is not None else "")


def goal(target: Decimal, unit: Unit) -> str:
    """A target with its unit, to the last digit that somebody wrote: `99.95 %`."""
    return f"{target.normalize():,f}{_UNITS.get(unit, '')}"


def remarks(figure: Figure, *, with_before: bool = True) -> Iterator[str]:
    """What stands under a figure: its target, what it is about, and what it was before."""
    if figure.target is not None:
        yield f"target {target(figure)}"
    if figure.n is not None:
        yield about(figure)
    if figure.before and with_before:
        yield f"before: {before(figure)}"


def target(figure: Figure) -> str:
    """The target, and whether it was reached: `95 %, missed`; empty without one."""
    if figure.target is None:
        return ""
    said = {True: ", reached", False: ", missed", None: ""}[figure.reached]
    return goal(figure.target, figure.unit) + said


def about(figure: Figure) -> str:
    """How many things a figure is about: `41 commitments`; empty if it does not say.

    A figure that is itself the number of things says only what it counts.
    """
    if figure.n is None:
        return ""
    counts = counted(figure.counts, figure.n)
    is_number = figure.unit is Unit.COUNT and figure.value == figure.n and figure.counts
    return plain(counts if is_number else f"{figure.n:,} {counts}")


def before(figure: Figure) -> str:
    """The periods before, oldest first."""
    return ", ".join(number(value, figure.unit, figure.target) for value in figure.before)


def interval(figure: Figure) -> str:
    """The bounds between which a share probably lies; empty if there are none."""
    if figure.interval is None:
        return ""
    low, high = (number(100 * Decimal(bound), Unit.PERCENT) for bound in figure.interval)
    return f"{low} to {high} %"


def tone_of(figure: Figure) -> Tone:
    """How to take a figure; one that misses its target is not plain."""
    if figure.tone is Tone.PLAIN and figure.reached is not None:
        return Tone.GOOD if figure.reached else Tone.BAD
    return figure.tone


def title(report: Report) -> str:
    """The title, with the partner that it is about."""
    name, partner = plain(report.title), plain(report.about)
    return name if not partner or partner in name else f"{name}: {partner}"


def period(report: Report) -> str:
    """The period and its zone."""
    return f"{plain(report.period.label)}, {plain(report.period.timezone)}"


def issue(report: Report) -> str:
    """Which issue it is, and up to when events count."""
    known = _when(report.as_of, report)
    if report.issue == 0 or report.issued_at is None:
        return f"Draft, with what was known on {known}"
    issued = _when(report.issued_at, report)
    name = "Issued on" if report.issue == 1 else f"Issue {report.issue}, restated on"
    # A report that is issued at once would say the same minute twice.
    return f"{name} {issued}" + (f", with what was known on {known}" if known != issued else "")


def _when(at: datetime, report: Report) -> str:
    shown = moment(to_instant(at), report.period.timezone)
    return shown.removesuffix(f" ({report.period.timezone})")


def further_figures(report: Report) -> tuple[Figure, ...]:
    """Figures that headlines speak of and that stand in no tile and no cell.

    Others that are shown nowhere are there for `--explain`, such as those of partners further down
    than a table goes.
    """
    shown = {figure.id for section in report.sections for figure in section.figures} | {
        cell.figure
        for section in report.sections
        for table in section.tables
        for row in table.rows
        for cell in row
    }
    named = {name for line in report.summary for name in line.figures}
    return tuple(figure for figure in report.figures if figure.id in named - shown)


def definitions(report: Report) -> dict[str, list[Figure]]:
    """Each definition once, with the figures that it is the definition of."""
    found: dict[str, list[Figure]] = {}
    for figure in report.all_figures():
        found.setdefault(figure.definition, []).append(figure)
    return found


def labels(figures: Sequence[Figure], most: int = 3) -> str:
    """The labels of figures that share a definition, and how many more there are."""
    names = list(dict.fromkeys(plain(figure.label) for figure in figures))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def ids(figures: Sequence[Figure], most: int = 12) -> str:
    """The ids of figures that share a definition, and how many more there are."""
    more = f" and {len(figures) - most} more" if len(figures) > most else ""
    return ", ".join(plain(figure.id) for figure in figures[:most]) + more


EXPLAIN = "The rows behind a figure: --explain with its id, on the command that prints this report."

CHANGES = "Changed since the issue before"
FURTHER = "Further figures"
CONTROLS = "Control totals"
DEFINITIONS = "Definitions"
NOTES = "How it was made"


def change_rows(changes: Sequence[Change]) -> list[tuple[str, str, str, str]]:
    """Rows under `CHANGE_COLUMNS`."""
    return [(c.label, c.was, c.now, c.because) for c in changes]


CHANGE_COLUMNS = (("Figure", False), ("Was", True), ("Is", True), ("Because", False))
CONTROL_COLUMNS = (("Total", False), ("Source", False), ("Counted", True))


def control_rows(controls: Sequence[Control]) -> list[tuple[str, str, str]]:
    """Rows under `CONTROL_COLUMNS`."""
    return [(c.name, c.source, f"{c.counted:,}") for c in controls]


def provenance(report: Report) -> Iterator[str]:
    """Lines at the end: the policy, and how the report was made."""
    yield from map(plain, report.notes)
    if report.policy:
        yield f"Policy {plain(report.policy)}"


def turns(text: str) -> bool:
    """Whether a text runs from right to left in some part."""
    return any(unicodedata.bidirectional(c) in {"R", "AL", "AN"} for c in text)
