"""How processes of a cluster end while something is away."""

import asyncio

from tests.cluster.cluster import WAIT, Cluster
from tests.cluster.test_intake import get, taking
from tests.cluster.test_relay import page, records, relaying, settings_of, trouble
from tests.rigs.postgres import PostgresServer


async def test_every_process_ends_in_order_while_the_database_is_away(
    with_database_to_stop: Cluster, postgres_to_stop: PostgresServer
) -> None:
    cluster = with_database_to_stop
    try:
        async with (
            cluster.worker_inside(),
            taking(cluster) as intake,
            relaying(cluster, settings_of(cluster)) as relay,
        ):
            await cluster.produce(trouble(cluster, "PO-1"))
            await records(cluster, cluster.kafka.decisions_topic, 1)
            await asyncio.to_thread(postgres_to_stop.stop)
            async with asyncio.timeout(WAIT):
                while (await page(relay, "/health/ready"))[0] != 503:
                    pass
                while (await get(intake, "/health/ready"))[0] != 503:
                    pass
    finally:
        await asyncio.to_thread(postgres_to_stop.start)
