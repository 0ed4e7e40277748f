"""A channel that does not answer holds up nobody else; nothing is sent twice or out of order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from shutil import copy
from typing import Any

import pytest

from notifiers.memory import MemoryNotifier
from notifiers.message import Message
from notifiers.notifier import Outcome, Retry, Sent
from schemas.directory import Route
from schemas.time import SECOND, Instant
from streams.relay import Relay
from streams.store import OutboxStatus
from tests.acceptance.test_service import WAIT
from tests.acceptance.test_slack import DAVID, MANAGE, Desk, opened


class Gate(MemoryNotifier):
    """Answers nothing for one channel until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = asyncio.Event()
        self.begun: list[str | None] = []
        self.slow: Outcome | None = None
        """What the next attempt there ends with, when it is not as ever."""

    async def send(self, message: Message, route: Route) -> Outcome:
        if getattr(route, "channel", None) == MANAGE["channel"]:
            self.begun.append(message.entries[0].case_id)
            await self.is_open.wait()
            if self.slow is not None:
                outcome, self.slow = self.slow, None
                return outcome
        return await super().send(message, route)


class House:
    """A relay that waits for nobody, run again and again as the service does."""

    def __init__(self, desk: Desk) -> None:
        desk.people["david"]["routes"] = [DAVID]
        self.desk, self.gate = desk, Gate()
        self.writes: Callable[..., Any] = desk._commit
        self.relay = Relay(
            desk.store.reading, self._write, desk.house, {"slack": self.gate}, Random(1), patience=0
        )

    async def _write(self, work: Any) -> None:
        await self.writes(work)

    async def run(self, times: int = 10) -> None:
        for _ in range(times):
            await self.relay.run_once(self.desk.now)
            self.desk.now = Instant(self.desk.now + SECOND)
            await asyncio.sleep(0)  # lets what is under way go on

    @property
    def told(self) -> list[str | None]:
        return [message.entries[0].case_id for message in self.gate.told]


@pytest.fixture
async def house(migrated_database: Path, tmp_path: Path) -> AsyncIterator[House]:
    async with opened(Path(copy(migrated_database, tmp_path))) as desk:
        found = House(desk)
        yield found
        await found.relay.close(grace=0)


async def test_others_are_told_while_a_channel_does_not_answer(house: House) -> None:
    slow = [house.desk.alert("c1"), house.desk.alert("c2")]
    await house.run()
    quick = house.desk.alert("d1", "executive")
    await house.run()
    assert house.told == ["d1"]
    assert house.desk.became(quick) is OutboxStatus.SENT
    late = house.desk.alert("c3")
    await house.run()
    assert house.gate.begun == ["c1"]  # once, and nothing overtakes it there
    house.gate.is_open.set()
    await house.run()
    assert house.told == ["d1", "c1", "c2", "c3"]
    assert {house.desk.became(one) for one in (*slow, late)} == {OutboxStatus.SENT}


@pytest.mark.parametrize(
    "ends",
    [Sent(rest=SECOND), Retry("wait", SECOND, own_turn=True), Retry("away"), Retry("ask", SECOND)],
    ids=["with a pace", "with a turn", "in failure", "in failure that says when"],
)
async def test_the_rest_of_a_channel_waits_from_when_its_slow_answer_came(
    house: House, ends: Outcome
) -> None:
    slow = [house.desk.alert("c1"), house.desk.alert("c2"), house.desk.alert("c3")]
    await house.run(20)
    assert house.gate.begun == ["c1"]
    house.gate.slow = ends
    house.gate.is_open.set()
    house.relay._sending._patience = WAIT  # the run sees the answer come
    house.desk.alert("d1", "executive")
    async with asyncio.timeout(WAIT):
        report = await house.relay.run_once(house.desk.now)
    assert house.gate.begun == ["c1"]
    with house.desk.store.reading() as tx:
        came = {row.at for row in tx.deliveries_of("c1") if row.route}
    assert came <= {house.desk.now}
    assert report.next_wake is not None
    assert report.next_wake > house.desk.now
    await house.run(100)
    assert {house.desk.became(one) for one in slow} == {OutboxStatus.SENT}


async def test_a_run_that_begins_meanwhile_lets_nothing_overtake_in_a_channel(
    house: House,
) -> None:
    house.desk.alert("c1")
    house.desk.alert("c2")
    await house.run(1)
    written = asyncio.Event()

    async def slowly(work: Any) -> None:
        await written.wait()
        await house.desk._commit(work)

    house.writes, house.gate.slow = slowly, Retry("wait", SECOND, own_turn=True)
    house.gate.is_open.set()
    await house.run(3)  # by then the channel has been asked to wait, and need not any more
    written.set()
    await house.run()
    assert house.told == ["c1", "c2"]


async def test_what_follows_about_its_case_waits_for_it(house: House) -> None:
    house.desk.alert("c1")
    await house.run(2)
    house.desk.alert("c1", "management", step="again")
    await house.run()
    assert house.gate.begun == ["c1"]
    house.gate.is_open.set()
    await house.run()
    assert len(house.told) == 2


async def test_what_breaks_under_way_is_not_lost(house: House) -> None:
    alert = house.desk.alert("c1")
    await house.run(2)

    async def broken(work: Any) -> None:
        raise OSError("no space")

    house.writes = broken
    house.gate.is_open.set()
    with pytest.raises(OSError, match="no space"):
        await house.run()
    house.writes = house.desk._commit
    await house.run()
    assert house.desk.became(alert) is OutboxStatus.SENT


async def test_a_process_that_ends_waits_a_moment_and_leaves_the_rest(house: House) -> None:
    alert = house.desk.alert("c1")
    await house.run(2)
    await house.relay.close(grace=0)
    assert house.desk.became(alert) is OutboxStatus.QUEUED
    house.desk.restart()
    await house.desk.advance(minutes=1)
    assert house.desk.became(alert) is OutboxStatus.SENT
