"""Breaches: which promises were broken, towards whom, how late, and whose they were to keep."""

from rules.deadlines import in_words
from rules.digest.material import Material
from rules.digest.sheet import Sheet
from rules.ledger import Instance
from rules.report_parts import about, behind_figure, columns, said, table, words
from schemas.report import Cell, Section, Tone
from schemas.time import local_text

#: How many of them a digest lists.
LISTED = 25


def breach_section(m: Material, sheet: Sheet) -> Section:
    """Promises to partners that were broken, the longest overdue first."""
    broken = sheet.figures["breaches/all"].n or 0
    rows = [_row(m, row) for row in m.breaches[:LISTED]]
    note = "Late until it was kept, or until the end of the period if it was open then."
    note = f"{note} {behind_figure(broken - len(rows), 'breaches/all')}".rstrip()
    return Section(
        id="breaches",
        title="Broken promises",
        tables=(
            table(
                "Longest overdue first",
                columns(
                    "partner", "tier", "promise", "about", "due", "late", "whose", "remarks",
                ),
                rows,
                "No promise to a partner was broken.",
                note,
            ),
        ),
    )  # fmt: skip


def _row(m: Material, row: Instance) -> tuple[Cell, ...]:
    assert row.falls_at is not None, "what is broken had a deadline"
    open_still = row.stopped_at is None or row.stopped_at > m.until
    whose = words(row.role)
    if m.names.name_people and row.holder != row.role:
        whose = f"{m.names.person(row.holder)} ({whose})"
    ended = f"open when the {'week' if m.period.is_week else 'period'} ended"
    remarks = [ended if m.as_of >= m.period.end else "still open"] * open_still
    if row.asked_again:
        remarks.append("partner asked again")
    if row.retroactive:
        remarks.append("late already when its terms came")
    return (
        said(m.names.partner(row.partner_id)),
        said(row.partner_tier),
        said(words(row.metric)),
        said(about(row.subject)),
        said(local_text(row.falls_at, m.period.zone)),
        said(in_words(row.late_at(m.until)), Tone.BAD),
        said(whose),
        said("; ".join(remarks)),
    )
