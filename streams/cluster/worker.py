"""What one worker runs: the pump, the deadlines and the watchdog around one store."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiokafka.errors import KafkaError
from mode import Service

from schemas.documents import DocumentError
from streams.cluster.deadlines import Deadlines
from streams.cluster.deciding import Deciding
from streams.cluster.health_pages import HealthPages
from streams.cluster.presence import OccupiedError, Presence
from streams.cluster.pump import Pump
from streams.cluster.read_past import EndOffsets, ReadPast
from streams.cluster.settings import ClusterSettings, ClusterSettingsError
from streams.cluster.topics import TopicsError
from streams.cluster.watchdog import Watchdog
from streams.observed import Observe
from streams.store import Store, StoreError
from streams.writer import INFRASTRUCTURE_ERRORS, Clock, Writer

#: Seconds that a last commit gets when the worker is stopped.
_LAST_COMMIT = 2.0
#: Seconds between two looks whether the database still knows that we work on it.
_PRESENT_EVERY = 5.0

_log = logging.getLogger(__name__)


class ClusterWorker(Service):
    """One worker. `settings` is called as it starts, so that mistakes in them are said then.

    What keeps it from starting ends the process with a sentence and exit code 1.
    """

    def __init__(
        self,
        settings: Callable[[], ClusterSettings],
        clock: Clock,
        pages: HealthPages | None = None,
    ) -> None:
        super().__init__()
        self._read_settings = settings
        self._clock = clock
        self._pages = pages
        self.read_past = ReadPast()
        self._closing = AsyncExitStack()
        self.store: Store
        self.pump: Pump

    async def on_start(self) -> None:
        """Check that everything is as it must be, then start to work."""
        try:
            await self._prepare()
        except (
            ClusterSettingsError,
            DocumentError,
            StoreError,
            TopicsError,
            OccupiedError,
            KafkaError,
        ) as error:
            raise SystemExit(f"detente worker: {_sentence(error)}") from None

    async def _prepare(self) -> None:
        settings = self._read_settings()
        kafka = settings.kafka
        # Who gives no sign for so long has lost its partitions; it loses its locks as well.
        self._patience = kafka.session_timeout
        # A store with another schema is refused, for other workers may still work with that.
        self.store = await asyncio.to_thread(Store.open, settings.db, create=False)
        self._closing.callback(self.store.close)
        self._presence = Presence(settings.db)
        await asyncio.to_thread(self._presence.enter)
        self._closing.callback(self._presence.leave)
        deciding = await asyncio.to_thread(
            Deciding, self.store, self.read_past, self._clock, *_observers(self._pages)
        )
        ends = EndOffsets(kafka)
        self._closing.push_async_callback(ends.stop)
        await ends.start()
        await ends.check_inputs()
        self.writer = Writer(deciding, self._clock)
        await self.writer.start()
        self._closing.push_async_callback(self.writer.stop, _LAST_COMMIT)
        watchdog = Watchdog(kafka.stall_timeout, self._has_lag)
        watchdog.start()
        self._closing.callback(watchdog.stop)
        self.pump = Pump(kafka, deciding, self.writer, watchdog.moved)
        self.add_dependency(self.pump)
        if self._pages is not None:
            self._pages.watch(
                self.store,
                deciding.horizon,
                self.read_past,
                self.pump,
                self.writer,
                self._clock,
            )
            self.add_dependency(self._pages)
        self.add_dependency(
            Deadlines(
                kafka,
                deciding,
                self.writer,
                self.read_past,
                ends,
                self._clock,
                watchdog.looked,
            )
        )

    @Service.task
    async def _stay_present(self) -> None:
        while not self.should_stop:
            await self.sleep(min(_PRESENT_EVERY, self._patience))
            try:
                # Not on the writing thread, which may be what waits.
                await asyncio.to_thread(self._presence.keep)
                await asyncio.to_thread(self._presence.end_frozen, self._patience)
            except INFRASTRUCTURE_ERRORS as error:
                _log.warning("The database cannot be told that we work on it: %s", error)

    async def on_shutdown(self) -> None:
        """Close what the parts have used; they have ended by now."""
        await self._closing.aclose()

    def _has_lag(self) -> bool:
        lag = self.read_past.lag
        return any(lag.get((p.topic, p.partition), 0) > 0 for p in self.pump.partitions)


def _observers(pages: HealthPages | None) -> tuple[Observe, Callable[[int], None]] | tuple[()]:
    return () if pages is None else (pages.metrics.batch, pages.metrics.decided)


def _sentence(error: Exception) -> str:
    if isinstance(error, KafkaError):
        return f"Kafka cannot be used: {error}"
    return str(error)
