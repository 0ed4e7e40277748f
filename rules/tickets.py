"""Tickets, disruptions and reported figures: their folds and facts.

What a ticket's commitments come to is worked out in `rules.clocks.ticket_clocks`.
"""

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal

from rules.clocks.clock import Clock, ClockState
from rules.clocks.ticket_clocks import TicketClocks
from rules.deadlines import deadline, in_words
from rules.facts import Facts
from rules.policy import RuleSet
from rules.subjects import Cleared, Contribution, Declared, Reported
from rules.world import World
from schemas import policy
from schemas.time import local_text


class Ticket(Facts):
    """The fold of what was said of one ticket, up to an instant."""

    __slots__ = ("_clocks", "_found", "_promises", "_watched", "asked", "at", "proven", "zone")

    def __init__(self, key: str, partner_id: str, world: World) -> None:
        self.zone = world.zone(partner_id)
        self.at = 0
        self.asked = 0
        self.proven: Mapping[str, int] = {}
        """When clocks were stopped in the end: until then the silence is proven anyway."""
        self._clocks = TicketClocks(key, partner_id, world)
        self._watched = world.watched_metrics
        self._found: dict[int, list[Clock]] = {}
        """The watched clocks by the instant asked about, until something is taken in."""
        self._promises: tuple[int, list[Clock]] | None = None
        """All clocks, at the instant last asked about."""

    def own(self, at: int, person: str) -> None:
        """Somebody acknowledged its case at an instant, and owns it from then on."""
        self._clocks.own(at, person)
        self._found.clear()
        self._promises = None

    @property
    def began_at(self) -> int | None:
        """When it was opened; None while nobody has said so."""
        return self._clocks.opened_at

    def apply(self, contribution: Contribution, at: int) -> None:
        """Take one contribution that became effective at `at`."""
        self._clocks.take(contribution, at)
        self._found.clear()

    def ask(self, at: int, asked: int) -> None:
        """Set the instant that the facts are about; silence counts up to `asked`."""
        self.at = at
        self.asked = asked

    def is_settled(self) -> bool:
        """Whether the helpdesk says resolved or closed."""
        return self._clocks.is_settled

    def clocks(self, when: int) -> list[Clock]:
        """Every instance of a promise that a rule asks about, as it stands at an instant."""
        found = self._found.get(when)
        if found is None:
            if self._promises is not None and self._promises[0] == when:
                found = [clock for clock in self._promises[1] if clock.metric in self._watched]
            else:
                found = list(self._clocks.clocks(when, self._watched))
            self._found[when] = found
        return found

    def views(self) -> Iterator[Facts]:
        """What it was at any time, without what time alone brings."""
        return (_View(*traits) for traits in self._clocks.traits())

    def promises(self, as_of: int) -> list[Clock]:
        """Every instance of a promise, whether a rule asks about it or not, as of an instant."""
        if self._promises is None or self._promises[0] != as_of:
            self._promises = as_of, list(self._clocks.clocks(as_of))
        return self._promises[1]

    def promises_to_tell_of(self, as_of: int, over_by: int, keys: Collection[str]) -> list[Clock]:
        """Those that may be spoken of still: most that were over by then only if among `keys`."""
        if self._promises is not None and self._promises[0] == as_of:
            return self._promises[1]
        over = self._clocks.over_since
        if over is not None and over <= min(over_by, as_of) and not keys:
            return []
        return list(self._clocks.clocks(as_of, over_by=over_by, keys=keys))

    def next_change_of_terms(self, after: int) -> int | None:
        """When the partner's tier next changes by its dates."""
        return self._clocks.next_change_of_terms(after)

    # -- facts ---------------------------------------------------------------------------------

    def categories(self) -> frozenset[str] | None:
        """See Facts."""
        category = self._clocks.category
        return None if category is None else frozenset((category,))

    def severity(self) -> str | None:
        """See Facts."""
        return self._clocks.severity

    def urgent(self) -> bool | None:
        """See Facts."""
        opened = self._clocks.opened
        return None if opened is None else opened.urgent

    def since(self) -> int | None:
        """See Facts: since it was opened, until it is settled."""
        return None if self.is_settled() else self.began_at

    def breaches(self) -> frozenset[str] | None:
        """See Facts."""
        if self.began_at is None:
            return None
        return frozenset(clock.metric for clock in self._late())

    def _late(self) -> list[Clock]:
        return [
            clock
            for clock in self.clocks(max(self.at, self.asked))
            if clock.state is ClockState.BREACHED and self._is_proven(clock)
        ]

    def _is_proven(self, late: Clock) -> bool:
        """Whether nothing that would have kept it can still become known."""
        due = late.due
        if due is None or due < self.asked or late.stopped_at is not None:
            return True
        return self.proven.get(late.key, due) > due

    def overdue(self) -> Iterator[str]:
        """Clocks that nothing has stopped and that were due before the instant asked about."""
        for clock in self.clocks(self.at):
            if clock.state is ClockState.BREACHED and clock.stopped_at is None:
                yield clock.key

    def outcomes(self) -> Mapping[str, int]:
        """When each clock that was kept, in time or late, was kept."""
        return {
            clock.key: clock.stopped_at
            for clock in self.clocks(max(self.at, self._clocks.latest))
            if clock.stopped_at is not None
        }

    def silences(self, rules: RuleSet) -> Iterator[tuple[int, str]]:
        """(deadline, clock) at which, if nothing comes, a rule's condition may start to hold."""
        running: set[str] = set()
        for clock in self.clocks(max(self.at, self.asked)):
            # One open instance of a metric is enough to make it late; a grid goes on after it.
            if (
                clock.is_open
                and clock.state is not ClockState.EXCUSED
                and clock.metric not in running
            ):
                running.add(clock.metric)
                due = clock.due_if_silent
                if clock.retroactive and self.asked < self.at:
                    due = self.at  # late by terms that came just now
                if due is not None:
                    yield due, clock.key
        if running and (change := self._clocks.next_change_of_terms(self.at)) is not None:
            yield change, ""
        since = self.since()
        if since is not None:
            for span in rules.ages:
                yield deadline(since, span, rules.calendar), ""

    def in_words(self, fact: str) -> str:
        """See Facts."""
        match fact:
            case "breach":
                return "; ".join(map(self._breach_in_words, self._late()))
            case "age":
                since = self.since()
                return "" if since is None else f"open for {in_words(self.at - since)}"
            case "category":
                return self._clocks.category or ""
            case "severity":
                return self._clocks.severity or ""
            case "urgent":
                return "marked urgent"
            case _:
                return ""

    def _breach_in_words(self, clock: Clock) -> str:
        name = clock.metric.replace("_", " ")
        due = self.local(clock.due or clock.as_of)
        words = f"{name} was due {due} and had not come"
        if clock.stopped_at is not None and clock.stopped_at <= max(self.at, self.asked):
            late = in_words(clock.late)
            words = f"{name} was due {due}, came {self.local(clock.stopped_at)}: {late} late"
            if clock.reason:
                words = f"{name} was due {due}: {clock.reason}"
        if clock.retroactive:
            words += " (by terms that changed later)"
        if clock.metric == policy.Metric.FIRST_RESPONSE and clock.asked_again:
            times = len(clock.asked_again)
            words += ", partner asked again" + (f" {times} times" if times > 1 else "")
        return words

    def local(self, instant: int) -> str:
        """An instant in the partner's zone, for people."""
        return local_text(instant, self.zone)

    def summary(self) -> str:
        """What the ticket is about, in the words of whoever opened it."""
        opened = self._clocks.opened
        return (opened.summary if opened else None) or self._clocks.category or ""


