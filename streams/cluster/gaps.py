"""Gaps in service: times in which whoever wanted to send may have found nobody who takes it.

What was read past says that all that had been written was read. It says nothing of what could not
be written: while the brokers are away, or the intake before them, senders keep it and try again
later. So each process notes in the database when it saw that the way in was open; whoever finds
that nobody has seen that for a while notes the bounds of the gap, and after it sources get the
policy's `grace_after_gap` to catch up (`streams.horizon`).

Intakes may be away while the brokers are there. They note which sources send by them, and of these
nothing is called late beyond the last word of an intake.
"""

from collections.abc import Iterable

from schemas.time import SECOND, Instant
from streams.feeds import BY_INTAKE, OPEN
from streams.horizon import DOWN_SINCE, GAP, LAST_ALIVE, UP_SINCE
from streams.store import Store, Transaction

#: The other way in: the brokers, which every process looks at every second or two.
BROKERS = "brokers"
#: Microseconds between two words that a way is open.
_NOTE_EVERY = 5 * SECOND


def note_open(store: Store, way: str, at: Instant) -> None:
    """Note that things could be sent by that way at that instant, and the gap that has ended.

    No word of the brokers at all is a gap since an embedded service last lived on this database; no
    word of an intake is none, for not every cluster has one.
    """
    with store.reading() as tx:
        last = _last(tx, way)
    if last is not None and at < last + _NOTE_EVERY:
        return
    with store.transaction() as tx:
        last = _last(tx, way)  # another may have noted it meanwhile
        if last is not None and at <= last:
            return
        if last is None and way == BROKERS:
            _note_gap(tx, tx.setting(LAST_ALIVE) or "", at)
        elif last is not None and at > last + GAP:
            _note_gap(tx, str(last), at)
        tx.put_setting(OPEN + way, str(at))


def note_sources(store: Store, sources: Iterable[str]) -> None:
    """Note that these sources send by an intake."""
    with store.reading() as tx:
        new = set(sources) - tx.settings(BY_INTAKE).keys()
    if not new:
        return
    with store.transaction() as tx:
        for source in sorted(new):
            tx.put_setting(BY_INTAKE + source, "")


def _last(tx: Transaction, way: str) -> Instant | None:
    found = tx.setting(OPEN + way)
    return None if found is None else Instant(int(found))


def _note_gap(tx: Transaction, down_since: str, up_since: Instant) -> None:
    tx.put_setting(UP_SINCE, str(up_since))
    tx.put_setting(DOWN_SINCE, down_since)
