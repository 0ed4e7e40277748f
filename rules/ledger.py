"""The ledger of commitments: what reports count, as rows that stay true while time passes.

A subject is posted when something was said of it: each of its clocks becomes an `Instance`, each
time that its case asked a tier an `Escalation`. What an instance is at any later instant, if
nothing more is said, follows from the row alone. A few clocks begin by themselves, such as those
of the next week's touchpoints; `Posting.look_again_at` says when.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from rules.attainment import OUTCOMES, Outcome
from rules.clocks import dues
from rules.clocks.clock import Clock, ClockState, Downgrade
from rules.clocks.judging import SETTLED
from rules.clocks.ladder_clocks import ASKING
from rules.clocks.subject_clocks import clocks_of
from rules.clocks.touchpoint_clocks import sessions_said
from rules.clocks.working_days import local_day
from rules.deadlines import deadline
from rules.decision import Kind, StepKind, StepRow
from rules.orders import effective_at
from rules.subjects import Document, Ordered, case_id, split_key
from rules.world import World
from schemas.policy import Metric
from schemas.time import DAY, LAST_YEAR, to_instant

#: Later than anything that is said.
LAST = to_instant(datetime(LAST_YEAR, 12, 31, tzinfo=UTC))


class Entered(StrEnum):
    """As what an instance stands in the ledger: an outcome that stays, or still open."""

    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"
    EXCUSED = "excused"
    NEVER_RAN = "never ran"
    OPEN = "open"
    """Breached once `falls_at` has passed, unless something comes."""


_ENTERED = {
    Outcome.MET: Entered.MET,
    Outcome.BREACHED: Entered.BREACHED,
    Outcome.CANCELLED: Entered.CANCELLED,
    Outcome.EXCUSED: Entered.EXCUSED,
    Outcome.NEVER_RAN: Entered.NEVER_RAN,
    Outcome.NOT_YET_DUE: Entered.OPEN,
    Outcome.PAUSED: Entered.OPEN,
}


@dataclass(frozen=True, slots=True)
class Pause:
    """Time that did not count for an instance, because somebody said so. Microseconds UTC."""

    started_at: int
    ended_at: int | None
    """When it counts again, if that is known; it may lie ahead, where pauses have a cap."""
    reason: str
    actor: str
    counted: int
    """Microseconds, in business time where the commitment is; 0 while no end is known."""

    def covers(self, at: int) -> bool:
        """Whether the clock stood still at an instant."""
        return self.started_at <= at and (self.ended_at is None or at < self.ended_at)


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a commitment. (`subject`, `metric`, `cycle`) names it; microseconds UTC."""

    subject: str
    metric: str
    cycle: str
    kind: str
    partner_id: str
    partner_tier: str
    escalation_tier: str
    """Of a ladder's clock the tier that was asked, else empty."""
    owed_by: str
    role: str
    """Whose it was to keep: the partner, or a role of ours."""
    holder: str
    """The person who held it when it fell due, else the role."""
    promised: str
    """The budget as the policy writes it: `4bh`."""
    entered: Entered
    falls_at: int | None
    """Its effective deadline: it counts in the period in which this lies. None while nobody can
    tell, because it is paused without end."""
    left_at: int | None
    """When it ceased to be open: kept, late, called off or excused. For an open one that is its
    deadline."""
    started_at: int
    stopped_at: int | None
    recorded_at: int | None
    retroactive: bool
    reason: str
    spent: int | None
    """Counted microseconds until it was done, in time or late; None if it never was."""
    asked_again: int
    excused_by: str | None
    excused_at: int | None
    excuse_note: str | None
    excused_by_holder: bool
    pauses: tuple[Pause, ...] = ()
    downgrades: tuple[Downgrade, ...] = ()
    promised_for: str = ""
    """Which tickets the promise is for: `severity critical`. Empty: all that no other is for."""

    @property
    def clock_id(self) -> str:
        """Names it for people and for `clock.excused`."""
        return f"{case_id(self.subject)}/{self.metric}/{self.cycle}"

    def outcome_at(self, at: int) -> Outcome:
        """Its class at an instant, if nothing more was said since it was posted."""
        match self.entered:
            case Entered.OPEN:
                if self.falls_at is not None and self.falls_at < at:
                    return Outcome.BREACHED
                paused = any(pause.covers(at) for pause in self.pauses)
                return Outcome.PAUSED if paused else Outcome.NOT_YET_DUE
            case entered:
                return Outcome(entered)

    def late_at(self, at: int) -> int:
        """By how many microseconds it was late when it was kept, or by an instant if not yet."""
        if self.falls_at is None or self.outcome_at(at) is not Outcome.BREACHED:
            return 0
        end = at if self.stopped_at is None else min(at, self.stopped_at)
        return max(0, end - self.falls_at)


