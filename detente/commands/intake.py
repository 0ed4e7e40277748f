"""`detente intake`."""

import asyncio
import signal
import sys

import click

from detente.output import RefusedError, say
from detente.settings import db_option, document_options, read_settings


@click.command()
@db_option
@click.option("--host", metavar="ADDRESS", help="Where to listen.  [default: 127.0.0.1]")
@click.option(
    "--port",
    metavar="NUMBER",
    type=click.IntRange(0, 65535),
    help="Where to listen; 0 takes a free one.  [default: 8380]",
)
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
    """
    from detente.cluster import cluster_of, log_as_set, put_in_force
    from detente.embedded import wall_clock
    from detente.failures import PortTakenError
    from detente.intake_process import IntakeProcess
    from streams.cluster.presence import OccupiedError

    settings = read_settings(
        {"db": db, "host": host, "port": port, "policy": policy, "directory": directory}
    )
    cluster = cluster_of(db)
    log_as_set(settings, cluster)
    put_in_force(settings, cluster, wall_clock())

    async def run() -> None:
        process = IntakeProcess(cluster, settings, wall_clock)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stop)

        def started() -> None:
            say(f"Listening: {process.address} (send events to {process.address}/events)")
            say("Ctrl-C ends it.")
            sys.stdout.flush()

        await process.run(started)

    try:
        asyncio.run(run())
    except OccupiedError as error:
        raise RefusedError(str(error)) from None
    except PortTakenError as error:
        raise RefusedError(
            f"port {settings.port} of {settings.host} cannot be had: {error}. "
            "Name another with --port"
        ) from None
    say("Stopped.")
