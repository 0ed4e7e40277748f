"""Explaining: why a case is there or is not, and what happens next if nobody acts.

Nothing here decides. The rules are held against what is known of a subject with the very tests
that decide, and the future is the fold itself, asked at the subject's own next deadlines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rules.case import Subject, make_subject
from rules.conditions import (
    All,
    Atom,
    Either,
    Node,
    Not,
    Repeats,
    compile_condition,
    kinds_of,
    read_condition,
)
from rules.decision import CaseRow, Effect, Kind, Occurrence, StepRow
from rules.facts import Facts
from rules.orders import Order, effective_at, version_of
from rules.patterns import Pattern
from rules.policy import CompiledPolicy
from rules.story import Folded, fold
from rules.subjects import Document, split_key
from rules.tickets import Ticket
from rules.world import DisruptionSpan, Horizon, World
from schemas.policy import ImpactMeasure, Mode
from schemas.time import Instant

#: How many deadlines are looked at; most lead to a step, some to none.
_DEADLINES = 60


# --- what is known --------------------------------------------------------------------------------


def subject_at(key: str, document: Document, world: World, at: int, asked: int) -> Subject:
    """Everything that was said of a subject, asked about `at`; silence counts up to `asked`.

    Raises ValueError for a pattern, which is made of occurrences that are not in its document.
    """
    kind, partner_id, name = split_key(key)
    zone = world.zone(partner_id)
    said = sorted(
        ((effective_at(c, zone), version_of(c), c) for c in document.contributions),
        key=lambda entry: entry[:2],
    )
    first = said[0][0] if said else at
    subject = make_subject(kind, name, partner_id, world, world.policies.at(first))
    for when, _, contribution in said:
        subject.apply(contribution, when)
    subject.ask(at, min(at, asked))
    return subject


# --- why, and why not -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition, or a part of one, held against what is known."""

    text: str
    """As the policy writes it, or how the parts belong together: `all of`, `any of`, `not`."""
    holds: bool | None
    """None: it cannot be said, because a fact is not known."""
    because: str
    """The fact in words, or why it is not known. Empty where the parts say it."""
    parts: tuple["Verdict", ...] = ()


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """One rule of the policy, and whether it holds for a subject at this moment."""

    name: str
    open_at: str
    verdict: Verdict
    concerns: bool
    """Whether it can hold for this kind of subject at all."""
    shadow: bool

    @property
    def holds(self) -> bool | None:
        """Whether it holds; None where that cannot be said."""
        return self.verdict.holds


@dataclass(frozen=True, slots=True)
class Explanation:
    """What can be said of one subject without deciding anything."""

    key: str
    kind: Kind
    partner_id: str
    name: str
    partner_tier: str
    policy: str
    """Hash of the policy version that the answers are about."""
    rules: tuple[RuleAnswer, ...]
    remarks: tuple[str, ...]
    """What is odd about the reports, or worth knowing beside the rules."""
    held: tuple[Instant, ...]
    """Deadlines of silence that have passed and wait until the feeds have been read past them."""
    disruptions: tuple[DisruptionSpan, ...]
    """Disruptions that cover the order now: if it gets late, it is attached to the first."""


Counted = Mapping[str, tuple[int, str]]
"""Rule to how often its trouble was counted, and the count in words."""


def explain(
    key: str,
    subject: Subject,
    world: World,
    horizon: Horizon,
    now: Instant,
    counted: Counted | None = None,
) -> Explanation:
    """Hold every rule of the policy in force against a subject that was asked about `now`."""
    kind, partner_id, name = split_key(key)
    policy = world.policies.at(now)
    tier = world.partner_tier(partner_id, now)
    calendar = world.calendar_name(partner_id)
    judge = _Judge(subject, kind, tier, policy, calendar, counted or {})
    silences = subject.silences(policy.rule_set(kind, tier, calendar))
    feeds = horizon.feeds(kind)
    return Explanation(
        key,
        kind,
        partner_id,
        name,
        tier,
        policy.hash,
        tuple(judge.rules()),
        tuple(_remarks(subject)),
        tuple(sorted({Instant(due) for due, _ in silences if feeds < due <= now})),
        _over(subject, partner_id, name, world, now),
    )


