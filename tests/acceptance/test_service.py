"""The embedded service: its parts together on a clock of the test's, and as a process."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner

from detente.alarms import Alarms
from detente.cli import cli
from detente.client import submit
from detente.embedded import Embedded, open_embedded
from detente.failures import AddressError
from detente.listening import listen
from detente.occupancy import Lock, OccupiedError, find
from detente.output import UnreachableError
from detente.service import Service
from detente.settings import Settings
from rules.decision import Changes, Kind, Rejected, State
from schemas.time import DAY, HOUR, MINUTE, Instant, iso, to_instant
from streams.outcome import Accepted, Duplicate, Refused, SetAside
from streams.records import RawRecord
from tests.processes import running

MONDAY = to_instant(datetime.fromisoformat("2026-11-02T10:00:00+00:00"))
WAIT = 30.0  # seconds; a bound for what hangs
POLICY = """
partner_tiers: [standard]
rules:
  - {name: late-delivery, when: {delay: "> 48h"}, open_at: management}
  - {name: order-impact, when: {impact: "> 5%"}, open_at: management}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 4h}
    executive: {notify: executive_sponsor, acknowledge_within: 4h}
calendars:
  default: {timezone: UTC, hours: {mon-sun: ["00:00-24:00"]}}
"""
CADENCE = "sources: {/erp: {cadence: 1h}}\n"
DIRECTORY = """
people:
  anna: {name: Anna, routes: [{kind: terminal}]}
  claire: {name: Claire, routes: [{kind: terminal}]}
  david: {name: David, routes: [{kind: terminal}]}
  desk: {name: Desk, routes: [{kind: terminal}]}
roles: {account_manager: anna, partnership_manager: claire, executive_sponsor: david,
        operations: desk}
partners:
  acme: {tier: standard}
