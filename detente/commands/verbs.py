"""What people do with cases: `detente ack`, `assign`, `resolve` and their like.

Each is an event like any other and takes the same road; what comes of it is read afterwards.
"""

import getpass
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import click

from detente.client import submit
from detente.desk import Desk, case_document, find_cases, moment, open_desk
from detente.moments import due_in, read_until
from detente.output import REFUSED, RefusedError, json_option, print_json, remark, say, shown
from detente.settings import db_option
from rules.decision import CaseRow, State, StepKind, StepRow
from rules.transitions import ACTIVE
from schemas.documents import closest
from schemas.events import Verdict
from schemas.time import iso, local_text
from streams import outcome as out
from streams.outcome import Outcome

SOURCE = "/cli"

F = TypeVar("F", bound=Callable[..., Any])
#: What the verb needs for one case, beside actor and note.
Detail = Callable[[Desk, CaseRow], Mapping[str, Any]]

_ACTIVE = frozenset(ACTIVE)
_SETTLED = frozenset({State.RESOLVED, State.CLOSED})
_ANY = frozenset(State) - {State.WATCH}


@dataclass(frozen=True, slots=True)
class _Verb:
    """A command: its event, the states in which it means something, and how it is done."""

    event: str
    states: frozenset[State]


_ACK = _Verb("case.acknowledged", _ACTIVE)
_ASSIGN = _Verb("case.assigned", _ACTIVE)
_ESCALATE = _Verb("case.escalated", _ACTIVE)
_DEESCALATE = _Verb("case.deescalated", _ACTIVE)
_RESOLVE = _Verb("case.resolved", _ACTIVE)
_CLOSE = _Verb("case.closed", _ACTIVE | {State.RESOLVED})
_REOPEN = _Verb("case.reopened", _SETTLED)
_SNOOZE = _Verb("case.snoozed", _ACTIVE)
_WAIT = _Verb("case.waiting", _ACTIVE)
_COMMENT = _Verb("case.commented", _ANY)
_DISPUTE = _Verb("case.disputed", _ANY - {State.RETRACTED})
_DECIDE = _Verb("case.dispute_decided", _ANY - {State.RETRACTED})
_MOVE = _Verb("case.moved", _ACTIVE)


@dataclass(frozen=True, slots=True)
class _Result:
    """What came of a verb for one case."""

    case: CaseRow
    done: bool
    said: str
    """What was done, or why it was not."""


def _common(*, note: bool = True) -> Callable[[F], F]:
    """The arguments that all verbs share."""

    def add(command: F) -> F:
        command = db_option(json_option(command))
        if note:
            command = click.option("--note", metavar="TEXT", help="A remark to keep with it.")(
                command
            )
        command = click.option(
            "--as",
            "actor",
            metavar="PERSON",
            help="Who you are, as the directory names you.  [default: $DETENTE_ACTOR, else your "
            "login name]",
        )(command)
        return click.argument("case_ids", metavar="CASE...", nargs=-1, required=True)(command)

    return add


# --- the commands ---------------------------------------------------------------------------------


@click.command()
@_common()
@click.option("--take-over", is_flag=True, help="Own it although others were asked.")
def ack(case_ids: tuple[str, ...], take_over: bool, **options: Any) -> None:
    """Say that a case is yours: you own it from now on, and nobody is asked further.

    It counts if you are one of those who were asked, their stand-in, or the owner; from anybody
    else it is kept as a comment, unless you take the case over.

    \b
    detente ack C-QKVK6VEMGJ84
    detente ack qkv 7nd --as claire --note "calling them now"
    detente ack qkv --take-over
    """
    more: dict[str, Any] = {"take_over": True} if take_over else {}
    if len(set(case_ids)) > 1:
        more["bulk"] = True
    _do(_ACK, case_ids, lambda desk, case: more, **options)


@click.command()
@_common()
@click.option("--to", required=True, metavar="PERSON", help="The new owner.")
def assign(case_ids: tuple[str, ...], to: str, **options: Any) -> None:
    """Give a case to somebody: they own it from now on.

    Who assigns a case to themselves has thereby acknowledged it.

    \b
    detente assign C-QKVK6VEMGJ84 --to jonas
    """
    _do(_ASSIGN, case_ids, lambda desk, case: {"to": _person(desk, to, "--to")}, **options)


