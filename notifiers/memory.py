"""A notifier that keeps what it is given: the twin of the real ones, for tests and dry runs."""

from collections import deque

from notifiers.message import Message
from notifiers.notifier import Outcome, Sent
from schemas.directory import Route


class MemoryNotifier:
    """Accepts everything unless `outcomes` holds another answer for the next attempt.

    `attempts` has every message that was tried with its route, `told` those that were accepted.
    """

    def __init__(self) -> None:
        self.outcomes: deque[Outcome] = deque()
        self.attempts: list[tuple[Message, Route]] = []
        self.told: list[Message] = []

    async def send(self, message: Message, route: Route) -> Outcome:
        """Answer with the next of `outcomes`, or `Sent`."""
        self.attempts.append((message, route))
        outcome = self.outcomes.popleft() if self.outcomes else Sent(str(len(self.attempts)))
        if isinstance(outcome, Sent):
            self.told.append(message)
        return outcome
