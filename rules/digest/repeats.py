"""Repeat conflicts: the same trouble with the same partner again, and the patterns it makes."""

from collections import Counter

from rules.decision import Kind
from rules.digest.material import Material
from rules.digest.open_cases import open_at_end
from rules.digest.sheet import Question, Sheet
from rules.patterns import read_pattern_key
from rules.report_parts import LISTED, behind_figure, cell, columns, said, table, unlisted, words
from schemas.report import Section, Table, Tone

#: So many cases of one rule with one partner, over all periods shown, are a repetition.
OFTEN = 3
_PAIRS = "pairs of a partner and a rule"


def repeat_section(m: Material, sheet: Sheet) -> Section:
    """Partners with whom one rule opened case after case, and the patterns that were found."""
    total: Counter[tuple[str, str]] = Counter()
    for opened in m.openings:
        total += opened
    now = m.openings[-1]
    repeated = sorted(
        (item for item in total.items() if item[1] >= OFTEN and now[item[0]]),
        key=lambda item: (-item[1], item[0]),
    )
    rows = []
    for (partner_id, rule), n in repeated:
        put = sheet.count(
            f"repeats/{partner_id}/{rule or 'by hand'}",
            f"{m.names.partner(partner_id)}, {words(rule or 'by hand')}",
            now[partner_id, rule],
            "cases",
            "Cases that this rule opened for the partner in the period.",
            Question(
                "escalations",
                {"partner": [partner_id], "rule": [rule], "cause": ["opened"],
                 "retracted": [False]},
            ),
            before=[opened[partner_id, rule] for opened in m.openings[:-1]],
        )  # fmt: skip
        rows.append(
            (said(m.names.partner(partner_id)), said(rule or "by hand"), cell(put), said(n))
        )
    note = f"{OFTEN} or more cases over this period and the four before, one of them in this. "
    note += unlisted(len(rows) - LISTED, "pair of a partner and a rule", _PAIRS)
    return Section(
        id="repeats",
        title="Repeat conflicts and patterns",
        tables=(
            table(
                "The same rule, the same partner",
                columns(
                    "partner", "rule", "opened", "with the four before",
                    numbers=("opened", "with the four before"),
                ),
                rows[:LISTED],
                "No rule opened several cases for one partner.",
                note.rstrip(),
            ),
            _patterns(m, sheet),
        ),
    )  # fmt: skip


def _patterns(m: Material, sheet: Sheet) -> Table:
    standing = [e for e in open_at_end(m) if e.kind == Kind.PATTERN]
    sheet.count(
        "patterns/open",
        "Open patterns",
        len(standing),
        "cases",
        "Cases about a pattern that were open when the period ended.",
        Question("lasting", {"at_end": [True], "kind": [str(Kind.PATTERN)]}),
        tone=Tone.WATCH,
    )
    new = [
        e
        for e in m.escalations
        if e.kind == Kind.PATTERN and e.cause in ("opened", "reopened") and not e.retracted
    ]
    opened = sheet.count(
        "patterns/opened",
        "Patterns found",
        len(new),
        "cases",
        "Cases about a pattern that were opened, or opened again, in the period.",
        Question(
            "escalations",
            {"kind": [str(Kind.PATTERN)], "cause": ["opened", "reopened"], "retracted": [False]},
        ),
    )
    named = {e.case_id for e in new}
    rows = []
    for e in {e.case_id: e for e in (*new, *standing)}.values():
        of = read_pattern_key(e.subject)
        rows.append(
            (
                said(m.names.partner(e.partner_id)),
                said(f"{of.by} {of.value}"),
                said(e.rule),
                said(e.tier),
                said("new" if e.case_id in named else "from before"),
                said(e.case_id),
            )
        )
    rest = behind_figure(len(rows) - LISTED, "patterns/open")
    return table(
        "Patterns",
        columns("partner", "what repeats", "rule", "tier", "since", "case"),
        rows[:LISTED],
        "No pattern stands.",
        f"{opened.shown} found in this period. {rest}".rstrip(),
    )