class _View(Facts):
    """A ticket that is not urgent, with the traits of some instant."""

    __slots__ = ("_category", "_severity")

    def __init__(self, category: str | None, severity: str | None) -> None:
        self._category = category
        self._severity = severity

    def categories(self) -> frozenset[str] | None:
        return None if self._category is None else frozenset((self._category,))

    def severity(self) -> str | None:
        return self._severity

    def urgent(self) -> bool | None:
        return False


class Disruption(Facts):
    """The fold of one disruption: declared, perhaps declared anew, and cleared."""

    __slots__ = ("asked", "at", "began_at", "cleared_at", "declared")

    def __init__(self) -> None:
        self.at = 0
        self.asked = 0
        self.began_at: int | None = None
        self.cleared_at: int | None = None
        self.declared: Declared | None = None

    def apply(self, contribution: Contribution, at: int) -> None:
        """Take one contribution that became effective at `at`."""
        if contribution.type == "disruption.declared":
            self.declared = Declared(*contribution.data)  # a later declaration widens or narrows
            self.began_at = at if self.began_at is None else self.began_at
            self.cleared_at = None
        elif contribution.type == "disruption.cleared" and self.began_at is not None:
            Cleared(*contribution.data)
            self.cleared_at = at

    def ask(self, at: int, asked: int) -> None:
        """Set the instant that the facts are about."""
        self.at = at
        self.asked = asked

    def severity(self) -> str | None:
        """See Facts."""
        return None if self.declared is None else self.declared.severity

    def since(self) -> int | None:
        """See Facts."""
        return None if self.cleared_at is not None else self.began_at

    def outcomes(self) -> Mapping[str, int]:
        """A disruption keeps no promises."""
        return {}

    def silences(self, rules: RuleSet) -> Iterator[tuple[int, str]]:
        """Deadlines of the age that rules ask for."""
        since = self.since()
        if since is not None:
            for span in rules.ages:
                yield deadline(since, span, rules.calendar), ""

    def in_words(self, fact: str) -> str:
        """See Facts."""
        if fact == "severity":
            return self.severity() or ""
        if fact == "age" and self.began_at is not None:
            return f"lasting for {in_words(self.at - self.began_at)}"
        return ""

    def summary(self) -> str:
        """What happened, in the words of whoever declared it."""
        return "" if self.declared is None else self.declared.summary


