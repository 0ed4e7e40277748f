"""The relay of a cluster: a process that tells people, announces decisions and listens to Slack.

Any number of them run. What is about a case is told by one at a time (`streams.relay.Shift`); what
is done once for all, alarms and daily summaries, is done by the one that has the duty.

- the relay tells people what the outbox holds;
- the announcer sends decisions and rejected input to their topics;
- what people do in Slack comes over Socket Mode or signed HTTP, and is decided at once;
- the watch looks for alarms, daily summaries and what else is due by itself, keeps the ledger of
  commitments in step, and sees whether policy or directory have changed: then everything begins
  anew with the new ones;
- reports are issued when they are due; of two relays that do it one's issue is kept.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from random import SystemRandom
from typing import TextIO

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from detente.alarms import Alarms
from detente.channels import open_channels
from detente.closures import ClosureLists
from detente.cluster import LOOK_EVERY, Parts, check_access, opened, process_name
from detente.disruptions import Disruptions
from detente.listening import listen
from detente.loops import run_together
from detente.reachability import keep_proof
from detente.report_content import stored_reports
from detente.route_alarms import RouteAlarms
from detente.service import POST_EVERY, RELAY_GRACE, RELAY_PATIENCE
from detente.settings import Settings
from detente.slack import SlackAtWork, listen_to_slack, slack_environment
from detente.summaries import Summaries
from schemas.time import SECOND, Instant
from streams.cluster.announcer import BATCH, Announcer
from streams.cluster.read_past import ClusterFeedWatch
from streams.cluster.settings import ClusterSettings
from streams.feeds import learn
from streams.health import health_app
from streams.horizon import LAST_ALIVE
from streams.intake import HttpServer
from streams.issuing import Reporting
from streams.ledger import reporting_zone
from streams.metrics import Metrics
from streams.relay import Relay, Shift
from streams.scheduler import Scheduler
from streams.store import Store
from streams.writer import INFRASTRUCTURE_ERRORS, Clock, StoppedError

#: Where it shows its health unless told otherwise.
DEFAULT_PORT = 8381
WATCH = "watch"
#: Seconds: nothing tells a relay what workers have committed, so it looks.
_TELL_EVERY, _ANNOUNCE_EVERY = 0.5, 0.5
#: Microseconds for which the duty is one relay's, unless it takes it again.
_DUTY = 15 * SECOND
#: Seconds that each part gets to end, within the ten of the whole.
_LOOPS_GRACE, _SLACK_GRACE, _HTTP_GRACE, _DUTY_GRACE = 2.0, 1.0, 1.0, 1.0

_log = logging.getLogger(__name__)


class RelayProcess:
    """One relay."""

    def __init__(
        self,
        cluster: ClusterSettings,
        settings: Settings,
        clock: Clock,
        terminal: TextIO,
        *,
        environment: Mapping[str, str] | None = None,
        slack_url: str = AsyncWebClient.BASE_URL,
    ) -> None:
        """`terminal` is where messages to people here appear; `environment` holds the secrets."""
        self._cluster = cluster
        self._host, self._port = settings.host, settings.port
        self._clock = clock
        self._terminal = terminal
        self._environment = slack_environment(os.environ if environment is None else environment)
        self._slack_url = slack_url
        self.name = process_name("relay")
        self._stopping = asyncio.Event()
        self._ending = asyncio.Event()
        self._news = asyncio.Event()
        self._http: HttpServer

    @property
    def port(self) -> int:
        """Where it shows its health."""
        return self._http.port

    async def run(self, started: Callable[[], None]) -> None:
        """Work until `stop` is called; `started` is called once everything has begun.

        Raises StoreError, OccupiedError, AddressError, RefusedError when brokers refuse us, and
        whatever stopped one of its parts.
        """
        await check_access(self._cluster.kafka)
        first = True
        while not self._stopping.is_set():
            self._ending.clear()
            async with AsyncExitStack() as stack:
                await self._work(stack, started if first else lambda: None)
            first = False

    def stop(self) -> None:
        """Ask it to end: what is being sent is finished, the rest is left to the others."""
        self._stopping.set()
        self._end()

    def _end(self) -> None:
        self._ending.set()
        self._news.set()

    async def _work(self, stack: AsyncExitStack, started: Callable[[], None]) -> None:
        """Everything, until it shall end or policy or directory change."""
        metrics = Metrics()
        loop = asyncio.get_running_loop()

        def committed() -> None:
            loop.call_soon_threadsafe(self._news.set)

        parts = await stack.enter_async_context(
            opened(self._cluster, self._clock, metrics, committed)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        relay = self._relay(parts, session)
        stack.push_async_callback(relay.close, RELAY_GRACE)
        announcer = Announcer(
            self._cluster.kafka, parts.store, parts.writer, self.name, self._clock
        )
        stack.push_async_callback(_leave, announcer.stop)
        slack = self._listen_to_slack(parts, session)
        if slack is not None:
            stack.push_async_callback(slack.inbound.close, _SLACK_GRACE)
        await self._listen(metrics, parts, slack)
        stack.push_async_callback(self._http.stop)
        duties = _Duties(parts, self.name, self._clock)
        policy = parts.knowledge.policy
        reports = Scheduler(
            partial(self._issue, duties), policy.document.reporting, reporting_zone(policy)
        )
        reports.start()
        stack.callback(reports.stop)

        async def tell() -> float:
            self._news.clear()
            metrics.told(await relay.run_once(self._clock()))
            return _TELL_EVERY

        async def announce() -> float:
            return 0.0 if await announcer.run_once() == BATCH else _ANNOUNCE_EVERY

        async def watch() -> float:
            await parts.looking.look()
            if await parts.writer.call(duties.look):
                _log.info("Policy or directory have changed: beginning anew with them")
                self._end()
            return LOOK_EVERY

        async def post() -> float:
            return 0.01 if await parts.writer.call(duties.post) else POST_EVERY

        # First, so that whoever decides here knows how far the workers are.
        await parts.looking.look()
        started()
        others = [(step, self._ending) for step in (announce, watch, post)]
        socket = None if slack is None else slack.socket
        await run_together(
            [(tell, self._news), *others],
            self._end,
            self._ending,
            within=_LOOPS_GRACE,
            beside=[] if socket is None else [socket.run()],
        )
        if self._stopping.is_set():
            await _leave(partial(parts.writer.call, duties.leave))

    async def _issue(self, duties: "_Duties") -> None:
        """Issue the reports that are due. Beside the writer: making one takes its time."""
        try:
            queued = await asyncio.to_thread(duties.issue)
        except INFRASTRUCTURE_ERRORS as error:
            _log.error("Reports cannot be issued now, and are looked at again: %s", error)
            return
        if queued:
            self._news.set()

    # -- its parts -----------------------------------------------------------------------------

    def _relay(self, parts: Parts, session: aiohttp.ClientSession) -> Relay:
        return Relay(
            parts.store.reading,
            parts.write,
            parts.knowledge.house,
            open_channels(self._environment, session, self._terminal, slack_url=self._slack_url),
            SystemRandom(),
            keep_proof=keep_proof,
            reports=stored_reports(parts.store),
            patience=RELAY_PATIENCE,
            shift=Shift(self.name, self._clock),
        )

    def _listen_to_slack(self, parts: Parts, session: aiohttp.ClientSession) -> SlackAtWork | None:
        return listen_to_slack(
            self._environment,
            session,
            parts,
            parts.writer,
            parts.take,
            self._clock,
            SystemRandom(),
            self._slack_url,
        )

    async def _listen(self, metrics: Metrics, parts: Parts, slack: SlackAtWork | None) -> None:
        app = health_app(metrics, lambda: _trouble(parts))
        if slack is not None:
            app.add_routes(slack.pages)
        self._http = await listen(app, self._host, self._port, _HTTP_GRACE)
        self._port = self._http.port  # the same when everything begins anew


class _Duties:
    """What one relay does for all of them. Runs on the writing thread."""

    def __init__(self, parts: Parts, name: str, clock: Clock) -> None:
        self._parts = parts
        self._store: Store = parts.store
        self._name = name
        self._clock = clock
        policy = parts.knowledge.policy
        self._watch = ClusterFeedWatch(policy.document, read_past=parts.read_past)
        self._ours = False
        self._reporting = Reporting(parts.store, parts.knowledge, parts.version)
        self._looks = (
            Alarms(parts.store, self._watch, policy),
            RouteAlarms(parts.store, parts.knowledge.house),
            Summaries(parts.store, parts.knowledge.house),
            ClosureLists(parts.store, parts.knowledge),
            Disruptions(parts.store),
        )

    def look(self) -> bool:
        """Do what is due, if it is ours to do. True when policy or directory have changed."""
        self._parts.presence.keep()
        now = self._clock()
        with self._store.transaction() as tx:
            if self._parts.has_new_documents(tx):
                return True
            self._ours = tx.take_duty(WATCH, self._name, now, Instant(now + _DUTY))
            if not self._ours:
                return False
            tx.put_setting(LAST_ALIVE, str(now))
            # Until the brokers were seen for the first time nobody is expected to send anything.
            self._watch.up_since = now
            learn(self._watch, tx)
        for each in self._looks:
            each.look(now)
        return False

    def post(self) -> bool:
        """Keep the ledger of commitments in step, if it is ours to do. True when there is more."""
        return self._ours and self._reporting.post(self._clock())

    def issue(self) -> int:
        """Issue the reports that are due. Returns how many people are told. On any thread."""
        return self._reporting.issue_due(self._clock())

    def leave(self) -> None:
        """Leave the duty to the others at once."""
        with self._store.transaction() as tx:
            tx.leave_duty(WATCH, self._name)


async def _leave(leave: Callable[[], Awaitable[None]]) -> None:
    """Leave a duty to the others, if that can be done."""
    try:
        async with asyncio.timeout(_DUTY_GRACE):
            await leave()
    except (StoppedError, *INFRASTRUCTURE_ERRORS) as error:
        _log.info("A duty could not be left, and ends by itself: %s", error)


def _trouble(parts: Parts) -> str | None:
    if not parts.writer.is_open:
        return "it is stopping"
    return None if parts.writer.trouble is None else "the database cannot be used"
