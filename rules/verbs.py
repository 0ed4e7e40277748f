"""What people decide about a case: each verb of a `case.*` event, where it was given.

Whoever may not own a case, or comes too late, is not ignored: the word stays as a comment.
"""

from rules import transitions
from rules.case import Case, step_key
from rules.decision import State, StepKind
from rules.subjects import Contribution, Ordered
from rules.tickets import Ticket


def obey(case: Case, command: Contribution, at: int) -> None:
    """A person's decision, on the same road as everything else."""
    said = Ordered(*command.data)
    verb = command.type.partition(".")[2]
    key = step_key(verb, command)
    if case.state in (None, State.WATCH):
        return  # kept in the document; there is nothing that it could act on yet
    if case.state is State.RETRACTED and verb != "commented":
        _remark(case, key, at, said, f"{verb}: came when the case had been retracted")
        return
    match verb:
        case "acknowledged":
            _acknowledge(case, key, at, said)
        case "assigned":
            _assign(case, key, at, said)
        case "escalated":
            _escalate_by_hand(case, key, at, said)
        case "deescalated":
            _deescalate_by_hand(case, key, at, said)
        case "waiting" | "snoozed":
            _put_off(case, verb, key, at, said)
        case "resolved" | "closed":
            kind = StepKind.RESOLVED if verb == "resolved" else StepKind.CLOSED
            if transitions.after(case.state, kind) is None:
                _remark(case, key, at, said, f"{verb}: the case was {case.state} already")
                return
            why = [
                f"{name.replace('_', ' ')}: {said.detail[name]}"
                for name in ("root_cause", "action", "prevention")
                if name in said.detail
            ]
            case.settle(kind, key, at, said, f"{verb} by {said.actor}", why)
        case "reopened":
            if transitions.after(case.state, StepKind.REOPENED) is None:
                _remark(case, key, at, said, f"reopened: the case was {case.state}")
                return
            case.episode += 1
            case.move(
                StepKind.REOPENED,
                key,
                max(case.rank, 0),
                at,
                f"reopened by {said.actor}",
                actor=said.actor,
                note=said.note,
            )
        case "moved":
            case.policy = case.world.policies.at(at)
            if case.rank >= 0:
                case.set_tier(min(case.rank, len(case.policy.tiers) - 1))
            step = case.step(
                StepKind.MOVED,
                key,
                at,
                "judged under the policy in force now",
                actor=said.actor,
                note=said.note,
            )
            if case.state in transitions.TICKING and case.parent is None:
                case.change_dues(max(step.at, step.decided_at))
        case "disputed":
            case.disputed = True
            case.disputed_by = said.actor
            case.step(
                StepKind.DISPUTED,
                key,
                at,
                f"disputed by {said.actor}",
                why=[f"evidence: {said.detail.get('evidence', '')}"],
                actor=said.actor,
                note=said.note,
            )
        case "dispute_decided":
            _decide_dispute(case, key, at, said)
        case "excused":
            _remark(case, key, at, said, f"clock {said.detail.get('clock')} excused")
        case _:
            _remark(case, key, at, said, f"comment by {said.actor}")


def _remark(case: Case, key: str, at: int, said: Ordered, summary: str) -> None:
    case.step(StepKind.COMMENTED, key, at, summary, actor=said.actor, note=said.note)


def _may_own(case: Case, said: Ordered) -> bool:
    """A recipient of this tier, their stand-in, the owner, or who takes the case over."""
    return _is_asked(case, said) or bool(said.detail.get("take_over"))


def _is_asked(case: Case, said: Ordered) -> bool:
    return case.ladder_step().document.notify in said.roles or said.actor == case.owner


def _acknowledge(case: Case, key: str, at: int, said: Ordered) -> None:
    if case.state not in transitions.ACTIVE:
        _remark(case, key, at, said, f"acknowledged: the case was {case.state} already")
        return
    if not _may_own(case, said):
        role = case.ladder_step().document.notify.replace("_", " ")
        _remark(
            case,
            key,
            at,
            said,
            f"{said.actor} is not the {role}, their stand-in or the owner: counted as a comment",
        )
        return
    over = "" if _is_asked(case, said) else " and taken over"
    case.owner = said.actor  # whose word counts says by it that the case is theirs
    if isinstance(case.subject, Ticket):
        case.subject.own(at, said.actor)
    case.resume(at)
    case.ack_due = case.wake_at = None
    how = " with others at once" if said.detail.get("bulk") else ""
    case.step(
        StepKind.ACKNOWLEDGED,
        key,
        at,
        f"acknowledged by {said.actor}{over}{how}",
        actor=said.actor,
        note=said.note,
    )


