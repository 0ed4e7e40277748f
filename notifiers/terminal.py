"""Messages appear where Detente runs: on the terminal, or in the service's log."""

from typing import TextIO

from rich.console import Console
from rich.text import Text

from notifiers import render
from notifiers.message import EntryKind, Message
from notifiers.notifier import Failed, Outcome, Retry, Sent
from schemas.directory import Route, TerminalRoute

_STYLES = {
    EntryKind.ALERT: "bold red",
    EntryKind.REMINDER: "bold yellow",
    EntryKind.OPERATIONS: "bold magenta",
    EntryKind.WARNING: "bold yellow",
    EntryKind.NOTICE: "bold",
    EntryKind.UPDATE: "bold",
    EntryKind.RETRACTION: "bold green",
    EntryKind.REPORT: "bold",
}


class TerminalNotifier:
    """Writes to a stream: in colour where it is a terminal, plain where it is a pipe or file."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, soft_wrap=True, highlight=False)

    async def send(self, message: Message, route: Route) -> Outcome:
        """Write the message. A closed pipe is permanent, a full disk may pass."""
        if not isinstance(route, TerminalRoute):
            return Failed(f"a {route.kind} route is not a terminal")
        head, _, rest = render.text(message).partition("\n")
        when = render.moment(message.sent_at, message.zone)
        shown = Text(f"{when} to {render.plain(message.name)}\n", style="dim")
        shown.append(head, style=_STYLES[message.entries[0].kind])
        shown.append(f"\n{rest}" if rest else "")
        try:
            self._console.print(shown)
            self._console.file.flush()
        except BrokenPipeError:
            return Failed("nobody reads the terminal any more")
        except ValueError:  # what Python raises for a file that was closed on our side
            return Failed("the terminal is closed")
        except OSError as error:
            return Retry(f"the terminal took nothing: {error.strerror}")
        return Sent()
