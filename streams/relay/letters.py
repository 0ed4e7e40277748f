"""Effects become the messages that notifiers send."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import urlsplit

from notifiers.message import Asked, Entry, EntryKind, Message
from notifiers.report_message import ReportName, Reports, no_reports
from rules.decision import CaseRow, Effect, EffectKind
from schemas.directory import EmailRoute, Route, SlackRoute, TerminalRoute, WebhookRoute
from schemas.time import Instant
from streams.relay.addressing import Addressee, Addressing
from streams.relay.history import History, Progress, bundle_of, key_of, place_of
from streams.relay.house import House
from streams.relay.reasons import HANDED_OVER
from streams.store import Attached, DeliveryStatus

_KINDS = {
    EffectKind.ALERT: EntryKind.ALERT,
    EffectKind.NOTICE: EntryKind.NOTICE,
    EffectKind.UPDATE: EntryKind.UPDATE,
    EffectKind.RETRACTION: EntryKind.RETRACTION,
    EffectKind.OPERATIONS: EntryKind.OPERATIONS,
    EffectKind.WARNING: EntryKind.WARNING,
    EffectKind.JOINED: EntryKind.UPDATE,
    EffectKind.REPORT: EntryKind.REPORT,
}


NOTHING_JOINED: Mapping[str, Attached] = {}


@dataclass(frozen=True)
class Job:
    """One effect on its way to one person, over the route that is tried now."""

    seq: int
    effect: Effect
    addressee: Addressee
    reminder: int
    """Which reminder, from 1; 0 for the first telling, less for one that took a further route."""
    number: int
    """The route's place among the person's routes, from 1."""
    route: Route
    is_last: bool
    """Whether no route comes after it."""
    progress: Progress
    """How far it had come before."""
    silent: bool = False
    """Only puts right what the person sees already (`Entry.silent`)."""
    unanswered: str | None = None
    """The place at which the person was told before, and nobody acknowledged it."""

    @property
    def person(self) -> str:
        """Whom it goes to."""
        return self.addressee.person

    @cached_property
    def key(self) -> str:
        """Its idempotency key."""
        return key_of(self.effect.effect_id, self.person, self.reminder)

    @cached_property
    def route_name(self) -> str:
        """The route as records show it."""
        return route_name(self.number, self.route)

    @property
    def place(self) -> str:
        """Where the route leads, whoever reads there."""
        return place_of(self.route_name)

    @property
    def attempts(self) -> int:
        """Failed attempts over this route since the effect was last queued."""
        return self.progress.attempts.get(self.route_name, 0)

    @property
    def tried_alone(self) -> bool:
        """Whether it may have arrived in a message of its own."""
        return self.progress.tries > 0 and self.progress.bundle_id is None

    def case(self, cases: Mapping[str, CaseRow]) -> CaseRow | None:
        """The case it is about."""
        return None if self.effect.case_id is None else cases.get(self.effect.case_id)

    @property
    def why_them(self) -> str | None:
        """For the reader: why they are told, and told here, where that is not plain."""
        if self.unanswered is None:
            return self.addressee.on_behalf
        kind = self.unanswered.partition(" ")[0]
        return f"nobody has acknowledged it since you were told by {kind}"

    def how_found(self, addressed: Mapping[str, Addressing]) -> str | None:
        """For the record: why this person and not another, or for whom in shadow mode."""
        if self.addressee.would_have_told is not None:
            return f"would have told {', '.join(self.addressee.would_have_told) or 'nobody'}"
        if self.unanswered is not None:
            return f"{HANDED_OVER}: not acknowledged by {self.unanswered}"
        if self.addressee.on_behalf is None:
            return None
        return " ".join(addressed[self.effect.effect_id].steps)


@dataclass(frozen=True)
class Letter:
    """Jobs that travel in one message."""

    jobs: tuple[Job, ...]

    @property
    def person(self) -> str:
        """Whom it goes to."""
        return self.jobs[0].person

    @cached_property
    def key(self) -> str:
        """The idempotency key of the message."""
        if len(self.jobs) == 1:
            return self.jobs[0].key
        return bundle_of(job.key for job in self.jobs)

    @property
    def bundle_id(self) -> str | None:
        """The key of a bundle, None for a message about one thing."""
        return self.key if len(self.jobs) > 1 else None

    @property
    def is_silent(self) -> bool:
        """Whether it only puts right what stands there already."""
        return self.jobs[0].silent

    @property
    def status(self) -> DeliveryStatus:
        """What is recorded once it has arrived."""
        if self.jobs[0].addressee.would_have_told is not None:
            return DeliveryStatus.WOULD_HAVE_TOLD
        return DeliveryStatus.SENT if self.bundle_id is None else DeliveryStatus.BUNDLED


def route_name(number: int, route: Route) -> str:
    """A route for people and records: `1 webhook hooks.example.com`. Never the whole url."""
    match route:
        case TerminalRoute():
            return f"{number} terminal"
        case WebhookRoute():
            return f"{number} webhook {_host(route.url)}".rstrip()
        case SlackRoute():
            team = f"{route.team}/" if route.team else ""
            return f"{number} slack {team}{route.channel or route.user}"
        case EmailRoute():
            return f"{number} email {route.address}"


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def compose(
    letter: Letter,
    cases: Mapping[str, CaseRow],
    house: House,
    history: History,
    now: Instant,
    tried_by: Instant | None,
    reports: Reports = no_reports,
    joined: Mapping[str, Attached] = NOTHING_JOINED,
) -> Message:
    """The message of a letter, in the light of the cases as they stand.

    `joined` has what is late under those of them that are disruptions.

    By `tried_by` it may have been sent by a process that ended before it could write that down.
    """
    person = letter.jobs[0].addressee.person
    attempt = 1 + max(job.progress.tries for job in letter.jobs)
    entries = (
        replace(entry, joined=_joined(joined.get(entry.case_id or "")))
        for job in letter.jobs
        for entry in (_told(job, job.case(cases), house, history, now),)
    )
    return Message(
        idempotency_key=letter.key,
        person=person,
        name=house.name(person),
        zone=house.zone(person),
        sent_at=now,
        attempt=attempt,
        entries=tuple(with_content(entry, reports) for entry in entries),
        may_have_arrived=now if attempt > 1 else tried_by,
    )


def _joined(attached: Attached | None) -> str | None:
    """`40 orders of 9 partners, 12 of them open`."""
    if attached is None:
        return None
    orders = f"{attached.cases} order{'s' if attached.cases != 1 else ''}"
    partners = f"{attached.partners} partner{'s' if attached.partners != 1 else ''}"
    return f"{orders} of {partners}, {attached.still_open} of them open"


def with_content(entry: Entry, reports: Reports) -> Entry:
    """An entry with what is to be read, if it names a report."""
    if entry.report_name is None:
        return entry
    return replace(entry, report=reports(entry.report_name))


def _told(job: Job, case: CaseRow | None, house: House, history: History, now: Instant) -> Entry:
    entry = _entry(job, case, house, now)
    earlier = history.references(job.effect.case_id, job.place)
    if not earlier:
        return entry
    alert = history.alert_at(job.effect.case_id, job.place)
    before = None
    if alert is not None and alert.effect_id != job.effect.effect_id:
        before = _entry(replace(job, effect=alert, reminder=0), case, house, now)
    return replace(entry, earlier=earlier, alert=before, silent=job.silent)


def _entry(job: Job, case: CaseRow | None, house: House, now: Instant) -> Entry:
    entry = entry_of(job.effect, case, house, now)
    return replace(
        entry,
        idempotency_key=job.key,
        kind=EntryKind.REMINDER if job.reminder > 0 else entry.kind,
        reminder=max(job.reminder, 0),
        on_behalf=job.why_them,
        would_have_told=job.addressee.would_have_told,
    )


def entry_of(effect: Effect, case: CaseRow | None, house: House, now: Instant) -> Entry:
    """What an effect tells at this moment, whoever reads it."""
    text = effect.text
    partner = _str(text, "partner") or effect.partner_id or ""
    state = effect.state or (case.state if case else None)
    owner = case.owner if case else None
    return Entry(
        effect_id=effect.effect_id,
        idempotency_key=effect.effect_id,
        kind=_KINDS[effect.kind],
        case_id=effect.case_id,
        tier=effect.tier,
        partner=house.partner_name(effect.partner_id) or partner,
        partner_tier=case.partner_tier if case else _str(text, "partner_tier"),
        subject=_str(text, "subject") or "",
        headline=house.headline(_str(text, "headline") or "", effect.partner_id, effect.actor),
        exposure=_str(text, "exposure"),
        why=_lines(text.get("why")),
        at=effect.at,
        due=effect.due,
        next=_str(text, "next"),
        note=_str(text, "note"),
        urgent=effect.urgent,
        of_reminders=effect.remind_at_most,
        state=None if state is None else state.value,
        owner=None if owner is None else house.name(owner),
        asked=_asked(effect, case, house, now),
        report_name=_report_name(text.get("report")),
    )


def _asked(effect: Effect, case: CaseRow | None, house: House, now: Instant) -> Asked | None:
    """Who is to acknowledge the case, where that is another role than the one told."""
    role = None if case is None else house.role_asked(case)
    if case is None or case.due is None or role in {None, effect.role}:
        return None
    people = house.recipients.resolve(role, case.partner_id or None, now).people
    return Asked(case.tier, tuple(map(house.name, people)), case.due)


def _report_name(said: object) -> ReportName | None:
    match said:
        case {"kind": str(kind), "key": str(key)}:
            return ReportName(kind, key)
        case _:
            return None


def _str(text: dict[str, object], name: str) -> str | None:
    value = text.get(name)
    return None if value is None or value == "" else str(value)


def _lines(value: object) -> tuple[str, ...]:
    return tuple(str(line) for line in value) if isinstance(value, Sequence) else ()


def grouped(jobs: Sequence[Job], *, together: bool) -> list[Letter]:
    """One letter for all of these jobs that can share one, or one for each.

    What is told in shadow and what is told for real never share a message, nor do different
    routes.
    """
    if not together:
        return [Letter((job,)) for job in jobs]
    groups: dict[tuple[str, bool], list[Job]] = {}
    for job in jobs:
        shadow = job.addressee.would_have_told is not None
        groups.setdefault((job.route_name, shadow), []).append(job)
    return [Letter(tuple(group)) for group in groups.values()]
