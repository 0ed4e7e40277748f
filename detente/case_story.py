"""The story of a case: its steps, why each was taken, and who was told."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from detente.desk import Desk, moment, words
from detente.output import is_terminal, say, shown
from rules.decision import CaseRow, EffectKind, State, StepRow
from rules.effects import step_told
from rules.transitions import ACTIVE
from schemas.time import MINUTE, local_text, to_instant
from streams.relay.reasons import HANDED_OVER
from streams.store import DeliveryRow, DeliveryStatus, OutboxEntry, OutboxStatus, Transaction

_TOLD = frozenset({DeliveryStatus.SENT, DeliveryStatus.BUNDLED, DeliveryStatus.WOULD_HAVE_TOLD})
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_AS = {
    EffectKind.ALERT: "to acknowledge",
    EffectKind.NOTICE: "for information",
    EffectKind.UPDATE: "of the change",
    EffectKind.RETRACTION: "that it was wrong",
    EffectKind.OPERATIONS: "to see to it",
    EffectKind.WARNING: "that time runs out",
    EffectKind.JOINED: "of what is late under it",
    EffectKind.REPORT: "to be read",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a report."""

    text: str
    indent: int = 0
    style: str = ""
    """On a terminal; a pipe gets the text alone."""


@dataclass(frozen=True, slots=True)
class CaseStory:
    """A case with everything that happened to it, in the order in which it happened."""

    case: CaseRow
    steps: Sequence[StepRow]
    entries: Sequence[OutboxEntry]
    deliveries: Sequence[DeliveryRow]


def load_story(tx: Transaction, case: CaseRow) -> CaseStory:
    """Read the story of a case."""
    # What was taken back keeps its place in time; its number may have been given anew.
    steps = sorted(tx.steps(case.case_id), key=lambda step: (step.at, step.n))
    entries = tx.list_outbox(case_id=case.case_id)
    return CaseStory(case, steps, entries, tx.deliveries_of(case.case_id))


def print_lines(lines: Iterable[Line]) -> None:
    """Print a report: wrapped and coloured on a terminal, a line each in a pipe."""
    if not is_terminal():
        for line in lines:
            say(f"{' ' * line.indent}{line.text}".rstrip())
        return
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        console.print(Padding(Text(line.text, line.style), (0, 0, 0, line.indent)))


# --- who was told ---------------------------------------------------------------------------------


def told_lines(desk: Desk, story: CaseStory, step: StepRow, zone: ZoneInfo) -> Iterator[str]:
    """Whom a step was told to, who was not told and why, and what still waits."""
    for entry in story.entries:
        if step_told(entry.effect.step) != step.key:
            continue
        rows = [row for row in story.deliveries if row.effect_id == entry.effect.effect_id]
        yield from (
            _delivery(desk, entry, row, rows[:n], zone)
            for n, row in enumerate(rows)
            if not _is_passed(row, rows[n + 1 :])
        )
        if not rows:
            yield _undelivered(desk, entry)


def _is_passed(row: DeliveryRow, later: Sequence[DeliveryRow]) -> bool:
    """Whether it only waited for something that has come since."""
    return row.status is DeliveryStatus.DEFERRED and any(
        other.person in (row.person, "") for other in later
    )


def _delivery(
    desk: Desk, entry: OutboxEntry, row: DeliveryRow, before: Sequence[DeliveryRow], zone: ZoneInfo
) -> str:
    who = desk.person(row.person) if row.person else f"the {words(entry.effect.role)}"
    at = local_text(row.at, zone)
    why = f": {_in_zone(shown(row.detail), zone)}" if row.detail else ""
    route = row.route.partition(" ")[2] or row.route
    match row.status:
        case DeliveryStatus.SENT | DeliveryStatus.BUNDLED:
            again = any(other.person == row.person and other.status in _TOLD for other in before)
            further = (row.detail or "").startswith(HANDED_OVER)
            told = "reminded" if again and not further else "told"
            others = ", in one message with others" if row.status is DeliveryStatus.BUNDLED else ""
            purpose = _AS[entry.effect.kind]
            return f"{told} {who} {purpose} by {route}{others}, {at}{why}"
        case DeliveryStatus.WOULD_HAVE_TOLD:
            return f"in shadow: {shown(row.detail)}; {who} was told so by {route}, {at}"
        case DeliveryStatus.FAILED:
            return f"could not tell {who} by {route}, {at}{why}"
        case DeliveryStatus.GIVEN_UP:
            return f"gave up telling {who}{f' by {route}' if route else ''}, {at}{why}"
        case DeliveryStatus.DEFERRED:
            return f"{who} will be told later{why}"
        case DeliveryStatus.DROPPED:
            return f"did not tell {who}{why}"


def _in_zone(text: str, zone: ZoneInfo) -> str:
    """A record's text with its UTC instants as the reader's clock shows them."""
    return _INSTANT.sub(
        lambda found: local_text(to_instant(datetime.fromisoformat(found[0])), zone), text
    )


def _undelivered(desk: Desk, entry: OutboxEntry) -> str:
    effect = entry.effect
    role = effect.role.partition(":")[0]
    stand_in = "the stand-in of " if effect.role != role else ""
    people = ", ".join(desk.people(effect.role, effect.partner_id, desk.now))
    who = f"{stand_in}the {words(role)}{f' ({people})' if people else ''}"
    why = f": {shown(entry.reason)}" if entry.reason else ""
    if entry.status is not OutboxStatus.QUEUED:
        return f"{who}: {entry.status}{why}"
    if effect.kind in (EffectKind.UPDATE, EffectKind.RETRACTION):
        return f"whoever was told as {who} is about to hear {_AS[effect.kind]}{why}"
    return f"{who} is about to be told {_AS[effect.kind]}{why}"


