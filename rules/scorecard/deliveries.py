"""Deliveries: on time, in full, both, and right; against either promise, in three grades."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from rules.attainment import Attainment
from rules.deadlines import in_words
from rules.delivery_figures import Basis, Due, Grade
from rules.partner_months import PartnerMonth, PartnerMonths, due_in
from rules.report_parts import cell, columns, many, plain, said, table
from rules.scorecard.sheet import Sheet, kept
from schemas.report import Cell, Figure, Section, Unit, Visibility

_GRADES = (
    (Grade.STRICT, "/strict", " on the promised day itself, and not after the promised time"),
    (Grade.ON_OR_BEFORE, "", " on or before what was promised"),
    (Grade.WITHIN_TOLERANCE, "/within_tolerance", " within tolerance"),
)
_MEASURES = {
    "otif": ("OTIF", "that came whole"),
    "on_time": ("On time", "of which all that came had come"),
    "in_full": ("In full", "that came whole"),
}
_LEFT_OUT = "not delivered counts as missed; cancelled by the partner before it was due is left out"
_PROMISES = {
    Basis.FIRST: "the first promise that was confirmed",
    Basis.AGREED: "the last promise that the partner agreed to before the one before it fell due",
}


class _Way(NamedTuple):
    """One way to count deliveries."""

    measure: str
    basis: Basis
    orders: bool
    """Whole orders; else lines."""

    @property
    def counts(self) -> str:
        return "orders" if self.orders else "lines"

    @property
    def id(self) -> str:
        lines = "" if self.orders else "/lines"
        return self.measure + lines + ("/repromised" if self.basis is Basis.AGREED else "")

    @property
    def label(self) -> str:
        again = ", re-promised" if self.basis is Basis.AGREED else ""
        return f"{_MEASURES[self.measure][0]}, {self.counts}{again}"

    def grade(self, due: Due) -> Grade:
        if self.measure == "otif":
            return due.otif
        return due.on_time if self.measure == "on_time" else due.full

    def in_month(self, month: PartnerMonth, grade: Grade) -> Attainment:
        dues = due_in(month, self.basis, orders=self.orders)
        return kept((self.grade(due) >= grade for due in dues), self.counts)


def delivery_section(m: PartnerMonths, sheet: Sheet) -> Section:
    """OTIF and its parts by orders as tiles, every way to count them as a table, and accuracy."""
    rows = [_row(m, sheet, _Way(*way)) for way in product(_MEASURES, Basis, (True, False))]
    tiles = (*(sheet.figures[measure] for measure in _MEASURES), _accuracy(m, sheet))
    return Section(
        id="delivery",
        title="Deliveries",
        text=(_remark(m),),
        figures=tiles,
        charts=sheet.chart("Deliveries over six months", Unit.PERCENT, tiles,
                           target=tiles[0].target),
        tables=(
            table(
                "On time and in full",
                columns(
                    "measure", "on the day", "on or before", "within tolerance", "n",
                    numbers=("on the day", "on or before", "within tolerance", "n"),
                ),
                rows,
                "Nothing was due.",
                f"Within tolerance: at most {m.tolerance.late} late and "
                f"{plain(m.tolerance.short)} % short. Each promise counts in the month in which it "
                "fell due, so the re-promised rows may be about other orders.",
                Visibility.JOINT,
            ),
        ),
    )  # fmt: skip


def _row(m: PartnerMonths, sheet: Sheet, way: _Way) -> tuple[Cell, ...]:
    figures = [_graded(m, sheet, way, *grade) for grade in _GRADES if _is_graded(way, grade[0])]
    cells = [cell(figure) for figure in figures]
    if len(cells) < len(_GRADES):
        cells.insert(0, said(""))
    return (said(way.label), *cells, said(figures[-1].n or 0))


def _is_graded(way: _Way, grade: Grade) -> bool:
    """Whether a grade says anything: in full knows no time, and so no day either."""
    return way.measure != "in_full" or grade is not Grade.STRICT


def _graded(
    m: PartnerMonths, sheet: Sheet, way: _Way, grade: Grade, suffix: str, how: str
) -> Figure:
    title, what = _MEASURES[way.measure]
    if way.measure == "in_full":
        how = f"{how if suffix else ''}, however late"
    name = way.id + suffix
    label = way.label + suffix.replace("/", ", ").replace("_", " ")
    figure = sheet.share(
        name,
        title if name == way.measure else label,
        f"{way.counts.capitalize()} due in the month by {_PROMISES[way.basis]}, {what}{how}, "
        f"divided by all {way.counts} that were due; {_LEFT_OUT}.",
        lambda month: way.in_month(month, grade),
        metric=way.measure if not suffix and way.basis is Basis.FIRST else None,
        visibility=Visibility.JOINT,
    )
    return sheet.put(
        figure,
        ("order", "line", "promised", "first promised", "complete", "ordered", "came",
         "counts as", "because"),
        lambda: _rows(m, sheet, way, grade),
        ("ordered", "came"),
    )  # fmt: skip


def _rows(m: PartnerMonths, sheet: Sheet, way: _Way, grade: Grade) -> Iterator[tuple[str, ...]]:
    """What was due: misses first, what is left out last."""
    dues = m.last.dues[way.basis, way.orders]
    for d in sorted(
        dues, key=lambda d: (d.called_off, way.grade(d) >= grade, d.due, d.order_id, d.line)
    ):
        yield (
            d.order_id,
            d.line,
            sheet.local(d.due),
            sheet.local(d.first_promise),
            sheet.local(d.complete_at),
            plain(d.ordered),
            plain(d.came),
            "left out" if d.called_off else "hit" if way.grade(d) >= grade else "miss",
            _because(d, sheet.local(m.last.judged_at)),
        )


def _because(due: Due, judged: str) -> str:
    """How it came by the time at which the month is judged, in words."""
    if due.called_off:
        return "cancelled by the partner before it was due"
    words = []
    if due.came == 0:
        words.append(f"nothing came by {judged}")
    elif due.came < due.ordered:
        words.append(f"{plain(due.ordered - due.came)} had not come by {judged}")
    if due.reported_missing > 0:
        words.append(f"{plain(due.reported_missing)} reported short or wrong")
    if due.complete_at is not None and due.complete_at > due.due:
        words.append(f"complete {in_words(due.complete_at - due.due)} late")
    elif due.on_time is Grade.MISSED and due.came > 0 and due.complete_at is None:
        words.append("what came did not come in time, or more is to come")
    return "; ".join(words) or (
        "on the promised day" if due.on_time is Grade.STRICT else "by the promise"
    )


def _remark(m: PartnerMonths) -> str:
    dues = m.last.dues[Basis.FIRST, True]
    off = sum(1 for due in dues if due.called_off)
    open_ = sum(1 for due in dues if not due.called_off and due.complete_at is None)
    lines = due_in(m.last, Basis.FIRST, orders=False)
    return (
        f"{many(len(dues) - off, 'order')} with {many(len(lines), 'line')} due; of the orders "
        f"{open_:,} had not come whole, and {off:,} more that the partner cancelled before are "
        "left out."
    )


def _accuracy(m: PartnerMonths, sheet: Sheet) -> Figure:
    def rows() -> Iterator[tuple[str, ...]]:
        counted = [x for x in m.last.handled if x.is_accuracy_counted]
        for x in sorted(counted, key=lambda x: (not x.inaccurate, x.order_id)):
            yield (x.order_id, plain(x.delivered), "found wrong" if x.inaccurate else "accurate")

    return sheet.put(
        sheet.share(
            "accuracy",
            "Order accuracy",
            "Orders without a report in the month of a wrong item, a wrong price or wrong papers, "
            "divided by all orders of which something came, or that were found wrong, in the "
            "month.",
            lambda month: kept(
                (not x.inaccurate for x in month.handled if x.is_accuracy_counted), "orders"
            ),
            metric="accuracy",
            none="none delivered",
        ),
        ("order", "units delivered", "counts as"),
        rows,
    )
