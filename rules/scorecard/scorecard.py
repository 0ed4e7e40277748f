"""The scorecard of a month: its sections put together, from what the months came to."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rules.attainment import control_totals
from rules.partner_months import PartnerMonths
from rules.scorecard.deliveries import delivery_section
from rules.scorecard.lead_times import lead_time_section
from rules.scorecard.own_house import own_house_section
from rules.scorecard.problems import problem_section
from rules.scorecard.promises import promise_section
from rules.scorecard.quality import quality_section
from rules.scorecard.reported import reported_sections
from rules.scorecard.sheet import Behind, Sheet
from rules.scorecard.summary import summary
from schemas.report import Control, Period, Report, ReportKind, Visibility
from schemas.time import local_text, to_datetime

#: Who may see a version of the scorecard that was made for the partner.
FOR_PARTNER = frozenset({Visibility.OPERATIONAL, Visibility.STRATEGIC, Visibility.JOINT})


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The report, and for each figure the rows behind it."""

    report: Report
    _rows: Mapping[str, Callable[[], Behind]]

    def behind(self, figure: str) -> Behind | None:
        """The rows behind a figure, misses first; None if there is no such figure."""
        found = self._rows.get(figure)
        return None if found is None else found()


def scorecard(m: PartnerMonths, name: str) -> Scorecard:
    """The scorecard of the last of some months; `name` is what people call the partner."""
    m.settle()
    sheet = Sheet(m)
    sections = (
        delivery_section(m, sheet),
        lead_time_section(m, sheet),
        quality_section(m, sheet),
        problem_section(m, sheet),
        promise_section(m, sheet),
        *reported_sections(m, sheet),
        own_house_section(m, sheet),
    )
    tiles = {figure.id for section in sections for figure in section.figures}
    last = m.last
    report = Report(
        kind=ReportKind.SCORECARD,
        title="Partner scorecard",
        about=name,
        about_id=m.partner_id,
        period=Period(
            key=last.month.key,
            label=last.month.label + ("" if m.is_over else ", not over"),
            begin=to_datetime(last.begin, m.zone),
            end=to_datetime(last.month.end(m.zone), m.zone),
            timezone=m.zone.key,
        ),
        as_of=to_datetime(m.known_at, m.zone),
        summary=tuple(summary(sheet)),
        sections=sections,
        figures=tuple(figure for figure in sheet.figures.values() if figure.id not in tiles),
        controls=tuple(
            Control(name=c.name, source=c.source, counted=c.counted)
            for c in control_totals(m.controls)
        ),
        policy=m.policy.hash,
        notes=tuple(_notes(m)),
    )
    return Scorecard(report, sheet.rows)


def _notes(m: PartnerMonths) -> Iterator[str]:
    if not m.is_over:
        known = local_text(m.as_of, m.zone)
        yield f"The month is not over: a draft of what is known up to {known}."
    yield f"Times and days are those of {m.zone.key}. A day without a time means its end."
    if m.known_at > m.as_of:
        counted, known = local_text(m.as_of, m.zone), local_text(m.known_at, m.zone)
        yield (
            f"What happened counts up to {counted}, as when the month was first issued; what has "
            f"been said of that time since, such as an excuse, up to {known}."
        )
    yield (
        "Counts what was known as of this report. Each month before is judged at the same "
        "distance from its end."
    )
    yield f"Orders placed before {to_datetime(m.since, m.zone):%Y-%m-%d} are not looked at."
    yield "What each figure means: docs/scorecard.md."
