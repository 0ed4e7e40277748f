"""What people do with alerts in Slack: stories that hold in one process and in a cluster alike.

Each is told in an `Office`: people, a Slack on loopback that checks what Slack checks, and whatever
of ours works behind it, on a clock that only the story moves.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from detente.cli import cli
from rules.decision import CaseRow, EffectKind, State, StepKind, StepRow
from schemas.time import DAY, HOUR, MINUTE, SECOND, Instant
from streams.store import DeliveryStatus, OutboxStatus, Store, Transaction
from tests.acceptance.test_service import MONDAY, WAIT, Clock, placed, short
from tests.fakes.slack import Fault, Message, SlackServer
from tests.fakes.slack.workspace import Bucket

POLICY = """
partner_tiers: [standard]
rules:
  - {name: order-impact, when: {impact: "> 5%"}, open_at: management}
  - {name: minor, when: {impact: "> 0%"}, open_at: watch}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 4h}
    executive: {notify: executive_sponsor, acknowledge_within: 4h}
calendars:
  default: {timezone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
bundling: {window: 2min, more_than: 3}
"""
DIRECTORY = """
people:
  anna: {name: Anna Lindner, routes: [{kind: slack, channel: C0FRONT}], bundle: false}
  claire:
    name: Claire Dubois
    bundle: false
    routes: [{kind: slack, channel: C0MANAGE}, {kind: slack, user: U0CLAIRE}]
  henrik:
    name: Henrik Sommer
    bundle: false
    routes: [{kind: slack, channel: C0MANAGE}, {kind: slack, user: U0HENRIK, team: T0FAKE}]
  david: {name: David Okafor, routes: [{kind: slack, user: U0DAVID}], bundle: false}
  mia: {name: Mia Novak, routes: [{kind: terminal}]}
  gone: {name: Gone, active: false, routes: [{kind: slack, user: U0GONE}]}
  desk: {name: Desk, routes: [{kind: terminal}]}
roles:
  account_manager: anna
  partnership_manager: [claire, henrik]
  executive_sponsor: david
  operations: desk
partners:
  acme: {tier: standard, name: Acme Foods}
"""
#: The highest tier reads the channel that the storm is in; another partner has its own.
STORM_POLICY = POLICY.replace(
    "rules:\n", 'rules:\n  - {name: severe, when: {impact: "> 50%"}, open_at: executive}\n'
)
STORM_DIRECTORY = """
people:
  anna: {name: Anna Lindner, bundle: false, routes: [{kind: terminal}]}
  claire:
    name: Claire Dubois
    bundle: false
    routes: [{kind: slack, channel: C0MANAGE}, {kind: slack, user: U0CLAIRE}]
  david: {name: David Okafor, bundle: false, routes: [{kind: slack, channel: C0MANAGE}]}
  mia: {name: Mia Novak, bundle: false, routes: [{kind: slack, channel: C0FRONT}]}
  desk: {name: Desk, routes: [{kind: terminal}]}
roles:
  account_manager: anna
  partnership_manager: claire
  executive_sponsor: david
  operations: desk
partners:
  acme: {tier: standard, name: Acme Foods}
  best: {tier: standard, name: Best Bakers, roles: {partnership_manager: mia}}
"""
#: The app has the scopes that the manifest asks for, and no others.
MANIFEST = Path(__file__).parents[1] / "examples" / "slack-manifest.yaml"
SCOPES: list[str] = yaml.safe_load(MANIFEST.read_text("utf-8"))["oauth_config"]["scopes"]["bot"]
ACK, ALL = "detente_acknowledge", "detente_acknowledge_all"


class Office:
    """People, the Slack that they use, and a clock. What works behind it is for others to say."""

    sockets = 1
    """How many of ours listen to Slack."""

    def __init__(self, slack: SlackServer, clock: Clock, store: Store, db: str) -> None:
        self.slack, self.clock, self.store, self.db = slack, clock, store, db

    # -- what works behind it ------------------------------------------------------------------

    async def take(self, *events: dict[str, Any]) -> None:
        """Events come from outside."""
        raise NotImplementedError

    def wake(self) -> None:
        """The clock was moved: whoever waits on the wall clock looks again."""

    async def turn(self) -> None:
        """Let others get their turn."""
        raise NotImplementedError

    # -- what happens --------------------------------------------------------------------------

    def advance(self, microseconds: int) -> None:
        self.clock.advance(microseconds)
        self.wake()

    async def conflict(self, *order_ids: str) -> list[Message]:
        """Orders that come short; the messages about them to the partnership managers."""
        for order_id in order_ids:
            await self.take(placed(order_id, Instant(MONDAY + DAY)), short(order_id))
            for channel in ("C0MANAGE", "C0FRONT"):
                await self.until(partial(self.about, channel, order_id))
        return [self.about("C0MANAGE", order_id)[0] for order_id in order_ids]

    def about(self, channel: str, order_id: str) -> list[Message]:
        return [m for m in self.slack.roots(channel) if order_id in m.text]

    async def click(
        self, message: Message, action: str, user: str = "U0CLAIRE", **other: Any
    ) -> Any:
        """Over Socket Mode; returns once the envelope is acknowledged."""
        self.clock.advance(1_000)  # nobody clicks twice in one microsecond
        payload = self.slack.click(message, action, user, **other)
        return await self.slack.deliver("interactive", payload)

    async def fill(
        self, button: str, message: Message, user: str = "U0CLAIRE", **values: Any
    ) -> Any:
        """Open a modal by its button, fill it in and send it off; returns Slack's ack payload."""
        views = len(self.slack.views)
        await self.click(message, button, user)
        await self.until(lambda: len(self.slack.views) > views)
        return await self.submit(user, **values)

    async def submit(self, user: str = "U0CLAIRE", **values: Any) -> Any:
        payload = self.slack.submission(self.slack.views[-1], user, state_of(values))
        return await self.slack.deliver("interactive", payload)

    async def command(self, *arguments: str) -> Result:
        """Somebody at the machine runs a command."""
        done = [*arguments, "--db", self.db]
        return await asyncio.to_thread(CliRunner().invoke, cli, done, obj=self.clock)

    async def slash(self, text: str, user: str = "U0CLAIRE") -> str:
        """Write `/detente TEXT`; returns the answer."""
        before = len(self.said)
        await self.slack.deliver("slash_commands", self.slack.slash(user, text, "C0MANAGE"))
        return await self.answer(before)

    # -- what came of it -----------------------------------------------------------------------

    @property
    def said(self) -> list[dict[str, Any]]:
        """The private answers."""
        return [dict(p.body) for p in self.slack.posted
                if p.body.get("response_type") == "ephemeral"]  # fmt: skip

    async def answer(self, before: int | None = None) -> str:
        """What the next, or the only, private answer shows."""
        number = 0 if before is None else before
        await self.until(lambda: len(self.said) > number)
        body = self.said[number]
        return Message("", "", body["text"], body["blocks"], body.get("attachments", []), None,
                       None, None).shown  # fmt: skip

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something has come of it; no more than a few seconds pass on the clock."""
        self.advance(2 * SECOND)  # what keeps Slack's pace goes on
        await self.slack.until(holds, WAIT)

    async def meanwhile(self, holds: Callable[[], object]) -> None:
        """Wait until something is decided or told, all at one instant."""
        async with asyncio.timeout(WAIT):
            while not holds():
                self.wake()
                await self.turn()

    async def all_told(self, step: int = SECOND) -> None:
        """Move the clock step by step until nothing is left to be told."""
        async with asyncio.timeout(4 * WAIT):
            while self.look(Transaction.count_outbox).get(OutboxStatus.QUEUED):
                calls = len(self.slack.calls)
                self.advance(step)
                with suppress(TimeoutError):
                    await self.slack.until(partial(self._is_called_again, calls), 0.2)

    def _is_called_again(self, calls: int) -> bool:
        return len(self.slack.calls) > calls

    def look(self, question: Callable[[Transaction], Any]) -> Any:
        with self.store.reading() as tx:
            return question(tx)

    def case(self, order_id: str = "PO-1") -> CaseRow:
        found: CaseRow = next(c for c in self.look(lambda tx: tx.list_cases())
                              if c.subject.endswith(order_id))  # fmt: skip
        return found

    def steps(self, order_id: str = "PO-1") -> list[StepRow]:
        case_id = self.case(order_id).case_id
        return [s for s in self.look(lambda tx: tx.steps(case_id)) if s.withdrawn_at is None]

    def kinds(self, order_id: str = "PO-1") -> list[StepKind]:
        return [step.kind for step in self.steps(order_id)]


def state_of(values: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for name, value in values.items():
        match value:
            case int():
                shown = {"type": "datetimepicker", "selected_date_time": value}
            case {"option": option}:
                shown = {"type": "static_select", "selected_option": {"value": option}}
            case _:
                shown = {"type": "plain_text_input", "value": value}
        state[name] = {name: shown}
    return state


# --- stories --------------------------------------------------------------------------------------


async def an_alert_is_owned_by_one_click_and_shows_it(office: Office) -> None:
    [message] = await office.conflict("PO-1")
    assert await office.click(message, ACK) is None  # acknowledged with nothing to say
    told = await office.answer()
    assert told.startswith("Acme Foods, order PO-1: ")
    assert told.endswith("it is yours.")
    case = office.case()
    assert (case.state, case.owner) == (State.ACKNOWLEDGED, "claire")
    await office.until(lambda: message.text.startswith("🙋 Acknowledged"))
    assert "Claire Dubois" in message.shown
    assert ACK not in message.buttons
    [step] = [s for s in office.steps() if s.kind is StepKind.ACKNOWLEDGED]
    assert step.actor == "claire"


async def two_people_click_at_once_and_one_of_them_owns(office: Office) -> None:
    [message] = await office.conflict("PO-1")
    clicks = [office.slack.click(message, ACK, user) for user in ("U0CLAIRE", "U0HENRIK")]
    await asyncio.gather(
        *(
            office.slack.deliver("interactive", click, socket=n % office.sockets)
            for n, click in enumerate(clicks)
        )
    )
    await office.until(lambda: len(office.said) == 2)
    owner = office.case().owner
    assert owner in {"claire", "henrik"}
    assert office.kinds().count(StepKind.ACKNOWLEDGED) == 1
    name = {"claire": "Claire Dubois", "henrik": "Henrik Sommer"}[owner]
    texts = [body["text"] for body in office.said]
    assert sum(text.endswith(": it is yours.") and "take it" not in text for text in texts) == 1
    assert sum(f"is owned by {name} already" in text for text in texts) == 1
    await office.until(lambda: name in message.shown)


async def an_old_message_that_is_clicked_says_so_and_is_put_right(office: Office) -> None:
    [message] = await office.conflict("PO-1")
    old = (message.text, message.blocks, message.attachments)
    await office.fill("detente_resolve", message, root_cause="lorry broke down")
    await office.answer()
    await office.until(lambda: message.text.startswith("✅ Resolved"))
    await office.until(lambda: office.slack.thread("C0MANAGE", message.ts))
    await office.all_told()
    message.text, message.blocks, message.attachments = old  # as if no update had ever come
    await office.click(message, ACK, "U0HENRIK")
    assert "the case is resolved already" in await office.answer(1)
    await office.until(lambda: message.text.startswith("✅ Resolved"))
    assert [p.body["text"][:10] for p in office.slack.posted if p.body["replace_original"]] == [
        "✅ Resolved"
    ]
    assert set(message.buttons) == set()
    message.text, message.blocks, message.attachments = old
    await office.click(message, "detente_snooze", "U0HENRIK")  # no form is opened in vain
    assert "the case is resolved already" in await office.answer(2)
    assert len(office.slack.views) == 1
    assert office.kinds().count(StepKind.COMMENTED) == 0


async def silence_escalates_and_the_next_tier_owns_from_its_direct_message(
    office: Office,
) -> None:
    await office.conflict("PO-1")
    office.advance(4 * HOUR)
    direct = office.slack.direct("U0DAVID")
    await office.until(lambda: office.slack.messages(direct))
    [message] = office.slack.messages(direct)
    assert message.text.startswith("🔴 Executive alert")
    await office.click(message, ACK, "U0DAVID")
    assert (await office.answer()).endswith("it is yours.")
    assert (office.case().tier, office.case().owner) == ("executive", "david")


class Race(StrEnum):
    """What comes first: the deadline, or the click that it waits for."""

    CLICK = "click"
    DEADLINE = "deadline"
    NOBODY_LOOKED = "nobody looked"
    """The click comes a moment after the deadline, while that is about to be decided."""


async def an_acknowledgement_races_an_escalation_and_one_of_them_wins(
    office: Office, first: Race
) -> None:
    [message] = await office.conflict("PO-1")
    direct = office.slack.direct("U0DAVID")
    due = office.case().due
    assert due is not None
    office.clock.now = Instant(due - SECOND)
    click = office.slack.click(message, ACK, "U0CLAIRE")
    # What comes at the very instant of the deadline is in time.
    office.clock.now = Instant(due + (SECOND if first is Race.NOBODY_LOOKED else 0))
    if first is Race.DEADLINE:
        await office.until(lambda: office.slack.messages(direct))
    await office.slack.deliver("interactive", click)
    await office.slack.until(lambda: office.said, WAIT)
    told = await office.answer()
    office.advance(MINUTE)
    expected: tuple[State, str, str | None]
    is_owned = told.endswith("it is yours.")
    if first is not Race.NOBODY_LOOKED:  # then either may win
        assert is_owned is (first is Race.CLICK)
    if is_owned:
        await office.until(lambda: message.text.startswith("🙋 Acknowledged"))
        await office.all_told()
        expected = (State.ACKNOWLEDGED, "management", "claire")
    else:
        assert "Claire Dubois is not the executive sponsor" in told
        await office.until(lambda: "escalated to executive" in message.shown)
        await office.all_told()
        expected = (State.OPEN, "executive", None)
    case, kinds = office.case(), office.kinds()
    assert (case.state, case.tier, case.owner) == expected
    escalations = 0 if is_owned else 1
    assert (kinds.count(StepKind.ESCALATED), kinds.count(StepKind.ACKNOWLEDGED)) == (
        escalations, 1 - escalations
    )  # fmt: skip
    assert len(office.slack.messages(direct)) == escalations
    assert len(office.slack.roots("C0MANAGE")) == 1


async def a_storm_loses_nothing_and_holds_up_no_other_channel(office: Office, cases: int) -> None:
    """More than one message a second for one channel; the highest tier reads it as well."""
    slack, names = office.slack, [f"PO-{n}" for n in range(cases)]
    # Others post there with the same app, so that keeping Slack's pace is not enough.
    slack._buckets["chat.postMessage", "C0MANAGE"] = Bucket(slack.clock, 0.6, 1)

    async def conflicts(*events: dict[str, Any]) -> None:
        known = len(office.look(lambda tx: tx.list_cases()))
        await office.take(*events)
        wanted = known + len(events) // 2
        await office.meanwhile(lambda: len(office.look(lambda tx: tx.list_cases())) == wanted)

    def told() -> list[str]:
        """The orders, as their alerts reached Slack."""
        posts = slack.made("chat.postMessage")
        return [_order_of(c.arguments["text"]) for c in posts if "thread_ts" not in c.arguments]

    await conflicts(
        *(placed(name, Instant(MONDAY + DAY)) for name in names), *map(short, names)
    )  # fmt: skip
    before = len(told())
    assert before < cases / 4, "there is a queue"
    await conflicts(
        placed("TOP-1", Instant(MONDAY + DAY)), short("TOP-1", quantity=80),
        placed("ELSEWHERE", Instant(MONDAY + DAY), "best"), short("ELSEWHERE", 8, "best"),
    )  # fmt: skip
    for order_id in ("TOP-1", "ELSEWHERE"):
        await office.until(lambda order_id=order_id: order_id in told())  # type: ignore[misc]
        assert told().index(order_id) < before + 8, "a few turns of the queue at most"
    # What is done about the first while the others wait is told after their alerts.
    early = [m for m in slack.roots("C0MANAGE") if _order_of(m.text) in names][:2]
    for n, message in enumerate(early):
        await office.click(message, ACK)
        assert (await office.answer(n)).endswith("it is yours.")
    await office.all_told()
    alerts = [_order_of(message.text) for message in slack.roots("C0MANAGE")]
    assert sorted(alerts) == sorted([*names, "TOP-1"])
    assert all(message.text.startswith("🙋 Acknowledged") for message in early)
    alerts.remove("TOP-1")
    if office.sockets == 1:  # several relays keep the order of a case, not of cases
        assert alerts == names
    assert slack.refused("ratelimited"), "Slack asked to wait"  # how often, the machine decides
    rows = office.look(lambda tx: tx.deliveries_about([c.case_id for c in tx.list_cases()], []))
    # Being asked to wait uses up no attempt and leaves no mark on the record.
    assert DeliveryStatus.FAILED not in {row.status for row in rows}


def _order_of(text: str) -> str:
    """The order that a message is about."""
    return text.partition("order ")[2].partition(":")[0]


async def trouble_at_random_leaves_each_alert_exactly_once(office: Office) -> None:
    """Half an answer, none, or none in time; `slack_notifier.TIMEOUT` has to be short."""
    slack, names = office.slack, [f"PO-{n}" for n in range(12)]
    shares = {Fault.ANSWER_STALLS: 0.03} | dict.fromkeys(
        [Fault.SERVER_ERROR, Fault.SERVER_ERROR_AFTER, Fault.CONNECTION_LOST, Fault.ANSWER_LOST,
         Fault.FATAL], 0.05)  # fmt: skip
    slack.chaos(shares, ["chat.postMessage", "chat.update", "conversations.history"])
    for name in names:
        await office.take(placed(name, Instant(MONDAY + DAY)), short(name))
    await office.meanwhile(lambda: len(office.look(lambda tx: tx.list_cases())) == len(names))
    await office.all_told(5 * SECOND)
    alerts = slack.roots("C0MANAGE")
    assert sorted(_order_of(message.text) for message in alerts) == sorted(names)
    for message in alerts:
        await office.click(message, ACK)
    await office.meanwhile(lambda: len(office.said) == len(names))
    await office.all_told(5 * SECOND)
    assert len([call for call in slack.calls if call.error]) > 5, "there was trouble"
    assert slack.roots("C0MANAGE") == alerts
    assert all(m.text.startswith("🙋 Acknowledged") for m in alerts)
    assert office.look(Transaction.count_outbox).keys() <= {
        OutboxStatus.SENT, OutboxStatus.DROPPED
    }  # fmt: skip


async def connections_that_end_are_opened_again(office: Office, *, abruptly: bool) -> None:
    messages = await office.conflict("PO-1", "PO-2")
    slack = office.slack
    opened = len(slack.made("apps.connections.open"))
    await slack.disconnect(abruptly=abruptly)
    async with asyncio.timeout(WAIT):
        await slack.until(
            lambda: len(slack.made("apps.connections.open")) >= opened + office.sockets, WAIT
        )
        await slack.connected(office.sockets)
    for socket in range(office.sockets):
        await slack.deliver(
            "interactive", slack.click(messages[socket], ACK, "U0CLAIRE"), socket=socket
        )
        assert (await office.answer(socket)).endswith("it is yours.")


async def a_stranger_is_shown_a_code_and_can_act_once_it_is_entered(office: Office) -> None:
    [message] = await office.conflict("PO-1")
    await office.click(message, "detente_comment", "U0MIA")
    prompt = await office.answer()
    assert "not linked" in prompt
    assert office.slack.views == []
    code = prompt.split("`")[1]
    wrong = await office.command("slack", "link", code, "--person", "mai")
    assert wrong.exit_code == 1
    assert "Did you mean" in wrong.output or "mai" in wrong.output
    done = await office.command("slack", "link", code, "--person", "mia")
    assert "Mia Novak" in done.output, done.output
    again = await office.command("slack", "link", code, "--person", "claire")
    assert (again.exit_code, "used before" in again.output) == (1, True)
    await office.fill("detente_comment", message, "U0MIA", note="hello")
    assert "comment by Mia Novak" in await office.answer(1)
    # The same member id in another workspace is somebody else.
    await office.click(message, ACK, "U0MIA", team="T0OTHER")
    assert "not linked" in await office.answer(2)
    await office.click(message, ACK, "U0CLAIRE", team="T0OTHER")
    assert "not linked" in await office.answer(3)
    assert office.case().state is State.OPEN
    out = await office.command("slack", "unlink", "T0FAKE", "U0MIA")
    assert out.exit_code == 0
    assert "not linked" in await office.slash("mine", "U0MIA")


async def a_token_that_slack_refuses_is_told_to_operations(office: Office) -> None:
    office.slack.token_error = "token_revoked"
    await office.take(placed("PO-1", Instant(MONDAY + DAY)), short("PO-1"))

    def alarms(tx: Transaction) -> list[str]:
        told = (entry.effect for entry in tx.list_outbox([OutboxStatus.SENT]))
        return [str(e.text["headline"]) for e in told if e.kind is EffectKind.OPERATIONS]

    async with asyncio.timeout(WAIT):
        while not office.look(alarms):
            office.advance(SECOND)
            await office.turn()
    [alarm, *_] = office.look(alarms)
    assert alarm.endswith("Slack answered token_revoked: the token was revoked")
