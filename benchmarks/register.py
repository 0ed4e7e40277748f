"""The register: a store as it stands after so many orders of the stream, filled quickly.

The rows are those that `Handler.take` writes, made without parsing and deciding each: their
documents come from the same encoder, their deadlines from the same screen, and they go to disk by
the same statements. `check` compares a sample with what `Handler.take` really writes. What was in
conflict long ago is left out: delivered orders were delivered well.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import load
from benchmarks.house import House
from rules.decision import Changes, Kind, SubjectRow
from rules.policy import RuleSet
from rules.screen import screen_order
from rules.subjects import Contribution, Document, subject_key, write_document
from rules.world import World
from schemas.time import Instant
from streams.records import RawRecord
from streams.store import Store

#: New orders in a batch of 5,000 events: rows that come together lie together in the file.
_ORDERS_A_BATCH = 2_250
_BATCHES_A_COMMIT = 20


def database(folder: str | Path, name: str = "bench.db") -> str:
    """The URL of a store in a folder."""
    return f"sqlite:///{folder}/{name}"


def fill(
    store: Store,
    house: House,
    orders: int,
    open_orders: int = load.LAG,
    pace: load.Pace = load.PACE,
    first: int = 0,
) -> None:
    """Fill an empty store with so many orders, the last `open_orders` of them not delivered.

    Those before the number `first` are left out.
    """
    rows = _rows(house, range(first, orders), orders - open_orders, pace)
    more = True
    while more:
        with store.transaction() as tx:
            for _ in range(_BATCHES_A_COMMIT):
                piece = list(islice(rows, _ORDERS_A_BATCH))
                more = bool(piece)
                tx.write(Changes(subjects=piece))


def check(house: House, orders: int = 60) -> None:
    """Raise AssertionError unless `fill` makes the rows that `Handler.take` writes."""
    numbers = [
        n for n in range(2 * orders) if not (load.order(n).is_late or load.order(n).is_short)
    ]
    sample, delivered = numbers[:orders], numbers[: orders // 2]
    expected: dict[str, SubjectRow] = {}
    for n in sample:
        expected |= {row.key: row for row in _rows(house, range(n, n + 1), delivered[-1] + 1)}
    with TemporaryDirectory() as folder, Store.open(database(folder)) as store:
        handler = house.handler(store)
        for n in sample:
            order = load.order(n)
            handler.take([RawRecord("check", "", order.placed())], order.placed_at)
        for n in delivered:
            order = load.order(n)
            handler.take([RawRecord("check", "", order.delivered())], order.reported_at)
        with store.reading() as tx:
            for key, row in tx.load_subjects(expected).items():
                made = expected.pop(key)
                for field in ("document", "began_at", "feeds_due", "people_due", "has_case"):
                    assert getattr(row, field) == getattr(made, field), (field, row, made)
    assert not expected, "orders that Handler.take did not store"


def _rows(
    house: House, numbers: range, delivered: int, pace: load.Pace = load.PACE
) -> Iterator[SubjectRow]:
    world = World(house.policies, house.recipients)
    policy = house.policies.newest
    for number in numbers:
        order = load.order(number, pace)
        partner_id = order.partner_id
        said = [_placed(order)]
        due: int | None = None
        if number < delivered:
            said.append(_completed(order))
        else:
            tier = world.partner_tier(partner_id, order.placed_at)
            rules: RuleSet = policy.rule_set(Kind.ORDER, tier, world.calendar_name(partner_id))
            quiet = screen_order(said, rules, 0, world.zone(partner_id))
            assert quiet is not None
            due = quiet.feeds_due
        yield SubjectRow(
            subject_key(Kind.ORDER, partner_id, order.order_id),
            Kind.ORDER,
            partner_id,
            write_document(Document(said, {}, [])),
            order.placed_at,
            None if due is None else Instant(due),
            None,
            0,
            has_case=False,
        )


def _placed(order: load.Order) -> Contribution:
    lines = [[name, sku, str(n), price, None] for name, sku, n, price in order.lines]
    return Contribution(
        "order.placed",
        "/erp",
        f"placed-{order.order_id}",
        order.placed_at,
        order.placed_at,
        [order.promised, "EUR", lines],
    )


def _completed(order: load.Order) -> Contribution:
    parts = [[name, None, str(n), None] for name, _, n, _ in order.lines]
    return Contribution(
        "delivery.completed",
        "/erp",
        f"delivered-{order.order_id}",
        order.reported_at,
        order.reported_at,
        [f"{order.order_id}-1", order.delivered_at, parts, True],
    )
