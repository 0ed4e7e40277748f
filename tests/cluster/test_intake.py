"""The intake of a cluster: what is answered is with the brokers, or decided."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from detente.cluster import put_in_force
from detente.embedded import wall_clock
from detente.intake_process import IntakeProcess
from rules.decision import Kind, State
from streams.cluster import http_intake
from streams.cluster.settings import ClusterSettings
from streams.feeds import BY_INTAKE
from streams.store import Store
from streams.tokens import generate_token, hash_token
from tests.cluster.cluster import WAIT, Cluster, until
from tests.cluster.test_relay import event, records, settings_of, trouble
from tests.processes import running
from tests.rigs.kafka import KafkaServer

BATCH = "application/cloudevents-batch+json"


@asynccontextmanager
async def taking(cluster: Cluster, host: str = "127.0.0.1") -> AsyncIterator[IntakeProcess]:
    """An intake in this process."""
    settings = replace(settings_of(cluster), host=host)
    cluster_settings = ClusterSettings(cluster.db, cluster.kafka)
    put_in_force(settings, cluster_settings, wall_clock())
    intake = IntakeProcess(cluster_settings, settings, wall_clock)
    async with running(intake):
        yield intake


async def post(
    intake: IntakeProcess, *bodies: bytes, **headers: str
) -> tuple[int, dict[str, Any], str | None]:
    """Status, answer and Retry-After of a request with these events."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{intake.address}/events",
            data=b"[" + b",".join(bodies) + b"]",
            headers={"Content-Type": BATCH, **headers},
        ) as answer,
    ):
        return answer.status, await answer.json(), answer.headers.get("Retry-After")


