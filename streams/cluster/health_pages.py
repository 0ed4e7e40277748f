"""The pages of a worker: `/health/live`, `/health/ready` and `/metrics`."""

from collections.abc import Callable

from mode import Service

from rules.world import Horizon
from schemas.time import Instant
from streams.cluster.pump import Pump
from streams.cluster.read_past import ReadPast
from streams.health import health_app
from streams.intake import HttpServer, start_server
from streams.metrics import Metrics
from streams.store import Store
from streams.writer import INFRASTRUCTURE_ERRORS, Clock, Writer


class HealthPages(Service):
    """Shows how a worker does. A worker that is told of no address shows nothing."""

    def __init__(
        self, host: str, port: int, listening: Callable[[int], None] = lambda port: None
    ) -> None:
        """`listening` is told the port, also when 0 asked for any."""
        super().__init__()
        self.metrics = Metrics()
        self._host, self._port = host, port
        self._listening = listening
        self._pump: Pump
        self._writer: Writer
        self._http: HttpServer | None = None

    def watch(
        self,
        store: Store,
        horizon: Callable[[Instant], Horizon],
        read_past: ReadPast,
        pump: Pump,
        writer: Writer,
        clock: Clock,
    ) -> None:
        """Say what is to be shown, before it is started."""
        self._pump, self._writer = pump, writer

        def partitions() -> dict[tuple[str, int], tuple[int, Instant]]:
            mine = [(p.topic, p.partition) for p in pump.partitions]
            return {p: (read_past.lag.get(p, 0), read_past.until_of(p)) for p in mine}

        self.metrics.watch_partitions(partitions, clock)
        self.metrics.watch_store(store, horizon, clock, INFRASTRUCTURE_ERRORS)

    async def on_start(self) -> None:
        """Listen. An address that cannot be had ends the worker with a sentence."""
        app = health_app(self.metrics, self._why_not)
        try:
            self._http = await start_server(app, self._host, self._port, grace=1.0)
        except OSError as error:
            raise SystemExit(f"detente worker: {error.strerror}") from None
        self._listening(self._http.port)

    async def on_stop(self) -> None:
        """Listen no more."""
        if self._http is not None:
            await self._http.stop()

    def _why_not(self) -> str | None:
        if self._writer.trouble is not None:
            return "the database cannot be used"
        if not self._pump.partitions:
            return "it has no partitions to read: they are being given out, or others have them all"
        return None
