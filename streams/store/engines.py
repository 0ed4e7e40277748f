"""Connections to the database, set up the way Detente needs them.

Two pools: one whose connections write, and one whose connections only read, each of which sees the
database as it was when its transaction began. SQLite lets only one transaction write at a time, so
there one connection writes: a queue in front of it is fairer than a race for its lock.
"""

from collections.abc import Mapping
from importlib.util import find_spec
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

_SERVER = {
    # A process that was frozen in the middle of a transaction must not hold its rows for ever.
    "idle_in_transaction_session_timeout": f"{_PATIENCE_S}s",
    "lock_timeout": f"{_PATIENCE_S}s",
}

_EXAMPLES = "write e.g. sqlite:///detente.db or postgresql://detente@127.0.0.1/detente"


def parse_url(url: str) -> URL:
    """A database URL. Raises StoreError for one that Detente cannot use."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(f"{url!r} is not a database URL; {_EXAMPLES}") from None
    match parsed.drivername:
        case "sqlite":
            if parsed.database in {None, "", ":memory:"} or "mode" in parsed.query:
                raise StoreError(f"{url!r} names no file; write e.g. sqlite:///detente.db")
        case "postgresql" | "postgres" | "postgresql+psycopg":
            if not parsed.database:
                raise StoreError(f"{shown(parsed)} names no database; {_EXAMPLES}")
            if find_spec("psycopg") is None:
                raise StoreError(
                    "PostgreSQL needs the package psycopg; "
                    "install what requirements/cluster.txt lists"
                )
            parsed = parsed.set(drivername="postgresql+psycopg")
        case other:
            raise StoreError(f"{other!r} databases are not supported; {_EXAMPLES}")
    return parsed


def shown(url: URL) -> str:
    """A database as messages name it: the file, or the address without the password."""
    if url.drivername == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def database_file(url: URL) -> Path | None:
    """The file that a SQLite URL names; None for a server."""
    return Path(str(url.database)) if url.drivername == "sqlite" else None


def writing_engine(url: URL) -> Engine:
    """The engine of the connections that write."""
    if url.drivername != "sqlite":
        return _server_engine(url, is_reader=False)
    engine = create_engine(
        url, pool_size=1, max_overflow=0, pool_timeout=_PATIENCE_S, connect_args=_connect_args()
    )
    _set_up(engine, _PRAGMAS | _WRITER, "BEGIN IMMEDIATE")
    return engine


def reading_engine(url: URL) -> Engine:
    """The engine of connections that only read."""
    if url.drivername != "sqlite":
        return _server_engine(url, is_reader=True)
    # Last in, first out: the connection whose cache is warm is used first.
    engine = create_engine(
        url, pool_size=2, max_overflow=14, pool_use_lifo=True, connect_args=_connect_args()
    )
    _set_up(engine, _PRAGMAS | _READER, "BEGIN")
    return engine


def _connect_args() -> dict[str, Any]:
    return {"timeout": _PATIENCE_S, "check_same_thread": False}


def _set_up(engine: Engine, pragmas: Mapping[str, str], begin: str) -> None:
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


def _server_engine(url: URL, *, is_reader: bool) -> Engine:
    """An engine for PostgreSQL.

    Writers read what is committed at each statement and lock what they are about to change: a
    snapshot would make them lose every race that waiting wins.
    """
    engine = create_engine(
        url,
        isolation_level="REPEATABLE READ" if is_reader else "READ COMMITTED",
        pool_size=2,
        max_overflow=14,
        pool_timeout=_PATIENCE_S,
        pool_use_lifo=True,
        # The server may have been restarted since a connection was last used.
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        for name, value in _SERVER.items():
            connection.execute(f"SET {name} = '{value}'")
        connection.commit()
        connection.read_only = is_reader

    return engine
