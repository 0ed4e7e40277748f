"""A report on its way to people: the same content, ready for each route.

Who renders a report knows no route, and a route knows no report: between them stand these
variants. An effect names a stored report, and the relay asks for its content when it sends.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class ReportName(NamedTuple):
    """Which report: `digest` and `2026-W45`."""

    kind: str
    key: str
    """The period, and whatever else tells one report of this kind from the others."""


@dataclass(frozen=True, slots=True)
class RenderedReport:
    """A report as each route shows it. Every variant is complete and stands alone."""

    text: str
    """For a terminal, and beside the HTML in a mail."""
    html: str
    """A whole page, with its charts inside: no script, nothing that is loaded from elsewhere."""
    mail: str
    """The page as mail programs show it, which drop drawings and much of style sheets."""
    messages: Sequence[Sequence[dict[str, Any]]]
    """Slack's blocks, message by message, each within Slack's limits. The first, which has room
    for a block more, stands alone; the others go into its thread."""
    document: dict[str, Any]
    """For programs: what JSON can say."""


Reports = Callable[[ReportName], RenderedReport | None]
"""The content of a stored report; None for one that is not there (any more)."""


def no_reports(_: ReportName) -> RenderedReport | None:
    """Where reports are not kept."""
    return None
