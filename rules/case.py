"""A case while it is folded: its state, tier, owner and clocks, and the steps that move it.

The walk (`rules.story`) calls it with what happens; `rules.transitions` says what a step may do.
Every step is looked up among those taken before: its decision time and its due times stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rules import transitions
from rules.conditions import atoms
from rules.deadlines import deadline
from rules.decision import Kind, Occurrence, State, StepKind
from rules.facts import Facts
from rules.orders import Order
from rules.patterns import Pattern
from rules.policy import CompiledPolicy, CompiledRule, LadderStep
from rules.subjects import Contribution, Document, Ordered, case_id, split_key, subject_key
from rules.tickets import Disruption, Metric, Ticket
from rules.world import DisruptionSpan, Horizon, World
from schemas.policy import WATCH
from schemas.time import local_text
from schemas.units import Unit

Subject = Order | Ticket | Disruption | Metric | Pattern
Entry = tuple[int, tuple[int, str, str], Contribution | Occurrence]
"""(effective time, version, what was said or occurred): what the walk takes in, in its order."""


def make_subject(
    kind: Kind, name: str, partner_id: str, world: World, policy: CompiledPolicy
) -> Subject:
    """An empty subject of a kind, ready to take contributions. Patterns are made by their fold."""
    match kind:
        case Kind.ORDER:
            return Order(world.zone(partner_id), policy.document.impact_measure)
        case Kind.TICKET:
            return Ticket(subject_key(kind, partner_id, name), partner_id, world)
        case Kind.DISRUPTION:
            return Disruption()
        case Kind.METRIC | Kind.TOUCHPOINTS:
            return Metric(name)
        case Kind.PATTERN:
            raise ValueError("a pattern is made with its occurrences")


@dataclass(slots=True)
class Hit:
    """A rule that matched and stands, or the exception channel that opened the case."""

    name: str
    rank: int
    tier: str
    at: int
    why: list[str]
    shadow: bool
    rule: CompiledRule | None = None
    attachable: bool = False
    """Only lateness speaks here: a disruption explains it."""


@dataclass(slots=True)
class Step:
    """One step of a case as the fold finds it."""

    kind: StepKind
    key: str
    tier: str
    rank: int
    at: int
    decided_at: int
    fresh: bool
    """Not taken before, or taken and withdrawn since."""
    actor: str | None
    policy: CompiledPolicy
    summary: str
    why: list[str]
    rules: list[str]
    note: str | None
    due: int | None = None
    resolve_due: int | None = None
    alerts: bool = False
    """Asks the tier to acknowledge and tells the tiers below it."""
    shadow: bool = False
    state: State | None = None
    """Where the case stood after the step."""
    episode: int = 0


class _CaseFacts(Facts):
    """The subject's facts with the age of the case: what a ladder's `only_when` asks of."""

    __slots__ = ("_opened_at", "_subject", "at")

    def __init__(self, subject: Subject, opened_at: int, at: int) -> None:
        self._subject = subject
        self._opened_at = opened_at
        self.at = at

    def since(self) -> int | None:
        return self._opened_at

    def delay(self) -> int | None:
        return self._subject.delay()

    def arrivals(self) -> Sequence[tuple[int, int]] | None:
        return self._subject.arrivals()

    def impact(self) -> Any:
        return self._subject.impact()

    def exposure(self, currency: str) -> Any:
        return self._subject.exposure(currency)

    def categories(self) -> frozenset[str] | None:
        return self._subject.categories()

    def severity(self) -> str | None:
        return self._subject.severity()

    def urgent(self) -> bool | None:
        return self._subject.urgent()

    def metric(self) -> Any:
        return self._subject.metric()

    def breaches(self) -> frozenset[str] | None:
        return self._subject.breaches()


class Case:
    """The case about one subject, as it stands at the instant that the walk has come to."""

    def __init__(
        self,
        key: str,
        document: Document,
        world: World,
        horizon: Horizon,
        now: int,
        policy: CompiledPolicy,
        subject: Subject,
        entries: Sequence[Entry],
    ) -> None:
        self.key = key
        self.kind, self.partner_id, self.name = split_key(key)
        self.case_id = case_id(key)
        self.document = document
        self.world = world
        self.horizon = horizon
        self.feeds = max(horizon.feeds(self.kind), document.read_until)
        self.deciding_at = now
        """When what is judged right now is decided, if it was not before."""
        self.zone = world.zone(self.partner_id)
        self.policy = policy
        self.subject = subject
        self.entries = entries
        self.again_at: int | None = None
        """The first instant to look at again, when it has been read past."""
        self.steps: list[Step] = []
        self.times: dict[str, int] = {}
        """How often the walk has come by each key."""
        self.state: State | None = None
        self.rank = -1
        self.highest = -1
        self.tier = WATCH
        self.owner: str | None = None
        self.disputed = False
        self.disputed_by: str | None = None
        self.excused = False
        self.in_shadow = False
        self.parent: DisruptionSpan | None = None
        self.parted = False
        """Whether the disruption's end has been asked about."""
        self.matched: dict[str, Hit] = {}
        self.occurring: dict[str, Hit] = {}
        self.episode = 0
        self.opened_at = 0
        self.visit = 0
        self.clock_base = 0
        self.ack_due: int | None = None
        self.resolve_due: int | None = None
        self.climb_at: int | None = None
        self.wake_at: int | None = None
        self.paused_at: int | None = None

    # -- facts ---------------------------------------------------------------------------------

    @cached_property
    def outcomes(self) -> Mapping[str, int]:
        """When what is awaited came in the end; asked for only where that proves a silence."""
        if len(self.entries) < 2 or isinstance(self.subject, Pattern):
            return {}
        final = make_subject(self.kind, self.name, self.partner_id, self.world, self.policy)
        for at, _, entry in self.entries:
            if isinstance(entry, Contribution):
                final.apply(entry, at)
        return final.outcomes()

    def ask(self, at: int) -> None:
        """Ask the subject about an instant. Silence counts as far as it is proven."""
        subject = self.subject
        subject.ask(at, min(at, self.feeds + 1))
        if subject.asked < at and isinstance(subject, Order | Ticket):
            overdue = list(subject.overdue())
            if overdue:
                subject.proven = self.outcomes
                if any(self.outcomes.get(what, 0) < at for what in overdue):
                    self.look_again(at)

    def look_again(self, at: int) -> None:
        """Something at an instant depends on what had not come by then, and that is not read yet.

        What is known to have happened later cannot tell, so it is walked again once it is read.
        """
        self.again_at = at if self.again_at is None else min(at, self.again_at)

    # -- words ----------------------------------------------------------------------------------

    def headline(self, why: Sequence[str]) -> str:
        """Who and what, in one line."""
        who = self.partner_id or "several partners"
        return f"{who}, {self.noun()}: {why[0]}" if why else f"{who}, {self.noun()}"

    def noun(self) -> str:
        """The subject for people: `order PO-17`."""
        if isinstance(self.subject, Pattern):
            return f"pattern of {self.subject.of.by} {self.subject.of.value}"
        return f"{self.kind} {self.name}"

    # -- steps ---------------------------------------------------------------------------------

    def step(
        self,
        kind: StepKind,
        key: str,
        at: int,
        summary: str,
        *,
        why: Sequence[str] = (),
        rules: Sequence[str] = (),
        actor: str | None = None,
        note: str | None = None,
    ) -> Step:
        times = self.times[key] = self.times.get(key, 0) + 1
        if times > 1:
            key = f"{key}/{times}"  # up, down and up again is told twice
        taken = self.document.taken.get(key)
        fresh = (
            taken is None
            or taken.withdrawn_at is not None
            # Nobody decides what has not happened yet: what was decided then was something else.
            or (taken.decided_at < at != taken.at)
        )
        self.state = transitions.after(self.state, kind) or self.state
        step = Step(
            kind,
            key,
            self.tier,
            self.rank,
            at,
            self.deciding_at if taken is None or fresh else taken.decided_at,
            fresh,
            actor,
            self.policy,
            summary,
            list(why),
            list(rules),
            note,
            state=self.state,
            shadow=self.is_shadow(),
            episode=self.episode,
        )
        self.steps.append(step)
        return step

    def is_shadow(self) -> bool:
        active = [hit for hit in self.matched.values() if hit.rank >= 0]
        if active:  # what is taken back is told to those who heard of it
            self.in_shadow = all(hit.shadow for hit in active)
        return self.in_shadow

    def set_tier(self, rank: int) -> None:
        self.rank = rank
        self.highest = max(self.highest, rank)
        self.tier = self.policy.tiers[rank]

    def move(  # noqa: PLR0913 - a step has many sides; named ones by keyword
        self,
        kind: StepKind,
        key: str,
        rank: int,
        at: int,
        summary: str,
        why: Sequence[str] = (),
        *,
        rules: Sequence[str] = (),
        actor: str | None = None,
        note: str | None = None,
    ) -> None:
        """Open, raise, escalate, reopen or move down: the tier is asked, and its clocks start."""
        was_acknowledged = self.state is State.ACKNOWLEDGED
        self.set_tier(rank)
        # Asking another tier is another step, whatever made it be asked.
        key = f"{key}:{self.tier}"
        step = self.step(kind, key, at, summary, why=why, rules=rules, actor=actor, note=note)
        self.visit += 1
        self.wake_at = self.paused_at = self.climb_at = None
        self.clock_base = max(step.at, step.decided_at)
        taken = self.document.taken.get(step.key)
        if kind is StepKind.DEESCALATED and was_acknowledged:
            self.state = step.state = State.ACKNOWLEDGED  # owned already; only the tier is lower
        if taken is not None and not step.fresh:
            self.ack_due, self.resolve_due = taken.due, taken.resolve_due
        else:
            self.compute_dues()
        if self.state is State.ACKNOWLEDGED:
            self.ack_due = None
        step.due, step.resolve_due = self.ack_due, self.resolve_due
        step.alerts = True

    def ladder_step(self) -> LadderStep:
        tier = self.world.partner_tier(self.partner_id, self.opened_at)
        return self.policy.ladder(tier)[self.rank]

    def compute_dues(self) -> None:
        step = self.ladder_step()
        calendar = self.world.people_calendar(
            self.policy, step.document.notify, self.partner_id, self.clock_base
        )
        self.ack_due = deadline(self.clock_base, step.document.acknowledge_within, calendar)
        within = step.document.resolve_within
        self.resolve_due = None if within is None else deadline(self.clock_base, within, calendar)

    def change_dues(self, since: int) -> None:
        """Count by the policy that holds now: the time already spent counts.

        But nobody is late by a policy that did not hold for the case before: what would have
        fallen due already is given the whole new time from `since`.
        """
        asked = self.clock_base
        self.compute_dues()
        ack_due, resolve_due = self.ack_due, self.resolve_due
        self.clock_base = since
        self.compute_dues()
        self.clock_base = asked
        if ack_due is not None and ack_due > since:
            self.ack_due = ack_due
        if resolve_due is not None and resolve_due > since:
            self.resolve_due = resolve_due
        if self.state is State.ACKNOWLEDGED:
            self.ack_due = None

    def stop_clocks(self) -> None:
        self.ack_due = self.resolve_due = self.climb_at = None
        self.wake_at = self.paused_at = None

    def settle(
        self,
        kind: StepKind,
        key: str,
        at: int,
        said: Ordered | None,
        summary: str,
        why: Sequence[str] = (),
    ) -> None:
        self.stop_clocks()
        if isinstance(self.subject, Pattern):
            self.subject.reset(at)
            self.matched.clear()
        self.step(
            kind,
            key,
            at,
            summary,
            why=why,
            actor=None if said is None else said.actor,
            note=None if said is None else said.note,
        )

    # -- clocks of the ladder ------------------------------------------------------------------

    def people_deadlines(self) -> Iterator[tuple[int, str]]:
        if self.parent is not None:
            if self.parent.cleared_at is not None and not self.parted:
                yield self.parent.cleared_at, "cleared"
            return
        if self.state is State.OPEN and self.ack_due is not None:
            yield self.ack_due, "acknowledge"
        if self.state in transitions.TICKING:
            if self.resolve_due is not None:
                yield self.resolve_due, "resolve"
            if self.climb_at is not None:
                yield self.climb_at, "climb"
        if self.state in (State.WAITING, State.SNOOZED) and self.wake_at is not None:
            yield self.wake_at, "wake"

    def next_people(self) -> int | None:
        return min((due for due, _ in self.people_deadlines()), default=None)

    def expire(self, at: int) -> None:
        what = min(self.people_deadlines())[1]
        match what:
            case "wake":
                self.wake(f"woken:{self.visit}:{at}", at, "the time it was put off to has come")
            case "cleared":
                self.part(at)
            case "climb":
                self.climb_at = None
                self.climb(at, f"climbed:{self.visit}", ["old enough for the next tier now"])
            case _:
                role = self.ladder_step().document.notify.replace("_", " ")
                asked = self.local(self.clock_base)
                due = self.local(at)
                if what == "acknowledge":
                    self.ack_due = None
                    why = f"asked {asked}, not acknowledged by {due}"
                else:
                    self.resolve_due = None
                    why = f"asked {asked}, not resolved by {due}"
                self.step(
                    StepKind.BREACHED,
                    f"breached:{what}:{self.tier}:{self.visit}",
                    at,
                    f"{self.tier} ({role}) did not {what} in time",
                    why=[why],
                )
                self.climb(at, f"escalated:{what}:{self.visit}", [why])

    def part(self, at: int) -> None:
        """The disruption is over: what is still to come stands for itself from now on."""
        assert self.parent is not None, "only what is attached to a disruption parts from it"
        self.parted = True
        self.ask(at)
        if self.state not in transitions.ACTIVE or self.subject.since() is None:
            return
        summary, self.parent = self.parent.summary, None
        why = [f"the disruption {summary!r} is over, and this has not come"]
        if words := self.subject.in_words("delay"):
            why.insert(0, words)
        key = f"cleared:{self.episode}"
        self.move(StepKind.OPENED, key, self.rank, at, f"opened at {self.tier}", why)

    def climb(self, at: int, key: str, why: list[str]) -> None:
        """One tier up, if there is one and it may be climbed to."""
        tier = self.world.partner_tier(self.partner_id, self.opened_at)
        ladder = self.policy.ladder(tier)
        reason = ""
        if self.rank + 1 >= len(ladder):
            reason = f"{self.tier} is the last tier"
        else:
            upper = ladder[self.rank + 1]
            calendar = self.world.calendar_name(self.partner_id)
            test = self.policy.may_climb(upper, self.kind, tier, calendar)
            self.ask(at + 1)
            if test(_CaseFacts(self.subject, self.opened_at, at + 1)) is not True:
                reason = f"{upper.tier} is only for cases that meet its only_when"
                self.climb_at = self._old_enough_at(upper, calendar, at)
        if reason:
            self.step(
                StepKind.NOT_CLIMBED,
                f"not climbed:{key}",
                at,
                f"not escalated: {reason}",
                why=[*why, reason, "the stand-in and operations are told instead"],
            )
            return
        self.move(
            StepKind.ESCALATED,
            key,
            self.rank + 1,
            at,
            f"escalated to {ladder[self.rank + 1].tier}",
            why,
        )

    def _old_enough_at(self, step: LadderStep, calendar: str, at: int) -> int | None:
        """When the case is old enough for a tier that asks for age, if it will ever be."""
        if step.only_when is None:
            return None
        ends = [
            deadline(self.opened_at, atom.value, self.policy.calendar(calendar))
            for atom in atoms(step.only_when)
            if atom.fact == "age" and atom.op in (">", ">=")
        ]
        return min((end for end in ends if end > at), default=None)

    def wake(self, key: str, at: int, why: str) -> None:
        self.resume(at)
        self.step(StepKind.WOKEN, key, at, "back to work", why=[why])
        self.wake_at = None

    def pause(self, at: int) -> None:
        if self.paused_at is None:
            self.paused_at = at
        self.ack_due = None  # somebody has it in hand

    def resume(self, at: int) -> None:
        """The time for which the case was put off does not count against its owner."""
        if self.paused_at is None:
            return
        within = self.ladder_step().document.resolve_within
        if (
            self.resolve_due is not None
            and within is not None
            and self.paused_at < (self.resolve_due)
        ):
            if within.unit in (Unit.BUSINESS_TIME, Unit.BUSINESS_DAYS):
                role = self.ladder_step().document.notify
                calendar = self.world.people_calendar(self.policy, role, self.partner_id, at)
                left = calendar.between_us(self.paused_at, self.resolve_due)
                self.resolve_due = calendar.add_us(at, left)
            else:
                self.resolve_due += at - self.paused_at
        self.paused_at = None

    def local(self, instant: int) -> str:
        """An instant in the partner's zone, for people."""
        return local_text(instant, self.zone)


def step_key(verb: str, entry: Contribution) -> str:
    """Name of the step that an event asks for: `acknowledged:/cli#17`."""
    return f"{verb}:{entry.source}#{entry.id}"
