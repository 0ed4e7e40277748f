"""Writes docs/case-states.md from the table of transitions, or says that it is out of date.

python -m detente.diagrams docs [--check]
"""

from pathlib import Path

import click

from rules.decision import State, StepKind
from rules.transitions import TICKING, TRANSITIONS, diagram

FILE = "case-states.md"

_STATES = {
    State.WATCH: "Seen, and below the tiers: listed in the account manager's summary. No clock "
    "runs and nobody is alerted.",
    State.OPEN: "Somebody has reason to complain, and nobody has taken it on yet.",
    State.ACKNOWLEDGED: "Somebody who was asked, or who took it over, works on it.",
    State.WAITING: "Nothing can be done until the partner answers.",
    State.SNOOZED: "Put off by a person until a moment that they named.",
    State.RESOLVED: "Solved, with its root cause. A new trouble opens it again.",
    State.CLOSED: "There is nothing more to do or to learn.",
    State.RETRACTED: "It was wrong: what was learned later shows so, or a dispute did.",
}

_STEPS = {
    StepKind.WATCHED: "A rule that opens at `watch` began to hold.",
    StepKind.OPENED: "A rule that opens at a tier began to hold; the tier is asked.",
    StepKind.RAISED: "Another rule holds that opens at a higher tier.",
    StepKind.MATCHED: "Another rule holds as well, at this tier or a lower one.",
    StepKind.ATTACHED: "Late under a disruption: its case stands for this one, and nobody is "
    "alerted again.",
    StepKind.CLEARED: "A disruption is over; what is late under it and has not come stands for "
    "itself now.",
    StepKind.BREACHED: "A tier did not acknowledge, or not resolve, in time.",
    StepKind.ESCALATED: "Up by one tier because a clock ran out, or by hand.",
    StepKind.NOT_CLIMBED: "A clock ran out where there is no higher tier, or none that may be "
    "climbed to; stand-in and operations are told.",
    StepKind.ACKNOWLEDGED: "A recipient of the tier, their stand-in or the owner has it in hand, "
    "or somebody took it over.",
    StepKind.ASSIGNED: "It has a new owner. Who assigns it to themselves acknowledges it.",
    StepKind.DEESCALATED: "Down a tier, by hand or because what raised it was wrong.",
    StepKind.WAITING: "Put off until the partner answers.",
    StepKind.SNOOZED: "Put off until a moment.",
    StepKind.WOKEN: "The moment has come, or the partner has answered.",
    StepKind.COMMENTED: "A remark; also what somebody said who could not decide it.",
    StepKind.RESOLVED: "Solved by a person, by the ticket that it is about, or with the disruption "
    "that it is attached to.",
    StepKind.CLOSED: "Closed by a person, or excused after a dispute.",
    StepKind.REOPENED: "A rule newly holds, or a person says that it was not solved.",
    StepKind.MOVED: "Judged from now on under the policy in force.",
    StepKind.DISPUTED: "Somebody says that it is wrong, and names the evidence.",
    StepKind.DISPUTE_DECIDED: "Somebody who does not own it has decided the dispute.",
    StepKind.RETRACTED: "Proved wrong; everybody who was told hears so.",
}

_PAGE = """\
# The states of a case

<!-- Written by `make docs` from rules/transitions.py; change that. -->

A step that has no arrow from a state changes nothing there. Beside the state, a case stands at an
escalation tier, and it may be disputed.

```mermaid
{diagram}```

## States

| state | meaning | clocks of the ladder |
|---|---|---|
{states}

## Steps

| step | meaning | leads to |
|---|---|---|
{steps}
"""


def page() -> str:
    """The page, as the code has it."""
    states = (
        f"| {state} | {_STATES[state]} | {'run' if state in TICKING else 'stand still'} |"
        for state in State
    )
    steps = (f"| {step} | {_STEPS[step]} | {_leads_to(step)} |" for step in StepKind)
    return _PAGE.format(diagram=diagram(), states="\n".join(states), steps="\n".join(steps))


def _leads_to(step: StepKind) -> str:
    following = {after[step]: None for after in TRANSITIONS.values() if step in after}
    return ", ".join(map(str, following)) or "the same state"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--check", is_flag=True, help="Change nothing; fail if the page is out of date.")
def main(folder: Path, *, check: bool) -> None:
    """Write the page about the states of a case to FOLDER."""
    path = folder / FILE
    if not check:
        path.write_text(page(), encoding="utf-8", newline="\n")
    elif not path.is_file() or path.read_text(encoding="utf-8") != page():
        click.echo(f"{path}: out of date. Run `make docs` and commit the result.", err=True)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
