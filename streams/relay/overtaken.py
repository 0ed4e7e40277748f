"""What is no longer true is not told: the case is looked at again just before sending."""

from rules.decision import CaseRow, Effect, EffectKind, State
from streams.relay.reasons import Reason


def overtaken(effect: Effect, case: CaseRow | None, *, newer_waits: bool) -> Reason | None:
    """Why an effect is not told any more, as its case stands now; None if it is still true.

    `newer_waits`: a later effect of the same sort waits for the same role (see `sort`).
    """
    if case is None:
        return None
    match effect.kind:
        case EffectKind.OPERATIONS | EffectKind.REPORT:
            return None
        case EffectKind.WARNING:
            # What its clock has outrun was called off when that was decided.
            return Reason.RETRACTED if case.state is State.RETRACTED else None
        case EffectKind.RETRACTION:
            return Reason.OVERTAKEN if newer_waits else None
        case EffectKind.UPDATE | EffectKind.JOINED:
            if case.state is State.RETRACTED:
                return Reason.RETRACTED
            return Reason.OVERTAKEN if newer_waits else None
        case EffectKind.ALERT | EffectKind.NOTICE:
            if (over := _ALERT_IS_OVER[case.state]) is not None:
                return over
            if case.parent is not None:
                return Reason.OVERTAKEN  # a disruption explains it, and has alerts of its own
            # A notice is told to the tiers below the one that the case stands at.
            moved = effect.kind is EffectKind.ALERT and case.tier != effect.tier
            return Reason.OVERTAKEN if moved or newer_waits else None


_ALERT_IS_OVER: dict[State, Reason | None] = {
    State.OPEN: None,
    State.WATCH: Reason.OVERTAKEN,
    State.ACKNOWLEDGED: Reason.ACKNOWLEDGED,
    State.WAITING: Reason.ACKNOWLEDGED,
    State.SNOOZED: Reason.ACKNOWLEDGED,
    State.RESOLVED: Reason.RESOLVED,
    State.CLOSED: Reason.RESOLVED,
    State.RETRACTED: Reason.RETRACTED,
}


def sort(kind: EffectKind) -> str:
    """Effects of one sort say the same thing, the newest the truest."""
    return "alert" if kind is EffectKind.NOTICE else kind.value
