"""A service in a process of its own, for measurements from outside: `python -m benchmarks.service`.

Arguments: a folder with policy.yaml and directory.yaml, and where Slack's API is. It prints the
address that it listens at, and ends when its standard input does.
"""

import asyncio
import os
import sys
from pathlib import Path

from detente.embedded import Embedded, open_embedded, wall_clock
from detente.service import Service
from detente.settings import Settings


def main(folder: Path, slack_url: str) -> None:
    """Serve until nobody listens any more."""
    settings = Settings(
        f"sqlite:///{folder / 'detente.db'}",
        "127.0.0.1",
        0,
        folder / "policy.yaml",
        folder / "directory.yaml",
    )
    with open_embedded(settings, wall_clock()) as embedded:
        asyncio.run(_serve(embedded, settings, slack_url))


async def _serve(embedded: Embedded, settings: Settings, slack_url: str) -> None:
    service = Service(embedded, settings, wall_clock, sys.stderr, slack_url=slack_url)
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), _stop_at_end, service)
    await service.run(lambda: print(service.address, flush=True))


def _stop_at_end(service: Service) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        service.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
