"""Every clock of a subject at any instant: what lists, digests and evidence start from."""

from collections.abc import Sequence

from rules.clocks.clock import Clock
from rules.clocks.ladder_clocks import ladder_clocks, terms_from
from rules.clocks.ticket_clocks import TicketClocks
from rules.clocks.touchpoint_clocks import touchpoint_clocks
from rules.decision import Kind, StepKind, StepRow
from rules.orders import effective_at, version_of
from rules.subjects import Document, split_key
from rules.world import World


def clocks_of(
    key: str,
    document: Document,
    world: World,
    as_of: int,
    *,
    steps: Sequence[StepRow] = (),
    since: int | None = None,
) -> list[Clock]:
    """All clocks of a subject as they stand at an instant, the commitments before the ladder's.

    The same as a replay up to `as_of` gives: what became effective later is left out. `steps` are
    those of the subject's case. `since` is from when touchpoints are owed (see
    `touchpoint_clocks`); without it, from the first that was said of them.
    """
    kind, partner_id, _ = split_key(key)
    found: list[Clock] = []
    if kind is Kind.TICKET:
        found += ticket_clocks(key, document, world, as_of, steps=steps)
    elif kind is Kind.TOUCHPOINTS:
        first = min((c.time for c in document.contributions), default=as_of)
        start = first if since is None else since
        found += touchpoint_clocks(partner_id, document.contributions, world, start, as_of)
    if steps:
        opened_at = min(step.at for step in steps)
        terms = terms_from(world, partner_id, opened_at)
        found += ladder_clocks(key, steps, document, terms, as_of)
    return found


def ticket_clocks(
    key: str, document: Document, world: World, as_of: int, *, steps: Sequence[StepRow] = ()
) -> list[Clock]:
    """The clocks of a ticket's commitments at an instant; `steps` as in `clocks_of`.

    Duplicates, by source and id, and the order of the contributions make no difference.
    """
    _, partner_id, _ = split_key(key)
    ticket = TicketClocks(key, partner_id, world)
    zone = world.zone(partner_id)
    said = sorted(
        ((effective_at(c, zone), version_of(c), c.recorded, c) for c in document.contributions),
        key=lambda entry: entry[:3],
    )
    seen: set[tuple[str, str]] = set()
    for at, _, _, contribution in said:
        name = (contribution.source, contribution.id)
        if at <= as_of and name not in seen:
            seen.add(name)
            ticket.take(contribution, at)
    for step in steps:
        stands = step.withdrawn_at is None and step.at <= as_of
        if stands and step.kind is StepKind.ACKNOWLEDGED and step.actor is not None:
            ticket.own(step.at, step.actor)  # whether it counted, the case knows alone
    return list(ticket.clocks(as_of))
