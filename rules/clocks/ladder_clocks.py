"""Clocks of the ladder: what our people owe us, read from the steps that a case has taken.

Each step that asks a tier starts an `acknowledge` and, where the ladder says so, a `resolve`. They
run in the calendar of whoever was asked, from the later of effective time and decision, and their
due times are those that were stored when the step was taken.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rules.calendars import BusinessCalendar
from rules.clocks.clock import Clock, ClockState, Exclusion, Target
from rules.clocks.excuses import excuses_among
from rules.clocks.judging import Run, Terms, judge
from rules.deadlines import deadline
from rules.decision import StepKind, StepRow
from rules.subjects import Document, Ordered
from rules.world import World
from schemas.units import Span

ACKNOWLEDGE = "acknowledge"
RESOLVE = "resolve"

#: Steps by which a case asks a tier.
ASKING = frozenset(
    {
        StepKind.OPENED,
        StepKind.RAISED,
        StepKind.ESCALATED,
        StepKind.DEESCALATED,
        StepKind.REOPENED,
    }
)
_PUTTING_OFF = frozenset({StepKind.WAITING, StepKind.SNOOZED})
_TAKING_UP = frozenset({StepKind.WOKEN, StepKind.ACKNOWLEDGED})
_SETTLING = frozenset({StepKind.RESOLVED, StepKind.CLOSED})


@dataclass(frozen=True, slots=True)
class LadderTerms:
    """What a tier owes when it is asked, and in whose calendar."""

    role: str
    acknowledge: Span
    resolve: Span | None
    partner_tier: str
    calendar: BusinessCalendar
    calendar_name: str
    place: str
    """Where the policy says so: `ladders.default.management`."""


TermsOf = Callable[[StepRow], LadderTerms]


def terms_from(world: World, partner_id: str, opened_at: int) -> TermsOf:
    """The terms by the policy version that took a step, as the case's fold finds them."""

    def terms(step: StepRow) -> LadderTerms:
        versions = world.policies.versions
        policy = next((p for _, p in versions if p.hash == step.policy), world.policies.at(step.at))
        tier = world.partner_tier(partner_id, opened_at)
        rung = next(rung for rung in policy.ladder(tier) if rung.tier == step.tier).document
        asked = max(step.at, step.decided_at)
        people = world.recipients.resolve(rung.notify, partner_id, asked).people
        name = world.recipients.persons_calendar(people[0]) if people else "default"
        ladder = tier if tier in policy.document.ladders else "default"
        return LadderTerms(
            rung.notify,
            rung.acknowledge_within,
            rung.resolve_within,
            tier,
            policy.calendar(name),
            name,
            f"ladders.{ladder}.{step.tier}",
        )

    return terms


def ladder_clocks(
    subject: str,
    steps: Sequence[StepRow],
    document: Document,
    terms_of: TermsOf,
    as_of: int,
    *,
    over_by: int | None = None,
    cycles: Collection[str] = (),
) -> list[Clock]:
    """The `acknowledge` and `resolve` clocks of a case, as they stand at an instant.

    The document of the subject keeps when resolving falls due, and the commands behind the steps.
    Steps that were withdrawn, and those that came after `as_of`, are left out. With `over_by` so
    are visits to a tier that were over by then, unless they are among `cycles`.
    """
    standing = sorted(
        (s for s in steps if s.withdrawn_at is None and max(s.at, s.decided_at) <= as_of),
        key=lambda s: (s.n, s.key),
    )
    assigned = {
        f"assigned:{c.source}#{c.id}": str(Ordered(*c.data).detail["to"])
        for c in document.contributions
        if c.type == "case.assigned"
    }
    moves = [n for n, step in enumerate(standing) if step.kind in ASKING]
    clocks: list[Clock] = []
    cycle = 0
    for n, end in zip_longest(moves, moves[1:]):
        ask = standing[n]
        known = document.taken.get(ask.key)
        resolve_due = None if known is None else known.resolve_due
        if ask.due is None and resolve_due is None:
            continue
        cycle += 1
        following = None if end is None else standing[end]
        if (
            over_by is not None
            and following is not None
            and max(following.at, ask.at, ask.decided_at) < over_by
            and str(cycle) not in cycles
        ):
            continue
        terms = terms_of(ask)
        then = standing[n + 1 : end]
        visit = _Visit(subject, str(cycle), ask, resolve_due, then, following, terms, assigned)
        excuses = excuses_among(subject, document.contributions, as_of, visit.holder_at)
        for run, history in visit.runs(terms_of):
            clock = judge(run, history, as_of, excuses, visit.holder_at)
            if clock is not None:
                clock.recorded_at = visit.recorded_at(clock)
                clocks.append(clock)
    return clocks


