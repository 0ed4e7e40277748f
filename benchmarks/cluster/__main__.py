"""`make bench-cluster`: our worker and what else one could run, against one Kafka and PostgreSQL.

Both servers are started for it, on loopback, and end with it. `--only NAME` measures some parts,
`--rounds N` takes the median of several, `--json` prints the figures for programs.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy import make_url

from benchmarks import load, register
from benchmarks.__main__ import Line, machine, table
from benchmarks.cluster.fill import fill
from benchmarks.cluster.scene import (
    DEFAULT,
    ROOT,
    TINY,
    Figures,
    Scale,
    Scene,
    now,
    run_part,
)
from benchmarks.cluster.workers import latency, throughput
from benchmarks.house import House
from schemas.time import SECOND
from streams.cluster.clients import client_arguments
from streams.cluster.topics import create_topics
from streams.store import Store
from tests.rigs.kafka import own_broker
from tests.rigs.postgres import PostgresServer, own_server

#: The environment of Quix Streams.
PEERS = ROOT / ".venv-peers" / "bin" / "python"
# As it comes, so that a commit is on disk; only the memory is that of a small server.
_POSTGRES = {"shared_buffers": "256MB"}

PARTS: dict[str, Callable[[Scene], Figures]] = {
    "bare": lambda scene: run_part("bare", scene),
    "worker": lambda scene: throughput(scene, 1),
    "quix": lambda scene: run_part("quix", scene, PEERS),
    "agents": lambda scene: run_part("agents", scene),
    "three": lambda scene: throughput(scene, 3),
    "live": latency,
}

NOTES = """\
(a), (b), (c) read three topics of 6 partitions; a commit of PostgreSQL is on disk when it returns.
(a) AIOKafkaConsumer.getmany of 5,000 and parse_event, with the settings of our worker.
(b) `detente worker`, batches of 5,000 at most, each one transaction; 50,000 orders are known.
(c) An agent of Faust over the three topics, our handler and store, a transaction for each event;
    offsets are committed as Faust does by itself, every 2.8 s.
(d) Quix Streams with one topic of 6 partitions, which it reads faster than three by `concat`; our
    parser, screen and fold, documents in its state (RocksDB and a changelog topic), commits every
    5 s, all as it comes. No patterns, no deadlines, no transaction over several partners. The
    orders that are delivered are known.
Starting, joining the group and the first batch are not counted."""


def main() -> int:
    """Measure what was asked for and print it. Exits with 1 when a target is missed."""
    asked = _arguments()
    names = asked.only or list(PARTS)
    scale = TINY if asked.tiny else DEFAULT
    where = f"{machine()}, load {os.getloadavg()[0]:.1f} before"
    try:
        with own_broker() as broker, own_server(_POSTGRES) as server:
            found = measure(broker.brokers, server, scale, names, asked.rounds)
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        sys.exit(str(error))  # the servers of the tests say it as tests do
    shown = list(lines(found))
    if asked.json:
        print(json.dumps({"machine": where, "figures": found}, indent=2))
    else:
        print(f"\n{where}; Kafka and PostgreSQL on the same machine\n")
        print(table(shown))
        print(f"\n{NOTES}")
    return int(scale is not TINY and any(line.met is False for line in shown))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-cluster", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(PARTS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure(
    brokers: str, server: PostgresServer, scale: Scale, names: list[str], rounds: int = 1
) -> dict[str, Figures]:
    """Run these parts by turns, each with a copy of the same store; medians of the rounds."""
    found: dict[str, list[Figures]] = {}
    loud = [name for name in names if name != "live"]
    if loud:
        # A day of events is read in seconds: the last one has happened just now.
        last = load.first_event(scale.register) + scale.events
        with _scene(brokers, server, scale, load.PACE.ending(last, now())) as scene:
            asyncio.run(fill(scene))
            for turn in range(rounds):
                for name in loud:
                    found.setdefault(name, []).append(_run(name, scene, server, turn))
    for turn in range(rounds if "live" in names else 0):
        # Events are written as they happen; the orders before them happened at the same pace.
        small = replace(scale, register=load.LAG)
        pace = load.Pace(0, SECOND // scale.live_rate)
        pace = pace.ending(load.first_event(small.register), now())
        with _scene(brokers, server, small, pace) as scene:
            found.setdefault("live", []).append(_run("live", scene, server, turn))
    return {name: _median(figures) for name, figures in found.items()}


@contextmanager
def _scene(brokers: str, server: PostgresServer, scale: Scale, pace: load.Pace) -> Iterator[Scene]:
    """A filled store and empty topics."""
    _say("filling the store and the topics")
    house = House()
    with server.database() as filled:
        with Store.open(filled) as store:
            house.adopt(store)
            first = scale.register - load.LAG
            register.fill(store, house, first + scale.known, scale.known, pace, first)
        name = str(make_url(filled).database)
        scene = Scene(brokers, f"bench-{name[-6:]}", filled, scale, pace)
        asyncio.run(_make_topics(scene))
        yield scene


def _run(name: str, scene: Scene, server: PostgresServer, turn: int) -> Figures:
    """Run a part with a copy of the store for itself."""
    _say(f"measuring: {name}")
    with server.database(str(make_url(scene.database).database)) as database:
        return PARTS[name](replace(scene, database=database, turn=turn))


def _median(figures: list[Figures]) -> Figures:
    return {name: median(each[name] for each in figures) for name in figures[0]}


async def _make_topics(scene: Scene) -> None:
    kafka = scene.kafka("")
    await create_topics(kafka)
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(scene.one_topic, kafka.partitions, 1)])
    finally:
        await admin.close()


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def lines(found: Mapping[str, Figures]) -> Iterator[Line]:
    """The figures, and how they compare."""
    rates = {name: figures["per_s"] for name, figures in found.items()}
    for name, what in (
        ("bare", "(a) Kafka's client and parsing alone"),
        ("worker", "(b) our worker into PostgreSQL"),
        ("agents", "(c) Faust agents, same core and store"),
        ("quix", "(d) Quix Streams, its own state"),
        ("three", "three workers into PostgreSQL"),
    ):
        if name in rates:
            yield Line(what, f"{rates[name]:,.0f} events/s")
    if "worker" in rates:
        worker = rates["worker"]
        if "bare" in rates:
            ratio = worker / rates["bare"]
            yield Line("b / a", f"{ratio:.3f}", "at least 0.15", ratio >= 0.15)
        if "agents" in rates:
            ratio = worker / rates["agents"]
            yield Line("b / c", f"{ratio:.1f}", "at least 5", ratio >= 5)
        if "quix" in rates:
            ratio = worker / rates["quix"]
            yield Line("b / d", f"{ratio:.2f}", "above 1", ratio > 1)
        if "three" in rates:
            yield Line("three workers / one", f"{rates['three'] / worker:.2f}")
    if f := found.get("live"):
        yield Line(f"time to a case at {f['per_s']:,.0f} events/s, p50", f"{f['p50_ms']:.0f} ms")
        yield Line("  p99", f"{f['p99_ms']:.0f} ms")
        yield Line("  cases seen of those opened", f"{f['seen']:,.0f} of {f['opened']:,.0f}")


if __name__ == "__main__":
    sys.exit(main())
