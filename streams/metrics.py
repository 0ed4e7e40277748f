"""Figures for Prometheus: what a process did, and what the store says when it is asked.

Counting costs a batch some microseconds. What has to be looked up is looked up only when somebody
asks for the page. No figure names a case, a partner or a person.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    exposition,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rules.decision import Kind
from rules.world import Horizon
from schemas.time import SECOND, Instant
from streams.outcome import NAMES, Outcome
from streams.relay.report import RelayReport
from streams.store import OutboxStatus, Store

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4

#: Seconds: from the commit of a single event to a full batch on a busy disk.
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# Beside each counter the library would give the time at which it was made: once more as many lines.
disable_created_metrics()  # type: ignore[no-untyped-call]  # as the library declares it


Look = Callable[[], Mapping[tuple[str, int], tuple[int, Instant]]]
"""For each topic and partition: records behind, and up to when it has been read past."""


class Metrics:
    """The figures of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._events = Counter(
            "detente_events", "Records taken, by what became of them.", ["outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._batch = Histogram(
            "detente_batch_seconds", "From the beginning of a batch to its commit.",
            registry=self.registry, buckets=_BUCKETS,
        )  # fmt: skip
        self._decided = Counter(
            "detente_deadlines_decided", "Subjects whose deadline was decided.",
            registry=self.registry,
        )  # fmt: skip
        self._deliveries = Counter(
            "detente_deliveries", "Attempts to tell people, and what the relay decided instead.",
            ["result"], registry=self.registry,
        )  # fmt: skip
        for name in NAMES.values():  # a counter that is not there yet cannot be seen to rise
            self._events.labels(name)
        for result in ("sent", "failed", "deferred", "dropped", "dead"):
            self._deliveries.labels(result)

    def batch(self, tally: Mapping[type[Outcome], int], seconds: float) -> None:
        """A batch with so many outcomes of each kind was committed, so long after it was begun."""
        for kind, n in tally.items():
            self._events.labels(NAMES[kind]).inc(n)
        self._batch.observe(seconds)

    def decided(self, subjects: int) -> None:
        """The deadlines of so many subjects were decided."""
        self._decided.inc(subjects)

    def told(self, report: RelayReport) -> None:
        """What one run of the relay did."""
        for result, n in (
            ("sent", report.sent),
            ("failed", report.failed),
            ("deferred", report.deferred.total()),
            ("dropped", report.dropped.total()),
            ("dead", report.dead),
        ):
            self._deliveries.labels(result).inc(n)

    def watch_partitions(self, look: Look, clock: Callable[[], Instant]) -> None:
        """Show how far the partitions that this process reads were committed."""
        self.registry.register(_Partitions(look, clock))

    def watch_store(
        self,
        store: Store,
        horizon: Callable[[Instant], Horizon],
        clock: Callable[[], Instant],
        trouble: type[Exception] | tuple[type[Exception], ...],
    ) -> None:
        """Show what the store says. While it raises `trouble`, `detente_store_up` is 0."""
        self.registry.register(_StoreFigures(store, horizon, clock, trouble))

    def page(self) -> bytes:
        """Everything, in Prometheus' text format. Asks the store: not for the event loop."""
        return exposition.generate_latest(self.registry)


class _Partitions(Collector):
    def __init__(self, look: Look, clock: Callable[[], Instant]) -> None:
        self._look = look
        self._clock = clock

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily(
            "detente_lag_records",
            "Records of a partition that are not committed here.",
            labels=["topic", "partition"],
        )
        age = GaugeMetricFamily(
            "detente_fence_age_seconds",
            "Since the time up to which a partition has been read past.",
            labels=["topic", "partition"],
        )
        now = self._clock()
        for (topic, number), (behind, read_until) in sorted(self._look().items()):
            lag.add_metric([topic, str(number)], behind)
            if read_until:  # it is not known before anybody has looked
                age.add_metric([topic, str(number)], _seconds(now, read_until))
        yield lag
        yield age


class _StoreFigures(Collector):
    """Asks the store, each time that the page is asked for."""

    def __init__(
        self,
        store: Store,
        horizon: Callable[[Instant], Horizon],
        clock: Callable[[], Instant],
        trouble: type[Exception] | tuple[type[Exception], ...],
    ) -> None:
        self._store = store
        self._horizon = horizon
        self._clock = clock
        self._trouble = trouble

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("detente_store_up", "1 if the store answers.")
        try:
            found = self._ask()
        except self._trouble:
            found = []
            up.add_metric([], 0)
        else:
            up.add_metric([], 1)
        yield up
        yield from found

    def _ask(self) -> Sequence[Metric]:
        now = self._clock()
        horizon = self._horizon(now)
        due = GaugeMetricFamily(
            "detente_deadlines_due",
            "Subjects whose deadline has passed and may be decided.",
            labels=["kind"],
        )
        held = GaugeMetricFamily(
            "detente_deadlines_held",
            "Subjects whose deadline has passed and waits for input.",
            labels=["kind"],
        )
        depth = GaugeMetricFamily(
            "detente_outbox_entries", "Effects that were not told yet.", labels=["state"]
        )
        age = GaugeMetricFamily(
            "detente_outbox_age_seconds", "Since the oldest effect that is not told was decided."
        )
        kept = GaugeMetricFamily(
            "detente_rejected_kept", "Rejected input that nobody has driven again."
        )
        with self._store.reading() as tx:
            for kind in Kind:
                until = Instant(min(horizon.feeds(kind), now))
                due.add_metric([kind.value], tx.count_held(kind, Instant(0), until))
                held.add_metric([kind.value], tx.count_held(kind, until, now))
            until = Instant(min(horizon.people, now))
            due.add_metric(["people"], tx.count_people_due(Instant(0), until))
            held.add_metric(["people"], tx.count_people_due(until, now))
            for status in (OutboxStatus.QUEUED, OutboxStatus.DEAD):
                depth.add_metric([status.value], tx.count_outbox_of(status))
            age.add_metric([], _seconds(now, tx.oldest_queued() or now))
            kept.add_metric([], tx.count_rejected())
        return due, held, depth, age, kept


def _seconds(now: Instant, since: Instant) -> float:
    return max(now - since, 0) / SECOND