@dataclass(frozen=True, slots=True)
class _Visit:
    """A case at a tier: the step that asked, and what was done until the next one."""

    subject: str
    cycle: str
    ask: StepRow
    resolve_due: int | None
    then: Sequence[StepRow]
    following: StepRow | None
    """The step that asked the next tier, or this one anew."""
    terms: LadderTerms
    assigned: Mapping[str, str]
    """Key of a step to whom it gave the case."""

    @property
    def start(self) -> int:
        """Nobody is late for an alert that they had not got."""
        return max(self.ask.at, self.ask.decided_at)

    def runs(self, terms_of: TermsOf) -> Iterator[tuple[Run, Sequence[Terms]]]:
        """What the step asked for, with what was owed when."""
        if self.ask.due is not None:
            span = self.terms.acknowledge
            yield (
                self._run(ACKNOWLEDGE, self._acknowledged(), ()),
                self._terms(ACKNOWLEDGE, span, self.ask.due, terms_of),
            )
        due = self.resolve_due
        if due is not None and self.terms.resolve is not None:
            yield (
                self._run(RESOLVE, self._resolved(), tuple(self._put_off())),
                self._terms(RESOLVE, self.terms.resolve, due, terms_of),
            )

    def _run(
        self,
        metric: str,
        ended: tuple[int, ClockState, str] | None,
        excluded: tuple[Exclusion, ...],
    ) -> Run:
        at, state, reason = (None, ClockState.MET, "") if ended is None else ended
        return Run(
            self.subject,
            metric,
            self.cycle,
            self.start,
            self.ask.decided_at,
            at,
            state,
            reason,
            excluded,
            escalation_tier=self.ask.tier,
        )

    def _terms(self, metric: str, span: Span, due: int, terms_of: TermsOf) -> Sequence[Terms]:
        """As asked, and as a move to another policy version changed it."""
        found = [self._term(self.ask.at, self.terms, metric, span, due)]
        for step in self.then:
            if step.kind is not StepKind.MOVED:
                continue
            terms = terms_of(step)
            within = terms.acknowledge if metric == ACKNOWLEDGE else terms.resolve
            planned = None if within is None else deadline(self.start, within, terms.calendar)
            found.append(self._term(step.at, terms, metric, within, planned))
        return found

    @staticmethod
    def _term(
        since: int, terms: LadderTerms, metric: str, span: Span | None, due: int | None
    ) -> Terms:
        target = None
        if span is not None:
            why = f"what the {terms.role.replace('_', ' ')} owes"
            target = Target(metric, span, f"{terms.place}.{metric}_within", why)
        return Terms(since, 0, target, terms.partner_tier, terms.calendar, terms.calendar_name, due)

    def _acknowledged(self) -> tuple[int, ClockState, str] | None:
        for step in self.then:
            by_hand = step.actor is not None
            if step.kind is StepKind.ACKNOWLEDGED or step.kind in _PUTTING_OFF:
                return self._at(step), ClockState.MET, ""
            if step.kind is StepKind.ASSIGNED and self.assigned.get(step.key) == step.actor:
                return self._at(step), ClockState.MET, ""
            if step.kind in _SETTLING:
                state = ClockState.MET if by_hand else ClockState.CANCELLED
                return self._at(step), state, "" if by_hand else "settled without it"
            if step.kind is StepKind.RETRACTED:
                return self._at(step), ClockState.CANCELLED, "the case was retracted"
        return self._moved_on(ACKNOWLEDGE)

    def _resolved(self) -> tuple[int, ClockState, str] | None:
        for step in self.then:
            if step.kind in _SETTLING:
                return self._at(step), ClockState.MET, ""
            if step.kind is StepKind.RETRACTED:
                return self._at(step), ClockState.CANCELLED, "the case was retracted"
        return self._moved_on(RESOLVE)

    def _moved_on(self, metric: str) -> tuple[int, ClockState, str] | None:
        """The next tier was asked. After a breach that is at the due time itself."""
        following = self.following
        if following is None:
            return None
        late = self._breach(metric) is not None
        at = self._at(following) + late
        return at, ClockState.CANCELLED, f"{following.kind} to {following.tier}"

    def _breach(self, metric: str) -> StepRow | None:
        prefix = f"breached:{metric}:"
        return next(
            (s for s in self.then if s.kind is StepKind.BREACHED and s.key.startswith(prefix)), None
        )

    def _at(self, step: StepRow) -> int:
        return max(step.at, self.start)

    def _put_off(self) -> Iterator[Exclusion]:
        since: StepRow | None = None
        for step in self.then:
            if step.kind in _PUTTING_OFF and since is None:
                since = step
            elif since is not None and (step.kind in _TAKING_UP or step.kind in _SETTLING):
                yield _pause(since, step)
                since = None
        if since is not None:
            yield _pause(since, None)

    def holder_at(self, at: int) -> str:
        """Who had taken the case then; the role that was asked if nobody had."""
        owner = self.terms.role
        for step in self.then:
            if step.at <= at and step.kind is StepKind.ACKNOWLEDGED and step.actor is not None:
                owner = step.actor
            if step.at <= at and step.kind is StepKind.ASSIGNED:
                owner = self.assigned.get(step.key, owner)
        return owner

    def recorded_at(self, clock: Clock) -> int | None:
        """When the breach was decided; not before it passed."""
        if clock.breached_at is None:
            return None
        decided = self._breach(clock.metric)
        return clock.recorded_at if decided is None else decided.decided_at


def _pause(step: StepRow, until: StepRow | None) -> Exclusion:
    return Exclusion(
        step.at,
        None if until is None else until.at,
        "waiting on partner" if step.kind is StepKind.WAITING else "snoozed",
        step.actor or "",
        step.decided_at,
        0 if until is None else until.decided_at,
    )
