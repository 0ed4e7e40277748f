"""How Kafka's clients are set up: the arguments that aiokafka's classes take."""

import logging
import ssl
from typing import Any

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.helpers import create_ssl_context

from streams.cluster.settings import PREFIX, ClusterSettingsError, KafkaSettings

# From DEBUG down it logs every request, and with PLAIN one of them is the password.
logging.getLogger("aiokafka.conn").setLevel(logging.INFO)


def client_arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """Arguments of every client: where the brokers are and how to prove who we are.

    Raises ClusterSettingsError when a certificate cannot be read.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": [broker.strip() for broker in kafka.brokers.split(",")],
        "security_protocol": ("SASL_" if kafka.sasl else "")
        + ("SSL" if kafka.tls else "PLAINTEXT"),
        "client_id": "detente",
    }
    if kafka.tls:
        arguments["ssl_context"] = _ssl_context(kafka)
    if kafka.sasl:
        arguments |= {
            "sasl_mechanism": kafka.sasl,
            "sasl_plain_username": kafka.user,
            "sasl_plain_password": kafka.password,
        }
    return arguments


def producer_arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """Arguments of `AIOKafkaProducer`: what it says is written is on every replica, once."""
    return {**client_arguments(kafka), "acks": "all", "enable_idempotence": True}


def consumer_arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """Arguments of a worker's `AIOKafkaConsumer`."""
    timeout_ms = int(kafka.session_timeout * 1_000)
    return {
        **client_arguments(kafka),
        "group_id": kafka.group,
        # Kafka's committed offset is for lag dashboards; the truth is in our database.
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        # All that is said of one partner lies in equal partitions of all topics; this assignor
        # gives those to one worker.
        "partition_assignment_strategy": (RangePartitionAssignor,),
        "session_timeout_ms": timeout_ms,
        "heartbeat_interval_ms": max(timeout_ms // 10, 1),
        # A batch is decided in a thread beside the heartbeats, and takes as long as the database
        # takes to come back; a worker that is stuck is ended by its watchdog.
        "max_poll_interval_ms": 24 * 3_600_000,
        "max_partition_fetch_bytes": 4 * 1024 * 1024,
    }


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        context: ssl.SSLContext = create_ssl_context(
            cafile=kafka.tls_ca,
            certfile=kafka.tls_certificate,
            keyfile=kafka.tls_key,
            password="",  # else OpenSSL asks whoever sits at the terminal for that of a locked key
        )
    except (OSError, ssl.SSLError) as error:
        files = {name: getattr(kafka, name) for name in ("tls_ca", "tls_certificate", "tls_key")}
        named = ", ".join(f"{PREFIX}{name.upper()} {file}" for name, file in files.items() if file)
        raise ClusterSettingsError(f"TLS does not work with {named}: {error}") from None
    return context
