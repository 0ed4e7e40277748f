"""The life of a case: the states it can be in, and which step leads from one to another.

The table is the law: a step that it does not list for a state changes nothing there. The
diagram in docs/case-states.md is generated from it (`make docs`).
"""

from rules.decision import State, StepKind

#: What moves a case that somebody must still work on.
_ACTIVE = {
    StepKind.RAISED: State.OPEN,
    StepKind.ESCALATED: State.OPEN,
    StepKind.DEESCALATED: State.OPEN,
    StepKind.ACKNOWLEDGED: State.ACKNOWLEDGED,
    StepKind.WAITING: State.WAITING,
    StepKind.SNOOZED: State.SNOOZED,
    StepKind.RESOLVED: State.RESOLVED,
    StepKind.CLOSED: State.CLOSED,
    StepKind.RETRACTED: State.RETRACTED,
}

#: State to step to the state that follows. `None` is a subject without a case.
TRANSITIONS: dict[State | None, dict[StepKind, State]] = {
    None: {
        StepKind.WATCHED: State.WATCH,
        StepKind.OPENED: State.OPEN,
        StepKind.ATTACHED: State.OPEN,
    },
    State.WATCH: {
        StepKind.OPENED: State.OPEN,
        StepKind.ATTACHED: State.OPEN,
        StepKind.RETRACTED: State.RETRACTED,
    },
    State.OPEN: _ACTIVE,
    State.ACKNOWLEDGED: _ACTIVE,
    State.WAITING: {**_ACTIVE, StepKind.WOKEN: State.ACKNOWLEDGED},
    State.SNOOZED: {**_ACTIVE, StepKind.WOKEN: State.ACKNOWLEDGED},
    State.RESOLVED: {
        StepKind.REOPENED: State.OPEN,
        StepKind.CLOSED: State.CLOSED,
        StepKind.RETRACTED: State.RETRACTED,
    },
    State.CLOSED: {
        StepKind.REOPENED: State.OPEN,
        StepKind.RETRACTED: State.RETRACTED,
    },
    State.RETRACTED: {
        StepKind.WATCHED: State.WATCH,
        StepKind.OPENED: State.OPEN,
        StepKind.ATTACHED: State.OPEN,
    },
}

#: States in which somebody must still do something.
ACTIVE = frozenset({State.OPEN, State.ACKNOWLEDGED, State.WAITING, State.SNOOZED})
#: States in which a case counts as standing: it was right, settled or not.
STANDING = frozenset(
    {State.OPEN, State.ACKNOWLEDGED, State.WAITING, State.SNOOZED, State.RESOLVED, State.CLOSED}
)
#: States in which the clocks of the ladder run.
TICKING = frozenset({State.OPEN, State.ACKNOWLEDGED})


def after(state: State | None, step: StepKind) -> State | None:
    """The state that follows, or None when the step means nothing there."""
    return TRANSITIONS[state].get(step)


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    name = {state: state.name.lower() for state in State}
    lines = ["stateDiagram-v2"]
    lines += [f"    {name[state]}: {state}" for state in State]
    for origin, steps in TRANSITIONS.items():
        for step, following in steps.items():
            start = "[*]" if origin is None else name[origin]
            lines.append(f"    {start} --> {name[following]}: {step}")
    return "\n".join(lines) + "\n"
