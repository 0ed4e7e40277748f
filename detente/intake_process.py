"""The intake of a cluster: the same HTTP interface as the embedded service's, in front of Kafka.

Any number of them run, behind a load balancer. Events go to the topic of their type and are
accepted once every replica has them. Commands are decided at once, through the same handler as
everywhere.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from detente.cluster import LOOK_EVERY, Parts, check_access, opened
from detente.listening import known_tokens, listen, url
from detente.loops import run_together
from detente.settings import Settings
from streams.cluster.gaps import note_open, note_sources
from streams.cluster.http_intake import KafkaTaker
from streams.cluster.settings import ClusterSettings
from streams.feeds import INTAKE
from streams.health import metrics_page
from streams.intake import (
    HttpServer,
    UnprotectedBindingError,
    check_binding,
    create_app,
)
from streams.metrics import Metrics
from streams.tokens import StoredToken
from streams.writer import Clock

#: Seconds between two tries to reach brokers that were away.
_TRY_AGAIN = 1.0
#: Seconds that looking around, and requests at hand, get to end.
_LOOPS_GRACE, _HTTP_GRACE = 1.0, 4.0

_log = logging.getLogger(__name__)


class IntakeProcess:
    """One intake."""

    def __init__(self, cluster: ClusterSettings, settings: Settings, clock: Clock) -> None:
        self._cluster = cluster
        self._host, self._port = settings.host, settings.port
        self._clock = clock
        self._stopping = asyncio.Event()
        self._tokens: tuple[StoredToken, ...] = ()
        self._http: HttpServer

    @property
    def address(self) -> str:
        """The URL that it listens at."""
        return url(self._host, self._http)

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until `stop` is called; `started` is called once it listens.

        Raises StoreError, OccupiedError, AddressError, RefusedError when brokers refuse us, and
        whatever stopped one of its parts.
        """
        await check_access(self._cluster.kafka)
        metrics = Metrics()
        async with AsyncExitStack() as stack:
            parts = await stack.enter_async_context(opened(self._cluster, self._clock, metrics))
            await parts.writer.call(self._read_tokens, parts)
            try:
                check_binding(self._host, self._tokens)
            except UnprotectedBindingError as error:
                # It is one of several parts that start together: the token may come later.
                _log.warning("Every event is refused for now: %s", error)
            taker = KafkaTaker(self._cluster.kafka, parts.writer, metrics)
            stack.push_async_callback(taker.stop)
            await taker.connect()
            await parts.looking.look()
            app = create_app(
                taker,
                host=self._host,
                tokens=lambda: self._tokens,
                routes=[metrics_page(metrics)],
                closed=True,
            )
            self._http = await listen(app, self._host, self._port, _HTTP_GRACE)
            stack.push_async_callback(self._http.stop)
            started()

            async def look() -> float:
                await parts.writer.call(self._read_tokens, parts)
                if sources := set(taker.sources):
                    await parts.writer.call(note_sources, parts.store, sources)
                    taker.sources -= sources
                if taker.trouble is None:
                    await parts.writer.call(note_open, parts.store, INTAKE, self._clock())
                await parts.looking.look()
                return LOOK_EVERY

            async def reach() -> float:
                if taker.trouble is not None:  # nobody may send while it says that it cannot take
                    await taker.connect()
                return _TRY_AGAIN

            steps = ((look, self._stopping), (reach, self._stopping))
            await run_together(steps, self.stop, self._stopping, within=_LOOPS_GRACE)

    def stop(self) -> None:
        """Ask it to end: what was sent is answered first."""
        self._stopping.set()

    def _read_tokens(self, parts: Parts) -> None:
        parts.presence.keep()
        with parts.store.reading() as tx:
            self._tokens = known_tokens(tx)
