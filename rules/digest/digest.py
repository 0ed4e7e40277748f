"""The digest of a period: its sections put together, from what the ledger holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from rules.attainment import control_totals
from rules.digest.attainment import attainment_sections
from rules.digest.breaches import breach_section
from rules.digest.decisions import decision_section
from rules.digest.disputes import dispute_section
from rules.digest.early_warnings import early_warning_section
from rules.digest.escalations import escalation_section
from rules.digest.executive_attention import executive_section
from rules.digest.interventions import intervention_section
from rules.digest.material import Material
from rules.digest.open_cases import open_cases_section
from rules.digest.repeats import repeat_section
from rules.digest.resolution import resolution_section
from rules.digest.sheet import Question, Sheet
from rules.digest.summary import summary
from rules.digest.touchpoints import touchpoint_section
from schemas.report import Control, Report, ReportKind
from schemas.time import to_datetime

#: Types of events that are held against the systems that they came from, as people call them.
_CONTROLS = {
    "order.placed": "orders",
    "delivery.completed": "deliveries",
    "order.impacted": "reports of trouble",
    "ticket.opened": "tickets",
    "ticket.message": "messages",
}

_HOW = (
    "A commitment counts once: in the period in which its effective deadline fell.",
    "What is overdue and still open counts as broken.",
    "Figures stand as of the end of the period, with late events and later excuses counted in.",
    "Shares are rounded down to a tenth; targets are compared with whole numbers.",
    "Control totals count events by the day that they bear, each once.",
)


@dataclass(frozen=True, slots=True)
class Digest:
    """A report, and for each of its figures the question whose answer are its rows."""

    report: Report
    questions: Mapping[str, Question]


def digest(m: Material, policy: str) -> Digest:
    """The digest of a period; `policy` is the version in force at its end.

    A draft: whoever issues it gives it a number, a time and what changed.
    """
    sheet = Sheet()
    attained, partners = attainment_sections(m, sheet)
    sections = [
        attained,
        breach_section(m, sheet),
        partners,
        escalation_section(m, sheet),
        open_cases_section(m, sheet),
        executive_section(m, sheet),
        repeat_section(m, sheet),
        touchpoint_section(m, sheet),
    ]
    if m.period.is_week:
        sections.append(early_warning_section(m, sheet))
    sections += [
        resolution_section(m, sheet),
        intervention_section(m, sheet),
        dispute_section(m, sheet),
    ]
    # Decisions come first for whoever reads, and last for whoever writes: they name the rest.
    sections.insert(0, decision_section(m, sheet))
    report = Report(
        kind=ReportKind.DIGEST,
        title="SLA digest",
        period=m.period.document(),
        as_of=to_datetime(m.as_of, m.period.zone),
        summary=summary(m, sheet),
        sections=tuple(sections),
        figures=sheet.rest(),
        controls=_controls(m),
        policy=policy,
        notes=_notes(m),
    )
    return Digest(report, sheet.questions)


def _controls(m: Material) -> tuple[Control, ...]:
    counts = {
        (name, source): n
        for (kind, source), n in m.events.items()
        if (name := _CONTROLS.get(kind)) is not None
    }
    for (_, source), n in m.events.items():
        counts["events", source] = counts.get(("events", source), 0) + n
    return tuple(
        Control(name=c.name, source=c.source, counted=c.counted) for c in control_totals(counts)
    )


def _notes(m: Material) -> tuple[str, ...]:
    notes = [*_HOW, f"Days are those of {m.period.zone.key}. Midnight belongs to the day it ends."]
    notes += [f"Restated, since later events changed it: {name}." for name in m.restated]
    return tuple(notes)
