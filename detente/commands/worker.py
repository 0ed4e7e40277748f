"""`detente worker`."""

import os

import click

from detente.output import RefusedError
from detente.settings import db_option, document_options, read_settings


@click.command()
@db_option
@document_options
def worker(db: str | None, policy: str | None, directory: str | None) -> None:
    """Start a worker of a cluster: read Kafka, decide, store in PostgreSQL.

    Start as many as there is work for; the partitions of the topics are shared between them. It
    runs until Ctrl-C, and ends itself with an exit code other than 0 when something is wrong that
    trying again does not help. `detente topics create` and `detente migrate` come first.

    Settings stand in the environment (DETENTE_DB, DETENTE_KAFKA_BROKERS ...) or in detente.yaml.
    """
    import faust

    from detente.embedded import establish, wall_clock
    from streams.app import create_app
    from streams.cluster.presence import OccupiedError, Presence
    from streams.cluster.settings import ClusterSettingsError, read_cluster_settings
    from streams.logs import secrets_of, set_up_logs
    from streams.store import Store

    settings = read_settings({"db": db, "policy": policy, "directory": directory})
    try:
        cluster = read_cluster_settings(db)
        presence = Presence(cluster.db)
        with Store.open(cluster.db, create=False) as store:
            presence.enter()
            establish(store, settings, wall_clock())
        presence.leave()
    except (ClusterSettingsError, OccupiedError) as error:
        raise RefusedError(str(error)) from None
    set_up_logs(
        json=settings.log == "json",
        level=settings.log_level,
        secrets=secrets_of(os.environ, cluster.db),
    )
    started = faust.Worker(create_app(lambda: cluster), override_logging=False, quiet=True)
    started.spinner = None  # logs go to the same terminal
    started.execute_from_commandline()
