"""What deliveries prove about routes: that one leads to its reader, or that it does not."""

from collections.abc import Callable

from schemas.directory import Route
from schemas.time import HOUR, Instant
from streams.store import Transaction

KeepProof = Callable[[Transaction, str, Route, Instant, str | None], None]
"""Records for a person's route when a message got through, or why none does."""
#: Microseconds for which the same is not written again: a storm proves a route no better.
_EVERY = HOUR

_Proof = tuple[str, Route, Instant, str | None]


class Proofs:
    """Collects proofs between two writes. Those of an hour that say the same are one."""

    def __init__(self, keep: KeepProof | None) -> None:
        self._keep = keep
        self._known: dict[tuple[str, Route], tuple[Instant, str | None]] = {}
        self._fresh: list[_Proof] = []

    def note(self, person: str, route: Route, at: Instant, failure: str | None) -> None:
        """A message got through to a person, or failed for good."""
        known = self._known.get((person, route))
        if self._keep is None or (known and known[1] == failure and at < known[0] + _EVERY):
            return
        self._known[person, route] = at, failure
        self._fresh.append((person, route, at, failure))

    def take(self) -> list[_Proof]:
        """What is to be written now."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def write(self, tx: Transaction, proofs: list[_Proof]) -> None:
        """Record them."""
        if self._keep is not None:
            for proof in proofs:
                self._keep(tx, *proof)
