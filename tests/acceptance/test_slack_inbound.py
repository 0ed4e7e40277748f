"""Working on cases from Slack, as stories: the real service in this process, a Slack on loopback
that checks tokens, signatures, tickets and blocks as Slack does."""

import asyncio
import json
import logging
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from click.testing import CliRunner

from detente.cli import cli
from detente.embedded import open_embedded
from detente.occupancy import Lock
from detente.service import Service
from detente.settings import Settings
from notifiers.slack import notifier as slack_notifier
from rules.decision import State, StepKind
from schemas.time import DAY, HOUR, MINUTE, SECOND, Instant
from streams.store import Store, Transaction
from streams.store.reports import IssuedReport
from tests import slack_stories
from tests.acceptance.test_service import MONDAY, WAIT, Clock, Terminal, placed, post, short
from tests.fakes.slack import Message, SlackServer, validate_blocks, validate_view
from tests.sample_reports import digest as sample_digest
from tests.slack_stories import (
    ACK,
    ALL,
    DIRECTORY,
    POLICY,
    SCOPES,
    STORM_DIRECTORY,
    STORM_POLICY,
    Office,
    Race,
    state_of,
)
from tests.unit.test_slack_blocks import control_sequences, mrkdwn


class ServiceOffice(Office):
    """A running service and the Slack that its people use."""

    def __init__(self, service: Service, slack: SlackServer, clock: Clock, store: Store) -> None:
        super().__init__(slack, clock, store, service._url)
        self.service = service
        self.session = aiohttp.ClientSession()

    async def take(self, *events: dict[str, Any]) -> None:
        assert (await post(self.service, *events))["accepted"] == len(events)

    def wake(self) -> None:
        self.service._news.set()  # the relay waits on the wall clock, not on ours

    async def turn(self) -> None:
        await post(self.service)  # an empty request: others get their turn

    # -- by HTTP -------------------------------------------------------------------------------

    async def http(
        self, body: bytes, headers: dict[str, str] | None = None, page: str = "interactions"
    ) -> tuple[int, str]:
        signed = self.slack.signed(body) if headers is None else headers
        url = f"{self.service.address}/slack/{page}"
        async with self.session.post(url, data=body, headers=signed) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    socket: bool = True,
    policy: str = POLICY,
    directory: str = DIRECTORY,
    **more: str,
) -> AsyncIterator[ServiceOffice]:
    (folder / "policy.yaml").write_text(policy)
    (folder / "directory.yaml").write_text(directory)
    settings = Settings(f"sqlite:///{folder / 'detente.db'}", "127.0.0.1", 0,
                        folder / "policy.yaml", folder / "directory.yaml")  # fmt: skip
    clock = Clock()
    async with SlackServer(lambda: clock() / SECOND, scopes=SCOPES) as slack:
        for channel in ("C0MANAGE", "C0FRONT"):
            slack.channel(channel)
        for user in ("U0CLAIRE", "U0HENRIK", "U0DAVID", "U0MIA", "U0GONE", "U0ANNA"):
            slack.user(user)
        environment = {"SLACK_BOT_TOKEN": slack.bot_token,
                       "DETENTE_SLACK_SIGNING_SECRET": slack.signing_secret, **more}  # fmt: skip
        if socket:
            environment["DETENTE_SLACK_APP_TOKEN"] = slack.app_token
        with (
            Lock(settings.db, "a test").acquire(0),
            open_embedded(settings, clock()) as embedded,
        ):
            service = Service(embedded, settings, clock, Terminal(), environment=environment,
                              slack_url=slack.api_url)  # fmt: skip
            started = asyncio.Event()
            running = asyncio.create_task(service.run(started.set))
            await asyncio.wait_for(started.wait(), WAIT)
            office = ServiceOffice(service, slack, clock, embedded.store)
            if socket:
                await asyncio.wait_for(slack.connected(), WAIT)
            try:
                yield office
            finally:
                await office.session.close()
                service.stop()
                await asyncio.wait_for(running, WAIT)
        for posted in slack.posted:
            validate_blocks(posted.body.get("blocks", []))
            for attachment in posted.body.get("attachments", []):
                validate_blocks(attachment["blocks"])
        for view in slack.views:
            validate_view({name: view[name] for name in view if name not in ("id", "team_id")})
        assert not slack.refused("invalid_blocks")
        assert not slack.refused("invalid_arguments")


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[ServiceOffice]:
    async with opened(tmp_path) as found:
        yield found


