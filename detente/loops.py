"""What a process does again and again, each step in its own time, until it shall end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeAlias

from streams.writer import INFRASTRUCTURE_ERRORS, StoppedError

Step: TypeAlias = Callable[[], Awaitable[float]]
"""Does something, and returns after how many seconds it wants to be done again."""

_AFTER_TROUBLE = 1.0

_log = logging.getLogger(__name__)


async def run_together(
    steps: Iterable[tuple[Step, asyncio.Event]],
    end: Callable[[], None],
    ending: asyncio.Event,
    *,
    within: float,
    beside: Iterable[Coroutine[Any, Any, None]] = (),
) -> None:
    """Do the steps, each also when its event is set, until `ending` is set or something ends.

    `end` sets `ending`, and wakes whoever sleeps. What runs `beside` them has no steps to end after
    and is cancelled; a step gets `within` seconds to end. Raises what ended one of them.
    """
    loops = [asyncio.create_task(_repeat(step, wake, ending)) for step, wake in steps]
    others = [asyncio.create_task(other) for other in beside]
    await asyncio.wait([*loops, *others], return_when=asyncio.FIRST_COMPLETED)
    end()
    for task in others:
        task.cancel()
    _, late = await asyncio.wait(loops, timeout=within)
    for task in late:  # a message that is on its way is sent again, under the same key
        task.cancel()
    for result in await asyncio.gather(*loops, *others, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def _repeat(step: Step, wake: asyncio.Event, ending: asyncio.Event) -> None:
    while not ending.is_set():
        try:
            wait = await step()
        except StoppedError:
            return
        except INFRASTRUCTURE_ERRORS as error:
            _log.error("The database cannot be used now: %s", error)
            wait = _AFTER_TROUBLE
        try:
            await asyncio.wait_for(wake.wait(), wait)
        except TimeoutError:
            continue
