"""The fold: one subject's contributions and clocks, walked in the order of time, as a case.

`fold` is a pure function. It replays everything that is known of a subject from the beginning:
facts are judged at each instant at which they could have changed, deadlines fire where they
fall between them, commands act where they were given. What comes out is compared with the steps
already taken: a step that is new is taken (and told) now, one that no longer stands is
withdrawn. So disorder, duplicates, corrections and retraction need no cases of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rules import cases
from rules.conditions import Atom, atoms
from rules.deadlines import deadline
from rules.decision import (
    CaseRow,
    Effect,
    EffectKind,
    Kind,
    Occurrence,
    State,
    StepKind,
    StepRow,
)
from rules.effects import effects_of
from rules.facts import Facts
from rules.orders import Order, effective_at, version_of
from rules.patterns import Pattern, dimension_of
from rules.policy import CompiledPolicy, CompiledRule, LadderStep, RuleSet
from rules.subjects import Contribution, Document, Ordered, Taken, case_id, split_key, subject_key
from rules.tickets import Disruption, Metric, Ticket
from rules.world import DisruptionSpan, Horizon, World
from schemas.policy import WATCH, Mode
from schemas.time import Instant, iso
from schemas.units import Unit

Subject = Order | Ticket | Disruption | Metric | Pattern

#: Keys of retractions that were decided by comparison and are not folded again.
_RETRACTED_BY_COMPARISON = "retracted!"


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


@dataclass(slots=True)
class Folded:
    """What a fold finds: the document to store, and the case with its news."""

    document: Document
    began_at: int | None
    feeds_due: int | None
    people_due: int | None
    case: CaseRow | None
    steps: list[StepRow] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    occurrences: list[Occurrence] = field(default_factory=list)
    reopened_or_settled: State | None = None


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


def fold(
    key: str,
    document: Document,
    world: World,
    horizon: Horizon,
    now: int,
    *,
    tell: bool = True,
    virtual: bool = False,
    pattern: Pattern | None = None,
    occurrences: Sequence[Occurrence] = (),
) -> Folded:
    """Fold a subject. `now` is the decision time of whatever is decided for the first time.

    In a replay (`virtual`) a deadline is decided at its own time, or as soon after as could be.
    With `tell` False everything is decided and nothing is told, as when history is imported.
    A pattern comes with its occurrences, which are not part of its document.
    """
    return _Story(key, document, world, horizon, now, tell, virtual, pattern, occurrences).fold()


class _Story:
    """The walk through one subject's time. Lives for one fold."""

    def __init__(
        self,
        key: str,
        document: Document,
        world: World,
        horizon: Horizon,
        now: int,
        tell: bool,
        virtual: bool,
        pattern: Pattern | None,
        occurrences: Sequence[Occurrence],
    ) -> None:
        self.key = key
        self.kind, self.partner_id, self.name = split_key(key)
        self.case_id = case_id(key)
        self.document = document
        self.world = world
        self.horizon = horizon
        self.feeds = max(horizon.feeds(self.kind), document.read_until)
        self.now = now
        self.tell = tell
        self.virtual = virtual
        self.deciding_at = now
        """When what is judged right now is decided, if it was not before."""
        self.zone = world.zone(self.partner_id)
        self.entries: list[tuple[int, tuple[int, str, str], Contribution | Occurrence]] = sorted(
            [(effective_at(c, self.zone), version_of(c), c) for c in document.contributions]
            + [(o.at, (o.at, o.subject, ""), o) for o in occurrences],
            key=lambda entry: entry[:2],
        )
        first = self.entries[0][0] if self.entries else now
        self.policy = world.policies.at(first)
        self.subject: Subject = pattern or make_subject(
            self.kind, self.name, self.partner_id, world, self.policy
        )
        self.known_since = max((c.recorded for c in document.contributions), default=0)
        self.outcomes: Mapping[str, int] = {}
        self.steps: list[Step] = []
        self.times: dict[str, int] = {}
        """How often the walk has come by each key."""
        self.state: State | None = None
        self.rank = -1
        self.highest = -1
        self.tier = WATCH
        self.owner: str | None = None
        self.disputed = False
        self.excused = False
        self.in_shadow = False
        self.parent: DisruptionSpan | None = None
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

    # -- the walk ------------------------------------------------------------------------------

    def fold(self) -> Folded:
        self.outcomes = self._final_outcomes()
        feeds = self.feeds
        entries = self.entries
        n = 0
        last = -1
        while True:
            following = entries[n][0] if n < len(entries) else None
            silence = self._next_silence(last, feeds)
            people = self._next_people()
            if people is not None and people > self.horizon.people:
                people = None
            fires = min((d for d in (silence, people) if d is not None), default=None)
            change = self.world.policies.changes_after(last + 1)
            if change is not None and change <= min(
                at for at in (feeds, fires, following) if at is not None
            ):
                last = change - 1
                self._turn_to_policy(change, feeds)
            elif following is not None and (fires is None or following <= fires):
                # What happened at the very instant of a deadline is read before it.
                self.deciding_at = self.now
                end = n
                while end < len(entries) and entries[end][0] == following:
                    end += 1
                self._take_in(entries[n:end], following, feeds)
                # A deadline at this very instant is still to come.
                n, last = end, max(last, following - 1)
            elif fires is None:
                break
            elif fires == silence:
                last = fires
                self._decide_at(fires, lag=self.horizon.people - feeds)
                # Just after the deadline, for "more than" is strict.
                self.subject.ask(fires + 1, fires + 1)
                self._judge(fires, fires + 1, disprove=False)
            else:
                self._decide_at(fires, lag=0)
                self._expire(fires)
        return self._compare(feeds)

    def _turn_to_policy(self, change: int, feeds: int) -> None:
        """A new policy holds for what still goes on; what is over was judged by the old one."""
        self.subject.ask(change, change)
        if self.subject.since() is not None and not isinstance(self.subject, Pattern):
            self._decide_at(change, lag=self.horizon.people - feeds)
            self._judge(change, change, disprove=False)

    def _decide_at(self, at: int, lag: int) -> None:
        if self.virtual:
            self.deciding_at = max(at + lag, self.known_since)

    def _final_outcomes(self) -> Mapping[str, int]:
        if len(self.entries) < 2 or isinstance(self.subject, Pattern):
            return {}
        final = make_subject(self.kind, self.name, self.partner_id, self.world, self.policy)
        for at, _, entry in self.entries:
            if isinstance(entry, Contribution):
                final.apply(entry, at)
        return final.outcomes()

    def _next_silence(self, last: int, feeds: int) -> int | None:
        """The next deadline of silence that is proven: read past, or what came came later."""
        best: int | None = None
        for due, what in self.subject.silences(self._rules(last + 1)):
            if due <= last or (best is not None and due >= best):
                continue
            if due <= feeds or self.outcomes.get(what, -1) > due:
                best = due
        return best

    def _rules(self, at: int) -> RuleSet:
        steady = self.world.steady_rules(self.kind, self.partner_id, at)
        if steady is not None:
            return steady
        tier = self.world.partner_tier(self.partner_id, at)
        calendar = self.world.calendar_name(self.partner_id)
        return self.world.policies.at(at).rule_set(self.kind, tier, calendar)

    def _take_in(
        self,
        group: Sequence[tuple[int, tuple[int, str, str], Contribution | Occurrence]],
        at: int,
        feeds: int,
    ) -> None:
        commands: list[Contribution] = []
        news: list[Contribution] = []
        for _, _, entry in group:
            if isinstance(entry, Occurrence):
                assert isinstance(self.subject, Pattern)
                self.subject.occur(entry)
            elif _is_command(entry):
                commands.append(entry)
                if isinstance(self.subject, Ticket):
                    self.subject.apply(entry, at)  # who holds its clocks, what excuses them
                    if entry.type in ("case.moved", "clock.excused"):
                        news.append(entry)
            else:
                self.subject.apply(entry, at)
                news.append(entry)
        if news or len(commands) < len(group):
            self.subject.ask(at, min(at, feeds))
            self._judge(at, at, disprove=True)
            for entry in news:
                self._react(entry, at)
        for command in commands:
            self._obey(command, at)

    # -- facts and rules -----------------------------------------------------------------------

    def _judge(self, at: int, asked_at: int, *, disprove: bool) -> None:
        """Hold the rules against the facts of this instant."""
        policy = self.world.policies.at(at)
        if disprove and (self.matched or self.occurring):
            self._disprove(at)
        newly = list(self._new_hits(policy, at))
        hits = []
        for hit in newly:
            if (
                hit.rule is not None
                and hit.rule.repeats is not None
                and self.kind is not (Kind.PATTERN)
            ):
                self.occurring[hit.name] = hit
            else:
                self.matched[hit.name] = hit
                hits.append(hit)
        if hits:
            self._react_to_hits(hits, policy, at)

    def _new_hits(self, policy: CompiledPolicy, at: int) -> Iterator[Hit]:
        document = policy.document
        in_shadow = document.mode is Mode.SHADOW or self.partner_id in document.shadow.partners
        if isinstance(self.subject, Pattern):
            yield from self._pattern_hits(policy, at, in_shadow)
            return
        if isinstance(self.subject, Ticket) and self.subject.urgent():
            tier = document.exceptions.urgent_tickets
            if "urgent-ticket" not in self.matched:
                yield Hit(
                    "urgent-ticket", policy.ranks[tier], tier, at, ["marked urgent"], in_shadow
                )
        if isinstance(self.subject, Disruption) and self.subject.began_at is not None:
            severity = self.subject.severity() or ""
            tier = policy.disruption_tier(severity)
            if "disruption" not in self.matched:
                why = [f"{self.subject.summary()} (severity {severity})"]
                yield Hit("disruption", policy.ranks[tier], tier, at, why, in_shadow)
        for rule in self._rules(at).rules:
            if rule.name in self.matched or rule.name in self.occurring:
                continue
            if rule.test(self.subject):
                facts = {atom.fact for atom, _ in rule.proofs}
                yield Hit(
                    rule.name,
                    rule.rank,
                    rule.tier,
                    at,
                    self._why(rule),
                    in_shadow or rule.shadow,
                    rule,
                    attachable="delay" in facts and "impact" not in facts,
                )

    def _pattern_hits(self, policy: CompiledPolicy, at: int, in_shadow: bool) -> Iterator[Hit]:
        assert isinstance(self.subject, Pattern)
        for n, repeats in policy.pattern_rules:
            rule = policy.document.rules[n]
            if rule.name != self.subject.of.rule or rule.name in self.matched:
                continue
            counted = self.subject.occurrences()
            if counted is not None and counted[0] >= repeats.times:
                yield Hit(
                    rule.name,
                    policy.ranks[rule.open_at],
                    rule.open_at,
                    at,
                    [f"{self.subject.of.value}: {counted[1]}, at least {repeats.text}"],
                    in_shadow or rule.mode is Mode.SHADOW,
                )

    def _why(self, rule: CompiledRule) -> list[str]:
        lines = []
        for atom, test in rule.proofs:
            words = self.subject.in_words(atom.fact)
            if words and test(self.subject):
                lines.append(_comparison(atom, words))
        return lines or [f"{rule.name} holds"]

    def _disprove(self, at: int) -> None:
        """Take back what better evidence shows to have been wrong."""
        if isinstance(self.subject, Order):
            self.subject.hindsight = True
        wrong = [
            name
            for name, hit in self.matched.items()
            if hit.rule is not None and hit.rule.still(self.subject) is False
        ]
        gone = [
            name
            for name, hit in self.occurring.items()
            if hit.rule is not None and hit.rule.still(self.subject) is False
        ]
        if isinstance(self.subject, Order):
            self.subject.hindsight = False
        for name in gone:
            del self.occurring[name]
        if not wrong:
            return
        lost = [self.matched.pop(name) for name in wrong]
        why = [f"{hit.name} no longer holds: {self._now_in_words(hit)}" for hit in lost]
        best = max((hit.rank for hit in self.matched.values()), default=None)
        if best is None or (best < 0 <= self.rank):
            self._step(StepKind.RETRACTED, f"retracted:{self.episode}", at, "proved wrong", why=why)
            self._stop_clocks()
            if best is not None:
                # What is left begins anew: what follows is not part of what was wrong.
                self.episode += 1
                self.opened_at = at
                self._step(StepKind.WATCHED, f"watched:{self.episode}", at, "watched", why=why)
        elif self.state in cases.ACTIVE and max(hit.rank for hit in lost) >= self.rank > best:
            tier = self.policy.tiers[best]
            self._move(
                StepKind.DEESCALATED,
                f"deescalated:{self.episode}:{','.join(wrong)}",
                best,
                at,
                f"back to {tier}: what raised it was wrong",
                why,
            )

    def _now_in_words(self, hit: Hit) -> str:
        if hit.rule is None:
            return ""
        return "; ".join(
            words
            for atom, _ in hit.rule.proofs
            if (words := self.subject.in_words(atom.fact)) and atom.fact in ("delay", "impact")
        )

    def _react_to_hits(self, hits: list[Hit], policy: CompiledPolicy, at: int) -> None:
        best = max(hits, key=lambda hit: hit.rank)
        names = [hit.name for hit in hits]
        why = [f"{hit.name}: {line}" for hit in hits for line in hit.why]
        if self.state in (None, State.RETRACTED, State.WATCH):
            if best.rank < 0:
                if self.state is not State.WATCH:
                    self.episode += 1
                    self.opened_at = at
                    self._step(
                        StepKind.WATCHED,
                        f"watched:{self.episode}",
                        at,
                        "watched",
                        why=why,
                        rules=names,
                    )
                return
            if self.state is not State.WATCH:
                self.episode += 1
            self.policy = policy
            self.opened_at = at
            self.parent = self._disruption_over(at) if best.attachable else None
            key = f"opened:{self.episode}"
            if self.parent is not None:
                self._set_tier(best.rank)
                self._step(
                    StepKind.ATTACHED,
                    key,
                    at,
                    f"attached to the disruption {self.parent.summary!r}",
                    why=why,
                    rules=names,
                )
                return
            self._move(
                StepKind.OPENED, key, best.rank, at, f"opened at {best.tier}", why, rules=names
            )
        elif self.state in (State.RESOLVED, State.CLOSED):
            if best.rank >= 0:
                self.policy = policy
                self.episode += 1
                self.excused = False
                self._move(
                    StepKind.REOPENED,
                    f"reopened:{self.episode}",
                    best.rank,
                    at,
                    f"reopened at {best.tier}",
                    why,
                    rules=names,
                )
        elif best.rank > self.rank or (self.parent and not best.attachable and best.rank >= 0):
            self.parent = None
            self._move(
                StepKind.RAISED,
                f"raised:{self.episode}",
                best.rank,
                at,
                f"raised to {best.tier}",
                why,
                rules=names,
            )
        else:
            self._step(
                StepKind.MATCHED,
                f"matched:{self.episode}:{','.join(names)}",
                at,
                f"{', '.join(names)} as well",
                why=why,
                rules=names,
            )

    def _disruption_over(self, at: int) -> DisruptionSpan | None:
        if not isinstance(self.subject, Order):
            return None
        for span in self.world.disruptions:
            if span.covers(at) and span.selects(
                self.partner_id, self.name, self.subject.carriers, self.subject.lanes
            ):
                return span
        return None

    def _react(self, entry: Contribution, at: int) -> None:
        """News that acts on the case by itself: a ticket settled, a partner who answers."""
        if entry.type == "ticket.status" and entry.data[0] in ("resolved", "closed"):
            if self.state in cases.ACTIVE:
                self._settle(
                    StepKind.RESOLVED, _key("resolved", entry), at, None, f"ticket {entry.data[0]}"
                )
        elif (
            entry.type == "ticket.message"
            and entry.data == ["partner", "reply"]
            and self.state is State.WAITING
        ):
            self._wake(_key("woken", entry), at, "the partner answered")

    # -- steps ---------------------------------------------------------------------------------

    def _step(
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
        fresh = taken is None or taken.withdrawn_at is not None
        self.state = cases.after(self.state, kind) or self.state
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
            shadow=self._is_shadow(),
            episode=self.episode,
        )
        self.steps.append(step)
        return step

    def _is_shadow(self) -> bool:
        active = [hit for hit in self.matched.values() if hit.rank >= 0]
        if active:  # what is taken back is told to those who heard of it
            self.in_shadow = all(hit.shadow for hit in active)
        return self.in_shadow

    def _set_tier(self, rank: int) -> None:
        self.rank = rank
        self.highest = max(self.highest, rank)
        self.tier = self.policy.tiers[rank]

    def _move(
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
        self._set_tier(rank)
        # Asking another tier is another step, whatever made it be asked.
        key = f"{key}:{self.tier}"
        step = self._step(kind, key, at, summary, why=why, rules=rules, actor=actor, note=note)
        self.visit += 1
        self.wake_at = self.paused_at = self.climb_at = None
        self.clock_base = max(step.at, step.decided_at)
        taken = self.document.taken.get(step.key)
        if kind is StepKind.DEESCALATED and was_acknowledged:
            self.state = step.state = State.ACKNOWLEDGED  # owned already; only the tier is lower
        if taken is not None and not step.fresh:
            self.ack_due, self.resolve_due = taken.due, taken.resolve_due
        else:
            self._compute_dues()
        if self.state is State.ACKNOWLEDGED:
            self.ack_due = None
        step.due, step.resolve_due = self.ack_due, self.resolve_due
        step.alerts = True

    def _ladder_step(self) -> LadderStep:
        tier = self.world.partner_tier(self.partner_id, self.opened_at)
        return self.policy.ladder(tier)[self.rank]

    def _compute_dues(self) -> None:
        step = self._ladder_step()
        calendar = self.world.people_calendar(
            self.policy, step.document.notify, self.partner_id, self.clock_base
        )
        self.ack_due = deadline(self.clock_base, step.document.acknowledge_within, calendar)
        within = step.document.resolve_within
        self.resolve_due = None if within is None else deadline(self.clock_base, within, calendar)

    def _stop_clocks(self) -> None:
        self.ack_due = self.resolve_due = self.climb_at = None
        self.wake_at = self.paused_at = None

    # -- clocks of the ladder ------------------------------------------------------------------

    def _people_deadlines(self) -> Iterator[tuple[int, str]]:
        if self.parent is not None:
            return
        if self.state is State.OPEN and self.ack_due is not None:
            yield self.ack_due, "acknowledge"
        if self.state in cases.TICKING:
            if self.resolve_due is not None:
                yield self.resolve_due, "resolve"
            if self.climb_at is not None:
                yield self.climb_at, "climb"
        if self.state in (State.WAITING, State.SNOOZED) and self.wake_at is not None:
            yield self.wake_at, "wake"

    def _next_people(self) -> int | None:
        return min((due for due, _ in self._people_deadlines()), default=None)

    def _expire(self, at: int) -> None:
        what = min(self._people_deadlines())[1]
        match what:
            case "wake":
                self._wake(f"woken:{self.visit}:{at}", at, "the time it was put off to has come")
            case "climb":
                self.climb_at = None
                self._climb(at, f"climbed:{self.visit}", ["old enough for the next tier now"])
            case _:
                role = self._ladder_step().document.notify.replace("_", " ")
                asked = self._local(self.clock_base)
                due = self._local(at)
                if what == "acknowledge":
                    self.ack_due = None
                    why = f"asked {asked}, not acknowledged by {due}"
                else:
                    self.resolve_due = None
                    why = f"asked {asked}, not resolved by {due}"
                self._step(
                    StepKind.BREACHED,
                    f"breached:{what}:{self.tier}:{self.visit}",
                    at,
                    f"{self.tier} ({role}) did not {what} in time",
                    why=[why],
                )
                self._climb(at, f"escalated:{what}:{self.visit}", [why])

    def _climb(self, at: int, key: str, why: list[str]) -> None:
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
            self.subject.ask(at + 1, min(at + 1, self.feeds))
            if test(_CaseFacts(self.subject, self.opened_at, at + 1)) is not True:
                reason = f"{upper.tier} is only for cases that meet its only_when"
                self.climb_at = self._old_enough_at(upper, calendar, at)
        if reason:
            self._step(
                StepKind.NOT_CLIMBED,
                f"not climbed:{key}",
                at,
                f"not escalated: {reason}",
                why=[*why, reason, "the stand-in and operations are told instead"],
            )
            return
        self._move(
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

    def _wake(self, key: str, at: int, why: str) -> None:
        self._resume(at)
        self._step(StepKind.WOKEN, key, at, "back to work", why=[why])
        self.wake_at = None

    def _pause(self, at: int) -> None:
        if self.paused_at is None:
            self.paused_at = at
        self.ack_due = None  # somebody has it in hand

    def _resume(self, at: int) -> None:
        """The time for which the case was put off does not count against its owner."""
        if self.paused_at is None:
            return
        within = self._ladder_step().document.resolve_within
        if (
            self.resolve_due is not None
            and within is not None
            and self.paused_at < (self.resolve_due)
        ):
            if within.unit in (Unit.BUSINESS_TIME, Unit.BUSINESS_DAYS):
                role = self._ladder_step().document.notify
                calendar = self.world.people_calendar(self.policy, role, self.partner_id, at)
                left = calendar.between_us(self.paused_at, self.resolve_due)
                self.resolve_due = calendar.add_us(at, left)
            else:
                self.resolve_due += at - self.paused_at
        self.paused_at = None

    # -- commands ------------------------------------------------------------------------------

    def _obey(self, command: Contribution, at: int) -> None:
        """A person's decision, on the same road as everything else."""
        said = Ordered(*command.data)
        verb = command.type.partition(".")[2]
        key = _key(verb, command)
        if self.state in (None, State.WATCH):
            return  # kept in the document; there is nothing that it could act on yet
        if self.state is State.RETRACTED and verb != "commented":
            self._remark(key, at, said, f"{verb}: came when the case had been retracted")
            return
        match verb:
            case "acknowledged":
                self._acknowledge(key, at, said)
            case "assigned":
                self._assign(key, at, said)
            case "escalated":
                self._escalate_by_hand(key, at, said)
            case "deescalated":
                self._deescalate_by_hand(key, at, said)
            case "waiting" | "snoozed":
                self._put_off(verb, key, at, said)
            case "resolved" | "closed":
                kind = StepKind.RESOLVED if verb == "resolved" else StepKind.CLOSED
                if cases.after(self.state, kind) is None:
                    self._remark(key, at, said, f"{verb}: the case was {self.state} already")
                    return
                why = [
                    f"{name.replace('_', ' ')}: {said.detail[name]}"
                    for name in ("root_cause", "action", "prevention")
                    if name in said.detail
                ]
                self._settle(kind, key, at, said, f"{verb} by {said.actor}", why)
            case "reopened":
                if cases.after(self.state, StepKind.REOPENED) is None:
                    self._remark(key, at, said, f"reopened: the case was {self.state}")
                    return
                self.episode += 1
                self._move(
                    StepKind.REOPENED,
                    key,
                    max(self.rank, 0),
                    at,
                    f"reopened by {said.actor}",
                    actor=said.actor,
                    note=said.note,
                )
            case "moved":
                self.policy = self.world.policies.at(at)
                if self.rank >= 0:
                    self._set_tier(min(self.rank, len(self.policy.tiers) - 1))
                self._step(
                    StepKind.MOVED,
                    key,
                    at,
                    "judged under the policy in force now",
                    actor=said.actor,
                    note=said.note,
                )
                if self.state in cases.TICKING and self.parent is None:
                    acknowledged = self.state is State.ACKNOWLEDGED
                    self._compute_dues()
                    if acknowledged:
                        self.ack_due = None
            case "disputed":
                self.disputed = True
                self._step(
                    StepKind.DISPUTED,
                    key,
                    at,
                    f"disputed by {said.actor}",
                    why=[f"evidence: {said.detail.get('evidence', '')}"],
                    actor=said.actor,
                    note=said.note,
                )
            case "dispute_decided":
                self._decide_dispute(key, at, said)
            case "excused":
                self._remark(key, at, said, f"clock {said.detail.get('clock')} excused")
            case _:
                self._remark(key, at, said, f"comment by {said.actor}")

    def _remark(self, key: str, at: int, said: Ordered, summary: str) -> None:
        self._step(StepKind.COMMENTED, key, at, summary, actor=said.actor, note=said.note)

    def _may_own(self, said: Ordered) -> bool:
        """A recipient of this tier, their stand-in, the owner, or who takes the case over."""
        return (
            self._ladder_step().document.notify in said.roles
            or said.actor == self.owner
            or bool(said.detail.get("take_over"))
        )

    def _acknowledge(self, key: str, at: int, said: Ordered) -> None:
        if self.state not in cases.ACTIVE:
            self._remark(key, at, said, f"acknowledged: the case was {self.state} already")
            return
        if not self._may_own(said):
            role = self._ladder_step().document.notify.replace("_", " ")
            self._remark(
                key,
                at,
                said,
                f"{said.actor} is not the {role}, their stand-in or the owner: "
                "counted as a comment",
            )
            return
        if said.detail.get("take_over"):
            self.owner = said.actor
        self._resume(at)
        self.ack_due = self.wake_at = None
        how = " with others at once" if said.detail.get("bulk") else ""
        over = " and taken over" if said.detail.get("take_over") else ""
        self._step(
            StepKind.ACKNOWLEDGED,
            key,
            at,
            f"acknowledged by {said.actor}{over}{how}",
            actor=said.actor,
            note=said.note,
        )

    def _assign(self, key: str, at: int, said: Ordered) -> None:
        to = str(said.detail["to"])
        self.owner = to
        if to == said.actor and self.state is State.OPEN:
            # Who assigns a case to themselves takes it over.
            self.ack_due = None
            self.state = State.ACKNOWLEDGED
        self._step(
            StepKind.ASSIGNED,
            key,
            at,
            f"assigned to {to} by {said.actor}",
            actor=said.actor,
            note=said.note,
        )

    def _named_rank(self, said: Ordered, default: int) -> int | None:
        to = said.detail.get("to")
        if to is None:
            return default if 0 <= default < len(self.policy.tiers) else None
        return self.policy.tiers.index(to) if to in self.policy.tiers else None

    def _escalate_by_hand(self, key: str, at: int, said: Ordered) -> None:
        rank = self._named_rank(said, self.rank + 1)
        if self.state not in cases.ACTIVE or rank is None or rank <= self.rank:
            self._remark(key, at, said, f"escalated by {said.actor}: there is no tier to go to")
            return
        self.parent = None
        self._move(
            StepKind.ESCALATED,
            key,
            rank,
            at,
            f"escalated to {self.policy.tiers[rank]} by {said.actor}",
            [said.note] if said.note else [],
            actor=said.actor,
            note=said.note,
        )

    def _deescalate_by_hand(self, key: str, at: int, said: Ordered) -> None:
        rank = self._named_rank(said, self.rank - 1)
        if self.state not in cases.ACTIVE or rank is None or rank >= self.rank:
            self._remark(key, at, said, f"deescalated by {said.actor}: there is no tier below")
            return
        self._move(
            StepKind.DEESCALATED,
            key,
            rank,
            at,
            f"deescalated to {self.policy.tiers[rank]} by {said.actor}",
            actor=said.actor,
            note=said.note,
        )

    def _put_off(self, verb: str, key: str, at: int, said: Ordered) -> None:
        kind = StepKind.WAITING if verb == "waiting" else StepKind.SNOOZED
        until = said.detail.get("until")
        if self.state not in cases.ACTIVE or not (
            self._may_own(said) or self.state is not State.OPEN
        ):
            self._remark(key, at, said, f"{verb}: only who may own the case can put it off")
            return
        if until is not None and until <= at:
            self._remark(key, at, said, f"{verb}: until a time that had passed already")
            return
        self._pause(at)
        self.wake_at = until
        end = f" until {self._local(until)}" if until is not None else ""
        what = "waiting on the partner" if verb == "waiting" else "snoozed"
        self._step(kind, key, at, f"{what}{end}, by {said.actor}", actor=said.actor, note=said.note)

    def _settle(
        self,
        kind: StepKind,
        key: str,
        at: int,
        said: Ordered | None,
        summary: str,
        why: Sequence[str] = (),
    ) -> None:
        self._stop_clocks()
        if isinstance(self.subject, Pattern):
            self.subject.reset(at)
            self.matched.clear()
        self._step(
            kind,
            key,
            at,
            summary,
            why=why,
            actor=None if said is None else said.actor,
            note=None if said is None else said.note,
        )

    def _decide_dispute(self, key: str, at: int, said: Ordered) -> None:
        owns = said.actor == self.owner or (self.owner is None and "account_manager" in said.roles)
        if not self.disputed:
            self._remark(key, at, said, "dispute decided: nobody had disputed the case")
            return
        if owns:
            self._remark(
                key, at, said, f"{said.actor} owns the case and cannot decide the dispute about it"
            )
            return
        self.disputed = False
        verdict = str(said.detail["verdict"])
        self._step(
            StepKind.DISPUTE_DECIDED,
            key,
            at,
            f"dispute decided by {said.actor}: {verdict}",
            actor=said.actor,
            note=said.note,
        )
        if verdict == "corrected":
            self._stop_clocks()
            self._step(
                StepKind.RETRACTED,
                f"retracted:{key}",
                at,
                "retracted: the dispute was right",
                actor=said.actor,
            )
        elif verdict == "excused" and self.state in cases.ACTIVE:
            self.excused = True
            self._settle(StepKind.CLOSED, f"closed:{key}", at, said, "closed: excused")

    # -- comparing with what was done ----------------------------------------------------------

    def _compare(self, feeds: int) -> Folded:
        self._forget_untold_errors()
        taken: dict[str, Taken] = {}
        news: list[Step] = []
        before = self.document.taken
        for step in self.steps:
            known = before.get(step.key)
            if known is not None and not step.fresh:
                taken[step.key] = known
            else:
                taken[step.key] = Taken(
                    step.decided_at, step.due, step.resolve_due, self.tell, shadow=step.shadow
                )
                news.append(step)
        withdrawn: list[str] = []
        for key, known in before.items():
            if key in taken:
                continue
            # What people did stays on record, even about a case that never should have been.
            stays = key.startswith(_RETRACTED_BY_COMPARISON) or key in self._command_keys()
            if known.withdrawn_at is None and not stays:
                withdrawn.append(key)
                known = known._replace(withdrawn_at=self.now)
            taken[key] = known
        if self._was_opened(withdrawn) and self.state in (None, State.WATCH):
            in_shadow = all(before[key].shadow for key in withdrawn if key.startswith("opened:"))
            news.append(self._retraction(len(before), in_shadow))
            taken[news[-1].key] = Taken(self.now, None, None, self.tell, shadow=in_shadow)
            self.steps.append(news[-1])
        case = self._case_row(taken)
        effects: list[Effect] = []
        if self.tell:
            for step in news:
                effects += effects_of(step, self, case)
        return Folded(
            self.document._replace(
                taken=taken,
                occurrences=self._occurrence_marks(),
                read_until=feeds if taken or self.occurring else 0,
            ),
            self.subject.began_at,
            self._feeds_due(feeds),
            self._next_people(),
            case,
            [self._row(n, step) for n, step in enumerate(self.steps)],
            withdrawn,
            effects,
            self._occurrences(),
        )

    def _forget_untold_errors(self) -> None:
        """Drop episodes that opened and proved wrong before anybody heard of them."""
        wrong = {
            step.episode
            for step in self.steps
            if step.kind is StepKind.RETRACTED and step.key.startswith("retracted:")
        }
        for step in self.steps:
            if step.kind in (StepKind.OPENED, StepKind.ATTACHED) and not step.fresh:
                wrong.discard(step.episode)
        if wrong:
            self.steps = [s for s in self.steps if s.episode not in wrong or s.actor is not None]
            if not any(step.kind is not StepKind.COMMENTED for step in self.steps):
                self.state = None

    def _command_keys(self) -> set[str]:
        said = self.document.contributions
        return {_key(c.type.partition(".")[2], c) for c in said if _is_command(c)}

    def _was_opened(self, withdrawn: Sequence[str]) -> bool:
        return any(key.startswith(("opened:", "retracted:")) for key in withdrawn)

    def _retraction(self, n: int, in_shadow: bool) -> Step:
        self.subject.ask(self.now, min(self.now, self.feeds))
        why = [
            words
            for fact in ("delay", "impact", "breach", "repeats")
            if (words := self.subject.in_words(fact))
        ]
        return Step(
            StepKind.RETRACTED,
            f"{_RETRACTED_BY_COMPARISON}{n}",
            WATCH,
            -1,
            self.now,
            self.now,
            True,
            None,
            self.policy,
            "retracted: what was learned later shows that nothing was wrong",
            why,
            [],
            None,
            state=State.RETRACTED,
            shadow=in_shadow,
        )

    def _case_row(self, taken: Mapping[str, Taken]) -> CaseRow | None:
        if not taken:
            return None
        state = self.state
        if state is None:
            state = State.RETRACTED
        opening = next((s for s in reversed(self.steps) if s.why and s.kind in _TELLING), None)
        due = min(self._people_deadlines(), default=None)
        started = self.opened_at or (self.steps[0].at if self.steps else self.now)
        return CaseRow(
            self.case_id,
            self.key,
            self.kind,
            self.partner_id,
            self.world.partner_tier(self.partner_id, started),
            state,
            self.tier if state is not State.WATCH else WATCH,
            self.policy.tiers[self.highest] if self.highest >= 0 else WATCH,
            self.owner,
            self.disputed,
            self._is_shadow(),
            self.parent.case_id if self.parent is not None else None,
            tuple(sorted(self.matched)),
            self.headline(opening.why if opening else []),
            Instant(started),
            Instant(max((s.decided_at for s in self.steps), default=self.now)),
            None if due is None else Instant(due[0]),
            None if due is None else due[1],
        )

    def headline(self, why: Sequence[str]) -> str:
        """Who and what, in one line."""
        who = self.partner_id or "several partners"
        return f"{who}, {self.noun()}: {why[0]}" if why else f"{who}, {self.noun()}"

    def noun(self) -> str:
        """The subject for people: `order PO-17`."""
        if isinstance(self.subject, Pattern):
            return f"pattern of {self.subject.of.by} {self.subject.of.value}"
        return f"{self.kind} {self.name}"

    def _row(self, n: int, step: Step) -> StepRow:
        return StepRow(
            self.case_id,
            step.key,
            n,
            step.kind,
            step.tier,
            Instant(step.at),
            Instant(step.decided_at),
            None if step.due is None else Instant(step.due),
            step.actor,
            step.policy.hash,
            {
                "summary": step.summary,
                "why": step.why,
                "rules": step.rules,
                "note": step.note,
                "events": self._events_until(step.at),
            },
        )

    def _events_until(self, at: int) -> list[dict[str, str]]:
        """The source events that were effective by an instant: at most the last twenty."""
        known = [
            entry
            for when, _, entry in self.entries
            if when <= at and isinstance(entry, Contribution)
        ]
        return [{"type": c.type, "source": c.source, "id": c.id} for c in known[-20:]]

    def _feeds_due(self, feeds: int) -> int | None:
        """The earliest deadline of silence that is not decided yet."""
        last = self.entries[-1][0] if self.entries else 0
        change = self.world.policies.changes_after(max(last, feeds))
        pending = [
            due
            for due, what in self.subject.silences(self._rules(max(last, feeds)))
            if due > feeds and self.outcomes.get(what, -1) <= due
        ]
        if change is not None and (pending or self.subject.since() is not None):
            pending.append(change)
        return min(pending, default=None)

    def _occurrences(self) -> list[Occurrence]:
        if self.state is State.RETRACTED and not self.occurring:
            return []
        found = []
        self.subject.ask(self.subject.at, self.subject.asked)
        for hit in self.occurring.values():
            if hit.rule is None or hit.rule.repeats is None:
                continue
            dimension = dimension_of(hit.name, hit.rule.repeats)
            for value in sorted(self._values_of(hit)):
                found.append(
                    Occurrence(self.key, dimension, value, self.partner_id, Instant(hit.at))
                )
        return found

    def _values_of(self, hit: Hit) -> frozenset[str]:
        assert hit.rule is not None and hit.rule.repeats is not None
        if hit.rule.repeats.by_sku:
            return self.subject.skus()
        named = [a.value for a, _ in hit.rule.proofs if a.fact == "category"]
        found = self.subject.categories() or frozenset()
        return found & frozenset.union(*named) if named else found

    def _occurrence_marks(self) -> list[tuple[str, str, int]]:
        return [(o.dimension, o.value, o.at) for o in self._occurrences()]

    def _local(self, instant: int) -> str:
        return iso(instant - instant % 1_000_000, self.zone).replace("T", " ")


#: Steps whose arithmetic is what a case is about.
_TELLING = frozenset(
    {StepKind.WATCHED, StepKind.OPENED, StepKind.ATTACHED, StepKind.RAISED, StepKind.REOPENED}
)


def _is_command(entry: Contribution) -> bool:
    return entry.type.startswith(("case.", "clock."))


def _key(verb: str, entry: Contribution) -> str:
    return f"{verb}:{entry.source}#{entry.id}"


def _comparison(atom: Atom, words: str) -> str:
    """The arithmetic with the limit that it was held against."""
    if atom.op in (">", ">=", "<", "<="):
        limit = f"{atom.value} %" if atom.fact == "impact" else None
        if atom.fact == "metric":
            limit = str(atom.value[1])
        return f"{words} {atom.op} {limit if limit is not None else atom.value}"
    return words
