"""What a partner's orders, tickets, sessions and cases came to, month by month.

Everything is read once and put into the months that it belongs to. Each month is judged as it
stood at the same distance from its end as the last one is, so that a trend compares like with like
and a scorecard shows for the months before what theirs showed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

from rules.attainment import Attainment, Outcome
from rules.decision import Kind, StepKind, StepRow
from rules.delivery_figures import (
    ZERO,
    Basis,
    Due,
    OrderPast,
    Tolerance,
    conditions,
    entries_of,
    overdue,
)
from rules.ledger import Instance, post
from rules.months import Month
from rules.orders import effective_at
from rules.policy import CompiledPolicy
from rules.problem_figures import Problem, Solving, case_problem, solving, ticket_problem
from rules.subjects import Contribution, Document, Reported, split_key, subject_key
from rules.world import World
from schemas.time import DAY

#: How many months a scorecard looks at: its own and those before.
MONTHS = 6
#: An order that was placed longer than this before the first of them is not looked for.
LOOK_BACK = 366 * DAY
_COUNTED = {
    "order.placed": "orders",
    "delivery.completed": "deliveries",
    "ticket.opened": "tickets",
    "ticket.message": "messages",
}


@dataclass(frozen=True, slots=True)
class Handled:
    """What one month brought of one order."""

    order_id: str
    delivered: Decimal
    """Units; negative where a delivery was corrected downwards."""
    defective: Decimal
    """Units found defective in the month, less those taken back."""
    inaccurate: bool
    """Found wrong in the month: other goods, another price or other papers."""
    done_at: int | None
    """The delivery in the month after which nothing more was to come."""
    lead_time: int | None
    """Microseconds from the order to that."""

    @property
    def is_accuracy_counted(self) -> bool:
        """Whether something of it came, or was found wrong."""
        return self.delivered > 0 or self.inaccurate


@dataclass(frozen=True, slots=True)
class Said:
    """A figure that another system reported."""

    name: str
    value: Decimal
    unit: str | None
    period: str | None
    at: int
    source: str


@dataclass(slots=True)
class PartnerMonth:
    """What belongs to one month."""

    month: Month
    begin: int
    end: int
    """Its end, or the instant up to which events count if that is earlier."""
    judged_at: int
    """Up to when events count for what fell due in it."""
    dues: dict[tuple[Basis, bool], list[Due]] = field(
        default_factory=lambda: {(basis, whole): [] for basis in Basis for whole in (True, False)}
    )
    """By the promise that is meant, whole orders and lines."""
    handled: list[Handled] = field(default_factory=list)
    promises: list[tuple[Instance, Outcome]] = field(default_factory=list)
    """Commitments to the partner, and of the partner, that fell due in it or were open at its
    end."""
    said: dict[str, Said] = field(default_factory=dict)
    solving: Solving = field(default_factory=lambda: Solving((), (), ()))
    escalated: dict[str, set[str]] = field(default_factory=dict)
    """Tier to the cases that reached it in the month."""

    def holds(self, at: int) -> bool:
        """Whether an instant lies in it."""
        return self.begin < at <= self.end


class PartnerMonths:
    """The months of one partner, filled by what is added in any order.

    What happened counts up to `as_of`, and what was said of it since, such as an excuse, up to
    `known_at`: a restatement is later than what it is about. Raises ValueError for a month that
    has not begun by `as_of`.
    """

    def __init__(
        self, partner_id: str, world: World, month: Month, as_of: int, known_at: int | None = None
    ) -> None:
        self.partner_id = partner_id
        self.world = world
        self.as_of = as_of
        self.known_at = as_of if known_at is None else known_at
        self.zone: ZoneInfo = world.zone(partner_id)
        end = month.end(self.zone)
        if as_of <= month.begin(self.zone):
            raise ValueError(f"{month.label} has not begun")
        self.is_over = end <= as_of
        lag = max(0, as_of - end)
        self.months: Sequence[PartnerMonth] = tuple(
            PartnerMonth(
                each,
                each.begin(self.zone),
                min(as_of, each.end(self.zone)),
                min(as_of, each.end(self.zone) + lag),
            )
            for each in (month.plus(n) for n in range(1 - MONTHS, 1))
        )
        policy = world.policies.at(self.last.end)
        self.policy: CompiledPolicy = policy
        self.partner_tier = world.partner_tier(partner_id, self.last.end)
        reporting = policy.document.reporting
        self.tolerance = Tolerance(
            reporting.delivery_tolerance,
            policy.calendar(world.calendar_name(partner_id)),
            reporting.quantity_tolerance,
        )
        self.controls: dict[tuple[str, str], int] = {}
        """(what was counted, source) to how many of the last month."""
        self.overdue: dict[str, tuple[str, Decimal]] = {}
        """Orders undelivered past their promise at the end: currency and value."""
        self.problems: list[Problem] = []
        self._boundaries = [self.first.begin, *(each.end for each in self.months)]

    @property
    def first(self) -> PartnerMonth:
        """The earliest month."""
        return self.months[0]

    @property
    def last(self) -> PartnerMonth:
        """The month that it is about."""
        return self.months[-1]

    @property
    def since(self) -> int:
        """Orders that began earlier are not needed."""
        return self.first.begin - LOOK_BACK

    # -- orders --------------------------------------------------------------------------------

    def add_order(self, order_id: str, contributions: Iterable[Contribution]) -> None:
        """Take in an order."""
        entries = entries_of(contributions, self.zone)
        self._count((at, c) for at, _, c in entries)
        known = OrderPast(order_id, entries, self.zone, self.as_of)
        times = known.due_times()
        begin = self.first.begin
        if entries and entries[-1][0] <= begin and known.now.is_done() and max(times) <= begin:
            return  # long over
        for each in self.months:
            if not any(map(each.holds, times)):
                continue
            past = known
            if each.judged_at != self.as_of:
                past = OrderPast(order_id, entries, self.zone, each.judged_at, self.as_of)
            same = past.due(Basis.FIRST, self.tolerance)
            for basis in Basis:
                dues = past.due(basis, self.tolerance) if basis in past.bases else same
                for due in dues:
                    if each.holds(due.due):
                        each.dues[basis, due.is_order].append(due)
        stood = conditions(entries, self.zone, self._boundaries)
        for each, before, after in zip(self.months, stood, stood[1:], strict=False):
            done = after.done_at is not None and each.holds(after.done_at)
            handled = Handled(
                order_id,
                after.came - before.came,
                after.defective - before.defective,
                after.inaccurate and not before.inaccurate,
                after.done_at if done else None,
                after.lead_time if done else None,
            )
            if done or handled.is_accuracy_counted or handled.delivered or handled.defective:
                each.handled.append(handled)
        if stood[-1].done_at is None:
            late = overdue(entries, self.zone, self.last.end)
            if late is not None:
                self.overdue[order_id] = late

    # -- tickets, sessions, cases, figures -----------------------------------------------------

    def add_ticket(self, key: str, document: Document) -> None:
        """Take in a ticket: its clocks, and itself as a problem."""
        times = sorted(effective_at(c, self.zone) for c in document.contributions)
        self._count((c.time, c) for c in document.contributions)
        problem = ticket_problem(key, document.contributions, self.world, self.as_of)
        if problem is None:
            return
        if problem.open_since(self.as_of) is None and times[-1] < self.since:
            return  # long over
        self.problems.append(problem)
        self._add_promises(post(key, document, self.world, self.known_at).instances)

    def add_touchpoints(self, document: Document, since: int | None) -> None:
        """Take in what was said of sessions; `since` is from when they are owed."""
        if since is not None and since <= self.as_of:
            key = subject_key(Kind.TOUCHPOINTS, self.partner_id, "")
            posting = post(key, document, self.world, self.known_at, since=since)
            self._add_promises(posting.instances)

    def _add_promises(self, instances: Iterable[Instance]) -> None:
        """As the ledger of the digest counts them: in the month in which each fell due."""
        for instance in instances:
            for each in self.months:
                if instance.falls_at is not None and each.holds(instance.falls_at):
                    each.promises.append((instance, instance.outcome_at(self.as_of)))
                elif instance.started_at <= each.end and (
                    instance.left_at is None or instance.left_at > each.end
                ):
                    paused = any(pause.covers(each.end) for pause in instance.pauses)
                    still = Outcome.PAUSED if paused else Outcome.NOT_YET_DUE
                    each.promises.append((instance, still))

    def add_case(
        self, case_id: str, subject: str, rules: Iterable[str], steps: Sequence[StepRow]
    ) -> None:
        """Take in a case by its steps. One about a ticket is that ticket's problem."""
        kind, _, _ = split_key(subject)
        if kind is not Kind.TICKET:
            problem = case_problem(case_id, rules, steps, self.as_of, self.known_at)
            if problem is not None:
                self.problems.append(problem)
        standing = [step for step in steps if step.withdrawn_at is None]
        if any(step.kind is StepKind.RETRACTED and step.at <= self.known_at for step in standing):
            return
        for step in standing:
            if step.kind in (StepKind.OPENED, StepKind.RAISED, StepKind.ESCALATED):
                for each in self.months:
                    if each.holds(step.at):
                        each.escalated.setdefault(step.tier, set()).add(case_id)

    def add_figure(self, name: str, contributions: Iterable[Contribution]) -> None:
        """Take in a figure that another system reports. The latest for a month stands.

        It belongs to the month that its `period` names, else to the one in which it was reported.
        """
        since = self.known_at - self.as_of
        for c in sorted(contributions, key=lambda c: (c.time, c.source, c.id)):
            if c.type != "metric.reported":
                continue
            reported = Reported(*c.data)
            month = _month_named(reported.period) or Month.of(c.time, self.zone)
            for each in self.months:
                if each.month == month and c.time <= each.judged_at + since:
                    each.said[name] = Said(
                        name,
                        Decimal(reported.value),
                        reported.unit,
                        reported.period,
                        c.time,
                        c.source,
                    )

    def settle(self) -> None:
        """Work out how problems went, once everything has been added."""
        for each in self.months:
            each.solving = solving(self.problems, each.begin, each.end)

    def _count(self, said: Iterable[tuple[int, Contribution]]) -> None:
        for at, c in said:
            name = _COUNTED.get(c.type)
            if name is not None and self.last.holds(at):
                self.controls[name, c.source] = self.controls.get((name, c.source), 0) + 1


