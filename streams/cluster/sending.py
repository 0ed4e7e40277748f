"""Sends records to Kafka, and says whether every replica has them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.cluster.clients import producer_arguments
from streams.cluster.reaching import reach
from streams.cluster.settings import ClusterSettingsError, KafkaSettings

_END_WITHIN = 1.0

_log = logging.getLogger(__name__)


class Outgoing(NamedTuple):
    """A record that is to be sent."""

    topic: str
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


class Sender:
    """A connection to the brokers, begun anew after every trouble.

    `within` is how long, in seconds, whatever it does may take, and `complaint` what the log says
    when it cannot be done. A record waits up to `linger_ms` milliseconds for others to go with.
    """

    def __init__(
        self, kafka: KafkaSettings, complaint: str, within: float, linger_ms: int = 0
    ) -> None:
        self._kafka = kafka
        self._complaint = complaint
        self._within = within
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self.trouble: str | None = None
        """Why the last thing could not be done, or None if it could."""

    async def look(self, topic: str) -> bool:
        """Say whether the brokers can be reached and have this topic."""
        return await self._do(lambda producer: producer.partitions_for(topic))

    async def send(self, records: Iterable[Outgoing]) -> bool:
        """Send records. False when it is not known of all of them that every replica has them."""

        async def send(producer: AIOKafkaProducer) -> None:
            sent = [
                await producer.send(topic, value, key=key, headers=headers)
                for topic, key, value, headers in records
            ]
            await asyncio.gather(*sent)

        return await self._do(send)

    async def stop(self) -> None:
        """Disconnect, once what is being sent has been."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _end(producer)

    async def _do(self, work: Callable[[AIOKafkaProducer], Awaitable[object]]) -> bool:
        producer = None
        try:
            async with asyncio.timeout(self._within):
                producer = await self._connected()
                await work(producer)
        except (KafkaError, ClusterSettingsError, TimeoutError, OSError) as error:
            why = str(error) or f"no answer within {self._within:g} seconds"
            if self.trouble != why:
                _log.warning("%s: %s", self._complaint, why)
            self.trouble = why
            # What it still holds would be sent twice: a new one begins without it.
            if producer is not None and producer is self._producer:
                await self.stop()
            return False
        self.trouble = None
        return True

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                await reach(self._kafka)
                producer = AIOKafkaProducer(
                    **producer_arguments(self._kafka), linger_ms=self._linger_ms
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer


async def _end(producer: AIOKafkaProducer) -> None:
    """Close a producer, without waiting for long for what cannot be sent."""
    try:
        async with asyncio.timeout(_END_WITHIN):
            # First: one that is stopped with something to send leaves a task of its own behind.
            await producer.flush()
            await producer.stop()
    except (KafkaError, TimeoutError):
        _log.debug("A producer was left with something to send")
        # It would go on to try, and holds its connections until it has.
        await producer._sender.close()  # noqa: SLF001 - aiokafka has no public way to give up
        await producer.client.close()
        producer._closed = True  # noqa: SLF001 - or it is complained of as left open
