"""The scheduler looks at the start and at the hours of the policy, in the zone of the reports."""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from schemas.policy import Reporting
from streams.scheduler import Scheduler, triggers

BERLIN = ZoneInfo("Europe/Berlin")
REPORTING = Reporting.model_validate(
    {"digest": {"day": "mon", "at": "07:00", "to": ["operations"]}, "scorecard": {"day": 2}}
)


def test_what_is_due_at_the_start_is_looked_at_once() -> None:
    async def run() -> int:
        looks = 0
        looked = asyncio.Event()

        async def look() -> None:
            nonlocal looks
            looks += 1
            looked.set()

        scheduler = Scheduler(look, REPORTING, BERLIN)
        scheduler.start()
        await asyncio.wait_for(looked.wait(), 30)
        scheduler.stop()
        return looks

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize(
    ("now", "following"),
    [
        ("2026-11-22T12:00", ["2026-11-22T13:00+01:00", "2026-11-23T07:00+01:00",
                              "2026-12-02T07:00+01:00"]),
        ("2026-10-24T12:00", ["2026-10-24T13:00+02:00", "2026-10-26T07:00+01:00",
                              "2026-11-02T07:00+01:00"]),
    ],
)  # fmt: skip
def test_it_looks_at_the_hours_of_the_policy_whatever_the_clocks_do(
    now: str, following: list[str]
) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=BERLIN)
    hourly, *named = triggers(REPORTING, BERLIN)
    times = [hourly.get_next_fire_time(at, at), *(t.get_next_fire_time(None, at) for t in named)]
    assert [time.isoformat(timespec="minutes") for time in times] == following


def test_a_policy_without_reports_is_looked_at_every_hour() -> None:
    assert len(triggers(Reporting(), BERLIN)) == 1
