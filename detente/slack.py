"""Slack, put together from the environment: what goes out, and what comes in.

| variable               | what for                                                  |
|------------------------|-----------------------------------------------------------|
| `SLACK_BOT_TOKEN`      | sends messages and answers clicks                         |
| `SLACK_APP_TOKEN`      | clicks and commands come over Socket Mode                 |
| `SLACK_SIGNING_SECRET` | clicks and commands come by HTTP, signed                  |
| `DETENTE_BASE_URL`     | where each case has a page                                |

The first three may also be written with `DETENTE_` before them, and that one then counts. Secrets
are read from nowhere else, and are never logged.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

import aiohttp
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from detente.documents import Knowledge
from detente.report_content import stored_reports
from notifiers.slack.notifier import BASE_URL
from schemas.time import Instant
from streams.slack import Decider, Inbound, Signatures, SocketMode, Web, routes
from streams.slack.deciding import Take
from streams.store import Store
from streams.writer import Writer

BOT_TOKEN = "SLACK_BOT_TOKEN"  # noqa: S105 - the name of a variable, not what it holds
APP_TOKEN = "SLACK_APP_TOKEN"  # noqa: S105 - the name of a variable, not what it holds
SIGNING_SECRET = "SLACK_SIGNING_SECRET"  # noqa: S105 - the name of a variable, not what it holds
_PREFIX = "DETENTE_"

_log = logging.getLogger(__name__)


def slack_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with Slack's variables under their short names."""
    found = dict(environment)
    for name in (BOT_TOKEN, APP_TOKEN, SIGNING_SECRET):
        if value := environment.get(_PREFIX + name):
            found[name] = value
    return found


@dataclass(frozen=True, slots=True)
class SlackAtWork:
    """What listens to Slack."""

    inbound: Inbound
    socket: SocketMode | None
    pages: list[web.RouteDef]
    """Pages that Slack calls; they ask for its signature."""


class Known(Protocol):
    """What there is to know: the store, with the policy and directory in force."""

    @property
    def store(self) -> Store:
        """Where cases are."""
        ...

    @property
    def knowledge(self) -> Knowledge:
        """Who is who, and what is promised."""
        ...


def listen_to_slack(
    environment: Mapping[str, str],
    session: aiohttp.ClientSession,
    known: Known,
    writer: Writer,
    take: Take,
    clock: Callable[[], Instant],
    random: Random,
    api_url: str = AsyncWebClient.BASE_URL,
) -> SlackAtWork | None:
    """What the environment asks for; None without a bot token, or when nothing shall come in.

    `take` decides records, on the writer's thread.
    """
    token, secret = environment.get(APP_TOKEN), environment.get(SIGNING_SECRET)
    bot = environment.get(BOT_TOKEN)
    if not (token or secret):
        return None
    if not bot:
        _log.warning("Nothing is taken from Slack: %s is not set, to answer with", BOT_TOKEN)
        return None
    base_url = environment.get(BASE_URL) or None
    store, knowledge = known.store, known.knowledge
    decider = Decider(store, take, knowledge.recipients, clock)
    talk = Web(session, bot, base_url=base_url, api_url=api_url)
    inbound = Inbound(
        store,
        writer,
        decider,
        knowledge.house,
        knowledge.policy,
        clock,
        talk,
        stored_reports(store),
    )
    socket = SocketMode(session, token, inbound, random, api_url=api_url) if token else None
    pages = routes(inbound, Signatures(secret, clock)) if secret else []
    return SlackAtWork(inbound, socket, pages)
