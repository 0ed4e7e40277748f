"""Whom a role means: the people to tell for a partner at an instant, and why these.

Nobody home is an alarm, never a silence: for everybody who fills a role but cannot be told, the
stand-in is asked, then the stand-in's stand-in; if that finds nobody at all, operations. Each
step is on record in words. Who is told changes that way, the escalation tier never does.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise

from rules.calendars import BusinessCalendar
from schemas.directory import Absence, Directory, Partner, Person
from schemas.documents import Path, closest
from schemas.fields import parse_interval
from schemas.policy import OPERATIONS
from schemas.time import Instant, iso, to_instant

#: The calendar of whoever names no other, a partner that the directory does not know included.
DEFAULT_CALENDAR = "default"
#: Before a person's id it makes a role that this person alone fills: for lists of their own work.
PERSON = "person:"


class Reason(StrEnum):
    """Why a person is told."""

    DIRECT = "direct"
    """They fill the role."""
    STAND_IN = "stand-in"
    """They stand in for somebody who fills it and cannot be told."""
    OPERATIONS = "operations"
    """Nobody who fills the role, and no stand-in, can be told."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person to tell."""

    person: str
    reason: Reason
    instead_of: str | None = None
    """Whom a stand-in stands in for."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Whom a role means for a partner at an instant."""

    role: str
    partner_id: str | None
    recipients: tuple[Recipient, ...]
    """Empty: nobody can be told, not even operations."""
    steps: tuple[str, ...]
    """How they were found, in words, for the record."""

    @property
    def people(self) -> tuple[str, ...]:
        """The ids of all recipients."""
        return tuple(recipient.person for recipient in self.recipients)

    @property
    def is_staffed(self) -> bool:
        """Whether somebody who fills the role, or a stand-in, can be told."""
        return any(recipient.reason is not Reason.OPERATIONS for recipient in self.recipients)


@dataclass(frozen=True, slots=True)
class Gap:
    """An escalation tier at which nobody can be told for a partner."""

    partner_id: str | None
    """None: every partner that the directory does not list."""
    tier: str
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class _Away:
    """An absence as instants; `until` is the first at which the person is back."""

    since: Instant
    until: Instant
    stand_in: str | None


