"""Patterns are counted: what of the store and of a decision belongs to each, and which change."""

from bisect import bisect_left
from collections.abc import Mapping

from rules.decide import Decider, Decision
from rules.decision import Kind, Occurrence, SubjectRow
from rules.patterns import INTERNAL, Pattern, dimension_of, pattern_key, read_pattern_key
from schemas.time import Instant
from streams.store import Transaction, partner_guard, value_guard


def patterns_of(partner_id: str, dimension: str, value: str) -> set[str]:
    """The keys of the patterns that an occurrence counts for.

    An article's pattern is the partner's, and one over all partners.
    """
    partners = (partner_id, INTERNAL) if dimension.endswith("/sku") else (partner_id,)
    return {pattern_key(partner, dimension, value) for partner in partners}


def guard_of(key: str) -> str:
    """What is counted for a pattern: all occurrences of its partner, or of its value."""
    of = read_pattern_key(key)
    if of.partner_id == INTERNAL:
        return value_guard(of.dimension, of.value)
    return partner_guard(of.partner_id)


def wake_pattern(tx: Transaction, decider: Decider, key: str, row: SubjectRow | None) -> None:
    """Count a pattern's occurrences as they stand now, and fold it with them."""
    of = read_pattern_key(key)
    policy = decider.world.policies.newest
    repeats = next(
        (r for n, r in policy.pattern_rules if policy.document.rules[n].name == of.rule), None
    )
    if repeats is None:
        # The policy no longer asks for this pattern; its case stays as it is, off the clock.
        if row is not None:
            decider.stop_clocks(row)
        return
    partner = None if of.partner_id == INTERNAL else of.partner_id
    changes = decider.decision.changes
    standing = {o.subject: o for o in tx.occurrences(of.dimension, of.value, partner)}
    for gone in changes.occurrences_removed:
        if _belongs(gone, of.dimension, of.value, partner):
            standing.pop(gone.subject, None)
    for come in changes.occurrences_added:
        if _belongs(come, of.dimension, of.value, partner):
            standing[come.subject] = come
    occurrences = sorted(standing.values(), key=lambda o: (o.at, o.subject))
    before: dict[int, list[str]] = {}
    if repeats.of_orders is not None and partner is not None:
        orders = _LastOrders(tx, decider.decision, partner)
        for o in occurrences:
            before[o.at] = orders.before(o.at, repeats.of_orders)
    decider.wake_pattern(key, row, Pattern(of, repeats, before), occurrences)


def counted_anew(
    tx: Transaction, decider: Decider, rows: Mapping[str, SubjectRow]
) -> set[tuple[str, str, str]]:
    """(partner, dimension, value) of patterns that orders of a decision change by themselves.

    What counts among a partner's last orders was counted with those that were known. One that
    began before an occurrence, and is known only now, may push another out of the last ones.
    `rows` are the orders as they were stored.
    """
    policy = decider.world.policies.newest
    counting = {
        dimension_of(policy.document.rules[n].name, repeats): repeats.of_orders
        for n, repeats in policy.pattern_rules
        if repeats.of_orders is not None
    }
    late = _begun(decider.decision, rows) if counting else {}
    if not late:
        return set()
    since = {partner_id: min(orders)[0] for partner_id, orders in late.items()}
    times: dict[tuple[str, str, str], list[Instant]] = {}
    for o in tx.occurrences_since(counting.keys(), since):
        times.setdefault((o.partner_id, o.dimension, o.value), []).append(o.at)
    found = set()
    for name, counted_at in times.items():
        partner_id, dimension, _ = name
        orders = _LastOrders(tx, decider.decision, partner_id)
        for began_at, key in late[partner_id]:
            # At the first one after it: if it is not among the last orders then, it never is.
            after = counted_at[bisect_left(counted_at, began_at) :][:1]
            if after and (not key or key in orders.before(after[0], counting[dimension])):
                found.add(name)
                break
    return found


class _LastOrders:
    """A partner's orders by when they began, those of a decision included."""

    def __init__(self, tx: Transaction, decision: Decision, partner_id: str) -> None:
        self._tx = tx
        self._partner_id = partner_id
        self._changed = [
            row
            for row in decision.subjects.values()
            if row.kind is Kind.ORDER and row.partner_id == partner_id
        ]
        self._before: dict[tuple[Instant, int], list[str]] = {}

    def before(self, at: Instant, n: int) -> list[str]:
        """The last `n` orders as of an instant, the newest first."""
        found = self._before.get((at, n))
        if found is None:
            found = self._before[at, n] = self._find(at, n)
        return found

    def _find(self, at: Instant, n: int) -> list[str]:
        known = dict(self._tx.order_starts(self._partner_id, at, n + len(self._changed)))
        for row in self._changed:
            known.pop(row.key, None)
            if row.began_at is not None and row.began_at <= at:
                known[row.key] = row.began_at
        newest = sorted(known.items(), key=lambda item: (item[1], item[0]), reverse=True)
        return [key for key, _ in newest[:n]]


def _begun(
    decision: Decision, rows: Mapping[str, SubjectRow]
) -> dict[str, list[tuple[Instant, str]]]:
    """Partner to (since when, order) of orders whose beginning a decision changes.

    The order is left empty where it had another beginning before: then it may have left as well.
    """
    found: dict[str, list[tuple[Instant, str]]] = {}
    for key, row in decision.subjects.items():
        if row.kind is not Kind.ORDER:
            continue
        stored = rows.get(key)
        was, now = None if stored is None else stored.began_at, row.began_at
        if now == was:
            continue
        changed = [at for at in (was, now) if at is not None]
        found.setdefault(row.partner_id, []).append((min(changed), key if was is None else ""))
    return found


def _belongs(o: Occurrence, dimension: str, value: str, partner: str | None) -> bool:
    return (
        o.dimension == dimension
        and o.value == value
        and (partner is None or o.partner_id == partner)
    )
