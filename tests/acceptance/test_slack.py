"""Telling people over Slack, as stories: the real relay and store, the real client, and a Slack on
loopback that checks, limits and fails as Slack does."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from shutil import copy
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from notifiers.memory import MemoryNotifier
from notifiers.message import Message
from notifiers.notifier import Failed, Notifiers, Outcome, Retry, Sent
from notifiers.report_message import RenderedReport, ReportName
from notifiers.slack import SlackNotifier, from_environment, web_client
from notifiers.slack import notifier as slack_notifier
from rules.calendars import BusinessCalendar
from rules.decision import CaseRow, Changes, Effect, EffectKind, Kind, State
from rules.recipients import Recipients
from schemas.directory import Directory, Route, SlackRoute, TerminalRoute
from schemas.policy import Policy
from schemas.time import HOUR, MINUTE, SECOND, Instant, to_instant
from streams.intake import start_server
from streams.relay import Backoff, House, Reason, Relay, RelayReport, Shift
from streams.store import DeliveryRow, DeliveryStatus, OutboxStatus, Store, Transaction
from tests.fakes.slack import Fault, SlackServer
from tests.fakes.slack.workspace import Bucket
from tests.slack_stories import SCOPES
from tests.unit.test_slack_blocks import ALERT as ENTRY
from tests.unit.test_slack_blocks import message

FRONT: dict[str, Any] = {"kind": "slack", "channel": "C0FRONT"}
MANAGE: dict[str, Any] = {"kind": "slack", "channel": "C0MANAGE"}
DAVID: dict[str, Any] = {"kind": "slack", "user": "U0DAVID"}
TERMINAL: dict[str, Any] = {"kind": "terminal"}
PEOPLE: dict[str, Any] = {
    "anna": {"name": "Anna Lindner", "routes": [FRONT], "bundle": False},
    "claire": {"name": "Claire Dubois", "routes": [MANAGE, TERMINAL], "bundle": False},
    "henrik": {"name": "Henrik Sommer", "routes": [MANAGE], "bundle": False},
    "david": {"name": "David Okafor", "routes": [DAVID], "bundle": False},
    "opsdesk": {"name": "Operations desk", "routes": [TERMINAL]},
}
TIERS = {
    "frontline": "account_manager",
    "management": "partnership_manager",
    "executive": "executive_sponsor",
}
ROLES: dict[str, Any] = {
    "account_manager": "anna",
    "partnership_manager": "claire",
    "executive_sponsor": "david",
    "operations": "opsdesk",
}
HOURS = {"mon-fri": ["09:00-17:00"]}
POLICY: dict[str, Any] = {
    "rules": [{"name": "late", "when": {"delay": "> 48h"}, "open_at": "management"}],
    "ladders": {
        "default": {
            tier: {"notify": role, "acknowledge_within": "2bh"} for tier, role in TIERS.items()
        }
    },
    "calendars": {"default": {"timezone": "Europe/Berlin", "hours": HOURS}},
    "bundling": {"window": "2min", "more_than": 3},
}
#: A Monday, 10:00 in Berlin.
START = to_instant(datetime.fromisoformat("2026-11-02T10:00:00+01:00"))
ALERT, NOTICE = EffectKind.ALERT, EffectKind.NOTICE
UPDATE, RETRACTION = EffectKind.UPDATE, EffectKind.RETRACTION


class Crash(BaseException):
    """The process ends here."""


class Mortal:
    """Slack's notifier in a process that can end right after a message went out."""

    def __init__(self, notifier: SlackNotifier) -> None:
        self.notifier, self.dies_after = notifier, 0

    async def send(self, message: Message, route: Route) -> Outcome:
        outcome = await self.notifier.send(message, route)
        if self.dies_after:
            self.dies_after -= 1
            if not self.dies_after:
                raise Crash
        return outcome


