"""The scheduler: when to look whether a report is due. Whether one is, the store knows.

A look too many finds nothing to do. So it looks when the policy says that a report is issued, once
at the start, for what fell due while nothing ran, and every hour, for whatever moved since: another
policy, a time that the clocks of a zone skipped, a database that was away.
"""

from collections.abc import Awaitable, Callable
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from schemas.fields import parse_clock
from schemas.policy import Reporting

#: Minutes between two looks when no report is due.
_LOOK_EVERY = 60


def triggers(reporting: Reporting, zone: ZoneInfo) -> list[BaseTrigger]:
    """When reports are issued, as the policy says; times are the zone's."""
    found: list[BaseTrigger] = [IntervalTrigger(minutes=_LOOK_EVERY, timezone=zone)]
    if (digest := reporting.digest) is not None:
        hour, minute = divmod(parse_clock(digest.at), 60)
        found.append(
            CronTrigger(day_of_week=str(digest.day), hour=hour, minute=minute, timezone=zone)
        )
    if (scorecard := reporting.scorecard) is not None:
        hour, minute = divmod(parse_clock(scorecard.at), 60)
        found.append(CronTrigger(day=scorecard.day, hour=hour, minute=minute, timezone=zone))
    return found


class Scheduler:
    """Runs `look` at the start and whenever a report may be due. Needs a running event loop."""

    def __init__(
        self, look: Callable[[], Awaitable[None]], reporting: Reporting, zone: ZoneInfo
    ) -> None:
        # However late a run is, and however many were missed: one look finds all that is due.
        defaults = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(timezone=zone, job_defaults=defaults)
        self._scheduler.add_job(look)
        for trigger in triggers(reporting, zone):
            self._scheduler.add_job(look, trigger)

    def start(self) -> None:
        """Begin. What is due already is looked at soon."""
        self._scheduler.start()

    def stop(self) -> None:
        """End. A look under way is not waited for: what it did not finish is due again."""
        self._scheduler.shutdown(wait=False)
