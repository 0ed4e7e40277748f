"""Who works on a database server: any number of workers and commands, or one embedded service.

Each holds an advisory lock for as long as its connection lives; the server takes it from a process
that ends, however it ends. An embedded service knows its sources and its clock by itself, so it has
to be alone.
"""

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from streams.store import Unavailable
from streams.store.engines import parse_url, shown

# "presence" in eight letters.
_LOCK = int.from_bytes(b"presence")


class OccupiedError(Exception):
    """Somebody works on the database, `who`, and they or we have to be alone."""

    def __init__(self, who: str, database: str) -> None:
        super().__init__(
            f"{database} is in use by {who}; an embedded service has to be alone on a database"
        )
        self.who = who


class Presence:
    """Our word that we work on a database; `alone` for an embedded service."""

    def __init__(self, url: str, *, alone: bool = False) -> None:
        self._url = parse_url(url)
        self._alone = alone
        self._connection: Connection | None = None

    def enter(self) -> None:
        """Say it. Raises OccupiedError when it cannot be, Unavailable when the server is away."""
        how = "pg_try_advisory_lock" if self._alone else "pg_try_advisory_lock_shared"
        engine = create_engine(
            self._url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"connect_timeout": 10},
        )
        try:
            connection = engine.connect()
            got = connection.execute(text(f"SELECT {how}({_LOCK})")).scalar_one()
        except DBAPIError as error:
            raise Unavailable(
                f"{shown(self._url)} cannot be used now: {' '.join(str(error.orig).split())}"
            ) from error
        if not got:
            connection.close()
            raise OccupiedError(
                "a worker of a cluster, or another process" if self._alone else "`detente serve`",
                shown(self._url),
            )
        self._connection = connection

    def keep(self) -> None:
        """Say it again if the connection was lost. Raises as `enter` does."""
        if self._connection is None:
            self.enter()
            return
        try:
            self._connection.exec_driver_sql("SELECT 1")
        except DBAPIError:
            self.leave()
            self.enter()

    def leave(self) -> None:
        """Take it back."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()
