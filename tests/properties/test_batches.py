"""Batches: duplicates, cuts and interruptions of a whole trade change nothing (laws 4 and 5)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.decide import Decider, Taken
from rules.decision import CaseRow, Effect, Kind, SubjectRow
from rules.subjects import case_id, subject_key
from rules.transitions import STANDING
from rules.world import Horizon
from schemas.time import DAY, HOUR, Instant, iso
from streams.records import RawRecord
from streams.replay import Replay
from streams.store import Store, Transaction
from tests.properties.histories import (
    END,
    START,
    History,
    Said,
    cuts,
    histories,
    one_policy,
    state,
    trades,
)
from tests.properties.lives import told as account_of
from tests.properties.lives import without_errors
from tests.properties.stores import copy_of

NOW = Instant(START + 20 * DAY)


# --- law 4 ---


@dataclass
class Decided:
    """What came of batches that were decided over rows kept in memory."""

    rows: dict[str, SubjectRow] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    duplicates: int = 0
    rejected: list[str] = field(default_factory=list)


def decide(history: History, batches: Iterable[Sequence[Said]]) -> Decided:
    world = one_policy()
    all_in_all = Decided()
    for batch in batches:
        decider = Decider(world, Horizon.everything_until(NOW - 1), NOW, tell=True)
        taken = []
        for index, said in enumerate(batch):
            statement = state(said, world, history.key, NOW)
            taken.append(Taken(statement, index, said.json(), "test", str(index)))
        decider.take(taken, all_in_all.rows)
        changes = decider.decision.finish()
        all_in_all.rows |= {row.key: row for row in changes.subjects}
        all_in_all.effects += changes.effects
        all_in_all.duplicates += len(decider.decision.verdicts.duplicate)
        all_in_all.rejected += [rejected.kind for rejected in changes.rejected]
    return all_in_all


@given(histories, st.data())
def test_what_is_seen_twice_or_with_other_content_changes_nothing(
    history: History, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(history.events), min_size=1))
    otherwise = data.draw(st.lists(st.sampled_from(history.events)))
    forged = [replace(said, at=said.at + HOUR) for said in otherwise]
    batches = data.draw(cuts(data.draw(st.permutations([*history.events, *again, *forged]))))
    seen: dict[str, Said] = {}
    plain: list[list[Said]] = []
    conflicts = 0
    for batch in batches:
        plain.append([])
        for said in batch:
            if said.id not in seen:
                seen[said.id] = said
                plain[-1].append(said)
            conflicts += seen[said.id] != said
    result, expected = decide(history, batches), decide(history, plain)
    assert result.rows == expected.rows
    assert result.effects == expected.effects
    assert result.rejected == ["conflicting duplicate"] * conflicts
    assert result.duplicates == sum(map(len, batches)) - len(seen) - conflicts
    assert not expected.duplicates
    assert not expected.rejected


# --- law 5: a trade in a store ---


def replayed(empty: Path, batches: Iterable[Sequence[Said]], *, interrupt: bool) -> dict[str, Any]:
    """Replay batches, as a new process each if they are interrupted, and tell how it ended."""
    world = one_policy()
    with Store.open(copy_of(empty)) as store:
        replay = Replay(store, world.policies, world.recipients)
        for batch in batches:
            if interrupt:
                replay = Replay(store, world.policies, world.recipients)
            replay.run(RawRecord("test", said.id, said.json()) for said in batch)
        replay.run([], until=Instant(END))
        with store.reading() as tx:
            return {case.subject: ending(tx, case) for case in tx.list_cases() if stands(case)}


def stands(case: CaseRow) -> bool:
    return case.state in STANDING


def ending(tx: Transaction, case: CaseRow) -> dict[str, Any]:
    steps = [step for step in tx.steps(case.case_id) if step.withdrawn_at is None]
    kept = [step for step in without_errors(steps) if not step.key.startswith("retracted!")]
    keys = {step.key for step in kept}
    told = {
        (entry.effect.step, entry.effect.kind, entry.effect.role, entry.effect.due)
        for entry in tx.outbox_about([case.case_id])
        if entry.effect.step in keys
    }
    return {
        "case": replace(case, changed_at=Instant(0)),
        "steps": [(step.key, *account_of(step)) for step in kept],
        "told": told,
    }


def told_later(hours: int) -> Said:
    """Something else that happens, so that a batch goes on for so long."""
    data = {"partner_id": "D", "metric": "fill_rate", "value": "99"}
    return Said("metric.reported", START + hours * HOUR, data, id="other")


def waiting(partner: str, after: int) -> list[Said]:
    """An order that never comes, and somebody who puts its case off."""
    key = subject_key(Kind.ORDER, partner, "O1")
    about = {"partner_id": partner, "order_id": "O1"}
    promise = {"promised_at": iso(START + DAY), "lines": [{"sku": "nut", "quantity": "1"}]}
    said = {"case_id": case_id(key), "actor": "eve"}
    return [
        Said("order.placed", START, about | promise, id="placed"),
        Said("case.waiting", START + after * HOUR, said, "/desk", id="waiting"),
    ]


def test_a_command_that_waits_for_its_case_waits_since_it_came(empty: Path) -> None:
    trade = [*waiting("C", 20 * 24), told_later(25 * 24)]
    alone = replayed(empty, [[said] for said in trade], interrupt=False)
    assert replayed(empty, [trade], interrupt=False) == alone
    assert "waiting" in str(alone)


def test_what_follows_a_command_that_waited_is_decided_after_it(empty: Path) -> None:
    placed = waiting("C", 0)[0]
    key = subject_key(Kind.ORDER, "C", "O1")
    solved = {"case_id": case_id(key), "actor": "ann", "root_cause": "carrier"}
    about = {"partner_id": "C", "order_id": "O1"}
    trade = [
        placed,
        Said("case.resolved", START + 5 * DAY, solved, "/desk", id="solved"),
        Said(
            "order.impacted", START + 8 * DAY, about | {"kind": "quality", "quantity": "1"}, id="r"
        ),
    ]
    alone = replayed(empty, [[said] for said in trade], interrupt=False)
    assert replayed(empty, [trade], interrupt=False) == alone
    decided = {step[0]: step[4] for step in alone[key]["steps"]}
    assert decided["resolved:/desk#solved"] == START + 5 * DAY
    assert decided["reopened:2:executive"] == START + 8 * DAY


def test_a_command_for_a_case_of_silence_is_decided_when_it_was_given(empty: Path) -> None:
    placed = waiting("B", 0)[0]
    key = subject_key(Kind.ORDER, "B", "O1")
    solved = {"case_id": case_id(key), "actor": "ann", "root_cause": "carrier"}
    about = {"partner_id": "B", "order_id": "O1", "kind": "quality", "quantity": "1"}
    trade = [
        placed,
        Said("case.resolved", START + 5 * DAY, solved, "/desk", id="solved"),
        told_later(6 * 24),
        Said("order.impacted", START + 8 * DAY, about, id="hurt"),
    ]
    alone = replayed(empty, [[said] for said in trade], interrupt=False)
    assert replayed(empty, [trade], interrupt=False) == alone
    assert "reopened" in str(alone)


def test_a_step_taken_back_and_taken_again_in_one_batch_stands(empty: Path) -> None:
    port = {"disruption_id": "X1", "severity": "low", "summary": "port", "order_ids": ["O1"]}
    declared = Said("disruption.declared", START, port, id="declared")
    trade = [declared, *waiting("B", 10 * 24), told_later(15 * 24)]
    alone = replayed(empty, [[said] for said in trade], interrupt=False)
    assert replayed(empty, [trade], interrupt=False) == alone


def test_a_pattern_is_decided_when_its_last_order_made_it_one(empty: Path) -> None:
    trade: list[Said] = []
    for n in range(1, 5):
        about = {"partner_id": "D", "order_id": f"O{n}"}
        promise = {"promised_at": iso(END), "lines": [{"sku": "nut", "quantity": "100"}]}
        report = {"kind": "quality", "quantity": "3"}
        trade.append(Said("order.placed", START + n * HOUR, about | promise, id=f"placed-{n}"))
        trade.append(
            Said("order.impacted", START + (10 + n) * HOUR, about | report, id=f"report-{n}")
        )
    trade.sort(key=lambda said: said.at)
    alone = replayed(empty, [[said] for said in trade], interrupt=False)
    assert replayed(empty, [trade], interrupt=False) == alone
    assert "pattern:D:" in str(alone)


@settings(max_examples=settings().max_examples // 4)
@given(trades(), st.data())
def test_any_cut_and_any_interruption_end_in_the_same_cases(
    empty: Path, trade: list[Said], data: st.DataObject
) -> None:
    batches = data.draw(cuts(trade))
    whole = replayed(empty, [trade], interrupt=False)
    assert replayed(empty, batches, interrupt=data.draw(st.booleans())) == whole