# --- as text --------------------------------------------------------------------------------------


def headline_lines(desk: Desk, case: CaseRow, zone: ZoneInfo) -> Iterator[Line]:
    """Who, what, and where the case stands."""
    yield Line(shown(case.headline), style="bold")
    stands = str(case.state)
    if case.tier in desk.knowledge.policy.tiers:
        stands += f" at {case.tier}"
    if case.highest_tier not in (case.tier, "watch"):
        stands += f" (was at {case.highest_tier})"
    since = case.opened_at if case.state in (*ACTIVE, State.WATCH) else case.changed_at
    yield Line(f"{case.case_id}  {stands}, since {local_text(since, zone)}")
    if case.owner:
        yield Line(f"owner: {shown(desk.person(case.owner))}")
    role = desk.role(case)
    if role is not None and case.due is not None and (not case.owner or case.state is State.OPEN):
        step = next(s for s in desk.knowledge.policy.ladder(case.partner_tier)
                    if s.tier == case.tier)  # fmt: skip
        people = desk.people(step.document.notify, case.partner_id or None, desk.now)
        yield Line(f"asked: the {role} ({shown(', '.join(people) or 'nobody can be told')})")
    if case.rules:
        yield Line(f"rules: {', '.join(case.rules)}")
    if case.parent:
        yield Line(f"attached to {case.parent}: nobody is alerted about this one by itself")
    if case.disputed:
        yield Line("disputed: somebody says that it is wrong, and nobody has decided yet")
    if case.shadow:
        yield Line("in shadow: only the redirect target is told")


def step_lines(
    desk: Desk, story: CaseStory, zone: ZoneInfo, *, receipts: bool = False
) -> Iterator[Line]:
    """The story step by step; with `receipts` also rules, policy and source events of each."""
    for step in story.steps:
        yield from _step(desk, story, step, zone, receipts=receipts)


def _step(
    desk: Desk, story: CaseStory, step: StepRow, zone: ZoneInfo, *, receipts: bool
) -> Iterator[Line]:
    receipt = step.receipt
    withdrawn = step.withdrawn_at is not None
    struck, dim = ("strike dim", "dim strike") if withdrawn else ("bold", "dim")
    yield Line(f"{local_text(step.at, zone)}  {shown(desk.said(step))}", style=struck)
    if step.withdrawn_at is not None:
        yield Line(f"withdrawn {local_text(step.withdrawn_at, zone)}: no longer true", 4, "yellow")
    if step.decided_at - step.at >= MINUTE:
        yield Line(f"decided {local_text(step.decided_at, zone)}", 4, dim)
    for why in _texts(receipt.get("why")):
        yield Line(why, 4, struck if withdrawn else "")
    if receipt.get("note"):
        who = f"{shown(desk.person(step.actor))} notes" if step.actor else "note"
        yield Line(f"{who}: {shown(receipt['note'])}", 4, struck if withdrawn else "")
    if step.due is not None:
        yield Line(f"to be acknowledged by {local_text(step.due, zone)}", 4, dim)
    if receipts:
        if rules := _texts(receipt.get("rules")):
            yield Line(f"rules: {', '.join(rules)}; policy {step.policy}", 4, dim)
        else:
            yield Line(f"policy {step.policy}", 4, dim)
        if said := ", ".join(_events(receipt)):
            yield Line(f"from {said}", 4, dim)
    for told in told_lines(desk, story, step, zone):
        yield Line(told, 4, "dim italic")


def _texts(value: object) -> list[str]:
    return [shown(item) for item in value] if isinstance(value, list) else []


def _events(receipt: dict[str, Any]) -> Iterator[str]:
    events = receipt.get("events")
    for event in events if isinstance(events, list) else ():
        yield shown(f"{event['type']} {event['source']}#{event['id']}")


# --- as a document --------------------------------------------------------------------------------


def step_document(step: StepRow) -> dict[str, Any]:
    """A step for `--json`, with its receipt."""
    return {
        "key": step.key,
        "kind": str(step.kind),
        "tier": step.tier,
        "at": moment(step.at),
        "decided_at": moment(step.decided_at),
        "due": moment(step.due),
        "actor": step.actor,
        "policy": step.policy,
        **{name: step.receipt.get(name) for name in ("summary", "why", "rules", "note", "events")},
        "withdrawn_at": moment(step.withdrawn_at),
    }


def told_documents(story: CaseStory) -> list[dict[str, Any]]:
    """Every effect and every attempt to tell somebody, for `--json`."""
    return [
        {
            "step": entry.effect.step,
            "kind": str(entry.effect.kind),
            "role": entry.effect.role,
            "status": str(entry.status),
            "reason": entry.reason,
            "deliveries": [
                {
                    "person": row.person or None,
                    "route": row.route or None,
                    "status": str(row.status),
                    "at": moment(row.at),
                    "bundle": row.bundle_id,
                    "detail": row.detail,
                }
                for row in story.deliveries
                if row.effect_id == entry.effect.effect_id
            ],
        }
        for entry in story.entries
    ]
