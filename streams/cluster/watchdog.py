"""The watchdog: ends a worker that has something to read and reads nothing.

It runs on a thread of its own, so that an event loop that hangs does not stop it. A database or
broker that is known to be away is no reason to end: nothing would be better afterwards.
"""

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable

#: The exit code of a worker that was stuck: EX_SOFTWARE of sysexits.h.
STUCK = 70

_log = logging.getLogger(__name__)


def _end() -> None:
    faulthandler.dump_traceback(all_threads=True)
    os._exit(STUCK)


class Watchdog:
    """Watches signs of progress. `patience` is in seconds; `end` is called once it has run out."""

    def __init__(
        self,
        patience: float,
        has_lag: Callable[[], bool],
        end: Callable[[], None] = _end,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._has_lag = has_lag
        self._end = end
        self._clock = clock
        self._moved_at = self._looked_at = clock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="detente-watchdog", daemon=True)

    def moved(self) -> None:
        """Something was read, or it is known why nothing can be."""
        self._moved_at = self._clock()

    def looked(self) -> None:
        """The event loop works, and what it asked of the writing thread was done."""
        self._looked_at = self._clock()

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()

    def why_stuck(self) -> str | None:
        """What is wrong, in words, or None."""
        now = self._clock()
        still, idle = now - self._looked_at, now - self._moved_at
        if still > self._patience:
            return f"the event loop or the writing thread has done nothing for {still:.0f} s"
        if self._has_lag() and idle > self._patience:
            return f"nothing was taken for {idle:.0f} s, though there is something"
        return None

    def _watch(self) -> None:
        while not self._stopped.wait(min(self._patience / 4, 5.0)):
            if (why := self.why_stuck()) is not None:
                _log.critical("This worker is stuck and ends itself: %s", why)
                self._end()
                return
