"""The fold: one subject's contributions and clocks, walked in the order of time, as a case.

`fold` is a pure function. It replays everything that is known of a subject from the beginning:
facts are judged at each instant at which they could have changed, deadlines fire where they
fall between them, commands act where they were given. What comes out is compared with the steps
already taken: a step that is new is taken (and told) now, one that no longer stands is
withdrawn. So disorder, duplicates, corrections and retraction need no cases of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rules import transitions
from rules.case import Case, Entry, Hit, Step, Subject, make_subject, step_key
from rules.conditions import Atom
from rules.decision import (
    CalledOff,
    CaseRow,
    Effect,
    Kind,
    Occurrence,
    State,
    StepKind,
    StepRow,
)
from rules.effects import effects_of, lowered, withdrawn_step
from rules.orders import Order, effective_at, version_of
from rules.patterns import Pattern, dimension_of
from rules.policy import CompiledPolicy, CompiledRule, RuleSet
from rules.subjects import Contribution, Document, Taken, split_key
from rules.tickets import Disruption, Ticket
from rules.verbs import obey
from rules.world import DisruptionSpan, Horizon, World
from schemas.policy import WATCH, Mode
from schemas.time import Instant

#: Keys of retractions that were decided by comparison and are not folded again.
_RETRACTED_BY_COMPARISON = "retracted!"
#: What the keys of steps begin with that a passed deadline of people's brought about.
_OF_DEADLINES = ("breached:", "climbed:", "not climbed:climbed:", "cleared:")


@dataclass(slots=True)
class Folded:
    """What a fold finds: the document to store, and the case with its news."""

    document: Document
    began_at: int | None
    feeds_due: int | None
    people_due: int | None
    case: CaseRow | None
    steps: list[StepRow] = field(default_factory=list)
    """All of them, in their order."""
    withdrawn: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    called_off: list[CalledOff] = field(default_factory=list)
    """Set by whoever looks at the subject's clocks; the fold leaves it empty."""
    written: int = 0
    """So many of the steps, the first ones, stand in the store as they are."""
    occurrences: list[Occurrence] = field(default_factory=list)


def fold(  # noqa: PLR0913 - each one is something that a fold depends on
    key: str,
    document: Document,
    world: World,
    horizon: Horizon,
    now: int,
    *,
    tell: bool = True,
    virtual: bool = False,
    only_news: bool = False,
    pattern: Pattern | None = None,
    occurrences: Sequence[Occurrence] = (),
) -> Folded:
    """Fold a subject. `now` is the decision time of whatever is decided for the first time.

    In a replay (`virtual`) a deadline is decided at its own time, or as soon after as could be.
    When nothing but time has passed, `only_news` spares writing steps again that cannot have
    changed: those before the first new one that had been read past. With `tell` False everything
    is decided and nothing is told, as when history is imported. A pattern comes with its
    occurrences, which are not part of its document.
    """
    return _Story(
        key, document, world, horizon, now, tell, virtual, only_news, pattern, occurrences
    ).fold()


