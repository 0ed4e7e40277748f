"""Reports as GitHub flavoured Markdown, for wikis, tickets and pull requests.

What comes from elsewhere is escaped: it formats nothing, breaks no table and pings nobody.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from notifiers.render import plain
from notifiers.report import wording
from notifiers.report.text_charts import chart_lines
from notifiers.report.wording import MARKS
from schemas.report import Chart, Figure, Report, Section, Table, Tone

_CHART_COLUMNS = 72
#: What formats anywhere, makes a list or a line at the start, or a link of an address.
_SPECIAL = re.compile(r"[\\`*_\[\]#|~$]|^[-+=]|:(?=//)|(?<=[wW]{3})\.")
_NUMBERED = re.compile(r"^(\d+)([.)])")
#: Shows nothing, and stands between an `@` and the name that it would ping.
_WORD_JOINER = "\u2060"


def to_markdown(report: Report) -> str:
    """The report, with a line break at its end."""
    return "\n".join(_lines(report)) + "\n"


def escaped(text: str) -> str:
    """A text from elsewhere within Markdown: it shows as it is."""
    shown = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = _NUMBERED.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", shown))
    return shown.replace("@", f"@{_WORD_JOINER}")


def _lines(report: Report) -> Iterator[str]:
    yield f"# {escaped(wording.title(report))}"
    yield ""
    yield f"{escaped(wording.period(report))}  "
    yield escaped(wording.issue(report))
    if report.summary:
        yield ""
        yield from (f"- {_marked(line.text, line.tone)}" for line in report.summary)
    if report.changes:
        yield from ("", f"## {wording.CHANGES}", "")
        yield from _grid(wording.CHANGE_COLUMNS, _escaped(wording.change_rows(report.changes)))
    for section in report.sections:
        yield from _section(section)
    if further := wording.further_figures(report):
        yield from ("", f"## {wording.FURTHER}", "")
        yield from _figures(further)
    if report.controls:
        yield from ("", f"## {wording.CONTROLS}", "")
        yield from _grid(wording.CONTROL_COLUMNS, _escaped(wording.control_rows(report.controls)))
    if found := wording.definitions(report):
        yield from ("", f"## {wording.DEFINITIONS}", "")
        for definition, figures in found.items():
            ids = escaped(wording.ids(figures))
            labels = escaped(wording.labels(figures))
            yield f"- {_bold(labels)}: {escaped(definition)} <sub>{ids}</sub>"
        yield from ("", escaped(wording.EXPLAIN))
    if said := list(wording.provenance(report)):
        yield from ("", f"## {wording.NOTES}", "")
        yield from (f"- {escaped(line)}" for line in said)


def _section(section: Section) -> Iterator[str]:
    yield from ("", f"## {escaped(section.title)}")
    for sentence in section.text:
        yield from ("", escaped(sentence))
    if section.figures:
        yield ""
        yield from _figures(section.figures)
    for chart in section.charts:
        yield from _chart(chart)
    for table in section.tables:
        yield from _table(table)


def _figures(figures: Iterable[Figure]) -> Iterator[str]:
    rows = [
        (
            escaped(figure.label),
            _bold(_marked(figure.shown, wording.tone_of(figure))),
            escaped(wording.target(figure)),
            escaped(wording.about(figure)),
            escaped(wording.before(figure)),
        )
        for figure in figures
    ]
    columns = (("Figure", False), ("Value", True), ("Target", False), ("Of", False),
               ("Before", False))  # fmt: skip
    yield from _grid(columns, rows)


def _chart(chart: Chart) -> Iterator[str]:
    lines = chart_lines(chart, _CHART_COLUMNS)
    longest = max((len(run) for run in re.findall("`+", "\n".join(lines))), default=0)
    fence = "`" * max(3, longest + 1)
    yield from ("", _bold(escaped(chart.title)), "", f"{fence}text", *lines, fence)


def _table(table: Table) -> Iterator[str]:
    yield from ("", f"### {escaped(table.title)}", "")
    if table.rows:
        columns = [(column.title, column.numeric) for column in table.columns]
        yield from _grid(columns, ([_marked(c.text, c.tone) for c in row] for row in table.rows))
    else:
        yield escaped(table.empty)
    if table.note:
        yield from ("", escaped(table.note))


def _grid(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table; its cells are Markdown already."""
    yield f"| {' | '.join(escaped(title) for title, _ in columns)} |"
    yield f"|{'|'.join('---:' if is_numeric else '---' for _, is_numeric in columns)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _escaped(rows: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    return ([escaped(cell) for cell in row] for row in rows)


def _bold(text: str) -> str:
    return f"**{text or wording.NOTHING}**"  # four asterisks alone would be a line across


def _marked(text: str, tone: Tone) -> str:
    return f"{escaped(MARKS[tone])} {escaped(text)}".strip()
