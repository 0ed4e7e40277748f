"""Order of arrival: how far the inputs were read when something was learned changes no outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rules.decide import Decider, Taken
from rules.decision import CaseRow, StepRow, SubjectRow
from rules.story import fold
from rules.subjects import Contribution, Statement, read_document
from rules.transitions import STANDING
from rules.world import Horizon, World
from schemas.time import Instant
from tests.properties.histories import (
    DAYS,
    END,
    GRID,
    START,
    History,
    cuts,
    histories,
    worlds,
)
from tests.properties.lives import told, without_errors

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
