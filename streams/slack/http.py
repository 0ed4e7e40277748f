"""Interactions and commands by HTTP, each signed by Slack.

A request is taken only if its signature over the raw body is right, it is at most five minutes old
and its signature was not seen before. Otherwise it gets 401, and 400 if nothing of ours can be read
in it; nothing else happens then, and nothing is written.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from slack_sdk.signature import Clock, SignatureVerifier

from schemas.time import MINUTE, SECOND, Instant
from streams.slack.actions import MalformedError
from streams.slack.inbound import Inbound

#: Where Slack's "Interactivity" and "Slash Commands" pages point to.
INTERACTIONS, COMMANDS = "/slack/interactions", "/slack/commands"
#: These pages ask for a signature, not for one of our tokens.
SIGNED_PAGES = frozenset({INTERACTIONS, COMMANDS})
#: Slack's own limit of five minutes, either way.
FRESH = 5 * MINUTE
#: Bytes. A message with all its blocks comes back with a click; Slack sends far less.
_LARGEST = 1 << 20


class _InjectedClock(Clock):
    def __init__(self, clock: Callable[[], Instant]) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock() / SECOND


class Signatures:
    """Says whether a request comes from Slack, now, and for the first time."""

    def __init__(self, secret: str, clock: Callable[[], Instant]) -> None:
        self._verifier = SignatureVerifier(secret, _InjectedClock(clock))
        self._clock = clock
        self._seen: dict[str, Instant] = {}
        """Signature to the moment from which its age alone refuses it."""

    def why_not(self, body: bytes, stamp: str, signature: str) -> str | None:
        """Why a request is refused, or None; one that is not refused counts as seen."""
        if not re.fullmatch("[0-9]{1,11}", stamp, re.ASCII):
            return "there is no time stamp of Slack"
        if not re.fullmatch("v0=[0-9a-f]{64}", signature, re.ASCII):
            return "there is no signature of Slack"
        try:
            good = self._verifier.is_valid(body, stamp, signature)
        except UnicodeDecodeError:
            return "the signature is not right"
        if not good:
            return "the signature is not right, or the request is too old"
        now = self._clock()
        self._seen = {known: until for known, until in self._seen.items() if until >= now}
        if signature in self._seen:
            return "this request was taken before"
        self._seen[signature] = Instant(int(stamp) * SECOND + FRESH + SECOND)
        return None


def routes(inbound: Inbound, signatures: Signatures) -> list[web.RouteDef]:
    """The pages that Slack calls."""

    async def take(request: web.Request, kind: str) -> web.Response:
        if (request.content_length or 0) > _LARGEST:
            return _refused(400, "the body is larger than anything that Slack sends")
        body = await request.read()
        headers = request.headers
        why = signatures.why_not(
            body,
            headers.get("X-Slack-Request-Timestamp", ""),
            headers.get("X-Slack-Signature", ""),
        )
        if why is not None:
            return _refused(401, why)
        try:
            answer = inbound.read(kind, _payload(kind, body))
        except MalformedError as error:
            return _refused(400, f"this is nothing that Slack sends: {error}")
        inbound.start(answer)
        return web.Response() if answer.body is None else web.json_response(answer.body)

    async def interactions(request: web.Request) -> web.Response:
        return await take(request, "interactive")

    async def commands(request: web.Request) -> web.Response:
        return await take(request, "slash_commands")

    return [web.post(INTERACTIONS, interactions), web.post(COMMANDS, commands)]


def _payload(kind: str, body: bytes) -> Any:
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    if kind == "slash_commands":
        return fields
    try:
        return msgspec.json.decode(fields.get("payload", ""))
    except msgspec.DecodeError:
        raise MalformedError("the form has no JSON in `payload`") from None


def _refused(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)
