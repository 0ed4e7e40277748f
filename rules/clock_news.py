"""What is told of clocks: warnings while somebody can still act, and breaches that are no case's.

Each piece of news is told once for its clock, cycle and level: the document of the subject keeps
what was told, and the id of the effect is made from the same three. What has not left when the
promise is kept is called off.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from rules.clocks.clock import PARTNER, Clock, ClockState
from rules.clocks.ladder_clocks import ACKNOWLEDGE, RESOLVE, ladder_clocks, terms_from
from rules.clocks.touchpoint_clocks import next_period, owed_since, touchpoint_clocks
from rules.clocks.warning_times import STALE_PAUSE, Warn, may_warn, warnings
from rules.decision import CalledOff, CaseRow, Effect, EffectKind, StepRow
from rules.policy import CompiledPolicy
from rules.recipients import PERSON
from rules.subjects import Document, case_id, split_key
from rules.tickets import Ticket
from rules.transitions import ACTIVE
from rules.world import World
from schemas.policy import ROLES, WATCH, Metric, Mode
from schemas.time import Instant, local_text

#: Level of the news that a promise was broken.
BREACHED = "breached"
#: Why something is not told any more, for people.
KEPT, EXCUSED = "kept meanwhile", "excused meanwhile"
OVERTAKEN = "overtaken by newer news of the clock"

_LADDER = (ACKNOWLEDGE, RESOLVE)
_TOUCHPOINT = "touchpoint:"


@dataclass(frozen=True, slots=True)
class Reading:
    """Up to where inputs have been read, and when what is found there is decided."""

    read: int
    """Nothing that happened by then can still become known."""
    now: int
    """Decision time. With `lag`, of what was known before anything of this."""
    latest: int
    """Decision time of the newest that is known."""
    lag: int | None = None
    """In a replay: how long after it happened each thing is decided, but not before `now`."""
    tell: bool = True

    def decided(self, at: int) -> int:
        """When something is decided that happened by itself at an instant."""
        return self.now if self.lag is None else max(at + self.lag, self.now)


@dataclass(slots=True)
class ClockNews:
    """What there is to tell of a subject's clocks, and when to look at them again."""

    told: dict[str, int]
    """For the document, by `metric/cycle/level`: when it was told; below 0 once that is over, 0 if
    it came by and was not told."""
    effects: list[Effect] = field(default_factory=list)
    called_off: list[CalledOff] = field(default_factory=list)
    next_due: int | None = None

    def look_again(self, at: int | None, after: int) -> None:
        """Note that something may be told from an instant on, if it is not read past."""
        if at is not None and at > after and (self.next_due is None or at < self.next_due):
            self.next_due = at


def ticket_news(
    key: str,
    told: Mapping[str, int],
    ticket: Ticket,
    world: World,
    reading: Reading,
    case: CaseRow | None = None,
) -> ClockNews:
    """News of a ticket's commitments."""
    told_of = {name.rpartition("/")[0] for name in told}
    clocks = ticket.promises_to_tell_of(reading.read + 1, reading.decided(0), told_of)
    news = _Teller(key, world, reading, case).news(clocks, told)
    if any(map(_is_owed, clocks)):
        news.look_again(ticket.next_change_of_terms(reading.read), reading.read)
        news.look_again(world.policies.changes_after(reading.read), reading.read)
    return news


def touchpoint_news(key: str, document: Document, world: World, reading: Reading) -> ClockNews:
    """News of the sessions that a partner was promised."""
    _, partner_id, _ = split_key(key)
    since, read = owed_since(document), reading.read
    if since is None:
        return ClockNews(document.told)
    clocks: list[Clock] = []
    if since <= read:
        said = document.contributions
        clocks = touchpoint_clocks(partner_id, said, world, since, read + 1)
    news = _Teller(key, world, reading, None).news(clocks, document.told)
    news.look_again(next_period(partner_id, world, max(read, since - 1)), read)
    for start in world.recipients.tier_starts(partner_id):
        news.look_again(start, read)
    news.look_again(world.policies.changes_after(read), read)
    return news


def ladder_news(
    key: str,
    document: Document,
    steps: Sequence[StepRow],
    case: CaseRow,
    world: World,
    reading: Reading,
) -> ClockNews:
    """Warnings before a tier of the ladder is late. What comes of being late are steps."""
    clocks: list[Clock] = []
    if case.state in ACTIVE and case.parent is None:
        as_of = max([reading.read + 1, *(step.decided_at for step in steps)])
        terms = terms_from(world, case.partner_id, min(step.at for step in steps))
        told_of = {name.split("/")[1] for name in document.told if name.startswith(_LADDER)}
        over_by = reading.decided(0)
        clocks = ladder_clocks(key, steps, document, terms, as_of, over_by=over_by, cycles=told_of)
    return _Teller(key, world, reading, case).news(clocks, document.told, ladder=True)