"""


class Clock:
    """A wall clock that the test moves."""

    def __init__(self, now: Instant = MONDAY) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return self.now

    def advance(self, microseconds: int) -> None:
        self.now = Instant(self.now + microseconds)


class Terminal(io.StringIO):
    """What people on this machine are told; others can wait for a text."""

    def __init__(self) -> None:
        super().__init__()
        self._written = asyncio.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self._written.set()
        return written

    async def shows(self, *texts: str) -> str:
        async with asyncio.timeout(WAIT):
            while not all(text in self.getvalue() for text in texts):
                self._written.clear()
                await self._written.wait()
        return self.getvalue()


def settings_in(folder: Path, policy: str = POLICY, host: str = "127.0.0.1") -> Settings:
    (folder / "policy.yaml").write_text(policy)
    (folder / "directory.yaml").write_text(DIRECTORY)
    return Settings(
        f"sqlite:///{folder / 'detente.db'}",
        host,
        0,
        folder / "policy.yaml",
        folder / "directory.yaml",
    )


def event(event_id: str, type_: str, time: Instant = MONDAY, **data: Any) -> dict[str, Any]:
    envelope = {"specversion": "1.0", "id": event_id, "source": "/erp", "type": type_}
    return envelope | {"time": iso(time), "data": {"partner_id": "acme"} | data}


def placed(
    order_id: str = "PO-1", promised: Instant = MONDAY, partner_id: str = "acme"
) -> dict[str, Any]:
    lines = [{"sku": "coffee", "quantity": 100}]
    return event(
        f"placed-{order_id}", "order.placed", partner_id=partner_id, order_id=order_id,
        promised_at=iso(promised), lines=lines,
    )  # fmt: skip


def short(order_id: str = "PO-1", quantity: int = 8, partner_id: str = "acme") -> dict[str, Any]:
    lines = [{"sku": "coffee", "quantity": quantity}]
    return event(
        f"short-{order_id}", "order.impacted", partner_id=partner_id, order_id=order_id,
        kind="short", lines=lines,
    )  # fmt: skip


@asynccontextmanager
async def serving(
    settings: Settings, clock: Clock, terminal: Terminal | None = None
) -> AsyncIterator[Service]:
    with (
        Lock(settings.db, "a test").acquire(0),
        open_embedded(settings, clock()) as embedded,
    ):
        service = Service(embedded, settings, clock, terminal or Terminal())
        async with running(service):
            yield service


async def post(service: Service, *events: dict[str, Any], token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{service.address}/events", data=json.dumps(events), headers=headers
        ) as answer,
    ):
        said: dict[str, Any] = await answer.json()
        return said | {"status": answer.status}


# --- its parts together ---------------------------------------------------------------------------


async def test_an_event_by_http_is_decided_and_told_at_once(tmp_path: Path) -> None:
    terminal = Terminal()
    async with serving(settings_in(tmp_path), Clock(), terminal) as service:
        assert (await post(service, placed(promised=Instant(MONDAY + DAY)), short()))[
            "accepted"
        ] == 2
        told = await terminal.shows("to Claire", "to Anna")
    assert "8 of 100 units short = 8.0 %" in told


async def test_a_deadline_fires_when_its_time_has_come_and_not_before(tmp_path: Path) -> None:
    terminal, clock = Terminal(), Clock()
    settings = settings_in(tmp_path)
    async with serving(settings, clock, terminal) as service:
        await post(service, placed(promised=MONDAY))
        clock.advance(2 * DAY)
        await post(service, short("PO-2"), placed("PO-2", Instant(MONDAY + 30 * DAY)))
        before = await terminal.shows("PO-2")
        assert "PO-1" not in before
        clock.advance(1_000_000)
        await terminal.shows("PO-1", "to Claire")
        clock.advance(4 * HOUR + 1)
        await terminal.shows("to David")
    with open_embedded(settings, clock()) as embedded, embedded.store.reading() as tx:
        assert {case.tier for case in tx.list_cases()} == {"executive"}


async def test_after_a_gap_feeds_get_time_to_catch_up(tmp_path: Path) -> None:
    clock, settings = Clock(), settings_in(tmp_path)
    async with serving(settings, clock) as service:
        await post(service, placed("PO-1"), placed("PO-2"))
    clock.advance(5 * DAY)
    terminal = Terminal()
    async with serving(settings, clock, terminal) as service:
        # What waited at the sender's shows that the first came in time.
        came = event("came-1", "delivery.completed", MONDAY, order_id="PO-1", delivery_id="D-1",
                     final=True)  # fmt: skip
        assert (await post(service, came))["accepted"] == 1
        clock.advance(6 * MINUTE)
        told = await terminal.shows("PO-2")
    assert "PO-1" not in told


async def test_commands_go_through_the_service_and_without_it_into_the_database(
    tmp_path: Path,
) -> None:
    clock, settings, terminal = Clock(), settings_in(tmp_path), Terminal()
    events = [placed(promised=Instant(MONDAY + DAY)), short()]
    async with serving(settings, clock, terminal):
        bad = {"specversion": "1.0"}
        odd = event("odd", "moon.risen")
        outcomes = await asyncio.to_thread(submit, settings, [*events, bad, odd])
        assert outcomes[:2] == [Accepted(), Accepted()]
        assert isinstance(outcomes[2], Refused)
        assert [problem.path for problem in outcomes[2].problems]
        assert isinstance(outcomes[3], SetAside)
        await terminal.shows("to Claire")
    assert find(settings.db) is None
    assert submit(settings, events) == [Duplicate(), Duplicate()]


async def test_the_way_for_commands_stays_open_when_tokens_are_asked_for(tmp_path: Path) -> None:
    clock, settings = Clock(), settings_in(tmp_path)
    runner = CliRunner()
    made = runner.invoke(cli, ["token", "create", "erp", "--db", settings.db, "--json"])
    token = json.loads(made.output)["token"]
    async with serving(settings, clock) as service:
        assert (await post(service, placed()))["status"] == 401
        assert (await post(service, placed(), token=token))["accepted"] == 1
        assert await asyncio.to_thread(submit, settings, [placed()]) == [Duplicate()]
        address = find(settings.db)
        assert address is not None
        file = tmp_path / "detente.db.service"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert token not in file.read_text()
        # The page for commands does not open to the tokens of senders.
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{address.url}/local/records", data=b"\x90") as answer,
        ):
            assert answer.status == 401


async def test_a_revoked_token_stops_being_good_while_the_service_runs(tmp_path: Path) -> None:
    clock, settings, runner = Clock(), settings_in(tmp_path), CliRunner()
    made = runner.invoke(cli, ["token", "create", "erp", "--db", settings.db, "--json"])
    token = json.loads(made.output)["token"]
    async with serving(settings, clock) as service:
        assert runner.invoke(cli, ["token", "revoke", "1", "--db", settings.db]).exit_code == 0
        async with asyncio.timeout(WAIT):
            while (await post(service, placed(), token=token))["status"] != 401:
                pass
    listed = runner.invoke(cli, ["token", "list", "--db", settings.db, "--json"])
    assert json.loads(listed.output)["tokens"][0]["revoked_at"] is not None
    assert runner.invoke(cli, ["token", "revoke", "1", "--db", settings.db]).exit_code == 1


async def test_a_new_policy_is_in_force_from_the_next_start(tmp_path: Path) -> None:
    clock, settings, terminal = Clock(), settings_in(tmp_path), Terminal()
    async with serving(settings, clock) as service:
        await post(service, placed(promised=MONDAY))
    clock.advance(HOUR)
    settings = settings_in(tmp_path, POLICY.replace("> 48h", "> 12h"))
    async with serving(settings, clock, terminal) as service:
        await post(service, placed("PO-9", Instant(MONDAY + 90 * DAY)) | {"time": iso(clock())})
        clock.advance(12 * HOUR)
        await terminal.shows("PO-1")
    with open_embedded(settings, clock()) as embedded:
        assert not embedded.established.is_new_policy
        with embedded.store.reading() as tx:
            assert [version.active_from for version in tx.policies()] == [0, MONDAY + HOUR]


# --- alarms ---------------------------------------------------------------------------------------


class Watched:
    """A store with the watchman's eyes on it, without its service."""

    def __init__(self, embedded: Embedded, clock: Clock) -> None:
        self.embedded, self.clock = embedded, clock

    def look(self) -> list[str]:
        """Let the watchman look, and say what is new."""
        seen = len(self._effects())
        policy = self.embedded.knowledge.policy
        Alarms(self.embedded.store, self.embedded.watch, policy).look(self.clock())
        return self._effects()[seen:]

    def take(self, *events: dict[str, Any]) -> None:
        records = [RawRecord("test", str(n), json.dumps(e).encode()) for n, e in enumerate(events)]
        self.embedded.handler.take(records, self.clock())

    def _effects(self) -> list[str]:
        with self.embedded.store.reading() as tx:
            entries = [e for e in tx.list_outbox() if e.effect.role == "operations"]
        return [str(entry.effect.text["headline"]) for entry in entries]


