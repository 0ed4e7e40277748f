"""The handler: a batch of records in, one committed transaction out.

The path of an event: `parse_event` reads it, `state_subject` says what it contributes to which
subject, `Decider` folds the subjects, the store commits what changed. Both runtimes, the CLI and
every command take this road.
"""

import logging
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Self, TypeVar

from rules.clocks.working_days import local_day
from rules.decide import Decider, Decision, Taken, with_other_content
from rules.decision import (
    WITH_CLOCKS,
    CaseRow,
    Changes,
    Kind,
    Occurrence,
    Parked,
    Rejected,
    State,
    StepRow,
    SubjectRow,
)
from rules.patterns import INTERNAL, Pattern, dimension_of, pattern_key, read_pattern_key
from rules.policy import PolicyHistory
from rules.recipients import Recipients
from rules.subjects import (
    Contribution,
    Declared,
    Ordered,
    Statement,
    case_id,
    command_target,
    is_command,
    read_document,
    split_key,
    state_command,
    state_subject,
)
from rules.tickets import Disruption
from rules.world import DisruptionSpan, Horizon, World
from schemas.events import (
    MAX_EVENT_BYTES,
    Event,
    Malformed,
    UnknownType,
    parse_event,
    unknown_fields,
)
from schemas.time import MINUTE, Instant, to_instant
from streams import outcome as out
from streams.collector import uncollected
from streams.ledger import reporting_zone
from streams.outcome import Outcome
from streams.records import RawRecord, Record, RejectedRecord
from streams.store import (
    DISRUPTIONS,
    DOCUMENTS,
    FenceMove,
    LostRace,
    NextDue,
    Store,
    Transaction,
    partner_guard,
    value_guard,
)

#: How often a lost race is decided again before the error is shown.
_RACES = 20
#: What the types of commands begin with.
COMMANDS = ("case.", "clock.")
#: A command that is about a clock, and so about a subject that may have no case.
EXCUSED = "clock.excused"
_QUARTER = 15 * MINUTE
#: Subjects that one deadline tick folds in one transaction.
TICK_BATCH = 1_000

_SETTLED = (State.RESOLVED, State.CLOSED)

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


class _NotAlone(Exception):  # noqa: N818 - an expected turn, not an error
    """What was found can be decided only while nobody else decides."""


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


class _Subjects:
    """Subjects of a decision that others may have to do with. Each is looked at once."""

    def __init__(self, decision: Decision) -> None:
        self.patterns: set[str] = set()
        self.disruptions: set[str] = set()
        self._new: list[str] = []
        self._rows = decision.subjects
        self._looked_at = 0

    def look(self) -> Self:
        """Take in those that have come since."""
        for key, row in islice(self._rows.items(), self._looked_at, None):
            kind = row.kind
            if kind is Kind.ORDER:
                continue
            if kind is Kind.PATTERN:
                self.patterns.add(key)
            elif kind is Kind.DISRUPTION:
                self.disruptions.add(key)
            elif row.version == 0 and kind in WITH_CLOCKS:
                self._new.append(key)
        self._looked_at = len(self._rows)
        return self

    def take_new(self) -> list[str]:
        """Those with clocks that are not in the store yet, each given once."""
        new, self._new = self._new, []
        return new


