"""What deciding a batch returns: rows to store and things to tell. Plain values, no behaviour.

The shell stores a `Changes` in one transaction and then lets the relay tell its effects. The
core never stores or tells anything itself.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from schemas.time import Instant


class Kind(StrEnum):
    """What a subject is."""

    ORDER = "order"
    TICKET = "ticket"
    DISRUPTION = "disruption"
    PATTERN = "pattern"
    METRIC = "metric"
    TOUCHPOINTS = "touchpoints"


#: Kinds of subject whose clocks run without a case.
WITH_CLOCKS = (Kind.TICKET, Kind.TOUCHPOINTS)


class SubjectRow(NamedTuple):
    """A stored subject. `version` is 0 for one that is not stored yet."""

    key: str
    kind: Kind
    partner_id: str
    document: bytes
    began_at: Instant | None
    """When it began (an order was placed, a ticket opened); None while unknown."""
    feeds_due: Instant | None
    """The earliest deadline that waits for silence to be proven, or None."""
    people_due: Instant | None
    """The earliest deadline that waits for people to act, or None."""
    version: int
    has_case: bool


class State(StrEnum):
    """Where a case stands. `watch` is below the tiers: listed, without clock or alert."""

    WATCH = "watch"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    WAITING = "waiting on partner"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    CLOSED = "closed"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case as lists and the relay see it: the newest line of its story."""

    case_id: str
    subject: str
    kind: Kind
    partner_id: str
    partner_tier: str
    state: State
    tier: str
    """The escalation tier it stands at; `watch` below them."""
    highest_tier: str
    owner: str | None
    disputed: bool
    shadow: bool
    parent: str | None
    """The case of the disruption that it is attached to."""
    rules: tuple[str, ...]
    """Names of all rules that matched and stand."""
    headline: str
    opened_at: Instant
    changed_at: Instant
    due: Instant | None
    """When the next deadline of the ladder falls, if nobody acts."""
    waits_for: str | None
    """What that deadline is: `acknowledge`, `resolve`, `wake`."""


class StepKind(StrEnum):
    """What happened to a case."""

    WATCHED = "watched"
    OPENED = "opened"
    RAISED = "raised"
    MATCHED = "matched"
    """One more rule matched a case that stands at its tier or above already."""
    ATTACHED = "attached"
    CLEARED = "cleared"
    """A disruption is over; its case is not, until somebody settles it."""
    BREACHED = "breached"
    ESCALATED = "escalated"
    NOT_CLIMBED = "not climbed"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    DEESCALATED = "deescalated"
    WAITING = "waiting"
    SNOOZED = "snoozed"
    WOKEN = "woken"
    COMMENTED = "commented"
    RESOLVED = "resolved"
    CLOSED = "closed"
    REOPENED = "reopened"
    MOVED = "moved"
    DISPUTED = "disputed"
    DISPUTE_DECIDED = "dispute decided"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of a case, with its receipt. (`case_id`, `key`) names it."""

    case_id: str
    key: str
    n: int
    kind: StepKind
    tier: str
    at: Instant
    """Effective: when it happened, or the deadline that passed."""
    decided_at: Instant
    """When Detente decided it."""
    due: Instant | None
    """Until when the acknowledgement that it asks for is owed."""
    actor: str | None
    policy: str
    """Hash of the policy version that decided."""
    receipt: dict[str, object]
    """`summary`, `why` (lines of arithmetic), `rules`, `facts`, `events`, `note`."""
    withdrawn_at: Instant | None = None
    """When later truth took it back, or None while it stands."""


class EffectKind(StrEnum):
    """What a message is about."""

    ALERT = "alert"
    """Acknowledge this, until `due`."""
    NOTICE = "notice"
    """For your information: a tier above yours was alerted, or nobody was climbed to."""
    UPDATE = "update"
    """A case that you were told of has changed: owned, resolved, reopened, disputed ..."""
    RETRACTION = "retraction"
    """A case that you were told of was wrong."""
    OPERATIONS = "operations"
    """Something that whoever runs Detente must see to."""
    WARNING = "warning"
    """A promise falls due soon, or was broken without being a case; about a clock."""
    JOINED = "joined"
    """More orders are late under a disruption: shown where its case is seen, told to nobody."""
    REPORT = "report"
    """Something to read: a digest, a scorecard, a summary. It has no tier and asks for nothing."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to tell, addressed to a role and never to a person."""

    effect_id: str
    """Stable: the same step tells the same role under the same id."""
    case_id: str | None
    partner_id: str | None
    step: str
    """Key of the step that asks for it."""
    kind: EffectKind
    role: str
    tier: str
    """The escalation tier that it is told as; `watch` for none."""
    state: State | None
    urgent: bool
    """Quiet hours and bundling do not hold it."""
    shadow: bool
    at: Instant
    created_at: Instant
    due: Instant | None
    remind_every: str | None
    remind_at_most: int
    actor: str | None
    """Who caused it; nobody is told about a change of their own."""
    text: dict[str, object]
    """`headline`, `why` (lines), `subject`, `partner`, `exposure`, `next`: what renderers show.

    That of a stored report names it: `report` is its `kind` and its `key`.
    """


@dataclass(frozen=True, slots=True)
class CalledOff:
    """An effect that is not true any more, and is dropped if it has not left."""

    effect_id: str
    reason: str
    instead: Effect | None
    """What those hear who were told already."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A standing subject with a category or a sku: what patterns count."""

    subject: str
    dimension: str
    """`category` or `sku`."""
    value: str
    partner_id: str
    at: Instant


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A whole event, kept because its subject has a case."""

    subject: str
    source: str
    event_id: str
    type: str
    at: Instant
    recorded_at: Instant
    body: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """Input that was not taken, with what it takes to understand and drive it again."""

    input: str
    position: str
    reason: str
    kind: str
    """`malformed`, `unknown type`, `conflicting duplicate`, `deciding failed`."""
    value: bytes
    recorded_at: Instant
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """A command for a case that does not exist (yet)."""

    case_id: str
    source: str
    event_id: str
    recorded_at: Instant
    value: bytes


@dataclass(slots=True)
class Changes:
    """Everything that one batch changes. Committed together or not at all."""

    subjects: list[SubjectRow] = field(default_factory=list)
    """Whole rows to write; `version` is the version that was loaded."""
    cases: list[CaseRow] = field(default_factory=list)
    steps: list[StepRow] = field(default_factory=list)
    withdrawn: list[tuple[str, str, Instant]] = field(default_factory=list)
    """(case_id, key, when) of steps that later truth took back."""
    effects: list[Effect] = field(default_factory=list)
    called_off: list[CalledOff] = field(default_factory=list)
    """Effects that are dropped unless they have left; written after `effects`."""
    occurrences_added: list[Occurrence] = field(default_factory=list)
    occurrences_removed: list[Occurrence] = field(default_factory=list)
    journal: list[JournalEntry] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    unparked: list[str] = field(default_factory=list)
    """Case ids whose parked commands were taken."""
    accepted: int = 0
    duplicates: int = 0
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(what, source, name) to how many: `event` and its type, `unknown partner` and its id ..."""
    days: dict[tuple[int, str, str], int] = field(default_factory=dict)
    """(day as an ordinal, source, type) to how many events were taken that bear it."""
    seen: dict[str, tuple[Instant, Instant]] = field(default_factory=dict)
    """Source to (newest event time, newest recorded time) in this batch."""
