"""Whether people can be reached: tried out over real routes, recorded, and listed."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from click.testing import CliRunner, Result

from detente.cli import cli
from detente.embedded import open_embedded
from detente.reachability import keep_proof
from detente.route_alarms import RouteAlarms
from detente.settings import Settings
from notifiers.memory import MemoryNotifier
from notifiers.notifier import Failed, Outcome, Retry, Sent
from rules.decision import Changes
from rules.effects import report_effect
from rules.recipients import PERSON
from schemas.policy import OPERATIONS
from schemas.time import DAY, HOUR, Instant, to_instant
from streams.relay import Relay
from streams.store import Transaction

MONDAY = to_instant(datetime.fromisoformat("2026-11-02T10:00:00+01:00"))
POLICY = """
rules:
  - {name: late-delivery, when: {delay: "> 48h"}, open_at: management}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 2h}
    executive: {notify: executive_sponsor, acknowledge_within: 1h}
partner_tiers: [standard]
calendars:
  default: {timezone: Europe/Berlin, hours: {mon-fri: ["09:00-17:00"]}}
"""
DIRECTORY = """
people:
  anna: {name: Anna Lindner, routes: [{kind: email, address: anna@example.com}, {kind: terminal}]}
  claire: {name: Claire Dubois, routes: [{kind: email, address: claire@example.com}]}
  david: {name: David Okafor}
  gone: {name: Gone, routes: [{kind: terminal}], active: false}
roles: {account_manager: anna, partnership_manager: claire, executive_sponsor: david,
        operations: anna}
partners:
  kontor: {tier: standard}