class Recipients:
    """Answers from one directory. Does not change; a new directory is a new object.

    `calendars` are the policy's, by name, at least one; a calendar that is not among them reads
    as `default`, or as the first if there is none. `default_tier` is the tier of partners that
    the directory does not list.
    """

    def __init__(
        self,
        directory: Directory,
        calendars: Mapping[str, BusinessCalendar],
        default_tier: str | None = None,
    ) -> None:
        self.directory = directory
        self._default_tier = default_tier
        self._tier: dict[str | None, str] = {}
        self._history: dict[str | None, tuple[list[Instant], list[str]]] = {}
        for partner_id, partner in directory.partners.items():
            if isinstance(partner.tier, str):
                self._tier[partner_id] = partner.tier
                continue
            zone = _zone(calendars, partner.calendar)
            dated = sorted(partner.tier, key=lambda entry: entry.since)
            starts = [_begin(entry.since, zone) for entry in dated]
            self._history[partner_id] = starts, [entry.tier for entry in dated]
        self._away: dict[str, tuple[_Away, ...]] = {}
        self._audible: dict[str, BusinessCalendar] = {}
        shared: dict[tuple[str, str], BusinessCalendar | None] = {}  # its tables are costly
        for person_id, person in directory.people.items():
            zone = _zone(calendars, person.calendar)
            self._away[person_id] = tuple(_away(absence, zone) for absence in person.absences)
            if person.quiet_hours is not None:
                kind = str(zone), person.quiet_hours
                if kind not in shared:
                    shared[kind] = _outside(*kind)
                if (audible := shared[kind]) is not None:
                    self._audible[person_id] = audible

    # -- partners ------------------------------------------------------------------------------

    def knows(self, partner_id: str) -> bool:
        """Whether the directory lists the partner."""
        return partner_id in self.directory.partners

    def partner_tier(self, partner_id: str | None, at: int) -> str | None:
        """The partner's tier at an instant.

        The default tier (None if the policy has none) for a partner that is not listed, and
        before the first date of a dated tier. A dated tier holds from its day on, as that day
        starts in the partner's time zone.
        """
        tier = self._tier.get(partner_id)
        if tier is not None:
            return tier
        history = self._history.get(partner_id)
        if history is None:
            return self._default_tier
        starts, tiers = history
        index = bisect_right(starts, at)
        return tiers[index - 1] if index else self._default_tier

    def tier_starts(self, partner_id: str | None) -> Sequence[Instant]:
        """When each tier of a partner with dated tiers begins, sorted; () for any other."""
        history = self._history.get(partner_id)
        return () if history is None else history[0]

    def calendar_of(self, partner_id: str | None) -> str:
        """Name of the calendar in which promises to the partner run."""
        partner = self._partner(partner_id)
        return DEFAULT_CALENDAR if partner is None else partner.calendar

    def _partner(self, partner_id: str | None) -> Partner | None:
        return None if partner_id is None else self.directory.partners.get(partner_id)

    # -- people --------------------------------------------------------------------------------

    def person(self, person_id: str) -> Person | None:
        """The directory's entry of a person."""
        return self.directory.people.get(person_id)

    def name(self, person_id: str) -> str:
        """What people call somebody."""
        known = self.person(person_id)
        return person_id if known is None else known.name

    def in_names(self, said: str, actor: str | None) -> str:
        """What a step by `actor` says, with the names that people know for the ids in it.

        Steps say `... by ACTOR`, `assigned to PERSON by ACTOR`, or how an ACTOR has no say.
        """
        if actor is None:
            return said
        who = re.escape(actor)
        ids = (
            rf"(?<=assigned to ).+(?= by {who}$)|(?<= by ){who}(?=$|[ :,])"
            rf"|(?:^|(?<=: )){who}(?= (?:is not the|owns the case|disputes the case) )"
        )
        return re.sub(ids, lambda found: self.name(found[0]), said)

    def persons_calendar(self, person_id: str) -> str:
        """Name of the calendar in which the person owes us acknowledgements."""
        person = self.person(person_id)
        return DEFAULT_CALENDAR if person is None else person.calendar

    def people(self, role: str, partner_id: str | None) -> tuple[str, ...]:
        """Who fills a role for a partner, present or not; () for nobody."""
        if role.startswith(PERSON):
            return (role.removeprefix(PERSON),)
        partner = self._partner(partner_id)
        named = None if partner is None else partner.roles.get(role)
        if named is None:
            named = self.directory.roles.get(role, ())
        return (named,) if isinstance(named, str) else named

    def held_until(self, person_id: str, at: int) -> Instant | None:
        """When the quiet hours end that the person has at an instant; None outside of them.

        Quiet hours are what the clock on the wall shows in the person's time zone. Whether
        something is urgent enough to ignore them is for the caller to say.
        """
        audible = self._audible.get(person_id)
        if audible is None or audible.is_open_us(at):
            return None
        return audible.next_open_us(at)

    # -- roles ---------------------------------------------------------------------------------

    def resolve(self, role: str, partner_id: str | None, at: int) -> Resolution:
        """The people to tell when a message is for a role, with the way they were found."""
        found: dict[str, Recipient] = {}
        steps: list[str] = []
        self._fill(role, partner_id, at, found, steps)
        if not found and role != OPERATIONS:
            steps.append(f"No {_words(role)} can be told; {OPERATIONS} is told instead.")
            stand_ins: dict[str, Recipient] = {}
            self._fill(OPERATIONS, partner_id, at, stand_ins, steps)
            found = {person: Recipient(person, Reason.OPERATIONS) for person in stand_ins}
        if not found:
            steps.append("Nobody can be told.")
        return Resolution(role, partner_id, tuple(found.values()), tuple(steps))

    def _fill(
        self,
        role: str,
        partner_id: str | None,
        at: int,
        found: dict[str, Recipient],
        steps: list[str],
    ) -> None:
        people = self.people(role, partner_id)
        if not people:
            steps.append(f"Nobody is {_words(role)} for {partner_id or 'other partners'}.")
        for first in people:
            is_meant = role.startswith(PERSON)
            steps.append(f"{first} is meant." if is_meant else f"{first} is {_words(role)}.")
            asked = [first]
            while (obstacle := self._obstacle(asked[-1], at)) is not None:
                stand_in = self._stand_in(asked[-1], at)
                if stand_in is None:
                    steps.append(f"{asked[-1]} {obstacle}, and has no stand-in.")
                    break
                if stand_in in asked:
                    steps.append(f"{asked[-1]} {obstacle}; {stand_in} was asked before.")
                    break
                steps.append(f"{asked[-1]} {obstacle}; {stand_in} stands in.")
                asked.append(stand_in)
            else:
                last = asked[-1]
                if last == first:
                    found[last] = Recipient(last, Reason.DIRECT)
                else:
                    found.setdefault(last, Recipient(last, Reason.STAND_IN, first))

    def _obstacle(self, person_id: str, at: int) -> str | None:
        """Why the person cannot be told, in words; None if nothing is in the way."""
        person = self.directory.people.get(person_id)
        if person is None:
            return "is not in the directory"
        if not person.active:
            return "is no longer active"
        away = self._absence(person_id, at)
        if away is not None:
            return f"is away until {iso(away.until)}"
        return None if person.routes else "has no route"

    def _absence(self, person_id: str, at: int) -> _Away | None:
        absences = self._away.get(person_id, ())
        return next((away for away in absences if away.since <= at < away.until), None)

    def _stand_in(self, person_id: str, at: int) -> str | None:
        person = self.directory.people.get(person_id)
        if person is None:
            return None
        away = self._absence(person_id, at)
        return (away and away.stand_in) or person.stand_in

    def roles_of(self, person_id: str, partner_id: str | None, at: int) -> tuple[str, ...]:
        """The roles for a partner in which the person's word counts at an instant.

        Those that they fill, even while away; those of whom they are the named stand-in, even
        while that one is back, since an answer may come just after; and those for which they
        are told now, as a stand-in of a stand-in. Being told as operations gives no role: who
        then wants to own the case takes it over.
        """
        person = self.directory.people.get(person_id)
        if person is None or not person.active:
            return ()
        partner = self._partner(partner_id)
        roles = (*(partner.roles if partner else ()), *self.directory.roles)
        return tuple(
            role
            for role in dict.fromkeys(roles)
            if self._counts_as(role, person_id, partner_id, at)
        )

    def _counts_as(self, role: str, person_id: str, partner_id: str | None, at: int) -> bool:
        for filler in self.people(role, partner_id):
            entry = self.directory.people.get(filler)
            named = entry.stand_in if entry else None
            if person_id in (filler, named, self._stand_in(filler, at)):
                return True
        recipients = self.resolve(role, partner_id, at).recipients
        return any(r.person == person_id and r.reason is Reason.STAND_IN for r in recipients)

    def gaps(
        self,
        tiers: Callable[[str | None], Mapping[str, str]],
        at: int,
        partners: Iterable[str | None] | None = None,
    ) -> Iterator[Gap]:
        """Every partner and escalation tier at which nobody but operations can be told.

        `tiers` gives the ladder of a partner tier: escalation tier to the role that it notifies.
        Without `partners`, all that the directory lists, and None for the others.
        """
        listed = (*self.directory.partners, None) if partners is None else partners
        for partner_id in listed:
            for tier, role in tiers(self.partner_tier(partner_id, at)).items():
                resolution = self.resolve(role, partner_id, at)
                if not resolution.is_staffed:
                    yield Gap(partner_id, tier, resolution)


