"""What stands where people read already: it is changed in place, and not told twice."""

from collections.abc import Iterator

from rules.decision import Effect
from schemas.directory import Route, SlackRoute
from streams.relay.addressing import FOLLOW_UPS, Addressee
from streams.relay.history import Progress, place_of
from streams.relay.letters import Job, Letter, route_name
from streams.relay.passes import Pass
from streams.relay.reasons import Reason
from streams.store import DeliveryRow, OutboxEntry


def shows(route: Route, number: int, effect: Effect, work: Pass) -> bool:
    """Whether a route leads to where the effect's case stands as a message that can be changed."""
    place = place_of(route_name(number, route))
    return isinstance(route, SlackRoute) and bool(work.history.references(effect.case_id, place))


def put_right(
    entry: OutboxEntry, addressee: Addressee, reason: Reason, progress: Progress, work: Pass
) -> Job | None:
    """A job that changes in place what a person sees of a case that they changed themselves."""
    effect = entry.effect
    if reason is not Reason.OWN_CHANGE or effect.kind not in FOLLOW_UPS:
        return None
    for number, route in enumerate(work.house.routes(addressee.person), 1):
        if shows(route, number, effect, work):
            return Job(entry.seq, effect, addressee, 0, number, route, is_last=True,
                       progress=progress, silent=True)  # fmt: skip
    return None


def seen_elsewhere(entry: OutboxEntry, person: str, work: Pass) -> Iterator[int]:
    """The numbers of the routes where a person who was told now sees the case as it stood."""
    effect, progress = entry.effect, work.history.progress(entry.effect.effect_id, person)
    seen = {
        place: number
        for number, route in enumerate(work.house.routes(person), 1)
        if shows(route, number, effect, work)
        for place in (place_of(route_name(number, route)),)
    }
    if progress.route is not None:
        seen.pop(place_of(progress.route), None)
    elif progress.dropped and effect.actor == person:  # the first was put right (`put_right`)
        seen.pop(next(iter(seen), ""), None)
    else:
        return
    yield from seen.values()


def told_there(letter: Letter, work: Pass) -> list[DeliveryRow] | None:
    """The rows by which everything in a letter stands already at the place it would go to."""
    if not isinstance(letter.jobs[0].route, SlackRoute) or letter.is_silent:
        return None
    shadow = letter.jobs[0].addressee.would_have_told is not None
    rows = [
        row
        for job in letter.jobs
        if (row := work.history.told_at(job.effect, job.reminder, job.place, shadow=shadow))
    ]
    return rows if len(rows) == len(letter.jobs) else None
