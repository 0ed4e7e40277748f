"""How one order was delivered: what was due, when it came, whether whole, and what was wrong.

An order is judged by the terms that were agreed when it fell due, and by the deliveries and reports
that are known at the instant asked about. So a cancellation or amendment that comes after a miss
does not unmake it, and a corrected report of a delivery counts as what it was corrected to.

The parts are those of the perfect order in the SCOR model (Association for Supply Chain
Management): delivered in full (RL.2.1), delivered by the committed date (RL.2.2), accurate papers
(RL.2.3), perfect condition (RL.2.4), and the order fulfilment cycle time (RS.1.1). At which date,
tolerance and level OTIF is measured differs from house to house (McKinsey with the Trading Partner
Alliance, "Defining 'on-time, in-full' in the consumer sector", 2019), so the usual ones are kept
beside each other.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from zoneinfo import ZoneInfo

from rules.calendars import BusinessCalendar
from rules.clocks.working_days import local_day, start_of_day
from rules.deadlines import deadline
from rules.orders import Order, OrderedLine, Version, effective_at, version_of
from rules.subjects import Completed, Contribution, Impacted, Part
from schemas.policy import ImpactMeasure
from schemas.time import Instant
from schemas.units import Span

ZERO = Decimal(0)
#: Kinds of report that make a delivered unit defective.
DEFECTS = frozenset({"damaged", "wrong_item", "quality", "return"})
#: Kinds of report that make an order inaccurate: other goods, another price, other papers.
INACCURACIES = frozenset({"wrong_item", "price", "documentation"})
#: Kinds of report that say that what was ordered has not come.
_MISSING = frozenset({"short", "wrong_item"})
_TERMS = frozenset({"order.amended", "order.cancelled"})
_OF_ORDERS = frozenset(
    {
        "order.placed",
        *_TERMS,
        "order.impacted",
        "delivery.completed",
        "delivery.dispatched",
        "delivery.rescheduled",
        "delivery.failed",
    }
)


class Basis(StrEnum):
    """Which promise is meant."""

    FIRST = "first"
    """The first that was confirmed."""
    AGREED = "agreed"
    """The last that the partner agreed to before the one before it fell due."""


class Grade(IntEnum):
    """How near to its promise something came; who reaches a grade reaches those below."""

    MISSED = 0
    WITHIN_TOLERANCE = 1
    ON_OR_BEFORE = 2
    STRICT = 3
    """On the promised day itself, and not after the promised time."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How late, and how much short, still counts as within tolerance."""

    late: Span
    calendar: BusinessCalendar
    short: Decimal
    """Percent of what was ordered."""

    def until(self, promise: int) -> Instant:
        """The last instant that is within tolerance."""
        return deadline(promise, self.late, self.calendar)

    def units(self, ordered: Decimal) -> Decimal:
        """How many may be missing."""
        return ordered * self.short / 100


@dataclass(frozen=True, slots=True)
class Due:
    """A line, or an order with all its lines, that fell due, and how it came."""

    order_id: str
    line: str
    """The line's name; empty for the whole order."""
    due: int
    first_promise: int
    ordered: Decimal
    came: Decimal
    """By the instant asked about, at most what was ordered."""
    complete_at: int | None
    """When everything ordered had come."""
    otif: Grade
    on_time: Grade
    full: Grade
    """ON_OR_BEFORE: everything came, whenever; WITHIN_TOLERANCE: nearly so; else MISSED."""
    called_off: bool = False
    """The partner cancelled it before it fell due: it is no miss and no hit."""
    reported_missing: Decimal = ZERO
    """Units that reports call short or wrong."""

    @property
    def is_order(self) -> bool:
        """Whether it is the whole order."""
        return not self.line


class _Arrival(IntEnum):
    NOTHING = 0
    """Nothing came and nothing is to come."""
    OUTSTANDING = 1
    ARRIVED = 2


