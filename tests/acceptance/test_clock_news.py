"""Promises warn before they break, and say once that they broke, to whoever can still act."""

from typing import Any

import pytest

from notifiers.message import EntryKind
from rules.clock_news import KEPT, OVERTAKEN
from rules.clocks.clock import ClockState
from rules.clocks.subject_clocks import clocks_of
from rules.decision import EffectKind
from rules.subjects import case_id, read_document
from streams.outcome import Accepted, Outcome, Parked
from streams.store import OutboxStatus
from streams.touchpoints import owe_touchpoints
from tests.acceptance.conftest import Begin
from tests.harness import (
    Event,
    Hears,
    NoCase,
    Opened,
    Timeline,
    directory,
    impacted,
    line,
    policy,
    shown,
)

#: Answers within four business hours, warned of at half time and an hour before.
CLOCKS = {"warn": ["50%", "1bh"], "stale_pause_after": "2bd", "pause": ["resolution"]}
PROMISES = {"growth": {"first_response": "4bh", "next_response": "4bh"}}
NO_RULE = [{"name": "never", "when": {"category": "unheard of"}, "open_at": "frontline"}]


def house(**more: Any) -> dict[str, Any]:
    parts = {"clocks": CLOCKS, "commitments": PROMISES, "rules": NO_RULE}
    return policy(**(parts | more))


def wrote(story: Timeline, author: str, ticket: str = "T-1") -> None:
    story.said(
        "ticket.message", partner_id="alpenfrisch", ticket_id=ticket, author=author, kind="reply"
    )


def became(story: Timeline, status: str, **more: Any) -> None:
    story.said("ticket.status", partner_id="alpenfrisch", ticket_id="T-1", status=status, **more)


def news(story: Timeline) -> list[str]:
    """When, to whom and what was told since it was last asked."""
    told = [
        f"{shown(t.message.sent_at)} {t.message.person} {t.entry.kind}: {t.entry.headline}"
        for t in story.told()
    ]
    story.skip()
    return told


def test_a_promise_warns_at_each_level_and_says_once_that_it_broke(begin: Begin) -> None:
    story = begin(house())
    story.at("2026-11-02 10:00")  # a Monday
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 12:00")
    story.expect_nobody_told()
    story.at("2026-11-02 14:01")
    story.expect(NoCase("T-1"))
    about = "warning: alpenfrisch, ticket T-1: first response"
    assert news(story) == [
        f"2026-11-02 12:00 anna {about} is due 2026-11-02 14:00 CET",
        f"2026-11-02 13:00 anna {about} is due 2026-11-02 14:00 CET",
        f"2026-11-02 14:00 anna {about} was due 2026-11-02 14:00 CET and has not come",
    ]
    wrote(story, "partner")  # folded again: nothing is told twice
    story.restart(minutes=1)
    story.advance(days=1)
    story.expect_nobody_told()


def test_the_partner_who_asked_again_stands_beside_the_warning(begin: Begin) -> None:
    story = begin(house())
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 11:00")
    wrote(story, "partner")
    story.at("2026-11-02 12:01")
    (told,) = story.told()
    assert told.entry.why == (
        "promised within 4bh since 2026-11-02 10:00 CET (commitments.growth.first_response)",
        "50% of the time is spent",
        "the partner asked again",
    )


def test_a_kept_promise_is_silent_from_then_on(begin: Begin) -> None:
    story = begin(house())
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 12:30")
    assert len(news(story)) == 1
    wrote(story, "us")
    story.advance(days=3)
    story.expect_silence()


def test_a_warning_that_waits_for_the_morning_is_dropped_when_the_answer_comes(
    begin: Begin,
) -> None:
    asleep = {"name": "Anna", "routes": [{"kind": "terminal"}], "quiet_hours": "11:00-15:00"}
    story = begin(house(), directory(people={**directory()["people"], "anna": asleep}))
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 13:30")  # both levels have passed while she is not to be disturbed
    wrote(story, "us")
    story.advance(days=1)
    story.expect_nobody_told()
    with story.store.reading() as tx:
        reasons = [(entry.status, entry.reason) for entry in tx.list_outbox()]
    assert reasons == [(OutboxStatus.DROPPED, OVERTAKEN), (OutboxStatus.DROPPED, KEPT)]


def test_an_outage_leaves_one_warning_and_never_one_that_is_too_late(begin: Begin) -> None:
    story = begin(house())
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.restart(hours=3, minutes=15)
    story.advance(minutes=20)  # the feed catches up first
    assert len(news(story)) == 1
    story.expect_silence()


