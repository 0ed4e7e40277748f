"""Parts that the digest and the scorecard are both put together from: shares, tables, words."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from rules.attainment import Attainment, Outcome
from rules.deadlines import in_words
from rules.subjects import split_key
from schemas.report import Cell, Column, Figure, Table, Tone, Visibility

#: How many rows of a table are shown where nothing else is said: a report is read in two minutes.
LISTED = 15


def target_of(
    targets: Mapping[str, Mapping[str, Decimal]], tier: str, metric: str
) -> Decimal | None:
    """The percent to reach: what the tier says of the metric, else of any, else the default's."""
    kind = "touchpoint" if metric.startswith("touchpoint:") else metric
    for group in (targets.get(tier, {}), targets.get("default", {})):
        for name in (metric.removeprefix("touchpoint:"), kind, "default"):
            if name in group:
                return group[name]
    return None


def share(figure: Attainment) -> Decimal | None:
    """Percent, rounded down to a tenth, so that only all of them are a hundred."""
    return None if figure.n == 0 else Decimal(figure.percent)


def shown_share(figure: Attainment, none: str = "none due") -> str:
    """`97.4 %`, or that there was nothing to measure."""
    return none if figure.n == 0 else f"{figure.percent} %"


def plain(value: Decimal) -> str:
    """A number with no digit that says nothing: `12.5`, `100`."""
    return f"{value.normalize():f}"


def cell(figure: Figure, text: str | None = None) -> Cell:
    """A cell that shows a figure."""
    return Cell(text=figure.shown if text is None else text, tone=figure.tone, figure=figure.id)


def said(text: object, tone: Tone = Tone.PLAIN) -> Cell:
    """A cell with words, or a number that is no figure of its own."""
    return Cell(text=f"{text:,}" if isinstance(text, int) else str(text), tone=tone)


def columns(*titles: str, numbers: Sequence[str] = ()) -> tuple[Column, ...]:
    """Columns; `numbers` names those that are aligned to the right."""
    return tuple(Column(title=title, numeric=title in numbers) for title in titles)


def table(
    title: str, heads: Sequence[Column], rows: Sequence[Sequence[Cell]], empty: str,
    note: str = "", visibility: Visibility = Visibility.OPERATIONAL,
) -> Table:  # fmt: skip
    """A table."""
    return Table(
        title=title,
        columns=tuple(heads),
        rows=tuple(map(tuple, rows)),
        empty=empty,
        note=note,
        visibility=visibility,
    )


def behind_figure(n: int, figure: str) -> str:
    """What a table says that leaves rows out: `3 more are behind the figure decisions/all.`"""
    return f"{n:,} more {'is' if n == 1 else 'are'} behind the figure {figure}." if n > 0 else ""


def unlisted(n: int, one: str, more: str = "") -> str:
    """The same where each row has figures of its own."""
    if n <= 0:
        return ""
    which = many(n, f"more {one}", f"more {more or one + 's'}")
    ends = "is not listed; it has" if n == 1 else "are not listed; each has"
    return f"{which} {ends} a figure of its own."


def left_out(figure: Attainment) -> str:
    """What is not in an attainment, in words: `2 excused, 1 paused (the longest for 4 d)`."""
    parts = []
    for outcome in Outcome:
        n = figure.left_out.get(outcome, 0)
        if n and outcome is Outcome.PAUSED and figure.oldest_pause is not None:
            parts.append(f"{n:,} paused (the longest for {in_words(figure.oldest_pause)})")
        elif n:
            parts.append(f"{n:,} {outcome}")
    return ", ".join(parts)


def many(n: int, one: str, more: str = "") -> str:
    """`1 case`, `3 cases`."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def about(subject: str) -> str:
    """What a commitment is about, as people call it: `ticket T-17`."""
    kind, _, name = split_key(subject)
    return f"{kind} {name}" if name else "touchpoints"


def words(name: str) -> str:
    """A metric, a role or a rule as people say it."""
    return name.removeprefix("touchpoint:").replace("_", " ")
