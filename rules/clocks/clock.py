"""What a clock is: one instance of a commitment, with everything needed to argue about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from rules.calendars import BusinessCalendar
from rules.clocks import dues
from rules.subjects import case_id
from schemas.units import Span


class ClockState(StrEnum):
    """Where an instance stands at the instant that it was asked about."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"
    """Strictly after its due time it had not been kept; also when it was kept later."""
    CANCELLED = "cancelled"
    """Nothing is owed any more, and it was not late: `reason` says why."""
    EXCUSED = "excused"
    """A breach, or a coming one, that does not count: `excuse` says who approved."""
    NOT_APPLICABLE = "not applicable"
    """The policy says that this is not promised here."""


US = "us"
PARTNER = "partner"


@dataclass(frozen=True, slots=True)
class Target:
    """The commitment that won for a metric, and why that one."""

    metric: str
    span: Span | None
    """None: expressly not promised."""
    winner: str
    """Its place in the policy: `commitments.strategic.overrides[0].resolution`."""
    why: str
    tickets: str = ""
    """Which tickets the winner is for: `severity critical`. Empty: all that no other is for."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Time that does not count."""

    start: int
    end: int | None
    """None while it lasts."""
    reason: str
    actor: str
    """Who said so: a person, or the source of the event when it names nobody."""
    recorded: int
    end_recorded: int = 0


@dataclass(frozen=True, slots=True)
class Excuse:
    """Somebody's approval that a breach shall not count."""

    approver: str
    at: int
    note: str | None
    by_holder: bool = False
    """Whoever held the commitment approved the excuse: for an auditor to see."""


@dataclass(frozen=True, slots=True)
class Downgrade:
    """A word on severity or category that gave a running promise more time, or took it away."""

    at: int
    actor: str
    agreed_by: str | None = None
    """Who agreed to it, where the helpdesk says so."""


@dataclass(slots=True)
class Clock:
    """One instance of a commitment, as it stands at `as_of`. Instants are microseconds UTC."""

    subject: str
    """Key of the subject that it belongs to."""
    metric: str
    cycle: str
    """Counted from 1 as instances start; a period of a grid is named by its first day."""
    owed_by: str
    """`us` or `partner`."""
    state: ClockState
    as_of: int
    started_at: int
    target: Target | None
    partner_tier: str
    calendar: BusinessCalendar
    calendar_name: str
    planned: int | None
    """When it would have been due without any pause."""
    due: int | None
    """When it is due; for a breach, when it was. While paused: if it ran again now."""
    breached_at: int | None = None
    """The due time that passed. It stays, whatever becomes of the commitment later."""
    recorded_at: int | None = None
    """When the breach could be seen: not before the events that it follows from were taken in."""
    retroactive: bool = False
    """The due time had passed already when the commitment that sets it came into force."""
    stopped_at: int | None = None
    """When it was kept, in time or late, or called off."""
    reason: str = ""
    excluded: tuple[Exclusion, ...] = ()
    excuse: Excuse | None = None
    asked_again: tuple[int, ...] = ()
    """When the partner wrote again before our answer."""
    holder: str = ""
    """The person or role who held it when it fell due (until then: now). Owns the breach."""
    escalation_tier: str = ""
    """For clocks of a ladder: the tier that was asked."""
    downgrades: tuple[Downgrade, ...] = ()

    @property
    def key(self) -> str:
        """Names the instance within its subject: `next_response/2`."""
        return f"{self.metric}/{self.cycle}"

    @property
    def clock_id(self) -> str:
        """Names the instance: `C-7Q2M0X4K9ABC/next_response/2`. What `clock.excused` speaks of."""
        return f"{case_id(self.subject)}/{self.key}"

    @property
    def is_open(self) -> bool:
        """Whether it can still be kept: it runs, is paused, or is late and nothing has come."""
        return self.stopped_at is None and self.state not in (
            ClockState.CANCELLED,
            ClockState.NOT_APPLICABLE,
            ClockState.MET,
        )

    @property
    def ended_at(self) -> int:
        """Until when its time is counted: when it stopped, else the instant asked about."""
        return self.as_of if self.stopped_at is None else self.stopped_at

    @property
    def not_counted(self) -> tuple[tuple[int, int, Exclusion], ...]:
        """(from, until, why) of the time in its life that did not count."""
        return tuple(_clipped(self.excluded, self.started_at, self.ended_at))

    @property
    def counted(self) -> tuple[tuple[int, int], ...]:
        """(from, until) of the time in its life that counted, closed hours included."""
        found = []
        since = self.started_at
        for start, end, _ in self.not_counted:
            if start > since:
                found.append((since, start))
            since = max(since, end)
        if self.ended_at > since:
            found.append((since, self.ended_at))
        return tuple(found)

    @property
    def spent(self) -> int:
        """Counted microseconds, in business time where the commitment is."""
        return sum(self._measured(start, end) for start, end in self.counted)

    @property
    def held_up(self) -> int:
        """Excluded microseconds, in business time where the commitment is."""
        return sum(self._measured(start, end) for start, end, _ in self.not_counted)

    @property
    def budget(self) -> int | None:
        """Microseconds that it had, in business time where the commitment is."""
        return None if self.planned is None else self._measured(self.started_at, self.planned)

    @property
    def late(self) -> int:
        """By how many microseconds of real time it is, or was, late; 0 if it is not."""
        return 0 if self.breached_at is None else max(0, self.ended_at - self.breached_at)

    @property
    def due_if_silent(self) -> int | None:
        """When it is due if nothing more happens; None while a pause without end lasts."""
        span = self.target.span if self.target is not None else None
        if self.state is not ClockState.PAUSED or self.planned is None or span is None:
            return self.due
        if self.excluded[-1].end is None:
            return None
        far = self.excluded[-1].end + 1
        return dues.postponed(self.planned, span, self.calendar, self.excluded, far)

    @property
    def next_open_due(self) -> int | None:
        """The due time, or the next opening when it is a closing time: when people meet it."""
        return None if self.due is None else self.calendar.next_open_us(self.due)

    def _measured(self, start: int, end: int) -> int:
        span = self.target.span if self.target is not None else None
        return end - start if span is None else dues.measured(start, end, span, self.calendar)


def _clipped(
    excluded: tuple[Exclusion, ...], start: int, end: int
) -> Iterator[tuple[int, int, Exclusion]]:
    for x in excluded:
        begin = max(x.start, start)
        until = end if x.end is None else min(x.end, end)
        if begin < until:
            yield begin, until, x
