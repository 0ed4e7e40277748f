"""The desk at which commands look at cases: the store, who is who, and what time it is.

Reading needs no service and disturbs none: every command sees the store as it is at one moment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from detente.documents import Knowledge, stored_knowledge
from detente.embedded import wall_clock
from detente.output import RefusedError
from detente.settings import Settings, read_settings
from rules.calendars import BusinessCalendar
from rules.decision import CaseRow, Kind, State, StepRow
from rules.effects import STAND_IN
from rules.patterns import read_pattern_key
from rules.subjects import case_id_meant, split_key
from schemas.policy import Policy
from schemas.time import SECOND, Instant, iso
from streams.feeds import learn
from streams.horizon import LAST_ALIVE, FeedWatch, time_in
from streams.store import Store, Transaction
from streams.store.engines import database_file, parse_url

#: A service that has not said for so long that it lives, in microseconds, runs no more.
_SIGN_OF_LIFE = 15 * SECOND
#: How many cases are named when a beginning fits several.
_NAMED = 10


def now() -> Instant:
    """The time: the clock's, or that of whoever runs the command in the same process."""
    context = click.get_current_context(silent=True)
    clock = None if context is None else context.find_root().obj
    return Instant(clock()) if callable(clock) else wall_clock()


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command looks at, at one moment."""

    store: Store
    settings: Settings
    knowledge: Knowledge
    now: Instant

    # -- names ---------------------------------------------------------------------------------

    def person(self, person_id: str) -> str:
        """What people call somebody."""
        return self.knowledge.recipients.name(person_id)

    def said(self, step: StepRow) -> str:
        """What a step says, in names."""
        summary = str(step.receipt.get("summary") or "")
        return self.knowledge.recipients.in_names(summary, step.actor)

    def calendar(self, partner_id: str) -> BusinessCalendar:
        """The calendar of a partner."""
        name = self.knowledge.recipients.calendar_of(partner_id)
        return self.knowledge.policy.calendar(name)

    def role(self, case: CaseRow) -> str | None:
        """The role that the case's tier asks; None for a watch."""
        ladder = self.knowledge.policy.ladder(case.partner_tier)
        found = next((step.document.notify for step in ladder if step.tier == case.tier), None)
        return None if found is None else words(found)

    def people(self, role: str, partner_id: str | None, at: int) -> tuple[str, ...]:
        """Names of whoever a role means at an instant; `role:stand_in` means their stand-ins."""
        recipients = self.knowledge.recipients
        plain = role.removesuffix(STAND_IN)
        if plain == role:
            return tuple(map(self.person, recipients.resolve(role, partner_id, at).people))
        known = map(recipients.person, recipients.people(plain, partner_id))
        stand_ins = dict.fromkeys(p.stand_in for p in known if p is not None and p.stand_in)
        return tuple(map(self.person, stand_ins))


@contextmanager
def open_desk(db: str | None) -> Iterator[Desk]:
    """Open the store that the settings name.

    Raises RefusedError when there is none, SettingsError, DocumentError or StoreError.
    """
    settings = read_settings({"db": db})
    file = database_file(parse_url(settings.db))
    if file is not None and not file.exists():
        raise RefusedError(
            f"there is no database at {file}; `detente serve` makes one, and --db names another"
        )
    with Store.open(settings.db, create=False) as store:
        with store.reading() as tx:
            knowledge = stored_knowledge(tx)
            at = time_in(tx, now())
        yield Desk(store, settings, knowledge, at)


def find_case(tx: Transaction, text: str) -> CaseRow:
    """The case that a person means: its id, or a beginning that only one has. `C-` may be left out.

    Raises RefusedError when there is none, or more than one.
    """
    meant = case_id_meant(text)
    if meant is None:
        raise RefusedError(
            f"{text!r} is not the id of a case; `detente cases` lists them, and "
            "`detente explain --order PARTNER ORDER` tells of an order"
        )
    found = tx.find_cases(meant, _NAMED + 1)
    if len(found) == 1:
        return found[0]
    if not found:
        raise RefusedError(f"there is no case {meant}; `detente cases --all` lists every one")
    named = ", ".join(case.case_id for case in found[:_NAMED])
    more = " ..." if len(found) > _NAMED else ""
    raise RefusedError(f"several cases begin with {meant}: {named}{more}; write more of it")


def find_cases(tx: Transaction, texts: tuple[str, ...]) -> list[CaseRow]:
    """The cases that are meant, each once. Raises RefusedError as `find_case` does."""
    return list({case.case_id: case for case in (find_case(tx, text) for text in texts)}.values())


def words(name: str) -> str:
    """A role, a state or a fact as people say it."""
    return name.replace("_", " ")


def subject_words(key: str) -> str:
    """A subject for people: `order PO-17`."""
    kind, _, name = split_key(key)
    if kind is Kind.PATTERN:
        pattern = read_pattern_key(key)
        return f"pattern of {pattern.by} {pattern.value}"
    return f"{kind} {name}".strip()


def moment(instant: int | None) -> str | None:
    """An instant for `--json`: RFC 3339, UTC."""
    return None if instant is None else iso(instant)


def case_document(case: CaseRow) -> dict[str, Any]:
    """A case for `--json`."""
    kind, _, name = split_key(case.subject)
    return {
        "case": case.case_id,
        "headline": case.headline,
        "partner": case.partner_id or None,
        "partner_tier": case.partner_tier,
        "subject": {"kind": str(kind), "name": name, "key": case.subject},
        "state": str(case.state),
        "tier": case.tier,
        "highest_tier": case.highest_tier,
        "owner": case.owner,
        "disputed": case.disputed,
        "shadow": case.shadow,
        "attached_to": case.parent,
        "rules": list(case.rules),
        "opened_at": moment(case.opened_at),
        "changed_at": moment(case.changed_at),
        "due": moment(case.due),
        "waits_for": case.waits_for,
    }


#: How a state is written on the command line.
STATES = {state.name.lower(): state for state in State}


def feed_watch(tx: Transaction, policy: Policy) -> FeedWatch:
    """The sources as the service sees them, read from the store."""
    watch = FeedWatch(policy)
    learn(watch, tx)
    return watch


def is_served(tx: Transaction, at: int) -> bool:
    """Whether a service runs on this store; it says so every few seconds."""
    alive = tx.setting(LAST_ALIVE)
    return alive is not None and at - int(alive) < _SIGN_OF_LIFE
