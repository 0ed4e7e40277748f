"""The policy, compiled: conditions as functions, ladders resolved, calendars built.

`compile_policy` checks what the parts of a policy say about each other and raises PolicyError
with every mistake at once. `PolicyHistory` answers which version was in force at an instant.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rules import conditions as cond
from rules.calendars import BusinessCalendar, zone_of
from rules.clocks.clock import Target
from rules.clocks.targets import targets
from rules.conditions import Atom, ConditionError, Node, Repeats, Test
from rules.decision import Kind
from rules.recipients import PERSON
from schemas.policy import (
    DELIVERY_METRICS,
    ROLES,
    WATCH,
    Anchor,
    CalendarDocument,
    LadderTier,
    Metric,
    Mode,
    Policy,
    Source,
)
from schemas.time import DAY, Instant
from schemas.units import Span, Unit

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """One mistake in a policy: where, and what would be accepted."""

    path: Path
    message: str


class PolicyError(ValueError):
    """A policy that cannot be put in force, with all its mistakes."""

    def __init__(self, problems: Sequence[PolicyProblem]) -> None:
        super().__init__("; ".join(f"{_dotted(p.path)}: {p.message}" for p in problems))
        self.problems = tuple(problems)


def _dotted(path: Path) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule as it applies to one kind of subject of one partner tier."""

    name: str
    rank: int
    """Of the tier that it opens at; -1 for watch."""
    tier: str
    test: Test
    still: Test
    """The same with what may rightly fall again taken as true: only evidence can disprove it."""
    could: Test
    """The same with what time alone can bring taken as true: without this it never holds."""
    proofs: tuple[tuple[Atom, Test], ...]
    """Each comparison of the rule with its own test, for the receipt."""
    shadow: bool
    repeats: Repeats | None
    """For a pattern's rule: how often `test` must have held, over how many subjects."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules that can hold for one kind of subject of one partner tier, in one calendar."""

    rules: tuple[CompiledRule, ...]
    calendar: BusinessCalendar
    delays: tuple[Span, ...]
    """Limits of delay: each line has a deadline of silence for each."""
    ages: tuple[Span, ...]
    watches_promises: bool
    """Whether a rule asks for exposure, which rises at each promise."""
    first_limit: int | None
    """The shortest limit of delay in microseconds if all are elapsed time, else None."""
    rising: bool
    """Whether a subject that is on time and whole cannot match any rule."""
    categories: frozenset[str] | None
    """Every rule asks for one of these; None if some rule can hold without a category."""


@dataclass(frozen=True, slots=True)
class LadderStep:
    """One escalation tier of a ladder, compiled."""

    tier: str
    rank: int
    document: LadderTier
    only_when: Node | None
    shadow: bool


