"""Conditions: what a `when` says, typed when the policy is loaded and compiled once.

`read_condition` turns the YAML of a `when` into a tree and refuses what makes no sense.
`bind` fills in what is fixed for a partner, and `compile` makes one function of facts. Values
are three-valued: True, False, or None where a fact is unknown (Kleene's logic).
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rules.calendars import BusinessCalendar
from rules.deadlines import deadline
from rules.decision import Kind
from rules.facts import Facts
from schemas.events import ImpactKind
from schemas.policy import Metric
from schemas.units import Money, Span, Unit, parse_money, parse_percent, parse_span

Test = Callable[[Facts], bool | None]


class ConditionError(ValueError):
    """A `when` that makes no sense; `path` leads to the place inside it."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


@dataclass(frozen=True, slots=True)
class Repeats:
    """`3 in 30d` or `3 of 5 orders`, with the same category, or `by sku` the same article."""

    times: int
    of_orders: int | None
    within: Span | None
    by_sku: bool
    text: str


@dataclass(frozen=True, slots=True)
class Atom:
    """One fact compared with one value."""

    fact: str
    op: str
    value: Any
    text: str
    """As the policy writes it: `delay > 48h`."""


@dataclass(frozen=True, slots=True)
class All:
    """Every part is required."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One part is enough."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite, except of the unknown."""

    part: "Node"


Node = Atom | All | Either | Not | bool

#: Commitments of a ticket whose breach a rule can name.
BREACHES = tuple(Metric)

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

#: What each fact can be known of. A rule that asks for two facts with nothing in common is dead.
_KNOWN_OF: dict[str, frozenset[Kind]] = {
    "delay": frozenset({Kind.ORDER}),
    "impact": frozenset({Kind.ORDER}),
    "exposure": frozenset({Kind.ORDER}),
    "repeats": frozenset({Kind.ORDER, Kind.TICKET}),
    "category": frozenset({Kind.ORDER, Kind.TICKET}),
    "severity": frozenset({Kind.TICKET, Kind.DISRUPTION}),
    "urgent": frozenset({Kind.TICKET}),
    "breach": frozenset({Kind.TICKET}),
    "metric": frozenset({Kind.METRIC}),
    "age": frozenset({Kind.ORDER, Kind.TICKET, Kind.DISRUPTION}),
    "partner_tier": frozenset({Kind.ORDER, Kind.TICKET, Kind.METRIC}),
    "kind": frozenset({Kind.ORDER, Kind.TICKET, Kind.METRIC, Kind.DISRUPTION}),
}
FACTS = tuple(_KNOWN_OF)

_COMPARISON = re.compile(r"\s*(>=|<=|>|<)\s*(.+?)\s*")
_REPEATS = re.compile(r"\s*(\d+)\s+(?:of\s+(\d+)\s+orders|in\s+(\S+))(\s+by\s+sku)?\s*")
_METRIC = re.compile(r"\s*(.+?)\s*(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)\s*%?\s*")


def read_condition(when: Any, partner_tiers: tuple[str, ...]) -> Node:
    """Type a `when`. Raises ConditionError naming the place and what is accepted there."""
    node = _read(when, (), partner_tiers)
    if not kinds_of(node):
        raise ConditionError(
            (), "no event can satisfy this: its facts are never known of one and the same thing"
        )
    _refuse_contradictions(node)
    return node


def _read(when: Any, path: tuple[str | int, ...], tiers: tuple[str, ...]) -> Node:
    if not isinstance(when, dict) or not when:
        raise ConditionError(path, f"{when!r} is no condition; write facts with what they must be")
    parts: list[Node] = []
    for fact, value in when.items():
        here = (*path, fact)
        if fact in ("any", "all"):
            if not isinstance(value, list) or not value:
                raise ConditionError(here, f"`{fact}:` takes a list of conditions")
            inner = tuple(_read(v, (*here, n), tiers) for n, v in enumerate(value))
            parts.append(Either(inner) if fact == "any" else All(inner))
        elif fact == "not":
            parts.append(Not(_read(value, here, tiers)))
        elif fact not in _READERS:
            raise ConditionError(here, f"{fact!r} is no fact; facts are {', '.join(FACTS)}")
        else:
            try:
                op, typed = _READERS[fact](value, tiers)
            except ValueError as error:
                raise ConditionError(here, str(error)) from None
            shown = value if isinstance(value, str) else _shown(value)
            joint = " " if op in _OPERATORS else ": "
            parts.append(Atom(fact, op, typed, f"{fact}{joint}{shown}"))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _comparison(value: Any, example: str) -> tuple[str, str]:
    match = _COMPARISON.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} compares nothing; write e.g. {example!r}")
    return match[1], match[2]


