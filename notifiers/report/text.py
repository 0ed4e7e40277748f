"""Reports as text in columns: for a terminal, and for mails that show no HTML."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from notifiers.render import plain
from notifiers.report import wording
from notifiers.report.columns import filled, wrapped
from notifiers.report.columns import width as width_of
from notifiers.report.text_charts import chart_lines
from notifiers.report.wording import MARKS
from schemas.report import Chart, Figure, Report, Section, Table, Tone

#: What fits into a mail program and on paper.
MAIL_COLUMNS = 78
_FEWEST_COLUMNS = 40
_WIDEST_CHART = 72
#: A column of words is not made narrower: where that is not enough, rows are told as lists.
_NARROWEST = 9
_GAP = "  "
_CODES = {Tone.GOOD: "32", Tone.BAD: "31", Tone.WATCH: "33"}
_BOLD, _FAINT = "1", "2"


def to_text(report: Report) -> str:
    """The report as plain text that stands alone, with a line break at its end."""
    return to_terminal(report, MAIL_COLUMNS)


def to_terminal(report: Report, width: int = 100, colour: bool = False) -> str:
    """The report in lines of at most `width` columns (40 at least), with a line break at its end.

    Escape sequences are written only with `colour`; what they say stands there in signs, too.
    """
    return "\n".join(_Writer(max(width, _FEWEST_COLUMNS), colour=colour).report(report)) + "\n"


def aligned(table: Table, columns: int) -> list[str] | None:
    """The rows of a table in so many columns, each on one line; None if that is not enough."""
    grid = _grid_of(table)
    fits = _widths(grid, columns)
    if fits is None or fits != _widths(grid, sys.maxsize):
        return None
    return list(_Writer(columns, colour=False).grid(grid))


class _Text(NamedTuple):
    """A cell on its way to its place."""

    text: str
    tone: Tone = Tone.PLAIN


class _Grid(NamedTuple):
    """Columns (title, whether numeric) and rows."""

    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[_Text]]


class _Writer:
    def __init__(self, columns: int, *, colour: bool) -> None:
        self._columns = columns
        self._colour = colour

    def report(self, report: Report) -> Iterator[str]:
        yield from self._wrapped(wording.title(report), _BOLD)
        yield from self._wrapped(wording.period(report))
        yield from self._wrapped(wording.issue(report), _FAINT)
        if report.summary:
            yield ""
        for headline in report.summary:
            yield from self._marked(plain(headline.text), headline.tone)
        if report.changes:
            yield from self._heading(wording.CHANGES)
            changes = wording.change_rows(report.changes)
            yield from self.grid(_grid(wording.CHANGE_COLUMNS, changes))
        for section in report.sections:
            yield from self._section(section)
        if further := wording.further_figures(report):
            yield from self._heading(wording.FURTHER)
            yield from self._figures(further)
        if report.controls:
            yield from self._heading(wording.CONTROLS)
            controls = wording.control_rows(report.controls)
            yield from self.grid(_grid(wording.CONTROL_COLUMNS, controls))
        yield from self._definitions(report)
        if lines := list(wording.provenance(report)):
            yield from self._heading(wording.NOTES)
            for line in lines:
                yield from self._wrapped(line, _FAINT)

    def _section(self, section: Section) -> Iterator[str]:
        yield from self._heading(plain(section.title))
        for sentence in section.text:
            yield from self._wrapped(plain(sentence))
        if section.figures:
            yield from self._figures(section.figures)
        for chart in section.charts:
            yield from self._chart(chart)
        for table in section.tables:
            yield from self._table(table)

    def _figures(self, figures: Iterable[Figure]) -> Iterator[str]:
        """The tiles of other renderings as rows; a column that says nothing is left out."""
        rows = [
            [
                _Text(plain(figure.label)),
                _Text(plain(figure.shown), wording.tone_of(figure)),
                _Text(wording.target(figure)),
                _Text(wording.about(figure)),
                _Text(wording.before(figure)),
            ]
            for figure in figures
        ]
        titles = (("Figure", False), ("Value", True), ("Target", False), ("Of", False),
                  ("Before", False))  # fmt: skip
        said = [at for at in range(len(titles)) if at < 2 or any(row[at].text for row in rows)]
        yield from self.grid(_Grid([titles[at] for at in said],
                                    [[row[at] for at in said] for row in rows]))  # fmt: skip

    def _chart(self, chart: Chart) -> Iterator[str]:
        yield ""
        yield from self._wrapped(plain(chart.title), _BOLD)
        yield from chart_lines(chart, min(self._columns, _WIDEST_CHART))

    def _table(self, table: Table) -> Iterator[str]:
        yield ""
        yield from self._wrapped(plain(table.title), _BOLD)
        if table.rows:
            yield from self.grid(_grid_of(table))
        else:
            yield from self._wrapped(plain(table.empty))
        if table.note:
            yield from self._wrapped(plain(table.note), _FAINT)

    def _definitions(self, report: Report) -> Iterator[str]:
        found = wording.definitions(report)
        if not found:
            return
        yield from self._heading(wording.DEFINITIONS)
        for definition, figures in found.items():
            yield from self._wrapped(f"{wording.labels(figures)}: {plain(definition)}")
            for line in wrapped(wording.ids(figures), self._columns - 4):
                yield "    " + self._painted(line, _FAINT)
        yield from self._wrapped(wording.EXPLAIN)

    # --- lines --------------------------------------------------------------------------------

    def _heading(self, text: str) -> Iterator[str]:
        yield ""
        lines = wrapped(text, self._columns)
        yield from (self._painted(line, _BOLD) for line in lines)
        yield self._painted("─" * max(map(width_of, lines)), _FAINT)

    def _wrapped(self, text: str, *codes: str) -> Iterator[str]:
        return (self._painted(line, *codes) for line in wrapped(text, self._columns))

    def _marked(self, text: str, tone: Tone) -> Iterator[str]:
        first, *others = wrapped(text, self._columns - 2)
        yield f"{self._painted(MARKS[tone] or '·', _BOLD, tone)} {first}"
        yield from (f"  {line}" for line in others)

    def _painted(self, text: str, *codes: str | Tone) -> str:
        said = [_CODES.get(code, "") if isinstance(code, Tone) else code for code in codes]
        found = ";".join(filter(None, said))
        return f"\x1b[{found}m{text}\x1b[0m" if self._colour and found and text else text

    # --- tables -------------------------------------------------------------------------------

    def grid(self, grid: _Grid) -> Iterator[str]:
        widths = _widths(grid, self._columns)
        if widths is None:
            yield from self._lists(grid)
            return
        heads = [_Text(title) for title, _ in grid.columns]
        numeric = [is_numeric for _, is_numeric in grid.columns]
        yield from self._row(heads, widths, numeric, _FAINT)
        for row in grid.rows:
            yield from self._row(row, widths, numeric)

    def _row(
        self, row: Sequence[_Text], widths: Sequence[int], numeric: Sequence[bool], *codes: str
    ) -> Iterator[str]:
        cells = [wrapped(_marked(cell), room) for cell, room in zip(row, widths, strict=True)]
        for at in range(max(map(len, cells))):
            parts = []
            for cell, lines, room, right in zip(row, cells, widths, numeric, strict=True):
                line = lines[at] if at < len(lines) else ""
                padded = filled(line, room, right=right)
                parts.append(padded.replace(line, self._painted(line, *codes, cell.tone), 1))
            yield _GAP.join(parts).rstrip()

    def _lists(self, grid: _Grid) -> Iterator[str]:
        """Rows of a table that is too wide: each cell on a line of its own."""
        for row in grid.rows:
            yield from self._wrapped(_marked(row[0]), _BOLD)
            for (title, _), cell in zip(grid.columns[1:], row[1:], strict=True):
                if said := _marked(cell):
                    lines = wrapped(f"{title}: {said}", self._columns - 2)
                    yield from (f"  {self._painted(line, cell.tone)}" for line in lines)


def _grid_of(table: Table) -> _Grid:
    columns = [(plain(column.title), column.numeric) for column in table.columns]
    return _Grid(columns, [[_Text(c.text, c.tone) for c in row] for row in table.rows])


def _grid(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> _Grid:
    return _Grid(columns, [[_Text(plain(cell)) for cell in row] for row in rows])


def _marked(cell: _Text) -> str:
    return f"{MARKS[cell.tone]} {plain(cell.text)}".strip()


def _widths(grid: _Grid, room: int) -> list[int] | None:
    """Columns of each column, words wrapped where they must be; None if that is not enough."""
    room -= len(_GAP) * (len(grid.columns) - 1)
    natural, least = [], []
    for at, (title, is_numeric) in enumerate(grid.columns):
        cells = max(width_of(_marked(row[at])) for row in grid.rows)
        words = max(map(width_of, title.split()), default=1)
        natural.append(max(cells, width_of(title)))
        if not is_numeric:
            ids = [word for row in grid.rows for word in row[at].text.split()
                   if wording.CASE_ID.search(word)]  # fmt: skip
            cells = max(min(cells, _NARROWEST), *map(width_of, ids), 0)
        least.append(max(cells, words))
    if sum(least) > room:
        return None
    widest = max(natural)
    while True:
        widths = [max(low, min(high, widest)) for low, high in zip(least, natural, strict=True)]
        if sum(widths) <= room:
            return widths
        widest -= 1
