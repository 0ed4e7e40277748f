"""`detente topics`."""

import asyncio

import click

from detente.output import RefusedError, UnreachableError, say


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
