"""The outbox and the deliveries made from it.

Effects of one case to one role are offered in the order in which they were decided. An entry
whose last attempt failed holds the later ones back until it is sent or given up. One that the
relay put off of its own accord (quiet hours, bundling) does not: something urgent may overtake it.

Where several relays run, each leases what it is about to send, and with it the case: nobody else is
given anything about a case while one relay is at it, so that its messages keep their order at a
place that several roles read. A lease ends by itself, so that what a dead relay had taken comes
back.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    RowMapping,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)

from rules.decision import CalledOff, Effect, EffectKind, State
from schemas.time import Instant
from streams.store.errors import LostRace
from streams.store.queries import Queries, chunks, values
from streams.store.rows import DeliveryRow, DeliveryStatus, OutboxEntry, OutboxStatus
from streams.store.tables import delivery, outbox

#: The advisory lock of PostgreSQL under which one relay at a time leases.
LEASING = int.from_bytes(b"leasing")

_MUTABLE = (
    "status",
    "reason",
    "not_before",
    "attempts",
    "last_error",
    "remind_at",
    "reminders_sent",
    "sent_at",
)


_DROP = (
    update(outbox)
    .where(outbox.c.effect_id == bindparam("_effect_id"), outbox.c.status == OutboxStatus.QUEUED)
    .values(status=OutboxStatus.DROPPED, reason=bindparam("_reason"), remind_at=None)
)


class OutboxQueries(Queries):
    """Statements about effects and deliveries."""

    def outbox_due(
        self, now: Instant, limit: int, ranks: Mapping[str, int] | None = None
    ) -> list[OutboxEntry]:
        """Entries to be sent now: the highest rank first, then the oldest.

        `ranks` gives each escalation tier a number, higher for higher tiers; one that is not
        named ranks lowest.
        """
        return self._entries(_first(_due(_items(ranks))), {"now": now, "limit": limit})

    def lease_outbox(
        self,
        relay: str,
        now: Instant,
        until: Instant,
        limit: int,
        ranks: Mapping[str, int] | None = None,
    ) -> list[OutboxEntry]:
        """What `outbox_due` gives, for this relay alone until then; others' leases are left out."""
        return self._lease(_due(_items(ranks)), relay, now, until, limit)

    def lease_reminders(
        self, relay: str, now: Instant, until: Instant, limit: int
    ) -> list[OutboxEntry]:
        """What `reminders_due` gives, for this relay alone until then."""
        return self._lease(_reminders(), relay, now, until, limit)

    def extend_leases(self, relay: str, until: Instant) -> int:
        """Keep what a relay has leased for longer. Returns how many entries that are."""
        mine = update(outbox).where(outbox.c.leased_by == relay)
        return self.connection.execute(mine.values(leased_until=until)).rowcount

    def leased_by(self, relay: str) -> set[int]:
        """The numbers of the entries that a relay has leased and no other has taken since."""
        return set(
            self.connection.execute(
                select(outbox.c.seq).where(outbox.c.leased_by == relay)
            ).scalars()
        )

    def end_leases(self, relay: str, now: Instant, keep: Collection[int] = ()) -> None:
        """End the leases of what a relay leaves half done: who has it next is told so.

        It keeps the entries of the numbers in `keep`.
        """
        self._change_leases(relay, keep, {"leased_until": now})

    def release_leases(self, relay: str, keep: Collection[int] = ()) -> None:
        """Give back what a relay has leased and has done: all but the numbers in `keep`."""
        self._change_leases(relay, keep, {"leased_by": None, "leased_until": None})

    def _change_leases(self, relay: str, keep: Collection[int], values: dict[str, Any]) -> None:
        mine = update(outbox).where(outbox.c.leased_by == relay, outbox.c.seq.not_in(keep))
        self.connection.execute(mine.values(values))

    def outbox_queued(self, case_ids: Iterable[str]) -> list[OutboxEntry]:
        """Whatever still waits to be sent about these cases, oldest first."""
        found: list[OutboxEntry] = []
        for piece in chunks(case_ids):
            query = select(outbox).where(
                outbox.c.status == OutboxStatus.QUEUED, outbox.c.case_id.in_(piece)
            )
            found += self._entries(query)
        return sorted(found, key=lambda entry: entry.seq)

    def reminders_due(self, now: Instant, limit: int) -> list[OutboxEntry]:
        """Sent entries whose next reminder is due, the longest due first."""
        return self._entries(_first(_reminders()), {"now": now, "limit": limit})

    def newest_effect(self) -> int | None:
        """The number of the newest entry; None while there is none."""
        newest: int | None = self.connection.execute(select(func.max(outbox.c.seq))).scalar_one()
        return newest

    def next_relay_wake(self, now: Instant) -> Instant | None:
        """When a relay next has something to do: `now` at the earliest, None for never.

        What is leased is looked at again when the lease ends.
        """
        times = [self.connection.execute(query, {"now": now}).scalar_one() for query in _wakes()]
        known = [at for at in times if at is not None]
        return max(now, min(known)) if known else None

    def update_outbox(self, entries: Iterable[OutboxEntry], relay: str | None = None) -> None:
        """Store what a relay changed; the effect itself never changes.

        With `relay`, raises LostRace when another has leased one of them since.
        """
        rows = [
            {name: getattr(entry, name) for name in _MUTABLE} | {"_seq": entry.seq}
            for entry in entries
        ]
        if rows:
            new = {name: bindparam(name, type_=outbox.c[name].type) for name in _MUTABLE}
            statement = update(outbox).where(outbox.c.seq == bindparam("_seq")).values(new)
            if relay is None:
                self.connection.execute(statement, rows)
            elif self.count(statement.where(outbox.c.leased_by == relay), rows) != len(rows):
                raise LostRace(f"what {relay} was sending has been leased to another relay")

    def list_outbox(
        self,
        statuses: Collection[OutboxStatus] | None = None,
        *,
        case_id: str | None = None,
        limit: int | None = None,
    ) -> list[OutboxEntry]:
        """Entries, the oldest first, of these statuses or all, about this case or any."""
        query = select(outbox)
        if statuses is not None:
            query = query.where(outbox.c.status.in_(statuses))
        if case_id is not None:
            query = query.where(outbox.c.case_id == case_id)
        return self._entries(query.order_by(outbox.c.seq).limit(limit))

    def count_outbox(self) -> dict[OutboxStatus, int]:
        """How many entries have each status."""
        query = select(outbox.c.status, func.count()).group_by(outbox.c.status)
        return {OutboxStatus(status): n for status, n in self.connection.execute(query)}

    def count_outbox_of(self, status: OutboxStatus) -> int:
        """How many entries have a status."""
        query = select(func.count()).where(outbox.c.status == status)
        return self.connection.execute(query).scalar_one()

    def oldest_queued(self) -> Instant | None:
        """When the oldest of what waits to be told was decided; None when nothing waits."""
        query = select(outbox.c.created_at).where(outbox.c.status == OutboxStatus.QUEUED)
        return self.connection.execute(query.order_by(outbox.c.seq).limit(1)).scalar_one_or_none()

    def retry_dead(self, seqs: Collection[int] | None = None) -> int:
        """Queue dead entries again, these or all, as if never tried. Returns how many."""
        fresh = {
            "status": OutboxStatus.QUEUED,
            "attempts": 0,
            "not_before": None,
            "reason": None,
        }
        statement = update(outbox).where(outbox.c.status == OutboxStatus.DEAD).values(fresh)
        if seqs is None:
            return self.connection.execute(statement).rowcount
        return sum(
            self.connection.execute(statement.where(outbox.c.seq.in_(piece))).rowcount
            for piece in chunks(seqs)
        )

    def insert_deliveries(self, rows: Iterable[DeliveryRow]) -> None:
        """Record attempts to tell people."""
        new = [values(row) for row in rows]
        for row in new:
            del row["id"]
        if new:
            self.connection.execute(delivery.insert(), new)

    def deliveries_of(self, case_id: str) -> list[DeliveryRow]:
        """Every attempt to tell anybody about a case, in order."""
        query = select(delivery).where(delivery.c.case_id == case_id).order_by(delivery.c.id)
        return [_delivery(row) for row in self.connection.execute(query).mappings()]

    def outbox_about(self, case_ids: Iterable[str]) -> list[OutboxEntry]:
        """Every entry about these cases, whatever became of it, oldest first."""
        found: list[OutboxEntry] = []
        for piece in chunks(case_ids):
            found += self._entries(select(outbox).where(outbox.c.case_id.in_(piece)))
        return sorted(found, key=lambda entry: entry.seq)

    def deliveries_about(self, case_ids: Iterable[str], seqs: Iterable[int]) -> list[DeliveryRow]:
        """Every attempt to tell about these cases or from these entries, in order."""
        found: dict[int, DeliveryRow] = {}
        for column, names in ((delivery.c.case_id, case_ids), (delivery.c.seq, seqs)):
            for piece in chunks(names):
                query = select(delivery).where(column.in_(piece))
                rows = self.connection.execute(query).mappings()
                found |= {row.id: _delivery(row) for row in rows}
        return [found[row_id] for row_id in sorted(found)]

    def cases_of_bundle(self, bundle_id: str) -> tuple[str, ...]:
        """The cases that a bundle told of, in the order in which it listed them."""
        done = (DeliveryStatus.BUNDLED, DeliveryStatus.WOULD_HAVE_TOLD)
        query = select(delivery.c.case_id).where(
            delivery.c.bundle_id == bundle_id,
            delivery.c.status.in_(done),
            delivery.c.case_id.is_not(None),
        )
        found = self.connection.execute(query.order_by(delivery.c.id)).scalars()
        return tuple(dict.fromkeys(found))

    def told(self, idempotency_keys: Iterable[str]) -> set[str]:
        """Which of these messages have reached their person."""
        done = (DeliveryStatus.SENT, DeliveryStatus.BUNDLED, DeliveryStatus.WOULD_HAVE_TOLD)
        found: set[str] = set()
        for piece in chunks(idempotency_keys):
            query = select(delivery.c.idempotency_key).where(
                delivery.c.idempotency_key.in_(piece), delivery.c.status.in_(done)
            )
            found.update(self.connection.execute(query).scalars())
        return found

    def _write_effects(self, effects: Sequence[Effect]) -> None:
        fresh = {"status": OutboxStatus.QUEUED, "attempts": 0, "reminders_sent": 0}
        self.insert_new(outbox, [values(effect) | fresh for effect in effects])

    def _call_off(self, called_off: Sequence[CalledOff]) -> None:
        """Drop what has not left. Where it has, those who were told hear what is said instead."""
        c = outbox.c
        reasons = {off.effect_id: off for off in called_off}
        for piece in chunks(reasons):
            query = select(c.effect_id).where(c.effect_id.in_(piece))
            sent = query.where(c.status.not_in((OutboxStatus.QUEUED, OutboxStatus.DROPPED)))
            told = set(self.connection.execute(sent).scalars())
            self.connection.execute(
                _DROP, [{"_effect_id": name, "_reason": reasons[name].reason} for name in piece]
            )
            instead = (reasons[name].instead for name in piece if name in told)
            self._write_effects([effect for effect in instead if effect is not None])

    def _lease(
        self, due: Select[Any], relay: str, now: Instant, until: Instant, limit: int
    ) -> list[OutboxEntry]:
        c, theirs = outbox.c, outbox.alias("theirs").c
        # Two that lease at once would not see each other's cases. The other is done in a moment.
        if self.is_postgres and not self._may_lease():
            return []
        held = select(theirs.case_id).where(
            theirs.leased_by.is_not(None),
            theirs.leased_by != relay,
            theirs.leased_until > now,
            theirs.case_id.is_not(None),
        )
        is_free = and_(
            or_(c.leased_by.is_(None), c.leased_by == relay, c.leased_until <= now),
            or_(c.case_id.is_(None), c.case_id.not_in(held)),
        )
        # A relay that waited for another's entries would only find them taken.
        query = due.where(is_free).limit(limit).with_for_update(skip_locked=True)
        entries = [
            replace(_entry(row), taken_over=row["leased_by"] not in {None, relay})
            for row in self.connection.execute(query, {"now": now}).mappings()
        ]
        for piece in chunks(entry.seq for entry in entries):
            lease = update(outbox).where(c.seq.in_(piece))
            self.connection.execute(lease.values(leased_by=relay, leased_until=until))
        return entries

    def _may_lease(self) -> bool:
        turn = select(func.pg_try_advisory_xact_lock(LEASING))
        return bool(self.connection.execute(turn).scalar_one())

    def _entries(self, query: Any, values: Mapping[str, int] | None = None) -> list[OutboxEntry]:
        return [_entry(row) for row in self.connection.execute(query, values).mappings()]


