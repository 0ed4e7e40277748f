"""Before a weekend or a holiday each owner reads once what should not wait for the reopening."""

from datetime import datetime
from typing import Any

import pytest

from detente.closures import MOST, ClosureLists
from notifiers.message import EntryKind
from streams.knowledge import Knowledge
from tests.acceptance.conftest import Begin
from tests.harness import Timeline, directory, moment, policy

CLOCKS = {"closure_list_at": "15:00", "due_soon_after_closure": "4bh", "tell_breaches_within": "0h"}
PROMISES = {"growth": {"first_response": "4bh", "next_response": "2bd", "resolution": "2bd"}}
NO_RULE = [{"name": "never", "when": {"category": "unheard of"}, "open_at": "frontline"}]


@pytest.fixture
def story(begin: Begin) -> Timeline:
    return begin(policy(clocks=CLOCKS, commitments=PROMISES, rules=NO_RULE), directory())


def look(story: Timeline, at: str) -> int:
    """A process that has just started looks whose list is due, and the relay tells it."""
    story.at(at)
    world = story.handler.world
    lists = ClosureLists(story.store, Knowledge(world.policies, world.recipients))
    queued = lists.look(moment(at))
    story.advance(minutes=1)
    return queued


def lines(story: Timeline) -> tuple[str, ...]:
    (told,) = story.told()
    assert told.entry.kind is EntryKind.REPORT
    story.skip()
    return told.entry.why


def said(story: Timeline, type_: str, **data: Any) -> None:
    story.said(type_, partner_id="alpenfrisch", **data)


def test_the_last_working_day_lists_the_unanswered_and_what_falls_due_soon(story: Timeline) -> None:
    story.at("2026-12-23 10:00")  # a Wednesday; Christmas Eve is a working day, then four are not
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-12-23 11:00")
    said(story, "ticket.message", ticket_id="T-1", author="partner", kind="reply")
    story.at("2026-12-23 12:00")
    story.ticket("T-2", "alpenfrisch")
    said(story, "ticket.message", ticket_id="T-2", author="us", kind="reply")
    assert look(story, "2026-12-23 16:00") == 0
    assert look(story, "2026-12-24 14:59") == 0
    assert look(story, "2026-12-24 15:00") == 1
    (told,) = story.told()
    assert told.message.person == "anna"
    assert (
        told.entry.headline == "Closed until 2026-12-28 09:00 CET: 1 unanswered, 2 due by 4bh after"
    )
    first = "alpenfrisch, ticket T-1: first response, was due 2026-12-23 14:00 CET"
    assert lines(story) == (
        f"Unanswered: {first}, partner asked again",
        "Due: alpenfrisch, ticket T-1: resolution, due 2026-12-28 10:00 CET",
        "Due: alpenfrisch, ticket T-2: resolution, due 2026-12-28 12:00 CET",
    )


def test_a_restart_and_a_second_process_repeat_nothing(story: Timeline) -> None:
    story.at("2026-11-06 10:00")  # a Friday
    story.ticket("T-1", "alpenfrisch")
    assert look(story, "2026-11-06 15:00") == 1
    assert lines(story)
    assert look(story, "2026-11-06 16:00") == 0
    story.restart(minutes=1)
    assert look(story, "2026-11-06 17:30") == 0
    with story.store.transaction() as tx:
        tx.put_setting("closure|anna", "")  # as another process sees it that looks at once
    look(story, "2026-11-06 18:00")
    story.expect_silence()


def test_who_holds_nothing_reads_nothing_and_who_was_away_at_the_hour_catches_up(
    story: Timeline,
) -> None:
    story.at("2026-11-06 10:00")
    assert look(story, "2026-11-06 15:00") == 0
    story.at("2026-11-13 10:00")
    story.ticket("T-1", "alpenfrisch")
    assert look(story, "2026-11-13 21:00") == 1
    assert len(lines(story)) == 1


def test_who_is_away_at_the_hour_reads_it_when_somebody_can(begin: Begin) -> None:
    noon, four = (datetime.fromisoformat(f"2026-11-06T{hour}:00:00+01:00") for hour in (12, 16))
    away = {"from": noon, "until": four}
    absent = {"routes": [{"kind": "terminal"}], "absences": [away]}
    both = {"anna": {"name": "Anna", **absent}, "jonas": {"name": "Jonas", **absent}}
    people = directory(people={**directory()["people"], **both})  # she and her stand-in
    story = begin(policy(clocks=CLOCKS, commitments=PROMISES, rules=NO_RULE), people)
    story.at("2026-11-06 10:00")
    story.ticket("T-1", "alpenfrisch")
    assert look(story, "2026-11-06 15:30") == 0
    assert look(story, "2026-11-06 16:30") == 1


@pytest.mark.parametrize(("partners", "queued"), [(["alpenfrisch"], 0), (["kontor"], 1)])
def test_what_a_partner_in_shadow_is_owed_is_on_no_list(
    begin: Begin, partners: list[str], queued: int
) -> None:
    shadow = {"partners": partners}
    story = begin(policy(clocks=CLOCKS, commitments=PROMISES, rules=NO_RULE, shadow=shadow))
    story.at("2026-11-06 10:00")
    story.ticket("T-1", "alpenfrisch")
    assert look(story, "2026-11-06 15:00") == queued


def test_a_long_list_says_how_much_more_there_is(story: Timeline) -> None:
    story.at("2026-11-06 10:00")
    for n in range(MOST + 2):
        story.ticket(f"T-{n:03}", "alpenfrisch")
    assert look(story, "2026-11-06 15:00") == 1
    listed = lines(story)
    assert len(listed) == MOST + 1
    assert listed[-1] == "... and 2 more"
