"""`detente serve`."""

import asyncio
import os
import sys

import click

from detente.client import is_of_a_cluster
from detente.embedded import Embedded, open_embedded, wall_clock
from detente.foreground import run_until_stopped
from detente.occupancy import Lock, OccupiedError
from detente.output import RefusedError, say
from detente.service import Service
from detente.settings import Settings, address_options, db_option, document_options, read_settings
from streams.logs import secrets_of, set_up_logs

#: Seconds that a command which writes right now gets to end.
_PATIENCE = 5.0


@click.command()
@db_option
@address_options("listen", 8380)
@document_options
@click.option(
    "--example",
    is_flag=True,
    help="Try it out: replay a real data set into a database of its own, then serve that.",
)
@click.option("--keep", is_flag=True, help="With --example: go on with the database of last time.")
def serve(
    db: str | None,
    host: str | None,
    port: int | None,
    policy: str | None,
    directory: str | None,
    *,
    example: bool,
    keep: bool,
) -> None:
    """Start the service: take events, watch deadlines, tell people.

    It runs until Ctrl-C. Events come by HTTP (POST /events) or by `detente import`. Deadlines
    that passed while it did not run are decided when it starts.

    Settings may also stand in detente.yaml (db, host, port, policy, directory) or in the
    environment (DETENTE_DB, DETENTE_HOST ...).

    \b
    detente serve
    detente serve --policy rules.yaml --port 8480
    """
    if keep and not example:
        raise click.UsageError("--keep goes with --example")
    flags = {"db": db, "host": host, "port": port, "policy": policy, "directory": directory}
    if example:
        if db or policy or directory:
            raise click.UsageError("--example has its own --db, --policy and --directory")
        from detente.example import prepare

        flags |= prepare()
    settings = read_settings(flags)
    try:
        lock = Lock(settings.db, "detente serve", alone=True).acquire(_PATIENCE)
    except OccupiedError as holder:
        raise RefusedError(
            f"{settings.database} is in use by {holder}; a database has one service. "
            "Stop that one, or name another database with --db"
        ) from None
    set_up_logs(
        json=settings.log == "json",
        level=settings.log_level,
        secrets=secrets_of(os.environ, settings.db),
    )
    with lock:
        _refuse_clusters(settings)
        after = None
        if example:
            from detente.example import fill

            after = fill(settings, keep=keep)
        with open_embedded(settings, wall_clock()) as embedded:
            asyncio.run(_serve(settings, embedded, after))


def _refuse_clusters(settings: Settings) -> None:
    """Raise RefusedError for a database that workers of a cluster have filled."""
    if is_of_a_cluster(settings.db):
        raise RefusedError(
            f"{settings.database} is a cluster's: what its topics still hold is known to workers "
            "alone. Start `detente worker`, or name another database with --db"
        )


async def _serve(settings: Settings, embedded: Embedded, hints: str | None) -> None:
    service = Service(embedded, settings, wall_clock, sys.stdout)

    def greet() -> None:
        established = embedded.established
        say(f"Database:  {settings.database}")
        say(f"Policy:    {established.policy_from}")
        if established.is_new_policy:
            say("           a new version, in force from now on")
        say(f"Directory: {established.directory_from}")
        say(f"Listening: {service.address} (send events to {service.address}/events)")
        if hints:
            say(hints.replace("{url}", service.address))

    await run_until_stopped(service, greet)
