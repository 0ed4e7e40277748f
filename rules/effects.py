"""Effects: what a step asks to be told, addressed to roles and never to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from rules.decision import Effect, EffectKind, State, StepKind
from rules.tickets import Disruption, Ticket
from schemas.policy import OPERATIONS, WATCH
from schemas.time import Instant

if TYPE_CHECKING:
    from rules.case import Case, Step
    from rules.policy import LadderStep

#: Added to a role, it means whoever stands in for the people who fill it.
STAND_IN = ":stand_in"

#: Begins the step of an effect that tells of a step's end: late truth took it back.
_WITHDRAWN = "withdrawn:"

#: Steps that are told as a change of a case that people know of.
_UPDATES = frozenset(
    {
        StepKind.ACKNOWLEDGED,
        StepKind.ASSIGNED,
        StepKind.WAITING,
        StepKind.SNOOZED,
        StepKind.RESOLVED,
        StepKind.CLOSED,
        StepKind.DISPUTED,
        StepKind.DISPUTE_DECIDED,
        StepKind.CLEARED,
    }
)


def effects_of(step: Step, case: Case) -> list[Effect]:
    """Whom a step that was just taken tells, and of what."""
    if step.kind is StepKind.WATCHED:
        return []
    tier = case.world.partner_tier(case.partner_id, case.opened_at or step.at)
    ladder = step.policy.ladder(tier)
    if step.kind is StepKind.ATTACHED and _was_told_on_its_own(case):
        return _each_role(EffectKind.UPDATE, ladder, step, case)
    if case.parent is not None:
        return []
    if step.alerts and step.state is State.ACKNOWLEDGED:
        return lowered(step, case, ladder[: case.highest + 1])  # it is owned: nobody is asked
    if step.alerts:
        alert = _effect(EffectKind.ALERT, ladder[step.rank], step, case)
        asked = [alert, *_below(EffectKind.NOTICE, ladder, step, case)]
        roles = {effect.role for effect in asked}
        above = lowered(step, case, ladder[step.rank + 1 : _asked_before(step, case) + 1])
        return [*asked, *(effect for effect in above if effect.role not in roles)]
    if step.kind is StepKind.NOT_CLIMBED:
        role = ladder[step.rank].document.notify
        return [
            _effect(EffectKind.NOTICE, ladder[step.rank], step, case, role + STAND_IN),
            _effect(EffectKind.NOTICE, ladder[step.rank], step, case, OPERATIONS),
        ]
    if step.kind is StepKind.RETRACTED:
        # Whom it was told to is the relay's knowledge; a role that heard nothing hears nothing.
        return _each_role(EffectKind.RETRACTION, ladder, step, case)
    if step.kind in _UPDATES:
        told = ladder[: max(case.highest, step.rank, 0) + 1]
        return _each_role(EffectKind.UPDATE, told, step, case)
    return []


def withdrawn_step(key: str, at: int) -> str:
    """The step of effects by which people hear that a step was taken back at an instant."""
    return f"{_WITHDRAWN}{key}@{at}"


def step_told(effect_step: str) -> str:
    """The key of the step that an effect tells of."""
    if not effect_step.startswith(_WITHDRAWN):
        return effect_step
    return effect_step.removeprefix(_WITHDRAWN).rpartition("@")[0]


def news_effect(
    name: str, kind: EffectKind, role: str, step: str, now: Instant, text: dict[str, object]
) -> Effect:
    """Something to tell that asks nobody to act, and is about no case. One name is told once."""
    return Effect(
        effect_id=blake2b(name.encode(), digest_size=12).hexdigest(),
        case_id=None,
        partner_id=None,
        step=step,
        kind=kind,
        role=role,
        tier=WATCH,
        state=None,
        urgent=False,
        shadow=False,
        at=now,
        created_at=now,
        due=None,
        remind_every=None,
        remind_at_most=0,
        actor=None,
        text=text,
    )


def report_effect(
    step: str,
    role: str,
    now: Instant,
    headline: str,
    *,
    partner_id: str | None = None,
    shadow: bool = False,
    **text: object,
) -> Effect:
    """A report for a role; `step` names it, and the same step tells the same role once.

    `text` is what `Effect.text` holds beside the headline: `report` with the `kind` and `key` of a
    stored one, or `why`, the lines of one that is told as it is.
    """
    said = {"headline": headline, **text}
    effect = news_effect(f"{step}|{role}", EffectKind.REPORT, role, step, now, said)
    return replace(effect, partner_id=partner_id, shadow=shadow)


def lowered(step: Step, case: Case, ladder: Sequence[LadderStep]) -> list[Effect]:
    """Whoever was told of a case at these tiers hears that it stands lower now."""
    return _each_role(EffectKind.UPDATE, tuple(ladder), step, case)


def _asked_before(step: Step, case: Case) -> int:
    """The highest tier that the case had come to before a step."""
    before = case.steps[: case.steps.index(step)]
    return max((earlier.rank for earlier in before), default=-1)


def _was_told_on_its_own(case: Case) -> bool:
    """Whether people were asked about a case that turns out to be part of a disruption."""
    standing = {step.key for step in case.steps}
    return any(
        taken.told and taken.withdrawn_at is None
        for key, taken in case.document.taken.items()
        if key.startswith("opened:") and key not in standing
    )


def _below(
    kind: EffectKind, ladder: tuple[LadderStep, ...], step: Step, case: Case
) -> list[Effect]:
    told = {ladder[step.rank].document.notify}
    effects = []
    for lower in reversed(ladder[: step.rank]):
        if lower.document.notify not in told:
            told.add(lower.document.notify)
            effects.append(_effect(kind, lower, step, case))
    return effects


def _each_role(
    kind: EffectKind, ladder: tuple[LadderStep, ...], step: Step, case: Case
) -> list[Effect]:
    by_role = {rung.document.notify: rung for rung in reversed(ladder)}
    return [_effect(kind, rung, step, case) for rung in by_role.values()]


def _effect(
    kind: EffectKind,
    rung: LadderStep,
    step: Step,
    case: Case,
    role: str | None = None,
) -> Effect:
    document = rung.document
    role = role or document.notify
    asks = kind is EffectKind.ALERT
    # A step taken again after it was withdrawn is told again, so its decision time is part.
    name = f"{case.case_id}|{step.key}|{step.decided_at}|{kind}|{role}"
    return Effect(
        blake2b(name.encode(), digest_size=12).hexdigest(),
        case.case_id,
        case.partner_id,
        step.key,
        kind,
        role,
        rung.tier if step.rank >= 0 else WATCH,
        State.OPEN if step.alerts and step.state is None else step.state,
        _is_urgent(case),
        step.shadow or rung.shadow,
        Instant(step.at),
        Instant(step.decided_at),
        None if step.due is None or not asks else Instant(step.due),
        str(document.remind_every) if asks and document.remind_every is not None else None,
        document.remind_at_most if asks else 0,
        step.actor,
        _text(step, case),
    )


def _is_urgent(case: Case) -> bool:
    subject = case.subject
    return isinstance(subject, Disruption) or (
        isinstance(subject, Ticket) and bool(subject.urgent())
    )


def _text(step: Step, case: Case) -> dict[str, object]:
    text: dict[str, object] = {
        "headline": f"{case.partner_id or 'several partners'}, {case.noun()}: {step.summary}",
        "why": step.why,
        "subject": case.noun(),
        "partner": case.partner_id,
        "partner_tier": case.world.partner_tier(case.partner_id, step.at),
    }
    exposure = case.subject.in_words("exposure")
    if exposure and not exposure.startswith("0.00 "):
        text["exposure"] = exposure
    following = _next(step)
    if following:
        text["next"] = following
    if step.note:
        text["note"] = step.note
    return text


def _next(step: Step) -> str | None:
    if not step.alerts or step.due is None:
        return None
    tiers = step.policy.tiers
    if step.rank + 1 < len(tiers):
        return f"if nobody acknowledges it in time, it goes to {tiers[step.rank + 1]}"
    return "this is the last tier; if nobody acknowledges it, operations are told"
