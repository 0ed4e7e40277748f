"""Several relays at one store: what each tells, and what becomes of it when one of them dies."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

import pytest

from notifiers.memory import MemoryNotifier
from notifiers.message import Message
from notifiers.notifier import Outcome
from rules.calendars import BusinessCalendar
from rules.decision import Changes
from rules.recipients import Recipients
from schemas.directory import Directory, Route
from schemas.policy import Policy
from schemas.time import MINUTE, SECOND, Instant, to_instant
from streams.relay import House, Relay, Shift
from streams.store import DeliveryStatus, OutboxEntry, OutboxStatus, Store, Transaction
from tests.contract.rows import case, effect, write

TERMINAL = {"kind": "terminal"}
PEOPLE: dict[str, Any] = {
    "anna": {"name": "Anna Lindner", "routes": [TERMINAL], "bundle": False},
    "claire": {"name": "Claire Dubois", "routes": [TERMINAL], "bundle": False},
}
ROLES = {
    "account_manager": "anna",
    "partnership_manager": "claire",
    "executive_sponsor": "claire",
    "operations": "claire",
}
POLICY: dict[str, Any] = {
    "rules": [{"name": "late", "when": {"delay": "> 48h"}, "open_at": "management"}],
    "ladders": {
        "default": {
            tier: {"notify": role, "acknowledge_within": "2bh"}
            for tier, role in zip(("frontline", "management", "executive"), ROLES, strict=False)
        }
    },
    "calendars": {"default": {"timezone": "UTC", "hours": {"mon-sun": ["00:00-24:00"]}}},
}
#: A Monday.
START = to_instant(datetime.fromisoformat("2026-11-02T10:00:00+00:00"))
LEASE = 2 * MINUTE


class Dead(BaseException):
    """The process ends here."""


def house() -> House:
    policy = Policy.model_validate(POLICY)
    calendars = {
        name: BusinessCalendar(c.timezone, c.hours) for name, c in policy.calendars.items()
    }
    directory = Directory.model_validate({"people": PEOPLE, "roles": ROLES})
    return House(policy, Recipients(directory, calendars), calendars)


class Channel(MemoryNotifier):
    """Where both relays tell; `on_send` is called in the middle of each attempt."""

    def __init__(self) -> None:
        super().__init__()
        self.on_send: Callable[[Message], Awaitable[None]] | None = None

    async def send(self, message: Message, route: Route) -> Outcome:
        outcome = await super().send(message, route)
        if self.on_send is not None:
            await self.on_send(message)
        return outcome

    def said(self) -> list[tuple[str | None, str]]:
        return [(e.case_id, e.headline) for message, _ in self.attempts for e in message.entries]


class Desk:
    """One relay, as a process of its own would run it."""

    def __init__(
        self, store: Store, name: str, channel: Channel, patience: float | None = None
    ) -> None:
        self.store = store
        self.now = START
        self.write: Callable[[Callable[[Transaction], None]], Awaitable[None]] = self.commit
        self.house: Callable[[], House] = house
        self.relay = Relay(
            store.reading,
            self._write,
            self._house,
            {"terminal": channel},
            Random(1),
            patience=patience,
            shift=Shift(name, lambda: self.now, LEASE),
        )

    def _house(self) -> House:
        return self.house()

    async def _write(self, work: Callable[[Transaction], None]) -> None:
        await self.write(work)

    async def commit(self, work: Callable[[Transaction], None]) -> None:
        with self.store.transaction() as tx:
            work(tx)

    async def run(self, after: int = 0) -> int:
        self.now = Instant(START + after)
        return (await self.relay.run_once(self.now)).sent


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def one(store: Store, channel: Channel) -> Desk:
    return Desk(store, "one", channel)


@pytest.fixture
def two(other: Store, channel: Channel) -> Desk:
    return Desk(other, "two", channel)


def alerts(store: Store, *case_ids: str, steps: int = 1) -> None:
    """Cases that were opened, each with so many alerts in a row."""
    write(
        store,
        cases=[case(case_id, opened_at=START, changed_at=START) for case_id in case_ids],
        effects=[
            effect(
                f"{case_id} {n}",
                case_id=case_id,
                step=f"opened {n}",
                at=START,
                created_at=Instant(START + n),
                due=None,
                remind_every=None,
                text={"headline": f"{case_id} step {n}", "why": []},
            )
            for n in range(steps)
            for case_id in case_ids
        ],
    )


def statuses(store: Store) -> set[OutboxStatus]:
    with store.reading() as tx:
        return set(tx.count_outbox())


async def test_what_one_relay_is_at_the_other_leaves_alone(
    store: Store, one: Desk, two: Desk, channel: Channel
) -> None:
    alerts(store, "c1", "c2")
    found: list[int] = []

    async def meanwhile(message: Message) -> None:
        channel.on_send = None
        found.append(await two.run())

    channel.on_send = meanwhile
    assert await one.run() == 2
    assert found == [0]
    assert len(channel.attempts) == 2
    # What is done is nobody's any more.
    with store.reading() as tx:
        assert tx.leased_by("one") == set()
    alerts(store, "c3")
    assert await two.run() == 1
    assert not any(message.may_have_arrived for message, _ in channel.attempts)


async def test_a_relay_that_dies_while_it_sends_is_taken_over_when_its_lease_ends(
    store: Store, one: Desk, two: Desk, channel: Channel
) -> None:
    alerts(store, "c1", "c2", "c3")

    async def dies(message: Message) -> None:
        raise Dead

    channel.on_send = dies

    async def write_of_the_dead(work: Callable[[Transaction], None]) -> None:
        if channel.on_send is not None and channel.attempts:
            raise Dead  # whatever it would still do on its way out, it does not
        await one.commit(work)

    one.write = write_of_the_dead
    with pytest.raises(Dead):
        await one.run()
    channel.on_send = None
    before = len(channel.attempts)
    assert await two.run(LEASE - 1) == 0
    assert await two.run(LEASE) == 3
    # What had left, but was not written down, is told again under the same key.
    keys = [message.idempotency_key for message, _ in channel.attempts]
    assert len(keys) == 3 + before
    assert len(set(keys)) == 3
    # A route that can look whether it has arrived is asked to.
    assert all(message.may_have_arrived for message, _ in channel.attempts[before:])
    assert statuses(store) == {OutboxStatus.SENT}


async def test_a_relay_that_is_stopped_gives_back_at_once(
    store: Store, one: Desk, two: Desk, channel: Channel
) -> None:
    alerts(store, "c1")
    sending = asyncio.Event()

    async def hangs(message: Message) -> None:
        sending.set()
        await asyncio.Event().wait()

    channel.on_send = hangs
    at_work = asyncio.create_task(one.run())
    await sending.wait()
    at_work.cancel()
    await asyncio.wait({at_work})
    channel.on_send = None
    assert await two.run() == 1
    assert channel.attempts[-1][0].may_have_arrived


async def test_a_relay_that_was_frozen_past_its_lease_writes_nothing(
    store: Store, one: Desk, two: Desk, channel: Channel
) -> None:
    alerts(store, "c1", "c2")
    taken: list[int] = []

    async def freezes(message: Message) -> None:
        channel.on_send = None
        taken.append(await two.run(LEASE + SECOND))
        one.now = Instant(START + LEASE + 2 * SECOND)

    channel.on_send = freezes
    assert await one.run() in {0, 1}
    assert taken == [2]
    with store.reading() as tx:
        rows = [row for case_id in ("c1", "c2") for row in tx.deliveries_of(case_id)]
    assert [row.status for row in rows] == [DeliveryStatus.SENT] * 2
    assert len(channel.attempts) == 3  # the one that was under way when it froze


async def test_a_relay_that_was_frozen_before_it_sent_sends_nothing(
    store: Store, other: Store, one: Desk, channel: Channel
) -> None:
    alerts(store, "c1", "c2")
    asked: list[Instant] = []

    def freezes() -> House:
        asked.append(one.now)
        if len(asked) == 2:  # it has leased and read what it tells, and somebody else leases it
            one.now = Instant(START + LEASE + SECOND)
            with other.transaction() as tx:
                assert len(tx.lease_outbox("two", one.now, Instant(one.now + LEASE), 9)) == 2
        return house()

    one.house = freezes
    assert await one.run() == 0
    assert len(asked) == 2
    assert channel.attempts == []


async def test_a_lease_is_renewed_while_there_is_much_to_tell(
    store: Store, one: Desk, two: Desk, channel: Channel
) -> None:
    alerts(store, *(f"c{n}" for n in range(6)))
    found: list[int] = []

    async def slowly(message: Message) -> None:
        # Each message takes nearly half a lease: all of them take much more than one.
        one.now = two.now = Instant(one.now + LEASE // 2 - SECOND)
        channel.on_send = None
        found.append((await two.relay.run_once(two.now)).sent)
        channel.on_send = slowly

    channel.on_send = slowly
    assert await one.run() == 6
    assert found == [0] * 6
    assert len(channel.attempts) == 6


def test_two_relays_tell_each_once_and_each_case_in_order(
    store: Store, one: Desk, two: Desk, channel: Channel
) -> None:
    names = [f"c{n:02}" for n in range(20)]
    alerts(store, *names, steps=3)
    failed: list[BaseException] = []

    def work(desk: Desk) -> None:
        try:
            while statuses(desk.store) - {OutboxStatus.SENT, OutboxStatus.DROPPED}:
                asyncio.run(desk.run())
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(desk,)) for desk in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    told = channel.said()
    assert len(told) == len(set(told))
    assert {case_id for case_id, _ in told} == set(names)
    for name in names:
        steps = [headline for case_id, headline in told if case_id == name]
        assert steps == sorted(steps)
        assert steps[-1] == f"{name} step 2"


async def test_reminders_are_told_by_one_of_them(
    store: Store, one: Desk, two: Desk, channel: Channel
) -> None:
    alerts(store, "c1")
    await one.run()
    with store.transaction() as tx:
        [entry] = tx.list_outbox()
        again = replace(entry.effect, effect_id="again", remind_every="1h", remind_at_most=1)
        tx.write(Changes(effects=[replace(again, step="opened again")]))
    await two.run()
    sent = len(channel.attempts)
    assert await one.run(3_601 * SECOND) + await two.run(3_602 * SECOND) == 1
    assert len(channel.attempts) == sent + 1


# --- a channel that does not answer ---------------------------------------------------------------


class Silent:
    """Anna's channel: it answers nothing until it is opened. Claire's answers at once."""

    def __init__(self, channel: Channel) -> None:
        self.opened = asyncio.Event()
        self.asked = 0
        channel.on_send = self.answer

    async def answer(self, message: Message) -> None:
        if message.person == "anna":
            self.asked += 1
            await self.opened.wait()


async def settle() -> None:
    """Let what goes on beside the runs come to where it waits for somebody else."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_silent_channel_holds_up_no_other_and_its_case_stays_with_its_relay(
    store: Store, two: Desk, channel: Channel
) -> None:
    one, silent = Desk(store, "one", channel, patience=0), Silent(channel)
    alerts(store, "c1", "c2")
    await one.run()
    elsewhere = effect("elsewhere", case_id=None, role="partnership_manager", created_at=START)
    write(store, effects=[elsewhere])
    # It asks for its leases again and again: the other relay never gets what is under way.
    for after in range(0, 3 * LEASE, LEASE // 4):
        await one.run(after)
        await settle()
        assert await two.run(after) == 0
    assert silent.asked == 1
    assert [entry.effect.effect_id for entry in sent(store)] == ["elsewhere"]
    silent.opened.set()
    await settle()
    assert await one.run(3 * LEASE) == 2  # what ended beside the runs is counted
    with store.reading() as tx:
        assert tx.leased_by("one") == set()
    assert len(sent(store)) == 3
    assert not any(message.may_have_arrived for message, _ in channel.attempts)


async def test_what_was_under_way_is_left_to_others_when_a_relay_ends(
    store: Store, two: Desk, channel: Channel
) -> None:
    one = Desk(store, "one", channel, patience=0)
    Silent(channel)
    alerts(store, "c1")
    await one.run()
    await settle()
    await one.relay.close(grace=0)
    channel.on_send = None
    assert await two.run() == 1
    assert channel.attempts[-1][0].may_have_arrived


async def test_a_relay_that_was_frozen_while_something_was_under_way_goes_on_with_the_rest(
    store: Store, two: Desk, channel: Channel
) -> None:
    one, silent = Desk(store, "one", channel, patience=0), Silent(channel)
    alerts(store, "c1", "c2")
    await one.run()
    await settle()
    channel.on_send = None
    assert await two.run(LEASE) == 2
    silent.opened.set()
    await settle()
    assert await one.run(LEASE + SECOND) == 1  # it left, and somebody else wrote it down
    alerts(store, "c3")
    await one.run(LEASE + SECOND)
    await settle()
    with store.reading() as tx:
        rows = [row for case_id in ("c1", "c2", "c3") for row in tx.deliveries_of(case_id)]
    assert [row.status for row in rows] == [DeliveryStatus.SENT] * 3
    assert [m.entries[0].case_id for m, _ in channel.attempts] == ["c1", "c1", "c2", "c3"]


def sent(store: Store) -> list[OutboxEntry]:
    with store.reading() as tx:
        return tx.list_outbox([OutboxStatus.SENT])
