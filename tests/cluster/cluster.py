"""A cluster for one test: topics and a database, worker processes, and what came of it."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from detente.documents import DirectoryFile, PolicyFile
from schemas.time import Instant
from streams.cluster.clients import client_arguments, producer_arguments
from streams.cluster.settings import KafkaSettings
from streams.cluster.topics import create_topics
from streams.store import DOCUMENTS, Store, Unavailable

WAIT = 90.0  # seconds; a bound for what hangs, never a measure
ROOT = Path(__file__).parents[2]


class Worker:
    """A worker process. Its output is kept, to be shown when something is wrong."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, whether it still lives or not."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end. Returns its exit code."""
        self.send(number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended by itself. Returns its exit code."""
        async with asyncio.timeout(WAIT):
            return await self.process.wait()

    async def said(self, text: str) -> None:
        """Wait until it has logged something."""
        await until(lambda: text in self.log.read_text() or self._ended())
        assert text in self.log.read_text(), self.log.read_text()

    def _ended(self) -> bool:
        return self.process.returncode is not None


@dataclass
class Cluster:
    """Settings, workers and the store of one test."""

    kafka: KafkaSettings
    db: str
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    @classmethod
    async def make(cls, brokers: str, db: str, folder: Path, **settings: Any) -> Self:
        """A cluster whose topics exist and hold nothing."""
        name = f"t{token_hex(4)}"
        topics = {
            field: f"{name}-{field.removesuffix('_topic')}"
            for field in KafkaSettings.model_fields
            if field.endswith("_topic")
        }
        usual: dict[str, Any] = {"partitions": 3, "session_timeout": 6.0, "batch_size": 500}
        kafka = KafkaSettings(brokers=brokers, group=name, **{**topics, **usual, **settings})
        await create_topics(kafka)
        return cls(kafka, db, folder)

    def establish(self, policy: PolicyFile, directory: DirectoryFile) -> None:
        """Put a policy and a directory in force for all time."""
        with Store.open(self.db) as store, store.transaction() as tx:
            tx.add_policy(policy.digest, policy.body, Instant(0), Instant(0))
            tx.add_directory(directory.digest, directory.body, Instant(0), Instant(0))
            tx.bump(DOCUMENTS)

    @property
    def environment(self) -> dict[str, str]:
        """The settings as a process gets them."""
        given = self.kafka.model_dump(exclude_unset=True)
        return {
            **os.environ,
            "DETENTE_DB": self.db,
            "DETENTE_LOG_LEVEL": "info",
            "PYTHONPATH": str(ROOT),
            **{f"DETENTE_KAFKA_{name.upper()}": str(value) for name, value in given.items()},
        }

    async def start(self, *command: str, clock: Instant | None = None) -> Worker:
        """Start a worker: `detente worker`, one whose clock stands still, or a command."""
        if clock is not None:
            command = ("tests.cluster.frozen_worker", str(clock))
        command = ("-m", *(command or ("detente", "worker")))
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=self.folder, env=self.environment,
                stdout=output, stderr=output,
            )  # fmt: skip
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    async def close(self) -> None:
        """End whatever still runs."""
        for worker in self.workers:
            if worker.process.returncode is None:
                worker.send(signal.SIGCONT)
                await worker.end(signal.SIGKILL)

    # -- what goes in ------------------------------------------------------------------------------

    async def produce(self, records: Iterable[tuple[str, bytes | None, bytes | None]]) -> None:
        """Write records, each a topic, a key and a value; return once the broker has them all."""
        async with AIOKafkaProducer(**producer_arguments(self.kafka), linger_ms=5) as producer:
            sent = [
                await producer.send(topic, key=key, value=value) for topic, key, value in records
            ]
            await asyncio.gather(*sent)

    # -- what came of it ---------------------------------------------------------------------------

    async def ends(self) -> dict[tuple[str, int], int]:
        """Where the inputs end."""
        async with AIOKafkaConsumer(**client_arguments(self.kafka)) as consumer:
            partitions = [
                TopicPartition(topic, n)
                for topic in self.kafka.inputs
                for n in range(self.kafka.partitions)
            ]
            ends = await consumer.end_offsets(partitions)
        return {(p.topic, p.partition): end for p, end in ends.items()}

    async def drained(self) -> None:
        """Wait until every input has been taken to its end."""
        ends = {place: end for place, end in (await self.ends()).items() if end}
        await until(lambda: self._read_to(ends), self.logs)

    def _read_to(self, ends: dict[tuple[str, int], int]) -> bool:
        assert any(w.process.returncode is None for w in self.workers), self.logs()
        return ends.items() <= self.fences().items()

    def fences(self) -> dict[tuple[str, int], int]:
        """How far the inputs were taken; nothing while the database is away."""
        try:
            with Store.open(self.db, create=False) as store, store.reading() as tx:
                return tx.fences(self.kafka.inputs)
        except Unavailable:
            return {}

    def logs(self) -> str:
        """What the workers said last."""
        return "\n".join(f"{w.log.name}:\n{w.log.read_text()[-3_000:]}" for w in self.workers)


async def until(
    condition: Callable[[], object], explain: Callable[[], object] = lambda: ""
) -> None:
    """Wait until a condition holds that nothing tells us of."""
    never = asyncio.Event()
    try:
        async with asyncio.timeout(WAIT):
            while not await asyncio.to_thread(condition):
                with suppress(TimeoutError):
                    await asyncio.wait_for(never.wait(), 0.05)
    except TimeoutError:
        raise AssertionError(f"it never came to this.\n{explain()}") from None


async def retried(work: Callable[[], Any]) -> Any:
    """Do something that fails while the broker is away until it succeeds."""
    async with asyncio.timeout(WAIT):
        while True:
            try:
                return await work()
            except KafkaError:
                continue


def texts(values: Sequence[bytes]) -> list[str]:
    """Bytes, to be compared and read."""
    return [value.decode() for value in values]
