"""Decisions: what stands still until somebody of the leadership says something."""

from collections.abc import Iterator
from dataclasses import dataclass

from rules.deadlines import in_words
from rules.decision import Kind
from rules.digest.disputes import undecided
from rules.digest.material import Material, paused_since
from rules.digest.open_cases import open_at_end
from rules.digest.sheet import Question, Sheet
from rules.report_parts import behind_figure, columns, said, table, words
from schemas.report import Section, Tone
from schemas.time import DAY

#: A pause that has lasted so long is asked about.
LONG_PAUSE = 7 * DAY
#: How many things the table names, of each sort.
LISTED = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """Something that needs a decision."""

    what: str
    why: str
    partner_id: str
    about: str
    age: int


def asked_for(m: Material) -> list[Asked]:
    """Everything that needs a decision: by what it is, then the longest waiting."""
    found = [*_unanswered(m), *_disputes(m), *_patterns(m), *_pauses(m)]
    order = {what: n for n, what in enumerate(dict.fromkeys(a.what for a in found))}
    return sorted(found, key=lambda a: (order[a.what], -a.age, a.about))


def _unanswered(m: Material) -> Iterator[Asked]:
    top = m.tiers[-1]
    for e in open_at_end(m):
        if e.tier == top and not e.taken_up_by(m.until):
            why = f"at {top} and not acknowledged: who takes it?"
            yield Asked("unanswered case", why, e.partner_id, e.case_id, m.until - e.asked_at)


def _disputes(m: Material) -> Iterator[Asked]:
    for step in undecided(m):
        partner_id = m.partner_of_case.get(step.case_id, "")
        why = "disputed: upheld, corrected or excused? Not by whoever owns the case."
        yield Asked("dispute", why, partner_id, step.case_id, m.until - step.at)


def _patterns(m: Material) -> Iterator[Asked]:
    for e in open_at_end(m):
        if e.kind == Kind.PATTERN and not e.taken_up_by(m.until):
            why = f"{words(e.rule)} keeps coming back: who ends the cause?"
            yield Asked("pattern", why, e.partner_id, e.case_id, m.until - e.opened_at)


def _pauses(m: Material) -> Iterator[Asked]:
    for row in m.paused:
        age = m.until - paused_since(row, m.until)
        if age >= LONG_PAUSE:
            why = f"{words(row.metric)} stands still: ask the partner, or let it run again?"
            yield Asked("long pause", why, row.partner_id, row.clock_id, age)


def decision_section(m: Material, sheet: Sheet) -> Section:
    """What needs a decision this week."""
    found = asked_for(m)
    cases = [a.about for a in found]
    sorts = dict.fromkeys(a.what for a in found)
    listed = [a for what in sorts for a in [a for a in found if a.what == what][:LISTED]]
    more = len(found) - len(listed)
    whole = sheet.count(
        "decisions/all",
        "Decisions needed",
        len(found),
        "things",
        "When the period ended: open cases at the last tier that nobody there had acknowledged, "
        "disputes without a decision, patterns without anybody who took them up, and clocks that "
        f"had stood still for {LONG_PAUSE // DAY} days or more.",
        Question("asked", {"about": cases}),
        tone=Tone.WATCH,
    )
    return Section(
        id="decisions",
        title="Needs a decision",
        figures=sheet.tiles(whole),
        tables=(
            table(
                "What waits for a decision",
                columns("what", "partner", "question", "waits for", "about"),
                [
                    (
                        said(a.what, Tone.WATCH),
                        said(m.names.partner(a.partner_id)),
                        said(a.why),
                        said(in_words(a.age)),
                        said(a.about),
                    )
                    for a in listed
                ],
                "Nothing waits for a decision.",
                behind_figure(more, "decisions/all"),
            ),
        ),
    )
