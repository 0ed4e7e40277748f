"""The webhook against a real server on loopback, which checks what it gets by itself."""

import asyncio
import hashlib
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from notifiers import webhook
from notifiers.message import Entry, EntryKind, Message
from notifiers.notifier import Failed, Retry, Sent
from notifiers.webhook import WebhookNotifier
from rules.calendars import BusinessCalendar
from rules.decision import Changes, Effect, EffectKind
from rules.recipients import Recipients
from schemas.directory import Directory, TerminalRoute, WebhookRoute
from schemas.policy import Policy
from schemas.time import HOUR, SECOND, Instant, to_instant
from streams.relay import House, Relay
from streams.relay.letters import route_name
from streams.store import Store, Transaction

SECRET = "never-to-be-seen"
NOW = to_instant(datetime.fromisoformat("2026-11-03T12:00:00.75+01:00"))
MESSAGE = Message(
    "key-1", "claire", "Claire Dubois", "Europe/Berlin", NOW, 1,
    (Entry(
        effect_id="e1", idempotency_key="key-1", kind=EntryKind.ALERT, case_id="c1",
        tier="management", partner="Nördlich 東京 GmbH", partner_tier="growth", subject="order 1",
        headline="late", exposure=None, why=("50 h > 48 h",), at=NOW, due=None, next=None,
        note=None, urgent=False,
    ),),
)  # fmt: skip


@dataclass
class Receiver:
    """What a careful receiver does: checks signature and age on the raw body, takes a key once."""

    url: str = ""
    taken: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    refused: int = 0
    answers: deque[Callable[[], web.Response]] = field(default_factory=deque)
    stalls: asyncio.Event | None = None

    async def take(self, request: web.Request) -> web.Response:
        self.requests += 1
        raw = await request.read()
        if self.stalls is not None:
            await self.stalls.wait()
        timestamp = request.headers["Detente-Timestamp"]
        expected = hmac.new(
            SECRET.encode(), f"{timestamp}.".encode() + raw, hashlib.sha256
        ).hexdigest()
        if request.headers["Detente-Signature"] != f"v1={expected}":
            self.refused += 1
            return web.Response(status=401)
        if self.answers:
            return self.answers.popleft()()
        self.taken.setdefault(request.headers["Idempotency-Key"], json.loads(raw))
        return web.Response()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook"
    try:
        yield receiver
    finally:
        if receiver.stalls is not None:
            receiver.stalls.set()
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def notifier() -> AsyncIterator[WebhookNotifier]:
    async with aiohttp.ClientSession() as session:
        yield WebhookNotifier(session, {"HOOK_SECRET": SECRET, "OTHER": "wrong", "EMPTY": ""})


def route(url: str, secret_env: str = "HOOK_SECRET") -> WebhookRoute:
    return WebhookRoute(kind="webhook", url=url, secret_env=secret_env)


async def test_a_signed_message_arrives(receiver: Receiver, notifier: WebhookNotifier) -> None:
    assert await notifier.send(MESSAGE, route(receiver.url)) == Sent()
    document = receiver.taken["key-1"]
    assert document["person"] == {
        "id": "claire", "name": "Claire Dubois", "timezone": "Europe/Berlin",
    }  # fmt: skip
    assert document["title"] == "[ALERT management] Nördlich 東京 GmbH: late"
    [entry] = document["entries"]
    assert (entry["kind"], entry["case_id"], entry["why"]) == ("alert", "c1", ["50 h > 48 h"])
    assert entry["at"] == "2026-11-03T11:00:00.750000Z"


async def test_a_repeated_request_bears_the_same_key_and_counts_once(
    receiver: Receiver, notifier: WebhookNotifier
) -> None:
    later = replace(MESSAGE, sent_at=Instant(NOW + 60 * SECOND), attempt=2)
    await notifier.send(MESSAGE, route(receiver.url))
    await notifier.send(later, route(receiver.url))
    assert receiver.requests == 2
    assert list(receiver.taken) == ["key-1"]


async def test_the_signature_covers_body_and_time(notifier: WebhookNotifier) -> None:
    body = webhook.body(MESSAGE)
    signature = webhook.sign(b"s", "1", body)
    assert signature == "v1=" + hmac.digest(b"s", b"1." + body, "sha256").hex()
    assert signature != webhook.sign(b"s", "2", body)
    assert signature != webhook.sign(b"s", "1", body + b" ")


async def test_a_wrong_secret_is_refused_for_good(
    receiver: Receiver, notifier: WebhookNotifier
) -> None:
    assert await notifier.send(MESSAGE, route(receiver.url, "OTHER")) == Failed("HTTP 401")
    assert (receiver.refused, receiver.taken) == (1, {})


@pytest.mark.parametrize(
    ("status", "retry_after", "outcome"),
    [
        (200, None, Sent()),
        (204, None, Sent()),
        (408, None, Retry("HTTP 408")),
        (429, None, Retry("HTTP 429")),
        (429, "7", Retry("HTTP 429", 7 * SECOND)),
        (503, "0", Retry("HTTP 503", 0)),
        (503, "Tue, 03 Nov 2026 11:02:00 GMT", Retry("HTTP 503", 119_250_000)),
        (503, "Tue, 03 Nov 2026 10:00:00 GMT", Retry("HTTP 503", 0)),
        (503, "Tue, 03 Nov 2026 11:02:00 -0000", Retry("HTTP 503", 119_250_000)),
        (503, "999999999", Retry("HTTP 503", HOUR)),
        (503, "soon", Retry("HTTP 503")),
        (503, "-5", Retry("HTTP 503")),
        (500, None, Retry("HTTP 500")),
        (599, None, Retry("HTTP 599")),
        (400, None, Failed("HTTP 400")),
        (404, "7", Failed("HTTP 404")),
        (410, None, Failed("HTTP 410")),
    ],
)
async def test_every_answer_has_a_meaning(
    receiver: Receiver,
    notifier: WebhookNotifier,
    status: int,
    retry_after: str | None,
    outcome: object,
) -> None:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    receiver.answers.append(lambda: web.Response(status=status, headers=headers))
    assert await notifier.send(MESSAGE, route(receiver.url)) == outcome


