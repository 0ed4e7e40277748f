"""The screen: orders and tickets that plainly cannot match any rule are not walked through.

Most events are about orders that are on time and whole, or tickets that no rule asks for. For
those the answer is known from a look at their contributions; the fold would find the same (a
property test holds them together). Whatever is not plain is left to the fold.
"""

from collections.abc import Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rules.deadlines import deadline
from rules.orders import instant_of, version_of
from rules.policy import RuleSet
from rules.subjects import Contribution
from rules.tickets import Ticket

_TICKET_NEWS = frozenset({"ticket.opened", "ticket.status", "ticket.message"})


class Quiet(NamedTuple):
    """Nothing to decide: when the subject began, and until when its silence is all right."""

    began_at: int | None
    feeds_due: int | None


def screen_order(
    contributions: Sequence[Contribution], rules: RuleSet, feeds: int, zone: ZoneInfo
) -> Quiet | None:
    """What is plain about an order without a case, or None if it must be folded."""
    if not rules.rising or rules.ages:
        return None
    placed: Contribution | None = None
    completed: Contribution | None = None
    for contribution in contributions:
        type_ = contribution.type
        if type_ == "order.placed" and placed is None:
            placed = contribution
        elif type_ == "delivery.completed" and completed is None:
            completed = contribution
        elif type_ != "delivery.dispatched" or contribution.data[3] is not None:
            return None  # a dispatch that names no eta only says that something left
    if placed is None:
        return None
    promised, _, lines = placed.data
    if completed is None:
        due = _silence_due(promised, lines, rules, zone)
        return Quiet(placed.time, due) if due is None or due > feeds else None
    _, delivered, parts, _ = completed.data
    if parts is None or len(parts) != len(lines):
        return None
    at = completed.time if delivered is None else instant_of(delivered, zone)
    earliest = instant_of(promised, zone)
    for (line_id, sku, quantity, _, own), (part_id, part_sku, came, damaged) in zip(
        lines, parts, strict=True
    ):
        # The same line in the same place, whole: by its id, or by its sku where neither has one.
        if came != quantity or damaged is not None or part_id != line_id:
            return None
        if line_id is None and part_sku != sku:
            return None
        if own is not None:
            earliest = min(earliest, instant_of(own, zone))
    late = at - earliest
    if late > 0 and (
        rules.watches_promises or rules.first_limit is None or late >= rules.first_limit
    ):
        return None
    return Quiet(placed.time, None)


def _silence_due(
    promised: int | str, lines: Sequence[Sequence[int | str | None]], rules: RuleSet, zone: ZoneInfo
) -> int | None:
    # A deadline moves with its promise, so the earliest promise has the earliest one.
    own = [line[4] for line in lines if line[4] is not None]
    promises = [instant_of(when, zone) for when in own]
    if len(own) < len(lines):
        promises.append(instant_of(promised, zone))
    promise = min(promises)
    due = promise if rules.watches_promises else None
    for span in rules.delays:
        limit = deadline(promise, span, rules.calendar)
        if due is None or limit < due:
            due = limit
    return due


def screen_ticket(
    contributions: Sequence[Contribution], ticket: Ticket, rules: RuleSet, feeds: int
) -> Quiet | None:
    """What is plain about a ticket without a case, or None if it must be folded.

    `ticket` is an empty one; it takes the contributions.
    """
    for contribution in contributions:
        if contribution.type not in _TICKET_NEWS:
            return None
    last = 0
    for contribution in sorted(contributions, key=version_of):
        last = contribution.time
        ticket.apply(contribution, last)
    if ticket.urgent():
        return None
    if not any(rule.could(view) for view in ticket.views() for rule in rules.rules):
        return Quiet(ticket.began_at, None)
    if rules.categories is None or rules.ages:
        return None
    for contribution in contributions:
        if contribution.type != "ticket.message" and contribution.data[1] in rules.categories:
            return None
    # Whatever is late by the end of what was read was on time in none of the instants before.
    asked = feeds + 1 if feeds + 1 >= last else feeds
    ticket.ask(last, asked)
    ticket.promises(asked)
    if ticket.breaches():
        return None
    dues = [due for due, _ in ticket.silences(rules)]
    if any(due <= feeds for due in dues):
        return None
    return Quiet(ticket.began_at, min(dues, default=None))
