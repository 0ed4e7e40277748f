"""When an alert is told again: by a reminder, or over a further route while nobody answers."""

from collections.abc import Iterator

from rules.decision import EffectKind
from schemas.time import Instant
from streams.relay.addressing import is_shadow
from streams.relay.history import place_of
from streams.relay.letters import route_name
from streams.relay.passes import Pass
from streams.store import OutboxEntry


def first_time(entry: OutboxEntry, work: Pass) -> Instant | None:
    """When an alert that was just sent is first told again."""
    effect = entry.effect
    if effect.kind is not EffectKind.ALERT or is_shadow(effect, work.house):
        return None
    people = work.addressed[effect.effect_id].people
    nexts = (next_tellings(entry, addressee.person, work) for addressee in people)
    return min((at for tellings in nexts for _, at in tellings), default=None)


def next_tellings(entry: OutboxEntry, person: str, work: Pass) -> Iterator[tuple[int, Instant]]:
    """Number and time of what a person is told of an alert next, over the same or another route."""
    for number, at in (_next_reminder(entry, person, work), _next_route(entry, person, work)):
        if at is not None:
            yield number, at


def further_routes(entry: OutboxEntry, person: str, work: Pass) -> list[int]:
    """The numbers of the routes by which a person was not told of an alert, in their order."""
    routes = work.house.routes(person)
    tried = work.history.handed_over(entry.effect.effect_id, person)[2]
    order = work.house.order(person, entry.effect.tier, work.now)
    return [n for n in order if place_of(route_name(n, routes[n - 1])) not in tried]


def _next_route(entry: OutboxEntry, person: str, work: Pass) -> tuple[int, Instant | None]:
    """Number and time of a person's next hand-over; no time when there is none any more."""
    number, found, _ = work.history.handed_over(entry.effect.effect_id, person)
    if found.told_at is None:
        under_way = number < 0 and not found.is_settled
        return number, found.at if under_way else None
    assert found.route is not None, "what was told was told by a route"
    routes = work.house.routes(person)
    names = {place_of(route_name(n, route)): n for n, route in enumerate(routes, 1)}
    span = work.house.hand_over_after(person, names.get(place_of(found.route), len(routes) + 1))
    if span is None or not further_routes(entry, person, work):
        return number - 1, None
    return number - 1, work.house.later(person, found.told_at, span)


def _next_reminder(entry: OutboxEntry, person: str, work: Pass) -> tuple[int, Instant | None]:
    """Number and time of a person's next reminder; no time when there is none any more.

    A person who was not told yet, such as a stand-in since today, is reminded when the others
    would be.
    """
    effect = entry.effect
    done, last = work.history.reminded(effect.effect_id, person)
    if effect.remind_every is None or done >= effect.remind_at_most:
        return done + 1, None
    start = last if last is not None else entry.sent_at
    assert start is not None, "only what was sent is told again"
    return done + 1, work.house.later(person, start, effect.remind_every)