@contextmanager
def watched(folder: Path, clock: Clock, policy: str = POLICY + CADENCE) -> Iterator[Watched]:
    with open_embedded(settings_in(folder, policy), clock()) as embedded:
        yield Watched(embedded, clock)


def test_a_silent_feed_is_told_once_and_again_when_it_speaks(tmp_path: Path) -> None:
    clock = Clock()
    with watched(tmp_path, clock) as house:
        house.take(placed())
        clock.advance(HOUR)
        assert house.look() == []
        clock.advance(MINUTE)
        [told] = house.look()
        assert told.startswith("/erp is silent: nothing since Mon 2 Nov 2026 10:00")
        assert house.look() == []
    with watched(tmp_path, clock) as house:  # a restart does not repeat it, nor call it over
        clock.advance(2 * HOUR)
        assert house.look() == []
        house.take(placed("PO-2"))
        [told] = house.look()
        assert told.startswith("/erp speaks again")
        clock.advance(2 * HOUR)
        [told] = house.look()
        assert "is silent" in told


def test_our_own_absence_is_no_silence_of_a_feed(tmp_path: Path) -> None:
    clock = Clock()
    with watched(tmp_path, clock) as house:
        house.take(placed())
    clock.advance(3 * DAY)
    with watched(tmp_path, clock) as house:
        assert house.look() == []


def test_deadlines_held_for_long_are_told_once(tmp_path: Path) -> None:
    clock = Clock()
    with watched(tmp_path, clock) as house:
        house.take(placed(promised=MONDAY))
        clock.advance(2 * DAY + 10 * MINUTE)
        assert not any("held" in told for told in house.look())
        clock.advance(10 * MINUTE)
        [told] = house.look()
        assert told == "1 deadline is held for more than 15min, waiting for /erp"
        assert house.look() == []
        house.take(placed("PO-2", Instant(MONDAY + 9 * DAY)) | {"time": iso(clock())})
        house.embedded.handler.tick(clock())
        house.look()
        with house.embedded.store.reading() as tx:
            assert [case.state for case in tx.list_cases()] == [State.OPEN]
            assert tx.count_held(Kind.ORDER, Instant(0), clock()) == 0


