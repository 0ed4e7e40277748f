"""Subjects, what is due for them, and the occurrences that patterns count."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import cast

from sqlalchemy import (
    JSON,
    Connection,
    Executable,
    Select,
    bindparam,
    delete,
    func,
    literal,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy import cast as type_cast

from rules.decision import WITH_CLOCKS, Kind, Occurrence, SubjectRow
from rules.subjects import case_id, subject_key
from schemas.time import WEEK, Instant
from streams.store import bulk, bulk_postgres
from streams.store.errors import LostRace
from streams.store.queries import Queries, chunks, values
from streams.store.rows import NextDue
from streams.store.tables import (
    Moment,
    clock_owner,
    conflict_case,
    guard,
    instance,
    occurrence,
    subject,
    to_json,
    unposted,
)

# The advisory lock of PostgreSQL that everybody who decides shares: "deciding" in eight letters.
_DECIDING = int.from_bytes(b"deciding")
_COLUMNS = [subject.c[name] for name in bulk.COLUMNS]
#: Subjects that are read at a time where all of a kind are wanted.
_PAGE = 1_000


#: The guard of all disruptions.
DISRUPTIONS = "disruptions"
#: The guard of policy and directory.
DOCUMENTS = "documents"


def partner_guard(partner_id: str) -> str:
    """The guard of a partner's occurrences."""
    return f"partner/{partner_id}"


def value_guard(dimension: str, value: str) -> str:
    """The guard of all partners' occurrences with one value, such as one sku."""
    return f"value/{dimension}/{value}"


# One seek in the index for each kind: a GROUP BY would read everything that waits. Put together
# once, because a deadline tick asks it several times a second.
_EARLIEST = cast(
    "Executable",
    union_all(
        *(
            select(literal(kind.value), func.min(subject.c.feeds_due)).where(
                subject.c.kind == kind.value, subject.c.feeds_due.is_not(None)
            )
            for kind in Kind
        ),
        select(null(), func.min(subject.c.people_due)).where(subject.c.people_due.is_not(None)),
    ),
)