class Desk:
    """A store, a relay and a Slack, on one clock that only the story moves."""

    def __init__(self, store: Store, slack: SlackServer, session: aiohttp.ClientSession) -> None:
        self.store, self.slack, self.session = store, slack, session
        self.now = START
        self.people = {name: dict(person) for name, person in PEOPLE.items()}
        self.roles = dict(ROLES)
        self.terminal = MemoryNotifier()
        self.environment = {
            "SLACK_BOT_TOKEN": slack.bot_token,
            "DETENTE_BASE_URL": "https://detente.example.com",
        }
        self.backoff = Backoff(first=2 * SECOND)
        self.reports: dict[ReportName, RenderedReport] = {}
        self.reports_break = False
        self._effects = 0
        self._house: tuple[str, House] | None = None
        self.restart()

    def restart(self, shift: Shift | None = None) -> None:
        """A new process over the same store."""
        notifier = from_environment(self.environment, self.session, api_url=self.slack.api_url)
        self.mortal = Mortal(notifier)
        notifiers: Notifiers = {"slack": self.mortal, "terminal": self.terminal}
        self.relay = Relay(self.store.reading, self._commit, self.house, notifiers, Random(1),
                           backoff=self.backoff, reports=self._report, shift=shift)  # fmt: skip

    def _report(self, name: ReportName) -> RenderedReport | None:
        if self.reports_break:
            raise LookupError(name)
        return self.reports.get(name)

    async def _commit(self, work: Callable[[Transaction], None]) -> None:
        with self.store.transaction() as tx:
            work(tx)

    def house(self) -> House:
        said = repr((self.people, self.roles))
        if self._house is None or self._house[0] != said:
            calendars = {"default": BusinessCalendar("Europe/Berlin", HOURS)}
            directory = Directory.model_validate({"people": self.people, "roles": self.roles})
            recipients = Recipients(directory, calendars)
            self._house = said, House(Policy.model_validate(POLICY), recipients, calendars)
        return self._house[1]

    # -- what is the case ----------------------------------------------------------------------

    def alert(self, case_id: str, tier: str = "management", **other: Any) -> str:
        """A case that opens, or climbs, to a tier, and the alert about it."""
        return self.alerts([case_id], tier, **other)[0]

    def alerts(self, case_ids: Iterable[str], tier: str = "management", **other: Any) -> list[str]:
        effects = [self._effect(name, ALERT, TIERS[tier], **other) for name in case_ids]
        cases = [self._case(e.case_id or "", State.OPEN, tier) for e in effects]
        with self.store.transaction() as tx:
            tx.write(Changes(cases=cases, effects=effects))
        return [effect.effect_id for effect in effects]

    def update(self, case_id: str, state: State, headline: str, **other: Any) -> str:
        """A case that somebody changes; its partnership managers are told."""
        kind = RETRACTION if state is State.RETRACTED else UPDATE
        text = {"headline": f"acme, order {case_id}: {headline}", "partner": "acme",
                "subject": f"order {case_id}", "why": []}  # fmt: skip
        role = other.pop("role", "partnership_manager")
        effect = self._effect(case_id, kind, role, text=text, state=state, due=None, **other)
        case = self._case(case_id, state, "management", owner=other.get("actor"))
        with self.store.transaction() as tx:
            tx.write(Changes(cases=[case], effects=[effect]))
        return effect.effect_id

    def _case(self, case_id: str, state: State, tier: str, owner: str | None = None) -> CaseRow:
        return CaseRow(
            case_id=case_id, subject=f"order/acme/{case_id}", kind=Kind.ORDER, partner_id="acme",
            partner_tier="growth", state=state, tier=tier, highest_tier=tier, owner=owner,
            disputed=False, shadow=False, parent=None, rules=("late",), headline="late",
            opened_at=START, changed_at=self.now, due=None, waits_for=None,
        )  # fmt: skip

    def _effect(self, case_id: str | None, kind: EffectKind, role: str, **other: Any) -> Effect:
        self._effects += 1
        tier = next((tier for tier, name in TIERS.items() if name == role), "watch")
        effect = Effect(
            effect_id=f"e{self._effects}", case_id=case_id, partner_id="acme",
            step=f"step{self._effects}", kind=kind, role=role, tier=tier, state=State.OPEN,
            urgent=False, shadow=False, at=self.now, created_at=self.now,
            due=Instant(self.now + 2 * HOUR), remind_every=None, remind_at_most=0, actor=None,
            text={"headline": f"acme, order {case_id}: 50 h late", "why": ["50 h > 48 h"],
                  "subject": f"order {case_id}", "partner": "acme"},
        )  # fmt: skip
        return replace(effect, **other)

    # -- what happens --------------------------------------------------------------------------

    async def run(self) -> RelayReport:
        return await self.relay.run_once(self.now)

    async def advance(self, **time: int) -> RelayReport:
        """Move the clock, and let the relay do on the way what falls due on the way."""
        units = {"hours": HOUR, "minutes": MINUTE, "seconds": SECOND}
        until = self.now + sum(units[unit] * n for unit, n in time.items())
        report = await self.run()
        while report.next_wake is not None and report.next_wake <= until:
            assert report.next_wake > self.now, "the relay asks to be woken at once, again"
            self.now = report.next_wake
            report = await self.run()
        self.now = Instant(until)
        return report

    # -- what came of it -----------------------------------------------------------------------

    def titles(self, channel: str) -> list[str]:
        """The header, or first line, of what readers see in a channel."""
        return [m.text.split("\n")[0] for m in self.slack.messages(channel)]

    def replies(self, channel: str, number: int = 0) -> list[str]:
        root = self.slack.roots(channel)[number]
        return [m.text.split("\n")[0] for m in self.slack.thread(channel, root.ts)]

    def rows(self, effect_id: str) -> list[DeliveryRow]:
        with self.store.reading() as tx:
            seq = next(e.seq for e in tx.list_outbox() if e.effect.effect_id == effect_id)
            return [r for r in tx.deliveries_about([], [seq]) if r.effect_id == effect_id]

    def became(self, effect_id: str) -> OutboxStatus:
        with self.store.reading() as tx:
            return next(e.status for e in tx.list_outbox() if e.effect.effect_id == effect_id)

    def counts(self) -> dict[OutboxStatus, int]:
        with self.store.reading() as tx:
            return tx.count_outbox()


