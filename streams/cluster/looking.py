"""For processes that decide and read no topics: how far the workers have read them.

What people do in Slack or by HTTP is decided at once, by relays and intakes too. They need not know
to the second how far the inputs were read, for nothing that was decided is taken back by one that
knows less; but the more they know, the sooner what they decide is complete.
"""

import asyncio
import logging
from collections.abc import Callable

from aiokafka.errors import KafkaError

from schemas.time import Instant
from streams.cluster.deciding import Deciding
from streams.cluster.read_past import EndOffsets, ReadPast
from streams.cluster.settings import ClusterSettingsError, KafkaSettings
from streams.writer import Writer

#: Seconds that the brokers get to answer: there is other work to do.
_WITHIN = 5.0

_log = logging.getLogger(__name__)


class Looking:
    """Looks how far the topics were read; while the brokers are away, what it knows gets old."""

    def __init__(
        self,
        kafka: KafkaSettings,
        deciding: Deciding,
        writer: Writer,
        read_past: ReadPast,
        clock: Callable[[], Instant],
    ) -> None:
        self._kafka = kafka
        self._deciding = deciding
        self._writer = writer
        self._read_past = read_past
        self._clock = clock
        self._ends: EndOffsets | None = None

    async def look(self) -> None:
        """Look once. Raises what the store does."""
        reached_at = None
        try:
            async with asyncio.timeout(_WITHIN):
                reached_at = await self._ask()
        except (KafkaError, ClusterSettingsError, OSError, TimeoutError) as error:
            _log.info("The brokers do not say where the topics end: %r", error)
        await self._writer.call(self._deciding.look, self._kafka.inputs, reached_at)

    async def _ask(self) -> Instant:
        if self._ends is None:
            ends = EndOffsets(self._kafka)
            try:
                await ends.start()
            except BaseException:
                await ends.stop()
                raise
            self._ends = ends
        asked_at = self._clock()  # before anybody is asked: nothing may slip in between
        self._read_past.asked(asked_at, await self._ends.ask())
        return asked_at

    async def stop(self) -> None:
        """Disconnect."""
        if self._ends is not None:
            await self._ends.stop()