# --- one click ------------------------------------------------------------------------------------


async def test_an_alert_is_owned_by_one_click_and_shows_it(office: ServiceOffice) -> None:
    await slack_stories.an_alert_is_owned_by_one_click_and_shows_it(office)


async def test_a_repeated_click_changes_nothing(office: ServiceOffice) -> None:
    [message] = await office.conflict("PO-1")
    payload = office.slack.click(message, ACK, "U0CLAIRE")
    await office.slack.deliver("interactive", payload)
    await office.answer()
    office.advance(MINUTE)
    await office.slack.deliver("interactive", payload)  # Slack sends an envelope again
    again = await office.answer(1)
    assert again.endswith("it is yours.")
    assert office.kinds().count(StepKind.ACKNOWLEDGED) == 1
    assert office.look(lambda tx: list(tx.list_rejected())) == []


async def test_two_people_click_at_once_and_one_of_them_owns(office: ServiceOffice) -> None:
    await slack_stories.two_people_click_at_once_and_one_of_them_owns(office)


async def test_whoever_was_not_asked_can_take_the_case_over(office: ServiceOffice) -> None:
    [message] = await office.conflict("PO-1")
    await office.click(message, ACK, "U0DAVID")
    assert "David Okafor is not the partnership manager" in await office.answer()
    assert office.case().state is State.OPEN
    offer = office.said[0]
    private = Message("C0MANAGE", "1.1", offer["text"], offer["blocks"], [], None, None, None)
    await office.click(private, "detente_take_over", "U0DAVID")
    assert (await office.answer(1)).endswith("it is yours.")
    assert office.said[1]["replace_original"] is True
    assert (office.case().state, office.case().owner) == (State.ACKNOWLEDGED, "david")


async def test_an_old_message_that_is_clicked_says_so_and_is_put_right(
    office: ServiceOffice,
) -> None:
    await slack_stories.an_old_message_that_is_clicked_says_so_and_is_put_right(office)


# --- silence and races ----------------------------------------------------------------------------


async def test_silence_escalates_and_the_next_tier_owns_from_its_direct_message(
    office: ServiceOffice,
) -> None:
    await slack_stories.silence_escalates_and_the_next_tier_owns_from_its_direct_message(office)


@pytest.mark.parametrize("first", Race)
async def test_an_acknowledgement_races_an_escalation_and_one_of_them_wins(
    office: ServiceOffice, first: Race
) -> None:
    await slack_stories.an_acknowledgement_races_an_escalation_and_one_of_them_wins(office, first)


# --- forms ----------------------------------------------------------------------------------------


async def test_a_case_is_resolved_with_cause_action_and_prevention(office: ServiceOffice) -> None:
    [message] = await office.conflict("PO-1")
    done = await office.fill(
        "detente_resolve", message,
        root_cause="lorry broke down", action="sent another", prevention="newer lorries",
    )  # fmt: skip
    assert done is None
    assert "resolved by Claire Dubois" in await office.answer()
    assert office.case().state is State.RESOLVED
    [step] = [s for s in office.steps() if s.kind is StepKind.RESOLVED]
    assert step.receipt["why"] == [
        "root cause: lorry broke down", "action: sent another", "prevention: newer lorries"
    ]  # fmt: skip
    await office.until(lambda: message.text.startswith("✅ Resolved"))