@asynccontextmanager
async def opened(file: Path, **settings: Any) -> AsyncIterator[Desk]:
    box: list[Desk] = []

    def seconds() -> float:
        return (box[0].now if box else START) / SECOND

    with Store.open(f"sqlite:///{file}") as store:
        server = SlackServer(seconds, scopes=SCOPES, **settings)
        async with server as slack, aiohttp.ClientSession() as session:
            slack.channel("C0FRONT")
            slack.channel("C0MANAGE")
            slack.user("U0DAVID", "david")
            box.append(Desk(store, slack, session))
            yield box[0]


@pytest.fixture
async def desk(migrated_database: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(Path(copy(migrated_database, tmp_path))) as found:
        yield found


# --- one message for a case and channel -----------------------------------------------------------


async def test_a_case_is_one_message_that_changes_and_a_thread_that_grows(desk: Desk) -> None:
    alert = desk.alert("c1")
    await desk.run()
    assert desk.titles("C0MANAGE") == ["🟠 Management alert: acme, order c1: 50 h late"]
    [message] = desk.slack.messages("C0MANAGE")
    assert set(message.buttons) >= {"detente_acknowledge", "detente_resolve", "detente_open"}
    assert message.buttons["detente_open"]["url"] == "https://detente.example.com/cases/c1"
    [row] = desk.rows(alert)
    assert (row.route, row.status, row.reference) == (
        "1 slack C0MANAGE", DeliveryStatus.SENT, f"C0MANAGE/{message.ts}"
    )  # fmt: skip

    await desk.advance(minutes=1)
    desk.update("c1", State.ACKNOWLEDGED, "acknowledged by henrik", actor="henrik")
    await desk.advance(minutes=1)
    assert desk.titles("C0MANAGE") == ["🙋 Acknowledged: acme, order c1: 50 h late"]
    assert desk.replies("C0MANAGE") == [
        "🙋 Acknowledged: acme, order c1: acknowledged by Henrik Sommer"
    ]
    assert "Henrik Sommer" in message.shown  # the owner
    assert "50 h &gt; 48 h" in message.shown
    assert "detente_acknowledge" not in message.buttons

    desk.update("c1", State.RESOLVED, "resolved")
    await desk.advance(minutes=1)
    assert desk.titles("C0MANAGE") == ["✅ Resolved: acme, order c1: 50 h late"]
    assert len(desk.replies("C0MANAGE")) == 2
    assert set(message.buttons) == {"detente_open"}


async def test_a_higher_tier_is_told_by_direct_message_and_the_lower_one_in_its_thread(
    desk: Desk,
) -> None:
    desk.alert("c1", "management")
    await desk.advance(minutes=1)
    desk.alert("c1", "executive", step="climb")
    notice = desk._effect("c1", NOTICE, "partnership_manager", step="climb")
    with desk.store.transaction() as tx:
        tx.write(Changes(effects=[notice]))
    await desk.advance(minutes=1)
    assert desk.titles(desk.slack.direct("U0DAVID")) == [
        "🔴 Executive alert: acme, order c1: 50 h late"
    ]
    assert len(desk.slack.messages("C0MANAGE")) == 1
    assert desk.replies("C0MANAGE") == ["🟠 For information, management: acme, order c1: 50 h late"]


async def test_a_higher_tier_in_the_same_channel_is_shown_to_everybody_there(desk: Desk) -> None:
    desk.people["david"]["routes"] = [MANAGE]
    desk.alert("c1", "management")
    await desk.advance(minutes=1)
    desk.alert("c1", "executive")
    await desk.advance(minutes=1)
    high = "🔴 Executive alert: acme, order c1: 50 h late"
    assert desk.titles("C0MANAGE") == [high, high]  # the message itself, and its reply, shown
    assert len(desk.slack.roots("C0MANAGE")) == 1


async def test_a_reminder_is_shown_in_the_channel_too(desk: Desk) -> None:
    desk.alert("c1", remind_every="1bh", remind_at_most=2)
    await desk.advance(hours=3)
    assert desk.replies("C0MANAGE") == [
        "🟠 Reminder 1 of 2, management: acme, order c1: 50 h late",
        "🟠 Reminder 2 of 2, management: acme, order c1: 50 h late",
    ]
    assert len(desk.slack.messages("C0MANAGE")) == 3
    assert desk.titles("C0MANAGE")[0].startswith("🟠 Reminder 2 of 2")


async def test_a_warning_stands_with_its_case_or_alone_and_asks_for_nothing(desk: Desk) -> None:
    desk.alert("c1")
    await desk.run()
    near = {"headline": "acme, order c1: to be acknowledged soon", "partner": "acme", "why": []}
    with desk.store.transaction() as tx:
        tx.write(Changes(effects=[
            desk._effect("c1", EffectKind.WARNING, "partnership_manager", text=near, state=None),
            desk._effect(None, EffectKind.WARNING, "partnership_manager", tier="watch", state=None,
                         text=near | {"headline": "acme, ticket T-1: an answer is due soon"}),
        ]))  # fmt: skip
    await desk.advance(seconds=5)
    assert desk.titles("C0MANAGE") == [
        "🟠 Management alert: acme, order c1: 50 h late",
        "⏰ Warning, management: acme, order c1: to be acknowledged soon",
        "⏰ Warning: acme, ticket T-1: an answer is due soon",
    ]
    assert desk.replies("C0MANAGE") == [desk.titles("C0MANAGE")[1]]
    alert, alone = desk.slack.roots("C0MANAGE")
    assert "detente_acknowledge" in alert.buttons
    assert alone.buttons == {}


async def test_a_retraction_is_visible_where_the_alert_was(desk: Desk) -> None:
    desk.alert("c1")
    await desk.advance(minutes=1)
    desk.update("c1", State.RETRACTED, "retracted: it came in time")
    await desk.advance(minutes=1)
    assert desk.titles("C0MANAGE") == [
        "↩️ Retracted: acme, order c1: 50 h late",
        "↩️ Retracted: acme, order c1: retracted: it came in time",
    ]


async def test_several_readers_of_a_channel_share_one_message(desk: Desk) -> None:
    desk.roles["partnership_manager"] = ["claire", "henrik"]
    alert = desk.alert("c1")
    await desk.advance(minutes=1)
    assert len(desk.slack.messages("C0MANAGE")) == 1
    rows = desk.rows(alert)
    assert [(row.person, row.status) for row in rows] == [
        ("claire", DeliveryStatus.SENT), ("henrik", DeliveryStatus.SENT)
    ]  # fmt: skip
    assert rows[1].detail == "stands where Claire Dubois was told"
    assert rows[0].reference == rows[1].reference


async def test_one_channel_hears_once_of_a_step_and_again_when_it_is_taken_again(
    desk: Desk,
) -> None:
    desk.people["anna"]["routes"] = [MANAGE]
    for _ in range(2):
        alert = desk._effect("c1", ALERT, "partnership_manager", step="opened")
        notice = desk._effect("c1", NOTICE, "account_manager", step="opened")
        with desk.store.transaction() as tx:
            case = desk._case("c1", State.OPEN, "management")
            tx.write(Changes(cases=[case], effects=[alert, notice]))
        await desk.advance(minutes=1)
        desk.update("c1", State.RETRACTED, "retracted")
        await desk.advance(minutes=1)
    assert desk.replies("C0MANAGE") == [
        "↩️ Retracted: acme, order c1: retracted",
        "🟠 Management alert: acme, order c1: 50 h late",
        "↩️ Retracted: acme, order c1: retracted",
    ]


async def test_ones_own_change_is_shown_and_not_told(desk: Desk) -> None:
    desk.alert("c1")
    await desk.advance(minutes=1)
    update = desk.update("c1", State.ACKNOWLEDGED, "acknowledged by claire", actor="claire")
    await desk.advance(minutes=1)
    assert desk.titles("C0MANAGE") == ["🙋 Acknowledged: acme, order c1: 50 h late"]
    assert desk.replies("C0MANAGE") == []
    [row] = desk.rows(update)
    assert (row.status, row.detail) == (DeliveryStatus.DROPPED, Reason.OWN_CHANGE)


async def test_a_change_that_cannot_be_shown_ends_quietly(desk: Desk) -> None:
    desk.alert("c1")
    await desk.advance(minutes=1)
    desk.slack.channels["C0MANAGE"].is_archived = True
    update = desk.update("c1", State.ACKNOWLEDGED, "acknowledged by claire", actor="claire")
    await desk.advance(minutes=1)
    assert desk.became(update) is OutboxStatus.DROPPED
    assert [row.status for row in desk.rows(update)] == [
        DeliveryStatus.FAILED, DeliveryStatus.DROPPED
    ]  # fmt: skip
    assert desk.terminal.told == []


async def test_a_message_that_somebody_deleted_is_posted_anew(desk: Desk) -> None:
    desk.alert("c1")
    await desk.advance(minutes=1)
    desk.slack.channels["C0MANAGE"].messages.clear()
    desk.update("c1", State.ACKNOWLEDGED, "acknowledged by henrik", actor="henrik")
    await desk.advance(minutes=1)
    desk.update("c1", State.RESOLVED, "resolved")
    await desk.advance(minutes=1)
    assert desk.titles("C0MANAGE") == ["✅ Resolved: acme, order c1: 50 h late"]
    assert desk.replies("C0MANAGE") == ["✅ Resolved: acme, order c1: resolved"]


async def test_a_storm_is_a_bundle_and_each_case_continues_in_its_thread(desk: Desk) -> None:
    desk.people["claire"]["bundle"] = True
    desk.alerts([f"c{n}" for n in range(10)])
    await desk.advance(minutes=5)
    assert desk.titles("C0MANAGE")[-1] == "📦 7 cases to acknowledge"
    bundle = desk.slack.roots("C0MANAGE")[-1]
    key = bundle.buttons["detente_acknowledge_all"]["value"]
    with desk.store.reading() as tx:
        assert tx.cases_of_bundle(key) == tuple(f"c{n}" for n in range(3, 10))
    for state, words in ((State.ACKNOWLEDGED, "acknowledged"), (State.RESOLVED, "resolved")):
        desk.update("c5", state, words)
        await desk.advance(minutes=5)
    thread = [m.text.split("\n")[0] for m in desk.slack.thread("C0MANAGE", bundle.ts)]
    assert thread == [  # the case's own message, changed since, and what came after it
        "✅ Resolved: acme, order c5: 50 h late",
        "✅ Resolved: acme, order c5: resolved",
    ]


async def test_a_bundle_of_updates_also_changes_the_messages_in_place(desk: Desk) -> None:
    names = [f"c{n}" for n in range(6)]
    desk.alerts(names)
    await desk.advance(minutes=1)
    desk.people["claire"]["bundle"] = True
    for name in names:
        desk.update(name, State.ACKNOWLEDGED, "acknowledged")
    await desk.advance(minutes=5)
    assert all(t.startswith("🙋 Acknowledged") for t in desk.titles("C0MANAGE")[:6])
    assert desk.titles("C0MANAGE")[-1] == "📦 3 updates"


async def test_shadow_mode_tells_only_who_would_have_been_told(desk: Desk) -> None:
    desk.people["opsdesk"]["routes"] = [FRONT]
    desk.alert("c1", shadow=True)
    await desk.run()
    assert desk.titles("C0FRONT") == [
        "🟠 Would have told Claire Dubois: Management alert: acme, order c1: 50 h late"
    ]
    assert "detente_acknowledge" not in desk.slack.messages("C0FRONT")[0].buttons
    assert desk.slack.messages("C0MANAGE") == []


async def test_nobody_is_pinged_by_what_a_partner_is_called(desk: Desk) -> None:
    desk.alert("c1", text={"headline": "<!channel>, order <@U0DAVID>: late & *bold*",
                           "partner": "<!channel>", "subject": "x" * 9_000,
                           "why": ["<!here>"] * 50})  # fmt: skip
    await desk.run()
    [message] = desk.slack.messages("C0MANAGE")
    assert "&lt;!channel&gt;" in message.shown
    for text in (message.text, message.shown.partition("\n")[2]):
        assert "<!channel" not in text
        assert "<!here" not in text
        assert "<@" not in text


# --- limits ---------------------------------------------------------------------------------------


async def test_a_storm_is_told_in_order_without_holding_up_other_channels(desk: Desk) -> None:
    cases = 500
    desk.slack._burst = 1
    desk.people["david"]["routes"] = [MANAGE]
    desk.alerts([f"c{n}" for n in range(cases)])
    await desk.advance(seconds=20)
    desk.alert("elsewhere", "frontline")
    desk.alerts(["x1", "x2"], "executive")
    since = desk.now
    await desk.advance(seconds=5)
    assert len(desk.slack.messages("C0FRONT")) == 1
    [elsewhere] = [c for c in desk.slack.made("chat.postMessage")
                   if c.arguments["channel"] == "C0FRONT"]  # fmt: skip
    assert elsewhere.at * SECOND == since
    assert [t for t in desk.titles("C0MANAGE") if "Executive" in t] == [
        "🔴 Executive alert: acme, order x1: 50 h late",
        "🔴 Executive alert: acme, order x2: 50 h late",
    ]
    await desk.advance(minutes=10)
    told = desk.titles("C0MANAGE")
    assert [t for t in told if "Management" in t] == [
        f"🟠 Management alert: acme, order c{n}: 50 h late" for n in range(cases)
    ]
    assert len(told) == cases + 2
    assert desk.counts() == {OutboxStatus.SENT: cases + 3}
    assert desk.slack.refused("ratelimited") == []  # the pace is kept before Slack asks for it


async def test_a_channel_that_slack_limits_loses_nothing_and_keeps_its_order(desk: Desk) -> None:
    """Somebody else posts to the channel with the same app, so that the pace is not enough."""
    desk.slack._burst = 1
    desk.people["david"]["routes"] = [MANAGE]
    ids = desk.alerts([f"c{n}" for n in range(40)])
    ids += desk.alerts(["x1", "x2"], "executive")
    for second in range(120):
        if second % 3 == 0:
            arguments = {"channel": "C0MANAGE", "text": "other"}
            headers = {"Authorization": f"Bearer {desk.slack.bot_token}"}
            async with desk.session.post(
                f"{desk.slack.api_url}chat.postMessage", json=arguments, headers=headers
            ):
                pass
        await desk.advance(seconds=1)
    assert len(desk.slack.refused("ratelimited")) > 5
    told = [t for t in desk.titles("C0MANAGE") if t != "other"]
    assert told == [f"🔴 Executive alert: acme, order {x}: 50 h late" for x in ("x1", "x2")] + [
        f"🟠 Management alert: acme, order c{n}: 50 h late" for n in range(40)
    ]
    # Being asked to wait for one's turn uses up no attempt and leaves no mark on the record.
    assert {row.status for name in ids for row in desk.rows(name)} == {DeliveryStatus.SENT}


async def test_whoever_slack_asks_to_wait_for_long_is_told_over_another_route(desk: Desk) -> None:
    desk.backoff = Backoff(first=2 * SECOND, attempts=1)
    desk.restart()
    desk.slack._buckets["chat.postMessage", "C0MANAGE"] = bucket = _Closed()
    alert = desk.alert("c1")
    await desk.advance(minutes=1)
    assert bucket.asked == 1
    assert [m.person for m in desk.terminal.told] == ["claire"]
    assert desk.became(alert) is OutboxStatus.SENT


class _Closed(Bucket):
    """A limit that lets nothing through for an hour."""

    def __init__(self) -> None:
        super().__init__(lambda: 0, 1, 1)
        self.asked = 0

    def take(self) -> float:
        self.asked += 1
        return 3_600


# --- trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_random_trouble_leaves_each_alert_exactly_once(
    migrated_database: Path, tmp_path: Path, seed: int
) -> None:
    async with opened(Path(copy(migrated_database, tmp_path)), seed=seed) as desk:
        desk.backoff = Backoff(first=2 * SECOND, longest=10 * SECOND, attempts=99,
                               attempts_on_last=99)  # fmt: skip
        desk.restart()
        share = 0.08
        desk.slack.chaos(dict.fromkeys(
            [Fault.SERVER_ERROR, Fault.SERVER_ERROR_AFTER, Fault.CONNECTION_LOST,
             Fault.ANSWER_LOST, Fault.FATAL], share))  # fmt: skip
        alerts = desk.alerts([f"c{n}" for n in range(12)])
        alerts += desk.alerts([f"d{n}" for n in range(6)], "executive")
        await desk.advance(minutes=5)
        for n in range(12):
            desk.update(f"c{n}", State.ACKNOWLEDGED, "acknowledged")
        await desk.advance(minutes=10)
        assert len([c for c in desk.slack.calls if c.error]) > 10, "there was trouble"
        assert desk.counts() == {OutboxStatus.SENT: 30}
        told = [m.text.split("\n")[0] for m in desk.slack.roots("C0MANAGE")]
        assert sorted(told) == sorted(
            f"🙋 Acknowledged: acme, order c{n}: 50 h late" for n in range(12)
        )
        direct = desk.titles(desk.slack.direct("U0DAVID"))
        assert sorted(direct) == [
            f"🔴 Executive alert: acme, order d{n}: 50 h late" for n in range(6)
        ]
        for n in range(12):
            assert len(desk.replies("C0MANAGE", n)) == 1
        assert desk.terminal.told == []


