"""How problems were solved: how long they took, how many are open, and how many came back.

A problem is a ticket, or a case about anything but a ticket. It is solved while it is resolved or
closed. It comes back when it is opened again, or when another one of the same category, or under
the same rule, begins within 30 days after it was solved: a first-contact view of resolution, as
service desks measure repeat contacts.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rules.attainment import quantile
from rules.clocks.judging import SETTLED
from rules.clocks.ticket_clocks import TicketClocks
from rules.decision import StepKind, StepRow
from rules.orders import effective_at, version_of
from rules.subjects import Contribution, split_key
from rules.world import World
from schemas.time import DAY

#: How long something must stay solved in order to be solved for good.
COMES_BACK_WITHIN = 30 * DAY
_SOLVED = frozenset({StepKind.RESOLVED, StepKind.CLOSED})
_BEGUN = frozenset({StepKind.OPENED, StepKind.REOPENED})


@dataclass(frozen=True, slots=True)
class Problem:
    """A ticket, or a case, with the stretches in which it was open."""

    name: str
    """The ticket's or the case's id."""
    categories: frozenset[str]
    """What another one must share to be the same trouble again."""
    spells: tuple[tuple[int, int | None], ...]
    """(from, until) of being open; None while it is. Never empty."""

    def open_since(self, at: int) -> int | None:
        """Since when it was open at an instant; from its first opening. None if it was not."""
        if any(start <= at and (end is None or at < end) for start, end in self.spells):
            return self.spells[0][0]
        return None

    def solved_in(self, begin: int, end: int) -> int | None:
        """When it was solved last after `begin` and by `end`, and stayed so until `end`."""
        ended = [until for _, until in self.spells if until is not None and begin < until <= end]
        return ended[-1] if ended and self.open_since(end) is None else None


def ticket_problem(
    key: str, contributions: Iterable[Contribution], world: World, as_of: int
) -> Problem | None:
    """The problem that a ticket is, by what was said until an instant; None before it is opened."""
    _, partner_id, name = split_key(key)
    zone = world.zone(partner_id)
    ticket = TicketClocks(key, partner_id, world)
    said = {(c.source, c.id): c for c in contributions}.values()
    for c in sorted(said, key=lambda c: (effective_at(c, zone), version_of(c))):
        if effective_at(c, zone) <= as_of:
            ticket.take(c, effective_at(c, zone))
    if ticket.opened_at is None:
        return None
    spells: list[tuple[int, int | None]] = []
    start: int | None = ticket.opened_at
    for spell in ticket.spells():
        if spell.what != SETTLED or start is None:
            continue
        spells.append((start, max(start, spell.start)))
        start = spell.end
    if start is not None:
        spells.append((start, None))
    return Problem(name, frozenset(filter(None, [ticket.category])), tuple(spells))


def case_problem(
    case_id: str, rules: Iterable[str], steps: Iterable[StepRow], as_of: int, known_at: int
) -> Problem | None:
    """The problem that a case is, by its steps until `as_of`; None if it was never opened.

    A watch is no problem yet, and a case that was retracted, by `known_at`, was none.
    """
    spells: list[tuple[int, int | None]] = []
    for step in sorted(steps, key=lambda step: (step.n, step.key)):
        until = known_at if step.kind is StepKind.RETRACTED else as_of
        if step.at > until or step.withdrawn_at is not None:
            continue
        is_open = bool(spells) and spells[-1][1] is None
        if step.kind in _BEGUN and not is_open:
            spells.append((step.at, None))
        elif step.kind in _SOLVED and is_open:
            spells[-1] = (spells[-1][0], step.at)
        elif step.kind is StepKind.RETRACTED and spells:
            spells.pop()
    return Problem(case_id, frozenset(rules), tuple(spells)) if spells else None


@dataclass(frozen=True, slots=True)
class Solving:
    """How a partner's problems went in a period."""

    solved: tuple[tuple[Problem, int], ...]
    """Those solved in the period and not open at its end, with how long they took from their
    first opening."""
    open: tuple[tuple[Problem, int], ...]
    """Those open at its end, with their age then."""
    tried: tuple[tuple[Problem, bool], ...]
    """Those whose 30 days after being solved ended in the period, and whether they came back."""

    @property
    def median(self) -> int | None:
        """Of how long the solved ones took; None if there are none."""
        return quantile(sorted(took for _, took in self.solved), 50)

    @property
    def p90(self) -> int | None:
        """Nine of ten of the solved ones took no longer; None if there are none."""
        return quantile(sorted(took for _, took in self.solved), 90)

    @property
    def oldest(self) -> int | None:
        """Age of the one that has been open longest; None if none is."""
        return max((age for _, age in self.open), default=None)


def solving(problems: Sequence[Problem], begin: int, end: int) -> Solving:
    """How problems went after `begin` and up to `end`. What was opened later is left out.

    A problem counts as having come back, or not, once its 30 days are over: so every one that was
    solved is judged once, and after the same time.
    """
    openings: dict[str, list[int]] = {}
    for problem in problems:
        for category in problem.categories:
            openings.setdefault(category, []).append(problem.spells[0][0])
    for starts in openings.values():
        starts.sort()
    solved, still_open, tried = [], [], []
    for problem in problems:
        since = problem.open_since(end)
        if since is not None:
            still_open.append((problem, end - since))
        at = problem.solved_in(begin, end)
        if at is not None:
            solved.append((problem, at - problem.spells[0][0]))
        tried += [
            (problem, _came_back(problem, until, openings))
            for _, until in problem.spells
            if until is not None and begin < until + COMES_BACK_WITHIN <= end
        ]
    return Solving(tuple(solved), tuple(still_open), tuple(tried))


def _came_back(problem: Problem, solved_at: int, openings: Mapping[str, Sequence[int]]) -> bool:
    last = solved_at + COMES_BACK_WITHIN
    if any(solved_at < start <= last for start, _ in problem.spells):
        return True
    # It began itself before it was solved, so what begins later is another one.
    starts = (openings[category] for category in problem.categories)
    return any(bisect_right(s, last) > bisect_right(s, solved_at) for s in starts)
