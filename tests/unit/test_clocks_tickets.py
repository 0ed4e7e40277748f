"""What starts, stops and pauses the clocks of a ticket. Monday is 2 November 2026."""

from typing import Any

import pytest

from rules.clocks.clock import Clock
from tests.clock_timelines import ALWAYS, OFFICE, Timeline, at, by_key, policy, shown

HOURS = {
    "first_response": "2h",
    "next_response": "4h",
    "status_update": "8h",
    "resolution": "24h",
    "partner_response": "12h",
}


def timeline(promised: Any = HOURS, calendar: Any = ALWAYS, **clocks: Any) -> Timeline:
    return Timeline(policy(promised, clocks, calendar)).opened("2026-11-02 10:00")


def facts(clock: Clock) -> tuple[str, str | None, str | None]:
    return str(clock.state), shown(clock.due), shown(clock.stopped_at)


# --- only what counts, counts ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["note", "automatic"])
def test_notes_and_automatic_messages_answer_nothing(kind: str) -> None:
    """Zendesk, Freshdesk and Chatwoot alike: an autoresponder is no first response."""
    told = timeline().us("2026-11-02 10:01", kind)
    assert told.clock("first_response", "2026-11-02 11:00").state == "running"


def test_what_the_system_writes_answers_nothing() -> None:
    told = timeline().say(
        "2026-11-02 10:01", "ticket.message", ticket_id="T1", author="system", kind="reply"
    )
    assert told.clock("first_response", "2026-11-02 11:00").state == "running"


@pytest.mark.parametrize("kind", ["note", "automatic"])
def test_an_out_of_office_notice_of_the_partner_asks_nothing(kind: str) -> None:
    told = timeline().us("2026-11-02 11:00").partner("2026-11-02 12:00", kind)
    assert "next_response/1" not in by_key(told.all("2026-11-03 12:00"))


def test_nothing_runs_before_somebody_reports_the_opening() -> None:
    told = Timeline(policy(HOURS)).partner("2026-11-02 10:00")
    assert told.all("2026-11-05 10:00") == []


# --- the first response ---------------------------------------------------------------------------


def test_kept_at_the_due_time_is_kept_and_a_moment_later_is_late() -> None:
    in_time = timeline().us("2026-11-02 12:00").clock("first_response", "2026-11-03 10:00")
    assert facts(in_time) == ("met", "2026-11-02 12:00", "2026-11-02 12:00")
    late = timeline().us("2026-11-02 12:00:00.000001").clock("first_response", "2026-11-03 10:00")
    assert (late.state, late.late) == ("breached", 1)
    assert shown(late.breached_at) == "2026-11-02 12:00"


def test_silence_breaches_strictly_after_the_due_time() -> None:
    assert timeline().clock("first_response", "2026-11-02 12:00").state == "running"
    assert timeline().clock("first_response", "2026-11-02 12:00:00.000001").state == "breached"


def test_a_partner_who_had_to_chase_is_shown_beside_the_answer() -> None:
    told = timeline().partner("2026-11-02 10:30").partner("2026-11-02 11:00")
    told.us("2026-11-02 11:30").partner("2026-11-02 11:40")
    clock = told.clock("first_response", "2026-11-02 12:00")
    assert [shown(again) for again in clock.asked_again] == ["2026-11-02 10:30", "2026-11-02 11:00"]
    assert clock.state == "met"


def test_an_answer_in_a_closed_hour_counts_when_it_came() -> None:
    """Frappe and Zendesk count no business time there: the answer took none."""
    told = Timeline(policy({"first_response": "2bh"}, calendar=OFFICE)).opened("2026-11-06 18:00")
    clock = told.us("2026-11-07 12:00").clock("first_response", "2026-11-09 12:00")
    assert facts(clock) == ("met", "2026-11-09 11:00", "2026-11-07 12:00")
    assert (clock.spent, clock.budget) == (0, 2 * 3_600_000_000)


# --- the next responses ---------------------------------------------------------------------------