def _words(role: str) -> str:
    return role.replace("_", " ")


def _zone(calendars: Mapping[str, BusinessCalendar], name: str) -> tzinfo:
    calendar = calendars.get(name) or calendars.get(DEFAULT_CALENDAR)
    return next(iter(calendars.values())).zone if calendar is None else calendar.zone


def _begin(day: date, zone: tzinfo) -> Instant:
    return to_instant(datetime(day.year, day.month, day.day, tzinfo=zone))


def _away(absence: Absence, zone: tzinfo) -> _Away:
    """Days count whole: away from the first's start until the last's end."""
    start, until = absence.start, absence.until
    return _Away(
        to_instant(start) if isinstance(start, datetime) else _begin(start, zone),
        to_instant(until)
        if isinstance(until, datetime)
        else _begin(until + timedelta(days=1), zone),
        absence.stand_in,
    )


def _outside(zone: str, quiet_hours: str) -> BusinessCalendar | None:
    """The hours outside quiet hours, every day; None if there are none left."""
    start, end = (minutes % (24 * 60) for minutes in parse_interval(quiet_hours))
    if start == end:
        return None
    interval = f"{end // 60:02}:{end % 60:02}-{start // 60:02}:{start % 60:02}"
    return BusinessCalendar(zone, {"mon-sun": [interval]})


