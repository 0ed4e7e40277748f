"""Routes by which nobody can be told any more, told to the role operations.

Whoever should have read a message there is told over the next route and need not notice. Each route
is told of once: what was told is remembered in the store until the route works again.
"""

from collections.abc import Callable, Iterator
from itertools import groupby

from detente.reachability import Failure, failures
from rules.decision import Changes, Effect, EffectKind
from rules.effects import news_effect
from schemas.policy import OPERATIONS
from schemas.time import Instant
from streams.relay import House
from streams.store import Store

_TOLD = "alarm.route."
_MOST = 10  # lines of one alarm


class RouteAlarms:
    """Looks at what tests and deliveries have shown. Runs on the writing thread."""

    def __init__(self, store: Store, house: Callable[[], House]) -> None:
        self._store, self._house = store, house

    def look(self, now: Instant) -> int:
        """Queue an effect for what fails since the last look. Returns how many."""
        house = self._house()
        with self._store.reading() as tx:
            failing = {failure.key: failure for failure in failures(tx, house.recipients)}
            told = tx.settings(_TOLD)
        new = [failure for key, failure in failing.items() if key not in told]
        over = [key for key in told if key not in failing]
        effects = list(_alarms(new, house, now))
        if new or over:
            with self._store.transaction() as tx:
                for failure in new:
                    tx.put_setting(_TOLD + failure.key, str(now))
                for key in over:
                    tx.drop_setting(_TOLD + key)
                tx.write(Changes(effects=effects))
        return len(effects)


def _alarms(new: list[Failure], house: House, now: Instant) -> Iterator[Effect]:
    """One alarm for all routes that fail for the same reason: a token that was revoked, say."""
    by_reason = sorted(new, key=lambda failure: (failure.reason, failure.place, failure.person))
    for reason, group in groupby(by_reason, key=lambda failure: failure.reason):
        found = list(group)
        places = sorted({failure.place for failure in found})
        what = f"{places[0]} fails" if len(places) == 1 else f"{len(places)} routes fail"
        why = [_line(failure, house) for failure in found[:_MOST]]
        if len(found) > _MOST:
            why.append(f"... and {len(found) - _MOST} more: detente check --reachability")
        why.append("Once it is mended: detente notify test --person ...")
        name = f"alarm|route|{now}|{found[0].key}"
        text: dict[str, object] = {"headline": f"{what}: {reason}", "why": why, "subject": "routes"}
        yield news_effect(name, EffectKind.OPERATIONS, OPERATIONS, name, now, text)


def _line(failure: Failure, house: House) -> str:
    others = " and ".join(failure.others)
    instead = f"is told by {others}" if others else "cannot be told any more"
    return f"{house.name(failure.person)} ({failure.place}) {instead}"
