"""The sheet that a scorecard is written on: its figures, and the rows behind each."""

from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from rules.attainment import Attainment
from rules.partner_months import PartnerMonth, PartnerMonths
from rules.report_parts import plain, share, shown_share, target_of
from schemas.report import (
    Cell,
    Chart,
    ChartKind,
    Column,
    Figure,
    Series,
    Table,
    Tone,
    Unit,
    Visibility,
)
from schemas.time import DAY, HOUR, local_text

TENTH = Decimal("0.1")
_IN_TENTHS = (Unit.DAYS, Unit.HOURS, Unit.PERCENT)


class Behind(NamedTuple):
    """The rows behind a figure, plain enough to be kept by the hundred thousand."""

    title: str
    titles: list[str]
    numeric: list[str]
    """The titles of columns that are aligned to the right."""
    rows: list[list[str]]

    def table(self) -> Table:
        """The same to be shown."""
        return Table(
            title=self.title,
            columns=tuple(Column(title=t, numeric=t in self.numeric) for t in self.titles),
            rows=tuple(tuple(Cell(text=text) for text in row) for row in self.rows),
            empty="No row is behind it.",
        )


class Sheet:
    """Figures by id, in the order in which they are put down, and what leads to their rows."""

    def __init__(self, months: PartnerMonths) -> None:
        self.figures: dict[str, Figure] = {}
        self.rows: dict[str, Callable[[], Behind]] = {}
        self._months = months
        self._reporting = months.policy.document.reporting

    def put(
        self,
        figure: Figure,
        titles: Sequence[str],
        rows: Callable[[], Iterable[Sequence[str]]],
        numeric: Sequence[str] = (),
    ) -> Figure:
        """Put a figure down, with the titles of its rows and how to come by them."""
        assert figure.id not in self.figures, f"two figures are called {figure.id}"
        counted = "" if figure.n is None else f" of {figure.n:,} {figure.counts}"
        title = f"{figure.label}: {figure.shown}{counted}"
        self.figures[figure.id] = figure
        self.rows[figure.id] = lambda: Behind(
            title, list(titles), list(numeric), list(map(list, rows()))
        )
        return figure

    # -- kinds of figures ----------------------------------------------------------------------

    def share(
        self,
        name: str,
        label: str,
        definition: str,
        measure: Callable[[PartnerMonth], Attainment],
        *,
        metric: str | None = None,
        none: str = "none due",
        visibility: Visibility = Visibility.OPERATIONAL,
    ) -> Figure:
        """A percentage of things that went well; `metric` is what targets call it."""
        *before, now = map(measure, self._months.months)
        target = None
        if metric is not None:
            target = target_of(self._reporting.targets, self._months.partner_tier, metric)
        reached = None if target is None else now.reaches(target)
        return Figure(
            id=name,
            label=label,
            value=share(now),
            shown=shown_share(now, none),
            unit=Unit.PERCENT,
            definition=f"{definition} Rounded down to a tenth.",
            n=now.n,
            counts=now.unit,
            target=target,
            reached=reached,
            interval=now.interval,
            before=tuple(map(share, before)),
            tone=Tone.PLAIN if reached is None else Tone.GOOD if reached else Tone.BAD,
            visibility=visibility,
        )

    def number(  # noqa: PLR0913 - each one is a part of the figure
        self,
        name: str,
        label: str,
        unit: Unit,
        definition: str,
        measure: Callable[[PartnerMonth], Decimal | None],
        *,
        n: int | None = None,
        counts: str = "",
        none: str = "none",
        rounded: str | None = None,
        visibility: Visibility = Visibility.OPERATIONAL,
    ) -> Figure:
        """A number of something, or a length of time; None where there is nothing to measure."""
        *before, now = map(measure, self._months.months)
        if rounded is None and unit in _IN_TENTHS:
            rounded = "to a tenth"
        return Figure(
            id=name,
            label=label,
            value=now,
            shown=none if now is None else shown(now, unit),
            unit=unit,
            definition=definition + ("" if rounded is None else f" Rounded {rounded}."),
            n=n,
            counts=counts,
            before=tuple(before),
            visibility=visibility,
        )

    def chart(
        self,
        title: str,
        unit: Unit,
        figures: Sequence[Figure],
        *,
        target: Decimal | None = None,
        kind: ChartKind = ChartKind.LINES,
    ) -> tuple[Chart, ...]:
        """A chart of the months; none where there was nothing to measure in any of them."""
        if all(value is None for f in figures for value in (*f.before, f.value)):
            return ()
        points = tuple(month.month.key for month in self._months.months)
        series = tuple(Series(label=f.label, values=(*f.before, f.value)) for f in figures)
        said = "; ".join(
            f"{line.label}: "
            + ", ".join("none" if v is None else shown(v, unit) for v in line.values)
            for line in series
        )
        return (
            Chart(
                title=title,
                kind=kind,
                unit=unit,
                points=points,
                series=series,
                target=target,
                alt=f"{title}, {points[0]} to {points[-1]}. {said}.",
                visibility=Visibility.STRATEGIC,
            ),
        )

    def local(self, instant: int | None) -> str:
        """An instant in the partner's zone; empty for None."""
        return "" if instant is None else local_text(instant, self._months.zone)


def kept(hits: Iterable[bool], counts: str) -> Attainment:
    """How many of some things went well; `counts` is what they are."""
    found = list(hits)
    good = sum(found)
    return Attainment(good, len(found) - good, {}, counts)


def days(amount: int | None) -> Decimal | None:
    """Microseconds in days, to a tenth."""
    return None if amount is None else (Decimal(amount) / DAY).quantize(TENTH, ROUND_HALF_EVEN)


def age(amount: int | None) -> Decimal | None:
    """Microseconds in days, to a tenth; from ten days on a tenth says nothing, and is left out."""
    found = days(amount)
    return found if found is None or found < 10 else found.quantize(1, ROUND_HALF_EVEN)


def hours(amount: int | None) -> Decimal | None:
    """Microseconds in hours, to a tenth."""
    return None if amount is None else (Decimal(amount) / HOUR).quantize(TENTH, ROUND_HALF_EVEN)


def shown(value: Decimal, unit: Unit) -> str:
    """A value for people, with its unit."""
    match unit:
        case Unit.PERCENT:
            return f"{value.quantize(TENTH, ROUND_DOWN)} %"
        case Unit.HOURS:
            return f"{value:,.1f} h"
        case Unit.DAYS:
            return f"{value:,} d"
        case Unit.PER_MILLION:
            return f"{value:,.0f} per million"
        case Unit.COUNT:
            return f"{value:,}"
        case _:
            return plain(value)