# --- what a directory must say about itself and the policy ----------------------------------------


def directory_problems(
    directory: Directory,
    calendars: Iterable[str],
    roles: Iterable[str],
    partner_tiers: Iterable[str],
    tiers: Iterable[str] = (),
) -> Iterator[tuple[Path, str]]:
    """Every name in the directory that leads nowhere, and every entry that cannot be meant.

    `calendars`, `roles`, `partner_tiers` and the escalation `tiers` are the names that the policy
    knows. Gives path and message, for `schemas.documents.Document.problem`.
    """
    named = tuple(dict.fromkeys((DEFAULT_CALENDAR, *calendars)))
    check = _Names(tuple(directory.people), named, tuple(roles), tuple(partner_tiers), tuple(tiers))
    for person_id, person in directory.people.items():
        yield from check.person(person_id, person)
    for partner_id, partner in directory.partners.items():
        path: Path = ("partners", partner_id)
        yield from check.tier((*path, "tier"), partner)
        yield from _known((*path, "calendar"), "calendar", partner.calendar, check.calendars)
        yield from check.staff((*path, "roles"), partner.roles)
    yield from check.staff(("roles",), directory.roles)


@dataclass(frozen=True, slots=True)
class _Names:
    """The names that may be used, and the checks that need them."""

    people: tuple[str, ...]
    calendars: tuple[str, ...]
    roles: tuple[str, ...]
    partner_tiers: tuple[str, ...]
    tiers: tuple[str, ...]

    def person(self, person_id: str, person: Person) -> Iterator[tuple[Path, str]]:
        path: Path = ("people", person_id)
        yield from _known((*path, "calendar"), "calendar", person.calendar, self.calendars)
        yield from self._stand_in((*path, "stand_in"), person_id, person.stand_in)
        if person.quiet_hours is not None and _outside("UTC", person.quiet_hours) is None:
            message = "quiet all day: only urgent things would ever arrive; leave some hours"
            yield (*path, "quiet_hours"), message
        for number, route in enumerate(person.routes):
            for n, tier in enumerate(route.tiers):
                yield from _known((*path, "routes", number, "tiers", n), "tier", tier, self.tiers)
        for number, absence in enumerate(person.absences):
            place: Path = (*path, "absences", number)
            yield from self._stand_in((*place, "stand_in"), person_id, absence.stand_in)
            away = _away(absence, UTC)
            if away.until <= away.since:
                message = f"{absence.until} is before {absence.start}, when the absence begins"
                yield (*place, "until"), message

    def _stand_in(
        self, path: Path, person_id: str, stand_in: str | None
    ) -> Iterator[tuple[Path, str]]:
        if stand_in == person_id:
            yield path, f"{person_id} cannot stand in for themselves; name somebody else"
        elif stand_in is not None:
            yield from _known(path, "person", stand_in, self.people)

    def tier(self, path: Path, partner: Partner) -> Iterator[tuple[Path, str]]:
        if isinstance(partner.tier, str):
            yield from _known(path, "partner tier", partner.tier, self.partner_tiers)
            return
        if not partner.tier:
            yield path, f"empty; accepted: {', '.join(self.partner_tiers)}"
        for number, entry in enumerate(partner.tier):
            place = (*path, number, "tier")
            yield from _known(place, "partner tier", entry.tier, self.partner_tiers)
        for number, (before, after) in enumerate(pairwise(partner.tier), 1):
            if after.since <= before.since:
                message = f"{after.since} does not come after {before.since}; list the oldest first"
                yield (*path, number, "since"), message

    def staff(
        self, path: Path, roles: Mapping[str, str | tuple[str, ...]]
    ) -> Iterator[tuple[Path, str]]:
        for role, named in roles.items():
            yield from _known((*path, role), "role", role, self.roles)
            if isinstance(named, str):
                yield from _known((*path, role), "person", named, self.people)
            else:
                for number, person_id in enumerate(named):
                    yield from _known((*path, role, number), "person", person_id, self.people)


def _known(
    path: Path, what: str, name: str, accepted: tuple[str, ...]
) -> Iterator[tuple[Path, str]]:
    if name not in accepted:
        shown = ", ".join(accepted[:20]) + (", ..." if len(accepted) > 20 else "")
        hint = closest(name, accepted)
        yield path, f"there is no {what} {name!r}.{hint} Accepted: {shown or 'none yet'}"
