"""Tickets, disruptions and reported figures: their folds and facts.

A ticket's commitments (first response, next response, resolution) are computed from intervals:
what started a clock, what stopped it, when it was paused. Only what counts, counts: automatic
messages, notes and the system itself neither start nor stop anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from rules.calendars import BusinessCalendar
from rules.deadlines import deadline, in_words
from rules.facts import Facts
from rules.policy import RuleSet
from rules.subjects import Cleared, Contribution, Declared, Message, Opened, Reported, Status
from schemas.policy import Commitments
from schemas.time import to_datetime
from schemas.units import Span, Unit

_SETTLED = ("resolved", "closed")


@dataclass(slots=True)
class ResponseClock:
    """One instance of a promise on a ticket: from when, until when, and when it was kept."""

    commitment: str
    cycle: int
    started_at: int
    due: int
    kept_at: int | None = None

    @property
    def key(self) -> str:
        """Names the instance within its ticket: `next_response/2`."""
        return f"{self.commitment}/{self.cycle}"

    def is_breached(self, at: int) -> bool:
        """Whether it was still running after its due time. Kept at the due time is kept."""
        return at > self.due and (self.kept_at is None or self.kept_at > self.due)


class Ticket(Facts):
    """The fold of what was said of one ticket, up to an instant."""

    __slots__ = (
        "_calendar",
        "_category",
        "_messages",
        "_opened",
        "_promised",
        "_severity",
        "_states",
        "asked",
        "at",
        "began_at",
        "zone",
    )

    def __init__(
        self, zone: ZoneInfo, calendar: BusinessCalendar, promised: Commitments | None
    ) -> None:
        self.zone = zone
        self.at = 0
        self.asked = 0
        self.began_at: int | None = None
        self._opened: Opened | None = None
        self._category: str | None = None
        self._severity: str | None = None
        self._states: list[tuple[int, str]] = []
        self._messages: list[tuple[int, str]] = []
        """(when, author) of the replies; nothing else is an answer or a question."""
        self._calendar = calendar
        self._promised = promised or Commitments()

    def apply(self, contribution: Contribution, at: int) -> None:
        """Take one contribution that became effective at `at`."""
        match contribution.type:
            case "ticket.opened" if self._opened is None:
                self._opened = Opened(*contribution.data)
                self.began_at = at
                self._category = self._category or self._opened.category
                self._severity = self._severity or self._opened.severity
            case "ticket.message":
                message = Message(*contribution.data)
                if message.kind == "reply" and message.author != "system":
                    self._messages.append((at, message.author))
            case "ticket.status":
                status = Status(*contribution.data)
                self._states.append((at, status.status))
                self._category = status.category or self._category
                self._severity = status.severity or self._severity
            case _:
                pass

    def ask(self, at: int, asked: int) -> None:
        """Set the instant that the facts are about; silence counts up to `asked`."""
        self.at = at
        self.asked = asked

    def is_settled(self) -> bool:
        """Whether the helpdesk says resolved or closed."""
        return bool(self._states) and self._states[-1][1] in _SETTLED

    def clocks(self) -> Iterator[ResponseClock]:
        """Every instance of a promise that started, in the order of starting."""
        if self.began_at is None:
            return
        answers = [at for at, author in self._messages if author == "us" and at >= self.began_at]
        first = answers[0] if answers else None
        promised = self._promised
        if promised.first_response is not None:
            due = deadline(self.began_at, promised.first_response, self._calendar)
            yield ResponseClock("first_response", 1, self.began_at, due, first)
        if promised.next_response is not None and first is not None:
            waiting: int | None = None
            cycle = 0
            for at, author in self._messages:
                if at < first:
                    continue
                if author == "partner" and waiting is None:
                    waiting = at
                elif author == "us" and waiting is not None:
                    cycle += 1
                    due = deadline(waiting, promised.next_response, self._calendar)
                    yield ResponseClock("next_response", cycle, waiting, due, at)
                    waiting = None
            if waiting is not None:
                due = deadline(waiting, promised.next_response, self._calendar)
                yield ResponseClock("next_response", cycle + 1, waiting, due)
        if promised.resolution is not None:
            yield self._resolution(promised.resolution)

    def _resolution(self, span: Span) -> ResponseClock:
        assert self.began_at is not None
        due = int(deadline(self.began_at, span, self._calendar))
        kept: int | None = None
        since: int | None = None
        for at, state in sorted(self._states):
            if since is not None:
                due = self._extend(due, since, at, span)
                since = None
            if state == "waiting_on_partner":
                since = at
            # Settled and opened again: the clock runs on as if it had not been settled.
            kept = at if state in _SETTLED and kept is None else kept
            if state not in _SETTLED:
                kept = None
        if since is not None:
            due = self._extend(due, since, max(since, self.asked), span)
        return ResponseClock("resolution", 1, self.began_at, due, kept)

    def _extend(self, due: int, start: int, end: int, span: Span) -> int:
        """A pause before the due time moves it by the time that did not count."""
        if start >= due:
            return due
        if span.unit in (Unit.ELAPSED, Unit.MONTHS):
            return due + (end - start)
        return self._calendar.add_us(due, self._calendar.between_us(start, end))

    # -- facts ---------------------------------------------------------------------------------

    def categories(self) -> frozenset[str] | None:
        """See Facts."""
        return None if self._category is None else frozenset((self._category,))

    def severity(self) -> str | None:
        """See Facts."""
        return self._severity

    def urgent(self) -> bool | None:
        """See Facts."""
        return None if self._opened is None else self._opened.urgent

    def since(self) -> int | None:
        """See Facts: since it was opened, until it is settled."""
        return None if self.is_settled() else self.began_at

    def breaches(self) -> frozenset[str] | None:
        """See Facts."""
        if self.began_at is None:
            return None
        return frozenset(
            c.commitment
            for c in self.clocks()
            if c.is_breached(self.at if c.kept_at is not None else self.asked)
        )

    def outcomes(self) -> Mapping[str, int]:
        """When each clock that was kept, in time or late, was kept."""
        return {c.key: c.kept_at for c in self.clocks() if c.kept_at is not None}

    def silences(self, rules: RuleSet) -> Iterator[tuple[int, str]]:
        """(deadline, clock) at which, if nothing comes, a rule's condition may start to hold."""
        paused = bool(self._states) and self._states[-1][1] == "waiting_on_partner"
        for clock in self.clocks():
            # A paused clock has no due time that silence could reach.
            if clock.kept_at is None and not (paused and clock.commitment == "resolution"):
                yield clock.due, clock.key
        since = self.since()
        if since is not None:
            for span in rules.ages:
                yield deadline(since, span, rules.calendar), ""

    def in_words(self, fact: str) -> str:
        """See Facts."""
        match fact:
            case "breach":
                late = [c for c in self.clocks() if c.is_breached(max(self.at, self.asked))]
                return "; ".join(map(self._breach_in_words, late))
            case "age":
                since = self.since()
                return "" if since is None else f"open for {in_words(self.at - since)}"
            case "category":
                return self._category or ""
            case "severity":
                return self._severity or ""
            case "urgent":
                return "marked urgent"
            case _:
                return ""

    def _breach_in_words(self, clock: ResponseClock) -> str:
        name = clock.commitment.replace("_", " ")
        due = self.local(clock.due)
        if clock.kept_at is None:
            return f"{name} was due {due} and had not come"
        late = in_words(clock.kept_at - clock.due)
        return f"{name} was due {due}, came {self.local(clock.kept_at)}: {late} late"

    def local(self, instant: int) -> str:
        """An instant in the partner's zone, for people."""
        return to_datetime(instant, self.zone).strftime("%Y-%m-%d %H:%M %Z")

    def summary(self) -> str:
        """What the ticket is about, in the words of whoever opened it."""
        return (self._opened.summary if self._opened else None) or self._category or ""


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

    def silences(self, rules: RuleSet) -> Iterator[tuple[int, str]]:
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
