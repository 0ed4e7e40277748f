"""The laws, over generated histories: what must hold however events arrive."""

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from rules.deadlines import deadline
from rules.decision import StepKind
from rules.orders import Order, effective_at
from rules.story import Folded, fold
from rules.subjects import Contribution
from rules.world import World
from schemas.policy import ImpactMeasure
from schemas.time import DAY, HOUR, iso
from tests.properties.histories import (
    ANSWERS,
    DAYS,
    END,
    GRID,
    START,
    History,
    Said,
    conflicts,
    contributions,
    cuts,
    histories,
    numbered,
    one_policy,
    order_histories,
    silent_histories,
    worlds,
)
from tests.properties.lives import Life, account, is_due, is_standing

#: After every event, and with time for each ladder to run out.
LATER = tuple(END - 30 * DAY + n * GRID for n in (1, 2, 5, 9, 20, 60))


def at_once(history: History, world: World, *, decided: int = LATER[0]) -> Life:
    """All that was said, folded in one go."""
    life = Life(history.key, world)
    life.take(history.contributions(world), decided)
    return life


@st.composite
def arrivals(draw: st.DrawFn, history: History, world: World) -> list[list[Contribution]]:
    """The contributions in any order, cut into batches."""
    return draw(cuts(draw(st.permutations(history.contributions(world)))))


# --- law 5: any order, any batches ---


@given(histories, worlds, st.data())
def test_any_order_and_any_batches_end_in_the_same_case(
    history: History, world: World, data: st.DataObject
) -> None:
    whole = at_once(history, world)
    bits = Life(history.key, world)
    for batch in data.draw(arrivals(history, world)):
        bits.take(batch, LATER[0])
    assert account(bits.folded) == account(whole.folded)
    for now in LATER[1:]:
        assert account(bits.tick(now)) == account(whole.tick(now))


@given(histories, worlds, st.data())
def test_folding_again_finds_no_news(history: History, world: World, data: st.DataObject) -> None:
    life = Life(history.key, world, data.draw(st.sampled_from((0, 12 * HOUR))))
    now = START
    for batch in data.draw(arrivals(history, world)):
        now = max(now + data.draw(st.sampled_from((0, GRID, 2 * DAY))), *(c.time for c in batch))
        first = life.take(batch, now)
        contributions = data.draw(st.permutations(life.document.contributions))
        life.document = life.document._replace(contributions=contributions)
        again = life.take([], now)
        assert not again.effects
        assert not again.withdrawn
        assert again.steps == [s for s in first.steps if not s.key.startswith("retracted!")]
        assert (again.feeds_due, again.people_due) == (first.feeds_due, first.people_due)


@given(histories, worlds)
def test_no_deadline_is_left_behind(history: History, world: World) -> None:
    life = Life(history.key, world)
    for entry in sorted(history.contributions(world), key=lambda c: c.time):
        folded = life.take([entry], entry.time)
        assert not is_due(folded, life.horizon(entry.time), history.key)
    for now in LATER:
        life.tick(now)


# --- lives: events that arrive at their own pace, with deadlines in between ---


@st.composite
def lives(draw: st.DrawFn, of: st.SearchStrategy[History] = histories) -> Life:
    """A life in which each event is taken at its time or some days later, in any order."""
    history, world = draw(of), draw(worlds)
    life = Life(history.key, world, draw(st.sampled_from((0, 0, 12 * HOUR))))
    delays = st.sampled_from((0, 0, 0, GRID, 2 * DAY, 6 * DAY))
    arriving = [(said.time + draw(delays), said) for said in history.contributions(world)]
    for now, said in sorted(arriving, key=lambda pair: (pair[0], pair[1].id)):
        if life.folds:
            for tick in range(life.folds[-1][0] + GRID, now, GRID):
                life.tick(tick)
        life.take([said], now)
    for now in range(life.folds[-1][0], life.folds[-1][0] + 8 * DAY, GRID):
        life.tick(now)
    return life


def fresh_steps(life: Life) -> Iterator[tuple[int, Folded, int]]:
    """(when, fold, place of the step) of each step that was taken just then."""
    before: set[str] = set()
    for now, folded in life.folds:
        before -= set(folded.withdrawn)
        for n, step in enumerate(folded.steps):
            if step.key not in before:
                yield now, folded, n
        before |= {step.key for step in folded.steps}


@given(lives())
def test_time_alone_climbs_one_tier_at_a_time(life: Life) -> None:
    for _, folded in life.folds:
        rank = -1
        for step in folded.steps:
            ranks = life.world.policies.at(step.at).ranks
            by_time = step.key.startswith(("escalated:acknowledge", "escalated:resolve", "climbed"))
            if step.kind is StepKind.ESCALATED and by_time:
                assert ranks[step.tier] == rank + 1
            rank = ranks[step.tier]


