"""Who works on a database: one process at a time writes, and others find the running service.

Beside the database `shop.db` lie `shop.db.lock`, held for as long as a process writes, and
`shop.db.service`, which tells other commands of the same user where the service listens. For a
database that is no file they lie in the working directory.
"""

import fcntl
import json
import os
import threading
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from streams.store.engines import database_file, parse_url

if TYPE_CHECKING:
    from streams.cluster.presence import Presence

_INTERVAL = 0.05  # seconds between two looks at a lock that is taken


class OccupiedError(Exception):
    """Another process works on the database; the message says which."""

    def __init__(self, what: str, pid: int) -> None:
        super().__init__(f"{what} (process {pid})" if pid else what)
        self.pid = pid


@dataclass(frozen=True, slots=True)
class Address:
    """Where the running service listens, and what opens its local pages."""

    url: str
    token: str
    pid: int


class Lock:
    """The right to write. The system takes it from a process that ends, however it ends."""

    def __init__(self, url: str, what: str, *, alone: bool = False) -> None:
        """`what` is the command that asks, for the messages of others. Raises StoreError.

        On a database server `alone` asks that nobody anywhere works on the database; other commands
        get on with each other and with workers.
        """
        self._path = _beside(url, ".lock")
        self._what = what
        self._file: int | None = None
        self._presence: Presence | None = None
        if database_file(parse_url(url)) is None:
            from streams.cluster import presence

            self._presence = presence.Presence(url, alone=alone)

    def acquire(self, patience: float) -> Self:
        """Take the lock, waiting so many seconds at most. Raises OccupiedError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        never = threading.Event()
        try:
            while not _try(file):
                # Nothing tells when a lock of another process is given back.
                if patience <= 0:
                    raise self._occupied()
                never.wait(_INTERVAL)
                patience -= _INTERVAL
            self._be_present()
            os.truncate(file, 0)
            os.pwrite(file, json.dumps([self._what, os.getpid()]).encode(), 0)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return self

    def release(self) -> None:
        """Give it back."""
        if self._presence is not None:
            self._presence.leave()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _be_present(self) -> None:
        if self._presence is None:
            return
        from streams.cluster.presence import OccupiedError as Elsewhere

        try:
            self._presence.enter()
        except Elsewhere as error:
            raise OccupiedError(error.who, 0) from None

    def _occupied(self) -> OccupiedError:
        try:
            what, pid = json.loads(self._path.read_bytes())
            return OccupiedError(str(what), int(pid))
        except (OSError, ValueError, TypeError):  # it has been taken, and nothing written yet
            return OccupiedError("another process", 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _try(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def publish(url: str, address: Address) -> None:
    """Tell other commands of this user where the service listens."""
    path = _beside(url, ".service")
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    # Made with its mode, lest somebody reads the token before that is set.
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(asdict(address), stream)
    fresh.replace(path)


def withdraw(url: str) -> None:
    """Take back what `publish` told."""
    _beside(url, ".service").unlink(missing_ok=True)


def find(url: str) -> Address | None:
    """Where a service said that it listens; it may have been killed since."""
    try:
        return Address(**json.loads(_beside(url, ".service").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _beside(url: str, suffix: str) -> Path:
    file = database_file(parse_url(url))
    if file is None:  # a database server: what runs in this folder is told apart by its URL
        file = Path(f"detente-{sha256(url.encode()).hexdigest()[:12]}")
    return file.with_name(file.name + suffix)
