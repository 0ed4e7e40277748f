"""Files that a user names: events as JSON, or tables with a mapping."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

import click

from detente.output import is_terminal, progress_bar, say
from schemas.mapping import Mapping
from streams.files import STANDARD_INPUT, read_events
from streams.records import Record
from streams.replay import Tally
from streams.tables import Unmapped, read_table

_TABLES = {".csv", ".tsv", ".xlsx", ".xlsm"}
_EVENTS = {".json", ".jsonl", ".ndjson"}
_EVERY = 500  # records between two moves of a progress bar


def check_files(files: Sequence[str], *, has_mapping: bool) -> None:
    """Refuse what can be seen to be wrong before anything is read.

    Raises click.UsageError or click.BadParameter, which say what is accepted.
    """
    for file in files:
        if file != STANDARD_INPUT and not Path(file).is_file():
            what = "is a folder" if Path(file).is_dir() else "does not exist"
            raise click.BadParameter(f"{file} {what}; name a file, or - for standard input")
        if not has_mapping and _extension(file) in _TABLES:
            raise click.UsageError(
                f"{file} is a table: --map FILE must say what its columns mean. "
                "An example is examples/scms/by-delivery.yaml."
            )
    if files.count(STANDARD_INPUT) > 1:
        raise click.UsageError("- (standard input) can be read only once")
    if has_mapping and all(_extension(file) in _EVENTS for file in files):
        raise click.UsageError("--map is for tables (.csv, .xlsx); these files hold events already")


def read_inputs(
    files: Sequence[str], mapping: Mapping | None, unmapped: Unmapped | None = None
) -> Iterator[Record]:
    """The records of all files, one file after the other. Raises InputError."""
    for file in files:
        if mapping is None or _extension(file) in _EVENTS:
            yield from read_events(file)
        else:
            yield from read_table(file, mapping, unmapped=unmapped)


def _extension(file: str) -> str:
    name = PurePath(file)
    return (PurePath(name.stem) if name.suffix.lower() == ".gz" else name).suffix.lower()


class Display:
    """How far reading and replaying have come."""

    def __init__(self, show: Callable[[str, int, int | None], None] | None = None) -> None:
        """`show` is given what is done, how much of it, and of how much if that is known."""
        self._show = show
        self._read = 0

    def reading(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass records on, counted."""
        for record in records:
            self._read += 1
            if self._show is not None and self._read % _EVERY == 0:
                self._show("Reading", self._read, None)
            yield record

    def taking(self, tally: Tally) -> None:
        """Show what was taken of what was read."""
        if self._show is not None:
            self._show("Replaying", tally.read, self._read)


@contextmanager
def display(*, in_lines: bool = False) -> Iterator[Display]:
    """A bar on standard error if somebody looks at it; else, if asked for, a few plain lines."""
    if not is_terminal(err=True):
        yield Display(_show_line if in_lines else None)
        return
    with progress_bar() as bar:
        task = bar.add_task("Reading", total=None)

        def show(what: str, done: int, total: int | None) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield Display(show)


def _show_line(what: str, done: int, total: int | None) -> None:
    if total is not None:
        say(f"  {what}: {done:,} of {total:,} events")
