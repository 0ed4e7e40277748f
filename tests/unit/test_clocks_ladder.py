"""What our people owe us, read from a case's steps. Monday is 2 November 2026."""

from typing import Any

from rules.clocks.clock import Clock
from rules.clocks.ladder_clocks import ladder_clocks, terms_from
from rules.decision import StepKind, StepRow
from rules.subjects import Document, Taken, case_id
from tests.clock_timelines import TICKET, Timeline, at, by_key, policy, shown

ID = case_id(TICKET)


def step(n: int, kind: StepKind, when: str, key: str = "", **more: Any) -> StepRow:
    decided = more.pop("decided", when)
    due = more.pop("due", None)
    return StepRow(
        ID,
        key or f"{kind}:{n}",
        n,
        kind,
        more.pop("tier", "frontline"),
        at(when),
        at(decided),
        None if due is None else at(due),
        more.pop("actor", None),
        "p1",
        {},
        **more,
    )


def told(*steps: StepRow, resolve: dict[str, str] | None = None) -> Timeline:
    timeline = Timeline(policy())
    timeline.steps = list(steps)
    for s in steps:
        due = (resolve or {}).get(s.key)
        timeline.taken[s.key] = Taken(s.decided_at, s.due, None if due is None else at(due))
    return timeline


def facts(clock: Clock) -> tuple[str, str | None, str | None, str]:
    return str(clock.state), shown(clock.due), shown(clock.stopped_at), clock.holder


OPENED = step(1, StepKind.OPENED, "2026-11-02 10:00", "opened:1", due="2026-11-02 14:00")
RESOLVE = {"opened:1": "2026-11-04 10:00"}


def test_acknowledged_in_time_and_solved() -> None:
    timeline = told(
        OPENED,
        step(2, StepKind.ACKNOWLEDGED, "2026-11-02 11:00", actor="anna"),
        step(3, StepKind.RESOLVED, "2026-11-03 11:00", actor="anna"),
        resolve=RESOLVE,
    )
    found = by_key(timeline.all("2026-11-05 10:00"))
    assert facts(found["acknowledge/1"]) == (
        "met",
        "2026-11-02 14:00",
        "2026-11-02 11:00",
        "anna",
    )
    assert facts(found["resolve/1"]) == ("met", "2026-11-04 10:00", "2026-11-03 11:00", "anna")
    assert found["acknowledge/1"].clock_id == f"{ID}/acknowledge/1"
    early = by_key(timeline.all("2026-11-02 10:30"))
    assert facts(early["acknowledge/1"])[0] == "running"


def test_nobody_is_late_for_an_alert_that_had_not_been_decided() -> None:
    late_news = step(
        1,
        StepKind.OPENED,
        "2026-11-02 10:00",
        "opened:1",
        decided="2026-11-03 10:00",
        due="2026-11-03 14:00",
    )
    (clock,) = told(late_news).all("2026-11-03 12:00")
    assert (clock.state, shown(clock.started_at)) == ("running", "2026-11-03 10:00")
    assert told(late_news).all("2026-11-02 12:00") == []


def test_a_breach_belongs_to_the_tier_that_held_it_and_the_next_tier_starts_its_own() -> None:
    timeline = told(
        OPENED,
        step(
            2,
            StepKind.BREACHED,
            "2026-11-02 14:00",
            "breached:acknowledge:frontline:1",
            decided="2026-11-02 14:05",
        ),
        step(
            3,
            StepKind.ESCALATED,
            "2026-11-02 14:00",
            decided="2026-11-02 14:05",
            tier="management",
            due="2026-11-03 10:00",
        ),
        resolve=RESOLVE,
    )
    found = by_key(timeline.all("2026-11-02 20:00"))
    first = found["acknowledge/1"]
    assert (first.state, first.escalation_tier) == ("breached", "frontline")
    assert (shown(first.breached_at), shown(first.recorded_at)) == (
        "2026-11-02 14:00",
        "2026-11-02 14:05",
    )
    assert first.holder == "account_manager"
    assert found["resolve/1"].state == "cancelled"
    assert found["resolve/1"].reason == "escalated to management"
    assert (found["acknowledge/2"].state, found["acknowledge/2"].escalation_tier) == (
        "running",
        "management",
    )


