"""A worker that gets stuck: one of its threads waits for ever, or Kafka's client gives nothing."""

import asyncio
import sys
import threading
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer

from detente.embedded import wall_clock
from schemas.time import Instant
from streams.app import create_app
from streams.cluster.settings import ClusterSettings, read_cluster_settings
from streams.logs import set_up_logs

#: Seconds; the settings allow no less than a minute.
PATIENCE = 2.0


def settings() -> ClusterSettings:
    """Those of the environment, with less patience."""
    given = read_cluster_settings()
    return ClusterSettings(given.db, given.kafka.model_copy(update={"stall_timeout": PATIENCE}))


async def nothing(*_: Any, **__: Any) -> None:
    """What a client gives that has lost its way."""
    await asyncio.Event().wait()


def clock() -> Instant:
    """On the thread that is to be stuck it stands still, and whoever looks at it."""
    if threading.current_thread().name == sys.argv[1]:
        threading.Event().wait()
    return wall_clock()


if __name__ == "__main__":
    if sys.argv[1] == "client":
        AIOKafkaConsumer.getmany = nothing
    set_up_logs(json=False, level="INFO", secrets=frozenset())
    worker = faust.Worker(create_app(settings, clock), override_logging=False, quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()
