"""What may happen to a cluster under load. Nothing is lost, and nothing is taken twice."""

import asyncio
import signal
from random import Random

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from streams.cluster.clients import client_arguments, producer_arguments
from streams.store import Store
from tests.cluster.cluster import WAIT, Cluster, Load, check_load, troubled, until
from tests.cluster.trade import routed
from tests.rigs.kafka import KafkaServer
from tests.rigs.postgres import PostgresServer, libpq


@pytest.fixture
def cluster(trading: Cluster) -> Cluster:
    """The cluster of these tests."""
    return trading


def taken(cluster: Cluster) -> int:
    """How many records were committed in all."""
    return sum(cluster.fences().values())


async def more_taken(cluster: Cluster, n: int = 1) -> None:
    """Wait until so many more records were committed."""
    before = await asyncio.to_thread(taken, cluster)
    await until(lambda: taken(cluster) >= before + n, cluster.logs)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_workers_come_and_go(
    cluster: Cluster, thorough: bool, number: signal.Signals
) -> None:
    random = Random(number)
    cluster.kafka = cluster.kafka.model_copy(update={"session_timeout": 2.0, "batch_size": 40})
    async with Load(cluster) as load:
        running = [await cluster.start(), await cluster.start()]
        for _ in range(20 if thorough or number is signal.SIGKILL else 2):
            # At any moment: a batch is under way most of the time.
            await more_taken(cluster, random.randrange(1, 120))
            gone = running.pop(random.randrange(2))
            if number is signal.SIGTERM:  # Python itself ends a process that is still loading
                await gone.said("Reading ")
            code = await gone.end(number)
            assert code == (-signal.SIGKILL if number is signal.SIGKILL else 0), (
                gone.log.read_text()
            )
            running.append(await cluster.start())
        await more_taken(cluster)
        await load.end()
        await cluster.drained()
    await asyncio.to_thread(check_load, cluster, load.orders)


async def test_a_worker_that_was_frozen_finds_its_records_taken(cluster: Cluster) -> None:
    cluster.kafka = cluster.kafka.model_copy(update={"session_timeout": 2.0, "batch_size": 40})
    async with Load(cluster) as load:
        frozen = await cluster.start()
        await more_taken(cluster)
        other = await cluster.start()
        await other.said("Reading ")
        await more_taken(cluster, 100)
        frozen.send(signal.SIGSTOP)  # most of the time a batch is under way
        await other.said("Reading 15 partitions")  # those of the frozen one have come to it
        await more_taken(cluster, 200)
        frozen.send(signal.SIGCONT)
        await more_taken(cluster, 200)
        await load.end()
        await cluster.drained()
    assert await frozen.end() == 0
    assert await other.end() == 0
    await asyncio.to_thread(check_load, cluster, load.orders)


