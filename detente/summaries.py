"""The daily summary: what is on watch for an account manager's partners, once each working day.

A watch is below the tiers: it has no clock and alerts nobody. So that it is seen all the same,
each account manager gets one message that lists what came on watch since the last summary, and
what was there before. When it was last due is kept in the store: a restart repeats none, and a
service that was away at the hour catches up on the same day.
"""

from collections.abc import Callable, Sequence

from rules.decision import CaseRow, Changes, Effect, State
from rules.effects import report_effect
from rules.recipients import PERSON, Recipients
from schemas.fields import parse_clock
from schemas.policy import Mode, Policy
from schemas.time import MINUTE, Instant, end_of_day, to_datetime, to_instant
from streams.relay import House
from streams.store import Store, Transaction

#: The role that reads it.
READER = "account_manager"
#: So many watches are listed, the new ones first; a longer list is not read.
MOST = 30
_KEY = "summary|"


class Summaries:
    """Looks whose summary is due. Runs on the writing thread."""

    def __init__(self, store: Store, house: Callable[[], House]) -> None:
        self._store = store
        self._house = house
        self._next_look = Instant(0)

    def look(self, now: Instant) -> int:
        """Queue the summary of everybody for whom it is due, once a minute. Returns how many."""
        if now < self._next_look:
            return 0
        self._next_look = Instant(now - now % MINUTE + MINUTE)
        house = self._house()
        if house.policy.summary is None:
            return 0
        minutes = parse_clock(house.policy.summary.at)
        days = {
            person: day
            for person in _readers(house.recipients)
            if (day := _day_due(person, minutes, house, now)) is not None
        }
        if not days:
            return 0
        with self._store.reading() as tx:
            due = {
                person: (day, last)
                for person, day in days.items()
                if (last := _last(tx, person))[0] != day
            }
        return self._queue(due, house, now) if due else 0

    def _queue(
        self, due: dict[str, tuple[str, tuple[str, Instant]]], house: House, now: Instant
    ) -> int:
        effects: list[Effect] = []
        with self._store.transaction() as tx:
            watches: dict[str, list[CaseRow]] = {person: [] for person in due}
            for case in tx.list_cases(states=[State.WATCH]):
                if _is_shadow(case, house.policy):
                    continue
                for person in house.recipients.people(READER, case.partner_id or None):
                    if person in watches:
                        watches[person].append(case)
            for person, (day, (_, since)) in due.items():
                tx.put_setting(_KEY + person, f"{day} {now}")
                if watches[person]:
                    fresh = tx.watched_since(since)
                    effects.append(_summary(person, day, watches[person], fresh, house, now))
            tx.write(Changes(effects=effects))
        return len(effects)


def _readers(recipients: Recipients) -> dict[str, None]:
    """Everybody who is account manager of some partner."""
    partners = (*recipients.directory.partners, None)
    return {who: None for partner in partners for who in recipients.people(READER, partner)}


def _day_due(person: str, minutes: int, house: House, now: Instant) -> str | None:
    """The working day whose summary is due for a person, as they have it; None if none is."""
    calendar = house.calendar(person)
    if calendar is None:
        return None
    local = to_datetime(now, calendar.zone)
    if local.hour * 60 + local.minute < minutes:
        return None
    midnight = to_instant(local.replace(hour=0, minute=0, second=0, microsecond=0))
    if calendar.next_open_us(midnight) >= end_of_day(local.date(), calendar.zone):
        return None
    # While nobody can read it, it is not used up.
    staffed = house.recipients.resolve(PERSON + person, None, now).is_staffed
    return local.date().isoformat() if staffed else None


def _last(tx: Transaction, person: str) -> tuple[str, Instant]:
    """Day and instant of a person's last summary."""
    day, _, at = (tx.setting(_KEY + person) or " 0").partition(" ")
    return day, Instant(int(at))


def _is_shadow(case: CaseRow, policy: Policy) -> bool:
    """Whether a watch is in shadow, though the house is not: then it is told to nobody.

    With the whole house in shadow the relay tells the redirect target.
    """
    if policy.mode is Mode.SHADOW:
        return False
    quiet = {rule.name for rule in policy.rules if rule.mode is Mode.SHADOW}
    is_quiet = bool(case.rules) and set(case.rules) <= quiet
    return is_quiet or case.partner_id in policy.shadow.partners


def _summary(
    person: str,
    day: str,
    watches: Sequence[CaseRow],
    fresh: set[str],
    house: House,
    now: Instant,
) -> Effect:
    new = [case for case in watches if case.case_id in fresh]
    standing = [case for case in watches if case.case_id not in fresh]
    lines = [f"New: {_line(case, house)}" for case in reversed(new)]
    lines += [_line(case, house) for case in reversed(standing)]
    if (more := len(lines) - MOST) > 0:
        lines = [*lines[:MOST], f"... and {more} more"]
    step = f"{_KEY}{person}|{day}"
    return report_effect(
        step,
        PERSON + person,
        now,
        f"On watch: {len(new)} new, {len(standing)} from before",
        why=lines,
        # Said here as well: a channel may show fewer lines than there are.
        subject="what is below the tiers; all of it: `detente cases --state watch`",
    )


def _line(case: CaseRow, house: House) -> str:
    headline = house.headline(case.headline, case.partner_id)
    if case.partner_id and not case.headline.startswith(case.partner_id):
        headline = f"{house.partner_name(case.partner_id) or case.partner_id}: {headline}"
    return f"{headline} ({case.case_id})"
