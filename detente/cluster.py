"""What relays and intakes of a cluster have in common: the store, who decides, and their health.

    async with opened(settings, cluster, clock, metrics) as parts: ...

They decide at once what people do (in Slack, by HTTP), through the same handler as the workers; the
events of the trade they leave to these.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex

from detente.documents import Knowledge, stored_policies
from detente.embedded import establish
from detente.output import RefusedError
from detente.settings import Settings
from schemas.time import Instant
from streams.cluster.clients import client_arguments
from streams.cluster.deciding import Deciding
from streams.cluster.looking import Looking
from streams.cluster.presence import OccupiedError, Presence
from streams.cluster.reaching import BrokersError, NotLetInError, reach
from streams.cluster.read_past import ReadPast
from streams.cluster.settings import (
    ClusterSettings,
    ClusterSettingsError,
    KafkaSettings,
    read_cluster_settings,
)
from streams.knowledge import in_force
from streams.logs import set_up_logs
from streams.metrics import Metrics
from streams.observed import Observed
from streams.outcome import Outcome
from streams.records import Record
from streams.store import DOCUMENTS, Store, StoreError, Transaction
from streams.writer import INFRASTRUCTURE_ERRORS, Clock, Writer

#: Seconds between two looks how far the workers have read, and whether anything else has changed.
LOOK_EVERY = 2.0
_WRITER_GRACE = 3.0
#: Seconds that the brokers get at the start to refuse us: people shall not wait for them.
_REFUSED_WITHIN = 5.0

_log = logging.getLogger(__name__)


def process_name(what: str) -> str:
    """A name that no other process has, nor had before: `relay-web1-3f9a01`."""
    return f"{what}-{socket.gethostname()}-{token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Parts:
    """An open store with everything that decides."""

    store: Store
    knowledge: Knowledge
    version: int
    """Of policy and directory; another one is in force once the store shows another."""
    read_past: ReadPast
    looking: Looking
    presence: Presence
    handler: Observed
    writer: Writer
    clock: Clock

    def take(self, records: Sequence[Record]) -> list[Outcome]:
        """Decide records at once. On the writer's thread."""
        return self.handler.take(records, self.clock())

    def has_new_documents(self, tx: Transaction) -> bool:
        """Whether somebody has put another policy or directory in force."""
        return tx.versions([DOCUMENTS])[DOCUMENTS] != self.version

    async def write(self, work: Callable[[Transaction], None]) -> None:
        """Run something in a transaction, on the writer's thread."""

        def run() -> None:
            with self.store.transaction() as tx:
                work(tx)

        await self.writer.call(run)


def cluster_of(db: str | None) -> ClusterSettings:
    """The settings of the cluster. Raises RefusedError with a sentence, or DocumentError."""
    try:
        cluster = read_cluster_settings(db)
        client_arguments(cluster.kafka)  # certificates that cannot be read are said at once
    except ClusterSettingsError as error:
        raise RefusedError(str(error)) from None
    return cluster


def log_as_set(settings: Settings, cluster: ClusterSettings) -> None:
    """Let the log be as the settings say, without any secret in it."""
    set_up_logs(
        json=settings.log == "json",
        level=settings.log_level,
        secrets=cluster.secrets(os.environ),
    )


def put_in_force(
    settings: Settings, cluster: ClusterSettings, now: Instant, *, samples: bool = False
) -> None:
    """Put the documents of the settings in force. With `samples` those are the first of a database
    for which none are named.

    Raises RefusedError when an embedded service works on the database, StoreError when it has no
    documents and gets none, DocumentError or SettingsError.
    """
    presence = Presence(cluster.db)
    with Store.open(cluster.db, create=False) as store:
        try:
            presence.enter()  # first: the database of an embedded service is left as it is
            with store.reading() as tx:
                is_known = stored_policies(tx) is not None
            if settings.policy is None and not is_known and not samples:
                raise StoreError(
                    "no policy is in force in this database: name one with --policy, or start "
                    "`detente worker` first"
                )
            establish(store, settings, now)
        except OccupiedError as error:
            raise RefusedError(str(error)) from None
        finally:
            presence.leave()


async def check_access(kafka: KafkaSettings) -> None:
    """Raise RefusedError when a broker is there and refuses us; one that is away may come back.

    For the start, when somebody looks: what works already is not ended by a change of passwords.
    """
    try:
        async with asyncio.timeout(_REFUSED_WITHIN):
            await reach(kafka)
    except NotLetInError as error:
        raise RefusedError(f"Kafka cannot be used: {error}") from None
    except (BrokersError, TimeoutError) as error:
        _log.debug("The brokers cannot be reached: %r", error)


@asynccontextmanager
async def opened(
    cluster: ClusterSettings,
    clock: Clock,
    metrics: Metrics,
    committed: Callable[[], None] = lambda: None,
) -> AsyncIterator[Parts]:
    """Open the store beside the workers. `committed` is called after each batch decided here.

    Raises StoreError, or OccupiedError when an embedded service works on the database.
    """
    store = await asyncio.to_thread(Store.open, cluster.db, create=False)
    presence = Presence(cluster.db)
    try:
        await asyncio.to_thread(presence.enter)
        with store.reading() as tx:
            knowledge, version = await asyncio.to_thread(in_force, tx)
        read_past = ReadPast()
        deciding = await asyncio.to_thread(Deciding, store, read_past, clock)
        metrics.watch_store(store, deciding.horizon, clock, INFRASTRUCTURE_ERRORS)
        handler = Observed(deciding, metrics, committed)
        writer = Writer(handler, clock)
        await writer.start()
        looking = Looking(cluster.kafka, deciding, writer, read_past, clock)
        try:
            yield Parts(
                store, knowledge, version, read_past, looking, presence, handler, writer, clock
            )
        finally:
            await writer.stop(_WRITER_GRACE)
            await looking.stop()
    finally:
        presence.leave()
        store.close()
