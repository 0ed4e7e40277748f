"""The handler: a batch of records in, one committed transaction out.

The path of an event: `parse_event` reads it, `state_subject` says what it contributes to which
subject, `Decider` folds the subjects, the store commits what changed. Both runtimes, the CLI and
every command take this road.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from rules.decide import Decider, Taken, with_other_content
from rules.decision import (
    CaseRow,
    Changes,
    Kind,
    Parked,
    Rejected,
    StepRow,
    SubjectRow,
)
from rules.disruption_spans import with_disruptions
from rules.policy import PolicyHistory
from rules.recipients import Recipients
from rules.subjects import (
    case_id,
    command_target,
    is_command,
    state_command,
    state_subject,
)
from rules.world import Horizon, World
from schemas.events import (
    MAX_EVENT_BYTES,
    Event,
    Malformed,
    UnknownType,
    parse_event,
    unknown_fields,
)
from schemas.time import Instant, to_instant
from streams import outcome as out
from streams.collector import uncollected
from streams.event_counts import count, count_by_day, count_events, times_by_feed
from streams.outcome import Outcome
from streams.records import RawRecord, Record, RejectedRecord
from streams.settling import EXCUSED, NotAlone, Settling, must_be_alone
from streams.store import (
    DISRUPTIONS,
    DOCUMENTS,
    FenceMove,
    LostRace,
    NextDue,
    Store,
    Transaction,
)

#: How often a lost race is decided again before the error is shown.
_RACES = 20
#: Subjects that one deadline tick folds in one transaction.
TICK_BATCH = 1_000

_T = TypeVar("_T")

Announce = Callable[[Transaction, Changes, Sequence[Record], Instant], None]
"""Keeps what the changes of a batch tell other programs, in the transaction that writes them."""

_log = logging.getLogger(__name__)


class DocumentsChanged(Exception):  # noqa: N818 - an expected turn, not an error
    """Policy or directory have changed since they were read: to be decided with the new ones."""


@dataclass(frozen=True, slots=True)
class FenceMoved:
    """Nothing was taken: another worker has taken these records."""


class _FenceLost(Exception):  # noqa: N818 - an expected turn, not an error
    """Gives the transaction up."""


class _Command(NamedTuple):
    """A command as it was read: whom it is about is known once the store has been asked."""

    event: Event
    place: int
    record: RawRecord


@dataclass(slots=True)
class _Batch:
    """A batch as it was read, before anything is loaded. The same for every attempt to store it."""

    now: Instant
    outcomes: list[Outcome]
    stated: list[Taken] = field(default_factory=list)
    """What events of the trade say."""
    commands: list[_Command] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)


class Handler:
    """Decides and stores batches. Owned by one thread at a time.

    `horizon` says up to where deadlines may be decided; `hear` is told what was seen of each
    source. With `tell` False nothing is told, as when history is imported. In a replay (`virtual`)
    each event counts as recorded at its own time, and deadlines fire between events. `documents` is
    the version of the guard DOCUMENTS at which policies and recipients were read, where others may
    change them: then every call raises DocumentsChanged once they have. `announce` is called in
    each transaction that writes decisions; see `streams.announcements`.
    """

    def __init__(  # noqa: PLR0913 - what each runtime says differently has a name of its own
        self,
        store: Store,
        policies: PolicyHistory,
        recipients: Recipients,
        horizon: Callable[[Instant], Horizon],
        hear: Callable[[dict[str, tuple[Instant, Instant]]], None] | None = None,
        *,
        tell: bool = True,
        virtual: bool = False,
        documents: int | None = None,
        announce: Announce | None = None,
    ) -> None:
        self.store = store
        self.virtual = virtual
        self.horizon = horizon
        self.tell = tell
        self._hear = hear
        self.world = World(policies, recipients)
        self._disruptions_version = -1
        self._documents = documents
        self._announce = announce
        with store.reading() as tx:
            self._keep_up(tx)

    # -- intake --------------------------------------------------------------------------------

    def take(self, records: Sequence[RawRecord | RejectedRecord], now: Instant) -> list[Outcome]:
        """Take a batch: one transaction, committed when this returns; one outcome per record."""
        with uncollected():
            return self._read_and_take(records, (), now)

    def take_once(
        self,
        records: Sequence[RawRecord | RejectedRecord],
        moves: Sequence[FenceMove],
        now: Instant,
    ) -> list[Outcome] | FenceMoved:
        """Take a batch of a log that other workers read too: its fences move with it, or nothing.

        Without records only the fences move.
        """
        try:
            with uncollected():
                return self._read_and_take(records, moves, now)
        except _FenceLost:
            return FenceMoved()

    def _read_and_take(
        self,
        records: Sequence[RawRecord | RejectedRecord],
        moves: Sequence[FenceMove],
        now: Instant,
    ) -> list[Outcome]:
        # A call of its own: when it returns, the batch is gone before the collector looks again.
        batch = self._read(records, now)
        return self._retrying(lambda alone: self._take(batch, records, moves, alone=alone))

    def _read(self, records: Sequence[RawRecord | RejectedRecord], now: Instant) -> _Batch:
        """Parse the records, and keep of each event only what it says: the whole is far larger."""
        batch = _Batch(now, [out.Accepted()] * len(records))
        recorded = None if self.virtual else now
        stated = batch.stated
        for place, record in enumerate(records):
            if isinstance(record, RejectedRecord):
                batch.outcomes[place] = out.Refused(record.reason)
                self._refuse(batch, record, record.reason, "malformed")
                continue
            event = parse_event(record.value)
            if isinstance(event, Malformed):
                batch.outcomes[place] = out.Refused(str(event), event.problems)
                self._refuse(batch, record, str(event), "malformed")
            elif isinstance(event, UnknownType):
                batch.outcomes[place] = out.SetAside(str(event))
                self._refuse(batch, record, str(event), "unknown type")
                count(batch.counts, "unknown type", "", event.type)
            elif is_command(event):
                batch.commands.append(_Command(event, place, record))
            else:
                statement = state_subject(event, recorded)
                stated.append(Taken(statement, place, record.value, record.input, record.position))
                for name in unknown_fields(event):
                    count(batch.counts, "unknown field", event.source, f"{event.type}.{name}")
        if self.virtual and (stated or batch.commands):
            batch.now = Instant(
                max(
                    [item.statement.contribution.time for item in stated]
                    + [to_instant(command.event.time) for command in batch.commands]
                )
            )
        return batch

    def _take(
        self,
        batch: _Batch,
        records: Sequence[Record],
        moves: Sequence[FenceMove],
        *,
        alone: bool,
    ) -> list[Outcome]:
        now = batch.now
        answers = list(batch.outcomes)
        with self.store.transaction() as tx:
            tx.enter(alone=alone)
            # First: whoever holds the same records waits here, before the work.
            if not tx.move_fences(moves):
                raise _FenceLost
            self._keep_up(tx)
            decider = self._decider(now)
            changes = decider.decision.changes
            changes.rejected += batch.rejected
            changes.counts.update(batch.counts)
            taken = self._with_commands(tx, batch, changes, answers)
            times = times_by_feed(taken)
            count_events(changes, taken, times, self.world, now, virtual=self.virtual)
            keys = {item.statement.key for item in taken}
            rows = tx.load_subjects(keys)
            stuck = tx.rejected_of_subjects(keys)
            if stuck:
                taken = self._hold_back(taken, stuck, changes, answers, now)
            # A disruption in the batch explains what gets late under it in the same batch.
            declared = [item for item in taken if item.statement.kind is Kind.DISRUPTION]
            if declared:
                must_be_alone(tx)
                decider.take(declared, rows)
                declaring = decider.decision.subjects.values()
                decider.world = with_disruptions(decider.world, declaring)
                taken = [item for item in taken if item.statement.kind is not Kind.DISRUPTION]
            decider.take(taken, rows)
            versions = Settling(tx, decider, rows, now).settle()
            verdicts = decider.decision.verdicts
            for place in verdicts.duplicate:
                answers[place] = out.Duplicate()
            for place, reason in verdicts.conflict.items():
                answers[place] = out.Conflict(reason)
            for place, reason in verdicts.failed.items():
                answers[place] = out.SetAside(reason)
            changes.accepted = sum(type(a) in (out.Accepted, out.Parked) for a in answers)
            changes.duplicates = sum(type(a) is out.Duplicate for a in answers)
            refused = [t for t in batch.stated if type(answers[t.place]) is not out.Accepted]
            changes.days = count_by_day(times, refused, self.world)
            self._write(tx, decider, records, versions, now)
        self._after(decider, versions)
        return answers

    def _with_commands(
        self, tx: Transaction, batch: _Batch, changes: Changes, answers: list[Outcome]
    ) -> list[Taken]:
        """What all events of the batch say; commands find their subjects by the case's id."""
        if not batch.commands:
            return batch.stated
        targets = {command_target(c.event) for c in batch.commands}
        subjects = tx.subjects_of_cases(targets)
        # Clocks can be excused without a case; everything else waits for one.
        excused = {command_target(c.event) for c in batch.commands if c.event.type == EXCUSED}
        of_clocks = tx.subjects_of_clocks(excused - subjects.keys())
        known = subjects.keys() | of_clocks.keys()
        waiting = {_parked_name(p): p for p in tx.parked_for(targets - known)}
        taken = list(batch.stated)
        for event, place, record in batch.commands:
            target = command_target(event)
            row = subjects.get(target)
            if row is None and event.type == EXCUSED:
                row = of_clocks.get(target)
            # A command that waits for its case waits since it came, not since its batch did.
            recorded = to_instant(event.time) if self.virtual else batch.now
            if row is None:
                must_be_alone(tx)  # or somebody opens the case meanwhile and does not find it
                answers[place] = self._park(changes, waiting, event, record, recorded)
                continue
            statement = state_command(event, recorded, row.key, self.world.recipients.roles_of)
            taken.append(Taken(statement, place, record.value, record.input, record.position))
            for name in unknown_fields(event):
                count(changes.counts, "unknown field", event.source, f"{event.type}.{name}")
        taken.sort(key=lambda item: item.place)
        return taken

    @staticmethod
    def _park(
        changes: Changes,
        waiting: dict[tuple[str, str, str], Parked],
        event: Event,
        record: RawRecord,
        now: Instant,
    ) -> Outcome:
        """Keep a command that comes before its case. `waiting` are those that are kept already."""
        target = command_target(event)
        parked = Parked(target, event.source, event.id, now, record.value)
        known = waiting.setdefault(_parked_name(parked), parked)
        if known is parked:
            changes.parked.append(parked)
            return out.Parked(f"there is no case {target} yet; the command waits for it")
        if parse_event(known.value) == event:
            return out.Duplicate()
        reason = with_other_content(event.source, event.id)
        changes.rejected.append(
            Rejected(
                record.input, record.position, reason, "conflicting duplicate", record.value, now
            )
        )
        return out.Conflict(reason)

    @staticmethod
    def _hold_back(
        taken: list[Taken],
        stuck: set[str],
        changes: Changes,
        answers: list[Outcome],
        now: Instant,
    ) -> list[Taken]:
        """Set aside what follows an event of the same subject that could not be decided."""
        for item in taken:
            if item.statement.key in stuck:
                reason = f"an earlier event of {item.statement.key} could not be decided"
                answers[item.place] = out.SetAside(reason)
                changes.rejected.append(
                    Rejected(
                        item.input,
                        item.position,
                        reason,
                        "deciding failed",
                        item.value,
                        now,
                        item.statement.key,
                    )
                )
        return [item for item in taken if item.statement.key not in stuck]

    @staticmethod
    def _refuse(batch: _Batch, record: RawRecord | RejectedRecord, reason: str, kind: str) -> None:
        # Enough to see what it was; a body of many megabytes need not be kept whole.
        kept = record.value[:MAX_EVENT_BYTES]
        batch.rejected.append(
            Rejected(record.input, record.position, reason, kind, kept, batch.now)
        )

    # -- deadlines -----------------------------------------------------------------------------

    def tick(self, now: Instant, limit: int = TICK_BATCH) -> int:
        """Decide the deadlines that are due and read past. Returns how many subjects were due."""
        with uncollected():
            return self._retrying(lambda alone: self._tick(now, limit, alone=alone))

    def _tick(self, now: Instant, limit: int, *, alone: bool) -> int:
        horizon = self.horizon(now)
        with self.store.reading() as tx:
            if not _is_due(tx.next_due(), horizon):
                return 0  # nothing to write: do not make others wait for a transaction
        with self.store.transaction() as tx:
            tx.enter(alone=alone)
            self._keep_up(tx)
            due = self._due(tx, horizon, limit)
            decider = self._decider(now)
            # Patterns are counted once what they count is guarded.
            patterns = {row.key for row in due.values() if row.kind is Kind.PATTERN}
            self._wake(tx, decider, [row for key, row in due.items() if key not in patterns])
            versions = Settling(tx, decider, due, now).settle(patterns)
            self._write(tx, decider, (), versions, now)
        self._after(decider, versions)
        return len(due)

    def _due(self, tx: Transaction, horizon: Horizon, limit: int) -> dict[str, SubjectRow]:
        due = {row.key: row for row in tx.due_people(Instant(horizon.people), limit)}
        for kind in Kind:
            if len(due) >= limit:
                break
            until = Instant(horizon.feeds(kind))
            due |= {row.key: row for row in tx.due_feeds(kind, until, limit - len(due))}
        return due

    def _wake(self, tx: Transaction, decider: Decider, rows: Collection[SubjectRow]) -> None:
        in_time = self._cases_in_time(tx, decider.horizon, rows)
        for row in rows:
            if row.key in in_time:
                decider.warn(row, *in_time[row.key])
            else:
                decider.wake(row, time_passed=True)

    @staticmethod
    def _cases_in_time(
        tx: Transaction, horizon: Horizon, rows: Iterable[SubjectRow]
    ) -> dict[str, tuple[CaseRow, list[StepRow]]]:
        """Subject to its case with its steps, where no deadline has come: only a warning has."""
        waiting = [
            case_id(row.key)
            for row in rows
            if row.has_case
            and not (row.feeds_due is not None and row.feeds_due <= horizon.feeds(row.kind))
        ]
        cases = tx.cases_in_time(waiting, Instant(horizon.people))
        steps = tx.steps_of_cases(cases)
        return {case.subject: (case, steps[name]) for name, case in cases.items()}

    # -- around it -----------------------------------------------------------------------------

    def _decider(self, now: Instant) -> Decider:
        return Decider(
            self.world,
            self.horizon(now),
            now,
            tell=self.tell,
            virtual=(lambda at: self.horizon(Instant(at + 1))) if self.virtual else None,
        )

    def _keep_up(self, tx: Transaction) -> None:
        """Learn of disruptions that others have taken since; notice that documents changed."""
        versions = tx.versions([DISRUPTIONS, DOCUMENTS])
        if self._documents not in (None, versions[DOCUMENTS]):
            raise DocumentsChanged
        version = versions[DISRUPTIONS]
        if version != self._disruptions_version:
            keys = [case.subject for case in tx.cases_of_kind(Kind.DISRUPTION)]
            self.world = with_disruptions(self.world, tx.load_subjects(keys).values())
            self._disruptions_version = version

    def _write(
        self,
        tx: Transaction,
        decider: Decider,
        records: Sequence[Record],
        versions: Mapping[str, int],
        now: Instant,
    ) -> None:
        changes = decider.decision.finish()
        tx.write(changes, versions)
        if self._announce is not None:
            self._announce(tx, changes, records, now)

    def _after(self, decider: Decider, versions: Mapping[str, int]) -> None:
        """Only what was committed may be remembered."""
        self.world = decider.world
        self._disruptions_version += DISRUPTIONS in versions
        changes = decider.decision.changes
        if self._hear is not None and changes.seen:
            self._hear(changes.seen)
        if _log.isEnabledFor(logging.WARNING):
            _log_decided(changes)

    def _retrying(self, run: Callable[[bool], _T]) -> _T:
        alone = False
        for _ in range(_RACES):
            try:
                return run(alone)
            except LostRace:
                # Somebody else moved a row first. Deciding is pure, so deciding again is free.
                continue
            except NotAlone:
                alone = True
        return run(alone)


def _log_decided(changes: Changes) -> None:
    for entry in changes.rejected:
        level = logging.WARNING if entry.kind == "deciding failed" else logging.INFO
        _log.log(level, "Not taken, %s: %s", entry.position, entry.reason,
                 extra={"input": entry.input})  # fmt: skip
    if _log.isEnabledFor(logging.INFO):
        partners = {case.case_id: case.partner_id for case in changes.cases}
        for step in changes.steps:
            ids = {"case": step.case_id, "partner": partners.get(step.case_id)}
            _log.info("%s, at %s", step.kind, step.tier, extra=ids)


def _is_due(due: NextDue, horizon: Horizon) -> bool:
    return (due.people is not None and due.people <= horizon.people) or any(
        at <= horizon.feeds(kind) for kind, at in due.feeds.items()
    )


def _parked_name(parked: Parked) -> tuple[str, str, str]:
    return parked.case_id, parked.source, parked.event_id
