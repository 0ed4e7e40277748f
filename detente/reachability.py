"""Whether people can be reached: what tests and deliveries have shown, kept in the store.

A proof is for one route of one person as the directory has it: another address, channel or url
is another route, and not proved by what the former has shown.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from rules.recipients import Recipients
from schemas.directory import Route
from schemas.time import Instant
from streams.relay.history import place_of
from streams.relay.letters import route_name
from streams.store import Transaction

_KEY = "reached|"


class Proof(msgspec.Struct, frozen=True):
    """What the latest test of a route, or delivery over it, has shown."""

    at: int
    """When, as an instant."""
    failure: str | None = None
    """Why it did not get through; None when it did."""
    reached_at: int | None = None
    """When a message last got through."""


class Standing(StrEnum):
    """What is known of a route or of a person."""

    PROVED = "proved"
    STALE = "proved long ago"
    NEVER = "never proved"
    FAILED = "failed"
    NO_ROUTE = "no route"


#: The best first: a person can be reached as well as by the best of their routes.
_ORDER = tuple(Standing)


@dataclass(frozen=True, slots=True)
class RouteReport:
    """One route of a person, and what is known of it."""

    person: str
    route: str
    """As records show it."""
    standing: Standing
    proof: Proof | None


@dataclass(frozen=True, slots=True)
class TierReport:
    """An escalation tier of a partner for which nobody's route is proved."""

    partner_id: str | None
    """None: every partner that the directory does not list."""
    tier: str
    people: tuple[str, ...]
    """Who would be told; operations among them where nobody else can be."""
    standing: Standing
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A route by which somebody cannot be told."""

    key: str
    """Names person and route, and changes when the route does."""
    person: str
    place: str
    """Where the route leads, as records show it."""
    reason: str
    others: tuple[str, ...]
    """Where else they can be told, as far as is known."""


def _key(person: str, route: Route) -> str:
    # Only the digest: a url carries tokens.
    text = f"{len(person)}:{person}{route.bare().model_dump_json(exclude_defaults=True)}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_proof(tx: Transaction, person: str, route: Route) -> Proof | None:
    """What was last shown about a route; None when nothing was."""
    stored = tx.setting(_KEY + _key(person, route))
    return None if stored is None else msgspec.json.decode(stored, type=Proof)


def keep_proof(
    tx: Transaction, person: str, route: Route, at: Instant, failure: str | None
) -> None:
    """Record what a message over a route has shown; `failure` is None when it got through."""
    before = read_proof(tx, person, route)
    last = before.reached_at if before is not None else None
    reached = at if failure is None else last
    stored = msgspec.json.encode(Proof(at, failure, reached))
    tx.put_setting(_KEY + _key(person, route), stored.decode())


def failures(tx: Transaction, recipients: Recipients) -> Iterator[Failure]:
    """The routes of active people over which the latest message did not get through."""
    proofs = (
        (key, msgspec.json.decode(said, type=Proof)) for key, said in tx.settings(_KEY).items()
    )
    reasons = {key: proof.failure for key, proof in proofs if proof.failure is not None}
    people = recipients.directory.people.items() if reasons else ()  # it is asked again and again
    for person_id, person in people:
        places = {
            _key(person_id, route): place_of(route_name(number, route))
            for number, route in enumerate(person.routes if person.active else (), 1)
        }
        others = tuple(place for key, place in places.items() if key not in reasons)
        for key, place in places.items():
            if key in reasons:
                yield Failure(key, person_id, place, reasons[key], others)


def route_reports(
    recipients: Recipients,
    people: Iterable[str],
    proof: Callable[[str, Route], Proof | None],
    at: Instant,
    stale_after: int,
) -> Iterator[RouteReport]:
    """What is known of each route of these people. `stale_after` is in microseconds."""
    for person_id in people:
        person = recipients.person(person_id)
        for number, route in enumerate(person.routes if person else (), 1):
            found = proof(person_id, route)
            yield RouteReport(
                person_id, route_name(number, route), _standing(found, at, stale_after), found
            )


def _standing(proof: Proof | None, at: Instant, stale_after: int) -> Standing:
    if proof is None:
        return Standing.NEVER
    if proof.failure is not None:
        return Standing.FAILED
    return Standing.STALE if at - proof.at > stale_after else Standing.PROVED


def tier_reports(
    recipients: Recipients,
    tiers: Callable[[str | None], Mapping[str, str]],
    routes: Iterable[RouteReport],
    at: Instant,
) -> Iterator[TierReport]:
    """Every partner and tier at which no route of whoever would be told is proved.

    `tiers` gives the ladder of a partner tier: escalation tier to the role that it notifies.
    """
    best: dict[str, Standing] = {}
    for report in routes:
        best[report.person] = _better(best.get(report.person), report.standing)
    for partner_id in (*recipients.directory.partners, None):
        for tier, role in tiers(recipients.partner_tier(partner_id, at)).items():
            found = recipients.resolve(role, partner_id, at)
            # Operations in somebody's place do not make the tier reachable.
            people = found.people if found.is_staffed else ()
            standing = Standing.NO_ROUTE
            for person in people:
                standing = _better(standing, best.get(person, Standing.NO_ROUTE))
            if standing is not Standing.PROVED:
                yield TierReport(partner_id, tier, found.people, standing, found.steps)


def _better(one: Standing | None, other: Standing) -> Standing:
    return other if one is None else min(one, other, key=_ORDER.index)
