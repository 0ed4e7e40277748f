"""Deciding a batch: statements and the subjects that they are about, to changes.

One subject at a time, and one at fault stops no other: if its fold raises, the statement that
made it raise and those that follow it are set aside, with the reason.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rules.clock_news import ClockNews, Reading, ladder_news, ticket_news, touchpoint_news
from rules.clocks.warning_times import may_warn
from rules.decision import (
    WITH_CLOCKS,
    CaseRow,
    Changes,
    JournalEntry,
    Kind,
    Occurrence,
    Rejected,
    StepRow,
    SubjectRow,
)
from rules.orders import version_of
from rules.patterns import Pattern
from rules.screen import screen_order, screen_ticket
from rules.story import Folded, fold
from rules.subjects import (
    Contribution,
    Document,
    Statement,
    read_document,
    split_key,
    write_document,
)
from rules.tickets import Ticket
from rules.world import Horizon, World
from schemas.time import Instant

EMPTY = Document([], {}, [])


class Taken(NamedTuple):
    """A statement with where it came from: its bytes are kept if its subject has a case."""

    statement: Statement
    place: int
    """Its record's place in the batch; -1 for what Detente says itself."""
    value: bytes
    input: str
    position: str


@dataclass(slots=True)
class Verdicts:
    """What became of each record of the batch, by its place."""

    duplicate: set[int] = field(default_factory=set)
    conflict: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Decision:
    """Changes so far, with the rows as they will stand, so that a later round can go on."""

    changes: Changes = field(default_factory=Changes)
    verdicts: Verdicts = field(default_factory=Verdicts)
    subjects: dict[str, SubjectRow] = field(default_factory=dict)
    cases: dict[str, CaseRow] = field(default_factory=dict)
    touched: set[tuple[str, str, str]] = field(default_factory=set)
    """(partner, dimension, value) of occurrences that came or went."""

    def finish(self) -> Changes:
        """The changes, with each subject and case once, as it stands at the end."""
        self.changes.subjects = list(self.subjects.values())
        self.changes.cases = list(self.cases.values())
        return self.changes


