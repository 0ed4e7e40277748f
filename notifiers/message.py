"""What is told to one person: plain values that every route renders in its own way.

A message lists one or more entries. One entry is an alert, an update and so on; several are a
bundle. The relay fills in everything, so that rendering needs no look into store or directory.
"""

from dataclasses import dataclass
from enum import StrEnum

from notifiers.report_message import RenderedReport, ReportName
from schemas.time import Instant


class EntryKind(StrEnum):
    """What an entry asks of its reader."""

    ALERT = "alert"
    """Acknowledge this, until `due`."""
    REMINDER = "reminder"
    """An alert that was told before and still waits for an acknowledgement."""
    NOTICE = "notice"
    """For your information."""
    UPDATE = "update"
    """A case that you were told of has changed."""
    RETRACTION = "retraction"
    """A case that you were told of was wrong."""
    OPERATIONS = "operations"
    """Whoever runs Detente must see to it."""
    WARNING = "warning"
    """A promise falls due soon, or was broken; there is no case about it to acknowledge."""
    REPORT = "report"
    """To be read: a digest, a scorecard, a summary."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is to acknowledge a case now."""

    tier: str
    names: tuple[str, ...]
    """Empty when nobody of that tier can be told."""
    until: Instant


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to tell: who is affected, what, how much, why, until when and what to do."""

    effect_id: str
    idempotency_key: str
    """Of this effect, person and number of reminder, whatever message it travels in."""
    kind: EntryKind
    case_id: str | None
    tier: str
    """The escalation tier that it is told as; `watch` for none."""
    partner: str
    """The partner as people call it; empty for what is about no partner."""
    partner_tier: str | None
    subject: str
    headline: str
    exposure: str | None
    """How much money is at stake, with its currency, or None while unknown."""
    why: tuple[str, ...]
    """The arithmetic, line by line."""
    at: Instant
    """When it happened."""
    due: Instant | None
    """Until when the acknowledgement is owed."""
    next: str | None
    """What happens if nobody acts."""
    note: str | None
    """What a person said about it."""
    urgent: bool
    reminder: int = 0
    """Which reminder this is, from 1; 0 is the first telling."""
    of_reminders: int = 0
    """How many reminders there will be at most."""
    state: str | None = None
    """Where the case stands; None for what is about no case."""
    on_behalf: str | None = None
    """Why somebody other than the addressee reads this, e.g. `you stand in for Ada Lovelace`."""
    would_have_told: tuple[str, ...] | None = None
    """In shadow mode the names that were not told; the reader is the redirect target."""
    owner: str | None = None
    """The name of whoever owns the case."""
    asked: Asked | None = None
    """Who is asked now, where that is not whoever this is told to."""
    earlier: tuple[str, ...] = ()
    """What the route calls the messages about the case that stand at this place, oldest first."""
    alert: "Entry | None" = None
    """The newest alert or notice that this place was told of the case, where this is another."""
    silent: bool = False
    """Only puts right what stands there already; the reader is told nothing new."""
    joined: str | None = None
    """What is late under a disruption by now, in words."""
    report_name: ReportName | None = None
    """The stored report that is to be read, for what is one."""
    report: RenderedReport | None = None
    """Its content; None as well where it cannot be had (any more)."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one person is told at one moment."""

    idempotency_key: str
    """Equal for every attempt, over every route: a receiver that has seen it may ignore it.

    That of the only entry, or a bundle's own. When what is in a bundle changes between two
    attempts, its key changes too, while the keys of its entries stay.
    """
    person: str
    """Key of the person in the directory."""
    name: str
    """What people call them."""
    zone: str
    """IANA name of the reader's time zone; times are shown in it."""
    sent_at: Instant
    attempt: int
    """From 1."""
    entries: tuple[Entry, ...]
    may_have_arrived: Instant | None = None
    """By when an attempt before this one may have got through: a route that can look does so.

    None when there was none.
    """

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError(f"the message {self.idempotency_key} tells nothing")

    @property
    def is_bundle(self) -> bool:
        """Whether it lists several things."""
        return len(self.entries) > 1

    @property
    def is_shadow(self) -> bool:
        """Whether it says what would have been told to others."""
        return self.entries[0].would_have_told is not None

    @property
    def would_have_told(self) -> tuple[str, ...]:
        """Everybody whom an entry would have been told to."""
        names = (name for entry in self.entries for name in entry.would_have_told or ())
        return tuple(dict.fromkeys(names))
