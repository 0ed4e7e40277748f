"""Open cases: how many stood open when the period ended, where, and for how long."""

from decimal import Decimal

from rules.deadlines import in_words
from rules.digest.material import Material
from rules.digest.sheet import Question, Sheet
from rules.ledger import Escalation
from rules.report_parts import behind_figure, cell, columns, many, said, table, words
from schemas.report import Chart, ChartKind, Section, Series, Tone, Unit
from schemas.time import DAY

#: (name, from, to) of ages in days; the last has no end.
AGES = (
    ("under a day", 0, 1),
    ("1 to 3 days", 1, 3),
    ("3 to 7 days", 3, 7),
    ("7 to 14 days", 7, 14),
    ("over 14 days", 14, None),
)
_OLDEST = 10


def open_at_end(m: Material) -> list[Escalation]:
    """The tier at which each case stood when the period ended, the oldest case first."""
    found = [e for e in m.lasting if e.lasted_at(m.until) and not e.retracted]
    return sorted(found, key=lambda e: (e.opened_at, e.case_id))


def age_name(age: int) -> str:
    """The group of ages that one belongs to."""
    return next(name for name, _, end in AGES if end is None or age < end * DAY)


def open_cases_section(m: Material, sheet: Sheet) -> Section:
    """Cases by age and tier, and the oldest of them."""
    found = open_at_end(m)
    definition = (
        "Cases that asked a tier and were neither settled nor retracted when the period ended; "
        "watched ones and those that a disruption explains are not among them."
    )
    whole = sheet.count(
        "open-cases/all",
        "Open cases",
        len(found),
        "cases",
        definition,
        Question("lasting", {"at_end": [True]}),
        tone=Tone.WATCH,
    )
    oldest = sheet.length(
        "open-cases/oldest",
        "Oldest open case",
        m.until - found[0].opened_at if found else None,
        len(found),
        "cases",
        "Time on the clock from the opening of the oldest open case to the end of the period.",
        Question("lasting", {"at_end": [True], "case": [found[0].case_id] if found else []}),
        unit=Unit.HOURS,
    )
    rows = []
    for name, _, _ in AGES:
        cells = [said(name)]
        for tier in m.tiers:
            n = sum(e.tier == tier and age_name(m.until - e.opened_at) == name for e in found)
            put = sheet.count(
                f"open-cases/{tier}/{name.replace(' ', '-')}",
                f"open at {tier}, {name}",
                n,
                "cases",
                definition,
                Question("lasting", {"at_end": [True], "tier": [tier], "age": [name]}),
            )
            cells.append(cell(put))
        rows.append(cells)
    listed = [
        (
            said(m.names.partner(e.partner_id)),
            said(e.case_id),
            said(words(e.rule)),
            said(e.tier),
            said(in_words(m.until - e.opened_at)),
            said("yes") if e.taken_up_by(m.until) else said("no", Tone.WATCH),
        )
        for e in found[:_OLDEST]
    ]
    charts: tuple[Chart, ...] = ()
    if found:
        charts = (
            Chart(
                title="Open cases by age",
                kind=ChartKind.BARS,
                unit=Unit.COUNT,
                points=tuple(name for name, _, _ in AGES),
                series=(
                    Series(
                        label="cases",
                        values=tuple(
                            Decimal(sum(age_name(m.until - e.opened_at) == name for e in found))
                            for name, _, _ in AGES
                        ),
                    ),
                ),
                alt=f"{many(len(found), 'open case')} by age; the oldest is "
                f"{in_words(m.until - found[0].opened_at)} old.",
            ),
        )
    return Section(
        id="open-cases",
        title="Open cases",
        figures=sheet.tiles(whole, oldest),
        charts=charts,
        tables=(
            table(
                "By age and tier",
                columns("age", *m.tiers, numbers=tuple(m.tiers)),
                rows if found else [],
                "No case was open when the period ended.",
            ),
            table(
                "The oldest",
                columns("partner", "case", "rule", "tier", "age", "acknowledged"),
                listed,
                "No case was open when the period ended.",
                behind_figure(len(found) - _OLDEST, "open-cases/all"),
            ),
        ),
    )