class Decider:
    """Decides one batch, in as many rounds as subjects touch others. Pure: time is given.

    Live, everything in the batch is decided at `now`, with what has been read up to `horizon`.
    In a replay `virtual` gives the horizon of an earlier instant: each statement is decided at
    the time at which it was recorded, and the deadlines before it fire before it.
    """

    def __init__(
        self,
        world: World,
        horizon: Horizon,
        now: Instant,
        *,
        tell: bool,
        virtual: Callable[[int], Horizon] | None = None,
    ) -> None:
        self.world = world
        self.horizon = horizon
        self.now = now
        self.tell = tell
        self.virtual = virtual
        self.decision = Decision()

    def take(self, taken: Iterable[Taken], rows: Mapping[str, SubjectRow]) -> None:
        """Fold statements into their subjects. `rows` are the stored ones among them."""
        by_key: dict[str, list[Taken]] = {}
        for item in taken:
            by_key.setdefault(item.statement.key, []).append(item)
        for key, items in by_key.items():
            row = self.decision.subjects.get(key) or rows.get(key)
            document = EMPTY if row is None else read_document(row.document)
            fresh = self._unknown_of(items, document, key)
            if not fresh:
                continue
            if self.virtual is None:
                self._add(key, row, document, fresh, self.horizon, self.now)
            else:
                self._add_one_by_one(key, row, document, fresh, self.virtual)

    def wake(self, row: SubjectRow, *, time_passed: bool = False) -> None:
        """Fold a subject anew because its surroundings changed, or only a deadline has come."""
        row = self.decision.subjects.get(row.key, row)
        self._refold(
            row, read_document(row.document), self.horizon, self.now, time_passed=time_passed
        )

    def warn(self, row: SubjectRow, case: CaseRow, steps: Sequence[StepRow]) -> None:
        """Warn of a case's deadlines, none of which has come: what was decided stands as it is."""
        document = read_document(row.document)
        standing = [step for step in steps if step.withdrawn_at is None]
        try:
            news = self._ladder_news(row.key, document, standing, case, self.horizon, self.now)
        except Exception as error:  # noqa: BLE001 - one subject at fault must not stop the others
            self._put_aside(row, error)
            return
        self.decision.changes.effects += news.effects
        self.decision.changes.called_off += news.called_off
        due = _earliest(case.due, news.next_due)
        self.decision.subjects[row.key] = row._replace(
            document=write_document(document._replace(told=news.told)),
            people_due=None if due is None else Instant(due),
        )

    def wake_pattern(
        self, key: str, row: SubjectRow | None, pattern: Pattern, occurrences: Sequence[Occurrence]
    ) -> None:
        """Fold a pattern with the occurrences that stand now."""
        row = self.decision.subjects.get(key) or row
        document = EMPTY if row is None else read_document(row.document)
        folded = self._fold(key, document, self.horizon, self.now, pattern, occurrences)
        if folded.case is not None:
            self._store(key, row, document, folded, [])

    def stop_clocks(self, row: SubjectRow) -> None:
        """Nothing is due for a subject any more until something is said of it."""
        row = self.decision.subjects.get(row.key, row)
        self.decision.subjects[row.key] = row._replace(feeds_due=None, people_due=None)

    # -- one subject ---------------------------------------------------------------------------

    def _add_one_by_one(
        self,
        key: str,
        row: SubjectRow | None,
        document: Document,
        items: list[Taken],
        horizon_at: Callable[[int], Horizon],
    ) -> None:
        items = sorted(items, key=lambda item: item.statement.contribution.recorded)
        if len(items) > 1 and self._add_together(key, row, document, items, horizon_at):
            return
        for item in items:
            recorded = Instant(item.statement.contribution.recorded)
            horizon = horizon_at(recorded - 1)
            if row is not None and _is_due(row, horizon):
                self._refold(row, document, horizon, recorded, time_passed=True)
                row = self.decision.subjects[key]
                document = read_document(row.document)
            self._add(key, row, document, [item], horizon, recorded)
            row = self.decision.subjects.get(key)
            document = EMPTY if row is None else read_document(row.document)

    def _add_together(
        self,
        key: str,
        row: SubjectRow | None,
        document: Document,
        items: list[Taken],
        horizon_at: Callable[[int], Horizon],
    ) -> bool:
        """Take at once what comes to the same as one by one: a ticket that no rule asks for.

        A clock tells of every instant that it has passed, however late it is looked at, unless
        its terms changed in between.
        """
        first = items[0].statement
        said = [item.statement.contribution for item in items]
        if first.kind is not Kind.TICKET or not _keeps_terms(document.contributions, said):
            return False
        whole = document._replace(contributions=[*document.contributions, *said])
        horizon = horizon_at(said[-1].recorded - 1)
        before = self._known(document, 0)
        return self._pass(key, row, first.kind, first.partner_id, whole, horizon, before)

    def _add(
        self,
        key: str,
        row: SubjectRow | None,
        document: Document,
        fresh: Sequence[Taken],
        horizon: Horizon,
        now: Instant,
    ) -> None:
        # By hand, for `_replace` is slow and this is the main path.
        whole = Document(
            [*document.contributions, *[item.statement.contribution for item in fresh]],
            document.taken,
            document.occurrences,
            document.read_until,
            document.told,
            document.since,
        )
        statement = fresh[0].statement
        if statement.kind is Kind.PATTERN:
            # Its occurrences are loaded by the shell, which wakes it; the command is kept now.
            self._keep(key, row, whole, fresh)
            return
        known = now if self.virtual is None else self._known(whole, now)
        if self._pass(key, row, statement.kind, statement.partner_id, whole, horizon, known):
            return
        try:
            folded = self._fold(key, whole, horizon, now)
        except Exception as error:  # noqa: BLE001 - one subject at fault must not stop the others
            self._isolate(key, row, document, fresh, error)
        else:
            self._store(key, row, document, folded, fresh)

    def _refold(
        self,
        row: SubjectRow,
        document: Document,
        horizon: Horizon,
        now: Instant,
        *,
        time_passed: bool,
    ) -> None:
        if document.contributions and self._pass(
            row.key, row, row.kind, row.partner_id, document, horizon, self._known(document, now)
        ):
            return
        try:
            folded = self._fold(row.key, document, horizon, now, only_news=time_passed)
        except Exception as error:  # noqa: BLE001 - one subject at fault must not stop the others
            self._put_aside(row, error)
        else:
            self._store(row.key, row, document, folded, [])

    def _pass(
        self,
        key: str,
        row: SubjectRow | None,
        kind: Kind,
        partner_id: str,
        document: Document,
        horizon: Horizon,
        now: int,
    ) -> bool:
        """Keep a subject that the screen lets pass. False: it must be folded.

        In a replay `now` is the decision time of what was known before.
        """
        if document.taken or document.occurrences:
            return False
        if kind is not Kind.ORDER and kind is not Kind.TICKET:
            return False
        world = self.world
        contributions = document.contributions
        news: ClockNews | None = None
        try:
            since = min([contribution.time for contribution in contributions])
            rules = world.steady_rules(kind, partner_id, since)
            if rules is None:
                return False  # rules may have changed on the way: the fold sees to that
            if kind is Kind.ORDER:
                quiet = screen_order(contributions, rules, horizon.orders, rules.calendar.zone)
            else:
                ticket = Ticket(key, partner_id, world)
                quiet = screen_ticket(contributions, ticket, rules, horizon.tickets)
                if quiet is not None:
                    latest = self._known(document, now)
                    reading = self._reading(horizon, horizon.tickets, now, latest)
                    news = ticket_news(key, document.told, ticket, world, reading)
        except Exception:  # noqa: BLE001 - the fold raises it again, and isolates the subject
            return False
        if quiet is None:
            return False
        began_at, feeds_due = quiet
        if news is not None:
            if news.told != document.told:
                document = document._replace(told=news.told)
            self.decision.changes.effects += news.effects
            self.decision.changes.called_off += news.called_off
            feeds_due = _earliest(feeds_due, news.next_due)
        self.decision.subjects[key] = SubjectRow(
            key,
            kind,
            partner_id,
            write_document(document),
            None if began_at is None else Instant(began_at),
            None if feeds_due is None else Instant(feeds_due),
            None,
            0 if row is None else row.version,
            has_case=False,
        )
        return True

    def _reading(self, horizon: Horizon, read: int, known: int, latest: int) -> Reading:
        lag = None if self.virtual is None else horizon.people - read
        return Reading(read, known, latest, lag, self.tell)

    def _unknown_of(self, items: list[Taken], document: Document, key: str) -> list[Taken]:
        if len(items) == 1:
            event_id = items[0].statement.contribution.id
            for c in document.contributions:
                if c.id == event_id:
                    break
            else:
                return items
        known = {(c.source, c.id): c for c in document.contributions}
        fresh = []
        for item in items:
            said = item.statement.contribution
            earlier = known.get((said.source, said.id))
            if earlier is None:
                known[said.source, said.id] = said
                fresh.append(item)
            elif earlier.same_content(said):
                self.decision.verdicts.duplicate.add(item.place)
            else:
                reason = with_other_content(said.source, said.id)
                self.decision.verdicts.conflict[item.place] = reason
                self._reject(item, key, reason, "conflicting duplicate")
        return fresh

    def _fold(
        self,
        key: str,
        document: Document,
        horizon: Horizon,
        now: Instant,
        pattern: Pattern | None = None,
        occurrences: Sequence[Occurrence] = (),
        *,
        only_news: bool = False,
    ) -> Folded:
        folded = fold(
            key,
            document,
            self.world,
            horizon,
            now,
            tell=self.tell,
            virtual=self.virtual is not None,
            only_news=only_news,
            pattern=pattern,
            occurrences=occurrences,
        )
        self._look_at_clocks(key, document, horizon, now, folded)
        return folded

    def _look_at_clocks(
        self, key: str, document: Document, horizon: Horizon, now: Instant, folded: Folded
    ) -> None:
        """Add to a fold what is to be told of the subject's clocks, and when to look again."""
        case = folded.case
        kind, partner_id, _ = split_key(key)
        if kind in WITH_CLOCKS:
            known = self._known(document, now)
            read = max(horizon.feeds(kind), document.read_until)
            reading = self._reading(horizon, read, known, known)
            if kind is Kind.TICKET:
                ticket = _ticket(key, partner_id, document.contributions, self.world)
                if case is not None and case.owner is not None:
                    ticket.own(case.opened_at, case.owner)
                news = ticket_news(key, document.told, ticket, self.world, reading, case)
            else:
                news = touchpoint_news(key, document, self.world, reading)
            _add_news(folded, news)
            folded.feeds_due = _earliest(folded.feeds_due, news.next_due)
        settings = self.world.policies.at(horizon.people).document.clocks
        if case is not None and folded.steps and (folded.document.told or may_warn(settings)):
            news = self._ladder_news(key, folded.document, folded.steps, case, horizon, now)
            _add_news(folded, news)
            folded.people_due = _earliest(folded.people_due, news.next_due)

    def _ladder_news(
        self,
        key: str,
        document: Document,
        steps: Sequence[StepRow],
        case: CaseRow,
        horizon: Horizon,
        now: Instant,
    ) -> ClockNews:
        known = self._known(document, now)
        people = self._reading(horizon, horizon.people, known, known)
        return ladder_news(key, document, steps, case, self.world, people)

    def _known(self, document: Document, now: int) -> int:
        """When what is found in a document is decided at the earliest."""
        if self.virtual is None:
            return now
        return max([c.recorded for c in document.contributions], default=0)

    def _isolate(
        self,
        key: str,
        row: SubjectRow | None,
        document: Document,
        items: Sequence[Taken],
        error: Exception,
    ) -> None:
        """Keep what can be folded before the statement at fault; set it and the rest aside."""
        good: list[Contribution] = []
        folded: Folded | None = None
        for n, item in enumerate(items):
            said = [*document.contributions, *good, item.statement.contribution]
            try:
                whole = document._replace(contributions=said)
                folded = self._fold(key, whole, self.horizon, self.now)
            except Exception as raised:  # noqa: BLE001 - this is the statement looked for
                error = raised
                for later in items[n:]:
                    reason = f"deciding {key} failed: {type(error).__name__}: {error}"
                    self.decision.verdicts.failed[later.place] = reason
                    self._reject(later, key, reason, "deciding failed")
                break
            good.append(item.statement.contribution)
        if good and folded is not None:
            self._store(key, row, document, folded, items[: len(good)])

    def _put_aside(self, row: SubjectRow, error: Exception) -> None:
        """A deadline that cannot be decided is taken off the clock, and shown."""
        self.decision.changes.rejected.append(
            Rejected(
                "clock",
                row.key,
                f"deciding {row.key} failed: {type(error).__name__}: {error}",
                "deciding failed",
                b"",
                self.now,
                row.key,
            )
        )
        self.decision.subjects[row.key] = SubjectRow(
            row.key,
            row.kind,
            row.partner_id,
            row.document,
            row.began_at,
            None,
            None,
            row.version,
            row.has_case,
        )

    def _reject(self, item: Taken, key: str, reason: str, kind: str) -> None:
        self.decision.changes.rejected.append(
            Rejected(item.input, item.position, reason, kind, item.value, self.now, key)
        )

    def _keep(
        self, key: str, row: SubjectRow | None, document: Document, items: Sequence[Taken]
    ) -> None:
        first = items[0].statement
        self.decision.subjects[key] = SubjectRow(
            key,
            first.kind,
            first.partner_id,
            write_document(document),
            None if row is None else row.began_at,
            None if row is None else row.feeds_due,
            None if row is None else row.people_due,
            0 if row is None else row.version,
            has_case=row is not None and row.has_case,
        )
        self._journal(key, items)

    def _store(
        self,
        key: str,
        row: SubjectRow | None,
        before: Document,
        folded: Folded,
        items: Sequence[Taken],
    ) -> None:
        kind, partner_id = (
            (row.kind, row.partner_id)
            if row is not None
            else (items[0].statement.kind, items[0].statement.partner_id)
            if items
            else (Kind.PATTERN, folded.case.partner_id if folded.case else "")
        )
        decision = self.decision
        decision.subjects[key] = SubjectRow(
            key,
            kind,
            partner_id,
            write_document(folded.document),
            None if folded.began_at is None else Instant(folded.began_at),
            None if folded.feeds_due is None else Instant(folded.feeds_due),
            None if folded.people_due is None else Instant(folded.people_due),
            0 if row is None else row.version,
            has_case=folded.case is not None,
        )
        changes = decision.changes
        changes.called_off += folded.called_off
        if folded.case is not None:
            case_id = folded.case.case_id
            if key in decision.cases:
                self._forget_passing_steps(case_id, folded)
            decision.cases[key] = folded.case
            changes.steps += folded.steps[folded.written :]
            changes.withdrawn += [(case_id, step, self.now) for step in folded.withdrawn]
            self._journal(key, items)
        changes.effects += folded.effects
        self._count_occurrences(key, partner_id, before, folded)

    def _forget_passing_steps(self, case_id: str, folded: Folded) -> None:
        """A subject that is folded twice in a batch ends as the last fold says."""
        changes = self.decision.changes
        if changes.withdrawn:
            standing = {(case_id, step.key) for step in folded.steps}
            changes.withdrawn = [gone for gone in changes.withdrawn if gone[:2] not in standing]
        if folded.withdrawn and changes.effects:
            gone_now = set(folded.withdrawn)
            changes.effects = [
                e for e in changes.effects if e.case_id != case_id or e.step not in gone_now
            ]

    def _journal(self, key: str, items: Sequence[Taken]) -> None:
        for item in items:
            said = item.statement.contribution
            self.decision.changes.journal.append(
                JournalEntry(
                    key,
                    said.source,
                    said.id,
                    said.type,
                    Instant(said.time),
                    Instant(said.recorded),
                    item.value,
                )
            )

    def _count_occurrences(
        self, key: str, partner_id: str, before: Document, folded: Folded
    ) -> None:
        if not before.occurrences and not folded.occurrences:
            return
        old = {
            (dimension, value): Occurrence(key, dimension, value, partner_id, Instant(at))
            for dimension, value, at in before.occurrences
        }
        new = {(o.dimension, o.value): o for o in folded.occurrences}
        changes = self.decision.changes
        for name, occurrence in old.items():
            if new.get(name) != occurrence:
                changes.occurrences_removed.append(occurrence)
                self.decision.touched.add((partner_id, *name))
        for name, occurrence in new.items():
            if old.get(name) != occurrence:
                changes.occurrences_added.append(occurrence)
                self.decision.touched.add((partner_id, *name))