# What a relay asks again and again is built once: that costs more than asking it.
_NOW = bindparam("now", type_=outbox.c.not_before.type)
_LIMIT = bindparam("limit", type_=Integer)


def _items(ranks: Mapping[str, int] | None) -> tuple[tuple[str, int], ...]:
    return tuple((ranks or {}).items())


@cache
def _due(ranks: tuple[tuple[str, int], ...]) -> Select[Any]:
    c = outbox.c
    order: list[ColumnElement[Any]] = [c.seq]
    if ranks:
        order.insert(0, case(dict(ranks), value=c.tier, else_=-1).desc())
    ready = or_(c.not_before.is_(None), c.not_before <= _NOW)
    return select(outbox).where(_first_of_its_queue(), ready).order_by(*order)


@cache
def _reminders() -> Select[Any]:
    c = outbox.c
    query = select(outbox).where(c.remind_at <= _NOW, c.status == OutboxStatus.SENT)
    return query.order_by(c.remind_at, c.seq)


@cache
def _first(query: Select[Any]) -> Select[Any]:
    return query.limit(_LIMIT)


@cache
def _wakes() -> tuple[Select[Any], Select[Any]]:
    """When something is next to be sent, and when to be told again."""
    c = outbox.c
    is_leased = c.leased_until > _NOW
    ready = case((is_leased, c.leased_until), else_=func.coalesce(c.not_before, _NOW))
    due = case((is_leased, c.leased_until), else_=c.remind_at)
    sent = and_(c.remind_at.is_not(None), c.status == OutboxStatus.SENT)
    return (
        select(func.min(ready)).where(_first_of_its_queue()),
        select(func.min(due)).where(sent),
    )


