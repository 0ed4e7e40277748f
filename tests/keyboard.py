"""A store with policy and directory, a clock that is moved by hand, and a person who types."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from detente.cli import cli
from detente.embedded import Embedded, open_embedded
from detente.settings import Settings
from schemas.time import Instant, iso
from streams.outcome import Accepted, Outcome
from streams.records import RawRecord
from streams.store import Store

DIRECTORY = """
people:
  anna: {name: Anna Lindner, routes: [{kind: terminal}]}
  claire: {name: Claire Dubois, routes: [{kind: terminal}]}
  david: {name: David Okafor, routes: [{kind: terminal}]}
roles:
  account_manager: anna
  partnership_manager: claire
  executive_sponsor: david
  operations: anna
partners:
  nordlicht: {tier: strategic}
  kontor: {tier: standard}
"""


class Keyboard:
    """Commands are typed in the same process as the store is open in, and see its clock."""

    #: What every command begins with.
    command: tuple[str, ...] = ()
    #: Whether commands see `now`, or the clock on the wall.
    is_frozen = True

    def __init__(self, folder: Path, now: Instant, policy: str, directory: str = DIRECTORY) -> None:
        self.folder = folder
        self.now = now
        (folder / "policy.yaml").write_text(policy)
        (folder / "directory.yaml").write_text(directory)
        self.url = f"sqlite:///{folder / 'detente.db'}"
        self.settings = Settings(
            self.url, "127.0.0.1", 0, folder / "policy.yaml", folder / "directory.yaml"
        )
        self.events = 0  # each is named by its number
        self.start()

    def start(self) -> None:
        """A process begins, with the documents as they are now."""
        self._opened = open_embedded(self.settings, self.now)
        self.embedded: Embedded = self._opened.__enter__()

    def close(self) -> None:
        self._opened.__exit__(None, None, None)

    @property
    def store(self) -> Store:
        return self.embedded.store

    def tick(self) -> None:
        """Decide what is due."""
        while self.embedded.handler.tick(self.now):
            pass

    def take(
        self,
        type_: str,
        time: int,
        data: dict[str, Any],
        source: str = "/erp",
        outcome: type[Outcome] = Accepted,
    ) -> None:
        """An event comes in now; `time` is the one that it bears."""
        self.events += 1
        event = {"specversion": "1.0", "id": f"e{self.events}", "source": source, "type": type_,
                 "time": iso(time), "data": data}  # fmt: skip
        record = RawRecord("events.jsonl", f"line {self.events}", json.dumps(event).encode())
        (found,) = self.embedded.handler.take([record], self.now)
        assert isinstance(found, outcome), found

    def run(self, *args: str, actor: str | None = "claire") -> Result:
        """Type a command."""
        env = {"DETENTE_DB": self.url, "DETENTE_ACTOR": actor, "COLUMNS": None}
        clock = (lambda: self.now) if self.is_frozen else None
        return CliRunner(env=env).invoke(cli, [*self.command, *args], obj=clock)

    def ok(self, *args: str, actor: str | None = "claire") -> str:
        """What a command that succeeds prints, its remarks included."""
        result = self.run(*args, actor=actor)
        assert result.exit_code == 0, result.output
        return result.output

    def on_terminal(self, *args: str, columns: int = 80, typed: bytes = b"") -> str:
        """What a person sees who runs a command in a terminal of so many columns.

        It runs in a process of its own, which sees the clock on the wall.
        """
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
        env |= {"DETENTE_DB": self.url, "DETENTE_ACTOR": "claire", "TERM": "xterm-256color",
                "PYTHONPATH": str(Path(__file__).parents[1])}  # fmt: skip
        with closing(os.fdopen(ours, "rb+", buffering=0)) as terminal:
            process = subprocess.Popen(
                [sys.executable, "-m", "detente", *self.command, *args],
                stdin=theirs, stdout=theirs, stderr=theirs, env=env,
            )  # fmt: skip
            os.close(theirs)
            terminal.write(typed)
            seen = b""
            with suppress(OSError):  # the other side has closed
                while piece := terminal.read(65_536):
                    seen += piece
            assert process.wait() == 0, seen.decode()
        return seen.decode().replace("\r\n", "\n")
