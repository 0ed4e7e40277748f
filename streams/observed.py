"""The handler, watched: each batch is measured, counted and logged under a number of its own."""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Protocol

from schemas.time import Instant
from streams.logs import about
from streams.metrics import Metrics
from streams.outcome import Outcome
from streams.records import Record

_log = logging.getLogger(__name__)
_PROCESS = token_hex(3)
_numbers = itertools.count(1)


def batch_id() -> str:
    """A name for a batch that no other batch of any running process has."""
    return f"{_PROCESS}-{next(_numbers)}"


class Takes(Protocol):
    """Decides and stores batches, as `Handler.take` does."""

    def take(self, records: Sequence[Record], now: Instant) -> list[Outcome]:
        """Take the records in one transaction, committed when this returns."""
        ...


class Observed:
    """Takes batches as the handler does. `committed` is called after each."""

    def __init__(self, handler: Takes, metrics: Metrics, committed: Callable[[], None]) -> None:
        self._handler = handler
        self._metrics = metrics
        self._committed = committed

    def take(self, records: Sequence[Record], now: Instant) -> list[Outcome]:
        """Take the records in one transaction; see `Handler.take`."""
        with about(batch=batch_id()):
            began = time.perf_counter()
            outcomes = self._handler.take(records, now)
            seconds = time.perf_counter() - began
            self._metrics.batch(outcomes, seconds)
            if _log.isEnabledFor(logging.INFO):
                found = Counter(type(outcome).__name__.lower() for outcome in outcomes)
                said = ", ".join(f"{n} {name}" for name, n in sorted(found.items()))
                _log.info("Took %d records in %.0f ms: %s", len(records), 1_000 * seconds, said)
        self._committed()
        return outcomes