"""


class Mailbox(threading.Thread):
    """A mail server in a thread of its own, since a command has the event loop of this one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.subjects: dict[str, str] = {}
        self.unknown: set[str] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self.port = 0

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def serve() -> None:
            server = await self._loop.create_server(
                lambda: SMTP(self, hostname="mail.example.com", loop=self._loop), "127.0.0.1", 0
            )
            self.port = server.sockets[0].getsockname()[1]
            self._over = asyncio.Event()
            self._ready.set()
            await self._over.wait()
            server.close()
            await server.wait_closed()

        self._loop.run_until_complete(serve())
        self._loop.close()

    def begin(self) -> None:
        self.start()
        assert self._ready.wait(30)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self.join(30)

    async def handle_RCPT(  # noqa: N802 - the name that the server looks for
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.unknown:
            return "550 5.1.1 unknown"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the name that the server looks for
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        head = envelope.content.decode().partition("\r\n\r\n")[0].replace("\r\n ", " ")
        [subject] = [line for line in head.split("\r\n") if line.startswith("Subject: ")]
        self.subjects[envelope.rcpt_tos[0]] = subject
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    found = Mailbox()
    found.begin()
    yield found
    found.end()


class House:
    """A store, and somebody who types commands at a time of the test's."""

    def __init__(self, folder: Path, port: int) -> None:
        self.now = MONDAY
        self.written = 0
        """How many proofs the relay has kept."""
        (folder / "policy.yaml").write_text(POLICY)
        self.directory = folder / "directory.yaml"
        self.directory.write_text(DIRECTORY)
        self._env = {
            "DETENTE_DB": f"sqlite:///{folder / 'detente.db'}",
            "DETENTE_POLICY": str(folder / "policy.yaml"),
            "DETENTE_DIRECTORY": str(self.directory),
            "DETENTE_SMTP_HOST": "127.0.0.1",
            "DETENTE_SMTP_PORT": str(port),
            "DETENTE_SMTP_FROM": "detente@example.com",
        }
        self.take_over()

    def take_over(self) -> None:
        """What `serve` does with the files when it starts."""
        folder = self.directory.parent
        settings = Settings(
            self._env["DETENTE_DB"], "127.0.0.1", 0, folder / "policy.yaml", self.directory
        )
        with open_embedded(settings, self.now):
            pass

    def tell(self, person: str, *outcomes: Outcome) -> None:
        """The relay tells somebody something for each outcome, and that is what comes of it."""
        folder = self.directory.parent
        settings = Settings(
            self._env["DETENTE_DB"], "127.0.0.1", 0, folder / "policy.yaml", self.directory
        )
        notifier = MemoryNotifier()
        notifier.outcomes.extend(outcomes)

        def keep(*proof: Any) -> None:
            self.written += 1
            keep_proof(*proof)

        with open_embedded(settings, self.now) as embedded:

            async def write(work: Callable[[Transaction], None]) -> None:
                with embedded.store.transaction() as tx:
                    work(tx)

            relay = Relay(
                embedded.store.reading, write, embedded.knowledge.house,
                {"email": notifier, "terminal": MemoryNotifier()}, Random(1), keep_proof=keep,
            )  # fmt: skip
            with embedded.store.transaction() as tx:
                steps = [f"test {n} at {self.now}" for n in range(len(outcomes))]
                effects = [report_effect(step, PERSON + person, self.now, step) for step in steps]
                tx.write(Changes(effects=effects))
            asyncio.run(relay.run_once(self.now))

    def alarms(self) -> list[tuple[str, list[str]]]:
        """What the watchman newly tells operations about routes: headline and lines."""
        folder = self.directory.parent
        settings = Settings(
            self._env["DETENTE_DB"], "127.0.0.1", 0, folder / "policy.yaml", self.directory
        )
        with open_embedded(settings, self.now) as embedded:
            with embedded.store.reading() as tx:
                before = len(tx.list_outbox())
            found = RouteAlarms(embedded.store, embedded.knowledge.house).look(self.now)
            with embedded.store.reading() as tx:
                new = [entry.effect for entry in tx.list_outbox()][before:]
        assert len(new) == found
        assert {effect.role for effect in new} <= {OPERATIONS}
        return [(str(effect.text["headline"]), list(effect.text["why"])) for effect in new]  # type: ignore[call-overload]

    def forget(self, variable: str) -> None:
        """Commands find a variable no longer."""
        del self._env[variable]

    def run(self, *args: str, code: int = 0) -> Result:
        result = CliRunner(env=self._env).invoke(cli, list(args), obj=lambda: self.now)
        assert result.exit_code == code, result.output
        return result

    def reachability(self, *args: str) -> Any:
        return json.loads(self.run("check", "--reachability", "--json", *args).stdout)

    def standings(self, *args: str) -> dict[str, str]:
        routes = self.reachability(*args)["routes"]
        return {f"{one['person']} {one['route']}": one["standing"] for one in routes}


@pytest.fixture
def house(tmp_path: Path, mailbox: Mailbox) -> House:
    return House(tmp_path, mailbox.port)


def test_every_route_of_a_person_is_tried_and_recorded(house: House, mailbox: Mailbox) -> None:
    output = house.run("notify", "test", "--person", "anna").stdout
    assert "anna, 1 email anna@example.com: reached" in output
    assert "anna, 2 terminal: reached" in output
    assert "a test: nothing happened" in output
    assert list(mailbox.subjects) == ["anna@example.com"]
    assert "[FOR INFORMATION] a test" in mailbox.subjects["anna@example.com"]
    assert house.standings() == {
        "anna 1 email anna@example.com": "proved",
        "anna 2 terminal": "proved",
        "claire 1 email claire@example.com": "never proved",
    }


def test_where_no_mail_is_set_up_the_setting_that_is_missing_is_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.forget("DETENTE_SMTP_HOST")
    monkeypatch.delenv("DETENTE_SMTP_HOST", raising=False)
    output = house.run("notify", "test", "--person", "claire", code=1).stdout
    assert "FAILED: no email is set up here: DETENTE_SMTP_HOST is not set" in output


def test_a_route_is_tried_before_the_service_is_started_with_it(
    house: House, mailbox: Mailbox
) -> None:
    house.directory.write_text(DIRECTORY.replace("claire@", "claire.dubois@"))
    assert house.standings()["claire 1 email claire.dubois@example.com"] == "never proved"
    house.run("notify", "test", "--person", "claire")
    assert list(mailbox.subjects) == ["claire.dubois@example.com"]
    assert house.standings()["claire 1 email claire.dubois@example.com"] == "proved"
    house.directory.write_text(DIRECTORY.replace("kind: terminal", "kind: carrier-pigeon"))
    assert "directory.yaml:3" in house.run("notify", "test", "--all", code=1).output


def test_who_cannot_be_reached_is_listed_per_partner_and_tier(
    house: House, mailbox: Mailbox
) -> None:
    mailbox.unknown.add("claire@example.com")
    output = house.run("notify", "test", "--all", code=1).stdout
    assert "claire, 1 email claire@example.com: FAILED: the mail server refuses" in output
    assert "david has no route" in output
    assert "gone" not in output
    found = {(one["partner"], one["tier"]): one["standing"]
             for one in house.reachability()["not_proved"]}  # fmt: skip
    assert found == {
        ("kontor", "management"): "failed",
        ("kontor", "executive"): "no route",
        (None, "management"): "failed",
        (None, "executive"): "no route",
    }
    shown = house.run("check", "--reachability").stdout
    assert "there is no such mailbox" in shown
    assert "2 of 3 routes proved" in shown


def test_a_proof_grows_stale_and_is_for_one_address(house: House, mailbox: Mailbox) -> None:
    house.run("notify", "test", "--person", "claire")
    house.now = Instant(MONDAY + 20 * DAY)
    name = "claire 1 email claire@example.com"
    assert house.standings()[name] == "proved"
    assert house.standings("--stale-after", "2w")[name] == "proved long ago"
    mailbox.unknown.add("claire@example.com")
    house.run("notify", "test", "--person", "claire", code=1)
    [route] = [one for one in house.reachability()["routes"] if one["person"] == "claire"]
    assert (route["standing"], route["reached_at"]) == ("failed", "2026-11-02T09:00:00Z")
    house.directory.write_text(DIRECTORY.replace("claire@", "c.dubois@"))
    house.take_over()
    assert house.standings()["claire 1 email c.dubois@example.com"] == "never proved"


def test_a_real_delivery_counts_as_a_test_does(house: House) -> None:
    name = "claire 1 email claire@example.com"
    house.tell("claire", Failed("the mail server refuses the address"))
    assert house.standings()[name] == "failed"
    house.now = Instant(MONDAY + DAY)
    house.tell("claire", Sent())
    assert house.standings()[name] == "proved"
    house.now = Instant(MONDAY + DAY + 2 * HOUR)
    house.tell("claire", Retry("no answer in time"))  # it may have been a bad moment
    assert house.standings()[name] == "proved"


def test_what_was_proved_within_the_hour_is_not_written_again(house: House) -> None:
    house.tell("claire", Sent(), Sent())
    [route] = [one for one in house.reachability()["routes"] if one["person"] == "claire"]
    assert route["reached_at"] == "2026-11-02T09:00:00Z"
    assert house.written == 1


def test_operations_hear_once_of_a_route_that_fails_until_it_works_again(house: House) -> None:
    assert house.alarms() == []
    house.tell("anna", Failed("there is no such mailbox"))
    [(headline, why)] = house.alarms()
    assert headline == "email anna@example.com fails: there is no such mailbox"
    assert why[0] == "Anna Lindner (email anna@example.com) is told by terminal"
    assert house.alarms() == []  # it was told, and a restart forgets nothing
    house.now = Instant(MONDAY + DAY)
    house.tell("anna", Sent())
    assert house.alarms() == []
    house.now = Instant(MONDAY + 2 * DAY)
    house.tell("anna", Failed("there is no such mailbox"))
    assert len(house.alarms()) == 1
    house.directory.write_text(DIRECTORY.replace("anna@", "a.lindner@"))
    house.take_over()
    assert house.alarms() == []


def test_what_fails_for_one_reason_is_one_alarm(house: House, mailbox: Mailbox) -> None:
    mailbox.unknown |= {"anna@example.com", "claire@example.com"}
    house.run("notify", "test", "--all", code=1)
    [(headline, why)] = house.alarms()
    assert headline.startswith("2 routes fail: the mail server refuses the address")
    assert why[:2] == [
        "Anna Lindner (email anna@example.com) is told by terminal",
        "Claire Dubois (email claire@example.com) cannot be told any more",
    ]


def test_what_cannot_be_tried_is_said(house: House) -> None:
    output = house.run("notify", "test", "--person", "ann", code=1).output
    assert "there is no person 'ann'; accepted: anna, claire, david" in output
    assert "name --person P, or --all" in house.run("notify", "test", code=2).output
    assert "--stale-after" in house.run("check", "--stale-after", "3bd", code=2).output
    assert "has no route" in house.run("notify", "test", "--person", "david", code=1).output


def test_before_anything_was_tried_nothing_is_proved(tmp_path: Path, house: House) -> None:
    database = f"sqlite:///{tmp_path / 'none-yet.db'}"
    assert set(house.standings("--db", database).values()) == {"never proved"}
    assert not (tmp_path / "none-yet.db").exists()
