"""slack-sdk's client as all of ours use it."""

import logging

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient


def web_client(
    session: aiohttp.ClientSession, api_url: str, token: str | None = None
) -> AsyncWebClient:
    """A client of Slack's Web API that keeps secrets out of the log, and does not retry.

    At debug level slack-sdk logs all that it sends and gets. Whoever calls it knows best when to
    try again, and writes it down.
    """
    quiet = logging.getLogger(__name__)
    quiet.setLevel(logging.WARNING)
    return AsyncWebClient(
        token=token, base_url=api_url, session=session, logger=quiet, retry_handlers=[]
    )
