"""Roles become people: directly, by stand-ins, at last operations; and quiet hours."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.calendars import BusinessCalendar
from rules.recipients import Reason, Recipient, Recipients, directory_problems
from schemas.directory import Directory
from schemas.time import Instant, iso, to_instant

ROUTE = ({"kind": "terminal"},)
CALENDARS = {
    "default": BusinessCalendar("Europe/Berlin", {"mon-fri": ["09:00-17:00"]}),
    "new_york": BusinessCalendar("America/New_York", {"mon-fri": ["09:00-17:00"]}),
}
AM = "account_manager"


def at(text: str) -> Instant:
    return to_instant(datetime.fromisoformat(text))


NOON = at("2026-11-04T12:00:00Z")


def person(**entry: Any) -> dict[str, Any]:
    return {"name": "Somebody", "routes": ROUTE, **entry}


def recipients(
    people: dict[str, Any],
    partners: dict[str, Any] | None = None,
    default_tier: str | None = None,
    **roles: Any,
) -> Recipients:
    directory = Directory.model_validate(
        {"people": people, "partners": partners or {}, "roles": roles}
    )
    return Recipients(directory, CALENDARS, default_tier)


def told(answers: Recipients, when: int = NOON, role: str = AM) -> dict[str, Reason]:
    found = answers.resolve(role, "acme", when).recipients
    return {recipient.person: recipient.reason for recipient in found}


AWAY = {"from": "2026-11-04", "until": "2026-11-04"}


# --- partners -------------------------------------------------------------------------------------


def test_a_partners_tier_holds_from_the_start_of_its_day_where_the_partner_is() -> None:
    history = [
        {"tier": "strategic", "since": "2026-07-01"},
        {"tier": "growth", "since": "2026-01-01"},
    ]
    partners = {
        "berlin": {"tier": history},
        "york": {"tier": history, "calendar": "new_york"},
        "plain": {"tier": "growth"},
    }
    answers = recipients({}, partners, "standard")
    midnight = at("2026-07-01T00:00:00+02:00")
    assert answers.partner_tier("berlin", midnight) == "strategic"
    assert answers.partner_tier("berlin", midnight - 1) == "growth"
    assert answers.partner_tier("york", midnight) == "growth"
    assert answers.partner_tier("york", at("2026-07-01T00:00:00-04:00")) == "strategic"
    assert answers.partner_tier("berlin", at("2025-12-31T12:00:00Z")) == "standard"
    assert answers.partner_tier("plain", 0) == "growth"
    assert answers.partner_tier("unheard of", NOON) == "standard"
    assert recipients({}).partner_tier("unheard of", NOON) is None


def test_whom_the_directory_does_not_list_has_the_defaults() -> None:
    answers = recipients(
        {"a": person(), "b": person()}, {"acme": {"tier": "x"}}, account_manager="b"
    )
    assert answers.knows("acme")
    assert not answers.knows("other")
    assert answers.people(AM, "acme") == answers.people(AM, "other") == ("b",)
    assert answers.people(AM, None) == ("b",)
    assert answers.calendar_of("acme") == answers.calendar_of("other") == "default"
    assert answers.persons_calendar("nobody") == "default"


def test_a_partner_can_have_people_of_its_own() -> None:
    partner = {"tier": "x", "calendar": "new_york", "roles": {AM: ["a", "b"]}}
    answers = recipients(
        {"a": person(calendar="new_york"), "b": person()},
        {"acme": partner, "none": {"tier": "x", "roles": {AM: []}}},
        account_manager="b",
    )
    assert answers.people(AM, "acme") == ("a", "b")
    assert answers.people(AM, "none") == ()
    assert answers.calendar_of("acme") == "new_york"
    assert answers.persons_calendar("a") == "new_york"
    assert told(answers) == {"a": Reason.DIRECT, "b": Reason.DIRECT}


# --- resolving ------------------------------------------------------------------------------------


def test_who_is_there_is_told_directly() -> None:
    answers = recipients({"anna": person(stand_in="ben"), "ben": person()}, account_manager="anna")
    resolution = answers.resolve(AM, "acme", NOON)
    assert resolution.recipients == (Recipient("anna", Reason.DIRECT),)
    assert resolution.people == ("anna",)
    assert resolution.steps == ("anna is account manager.",)


@pytest.mark.parametrize(
    ("anna", "words"),
    [
        (person(stand_in="ben", active=False), "is no longer active"),
        (person(stand_in="ben", routes=()), "has no route"),
        (person(stand_in="ben", absences=[AWAY]), "is away until 2026-11-04T23:00:00Z"),
        (person(stand_in="eve", absences=[{**AWAY, "stand_in": "ben"}]), "is away"),
    ],
)
def test_the_stand_in_is_told_when_somebody_cannot_be(anna: dict[str, Any], words: str) -> None:
    answers = recipients({"anna": anna, "ben": person(), "eve": person()}, account_manager="anna")
    resolution = answers.resolve(AM, "acme", NOON)
    assert resolution.recipients == (Recipient("ben", Reason.STAND_IN, "anna"),)
    assert resolution.steps[1].startswith(f"anna {words}")
    assert resolution.steps[1].endswith("; ben stands in.")
    assert resolution.is_staffed


def test_an_absence_counts_whole_days_where_the_person_is_or_to_the_instant() -> None:
    days = person(stand_in="ben", absences=[{"from": "2026-11-04", "until": "2026-11-05"}])
    york = {**days, "calendar": "new_york"}
    exact = person(
        stand_in="ben",
        absences=[
            {
                "from": datetime(2026, 11, 4, 8, tzinfo=UTC),
                "until": datetime(2026, 11, 4, 9, tzinfo=UTC),
            }
        ],
    )
    for anna, first, back in (
        (days, "2026-11-04T00:00:00+01:00", "2026-11-06T00:00:00+01:00"),
        (york, "2026-11-04T00:00:00-05:00", "2026-11-06T00:00:00-05:00"),
        (exact, "2026-11-04T08:00:00+00:00", "2026-11-04T09:00:00+00:00"),
    ):
        answers = recipients({"anna": anna, "ben": person()}, account_manager="anna")
        assert told(answers, at(first) - 1) == {"anna": Reason.DIRECT}
        assert told(answers, at(first)) == {"ben": Reason.STAND_IN}
        assert told(answers, at(back) - 1) == {"ben": Reason.STAND_IN}
        assert told(answers, at(back)) == {"anna": Reason.DIRECT}


def test_stand_ins_chain_to_the_first_who_can_be_told() -> None:
    people = {
        "anna": person(stand_in="ben", active=False),
        "ben": person(stand_in="eve", routes=()),
        "eve": person(),
    }
    answers = recipients(people, account_manager="anna")
    resolution = answers.resolve(AM, "acme", NOON)
    assert resolution.recipients == (Recipient("eve", Reason.STAND_IN, "anna"),)
    assert resolution.steps == (
        "anna is account manager.",
        "anna is no longer active; ben stands in.",
        "ben has no route; eve stands in.",
    )


def test_a_chain_that_comes_back_ends_with_operations() -> None:
    people = {
        "anna": person(stand_in="ben", active=False),
        "ben": person(stand_in="anna", active=False),
        "desk": person(),
    }
    answers = recipients(people, account_manager="anna", operations="desk")
    resolution = answers.resolve(AM, "acme", NOON)
    assert resolution.recipients == (Recipient("desk", Reason.OPERATIONS),)
    assert resolution.steps[2:] == (
        "ben is no longer active; anna was asked before.",
        "No account manager can be told; operations is told instead.",
        "desk is operations.",
    )
    assert not resolution.is_staffed


def test_operations_have_stand_ins_too() -> None:
    people = {"desk": person(stand_in="night", active=False), "night": person()}
    answers = recipients(people, operations="desk")
    assert told(answers) == {"night": Reason.OPERATIONS}
    assert told(answers, role="operations") == {"night": Reason.STAND_IN}


def test_nobody_home_anywhere_is_said() -> None:
    answers = recipients({"desk": person(routes=())}, account_manager="ghost", operations="desk")
    resolution = answers.resolve(AM, "acme", NOON)
    assert resolution.recipients == ()
    assert resolution.steps == (
        "ghost is account manager.",
        "ghost is not in the directory, and has no stand-in.",
        "No account manager can be told; operations is told instead.",
        "desk is operations.",
        "desk has no route, and has no stand-in.",
        "Nobody can be told.",
    )
    assert recipients({}).resolve(AM, None, NOON).steps[0] == (
        "Nobody is account manager for other partners."
    )


def test_one_person_is_told_once_and_directly_if_they_fill_the_role() -> None:
    people = {"anna": person(stand_in="ben", absences=[AWAY]), "ben": person()}
    for order in (["anna", "ben"], ["ben", "anna"]):
        assert told(recipients(people, account_manager=order)) == {"ben": Reason.DIRECT}
    # While one of two is there, the other's absence alarms nobody.
    alone = {"anna": person(absences=[AWAY]), "ben": person(), "desk": person()}
    answers = recipients(alone, account_manager=["anna", "ben"], operations="desk")
    assert told(answers) == {"ben": Reason.DIRECT}


# --- whose word counts ----------------------------------------------------------------------------


def test_the_word_of_who_fills_a_role_counts_even_while_away() -> None:
    people = {
        "anna": person(stand_in="ben", absences=[{**AWAY, "stand_in": "eve"}]),
        "ben": person(),
        "eve": person(),
        "kim": person(),
        "desk": person(),
    }
    partners = {"acme": {"tier": "x", "roles": {"planner": ["ben", "anna"]}}}
    answers = recipients(people, partners, account_manager="anna", operations="desk")
    later = at("2026-11-06T12:00:00Z")
    assert answers.roles_of("anna", "acme", NOON) == ("planner", AM)
    assert answers.roles_of("eve", "acme", NOON) == ("planner", AM)
    assert answers.roles_of("eve", "acme", later) == ()
    assert answers.roles_of("ben", "acme", later) == ("planner", AM)  # named, so always
    assert answers.roles_of("ben", "other", later) == (AM,)
    assert answers.roles_of("ben", "other", NOON) == (AM,)  # though eve stands in just now
    assert answers.roles_of("kim", "acme", NOON) == ()
    assert answers.roles_of("ghost", "acme", NOON) == ()
    assert answers.roles_of("desk", "acme", NOON) == ("operations",)


def test_the_stand_in_of_a_stand_in_counts_while_told_and_who_left_never() -> None:
    people = {
        "anna": person(stand_in="ben", active=False),
        "ben": person(stand_in="eve", absences=[AWAY]),
        "eve": person(),
    }
    answers = recipients(people, account_manager="anna")
    later = at("2026-11-06T12:00:00Z")
    assert answers.roles_of("eve", "acme", NOON) == (AM,)
    assert answers.roles_of("eve", "acme", later) == ()
    assert answers.roles_of("ben", "acme", NOON) == (AM,)
    assert answers.roles_of("anna", "acme", NOON) == ()


def test_being_told_as_operations_gives_no_role() -> None:
    answers = recipients({"desk": person()}, account_manager="ghost", operations="desk")
    assert told(answers) == {"desk": Reason.OPERATIONS}
    assert answers.roles_of("desk", "acme", NOON) == ("operations",)


# --- gaps -----------------------------------------------------------------------------------------


def test_gaps_name_each_partner_and_tier_with_nobody_home() -> None:
    partners = {
        "acme": {"tier": "gold", "roles": {AM: "ghost"}},
        "bolt": {"tier": "gold"},
        "coal": {"tier": "plain"},
    }
    ladders = {
        "gold": {"frontline": AM, "executive": "executive_sponsor"},
        "plain": {"frontline": AM},
    }
    answers = recipients(
        {"anna": person(), "desk": person()},
        partners,
        "plain",
        account_manager="anna",
        operations="desk",
    )
    gaps = list(answers.gaps(lambda tier: ladders[tier or ""], NOON))
    assert [(gap.partner_id, gap.tier) for gap in gaps] == [
        ("acme", "frontline"),
        ("acme", "executive"),
        ("bolt", "executive"),
    ]
    assert gaps[0].resolution.people == ("desk",)
    without = recipients({}, {}, "plain")
    assert [gap.partner_id for gap in without.gaps(lambda tier: ladders[tier or ""], NOON)] == [
        None
    ]
    assert not list(answers.gaps(lambda tier: ladders[tier or ""], NOON, ["coal", None]))


# --- quiet hours ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quiet", "when", "until"),
    [
        ("20:00-07:00", "2026-11-04T19:59:59+01:00", None),
        ("20:00-07:00", "2026-11-04T20:00:00+01:00", "2026-11-05T07:00:00+01:00"),
        ("20:00-07:00", "2026-11-05T06:59:59+01:00", "2026-11-05T07:00:00+01:00"),
        ("20:00-07:00", "2026-11-05T07:00:00+01:00", None),
        ("12:00-13:00", "2026-11-05T12:30:00+01:00", "2026-11-05T13:00:00+01:00"),
        ("12:00-13:00", "2026-11-05T13:00:00+01:00", None),
        ("00:00-07:00", "2026-11-05T00:00:00+01:00", "2026-11-05T07:00:00+01:00"),
        ("20:00-24:00", "2026-11-05T23:59:59+01:00", "2026-11-06T00:00:00+01:00"),
        # Clocks go forward: 02:00 to 03:00 does not exist. The night is an hour shorter.
        ("20:00-07:00", "2026-03-28T22:00:00+01:00", "2026-03-29T07:00:00+02:00"),
        ("22:00-02:30", "2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("02:10-02:50", "2026-03-29T03:00:00+02:00", None),
        # Clocks go back: 02:00 to 03:00 comes twice, and both are as quiet as the wall says.
        ("20:00-07:00", "2026-10-24T22:00:00+02:00", "2026-10-25T07:00:00+01:00"),
        ("22:00-02:30", "2026-10-25T02:15:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("22:00-02:30", "2026-10-25T02:45:00+02:00", None),
        ("22:00-02:30", "2026-10-25T02:15:00+01:00", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall(quiet: str, when: str, until: str | None) -> None:
    answers = recipients({"anna": person(quiet_hours=quiet)})
    held = answers.held_until("anna", at(when))
    assert held == (None if until is None else at(until)), held and iso(held)


def test_quiet_hours_are_those_of_the_persons_own_zone() -> None:
    people = {
        "maria": person(quiet_hours="20:00-07:00", calendar="new_york"),
        "anna": person(quiet_hours="20:00-07:00"),
        "ben": person(),
    }
    answers = recipients(people)
    evening = at("2026-11-04T21:00:00+01:00")
    assert answers.held_until("anna", evening) == at("2026-11-05T07:00:00+01:00")
    assert answers.held_until("maria", evening) is None
    assert answers.held_until("ben", evening) is None
    assert answers.held_until("nobody", evening) is None
    maria_asleep = at("2026-11-05T08:00:00+01:00")
    assert answers.held_until("maria", maria_asleep) == at("2026-11-05T07:00:00-05:00")


MINUTES = st.integers(0, 24 * 60 - 1)


@given(MINUTES, MINUTES, st.integers(at("2026-01-01T00:00:00Z"), at("2027-12-31T00:00:00Z")))
def test_what_is_held_is_let_go_when_it_is_not_quiet(start: int, end: int, when: int) -> None:
    if start == end:
        return
    shown = [f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (start, end)]
    answers = recipients({"anna": person(quiet_hours="-".join(shown))})
    local = datetime.fromtimestamp(when // 1_000_000, CALENDARS["default"].zone)
    clock = local.hour * 60 + local.minute
    quiet = start <= clock < end if start < end else clock >= start or clock < end
    held = answers.held_until("anna", when)
    assert (held is not None) == quiet
    if held is not None:
        assert when < held <= when + 25 * 3_600_000_000
        assert answers.held_until("anna", held) is None


# --- what leads nowhere ---------------------------------------------------------------------------


def problems(**parts: Any) -> dict[tuple[str | int, ...], str]:
    directory = Directory.model_validate(parts)
    found = directory_problems(directory, ["berlin"], [AM, "operations"], ["gold", "plain"])
    return dict(found)


def test_a_sound_directory_has_no_problems() -> None:
    assert not problems(
        people={"a": person(stand_in="b", calendar="berlin"), "b": person(stand_in="a")},
        partners={"acme": {"tier": "gold", "roles": {AM: ["a", "b"]}}},
        roles={AM: "a", "operations": []},
    )


def test_names_that_lead_nowhere_are_found_where_they_stand() -> None:
    found = problems(
        people={
            "anna": person(stand_in="bem", calendar="berlim"),
            "ben": person(stand_in="ben", absences=[{**AWAY, "stand_in": "eve"}]),
        },
        partners={
            "acme": {"tier": "golden", "calendar": "mars", "roles": {AM: "ana", "boss": "ben"}},
            "bolt": {"tier": [{"tier": "x", "since": "2026-01-01"}], "roles": {AM: ["ben", "x"]}},
        },
        roles={"operatoins": "anna"},
    )
    assert set(found) == {
        ("people", "anna", "stand_in"),
        ("people", "anna", "calendar"),
        ("people", "ben", "stand_in"),
        ("people", "ben", "absences", 0, "stand_in"),
        ("partners", "acme", "tier"),
        ("partners", "acme", "calendar"),
        ("partners", "acme", "roles", AM),
        ("partners", "acme", "roles", "boss"),
        ("partners", "bolt", "tier", 0, "tier"),
        ("partners", "bolt", "roles", AM, 1),
        ("roles", "operatoins"),
    }
    assert found["people", "anna", "stand_in"] == (
        "there is no person 'bem'. Did you mean ben? Accepted: anna, ben"
    )
    assert found["people", "anna", "calendar"].endswith("Accepted: default, berlin")
    assert found["roles", "operatoins"].startswith("there is no role 'operatoins'. Did you mean op")
    assert "themselves" in found["people", "ben", "stand_in"]


def test_entries_that_cannot_be_meant_are_found() -> None:
    backwards = [
        {"tier": "gold", "since": "2026-07-01"},
        {"tier": "plain", "since": "2026-07-01"},
    ]
    found = problems(
        people={
            "anna": person(
                quiet_hours="00:00-24:00",
                absences=[AWAY, {"from": "2026-11-04", "until": "2026-11-03"}],
            )
        },
        partners={"acme": {"tier": backwards}, "bolt": {"tier": []}},
    )
    assert found == {
        ("people", "anna", "quiet_hours"): (
            "quiet all day: only urgent things would ever arrive; leave some hours"
        ),
        ("people", "anna", "absences", 1, "until"): (
            "2026-11-03 is before 2026-11-04, when the absence begins"
        ),
        ("partners", "acme", "tier", 1, "since"): (
            "2026-07-01 does not come after 2026-07-01; list the oldest first"
        ),
        ("partners", "bolt", "tier"): "empty; accepted: gold, plain",
    }


def test_a_directory_with_problems_still_answers() -> None:
    people = {"anna": person(quiet_hours="00:00-24:00", calendar="mars")}
    answers = recipients(people, {"acme": {"tier": []}}, account_manager="anna")
    assert answers.held_until("anna", NOON) is None
    assert answers.partner_tier("acme", NOON) is None
    assert told(answers) == {"anna": Reason.DIRECT}


# --- what people read -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("acknowledged by c.d", "acknowledged by Claire Dubois"),
        ("acknowledged by c.d and taken over", "acknowledged by Claire Dubois and taken over"),
        ("waiting on the partner, by c.d", "waiting on the partner, by Claire Dubois"),
        ("dispute decided by c.d: upheld", "dispute decided by Claire Dubois: upheld"),
        ("acme, order c.d: assigned to anna by c.d",
         "acme, order c.d: assigned to Anna Keller by Claire Dubois"),
        ("c.d is not the buyer, their stand-in or the owner: counted as a comment",
         "Claire Dubois is not the buyer, their stand-in or the owner: counted as a comment"),
        ("acme, order 1: c.d owns the case and cannot decide the dispute about it",
         "acme, order 1: Claire Dubois owns the case and cannot decide the dispute about it"),
        ("assigned to zoe by c.d", "assigned to zoe by Claire Dubois"),
        ("acknowledged by cxd, c.d.e and anna", "acknowledged by cxd, c.d.e and anna"),
    ],
)  # fmt: skip
def test_a_step_reads_with_the_names_of_people(said: str, read: str) -> None:
    known = recipients({"c.d": person(name="Claire Dubois"), "anna": person(name="Anna Keller")})
    assert known.in_names(said, "c.d") == read
    assert known.in_names(said, None) == said
