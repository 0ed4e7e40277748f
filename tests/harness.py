"""Stories on a timeline: the real handler, store and relay, and a clock that only the story moves.

    story.at("2026-11-02 09:00")
    story.order("PO-1", promised="2026-11-03")
    story.advance(days=3)
    story.expect(Opened("PO-1", "management"), Notified("management"))
    story.ack("PO-1", by="claire")

Times in stories are what the clock on the wall shows in Berlin. Whatever happens and whoever is
told is news until an `expect` has named it; an expectation that fails shows the whole story.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo

import pytest
import yaml

from notifiers.memory import MemoryNotifier
from notifiers.message import Entry, EntryKind, Message
from notifiers.notifier import Notifiers
from rules.decision import CaseRow, Kind, State, StepKind, StepRow
from rules.patterns import pattern_key
from rules.policy import PolicyHistory, compile_policy
from rules.recipients import Recipients
from rules.subjects import case_id, subject_key
from schemas.directory import Directory
from schemas.policy import Policy
from schemas.time import DAY, HOUR, MINUTE, Instant, iso, to_instant
from streams import outcome as out
from streams.handler import Handler
from streams.horizon import FeedWatch, SourceProgress
from streams.outcome import Outcome
from streams.records import RawRecord
from streams.relay import House, Relay
from streams.store import OutboxEntry, RejectedRow, Store, Transaction

BERLIN = ZoneInfo("Europe/Berlin")

#: The policy of the design, with what a story needs not care about left out.
POLICY: dict[str, Any] = yaml.safe_load("""
tiers: [frontline, management, executive]
partner_tiers: [strategic, growth, standard]
default_partner_tier: standard
rules:
  - {name: order-impact,    when: {impact: "> 5%"},  open_at: management}
  - {name: late-delivery,   when: {delay: "> 48h"},  open_at: management}
  - {name: minor-shortfall, when: {impact: "> 0%"},  open_at: watch}
  - {name: late-strategic,  when: {partner_tier: strategic, delay: "> 4bh"}, open_at: frontline}
  - {name: large-exposure,  when: {partner_tier: strategic, exposure: "> 50000 EUR"},
     open_at: executive}
  - {name: repeat-quality,  when: {category: quality, repeats: "3 of 5 orders"},
     open_at: management, as: systemic}
ladders:
  default:
    frontline:  {notify: account_manager,     acknowledge_within: 4bh, resolve_within: 48h}
    management: {notify: partnership_manager, acknowledge_within: 2bh, resolve_within: 3bd,
                 remind_every: 1bh, remind_at_most: 5}
    executive:  {notify: executive_sponsor,   acknowledge_within: 1bh,
                 remind_every: 4bh, remind_at_most: 5,
                 only_when: {any: [{partner_tier: strategic}, {exposure: "> 20000 EUR"},
                                   {age: "> 5bd"}]}}
commitments:
  strategic: {first_response: 2bh, next_response: 4bh, status_update: 1bd, resolution: 3bd}
  growth:    {first_response: 4bh, next_response: 1bd, resolution: 5bd}
  standard:  {first_response: 1bd, next_response: 2bd, resolution: 10bd}
calendars:
  default: {timezone: Europe/Berlin, hours: {mon-fri: ["09:00-17:00"]}, holidays: DE-BE}
""")

_TERMINAL = [{"kind": "terminal"}]
#: One of each role, and for two of them somebody who stands in.
DIRECTORY: dict[str, Any] = {
    "people": {
        "anna": {"name": "Anna Lindner", "routes": _TERMINAL, "stand_in": "jonas"},
        "jonas": {"name": "Jonas Brandt", "routes": _TERMINAL},
        "claire": {"name": "Claire Dubois", "routes": _TERMINAL, "stand_in": "henrik"},
        "henrik": {"name": "Henrik Sommer", "routes": _TERMINAL},
        "david": {"name": "David Okafor", "routes": _TERMINAL},
        "opsdesk": {"name": "Operations desk", "routes": _TERMINAL},
    },
    "roles": {
        "account_manager": "anna",
        "partnership_manager": "claire",
        "executive_sponsor": "david",
        "operations": "opsdesk",
    },
    "partners": {
        "nordlicht": {"tier": "strategic"},
        "alpenfrisch": {"tier": "growth"},
        "kontor": {"tier": "standard"},
    },
}


def policy(**parts: Any) -> dict[str, Any]:
    """The policy of the design with some of its parts replaced."""
    return deepcopy(POLICY) | parts


def rules(*names: str) -> list[dict[str, Any]]:
    """Rules of the design's policy, by name."""
    return [deepcopy(rule) for rule in POLICY["rules"] if rule["name"] in names]


