"""A disruption in Slack: one message in a channel, and a thread that late orders join silently."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from shutil import copy

import pytest

from detente.disruptions import Disruptions
from rules.decision import CaseRow, Changes, EffectKind, Kind, State
from schemas.time import MINUTE, Instant
from tests.acceptance.test_slack import FRONT, MANAGE, TERMINAL, Desk, opened

PORT = "port"


@pytest.fixture
async def desk(migrated_database: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(Path(copy(migrated_database, tmp_path))) as found:
        yield found


def store(desk: Desk, *cases: CaseRow) -> None:
    with desk.store.transaction() as tx:
        tx.write(Changes(cases=list(cases)))


def port(desk: Desk, state: State = State.OPEN) -> CaseRow:
    case = desk._case(PORT, state, "management")
    return replace(case, kind=Kind.DISRUPTION, subject=f"disruption//{PORT}", partner_id="")


async def port_closes(desk: Desk) -> Disruptions:
    """The port is closed: management is asked, the account manager is told."""
    store(desk, port(desk))
    text = {"headline": "several partners, disruption port: Hamburg is closed", "why": ["closed"],
            "subject": "disruption port", "partner": None}  # fmt: skip
    alert = desk._effect(PORT, EffectKind.ALERT, "partnership_manager", text=text, step="opened")
    notice = desk._effect(PORT, EffectKind.NOTICE, "account_manager", text=text, step="opened",
                          due=None)  # fmt: skip
    effects = [replace(effect, urgent=True, partner_id=None) for effect in (alert, notice)]
    with desk.store.transaction() as tx:
        tx.write(Changes(effects=effects))
    await desk.advance(minutes=1)
    return Disruptions(desk.store)


def late(desk: Desk, *numbers: int, state: State = State.OPEN) -> None:
    """Orders of a partner each that are late under it."""
    for n in numbers:
        case = replace(desk._case(f"c{n}", state, "management"), parent=PORT)
        store(desk, replace(case, partner_id=f"partner-{n}"))


async def look(desk: Desk, disruptions: Disruptions) -> int:
    desk.now = Instant(desk.now + MINUTE)
    found = disruptions.look(desk.now)
    await desk.advance(minutes=1)
    return found


async def test_late_orders_join_its_thread_and_nobody_is_pinged(desk: Desk) -> None:
    disruptions = await port_closes(desk)
    late(desk, *range(40))
    await look(desk, disruptions)
    for channel in ("C0MANAGE", "C0FRONT"):
        [message] = desk.slack.messages(channel)  # nothing new in the channel itself
        assert "40 orders of 40 partners, 40 of them open" in message.shown
        [reply] = desk.replies(channel)
        assert reply.endswith("40 orders are late under it now, of 40 partners; 40 of them open")
    assert desk.terminal.told == []


async def test_its_message_still_asks_and_counts_on(desk: Desk) -> None:
    disruptions = await port_closes(desk)
    late(desk, 1)
    await look(desk, disruptions)
    [message] = desk.slack.messages("C0MANAGE")
    assert "1 order of 1 partner, 1 of them open" in message.shown
    assert "detente_acknowledge" in message.buttons
    assert "Acknowledge until" in message.shown
    late(desk, 2, 3)
    late(desk, 1, state=State.RESOLVED)
    await look(desk, disruptions)
    assert "3 orders of 3 partners, 2 of them open" in message.shown
    assert len(desk.replies("C0MANAGE")) == 2


async def test_what_is_no_news_is_not_told(desk: Desk) -> None:
    disruptions = await port_closes(desk)
    assert await look(desk, disruptions) == 0
    # Who was only warned of one of its promises has no message about it.
    warning = desk._effect(PORT, EffectKind.WARNING, "executive_sponsor", step="clock", due=None)
    with desk.store.transaction() as tx:
        tx.write(Changes(effects=[warning]))
    late(desk, 1)
    assert await look(desk, disruptions) == 2
    assert await look(desk, disruptions) == 0
    assert await look(desk, Disruptions(desk.store)) == 0  # after a restart


async def test_a_flood_is_one_reply(desk: Desk) -> None:
    disruptions = await port_closes(desk)
    late(desk, 1)
    disruptions.look(Instant(desk.now + MINUTE))
    late(desk, 2)
    disruptions.look(Instant(desk.now + 2 * MINUTE))
    desk.now = Instant(desk.now + 2 * MINUTE)
    await desk.advance(minutes=1)
    assert len(desk.replies("C0MANAGE")) == 1


async def test_where_nothing_can_be_changed_nothing_is_told(desk: Desk) -> None:
    desk.people["claire"]["routes"] = [TERMINAL]
    disruptions = await port_closes(desk)
    desk.terminal.told.clear()
    late(desk, 1)
    await look(desk, disruptions)
    assert desk.terminal.told == []


async def test_who_sees_it_at_two_places_sees_the_same_at_both(desk: Desk) -> None:
    desk.people["claire"] |= {"routes": [FRONT, MANAGE], "hand_over_after": "10min"}
    desk.people["anna"]["routes"] = [TERMINAL]
    desk.alert("c1")
    await desk.advance(minutes=11)
    assert len(desk.slack.messages("C0MANAGE")) == 1
    desk.update("c1", State.ACKNOWLEDGED, "acknowledged by henrik", actor="henrik")
    await desk.advance(minutes=1)
    for channel in ("C0FRONT", "C0MANAGE"):
        assert desk.titles(channel) == ["🙋 Acknowledged: acme, order c1: 50 h late"]
    # Told once; at the other place the message is changed and nothing is added.
    assert (len(desk.replies("C0FRONT")), len(desk.replies("C0MANAGE"))) == (1, 0)
