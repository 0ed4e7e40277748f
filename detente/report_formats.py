"""A report on the command line: the form that somebody asks for, and what is frozen."""

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, Protocol, TypeVar

import click

from detente.output import RefusedError, is_terminal, remark, say, shown
from notifiers.report import to_blocks, to_html, to_markdown, to_terminal
from schemas.documents import closest
from schemas.report import Figure, Report

F = TypeVar("F", bound=Callable[..., Any])


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


#: Names of figures that a message lists.
_NAMED = 12
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


_OPTIONS = (
    click.option(
        "--format",
        "form",
        type=click.Choice(list(Format), case_sensitive=False),
        default=Format.TERMINAL.value,
        show_default=True,
        help="What to print.",
    ),
    click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
    click.option("-o", "--output", metavar="FILE", help="Write it to a file."),
    click.option("--explain", "figure", metavar="FIGURE", help="List the rows behind a figure."),
    click.option("--issue", "freeze", is_flag=True, help="Freeze it: it never changes again."),
    click.option("--restate", is_flag=True, help="Issue it anew if later events have changed it."),
    click.option(
        "--number", type=click.IntRange(min=1), metavar="N", help="An issue other than the newest."
    ),
    click.option("--draft", is_flag=True, help="As it would be now, though it has been issued."),
)


def report_options(command: F) -> F:
    """Options of every command that shows a report."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def write(text: str, output: str | None) -> None:
    """Print a text, or write it to the file that somebody named. Raises RefusedError."""
    if output is None:
        say(text.removesuffix("\n"))
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RefusedError(f"{output} cannot be written: {error.strerror}") from None
    remark(f"Written to {output}.")


class Frozen(Protocol):
    """A report as it was issued."""

    @property
    def report(self) -> Report: ...
    @property
    def hash(self) -> str: ...


def remark_issue(key: str, issued: Frozen | None, *, restate: bool) -> None:
    """Say what became of issuing a report; None when there was nothing to issue."""
    if issued is not None:
        number = issued.report.issue
        again = "Issued" if number == 1 else f"Restated (issue {number})"
        remark(f"{again}: {key}, SHA-256 {issued.hash}")
    elif restate:
        remark(f"Nothing that came later changes a figure of {key}; it stays as it is.")
    else:
        remark(f"{key} was issued before and stays as it is; --restate issues it anew.")


def figure_named(report: Report, name: str) -> Figure:
    """The figure that somebody asks for. Raises RefusedError with the names that there are."""
    found = report.figure(name)
    if found is not None:
        return found
    names = [each.id for each in report.all_figures()]
    listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    raise RefusedError(
        f"this {report.kind} has no figure {shown(name)}."
        + (closest(name, names) or f" It has: {listed}")
    )