def ladders(**tiers: Mapping[str, Any]) -> dict[str, Any]:
    """The design's ladder with some of its tiers changed."""
    changed = deepcopy(POLICY["ladders"])
    for tier, more in tiers.items():
        changed["default"][tier] |= more
    return {"default": changed["default"]}


def directory(
    people: Mapping[str, Mapping[str, Any]] | None = None, **parts: Mapping[str, Any]
) -> dict[str, Any]:
    """The directory above. `people` adds to entries, the other parts replace what they name."""
    changed = deepcopy(DIRECTORY)
    for person, more in (people or {}).items():
        known = changed["people"].setdefault(person, {"name": person, "routes": _TERMINAL})
        known |= more
    for part, entries in parts.items():
        changed[part] |= entries
    return changed


def moment(text: str | datetime) -> Instant:
    """When Berlin's clocks show `2026-11-02 09:00`; a time with an offset is itself."""
    found = datetime.fromisoformat(text) if isinstance(text, str) else text
    return to_instant(found if found.tzinfo else found.replace(tzinfo=BERLIN))


def shown(instant: int) -> str:
    """An instant as stories write it: to the minute, for what falls due is seen just after it."""
    return iso(instant, BERLIN)[:16].replace("T", " ")


# --- events ---------------------------------------------------------------------------------------


class Event(NamedTuple):
    """An event to be given. Without `at` it bears the time at which it is given."""

    type: str
    data: dict[str, Any]
    source: str
    at: str | None = None
    id: str | None = None


def _when(text: str | None) -> str | None:
    """A day as it is; a time with its offset."""
    return text if text is None or len(text) == 10 else iso(moment(text), BERLIN)


def line(sku: str, quantity: str = "100", **more: Any) -> dict[str, Any]:
    """A line of an order, a delivery, a report."""
    if "promised_at" in more:
        more["promised_at"] = _when(more["promised_at"])
    return {"sku": sku, "quantity": quantity, **more}