async def test_an_answer_that_never_comes_is_not_sent_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_notifier, "TIMEOUT", 0.2)
    alert = desk.alert("c1")
    desk.slack.faults.append(Fault.ANSWER_STALLS)
    await desk.run()
    monkeypatch.undo()
    assert [row.detail for row in desk.rows(alert)] == ["no answer from Slack in time"]
    await desk.advance(minutes=1)
    assert desk.became(alert) is OutboxStatus.SENT
    assert len(desk.slack.messages("C0MANAGE")) == 1
    assert desk.rows(alert)[-1].reference == f"C0MANAGE/{desk.slack.messages('C0MANAGE')[0].ts}"


async def test_a_process_that_ends_before_it_can_write_down_what_it_sent(desk: Desk) -> None:
    desk.alerts(["c1", "c2"])
    desk.mortal.dies_after = 1
    with pytest.raises(Crash):
        await desk.run()
    assert len(desk.slack.messages("C0MANAGE")) == 1
    desk.now = Instant(desk.now + MINUTE)
    desk.restart()
    await desk.advance(minutes=1)
    assert desk.titles("C0MANAGE") == [
        f"🟠 Management alert: acme, order {name}: 50 h late" for name in ("c1", "c2")
    ]
    # The channel is looked through once, not once for each message of the backlog.
    assert len(desk.slack.made("conversations.history")) == 1


