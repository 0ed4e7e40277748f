"""The measurements. Each returns plain figures; making the events is never part of the time."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from cProfile import Profile
from dataclasses import dataclass
from pathlib import Path
from pstats import Stats
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks import load, register, reports, slack_latency
from benchmarks.house import House
from benchmarks.incidents import replay_incidents
from benchmarks.stages import stages
from rules.decision import Kind
from schemas.events import parse_event
from schemas.time import Instant
from streams.handler import Handler
from streams.records import RawRecord
from streams.store import Store

BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    register: int
    """Orders in the register before the first event that is measured."""
    events: int
    memory_events: int
    large_register: int
    growth_batches: int
    waiting: int
    due: int
    instances: int = 1_000_000
    """Commitments of the year that a digest is made of."""
    incident_records: int | None = None
    """How many events of the incident log; all of them without a number."""
    latency_s: int = 60
    """Seconds of events, a hundred a second."""


DEFAULT = Scale(100_000, 200_000, 500_000, 2_000_000, 24, 1_000_000, 1_000)
FULL = Scale(100_000, 1_000_000, 5_000_000, 2_000_000, 100, 1_000_000, 1_000, latency_s=300)
#: Shows only that everything runs; its figures mean nothing.
TINY = Scale(
    2_000, 5_000, 5_000, 4_000, 1, 2_000, 100, incident_records=500, latency_s=2, instances=400
)

Figures = dict[str, Any]


def pipeline(scale: Scale) -> Figures:
    """Parsing alone, and the whole way into the store, batch by batch of the same records.

    Nobody is warned: how much warnings cost is the policy's choice, and `warnings` shows it.
    """
    return _pipeline(scale, warns=False)


def warnings(scale: Scale) -> Figures:
    """The same with the warnings that the sample policy asks for."""
    return _pipeline(scale, warns=True)


def _pipeline(scale: Scale, *, warns: bool) -> Figures:
    parsing: list[float] = []
    whole: list[float] = []
    ticks: list[float] = []
    with _register(scale.register, warns=warns) as (store, house, _):
        handler = house.handler(store)
        _warm_up(handler, scale.register)
        for records, now in _stream(scale.events, scale.register):
            start = perf_counter()
            for record in records:
                parse_event(record.value)
            parsed = perf_counter()
            handler.take(records, now)
            taken = perf_counter()
            _tick(handler, now)
            ticked = perf_counter()
            parsing.append(parsed - start)
            whole.append(ticked - parsed)
            ticks.append(ticked - taken)
        with store.reading() as tx:
            cases = tx.count_cases()
    events = len(whole) * BATCH
    return {
        "events": events,
        "cases": cases,
        "parse_per_s": events / sum(parsing),
        "pipeline_per_s": events / sum(whole),
        "share_of_ticks": sum(ticks) / sum(whole),
        "ratio": sum(parsing) / sum(whole),
        "median_ratio": median(p / w for p, w in zip(parsing, whole, strict=True)),
    }


def growth(scale: Scale) -> Figures:
    """Cost of an event with a large register against a small one, by turns in one process."""
    small: list[float] = []
    large: list[float] = []
    with (
        _register(scale.register) as (store, house, _),
        _register(scale.large_register) as (large_store, _, filled_in),
    ):
        runs = []
        for orders, opened, times in (
            (scale.register, store, small),
            (scale.large_register, large_store, large),
        ):
            handler = house.handler(opened)
            _warm_up(handler, orders)
            runs.append((handler, _stream(scale.growth_batches * BATCH, orders), times))
        for _ in range(scale.growth_batches):
            for handler, stream, times in runs:
                records, now = next(stream)
                start = perf_counter()
                handler.take(records, now)
                _tick(handler, now)
                times.append(perf_counter() - start)
    return {
        "small_us": sum(small) / len(small) / BATCH * 1e6,
        "large_us": sum(large) / len(large) / BATCH * 1e6,
        "ratio": sum(large) / sum(small),
        "median_ratio": median(large) / median(small),
        "orders": scale.large_register,
        "small_orders": scale.register,
        "filled_in_s": filled_in,
    }


def memory(scale: Scale) -> Figures:
    """Resident memory while many events go through."""
    samples: list[float] = []
    with _register(scale.register) as (store, house, _):
        handler = house.handler(store)
        for records, now in _stream(scale.memory_events, scale.register):
            handler.take(records, now)
            _tick(handler, now)
            samples.append(_resident_mb())
    fifth = max(1, len(samples) // 5)
    return {
        "events": len(samples) * BATCH,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "early_mb": median(samples[:fifth]),
        "late_mb": median(samples[-fifth:]),
        "growth_mb": median(samples[-fifth:]) - median(samples[:fifth]),
    }


def deadlines(scale: Scale) -> Figures:
    """A look at the deadlines of many waiting orders: none due, then so many due at once."""
    with _register(scale.waiting, scale.waiting) as (store, house, filled_in):
        handler = house.handler(store)
        with store.reading() as tx:
            first = tx.next_due().feeds[Kind.ORDER]
            last = tx.due_feeds(Kind.ORDER, load.at(2**30), scale.due)[-1].feeds_due
        assert last is not None
        quiet = []
        for _ in range(50):
            start = perf_counter()
            assert handler.tick(first) == 0, "a deadline is decided only when it has been read past"
            quiet.append(perf_counter() - start)
        start = perf_counter()
        due = handler.tick(Instant(last + 1), scale.due)
        took = perf_counter() - start
        with store.reading() as tx:
            cases = tx.count_cases()
    return {
        "waiting": scale.waiting,
        "none_due_ms": median(quiet) * 1e3,
        "due": due,
        "cases": cases,
        "due_s": took,
        "filled_in_s": filled_in,
    }


def latency(scale: Scale) -> Figures:
    """From an event to the request that Slack gets, through a service in another process."""
    return slack_latency.measure(scale.latency_s)


def profile(scale: Scale) -> Figures:
    """Microseconds an event by stage, as the profiler sees them; it slows small calls most."""
    profiler = Profile()
    with _register(scale.register) as (store, house, _):
        handler = house.handler(store)
        _warm_up(handler, scale.register)
        for records, now in _stream(scale.events, scale.register):
            profiler.enable()
            handler.take(records, now)
            _tick(handler, now)
            profiler.disable()
    return stages(Stats(profiler), scale.events)


def incidents(scale: Scale) -> Figures:
    """The replay of real tickets, each with a promise that warns."""
    return replay_incidents(scale.incident_records)


def digest(scale: Scale) -> Figures:
    """A digest of one week, and of a year, over a ledger that holds the year."""
    return reports.digest(scale.instances)


MEASURES: dict[str, Callable[[Scale], Figures]] = {
    run.__name__: run
    for run in (
        pipeline,
        warnings,
        growth,
        memory,
        deadlines,
        latency,
        profile,
        incidents,
        digest,
    )
}


@contextmanager
def _register(
    orders: int, waiting: int = load.LAG, *, warns: bool = True
) -> Iterator[tuple[Store, House, float]]:
    """A store with so many orders, the last ones waiting, and how long it took to fill."""
    house = House(warns=warns)
    register.check(house)
    with TemporaryDirectory() as folder, Store.open(register.database(folder)) as store:
        start = perf_counter()
        register.fill(store, house, orders, waiting)
        yield store, house, perf_counter() - start


def _stream(events: int, orders: int) -> Iterator[tuple[list[RawRecord], Instant]]:
    return load.batches(orders, events, BATCH)


def _warm_up(handler: Handler, orders: int) -> None:
    """Decide what was due before the stream begins: late orders of the register."""
    _tick(handler, load.at(load.first_event(orders)))


def _tick(handler: Handler, now: Instant) -> None:
    while handler.tick(now):
        pass


def _resident_mb() -> float:
    """What this process holds in memory now, in megabytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
