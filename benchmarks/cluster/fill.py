"""The records: written to Kafka all at once, or as many a second as somebody asks for."""

import asyncio
import json
import sys
from time import monotonic

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from benchmarks import load
from benchmarks.cluster.scene import Scene
from rules.decision import Kind
from rules.subjects import case_id, subject_key
from streams.cluster.clients import producer_arguments

_BURST_S = 0.005
#: Records that are handed to the producer at once.
_PIECE = 500


class _Data(msgspec.Struct):
    partner_id: str


class _Event(msgspec.Struct):
    type: str
    data: _Data


async def fill(scene: Scene) -> None:
    """Write all events that are measured, by their topics and to the one topic for Quix Streams.

    There the orders that they deliver come before them: its state is empty.
    """
    kafka, one = scene.kafka("fill"), scene.one_topic
    last = scene.first + scene.scale.events
    async with AIOKafkaProducer(**producer_arguments(kafka)) as producer:
        pieces = _Pieces(producer, kafka.partitions)
        for number in scene.delivered_first():
            value = load.order(number, scene.pace).placed()
            await pieces.add(one, _read(value).data.partner_id, value)
        for index in range(scene.first, last):
            value = load.event(index, scene.pace)
            event = _read(value)
            for topic in (kafka.topic_of(event.type), one):
                await pieces.add(topic, event.data.partner_id, value)
        await pieces.flush()


class _Pieces:
    """Batches for each partition: a producer takes them much faster than single records."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int) -> None:
        self._producer = producer
        self._partitions = list(range(partitions))
        self._choose = DefaultPartitioner()
        self._of_key: dict[str, int] = {}
        self._waiting: dict[tuple[str, int], list[tuple[bytes, bytes]]] = {}

    async def add(self, topic: str, key: str, value: bytes) -> None:
        """Write a record some time."""
        partition = self._of_key.get(key)
        if partition is None:
            chosen = self._choose(key.encode(), self._partitions, self._partitions)
            partition = self._of_key[key] = chosen
        waiting = self._waiting.setdefault((topic, partition), [])
        waiting.append((key.encode(), value))
        if len(waiting) == _PIECE:
            await self._send(topic, partition)

    async def flush(self) -> None:
        """Write all that waits."""
        for topic, partition in list(self._waiting):
            await self._send(topic, partition)
        await self._producer.flush()

    async def _send(self, topic: str, partition: int) -> None:
        records = self._waiting.pop((topic, partition))
        batch = self._producer.create_batch()
        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:  # it is full
                await self._producer.send_batch(batch, topic, partition=partition)
                batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        await self._producer.send_batch(batch, topic, partition=partition)


async def live(scene: Scene) -> dict[str, float]:
    """Write events at the rate that is asked for.

    Returns for each case that they open when its event was due to be written, in seconds of the
    monotonic clock: what the writer itself is late by counts. The first tenth is left out.
    """
    kafka, scale = scene.kafka("live"), scene.scale
    opened: dict[str, float] = {}
    async with AIOKafkaProducer(**producer_arguments(kafka)) as producer:
        start = monotonic() + 0.1
        for n in range(scale.live_events):
            due = start + n / scale.live_rate
            if (wait := due - monotonic()) > 0:
                await asyncio.sleep(max(wait, _BURST_S))
            value = load.event(scene.first + n, scene.pace)
            event = _read(value)
            topic, key = kafka.topic_of(event.type), event.data.partner_id.encode()
            await producer.send(topic, value, key=key)
            case = _case(scene.first + n, scene.pace)
            if case is not None and n >= scale.live_events // 10:
                opened[case] = due
        await producer.flush()
    return opened


def _case(index: int, pace: load.Pace) -> str | None:
    """The case that this event opens. Late orders have had one before they come."""
    number = load.delivered_by(index)
    if number is None:
        return None
    order = load.order(number, pace)
    if not order.is_short:
        return None
    return case_id(subject_key(Kind.ORDER, order.partner_id, order.order_id))


def _read(value: bytes) -> _Event:
    return msgspec.json.decode(value, type=_Event)


if __name__ == "__main__":
    json.dump(asyncio.run(live(Scene.read())), sys.stdout)
