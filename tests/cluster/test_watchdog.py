"""The watchdog, on a clock of its own."""

import threading

from streams.cluster.watchdog import Watchdog


def test_it_ends_a_worker_that_has_something_to_read_and_reads_nothing() -> None:
    now, lag = [0.0], [False]
    dog = Watchdog(10, lambda: lag[0], clock=lambda: now[0])
    now[0] = 11
    dog.looked()
    assert dog.why_stuck() is None  # nothing to read
    lag[0] = True
    assert "nothing was taken for 11 s" in str(dog.why_stuck())
    dog.moved()
    assert dog.why_stuck() is None
    now[0] = 30
    assert "event loop" in str(dog.why_stuck())


def test_it_looks_by_itself() -> None:
    ended = threading.Event()
    dog = Watchdog(0.01, lambda: True, ended.set)
    dog.start()
    assert ended.wait(60)
    dog.stop()