def test_history_that_comes_late_warns_nobody(begin: Begin) -> None:
    story = begin(house())
    story.at("2026-11-30 10:00")
    about = {"partner_id": "alpenfrisch", "ticket_id": "T-1"}
    opened = about | {"category": "quality"}
    story.given(Event("ticket.opened", opened, "/helpdesk", at="2026-11-02 10:00"))
    story.advance(days=1)
    story.expect_nobody_told()


def test_a_breach_that_a_rule_made_a_case_is_told_by_the_case(begin: Begin) -> None:
    rule = {"name": "unanswered", "when": {"breach": "first_response"}, "open_at": "frontline"}
    story = begin(house(rules=[rule], clocks={}))
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 14:01")
    story.expect(Opened("T-1", "frontline"), Hears("anna", EntryKind.ALERT, "T-1"))
    story.expect_silence()


def test_a_breach_that_was_none_is_taken_back(begin: Begin) -> None:
    story = begin(house())
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 14:30")
    story.skip()
    about = {"partner_id": "alpenfrisch", "ticket_id": "T-1"}
    reply = about | {"author": "us", "kind": "reply"}
    story.given(Event("ticket.message", reply, "/helpdesk", at="2026-11-02 13:30"))
    story.advance(minutes=5)
    (told,) = news(story)
    assert "retraction" in told
    assert "first response was not late: 2026-11-02 13:30 CET" in told


def test_a_pause_that_goes_stale_is_told_while_it_lasts(begin: Begin) -> None:
    story = begin(house(commitments={"growth": {"resolution": "3bd"}}))
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    became(story, "waiting_on_partner")
    story.advance(days=20)
    (told,) = news(story)
    assert told.startswith("2026-11-04 10:00 anna")
    assert "resolution is paused since 2026-11-02 10:00 CET" in told


def test_a_tier_of_the_ladder_is_warned_before_it_is_late(begin: Begin) -> None:
    rule = {"name": "quality", "when": {"category": "quality"}, "open_at": "frontline"}
    story = begin(house(rules=[rule], commitments={}))
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch", category="quality")
    story.expect(Opened("T-1", "frontline"), Hears("anna", EntryKind.ALERT, "T-1"))
    story.at("2026-11-02 12:01")
    (told,) = news(story)
    assert "an acknowledgement by frontline is due 2026-11-02 14:00 CET" in told
    story.ack("T-1", "anna")
    story.skip()
    story.at("2026-11-02 16:00")
    assert not any("acknowledgement" in told for told in news(story))


def test_a_tier_that_is_asked_again_is_warned_again_and_not_of_the_time_before(
    begin: Begin,
) -> None:
    rules = [
        {"name": "short", "when": {"impact": "> 0%"}, "open_at": "frontline"},
        {"name": "very-short", "when": {"impact": "> 5%"}, "open_at": "management"},
    ]
    asleep = {"name": "Anna", "routes": [{"kind": "terminal"}], "quiet_hours": "11:00-15:00"}
    story = begin(
        house(rules=rules, commitments={}, clocks={"warn": ["50%"]}),
        directory(people={**directory()["people"], "anna": asleep}),
    )
    story.at("2026-11-02 10:00")
    story.order("PO-1", promised="2026-12-01", lines=[line("LAMP", "150")])
    story.given(impacted("PO-1", "short", quantity="2"))
    story.at("2026-11-02 12:30")  # her warning of 12:00 waits for 15:00
    damage = impacted("PO-1", "damaged", quantity="12")
    story.given(damage._replace(at="2026-11-02 12:10"))  # the tier was left before we know of it
    story.at("2026-11-02 13:40")
    story.command("deescalated", "PO-1", by="claire")
    story.restart(minutes=1)
    story.at("2026-11-02 16:00")
    story.command("commented", "PO-1", by="anna", note="on it")  # folded with three visits behind
    about = "kontor, order PO-1: an acknowledgement by"
    assert [told for told in news(story) if " warning: " in told] == [
        f"2026-11-02 13:30 claire warning: {about} management is due 2026-11-02 14:30 CET",
        f"2026-11-02 15:40 anna warning: {about} frontline is due 2026-11-03 09:40 CET",
    ]
    with story.store.reading() as tx:
        states = [
            (shown(entry.effect.at), entry.status, entry.reason)
            for entry in tx.list_outbox()
            if entry.effect.kind is EffectKind.WARNING
        ]
        row = tx.subject(story.key("PO-1"))
    assert states[0] == ("2026-11-02 12:00", OutboxStatus.DROPPED, KEPT)
    assert row is not None
    # What was told of visits that are over is forgotten.
    assert read_document(row.document).told.keys() == {"acknowledge/3/50%"}