class SubjectQueries(Queries):
    """Statements about subjects and their occurrences."""

    is_alone = False
    """Whether no other transaction that decides is under way; see `enter`."""

    def __init__(self, connection: Connection, *, writes: bool = False) -> None:
        super().__init__(connection, writes=writes)
        self._loaded: dict[str, SubjectRow] = {}
        """What was loaded to be written."""

    def load_subjects(self, keys: Collection[str]) -> dict[str, SubjectRow]:
        """The stored ones of these subjects, by key; any number of keys is fine."""
        if self.is_postgres:
            return bulk_postgres.load(self.connection, keys, lock=self.writes)
        found = bulk.load(self.connection, keys)
        if self.writes:
            self._loaded |= found
        return found

    def subject(self, key: str) -> SubjectRow | None:
        """One subject."""
        return self.load_subjects([key]).get(key)

    def subjects_of_cases(self, case_ids: Iterable[str]) -> dict[str, SubjectRow]:
        """The subjects of these cases, by case id. A case that does not exist is left out."""
        found: dict[str, SubjectRow] = {}
        for piece in chunks(case_ids):
            rows = self.connection.execute(
                select(*_COLUMNS, conflict_case.c.case_id)
                .join(conflict_case, conflict_case.c.subject == subject.c.key)
                .where(conflict_case.c.case_id.in_(piece))
            )
            found |= {row.case_id: bulk.subject_row(row[:-1]) for row in rows}
        return found

    def subjects_of_clocks(self, case_ids: Iterable[str]) -> dict[str, SubjectRow]:
        """Tickets and touchpoints by the id with which their clocks' begin, with a case or not."""
        names: dict[str, str] = {}
        for piece in chunks(case_ids):
            query = select(clock_owner).where(clock_owner.c.case_id.in_(piece))
            names |= {row.subject: row.case_id for row in self.connection.execute(query)}
        return {names[key]: row for key, row in self.load_subjects(names).items()}

    def subjects_that_owe(self, now: Instant) -> set[str]:
        """Keys of subjects with a clock that runs, is paused, or is late with nothing come.

        As the ledger has them, with those that it has not looked at since they changed.
        """
        c = instance.c
        owing = select(c.subject).where(c.entered.in_(("open", "breached")), c.stopped_at.is_(None))
        changed = select(unposted.c.key).where(unposted.c.due <= now)
        return set(self.connection.execute(union_all(owing, changed)).scalars())

    def subjects_of_kind(self, kind: Kind, partner_id: str | None = None) -> Iterator[SubjectRow]:
        """Every subject of a kind, of one partner or of all, in the order of their keys.

        Keys begin with the kind and the partner, so no row of another kind or partner is touched.
        Rows are read a page at a time: however many there are, only a page is held.
        """
        begin = f"{kind}:" if partner_id is None else subject_key(kind, partner_id, "")
        key, end = subject.c.key, begin[:-1] + ";"  # the sign that follows a colon
        since = key >= begin  # a subject without a name has this very key
        while True:
            query = select(*_COLUMNS).where(since, key < end).order_by(key).limit(_PAGE)
            page = self.connection.execute(query).all()
            yield from map(bulk.subject_row, page)
            if len(page) < _PAGE:
                return
            since = key > page[-1].key

    def due_feeds(self, kind: Kind, until: Instant, limit: int) -> list[SubjectRow]:
        """Subjects of a kind whose silence is proven by `until`, the longest due first.

        A transaction that writes takes them: one that another has taken is left out.
        """
        return self._subjects(
            select(*_COLUMNS)
            .where(subject.c.kind == kind, subject.c.feeds_due <= until)
            .order_by(subject.c.feeds_due)
            .limit(limit)
        )

    def due_people(self, until: Instant, limit: int) -> list[SubjectRow]:
        """Subjects that people owe something since `until` or before, the longest due first.

        A transaction that writes takes them: one that another has taken is left out.
        """
        return self._subjects(
            select(*_COLUMNS)
            .where(subject.c.people_due <= until)
            .order_by(subject.c.people_due)
            .limit(limit)
        )

    def next_due(self) -> NextDue:
        """The earliest deadlines in the store."""
        rows = self.connection.execute(_EARLIEST)
        due: dict[str | None, Instant] = {kind: at for kind, at in rows if at is not None}
        feeds = {kind: due[kind] for kind in Kind if kind in due}
        return NextDue(feeds, due.get(None))

    def count_held(self, kind: Kind, after: Instant, until: Instant) -> int:
        """How many subjects of a kind are due after `after` and by `until`."""
        due = subject.c.feeds_due
        query = select(func.count()).where(subject.c.kind == kind, due > after, due <= until)
        return self.connection.execute(query).scalar_one()

    def count_people_due(self, after: Instant, until: Instant) -> int:
        """How many subjects wait for people since after `after` and by `until`."""
        due = subject.c.people_due
        query = select(func.count()).where(due > after, due <= until)
        return self.connection.execute(query).scalar_one()

    def order_starts(
        self, partner_id: str, until: Instant, limit: int
    ) -> list[tuple[str, Instant]]:
        """Key and beginning of a partner's latest orders that began by `until`, newest first."""
        c = subject.c
        first = self.connection.execute(
            select(func.min(c.began_week)).where(c.began_week.is_not(None))
        ).scalar_one()
        found: list[tuple[str, Instant]] = []
        # Most partners have ordered lately: look at a week, then at ever longer spans before it.
        span, last = 1, until // WEEK
        while first is not None and last >= first and len(found) < limit:
            weeks = range(last, max(last - span, first - 1), -1)
            query = (
                select(c.key, c.began_at)
                .where(c.began_week.in_(weeks), c.partner_id == partner_id, c.began_at <= until)
                .order_by(c.began_at.desc(), c.key.desc())
                .limit(limit - len(found))
            )
            found += [(key, began_at) for key, began_at in self.connection.execute(query)]
            span, last = span * 4, last - span
        return found

    def arm_for_policy(self, active_from: Instant) -> int:
        """Wake every subject that waits beyond `active_from` when the new policy begins.

        Returns how many there are.
        """
        # The version moves too: whoever has loaded such a row would write its old deadline back.
        # Every kind is named because the index begins with it.
        return self.connection.execute(
            update(subject)
            .where(subject.c.kind.in_(Kind), subject.c.feeds_due > active_from)
            .values(feeds_due=active_from, version=subject.c.version + 1)
        ).rowcount

    def occurrences(
        self, dimension: str, value: str, partner_id: str | None = None
    ) -> list[Occurrence]:
        """Standing subjects with this category or sku, of one partner or of all, oldest first."""
        query = select(occurrence).where(
            occurrence.c.dimension == dimension, occurrence.c.value == value
        )
        if partner_id is not None:
            query = query.where(occurrence.c.partner_id == partner_id)
        rows = self.connection.execute(query.order_by(occurrence.c.at, occurrence.c.subject))
        return [Occurrence(**row) for row in rows.mappings()]

    def occurrences_since(
        self, dimensions: Collection[str], since: Mapping[str, Instant]
    ) -> list[Occurrence]:
        """Occurrences in some dimensions, those of each partner from an instant of its own on."""
        partners = literal(to_json(since))
        if self.is_postgres:
            pairs = func.json_each_text(type_cast(partners, JSON))
        else:
            pairs = func.json_each(partners)
        each = pairs.table_valued("key", "value")
        query = (
            select(occurrence)
            .select_from(each)
            .join(
                occurrence,
                (occurrence.c.partner_id == each.c.key)
                & occurrence.c.dimension.in_(dimensions)
                & (occurrence.c.at >= type_cast(each.c.value, Moment)),
            )
            .order_by(occurrence.c.at, occurrence.c.subject)
        )
        return [Occurrence(**row) for row in self.connection.execute(query).mappings()]

    def versions(self, guards: Iterable[str]) -> dict[str, int]:
        """How often what each guard stands for has changed; 0 for never.

        Read them before what they guard: then whatever changes afterwards is noticed by `write`.
        """
        found = dict.fromkeys(guards, 0)
        for piece in chunks(found):
            rows = self.connection.execute(select(guard).where(guard.c.name.in_(piece)))
            found |= {row.name: row.version for row in rows}
        return found

    def bump(self, guard_name: str) -> None:
        """Note that what a guard stands for has changed. Raises LostRace when it changes now."""
        self._bump(self.versions([guard_name]))

    def enter(self, *, alone: bool) -> None:
        """Enter the store, first thing in a transaction that decides.

        Those that decide together see each other through the rows that they write. One that looks
        at more than rows can show, such as every case that a disruption may be about, waits until
        it is alone: all others have then ended, and what they wrote is seen.
        """
        self.is_alone = alone or not self.is_postgres  # SQLite lets in one writer at a time
        if self.is_postgres:
            how = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
            self.connection.exec_driver_sql(f"SELECT {how}({_DECIDING})")

    def _write_subjects(self, rows: Sequence[SubjectRow]) -> None:
        statements = bulk_postgres if self.is_postgres else bulk
        statements.insert(self.connection, [row for row in rows if row.version == 0])
        known = [row for row in rows if row.version != 0]
        statements.update(self.connection, known)
        if not self.is_postgres:
            moved = [row for row in known if self._began_at_another_time(row)]
            bulk.update_beginnings(self.connection, moved)
        new = [row.key for row in rows if row.version == 0 and row.kind in WITH_CLOCKS]
        owners = {case_id(key): key for key in new}
        statements.insert_owners(self.connection, owners)

    def _began_at_another_time(self, row: SubjectRow) -> bool:
        """Whether it may have begun at another time than is stored."""
        old = self._loaded.get(row.key)
        return old is None or old.version != row.version or old.began_at != row.began_at

    def _write_occurrences(
        self,
        added: Sequence[Occurrence],
        removed: Sequence[Occurrence],
        expected: Mapping[str, int],
    ) -> None:
        touched = {partner_guard(row.partner_id) for row in (*added, *removed)}
        self._bump(self.versions(touched - expected.keys()) | dict(expected))
        if removed:
            c = occurrence.c
            self.connection.execute(
                delete(occurrence).where(
                    c.dimension == bindparam("_dimension"),
                    c.value == bindparam("_value"),
                    c.partner_id == bindparam("_partner_id"),
                    c.subject == bindparam("_subject"),
                ),
                [{f"_{name}": value for name, value in values(row).items()} for row in removed],
            )
        self.upsert(occurrence, [values(row) for row in added])

    def _bump(self, versions: Mapping[str, int]) -> None:
        # In one order everywhere, so that two transactions never wait for each other.
        known = sorted(versions.items())
        new = [{"name": name, "version": 1} for name, version in known if version == 0]
        old = [{"_name": name, "_version": version} for name, version in known if version]
        moved = 0
        if new:
            moved += self.count(self.insert(guard).on_conflict_do_nothing(), new)
        if old:
            moved += self.count(
                update(guard)
                .where(guard.c.name == bindparam("_name"), guard.c.version == bindparam("_version"))
                .values(version=guard.c.version + 1),
                old,
            )
        if moved != len(known):
            raise LostRace("what was counted in order to decide has changed since")

    def _subjects(self, query: Select[tuple[object, ...]]) -> list[SubjectRow]:
        if self.writes:
            query = query.with_for_update(skip_locked=True)  # SQLite, with its one writer, skips it
        found = [bulk.subject_row(row) for row in self.connection.execute(query)]
        if self.writes:
            self._loaded |= {row.key: row for row in found}
        return found