class CompiledPolicy:
    """One version of the policy, ready to decide with. Made by `compile_policy`."""

    def __init__(
        self,
        policy: Policy,
        digest: str,
        calendars: Mapping[str, BusinessCalendar],
        conditions: Sequence[Node],
        ladders: Mapping[str, tuple[LadderStep, ...]],
    ) -> None:
        self.document = policy
        self.hash = digest
        self.tiers = policy.tiers
        self.ranks = ranks_of(policy)
        self.partner_tiers = partner_tiers_of(policy)
        self.default_tier = policy.default_partner_tier or self.partner_tiers[-1]
        self.calendars = calendars
        self.pattern_rules: tuple[tuple[int, Repeats], ...] = tuple(
            (n, atom.value)
            for n, node in enumerate(conditions)
            for atom in cond.atoms(node)
            if atom.fact == "repeats"
        )
        """Index and repetition of every rule that opens a pattern's case."""
        self._nodes = tuple(conditions)
        self._ladders = ladders
        self._rule_sets: dict[tuple[Kind, str, str], RuleSet] = {}
        self._only_when: dict[tuple[str, Kind, str, str], Test] = {}
        self._targets: dict[tuple[str, str | None, str | None], Mapping[str, Target]] = {}

    def calendar(self, name: str) -> BusinessCalendar:
        """The calendar of that name, or the default one."""
        found = self.calendars.get(name)
        return found if found is not None else self.default_calendar

    @cached_property
    def default_calendar(self) -> BusinessCalendar:
        """`default`, or the first calendar of the policy."""
        return self.calendars.get("default") or next(iter(self.calendars.values()))

    @cached_property
    def watched_metrics(self) -> frozenset[str]:
        """Metrics of commitments whose breach some rule names."""
        named = (atom for node in self._nodes for atom in cond.atoms(node))
        return frozenset().union(*(atom.value for atom in named if atom.fact == "breach"))

    def source(self, name: str) -> Source | None:
        """What the policy says of a feed, if anything."""
        return self.document.sources.get(name)

    def ladder(self, partner_tier: str) -> tuple[LadderStep, ...]:
        """The ladder of a partner tier, lowest escalation tier first."""
        return self._ladders.get(partner_tier) or self._ladders["default"]

    def targets(
        self, partner_tier: str, category: str | None, severity: str | None
    ) -> Mapping[str, Target]:
        """Metric to the commitment that holds for such a ticket, with why; kept once found."""
        key = (partner_tier, category, severity)
        found = self._targets.get(key)
        if found is None:
            if len(self._targets) > 10_000:  # categories come from outside
                self._targets.clear()
            promised = self.document.commitments.get(partner_tier)
            found = self._targets[key] = targets(partner_tier, promised, category, severity)
        return found

    def disruption_tier(self, severity: str) -> str:
        """Where the exception channel starts a disruption of that severity."""
        channel = self.document.exceptions.disruptions
        if isinstance(channel, str):
            return channel
        return channel.get(severity) or channel.get("default") or self.tiers[0]

    def may_climb(self, step: LadderStep, kind: Kind, partner_tier: str, calendar: str) -> Test:
        """Whether a tier's `only_when` holds, as a test of facts."""
        key = (step.tier, kind, partner_tier, calendar)
        found = self._only_when.get(key)
        if found is None:
            node = True if step.only_when is None else step.only_when
            bound = cond.bind(node, kind, partner_tier)
            found = cond.compile_condition(bound, self.calendar(calendar))
            self._only_when[key] = found
        return found

    def rule_set(self, kind: Kind, partner_tier: str, calendar: str) -> RuleSet:
        """The rules that can hold there, compiled once and kept."""
        key = (kind, partner_tier, calendar)
        found = self._rule_sets.get(key)
        if found is None:
            found = self._rule_sets[key] = self._compile_rules(kind, partner_tier, calendar)
        return found

    def _compile_rules(self, kind: Kind, partner_tier: str, calendar_name: str) -> RuleSet:
        calendar = self.calendar(calendar_name)
        rules = []
        rising = True
        categories: frozenset[str] | None = frozenset()
        for rule, node in zip(self.document.rules, self._nodes, strict=True):
            if kind not in cond.kinds_of(node):
                continue
            repeats = next((a.value for a in cond.atoms(node) if a.fact == "repeats"), None)
            bound = cond.bind(cond.without_repeats(node), kind, partner_tier)
            if bound is False:
                continue
            rising = rising and bound is not True and cond.is_rising(_weakest(bound))
            named = _categories(bound)
            categories = None if categories is None or named is None else categories | named
            rules.append(
                CompiledRule(
                    rule.name,
                    self.ranks[rule.open_at],
                    rule.open_at,
                    cond.compile_condition(bound, calendar),
                    cond.compile_condition(_only_evidence(bound), calendar),
                    cond.compile_condition(_without_time(bound), calendar),
                    tuple(
                        (atom, cond.compile_condition(atom, calendar)) for atom in cond.atoms(bound)
                    ),
                    self.document.mode is Mode.SHADOW or rule.mode is Mode.SHADOW,
                    repeats,
                )
            )
        spans = [(a.fact, a.value) for rule in rules for a in _live(rule)]
        delays = tuple({s.text: s for fact, s in spans if fact == "delay"}.values())
        elapsed = [s.amount for s in delays if s.unit is Unit.ELAPSED]
        return RuleSet(
            tuple(rules),
            calendar,
            delays,
            tuple({s.text: s for fact, s in spans if fact == "age"}.values()),
            any(fact == "exposure" for fact, _ in spans),
            min(elapsed) if elapsed and len(elapsed) == len(delays) else None,
            rising,
            categories,
        )