def _data(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def placed(
    order: str,
    partner: str = "kontor",
    *,
    promised: str,
    lines: Sequence[dict[str, Any]] | None = None,
    currency: str | None = "EUR",
    **event: Any,
) -> Event:
    """An order, of a hundred lamps at 10 EUR unless `lines` says otherwise."""
    data = {
        "partner_id": partner,
        "order_id": order,
        "promised_at": _when(promised),
        "lines": lines or [line("LAMP", unit_price="10")],
    }
    return Event("order.placed", data | _data(currency=currency), "/erp", **event)


def delivery(
    order: str,
    partner: str = "kontor",
    *,
    lines: Sequence[dict[str, Any]] | None = None,
    on: str | None = None,
    final: bool | None = None,
    delivery_id: str = "D-1",
    **event: Any,
) -> Event:
    """A delivery, of the hundred lamps unless `lines` says otherwise."""
    data = _data(
        partner_id=partner,
        order_id=order,
        delivery_id=delivery_id,
        delivered_at=_when(on),
        lines=[line("LAMP")] if lines is None else lines,
        final=final,
    )
    return Event("delivery.completed", data, "/erp", **event)


def impacted(
    order: str, kind: str, partner: str = "kontor", *, event_id: str | None = None, **said: Any
) -> Event:
    """A report about an order."""
    data = {"partner_id": partner, "order_id": order, "kind": kind, **said}
    return Event("order.impacted", data, "/erp", id=event_id)


def opened(
    ticket: str, partner: str = "kontor", *, category: str = "question", **said: Any
) -> Event:
    """A ticket."""
    data = {"partner_id": partner, "ticket_id": ticket, "category": category, **said}
    return Event("ticket.opened", data, "/helpdesk")


# --- what stories expect --------------------------------------------------------------------------


class Told(NamedTuple):
    """One entry of a message that arrived."""

    message: Message
    entry: Entry

    def __str__(self) -> str:
        entry = self.entry
        extra = f" ({entry.on_behalf})" if entry.on_behalf else ""
        if entry.would_have_told is not None:
            extra += f" (would have told {', '.join(entry.would_have_told)})"
        return (
            f"{shown(self.message.sent_at)}  {self.message.person} hears {entry.kind} "
            f"as {entry.tier}{extra}: {entry.headline}"
        )


@dataclass(frozen=True)
class Happened:
    """A step of the case about a subject. What is None may be anything."""

    name: str
    tier: str | None = None
    at: str | None = None
    """When it happened, in effective time."""
    by: str | None = None
    why: str | None = None
    """Part of the summary or of one line of its arithmetic."""

    kind: ClassVar[StepKind]

    def matches(self, step: StepRow) -> bool:
        """Whether this is the step; its case has been looked at before."""
        receipt = step.receipt
        lines = [receipt["summary"], receipt["note"] or "", *_texts(receipt["why"])]
        return (
            step.kind is self.kind
            and self.tier in (None, step.tier)
            and self.at in (None, shown(step.at))
            and self.by in (None, step.actor)
            and (self.why is None or any(self.why in str(text) for text in lines))
        )


def _texts(lines: object) -> list[str]:
    assert isinstance(lines, list)
    return lines


class Watched(Happened):
    """Below the tiers."""

    kind = StepKind.WATCHED


class Opened(Happened):
    """A case opened."""

    kind = StepKind.OPENED


class Raised(Happened):
    """A further rule put it at a higher tier."""

    kind = StepKind.RAISED


class Matched(Happened):
    """A further rule matched that asks for nothing new."""

    kind = StepKind.MATCHED


class Attached(Happened):
    """It counts as part of a disruption."""

    kind = StepKind.ATTACHED


class Cleared(Happened):
    """A disruption is over."""

    kind = StepKind.CLEARED


class Breached(Happened):
    """A tier let its time pass."""

    kind = StepKind.BREACHED


class Escalated(Happened):
    """It climbed a tier."""

    kind = StepKind.ESCALATED


class NotClimbed(Happened):
    """It stays, and the stand-in and operations are told."""

    kind = StepKind.NOT_CLIMBED


class Deescalated(Happened):
    """It went down a tier."""

    kind = StepKind.DEESCALATED


class Acknowledged(Happened):
    """Somebody owns up to it."""

    kind = StepKind.ACKNOWLEDGED


class Assigned(Happened):
    """It has a new owner."""

    kind = StepKind.ASSIGNED


class Waiting(Happened):
    """Nothing to do until the partner answers."""

    kind = StepKind.WAITING


class Snoozed(Happened):
    """Put off."""

    kind = StepKind.SNOOZED


class Woken(Happened):
    """Back to work."""

    kind = StepKind.WOKEN


class Commented(Happened):
    """A remark, or a command that could only be one."""

    kind = StepKind.COMMENTED


class Resolved(Happened):
    """Solved."""

    kind = StepKind.RESOLVED


class Closed(Happened):
    """Put away."""

    kind = StepKind.CLOSED


class Reopened(Happened):
    """Not solved after all."""

    kind = StepKind.REOPENED


class Moved(Happened):
    """Judged under another policy."""

    kind = StepKind.MOVED


class Disputed(Happened):
    """Somebody says that it is wrong."""

    kind = StepKind.DISPUTED


class DisputeDecided(Happened):
    """A dispute has its verdict."""

    kind = StepKind.DISPUTE_DECIDED


class Retracted(Happened):
    """It was wrong."""

    kind = StepKind.RETRACTED


@dataclass(frozen=True)
class Hears:
    """Somebody is told. What is None may be anything."""

    person: str | None = None
    kind: EntryKind | None = None
    about: str | None = None
    tier: str | None = None
    at: str | None = None
    """When the message went out."""
    why: str | None = None
    """Part of the headline, of a line of the arithmetic, or of why they read this."""

    def matches(self, told: Told, about: str | None) -> bool:
        """Whether this is what was told; `about` is the case that the story means."""
        message, entry = told
        lines = [entry.headline, *entry.why, entry.note or "", entry.on_behalf or ""]
        return (
            self.person in (None, message.person)
            and self.kind in (None, entry.kind)
            and about in (None, entry.case_id)
            and self.tier in (None, entry.tier)
            and self.at in (None, shown(message.sent_at))
            and (self.why is None or any(self.why in text for text in lines))
        )


class Notified(Hears):
    """A tier is asked to acknowledge."""

    def __init__(self, tier: str, about: str | None = None, at: str | None = None) -> None:
        super().__init__(kind=EntryKind.ALERT, tier=tier, about=about, at=at)


@dataclass(frozen=True)
class Stands:
    """Where a case is now. What is None may be anything."""

    name: str
    state: State | None = None
    tier: str | None = None
    owner: str | None = None
    due: str | None = None
    rules: tuple[str, ...] | None = None


@dataclass(frozen=True)
class NoCase:
    """There is none about this subject, nor was there one."""

    name: str


Expectation = Happened | Hears | Stands | NoCase


# --- the timeline ---------------------------------------------------------------------------------


@dataclass
class _News:
    """What happened since a story last looked."""

    steps: list[StepRow] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)