def test_what_is_set_aside_is_told_once_a_type(tmp_path: Path) -> None:
    with watched(tmp_path, Clock(), POLICY) as house:
        house.take(event("1", "moon.risen"), event("2", "moon.risen"), {"specversion": "1.0"})
        assert house.look() == ["set aside: events of the type moon.risen, which is not known"]
        house.take(event("3", "moon.risen"))
        assert house.look() == []


def test_each_time_that_something_cannot_be_decided_is_told(tmp_path: Path) -> None:
    clock = Clock()
    with watched(tmp_path, clock) as house:
        for order in ("PO-1", "PO-2"):
            failed = Rejected("/erp", "1", "it raised", "deciding failed", b"", clock(), order)
            with house.embedded.store.transaction() as tx:
                tx.write(Changes(rejected=[failed]))
            assert house.look() == [f"set aside, since it could not be decided: {order}"]


# --- as a process ---------------------------------------------------------------------------------

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts `detente serve` in an empty folder; whatever still runs at the end is killed."""
    settings_in(tmp_path)
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        clean = {k: v for k, v in os.environ.items() if not k.startswith("DETENTE_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "detente", "serve", *arguments],
            cwd=tmp_path,
            env=clean | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def listening(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.match(r"Listening: (\S+)", line):
            return found[1]
    raise AssertionError(f"it ended: {process.communicate()}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal_and_leaves_nothing_behind(
    run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    process = run("--port", "0")
    url = listening(process)
    assert url.startswith("http://127.0.0.1:")
    with pytest.raises(OccupiedError, match=rf"detente serve \(process {process.pid}\)"):
        Lock(f"sqlite:///{tmp_path / 'detente.db'}", "a test").acquire(0)
    process.send_signal(number)
    said, complaints = process.communicate(timeout=WAIT)
    assert process.returncode == 0, complaints
    assert said.endswith("Stopped.\n")
    assert complaints == ""
    assert not (tmp_path / "detente.db.service").exists()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with policy and directory, to call the command in."""
    for name in [name for name in os.environ if name.startswith("DETENTE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings_in(tmp_path)
    return tmp_path


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["serve", *arguments])
    assert result.exit_code == 1, result.output
    return result.output


def test_a_database_has_one_service(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detente.commands.serve._PATIENCE", 0.1)
    with Lock("sqlite:///detente.db", "detente serve").acquire(0):
        said = refused("--port", "0")
    assert f"is in use by detente serve (process {os.getpid()})" in said


def test_others_cannot_reach_it_without_a_token(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETENTE_HOST", "0.0.0.0")
    assert "detente token create NAME" in refused("--port", "0")


def test_a_port_that_is_taken_is_named(here: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused("--port", str(port))
        assert f"port {port} of 127.0.0.1 cannot be had: address already in use. Name" in said


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("kafka host", "the host 'kafka host' cannot be found from here"),
        ("a..b", "the host 'a..b' cannot be found from here"),
        ("198.51.100.7", "the host 198.51.100.7 is no address of this machine"),
    ],
)
async def test_a_host_that_cannot_be_had_is_not_taken_for_its_port(host: str, said: str) -> None:
    with pytest.raises(AddressError, match=re.escape(said)) as caught:
        await listen(web.Application(), host, 0, grace=0.1)
    assert "--host" in str(caught.value)
    assert "port" not in str(caught.value)


def test_mistakes_in_documents_have_their_lines(here: Path) -> None:
    wrong = POLICY.replace("open_at: management", "open_at: moon", 1)
    (here / "policy.yaml").write_text(wrong)
    assert "policy.yaml:4: rules[0].open_at: 'moon' is no tier" in refused("--port", "0")


def test_what_nobody_foresaw_is_one_line_and_the_rest_in_the_log(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("detente.commands.serve.open_embedded", break_down)
    result = CliRunner().invoke(cli, ["serve", "--port", "0"])
    assert result.exit_code == 70
    assert str(here / "detente.log") in result.output
    assert "Traceback" not in result.output
    assert "ZeroDivisionError: inside" in (here / "detente.log").read_text()


def test_a_database_that_a_command_holds_is_waited_for_and_then_named(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with Lock(settings.db, "some command").acquire(0), pytest.MonkeyPatch.context() as patch:
        patch.setattr("detente.client._PATIENCE", 0.1)
        with pytest.raises(UnreachableError, match="in use by some command"):
            submit(settings, [placed()])
