"""The ledger of commitments: posting to it, and what reports ask of it.

Posting is one transaction at a time in the whole database. Whoever decides only notes which
subjects have changed; nobody who decides waits for a report.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    text,
)

from rules.clocks.clock import US, Downgrade
from rules.decision import WITH_CLOCKS, Kind, StepKind, StepRow, SubjectRow
from rules.digest.material import Cell
from rules.ledger import Entered, Escalation, Instance, Pause, Posting, day_of
from rules.subjects import subject_key
from schemas.time import Instant
from streams.store import bulk, bulk_postgres
from streams.store.queries import Queries, chunks, values
from streams.store.tables import (
    conflict_case,
    daily,
    daily_events,
    daily_open,
    downgrade,
    escalation,
    instance,
    kept,
    pause,
    step,
    subject,
    unposted,
)

# The advisory lock of PostgreSQL that whoever posts holds: "posting" in seven letters.
_POSTING = int.from_bytes(b"posting")

# One that is noted already is left as it is: SQLite writes a row anew even to what it was.
_NOTED = "ON CONFLICT (key) DO UPDATE SET due = 0 WHERE unposted.due <> 0"
_NOTE = f"INSERT INTO unposted (key, due) VALUES (?, 0) {_NOTED}"  # noqa: S608 - from above
_NOTE_MANY = f"""
INSERT INTO unposted (key, due) SELECT key, 0 FROM unnest(%b::text[]) AS new (key) {_NOTED}
"""  # noqa: S608 - as above
_NAME = ("subject", "metric", "cycle")
_CELL = ("partner_id", "partner_tier", "metric", "escalation_tier", "promised_for", "entered")
_SPENT = (
    "SELECT partner_tier, escalation_tier, spent FROM instance "
    "WHERE metric = ? AND stopped_at > ? AND stopped_at <= ? AND spent IS NOT NULL"
)
_COLUMNS = tuple(column.name for column in instance.columns)
_UPSERT = (
    f"INSERT INTO instance ({', '.join(_COLUMNS)}) VALUES (",  # noqa: S608 - names of columns
    f") ON CONFLICT ({', '.join(_NAME)}) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _NAME),
)
_ADD = {
    table.name: f"INSERT INTO {table.name} ({', '.join(table.columns.keys())}) "  # noqa: S608 - names
    f"VALUES ({', '.join('?' * len(table.columns))}) "
    f"ON CONFLICT ({', '.join(table.primary_key.columns.keys())}) "
    f"DO UPDATE SET n = {table.name}.n + excluded.n"
    for table in (daily, daily_open, daily_events)
}
# Written out: SQLite uses an index of some rows only where the query itself names which.
_OPEN = text("entered = 'open'")
_LATE = text("entered IN ('open', 'breached')")
_EXCUSED = text("entered = 'excused'")
_LEDGER = (instance, pause, downgrade, escalation, daily, daily_open, unposted)


class LedgerQueries(Queries):
    """Statements about the ledger."""

    # -- posting -------------------------------------------------------------------------------

    def note_unposted(self, keys: Iterable[str]) -> None:
        """Note that the ledger must look at these subjects again."""
        names = sorted(set(keys))  # in one order everywhere, so that nobody waits crosswise
        if not names:
            return
        if self.is_postgres:
            self.connection.exec_driver_sql(_NOTE_MANY, (names,))
        else:
            self.connection.exec_driver_sql(_NOTE, [(key,) for key in names])

    def note_changed(self, rows: Iterable[SubjectRow]) -> None:
        """Note those of the subjects that have clocks; plain orders have none."""
        self.note_unposted(row.key for row in rows if row.has_case or row.kind in WITH_CLOCKS)

    def note_partner_unposted(self, partner_id: str) -> None:
        """Note everything of a partner that has clocks, or may get some by time alone."""
        keys = [subject_key(Kind.TOUCHPOINTS, partner_id, "")]
        begin = subject_key(Kind.TICKET, partner_id, "")
        tickets = select(subject.c.key).where(
            subject.c.key >= begin, subject.c.key < begin[:-1] + ";"
        )
        cases = select(conflict_case.c.subject).where(conflict_case.c.partner_id == partner_id)
        for query in (tickets, cases):
            keys += self.connection.execute(query).scalars()
        self.note_unposted(keys)

    def note_all_unposted(self) -> None:
        """Note every subject that has clocks."""
        queries = [select(conflict_case.c.subject)]
        for kind in WITH_CLOCKS:
            within = (subject.c.key >= f"{kind}:", subject.c.key < f"{kind};")
            queries.append(select(subject.c.key).where(*within))
        for query in queries:
            self.note_unposted(self.connection.execute(query).scalars())

    def clear_ledger(self) -> None:
        """Forget everything that was posted; it follows from the subjects."""
        for table in _LEDGER:
            self.connection.execute(delete(table))

    def begin_posting(self) -> None:
        """Be the only one who posts until the transaction ends."""
        if self.is_postgres:
            self.connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTING})")

    def take_unposted(self, now: Instant, limit: int) -> dict[str, SubjectRow | None]:
        """Some subjects to be posted now; None for one of which nothing is stored.

        One that somebody is deciding about is left for later.
        """
        query = (
            select(unposted.c.key)
            .where(unposted.c.due <= now)
            .order_by(unposted.c.due, unposted.c.key)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        keys = list(self.connection.execute(query).scalars())
        load = bulk_postgres.load if self.is_postgres else bulk.load
        # Not locked: whoever has one of them to write notes it again when this has ended.
        found = load(self.connection, keys)
        return {key: found.get(key) for key in keys}

    def count_unposted(self, now: Instant) -> int:
        """How many subjects wait to be posted."""
        query = select(func.count()).select_from(unposted).where(unposted.c.due <= now)
        return self.connection.execute(query).scalar_one()

    def count_instances(self) -> int:
        """How many instances the ledger holds."""
        return self.connection.execute(select(func.count()).select_from(instance)).scalar_one()

    def write_postings(self, postings: Mapping[str, Posting], zone: ZoneInfo) -> None:
        """Put what is true now in the place of what was posted, and keep the days in step.

        `zone` says where days begin and end.
        """
        keys = list(postings)
        before = {row_name(row): row for row in self.instances_of(keys)}
        after = {row_name(row): row for p in postings.values() for row in p.instances}
        gone = [before[name] for name in before if before[name] != after.get(name)]
        come = [after[name] for name in after if after[name] != before.get(name)]
        self._replace_instances(gone, come)
        self._add_days(gone, come, zone)
        self._replace_escalations(postings)
        for piece in chunks(keys):
            self.connection.execute(delete(unposted).where(unposted.c.key.in_(piece)))
        ahead = [
            {"key": key, "due": posting.look_again_at}
            for key, posting in postings.items()
            if posting.look_again_at is not None
        ]
        self.insert_new(unposted, ahead)

    def _replace_instances(self, gone: list[Instance], come: list[Instance]) -> None:
        kept = {row_name(row) for row in come}
        old = [dict(zip(_NAME, row_name(row), strict=True)) for row in gone]
        for table, names in (
            (pause, old),
            (downgrade, old),
            (instance, [row for row in old if tuple(row.values()) not in kept]),
        ):
            if names:
                self.connection.execute(_delete_by_name(table), _bound(names))
        if come:
            # To the driver as it is: SQLAlchemy's handling of so many values costs more than
            # the database does.
            marks = ", ".join(["%s" if self.is_postgres else "?"] * len(_COLUMNS))
            statement = f"{_UPSERT[0]}{marks}{_UPSERT[1]}"
            self.connection.exec_driver_sql(statement, [_values(row) for row in come])
        self.insert_new(pause, [named for row in come for named in _parts(row, row.pauses)])
        lowered = [named for row in come for named in _parts(row, row.downgrades)]
        self.insert_new(downgrade, lowered)

    def _replace_escalations(self, postings: Mapping[str, Posting]) -> None:
        c = escalation.c
        for piece in chunks(postings):
            before: dict[str, list[Escalation]] = {key: [] for key in piece}
            query = select(escalation).where(c.subject.in_(piece)).order_by(c.subject, c.n)
            for row in self.connection.execute(query).mappings():
                before[row["subject"]].append(Escalation(**row))
            changed = [key for key in piece if before[key] != list(postings[key].escalations)]
            if changed:
                self.connection.execute(delete(escalation).where(c.subject.in_(changed)))
                new = [values(row) for key in changed for row in postings[key].escalations]
                self.insert_new(escalation, new)

    def _add_days(self, gone: list[Instance], come: list[Instance], zone: ZoneInfo) -> None:
        fallen: Counter[tuple[Any, ...]] = Counter()
        opened: Counter[tuple[Any, ...]] = Counter()
        for rows, sign in ((gone, -1), (come, 1)):
            for row in rows:
                group = (row.partner_tier, row.metric, row.escalation_tier)
                if row.falls_at is not None:
                    day = day_of(row.falls_at, zone)
                    for number in (day.toordinal(), _month(day)):
                        cell = (*group, row.promised_for, str(row.entered))
                        fallen[(number, row.partner_id, *cell)] += sign
                opened[(day_of(row.started_at, zone).toordinal(), *group)] += sign
                if row.left_at is not None:
                    opened[(day_of(row.left_at, zone).toordinal(), *group)] -= sign
        self._add(daily, fallen)
        self._add(daily_open, opened)

    def add_daily_events(self, counts: Mapping[tuple[int, str, str], int]) -> None:
        """Count events by day (an ordinal), source and type."""
        self._add(daily_events, Counter(counts))

    def _add(self, table: Table, counts: Counter[tuple[Any, ...]]) -> None:
        # In one order everywhere, so that nobody waits crosswise. To the driver as it is: every
        # batch of events counts its days.
        rows = [(*cell, n) for cell, n in sorted(counts.items()) if n]
        if rows:
            mark = "%s" if self.is_postgres else "?"
            self.connection.exec_driver_sql(_ADD[table.name].replace("?", mark), rows)

    # -- rows ----------------------------------------------------------------------------------

    def instances_of(self, keys: Collection[str]) -> list[Instance]:
        """Everything posted of these subjects."""
        found: list[Instance] = []
        for piece in chunks(keys):
            found += self._instances(instance.c.subject.in_(piece))
        return found

    def instances_falling(
        self, after: int, until: int, partner_id: str | None = None
    ) -> list[Instance]:
        """Instances whose effective deadline lies after `after`, up to `until`; by their names."""
        c = instance.c
        where = [c.falls_at > after, c.falls_at <= until]
        if partner_id is not None:
            where.append(c.partner_id == partner_id)
        return self._instances(*where)

    def excuses_by_actor(self, after: int, until: int) -> dict[str, tuple[int, int]]:
        """Who excused instances of a period to (how many, of those that they held themselves)."""
        c = instance.c
        own = func.sum(case((c.excused_by_holder, 1), else_=0))
        query = (
            select(c.excused_by, func.count(), own)
            .where(_EXCUSED, c.falls_at > after, c.falls_at <= until)
            .group_by(c.excused_by)
        )
        return {actor: (n, int(mine)) for actor, n, mine in self.connection.execute(query)}

    def latest_breaches(self, after: int, until: int, limit: int) -> list[Instance]:
        """Promises to partners that a period saw broken, those that were late longest first."""
        c = instance.c
        names = [c[name] for name in _NAME]
        # As of the period's end, so that the list says the same whenever it is asked for.
        ended = func.coalesce(_least(self, c.stopped_at, until), until)
        query = (
            select(*names)
            .where(
                _LATE,
                c.falls_at > after,
                c.falls_at <= until,
                c.escalation_tier == "",
                c.owed_by == US,
            )
            .order_by((ended - c.falls_at).desc(), *names)
            .limit(limit)
        )
        wanted = [tuple(row) for row in self.connection.execute(query)]
        found = {row_name(row): row for row in self.instances_of({name[0] for name in wanted})}
        return [found[name] for name in wanted]

    def paused_at(self, at: int) -> list[Instance]:
        """Instances that stood paused at an instant, with their pauses."""
        p = pause.c
        query = (
            select(p.subject, p.metric, p.cycle).where(_lasted(at), p.started_at <= at).distinct()
        )
        names = [tuple(row) for row in self.connection.execute(query)]
        found = self.instances_of({name[0] for name in names})
        wanted = set(names)
        return [
            row
            for row in found
            if row_name(row) in wanted
            and row.entered is not Entered.NEVER_RAN
            and (row.left_at is None or row.left_at > at)
        ]

    def stopped_between(self, metric: str, after: int, until: int) -> list[Instance]:
        """Instances of a metric that were done in a period, in time or late."""
        c = instance.c
        return self._instances(
            c.metric == metric, c.stopped_at > after, c.stopped_at <= until, c.spent.is_not(None)
        )

    def going_on(self, metric: str, at: int) -> list[Instance]:
        """Instances of a metric that had not stopped at an instant, late ones included."""
        c = instance.c
        return self._instances(
            c.metric == metric,
            or_(c.stopped_at.is_(None), c.stopped_at > at),
            c.started_at <= at,
            c.entered.not_in((Entered.CANCELLED, Entered.NEVER_RAN)),
        )

    def pauses_between(self, after: int, until: int) -> list[tuple[Instance, Pause]]:
        """Pauses that ended in a period or lasted at its end, with what they paused."""
        p = pause.c
        query = select(p.subject).where(_lasted(after), p.started_at <= until).distinct()
        found = self.instances_of(set(self.connection.execute(query).scalars()))
        return [
            (row, stop)
            for row in found
            for stop in row.pauses
            if stop.started_at <= until and (stop.ended_at is None or stop.ended_at > after)
        ]

    def downgrades_between(self, after: int, until: int) -> list[tuple[Instance, Downgrade]]:
        """Downgrades of a period, with what they gave more time."""
        d = downgrade.c
        query = select(d.subject).where(d.at > after, d.at <= until).distinct()
        found = self.instances_of(set(self.connection.execute(query).scalars()))
        return [(row, word) for row in found for word in row.downgrades if after < word.at <= until]

    def open_at(self, at: int) -> list[Instance]:
        """Instances that were open at an instant: neither over nor late."""
        c = instance.c
        return self._instances(c.started_at <= at, or_(c.left_at.is_(None), c.left_at > at))

    def _instances(
        self,
        *where: ColumnElement[bool],
        order: Iterable[Any] = (),
        limit: int | None = None,
    ) -> list[Instance]:
        ordered = tuple(order) or tuple(instance.c[name] for name in _NAME)
        query = select(instance).where(*where).order_by(*ordered).limit(limit)
        found = [_instance(row) for row in self.connection.execute(query).mappings()]
        pauses: dict[tuple[str, str, str], list[Pause]] = {}
        lowered: dict[tuple[str, str, str], list[Downgrade]] = {}
        for piece in chunks(row.subject for row in found):
            p = pause.c
            stops = select(pause).where(p.subject.in_(piece)).order_by(p.subject, p.n)
            for row in self.connection.execute(stops):
                pauses.setdefault((row.subject, row.metric, row.cycle), []).append(
                    Pause(row.started_at, row.ended_at, row.reason, row.actor, row.counted)
                )
            d = downgrade.c
            words = select(downgrade).where(d.subject.in_(piece)).order_by(d.subject, d.n)
            for row in self.connection.execute(words):
                lowered.setdefault((row.subject, row.metric, row.cycle), []).append(
                    Downgrade(row.at, row.actor, row.agreed_by)
                )
        if not pauses and not lowered:
            return found
        return [
            replace(
                row,
                pauses=tuple(pauses.get(row_name(row), ())),
                downgrades=tuple(lowered.get(row_name(row), ())),
            )
            for row in found
        ]

    def escalations_lasting(self, after: int, until: int) -> list[Escalation]:
        """Escalations that lasted at some time after `after`, up to `until`, the oldest first."""
        c = escalation.c
        query = (
            select(*(c[name] for name in Escalation.__slots__))
            .where(or_(c.ended_at.is_(None), c.ended_at > after), c.asked_at <= until)
            .order_by(c.asked_at, c.subject, c.n)
        )
        return [Escalation(*row) for row in self.connection.execute(query)]

    def _counted(self, query: Select[Any]) -> Counter[Any]:
        """Groups to how many; a day that things came to and went from has none of them."""
        rows = self.connection.execute(query)
        return Counter({tuple(row[:-1]): int(row[-1]) for row in rows if row[-1]})

    def openings(self, after: int, until: int) -> Counter[tuple[str, str]]:
        """(partner, rules) to how many cases were opened in a period and stand."""
        c = escalation.c
        query = (
            select(c.partner_id, c.rule, func.count())
            .where(
                c.asked_at > after,
                c.asked_at <= until,
                c.cause == StepKind.OPENED,
                c.retracted.is_(False),
            )
            .group_by(c.partner_id, c.rule)
        )
        return Counter({(who, rule): n for who, rule, n in self.connection.execute(query)})

    def steps_between(self, kinds: Collection[StepKind], after: int, until: int) -> list[StepRow]:
        """Steps of these kinds that stand and happened in a period, the oldest first."""
        c = step.c
        query = (
            select(step)
            .where(c.kind.in_(list(kinds)), c.at > after, c.at <= until, c.withdrawn_at.is_(None))
            .order_by(c.at, c.case_id, c.n)
        )
        rows = self.connection.execute(query).mappings()
        return [StepRow(**dict(row) | {"kind": StepKind(row["kind"])}) for row in rows]

    # -- figures -------------------------------------------------------------------------------

    def daily_outcomes(
        self, first: date, last: date, partner_id: str | None = None
    ) -> Counter[Cell]:
        """Outcomes to how many, over days."""
        c = daily.c
        by = [c[name] for name in _CELL]
        months, spans = _months_and_days(first, last)
        within = [c.day.between(begin.toordinal(), end.toordinal()) for begin, end in spans]
        where = [or_(c.day.in_(months), *within) if months else or_(*within)]
        if partner_id is not None:
            where.append(c.partner_id == partner_id)
        query = select(*by, func.sum(c.n)).where(*where).group_by(*by)
        return self._counted(query)

    def outcomes_within(
        self, after: int, until: int, partner_id: str | None = None
    ) -> Counter[Cell]:
        """The same for a span that does not end with a day; reads each instance in it."""
        c = instance.c
        by = [c[name] for name in _CELL]
        where = [c.falls_at > after, c.falls_at <= until]
        if partner_id is not None:
            where.append(c.partner_id == partner_id)
        query = select(*by, func.count()).where(*where).group_by(*by)
        return self._counted(query)

    def open_after(self, last: date) -> Counter[tuple[str, str, str]]:
        """(partner tier, metric, escalation tier) to how many were open when a day ended."""
        c = daily_open.c
        by = (c.partner_tier, c.metric, c.escalation_tier)
        query = select(*by, func.sum(c.n)).where(c.day <= last.toordinal()).group_by(*by)
        return self._counted(query)

    def open_now(self, now: int) -> Counter[tuple[str, str, str]]:
        """The same for an instant after which nothing has been posted."""
        c = instance.c
        by = (c.partner_tier, c.metric, c.escalation_tier)
        query = (
            select(*by, func.count())
            .where(_OPEN, or_(c.falls_at.is_(None), c.falls_at >= now))
            .group_by(*by)
        )
        return self._counted(query)

    def spent(self, metric: str, after: int, until: int) -> dict[tuple[str, str], list[int]]:
        """(partner tier, escalation tier) to counted microseconds of what was done in a period."""
        # To the driver as it is: a year has hundreds of thousands of rows.
        mark = "%s" if self.is_postgres else "?"
        rows = self.connection.exec_driver_sql(_SPENT.replace("?", mark), (metric, after, until))
        found: dict[tuple[str, str], list[int]] = {}
        for tier, asked, amount in rows.cursor.fetchall():
            found.setdefault((tier, asked), []).append(amount)
        return {group: sorted(amounts) for group, amounts in found.items()}

    def not_stopped(self, metric: str, at: int) -> dict[tuple[str, str], tuple[int, int]]:
        """(partner tier, escalation tier) to (how many went on at an instant, earliest start)."""
        c = instance.c
        by = (c.partner_tier, c.escalation_tier)
        over = (Entered.CANCELLED, Entered.NEVER_RAN)
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for still in (c.stopped_at.is_(None), c.stopped_at > at):
            query = (
                select(*by, func.count(), func.min(c.started_at))
                .where(c.metric == metric, still, c.started_at <= at, c.entered.not_in(over))
                .group_by(*by)
            )
            for tier, asked, n, since in self.connection.execute(query):
                known = found.get((tier, asked))
                before, first = (0, since) if known is None else known
                found[tier, asked] = before + n, min(first, since)
        return found

    def pauses_by_actor(self, after: int, until: int) -> dict[str, tuple[int, int]]:
        """Who set pauses that ended in a period or lasted at its end to (how many, microseconds
        that did not count, of those that ended)."""
        c = pause.c
        query = (
            select(
                c.actor,
                func.count(),
                func.sum(case((c.ended_at <= until, c.counted), else_=0)),
            )
            .where(_lasted(after), c.started_at <= until)
            .group_by(c.actor)
        )
        return {actor: (n, int(counted)) for actor, n, counted in self.connection.execute(query)}

    def downgrades_by_actor(self, after: int, until: int) -> dict[str, int]:
        """Who said something that gave promises more time to how many promises, in a period."""
        d = downgrade.c
        query = select(d.actor, func.count()).where(d.at > after, d.at <= until).group_by(d.actor)
        return {row[0]: row[1] for row in self.connection.execute(query)}

    def events_of_days(self, first: date, last: date) -> dict[tuple[str, str], int]:
        """(type, source) to how many events bear a day between two."""
        c = daily_events.c
        query = (
            select(c.type, c.source, func.sum(c.n))
            .where(c.day >= first.toordinal(), c.day <= last.toordinal())
            .group_by(c.type, c.source)
        )
        return {(kind, source): int(n) for kind, source, n in self.connection.execute(query)}


def _lasted(at: int) -> ColumnElement[bool]:
    """Pauses that had not ended at an instant."""
    return or_(pause.c.ended_at.is_(None), pause.c.ended_at > at)


def row_name(row: Instance) -> tuple[str, str, str]:
    """What names an instance."""
    return row.subject, row.metric, row.cycle


def _instance(row: RowMapping) -> Instance:
    return Instance(**dict(row) | {"entered": Entered(row["entered"])})


def _values(row: Instance) -> tuple[Any, ...]:
    fields = {"entered": str(row.entered), "excuse_note": kept(row.excuse_note)}
    return tuple(fields[name] if name in fields else getattr(row, name) for name in _COLUMNS)


def _parts(row: Instance, parts: Iterable[Pause | Downgrade]) -> Iterator[dict[str, Any]]:
    """What belongs to an instance, as rows that name it."""
    for n, part in enumerate(parts):
        yield dict(zip(_NAME, row_name(row), strict=True)) | {"n": n} | values(part)


def _delete_by_name(table: Table) -> Any:
    return delete(table).where(and_(*(table.c[name] == bindparam(f"_{name}") for name in _NAME)))


def _bound(names: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{f"_{name}": value for name, value in row.items()} for row in names]


def _least(queries: Queries, column: Any, value: int) -> Any:
    """The smaller of two, in the words of each dialect. NULL stays NULL."""
    if queries.is_postgres:
        return case((column.is_(None), None), else_=func.least(column, value))
    return func.min(column, value)


def _month(day: date) -> int:
    """The number of a day's month among the days: below all of them."""
    return -(day.year * 12 + day.month)


def _months_and_days(first: date, last: date) -> tuple[list[int], list[tuple[date, date]]]:
    """Whole months between two days, and the spans of days before and after them."""
    begin = first if first.day == 1 else _next_month(first)
    end = last + timedelta(days=1)
    end = end.replace(day=1)
    if begin >= end:
        return [], [(first, last)]
    months = []
    month = begin
    while month < end:
        months.append(_month(month))
        month = _next_month(month)
    day = timedelta(days=1)
    spans = [(first, begin - day), (end, last)]
    return months, [(since, until) for since, until in spans if since <= until]


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
