"""The channels over which people are told here, one for each kind of route that is set up."""

from collections.abc import Mapping
from typing import TextIO

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from detente.settings import SettingsError
from notifiers import email, slack
from notifiers.notifier import Notifier, Notifiers
from notifiers.terminal import TerminalNotifier
from notifiers.webhook import WebhookNotifier


def open_channels(
    environment: Mapping[str, str],
    session: aiohttp.ClientSession,
    terminal: TextIO,
    *,
    slack_url: str = AsyncWebClient.BASE_URL,
) -> Notifiers:
    """A notifier for each kind of route; e-mail only where DETENTE_SMTP_HOST names a server.

    `environment` holds the secrets, `terminal` is where messages to people here appear. Raises
    SettingsError.
    """
    found: dict[str, Notifier] = {
        "terminal": TerminalNotifier(terminal),
        "webhook": WebhookNotifier(session, environment),
        "slack": slack.from_environment(environment, session, api_url=slack_url),
    }
    try:
        mail = email.from_environment(environment)
    except email.EmailSettingsError as error:
        raise SettingsError(str(error)) from None
    if mail is not None:
        found["email"] = mail
    return found