async def test_what_a_dead_relay_sent_is_found_by_one_that_had_looked_there_before(
    desk: Desk,
) -> None:
    other = Desk(desk.store, desk.slack, desk.session)
    for name, one in (("one", desk), ("two", other)):
        one.restart(Shift(name, lambda: desk.now))
    desk.alert("c0")
    desk.slack.faults.append(Fault.ANSWER_LOST)
    await other.run()
    desk.now = other.now = Instant(desk.now + MINUTE)
    await other.run()  # looks for it, and finds it
    assert len(desk.slack.made("conversations.history")) == 1
    desk.now = Instant(desk.now + MINUTE)
    desk.alerts(["c1", "c2"])
    desk.mortal.dies_after = 1
    with pytest.raises(Crash):
        await desk.run()
    other.now = desk.now
    await other.run()
    other.now = desk.now = Instant(desk.now + MINUTE)
    await other.run()
    assert desk.titles("C0MANAGE") == [
        f"🟠 Management alert: acme, order {name}: 50 h late" for name in ("c0", "c1", "c2")
    ]
    # Once more for all that was taken over.
    assert len(desk.slack.made("conversations.history")) == 2


async def test_a_reply_that_was_not_written_down_is_found_in_its_thread(desk: Desk) -> None:
    desk.alert("c1")
    await desk.advance(minutes=1)
    desk.update("c1", State.RESOLVED, "resolved")
    desk.mortal.dies_after = 1
    with pytest.raises(Crash):
        await desk.run()
    desk.now = Instant(desk.now + MINUTE)
    desk.restart()
    await desk.advance(minutes=1)
    assert desk.replies("C0MANAGE") == ["✅ Resolved: acme, order c1: resolved"]


