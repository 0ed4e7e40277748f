"""What a store knows of the sources of events: what was heard of them, and when they could send."""

from schemas.time import Instant
from streams.horizon import DOWN_SINCE, UP_SINCE, FeedWatch, SourceProgress
from streams.store import Transaction

#: Settings of a store: when a way in was last open, by its name.
OPEN = "open."
#: The way in by HTTP, in a cluster.
INTAKE = "intake"
#: Settings of a store: a source sends by an intake.
BY_INTAKE = "by intake."


def heard(tx: Transaction) -> dict[str, SourceProgress]:
    """What was last heard of each source."""
    return {
        name: SourceProgress(feed.last_event_at, feed.last_recorded_at)
        for name, feed in tx.feeds().items()
    }


def last_gap(tx: Transaction) -> tuple[Instant | None, Instant | None]:
    """Since when things can be sent, None if that was never noted; and since when they could not
    be before, None if there was no gap.
    """
    up, down = tx.setting(UP_SINCE), tx.setting(DOWN_SINCE)
    return Instant(int(up)) if up else None, Instant(int(down)) if down else None


def learn(watch: FeedWatch, tx: Transaction) -> None:
    """Tell a watch what all processes together know: what was heard, gaps, and intakes."""
    watch.heard = heard(tx)
    up_since, watch.down_since = last_gap(tx)
    if up_since is not None:
        watch.up_since = up_since
    is_open = tx.setting(OPEN + INTAKE)
    if is_open is not None:
        watch.open_until = dict.fromkeys(tx.settings(BY_INTAKE), Instant(int(is_open)))
