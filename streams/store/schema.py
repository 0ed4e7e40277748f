"""The version of the schema: which one a database has, and how it gets the newest.

Alembic is loaded only to change a schema: opening a store asks for a version and nothing more, and
every command opens one.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from streams.store.engines import shown
from streams.store.errors import SchemaError

if TYPE_CHECKING:
    from alembic.config import Config

#: The advisory lock of PostgreSQL under which a schema changes: "detente" in seven letters.
MIGRATING = int.from_bytes(b"detente")

#: The schema version that this Detente works with: the last of the migrations.
NEWEST = "0011"

_MIGRATIONS = Path(__file__).with_name("migrations")


def version_of(connection: Connection) -> str | None:
    """The schema version of a database; None for an empty one.

    Raises SchemaError for a database that something else made.
    """
    tables = inspect(connection).get_table_names()
    version: str | None = None
    if "alembic_version" in tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version"))
        version = found.scalar_one_or_none()
    if version is None and tables:
        raise SchemaError(
            f"{shown(connection.engine.url)} holds tables that Detente did not make; "
            "name a new one, or one that Detente made"
        )
    return version


def check(connection: Connection) -> None:
    """Raise SchemaError, saying what helps, unless the database has the newest schema."""
    place = shown(connection.engine.url)
    version = version_of(connection)
    if version == NEWEST:
        return
    if version is None:
        raise SchemaError(f"{place} is empty; `detente migrate` makes its tables")
    if version not in _known():
        raise SchemaError(
            f"{place} has the schema {version}, which this Detente does not know; its newest is "
            f"{NEWEST}. Use the Detente that made it, or a newer one"
        )
    raise SchemaError(
        f"{place} has the schema {version} and this Detente works with {NEWEST}; make a copy, "
        "then bring it up to date with `detente migrate`"
    )


def upgrade(engine: Engine) -> None:
    """Bring a database to the newest schema, in one transaction; make it when it is empty."""
    from alembic import command

    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # Several processes may start at once; the others find it done.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATING})")
        version = version_of(connection)
        if version is not None and version not in _known():
            check(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _known() -> set[str]:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config())
    return {script.revision for script in scripts.walk_revisions()}


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    # The configuration is an INI file at heart: a percent sign in a path would be a reference.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
