"""The store: where everything that Detente knows is kept."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import URL, Engine, exc

from streams.store import schema
from streams.store.engines import (
    database_file,
    parse_url,
    reading_engine,
    shown,
    writing_engine,
)
from streams.store.errors import LostRace, StoreError, Unavailable
from streams.store.transaction import Transaction

# What PostgreSQL calls a serialization failure and a deadlock: the other one goes on.
_CROSSED = {"40001", "40P01"}
# Connections, resources, an operator at work, the system, and a transaction idle for too long.
_AWAY = ("08", "53", "57", "58", "25P03")

# The seed, "case" in four letters, keeps these locks apart from those of schema and posting.
_ALONE = (
    f"SELECT pg_advisory_xact_lock(hashtextextended(name, {int.from_bytes(b'case')})) "  # noqa: S608 - a number
    "FROM unnest(%b::text[]) AS about (name)"
)


class Store:
    """An open store. It may be used from several threads; each transaction from one."""

    def __init__(self, url: URL, writer: Engine, reader: Engine) -> None:
        self.url = url
        self._writer = writer
        self._reader = reader

    @classmethod
    def open(cls, url: str, *, create: bool = True, migrate: bool = False) -> Self:
        """Open the store at a URL, as `sqlite:///detente.db` or `postgresql://user@host/detente`.

        A database on a server must exist; a file need not. An empty or missing one is made, unless
        `create` is false. One with an older schema is refused, unless `migrate` is true. Raises
        StoreError with a sentence for the user.
        """
        parsed = parse_url(url)
        if file := database_file(parsed):
            if not create and not file.exists():
                raise StoreError(f"there is no database at {file}")
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"{file.parent} cannot be made: {error.strerror}") from error
        store = cls(parsed, writing_engine(parsed), reading_engine(parsed))
        try:
            if migrate or (create and store.schema_version() is None):
                store.migrate()
            with _said_plainly(parsed), store._reader.begin() as connection:
                schema.check(connection)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close every connection. The store must not be used afterwards."""
        self._writer.dispose()
        self._reader.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that may write: committed at the end, undone when the block raises.

        It is on disk when the block has been left. What it loads to write is locked until then.
        Raises Unavailable when the database is away, locked or full, and LostRace when another
        transaction was quicker.
        """
        with _said_plainly(self.url), self._writer.begin() as connection:
            yield Transaction(connection, writes=True)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A transaction that only reads, and sees everything as it was when it began."""
        with _said_plainly(self.url), self._reader.begin() as connection:
            yield Transaction(connection)

    @contextmanager
    def alone_with(self, cases: Iterable[str]) -> Iterator[None]:
        """Be the only one who looks at these cases and then decides about them.

        It keeps out others who ask for the same, in any process, and nobody else. A SQLite store
        has one process, and one thread of it that decides. Raises Unavailable.
        """
        if self.url.get_backend_name() != "postgresql":
            yield
            return
        with _said_plainly(self.url), self._reader.begin() as connection:
            # In one order everywhere, so that nobody waits crosswise.
            connection.exec_driver_sql(_ALONE, (sorted(set(cases)),))
            yield

    def schema_version(self) -> str | None:
        """The version of the database's schema; None while it is empty."""
        with _said_plainly(self.url), self._reader.begin() as connection:
            return schema.version_of(connection)

    def migrate(self) -> None:
        """Bring the schema to the newest version."""
        with _said_plainly(self.url):
            schema.upgrade(self._writer)


def migrate(url: str) -> None:
    """Bring the store at `url` to the newest schema; make it when it is not there.

    Raises SchemaError when this Detente does not know the schema that it has.
    """
    Store.open(url, migrate=True).close()


@contextmanager
def _said_plainly(url: URL) -> Iterator[None]:
    """Turn what the driver raises about the database as a whole into a sentence."""
    try:
        yield
    except exc.TimeoutError as error:
        raise Unavailable(f"the database {shown(url)} cannot be used now: {error}") from error
    except exc.DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        reason = " ".join(str(error.orig).split())
        if state in _CROSSED:
            raise LostRace(f"two transactions of {shown(url)} crossed: {reason}") from error
        if (
            isinstance(error, exc.OperationalError | exc.InterfaceError)
            or error.connection_invalidated
            or state.startswith(_AWAY)
        ):
            raise Unavailable(f"the database {shown(url)} cannot be used now: {reason}") from error
        if "not a database" in reason:
            raise StoreError(f"{shown(url)} is not a database; name another file") from error
        raise