class Timeline:
    """One house in which a story plays. Close it at the end."""

    def __init__(
        self,
        database: Path,
        policy_document: Mapping[str, Any] | None = None,
        directory_document: Mapping[str, Any] | None = None,
    ) -> None:
        self.store = Store.open(f"sqlite:///{database}")
        self.now = Instant(0)
        self.notifier = MemoryNotifier()
        self._policies = [(Instant(0), policy_document or POLICY)]
        self._directory = Directory.model_validate(directory_document or DIRECTORY)
        self._runner = asyncio.Runner()
        self._names: dict[str, str] = {}
        self._news = _News()
        self._seen: dict[tuple[str, str], tuple[int, Instant | None]] = {}
        self._heard = 0
        self._count = 0
        self._relay_wakes: Instant | None = None
        self._down_since: Instant | None = None

    def close(self) -> None:
        """Give back what the story held."""
        self._runner.close()
        self.store.close()

    # -- the house -----------------------------------------------------------------------------

    def _start(self) -> None:
        """A new process on the same store: whatever was in memory is gone."""
        compiled = [
            (start, compile_policy(Policy.model_validate(document), f"policy-{n}"))
            for n, (start, document) in enumerate(self._policies, 1)
        ]
        history = PolicyHistory(tuple(compiled))
        newest = history.newest
        recipients = Recipients(self._directory, newest.calendars, newest.default_tier)
        with self.store.reading() as tx:
            heard = {
                name: SourceProgress(feed.last_event_at, feed.last_recorded_at)
                for name, feed in tx.feeds().items()
            }
        self.feeds = FeedWatch(newest.document, heard, self.now, self._down_since)
        self.handler = Handler(self.store, history, recipients, self.feeds.horizon, self.feeds.hear)
        house = House(newest.document, recipients, newest.calendars)
        notifiers: Notifiers = dict.fromkeys(("terminal", "slack", "email"), self.notifier)
        self.relay = Relay(self.store.reading, self._write, lambda: house, notifiers, Random(1))

    async def _write(self, work: Callable[[Transaction], None]) -> None:
        with self.store.transaction() as tx:
            work(tx)

    def restart(self, **away: float) -> None:
        """The process ends now, and another one starts on the same store some time later."""
        self._down_since = self.now
        self.now = Instant(self.now + _length(away))
        self._start()
        self._do_what_is_due()

    def new_policy(self, active_from: str, **parts: Any) -> None:
        """Another version of the policy, as its activation leaves it: known, and armed."""
        start = moment(active_from)
        self._policies.append((start, {**self._policies[-1][1], **parts}))
        with self.store.transaction() as tx:
            tx.arm_for_policy(start)
        self._start()

    def new_directory(self, document: Mapping[str, Any]) -> None:
        """Another directory, at once."""
        self._directory = Directory.model_validate(document)
        self._start()

    # -- the clock -----------------------------------------------------------------------------

    def at(self, time: str) -> None:
        """Let the clock run until it shows a time; the first time is where the story begins."""
        instant = moment(time)
        if self.now == 0:
            self.now = instant
            self._start()
        self._run_until(instant)

    def advance(self, **time: float) -> None:
        """Let the clock run for some `days`, `hours`, `minutes`."""
        self._run_until(Instant(self.now + _length(time)))

    def _run_until(self, target: Instant) -> None:
        assert target >= self.now, f"the clock shows {shown(self.now)} and never runs back"
        while (following := self._next_moment()) is not None and following <= target:
            self.now = following
            self._do_what_is_due()
        self.now = target
        self._do_what_is_due()

    def _next_moment(self) -> Instant | None:
        """The next instant at which a process that looks at the clock all the time would act."""
        with self.store.reading() as tx:
            due = tx.next_due()
        sources = self.feeds.policy.sources.values()
        lags = {0, *(source.reporting_lag.amount for source in sources)}
        # A deadline is decided once all that came by its instant has been read: just after it.
        moments = [at + lag + 1 for at in due.feeds.values() for lag in lags]
        if due.people is not None:
            moments.append(due.people + 1)
        if self._relay_wakes is not None:
            moments.append(self._relay_wakes)
        if self._down_since is not None:
            moments.append(self.feeds.up_since + self.feeds.policy.patience.grace_after_gap.amount)
        return Instant(min((at for at in moments if at > self.now), default=0)) or None

    def _do_what_is_due(self) -> None:
        for _ in range(1_000):
            if not self.handler.tick(self.now):
                break
        else:
            pytest.fail(f"the deadlines at {shown(self.now)} are decided again and again")
        report = self._runner.run(self.relay.run_once(self.now))
        self._relay_wakes = report.next_wake
        self._gather()

    # -- what happens --------------------------------------------------------------------------

    def given(self, *events: Event, outcome: type[Outcome] | None = out.Accepted) -> list[Outcome]:
        """Events come in, all in one batch. Each must have that outcome, or any with None."""
        records = [RawRecord("story", f"event {n}", self._bytes(e)) for n, e in enumerate(events)]
        answers = self.handler.take(records, self.now)
        self._do_what_is_due()
        for event, answer in zip(events, answers, strict=True):
            if outcome is not None and not isinstance(answer, outcome):
                pytest.fail(f"{event}\n  became {answer}, not {outcome.__name__}{self}")
        return answers

    def _bytes(self, event: Event) -> bytes:
        self._name(event)
        self._count += 1
        envelope = {
            "specversion": "1.0",
            "id": event.id or f"e{self._count}",
            "source": event.source,
            "type": event.type,
            "time": iso(self.now if event.at is None else moment(event.at), BERLIN),
            "data": event.data,
        }
        return json.dumps(envelope).encode()

    def _name(self, event: Event) -> None:
        partner = event.data.get("partner_id", "")
        for kind in (Kind.DISRUPTION, Kind.TICKET, Kind.ORDER):
            name = event.data.get(f"{kind}_id")
            if name is not None and event.type.startswith(("order", "delivery", "ticket", "disr")):
                self._names[name] = subject_key(kind, partner, name)
                return

    def order(self, order: str, partner: str = "kontor", **said: Any) -> None:
        """An order is placed; see `placed`."""
        self.given(placed(order, partner, **said))

    def delivered(self, order: str, partner: str = "kontor", **said: Any) -> None:
        """A delivery comes; see `delivery`."""
        self.given(delivery(order, partner, **said))

    def ticket(self, ticket: str, partner: str = "kontor", **said: Any) -> None:
        """A ticket is opened; see `opened`."""
        self.given(opened(ticket, partner, **said))

    def said(self, type_: str, /, **data: Any) -> None:
        """An event of the trade, with these fields."""
        source = "/helpdesk" if type_.startswith("ticket.") else "/erp"
        for name in ("eta", "promised_at", "delivered_at"):
            if name in data:
                data[name] = _when(data[name])
        self.given(Event(type_, data, source))

    def command(
        self, verb: str, name: str, by: str, *, outcome: type[Outcome] = out.Accepted, **needs: Any
    ) -> None:
        """Somebody decides something about the case of a subject."""
        if "until" in needs:
            needs["until"] = _when(needs["until"])
        data = {"case_id": self.case_id(name), "actor": by, **needs}
        self.given(Event(f"case.{verb}", data, "/cli"), outcome=outcome)

    def ack(self, name: str, by: str, **needs: Any) -> None:
        """Somebody acknowledges a case."""
        self.command("acknowledged", name, by, **needs)

    # -- what came of it -----------------------------------------------------------------------

    def pattern(self, rule: str, by: str, value: str, partner: str = "") -> str:
        """The name of a pattern's case, for stories to speak of."""
        name = f"{rule} of {value} of {partner or 'all'}"
        self._names[name] = pattern_key(partner, f"{rule}/{by}", value)
        return name

    def key(self, name: str) -> str:
        """The key of the subject that a story calls so."""
        assert name in self._names, f"nothing was said of {name!r} yet"
        return self._names[name]

    def case_id(self, name: str) -> str:
        """The id of the case about a subject, whether there is one or not."""
        return case_id(self.key(name))

    def case(self, name: str) -> CaseRow | None:
        """The case about a subject."""
        with self.store.reading() as tx:
            return tx.case(self.case_id(name))

    def cases(self) -> list[CaseRow]:
        """All cases."""
        with self.store.reading() as tx:
            return tx.list_cases()

    def steps(self, name: str) -> list[StepRow]:
        """All steps of the case about a subject, withdrawn ones included."""
        with self.store.reading() as tx:
            return tx.steps(self.case_id(name))

    def outbox(self, name: str) -> list[OutboxEntry]:
        """All that was to be told about a subject."""
        with self.store.reading() as tx:
            return tx.list_outbox(case_id=self.case_id(name))

    def told(self, person: str | None = None) -> list[Told]:
        """All that is news, or all that one person ever heard."""
        if person is None:
            return list(self._news.told)
        heard = [message for message in self.notifier.told if message.person == person]
        return [Told(message, entry) for message in heard for entry in message.entries]

    def rejected(self) -> list[RejectedRow]:
        """What was not taken."""
        with self.store.reading() as tx:
            return tx.list_rejected()

    def _gather(self) -> None:
        """Note what is new since the last look."""
        with self.store.reading() as tx:
            for case in tx.list_cases():
                if self._seen.get((case.case_id, "")) == (case.changed_at, case.due):
                    continue
                for step in tx.steps(case.case_id):
                    mark = (step.decided_at, step.withdrawn_at)
                    if self._seen.get((case.case_id, step.key)) != mark:
                        self._seen[case.case_id, step.key] = mark
                        if step.withdrawn_at is None:
                            self._news.steps.append(step)
        arrived = self.notifier.told[self._heard :]
        self._heard += len(arrived)
        self._news.told += [
            Told(message, entry) for message in arrived for entry in message.entries
        ]

    # -- expectations --------------------------------------------------------------------------

    def expect(self, *expectations: Expectation) -> None:
        """Each of these is so, or is among the news, which it then no longer is."""
        for expected in expectations:
            match expected:
                case Stands():
                    self._expect_standing(expected)
                case NoCase(name):
                    if self.case(name) is not None:
                        pytest.fail(f"there is a case about {name}{self}")
                case Happened():
                    self._take_step(expected)
                case Hears():
                    self._take_told(expected)

    def _take_step(self, expected: Happened) -> None:
        about = self.case_id(expected.name)
        for step in self._news.steps:
            if step.case_id == about and expected.matches(step):
                self._news.steps.remove(step)
                return
        pytest.fail(f"not among the news: {expected}{self}")

    def _take_told(self, expected: Hears) -> None:
        about = None if expected.about is None else self.case_id(expected.about)
        for told in self._news.told:
            if expected.matches(told, about):
                self._news.told.remove(told)
                return
        pytest.fail(f"nobody was told so: {expected}{self}")

    def _expect_standing(self, expected: Stands) -> None:
        case = self.case(expected.name)
        if case is None:
            pytest.fail(f"there is no case about {expected.name}{self}")
        due = None if case.due is None else shown(case.due)
        found = Stands(
            expected.name,
            case.state if expected.state is not None else None,
            case.tier if expected.tier is not None else None,
            case.owner if expected.owner is not None else None,
            due if expected.due is not None else None,
            case.rules if expected.rules is not None else None,
        )
        if found != expected:
            pytest.fail(f"expected {expected}\n   found {found}{self}")

    def expect_nobody_told(self) -> None:
        """Nobody was told anything that the story has not named."""
        if self._news.told:
            lines = "".join(f"\n  {told}" for told in self._news.told)
            pytest.fail(f"somebody was told:{lines}{self}")

    def expect_no_step(self) -> None:
        """No step was taken that the story has not named."""
        if self._news.steps:
            lines = "".join(f"\n  {line}" for step in self._news.steps for line in _lines(step))
            pytest.fail(f"something happened:{lines}{self}")

    def expect_silence(self) -> None:
        """Nothing happened, and nobody was told, that the story has not named."""
        self.expect_no_step()
        self.expect_nobody_told()

    def skip(self) -> None:
        """What happened until now is not what the story is about."""
        self._news = _News()

    def __str__(self) -> str:
        """The whole story so far, for whoever must find out what went wrong."""
        return "\n".join(["", "", f"The story until {shown(self.now)}:", *self._story()])

    def _story(self) -> Iterator[str]:
        names = {case_id(key): name for name, key in self._names.items()}
        with self.store.reading() as tx:
            cases = tx.list_cases()
            for case in cases[:20]:
                name = names.get(case.case_id, case.subject)
                due = "" if case.due is None else f", {case.waits_for} due {shown(case.due)}"
                yield f"{name}: {case.state} at {case.tier}, rules {', '.join(case.rules)}{due}"
                for step in tx.steps(case.case_id):
                    yield from (f"  {text}" for text in _lines(step))
            if len(cases) > 20:
                yield f"... and {len(cases) - 20} more cases"
            for row in tx.list_rejected(limit=5):
                yield f"rejected: {row.entry.reason}"
            waiting = [e for e in tx.list_outbox(limit=200) if e.reason is not None]
            for entry in waiting[:10]:
                effect = entry.effect
                yield f"outbox: {effect.kind} to {effect.role}: {entry.status}, {entry.reason}"
        told = [Told(message, entry) for message in self.notifier.told for entry in message.entries]
        yield from (f"told: {one}" for one in told[:40])


def _lines(step: StepRow) -> Iterable[str]:
    gone = "" if step.withdrawn_at is None else f", withdrawn {shown(step.withdrawn_at)}"
    yield (
        f"{shown(step.at)}  {step.kind} at {step.tier} (decided {shown(step.decided_at)}{gone}): "
        f"{step.receipt['summary']}"
    )
    yield from (f"                    {text}" for text in _texts(step.receipt["why"]))


def _length(time: Mapping[str, float]) -> int:
    units = {"days": DAY, "hours": HOUR, "minutes": MINUTE}
    return sum(int(units[unit] * n) for unit, n in time.items())
