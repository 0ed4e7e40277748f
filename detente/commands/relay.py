"""`detente relay`."""

import asyncio
import signal
import sys

import click

from detente.output import RefusedError, say
from detente.settings import db_option, document_options, read_settings


@click.command()
@db_option
@click.option("--host", metavar="ADDRESS", help="Where to show health.  [default: 127.0.0.1]")
@click.option(
    "--port",
    metavar="NUMBER",
    type=click.IntRange(0, 65535),
    help="Where to show health, and to listen to Slack; 0 takes a free one.  [default: 8381]",
)
@document_options
def relay(
    db: str | None, host: str | None, port: int | None, policy: str | None, directory: str | None
) -> None:
    """Start a relay of a cluster: tell people what the workers decided.

    It also sends decisions and rejected input to their topics, raises alarms, and takes what people
    do in Slack. Start as many as you like: each message is told by one of them. It runs until
    Ctrl-C.

    Settings stand in the environment (DETENTE_DB, DETENTE_KAFKA_BROKERS, SLACK_BOT_TOKEN ...) or in
    detente.yaml.
    """
    from detente.cluster import cluster_of, log_as_set, put_in_force
    from detente.embedded import wall_clock
    from detente.failures import PortTakenError
    from detente.relay_process import DEFAULT_PORT, RelayProcess
    from streams.cluster.presence import OccupiedError

    settings = read_settings(
        {"db": db, "host": host, "port": port, "policy": policy, "directory": directory},
        port=DEFAULT_PORT,
    )
    cluster = cluster_of(db)
    log_as_set(settings, cluster)
    put_in_force(settings, cluster, wall_clock())

    async def run() -> None:
        process = RelayProcess(cluster, settings, wall_clock, sys.stdout)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stop)

        def started() -> None:
            say(f"Relay {process.name} tells people. Health: port {process.port}")
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
