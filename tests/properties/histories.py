"""Histories: what a small trade could report, with ties, late truth and commands in between.

There are few partners, orders and people, and instants lie on a grid of six hours that also hits
midnights of Berlin and deadlines of 48 hours, so that everything meets everything else.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

from rules.decision import Kind
from rules.policy import CompiledPolicy, PolicyHistory, compile_policy
from rules.recipients import Recipients
from rules.subjects import (
    Contribution,
    Statement,
    case_id,
    command_target,
    is_command,
    split_key,
    state_command,
    state_subject,
    subject_key,
)
from rules.world import World
from schemas.directory import Directory
from schemas.events import Malformed, UnknownType, parse_event
from schemas.policy import Policy
from schemas.time import DAY, HOUR, Instant, iso

_Item = TypeVar("_Item")

#: Midnight in Berlin before Monday, 2 November 2026: dates without a time end on the grid.
START = 1_793_574_000 * 1_000_000
GRID = 6 * HOUR
DAYS = 14
END = START + (DAYS + 30) * DAY

LADDER = {
    "frontline": {
        "notify": "account_manager",
        "acknowledge_within": "4bh",
        "resolve_within": "48h",
    },
    "management": {
        "notify": "partnership_manager",
        "acknowledge_within": "6h",
        "resolve_within": "3bd",
        "remind_every": "1bh",
    },
    "executive": {
        "notify": "executive_sponsor",
        "acknowledge_within": "12h",
        "only_when": {
            "any": [
                {"partner_tier": "strategic"},
                {"exposure": "> 200 EUR"},
                {"age": "> 3bd"},
            ]
        },
    },
}
RULES: list[dict[str, Any]] = [
    {"name": "order-impact", "when": {"impact": "> 5%"}, "open_at": "management"},
    {"name": "late-delivery", "when": {"delay": "> 48h"}, "open_at": "management"},
    {"name": "minor-shortfall", "when": {"impact": "> 0%"}, "open_at": "watch"},
    {
        "name": "late-strategic",
        "when": {"partner_tier": "strategic", "delay": "> 4bh"},
        "open_at": "frontline",
    },
    {
        "name": "large-exposure",
        "when": {"partner_tier": "strategic", "exposure": "> 300 EUR"},
        "open_at": "executive",
    },
    {
        "name": "no-return",
        "when": {"not": {"category": "return"}, "impact": "> 40%"},
        "open_at": "executive",
    },
    {
        "name": "old",
        "when": {"partner_tier": "growth", "kind": "order", "age": "> 5bd"},
        "open_at": "frontline",
    },
    {
        "name": "repeat-quality",
        "when": {"category": "quality", "repeats": "2 of 3 orders"},
        "open_at": "management",
        "as": "systemic",
    },
    {
        "name": "repeat-sku",
        "when": {"impact": "> 10%", "repeats": "2 in 6d by sku"},
        "open_at": "frontline",
    },
    {"name": "no-answer", "when": {"breach": "first_response"}, "open_at": "frontline"},
    {
        "name": "slow",
        "when": {"breach": ["next_response", "resolution"]},
        "open_at": "management",
    },
    {
        "name": "severe",
        "when": {"kind": "ticket", "severity": "high"},
        "open_at": "management",
        "mode": "shadow",
    },
    {"name": "low-fill", "when": {"metric": "fill_rate < 95"}, "open_at": "frontline"},
]
POLICY: dict[str, Any] = {
    "rules": RULES,
    "ladders": {"default": LADDER},
    "commitments": {
        "strategic": {"first_response": "2bh", "next_response": "4bh", "resolution": "3bd"},
        "growth": {"first_response": "12h", "resolution": "48h"},
        "standard": {"first_response": "1bd", "next_response": "18h"},
    },
    "calendars": {
        "default": {"timezone": "Europe/Berlin", "hours": {"mon-fri": ["09:00-18:00"]}},
        "york": {"timezone": "America/New_York", "hours": {"mon-fri": ["08:00-17:00"]}},
    },
    "exceptions": {"disruptions": {"high": "executive", "default": "management"}},
}
PEOPLE: dict[str, dict[str, Any]] = {
    "ann": {"stand_in": "bob"},
    "bob": {},
    "mia": {"calendar": "york"},
    "eve": {"absences": [{"from": "2026-11-04", "until": "2026-11-06", "stand_in": "bob"}]},
    "ops": {},
}
DIRECTORY = {
    "people": {
        name: {"name": name, "routes": [{"kind": "terminal"}], **entry}
        for name, entry in PEOPLE.items()
    },
    "partners": {
        "A": {"tier": "strategic"},
        "B": {"tier": "growth"},
        "C": {"tier": "standard", "calendar": "york"},
    },
    "roles": {
        "account_manager": "ann",
        "partnership_manager": "mia",
        "executive_sponsor": "eve",
        "operations": "ops",
    },
}
PARTNERS = ("A", "B", "C", "D")
ORDERS = ("O1", "O2", "O3")
ACTORS = ("ann", "bob", "mia", "eve", "zoe")


def compiled(changes: dict[str, Any] | None = None) -> CompiledPolicy:
    document = Policy.model_validate({**POLICY, **(changes or {})})
    return compile_policy(document, "first" if changes is None else "second")


def stricter() -> CompiledPolicy:
    """Another version: lateness opens higher and sooner, impact counts by value."""
    rules = [
        {**rule, "when": {"delay": "> 24h"}, "open_at": "executive"}
        if rule["name"] == "late-delivery"
        else rule
        for rule in RULES
    ]
    return compiled({"rules": rules, "impact_measure": "value"})


def make_world(*versions: tuple[int, CompiledPolicy]) -> World:
    history = PolicyHistory(tuple((Instant(start), policy) for start, policy in versions))
    first = versions[0][1]
    directory = Directory.model_validate(DIRECTORY)
    return World(history, Recipients(directory, first.calendars, first.default_tier))


@cache
def one_policy() -> World:
    return make_world((0, compiled()))


@cache
def two_policies() -> World:
    return make_world((0, compiled()), (START + 5 * DAY, stricter()))


# --- events as their senders write them --------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """An event before it is stamped with its id."""

    type: str
    at: int
    data: dict[str, Any]
    source: str = "/erp"
    id: str = ""

    def json(self) -> bytes:
        return json.dumps(
            {
                "specversion": "1.0",
                "id": self.id,
                "source": self.source,
                "type": self.type,
                "time": iso(self.at),
                "data": self.data,
            }
        ).encode()


def state(
    said: Said, world: World, key: str | None = None, recorded: int | None = None
) -> Statement:
    """The statement that the event makes; `key` is the subject that a command is about."""
    event = parse_event(said.json())
    assert not isinstance(event, Malformed | UnknownType), str(event)
    when = Instant(said.at if recorded is None else recorded)
    if is_command(event):
        assert key is not None
        assert command_target(event) == case_id(key)
        return state_command(event, when, key, world.recipients.roles_of)
    return state_subject(event, when)


def contributions(history: Sequence[Said], world: World, key: str) -> list[Contribution]:
    """What the events contribute to the subject that all of them are about."""
    statements = [state(said, world, key) for said in history]
    assert {statement.key for statement in statements} <= {key}
    return [statement.contribution for statement in statements]


def numbered(history: Sequence[Said]) -> list[Said]:
    return [replace(said, id=f"e{n}") for n, said in enumerate(history)]


# --- strategies --------------------------------------------------------------------------------

instants = st.integers(0, DAYS * 4).map(lambda n: START + n * GRID)
early = st.integers(0, 8).map(lambda n: START + n * GRID)
days = st.integers(1, 9).map(lambda day: f"2026-11-{day + 1:02}")
whens = st.one_of(instants.map(iso), days)
sources = st.sampled_from(("/erp", "/crm"))
quantities = st.sampled_from(("1", "2", "5", "10"))
line_ids = st.sampled_from(("1", "2", "3"))
skus = st.sampled_from(("nut", "bolt"))

_parts = st.one_of(
    st.fixed_dictionaries({"line_id": line_ids, "quantity": quantities}),
    st.fixed_dictionaries({"sku": skus, "quantity": quantities}),
)
_delivered_parts = st.one_of(
    _parts,
    st.fixed_dictionaries(
        {"sku": skus, "quantity": quantities, "damaged": st.sampled_from(("0", "1", "2"))}
    ),
)


@st.composite
def order_lines(draw: st.DrawFn) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for n in range(draw(st.integers(1, 3))):
        line: dict[str, Any] = {"sku": draw(skus), "quantity": draw(quantities)}
        if draw(st.booleans()):
            line["line_id"] = str(n + 1)
        if draw(st.integers(0, 3)):
            line["unit_price"] = draw(st.sampled_from(("10", "25.50")))
        if not draw(st.integers(0, 3)):
            line["promised_at"] = draw(whens)
        lines.append(line)
    return lines


def _optional(draw: st.DrawFn, **fields: st.SearchStrategy[Any]) -> dict[str, Any]:
    return {name: draw(values) for name, values in fields.items() if draw(st.booleans())}


@st.composite
def placed(draw: st.DrawFn, partner: str, order: str) -> Said:
    data = {
        "partner_id": partner,
        "order_id": order,
        "promised_at": draw(whens),
        "currency": draw(st.sampled_from(("EUR", "EUR", "EUR", "USD"))),
        "lines": draw(order_lines()),
    }
    return Said("order.placed", draw(early), data, draw(sources))


ORDER_NEWS = (
    "delivery.completed",
    "delivery.completed",
    "delivery.completed",
    "order.impacted",
    "order.impacted",
    "delivery.dispatched",
    "delivery.rescheduled",
    "delivery.failed",
    "order.amended",
    "order.cancelled",
)


@st.composite
def order_news(
    draw: st.DrawFn, partner: str, order: str, types: Sequence[str] = ORDER_NEWS
) -> Said:
    """Anything that can be said of an order after it was placed; whole deliveries are common."""
    type_ = draw(st.sampled_from(types))
    at = draw(instants)
    delivery = draw(st.sampled_from(("D1", "D1", "D2")))
    match type_:
        case "delivery.completed":
            more: dict[str, Any] = {"delivery_id": delivery, **_optional(draw, delivered_at=whens)}
            how = draw(st.sampled_from(("whole", "whole", "parts", "parts", "silent")))
            if how == "whole":
                more["final"] = True
            elif how == "parts":
                more["lines"] = draw(st.lists(_delivered_parts, min_size=1, max_size=3))
                more |= _optional(draw, final=st.booleans())
        case "delivery.dispatched":
            more = {
                "delivery_id": delivery,
                **_optional(draw, eta=whens, carrier=st.just("DHL"), lane=st.just("HH-B")),
            }
        case "delivery.rescheduled":
            more = {"eta": draw(whens), **_optional(draw, delivery_id=st.just(delivery))}
        case "delivery.failed":
            more = {"delivery_id": delivery}
        case "order.impacted":
            more = {
                "kind": draw(
                    st.sampled_from(
                        ("short", "damaged", "quality", "quality", "wrong_item", "return")
                    )
                ),
                **_optional(draw, report_id=st.sampled_from(("R1", "R2"))),
            }
            measure = draw(st.sampled_from(("lines", "quantity", "impact_percent")))
            if measure == "lines":
                more["lines"] = draw(st.lists(_parts, min_size=1, max_size=2))
            elif measure == "quantity":
                more["quantity"] = draw(st.sampled_from(("0", "1", "3")))
            else:
                more["impact_percent"] = draw(st.sampled_from(("0", "3", "5", "8", "50")))
        case "order.amended":
            more = {"agreed_by": draw(st.sampled_from(("partner", "us")))}
            more |= _optional(draw, promised_at=whens)
            if "promised_at" not in more or draw(st.booleans()):
                more["lines"] = draw(order_lines())
        case _:
            more = {"by": draw(st.sampled_from(("partner", "us")))}
            more |= _optional(draw, lines=st.lists(_parts, min_size=1, max_size=2))
    return Said(type_, at, {"partner_id": partner, "order_id": order, **more}, draw(sources))


@st.composite
def opened(draw: st.DrawFn, partner: str, ticket: str) -> Said:
    data = {
        "partner_id": partner,
        "ticket_id": ticket,
        "category": draw(st.sampled_from(("quality", "billing"))),
        **_optional(draw, severity=st.sampled_from(("high", "low")), urgent=st.booleans()),
    }
    return Said("ticket.opened", draw(early), data, draw(sources))


@st.composite
def ticket_news(draw: st.DrawFn, partner: str, ticket: str) -> Said:
    data: dict[str, Any] = {"partner_id": partner, "ticket_id": ticket}
    if draw(st.booleans()):
        type_ = "ticket.message"
        data["author"] = draw(st.sampled_from(("partner", "us", "system")))
        data["kind"] = draw(st.sampled_from(("reply", "reply", "note", "automatic")))
    else:
        type_ = "ticket.status"
        states = ("open", "waiting_on_partner", "waiting_on_us", "resolved", "closed")
        data["status"] = draw(st.sampled_from(states))
        data |= _optional(draw, severity=st.sampled_from(("high", "low")))
    return Said(type_, draw(instants), data, draw(sources))


@st.composite
def disruption_news(draw: st.DrawFn, name: str) -> Said:
    data: dict[str, Any] = {"disruption_id": name}
    if not draw(st.integers(0, 2)):
        return Said("disruption.cleared", draw(instants), data, draw(sources))
    selector: dict[str, Any] = draw(
        st.sampled_from(
            (
                {"partner_ids": ["A", "B"]},
                {"carrier": "DHL"},
                {"lane": "HH-B"},
                {"order_ids": ["O1"]},
                {"scope": "all"},
            )
        )
    )
    data |= {"severity": draw(st.sampled_from(("high", "low"))), "summary": "port closed"}
    return Said("disruption.declared", draw(early), data | selector, draw(sources))


@st.composite
def metric(draw: st.DrawFn, partner: str) -> Said:
    value = draw(st.sampled_from(("90", "94.9", "95", "99")))
    data = {"partner_id": partner, "metric": "fill_rate", "value": value}
    return Said("metric.reported", draw(instants), data, draw(sources))


VERBS = (
    "case.acknowledged",
    "case.acknowledged",
    "case.acknowledged",
    "case.assigned",
    "case.escalated",
    "case.deescalated",
    "case.waiting",
    "case.snoozed",
    "case.commented",
    "case.resolved",
    "case.resolved",
    "case.closed",
    "case.reopened",
    "case.moved",
    "case.disputed",
    "case.dispute_decided",
    "clock.excused",
)
#: What only one person says: no decision about what is so.
ANSWERS = ("case.acknowledged", "case.assigned", "case.snoozed", "case.waiting", "case.resolved")

_tiers = st.sampled_from(("frontline", "management", "executive"))


@st.composite
def command(draw: st.DrawFn, key: str, verbs: Sequence[str] = VERBS) -> Said:
    """A command of any verb about the case of a subject, whether or not there is one then."""
    verb = draw(st.sampled_from(verbs))
    target = case_id(key)
    data: dict[str, Any] = {"actor": draw(st.sampled_from(ACTORS))}
    data |= {"clock_id": f"{target}/first"} if verb == "clock.excused" else {"case_id": target}
    match verb:
        case "case.acknowledged":
            data |= _optional(draw, take_over=st.booleans(), bulk=st.booleans())
        case "case.assigned":
            data["to"] = draw(st.sampled_from(ACTORS))
        case "case.escalated" | "case.deescalated":
            data |= _optional(draw, to=_tiers)
        case "case.waiting":
            data |= _optional(draw, until=instants.map(iso))
        case "case.snoozed":
            data["until"] = draw(instants.map(iso))
        case "case.commented":
            data["note"] = "seen"
        case "case.resolved":
            data["root_cause"] = "carrier"
        case "case.disputed":
            data["evidence"] = "signed papers"
        case "case.dispute_decided":
            data["verdict"] = draw(st.sampled_from(("upheld", "corrected", "excused")))
        case _:
            pass
    return Said(verb, draw(instants), data, "/desk")


@dataclass(frozen=True)
class History:
    """Events about one subject."""

    key: str
    events: list[Said]

    @property
    def kind(self) -> Kind:
        return split_key(self.key)[0]

    def contributions(self, world: World) -> list[Contribution]:
        return contributions(self.events, world, self.key)


@st.composite
def order_histories(
    draw: st.DrawFn,
    news: Sequence[str] = ORDER_NEWS,
    verbs: Sequence[str] = VERBS,
    partners: Sequence[str] = PARTNERS,
    most: int = 6,
) -> History:
    """An order that was placed (nearly always), with news and commands."""
    partner = draw(st.sampled_from(partners))
    key = subject_key(Kind.ORDER, partner, "O1")
    events = [draw(placed(partner, "O1"))] if draw(st.integers(0, 9)) else []
    events += draw(st.lists(order_news(partner, "O1", news), min_size=not events, max_size=most))
    if verbs:
        events += draw(st.lists(command(key, verbs), max_size=4))
    return History(key, numbered(events))


@st.composite
def conflicts(draw: st.DrawFn) -> History:
    """An order that never comes, and people who do something about it."""
    partner = draw(st.sampled_from(PARTNERS))
    key = subject_key(Kind.ORDER, partner, "O1")
    line = {"sku": "nut", "quantity": "10", "unit_price": "10"}
    data = {"partner_id": partner, "order_id": "O1", "promised_at": "2026-11-02", "lines": [line]}
    answers = draw(
        st.lists(command(key, (*ANSWERS, *("case.snoozed",) * 3)), min_size=1, max_size=4)
    )
    for answer in answers:
        if answer.type == "case.acknowledged":
            answer.data["take_over"] = draw(st.booleans())
        if answer.type == "case.snoozed":
            answer.data["until"] = iso(draw(st.sampled_from((answer.at + 3 * DAY, END))))
    taken = {"case_id": case_id(key), "actor": "zoe", "take_over": True}
    owned = Said("case.acknowledged", START + 4 * DAY, taken, "/desk")
    return History(key, numbered([Said("order.placed", START, data), owned, *answers]))


@st.composite
def ticket_histories(draw: st.DrawFn, verbs: Sequence[str] = VERBS) -> History:
    partner = draw(st.sampled_from(PARTNERS))
    key = subject_key(Kind.TICKET, partner, "T1")
    events = [draw(opened(partner, "T1"))] if draw(st.integers(0, 9)) else []
    events += draw(st.lists(ticket_news(partner, "T1"), min_size=not events, max_size=6))
    if verbs:
        events += draw(st.lists(command(key, verbs), max_size=4))
    return History(key, numbered(events))


@st.composite
def other_histories(draw: st.DrawFn, verbs: Sequence[str] = VERBS) -> History:
    """Disruptions and figures."""
    if draw(st.booleans()):
        key = subject_key(Kind.DISRUPTION, "", "X1")
        events = draw(st.lists(disruption_news("X1"), min_size=1, max_size=4))
    else:
        key = subject_key(Kind.METRIC, "B", "fill_rate")
        events = draw(st.lists(metric("B"), min_size=1, max_size=4))
    if verbs:
        events += draw(st.lists(command(key, verbs), max_size=4))
    return History(key, numbered(events))


histories = st.one_of(order_histories(), order_histories(), ticket_histories(), other_histories())
#: Without commands: what is so, not what somebody did about it.
silent_histories = st.one_of(
    order_histories(verbs=()), order_histories(verbs=()), ticket_histories(()), other_histories(())
)
worlds = st.sampled_from((one_policy, two_policies)).map(lambda make: make())


@st.composite
def trades(draw: st.DrawFn, most: int = 14) -> list[Said]:
    """Events about many subjects that touch each other, sorted as a file of them would be."""
    keys: list[str] = []
    events: list[Said] = []
    for partner in draw(st.sampled_from((("A",), ("A", "B"), ("B", "C")))):
        for order in draw(st.sampled_from((ORDERS[:2], ORDERS))):
            keys.append(subject_key(Kind.ORDER, partner, order))
            events.append(draw(placed(partner, order)))
    keys += [subject_key(Kind.DISRUPTION, "", "X1"), subject_key(Kind.TICKET, "A", "T1")]
    keys += [
        subject_key(Kind.PATTERN, partner, name)
        for partner in ("A", "B", "")
        for name in ("repeat-quality/category/quality", "repeat-sku/sku/nut")
        if partner or "sku" in name
    ]
    for _ in range(draw(st.integers(1, most))):
        what = draw(st.integers(0, 9))
        kind, partner, name = split_key(draw(st.sampled_from(keys)))
        if what >= 7:
            events.append(draw(command(subject_key(kind, partner, name))))
        elif kind is Kind.ORDER:
            events.append(draw(order_news(partner, name)))
        elif kind is Kind.TICKET:
            events.append(draw(st.one_of(opened(partner, name), ticket_news(partner, name))))
        elif kind is Kind.DISRUPTION:
            events.append(draw(disruption_news(name)))
        else:
            events.append(draw(metric("B")))
    events = numbered(events)
    return sorted(events, key=lambda said: (said.at, said.source, said.id))


@st.composite
def cuts(draw: st.DrawFn, items: Sequence[_Item]) -> list[list[_Item]]:
    """A sequence cut into batches."""
    batches: list[list[_Item]] = [[]]
    for item in items:
        cut: bool = draw(st.booleans())
        if batches[-1] and cut:
            batches.append([])
        batches[-1].append(item)
    return [batch for batch in batches if batch]
