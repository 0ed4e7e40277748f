"""Kafka's client and our parser, nothing else: the most that a worker in Python could do."""

import asyncio
import json
import sys
from time import perf_counter

from aiokafka import AIOKafkaConsumer

from benchmarks.cluster.scene import Figures, Scene
from schemas.events import parse_event
from streams.cluster.clients import consumer_arguments


async def read(scene: Scene) -> Figures:
    """Read and parse every event, in the batches and with the settings of our worker."""
    kafka = scene.kafka("bare")
    topics = (kafka.orders_topic, kafka.deliveries_topic, kafka.tickets_topic)
    counted, start = 0, 0.0
    async with AIOKafkaConsumer(*topics, **consumer_arguments(kafka)) as consumer:
        missing = scene.scale.events
        while missing:
            batch = await consumer.getmany(timeout_ms=1_000, max_records=kafka.batch_size)
            values = [record.value for records in batch.values() for record in records]
            for value in values:
                parse_event(value)
            missing -= len(values)
            if start:
                counted += len(values)
            elif values:
                start = perf_counter()  # joining the group and the first fetch are not counted
        end = perf_counter()
    return {"events": counted, "per_s": counted / (end - start)}


if __name__ == "__main__":
    json.dump(asyncio.run(read(Scene.read())), sys.stdout)
