"""Telling people, as stories: a real store in a file, a clock that is moved, a notifier that
remembers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from shutil import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifiers.memory import MemoryNotifier
from notifiers.message import EntryKind, Message
from notifiers.notifier import Failed, Notifiers, Outcome, Retry, Sent
from rules.calendars import BusinessCalendar
from rules.decision import CaseRow, Changes, Effect, EffectKind, Kind, State
from rules.recipients import Recipients
from schemas.directory import Directory, Route
from schemas.policy import Policy
from schemas.time import HOUR, MINUTE, SECOND, Instant, to_instant
from streams.relay import Backoff, House, Reason, Relay, RelayReport
from streams.store import DeliveryRow, DeliveryStatus, OutboxEntry, OutboxStatus, Store, Transaction

TERMINAL: dict[str, Any] = {"kind": "terminal"}
HOOK: dict[str, Any] = {
    "kind": "webhook",
    "url": "https://hooks.example.com/T0/very-secret-token",
    "secret_env": "HOOK_SECRET",
}
PEOPLE: dict[str, Any] = {
    "anna": {"name": "Anna Lindner", "routes": [TERMINAL]},
    "claire": {"name": "Claire Dubois", "routes": [TERMINAL]},
    "david": {"name": "David Okafor", "routes": [TERMINAL]},
    "opsdesk": {"name": "Operations desk", "routes": [TERMINAL]},
}
ROLES: dict[str, Any] = {
    "account_manager": "anna",
    "partnership_manager": "claire",
    "executive_sponsor": "david",
    "operations": "opsdesk",
}
TIERS = {
    "frontline": "account_manager",
    "management": "partnership_manager",
    "executive": "executive_sponsor",
}
POLICY: dict[str, Any] = {
    "rules": [{"name": "late", "when": {"delay": "> 48h"}, "open_at": "management"}],
    "ladders": {
        "default": {
            tier: {"notify": role, "acknowledge_within": "2bh"} for tier, role in TIERS.items()
        }
    },
    "calendars": {
        "default": {"timezone": "Europe/Berlin", "hours": {"mon-fri": ["09:00-17:00"]}},
        "tokyo": {"timezone": "Asia/Tokyo", "hours": {"mon-fri": ["09:00-17:00"]}},
    },
    "bundling": {"window": "2min", "more_than": 3},
}
#: A Monday, 10:00 in Berlin.
START = to_instant(datetime.fromisoformat("2026-11-02T10:00:00+01:00"))


class Crash(BaseException):
    """The process ends here."""


class Flaky(MemoryNotifier):
    """Ends the process before or after a message went out, when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.crash_before = self.crash_after = False
        self.meanwhile: Callable[[], None] = lambda: None

    async def send(self, message: Message, route: Route) -> Outcome:
        if self.crash_before:
            self.crash_before = False
            raise Crash
        outcome = await super().send(message, route)
        self.meanwhile()
        if self.crash_after:
            self.crash_after = False
            raise Crash
        return outcome


