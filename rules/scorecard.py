"""The monthly scorecard of a partner: figures with their definitions, and the rows behind them.

What the months came to is worked out in `rules.partner_months`; here it becomes a report. Each
share is hits over n, compared with its target on integers and rounded down when shown, so that
only all of them show as 100 %.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, localcontext
from itertools import product
from typing import NamedTuple

from rules.attainment import Attainment, Outcome, control_totals, quantile, wilson
from rules.clocks.clock import PARTNER
from rules.deadlines import in_words
from rules.delivery_figures import ZERO, Basis, Due, Grade
from rules.partner_months import (
    PartnerMonth,
    PartnerMonths,
    attainment_of,
    defects,
    due_in,
    lead_times,
)
from rules.report_parts import target_of
from rules.subjects import split_key
from schemas.report import (
    Cell,
    Chart,
    ChartKind,
    Column,
    Control,
    Figure,
    Headline,
    Period,
    Report,
    ReportKind,
    Section,
    Series,
    Table,
    Tone,
    Unit,
    Visibility,
)
from schemas.time import DAY, HOUR, local_text, to_datetime

#: Who may see a version of the scorecard that was made for the partner.
FOR_PARTNER = frozenset({Visibility.OPERATIONAL, Visibility.STRATEGIC, Visibility.JOINT})

_GRADES = (
    (Grade.STRICT, "/strict", " on the promised day itself, and not after the promised time"),
    (Grade.ON_OR_BEFORE, "", " on or before what was promised"),
    (Grade.WITHIN_TOLERANCE, "/within_tolerance", " within tolerance"),
)
_SESSION = "touchpoint:"
_TENTH = Decimal("0.1")
_IN_TENTHS = (Unit.DAYS, Unit.HOURS, Unit.PERCENT)
_HINT = "not delivered counts as missed; cancelled by the partner before it was due is left out"


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


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The report, and for each figure the rows behind it."""

    report: Report
    _rows: dict[str, Callable[[], Behind]]

    def behind(self, figure: str) -> Behind | None:
        """The rows behind a figure, misses first; None if there is no such figure."""
        found = self._rows.get(figure)
        return None if found is None else found()


def scorecard(months: PartnerMonths, name: str) -> Scorecard:
    """The scorecard of the last of some months; `name` is what people call the partner."""
    months.settle()
    return _Writer(months, name).write()


