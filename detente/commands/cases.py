"""`detente cases`: which cases there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from detente.desk import STATES, Desk, case_document, moment, open_desk, subject_words
from detente.moments import ago, due_in, length, read_age
from detente.output import is_terminal, json_option, print_json, print_table, say, shown
from detente.settings import db_option
from rules.decision import CaseRow, State
from rules.transitions import ACTIVE
from schemas.documents import closest
from schemas.policy import WATCH
from schemas.time import Instant

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = ("case", "partner", "subject", "state", "tier", "whose turn", "rules", "opened", "due")
#: A terminal narrower than this gets two lines a case.
_WIDE = 150


@dataclass(frozen=True, slots=True)
class _Line:
    """A case as the list shows it."""

    case: str
    partner: str
    subject: str
    state: str
    tier: str
    turn: str
    """The role that is asked while nobody there has taken the case up, and the owner."""
    rules: str
    opened: str
    due: str
    due_short: str
    overdue: bool

    def cells(self) -> Sequence[str]:
        """In the order of the columns."""
        return (self.case, self.partner, self.subject, self.state, self.tier, self.turn,
                self.rules, self.opened, self.due)  # fmt: skip


@click.command()
@click.option("--partner", metavar="ID", help="Only cases of this partner.")
@click.option("--tier", metavar="TIER", help="Only cases that stand at this tier now.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(STATES), case_sensitive=False),
    help="Only cases in this state; may be given several times.",
)
@click.option("--older-than", metavar="AGE", help="Only cases opened so long ago, e.g. 3d or 4h.")
@click.option("--all", "everything", is_flag=True, help="Watches and settled cases as well.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show at most N.")
@json_option
@db_option
def cases(
    partner: str | None,
    tier: str | None,
    states: tuple[str, ...],
    older_than: str | None,
    everything: bool,
    limit: int | None,
    as_json: bool,
    db: str | None,
) -> None:
    """List the cases that somebody must work on, what is due soonest first.

    \b
    Everything that stands open:            detente cases
    What the executives have on the table:  detente cases --tier executive
    Old cases of one partner:               detente cases --partner nordlicht --older-than 3d
    What was settled:                       detente cases --state resolved --state closed
    """
    with open_desk(db) as desk:
        wanted = _states(states, everything, tier)
        before = None if older_than is None else _before(older_than, desk.now)
        with desk.store.reading() as tx:
            found = tx.list_cases(partner=partner, tier=tier, states=wanted, older_than=before)
        found.sort(key=lambda case: (case.due is None, case.due or 0, case.opened_at))
        kept = found if limit is None else found[:limit]
        if as_json:
            listed = [case_document(case) for case in kept]
            print_json({"at": moment(desk.now), "found": len(found), "cases": listed})
            return
        filters = _in_words(partner, tier, states, older_than)
        if not found:
            _say_nothing(desk, filters, partner, tier, everything=everything)
            return
        _show([_line(desk, case) for case in kept])
        say(_count(found, len(kept), desk.now))


def _states(states: Sequence[str], everything: bool, tier: str | None) -> list[State] | None:
    if states:
        return [STATES[state.lower()] for state in states]
    if everything:
        return None
    return [State.WATCH] if tier == WATCH else sorted(ACTIVE)


def _before(age: str, now: Instant) -> Instant:
    try:
        return Instant(now - read_age(age))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--older-than") from None


def _in_words(
    partner: str | None, tier: str | None, states: Sequence[str], older_than: str | None
) -> str:
    said = [
        f"partner {partner}" if partner else "",
        f"tier {tier}" if tier else "",
        f"state {' or '.join(states)}" if states else "",
        f"older than {older_than}" if older_than else "",
    ]
    return ", ".join(filter(None, said))


def _say_nothing(
    desk: Desk, filters: str, partner: str | None, tier: str | None, *, everything: bool
) -> None:
    if not filters:
        say("There is no case." if everything else "No case stands open.")
        return
    say(f"No case matches: {shown(filters)}.")
    known = desk.knowledge.recipients.directory.partners
    if partner is not None and partner not in known:
        say(f"The directory lists no partner {shown(partner)}.{closest(partner, known)}")
    tiers = (WATCH, *desk.knowledge.policy.tiers)
    if tier is not None and tier not in tiers:
        say(f"There is no tier {shown(tier)}; tiers are {', '.join(tiers)}.")


def _line(desk: Desk, case: CaseRow) -> _Line:
    marks = [
        "disputed" if case.disputed else "",
        "in shadow" if case.shadow else "",
        f"attached to {case.parent}" if case.parent else "",
    ]
    owner = desk.person(case.owner) if case.owner else ""
    asked = desk.role(case) if case.state is State.OPEN or not owner else None
    return _Line(
        case.case_id,
        f"{case.partner_id} ({case.partner_tier})" if case.partner_id else "several partners",
        subject_words(case.subject),
        ", ".join(filter(None, [str(case.state), *marks])),
        case.tier,
        ", ".join(filter(None, [asked, owner])),
        ", ".join(case.rules),
        ago(case.opened_at, desk.now),
        _due(case, desk.now),
        due_in(case.due, desk.now),
        case.due is not None and case.due < desk.now,
    )


def _due(case: CaseRow, now: Instant) -> str:
    if case.due is None or case.state not in ACTIVE:
        return ""
    waits = {"acknowledge": "to acknowledge", "resolve": "to resolve", "wake": "comes back",
             "climb": "goes up"}  # fmt: skip
    return f"{due_in(case.due, now)} {waits.get(case.waits_for or '', '')}".strip()


def _count(found: Sequence[CaseRow], kept: int, now: Instant) -> str:
    many = "1 case" if len(found) == 1 else f"{len(found)} cases"
    overdue = [case.due for case in found if case.due is not None and case.due < now]
    said = many if kept == len(found) else f"{kept} of {many}; --limit says how many are shown"
    if overdue:
        said += f"; {len(overdue)} overdue, the longest by {length(now - min(overdue))}"
    return said + "."


def _show(lines: Sequence[_Line]) -> None:
    if not is_terminal():
        print_table(_COLUMNS, [line.cells() for line in lines])
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if console.width >= _WIDE:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in _COLUMNS:
            table.add_column(column, overflow="fold", no_wrap=column in ("case", "due"))
        for line in lines:
            cells = [Text(shown(cell)) for cell in line.cells()]
            cells[-1].stylize("bold red" if line.overdue else "")
            table.add_row(*cells)
        console.print(table)
        return
    _show_narrow(console, lines)


def _show_narrow(console: "Console", lines: Sequence[_Line]) -> None:
    """Two lines a case: what must be done, and below it what it is about."""
    from rich.padding import Padding
    from rich.text import Text

    heads = ("case", "tier", "state", "whose turn", "due")
    rows = [
        (line.case, line.tier, line.state.partition(",")[0], line.turn, line.due_short)
        for line in lines
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]

    def joined(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) for cell, width in zip(cells, widths, strict=True)
        ).rstrip()

    console.print(Text(joined(heads), style="bold"))
    for line, row in zip(lines, rows, strict=True):
        first = Text(joined([shown(cell) for cell in row]))
        if line.overdue:
            first.stylize("bold red")
        about = [line.partner, line.subject, line.state.partition(", ")[2], line.rules,
                 f"opened {line.opened}"]  # fmt: skip
        console.print(first)
        console.print(Padding(Text(shown(", ".join(filter(None, about))), "dim"), (0, 0, 0, 2)))
