"""Settings of the command line: flags, then environment, then `detente.yaml`, then defaults.

| flag          | environment         | in detente.yaml | default                       |
|---------------|---------------------|-----------------|-------------------------------|
| `--db`        | `DETENTE_DB`        | `db`            | `sqlite:///detente.db`        |
| `--host`      | `DETENTE_HOST`      | `host`          | 127.0.0.1                     |
| `--port`      | `DETENTE_PORT`      | `port`          | 8380                          |
| `--policy`    | `DETENTE_POLICY`    | `policy`        | `policy.yaml` if it exists    |
| `--directory` | `DETENTE_DIRECTORY` | `directory`     | `directory.yaml` if it exists |
|               | `DETENTE_LOG`       | `log`           | `text`; or `json`             |
|               | `DETENTE_LOG_LEVEL` | `log_level`     | `warning`                     |

Without a policy or directory, what the database was last run with is used, else a sample.
Files, the database's among them, are looked for in the working directory.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import click
from pydantic import Field

import schemas
from schemas.documents import read_document
from schemas.fields import Document
from streams.cluster.settings import KafkaSettings

FILE = "detente.yaml"
PREFIX = "DETENTE_"
DEFAULT_DB = "sqlite:///detente.db"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8380
LogForm = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
#: The samples lie beside the installed packages.
EXAMPLES = Path(schemas.__file__).resolve().parents[1] / "examples"

F = TypeVar("F", bound=Callable[..., Any])


class SettingsError(Exception):
    """A setting that cannot be used; the message names where it was given and what is accepted."""


class SettingsFile(Document):
    """What `detente.yaml` may say."""

    db: str | None = None
    host: str | None = None
    port: Annotated[int | None, Field(ge=0, le=65535)] = None
    policy: str | None = None
    directory: str | None = None
    log: LogForm | None = None
    log_level: LogLevel | None = None
    kafka: KafkaSettings | None = None
    """Only processes of a cluster look at it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a command works with."""

    db: str
    host: str
    port: int
    """0 takes any free port."""
    policy: Path | None
    """None when nobody named one and there is none here: then the store's, else the sample."""
    directory: Path | None
    log: LogForm = "text"
    log_level: LogLevel = "warning"

    @property
    def database(self) -> str:
        """The database as messages name it: its URL without the password."""
        scheme, separator, rest = self.db.partition("://")
        account, at, place = rest.rpartition("@")
        return f"{scheme}{separator}{account.partition(':')[0]}{at}{place}"


def read_settings(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    *,
    port: int = DEFAULT_PORT,
) -> Settings:
    """Put the settings together. A flag that is None was not given; `port` is the default one.

    Raises SettingsError, or DocumentError for a mistake in `detente.yaml`.
    """
    environment = os.environ if environment is None else environment
    folder = Path() if folder is None else folder
    file = folder / FILE
    said = SettingsFile()
    if file.is_file():
        said = read_document(file.read_bytes(), FILE, SettingsFile).value

    def chosen(name: str) -> Any:
        flag = (flags or {}).get(name)
        if flag is not None:
            return flag
        return environment.get(PREFIX + name.upper()) or getattr(said, name)

    return Settings(
        chosen("db") or DEFAULT_DB,
        chosen("host") or DEFAULT_HOST,
        _port(chosen("port"), port),
        _document(chosen("policy"), folder, "policy.yaml"),
        _document(chosen("directory"), folder, "directory.yaml"),
        _one_of("LOG", chosen("log") or "text", LogForm),
        _one_of("LOG_LEVEL", chosen("log_level") or "warning", LogLevel),
    )


def _one_of(name: str, value: str, accepted: Any) -> Any:
    if value not in get_args(accepted):
        found = ", ".join(get_args(accepted))
        raise SettingsError(f"{PREFIX}{name}: found {value!r}; accepted are {found}")
    return value


def _port(value: Any, default: int) -> int:
    if value is None:
        return default
    try:
        port = int(value)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise SettingsError(f"{PREFIX}PORT: {value!r} is no port; accepted are 0 to 65535")
    return port


def _document(named: str | Path | None, folder: Path, default: str) -> Path | None:
    if named is not None:
        return folder / named
    here = folder / default
    return here if here.is_file() else None


def db_option(command: F) -> F:
    """The option `--db`, as every command has it."""
    return click.option("--db", metavar="URL", help=f"The database.  [default: {DEFAULT_DB}]")(
        command
    )


def server_option(command: F) -> F:
    """The option `--db` of the processes of a cluster, which work with no file."""
    return click.option(
        "--db",
        metavar="URL",
        help="The database, e.g. postgresql://detente@127.0.0.1/detente. It must be a PostgreSQL, "
        "named here, in DETENTE_DB or in detente.yaml.",
    )(command)


def address_options(what: str, port: int, *, also: str = "") -> Callable[[F], F]:
    """The options `--host` and `--port`, for something to do there; `also` is done at the port."""

    def add(command: F) -> F:
        host_help = f"Where to {what}.  [default: 127.0.0.1]"
        port_help = f"Where to {what}{also}; 0 takes a free one.  [default: {port}]"
        number = click.IntRange(0, 65535)
        command = click.option("--port", metavar="NUMBER", type=number, help=port_help)(command)
        return click.option("--host", metavar="ADDRESS", help=host_help)(command)

    return add


def document_options(command: F) -> F:
    """The options `--policy` and `--directory`."""
    policy = click.option(
        "--policy",
        metavar="FILE",
        help="The rules of the house.  [default: policy.yaml, else the database's, else a sample]",
    )
    directory = click.option(
        "--directory",
        metavar="FILE",
        help="Who is who.  [default: directory.yaml, else the database's, else a sample]",
    )
    return policy(directory(command))