@dataclass(frozen=True, slots=True)
class Escalation:
    """One time that a case asked a tier: opened there, was raised or escalated to it."""

    subject: str
    n: int
    """Counted from 1 within the case."""
    case_id: str
    kind: str
    partner_id: str
    partner_tier: str
    tier: str
    role: str
    rule: str
    """The rules that brought the case here or had opened it, separated by commas."""
    cause: str
    """The kind of step: `opened`, `raised`, `escalated`, `deescalated`, `reopened`."""
    because: str
    """Why it was escalated: `acknowledge`, `resolve`, `age` or `by hand`; empty for other causes.
    """
    actor: str | None
    opened_at: int
    """When the case was opened, or opened again."""
    asked_at: int
    acknowledged_at: int | None
    acknowledged_by: str | None
    in_bulk: bool
    """Acknowledged with others at once."""
    ended_at: int | None
    """When another tier was asked, or nobody any more."""
    ended_as: str
    """The kind of step that ended it; empty while it lasts."""
    retracted: bool
    """Later truth proved the case wrong."""

    def lasted_at(self, at: int) -> bool:
        """Whether the case stood at this tier at an instant."""
        return self.asked_at <= at and (self.ended_at is None or at < self.ended_at)

    def taken_up_by(self, at: int) -> bool:
        """Whether somebody had acknowledged it at an instant."""
        return self.acknowledged_at is not None and self.acknowledged_at <= at


@dataclass(frozen=True, slots=True)
class Posting:
    """What the ledger holds of one subject."""

    instances: tuple[Instance, ...]
    escalations: tuple[Escalation, ...]
    look_again_at: int | None
    """When the subject must be posted anew even if nothing more is said of it; always ahead."""


def post(
    key: str,
    document: Document,
    world: World,
    as_of: int,
    *,
    steps: Sequence[StepRow] = (),
    since: int | None = None,
) -> Posting:
    """What the ledger holds of a subject from `as_of` on. `steps` and `since` as in `clocks_of`.

    Of a case that is told to nobody (shadow) no steps are given: nobody was asked.
    """
    clocks = clocks_of(key, document, world, as_of, steps=steps, since=since)
    return Posting(
        tuple(_instance(clock, world) for clock in clocks),
        tuple(_escalations(key, document, world, as_of, steps)),
        _look_again_at(key, document, world, as_of, steps, since, clocks),
    )


def day_of(at: int, zone: ZoneInfo) -> date:
    """The day in whose figures an instant is. Midnight belongs to the day that it ends."""
    return local_day(at - 1, zone)


# --- instances ------------------------------------------------------------------------------------


def _instance(clock: Clock, world: World) -> Instance:
    kind, partner_id, _ = split_key(clock.subject)
    entered = _ENTERED[OUTCOMES[clock.state]]
    falls_at = _falls_at(clock, entered)
    excuse = clock.excuse
    span = None if clock.target is None else clock.target.span
    return Instance(
        clock.subject,
        str(clock.metric),
        clock.cycle,
        str(kind),
        partner_id,
        clock.partner_tier,
        clock.escalation_tier,
        clock.owed_by,
        _role(clock, world),
        clock.holder,
        "" if span is None else str(span),
        entered,
        falls_at,
        _left_at(clock, entered, falls_at),
        clock.started_at,
        clock.stopped_at,
        clock.recorded_at,
        clock.retroactive,
        clock.reason,
        clock.spent if _was_done(clock) else None,
        len(clock.asked_again),
        None if excuse is None else excuse.approver,
        None if excuse is None else excuse.at,
        None if excuse is None else excuse.note,
        excuse is not None and excuse.by_holder,
        tuple(_pauses(clock)),
        clock.downgrades,
        "" if clock.target is None else clock.target.tickets,
    )