def test_the_oldest_unanswered_message_starts_the_clock_and_newer_ones_do_not_restart_it() -> None:
    """Zendesk's next reply time: three messages in a row are one wait."""
    told = timeline().us("2026-11-02 11:00")
    told.partner("2026-11-02 13:00").partner("2026-11-02 14:00").us("2026-11-02 16:30")
    told.us("2026-11-02 16:40").partner("2026-11-03 09:00")
    found = by_key(told.all("2026-11-03 10:00"))
    assert facts(found["next_response/1"]) == ("met", "2026-11-02 17:00", "2026-11-02 16:30")
    assert len(found["next_response/1"].asked_again) == 1
    assert facts(found["next_response/2"]) == ("running", "2026-11-03 13:00", None)
    assert "next_response/3" not in found


def test_a_message_at_the_moment_of_our_reply_is_not_answered_by_it() -> None:
    told = timeline().us("2026-11-02 11:00").partner("2026-11-02 13:00").us("2026-11-02 13:00")
    assert told.clock("next_response", "2026-11-02 13:30").state == "running"


# --- settled without an answer --------------------------------------------------------------------


def test_settling_calls_an_unanswered_question_off_and_opening_again_resumes_it() -> None:
    told = timeline().status("2026-11-02 11:00", "resolved")
    clock = told.clock("first_response", "2026-11-02 20:00")
    assert (clock.state, shown(clock.stopped_at)) == ("cancelled", "2026-11-02 11:00")
    assert clock.reason == "the ticket was settled without it"
    told.status("2026-11-03 08:00", "open")
    resumed = told.clock("first_response", "2026-11-03 08:30")
    assert facts(resumed) == ("running", "2026-11-03 09:00", None)


def test_settling_late_does_not_undo_the_breach() -> None:
    told = timeline().status("2026-11-02 13:00", "closed")
    clock = told.clock("first_response", "2026-11-05 10:00")
    assert facts(clock) == ("breached", "2026-11-02 12:00", "2026-11-02 13:00")


def test_a_question_on_a_settled_ticket_is_a_question() -> None:
    told = timeline().us("2026-11-02 10:30").status("2026-11-02 11:00", "closed")
    told.partner("2026-11-02 12:00")
    assert told.clock("next_response", "2026-11-02 16:00:01").state == "breached"


# --- pauses ---------------------------------------------------------------------------------------


def test_waiting_on_the_partner_pauses_the_solution_and_says_why_and_by_whom() -> None:
    told = timeline().status("2026-11-02 12:00", "waiting_on_partner")
    clock = told.clock("resolution", "2026-11-02 15:00")
    assert (clock.state, clock.reason) == ("paused", "waiting on partner")
    assert [x.actor for x in clock.excluded] == ["/desk"]
    assert (clock.spent, clock.held_up) == (2 * 3_600_000_000, 3 * 3_600_000_000)
    assert told.clock("first_response", "2026-11-02 13:00").state == "breached"
    told.status("2026-11-02 16:00", "waiting_on_us")
    assert facts(told.clock("resolution", "2026-11-02 17:00")) == (
        "running",
        "2026-11-03 14:00",
        None,
    )


def test_the_partners_reply_ends_the_wait_even_if_the_helpdesk_does_not_say_so() -> None:
    told = timeline().status("2026-11-02 12:00", "waiting_on_partner").partner("2026-11-02 14:00")
    assert facts(told.clock("resolution", "2026-11-02 15:00")) == (
        "running",
        "2026-11-03 12:00",
        None,
    )
    told.status("2026-11-02 16:00", "waiting_on_partner")
    assert told.clock("resolution", "2026-11-02 17:00").state == "paused"


def test_a_wait_that_begins_at_the_due_time_is_in_time() -> None:
    told = timeline().status("2026-11-03 10:00", "waiting_on_partner")
    told.status("2026-11-04 10:00", "open").status("2026-11-04 10:00", "resolved")
    assert told.clock("resolution", "2026-11-05 10:00").state == "met"


