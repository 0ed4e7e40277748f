"""A cluster for each test, on the Kafka and the PostgreSQL that the run of the tests started."""

import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from detente.documents import load_directory, load_policy
from tests.cluster.cluster import ROOT, Cluster
from tests.cluster.trade import documents
from tests.rigs.kafka import KafkaServer


@pytest.fixture(autouse=True)
def sockets_that_aiokafka_lost() -> Iterator[None]:
    """Sweep up after brokers that went away in the middle of something.

    aiokafka now and then drops a connection without closing it when its broker dies meanwhile. The
    socket is closed as garbage, with a warning in whichever test happens to run then.
    """
    yield
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed", ResourceWarning)
        gc.collect()


def with_sample_documents(made: Cluster) -> Cluster:
    """The same, with the sample policy and directory in force."""
    policy = load_policy(ROOT / "examples" / "policy.yaml")
    made.establish(policy, load_directory(ROOT / "examples" / "directory.yaml", policy.compiled))
    return made


@pytest.fixture
async def cluster(kafka: KafkaServer, postgres_url: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Topics and a database with nothing in them but the sample policy and directory."""
    made = with_sample_documents(await Cluster.make(kafka.brokers, postgres_url, tmp_path))
    yield made
    await made.close()


@asynccontextmanager
async def trading_on(brokers: str, db: str, folder: Path) -> AsyncIterator[Cluster]:
    """A cluster with the policy and directory of `tests.cluster.trade`."""
    made = await Cluster.make(brokers, db, folder)
    made.establish(*documents())
    yield made
    await made.close()


@pytest.fixture
async def trading(kafka: KafkaServer, postgres_url: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    """The same, with the policy and directory of `tests.cluster.trade`."""
    async with trading_on(kafka.brokers, postgres_url, tmp_path) as made:
        yield made


@pytest.fixture
async def with_broker_to_stop(
    kafka_of_my_own: KafkaServer, postgres_url: str, tmp_path: Path
) -> AsyncIterator[Cluster]:
    """The same, with a broker that the test may stop."""
    async with trading_on(kafka_of_my_own.brokers, postgres_url, tmp_path) as made:
        yield made


@pytest.fixture
async def with_database_to_stop(
    kafka: KafkaServer, url_to_stop: str, tmp_path: Path
) -> AsyncIterator[Cluster]:
    """The same, with a database server that the test may stop."""
    async with trading_on(kafka.brokers, url_to_stop, tmp_path) as made:
        yield made
