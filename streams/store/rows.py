"""Rows that the core does not know: deliveries, versions, tokens and the outbox's own columns."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rules.decision import Effect, Kind, Rejected, State
from schemas.time import Instant

#: A case in one of these states is not over.
STANDING = (State.WATCH, State.OPEN, State.ACKNOWLEDGED, State.WAITING, State.SNOOZED)


@dataclass(frozen=True, slots=True)
class NextDue:
    """The earliest deadlines in the store."""

    feeds: dict[Kind, Instant]
    """For each kind that has any, the earliest that waits for silence to be proven."""
    people: Instant | None
    """The earliest that waits for people."""


class OutboxStatus(StrEnum):
    """What became of an effect."""

    QUEUED = "queued"
    SENT = "sent"
    DROPPED = "dropped"
    DEAD = "dead"
    """Given up after too many attempts; it can be driven again."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An effect in the outbox. All fields after `effect` are the relay's to change."""

    seq: int
    effect: Effect
    status: OutboxStatus
    reason: str | None = None
    """Why it waits or was dropped."""
    not_before: Instant | None = None
    attempts: int = 0
    last_error: str | None = None
    remind_at: Instant | None = None
    reminders_sent: int = 0
    sent_at: Instant | None = None
    taken_over: bool = False
    """Another relay was at it and never said how it ended: it may have told. Only of a lease."""


class DeliveryStatus(StrEnum):
    """How one attempt to tell one person ended, or what the relay decided instead of one."""

    SENT = "sent"
    FAILED = "failed"
    """It may work later."""
    GIVEN_UP = "given up"
    """The route will not work; without a route the person, without a person the effect."""
    BUNDLED = "bundled"
    """Sent, in a message with others."""
    DEFERRED = "deferred"
    """Put off, or put into a bundle that is about to be sent."""
    DROPPED = "dropped"
    WOULD_HAVE_TOLD = "would have told"


class Attached(NamedTuple):
    """What was late under a disruption, counted."""

    cases: int
    partners: int
    still_open: int
    """Those of the cases that nobody has settled."""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One attempt to tell one person. `id` is 0 until it is stored."""

    seq: int
    """The outbox entry."""
    effect_id: str
    idempotency_key: str
    """One for each effect, person and number of reminder; attempts share it."""
    case_id: str | None
    person: str
    route: str
    status: DeliveryStatus
    at: Instant
    attempt: int = 1
    bundle_id: str | None = None
    detail: str | None = None
    reference: str | None = None
    """What the route calls the message, where it can be changed afterwards."""
    id: int = 0


class RejectedState(StrEnum):
    """Whether rejected input still waits for somebody."""

    KEPT = "kept"
    RETRIED = "retried"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """Input that was not taken, as the store keeps it."""

    id: int
    entry: Rejected
    state: RejectedState
    retried_at: Instant | None


@dataclass(frozen=True, slots=True)
class Feed:
    """What was last heard of a source."""

    source: str
    last_event_at: Instant
    """The newest time that any of its events bore."""
    last_recorded_at: Instant
    """When we last took something from it."""


@dataclass(frozen=True, slots=True)
class Counter:
    """How often something was counted."""

    what: str
    source: str
    name: str
    n: int


@dataclass(frozen=True, slots=True)
class CaseCount:
    """How many cases are alike in what reports group by."""

    state: State
    highest_tier: str
    rules: tuple[str, ...]
    n: int


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the policy or the directory."""

    hash: str
    body: bytes
    active_from: Instant
    recorded_at: Instant


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; only its hash is known."""

    id: int
    hash: str
    name: str
    created_at: Instant
    revoked_at: Instant | None
