"""The same events end in the same cases: in one process with SQLite, one worker, three workers."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from detente.documents import load_mapping
from detente.inputs import read_inputs
from detente.past import in_force
from rules.decision import Kind
from rules.world import Horizon
from schemas.time import Instant
from streams.handler import Handler
from streams.horizon import FeedWatch
from streams.records import RawRecord
from streams.store import NextDue, Store
from tests.cluster.cluster import ROOT, Cluster, until
from tests.cluster.trade import LATER, documents, outcome, routed, trade

#: Records that the one process takes at a time.
_BATCH = 150
SCMS = ROOT / "examples" / "scms"


def real_events(share: int) -> list[bytes]:
    """Every so many of the orders of the real data set, whole, in no order."""
    mapping = load_mapping(SCMS / "by-delivery.yaml")
    data = [str(SCMS / "SCMS_Delivery_History_Dataset.csv.gz")]
    values = [r.value for r in read_inputs(data, mapping) if isinstance(r, RawRecord)]
    orders = [value for value in values if sum(value[-60:]) % share == 0]
    Random(7).shuffle(orders)
    return orders


def embedded(folder: Path, values: list[bytes]) -> tuple[dict[str, list[Any]], NextDue]:
    """What they come to in one process: all are read, then all deadlines pass."""
    policy, directory = documents()
    known = in_force(policy, directory)
    watch = FeedWatch(policy.document.value)
    read_until = Instant(0)

    def horizon(now: Instant) -> Horizon:
        return watch.horizon(read_until)

    with Store.open(f"sqlite:///{folder / 'embedded.db'}") as store:
        handler = Handler(store, known.policies, known.recipients, horizon, watch.hear)
        for start in range(0, len(values), _BATCH):
            batch = values[start : start + _BATCH]
            handler.take([RawRecord("all", str(n), value) for n, value in enumerate(batch)], LATER)
        read_until = LATER
        while handler.tick(LATER):
            pass
        with store.reading() as tx:
            due = tx.next_due()
        return outcome(store), due


async def settled(cluster: Cluster, due: NextDue) -> dict[str, list[Any]]:
    """What the cluster comes to, once it has read everything and decided what is due."""
    await cluster.drained()
    with Store.open(cluster.db, create=False) as store:

        def is_done() -> bool:
            with store.reading() as tx:
                return tx.next_due() == due

        await until(is_done, cluster.logs)
        return await asyncio.to_thread(outcome, store)


@pytest.fixture
def cluster(trading: Cluster) -> Cluster:
    """The cluster of these tests."""
    return trading


@pytest.fixture
def values(thorough: bool) -> list[bytes]:
    """Real events and made-up ones with disorder, duplicates and poison."""
    return real_events(1 if thorough else 16) + trade(11, 2_000 if thorough else 150)


@pytest.mark.parametrize("workers", [1, 3])
async def test_the_cluster_comes_to_what_one_process_comes_to(
    cluster: Cluster, tmp_path: Path, values: list[bytes], workers: int
) -> None:
    expected, due = await asyncio.to_thread(embedded, tmp_path, values)
    assert len(expected["cases"]) > 150
    assert {case.kind for case in expected["cases"]} >= {
        Kind.ORDER, Kind.TICKET, Kind.PATTERN, Kind.DISRUPTION
    }  # fmt: skip
    assert len(expected["rejected"]) > 5
    await cluster.produce(routed(cluster.kafka, values))
    for _ in range(workers):
        await cluster.start(clock=LATER)
    found = await settled(cluster, due)
    for what, things in expected.items():
        extra = [thing for thing in found[what] if thing not in things]
        missing = [thing for thing in things if thing not in found[what]]
        assert (extra[:3], missing[:3]) == ([], []), f"{what}: {len(extra)}, {len(missing)}"
        assert len(found[what]) == len(things), what