async def get(intake: IntakeProcess, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(intake.address + path) as answer:
        return answer.status, await answer.text()


def noted(cluster: Cluster) -> str:
    """When an intake last said that it can take events."""
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        return tx.setting("open.intake") or ""


def by_intake(cluster: Cluster) -> set[str]:
    """Sources that are known to send by an intake."""
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        return set(tx.settings(BY_INTAKE))


def cases(cluster: Cluster) -> dict[str, State]:
    """The states of the cases about orders."""
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        return {case.case_id: case.state for case in tx.cases_of_kind(Kind.ORDER)}


async def test_events_go_to_the_topic_of_their_type_and_commands_are_decided_at_once(
    cluster: Cluster,
) -> None:
    kafka = cluster.kafka
    events = [value for _, _, value in trouble(cluster, "PO-1")]
    lane = {"disruption_id": "D-1", "severity": "minor", "summary": "ice", "scope": "all"}
    ticket = event("t", "ticket.opened", ticket_id="T-1", category="question")
    storm = json.loads(event("d", "disruption.declared"))
    storm["data"] = lane
    async with taking(cluster) as intake:
        status, said, _ = await post(intake, *events, ticket, json.dumps(storm).encode())
        assert (status, said["accepted"]) == (200, 4)
        orders = await records(cluster, kafka.orders_topic, 2)
        assert [(r.key, r.value) for r in orders] == [(b"acme", value) for value in events]
        assert len({r.partition for r in orders}) == 1
        [asked] = await records(cluster, kafka.tickets_topic, 1)
        assert (asked.key, asked.value) == (b"acme", ticket)
        [declared] = await records(cluster, kafka.events_topic, 1)
        assert declared.key == b"D-1"
        async with cluster.worker_inside():
            await until(lambda: cases(cluster))
        [case_id] = cases(cluster)
        seen = event("a", "case.acknowledged", case_id=case_id, actor="claire")
        status, said, _ = await post(intake, seen)
        assert (status, said["accepted"]) == (200, 1)
        assert cases(cluster) == {case_id: State.ACKNOWLEDGED}
        status, said, _ = await post(intake, seen)
        assert (status, said["duplicate"]) == (200, 1)
        _, figures = await get(intake, "/metrics")
        assert 'detente_events_total{outcome="accepted"} 5.0' in figures
        await until(lambda: by_intake(cluster))
        with Store.open(cluster.db, create=False) as store, store.transaction() as tx:
            assert tx.drop_setting(BY_INTAKE + "/erp")  # somebody thinks that it sends otherwise
        await post(intake, event("again", "metric.reported", metric="otif", value="1"))
        await until(lambda: by_intake(cluster))
    assert by_intake(cluster) == {"/erp"}
    assert (await cluster.ends())[kafka.commands_topic, 0] == 0


async def test_what_cannot_be_read_is_refused_as_ever_and_kept(cluster: Cluster) -> None:
    async with taking(cluster) as intake:
        status, said, _ = await post(intake, b'{"specversion":"1.0"}')
        assert (status, said["rejected"]) == (400, 1)
        assert said["results"][0]["problems"]
        status, said, _ = await post(intake, b"[")
        assert status == 400
        good = event("m", "metric.reported", metric="otif", value="1")
        status, said, _ = await post(intake, good, b"{}", event("u", "moon.risen"))
        assert (status, said["accepted"], said["rejected"], said["set_aside"]) == (200, 1, 1, 1)
        assert [result["index"] for result in said["results"]] == [1, 2]
        [kept] = await records(cluster, cluster.kafka.events_topic, 1)
        assert kept.value == good
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        kinds = [row.entry.kind for row in tx.list_rejected()]
        waiting = tx.count_announcements()
    assert kinds == ["malformed", "malformed", "malformed", "unknown type"]
    assert waiting == 4


async def test_while_the_broker_is_away_nothing_is_answered_as_taken(
    kafka_of_my_own: KafkaServer,
    postgres_url: str,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_intake, "_WITHIN", 2.0)
    mine = await Cluster.make(kafka_of_my_own.brokers, postgres_url, cluster.folder)
    value = event("m", "metric.reported", metric="otif", value="1")
    async with taking(mine) as intake:
        assert (await get(intake, "/health/ready"))[0] == 200
        kafka_of_my_own.stop()
        status, said, after = await post(intake, value)
        assert (status, after) == (503, "1")
        assert said["error"].startswith("Kafka cannot be written to; ")
        assert (await get(intake, "/health/live"))[0] == 200
        status, text = await get(intake, "/health/ready")
        assert status == 503
        assert "Kafka cannot be written to" in text
        await asyncio.to_thread(kafka_of_my_own.start)
        async with asyncio.timeout(WAIT):
            while (await post(intake, value))[0] != 200:
                pass
            while (await get(intake, "/health/ready"))[0] != 200:
                pass
        [kept, *_] = await records(mine, mine.kafka.events_topic, 1)
        assert kept.value == value
        # Whoever could not send meanwhile gets time to do it.
        before = await asyncio.to_thread(noted, mine)
        await until(lambda: noted(mine) > before)


async def test_an_open_address_stays_shut_until_there_is_a_token(cluster: Cluster) -> None:
    value = event("m", "metric.reported", metric="otif", value="1")
    async with taking(cluster, "0.0.0.0") as intake:
        intake._host = "127.0.0.1"  # where it is reached from here
        assert (await get(intake, "/health/ready"))[0] == 200
        assert (await post(intake, value))[0] == 401
        token = generate_token()
        with Store.open(cluster.db, create=False) as store, store.transaction() as tx:
            tx.add_token(hash_token(token), "erp", wall_clock())
        async with asyncio.timeout(WAIT):
            while (await post(intake, value, Authorization=f"Bearer {token}"))[0] != 200:
                pass


async def test_tokens_are_those_of_the_database(cluster: Cluster) -> None:
    token = generate_token()
    with Store.open(cluster.db, create=False) as store, store.transaction() as tx:
        tx.add_token(hash_token(token), "erp", wall_clock())
    value = event("m", "metric.reported", metric="otif", value="1")
    async with taking(cluster) as intake:
        assert (await post(intake, value))[0] == 401
        assert (await get(intake, "/metrics"))[0] == 401
        status, said, _ = await post(intake, value, Authorization=f"Bearer {token}")
        assert (status, said["accepted"]) == (200, 1)
        with Store.open(cluster.db, create=False) as store, store.transaction() as tx:
            tx.revoke_token(1, wall_clock())
        async with asyncio.timeout(WAIT):
            while (await post(intake, value, Authorization=f"Bearer {token}"))[0] != 401:
                pass
