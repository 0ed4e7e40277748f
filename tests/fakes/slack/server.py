"""The HTTP and WebSocket side: methods, tokens, limits, faults and requests to our own endpoint."""

import asyncio
import hashlib
import hmac
import json
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import count
from random import Random
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from aiohttp import WSMsgType, web

from tests.fakes.slack.limits import (
    ALL_TEXT,
    MESSAGE_TEXT,
    BlockError,
    length,
    texts_of,
    validate_blocks,
    validate_view,
)
from tests.fakes.slack.workspace import Bucket, Channel, Message, SlackError, User

#: Requests a minute of Slack's tiers, as documented for each method.
TIERS = {
    "auth.test": 600,
    "chat.update": 50,
    "chat.postEphemeral": 100,
    "conversations.open": 50,
    "conversations.history": 50,
    "conversations.replies": 50,
    "users.lookupByEmail": 50,
    "users.info": 100,
    "views.open": 100,
    "apps.connections.open": 10,
}
#: Scopes that a method needs; reading history needs the one of the kind of channel.
SCOPES = {
    "chat.postMessage": "chat:write",
    "chat.postEphemeral": "chat:write",
    "chat.update": "chat:write",
    "conversations.open": "im:write",
    "users.lookupByEmail": "users:read.email",
    "users.info": "users:read",
}
ALL_SCOPES = frozenset(
    {
        *SCOPES.values(),
        "channels:history",
        "groups:history",
        "im:history",
        "metadata.message:read",
        "commands",
    }
)


class Fault(Enum):
    """What goes wrong with one request."""

    SERVER_ERROR = "HTTP 503 before anything was done"
    SERVER_ERROR_AFTER = "HTTP 500 after it was done"
    CONNECTION_LOST = "the connection breaks before anything was done"
    ANSWER_LOST = "it was done, and the connection breaks before the answer"
    ANSWER_STALLS = "it was done, and the answer does not come"
    FATAL = "HTTP 200 with the error internal_error"


@dataclass(frozen=True)
class Call:
    """A request that reached the API, and how it was answered."""

    at: float
    method: str
    arguments: Mapping[str, Any]
    status: int
    error: str | None


@dataclass(frozen=True)
class Posted:
    """What was sent to a `response_url`."""

    url: str
    body: Mapping[str, Any]


