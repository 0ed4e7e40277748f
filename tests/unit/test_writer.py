"""The one committer: who shares a batch, what an answer proves, what happens to errors."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from sqlalchemy import exc

from schemas.time import Instant
from streams.outcome import Accepted, Duplicate, Outcome
from streams.records import RawRecord
from streams.store import Unavailable
from streams.writer import (
    BatchFailedError,
    BusyError,
    StoppedError,
    UnavailableError,
    Writer,
)


class Batches:
    """Keeps what it took. With `gate` cleared, a commit stands still until it is set."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.committed: list[list[bytes]] = []
        self.times: list[int] = []
        self.threads: set[int] = set()
        self.error: BaseException | None = None

    def take(self, records: Sequence[RawRecord], now: Instant) -> list[Outcome]:
        self.began.release()
        self.gate.wait()
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error
        self.committed.append([record.value for record in records])
        self.times.append(now)
        return [Duplicate() if r.value.startswith(b"dup") else Accepted() for r in records]

    async def begun(self) -> None:
        await asyncio.to_thread(self.began.acquire)

    @property
    def values(self) -> list[bytes]:
        return [value for batch in self.committed for value in batch]


def records(*values: bytes) -> list[RawRecord]:
    return [RawRecord("test", f"item {n}", value) for n, value in enumerate(values, 1)]


def ticking() -> Callable[[], Instant]:
    now = 0

    def clock() -> Instant:
        nonlocal now
        now += 1
        return Instant(now)

    return clock


@pytest.fixture
def batches() -> Batches:
    return Batches()


@pytest.fixture
async def writer(batches: Batches) -> AsyncIterator[Writer]:
    writer = Writer(batches, ticking(), max_batch=4, max_waiting=10)
    await writer.start()
    yield writer
    batches.gate.set()
    assert await writer.stop(60)


async def submit(writer: Writer, *values: bytes) -> "asyncio.Task[list[Outcome]]":
    """Submit without waiting for the answer, but let it get into the queue."""
    task = asyncio.create_task(writer.submit(records(*values)))
    await asyncio.sleep(0)
    return task


async def test_an_answer_comes_after_the_commit(batches: Batches, writer: Writer) -> None:
    batches.gate.clear()
    task = await submit(writer, b"a", b"dup")
    await batches.begun()
    assert not task.done()
    batches.gate.set()
    assert await task == [Accepted(), Duplicate()]
    assert batches.committed == [[b"a", b"dup"]]


async def test_what_queues_up_during_a_commit_is_the_next_batch(
    batches: Batches, writer: Writer
) -> None:
    batches.gate.clear()
    tasks = [await submit(writer, b"first")]
    await batches.begun()
    tasks += [await submit(writer, *values) for values in ((b"a", b"b"), (b"dup",), (b"c",))]
    batches.gate.set()
    answers = await asyncio.gather(*tasks)
    assert answers == [[Accepted()], [Accepted()] * 2, [Duplicate()], [Accepted()]]
    assert batches.committed == [[b"first"], [b"a", b"b", b"dup", b"c"]]
    assert batches.times == [1, 2], "one decision time a batch"


async def test_a_batch_is_bounded_and_a_submission_is_never_cut(
    batches: Batches, writer: Writer
) -> None:
    batches.gate.clear()
    tasks = [await submit(writer, b"first")]
    await batches.begun()
    tasks.append(await submit(writer, b"a", b"b", b"c"))
    tasks.append(await submit(writer, b"d", b"e"))
    tasks.append(await submit(writer, b"1", b"2", b"3", b"4", b"5"))
    batches.gate.set()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in batches.committed] == [1, 3, 2, 5]
    assert batches.values == [b"first", b"a", b"b", b"c", b"d", b"e", b"1", b"2", b"3", b"4", b"5"]


async def test_a_call_runs_in_order_between_batches_on_the_same_thread(
    batches: Batches, writer: Writer
) -> None:
    batches.gate.clear()
    first = await submit(writer, b"first")
    await batches.begun()
    before = await submit(writer, b"before")

    def tick(named: str) -> tuple[str, list[bytes], int]:
        return named, batches.values, threading.get_ident()

    call = asyncio.create_task(writer.call(tick, named="tick"))
    await asyncio.sleep(0)
    after = await submit(writer, b"after")
    batches.gate.set()
    name, seen, thread = await call
    await asyncio.gather(first, before, after)
    assert (name, seen) == ("tick", [b"first", b"before"])
    assert batches.threads == {thread}
    assert thread != threading.get_ident()


async def test_a_call_raises_what_its_function_raises(writer: Writer) -> None:
    with pytest.raises(ZeroDivisionError):
        await writer.call(lambda: 1 / 0)
    assert await writer.call(lambda: 7) == 7


