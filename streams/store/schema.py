"""The version of the schema: which one a database has, and how it gets the newest."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from streams.store.engines import shown
from streams.store.errors import SchemaError

#: The advisory lock of PostgreSQL under which a schema changes: "detente" in seven letters.
MIGRATING = int.from_bytes(b"detente")

_MIGRATIONS = Path(__file__).with_name("migrations")


def newest_version() -> str:
    """The schema version that this Detente works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def version_of(connection: Connection) -> str | None:
    """The schema version of a database; None for an empty one.

    Raises SchemaError for a database that something else made.
    """
    version = MigrationContext.configure(connection).get_current_revision()
    if version is None and inspect(connection).get_table_names():
        raise SchemaError(
            f"{shown(connection.engine.url)} holds tables that Detente did not make; "
            "name a new one, or one that Detente made"
        )
    return version


def check(connection: Connection) -> None:
    """Raise SchemaError, saying what helps, unless the database has the newest schema."""
    place = shown(connection.engine.url)
    version, newest = version_of(connection), newest_version()
    if version == newest:
        return
    if version is None:
        raise SchemaError(f"{place} is empty; `detente migrate` makes a store of it")
    if version not in _known():
        raise SchemaError(
            f"{place} has the schema {version}, which this Detente does not know; its newest is "
            f"{newest}. Use the Detente that made it, or a newer one"
        )
    raise SchemaError(
        f"{place} has the schema {version} and this Detente works with {newest}; make a copy, "
        "then bring it up to date with `detente migrate`"
    )


def upgrade(engine: Engine) -> None:
    """Bring a database to the newest schema, in one transaction; make it when it is empty."""
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
    scripts = ScriptDirectory.from_config(_config())
    return {script.revision for script in scripts.walk_revisions()}


def _config() -> Config:
    config = Config()
    # The configuration is an INI file at heart: a percent sign in a path would be a reference.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
