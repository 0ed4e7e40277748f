"""The topics: made beforehand, and checked before a worker reads them."""

import asyncio
from collections.abc import Collection, Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from streams.cluster.clients import client_arguments
from streams.cluster.reaching import reach
from streams.cluster.settings import KafkaSettings

#: How often to look whether the brokers know of new topics, and the seconds in between.
_LOOKS, _LOOKS_AT_START, _BETWEEN_LOOKS = 60, 4, 0.5
_HELP = "`detente topics create` makes what is missing"


class TopicsError(Exception):
    """The topics are not as they must be; the message says what was found and what helps."""


async def partition_counts(admin: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, int]:
    """How many partitions each of these topics has; one that does not exist is left out."""
    # All are asked for: brokers may make a topic that is asked for by its name.
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["topic"] in topics and topic["error_code"] == 0
    }


async def wait_for_inputs(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> None:
    """Raise TopicsError as `check_inputs` does; topics that were just made get a moment."""
    counts = await partition_counts(admin, kafka.inputs)
    for _ in range(_LOOKS_AT_START):
        if counts.keys() >= set(kafka.inputs):
            break
        await asyncio.sleep(_BETWEEN_LOOKS)
        counts = await partition_counts(admin, kafka.inputs)
    check_inputs(kafka, counts)


def check_inputs(kafka: KafkaSettings, counts: Mapping[str, int]) -> None:
    """Raise TopicsError unless all inputs exist, with the same and a sufficient number of parts.

    Equal numbers are what brings all that is said of one partner to one worker.
    """
    missing = [topic for topic in kafka.inputs if topic not in counts]
    if missing:
        raise TopicsError(f"topics that do not exist: {', '.join(missing)}; {_HELP}")
    numbers = {topic: counts[topic] for topic in kafka.inputs}
    found = ", ".join(f"{topic} has {n}" for topic, n in numbers.items())
    if min(numbers.values()) < kafka.partitions:
        raise TopicsError(
            f"too few partitions: {found}; each input needs {kafka.partitions} "
            f"(DETENTE_KAFKA_PARTITIONS); {_HELP}"
        )
    if len(set(numbers.values())) > 1:
        raise TopicsError(
            f"unequal numbers of partitions: {found}; with different numbers the orders and the "
            "tickets of one partner go to different workers; set DETENTE_KAFKA_PARTITIONS to "
            f"{max(numbers.values())}, then {_HELP}"
        )


async def create_topics(kafka: KafkaSettings) -> list[str]:
    """Make the topics and partitions that are missing. Returns what was done, in words.

    Raises TopicsError when the brokers refuse, KafkaError when they cannot be reached.
    """
    topics = [*kafka.inputs, kafka.decisions_topic, kafka.rejected_topic]
    await reach(kafka)
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    await admin.start()
    try:
        counts = await partition_counts(admin, topics)
        done = []
        for topic in topics:
            count = counts.get(topic)
            if count is None:
                await _create(admin, kafka, topic)
                done.append(f"{topic}: made, with {kafka.partitions} partitions")
            elif count < kafka.partitions:
                await admin.create_partitions({topic: NewPartitions(kafka.partitions)})
                done.append(f"{topic}: has {kafka.partitions} partitions now, instead of {count}")
            else:
                done.append(f"{topic}: is there, with {count} partitions")
        await _wait_until_known(admin, kafka, topics)
    finally:
        await admin.close()
    return done


async def _wait_until_known(
    admin: AIOKafkaAdminClient, kafka: KafkaSettings, topics: Collection[str]
) -> None:
    """Wait until the brokers know what was made: that takes them a moment, and longer when busy."""
    for _ in range(_LOOKS):
        counts = await partition_counts(admin, topics)
        if all(counts.get(topic, 0) >= kafka.partitions for topic in topics):
            return
        await asyncio.sleep(_BETWEEN_LOOKS)
    raise TopicsError(
        "the topics were made, and the brokers do not know them yet; look again later"
    )


async def _create(admin: AIOKafkaAdminClient, kafka: KafkaSettings, topic: str) -> None:
    wanted = NewTopic(
        topic,
        kafka.partitions,
        kafka.replication or -1,
        # The client wants to hear of replicas when their number is left to the brokers.
        replica_assignments=None if kafka.replication else {},
    )
    answer = await admin.create_topics([wanted])
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # another was quicker
            raise TopicsError(
                f"{name} cannot be made: {error.__name__} {' '.join(map(str, message))}"
            )