def _live(rule: CompiledRule) -> tuple[Atom, ...]:
    return tuple(a for a, _ in rule.proofs if a.fact in ("delay", "age", "exposure"))


def _weakest(node: Node) -> Node:
    """The part of a required list that keeps it from firing on a healthy order, if there is one."""
    if isinstance(node, cond.All):
        return next((part for part in node.parts if cond.is_rising(part)), node)
    return node


def _categories(node: Node) -> frozenset[str] | None:
    """Categories of which a condition needs one; None if it can hold without."""
    match node:
        case Atom("category", _, words):
            return frozenset(words)
        case cond.All(parts):
            return next((found for part in parts if (found := _categories(part)) is not None), None)
        case cond.Either(parts):
            named = [words for part in parts if (words := _categories(part)) is not None]
            return frozenset[str]().union(*named) if len(named) == len(parts) else None
        case _:
            return None


def _only_evidence(node: Node) -> Node:
    """A condition with every fact that may fall without having been wrong taken as true."""
    match node:
        case Atom(fact):
            return node if fact in ("delay", "impact", "exposure") else True
        case cond.All(parts):
            left = tuple(part for part in map(_only_evidence, parts) if part is not True)
            return left[0] if len(left) == 1 else cond.All(left) if left else True
        case cond.Either(parts):
            inner = tuple(map(_only_evidence, parts))
            return True if True in inner else cond.Either(inner)
        case _:
            return True


def _without_time(node: Node) -> Node:
    """A condition with every fact that comes true by waiting taken as true."""
    match node:
        case Atom(fact):
            return node if fact in ("category", "severity", "urgent") else True
        case cond.All(parts):
            left = tuple(part for part in map(_without_time, parts) if part is not True)
            return left[0] if len(left) == 1 else cond.All(left) if left else True
        case cond.Either(parts):
            inner = tuple(map(_without_time, parts))
            return True if True in inner else cond.Either(inner)
        case _:
            return True


def ranks_of(policy: Policy) -> dict[str, int]:
    """Each tier's place from below; watch lies under the first."""
    return {WATCH: -1, **{tier: rank for rank, tier in enumerate(policy.tiers)}}


def partner_tiers_of(policy: Policy) -> tuple[str, ...]:
    """Names of the partner tiers, best first: as listed, else as the commitments name them."""
    if policy.partner_tiers:
        return policy.partner_tiers
    named = [name for name in (*policy.commitments, *policy.ladders) if name != "default"]
    return tuple(dict.fromkeys(named)) or ("standard",)


def build_calendar(document: CalendarDocument) -> BusinessCalendar:
    """The calendar that a document describes. Raises ValueError that says what is wrong."""
    listed = document.holidays
    regions = [listed] if isinstance(listed, str) else list(listed)
    return BusinessCalendar(
        document.timezone,
        document.hours,
        [*regions, *document.extra_holidays],
        {day: list(intervals) for day, intervals in document.overrides.items()},
    )


