"""Cases, their steps and the events kept with them."""

from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, RowMapping, case, exists, func, or_, select, update

from rules.decision import CaseRow, JournalEntry, Kind, State, StepKind, StepRow
from rules.transitions import ACTIVE
from schemas.time import Instant
from streams.store.queries import Queries, chunks, values
from streams.store.rows import STANDING, Attached, CaseCount
from streams.store.tables import conflict_case, journal, step

_CASES = select(conflict_case)


class CaseQueries(Queries):
    """Statements about cases."""

    def case(self, case_id: str) -> CaseRow | None:
        """One case by its whole id."""
        return self.cases([case_id]).get(case_id)

    def cases(self, case_ids: Iterable[str]) -> dict[str, CaseRow]:
        """Cases by id; one that does not exist is left out."""
        found: dict[str, CaseRow] = {}
        for piece in chunks(case_ids):
            rows = self.connection.execute(_CASES.where(conflict_case.c.case_id.in_(piece)))
            found |= {row["case_id"]: _case(row) for row in rows.mappings()}
        return found

    def cases_in_time(self, case_ids: Iterable[str], at: Instant) -> dict[str, CaseRow]:
        """Those of these cases of which no deadline has come by an instant, by id."""
        c = conflict_case.c
        found: dict[str, CaseRow] = {}
        for piece in chunks(case_ids):
            query = _CASES.where(c.case_id.in_(piece), or_(c.due.is_(None), c.due > at))
            found |= {
                row["case_id"]: _case(row) for row in self.connection.execute(query).mappings()
            }
        return found

    def find_cases(self, prefix: str, limit: int = 10) -> list[CaseRow]:
        """Cases whose id begins so: what a person may type instead of the whole id."""
        query = _CASES.where(conflict_case.c.case_id.startswith(prefix, autoescape=True))
        rows = self.connection.execute(query.order_by(conflict_case.c.case_id).limit(limit))
        return [_case(row) for row in rows.mappings()]

    def case_of_subject(self, key: str) -> CaseRow | None:
        """The case about a subject, if it has one."""
        row = (
            self.connection.execute(_CASES.where(conflict_case.c.subject == key))
            .mappings()
            .one_or_none()
        )
        return None if row is None else _case(row)

    def list_cases(
        self,
        *,
        partner: str | None = None,
        tier: str | None = None,
        states: Collection[State] | None = None,
        older_than: Instant | None = None,
        limit: int | None = None,
    ) -> list[CaseRow]:
        """Cases that pass every filter given, the oldest first.

        `older_than` keeps those that were opened at that instant or before.
        """
        query = (
            _CASES.where(*_filters(partner, tier, states, older_than))
            .order_by(conflict_case.c.opened_at, conflict_case.c.case_id)
            .limit(limit)
        )
        return [_case(row) for row in self.connection.execute(query).mappings()]

    def count_cases(
        self,
        *,
        partner: str | None = None,
        tier: str | None = None,
        states: Collection[State] | None = None,
        older_than: Instant | None = None,
    ) -> int:
        """How many cases pass the filters of `list_cases`."""
        query = select(func.count()).select_from(conflict_case)
        filters = _filters(partner, tier, states, older_than)
        return self.connection.execute(query.where(*filters)).scalar_one()

    def case_counts(self) -> list[CaseCount]:
        """All cases, counted by state, highest tier and rules."""
        by = (conflict_case.c.state, conflict_case.c.highest_tier, conflict_case.c.rules)
        rows = self.connection.execute(select(*by, func.count()).group_by(*by).order_by(*by))
        return [
            CaseCount(State(state), highest_tier, tuple(rules), n)
            for state, highest_tier, rules, n in rows
        ]

    def count_opened(self, states: Collection[State]) -> int:
        """How many cases in these states were ever more than a watch."""
        opened = exists().where(
            step.c.case_id == conflict_case.c.case_id,
            step.c.kind.in_([StepKind.OPENED, StepKind.ATTACHED]),
        )
        query = select(func.count()).select_from(conflict_case)
        query = query.where(conflict_case.c.state.in_(states), opened)
        return self.connection.execute(query).scalar_one()

    def cases_at(self, at: Instant, partner: str | None = None) -> list[CaseRow]:
        """Cases that had been opened by an instant of the past and may not have been over then.

        Left out are those that are over and of which nothing happened, or was decided, later.
        """
        c = conflict_case.c
        decided_later = exists().where(step.c.case_id == c.case_id, step.c.decided_at > at)
        query = _CASES.where(
            *_filters(partner, None, None, at),
            or_(c.state.in_(STANDING), c.changed_at > at, decided_later),
        )
        rows = self.connection.execute(query.order_by(c.opened_at, c.case_id))
        return [_case(row) for row in rows.mappings()]

    def standing_cases(
        self, kind: Kind, partner_ids: Collection[str] | None = None
    ) -> list[CaseRow]:
        """Cases of a kind that are not over, of these partners or of all, the oldest first."""
        query = _CASES.where(conflict_case.c.kind == kind, conflict_case.c.state.in_(STANDING))
        rows = self.connection.execute(
            query.order_by(conflict_case.c.opened_at, conflict_case.c.case_id)
        )
        found = [_case(row) for row in rows.mappings()]
        return [row for row in found if partner_ids is None or row.partner_id in partner_ids]

    def cases_of_kind(self, kind: Kind) -> list[CaseRow]:
        """All cases about a kind of subject, over or not, the oldest first."""
        query = _CASES.where(conflict_case.c.kind == kind)
        rows = self.connection.execute(
            query.order_by(conflict_case.c.opened_at, conflict_case.c.case_id)
        )
        return [_case(row) for row in rows.mappings()]

    def attached_cases(self, parent: str) -> list[CaseRow]:
        """Cases attached to a disruption's case, the oldest first."""
        query = _CASES.where(conflict_case.c.parent == parent)
        rows = self.connection.execute(
            query.order_by(conflict_case.c.opened_at, conflict_case.c.case_id)
        )
        return [_case(row) for row in rows.mappings()]

    def count_attached(self, parents: Iterable[str]) -> dict[str, Attached]:
        """What was late under these disruptions' cases; without those under which nothing was."""
        c = conflict_case.c
        found: dict[str, Attached] = {}
        for piece in chunks(parents):
            query = select(
                c.parent,
                func.count(),
                func.count(c.partner_id.distinct()),
                func.count(case((c.state.in_(ACTIVE), 1))),
            ).where(c.parent.in_(piece), c.state != State.RETRACTED)
            rows = self.connection.execute(query.group_by(c.parent))
            found |= {parent: Attached(*counts) for parent, *counts in rows}
        return found

    def steps(self, case_id: str) -> list[StepRow]:
        """The steps of a case in the order in which they were taken."""
        query = select(step).where(step.c.case_id == case_id).order_by(step.c.n, step.c.key)
        return [_step(row) for row in self.connection.execute(query).mappings()]

    def watched_since(self, since: Instant) -> set[str]:
        """Ids of cases that were put on watch after an instant, on the clock on the wall."""
        c = step.c
        query = select(c.case_id).where(c.kind == StepKind.WATCHED, c.decided_at > since)
        return set(self.connection.execute(query).scalars())

    def steps_of_cases(self, case_ids: Iterable[str]) -> dict[str, list[StepRow]]:
        """The steps of these cases in the order in which they were taken, by case id."""
        found: dict[str, list[StepRow]] = {}
        for piece in chunks(case_ids):
            query = select(step).where(step.c.case_id.in_(piece)).order_by(step.c.n, step.c.key)
            for row in self.connection.execute(query).mappings():
                found.setdefault(row["case_id"], []).append(_step(row))
        return found

    def journal(self, key: str) -> list[JournalEntry]:
        """The whole events kept for a subject, in order of effective time."""
        c = journal.c
        query = (
            select(c.subject, c.source, c.event_id, c.type, c.at, c.recorded_at, c.body)
            .where(c.subject == key)
            .order_by(c.at, c.source, c.event_id)
        )
        return [JournalEntry(*row) for row in self.connection.execute(query)]

    def _write_cases(self, rows: Iterable[CaseRow]) -> None:
        self.upsert(conflict_case, [values(row) for row in rows])

    def _withdraw_steps(self, withdrawn: Iterable[tuple[str, str, Instant]]) -> None:
        for case_id, key, at in withdrawn:  # rare: later truth took back what had been decided
            self.connection.execute(
                update(step)
                .where(step.c.case_id == case_id, step.c.key == key)
                .values(withdrawn_at=at)
            )

    def _write_steps(self, rows: Iterable[StepRow]) -> None:
        self.upsert(step, [values(row) for row in rows])

    def _write_journal(self, rows: Iterable[JournalEntry]) -> None:
        self.insert_new(journal, [values(row) for row in rows])


def _filters(
    partner: str | None,
    tier: str | None,
    states: Collection[State] | None,
    older_than: Instant | None,
) -> list[ColumnElement[bool]]:
    c = conflict_case.c
    filters: list[ColumnElement[bool]] = []
    if partner is not None:
        filters.append(c.partner_id == partner)
    if tier is not None:
        filters.append(c.tier == tier)
    if states is not None:
        filters.append(c.state.in_(states))
    if older_than is not None:
        filters.append(c.opened_at <= older_than)
    return filters


def _case(row: RowMapping) -> CaseRow:
    fields = dict(row)
    return CaseRow(
        **fields
        | {
            "kind": Kind(fields["kind"]),
            "state": State(fields["state"]),
            "rules": tuple(fields["rules"]),
        }
    )


def _step(row: RowMapping) -> StepRow:
    fields = dict(row)
    return StepRow(**fields | {"kind": StepKind(fields["kind"])})
