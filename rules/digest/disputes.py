"""Disputes: what was called wrong in the period, and how disputes ended."""

from collections import Counter

from rules.decision import StepKind, StepRow
from rules.digest.material import Material
from rules.digest.sheet import Question, Sheet
from rules.report_parts import LISTED, columns, said, table
from schemas.report import Section, Tone, Visibility
from schemas.time import local_text

VERDICTS = ("upheld", "corrected", "excused")


def verdict_of(step: StepRow) -> str:
    """How a dispute was decided."""
    return str(step.receipt.get("summary", "")).rpartition(": ")[2]


def undecided(m: Material) -> list[StepRow]:
    """Disputes that nobody had decided when the period ended, the oldest first."""
    standing: dict[str, StepRow] = {}
    for step in m.disputes:
        if step.kind is StepKind.DISPUTED:
            standing.setdefault(step.case_id, step)
        else:
            standing.pop(step.case_id, None)
    return list(standing.values())


def dispute_section(m: Material, sheet: Sheet) -> Section:
    """Disputes of the period and decisions about them."""
    within = [step for step in m.disputes if step.at > m.period.begin]
    ended = Counter(verdict_of(s) for s in within if s.kind is StepKind.DISPUTE_DECIDED)
    opened = sheet.count(
        "disputes/opened",
        "Disputes raised",
        sum(step.kind is StepKind.DISPUTED for step in within),
        "disputes",
        "Times at which somebody disputed a case in the period.",
        Question("steps", {"kind": [str(StepKind.DISPUTED)], "within": [True]}),
        visibility=Visibility.CONFIDENTIAL,
    )
    waiting = undecided(m)
    figures = [
        opened,
        *(
            sheet.count(
                f"disputes/{verdict}",
                f"Decided: {verdict}",
                ended[verdict],
                "disputes",
                "Disputes that were decided so in the period, by somebody who does not own the "
                "case.",
                Question(
                    "steps",
                    {"kind": [str(StepKind.DISPUTE_DECIDED)], "within": [True],
                     "verdict": [verdict]},
                ),
                visibility=Visibility.CONFIDENTIAL,
            )
            for verdict in VERDICTS
        ),
        sheet.count(
            "disputes/undecided",
            "Undecided",
            len(waiting),
            "disputes",
            "Disputes that nobody had decided when the period ended.",
            Question(
                "steps",
                {"kind": [str(StepKind.DISPUTED)], "case": [step.case_id for step in waiting]},
            ),
            tone=Tone.WATCH,
            visibility=Visibility.CONFIDENTIAL,
        ),
    ]  # fmt: skip
    # What nobody has decided first, the oldest on top; then what happened last.
    listed = [step for step in waiting if step.at > m.period.begin]
    listed += [step for step in reversed(within) if step not in waiting]
    rows = [
        (
            said(local_text(step.at, m.period.zone)),
            said(m.names.partner(m.partner_of_case.get(step.case_id, ""))),
            said(step.case_id),
            said("raised" if step.kind is StepKind.DISPUTED else f"decided: {verdict_of(step)}"),
            said(m.names.person(step.actor)),
        )
        for step in listed[:LISTED]
    ]
    more = len(listed) - LISTED
    return Section(
        id="disputes",
        title="Disputes",
        figures=sheet.tiles(*figures),
        tables=(
            table(
                "Disputes and how they ended",
                columns("when", "partner", "case", "what", "by"),
                rows,
                "No case was disputed, and no dispute was decided.",
                f"{more:,} more stood in this period; the figures above lead to all of them."
                if more > 0
                else "",
                visibility=Visibility.CONFIDENTIAL,
            ),
        ),
    )
