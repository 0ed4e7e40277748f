"""A cluster for one test: topics and a database, worker processes, and what came of it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from detente.embedded import wall_clock
from rules.decision import Kind
from rules.subjects import read_document
from schemas.time import Instant
from streams.cluster.clients import client_arguments, producer_arguments
from streams.cluster.settings import ClusterSettings, KafkaSettings
from streams.cluster.topics import create_topics
from streams.cluster.worker import ClusterWorker
from streams.knowledge import DirectoryFile, PolicyFile
from streams.store import DOCUMENTS, Store, Unavailable
from streams.writer import Clock
from tests.cluster.trade import BEGIN, event, routed

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

    @asynccontextmanager
    async def worker_inside(self, clock: Clock = wall_clock) -> AsyncIterator[ClusterWorker]:
        """A worker in the process of the test, which starts sooner than one of its own."""
        worker = ClusterWorker(lambda: ClusterSettings(self.db, self.kafka), clock)
        await worker.start()
        try:
            yield worker
            assert not worker.crashed, worker.crash_reason
        finally:
            await worker.stop()

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
        assert not self.workers or any(w.process.returncode is None for w in self.workers), (
            self.logs()
        )
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
                    await asyncio.wait_for(never.wait(), 0.2)
    except TimeoutError:
        raise AssertionError(f"it never came to this.\n{explain()}") from None


_BURST = 8


class Load:
    """Orders that come without end, each with something wrong: one case and two who are told."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._enough = asyncio.Event()
        self._task: asyncio.Task[None]
        self.orders = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Send no more; return once the broker has everything."""
        self._enough.set()
        await self._task

    async def reach(self, orders: int) -> None:
        """Wait until so many orders were written in all."""
        await until(lambda: self.orders >= orders or self._task.done())

    async def _send(self) -> None:
        never, kafka = asyncio.Event(), self._cluster.kafka
        arguments = producer_arguments(kafka) | {"request_timeout_ms": 90_000}
        async with AIOKafkaProducer(**arguments) as producer:
            while not self._enough.is_set():
                burst = [v for n in range(_BURST) for v in troubled(self.orders + n)]
                sent = [
                    await producer.send(topic, key=key, value=value)
                    for topic, key, value in routed(kafka, burst)
                ]
                await asyncio.gather(*sent)
                self.orders += _BURST
                with suppress(TimeoutError):  # so fast that workers are busy, not drowned
                    await asyncio.wait_for(never.wait(), 0.2)


def troubled(n: int) -> list[bytes]:
    """An order of which most is short."""
    about = {"partner_id": f"partner-{n % 9}", "order_id": f"PO-{n}"}
    lines = [{"sku": f"sku-{n}", "quantity": "100"}]
    short = [{"sku": f"sku-{n}", "quantity": "90"}]
    return [
        event("order.placed", BEGIN, f"PO-{n}-placed", **about,
              promised_at="2099-01-01T00:00:00Z", lines=lines),
        event("order.impacted", BEGIN, f"PO-{n}-short", **about, kind="short", lines=short),
    ]  # fmt: skip


def check_load(cluster: Cluster, orders: int, noise: Sequence[bytes] = ()) -> None:
    """Nothing is lost, nothing doubled: not even what would be recognised as a duplicate."""
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        counted = {counter.what: counter.n for counter in tx.counters() if not counter.name}
        cases = tx.list_cases()
        said = [
            len(read_document(row.document).contributions)
            for row in tx.subjects_of_kind(Kind.ORDER)
        ]
        told = [entry.effect for entry in tx.list_outbox()]
        rejected = sorted(row.entry.value for row in tx.list_rejected())
    assert {name: counted.get(name, 0) for name in ("accepted", "duplicate")} == {
        "accepted": 2 * orders,
        "duplicate": 0,
    }
    assert len(cases) == orders
    assert said == [2] * orders
    assert len(told) == len({effect.effect_id for effect in told}) == 2 * orders
    assert rejected == sorted(noise)
