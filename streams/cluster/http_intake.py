"""What takes the records of HTTP requests in a cluster: Kafka for events, the handler for the rest.

An event is accepted once every replica of its partition has it; a worker decides it in a moment.
So it is not known yet whether it was seen before: that is found out by the worker, and shown there.
Commands, and what cannot be read as an event, are decided here at once, and so are on disk and seen
by everybody when the request is answered.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rules.subjects import is_command
from schemas.events import Event, Malformed, UnknownType, parse_event
from streams.cluster.sending import Outgoing, Sender
from streams.cluster.settings import KafkaSettings
from streams.metrics import Metrics
from streams.outcome import Accepted, Outcome
from streams.records import RawRecord
from streams.writer import BusyError, UnavailableError, Writer

#: Seconds until a request is told to come back later.
_WITHIN = 10.0
#: Milliseconds that a record waits for others to go with.
_LINGER_MS = 2
#: Records of requests that are not answered yet, before further ones are turned away.
_MOST_WAITING = 50_000
#: Reading more than so many would keep others waiting.
_MANY = 100
_HEADERS = [("content-type", b"application/cloudevents+json; charset=utf-8")]


class BrokerAwayError(UnavailableError):
    """Not every replica has confirmed it; whether any has it is unknown."""

    what = "Kafka cannot be written to"
    taken = "a part of this request may have been taken and does no harm twice"


class HalfTakenError(UnavailableError):
    """The events of a request are with Kafka, and its commands could not be decided."""

    taken = BrokerAwayError.taken


@dataclass(slots=True)
class _Sorted:
    """The records of a request, by where they go."""

    to_kafka: list[Outgoing]
    at_once: list[tuple[int, RawRecord]]
    """With their place in the request."""


class KafkaTaker:
    """Takes submissions as `Writer` does. `writer` decides what is decided at once."""

    def __init__(self, kafka: KafkaSettings, writer: Writer, metrics: Metrics) -> None:
        self._kafka = kafka
        self._metrics = metrics
        self._writer = writer
        self._sender = Sender(kafka, BrokerAwayError.what, _WITHIN, _LINGER_MS)
        self._waiting = 0
        self.sources: set[str] = set()
        """Those of which anything went to Kafka; whoever notes them takes them out."""

    @property
    def is_open(self) -> bool:
        """Whether it takes submissions."""
        return self._writer.is_open

    @property
    def where(self) -> str:
        """What `trouble` is with."""
        return "Kafka" if self._sender.trouble else self._writer.where

    @property
    def trouble(self) -> str | None:
        """Why the last submission could not be taken, or None if it could."""
        return self._sender.trouble or self._writer.trouble

    async def connect(self) -> None:
        """Try whether the brokers can be reached; `trouble` says what came of it."""
        await self._sender.look(self._kafka.orders_topic)

    async def stop(self) -> None:
        """Disconnect, once what is being sent has been."""
        await self._sender.stop()

    async def submit(self, records: Sequence[RawRecord]) -> list[Outcome]:
        """Take the records of one request. Raises NotTakenError."""
        if self._waiting and self._waiting + len(records) > _MOST_WAITING:
            raise BusyError(f"{self._waiting} records wait for Kafka")
        self._waiting += len(records)
        try:
            many = len(records) > _MANY
            found = await asyncio.to_thread(self._sort, records) if many else self._sort(records)
            outcomes: list[Outcome] = [Accepted()] * len(records)
            if found.to_kafka:
                await self._send(found.to_kafka)
            if found.at_once:
                # After the events that they may be about have been confirmed.
                decided = await self._decide(found)
                for (place, _), outcome in zip(found.at_once, decided, strict=True):
                    outcomes[place] = outcome
            return outcomes
        finally:
            self._waiting -= len(records)

    def _sort(self, records: Sequence[RawRecord]) -> _Sorted:
        found = _Sorted([], [])
        for place, record in enumerate(records):
            event = parse_event(record.value)
            if isinstance(event, Malformed | UnknownType) or is_command(event):
                found.at_once.append((place, record))
            else:
                self.sources.add(event.source)
                topic = self._kafka.topic_of(event.type)
                found.to_kafka.append(Outgoing(topic, _key(event), record.value, _HEADERS))
        return found

    async def _decide(self, found: _Sorted) -> list[Outcome]:
        try:
            return await self._writer.submit([record for _, record in found.at_once])
        except UnavailableError as error:
            raise (HalfTakenError(str(error)) if found.to_kafka else error) from None

    async def _send(self, records: list[Outgoing]) -> None:
        began = time.perf_counter()
        if not await self._sender.send(records):
            raise BrokerAwayError(BrokerAwayError.what)
        self._metrics.batch({Accepted: len(records)}, time.perf_counter() - began)


def _key(event: Event) -> bytes | None:
    """What keeps the events of one partner, or of one disruption, in order."""
    for name in ("partner_id", "disruption_id"):
        value = getattr(event.data, name, None)
        if value:
            return str(value).encode()
    return None
