"""A real Apache Kafka that wants TLS, and to know who is there: certificates are made for each run.

It has a listener that wants a user and password (SASL), and one that wants a certificate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.rigs.kafka import folder_of_the_run, shared_broker
from tests.rigs.ports import free_port

USER, PASSWORD = "shop", "correct-horse-7391"
_MODULES = "org.apache.kafka.common.security"
_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """A running broker, and the files with which it is trusted and trusts."""

    home: Path
    plain: str
    """Where it wants none of it."""

    @property
    def sasl(self) -> str:
        """Where it wants TLS, a user and a password."""
        return (self.home / "sasl").read_text()

    @property
    def mutual(self) -> str:
        """Where it wants TLS and a certificate."""
        return (self.home / "mutual").read_text()

    def file(self, name: str) -> str:
        """The path of `ca.pem`, `client.pem`, `client-key.pem` or `other-ca.pem`."""
        return str(self.home / name)


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """The broker with TLS that this run of the tests shares."""
    with shared_broker(folder_of_the_run(tmp_path_factory), "kafka-tls", _security) as known:
        yield SecureKafka(Path(known["home"]), known["brokers"])


def _security(home: Path) -> tuple[dict[str, str], Sequence[str]]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(home / "ca.pem")
    trustme.CA().cert_pem.write_to_path(home / "other-ca.pem")
    client = ca.issue_cert("shop@example.com")
    client.cert_chain_pems[0].write_to_path(home / "client.pem")
    client.private_key_pem.write_to_path(home / "client-key.pem")
    server = ca.issue_cert("127.0.0.1")
    chain = b"".join(pem.bytes() for pem in server.cert_chain_pems)
    (home / "server.pem").write_bytes(_as_java_reads_it(server.private_key_pem.bytes()) + chain)
    sasl, mutual = (f"127.0.0.1:{free_port()}" for _ in range(2))
    (home / "sasl").write_text(sasl)
    (home / "mutual").write_text(mutual)
    settings = {
        "listeners": f"SASL_SSL://{sasl},SSL://{mutual}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(home / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(home / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": ",".join(("PLAIN", *_MECHANISMS)),
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        ),
        # It answers wrong passwords at once instead of after a second.
        "connection.failed.authentication.delay.ms": "10",
    }
    users = []
    for mechanism in _MECHANISMS:
        settings[f"listener.name.sasl_ssl.{mechanism.lower()}.sasl.jaas.config"] = (
            f"{_MODULES}.scram.ScramLoginModule required;"
        )
        users += ["--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]"]
    return settings, users


def _as_java_reads_it(key: bytes) -> bytes:
    """A private key in PKCS #8."""
    loaded = load_pem_private_key(key, None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
