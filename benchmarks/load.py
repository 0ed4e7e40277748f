"""The load: a stream of events that is the same every time, made without keeping anything.

Of twenty events nine place an order of three lines, nine deliver the order that was placed 50,000
orders earlier, and two are about tickets. Two orders of a hundred end in conflict: one comes 60
hours late, one comes short. Everything about an order follows from its number, so that a stream
can begin anywhere and a delivery knows its order. Its pace says when each event happens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from schemas.time import DAY, HOUR, SECOND, Instant, iso, to_instant
from streams.records import RawRecord

#: Orders between an order and its delivery.
LAG = 50_000
PARTNERS = 500


class Pace(NamedTuple):
    """When events happen."""

    start: int
    """The instant of the event with index 0."""
    step: int
    """Microseconds from one event to the next."""

    def ending(self, index: int, at: Instant) -> "Pace":
        """The same pace, with the event of that index at an instant."""
        return self._replace(start=at - index * self.step)


#: 5,000 orders a day: a delivery comes ten days after its order.
PACE = Pace(to_instant(datetime(2026, 1, 5, tzinfo=UTC)), 8 * SECOND)

_ROUND = 20
_ORDERS_A_ROUND = 9
# o: the next order; d: the delivery that is due; t: a ticket.
_PATTERN = "ododtododododtododod"
_PLACES = tuple(_PATTERN[:n].count(kind) for n, kind in enumerate(_PATTERN))
_SLOTS_OF_ORDERS = tuple(n for n, kind in enumerate(_PATTERN) if kind == "o")
_SLOTS_OF_DELIVERIES = tuple(n for n, kind in enumerate(_PATTERN) if kind == "d")
_ANSWERED_AFTER, _SOLVED_AFTER = 20, 200  # tickets
_MASK = 2**64 - 1


def _mix(number: int, salt: int) -> int:
    """A number that looks random and is the same every time (the finalizer of SplitMix64)."""
    z = (number * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def partner(number: int) -> str:
    """A partner's id."""
    return f"partner-{number:03}"


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the stream with its delivery."""

    number: int
    order_id: str
    partner_id: str
    placed_at: Instant
    reported_at: Instant
    """When its delivery is reported; it came 225 events earlier, half an hour."""
    delivered_at: Instant
    promised: Instant | str
    """Every other order is promised for a day, given as text."""
    lines: tuple[tuple[str, str, int, str], ...]
    """(line_id, sku, quantity, unit price)"""
    is_late: bool
    is_short: bool

    def came(self, quantity: int) -> int:
        """How much of an ordered quantity comes."""
        return quantity * 4 // 5 if self.is_short else quantity

    def placed(self) -> bytes:
        """The event that places it."""
        promised = self.promised if isinstance(self.promised, str) else iso(self.promised)
        lines = ",".join(
            f'{{"line_id":"{line_id}","sku":"{sku}","quantity":{quantity},"unit_price":"{price}"}}'
            for line_id, sku, quantity, price in self.lines
        )
        return (
            f'{{"specversion":"1.0","id":"placed-{self.order_id}","source":"/erp",'
            f'"type":"order.placed","time":"{iso(self.placed_at)}","data":{{'
            f'"partner_id":"{self.partner_id}","order_id":"{self.order_id}",'
            f'"promised_at":"{promised}","currency":"EUR","lines":[{lines}]}}}}'
        ).encode()

    def delivered(self) -> bytes:
        """The event that reports its delivery."""
        lines = ",".join(
            f'{{"line_id":"{line_id}","quantity":{self.came(quantity)}}}'
            for line_id, _, quantity, _ in self.lines
        )
        return (
            f'{{"specversion":"1.0","id":"delivered-{self.order_id}","source":"/erp",'
            f'"type":"delivery.completed","time":"{iso(self.reported_at)}","data":{{'
            f'"partner_id":"{self.partner_id}","order_id":"{self.order_id}",'
            f'"delivery_id":"{self.order_id}-1","delivered_at":"{iso(self.delivered_at)}",'
            f'"lines":[{lines}],"final":true}}}}'
        ).encode()


def at(index: int, pace: Pace = PACE) -> Instant:
    """When the event with that index happens."""
    return Instant(pace.start + index * pace.step)


def first_event(orders: int) -> int:
    """Index of the first event after so many orders, a multiple of nine rounded up."""
    return -(-orders // _ORDERS_A_ROUND) * _ROUND


def order(number: int, pace: Pace = PACE) -> Order:
    """The order with that number."""
    rounds, place = divmod(number, _ORDERS_A_ROUND)
    placed_at = at(rounds * _ROUND + _SLOTS_OF_ORDERS[place], pace)
    rounds, place = divmod(number + LAG, _ORDERS_A_ROUND)
    reported_at = at(rounds * _ROUND + _SLOTS_OF_DELIVERIES[place], pace)
    chance = _mix(number, 1)
    is_late, is_short = chance % 100 == 0, chance % 100 == 1
    delivered_at = Instant(reported_at - 225 * pace.step)
    promised: Instant | str = Instant(delivered_at + (-60 * HOUR if is_late else DAY))
    if chance & 1024 and not is_late:
        promised = iso(delivered_at + DAY)[:10]
    return Order(
        number,
        f"{_mix(number, 2):016x}",
        partner((chance >> 16) % PARTNERS),
        placed_at,
        reported_at,
        delivered_at,
        promised,
        tuple(
            (
                str(line * 10),
                f"A-{(chance >> 12 * line) % 4000:04}",
                10 * (1 + (chance >> 8 * line) % 9),
                f"{1 + (chance >> 9 * line) % 40}.50",
            )
            for line in (1, 2, 3)
        ),
        is_late,
        is_short,
    )


def _ticket(number: int, time: Instant) -> bytes:
    """Tickets by turns: one is opened, an earlier one is answered, one from before is solved."""
    opened, turn = divmod(number, 3)
    name = max(0, opened - (0, _ANSWERED_AFTER, _SOLVED_AFTER)[turn])
    kind, data = (
        ("opened", '"category":"invoice","severity":"normal","channel":"mail"'),
        ("message", '"author":"us","kind":"reply"'),
        ("status", '"status":"resolved"'),
    )[turn]
    chance = _mix(name, 3)
    return (
        f'{{"specversion":"1.0","id":"{kind}-{number}","source":"/helpdesk",'
        f'"type":"ticket.{kind}","time":"{iso(time)}","data":{{'
        f'"partner_id":"{partner(chance % PARTNERS)}","ticket_id":"T-{chance:016x}",{data}}}}}'
    ).encode()


def event(index: int, pace: Pace = PACE) -> bytes:
    """The event with that index, as the JSON of a CloudEvent."""
    rounds, slot = divmod(index, _ROUND)
    place = _PLACES[slot]
    match _PATTERN[slot]:
        case "o":
            return order(rounds * _ORDERS_A_ROUND + place, pace).placed()
        case "d":
            return order(rounds * _ORDERS_A_ROUND + place - LAG, pace).delivered()
        case _:
            return _ticket(rounds * 2 + place, at(index, pace))


def delivered_by(index: int) -> int | None:
    """The number of the order that the event with that index delivers; None for other events."""
    rounds, slot = divmod(index, _ROUND)
    return rounds * _ORDERS_A_ROUND + _PLACES[slot] - LAG if _PATTERN[slot] == "d" else None


def batches(orders: int, events: int, size: int) -> Iterator[tuple[list[RawRecord], Instant]]:
    """The stream after so many orders: batches of records, and when each has been read."""
    first = first_event(orders)
    for start in range(first, first + events, size):
        end = min(start + size, first + events)
        records = [RawRecord("bench", f"line {n}", event(n)) for n in range(start, end)]
        yield records, Instant(at(end - 1) + SECOND)
