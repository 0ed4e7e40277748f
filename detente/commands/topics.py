"""`detente topics`."""

import asyncio

import click

from detente.output import (
    RefusedError,
    UnreachableError,
    json_option,
    print_json,
    print_table,
    say,
)
from detente.settings import server_option


@click.group()
def topics() -> None:
    """The Kafka topics of a cluster."""


@topics.command()
def create() -> None:
    """Make the topics that are missing, and partitions where there are too few.

    Doing it again changes nothing. Names, partitions and brokers are settings: DETENTE_KAFKA_* in
    the environment, or `kafka` in detente.yaml.

    \b
    detente topics create
    DETENTE_KAFKA_PARTITIONS=12 detente topics create
    """
    from aiokafka.errors import KafkaError

    from streams.cluster.settings import ClusterSettingsError, read_kafka_settings
    from streams.cluster.topics import TopicsError, create_topics

    try:
        done = asyncio.run(create_topics(read_kafka_settings()))
    except (ClusterSettingsError, TopicsError) as error:
        raise RefusedError(str(error)) from None
    except KafkaError as error:
        raise UnreachableError(f"Kafka cannot be used: {error}") from None
    for line in done:
        say(line)


@topics.command()
@json_option
@server_option
def show(db: str | None, *, as_json: bool) -> None:
    """Show how far each partition of the inputs was committed, and where it ends.

    What counts is the database's: Kafka is told the same for other tools, a moment later.

    \b
    detente topics show
    """
    from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

    from detente.cluster import cluster_of
    from streams.cluster.read_past import EndOffsets
    from streams.store import Store

    cluster = cluster_of(db)

    async def ask() -> dict[tuple[str, int], int]:
        ends = EndOffsets(cluster.kafka)
        try:
            await ends.start()
            return await ends.ask()
        finally:
            await ends.stop()

    try:
        ends = asyncio.run(ask())
    except UnknownTopicOrPartitionError as error:
        raise RefusedError(
            f"Kafka has no topic {error.args[0]}; `detente topics create` makes what is missing"
        ) from None
    except KafkaError as error:
        raise UnreachableError(f"Kafka cannot be used: {error}") from None
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        fences = tx.fences(cluster.kafka.inputs)
    rows = [
        (topic, number, fences.get((topic, number)), end, end - fences.get((topic, number), 0))
        for (topic, number), end in sorted(ends.items())
    ]
    columns = ("topic", "partition", "committed", "end", "behind")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    print_table(columns, rows, empty="There are no topics.", numbers=columns[1:])


@topics.command()
@click.argument("topic")
@click.argument("partition", type=click.IntRange(min=0))
@click.argument("offset", type=click.IntRange(min=0))
@click.option("--skip", is_flag=True, help="Go forward: what lies between is never taken.")
@server_option
def seek(topic: str, partition: int, offset: int, *, skip: bool, db: str | None) -> None:
    """Let workers read a partition again from an offset. Start them anew afterwards.

    What was taken before is recognised, so going back does no harm: nothing is counted or told
    twice.

    \b
    detente topics seek orders 3 118000
    """
    from detente.cluster import cluster_of
    from streams.store import FenceMove, Store

    cluster = cluster_of(db)
    if topic not in cluster.kafka.inputs:
        named = ", ".join(cluster.kafka.inputs)
        raise RefusedError(f"{topic!r} is no input; the inputs are {named}")
    with Store.open(cluster.db, create=False) as store:
        with store.reading() as tx:
            old = tx.fences([topic]).get((topic, partition))
        if old is None:
            raise RefusedError(f"nothing was ever taken of {topic} {partition}: it begins at 0")
        if offset > old and not skip:
            raise RefusedError(
                f"{topic} {partition} was taken up to {old}; going to {offset} would leave out "
                f"{offset - old} offsets for good. --skip does it all the same"
            )
        with store.transaction() as tx:
            moved = tx.move_fences([FenceMove(topic, partition, old, offset)])
    if not moved:
        raise RefusedError(
            f"a worker has moved on from {old} meanwhile; do it again, or stop the workers first"
        )
    say(f"{topic} {partition} stood at {old} and is read from {offset} once workers start anew.")