def _read_delay(value: Any, _: tuple[str, ...]) -> tuple[str, Any]:
    op, rest = _comparison(value, "> 48h")
    return op, parse_span(rest)


def _read_age(value: Any, _: tuple[str, ...]) -> tuple[str, Any]:
    op, rest = _comparison(value, "> 5bd")
    return op, parse_span(rest)


def _read_impact(value: Any, _: tuple[str, ...]) -> tuple[str, Any]:
    op, rest = _comparison(value, "> 5%")
    percent = parse_percent(rest)
    if percent > 100 or (percent == 100 and op == ">"):
        raise ValueError(f"no event can satisfy impact {op} {rest}: it is at most 100%")
    if percent == 0 and op == "<":
        raise ValueError(f"no event can satisfy impact {op} {rest}: it is at least 0%")
    return op, percent


def _read_exposure(value: Any, _: tuple[str, ...]) -> tuple[str, Any]:
    op, rest = _comparison(value, "> 50000 EUR")
    return op, parse_money(rest)


def _read_repeats(value: Any, _: tuple[str, ...]) -> tuple[str, Any]:
    match = _REPEATS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r}: write '3 in 30d' or '3 of 5 orders', and 'by sku' if meant")
    times, of = int(match[1]), int(match[2]) if match[2] else None
    if times < 2 or (of is not None and not times <= of <= 100):
        raise ValueError(f"{value!r}: a pattern takes at least 2, of at most 100 orders")
    within = parse_span(match[3]) if match[3] else None
    if within is not None and within.unit is not Unit.ELAPSED:
        raise ValueError(f"{value!r}: a window is elapsed time, e.g. 30d")
    return "=", Repeats(times, of, within, bool(match[4]), value.strip())


def _words(accepted: tuple[str, ...] | None, fact: str) -> Callable[..., tuple[str, Any]]:
    def read(value: Any, tiers: tuple[str, ...]) -> tuple[str, Any]:
        known = tiers if fact == "partner_tier" else accepted
        words = value if isinstance(value, list) else [value]
        for word in words:
            if not isinstance(word, str) or not word:
                raise ValueError(f"{word!r} is not a {fact}; write a word or a list of words")
            if known is not None and word not in known:
                raise ValueError(f"{word!r} is not a {fact}; known are {', '.join(known)}")
        if not words:
            raise ValueError("an empty list matches nothing")
        return "in", frozenset(words)

    return read


def _read_urgent(value: Any, _: tuple[str, ...]) -> tuple[str, Any]:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r}: urgent is true or false")
    return "is", value


def _read_metric(value: Any, _: tuple[str, ...]) -> tuple[str, Any]:
    match = _METRIC.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r}: write a metric with a limit, e.g. 'fill_rate < 95'")
    return match[2], (match[1], Decimal(match[3]))


_READERS: dict[str, Callable[[Any, tuple[str, ...]], tuple[str, Any]]] = {
    "delay": _read_delay,
    "age": _read_age,
    "impact": _read_impact,
    "exposure": _read_exposure,
    "repeats": _read_repeats,
    "metric": _read_metric,
    "urgent": _read_urgent,
    "category": _words(None, "category"),
    "severity": _words(None, "severity"),
    "breach": _words(BREACHES, "breach"),
    "kind": _words(("order", "ticket", "metric", "disruption"), "kind"),
    "partner_tier": _words(None, "partner_tier"),
}


def kinds_of(node: Node) -> frozenset[Kind]:
    """The kinds of subjects that a condition can hold for."""
    match node:
        case Atom("kind", _, words):
            return frozenset(map(Kind, words))
        case Atom("category", _, words) if not words & _ORDER_CATEGORIES:
            return frozenset({Kind.TICKET})
        case Atom(fact):
            return _KNOWN_OF[fact]
        case All(parts):
            return frozenset.intersection(*map(kinds_of, parts))
        case Either(parts):
            return frozenset.union(*map(kinds_of, parts))
        case Not(Atom("kind", _, words)):
            return _KNOWN_OF["kind"] - frozenset(map(Kind, words))
        case Not(part):
            return _KNOWN_OF["kind"] if not isinstance(part, Atom) else _KNOWN_OF[part.fact]
        case bool():
            return frozenset(Kind) if node else frozenset()


