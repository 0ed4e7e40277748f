"""Up to when the topics have been read: which deadlines the cluster may decide (law 6).

At a wall time every partition of every input is asked where it ends. Once what we have committed
of it, its fence, has come to that end, all that had been written by that time has been read: the
partition is *read past* that time. The earliest over all partitions counts. It makes no difference
whose partition it is, for fences lie in the database:

- one that nobody writes to is read past the moment it is asked, and holds nothing back;
- one whose worker has died with something left to read holds back until somebody has read it;
- an open transaction of a producer holds back too: what it has written may still count.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code

from rules.world import Horizon
from schemas.time import Instant
from streams.cluster.clients import client_arguments
from streams.cluster.reaching import reach
from streams.cluster.settings import KafkaSettings
from streams.cluster.topics import wait_for_inputs
from streams.horizon import START, FeedWatch

Partition: TypeAlias = tuple[str, int]
"""A topic and the number of one of its partitions."""

#: Asked and not yet reached ends that are remembered for one partition.
_MARKS = 600


class ReadPast:
    """What is known of the ends of all partitions, and how far they were committed."""

    def __init__(self) -> None:
        self._marks: dict[Partition, deque[tuple[Instant, int]]] = {}
        self._until: dict[Partition, Instant] = {}
        self.lag: dict[Partition, int] = {}
        """Offsets between each fence and the end that was asked for last."""

    @property
    def until(self) -> Instant:
        """Everything that had been written before this instant has been committed."""
        return min(self._until.values(), default=START)

    def until_of(self, partition: Partition) -> Instant:
        """What had been written to one partition before this instant has been committed."""
        return self._until.get(partition, START)

    def asked(self, at: Instant, ends: Mapping[Partition, int]) -> None:
        """Note where the partitions ended; `at` was read before anybody was asked."""
        for partition, end in ends.items():
            self._until.setdefault(partition, START)
            marks = self._marks.setdefault(partition, deque())
            if marks and marks[-1][1] == end:
                marks.pop()  # nothing was written in between: the later time says more
            marks.append((at, end))
            if len(marks) > _MARKS:
                # Far behind: fewer marks prove less, but never too much.
                self._marks[partition] = deque(list(marks)[1::2])
        for gone in self._until.keys() - ends.keys():
            del self._until[gone], self._marks[gone]

    def committed(self, fences: Mapping[Partition, int]) -> None:
        """Note how far the partitions were committed, read after their ends."""
        self.lag = {}
        for partition, marks in self._marks.items():
            fence = fences.get(partition, 0)
            self.lag[partition] = max(marks[-1][1] - fence, 0) if marks else 0
            while marks and marks[0][1] <= fence:
                self._until[partition] = marks.popleft()[0]


@dataclass(slots=True)
class ClusterFeedWatch(FeedWatch):
    """The sources as a cluster sees them: judged as of what was read past.

    While there is a backlog, a source's silence may only be ours.
    """

    read_past: ReadPast = field(default_factory=ReadPast)

    def as_of(self, now: Instant) -> Instant:
        """Up to when the silence of a source is its own."""
        return min(now, self.read_past.until)

    def horizon(self, now: Instant) -> Horizon:
        """Up to where deadlines may be decided at `now`."""
        return FeedWatch.horizon(self, self.as_of(now))


class EndOffsets:
    """Asks the brokers where partitions end, on connections of its own."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin = AIOKafkaAdminClient(**client_arguments(kafka))
        # It sees what is written and not yet committed, as the horizon must.
        self._consumer = AIOKafkaConsumer(
            **client_arguments(kafka), group_id=None, isolation_level="read_uncommitted"
        )

    async def start(self) -> None:
        """Connect. Raises KafkaError, with what to look at when no broker lets us in."""
        await reach(self._kafka)
        await self._admin.start()
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._admin.close()

    async def check_inputs(self) -> None:
        """Raise TopicsError unless all inputs are as they must be."""
        await wait_for_inputs(self._admin, self._kafka)

    async def ask(self) -> dict[Partition, int]:
        """The offset after the last record of every partition of all inputs. Raises KafkaError."""
        topics = await self._admin.describe_topics(list(self._kafka.inputs))
        for topic in topics:
            if topic["error_code"]:  # e.g. while a broker starts; without an answer nothing is read
                raise for_code(topic["error_code"])(topic["topic"])
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in topics
            for partition in topic["partitions"]
        ]
        ends = await self._consumer.end_offsets(partitions)
        return {(p.topic, p.partition): end for p, end in ends.items()}