def _over(
    subject: Subject, partner_id: str, name: str, world: World, now: int
) -> tuple[DisruptionSpan, ...]:
    if not isinstance(subject, Order):
        return ()
    return tuple(
        span
        for span in world.disruptions
        if span.covers(now) and span.selects(partner_id, name, subject.carriers, subject.lanes)
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Holds the parts of conditions against one subject."""

    subject: Subject
    kind: Kind
    partner_tier: str
    policy: CompiledPolicy
    calendar: str
    counted: Counted

    def rules(self) -> list[RuleAnswer]:
        answers = []
        for rule in self.policy.document.rules:
            node = read_condition(rule.when, self.policy.partner_tiers)
            shadow = Mode.SHADOW in (rule.mode, self.policy.document.mode)
            concerns = self.kind in kinds_of(node) or self._is_pattern_of(rule.name)
            answers.append(
                RuleAnswer(rule.name, rule.open_at, self.verdict(node, rule.name), concerns, shadow)
            )
        return answers

    def _is_pattern_of(self, rule: str) -> bool:
        return isinstance(self.subject, Pattern) and self.subject.of.rule == rule

    def verdict(self, node: Node, rule: str) -> Verdict:
        match node:
            case Atom():
                return self._atom(node, rule)
            case All(parts):
                found = tuple(self.verdict(part, rule) for part in parts)
                return Verdict("all of", _all(found), "", found)
            case Either(parts):
                found = tuple(self.verdict(part, rule) for part in parts)
                return Verdict("any of", _any(found), "", found)
            case Not(part):
                inner = self.verdict(part, rule)
                return Verdict(
                    "not", None if inner.holds is None else not inner.holds, "", (inner,)
                )
            case bool():
                return Verdict(str(node).lower(), node, "")

    def _atom(self, atom: Atom, rule: str) -> Verdict:
        match atom.fact:
            case "partner_tier":
                because = f"the partner is {self.partner_tier}"
                return Verdict(atom.text, self.partner_tier in atom.value, because)
            case "kind":
                return Verdict(atom.text, self.kind in atom.value, f"it is {_a(self.kind)}")
            case "repeats":
                return self._repeats(atom, rule)
            case _:
                holds = compile_condition(atom, self.policy.calendar(self.calendar))(self.subject)
                because = (
                    _unknown(atom, self.subject, self.kind)
                    if holds is None
                    else _known(atom.fact, self.subject)
                )
                return Verdict(atom.text, holds, because)

    def _repeats(self, atom: Atom, rule: str) -> Verdict:
        repeats: Repeats = atom.value
        if isinstance(self.subject, Pattern):
            counted = self.subject.occurrences() if self._is_pattern_of(rule) else None
        else:
            counted = self.counted.get(rule)
        if counted is None:
            by = "article" if repeats.by_sku else "category"
            because = f"counted over everything of the same {by}; this is not part of any count"
            return Verdict(atom.text, None, because)
        return Verdict(atom.text, counted[0] >= repeats.times, f"counted: {counted[1]}")


def _all(parts: Sequence[Verdict]) -> bool | None:
    answers = [part.holds for part in parts]
    return False if False in answers else None if None in answers else True


def _any(parts: Sequence[Verdict]) -> bool | None:
    answers = [part.holds for part in parts]
    return True if True in answers else None if None in answers else False


def _a(kind: Kind) -> str:
    return f"an {kind}" if kind is Kind.ORDER else f"a {kind}"


def _known(fact: str, subject: Facts) -> str:
    """A known fact in words."""
    match fact:
        case "urgent":
            return "marked urgent" if subject.urgent() else "not marked urgent"
        case "breach":
            return subject.in_words(fact) or "no promised answer is overdue"
        case "category":
            return subject.in_words(fact) or "nothing is wrong with it so far"
        case "exposure":
            words = subject.in_words(fact)
            return "nothing is late or affected" if words.startswith("0.00 ") else words
        case _:
            return subject.in_words(fact) or "known, without details"


def _unknown(atom: Atom, subject: Subject, kind: Kind) -> str:
    """Why a fact is not known."""
    if kind not in kinds_of(atom):
        return f"{atom.fact.replace('_', ' ')} is never known of {_a(kind)}"
    if isinstance(subject, Order):
        return _unknown_of_order(atom, subject)
    if isinstance(subject, Ticket) and subject.began_at is None:
        return "nobody has reported the opening of the ticket (ticket.opened)"
    match atom.fact:
        case "age":
            return f"the {kind} is settled, its age no longer counts"
        case "metric":
            return "another figure is meant"
        case _:
            return f"nobody has given its {atom.fact.replace('_', ' ')}"


def _unknown_of_order(atom: Atom, order: Order) -> str:
    if not order.lines:
        return "nobody has reported the order itself (order.placed)"
    match atom.fact:
        case "delay":
            open_lines = [x for x in order.lines if not x.complete_at and not x.called_off_at]
            if not open_lines:
                return "everything was called off"
            first = min(line.promise for line in open_lines)
            return f"promised {order.local(first)}; nothing is known of when it comes"
        case "impact":
            if order.measure is ImpactMeasure.VALUE:
                return f"the impact is measured by value, and {_no_price(order)}"
            return "everything was cancelled, there is nothing left to compare with"
        case "exposure" if order.currency != atom.value.currency:
            return f"the order is in {order.currency or 'no currency that was named'}"
        case "exposure":
            return _no_price(order)
        case "age":
            return "nothing more is to be expected, its age no longer counts"
        case _:
            return f"nobody has given its {atom.fact.replace('_', ' ')}"


def _no_price(order: Order) -> str:
    missing = sorted({line.sku for line in order.lines if line.price is None})
    return f"no price was given for {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}"


def _remarks(subject: Subject) -> list[str]:
    if not isinstance(subject, Order):
        return []
    said = []
    if not subject.lines:
        said.append("The order itself was never reported (order.placed): without it there is no "
                    "promise to be late against.")  # fmt: skip
    if subject.unconfirmed:
        said.append("A final delivery came without quantities: everything is taken to have come, "
                    "nobody confirmed it.")  # fmt: skip
    if subject.unknown_lines:
        said.append(f"{subject.unknown_lines} delivered or reported lines are not lines of the "
                    "order; they count for nothing.")  # fmt: skip
    if subject.agreed_later:
        said.append("The partner agreed to another promise later; the first one is kept.")
    eta = subject.best_eta()
    if eta is not None and not subject.is_done():
        said.append(f"The best forecast that stands: {subject.local(eta)}.")
    return said


# --- what happens next ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """A step that will be taken if nothing is reported and nobody acts."""

    at: Instant
    """When it will be decided: the deadline, and the time that feeds may report late."""
    step: StepRow
    case: CaseRow
    """The case as it will then stand."""
    effects: tuple[Effect, ...]
    """Whom it will tell, by role."""


Parts = Callable[[], tuple[Pattern, Sequence[Occurrence]]]
"""Makes a pattern afresh, with what it counts: a fold uses it up."""


def what_next(
    key: str,
    document: Document,
    world: World,
    now: Instant,
    horizon_at: Callable[[int], Horizon],
    *,
    limit: int = 8,
    pattern: Parts | None = None,
) -> list[Expected]:
    """The next steps of a subject if nothing is reported and nobody acts, at most `limit`.

    `horizon_at` gives up to where deadlines may be decided at an instant, as the service does.
    What is due already is expected `now`.
    """
    kind = split_key(key)[0]
    expected: list[Expected] = []
    at = now
    for _ in range(_DEADLINES):
        horizon = horizon_at(at)
        made, occurrences = (None, ()) if pattern is None else pattern()
        folded = fold(key, document, world, horizon, at, pattern=made, occurrences=occurrences)
        expected += _news(document, folded, at)
        lag = at - horizon.feeds(kind)
        dues = [folded.people_due, None if folded.feeds_due is None else folded.feeds_due + lag]
        known = [due for due in dues if due is not None]
        if not known or len(expected) >= limit:
            break
        document = folded.document
        at = Instant(max(at, min(known)))
    return expected[:limit]


def _news(before: Document, folded: Folded, at: Instant) -> list[Expected]:
    if folded.case is None:
        return []
    standing = {key for key, taken in before.taken.items() if taken.withdrawn_at is None}
    return [
        Expected(
            at,
            step,
            folded.case,
            tuple(effect for effect in folded.effects if effect.step == step.key),
        )
        for step in folded.steps
        if step.key not in standing
    ]
