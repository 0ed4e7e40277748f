"""The pump: records out of Kafka, through the handler, into the store.

One batch holds whatever all partitions of all inputs have ready. It is decided at once and
committed in one transaction, in which the fences of its partitions move too. On assignment the pump
goes to where the fences stand, whatever Kafka thinks was committed; that is told to Kafka only for
dashboards that show lag. When a fence is not where the batch begins, another worker has taken these
records: everything is given up and read again from where the fences stand now.

The callbacks of a rebalance only note what has changed, for heartbeats wait for them. Until the
pump has gone to the fences of what it was given, nothing that the consumer returns is taken: it
reads from Kafka's committed offset then.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord
from mode import Service

from streams.cluster.clients import consumer_arguments
from streams.cluster.deciding import Deciding
from streams.cluster.settings import KafkaSettings
from streams.handler import FenceMoved
from streams.records import BrokerRecord, Record, RejectedRecord
from streams.store import FenceMove
from streams.writer import INFRASTRUCTURE_ERRORS, StoppedError, Writer

#: Milliseconds that one look for records lasts at most, and so a stop may have to wait.
_LOOK_MS = 200
#: Seconds between two tries to reach the database or the brokers.
_AGAIN = 0.5
#: Seconds that the batch at hand gets to end when the worker is stopped.
_LAST_BATCH = 3.0
#: Seconds that the brokers get to hear that we leave.
_LEAVE_WITHIN = 2.0
#: Seconds between two words to Kafka of how far we are.
_TELL_EVERY = 2.0
_TELL_WITHIN = 1.0

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class _Given(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """What the group has given to this worker. A new number for every change, begun or ended."""

    def __init__(self) -> None:
        self.number = 0
        self.partitions: frozenset[TopicPartition] = frozenset()
        self.changed = asyncio.Event()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's signature
        self._note(frozenset())

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._note(frozenset(assigned))

    def _note(self, partitions: frozenset[TopicPartition]) -> None:
        self.number += 1
        self.partitions = partitions
        self.changed.set()


class Pump(Service):
    """Reads the inputs. Whatever it does not expect ends the worker."""

    def __init__(
        self,
        kafka: KafkaSettings,
        deciding: Deciding,
        writer: Writer,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """`moved` is called when something was committed, or it is known why nothing can be."""
        super().__init__()
        self._kafka = kafka
        self._deciding = deciding
        self._writer = writer
        self._moved = moved
        self._given = _Given()
        self._at = -1
        """The number of the assignment whose fences we have gone to."""
        self._fences: dict[TopicPartition, int | None] = {}
        self._told_at = 0.0
        self._loop_task: asyncio.Task[None]

    @property
    def partitions(self) -> frozenset[TopicPartition]:
        """The partitions that it reads now; none while they are being given out anew."""
        given = self._given
        return given.partitions if given.number == self._at else frozenset()

    async def on_start(self) -> None:
        """Join the group."""
        self._consumer = AIOKafkaConsumer(**consumer_arguments(self._kafka))
        self._consumer.subscribe(self._kafka.inputs, listener=self._given)
        await self._consumer.start()
        self._loop_task = self.add_future(self._pump())  # type: ignore[assignment]  # a task it is

    async def on_stop(self) -> None:
        """Finish the batch at hand, say how far we are, leave the group."""
        await asyncio.wait({self._loop_task}, timeout=_LAST_BATCH)
        self._told_at = 0.0
        await self._tell_kafka()
        try:
            async with asyncio.timeout(_LEAVE_WITHIN):
                await self._consumer.stop()
        except TimeoutError:
            _log.warning("The group could not be left; the brokers will notice by themselves")

    async def _pump(self) -> None:
        while not self.should_stop:
            number = self._given.number
            if not self._given.partitions:
                await self._wait_for_partitions()
            elif self._at != number:
                await self._go_to_fences(number)
            else:
                await self._take_a_batch(number)

    async def _wait_for_partitions(self) -> None:
        self._moved()  # with nothing to read, nothing can be late
        self._given.changed.clear()
        if not self._given.partitions:
            await self.wait(self._given.changed.wait(), timeout=_AGAIN)

    async def _go_to_fences(self, number: int) -> None:
        topics = self._kafka.inputs
        fences = await self._persistently(number, lambda: self._deciding.fences(topics))
        if fences is None or self._given.number != number:
            return
        self._fences = {p: fences.get((p.topic, p.partition)) for p in self._given.partitions}
        for partition, fence in self._fences.items():
            # Where nothing was ever taken: from the beginning, which need not be 0; aiokafka goes
            # to the earliest offset that there is.
            self._consumer.seek(partition, fence or 0)
        self._at = number
        _log.info("Reading %d partitions from where they were committed", len(self._fences))
        await self._say_what_is_lost()

    async def _say_what_is_lost(self) -> None:
        """Kafka deletes what is old, and a topic may be made anew: nobody can read what is gone."""
        fences = {p: fence for p, fence in self._fences.items() if fence is not None}
        try:
            begin = await self._consumer.beginning_offsets(list(fences))
            end = await self._consumer.end_offsets(list(fences))
        except KafkaError as error:
            _log.warning("The brokers do not say where the topics begin: %r", error)
            return
        for place, fence in fences.items():
            if fence < begin[place]:
                _log.error(
                    "%d records of %s partition %d were deleted before they were read: offsets %d "
                    "to %d", begin[place] - fence, *place, fence, begin[place] - 1,
                )  # fmt: skip
            elif fence > end[place]:
                _log.error(
                    "%s partition %d ends at %d and was read to %d: it is not what it was, and is "
                    "read from its beginning", *place, end[place], fence,
                )  # fmt: skip

    async def _take_a_batch(self, number: int) -> None:
        try:
            found = await self._consumer.getmany(
                timeout_ms=_LOOK_MS, max_records=self._kafka.batch_size
            )
        except KafkaError as error:
            if not error.retriable:
                raise
            _log.warning("Kafka cannot be read now: %r", error)
            self._moved()
            await self.sleep(_AGAIN)
            return
        moves = await self._moves(number)
        if not moves:
            return
        records = [_record(raw) for raws in found.values() for raw in raws]
        taken = await self._persistently(number, lambda: self._deciding.take_once(records, moves))
        if isinstance(taken, FenceMoved):
            _log.info("Another worker has taken these records; going to where it is")
            self._at = -1
        elif taken is not None:
            for move in moves:
                self._fences[TopicPartition(move.input, move.partition)] = move.new
            self._moved()
            await self._tell_kafka()

    async def _moves(self, number: int) -> list[FenceMove]:
        """From where to where what was read goes; nothing when it is no longer ours.

        The consumer's position counts, not the last record's: what follows a record may be none,
        such as the end of a transaction or what compaction has taken away.
        """
        moves = []
        for partition, fence in self._fences.items():
            if self._given.number != number:
                return []
            try:
                position = await self._consumer.position(partition)
            except IllegalStateError:  # it has waited for a position, and the partition is gone
                if self._given.number != number:
                    return []
                raise
            if position != (fence or 0):
                moves.append(FenceMove(partition.topic, partition.partition, fence, position))
        # Asked last: positions are those of this assignment only if it has not changed since.
        return moves if self._given.number == number else []

    async def _persistently(self, number: int, work: Callable[[], _T]) -> _T | None:
        """Do something with the database, again and again while it is away.

        None when it was given up: the worker stops, or its partitions have changed.
        """
        while True:
            try:
                return await self._writer.call(work)
            except StoppedError:
                return None
            except INFRASTRUCTURE_ERRORS as error:
                _log.warning("The database cannot be used now, trying again: %s", error)
            self._moved()
            await self.sleep(_AGAIN)
            if self.should_stop or self._given.number != number:
                self._at = -1  # what was read goes unused
                return None

    async def _tell_kafka(self) -> None:
        now = time.monotonic()
        offsets = {p: fence for p, fence in self._fences.items() if fence is not None}
        if not offsets or now - self._told_at < _TELL_EVERY or self._at != self._given.number:
            return
        self._told_at = now
        try:
            async with asyncio.timeout(_TELL_WITHIN):
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            _log.debug("Kafka was not told how far we are: %r", error)


def _record(raw: ConsumerRecord) -> Record:
    """A record of Kafka's as the handler takes it."""
    topic, place, value = raw.topic, f"partition {raw.partition} offset {raw.offset}", raw.value
    if value is None:
        why = "a record without a value; a CloudEvent is expected"
        return RejectedRecord(topic, place, b"", why, tuple(raw.headers))
    return BrokerRecord(topic, place, value, tuple(raw.headers))