_ORDER_CATEGORIES = frozenset({*(kind.value for kind in ImpactKind), "delay"})


def atoms(node: Node) -> Iterator[Atom]:
    """Every comparison in a condition, whatever stands around it."""
    match node:
        case Atom():
            yield node
        case All(parts) | Either(parts):
            for part in parts:
                yield from atoms(part)
        case Not(part):
            yield from atoms(part)
        case bool():
            pass


def is_rising(node: Node) -> bool:
    """Whether it takes some delay, impact or exposure to make the condition true."""
    match node:
        case Atom("category", _, words):
            # Trouble with the goods has a category; lateness has one before any limit of delay.
            return "delay" not in words
        case Atom(fact, op, value):
            if fact in ("delay", "impact", "exposure"):
                return op == ">" or (op == ">=" and _above_zero(value))
            return fact == "partner_tier"
        case All(parts) | Either(parts):
            return all(map(is_rising, parts))
        case _:
            return False


def _above_zero(value: Any) -> bool:
    number = value.amount if isinstance(value, (Span, Money)) else value
    return bool(number > 0)


def _refuse_contradictions(node: Node) -> None:
    if not isinstance(node, All):
        return
    required = [part for part in node.parts if isinstance(part, Atom)]
    for fact in ("impact", "delay", "age", "exposure"):
        bounds = [(a.op, _size(a.value), a.text) for a in required if a.fact == fact]
        lows = [b for b in bounds if b[0] in (">", ">=")]
        highs = [b for b in bounds if b[0] in ("<", "<=")]
        for low in lows:
            for high in highs:
                if low[1] is not None and high[1] is not None and low[1] >= high[1]:
                    raise ConditionError((), f"no event can satisfy {low[2]} and {high[2]}")
    for fact in ("category", "partner_tier", "severity", "kind"):
        sets = [a.value for a in required if a.fact == fact]
        if fact != "category" and sets and not frozenset.intersection(*sets):
            raise ConditionError((), f"no event can satisfy two different values of {fact}")


def _size(value: Any) -> Decimal | int | None:
    if isinstance(value, Span):
        return value.amount if value.unit is Unit.ELAPSED else None
    if isinstance(value, Money):
        return value.amount
    return value if isinstance(value, Decimal) else None


# --- binding and compiling --------------------------------------------------------------------


def bind(node: Node, kind: Kind, partner_tier: str) -> Node:
    """Fill in what is fixed for a subject's partner, and simplify what follows from it."""
    match node:
        case Atom("partner_tier", _, words):
            return partner_tier in words
        case Atom("kind", _, words):
            return kind in words
        case Atom(fact) if kind not in _KNOWN_OF[fact] and kind is not Kind.PATTERN:
            return node  # stays unknown: it must not become False, or `not` of it would fire
        case All(parts):
            bound: tuple[Node, ...] = tuple(bind(part, kind, partner_tier) for part in parts)
            if False in bound:
                return False
            left: tuple[Node, ...] = tuple(part for part in bound if part is not True)
            return left[0] if len(left) == 1 else All(left) if left else True
        case Either(parts):
            bound = tuple(bind(part, kind, partner_tier) for part in parts)
            if True in bound:
                return True
            left = tuple(part for part in bound if part is not False)
            return left[0] if len(left) == 1 else Either(left) if left else False
        case Not(part):
            inner = bind(part, kind, partner_tier)
            return (not inner) if isinstance(inner, bool) else Not(inner)
        case _:
            return node


def without_repeats(node: Node) -> Node:
    """What a pattern's rule asks of each single occurrence."""
    match node:
        case Atom("repeats"):
            return True
        case All(parts):
            left = tuple(part for part in map(without_repeats, parts) if part is not True)
            return left[0] if len(left) == 1 else All(left) if left else True
        case _:
            return node


