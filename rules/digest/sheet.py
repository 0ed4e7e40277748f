"""The sheet that a digest is written on: its figures, and what each of them leads to.

Every figure is put down with the question whose answer are its rows, so that `--explain` can list
them and a restatement can say which came, went or changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

from rules.attainment import Attainment
from rules.deadlines import in_words
from rules.report_parts import share, shown_share
from schemas.report import Figure, Tone, Unit, Visibility
from schemas.time import HOUR

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


def hours(amount: int) -> Decimal:
    """Microseconds in hours, rounded down to a tenth."""
    return (Decimal(amount) / HOUR).quantize(_TENTH, ROUND_DOWN)


def shown_length(amount: int, unit: Unit) -> str:
    """A length for people: `2.5 business h`, `3 d 4 h`."""
    return f"{hours(amount)} business h" if unit is Unit.BUSINESS_HOURS else in_words(amount)
