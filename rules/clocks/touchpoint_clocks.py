"""Clocks of touchpoints: the sessions that a partner tier was promised, held, skipped or missed.

On a grid, one session is owed in each period that begins while it is promised. It counts until
the end of the period's last day; where that is no working day, the policy shifts it. A session
that comes after its due day but in its period keeps it late; two in one period keep one. Rolling,
the next one is owed so long after the last.
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from rules.calendars import BusinessCalendar
from rules.clocks.clock import Clock, ClockState, Excuse, Target
from rules.clocks.excuses import excuses_among
from rules.clocks.judging import Run, Terms, judge
from rules.clocks.working_days import local_day, shifted, start_of_day
from rules.deadlines import deadline
from rules.decision import Kind
from rules.policy import CompiledPolicy
from rules.subjects import Contribution, Document, Held, Skipped, subject_key
from rules.world import World
from schemas.policy import Anchor, Shift, Touchpoint
from schemas.time import DAY, end_of_day, iso
from schemas.units import Unit

HOLDER = "account_manager"
_FIRST_MONDAY = date(1970, 1, 5)
_FIRST_MONTH = date(1970, 1, 1)


def metric_of(kind: str) -> str:
    """The metric of a kind of session: `touchpoint:check_in`."""
    return f"touchpoint:{kind}"


@dataclass(frozen=True, slots=True)
class Session:
    """What was said of one session: that it was held, or that it was skipped by agreement."""

    at: int
    kind: str
    recorded: int
    agreed_by: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class _Era:
    """A stretch in which one policy version and one partner tier hold."""

    begin: int
    end: int | None
    policy: CompiledPolicy
    tier: str

    @property
    def touchpoints(self) -> Sequence[Touchpoint]:
        """What is promised in it."""
        promised = self.policy.document.commitments.get(self.tier)
        return () if promised is None else promised.touchpoints

    def promises(self, kind: str) -> bool:
        """Whether sessions of a kind are owed in it."""
        return any(touchpoint.kind == kind for touchpoint in self.touchpoints)


@dataclass(frozen=True, slots=True)
class _Period:
    """One session that is owed: from when, until when, and how far being late goes."""

    cycle: str
    start: int
    end: int
    due: int | None
    """None: there is no working day in it."""
    terms: Sequence[Terms]


def touchpoint_clocks(
    partner_id: str,
    contributions: Sequence[Contribution],
    world: World,
    since: int,
    as_of: int,
) -> list[Clock]:
    """Every session that the partner was owed since an instant, as it stands at `as_of`.

    `since` is when the promise began to be watched, such as the first event of the partner:
    periods that began before it are not held against anybody. What became effective after
    `as_of` is left out. Sorted by start, metric and cycle.
    """
    key = subject_key(Kind.TOUCHPOINTS, partner_id, "")
    zone = world.zone(partner_id)
    sessions = sessions_said(contributions, zone, as_of)
    excuses = excuses_among(key, contributions, as_of, lambda _: HOLDER)
    eras = list(_eras(partner_id, world, since, as_of))
    clocks: list[Clock] = []
    calendar_name = world.calendar_name(partner_id)
    for kind in sorted({t.kind for era in eras for t in era.touchpoints}):
        said = [session for session in sessions if session.kind == kind]
        work = _Kind(key, kind, said, eras, calendar_name, as_of, excuses)
        clocks += work.clocks()
    clocks.sort(key=lambda clock: (clock.started_at, clock.metric, clock.cycle))
    return clocks


def owed_since(document: Document) -> int | None:
    """Since when sessions are owed: listed in the directory or spoken of, whichever came first."""
    said = min((c.time for c in document.contributions), default=None)
    known = [at for at in (said, document.since) if at is not None]
    return min(known, default=None)


def next_period(partner_id: str, world: World, after: int) -> int | None:
    """When the next session on a grid begins to be owed, by the terms that hold at an instant."""
    policy = world.policies.at(after)
    promised = policy.document.commitments.get(world.partner_tier(partner_id, after))
    zone = policy.calendar(world.calendar_name(partner_id)).zone
    starts = (
        start_of_day(_period_start(t, _first_period(t, after + 1, zone)), zone)
        for t in (() if promised is None else promised.touchpoints)
        if t.anchor is Anchor.GRID
    )
    return min(starts, default=None)


def sessions_said(
    contributions: Sequence[Contribution], zone: ZoneInfo, as_of: int
) -> list[Session]:
    """Every session that was held, or skipped by agreement, by an instant; the oldest first."""
    sessions: list[Session] = []
    seen: set[tuple[str, str]] = set()
    for c in sorted(contributions, key=lambda c: (c.time, c.source, c.id, c.recorded)):
        if (c.source, c.id) in seen:
            continue
        seen.add((c.source, c.id))
        match c.type:
            case "touchpoint.held":
                held = Held(*c.data)
                at = _held_at(held, c.time, zone)
                if at <= as_of:
                    sessions.append(Session(at, held.kind, c.recorded, None, held.note))
            case "touchpoint.skipped" if c.time <= as_of:
                skipped = Skipped(*c.data)
                sessions.append(
                    Session(c.time, skipped.kind, c.recorded, skipped.agreed_by, skipped.note)
                )
            case _:
                pass
    sessions.sort(key=lambda session: session.at)
    return sessions


def _held_at(held: Held, said_at: int, zone: ZoneInfo) -> int:
    """When it was held. Of a day without a time: when it was reported, by that day's end."""
    if held.held is None:
        return said_at
    if isinstance(held.held, int):
        return held.held
    day = date.fromisoformat(held.held)
    return min(end_of_day(day, zone), max(said_at, start_of_day(day, zone) + 1))


