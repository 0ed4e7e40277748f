"""Clocks of a ticket: from messages and states to runs, and from runs to clocks.

Only what counts, counts: a reply by us or by the partner. Notes, automatic messages and whatever
the system writes neither start nor stop anything.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple, TypeAlias

from rules.calendars import BusinessCalendar
from rules.clocks.clock import PARTNER, Clock, ClockState, Exclusion, Excuse, Target
from rules.clocks.excuses import clock_named
from rules.clocks.judging import SETTLED, Run, Terms, capped, judge
from rules.policy import CompiledPolicy
from rules.subjects import Contribution, Message, Opened, Ordered
from rules.world import World
from schemas.policy import Anchor, Metric, Reopening

WAITING = "waiting on partner"
_STATES = {"waiting_on_partner": WAITING, "resolved": SETTLED, "closed": SETTLED}


_By: TypeAlias = tuple[str, str | None]
"""Who changed severity or category, and who agreed to it."""
_NOBODY: _By = ("", None)


@dataclass(frozen=True, slots=True)
class Spell:
    """A stretch of time in which a ticket waited on the partner or was settled."""

    what: str
    start: int
    end: int | None
    actor: str
    recorded: int
    end_recorded: int
    answered: bool
    """The partner's reply, or the helpdesk's word that nothing is awaited any more, ended it."""


class _Plain(NamedTuple):
    """Terms that nothing has changed."""

    targets: Mapping[str, Target]
    place: tuple[str, BusinessCalendar, str]
    """Partner tier, and the calendar with its name."""


class TicketClocks:
    """What was said of one ticket, and the clocks that follow from it.

    Contributions are taken in the order of their effective times. The policy version in force
    when the ticket was opened holds, until `case.moved` puts the ticket under the one in force
    then. The partner's tier is the one of the day.
    """

    __slots__ = (
        "_excuses",
        "_messages",
        "_moves",
        "_owners",
        "_partner_id",
        "_plain",
        "_spells",
        "_states",
        "_traits",
        "_world",
        "key",
        "latest",
        "opened",
        "opened_at",
        "recorded",
    )

    def __init__(self, key: str, partner_id: str, world: World) -> None:
        self.key = key
        self.opened: Opened | None = None
        self.opened_at: int | None = None
        self.recorded = 0
        self.latest = 0
        """The newest effective time that was taken."""
        self._partner_id = partner_id
        self._world = world
        self._messages: list[tuple[int, bool, int]] = []
        """(at, whether the partner wrote it, recorded). At one instant, ours come first: what was
        sent at the moment of a question does not answer it."""
        self._states: list[tuple[int, str, str, int]] = []
        self._traits: list[tuple[int, str | None, str | None, int, _By]] = []
        """(from, category, severity, recorded, actor)."""
        self._moves: list[tuple[int, int]] = []
        self._owners: list[tuple[int, str]] = []
        self._excuses: dict[str, Excuse] = {}
        self._spells: list[Spell] | None = None
        self._plain: _Plain | None = None

    # -- taking in -----------------------------------------------------------------------------

    def take(self, c: Contribution, at: int) -> None:
        """Take one contribution that became effective at `at`."""
        match c.type:
            case "ticket.message":
                message = Message(*c.data)
                if message.kind == "reply" and message.author in ("partner", "us"):
                    self._messages.append((at, message.author == "partner", c.recorded))
                    self._messages.sort()
            case "ticket.status":
                status, category, severity, *named = c.data
                actor = (named and named[0]) or c.source
                self._states.append((at, status, actor, c.recorded))
                if (category and category != self.category) or (
                    severity and severity != self.severity
                ):
                    agreed_by = named[1] if len(named) > 1 else None
                    self._trait(at, category, severity, c.recorded, (actor, agreed_by))
            case "ticket.opened" if self.opened is None:
                self.opened, self.opened_at = Opened(*c.data), at
                self.recorded = c.recorded
                self._trait(at, self.category or self.opened.category, self.severity
                            or self.opened.severity, c.recorded, (c.source, None))  # fmt: skip
            case "case.moved":
                self._moves.append((at, c.recorded))
            case "case.assigned":
                self.own(at, str(Ordered(*c.data).detail["to"]))
            case "clock.excused":
                self._excuse(Ordered(*c.data), at)
            case _:
                return
        self._spells = self._plain = None
        self.latest = max(self.latest, at)

    def own(self, at: int, person: str) -> None:
        """Somebody acknowledged the case at an instant, and it counted."""
        self._owners.append((at, person))
        self._owners.sort()

    def _trait(
        self, at: int, category: str | None, severity: str | None, recorded: int, by: _By
    ) -> None:
        category, severity = category or self.category, severity or self.severity
        if self._traits:
            since, *known, _, _ = self._traits[-1]
            if known == [category, severity]:
                return
            if since == at:
                self._traits.pop()
        self._traits.append((at, category, severity, recorded, by))

    def _excuse(self, said: Ordered, at: int) -> None:
        key = clock_named(said, self.key)
        if key is not None and key not in self._excuses:
            by_holder = said.actor == self.holder_at(at)
            self._excuses[key] = Excuse(said.actor, at, said.note, by_holder)

    # -- what is known -------------------------------------------------------------------------

    @property
    def category(self) -> str | None:
        """The category that the ticket has now."""
        return self._traits[-1][1] if self._traits else None

    @property
    def severity(self) -> str | None:
        """The severity that the ticket has now."""
        return self._traits[-1][2] if self._traits else None

    def traits(self) -> Iterator[tuple[str | None, str | None]]:
        """Every category and severity that it ever had, together as they were."""
        return ((category, severity) for _, category, severity, _, _ in self._traits)

    @property
    def is_settled(self) -> bool:
        """Whether the helpdesk says resolved or closed."""
        return bool(self._states) and _STATES.get(self._states[-1][1]) == SETTLED

    @property
    def over_since(self) -> int | None:
        """When it was settled, if nobody has written since: then nothing is owed any more."""
        spells = self.spells()
        if not spells or spells[-1].what != SETTLED or spells[-1].end is not None:
            return None
        at = spells[-1].start
        return at if not self._messages or self._messages[-1][0] <= at else None

    def holder_at(self, at: int) -> str:
        """Who owned the case then; the role of the account manager if no person took it."""
        if not self._owners:
            return "account_manager"
        n = bisect_right(self._owners, at, key=lambda entry: entry[0])
        return self._owners[n - 1][1] if n else "account_manager"

    def policy_at(self, at: int) -> CompiledPolicy:
        """The policy version that the ticket was under then."""
        assert self.opened_at is not None
        if not self._moves:
            return self._world.policies.at(self.opened_at)
        n = bisect_right(self._moves, at, key=lambda move: move[0])
        return self._world.policies.at(self._moves[n - 1][0] if n else self.opened_at)

    def next_change_of_terms(self, after: int) -> int | None:
        """When the partner's tier next changes by its dates, without any event."""
        starts = self._world.recipients.tier_starts(self._partner_id)
        n = bisect_right(starts, after)
        return starts[n] if n < len(starts) else None

    # -- clocks --------------------------------------------------------------------------------

    def clocks(
        self,
        as_of: int,
        metrics: Collection[str] = tuple(Metric),
        *,
        over_by: int | None = None,
        keys: Collection[str] = (),
    ) -> Iterator[Clock]:
        """Every instance that was promised and started, as it stands at an instant.

        What was taken in must not be later than `as_of`, except for what ends a clock: an instance
        that is known to have been kept later was not kept before. Only `metrics` are looked at.
        With `over_by` most that ended by then are left out, unless their keys are among `keys`.
        """
        if self.opened_at is None:
            return
        settings = self.policy_at(as_of).document.clocks
        plain = self._plain_terms()
        if plain is not None:
            metrics = [metric for metric in metrics if metric in plain.targets]
        runs: list[Iterable[Run]] = []
        if Metric.FIRST_RESPONSE in metrics:
            runs.append((self._first_response(),))
        if Metric.NEXT_RESPONSE in metrics:
            runs.append(self._next_responses())
        if Metric.RESOLUTION in metrics:
            runs.append(self._resolutions(settings.reopening))
        if Metric.PARTNER_RESPONSE in metrics:
            runs.append(self._partner_responses())
        on_grid = settings.status_update is Anchor.GRID
        if Metric.STATUS_UPDATE in metrics and not on_grid:
            runs.append(self._rolling_updates())
        for run in chain.from_iterable(runs):
            if (
                over_by is not None
                and run.ended_at is not None
                and run.ended_at <= over_by
                and f"{run.metric}/{run.cycle}" not in keys
            ):
                continue
            clock = self._judge(run, as_of)
            if clock is not None:
                yield clock
        if Metric.STATUS_UPDATE in metrics and on_grid:
            yield from self._updates_on_grid(as_of)

    def _judge(self, run: Run, as_of: int) -> Clock | None:
        return judge(run, self.terms(run, as_of), as_of, self._excuses, self.holder_at)

    def terms(self, run: Run, as_of: int) -> Sequence[Terms]:
        """What was promised for a run from its start on, with each change."""
        plain = self._plain_terms()
        if plain is not None:
            target = plain.targets.get(run.metric)
            return (Terms(run.started_at, 0, target, *plain.place),)
        end = as_of if run.ended_at is None else run.ended_at
        start = run.started_at
        changes = {at: (recorded, by) for at, *_, recorded, by in self._traits if start < at <= end}
        changes |= {at: (recorded, _NOBODY) for at, recorded in self._moves if start < at <= end}
        for tier_start in self._world.recipients.tier_starts(self._partner_id):
            if start < tier_start <= end:
                changes.setdefault(tier_start, (0, _NOBODY))
        found = [self._terms_at(run.metric, start, 0)]
        for at in sorted(changes):
            terms = self._terms_at(run.metric, at, *changes[at])
            before = found[-1]
            if terms.target != before.target or terms.calendar is not before.calendar:
                found.append(terms)
        return found

    def _plain_terms(self) -> "_Plain | None":
        """What is promised, where it has been the same since the ticket was opened."""
        if self._plain is not None:
            return self._plain
        partner_id, world = self._partner_id, self._world
        if len(self._traits) != 1 or self._moves or world.recipients.tier_starts(partner_id):
            return None
        assert self.opened_at is not None
        _, category, severity, *_ = self._traits[0]
        policy = self.policy_at(self.opened_at)
        tier = world.partner_tier(partner_id, self.opened_at)
        name = world.calendar_name(partner_id)
        targets = policy.targets(tier, category, severity)
        self._plain = _Plain(targets, (tier, policy.calendar(name), name))
        return self._plain

    def _terms_at(self, metric: str, at: int, recorded: int, by: _By = _NOBODY) -> Terms:
        policy = self.policy_at(at)
        tier = self._world.partner_tier(self._partner_id, at)
        n = max(0, bisect_right(self._traits, at, key=lambda trait: trait[0]) - 1)
        _, category, severity, *_ = self._traits[n]
        name = self._world.calendar_name(self._partner_id)
        target = policy.targets(tier, category, severity).get(metric)
        calendar = policy.calendar(name)
        return Terms(at, recorded, target, tier, calendar, name, actor=by[0], agreed_by=by[1])

    # -- spells of waiting and of being settled ------------------------------------------------

    def spells(self) -> list[Spell]:
        """Stretches in which the ticket waited on the partner or was settled, one after another.

        A reply of the partner ends a wait, whether the helpdesk says so or not.
        """
        if self._spells is None:
            self._spells = list(self._find_spells())
        return self._spells

    def _find_spells(self) -> Iterator[Spell]:
        states = self._states
        n = 0
        while n < len(states):
            start, status, actor, recorded = states[n]
            what = _STATES.get(status)
            n += 1
            if what is None:
                continue
            end: int | None = None
            end_recorded, answered = 0, False
            reply = self._next_reply(start) if what == WAITING else None
            while n < len(states) and _STATES.get(states[n][1]) == what:
                if reply is not None and states[n][0] >= reply[0]:
                    break  # asked for once more, after an answer
                n += 1
            if n < len(states):
                end, following, _, end_recorded = states[n]
                answered = _STATES.get(following) != SETTLED
            if reply is not None and (end is None or reply[0] < end):
                end, _, end_recorded = reply
                answered = True
            yield Spell(what, start, end, actor, recorded, end_recorded, answered)

    def _next_reply(self, after: int) -> tuple[int, bool, int] | None:
        """The partner's first reply after an instant."""
        n = bisect_right(self._messages, after, key=lambda message: message[0])
        return next((m for m in self._messages[n:] if m[1]), None)

    def _pauses(self, metric: Metric) -> Iterator[Exclusion]:
        """Waits on the partner in which the metric does not run, by the policy of their start."""
        for spell in self.spells():
            if (
                spell.what == WAITING
                and metric in self.policy_at(spell.start).document.clocks.pause
            ):
                yield _exclusion(spell, spell.end)

    def _excluded(
        self, metric: Metric, start: int, settled: Sequence[Exclusion]
    ) -> tuple[Exclusion, ...]:
        """All that does not count for a run, in order; the waits capped."""
        if not self.spells():
            return ()
        found = [
            x if x.start >= start else replace(x, start=start)
            for x in (*self._pauses(metric), *settled)
            if x.end is None or x.end > start
        ]
        found.sort(key=lambda x: x.start)
        policy = self.policy_at(start)
        calendar = policy.calendar(self._world.calendar_name(self._partner_id))
        return capped(found, policy.document.clocks.pause_at_most, calendar)

    def _unanswered(self, start: int) -> Iterator[Exclusion]:
        """From settling a ticket with a question open until it is opened, or asked again."""
        for spell in self.spells():
            if spell.what != SETTLED or spell.start < start:
                continue
            end = spell.end
            reply = self._next_reply(spell.start)
            if reply is not None and (end is None or reply[0] < end):
                end = reply[0]
            if end is None or end > spell.start:
                yield _exclusion(spell, end)

    # -- runs ----------------------------------------------------------------------------------

    def _answer(self) -> int | None:
        assert self.opened_at is not None
        start = self.opened_at
        return next((at for at, partner, _ in self._messages if not partner and at >= start), None)

    def _first_response(self) -> Run:
        assert self.opened_at is not None
        start, answer = self.opened_at, self._answer()
        return Run(
            self.key,
            Metric.FIRST_RESPONSE,
            "1",
            start,
            self.recorded,
            answer,
            excluded=self._excluded(Metric.FIRST_RESPONSE, start, list(self._unanswered(start))),
            asked_again=tuple(
                at
                for at, partner, _ in self._messages
                if partner and at > start and (answer is None or at < answer)
            ),
        )

    def _next_responses(self) -> Iterator[Run]:
        first = self._answer()
        if first is None:
            return
        cycle = 0
        asked: list[tuple[int, int]] = []
        for at, partner, recorded in (*self._messages, (None, False, 0)):
            if at is not None and at < first:
                continue
            if partner and at is not None:
                asked.append((at, recorded))
            elif asked:
                cycle += 1
                start, start_recorded = asked[0]
                yield Run(
                    self.key,
                    Metric.NEXT_RESPONSE,
                    str(cycle),
                    start,
                    start_recorded,
                    at,
                    excluded=self._excluded(
                        Metric.NEXT_RESPONSE, start, list(self._unanswered(start))
                    ),
                    asked_again=tuple(again for again, _ in asked[1:]),
                )
                asked = []

    def _rolling_updates(self) -> Iterator[Run]:
        assert self.opened_at is not None
        start, recorded, cycle = self.opened_at, self.recorded, 0
        settled = list(self._settled())
        updates = [(at, seen) for at, partner, seen in self._messages if not partner]
        for at, seen in (*updates, (None, 0)):
            if at is not None and at <= start:
                continue
            excluded = self._excluded(Metric.STATUS_UPDATE, start, settled)
            # One that begins and ends while the ticket is settled never ran.
            first = excluded[0] if excluded else None
            if (
                first is None
                or first.reason != SETTLED
                or first.start > start
                or not (first.end is None or (at is not None and at <= first.end))
            ):
                cycle += 1
                yield Run(
                    self.key,
                    Metric.STATUS_UPDATE,
                    str(cycle),
                    start,
                    recorded,
                    at,
                    excluded=excluded,
                )
            if at is not None:
                start, recorded = at, seen

    def _updates_on_grid(self, as_of: int) -> Iterator[Clock]:
        assert self.opened_at is not None
        start, cycle = self.opened_at, 1
        settled = list(self._settled())
        updates = [at for at, partner, _ in self._messages if not partner and at >= start]
        n = 0
        while cycle == 1 or start <= as_of:
            excluded = self._excluded(Metric.STATUS_UPDATE, start, settled)
            if excluded and excluded[-1].end is None and excluded[-1].start <= start and cycle > 1:
                return  # nothing more is owed until the ticket is opened again
            run = Run(
                self.key,
                Metric.STATUS_UPDATE,
                str(cycle),
                start,
                self.recorded,
                excluded=excluded,
            )
            clock = self._judge(run, as_of)
            if clock is None:
                return
            due = clock.due
            update = updates[n] if n < len(updates) else None
            if due is None or update is None or update > due:
                yield clock
                if due is None or clock.state in (ClockState.CANCELLED, ClockState.PAUSED):
                    return
            else:
                kept = self._judge(run._replace(ended_at=update), as_of)
                if kept is not None:  # an update may come before updates are promised
                    yield kept
                while n < len(updates) and updates[n] <= due:
                    n += 1
            start = due
            cycle += 1

    def _settled(self) -> Iterator[Exclusion]:
        for spell in self.spells():
            if spell.what == SETTLED:
                yield _exclusion(spell, spell.end)

    def _resolutions(self, reopening: Reopening) -> Iterator[Run]:
        assert self.opened_at is not None
        spells = [s for s in self._settled() if s.end is None or s.end > self.opened_at]
        if reopening is Reopening.RESUME:
            ended = (
                max(spells[-1].start, self.opened_at) if spells and spells[-1].end is None else None
            )
            closed = spells[:-1] if ended is not None else spells
            yield Run(
                self.key,
                Metric.RESOLUTION,
                "1",
                self.opened_at,
                self.recorded,
                ended,
                excluded=self._excluded(Metric.RESOLUTION, self.opened_at, closed),
            )
            return
        start, recorded = self.opened_at, self.recorded
        for cycle, spell in enumerate((*spells, None), start=1):
            again = reopening is Reopening.RESTART and spell is not None and spell.end is not None
            yield Run(
                self.key,
                Metric.RESOLUTION,
                str(cycle),
                start,
                recorded,
                None if spell is None else max(spell.start, start),
                ClockState.CANCELLED if again else ClockState.MET,
                "opened again: counted anew" if again else "",
                excluded=self._excluded(Metric.RESOLUTION, start, ()),
            )
            if spell is None or spell.end is None:
                return
            start, recorded = spell.end, spell.end_recorded

    def _partner_responses(self) -> Iterator[Run]:
        assert self.opened_at is not None
        waits = [s for s in self.spells() if s.what == WAITING and s.start >= self.opened_at]
        for cycle, spell in enumerate(waits, start=1):
            answered = spell.end is None or spell.answered
            yield Run(
                self.key,
                Metric.PARTNER_RESPONSE,
                str(cycle),
                spell.start,
                spell.recorded,
                spell.end,
                ClockState.MET if answered else ClockState.CANCELLED,
                "" if answered else "the ticket was settled without it",
                owed_by=PARTNER,
            )


def _exclusion(spell: Spell, end: int | None) -> Exclusion:
    return Exclusion(spell.start, end, spell.what, spell.actor, spell.recorded, spell.end_recorded)
