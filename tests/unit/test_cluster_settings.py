from pathlib import Path

import pytest

from detente.settings import read_settings
from schemas.documents import DocumentError
from streams.cluster.clients import client_arguments, consumer_arguments, producer_arguments
from streams.cluster.settings import ClusterSettingsError, KafkaSettings, read_cluster_settings

SERVER = "postgresql://detente@127.0.0.1/detente"


def test_the_environment_goes_before_the_file_and_that_before_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "detente.yaml").write_text(
        f"db: {SERVER}\nport: 9000\nkafka: {{group: shop, partitions: 12, tls: yes}}\n"
    )
    settings = read_cluster_settings(
        None, {"DETENTE_KAFKA_PARTITIONS": "3", "DETENTE_KAFKA_TLS": "off"}, tmp_path
    )
    assert settings.db == SERVER
    kafka = settings.kafka
    assert (kafka.group, kafka.partitions, kafka.tls) == ("shop", 3, False)
    assert kafka.inputs == ("orders", "deliveries", "tickets", "events", "commands")
    assert read_settings({}, {}, tmp_path).port == 9000  # the other commands read it as well


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DETENTE_KAFKA_PARTITIONS": "many"}, "DETENTE_KAFKA_PARTITIONS: Input should be a valid"),
        ({"DETENTE_KAFKA_SASL": "PLAIN"}, "sasl PLAIN needs user and password"),
        ({"DETENTE_KAFKA_USER": "me"}, "user and password need sasl"),
        ({"DETENTE_KAFKA_TLS_KEY": "k.pem"}, "tls_certificate and tls_key go together"),
        ({"DETENTE_KAFKA_ORDERS_TOPIC": "events"}, "each topic needs a name of its own"),
        ({"DETENTE_DB": "sqlite:///shop.db"}, "a cluster needs PostgreSQL"),
        ({"DETENTE_DB": "mysql://x/y"}, "databases are not supported"),
    ],
)
def test_what_cannot_be_used_is_named(
    environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ClusterSettingsError, match=said):
        read_cluster_settings(None, {"DETENTE_DB": SERVER} | environment, tmp_path)


def test_a_mistake_in_the_file_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "detente.yaml").write_text("kafka:\n  brokers: a:1\n  partition: 3\n")
    with pytest.raises(DocumentError, match=r"detente.yaml:3: kafka.partition.*partitions"):
        read_cluster_settings(SERVER, {}, tmp_path)


def test_a_cluster_has_no_default_database(tmp_path: Path) -> None:
    with pytest.raises(ClusterSettingsError, match="DETENTE_DB or --db"):
        read_cluster_settings(None, {}, tmp_path)


def test_each_event_has_its_topic() -> None:
    kafka = KafkaSettings(commands_topic="orders.of.people")
    assert kafka.topic_of("order.placed") == "orders"
    assert kafka.topic_of("delivery.failed") == "deliveries"
    assert kafka.topic_of("clock.excused") == "orders.of.people"
    assert kafka.topic_of("touchpoint.held") == kafka.topic_of("nonsense") == "events"


def test_clients_prove_who_they_are() -> None:
    kafka = KafkaSettings(brokers="a:1, b:2", sasl="PLAIN", user="me", password="s3cret", tls=True)
    found = client_arguments(kafka)
    assert found["bootstrap_servers"] == ["a:1", "b:2"]
    assert found["security_protocol"] == "SASL_SSL"
    assert found["sasl_plain_password"] == "s3cret"
    assert found["ssl_context"].check_hostname
    assert producer_arguments(kafka)["acks"] == "all"
    assert producer_arguments(kafka)["enable_idempotence"] is True
    assert consumer_arguments(kafka)["enable_auto_commit"] is False
    missing = kafka.model_copy(update={"tls_ca": "no.pem"})
    with pytest.raises(
        ClusterSettingsError, match=r"TLS does not work with DETENTE_KAFKA_TLS_CA no\.pem: "
    ):
        client_arguments(missing)


@pytest.mark.parametrize("password", ["4711991", "[s3cret-4711991]", "{a: 4711991}"])
def test_a_password_that_is_none_is_not_repeated(password: str, tmp_path: Path) -> None:
    (tmp_path / "detente.yaml").write_text(
        f"kafka: {{sasl: PLAIN, user: me, password: {password}}}\n"
    )
    with pytest.raises(DocumentError, match=r"kafka.password: a password is text") as error:
        read_cluster_settings(SERVER, {}, tmp_path)
    assert "4711991" not in str(error.value)


def test_secrets_are_shown_by_nothing(tmp_path: Path) -> None:
    (tmp_path / "detente.yaml").write_text(
        "kafka: {sasl: PLAIN, user: me, password: secret-of-kafka}\n"
    )
    database = "postgresql://me:secret-of-db@127.0.0.1/shop"
    settings = read_cluster_settings(database, {}, tmp_path)
    assert "secret" not in repr(settings)
    assert "secret" not in str(settings.kafka)
    assert settings.secrets({"SLACK_BOT_TOKEN": "secret-of-slack"}) == {
        "secret-of-kafka",
        "secret-of-db",
        "secret-of-slack",
    }
