"""Up to when inputs have been read, by what their ends and fences say."""

from schemas.time import Instant
from streams.cluster.read_past import ReadPast
from streams.horizon import START

A, B = ("orders", 0), ("tickets", 0)


def at(n: int) -> Instant:
    return Instant(1_000 + n)


def test_before_anybody_was_asked_nothing_is_read_past() -> None:
    read = ReadPast()
    assert read.until == START
    read.asked(at(0), {A: 5, B: 0})
    assert read.until == START


def test_all_partitions_count_and_an_idle_one_holds_nothing_back() -> None:
    read = ReadPast()
    read.asked(at(0), {A: 5, B: 0})
    read.committed({A: 4})
    assert (read.until, read.lag) == (START, {A: 1, B: 0})
    read.asked(at(1), {A: 5, B: 0})
    read.committed({A: 5})
    assert (read.until, read.lag) == (at(1), {A: 0, B: 0})


def test_a_partition_that_never_ends_is_read_past_what_was_asked_before() -> None:
    read = ReadPast()
    for n in range(10):
        read.asked(at(n), {A: 100 * n})
        read.committed({A: max(100 * n - 150, 0)})  # always behind, and always moving
    assert read.until == at(7)


def test_what_nobody_reads_holds_back_for_as_long_as_nobody_does() -> None:
    read = ReadPast()
    read.asked(at(0), {A: 0, B: 0})
    read.committed({})
    for n in range(1, 2_000):
        read.asked(at(n), {A: n, B: 3})
        read.committed({A: n})
    assert read.until == at(0)
    read.committed({A: 2_000, B: 3})
    assert read.until == at(1_999)


def test_far_behind_it_forgets_marks_and_proves_less() -> None:
    read = ReadPast()
    for n in range(5_000):
        read.asked(at(n), {A: n + 1})
        read.committed({})
    read.committed({A: 2_500})
    assert at(1_000) < read.until <= at(2_499)


def test_partitions_that_are_added_are_read_too() -> None:
    read = ReadPast()
    read.asked(at(0), {A: 0})
    read.committed({})
    read.asked(at(1), {A: 0, B: 7})
    read.committed({})
    assert read.until == START
    read.committed({B: 7})
    assert read.until == at(1)