@pytest.mark.parametrize(
    "error",
    ["channel_not_found", "not_in_channel", "is_archived", "account_inactive", "invalid_auth",
     "token_revoked"],
)  # fmt: skip
async def test_a_permanent_error_goes_at_once_to_the_next_route_and_to_operations(
    desk: Desk, error: str
) -> None:
    channel = desk.slack.channels["C0MANAGE"]
    match error:
        case "channel_not_found":
            channel.is_private, channel.is_member = True, False
        case "not_in_channel":
            channel.is_member = False
        case "is_archived":
            channel.is_archived = True
        case _:
            desk.slack.token_error = error
    alert = desk.alert("c1")
    await desk.run()
    assert [m.person for m in desk.terminal.told] == ["claire"]  # her next route, in the same run
    failed, told = desk.rows(alert)
    assert (failed.status, failed.route) == (DeliveryStatus.GIVEN_UP, "1 slack C0MANAGE")
    assert failed.detail is not None
    assert failed.detail.startswith(f"Slack answered {error}: ")
    assert (told.status, told.route) == (DeliveryStatus.SENT, "2 terminal")

    desk.people["claire"]["routes"] = [MANAGE]
    alert = desk.alert("c2")
    await desk.run()
    assert [m.person for m in desk.terminal.told] == ["claire", "opsdesk"]
    assert desk.terminal.told[-1].entries[0].on_behalf == "Claire Dubois cannot be reached"
    assert desk.became(alert) is OutboxStatus.DEAD  # and can be driven again


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.SERVER_ERROR, "Slack answered HTTP 503"),
        (Fault.SERVER_ERROR_AFTER, "Slack answered HTTP 500"),
        (Fault.FATAL, "Slack answered internal_error"),
        (Fault.CONNECTION_LOST, "no connection to Slack: ServerDisconnectedError"),
        (Fault.ANSWER_LOST, "no connection to Slack: ServerDisconnectedError"),
    ],
)
async def test_trouble_that_may_pass_is_tried_again(desk: Desk, fault: Fault, reason: str) -> None:
    desk.slack.faults.append(fault)
    outcome = await desk.mortal.send(_message(), SlackRoute(kind="slack", channel="C0FRONT"))
    assert outcome == Retry(reason)


