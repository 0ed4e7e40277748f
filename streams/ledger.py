"""Keeping the ledger of commitments in step with the subjects.

What was said of a subject since it was posted is noted in the transaction that stores it, so
nothing is missed after a crash; what time alone brings is noted when the subject is posted. Posting
goes in small transactions, one at a time in the database: the service does it as it goes, and
whoever needs the figures does what is left.
"""

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from rules.decision import Kind, SubjectRow
from rules.ledger import Posting, post
from rules.orders import effective_at
from rules.policy import CompiledPolicy
from rules.subjects import Document, case_id, read_document, split_key
from rules.world import World
from schemas.directory import Directory
from schemas.documents import read_document as read_yaml
from schemas.time import Instant
from streams.store import Store, Transaction

#: Subjects that are posted in one transaction: what others may have to wait for.
BATCH = 200

_FOLLOWED = "ledger"
"""Setting of the store: what the ledger was posted with, so that a change shows."""
_NOTHING = Document([], {}, [])


def reporting_zone(policy: CompiledPolicy) -> ZoneInfo:
    """The zone of the weeks and months of reports."""
    named = policy.document.reporting.timezone
    return policy.default_calendar.zone if named is None else ZoneInfo(named)


class Ledger:
    """Posts subjects with the policies and the directory of `world`."""

    def __init__(self, store: Store, world: World) -> None:
        self.zone = reporting_zone(world.policies.newest)
        self._store = store
        self._world = world
        self._print = _fingerprint(world, self.zone)
        self._listed: dict[str, Instant] | None = None

    def rebuild(self) -> None:
        """Forget all that was posted; the next posting starts anew."""
        with self._store.transaction() as tx:
            tx.begin_posting()
            self._start_anew(tx)

    def post_all(self, now: Instant) -> Iterator[int]:
        """Post until nothing waits; gives how many subjects each transaction posted."""
        while posted := self.post_some(now):
            yield posted

    def post_some(self, now: Instant, limit: int = BATCH) -> int:
        """Post some of the subjects that wait. Returns how many; 0 when none does."""
        with self._store.reading() as tx:
            if tx.setting(_FOLLOWED) == self._print and not tx.count_unposted(now):
                return 0  # nothing to write: do not make others wait for a transaction
        with self._store.transaction() as tx:
            tx.begin_posting()
            self._follow(tx)
            rows = tx.take_unposted(now, limit)
            tx.write_postings(self._postings(tx, rows, now), self.zone)
        return len(rows)

    def waiting(self, now: Instant) -> int:
        """How many subjects wait to be posted."""
        with self._store.transaction() as tx:
            tx.begin_posting()
            self._follow(tx)
            return tx.count_unposted(now)

    # -- what it follows -----------------------------------------------------------------------

    def _follow(self, tx: Transaction) -> None:
        """See to it that what other terms or another directory change is posted again."""
        known = tx.setting(_FOLLOWED)
        if known == self._print:
            return
        mine = json.loads(self._print)
        theirs = {} if known is None else json.loads(known)
        if theirs.get("zone") != mine["zone"]:
            self._start_anew(tx)
        elif theirs.get("terms") != mine["terms"]:
            tx.note_all_unposted()
            for partner_id in mine["partners"]:
                tx.note_partner_unposted(partner_id)
        else:
            before, after = theirs["partners"], mine["partners"]
            for partner_id in sorted({*before, *after}):
                if before.get(partner_id) != after.get(partner_id):
                    tx.note_partner_unposted(partner_id)
        tx.put_setting(_FOLLOWED, self._print)

    def _start_anew(self, tx: Transaction) -> None:
        tx.clear_ledger()
        tx.note_all_unposted()
        for partner_id in self._world.recipients.directory.partners:
            tx.note_partner_unposted(partner_id)
        tx.put_setting(_FOLLOWED, self._print)

    # -- posting -------------------------------------------------------------------------------

    def _postings(
        self, tx: Transaction, rows: dict[str, SubjectRow | None], now: Instant
    ) -> dict[str, Posting]:
        named = {case_id(key): key for key in rows}
        cases = tx.cases(named)
        told = [name for name, case in cases.items() if not case.shadow]
        steps = {named[name]: found for name, found in tx.steps_of_cases(told).items()}
        postings = {}
        for key, row in rows.items():
            document = _NOTHING if row is None else read_document(row.document)
            since = None
            if key.startswith(f"{Kind.TOUCHPOINTS}:"):
                since = self._owed_since(tx, key, document)
                if since is None or since > now:
                    postings[key] = Posting((), (), since)
                    continue
            postings[key] = post(
                key, document, self._world, now, steps=steps.get(key, ()), since=since
            )
        return postings

    def _owed_since(self, tx: Transaction, key: str, document: Document) -> Instant | None:
        """Since when touchpoints are owed, as `detente.clock_lists` has it."""
        if self._listed is None:
            self._listed = first_listed(tx, self._world)
        _, partner_id, _ = split_key(key)
        zone = self._world.zone(partner_id)
        times = [effective_at(c, zone) for c in document.contributions]
        known = (document.since, self._listed.get(partner_id))
        times += [at for at in known if at is not None]
        return Instant(min(times)) if times else None


def first_listed(tx: Transaction, world: World) -> dict[str, Instant]:
    """Partners of today's directory to when a version of it first named them."""
    wanted = set(world.recipients.directory.partners)
    found: dict[str, Instant] = {}
    for version in tx.directories():
        if wanted <= found.keys():
            break
        if not version.recorded_at:
            continue  # of a replay, which does not know when anybody began to watch
        partners = read_yaml(version.body, "directory", Directory).value.partners
        for name in wanted & partners.keys():
            found.setdefault(name, version.recorded_at)
    return found


def _fingerprint(world: World, zone: ZoneInfo) -> str:
    """What clocks follow from besides their subjects, as text that is equal when it is the same.

    Of the directory, what says when somebody is owed something: tiers, calendars, who fills roles.
    """
    directory = world.recipients.directory
    everybody = {
        "policies": [(start, policy.hash) for start, policy in world.policies.versions],
        "calendars": {name: person.calendar for name, person in directory.people.items()},
        "roles": directory.roles,
    }
    partners = {
        name: _hash(partner.model_dump(mode="json", include={"tier", "calendar", "roles"}))
        for name, partner in directory.partners.items()
    }
    return json.dumps(
        {"zone": zone.key, "terms": _hash(everybody), "partners": partners}, sort_keys=True
    )


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return blake2b(text.encode(), digest_size=8).hexdigest()
