"""Batches, watched: each is measured, counted and logged under a name of its own."""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import Protocol, TypeVar

from schemas.time import Instant
from streams.handler import FenceMoved
from streams.logs import about
from streams.metrics import Metrics
from streams.outcome import NAMES, Outcome
from streams.records import Record

Observe = Callable[[Mapping[type[Outcome], int], float], None]
"""Told how many outcomes of each kind a batch had, and the seconds that it took."""

_Taken = TypeVar("_Taken", list[Outcome], list[Outcome] | FenceMoved)
_log = logging.getLogger(__name__)
_PROCESS = token_hex(3)
_numbers = itertools.count(1)


def batch_id() -> str:
    """A name for a batch that no other batch of any running process has."""
    return f"{_PROCESS}-{next(_numbers)}"


def observed(take: Callable[[], _Taken], observe: Observe) -> _Taken:
    """What `take` makes of a batch. Whatever is logged meanwhile bears the batch's name."""
    with about(batch=batch_id()):
        began = time.perf_counter()
        found = take()
        if isinstance(found, FenceMoved):
            return found
        seconds = time.perf_counter() - began
        tally = Counter(map(type, found))
        observe(tally, seconds)
        if found and _log.isEnabledFor(logging.INFO):
            named = sorted((NAMES[kind], n) for kind, n in tally.items())
            said = ", ".join(f"{n} {name}" for name, n in named)
            _log.info("Took %d records in %.0f ms: %s", len(found), 1_000 * seconds, said)
    return found


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
        outcomes = observed(lambda: self._handler.take(records, now), self._metrics.batch)
        self._committed()
        return outcomes
