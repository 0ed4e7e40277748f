"""The list before a closure: what its owner should see to before a weekend or a holiday.

On the last working day before their calendar is closed, each owner gets one message: messages of
partners that nobody has answered, and what falls due until soon after the reopening. That it was
sent is kept in the store, and its effect has a name of its own: neither a restart nor a second
process repeats it, and a service that was away at the hour catches up on the same day.
"""

from collections.abc import Iterator, Mapping, Sequence

from rules.clocks.clock import Clock
from rules.clocks.subject_clocks import clocks_of
from rules.clocks.touchpoint_clocks import owed_since
from rules.clocks.warning_times import before_closure
from rules.clocks.working_days import Closure, closure_ahead
from rules.decision import Changes, Effect
from rules.effects import report_effect
from rules.recipients import PERSON
from rules.subjects import case_id, read_document, split_key
from rules.world import World
from schemas.fields import parse_clock
from schemas.policy import Metric, Mode
from schemas.time import MINUTE, Instant, local_text, to_datetime
from streams.knowledge import Knowledge
from streams.relay import House
from streams.store import Store, Transaction

#: So many lines are listed, the unanswered first; a longer list is not read.
MOST = 30
_KEY = "closure|"


class ClosureLists:
    """Looks whose list is due. Runs on the writing thread."""

    def __init__(self, store: Store, knowledge: Knowledge) -> None:
        self._store = store
        self._knowledge = knowledge
        self._next_look = Instant(0)

    def look(self, now: Instant) -> int:
        """Queue the list of everybody for whom it is due, once a minute. Returns how many."""
        if now < self._next_look:
            return 0
        self._next_look = Instant(now - now % MINUTE + MINUTE)
        house = self._knowledge.house()
        at = house.policy.clocks.closure_list_at
        if at is None:
            return 0
        days = dict(_days_due(house, parse_clock(at), now))
        if not days:
            return 0
        with self._store.reading() as tx:
            days = {who: day for who, day in days.items() if tx.setting(_KEY + who) != day[0]}
            if not days:
                return 0
            clocks = _clocks_of_owners(tx, self._knowledge, house, now)
        effects = []
        for person, (day, closure) in days.items():
            listed = _list(person, day, closure, clocks.get(person, ()), house, now)
            effects += [] if listed is None else [listed]
        with self._store.transaction() as tx:
            for person, (day, _) in days.items():
                tx.put_setting(_KEY + person, day)
            tx.write(Changes(effects=effects))
        return len(effects)


def _days_due(
    house: House, minutes: int, now: Instant
) -> Iterator[tuple[str, tuple[str, Closure]]]:
    """People for whom it is the hour of the last working day before a closure, with both."""
    for person in house.recipients.directory.people:
        calendar = house.calendar(person)
        if calendar is None:
            continue
        local = to_datetime(now, calendar.zone)
        if local.hour * 60 + local.minute < minutes:
            continue
        closure = closure_ahead(now, calendar)
        # While nobody can read it, it is not used up.
        if closure is not None and house.recipients.resolve(PERSON + person, None, now).is_staffed:
            yield person, (local.date().isoformat(), closure)


def _clocks_of_owners(
    tx: Transaction, knowledge: Knowledge, house: House, now: Instant
) -> Mapping[str, Sequence[Clock]]:
    """Person to the clocks that they hold, by name or as everybody who fills the role."""
    world = World(knowledge.policies, knowledge.recipients)
    rows = tx.load_subjects(tx.subjects_that_owe(now))
    steps = tx.steps_of_cases([case_id(key) for key, row in rows.items() if row.has_case])
    found: dict[str, list[Clock]] = {}
    for key, row in sorted(rows.items()):
        partner_id = split_key(key)[1]
        if partner_id in house.policy.shadow.partners and house.policy.mode is not Mode.SHADOW:
            continue
        document = read_document(row.document)
        mine = steps.get(case_id(key), [])
        for clock in clocks_of(key, document, world, now, steps=mine, since=owed_since(document)):
            known = knowledge.recipients.person(clock.holder)
            people = (
                knowledge.recipients.people(clock.holder, partner_id or None)
                if known is None
                else (clock.holder,)
            )
            for person in people:
                found.setdefault(person, []).append(clock)
    return found


def _list(
    person: str, day: str, closure: Closure, clocks: Sequence[Clock], house: House, now: Instant
) -> Effect | None:
    calendar = house.calendar(person)
    assert calendar is not None, "whose list is due has a calendar"
    soon = house.policy.clocks.due_soon_after_closure
    lists = before_closure(clocks, calendar, now, soon).values()
    unanswered = [clock for found in lists for clock in found.unanswered]
    due = [clock for found in lists for clock in found.due_soon]
    if not unanswered and not due:
        return None
    lines = [f"Unanswered: {_line(clock, house)}" for clock in unanswered]
    lines += [f"Due: {_line(clock, house)}" for clock in due]
    if (more := len(lines) - MOST) > 0:
        lines = [*lines[:MOST], f"... and {more} more"]
    reopens = local_text(closure.reopens_at, calendar.zone)
    return report_effect(
        f"{_KEY}{person}|{day}",
        PERSON + person,
        now,
        f"Closed until {reopens}: {len(unanswered)} unanswered, {len(due)} due by {soon} after",
        why=lines,
        subject="what you hold; all of it: `detente sla`",
    )


def _line(clock: Clock, house: House) -> str:
    kind, partner_id, name = split_key(clock.subject)
    partner = house.partner_name(partner_id) or partner_id
    metric = clock.metric.replace("touchpoint:", "").replace("_", " ")
    due = clock.due if clock.breached_at is None else clock.breached_at
    said = f"{partner}, {f'{kind} {name}'.strip()}: {metric}"
    if due is not None:
        late = "was due" if clock.breached_at is not None else "due"
        said += f", {late} {local_text(due, clock.calendar.zone)}"
    if clock.metric == Metric.FIRST_RESPONSE and clock.asked_again:
        times = len(clock.asked_again)
        said += ", partner asked again" + (f" {times} times" if times > 1 else "")
    return said
