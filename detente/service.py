"""The embedded service: intake, deadlines, relay and alarms around one database, in one process.

Whatever writes runs on the writer's thread. Around it, on the event loop:

- HTTP takes events, and records from commands on this machine (`detente.wire`);
- the clock decides deadlines as they fall due, and catches up after a gap;
- the relay tells people, woken by each commit and by its own next due time;
- what people do in Slack comes over Socket Mode or signed HTTP (`detente.slack`);
- the watchman notes that the service lives, looks for alarms, new tokens and daily summaries.
"""

import asyncio
import hmac
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import SystemRandom
from typing import TextIO

import aiohttp
import msgspec
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from detente.alarms import Alarms
from detente.channels import open_channels
from detente.closures import ClosureLists
from detente.disruptions import Disruptions
from detente.embedded import Embedded
from detente.listening import known_tokens, listen, url
from detente.loops import run_together
from detente.occupancy import Address, publish, withdraw
from detente.reachability import keep_proof
from detente.report_content import stored_reports
from detente.route_alarms import RouteAlarms
from detente.settings import Settings
from detente.slack import SlackAtWork, listen_to_slack, slack_environment
from detente.summaries import Summaries
from detente.wire import PATH, decode_records, encode_outcomes
from notifiers.notifier import Notifiers
from schemas.time import SECOND, Instant
from streams.health import metrics_page
from streams.horizon import DOWN_SINCE, LAST_ALIVE, UP_SINCE
from streams.intake import HttpServer, check_binding, create_app
from streams.issuing import Reporting
from streams.ledger import reporting_zone
from streams.metrics import Metrics
from streams.observed import Observed
from streams.outcome import Outcome
from streams.records import Record
from streams.relay import Relay
from streams.scheduler import Scheduler
from streams.slack import SIGNED_PAGES
from streams.store import Transaction
from streams.tokens import StoredToken, generate_token, hash_token
from streams.writer import INFRASTRUCTURE_ERRORS, Clock, NotTakenError, StoppedError, Writer

#: Seconds between two looks of the watchman: how soon a revoked token stops being good.
WATCH_EVERY = 2.0
#: Seconds that the clock waits at most: somebody else may have written an earlier deadline.
TICK_EVERY = 1.0
#: Seconds that each part gets to end, within the ten of the whole.
_HTTP_GRACE, _LOOPS_GRACE, _SLACK_GRACE, RELAY_GRACE, _WRITER_GRACE = 3.0, 2.0, 1.0, 1.0, 3.0
_RELAY_EVERY = 60.0
#: Seconds that a run of the relay waits for the slowest before it looks for what is new.
RELAY_PATIENCE = 0.05
#: Seconds after which the ledger of commitments is brought up to date again.
POST_EVERY = 5.0

_log = logging.getLogger(__name__)