class _Story(Case):
    """The walk through one subject's time. Lives for one fold."""

    def __init__(  # noqa: PLR0913, PLR0917 - those of `fold`
        self,
        key: str,
        document: Document,
        world: World,
        horizon: Horizon,
        now: int,
        tell: bool,
        virtual: bool,
        only_news: bool,
        pattern: Pattern | None,
        occurrences: Sequence[Occurrence],
    ) -> None:
        kind, partner_id, name = split_key(key)
        zone = world.zone(partner_id)
        self.now = now
        self.tell = tell
        self.virtual = virtual
        self.only_news = only_news
        entries: list[Entry] = sorted(
            [(effective_at(c, zone), version_of(c), c) for c in document.contributions]
            + [(o.at, (o.at, o.subject, ""), o) for o in occurrences],
            key=lambda entry: entry[:2],
        )
        first = entries[0][0] if entries else now
        policy = world.policies.at(first)
        subject: Subject = pattern or make_subject(kind, name, partner_id, world, policy)
        super().__init__(key, document, world, horizon, now, policy, subject, entries)
        self.known_since = max((c.recorded for c in document.contributions), default=0)
        self.passed_over: list[tuple[int, str]] = []
        """People's deadlines that lie before something said and are not decided."""

    # -- the walk ------------------------------------------------------------------------------

    def fold(self) -> Folded:
        people_until = self._people_until()
        entries = self.entries
        n = 0
        last = -1
        while True:
            following = entries[n][0] if n < len(entries) else None
            silence, held = self._next_silences(last)
            people = self.next_people()
            if people is not None and people > people_until:
                if following is not None and people < following:
                    # What came later must not outrun it: once it can be decided it goes first.
                    self.passed_over.append(min(self.people_deadlines()))
                people = None
            fires = min((d for d in (silence, people) if d is not None), default=None)
            change = self.world.policies.changes_after(last + 1)
            if change is not None and change <= min(
                at for at in (self.feeds, fires, following) if at is not None
            ):
                last = change - 1
                self._turn_to_policy(change)
            elif following is not None and (fires is None or following <= fires):
                self._pass_by(held, change, following)
                # What happened at the very instant of a deadline is read before it.
                end = n
                while end < len(entries) and entries[end][0] == following:
                    end += 1
                self._decide_by(entries[n:end], following)
                self._take_in(entries[n:end], following)
                # A deadline at this very instant is still to come.
                n, last = end, max(last, following - 1)
            elif fires is None:
                break
            elif fires == silence:
                last = fires
                self._pass_by(held, change, fires + 1)
                self._decide_at(fires, lag=self.horizon.people - self.feeds)
                # Just after the deadline, for "more than" is strict.
                self.ask(fires + 1)
                self._judge(fires, disprove=False)
            else:
                self._pass_by(held, change, fires)
                self._decide_at(fires, lag=0)
                self.expire(fires)
        return self._compare()

    def _pass_by(self, held: int | None, change: int | None, until: int) -> None:
        """Look again at what cannot be decided yet and comes before what can."""
        if held is not None and held < until:
            self.look_again(held)
        if change is not None and self.feeds < change <= until and self.subject.since() is not None:
            self.look_again(change)

    def _people_until(self) -> int:
        """Up to when people's deadlines are decided: what was decided once is not taken back.

        Of several workers one may know less than another of how far the inputs were read.
        """
        decided = [
            taken.at
            for key, taken in self.document.taken.items()
            if taken.at is not None
            and taken.withdrawn_at is None
            and (key.startswith(_OF_DEADLINES) or _is_timed_wake(key, taken.at))
        ]
        return max([self.horizon.people, *decided])

    def _turn_to_policy(self, change: int) -> None:
        """A new policy holds for what still goes on; what is over was judged by the old one."""
        self.subject.ask(change, change)
        if self.subject.since() is not None and not isinstance(self.subject, Pattern):
            self._decide_at(change, lag=self.horizon.people - self.feeds)
            self._judge(change, disprove=False)

    def _decide_by(self, group: Sequence[Entry], at: int) -> None:
        """Set when what news brings about is decided; its batch must not show in a replay."""
        self.deciding_at = self.now
        if self.virtual and isinstance(self.subject, Pattern):
            self.deciding_at = max(at, self.known_since)
        elif self.virtual:
            # A command may have waited for its case: what came after it is decided after it.
            said = [entry.recorded for _, _, entry in group if isinstance(entry, Contribution)]
            self.deciding_at = max([self.now, *said])

    def _decide_at(self, at: int, lag: int) -> None:
        if self.virtual:
            self.deciding_at = max(at + lag, self.known_since)

    def _next_silences(self, last: int) -> tuple[int | None, int | None]:
        """The next deadline of silence that is proven, and the next one that is held: unproven.

        It is proven when it was read past, or when what it waits for is known to have come later.
        """
        proven: int | None = None
        held: int | None = None
        for due, what in self.subject.silences(self._rules(last + 1)):
            if due <= last:
                continue
            if due <= self.feeds or self.outcomes.get(what, -1) > due:
                proven = due if proven is None else min(due, proven)
            else:
                held = due if held is None else min(due, held)
        return proven, held

    def _rules(self, at: int) -> RuleSet:
        steady = self.world.steady_rules(self.kind, self.partner_id, at)
        if steady is not None:
            return steady
        tier = self.world.partner_tier(self.partner_id, at)
        calendar = self.world.calendar_name(self.partner_id)
        return self.world.policies.at(at).rule_set(self.kind, tier, calendar)

    def _take_in(
        self,
        group: Sequence[Entry],
        at: int,
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
            self.ask(at)
            self._judge(at, disprove=True)
            for entry in news:
                self._react(entry, at)
        for command in commands:
            obey(self, command, at)

    # -- facts and rules -----------------------------------------------------------------------

    def _judge(self, at: int, *, disprove: bool) -> None:
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
            self.step(StepKind.RETRACTED, f"retracted:{self.episode}", at, "proved wrong", why=why)
            self.stop_clocks()
            if best is not None:
                # What is left begins anew: what follows is not part of what was wrong.
                self.episode += 1
                self.opened_at = at
                self.step(StepKind.WATCHED, f"watched:{self.episode}", at, "watched", why=why)
        elif self.state in transitions.ACTIVE and max(hit.rank for hit in lost) >= self.rank > best:
            tier = self.policy.tiers[best]
            self.move(
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
                    self.step(
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
            self.parted = False
            key = f"opened:{self.episode}"
            if self.parent is not None:
                self.set_tier(best.rank)
                self.step(
                    StepKind.ATTACHED,
                    key,
                    at,
                    f"attached to the disruption {self.parent.summary!r}",
                    why=why,
                    rules=names,
                )
                return
            self.move(
                StepKind.OPENED, key, best.rank, at, f"opened at {best.tier}", why, rules=names
            )
        elif self.state in (State.RESOLVED, State.CLOSED):
            if best.rank >= 0:
                self.policy = policy
                self.episode += 1
                self.excused = False
                self.move(
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
            self.move(
                StepKind.RAISED,
                f"raised:{self.episode}",
                best.rank,
                at,
                f"raised to {best.tier}",
                why,
                rules=names,
            )
        else:
            self.step(
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
            if self.state in transitions.ACTIVE:
                self.settle(
                    StepKind.RESOLVED,
                    step_key("resolved", entry),
                    at,
                    None,
                    f"ticket {entry.data[0]}",
                )
        elif entry.type == "disruption.cleared" and self.state in transitions.ACTIVE:
            why = ["what is late under it and has not come stands for itself now"]
            self.step(StepKind.CLEARED, step_key("cleared", entry), at, "it is over", why=why)
        elif (
            entry.type == "ticket.message"
            and entry.data == ["partner", "reply"]
            and self.state is State.WAITING
        ):
            self.wake(step_key("woken", entry), at, "the partner answered")

    # -- steps ---------------------------------------------------------------------------------

    # -- comparing with what was done ----------------------------------------------------------

    def _compare(self) -> Folded:
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
                    step.decided_at,
                    step.due,
                    step.resolve_due,
                    self.tell,
                    shadow=step.shadow,
                    at=step.at,
                )
                news.append(step)
        withdrawn: list[str] = []
        gone = [key for key in before if key not in taken]
        obeyed = {self._command_of(step.key) for step in self.steps} if gone else set()
        for key in gone:
            known = before[key]
            # What people did stays on record, even about a case that never should have been; but
            # once: a word that turns out to have done something else is not what it was taken for.
            command = self._command_of(key)
            stays = key.startswith(_RETRACTED_BY_COMPARISON) or (
                command is not None and command not in obeyed
            )
            if known.withdrawn_at is None and not stays:
                withdrawn.append(key)
                taken[key] = known._replace(withdrawn_at=self.now)
            else:
                taken[key] = known
        if self._was_opened(withdrawn) and self.state in (None, State.WATCH):
            in_shadow = all(before[key].shadow for key in withdrawn if key.startswith("opened:"))
            news.append(self._retraction(len(before), in_shadow))
            taken[news[-1].key] = Taken(self.now, None, None, self.tell, shadow=in_shadow)
            self.steps.append(news[-1])
        due = min([*self.people_deadlines(), *self.passed_over], default=None)
        case = self._case_row(taken, due)
        effects: list[Effect] = []
        if self.tell:
            for step in news:
                effects += effects_of(step, self)
            effects += self._told_lower(withdrawn, news)
        return Folded(
            self.document._replace(
                taken=taken,
                occurrences=self._occurrence_marks(),
                read_until=self.feeds if taken or self.occurring else 0,
            ),
            self.subject.began_at,
            self._feeds_due(),
            None if due is None else due[0],
            case,
            [self._row(n, step) for n, step in enumerate(self.steps)],
            withdrawn,
            effects,
            occurrences=self._occurrences(),
            written=0 if withdrawn else self._written(),
        )

    def _written(self) -> int:
        """How many steps, the first ones, cannot have changed when nothing but time has passed.

        What had been read past is as it was; what was judged beyond that may turn out otherwise.
        """
        if not self.only_news:
            return 0
        read = self.document.read_until
        changes = (n for n, step in enumerate(self.steps) if step.fresh or step.at > read)
        return next(changes, len(self.steps))

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

    @cached_property
    def _commands(self) -> frozenset[str]:
        """Keys of the steps that commands ask for."""
        said = self.document.contributions
        return frozenset(step_key(c.type.partition(".")[2], c) for c in said if _is_command(c))

    def _command_of(self, key: str) -> str | None:
        """The key of the command that a step follows, if it follows one; a move names its tier."""
        if key in self._commands:
            return key
        moved = key.rpartition(":")[0]
        return moved if moved in self._commands else None

    def _was_opened(self, withdrawn: Sequence[str]) -> bool:
        return any(key.startswith(("opened:", "retracted:")) for key in withdrawn)

    def _told_lower(self, withdrawn: Sequence[str], news: Sequence[Step]) -> list[Effect]:
        """Who was told of a tier that late truth takes back hears where the case stands now."""
        if self.state not in transitions.ACTIVE or self.parent is not None:
            return []
        tiers = self.policy.tiers
        gone = [
            (tiers.index(tier), key)
            for key in withdrawn
            if (tier := key.rpartition(":")[2].partition("/")[0]) in tiers
            and self.document.taken[key].told
            and self.document.taken[key].decided_at < self.now
        ]
        top, key = max(gone, default=(-1, ""))
        if top <= self.rank:
            return []
        told = {role for step in news if step.alerts for role in self._roles(step.rank)}
        step = Step(
            StepKind.DEESCALATED,
            withdrawn_step(key, self.now),
            self.tier,
            self.rank,
            self.now,
            self.now,
            True,
            None,
            self.policy,
            f"back to {self.tier}: what was learned later takes {tiers[top]} back",
            [],
            [],
            None,
            state=self.state,
            shadow=self.document.taken[key].shadow,
        )
        tier = self.world.partner_tier(self.partner_id, self.opened_at)
        heard = lowered(step, self, self.policy.ladder(tier)[: top + 1])
        return [effect for effect in heard if effect.role not in told]

    def _roles(self, rank: int) -> list[str]:
        """The roles of a tier and of those below it."""
        tier = self.world.partner_tier(self.partner_id, self.opened_at)
        return [rung.document.notify for rung in self.policy.ladder(tier)[: rank + 1]]

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

    def _case_row(self, taken: Mapping[str, Taken], due: tuple[int, str] | None) -> CaseRow | None:
        if not taken:
            return None
        state = self.state
        if state is None:
            state = State.RETRACTED
        opening = next((s for s in reversed(self.steps) if s.why and s.kind in _TELLING), None)
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
            self.is_shadow(),
            self.parent.case_id if self.parent is not None else None,
            tuple(sorted(self.matched)),
            self.headline(opening.why if opening else []),
            Instant(started),
            Instant(max((s.decided_at for s in self.steps), default=self.now)),
            None if due is None else Instant(due[0]),
            None if due is None else due[1],
        )

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

    def _feeds_due(self) -> int | None:
        """The earliest deadline of silence that is not decided yet."""
        last = self.entries[-1][0] if self.entries else 0
        since = max(last, self.feeds)
        change = self.world.policies.changes_after(since)
        pending = [
            due
            for due, what in self.subject.silences(self._rules(since))
            if due > self.feeds and self.outcomes.get(what, -1) <= due
        ]
        if change is not None and (pending or self.subject.since() is not None):
            pending.append(change)
        if self.again_at is not None:
            pending.append(self.again_at)
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
            found += [
                Occurrence(self.key, dimension, value, self.partner_id, Instant(hit.at))
                for value in sorted(self._values_of(hit))
            ]
        return found

    def _values_of(self, hit: Hit) -> frozenset[str]:
        assert hit.rule is not None
        assert hit.rule.repeats is not None
        if hit.rule.repeats.by_sku:
            return self.subject.skus()
        named = [a.value for a, _ in hit.rule.proofs if a.fact == "category"]
        found = self.subject.categories() or frozenset()
        return found & frozenset.union(*named) if named else found

    def _occurrence_marks(self) -> list[tuple[str, str, int]]:
        return [(o.dimension, o.value, o.at) for o in self._occurrences()]


#: Steps whose arithmetic is what a case is about.
_TELLING = frozenset(
    {StepKind.WATCHED, StepKind.OPENED, StepKind.ATTACHED, StepKind.RAISED, StepKind.REOPENED}
)


def _is_timed_wake(key: str, at: int) -> bool:
    return key.startswith("woken:") and key.endswith(f":{at}")


def _is_command(entry: Contribution) -> bool:
    return entry.type.startswith(("case.", "clock."))


def _comparison(atom: Atom, words: str) -> str:
    """The arithmetic with the limit that it was held against."""
    if atom.op in (">", ">=", "<", "<="):
        limit = f"{atom.value} %" if atom.fact == "impact" else None
        if atom.fact == "metric":
            limit = str(atom.value[1])
        return f"{words} {atom.op} {limit if limit is not None else atom.value}"
    return words