def _first_of_its_queue() -> ColumnElement[bool]:
    """Queued, and nothing older about the same case to the same role is being tried."""
    older = outbox.alias("older")
    tried = or_(older.c.attempts > 0, older.c.not_before.is_(None), older.c.not_before <= _NOW)
    waits = (
        select(older.c.seq)
        .where(
            older.c.case_id == outbox.c.case_id,
            older.c.role == outbox.c.role,
            older.c.seq < outbox.c.seq,
            older.c.status == OutboxStatus.QUEUED,
            tried,
        )
        .exists()
    )
    return and_(outbox.c.status == OutboxStatus.QUEUED, ~waits)


def _entry(row: RowMapping) -> OutboxEntry:
    fields = dict(row)
    del fields["leased_by"], fields["leased_until"]
    entry = {name: fields.pop(name) for name in ("seq", *_MUTABLE)}
    fields["kind"] = EffectKind(fields["kind"])
    if fields["state"] is not None:
        fields["state"] = State(fields["state"])
    entry["status"] = OutboxStatus(entry["status"])
    return OutboxEntry(effect=Effect(**fields), **entry)


def _delivery(row: RowMapping) -> DeliveryRow:
    fields = dict(row)
    return DeliveryRow(**fields | {"status": DeliveryStatus(fields["status"])})
