"""A report for every place where it is read, made from the one model in `schemas.report`.

`render` makes all of them for the routes; `for_audience` first cuts what a reader may not see.
"""

from notifiers.report.audience import for_audience
from notifiers.report.blocks import to_blocks
from notifiers.report.html import to_html
from notifiers.report.markdown import to_markdown
from notifiers.report.text import to_terminal, to_text
from notifiers.report_message import RenderedReport
from schemas.report import Report

__all__ = [
    "for_audience",
    "render",
    "to_blocks",
    "to_html",
    "to_markdown",
    "to_terminal",
    "to_text",
]


def render(report: Report) -> RenderedReport:
    """The report as each route shows it."""
    return RenderedReport(
        text=to_text(report),
        html=to_html(report),
        mail=to_html(report, for_mail=True),
        messages=to_blocks(report),
        document=report.model_dump(mode="json"),
    )
