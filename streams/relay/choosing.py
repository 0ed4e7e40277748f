"""Who is told what now: what passes all stages becomes a letter, the rest waits or is dropped.

Each stage writes down its reason.
"""

from dataclasses import replace

from rules.decision import EffectKind
from streams.relay.addressing import FOLLOW_UPS, Addressee, address
from streams.relay.again import further_routes, next_tellings
from streams.relay.history import NOBODY, Progress, key_of, place_of
from streams.relay.letters import Job, Letter, grouped, route_name
from streams.relay.overtaken import overtaken
from streams.relay.passes import Pass
from streams.relay.reasons import Reason
from streams.relay.standing import put_right, seen_elsewhere, shows
from streams.relay.waits import Waits
from streams.relay.windows import Windows
from streams.store import DeliveryStatus, OutboxEntry


class Choosing:
    """Makes letters of what is due."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._windows = Windows()

    def letters(self, due: list[OutboxEntry], work: Pass) -> list[Letter]:
        """What goes out now of what is due for the first time."""
        for entry in due:
            self._look(entry, work)
        return [
            letter
            for person, jobs in _by_person(work).items()
            for letter in self._bundled(person, jobs, work)
        ]

    def letters_again(self, due: list[OutboxEntry], work: Pass) -> list[Letter]:
        """The reminders that go out now, and what takes a further route."""
        for entry in due:
            self._look_again(entry, work)
        letters: list[Letter] = []
        for person, jobs in _by_person(work).items():
            alone, again, rest = self._sorted_out(person, jobs, work)
            together = grouped(rest, together=True)
            letters += _frozen(grouped(alone, together=False) + again + together, work)
        return letters

    def _look(self, entry: OutboxEntry, work: Pass) -> None:
        """Decide for one effect who is told now, and write down why others are not."""
        effect = entry.effect
        newer = work.history.newer_waits(entry)
        if over := overtaken(effect, work.case(entry), newer_waits=newer):
            work.drop_effect(entry, over)
            return
        considered: set[str] = set()
        while True:
            addressing = address(effect, work.history, work.house, work.now)
            people = [p for p in addressing.people if p.person not in considered]
            if not people:
                break
            for addressee in people:  # giving one up may bring their stand-in into play
                considered.add(addressee.person)
                self._consider(entry, addressee, 0, work)
        work.addressed[effect.effect_id] = addressing
        for addressee in addressing.people:
            self._put_right_elsewhere(entry, addressee, work)
        if not addressing.people and addressing.nobody is not Reason.NOBODY_HOME:
            work.drop_effect(entry, addressing.nobody)

    def _consider(
        self, entry: OutboxEntry, addressee: Addressee, reminder: int, work: Pass
    ) -> None:
        """Take one person through the stages; what passes all of them becomes a job."""
        effect, person = entry.effect, addressee.person
        progress = work.history.progress(effect.effect_id, person, reminder)
        key = key_of(effect.effect_id, person, reminder)
        if progress.is_settled or self._waits.holds(key, work.now):
            return
        if reason := why_not(entry, addressee, work):
            if job := put_right(entry, addressee, reason, progress, work):
                work.jobs.append(job)
            else:
                work.drop_person(entry, person, reminder, reason)
            return
        routes = work.house.routes(person)
        untried = _untried(entry, person, reminder, progress, work)
        if not untried:
            _give_up(entry, person, reminder, progress, work)
            return
        job = Job(
            entry.seq,
            effect,
            addressee,
            reminder,
            untried[0],
            routes[untried[0] - 1],
            is_last=len(untried) == 1,
            progress=progress,
            unanswered=_unanswered(entry, person, reminder, work),
        )
        loud = not effect.urgent and effect.kind is not EffectKind.JOINED
        quiet = None if not loud else work.house.recipients.held_until(person, work.now)
        if quiet is not None:
            self._waits.defer(job, quiet, Reason.QUIET_HOURS, work)
        else:
            work.jobs.append(job)

    def _put_right_elsewhere(self, entry: OutboxEntry, addressee: Addressee, work: Pass) -> None:
        """Once somebody was told over one route, change what they see of the case at others."""
        effect, person = entry.effect, addressee.person
        for number in seen_elsewhere(entry, person, work):
            progress = work.history.progress(effect.effect_id, person, -number)
            key = key_of(effect.effect_id, person, -number)
            if not progress.is_settled and not self._waits.holds(key, work.now):
                route = work.house.routes(person)[number - 1]
                work.jobs.append(Job(entry.seq, effect, addressee, -number, number, route,
                                     is_last=True, progress=progress, silent=True))  # fmt: skip

    def _bundled(self, person: str, jobs: list[Job], work: Pass) -> list[Letter]:
        """The letters that go to one person now; what bundling holds back is put off."""
        alone, again, rest = self._sorted_out(person, jobs, work)
        fresh = [job for job in rest if job.progress.held is not Reason.BUNDLING]
        held = [job for job in rest if job.progress.held is Reason.BUNDLING]
        letters = grouped(alone, together=False) + again
        if rest:
            flow = self._windows.flow(
                person, work.now, work.house.policy.bundling, fresh=len(fresh), held=len(held)
            )
            if flow.together:
                letters += grouped(rest, together=True)
            else:
                letters += grouped(fresh[: flow.one_by_one], together=False)
                for job in (*fresh[flow.one_by_one :], *held):
                    self._waits.defer(job, flow.hold_until, Reason.BUNDLING, work)
        return _frozen(letters, work)

    def _sorted_out(
        self, person: str, jobs: list[Job], work: Pass
    ) -> tuple[list[Job], list[Letter], list[Job]]:
        """Jobs that go alone, bundles that may have arrived already, and the others."""
        bundles = work.house.bundles(person)
        alone, rest, again = [], [], dict[str, list[Job]]()
        for job in jobs:
            # A list of its own says more than one line of a bundle could.
            whole = job.effect.kind in {EffectKind.REPORT, EffectKind.JOINED}
            stays = job.effect.urgent or job.silent or whole
            goes_alone = stays or not bundles or job.tried_alone
            if goes_alone or (self._waits.is_in_turn(job) and job.progress.bundle_id is None):
                alone.append(job)
            elif (bundle_id := job.progress.bundle_id) is not None:
                again.setdefault(bundle_id, []).append(job)
            else:
                rest.append(job)
        return alone, [one for g in again.values() for one in grouped(g, together=True)], rest

    def _look_again(self, entry: OutboxEntry, work: Pass) -> None:
        """Decide who is told of an alert again now, and whether it still waits for an answer."""
        effect = entry.effect
        repeated = work.history.was_repeated(entry)
        if over := overtaken(effect, work.case(entry), newer_waits=repeated):
            more = "reminders" if effect.remind_every is not None else "routes"
            work.note(entry, NOBODY, DeliveryStatus.DROPPED, f"no more {more}: {over}")
            work.put(replace(entry, remind_at=None))
            work.report.dropped[over] += 1
            return
        addressing = address(effect, work.history, work.house, work.now)
        work.addressed[effect.effect_id] = addressing
        for addressee in addressing.people:
            for number, at in next_tellings(entry, addressee.person, work):
                if at <= work.now:
                    self._consider(entry, addressee, number, work)


def why_not(entry: OutboxEntry, addressee: Addressee, work: Pass) -> Reason | None:
    """Why this person is not told, though others may be."""
    if addressee.would_have_told is not None:
        return None
    if entry.effect.actor == addressee.person:
        return Reason.OWN_CHANGE
    once_a_step = entry.effect.kind in {EffectKind.NOTICE, *FOLLOW_UPS}
    if once_a_step and work.history.was_told_of_step(entry, addressee.person):
        return Reason.ALREADY_TOLD
    return None


def _untried(
    entry: OutboxEntry, person: str, reminder: int, progress: Progress, work: Pass
) -> list[int]:
    """The numbers of the routes by which somebody may still be told, in the order to try them."""
    if reminder < 0:
        return further_routes(entry, person, work)
    effect, routes = entry.effect, work.house.routes(person)
    return [
        number
        for number in work.house.order(person, effect.tier, work.now)
        for route in (routes[number - 1],)
        if route_name(number, route) not in progress.exhausted
        and (effect.kind is not EffectKind.JOINED or shows(route, number, effect, work))
    ]


def _unanswered(entry: OutboxEntry, person: str, reminder: int, work: Pass) -> str | None:
    """The place at which nobody acknowledged what takes a further route now."""
    if reminder >= 0:
        return None
    before = work.history.progress(entry.effect.effect_id, person, reminder + 1).route
    return None if before is None else place_of(before)


def _give_up(
    entry: OutboxEntry, person: str, reminder: int, progress: Progress, work: Pass
) -> None:
    """No route is left."""
    effect = entry.effect
    if reminder < 0:
        work.drop_person(entry, person, reminder, Reason.NO_OTHER_ROUTE)
    elif effect.kind is EffectKind.JOINED:
        work.drop_person(entry, person, reminder, Reason.SILENTLY)
    elif progress.tries == 0 and effect.kind in FOLLOW_UPS:
        work.drop_person(entry, person, reminder, Reason.NO_ROUTE)
    else:
        work.note(entry, person, DeliveryStatus.GIVEN_UP, Reason.UNREACHABLE, reminder)


def _by_person(work: Pass) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {}
    for job in sorted(work.jobs, key=work.order):
        found.setdefault(job.person, []).append(job)
    return found


def _frozen(letters: list[Letter], work: Pass) -> list[Letter]:
    """Write down what is in each bundle before it is sent, so that a crash does not change it."""
    for letter in letters:
        for job in letter.jobs:
            if letter.bundle_id is not None and job.progress.bundle_id != letter.bundle_id:
                entry = work.history.entry(job.effect.effect_id)
                detail = f"{Reason.BUNDLING}: one message about {len(letter.jobs)}"
                work.note(entry, job.person, DeliveryStatus.DEFERRED, detail, job.reminder,
                          letter.bundle_id)  # fmt: skip
    return letters
