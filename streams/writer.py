"""The one committer of the embedded runtime.

Everything that writes runs on one thread, in the order of its arrival. While a batch is being
committed, the submissions that come meanwhile queue up, and all of them are the next batch: under
load many requests share a commit, and alone a request waits for nobody.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

from sqlalchemy import exc

from schemas.time import Instant
from streams.outcome import Outcome
from streams.records import RawRecord
from streams.store.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

Clock = Callable[[], Instant]

#: Errors of the machine, not of the records: the same batch can succeed a moment later.
INFRASTRUCTURE_ERRORS = (
    OSError,
    exc.OperationalError,  # database locked, disk full, server gone
    exc.InterfaceError,
    exc.TimeoutError,
    Unavailable,  # what the store makes of these
)

_log = logging.getLogger(__name__)


class Handler(Protocol):
    """Decides and stores a batch of records."""

    def take(self, records: Sequence[RawRecord], now: Instant) -> list[Outcome]:
        """Take the records in one transaction and return after its commit is on disk.

        Returns one outcome for each record, in their order. If it raises, nothing was taken.
        """
        ...


class NotTakenError(Exception):
    """Nothing of the submission was taken; it is safe to submit it again."""


class BusyError(NotTakenError):
    """Too many records wait already."""


class UnavailableError(NotTakenError):
    """The store could not be written to."""

    what = "the database cannot be written to"
    taken = "nothing of this request was taken"
    """What the sender must know of it."""


class StoppedError(NotTakenError):
    """The writer has stopped, or is about to."""


class BatchFailedError(NotTakenError):
    """Taking the batch raised an error that nobody foresaw; the log has it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Submission:
    records: Sequence[RawRecord]
    answer: asyncio.Future[list[Outcome]]


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    run: Callable[[], Any]
    answer: asyncio.Future[Any]


class Writer:
    """An asyncio front to the thread that owns all writes.

    `max_batch` records at most are merged into one transaction; one submission is never cut, so a
    larger one is a batch by itself. Once `max_waiting` records wait, further ones are turned away.
    `clock` gives the decision time of each batch, read as it begins. All methods belong to the
    event loop in which `start` was awaited.
    """

    where = "the database"

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        *,
        max_batch: int = 5_000,
        max_waiting: int = 20_000,
    ) -> None:
        self._handler = handler
        self._clock = clock
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._queue: deque[_Submission | _Call] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._open = False
        self._loop: asyncio.AbstractEventLoop
        self._ended: asyncio.Future[None]
        self.trouble: str | None = None
        """Why the last job could not reach the store, or None if it could."""

    @property
    def is_open(self) -> bool:
        """Whether it takes submissions: started, and not told to stop."""
        return self._open

    async def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._open = True
        # A daemon: a commit that hangs must not hold the process, and the database undoes it.
        threading.Thread(target=self._work, name="detente-writer", daemon=True).start()

    async def submit(self, records: Sequence[RawRecord]) -> list[Outcome]:
        """Take the records together, perhaps with others, and return once they are on disk.

        Cancelling the wait does not take them back. Raises BusyError, UnavailableError,
        StoppedError or BatchFailedError, and then nothing of these records was taken.
        """
        if not records:
            return []
        job = _Submission(records, self._loop.create_future())
        with self._changed:
            if not self._open:
                raise StoppedError("the service is stopping")
            if self._waiting and self._waiting + len(records) > self._max_waiting:
                raise BusyError(f"{self._waiting} records wait to be taken")
            self._waiting += len(records)
            self._put(job)
        return await job.answer

    async def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` on the writing thread, after all that was submitted before it.

        Raises what `fn` raises, or StoppedError.
        """
        job = _Call(lambda: fn(*args, **kwargs), self._loop.create_future())
        with self._changed:
            if not self._open:
                raise StoppedError("the service is stopping")
            self._put(job)
        result: T = await job.answer
        return result

    async def stop(self, within: float) -> bool:
        """Take no more, finish what waits, and say whether that was done `within` seconds.

        If it was not, what still waited gets StoppedError, and the job that runs ends by itself.
        """
        with self._changed:
            if not self._open:
                return self._ended.done()
            self._open = False
            self._changed.notify()
        done, _ = await asyncio.wait({self._ended}, timeout=within)
        if done:
            return True
        with self._changed:
            left = list(self._queue)
            self._queue.clear()
        for job in left:
            _fail(job.answer, StoppedError("the service stopped before this was taken"))
        return False

    def _put(self, job: _Submission | _Call) -> None:
        self._queue.append(job)
        self._changed.notify()

    # --- on the thread -----------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if isinstance(job, _Call):
                self._run(job)
            else:
                self._take(job)
        self._tell(lambda: self._ended.set_result(None))

    def _next(self) -> list[_Submission] | _Call | None:
        """The next call, or all the submissions that fit one batch; None when it is time to end."""
        with self._changed:
            while not self._queue and self._open:
                self._changed.wait()
            if not self._queue:
                return None
            job = self._queue.popleft()
            if isinstance(job, _Call):
                return job
            batch, size = [job], len(job.records)
            while self._queue and isinstance(job := self._queue[0], _Submission):
                if size + len(job.records) > self._max_batch:
                    break
                batch.append(job)
                size += len(job.records)
                self._queue.popleft()
            self._waiting -= size
            return batch

    def _take(self, batch: list[_Submission]) -> None:
        records = [record for job in batch for record in job.records]
        try:
            outcomes = self._handler.take(records, self._clock())
            if len(outcomes) != len(records):
                raise RuntimeError(f"{len(outcomes)} outcomes for {len(records)} records")
        except INFRASTRUCTURE_ERRORS as error:
            self._note(error)
            self._tell(lambda: _fail_all(batch, UnavailableError))
        except BaseException:  # noqa: BLE001 - nobody may be left waiting for an answer
            _log.exception("A batch of %d records could not be taken", len(records))
            self._tell(lambda: _fail_all(batch, BatchFailedError))
        else:
            self.trouble = None
            self._tell(lambda: _answer_all(batch, outcomes))

    def _run(self, job: _Call) -> None:
        try:
            result = job.run()
        except BaseException as error:  # noqa: BLE001 - handed on to the caller
            if isinstance(error, INFRASTRUCTURE_ERRORS):
                self._note(error)
            raised = error
            self._tell(lambda: _fail(job.answer, raised))
        else:
            self.trouble = None
            self._tell(lambda: _answer(job.answer, result))

    def _note(self, error: BaseException) -> None:
        self.trouble = f"{type(error).__name__}: {error}"
        _log.error("The database could not be written to: %s", self.trouble)

    def _tell(self, answer: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:
            _log.warning("The event loop closed before the writer had ended")


def _answer(future: asyncio.Future[T], result: T) -> None:
    if not future.done():  # whoever waited may have gone
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _answer_all(batch: list[_Submission], outcomes: list[Outcome]) -> None:
    at = 0
    for job in batch:
        _answer(job.answer, outcomes[at : at + len(job.records)])
        at += len(job.records)


def _fail_all(batch: list[_Submission], error: type[NotTakenError]) -> None:
    for job in batch:
        _fail(job.answer, error("nothing was taken"))
