"""Relays of a cluster: decisions out to people and programs, by processes that may die."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord
from click.testing import CliRunner

from detente.cli import cli
from detente.cluster import put_in_force
from detente.embedded import LAST_ALIVE, wall_clock
from detente.relay_process import RelayProcess
from detente.settings import Settings
from schemas.decisions import Decision
from schemas.time import DAY, HOUR, Instant, iso
from streams.announcements import CUT, INPUT, POSITION, REASON
from streams.cluster.clients import client_arguments
from streams.cluster.settings import ClusterSettings
from streams.intake import start_server
from streams.store import OutboxStatus, Store
from streams.writer import Clock
from tests.acceptance.test_service import DIRECTORY, POLICY, Terminal
from tests.cluster.cluster import WAIT, Cluster, until
from tests.processes import running
from tests.rigs.postgres import PostgresServer


def settings_of(cluster: Cluster, policy: str = POLICY, directory: str = DIRECTORY) -> Settings:
    (cluster.folder / "policy.yaml").write_text(policy)
    (cluster.folder / "directory.yaml").write_text(directory)
    return Settings(
        cluster.db,
        "127.0.0.1",
        0,
        cluster.folder / "policy.yaml",
        cluster.folder / "directory.yaml",
    )


def event(name: str, type_: str, **data: Any) -> bytes:
    envelope = {"specversion": "1.0", "id": name, "source": "/erp", "type": type_}
    data = {"partner_id": "acme"} | data
    return json.dumps(envelope | {"time": iso(wall_clock()), "data": data}).encode()


def trouble(cluster: Cluster, *orders: str) -> list[tuple[str, bytes, bytes]]:
    """Orders of which a tenth is short: a case each."""
    promised = iso(Instant(wall_clock() + 9 * DAY))
    lines = [{"sku": "coffee", "quantity": 100}]
    short = [{"sku": "coffee", "quantity": 10}]
    topic = cluster.kafka.orders_topic
    return [
        (topic, b"acme", said)
        for order in orders
        for said in (
            event(f"{order}-placed", "order.placed", order_id=order, promised_at=promised,
                  lines=lines),
            event(f"{order}-short", "order.impacted", order_id=order, kind="short", lines=short),
        )
    ]  # fmt: skip


@asynccontextmanager
async def relaying(
    cluster: Cluster, settings: Settings, terminal: Terminal | None = None, **how: Any
) -> AsyncIterator[RelayProcess]:
    """A relay in this process, beside the workers' processes."""
    cluster_settings = ClusterSettings(cluster.db, how.pop("kafka", cluster.kafka))
    clock: Clock = how.pop("clock", wall_clock)
    await asyncio.to_thread(put_in_force, settings, cluster_settings, clock())
    how = {"environment": {}} | how
    relay = RelayProcess(cluster_settings, settings, clock, terminal or Terminal(), **how)
    async with running(relay):
        yield relay


async def records(cluster: Cluster, topic: str, n: int) -> list[ConsumerRecord]:
    """The first so many records of a topic."""
    found: list[ConsumerRecord] = []
    async with (
        AIOKafkaConsumer(
            topic, **client_arguments(cluster.kafka), auto_offset_reset="earliest"
        ) as consumer,
        asyncio.timeout(WAIT),
    ):
        while len(found) < n:
            found.append(await consumer.getone())
    return found


