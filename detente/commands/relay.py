"""`detente relay`."""

import asyncio
import sys

import click

from detente.output import say
from detente.settings import address_options, document_options, read_settings, server_option


@click.command()
@server_option
@address_options("show health", 8381, also=", and to listen to Slack")
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

    \b
    detente relay --policy policy.yaml --directory directory.yaml
    """
    from detente.cluster import cluster_of, log_as_set, put_in_force
    from detente.embedded import wall_clock
    from detente.foreground import run_until_stopped
    from detente.relay_process import DEFAULT_PORT, RelayProcess

    settings = read_settings(
        {"db": db, "host": host, "port": port, "policy": policy, "directory": directory},
        port=DEFAULT_PORT,
    )
    cluster = cluster_of(db)
    log_as_set(settings, cluster)
    put_in_force(settings, cluster, wall_clock())

    process = RelayProcess(cluster, settings, wall_clock, sys.stdout)

    def greet() -> None:
        say(f"Relay {process.name} tells people. Health: port {process.port}")

    asyncio.run(run_until_stopped(process, greet))
