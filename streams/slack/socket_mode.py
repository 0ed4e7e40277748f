"""Interactions and commands over Socket Mode: Slack sends through a connection that we open.

Slack ends each connection every few hours, and the network does so at any time; then another is
opened. Every envelope is acknowledged before anything is decided. One that comes again, since its
acknowledgement was lost, changes nothing: events are named after what was clicked.

slack-sdk's own client is not used here. After a connection could not be made it tries the same
address again, whose ticket is good only once, and it logs addresses together with their tickets.
"""

import asyncio
import logging
from random import Random
from typing import Any

import aiohttp
import msgspec
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from notifiers.slack.web_client import web_client
from streams.slack.actions import MalformedError
from streams.slack.inbound import Answer, Inbound

#: Seconds. Slack pings more often than it may be silent.
_HEARTBEAT, _TIMEOUT = 20.0, 15.0
#: Seconds to wait after failures: doubled each time, and between half and the whole of it.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0

_log = logging.getLogger(__name__)


class _NoConnectionError(Exception):
    """A connection could not be had; the message says why, without any address."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class SocketMode:
    """Keeps a connection open, and hands on what comes through it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str,
        inbound: Inbound,
        random: Random,
        *,
        api_url: str = AsyncWebClient.BASE_URL,
    ) -> None:
        self._client = web_client(session, api_url)
        self._session, self._token, self._inbound, self._random = session, token, inbound, random

    async def run(self) -> None:
        """Be connected until cancelled."""
        failures = 0
        while True:
            try:
                was_connected = await self._connection()
            except _NoConnectionError as error:
                wait = error.wait or min(_LONGEST_WAIT, _FIRST_WAIT * 2**failures)
                failures = min(failures + 1, 10)
                _log.warning("No Socket Mode connection: %s; tried again soon", error)
                await asyncio.sleep(wait * self._random.uniform(0.5, 1.0))
            else:
                failures = 0 if was_connected else min(failures + 1, 10)
                if not was_connected:
                    await asyncio.sleep(_FIRST_WAIT * self._random.uniform(0.5, 1.0))

    async def _connection(self) -> bool:
        """Open one and serve it to its end. Returns whether Slack said hello."""
        url = await self._open()
        try:
            async with self._session.ws_connect(
                url, heartbeat=_HEARTBEAT, proxy=self._client.proxy
            ) as socket:
                return await self._serve(socket)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _NoConnectionError(type(error).__name__) from None

    async def _open(self) -> str:
        try:
            async with asyncio.timeout(_TIMEOUT):
                answer = await self._client.apps_connections_open(app_token=self._token)
        except SlackApiError as error:
            said = getattr(error.response, "data", None)
            code = str(said.get("error")) if isinstance(said, dict) else "no reason given"
            after = str(getattr(error.response, "headers", {}).get("Retry-After", ""))
            wait = float(after) * 2 if after.isdecimal() else None  # at least what Slack asks
            raise _NoConnectionError(f"Slack answered {code}", wait) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _NoConnectionError(type(error).__name__) from None
        return str(answer["url"])

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        greeted = False
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            try:
                said = msgspec.json.decode(frame.data)
                kind = said["type"]
            except (msgspec.DecodeError, TypeError, KeyError):
                _log.warning("Slack sent what is no envelope")
                continue
            if kind == "hello":
                greeted = True
            elif kind == "disconnect":
                if said.get("reason") == "link_disabled":
                    raise _NoConnectionError("Socket Mode is turned off for the app", _LONGEST_WAIT)
                return greeted
            elif isinstance(said.get("envelope_id"), str):
                await self._take(socket, str(kind), said)
        return greeted

    async def _take(
        self, socket: aiohttp.ClientWebSocketResponse, kind: str, envelope: dict[str, Any]
    ) -> None:
        try:
            answer = self._inbound.read(kind, envelope.get("payload"))
        except MalformedError as error:
            _log.warning("Slack sent %s that cannot be read: %s", kind, error)
            answer = Answer()
        reply: dict[str, Any] = {"envelope_id": envelope["envelope_id"]}
        if answer.body is not None and envelope.get("accepts_response_payload"):
            reply["payload"] = answer.body
        try:
            await socket.send_json(reply)
        finally:
            # An acknowledgement that is lost brings the envelope again, and that does no harm.
            self._inbound.start(answer)
