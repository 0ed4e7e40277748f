"""Batches whose fences move with them: taken once, however many workers hold the same records."""

import threading

import pytest

from rules.world import Horizon
from schemas.time import Instant
from streams import outcome as out
from streams.handler import DocumentsChanged, FenceMoved, Handler
from streams.records import RawRecord
from streams.store import DOCUMENTS, FenceMove, Store
from tests.properties.histories import END, one_policy

NOW = Instant(END)


def handler(store: Store, documents: int | None = None) -> Handler:
    world = one_policy()
    nothing_read = Horizon.everything_until(0)
    return Handler(
        store, world.policies, world.recipients, lambda now: nothing_read, documents=documents
    )


def noise(n: int) -> RawRecord:
    return RawRecord("orders", f"offset {n}", b"no event %d" % n)


def rejected(store: Store) -> list[bytes]:
    with store.reading() as tx:
        return [row.entry.value for row in tx.list_rejected()]


def test_the_fence_moves_with_the_batch_or_nothing_does(store: Store, other: Store) -> None:
    one, two = handler(store), handler(other)
    found = one.take_once([noise(0)], [FenceMove("orders", 0, None, 1)], NOW)
    assert isinstance(found, list)
    assert isinstance(found[0], out.Refused)
    for old in (None, 0, 2):
        moves = [FenceMove("orders", 0, old, 9), FenceMove("orders", 1, None, 9)]
        assert two.take_once([noise(1)], moves, NOW) == FenceMoved()
    assert two.take_once([], [FenceMove("orders", 0, 1, 5)], NOW) == []  # a hole
    assert rejected(store) == [b"no event 0"]
    with store.reading() as tx:
        assert tx.fences(["orders"]) == {("orders", 0): 5}


def test_workers_with_the_same_records_take_each_once(store_url: str, store: Store) -> None:
    failed: list[BaseException] = []
    together = threading.Barrier(3)

    def work() -> None:
        try:
            with Store.open(store_url) as mine:
                taking = handler(mine)
                for n in range(20):
                    together.wait(60)
                    moves = [FenceMove("orders", p, n or None, n + 1) for p in (1, 0)]
                    taking.take_once([noise(n)], moves, NOW)
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)
            together.abort()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert rejected(store) == [b"no event %d" % n for n in range(20)]


def test_nothing_is_decided_with_documents_that_have_changed(store: Store, other: Store) -> None:
    knowing, careless = handler(store, documents=0), handler(store)
    assert knowing.tick(NOW) == 0
    with other.transaction() as tx:
        tx.bump(DOCUMENTS)
    with pytest.raises(DocumentsChanged):
        knowing.take_once([noise(0)], [FenceMove("orders", 0, None, 1)], NOW)
    assert careless.take_once([noise(0)], [FenceMove("orders", 0, None, 1)], NOW) != FenceMoved()
    assert handler(store, documents=1).take([noise(1)], NOW)
