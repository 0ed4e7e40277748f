"""`detente rejected`: input that was not taken, and driving it again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click
import msgspec
from sqlalchemy import update

from detente.client import Take, open_intake
from detente.desk import Desk, moment, open_desk
from detente.moments import ago
from detente.output import (
    REFUSED,
    RefusedError,
    json_option,
    print_json,
    print_table,
    say,
    shown,
)
from detente.settings import db_option
from schemas.time import Instant, local_text
from streams import outcome as out
from streams.outcome import Outcome
from streams.records import KEPT_BYTES, RawRecord
from streams.store import RejectedRow, RejectedState
from streams.store.tables import rejected as rejected_table

KINDS = ("malformed", "unknown type", "conflicting duplicate", "deciding failed")
#: How much of a reason the list shows.
_REASON = 100


@dataclass(frozen=True, slots=True)
class _Kept:
    """One piece of input that was refused for one reason, however often it came."""

    row: RejectedRow
    """As it came first."""
    rows: Sequence[RejectedRow]
    """Each time that it came."""


def _pieces(rows: Iterable[RejectedRow]) -> list[_Kept]:
    found: dict[object, list[RejectedRow]] = {}
    for row in rows:
        said = row.entry
        same = (said.input, said.kind, said.reason, said.value, said.subject, row.state)
        found.setdefault(same, []).append(row)
    return [_Kept(same[0], same) for same in found.values()]


@dataclass(frozen=True, slots=True)
class _Retried:
    """What came of driving one piece of input again."""

    row: RejectedRow
    taken: bool
    said: str


@click.command()
@click.option(
    "--reason-kind", type=click.Choice(KINDS), help="Only what was refused for such a reason."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show at most N.")
@click.option("--all", "everything", is_flag=True, help="Also what was driven again already.")
@click.option("--show", "show_id", type=int, metavar="ID", help="Show one with its bytes.")
@click.option("--retry", "retry_ids", type=int, multiple=True, metavar="ID", help="Drive it again.")
@click.option("--retry-all", is_flag=True, help="Drive everything that is listed again.")
@json_option
@db_option
def rejected(
    reason_kind: str | None,
    limit: int | None,
    everything: bool,
    show_id: int | None,
    retry_ids: tuple[int, ...],
    retry_all: bool,
    as_json: bool,
    db: str | None,
) -> None:
    """List input that was not taken, with the reason, or drive it again.

    Nothing is thrown away: what could not be read or decided is kept here with its bytes. Once
    the cause is gone (a new version knows the event, a mistake in the rules is mended), drive it
    again. The same bytes of one input that were refused again for the same reason are listed, and
    driven again, as one; --json lists each time that they came.

    \b
    detente rejected
    detente rejected --show 12
    detente rejected --retry 12
    detente rejected --reason-kind "unknown type" --retry-all
    """
    if sum((show_id is not None, bool(retry_ids), retry_all)) > 1:
        raise click.UsageError("--show, --retry and --retry-all are three different things")
    with open_desk(db) as desk:
        if show_id is not None:
            _show(desk, _one(desk, show_id), as_json=as_json)
            return
        if retry_ids:
            _report(desk, _drive(desk, _wanted(desk, retry_ids)[:limit]), as_json=as_json)
            return
        # What was driven again in vain is listed anew, under an id of its own.
        state = None if everything and not retry_all else RejectedState.KEPT
        with desk.store.reading() as tx:
            rows = tx.list_rejected(state)
        rows = [row for row in rows if reason_kind in (None, row.entry.kind)]
        if retry_all:
            _report(desk, _drive(desk, _pieces(rows)[:limit]), as_json=as_json)
            return
        _list(desk, rows, limit, as_json=as_json)


def _one(desk: Desk, row_id: int) -> RejectedRow:
    with desk.store.reading() as tx:
        row = tx.rejected(row_id)
    if row is None:
        raise RefusedError(f"there is no rejected input {row_id}; `detente rejected` lists it")
    return row


def _wanted(desk: Desk, ids: Sequence[int]) -> list[_Kept]:
    rows = [_one(desk, row_id) for row_id in dict.fromkeys(ids)]
    with desk.store.reading() as tx:
        kept = _pieces(tx.list_rejected())
    gone = _pieces(row for row in rows if row.state is RejectedState.RETRIED)
    return gone + [piece for piece in kept if any(row.id in ids for row in piece.rows)]


# --- listing --------------------------------------------------------------------------------------


def _list(desk: Desk, rows: Sequence[RejectedRow], limit: int | None, *, as_json: bool) -> None:
    with desk.store.reading() as tx:
        waiting = tx.list_parked(limit)
    if as_json:
        listed = [_document(row) for row in rows[:limit]]
        commands = [
            {
                "case_id": parked.case_id,
                "source": parked.source,
                "id": parked.event_id,
                "recorded_at": moment(parked.recorded_at),
            }
            for parked in waiting
        ]
        print_json(
            {
                "at": moment(desk.now),
                "found": len(rows),
                "rejected": listed,
                "waiting_for_a_case": commands,
            }
        )
        return
    pieces = _pieces(rows)
    kept = pieces[:limit]
    print_table(
        ("id", "where", "when", "times", "kind", "reason"),
        [_row(piece, desk.now) for piece in kept],
        empty="Everything that came in was taken."
        if waiting
        else "Nothing waits: everything that came in was taken.",
        numbers=("id", "times"),
    )
    if waiting:
        say("Commands that wait for a case that does not exist yet; they are taken when it does:")
        print_table(
            ("case", "command", "when"),
            [
                (p.case_id, f"{p.source} {p.event_id}", ago(p.recorded_at, desk.now))
                for p in waiting
            ],
            empty="",
        )
    if len(kept) < len(pieces):
        say(f"{len(kept)} of {len(pieces)}; --limit says how many are shown.")


def _row(piece: _Kept, now: Instant) -> tuple[object, ...]:
    first, last = piece.row.entry, piece.rows[-1].entry
    return (
        piece.row.id,
        f"{first.input}, {first.position}",
        ago(last.recorded_at, now) if last.recorded_at else None,
        len(piece.rows),
        first.kind if piece.row.state is RejectedState.KEPT else "driven again",
        _short(first.reason),
    )


def _short(text: str) -> str:
    return text if len(text) <= _REASON else f"{text[: _REASON - 4]} ..."


def _document(row: RejectedRow) -> dict[str, Any]:
    entry = row.entry
    return {
        "id": row.id,
        "input": entry.input,
        "position": entry.position,
        "reason": entry.reason,
        "kind": entry.kind,
        "recorded_at": moment(entry.recorded_at),
        "subject": entry.subject,
        "state": str(row.state),
        "retried_at": moment(row.retried_at),
        "bytes": len(entry.value),
    }


def _show(desk: Desk, row: RejectedRow, *, as_json: bool) -> None:
    entry = row.entry
    if as_json:
        print_json(_document(row) | {"value": entry.value.decode("utf-8", "backslashreplace")})
        return
    zone = desk.knowledge.policy.default_calendar.zone
    say(f"{row.id}: {shown(entry.input)}, {shown(entry.position)}")
    say(f"{entry.kind}: {shown(entry.reason)}")
    if entry.recorded_at:  # a replay gives no time to what bears none
        say(f"taken in {local_text(entry.recorded_at, zone)}")
    if entry.subject:
        say(f"about {shown(entry.subject)}")
    if row.retried_at is not None:
        say(f"driven again {local_text(row.retried_at, zone)}")
    cut = f", cut to {KEPT_BYTES}" if len(entry.value) >= KEPT_BYTES else ""
    say(f"{len(entry.value)} bytes{cut}:")
    for line in entry.value.decode("utf-8", "backslashreplace").splitlines():
        say(f"  {_visible(line)}")


def _visible(line: str) -> str:
    """A line with everything that a terminal would obey written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