def _is_owed(clock: Clock) -> bool:
    return clock.is_open and clock.state is not ClockState.EXCUSED


class _Teller:
    """Compares the clocks of one subject with what was told of them."""

    def __init__(self, key: str, world: World, reading: Reading, case: CaseRow | None) -> None:
        self._key = key
        self._world = world
        self._reading = reading
        self._case = case
        self._policy: CompiledPolicy = world.policies.at(reading.read)
        self._settings = self._policy.document.clocks
        self._may_warn = may_warn(self._settings)
        self._within = self._settings.tell_breaches_within.amount

    def news(
        self, clocks: Sequence[Clock], told: Mapping[str, int], *, ladder: bool = False
    ) -> ClockNews:
        """What is new; of the ladder's clocks, or of all others."""
        news = ClockNews(dict(told))
        known = {name.rpartition("/")[0] for name in told}
        earliest = self._reading.decided(0)
        for clock in clocks:
            stopped = clock.stopped_at
            if stopped is None:
                if clock.state is ClockState.EXCUSED or clock.state is ClockState.NOT_APPLICABLE:
                    continue
            elif stopped <= earliest:
                continue
            self._warn(clock, news)
            if not ladder:
                self._tell_breach(clock, news)
        if known or news.effects:
            self._call_off({clock.key: clock for clock in clocks}, news, ladder=ladder)
        return news

    def _warn(self, clock: Clock, news: ClockNews) -> None:
        read = self._reading.read
        due = clock.due if clock.breached_at is None else clock.breached_at
        reached: list[Warn] = []
        if self._may_warn:
            for warn in warnings(clock, self._settings):
                if warn.at <= read:
                    reached.append(warn)
                else:
                    news.look_again(warn.at, read)
        if _is_owed(clock):
            news.look_again(clock.due_if_silent, read)
            if clock.state is ClockState.PAUSED:
                news.look_again(clock.excluded[-1].end, read)  # warnings move with the pause
        for n, warn in enumerate(reached):
            name = f"{clock.key}/{warn.level}"
            if name in news.told:
                continue
            news.told[name] = 0
            at = self._reading.decided(warn.at)
            is_newest = all(self._reading.decided(w.at) > at for w in reached[n + 1 :])
            in_time = due is None or at <= due
            if is_newest and in_time and (clock.stopped_at is None or at < clock.stopped_at):
                self._tell(clock, warn.level, warn.at, at, news)

    def _tell_breach(self, clock: Clock, news: ClockNews) -> None:
        at, name = clock.breached_at, f"{clock.key}/{BREACHED}"
        if at is None or at > self._reading.read or name in news.told:
            return
        news.told[name] = 0
        decided = self._reading.decided(max(at, clock.recorded_at or 0))
        is_told = self._case is not None and self._case.state in ACTIVE
        is_open = clock.stopped_at is None or decided < clock.stopped_at
        if is_open and not is_told and decided <= at + self._within:
            self._tell(clock, BREACHED, at, decided, news)

    def _tell(self, clock: Clock, level: str, at: int, decided: int, news: ClockNews) -> None:
        if self._reading.tell:
            news.told[f"{clock.key}/{level}"] = decided
            news.effects.append(self._effect(clock, level, at, decided))

    def _call_off(self, clocks: Mapping[str, Clock], news: ClockNews, *, ladder: bool) -> None:
        """What is no longer true must not leave; what broke no promise after all is taken back."""
        newest: dict[str, int] = {}
        for name, at in news.told.items():
            clock_key = name.rpartition("/")[0]
            newest[clock_key] = max(newest.get(clock_key, 0), at)
        for name, at in list(news.told.items()):
            clock_key, _, level = name.rpartition("/")
            if (clock_key.partition("/")[0] in _LADDER) is not ladder:
                continue
            clock = clocks.get(clock_key)
            broken = clock is not None and clock.breached_at is not None
            owed = clock is not None and _is_owed(clock)
            if level == BREACHED and at and not broken:
                del news.told[name]
                reason, instead = "it was in time", self._taken_back(clock, clock_key)
            elif at > 0 and not owed:
                news.told[name] = -at
                is_excused = clock is not None and clock.excuse is not None
                reason, instead = EXCUSED if is_excused else KEPT, None
            elif at > 0 and at < newest[clock_key]:
                news.told[name] = -at
                reason, instead = OVERTAKEN, None
            else:
                continue
            if self._reading.tell:
                effect_id = _effect_id(self._clock_id(clock_key), level)
                news.called_off.append(CalledOff(effect_id, reason, instead))
        over = {
            key
            for key, clock in clocks.items()
            if not _is_owed(clock)
            and (clock.stopped_at is None or clock.stopped_at <= self._reading.latest)
        }
        for name in [
            name
            for name, at in news.told.items()
            if at <= 0 and name.rpartition("/")[0] in over and not (at and name.endswith(BREACHED))
        ]:
            del news.told[name]  # nothing more comes of a clock that is over

    # -- effects -------------------------------------------------------------------------------

    def _clock_id(self, clock_key: str) -> str:
        return f"{case_id(self._key)}/{clock_key}"

    def _effect(self, clock: Clock, level: str, at: int, decided: int) -> Effect:
        what, zone = _what(clock), clock.calendar.zone
        if level.startswith(STALE_PAUSE):
            since = next(x.start for x in reversed(clock.excluded) if x.start <= at)
            said = f"{what} is paused since {local_text(since, zone)}"
        elif level == BREACHED:
            said = f"{what} was due {_moment(clock, clock.breached_at or at)} and has not come"
        else:
            said = f"{what} is due {_moment(clock, clock.due or at)}"
        return self._message(
            EffectKind.WARNING,
            _effect_id(clock.clock_id, level),
            f"clock:{clock.key}/{level}",
            said,
            list(_why(clock, level)),
            clock,
            at,
            decided,
        )

    def _taken_back(self, clock: Clock | None, clock_key: str) -> Effect | None:
        if clock is None:
            return None
        now = self._reading.decided(clock.stopped_at or clock.as_of)
        came = "" if clock.stopped_at is None else f": {_moment(clock, clock.stopped_at)}"
        return self._message(
            EffectKind.RETRACTION,
            _effect_id(self._clock_id(clock_key), "taken back"),
            f"clock:{clock_key}/taken back",
            f"{_what(clock)} was not late{came}",
            ["what was learned later shows that the promise was not broken"],
            clock,
            clock.stopped_at or now,
            now,
        )

    def _message(
        self,
        kind: EffectKind,
        effect_id: str,
        step: str,
        said: str,
        why: list[str],
        clock: Clock,
        at: int,
        decided: int,
    ) -> Effect:
        policy, case = self._policy.document, self._case
        subject_kind, partner_id, name = split_key(self._key)
        roles = (*ROLES, *policy.roles)
        noun = f"{subject_kind} {name}".strip()
        shadow = policy.mode is Mode.SHADOW or partner_id in policy.shadow.partners
        return Effect(
            effect_id,
            None if case is None or case.state not in ACTIVE else case.case_id,
            partner_id,
            step,
            kind,
            clock.holder if clock.holder in roles else PERSON + clock.holder,
            clock.escalation_tier or WATCH,
            None,
            urgent=False,
            shadow=shadow or (case is not None and case.shadow),
            at=Instant(at),
            created_at=Instant(decided),
            due=None if clock.due is None else Instant(clock.due),
            remind_every=None,
            remind_at_most=0,
            actor=None,
            text={
                "headline": f"{partner_id or 'several partners'}, {noun}: {said}",
                "why": why,
                "subject": noun,
                "partner": partner_id,
                "partner_tier": clock.partner_tier,
                "clock": clock.clock_id,
            },
        )


