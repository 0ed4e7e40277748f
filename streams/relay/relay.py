"""The relay: drains the outbox, tells people, and writes down what it did.

It picks who, when and how, never what. One pass looks at everything that is due:

1. who is told (`addressing`), and whether it is still true (`overtaken`);
2. what is put off: back-off, a busy route, quiet hours, bundling (`windows`);
3. what goes out now, the urgent and the highest tier first: in order to each person, and to each
   place that several people read, side by side for different ones;
4. what came of it, recorded after each message.

A crash between sending and recording leads to a second attempt under the same key (`history`).

Several relays can work at one store (`Shift`): each leases what it is about to tell, and with it
the case. A relay that was frozen for longer than its lease finds that others went on, and writes
nothing. Bundles and the pace of a route are each relay's own.

With `patience` a run does not wait for the slowest: what has not been sent by then goes on beside
the next runs. They leave its effects alone, let nothing overtake it on its way, and renew its
lease.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Protocol, assert_never

from notifiers.notifier import Failed, Notifiers, Outcome, Retry, Sent
from notifiers.report_message import RenderedReport, ReportName, Reports, no_reports
from rules.decision import CaseRow, Effect, EffectKind, Kind
from schemas.directory import Route, SlackRoute
from schemas.time import MINUTE, SECOND, Instant, iso
from streams.relay.addressing import FOLLOW_UPS, Addressee, Addressing, address, is_shadow
from streams.relay.backoff import Backoff
from streams.relay.history import NOBODY, History, Progress, key_of, place_of
from streams.relay.house import House
from streams.relay.letters import Job, Letter, compose, grouped, route_name
from streams.relay.overtaken import overtaken
from streams.relay.proofs import KeepProof, Proofs
from streams.relay.reasons import Reason
from streams.relay.windows import Windows
from streams.store import (
    Attached,
    DeliveryRow,
    DeliveryStatus,
    LostRace,
    OutboxEntry,
    OutboxStatus,
    Transaction,
)

_log = logging.getLogger(__name__)
_Status = DeliveryStatus

#: How many entries one pass looks at: more than one storm brings, so that it stays one bundle.
LIMIT = 5_000

#: Microseconds after which a lane that was under way is tried again.
_LOOK_AGAIN = SECOND // 4

_Lane = str | Route

Reading = Callable[[], AbstractContextManager[Transaction]]
"""Opens a transaction that only reads, as `Store.reading` does."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What a relay needs to work beside others at one store."""

    name: str
    """No other relay has it, nor had it before."""
    clock: Callable[[], Instant]
    lease: int = 2 * MINUTE
    """Microseconds for which it has what it took; so long what a dead relay held waits. At least
    twice what one attempt to send can take."""


class Write(Protocol):
    """Runs a function in a transaction and returns once that is on disk."""

    async def __call__(self, work: Callable[[Transaction], None]) -> None:
        """Raises what `work` raises, and what the store does; then nothing was written."""
        ...


@dataclass(slots=True)
class RelayReport:
    """What one run did, counted in effects and people."""

    sent: int = 0
    bundled: int = 0
    """Those of `sent` that went in a message with others."""
    messages: int = 0
    reminded: int = 0
    failed: int = 0
    """Attempts that did not arrive."""
    deferred: Counter[Reason] = field(default_factory=Counter)
    dropped: Counter[Reason] = field(default_factory=Counter)
    dead: int = 0
    next_wake: Instant | None = None
    """When there is something to do again, as far as is known now."""

    def take(self) -> "RelayReport":
        """What was counted since this was last asked."""
        taken, nothing = replace(self), RelayReport()
        for each in fields(self):
            setattr(self, each.name, getattr(nothing, each.name))
        return taken


@dataclass(slots=True)
class _Pass:
    """What one pass knows, and what it has not written yet."""

    now: Instant
    house: House
    ranks: dict[str, int]
    history: History
    cases: dict[str, CaseRow]
    joined: dict[str, Attached]
    rows: list[DeliveryRow] = field(default_factory=list)
    changed: dict[int, OutboxEntry] = field(default_factory=dict)
    addressed: dict[str, Addressing] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    moved: bool = False
    """Whether anything was written down."""

    def case(self, entry: OutboxEntry) -> CaseRow | None:
        case_id = entry.effect.case_id
        return None if case_id is None else self.cases.get(case_id)

    def add(self, row: DeliveryRow) -> None:
        self.history.add(row)
        self.rows.append(row)
        self.moved = True

    def put(self, entry: OutboxEntry) -> None:
        self.history.put(entry)
        self.changed[entry.seq] = entry


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """Letters of one lane that are being sent."""

    task: asyncio.Task[None]
    seqs: frozenset[int]
    """The outbox entries that they are about."""


