"""What came in: what was rejected or parked, counters and feeds."""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import RowMapping, case, delete, func, insert, select, update

from rules.decision import Parked, Rejected
from schemas.time import Instant
from streams.store.queries import IN_LIST, Queries, chunks, values
from streams.store.rows import Counter, Feed, RejectedRow, RejectedState
from streams.store.tables import counter, feed, parked, rejected


class IntakeQueries(Queries):
    """Statements about inputs."""

    def list_rejected(
        self,
        state: RejectedState | None = RejectedState.KEPT,
        limit: int | None = None,
        after: int = 0,
    ) -> list[RejectedRow]:
        """Rejected input with ids above `after`, the oldest first; every state with None."""
        query = select(rejected).where(rejected.c.id > after).order_by(rejected.c.id).limit(limit)
        if state is not None:
            query = query.where(rejected.c.state == state)
        return [_rejected(row) for row in self.connection.execute(query).mappings()]

    def count_rejected(self) -> int:
        """How much rejected input waits to be driven again."""
        query = select(func.count()).where(rejected.c.state == RejectedState.KEPT)
        return self.connection.execute(query).scalar_one()

    def rejected(self, rejected_id: int) -> RejectedRow | None:
        """One piece of rejected input."""
        row = (
            self.connection.execute(select(rejected).where(rejected.c.id == rejected_id))
            .mappings()
            .one_or_none()
        )
        return None if row is None else _rejected(row)

    def rejected_of_subjects(self, keys: Iterable[str]) -> set[str]:
        """Which of these subjects have input that could not be decided and still waits."""
        found: set[str] = set()
        wanted = set(keys)
        if len(wanted) > 1:
            # Nearly always next to nothing is kept with a subject, and all of it is read sooner
            # than thousands of keys are asked for.
            subject = rejected.c.subject
            some = select(subject).where(subject.is_not(None)).order_by(subject).limit(IN_LIST)
            kept = self.connection.execute(some).scalars().all()
            if len(kept) < IN_LIST:
                wanted.intersection_update(kept)
        for piece in chunks(wanted):
            query = select(rejected.c.subject).where(
                rejected.c.subject.in_(piece),
                rejected.c.kind == "deciding failed",
                rejected.c.state == RejectedState.KEPT,
            )
            found.update(key for key in self.connection.execute(query).scalars() if key)
        return found

    def mark_retried(self, ids: Iterable[int], at: Instant) -> int:
        """Note that rejected input was driven again. Returns how many were still kept."""
        return sum(
            self.connection.execute(
                update(rejected)
                .where(rejected.c.id.in_(piece), rejected.c.state == RejectedState.KEPT)
                .values(state=RejectedState.RETRIED, retried_at=at)
            ).rowcount
            for piece in chunks(ids)
        )

    def parked_for(self, case_ids: Iterable[str]) -> list[Parked]:
        """Commands that wait for these cases, the oldest first."""
        found: list[Parked] = []
        for piece in chunks(case_ids):
            rows = self.connection.execute(select(parked).where(parked.c.case_id.in_(piece)))
            found += [Parked(**row) for row in rows.mappings()]
        return sorted(found, key=lambda row: (row.recorded_at, row.source, row.event_id))

    def parked_targets(self) -> set[str]:
        """Ids of cases that commands wait for; nearly always none."""
        return set(self.connection.execute(select(parked.c.case_id).distinct()).scalars())

    def list_parked(self, limit: int | None = None) -> list[Parked]:
        """All commands that wait for a case, the oldest first."""
        c = parked.c
        rows = self.connection.execute(
            select(parked).order_by(c.recorded_at, c.source, c.event_id).limit(limit)
        )
        return [Parked(**row) for row in rows.mappings()]

    def counters(self, what: str | None = None) -> list[Counter]:
        """Everything that was counted, or only one thing, in order of its name."""
        c = counter.c
        query = select(counter).order_by(c.what, c.source, c.name)
        if what is not None:
            query = query.where(c.what == what)
        return [Counter(**row) for row in self.connection.execute(query).mappings()]

    def feeds(self) -> dict[str, Feed]:
        """What was last heard of each source."""
        rows = self.connection.execute(select(feed).order_by(feed.c.source))
        return {row["source"]: Feed(**row) for row in rows.mappings()}

    def _write_rejected(self, rows: Iterable[Rejected]) -> None:
        new = [values(row) | {"state": RejectedState.KEPT} for row in rows]
        if new:
            self.connection.execute(insert(rejected), new)

    def _write_parked(self, rows: Iterable[Parked], taken: Collection[str]) -> None:
        for piece in chunks(taken):
            self.connection.execute(delete(parked).where(parked.c.case_id.in_(piece)))
        self.insert_new(parked, [values(row) for row in rows])

    def _add_counts(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        if not counts:
            return
        statement = self.insert(counter)
        added = {"n": counter.c.n + statement.excluded.n}
        rows = [
            {"what": what, "source": source, "name": name, "n": n}
            for (what, source, name), n in sorted(counts.items())
        ]
        self.connection.execute(
            statement.on_conflict_do_update(index_elements=list(counter.primary_key), set_=added),
            rows,
        )

    def _write_feeds(self, seen: Mapping[str, tuple[Instant, Instant]]) -> None:
        if not seen:
            return
        statement = self.insert(feed)
        newest = {
            name: case(
                (statement.excluded[name] > feed.c[name], statement.excluded[name]),
                else_=feed.c[name],
            )
            for name in ("last_event_at", "last_recorded_at")
        }
        rows = [
            {"source": source, "last_event_at": event, "last_recorded_at": recorded}
            for source, (event, recorded) in sorted(seen.items())
        ]
        self.connection.execute(
            statement.on_conflict_do_update(index_elements=list(feed.primary_key), set_=newest),
            rows,
        )


def _rejected(row: RowMapping) -> RejectedRow:
    fields = dict(row)
    kept = {name: fields.pop(name) for name in ("id", "state", "retried_at")}
    return RejectedRow(
        kept["id"], Rejected(**fields), RejectedState(kept["state"]), kept["retried_at"]
    )
