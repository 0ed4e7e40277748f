"""A broker set up as the image `apache/kafka` does it, from variables of the environment.

The program that makes settings of them is the image's own; it is one of Kafka's jars. Only names of
machines, ports and folders are others.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.rigs.kafka import Broker
from tests.rigs.ports import free_port

# What the image's `configureDefaults` gives where nothing else is said.
_CLUSTER = "5L6g3nShT-eMCtK--X86sw"
_SETUP = "kafka.docker.KafkaDockerWrapper"
_FOLDERS = ("default", "mounted", "final")
_LOGGING = "Configuration: {Appenders: {}, Loggers: {Root: {level: INFO}, Logger: []}}\n"
#: The programs in the image's `bin`, which are scripts around classes.
_TOOLS = {
    "/opt/kafka/bin/kafka-broker-api-versions.sh": "org.apache.kafka.tools.BrokerApiVersionsCommand"
}


class ImageBroker(Broker):
    """A broker that the service called `name` would be."""

    def set_up(self, environment: Mapping[str, str], name: str) -> None:
        """Make its settings and its storage from the variables."""
        self._ports: dict[str, str] = {}
        here = {variable: self._here(value, name) for variable, value in environment.items()}
        here |= {"KAFKA_LOG_DIRS": str(self.home / "data"), "CLUSTER_ID": _CLUSTER}
        for folder in _FOLDERS:
            (self.home / folder).mkdir()
        for file in ("log4j2.yaml", "tools-log4j2.yaml", "server.properties"):
            (self.home / "default" / file).write_text("" if "server" in file else _LOGGING)
        folders = [word for f in _FOLDERS for word in (f"--{f}-configs-dir", str(self.home / f))]
        self.run(_SETUP, "setup", *folders, environment=here)
        self.properties = self.home / "final" / "server.properties"
        self.brokers = self._here(f"{name}:9092", name)

    def check(self, command: list[str]) -> None:
        """Run a command of the image. It fails as it would there."""
        tool, *options = command
        self.run(_TOOLS[tool], *(self._here(option, "") for option in options))

    def _here(self, value: str, name: str) -> str:
        def port(found: re.Match[str]) -> str:
            return f"127.0.0.1:{self._ports.setdefault(found[1], str(free_port()))}"

        return re.sub(rf"(?:(?<=//)|\blocalhost|\b{name or 'localhost'}):(\d+)", port, value)


@contextmanager
def image_broker(environment: Mapping[str, str], name: str) -> Iterator[ImageBroker]:
    """The broker, running; it ends with the block."""
    home = Path(tempfile.mkdtemp(prefix="detente-kafka-"))
    broker = ImageBroker(home)
    try:
        broker.set_up(environment, name)
        broker.start()
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(home)
