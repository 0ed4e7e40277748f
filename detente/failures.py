"""What went wrong, for the user: one sentence and an exit code, never a traceback."""

import logging
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

import click

from detente.output import UNFORESEEN, RefusedError, UnreachableError
from detente.settings import SettingsError
from schemas.documents import DocumentError
from streams.records import InputError
from streams.store import LostRace, StoreError, Unavailable

LOG = "detente.log"
_SHOWN = 30

_log = logging.getLogger(__name__)


class AddressError(Exception):
    """The address to listen at cannot be had; the message says why."""


class UnforeseenError(click.ClickException):
    """A mistake of the program's; the log has it."""

    exit_code = UNFORESEEN


def explained(error: Exception) -> click.ClickException:
    """The error as the user sees it. What nobody foresaw goes into the log, with all details."""
    match error:
        case DocumentError():
            lines = [str(problem) for problem in error.problems]
            more = len(lines) - _SHOWN
            shown = lines[:_SHOWN] + ([f"... and {more} more"] if more > 0 else [])
            return RefusedError("\n".join(shown))
        case Unavailable() | LostRace():
            return UnreachableError(str(error))
        case StoreError() | SettingsError() | InputError():
            return RefusedError(str(error))
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return UnreachableError(f"{place}{error.strerror or error}")
        case _:
            return UnforeseenError(
                f"something went wrong that nobody foresaw: {type(error).__name__}. "
                f"The details are in {log_unforeseen(error)}; please report them"
            )


def log_unforeseen(error: BaseException) -> Path:
    """Write an error with its traceback to the log. Returns where that is."""
    lines = traceback.format_exception(error)
    text = f"{datetime.now(UTC).isoformat(timespec='seconds')}\n{''.join(lines)}\n"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            with (folder / LOG).open("a", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as unwritable:
            _log.debug("%s cannot be written to: %s", folder, unwritable)
        else:
            return folder / LOG
    return Path(LOG)