class SlackServer:
    """Serves the Web API, Socket Mode and response URLs on a port of its own.

    `clock` gives seconds since 1970, for time stamps and rate limits. `faults` are taken one by
    one by the next requests; `chaos` draws them at random instead.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        seed: int = 0,
        burst: int = 3,
        scopes: Iterable[str] = ALL_SCOPES,
    ) -> None:
        self.clock = clock
        self.bot_token = "xoxb-fake-1-secret-bot-token"
        self.app_token = "xapp-fake-1-secret-app-token"
        self.signing_secret = "fake-secret-for-signatures"
        self.team_id, self.bot_user, self.bot_id, self.app_id = "T0FAKE", "U0BOT", "B0BOT", "A0APP"
        self.scopes = frozenset(scopes)
        self.token_error: str | None = None
        """When set, every token is refused with it: `account_inactive`, `token_revoked` ..."""
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.calls: list[Call] = []
        self.ephemeral: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self.posted: list[Posted] = []
        """What came to response URLs."""
        self.acks: dict[str, Any] = {}
        """Envelope to the payload that came with its acknowledgement, None without one."""
        self.faults: deque[Fault | None] = deque()
        self.held = asyncio.Event()
        """Set it to let stalled answers go."""
        self.base_url = ""
        self._burst = burst
        self._random = Random(seed)
        self._chaos: dict[Fault, float] = {}
        self._chaos_methods: frozenset[str] = frozenset()
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._serial = count(1)
        self._tickets: set[str] = set()
        self._triggers: dict[str, tuple[float, bool]] = {}
        self._responses: dict[str, tuple[str, str | None, float, int]] = {}
        self._sockets: list[web.WebSocketResponse] = []
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._connected = asyncio.Condition()
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/link/", self._socket)
        app.router.add_post("/response/{key}", self._response)
        # Answers that are never sent must not hold up the end of a test.
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.held.set()
        for socket in self._sockets:
            await socket.close()
        assert self._runner is not None
        await self._runner.cleanup()

    # -- what a test sets up and looks at --------------------------------------------------------

    @property
    def api_url(self) -> str:
        """For `AsyncWebClient(base_url=...)`."""
        return f"{self.base_url}/api/"

    def channel(self, channel_id: str, **settings: Any) -> Channel:
        """A channel; the bot is a member unless told otherwise."""
        return self.channels.setdefault(channel_id, Channel(channel_id, **settings))

    def user(self, user_id: str, name: str = "", email: str = "", **other: Any) -> User:
        """A user with an account."""
        name = name or user_id.lower()
        return self.users.setdefault(
            user_id, User(user_id, name, email or f"{name}@example.com", **other)
        )

    def messages(self, channel_id: str) -> list[Message]:
        """What readers see in the channel itself: messages and broadcast replies, in order."""
        found = self.channels[channel_id].messages
        return [m for m in found if m.thread_ts is None or m.thread_ts == m.ts or m.broadcast]

    def roots(self, channel_id: str) -> list[Message]:
        """Messages that are no reply."""
        return [m for m in self.channels[channel_id].messages if m.thread_ts is None]

    def thread(self, channel_id: str, ts: str) -> list[Message]:
        """The replies to a message, broadcast or not."""
        return [m for m in self.channels[channel_id].messages if m.thread_ts == ts]

    def direct(self, user_id: str) -> str:
        """The id of the channel for direct messages with a user, opened when it is not."""
        return self._open_im(user_id).id

    def made(self, method: str) -> list[Call]:
        """Calls of a method that were answered with ok."""
        return [c for c in self.calls if c.method == method and c.error is None]

    def refused(self, error: str) -> list[Call]:
        """Calls that were answered with an error."""
        return [call for call in self.calls if call.error == error]

    async def until(self, holds: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait until requests have made it so; TimeoutError bounds what hangs."""
        async with asyncio.timeout(seconds):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def chaos(self, rates: Mapping[Fault, float], methods: Iterable[str] = ()) -> None:
        """Let faults happen at random: the share of requests for each; to these methods or all."""
        self._chaos, self._chaos_methods = dict(rates), frozenset(methods)

    # -- what Slack sends to us ------------------------------------------------------------------

    def signed(self, body: bytes, at: float | None = None) -> dict[str, str]:
        """The headers that prove that a request comes from Slack."""
        stamp = str(int(self.clock() if at is None else at))
        base = b"v0:" + stamp.encode() + b":" + body
        digest = hmac.new(self.signing_secret.encode(), base, hashlib.sha256).hexdigest()
        return {
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={digest}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    @staticmethod
    def form(payload: Mapping[str, Any]) -> bytes:
        """The body of a request about an interaction: a form with one field, `payload`."""
        return urlencode({"payload": json.dumps(payload)}).encode()

    def trigger_id(self) -> str:
        """What opens a modal: for three seconds, and once."""
        key = f"{next(self._serial)}.trigger"
        self._triggers[key] = self.clock(), False
        return key

    def response_url(self, channel: str, ts: str | None = None) -> str:
        """Where an answer to an interaction goes: for thirty minutes, and five times."""
        key = f"r{next(self._serial)}"
        self._responses[key] = channel, ts, self.clock(), 0
        return f"{self.base_url}/response/{key}"

    def click(
        self, message: Message, action_id: str, user: str, *, team: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """The `block_actions` payload of a user who uses an element of a message."""
        element = message.buttons[action_id]
        action: dict[str, Any] = {
            "action_id": action_id,
            "block_id": "b1",
            "type": element["type"],
            "action_ts": f"{self.clock():.6f}",
            **{name: element[name] for name in ("text", "value") if name in element},
        }
        return self._interaction("block_actions", user, team) | {
            "container": {
                "type": "message",
                "message_ts": message.ts,
                "channel_id": message.channel,
                "is_ephemeral": False,
            },
            "channel": {"id": message.channel, "name": "somewhere"},
            "message": message.document(metadata=True),
            "response_url": self.response_url(message.channel, message.ts),
            "actions": [action | more],
            "state": {"values": {}},
        }

    def submission(
        self, view: Mapping[str, Any], user: str, values: Mapping[str, Any], team: str | None = None
    ) -> dict[str, Any]:
        """The `view_submission` payload of a modal: block_id to action_id to state."""
        shown = dict(view) | {"state": {"values": values}}
        return self._interaction("view_submission", user, team) | {"view": shown}

    def slash(self, user: str, text: str, channel: str, **more: str) -> dict[str, str]:
        """The fields of a slash command, as in a form or in a Socket Mode payload."""
        return {
            "token": "deprecated",
            "team_id": self.team_id,
            "team_domain": "fake",
            "channel_id": channel,
            "channel_name": "somewhere",
            "user_id": user,
            "user_name": self.users[user].name if user in self.users else user,
            "command": "/detente",
            "text": text,
            "api_app_id": self.app_id,
            "is_enterprise_install": "false",
            "response_url": self.response_url(channel),
            "trigger_id": self.trigger_id(),
        } | more

    def _interaction(self, kind: str, user: str, team: str | None) -> dict[str, Any]:
        team = team or self.team_id
        name = self.users[user].name if user in self.users else user
        return {
            "type": kind,
            "token": "deprecated",
            "api_app_id": self.app_id,
            "team": {"id": team, "domain": "fake"},
            "user": {"id": user, "username": name, "name": name, "team_id": team},
            "trigger_id": self.trigger_id(),
        }

    # -- Socket Mode -----------------------------------------------------------------------------

    async def connected(self, sockets: int = 1) -> None:
        """Wait until so many sockets are open."""
        async with self._connected:
            await self._connected.wait_for(lambda: len(self._open()) >= sockets)

    async def deliver(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        accepts_response: bool = True,
        socket: int = -1,
    ) -> Any:
        """Send an envelope over a socket; returns the payload of its acknowledgement.

        `kind` is `interactive`, `slash_commands` or `events_api`; `socket` says which of those that
        are open, in the order of their opening. Raises ConnectionError when the
        socket ends before the acknowledgement.
        """
        envelope_id = f"envelope-{next(self._serial)}"
        future = self._waiting[envelope_id] = asyncio.get_running_loop().create_future()
        await self.resend(
            envelope_id, kind, payload, accepts_response=accepts_response, socket=socket
        )
        return await future

    async def resend(
        self,
        envelope_id: str,
        kind: str,
        payload: Mapping[str, Any],
        *,
        accepts_response: bool = True,
        socket: int = -1,
    ) -> None:
        """Send an envelope, or the same one once more, without waiting for its acknowledgement."""
        await self._open()[socket].send_json(
            {
                "envelope_id": envelope_id,
                "type": kind,
                "payload": payload,
                "accepts_response_payload": accepts_response,
            }
        )

    async def disconnect(
        self, reason: str = "refresh_requested", *, abruptly: bool = False
    ) -> None:
        """End every socket: with a word of warning, as Slack does every few hours, or without."""
        for socket in self._open():
            if abruptly:
                assert socket._req is not None
                assert socket._req.transport is not None
                socket._req.transport.abort()
            else:
                await socket.send_json(
                    {"type": "disconnect", "reason": reason, "debug_info": {"host": "fake"}}
                )
                await socket.close()

    def _open(self) -> list[web.WebSocketResponse]:
        return [socket for socket in self._sockets if not socket.closed]

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        info = {"type": "hello", "num_connections": len(self._open()) + 1}
        await socket.send_json(info | {"connection_info": {"app_id": self.app_id},
                                       "debug_info": {"host": "fake"}})  # fmt: skip
        async with self._connected:
            self._sockets.append(socket)
            self._changed.set()
            self._connected.notify_all()
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                answer = json.loads(frame.data)
                self._acknowledge(answer["envelope_id"], answer.get("payload"))
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the socket ended"))
                future.exception()  # a test that does not wait for it is not to blame
        self._waiting.clear()
        return socket

    def _acknowledge(self, envelope_id: str, payload: Any) -> None:
        self.acks[envelope_id] = payload
        self._changed.set()
        future = self._waiting.pop(envelope_id, None)
        if future is not None and not future.done():
            future.set_result(payload)

    # -- response URLs ---------------------------------------------------------------------------

    async def _response(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        body = await request.json()
        if key not in self._responses:
            return web.Response(status=404, text="no_such_url")
        channel, ts, since, used = self._responses[key]
        if used >= 5 or self.clock() - since > 1800:
            return web.Response(status=404, text="used_url" if used >= 5 else "expired_url")
        try:
            _check_blocks(body.get("blocks", []), body.get("attachments", []))
        except SlackError as error:
            return web.Response(status=400, text=error.error)
        self._responses[key] = channel, ts, since, used + 1
        self.posted.append(Posted(str(request.url), body))
        message = self.channels[channel].find(ts) if ts and channel in self.channels else None
        if message is not None and body.get("delete_original"):
            self.channels[channel].messages.remove(message)
        elif message is not None and body.get("replace_original"):
            _replace(message, body)
        self._changed.set()
        return web.Response(text="ok")

    # -- the Web API -----------------------------------------------------------------------------

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments = await _arguments(request)
        fault = self._fault(method)
        if fault is Fault.SERVER_ERROR:
            return self._answered(method, arguments, web.Response(status=503, text="away"), "503")
        if fault is Fault.FATAL:
            broken = web.json_response({"ok": False, "error": "internal_error"})
            return self._answered(method, arguments, broken, "internal_error")
        if fault is Fault.CONNECTION_LOST:
            return self._cut(request, method, arguments)
        response = self._perform(request, method, arguments)
        match fault:
            case Fault.ANSWER_LOST:
                return self._cut(request, method, arguments)
            case Fault.ANSWER_STALLS:
                await self.held.wait()
            case Fault.SERVER_ERROR_AFTER:
                response = web.Response(status=500, text="<html>", content_type="text/html")
            case _:
                pass
        return response

    def _perform(
        self, request: web.Request, method: str, arguments: dict[str, Any]
    ) -> web.Response:
        try:
            handler = _METHODS.get(method)
            if handler is None:
                raise SlackError("unknown_method")
            self._check_token(request, method)
            if wait := self._wait(method, str(arguments.get("channel", ""))):
                response = web.json_response({"ok": False, "error": "ratelimited"}, status=429)
                response.headers["Retry-After"] = str(math.ceil(wait))
                return self._answered(method, arguments, response, "ratelimited")
            document = {"ok": True} | handler(self, arguments)
        except SlackError as error:
            document = {"ok": False, "error": error.error} | error.more
        response = web.json_response(document)
        return self._answered(method, arguments, response, document.get("error"))

    def _fault(self, method: str) -> Fault | None:
        if self.faults:
            return self.faults.popleft()
        if self._chaos_methods and method not in self._chaos_methods:
            return None
        drawn = self._random.random()
        for fault, share in self._chaos.items():
            if (drawn := drawn - share) < 0:
                return fault
        return None

    def _cut(self, request: web.Request, method: str, arguments: dict[str, Any]) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return self._answered(method, arguments, web.Response(), "connection lost")

    def _answered(
        self, method: str, arguments: dict[str, Any], response: web.Response, error: str | None
    ) -> web.Response:
        self.calls.append(Call(self.clock(), method, arguments, response.status, error))
        self._changed.set()
        return response

    def _wait(self, method: str, channel: str) -> float:
        if method == "chat.postMessage":  # "one message a second to a channel, short bursts"
            key, rate, burst = (method, channel), 1.0, self._burst
        else:
            key, rate, burst = (method, ""), TIERS[method] / 60, TIERS[method]
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self.clock, rate, burst)
        return bucket.take()

    def _check_token(self, request: web.Request, method: str) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            raise SlackError("not_authed")
        wanted = self.app_token if method == "apps.connections.open" else self.bot_token
        if token != wanted:
            known = token in {self.app_token, self.bot_token}
            raise SlackError("not_allowed_token_type" if known else "invalid_auth")
        if self.token_error:
            raise SlackError(self.token_error)
        needed = SCOPES.get(method)
        if needed and needed not in self.scopes:
            raise SlackError("missing_scope", needed=needed, provided=",".join(self.scopes))

    def _conversation(self, arguments: Mapping[str, Any], *, writes: bool) -> Channel:
        channel_id = str(arguments.get("channel", ""))
        if channel_id in self.users:
            return self._open_im(channel_id)
        channel = self.channels.get(channel_id)
        if channel is None or (channel.is_private and not channel.is_member):
            raise SlackError("channel_not_found")
        if not channel.is_member:
            raise SlackError("not_in_channel")
        if writes and channel.is_archived:
            raise SlackError("is_archived")
        return channel

    def _open_im(self, user_id: str) -> Channel:
        if user_id not in self.users:
            raise SlackError("user_not_found")
        if self.users[user_id].deleted:
            raise SlackError("user_disabled")
        return self.channel(f"D{user_id}", im_user=user_id)

    def _auth_test(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "url": "https://fake.slack.com/",
            "team": "Fake",
            "user": "detente",
            "team_id": self.team_id,
            "user_id": self.bot_user,
            "bot_id": self.bot_id,
        }

    def _post_message(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel = self._conversation(arguments, writes=True)
        text = arguments.get("text", "")
        blocks, attachments = arguments.get("blocks", []), arguments.get("attachments", [])
        if not (text or blocks or attachments):
            raise SlackError("no_text")
        if length(text) > MESSAGE_TEXT:
            raise SlackError("msg_too_long")
        _check_blocks(blocks, attachments)
        _check_metadata(arguments.get("metadata"))
        thread_ts = arguments.get("thread_ts")
        if thread_ts is not None:
            parent = channel.find(thread_ts)
            if parent is None:
                raise SlackError("thread_not_found")
            thread_ts = parent.thread_ts or parent.ts
        ts = f"{int(self.clock())}.{next(self._serial):06d}"
        message = Message(
            channel.id, ts, text, blocks, attachments, arguments.get("metadata"), self.bot_id,
            self.bot_user, thread_ts, _true(arguments.get("reply_broadcast")),
        )  # fmt: skip
        channel.messages.append(message)
        return {"channel": channel.id, "ts": ts, "message": message.document(metadata=True)}

    def _post_ephemeral(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._conversation(arguments, writes=True)
        if arguments.get("user") not in self.users:
            raise SlackError("user_not_in_channel")
        _check_blocks(arguments.get("blocks", []), arguments.get("attachments", []))
        self.ephemeral.append(dict(arguments))
        return {"message_ts": f"{int(self.clock())}.{next(self._serial):06d}"}

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel = self._conversation(arguments, writes=True)
        message = channel.find(str(arguments.get("ts", "")))
        if message is None:
            raise SlackError("message_not_found")
        if message.bot_id != self.bot_id:
            raise SlackError("cant_update_message")
        if length(arguments.get("text", "")) > 4_000:
            raise SlackError("msg_too_long")
        _check_blocks(arguments.get("blocks", []), arguments.get("attachments", []))
        _check_metadata(arguments.get("metadata"))
        _replace(message, arguments)
        return {"channel": channel.id, "ts": message.ts, "text": message.text}

    def _conversations_open(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"channel": {"id": self._open_im(str(arguments.get("users", ""))).id}}

    def _history(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel = self._readable(arguments)
        found = [m for m in channel.messages if m.thread_ts is None or m.broadcast]
        return self._page(list(reversed(found)), arguments)

    def _replies(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel = self._readable(arguments)
        ts = str(arguments.get("ts", ""))
        parent = channel.find(ts)
        if parent is None:
            raise SlackError("thread_not_found")
        ts = parent.thread_ts or ts
        found = [m for m in channel.messages if ts in (m.ts, m.thread_ts)]
        return self._page(found, arguments)

    def _readable(self, arguments: Mapping[str, Any]) -> Channel:
        channel = self._conversation(arguments, writes=False)
        kind = "im" if channel.im_user else "groups" if channel.is_private else "channels"
        if f"{kind}:history" not in self.scopes:
            raise SlackError("missing_scope", needed=f"{kind}:history")
        return channel

    def _page(self, found: list[Message], arguments: Mapping[str, Any]) -> dict[str, Any]:
        oldest, latest = float(arguments.get("oldest", 0)), float(arguments.get("latest", 1e12))
        found = [m for m in found if oldest <= float(m.ts) <= latest]
        limit = min(int(arguments.get("limit", 100)), 999)
        start = int(arguments.get("cursor") or 0)
        metadata = _true(arguments.get("include_all_metadata"))
        metadata = metadata and "metadata.message:read" in self.scopes
        more = start + limit < len(found)
        return {
            "messages": [m.document(metadata=metadata) for m in found[start : start + limit]],
            "has_more": more,
            "response_metadata": {"next_cursor": str(start + limit) if more else ""},
        }

    def _users_info(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"user": self._profile(self.users.get(str(arguments.get("user"))), "user_not_found")}

    def _lookup_by_email(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        email = str(arguments.get("email")).casefold()
        user = next((u for u in self.users.values() if u.email.casefold() == email), None)
        return {"user": self._profile(user, "users_not_found")}

    def _profile(self, user: User | None, error: str) -> dict[str, Any]:
        if user is None:
            raise SlackError(error)
        return {
            "id": user.id,
            "team_id": self.team_id,
            "name": user.name,
            "real_name": user.name,
            "tz": user.tz,
            "deleted": user.deleted,
            "is_bot": False,
            "profile": {"email": user.email, "display_name": user.name},
        }

    def _views_open(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        trigger = str(arguments.get("trigger_id", ""))
        if trigger not in self._triggers:
            raise SlackError("invalid_trigger_id")
        since, used = self._triggers[trigger]
        if used:
            raise SlackError("exchanged_trigger_id")
        if self.clock() - since > 3:
            raise SlackError("expired_trigger_id")
        try:
            validate_view(arguments.get("view"))
        except BlockError as error:
            messages = {"response_metadata": {"messages": [f"[ERROR] {error}"]}}
            raise SlackError("invalid_arguments", **messages) from error
        self._triggers[trigger] = since, True
        view = dict(arguments["view"]) | {"id": f"V{next(self._serial)}", "team_id": self.team_id}
        self.views.append(view)
        return {"view": view}

    def _connections_open(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        ticket = f"ticket-{next(self._serial)}"
        self._tickets.add(ticket)
        host = self.base_url.removeprefix("http://")
        return {"url": f"ws://{host}/link/?ticket={ticket}&app_id={self.app_id}"}


_METHODS: dict[str, Callable[[SlackServer, Mapping[str, Any]], dict[str, Any]]] = {
    "auth.test": SlackServer._auth_test,
    "chat.postMessage": SlackServer._post_message,
    "chat.postEphemeral": SlackServer._post_ephemeral,
    "chat.update": SlackServer._update,
    "conversations.open": SlackServer._conversations_open,
    "conversations.history": SlackServer._history,
    "conversations.replies": SlackServer._replies,
    "users.info": SlackServer._users_info,
    "users.lookupByEmail": SlackServer._lookup_by_email,
    "views.open": SlackServer._views_open,
    "apps.connections.open": SlackServer._connections_open,
}


_READS = {"conversations.history", "conversations.replies", "users.info", "users.lookupByEmail"}


async def _arguments(request: web.Request) -> dict[str, Any]:
    found: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json" and request.match_info["method"] in _READS:
        return found  # methods that read do not take JSON
    if request.content_type == "application/json":
        body: Awaitable[Any] = request.json()
        return found | dict(await body)
    found |= dict(await request.post())
    for name in ("blocks", "attachments", "metadata", "view"):
        if isinstance(found.get(name), str):
            found[name] = json.loads(found[name])
    return found


def _true(value: object) -> bool:
    return value in (True, 1, "1", "true", "True")


def _check_blocks(blocks: object, attachments: Any) -> None:
    try:
        validate_blocks(blocks)
        if not isinstance(attachments, list) or len(attachments) > 100:
            raise SlackError("too_many_attachments")
        for number, attachment in enumerate(attachments):
            validate_blocks(attachment.get("blocks", []), f"/attachments/{number}/blocks")
    except BlockError as error:
        messages = {"response_metadata": {"messages": [f"[ERROR] {error}"]}}
        raise SlackError("invalid_blocks", errors=[str(error)], **messages) from error
    if texts_of(blocks) + sum(texts_of(a.get("blocks", [])) for a in attachments) > ALL_TEXT:
        raise SlackError("msg_blocks_too_long")


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    plain = isinstance(payload, dict) and isinstance(metadata.get("event_type"), str)
    if not plain:
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata)) > 16_000:
        raise SlackError("metadata_too_large")


def _replace(message: Message, new: Mapping[str, Any]) -> None:
    """A field that is not named stays as it was, as chat.update documents."""
    message.text = new.get("text", message.text)
    message.blocks = new.get("blocks", message.blocks)
    message.attachments = new.get("attachments", message.attachments)
    message.metadata = new.get("metadata", message.metadata)
    message.edits += 1
