"""The Faust app of the cluster: `faust -A streams.app worker`, or `detente worker`.

Faust hosts the worker: command line, supervision, signals, exit codes, logs. What it would do with
Kafka by itself is switched off; the pump reads instead (docs/adr/0012-the-pump.md says why).
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import faust
from faust.app.base import BootStrategy
from mode.types import ServiceT

from schemas.time import Instant
from streams.cluster.health_pages import HealthPages
from streams.cluster.settings import ClusterSettings, read_cluster_settings
from streams.cluster.worker import ClusterWorker
from streams.writer import Clock


def wall_clock() -> Instant:
    """Now."""
    return Instant(time.time_ns() // 1_000)


class _Boot(BootStrategy):
    """Starts our worker in place of Faust's consumer, producer, agents and tables."""

    enable_kafka: bool = False
    enable_web: bool | None = False

    def server(self) -> Iterable[ServiceT]:
        assert isinstance(self.app, ClusterApp)
        return [self.app.worker]


class ClusterApp(faust.App):
    """A Faust app that runs one `ClusterWorker`."""

    BootStrategy = _Boot  # type: ignore[mutable-override]  # Faust's own way to choose one

    def __init__(self, worker: ClusterWorker, **options: Any) -> None:
        super().__init__(
            "detente",
            # Nothing is kept there: our state lies in the database.
            datadir=str(Path(gettempdir()) / "detente-faust"),
            autodiscover=False,
            topic_allow_declare=False,
            **options,
        )
        self.worker = worker


def create_app(
    settings: Callable[[], ClusterSettings] = read_cluster_settings,
    clock: Clock = wall_clock,
    pages: HealthPages | None = None,
) -> ClusterApp:
    """An app for one worker process; the settings are read when it starts."""
    return ClusterApp(ClusterWorker(settings, clock, pages))


app = create_app()
