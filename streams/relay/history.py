"""What has been told already, read from the delivery rows.

The rows are the relay's only memory of who was told what: whatever is not in them is told again
after a crash, under the same key.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from rules.decision import Effect
from schemas.time import Instant
from streams.relay.overtaken import sort
from streams.relay.reasons import Reason
from streams.store import DeliveryRow, DeliveryStatus, OutboxEntry, OutboxStatus

#: The person of a row that is about an effect as a whole.
NOBODY = ""
_TOLD = {DeliveryStatus.SENT, DeliveryStatus.BUNDLED, DeliveryStatus.WOULD_HAVE_TOLD}


def key_of(effect_id: str, person: str, number: int = 0) -> str:
    """The idempotency key: one for each effect, person and number of the telling.

    0 is the first telling, 1 the first reminder of it, and -1 the first that took a further route
    because nobody had acknowledged it.
    """
    return _digest(effect_id, person, str(number))


def bundle_of(keys: Iterable[str]) -> str:
    """The idempotency key of a message with these entries."""
    return _digest(*sorted(keys))


def place_of(route: str) -> str:
    """Where a recorded route leads, whatever its number among a person's routes."""
    return route.partition(" ")[2]


def _digest(*parts: str) -> str:
    # The length before each part: without it ("a", "bc") and ("ab", "c") would be one key.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(slots=True)
