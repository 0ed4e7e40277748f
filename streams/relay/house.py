"""The policy and the directory as the relay needs them, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from rules.calendars import BusinessCalendar
from rules.deadlines import deadline
from rules.decision import CaseRow, State
from rules.recipients import DEFAULT_CALENDAR, Recipients
from schemas.directory import Person, Route
from schemas.fields import parse_interval
from schemas.policy import Policy
from schemas.time import Instant, to_datetime
from schemas.units import parse_span


@dataclass(frozen=True, slots=True)
class House:
    """Who is who and what is promised. A new policy or directory is a new `House`."""

    policy: Policy
    recipients: Recipients
    calendars: Mapping[str, BusinessCalendar]
    """By the names that the policy gives them."""

    def ranks(self) -> dict[str, int]:
        """Escalation tier to its height."""
        return {tier: rank for rank, tier in enumerate(self.policy.tiers)}

    def partner_name(self, partner_id: str | None) -> str | None:
        """What people call a partner, where the directory says so."""
        known = None if partner_id is None else self.recipients.directory.partners.get(partner_id)
        return None if known is None else known.name

    def headline(self, said: str, partner_id: str | None, actor: str | None = None) -> str:
        """A headline with the names that people know: the partner's, and of who caused it."""
        said = self.recipients.in_names(said, actor)
        name = self.partner_name(partner_id)
        if name and partner_id and said.startswith(partner_id):
            return name + said.removeprefix(partner_id)
        return said

    def name(self, person: str) -> str:
        """What people call somebody."""
        return self.recipients.name(person)

    def role_asked(self, case: CaseRow) -> str | None:
        """The role that is to acknowledge a case now; None when nobody is."""
        if case.state is not State.OPEN or case.waits_for != "acknowledge" or case.due is None:
            return None
        ladder = self.policy.ladders.get(case.partner_tier) or self.policy.ladders.get("default")
        step = None if ladder is None else ladder.get(case.tier)
        return None if step is None else step.notify

    def routes(self, person: str) -> tuple[Route, ...]:
        """Where somebody can be told, as the directory lists it; () for whoever has left."""
        known = self.recipients.person(person)
        if known is None or not known.active:
            return ()
        return tuple(route.bare() for route in known.routes)

    def order(self, person: str, tier: str, now: Instant) -> list[int]:
        """The numbers of somebody's routes, from 1, in the order to try them now.

        Those whose `tiers` and `hours` hold come first. `tier` is what the message is told as.
        """
        known = self.recipients.person(person)
        if known is None or not known.active:
            return []
        local = to_datetime(now, ZoneInfo(self.zone(person)))
        minute = local.hour * 60 + local.minute
        numbers = range(1, len(known.routes) + 1)
        return sorted(numbers, key=lambda n: not _holds(known.routes[n - 1], tier, minute))

    def hand_over_after(self, person: str, number: int) -> str | None:
        """How long an alert on a route may stay unacknowledged; None for as long as it likes."""
        directory = self.recipients.directory
        known = directory.people.get(person)
        if known is None:
            return None
        own = known.routes[number - 1].hand_over_after if number <= len(known.routes) else None
        span = own or known.hand_over_after or directory.hand_over_after
        return None if span is None else str(span)

    def bundles(self, person: str) -> bool:
        """Whether somebody accepts several things in one message."""
        known = self.recipients.person(person)
        return known is None or known.bundle

    def stand_in(self, person: str) -> str | None:
        """Who is told when every route to somebody has failed."""
        known: Person | None = self.recipients.person(person)
        return None if known is None else known.stand_in

    def zone(self, person: str) -> str:
        """IANA name of somebody's time zone."""
        calendar = self.calendar(person)
        return "UTC" if calendar is None else calendar.zone.key

    def later(self, person: str, start: Instant, span: str) -> Instant:
        """When a span has passed since `start`, in somebody's calendar."""
        calendar = self.calendar(person)
        assert calendar is not None, "a policy has at least one calendar, `default` among them"
        return deadline(start, parse_span(span), calendar)

    def calendar(self, person: str) -> BusinessCalendar | None:
        """Somebody's calendar; `default` stands in for one that the policy does not name."""
        name = self.recipients.persons_calendar(person)
        return self.calendars.get(name) or self.calendars.get(DEFAULT_CALENDAR)


def _holds(route: Route, tier: str, minute: int) -> bool:
    """Whether a route is meant for a tier and a minute of the local day."""
    if route.tiers and tier not in route.tiers:
        return False
    if route.hours is None:
        return True
    start, end = parse_interval(route.hours)
    return start <= minute < end if start < end else minute >= start or minute < end