def test_a_partner_of_whom_nothing_was_ever_heard_is_owed_its_session(begin: Begin) -> None:
    calls = {"growth": {"touchpoints": [{"kind": "call", "every": "1w"}]}}
    story = begin(house(commitments=calls, clocks={"warn": ["1bd"]}))
    story.at("2026-11-04 10:00")  # a Wednesday: this week is not held against anybody
    with story.store.transaction() as tx:
        owe_touchpoints(tx, ["alpenfrisch"], story.now)
    story.at("2026-11-15 12:00")
    about = "anna warning: alpenfrisch, touchpoints: call session"
    by = "by the end of 2026-11-13 CET"
    assert news(story) == [
        f"2026-11-12 17:00 {about} is due {by}",
        f"2026-11-14 00:00 {about} was due {by} and has not come",
    ]
    story.said("touchpoint.held", partner_id="alpenfrisch", kind="call")
    story.restart(minutes=1)
    story.at("2026-11-20 18:00")
    (told,) = news(story)  # the next week warns by itself
    assert told.startswith("2026-11-19 17:00")


def excuse(story: Timeline, key: str, clock: str, outcome: type[Outcome] = Accepted) -> None:
    about = {"clock_id": f"{case_id(key)}/{clock}", "actor": "claire", "note": "a power cut"}
    story.given(Event("clock.excused", about, "/cli"), outcome=outcome)


def test_a_clock_is_excused_though_there_is_no_case(begin: Begin) -> None:
    story = begin(house())
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 12:30")
    story.skip()
    excuse(story, story.key("T-1"), "first_response/1")
    story.advance(days=3)
    story.expect_nobody_told()
    with story.store.reading() as tx:
        assert not tx.list_parked()
        row = tx.subject(story.key("T-1"))
    assert row is not None
    world = story.handler.world
    (clock,) = clocks_of(row.key, read_document(row.document), world, story.now)
    assert clock.state is ClockState.EXCUSED
    assert clock.excuse is not None
    assert clock.excuse.approver == "claire"


def test_an_excuse_that_comes_before_its_ticket_waits_for_it_and_for_nothing_else(
    begin: Begin,
) -> None:
    story = begin(house())
    story.at("2026-11-02 10:00")
    key = "ticket:alpenfrisch:T-1"
    excuse(story, key, "first_response/1", Parked)
    excuse(story, "ticket:alpenfrisch:T-9", "first_response/1", Parked)
    acknowledge = {"case_id": case_id(key), "actor": "anna"}
    story.given(Event("case.acknowledged", acknowledge, "/cli"), outcome=Parked)
    about = {"partner_id": "alpenfrisch", "ticket_id": "T-1", "category": "quality"}
    story.given(Event("ticket.opened", about, "/helpdesk", at="2026-11-02 09:30"))
    with story.store.reading() as tx:
        waiting = {(parked.case_id, parked.source) for parked in tx.list_parked()}
        row = tx.subject(key)
    assert waiting == {(case_id(key), "/cli"), (case_id("ticket:alpenfrisch:T-9"), "/cli")}
    assert row is not None
    said = [c.type for c in read_document(row.document).contributions]
    assert sorted(said) == ["clock.excused", "ticket.opened"]


def test_a_session_is_excused_though_nobody_ever_spoke_of_one(begin: Begin) -> None:
    calls = {"growth": {"touchpoints": [{"kind": "call", "every": "1w"}]}}
    story = begin(house(commitments=calls, clocks={}))
    story.at("2026-11-04 10:00")
    with story.store.transaction() as tx:
        owe_touchpoints(tx, ["alpenfrisch"], story.now)
    story.at("2026-11-10 10:00")
    excuse(story, "touchpoints:alpenfrisch:", "touchpoint:call/2026-11-09")
    story.at("2026-11-16 12:00")
    story.expect_nobody_told()


@pytest.mark.parametrize("mode", ["shadow", "live"])
def test_shadow_tells_only_what_would_have_been_told(begin: Begin, mode: str) -> None:
    story = begin(house(mode=mode))
    story.at("2026-11-02 10:00")
    story.ticket("T-1", "alpenfrisch")
    story.at("2026-11-02 12:01")
    (told,) = story.told()
    assert (told.entry.would_have_told is not None) == (mode == "shadow")
