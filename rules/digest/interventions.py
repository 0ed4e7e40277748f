"""Interventions: pauses, excuses and what was lowered, by who did it. They take time and breaches
out of the figures, so an auditor looks here first."""

from collections import Counter

from rules.attainment import Outcome
from rules.digest.material import Material
from rules.digest.sheet import Question, Sheet, hours
from rules.report_parts import LISTED, cell, columns, said, table, unlisted
from schemas.report import Cell, Figure, Section, Tone, Visibility


def intervention_section(m: Material, sheet: Sheet) -> Section:
    """Pauses, excuses and downgrades by actor, and who approved excuses of their own."""
    down = Counter(step.actor or "" for step in m.deescalations)
    rows = []
    # First whoever took most out of the figures: breaches, then urgency, then time.
    weights = {
        actor: (
            *m.excuses.get(actor, (0, 0))[::-1],
            m.downgrades.get(actor, 0) + down[actor],
            m.pauses.get(actor, (0, 0))[1],
        )
        for actor in sorted({*m.pauses, *m.excuses, *m.downgrades, *down})
    }
    for actor in sorted(weights, key=weights.__getitem__, reverse=True):
        n, paused = m.pauses.get(actor, (0, 0))
        excuses, own = m.excuses.get(actor, (0, 0))
        who = m.names.person(actor)
        found = (
            (
                "pauses", n, "pauses",
                "Pauses by this person, or feed, that ended in the period or lasted at its end.",
                Question("pauses", {"actor": [actor]}),
            ),
            (
                "excuses", excuses, "commitments",
                "Commitments whose deadline fell in the period and that this person excused.",
                Question(
                    "instances", {"outcome": [str(Outcome.EXCUSED)], "excused_by": [actor]}
                ),
            ),
            (
                "downgrades", m.downgrades.get(actor, 0), "commitments",
                "Commitments that this one's word on severity or category eased while they ran.",
                Question("downgrades", {"actor": [actor]}),
            ),
            (
                "moved-down", down[actor], "steps",
                "Cases that this person moved down to a lower tier in the period.",
                Question("steps", {"kind": ["deescalated"], "actor": [actor]}),
            ),
        )  # fmt: skip
        put = {
            what: sheet.count(
                f"{what}/{actor or 'nobody'}",
                f"{what.replace('-', ' ')} by {who}",
                count,
                counts,
                definition,
                question,
                visibility=Visibility.CONFIDENTIAL,
            )
            for what, count, counts, definition, question in found
            if count
        }
        rows.append(
            (
                said(who),
                _shown(put.get("pauses")),
                said(f"{hours(paused)} h" if n else ""),
                _shown(put.get("excuses")),
                said(own, Tone.WATCH if own else Tone.PLAIN),
                _shown(put.get("downgrades")),
                _shown(put.get("moved-down")),
            )
        )
    rest = unlisted(len(rows) - LISTED, "person or feed", "people and feeds")
    return Section(
        id="interventions",
        title="Pauses, excuses and downgrades",
        tables=(
            table(
                "By who did it",
                columns(
                    "who", "pauses", "time not counted", "excuses approved", "of their own",
                    "downgrades", "cases moved down",
                    numbers=("pauses", "time not counted", "excuses approved", "of their own",
                             "downgrades", "cases moved down"),
                ),
                rows[:LISTED],
                "Nobody paused, excused, downgraded or moved down anything.",
                "Pauses that ended in the period or lasted at its end. Time not counted is that of "
                "those that ended, all of it, in business time where the commitment is. Of their "
                "own: whoever approved the excuse held the commitment. Downgrades: commitments "
                "that lost urgency by a change of severity or category. Cases moved down: to a "
                f"lower tier. {rest}".rstrip(),
                Visibility.CONFIDENTIAL,
            ),
        ),
    )  # fmt: skip


def _shown(figure: Figure | None) -> Cell:
    return said(0) if figure is None else cell(figure)
