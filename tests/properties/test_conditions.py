"""Conditions: three-valued logic against a plain evaluator, and errors that are always told."""

import copy
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from rules.conditions import FACTS, ConditionError, bind, compile_condition, read_condition
from rules.decision import Kind
from rules.facts import Facts
from rules.policy import CompiledPolicy, PolicyError, compile_policy
from rules.subjects import case_id, split_key, subject_key
from schemas.policy import Policy
from schemas.time import HOUR
from tests.properties.histories import (
    POLICY,
    START,
    History,
    make_world,
    one_policy,
    order_histories,
    ticket_histories,
)
from tests.properties.lives import Life

TIERS = ("strategic", "growth", "standard")


class Known(Facts):
    """Facts as they were drawn."""

    def __init__(self, known: dict[str, Any]) -> None:
        self.known = known
        self.at = START

    def delay(self) -> int | None:
        hours = self.known["delay"]
        return None if hours is None else hours * HOUR

    def arrivals(self) -> Sequence[tuple[int, int]] | None:
        delay = self.delay()
        return None if delay is None else [(START, START + delay)]

    def impact(self) -> Decimal | None:
        return None if self.known["impact"] is None else Decimal(self.known["impact"])

    def exposure(self, currency: str) -> Decimal | None:
        value = self.known["exposure"]
        return None if value is None or currency != "EUR" else Decimal(value)

    def categories(self) -> frozenset[str] | None:
        return self._words("category")

    def severity(self) -> str | None:
        word: str | None = self.known["severity"]
        return word

    def urgent(self) -> bool | None:
        urgent: bool | None = self.known["urgent"]
        return urgent

    def metric(self) -> tuple[str, Decimal] | None:
        value = self.known["metric"]
        return None if value is None else ("fill_rate", Decimal(value))

    def breaches(self) -> frozenset[str] | None:
        return self._words("breach")

    def since(self) -> int | None:
        return None if self.known["age"] is None else START - self.known["age"] * HOUR

    def _words(self, fact: str) -> frozenset[str] | None:
        word = self.known[fact]
        return None if word is None else frozenset({word})


CATEGORIES = ("quality", "delay", "billing")
BREACHES = ("first_response", "resolution")
numbers = st.integers(0, 12)
known_facts = st.fixed_dictionaries(
    {
        **dict.fromkeys(("delay", "impact", "exposure", "metric", "age"), st.none() | numbers),
        "category": st.none() | st.sampled_from(CATEGORIES),
        "breach": st.none() | st.sampled_from(BREACHES),
        "severity": st.none() | st.sampled_from(("high", "low")),
        "urgent": st.none() | st.booleans(),
    }
)

operators = st.sampled_from((">", ">=", "<", "<="))
_UNITS = {"delay": "h", "age": "h", "impact": "%", "exposure": " EUR", "metric": ""}


@st.composite
def atoms(draw: st.DrawFn) -> tuple[str, Any]:
    fact = draw(st.sampled_from((*_UNITS, "category", "breach", "severity", "urgent", "tier")))
    if fact in _UNITS:
        before = "fill_rate " if fact == "metric" else ""
        return fact, f"{before}{draw(operators)} {draw(numbers)}{_UNITS[fact]}"
    words = {"category": CATEGORIES, "breach": BREACHES, "severity": ("high", "low"), "tier": TIERS}
    if fact == "urgent":
        return fact, draw(st.booleans())
    name = "partner_tier" if fact == "tier" else fact
    return name, draw(st.lists(st.sampled_from(words[fact]), min_size=1, max_size=2))


