"""Deadlines: every worker looks for those that are due and read past, and each is decided once.

Whoever finds a subject due locks its row; the others skip it, and find it decided when they look
again. Nobody has to be elected, and any worker can be missing.
"""

import logging
from collections.abc import Callable

from aiokafka.errors import KafkaError
from mode import Service

from streams.cluster.deciding import Deciding
from streams.cluster.read_past import EndOffsets, ReadPast
from streams.cluster.settings import KafkaSettings
from streams.writer import INFRASTRUCTURE_ERRORS, Clock, StoppedError, Writer

#: Seconds between two looks.
_EVERY = 1.0

_log = logging.getLogger(__name__)


class Deadlines(Service):
    """Asks how far the topics have been read, and decides what is due."""

    def __init__(
        self,
        kafka: KafkaSettings,
        deciding: Deciding,
        writer: Writer,
        read_past: ReadPast,
        ends: EndOffsets,
        clock: Clock,
        looked: Callable[[], None] = lambda: None,
    ) -> None:
        """`looked` is called as each look begins, whether it comes to anything or not."""
        super().__init__()
        self._inputs = kafka.inputs
        self._deciding = deciding
        self._writer = writer
        self._read_past = read_past
        self._ends = ends
        self._clock = clock
        self._looked = looked

    @Service.task
    async def _look_often(self) -> None:
        while not self.should_stop:
            self._looked()
            if not await self._look():
                await self.sleep(_EVERY)

    async def _look(self) -> bool:
        """Look once. True when there may be more to decide at once."""
        try:
            asked_at = self._clock()  # before anybody is asked: nothing may slip in between
            self._read_past.asked(asked_at, await self._ends.ask())
            await self._writer.call(self._deciding.look, self._inputs, asked_at)
            return await self._writer.call(self._deciding.tick) > 0
        except StoppedError:
            return False
        except KafkaError as error:
            if not error.retriable:
                raise
            _log.warning("The brokers do not say where the topics end: %r", error)
        except INFRASTRUCTURE_ERRORS as error:
            _log.warning("Deadlines cannot be looked for now: %s", error)
        return False
