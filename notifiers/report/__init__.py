"""A report for every place where it is read, made from the one model in `schemas.report`."""

from notifiers.report.audience import for_audience
from notifiers.report.blocks import to_blocks
from notifiers.report.html import to_html
from notifiers.report.markdown import to_markdown
from notifiers.report.text import to_terminal, to_text

__all__ = ["for_audience", "to_blocks", "to_html", "to_markdown", "to_terminal", "to_text"]
