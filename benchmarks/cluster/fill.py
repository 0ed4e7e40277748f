"""The records: written to Kafka all at once, or as many a second as somebody asks for."""

import asyncio
import json
import sys
from collections.abc import Iterable
from time import monotonic

import msgspec
from aiokafka import AIOKafkaProducer

from benchmarks import load
from benchmarks.cluster.scene import Scene
from rules.decision import Kind
from rules.subjects import case_id, subject_key
from streams.cluster.clients import producer_arguments
from streams.cluster.settings import KafkaSettings

#: The part of a topic's name that says: the orders that are placed before anything is measured.
EARLIER = "earlier"
_BURST_S = 0.005


class _Data(msgspec.Struct):
    partner_id: str


class _Event(msgspec.Struct):
    type: str
    data: _Data


async def fill(scene: Scene) -> None:
    """Write all events that are measured, and before them the orders that wait to be delivered."""
    kafka = scene.kafka("fill")
    last = scene.first + scene.scale.events
    async with AIOKafkaProducer(**producer_arguments(kafka), linger_ms=50) as producer:
        earlier = f"{scene.topics}-{EARLIER}"
        await _write(
            producer,
            ((earlier, load.order(n, scene.pace).placed()) for n in scene.delivered_first()),
        )
        events = (load.event(n, scene.pace) for n in range(scene.first, last))
        await _write(producer, ((_topic(kafka, event), event) for event in events))


async def _write(producer: AIOKafkaProducer, records: Iterable[tuple[str, bytes]]) -> None:
    for topic, value in records:
        await producer.send(topic, value, key=_key(value))
    await producer.flush()


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
            await producer.send(_topic(kafka, value), value, key=_key(value))
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


def _topic(kafka: KafkaSettings, value: bytes) -> str:
    return kafka.topic_of(msgspec.json.decode(value, type=_Event).type)


def _key(value: bytes) -> bytes:
    return msgspec.json.decode(value, type=_Event).data.partner_id.encode()


if __name__ == "__main__":
    json.dump(asyncio.run(live(Scene.read())), sys.stdout)
