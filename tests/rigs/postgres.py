"""A real PostgreSQL for the tests, started from the distribution's programs.

It lives in a temporary folder, listens on a free loopback port and ends with the test run.
`DETENTE_TEST_POSTGRES`, e.g. `postgresql://me:secret@127.0.0.1/postgres`, names a running one to
use instead; the tests make databases of their own in it and drop them again. Where neither can be
had the tests that need it are skipped, unless `DETENTE_TEST_REQUIRE` names `postgres`.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL, make_url

from streams.store import migrate
from streams.store.tables import metadata
from tests.rigs.missing import missing
from tests.rigs.ports import free_port

_PATIENCE_S = 60
_HOW = (
    "PostgreSQL is not here: install the package `postgresql`, or name a running server, e.g. "
    "DETENTE_TEST_POSTGRES=postgresql://me:secret@127.0.0.1/postgres"
)
# Nothing here has to outlive the machine. A commit still reaches the kernel before it is answered,
# so that it outlives a server that is stopped like in a crash.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "deadlock_timeout": "200ms",
    "log_min_messages": "warning",
}
_LOOPBACK_ONLY = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "''"}


@dataclass(slots=True)
class PostgresServer:
    """A running server, and who may make databases in it."""

    url: URL
    stop: Callable[[], None]
    """Stops a server of our own as a crash would; does nothing for one that was running."""
    start: Callable[[], None]
    """Starts it again on the same port with the same data."""
    is_ours: bool

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A new database, empty or a copy: the URL that Detente takes. It is dropped at the end."""
        name = f"detente_test_{token_hex(6)}"
        self._run("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'", name, template)
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    def _run(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(libpq(self.url), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def libpq(url: URL | str) -> str:
    """A URL as libpq and its tools take it: without the name of a driver."""
    parsed = make_url(url).set(drivername="postgresql")
    return parsed.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server that this run of the tests uses."""
    if named := os.environ.get("DETENTE_TEST_POSTGRES"):
        yield PostgresServer(make_url(named), _nothing, _nothing, is_ours=False)
    else:
        with own_server(_SETTINGS) as server:
            yield server


@pytest.fixture
def postgres_to_stop(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that a test may stop and start: that of the run, unless somebody else runs it."""
    if postgres_server.is_ours:
        yield postgres_server
    else:
        with own_server(_SETTINGS) as server:
            yield server


@pytest.fixture
def url_to_stop(postgres_to_stop: PostgresServer) -> Iterator[str]:
    """A store with nothing in it on that server."""
    with postgres_to_stop.database() as url:
        migrate(url)
        yield url


@pytest.fixture(scope="session")
def _emptied(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        migrate(url)
        yield url


@pytest.fixture
def postgres_url(_emptied: str) -> str:
    """A store with nothing in it, for one test: making a database for each would take a second."""
    return emptied(_emptied)


def emptied(url: str) -> str:
    """The store at this URL after everything in it was deleted and everybody sent away."""
    with psycopg.connect(libpq(url), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
        tables = sql.SQL(", ").join(sql.Identifier(name) for name in metadata.tables)
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
    return url


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of its own for one test, without any table."""
    with postgres_server.database() as url:
        yield url


def _programs() -> Path | None:
    """The folder with `initdb` and `postgres`, the newest where there are several."""
    found = [
        folder
        for folder in Path("/usr/lib/postgresql").glob("*/bin")
        if folder.parent.name.isdecimal() and (folder / "postgres").exists()
    ]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    # Elsewhere the server's programs lie beside each other on the path, or pg_config knows where.
    asked = [shutil.which("postgres"), _said_by_pg_config()]
    for program in filter(None, asked):
        if (folder := Path(program).resolve().parent).joinpath("initdb").exists():
            return folder
    return None


def _said_by_pg_config() -> str | None:
    program = shutil.which("pg_config")
    if program is None:
        return None
    folder = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=True)
    return str(Path(folder.stdout.strip()) / "postgres")


@contextmanager
def own_server(settings: dict[str, str]) -> Iterator[PostgresServer]:
    """A server that nobody else uses, with these settings; it ends with the block."""
    programs = _programs()
    if programs is None:
        missing("postgres", _HOW)
    # Not below pytest's own folder, which only its user may enter: the server may be another.
    home = Path(tempfile.mkdtemp(prefix="detente-postgres-"))
    user = _server_user()
    if user is not None:
        os.chown(home, user.pw_uid, user.pw_gid)
    data, log = home / "data", home / "log"

    def run(program: str, *options: str) -> None:
        with (home / "said").open("ab") as said:
            done = subprocess.run(
                [str(programs / program), "-D", str(data), *options],
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
                start_new_session=True,  # Ctrl+C ends the tests; the fixture ends the server
                timeout=2 * _PATIENCE_S,
                check=False,
            )
        if done.returncode != 0:
            files = [file.read_text("utf-8", "replace") for file in (home / "said", log)
                     if file.exists()]  # fmt: skip
            pytest.fail("\n".join((f"{program} failed:", *files))[-4_000:], pytrace=False)

    port = free_port()
    given = " ".join(f"-c {name}={value}" for name, value in (settings | _LOOPBACK_ONLY).items())
    waiting = ("-w", "-t", str(_PATIENCE_S))

    def start() -> None:
        run("pg_ctl", "start", *waiting, "-l", str(log), "-o", f"-p {port} {given}")

    def stop() -> None:
        run("pg_ctl", "stop", *waiting, "-m", "immediate")

    try:
        run("initdb", "-U", "detente", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        start()
        url = URL.create("postgresql", "detente", host="127.0.0.1", port=port, database="postgres")
        yield PostgresServer(url, stop, start, is_ours=True)
    finally:
        if (data / "postmaster.pid").exists():
            stop()
        shutil.rmtree(home)


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.fail("the tests run as root, and there is neither a user postgres nor nobody")


def _nothing() -> None:
    """For a server that somebody else runs."""