def _was_done(clock: Clock) -> bool:
    """Whether what was owed came, and not only ceased to be owed: then there is a reason."""
    over = (ClockState.CANCELLED, ClockState.NOT_APPLICABLE)
    return clock.stopped_at is not None and clock.state not in over and not _reason(clock)


def _reason(clock: Clock) -> str:
    return "" if clock.excuse is not None else clock.reason


def _falls_at(clock: Clock, entered: Entered) -> int | None:
    if clock.breached_at is not None:
        return clock.breached_at
    if entered is Entered.CANCELLED and clock.stopped_at is not None:
        return clock.stopped_at
    if entered in (Entered.OPEN, Entered.EXCUSED):
        return _due_if_silent(clock)
    at = clock.due if clock.due is not None else clock.stopped_at
    return clock.started_at if at is None else at


def _due_if_silent(clock: Clock) -> int | None:
    """When it falls due if nothing more is said; for an excused one as well."""
    span = None if clock.target is None else clock.target.span
    current = next(
        (x for x in clock.excluded if x.start <= clock.as_of and _lasts(x.end, clock.as_of)), None
    )
    if current is None or clock.planned is None or span is None:
        return clock.due
    last = clock.excluded[-1]
    if last.end is None:
        return None
    return dues.postponed(clock.planned, span, clock.calendar, clock.excluded, last.end + 1)


def _lasts(end: int | None, at: int) -> bool:
    return end is None or at < end


def _left_at(clock: Clock, entered: Entered, falls_at: int | None) -> int | None:
    match entered:
        case Entered.OPEN | Entered.BREACHED:
            return falls_at
        case Entered.EXCUSED:
            assert clock.excuse is not None, "what is excused has an excuse"
            known = [at for at in (clock.excuse.at, clock.breached_at) if at is not None]
            return max(clock.started_at, min(known))
        case Entered.NEVER_RAN:
            return clock.started_at
        case _:
            return clock.stopped_at


def _role(clock: Clock, world: World) -> str:
    if clock.owed_by != "us":
        return clock.owed_by
    if clock.escalation_tier:
        ladder = world.policies.at(clock.started_at).ladder(clock.partner_tier)
        for rung in ladder:
            if rung.tier == clock.escalation_tier:
                return rung.document.notify
    return "account_manager"


def _pauses(clock: Clock) -> Iterator[Pause]:
    span = None if clock.target is None else clock.target.span
    for x in clock.excluded:
        if x.reason == SETTLED or (clock.stopped_at is not None and x.start >= clock.stopped_at):
            continue
        begin = max(x.start, clock.started_at)
        end = x.end
        if clock.stopped_at is not None:
            end = clock.stopped_at if end is None else min(end, clock.stopped_at)
        counted = 0
        if end is not None and span is not None:
            counted = dues.measured(begin, end, span, clock.calendar)
        yield Pause(begin, end, x.reason, x.actor, counted)


# --- escalations ----------------------------------------------------------------------------------

_ENDING = frozenset({*ASKING, StepKind.RESOLVED, StepKind.CLOSED, StepKind.RETRACTED})
_TAKEN_UP = frozenset({StepKind.ACKNOWLEDGED, StepKind.WAITING, StepKind.SNOOZED})
_BECAUSE = {
    "escalated:acknowledge": "acknowledge",
    "escalated:resolve": "resolve",
    "climbed": "age",
}


