"""Who works on a database server: any number of workers and commands, or one embedded service.

Each holds an advisory lock for as long as its connection lives; the server takes it from a process
that ends, however it ends. An embedded service knows its sources and its clock by itself, so it has
to be alone.
"""

import logging

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from streams.store import Unavailable
from streams.store.engines import parse_url, shown

# "presence" in eight letters.
_LOCK = int.from_bytes(b"presence")
# Sessions that others wait for, that wait for nobody but their own client, and have done so long.
# Found first, as a whole: a server tests conditions in the order that it likes, and ending a
# session must not be one of them.
_END_FROZEN = text("""
    WITH frozen AS MATERIALIZED (
        SELECT pid, extract(epoch FROM now() - state_change)::int AS seconds
        FROM pg_stat_activity AS holder
        WHERE datname = current_database() AND usename = current_user
          AND xact_start IS NOT NULL AND wait_event = 'ClientRead'
          AND state_change < now() - make_interval(secs => :patience)
          AND EXISTS (
              SELECT FROM pg_stat_activity AS waiter
              WHERE waiter.wait_event_type = 'Lock'
                AND holder.pid = ANY(pg_blocking_pids(waiter.pid))
          )
    )
    SELECT pid, seconds FROM frozen WHERE pg_terminate_backend(pid)
""")

_log = logging.getLogger(__name__)


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

    def end_frozen(self, patience: float) -> int:
        """End transactions of others that are waited for and give no sign. Returns how many.

        A process that was frozen in a transaction keeps its locks, and the server does not notice:
        the connection stands. `patience` is in seconds. Whoever is ended wrongly is told that the
        connection is gone, and begins again.
        """
        assert self._connection is not None
        try:
            ended = self._connection.execute(_END_FROZEN, {"patience": patience}).all()
        except DBAPIError as error:
            raise Unavailable(f"{shown(self._url)} cannot be used now: {error.orig}") from error
        for pid, seconds in ended:
            _log.warning(
                "Ended transaction %d: others wait, and it was still for %d s", pid, seconds
            )
        return len(ended)

    def leave(self) -> None:
        """Take it back."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()
