"""Resolution: how long tickets took, beside how many are open and how old the oldest is.

A median of what is over says nothing of what is not; whoever closes easy tickets and leaves the
hard ones lowers it. So it never stands alone.
"""

from rules.attainment import quantile
from rules.deadlines import in_words
from rules.digest.material import Material
from rules.digest.sheet import Question, Sheet
from rules.report_parts import cell, columns, said, table
from schemas.policy import Metric
from schemas.report import Section, Unit

_METRIC = str(Metric.RESOLUTION)


def resolution_section(m: Material, sheet: Sheet) -> Section:
    """Medians by partner tier, with the number still open and the oldest age."""
    spent = {tier: found for (tier, _), found in m.spent.get(_METRIC, {}).items()}
    going_on = {tier: found for (tier, _), found in m.going_on.get(_METRIC, {}).items()}
    rows = []
    for tier in [*m.partner_tiers, *sorted({*spent, *going_on} - {*m.partner_tiers})]:
        took = spent.get(tier, ())
        still, since = going_on.get(tier, (0, m.until))
        if not took and not still:
            continue
        where = {"metric": [_METRIC], "partner_tier": [tier]}
        cells = [said(tier), said(len(took))]
        for name, percent in (("median", 50), ("90-percent", 90)):
            put = sheet.length(
                f"time-to-resolution/{tier}/{name}",
                f"time to resolution, {tier} partners, {name.replace('-', ' ')}",
                quantile(took, percent),
                len(took),
                "tickets",
                f"Nearest-rank {percent}th percentile of the time that counted, of tickets that "
                "were settled in the period; called-off ones are left out.",
                Question("stopped", where),
            )
            cells.append(cell(put))
        opened = sheet.count(
            f"unresolved/{tier}",
            f"unresolved tickets, {tier} partners",
            still,
            "tickets",
            "Tickets with a promise to resolve them that were not settled when the period ended.",
            Question("going on", where),
        )
        oldest = sheet.length(
            f"unresolved/{tier}/oldest",
            f"oldest unresolved ticket, {tier} partners",
            m.until - since if still else None,
            still,
            "tickets",
            "Time on the clock since the oldest of them was opened.",
            Question("going on", where),
            unit=Unit.HOURS,
        )
        cells += [cell(opened), cell(oldest, in_words(m.until - since) if still else "none")]
        rows.append(cells)
    return Section(
        id="resolution",
        title="Time to resolution",
        tables=(
            table(
                "Tickets settled in the period, and those that are not",
                columns(
                    "tier", "settled", "median", "90 %", "still open", "oldest",
                    numbers=("settled", "median", "90 %", "still open", "oldest"),
                ),
                rows,
                "No ticket was settled, and none is open.",
            ),
        ),
    )  # fmt: skip