def _eras(partner_id: str, world: World, since: int, as_of: int) -> Iterator[_Era]:
    starts = {since, *world.recipients.tier_starts(partner_id)}
    starts |= {start for start, _ in world.policies.versions}
    begins = sorted(start for start in starts if since <= start <= as_of)
    for n, begin in enumerate(begins):
        end = begins[n + 1] if n + 1 < len(begins) else None
        tier = world.partner_tier(partner_id, begin)
        yield _Era(begin, end, world.policies.at(begin), tier)


@dataclass(frozen=True, slots=True)
class _Kind:
    """The sessions of one kind for one partner."""

    key: str
    kind: str
    said: Sequence[Session]
    eras: Sequence[_Era]
    calendar_name: str
    as_of: int
    excuses: Mapping[str, Excuse]

    def clocks(self) -> Iterator[Clock]:
        on_grid: list[_Period] = []
        for era in self.eras:
            promised = self._promised(era)
            if promised is not None and promised[0].anchor is Anchor.GRID:
                on_grid += self._periods(era, *promised)
        yield from self._keep(on_grid)
        yield from self._rolling()

    def _promised(self, era: _Era) -> tuple[Touchpoint, int] | None:
        """The commitment of this kind in an era, with its place in the policy."""
        found = ((t, n) for n, t in enumerate(era.touchpoints) if t.kind == self.kind)
        return next(found, None)

    # -- on a grid -----------------------------------------------------------------------------

    def _periods(self, era: _Era, touchpoint: Touchpoint, n: int) -> Iterator[_Period]:
        calendar = era.policy.calendar(self.calendar_name)
        zone = calendar.zone
        shift = era.policy.document.clocks.touchpoint_shift
        index = _first_period(touchpoint, era.begin, zone)
        while True:
            first = _period_start(touchpoint, index)
            following = _period_start(touchpoint, index + 1)
            start = start_of_day(first, zone)
            if start > self.as_of or (era.end is not None and start >= era.end):
                return
            last = shifted(following - timedelta(days=1), first, shift, calendar)
            due = None if last is None else end_of_day(last, zone)
            yield _Period(
                first.isoformat(),
                start,
                start_of_day(following, zone),
                due,
                self._terms(era, touchpoint, n, start, due, calendar),
            )
            index += 1

    def _terms(
        self,
        era: _Era,
        touchpoint: Touchpoint,
        n: int,
        start: int,
        due: int | None,
        calendar: BusinessCalendar,
    ) -> Sequence[Terms]:
        place = f"commitments.{era.tier}.touchpoints[{n}]"
        why = f"what {era.tier} partners are promised"
        target = Target(metric_of(self.kind), None if due is None else touchpoint.every, place, why)
        found = [Terms(start, 0, target, era.tier, calendar, self.calendar_name, due)]
        for later in self.eras:
            if later.begin > start and not later.promises(self.kind):
                terms = Terms(later.begin, 0, None, later.tier, calendar, self.calendar_name)
                return [*found, terms]
        return found

    def _keep(self, periods: Sequence[_Period]) -> Iterator[Clock]:
        kept: dict[int, Session] = {}
        for session in self.said:
            n = _which(periods, session.at, kept)
            if n is not None:
                kept[n] = session
        for n, period in enumerate(periods):
            clock = self._judge(period.cycle, period.start, period.terms, kept.get(n))
            if clock is None:
                continue
            if clock.state is ClockState.NOT_APPLICABLE:
                clock.reason = "no working day in it"
            yield clock

    # -- rolling -------------------------------------------------------------------------------

    def _rolling(self) -> Iterator[Clock]:
        start: int | None = self.eras[0].begin if self.eras else None
        while start is not None and start <= self.as_of:
            era = next(e for e in reversed(self.eras) if e.begin <= start)
            promised = self._promised(era)
            if promised is None or promised[0].anchor is not Anchor.ROLLING:
                start = next((e.begin for e in self.eras if e.begin > start), None)
                continue
            touchpoint, n = promised
            calendar = era.policy.calendar(self.calendar_name)
            shift = era.policy.document.clocks.touchpoint_shift
            due = self._rolling_due(start, touchpoint, shift, calendar)
            terms = self._terms(era, touchpoint, n, start, due, calendar)
            session = next((s for s in self.said if s.at > start), None)
            clock = self._judge(iso(start), start, terms, session)
            assert clock is not None  # its first terms promise it
            yield clock
            if clock.state is ClockState.CANCELLED:
                start = clock.stopped_at
            elif session is None:
                start = None
            else:
                skipped = session.agreed_by is not None and session.at <= due
                start = due if skipped else session.at

    @staticmethod
    def _rolling_due(
        start: int, touchpoint: Touchpoint, shift: Shift, calendar: BusinessCalendar
    ) -> int:
        """The end of the day on which it falls, shifted where that is no working day."""
        after = deadline(start, touchpoint.every, calendar)
        first, day = local_day(start, calendar.zone), local_day(after, calendar.zone)
        return end_of_day(shifted(day, first, shift, calendar) or day, calendar.zone)

    def _judge(
        self, cycle: str, start: int, terms: Sequence[Terms], session: Session | None
    ) -> Clock | None:
        held = session is not None and session.agreed_by is None
        run = Run(
            self.key,
            metric_of(self.kind),
            cycle,
            start,
            0,
            session.at if session is not None and held else None,
        )
        skip = None
        if session is not None and session.agreed_by is not None:
            skip = Excuse(session.agreed_by, session.at, session.note)
        clock = judge(run, terms, self.as_of, self.excuses, lambda _: HOLDER)
        if clock is not None and skip is not None:
            clock.state = ClockState.EXCUSED
            clock.excuse = skip
            clock.reason = f"skipped, as agreed by {skip.approver}"
        return clock


