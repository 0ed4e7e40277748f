"""Reports: the weekly digest and the monthly scorecard as one model that every renderer draws.

A report is finished values: whoever renders it computes nothing, compares nothing and looks
nothing up. Each figure has an id that leads to the rows behind it, its definition, what it counts,
and for whose eyes it is.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Part(BaseModel):
    """A part of a report. Written by Detente and read back as it was issued."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class ReportKind(StrEnum):
    """Which report it is."""

    DIGEST = "digest"
    """Leadership's, about one ISO week."""
    SCORECARD = "scorecard"
    """About one partner and one month."""


class Visibility(StrEnum):
    """For whose eyes a figure is, so that a version for the partner can be cut from a report."""

    OPERATIONAL = "operational"
    """For those who do the daily work on both sides."""
    STRATEGIC = "strategic"
    """For those who steer the partnership on both sides."""
    CONFIDENTIAL = "confidential"
    """For our house alone."""
    JOINT = "joint"
    """Agreed and looked at together."""


class Unit(StrEnum):
    """What a value is measured in."""

    PERCENT = "percent"
    COUNT = "count"
    HOURS = "hours"
    """Elapsed hours."""
    BUSINESS_HOURS = "business hours"
    """Hours in which the calendar of whoever owed it was open."""
    DAYS = "days"
    PER_MILLION = "per million"
    MONEY = "money"
    NUMBER = "number"


class Tone(StrEnum):
    """How a reader should take something. Never told by colour alone: `Cell.text` says it too."""

    GOOD = "good"
    BAD = "bad"
    WATCH = "watch"
    """Neither yet, and worth a look."""
    PLAIN = "plain"


class Figure(_Part):
    """One number that somebody may ask about."""

    id: str
    """Names it within the report, and in `--explain`: `attainment/strategic/first_response`."""
    label: str
    value: Decimal | None
    """Exact or rounded as `definition` says; None where there is nothing to measure."""
    shown: str
    """The value as people read it, with its unit: `97.4 %`, `2.5 h`, `none due`."""
    unit: Unit
    definition: str
    """What is divided by what, in one sentence, with the denominator."""
    n: int | None = None
    """How many things it is about."""
    counts: str = ""
    """What `n` counts: lines, orders, cases, commitments, messages."""
    target: Decimal | None = None
    reached: bool | None = None
    """Whether the target was reached, decided on integers; None without a target or for n = 0."""
    interval: tuple[float, float] | None = None
    """The 95 % Wilson interval of a share, 0 to 1."""
    before: tuple[Decimal | None, ...] = ()
    """The same figure for the periods before, oldest first."""
    tone: Tone = Tone.PLAIN
    visibility: Visibility = Visibility.OPERATIONAL


def counted(counts: str, n: int) -> str:
    """The word for what a figure counts, beside so many: `problems solved`, one `problem solved`.

    The first word is the one that is counted.
    """
    if n != 1:
        return counts
    head, space, rest = counts.partition(" ")
    one = f"{head[:-3]}y" if head.endswith("ies") else head.removesuffix("s")
    return f"{one}{space}{rest}"


class Column(_Part):
    """A column of a table."""

    title: str
    numeric: bool = False
    """Aligned to the right."""


class Cell(_Part):
    """A cell of a table."""

    text: str
    tone: Tone = Tone.PLAIN
    figure: str | None = None
    """The id of the figure that it shows, where it shows one."""


class Table(_Part):
    """Rows under columns. A table without rows says `empty` instead."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str
    """The sentence that stands there when there are no rows: `No commitment was broken.`"""
    note: str = ""
    """What a reader must know to read it right, such as what was left out."""
    visibility: Visibility = Visibility.OPERATIONAL

    @model_validator(mode="after")
    def _each_row_fills_the_columns(self) -> Self:
        for number, row in enumerate(self.rows, 1):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"row {number} has {len(row)} cells for {len(self.columns)} columns"
                )
        return self


class ChartKind(StrEnum):
    """How values are drawn."""

    BARS = "bars"
    """A horizontal bar for each point of one series."""
    STACKED = "stacked"
    """Upright bars over the points; the series stand on each other."""
    LINES = "lines"
    """A line for each series over the points, which are in the order of time."""


class Series(_Part):
    """Values over the points of a chart; None is a gap and is drawn as one."""

    label: str
    values: tuple[Decimal | None, ...]
    tone: Tone = Tone.PLAIN


class Chart(_Part):
    """Values to be drawn. Everything that it shows stands in a table or figure too."""

    title: str
    kind: ChartKind
    unit: Unit
    points: tuple[str, ...]
    """The labels along the axis; each series has a value for each of them."""
    series: Annotated[tuple[Series, ...], Field(min_length=1)]
    target: Decimal | None = None
    """Drawn as a line across, with its value."""
    alt: str
    """What it shows, for those who cannot see it."""
    visibility: Visibility = Visibility.OPERATIONAL

    @model_validator(mode="after")
    def _each_series_has_all_points(self) -> Self:
        for line in self.series:
            if len(line.values) != len(self.points):
                raise ValueError(
                    f"{line.label!r} has {len(line.values)} values for {len(self.points)} points"
                )
        return self


class Section(_Part):
    """A heading with what belongs under it."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    """Sentences under the heading, in front of everything else."""
    figures: tuple[Figure, ...] = ()
    """Shown as a row of tiles."""
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


class Headline(_Part):
    """One of the five lines that stand first."""

    text: str
    tone: Tone = Tone.PLAIN
    figures: tuple[str, ...] = ()
    """Ids of the figures that it speaks of."""


class Change(_Part):
    """A figure that late events changed after the report had been issued."""

    figure: str
    label: str
    was: str
    now: str
    because: str = ""
    """Rows that came, went or changed: `2 commitments added, 1 changed`."""


class Control(_Part):
    """A total that can be held against the system that the events came from."""

    name: str
    source: str
    counted: int


class Period(_Part):
    """What a report is about: after `begin`, up to and with `end`."""

    key: str
    """`2026-W47`, `2026-11`."""
    label: str
    """`16 to 22 November 2026 (week 47)`."""
    begin: datetime
    end: datetime
    timezone: str
    """IANA name; `begin` and `end` are midnights there."""


class Report(_Part):
    """A digest or a scorecard, whole."""

    kind: ReportKind
    title: str
    about: str = ""
    """The partner, as people call it; empty for a digest."""
    about_id: str = ""
    """The partner's id; empty for a digest."""
    period: Period
    as_of: datetime
    """Up to when events count: figures are what was known then."""
    issue: int = 0
    """1 for the report as first issued, 2 and more for restatements; 0 is a draft."""
    issued_at: datetime | None = None
    changes: tuple[Change, ...] = ()
    """Against the issue before this one."""
    summary: Annotated[tuple[Headline, ...], Field(max_length=5)]
    sections: tuple[Section, ...]
    figures: tuple[Figure, ...] = ()
    """Figures that only cells and headlines show. Ids are unique over these and the sections'."""
    controls: tuple[Control, ...] = ()
    policy: str = ""
    """The version of the policy, a hash, that was in force at the end of the period."""
    notes: tuple[str, ...] = ()
    """How it was made: what counts, what is left out, where the definitions stand."""

    def figure(self, name: str) -> Figure | None:
        """The figure with an id; None if the report has none of that name."""
        return next((figure for figure in self.all_figures() if figure.id == name), None)

    def all_figures(self) -> tuple[Figure, ...]:
        """Every figure, in the order in which they stand."""
        return (*(f for section in self.sections for f in section.figures), *self.figures)