def _effect_id(clock_id: str, level: str) -> str:
    return blake2b(f"clock|{clock_id}|{level}".encode(), digest_size=12).hexdigest()


def _what(clock: Clock) -> str:
    if clock.metric.startswith(_TOUCHPOINT):
        return f"{clock.metric.removeprefix(_TOUCHPOINT).replace('_', ' ')} session"
    if clock.owed_by == PARTNER:
        return "the partner's answer"
    if clock.metric == ACKNOWLEDGE:
        return f"an acknowledgement by {clock.escalation_tier}"
    if clock.metric == RESOLVE:
        return f"a solution by {clock.escalation_tier}"
    return clock.metric.replace("_", " ")


def _moment(clock: Clock, at: int) -> str:
    """An instant in the zone that counts, which it names; of touchpoints, the day that ends."""
    if clock.metric.startswith(_TOUCHPOINT):
        day, _, clock_and_zone = local_text(at - 1, clock.calendar.zone).partition(" ")
        return f"by the end of {day} {clock_and_zone.partition(' ')[2]}"
    return local_text(at, clock.calendar.zone)


def _why(clock: Clock, level: str) -> Iterator[str]:
    target = clock.target
    if target is not None and target.span is not None:
        started = local_text(clock.started_at, clock.calendar.zone)
        yield f"promised within {target.span} since {started} ({target.winner})"
    if level.startswith(STALE_PAUSE):
        yield f"{clock.reason or 'paused'}; nothing is met by waiting for ever"
    elif level.endswith("%"):
        yield f"{level} of the time is spent"
    elif level != BREACHED:
        yield f"{level} are left"
    if clock.metric == Metric.FIRST_RESPONSE and clock.asked_again:
        times = len(clock.asked_again)
        yield "the partner asked again" + (f" {times} times" if times > 1 else "")