async def page(relay: RelayProcess, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{relay.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_what_workers_decide_is_told_to_people_and_programs(cluster: Cluster) -> None:
    settings, terminal = settings_of(cluster), Terminal()
    async with relaying(cluster, settings, terminal) as relay, cluster.worker_inside():
        await cluster.produce(trouble(cluster, "PO-1"))
        poison = (cluster.kafka.orders_topic, b"acme", b"no event")
        await cluster.produce([poison])
        told = await terminal.shows("to Claire", "to Anna")
        assert "10 of 100 units short" in told
        [opened] = await records(cluster, cluster.kafka.decisions_topic, 1)
        decision = Decision.model_validate_json(opened.value)
        assert (decision.type, decision.data.partner_id) == ("detente.case.opened", "acme")
        assert opened.key == b"acme"
        [rejected] = await records(cluster, cluster.kafka.rejected_topic, 1)
        assert rejected.value == b"no event"
        headers = dict(rejected.headers)
        assert headers[INPUT].decode() == cluster.kafka.orders_topic
        assert b"offset" in headers[POSITION]
        assert headers[REASON]
        assert await page(relay, "/health/ready") == (200, '{"ready":true}\n')
        async with asyncio.timeout(WAIT):
            while 'deliveries_total{result="sent"} 2.0' not in (await page(relay, "/metrics"))[1]:
                pass
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        assert tx.count_announcements() == 0
        assert tx.setting(LAST_ALIVE) is not None


async def test_the_largest_record_that_kafka_takes_holds_nothing_up(cluster: Cluster) -> None:
    poison = b"x" * 1_048_000
    async with relaying(cluster, settings_of(cluster)), cluster.worker_inside():
        await cluster.produce([(cluster.kafka.orders_topic, b"acme", poison)])
        [rejected] = await records(cluster, cluster.kafka.rejected_topic, 1)
        await cluster.produce(trouble(cluster, "PO-1"))
        await records(cluster, cluster.kafka.decisions_topic, 1)
    assert poison.startswith(rejected.value)
    assert len(rejected.value) > 900_000
    assert dict(rejected.headers)[CUT] == b"1048000"


async def test_while_the_broker_is_away_people_are_told_and_decisions_wait(
    cluster: Cluster,
) -> None:
    settings, terminal = settings_of(cluster), Terminal()
    away = cluster.kafka.model_copy(update={"brokers": "127.0.0.1:1"})
    async with relaying(cluster, settings, terminal, kafka=away), cluster.worker_inside():
        await cluster.produce(trouble(cluster, "PO-1"))
        await terminal.shows("to Claire")
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        [waiting] = tx.announcements(9)
    async with relaying(cluster, settings):
        [opened] = await records(cluster, cluster.kafka.decisions_topic, 1)
    assert opened.value == waiting.value


async def test_a_relay_that_reaches_no_broker_leaves_announcing_to_the_others(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(cluster)
    away = cluster.kafka.model_copy(update={"brokers": "127.0.0.1:1"})
    async with relaying(cluster, settings, kafka=away), cluster.worker_inside():
        await cluster.produce(trouble(cluster, "PO-1"))
        await until(lambda: "Decisions cannot be announced now: " in caplog.text)
        async with relaying(cluster, settings):
            [opened] = await records(cluster, cluster.kafka.decisions_topic, 1)
    assert json.loads(opened.value)["type"] == "detente.case.opened"


async def test_it_goes_on_when_the_database_comes_back(
    with_database_to_stop: Cluster, postgres_to_stop: PostgresServer
) -> None:
    cluster = with_database_to_stop
    settings, terminal = settings_of(cluster), Terminal()
    async with relaying(cluster, settings, terminal) as relay, cluster.worker_inside():
        await asyncio.to_thread(postgres_to_stop.stop)
        try:
            async with asyncio.timeout(WAIT):
                while (await page(relay, "/health/ready"))[0] != 503:
                    pass
            _, figures = await page(relay, "/metrics")
        finally:
            await asyncio.to_thread(postgres_to_stop.start)
        assert "detente_store_up 0.0" in figures
        await cluster.produce(trouble(cluster, "PO-1"))
        await terminal.shows("to Claire", "to Anna")
        await records(cluster, cluster.kafka.decisions_topic, 1)
        assert (await page(relay, "/health/ready"))[0] == 200


async def test_another_policy_is_taken_up_without_a_restart(cluster: Cluster) -> None:
    settings, terminal = settings_of(cluster), Terminal()
    async with relaying(cluster, settings, terminal) as relay:
        with Store.open(cluster.db, create=False) as store, store.reading() as tx:
            before = len(tx.directories())
        moved = settings_of(cluster, directory=DIRECTORY.replace("name: Claire", "name: Clara"))
        put_in_force(moved, ClusterSettings(cluster.db, cluster.kafka), wall_clock())
        with Store.open(cluster.db, create=False) as store, store.reading() as tx:
            assert len(tx.directories()) == before + 1
        async with cluster.worker_inside():
            await cluster.produce(trouble(cluster, "PO-1"))
            await terminal.shows("to Clara")
        assert (await page(relay, "/health/live"))[0] == 200


class Receiver:
    """Where webhooks arrive. While `hangs`, it takes a message and never answers."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.hangs = False
        self.arrived = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers["Idempotency-Key"])
        self.arrived.set()
        if self.hangs:
            await asyncio.Event().wait()
        return web.Response()


async def test_of_two_relays_one_is_killed_while_it_sends(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "a secret of theirs")
    receiver = Receiver()
    app = web.Application()
    app.add_routes([web.post("/", receiver.take)])
    server = await start_server(app, "127.0.0.1", 0, grace=0.1)
    hook = f'{{kind: webhook, url: "http://127.0.0.1:{server.port}/", secret_env: HOOK}}'
    people = DIRECTORY.replace("{kind: terminal}", hook).replace(
        "routes:", "bundle: false, routes:"
    )
    settings = settings_of(cluster, directory=people)
    put_in_force(settings, ClusterSettings(cluster.db, cluster.kafka), wall_clock())
    try:
        orders = [f"PO-{n}" for n in range(12)]
        async with cluster.worker_inside():
            await cluster.produce(trouble(cluster, *orders))
            await cluster.drained()
        receiver.hangs = True
        first = await cluster.start("detente", "relay", "--port", "0")
        async with asyncio.timeout(WAIT):
            await receiver.arrived.wait()
        first.send(signal.SIGKILL)
        await first.ended()
        receiver.hangs = False
        hung = set(receiver.keys)
        assert hung
        with Store.open(cluster.db, create=False) as store:
            with store.transaction() as tx:
                # Two minutes have passed: what it had leased comes back.
                tx.connection.exec_driver_sql("UPDATE outbox SET leased_until = 1 "
                                              "WHERE leased_by IS NOT NULL")  # fmt: skip

            def told() -> bool:
                with store.reading() as tx:
                    return not tx.count_outbox().get(OutboxStatus.QUEUED)

            how: dict[str, Any] = {"environment": {"HOOK": "a secret of theirs"}}
            async with relaying(cluster, settings, **how), relaying(cluster, settings, **how):
                await until(told, cluster.logs)
    finally:
        await server.stop()
    counts = Counter(receiver.keys)
    assert len(counts) == 2 * len(orders)  # Claire and Anna, about each
    assert {key for key, n in counts.items() if n > 1} <= hung
    assert max(counts.values()) <= 2


async def test_alarms_are_raised_once_by_whoever_has_the_duty(cluster: Cluster) -> None:
    silent = POLICY + "sources: {/erp: {cadence: 1h}}\n"
    settings = settings_of(cluster, policy=silent)
    one, two = Terminal(), Terminal()
    async with relaying(cluster, settings, one) as first:
        # The first relay ran long ago, and nothing has come since.
        with Store.open(cluster.db, create=False) as store:
            with store.transaction() as tx:
                tx.put_setting("up_since", str(wall_clock() - 3 * HOUR))
            async with relaying(cluster, settings, two) as second:

                def alarmed() -> bool:
                    with store.reading() as tx:
                        return bool(tx.list_outbox([OutboxStatus.SENT]))

                await until(alarmed)
                with store.reading() as tx:
                    [entry] = tx.list_outbox()
                assert "/erp is silent" in str(entry.effect.text["headline"])
                assert first.name != second.name
    assert (one.getvalue() + two.getvalue()).count("/erp is silent") == 1


def test_it_says_in_a_sentence_what_it_cannot_work_with(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["relay", "--db", f"sqlite:///{tmp_path / 'here.db'}"])
    assert done.exit_code == 1
    assert "is a file, which one process at a time can write to" in done.output