Entry = tuple[int, Version, Contribution]
"""Effective time, version, and what was said."""


def entries_of(contributions: Iterable[Contribution], zone: ZoneInfo) -> list[Entry]:
    """What was said of an order in the order of effective time, each event once."""
    said = {
        (c.source, c.id): (effective_at(c, zone), version_of(c), c)
        for c in contributions
        if c.type in _OF_ORDERS
    }
    return sorted(said.values(), key=lambda entry: entry[:2])


class OrderPast:
    """What was said of one order up to an instant, to be asked about earlier ones.

    The order itself is known if it was entered by `entered_by`, which may be later: an order that
    is entered after its promise has passed would count in no month otherwise.
    """

    def __init__(
        self,
        order_id: str,
        entries: Sequence[Entry],
        zone: ZoneInfo,
        as_of: int,
        entered_by: int | None = None,
    ) -> None:
        self.order_id = order_id
        self.zone = zone
        self.as_of = as_of
        entered = as_of if entered_by is None else entered_by
        self._placed = [e for e in entries if _is_placed(e) and e[0] <= entered]
        known = [e for e in entries if e[0] <= as_of and not _is_placed(e)]
        self._entries = _standing(known)
        self._term_times = [at for at, _, c in self._entries if c.type in _TERMS]
        self._other_times = [at for at, _, c in self._entries if c.type not in _TERMS]
        self._states: dict[tuple[int, int], tuple[Order, dict[str, OrderedLine]]] = {}
        self._moments: dict[int, tuple[dict[str, OrderedLine], ...]] = {}

    def state(self, terms: int, evidence: int) -> Order:
        """The order by the terms agreed by one instant and the evidence of another.

        What was ordered at first is always known, however late it was entered.
        """
        return self._state(terms, evidence)[0]

    def _state(self, terms: int, evidence: int) -> tuple[Order, dict[str, OrderedLine]]:
        key = bisect_right(self._term_times, terms), bisect_right(self._other_times, evidence)
        found = self._states.get(key)
        if found is None:
            order = Order(self.zone, ImpactMeasure.UNITS)
            for at, _, c in self._placed:
                order.apply(c, at)
            for at, _, c in self._entries:
                if at <= (terms if c.type in _TERMS else evidence):
                    order.apply(c, at)
            order.ask(self.as_of, self.as_of)
            found = self._states[key] = order, {line.key: line for line in order.lines}
        return found

    def _lines(self, terms: int, evidence: int) -> dict[str, OrderedLine]:
        return self._state(terms, evidence)[1]

    @property
    def now(self) -> Order:
        """The order by everything that is known."""
        return self.state(self.as_of, self.as_of)

    # -- what fell due -------------------------------------------------------------------------

    def due_times(self) -> set[int]:
        """Every instant at which the order or a line of it fell or falls due, on either basis."""
        if not self._placed:
            return set()
        return {self.due_of(line, basis) for line in self.now.lines for basis in self.bases}

    @property
    def bases(self) -> tuple[Basis, ...]:
        """The bases that differ: as long as nothing was agreed anew, there is but one."""
        return tuple(Basis) if self._term_times else (Basis.FIRST,)

    def due_of(self, line: OrderedLine, basis: Basis) -> int:
        """When a line fell, or falls, due. What is promised for a time that has passed falls due
        when it is agreed."""
        due = line.first_promise
        if not self._term_times:
            return due
        if line.key not in self._lines(0, self.as_of):
            added = (at for at in self._term_times if line.key in self._lines(at, self.as_of))
            due = max(due, next(added))
        if basis is Basis.FIRST:
            return due
        promise = line.first_promise
        for at in self._term_times:
            if at > due:
                break  # it had fallen due: what is agreed later does not unmake a miss
            agreed = self._lines(at, self.as_of).get(line.key)
            if agreed is not None and agreed.promise != promise:
                promise = agreed.promise
                due = max(promise, at)
        return due

    def due(self, basis: Basis, tolerance: Tolerance) -> list[Due]:
        """The whole order first, then its lines, each judged by its own promise.

        Something that the partner called off before it fell due is `called_off`; the order is if
        all its lines are. Nothing for an order that nobody reported.
        """
        now = self.now
        if not self._placed:
            return []
        reported, loose = self._reported_missing(now)
        judged = [self._line(line, basis, tolerance, reported) for line in now.lines]
        return [self._order(judged, loose, tolerance), *(due for due, _ in judged)]

    def _line(
        self,
        now: OrderedLine,
        basis: Basis,
        tolerance: Tolerance,
        reported: Mapping[str, Decimal],
    ) -> tuple[Due, "tuple[_Arrival, _Arrival]"]:
        promise = self.due_of(now, basis)
        agreed = self._lines(promise, self.as_of)[now.key]
        ordered, expected = agreed.ordered, agreed.expected
        missing = reported.get(now.key, ZERO)
        order = self.state(promise, self.as_of)
        at_start, by_promise, by_limit, by_now = (
            lines[now.key].came for lines in self._moments_of(promise, tolerance)
        )
        closed = order.final_at is not None

        def has_arrived(came: Decimal, slack: Decimal) -> bool:
            return came > 0 and (came >= expected - slack or (closed and by_now == came))

        slack = tolerance.units(ordered)
        grade = Grade.MISSED
        if has_arrived(by_promise, ZERO):
            # Its last part came on the day if something of it was still missing before.
            on_the_day = min(at_start, expected) < min(by_promise, expected)
            grade = Grade.STRICT if on_the_day else Grade.ON_OR_BEFORE
        elif has_arrived(by_limit, slack):
            grade = Grade.WITHIN_TOLERANCE

        def whole(came: Decimal, slack: Decimal) -> bool:
            return came > 0 and max(ordered - came, missing) <= slack

        full = Grade.MISSED
        if whole(by_now, ZERO):
            full = Grade.ON_OR_BEFORE
        elif whole(by_now, slack):
            full = Grade.WITHIN_TOLERANCE
        otif = Grade.MISSED
        if grade >= Grade.ON_OR_BEFORE and whole(by_promise, ZERO):
            otif = grade
        elif whole(by_limit, slack):
            otif = Grade.WITHIN_TOLERANCE
        if by_now > 0 or (expected > 0 and not closed):
            arrivals = tuple(
                _Arrival.ARRIVED if has else _Arrival.OUTSTANDING
                for has in (grade >= Grade.ON_OR_BEFORE, grade >= Grade.WITHIN_TOLERANCE)
            )
        else:
            arrivals = (_Arrival.NOTHING, _Arrival.NOTHING)
        due = Due(
            self.order_id,
            now.key,
            promise,
            now.first_promise,
            ordered,
            min(by_now, ordered),
            agreed.complete_at if agreed.came >= ordered else None,
            otif,
            grade,
            full,
            called_off=ordered <= 0,
            reported_missing=missing,
        )
        return due, (arrivals[0], arrivals[1])

    def _order(
        self,
        judged: Sequence[tuple[Due, tuple[_Arrival, _Arrival]]],
        loose: Decimal,
        tolerance: Tolerance,
    ) -> Due:
        standing = [(due, arrivals) for due, arrivals in judged if not due.called_off]
        lines = [due for due, _ in standing] or [due for due, _ in judged]
        ordered = sum((due.ordered for due in lines), ZERO)
        last = max(lines, key=lambda due: due.due)
        grade = otif = full = Grade.MISSED
        if standing:
            grade = _all_arrived(standing)
            otif = min(due.otif for due in lines)
            full = min(due.full for due in lines)
            if loose > 0:  # more is missing than any line shows
                most = Grade.MISSED if loose > tolerance.units(ordered) else Grade.WITHIN_TOLERANCE
                otif, full = min(otif, most), min(full, most)
        complete = [due.complete_at for due in lines]
        return Due(
            self.order_id,
            "",
            last.due,
            max(due.first_promise for due in lines),
            ordered,
            sum((due.came for due in lines), ZERO),
            max(at for at in complete if at is not None) if None not in complete else None,
            otif,
            grade,
            full,
            called_off=not standing,
            reported_missing=loose + sum((due.reported_missing for due in lines), ZERO),
        )

    def _moments_of(self, promise: int, tolerance: Tolerance) -> tuple[dict[str, OrderedLine], ...]:
        """The lines before the promised day, by the promise, within tolerance, and now."""
        found = self._moments.get(promise)
        if found is None:
            instants = (
                start_of_day(local_day(promise - 1, self.zone), self.zone),
                promise,
                tolerance.until(promise),
                self.as_of,
            )
            found = tuple(self._lines(promise, instant) for instant in instants)
            self._moments[promise] = found
        return found

    def _reported_missing(self, order: Order) -> tuple[dict[str, Decimal], Decimal]:
        """Units that reports call short or wrong: by line, and those put down to no line.

        As for an order's impact, a wrong item includes its shortage.
        """
        by_line: dict[str, dict[str, Decimal]] = {}
        loose: dict[str, Decimal] = {}
        total = sum((line.ordered for line in order.lines), ZERO)
        for said in self._reports():
            if said.kind not in _MISSING:
                continue
            units = Decimal(said.quantity or 0)
            if said.percent is not None:
                units = total * Decimal(said.percent) / 100
            if said.lines is None:
                loose[said.kind] = loose.get(said.kind, ZERO) + units
            of_kind = by_line.setdefault(said.kind, {})
            for part in (Part(*raw) for raw in said.lines or ()):
                for line, taken in _spread(part, order.lines, of_kind):
                    of_kind[line] = of_kind.get(line, ZERO) + taken
        keys = {key for of_kind in by_line.values() for key in of_kind}
        found = {key: max(of_kind.get(key, ZERO) for of_kind in by_line.values()) for key in keys}
        unplaced = max(loose.values(), default=ZERO)
        return found, max(ZERO, unplaced - sum(found.values(), ZERO))

    def _reports(self) -> Iterator[Impacted]:
        latest: dict[str, tuple[Version, Impacted]] = {}
        for _, version, c in self._entries:
            if c.type == "order.impacted":
                said = Impacted(*c.data)
                name = f"={said.report_id}" if said.report_id else f"{c.source}\x00{c.id}"
                if name not in latest or latest[name][0] < version:
                    latest[name] = (version, said)
        return (said for _, said in latest.values())