@pytest.mark.parametrize(
    ("status", "may_pass"), [(200, True), (408, True), (403, False), (404, False)]
)
async def test_a_page_of_a_gateway_on_the_way_is_no_word_of_slack(
    desk: Desk, status: int, may_pass: bool
) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(status=status, text="<html>secret-of-theirs", content_type="text/html")

    app = web.Application()
    app.router.add_post("/api/{method}", page)
    server = await start_server(app, "127.0.0.1", 0, grace=0.1)
    try:
        url = f"http://127.0.0.1:{server.port}/api/"
        notifier = from_environment(desk.environment, desk.session, api_url=url)
        outcome = await notifier.send(_message(), SlackRoute(kind="slack", channel="C0FRONT"))
    finally:
        await server.stop()
    reason = f"Slack answered HTTP {status}, and not in its own form"
    assert outcome == (Retry(reason) if may_pass else Failed(reason))


async def test_what_is_not_set_up_is_said(desk: Desk) -> None:
    route = SlackRoute(kind="slack", channel="C0FRONT", token_env="OTHER_TOKEN")
    assert await desk.mortal.send(_message(), route) == Failed(
        "the environment variable OTHER_TOKEN holds no token"
    )
    assert await desk.mortal.send(_message(), TerminalRoute(kind="terminal")) == Failed(
        "a terminal route is not Slack"
    )
    user = SlackRoute(kind="slack", user="U404")
    assert await desk.mortal.send(_message(), user) == Failed(
        "Slack answered user_not_found: no such user in the workspace"
    )
    desk.slack.scopes = frozenset()
    route = SlackRoute(kind="slack", channel="C0FRONT")
    assert await desk.mortal.send(_message(), route) == Failed(
        "Slack answered missing_scope: the app lacks a scope; compare it with the manifest"
    )


