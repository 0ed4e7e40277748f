"""Executive attention: what reached the last tier, how long it held it, and what need not have."""

from collections.abc import Iterable
from typing import Any

from rules.clocks.ladder_clocks import ACKNOWLEDGE
from rules.deadlines import in_words
from rules.digest.material import Material
from rules.digest.sheet import Question, Sheet
from rules.ledger import Escalation
from rules.report_parts import LISTED, behind_figure, columns, said, table, words
from schemas.report import Section, Tone, Unit, Visibility


def executive_section(m: Material, sheet: Sheet) -> Section:
    """Cases at the last tier during the period, and those raised only for want of an answer."""
    top = m.tiers[-1]
    held = [e for e in m.lasting if e.tier == top and not e.retracted]
    avoidable = [e for e in held if e.because == ACKNOWLEDGE]
    where: dict[str, list[Any]] = {"tier": [top], "retracted": [False]}
    why = f"Cases that stood at {top} at some time in the period"
    time = f"Time on the clock within the period for which cases stood at {top}, added up over them"
    silent = "nobody below had acknowledged them in time"
    figures = (
        sheet.count(
            "executive/cases",
            f"Cases at {top}",
            _cases(held),
            "cases",
            f"{why}.",
            Question("lasting", where),
            visibility=Visibility.CONFIDENTIAL,
        ),
        sheet.length(
            "executive/time",
            f"Time at {top}",
            _time(m, held),
            _cases(held),
            "cases",
            f"{time}.",
            Question("lasting", where),
            unit=Unit.HOURS,
            visibility=Visibility.CONFIDENTIAL,
        ),
        sheet.count(
            "executive/avoidable-cases",
            "Avoidable cases",
            _cases(avoidable),
            "cases",
            f"{why} and were raised there only because {silent}.",
            Question("lasting", {**where, "because": [ACKNOWLEDGE]}),
            tone=Tone.BAD,
            visibility=Visibility.CONFIDENTIAL,
        ),
        sheet.length(
            "executive/avoidable-time",
            "Avoidable time",
            _time(m, avoidable),
            _cases(avoidable),
            "cases",
            f"{time}, for those raised there only because {silent}.",
            Question("lasting", {**where, "because": [ACKNOWLEDGE]}),
            unit=Unit.HOURS,
            visibility=Visibility.CONFIDENTIAL,
        ),
    )
    # What still needs somebody first, then what held their attention longest.
    held.sort(key=lambda e: (e.taken_up_by(m.until), -_within(m, e), e.asked_at, e.case_id))
    rows = [
        (
            said(m.names.partner(e.partner_id)),
            said(e.case_id),
            said(words(e.rule)),
            said(_came(e)),
            said(in_words(_within(m, e))),
            said("acknowledged" if e.taken_up_by(m.until) else "not acknowledged"),
        )
        for e in held[:LISTED]
    ]
    return Section(
        id="executive-attention",
        title="Executive attention",
        figures=sheet.tiles(*figures),
        tables=(
            table(
                f"Cases at {top}",
                columns("partner", "case", "rule", "came by", "stood there", "answer"),
                rows,
                f"No case stood at {top}.",
                behind_figure(len(held) - LISTED, "executive/cases"),
                visibility=Visibility.CONFIDENTIAL,
            ),
        ),
    )


def _came(e: Escalation) -> str:
    match e.because:
        case "acknowledge":
            return "nobody below answered in time"
        case "resolve":
            return "not resolved below in time"
        case "age":
            return "age"
        case "by hand":
            return "raised by hand"
        case _:
            return {"opened": "opened there", "raised": "raised by a rule"}.get(e.cause, e.cause)


def _within(m: Material, e: Escalation) -> int:
    end = m.until if e.ended_at is None else min(e.ended_at, m.until)
    return max(0, end - max(e.asked_at, m.period.begin))


def _time(m: Material, held: Iterable[Escalation]) -> int | None:
    times = [_within(m, e) for e in held]
    return sum(times) if times else None


def _cases(held: Iterable[Escalation]) -> int:
    return len({e.case_id for e in held})
