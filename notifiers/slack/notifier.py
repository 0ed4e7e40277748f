"""Sends over Slack's Web API: one message for a case and channel, changed as the case changes.

- The first that a place hears of a case is its message. What follows changes that message and adds
  a reply to its thread; what somebody must see again (a reminder, a higher tier, a retraction) is
  shown in the channel, too.
- Each post carries its idempotency key as metadata. When an earlier attempt may have got through,
  the key is looked for before anything is posted again.
- Slack takes one message a second in a channel: `Sent.rest` asks the relay to keep that pace.
- A report that is longer than one message goes on in the thread of its first.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from notifiers.message import Entry, EntryKind, Message
from notifiers.notifier import Failed, Outcome, Retry, Sent
from notifiers.slack.blocks import Rendered, bundle, case_message, reply, report_messages
from notifiers.slack.web_client import web_client
from schemas.directory import Route, SlackRoute
from schemas.time import DAY, MINUTE, SECOND, Instant

#: Seconds for one request.
TIMEOUT = 10.0
#: Microseconds between two posts to one channel ("one message per second per channel").
PACE = SECOND
#: Waiting for one's turn; whoever is asked to wait longer is better told over another route.
LONGEST_TURN = MINUTE
#: `event_type` of the metadata that posts carry.
EVENT_TYPE = "detente_told"
#: How far back a post is looked for, and in how many messages at most.
LOOK_BACK, PAGE, PAGES = 2 * DAY, 200, 5
#: The variable with the address of the web pages, where each case has one.
BASE_URL = "DETENTE_BASE_URL"

#: Errors after which a later attempt may succeed; every other error is final.
_PASSING = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "message_limit_exceeded",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
        "accesslimited",
    }
)
#: The message is gone, or too old to be changed: the case gets a new one.
_GONE = frozenset(
    {"message_not_found", "edit_window_closed", "cant_update_message", "thread_not_found"}
)
_READS = frozenset({"conversations.history", "conversations.replies"})
_HINTS = {
    "channel_not_found": "no such channel, or a private one without the app",
    "not_in_channel": "invite the app to the channel",
    "is_archived": "the channel is archived",
    "account_inactive": "the app was removed from the workspace",
    "invalid_auth": "the token is not valid",
    "token_revoked": "the token was revoked",
    "token_expired": "the token has expired",
    "missing_scope": "the app lacks a scope; compare it with the manifest",
    "user_not_found": "no such user in the workspace",
    "user_disabled": "the user's account is deactivated",
}


class _AttemptError(Exception):
    """An attempt ended with this outcome."""

    def __init__(self, outcome: Retry | Failed, error: str = "") -> None:
        super().__init__(error)
        self.outcome, self.error = outcome, error


@dataclass(frozen=True, slots=True)
class Reference:
    """A message as deliveries record it: `C1/17.2`, with `/16.1` in a thread, `bundle:C1/15.0`."""

    channel: str
    ts: str
    thread_ts: str | None = None
    is_bundle: bool = False

    def __str__(self) -> str:
        thread = f"/{self.thread_ts}" if self.thread_ts else ""
        return f"{'bundle:' if self.is_bundle else ''}{self.channel}/{self.ts}{thread}"

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """The reference that `str` wrote. Raises ValueError for anything else."""
        channel, ts, *thread = text.removeprefix("bundle:").split("/")
        return cls(channel, ts, thread[0] if thread else None, text.startswith("bundle:"))


class SlackNotifier:
    """Posts with the bot token that a route names (`token_env`), over the caller's session.

    A token is looked up in `environment` for each message and kept nowhere. `base_url` is where
    each case has a page, `cases/ID`; None for nowhere. `api_url` is Slack's.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        environment: Mapping[str, str],
        *,
        base_url: str | None = None,
        api_url: str = AsyncWebClient.BASE_URL,
    ) -> None:
        self._client = web_client(session, api_url)
        self._environment = environment
        self._base_url = base_url
        self._direct: dict[tuple[str, str], str] = {}
        """(token_env, user) to the channel for direct messages."""
        self._arrived: dict[str, tuple[Instant, dict[str, str]]] = {}
        """Channel to when it was looked at, and the keys found there with their time stamps."""
        self._changed: dict[str, set[Reference]] = {}
        """The key of a bundle that is under way to the messages that it has changed."""
        self._posted: dict[str, list[str]] = {}
        """The key of a report that is under way to the time stamps of its messages."""

    async def send(self, message: Message, route: Route) -> Outcome:
        """Post or change what the message asks for, once."""
        if not isinstance(route, SlackRoute):
            return Failed(f"a {route.kind} route is not Slack")
        token = self._environment.get(route.token_env)
        if not token:
            return Failed(f"the environment variable {route.token_env} holds no token")
        attempt = _Attempt(self, message, token)
        try:
            channel = route.channel or await self._open(attempt, route)
            return await attempt.deliver(channel, self._base_url)
        except _AttemptError as error:
            return error.outcome

    async def _open(self, attempt: "_Attempt", route: SlackRoute) -> str:
        assert route.user is not None, "a route without a channel names a user"
        key = route.token_env, route.user
        if key not in self._direct:
            opened = await attempt.call("conversations.open", {"users": route.user})
            self._direct[key] = str(opened["channel"]["id"])
        return self._direct[key]

    async def call(self, method: str, arguments: Mapping[str, Any], token: str) -> Any:
        """One request. Raises `_AttemptError` for everything that is not an `ok`."""
        try:
            async with asyncio.timeout(TIMEOUT):
                said = {**arguments, "token": token}
                if method in _READS:  # which take no JSON
                    answer = await self._client.api_call(method, http_verb="GET", params=said)
                else:
                    answer = await self._client.api_call(method, json=said)
        except SlackApiError as error:
            raise _judged(error) from None
        except TimeoutError:
            raise _AttemptError(Retry("no answer from Slack in time")) from None
        except (aiohttp.ClientError, OSError) as error:
            # Never its text: that may quote what was sent.
            raise _AttemptError(Retry(f"no connection to Slack: {type(error).__name__}")) from None
        return answer.data

    def arrived(self, channel: str, since: Instant) -> dict[str, str] | None:
        """What stood in a channel when it was last looked at; None if that was before `since`."""
        at, keys = self._arrived.get(channel, (None, {}))
        return keys if at is not None and at >= since else None

    def found(self, channel: str, at: Instant, keys: dict[str, str]) -> None:
        """Remember what stands in a channel, so that a backlog need not ask for each message."""
        self._arrived[channel] = at, keys

    def changed(self, bundle_key: str) -> set[Reference]:
        """The messages that a bundle has changed: it goes on there when it is tried again."""
        return self._changed.setdefault(bundle_key, set())

    def posted(self, report_key: str) -> list[str]:
        """The messages of a report that were posted: it goes on there when it is tried again."""
        return self._posted.setdefault(report_key, [])

    def is_done(self, key: str) -> None:
        """Forget how far a bundle or a report came."""
        self._changed.pop(key, None)
        self._posted.pop(key, None)


