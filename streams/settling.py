"""What subjects do to each other: a decision is carried on until none touches another.

A case that opens takes the commands that waited for it; an occurrence has its pattern counted; a
disruption is laid over the cases that it explains, and settles them with itself.
"""

from collections.abc import Mapping, Set
from itertools import islice
from typing import Self

from rules.decide import Decider, Decision, Taken
from rules.decision import WITH_CLOCKS, CaseRow, Kind, State, SubjectRow
from rules.disruption_spans import with_disruptions
from rules.subjects import Contribution, Ordered, Statement, case_id, split_key, state_command
from schemas.events import Malformed, UnknownType, parse_event
from schemas.time import Instant
from streams.pattern_counts import counted_anew, guard_of, patterns_of, wake_pattern
from streams.store import DISRUPTIONS, Transaction, partner_guard

#: A command that is about a clock, and so about a subject that may have no case.
EXCUSED = "clock.excused"

_SETTLED = (State.RESOLVED, State.CLOSED)


class NotAlone(Exception):  # noqa: N818 - an expected turn, not an error
    """What was found can be decided only while nobody else decides."""


def must_be_alone(tx: Transaction) -> None:
    """Give a transaction up, to be decided again alone, when others are under way beside it."""
    if not tx.is_alone:
        raise NotAlone


class Settling:
    """Carries one decision on. `rows` are its subjects as they were stored.

    Raises NotAlone when more has to be looked at than what others write can show.
    """

    def __init__(
        self, tx: Transaction, decider: Decider, rows: Mapping[str, SubjectRow], now: Instant
    ) -> None:
        self._tx = tx
        self._decider = decider
        self._decision = decider.decision
        self._rows = rows
        self._now = now
        self._subjects = _Subjects(decider.decision)
        self._cases = {key for key, row in rows.items() if row.has_case}
        self._counted: set[str] = set()
        self._spread: set[str] = set()
        self._ended: set[str] = set()
        self._versions: dict[str, int] = {}

    def settle(self, patterns: Set[str] = frozenset()) -> dict[str, int]:
        """Go on until nothing moves. `patterns` are those that time has woken.

        Returns the versions of the guards of what was looked at, for whoever writes.
        """
        tx, decider = self._tx, self._decider
        self._decision.touched |= counted_anew(tx, decider, self._rows)
        while any((
            self._take_parked(),
            self._count_patterns(patterns),
            self._spread_disruptions(),
            self._end_disruptions(),
        )):  # fmt: skip
            pass
        return self._versions

    # -- commands that came before what they are about -----------------------------------------

    def _take_parked(self) -> bool:
        opened = {
            case.case_id: key
            for key, case in self._decision.cases.items()
            if key not in self._cases
        }
        self._cases |= set(opened.values())
        taken = self._unpark(opened)
        # Clocks can be excused without a case; everything else waits for one.
        fresh = self._subjects.look().take_new()
        if not fresh:
            return taken
        waiting = self._tx.parked_targets() | {p.case_id for p in self._decision.changes.parked}
        owners = {case_id(key): key for key in fresh} if waiting else {}
        return self._unpark(
            {name: key for name, key in owners.items() if name in waiting}, only=EXCUSED
        ) or taken  # fmt: skip

    def _unpark(self, opened: Mapping[str, str], only: str | None = None) -> bool:
        """Take the commands that waited; if of one type only, the others wait on."""
        if not opened:
            return False
        changes = self._decision.changes
        waiting = self._tx.parked_for(opened)
        waiting += [p for p in changes.parked if p.case_id in opened]
        if not waiting:
            return False
        changes.parked = [p for p in changes.parked if p.case_id not in opened]
        changes.unparked += sorted({p.case_id for p in waiting})
        roles_of = self._decider.world.recipients.roles_of
        taken = []
        for parked in waiting:
            event = parse_event(parked.value)
            if isinstance(event, Malformed | UnknownType):
                continue  # it was parsed before it was parked
            if only is not None and event.type != only:
                changes.parked.append(parked)
                continue
            key = opened[parked.case_id]
            statement = state_command(event, parked.recorded_at, key, roles_of)
            taken.append(Taken(statement, -1, parked.value, "parked", parked.case_id))
        self._decider.take(taken, self._rows)
        return True

    # -- patterns ------------------------------------------------------------------------------

    def _count_patterns(self, woken: Set[str]) -> bool:
        touched = set(self._decision.touched)
        self._decision.touched.clear()
        stale = (self._subjects.look().patterns | woken) - self._counted
        if not touched and not stale:
            return False
        keys = {key for occurrence in touched for key in patterns_of(*occurrence)}
        guards = {partner_guard(partner_id) for partner_id, _, _ in touched}
        guards.update(map(guard_of, keys | stale))
        # As they were when first counted.
        self._versions = self._tx.versions(guards) | self._versions
        unknown = keys - self._decision.subjects.keys() - self._rows.keys()
        stored = {**self._rows, **self._tx.load_subjects(unknown)}
        for key in sorted(keys | stale):
            self._counted.add(key)
            wake_pattern(self._tx, self._decider, key, stored.get(key))
        return True

    # -- disruptions ---------------------------------------------------------------------------

    def _spread_disruptions(self) -> bool:
        """Fold the standing cases that a disruption which came, changed or ended may be about."""
        came = self._subjects.look().disruptions - self._spread
        if not came:
            return False
        tx, decider, decision = self._tx, self._decider, self._decision
        must_be_alone(tx)
        self._spread |= came
        self._versions |= tx.versions([DISRUPTIONS])
        decider.world = with_disruptions(decider.world, [decision.subjects[key] for key in came])
        keys = {case.subject for case in tx.standing_cases(Kind.ORDER)}
        keys.update(case.subject for key in came for case in tx.attached_cases(case_id(key)))
        stored = tx.load_subjects(keys - decision.subjects.keys())
        of_this_decision = {key for key, case in decision.cases.items() if case.kind is Kind.ORDER}
        for key in sorted(keys | of_this_decision):
            row = decision.subjects.get(key) or stored.get(key)
            if row is not None:
                decider.wake(row)
        return True

    def _end_disruptions(self) -> bool:
        """Settle with a disruption the cases that are attached to it."""
        ended = [
            case
            for case in self._decision.cases.values()
            if case.kind is Kind.DISRUPTION
            and case.state in _SETTLED
            and case.case_id not in self._ended
        ]
        self._ended |= {case.case_id for case in ended}
        taken = [item for parent in ended for item in self._settled_with(parent)]
        if not taken:
            return False
        missing = {item.statement.key for item in taken} - self._decision.subjects.keys()
        self._decider.take(taken, self._tx.load_subjects(missing))
        return True

    def _settled_with(self, parent: CaseRow) -> list[Taken]:
        attached = {case.subject: case for case in self._tx.attached_cases(parent.case_id)}
        attached |= self._decision.cases
        said = Contribution(
            "case.resolved",
            "detente",
            f"with-{parent.case_id}-{parent.changed_at}",
            parent.changed_at,
            self._now,
            list(
                Ordered(
                    parent.owner or "detente",
                    f"settled with {parent.case_id}",
                    [],
                    {"root_cause": f"disruption {parent.case_id}"},
                )
            ),
        )
        taken = []
        for key, case in sorted(attached.items()):
            if case.parent == parent.case_id and case.state is State.OPEN:
                kind, partner_id, _ = split_key(key)
                statement = Statement(key, kind, partner_id, said)
                taken.append(Taken(statement, -1, b"", "detente", parent.case_id))
        return taken


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