@dataclass(frozen=True, slots=True)
class Condition:
    """How an order stood at an instant, by what was known then."""

    came: Decimal = ZERO
    """Units."""
    defective: Decimal = ZERO
    """Of those, the ones that deliveries or reports call damaged, wrong, bad or sent back."""
    inaccurate: bool = False
    """Something of it was reported as the wrong item, or with a wrong price or wrong papers."""
    done_at: int | None = None
    """The delivery after which nothing more was to come."""
    lead_time: int | None = None
    """Microseconds from the order to that delivery; None if goods came before it was entered."""


def conditions(
    entries: Sequence[Entry], zone: ZoneInfo, instants: Sequence[int]
) -> list[Condition]:
    """How an order stood at each of some instants, which are sorted."""
    order = Order(zone, ImpactMeasure.UNITS)
    has_reports = any(map(_tells_trouble, entries))
    found: list[Condition] = []
    n = 0
    for instant in instants:
        before = n
        while n < len(entries) and entries[n][0] <= instant:
            order.apply(entries[n][2], entries[n][0])
            n += 1
        if n == before and (not n or found):
            found.append(found[-1] if found else Condition())
            continue
        order.ask(instant, instant)
        found.append(_condition(order, has_reports=has_reports))
    return found


def overdue(entries: Sequence[Entry], zone: ZoneInfo, instant: int) -> tuple[str, Decimal] | None:
    """Currency and value of what was undelivered past its promise at an instant, if anything was.

    Without a price, or a currency that was named: no currency, and 0.
    """
    order = Order(zone, ImpactMeasure.UNITS)
    for at, _, c in entries:
        if at <= instant:
            order.apply(c, at)
    order.ask(instant, instant)
    return None if order.is_done() else _overdue(order, instant)


