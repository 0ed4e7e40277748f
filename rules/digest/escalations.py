"""Escalations: how often which tier was asked and why, and how soon it answered."""

from collections import Counter

from rules.attainment import Outcome, quantile
from rules.clocks.ladder_clocks import ACKNOWLEDGE, RESOLVE
from rules.deadlines import in_words
from rules.digest.material import Material, attained
from rules.digest.sheet import Question, Sheet
from rules.ledger import Escalation
from rules.report_parts import LISTED, cell, columns, said, table, unlisted
from schemas.report import Cell, Section, Table, Visibility

_DUE = [str(Outcome.MET), str(Outcome.BREACHED)]


def escalation_section(m: Material, sheet: Sheet) -> Section:
    """Escalations by tier and rule, and the ladder's own clocks."""
    asked = [e for e in m.escalations if not e.retracted]
    withdrawn = len(m.escalations) - len(asked)
    whole = sheet.count(
        "escalations/all",
        "Escalations",
        len(asked),
        "escalations",
        "Times at which a case asked a tier to acknowledge it: opened there, raised, escalated, "
        "moved down or reopened. Cases that proved wrong since are left out.",
        Question("escalations", {"retracted": [False]}),
    )
    bulk = sum(e.in_bulk for e in asked)
    in_bulk = sheet.count(
        "acknowledged-in-bulk/all",
        "Acknowledged in bulk",
        bulk,
        "escalations",
        "Of the escalations, those that somebody acknowledged together with others at once.",
        Question("escalations", {"retracted": [False], "in_bulk": [True]}),
        visibility=Visibility.CONFIDENTIAL,
    )
    text = []
    if withdrawn:
        are = "is" if withdrawn == 1 else "are"
        text.append(
            f"{withdrawn:,} more {are} left out: later events proved wrong what had been escalated."
        )
    return Section(
        id="escalations",
        title="Escalations",
        text=tuple(text),
        figures=sheet.tiles(whole, in_bulk),
        tables=(_by_tier(m, sheet, asked), _by_rule(m, sheet, asked)),
    )


def _by_tier(m: Material, sheet: Sheet, asked: list[Escalation]) -> Table:
    rows = []
    for tier in m.tiers:
        mine = [e for e in asked if e.tier == tier]
        if not mine and not _has_clocks(m, tier):
            continue
        put = sheet.count(
            f"escalations/{tier}",
            f"escalations to {tier}",
            len(mine),
            "escalations",
            "Times at which a case asked this tier.",
            Question("escalations", {"retracted": [False], "tier": [tier]}),
        )
        row: list[Cell] = [said(tier), cell(put)]
        for metric in (ACKNOWLEDGE, RESOLVE):
            row += _kept_and_times(m, sheet, tier, metric)
        rows.append(row)
    return table(
        "By tier",
        columns(
            "tier", "asked", "acknowledged in time", "median", "90 %",
            "resolved in time", "median ", "90 % ",
            numbers=("asked", "acknowledged in time", "median", "90 %", "resolved in time",
                     "median ", "90 % "),
        ),
        rows,
        "No tier was asked.",
        "Times are counted as the ladder counts them, in the calendar of whoever was asked.",
    )  # fmt: skip


def _has_clocks(m: Material, tier: str) -> bool:
    done = {asked for metric in (ACKNOWLEDGE, RESOLVE) for _, asked in m.spent.get(metric, {})}
    return tier in done or any(n for c, n in m.counts.items() if c[3] == tier)


def _kept_and_times(m: Material, sheet: Sheet, tier: str, metric: str) -> list[Cell]:
    counts = Counter({c: n for c, n in m.counts.items() if (c[2], c[3]) == (metric, tier)})
    where = {"escalation_tier": [tier], "metric": [metric]}
    kept = sheet.attainment(
        f"ladder/{tier}/{metric}",
        f"{metric} at {tier}",
        attained(counts),
        Question("instances", {**where, "outcome": _DUE}),
        of=f"Promises of the tier to {metric}",
    )
    done = m.spent.get(metric, {}).items()
    spent = sorted(amount for (_, asked), found in done if asked == tier for amount in found)
    cells = [cell(kept)]
    for name, percent in (("median", 50), ("90-percent", 90)):
        put = sheet.length(
            f"time-to-{metric}/{tier}/{name}",
            f"time to {metric} at {tier}, {name.replace('-', ' ')}",
            quantile(spent, percent),
            len(spent),
            "escalations",
            f"Nearest-rank {percent}th percentile of the time that counted until it was done, for "
            "those that were done in the period.",
            Question("stopped", where),
        )
        cells.append(cell(put))
    return cells


def _by_rule(m: Material, sheet: Sheet, asked: list[Escalation]) -> Table:
    found = Counter((e.rule or "by hand", e.tier) for e in asked)
    rank = {tier: n for n, tier in enumerate(m.tiers)}
    rows = []
    for (rule, tier), n in sorted(
        found.items(), key=lambda item: (-item[1], item[0][0], rank.get(item[0][1], -1))
    ):
        mine = [e for e in asked if (e.rule or "by hand", e.tier) == (rule, tier)]
        put = sheet.count(
            f"escalations/{tier}/{rule}",
            f"{rule}: escalations to {tier}",
            n,
            "escalations",
            "Times at which a case that this rule opened or raised asked this tier.",
            Question("escalations", {"retracted": [False], "tier": [tier], "rule": [_plain(rule)]}),
        )
        climbed = sum(e.cause == "escalated" for e in mine)
        silent = sum(e.because == ACKNOWLEDGE for e in mine)
        rows.append(
            (
                said(rule),
                said(tier),
                cell(put),
                said(climbed),
                said(silent),
                said(_longest(m, mine)),
            )
        )
    return table(
        "By rule",
        columns(
            "rule", "tier", "asked", "from below", "for want of an answer", "longest unanswered",
            numbers=("asked", "from below", "for want of an answer"),
        ),
        rows[:LISTED],
        "No rule asked a tier.",
        unlisted(len(rows) - LISTED, "line"),
    )  # fmt: skip


def _plain(rule: str) -> str:
    return "" if rule == "by hand" else rule


def _longest(m: Material, mine: list[Escalation]) -> str:
    waits = [
        (m.until if e.acknowledged_at is None else min(e.acknowledged_at, m.until)) - e.asked_at
        for e in mine
        if e.acknowledged_at is not None or e.ended_at is None or e.ended_at > m.until
    ]
    return in_words(max(waits)) if waits else ""
