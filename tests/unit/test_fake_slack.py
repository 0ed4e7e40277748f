"""The Slack of the tests, seen through Slack's own client: it takes and refuses what Slack does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import Clock, SignatureVerifier
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import BlockError, Fault, SlackServer, validate_blocks

Json = dict[str, Any]


class Watch:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def slack(watch: Watch) -> AsyncIterator[SlackServer]:
    async with SlackServer(watch) as server:
        server.channel("C0FRONT")
        server.user("U0CLAIRE", "claire", tz="Europe/Paris")
        yield server


@pytest.fixture
def client(slack: SlackServer) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[])


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_a_message_is_posted_changed_and_answered_in_its_thread(
    slack: SlackServer, client: AsyncWebClient
) -> None:
    posted = await client.chat_postMessage(channel="C0FRONT", text="one", metadata=MARK)
    await client.chat_update(channel="C0FRONT", ts=posted["ts"], text="two")
    await client.chat_postMessage(channel="C0FRONT", text="aside", thread_ts=posted["ts"])
    await client.chat_postMessage(
        channel="C0FRONT", text="loud", thread_ts=posted["ts"], reply_broadcast=True
    )
    assert [m.text for m in slack.messages("C0FRONT")] == ["two", "loud"]
    assert [m.text for m in slack.thread("C0FRONT", posted["ts"])] == ["aside", "loud"]
    plain = await client.conversations_history(channel="C0FRONT")
    assert [m["text"] for m in plain["messages"]] == ["loud", "two"]  # the newest first
    assert "metadata" not in plain["messages"][1]
    full = await client.conversations_history(channel="C0FRONT", include_all_metadata=True, limit=1)
    assert full["has_more"]
    rest = await client.conversations_history(
        channel="C0FRONT", include_all_metadata=True,
        cursor=full["response_metadata"]["next_cursor"],
    )  # fmt: skip
    assert rest["messages"][0]["metadata"] == MARK
    replies = await client.conversations_replies(channel="C0FRONT", ts=posted["ts"])
    assert [m["text"] for m in replies["messages"]] == ["two", "aside", "loud"]


async def test_people_are_found_and_written_to(slack: SlackServer, client: AsyncWebClient) -> None:
    assert (await client.auth_test())["team_id"] == slack.team_id
    found = await client.users_lookupByEmail(email="Claire@Example.com")
    assert found["user"]["id"] == "U0CLAIRE"
    assert (await client.users_info(user="U0CLAIRE"))["user"]["tz"] == "Europe/Paris"
    opened = await client.conversations_open(users="U0CLAIRE")
    assert opened["channel"]["id"] == slack.direct("U0CLAIRE")
    posted = await client.chat_postMessage(channel="U0CLAIRE", text="hello")
    assert posted["channel"] == slack.direct("U0CLAIRE")
    assert await refused(client.users_lookupByEmail(email="x@example.com")) == "users_not_found"
    assert await refused(client.conversations_open(users="U404")) == "user_not_found"


async def test_channels_and_tokens_are_checked(slack: SlackServer, client: AsyncWebClient) -> None:
    slack.channel("C0OTHER", is_member=False)
    slack.channel("G0SECRET", is_member=False, is_private=True)
    slack.channel("C0OLD", is_archived=True)

    def post(channel: str, **more: Any) -> Any:
        return client.chat_postMessage(channel=channel, text="x", **more)

    assert await refused(post("C404")) == "channel_not_found"
    assert await refused(post("G0SECRET")) == "channel_not_found"
    assert await refused(post("C0OTHER")) == "not_in_channel"
    assert await refused(post("C0OLD")) == "is_archived"
    assert await refused(post("C0FRONT", token="xoxb-wrong")) == "invalid_auth"
    assert await refused(post("C0FRONT", token=slack.app_token)) == "not_allowed_token_type"
    assert await refused(post("C0FRONT", thread_ts="1.1")) == "thread_not_found"
    assert await refused(client.chat_update(channel="C0FRONT", ts="1.1", text="x")) == (
        "message_not_found"
    )
    slack.token_error = "account_inactive"
    assert await refused(post("C0FRONT")) == "account_inactive"
    slack.token_error = None
    slack.scopes = frozenset()
    assert await refused(post("C0FRONT")) == "missing_scope"
    assert slack.roots("C0FRONT") == []


async def test_a_channel_takes_one_message_a_second_after_a_short_burst(
    slack: SlackServer, client: AsyncWebClient, watch: Watch
) -> None:
    for _ in range(3):
        await client.chat_postMessage(channel="C0FRONT", text="x")
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel="C0FRONT", text="x")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"
    await client.chat_postMessage(channel="U0CLAIRE", text="x")  # another channel is free
    watch.now += 1
    await client.chat_postMessage(channel="C0FRONT", text="x")
    assert await refused(client.chat_postMessage(channel="C0FRONT", text="x")) == "ratelimited"


@pytest.mark.parametrize("fault", list(Fault))
async def test_faults_leave_or_do_not_leave_a_message(
    slack: SlackServer, client: AsyncWebClient, fault: Fault
) -> None:
    slack.faults.append(fault)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - several kinds, judged below
        async with asyncio.timeout(0.2 if fault is Fault.ANSWER_STALLS else 30):
            await client.chat_postMessage(channel="C0FRONT", text="x")
    assert not isinstance(caught.value, AssertionError)
    done = {Fault.ANSWER_LOST, Fault.ANSWER_STALLS, Fault.SERVER_ERROR_AFTER}
    assert len(slack.roots("C0FRONT")) == (fault in done)
    await client.chat_postMessage(channel="C0FRONT", text="x")  # the next one is well


async def test_modals_need_a_fresh_trigger(
    slack: SlackServer, client: AsyncWebClient, watch: Watch
) -> None:
    view = {
        "type": "modal",
        "title": {"type": "plain_text", "text": "Resolve"},
        "submit": {"type": "plain_text", "text": "Resolve"},
        "blocks": [
            {
                "type": "input",
                "block_id": "cause",
                "label": {"type": "plain_text", "text": "Root cause"},
                "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
            }
        ],
    }
    trigger = slack.trigger_id()
    await client.views_open(trigger_id=trigger, view=view)
    assert await refused(client.views_open(trigger_id=trigger, view=view)) == "exchanged_trigger_id"
    late = slack.trigger_id()
    watch.now += 4
    assert await refused(client.views_open(trigger_id=late, view=view)) == "expired_trigger_id"
    wrong = view | {"title": {"type": "plain_text", "text": "x" * 25}}
    fresh = slack.trigger_id()
    assert await refused(client.views_open(trigger_id=fresh, view=wrong)) == "invalid_arguments"
    assert len(slack.views) == 1


async def test_envelopes_are_acknowledged_over_a_socket(
    slack: SlackServer, client: AsyncWebClient
) -> None:
    seen: list[SocketModeRequest] = []

    async def take(socket: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        seen.append(request)
        await socket.send_socket_mode_response(
            SocketModeResponse(request.envelope_id, payload={"text": "done"})
        )

    socket = SocketModeClient(app_token=slack.app_token, web_client=client)
    socket.socket_mode_request_listeners.append(take)
    try:
        await socket.connect()  # type: ignore[no-untyped-call]  # slack-sdk leaves it untyped
        await slack.connected()
        fields = slack.slash("U0CLAIRE", "mine", "C0FRONT")
        assert await slack.deliver("slash_commands", fields) == {"text": "done"}
        assert seen[0].payload["text"] == "mine"
    finally:
        await socket.close()  # type: ignore[no-untyped-call]  # slack-sdk leaves it untyped


async def test_requests_to_us_are_signed_as_slack_signs(slack: SlackServer, watch: Watch) -> None:
    slack.channel("C0FRONT")
    body = slack.form({"type": "block_actions"})

    class Now(Clock):
        def now(self) -> float:
            return watch.now

    verifier = SignatureVerifier(slack.signing_secret, Now())
    assert verifier.is_valid_request(body, slack.signed(body))
    assert not verifier.is_valid_request(body + b"&", slack.signed(body))
    assert not verifier.is_valid_request(body, slack.signed(body, watch.now - 301))
    assert parse_qs(body.decode())["payload"] == ['{"type": "block_actions"}']


# --- limits --------------------------------------------------------------------------------------

MARK: Json = {"event_type": "told", "event_payload": {"key": "k1"}}


def text(length: int, kind: str = "mrkdwn") -> Json:
    return {"type": kind, "text": "x" * length}


def button(**other: Any) -> Json:
    return {"type": "button", "action_id": "a", "text": text(75, "plain_text")} | other


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


SECTION: Json = {"type": "section", "text": text(3000)}
FIELDS: Json = {"type": "section", "fields": [text(2000)] * 10}
MOST = [button(action_id=f"a{n}") for n in range(25)]
SELECT: Json = {
    "type": "static_select",
    "options": [{"text": text(75, "plain_text"), "value": "v" * 150}] * 100,
}


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [SECTION] * 50,
        [FIELDS],
        [{"type": "header", "text": text(150, "plain_text")}],
        [actions(*MOST)],
        [actions(button(action_id="a" * 255, value="v" * 2000, style="danger"))],
        [actions(SELECT)],
        [{"type": "context", "elements": [text(3000)] * 10}],
        [{"type": "divider", "block_id": "b" * 255}],
    ],
)
def test_what_is_within_the_limits_is_taken(blocks: list[Json]) -> None:
    validate_blocks(blocks)


@pytest.mark.parametrize(
    ("blocks", "path"),
    [
        ([SECTION] * 51, "/blocks"),
        ([{"type": "section", "text": text(3001)}], "/blocks/0/text/text"),
        ([{"type": "section", "text": text(0)}], "/blocks/0/text/text"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": "\U0001f525" * 1501}}],
         "/blocks/0/text/text"),
        ([{"type": "section"}], "/blocks/0"),
        ([{"type": "section", "fields": [text(1)] * 11}], "/blocks/0/fields"),
        ([{"type": "section", "fields": [text(2001)]}], "/blocks/0/fields/0/text"),
        ([{"type": "header", "text": text(151, "plain_text")}], "/blocks/0/text/text"),
        ([{"type": "header", "text": text(1)}], "/blocks/0/text/type"),
        ([actions(*MOST, button(action_id="z"))], "/blocks/0/elements"),
        ([actions(button(), button())], "/blocks/0/elements/1/action_id"),
        ([actions(button(action_id="a" * 256))], "/blocks/0/elements/0/action_id"),
        ([actions(button(value="v" * 2001))], "/blocks/0/elements/0/value"),
        ([actions(button(text=text(76, "plain_text")))], "/blocks/0/elements/0/text/text"),
        ([actions(button(url="javascript:x"))], "/blocks/0/elements/0/url"),
        ([actions(button(style="red"))], "/blocks/0/elements/0/style"),
        ([actions(SELECT | {"options": SELECT["options"] * 2})], "/blocks/0/elements/0/options"),
        ([{"type": "context", "elements": [text(1)] * 11}], "/blocks/0/elements"),
        ([{"type": "poem"}], "/blocks/0/type"),
        ([SECTION | {"colour": "red"}], "/blocks/0/colour"),
        ([{"type": "divider", "block_id": "b"}] * 2, "/blocks/1/block_id"),
        ("text", "/blocks"),
    ],
)  # fmt: skip
def test_what_is_beyond_the_limits_is_refused_with_its_place(blocks: object, path: str) -> None:
    with pytest.raises(BlockError) as caught:
        validate_blocks(blocks)
    assert caught.value.path == path


async def test_the_server_refuses_what_is_beyond_the_limits(
    slack: SlackServer, client: AsyncWebClient
) -> None:
    def post(**message: Any) -> Any:
        return client.chat_postMessage(channel="U0CLAIRE", **{"text": "x"} | message)

    with pytest.raises(SlackApiError) as caught:
        await post(blocks=[SECTION] * 51)
    assert caught.value.response["error"] == "invalid_blocks"
    assert "json-pointer:/blocks" in str(caught.value.response["errors"])
    assert await refused(post(blocks=[SECTION] * 5)) == "msg_blocks_too_long"

    assert await refused(client.chat_postMessage(channel="C0FRONT", text="x" * 40_001)) == (
        "msg_too_long"
    )
    ts = (await client.chat_postMessage(channel="C0FRONT", text="x"))["ts"]
    assert await refused(client.chat_update(channel="C0FRONT", ts=ts, text="x" * 4_001)) == (
        "msg_too_long"
    )
