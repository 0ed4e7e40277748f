"""What is put off, and until when: by quiet hours, bundling, back-off, or a route that is busy.

Held in memory only: after a restart something is tried early, which does no harm.
"""

from schemas.directory import Route
from schemas.time import Instant, iso
from streams.relay.letters import Job, Letter
from streams.relay.passes import Pass
from streams.relay.reasons import Reason
from streams.store import DeliveryStatus


class Waits:
    """For each telling, by its key, and for each route how long it waits."""

    def __init__(self) -> None:
        self.now = Instant(0)
        """Of the newest run: what is under way began in an earlier one, and its `now` is over."""
        self._until: dict[str, tuple[Instant, Reason]] = {}
        self._busy: dict[Route, Instant] = {}
        self._pace: dict[Route, int] = {}
        # Let through by bundling, and only waiting for their turn on the route.
        self._in_turn: set[str] = set()

    def begin(self, now: Instant) -> None:
        """A run begins: forget what is over."""
        self.now = now
        self._busy = {route: until for route, until in self._busy.items() if until > now}
        self._until = {key: held for key, held in self._until.items() if held[0] > now}

    # -- tellings ------------------------------------------------------------------------------

    def holds(self, key: str, now: Instant) -> bool:
        """Whether a telling still waits."""
        held = self._until.get(key)
        return held is not None and held[0] > now

    def until(self, key: str) -> tuple[Instant, Reason] | None:
        """Until when a telling waits, and why."""
        return self._until.get(key)

    def back_off(self, job: Job, span: int) -> None:
        """Try again after so many microseconds."""
        self._until[job.key] = Instant(self.now + span), Reason.BACKING_OFF

    def defer(self, job: Job, until: Instant, reason: Reason, work: Pass) -> None:
        """Tell it later, and write down why."""
        self._until[job.key] = until, reason
        work.report.deferred[reason] += 1
        # A busy route is over in moments and says nothing about the case.
        if reason is not Reason.ROUTE_BUSY and job.progress.held is not reason:
            entry = work.history.entry(job.effect.effect_id)
            detail = f"{reason} until {iso(until)}"
            work.note(entry, job.person, DeliveryStatus.DEFERRED, detail, job.reminder)

    # -- routes --------------------------------------------------------------------------------

    def busy(self, route: Route) -> Instant | None:
        """Until when a route is busy; None when it is free."""
        return self._busy.get(route)

    def pace(self, route: Route) -> int:
        """Microseconds from one message to the next that a route asks for."""
        return self._pace.get(route, 0)

    def keep_pace(self, route: Route, pace: int) -> None:
        """A route rests after each message."""
        self._busy[route] = Instant(self.now + pace)
        self._pace[route] = pace

    def rest(self, route: Route, span: int) -> Instant:
        """A route asked to be left alone; returns until when."""
        until = self._busy[route] = Instant(self.now + max(span, 1))
        return until

    def put_off(self, letter: Letter, until: Instant, work: Pass) -> None:
        """Let a letter wait until its route is free."""
        for job in letter.jobs:
            self._in_turn.add(job.key)
            self.defer(job, until, Reason.ROUTE_BUSY, work)

    def is_in_turn(self, job: Job) -> bool:
        """Whether a telling only waits for its turn on the route."""
        return job.key in self._in_turn

    def had_turn(self, letter: Letter) -> None:
        """It was the turn of a letter."""
        self._in_turn.difference_update(job.key for job in letter.jobs)