def test_a_pause_that_begins_after_the_due_time_saves_nothing() -> None:
    told = timeline().status("2026-11-03 10:00:01", "waiting_on_partner")
    clock = told.clock("resolution", "2026-11-05 10:00")
    assert (clock.state, shown(clock.breached_at)) == ("breached", "2026-11-03 10:00")


def test_pauses_reach_their_cap_together_and_then_the_clock_runs() -> None:
    told = timeline(pause_at_most="10h").status("2026-11-02 11:00", "waiting_on_partner")
    told.status("2026-11-02 19:00", "open").status("2026-11-02 20:00", "waiting_on_partner")
    assert told.clock("resolution", "2026-11-02 21:59").state == "paused"
    clock = told.clock("resolution", "2026-11-02 23:00")
    assert facts(clock) == ("running", "2026-11-03 20:00", None)
    assert told.clock("resolution", "2026-11-03 20:00:01").state == "breached"


def test_a_paused_clock_with_a_cap_knows_when_it_falls_due_if_nobody_ever_answers() -> None:
    told = timeline(pause_at_most="10h").status("2026-11-02 11:00", "waiting_on_partner")
    assert shown(told.clock("resolution", "2026-11-02 12:00").due_if_silent) == "2026-11-03 20:00"
    uncapped = timeline().status("2026-11-02 11:00", "waiting_on_partner")
    assert uncapped.clock("resolution", "2026-11-02 12:00").due_if_silent is None


def test_a_pause_over_the_weekend_moves_a_business_clock_by_its_open_hours_only() -> None:
    told = timeline({"resolution": "3bd"}, OFFICE).status("2026-11-04 16:00", "waiting_on_partner")
    told.status("2026-11-09 10:00", "open")  # Wednesday 16:00 to Monday 10:00: 1 + 8 + 8 + 1 hours
    clock = told.clock("resolution", "2026-11-09 11:00")
    assert shown(clock.planned) == "2026-11-05 10:00"
    assert shown(clock.due) == "2026-11-09 12:00"


# --- what the partner owes ------------------------------------------------------------------------


def test_the_partner_owes_an_answer_while_we_wait_for_one() -> None:
    told = timeline().status("2026-11-02 11:00", "waiting_on_partner").partner("2026-11-02 20:00")
    told.status("2026-11-02 21:00", "waiting_on_partner")
    first, second = (c for c in told.all("2026-11-03 12:00") if c.metric == "partner_response")
    assert facts(first) == ("met", "2026-11-02 23:00", "2026-11-02 20:00")
    assert facts(second) == ("breached", "2026-11-03 09:00", None)
    assert first.owed_by == "partner"


def test_a_ticket_settled_while_the_partner_owed_an_answer_releases_the_partner() -> None:
    told = timeline().status("2026-11-02 11:00", "waiting_on_partner")
    told.status("2026-11-02 12:00", "closed")
    assert told.states("partner_response", "2026-11-09 12:00") == ["cancelled"]


# --- status updates -------------------------------------------------------------------------------


def test_rolling_updates_count_from_the_last_one() -> None:
    """Request Tracker's KeepInLoop."""
    told = timeline().us("2026-11-02 12:00").us("2026-11-02 21:00")
    found = by_key(told.all("2026-11-02 22:00"))
    assert facts(found["status_update/1"]) == ("met", "2026-11-02 18:00", "2026-11-02 12:00")
    assert facts(found["status_update/2"]) == ("breached", "2026-11-02 20:00", "2026-11-02 21:00")
    assert facts(found["status_update/3"]) == ("running", "2026-11-03 05:00", None)


def test_updates_on_a_grid_are_owed_in_every_slot() -> None:
    told = timeline(status_update="grid").us("2026-11-02 12:00").us("2026-11-02 13:00")
    told.us("2026-11-03 03:00")
    states = told.states("status_update", "2026-11-03 11:00")
    assert states == ["met", "breached", "met", "running"]
    assert shown(by_key(told.all("2026-11-03 11:00"))["status_update/4"].due) == "2026-11-03 18:00"