class Relay:
    """Tells people what the outbox holds. One relay for one store, or several with a `shift` each.

    `house` gives the policy and directory of the moment, `reports` the content of stored reports.
    `random` jitters the back-off. With `notify` false nothing leaves: every effect is marked as
    dropped, for replays. `keep_proof` records what deliveries show about routes. `patience` is for
    how many seconds a run waits for what it sends; None until all of it is done.
    """

    def __init__(  # noqa: PLR0913 - each one is something that telling depends on
        self,
        reading: Reading,
        write: Write,
        house: Callable[[], House],
        notifiers: Notifiers,
        random: Random,
        *,
        backoff: Backoff | None = None,
        reports: Reports = no_reports,
        keep_proof: KeepProof | None = None,
        notify: bool = True,
        patience: float | None = None,
        shift: Shift | None = None,
    ) -> None:
        self._reading = reading
        self._write = write
        self._house = house
        self._notifiers = notifiers
        self._random = random
        self._backoff = backoff or Backoff()
        self._reports = reports
        self._proofs = Proofs(keep_proof)
        self._notify = notify
        self._shift = shift
        self._patience = patience
        self._under_way: dict[_Lane, _UnderWay] = {}
        # One for all runs: what goes on beside them counts as well.
        self._report = RelayReport()
        self._leased_until = Instant(0)
        # Effects that another relay may have told already, and since when they are with this one.
        self._taken_over: dict[str, Instant] = {}
        self._windows = Windows()
        # Held in memory only: after a restart something is tried early, which does no harm.
        self._wait: dict[str, tuple[Instant, Reason]] = {}
        self._busy: dict[Route, Instant] = {}
        self._pace: dict[Route, int] = {}
        # Let through by bundling, and only waiting for their turn on the route.
        self._let_through: set[str] = set()
        self._up_since: Instant | None = None
        # Of the newest run: what is under way began in an earlier one, and its `now` is over.
        self._now = Instant(0)

    async def run_once(self, now: Instant) -> RelayReport:
        """Do everything that is due at `now`. Reports on this run, and on what ended beside it."""
        self._up_since, self._now = self._up_since or now, now
        self._busy = {route: until for route, until in self._busy.items() if until > now}
        self._wait = {key: held for key, held in self._wait.items() if held[0] > now}
        try:
            self._see_what_ended()
            await self._tell_all(now, self._report)
        except LostRace as lost:
            # What was sent meanwhile may be sent again by whoever has it now, under the same key.
            _log.warning("This relay was too slow: %s", lost)
            await self._give_back(done=False)
        except BaseException:
            await self._give_back(done=False)
            raise
        else:
            await self._give_back(done=True)
        report = self._report.take()
        with self._reading() as tx:
            report.next_wake = tx.next_relay_wake(now)
        return report

    async def close(self, grace: float) -> None:
        """Let what is under way end within some seconds; the rest is sent again by the next."""
        tasks = [way.task for way in self._under_way.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._under_way.clear()
            await self._give_back(done=False)

    def _see_what_ended(self) -> None:
        """Forget what is not under way any more. Raises what it raised."""
        for lane, way in list(self._under_way.items()):
            if way.task.done():
                del self._under_way[lane]
                way.task.result()

    def _busy_with(self) -> set[int]:
        """The outbox entries about which something is under way."""
        return {seq for way in self._under_way.values() for seq in way.seqs}

    def _idle(self, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        """The entries about which nothing is under way."""
        busy = self._busy_with()
        return [entry for entry in entries if entry.seq not in busy] if busy else entries

    async def _tell_all(self, now: Instant, report: RelayReport) -> None:
        while due := await self._due(now):
            if not self._notify:
                await self._drop_all(due, now, report)
            elif not await self._tell(due, now, report):
                break  # unreachable as long as a pass settles or puts off what it looks at
        while self._notify and await self._remind(now, report):
            pass  # a route that failed for good hands over to the next one at once

    async def _due(self, now: Instant) -> list[OutboxEntry]:
        ranks = self._house().ranks()
        if self._shift is None:
            with self._reading() as tx:
                return self._idle(tx.outbox_due(now, LIMIT, ranks))
        name = self._shift.name
        return await self._lease(lambda tx, until: tx.lease_outbox(name, now, until, LIMIT, ranks))

    async def _reminders(self, now: Instant) -> list[OutboxEntry]:
        if self._shift is None:
            with self._reading() as tx:
                return self._idle(tx.reminders_due(now, LIMIT))
        name = self._shift.name
        return await self._lease(lambda tx, until: tx.lease_reminders(name, now, until, LIMIT))

    # -- beside other relays -------------------------------------------------------------------

    async def _lease(
        self, take: Callable[[Transaction, Instant], list[OutboxEntry]]
    ) -> list[OutboxEntry]:
        assert self._shift is not None, "only a relay among several leases"
        now = self._shift.clock()
        until = Instant(now + self._shift.lease)
        found: list[OutboxEntry] = []

        def work(tx: Transaction) -> None:
            if self._leased_until:  # what it has from an earlier pass, and what is under way
                tx.extend_leases(name, until)
            found.extend(take(tx, until))

        name = self._shift.name
        await self._write(work)
        if found or self._leased_until:
            self._leased_until = until
        self._taken_over |= {entry.effect.effect_id: now for entry in found if entry.taken_over}
        return self._idle(found)

    async def _hold(self, letter: Letter) -> None:
        """Keep what is leased for long enough to send a letter. Raises LostRace when it is lost."""
        shift = self._shift
        if shift is None or shift.clock() < self._leased_until - shift.lease // 2:
            return
        until = Instant(shift.clock() + shift.lease)
        held: set[int] = set()

        def work(tx: Transaction) -> None:
            tx.extend_leases(shift.name, until)
            held.update(tx.leased_by(shift.name))

        await self._write(work)
        if not held.issuperset(job.seq for job in letter.jobs):
            raise LostRace(f"what {shift.name} was about to tell has been leased to another relay")
        self._leased_until = until

    async def _give_back(self, *, done: bool) -> None:
        """Let others have what was leased and is not under way.

        What was left half done is known to them as such.
        """
        shift = self._shift
        if shift is None or not self._leased_until:
            return
        busy, now = self._busy_with(), shift.clock()
        if not busy:
            self._leased_until = Instant(0)

        if done:
            await self._write(lambda tx: tx.release_leases(shift.name, busy))
        else:
            await self._write(lambda tx: tx.end_leases(shift.name, now, busy))

    def _load(self, entries: list[OutboxEntry], now: Instant) -> _Pass:
        case_ids = {e.effect.case_id for e in entries if e.effect.case_id is not None}
        with self._reading() as tx:
            cases = tx.cases(case_ids)
            about = tx.outbox_about(case_ids)
            rows = tx.deliveries_about(case_ids, [entry.seq for entry in entries])
            wide = [case.case_id for case in cases.values() if case.kind is Kind.DISRUPTION]
            joined = tx.count_attached(wide)
        house = self._house()
        return _Pass(now, house, house.ranks(), History([*entries, *about], rows), cases, joined)

    async def _drop_all(self, due: list[OutboxEntry], now: Instant, report: RelayReport) -> None:
        rows = [_row(entry, NOBODY, _Status.DROPPED, now, Reason.REPLAY) for entry in due]
        dropped = [
            replace(entry, status=OutboxStatus.DROPPED, reason=Reason.REPLAY.value) for entry in due
        ]
        report.dropped[Reason.REPLAY] += len(due)
        await self._store(rows, dropped)

    # -- what is due for the first time --------------------------------------------------------

    async def _tell(self, due: list[OutboxEntry], now: Instant, report: RelayReport) -> bool:
        work = self._load(due, now)
        for entry in due:
            self._look(entry, work, report)
        letters = [
            letter
            for person, jobs in _by_person(work).items()
            for letter in self._bundled(person, jobs, work, report)
        ]
        for entry in due:
            self._settle(entry.effect.effect_id, work, report)
        moved = bool(work.rows or work.changed or letters)
        await self._send_all(letters, work, report)
        return moved

    def _look(self, entry: OutboxEntry, work: _Pass, report: RelayReport) -> None:
        """Decide for one effect who is told now, and write down why others are not."""
        effect = entry.effect
        newer = work.history.newer_waits(entry)
        if over := overtaken(effect, work.case(entry), newer_waits=newer):
            self._drop_effect(entry, over, work, report)
            return
        considered: set[str] = set()
        while True:
            addressing = address(effect, work.history, work.house, work.now)
            people = [p for p in addressing.people if p.person not in considered]
            if not people:
                break
            for addressee in people:  # giving one up may bring their stand-in into play
                considered.add(addressee.person)
                self._consider(entry, addressee, 0, work, report)
        work.addressed[effect.effect_id] = addressing
        for addressee in addressing.people:
            self._put_right_elsewhere(entry, addressee, work)
        if not addressing.people and addressing.nobody is not Reason.NOBODY_HOME:
            self._drop_effect(entry, addressing.nobody, work, report)

    def _consider(
        self,
        entry: OutboxEntry,
        addressee: Addressee,
        reminder: int,
        work: _Pass,
        report: RelayReport,
    ) -> None:
        """Take one person through the stages; what passes all of them becomes a job."""
        effect, person = entry.effect, addressee.person
        progress = work.history.progress(effect.effect_id, person, reminder)
        key = key_of(effect.effect_id, person, reminder)
        if progress.is_settled or self._wait.get(key, (work.now,))[0] > work.now:
            return
        if reason := _not_for(entry, addressee, work):
            if job := _put_right(entry, addressee, reason, progress, work):
                work.jobs.append(job)
            else:
                self._drop_person(entry, person, reminder, reason, work, report)
            return
        routes = work.house.routes(person)
        untried = [n for n in work.house.order(person, effect.tier, work.now)
                   if route_name(n, routes[n - 1]) not in progress.exhausted]  # fmt: skip
        if effect.kind is EffectKind.JOINED:
            untried = [n for n in untried if _shows(routes[n - 1], n, effect, work)]
        unanswered = None
        if reminder < 0:
            untried = _further_routes(entry, person, work)
            before = work.history.progress(effect.effect_id, person, reminder + 1).route
            unanswered = None if before is None else place_of(before)
        if not untried:
            if reminder < 0:
                self._drop_person(entry, person, reminder, Reason.NO_OTHER_ROUTE, work, report)
            elif effect.kind is EffectKind.JOINED:
                self._drop_person(entry, person, reminder, Reason.SILENTLY, work, report)
            elif progress.tries == 0 and effect.kind in FOLLOW_UPS:
                self._drop_person(entry, person, reminder, Reason.NO_ROUTE, work, report)
            else:
                gave_up = _row(
                    entry, person, _Status.GIVEN_UP, work.now, Reason.UNREACHABLE, reminder
                )
                work.add(gave_up)
            return
        job = Job(
            entry.seq,
            effect,
            addressee,
            reminder,
            untried[0],
            routes[untried[0] - 1],
            is_last=len(untried) == 1,
            progress=progress,
            unanswered=unanswered,
        )
        loud = not effect.urgent and effect.kind is not EffectKind.JOINED
        quiet = None if not loud else work.house.recipients.held_until(person, work.now)
        if quiet is not None:
            self._defer(job, quiet, Reason.QUIET_HOURS, work, report)
        else:
            work.jobs.append(job)

    def _put_right_elsewhere(self, entry: OutboxEntry, addressee: Addressee, work: _Pass) -> None:
        """Once somebody was told over one route, change what they see of the case at others."""
        effect, person = entry.effect, addressee.person
        for number in _seen_elsewhere(entry, person, work):
            progress = work.history.progress(effect.effect_id, person, -number)
            key = key_of(effect.effect_id, person, -number)
            if not progress.is_settled and self._wait.get(key, (work.now,))[0] <= work.now:
                route = work.house.routes(person)[number - 1]
                work.jobs.append(Job(entry.seq, effect, addressee, -number, number, route,
                                     is_last=True, progress=progress, silent=True))  # fmt: skip

    def _bundled(
        self, person: str, jobs: list[Job], work: _Pass, report: RelayReport
    ) -> list[Letter]:
        """The letters that go to one person now; what bundling holds back is put off."""
        alone, again, rest = _sorted_out(person, jobs, work, self._let_through)
        fresh = [job for job in rest if job.progress.held is not Reason.BUNDLING]
        held = [job for job in rest if job.progress.held is Reason.BUNDLING]
        letters = grouped(alone, together=False) + again
        if rest:
            flow = self._windows.flow(
                person, work.now, work.house.policy.bundling, fresh=len(fresh), held=len(held)
            )
            if flow.together:
                letters += grouped(rest, together=True)
            else:
                letters += grouped(fresh[: flow.one_by_one], together=False)
                for job in (*fresh[flow.one_by_one :], *held):
                    self._defer(job, flow.hold_until, Reason.BUNDLING, work, report)
        return _frozen(letters, work)

    # -- reminders, and further routes ---------------------------------------------------------

    async def _remind(self, now: Instant, report: RelayReport) -> bool:
        due = await self._reminders(now)
        if not due:
            return False
        work = self._load(due, now)
        for entry in due:
            self._look_again(entry, work, report)
        letters: list[Letter] = []
        for person, jobs in _by_person(work).items():
            alone, again, rest = _sorted_out(person, jobs, work, self._let_through)
            together = grouped(rest, together=True)
            letters += _frozen(grouped(alone, together=False) + again + together, work)
        for entry in due:
            self._settle(entry.effect.effect_id, work, report)
        await self._send_all(letters, work, report)
        return work.moved

    def _look_again(self, entry: OutboxEntry, work: _Pass, report: RelayReport) -> None:
        """Decide who is told of an alert again now, and whether it still waits for an answer."""
        effect = entry.effect
        repeated = work.history.was_repeated(entry)
        if over := overtaken(effect, work.case(entry), newer_waits=repeated):
            more = "reminders" if effect.remind_every is not None else "routes"
            work.add(_row(entry, NOBODY, _Status.DROPPED, work.now, f"no more {more}: {over}"))
            work.put(replace(entry, remind_at=None))
            report.dropped[over] += 1
            return
        addressing = address(effect, work.history, work.house, work.now)
        work.addressed[effect.effect_id] = addressing
        for addressee in addressing.people:
            for number, at in _next_tellings(entry, addressee.person, work):
                if at <= work.now:
                    self._consider(entry, addressee, number, work, report)

    # -- sending -------------------------------------------------------------------------------

    async def _send_all(self, letters: list[Letter], work: _Pass, report: RelayReport) -> None:
        await self._flush(work)
        lanes: dict[_Lane, list[Letter]] = {}
        for letter in sorted(letters, key=lambda letter: _order(letter.jobs[0], work)):
            lanes.setdefault(_lane(letter), []).append(letter)
        if self._patience is not None:
            await self._send_beside(lanes, work, report, self._patience)
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for lane in lanes.values():
                    tasks.create_task(self._send_in_order(lane, work, report))
        except BaseExceptionGroup as group:
            # The first is the cause; the others were cancelled or failed for the same reason.
            raise group.exceptions[0] from None

    async def _send_beside(
        self,
        lanes: dict[_Lane, list[Letter]],
        work: _Pass,
        report: RelayReport,
        patience: float,
    ) -> None:
        """Send for a while, and leave what takes longer under way."""
        for lane, letters in lanes.items():
            if lane in self._under_way:
                for letter in letters:
                    self._put_off(letter, Instant(work.now + _LOOK_AGAIN), work, report)
                    for job in letter.jobs:
                        self._settle(job.effect.effect_id, work, report)
            else:
                seqs = frozenset(job.seq for letter in letters for job in letter.jobs)
                task = asyncio.create_task(self._send_in_order(letters, work, report))
                self._under_way[lane] = _UnderWay(task, seqs)
        await self._flush(work)
        tasks = [way.task for way in self._under_way.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        self._see_what_ended()

    async def _send_in_order(self, letters: list[Letter], work: _Pass, report: RelayReport) -> None:
        queue, waits = 0, dict[Route, Instant]()
        for planned in letters:
            route = planned.jobs[0].route
            busy = waits.get(route) or self._busy.get(route)
            if busy is not None and not _told_there(planned, work):
                # Each gets a turn of its own, so that no pass looks at the whole queue again.
                turn = Instant(busy + queue * self._pace.get(route, 0))
                queue += 1
                self._put_off(planned, turn, work, report)
            else:
                await self._send_now(planned, work, report)
            if (until := self._busy.get(route)) is not None:
                waits[route] = until  # a run that begins meanwhile may forget it: none overtakes
            for job in planned.jobs:
                self._settle(job.effect.effect_id, work, report)
            if busy is None:  # what is put off may wait with being written down
                await self._flush(work)
        await self._flush(work)

    async def _send_now(self, planned: Letter, work: _Pass, report: RelayReport) -> None:
        letter, cases = self._still_true(planned, work, report)
        if letter is None:
            return
        if told := _told_there(letter, work):
            self._share(letter, told, work, report)
        else:
            await self._hold(letter)
            outcome = await self._send(letter, cases, work)
            self._take_in(letter, outcome, work, report)

    def _still_true(
        self, letter: Letter, work: _Pass, report: RelayReport
    ) -> tuple[Letter | None, dict[str, CaseRow]]:
        """The letter without what the cases have outrun while earlier messages were sent."""
        case_ids = {job.effect.case_id for job in letter.jobs if job.effect.case_id is not None}
        with self._reading() as tx:
            cases = tx.cases(case_ids)
        left = []
        for job in letter.jobs:
            entry, case = work.history.entry(job.effect.effect_id), job.case(cases)
            over = overtaken(job.effect, case, newer_waits=False)
            if not job.silent:
                over = over or _not_for(entry, job.addressee, work)
            if over:
                self._drop_person(entry, job.person, job.reminder, over, work, report)
            else:
                left.append(job)
        return (Letter(tuple(left)) if left else None), cases

    async def _send(self, letter: Letter, cases: dict[str, CaseRow], work: _Pass) -> Outcome:
        route = letter.jobs[0].route
        notifier = self._notifiers.get(route.kind)
        if notifier is None:
            return Failed(f"no {route.kind} is set up here")
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
        times = [at for e in effects if (at := self._taken_over.get(e.effect_id)) is not None]
        if any(effect.created_at < self._up_since for effect in effects):
            times.append(self._up_since)
        return max(times, default=None)

    def _content(self, name: ReportName) -> RenderedReport | None:
        try:
            return self._reports(name)
        except Exception:  # noqa: BLE001 - one broken report must not silence everything else
            _log.exception("The report %s %s cannot be shown", *name)
            return None

    def _take_in(self, letter: Letter, outcome: Outcome, work: _Pass, report: RelayReport) -> None:
        """Write down what came of a letter."""
        route = letter.jobs[0].route
        self._let_through.difference_update(job.key for job in letter.jobs)
        match outcome:
            case Sent(reference, rest):
                if rest is not None:
                    self._busy[route] = Instant(self._now + rest)
                    self._pace[route] = rest
                if letter.is_silent:
                    self._end_silently(letter, work, report)
                    return
                report.messages += 1
                for job in letter.jobs:
                    report.sent += 1
                    report.reminded += job.reminder > 0
                    report.bundled += letter.bundle_id is not None
                    self._proofs.note(job.person, route, self._now, None)
                    detail = job.how_found(work.addressed)
                    self._add(job, letter.status, detail, letter, work, reference)
            case Retry(_, int() as after, own_turn=True):
                report.failed += 1
                turn = self._busy[route] = Instant(self._now + max(after, 1))
                self._put_off(letter, turn, work, report)
            case Retry(reason, asked):
                report.failed += 1
                attempt = 1 + max(job.attempts for job in letter.jobs)
                wait = self._backoff.wait(attempt, self._random, asked)
                until = Instant(self._now + wait)
                rest = self._backoff.first if asked is None else asked
                self._busy[route] = Instant(self._now + max(rest, 1))
                for job in letter.jobs:
                    self._add(job, _Status.FAILED, reason, letter, work)
                    if job.attempts + 1 < self._backoff.most(is_last=job.is_last):
                        self._wait[job.key] = until, Reason.BACKING_OFF
                    elif letter.is_silent:
                        self._end_silently(letter, work, report)
                    else:
                        self._proofs.note(job.person, route, self._now, reason)
                        self._add(
                            job, _Status.GIVEN_UP, f"last of too many: {reason}", letter, work
                        )
            case Failed(reason):
                report.failed += 1
                for job in letter.jobs:
                    self._proofs.note(job.person, route, self._now, reason)
                    status = _Status.FAILED if letter.is_silent else _Status.GIVEN_UP
                    self._add(job, status, reason, letter, work)
                if letter.is_silent:
                    self._end_silently(letter, work, report)
            case _:
                assert_never(outcome)

    def _end_silently(self, letter: Letter, work: _Pass, report: RelayReport) -> None:
        """Nobody was told anything, whether or not what they see could be put right."""
        for job in letter.jobs:
            entry = work.history.entry(job.effect.effect_id)
            reason = Reason.PUT_RIGHT if job.reminder < 0 else Reason.OWN_CHANGE
            self._drop_person(entry, job.person, job.reminder, reason, work, report)

    def _share(
        self, letter: Letter, told: list[DeliveryRow], work: _Pass, report: RelayReport
    ) -> None:
        """Record that a person reads what somebody else was told at the same place."""
        for job, row in zip(letter.jobs, told, strict=True):
            report.sent += 1
            report.reminded += job.reminder > 0
            self._proofs.note(job.person, job.route, self._now, None)
            detail = f"stands where {work.house.name(row.person)} was told"
            self._add(job, letter.status, detail, letter, work, row.reference)

    # -- writing down --------------------------------------------------------------------------

    def _add(
        self,
        job: Job,
        status: DeliveryStatus,
        detail: str | None,
        letter: Letter,
        work: _Pass,
        reference: str | None = None,
    ) -> None:
        work.add(
            DeliveryRow(
                seq=job.seq,
                effect_id=job.effect.effect_id,
                idempotency_key=job.key,
                case_id=job.effect.case_id,
                person=job.person,
                route=job.route_name,
                status=status,
                at=self._now,
                attempt=job.progress.tries + 1,
                bundle_id=letter.bundle_id,
                detail=detail,
                reference=reference,
            )
        )

    def _defer(
        self, job: Job, until: Instant, reason: Reason, work: _Pass, report: RelayReport
    ) -> None:
        self._wait[job.key] = until, reason
        report.deferred[reason] += 1
        # A busy route is over in moments and says nothing about the case.
        if reason is not Reason.ROUTE_BUSY and job.progress.held is not reason:
            entry = work.history.entry(job.effect.effect_id)
            detail = f"{reason} until {iso(until)}"
            work.add(_row(entry, job.person, _Status.DEFERRED, work.now, detail, job.reminder))

    def _put_off(self, letter: Letter, until: Instant, work: _Pass, report: RelayReport) -> None:
        """Let a letter wait until its route is free."""
        for job in letter.jobs:
            self._let_through.add(job.key)
            self._defer(job, until, Reason.ROUTE_BUSY, work, report)

    def _drop_person(
        self,
        entry: OutboxEntry,
        person: str,
        reminder: int,
        reason: Reason,
        work: _Pass,
        report: RelayReport,
    ) -> None:
        work.add(_row(entry, person, _Status.DROPPED, work.now, reason, reminder))
        report.dropped[reason] += 1

    def _drop_effect(
        self, entry: OutboxEntry, reason: Reason, work: _Pass, report: RelayReport
    ) -> None:
        """Tell nobody any more; who was told before, was."""
        work.add(_row(entry, NOBODY, _Status.DROPPED, work.now, reason))
        report.dropped[reason] += 1
        told = work.history.told_of(entry.effect.effect_id)
        status = OutboxStatus.SENT if told else OutboxStatus.DROPPED
        work.put(replace(entry, status=status, reason=reason.value, not_before=None, sent_at=told))

    def _settle(self, effect_id: str, work: _Pass, report: RelayReport) -> None:
        """Bring the outbox entry in line with what its people have got."""
        entry = work.history.entry(effect_id)
        match entry.status:
            case OutboxStatus.QUEUED:
                self._settle_first(entry, work, report)
            case OutboxStatus.SENT if entry.remind_at is not None:
                self._settle_reminders(entry, work)
            case _:
                pass

    def _settle_first(self, entry: OutboxEntry, work: _Pass, report: RelayReport) -> None:
        effect, history = entry.effect, work.history
        addressing = work.addressed[effect.effect_id]
        progress = {p.person: history.progress(effect.effect_id, p.person)
                    for p in addressing.people}  # fmt: skip
        entry = replace(
            entry,
            attempts=history.failures(effect.effect_id),
            last_error=history.last_error(effect.effect_id),
        )
        waiting = [(person, 0) for person, found in progress.items() if not found.is_settled]
        waiting += [
            (person, -number)
            for person in progress
            for number in _seen_elsewhere(entry, person, work)
            if not history.progress(effect.effect_id, person, -number).is_settled
        ]
        if waiting:
            now = work.now, Reason.BACKING_OFF
            waits = (self._wait.get(key_of(effect.effect_id, *one), now) for one in waiting)
            until, reason = min(waits)
            # What goes out in this very pass is written down when something came of it.
            if until > work.now or entry != history.entry(effect.effect_id):
                work.put(replace(entry, not_before=until, reason=reason.value))
            return
        told = [found.told_at for found in progress.values() if found.told_at is not None]
        missed = [person for person, found in progress.items() if found.gave_up]
        # Operations in somebody's place are told so that somebody sees to it: it is not done.
        reached = any(progress[p.person].told_at for p in addressing.people if not p.last_resort)
        if reached or (told and not missed):
            said = f"{', '.join(missed)}: {Reason.UNREACHABLE}" if missed else None
            sent = replace(entry, status=OutboxStatus.SENT, reason=said, not_before=None,
                           sent_at=max(told))  # fmt: skip
            work.put(replace(sent, remind_at=_reminder_after(sent, work)))
        elif progress and all(found.dropped for found in progress.values()):
            reason_text = history.drop_reason(effect.effect_id)
            work.put(replace(entry, status=OutboxStatus.DROPPED, reason=reason_text,
                             not_before=None))  # fmt: skip
        else:
            reason = Reason.UNREACHABLE if progress else Reason.NOBODY_HOME
            detail = " ".join((f"{reason}:", *addressing.steps))
            work.add(_row(entry, NOBODY, _Status.GIVEN_UP, work.now, detail))
            work.put(replace(entry, status=OutboxStatus.DEAD, reason=reason.value,
                             not_before=None))  # fmt: skip
            report.dead += 1

    def _settle_reminders(self, entry: OutboxEntry, work: _Pass) -> None:
        effect = entry.effect
        ats: list[Instant] = []
        done = [entry.reminders_sent]
        for addressee in work.addressed[effect.effect_id].people:
            done.append(work.history.reminded(effect.effect_id, addressee.person)[0])
            for number, at in _next_tellings(entry, addressee.person, work):
                key = key_of(effect.effect_id, addressee.person, number)
                ats.append(self._wait.get(key, (at, None))[0])
        work.put(replace(entry, remind_at=min(ats, default=None), reminders_sent=max(done)))

    async def _flush(self, work: _Pass) -> None:
        rows, entries = work.rows, list(work.changed.values())
        work.rows, work.changed = [], {}
        if rows or entries:
            await self._store(rows, entries)

    async def _store(self, rows: list[DeliveryRow], entries: list[OutboxEntry]) -> None:
        name = None if self._shift is None else self._shift.name
        proofs = self._proofs.take()

        def work(tx: Transaction) -> None:
            tx.update_outbox(entries, name)
            tx.insert_deliveries(rows)
            self._proofs.write(tx, proofs)

        await self._write(work)


def _row(
    entry: OutboxEntry,
    person: str,
    status: DeliveryStatus,
    at: Instant,
    detail: str,
    reminder: int = 0,
) -> DeliveryRow:
    """A row about a person, or about nobody, that no route had a part in."""
    effect = entry.effect
    key = key_of(effect.effect_id, person, reminder)
    return DeliveryRow(
        entry.seq, effect.effect_id, key, effect.case_id, person, "", status, at, detail=detail
    )


def _not_for(entry: OutboxEntry, addressee: Addressee, work: _Pass) -> Reason | None:
    """Why this person is not told, though others may be."""
    if addressee.would_have_told is not None:
        return None
    if entry.effect.actor == addressee.person:
        return Reason.OWN_CHANGE
    once_a_step = entry.effect.kind in {EffectKind.NOTICE, *FOLLOW_UPS}
    if once_a_step and work.history.was_told_of_step(entry, addressee.person):
        return Reason.ALREADY_TOLD
    return None


def _put_right(
    entry: OutboxEntry, addressee: Addressee, reason: Reason, progress: Progress, work: _Pass
) -> Job | None:
    """A job that changes in place what a person sees of a case that they changed themselves."""
    effect = entry.effect
    if reason is not Reason.OWN_CHANGE or effect.kind not in FOLLOW_UPS:
        return None
    for number, route in enumerate(work.house.routes(addressee.person), 1):
        if _shows(route, number, effect, work):
            return Job(entry.seq, effect, addressee, 0, number, route, is_last=True,
                       progress=progress, silent=True)  # fmt: skip
    return None


def _shows(route: Route, number: int, effect: Effect, work: _Pass) -> bool:
    """Whether a route leads to where the effect's case stands as a message that can be changed."""
    place = place_of(route_name(number, route))
    return isinstance(route, SlackRoute) and bool(work.history.references(effect.case_id, place))


def _told_there(letter: Letter, work: _Pass) -> list[DeliveryRow] | None:
    """The rows by which everything in a letter stands already at the place it would go to."""
    if not isinstance(letter.jobs[0].route, SlackRoute) or letter.is_silent:
        return None
    shadow = letter.jobs[0].addressee.would_have_told is not None
    rows = [
        row
        for job in letter.jobs
        if (row := work.history.told_at(job.effect, job.reminder, job.place, shadow=shadow))
    ]
    return rows if len(rows) == len(letter.jobs) else None


def _lane(letter: Letter) -> _Lane:
    """Letters of one lane go out one after the other.

    A Slack channel is one for everybody who reads it: it keeps one message for a case, and takes
    one a second.
    """
    route = letter.jobs[0].route
    return route if isinstance(route, SlackRoute) else letter.person


def _reminder_after(entry: OutboxEntry, work: _Pass) -> Instant | None:
    """When an alert that was just sent is first told again."""
    effect = entry.effect
    if effect.kind is not EffectKind.ALERT or is_shadow(effect, work.house):
        return None
    people = work.addressed[effect.effect_id].people
    nexts = (_next_tellings(entry, addressee.person, work) for addressee in people)
    return min((at for tellings in nexts for _, at in tellings), default=None)


def _next_tellings(entry: OutboxEntry, person: str, work: _Pass) -> Iterator[tuple[int, Instant]]:
    """Number and time of what a person is told of an alert next, over the same or another route."""
    for number, at in (_next_reminder(entry, person, work), _next_route(entry, person, work)):
        if at is not None:
            yield number, at


def _next_route(entry: OutboxEntry, person: str, work: _Pass) -> tuple[int, Instant | None]:
    """Number and time of a person's next hand-over; no time when there is none any more."""
    number, found, _ = work.history.handed_over(entry.effect.effect_id, person)
    if found.told_at is None:
        under_way = number < 0 and not found.is_settled
        return number, found.at if under_way else None
    assert found.route is not None, "what was told was told by a route"
    routes = work.house.routes(person)
    names = {place_of(route_name(n, route)): n for n, route in enumerate(routes, 1)}
    span = work.house.hand_over_after(person, names.get(place_of(found.route), len(routes) + 1))
    if span is None or not _further_routes(entry, person, work):
        return number - 1, None
    return number - 1, work.house.later(person, found.told_at, span)


def _further_routes(entry: OutboxEntry, person: str, work: _Pass) -> list[int]:
    """The numbers of the routes by which a person was not told of an alert, in their order."""
    routes = work.house.routes(person)
    tried = work.history.handed_over(entry.effect.effect_id, person)[2]
    order = work.house.order(person, entry.effect.tier, work.now)
    return [n for n in order if place_of(route_name(n, routes[n - 1])) not in tried]


def _seen_elsewhere(entry: OutboxEntry, person: str, work: _Pass) -> Iterator[int]:
    """The numbers of the routes where a person who was told now sees the case as it stood."""
    effect, progress = entry.effect, work.history.progress(entry.effect.effect_id, person)
    seen = {
        place: number
        for number, route in enumerate(work.house.routes(person), 1)
        if _shows(route, number, effect, work)
        for place in (place_of(route_name(number, route)),)
    }
    if progress.route is not None:
        seen.pop(place_of(progress.route), None)
    elif progress.dropped and effect.actor == person:  # the first was put right (`_put_right`)
        seen.pop(next(iter(seen), ""), None)
    else:
        return
    yield from seen.values()


def _next_reminder(entry: OutboxEntry, person: str, work: _Pass) -> tuple[int, Instant | None]:
    """Number and time of a person's next reminder; no time when there is none any more.

    A person who was not told yet, such as a stand-in since today, is reminded when the others
    would be.
    """
    effect = entry.effect
    done, last = work.history.reminded(effect.effect_id, person)
    if effect.remind_every is None or done >= effect.remind_at_most:
        return done + 1, None
    start = last if last is not None else entry.sent_at
    assert start is not None, "only what was sent is told again"
    return done + 1, work.house.later(person, start, effect.remind_every)


def _by_person(work: _Pass) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {}
    for job in sorted(work.jobs, key=lambda job: _order(job, work)):
        found.setdefault(job.person, []).append(job)
    return found


def _order(job: Job, work: _Pass) -> tuple[bool, int, int]:
    """The urgent first, then the highest tier, then the oldest."""
    return not job.effect.urgent, -work.ranks.get(job.effect.tier, -1), job.seq


def _sorted_out(
    person: str, jobs: list[Job], work: _Pass, let_through: Set[str]
) -> tuple[list[Job], list[Letter], list[Job]]:
    """Jobs that go alone, bundles that may have arrived already, and the others."""
    bundles = work.house.bundles(person)
    alone, rest, again = [], [], dict[str, list[Job]]()
    for job in jobs:
        # A list of its own says more than one line of a bundle could.
        whole = job.effect.kind in {EffectKind.REPORT, EffectKind.JOINED}
        stays = job.effect.urgent or job.silent or whole
        goes_alone = stays or not bundles or job.tried_alone
        if goes_alone or (job.key in let_through and job.progress.bundle_id is None):
            alone.append(job)
        elif (bundle_id := job.progress.bundle_id) is not None:
            again.setdefault(bundle_id, []).append(job)
        else:
            rest.append(job)
    return alone, [one for g in again.values() for one in grouped(g, together=True)], rest


def _frozen(letters: list[Letter], work: _Pass) -> list[Letter]:
    """Write down what is in each bundle before it is sent, so that a crash does not change it."""
    for letter in letters:
        for job in letter.jobs:
            if letter.bundle_id is not None and job.progress.bundle_id != letter.bundle_id:
                entry = work.history.entry(job.effect.effect_id)
                detail = f"{Reason.BUNDLING}: one message about {len(letter.jobs)}"
                row = _row(entry, job.person, _Status.DEFERRED, work.now, detail, job.reminder)
                work.add(replace(row, bundle_id=letter.bundle_id))
    return letters