async def test_where_a_new_assignment_begins_is_not_where_a_batch_ends(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partitions are given out anew just when the pump asks how far it has read."""
    cluster.kafka = cluster.kafka.model_copy(update={"batch_size": 10})
    async with cluster.worker_inside() as worker:
        await until(lambda: worker.pump.partitions)
        consumer, given = worker.pump._consumer, worker.pump._given
        place = list(worker.pump._fences)[-1]
        position = consumer.position
        changes: list[int] = []

        async def asked(partition: TopicPartition) -> int:
            at: int = await position(partition)
            if partition == place and at and not changes:
                changes.append(at)
                given.on_partitions_revoked(())
                consumer.seek(place, at + 3)  # what Kafka thinks was committed
                given.on_partitions_assigned(consumer.assignment())
                at = await position(partition)
            return at

        monkeypatch.setattr(consumer, "position", asked)
        async with AIOKafkaProducer(**producer_arguments(cluster.kafka)) as producer:
            for n in range(30):
                for value in troubled(n):
                    await producer.send_and_wait(place.topic, value, partition=place.partition)
        await cluster.drained()
    assert changes
    await asyncio.to_thread(check_load, cluster, 30)


async def test_locks_that_a_frozen_process_keeps_are_taken_from_it(cluster: Cluster) -> None:
    cluster.kafka = cluster.kafka.model_copy(update={"session_timeout": 2.0})
    orders = [v for n in range(30) for v in troubled(n)]
    await cluster.produce(routed(cluster.kafka, orders[:30]))
    async with (
        cluster.worker_inside(),
        await psycopg.AsyncConnection.connect(libpq(cluster.db)) as frozen,
    ):
        await cluster.drained()
        await frozen.execute('UPDATE position SET "offset" = "offset"')  # and nothing more
        await cluster.produce(routed(cluster.kafka, orders[30:]))
        await cluster.drained()
        with pytest.raises(psycopg.OperationalError):
            await frozen.execute("SELECT 1")
        await frozen.close()
    await asyncio.to_thread(check_load, cluster, 30)


async def test_the_broker_stops_and_starts(
    with_broker_to_stop: Cluster, kafka_of_my_own: KafkaServer
) -> None:
    own = with_broker_to_stop
    async with Load(own) as load, own.worker_inside():
        await more_taken(own, 100)
        await asyncio.to_thread(kafka_of_my_own.stop)
        await asyncio.to_thread(kafka_of_my_own.start)
        await more_taken(own, 100)
        await load.end()
        await own.drained()
    await asyncio.to_thread(check_load, own, load.orders)


async def test_the_database_stops_and_starts(
    with_database_to_stop: Cluster, postgres_to_stop: PostgresServer
) -> None:
    cluster = with_database_to_stop
    async with Load(cluster) as load, cluster.worker_inside():
        for _ in range(2):
            await more_taken(cluster, 100)
            await asyncio.to_thread(postgres_to_stop.stop)
            try:
                await load.reach(load.orders + 100)
            finally:
                await asyncio.to_thread(postgres_to_stop.start)
        await more_taken(cluster, 100)
        await load.end()
        await cluster.drained()
    await asyncio.to_thread(check_load, cluster, load.orders)


async def test_a_commit_that_fails_once_is_made_again(cluster: Cluster) -> None:
    async with await psycopg.AsyncConnection.connect(libpq(cluster.db)) as connection:
        # A sequence forgets nothing when a transaction is undone: the third commit fails, once.
        await connection.execute("""
            CREATE SEQUENCE commits;
            CREATE FUNCTION fail_once() RETURNS trigger AS $$ BEGIN
                IF nextval('commits') = 3 THEN
                    RAISE 'the disk was full for a moment' USING ERRCODE = 'disk_full';
                END IF;
                RETURN NULL;
            END $$ LANGUAGE plpgsql;
            CREATE CONSTRAINT TRIGGER fails AFTER UPDATE OR INSERT ON feed
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_once();
        """)
        await connection.commit()
        try:
            async with Load(cluster) as load, cluster.worker_inside():
                await more_taken(cluster, 100)
                await more_taken(cluster, 100)
                await more_taken(cluster, 100)
                await load.end()
                await cluster.drained()
            found = await (await connection.execute("SELECT last_value FROM commits")).fetchone()
            await connection.commit()
            assert found is not None
            assert found[0] > 3
        finally:
            await connection.execute("DROP FUNCTION fail_once CASCADE; DROP SEQUENCE commits")
            await connection.commit()
    await asyncio.to_thread(check_load, cluster, load.orders)


async def test_poison_at_the_head_of_a_partition_stops_nothing(cluster: Cluster) -> None:
    heads = [(topic, n) for topic in cluster.kafka.inputs for n in range(cluster.kafka.partitions)]
    noise = [f"poison {topic} {n}".encode() for topic, n in heads]
    async with AIOKafkaProducer(**producer_arguments(cluster.kafka)) as producer:
        for (topic, n), value in zip(heads, noise, strict=True):
            await producer.send_and_wait(topic, value, partition=n)
    await cluster.produce(routed(cluster.kafka, [v for n in range(50) for v in troubled(n)]))
    async with cluster.worker_inside():
        await cluster.drained()
    await asyncio.to_thread(check_load, cluster, 50, noise)


async def test_what_kafka_deleted_before_it_was_read_is_said(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async def produce(first: int, count: int) -> None:
        orders = range(first, first + count)
        await cluster.produce(routed(cluster.kafka, [v for n in orders for v in troubled(n)]))

    await produce(0, 30)
    async with cluster.worker_inside():
        await cluster.drained()
    before = await cluster.ends()
    await produce(30, 30)
    admin = AIOKafkaAdminClient(**client_arguments(cluster.kafka))
    await admin.start()
    gone = {
        TopicPartition(*place): RecordsToDelete(end + 3) for place, end in before.items() if end
    }
    await admin.delete_records(gone)
    await admin.close()
    await produce(60, 30)
    async with cluster.worker_inside():
        await cluster.drained()
    said = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len([text for text in said if "3 records of " in text]) == len(gone)
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        [accepted] = tx.counters("accepted")
    assert accepted.n == 180 - 3 * len(gone)


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    topic = cluster.kafka.orders_topic
    first = routed(cluster.kafka, [v for n in range(60) for v in troubled(n)])
    await cluster.produce(first)
    async with cluster.worker_inside():
        await cluster.drained()
    await made_anew(cluster, NewTopic(topic, 3, 1))
    await cluster.produce(routed(cluster.kafka, [v for n in range(60, 70) for v in troubled(n)]))
    ends = {place: end for place, end in (await cluster.ends()).items() if end}
    async with cluster.worker_inside():
        await until(lambda: ends.items() <= cluster.fences().items())
    assert any("is not what it was" in record.message for record in caplog.records)
    await asyncio.to_thread(check_load, cluster, 70)


@pytest.mark.parametrize("moved_to", ["ahead", "behind"])
async def test_what_kafka_thinks_was_committed_does_not_count(
    cluster: Cluster, moved_to: str
) -> None:
    async def produce(first: int, count: int) -> None:
        orders = range(first, first + count)
        await cluster.produce(routed(cluster.kafka, [v for n in orders for v in troubled(n)]))

    await produce(0, 60)
    async with cluster.worker_inside():
        await cluster.drained()
    await produce(60, 60)
    ends = await cluster.ends()
    said = {
        TopicPartition(*place): end if moved_to == "ahead" else 0 for place, end in ends.items()
    }
    group = {"group_id": cluster.kafka.group, "enable_auto_commit": False}
    async with AIOKafkaConsumer(**client_arguments(cluster.kafka), **group) as consumer:
        consumer.assign(list(said))
        await consumer.commit(said)
    async with cluster.worker_inside():
        await cluster.drained()
    await asyncio.to_thread(check_load, cluster, 120)


async def test_transactions_leave_holes(cluster: Cluster) -> None:
    arguments = producer_arguments(cluster.kafka) | {"transactional_id": cluster.kafka.group}
    async with AIOKafkaProducer(**arguments) as producer:
        for n in range(30):
            await producer.begin_transaction()
            orders = [value for k in range(4 * n, 4 * n + 4) for value in troubled(k)]
            if n % 3 == 1:  # taken back: nobody may see it
                orders = troubled(1_000 + n)
            for topic, key, value in routed(cluster.kafka, orders):
                await producer.send(topic, key=key, value=value)
            await (producer.abort_transaction if n % 3 == 1 else producer.commit_transaction)()
        async with cluster.worker_inside() as worker:
            await cluster.drained()  # to the very end, where no record lies
            await producer.begin_transaction()
            for topic, key, value in routed(cluster.kafka, troubled(4)):
                await producer.send_and_wait(topic, key=key, value=value)
            # What is written and not committed may still count: time does not go past it.
            at = worker.read_past.until
            await until(lambda: worker.read_past.until > at or any(worker.read_past.lag.values()))
            held = worker.read_past.until
            await until(lambda: sum(worker.read_past.lag.values()) == 2)
            assert worker.read_past.until == held
            await producer.commit_transaction()
            await cluster.drained()
            await until(lambda: worker.read_past.until > held)
    await asyncio.to_thread(check_load, cluster, 81)


async def test_compaction_leaves_holes(cluster: Cluster) -> None:
    topic = cluster.kafka.events_topic
    compacted = {
        "cleanup.policy": "compact",
        "segment.ms": "50",
        "min.cleanable.dirty.ratio": "0.001",
        "max.compaction.lag.ms": "100",
    }
    await made_anew(cluster, NewTopic(topic, 3, 1, topic_configs=compacted))
    async with AIOKafkaProducer(**producer_arguments(cluster.kafka)) as producer:
        for n in range(40):
            await producer.send_and_wait(topic, b"old %d" % n, key=b"same", partition=0)

        async def left() -> int:
            # What is written after the segment's time makes the broker begin another.
            await producer.send_and_wait(topic, b"new", key=b"other", partition=0)
            async with AIOKafkaConsumer(
                **client_arguments(cluster.kafka), auto_offset_reset="earliest"
            ) as consumer:
                place = TopicPartition(topic, 0)
                consumer.assign([place])
                await consumer.seek_to_beginning(place)
                found = await consumer.getmany(timeout_ms=5_000)
                return sum(record.value != b"new" for record in found.get(place, []))

        async with asyncio.timeout(60):
            while await left() > 20:
                continue
    async with cluster.worker_inside():
        await cluster.drained()


async def made_anew(cluster: Cluster, topic: NewTopic) -> None:
    """Delete a topic and make it again."""
    admin = AIOKafkaAdminClient(**client_arguments(cluster.kafka))
    await admin.start()
    try:
        await admin.delete_topics([topic.name])
        async with asyncio.timeout(WAIT):
            while (await admin.create_topics([topic])).topic_errors[0][1]:
                continue  # the old one is still on its way out
    finally:
        await admin.close()
