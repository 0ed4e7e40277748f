"""docker-compose.yml carried out without an engine: its settings, commands and checks.

Kafka reads its settings by the program that its image begins with. Addresses are those of this
machine in place of the services' names, and free ports in place of the fixed ones.
"""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.cluster.cluster import ROOT, WAIT, until
from tests.cluster.test_relay import event
from tests.rigs.kafka_image import ImageBroker, image_broker
from tests.rigs.ports import free_port

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]


def filled_in(text: str) -> str:
    """What Compose makes of a value while none of its variables is set."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text)


@pytest.fixture
def kafka_of_compose() -> Iterator[ImageBroker]:
    """The broker as the file sets it up."""
    settings = {name: filled_in(value) for name, value in SERVICES["kafka"]["environment"].items()}
    with image_broker(settings, "kafka") as broker:
        yield broker


class System:
    """The services of ours, as processes."""

    def __init__(self, kafka: ImageBroker, db: str, folder: Path) -> None:
        self._kafka = kafka
        self._db = db
        self._folder = folder
        self.started: list[asyncio.subprocess.Process] = []

    def _environment(self, name: str) -> dict[str, str]:
        given = {k: filled_in(v) for k, v in SERVICES[name]["environment"].items()}
        assert given["DETENTE_DB"] == "postgresql://detente:detente@postgres/detente"
        assert given["DETENTE_KAFKA_BROKERS"] == "kafka:9092"
        files = [filled_in(volume).split(":") for volume in SERVICES[name]["volumes"]]
        here = {inside: str(ROOT / outside) for outside, inside, _ in files}
        given = {k: here.get(v, v) for k, v in given.items()}
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **given,
            "DETENTE_DB": self._db,
            "DETENTE_KAFKA_BROKERS": self._kafka.brokers,
            "DETENTE_HOST": "127.0.0.1",
            "PYTHONPATH": str(ROOT),
        }

    async def run(self, name: str, *command: str) -> str:
        """Do a job, with another command if one is given. Returns what it says."""
        process = await self._start(name, command or SERVICES[name]["command"])
        said, _ = await asyncio.wait_for(process.communicate(), WAIT)
        assert process.returncode == 0, said.decode()
        return said.decode()

    async def up(self, name: str) -> int:
        """Start a service and wait until it is healthy. Returns its port."""
        command = list(SERVICES[name]["command"])
        at = command.index("--port") + 1
        inside, port = command[at], str(free_port())
        command[at] = port
        process = await self._start(name, command, self._folder / f"{name}-{port}.log")
        self.started.append(process)
        check = SERVICES[name]["healthcheck"]["test"]
        assert check[:2] == ["CMD", "python"]
        check = [word.replace(f"localhost:{inside}", f"127.0.0.1:{port}") for word in check[2:]]

        def is_healthy() -> bool:
            assert process.returncode is None, self.logs()
            looked = subprocess.run([sys.executable, *check], capture_output=True, check=False)
            return looked.returncode == 0

        await until(is_healthy, self.logs)
        return int(port)

    async def _start(
        self, name: str, command: list[str] | tuple[str, ...], log: Path | None = None
    ) -> asyncio.subprocess.Process:
        output = asyncio.subprocess.PIPE if log is None else log.open("wb")
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "detente", *command, cwd=self._folder,
                env=self._environment(name), stdout=output, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
        finally:
            if not isinstance(output, int):
                output.close()

    async def down(self) -> None:
        """End everything as an engine does."""
        for process in self.started:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self.started:
            assert await asyncio.wait_for(process.wait(), WAIT) == 0, self.logs()

    def logs(self) -> str:
        """What the services said last."""
        files = self._folder.glob("*.log")
        return "\n".join(f"{file.name}:\n{file.read_text()[-2_000:]}" for file in files)


async def test_what_the_file_describes_works(
    kafka_of_compose: ImageBroker, empty_postgres_url: str, tmp_path: Path
) -> None:
    check = shlex.split(SERVICES["kafka"]["healthcheck"]["test"][1].removesuffix(" >/dev/null"))
    await asyncio.to_thread(kafka_of_compose.check, check)
    system = System(kafka_of_compose, empty_postgres_url, tmp_path)
    await system.run("migrate")
    assert "orders: made, with 6 partitions" in await system.run("topics")
    try:
        names = ("intake", "relay", "worker", "worker", "worker")  # --scale worker=3
        port, *_ = await asyncio.gather(*map(system.up, names))
        token = (await system.run("detente", "token", "create", "erp")).split()[0]
        about: dict[str, Any] = {"partner_id": "nordwind", "order_id": "PO-1"}
        lines = [{"sku": "coffee", "quantity": 100}]
        short = [{"sku": "coffee", "quantity": 90}]
        for body in (
            event("1", "order.placed", promised_at="2099-01-01", lines=lines, **about),
            event("2", "order.impacted", kind="short", lines=short, **about),
        ):
            await taken(port, token, body)
        async with asyncio.timeout(WAIT):
            while "PO-1" not in (listed := await system.run("detente", "cases")):
                continue
        assert "management" in listed
    finally:
        await system.down()


async def taken(port: int, token: str, body: bytes) -> None:
    """Send an event, as soon as the token is known."""
    headers = {
        "Content-Type": "application/cloudevents+json",
        "Authorization": f"Bearer {token}",
    }
    async with aiohttp.ClientSession() as session, asyncio.timeout(WAIT):
        while True:
            url = f"http://127.0.0.1:{port}/events"
            async with session.post(url, data=body, headers=headers) as answer:
                if answer.status == 200:
                    return
                assert answer.status == 401, await answer.text()
