"""Connections to the database, set up the way Detente needs them.

Two pools: one connection that writes, because SQLite lets only one transaction write at a time and
a queue in front of it is fairer than a race for its lock; and a few that read, each of which sees
the database as it was when its transaction began.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from streams.store.errors import StoreError

#: How long to wait for another process, or another thread of this one, that is writing.
_PATIENCE_S = 60

_PRAGMAS = {
    # Small pages: a batch of random keys touches one page of the key index each.
    "page_size": "4096",
    "journal_mode": "WAL",
    # An answered event survives a power failure: the log is on disk before COMMIT returns.
    "synchronous": "FULL",
    "temp_store": "MEMORY",
    # Cascades and references are not used: rows are written as the core decided them.
    "foreign_keys": "OFF",
}
_WRITER = {"cache_size": "-65536", "wal_autocheckpoint": "16384"}
_READER = {"cache_size": "-8192", "query_only": "ON"}


def parse_url(url: str) -> URL:
    """A database URL. Raises StoreError for one that Detente cannot use."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(
            f"{url!r} is not a database URL; write e.g. sqlite:///detente.db"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(
            f"{parsed.get_backend_name()!r} databases are not supported; "
            "write e.g. sqlite:///detente.db"
        )
    if parsed.database in {None, "", ":memory:"} or "mode" in parsed.query:
        raise StoreError(f"{url!r} names no file; write e.g. sqlite:///detente.db")
    return parsed


def database_file(url: URL) -> Path:
    """The file that a SQLite URL names."""
    return Path(str(url.database))


def writing_engine(url: URL) -> Engine:
    """The engine of the one connection that writes."""
    engine = create_engine(
        url, pool_size=1, max_overflow=0, pool_timeout=_PATIENCE_S, connect_args=_connect_args()
    )
    _set_up(engine, _PRAGMAS | _WRITER, "BEGIN IMMEDIATE")
    return engine


def reading_engine(url: URL) -> Engine:
    """The engine of connections that only read."""
    # Last in, first out: the connection whose cache is warm is used first.
    engine = create_engine(
        url, pool_size=2, max_overflow=14, pool_use_lifo=True, connect_args=_connect_args()
    )
    _set_up(engine, _PRAGMAS | _READER, "BEGIN")
    return engine


def _connect_args() -> dict[str, Any]:
    return {"timeout": _PATIENCE_S, "check_same_thread": False}


def _set_up(engine: Engine, pragmas: dict[str, str], begin: str) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        # The driver would begin transactions by itself, late and deferred; we begin them below.
        # Its commit() and rollback() still end them, in every Python that we support.
        connection.isolation_level = None
        for name, value in pragmas.items():
            connection.execute(f"PRAGMA {name} = {value}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # IMMEDIATE takes the write lock first: a transaction that read and then asked for it
        # could be refused, and would have to be given up.
        connection.exec_driver_sql(begin)
