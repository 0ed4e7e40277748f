"""Letters on their way: in order along each lane, lanes side by side, and what came of each.

With `patience` a run does not wait for the slowest: what has not been sent by then goes on beside
the next runs. They leave its effects alone, let nothing overtake it on its way, and renew its
lease.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from notifiers.notifier import Notifiers, Outcome, Retry, not_set_up
from notifiers.report_message import RenderedReport, ReportName, Reports
from rules.decision import CaseRow
from schemas.directory import Route, SlackRoute
from schemas.time import SECOND, Instant
from streams.relay.choosing import why_not
from streams.relay.leases import Leases
from streams.relay.letters import Letter, compose
from streams.relay.outcomes import Outcomes
from streams.relay.overtaken import overtaken
from streams.relay.passes import Pass
from streams.relay.ports import Reading
from streams.relay.settling import settle
from streams.relay.standing import told_there
from streams.relay.waits import Waits
from streams.store import OutboxEntry

_log = logging.getLogger(__name__)

#: Microseconds after which a lane that was under way is tried again.
_LOOK_AGAIN = SECOND // 4

_Lane = str | Route

Flush = Callable[[Pass], Awaitable[None]]
"""Writes what a pass has not written yet."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """Letters of one lane that are being sent."""

    task: asyncio.Task[None]
    seqs: frozenset[int]
    """The outbox entries that they are about."""


class Sending:
    """Sends letters.

    `patience` is for how many seconds a run waits for what it sends; None until all of it is sent.
    """

    def __init__(
        self,
        reading: Reading,
        flush: Flush,
        notifiers: Notifiers,
        reports: Reports,
        waits: Waits,
        leases: Leases | None,
        outcomes: Outcomes,
        *,
        patience: float | None,
    ) -> None:
        self._reading, self._flush, self._notifiers = reading, flush, notifiers
        self._reports, self._waits, self._leases = reports, waits, leases
        self._outcomes, self._patience = outcomes, patience
        self._under_way: dict[_Lane, _UnderWay] = {}
        self._up_since: Instant | None = None

    # -- beside the runs -----------------------------------------------------------------------

    def begin(self, now: Instant) -> None:
        """A run begins. Raises what stopped something that was under way."""
        self._up_since = self._up_since or now
        self._see_what_ended()

    def busy_with(self) -> set[int]:
        """The outbox entries about which something is under way."""
        return {seq for way in self._under_way.values() for seq in way.seqs}

    def idle(self, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        """The entries about which nothing is under way."""
        busy = self.busy_with()
        return [entry for entry in entries if entry.seq not in busy] if busy else entries

    async def close(self, grace: float) -> bool:
        """Let what is under way end within some seconds. False when there was nothing."""
        tasks = [way.task for way in self._under_way.values()]
        if not tasks:
            return False
        await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._under_way.clear()
        return True

    def _see_what_ended(self) -> None:
        """Forget what is not under way any more. Raises what it raised."""
        for lane, way in list(self._under_way.items()):
            if way.task.done():
                del self._under_way[lane]
                way.task.result()

    # -- in a run ------------------------------------------------------------------------------

    async def send(self, letters: list[Letter], work: Pass) -> None:
        """Send, and write down what came of it. What stops one lane stops all, and is raised."""
        await self._flush(work)
        lanes: dict[_Lane, list[Letter]] = {}
        for letter in sorted(letters, key=lambda letter: work.order(letter.jobs[0])):
            lanes.setdefault(_lane(letter), []).append(letter)
        if self._patience is not None:
            await self._send_beside(lanes, work, self._patience)
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for lane in lanes.values():
                    tasks.create_task(self._send_in_order(lane, work))
        except BaseExceptionGroup as group:
            # The first is the cause; the others were cancelled or failed for the same reason.
            raise group.exceptions[0] from None

    async def _send_beside(
        self, lanes: dict[_Lane, list[Letter]], work: Pass, patience: float
    ) -> None:
        """Send for a while, and leave what takes longer under way."""
        for lane, letters in lanes.items():
            if lane in self._under_way:
                for letter in letters:
                    self._waits.put_off(letter, Instant(work.now + _LOOK_AGAIN), work)
                    for job in letter.jobs:
                        settle(job.effect.effect_id, work, self._waits)
            else:
                seqs = frozenset(job.seq for letter in letters for job in letter.jobs)
                task = asyncio.create_task(self._send_in_order(letters, work))
                self._under_way[lane] = _UnderWay(task, seqs)
        await self._flush(work)
        tasks = [way.task for way in self._under_way.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        self._see_what_ended()

    async def _send_in_order(self, letters: list[Letter], work: Pass) -> None:
        queue, waits = 0, dict[Route, Instant]()
        for planned in letters:
            route = planned.jobs[0].route
            busy = waits.get(route) or self._waits.busy(route)
            if busy is not None and not told_there(planned, work):
                # Each gets a turn of its own, so that no pass looks at the whole queue again.
                turn = Instant(busy + queue * self._waits.pace(route))
                queue += 1
                self._waits.put_off(planned, turn, work)
            else:
                await self._send_now(planned, work)
            if (until := self._waits.busy(route)) is not None:
                waits[route] = until  # a run that begins meanwhile may forget it: none overtakes
            for job in planned.jobs:
                settle(job.effect.effect_id, work, self._waits)
            if busy is None:  # what is put off may wait with being written down
                await self._flush(work)
        await self._flush(work)

    async def _send_now(self, planned: Letter, work: Pass) -> None:
        letter, cases = self._still_true(planned, work)
        if letter is None:
            return
        if told := told_there(letter, work):
            self._outcomes.share(letter, told, work)
        else:
            if self._leases is not None:
                await self._leases.hold(letter)
            outcome = await self._attempt(letter, cases, work)
            self._outcomes.take_in(letter, outcome, work)

    def _still_true(self, letter: Letter, work: Pass) -> tuple[Letter | None, dict[str, CaseRow]]:
        """The letter without what the cases have outrun while earlier messages were sent."""
        case_ids = {job.effect.case_id for job in letter.jobs if job.effect.case_id is not None}
        with self._reading() as tx:
            cases = tx.cases(case_ids)
        left = []
        for job in letter.jobs:
            entry, case = work.history.entry(job.effect.effect_id), job.case(cases)
            over = overtaken(job.effect, case, newer_waits=False)
            if not job.silent:
                over = over or why_not(entry, job.addressee, work)
            if over:
                work.drop_person(entry, job.person, job.reminder, over)
            else:
                left.append(job)
        return (Letter(tuple(left)) if left else None), cases

    async def _attempt(self, letter: Letter, cases: dict[str, CaseRow], work: Pass) -> Outcome:
        route = letter.jobs[0].route
        notifier = self._notifiers.get(route.kind)
        if notifier is None:
            return not_set_up(route.kind)
        message = compose(
            letter, cases, work.house, work.history, work.now, self._tried_by(letter),
            self._content, work.joined,
        )  # fmt: skip
        try:
            return await notifier.send(message, route)
        except Exception as error:  # noqa: BLE001 - one broken route must not silence the others
            _log.exception("The %s notifier raised", route.kind)
            return Retry(f"the {route.kind} notifier raised {type(error).__name__}")

    def _tried_by(self, letter: Letter) -> Instant | None:
        """By when a process that did not write it down may have sent a letter; None if none can."""
        assert self._up_since is not None, "only a run sends"
        effects = [job.effect for job in letter.jobs]
        times = []
        if self._leases is not None:
            taken = (self._leases.taken_over_at(effect.effect_id) for effect in effects)
            times += [at for at in taken if at is not None]
        if any(effect.created_at < self._up_since for effect in effects):
            times.append(self._up_since)
        return max(times, default=None)

    def _content(self, name: ReportName) -> RenderedReport | None:
        try:
            return self._reports(name)
        except Exception:  # noqa: BLE001 - one broken report must not silence everything else
            _log.exception("The report %s %s cannot be shown", *name)
            return None


def _lane(letter: Letter) -> _Lane:
    """Letters of one lane go out one after the other.

    A Slack channel is one for everybody who reads it: it keeps one message for a case, and takes
    one a second.
    """
    route = letter.jobs[0].route
    return route if isinstance(route, SlackRoute) else letter.person
