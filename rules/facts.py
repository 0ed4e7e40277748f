"""Facts: what rules can name, as the values of one subject at one instant.

Every fact can be unknown (None). A condition on an unknown fact neither holds nor fails: it
fires nothing, and `not` of it fires nothing either.
"""

from collections.abc import Sequence
from decimal import Decimal


class Facts:
    """What is known of one subject at one instant. Each kind of subject says what it knows."""

    __slots__ = ()

    #: What the fact's arithmetic is about, shown in receipts.
    at: int

    def arrivals(self) -> Sequence[tuple[int, int]] | None:
        """(promise, arrival) of every line: when it came, or the best that is known of when."""
        return None

    def delay(self) -> int | None:
        """The largest delay of a line, in microseconds; negative when all came early."""
        return None

    def impact(self) -> Decimal | None:
        """Percent of the order affected, 0 to 100."""
        return None

    def exposure(self, currency: str) -> Decimal | None:  # noqa: ARG002 - for those who know more
        """Value undelivered past its promise or affected; None if a price or rate is missing."""
        return None

    def categories(self) -> frozenset[str] | None:
        """A ticket's category, or the kinds of an order's impact and `delay`."""
        return None

    def severity(self) -> str | None:
        """The severity that a ticket or a disruption carries."""
        return None

    def urgent(self) -> bool | None:
        """Whether a ticket was marked urgent."""
        return None

    def metric(self) -> tuple[str, Decimal] | None:
        """Name and value of a reported figure."""
        return None

    def since(self) -> int | None:
        """The instant that the subject's age counts from; None once it is settled."""
        return None

    def breaches(self) -> frozenset[str] | None:
        """Names of the commitments whose clocks have run out."""
        return None

    def occurrences(self) -> tuple[int, str] | None:
        """For a pattern: how many of how many, in words."""
        return None

    def in_words(self, fact: str) -> str:
        """The arithmetic behind a fact: `12 of 150 units short = 8.0 %`."""
        return fact

    def skus(self) -> frozenset[str]:
        """Articles that are affected; patterns by sku count them."""
        return frozenset()