def compile_condition(node: Node, calendar: BusinessCalendar) -> Test:
    """One function of facts that answers a condition."""
    match node:
        case bool():
            return lambda facts: node
        case Atom():
            return _ATOMS[node.fact](node, calendar)
        case All(parts):
            tests = tuple(compile_condition(part, calendar) for part in parts)

            def every(facts: Facts) -> bool | None:
                unknown = False
                for test in tests:
                    answer = test(facts)
                    if answer is False:
                        return False
                    if answer is None:
                        unknown = True
                return None if unknown else True

            return every
        case Either(parts):
            tests = tuple(compile_condition(part, calendar) for part in parts)

            def some(facts: Facts) -> bool | None:
                unknown = False
                for test in tests:
                    answer = test(facts)
                    if answer:
                        return True
                    if answer is None:
                        unknown = True
                return None if unknown else False

            return some
        case Not(part):
            test = compile_condition(part, calendar)

            def opposite(facts: Facts) -> bool | None:
                answer = test(facts)
                return None if answer is None else not answer

            return opposite


def _delay(atom: Atom, calendar: BusinessCalendar) -> Test:
    span: Span = atom.value
    compare = _OPERATORS[atom.op]
    if span.unit is Unit.ELAPSED:
        limit = span.amount

        def by_clock(facts: Facts) -> bool | None:
            delay = facts.delay()
            return None if delay is None else compare(delay, limit)

        return by_clock
    # In business time there is no one largest delay: each line has a limit of its own. More
    # than the span holds if any line is past its limit, less than it if every line is.
    quantifier = any if atom.op in (">", ">=") else all

    def by_calendar(facts: Facts) -> bool | None:
        arrivals = facts.arrivals()
        if not arrivals:
            return None
        return quantifier(
            compare(arrival, deadline(promise, span, calendar)) for promise, arrival in arrivals
        )

    return by_calendar


def _age(atom: Atom, calendar: BusinessCalendar) -> Test:
    compare = _OPERATORS[atom.op]

    def test(facts: Facts) -> bool | None:
        since = facts.since()
        return None if since is None else compare(facts.at, deadline(since, atom.value, calendar))

    return test


def _impact(atom: Atom, _: BusinessCalendar) -> Test:
    compare, limit = _OPERATORS[atom.op], atom.value

    def test(facts: Facts) -> bool | None:
        impact = facts.impact()
        return None if impact is None else compare(impact, limit)

    return test


def _exposure(atom: Atom, _: BusinessCalendar) -> Test:
    compare, money = _OPERATORS[atom.op], atom.value

    def test(facts: Facts) -> bool | None:
        exposure = facts.exposure(money.currency)
        return None if exposure is None else compare(exposure, money.amount)

    return test


def _metric(atom: Atom, _: BusinessCalendar) -> Test:
    compare, (name, limit) = _OPERATORS[atom.op], atom.value

    def test(facts: Facts) -> bool | None:
        metric = facts.metric()
        return None if metric is None or metric[0] != name else compare(metric[1], limit)

    return test


def _overlap(known: Callable[[Facts], frozenset[str] | None]) -> Callable[..., Test]:
    def make(atom: Atom, _: BusinessCalendar) -> Test:
        def test(facts: Facts) -> bool | None:
            words = known(facts)
            return None if words is None else bool(words & atom.value)

        return test

    return make


def _severity(atom: Atom, _: BusinessCalendar) -> Test:
    def test(facts: Facts) -> bool | None:
        severity = facts.severity()
        return None if severity is None else severity in atom.value

    return test


def _urgent(atom: Atom, _: BusinessCalendar) -> Test:
    def test(facts: Facts) -> bool | None:
        urgent = facts.urgent()
        return None if urgent is None else urgent is atom.value

    return test


def _repeats(atom: Atom, _: BusinessCalendar) -> Test:
    def test(facts: Facts) -> bool | None:
        counted = facts.occurrences()
        return None if counted is None else counted[0] >= atom.value.times

    return test


_ATOMS: dict[str, Callable[[Atom, BusinessCalendar], Test]] = {
    "delay": _delay,
    "age": _age,
    "impact": _impact,
    "exposure": _exposure,
    "metric": _metric,
    "category": _overlap(lambda facts: facts.categories()),
    "breach": _overlap(lambda facts: facts.breaches()),
    "severity": _severity,
    "urgent": _urgent,
    "repeats": _repeats,
}