def _which(periods: Sequence[_Period], at: int, kept: Mapping[int, Session]) -> int | None:
    """The period that a session counts for: the earliest still due, else the one around it."""
    late = None
    for n, period in enumerate(periods):
        if n in kept or period.due is None or at <= period.start:
            continue
        if at <= period.due:
            return n
        if at <= period.end:
            late = n
    return late


def _first_period(touchpoint: Touchpoint, begin: int, zone: ZoneInfo) -> int:
    """Index of the first period that starts at an instant or later."""
    anchor = touchpoint.starting
    day = local_day(begin, zone)
    if touchpoint.every.unit is Unit.MONTHS:
        anchor = anchor or _FIRST_MONTH
        months = (day.year - anchor.year) * 12 + day.month - anchor.month
        index = months // touchpoint.every.amount - 1
    else:
        index = (day - (anchor or _FIRST_MONDAY)).days // (touchpoint.every.amount // DAY) - 1
    if touchpoint.starting is not None:
        index = max(index, 0)
    while start_of_day(_period_start(touchpoint, index), zone) < begin:
        index += 1
    return index


def _period_start(touchpoint: Touchpoint, index: int) -> date:
    """First day of a period. In months without that day, their last."""
    every = touchpoint.every
    if every.unit is not Unit.MONTHS:
        return (touchpoint.starting or _FIRST_MONDAY) + timedelta(microseconds=every.amount) * index
    anchor = touchpoint.starting or _FIRST_MONTH
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + every.amount * index, 12)
    return date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1]))
