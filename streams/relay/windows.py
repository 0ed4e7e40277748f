"""Bundling: the first few alerts go out at once, the rest of a storm waits and is one message."""

from dataclasses import dataclass

from schemas.policy import Bundling
from schemas.time import Instant


@dataclass(slots=True)
class _Window:
    until: Instant
    left: int
    """How many more may go out one by one."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What one person may be told now."""

    together: bool
    """Everything is one message now."""
    one_by_one: int
    hold_until: Instant
    """When the rest is told."""


class Windows:
    """For each person the window that runs.

    It opens with the first alert, lets `more_than` through one by one and holds the rest to its
    end, where they become one message. That message opens a window that lets nothing through: a
    storm that goes on is one message a window. They are kept in memory: a restart lets a few
    more through one by one, and what was held stays held.
    """

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def flow(self, person: str, now: Instant, bundling: Bundling, *, fresh: int, held: int) -> Flow:
        """What becomes of `fresh` alerts and of `held` ones, which have waited for a window."""
        end = Instant(now + bundling.window.amount)
        window = self._windows.get(person)
        if window is None or window.until <= now:
            if held:
                self._windows[person] = _Window(end, 0)
                return Flow(together=True, one_by_one=0, hold_until=end)
            window = self._windows[person] = _Window(end, bundling.more_than)
        one_by_one = min(fresh, window.left)
        window.left -= one_by_one
        return Flow(together=False, one_by_one=one_by_one, hold_until=window.until)