class Metric(Facts):
    """The fold of one reported figure: the latest report counts."""

    __slots__ = ("asked", "at", "began_at", "name", "reported")

    def __init__(self, name: str) -> None:
        self.at = 0
        self.asked = 0
        self.began_at: int | None = None
        self.name = name
        self.reported: Reported | None = None

    def apply(self, contribution: Contribution, at: int) -> None:
        """Take one contribution that became effective at `at`."""
        if contribution.type == "metric.reported":
            self.reported = Reported(*contribution.data)
            self.began_at = at if self.began_at is None else self.began_at

    def ask(self, at: int, asked: int) -> None:
        """Set the instant that the facts are about."""
        self.at = at
        self.asked = asked

    def metric(self) -> tuple[str, Decimal] | None:
        """See Facts."""
        return None if self.reported is None else (self.name, Decimal(self.reported.value))

    def outcomes(self) -> Mapping[str, int]:
        """A figure keeps no promises."""
        return {}

    def silences(self, rules: RuleSet) -> Iterator[tuple[int, str]]:  # noqa: ARG002 - as all subjects
        """A figure that nobody reports says nothing."""
        return iter(())

    def in_words(self, fact: str) -> str:
        """See Facts."""
        if fact != "metric" or self.reported is None:
            return ""
        period = f" for {self.reported.period}" if self.reported.period else ""
        unit = f" {self.reported.unit}" if self.reported.unit else ""
        return f"{self.name} = {self.reported.value}{unit}{period}"

    def summary(self) -> str:
        """The figure's name."""
        return self.name
