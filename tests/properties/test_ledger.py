"""Laws of the ledger: its rows stay true while time passes, and days are in step with rows."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rules.attainment import Outcome, row_of
from rules.clocks.subject_clocks import clocks_of
from rules.ledger import Instance, Posting, post
from rules.subjects import Document
from schemas.time import DAY, HOUR
from tests.clock_timelines import TICKET, TOUCHPOINTS, Timeline
from tests.properties.test_clocks import (
    BEGIN,
    HOURS,
    calendars,
    clock_settings,
    histories,
    hours,
    tell,
)

_DECIDED = (Outcome.MET, Outcome.BREACHED, Outcome.CANCELLED, Outcome.NEVER_RAN)


def posted(timeline: Timeline, key: str, as_of: int) -> Posting:
    since = BEGIN if key == TOUCHPOINTS else None
    known = Document([c for c in timeline.contributions if c.time <= as_of], {}, [])
    return post(key, known, timeline.world, as_of, since=since)


def by_name(posting: Posting) -> dict[str, Instance]:
    return {row.clock_id: row for row in posting.instances}


@given(clock_settings, calendars, histories, hours, st.integers(0, 24 * 40))
def test_a_row_tells_what_its_clock_is_at_any_later_instant(
    settings: Any, calendar: Any, history: Any, one: int, wait: int
) -> None:
    timeline = tell(settings, calendar, history)
    as_of = BEGIN + one * HOUR
    known = [c for c in timeline.contributions if c.time <= as_of]
    for key in (TICKET, TOUCHPOINTS):
        posting = posted(timeline, key, as_of)
        later = as_of + wait * HOUR
        if posting.look_again_at is not None:
            assert posting.look_again_at > as_of
            later = min(later, posting.look_again_at - 1)
        rows = by_name(posting)
        since = BEGIN if key == TOUCHPOINTS else None
        clocks = clocks_of(key, Document(known, {}, []), timeline.world, later, since=since)
        assert {clock.clock_id for clock in clocks} == rows.keys()
        for clock in clocks:
            row, truth = rows[clock.clock_id], row_of(clock)
            assert row.outcome_at(later) is truth.outcome, clock.clock_id
            assert row.late_at(later) == (clock.late if truth.outcome is Outcome.BREACHED else 0)
            if truth.outcome in _DECIDED:
                assert row.falls_at == truth.at
            if truth.outcome in (Outcome.NOT_YET_DUE, Outcome.PAUSED):
                assert row.left_at is None or row.left_at >= later
            else:
                assert row.left_at is not None
                assert row.left_at <= later


@given(clock_settings, calendars, histories)
def test_looking_again_when_told_to_ends_where_a_look_at_the_end_does(
    settings: Any, calendar: Any, history: Any
) -> None:
    timeline = tell(settings, calendar, history)
    end = BEGIN + HOURS * HOUR + 30 * DAY
    for key in (TICKET, TOUCHPOINTS):
        at: int | None = BEGIN + HOURS * HOUR
        posting = posted(timeline, key, BEGIN + HOURS * HOUR)
        looks = 0
        while (at := posting.look_again_at) is not None and at <= end:
            posting = posted(timeline, key, at)
            looks += 1
            assert looks < 200
        once = by_name(posted(timeline, key, end))
        again = by_name(posting)
        assert once.keys() == again.keys()
        for name, row in again.items():
            assert row.outcome_at(end) is once[name].outcome_at(end), name
