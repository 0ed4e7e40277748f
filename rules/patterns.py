"""Patterns: the same trouble again and again, counted from the subjects that show it.

A pattern is a subject of its own. What it counts are occurrences: subjects that stand and whose
facts once met the rule's other conditions. They are loaded, not stored with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rules.conditions import Repeats
from rules.decision import Kind, Occurrence
from rules.facts import Facts
from rules.policy import RuleSet
from rules.subjects import Contribution, split_key, subject_key

#: Partner of a pattern that reaches over several: an internal case.
INTERNAL = ""


def pattern_key(partner_id: str, dimension: str, value: str) -> str:
    """The key of a pattern. `dimension` is the rule's name with `/category` or `/sku`."""
    return subject_key(Kind.PATTERN, partner_id, f"{dimension}/{value}")


def dimension_of(rule: str, repeats: Repeats) -> str:
    """What a rule counts by."""
    return f"{rule}/{'sku' if repeats.by_sku else 'category'}"


@dataclass(frozen=True, slots=True)
class PatternOf:
    """What a pattern's key says."""

    partner_id: str
    rule: str
    by: str
    value: str

    @property
    def dimension(self) -> str:
        """As occurrences name it."""
        return f"{self.rule}/{self.by}"


def read_pattern_key(key: str) -> PatternOf:
    """Take a pattern's key apart."""
    _, partner_id, name = split_key(key)
    for by in ("category", "sku"):
        rule, found, value = name.partition(f"/{by}/")
        if found:
            return PatternOf(partner_id, rule, by, value)
    raise ValueError(f"{key!r} is not the key of a pattern")


class Pattern(Facts):
    """The fold of a pattern's occurrences, up to an instant."""

    __slots__ = (
        "_counted",
        "_occurred",
        "_orders_before",
        "_since",
        "asked",
        "at",
        "began_at",
        "of",
        "repeats",
    )

    def __init__(
        self, of: PatternOf, repeats: Repeats, orders_before: Mapping[int, Sequence[str]]
    ) -> None:
        self.of = of
        self.repeats = repeats
        self.at = 0
        self.asked = 0
        self.began_at: int | None = None
        self._orders_before = orders_before
        """For each occurrence's instant, the partner's last orders, newest last."""
        self._occurred: dict[str, Occurrence] = {}
        self._since = 0
        self._counted: list[Occurrence] = []

    def apply(self, contribution: Contribution, at: int) -> None:
        """Commands change the case, not the pattern."""

    def occur(self, occurrence: Occurrence) -> None:
        """Count one more subject."""
        self._occurred[occurrence.subject] = occurrence
        if self.began_at is None:
            self.began_at = occurrence.at

    def reset(self, at: int) -> None:
        """The case was resolved: from here a whole threshold of new occurrences is needed."""
        self._since = at

    def ask(self, at: int, asked: int) -> None:
        """Set the instant that the facts are about, and count."""
        self.at = at
        self.asked = asked
        known = [o for o in self._occurred.values() if self._since < o.at <= at]
        if self.repeats.within is not None:
            start = at - self.repeats.within.amount
            known = [o for o in known if o.at >= start]
        elif self.repeats.of_orders is not None:
            recent = frozenset(self._orders_before.get(at, ()))
            known = [o for o in known if o.subject in recent]
        if self.of.partner_id == INTERNAL and len({o.partner_id for o in known}) < 2:
            known = []  # one partner's trouble is that partner's own pattern
        self._counted = sorted(known, key=lambda o: (o.at, o.subject))

    def occurrences(self) -> tuple[int, str] | None:
        """See Facts."""
        return len(self._counted), self.in_words("repeats")

    def counted(self) -> Sequence[Occurrence]:
        """The occurrences behind the count."""
        return self._counted

    def since(self) -> int | None:
        """See Facts."""
        return self.began_at

    def outcomes(self) -> Mapping[str, int]:
        """A pattern keeps no promises."""
        return {}

    def silences(self, rules: RuleSet) -> Iterator[tuple[int, str]]:  # noqa: ARG002 - as all subjects
        """Silence makes no pattern."""
        return iter(())

    def in_words(self, fact: str) -> str:
        """See Facts."""
        if fact != "repeats":
            return ""
        names = ", ".join(split_key(o.subject)[2] for o in self._counted[:10])
        more = f" and {len(self._counted) - 10} more" if len(self._counted) > 10 else ""
        if self.repeats.of_orders is not None:
            window = f"of the last {self.repeats.of_orders} orders"
        else:
            window = f"in {self.repeats.within}"
        partners = len({o.partner_id for o in self._counted})
        across = f" across {partners} partners" if self.of.partner_id == INTERNAL else ""
        return f"{len(self._counted)} {window}{across} ({names}{more})"

    def summary(self) -> str:
        """What repeats."""
        return f"{self.of.value} again and again"