def compile_policy(policy: Policy, digest: str) -> CompiledPolicy:
    """Check a policy and make it ready. Raises PolicyError with every mistake that it finds."""
    partner_tiers = partner_tiers_of(policy)
    calendars: dict[str, BusinessCalendar] = {}
    nodes: list[Node] = []
    problems: list[PolicyProblem] = []

    def refuse(path: Path, message: str) -> None:
        problems.append(PolicyProblem(path, message))

    def must_be(value: str, path: Path, accepted: Sequence[str], what: str) -> None:
        if value not in accepted:
            refuse(path, f"{value!r} is no {what}; accepted are {', '.join(accepted)}")

    for name, calendar in policy.calendars.items():
        try:
            calendars[name] = build_calendar(calendar)
        except ValueError as error:
            refuse(("calendars", name), str(error))
    if len(set(policy.tiers)) != len(policy.tiers):
        refuse(("tiers",), "each tier once")
    if WATCH in policy.tiers:
        refuse(("tiers",), f"{WATCH!r} lies below the tiers and is not one of them")
    open_at = (WATCH, *policy.tiers)
    names: set[str] = set()
    for n, rule in enumerate(policy.rules):
        must_be(rule.open_at, ("rules", n, "open_at"), open_at, "tier")
        if rule.name in names:
            refuse(("rules", n, "name"), f"{rule.name!r} is the name of two rules")
        names.add(rule.name)
        node = _condition(rule.when, ("rules", n, "when"), partner_tiers, problems)
        nodes.append(node)
        repeats = [a for a in cond.atoms(node) if a.fact == "repeats"]
        if rule.systemic and not repeats:
            refuse(("rules", n, "as"), "only a rule with `repeats` is systemic")
        if repeats and rule.open_at == WATCH:
            refuse(("rules", n, "open_at"), f"a pattern opens at a tier: {', '.join(policy.tiers)}")
        if repeats and not _repeats_on_top(node):
            refuse(("rules", n, "when"), "`repeats` stands once, beside the other facts")
    ladders = _ladders(policy, problems, must_be)
    for tier in policy.commitments:
        must_be(tier, ("commitments", tier), partner_tiers, "partner tier")
    problems += _commitment_problems(policy)
    if policy.default_partner_tier is not None:
        must_be(
            policy.default_partner_tier,
            ("default_partner_tier",),
            partner_tiers,
            "partner tier",
        )
    channel = policy.exceptions
    must_be(channel.urgent_tickets, ("exceptions", "urgent_tickets"), policy.tiers, "tier")
    severities = channel.disruptions
    tiers = {"": severities} if isinstance(severities, str) else severities
    for severity, tier in tiers.items():
        path: Path = ("exceptions", "disruptions", severity) if severity else ("exceptions",)
        must_be(tier, path, policy.tiers, "tier")
    problems += _reporting_problems(policy)
    if problems:
        raise PolicyError(problems)
    return CompiledPolicy(policy, digest, calendars, nodes, ladders)


def _commitment_problems(policy: Policy) -> Iterator[PolicyProblem]:
    """Promises of no time, overrides that say nothing, and grids that no wall calendar has."""
    for tier, promised in policy.commitments.items():
        path: Path = ("commitments", tier)
        places = [(path, promised), *(((*path, "overrides", n), o)
                  for n, o in enumerate(promised.overrides))]  # fmt: skip
        for place, promises in places:
            for metric in Metric:
                span = getattr(promises, metric)
                if span is not None and span.amount == 0:
                    yield PolicyProblem((*place, metric), "a promise takes longer than no time")
        for n, override in enumerate(promised.overrides):
            place = (*path, "overrides", n)
            if not override.when.category and not override.when.severity:
                yield PolicyProblem(
                    (*place, "when"), "say for which tickets: a category, a severity or both"
                )
            named = {metric for metric in Metric if getattr(override, metric) is not None}
            if not named and not override.without:
                yield PolicyProblem(
                    place, f"it changes nothing; accepted are {', '.join(Metric)} and without"
                )
            for metric in named.intersection(override.without):
                yield PolicyProblem(
                    (*place, metric), "promised, and listed under `without` as well"
                )
        for n, touchpoint in enumerate(promised.touchpoints):
            every = touchpoint.every
            place = (*path, "touchpoints", n, "every")
            if every.amount == 0:
                yield PolicyProblem(place, "a cadence is longer than no time")
            whole = every.unit is Unit.MONTHS or (
                every.unit is Unit.ELAPSED and every.amount % DAY == 0
            )
            if touchpoint.anchor is Anchor.GRID and not whole:
                yield PolicyProblem(
                    place,
                    f"{every} makes no grid; accepted are whole d, w and mo, "
                    "or any length with `anchor: rolling`",
                )
        kinds = [touchpoint.kind for touchpoint in promised.touchpoints]
        for kind in sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            yield PolicyProblem((*path, "touchpoints"), f"{kind!r} is promised twice")


