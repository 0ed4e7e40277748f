"""The relay: drains the outbox, tells people, and writes down what it did.

It picks who, when and how, never what. One pass looks at everything that is due:

1. who is told (`addressing`), and whether it is still true (`overtaken`);
2. what is put off: back-off, a busy route, quiet hours, bundling (`choosing`, `waits`, `windows`);
3. what goes out now, the urgent and the highest tier first: in order to each person, and to each
   place that several people read, side by side for different ones (`sending`);
4. what came of it, recorded after each message (`outcomes`, `settling`).

A crash between sending and recording leads to a second attempt under the same key (`history`).
Several relays can work at one store (`leases`); bundles and the pace of a route are each relay's
own.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from random import Random

from notifiers.notifier import Notifiers
from notifiers.report_message import Reports, no_reports
from rules.decision import Kind
from schemas.time import Instant
from streams.relay.backoff import Backoff
from streams.relay.choosing import Choosing
from streams.relay.history import NOBODY, History
from streams.relay.house import House
from streams.relay.leases import Leases, Shift
from streams.relay.outcomes import Outcomes
from streams.relay.passes import Pass, row_without_route
from streams.relay.ports import Reading, Write
from streams.relay.proofs import KeepProof, Proofs
from streams.relay.reasons import Reason
from streams.relay.report import RelayReport
from streams.relay.sending import Sending
from streams.relay.settling import settle
from streams.relay.waits import Waits
from streams.store import (
    DeliveryRow,
    DeliveryStatus,
    LostRace,
    OutboxEntry,
    OutboxStatus,
    Transaction,
)

_log = logging.getLogger(__name__)

#: How many entries one pass looks at: more than one storm brings, so that it stays one bundle.
LIMIT = 5_000


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
        self._notify = notify
        self._proofs = Proofs(keep_proof)
        self._leases = None if shift is None else Leases(shift, write)
        # One for all runs: what goes on beside them counts as well.
        self._report = RelayReport()
        self._waits = Waits()
        self._choosing = Choosing(self._waits)
        outcomes = Outcomes(self._waits, backoff or Backoff(), random, self._proofs)
        self._sending = Sending(
            reading, self._flush, notifiers, reports, self._waits, self._leases, outcomes,
            patience=patience,
        )  # fmt: skip

    async def run_once(self, now: Instant) -> RelayReport:
        """Do everything that is due at `now`. Reports on this run, and on what ended beside it."""
        self._waits.begin(now)
        try:
            self._sending.begin(now)
            await self._tell_all(now)
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
        if await self._sending.close(grace):
            await self._give_back(done=False)

    async def _tell_all(self, now: Instant) -> None:
        while due := await self._due(now):
            if not self._notify:
                await self._drop_all(due, now)
            elif not await self._tell(due, now):
                break  # unreachable as long as a pass settles or puts off what it looks at
        while self._notify and await self._remind(now):
            pass  # a route that failed for good hands over to the next one at once

    # -- passes --------------------------------------------------------------------------------

    async def _tell(self, due: list[OutboxEntry], now: Instant) -> bool:
        """Tell what is due for the first time. False when nothing came of it."""
        work = self._load(due, now)
        letters = self._choosing.letters(due, work)
        for entry in due:
            settle(entry.effect.effect_id, work, self._waits)
        moved = bool(work.rows or work.changed or letters)
        await self._sending.send(letters, work)
        return moved

    async def _remind(self, now: Instant) -> bool:
        """Remind, and take further routes. False when nothing came of it."""
        due = await self._reminders(now)
        if not due:
            return False
        work = self._load(due, now)
        letters = self._choosing.letters_again(due, work)
        for entry in due:
            settle(entry.effect.effect_id, work, self._waits)
        await self._sending.send(letters, work)
        return work.moved

    async def _drop_all(self, due: list[OutboxEntry], now: Instant) -> None:
        rows = [
            row_without_route(entry, NOBODY, DeliveryStatus.DROPPED, now, Reason.REPLAY)
            for entry in due
        ]
        dropped = [
            replace(entry, status=OutboxStatus.DROPPED, reason=Reason.REPLAY.value) for entry in due
        ]
        self._report.dropped[Reason.REPLAY] += len(due)
        await self._store(rows, dropped)

    # -- reading -------------------------------------------------------------------------------

    async def _due(self, now: Instant) -> list[OutboxEntry]:
        ranks = self._house().ranks()
        return await self._take(
            lambda tx: tx.outbox_due(now, LIMIT, ranks),
            lambda tx, name, until: tx.lease_outbox(name, now, until, LIMIT, ranks),
        )

    async def _reminders(self, now: Instant) -> list[OutboxEntry]:
        return await self._take(
            lambda tx: tx.reminders_due(now, LIMIT),
            lambda tx, name, until: tx.lease_reminders(name, now, until, LIMIT),
        )

    async def _take(
        self,
        alone: Callable[[Transaction], list[OutboxEntry]],
        beside_others: Callable[[Transaction, str, Instant], list[OutboxEntry]],
    ) -> list[OutboxEntry]:
        """What is due for this relay, and not under way."""
        if self._leases is not None:
            return self._sending.idle(await self._leases.take(beside_others))
        with self._reading() as tx:
            return self._sending.idle(alone(tx))

    def _load(self, entries: list[OutboxEntry], now: Instant) -> Pass:
        case_ids = {e.effect.case_id for e in entries if e.effect.case_id is not None}
        with self._reading() as tx:
            cases = tx.cases(case_ids)
            about = tx.outbox_about(case_ids)
            rows = tx.deliveries_about(case_ids, [entry.seq for entry in entries])
            wide = [case.case_id for case in cases.values() if case.kind is Kind.DISRUPTION]
            joined = tx.count_attached(wide)
        house, history = self._house(), History([*entries, *about], rows)
        return Pass(now, house, house.ranks(), history, cases, joined, self._report)

    # -- writing -------------------------------------------------------------------------------

    async def _give_back(self, *, done: bool) -> None:
        if self._leases is not None:
            await self._leases.give_back(self._sending.busy_with(), done=done)

    async def _flush(self, work: Pass) -> None:
        rows, entries = work.rows, list(work.changed.values())
        work.rows, work.changed = [], {}
        if rows or entries:
            await self._store(rows, entries)

    async def _store(self, rows: list[DeliveryRow], entries: list[OutboxEntry]) -> None:
        name = None if self._leases is None else self._leases.name
        proofs = self._proofs.take()

        def work(tx: Transaction) -> None:
            tx.update_outbox(entries, name)
            tx.insert_deliveries(rows)
            self._proofs.write(tx, proofs)

        await self._write(work)
