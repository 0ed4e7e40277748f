"""What people do with alerts in Slack: stories that hold in one process and in a cluster alike.

Each is told in an `Office`: people, a Slack on loopback that checks what Slack checks, and whatever
of ours works behind it, on a clock that only the story moves.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any

from rules.decision import CaseRow, State, StepKind, StepRow
from schemas.time import DAY, HOUR, MINUTE, SECOND, Instant
from streams.store import OutboxStatus, Store, Transaction
from tests.acceptance.test_service import MONDAY, WAIT, Clock, placed, short
from tests.fakes.slack import Message, SlackServer

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
ACK, ALL = "detente_acknowledge", "detente_acknowledge_all"


class Office:
    """People, the Slack that they use, and a clock. What works behind it is for others to say."""

    sockets = 1
    """How many of ours listen to Slack."""

    def __init__(self, slack: SlackServer, clock: Clock, store: Store) -> None:
        self.slack, self.clock, self.store = slack, clock, store

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

    async def all_told(self) -> None:
        """Wait until nothing is left to be told."""
        async with asyncio.timeout(WAIT):
            while self.look(Transaction.count_outbox).get(OutboxStatus.QUEUED):
                self.advance(SECOND)
                await self.turn()

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
        assert "claire is not the executive sponsor" in told
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
