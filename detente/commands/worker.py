"""`detente worker`."""

import os
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
    help="Where to show health and metrics; 0 takes a free one.  [default: 0]",
)
@document_options
def worker(
    db: str | None, host: str | None, port: int | None, policy: str | None, directory: str | None
) -> None:
    """Start a worker of a cluster: read Kafka, decide, store in PostgreSQL.

    Start as many as there is work for; the partitions of the topics are shared between them. It
    runs until Ctrl-C, and ends itself with an exit code other than 0 when something is wrong that
    trying again does not help. `detente topics create` and `detente migrate` come first.

    Settings stand in the environment (DETENTE_DB, DETENTE_KAFKA_BROKERS ...) or in detente.yaml.
    """
    import faust

    from detente.cluster import log_as_set
    from detente.embedded import establish, wall_clock
    from streams.app import create_app
    from streams.cluster.health_pages import HealthPages
    from streams.cluster.presence import OccupiedError, Presence
    from streams.cluster.settings import ClusterSettingsError, read_cluster_settings
    from streams.store import Store

    settings = read_settings(
        {"db": db, "host": host, "port": port, "policy": policy, "directory": directory}, port=0
    )
    try:
        cluster = read_cluster_settings(db)
        presence = Presence(cluster.db)
        with Store.open(cluster.db, create=False) as store:
            presence.enter()
            establish(store, settings, wall_clock())
        presence.leave()
    except (ClusterSettingsError, OccupiedError) as error:
        raise RefusedError(str(error)) from None
    log_as_set(settings, cluster)

    def listening(port: int) -> None:
        say(f"Worker {os.getpid()}. Health: port {port}")
        sys.stdout.flush()

    pages = HealthPages(settings.host, settings.port, listening)
    app = create_app(lambda: cluster, pages=pages)
    started = faust.Worker(app, override_logging=False, quiet=True)
    started.spinner = None  # logs go to the same terminal
    started.execute_from_commandline()