def test_a_grid_moves_with_the_pauses() -> None:
    told = timeline(status_update="grid").status("2026-11-02 12:00", "waiting_on_partner")
    told.status("2026-11-02 22:00", "open")
    assert shown(told.clock("status_update", "2026-11-02 23:00").due) == "2026-11-03 04:00"


@pytest.mark.parametrize("anchor", ["rolling", "grid"])
def test_no_update_is_owed_once_the_ticket_is_settled(anchor: str) -> None:
    told = timeline(status_update=anchor).us("2026-11-02 12:00")
    told.status("2026-11-02 13:00", "resolved").us("2026-11-02 13:05")
    states = told.states("status_update", "2026-12-24 11:00")
    assert "breached" not in states
    assert "running" not in states


# --- settled and opened again ---------------------------------------------------------------------


def reopened(how: str) -> Timeline:
    told = timeline({"resolution": "24h"}, reopening=how).status("2026-11-02 20:00", "resolved")
    return told.status("2026-11-04 20:00", "open")


def test_resume_goes_on_with_what_was_spent() -> None:
    told = reopened("resume")
    assert told.clock("resolution", "2026-11-03 20:00").state == "met"
    clock = told.clock("resolution", "2026-11-04 21:00")
    assert facts(clock) == ("running", "2026-11-05 10:00", None)
    assert clock.spent == 11 * 3_600_000_000


def test_a_new_cycle_leaves_the_first_one_met() -> None:
    found = by_key(reopened("new_cycle").all("2026-11-04 21:00"))
    assert facts(found["resolution/1"]) == ("met", "2026-11-03 10:00", "2026-11-02 20:00")
    assert facts(found["resolution/2"]) == ("running", "2026-11-05 20:00", None)


def test_restart_takes_the_first_one_back() -> None:
    found = by_key(reopened("restart").all("2026-11-04 21:00"))
    assert found["resolution/1"].state == "cancelled"
    assert facts(found["resolution/2"]) == ("running", "2026-11-05 20:00", None)


@pytest.mark.parametrize("how", ["resume", "new_cycle", "restart"])
def test_no_reopening_undoes_a_breach(how: str) -> None:
    told = timeline({"resolution": "4h"}, reopening=how).status("2026-11-02 20:00", "resolved")
    clock = told.status("2026-11-04 20:00", "open").clock("resolution", "2026-11-04 21:00")
    assert (clock.state, shown(clock.breached_at)) == ("breached", "2026-11-02 14:00")


def test_resolved_and_then_closed_is_settled_once() -> None:
    told = timeline().status("2026-11-02 20:00", "resolved").status("2026-11-09 20:00", "closed")
    assert shown(told.clock("resolution", "2026-11-20 20:00").stopped_at) == "2026-11-02 20:00"


# --- excused, and whose breach it is --------------------------------------------------------------


def test_an_excuse_counts_from_when_it_was_given_and_keeps_the_breach_visible() -> None:
    told = timeline().excused("2026-11-02 15:00", "first_response/1", "claire")
    assert told.clock("first_response", "2026-11-02 14:00").state == "breached"
    clock = told.clock("first_response", "2026-11-02 15:00")
    assert clock.state == "excused"
    assert clock.excuse is not None
    assert (clock.excuse.approver, clock.excuse.by_holder) == ("claire", False)
    assert shown(clock.breached_at) == "2026-11-02 12:00"


def test_a_coming_breach_can_be_excused_and_what_was_met_needs_no_excuse() -> None:
    told = timeline().excused("2026-11-02 11:00", "first_response/1", "claire")
    assert told.clock("first_response", "2026-11-02 13:00").state == "excused"
    told.us("2026-11-02 11:30")
    assert told.clock("first_response", "2026-11-02 13:00").state == "met"


