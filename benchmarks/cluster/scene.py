"""Where a part of the benchmark runs and what it reads: handed to each process as JSON."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from benchmarks import load
from schemas.time import Instant, to_instant
from streams.cluster.settings import PREFIX, KafkaSettings

ROOT = Path(__file__).parents[2]

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    register: int
    """Orders that were placed before the first event that is measured."""
    known: int
    """So many of them are in the store, the next to be delivered."""
    events: int
    batch: int
    """Records that our worker takes at once."""
    live_events: int
    live_rate: int
    """Events per second while the time to a case is measured."""
    patience_s: float
    """A peer is measured for so long at most, whatever it has got to."""


DEFAULT = Scale(100_000, load.LAG, 200_000, 5_000, 40_000, 1_000, 20)
#: Shows only that everything runs; its figures mean nothing.
TINY = Scale(50_400, 1_000, 2_000, 200, 1_000, 500, 3)


@dataclass(frozen=True, slots=True)
class Scene:
    """What one part of the benchmark needs to know."""

    brokers: str
    topics: str
    """What the names of its topics begin with."""
    database: str
    """The store that it writes to."""
    scale: Scale
    pace: load.Pace
    """When the events happen: about now at the end, for a worker lives by the clock on the wall."""
    turn: int = 0
    """How often the part has run before: it reads in a new group each time."""

    def json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls) -> Self:
        """What the process that started this one gave it."""
        said = json.loads(sys.argv[1])
        scale, pace = Scale(**said["scale"]), load.Pace(*said["pace"])
        return cls(**{**said, "scale": scale, "pace": pace})

    def kafka(self, group: str) -> KafkaSettings:
        """How a worker of this group reaches the topics."""
        return KafkaSettings.model_validate(
            {
                "brokers": self.brokers,
                "group": f"{self.topics}-{group}-{self.turn}",
                "batch_size": self.scale.batch,
            }
            | {
                name: f"{self.topics}-{name.removesuffix('_topic')}"
                for name in KafkaSettings.model_fields
                if name.endswith("_topic")
            }
        )

    @property
    def one_topic(self) -> str:
        """The topic with everything in it, for Quix Streams."""
        return f"{self.topics}-all"

    @property
    def first(self) -> int:
        """Index of the first event that is measured."""
        return load.first_event(self.scale.register)

    def delivered_first(self) -> list[int]:
        """Numbers of the orders in the register that the measured events deliver."""
        events = range(self.first, self.first + self.scale.events)
        numbers = (load.delivered_by(n) for n in events)
        return [n for n in numbers if n is not None and n < self.scale.register]


def now() -> Instant:
    """What the clock on the wall shows."""
    return to_instant(datetime.now(UTC))


def environment(kafka: KafkaSettings) -> dict[str, str]:
    """The same settings for a process of ours."""
    given = kafka.model_dump(exclude_unset=True)
    return {PREFIX + name.upper(): str(value) for name, value in given.items()}


def run_part(module: str, scene: Scene, python: str | Path = sys.executable) -> Figures:
    """Run a part in a process of its own, and what it prints as its figures."""
    command = [str(python), "-m", f"benchmarks.cluster.{module}", scene.json()]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)  # noqa: S603 - ours
    figures: Figures = json.loads(done.stdout)
    return figures