def _dictionaries(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    groups = st.tuples(st.sampled_from(("any", "all")), st.lists(inner, min_size=1, max_size=3))
    parts = st.one_of(atoms(), groups, st.tuples(st.just("not"), inner))
    return st.lists(parts, min_size=1, max_size=3).map(dict)


whens = st.recursive(atoms().map(lambda atom: dict([atom])), _dictionaries, max_leaves=8)


def _every(answers: Sequence[bool | None]) -> bool | None:
    # Kleene: the least of False < unknown < True.
    return min(answers, key=(False, None, True).index)


def _some(answers: Sequence[bool | None]) -> bool | None:
    return max(answers, key=(False, None, True).index)


def answer(when: dict[str, Any], facts: dict[str, Any], tier: str) -> bool | None:
    """A condition read straight from what the policy writes."""
    return _every([_answer(fact, value, facts, tier) for fact, value in when.items()])


def _answer(fact: str, value: Any, facts: dict[str, Any], tier: str) -> bool | None:
    match fact:
        case "all":
            return _every([answer(part, facts, tier) for part in value])
        case "any":
            return _some([answer(part, facts, tier) for part in value])
        case "not":
            inner = answer(value, facts, tier)
            return None if inner is None else not inner
        case "partner_tier":
            return tier in value
        case _:
            return _compared(fact, value, facts[fact])


def _compared(fact: str, value: Any, known: Any) -> bool | None:
    if known is None:
        return None
    if fact not in _UNITS:
        return known is value if fact == "urgent" else known in value
    op, limit = value.removeprefix("fill_rate ").split(" ", 1)
    number = int(limit.rstrip("h% EUR"))
    return bool(
        {">": known > number, ">=": known >= number, "<": known < number, "<=": known <= number}[op]
    )


@given(whens, known_facts, st.sampled_from(TIERS), st.sampled_from((Kind.ORDER, Kind.TICKET)))
def test_compiled_conditions_answer_as_three_valued_logic_does(
    when: dict[str, Any], facts: dict[str, Any], tier: str, kind: Kind
) -> None:
    try:
        node = read_condition(when, TIERS)
    except ConditionError:
        assume(False)
    calendar = one_policy().policies.newest.default_calendar
    test = compile_condition(bind(node, kind, tier), calendar)
    assert test(Known(facts)) is answer(when, facts, tier)
    assert compile_condition(bind(bind(node, kind, tier), kind, tier), calendar)(
        Known(facts)
    ) is answer(when, facts, tier)


# --- errors ---

near_misses = st.sampled_from(
    (
        "> 48h",
        ">48",
        "> 5%",
        "> 101%",
        "> 99999999999999999999999h",
        "< 0%",
        "> 5 EUR",
        "3 in 30d",
        "3 of 5 orders by sku",
        "0 of 0 orders",
        "3 in 30bd",
        "3 in 99999999w",
        "fill_rate < 95",
        "fill_rate < 9e99",
        "strategic",
        "quality",
        "watch",
        "management",
        "Europe/Berlin",
        "Nowhere/Else",
        "09:00-17:00",
        "25:00-26:00",
        "mon-fri",
        "٣h",
        "1mo",
        "100000w",
        "100000mo",
        "0bh",
        "",
    )
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.dates(date(1, 1, 1)),
    near_misses,
    near_misses,
)
words = st.one_of(st.sampled_from((*FACTS, "any", "all", "not", "x")), scalars)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(words, inner, max_size=3),
    ),
    max_leaves=6,
)


@given(st.one_of(anything, st.dictionaries(words, anything, min_size=1, max_size=3)))
def test_a_when_is_read_or_refused_with_its_place(when: Any) -> None:
    try:
        read_condition(when, TIERS)
    except ConditionError as error:
        refused = error
    else:
        return
    assert refused.message
    place = when
    for piece in refused.path:
        place = place[piece]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(deeper for key, part in pairs for deeper in _paths(part, (*path, key)))]


PATHS = [path for path in _paths(POLICY) if path]


@st.composite
def mutated_policies(draw: st.DrawFn) -> dict[str, Any]:
    policy = copy.deepcopy(POLICY)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(PATHS))
        place: Any = policy
        try:
            for piece in path[:-1]:
                place = place[piece]
            if draw(st.booleans()):
                place[path[-1]] = draw(st.one_of(near_misses, anything))
            elif isinstance(place, dict) and draw(st.booleans()):
                place[draw(words)] = place.pop(path[-1])
            else:
                del place[path[-1]]
        except (KeyError, IndexError, TypeError):
            pass  # the place is gone with an earlier change
    return policy


@given(mutated_policies(), st.one_of(order_histories(), ticket_histories()))
def test_a_policy_is_refused_with_its_mistakes_or_can_decide(
    written: dict[str, Any], history: History
) -> None:
    try:
        document = Policy.model_validate(written)
    except ValidationError:
        return
    told = ""
    policy: CompiledPolicy | None
    try:
        policy = compile_policy(document, "mutated")
    except PolicyError as error:
        told = str(error)
        policy = None
    if policy is None:
        assert told
        return
    world = make_world((0, policy))
    life = Life(history.key, world)
    said = history.contributions(world)
    life.take(said, max(c.time for c in said) + HOUR)


# --- names ---

names = st.text(
    st.one_of(st.sampled_from(":%/ 23A5"), st.characters(exclude_categories=("Cs", "Cc"))),
    min_size=1,
    max_size=8,
)


@given(st.sampled_from(Kind), names, names)
def test_a_key_says_what_it_was_made_of(kind: Kind, partner: str, name: str) -> None:
    assert split_key(subject_key(kind, partner, name)) == (kind, partner, name)


@given(st.lists(st.tuples(st.sampled_from(Kind), names, names), unique=True, max_size=5))
def test_different_subjects_have_different_cases(subjects: list[tuple[Kind, str, str]]) -> None:
    assert len({case_id(subject_key(*subject)) for subject in subjects}) == len(subjects)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("order:ACME:PO-17", "C-M3W6VV9M6032"), ("ticket:A%3AB:T:1", "C-V8ERSA1FKBT6")],
)
def test_case_ids_never_change(key: str, expected: str) -> None:
    assert case_id(key) == expected
