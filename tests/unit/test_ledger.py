"""Rows of the ledger by hand: what stands in them, and what they say at later instants."""

import pytest

from rules.attainment import Outcome
from rules.clocks.clock import PARTNER
from rules.decision import StepKind, StepRow
from rules.digest.material import is_promise
from rules.ledger import Escalation, Instance, post
from rules.subjects import Document
from tests.clock_timelines import TICKET, Timeline, at, policy

PROMISED = {"first_response": "2h", "status_update": "6h", "partner_response": "12h"}


def told() -> Timeline:
    return Timeline(policy(PROMISED)).opened("2026-11-02 10:00")


def instances(said: Timeline, as_of: str) -> dict[str, Instance]:
    document = Document(said.contributions, {}, [])
    found = post(TICKET, document, said.world, at(as_of)).instances
    return {f"{row.metric}/{row.cycle}": row for row in found}


@pytest.mark.parametrize(
    ("when", "outcome"),
    [
        ("2026-11-02 11:00", Outcome.NOT_YET_DUE),
        ("2026-11-02 12:00", Outcome.NOT_YET_DUE),  # late is strictly after
        ("2026-11-02 12:01", Outcome.BREACHED),
    ],
)
def test_an_open_row_breaks_by_itself_after_its_deadline(when: str, outcome: Outcome) -> None:
    row = instances(told(), "2026-11-02 10:30")["first_response/1"]
    assert row.outcome_at(at(when)) is outcome


def test_a_row_stands_still_from_its_own_beginning() -> None:
    said = told().us("2026-11-02 10:30").status("2026-11-02 11:00", "waiting_on_partner")
    said.us("2026-11-02 12:00")
    row = instances(said, "2026-11-02 13:00")["status_update/3"]
    assert [pause.started_at for pause in row.pauses] == [row.started_at]
    assert row.started_at == at("2026-11-02 12:00")


def test_what_a_partner_owes_is_no_promise_of_ours() -> None:
    said = told().status("2026-11-02 11:00", "waiting_on_partner")
    rows = instances(said, "2026-11-02 13:00").values()
    theirs = [row for row in rows if row.owed_by == PARTNER]
    assert [row.metric for row in theirs] == ["partner_response"]
    assert not is_promise(theirs[0].metric, theirs[0].escalation_tier)
    ours = [row for row in rows if row.owed_by != PARTNER]
    assert all(is_promise(row.metric, row.escalation_tier) for row in ours)


# --- escalations ----------------------------------------------------------------------------------


def escalations(*steps: tuple[StepKind, str]) -> tuple[Escalation, ...]:
    rows = [
        StepRow(
            "C-1", f"{kind}:{n}", n, kind, "management", at(when), at(when), None, None, "p", {}
        )
        for n, (kind, when) in enumerate(steps, 1)
    ]
    world = Timeline(policy(PROMISED)).world
    as_of = at("2026-11-30 00:00")
    return post(TICKET, Document([], {}, []), world, as_of, steps=rows).escalations


def test_a_case_that_proved_wrong_never_asked_anybody() -> None:
    opened = (StepKind.OPENED, "2026-11-02 10:00")
    escalated = (StepKind.ESCALATED, "2026-11-02 12:00")
    wrong = (StepKind.RETRACTED, "2026-11-03 10:00")
    assert [e.retracted for e in escalations(opened, escalated)] == [False, False]
    assert [e.retracted for e in escalations(opened, escalated, wrong)] == [True, True]


def test_a_case_is_as_old_as_its_last_opening() -> None:
    asked = escalations(
        (StepKind.OPENED, "2026-11-02 10:00"),
        (StepKind.ESCALATED, "2026-11-02 12:00"),
        (StepKind.RESOLVED, "2026-11-03 10:00"),
        (StepKind.REOPENED, "2026-11-09 10:00"),
        (StepKind.ESCALATED, "2026-11-10 10:00"),
    )
    first, again = at("2026-11-02 10:00"), at("2026-11-09 10:00")
    assert [e.opened_at for e in asked] == [first, first, again, again]
    assert [e.ended_as for e in asked] == ["escalated", "resolved", "escalated", ""]
