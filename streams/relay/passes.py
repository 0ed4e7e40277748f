"""One pass of the relay over what is due."""

from dataclasses import dataclass, field, replace

from rules.decision import CaseRow
from schemas.time import Instant
from streams.relay.addressing import Addressing
from streams.relay.history import NOBODY, History, key_of
from streams.relay.house import House
from streams.relay.letters import Job
from streams.relay.reasons import Reason
from streams.relay.report import RelayReport
from streams.store import Attached, DeliveryRow, DeliveryStatus, OutboxEntry, OutboxStatus


@dataclass(slots=True)
class Pass:
    """What one pass knows, and what it has not written yet."""

    now: Instant
    house: House
    ranks: dict[str, int]
    history: History
    cases: dict[str, CaseRow]
    joined: dict[str, Attached]
    report: RelayReport
    rows: list[DeliveryRow] = field(default_factory=list)
    changed: dict[int, OutboxEntry] = field(default_factory=dict)
    addressed: dict[str, Addressing] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    moved: bool = False
    """Whether anything was written down."""

    def case(self, entry: OutboxEntry) -> CaseRow | None:
        """The case that an entry is about."""
        case_id = entry.effect.case_id
        return None if case_id is None else self.cases.get(case_id)

    def order(self, job: Job) -> tuple[bool, int, int]:
        """The urgent first, then the highest tier, then the oldest."""
        return not job.effect.urgent, -self.ranks.get(job.effect.tier, -1), job.seq

    def add(self, row: DeliveryRow) -> None:
        """Write a row down."""
        self.history.add(row)
        self.rows.append(row)
        self.moved = True

    def put(self, entry: OutboxEntry) -> None:
        """Write down how an entry is now."""
        self.history.put(entry)
        self.changed[entry.seq] = entry

    def note(
        self,
        entry: OutboxEntry,
        person: str,
        status: DeliveryStatus,
        detail: str,
        reminder: int = 0,
        bundle_id: str | None = None,
    ) -> None:
        """Write down what no route had a part in, about a person or about nobody."""
        row = row_without_route(entry, person, status, self.now, detail, reminder)
        self.add(replace(row, bundle_id=bundle_id))

    def drop_person(self, entry: OutboxEntry, person: str, reminder: int, reason: Reason) -> None:
        """Do not tell somebody."""
        self.note(entry, person, DeliveryStatus.DROPPED, reason, reminder)
        self.report.dropped[reason] += 1

    def drop_effect(self, entry: OutboxEntry, reason: Reason) -> None:
        """Tell nobody any more; who was told before, was."""
        self.note(entry, NOBODY, DeliveryStatus.DROPPED, reason)
        self.report.dropped[reason] += 1
        told = self.history.told_of(entry.effect.effect_id)
        status = OutboxStatus.SENT if told else OutboxStatus.DROPPED
        self.put(replace(entry, status=status, reason=reason.value, not_before=None, sent_at=told))


def row_without_route(
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
