"""Attainment: how many commitments were kept, as a pure function of their clocks.

One row per instance, in the period in which its effective deadline fell. Attainment is
met / (met + breached), where breached includes what is overdue and still open. Whatever is left
out of that is counted beside it, so that the classes always add up to the instances.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from math import sqrt

from rules.clocks.clock import Clock, ClockState
from rules.clocks.dues import measured
from rules.clocks.judging import SETTLED
from rules.subjects import split_key

_Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


class Outcome(StrEnum):
    """The class of an instance at the end of a period. Every instance is in exactly one."""

    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"
    EXCUSED = "excused"
    NEVER_RAN = "never ran"
    """Not promised there, such as a week without a working day."""
    NOT_YET_DUE = "not yet due"
    PAUSED = "paused"
    """Paused at the end of the period, with no due time that silence could reach."""


OUTCOMES = {
    ClockState.MET: Outcome.MET,
    ClockState.BREACHED: Outcome.BREACHED,
    ClockState.CANCELLED: Outcome.CANCELLED,
    ClockState.EXCUSED: Outcome.EXCUSED,
    ClockState.NOT_APPLICABLE: Outcome.NEVER_RAN,
    ClockState.RUNNING: Outcome.NOT_YET_DUE,
    ClockState.PAUSED: Outcome.PAUSED,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One instance of a commitment in one period."""

    clock: Clock
    outcome: Outcome
    at: int
    """Where it falls in time: its due time; its end or its start where it has none."""


def row_of(clock: Clock) -> Row:
    """The row of a clock that was judged as of the end of a period.

    What is open at the end stands in the period that ends then: it is counted beside the figure
    there, and in the figure of the period in which it falls due.
    """
    outcome = OUTCOMES[clock.state]
    if outcome in (Outcome.NOT_YET_DUE, Outcome.PAUSED):
        return Row(clock, outcome, clock.as_of)
    if clock.breached_at is not None:
        return Row(clock, outcome, clock.breached_at)
    if outcome is Outcome.CANCELLED and clock.stopped_at is not None:
        return Row(clock, outcome, clock.stopped_at)  # its due time means nothing any more
    at = clock.due if clock.due is not None else clock.stopped_at
    return Row(clock, outcome, clock.started_at if at is None else at)


def rows_in(clocks: Iterable[Clock], begin: int, end: int) -> list[Row]:
    """The rows of a period that begins after `begin` and ends at `end`, sorted by clock id.

    `clocks` are as of `end`. A due time at the very end belongs to the period: a week that ends at
    midnight has what was due by its last day. What was kept before its due time fell, and falls
    due later, is not in it yet.
    """
    rows = (row_of(clock) for clock in clocks)
    return sorted((r for r in rows if begin < r.at <= end), key=lambda r: r.clock.clock_id)


