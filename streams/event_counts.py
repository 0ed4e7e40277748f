"""What a batch says of its feeds: how much of what came from where, how far each source has got,
and what looks wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from rules.clocks.working_days import local_day
from rules.decide import Taken
from rules.decision import Changes
from rules.world import World
from schemas.time import MINUTE, Instant
from streams.ledger import reporting_zone

#: What the types of commands begin with.
COMMANDS = ("case.", "clock.")
_QUARTER = 15 * MINUTE

TimesByFeed = Mapping[tuple[str, str], list[int]]
"""Source and type to the times of its events."""


def times_by_feed(taken: Iterable[Taken]) -> TimesByFeed:
    """The times of events, by their feed."""
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    for item in taken:
        said = item.statement.contribution
        times[said.source, said.type].append(said.time)
    return times


def count(counts: dict[tuple[str, str, str], int], what: str, source: str, name: str) -> None:
    """Count one more."""
    key = (what, source, name)
    counts[key] = counts.get(key, 0) + 1


def count_events(
    changes: Changes,
    taken: Sequence[Taken],
    times: TimesByFeed,
    world: World,
    now: Instant,
    *,
    virtual: bool,
) -> None:
    """Note how many of what type came from where, what each source has got to, and surprises."""
    latest = now + world.policies.newest.document.patience.future_tolerance.amount
    newest: dict[str, int] = {}
    for (source, event_type), heard in times.items():
        changes.counts["event", source, event_type] = len(heard)
        credible = heard
        if max(heard) > latest:
            credible = [at for at in heard if at <= latest]
            ahead = len(heard) - len(credible)
            changes.counts["stamped in the future", source, event_type] = ahead
        # Live, people's commands are no feed: nobody's silence is proven by them.
        if credible and (virtual or not event_type.startswith(COMMANDS)):
            newest[source] = max(newest.get(source, 0), *credible)
    for source, at in newest.items():
        changes.seen[source] = (Instant(at), now)
    partners = {item.statement.partner_id for item in taken} - {""}
    unknown = {partner for partner in partners if not world.recipients.knows(partner)}
    for item in taken if unknown else ():
        if item.statement.partner_id in unknown:
            source = item.statement.contribution.source
            count(changes.counts, "unknown partner", source, item.statement.partner_id)


def count_by_day(
    times: TimesByFeed, refused: Sequence[Taken], world: World
) -> dict[tuple[int, str, str], int]:
    """Events that were taken, each once, by the day of reports that they bear."""
    zone = reporting_zone(world.policies.newest)
    ordinals: dict[int, int] = {}
    days: Counter[tuple[int, str, str]] = Counter()
    for sign, by_feed in ((1, times), (-1, times_by_feed(refused))):
        for (source, event_type), heard in by_feed.items():
            if event_type.startswith(COMMANDS):
                continue
            # No zone's day begins within a quarter of an hour.
            for quarter, n in Counter([(at - 1) // _QUARTER for at in heard]).items():
                day = ordinals.get(quarter)
                if day is None:
                    day = ordinals[quarter] = local_day(quarter * _QUARTER, zone).toordinal()
                days[day, source, event_type] += sign * n
    return {day: n for day, n in days.items() if n}
