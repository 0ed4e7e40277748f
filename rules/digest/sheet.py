"""The sheet that a digest is written on: its figures, and what each of them leads to.

Every figure is put down with the question whose answer are its rows, so that `--explain` can list
them and a restatement can say which came, went or changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

from rules.attainment import Attainment, Outcome
from rules.deadlines import in_words
from rules.subjects import split_key
from schemas.report import Cell, Column, Figure, Table, Tone, Unit, Visibility
from schemas.time import HOUR

#: How many rows of a table a digest shows where nothing else is said: it is read in two minutes.
LISTED = 15
_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Question:
    """Which rows a figure is about: those of a kind whose fields have one of these values."""

    rows: str
    """`instances` that fell due in the period, those `paused` or `open` at its end, `stopped` in
    it; `escalations` in it, `lasting` cases, `steps`, `events`."""
    where: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def answers(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is one of them."""
        return all(row.get(name) in values for name, values in self.where.items())


class Sheet:
    """Figures by id, each with its question, in the order in which they are put down."""

    def __init__(self) -> None:
        self.figures: dict[str, Figure] = {}
        self.questions: dict[str, Question] = {}
        self.placed: set[str] = set()
        """Ids of figures that stand in a section, as tiles."""

    def put(self, figure: Figure, question: Question) -> Figure:
        """Put a figure down."""
        assert figure.id not in self.figures, f"two figures are called {figure.id}"
        self.figures[figure.id] = figure
        self.questions[figure.id] = question
        return figure

    def tiles(self, *figures: Figure) -> tuple[Figure, ...]:
        """Figures to be shown as tiles of a section."""
        self.placed.update(figure.id for figure in figures)
        return figures

    def rest(self) -> tuple[Figure, ...]:
        """Figures that only cells and headlines show."""
        return tuple(f for name, f in self.figures.items() if name not in self.placed)

    # -- kinds of figures ----------------------------------------------------------------------

    def count(  # noqa: PLR0913 - a figure has many sides; named ones by keyword
        self, name: str, label: str, n: int, counts: str, definition: str, question: Question,
        *, tone: Tone = Tone.PLAIN, visibility: Visibility = Visibility.OPERATIONAL,
        before: Sequence[int] = (),
    ) -> Figure:  # fmt: skip
        """How many there are."""
        return self.put(
            Figure(
                id=name,
                label=label,
                value=Decimal(n),
                shown=f"{n:,}",
                unit=Unit.COUNT,
                definition=definition,
                n=n,
                counts=counts,
                before=tuple(map(Decimal, before)),
                tone=tone if n else Tone.PLAIN,
                visibility=visibility,
            ),
            question,
        )

    def attainment(
        self, name: str, label: str, figure: Attainment, question: Question,
        *, target: Decimal | None = None, before: Sequence[Attainment] = (), of: str = "",
        visibility: Visibility = Visibility.STRATEGIC,
    ) -> Figure:  # fmt: skip
        """A share of commitments kept. Shares are rounded down; targets meet whole numbers."""
        reached = None if target is None else figure.reaches(target)
        tone = Tone.PLAIN if reached is None else Tone.GOOD if reached else Tone.BAD
        return self.put(
            Figure(
                id=name,
                label=label,
                value=share(figure),
                shown=shown_share(figure),
                unit=Unit.PERCENT,
                definition=f"{of or 'Commitments'} kept in time, divided by those kept in time "
                "plus those broken, by when their deadline fell; broken includes what is overdue "
                "and still open. Rounded down to a tenth.",
                n=figure.n,
                counts=figure.unit,
                target=target,
                reached=reached,
                interval=figure.interval,
                before=tuple(map(share, before)),
                tone=tone,
                visibility=visibility,
            ),
            question,
        )

    def length(  # noqa: PLR0913 - a figure has many sides; named ones by keyword
        self, name: str, label: str, amount: int | None, n: int, counts: str, definition: str,
        question: Question, *, unit: Unit = Unit.BUSINESS_HOURS,
        visibility: Visibility = Visibility.OPERATIONAL,
    ) -> Figure:  # fmt: skip
        """A length of time, in hours to a tenth."""
        return self.put(
            Figure(
                id=name,
                label=label,
                value=None if amount is None else hours(amount),
                shown="none" if amount is None else shown_length(amount, unit),
                unit=unit,
                definition=definition,
                n=n,
                counts=counts,
                visibility=visibility,
            ),
            question,
        )


def share(figure: Attainment) -> Decimal | None:
    """Percent, rounded down to a tenth, so that only all of them are a hundred."""
    return None if figure.n == 0 else Decimal(figure.percent)


def shown_share(figure: Attainment) -> str:
    """`97.4 %`, or that there was nothing to measure."""
    return "none due" if figure.n == 0 else f"{figure.percent} %"


def hours(amount: int) -> Decimal:
    """Microseconds in hours, rounded down to a tenth."""
    return (Decimal(amount) / HOUR).quantize(_TENTH, ROUND_DOWN)


def shown_length(amount: int, unit: Unit) -> str:
    """A length for people: `2.5 business h`, `3 d 4 h`."""
    return f"{hours(amount)} business h" if unit is Unit.BUSINESS_HOURS else in_words(amount)


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
