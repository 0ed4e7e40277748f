"""Stock Faust: an agent that takes one event at a time, with our core and our store."""

import asyncio
import json
import sys
import tempfile
from time import perf_counter
from typing import Any

import faust

from benchmarks.cluster.scene import Figures, Scene, now
from benchmarks.house import House
from rules.world import Horizon
from streams.handler import Handler
from streams.records import RawRecord
from streams.store import Store


async def run(scene: Scene, store: Store) -> Figures:
    """Take every event, or as many as patience allows; the first are not counted."""
    house = House()
    nothing_read = Horizon.everything_until(0)  # as for our worker while it catches up
    handler = Handler(store, house.policies, house.recipients, lambda _: nothing_read)
    kafka = scene.kafka("agents")
    with tempfile.TemporaryDirectory() as folder:
        app = faust.App(
            kafka.group,
            broker=f"kafka://{kafka.brokers}",
            datadir=folder,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
        )
        topics = (kafka.orders_topic, kafka.deliveries_topic, kafka.tickets_topic)
        records = app.topic(*topics, key_serializer="raw", value_serializer="raw")
        warm_up = scene.scale.events // 1_000
        taken, start, end = 0, 0.0, 0.0
        done = asyncio.Event()

        @app.agent(records)
        async def decide(stream: Any) -> None:
            nonlocal taken, start, end
            async for event in stream.events():
                message = event.message
                place = f"{message.partition}:{message.offset}"
                handler.take([RawRecord(message.topic, place, event.value)], now())
                taken += 1
                end = perf_counter()
                if taken == warm_up:
                    start = end
                if taken == scene.scale.events or (start and end > start + scene.scale.patience_s):
                    done.set()

        await app.start()
        await done.wait()
        await app.stop()
    return {"events": taken - warm_up, "per_s": (taken - warm_up) / (end - start)}


def main() -> None:
    """Run in this process and print the figures."""
    scene = Scene.read()
    with Store.open(scene.database) as store:
        json.dump(asyncio.run(run(scene, store)), sys.stdout)


if __name__ == "__main__":
    main()
