"""Disruptions as the orders under them see them, read from what was declared."""

from collections.abc import Iterable

from rules.decision import SubjectRow
from rules.subjects import case_id, read_document
from rules.tickets import Disruption
from rules.world import DisruptionSpan, World


def with_disruptions(world: World, rows: Iterable[SubjectRow]) -> World:
    """A world that knows the disruptions that these rows declare, as they stand there."""
    spans = {span.case_id: span for span in world.disruptions}
    spans |= {span.case_id: span for span in map(_span_of, rows) if span is not None}
    in_order = sorted(spans.values(), key=lambda span: (span.began_at, span.case_id))
    return World(world.policies, world.recipients, tuple(in_order))


def _span_of(row: SubjectRow) -> DisruptionSpan | None:
    fold = Disruption()
    for said in sorted(
        read_document(row.document).contributions, key=lambda c: (c.time, c.source, c.id)
    ):
        fold.apply(said, said.time)
    declared = fold.declared
    if declared is None or fold.began_at is None:
        return None
    return DisruptionSpan(
        case_id(row.key),
        fold.began_at,
        fold.cleared_at,
        declared.selector,
        frozenset(declared.selected),
        declared.summary,
    )
