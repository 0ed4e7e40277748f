"""`detente touchpoints`: the sessions that partners are promised, and what became of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import click

from detente.clock_lists import touchpoint_partners, world_of
from detente.desk import Desk, moment, open_desk, words
from detente.moments import due_in, length
from detente.output import json_option, print_json, print_table, say, shown
from detente.settings import db_option
from rules.clocks.clock import Clock, ClockState
from rules.clocks.touchpoint_clocks import Session, metric_of, sessions_said, touchpoint_clocks
from rules.deadlines import deadline
from rules.world import World
from schemas.documents import closest
from schemas.policy import Touchpoint
from schemas.time import DAY, Instant, local_text
from streams.store import Transaction

_COLUMNS = ("partner", "session", "every", "last held", "next due", "missed", "skipped, as agreed")
#: How many agreed skips a line of the table names; `--json` has all.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of session and one partner."""

    partner_id: str
    partner_tier: str
    kind: str
    promised: Touchpoint | None
    """None: it was promised, or held, once, and is promised no more."""
    clocks: Sequence[Clock]
    sessions: Sequence[Session]
    zone: ZoneInfo
    next_due: Instant | None
    """Of the one that runs; once it is kept, of the one after it. A missed one is not it."""

    @property
    def last_held(self) -> int | None:
        """When the newest one was held."""
        return max((s.at for s in self.sessions if s.agreed_by is None), default=None)

    @property
    def missed(self) -> list[Clock]:
        """Those that were late, or never came, the oldest first."""
        return [clock for clock in self.clocks if clock.state is ClockState.BREACHED]

    @property
    def skips(self) -> list[Session]:
        """Those that were skipped by agreement, the oldest first."""
        return [session for session in self.sessions if session.agreed_by is not None]


@click.command()
@click.option("--partner", metavar="ID", help="Only this partner.")
@json_option
@db_option
def touchpoints(partner: str | None, as_json: bool, db: str | None) -> None:
    """Show the sessions that each partner is promised: last held, next due, missed, skipped.

    Days are those of the partner's calendar. One that was held late counts as missed.

    \b
    Everybody:    detente touchpoints
    One partner:  detente touchpoints --partner nordlicht
    """
    with open_desk(db) as desk:
        with desk.store.reading() as tx:
            found = list(_kinds(desk, tx, partner))
        if as_json:
            listed = [_document(kind) for kind in found]
            print_json({"at": moment(desk.now), "touchpoints": listed})
            return
        if not found:
            _say_nothing(desk, partner)
            return
        print_table(_COLUMNS, [_cells(desk, kind) for kind in found])
        say(_count(found))


def _kinds(desk: Desk, tx: Transaction, partner: str | None) -> Iterator[_Kind]:
    world = world_of(desk)
    for partner_id, document, since in touchpoint_partners(desk, tx, desk.now, partner):
        said = document.contributions
        clocks = touchpoint_clocks(partner_id, said, world, since, desk.now)
        zone = world.zone(partner_id)
        sessions = sessions_said(said, zone, desk.now)
        tier, promised = _promised(desk, world, partner_id)
        kinds = {*promised, *(s.kind for s in sessions)}
        kinds |= {clock.metric.partition(":")[2] for clock in clocks}
        for kind in sorted(kinds):
            touchpoint, mine = promised.get(kind), metric_of(kind)
            coming = clocks
            if touchpoint is not None and _next_due(clocks, mine, desk.now) is None:
                # The period after this one has not begun; it has when one has passed.
                then = deadline(desk.now, touchpoint.every, desk.calendar(partner_id)) + DAY
                coming = touchpoint_clocks(partner_id, said, world, since, then)
            yield _Kind(
                partner_id,
                tier,
                kind,
                touchpoint,
                [clock for clock in clocks if clock.metric == mine],
                [session for session in sessions if session.kind == kind],
                zone,
                None if touchpoint is None else _next_due(coming, mine, desk.now),
            )


def _next_due(clocks: Sequence[Clock], metric: str, now: Instant) -> Instant | None:
    kept = (ClockState.MET, ClockState.EXCUSED, ClockState.CANCELLED)
    dues = [
        clock.due
        for clock in clocks
        if clock.metric == metric and clock.state not in kept and (clock.due or 0) >= now
    ]
    return Instant(min(filter(None, dues))) if dues else None


def _promised(desk: Desk, world: World, partner_id: str) -> tuple[str, dict[str, Touchpoint]]:
    tier = world.partner_tier(partner_id, desk.now)
    commitments = world.policies.at(desk.now).document.commitments.get(tier)
    listed = () if commitments is None else commitments.touchpoints
    return tier, {touchpoint.kind: touchpoint for touchpoint in reversed(listed)}


def _cells(desk: Desk, kind: _Kind) -> Sequence[str]:
    held, due, missed = kind.last_held, kind.next_due, kind.missed
    next_due = "" if due is None else f"{_last_day(due, kind.zone)} ({due_in(due, desk.now)})"
    named = [
        f"{_day(s.at, kind.zone)} ({desk.person(s.agreed_by or '')})" for s in kind.skips[-_NAMED:]
    ]
    more = len(kind.skips) - len(named)
    return (
        f"{kind.partner_id} ({kind.partner_tier})",
        words(kind.kind),
        "not promised" if kind.promised is None else str(kind.promised.every),
        "never" if held is None else _day(held, kind.zone),
        next_due,
        "" if not missed else f"{len(missed)}, last {_missed(missed[-1], kind.zone)}",
        ", ".join(named) + (f" and {more} before" if more > 0 else ""),
    )


def _missed(clock: Clock, zone: ZoneInfo) -> str:
    due = clock.breached_at
    assert due is not None, "a breach has passed its due time"
    late = f"held {length(clock.late)} late" if clock.stopped_at is not None else "not held"
    return f"due {_last_day(due, zone)}, {late}"


def _day(at: int, zone: ZoneInfo) -> str:
    return local_text(at, zone).partition(" ")[0]


def _last_day(due: int, zone: ZoneInfo) -> str:
    """The day at whose end it is due."""
    return _day(due - 1, zone)


def _count(found: Sequence[_Kind]) -> str:
    partners = len({kind.partner_id for kind in found})
    missed = sum(len(kind.missed) for kind in found)
    many = "1 partner" if partners == 1 else f"{partners} partners"
    return f"{many}; {missed} missed." if missed else f"{many}; none missed."


def _say_nothing(desk: Desk, partner: str | None) -> None:
    if partner is None:
        say("No partner is promised any session.")
        return
    partners = desk.knowledge.recipients.directory.partners
    say(f"{shown(partner)} is promised no session.")
    if partner not in partners:
        say(f"The directory lists no partner {shown(partner)}.{closest(partner, partners)}")


def _document(kind: _Kind) -> dict[str, Any]:
    promised = kind.promised
    return {
        "partner": kind.partner_id,
        "partner_tier": kind.partner_tier,
        "kind": kind.kind,
        "every": None if promised is None else str(promised.every),
        "anchor": None if promised is None else str(promised.anchor),
        "timezone": kind.zone.key,
        "last_held": moment(kind.last_held),
        "next_due": moment(kind.next_due),
        "owed": len(kind.clocks),
        "met": sum(clock.state is ClockState.MET for clock in kind.clocks),
        "missed": [
            {
                "clock": clock.clock_id,
                "due": moment(clock.breached_at),
                "held_at": moment(clock.stopped_at),
            }
            for clock in kind.missed
        ],
        "skipped": [
            {"at": moment(session.at), "agreed_by": session.agreed_by, "note": session.note}
            for session in kind.skips
        ],
    }
