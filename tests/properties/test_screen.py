"""The screen and the fold agree: what the screen calls quiet, the fold finds quiet too."""

from functools import cache
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from rules.case import make_subject
from rules.decision import Kind
from rules.policy import RuleSet
from rules.screen import Quiet, screen_order, screen_ticket
from rules.story import fold
from rules.subjects import Document, split_key, subject_key
from rules.tickets import Ticket
from rules.world import Horizon, World
from schemas.time import DAY, HOUR, iso
from tests.properties.histories import (
    DAYS,
    GRID,
    RULES,
    START,
    History,
    Said,
    compiled,
    days,
    instants,
    make_world,
    numbered,
    one_policy,
    order_news,
    placed,
    sources,
    ticket_histories,
)


@st.composite
def plain_orders(draw: st.DrawFn) -> History:
    """Orders that mostly come whole, a few of them a little otherwise."""
    partner = draw(st.sampled_from(("A", "C", "D")))
    key = subject_key(Kind.ORDER, partner, "O1")
    order = draw(placed(partner, "O1"))
    events = [order]
    if draw(st.booleans()):
        lines = [
            {name: line[name] for name in ("line_id", "sku", "quantity") if name in line}
            for line in order.data["lines"]
        ]
        if not draw(st.integers(0, 3)):
            lines[-1] |= draw(
                st.sampled_from(({"quantity": "1"}, {"damaged": "1"}, {"sku": "bolt"}))
            )
        data: dict[str, Any] = {
            "partner_id": partner,
            "order_id": "O1",
            "delivery_id": "D1",
            "lines": lines,
        }
        if draw(st.booleans()):
            data["delivered_at"] = draw(st.one_of(instants.map(iso), days))
        if draw(st.booleans()):
            data["final"] = draw(st.booleans())
        events.append(Said("delivery.completed", draw(instants), data, draw(sources)))
    if draw(st.booleans()):
        events.append(draw(order_news(partner, "O1", ("delivery.dispatched",))))
    if not draw(st.integers(0, 9)):
        events.append(draw(order_news(partner, "O1")))
    return History(key, draw(st.permutations(numbered(events))))


@given(plain_orders(), st.integers(0, DAYS * 4), st.sampled_from((-1, 0, HOUR)))
def test_what_the_screen_calls_quiet_the_fold_finds_quiet(
    history: History, read: int, off: int
) -> None:
    world = one_policy()
    contributions = history.contributions(world)
    feeds = START + read * GRID + off
    zone = world.zone(split_key(history.key)[1])
    quiet = screen_order(contributions, rules_for(history, world), feeds, zone)
    assume(quiet is not None)
    assert quiet is not None
    assert_fold_agrees(history, world, feeds, quiet)


def assert_fold_agrees(history: History, world: World, feeds: int, quiet: Quiet) -> None:
    document = Document(history.contributions(world), {}, [])
    now = START + DAYS * 4 * GRID
    folded = fold(history.key, document, world, Horizon.everything_until(feeds), now)
    assert folded.case is None
    assert not folded.steps
    assert not folded.occurrences
    assert folded.began_at == quiet.began_at
    if quiet.feeds_due is not None or folded.feeds_due is None:
        assert folded.feeds_due == quiet.feeds_due
    else:
        assert_no_silence_speaks(document, history.key, world, folded.feeds_due)
    assert folded.people_due is None


def assert_no_silence_speaks(document: Document, key: str, world: World, due: int) -> None:
    """What the screen does not wait for decides nothing when its time has come."""
    for _ in range(20):
        folded = fold(key, document, world, Horizon.everything_until(due), due)
        assert folded.case is None
        assert not folded.occurrences
        if folded.feeds_due is None:
            return
        due = folded.feeds_due


@cache
def answering() -> World:
    """Rules about tickets that the screen can see through."""
    slow = {"category": "quality", "breach": ["first_response", "next_response", "resolution"]}
    rules = [
        *(rule for rule in RULES if rule["name"] == "repeat-quality"),
        {"name": "slow", "when": slow, "open_at": "frontline"},
    ]
    return make_world((0, compiled({"rules": rules})))


@cache
def by_severity() -> World:
    """Rules that time alone brings to hold for some tickets and not for others."""
    late = {"severity": "high", "breach": ["first_response", "resolution"]}
    rules = [
        {"name": "late", "when": late, "open_at": "frontline"},
        {"name": "old", "when": {"category": "quality", "age": "> 5d"}, "open_at": "frontline"},
    ]
    return make_world((0, compiled({"rules": rules})))


def rules_for(history: History, world: World) -> RuleSet:
    kind, partner, _ = split_key(history.key)
    tier = world.partner_tier(partner, START)
    return world.policies.newest.rule_set(kind, tier, world.calendar_name(partner))


@given(
    ticket_histories(verbs=()), st.integers(0, DAYS * 4), st.sampled_from((-1, 0, HOUR, 40 * DAY))
)
def test_a_ticket_that_the_screen_calls_quiet_the_fold_finds_quiet(
    history: History, read: int, off: int
) -> None:
    world = answering()
    contributions = history.contributions(world)
    partner = split_key(history.key)[1]
    ticket = make_subject(Kind.TICKET, "", partner, world, world.policies.newest)
    assert isinstance(ticket, Ticket)
    feeds = START + read * GRID + off
    quiet = screen_ticket(contributions, ticket, rules_for(history, world), feeds)
    assume(quiet is not None)
    assert quiet is not None
    assert_fold_agrees(history, world, feeds, quiet)


@given(ticket_histories(verbs=()), st.integers(0, DAYS * 4))
def test_a_ticket_that_no_rule_can_ever_ask_for_is_not_looked_at_again(
    history: History, read: int
) -> None:
    world = by_severity()
    partner = split_key(history.key)[1]
    ticket = make_subject(Kind.TICKET, "", partner, world, world.policies.newest)
    assert isinstance(ticket, Ticket)
    rules = rules_for(history, world)
    feeds = START + read * GRID
    quiet = screen_ticket(history.contributions(world), ticket, rules, feeds)
    assume(quiet is not None and quiet.feeds_due is None)
    document = Document(history.contributions(world), {}, [])
    later = START + 400 * DAY
    folded = fold(history.key, document, world, Horizon.everything_until(later), later)
    assert folded.case is None
    assert not folded.occurrences


def test_an_ordinary_order_is_quiet() -> None:
    """So that the screen does screen, and the law above is not empty."""
    world = one_policy()
    promise = iso(START + GRID)
    line = {"sku": "nut", "quantity": "10"}
    about = {"partner_id": "A", "order_id": "O1"}
    said = [
        Said("order.placed", START, about | {"promised_at": promise, "lines": [line]}),
        Said("delivery.completed", START, about | {"delivery_id": "D1", "lines": [line]}),
    ]
    history = History("order:A:O1", numbered(said))
    rules = rules_for(history, world)
    for count in (1, 2):
        contributions = history.contributions(world)[:count]
        assert screen_order(contributions, rules, START, world.zone("A")) is not None