class _LastOrders:
    """A partner's orders by when they began, those of a decision included."""

    def __init__(self, tx: Transaction, decision: Decision, partner_id: str) -> None:
        self._tx = tx
        self._partner_id = partner_id
        self._changed = [
            row
            for row in decision.subjects.values()
            if row.kind is Kind.ORDER and row.partner_id == partner_id
        ]
        self._before: dict[tuple[Instant, int], list[str]] = {}

    def before(self, at: Instant, n: int) -> list[str]:
        """The last `n` orders as of an instant, the newest first."""
        found = self._before.get((at, n))
        if found is None:
            found = self._before[at, n] = self._find(at, n)
        return found

    def _find(self, at: Instant, n: int) -> list[str]:
        known = dict(self._tx.order_starts(self._partner_id, at, n + len(self._changed)))
        for row in self._changed:
            known.pop(row.key, None)
            if row.began_at is not None and row.began_at <= at:
                known[row.key] = row.began_at
        newest = sorted(known.items(), key=lambda item: (item[1], item[0]), reverse=True)
        return [key for key, _ in newest[:n]]


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
                _count(batch.counts, "unknown type", "", event.type)
            elif is_command(event):
                batch.commands.append(_Command(event, place, record))
            else:
                statement = state_subject(event, recorded)
                stated.append(Taken(statement, place, record.value, record.input, record.position))
                for name in unknown_fields(event):
                    _count(batch.counts, "unknown field", event.source, f"{event.type}.{name}")
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
            times = _times_by_feed(taken)
            self._count_events(changes, taken, times, now)
            keys = {item.statement.key for item in taken}
            rows = tx.load_subjects(keys)
            stuck = tx.rejected_of_subjects(keys)
            if stuck:
                taken = self._hold_back(taken, stuck, changes, answers, now)
            # A disruption in the batch explains what gets late under it in the same batch.
            declared = [item for item in taken if item.statement.kind is Kind.DISRUPTION]
            if declared:
                _must_be_alone(tx)
                decider.take(declared, rows)
                self._know_disruptions(decider, decider.decision.subjects.values())
                taken = [item for item in taken if item.statement.kind is not Kind.DISRUPTION]
            decider.take(taken, rows)
            versions = self._settle(tx, decider, rows, now)
            verdicts = decider.decision.verdicts
            for place in verdicts.duplicate:
                answers[place] = out.Duplicate()
            for place, reason in verdicts.conflict.items():
                answers[place] = out.Conflict(reason)
            for place, reason in verdicts.failed.items():
                answers[place] = out.SetAside(reason)
            changes.accepted = sum(type(a) in (out.Accepted, out.Parked) for a in answers)
            changes.duplicates = sum(type(a) is out.Duplicate for a in answers)
            changes.days = self._by_day(
                times, [t for t in batch.stated if type(answers[t.place]) is not out.Accepted]
            )
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
                _must_be_alone(tx)  # or somebody opens the case meanwhile and does not find it
                answers[place] = self._park(changes, waiting, event, record, recorded)
                continue
            statement = state_command(event, recorded, row.key, self.world.recipients.roles_of)
            taken.append(Taken(statement, place, record.value, record.input, record.position))
            for name in unknown_fields(event):
                _count(changes.counts, "unknown field", event.source, f"{event.type}.{name}")
        taken.sort(key=lambda item: item.place)
        return taken

    def _by_day(
        self, times: Mapping[tuple[str, str], list[int]], refused: Sequence[Taken]
    ) -> dict[tuple[int, str, str], int]:
        """Events that were taken, each once, by the day of reports that they bear."""
        zone = reporting_zone(self.world.policies.newest)
        ordinals: dict[int, int] = {}
        days: Counter[tuple[int, str, str]] = Counter()
        for sign, by_feed in ((1, times), (-1, _times_by_feed(refused))):
            for (source, event_type), heard in by_feed.items():
                if event_type.startswith(COMMANDS):
                    continue
                # No zone's day begins within a quarter of an hour.
                for quarter, n in Counter([(at - 1) // _QUARTER for at in heard]).items():
                    day = ordinals.get(quarter)
                    if day is None:
                        day = ordinals[quarter] = local_day(quarter * _QUARTER, zone).toordinal()
                    days[day, source, event_type] += sign * n
        return {day: n for day, n in days.items() if n}

    def _count_events(
        self,
        changes: Changes,
        taken: Sequence[Taken],
        times: Mapping[tuple[str, str], list[int]],
        now: Instant,
    ) -> None:
        """How many of what type came from where, what each source has got to, and surprises."""
        latest = now + self.world.policies.newest.document.patience.future_tolerance.amount
        newest: dict[str, int] = {}
        for (source, event_type), heard in times.items():
            changes.counts["event", source, event_type] = len(heard)
            credible = heard
            if max(heard) > latest:
                credible = [at for at in heard if at <= latest]
                ahead = len(heard) - len(credible)
                changes.counts["stamped in the future", source, event_type] = ahead
            # Live, people's commands are no feed: nobody's silence is proven by them.
            if credible and (self.virtual or not event_type.startswith(COMMANDS)):
                newest[source] = max(newest.get(source, 0), *credible)
        for source, at in newest.items():
            changes.seen[source] = (Instant(at), now)
        partners = {item.statement.partner_id for item in taken} - {""}
        unknown = {partner for partner in partners if not self.world.recipients.knows(partner)}
        for item in taken if unknown else ():
            if item.statement.partner_id in unknown:
                source = item.statement.contribution.source
                _count(changes.counts, "unknown partner", source, item.statement.partner_id)

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
            versions = self._settle(tx, decider, due, now, patterns)
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

    # -- what subjects do to each other --------------------------------------------------------

    def _settle(
        self,
        tx: Transaction,
        decider: Decider,
        rows: dict[str, SubjectRow],
        now: Instant,
        patterns: Set[str] = frozenset(),
    ) -> dict[str, int]:
        """Carry on until no subject touches another: parked commands, patterns, disruptions.

        `patterns` are those that time has woken.
        """
        seen_cases: set[str] = {key for key, row in rows.items() if row.has_case}
        subjects = _Subjects(decider.decision)
        told_children: set[str] = set()
        spread: set[str] = set()
        woken: set[str] = set()
        versions: dict[str, int] = {}
        decision = decider.decision
        decision.touched |= self._counted_anew(tx, decider, rows)
        while True:
            busy = False
            opened = {
                case.case_id: key for key, case in decision.cases.items() if key not in seen_cases
            }
            seen_cases |= set(opened.values())
            if opened:
                busy |= self._unpark(tx, decider, opened, rows)
            busy |= self._excuse_new(tx, decider, subjects, rows)
            touched = set(decision.touched)
            decision.touched.clear()
            stale = (subjects.look().patterns | patterns) - woken
            if touched or stale:
                busy = True
                keys = {
                    pattern_key(partner, dimension, value)
                    for partner_id, dimension, value in touched
                    for partner in _reach(partner_id, dimension)
                }
                guards = {partner_guard(partner_id) for partner_id, _, _ in touched}
                guards.update(map(_guard_of, keys | stale))
                versions = tx.versions(guards) | versions  # as they were when first counted
                stored = rows | tx.load_subjects(keys - decision.subjects.keys() - rows.keys())
                for key in sorted(keys | stale):
                    woken.add(key)
                    self._wake_pattern(tx, decider, key, stored.get(key))
            disruptions = subjects.look().disruptions - spread
            if disruptions:
                _must_be_alone(tx)
                busy = True
                spread |= disruptions
                versions |= {DISRUPTIONS: self._disruptions_version}
                self._spread(tx, decider, disruptions)
            for case in list(decision.cases.values()):
                settled = case.kind is Kind.DISRUPTION and case.state in _SETTLED
                if settled and case.case_id not in told_children:
                    told_children.add(case.case_id)
                    busy |= self._resolve_children(tx, decider, case, now)
            if not busy:
                return versions

    def _unpark(
        self,
        tx: Transaction,
        decider: Decider,
        opened: dict[str, str],
        rows: dict[str, SubjectRow],
        only: str | None = None,
    ) -> bool:
        """Commands that came before their case; of one type, and the others wait on."""
        if not opened:
            return False
        waiting = tx.parked_for(opened)
        waiting += [p for p in decider.decision.changes.parked if p.case_id in opened]
        if not waiting:
            return False
        changes = decider.decision.changes
        changes.parked = [p for p in changes.parked if p.case_id not in opened]
        changes.unparked += sorted({p.case_id for p in waiting})
        taken = []
        for parked in waiting:
            event = parse_event(parked.value)
            if isinstance(event, Malformed | UnknownType):
                continue  # it was parsed before it was parked
            if only is not None and event.type != only:
                changes.parked.append(parked)
                continue
            statement = state_command(
                event, parked.recorded_at, opened[parked.case_id], self.world.recipients.roles_of
            )
            taken.append(Taken(statement, -1, parked.value, "parked", parked.case_id))
        decider.take(taken, rows)
        return True

    def _excuse_new(
        self, tx: Transaction, decider: Decider, subjects: "_Subjects", rows: dict[str, SubjectRow]
    ) -> bool:
        """Excuses that came before their ticket."""
        fresh = subjects.look().take_new()
        if not fresh:
            return False
        waiting = tx.parked_targets() | {p.case_id for p in decider.decision.changes.parked}
        owners = {case_id(key): key for key in fresh} if waiting else {}
        return self._unpark(
            tx, decider, {c: key for c, key in owners.items() if c in waiting}, rows, only=EXCUSED
        )

    def _wake_pattern(
        self, tx: Transaction, decider: Decider, key: str, row: SubjectRow | None
    ) -> None:
        of = read_pattern_key(key)
        policy = self.world.policies.newest
        repeats = next(
            (r for n, r in policy.pattern_rules if policy.document.rules[n].name == of.rule), None
        )
        if repeats is None:
            # The policy no longer asks for this pattern; its case stays as it is, off the clock.
            if row is not None:
                decider.stop_clocks(row)
            return
        partner = None if of.partner_id == INTERNAL else of.partner_id
        changes = decider.decision.changes
        standing = {o.subject: o for o in tx.occurrences(of.dimension, of.value, partner)}
        for gone in changes.occurrences_removed:
            if _belongs(gone, of.dimension, of.value, partner):
                standing.pop(gone.subject, None)
        for come in changes.occurrences_added:
            if _belongs(come, of.dimension, of.value, partner):
                standing[come.subject] = come
        occurrences = sorted(standing.values(), key=lambda o: (o.at, o.subject))
        before: dict[int, list[str]] = {}
        if repeats.of_orders is not None and partner is not None:
            orders = _LastOrders(tx, decider.decision, partner)
            for o in occurrences:
                before[o.at] = orders.before(o.at, repeats.of_orders)
        decider.wake_pattern(key, row, Pattern(of, repeats, before), occurrences)

    def _counted_anew(
        self, tx: Transaction, decider: Decider, rows: Mapping[str, SubjectRow]
    ) -> set[tuple[str, str, str]]:
        """(partner, dimension, value) of patterns that orders of this batch change by themselves.

        What counts among a partner's last orders was counted with those that were known. One that
        began before an occurrence, and is known only now, may push another out of the last ones.
        """
        policy = self.world.policies.newest
        counting = {
            dimension_of(policy.document.rules[n].name, repeats): repeats.of_orders
            for n, repeats in policy.pattern_rules
            if repeats.of_orders is not None
        }
        late = _begun(decider.decision, rows) if counting else {}
        if not late:
            return set()
        since = {partner_id: min(orders)[0] for partner_id, orders in late.items()}
        times: dict[tuple[str, str, str], list[Instant]] = {}
        for o in tx.occurrences_since(counting.keys(), since):
            times.setdefault((o.partner_id, o.dimension, o.value), []).append(o.at)
        found = set()
        for name, counted_at in times.items():
            partner_id, dimension, _ = name
            orders = _LastOrders(tx, decider.decision, partner_id)
            for began_at, key in late[partner_id]:
                # At the first one after it: if it is not among the last orders then, it never is.
                after = counted_at[bisect_left(counted_at, began_at) :][:1]
                if after and (not key or key in orders.before(after[0], counting[dimension])):
                    found.add(name)
                    break
        return found

    def _spread(self, tx: Transaction, decider: Decider, keys: set[str]) -> None:
        """A disruption came, changed or ended: fold the standing cases that it may be about."""
        rows = [decider.decision.subjects[key] for key in sorted(keys)]
        spans = {span.case_id: span for span in self.world.disruptions}
        for row in rows:
            span = _disruption_span(row)
            if span is not None:
                spans[span.case_id] = span
        decider.world = World(self.world.policies, self.world.recipients, _in_order(spans.values()))
        cases = {
            case.subject: case
            for row in rows
            for case in (
                *tx.standing_cases(Kind.ORDER),
                *tx.attached_cases(case_id(row.key)),
            )
        }
        stored = tx.load_subjects(cases.keys() - decider.decision.subjects.keys())
        for key in sorted(cases.keys() | _orders_with_case(decider)):
            row_now = decider.decision.subjects.get(key) or stored.get(key)
            if row_now is not None:
                decider.wake(row_now)

    def _know_disruptions(self, decider: Decider, rows: Iterable[SubjectRow]) -> None:
        spans = {span.case_id: span for span in decider.world.disruptions}
        for row in rows:
            span = _disruption_span(row)
            if span is not None:
                spans[span.case_id] = span
        decider.world = World(self.world.policies, self.world.recipients, _in_order(spans.values()))

    def _resolve_children(
        self, tx: Transaction, decider: Decider, parent: CaseRow, now: Instant
    ) -> bool:
        """Cases attached to a disruption are settled with it."""
        attached = {case.subject: case for case in tx.attached_cases(parent.case_id)}
        attached |= {
            key: case
            for key, case in decider.decision.cases.items()
            if case.parent == parent.case_id
        }
        taken = []
        for key, case in sorted(attached.items()):
            if case.state is not State.OPEN:
                continue
            kind, partner_id, _ = split_key(key)
            ordered = Ordered(
                parent.owner or "detente",
                f"settled with {parent.case_id}",
                [],
                {"root_cause": f"disruption {parent.case_id}"},
            )
            settled_at = parent.changed_at
            contribution = Contribution(
                "case.resolved",
                "detente",
                f"with-{parent.case_id}-{settled_at}",
                settled_at,
                now,
                list(ordered),
            )
            statement = Statement(key, kind, partner_id, contribution)
            taken.append(Taken(statement, -1, b"", "detente", parent.case_id))
        if not taken:
            return False
        missing = {t.statement.key for t in taken} - decider.decision.subjects.keys()
        decider.take(taken, tx.load_subjects(missing))
        return True

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
            spans = _load_disruptions(tx)
            self.world = World(self.world.policies, self.world.recipients, spans)
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
            except _NotAlone:
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


def _must_be_alone(tx: Transaction) -> None:
    """Give a transaction up, to be decided again alone, when others are under way beside it."""
    if not tx.is_alone:
        raise _NotAlone


def _guard_of(key: str) -> str:
    """What is counted for a pattern: all occurrences of its partner, or of its value."""
    of = read_pattern_key(key)
    if of.partner_id == INTERNAL:
        return value_guard(of.dimension, of.value)
    return partner_guard(of.partner_id)


def _is_due(due: NextDue, horizon: Horizon) -> bool:
    return (due.people is not None and due.people <= horizon.people) or any(
        at <= horizon.feeds(kind) for kind, at in due.feeds.items()
    )


def _times_by_feed(taken: Iterable[Taken]) -> Mapping[tuple[str, str], list[int]]:
    """Source and type to the times of its events."""
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    for item in taken:
        said = item.statement.contribution
        times[said.source, said.type].append(said.time)
    return times


def _count(counts: dict[tuple[str, str, str], int], what: str, source: str, name: str) -> None:
    key = (what, source, name)
    counts[key] = counts.get(key, 0) + 1


def _reach(partner_id: str, dimension: str) -> tuple[str, ...]:
    """An article's pattern is the partner's, and one over all partners."""
    return (partner_id, INTERNAL) if dimension.endswith("/sku") else (partner_id,)


def _begun(
    decision: Decision, rows: Mapping[str, SubjectRow]
) -> dict[str, list[tuple[Instant, str]]]:
    """Partner to (since when, order) of orders whose beginning a decision changes.

    The order is left empty where it had another beginning before: then it may have left as well.
    """
    found: dict[str, list[tuple[Instant, str]]] = {}
    for key, row in decision.subjects.items():
        if row.kind is not Kind.ORDER:
            continue
        stored = rows.get(key)
        was, now = None if stored is None else stored.began_at, row.began_at
        if now == was:
            continue
        changed = [at for at in (was, now) if at is not None]
        found.setdefault(row.partner_id, []).append((min(changed), key if was is None else ""))
    return found


def _parked_name(parked: Parked) -> tuple[str, str, str]:
    return parked.case_id, parked.source, parked.event_id


def _belongs(o: Occurrence, dimension: str, value: str, partner: str | None) -> bool:
    return (
        o.dimension == dimension
        and o.value == value
        and (partner is None or o.partner_id == partner)
    )


def _orders_with_case(decider: Decider) -> set[str]:
    return {key for key in decider.decision.cases if key.startswith("order:")}


def _disruption_span(row: SubjectRow) -> DisruptionSpan | None:
    fold = Disruption()
    for contribution in sorted(
        read_document(row.document).contributions, key=lambda c: (c.time, c.source, c.id)
    ):
        fold.apply(contribution, contribution.time)
    declared: Declared | None = fold.declared
    if declared is None or fold.began_at is None:
        return None
    return DisruptionSpan(
        case_id(row.key),
        fold.began_at,
        fold.cleared_at,
        declared.selector,
        frozenset(declared.selected),
        declared.summary,
    )


def _in_order(spans: Iterable[DisruptionSpan]) -> tuple[DisruptionSpan, ...]:
    return tuple(sorted(spans, key=lambda span: (span.began_at, span.case_id)))


def _load_disruptions(tx: Transaction) -> tuple[DisruptionSpan, ...]:
    keys = [case.subject for case in tx.cases_of_kind(Kind.DISRUPTION)]
    spans = map(_disruption_span, tx.load_subjects(keys).values())
    return _in_order(span for span in spans if span is not None)