# --- driving again --------------------------------------------------------------------------------


def _drive(desk: Desk, pieces: Sequence[_Kept]) -> list[_Retried]:
    with open_intake(desk.settings) as take:
        return [_drive_one(desk, take, piece) for piece in pieces]


def _drive_one(desk: Desk, take: Take, piece: _Kept) -> _Retried:
    row, entry = piece.row, piece.row.entry
    if row.state is RejectedState.RETRIED:
        return _Retried(row, False, "was driven again before")
    if entry.kind == "deciding failed" and not entry.value:
        _mark(desk, piece)
        return _Retried(
            row, True, "a deadline, not an event: it is decided with the next event about "
            f"{shown(entry.subject)}"
        )  # fmt: skip
    if not _is_event(entry.value):
        return _Retried(
            row, False, f"is not an event: mend {shown(entry.input)} and import it again"
        )
    if entry.kind == "deciding failed":
        # What is kept of a subject holds back all that follows, this piece included.
        _mark(desk, piece)
    try:
        outcome = take([RawRecord(entry.input, entry.position, entry.value)])[0]
    except BaseException:
        _keep(desk, piece)
        raise
    if entry.kind != "deciding failed":
        _mark(desk, piece)
    return _Retried(row, *_said(outcome))


def _mark(desk: Desk, piece: _Kept) -> None:
    with desk.store.transaction() as tx:
        tx.mark_retried([row.id for row in piece.rows], desk.now)


def _keep(desk: Desk, piece: _Kept) -> None:
    """It did not come to that: it waits as before."""
    ids = [row.id for row in piece.rows]
    kept = update(rejected_table).where(rejected_table.c.id.in_(ids))
    with desk.store.transaction() as tx:
        tx.connection.execute(kept.values(state=RejectedState.KEPT, retried_at=None))


def _is_event(value: bytes) -> bool:
    """Whether the bytes are a JSON object, as an event is; rows of tables are not."""
    try:
        return isinstance(msgspec.json.decode(value), dict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _said(outcome: Outcome) -> tuple[bool, str]:
    match outcome:
        case out.Accepted():
            return True, "taken"
        case out.Duplicate():
            return True, "had come meanwhile; nothing changed"
        case out.Parked(reason):
            return True, f"taken: {reason}"
        case out.Conflict(reason) | out.Refused(reason) | out.SetAside(reason):
            return False, f"not taken, and kept anew: {reason}"


def _report(desk: Desk, results: Sequence[_Retried], *, as_json: bool) -> None:
    taken = sum(result.taken for result in results)
    if as_json:
        print_json(
            {
                "at": moment(desk.now),
                "driven": len(results),
                "taken": taken,
                "results": [{"id": r.row.id, "taken": r.taken, "said": r.said} for r in results],
            }
        )
    elif not results:
        say("Nothing waits: everything that came in was taken.")
    else:
        for result in results:
            say(f"{result.row.id}: {shown(result.said)}")
        say(f"{taken} of {len(results)} taken.")
    if taken < len(results):
        raise click.exceptions.Exit(REFUSED)