async def test_a_full_queue_turns_away_and_recovers(batches: Batches, writer: Writer) -> None:
    batches.gate.clear()
    tasks = [await submit(writer, b"first")]
    await batches.begun()
    tasks += [await submit(writer, *[b"x"] * 5) for _ in range(2)]
    with pytest.raises(BusyError):
        await writer.submit(records(b"one too many"))
    batches.gate.set()
    await asyncio.gather(*tasks)
    assert await writer.submit(records(b"again")) == [Accepted()]
    assert b"one too many" not in batches.values


async def test_an_idle_writer_takes_even_more_than_its_queue_holds(writer: Writer) -> None:
    assert len(await writer.submit(records(*[b"x"] * 50))) == 50


@pytest.mark.parametrize(
    "error",
    [
        exc.OperationalError("COMMIT", None, sqlite3.OperationalError("database is locked")),
        OSError(28, "No space left on device"),
        Unavailable("the store at detente.db cannot be used now: database is locked"),
    ],
    ids=["locked", "disk full", "as the store says it"],
)
async def test_trouble_with_the_store_is_told_to_the_whole_batch(
    batches: Batches, writer: Writer, error: Exception
) -> None:
    batches.gate.clear()
    first = await submit(writer, b"first")
    await batches.begun()
    tasks = [first, await submit(writer, b"a"), await submit(writer, b"b")]
    batches.error = error
    batches.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [UnavailableError] * 3
    assert batches.committed == []
    assert writer.trouble is not None
    batches.error = None
    assert await writer.submit(records(b"c")) == [Accepted()]
    assert writer.trouble is None


@pytest.mark.parametrize("error", [KeyError("surprise"), SystemExit(3)], ids=repr)
async def test_an_unforeseen_error_fails_its_batch_and_the_next_is_taken(
    batches: Batches, writer: Writer, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    batches.error = error
    with pytest.raises(BatchFailedError):
        await writer.submit(records(b"a"))
    assert "could not be taken" in caplog.text
    batches.error = None
    assert await writer.submit(records(b"a")) == [Accepted()]
    assert writer.trouble is None


async def test_an_outcome_too_few_is_an_error_and_nobody_gets_anothers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Forgetful(Batches):
        def take(self, records: Sequence[RawRecord], now: Instant) -> list[Outcome]:
            return super().take(records, now)[1:]

    writer = Writer(Forgetful(), ticking())
    await writer.start()
    with pytest.raises(BatchFailedError):
        await writer.submit(records(b"a", b"b"))
    assert "1 outcomes for 2 records" in caplog.text
    assert await writer.stop(60)


async def test_whoever_stops_waiting_disturbs_nobody(batches: Batches, writer: Writer) -> None:
    batches.gate.clear()
    first = await submit(writer, b"first")
    await batches.begun()
    gone = await submit(writer, b"gone")
    stays = await submit(writer, b"stays")
    gone.cancel()
    batches.gate.set()
    assert await stays == [Accepted()]
    await first
    assert gone.cancelled()
    assert batches.values == [b"first", b"gone", b"stays"]


async def test_stopping_finishes_what_waits_and_takes_no_more(batches: Batches) -> None:
    writer = Writer(batches, ticking())
    await writer.start()
    batches.gate.clear()
    tasks = [await submit(writer, b"a")]
    await batches.begun()
    tasks.append(await submit(writer, b"b"))
    stopping = asyncio.create_task(writer.stop(60))
    await asyncio.sleep(0)
    with pytest.raises(StoppedError):
        await writer.submit(records(b"c"))
    with pytest.raises(StoppedError):
        await writer.call(len, b"c")
    batches.gate.set()
    assert await stopping
    assert await asyncio.gather(*tasks) == [[Accepted()], [Accepted()]]
    assert await writer.stop(60), "stopping twice is stopping once"


async def test_stopping_does_not_wait_for_ever(batches: Batches) -> None:
    writer = Writer(batches, ticking())
    await writer.start()
    batches.gate.clear()
    running = await submit(writer, b"hangs")
    await batches.begun()
    waiting = await submit(writer, b"waits")
    assert not await writer.stop(0.01)
    with pytest.raises(StoppedError):
        await waiting
    batches.gate.set()
    assert await running == [Accepted()]
    assert batches.values == [b"hangs"]


async def test_many_at_once_are_each_taken_once(batches: Batches) -> None:
    writer = Writer(batches, ticking())
    await writer.start()

    async def client(n: int) -> None:
        for m in range(20):
            assert await writer.submit(records(b"%d-%d" % (n, m))) == [Accepted()]
            assert b"%d-%d" % (n, m) in batches.values

    await asyncio.gather(*(client(n) for n in range(20)))
    assert len(batches.values) == len(set(batches.values)) == 400
    assert await writer.stop(60)


async def test_nothing_to_take_is_no_batch(batches: Batches, writer: Writer) -> None:
    assert await writer.submit([]) == []
    assert batches.committed == []
