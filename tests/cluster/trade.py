"""A made-up trade with everything that makes one hard: disorder, duplicates, commands, poison."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from rules.decision import EffectKind, Kind, State
from rules.subjects import case_id, subject_key
from schemas.time import Instant, to_instant
from streams.cluster.settings import KafkaSettings
from streams.knowledge import DirectoryFile, PolicyFile, compile_body, read_directory
from streams.store import Store

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
#: Long after everything, so that every deadline has passed.
LATER: Instant = to_instant(BEGIN + timedelta(days=200))
PARTNERS = [f"partner-{n}" for n in range(9)]
#: Something of every kind: orders, patterns of two sorts, tickets, a disruption.
POLICY = b"""
partner_tiers: [strategic, growth, standard]
default_partner_tier: growth
rules:
  - {name: order-impact, when: {impact: "> 5%"}, open_at: management}
  - {name: late-delivery, when: {delay: "> 48h"}, open_at: management}
  - {name: minor-shortfall, when: {impact: "> 0%"}, open_at: watch}
  - {name: large-exposure, when: {exposure: "> 150 EUR"}, open_at: executive}
  - {name: repeat-quality, when: {category: quality, repeats: "2 in 20d"},
     open_at: management, as: systemic}
  - {name: repeat-sku, when: {impact: "> 5%", repeats: "3 in 2d by sku"}, open_at: frontline}
  - {name: no-answer, when: {breach: first_response}, open_at: frontline}
  - {name: severe, when: {kind: ticket, severity: high}, open_at: management}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4bh}
    management: {notify: partnership_manager, acknowledge_within: 2bh, remind_every: 1bh,
                 remind_at_most: 2}
    executive: {notify: executive_sponsor, acknowledge_within: 1bh,
                only_when: {exposure: "> 100 EUR"}}
commitments:
  growth: {first_response: 4bh, next_response: 1bd, resolution: 5bd}
calendars:
  default: {timezone: Europe/Berlin, hours: {mon-fri: ["09:00-17:00"]}, holidays: DE-BE}
"""
DIRECTORY = b"""
people:
  anna: {name: Anna Lindner, routes: [{kind: terminal}]}
  claire: {name: Claire Dubois, routes: [{kind: terminal}]}
  david: {name: David Okafor, routes: [{kind: terminal}]}
roles: {account_manager: anna, partnership_manager: claire, executive_sponsor: david,
        operations: david}
"""


def documents(grace_after_gap: str = "0min", sources: str = "") -> tuple[PolicyFile, DirectoryFile]:
    """The policy and the directory of this trade. Clocks of tests jump, and most gaps are none."""
    patience = f"patience: {{grace_after_gap: {grace_after_gap}}}\n"
    policy = compile_body(POLICY + (patience + sources).encode(), "policy")
    return policy, read_directory(DIRECTORY, "directory", policy.compiled)


def event(type_: str, at: datetime, name: str, **data: Any) -> bytes:
    """One CloudEvent."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": name,
            "source": "/people" if type_.startswith("case.") else "/erp",
            "type": type_,
            "time": at.isoformat(),
            "data": data,
        }
    ).encode()


def order_life(random: Random, n: int) -> Iterator[bytes]:
    """What happens to one order."""
    order, partner = f"PO-{n}", random.choice(PARTNERS)
    about = {"partner_id": partner, "order_id": order}
    placed = BEGIN + timedelta(hours=random.randrange(1_000))
    promised = placed + timedelta(days=5)
    skus = random.sample(("bolt", "nut", "cam"), random.choice((1, 2)))
    lines = [{"sku": sku, "quantity": "40", "unit_price": "2"} for sku in skus]
    yield event("order.placed", placed, f"{order}-placed", **about,
                promised_at=promised.isoformat(), currency="EUR", lines=lines)  # fmt: skip
    chance = random.random()
    if chance > 0.15:  # of the others nobody reports anything
        late = timedelta(days=random.choice((-2, -1, -1, 0, 1, 4)))
        quantity = random.choice(("40", "40", "39", "10"))
        brought = [{"sku": sku, "quantity": quantity} for sku in skus]
        yield event("delivery.completed", promised + late, f"{order}-came", **about,
                    delivery_id="D1", lines=brought, final=random.random() < 0.7)  # fmt: skip
    if chance > 0.75:
        kind = random.choice(("damaged", "quality", "quality", "short"))
        hurt = [{"sku": skus[0], "quantity": random.choice(("1", "20"))}]
        yield event("order.impacted", promised, f"{order}-hurt", **about,
                    kind=kind, lines=hurt, report_id="R1")  # fmt: skip
    if chance > 0.9:
        yield event("order.amended", placed + timedelta(days=1), f"{order}-later", **about,
                    agreed_by="partner", promised_at=(promised + timedelta(days=3)).isoformat(),
                    )  # fmt: skip
    if 0.8 < chance < 0.86:
        case = case_id(subject_key(Kind.ORDER, partner, order))
        yield event("case.acknowledged", promised + timedelta(days=4), f"{order}-seen",
                    case_id=case, actor="claire")  # fmt: skip


