"""Touchpoints: the sessions that partners were promised, kept, skipped by agreement and missed."""

from collections import Counter
from decimal import Decimal

from rules.attainment import Outcome
from rules.digest.material import Material, attained
from rules.digest.sheet import Question, Sheet
from rules.report_parts import cell, columns, said, table, words
from schemas.report import Chart, ChartKind, Section, Series, Tone, Unit

_PREFIX = "touchpoint:"


def touchpoint_section(m: Material, sheet: Sheet) -> Section:
    """Sessions by kind, and which partners had none."""
    counts = Counter({c: n for c, n in m.counts.items() if c[2].startswith(_PREFIX)})
    kinds = sorted({c[2] for c in counts})
    rows = []
    kept: list[Decimal | None] = []
    missed: list[Decimal | None] = []
    skipped: list[Decimal | None] = []
    for metric in kinds:
        figure = attained(Counter({c: n for c, n in counts.items() if c[2] == metric}))
        kind = metric.removeprefix(_PREFIX)
        where = {"metric": [metric]}
        put = [
            sheet.count(
                f"touchpoints/{kind}/{name}",
                f"{words(kind)}: {name}",
                n,
                "sessions",
                definition,
                Question("instances", {**where, "outcome": [str(outcome)]}),
                tone=tone,
            )
            for name, n, outcome, tone, definition in (
                (
                    "kept", figure.met, Outcome.MET, Tone.GOOD,
                    "Sessions whose last day fell in the period and that were held by its end.",
                ),
                (
                    "missed", figure.breached, Outcome.BREACHED, Tone.BAD,
                    "Sessions whose last day fell in the period and that were not held by then.",
                ),
                (
                    "skipped", figure.left_out.get(Outcome.EXCUSED, 0), Outcome.EXCUSED,
                    Tone.WATCH,
                    "Sessions that were left out by agreement with the partner.",
                ),
            )
        ]  # fmt: skip
        values = (kept, missed, skipped)
        for series, found in zip(values, put, strict=True):
            series.append(found.value)
        without = sorted(
            {c[0] for c, n in counts.items() if c[2] == metric and n and c[-1] in _LATE}
        )
        named = ", ".join(map(m.names.partner, without[:_NAMED]))
        more = len(without) - _NAMED
        rows.append(
            (
                said(words(kind)),
                *map(cell, put),
                said(f"{named} and {more} more" if more > 0 else named),
            )
        )
    charts: tuple[Chart, ...] = ()
    if kinds:
        charts = (
            Chart(
                title="Sessions kept and missed",
                kind=ChartKind.STACKED,
                unit=Unit.COUNT,
                points=tuple(map(words, kinds)),
                series=(
                    Series(label="kept", values=tuple(kept), tone=Tone.GOOD),
                    Series(label="skipped", values=tuple(skipped), tone=Tone.WATCH),
                    Series(label="missed", values=tuple(missed), tone=Tone.BAD),
                ),
                alt="Sessions by kind: kept, skipped by agreement, missed.",
            ),
        )
    return Section(
        id="touchpoints",
        title="Touchpoints",
        charts=charts,
        tables=(
            table(
                "Sessions whose last day fell in the period",
                columns(
                    "session", "kept", "missed", "skipped", "missed with",
                    numbers=("kept", "missed", "skipped"),
                ),
                rows,
                "No session was due.",
            ),
        ),
    )  # fmt: skip


_LATE = ("breached", "open")
_NAMED = 8
