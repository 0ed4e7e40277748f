"""`detente intake`."""

import asyncio

import click

from detente.output import say
from detente.settings import address_options, document_options, read_settings, server_option


@click.command()
@server_option
@address_options("listen", 8380)
@document_options
def intake(
    db: str | None, host: str | None, port: int | None, policy: str | None, directory: str | None
) -> None:
    """Start an intake of a cluster: take events by HTTP, and write them to Kafka.

    POST /events is the same as that of `detente serve`. An event is accepted once every replica
    has it; commands are decided at once. Start as many as you like. It runs until Ctrl-C.

    On an address that other machines reach, senders need a token (`detente token create`); until
    there is one every event is refused.

    Settings stand in the environment (DETENTE_DB, DETENTE_KAFKA_BROKERS ...) or in detente.yaml.

    \b
    detente intake --host 0.0.0.0
    """
    from detente.cluster import cluster_of, log_as_set, put_in_force
    from detente.embedded import wall_clock
    from detente.foreground import run_until_stopped
    from detente.intake_process import IntakeProcess

    settings = read_settings(
        {"db": db, "host": host, "port": port, "policy": policy, "directory": directory}
    )
    cluster = cluster_of(db)
    log_as_set(settings, cluster)
    put_in_force(settings, cluster, wall_clock())

    process = IntakeProcess(cluster, settings, wall_clock)

    def greet() -> None:
        say(f"Listening: {process.address} (send events to {process.address}/events)")

    asyncio.run(run_until_stopped(process, greet))
