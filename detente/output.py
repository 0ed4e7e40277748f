"""What commands print, and how they end.

Exit codes:

- 0: done.
- 1: refused or not found: what was asked for is not possible, or a file has mistakes.
- 2: the command line was not understood.
- 3: the database or the service cannot be reached.
- 70: something that nobody foresaw; the message says where its details are.

Tables are coloured on a terminal and plain columns in a pipe; `--json` gives one document.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from notifiers.render import plain

if TYPE_CHECKING:
    from rich.progress import Progress

OK = 0
REFUSED = 1
USAGE = 2
UNREACHABLE = 3
UNFORESEEN = 70

F = TypeVar("F", bound=Callable[..., Any])


class RefusedError(click.ClickException):
    """What was asked for was refused or not found; the message says why and what is accepted."""

    exit_code = REFUSED


class UnreachableError(click.ClickException):
    """The database or the service cannot be reached."""

    exit_code = UNREACHABLE


def json_option(command: F) -> F:
    """The option `--json`; the argument is called `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def print_json(document: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def say(text: str = "") -> None:
    """Print one line of an answer. Values from outside go through `shown` first."""
    click.echo(text)


def remark(text: str) -> None:
    """Print a line beside the answer, to standard error."""
    click.echo(text, err=True)


def shown(value: object) -> str:
    """A value from outside, safe to print: one line, no control characters; `-` for nothing."""
    return "-" if value is None or value == "" else plain(str(value))


def is_terminal(*, err: bool = False) -> bool:
    """Whether somebody looks at standard output, or at standard error."""
    return (sys.stderr if err else sys.stdout).isatty()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    empty: str = "nothing",
    numbers: Sequence[str] = (),
) -> None:
    """Print rows under column heads. `numbers` names the columns that are aligned to the right.

    In a pipe every row is one line, and its columns are at least two spaces apart.
    """
    cells = [[shown(value) for value in row] for row in rows]
    if is_terminal():
        _rich_table(columns, cells, title, empty, numbers)
        return
    if title:
        click.echo(title)
    if not cells:
        click.echo(empty)
        return
    lines = [list(columns), *cells]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns))]
    for line in lines:
        parts = (
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, cell, width in zip(columns, line, widths, strict=True)
        )
        click.echo("  ".join(parts).rstrip())


def _rich_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str | None,
    empty: str,
    numbers: Sequence[str],
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if title:
        console.print(Text(title, style="bold"))
    if not rows:
        console.print(Text(empty))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(
            Text(column), justify="right" if column in numbers else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def progress_bar(*, transient: bool = True) -> "Progress":
    """A progress bar on standard error. Use it only if `is_terminal(err=True)`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=transient,
    )