def _condition(order: Order, *, has_reports: bool) -> Condition:
    if not order.lines:
        return Condition()
    came = sum((line.came for line in order.lines), ZERO)
    defective, inaccurate = ZERO, False
    if has_reports:
        by_kind = order.trouble().by_kind
        wrong = sum((units for kind, units in by_kind.items() if kind in DEFECTS), ZERO)
        defective = min(came, wrong)
        inaccurate = any(by_kind.get(kind, ZERO) > 0 for kind in INACCURACIES)
    done_at, began_at = order.final_at, order.began_at
    lead_time = None
    if done_at is not None and began_at is not None and done_at >= began_at:
        lead_time = done_at - began_at
    return Condition(came, defective, inaccurate, done_at, lead_time)


def _overdue(order: Order, instant: int) -> tuple[str, Decimal] | None:
    late = [
        (line.expected - line.came, line.price)
        for line in order.lines
        if line.complete_at is None and line.called_off_at is None and line.promise < instant
    ]
    if not late:
        return None
    value = ZERO
    for units, price in late:
        if price is None or order.currency is None:
            return "", ZERO
        value += units * price
    return order.currency or "", value


def _tells_trouble(entry: Entry) -> bool:
    c = entry[2]
    if c.type == "delivery.completed":
        return any(Part(*raw).damaged for raw in Completed(*c.data).lines or ())
    return c.type == "order.impacted"