def test_an_excuse_reaches_no_clock_that_started_later_and_no_other_case() -> None:
    told = timeline().excused("2026-11-02 11:00", "next_response/1", "claire")
    told.us("2026-11-02 11:30").partner("2026-11-02 12:00")
    told.say("2026-11-02 12:30", "clock.excused", clock_id="C-0/resolution/1", actor="claire")
    found = by_key(told.all("2026-11-04 12:00"))
    assert found["next_response/1"].state == found["resolution/1"].state == "breached"


def test_whoever_held_it_when_it_fell_due_owns_the_breach() -> None:
    told = timeline()
    told.say("2026-11-02 11:00", "case.assigned", case_id="C-0", actor="anna", to="bert")
    told.say("2026-11-02 13:00", "case.assigned", case_id="C-0", actor="bert", to="cleo")
    assert told.clock("first_response", "2026-11-02 20:00").holder == "bert"
    assert told.clock("resolution", "2026-11-02 20:00").holder == "cleo"
    assert told.clock("resolution", "2026-11-02 10:30").holder == "account_manager"


def test_a_holder_who_excuses_the_own_breach_is_seen_to() -> None:
    told = timeline()
    told.say("2026-11-02 11:00", "case.assigned", case_id="C-0", actor="anna", to="bert")
    told.excused("2026-11-02 13:00", "first_response/1", "bert")
    excuse = told.clock("first_response", "2026-11-02 20:00").excuse
    assert excuse is not None
    assert excuse.by_holder


# --- when it was seen -----------------------------------------------------------------------------


def test_recorded_at_is_when_the_breach_could_be_seen() -> None:
    told = Timeline(policy(HOURS, calendar=ALWAYS))
    told.opened("2026-11-02 10:00", recorded="2026-11-02 18:00")
    clock = told.clock("first_response", "2026-11-03 10:00")
    assert shown(clock.breached_at) == "2026-11-02 12:00"
    assert shown(clock.recorded_at) == "2026-11-02 18:00"
    assert not clock.retroactive
    resolution = told.clock("resolution", "2026-11-03 10:00:01")
    assert resolution.recorded_at == resolution.breached_at == at("2026-11-03 10:00")


def test_the_evidence_adds_up() -> None:
    told = timeline().status("2026-11-02 12:00", "waiting_on_partner")
    told.status("2026-11-02 16:00", "open").status("2026-11-02 18:00", "resolved")
    clock = told.clock("resolution", "2026-11-05 10:00")
    counted = [(shown(a), shown(b)) for a, b in clock.counted]
    assert counted == [
        ("2026-11-02 10:00", "2026-11-02 12:00"),
        ("2026-11-02 16:00", "2026-11-02 18:00"),
    ]
    assert clock.spent + clock.held_up == at("2026-11-02 18:00") - at("2026-11-02 10:00")
    assert clock.clock_id.endswith("/resolution/1")


def test_a_wait_from_closing_time_on_still_allows_to_settle_where_it_ends() -> None:
    told = Timeline(policy({"resolution": "8bh"}, calendar=OFFICE)).opened("2026-11-02 09:00")
    told.status("2026-11-02 17:00", "waiting_on_partner").status("2026-11-02 20:00", "resolved")
    clock = told.clock("resolution", "2026-11-03 10:00")
    assert facts(clock) == ("met", "2026-11-02 20:00", "2026-11-02 20:00")


def test_what_the_partner_wrote_when_opening_is_not_asking_again() -> None:
    told = timeline().partner("2026-11-02 10:00")
    assert told.clock("first_response", "2026-11-02 11:00").asked_again == ()


def test_the_cap_counts_all_pauses_before() -> None:
    told = timeline(pause_at_most="6h")
    for hour in (11, 14, 17):
        told.status(f"2026-11-02 {hour}:00", "waiting_on_partner")
        told.status(f"2026-11-02 {hour + 2}:30", "open")
    clock = told.clock("resolution", "2026-11-02 20:00")
    assert (clock.held_up, shown(clock.due)) == (6 * 3_600_000_000, "2026-11-03 16:00")