def ticket_life(random: Random, n: int) -> Iterator[bytes]:
    """What happens to one ticket."""
    about = {"partner_id": random.choice(PARTNERS), "ticket_id": f"T-{n}"}
    opened = BEGIN + timedelta(hours=random.randrange(1_000))
    yield event("ticket.opened", opened, f"T-{n}-opened", **about, category="quality",
                severity=random.choice(("low", "high")))  # fmt: skip
    if random.random() < 0.7:
        yield event("ticket.message", opened + timedelta(hours=random.randrange(90)),
                    f"T-{n}-answer", **about, author="us", kind="reply")  # fmt: skip
    if random.random() < 0.5:
        yield event("ticket.status", opened + timedelta(days=6), f"T-{n}-solved", **about,
                    status="resolved")  # fmt: skip


def poison(random: Random, n: int) -> bytes:
    """Something that cannot be taken."""
    return random.choice(
        (
            b"\xff\xfe no text %d" % n,
            b'{"half": %d' % n,
            event("order.placed", BEGIN, f"poison-{n}", partner_id="partner-1"),
            event("weather.changed", BEGIN, f"poison-{n}", partner_id="partner-1"),
        )
    )


def trade(seed: int, orders: int) -> list[bytes]:
    """Everything that happens, in no order, with some of it told twice."""
    random = Random(seed)
    told = [value for n in range(orders) for value in order_life(random, n)]
    told += [value for n in range(orders // 5) for value in ticket_life(random, n)]
    told += [poison(random, n) for n in range(orders // 20)]
    disrupted = [f"PO-{n}" for n in range(0, orders, 40)]
    told.append(event("disruption.declared", BEGIN, "X1-declared", disruption_id="X1",
                      severity="high", summary="port closed", order_ids=disrupted))  # fmt: skip
    told += [value for value in told if b"poison" not in value and random.random() < 0.1]
    random.shuffle(told)
    return told


def routed(kafka: KafkaSettings, values: list[bytes]) -> Iterator[tuple[str, bytes, bytes]]:
    """Topic, key and value of each: as the intake writes them."""
    for value in values:
        try:
            said = json.loads(value)
        except ValueError:
            yield kafka.orders_topic, b"poison", value
        else:
            data = said["data"]
            key = data.get("partner_id") or data.get("case_id") or ""
            yield kafka.topic_of(said["type"]), key.encode(), value


def outcome(store: Store) -> dict[str, list[Any]]:
    """What stands in the end, and what was told of it.

    What was announced on the way shows the order of arrival, and is left out: cases that were
    retracted, steps that were withdrawn, and in a case that stands after all the retraction that
    was told while less was known.
    """
    with store.reading() as tx:
        every = {case.case_id: case for case in tx.list_cases()}
        cases = [case for case in every.values() if case.state is not State.RETRACTED]
        steps = [step for case in cases for step in tx.steps(case.case_id)]
        steps = [
            step
            for step in steps
            if step.withdrawn_at is None and not step.key.startswith("retracted!")
        ]
        stand = {(step.case_id, step.key) for step in steps}
        effects = [e.effect for e in tx.list_outbox()]
        # The fate of a case under a disruption shows in what it was told before it was attached.
        apart = {case.case_id for case in cases if case.parent is not None}
        effects = [e for e in effects if (e.case_id, e.step) in stand and e.case_id not in apart]
        occurrences = tx.connection.exec_driver_sql("SELECT * FROM occurrence").fetchall()
        rejected = sorted((row.entry.kind, row.entry.value) for row in tx.list_rejected())
        parked = [row.event_id for row in tx.list_parked()]
        counted = {(c.what, c.name): c.n for c in tx.counters("accepted")}
    return {
        "cases": sorted(cases, key=lambda case: case.case_id),
        "steps": sorted(steps, key=lambda step: (step.case_id, step.key)),
        # Who is told what. The words say what was known when it was decided, and nobody is told
        # the same again when more is known.
        "effects": sorted(
            (e.effect_id, e.case_id, e.step, e.kind, e.role)
            for e in effects
            if e.kind is not EffectKind.UPDATE
        ),
        "occurrences": sorted(map(tuple, occurrences)),
        "rejected": rejected,
        "parked": sorted(parked),
        "counted": [counted],
    }