async def test_redirects_are_not_followed(receiver: Receiver, notifier: WebhookNotifier) -> None:
    receiver.answers.append(
        lambda: web.Response(status=307, headers={"Location": f"{receiver.url}?again"})
    )
    outcome = await notifier.send(MESSAGE, route(receiver.url))
    assert isinstance(outcome, Failed)
    assert "redirects are not followed" in outcome.reason
    assert receiver.requests == 1


async def test_no_answer_in_time_may_pass(
    receiver: Receiver, notifier: WebhookNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.stalls = asyncio.Event()
    monkeypatch.setattr(webhook, "TIMEOUT", aiohttp.ClientTimeout(total=0.05))
    assert await notifier.send(MESSAGE, route(receiver.url)) == Retry("no answer in time")


async def test_a_receiver_that_is_away_may_come_back(notifier: WebhookNotifier) -> None:
    async with receiving() as gone:
        url = gone.url
    outcome = await notifier.send(MESSAGE, route(url + "?token=in-the-url"))
    assert outcome == Retry("no connection: ClientConnectorError")


@pytest.mark.parametrize("name", ["MISSING", "EMPTY"])
async def test_a_secret_that_is_not_set_sends_nothing_unsigned(
    receiver: Receiver, notifier: WebhookNotifier, name: str
) -> None:
    outcome = await notifier.send(MESSAGE, route(receiver.url, name))
    assert outcome == Failed(f"the environment variable {name} holds no secret")
    assert receiver.requests == 0


@pytest.mark.parametrize("url", ["http://:80/x", "http://[::1/x", "http:///x", "http://h:99999/"])
async def test_a_url_that_cannot_be_called_is_permanent(
    notifier: WebhookNotifier, url: str
) -> None:
    outcome = await notifier.send(MESSAGE, route(url))
    assert outcome == Failed("the route's url is not one that can be called")
    assert route_name(1, route(url)).startswith("1 webhook")  # and can be recorded


async def test_a_webhook_takes_no_other_route(notifier: WebhookNotifier) -> None:
    outcome = await notifier.send(MESSAGE, TerminalRoute(kind="terminal"))
    assert outcome == Failed("a terminal route is not a webhook")


async def test_the_secret_is_nowhere_to_be_seen(
    receiver: Receiver, notifier: WebhookNotifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    receiver.answers.append(lambda: web.Response(status=500))
    outcome = await notifier.send(MESSAGE, route(receiver.url))
    seen = repr((notifier, outcome, MESSAGE, route(receiver.url))) + caplog.text
    assert SECRET not in seen
    assert SECRET.encode() not in webhook.body(MESSAGE)


# --- through the relay --------------------------------------------------------------------------


@asynccontextmanager
async def relaying(file: Path, url: str) -> AsyncIterator[tuple[Relay, Store]]:
    hours = {"mon-fri": ["09:00-17:00"]}
    ladder = {"frontline": {"notify": "operations", "acknowledge_within": "1h"}}
    policy = Policy.model_validate(
        {
            "rules": [{"name": "late", "when": {"delay": "> 48h"}, "open_at": "frontline"}],
            "ladders": {"default": ladder},
            "calendars": {"default": {"timezone": "Europe/Berlin", "hours": hours}},
        }
    )
    calendars = {"default": BusinessCalendar("Europe/Berlin", hours)}
    hook = {"kind": "webhook", "url": url, "secret_env": "HOOK_SECRET"}
    directory = Directory.model_validate(
        {"people": {"ops": {"name": "Ops", "routes": [hook]}}, "roles": {"operations": "ops"}}
    )
    house = House(policy, Recipients(directory, calendars), calendars)
    async with aiohttp.ClientSession() as session:
        with Store.open(f"sqlite:///{file}") as store:

            async def write(work: Callable[[Transaction], None]) -> None:
                with store.transaction() as tx:
                    work(tx)

            notifiers = {"webhook": WebhookNotifier(session, {"HOOK_SECRET": SECRET})}
            yield Relay(store.reading, write, lambda: house, notifiers, Random(1)), store


async def test_a_receiver_gets_each_effect_once_though_the_network_loses_answers(
    receiver: Receiver, tmp_path: Path
) -> None:
    async with relaying(tmp_path / "store.db", receiver.url) as (relay, store):
        with store.transaction() as tx:
            tx.write(Changes(effects=[_matter(n) for n in range(3)]))
        receiver.answers.append(lambda: web.Response(status=503))
        now, report = NOW, await relay.run_once(NOW)
        while report.next_wake is not None:
            now = report.next_wake
            report = await relay.run_once(now)
    assert receiver.requests == 4
    assert sorted(d["entries"][0]["effect_id"] for d in receiver.taken.values()) == [
        "m0", "m1", "m2",
    ]  # fmt: skip


def _matter(number: int) -> Effect:
    return Effect(
        effect_id=f"m{number}", case_id=None, partner_id=None, step="feed silent",
        kind=EffectKind.OPERATIONS, role="operations", tier="watch", state=None, urgent=True,
        shadow=False, at=NOW, created_at=NOW, due=None, remind_every=None, remind_at_most=0,
        actor=None, text={"headline": "a feed is silent"},
    )  # fmt: skip
