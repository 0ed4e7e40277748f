"""How far the inputs have been read: which deadlines may be decided (law 6).

Live, every HTTP source is an input of its own. It has been read up to now, less the lag that it
may report with. After a gap in service it gets time to catch up; a source with a cadence that has
fallen silent holds the silence deadlines that depend on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rules.world import Horizon
from schemas.policy import About, Policy
from schemas.time import SECOND, Instant
from streams.store import Transaction

START = Instant(0)
#: Settings of a store: when the service last said that it lives.
LAST_ALIVE = "last_alive"
#: Settings of a store: up to when a replay let time go on.
REPLAYED = "replayed_until"
#: Settings of a store: the bounds of the last gap in service.
UP_SINCE, DOWN_SINCE = "up_since", "down_since"
#: Microseconds without anybody's word that the way in is open after which it counts as shut.
GAP = 15 * SECOND


def time_in(tx: Transaction, now: Instant) -> Instant:
    """What time it is in a store: now, or in the database of a replay when that stopped.

    Once a service runs on such a database, time goes on there as well.
    """
    replayed = tx.setting(REPLAYED)
    return now if replayed is None or tx.setting(LAST_ALIVE) is not None else Instant(int(replayed))


@dataclass(slots=True)
class SourceProgress:
    """What was last heard of a source."""

    event_at: Instant
    """The newest time that an event of it bore."""
    recorded_at: Instant
    """When we last took something from it."""


@dataclass(frozen=True, slots=True)
class FeedReport:
    """A source as `detente feeds` and the alarms see it."""

    source: str
    last_event_at: Instant | None
    last_recorded_at: Instant | None
    cadence: str | None
    reporting_lag: str
    read_until: Instant
    """Silence of things that it speaks of is proven up to here."""
    is_silent: bool
    """It has missed its cadence."""
    in_grace: bool
    """It is catching up: Detente was away, and it has not sent anything newer yet, or it was
    silent, and still speaks of times longer ago than its cadence and lag."""
    is_shut: bool
    """It sends by an intake, and none is open."""


@dataclass(slots=True)
class FeedWatch:
    """Watches the sources.

    `down_since` and `up_since` are the bounds of the last gap in service; None if there was none.
    """

    policy: Policy
    heard: dict[str, SourceProgress] = field(default_factory=dict)
    up_since: Instant = START
    down_since: Instant | None = None
    open_until: Mapping[str, Instant] = field(default_factory=dict)
    """When an intake was last open, for each source that sends by one. One that has sent something
    newer sends in another way by now."""

    def hear(self, seen: Mapping[str, tuple[Instant, Instant]]) -> None:
        """Note the newest event and recorded times of a batch, by source."""
        for source, (event_at, recorded_at) in seen.items():
            known = self.heard.get(source)
            if known is None:
                self.heard[source] = SourceProgress(event_at, recorded_at)
            else:
                known.event_at = max(known.event_at, event_at)
                known.recorded_at = max(known.recorded_at, recorded_at)

    def as_of(self, now: Instant) -> Instant:
        """Up to when the silence of a source is its own."""
        return now

    def horizon(self, now: Instant) -> Horizon:
        """Up to where deadlines may be decided at `now`."""
        # Requests are answered after their commit, so all that came before now has been read.
        read = now - 1
        limits = {About.ORDERS: read, About.TICKETS: read}
        for name in self.heard.keys() | self.policy.sources.keys():
            until = self.report(name, now).read_until
            declared = self.policy.sources.get(name)
            for about in About if declared is None else declared.about:
                limits[about] = min(limits[about], until)
        return Horizon(limits[About.ORDERS], limits[About.TICKETS], read)

    def report(self, source: str, now: Instant) -> FeedReport:
        """Where one source stands at `now`."""
        declared = self.policy.sources.get(source)
        heard = self.heard.get(source)
        lag = 0 if declared is None else declared.reporting_lag.amount
        cadence = None if declared is None else declared.cadence
        last = None if heard is None else heard.recorded_at
        in_grace = False
        if self.down_since is not None and heard is not None:
            grace = self.policy.patience.grace_after_gap.amount
            # What is stamped before we came back is backlog, and more of it may follow.
            in_grace = heard.event_at < self.up_since and now < self.up_since + grace
        silent_since = last
        if cadence is not None and silent_since is None:
            silent_since = self.up_since
        is_silent = (
            cadence is not None and silent_since is not None and now > silent_since + cadence.amount
        )
        if cadence is not None and heard is not None and not is_silent:
            in_grace |= now > heard.event_at + cadence.amount + lag
        until = now - 1 - lag
        if heard is not None and (in_grace or is_silent):
            until = min(until, heard.event_at - lag)
        elif is_silent:
            until = min(until, self.up_since - lag)
        is_shut = False
        open_until = self.open_until.get(source)
        # Its clock may be fast by so much.
        fast = self.policy.patience.future_tolerance.amount
        if open_until is not None and (heard is None or heard.event_at <= open_until + fast):
            until = min(until, open_until - 1 - lag)
            is_shut = now > open_until + GAP
        return FeedReport(
            source,
            None if heard is None else heard.event_at,
            last,
            None if cadence is None else str(cadence),
            "0h" if declared is None else str(declared.reporting_lag),
            Instant(until),
            is_silent,
            in_grace,
            is_shut,
        )

    def reports(self, now: Instant) -> list[FeedReport]:
        """All sources, declared or heard of."""
        names = sorted(self.heard.keys() | self.policy.sources.keys())
        return [self.report(name, now) for name in names]


def horizon_of_file(policy: Policy, read_until: int) -> Horizon:
    """The horizon when a sorted file has been read up to an instant, inclusive."""
    limits = {About.ORDERS: read_until, About.TICKETS: read_until}
    for declared in policy.sources.values():
        for about in declared.about:
            limits[about] = min(limits[about], read_until - declared.reporting_lag.amount)
    return Horizon(limits[About.ORDERS], limits[About.TICKETS], read_until)