def _reporting_problems(policy: Policy) -> Iterator[PolicyProblem]:
    """Reports to nobody who is known, in no zone, or against targets of what is not measured."""
    reporting = policy.reporting
    if reporting.timezone is not None:
        try:
            zone_of(reporting.timezone)
        except ValueError as error:
            yield PolicyProblem(("reporting", "timezone"), str(error))
    roles = (*ROLES, *policy.roles)
    for name, issue in (("digest", reporting.digest), ("scorecard", reporting.scorecard)):
        for n, role in enumerate(() if issue is None else issue.to):
            if role not in roles and not role.startswith(PERSON):
                yield PolicyProblem(
                    ("reporting", name, "to", n),
                    f"{role!r} is no role; accepted are {', '.join(roles)}, "
                    f"or {PERSON} and the id of one",
                )
    tiers = ("default", *partner_tiers_of(policy))
    kinds = sorted({t.kind for c in policy.commitments.values() for t in c.touchpoints})
    metrics = ("default", *Metric, "touchpoint", *kinds, *DELIVERY_METRICS)
    for tier, wanted in reporting.targets.items():
        path: Path = ("reporting", "targets", tier)
        if tier not in tiers:
            message = f"{tier!r} is no partner tier; accepted are {', '.join(tiers)}"
            yield PolicyProblem(path, message)
        for metric in wanted:
            if metric not in metrics:
                message = f"{metric!r} is not measured; accepted are {', '.join(metrics)}"
                yield PolicyProblem((*path, metric), message)


def _repeats_on_top(node: Node) -> bool:
    parts = node.parts if isinstance(node, cond.All) else (node,)
    on_top = [p for p in parts if isinstance(p, Atom) and p.fact == "repeats"]
    return len(on_top) == sum(a.fact == "repeats" for a in cond.atoms(node)) == 1


def _condition(
    when: Any, path: Path, tiers: tuple[str, ...], problems: list[PolicyProblem]
) -> Node:
    try:
        return cond.read_condition(when, tiers)
    except ConditionError as error:
        problems.append(PolicyProblem((*path, *error.path), error.message))
        return False


def _ladders(
    policy: Policy,
    problems: list[PolicyProblem],
    must_be: Callable[[str, Path, Sequence[str], str], None],
) -> dict[str, tuple[LadderStep, ...]]:
    roles = (*ROLES, *policy.roles)
    partner_tiers = partner_tiers_of(policy)
    ranks = ranks_of(policy)
    if "default" not in policy.ladders and set(partner_tiers) - set(policy.ladders):
        missing = ", ".join(sorted(set(partner_tiers) - set(policy.ladders)))
        problems.append(
            PolicyProblem(("ladders",), f"no ladder for {missing}; add `default` or one each")
        )
    ladders = {}
    for name, steps in policy.ladders.items():
        path: Path = ("ladders", name)
        must_be(name, path, ("default", *partner_tiers), "partner tier")
        for tier in steps:
            must_be(tier, (*path, tier), policy.tiers, "tier")
        problems += [
            PolicyProblem(path, f"the tier {tier} is missing")
            for tier in policy.tiers
            if tier not in steps
        ]
        ladder = []
        for tier in policy.tiers:
            step = steps.get(tier)
            if step is None:
                continue
            must_be(step.notify, (*path, tier, "notify"), roles, "role")
            only_when: Node | None = None
            if step.only_when is not None:
                place = (*path, tier, "only_when")
                only_when = _condition(step.only_when, place, partner_tiers, problems)
            shadow = policy.mode is Mode.SHADOW or step.mode is Mode.SHADOW
            ladder.append(LadderStep(tier, ranks[tier], step, only_when, shadow))
        ladders[name] = tuple(ladder)
    return ladders


@dataclass(frozen=True, slots=True)
class PolicyHistory:
    """Policy versions by the instant from which each is in force."""

    versions: tuple[tuple[Instant, CompiledPolicy], ...]
    _starts: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.versions:
            raise ValueError("a history has at least one policy")
        object.__setattr__(self, "_starts", [start for start, _ in self.versions])

    def at(self, instant: int) -> CompiledPolicy:
        """The version in force; before the first one, the first."""
        if len(self.versions) == 1:
            return self.versions[0][1]
        return self.versions[max(0, bisect_right(self._starts, instant) - 1)][1]

    @property
    def newest(self) -> CompiledPolicy:
        """The version that comes last, in force or not yet."""
        return self.versions[-1][1]

    @property
    def last_start(self) -> int:
        """When the newest version comes into force, or came."""
        return self._starts[-1]

    def changes_after(self, instant: int) -> int | None:
        """When the next version comes into force, if one does."""
        n = bisect_right(self._starts, instant)
        return self._starts[n] if n < len(self._starts) else None
