"""Reports as Slack messages: first a summary that stands alone, then what goes into its thread.

Tables that are narrow stand in equal letters, which a telephone shows whole; of wider ones each
row becomes a line of text, which wraps. Everything foreign is made safe by `mrkdwn`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from notifiers.report import wording
from notifiers.report.text import aligned
from notifiers.report.text_charts import chart_lines
from notifiers.report.wording import MARKS
from notifiers.slack.blocks import MOST_BLOCKS
from notifiers.slack.mrkdwn import cut, literal, size, value
from schemas.report import Cell, Chart, Figure, Report, Section, Table, Tone

Json = dict[str, Any]

#: Characters of all texts in one message: Slack takes 13,200, and a reader's remark may be added.
MOST_TEXT = 12_000
#: Of one section, of its fields, of a header.
_SECTION, _FIELDS, _HEADER = 2_900, 10, 150
#: Of the sections, so many are named in the summary.
_MOST_NAMES = 25
#: Equal letters that a telephone shows in one line.
_COLUMNS = 40
_CODE = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "ˋ"}  # noqa: RUF001 - looking alike is the point
)


def to_blocks(report: Report) -> list[list[Json]]:
    """The messages, each as a list of blocks. Not one of them pings anybody."""
    return [_summary(report), *_packed(_details(report))]


def _summary(report: Report) -> list[Json]:
    blocks = [
        _header(wording.title(report)),
        _context(f"{value(wording.period(report), 500)}\n{value(wording.issue(report), 500)}"),
    ]
    lines = [_marked(line.text, line.tone, 540) for line in report.summary]
    if report.changes:
        lines.append(f"{wording.CHANGES}: {len(report.changes)} of the figures.")
    blocks += _paragraphs("", lines)
    if names := [value(section.title, 100) for section in report.sections][:_MOST_NAMES]:
        blocks.append(_context(f"In the thread: {', '.join(names)}"))
    return blocks


def _details(report: Report) -> Iterator[list[Json]]:
    """What goes into the thread: blocks that stay together."""
    if report.changes:
        rows = (
            f"{_bold(c.label)}: {value(c.was, 200)} → {value(c.now, 200)}"
            + (f" ({value(c.because, 500)})" if c.because else "")
            for c in report.changes
        )
        yield from _under(wording.CHANGES, _paragraphs("", rows))
    for section in report.sections:
        yield from _under(section.title, _section(section))
    if further := wording.further_figures(report):
        yield from _under(wording.FURTHER, _figures(further))
    if report.controls:
        lines = (f"{value(c.name, 300)} ({value(c.source, 300)}): {c.counted:,}"
                 for c in report.controls)  # fmt: skip
        yield from _under(wording.CONTROLS, _paragraphs("", lines))
    if found := wording.definitions(report):
        lines = (f"{_bold(wording.labels(figures))}: {value(definition, 1_000)}"
                 for definition, figures in found.items())  # fmt: skip
        yield from _under(wording.DEFINITIONS, _paragraphs("", lines))
    if said := [value(line, 1_000) for line in wording.provenance(report)]:
        yield from ([_context(text)] for text in _chunks(said))


def _under(title: str, blocks: Iterable[Json]) -> Iterator[list[Json]]:
    """Blocks under a header, which is never the last of its message."""
    first, *others = [*blocks] or [_context("…")]
    yield [_header(title), first]
    yield from ([block] for block in others)


def _packed(units: Iterable[list[Json]]) -> list[list[Json]]:
    messages: list[list[Json]] = []
    room = 0
    for unit in units:
        text = sum(map(_text_of, unit))
        if not messages or text > room or len(messages[-1]) + len(unit) > MOST_BLOCKS:
            messages.append([])
            room = MOST_TEXT
        messages[-1] += unit
        room -= text
    return messages


def _text_of(node: object) -> int:
    """Characters of all texts in a block."""
    if isinstance(node, str):
        return 0
    if isinstance(node, dict):
        text = node.get("text")
        own = size(text) if isinstance(text, str) else 0
        return own + sum(map(_text_of, node.values()))
    return sum(map(_text_of, node)) if isinstance(node, list) else 0


# --- the parts of a section -----------------------------------------------------------------------


def _section(section: Section) -> Iterator[Json]:
    yield from _paragraphs("", (value(sentence, _SECTION) for sentence in section.text))
    yield from _figures(section.figures)
    for chart in section.charts:
        yield from _chart(chart)
    for table in section.tables:
        yield from _table(table)


def _figures(figures: Sequence[Figure]) -> Iterator[Json]:
    fields = [_field(figure) for figure in figures]
    for at in range(0, len(fields), _FIELDS):
        yield {"type": "section", "fields": fields[at : at + _FIELDS]}


def _field(figure: Figure) -> Json:
    lines = [_bold(figure.label), _marked(figure.shown, wording.tone_of(figure), 300)]
    lines += (value(remark, 220) for remark in wording.remarks(figure))
    return {"type": "mrkdwn", "text": "\n".join(lines), "verbatim": True}


def _chart(chart: Chart) -> Iterator[Json]:
    return _preformatted(chart.title, chart_lines(chart, _COLUMNS))


def _table(table: Table) -> Iterator[Json]:
    lines = aligned(table, _COLUMNS) if table.rows else None
    if lines is not None:
        yield from _preformatted(table.title, lines)
    elif table.rows:
        yield from _paragraphs(table.title, (_row(table, row) for row in table.rows))
    else:
        yield from _paragraphs(table.title, [value(table.empty, 1_000)])
    if table.note:
        yield from (_context(text) for text in _chunks([value(table.note, _SECTION)]))


def _row(table: Table, row: Sequence[Cell]) -> str:
    """A row as a line of text: its first cell, then the others, each after its column's title."""
    each = (_SECTION - 500) // len(row)
    name, *values = [_marked(cell.text, cell.tone, each * 2 // 3) for cell in row]
    titles = [value(column.title, each // 3 - 5) for column in table.columns]
    rest = " · ".join(f"{t} {v}" for t, v in zip(titles[1:], values, strict=True) if v)
    return f"*{name}*: {rest}" if rest else f"*{name}*"


# --- blocks ---------------------------------------------------------------------------------------


def _paragraphs(title: str, lines: Iterable[str]) -> Iterator[Json]:
    """Lines of text under a title, in as few sections as hold them."""
    head = [_bold(title)] if title else []
    return map(_markdown, _chunks([*head, *lines]))


def _preformatted(title: str, lines: Iterable[str]) -> Iterator[Json]:
    """Lines in equal letters under a title."""
    safe = (cut(line, _SECTION // 8).translate(_CODE) for line in lines)
    head = f"{_bold(title)}\n"
    for chunk in _chunks(safe, _SECTION - size(head) - 8):
        yield _markdown(f"{head}```\n{chunk}\n```")
        head = ""


def _chunks(lines: Iterable[str], most: int = _SECTION) -> Iterator[str]:
    """Lines put together up to so many characters; none is longer by itself, empty ones go."""
    chunk: list[str] = []
    room = most
    for line in filter(None, lines):
        if chunk and size(line) + 1 > room:
            yield "\n".join(chunk)
            chunk, room = [], most
        chunk.append(line)
        room -= size(line) + 1
    if chunk:
        yield "\n".join(chunk)


def _marked(text: str, tone: Tone, most: int) -> str:
    return f"{MARKS[tone]} {value(text, most - 2)}".strip()


def _bold(text: str) -> str:
    return f"*{value(text, 300) or wording.NOTHING}*"


def _header(text: str) -> Json:
    shown = literal(text, _HEADER) or wording.NOTHING
    return {"type": "header", "text": {"type": "plain_text", "text": shown, "emoji": False}}


def _markdown(text: str) -> Json:
    said = {"type": "mrkdwn", "text": text, "verbatim": True}
    return {"type": "section", "text": said}


def _context(text: str) -> Json:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}