def _escalations(
    key: str, document: Document, world: World, as_of: int, steps: Sequence[StepRow]
) -> Iterator[Escalation]:
    standing = sorted(
        (s for s in steps if s.withdrawn_at is None and max(s.at, s.decided_at) <= as_of),
        key=lambda s: (s.n, s.key),
    )
    kind, partner_id, _ = split_key(key)
    name = case_id(key)
    retracted = bool(standing) and standing[-1].kind is StepKind.RETRACTED
    in_bulk = _acknowledged_in_bulk(document)
    rule, opened_at, n = "", 0, 0
    for place, ask in enumerate(standing):
        if ask.kind not in ASKING:
            continue
        n += 1
        said = ask.receipt.get("rules")
        rule = ", ".join(map(str, said)) if isinstance(said, list) and said else rule
        if ask.kind in (StepKind.OPENED, StepKind.REOPENED) or n == 1:
            opened_at = ask.at
        taken = end = None
        for step in standing[place + 1 :]:
            if step.kind in _ENDING or step.kind is StepKind.ATTACHED:
                end = step
                break
            if taken is None and step.kind in _TAKEN_UP:
                taken = step
        asked_at = max(ask.at, ask.decided_at)
        tier = world.partner_tier(partner_id, opened_at)
        yield Escalation(
            key,
            n,
            name,
            str(kind),
            partner_id,
            tier,
            ask.tier,
            _notified(world, tier, ask),
            rule,
            str(ask.kind),
            _because(ask),
            ask.actor,
            opened_at,
            asked_at,
            None if taken is None else max(taken.at, asked_at),
            None if taken is None else taken.actor,
            taken is not None and taken.key in in_bulk,
            None if end is None else max(end.at, asked_at),
            "" if end is None else str(end.kind),
            retracted,
        )


def _acknowledged_in_bulk(document: Document) -> frozenset[str]:
    return frozenset(
        f"acknowledged:{c.source}#{c.id}"
        for c in document.contributions
        if c.type == "case.acknowledged" and Ordered(*c.data).detail.get("bulk")
    )


def _because(step: StepRow) -> str:
    if step.kind is not StepKind.ESCALATED:
        return ""
    if step.actor is not None:
        return "by hand"
    return next((why for key, why in _BECAUSE.items() if step.key.startswith(key)), "")


def _notified(world: World, partner_tier: str, step: StepRow) -> str:
    ladder = world.policies.at(step.at).ladder(partner_tier)
    return next((rung.document.notify for rung in ladder if rung.tier == step.tier), "")


# --- what time alone brings -----------------------------------------------------------------------


def _look_again_at(
    key: str,
    document: Document,
    world: World,
    as_of: int,
    steps: Sequence[StepRow],
    since: int | None,
    clocks: Sequence[Clock],
) -> int | None:
    kind, partner_id, _ = split_key(key)
    zone = world.zone(partner_id)
    ahead = [at for c in document.contributions for at in (c.time, effective_at(c, zone))]
    ahead += [max(step.at, step.decided_at) for step in steps]
    if kind is Kind.TOUCHPOINTS:
        ahead += _touchpoints_ahead(key, document, world, as_of, since)
    ahead += world.recipients.tier_starts(partner_id)
    if kind is Kind.TICKET:
        # On a grid, the next update is owed from the moment at which this one falls due.
        ahead += [
            falls_at
            for clock in clocks
            if clock.metric == Metric.STATUS_UPDATE
            and clock.state in (ClockState.RUNNING, ClockState.PAUSED, ClockState.MET)
            and (falls_at := _falls_at(clock, Entered.OPEN)) is not None
        ]
    change = world.policies.changes_after(as_of)
    ahead += [] if change is None else [change]
    return min((at for at in ahead if at > as_of), default=None)


def _touchpoints_ahead(
    key: str, document: Document, world: World, as_of: int, since: int | None
) -> Iterator[int]:
    """When sessions begin to be owed that are not yet."""
    _, partner_id, _ = split_key(key)
    policy = world.policies.at(as_of)
    calendar = policy.calendar(world.calendar_name(partner_id))
    spans = [t.every for tier in policy.document.commitments.values() for t in tier.touchpoints]
    for session in sessions_said(document.contributions, calendar.zone, LAST):
        yield session.at
    if not spans:
        return
    first = min((c.time for c in document.contributions), default=as_of)
    # Far enough ahead to see the next one of every kind begin.
    later = max(deadline(as_of, span, calendar) for span in spans) + 7 * DAY
    for clock in clocks_of(key, document, world, later, since=first if since is None else since):
        yield clock.started_at
