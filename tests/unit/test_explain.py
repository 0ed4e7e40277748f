"""Explaining: the rules held against what is known, and the future exactly as it would come."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.conditions import bind, compile_condition, read_condition, without_repeats
from rules.decision import Kind, StepKind
from rules.explain import Expected, Explanation, Verdict, explain, subject_at, what_next
from rules.facts import Facts
from rules.policy import CompiledPolicy, PolicyHistory, compile_policy
from rules.recipients import Recipients
from rules.subjects import Document, case_id, read_document, subject_key
from rules.world import Horizon, World
from schemas.directory import Directory
from schemas.policy import Policy
from schemas.time import DAY, HOUR, Instant, iso, to_instant
from streams.handler import Handler
from streams.horizon import horizon_of_file
from streams.records import RawRecord
from streams.store import Store

POLICY: dict[str, Any] = {
    "rules": [
        {"name": "late", "when": {"delay": "> 48h"}, "open_at": "frontline"},
        {"name": "impact", "when": {"impact": "> 5%"}, "open_at": "management"},
        {"name": "shortfall", "when": {"impact": "> 0%"}, "open_at": "watch"},
        {
            "name": "costly",
            "when": {"partner_tier": "strategic", "exposure": "> 500 EUR"},
            "open_at": "executive",
        },
        {
            "name": "odd",
            "when": {"any": [{"category": "damaged"}, {"not": {"delay": "> 1h"}}]},
            "open_at": "watch",
        },
        {"name": "slow-answer", "when": {"breach": "first_response"}, "open_at": "frontline"},
        {
            "name": "again",
            "when": {"category": "quality", "repeats": "2 in 30d"},
            "open_at": "management",
        },
    ],
    "ladders": {
        "default": {
            "frontline": {
                "notify": "account_manager",
                "acknowledge_within": "4bh",
                "resolve_within": "48h",
            },
            "management": {"notify": "partnership_manager", "acknowledge_within": "2bh"},
            "executive": {
                "notify": "executive_sponsor",
                "acknowledge_within": "1bh",
                "only_when": {"age": "> 3bd"},
            },
        }
    },
    "commitments": {
        "strategic": {"first_response": "2bh"},
        "standard": {"first_response": "4bh"},
    },
    "calendars": {"default": {"timezone": "Europe/Berlin", "hours": {"mon-fri": ["09:00-17:00"]}}},
    "sources": {"/erp": {"reporting_lag": "3h", "about": ["orders"]}},
}
ROUTE = [{"kind": "terminal"}]
DIRECTORY: dict[str, Any] = {
    "people": {name: {"name": name.title(), "routes": ROUTE} for name in ("anna", "cleo", "dora")},
    "roles": {
        "account_manager": "anna",
        "partnership_manager": "cleo",
        "executive_sponsor": "dora",
        "operations": "anna",
    },
    "partners": {"nord": {"tier": "strategic"}},
}


def at(text: str) -> Instant:
    return to_instant(datetime.fromisoformat(text))


#: A Monday morning in Berlin.
MONDAY = at("2026-11-02T10:00:00+01:00")


class House:
    """A store with a policy, and a clock that only the test moves."""

    def __init__(self, file: Path) -> None:
        self.store = Store.open(f"sqlite:///{file}")
        self.compiled = compile_policy(Policy.model_validate(POLICY), "p1")
        self.policies = PolicyHistory(((Instant(0), self.compiled),))
        directory = Directory.model_validate(DIRECTORY)
        self.recipients = Recipients(directory, self.compiled.calendars, self.compiled.default_tier)
        self.handler = Handler(self.store, self.policies, self.recipients, self.horizon)
        self.now = MONDAY
        self._events = 0

    @property
    def world(self) -> World:
        return self.handler.world

    def horizon(self, now: int) -> Horizon:
        return horizon_of_file(self.compiled.document, now)

    def say(self, type_: str, time: int | None = None, **data: Any) -> None:
        self._events += 1
        event = {
            "specversion": "1.0",
            "id": f"e{self._events}",
            "source": "/erp",
            "type": type_,
            "time": iso(self.now if time is None else time),
            "data": data,
        }
        record = RawRecord("test", str(self._events), json.dumps(event).encode())
        outcome = self.handler.take([record], self.now)[0]
        assert type(outcome).__name__ == "Accepted", outcome

    def order(self, order_id: str = "PO-1", partner: str = "nord", **fields: Any) -> None:
        line = {"sku": "cup", "quantity": 100, "unit_price": "10"}
        self.say(
            "order.placed",
            partner_id=partner,
            order_id=order_id,
            promised_at=fields.pop("promised_at", "2026-11-04T12:00:00+01:00"),
            currency=fields.pop("currency", "EUR"),
            lines=fields.pop("lines", [line]),
            **fields,
        )

    def document(self, key: str) -> Document:
        with self.store.reading() as tx:
            row = tx.subject(key)
        assert row is not None
        return read_document(row.document)

    def explain(self, key: str, counted: Any = None) -> Explanation:
        horizon = self.horizon(self.now)
        subject = subject_at(
            key, self.document(key), self.world, self.now, horizon.feeds(Kind.ORDER)
        )
        return explain(key, subject, self.world, horizon, self.now, counted)

    def next(self, key: str, limit: int = 8) -> list[Expected]:
        document = self.document(key)
        return what_next(key, document, self.world, self.now, self.horizon, limit=limit)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "detente.db")
    yield house
    house.store.close()


ORDER = subject_key(Kind.ORDER, "nord", "PO-1")


def rule(found: Explanation, name: str) -> Verdict:
    return next(answer.verdict for answer in found.rules if answer.name == name)


# --- why not --------------------------------------------------------------------------------------


def test_a_rule_that_fails_says_the_facts_value(house: House) -> None:
    house.order()
    house.say("order.impacted", partner_id="nord", order_id="PO-1", kind="short", quantity=4)
    verdict = rule(house.explain(ORDER), "impact")
    assert (verdict.text, verdict.holds) == ("impact > 5%", False)
    assert verdict.because == "4 of 100 units short = 4.0 %"


def test_an_unknown_fact_says_why_it_is_unknown(house: House) -> None:
    house.order()
    verdict = rule(house.explain(ORDER), "late")
    assert verdict.holds is None
    assert verdict.because == "promised 2026-11-04 12:00 CET; nothing is known of when it comes"


def test_facts_of_another_kind_of_thing_are_never_known(house: House) -> None:
    house.order()
    found = house.explain(ORDER)
    assert rule(found, "slow-answer").because == "breach is never known of an order"
    assert [answer.concerns for answer in found.rules if answer.name == "slow-answer"] == [False]


def test_any_and_not_are_shown_as_a_tree(house: House) -> None:
    house.order()
    verdict = rule(house.explain(ORDER), "odd")
    assert (verdict.text, verdict.holds) == ("any of", None)
    category, opposite = verdict.parts
    assert (category.text, category.holds) == ("category: damaged", False)
    assert category.because == "nothing is wrong with it so far"
    # Unknown under `not` stays unknown: it must not read as "does not hold".
    assert (opposite.text, opposite.holds, opposite.parts[0].holds) == ("not", None, None)


def test_a_missing_price_and_another_currency_are_named(house: House) -> None:
    house.order(lines=[{"sku": "cup", "quantity": 5}])
    house.say("order.impacted", partner_id="nord", order_id="PO-1", kind="short", quantity=4)
    verdict = rule(house.explain(ORDER), "costly")
    assert [part.holds for part in verdict.parts] == [True, None]
    assert verdict.parts[1].because == "no price was given for cup"
    house.order("PO-2", currency="USD")
    house.say("order.impacted", partner_id="nord", order_id="PO-2", kind="short", quantity=4)
    found = house.explain(subject_key(Kind.ORDER, "nord", "PO-2"))
    assert rule(found, "costly").parts[1].because == "the order is in USD"


def test_the_partners_tier_decides_and_is_said(house: House) -> None:
    house.order(partner="sud")
    verdict = rule(house.explain(subject_key(Kind.ORDER, "sud", "PO-1")), "costly")
    assert verdict.holds is False
    assert verdict.parts[0].because == "the partner is standard"


def test_what_is_odd_about_the_reports_is_said(house: House) -> None:
    house.say("delivery.completed", partner_id="nord", order_id="PO-1", delivery_id="D1",
              lines=[{"sku": "cup", "quantity": 5}])  # fmt: skip
    assert "never reported" in house.explain(ORDER).remarks[0]
    house.order()
    house.say("delivery.completed", partner_id="nord", order_id="PO-1", delivery_id="D2",
              lines=[{"sku": "saucer", "quantity": 5}])  # fmt: skip
    assert "1 delivered or reported lines" in " ".join(house.explain(ORDER).remarks)
    house.say("delivery.completed", partner_id="nord", order_id="PO-1", delivery_id="D3",
              final=True)  # fmt: skip
    assert "nobody confirmed it" in " ".join(house.explain(ORDER).remarks)


def test_a_count_is_part_of_the_answer(house: House) -> None:
    house.order()
    house.say("order.impacted", partner_id="nord", order_id="PO-1", kind="quality", quantity=1)
    assert rule(house.explain(ORDER), "again").holds is None
    verdict = rule(house.explain(ORDER, {"again": (1, "1 in 30d (PO-1)")}), "again")
    assert verdict.holds is False
    assert verdict.parts[1].because == "counted: 1 in 30d (PO-1)"
    assert rule(house.explain(ORDER, {"again": (2, "2 in 30d")}), "again").holds is True


def test_a_deadline_that_waits_for_its_feed_is_named(house: House) -> None:
    house.order()
    limit = at("2026-11-06T12:00:00+01:00")
    house.now = Instant(limit + HOUR)  # the feed may still report what happened before
    assert house.explain(ORDER).held == (limit,)
    house.now = Instant(limit + 3 * HOUR)
    assert house.explain(ORDER).held == ()


def test_a_disruption_over_the_order_is_named(house: House) -> None:
    house.order()
    assert house.explain(ORDER).disruptions == ()
    house.say("disruption.declared", disruption_id="port", severity="low", summary="Port closed",
              partner_ids=["nord"])  # fmt: skip
    assert [span.summary for span in house.explain(ORDER).disruptions] == ["Port closed"]


# --- the tree and the compiled condition agree ----------------------------------------------------


class Known(Facts):
    """Facts as the test wants them."""

    def __init__(self, delay: int | None, impact: int | None, words: frozenset[str] | None) -> None:
        self.at = MONDAY
        self._delay, self._impact, self._words = delay, impact, words

    def delay(self) -> int | None:
        return self._delay

    def impact(self) -> Decimal | None:
        return None if self._impact is None else Decimal(self._impact)

    def categories(self) -> frozenset[str] | None:
        return self._words


_ATOMS = st.sampled_from(
    [
        {"delay": "> 48h"},
        {"impact": "> 5%"},
        {"category": ["quality", "delay"]},
        {"partner_tier": "strategic"},
        {"partner_tier": "standard"},
        {"kind": "order"},
    ]
)
_WHENS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)


@given(
    when=_WHENS,
    delay=st.sampled_from([None, 0, 3 * DAY]),
    impact=st.sampled_from([None, 0, 10]),
    words=st.sampled_from([None, frozenset[str](), frozenset({"quality"})]),
    tier=st.sampled_from(["strategic", "standard"]),
)
def test_the_tree_says_what_the_compiled_rule_says(
    when: Any, delay: int | None, impact: int | None, words: frozenset[str] | None, tier: str
) -> None:
    try:
        node = read_condition(when, ("strategic", "standard"))
    except ValueError:
        return  # refused when a policy is loaded
    policy = _one_rule(when)
    facts = Known(delay, impact, words)
    bound = bind(without_repeats(node), Kind.ORDER, tier)
    expected = compile_condition(bound, policy.default_calendar)(facts)
    assert _tree(when, policy, facts, tier).holds is expected


def _one_rule(when: Any) -> CompiledPolicy:
    document = POLICY | {"rules": [{"name": "r", "when": when, "open_at": "frontline"}]}
    return compile_policy(Policy.model_validate(document), "one")


def _tree(when: Any, policy: CompiledPolicy, facts: Facts, tier: str) -> Verdict:
    from rules.explain import _Judge

    judge = _Judge(facts, Kind.ORDER, tier, policy, "default", {})  # type: ignore[arg-type]  # any facts do
    return judge.rules()[0].verdict


# --- what happens next ----------------------------------------------------------------------------


LATE = subject_key(Kind.ORDER, "sud", "PO-1")


def live(house: House, key: str, until: Instant) -> list[tuple[str, int, int, int | None, str]]:
    """What a service that looks at every deadline the moment it comes really decides."""
    with house.store.reading() as tx:
        before = {step.key for step in tx.steps(case_id(key))}
    while True:
        with house.store.reading() as tx:
            row = tx.subject(key)
            assert row is not None
            lag = house.now - house.horizon(house.now).feeds(row.kind)
            feeds = None if row.feeds_due is None else row.feeds_due + lag
            dues = [due for due in (row.people_due, feeds) if due is not None]
        if not dues or min(dues) > until:
            break
        house.now = Instant(max(house.now, min(dues)))
        house.handler.tick(house.now)
    with house.store.reading() as tx:
        return [
            (step.key, step.at, step.decided_at, step.due, step.tier)
            for step in tx.steps(case_id(key))
            if step.key not in before
        ]


def shown(expected: list[Expected]) -> list[tuple[str, int, int, int | None, str]]:
    return [(e.step.key, e.step.at, e.step.decided_at, e.step.due, e.step.tier) for e in expected]


def command(house: House, verb: str, actor: str, **data: Any) -> None:
    house.say(f"case.{verb}", case_id=case_id(LATE), actor=actor, **data)


def test_silence_leads_up_the_ladder_step_by_step(house: House) -> None:
    house.order(partner="sud")
    expected = house.next(LATE)
    kinds = [e.step.kind for e in expected]
    assert kinds == [
        StepKind.OPENED,
        StepKind.BREACHED,
        StepKind.ESCALATED,
        StepKind.BREACHED,
        StepKind.NOT_CLIMBED,
        StepKind.ESCALATED,
        StepKind.BREACHED,
        StepKind.NOT_CLIMBED,
    ]
    opened = expected[0]
    # 48 hours after the promise, and the three hours that the feed may report late.
    assert opened.step.at == at("2026-11-06T12:00:00+01:00")
    assert opened.at == at("2026-11-06T15:00:00+01:00")
    assert [(e.kind, e.role) for e in opened.effects] == [("alert", "account_manager")]
    assert opened.case.tier == "frontline"
    assert expected[2].case.tier == "management"


def test_the_forecast_is_what_then_happens(house: House) -> None:
    house.order(partner="sud")
    expected = house.next(LATE, limit=50)
    assert shown(expected) == live(house, LATE, Instant(MONDAY + 365 * DAY))
    assert house.next(LATE) == []


_COMMANDS = st.lists(
    st.tuples(
        st.integers(0, 30 * 24),
        st.sampled_from(
            [
                ("acknowledged", {}),
                ("acknowledged", {"take_over": True}),
                ("snoozed", {"until": "2026-11-12T09:30:00+01:00"}),
                ("waiting", {}),
                ("waiting", {"until": "2026-11-20T09:30:00+01:00"}),
                ("escalated", {}),
                ("resolved", {"root_cause": "lorry"}),
                ("reopened", {}),
            ]
        ),
        st.sampled_from(["anna", "cleo", "dora"]),
    ),
    max_size=4,
)


@settings(max_examples=25)  # each example fills a store of its own
@given(commands=_COMMANDS, after=st.integers(0, 20 * 24))
def test_whatever_was_done_the_forecast_is_what_then_happens(
    tmp_path_factory: pytest.TempPathFactory, commands: Any, after: int
) -> None:
    house = House(tmp_path_factory.mktemp("explain") / "detente.db")
    try:
        house.order(partner="sud")
        for hours, (verb, data), actor in sorted(commands, key=lambda c: c[0]):
            moment = Instant(MONDAY + hours * HOUR)
            live(house, LATE, moment)
            house.now = Instant(max(house.now, moment))
            with house.store.reading() as tx:
                there = tx.case(case_id(LATE)) is not None
            if there:
                command(house, verb, actor, **data)
        house.now = Instant(max(house.now, MONDAY + after * HOUR))
        expected = house.next(LATE, limit=50)
        assert shown(expected) == live(house, LATE, Instant(MONDAY + 365 * DAY))
    finally:
        house.store.close()


def test_nothing_is_expected_of_a_settled_case(house: House) -> None:
    house.order(partner="sud")
    live(house, LATE, at("2026-11-06T16:00:00+01:00"))
    command(house, "resolved", "anna", root_cause="lorry")
    assert house.next(LATE) == []


def test_what_is_due_already_is_expected_now(house: House) -> None:
    house.order(partner="sud")
    house.now = at("2026-11-10T10:00:00+01:00")
    first = house.next(LATE)[0]
    assert (first.step.kind, first.at) == (StepKind.OPENED, house.now)


def test_looking_ahead_changes_nothing(house: House) -> None:
    house.order(partner="sud")
    before = house.document(LATE)
    house.next(LATE)
    assert house.document(LATE) == before


def test_the_limit_holds(house: House) -> None:
    house.order(partner="sud")
    assert shown(house.next(LATE, limit=3)) == shown(house.next(LATE))[:3]
