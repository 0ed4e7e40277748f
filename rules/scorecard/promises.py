"""Promises: which commitments were kept, ours and the partner's, by when they fell due."""

from collections.abc import Iterator

from rules.attainment import Attainment, Outcome
from rules.clocks.clock import PARTNER
from rules.deadlines import in_words
from rules.partner_months import PartnerMonths, attainment_of
from rules.report_parts import (
    LISTED,
    about,
    cell,
    columns,
    left_out,
    plain,
    said,
    table,
    unlisted,
    words,
)
from rules.scorecard.sheet import Sheet
from schemas.report import Cell, Section, Visibility


def promise_section(m: PartnerMonths, sheet: Sheet) -> Section:
    """One row for each kind of commitment, those with most broken first."""
    metrics = {x.metric: x.owed_by for month in m.months for x, _ in month.promises}
    found = [(attainment_of(m.last, metric), metric) for metric in metrics]
    found.sort(key=lambda kind: (-kind[0].breached, -kind[0].n, kind[1]))
    rows = [_row(m, sheet, now, metric, metrics[metric]) for now, metric in found]
    return Section(
        id="promises",
        title="Promises",
        tables=(
            table(
                "Promises kept",
                columns(
                    "promise", "owed by", "kept", "target", "met", "broken", "left out",
                    numbers=("kept", "target", "met", "broken"),
                ),
                rows[:LISTED],
                "No commitment fell due in these months.",
                unlisted(len(rows) - LISTED, "kind of promise", "kinds of promises"),
                Visibility.JOINT,
            ),
        ),
    )  # fmt: skip


def _row(
    m: PartnerMonths, sheet: Sheet, now: Attainment, metric: str, owner: str
) -> tuple[Cell, ...]:
    figure = sheet.put(
        sheet.share(
            f"sla/{metric}",
            words(metric).capitalize(),
            "Commitments kept, divided by those kept and broken, overdue ones that are still open "
            "included, whose due time fell in the month. Cancelled, excused, paused and not yet "
            "due are left out.",
            lambda month: attainment_of(month, metric),
            metric=None if owner == PARTNER else metric,
            visibility=Visibility.JOINT,
        ),
        ("clock", "about", "due", "kept", "counts as", "late by"),
        lambda: _rows(m, sheet, metric),
    )
    return (
        said(words(metric)),
        said("the partner" if owner == PARTNER else "us"),
        cell(figure),
        said("" if figure.target is None else f"{plain(figure.target)} %"),
        said(now.met),
        said(now.breached),
        said(left_out(now)),
    )


def _rows(m: PartnerMonths, sheet: Sheet, metric: str) -> Iterator[tuple[str, ...]]:
    """The commitments of a kind, broken ones first."""
    promises = [(x, outcome) for x, outcome in m.last.promises if x.metric == metric]
    promises.sort(
        key=lambda promise: (
            promise[1] is not Outcome.BREACHED,
            promise[0].falls_at or m.as_of,
            promise[0].clock_id,
        )
    )
    for x, outcome in promises:
        late = x.late_at(m.as_of)
        yield (
            x.clock_id,
            about(x.subject),
            sheet.local(x.falls_at),
            sheet.local(x.stopped_at),
            str(outcome),
            in_words(late) if late else "",
        )
