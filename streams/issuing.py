"""Issuing reports when the policy says so, and keeping the ledger in step meanwhile.

What is due is told from the store alone: a restart repeats nothing, a service that was down at the
hour issues and sends once when it is back, and of two that run at the same time only one's issue
is kept, and each recipient is told once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from rules.decision import Changes, Effect
from rules.digest.period import Days, week_of_day
from rules.effects import report_effect
from rules.months import Month
from rules.policy import PolicyHistory
from rules.world import World
from schemas.fields import parse_clock
from schemas.policy import DigestIssue, Mode, ScorecardIssue, Weekday
from schemas.report import Report, ReportKind
from schemas.time import Instant, to_datetime, to_instant
from streams.digests import Digests
from streams.knowledge import Knowledge, in_force
from streams.ledger import BATCH
from streams.scorecards import issue_scorecard, issued_scorecard
from streams.store import DOCUMENTS, Store

_WEEKDAYS = tuple(Weekday)
#: Digests before the one that is issued, looked at again: as many as it shows beside itself.
_RESTATED = 4


def digest_due(issue: DigestIssue, zone: ZoneInfo, now: Instant) -> tuple[Instant, Days]:
    """When a digest was last to be issued, and of which week: the one before that day's."""
    minutes = parse_clock(issue.at)
    day = to_datetime(now, zone).date()
    day -= timedelta(days=(day.weekday() - _WEEKDAYS.index(issue.day)) % 7)
    at = _at(day, minutes, zone)
    if at > now:
        day -= timedelta(days=7)
        at = _at(day, minutes, zone)
    return at, week_of_day(day, zone).shifted(-1)


def scorecards_due(issue: ScorecardIssue, zone: ZoneInfo, now: Instant) -> tuple[Instant, Month]:
    """When scorecards were last to be issued, and of which month: the one before that day's."""
    minutes = parse_clock(issue.at)
    local = to_datetime(now, zone)
    month = Month(local.year, local.month)
    at = _at(date(month.year, month.number, issue.day), minutes, zone)
    if at > now:
        month = month.plus(-1)
        at = _at(date(month.year, month.number, issue.day), minutes, zone)
    return at, month.plus(-1)


def _at(day: date, minutes: int, zone: ZoneInfo) -> Instant:
    hour, minute = divmod(minutes, 60)
    return to_instant(datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone))


@dataclass(slots=True)
class _Known:
    """What reports are made with, as one version of policy and directory has it."""

    world: World
    digests: Digests
    began: Instant
    """When this store was first run: nothing is due from before."""

    @property
    def policies(self) -> PolicyHistory:
        return self.world.policies

    @property
    def zone(self) -> ZoneInfo:
        return self.digests.ledger.zone


class Reporting:
    """Posts to the ledger and issues what is due.

    `documents` is the version of the guard DOCUMENTS at which `knowledge` was read, where others
    may put other documents in force: those are then followed.
    """

    def __init__(self, store: Store, knowledge: Knowledge, documents: int | None = None) -> None:
        self._store = store
        self._documents = documents
        self._known = self._with(knowledge)

    def post(self, now: Instant) -> bool:
        """Post some of what changed to the ledger. Returns whether there may be more."""
        return self._newest().digests.ledger.post_some(now) >= BATCH

    def issue_due(self, now: Instant) -> int:
        """Issue what is due and queue it for its recipients. Returns how many were queued."""
        known = self._newest()
        return self._issue_digest(known, now) + self._issue_scorecards(known, now)

    # -- digests -------------------------------------------------------------------------------

    def _issue_digest(self, known: _Known, now: Instant) -> int:
        issue = known.policies.newest.document.reporting.digest
        if issue is None:
            return 0
        at, week = digest_due(issue, known.zone, now)
        asked = known.policies.at(at).document.reporting.digest is not None
        before = at < known.began or week.end <= known.began
        if not asked or before or self._is_told(ReportKind.DIGEST, week.key):
            return 0
        restated = [
            f"{earlier.key} (issue {again.report.issue})"
            for earlier in week.before(_RESTATED)
            if (again := known.digests.issue(earlier, now, restate=True)) is not None
        ]
        known.digests.issue(week, now, restated=restated)
        issued = known.digests.issued(week.key)
        assert issued is not None, "it has just been issued, by us or by somebody else"
        effects = list(_effects(issued.report, week.key, issue.to, None, known, now))
        self._tell(ReportKind.DIGEST, week.key, effects)
        return len(effects)

    # -- scorecards ----------------------------------------------------------------------------

    def _issue_scorecards(self, known: _Known, now: Instant) -> int:
        issue = known.policies.newest.document.reporting.scorecard
        if issue is None:
            return 0
        at, month = scorecards_due(issue, known.zone, now)
        asked = known.policies.at(at).document.reporting.scorecard is not None
        before = at < known.began or month.end(known.zone) <= known.began
        if not asked or before or self._is_told(ReportKind.SCORECARD, month.key):
            return 0
        effects: list[Effect] = []
        complete = True
        for partner_id in sorted(known.world.recipients.directory.partners):
            if now < month.end(known.world.zone(partner_id)):
                complete = False  # west of us the month still runs
                continue
            report = self._issue_scorecard(known, partner_id, month, now)
            key = f"{month.key}/{partner_id}"
            effects += _effects(report, key, issue.to, partner_id, known, now)
        with self._store.transaction() as tx:
            tx.write(Changes(effects=effects))
        if complete:
            self._tell(ReportKind.SCORECARD, month.key, [])
        return len(effects)

    def _issue_scorecard(
        self, known: _Known, partner_id: str, month: Month, now: Instant
    ) -> Report:
        issue_scorecard(self._store, known.world, partner_id, month, now)
        with self._store.reading() as tx:
            issued = issued_scorecard(tx, partner_id, month)
        assert issued is not None, "it has just been issued, by us or by somebody else"
        return issued.report

    # -- telling -------------------------------------------------------------------------------

    def _is_told(self, kind: ReportKind, key: str) -> bool:
        with self._store.reading() as tx:
            return tx.setting(_told(kind)) == key

    def _tell(self, kind: ReportKind, key: str, effects: list[Effect]) -> None:
        with self._store.transaction() as tx:
            # An effect that is known already is not queued again.
            tx.write(Changes(effects=effects))
            tx.put_setting(_told(kind), key)

    # -- what it is issued with ----------------------------------------------------------------

    def _newest(self) -> _Known:
        if self._documents is not None:
            with self._store.reading() as tx:
                if tx.versions([DOCUMENTS])[DOCUMENTS] == self._documents:
                    return self._known
                knowledge, self._documents = in_force(tx)
            self._known = self._with(knowledge)
        return self._known

    def _with(self, knowledge: Knowledge) -> _Known:
        with self._store.reading() as tx:
            began = min((v.recorded_at for v in tx.policies()), default=Instant(0))
        world = World(knowledge.policies, knowledge.recipients)
        return _Known(world, Digests(self._store, world), began)


def _told(kind: ReportKind) -> str:
    return f"told {kind}"


def _effects(
    report: Report,
    key: str,
    to: tuple[str, ...],
    partner_id: str | None,
    known: _Known,
    now: Instant,
) -> Iterator[Effect]:
    about = f", {report.about}" if report.about else ""
    headline = f"{report.title}{about}: {report.period.label}"
    for role in to:
        yield report_effect(
            f"report|{report.kind}|{key}",
            role,
            now,
            headline,
            partner_id=partner_id,
            shadow=known.policies.newest.document.mode is Mode.SHADOW,
            report={"kind": str(report.kind), "key": key},
            why=[line.text for line in report.summary],
        )
