"""Commands in a cluster: decided at once, beside the workers, and driven again after a mistake."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from detente.cli import cli
from detente.cluster import put_in_force
from detente.embedded import wall_clock
from rules.decision import State
from streams.cluster.presence import Presence
from streams.cluster.settings import ClusterSettings
from streams.store import Store, Topic
from tests.cluster.cluster import Cluster, until
from tests.cluster.test_intake import cases
from tests.cluster.test_relay import settings_of, trouble


async def detente(cluster: Cluster, *arguments: str) -> Result:
    """Run a command as another process would."""
    return await asyncio.to_thread(
        CliRunner().invoke, cli, [*arguments, "--db", cluster.db], catch_exceptions=False
    )


async def test_a_command_is_decided_at_once_and_announced(cluster: Cluster) -> None:
    put_in_force(settings_of(cluster), ClusterSettings(cluster.db, cluster.kafka), wall_clock())
    async with cluster.worker_inside():
        await cluster.produce(trouble(cluster, "PO-1"))
        await until(lambda: cases(cluster))
        [case_id] = cases(cluster)
        done = await detente(cluster, "ack", case_id, "--as", "claire")
        assert done.exit_code == 0, done.output
        assert cases(cluster) == {case_id: State.ACKNOWLEDGED}
        with Store.open(cluster.db, create=False) as store, store.reading() as tx:
            types = [json.loads(row.value)["type"] for row in tx.announcements(9)]
        assert types == ["detente.case.opened", "detente.case.acknowledged"]
        refused = await detente(cluster, "serve", "--port", "0")
    assert refused.exit_code == 1
    assert "is in use by a worker of a cluster" in refused.output


async def test_rejected_input_is_driven_again(cluster: Cluster) -> None:
    put_in_force(settings_of(cluster), ClusterSettings(cluster.db, cluster.kafka), wall_clock())
    placed, short = trouble(cluster, "PO-1")
    unknown: dict[str, Any] = json.loads(short[2]) | {"type": "order.vanished"}
    async with cluster.worker_inside():
        await cluster.produce([placed, (short[0], short[1], json.dumps(unknown).encode())])
        await cluster.drained()
    # Whoever sent it mends it in the store's stead: a newer version would know the type.
    with Store.open(cluster.db, create=False) as store, store.transaction() as tx:
        [row] = tx.list_rejected()
        assert "offset" in row.entry.position
        tx.connection.exec_driver_sql("UPDATE rejected SET value = %s", (short[2],))
    done = await detente(cluster, "rejected", "--retry", str(row.id), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["taken"] == 1
    assert list(cases(cluster).values()) == [State.OPEN]
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        topics = [row.topic for row in tx.announcements(9)]
    assert topics == [Topic.REJECTED, Topic.DECISIONS]


async def test_no_embedded_service_takes_over_a_cluster(cluster: Cluster) -> None:
    async with cluster.worker_inside():
        await cluster.produce([(cluster.kafka.orders_topic, b"a", b"no event")])
        await cluster.drained()
    assert "until `detente worker` runs" in (await detente(cluster, "feeds")).output
    refused = await detente(cluster, "serve", "--port", "0")
    assert refused.exit_code == 1
    assert "is a cluster's" in refused.output
    service = Presence(cluster.db, alone=True)
    service.enter()
    busy = await detente(cluster, "rejected", "--retry-all")
    service.leave()
    assert busy.exit_code == 3
    assert "an embedded service" in busy.output


@pytest.mark.parametrize("command", ["worker", "relay", "intake"])
async def test_the_policy_of_an_embedded_service_is_left_as_it_is(
    cluster: Cluster, command: str
) -> None:
    settings = settings_of(cluster)  # another policy than that in force
    service = Presence(cluster.db, alone=True)
    service.enter()
    try:
        refused = await detente(cluster, command, "--policy", str(settings.policy))
    finally:
        service.leave()
    assert refused.exit_code == 1, refused.output
    assert "is in use by `detente serve`" in refused.output
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        assert len(tx.policies()) == 1


async def test_a_partition_is_read_again_from_an_offset(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.environment.items():
        if name.startswith("DETENTE_"):
            monkeypatch.setenv(name, value)
    orders = cluster.kafka.orders_topic
    await cluster.produce([(orders, b"a", b"no event"), (orders, b"a", b"nor this")])
    async with cluster.worker_inside():
        await cluster.drained()
    with monkeypatch.context() as wrong:
        wrong.setenv("DETENTE_KAFKA_ORDERS_TOPIC", "nowhere")
        missing = await detente(cluster, "topics", "show")
    assert missing.exit_code == 1
    assert "Kafka has no topic nowhere; `detente topics create`" in missing.output
    shown = await detente(cluster, "topics", "show", "--json")
    rows = {(row["topic"], row["partition"]): row for row in json.loads(shown.output)}
    [(place, row)] = [(place, row) for place, row in rows.items() if row["end"]]
    assert (row["committed"], row["end"], row["behind"]) == (2, 2, 0)
    assert len(rows) == len(cluster.kafka.inputs) * 3
    number = str(place[1])
    ahead = await detente(cluster, "topics", "seek", orders, number, "9")
    assert ahead.exit_code == 1
    assert "would leave out 7 offsets for good" in ahead.output
    nowhere = await detente(cluster, "topics", "seek", "nowhere", "0", "0")
    assert nowhere.exit_code == 1
    back = await detente(cluster, "topics", "seek", orders, number, "1")
    assert back.exit_code == 0, back.output
    assert "stood at 2 and is read from 1" in back.output
    async with cluster.worker_inside():
        await cluster.drained()
    with Store.open(cluster.db, create=False) as store, store.reading() as tx:
        kept = sorted(row.entry.value for row in tx.list_rejected())
    # What cannot be read has no id by which it could be known again; events do.
    assert kept == [b"no event", b"nor this", b"nor this"]
