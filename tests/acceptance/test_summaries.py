"""The account manager's daily summary of what is on watch, told by the real relay."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from detente.cli import cli
from detente.embedded import Embedded, open_embedded
from detente.settings import Settings
from detente.summaries import MOST, Summaries
from notifiers.memory import MemoryNotifier
from notifiers.message import Message
from schemas.time import Instant, iso, to_instant
from streams.records import RawRecord
from streams.relay import Relay

POLICY = """
tiers: [frontline, management]
rules:
  - {name: shortfall, when: {impact: "> 0%"}, open_at: watch}
  - {name: order-impact, when: {impact: "> 5%"}, open_at: management}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 2h}
partner_tiers: [standard]
calendars:
  default: {timezone: Europe/Berlin, hours: {mon-fri: ["09:00-17:00"]},
            extra_holidays: [2026-11-04]}
  delhi: {timezone: Asia/Kolkata, hours: {mon-sat: ["10:00-18:00"]}}
summary: {at: "08:30"}
"""
DIRECTORY: dict[str, Any] = {
    "people": {
        "anna": {"name": "Anna Lindner", "routes": [{"kind": "terminal"}]},
        "asha": {"name": "Asha Rao", "routes": [{"kind": "terminal"}], "calendar": "delhi"},
        "claire": {"name": "Claire Dubois", "routes": [{"kind": "terminal"}]},
    },
    "roles": {"account_manager": "anna", "partnership_manager": "claire", "operations": "claire"},
    "partners": {
        "kontor": {"tier": "standard", "name": "Kontor GmbH"},
        "rao": {"tier": "standard", "roles": {"account_manager": "asha"}},
    },
}


def when(text: str) -> Instant:
    """A time in Berlin, in the week of Monday, 2 November 2026."""
    return to_instant(datetime.fromisoformat(f"2026-11-{text}+01:00"))


class House:
    """A store, whoever looks for due summaries, and the relay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policy = POLICY
        self.directory: dict[str, Any] = json.loads(json.dumps(DIRECTORY))
        self.told = MemoryNotifier()
        self._stack = ExitStack()
        self._events = 0
        self.embedded: Embedded

    def start(self, at: str) -> None:
        """Start, or start again: nothing but the store is kept."""
        self._stack.close()
        (self.folder / "policy.yaml").write_text(self.policy)
        (self.folder / "directory.yaml").write_text(json.dumps(self.directory))
        settings = Settings(
            f"sqlite:///{self.folder / 'detente.db'}", "127.0.0.1", 0,
            self.folder / "policy.yaml", self.folder / "directory.yaml",
        )  # fmt: skip
        self.embedded = self._stack.enter_context(open_embedded(settings, when(at)))
        house = self.embedded.knowledge.house
        self.summaries = Summaries(self.embedded.store, house)

        async def write(work: Any) -> None:
            with self.embedded.store.transaction() as tx:
                work(tx)

        self.relay = Relay(
            self.embedded.store.reading, write, house, {"terminal": self.told}, Random(1)
        )

    def close(self) -> None:
        self._stack.close()

    def short(self, order: str, at: str, partner: str = "kontor", units: int = 1) -> None:
        """An order of 100 units of which some are missing."""
        place = {"partner_id": partner, "order_id": order}
        lines = [{"sku": "cup", "quantity": 100}]
        promised = iso(when("30T10:00"))
        self._say("order.placed", at, place | {"promised_at": promised, "lines": lines})
        self._say("order.impacted", at, place | {"kind": "short", "quantity": units})

    def _say(self, type_: str, at: str, data: dict[str, Any]) -> None:
        self._events += 1
        event = {"specversion": "1.0", "id": f"e{self._events}", "source": "/erp",
                 "type": type_, "time": iso(when(at)), "data": data}  # fmt: skip
        record = RawRecord("erp", str(self._events), json.dumps(event).encode())
        [outcome] = self.embedded.handler.take([record], when(at))
        assert type(outcome).__name__ == "Accepted", outcome

    async def look(self, at: str) -> list[Message]:
        """What is told at this time."""
        self.told.told.clear()
        self.summaries.look(when(at))
        await self.relay.run_once(when(at))
        return list(self.told.told)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    yield found
    found.close()


def lines(message: Message) -> list[str]:
    return [line.partition(" (C-")[0] for line in message.entries[0].why]


async def test_what_is_new_and_what_stands_once_each_working_day(house: House) -> None:
    house.start("02T07:00")
    house.short("PO-1", "02T07:10")
    assert await house.look("02T08:29") == []
    [message] = await house.look("02T08:30")
    assert (message.person, message.entries[0].case_id) == ("anna", None)
    assert message.entries[0].headline == "On watch: 1 new, 0 from before"
    [line] = lines(message)
    assert line.startswith("New: Kontor GmbH")
    assert "PO-1" in line
    house.short("PO-2", "02T12:00")
    assert await house.look("02T12:01") == []
    assert await house.look("02T23:59") == []
    [message] = await house.look("03T08:30")
    assert message.entries[0].headline == "On watch: 1 new, 1 from before"
    first, second = lines(message)
    assert first.startswith("New: ")
    assert "PO-2" in first
    assert second.startswith("Kontor GmbH")
    assert "PO-1" in second


