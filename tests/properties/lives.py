"""A subject's life, decided bit by bit as the service would; and what of it must stand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rules.decision import Effect, State, StepKind, StepRow
from rules.story import Folded, fold
from rules.subjects import Contribution, Document, read_document, split_key, write_document
from rules.transitions import STANDING
from rules.world import Horizon, World

EMPTY = Document([], {}, [])


@dataclass(repr=False)
class Life:
    """One subject, folded whenever something is said of it or a deadline of it comes."""

    key: str
    world: World
    lag: int = 0
    """Silence is proven so much later."""
    document: Document = EMPTY
    effects: list[Effect] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    folds: list[tuple[int, Folded]] = field(default_factory=list)

    def __repr__(self) -> str:
        """What was said, and when it was learned."""
        said = [f"{c.recorded}: {c[:4]} {c.data}" for c in self.document.contributions]
        return "\n".join([f"{self.key}, read up to {self.lag} ago", *said])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def folded(self) -> Folded:
        """The last fold."""
        return self.folds[-1][1]

    def horizon(self, now: int) -> Horizon:
        return Horizon(now - 1 - self.lag, now - 1 - self.lag, now - 1)

    def take(self, said: Sequence[Contribution], now: int) -> Folded:
        """Take what was said, and decide at `now`."""
        recorded = [c._replace(recorded=now) for c in said]
        whole = self.document._replace(contributions=[*self.document.contributions, *recorded])
        folded = fold(self.key, whole, self.world, self.horizon(now), now)
        # What is stored is what the next decision finds.
        self.document = read_document(write_document(folded.document))
        self.effects += folded.effects
        self.withdrawn += folded.withdrawn
        self.folds.append((now, folded))
        return folded

    def tick(self, now: int) -> Folded:
        """Decide what is due, until nothing is."""
        for _ in range(50):
            if not is_due(self.folded, self.horizon(now), self.key):
                return self.folded
            self.take([], now)
        raise AssertionError("there is always one more deadline")


def is_due(folded: Folded, horizon: Horizon, key: str) -> bool:
    feeds = horizon.feeds(split_key(key)[0])
    return (folded.feeds_due is not None and folded.feeds_due <= feeds) or (
        folded.people_due is not None and folded.people_due <= horizon.people
    )


def is_standing(folded: Folded) -> bool:
    """Whether there is a case, settled or not, that was not proved wrong."""
    return folded.case is not None and folded.case.state in STANDING


def standing_steps(folded: Folded) -> list[StepRow]:
    """The steps without the episodes that were proved wrong on the way."""
    return without_errors(sorted(folded.steps, key=lambda row: row.n))


def without_errors(steps: Sequence[StepRow]) -> list[StepRow]:
    """Steps in their order, without those of episodes that were proved wrong."""
    kept: list[StepRow] = []
    for step in steps:
        if step.kind is StepKind.RETRACTED:
            # Back to where it was opened; what people did stays, like on a case never told.
            first = max((n for n, s in enumerate(kept) if s.kind in _BEGINNINGS), default=0)
            while first > 0 and kept[first - 1].kind is StepKind.WATCHED:
                first -= 1  # what was opened had been on watch: one episode
            kept = kept[:first] + [s for s in kept[first:] if s.actor is not None]
        else:
            kept.append(step)
    return kept


_BEGINNINGS = (StepKind.WATCHED, StepKind.OPENED, StepKind.ATTACHED)


def told(step: StepRow) -> tuple[Any, ...]:
    """What a step says, without how it is numbered."""
    return (
        step.kind,
        step.tier,
        step.at,
        step.decided_at,
        step.due,
        step.actor,
        step.policy,
        step.receipt,
    )


def account(folded: Folded) -> dict[str, Any]:
    """All that must not depend on how the events arrived."""
    case = folded.case
    occurrences = sorted(map(repr, folded.occurrences))
    if case is None or not is_standing(folded):
        return {"state": State.RETRACTED, "occurrences": occurrences}
    return {
        "state": case.state,
        "tier": case.tier,
        "highest": case.highest_tier,
        "owner": case.owner,
        "disputed": case.disputed,
        "rules": case.rules,
        "headline": case.headline,
        "opened_at": case.opened_at,
        "due": (case.due, case.waits_for),
        "shadow": case.shadow,
        "occurrences": occurrences,
        "steps": [told(step) for step in standing_steps(folded)],
    }
