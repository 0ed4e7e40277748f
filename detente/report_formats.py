"""A report in the form that somebody asked for on the command line."""

import json
from enum import StrEnum
from shutil import get_terminal_size

from detente.output import is_terminal
from notifiers.report import to_blocks, to_html, to_markdown, to_terminal
from schemas.report import Report


class Format(StrEnum):
    """Forms of a report."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    HTML = "html"
    """One page that needs nothing else."""
    JSON = "json"
    """The whole model: `docs/schemas/report.json`."""
    SLACK = "slack"
    """Blocks of each message, as JSON."""


#: Columns of a text that no terminal shows.
_COLUMNS = 100


def rendered(report: Report, form: Format, *, to_file: bool = False) -> str:
    """The report as text, with a line break at its end."""
    match form:
        case Format.TERMINAL:
            looked_at = is_terminal() and not to_file
            width = get_terminal_size((_COLUMNS, 24)).columns if looked_at else _COLUMNS
            return to_terminal(report, width, colour=looked_at)
        case Format.MARKDOWN:
            return to_markdown(report)
        case Format.HTML:
            return to_html(report)
        case Format.JSON:
            return report.model_dump_json(indent=2) + "\n"
        case Format.SLACK:
            return json.dumps(to_blocks(report), indent=2, ensure_ascii=False) + "\n"