@click.command()
@_common()
@click.option("--to", metavar="TIER", help="The tier.  [default: the next one up]")
def escalate(case_ids: tuple[str, ...], to: str | None, **options: Any) -> None:
    """Take a case up one tier, or to the tier that you name.

    \b
    detente escalate C-QKVK6VEMGJ84 --note "they threaten to leave"
    detente escalate C-QKVK6VEMGJ84 --to executive
    """
    _do(_ESCALATE, case_ids, lambda desk, case: _tier(desk, to), **options)


@click.command()
@_common()
@click.option("--to", metavar="TIER", help="The tier.  [default: the next one down]")
def deescalate(case_ids: tuple[str, ...], to: str | None, **options: Any) -> None:
    """Take a case down one tier, or to the tier that you name.

    \b
    detente deescalate C-QKVK6VEMGJ84
    """
    _do(_DEESCALATE, case_ids, lambda desk, case: _tier(desk, to), **options)


@click.command()
@_common()
@click.option("--root-cause", metavar="TEXT", help="What caused it; asked for if left out.")
@click.option("--action", metavar="TEXT", help="What was done about it.")
@click.option("--prevention", metavar="TEXT", help="What keeps it from happening again.")
def resolve(
    case_ids: tuple[str, ...],
    root_cause: str | None,
    action: str | None,
    prevention: str | None,
    **options: Any,
) -> None:
    """Say that a case is solved, and what caused it.

    Reports and patterns learn from the root cause, so it is always asked for.

    \b
    detente resolve C-QKVK6VEMGJ84
    detente resolve C-QKVK6VEMGJ84 --root-cause "lorry broke down" --action "sent another one"
    """
    if not root_cause:
        if not sys.stdin.isatty():
            raise click.UsageError("--root-cause is required where nobody can be asked for it")
        root_cause = click.prompt("What caused it?", err=True)
    said = {"root_cause": root_cause, "action": action, "prevention": prevention}
    detail = {name: value for name, value in said.items() if value}
    _do(_RESOLVE, case_ids, lambda desk, case: detail, **options)


@click.command()
@_common()
def close(case_ids: tuple[str, ...], **options: Any) -> None:
    """Close a case: there is nothing more to do or to learn.

    \b
    detente close C-QKVK6VEMGJ84
    """
    _do(_CLOSE, case_ids, lambda desk, case: {}, **options)


@click.command()
@_common()
def reopen(case_ids: tuple[str, ...], **options: Any) -> None:
    """Open a resolved or closed case again: it was not solved after all.

    \b
    detente reopen C-QKVK6VEMGJ84 --note "the second pallet is missing too"
    """
    _do(_REOPEN, case_ids, lambda desk, case: {}, **options)


@click.command()
@_common()
@click.option(
    "--until", required=True, metavar="WHEN", help="2026-11-23, 2026-11-23 14:00, 3d, 4bh or 2bd."
)
def snooze(case_ids: tuple[str, ...], until: str, **options: Any) -> None:
    """Let a case rest until a day or time; then it comes back to whoever it was with.

    A day means when business opens on it. Times are the partner's, and business hours (4bh) and
    days (2bd) are those of the partner's calendar.

    \b
    detente snooze C-QKVK6VEMGJ84 --until 2026-11-23
    detente snooze C-QKVK6VEMGJ84 --until 2bd
    """
    _do(_SNOOZE, case_ids, lambda desk, case: _until(desk, case, until), **options)


@click.command()
@_common()
@click.option("--until", metavar="WHEN", help="Until when at most; as for `detente snooze`.")
def waiting(case_ids: tuple[str, ...], until: str | None, **options: Any) -> None:
    """Say that nothing can be done until the partner answers.

    The clocks stand still until then. A reply of the partner on a ticket ends it by itself.

    \b
    detente waiting C-QKVK6VEMGJ84 --until 5bd --note "asked for photos"
    """
    _do(
        _WAIT,
        case_ids,
        lambda desk, case: {} if until is None else _until(desk, case, until),
        **options,
    )


