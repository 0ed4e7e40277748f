"""In which order somebody's routes are tried, by tier and hour; with the relay that tries them."""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from detente.documents import compile_body, read_directory
from notifiers.memory import MemoryNotifier
from notifiers.notifier import Failed
from rules.decision import Changes, Effect, EffectKind
from schemas.documents import DocumentError
from schemas.time import Instant, to_instant
from streams.relay import House, Relay
from streams.store import Store

POLICY = compile_body(
    b"""
tiers: [frontline, management]
rules: [{name: late, when: {delay: "> 48h"}, open_at: management}]
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 2h}
partner_tiers: [standard]
calendars: {default: {timezone: Europe/Berlin, hours: {mon-fri: ["09:00-17:00"]}}}
""",
    "policy.yaml",
)
NIGHTS = "{kind: terminal, hours: 18:00-08:00}"
HIGH = "{kind: webhook, url: 'https://h.example.com', secret_env: S, tiers: [management]}"
MAIL = "{kind: email, address: ada@example.com}"


def house(*routes: str) -> House:
    text = (
        f"people: {{ada: {{name: Ada, routes: [{', '.join(routes)}]}}}}\nroles: {{operations: ada}}"
    )
    directory = read_directory(text.encode(), "directory.yaml", POLICY.compiled)
    return House(POLICY.document.value, directory.recipients, POLICY.compiled.calendars)


def berlin(clock: str) -> Instant:
    return to_instant(datetime.fromisoformat(f"2026-11-02T{clock}:00+01:00"))


@pytest.mark.parametrize(
    ("tier", "clock", "order"),
    [
        ("frontline", "12:00", [3, 1, 2]),
        ("management", "12:00", [2, 3, 1]),
        ("frontline", "17:59", [3, 1, 2]),
        ("frontline", "18:00", [1, 3, 2]),
        ("frontline", "03:00", [1, 3, 2]),
        ("frontline", "08:00", [3, 1, 2]),
        ("management", "03:00", [1, 2, 3]),
        ("watch", "03:00", [1, 3, 2]),
    ],
)
def test_a_route_whose_conditions_hold_comes_first(tier: str, clock: str, order: list[int]) -> None:
    assert house(NIGHTS, HIGH, MAIL).order("ada", tier, berlin(clock)) == order


def test_without_conditions_the_order_is_that_of_the_directory() -> None:
    assert house(MAIL, "{kind: terminal}").order("ada", "frontline", berlin("12:00")) == [1, 2]
    assert house(MAIL).order("nobody", "frontline", berlin("12:00")) == []


def test_two_people_reach_one_place_over_one_route_whatever_their_conditions() -> None:
    [one] = house("{kind: slack, channel: C024BE91L, tiers: [management]}").routes("ada")
    [other] = house("{kind: slack, channel: C024BE91L, hours: 18:00-08:00}").routes("ada")
    assert one == other


def test_a_tier_that_there_is_not_is_named_with_its_line() -> None:
    with pytest.raises(DocumentError, match=r"there is no tier 'managment'\. Did you mean"):
        house("{kind: terminal, tiers: [managment]}")


async def test_the_relay_hands_over_in_that_order(tmp_path: Path) -> None:
    told = {kind: MemoryNotifier() for kind in ("terminal", "webhook", "email")}
    told["email"].outcomes.append(Failed("no such mailbox"))
    told["terminal"].outcomes.append(Failed("no paper"))
    here = house(NIGHTS, HIGH, MAIL)
    with closing(Store.open(f"sqlite:///{tmp_path / 'store.db'}")) as store:

        async def write(work: Any) -> None:
            with store.transaction() as tx:
                work(tx)

        at = berlin("12:00")
        effect = Effect(
            effect_id="e", case_id=None, partner_id=None, step="s", kind=EffectKind.OPERATIONS,
            role="operations", tier="watch", state=None, urgent=True, shadow=False, at=at,
            created_at=at, due=None, remind_every=None, remind_at_most=0, actor=None,
            text={"headline": "a feed is silent"},
        )  # fmt: skip
        with store.transaction() as tx:
            tx.write(Changes(effects=[effect]))
        await Relay(store.reading, write, lambda: here, told, Random(1)).run_once(at)
        with store.reading() as tx:
            rows = tx.deliveries_about([], [entry.seq for entry in tx.list_outbox()])
    assert [(row.route, str(row.status)) for row in rows] == [
        ("3 email ada@example.com", "given up"),
        ("1 terminal", "given up"),
        ("2 webhook h.example.com", "sent"),
    ]
