"""What a fold may look at besides the subject itself: policies, directory, disruptions, time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from rules.calendars import BusinessCalendar
from rules.decision import Kind
from rules.policy import CompiledPolicy, PolicyHistory, RuleSet
from rules.recipients import Recipients


@dataclass(frozen=True, slots=True)
class Horizon:
    """Up to which instant everything that could speak against a deadline has been read.

    Silence about orders and tickets waits for the feeds that speak of them; people's deadlines
    wait for commands. A deadline is decided when it is not after its horizon.
    """

    orders: int
    tickets: int
    people: int

    def feeds(self, kind: Kind) -> int:
        """The horizon of silence about a kind of subject."""
        if kind is Kind.TOUCHPOINTS:
            return min(self.orders, self.tickets)  # any feed may be the one that tells of sessions
        return self.tickets if kind is Kind.TICKET else self.orders

    @classmethod
    def everything_until(cls, instant: int) -> "Horizon":
        """All inputs were read up to the instant, inclusive."""
        return cls(instant, instant, instant)


@dataclass(frozen=True, slots=True)
class DisruptionSpan:
    """A disruption as the orders under it see it."""

    case_id: str
    began_at: int
    cleared_at: int | None
    selector: str
    selected: frozenset[str]
    summary: str

    def covers(self, at: int) -> bool:
        """Whether it lasted at an instant."""
        return self.began_at <= at and (self.cleared_at is None or at < self.cleared_at)

    def selects(self, partner_id: str, order_id: str, carriers: set[str], lanes: set[str]) -> bool:
        """Whether it is about an order."""
        match self.selector:
            case "all":
                return True
            case "partner":
                return partner_id in self.selected
            case "order":
                return order_id in self.selected
            case "carrier":
                return not self.selected.isdisjoint(carriers)
            case "lane":
                return not self.selected.isdisjoint(lanes)
            case _:
                return False


@dataclass(slots=True)
class World:
    """Policies and directory, with the disruptions that are known."""

    policies: PolicyHistory
    recipients: Recipients
    disruptions: Sequence[DisruptionSpan] = ()
    _zones: dict[str, ZoneInfo] = field(default_factory=dict)
    _steady: dict[tuple[Kind, str], RuleSet | None] = field(default_factory=dict)
    _watched: frozenset[str] | None = None

    def partner_tier(self, partner_id: str, at: int) -> str:
        """The partner's tier then; the policy's default for a partner that nobody listed."""
        policy = self.policies.at(at)
        tier = self.recipients.partner_tier(partner_id, at)
        return tier if tier is not None else policy.default_tier

    def steady_rules(self, kind: Kind, partner_id: str, since: int) -> RuleSet | None:
        """The rules for a partner, if they have been the same since an instant and stay so.

        That needs one version of the policy that was in force all the time with none to follow,
        and a partner tier without dates.
        """
        if since < self.policies.last_start:
            return None
        key = kind, partner_id
        if key in self._steady:
            return self._steady[key]
        partner = self.recipients.directory.partners.get(partner_id)
        rules = None
        if partner is None or isinstance(partner.tier, str):
            tier = self.partner_tier(partner_id, since)
            rules = self.policies.newest.rule_set(kind, tier, self.calendar_name(partner_id))
        self._steady[key] = rules
        return rules

    @property
    def watched_metrics(self) -> frozenset[str]:
        """Metrics of commitments whose breach some rule names, in any version of the policy."""
        if self._watched is None:
            every = (policy.watched_metrics for _, policy in self.policies.versions)
            self._watched = frozenset[str]().union(*every)
        return self._watched

    def calendar_name(self, partner_id: str) -> str:
        """The calendar that promises to the partner run in."""
        return self.recipients.calendar_of(partner_id)

    def zone(self, partner_id: str) -> ZoneInfo:
        """The partner's time zone: its calendar's."""
        name = self.recipients.calendar_of(partner_id)
        zone = self._zones.get(name)
        if zone is None:
            zone = self._zones[name] = self.policies.newest.calendar(name).zone
        return zone

    def people_calendar(
        self, policy: CompiledPolicy, role: str, partner_id: str, at: int
    ) -> BusinessCalendar:
        """The calendar of whoever a role means there and then."""
        people = self.recipients.resolve(role, partner_id, at).people
        name = self.recipients.persons_calendar(people[0]) if people else "default"
        return policy.calendar(name)