async def test_none_on_a_holiday_and_what_came_then_is_new_after_it(house: House) -> None:
    house.start("03T08:00")
    house.short("PO-1", "03T10:00")
    await house.look("03T08:30")
    house.short("PO-2", "04T10:00")
    assert await house.look("04T10:00") == []
    [message] = await house.look("05T08:30")
    assert message.entries[0].headline == "On watch: 2 new, 0 from before"
    assert await house.look("07T10:00") == []  # a Saturday


async def test_a_restart_repeats_none_and_catches_up(house: House) -> None:
    house.start("02T07:00")
    house.short("PO-1", "02T07:10")
    assert len(await house.look("02T08:30")) == 1
    house.start("02T08:31")
    assert await house.look("02T08:31") == []
    house.start("03T11:00")
    assert len(await house.look("03T11:00")) == 1
    house.start("03T11:01")
    assert await house.look("03T11:02") == []


async def test_each_reads_of_their_partners_at_their_own_hour(house: House) -> None:
    house.start("02T01:00")
    house.short("PO-1", "02T01:10", "kontor")
    house.short("PO-2", "02T01:20", "rao")
    [message] = await house.look("02T04:00")  # 08:30 in Delhi
    assert message.person == "asha"
    assert "PO-2" in message.entries[0].why[0]
    [message] = await house.look("02T08:30")
    assert message.person == "anna"
    assert len(message.entries[0].why) == 1
    house.short("PO-3", "06T10:00", "rao")
    [message] = await house.look("07T10:00")  # a Saturday, on which Delhi works
    assert message.person == "asha"


async def test_a_case_above_watch_is_not_listed_and_nothing_is_told_of_nothing(
    house: House,
) -> None:
    house.start("02T07:00")
    house.short("PO-1", "02T07:10", units=50)
    told = await house.look("02T08:30")
    assert {message.entries[0].case_id for message in told} != {None}
    assert all(message.entries[0].case_id is not None for message in told)


async def test_a_stand_in_reads_it_and_without_one_it_waits(house: House) -> None:
    away = {"from": "2026-11-02", "until": "2026-11-02"}
    house.directory["people"]["anna"]["absences"] = [away]
    house.start("02T07:00")
    house.short("PO-1", "02T07:10")
    assert await house.look("02T08:30") == []
    [message] = await house.look("03T08:30")
    assert message.entries[0].headline == "On watch: 1 new, 0 from before"
    house.directory["people"]["anna"] |= {
        "stand_in": "claire", "absences": [away, {"from": "2026-11-05", "until": "2026-11-05"}]
    }  # fmt: skip
    house.start("05T08:00")
    [message] = await house.look("05T08:30")
    assert message.person == "claire"
    assert message.entries[0].on_behalf == "you stand in for Anna Lindner"


async def test_a_long_list_is_cut_and_says_so(house: House) -> None:
    house.start("02T07:00")
    for n in range(MOST + 5):
        house.short(f"PO-{n}", "02T07:10")
    [message] = await house.look("02T08:30")
    assert len(message.entries[0].why) == MOST + 1
    assert "... and 5 more" in message.entries[0].why[-1]


async def test_it_is_no_line_of_a_bundle(house: House) -> None:
    house.start("02T07:00")
    house.directory["roles"]["account_manager"] = "claire"
    house.start("02T07:01")
    house.short("PO-0", "02T07:10")
    for n in range(1, 9):
        house.short(f"PO-{n}", "02T08:30", units=50)
    told = await house.look("02T08:30")
    [summary] = [message for message in told if message.entries[0].case_id is None]
    assert not summary.is_bundle
    assert len(told) == 4  # the summary, and three alerts before the rest is held


async def test_in_shadow_mode_only_the_redirect_target_reads_it(house: House) -> None:
    house.policy += "mode: shadow\n"
    house.start("02T07:00")
    house.short("PO-1", "02T07:10")
    [message] = await house.look("02T08:30")
    assert (message.person, message.would_have_told) == ("claire", ("Anna Lindner",))


async def test_the_summary_of_a_partner_in_shadow_says_nothing(house: House) -> None:
    house.policy += "shadow: {partners: [kontor]}\n"
    house.start("02T07:00")
    house.short("PO-1", "02T07:10")
    assert await house.look("02T08:30") == []


async def test_what_only_a_rule_in_shadow_watches_is_not_listed(house: House) -> None:
    house.policy = POLICY.replace("open_at: watch}", "open_at: watch, mode: shadow}")
    house.start("02T07:00")
    house.short("PO-1", "02T07:10")
    assert await house.look("02T08:30") == []


async def test_without_the_setting_there_is_none(house: House) -> None:
    house.policy = POLICY.replace('summary: {at: "08:30"}', "")
    house.start("02T07:00")
    house.short("PO-1", "02T07:10")
    assert await house.look("02T08:30") == []


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{at: 10:30}", 'write it in quotes, e.g. "10:30"'),
        ('{at: "24:00"}', "the last time of one is 23:59"),
        ('{at: "25:00"}', "write HH:MM"),
        ('{time: "08:30"}', "time"),
    ],
)
def test_a_time_that_is_none_is_refused(tmp_path: Path, written: str, says: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace('{at: "08:30"}', written))
    result = CliRunner().invoke(cli, ["check", "--policy", str(file)])
    assert result.exit_code == 1
    assert says in result.output
