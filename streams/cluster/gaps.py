"""Gaps in service: times in which whoever wanted to send may have found nobody who takes it.

What was read past says that all that had been written was read. It says nothing of what could not
be written: while the brokers are away, or the intake before them, senders keep it and try again
later. So each process notes in the database when it saw that the way in was open; whoever finds
that nobody has seen that for a while notes the bounds of the gap, and after it sources get the
policy's `grace_after_gap` to catch up (`streams.horizon`).
"""

from schemas.time import SECOND, Instant
from streams.horizon import DOWN_SINCE, LAST_ALIVE, UP_SINCE
from streams.store import Store, Transaction

#: Ways in: the brokers, which every process looks at every second or two, and the intakes.
BROKERS, INTAKE = "brokers", "intake"
#: Microseconds without anybody's word that make a gap, and between two words of it.
GAP, _NOTE_EVERY = 15 * SECOND, 5 * SECOND

_OPEN = "open."


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
        tx.put_setting(_OPEN + way, str(at))


def _last(tx: Transaction, way: str) -> Instant | None:
    found = tx.setting(_OPEN + way)
    return None if found is None else Instant(int(found))


def _note_gap(tx: Transaction, down_since: str, up_since: Instant) -> None:
    tx.put_setting(UP_SINCE, str(up_since))
    tx.put_setting(DOWN_SINCE, down_since)


def last_gap(tx: Transaction) -> tuple[Instant | None, Instant | None]:
    """Since when things can be sent, None if that was never noted; and since when they could not
    be before, None if there was no gap.
    """
    up, down = tx.setting(UP_SINCE), tx.setting(DOWN_SINCE)
    return Instant(int(up)) if up else None, Instant(int(down)) if down else None