@given(lives())
def test_nobody_is_told_twice(life: Life) -> None:
    named = {e.effect_id: (e.step, e.kind, e.role, e.created_at) for e in life.effects}
    assert len(set(named.values())) == len(named)
    told: set[tuple[str, str]] = set()
    for now, folded in life.folds:
        keys = [step.key for step in folded.steps]
        assert len(keys) == len(set(keys))
        # A step that moves past its own decision is another one, and told anew.
        gone = {*folded.withdrawn, *(s.key for s in folded.steps if s.decided_at == now)}
        told = {(step, role) for step, role in told if step not in gone}
        news = [(effect.step, effect.role) for effect in folded.effects]
        assert len(news) == len(set(news))
        assert told.isdisjoint(news)
        told |= set(news)


@given(lives())
def test_every_tier_that_is_asked_is_told(life: Life) -> None:
    alerts = {(effect.step, effect.tier) for effect in life.effects}
    for step in life.folded.steps:
        if step.due is not None:
            assert (step.key, step.tier) in alerts


@given(lives(st.one_of(conflicts(), conflicts(), histories)))
def test_a_stopped_clock_never_fires(life: Life) -> None:
    for _, folded in life.folds:
        acknowledging = resolving = False
        for step in folded.steps:
            match step.kind:
                case StepKind.BREACHED if step.key.startswith("breached:acknowledge"):
                    assert acknowledging, step
                    acknowledging = False
                case StepKind.BREACHED:
                    assert resolving, step
                case StepKind.OPENED | StepKind.RAISED | StepKind.ESCALATED | StepKind.REOPENED:
                    acknowledging = resolving = True
                case StepKind.DEESCALATED | StepKind.MOVED:
                    acknowledging = resolving = True
                case StepKind.ACKNOWLEDGED:
                    acknowledging, resolving = False, True
                case StepKind.WOKEN:
                    resolving = True
                case (
                    StepKind.WAITING
                    | StepKind.SNOOZED
                    | StepKind.RESOLVED
                    | StepKind.CLOSED
                    | StepKind.RETRACTED
                ):
                    acknowledging = resolving = False
                case _:
                    pass


@given(lives())
def test_nothing_is_owed_from_before_it_could_be_known(life: Life) -> None:
    for now, folded, n in fresh_steps(life):
        step = folded.steps[n]
        assert step.decided_at == now
        if step.due is not None:
            known = max(step.at, step.decided_at)
            policy = life.world.policies.at(step.at)
            role = {"frontline": "account_manager", "management": "partnership_manager"}
            calendar = life.world.people_calendar(
                policy, role.get(step.tier, "executive_sponsor"), "A", known
            )
            within = policy.ladder("default")[policy.ranks[step.tier]].document.acknowledge_within
            assert step.due == deadline(known, within, calendar)
        if step.kind is StepKind.BREACHED:
            asked = [s for s in folded.steps[:n] if s.due is not None or s.kind is StepKind.MOVED]
            assert step.at >= max(asked[-1].decided_at, asked[-1].at)
            if "acknowledge" in step.key and asked[-1].kind is not StepKind.MOVED:
                assert step.at == asked[-1].due


@given(lives())
def test_no_deadline_is_decided_before_its_horizon(life: Life) -> None:
    zone = life.world.zone("A" if ":A:" in life.key else "C" if ":C:" in life.key else "B")
    for now, folded, n in fresh_steps(life):
        step = folded.steps[n]
        known = [effective_at(c, zone) for c in folded.document.contributions]
        if step.kind in (StepKind.BREACHED, StepKind.ESCALATED, StepKind.WOKEN):
            assert step.at in known or step.at <= life.horizon(now).people
        elif step.at not in known and step.kind is not StepKind.NOT_CLIMBED:
            # Silence: read past it, or what ended it is known to have come later.
            assert step.at <= life.horizon(now).orders or step.at < max(known) or step.at == now


@given(lives(silent_histories))
def test_when_it_was_learned_does_not_change_what_is_so(life: Life) -> None:
    now = life.folds[-1][0]
    at_once = fold(
        life.key,
        life.document._replace(taken={}, occurrences=[]),
        life.world,
        life.horizon(now),
        now,
    )
    assert is_standing(life.folded) == is_standing(at_once)
    assert life.folded.occurrences == at_once.occurrences
    if at_once.case is not None and life.folded.case is not None and is_standing(at_once):
        assert life.folded.case.rules == at_once.case.rules
        assert life.folded.case.opened_at == at_once.case.opened_at


# --- silence (law 7) ---


