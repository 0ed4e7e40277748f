"""What people want done becomes events, is decided at once, and what came of it is read back.

All of it happens on the thread that writes, and alone with the cases where several processes listen
to Slack: of two people who act on one case at once, the second sees what the first has done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from notifiers.slack.blocks import Action
from rules.decision import CaseRow, State, StepKind, StepRow
from rules.recipients import Recipients
from schemas.time import Instant
from streams import outcome as out
from streams.outcome import Outcome
from streams.records import RawRecord
from streams.slack.actions import SOURCE, Order, why_not
from streams.store import Store

Take = Callable[[Sequence[RawRecord]], list[Outcome]]
"""Decides records in one transaction and returns once that is on disk."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of an order."""

    order: Order
    case: CaseRow | None
    """As it stands now."""
    done: bool
    said: str
    """What was done, or the end of a sentence that says why not."""
    is_stale: bool = False
    """Whether whoever acted saw the case as it stood before."""
    may_take_over: bool = False


class Decider:
    """Runs on the thread that writes."""

    def __init__(
        self,
        store: Store,
        take: Take,
        recipients: Recipients,
        clock: Callable[[], Instant],
    ) -> None:
        self._store, self._take, self._clock = store, take, clock
        self._recipients = recipients

    def decide(self, orders: Sequence[Order]) -> list[Decided]:
        """Decide orders about different cases together; one answer for each.

        One that was decided before is not decided again: it is answered with what came of it.
        """
        with self._store.alone_with(order.case_id for order in orders):
            return self._decide(orders)

    def _decide(self, orders: Sequence[Order]) -> list[Decided]:
        now = self._clock()
        with self._store.reading() as tx:
            cases = tx.cases(order.case_id for order in orders)
            steps = {case_id: tx.steps(case_id) for case_id in cases}
        answers = {
            order.name: answer
            for order in orders
            if (answer := self._at_once(order, cases.get(order.case_id), steps)) is not None
        }
        wanted = [order for order in orders if order.name not in answers]
        records = [self._record(order, cases[order.case_id], now) for order in wanted]
        outcomes = self._take(records) if records else []
        with self._store.reading() as tx:
            after = tx.cases(order.case_id for order in wanted)
            steps = {case_id: tx.steps(case_id) for case_id in after}
        for order, outcome in zip(wanted, outcomes, strict=True):
            case = after[order.case_id]
            answers[order.name] = self._became(order, case, outcome, steps[order.case_id])
        return [answers[order.name] for order in orders]

    def look(self, action: Action, case_id: str, actor: str) -> tuple[CaseRow | None, str | None]:
        """A case, and why `actor` cannot do this with it, if so. Only reads: any thread may ask."""
        with self._store.reading() as tx:
            case = tx.case(case_id)
        if case is None:
            return None, "does not exist"
        return case, why_not(action, case) or self._owned(action, case, actor)

    def _at_once(
        self, order: Order, case: CaseRow | None, steps: Mapping[str, Sequence[StepRow]]
    ) -> Decided | None:
        """The answer where nothing is to be decided."""
        if case is None:
            return Decided(order, None, done=False, said="does not exist")
        if (step := _step_of(order, steps[case.case_id])) is not None:
            return self._told(order, case, step)
        if why := why_not(order.action, case):
            return Decided(order, case, done=False, said=why, is_stale=True)
        if why := self._owned(order.action, case, order.actor):
            owns = case.owner == order.actor
            return Decided(order, case, done=False, said=why, is_stale=True, may_take_over=not owns)
        return None

    def _owned(self, action: Action, case: CaseRow, actor: str) -> str | None:
        """Who has the case, where somebody acknowledges what is acknowledged."""
        if action not in (Action.ACKNOWLEDGE, Action.ACKNOWLEDGE_ALL):
            return None
        if case.state is not State.ACKNOWLEDGED:
            return None
        owner = case.owner
        if owner == actor:
            return "is yours already"
        name = "somebody" if owner is None else self._recipients.name(owner)
        return f"is owned by {name} already"

    def _record(self, order: Order, case: CaseRow, now: Instant) -> RawRecord:
        event = order.event(case, now, _more(order.action))
        return RawRecord("slack", order.action.removeprefix("detente_"), msgspec.json.encode(event))

    def _became(
        self, order: Order, case: CaseRow, outcome: Outcome, steps: Sequence[StepRow]
    ) -> Decided:
        match outcome:
            case out.Refused(reason) | out.Conflict(reason) | out.SetAside(reason):
                return Decided(order, case, done=False, said=f"was not changed: {reason}")
            case out.Parked(reason):
                return Decided(order, case, done=False, said=f"was not changed yet: {reason}")
            case out.Accepted() | out.Duplicate():
                pass
        step = _step_of(order, steps)
        if step is None:
            return Decided(order, case, done=False, said="was not changed: nothing came of it")
        return self._told(order, case, step)

    def _told(self, order: Order, case: CaseRow, step: StepRow) -> Decided:
        summary = str(step.receipt.get("summary", ""))
        summary = self._recipients.in_names(summary, order.actor)
        if step.kind is not StepKind.COMMENTED or order.action is Action.COMMENT:
            return Decided(order, case, done=True, said=summary)
        kept = "" if summary.endswith("comment") else "; your words are kept as a comment"
        asks = order.action in (Action.ACKNOWLEDGE, Action.ACKNOWLEDGE_ALL)
        may = asks and case.state is State.OPEN
        said = f"was not changed: {summary}{kept}"
        return Decided(order, case, done=False, said=said, may_take_over=may)


def _more(action: Action) -> dict[str, Any]:
    match action:
        case Action.TAKE_OVER:
            return {"take_over": True}
        case Action.ACKNOWLEDGE_ALL:
            return {"bulk": True}
        case _:
            return {}


def _step_of(order: Order, steps: Sequence[StepRow]) -> StepRow | None:
    # What follows the event's name, if anything, is the tier that it led to.
    named = f":{SOURCE}#{order.name}:"
    return next((step for step in steps if named in f"{step.key}:"), None)