def _assign(case: Case, key: str, at: int, said: Ordered) -> None:
    to = str(said.detail["to"])
    case.owner = to
    if to == said.actor and case.state is State.OPEN:
        # Who assigns a case to themselves takes it over.
        case.ack_due = None
        case.state = State.ACKNOWLEDGED
    case.step(
        StepKind.ASSIGNED,
        key,
        at,
        f"assigned to {to} by {said.actor}",
        actor=said.actor,
        note=said.note,
    )


def _named_rank(case: Case, said: Ordered, default: int) -> int | None:
    to = said.detail.get("to")
    if to is None:
        return default if 0 <= default < len(case.policy.tiers) else None
    return case.policy.tiers.index(to) if to in case.policy.tiers else None


def _escalate_by_hand(case: Case, key: str, at: int, said: Ordered) -> None:
    rank = _named_rank(case, said, case.rank + 1)
    if case.state not in transitions.ACTIVE or rank is None or rank <= case.rank:
        _remark(case, key, at, said, f"escalated by {said.actor}: there is no tier to go to")
        return
    case.parent = None
    case.move(
        StepKind.ESCALATED,
        key,
        rank,
        at,
        f"escalated to {case.policy.tiers[rank]} by {said.actor}",
        [said.note] if said.note else [],
        actor=said.actor,
        note=said.note,
    )


def _deescalate_by_hand(case: Case, key: str, at: int, said: Ordered) -> None:
    rank = _named_rank(case, said, case.rank - 1)
    if case.state not in transitions.ACTIVE or rank is None or rank >= case.rank:
        _remark(case, key, at, said, f"deescalated by {said.actor}: there is no tier below")
        return
    case.move(
        StepKind.DEESCALATED,
        key,
        rank,
        at,
        f"deescalated to {case.policy.tiers[rank]} by {said.actor}",
        actor=said.actor,
        note=said.note,
    )


def _put_off(case: Case, verb: str, key: str, at: int, said: Ordered) -> None:
    kind = StepKind.WAITING if verb == "waiting" else StepKind.SNOOZED
    until = said.detail.get("until")
    if case.state not in transitions.ACTIVE or not (
        _may_own(case, said) or case.state is not State.OPEN
    ):
        _remark(case, key, at, said, f"{verb}: only who may own the case can put it off")
        return
    if until is not None and until <= at:
        _remark(case, key, at, said, f"{verb}: until a time that had passed already")
        return
    case.pause(at)
    case.wake_at = until
    end = f" until {case.local(until)}" if until is not None else ""
    what = "waiting on the partner" if verb == "waiting" else "snoozed"
    case.step(kind, key, at, f"{what}{end}, by {said.actor}", actor=said.actor, note=said.note)


def _decide_dispute(case: Case, key: str, at: int, said: Ordered) -> None:
    owns = said.actor == case.owner or (case.owner is None and "account_manager" in said.roles)
    if not case.disputed:
        _remark(case, key, at, said, "dispute decided: nobody had disputed the case")
        return
    if owns or said.actor == case.disputed_by:
        stake = "owns the case" if owns else "disputes the case"
        summary = f"{said.actor} {stake} and cannot decide the dispute about it"
        _remark(case, key, at, said, summary)
        return
    case.disputed = False
    verdict = str(said.detail["verdict"])
    case.step(
        StepKind.DISPUTE_DECIDED,
        key,
        at,
        f"dispute decided by {said.actor}: {verdict}",
        actor=said.actor,
        note=said.note,
    )
    if verdict == "corrected":
        case.stop_clocks()
        case.step(
            StepKind.RETRACTED,
            f"retracted:{key}",
            at,
            "retracted: the dispute was right",
            actor=said.actor,
        )
    elif verdict == "excused" and case.state in transitions.ACTIVE:
        case.excused = True
        case.settle(StepKind.CLOSED, f"closed:{key}", at, said, "closed: excused")