def _month_named(period: str | None) -> Month | None:
    try:
        return None if period is None else Month.parse(period)
    except ValueError:
        return None


def due_in(month: PartnerMonth, basis: Basis, *, orders: bool) -> list[Due]:
    """Orders, or lines, that fell due in a month, without those that were called off before."""
    return [due for due in month.dues[basis, orders] if not due.called_off]


def defects(month: PartnerMonth) -> tuple[Decimal, Decimal]:
    """Units found defective and units delivered in a month, neither below zero."""
    defective = sum((x.defective for x in month.handled), ZERO)
    delivered = sum((x.delivered for x in month.handled), ZERO)
    return max(ZERO, defective), max(ZERO, delivered)


def attainment_of(month: PartnerMonth, metric: str) -> Attainment:
    """How many commitments of a kind were kept, and what is left out of that."""
    counts = Counter(outcome for x, outcome in month.promises if x.metric == metric)
    left = {outcome: counts[outcome] for outcome in Outcome if counts[outcome]}
    met, breached = left.pop(Outcome.MET, 0), left.pop(Outcome.BREACHED, 0)
    return Attainment(met, breached, left)


def lead_times(month: PartnerMonth) -> Iterator[int]:
    """Lead times of the orders that were completed in a month."""
    return (x.lead_time for x in month.handled if x.lead_time is not None)