@click.command()
@_common(note=False)
@click.option("--note", "-m", required=True, metavar="TEXT", help="What you want to say.")
def comment(case_ids: tuple[str, ...], **options: Any) -> None:
    """Write a note on a case. It changes nothing else.

    \b
    detente comment C-QKVK6VEMGJ84 -m "spoke with their buyer, all calm"
    """
    _do(_COMMENT, case_ids, lambda desk, case: {}, **options)


@click.command()
@_common()
@click.option("--evidence", required=True, metavar="TEXT", help="What shows it: a document, a log.")
def dispute(case_ids: tuple[str, ...], evidence: str, **options: Any) -> None:
    """Say that a case is wrong, and name the evidence.

    Somebody who does not own the case decides with `detente decide-dispute`. Until then the case
    stands, and both stay on record.

    \b
    detente dispute C-QKVK6VEMGJ84 --evidence "signed delivery note 4711 of 3 November"
    """
    _do(_DISPUTE, case_ids, lambda desk, case: {"evidence": evidence}, **options)


@click.command(name="decide-dispute")
@_common()
@click.option(
    "--verdict",
    required=True,
    type=click.Choice([verdict.value for verdict in Verdict]),
    help="upheld: the case stands. corrected: it was wrong and is withdrawn. excused: it happened, "
    "and does not count against us.",
)
def decide_dispute(case_ids: tuple[str, ...], verdict: str, **options: Any) -> None:
    """Decide a dispute about a case that you do not own.

    \b
    detente decide-dispute C-QKVK6VEMGJ84 --verdict corrected --note "the note is genuine"
    """
    _do(_DECIDE, case_ids, lambda desk, case: {"verdict": verdict}, **options)


@click.command()
@_common()
def move(case_ids: tuple[str, ...], **options: Any) -> None:
    """Judge a case under the policy that is in force now.

    A case keeps the policy under which it was opened. This moves it to the newest version; the
    steps that were taken stay.

    \b
    detente move C-QKVK6VEMGJ84
    """
    _do(_MOVE, case_ids, lambda desk, case: {}, **options)


# --- who, when, where to --------------------------------------------------------------------------


def _person(desk: Desk, named: str, where: str) -> str:
    """The person who is meant, by id or by whole name; a warning if nobody is."""
    people = desk.knowledge.recipients.directory.people
    if named in people:
        return named
    same = [key for key, person in people.items() if person.name.lower() == named.lower()]
    if len(same) == 1:
        return same[0]
    known = ", ".join(list(people)[:20]) + (", ..." if len(people) > 20 else "")
    remark(
        f"Warning: the directory knows nobody called {shown(named)} ({where})."
        f"{closest(named, people)} It lists {known or 'nobody yet'}."
    )
    return named


def _actor(desk: Desk, given: str | None) -> str:
    if given:
        return _person(desk, given, "--as")
    if named := os.environ.get("DETENTE_ACTOR"):
        return _person(desk, named, "$DETENTE_ACTOR")
    return _person(desk, getpass.getuser(), "your login name; --as PERSON says who you are")


def _tier(desk: Desk, to: str | None) -> Mapping[str, Any]:
    if to is None:
        return {}
    tiers = desk.knowledge.policy.tiers
    if to not in tiers:
        raise RefusedError(
            f"there is no tier {to!r}.{closest(to, tiers)} Tiers are {', '.join(tiers)}"
        )
    return {"to": to}


def _until(desk: Desk, case: CaseRow, text: str) -> Mapping[str, Any]:
    calendar = desk.calendar(case.partner_id)
    try:
        return {"until": iso(read_until(text, desk.now, calendar), calendar.zone)}
    except ValueError as error:
        raise RefusedError(f"--until: {error}") from None


# --- doing it -------------------------------------------------------------------------------------


