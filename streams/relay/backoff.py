"""How long to wait before the next attempt, and after how many to give a route up."""

from dataclasses import dataclass
from random import Random

from schemas.time import MINUTE, SECOND


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter: anything from 0 to a ceiling that doubles.

    Full jitter spreads many clients over the whole interval, which takes the least work from a
    server that recovers (Marc Brooker, "Exponential Backoff And Jitter", AWS, 2015).
    """

    first: int = 15 * SECOND
    longest: int = 15 * MINUTE
    attempts: int = 4
    """On a route that has another one after it: an alert shall not wait long for its second."""
    attempts_on_last: int = 10
    """On the last route: over half an hour on average, so that a restart loses nothing."""

    def wait(self, attempt: int, random: Random, asked: int | None) -> int:
        """Microseconds after the `attempt`-th failure; at least what the other side `asked`."""
        ceiling = min(self.longest, self.first << min(attempt - 1, 32))
        return max(random.randint(1, ceiling), asked or 0)

    def most(self, *, is_last: bool) -> int:
        """How many attempts a route gets."""
        return self.attempts_on_last if is_last else self.attempts
