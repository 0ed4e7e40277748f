"""What a worker shows of itself."""

import asyncio
import re

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.cluster import WAIT, Cluster


async def page(port: str, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_a_worker_shows_how_far_it_has_read(cluster: Cluster) -> None:
    worker = await cluster.start("detente", "worker", "--port", "0")
    await worker.said("Health: port")
    found = re.search(r"Health: port (\d+)", cluster.logs())
    assert found is not None
    port = found[1]
    assert (await page(port, "/health/live"))[0] == 200
    async with asyncio.timeout(WAIT):
        while (await page(port, "/health/ready"))[0] != 200:
            pass
    await cluster.produce([(cluster.kafka.orders_topic, b"a", b"no event")])
    await cluster.drained()
    figures: dict[str, float] = {}
    async with asyncio.timeout(WAIT):
        while figures.get("detente_events_total rejected") != 1:
            _, text = await page(port, "/metrics")
            figures = {
                " ".join((sample.name, *sample.labels.values())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
    partitions = [f"{n} {topic}" for topic in cluster.kafka.inputs for n in range(3)]
    lags = {name: figures[f"detente_lag_records {name}"] for name in partitions}
    assert max(lags.values()) <= 1  # looked at once a second
    assert all(f"detente_fence_age_seconds {name}" in figures for name in partitions)
    assert figures["detente_batch_seconds_count"] == 1
    assert figures["detente_store_up"] == 1
    assert await worker.end() == 0
