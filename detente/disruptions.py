"""Orders that get late under a disruption join its thread without anybody being alerted.

The disruption has one ladder, and each order under it would only repeat that. So that the extent is
seen all the same, the message about the disruption is kept up to date where it can be: once a
minute at most, with how many orders of how many partners are late under it, and how many are open.
"""

from dataclasses import replace

from rules.decision import CaseRow, Changes, Effect, EffectKind, Kind
from rules.effects import news_effect
from rules.transitions import ACTIVE
from schemas.time import MINUTE, Instant
from streams.store import Attached, Store, Transaction

_KEY = "joined|"
_TOLD_AS = (EffectKind.ALERT, EffectKind.NOTICE)


class Disruptions:
    """Looks how far disruptions have spread. Runs on the writing thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next_look = Instant(0)

    def look(self, now: Instant) -> int:
        """Queue what is new under each disruption, once a minute. Returns how many effects."""
        if now < self._next_look:
            return 0
        self._next_look = Instant(now - now % MINUTE + MINUTE)
        with self._store.reading() as tx:
            spreading = {
                case.case_id: (case, attached)
                for case, attached in _with_attached(tx)
                if tx.setting(_KEY + case.case_id) != _written(attached)
            }
        if not spreading:
            return 0
        effects: list[Effect] = []
        with self._store.transaction() as tx:
            about = tx.outbox_about(spreading)
            for case_id, (case, attached) in spreading.items():
                tx.put_setting(_KEY + case_id, _written(attached))
                told = [e for e in about if e.effect.case_id == case_id]
                roles = {e.effect.role: e.effect for e in told if e.effect.kind in _TOLD_AS}
                effects += [_joined(case, attached, one, now) for one in roles.values()]
            tx.write(Changes(effects=effects))
        return len(effects)


def _with_attached(tx: Transaction) -> list[tuple[CaseRow, Attached]]:
    open_ones = [case for case in tx.standing_cases(Kind.DISRUPTION) if case.state in ACTIVE]
    counts = tx.count_attached(case.case_id for case in open_ones)
    return [(case, counts[case.case_id]) for case in open_ones if case.case_id in counts]


def _written(attached: Attached) -> str:
    return " ".join(map(str, attached))


def _joined(case: CaseRow, attached: Attached, told: Effect, now: Instant) -> Effect:
    step = f"{_KEY}{now}"
    orders = "1 order is" if attached.cases == 1 else f"{attached.cases} orders are"
    partners = "1 partner" if attached.partners == 1 else f"{attached.partners} partners"
    text = {name: told.text.get(name) for name in ("subject", "partner", "partner_tier")}
    open_ones = f"{attached.still_open} of them open"
    text["headline"] = f"{orders} late under it now, of {partners}; {open_ones}"
    effect = news_effect(
        f"{case.case_id}|{step}|{told.role}", EffectKind.JOINED, told.role, step, now, text
    )
    return replace(
        effect,
        case_id=case.case_id,
        partner_id=case.partner_id,
        tier=told.tier,
        state=case.state,
        shadow=told.shadow,
    )
