"""Settings of the cluster: environment, then the part `kafka` of `detente.yaml`, then defaults.

Each field of `KafkaSettings` is a key below `kafka:` in the file, and in the environment
`DETENTE_KAFKA_` with its name in capitals: `brokers` is `DETENTE_KAFKA_BROKERS`. The database is
the one of every other command: `DETENTE_DB`, or `db` in the file.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.documents import read_document
from schemas.fields import Document, Name
from streams.logs import secrets_of

FILE = "detente.yaml"
PREFIX = "DETENTE_KAFKA_"
DB = "DETENTE_DB"

Topic = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
_Seconds = Annotated[float, Field(gt=0, le=3_600)]

# What the type of an event begins with, and the field that names its topic.
_ROUTES = {
    "order": "orders_topic",
    "delivery": "deliveries_topic",
    "ticket": "tickets_topic",
    "case": "commands_topic",
    "clock": "commands_topic",
}


class ClusterSettingsError(Exception):
    """A setting that cannot be used; the message names where it was given and what is accepted."""


def _text_or_none(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise ValueError("a password is text, in quotes where YAML takes it for a number")
    return value  # what it is instead is never repeated


class KafkaSettings(Document):
    """How Kafka is reached, and what is read from and written to it."""

    brokers: Annotated[str, Field(min_length=1)] = "127.0.0.1:9092"
    """Where to begin: `host:port`, several of them with commas between."""
    tls: bool = False
    tls_ca: str | None = None
    """File with the certificates that brokers are trusted by; the system's own without it."""
    tls_certificate: str | None = None
    """File with our certificate, where brokers ask for one."""
    tls_key: str | None = None
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    user: str | None = None
    password: Annotated[str | None, BeforeValidator(_text_or_none), Field(repr=False)] = None

    group: Name = "detente"
    """The consumer group that all workers of one database share."""
    orders_topic: Topic = "orders"
    deliveries_topic: Topic = "deliveries"
    tickets_topic: Topic = "tickets"
    events_topic: Topic = "events"
    """Everything else that happens: touchpoints, disruptions, figures."""
    commands_topic: Topic = "commands"
    decisions_topic: Topic = "decisions"
    rejected_topic: Topic = "rejected"
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 6
    """How many each input topic must have at least; as many are made."""
    replication: Annotated[int, Field(ge=1, le=100)] | None = None
    """Copies of each topic that is made; the broker's default without it."""

    batch_size: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    """Records in one transaction, at most."""
    session_timeout: _Seconds = 30.0
    """Seconds without a sign of life after which a worker's partitions go to the others."""
    stall_timeout: Annotated[float, Field(ge=60, le=86_400)] = 300.0
    """Seconds that a worker may have something to read and read nothing before it ends itself."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.sasl is not None and (self.user is None or self.password is None):
            raise ValueError(f"sasl {self.sasl} needs user and password")
        if self.sasl is None and (self.user is not None or self.password is not None):
            raise ValueError("user and password need sasl: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        topics = [*self.inputs, self.decisions_topic, self.rejected_topic]
        if len(set(topics)) != len(topics):
            raise ValueError(f"each topic needs a name of its own, found {', '.join(topics)}")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """The topics that workers read."""
        return (
            self.orders_topic,
            self.deliveries_topic,
            self.tickets_topic,
            self.events_topic,
            self.commands_topic,
        )

    def topic_of(self, event_type: str) -> str:
        """The input topic for events of a type; one that nobody knows goes with `events`."""
        field = _ROUTES.get(event_type.partition(".")[0], "events_topic")
        topic: str = getattr(self, field)
        return topic


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What a process of the cluster works with."""

    db: str = field(repr=False)  # it may hold a password
    kafka: KafkaSettings

    def secrets(self, environment: Mapping[str, str]) -> frozenset[str]:
        """What must never be logged: what is secret here or in the environment."""
        return secrets_of({**environment, "PASSWORD": self.kafka.password or ""}, self.db)


class _File(BaseModel):
    """What of `detente.yaml` is the cluster's; other commands look after the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    db: str | None = None
    kafka: KafkaSettings = KafkaSettings()


def read_cluster_settings(
    db: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> ClusterSettings:
    """Put the settings together; `db` comes from a flag and goes before everything else.

    Raises ClusterSettingsError, or DocumentError for a mistake in `detente.yaml`.
    """
    environment = os.environ if environment is None else environment
    said = _read_file(folder)
    kafka = _with_environment(said.kafka, environment)
    return ClusterSettings(_server(db or environment.get(DB) or said.db), kafka)


def read_kafka_settings(
    environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> KafkaSettings:
    """The part of the settings that needs no database. Raises as `read_cluster_settings` does."""
    environment = os.environ if environment is None else environment
    return _with_environment(_read_file(folder).kafka, environment)


def _read_file(folder: Path | None) -> _File:
    file = (Path() if folder is None else folder) / FILE
    return read_document(file.read_bytes(), FILE, _File).value if file.is_file() else _File()


def _with_environment(said: KafkaSettings, environment: Mapping[str, str]) -> KafkaSettings:
    given = {
        name: text
        for name in KafkaSettings.model_fields
        if (text := environment.get(PREFIX + name.upper()))
    }
    try:
        return KafkaSettings.model_validate(said.model_dump(exclude_unset=True) | given)
    except ValidationError as error:
        raise ClusterSettingsError(_explained(error)) from None


def _server(url: str | None) -> str:
    """A database that several processes may write to at once."""
    from streams.store import StoreError  # slow to load, and every command reads settings
    from streams.store.engines import database_file, parse_url

    if url is None:
        raise ClusterSettingsError(
            f"a cluster needs a database: {DB} or --db, e.g. postgresql://detente@127.0.0.1/detente"
        )
    try:
        file = database_file(parse_url(url))
    except StoreError as error:
        raise ClusterSettingsError(str(error)) from None
    if file is not None:
        raise ClusterSettingsError(
            f"{DB}: {url!r} is a file, which one process at a time can write to; a cluster needs "
            "PostgreSQL, e.g. postgresql://detente@127.0.0.1/detente"
        )
    return url


def _explained(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = "".join(PREFIX + str(name).upper() for name in problem["loc"]) or "kafka"
        found = (
            f" (found {problem['input']!r})" if problem["loc"] and "PASSWORD" not in where else ""
        )
        lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}{found}")
    return "\n".join(lines)
