"""A cluster for each test, on the Kafka and the PostgreSQL that the run of the tests started."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.trade import documents
from tests.rigs.kafka import KafkaServer


@pytest.fixture
async def cluster(kafka: KafkaServer, postgres_url: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Topics and a database with nothing in them but a policy and a directory."""
    made = await Cluster.make(kafka.brokers, postgres_url, tmp_path)
    made.establish(*documents())
    yield made
    await made.close()
