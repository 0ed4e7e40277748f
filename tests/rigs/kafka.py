"""A real Apache Kafka for the tests: one node in KRaft mode, from Kafka's own jars.

Maven fetches the jars once (`tests/rigs/kafka_jars/pom.xml`); they are kept in `.kafka_cache`. The
broker lives in a temporary folder, listens on free loopback ports and ends with the test run, whose
processes share it. `DETENTE_TEST_KAFKA`, e.g. `127.0.0.1:9092`, names a running one to use instead;
the tests make topics of their own in it. Where neither can be had the tests that need it are
skipped, unless `DETENTE_TEST_REQUIRE` names `kafka`.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.rigs.missing import missing
from tests.rigs.ports import free_port

_PATIENCE_S = 120
_HOW = (
    "Kafka is not here: install Java 17 or newer and Maven (`java` and `mvn`), or name a running "
    "broker, e.g. DETENTE_TEST_KAFKA=127.0.0.1:9092"
)
_POM = Path(__file__).with_name("kafka_jars") / "pom.xml"
_CACHE = Path(__file__).parents[2] / ".kafka_cache"
# Small and quick: one node that nobody else joins, and nothing that has to outlive the machine.
_JAVA = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "num.network.threads": "2",
    "num.io.threads": "2",
    # A broker that was killed is let in again as soon as its old session has ended.
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
    "log.cleaner.threads": "1",
    "log.cleaner.backoff.ms": "100",
}
_READY = "Kafka Server started"

Security: TypeAlias = Callable[[Path], tuple[dict[str, str], Sequence[str]]]
"""Makes what a broker in a folder needs for TLS and SASL: settings, of which `listeners` are added
to the usual ones, and the options that tell its storage of users."""


@dataclass(slots=True)
class KafkaServer:
    """A running broker."""

    brokers: str
    """Where it listens, as `DETENTE_KAFKA_BROKERS` takes it."""
    stop: Callable[[], None]
    """Stops a broker of our own as a crash would; does nothing for one that was running."""
    start: Callable[[], None]
    """Starts it again on the same port with the same data."""


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """The broker that this run of the tests shares. Stopping it is for tests with their own."""
    if named := os.environ.get("DETENTE_TEST_KAFKA"):
        yield KafkaServer(named, _nothing, _nothing)
        return
    with shared_broker(folder_of_the_run(tmp_path_factory)) as known:
        yield KafkaServer(known["brokers"], _nothing, _nothing)


def folder_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture
def kafka_of_my_own() -> Iterator[KafkaServer]:
    """A broker that a test may stop and start."""
    with own_broker() as server:
        yield server


@contextmanager
def own_broker() -> Iterator[KafkaServer]:
    """A broker that nobody else uses; it ends with the block."""
    home = Path(tempfile.mkdtemp(prefix="detente-kafka-"))
    broker = Broker(home)
    try:
        broker.format()
        broker.start()
        yield KafkaServer(broker.brokers, broker.stop, broker.start)
    finally:
        broker.stop()
        shutil.rmtree(home)


class Broker:
    """A broker in a folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.brokers = ""
        """Where it listens, once it is formatted."""
        self._command = ("java", *_JAVA, "-cp", f"{_jars()}/*")
        self.properties = home / "server.properties"
        self._said = home / "said"
        self._process: subprocess.Popen[bytes] | None = None

    def format(self, security: Security | None = None) -> None:
        """Make its settings and its storage."""
        home = self.home
        port, controller = free_port(), free_port()
        self.brokers = f"127.0.0.1:{port}"
        listeners = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
        settings = _SETTINGS | {
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(home / "data"),
        }
        users: Sequence[str] = ()
        if security is not None:
            made, users = security(home)
            listeners += f",{made.pop('listeners')}"
            settings |= made
        settings["listeners"] = listeners
        self.properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        cluster = ("-t", "ZGV0ZW50ZS10ZXN0cy1rYQ", "-c", str(self.properties))
        self.run("kafka.tools.StorageTool", "format", *users, *cluster)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [*self._command, "kafka.Kafka", str(self.properties)],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl+C ends the tests; the fixture ends the broker
            )
        never, left = threading.Event(), _PATIENCE_S / 0.05
        while _READY not in self._said.read_text("utf-8", "replace"):
            if self._process.poll() is not None or left <= 0:
                pytest.fail(f"Kafka does not start:\n{self._end()}", pytrace=False)
            never.wait(0.05)  # nothing tells when a program has written a line to a file
            left -= 1

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, program: str, *options: str, environment: dict[str, str] | None = None) -> None:
        """Run one of Kafka's programs, which are classes."""
        done = subprocess.run(
            [*self._command, program, *options],
            cwd=self.home,
            env=None if environment is None else os.environ | environment,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{program}:\n{(done.stdout + done.stderr).decode()[-4_000:]}", False)

    def _end(self) -> str:
        return self._said.read_text("utf-8", "replace")[-4_000:]


_STARTED: dict[str, Broker] = {}
"""What this process started for all, by name; another may end it."""


@contextmanager
def shared_broker(
    folder: Path, name: str = "kafka", security: Security | None = None
) -> Iterator[dict[str, Any]]:
    """One broker for all processes of a run: the first that asks starts it, the last ends it.

    Gives its `brokers` and its folder, `home`. Processes share what bears the same name.
    """
    record = folder / f"{name}.json"
    with _locked(folder / f"{name}.lock"):
        known = json.loads(record.read_text()) if record.exists() else None
        if known is None:
            home = Path(tempfile.mkdtemp(prefix="detente-kafka-"))
            broker = Broker(home)
            broker.format(security)
            broker.start()
            _STARTED[name] = broker
            known = {"brokers": broker.brokers, "pid": broker.pid, "home": str(home), "users": 0}
        record.write_text(json.dumps(known | {"users": known["users"] + 1}))
    try:
        yield known
    finally:
        with _locked(folder / f"{name}.lock"):
            known = json.loads(record.read_text())
            known["users"] -= 1
            record.write_text(json.dumps(known))
            if known["users"] == 0:
                record.unlink()
                os.kill(known["pid"], signal.SIGKILL)
                if (ours := _STARTED.pop(name, None)) is not None:
                    ours.stop()  # whoever started it takes note of its end
                shutil.rmtree(known["home"], ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _jars() -> Path:
    """The folder with Kafka's jars, fetched when the pom has changed since they were."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        missing("kafka", _HOW)
    _CACHE.mkdir(exist_ok=True)
    jars = _CACHE / sha256(_POM.read_bytes()).hexdigest()[:12]
    with _locked(_CACHE / "lock"):
        if not jars.exists():
            half = _CACHE / "half"
            shutil.rmtree(half, ignore_errors=True)
            done = subprocess.run(
                ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies",
                 f"-DoutputDirectory={half}"],
                capture_output=True, text=True, timeout=5 * _PATIENCE_S, check=False,
            )  # fmt: skip
            if done.returncode:
                missing("kafka", f"{_HOW}. Maven says: {done.stdout.strip()[-1_000:]}")
            half.rename(jars)
    return jars


def _nothing() -> None:
    """For a broker that others use too."""
