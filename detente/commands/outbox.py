"""`detente outbox`: what is told to whom, and what could not be."""

from collections.abc import Sequence
from shutil import get_terminal_size
from typing import Any

import click

from detente.client import is_of_a_cluster
from detente.desk import Desk, is_served, moment, open_desk, words
from detente.moments import ago, due_in
from detente.output import RefusedError, is_terminal, json_option, print_json, print_table, say
from detente.settings import db_option
from rules.effects import STAND_IN
from streams.store import OutboxEntry, OutboxStatus

_COLUMNS = ("id", "case", "what", "to", "since", "state", "tries", "why")
#: A terminal narrower than this does without the columns that say least.
_WIDE = 130
_WIDE_ONLY = frozenset({"since", "tries"})


@click.command()
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([status.value for status in OutboxStatus]),
    help="queued: about to be told. sent: told. dropped: no longer true before it was told. "
    "dead: nobody could be told.  [default: queued and dead]",
)
@click.option("--all", "everything", is_flag=True, help="Whatever became of it.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show at most N.")
@click.option("--retry", "retry_ids", type=int, multiple=True, metavar="ID", help="Try it again.")
@click.option("--retry-all", is_flag=True, help="Try everything again that is dead.")
@json_option
@db_option
def outbox(
    states: tuple[str, ...],
    everything: bool,
    limit: int | None,
    retry_ids: tuple[int, ...],
    retry_all: bool,
    as_json: bool,
    db: str | None,
) -> None:
    """List what waits to be told, and what could not be told to anybody.

    What is dead was tried over every route and given up. Mend the route or the directory, then
    try it again.

    \b
    detente outbox
    detente outbox --state dead
    detente outbox --retry 17
    detente outbox --retry-all
    """
    if retry_ids and retry_all:
        raise click.UsageError("--retry ID and --retry-all are two different things")
    with open_desk(db) as desk:
        if retry_ids or retry_all:
            _retry(desk, retry_ids, as_json=as_json)
            return
        wanted = [OutboxStatus(state) for state in states] or (
            None if everything else [OutboxStatus.QUEUED, OutboxStatus.DEAD]
        )
        with desk.store.reading() as tx:
            found = tx.list_outbox(wanted, limit=limit)
            counts = tx.count_outbox()
            served = is_served(tx, desk.now)
        if as_json:
            by_state = {str(status): counts.get(status, 0) for status in OutboxStatus}
            listed = [_document(entry) for entry in found]
            print_json({"at": moment(desk.now), "counts": by_state, "outbox": listed})
            return
        _show(desk, found)
        say(", ".join(f"{counts.get(status, 0)} {status}" for status in OutboxStatus) + ".")
        if counts.get(OutboxStatus.QUEUED) and not served:
            process = "relay" if is_of_a_cluster(desk.settings.db) else "serve"
            say(f"No service is running: nobody is told until `detente {process}` runs.")


def _retry(desk: Desk, ids: Sequence[int], *, as_json: bool) -> None:
    with desk.store.reading() as tx:
        known = {entry.seq: entry for entry in tx.list_outbox()} if ids else {}
    for seq in ids:
        if seq not in known:
            raise RefusedError(f"there is no entry {seq} in the outbox; `detente outbox` lists it")
        if known[seq].status is not OutboxStatus.DEAD:
            raise RefusedError(f"{seq} is {known[seq].status}; only what is dead is tried again")
    with desk.store.transaction() as tx:
        again = tx.retry_dead(ids or None)
    if as_json:
        print_json({"at": moment(desk.now), "queued": again})
        return
    say(f"{again} queued again; the service tells it within a minute." if again
        else "Nothing is dead: there is nothing to try again.")  # fmt: skip


def _show(desk: Desk, entries: Sequence[OutboxEntry]) -> None:
    narrow = is_terminal() and get_terminal_size().columns < _WIDE
    print_table(
        tuple(c for c in _COLUMNS if not (narrow and c in _WIDE_ONLY)),
        [
            tuple(v for c, v in _cells(desk, entry).items() if not (narrow and c in _WIDE_ONLY))
            for entry in entries
        ],
        empty="Nothing waits to be told.",
        numbers=("id", "tries"),
    )


def _cells(desk: Desk, entry: OutboxEntry) -> dict[str, object]:
    return {
        "id": entry.seq,
        "case": entry.effect.case_id,
        "what": str(entry.effect.kind),
        "to": _to(desk, entry),
        "since": ago(entry.effect.created_at, desk.now),
        "state": entry.status,
        "tries": entry.attempts,
        "why": _why(desk, entry),
    }


def _to(desk: Desk, entry: OutboxEntry) -> str:
    role = entry.effect.role
    plain = words(role.removesuffix(STAND_IN))
    said = plain if role.removesuffix(STAND_IN) == role else f"stand-in of {plain}"
    people = ", ".join(desk.people(role, entry.effect.partner_id, desk.now))
    return f"{said} ({people})" if people else said


def _why(desk: Desk, entry: OutboxEntry) -> str:
    parts = [entry.reason or "", entry.last_error or ""]
    if entry.status is OutboxStatus.QUEUED and entry.not_before is not None:
        parts.append(f"next {due_in(entry.not_before, desk.now)}")
    return "; ".join(filter(None, parts))


def _document(entry: OutboxEntry) -> dict[str, Any]:
    effect = entry.effect
    return {
        "id": entry.seq,
        "case": effect.case_id,
        "partner": effect.partner_id,
        "kind": str(effect.kind),
        "role": effect.role,
        "tier": effect.tier,
        "urgent": effect.urgent,
        "shadow": effect.shadow,
        "headline": effect.text.get("headline"),
        "created_at": moment(effect.created_at),
        "due": moment(effect.due),
        "state": str(entry.status),
        "reason": entry.reason,
        "attempts": entry.attempts,
        "last_error": entry.last_error,
        "not_before": moment(entry.not_before),
        "sent_at": moment(entry.sent_at),
        "reminders_sent": entry.reminders_sent,
    }