def _is_placed(entry: Entry) -> bool:
    return entry[2].type == "order.placed"


def _standing(entries: Sequence[Entry]) -> list[Entry]:
    """All but the statements about a delivery that a later one has replaced."""
    latest: dict[str, Version] = {}
    for _, version, c in entries:
        if c.type == "delivery.completed":
            name = Completed(*c.data).delivery_id
            latest[name] = max(version, latest.get(name, version))
    return [
        (at, version, c)
        for at, version, c in entries
        if c.type != "delivery.completed" or latest[Completed(*c.data).delivery_id] == version
    ]


def _spread(
    part: Part, lines: Sequence[OrderedLine], taken: Mapping[str, Decimal]
) -> Iterator[tuple[str, Decimal]]:
    """The lines that a reported quantity is put down to, one after the other."""
    left = Decimal(part.quantity)
    for line in lines:
        named = line.line_id == part.line_id if part.line_id is not None else line.sku == part.sku
        if not named or left <= 0:
            continue
        units = min(left, line.ordered - taken.get(line.key, ZERO))
        if units > 0:
            left -= units
            yield line.key, units


def _all_arrived(lines: Sequence[tuple[Due, tuple[_Arrival, _Arrival]]]) -> Grade:
    """The grade of an order: of the last of what came, if nothing of it is outstanding."""
    for place, grade in ((0, Grade.ON_OR_BEFORE), (1, Grade.WITHIN_TOLERANCE)):
        arrivals = [arrival[place] for _, arrival in lines]
        if _Arrival.OUTSTANDING in arrivals or _Arrival.ARRIVED not in arrivals:
            continue
        if grade is Grade.ON_OR_BEFORE:
            came = [due.on_time for due, arrival in lines if arrival[0] is _Arrival.ARRIVED]
            return Grade.STRICT if min(came) is Grade.STRICT else grade
        return grade
    return Grade.MISSED