class Office:
    """A store, a relay, and a clock that only the story moves."""

    def __init__(self, file: str | Path) -> None:
        self.store = Store.open(f"sqlite:///{file}")
        self.now = START
        self.people = {name: dict(person) for name, person in PEOPLE.items()}
        self.roles = dict(ROLES)
        self.policy: dict[str, Any] = dict(POLICY)
        self.terminal, self.hook = Flaky(), Flaky()
        self.notify = True
        self.backoff = Backoff()
        self._effects = 0
        self._house: tuple[str, House] | None = None
        self.restart()

    # -- what is the case ----------------------------------------------------------------------

    def restart(self) -> None:
        """A new process over the same store: whatever was in memory is gone."""
        notifiers: Notifiers = {"terminal": self.terminal, "webhook": self.hook}
        self.relay = Relay(self.store.reading, self.write, self.house, notifiers,
                           Random(1), backoff=self.backoff, notify=self.notify)  # fmt: skip

    async def write(self, work: Callable[[Transaction], None]) -> None:
        with self.store.transaction() as tx:
            work(tx)

    def house(self) -> House:
        said = repr((self.policy, self.people, self.roles))
        if self._house is None or self._house[0] != said:
            policy = Policy.model_validate(self.policy)
            calendars = {
                name: BusinessCalendar(c.timezone, c.hours) for name, c in policy.calendars.items()
            }
            directory = Directory.model_validate({"people": self.people, "roles": self.roles})
            self._house = said, House(policy, Recipients(directory, calendars), calendars)
        return self._house[1]

    def case(self, case_id: str, state: State = State.OPEN, tier: str = "management") -> None:
        """A case, or what has become of it."""
        self._write(Changes(cases=[self._case(case_id, state, tier)]))

    def tell(
        self,
        case_id: str | None,
        kind: EffectKind = EffectKind.ALERT,
        role: str = "partnership_manager",
        **other: Any,
    ) -> str:
        """An effect for a role, as its tier's unless `other` says so."""
        effect = self._effect(case_id, kind, role, **other)
        self._write(Changes(effects=[effect]))
        return effect.effect_id

    def alert(self, case_id: str, **other: Any) -> str:
        """A case that opens at management, and the alert about it."""
        return self.alerts([case_id], **other)[0]

    def alerts(self, case_ids: Iterable[str], **other: Any) -> list[str]:
        """Cases that open at management in one batch."""
        names = list(case_ids)
        effects = [self._effect(name, EffectKind.ALERT, "partnership_manager", **other)
                   for name in names]  # fmt: skip
        cases = [self._case(name, State.OPEN, "management") for name in names]
        self._write(Changes(cases=cases, effects=effects))
        return [effect.effect_id for effect in effects]

    def _case(self, case_id: str, state: State, tier: str) -> CaseRow:
        return CaseRow(
            case_id=case_id, subject=f"order/acme/{case_id}", kind=Kind.ORDER, partner_id="acme",
            partner_tier="growth", state=state, tier=tier, highest_tier=tier, owner=None,
            disputed=False, shadow=False, parent=None, rules=("late",), headline="late",
            opened_at=START, changed_at=self.now, due=None, waits_for=None,
        )  # fmt: skip

    def _effect(self, case_id: str | None, kind: EffectKind, role: str, **other: Any) -> Effect:
        self._effects += 1
        tier = next((tier for tier, name in TIERS.items() if name == role), "watch")
        effect = Effect(
            effect_id=f"e{self._effects}", case_id=case_id, partner_id="acme",
            step=f"step{self._effects}", kind=kind, role=role, tier=tier, state=None, urgent=False,
            shadow=False, at=self.now, created_at=self.now, due=Instant(self.now + 2 * HOUR),
            remind_every=None, remind_at_most=0, actor=None,
            text={"headline": f"acme, order {case_id}: late", "why": ["50 h > 48 h"],
                  "subject": f"order {case_id}", "partner": "acme"},
        )  # fmt: skip
        return replace(effect, **other)

    def _write(self, changes: Changes) -> None:
        with self.store.transaction() as tx:
            tx.write(changes)

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

    @property
    def told(self) -> list[tuple[str, tuple[str, ...]]]:
        """Person and effects of each message that arrived, in order."""
        return [(m.person, tuple(e.effect_id for e in m.entries)) for m in self.terminal.told]

    @property
    def arrived(self) -> list[Message]:
        """What arrived over any route."""
        return self.terminal.told + self.hook.told

    def outbox(self, effect_id: str) -> OutboxEntry:
        with self.store.reading() as tx:
            return next(e for e in tx.list_outbox() if e.effect.effect_id == effect_id)

    def became(self, effect_id: str) -> tuple[OutboxStatus, str | None]:
        entry = self.outbox(effect_id)
        return entry.status, entry.reason

    def rows(self, effect_id: str) -> list[DeliveryRow]:
        with self.store.reading() as tx:
            seq = next(e.seq for e in tx.list_outbox() if e.effect.effect_id == effect_id)
            return [r for r in tx.deliveries_about([], [seq]) if r.effect_id == effect_id]

    def story(self, effect_id: str) -> list[tuple[str, str, str | None]]:
        return [(r.person, r.status.value, r.detail) for r in self.rows(effect_id)]


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: migrations take longer than any story here."""
    file = tmp_path_factory.mktemp("empty") / "store.db"
    Store.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def office(empty_store: Path, tmp_path: Path) -> Iterator[Office]:
    office = Office(copy(empty_store, tmp_path))
    yield office
    office.store.close()


DROPPED, DEAD, SENT = OutboxStatus.DROPPED, OutboxStatus.DEAD, OutboxStatus.SENT
QUEUED, GIVEN_UP = OutboxStatus.QUEUED, DeliveryStatus.GIVEN_UP
UPDATE, NOTICE, RETRACTION = EffectKind.UPDATE, EffectKind.NOTICE, EffectKind.RETRACTION


# --- the plain road ----------------------------------------------------------------------------


async def test_an_alert_reaches_the_person_who_fills_the_role(office: Office) -> None:
    alert = office.alert("c1")
    report = await office.run()
    assert office.told == [("claire", (alert,))]
    assert office.became(alert) == (SENT, None)
    assert [(r.person, r.route, r.status) for r in office.rows(alert)] == [
        ("claire", "1 terminal", DeliveryStatus.SENT)
    ]
    assert (report.sent, report.messages, report.next_wake) == (1, 1, None)
    message = office.terminal.told[0]
    assert (message.name, message.zone, message.attempt) == ("Claire Dubois", "Europe/Berlin", 1)


async def test_what_was_told_is_not_told_again(office: Office) -> None:
    office.alert("c1")
    await office.run()
    office.restart()
    await office.run()
    assert len(office.told) == 1


async def test_the_highest_tier_is_told_first(office: Office) -> None:
    office.case("c1", tier="frontline")
    office.case("c2", tier="management")
    office.case("c3", tier="executive")
    office.tell("c1", role="account_manager")
    office.tell("c2", role="partnership_manager")
    office.tell("c3", role="executive_sponsor")
    await office.run()
    assert [person for person, _ in office.told] == ["david", "claire", "anna"]


async def test_everybody_who_fills_a_role_is_told_under_a_key_of_their_own(office: Office) -> None:
    office.roles["partnership_manager"] = ["claire", "david"]
    alert = office.alert("c1")
    await office.run()
    assert office.told == [("claire", (alert,)), ("david", (alert,))]
    assert len({m.idempotency_key for m in office.terminal.told}) == 2


async def test_operations_hear_of_what_is_about_no_case(office: Office) -> None:
    matter = office.tell(None, EffectKind.OPERATIONS, "operations", partner_id=None)
    await office.run()
    assert office.told == [("opsdesk", (matter,))]
    assert office.terminal.told[0].entries[0].kind is EntryKind.OPERATIONS


# --- attempts, routes, dead letters -------------------------------------------------------------


async def test_a_failed_attempt_is_repeated_later_under_the_same_key(office: Office) -> None:
    alert = office.alert("c1")
    office.terminal.outcomes.append(Retry("busy"))
    report = await office.run()
    assert office.became(alert) == (QUEUED, Reason.BACKING_OFF)
    assert report.next_wake is not None
    assert START < report.next_wake <= START + Backoff().first
    await office.advance(minutes=1)
    assert office.became(alert)[0] is SENT
    first, second = (message for message, _ in office.terminal.attempts)
    assert first.idempotency_key == second.idempotency_key
    assert (first.attempt, second.attempt) == (1, 2)


async def test_retry_after_is_respected_and_the_route_is_left_alone(office: Office) -> None:
    office.alert("c1")
    office.terminal.outcomes.append(Retry("slow down", after=10 * MINUTE))
    report = await office.run()
    assert report.next_wake == START + 10 * MINUTE
    office.alert("c2")  # goes over the same route
    await office.advance(minutes=9)
    assert len(office.terminal.attempts) == 1
    await office.advance(minutes=2)
    assert len(office.told) == 2


async def test_another_route_is_not_delayed_by_a_busy_one(office: Office) -> None:
    office.people["david"]["routes"] = [HOOK]
    office.case("c1", tier="executive")
    busy = office.tell("c1", role="executive_sponsor")
    office.hook.outcomes.append(Retry("429", after=HOUR))
    alert = office.alert("c2")
    await office.run()
    assert office.told == [("claire", (alert,))]
    assert office.became(busy)[0] is QUEUED


async def test_a_permanent_failure_goes_to_the_next_route_at_once(office: Office) -> None:
    office.people["claire"]["routes"] = [HOOK, TERMINAL]
    alert = office.alert("c1")
    office.hook.outcomes.append(Failed("HTTP 410"))
    await office.run()
    assert office.told == [("claire", (alert,))]
    assert [(r.route, r.status.value, r.detail) for r in office.rows(alert)] == [
        ("1 webhook hooks.example.com", "given up", "HTTP 410"),
        ("2 terminal", "sent", None),
    ]
    keys = {office.hook.attempts[0][0].idempotency_key, office.terminal.told[0].idempotency_key}
    assert len(keys) == 1


async def test_attempts_are_bounded_then_comes_the_next_route(office: Office) -> None:
    office.people["claire"]["routes"] = [HOOK, TERMINAL]
    alert = office.alert("c1")
    office.hook.outcomes.extend([Retry("HTTP 503")] * 50)
    await office.advance(hours=1)
    assert len(office.hook.attempts) == office.backoff.attempts
    assert office.told == [("claire", (alert,))]


async def test_a_kind_of_route_that_is_not_set_up_says_what_it_asks_for(office: Office) -> None:
    office.people["claire"]["routes"] = [{"kind": "email", "address": "c@example.com"}, TERMINAL]
    alert = office.alert("c1")
    await office.run()
    assert office.told == [("claire", (alert,))]
    tried = {row.route: row.detail for row in office.rows(alert)}
    assert tried["1 email c@example.com"] == "no email is set up here: DETENTE_SMTP_HOST is not set"


async def test_when_every_route_fails_the_stand_in_is_told(office: Office) -> None:
    office.people["claire"] |= {"stand_in": "david"}
    alert = office.alert("c1")
    office.terminal.outcomes.append(Failed("closed"))
    await office.run()
    assert office.told == [("david", (alert,))]
    assert office.terminal.told[0].entries[0].on_behalf == "Claire Dubois cannot be reached"
    assert office.became(alert) == (SENT, "claire: every route failed")


async def test_a_dead_letter_is_seen_by_operations_and_can_be_driven_again(
    office: Office,
) -> None:
    alert = office.alert("c1")
    office.terminal.outcomes.append(Failed("closed"))
    report = await office.run()
    assert office.told == [("opsdesk", (alert,))]
    assert office.became(alert) == (DEAD, Reason.UNREACHABLE)
    assert office.outbox(alert).last_error == "closed"
    assert (report.dead, report.next_wake) == (1, None)

    with office.store.transaction() as tx:
        assert tx.retry_dead() == 1
    await office.run()
    assert office.told == [("opsdesk", (alert,)), ("claire", (alert,))]
    assert office.became(alert) == (SENT, None)
    keys = {m.idempotency_key for m, _ in office.terminal.attempts if m.person == "claire"}
    assert len(keys) == 1


async def test_a_dead_letter_does_not_hold_up_its_case(office: Office) -> None:
    office.people["opsdesk"]["active"] = False
    dead = office.alert("c1")
    office.terminal.outcomes.append(Failed("closed"))
    await office.run()
    assert office.became(dead)[0] is DEAD
    again = office.tell("c1")
    await office.run()
    assert office.told == [("claire", (again,))]


async def test_a_notifier_that_raises_is_tried_again(office: Office) -> None:
    alert = office.alert("c1")

    def broken() -> None:
        office.terminal.meanwhile = lambda: None
        raise ZeroDivisionError

    office.terminal.meanwhile = broken
    await office.run()
    assert office.story(alert) == [
        ("claire", "failed", "the terminal notifier raised ZeroDivisionError")
    ]
    await office.advance(minutes=1)
    assert office.became(alert)[0] is SENT


async def test_a_crash_between_sending_and_recording_repeats_the_key(office: Office) -> None:
    alert = office.alert("c1")
    office.terminal.crash_after = True
    with pytest.raises(Crash):
        await office.run()
    office.restart()
    await office.run()
    assert office.told == [("claire", (alert,))] * 2
    assert len({m.idempotency_key for m in office.terminal.told}) == 1


async def test_a_bundle_that_may_have_arrived_is_repeated_as_it_was(office: Office) -> None:
    held = [office.alert(f"c{n}") for n in range(5)][3:]
    await office.run()
    office.now = Instant(office.now + 2 * MINUTE)
    office.terminal.crash_after = True
    with pytest.raises(Crash):
        await office.run()
    office.restart()
    late = office.alert("late")
    await office.run()
    first, second, third = office.terminal.told[3:]
    assert first.idempotency_key == second.idempotency_key
    assert [e.effect_id for e in second.entries] == held
    assert [e.effect_id for e in third.entries] == [late]


# --- who is told --------------------------------------------------------------------------------


async def test_the_stand_in_of_somebody_away_is_told_and_it_is_on_record(office: Office) -> None:
    away = {"from": "2026-11-01", "until": "2026-11-08"}
    office.people["claire"] |= {"stand_in": "david", "absences": [away]}
    alert = office.alert("c1")
    await office.run()
    assert office.told == [("david", (alert,))]
    entry = office.terminal.told[0].entries[0]
    assert (entry.on_behalf, entry.tier) == ("you stand in for Claire Dubois", "management")
    [(person, status, detail)] = office.story(alert)
    assert (person, status) == ("david", "sent")
    assert detail is not None
    assert "claire is away" in detail


async def test_when_nobody_can_be_told_operations_are(office: Office) -> None:
    office.people["claire"]["active"] = False
    alert = office.alert("c1")
    await office.run()
    assert office.told == [("opsdesk", (alert,))]
    detail = office.story(alert)[0][2]
    assert detail is not None
    assert "claire is no longer active" in detail
    assert "operations is told instead" in detail


async def test_nobody_home_at_all_is_kept_and_seen(office: Office) -> None:
    office.people["claire"]["active"] = office.people["opsdesk"]["active"] = False
    alert = office.alert("c1")
    await office.run()
    assert office.told == []
    assert office.became(alert) == (DEAD, Reason.NOBODY_HOME)
    office.people["claire"]["active"] = True
    with office.store.transaction() as tx:
        tx.retry_dead()
    await office.run()
    assert office.told == [("claire", (alert,))]


async def test_stand_ins_can_be_told_without_the_people_they_stand_in_for(office: Office) -> None:
    office.people["david"]["stand_in"] = "anna"
    office.case("c1")
    told = office.tell("c1", NOTICE, "executive_sponsor:stand_in")
    nobody = office.tell("c1", NOTICE, "partnership_manager:stand_in")
    await office.run()
    assert office.told == [("anna", (told,))]
    assert office.became(nobody) == (DROPPED, Reason.NO_STAND_IN)


# --- quiet hours and urgency --------------------------------------------------------------------


async def test_quiet_hours_put_off_what_is_not_urgent(office: Office) -> None:
    office.people["claire"]["quiet_hours"] = "20:00-07:00"
    office.now = Instant(START + 11 * HOUR)  # 21:00
    alert = office.alert("c1")
    urgent = office.alert("c2", urgent=True)
    report = await office.run()
    assert office.told == [("claire", (urgent,))]
    assert report.deferred == {Reason.QUIET_HOURS: 1}
    assert report.next_wake == START + 21 * HOUR  # 07:00 in Berlin
    assert office.became(alert) == (QUEUED, Reason.QUIET_HOURS)
    assert office.story(alert)[0][:2] == ("claire", "deferred")
    await office.advance(hours=10)
    assert office.told[1:] == [("claire", (alert,))]
    assert [row.status.value for row in office.rows(alert)] == ["deferred", "sent"]


# --- bundling -----------------------------------------------------------------------------------


async def test_a_storm_is_a_handful_of_messages(office: Office) -> None:
    effects = office.alerts(f"c{n}" for n in range(500))
    report = await office.run()
    assert len(office.told) == 3
    assert report.deferred == {Reason.BUNDLING: 497}
    assert office.became(effects[-1]) == (QUEUED, Reason.BUNDLING)
    await office.advance(minutes=2)
    assert [len(ids) for _, ids in office.told] == [1, 1, 1, 497]
    assert [e for _, ids in office.told for e in ids] == effects
    assert office.became(effects[-1]) == (SENT, None)
    last = office.rows(effects[-1])[-1]
    assert (last.status, last.bundle_id) == (
        DeliveryStatus.BUNDLED,
        office.terminal.told[-1].idempotency_key,
    )


async def test_a_storm_that_goes_on_is_one_message_a_window(office: Office) -> None:
    for n in range(60):
        office.alert(f"c{n}")
        await office.advance(seconds=10)
    await office.advance(minutes=2)
    sizes = [len(ids) for _, ids in office.told]
    assert sum(sizes) == 60
    assert sizes[:3] == [1, 1, 1]
    assert len(sizes) <= 3 + 6


async def test_nobody_waits_longer_than_a_window_from_the_first_alert(office: Office) -> None:
    for n in range(4):
        office.alert(f"c{n}")
        await office.advance(seconds=25)
    await office.advance(seconds=20)
    assert office.now == START + 2 * MINUTE
    assert len(office.told) == 4
    assert office.terminal.told[-1].sent_at == START + 2 * MINUTE


async def test_bundling_outlives_a_restart(office: Office) -> None:
    for n in range(9):
        office.alert(f"c{n}")
    await office.run()
    office.restart()
    await office.advance(minutes=2)
    assert [len(ids) for _, ids in office.told] == [1, 1, 1, 6]


async def test_bundling_is_a_preference_and_never_holds_the_urgent(office: Office) -> None:
    office.people["claire"]["bundle"] = False
    for n in range(6):
        office.alert(f"c{n}")
    for n in range(6):
        office.case(f"x{n}", tier="executive")
        office.tell(f"x{n}", role="executive_sponsor", urgent=True)
    await office.run()
    assert [len(ids) for _, ids in office.told] == [1] * 12


# --- overtaken ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.ACKNOWLEDGED, Reason.ACKNOWLEDGED),
        (State.SNOOZED, Reason.ACKNOWLEDGED),
        (State.RESOLVED, Reason.RESOLVED),
        (State.CLOSED, Reason.RESOLVED),
        (State.RETRACTED, Reason.RETRACTED),
        (State.WATCH, Reason.OVERTAKEN),
    ],
)
@pytest.mark.parametrize("kind", [EffectKind.ALERT, NOTICE])
async def test_what_is_over_is_not_told(
    office: Office, state: State, reason: Reason, kind: EffectKind
) -> None:
    office.case("c1", state)
    effect = office.tell("c1", kind)
    report = await office.run()
    assert office.told == []
    assert office.became(effect) == (DROPPED, reason)
    assert office.story(effect) == [("", "dropped", reason)]
    assert report.dropped == {reason: 1}


async def test_a_case_that_climbed_while_its_alert_waited_tells_only_the_newer(
    office: Office,
) -> None:
    office.people["anna"]["quiet_hours"] = "20:00-07:00"
    office.now = Instant(START + 11 * HOUR)
    office.case("c1", tier="frontline")
    old = office.tell("c1", role="account_manager")
    await office.run()
    office.case("c1", tier="management")
    office.tell("c1", role="partnership_manager")
    notice = office.tell("c1", NOTICE, "account_manager")
    await office.advance(hours=12)
    assert office.became(old) == (DROPPED, Reason.OVERTAKEN)
    assert [person for person, _ in office.told] == ["claire", "anna"]
    assert office.told[1] == ("anna", (notice,))


async def test_a_notice_below_the_tier_of_the_case_is_told(office: Office) -> None:
    office.case("c1", tier="executive")
    notice = office.tell("c1", NOTICE, "account_manager")
    await office.run()
    assert office.told == [("anna", (notice,))]


async def test_an_update_gives_way_to_a_newer_one(office: Office) -> None:
    office.alert("c1")
    await office.run()
    old, new = office.tell("c1", UPDATE), office.tell("c1", UPDATE)
    await office.run()
    assert office.told[1:] == [("claire", (new,))]
    assert office.became(old) == (DROPPED, Reason.OVERTAKEN)


async def test_an_alert_that_waited_gives_way_to_the_one_after_reopening(office: Office) -> None:
    old, new = office.alert("c1"), office.alert("c1")
    await office.run()
    assert office.told == [("claire", (new,))]
    assert office.became(old) == (DROPPED, Reason.OVERTAKEN)


async def test_an_acknowledgement_while_earlier_messages_are_sent_counts(office: Office) -> None:
    first, second = office.alert("c1"), office.alert("c2")

    def acknowledged() -> None:
        office.case("c2", State.ACKNOWLEDGED)

    office.terminal.meanwhile = acknowledged
    await office.run()
    assert office.told == [("claire", (first,))]
    assert office.became(second) == (DROPPED, Reason.ACKNOWLEDGED)


# --- who knew, and who did it -------------------------------------------------------------------


async def test_a_retraction_goes_to_whoever_was_told(office: Office) -> None:
    office.alert("c1")
    await office.run()
    office.roles["partnership_manager"] = "david"  # who never heard of it
    office.case("c1", State.RETRACTED)
    retraction = office.tell("c1", RETRACTION)
    await office.run()
    assert office.told[1:] == [("claire", (retraction,))]


@pytest.mark.parametrize("kind", [UPDATE, RETRACTION])
async def test_nobody_hears_that_something_has_changed_that_they_never_knew(
    office: Office, kind: EffectKind
) -> None:
    office.alert("c1")
    effect = office.tell("c1", kind, "executive_sponsor")
    await office.run()
    assert office.became(effect) == (DROPPED, Reason.NOBODY_KNEW)


async def test_a_stand_in_who_was_told_hears_of_the_retraction(office: Office) -> None:
    office.people["claire"] |= {
        "stand_in": "david",
        "absences": [{"from": "2026-11-02", "until": "2026-11-02"}],
    }
    office.alert("c1")
    office.tell("c1", NOTICE, "operations")
    await office.advance(hours=24)
    office.case("c1", State.RETRACTED)
    mine = office.tell("c1", RETRACTION, step="r")
    await office.run()
    # Operations were told in a role that gets no retraction of its own.
    assert set(office.told[2:]) == {("david", (mine,)), ("opsdesk", (mine,))}


async def test_nobody_is_told_of_their_own_change(office: Office) -> None:
    office.roles["partnership_manager"] = ["claire", "david"]
    office.alert("c1")
    await office.run()
    office.case("c1", State.ACKNOWLEDGED)
    update = office.tell("c1", UPDATE, actor="claire")
    await office.run()
    assert office.told[2:] == [("david", (update,))]
    assert ("claire", "dropped", Reason.OWN_CHANGE) in office.story(update)
    assert office.became(update) == (SENT, None)


async def test_one_person_in_two_roles_hears_of_a_step_once(office: Office) -> None:
    office.roles["account_manager"] = "claire"
    office.alert("c1", step="opened")
    notice = office.tell("c1", NOTICE, "account_manager", step="opened")
    await office.run()
    assert len(office.told) == 1
    assert office.became(notice) == (DROPPED, Reason.ALREADY_TOLD)


# --- reminders ----------------------------------------------------------------------------------

REMIND: dict[str, Any] = {"remind_every": "1bh", "remind_at_most": 2}


async def test_an_unanswered_alert_is_told_again_so_often_and_no_more(office: Office) -> None:
    alert = office.alert("c1", **REMIND)
    await office.advance(minutes=59)
    assert len(office.told) == 1
    await office.advance(minutes=1)
    assert office.told == [("claire", (alert,))] * 2
    await office.advance(hours=24)
    entries = [message.entries[0] for message in office.terminal.told]
    assert [(e.kind.value, e.reminder) for e in entries] == [
        ("alert", 0), ("reminder", 1), ("reminder", 2),
    ]  # fmt: skip
    assert len({message.idempotency_key for message in office.terminal.told}) == 3
    assert office.outbox(alert).reminders_sent == 2
    assert office.outbox(alert).remind_at is None


async def test_a_reminder_counts_in_the_calendar_of_its_reader(office: Office) -> None:
    office.people["claire"]["calendar"] = "tokyo"  # where it is 18:00
    alert = office.alert("c1", **REMIND)
    await office.run()
    assert office.outbox(alert).remind_at == START + 16 * HOUR  # Tuesday 10:00 there


@pytest.mark.parametrize("state", [State.ACKNOWLEDGED, State.RESOLVED, State.RETRACTED])
async def test_an_answered_alert_is_not_told_again(office: Office, state: State) -> None:
    alert = office.alert("c1", **REMIND)
    await office.run()
    office.case("c1", state)
    await office.advance(hours=24)
    assert len(office.told) == 1
    assert office.outbox(alert).remind_at is None
    assert office.story(alert)[-1][2] == f"no more reminders: {_OVER[state]}"


_OVER = {
    State.ACKNOWLEDGED: Reason.ACKNOWLEDGED,
    State.RESOLVED: Reason.RESOLVED,
    State.RETRACTED: Reason.RETRACTED,
}


async def test_a_case_that_moved_on_is_reminded_of_at_its_new_tier_alone(office: Office) -> None:
    office.alert("c1", **REMIND)
    await office.run()
    office.case("c1", tier="executive")
    office.tell("c1", role="executive_sponsor", **REMIND)
    await office.advance(hours=24)
    assert [person for person, _ in office.told] == ["claire", "david", "david", "david"]


async def test_a_case_that_was_reopened_is_reminded_of_once_at_a_time(office: Office) -> None:
    old = office.alert("c1", **REMIND)
    await office.advance(minutes=30)
    new = office.alert("c1", **REMIND)
    await office.advance(hours=24)
    assert [ids for _, ids in office.told] == [(old,), (new,), (new,), (new,)]


async def test_a_reminder_that_cannot_be_told_makes_way_for_the_next(office: Office) -> None:
    alert = office.alert("c1", **REMIND)
    await office.run()
    office.terminal.outcomes.append(Failed("closed"))
    await office.advance(hours=24)
    assert [e.reminder for m in office.terminal.told for e in m.entries] == [0, 2]
    assert office.outbox(alert).remind_at is None


async def test_all_reminders_of_one_moment_are_one_message(office: Office) -> None:
    office.policy["bundling"] = {"window": "2min", "more_than": 9}
    effects = tuple(office.alerts((f"c{n}" for n in range(5)), **REMIND))
    await office.advance(hours=1)
    assert office.told[5:] == [("claire", effects)]
    assert {e.reminder for e in office.terminal.told[5].entries} == {1}


async def test_a_reminder_that_fails_is_tried_again_under_its_key(office: Office) -> None:
    alert = office.alert("c1", **REMIND)
    await office.run()
    office.terminal.outcomes.extend([Retry("busy"), Sent()])
    await office.advance(hours=1, minutes=5)
    assert office.told == [("claire", (alert,))] * 2
    first, second = (m.idempotency_key for m, _ in office.terminal.attempts[1:])
    assert first == second


async def test_reminders_keep_quiet_hours_too(office: Office) -> None:
    office.people["claire"]["quiet_hours"] = "10:30-13:00"
    office.alert("c1", **REMIND)
    await office.advance(hours=2)
    assert len(office.told) == 1
    await office.advance(hours=1)
    assert office.terminal.told[1].sent_at == START + 3 * HOUR


# --- shadow and replay --------------------------------------------------------------------------


@pytest.mark.parametrize("redirect", ["operations", "opsdesk"])
async def test_in_shadow_only_the_redirect_target_is_told(office: Office, redirect: str) -> None:
    office.policy["shadow"] = {"redirect": redirect}
    alert = office.alert("c1", shadow=True, **REMIND)
    await office.advance(hours=24)
    assert office.told == [("opsdesk", (alert,))]
    assert office.terminal.told[0].would_have_told == ("Claire Dubois",)
    assert office.story(alert) == [("opsdesk", "would have told", "would have told Claire Dubois")]


async def test_in_shadow_nobody_would_have_been_told_of_their_own_change(office: Office) -> None:
    office.roles["partnership_manager"] = ["claire", "david"]
    office.alert("c1", shadow=True, actor="david")
    await office.run()
    assert office.terminal.told[0].would_have_told == ("Claire Dubois",)
    office.roles["partnership_manager"] = "david"
    alone = office.alert("c2", shadow=True, actor="david")
    await office.run()
    assert office.became(alone) == (DROPPED, Reason.OWN_CHANGE)


async def test_a_whole_house_in_shadow(office: Office) -> None:
    office.policy["mode"] = "shadow"
    alert = office.alert("c1")
    await office.run()
    office.case("c1", State.RETRACTED)
    retraction = office.tell("c1", RETRACTION)
    await office.run()
    assert office.told == [("opsdesk", (alert,)), ("opsdesk", (retraction,))]
    assert all(message.is_shadow for message in office.terminal.told)


async def test_after_shadow_nobody_hears_of_changes_they_never_knew(office: Office) -> None:
    office.alert("c1", shadow=True)
    await office.run()
    office.case("c1", State.RESOLVED)
    update = office.tell("c1", UPDATE)
    await office.run()
    assert office.became(update) == (DROPPED, Reason.NOBODY_KNEW)


async def test_a_replay_tells_nobody(office: Office) -> None:
    office.notify = False
    office.restart()
    alert = office.alert("c1")
    report = await office.run()
    assert office.terminal.attempts == []
    assert office.became(alert) == (DROPPED, Reason.REPLAY)
    assert office.story(alert) == [("", "dropped", Reason.REPLAY)]
    assert report.next_wake is None


async def test_no_part_of_a_url_but_its_host_is_recorded(office: Office) -> None:
    office.people["claire"]["routes"] = [HOOK]
    alert = office.alert("c1")
    office.hook.outcomes.append(Failed("HTTP 410"))
    await office.run()
    assert "very-secret-token" not in repr(office.rows(alert)) + repr(office.outbox(alert))


# --- whatever goes wrong ------------------------------------------------------------------------


class Trouble:
    """An office in which everything goes wrong that can, and what was alerted there."""

    def __init__(self, office: Office, random: Random) -> None:
        self.office = office
        self.random = random
        self.alerts: list[str] = []
        self.acknowledged: set[str] = set()
        office.roles["partnership_manager"] = ["claire", "david"]
        office.people["claire"] |= {"routes": [TERMINAL, HOOK], "stand_in": "anna"}

    def alert(self, count: int = 1) -> None:
        first = len(self.alerts)
        names = (f"c{n}" for n in range(first, first + count))
        self.alerts += self.office.alerts(names, **REMIND)

    def storm(self) -> None:
        self.alert(7)

    def retry(self) -> None:
        notifier = self.random.choice([self.office.terminal, self.office.hook])
        notifier.outcomes.append(Retry("busy", self.random.choice([None, MINUTE])))

    def refuse(self) -> None:
        self.office.terminal.outcomes.append(Failed("gone"))

    def crash_before(self) -> None:
        self.office.terminal.crash_before = True

    def crash_after(self) -> None:
        self.office.terminal.crash_after = True

    def restart(self) -> None:
        self.office.restart()

    def drive_again(self) -> None:
        with self.office.store.transaction() as tx:
            tx.retry_dead()

    def acknowledge(self) -> None:
        if self.alerts:
            number = self.random.randrange(len(self.alerts))
            self.acknowledged.add(self.alerts[number])
            self.office.case(f"c{number}", State.ACKNOWLEDGED)

    async def go_on(self, **time: int) -> None:
        try:
            await self.office.advance(**time)
        except Crash:
            self.office.restart()

    async def ends(self) -> None:
        office = self.office
        office.terminal.crash_before = office.terminal.crash_after = False
        office.terminal.outcomes.clear()
        office.hook.outcomes.clear()
        await office.advance(hours=3)
        self.drive_again()
        await office.advance(hours=3)


_STEPS = ["alert", "storm", "retry", "refuse", "crash_before", "crash_after", "restart",
          "drive_again", "acknowledge"]  # fmt: skip


@settings(max_examples=max(25, settings().max_examples // 4))
@given(
    steps=st.lists(st.tuples(st.sampled_from(_STEPS), st.sampled_from([0, 20, 150]))),
    seed=st.integers(0, 9),
)
async def test_no_effect_is_lost_and_none_has_two_keys_for_a_person(
    tmp_path_factory: pytest.TempPathFactory,
    empty_store: Path,
    steps: list[tuple[str, int]],
    seed: int,
) -> None:
    office = Office(copy(empty_store, tmp_path_factory.mktemp("relay")))
    try:
        trouble = Trouble(office, Random(seed))
        for step, seconds in steps:
            getattr(trouble, step)()
            await trouble.go_on(seconds=seconds)
        await trouble.ends()

        told = {
            (e.effect_id, m.person) for m in office.arrived for e in m.entries if not e.reminder
        }
        for effect in trouble.alerts:
            if effect not in trouble.acknowledged:
                assert office.became(effect)[0] is SENT
                given_up = {r.person for r in office.rows(effect) if r.status is GIVEN_UP}
                reached = {person for one, person in told if one == effect}
                assert reached & {"claire", "david", "anna"}
                assert {"claire", "david"} <= reached | given_up
            elif office.became(effect)[0] is DROPPED:
                assert office.became(effect)[1] == Reason.ACKNOWLEDGED
        keys: dict[tuple[str, str, int], set[str]] = {}
        for message, _ in office.terminal.attempts + office.hook.attempts:
            for entry in message.entries:
                name = entry.effect_id, message.person, entry.reminder
                keys.setdefault(name, set()).add(entry.idempotency_key)
        assert all(len(found) == 1 for found in keys.values())
        assert len(set().union(*keys.values())) == len(keys)
    finally:
        office.store.close()
