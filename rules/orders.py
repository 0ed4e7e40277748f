"""Orders: what was ordered, what came of it, and the facts that follow at an instant.

An `Order` takes contributions in the order of their effective time and answers for any instant
since the last one. Terms (lines, promises) and evidence (deliveries, forecasts, reports) are
kept apart: evidence is corrected by later versions of the same thing, terms are not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from rules.deadlines import deadline, in_words
from rules.facts import Facts
from rules.policy import RuleSet
from rules.subjects import (
    Amended,
    Cancelled,
    Completed,
    Contribution,
    Dispatched,
    Failed,
    Impacted,
    Line,
    Part,
    Placed,
    Rescheduled,
    When,
)
from schemas.policy import ImpactMeasure
from schemas.time import end_of_day, local_text

ZERO = Decimal(0)
Version = tuple[int, str, str]
"""(time, source, id): among statements about one thing, the largest stands."""


def instant_of(when: When, zone: ZoneInfo) -> int:
    """The instant that is meant: a date stands for the end of that day in the partner's zone."""
    return when if isinstance(when, int) else _end_of(when, zone)


@lru_cache(maxsize=4096)
def _end_of(day: str, zone: ZoneInfo) -> int:
    return end_of_day(date.fromisoformat(day), zone)


def effective_at(contribution: Contribution, zone: ZoneInfo) -> int:
    """When what is said happened: the delivery's own time where it has one."""
    if contribution.type == "delivery.completed":
        delivered = contribution.data[1]
        if delivered is not None:
            return instant_of(delivered, zone)
    return contribution.time


def version_of(contribution: Contribution) -> Version:
    """What decides which of two statements about one thing stands."""
    return (contribution.time, contribution.source, contribution.id)


@dataclass(slots=True)
class OrderedLine:
    """A line: its terms, and what has come of it."""

    key: str
    """Its line_id, else its place: `#2`."""
    line_id: str | None
    sku: str
    ordered: Decimal
    price: Decimal | None
    promise: int
    first_promise: int
    cut: Decimal = ZERO
    """Taken off by us: not to be expected any more, and short against what was ordered."""
    missed: list[tuple[int, int]] = field(default_factory=list)
    """(promise, until) of promises that had been missed when they were replaced or called off."""
    came: Decimal = ZERO
    complete_at: int | None = None
    called_off_at: int | None = None

    @property
    def expected(self) -> Decimal:
        """How much is still to be expected of the line, all in all."""
        return self.ordered - self.cut


@dataclass(frozen=True, slots=True)
class _Delivery:
    version: Version
    at: int
    parts: Sequence[Part] | None
    final: bool


@dataclass(frozen=True, slots=True)
class _Report:
    version: Version
    kind: str
    parts: Sequence[Part] | None
    quantity: Decimal | None
    percent: Decimal | None

    def is_empty(self) -> bool:
        """Whether it says that nothing is affected, whatever was ordered."""
        if self.parts is not None:
            return all(Decimal(part.quantity) == 0 for part in self.parts)
        return self.quantity == 0 or self.percent == 0