@dataclass(frozen=True, slots=True)
class Attainment:
    """The figure of a group of instances, with what was left out of it. `unit` is what n counts."""

    met: int
    breached: int
    left_out: Mapping[Outcome, int]
    unit: str = "commitments"
    oldest_pause: int | None = None
    """Age in microseconds of the pause that has lasted longest at the end of the period."""

    @property
    def n(self) -> int:
        """How many instances the figure is about."""
        return self.met + self.breached

    @property
    def instances(self) -> int:
        """All instances, with those left out."""
        return self.n + sum(self.left_out.values())

    def reaches(self, target: Decimal) -> bool | None:
        """Whether it is at least the target in percent, compared without rounding; None for n=0."""
        return None if self.n == 0 else 100 * self.met >= target * self.n

    @property
    def percent(self) -> str:
        """The figure with one decimal, rounded down: 99.95 % shows as 99.9, only all as 100.0.

        `none` where nothing was due: no attainment is better than a made-up one.
        """
        if self.n == 0:
            return "none"
        exact = Decimal(100 * self.met) / self.n
        return str(exact.quantize(Decimal("0.1"), ROUND_DOWN))

    @property
    def if_excuses_were_breaches(self) -> "Attainment":
        """The figure that an auditor asks for: every excuse counted as a breach."""
        excused = self.left_out.get(Outcome.EXCUSED, 0)
        left: dict[Outcome, int] = dict(self.left_out)
        left.pop(Outcome.EXCUSED, None)
        return Attainment(self.met, self.breached + excused, left, self.unit, self.oldest_pause)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson score interval of the share (0 to 1); None for n=0.

        E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.
        """
        return None if self.n == 0 else wilson(self.met, self.n)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Bounds of the 95 % Wilson score interval. Raises ValueError without observations."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no share")
    share = successes / n
    spread = _Z_95 * _Z_95 / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z_95 * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # All and nothing have exact bounds, which floating point would miss by a hair.
    return (
        0.0 if successes == 0 else max(0.0, middle - half),
        1.0 if successes == n else min(1.0, middle + half),
    )


def attainment(rows: Iterable[Row], unit: str = "commitments") -> Attainment:
    """The figure of some rows."""
    counts: Counter[Outcome] = Counter()
    oldest: int | None = None
    for row in rows:
        counts[row.outcome] += 1
        if row.outcome is Outcome.PAUSED and row.clock.excluded:
            age = row.clock.as_of - row.clock.excluded[-1].start
            oldest = age if oldest is None else max(oldest, age)
    left = {outcome: counts[outcome] for outcome in Outcome if counts[outcome]}
    met, breached = left.pop(Outcome.MET, 0), left.pop(Outcome.BREACHED, 0)
    return Attainment(met, breached, left, unit, oldest)


Group = tuple[str, ...]


def by_tier_and_metric(row: Row) -> Group:
    """Partner tier and metric."""
    return row.clock.partner_tier, row.clock.metric


def by_partner(row: Row) -> Group:
    """The partner that it was promised to."""
    return (split_key(row.clock.subject)[1],)


def by_holder(row: Row) -> Group:
    """Who held it when it fell due."""
    return (row.clock.holder,)


def by_escalation_tier(row: Row) -> Group:
    """Escalation tier and metric, for the clocks of ladders."""
    return row.clock.escalation_tier, row.clock.metric


def grouped(
    rows: Sequence[Row], group: Callable[[Row], Group], unit: str = "commitments"
) -> dict[Group, Attainment]:
    """The figure of each group, sorted by its name."""
    parts: dict[Group, list[Row]] = {}
    for row in rows:
        parts.setdefault(group(row), []).append(row)
    return {name: attainment(parts[name], unit) for name in sorted(parts)}


@dataclass(frozen=True, slots=True)
class ByActor:
    """What one person, role or feed did that took time or breaches out of the figures."""

    pauses: int = 0
    paused: int = 0
    """Microseconds, in business time where the commitment is."""
    excuses: int = 0
    own_excuses: int = 0
    """Of those, breaches that the approver held."""
    downgrades: int = 0
    """Instances that were given more time, or none, by a word on severity or category."""


def by_actor(rows: Iterable[Row]) -> dict[str, ByActor]:
    """Pauses and downgrades by who set them, excuses by who approved them, sorted by name."""
    found: dict[str, list[int]] = {}
    for row in rows:
        clock = row.clock
        span = clock.target.span if clock.target is not None else None
        for start, end, why in clock.not_counted:
            if why.reason == SETTLED or span is None:
                continue
            counts = found.setdefault(why.actor, [0] * 5)
            counts[0] += 1
            counts[1] += measured(start, end, span, clock.calendar)
        if clock.excuse is not None:
            counts = found.setdefault(clock.excuse.approver, [0] * 5)
            counts[2] += 1
            counts[3] += clock.excuse.by_holder
        for downgrade in clock.downgrades:
            found.setdefault(downgrade.actor, [0] * 5)[4] += 1
    return {actor: ByActor(*found[actor]) for actor in sorted(found)}


@dataclass(frozen=True, slots=True)
class Durations:
    """How long things took that are over, beside what is not: a median alone would hide those."""

    n: int
    median: int | None
    p90: int | None
    still_open: int
    oldest: int | None
    """Age in microseconds of the oldest that is open."""


def durations(clocks: Iterable[Clock]) -> Durations:
    """Counted time of the clocks that stopped, and how many are open. Microseconds."""
    spent: list[int] = []
    ages: list[int] = []
    for clock in clocks:
        if clock.state in (ClockState.CANCELLED, ClockState.NOT_APPLICABLE):
            continue
        if clock.stopped_at is None:
            ages.append(clock.as_of - clock.started_at)
        else:
            spent.append(clock.spent)
    spent.sort()
    return Durations(
        len(spent),
        quantile(spent, 50),
        quantile(spent, 90),
        len(ages),
        max(ages, default=None),
    )


def quantile(ordered: Sequence[int], percent: int) -> int | None:
    """The nearest-rank percentile of sorted values: always one that was observed."""
    if not ordered:
        return None
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


@dataclass(frozen=True, slots=True)
class Control:
    """A total that can be held against the system that the events came from."""

    name: str
    source: str
    counted: int


def control_totals(counts: Mapping[tuple[str, str], int]) -> tuple[Control, ...]:
    """Totals by what was counted and its source, sorted, with the sum over sources last of each."""
    found: list[Control] = []
    for name in sorted({name for name, _ in counts}):
        parts = sorted((source, n) for (what, source), n in counts.items() if what == name)
        found += [Control(name, source, n) for source, n in parts]
        found.append(Control(name, "all", sum(n for _, n in parts)))
    return tuple(found)