class Service:
    """One running service. It owns the database of `embedded` while it runs."""

    def __init__(
        self,
        embedded: Embedded,
        settings: Settings,
        clock: Clock,
        terminal: TextIO,
        *,
        environment: Mapping[str, str] | None = None,
        slack_url: str = AsyncWebClient.BASE_URL,
    ) -> None:
        """`terminal` is where messages to people here appear. Needs a running event loop.

        `environment` holds the secrets, `os.environ` unless another is given; `slack_url` is where
        Slack's API is.
        """
        self._embedded = embedded
        self._url = settings.db
        self._host = settings.host
        self._port = settings.port
        self._clock = clock
        self._terminal = terminal
        self._metrics = Metrics()
        self._metrics.watch_store(
            embedded.store, embedded.watch.horizon, clock, INFRASTRUCTURE_ERRORS
        )
        self._handler = Observed(embedded.handler, self._metrics, self._committed)
        self._writer = Writer(self._handler, clock)
        self._alarms = Alarms(embedded.store, embedded.watch, embedded.knowledge.policy)
        self._routes = RouteAlarms(embedded.store, embedded.knowledge.house)
        self._reporting = Reporting(embedded.store, embedded.knowledge)
        self._summaries = Summaries(embedded.store, embedded.knowledge.house)
        self._closures = ClosureLists(embedded.store, embedded.knowledge)
        self._disruptions = Disruptions(embedded.store)
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._newest_effect: int | None = None
        self._loop = asyncio.get_running_loop()
        self._tokens: tuple[StoredToken, ...] = ()
        self._local = StoredToken("this machine", hash_token(token := generate_token()), clock())
        self._local_token = token
        self._environment = slack_environment(os.environ if environment is None else environment)
        self._slack_url = slack_url
        self._slack: SlackAtWork | None = None
        self._http: HttpServer
        self._relay: Relay

    @property
    def address(self) -> str:
        """The URL that it listens at."""
        return url(self._host, self._http)

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until `stop` is called; `started` is called once it listens.

        Raises AddressError, UnprotectedBindingError, and whatever stopped one of its parts.
        """
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            self._relay = Relay(
                self._embedded.store.reading,
                self._write,
                self._embedded.knowledge.house,
                self._notifiers(session),
                SystemRandom(),
                keep_proof=keep_proof,
                patience=RELAY_PATIENCE,
                reports=stored_reports(self._embedded.store),
            )
            self._read_tokens()
            check_binding(self._host, self._tokens)
            await self._writer.start()
            stack.push_async_callback(self._writer.stop, _WRITER_GRACE)
            stack.push_async_callback(self._relay.close, RELAY_GRACE)
            await self._writer.call(self._note_start)
            await self._watch()
            self._slack = self._listen_to_slack(session)
            if self._slack is not None:
                stack.push_async_callback(self._slack.inbound.close, _SLACK_GRACE)
            await self._listen()
            stack.push_async_callback(self._http.stop)
            policy = self._embedded.knowledge.policy
            reports = Scheduler(self._issue, policy.document.reporting, reporting_zone(policy))
            reports.start()
            stack.callback(reports.stop)
            publish(self._url, Address(self.address, self._local_token, os.getpid()))
            stack.callback(withdraw, self._url)
            started()
            await self._supervise()

    def stop(self) -> None:
        """Ask it to end: what was accepted is finished, the rest is left for the next start."""
        self._stopping.set()
        self._news.set()

    # -- its parts -----------------------------------------------------------------------------

    async def _supervise(self) -> None:
        steps = (
            (self._tick, self._stopping),
            (self._tell, self._news),
            (self._watch_later, self._stopping),
            (self._post, self._stopping),
        )
        socket = None if self._slack is None else self._slack.socket
        try:
            await run_together(
                steps,
                self.stop,
                self._stopping,
                within=_LOOPS_GRACE,
                beside=[] if socket is None else [socket.run()],
            )
        finally:
            await self._last_words()

    async def _tick(self) -> float:
        handler, store = self._embedded.handler, self._embedded.store

        def look() -> tuple[int, list[Instant]]:
            now = self._clock()
            decided = handler.tick(now)
            with store.reading() as tx:
                due = tx.next_due()
            ahead = [*due.feeds.values(), *([] if due.people is None else [due.people])]
            return decided, [at for at in ahead if at >= now]

        decided, ahead = await self._writer.call(look)
        self._metrics.decided(decided)
        if decided:
            self._news.set()
            return 0.0
        soon = min(ahead, default=None)
        # A deadline is decided once its instant has passed, so a microsecond later.
        wait = TICK_EVERY if soon is None else (soon + 2 - self._clock()) / SECOND
        return min(max(wait, 0.001), TICK_EVERY)

    async def _tell(self) -> float:
        self._news.clear()
        report = await self._relay.run_once(self._clock())
        self._metrics.told(report)
        if report.next_wake is None:
            return _RELAY_EVERY
        return min(max((report.next_wake - self._clock()) / SECOND, 0.05), _RELAY_EVERY)

    async def _watch_later(self) -> float:
        await self._watch()
        return WATCH_EVERY

    async def _watch(self) -> None:
        if await self._writer.call(self._look_around):
            self._news.set()

    def _look_around(self) -> int:
        now = self._clock()
        self._note_alive(now)
        self._read_tokens()
        looks = (self._alarms, self._routes, self._summaries, self._closures, self._disruptions)
        return sum(each.look(now) for each in looks)

    def _note_start(self) -> None:
        watch = self._embedded.watch
        with self._embedded.store.transaction() as tx:
            tx.put_setting(UP_SINCE, str(watch.up_since))
            tx.put_setting(DOWN_SINCE, str(watch.down_since or ""))

    def _note_alive(self, now: Instant) -> None:
        with self._embedded.store.transaction() as tx:
            tx.put_setting(LAST_ALIVE, str(now))

    async def _last_words(self) -> None:
        try:
            await self._writer.call(self._note_alive, self._clock())
        except (NotTakenError, *INFRASTRUCTURE_ERRORS) as error:
            _log.warning("The end of the service could not be noted: %s", error)

    # -- reports -------------------------------------------------------------------------------

    async def _post(self) -> float:
        """Keep the ledger in step. Events that wait are taken between two pieces of it."""
        more = await self._writer.call(self._reporting.post, self._clock())
        return 0.01 if more else POST_EVERY

    async def _issue(self) -> None:
        """Issue the reports that are due. Beside the writer: making one takes its time."""
        try:
            queued = await asyncio.to_thread(self._reporting.issue_due, self._clock())
        except INFRASTRUCTURE_ERRORS as error:
            _log.error("Reports cannot be issued now, and are looked at again: %s", error)
            return
        if queued:
            self._news.set()

    # -- around the relay ----------------------------------------------------------------------

    def _notifiers(self, session: aiohttp.ClientSession) -> Notifiers:
        return open_channels(self._environment, session, self._terminal, slack_url=self._slack_url)

    def _listen_to_slack(self, session: aiohttp.ClientSession) -> SlackAtWork | None:
        return listen_to_slack(
            self._environment,
            session,
            self._embedded,
            self._writer,
            self._take,
            self._clock,
            SystemRandom(),
            self._slack_url,
        )

    async def _write(self, work: Callable[[Transaction], None]) -> None:
        def run() -> None:
            with self._embedded.store.transaction() as tx:
                work(tx)

        await self._writer.call(run)

    def _committed(self) -> None:
        """Wake the relay, if there is something to tell: most of what comes in tells nobody."""
        with self._embedded.store.reading() as tx:
            newest = tx.newest_effect()
        if newest != self._newest_effect:
            self._newest_effect = newest
            self._loop.call_soon_threadsafe(self._news.set)

    # -- HTTP ----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        app = create_app(
            self._writer,
            host=self._host,
            tokens=self._accepted_tokens,
            routes=[
                web.post(PATH, self._take_local),
                metrics_page(self._metrics),
                *(self._slack.pages if self._slack else ()),
            ],
            signed_pages=SIGNED_PAGES,
        )
        self._http = await listen(app, self._host, self._port, _HTTP_GRACE)

    def _read_tokens(self) -> None:
        with self._embedded.store.reading() as tx:
            self._tokens = known_tokens(tx)

    def _accepted_tokens(self) -> Sequence[StoredToken]:
        # Commands on this machine come in beside the tokens that were made; alone theirs would
        # make everybody on loopback need one.
        return (*self._tokens, self._local) if self._tokens else ()

    async def _take_local(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        good = hmac.compare_digest(hash_token(token), self._local.digest)
        if scheme != "Bearer" or not good:
            return _refusal(401, "this page is for the detente commands of this machine")
        try:
            records = decode_records(await request.read())
        except msgspec.DecodeError:
            return _refusal(400, "the command and the service are of different versions")
        try:
            outcomes = await self._writer.call(self._take, records)
        except StoppedError:
            return _refusal(503, "it is stopping")
        except INFRASTRUCTURE_ERRORS:
            return _refusal(503, "the database cannot be written to")
        return web.Response(body=encode_outcomes(outcomes))

    def _take(self, records: Sequence[Record]) -> list[Outcome]:
        return self._handler.take(records, self._clock())


def _refusal(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)