def with_other_content(source: str, event_id: str) -> str:
    """Why a second event of the same name is kept aside."""
    return (
        f"{source} sent the id {event_id!r} before, with other content; "
        "a correction needs an id of its own"
    )


def _is_due(row: SubjectRow, horizon: Horizon) -> bool:
    return (row.people_due is not None and row.people_due <= horizon.people) or (
        row.feeds_due is not None and row.feeds_due <= horizon.feeds(row.kind)
    )


def _earliest(one: int | None, other: int | None) -> int | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _add_news(folded: Folded, news: ClockNews) -> None:
    if news.told != folded.document.told:
        folded.document = folded.document._replace(told=news.told)
    folded.effects += news.effects
    folded.called_off += news.called_off


def _ticket(
    key: str, partner_id: str, contributions: Sequence[Contribution], world: World
) -> Ticket:
    ticket = Ticket(key, partner_id, world)
    for said in sorted(contributions, key=version_of):
        ticket.apply(said, said.time)
    return ticket


def _keeps_terms(before: Sequence[Contribution], said: Sequence[Contribution]) -> bool:
    """Whether a ticket had one category and one severity, or none, from its opening on."""
    categories: set[str | None] = set()
    severities: set[str | None] = set()
    for c in (*before, *said):
        match c.type:
            case "ticket.opened":
                categories.add(c.data[1])
                severities.add(c.data[2])
            case "ticket.status":
                categories |= {c.data[1]} - {None}
                severities |= {c.data[2]} - {None}
            case "ticket.message":
                pass
            case _:
                return False
    return len(categories) < 2 and len(severities) < 2