async def test_a_form_with_a_mistake_says_where_and_changes_nothing(office: ServiceOffice) -> None:
    [message] = await office.conflict("PO-1")
    wrong = await office.fill("detente_resolve", message, root_cause="  ")
    assert wrong == {
        "response_action": "errors", "errors": {"root_cause": "Please fill this in."}
    }  # fmt: skip
    past = await office.fill("detente_snooze", message, until=office.clock() // SECOND - 60)
    assert "has passed" in past["errors"]["until"]
    far = await office.submit(until=office.clock() // SECOND + 400 * 86_400)
    assert "more than a year" in far["errors"]["until"]
    assert office.case().state is State.OPEN
    assert office.said == []


async def test_every_other_thing_that_can_be_done_with_a_case(office: ServiceOffice) -> None:
    [message] = await office.conflict("PO-1")
    later = (office.clock() + DAY) // SECOND
    steps: list[tuple[str, dict[str, Any], State, str]] = [
        ("detente_comment", {"note": "spoke with them"}, State.OPEN, "comment by Claire Dubois"),
        ("detente_snooze", {"until": later}, State.SNOOZED, "snoozed until"),
        ("detente_waiting", {"note": "asked for photos"}, State.WAITING, "waiting on the partner"),
        ("detente_assign", {"to": {"option": "henrik"}}, State.WAITING, "to Henrik Sommer by"),
        ("detente_escalate", {"note": "they threaten to leave"}, State.OPEN, "to executive"),
    ]  # fmt: skip
    payload = {name: dict(button) for name, button in message.buttons.items()}
    for number, (action, values, state, said) in enumerate(steps):
        button = Message("C0MANAGE", message.ts, "", [
            {"type": "actions", "elements": [payload[action]]}], [], None, None, None)  # fmt: skip
        await office.fill(action, button, **values)
        assert said in await office.answer(number)
        assert office.case().state is state
    assert office.case().owner == "henrik"
    notes = [s.receipt["note"] for s in office.steps() if s.receipt.get("note")]
    assert notes == ["spoke with them", "asked for photos", "they threaten to leave"]
    assign = next(v for v in office.slack.views if v["callback_id"] == "detente_assign")
    options = assign["blocks"][1]["element"]["options"]
    assert {o["value"] for o in options} >= {"anna", "claire", "mia"}
    assert "gone" not in {o["value"] for o in options}


# --- many at once ---------------------------------------------------------------------------------


async def test_a_bundle_is_acknowledged_as_a_whole_and_counted_as_such(tmp_path: Path) -> None:
    bundling = DIRECTORY.replace("    name: Claire Dubois\n    bundle: false\n",
                                 "    name: Claire Dubois\n")  # fmt: skip
    bundling = bundling.replace("[claire, henrik]", "claire")
    async with opened(tmp_path, directory=bundling) as office:
        names = [f"PO-{n}" for n in range(1, 9)]
        events = [e for n in names for e in (placed(n, Instant(MONDAY + DAY)), short(n))]
        await post(office.service, *events)
        bundles: list[Message] = []
        listed: tuple[str, ...] = ()
        async with asyncio.timeout(WAIT):
            while not listed:  # posted, and written down
                office.advance(SECOND)
                await post(office.service)  # an empty request: others get their turn
                bundles = [m for m in office.slack.roots("C0MANAGE") if ALL in m.buttons]
                for key in (m.buttons[ALL]["value"] for m in bundles):
                    listed = office.look(partial(Transaction.cases_of_bundle, bundle_id=key))
        [bundle] = bundles
        assert len(listed) == 5
        await office.click(bundle, ALL)
        assert f"You own {len(listed)} of {len(listed)} cases now." in await office.answer()
        cases = office.look(lambda tx: tx.cases(listed))
        assert {(c.state, c.owner) for c in cases.values()} == {(State.ACKNOWLEDGED, "claire")}
        for order_id in names:
            taken = [s for s in office.steps(order_id) if s.kind is StepKind.ACKNOWLEDGED]
            assert len(taken) == (office.case(order_id).case_id in listed)
            assert all("with others at once" in str(s.receipt["summary"]) for s in taken)
        await office.until(lambda: ALL not in bundle.buttons)
        assert ACK not in bundle.buttons
        assert bundle.shown.count("Acknowledged, Claire Dubois") == len(listed)


# --- when Slack limits, or fails ------------------------------------------------------------------


async def test_a_storm_loses_nothing_and_holds_up_no_other_channel(tmp_path: Path) -> None:
    async with opened(tmp_path, policy=STORM_POLICY, directory=STORM_DIRECTORY) as office:
        await slack_stories.a_storm_loses_nothing_and_holds_up_no_other_channel(office, 60)


async def test_trouble_at_random_leaves_each_alert_exactly_once(
    office: ServiceOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_notifier, "TIMEOUT", 0.3)
    await slack_stories.trouble_at_random_leaves_each_alert_exactly_once(office)


async def test_a_token_that_slack_refuses_is_told_to_operations(office: ServiceOffice) -> None:
    await slack_stories.a_token_that_slack_refuses_is_told_to_operations(office)


# --- who is who -----------------------------------------------------------------------------------


async def test_a_stranger_is_shown_a_code_and_can_act_once_it_is_entered(
    office: ServiceOffice,
) -> None:
    await slack_stories.a_stranger_is_shown_a_code_and_can_act_once_it_is_entered(office)


async def test_an_old_code_and_whoever_has_left_are_turned_away(office: ServiceOffice) -> None:
    [message] = await office.conflict("PO-1")
    await office.click(message, ACK, "U0GONE")
    assert "no longer active" in await office.answer()
    await office.click(message, ACK, "U0MIA")
    code = (await office.answer(1)).split("`")[1]
    office.advance(2 * HOUR)
    late = await asyncio.to_thread(
        CliRunner().invoke, cli,
        ["slack", "link", code, "--person", "mia", "--db", str(office.service._url)],
        obj=office.clock,
    )  # fmt: skip
    assert (late.exit_code, "expired" in late.output) == (1, True)
    assert office.case().state is State.OPEN


# --- /detente -------------------------------------------------------------------------------------


async def test_slash_commands(office: ServiceOffice) -> None:
    await office.conflict("PO-1")
    case_id = office.case().case_id
    assert case_id in await office.slash("mine")
    assert await office.slash("mine", "U0DAVID") == "Nothing waits for you."
    shown = await office.slash(f"case {case_id[2:6].lower()}")
    assert "8 of 100 units short = 8.0 %" in shown
    assert "What happened" in shown
    assert (await office.slash(f"comment {case_id} all calm")).endswith("comment by Claire Dubois.")
    assert (await office.slash(f"ack {case_id}")).endswith("it is yours.")
    assert office.case().owner == "claire"
    assert "acknowledged by Claire Dubois" in await office.slash(f"case {case_id}")
    assert "is owned by Claire Dubois already" in await office.slash(f"ack {case_id}", "U0HENRIK")
    assert "Yours" in await office.slash("mine")
    for named in ("acme", "Acme Foods"):
        told = await office.slash(f"oncall {named}")
        assert "management: Claire Dubois, Henrik Sommer" in told
    assert "There is no weekly digest yet" in await office.slash("digest")
    assert "no case C-ZZZZ" in await office.slash("case zzzz")
    assert "Name a partner" in await office.slash("oncall")
    assert "/detente mine" in await office.slash("")
    assert "you want to say" in await office.slash(f"comment {case_id}")


async def test_a_partner_that_nobody_knows_comes_with_the_nearest(office: ServiceOffice) -> None:
    accepted = "Name a partner as the directory does, by id or by whole name"
    said = {named: re.sub("[\u2068\u2069]", "", await office.slash(f"oncall {named}"))
            for named in ("Acne Food", "nobody")}  # fmt: skip
    assert said == {
        "Acne Food": f"There is no partner Acne Food. {accepted}; did you mean acme?",
        "nobody": f"There is no partner nobody. {accepted}.",
    }


async def test_nobody_is_pinged_by_an_answer_or_a_form(tmp_path: Path) -> None:
    called = DIRECTORY.replace("name: Acme Foods", 'name: "<!channel> *Acme*"')
    called = called.replace("name: Claire Dubois", 'name: "<@U0HENRIK>"')
    async with opened(tmp_path, directory=called) as office:
        [message] = await office.conflict("PO-1")
        case_id = office.case().case_id
        for action in ("assign", "resolve"):
            views = len(office.slack.views)
            await office.click(message, f"detente_{action}", "U0HENRIK")
            await office.until(lambda views=views: len(office.slack.views) > views)  # type: ignore[misc]
        said = [
            await office.slash(text, user)
            for user, text in (
                ("U0CLAIRE", "mine"), ("U0CLAIRE", f"comment {case_id} <!here> it is"),
                ("U0CLAIRE", f"ack {case_id}"), ("U0HENRIK", f"ack {case_id}"),
                ("U0HENRIK", f"case {case_id}"), ("U0HENRIK", "oncall acme"),
                ("U0HENRIK", "case <!here>"), ("U0HENRIK", "digest <!here>"),
            )
        ]  # fmt: skip
        assert "&lt;!channel&gt;" in said[0]
        assert "&lt;@U0HENRIK&gt;" in said[3]
        texts = [body["text"] for body in office.said] + mrkdwn([*office.said, *office.slack.views])
        assert len(texts) > 20
        for text in texts:
            assert all(found.startswith("!date^") for found in control_sequences(text)), text


async def test_the_digest_that_was_issued_last_is_shown_by_a_command(office: ServiceOffice) -> None:
    sample = sample_digest()
    for week in ("2026-W45", "2026-W46"):
        period = sample.period.model_copy(update={"key": week, "label": week})
        body = sample.model_copy(update={"period": period}).model_dump_json().encode()
        with office.store.transaction() as tx:
            tx.issue_report(IssuedReport("digest", week, "", 1, Instant(MONDAY), "0", body, b""))
    assert "2026-W46" in await office.slash("digest")
    assert sample.summary[0].text in await office.slash("digest", "U0DAVID")
    shown = await office.slash("digest 2026-w45")
    assert "2026-W45" in shown
    assert "2026-W46" not in shown
    assert "No digest of 2026-W01 was issued; the newest is of 2026-W46" in (
        await office.slash("digest 2026-W01")
    )


# --- Socket Mode ----------------------------------------------------------------------------------


@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_connection_that_ends_is_opened_again(
    office: ServiceOffice, abruptly: bool
) -> None:
    await slack_stories.connections_that_end_are_opened_again(office, abruptly=abruptly)


async def test_slack_is_acknowledged_while_the_writer_is_busy(office: ServiceOffice) -> None:
    [message] = await office.conflict("PO-1")
    busy = threading.Event()
    work = asyncio.create_task(office.service._writer.call(busy.wait, WAIT))
    try:
        await office.click(message, ACK)  # returns with Slack's acknowledgement
        await office.click(message, "detente_resolve")
        await office.until(lambda: office.slack.views)  # nor does a form wait for the writer
        assert office.said == []
    finally:
        busy.set()
    await work
    assert (await office.answer()).endswith("it is yours.")


async def test_a_connection_that_slack_refuses_is_tried_again_and_no_secret_is_logged(
    office: ServiceOffice, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    [message] = await office.conflict("PO-1")
    office.slack.token_error = "account_inactive"
    await office.slack.disconnect()
    await office.slack.until(lambda: [
        call for call in office.slack.refused("account_inactive")
        if call.method == "apps.connections.open"
    ], WAIT)  # fmt: skip
    office.slack.token_error = None
    await asyncio.wait_for(office.slack.connected(), WAIT)
    await office.click(message, ACK)
    assert (await office.answer()).endswith("it is yours.")
    assert "No Socket Mode connection: Slack answered account_inactive" in caplog.text
    for secret in (office.slack.bot_token, office.slack.app_token):
        assert secret not in caplog.text


async def test_what_cannot_be_read_is_acknowledged_and_harms_nothing(office: ServiceOffice) -> None:
    [message] = await office.conflict("PO-1")
    odd: list[Any] = [{}, {"type": "block_actions"}, {"type": "view_submission", "user": 7}, []]
    for payload in odd:
        assert await office.slack.deliver("interactive", payload) is None
    assert await office.slack.deliver("events_api", {"event": {"type": "message"}}) is None
    await office.click(message, ACK)
    assert (await office.answer()).endswith("it is yours.")


# --- signed HTTP ----------------------------------------------------------------------------------


async def test_signed_requests_do_the_same_as_socket_mode(tmp_path: Path) -> None:
    async with opened(tmp_path, socket=False) as office:
        [message] = await office.conflict("PO-1")
        form = office.slack.form(office.slack.click(message, "detente_resolve", "U0CLAIRE"))
        assert await office.http(form) == (200, "")
        await office.until(lambda: office.slack.views)
        empty = office.slack.submission(office.slack.views[0], "U0CLAIRE", {})
        status, text = await office.http(office.slack.form(empty))
        assert (status, json.loads(text)["response_action"]) == (200, "errors")
        full = state_of({"root_cause": "lorry"})
        sent = office.slack.submission(office.slack.views[0], "U0CLAIRE", full)
        assert await office.http(office.slack.form(sent)) == (200, "")
        assert "resolved by Claire Dubois" in await office.answer()
        command = urlencode(office.slack.slash("U0CLAIRE", "digest", "C0MANAGE")).encode()
        assert await office.http(command, page="commands") == (200, "")
        assert "no weekly digest" in await office.answer(1)


async def test_forged_stale_repeated_and_malformed_requests_leave_no_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(tmp_path, socket=False) as office:
        slack = office.slack
        [message] = await office.conflict("PO-1")
        good = slack.form(slack.click(message, ACK, "U0CLAIRE"))
        now = office.clock() / SECOND
        headers = slack.signed(good)

        def counted() -> Any:
            return office.look(lambda tx: (
                tx.steps(office.case().case_id), list(tx.list_rejected()), tx.feeds(),
            ))  # fmt: skip

        before = counted()
        forged = [
            {},
            {**headers, "X-Slack-Signature": "v0=" + "0" * 64},
            {**headers, "X-Slack-Signature": "v0=é"},
            {**headers, "X-Slack-Signature": ""},
            {**headers, "X-Slack-Request-Timestamp": "soon"},
            {**headers, "X-Slack-Request-Timestamp": str(int(now) + 1)},
            slack.signed(good, now - 301),
            slack.signed(good, now + 302),
            slack.signed(good + b"&more=1"),
        ]
        for bad in forged:
            assert (await office.http(good, bad))[0] == 401, bad
        assert (await office.http(b"\xff\xfe", headers))[0] == 401
        odd: list[bytes] = [
            b"", b"payload=", b"payload=%7B", slack.form({}), slack.form({"type": "message"}),
            slack.form({"type": "block_actions", "user": {"id": "U0CLAIRE"}}),
            slack.form(slack.click(message, ACK, "U0CLAIRE") | {"actions": []}),
            slack.form(slack.click(message, ACK, "nobody at all")),
        ]  # fmt: skip
        for body in odd:
            assert (await office.http(body))[0] == 400, body
        assert (await office.http(b"text=mine", page="commands"))[0] == 400
        assert office.case().state is State.OPEN
        assert counted() == before
        assert slack.posted == []

        taken = slack.signed(good)
        assert await office.http(good, taken) == (200, "")
        await office.answer()
        office.advance(4 * MINUTE)
        after = office.steps()
        assert (await office.http(good, taken))[0] == 401  # seen before
        office.advance(2 * MINUTE)
        assert (await office.http(good, taken))[0] == 401  # and too old now
        assert office.steps() == after
        assert len(office.said) == 1
        for secret in (slack.signing_secret, slack.bot_token, slack.app_token):
            assert secret not in caplog.text


async def test_without_a_signing_secret_there_are_no_such_pages(tmp_path: Path) -> None:
    async with opened(tmp_path, DETENTE_SLACK_SIGNING_SECRET="") as office:
        assert (await office.http(b"payload={}", {}))[0] == 404


async def test_slack_needs_no_token_of_ours_and_others_still_do(tmp_path: Path) -> None:
    async with opened(tmp_path, socket=False) as office:
        [message] = await office.conflict("PO-1")
        made = ["token", "create", "erp", "--db", str(office.service._url)]
        assert (await asyncio.to_thread(CliRunner().invoke, cli, made)).exit_code == 0
        async with asyncio.timeout(WAIT):
            while (await post(office.service))["status"] != 401:
                continue
        form = office.slack.form(office.slack.click(message, ACK, "U0CLAIRE"))
        assert await office.http(form) == (200, "")
        assert (await office.answer()).endswith("it is yours.")
