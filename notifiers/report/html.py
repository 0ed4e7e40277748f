"""Reports as one page of HTML: for browsers and paper, and in another dress for mail programs.

Nothing is loaded from elsewhere and nothing runs. What comes from elsewhere is made plain and
escaped, and where it runs from right to left it is set apart. A mail has neither SVG, which most
mail programs drop, nor anything else that depends on a style sheet: its charts are tables.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from notifiers.render import plain
from notifiers.report import mail_charts, svg, wording
from notifiers.report.style import browser_sheet, inline, mail_sheet
from notifiers.report.text_charts import NO_VALUES, label, points
from notifiers.report.wording import MARKS, SAID, amount
from schemas.report import (
    Cell,
    Chart,
    ChartKind,
    Column,
    Figure,
    Headline,
    Report,
    Section,
    Table,
    Tone,
)

#: Letters of a value that a narrow tile shows in large ones.
_LONG_VALUE = 8


def to_html(report: Report, *, for_mail: bool = False) -> str:
    """The report as a page that stands alone; `for_mail`, as mail programs show it best."""
    page = _Mail() if for_mail else _Page()
    return page.document(report)


def own(text: str) -> str:
    """A text from elsewhere, escaped, and set apart where it runs from right to left."""
    # A sign of percent does not go to the next line alone.
    shown = re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", escape(plain(text)))
    shown = wording.CASE_ID.sub(r'<span style="white-space:nowrap">\g<0></span>', shown)
    return f"<bdi>{shown}</bdi>" if wording.turns(shown) else shown


class _Page:
    """A report for browsers."""

    sheet = staticmethod(browser_sheet)
    draws = True
    head = (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    )

    def __init__(self) -> None:
        self._charts = 0

    def document(self, report: Report) -> str:
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="color-scheme" content="light dark">\n{self.head}'
            f"<title>{escape(f'{wording.title(report)}, {plain(report.period.label)}')}</title>\n"
            f"<style>\n{self.sheet()}\n</style>\n</head>\n"
            + self.tag("body", "body", self.framed("\n".join(self._report(report))))
            + "\n</html>\n"
        )

    # --- what browsers and mail programs get in their own ways --------------------------------

    def tag(self, name: str, classes: str, *content: str, **attributes: str) -> str:
        """An element; `content` is HTML already, attributes are not."""
        attributes = {"class": classes, **attributes} if classes else attributes
        said = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
        return f"<{name}{said}>{''.join(content)}</{name}>"

    def framed(self, content: str) -> str:
        return self.tag("main", "page", content)

    def tiles(self, figures: Sequence[Figure]) -> str:
        return self.tag("div", "tiles", *(
            self.tag("div", f"tile tile-{wording.tone_of(f)}", *self.tile(f))
            for f in figures
        ))  # fmt: skip

    def charts(self, charts: Sequence[Chart]) -> str:
        return self.tag("div", "charts", *map(self._chart, charts))

    def _chart(self, chart: Chart) -> str:
        self._charts += 1
        title = self.tag("figcaption", "name", own(chart.title))
        drawn = svg.drawing(chart, f"chart{self._charts}")
        if drawn is None:
            return self.tag("figure", "chart", title, self.tag("p", "note", NO_VALUES))
        return self.tag("figure", "chart", title, drawn, self._keys(chart), self._numbers(chart))

    def _keys(self, chart: Chart) -> str:
        """The names of the series beside their signs; lines with their last value, too."""
        keys = []
        if len(chart.series) > 1 or svg.is_line(chart):
            for at, series in enumerate(chart.series):
                last = amount(series.values[-1], chart.unit, chart.target)
                value = f" <b>{last}</b>" if svg.is_line(chart) else ""
                name = f" {own(label(series))}{value}"
                keys.append(self.tag("span", "key", svg.key(chart, at), name))
        if chart.target is not None and chart.kind is not ChartKind.BARS:
            keys.append(self.tag("span", "key", svg.target_key(), f" {svg.target(chart)}"))
        return self.tag("div", "keys", " ".join(keys)) if keys else ""

    def _numbers(self, chart: Chart) -> str:
        columns = [Column(title=""), *(Column(title=s.label, numeric=True) for s in chart.series)]
        rows = [
            [
                Cell(text=point),
                *(Cell(text=amount(value, chart.unit, chart.target)) for value in values),
            ]
            for point, values in points(chart)
        ]
        grid = self.scrolled(self.grid(columns, rows, {}), f"Numbers: {plain(chart.title)}")
        return self.tag("details", "numbers", "<summary>Numbers</summary>", grid)

    def name(self, text: str) -> str:
        """The title of a table."""
        return self.tag("h3", "name", own(text))

    def scrolled(self, grid: str, name: str, /) -> str:
        """What is wider than a narrow page, in a frame of its own."""
        return self.tag("div", "scroll", grid, role="region", tabindex="0",
                        **{"aria-label": name})  # fmt: skip

    def grid(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[Cell]],
        known: dict[str, Figure],
        /,
    ) -> str:
        heads = (
            self.tag("th", "head right" if c.numeric else "head", own(c.title), scope="col")
            for c in columns
        )
        body = (
            self.tag("tr", "", *(
                self._cell(cell, column, known, is_name=at == 0 and not column.numeric)
                for at, (cell, column) in enumerate(zip(row, columns, strict=True))
            ))
            for row in rows
        )  # fmt: skip
        return self.tag("table", "grid", f"<thead><tr>{''.join(heads)}</tr></thead>",
                        self.tag("tbody", "", *body))  # fmt: skip

    def _cell(self, cell: Cell, column: Column, known: dict[str, Figure], *, is_name: bool) -> str:
        classes = " ".join(
            filter(None, ("cell", "right" if column.numeric else "",
                          "" if cell.tone is Tone.PLAIN else cell.tone.value))
        )  # fmt: skip
        more = {"scope": "row"} if is_name else {}
        if cell.figure is not None and (figure := known.get(cell.figure)) is not None:
            more["title"] = _hint(figure)
        return self.tag(
            "th" if is_name else "td", classes, self.marked(cell.text, cell.tone), **more
        )

    def terms(self, figures: Sequence[Figure], definition: str) -> str:
        ids = escape(wording.ids(figures))
        return (
            f"<dt>{own(wording.labels(figures))}</dt><dd>{own(definition)} <code>{ids}</code></dd>"
        )

    # --- the report ---------------------------------------------------------------------------

    def _report(self, report: Report) -> Iterator[str]:
        known = {figure.id: figure for figure in report.all_figures()}
        yield self.tag("h1", "title", own(wording.title(report)))
        yield self.tag("p", "under", own(wording.period(report)))
        yield self.tag("p", "meta", own(wording.issue(report)))
        if report.summary:
            yield self.tag("ul", "summary", *map(self._headline, report.summary))
        if report.changes:
            yield self._heading(wording.CHANGES)
            changes = wording.change_rows(report.changes)
            yield self._plain_table(wording.CHANGES, wording.CHANGE_COLUMNS, changes)
        for section in report.sections:
            yield from self._section(section, known)
        if further := wording.further_figures(report):
            yield self._heading(wording.FURTHER)
            yield self.tiles(further)
        if report.controls:
            yield self._heading(wording.CONTROLS)
            totals = wording.control_rows(report.controls)
            yield self._plain_table(wording.CONTROLS, wording.CONTROL_COLUMNS, totals)
        if found := wording.definitions(report):
            yield self._heading(wording.DEFINITIONS)
            terms = (self.terms(figures, definition) for definition, figures in found.items())
            yield self.tag("dl", "terms", *terms)
        if said := list(wording.provenance(report)):
            yield self._heading(wording.NOTES)
            yield from (self.tag("p", "note", own(line)) for line in said)

    def _headline(self, line: Headline) -> str:
        return self.tag("li", "line", self._sign(line.tone, "lead"), own(line.text))

    def _section(self, section: Section, known: dict[str, Figure]) -> Iterator[str]:
        yield self._heading(section.title)
        yield from (self.tag("p", "text", own(sentence)) for sentence in section.text)
        if section.figures:
            yield self.tiles(section.figures)
        if section.charts:
            yield self.charts(section.charts)
        yield from (self._table(table, known) for table in section.tables)

    def _heading(self, text: str) -> str:
        return self.tag("h2", "heading", own(text))

    def tile(self, figure: Figure) -> Iterator[str]:
        yield self.tag("p", "tile-label", own(figure.label))
        classes = "tile-value" + (" tile-long" if len(figure.shown) > _LONG_VALUE else "")
        shown = self.marked(figure.shown, wording.tone_of(figure))
        drawn = svg.spark(figure) if self.draws else ""
        yield self.tag("p", classes, drawn, shown)
        remarks = wording.remarks(figure, with_before=not self.draws)
        yield from (self.tag("p", "tile-note", own(line)) for line in remarks)

    def _table(self, table: Table, known: dict[str, Figure]) -> str:
        name = self.name(table.title)
        note = self.tag("p", "note", own(table.note)) if table.note else ""
        if not table.rows:
            return self.tag("div", "scroll", name, self.tag("p", "text", own(table.empty)), note)
        return self.scrolled(name + self.grid(table.columns, table.rows, known) + note,
                             plain(table.title))  # fmt: skip

    def _plain_table(
        self, name: str, columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]
    ) -> str:
        heads = [Column(title=title, numeric=is_numeric) for title, is_numeric in columns]
        return self.scrolled(
            self.grid(heads, [[Cell(text=t) for t in row] for row in rows], {}), name
        )

    def marked(self, text: str, tone: Tone) -> str:
        """A text with the sign of its tone in front, which a screen reader says in a word."""
        if tone is Tone.PLAIN:
            return own(text)
        return f"{self._sign(tone, 'mark')} {own(text)}"

    def _sign(self, tone: Tone, place: str) -> str:
        if tone is Tone.PLAIN:
            return self.tag("span", place, "·", **{"aria-hidden": "true"})
        said = {"role": "img", "aria-label": SAID[tone]}
        return self.tag("span", f"{place} {tone}", MARKS[tone], **said)


class _Mail(_Page):
    """A report for mail programs: tables, each element with its own style."""

    sheet = staticmethod(mail_sheet)
    draws = False
    head = ""

    def tag(self, name: str, classes: str, *content: str, **attributes: str) -> str:
        if style := inline(*classes.split()):
            attributes = {"style": style, **attributes}
        return super().tag(name, classes, *content, **attributes)

    def framed(self, content: str) -> str:
        return (
            '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">'
            '<tr><td align="center"><table role="presentation" width="100%" cellpadding="0" '
            'cellspacing="0" border="0" style="max-width:720px"><tr>'
            f"{self.tag('td', 'page broken', content, align='left')}</tr></table></td></tr></table>"
        )

    def tiles(self, figures: Sequence[Figure]) -> str:
        beside = 2 if len(figures) in {2, 4} else 3
        wide = f"{100 // beside}%"
        cells = [
            self.tag("td", f"tile tile-{wording.tone_of(figure)}", *self.tile(figure), width=wide,
                     valign="top")
            for figure in figures
        ]  # fmt: skip
        cells += [f'<td width="{wide}"></td>'] * (-len(cells) % beside)
        rows = ("".join(cells[at : at + beside]) for at in range(0, len(cells), beside))
        return (
            '<table role="presentation" width="100%" cellpadding="0" cellspacing="8" border="0">'
            f"<tr>{'</tr><tr>'.join(rows)}</tr></table>"
        )

    def charts(self, charts: Sequence[Chart]) -> str:
        return "".join(
            f"{self.name(chart.title)}{mail_charts.drawing(chart, own)}" for chart in charts
        )

    def name(self, text: str) -> str:
        return self.tag("h3", "name above", own(text))

    def scrolled(self, grid: str, _: str, /) -> str:
        return grid

    def grid(
        self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], _: dict[str, Figure], /
    ) -> str:
        # Styles stand on rows only: Gmail cuts mails of more than 102 kB off.
        heads = "".join(
            self.tag("th", "", own(column.title), align=_side(column), valign="bottom")
            for column in columns
        )
        body = (
            self.tag("tr", "band" if at % 2 == 0 else "", *(
                self.tag("td", "", self.marked(cell.text, cell.tone), align=_side(column))
                for cell, column in zip(row, columns, strict=True)
            ))
            for at, row in enumerate(rows)
        )  # fmt: skip
        return self.tag("table", "grid", self.tag("tr", "note", heads), *body, cellpadding="5",
                        cellspacing="0", border="0")  # fmt: skip

    def terms(self, figures: Sequence[Figure], definition: str) -> str:
        return f"<dt><b>{own(wording.labels(figures))}</b></dt><dd>{own(definition)}</dd>"


def _side(column: Column) -> str:
    return "right" if column.numeric else "left"


def _hint(figure: Figure) -> str:
    """What a pointer over a number shows."""
    said = (figure.id, figure.label, figure.definition, wording.about(figure),
            wording.interval(figure) and f"95 % interval {wording.interval(figure)}")  # fmt: skip
    return " · ".join(plain(part) for part in said if part)
