"""The life of a case: the states it can be in, and which step leads from one to another.

The table is the law: a step that it does not list for a state changes nothing there. The
diagram in docs/case-states.md is generated from it (`make docs`).
"""

from rules.decision import State, StepKind

O, A, W, S, R, C = (
    State.OPEN,
    State.ACKNOWLEDGED,
    State.WAITING,
    State.SNOOZED,
    State.RESOLVED,
    State.CLOSED,
)

#: What moves a case that somebody must still work on.
_ACTIVE = {
    StepKind.RAISED: O,
    StepKind.ESCALATED: O,
    StepKind.DEESCALATED: O,
    StepKind.ACKNOWLEDGED: A,
    StepKind.WAITING: W,
    StepKind.SNOOZED: S,
    StepKind.RESOLVED: R,
    StepKind.CLOSED: C,
    StepKind.RETRACTED: State.RETRACTED,
}

#: State to step to the state that follows. `None` is a subject without a case.
TRANSITIONS: dict[State | None, dict[StepKind, State]] = {
    None: {
        StepKind.WATCHED: State.WATCH,
        StepKind.OPENED: O,
        StepKind.ATTACHED: O,
    },
    State.WATCH: {
        StepKind.OPENED: O,
        StepKind.ATTACHED: O,
        StepKind.RETRACTED: State.RETRACTED,
    },
    O: _ACTIVE,
    A: _ACTIVE,
    W: {**_ACTIVE, StepKind.WOKEN: A},
    S: {**_ACTIVE, StepKind.WOKEN: A},
    R: {
        StepKind.REOPENED: O,
        StepKind.CLOSED: C,
        StepKind.RETRACTED: State.RETRACTED,
    },
    C: {
        StepKind.REOPENED: O,
        StepKind.RETRACTED: State.RETRACTED,
    },
    State.RETRACTED: {
        StepKind.WATCHED: State.WATCH,
        StepKind.OPENED: O,
        StepKind.ATTACHED: O,
    },
}

#: States in which somebody must still do something.
ACTIVE = frozenset({O, A, W, S})
#: States in which a case counts as standing: it was right, settled or not.
STANDING = frozenset({O, A, W, S, R, C})
#: States in which the clocks of the ladder run.
TICKING = frozenset({O, A})


def after(state: State | None, step: StepKind) -> State | None:
    """The state that follows, or None when the step means nothing there."""
    return TRANSITIONS[state].get(step)


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    name = {state: state.name.lower() for state in State}
    lines = ["stateDiagram-v2"]
    for state in State:
        lines.append(f"    {name[state]}: {state}")
    for origin, steps in TRANSITIONS.items():
        for step, following in steps.items():
            start = "[*]" if origin is None else name[origin]
            lines.append(f"    {start} --> {name[following]}: {step}")
    return "\n".join(lines) + "\n"
