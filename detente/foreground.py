"""Processes that run in the foreground, until Ctrl-C or SIGTERM."""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Protocol

from detente.failures import AddressError
from detente.output import RefusedError, say
from streams.cluster.presence import OccupiedError
from streams.intake import UnprotectedBindingError


class Process(Protocol):
    """What runs: the embedded service, a relay or an intake."""

    async def run(self, started: Callable[[], None]) -> None:
        """Work until `stop` is called; `started` is called once everything has begun."""
        ...

    def stop(self) -> None:
        """Ask it to end in an orderly way."""
        ...


async def run_until_stopped(process: Process, greet: Callable[[], None]) -> None:
    """Run it until somebody ends it. `greet` says what has begun.

    Raises RefusedError when it cannot begin, and whatever stopped one of its parts.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)

    def started() -> None:
        greet()
        say("Ctrl-C ends it.")
        sys.stdout.flush()

    try:
        await process.run(started)
    except (OccupiedError, UnprotectedBindingError, AddressError) as error:
        raise RefusedError(str(error)) from None
    say("Stopped.")