class _Writer:
    """Writes one report. Lives for one call."""

    def __init__(self, months: PartnerMonths, name: str) -> None:
        self.m = months
        self.name = name
        self.reporting = months.policy.document.reporting
        self.rows: dict[str, Callable[[], Behind]] = {}
        self.others: list[Figure] = []
        """Figures that only cells show."""

    def write(self) -> Scorecard:
        sections = [
            self._delivery(),
            self._lead_time(),
            self._quality(),
            self._problems(),
            self._promises(),
            *self._reported(),
            self._escalations(),
        ]
        m = self.m
        last = m.last
        end = last.month.end(m.zone)
        found = {f.id: f for section in sections for f in section.figures}
        found |= {f.id: f for f in self.others}
        report = Report(
            kind=ReportKind.SCORECARD,
            title="Partner scorecard",
            about=self.name,
            about_id=m.partner_id,
            period=Period(
                key=last.month.key,
                label=last.month.label + ("" if m.is_over else ", not over"),
                begin=to_datetime(last.begin, m.zone),
                end=to_datetime(end, m.zone),
                timezone=m.zone.key,
            ),
            as_of=to_datetime(m.as_of, m.zone),
            summary=tuple(self._summary(found)),
            sections=tuple(sections),
            figures=tuple(self.others),
            controls=tuple(
                Control(name=c.name, source=c.source, counted=c.counted)
                for c in control_totals(m.controls)
            ),
            policy=m.policy.hash,
            notes=tuple(self._notes()),
        )
        return Scorecard(report, self.rows)

    # -- figures -------------------------------------------------------------------------------

    def _share(
        self,
        name: str,
        label: str,
        shares: Sequence[tuple[int, int]],
        counts: str,
        definition: str,
        *,
        visibility: Visibility,
        metric: str | None = None,
        none: str = "none due",
    ) -> Figure:
        """A percentage: (hits, n) of each month, the last one's last."""
        hits, n = shares[-1]
        target = (
            None
            if metric is None
            else target_of(self.reporting.targets, self.m.partner_tier, metric)
        )
        reached = None if target is None or n == 0 else 100 * hits >= target * n
        return Figure(
            id=name,
            label=label,
            value=_percent(hits, n),
            shown=_shown_share(hits, n, none),
            unit=Unit.PERCENT,
            definition=f"{definition} Rounded down to a tenth.",
            n=n,
            counts=counts,
            target=target,
            reached=reached,
            interval=wilson(hits, n) if n else None,
            before=tuple(_percent(*share) for share in shares[:-1]),
            tone=_tone(reached),
            visibility=visibility,
        )

    def _each(self, measure: Callable[[PartnerMonth], tuple[int, int]]) -> list[tuple[int, int]]:
        return [measure(month) for month in self.m.months]

    def _number(  # noqa: PLR0913 - each one is a part of the figure
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
        visibility: Visibility = Visibility.OPERATIONAL,
    ) -> Figure:
        values = [measure(month) for month in self.m.months]
        return Figure(
            id=name,
            label=label,
            value=values[-1],
            shown=none if values[-1] is None else _shown(values[-1], unit),
            unit=unit,
            definition=definition + (" Rounded to a tenth." if unit in _IN_TENTHS else ""),
            n=n,
            counts=counts,
            before=tuple(values[:-1]),
            visibility=visibility,
        )

    def _chart(
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
        points = tuple(month.month.key for month in self.m.months)
        series = tuple(Series(label=f.label, values=(*f.before, f.value)) for f in figures)
        said = "; ".join(
            f"{line.label}: "
            + ", ".join("none" if v is None else _shown(v, unit) for v in line.values)
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

    # -- delivery ------------------------------------------------------------------------------

    def _delivery(self) -> Section:
        tiles: list[Figure] = []
        rows: list[tuple[Cell, ...]] = []
        for title, prefix, metric, of, what in (
            ("OTIF", "otif", "otif", _otif, "that came whole"),
            ("On time", "on_time", "on_time", _on_time, "of which all that came had come"),
            ("In full", "in_full", "in_full", _full, "that came whole"),
        ):
            for basis, orders in product(Basis, (True, False)):
                figures = self._graded(title, prefix, metric, of, what, basis=basis, orders=orders)
                first = prefix if basis is Basis.FIRST and orders else None
                tiles += [figure for figure in figures if figure.id == first]
                self.others += [figure for figure in figures if figure.id != first]
                rows.append(_graded_row(figures))
        accuracy = self._accuracy()
        return Section(
            id="delivery",
            title="Deliveries",
            text=(self._left_out(),),
            figures=(*tiles, accuracy),
            charts=self._chart("Deliveries over six months", Unit.PERCENT, (*tiles, accuracy),
                               target=tiles[0].target),
            tables=(
                Table(
                    title="On time and in full",
                    columns=(
                        Column(title="measure"),
                        Column(title="on the day", numeric=True),
                        Column(title="on or before", numeric=True),
                        Column(title="within tolerance", numeric=True),
                        Column(title="n", numeric=True),
                    ),
                    rows=tuple(rows),
                    empty="Nothing was due.",
                    note=f"Within tolerance: at most {self.m.tolerance.late} late and "
                    f"{_plain(self.m.tolerance.short)} % short. Each promise counts in the month "
                    "in which it fell due, so the re-promised rows may be about other orders.",
                    visibility=Visibility.JOINT,
                ),
            ),
        )  # fmt: skip

    def _graded(
        self,
        title: str,
        prefix: str,
        metric: str,
        of: Callable[[Due], Grade],
        what: str,
        *,
        basis: Basis,
        orders: bool,
    ) -> list[Figure]:
        counts = "orders" if orders else "lines"
        again = basis is Basis.AGREED
        name = prefix + ("" if orders else "/lines") + ("/repromised" if again else "")
        label = f"{title}, {counts}" + (", re-promised" if again else "")
        promise = (
            "the last promise that the partner agreed to before the one before it fell due"
            if again
            else "the first promise that was confirmed"
        )
        found = []
        for grade, suffix, how in _GRADES:
            if prefix == "in_full":
                if grade is Grade.STRICT:
                    continue
                how = f"{how if suffix else ''}, however late"  # noqa: PLW2901 - in full knows no time

            def measure(month: PartnerMonth, grade: Grade = grade) -> tuple[int, int]:
                dues = due_in(month, basis, orders=orders)
                return sum(1 for due in dues if of(due) >= grade), len(dues)

            plain = suffix == ""
            figure = self._share(
                name + suffix,
                title if name + suffix == prefix else label + _suffix_words(suffix),
                self._each(measure),
                counts,
                f"{counts.capitalize()} due in the month by {promise}, {what}{how}, divided by all "
                f"{counts} that were due; {_HINT}.",
                visibility=Visibility.JOINT,
                metric=metric if plain and not again else None,
            )
            found.append(figure)
            self.rows[figure.id] = self._due_rows(figure, basis, of, grade, orders=orders)
        return found

    def _due_rows(
        self,
        figure: Figure,
        basis: Basis,
        of: Callable[[Due], Grade],
        grade: Grade,
        *,
        orders: bool,
    ) -> Callable[[], Behind]:
        def rows() -> Behind:
            month = self.m.last
            dues = sorted(
                month.dues[basis, orders],
                key=lambda d: (d.called_off, of(d) >= grade, d.due, d.order_id, d.line),
            )
            return _table(
                figure,
                ("order", "line", "promised", "first promised", "complete", "ordered", "came",
                 "counts as", "because"),
                (
                    (
                        d.order_id,
                        d.line,
                        self._local(d.due),
                        self._local(d.first_promise),
                        self._local(d.complete_at),
                        _plain(d.ordered),
                        _plain(d.came),
                        "left out" if d.called_off else "hit" if of(d) >= grade else "miss",
                        self._because(d, month),
                    )
                    for d in dues
                ),
                numeric=("ordered", "came"),
            )  # fmt: skip

        return rows

    def _because(self, due: Due, month: PartnerMonth) -> str:
        """How it came, in words."""
        if due.called_off:
            return "cancelled by the partner before it was due"
        said = []
        if due.came == 0:
            said.append(f"nothing came by {self._local(month.judged_at)}")
        elif due.came < due.ordered:
            said.append(f"{_plain(due.ordered - due.came)} had not come by "
                        f"{self._local(month.judged_at)}")  # fmt: skip
        if due.reported_missing > 0:
            said.append(f"{_plain(due.reported_missing)} reported short or wrong")
        if due.complete_at is not None and due.complete_at > due.due:
            said.append(f"complete {in_words(due.complete_at - due.due)} late")
        elif due.on_time is Grade.MISSED and due.came > 0 and due.complete_at is None:
            said.append("what came did not come in time, or more is to come")
        return "; ".join(said) or (
            "on the promised day" if due.on_time is Grade.STRICT else "by the promise"
        )

    def _left_out(self) -> str:
        dues = self.m.last.dues[Basis.FIRST, True]
        off = sum(1 for due in dues if due.called_off)
        open_ = sum(1 for due in dues if not due.called_off and due.complete_at is None)
        lines = due_in(self.m.last, Basis.FIRST, orders=False)
        return (
            f"{_many(len(dues) - off, 'order')} with {_many(len(lines), 'line')} due; of the "
            f"orders {open_} had not come whole, and {off} more that the partner cancelled before "
            "are left out."
        )

    def _accuracy(self) -> Figure:
        def measure(month: PartnerMonth) -> tuple[int, int]:
            counted = [x for x in month.handled if x.is_accuracy_counted]
            return sum(1 for x in counted if not x.inaccurate), len(counted)

        figure = self._share(
            "accuracy",
            "Order accuracy",
            self._each(measure),
            "orders",
            "Orders without a report in the month of a wrong item, a wrong price or wrong papers, "
            "divided by all orders of which something came, or that were found wrong, in the "
            "month.",
            visibility=Visibility.OPERATIONAL,
            metric="accuracy",
            none="none delivered",
        )

        def rows() -> Behind:
            counted = [x for x in self.m.last.handled if x.is_accuracy_counted]
            counted.sort(key=lambda x: (not x.inaccurate, x.order_id))
            return _table(
                figure,
                ("order", "units delivered", "counts as"),
                (
                    (x.order_id, _plain(x.delivered), "found wrong" if x.inaccurate else "accurate")
                    for x in counted
                ),
            )

        self.rows[figure.id] = rows
        return figure

    # -- lead time -----------------------------------------------------------------------------

    def _lead_time(self) -> Section:
        def times(month: PartnerMonth) -> list[int]:
            return sorted(lead_times(month))

        n = len(times(self.m.last))
        of = (
            "from the order to the delivery after which nothing more was to come, of the orders "
            "of which that delivery came in the month, in days of 24 hours"
        )

        def figure(
            name: str, label: str, said: str, measure: Callable[[list[int]], int | None]
        ) -> Figure:
            return self._number(
                f"lead_time/{name}",
                f"Lead time, {label}",
                Unit.DAYS,
                f"{said} {of}.",
                lambda month: _days(measure(times(month))),
                n=n,
                counts="orders",
                none=none,
            )

        none = "none completed" if n == 0 else "one order says nothing"
        figures = (
            figure("median", "median", "Median time", lambda x: quantile(x, 50)),
            figure(
                "p90",
                "9 of 10 within",
                "What nine of ten did not exceed (nearest rank)",
                lambda x: quantile(x, 90),
            ),
            figure(
                "deviation",
                "standard deviation",
                "Standard deviation (n - 1) of the time",
                deviation,
            ),
            self._number(
                "lead_time/variation",
                "Lead time, variation",
                Unit.PERCENT,
                "Coefficient of variation: the standard deviation divided by the mean of the time "
                f"{of}.",
                lambda month: variation(times(month)),
                n=n,
                counts="orders",
                none=none,
            ),
        )

        def rows() -> Behind:
            done = [x for x in self.m.last.handled if x.lead_time is not None]
            done.sort(key=lambda x: (-(x.lead_time or 0), x.order_id))
            return _table(
                figures[0],
                ("order", "complete", "took"),
                ((x.order_id, self._local(x.done_at), in_words(x.lead_time or 0)) for x in done),
            )

        self.rows |= {figure.id: rows for figure in figures}
        early = sum(1 for x in self.m.last.handled if x.done_at is not None and x.lead_time is None)
        text = f"{_many(early, 'order')} left out: the goods came before the order was entered."
        return Section(
            id="lead_time",
            title="Lead time",
            text=(text,) if early else (),
            figures=figures,
            charts=self._chart("Lead time over six months", Unit.DAYS, figures[:2]),
        )

    # -- quality -------------------------------------------------------------------------------

    def _quality(self) -> Section:
        def measure(month: PartnerMonth) -> Decimal | None:
            defective, delivered = defects(month)
            if delivered == 0:
                return None
            return (defective * 1_000_000 / delivered).quantize(Decimal(1), ROUND_HALF_EVEN)

        _, delivered = defects(self.m.last)
        figure = self._number(
            "defects_per_million",
            "Defects per million",
            Unit.PER_MILLION,
            "Units that were found damaged, wrong, of bad quality or sent back in the month, less "
            "those taken back, times a million, divided by the units delivered in the month; "
            "rounded to a whole number.",
            measure,
            n=int(delivered),
            counts="units delivered",
            none="none delivered",
        )

        def rows() -> Behind:
            handled = [x for x in self.m.last.handled if x.defective or x.delivered]
            handled.sort(key=lambda x: (-x.defective, x.order_id))
            return _table(
                figure,
                ("order", "units delivered", "found defective"),
                ((x.order_id, _plain(x.delivered), _plain(x.defective)) for x in handled),
                numeric=("units delivered", "found defective"),
            )

        self.rows[figure.id] = rows
        return Section(
            id="quality",
            title="Quality",
            figures=(figure,),
            charts=self._chart("Defects over six months", Unit.PER_MILLION, [figure]),
        )

    # -- problems ------------------------------------------------------------------------------

    def _problems(self) -> Section:
        last = self.m.last.solving
        what = (
            "of the tickets, and cases about anything else, that were solved in the month and not "
            "open at its end, from their first opening, on the clock"
        )
        took = (
            self._number(
                "resolution/median",
                "Resolution time, median",
                Unit.HOURS,
                f"Median time {what}.",
                lambda month: _hours(month.solving.median),
                n=len(last.solved),
                counts="problems solved",
                none="none solved",
            ),
            self._number(
                "resolution/p90",
                "Resolution time, 9 of 10 within",
                Unit.HOURS,
                f"What nine of ten did not exceed (nearest rank) {what}.",
                lambda month: _hours(month.solving.p90),
                n=len(last.solved),
                counts="problems solved",
                none="none solved",
            ),
        )
        still = (
            self._number(
                "resolution/open",
                "Open problems",
                Unit.COUNT,
                "Tickets, and cases about anything else, that were open at the end of the month.",
                lambda month: Decimal(len(month.solving.open)),
            ),
            self._number(
                "resolution/oldest",
                "Oldest open problem",
                Unit.DAYS,
                "Time since the first opening of the one that was open longest at the end of the "
                "month.",
                lambda month: _days(month.solving.oldest),
                n=len(last.open),
                counts="problems open",
                none="none open",
            ),
        )
        for_good = self._share(
            "solved_for_good",
            "Solved for good",
            self._each(
                lambda month: (
                    sum(1 for _, back in month.solving.tried if not back),
                    len(month.solving.tried),
                )
            ),
            "problems",
            "Problems that, within 30 days after they had been solved, were neither opened again "
            "nor followed by another of the same category or under the same rule, divided by all "
            "problems whose 30 days ended in the month.",
            visibility=Visibility.OPERATIONAL,
            none="none to judge",
        )
        for figures, title, problems in (
            (took, "took", last.solved),
            (still, "open for", last.open),
        ):
            longest = sorted(problems, key=lambda entry: (-entry[1], entry[0].name))
            for figure in figures:
                self._keep(figure, ("problem", title), [(p.name, in_words(t)) for p, t in longest])
        tried = sorted(last.tried, key=lambda entry: (not entry[1], entry[0].name))
        self._keep(
            for_good,
            ("problem", "counts as"),
            [(p.name, "came back" if back else "solved for good") for p, back in tried],
        )
        return Section(
            id="problems",
            title="Problems",
            figures=(*took, *still, for_good),
            charts=(
                *self._chart(
                    "Open problems over six months", Unit.COUNT, still[:1], kind=ChartKind.STACKED
                ),
                *self._chart("Resolution time over six months", Unit.HOURS, took),
            ),
        )

    def _keep(
        self,
        figure: Figure,
        titles: Sequence[str],
        rows: Sequence[Sequence[str]],
        numeric: Sequence[str] = (),
    ) -> Figure:
        """Note the rows behind a figure, and return it."""
        self.rows[figure.id] = lambda: _table(figure, titles, rows, numeric)
        return figure

    # -- promises ------------------------------------------------------------------------------

    def _promises(self) -> Section:
        metrics = {x.metric: x.owed_by for month in self.m.months for x, _ in month.promises}
        columns = ("promise", "owed by", "kept", "target", "met", "broken", "left out")
        numeric = ("kept", "target", "met", "broken")
        return Section(
            id="promises",
            title="Promises",
            tables=(
                Table(
                    title="Promises kept",
                    columns=tuple(Column(title=t, numeric=t in numeric) for t in columns),
                    rows=tuple(
                        self._promise(metric, metrics[metric]) for metric in sorted(metrics)
                    ),
                    empty="No commitment fell due in these months.",
                    visibility=Visibility.JOINT,
                ),
            ),
        )

    def _promise(self, metric: str, owner: str) -> tuple[Cell, ...]:
        by_month = [attainment_of(month, metric) for month in self.m.months]
        now = by_month[-1]
        figure = self._share(
            f"sla/{metric}",
            _metric_words(metric).capitalize(),
            [(found.met, found.n) for found in by_month],
            "commitments",
            "Commitments kept, divided by those kept and broken, overdue ones that are still open "
            "included, whose due time fell in the month. Cancelled, excused, paused and not yet "
            "due are left out.",
            visibility=Visibility.JOINT,
            metric=None if owner == PARTNER else metric,
        )
        self.others.append(figure)
        self.rows[figure.id] = lambda: self._promise_rows(figure, metric)
        return (
            Cell(text=_metric_words(metric)),
            Cell(text="the partner" if owner == PARTNER else "us"),
            Cell(text=figure.shown, tone=figure.tone, figure=figure.id),
            Cell(text="" if figure.target is None else f"{_plain(figure.target)} %"),
            Cell(text=str(now.met)),
            Cell(text=str(now.breached)),
            Cell(text=_left_out_words(now)),
        )

    def _promise_rows(self, figure: Figure, metric: str) -> Behind:
        promises = [(x, outcome) for x, outcome in self.m.last.promises if x.metric == metric]
        promises.sort(
            key=lambda promise: (
                promise[1] is not Outcome.BREACHED,
                promise[0].falls_at or self.m.as_of,
                promise[0].clock_id,
            )
        )
        return _table(
            figure,
            ("clock", "about", "due", "kept", "counts as", "late by"),
            (
                (
                    x.clock_id,
                    _about(x.subject),
                    self._local(x.falls_at),
                    self._local(x.stopped_at),
                    str(outcome),
                    in_words(late) if (late := x.late_at(self.m.as_of)) else "",
                )
                for x, outcome in promises
            ),
        )

    # -- figures of others ---------------------------------------------------------------------

    def _reported(self) -> Iterator[Section]:
        names = sorted({name for month in self.m.months for name in month.said})
        if names:
            yield Section(
                id="reported",
                title="Reported by other systems",
                figures=tuple(map(self._reported_figure, names)),
            )

    def _reported_figure(self, name: str) -> Figure:
        said = [month.said.get(name) for month in self.m.months]
        newest = next(one for one in reversed(said) if one is not None)
        unit = newest.unit or ""
        values = [None if one is None else one.value for one in said]
        now = values[-1]
        figure = Figure(
            id=f"reported/{name}",
            label=name.replace("_", " ").capitalize(),
            value=now,
            shown="not reported" if now is None else f"{_plain(now)} {unit}".strip(),
            unit=Unit.PERCENT if unit in ("percent", "%") else Unit.NUMBER,
            definition=f"The last value of {name} for the month that {newest.source} reported; "
            "what it counts is that system's.",
            before=tuple(values[:-1]),
            visibility=Visibility.JOINT
            if name in self.reporting.shared_metrics
            else Visibility.CONFIDENTIAL,
        )
        rows = [
            (month.month.key, _plain(one.value), one.period or "", self._local(one.at), one.source)
            for month, one in zip(self.m.months, said, strict=True)
            if one is not None
        ]
        return self._keep(figure, ("month", "value", "period", "reported", "by"), rows, ("value",))

    # -- ours alone ----------------------------------------------------------------------------

    def _escalations(self) -> Section:
        currencies = sorted({currency for currency, _ in self.m.overdue.values() if currency})
        figures = (*map(self._cases_at, self.m.policy.tiers), *map(self._overdue, currencies))
        return Section(id="escalations", title="In our house", figures=figures)

    def _cases_at(self, tier: str) -> Figure:
        figure = self._number(
            f"escalations/{tier}",
            f"Cases at {tier}",
            Unit.COUNT,
            f"Cases that were opened at, raised to or escalated to {tier} in the month, each once; "
            "without those proved wrong since.",
            lambda month: Decimal(len(month.escalated.get(tier, ()))),
            visibility=Visibility.CONFIDENTIAL,
        )
        cases = sorted(self.m.last.escalated.get(tier, ()))
        return self._keep(figure, ("case",), [(case,) for case in cases])

    def _overdue(self, currency: str) -> Figure:
        late = {key: value for key, (c, value) in self.m.overdue.items() if c == currency}
        unpriced = sum(1 for c, _ in self.m.overdue.values() if not c)
        beside = f" Not in it: {_many(unpriced, 'order')} without a price." if unpriced else ""
        value = sum(late.values(), ZERO)
        figure = Figure(
            id=f"exposure/{currency}",
            label=f"Overdue value, {currency}",
            value=value,
            shown=f"{value:,.2f} {currency}",
            unit=Unit.MONEY,
            definition="Value, at the order's prices, of what was undelivered past its promise at "
            f"the end of the month.{beside}",
            n=len(late),
            counts="orders",
            visibility=Visibility.CONFIDENTIAL,
        )
        most = sorted(late.items(), key=lambda entry: (-entry[1], entry[0]))
        return self._keep(
            figure, ("order", "value"), [(k, f"{v:,.2f}") for k, v in most], ("value",)
        )

    # -- words ---------------------------------------------------------------------------------

    def _summary(self, found: dict[str, Figure]) -> Iterator[Headline]:
        otif, again = found["otif"], found["otif/repromised"]
        if otif.n:
            target = "" if otif.target is None else f", target {_plain(otif.target)} %"
            yield Headline(
                text=f"OTIF {otif.shown} of {_many(otif.n, 'order')}{target}; "
                f"by re-promised dates {again.shown}.",
                tone=otif.tone,
                figures=(otif.id, again.id),
            )
        else:
            yield Headline(text="No order was due.", figures=(otif.id,))
        on_time, full = found["on_time"], found["in_full"]
        if otif.n:
            yield Headline(
                text=f"On time {on_time.shown}, in full {full.shown}.",
                figures=(on_time.id, full.id),
            )
        missed = [f for f in self.others if f.id.startswith("sla/") and f.reached is False]
        kept = [f for f in self.others if f.id.startswith("sla/") and f.n]
        if missed:
            named = ", ".join(f"{f.label.lower()} {f.shown}" for f in missed)
            yield Headline(
                text=f"Promises below target: {named}.",
                tone=Tone.BAD,
                figures=tuple(f.id for f in missed),
            )
        elif kept:
            worst = min(kept, key=lambda f: (f.value or ZERO, f.id))
            yield Headline(
                text=f"Of {_many(len(kept), 'kind')} of promises the least kept: "
                f"{worst.label.lower()}, {worst.shown}.",
                figures=(worst.id,),
            )
        median, still = found["resolution/median"], found["resolution/open"]
        oldest = found["resolution/oldest"]
        if median.n or still.value:
            age = f", the oldest for {oldest.shown}" if still.value else ""
            took = f" (median {median.shown})" if median.n else ""
            yield Headline(
                text=f"{_many(median.n or 0, 'problem')} solved{took}, {still.shown} open{age}.",
                figures=(median.id, still.id, oldest.id),
            )
        defective = found["defects_per_million"]
        if defective.value is not None:
            before = defective.before[-1]
            was = "" if before is None else f" (the month before: {_plain(before)})"
            yield Headline(
                text=f"Defective units: {defective.shown}{was}.", figures=(defective.id,)
            )

    def _notes(self) -> Iterator[str]:
        m = self.m
        if not m.is_over:
            yield f"The month is not over: a draft of what is known up to {self._local(m.as_of)}."
        yield f"Times and days are those of {m.zone.key}. A day without a time means its end."
        yield (
            "Counts what was known as of this report. Each month before is judged at the same "
            "distance from its end."
        )
        yield (f"Orders placed before {to_datetime(m.since, m.zone):%Y-%m-%d} are not looked at.")
        yield "What each figure means: docs/scorecard.md."

    def _local(self, instant: int | None) -> str:
        return "" if instant is None else local_text(instant, self.m.zone)


# --- small parts ----------------------------------------------------------------------------------


def _otif(due: Due) -> Grade:
    return due.otif


def _on_time(due: Due) -> Grade:
    return due.on_time


def _full(due: Due) -> Grade:
    return due.full


def deviation(values: Sequence[int]) -> int | None:
    """The sample standard deviation (n - 1) to the whole unit; None for fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    squares = n * sum(v * v for v in values) - sum(values) ** 2
    with localcontext(prec=60):
        return int((Decimal(squares) / (n * (n - 1))).sqrt().to_integral_value(ROUND_HALF_EVEN))


def variation(values: Sequence[int]) -> Decimal | None:
    """The coefficient of variation in percent; None for fewer than two values or a mean of 0."""
    spread, total = deviation(values), sum(values)
    if spread is None or total == 0:
        return None
    return (Decimal(100 * spread * len(values)) / total).quantize(_TENTH, ROUND_HALF_EVEN)


def _percent(hits: int, n: int) -> Decimal | None:
    if n == 0:
        return None
    return (Decimal(100 * hits) / n).quantize(_TENTH, ROUND_DOWN)


def _shown_share(hits: int, n: int, none: str) -> str:
    found = _percent(hits, n)
    return none if found is None else f"{found} %"


def _shown(value: Decimal, unit: Unit) -> str:
    match unit:
        case Unit.PERCENT:
            return f"{value.quantize(Decimal('0.1'), ROUND_DOWN)} %"
        case Unit.HOURS:
            return f"{value:,.1f} h"
        case Unit.DAYS:
            return f"{value:,.1f} d"
        case Unit.PER_MILLION:
            return f"{value:,.0f} per million"
        case _:
            return _plain(value)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _many(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _days(amount: int | None) -> Decimal | None:
    return None if amount is None else (Decimal(amount) / DAY).quantize(_TENTH, ROUND_HALF_EVEN)


def _hours(amount: int | None) -> Decimal | None:
    return None if amount is None else (Decimal(amount) / HOUR).quantize(_TENTH, ROUND_HALF_EVEN)


def _suffix_words(suffix: str) -> str:
    """`, within tolerance` for `/within_tolerance`."""
    return suffix.replace("/", ", ").replace("_", " ")


def _tone(reached: bool | None) -> Tone:
    return Tone.PLAIN if reached is None else Tone.GOOD if reached else Tone.BAD


def _metric_words(metric: str) -> str:
    return metric.removeprefix(_SESSION).replace("_", " ")


def _about(subject: str) -> str:
    kind, _, name = split_key(subject)
    return f"{kind} {name}".strip()


def _left_out_words(found: Attainment) -> str:
    return ", ".join(f"{n} {outcome}" for outcome, n in found.left_out.items())


def _graded_row(figures: Sequence[Figure]) -> tuple[Cell, ...]:
    """One row of the table of deliveries; in full has no grade `on the day`."""
    cells = [Cell(text=f.shown, tone=f.tone, figure=f.id) for f in figures]
    if len(cells) < len(_GRADES):
        cells.insert(0, Cell(text=""))
    plain = figures[-2]
    again = ", re-promised" if "/repromised" in plain.id else ""
    title = plain.label.split(",")[0]
    return (Cell(text=f"{title}, {plain.counts}{again}"), *cells, Cell(text=str(plain.n)))


def _table(
    figure: Figure,
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    numeric: Sequence[str] = (),
) -> Behind:
    counted = "" if figure.n is None else f" of {figure.n} {figure.counts}"
    title = f"{figure.label}: {figure.shown}{counted}"
    return Behind(title, list(titles), list(numeric), list(map(list, rows)))
