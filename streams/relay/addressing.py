"""Who is told: a role becomes people, in the light of who can be told and who was told before."""

from dataclasses import dataclass

from rules.decision import Effect, EffectKind
from rules.effects import STAND_IN
from rules.recipients import Reason as Found
from rules.recipients import Recipient, Resolution
from schemas.policy import OPERATIONS, Mode
from schemas.time import Instant
from streams.relay.history import History
from streams.relay.house import House
from streams.relay.reasons import Reason

#: What goes only to whoever was told of the case before.
FOLLOW_UPS = (EffectKind.UPDATE, EffectKind.RETRACTION, EffectKind.JOINED)


@dataclass(frozen=True, slots=True)
class Addressee:
    """A person to tell."""

    person: str
    on_behalf: str | None = None
    """Why they read what was meant for somebody else."""
    would_have_told: tuple[str, ...] | None = None
    """Names, in shadow mode."""
    last_resort: bool = False
    """Told because every route to everybody else has failed."""


@dataclass(frozen=True, slots=True)
class Addressing:
    """Everybody to tell, and how they were found."""

    people: tuple[Addressee, ...]
    steps: tuple[str, ...] = ()
    nobody: Reason = Reason.NOBODY_HOME
    """Why, when there is nobody."""


def is_shadow(effect: Effect, house: House) -> bool:
    """Whether only the redirect target hears of an effect."""
    return effect.shadow or house.policy.mode is Mode.SHADOW


def address(effect: Effect, history: History, house: House, now: Instant) -> Addressing:
    """Who is told of an effect at this moment."""
    resolution = _resolve(effect, house, now)
    shadow = is_shadow(effect, house)
    if effect.case_id is not None and effect.kind in FOLLOW_UPS:
        knew = history.told_before(effect, shadow=shadow)
        names = _names(resolution, effect, house) if shadow else None
        people = tuple(Addressee(person, would_have_told=names) for person in knew)
        return Addressing(people, nobody=Reason.NOBODY_KNEW)
    if not resolution.recipients and effect.role.endswith(STAND_IN):
        return Addressing((), nobody=Reason.NO_STAND_IN)
    if shadow:
        return _redirected(resolution, effect, house, now)
    people = tuple(_addressee(recipient, resolution, house) for recipient in resolution.recipients)
    return _with_fallback(Addressing(people, resolution.steps), effect, history, house, now)


def _resolve(effect: Effect, house: House, now: Instant) -> Resolution:
    role, partner_id = effect.role.removesuffix(STAND_IN), effect.partner_id
    if role == effect.role:
        return house.recipients.resolve(role, partner_id, now)
    fillers = house.recipients.people(role, partner_id)
    stand_ins = {
        stand_in: Recipient(stand_in, Found.STAND_IN, person)
        for person in fillers
        if (stand_in := house.stand_in(person)) is not None and house.routes(stand_in)
    }
    steps = tuple(f"{r.person} stands in for {r.instead_of}." for r in stand_ins.values())
    return Resolution(role, partner_id, tuple(stand_ins.values()), steps)


def _redirected(resolution: Resolution, effect: Effect, house: House, now: Instant) -> Addressing:
    names = _names(resolution, effect, house)
    if resolution.recipients and not names:
        return Addressing((), nobody=Reason.OWN_CHANGE)
    target = house.policy.shadow.redirect
    if house.recipients.person(target) is not None:
        return Addressing((Addressee(target, would_have_told=names),))
    found = house.recipients.resolve(target, effect.partner_id, now)
    people = tuple(Addressee(person, would_have_told=names) for person in found.people)
    return Addressing(people, found.steps)


def _names(resolution: Resolution, effect: Effect, house: House) -> tuple[str, ...]:
    return tuple(house.name(person) for person in resolution.people if person != effect.actor)


def _addressee(recipient: Recipient, resolution: Resolution, house: House) -> Addressee:
    match recipient.reason:
        case Found.DIRECT:
            return Addressee(recipient.person)
        case Found.STAND_IN:
            assert recipient.instead_of is not None
            return Addressee(
                recipient.person, f"you stand in for {house.name(recipient.instead_of)}"
            )
        case Found.OPERATIONS:
            role = resolution.role.replace("_", " ")
            return Addressee(recipient.person, f"no {role} can be told")


def _with_fallback(
    found: Addressing, effect: Effect, history: History, house: House, now: Instant
) -> Addressing:
    """Add the stand-in of everybody to whom every route failed; if all fail, operations."""
    people = {addressee.person: addressee for addressee in found.people}
    steps = list(found.steps)

    def failed(person: str) -> bool:
        return history.progress(effect.effect_id, person).gave_up

    asked = list(people)
    for person in asked:  # grows while it is read
        stand_in = house.stand_in(person)
        if not failed(person) or stand_in is None or stand_in in people:
            continue
        if house.routes(stand_in):
            people[stand_in] = Addressee(stand_in, f"{house.name(person)} cannot be reached")
            steps.append(f"Every route to {person} failed; {stand_in} stands in.")
            asked.append(stand_in)
    if people and all(failed(person) for person in people):
        steps.append(f"Every route to {', '.join(people)} failed; {OPERATIONS} is told.")
        names = " and ".join(house.name(person) for person in people)
        for person in house.recipients.resolve(OPERATIONS, effect.partner_id, now).people:
            people.setdefault(person, Addressee(person, f"{names} cannot be reached", None, True))
    return Addressing(tuple(people.values()), tuple(steps))