async def test_the_token_is_nowhere_to_be_seen(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger(web_client.__name__).setLevel(logging.DEBUG)
    desk.restart()
    desk.slack.faults.extend([None, Fault.SERVER_ERROR, Fault.ANSWER_LOST])
    desk.alerts(["c1", "c2", "c3"])
    await desk.advance(minutes=5)
    desk.slack.token_error = "invalid_auth"
    desk.alert("c4")
    await desk.advance(minutes=5)
    route = SlackRoute(kind="slack", channel="C0FRONT")
    outcome = await desk.mortal.send(_message(), route)
    seen = repr((desk.mortal.notifier, vars(desk.mortal.notifier), outcome, route)) + caplog.text
    for row in (row for n in range(1, 5) for row in desk.rows(f"e{n}")):
        seen += repr(row)
    seen = seen.replace(repr(desk.environment), "")  # the caller's own
    assert desk.slack.bot_token not in seen
    assert desk.slack.bot_token not in stored(tmp_path)
    # At debug level slack-sdk would log whole requests and answers.
    assert not [
        r for r in caplog.records if r.name == web_client.__name__ and r.levelno < logging.WARNING
    ]


def stored(folder: Path) -> str:
    """Whatever the store has on disk."""
    return "".join(file.read_bytes().decode("latin-1") for file in folder.iterdir())


def _message() -> Message:
    return replace(message(ENTRY), sent_at=START)


async def test_a_message_is_sent_once(desk: Desk) -> None:
    route = SlackRoute(kind="slack", channel="C0FRONT")
    assert isinstance(await desk.mortal.send(_message(), route), Sent)
    again = replace(_message(), attempt=2, may_have_arrived=START)
    assert isinstance(await desk.mortal.send(again, route), Sent)
    assert len(desk.slack.messages("C0FRONT")) == 1
