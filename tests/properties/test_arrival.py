"""Order of arrival: how far the inputs were read when something was learned changes no outcome."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.decide import Decider, Taken
from rules.decision import CaseRow, Kind, StepRow, SubjectRow
from rules.story import fold
from rules.subjects import Contribution, Statement, read_document
from rules.transitions import STANDING
from rules.world import Horizon, World
from schemas.time import HOUR, Instant, iso
from streams.handler import Handler
from streams.records import RawRecord
from streams.store import Store
from tests.properties.histories import (
    DAYS,
    END,
    GRID,
    START,
    History,
    Said,
    cuts,
    histories,
    numbered,
    one_policy,
    worlds,
)
from tests.properties.lives import told, without_errors
from tests.properties.stores import copy_of

#: Everything is decided then, whenever it is read: after all events, before any ladder runs out.
NOW = Instant(END)


@dataclass
class Kept:
    """What a store keeps of one subject."""

    history: History
    world: World
    row: SubjectRow | None = None
    case: CaseRow | None = None
    steps: dict[str, StepRow] = field(default_factory=dict)

    def take(self, said: Sequence[Contribution], read: int) -> None:
        """Decide what was said, when the inputs are read up to an instant."""
        key, kind = self.history.key, self.history.kind
        partner = key.split(":")[1]
        decider = self._decider(read)
        taken = [
            Taken(Statement(key, kind, partner, one._replace(recorded=NOW)), n, b"", "test", str(n))
            for n, one in enumerate(said)
        ]
        decider.take(taken, {} if self.row is None else {key: self.row})
        self._keep(decider)

    def settle(self) -> None:
        """Everything has been read: decide what is due, until nothing is."""
        for _ in range(50):
            row = self.row
            assert row is not None
            horizon = Horizon.everything_until(NOW - 1)
            feeds, people = row.feeds_due, row.people_due
            if (feeds is None or feeds > horizon.orders) and (
                people is None or people > horizon.people
            ):
                return
            decider = self._decider(NOW - 1)
            decider.wake(row, time_passed=True)
            self._keep(decider)
        raise AssertionError("there is always one more deadline")

    def _decider(self, read: int) -> Decider:
        return Decider(self.world, Horizon(read, read, NOW - 1), NOW, tell=True)

    def _keep(self, decider: Decider) -> None:
        changes = decider.decision.finish()
        assert not changes.rejected
        for row in changes.subjects:
            self.row = row._replace(version=row.version + 1)
        for _, key, at in changes.withdrawn:
            self.steps[key] = replace(self.steps[key], withdrawn_at=at)
        self.steps |= {step.key: step for step in changes.steps}
        self.case = next(iter(changes.cases), self.case)

    def outcome(self) -> dict[str, Any]:
        """All that must not depend on how the events arrived."""
        assert self.row is not None
        document = read_document(self.row.document)
        occurrences = sorted(document.occurrences)
        standing = [step for step in self.steps.values() if step.withdrawn_at is None]
        again = fold(self.history.key, document, self.world, Horizon.everything_until(NOW - 1), NOW)
        story = {step.key for step in again.steps}
        for step in standing:
            # Beside what follows from what is known stands what was announced and what people did.
            assert step.key in story or step.key.startswith("retracted!") or step.actor
        if self.case is None or self.case.state not in STANDING:
            return {"occurrences": occurrences}
        follows = sorted((s for s in standing if s.key in story), key=lambda step: step.n)
        return {
            "occurrences": occurrences,
            "case": self.case,
            "steps": [told(step) for step in without_errors(follows)],
        }


@given(histories, worlds, st.data())
def test_how_far_was_read_when_it_was_learned_does_not_change_the_outcome(
    history: History, world: World, data: st.DataObject
) -> None:
    said = history.contributions(world)
    whole = Kept(history, world)
    whole.take(said, NOW - 1)
    whole.settle()
    bits = Kept(history, world)
    for batch in data.draw(cuts(data.draw(st.permutations(said)))):
        bits.take(batch, START + data.draw(st.integers(-1, DAYS * 4)) * GRID)
    bits.settle()
    assert bits.outcome() == whole.outcome()


# --- patterns among a partner's last orders ---


@st.composite
def troubled_orders(draw: st.DrawFn) -> list[Said]:
    """Orders of one partner, some placed more than once, some of them with bad quality."""
    events = []
    for n in range(draw(st.integers(2, 6))):
        about = {"partner_id": "D", "order_id": f"O{n}"}
        promise = {"promised_at": iso(END), "lines": [{"sku": "nut", "quantity": "100"}]}
        times = draw(st.lists(st.integers(0, 12), min_size=1, max_size=2))
        events += [Said("order.placed", START + at * HOUR, about | promise) for at in times]
        if draw(st.booleans()):
            report = {"kind": "quality", "quantity": "3"}
            at = draw(st.integers(0, 14))
            events.append(Said("order.impacted", START + at * HOUR, about | report))
    return numbered(events)


def patterns_of(empty: Path, batches: Iterable[Sequence[Said]]) -> list[Any]:
    """The patterns that stand when batches were taken one after the other, with their stories."""
    world = one_policy()
    with Store.open(copy_of(empty)) as store:
        handler = Handler(
            store, world.policies, world.recipients, lambda now: Horizon(now - 1, now - 1, now - 1)
        )
        for batch in batches:
            handler.take([RawRecord("test", said.id, said.json()) for said in batch], NOW)
        with store.reading() as tx:
            cases = [c for c in tx.cases_of_kind(Kind.PATTERN) if c.state in STANDING]
            steps = {
                case.case_id: [
                    told(step)
                    for step in tx.steps(case.case_id)
                    if step.withdrawn_at is None and not step.key.startswith("retracted!")
                ]
                for case in cases
            }
    return [(case, steps[case.case_id]) for case in sorted(cases, key=lambda c: c.case_id)]


@settings(max_examples=settings().max_examples // 2)
@given(troubled_orders(), st.data())
def test_an_order_that_is_known_late_counts_among_the_last_ones(
    empty: Path, orders: list[Said], data: st.DataObject
) -> None:
    batches = data.draw(cuts(data.draw(st.permutations(orders))))
    assert patterns_of(empty, batches) == patterns_of(empty, [orders])
