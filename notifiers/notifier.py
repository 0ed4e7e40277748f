"""The one interface behind which every route stands: terminal, webhook, Slack, later e-mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from notifiers.message import Message
from schemas.directory import Route


@dataclass(frozen=True, slots=True)
class Sent:
    """The route has taken it."""

    reference: str | None = None
    """What the route calls the message, for editing or threading (`Entry.earlier`)."""
    rest: int | None = None
    """Microseconds for which the route is to be left alone now, or None if it need not be."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may arrive later: busy, away, or unknown whether it has arrived."""

    reason: str
    after: int | None = None
    """Microseconds that the other side asked to be left alone, or None if it did not say."""
    own_turn: bool = False
    """The other side is well, took nothing and only has others wait too: `after` is kept to the
    moment, and the attempt does not count against the route."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It never arrives over this route, however often it is tried."""

    reason: str


Outcome = Sent | Retry | Failed


class Notifier(Protocol):
    """Sends over one kind of route. Expected trouble is a value, never an exception.

    A notifier must bear to be given the same message twice, since a crash between sending and
    recording leads to a second attempt under the same `idempotency_key`. Its reasons are stored
    and shown: no secret may stand in them.
    """

    async def send(self, message: Message, route: Route) -> Outcome:
        """Try once to deliver `message` to where `route` leads."""
        ...


Notifiers = Mapping[str, Notifier]
"""A notifier for each kind of route (`Route.kind`)."""

#: The variable without which there is no notifier for a kind of route; the others always have one.
_ASKS_FOR = {"email": "DETENTE_SMTP_HOST"}


def not_set_up(kind: str) -> Failed:
    """What comes of a message over a kind of route for which there is no notifier here."""
    variable = _ASKS_FOR.get(kind)
    why = "" if variable is None else f": {variable} is not set"
    return Failed(f"no {kind} is set up here{why}")
