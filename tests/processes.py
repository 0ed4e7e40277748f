"""Processes of Detente, run inside that of a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from detente.foreground import Process

#: Seconds; a bound for what hangs, never a measure.
WAIT = 90.0


@asynccontextmanager
async def running(process: Process) -> AsyncIterator[None]:
    """A process from when it has begun until it was asked to end and has. Raises what it raises."""
    started = asyncio.Event()
    run = asyncio.create_task(process.run(started.set))
    begun = asyncio.create_task(started.wait())
    try:
        await asyncio.wait({run, begun}, return_when=asyncio.FIRST_COMPLETED, timeout=WAIT)
    finally:
        begun.cancel()
    if run.done():
        await run
    try:
        yield
    finally:
        process.stop()
        await asyncio.wait_for(run, WAIT)
