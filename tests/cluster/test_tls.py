"""TLS and SASL against a broker that wants them: who is let in, and what others are told."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from detente.cli import cli
from detente.embedded import wall_clock
from detente.output import RefusedError
from streams.cluster.reaching import BrokersError
from streams.cluster.settings import ClusterSettings
from streams.cluster.topics import create_topics
from streams.cluster.worker import ClusterWorker
from tests.cluster.cluster import WAIT, Cluster, until
from tests.cluster.conftest import with_sample_documents
from tests.cluster.test_intake import cases, get, post, taking
from tests.cluster.test_relay import records, relaying, settings_of, trouble
from tests.rigs.kafka_tls import PASSWORD, USER, SecureKafka
from tests.rigs.ports import free_port

WRONG = "wrong-horse-8264"


def trusting(kafka: SecureKafka) -> dict[str, Any]:
    return {"tls": True, "tls_ca": kafka.file("ca.pem")}


def with_user(kafka: SecureKafka, sasl: str, password: str = PASSWORD) -> dict[str, Any]:
    known = {"sasl": sasl, "user": USER, "password": password}
    return {"brokers": kafka.sasl, **trusting(kafka), **known}


def with_certificate(kafka: SecureKafka) -> dict[str, Any]:
    ours = {"tls_certificate": kafka.file("client.pem"), "tls_key": kafka.file("client-key.pem")}
    return {"brokers": kafka.mutual, **trusting(kafka), **ours}


def letting_in(kafka: SecureKafka, way: str) -> dict[str, Any]:
    """Settings that prove in one of the ways who we are."""
    return with_certificate(kafka) if way == "certificate" else with_user(kafka, way)


async def made(kafka: SecureKafka, way: str, db: str, folder: Path) -> Cluster:
    """A cluster whose topics were made in one of the ways."""
    given = letting_in(kafka, way)
    return with_sample_documents(await Cluster.make(given.pop("brokers"), db, folder, **given))


@pytest.mark.parametrize(
    ("topics", "worker", "intake", "relay"),
    [
        ("PLAIN", "SCRAM-SHA-512", "certificate", "SCRAM-SHA-256"),
        ("SCRAM-SHA-512", "PLAIN", "SCRAM-SHA-512", "certificate"),
    ],
)
async def test_from_a_request_to_the_decisions_everything_is_encrypted(
    secure_kafka: SecureKafka,
    postgres_url: str,
    tmp_path: Path,
    topics: str,
    worker: str,
    intake: str,
    relay: str,
) -> None:
    cluster = await made(secure_kafka, topics, postgres_url, tmp_path)

    def proving(way: str) -> Cluster:
        nobody = dict.fromkeys(("sasl", "user", "password"))
        kafka = cluster.kafka.model_copy(update=nobody | letting_in(secure_kafka, way))
        return replace(cluster, kafka=kafka)

    async with (
        taking(proving(intake)) as process,
        relaying(proving(relay), settings_of(cluster)),
        proving(worker).worker_inside(),
    ):
        status, said, _ = await post(process, *(v for _, _, v in trouble(cluster, "PO-1")))
        assert (status, said["accepted"]) == (200, 2)
        [decided] = await records(cluster, cluster.kafka.decisions_topic, 1)
        assert decided.key == b"acme"
    assert len(cases(cluster)) == 1
    assert sum(cluster.fences().values()) == 2


def mistakes(kafka: SecureKafka) -> dict[str, tuple[dict[str, Any], str, str]]:
    """By name: settings, what is said, and the setting to look at first."""
    known = with_user(kafka, "SCRAM-SHA-512")
    other = {"tls_ca": kafka.file("other-ca.pem")}
    plain = {"tls": False, "tls_ca": None}
    nobody = {"sasl": None, "user": None, "password": None}
    refused, untrusted = "refuses the user or password", "is not trusted, unable to get"
    return {
        "password, PLAIN": (with_user(kafka, "PLAIN", WRONG), refused, "USER"),
        "password, SCRAM": (with_user(kafka, "SCRAM-SHA-512", WRONG), refused, "USER"),
        "another CA": (known | other, untrusted, "TLS_CA"),
        "the system's CAs": (known | {"tls_ca": None}, untrusted, "TLS_CA"),
        "another name": (
            known | {"brokers": kafka.sasl.replace("127.0.0.1", "localhost")},
            "is not trusted, Hostname mismatch, certificate is not valid for 'localhost'",
            "TLS_CA",
        ),
        "no TLS": (known | plain, "closes the connection", "TLS"),
        "neither": (known | plain | nobody, "closes the connection", "TLS"),
        "no user": (known | nobody, "closes the connection", "TLS, DETENTE_KAFKA_SASL"),
        "no certificate": (
            {"brokers": kafka.mutual, **trusting(kafka)},
            "refuses TLS, sslv3 alert bad certificate",
            "TLS, DETENTE_KAFKA_TLS_CERTIFICATE",
        ),
        "a user too many": (
            known | {"brokers": kafka.mutual} | with_certificate(kafka),
            "wants no user and password",
            "SASL",
        ),
        "TLS where there is none": (known | {"brokers": kafka.plain}, "breaks off TLS", "TLS"),
        "no broker": (known | {"brokers": "127.0.0.1:1"}, "cannot be reached", "BROKERS"),
    }


async def test_each_mistake_is_said_in_a_sentence_with_the_setting_to_look_at(
    secure_kafka: SecureKafka, postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    right = await made(secure_kafka, "SCRAM-SHA-512", postgres_url, tmp_path)
    for name, (wrong, reason, setting) in mistakes(secure_kafka).items():
        kafka = right.kafka.model_copy(update=wrong)
        async with asyncio.timeout(WAIT):
            with pytest.raises(BrokersError) as topics:
                await create_topics(kafka)
            worker = ClusterWorker(partial(ClusterSettings, right.db, kafka), wall_clock)
            with pytest.raises(SystemExit) as started:
                await worker.start()
            await worker.stop()
        sentence = f"{kafka.brokers} {reason}"
        assert str(topics.value).startswith(sentence), name
        assert f": look at DETENTE_KAFKA_{setting}" in str(topics.value), name
        assert str(started.value) == f"detente worker: Kafka cannot be used: {topics.value}"
        for said in (str(started.value), caplog.text, repr(kafka)):
            assert WRONG not in said, name
            assert PASSWORD not in said, name
        caplog.clear()


async def test_intakes_and_relays_end_with_it(
    secure_kafka: SecureKafka, postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    right = await made(secure_kafka, "SCRAM-SHA-512", postgres_url, tmp_path)
    ending = {"password, PLAIN", "password, SCRAM", "another CA", "no certificate"}
    ending |= {"a user too many"}
    for name, (wrong, reason, setting) in mistakes(secure_kafka).items():
        cluster = replace(right, kafka=right.kafka.model_copy(update=wrong))
        for start in (taking, partial(relaying, settings=settings_of(right))):
            if name in ending:
                with pytest.raises(RefusedError) as refused:
                    await begun(start(cluster))
                said = f"Kafka cannot be used: {cluster.kafka.brokers} {reason}"
                assert refused.value.message.startswith(said), name
                assert f": look at DETENTE_KAFKA_{setting}" in refused.value.message
                assert WRONG not in refused.value.message + caplog.text
            elif name == "no broker":  # it may come back
                await begun(start(cluster))


async def begun(process: AbstractAsyncContextManager[object]) -> None:
    """Start it and end it."""
    async with process:
        pass


@asynccontextmanager
async def forwarded(port: int, brokers: str) -> AsyncIterator[None]:
    """Let whoever connects to a port of this machine speak with the brokers."""
    host, _, there = brokers.partition(":")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            answers, requests = await asyncio.open_connection(host, int(there))
            await asyncio.gather(pump(reader, requests), pump(answers, writer))

    async with await asyncio.start_server(forward, "127.0.0.1", port):
        yield


async def test_an_intake_that_is_refused_later_says_it_too_and_is_not_ready(
    secure_kafka: SecureKafka, postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    right = await made(secure_kafka, "PLAIN", postgres_url, tmp_path)
    port = free_port()
    away = {"brokers": f"127.0.0.1:{port}", "password": WRONG}
    wrong = replace(right, kafka=right.kafka.model_copy(update=away))
    async with taking(wrong) as intake, relaying(wrong, settings_of(wrong)):
        assert "cannot be reached" in caplog.text
        async with forwarded(port, secure_kafka.sasl):
            await until(lambda: "refuses the user or password" in caplog.text)
            assert (await get(intake, "/health/ready"))[0] == 503
            [value, _] = [v for _, _, v in trouble(right, "PO-1")]
            status, said, _ = await post(intake, value)
            assert status == 503
            assert WRONG not in str(said)
    assert "Kafka cannot be written to: 127.0.0.1:" in caplog.text
    assert "refuses the user or password: look at DETENTE_KAFKA_USER" in caplog.text
    assert WRONG not in caplog.text


async def test_the_commands_end_with_it(
    secure_kafka: SecureKafka,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = await made(secure_kafka, "SCRAM-SHA-512", postgres_url, tmp_path)
    monkeypatch.chdir(tmp_path)
    right = cluster.environment
    wrong = right | {"DETENTE_KAFKA_PASSWORD": WRONG}
    run = CliRunner().invoke
    done = await asyncio.to_thread(run, cli, ["topics", "create"], env=right)
    assert done.exit_code == 0, done.output
    done = await asyncio.to_thread(run, cli, ["topics", "create"], env=wrong)
    assert done.exit_code != 0
    assert "refuses the user or password: look at DETENTE_KAFKA_USER" in done.output
    assert WRONG not in done.output
    cluster.kafka = cluster.kafka.model_copy(update={"password": WRONG})
    worker = await cluster.start("faust", "-A", "streams.app", "worker", "-l", "debug")
    assert await worker.ended() == 1
    log = worker.log.read_text()
    assert "refuses the user or password: look at DETENTE_KAFKA_USER" in log
    assert "Traceback" not in log
    assert WRONG not in log
    broken = tmp_path / "no.pem"
    for command in (["relay"], ["intake"], ["topics", "create"]):
        environment = right | {"DETENTE_KAFKA_TLS_CA": str(broken)}
        done = await asyncio.to_thread(run, cli, command, env=environment)
        assert done.exit_code != 0
        assert f"TLS does not work with DETENTE_KAFKA_TLS_CA {broken}: " in done.output