def test_taken_by_hand_to_the_next_tier_before_it_was_due_is_no_breach() -> None:
    timeline = told(
        OPENED,
        step(
            2,
            StepKind.ESCALATED,
            "2026-11-02 11:00",
            tier="management",
            due="2026-11-02 15:00",
            actor="anna",
        ),
    )
    assert by_key(timeline.all("2026-11-02 20:00"))["acknowledge/1"].state == "cancelled"


def test_waiting_pauses_what_is_to_be_solved_and_says_who_put_it_off() -> None:
    timeline = told(
        OPENED,
        step(2, StepKind.ACKNOWLEDGED, "2026-11-02 11:00", actor="anna"),
        step(3, StepKind.WAITING, "2026-11-02 12:00", actor="anna"),
        step(4, StepKind.WOKEN, "2026-11-03 12:00"),
        resolve=RESOLVE,
    )
    clock = by_key(timeline.all("2026-11-02 15:00"))["resolve/1"]
    assert (clock.state, clock.reason) == ("paused", "waiting on partner")
    assert [x.actor for x in clock.excluded] == ["anna"]
    after = by_key(timeline.all("2026-11-03 15:00"))["resolve/1"]
    assert (after.state, shown(after.due)) == ("running", "2026-11-05 10:00")


def test_settled_by_the_ticket_alone_cancels_what_nobody_acknowledged() -> None:
    timeline = told(OPENED, step(2, StepKind.RESOLVED, "2026-11-02 11:00"), resolve=RESOLVE)
    found = by_key(timeline.all("2026-11-02 20:00"))
    assert (found["acknowledge/1"].state, found["resolve/1"].state) == ("cancelled", "met")


def test_a_retracted_case_owes_nothing_and_withdrawn_steps_never_were() -> None:
    timeline = told(OPENED, step(2, StepKind.RETRACTED, "2026-11-02 11:00"), resolve=RESOLVE)
    assert {str(c.state) for c in timeline.all("2026-11-09 20:00")} == {"cancelled"}
    withdrawn = step(1, StepKind.OPENED, "2026-11-02 10:00", due="2026-11-02 14:00",
                     withdrawn_at=at("2026-11-02 12:00"))  # fmt: skip
    assert told(withdrawn).all("2026-11-09 20:00") == []


def test_an_excuse_names_the_clock_of_a_ladder() -> None:
    timeline = told(OPENED).excused("2026-11-02 16:00", "acknowledge/1", "claire")
    assert by_key(timeline.all("2026-11-02 15:00"))["acknowledge/1"].state == "breached"
    assert by_key(timeline.all("2026-11-02 16:00"))["acknowledge/1"].state == "excused"


def test_assigning_a_case_to_oneself_takes_it_on() -> None:
    timeline = told(OPENED)
    timeline.say("2026-11-02 11:00", "case.assigned", case_id="C-0", actor="bert", to="bert")
    key = f"assigned:/desk#{timeline.contributions[-1].id}"
    timeline.steps.append(step(2, StepKind.ASSIGNED, "2026-11-02 11:00", key, actor="bert"))
    clock = by_key(timeline.all("2026-11-02 20:00"))["acknowledge/1"]
    assert facts(clock) == ("met", "2026-11-02 14:00", "2026-11-02 11:00", "bert")


def test_visits_that_were_over_are_left_out_but_for_those_asked_for() -> None:
    timeline = told(
        OPENED,
        step(
            2,
            StepKind.ESCALATED,
            "2026-11-02 14:00",
            tier="management",
            due="2026-11-03 10:00",
        ),
    )
    terms = terms_from(timeline.world, "acme", at("2026-11-02 10:00"))
    document = Document([], timeline.taken, [])

    def cycles(over_by: str, *named: str) -> list[str]:
        found = ladder_clocks(
            TICKET,
            timeline.steps,
            document,
            terms,
            at("2026-11-02 20:00"),
            over_by=at(over_by),
            cycles=named,
        )
        return sorted({clock.cycle for clock in found})

    assert cycles("2026-11-02 15:00") == ["2"]
    assert cycles("2026-11-02 15:00", "1") == ["1", "2"]
    assert cycles("2026-11-02 14:00") == ["1", "2"]
