"""Whatever a report holds, every rendering of it is sound and shows every figure."""

import re
import unicodedata
from collections.abc import Iterator
from html import unescape
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from notifiers.render import plain
from notifiers.report import (
    for_audience,
    to_blocks,
    to_html,
    to_markdown,
    to_terminal,
    to_text,
)
from notifiers.report.columns import width
from schemas.report import Report, Visibility
from tests.fakes.slack import validate_blocks
from tests.fakes.slack.limits import ALL_TEXT, texts_of
from tests.page import Page
from tests.properties.reports import reports

#: A report is large and takes long to make up.
few = settings(max_examples=settings().max_examples // 2)


def figures_of(report: Report) -> set[str]:
    """What is shown of figures in tiles and cells, and of those that headlines speak of."""
    tiles = {figure.id for section in report.sections for figure in section.figures}
    rows = (row for s in report.sections for table in s.tables for row in table.rows)
    cells = {cell.figure for row in rows for cell in row}
    named = {name for line in report.summary for name in line.figures}
    found = (f for f in report.all_figures() if f.id in tiles | cells | named)
    return {plain(figure.shown) for figure in found}


@few
@given(reports(), st.integers(20, 120))
def test_text_keeps_to_its_columns_commands_no_terminal_and_shows_every_figure(
    report: Report, columns: int
) -> None:
    for text, most in ((to_terminal(report, columns), max(columns, 40)), (to_text(report), 78)):
        assert max(map(width, text.splitlines())) <= most
        assert not [c for c in text if unicodedata.category(c) in {"Cc", "Cs"} and c != "\n"]
    coloured = to_terminal(report, columns, colour=True)
    assert re.sub(r"\x1b\[[0-9;]+m", "", coloured) == to_terminal(report, columns)
    wide = to_terminal(report, width=2_000)
    assert not [shown for shown in figures_of(report) if shown not in wide]


@few
@given(reports())
def test_pages_are_well_formed_and_show_every_figure(report: Report) -> None:
    for source in (to_html(report), to_html(report, for_mail=True)):
        page = Page(source)
        assert not [shown for shown in figures_of(report) if shown not in page.text]


@few
@given(reports())
def test_markdown_has_no_markup_but_its_own_and_shows_every_figure(report: Report) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(to_markdown(report))
    inline = [child for token in tokens for child in token.children or []]
    own = {"text", "text_special", "strong_open", "strong_close", "hardbreak", "softbreak"}
    foreign = [token for token in inline if token.type not in own]
    assert {token.content for token in foreign} <= {"<sub>", "</sub>"}
    unwanted = {"ordered_list_open", "blockquote_open", "code_block", "html_block", "hr"}
    assert not unwanted & {token.type for token in tokens}
    shown = " ".join(
        "".join(child.content for child in token.children) for token in tokens if token.children
    )
    assert not re.search("@(?!\u2060)", shown)
    assert not [figure for figure in figures_of(report) if figure not in shown]


@few
@given(reports())
def test_messages_keep_to_slacks_limits_and_show_every_figure(report: Report) -> None:
    messages = to_blocks(report)
    for blocks in messages:
        validate_blocks(blocks)
        assert texts_of(blocks) <= ALL_TEXT
    written = list(marked_up(messages))
    assert not [text for text in written if "<" in text or ">" in text]
    shown = unescape("\n".join(written))
    assert not [figure for figure in figures_of(report) if figure not in shown]


def marked_up(node: Any) -> Iterator[str]:
    """Texts that Slack reads as markup."""
    if isinstance(node, dict):
        if node.get("type") == "mrkdwn":
            yield node["text"]
        for value in node.values():
            yield from marked_up(value)
    elif isinstance(node, list):
        for value in node:
            yield from marked_up(value)


@few
@given(reports(), st.sets(st.sampled_from(Visibility)))
def test_a_version_has_what_its_readers_may_see_and_nothing_else(
    report: Report, classes: set[Visibility]
) -> None:
    version = for_audience(report, classes)
    seen = {figure.id for figure in report.all_figures() if figure.visibility in classes}
    assert {figure.id for figure in version.all_figures()} == seen
    assert {id_ for line in version.summary for id_ in line.figures} <= seen
    tables = [table for section in version.sections for table in section.tables]
    charts = [chart for section in version.sections for chart in section.charts]
    assert {t.visibility for t in tables} | {c.visibility for c in charts} <= classes
    if classes != set(Visibility):
        cells = [cell for table in tables for row in table.rows for cell in row]
        assert {cell.figure for cell in cells} - {None} <= seen
        assert {change.figure for change in version.changes} <= seen
    assert Report.model_validate(version.model_dump()) == version
    assert for_audience(version, classes) == version
    Page(to_html(version))