_Statement = TypeVar("_Statement", _Delivery, _Report)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Units affected, by kind, and out of how many."""

    ordered: Decimal
    by_kind: dict[str, Decimal]
    by_sku: dict[str, Decimal]
    unplaced: Decimal
    """Affected units that no report put down to an article."""

    @property
    def affected(self) -> Decimal:
        """Units affected by any kind, at most what was ordered."""
        return min(self.ordered, sum(self.by_sku.values(), ZERO) + self.unplaced)


class Order(Facts):
    """The fold of what was said of one order, up to an instant."""

    __slots__ = (
        "_deliveries",
        "_etas",
        "_failed",
        "_older_terms",
        "_reports",
        "_settled",
        "_trouble",
        "agreed_later",
        "asked",
        "at",
        "began_at",
        "carriers",
        "currency",
        "final_at",
        "hindsight",
        "lanes",
        "lines",
        "measure",
        "proven",
        "unconfirmed",
        "unknown_lines",
        "zone",
    )

    def __init__(self, zone: ZoneInfo, measure: ImpactMeasure) -> None:
        self.zone = zone
        self.measure = measure
        self.at = 0
        self.asked = 0
        """The moment up to which silence counts: not past what has been read."""
        self.proven: Mapping[str, int] = {}
        """When lines were completed in the end: until then their silence is proven anyway."""
        self.hindsight = False
        """Whether what was once rightly so still counts: past misses, earlier terms."""
        self.lines: list[OrderedLine] = []
        self.currency: str | None = None
        self.began_at: int | None = None
        self.carriers: set[str] = set()
        self.lanes: set[str] = set()
        self.final_at: int | None = None
        self.unconfirmed = False
        """Everything is taken to have come because a final delivery without lines said so."""
        self.unknown_lines = 0
        """Delivered or reported lines that the order does not have."""
        self.agreed_later = False
        self._deliveries: dict[str, _Delivery] = {}
        self._etas: dict[str | None, tuple[Version, int]] = {}
        self._failed: dict[str, Version] = {}
        self._reports: dict[str, _Report] = {}
        self._older_terms: list[dict[str, Decimal]] = []
        self._settled = True
        self._trouble: Trouble | None = None

    # -- taking contributions ------------------------------------------------------------------

    def apply(self, contribution: Contribution, at: int) -> None:
        """Take one contribution that became effective at `at`."""
        self._settled = False
        self._trouble = None
        data = contribution.data
        version = version_of(contribution)
        match contribution.type:
            case "order.placed":
                self._place(Placed(*data), contribution.time)
            case "delivery.completed":
                done = Completed(*data)
                parts = None if done.lines is None else [Part(*p) for p in done.lines]
                _stands(
                    self._deliveries,
                    done.delivery_id,
                    _Delivery(version, at, parts, bool(done.final)),
                )
            case "delivery.dispatched":
                sent = Dispatched(*data)
                if sent.carrier:
                    self.carriers.add(sent.carrier)
                if sent.lane:
                    self.lanes.add(sent.lane)
                if sent.eta is not None:
                    self._forecast(sent.delivery_id, version, sent.eta)
            case "delivery.rescheduled":
                moved = Rescheduled(*data)
                self._forecast(moved.delivery_id, version, moved.eta)
            case "delivery.failed":
                failed = Failed(*data)
                known = self._failed.get(failed.delivery_id)
                if known is None or version > known:
                    self._failed[failed.delivery_id] = version
            case "order.impacted":
                said = Impacted(*data)
                parts = None if said.lines is None else [Part(*p) for p in said.lines]
                _stands(
                    self._reports,
                    # A report without a name is one of its own.
                    f"={said.report_id}" if said.report_id else f"{version[1]}\x00{version[2]}",
                    _Report(
                        version,
                        said.kind,
                        parts,
                        None if said.quantity is None else Decimal(said.quantity),
                        None if said.percent is None else Decimal(said.percent),
                    ),
                )
            case "order.amended":
                self._amend(Amended(*data), at)
            case "order.cancelled":
                self._cancel(Cancelled(*data), at)
            case _:
                pass  # commands change the case, not the order

    def _place(self, placed: Placed, time: int) -> None:
        if self.began_at is not None:
            return  # the first confirmation is the promise; changes come as amendments
        self.began_at = time
        self.currency = placed.currency
        promise = instant_of(placed.promised, self.zone)
        for raw in placed.lines:
            self._add_line(Line(*raw), promise)

    def _add_line(self, line: Line, promise: int) -> None:
        n = len(self.lines)  # an amendment may have come first: no two lines share a place
        own = promise if line.promised is None else instant_of(line.promised, self.zone)
        self.lines.append(
            OrderedLine(
                line.line_id or f"#{n + 1}",
                line.line_id,
                line.sku,
                Decimal(line.quantity),
                None if line.unit_price is None else Decimal(line.unit_price),
                own,
                own,
            )
        )

    def _forecast(self, delivery_id: str | None, version: Version, eta: When) -> None:
        known = self._etas.get(delivery_id)
        if known is None or version > known[0]:
            self._etas[delivery_id] = (version, instant_of(eta, self.zone))

    def _amend(self, amended: Amended, at: int) -> None:
        by_partner = amended.agreed_by == "partner"
        self._keep_terms()
        if by_partner and amended.promised is not None:
            for line in self.lines:
                self._promise_anew(line, instant_of(amended.promised, self.zone), at)
        for raw in amended.lines or ():
            said = Line(*raw)
            quantity = Decimal(said.quantity)
            known = self._line(said.line_id, said.sku)
            if known is None:
                if by_partner:
                    promise = self.lines[0].promise if self.lines else at
                    if amended.promised is not None:
                        promise = instant_of(amended.promised, self.zone)
                    self._add_line(said, promise)
                continue
            if by_partner:
                known.ordered = quantity
                known.cut = ZERO
                if said.unit_price is not None:
                    known.price = Decimal(said.unit_price)
                if said.promised is not None:
                    self._promise_anew(known, instant_of(said.promised, self.zone), at)
            else:
                known.cut = max(known.cut, known.ordered - quantity)
            self._call_off_if_empty(known, at)

    def _promise_anew(self, line: OrderedLine, promise: int, at: int) -> None:
        self.agreed_later = True
        # Judged with what is known now: a line that came by its old promise never missed it, and
        # one that came late was late until it came.
        self._settle()
        until = at if line.complete_at is None else line.complete_at
        if until > line.promise:
            line.missed.append((line.promise, until))
        line.promise = promise

    def _cancel(self, cancelled: Cancelled, at: int) -> None:
        self._keep_terms()
        self._settle()
        if cancelled.lines is None:
            targets = [(line, line.expected - line.came) for line in self.lines]
        else:
            targets = []
            for part in (Part(*raw) for raw in cancelled.lines):
                line = self._line(part.line_id, part.sku)
                if line is None:
                    self.unknown_lines += 1
                else:
                    targets.append((line, Decimal(part.quantity)))
        for line, wanted in targets:
            quantity = min(wanted, line.expected)  # a line named twice is not called off twice
            if quantity <= 0:
                continue
            if cancelled.by == "partner":
                line.ordered -= quantity
            else:
                line.cut += quantity
            self._call_off_if_empty(line, at)

    def _call_off_if_empty(self, line: OrderedLine, at: int) -> None:
        self._settled = False
        self._settle()
        if line.complete_at is None and line.called_off_at is None and line.came >= line.expected:
            line.called_off_at = at
            if at > line.promise:
                line.missed.append((line.promise, at))

    def _keep_terms(self) -> None:
        self._older_terms.append(self._ordered_by_sku())

    def _line(self, line_id: str | None, sku: str | None) -> OrderedLine | None:
        for line in self.lines:
            if line_id is not None and line.line_id == line_id:
                return line
        for line in self.lines:
            if line_id is None and sku is not None and line.sku == sku:
                return line
        return None

    # -- what came -----------------------------------------------------------------------------

    def _settle(self) -> None:
        """Put the standing deliveries down to lines, in the order in which they came."""
        if self._settled:
            return
        self._settled = True
        self.final_at = None
        self.unconfirmed = False
        for line in self.lines:
            line.came = ZERO
            line.complete_at = None
        for delivery in sorted(self._deliveries.values(), key=lambda d: (d.at, d.version)):
            self.final_at = delivery.at if delivery.final else None
            # What names its line goes there first, and what names an article fills the others.
            for part in sorted(delivery.parts or (), key=lambda part: part.line_id is None):
                self._deliver(part, delivery.at)
            if delivery.final and delivery.parts is None:
                for line in self.lines:
                    if line.came < line.expected:
                        line.came = line.expected
                        line.complete_at = delivery.at
                        self.unconfirmed = True
        if self.final_at is None and self.lines and self._deliveries:
            done = [line.complete_at for line in self.lines if line.called_off_at is None]
            if done and all(at is not None for at in done):
                self.final_at = max(at for at in done if at is not None)

    def _deliver(self, part: Part, at: int) -> None:
        left = Decimal(part.quantity)
        if part.line_id is not None:
            targets = [line for line in self.lines if line.line_id == part.line_id]
        else:
            # One article on several lines: what is promised first is served first.
            targets = sorted(
                (line for line in self.lines if line.sku == part.sku), key=lambda x: x.promise
            )
        if not targets:
            self.unknown_lines += 1
        for n, line in enumerate(targets):
            take = min(left, max(ZERO, line.expected - line.came))
            if n == len(targets) - 1 and part.line_id is not None:
                take = left  # more than ordered came; it offsets nothing elsewhere
            line.came += take
            left -= take
            if line.complete_at is None and line.came >= line.expected:
                line.complete_at = at

    def outcomes(self) -> Mapping[str, int]:
        """When each line that is complete was completed."""
        self._settle()
        return {x.key: x.complete_at for x in self.lines if x.complete_at is not None}

    def is_done(self) -> bool:
        """Whether nothing more is to be expected: all came, was called off, or was said final."""
        self._settle()
        return self.final_at is not None or all(
            line.complete_at is not None or line.called_off_at is not None for line in self.lines
        )

    # -- facts ---------------------------------------------------------------------------------

    def ask(self, at: int, asked: int) -> None:
        """Set the instant that the facts are about; silence counts up to `asked`."""
        self.at = at
        self.asked = asked
        self._settle()

    def overdue(self) -> Iterator[str]:
        """Lines that have not come and were promised before the instant asked about."""
        for line in () if self.final_at is not None else self.lines:
            waits = line.complete_at is None and line.called_off_at is None
            if waits and line.promise < self.at:
                yield line.key

    def _silent_until(self, line: OrderedLine) -> int:
        """Up to when an incomplete line is known not to have come: read past, or came later."""
        return max(self.asked, min(self.at, self.proven.get(line.key, self.asked)))

    def best_eta(self) -> int | None:
        """The earliest forecast that stands: not failed, not arrived, not replaced."""
        whole = self._etas.get(None)
        best: int | None = None
        for delivery_id, (version, eta) in self._etas.items():
            if delivery_id is not None:
                if delivery_id in self._deliveries:
                    continue
                failed = self._failed.get(delivery_id)
                if failed is not None and failed > version:
                    continue
                if whole is not None and whole[0] > version:
                    continue  # a new forecast for all that is outstanding replaces it
            if best is None or eta < best:
                best = eta
        return best

    def _known_arrivals(self) -> Iterator[tuple[OrderedLine, int, int]]:
        """(line, promise, arrival) of every line of which something can be said."""
        eta = self.best_eta() if self._etas else None
        for line in self.lines:
            if self.hindsight:
                for promise, until in line.missed:
                    yield line, promise, until
            if line.called_off_at is not None and line.complete_at is None:
                continue
            if line.complete_at is not None:
                yield line, line.promise, line.complete_at
            elif self.final_at is not None:
                yield line, line.promise, self.final_at  # its shortage is impact, not delay
            else:
                silent_until = self._silent_until(line)
                if eta is not None:
                    yield line, line.promise, max(eta, silent_until)
                elif silent_until > line.promise:
                    yield line, line.promise, silent_until

    def arrivals(self) -> Sequence[tuple[int, int]] | None:
        """See Facts."""
        return [(promise, arrival) for _, promise, arrival in self._known_arrivals()] or None

    def delay(self) -> int | None:
        """See Facts."""
        return max(
            (arrival - promise for _, promise, arrival in self._known_arrivals()), default=None
        )

    def _ordered_by_sku(self) -> dict[str, Decimal]:
        ordered: dict[str, Decimal] = {}
        for line in self.lines:
            ordered[line.sku] = ordered.get(line.sku, ZERO) + line.ordered
        return ordered

    def trouble(self, ordered: Mapping[str, Decimal] | None = None) -> Trouble:
        """What the deliveries show and what was reported, by sku and kind.

        The two speak of the same trouble: for shortness and damage the larger counts. A wrong
        item includes its shortage. Different kinds add up to the quantity ordered.
        """
        if ordered is None:
            if self._trouble is None:
                self._trouble = self._count_trouble(self._ordered_by_sku())
            return self._trouble
        return self._count_trouble(ordered)

    def _count_trouble(self, ordered: Mapping[str, Decimal]) -> Trouble:
        short: dict[str, Decimal] = {}
        damaged: dict[str, Decimal] = {}
        for line in self.lines:
            missing = line.cut
            if self.final_at is not None:
                missing = max(missing, line.ordered - line.came)
            if missing > 0:
                short[line.sku] = short.get(line.sku, ZERO) + missing
        for delivery in self._deliveries.values():
            for part in delivery.parts or ():
                if part.damaged is not None:
                    sku = self._sku(part)
                    if sku is not None:
                        damaged[sku] = damaged.get(sku, ZERO) + Decimal(part.damaged)
        reported: dict[str, dict[str, Decimal]] = {}
        loose: dict[str, Decimal] = {}
        total = sum(ordered.values(), ZERO)
        for report in self._reports.values():
            units = report.quantity or ZERO
            if report.percent is not None:
                units = total * report.percent / 100
            if report.parts is None:
                loose[report.kind] = loose.get(report.kind, ZERO) + units
            for part in report.parts or ():
                sku = self._sku(part)
                if sku is None:
                    continue
                of_kind = reported.setdefault(report.kind, {})
                of_kind[sku] = of_kind.get(sku, ZERO) + Decimal(part.quantity)
        return self._add_up(ordered, short, damaged, reported, loose)

    def _add_up(
        self,
        ordered: Mapping[str, Decimal],
        short: dict[str, Decimal],
        damaged: dict[str, Decimal],
        reported: dict[str, dict[str, Decimal]],
        loose: dict[str, Decimal],
    ) -> Trouble:
        by_kind: dict[str, Decimal] = {}
        by_sku: dict[str, Decimal] = {}
        for sku in {*short, *damaged, *(s for of_kind in reported.values() for s in of_kind)}:
            said = {kind: of[sku] for kind, of in reported.items() if sku in of}
            counts = dict(said)
            wrong = said.get("wrong_item", ZERO)
            counts["short"] = max(short.get(sku, ZERO), said.get("short", ZERO)) - wrong
            counts["damaged"] = max(damaged.get(sku, ZERO), said.get("damaged", ZERO))
            limit = ordered.get(sku, ZERO)
            by_sku[sku] = min(limit, sum((n for n in counts.values() if n > 0), ZERO))
            for kind, units in counts.items():
                if units > 0:
                    by_kind[kind] = by_kind.get(kind, ZERO) + min(limit, units)
        unplaced = ZERO
        for kind, units in loose.items():
            more = units
            if kind in ("short", "damaged"):
                more = max(ZERO, units - by_kind.get(kind, ZERO))
            unplaced += more
            if units > 0:
                by_kind[kind] = by_kind.get(kind, ZERO) + more
        return Trouble(sum(ordered.values(), ZERO), by_kind, by_sku, unplaced)

    def _sku(self, part: Part) -> str | None:
        if part.line_id is not None:
            line = self._line(part.line_id, None)
            return part.sku if line is None else line.sku
        return part.sku

    def impact(self) -> Decimal | None:
        """See Facts. Measured in units, value or lines, as the policy says."""
        if not self.lines:
            # Nothing is known of the order yet, but a report may have said its share itself.
            shares = [ZERO if r.is_empty() else r.percent for r in self._reports.values()]
            known = [share for share in shares if share is not None]
            return (
                min(Decimal(100), sum(known, ZERO))
                if shares and len(known) == len(shares)
                else None
            )
        impact = self._share(self.trouble())
        if self.hindsight:
            for terms in self._older_terms:
                earlier = self._share(self.trouble(terms))
                if earlier is not None and (impact is None or earlier > impact):
                    impact = earlier
        return impact

    def _share(self, trouble: Trouble) -> Decimal | None:
        if trouble.ordered <= 0:
            return None
        if self.measure is ImpactMeasure.UNITS or trouble.unplaced:
            return trouble.affected / trouble.ordered * 100
        if self.measure is ImpactMeasure.LINES:
            hit = sum(1 for line in self.lines if trouble.by_sku.get(line.sku, ZERO) > 0)
            return Decimal(hit) / len(self.lines) * 100
        prices = self._prices()
        if prices is None:
            return None
        value = sum((x.ordered * prices[x.sku] for x in self.lines), ZERO)
        affected = sum((n * prices.get(sku, ZERO) for sku, n in trouble.by_sku.items()), ZERO)
        return affected / value * 100 if value > 0 else None

    def _prices(self) -> dict[str, Decimal] | None:
        prices: dict[str, Decimal] = {}
        for line in self.lines:
            if line.price is None:
                return None
            prices[line.sku] = max(prices.get(line.sku, ZERO), line.price)
        return prices

    def exposure(self, currency: str) -> Decimal | None:
        """See Facts."""
        if not self.lines:
            return None
        trouble = self.trouble()
        units: dict[str, Decimal] = dict(trouble.by_sku)
        for line in self.lines:
            late = self._past_promise(line)
            if late > 0:
                units[line.sku] = units.get(line.sku, ZERO) + late
        value = ZERO
        ordered = self._ordered_by_sku()
        prices = {line.sku: line.price for line in self.lines}
        for sku, count in units.items():
            price = prices.get(sku)
            if count <= 0:
                continue
            if price is None:
                return None
            value += min(count, ordered.get(sku, ZERO)) * price
        if trouble.unplaced > 0 and trouble.ordered > 0:
            known = self._prices()
            if known is None:
                return None
            total = sum((x.ordered * known[x.sku] for x in self.lines), ZERO)
            value = min(total, value + total * trouble.unplaced / trouble.ordered)
        if value > 0 and self.currency != currency:
            return None
        return value

    def _past_promise(self, line: OrderedLine) -> Decimal:
        if line.called_off_at is not None:
            return ZERO
        if line.complete_at is None and self.final_at is None:
            return line.expected - line.came if self._silent_until(line) > line.promise else ZERO
        if self.hindsight and line.complete_at is not None and line.complete_at > line.promise:
            return line.expected
        return ZERO

    def categories(self) -> frozenset[str] | None:
        """See Facts."""
        kinds = {kind for kind, units in self.trouble().by_kind.items() if units > 0}
        if not self.lines:
            kinds |= {report.kind for report in self._reports.values()}
        delay = self.delay()
        if delay is not None and delay > 0:
            kinds.add("delay")
        if not kinds and not self.lines:
            return None
        return frozenset(kinds)

    def skus(self) -> frozenset[str]:
        """See Facts."""
        return frozenset(sku for sku, units in self.trouble().by_sku.items() if units > 0)

    def since(self) -> int | None:
        """See Facts: since it was placed, until nothing more is to be expected."""
        return None if self.began_at is None or self.is_done() else self.began_at

    # -- silence -------------------------------------------------------------------------------

    def silences(self, rules: RuleSet) -> Iterator[tuple[int, str]]:
        """(deadline, line) at which, if nothing comes, a rule's condition may start to hold."""
        self._settle()
        if self.final_at is None:
            for line in self.lines:
                if line.complete_at is not None or line.called_off_at is not None:
                    continue
                for span in rules.delays:
                    yield deadline(line.promise, span, rules.calendar), line.key
                if rules.watches_promises:
                    yield line.promise, line.key
        since = self.since()
        if since is not None:
            for span in rules.ages:
                yield deadline(since, span, rules.calendar), ""

    # -- words ---------------------------------------------------------------------------------

    def in_words(self, fact: str) -> str:
        """See Facts."""
        match fact:
            case "delay":
                return self._delay_in_words()
            case "impact":
                return self._impact_in_words()
            case "exposure":
                value = self.exposure(self.currency or "")
                return f"{value:,.2f} {self.currency} exposed" if value is not None else ""
            case "category":
                return ", ".join(sorted(self.categories() or ()))
            case "age":
                since = self.since()
                return "" if since is None else f"open for {in_words(self.at - since)}"
            case _:
                return ""

    def _delay_in_words(self) -> str:
        worst = max(self._known_arrivals(), key=lambda known: known[2] - known[1], default=None)
        if worst is None:
            return "nothing is known of when it comes"
        line, promise, arrival = worst
        name = line.sku if len(self.lines) == 1 else f"line {line.key} ({line.sku})"
        late = in_words(arrival - promise)
        promised = self.local(promise)
        if line.complete_at == arrival:
            came = f"delivered {self.local(arrival)}"
        elif self.final_at == arrival:
            came = f"closed by the final delivery {self.local(arrival)}"
        elif arrival > self._silent_until(line):
            came = f"expected {self.local(arrival)}"
        else:
            came = f"not delivered by {self.local(arrival)}"
        was = ""
        if line.first_promise != promise:
            was = f" (first promised {self.local(line.first_promise)})"
        # Silence is judged just after the limit, so its length is a lower bound.
        over = "over " if came.startswith("not") else ""
        lateness = f"{over}{late} late" if arrival > promise else "in time"
        return f"{name} promised {promised}{was}, {came}: {lateness}"

    def _impact_in_words(self) -> str:
        trouble = self.trouble()
        share = self.impact()
        if share is None:
            return "the share affected is not known"
        if not self.lines:
            return f"reported as {_percent(share)} of the order"
        kinds = ", ".join(
            f"{_number(units)} {kind.replace('_', ' ')}"
            for kind, units in sorted(trouble.by_kind.items())
        )
        if not trouble.by_kind:
            return "nothing is affected"
        if len(trouble.by_kind) == 1:
            kind = next(iter(trouble.by_kind)).replace("_", " ")
            said = f"{_number(trouble.affected)} of {_number(trouble.ordered)} units {kind}"
        else:
            said = f"{_number(trouble.affected)} of {_number(trouble.ordered)} units ({kinds})"
        if self.measure is not ImpactMeasure.UNITS:
            return f"{said}; by {self.measure} = {_percent(share)}"
        return f"{said} = {_percent(share)}"

    def local(self, instant: int) -> str:
        """An instant in the partner's zone, for people."""
        return local_text(instant, self.zone)


def _stands(known: dict[str, _Statement], name: str, said: _Statement) -> None:
    earlier = known.get(name)
    if earlier is None or said.version > earlier.version:
        known[name] = said


def _number(value: Decimal) -> str:
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _percent(value: Decimal) -> str:
    """One decimal, but never a rounding that would contradict the comparison it explains."""
    shown = value.quantize(Decimal("0.1"))
    if shown != value and shown == shown.to_integral_value():
        return f"{value.quantize(Decimal('0.001')).normalize():f} %"
    return f"{shown} %"
