"""Rows to write to a store: whatever a test does not care about is filled in."""

from dataclasses import replace
from typing import Any

from rules.decision import (
    CaseRow,
    Changes,
    Effect,
    EffectKind,
    Kind,
    State,
    StepKind,
    StepRow,
    SubjectRow,
)
from schemas.time import HOUR, MINUTE, Instant
from streams.store import Store

T0 = Instant(1_790_000_000_000_000)


def at(offset: int) -> Instant:
    return Instant(T0 + offset)


def subject(key: str, **fields: Any) -> SubjectRow:
    row = SubjectRow(
        key=key,
        kind=Kind.ORDER,
        partner_id="acme",
        document=b"{}",
        began_at=None,
        feeds_due=None,
        people_due=None,
        version=0,
        has_case=False,
    )
    return row._replace(**fields)


def case(case_id: str, **fields: Any) -> CaseRow:
    row = CaseRow(
        case_id=case_id,
        subject=f"subject of {case_id}",
        kind=Kind.ORDER,
        partner_id="acme",
        partner_tier="strategic",
        state=State.OPEN,
        tier="management",
        highest_tier="management",
        owner=None,
        disputed=False,
        shadow=False,
        parent=None,
        rules=("late-delivery", "order-impact"),
        headline="12 of 150 units short",
        opened_at=T0,
        changed_at=T0,
        due=None,
        waits_for=None,
    )
    return replace(row, **fields)


def step(case_id: str, key: str, n: int, **fields: Any) -> StepRow:
    row = StepRow(
        case_id=case_id,
        key=key,
        n=n,
        kind=StepKind.OPENED,
        tier="management",
        at=T0,
        decided_at=at(MINUTE),
        due=at(2 * HOUR),
        actor=None,
        policy="abc",
        receipt={"summary": "8.0 % > 5 %", "why": ["12 of 150"], "facts": {"impact": "0.08"}},
    )
    return replace(row, **fields)


def effect(effect_id: str, **fields: Any) -> Effect:
    row = Effect(
        effect_id=effect_id,
        case_id="c1",
        partner_id="acme",
        step="opened",
        kind=EffectKind.ALERT,
        role="account_manager",
        tier="management",
        state=State.OPEN,
        urgent=False,
        shadow=False,
        at=T0,
        created_at=T0,
        due=at(HOUR),
        remind_every="1bh",
        remind_at_most=5,
        actor=None,
        text={"headline": "late", "why": ["a", "b"]},
    )
    return replace(row, **fields)


def write(store: Store, **changes: Any) -> None:
    with store.transaction() as tx:
        tx.write(Changes(**changes))