@given(order_histories(verbs=ANSWERS), worlds)
def test_what_never_came_is_late(history: History, world: World) -> None:
    said = history.contributions(world)
    partner = history.key.split(":")[1]
    order = Order(world.zone(partner), ImpactMeasure.UNITS)
    for contribution in sorted(said, key=lambda c: (effective_at(c, order.zone), c.time, c.id)):
        order.apply(contribution, effective_at(contribution, order.zone))
    order.ask(END, END)
    missing = [
        line for line in order.lines if line.complete_at is None and line.called_off_at is None
    ]
    assume(missing and order.final_at is None and not order.agreed_later)
    limit = max(line.promise for line in missing) + 48 * HOUR
    life = Life(history.key, world)
    life.take(said, max(limit, *(c.time for c in said)) + 2)
    assert life.folded.case is not None
    assert is_standing(life.folded)
    assert "late-delivery" in life.folded.case.rules


@given(st.integers(1, 20), st.sampled_from((0, 12 * HOUR, 3 * DAY)), st.sampled_from(("C", "D")))
def test_silence_opens_exactly_when_it_is_proven(promise: int, lag: int, partner: str) -> None:
    world = one_policy()
    promised = START + promise * GRID
    said = Said(
        "order.placed",
        START,
        {
            "partner_id": partner,
            "order_id": "O1",
            "promised_at": iso(promised),
            "lines": [{"sku": "nut", "quantity": "1"}],
        },
        id="e0",
    )
    key = f"order:{partner}:O1"
    life = Life(key, world, lag)
    life.take(contributions([said], world, key), START)
    proven = promised + 48 * HOUR + lag
    assert life.folded.feeds_due == promised + 48 * HOUR
    assert not is_standing(life.take([], proven))  # even if something makes it look again
    assert is_standing(life.tick(proven + 1))


# --- retraction ---


def _verdict(folded: Folded) -> object:
    if not is_standing(folded) or folded.case is None:
        return None
    # Not since when: what was wrongly said first and proved by other evidence later stands on.
    counted = {(o.dimension, o.value) for o in folded.occurrences}
    return folded.case.state, folded.case.tier, folded.case.rules, counted


@given(
    order_histories(verbs=()),
    st.integers(0, DAYS * 4),
    st.integers(1, 8),
    st.sampled_from(("short", "quality", "damaged", "other")),
    st.sampled_from(("1", "10")),
)
def test_a_report_taken_back_leaves_what_would_have_been(
    history: History, at: int, later: int, kind: str, quantity: str
) -> None:
    world = one_policy()
    partner = history.key.split(":")[1]
    data = {"partner_id": partner, "order_id": "O1", "report_id": "R9", "kind": kind}
    report = Said(
        "order.impacted", START + at * GRID, data | {"quantity": quantity}, "/crm", "wrong"
    )
    correction = replace(report, at=report.at + later * GRID, data=data | {"quantity": "0"}, id="r")
    plain = at_once(history, world)
    with_both = replace(history, events=[*history.events, report, correction])
    assert _verdict(at_once(with_both, world).folded) == _verdict(plain.folded)
    heard = Life(history.key, world)
    heard.take([*history.contributions(world), *contributions([report], world, history.key)], END)
    heard.take(contributions([correction], world, history.key), END)
    assert _verdict(heard.folded) == _verdict(at_once(history, world, decided=END).folded)


@given(
    st.sampled_from(("A", "B", "C")),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(9, 20),
    st.lists(st.integers(1, 40), max_size=3),
)
def test_a_forecast_gone_wrong_and_right_again_leaves_no_case(
    partner: str, dispatched: int, delivered: int, promised: int, etas: list[int]
) -> None:
    world = one_policy()
    key = f"order:{partner}:O1"
    about = {"partner_id": partner, "order_id": "O1"}
    line = {"sku": "nut", "quantity": "1", "unit_price": "500"}
    sent = {"delivery_id": "D1", **about}
    said = [
        Said(
            "order.placed",
            START,
            about
            | {"promised_at": iso(START + promised * GRID), "currency": "EUR", "lines": [line]},
        ),
        Said("delivery.completed", START + delivered * GRID, sent | {"final": True}),
    ]
    left = START + dispatched * GRID
    forecasts = [
        Said("delivery.rescheduled", left, sent | {"eta": iso(START + n * DAY)}) for n in etas
    ]
    statements = contributions(numbered([*said, *forecasts]), world, key)
    delivery = statements.pop(1)
    life = Life(key, world)
    for n, statement in enumerate(statements):
        life.take([statement], START + n * GRID)
    for now in range(START + GRID * 10, START + GRID * 40, GRID):
        life.tick(now)
    late = is_standing(life.folded)
    life.take([delivery], START + GRID * 40)  # in time, and recorded long after
    assert late
    assert not is_standing(life.folded)
    assert life.effects[-1].kind == "retraction"
