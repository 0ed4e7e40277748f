"""Our worker, as `detente worker` starts it: how fast it is, and how soon a case is there."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from sqlalchemy import make_url

from benchmarks import load
from benchmarks.cluster.scene import ROOT, Figures, Scene, environment
from schemas.time import HOUR
from streams.cluster.clients import client_arguments
from streams.cluster.settings import DB, KafkaSettings

#: Nothing is waited for longer.
_WITHIN_S = 120.0
_STOP_WITHIN_S = 15.0
#: How often somebody looks: so much later than it happened something may be seen.
_LOOK_S = 0.02
_LOOK_FOR_CASES_S = 0.01

_DONE = 'SELECT coalesce(sum("offset"), 0)::bigint FROM position'
_CASES = "SELECT case_id FROM conflict_case WHERE opened_at >= %s"

_Check = Callable[[], None]


def throughput(scene: Scene, workers: int) -> Figures:
    """Events per second, from when the group is complete until all has been committed."""
    kafka = scene.kafka(f"workers-{workers}")
    with _running(scene, kafka, workers) as check, _database(scene) as connection:
        asyncio.run(_until_complete(kafka, workers, check))
        # The first batch bears what is done once.
        before = _until(connection, check, 1)
        start = monotonic()
        done = _until(connection, check, scene.scale.events)
        end = monotonic()
    return {"events": done - before, "per_s": (done - before) / (end - start)}


def latency(scene: Scene) -> Figures:
    """Milliseconds from when an event was to be written until somebody else sees its case."""
    kafka, scale = scene.kafka("live"), scene.scale
    since = load.at(scene.first, scene.pace) - HOUR
    seen: dict[str, float] = {}
    with _running(scene, kafka, 1) as check, _database(scene) as connection:
        asyncio.run(_until_complete(kafka, 1, check))
        command = [sys.executable, "-m", "benchmarks.cluster.fill", scene.json()]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:  # noqa: S603 - ours
            limit = monotonic() + _WITHIN_S
            finished = False
            while not finished:
                check()
                # Asked before the cases: the last event's is then among them.
                finished = _done(connection) >= scale.live_events or monotonic() > limit
                found = connection.execute(_CASES, (since,)).fetchall()
                at = monotonic()
                for (case,) in found:
                    seen.setdefault(case, at)
                _pass(_LOOK_FOR_CASES_S)
            assert writer.stdout is not None
            due: dict[str, float] = json.load(writer.stdout)
    took = [1_000 * (seen[case] - at) for case, at in due.items() if case in seen]
    percentiles = quantiles(took, n=100, method="inclusive")
    return {
        "events": scale.live_events,
        "per_s": scale.live_rate,
        "opened": len(due),
        "seen": len(took),
        "p50_ms": percentiles[49],
        "p99_ms": percentiles[98],
    }


@contextmanager
def _running(scene: Scene, kafka: KafkaSettings, workers: int) -> Iterator[_Check]:
    """Some workers; what is given raises when one of them has ended."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        said = Path(folder, "said")
        log = stack.enter_context(said.open("wb"))
        processes = []
        for _ in range(workers):
            process = subprocess.Popen(
                [sys.executable, "-m", "detente", "worker"],
                cwd=folder,  # not ours: a settings file there would count
                env=os.environ | environment(kafka) | {DB: scene.database, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            stack.callback(_stop, process)
            processes.append(process)

        def check() -> None:
            if any(process.poll() is not None for process in processes):
                raise RuntimeError(f"a worker has ended:\n{said.read_text()[-4_000:]}")

        yield check
        for process in processes:
            process.terminate()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _until_complete(kafka: KafkaSettings, members: int, check: _Check) -> None:
    """Wait until the group has so many members, and each has its partitions."""
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    await admin.start()
    try:
        async with asyncio.timeout(_WITHIN_S):
            while True:
                check()
                try:
                    (answer,) = await admin.describe_consumer_groups([kafka.group])
                except GroupCoordinatorNotAvailableError:
                    pass  # nobody has asked this broker for a group before
                else:
                    ((_, _, state, _, _, found, *_),) = answer.groups
                    if state == "Stable" and len(found) == members:
                        return
                await asyncio.sleep(_LOOK_S)
    finally:
        await admin.close()


@contextmanager
def _database(scene: Scene) -> Iterator[psycopg.Connection]:
    url = make_url(scene.database).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


def _done(connection: psycopg.Connection) -> int:
    row = connection.execute(_DONE).fetchone()
    assert row is not None
    done: int = row[0]
    return done


def _until(connection: psycopg.Connection, check: _Check, wanted: int) -> int:
    """Wait until so many events were committed; how many were."""
    limit = monotonic() + _WITHIN_S
    while (done := _done(connection)) < wanted and monotonic() < limit:
        check()
        _pass(_LOOK_S)
    return done


def _pass(seconds: float) -> None:
    Event().wait(seconds)  # what is looked for lies in the database, which wakes nobody
