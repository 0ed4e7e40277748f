"""`detente migrate`."""

import click

from detente.output import RefusedError, say
from detente.settings import Settings, db_option, read_settings


@click.command()
@click.option(
    "--from", "source", metavar="URL", help="Fill an empty database with all that this one holds."
)
@db_option
def migrate(source: str | None, db: str | None) -> None:
    """Bring the database to the newest schema, or make it.

    Copy the file before. `detente serve` does the same by itself when it starts.

    With --from everything that an embedded service knows moves to the server of a cluster; the
    service must have been stopped.

    \b
    detente migrate --db postgresql://detente@db.example/detente --from sqlite:///detente.db
    """
    from streams import store

    settings = read_settings({"db": db})
    store.migrate(settings.db)
    say(f"{settings.database} has the newest schema")
    if source is not None:
        _copy(read_settings({"db": source}), settings)


def _copy(source: Settings, target: Settings) -> None:
    from detente.occupancy import Lock, OccupiedError
    from streams.store import Store
    from streams.store.copying import copy_store

    with Store.open(source.db, create=False, migrate=True) as there, Store.open(target.db) as here:
        try:
            with Lock(source.db, "detente migrate").acquire(0):
                rows = copy_store(there, here)
        except OccupiedError as holder:
            raise RefusedError(f"{source.database} is in use by {holder}; stop it first") from None
    say(f"{rows} rows copied from {source.database}")
