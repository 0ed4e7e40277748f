"""What a digest is made of: counts and rows as the ledger holds them. The shell loads them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from rules.attainment import Attainment, Outcome
from rules.decision import StepRow
from rules.digest.period import Days
from rules.ledger import Entered, Escalation, Instance
from schemas.policy import Metric

Cell = tuple[str, str, str, str, str, str]
"""(partner, partner tier, metric, escalation tier, for which tickets, entered as)."""
Counts = Counter[Cell]
#: Tickets that no override of the policy is for.
OTHERS = "all others"


@dataclass(frozen=True, slots=True)
class Names:
    """What people call partners and each other, and what a digest may say of them."""

    partners: Mapping[str, str]
    people: Mapping[str, str]
    name_people: bool
    """Whether a digest names people, not only their roles."""
    roles_of: Mapping[str, str]
    """Person to a role that they fill, for digests that name nobody."""

    def partner(self, partner_id: str) -> str:
        """A partner as people know it."""
        if not partner_id:
            return "several partners"
        name = self.partners.get(partner_id)
        return name or partner_id

    def person(self, person_id: str | None) -> str:
        """A person, or only the role if digests name nobody. Feeds stay as they are."""
        if not person_id:
            return "nobody named"
        name = self.people.get(person_id)
        if name is None:
            return person_id.replace("_", " ")
        return name if self.name_people else self.roles_of.get(person_id, "somebody of ours")


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that one digest says something about."""

    period: Days
    as_of: int
    """Up to when events are known."""
    until: int
    """The period's end, or `as_of` while the period runs."""
    partner_tiers: Sequence[str]
    """Best first."""
    tiers: Sequence[str]
    """Escalation tiers, lowest first."""
    targets: Mapping[str, Mapping[str, Decimal]]
    tickets: Sequence[str]
    """Which tickets are promised something of their own, as the policy lists them."""
    names: Names
    counts: Counts
    before: Sequence[Counts]
    """Of the periods before, oldest first."""
    open: Counter[tuple[str, str, str]]
    """(partner tier, metric, escalation tier) to how many are open at the end."""
    paused: Sequence[Instance]
    """Of those, what stands still."""
    breaches: Sequence[Instance]
    """The latest first, as many as a digest lists."""
    excuses: Mapping[str, tuple[int, int]]
    """Approver to (commitments of the period excused, of those that they held themselves)."""
    pauses: Mapping[str, tuple[int, int]]
    """Actor to (pauses that ended in the period or lasted at its end, microseconds that did not
    count, of those that ended)."""
    downgrades: Mapping[str, int]
    """Actor to how many promises a word on severity or category gave more time in the period."""
    spent: Mapping[str, Mapping[tuple[str, str], Sequence[int]]]
    """Metric to (partner tier, escalation tier) to the microseconds, sorted, of what was done."""
    going_on: Mapping[str, Mapping[tuple[str, str], tuple[int, int]]]
    """Metric to (partner tier, escalation tier) to (how many go on, the earliest start)."""
    escalations: Sequence[Escalation]
    """That asked a tier in the period."""
    lasting: Sequence[Escalation]
    """That lasted at some time in it."""
    openings: Sequence[Counter[tuple[str, str]]]
    """(partner, rule) to cases opened: in the periods before, oldest first, and this one."""
    disputes: Sequence[StepRow]
    """Disputes and decisions about them, up to the end, oldest first."""
    deescalations: Sequence[StepRow]
    """In the period."""
    partner_of_case: Mapping[str, str]
    """For the cases of those steps."""
    events: Mapping[tuple[str, str], int]
    """(type, source) to how many events bear a day of the period."""
    restated: Sequence[str] = field(default=())
    """Earlier reports that late events changed, issued anew together with this one."""


def is_promise(metric: str, escalation_tier: str) -> bool:
    """Whether it is something that we owe a partner."""
    return not escalation_tier and metric != Metric.PARTNER_RESPONSE


def attained(
    counts: Counts, open_now: int = 0, paused: Sequence[Instance] = (), until: int = 0
) -> Attainment:
    """The figure of some counts, with what is left out of it."""
    by_class: Counter[str] = Counter()
    for cell, n in counts.items():
        by_class[cell[-1]] += n
    left = {
        outcome: by_class[outcome]
        for outcome in (Outcome.CANCELLED, Outcome.EXCUSED, Outcome.NEVER_RAN)
        if by_class[outcome]
    }
    if open_now - len(paused) > 0:
        left[Outcome.NOT_YET_DUE] = open_now - len(paused)
    oldest = None
    if paused:
        left[Outcome.PAUSED] = len(paused)
        oldest = max(until - paused_since(row, until) for row in paused)
    return Attainment(
        by_class[Entered.MET],
        by_class[Entered.BREACHED] + by_class[Entered.OPEN],
        left,
        oldest_pause=oldest,
    )


def paused_since(row: Instance, at: int) -> int:
    """Since when a paused instance stands still."""
    return max((p.started_at for p in row.pauses if p.covers(at)), default=at)
