"""Interventions: pauses, excuses and downgrades, by who did them. They take time and breaches out
of the figures, so an auditor looks here first."""

from collections import Counter

from rules.attainment import Outcome
from rules.digest.material import Material
from rules.digest.sheet import Question, Sheet, cell, columns, hours, said, table
from schemas.report import Cell, Figure, Section, Tone, Visibility


def intervention_section(m: Material, sheet: Sheet) -> Section:
    """Pauses, excuses and downgrades by actor, and who approved excuses of their own."""
    down = Counter(step.actor or "" for step in m.deescalations)
    rows = []
    for actor in sorted({*m.pauses, *m.excuses, *down}):
        n, paused = m.pauses.get(actor, (0, 0))
        excuses, own = m.excuses.get(actor, (0, 0))
        who = m.names.person(actor)
        found = (
            (
                "pauses", n, "pauses",
                "Pauses that began in the period and that this person, or this feed, set.",
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
                "downgrades", down[actor], "steps",
                "Cases that this person moved down to a lower tier in the period.",
                Question("steps", {"kind": ["deescalated"], "actor": [actor]}),
            ),
        )  # fmt: skip
        put = {
            what: sheet.count(
                f"{what}/{actor or 'nobody'}",
                f"{what} by {who}",
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
            )
        )
    return Section(
        id="interventions",
        title="Pauses, excuses and downgrades",
        tables=(
            table(
                "By who did it",
                columns(
                    "who", "pauses", "time not counted", "excuses approved", "of their own",
                    "downgrades",
                    numbers=("pauses", "time not counted", "excuses approved", "of their own",
                             "downgrades"),
                ),
                rows,
                "Nobody paused, excused or downgraded anything.",
                "Time not counted is business time where the commitment is; of a pause without an "
                "end yet, none is counted here. Of their own: whoever approved the excuse held the "
                "commitment.",
                Visibility.CONFIDENTIAL,
            ),
        ),
    )  # fmt: skip


def _shown(figure: Figure | None) -> Cell:
    return said(0) if figure is None else cell(figure)
