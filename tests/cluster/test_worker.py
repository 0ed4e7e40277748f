"""One worker: how it starts, what it refuses, how it ends."""

import signal
from pathlib import Path

import pytest

from detente import occupancy
from detente.embedded import wall_clock
from detente.occupancy import Lock
from streams.cluster.presence import OccupiedError, Presence
from streams.cluster.settings import ClusterSettings
from streams.cluster.topics import create_topics
from streams.cluster.watchdog import STUCK
from streams.cluster.worker import ClusterWorker
from streams.store import Store
from tests.cluster.cluster import WAIT, Cluster, until
from tests.rigs.kafka import KafkaServer

FAUST = ("faust", "-A", "streams.app", "worker", "-l", "info")


@pytest.mark.parametrize("command", [("detente", "worker"), FAUST], ids=["detente", "faust"])
async def test_it_takes_what_comes_and_ends_when_asked(
    cluster: Cluster, command: tuple[str, ...]
) -> None:
    worker = await cluster.start(*command)
    orders = cluster.kafka.orders_topic
    await cluster.produce([(orders, b"a", b"no event"), (orders, b"b", None)])
    await cluster.drained()
    assert await worker.end(signal.SIGTERM) == 0, worker.log.read_text()
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        rejected = {row.entry.value: row.entry for row in tx.list_rejected()}
    assert rejected.keys() == {b"no event", b""}
    assert {entry.input for entry in rejected.values()} == {orders}
    assert all("offset 0" in entry.position for entry in rejected.values())
    assert "a record without a value" in rejected[b""].reason
    assert "Traceback" not in worker.log.read_text()


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("MainThread", "the event loop or the writing thread has done nothing"),
        ("detente-writer", "the event loop or the writing thread has done nothing"),
        ("client", "nothing was taken"),
    ],
)
async def test_one_that_is_stuck_ends_itself(cluster: Cluster, what: str, why: str) -> None:
    worker = await cluster.start("tests.cluster.stuck_worker", what)
    await cluster.produce([(cluster.kafka.orders_topic, b"a", b"no event")])
    assert await worker.ended() == STUCK
    assert f"This worker is stuck and ends itself: {why} for " in worker.log.read_text()


async def test_one_that_ends_leaves_its_partitions_to_the_others_at_once(cluster: Cluster) -> None:
    every = 3 * len(cluster.kafka.inputs)
    # Longer than anything here is waited for: nobody is missed, somebody has said that it leaves.
    cluster.kafka = cluster.kafka.model_copy(update={"session_timeout": WAIT + 30})
    async with cluster.worker_inside() as one:
        async with cluster.worker_inside() as other:
            await until(lambda: one.pump.partitions and other.pump.partitions)
            assert len(one.pump.partitions) + len(other.pump.partitions) == every
        await until(lambda: len(one.pump.partitions) == every)


async def test_what_it_cannot_work_with_is_said_in_a_sentence(cluster: Cluster) -> None:
    cluster.kafka = cluster.kafka.model_copy(update={"partitions": 4})
    worker = await cluster.start()
    assert await worker.ended() == 1
    log = worker.log.read_text()
    assert "detente worker: too few partitions: " in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"orders_topic": "nowhere"}, "topics that do not exist: nowhere; `detente topics create`"),
        ({"brokers": "127.0.0.1:1"}, "Kafka cannot be used: "),
    ],
)
async def test_it_does_not_start_without_topics_and_brokers(
    cluster: Cluster, settings: dict[str, object], said: str
) -> None:
    kafka = cluster.kafka.model_copy(update=settings)
    worker = ClusterWorker(lambda: ClusterSettings(cluster.db, kafka), wall_clock)
    with pytest.raises(SystemExit, match=f"detente worker: {said}"):
        await worker.start()
    await worker.stop()


async def test_without_a_policy_it_has_nothing_to_decide_with(
    kafka: KafkaServer, postgres_url: str, tmp_path: Path
) -> None:
    bare = await Cluster.make(kafka.brokers, postgres_url, tmp_path)
    worker = ClusterWorker(lambda: ClusterSettings(bare.db, bare.kafka), wall_clock)
    with pytest.raises(SystemExit, match="no policy and directory are in force"):
        await worker.start()
    await worker.stop()


async def test_a_service_and_workers_keep_out_of_each_others_way(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cluster.folder)
    service = Presence(cluster.db, alone=True)
    service.enter()
    worker = ClusterWorker(lambda: ClusterSettings(cluster.db, cluster.kafka), wall_clock)
    with pytest.raises(SystemExit, match="in use by `detente serve`"):
        await worker.start()
    await worker.stop()
    service.leave()
    one, two = Presence(cluster.db), Presence(cluster.db)
    one.enter()
    two.enter()
    one.leave()
    with pytest.raises(OccupiedError, match="has to be alone"):
        service.enter()
    with pytest.raises(occupancy.OccupiedError, match="a worker of a cluster"):
        Lock(cluster.db, "detente serve", alone=True).acquire(0)
    with Lock(cluster.db, "a detente command").acquire(0):
        two.leave()
    with Lock(cluster.db, "detente serve", alone=True).acquire(0), pytest.raises(OccupiedError):
        one.enter()


async def test_topics_are_made_once_and_grow(cluster: Cluster) -> None:
    assert all(": is there, with 3" in line for line in await create_topics(cluster.kafka))
    more = cluster.kafka.model_copy(update={"partitions": 5})
    assert all(": has 5 partitions now" in line for line in await create_topics(more))
    unequal = cluster.kafka.model_copy(update={"orders_topic": f"{cluster.kafka.group}-new"})
    assert sum(": made, with 3" in line for line in await create_topics(unequal)) == 1
    worker = ClusterWorker(lambda: ClusterSettings(cluster.db, unequal), wall_clock)
    with pytest.raises(SystemExit, match="unequal numbers of partitions"):
        await worker.start()
    await worker.stop()
