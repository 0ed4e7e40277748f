"""An alert that nobody acknowledges over one route takes the person's next one."""

from typing import Any

import pytest

from notifiers.message import EntryKind
from notifiers.notifier import Failed
from rules.decision import EffectKind
from schemas.directory import SlackRoute, TerminalRoute
from streams.store import DeliveryStatus
from tests.acceptance.conftest import Begin
from tests.harness import Timeline, directory, impacted, ladders, policy, shown

SLACK = {"kind": "slack", "user": "U0CLAIRE"}
MAIL = {"kind": "email", "address": "claire@example.com"}
TERMINAL = {"kind": "terminal"}
THREE = {"routes": [SLACK, MAIL, TERMINAL]}
#: Long enough for an acknowledgement that does not come.
SLOW = ladders(management={"acknowledge_within": "8bh", "remind_at_most": 0})


def damaged(begin: Begin, at: str = "2026-11-02 09:00", **claire: Any) -> Timeline:
    people = {"claire": {**THREE, "hand_over_after": "30min", **claire}}
    story = begin(policy(ladders=SLOW), directory=directory(people))
    story.at(at)
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    return story


def told(story: Timeline, person: str = "claire") -> list[tuple[str, str]]:
    """(route, when) of each alert that somebody got about the case."""
    with story.store.reading() as tx:
        alerts = {
            entry.effect.effect_id
            for entry in tx.list_outbox(case_id=story.case_id("PO-1"))
            if entry.effect.kind is EffectKind.ALERT
        }
        rows = tx.deliveries_of(story.case_id("PO-1"))
    return [
        (row.route, shown(row.at))
        for row in rows
        if row.person == person and row.status is DeliveryStatus.SENT and row.effect_id in alerts
    ]


def test_each_route_is_told_once_until_there_is_none_left(begin: Begin) -> None:
    story = damaged(begin)
    story.advance(hours=6)
    assert told(story) == [
        ("1 slack U0CLAIRE", "2026-11-02 09:00"),
        ("2 email claire@example.com", "2026-11-02 09:30"),
        ("3 terminal", "2026-11-02 10:00"),
    ]
    with story.store.reading() as tx:
        rows = [row for row in tx.deliveries_of(story.case_id("PO-1")) if row.person == "claire"]
    assert [row.detail for row in rows] == [
        None,
        "handed over: not acknowledged by slack U0CLAIRE",
        "handed over: not acknowledged by email claire@example.com",
    ]
    entries = [one.entry for one in story.told("claire")]
    assert {entry.kind for entry in entries} == {EntryKind.ALERT}
    assert [entry.on_behalf for entry in entries] == [
        None,
        "nobody has acknowledged it since you were told by slack",
        "nobody has acknowledged it since you were told by email",
    ]


def test_it_ends_with_an_acknowledgement(begin: Begin) -> None:
    story = damaged(begin)
    story.advance(minutes=20)
    story.ack("PO-1", by="claire")
    story.advance(hours=3)
    assert [route for route, _ in told(story)] == ["1 slack U0CLAIRE"]


def test_it_ends_when_the_case_was_wrong(begin: Begin) -> None:
    story = damaged(begin)
    story.advance(minutes=20)
    story.command("disputed", "PO-1", by="anna", evidence="photo 17")
    story.command("dispute_decided", "PO-1", by="david", verdict="corrected")
    story.advance(hours=3)
    kinds = [one.entry.kind for one in story.told("claire")]
    assert kinds.count(EntryKind.ALERT) == 1


def test_without_the_setting_only_a_failure_hands_over(begin: Begin) -> None:
    story = damaged(begin, hand_over_after=None)
    story.advance(hours=6)
    assert [route for route, _ in told(story)] == ["1 slack U0CLAIRE"]


def test_a_route_may_have_a_time_of_its_own(begin: Begin) -> None:
    story = damaged(begin, routes=[SLACK | {"hand_over_after": "5min"}, MAIL, TERMINAL])
    story.advance(hours=2)
    assert [at[11:] for _, at in told(story)] == ["09:00", "09:05", "09:35"]


def test_the_directory_may_say_it_for_everybody(begin: Begin) -> None:
    document = directory({"claire": THREE}) | {"hand_over_after": "1bh"}
    story = begin(policy(ladders=SLOW), directory=document)
    story.at("2026-11-02 16:30")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.at("2026-11-03 11:00")
    # Half an hour of her day was left; the other half passes on the next morning.
    assert [at for _, at in told(story)] == [
        "2026-11-02 16:30", "2026-11-03 09:30", "2026-11-03 10:30"
    ]  # fmt: skip


def test_quiet_hours_hold_it(begin: Begin) -> None:
    story = damaged(begin, at="2026-11-02 19:45", quiet_hours="20:00-07:00")
    story.at("2026-11-03 08:00")
    assert [at for _, at in told(story)] == [
        "2026-11-02 19:45", "2026-11-03 07:00", "2026-11-03 07:30"
    ]  # fmt: skip


def test_a_restart_neither_forgets_nor_repeats_it(begin: Begin) -> None:
    story = damaged(begin)
    story.advance(minutes=20)
    story.restart()
    story.advance(minutes=15)
    story.restart()
    story.advance(minutes=15)
    assert [at[11:] for _, at in told(story)] == ["09:00", "09:30"]


def test_reminders_go_on_beside_it(begin: Begin) -> None:
    slow = ladders(management={"acknowledge_within": "8bh", "remind_every": "1bh",
                               "remind_at_most": 2})  # fmt: skip
    house = directory({"claire": THREE | {"hand_over_after": "90min"}})
    story = begin(policy(ladders=slow), directory=house)
    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-12-01")
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.advance(hours=5)
    assert [(one.entry.kind, one.entry.reminder) for one in story.told("claire")] == [
        (EntryKind.ALERT, 0), (EntryKind.REMINDER, 1), (EntryKind.ALERT, 0),
        (EntryKind.REMINDER, 2), (EntryKind.ALERT, 0),
    ]  # fmt: skip


def test_a_route_that_fails_is_no_step_of_it(begin: Begin) -> None:
    story = damaged(begin)
    story.notifier.outcomes.append(Failed("no such mailbox"))
    story.advance(hours=2)
    assert told(story) == [
        ("1 slack U0CLAIRE", "2026-11-02 09:00"),
        ("3 terminal", "2026-11-02 09:30"),  # the same telling, over the route after it
    ]


@pytest.mark.parametrize("route", [SlackRoute(kind="slack", user="U0CLAIRE"),
                                   TerminalRoute(kind="terminal")])  # fmt: skip
def test_the_time_is_no_part_of_where_a_route_leads(route: SlackRoute | TerminalRoute) -> None:
    timed = route.model_validate(route.model_dump() | {"hand_over_after": "5min"})
    assert timed != route
    assert timed.bare() == route
