"""What we ask of Slack about an interaction: to open a form, to answer, to change a message."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from notifiers.slack.web_client import web_client
from streams.slack.actions import Account, Json, Place

#: Seconds for one request to Slack.
TIMEOUT = 10.0

_log = logging.getLogger(__name__)


class Web:
    """Our requests to Slack about interactions. A request that fails is logged, never raised.

    Of what goes wrong only the kind is logged: addresses and answers may hold secrets.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str,
        *,
        base_url: str | None = None,
        api_url: str = AsyncWebClient.BASE_URL,
    ) -> None:
        self._client = web_client(session, api_url, token)
        self._session = session
        self._home: str | None = None
        self.base_url = base_url
        """Where each case has a page; None for nowhere."""

    async def home(self) -> str | None:
        """The workspace that the bot token is of; None while Slack does not say."""
        if self._home is None:
            answer = await self._call(self._client.auth_test())
            self._home = None if answer is None else str(answer["team_id"])
        return self._home

    async def open_view(self, trigger_id: str, view: Json) -> bool:
        """Open a modal. False when it is too late for that."""
        opened = self._client.views_open(trigger_id=trigger_id, view=view)
        return await self._call(opened) is not None

    async def answer(
        self, place: Place, account: Account, said: Json, *, replaces: bool = False
    ) -> None:
        """Say something that only the one who acted sees."""
        how = {"response_type": "ephemeral", "replace_original": replaces}
        if place.url is not None and await self._respond(place.url, {**how, **said}):
            return
        if place.channel is not None:  # the address is no longer good
            await self._call(
                self._client.chat_postEphemeral(channel=place.channel, user=account.user, **said)
            )

    async def replace(self, place: Place, new: Json) -> None:
        """Show something else in place of the message that was clicked."""
        if place.url is not None and await self._respond(
            place.url, {"replace_original": True, **new}
        ):
            return
        if place.channel is not None and place.ts is not None and not place.is_private:
            await self._call(self._client.chat_update(channel=place.channel, ts=place.ts, **new))

    async def _respond(self, url: str, body: Json) -> bool:
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._session.post(url, json=body, allow_redirects=False) as answer,
            ):
                if answer.status < 300:
                    return True
                _log.warning("Slack did not take an answer: HTTP %d", answer.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.warning("Slack could not be answered: %s", type(error).__name__)
        return False

    async def _call(self, request: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await request
        except SlackApiError as error:
            said = getattr(error.response, "data", None)
            code = said.get("error") if isinstance(said, dict) else None
            _log.warning("Slack refused a request: %s", code or "no reason given")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.warning("Slack could not be reached: %s", type(error).__name__)
        return None
