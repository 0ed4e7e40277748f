"""`detente migrate`."""

import click

from detente.output import say
from detente.settings import db_option, read_settings


@click.command()
@db_option
def migrate(db: str | None) -> None:
    """Bring the database to the newest schema, or make it.

    Copy the file before. `detente serve` does the same by itself when it starts.
    """
    from streams import store

    settings = read_settings({"db": db})
    store.migrate(settings.db)
    say(f"{settings.database} has the newest schema")
