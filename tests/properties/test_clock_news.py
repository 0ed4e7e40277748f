"""Laws of what is told of clocks: the same in any batches, once, and never too late."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from rules.decide import Decider, Taken
from rules.decision import CaseRow, Changes, Effect, EffectKind, StepRow, SubjectRow
from rules.subjects import read_document
from rules.world import Horizon, World
from schemas.time import DAY, HOUR, Instant
from tests.properties.histories import (
    END,
    GRID,
    START,
    History,
    Said,
    compiled,
    cuts,
    make_world,
    numbered,
    order_histories,
    state,
    ticket_histories,
)

RULES = [
    {
        "name": "late",
        "when": {"severity": "high", "breach": ["first_response", "resolution"]},
        "open_at": "frontline",
    }
]
CLOCKS = {"warn": ["50%", "2h"], "stale_pause_after": "1d", "pause": ["resolution"]}
#: Severity changes what is promised, and so what was warned of when.
OVERRIDES = [
    {"when": {"severity": "high"}, "first_response": "30min", "resolution": "12h"},
    {"when": {"severity": "low"}, "without": ["first_response"]},
]
PROMISED = {
    "strategic": {"first_response": "2bh", "next_response": "4bh", "resolution": "3bd"},
    "growth": {"first_response": "12h", "resolution": "48h", "status_update": "2d"},
    "standard": {"first_response": "1bd", "next_response": "18h", "partner_response": "1bd"},
}
LATER = Instant(END + 60 * DAY)
lags = st.sampled_from((0, 0, 12 * HOUR))


@cache
def warning_house() -> World:
    promised = {tier: {**spans, "overrides": OVERRIDES} for tier, spans in PROMISED.items()}
    changes = {"rules": RULES, "clocks": CLOCKS, "commitments": promised}
    return make_world((0, compiled(changes)))


@cache
def ladder_house() -> World:
    return make_world((0, compiled({"clocks": CLOCKS})))


@dataclass
class Run:
    """One subject, decided batch by batch, with its deadlines in between."""

    world: World
    lag: int
    virtual: bool
    folds_to_warn: bool = True
    """Whether a case is folded again when nothing but a warning of it is due."""
    row: SubjectRow | None = None
    case: CaseRow | None = None
    steps: dict[str, StepRow] = field(default_factory=dict)
    told: list[Effect] = field(default_factory=list)
    called_off: set[str] = field(default_factory=set)

    def horizon(self, now: int) -> Horizon:
        return Horizon(now - 1 - self.lag, now - 1 - self.lag, now - 1)

    def decider(self, now: int) -> Decider:
        virtual: Callable[[int], Horizon] | None = None
        if self.virtual:
            virtual = lambda at: self.horizon(at + 1)  # noqa: E731 - as the handler says it
        return Decider(self.world, self.horizon(now), Instant(now), tell=True, virtual=virtual)

    def take(self, batch: Sequence[Said], key: str, now: int) -> None:
        decider = self.decider(now)
        items = []
        for n, said in enumerate(batch):
            statement = state(said, self.world, key, said.at if self.virtual else now)
            items.append(Taken(statement, n, said.json(), "test", str(n)))
        decider.take(items, {} if self.row is None else {key: self.row})
        self.keep(decider.decision.finish())

    def tick(self, now: int) -> None:
        for _ in range(300):
            horizon, row, case = self.horizon(now), self.row, self.case
            assert row is not None
            feeds_due = row.feeds_due is not None and row.feeds_due <= horizon.feeds(row.kind)
            if not feeds_due and (row.people_due is None or row.people_due > horizon.people):
                return
            decider = self.decider(now)
            in_time = case is not None and (case.due is None or case.due > horizon.people)
            if case is None or feeds_due or not in_time or self.folds_to_warn:
                decider.wake(row, time_passed=True)
            else:
                decider.warn(row, case, list(self.steps.values()))
            self.keep(decider.decision.finish())
        raise AssertionError("a deadline that comes again and again")

    def keep(self, changes: Changes) -> None:
        for row in changes.subjects:
            self.row = row
        for case in changes.cases:
            self.case = case
        self.steps |= {step.key: step for step in changes.steps}
        for _, key, at in changes.withdrawn:
            self.steps[key] = replace(self.steps[key], withdrawn_at=at)
        self.told += changes.effects
        self.called_off |= {off.effect_id for off in changes.called_off}

    @property
    def warnings(self) -> list[Effect]:
        return [effect for effect in self.told if effect.kind is EffectKind.WARNING]


def replayed(batches: Sequence[Sequence[Said]], key: str, lag: int) -> Run:
    run = Run(warning_house(), lag, virtual=True)
    for batch in batches:
        newest = batch[-1].at
        run.take(batch, key, newest)
        run.tick(newest)
    run.tick(LATER)
    return run


def in_order(history: History) -> list[Said]:
    return sorted(history.events, key=lambda said: (said.at, said.source, said.id))


def account(run: Run) -> object:
    assert run.row is not None
    marks = read_document(run.row.document).told
    told = sorted((e.effect_id, e.kind, e.role, e.at, e.created_at) for e in run.told)
    return told, run.called_off, marks, run.row.feeds_due, run.row.people_due


def test_what_was_warned_before_the_terms_changed_is_told_in_one_batch_too() -> None:
    about = {"partner_id": "B", "ticket_id": "T1"}
    events = numbered(
        [
            Said("ticket.opened", START, about | {"category": "quality"}),
            Said("ticket.status", START + 8 * HOUR, about | {"status": "open", "severity": "low"}),
        ]
    )
    single = replayed([[said] for said in events], "ticket:B:T1", 0)
    assert single.warnings[0].step == "clock:first_response/1/50%"
    assert account(replayed([events], "ticket:B:T1", 0)) == account(single)


@given(ticket_histories(verbs=()), lags, st.data())
def test_a_replay_tells_the_same_in_any_batches(
    history: History, lag: int, data: st.DataObject
) -> None:
    events = in_order(history)
    single = replayed([[said] for said in events], history.key, lag)
    together = replayed(data.draw(cuts(events)), history.key, lag)
    assert account(single) == account(together)


@given(ticket_histories(verbs=()), lags, st.data())
def test_nothing_is_told_twice_or_when_it_is_over(
    history: History, lag: int, data: st.DataObject
) -> None:
    run = Run(warning_house(), lag, virtual=False)
    now = 0
    for said in data.draw(st.permutations(history.events)):
        late = data.draw(st.sampled_from((0, 0, GRID, 3 * DAY)))
        for tick in range(now + GRID, said.at + late, GRID) if now else ():
            run.tick(tick)
        now = max(now, said.at + late)
        run.take([said], history.key, now)
    for tick in chain(range(now, now + 12 * DAY, GRID), [int(LATER)]):
        run.tick(tick)
    ids = [effect.effect_id for effect in run.warnings]
    assert len(ids) == len(set(ids))
    for effect in run.warnings:
        assert effect.at <= effect.created_at
        is_breach = effect.step.endswith("/breached")
        if effect.due is not None and not is_breach and "stale" not in effect.step:
            assert effect.created_at <= effect.due
        if is_breach:
            assert effect.created_at <= effect.at + 7 * DAY


@given(st.one_of(order_histories(), ticket_histories()), lags, st.data())
def test_a_case_is_warned_of_its_deadlines_without_a_fold_as_by_one(
    history: History, lag: int, data: st.DataObject
) -> None:
    events = in_order(history)
    batches = data.draw(cuts(events))
    runs = []
    for folds_to_warn in (True, False):
        run = Run(ladder_house(), lag, virtual=False, folds_to_warn=folds_to_warn)
        now = 0
        for batch in batches:
            for tick in range(now + GRID, batch[-1].at, GRID) if now else ():
                run.tick(tick)
            now = batch[-1].at
            run.take(batch, history.key, now)
        for tick in chain(range(now, now + 12 * DAY, GRID), [int(LATER)]):
            run.tick(tick)
        runs.append(run)
    by_fold, without = runs
    assert account(without) == account(by_fold)
    assert (without.case, without.steps) == (by_fold.case, by_fold.steps)


@given(ticket_histories(verbs=()), lags)
def test_looking_again_finds_no_news(history: History, lag: int) -> None:
    run = replayed([in_order(history)], history.key, lag)
    before = len(run.told)
    assert run.row is not None
    decider = run.decider(LATER)
    decider.wake(run.row)
    assert not decider.decision.finish().effects
    assert len(run.told) == before
