"""Deadlines in the cluster: decided once, by whoever looks, when all inputs have been read past."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rules.decision import StepKind
from schemas.time import Instant, to_instant
from streams.cluster.deciding import Deciding
from streams.cluster.read_past import EndOffsets, ReadPast
from streams.store import FenceMove, Store
from tests.cluster.cluster import Cluster, until
from tests.cluster.trade import BEGIN, LATER, event, routed

SOON = to_instant(BEGIN)


@pytest.fixture
def cluster(trading: Cluster) -> Cluster:
    """The cluster of these tests."""
    return trading


class Clock:
    """Shows what the test wants."""

    def __init__(self, now: Instant) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return self.now


def promised(n: int) -> bytes:
    """An order of which nobody reports anything."""
    return event("order.placed", BEGIN, f"PO-{n}-placed", partner_id=f"partner-{n % 9}",
                 order_id=f"PO-{n}", promised_at="2026-03-04T09:00:00Z",
                 lines=[{"sku": "bolt", "quantity": "10"}])  # fmt: skip


def came(n: int) -> bytes:
    """Word that it came in time after all."""
    return event("delivery.completed", BEGIN, f"PO-{n}-came", partner_id=f"partner-{n % 9}",
                 order_id=f"PO-{n}", delivery_id="D1", delivered_at="2026-03-04T08:00:00Z",
                 final=True)  # fmt: skip


def opened(cluster: Cluster) -> list[str]:
    """The subjects of all cases, and that each was opened once."""
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        cases = tx.list_cases()
        for case in cases:
            kinds = [step.kind for step in tx.steps(case.case_id)]
            assert kinds.count(StepKind.OPENED) == 1
        effects = [entry.effect.effect_id for entry in tx.list_outbox()]
    assert len(effects) == len(set(effects))
    return sorted(case.subject.rpartition(":")[2] for case in cases)


@asynccontextmanager
async def onlooker(
    cluster: Cluster, clock: Clock
) -> AsyncIterator[tuple[Deciding, ReadPast, EndOffsets]]:
    """Somebody who looks for deadlines and reads nothing."""
    read_past, ends = ReadPast(), EndOffsets(cluster.kafka)
    await ends.start()
    try:
        with Store.open(cluster.db, create=False) as store:
            yield Deciding(store, read_past, clock), read_past, ends
    finally:
        await ends.stop()


async def test_each_is_decided_once_though_every_worker_looks(cluster: Cluster) -> None:
    clock = Clock(SOON)
    await cluster.produce(routed(cluster.kafka, [promised(n) for n in range(300)]))
    async with cluster.worker_inside(clock), cluster.worker_inside(clock):
        await cluster.drained()
        assert await asyncio.to_thread(opened, cluster) == []
        # All other partitions are idle. They hold nothing back.
        clock.now = LATER
        await until(lambda: len(opened(cluster)) == 300)
    assert len(await asyncio.to_thread(opened, cluster)) == 300


async def test_what_a_dead_worker_left_unread_is_waited_for(cluster: Cluster) -> None:
    async with cluster.worker_inside(Clock(SOON)):
        await cluster.produce(routed(cluster.kafka, [promised(n) for n in range(30)]))
        await cluster.drained()
    # Nobody reads any more. Word comes of all orders but one.
    await cluster.produce(routed(cluster.kafka, [came(n) for n in range(29)]))
    async with onlooker(cluster, Clock(LATER)) as (deciding, read_past, ends):
        for _ in range(3):
            read_past.asked(LATER, await ends.ask())
            await asyncio.to_thread(deciding.look, cluster.kafka.inputs)
            assert await asyncio.to_thread(deciding.tick) == 0
        assert sum(read_past.lag.values()) == 29
    assert await asyncio.to_thread(opened, cluster) == []
    async with cluster.worker_inside(Clock(LATER)):
        await until(lambda: opened(cluster) == ["PO-29"])
        await cluster.drained()


async def test_a_fence_that_another_moves_is_as_good_as_ones_own(cluster: Cluster) -> None:
    await cluster.produce([(cluster.kafka.tickets_topic, b"a", b"no event")])
    async with onlooker(cluster, Clock(LATER)) as (deciding, read_past, ends):
        where = await ends.ask()
        [place] = [place for place, end in where.items() if end]
        read_past.asked(LATER, where)
        await asyncio.to_thread(deciding.look, cluster.kafka.inputs)
        assert read_past.until == 0
        with Store.open(cluster.db, create=False) as store, store.transaction() as tx:
            assert tx.move_fences([FenceMove(*place, None, 1)])
        await asyncio.to_thread(deciding.look, cluster.kafka.inputs)
        assert read_past.until == LATER