class Progress:
    """How far one effect, or one reminder of it, has come with one person."""

    told_at: Instant | None = None
    route: str | None = None
    """The route by which it was told."""
    dropped: bool = False
    gave_up: bool = False
    attempts: dict[str, int] = field(default_factory=dict)
    """Route to failed attempts since it was last queued."""
    exhausted: set[str] = field(default_factory=set)
    """Routes that were given up since it was last queued."""
    tries: int = 0
    """Failed attempts ever."""
    held: Reason | None = None
    """What last put it off."""
    bundle_id: str | None = None
    """The bundle that it was put into."""
    at: Instant | None = None
    """When the newest row was written."""

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to do."""
        return self.told_at is not None or self.dropped or self.gave_up


class History:
    """Deliveries and outbox entries of the cases that a pass of the relay looks at."""

    def __init__(self, entries: Iterable[OutboxEntry], rows: Iterable[DeliveryRow]) -> None:
        self._entries: dict[str, OutboxEntry] = {}
        self._by_case: dict[str, dict[str, OutboxEntry]] = defaultdict(dict)
        self._rows: dict[str, list[DeliveryRow]] = defaultdict(list)
        self._references: dict[tuple[str | None, str], dict[str, None]] = defaultdict(dict)
        for entry in entries:
            self.put(entry)
        for row in rows:
            self.add(row)

    def put(self, entry: OutboxEntry) -> None:
        """Remember an entry as it is now."""
        effect = entry.effect
        self._entries[effect.effect_id] = entry
        if effect.case_id is not None:
            self._by_case[effect.case_id][effect.effect_id] = entry

    def add(self, row: DeliveryRow) -> None:
        """Remember a row; rows come in the order in which they are written."""
        self._rows[row.effect_id].append(row)
        if row.reference is not None:
            self._references[row.case_id, place_of(row.route)][row.reference] = None

    def entry(self, effect_id: str) -> OutboxEntry:
        """An entry as it is now."""
        return self._entries[effect_id]

    def failures(self, effect_id: str) -> int:
        """Failed attempts since the effect was last queued."""
        count = 0
        for row in self._rows[effect_id]:
            if row.status is DeliveryStatus.GIVEN_UP and row.person == NOBODY:
                count = 0
            count += _is_failure(row)
        return count

    def last_error(self, effect_id: str) -> str | None:
        """What the newest failed attempt said."""
        return next((r.detail for r in reversed(self._rows[effect_id]) if _is_failure(r)), None)

    def drop_reason(self, effect_id: str) -> str | None:
        """Why the effect, or the last of its people, was dropped."""
        rows = reversed(self._rows[effect_id])
        return next((r.detail for r in rows if r.status is DeliveryStatus.DROPPED), None)

    def told_of(self, effect_id: str) -> Instant | None:
        """When the effect last reached anybody."""
        return max((row.at for row in self._rows[effect_id] if row.status in _TOLD), default=None)

    def progress(self, effect_id: str, person: str, reminder: int = 0) -> Progress:
        """How far the effect, or one of its reminders, has come with a person."""
        key = key_of(effect_id, person, reminder)
        found = Progress()
        for row in self._rows[effect_id]:
            if row.person == NOBODY and row.status is DeliveryStatus.GIVEN_UP:
                # The end of a round; whoever was not told is tried anew when it is driven again.
                found.gave_up = found.dropped = False
                found.attempts.clear()
                found.exhausted.clear()
            elif row.idempotency_key == key:
                _fold(found, row)
        return found

    def reminded(self, effect_id: str, person: str) -> tuple[int, Instant | None]:
        """How many reminders a person is done with, and when the last telling was."""
        number = 0
        at = self.progress(effect_id, person).told_at
        while (progress := self.progress(effect_id, person, number + 1)).is_settled:
            number += 1
            at = progress.at
        return number, at

    def handed_over(self, effect_id: str, person: str) -> tuple[int, Progress, set[str]]:
        """How far an alert has come along a person's routes.

        Number and progress of the newest telling that was no reminder, and the places that all of
        them have tried.
        """
        number, places = 0, set[str]()
        while True:
            found = self.progress(effect_id, person, number)
            places |= {place_of(route) for route in found.exhausted}
            if found.route is not None:
                places.add(place_of(found.route))
            if found.told_at is None or not self._has(effect_id, person, number - 1):
                return number, found, places
            number -= 1

    def _has(self, effect_id: str, person: str, number: int) -> bool:
        key = key_of(effect_id, person, number)
        return any(row.idempotency_key == key for row in self._rows[effect_id])

    def told_before(self, effect: Effect, *, shadow: bool) -> tuple[str, ...]:
        """Who was told of a follow-up's case in its role, in the order in which they were.

        People who were told in a role that gets no follow-up of its own, such as operations,
        belong to the first effect of the step: whoever was told hears that it has changed.
        """
        assert effect.case_id is not None, "a follow-up is about a case"
        entries = sorted(self._by_case[effect.case_id].values(), key=lambda entry: entry.seq)
        same = [e.effect for e in entries
                if (e.effect.step, e.effect.kind) == (effect.step, effect.kind)]  # fmt: skip
        # A role that is told of the step in another way, such as an alert, is not told twice.
        others = {e.effect.role for e in entries if e.effect.step == effect.step} - {effect.role}
        takes_rest = same[0].effect_id == effect.effect_id
        found = {
            row.person: None
            for entry in entries
            if entry.effect.role == effect.role or (takes_rest and entry.effect.role not in others)
            for row in self._rows[entry.effect.effect_id]
            if row.status in _TOLD and (row.status is DeliveryStatus.WOULD_HAVE_TOLD) == shadow
        }
        return tuple(found)

    def was_told_of_step(self, entry: OutboxEntry, person: str) -> bool:
        """Whether another effect of the same step has reached the person."""
        effect = entry.effect
        return effect.case_id is not None and any(
            row.person == person and row.status in _TOLD
            for other_id, other in self._by_case[effect.case_id].items()
            if other.effect.step == effect.step and other_id != effect.effect_id
            for row in self._rows[other_id]
        )

    def references(self, case_id: str | None, place: str) -> tuple[str, ...]:
        """What a route calls the messages about a case at a place, oldest first."""
        return tuple(self._references.get((case_id, place), ())) if case_id is not None else ()

    def alert_at(self, case_id: str | None, place: str) -> Effect | None:
        """The newest alert or notice about a case that reached anybody at a place."""
        if case_id is None:
            return None
        told = (
            entry
            for entry in self._by_case[case_id].values()
            if sort(entry.effect.kind) == "alert"
            and any(row.status in _TOLD and place_of(row.route) == place
                    for row in self._rows[entry.effect.effect_id])
        )  # fmt: skip
        newest = max(told, key=lambda entry: entry.seq, default=None)
        return None if newest is None else newest.effect

    def told_at(
        self, effect: Effect, reminder: int, place: str, *, shadow: bool
    ) -> DeliveryRow | None:
        """The row by which a place has the same news already, told to somebody else there."""
        others = {effect.effect_id: effect}
        if effect.case_id is not None:
            others |= {key: entry.effect for key, entry in self._by_case[effect.case_id].items()}
        for other in others.values():
            # A step that was withdrawn and is taken again has its key again, at another time.
            same_step = (other.step, other.created_at) == (effect.step, effect.created_at)
            if not same_step or sort(other.kind) != sort(effect.kind):
                continue
            for row in self._rows[other.effect_id]:
                told = row.status in _TOLD and place_of(row.route) == place
                in_shadow = row.status is DeliveryStatus.WOULD_HAVE_TOLD
                if told and in_shadow == shadow and _is_same_telling(row, other, reminder):
                    return row
        return None

    def newer_waits(self, entry: OutboxEntry) -> bool:
        """Whether a later effect of the same sort waits for the same role."""
        return self._newer(entry, {OutboxStatus.QUEUED})

    def was_repeated(self, entry: OutboxEntry) -> bool:
        """Whether a later effect of the same sort was decided for the same role."""
        return self._newer(entry, set(OutboxStatus))

    def _newer(self, entry: OutboxEntry, statuses: set[OutboxStatus]) -> bool:
        effect = entry.effect
        return effect.case_id is not None and any(
            other.seq > entry.seq
            and other.status in statuses
            and other.effect.role == effect.role
            and sort(other.effect.kind) == sort(effect.kind)
            for other in self._by_case[effect.case_id].values()
        )


def _is_failure(row: DeliveryRow) -> bool:
    failures = {DeliveryStatus.FAILED, DeliveryStatus.GIVEN_UP}
    return row.status in failures and row.route != ""


def _is_same_telling(row: DeliveryRow, effect: Effect, number: int) -> bool:
    """Whether a row is of the reminder of that number; of no reminder, for a number up to 0."""
    if number > 0:
        return row.idempotency_key == key_of(effect.effect_id, row.person, number)
    numbers = range(1, effect.remind_at_most + 1)
    return all(row.idempotency_key != key_of(effect.effect_id, row.person, n) for n in numbers)


def _fold(found: Progress, row: DeliveryRow) -> None:
    found.at = row.at
    match row.status:
        case DeliveryStatus.SENT | DeliveryStatus.BUNDLED | DeliveryStatus.WOULD_HAVE_TOLD:
            found.told_at, found.route = row.at, row.route
        case DeliveryStatus.DROPPED:
            found.dropped = True
        case DeliveryStatus.FAILED:
            found.attempts[row.route] = found.attempts.get(row.route, 0) + 1
            found.tries += 1
        case DeliveryStatus.GIVEN_UP:
            if row.route:
                found.exhausted.add(row.route)
                found.tries += 1
            else:
                found.gave_up = True
        case DeliveryStatus.DEFERRED:
            found.held = next((r for r in Reason if (row.detail or "").startswith(r)), None)
            found.bundle_id = row.bundle_id or found.bundle_id
