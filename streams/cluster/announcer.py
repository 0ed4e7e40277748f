"""Sends what was announced to the topics `decisions` and `rejected`, in order, at least once.

One process at a time does it (a duty): so the decisions about a case arrive in their order. What
was sent is forgotten once every replica has it; a process that dies in between leaves it to be sent
again, under the same id.
"""

import asyncio
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.time import SECOND, Instant
from streams.cluster.clients import producer_arguments
from streams.cluster.reaching import reach
from streams.cluster.settings import ClusterSettingsError, KafkaSettings
from streams.store import Announcement, Store, Topic
from streams.writer import Writer

DUTY = "announce"
#: So many are sent and waited for together.
BATCH = 500
#: Seconds that sending a batch may take, and microseconds that the duty is ours before each.
_WITHIN, _LEASE = 15.0, 30 * SECOND
_END_WITHIN = 1.0

_log = logging.getLogger(__name__)


class Announcer:
    """Drains the announcements of a store. `name` is this process's alone."""

    def __init__(
        self,
        kafka: KafkaSettings,
        store: Store,
        writer: Writer,
        name: str,
        clock: Callable[[], Instant],
    ) -> None:
        self._kafka = kafka
        self._store = store
        self._writer = writer
        self._name = name
        self._clock = clock
        self._producer: AIOKafkaProducer | None = None
        self.trouble: str | None = None
        """Why the last batch could not be sent, or None if it could."""

    async def run_once(self) -> int:
        """Send what waits, a batch at most. Returns how much there was.

        Raises what the store does; what Kafka raises is kept as `trouble`, and tried again later.
        """
        rows = await self._writer.call(self._take_turn)
        if rows and await self._send(rows):
            seqs = [row.seq for row in rows]
            await self._writer.call(self._forget, seqs)
            return len(rows)
        return 0

    async def stop(self) -> None:
        """Leave the duty to others and the brokers alone."""
        await self._disconnect()
        await self._writer.call(self._leave)

    # -- on the writing thread -----------------------------------------------------------------

    def _take_turn(self) -> list[Announcement]:
        with self._store.reading() as tx:
            if not tx.announcements(1):
                return []  # nothing to write: do not make others wait for a transaction
        now = self._clock()
        with self._store.transaction() as tx:
            if not tx.take_duty(DUTY, self._name, now, Instant(now + _LEASE)):
                return []
            return tx.announcements(BATCH)

    def _forget(self, seqs: list[int]) -> None:
        with self._store.transaction() as tx:
            tx.drop_announcements(seqs)

    def _leave(self) -> None:
        with self._store.transaction() as tx:
            tx.leave_duty(DUTY, self._name)

    # -- to Kafka ------------------------------------------------------------------------------

    async def _send(self, rows: list[Announcement]) -> bool:
        topics = {
            Topic.DECISIONS: self._kafka.decisions_topic,
            Topic.REJECTED: self._kafka.rejected_topic,
        }
        try:
            async with asyncio.timeout(_WITHIN):
                producer = await self._connected()
                sent = [
                    await producer.send(
                        topics[row.topic],
                        row.value,
                        key=None if row.key is None else row.key.encode(),
                        headers=list(row.headers),
                    )
                    for row in rows
                ]
                await asyncio.gather(*sent)
        except (KafkaError, ClusterSettingsError, TimeoutError, OSError) as error:
            why = str(error) or f"no answer within {_WITHIN:g} seconds"
            if self.trouble != why:
                _log.warning("Decisions cannot be announced now: %s", why)
            self.trouble = why
            await self._disconnect()  # what it still holds would be sent twice
            return False
        self.trouble = None
        return True

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            await reach(self._kafka)
            producer = AIOKafkaProducer(**producer_arguments(self._kafka))
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await end_producer(producer)


async def end_producer(producer: AIOKafkaProducer) -> None:
    """Close a producer, without waiting for long for what cannot be sent."""
    try:
        async with asyncio.timeout(_END_WITHIN):
            await producer.stop()
    except (KafkaError, TimeoutError):
        _log.debug("A producer was left with something to send")
        # It would go on to try, and holds its connections until it has.
        await producer._sender.close()  # noqa: SLF001 - aiokafka has no public way to give up
        await producer.client.close()
