"""`detente worker`."""

import os
import sys

import click

from detente.output import say
from detente.settings import address_options, document_options, read_settings, server_option


@click.command()
@server_option
@address_options("show health", 0, also=" and metrics")
@document_options
def worker(
    db: str | None, host: str | None, port: int | None, policy: str | None, directory: str | None
) -> None:
    """Start a worker of a cluster: read Kafka, decide, store in PostgreSQL.

    Start as many as there is work for; the partitions of the topics are shared between them. It
    runs until Ctrl-C, and ends itself with an exit code other than 0 when something is wrong that
    trying again does not help. `detente topics create` and `detente migrate` come first.

    Settings stand in the environment (DETENTE_DB, DETENTE_KAFKA_BROKERS ...) or in detente.yaml.

    \b
    detente worker --policy policy.yaml --directory directory.yaml
    """
    import faust

    from detente.cluster import cluster_of, log_as_set, put_in_force
    from detente.embedded import wall_clock
    from streams.app import create_app
    from streams.cluster.health_pages import HealthPages

    settings = read_settings(
        {"db": db, "host": host, "port": port, "policy": policy, "directory": directory}, port=0
    )
    cluster = cluster_of(db)
    log_as_set(settings, cluster)
    put_in_force(settings, cluster, wall_clock(), samples=True)

    def listening(port: int) -> None:
        say(f"Worker {os.getpid()}. Health: port {port}")
        sys.stdout.flush()

    pages = HealthPages(settings.host, settings.port, listening)
    app = create_app(lambda: cluster, pages=pages)
    started = faust.Worker(app, override_logging=False, quiet=True)
    started.spinner = None  # logs go to the same terminal
    started.execute_from_commandline()