class _Attempt:
    """One attempt at one message."""

    def __init__(self, notifier: SlackNotifier, message: Message, token: str) -> None:
        self._notifier, self._message, self._token = notifier, message, token

    async def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        return await self._notifier.call(method, arguments, self._token)

    async def deliver(self, channel: str, base_url: str | None) -> Outcome:
        if self._message.is_bundle:
            return await self._bundle(channel, base_url)
        entry = self._message.entries[0]
        if entry.report is not None:
            return await self._report(channel, report_messages(self._message, entry.report))
        own = _own(entry)
        shown = case_message(entry, self._message, base_url)
        if own is not None and await self._change(own, shown):
            if entry.silent:
                return Sent()
            loud = entry.kind not in {EntryKind.UPDATE, EntryKind.NOTICE}
            await self._post(
                channel, reply(entry, self._message), own.thread_ts or own.ts, loud=loud
            )
            return Sent(str(own), PACE)
        if entry.silent:
            return Sent()  # it was only told in a bundle, or deleted: there is nothing to change
        # A case that was told in a bundle gets a message of its own in the bundle's thread.
        thread = Reference.parse(entry.earlier[-1]).ts if entry.earlier and own is None else None
        ts = await self._post(channel, shown, thread, loud=True)
        return Sent(str(Reference(channel, ts, thread)), PACE)

    async def _bundle(self, channel: str, base_url: str | None) -> Outcome:
        key = self._message.idempotency_key
        changed = self._notifier.changed(key)
        for entry in self._message.entries:
            own = _own(entry)
            if own is not None and own not in changed:
                await self._change(own, case_message(entry, self._message, base_url))
                changed.add(own)
        ts = await self._post(channel, bundle(self._message, base_url), None, loud=True)
        self._notifier.is_done(key)
        return Sent(str(Reference(channel, ts, is_bundle=True)), PACE)

    async def _report(self, channel: str, pages: list[Rendered]) -> Outcome:
        """Post the next page of a report; the relay comes back for the rest at Slack's pace."""
        key = self._message.idempotency_key
        posted = self._notifier.posted(key)
        number = len(posted)
        name = f"{key}/{number}" if number else key
        thread = posted[0] if posted else None
        posted.append(await self._post(channel, pages[number], thread, loud=False, key=name))
        if len(posted) < len(pages):
            return Retry("the rest of the report follows", PACE, own_turn=True)
        self._notifier.is_done(key)
        return Sent(str(Reference(channel, posted[0])), PACE)

    async def _change(self, reference: Reference, shown: Rendered) -> bool:
        """Change a message in place; False when it is gone or cannot be changed any more."""
        place = {"channel": reference.channel, "ts": reference.ts}
        try:
            await self.call("chat.update", {**place, **shown.arguments()})
        except _AttemptError as error:
            if error.error in _GONE:
                return False
            raise
        return True

    async def _post(
        self,
        channel: str,
        shown: Rendered,
        thread_ts: str | None,
        *,
        loud: bool,
        key: str | None = None,
    ) -> str:
        """Post unless an earlier attempt did; returns the time stamp that names the message."""
        key = key or self._message.idempotency_key
        if self._message.may_have_arrived is not None:
            ts = await self._find(channel, thread_ts, key, self._message.may_have_arrived)
            if ts is not None:
                return ts
        arguments = {
            "channel": channel,
            **shown.arguments(),
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"key": key}},
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if thread_ts is not None:
            arguments |= {"thread_ts": thread_ts, "reply_broadcast": loud}
        posted = await self.call("chat.postMessage", arguments)
        return str(posted["ts"])

    async def _find(self, channel: str, thread_ts: str | None, key: str, by: Instant) -> str | None:
        """The time stamp of a post with this key that may have arrived by then, or None."""
        if thread_ts is not None:
            return (await self._read(channel, thread_ts)).get(key)
        known = self._notifier.arrived(channel, by)
        if known is None:
            known = await self._read(channel, None)
            self._notifier.found(channel, self._message.sent_at, known)
        return known.get(key)

    async def _read(self, channel: str, thread_ts: str | None) -> dict[str, str]:
        since = (self._message.sent_at - LOOK_BACK) // SECOND
        arguments: dict[str, Any] = {
            "channel": channel,
            "include_all_metadata": True,
            "limit": PAGE,
            "oldest": str(since),
        }
        method = "conversations.history"
        if thread_ts is not None:
            method, arguments["ts"] = "conversations.replies", thread_ts
        found: dict[str, str] = {}
        for _ in range(PAGES):
            page = await self.call(method, arguments)
            for one in page["messages"]:
                told = one.get("metadata") or {}
                if told.get("event_type") == EVENT_TYPE:
                    found[str(told["event_payload"].get("key"))] = str(one["ts"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
            arguments["cursor"] = cursor
        return found


def _own(entry: Entry) -> Reference | None:
    """The message of its own that a case has at this place, or None."""
    found = [Reference.parse(text) for text in entry.earlier]
    return next((one for one in reversed(found) if not one.is_bundle), None)


def _judged(error: SlackApiError) -> _AttemptError:
    """What an answer means. Of what Slack says, only the code of an error is repeated."""
    response = error.response
    # The client hands over its own answer, or aiohttp's where it could not read the body.
    status = getattr(response, "status_code", None) or getattr(response, "status", None) or 0
    data = getattr(response, "data", None)
    said = data.get("error", "") if isinstance(data, dict) else ""
    code = said if isinstance(said, str) and re.fullmatch(r"[a-z0-9_]{1,60}", said) else ""
    if status == 429 or code in {"ratelimited", "rate_limited"}:
        after = _retry_after(getattr(response, "headers", {}))
        turn = after is not None and after <= LONGEST_TURN
        return _AttemptError(Retry("Slack asks to wait (ratelimited)", after, own_turn=turn), code)
    if status >= 500 or code in _PASSING:
        return _AttemptError(Retry(f"Slack answered {code or f'HTTP {status}'}"), code)
    if not code:
        # No word from Slack itself: a proxy or gateway on the way.
        passing = status in {200, 408}
        reason = f"Slack answered HTTP {status}, and not in its own form"
        return _AttemptError(Retry(reason) if passing else Failed(reason))
    hint = f": {_HINTS[code]}" if code in _HINTS else ""
    return _AttemptError(Failed(f"Slack answered {code}{hint}"), code)


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """Microseconds of a Retry-After header, which Slack gives in seconds."""
    text = next((v for name, v in headers.items() if name.lower() == "retry-after"), "")
    return int(text) * SECOND if re.fullmatch(r"[0-9]{1,6}", text.strip()) else None


def from_environment(
    environment: Mapping[str, str],
    session: aiohttp.ClientSession,
    *,
    api_url: str = AsyncWebClient.BASE_URL,
) -> SlackNotifier:
    """The notifier for `slack` routes, as the environment sets it up.

    Routes name the variables with their tokens; `DETENTE_BASE_URL` says where cases have pages.
    """
    base_url = environment.get(BASE_URL) or None
    return SlackNotifier(session, environment, base_url=base_url, api_url=api_url)