def _do(
    verb: _Verb,
    case_ids: Sequence[str],
    detail: Detail,
    *,
    actor: str | None,
    as_json: bool,
    db: str | None,
    note: str | None = None,
) -> None:
    with open_desk(db) as desk:
        with desk.store.reading() as tx:
            cases = find_cases(tx, tuple(case_ids))
        who = _actor(desk, actor)
        refused = [_Result(case, False, why) for case in cases if (why := _why_not(verb, case))]
        wanted = [case for case in cases if not _why_not(verb, case)]
        events = [_event(desk, verb, case, who, note, detail(desk, case)) for case in wanted]
        outcomes = submit(desk.settings, events) if events else []
        with desk.store.reading() as tx:
            now = tx.cases(case.case_id for case in wanted)
            steps = {case.case_id: tx.steps(case.case_id) for case in wanted}
        results = refused + [
            _result(verb, now[case.case_id], event["id"], outcome, steps[case.case_id])
            for case, event, outcome in zip(wanted, events, outcomes, strict=True)
        ]
        if as_json:
            print_json({"at": moment(desk.now), "results": list(map(_document, results))})
        else:
            for result in results:
                _show(desk, result, who)
    if not all(result.done for result in results):
        raise click.exceptions.Exit(REFUSED)


def _why_not(verb: _Verb, case: CaseRow) -> str | None:
    """Why the verb means nothing for the case as it stands, or None if it does."""
    if case.state is State.WATCH:
        return "is only watched: nobody is asked to do anything about it"
    if verb is _DECIDE and not case.disputed:
        return "is not disputed; there is nothing to decide"
    if case.state in verb.states:
        return None
    if case.state is State.RETRACTED:
        return "was retracted: it was wrong, and there is nothing to do about it"
    if case.state in _SETTLED:
        also = "" if verb is _CLOSE else "; `detente reopen` opens it again"
        return f"is {case.state} already{also}"
    return f"is {case.state}, so it cannot be {verb.event.partition('.')[2]}"


def _event(
    desk: Desk, verb: _Verb, case: CaseRow, actor: str, note: str | None, detail: Mapping[str, Any]
) -> dict[str, Any]:
    data: dict[str, Any] = {"case_id": case.case_id, "actor": actor}
    if case.partner_id:
        data["partner_id"] = case.partner_id
    if note:
        data["note"] = note
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": SOURCE,
        "type": verb.event,
        "time": iso(desk.now),
        "data": {**data, **detail},
    }


def _result(
    verb: _Verb, case: CaseRow, event_id: str, outcome: Outcome, steps: Sequence[StepRow]
) -> _Result:
    match outcome:
        case out.Refused(reason) | out.Conflict(reason) | out.SetAside(reason):
            return _Result(case, False, f"was not changed: {reason}")
        case out.Parked(reason):
            return _Result(case, False, reason)
        case out.Accepted() | out.Duplicate():
            pass
    step = next((step for step in steps if f"{SOURCE}#{event_id}" in step.key), None)
    if step is None:
        return _Result(case, False, "took it, and nothing came of it")
    summary = str(step.receipt.get("summary", ""))
    if step.kind is StepKind.COMMENTED and verb is not _COMMENT:
        kept = "" if summary.endswith("comment") else "; kept as a comment"
        hint = "; with --take-over it is yours" if verb is _ACK else ""
        return _Result(case, False, f"was not changed: {summary}{kept}{hint}")
    return _Result(case, True, summary)


def _document(result: _Result) -> dict[str, Any]:
    return case_document(result.case) | {"done": result.done, "said": result.said}


def _show(desk: Desk, result: _Result, actor: str) -> None:
    case = result.case
    said = shown(desk.knowledge.recipients.in_names(result.said, actor))
    if not result.done:
        remark(f"{case.case_id} {said}.")
        return
    zone = desk.calendar(case.partner_id).zone
    stands = f"{case.state} at {case.tier}" if case.state in ACTIVE else str(case.state)
    owner = f", owner {shown(desk.person(case.owner))}" if case.owner else ""
    disputed = ", disputed" if case.disputed else ""
    say(f"{case.case_id} {said}.")
    say(f"  {shown(case.headline)}")
    say(f"  now {stands}{owner}{disputed}")
    if case.due is not None and case.state in ACTIVE:
        what = {"acknowledge": "to be acknowledged by", "resolve": "to be resolved by",
                "wake": "comes back"}.get(case.waits_for or "", "goes on")  # fmt: skip
        say(f"  {what} {local_text(case.due, zone)} ({due_in(case.due, desk.now)})")
