"""How the relay reads and writes its store."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from streams.store import Transaction

Reading = Callable[[], AbstractContextManager[Transaction]]
"""Opens a transaction that only reads, as `Store.reading` does."""


class Write(Protocol):
    """Runs a function in a transaction and returns once that is on disk."""

    async def __call__(self, work: Callable[[Transaction], None]) -> None:
        """Raises what `work` raises, and what the store does; then nothing was written."""
        ...
