"""Digests: loaded from the ledger, frozen when issued, restated when late events change them."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec

from rules.clocks.ladder_clocks import ACKNOWLEDGE, RESOLVE
from rules.clocks.targets import tickets_of
from rules.clocks.working_days import local_day, start_of_day
from rules.decision import StepKind, StepRow
from rules.digest.decisions import asked_for
from rules.digest.digest import Digest, digest
from rules.digest.disputes import verdict_of
from rules.digest.material import OTHERS, Counts, Material, Names, is_promise, paused_since
from rules.digest.open_cases import age_name
from rules.digest.period import Days
from rules.digest.sheet import Question
from rules.ledger import Escalation, Instance
from rules.policy import CompiledPolicy
from rules.report_changes import changes_between
from rules.report_parts import about
from rules.world import World
from schemas.policy import Metric
from schemas.report import Change, Report, ReportKind
from schemas.time import Instant, iso
from streams.freezing import freeze
from streams.ledger import Ledger
from streams.store import Store, Transaction
from streams.store.reports import IssuedReport

KIND = str(ReportKind.DIGEST)

_DURATIONS = (str(Metric.RESOLUTION), ACKNOWLEDGE, RESOLVE)
_LISTED = 25
_DISPUTES = (StepKind.DISPUTED, StepKind.DISPUTE_DECIDED)


class PeriodError(Exception):
    """A period that no digest can be about; the message says why."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a digest's figures lead to."""

    questions: Mapping[str, Question]
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    """Kind of rows to rows; each has a `name`."""

    def of(self, figure: str) -> list[Mapping[str, Any]]:
        """The rows behind a figure; none for one that the digest does not have."""
        question = self.questions.get(figure)
        if question is None:
            return []
        return [row for row in self.rows.get(question.rows, ()) if question.answers(row)]


@dataclass(frozen=True, slots=True)
class Issued:
    """A frozen digest."""

    report: Report
    evidence: Evidence
    hash: str


class Digests:
    """Makes digests from a store. Brings the ledger up to date first."""

    def __init__(self, store: Store, world: World) -> None:
        self.world = world
        self.ledger = Ledger(store, world)
        self._store = store

    # -- drafts --------------------------------------------------------------------------------

    def draft(
        self, period: Days, now: Instant, progress: Callable[[int], None] | None = None
    ) -> Digest:
        """The digest as known now. Raises PeriodError for a period that has not begun."""
        self._catch_up(period, now, progress)
        with self._store.reading() as tx:
            return self._digest(self._material(tx, period, now))

    def explain(self, period: Days, now: Instant, draft: Digest, figure: str) -> Evidence:
        """The rows behind one figure of a draft."""
        question = draft.questions[figure]
        self._catch_up(period, now)
        with self._store.reading() as tx:
            material = self._material(tx, period, now)
            rows = {question.rows: list(_rows(tx, material, question.rows))}
        return Evidence({figure: question}, rows)

    def _catch_up(
        self, period: Days, now: Instant, progress: Callable[[int], None] | None = None
    ) -> None:
        if now <= period.begin:
            begins = iso(period.begin, period.zone)
            raise PeriodError(f"{period.key} has not begun; it does on {begins[:10]}")
        for posted in self.ledger.post_all(now):
            if progress is not None:
                progress(posted)

    def _digest(self, material: Material) -> Digest:
        policy = self.world.policies.at(material.until)
        return digest(material, policy.hash)

    # -- issuing -------------------------------------------------------------------------------

    def issued(self, key: str, issue: int | None = None) -> Issued | None:
        """A digest as it was issued: the newest issue, or the one of that number."""
        with self._store.reading() as tx:
            found = tx.issued_report(KIND, key, issue=issue)
        return None if found is None else _unpack(found)

    def issue(
        self,
        period: Days,
        now: Instant,
        *,
        restate: bool = False,
        restated: Sequence[str] = (),
    ) -> Issued | None:
        """Freeze the digest of a period that is over.

        One that was issued stays as it is. With `restate` it is issued anew if late events have
        changed a figure. `restated` names earlier ones that were issued anew together with it.
        None when there was nothing to issue. Raises PeriodError for a period that still runs.
        """
        self._catch_up(period, now)
        if now < period.end:
            ends = iso(period.end, period.zone)
            raise PeriodError(f"{period.key} still runs until {ends[:16]}; it can be issued then")
        before = self.issued(period.key)
        if before is not None and not restate:
            return None
        with self._store.reading() as tx:
            material = replace(self._material(tx, period, now), restated=restated)
            found = self._digest(material)
            evidence = Evidence(found.questions, _all_rows(tx, material))
        changes: tuple[Change, ...] = ()
        if before is not None:
            changes = changes_between(before.report, before.evidence.of, found.report, evidence.of)
            if not changes:
                return None
        issued = freeze(
            self._store, found.report, _pack(evidence), now,
            before=None if before is None else before.report, changes=changes,
        )  # fmt: skip
        if issued is None:
            return None
        return Issued(Report.model_validate_json(issued.document), evidence, issued.hash)

    # -- loading -------------------------------------------------------------------------------

    def _material(self, tx: Transaction, period: Days, as_of: Instant) -> Material:
        until = min(period.end, as_of)
        begin = period.begin
        policy = self.world.policies.newest
        running = as_of < period.end
        disputes = tx.steps_between(_DISPUTES, 0, until)
        lower = [s for s in tx.steps_between([StepKind.DEESCALATED], begin, until) if s.actor]
        earlier = period.before()
        lasting = tx.escalations_lasting(begin, until)
        return Material(
            period=period,
            as_of=as_of,
            until=until,
            partner_tiers=policy.partner_tiers,
            tiers=policy.tiers,
            targets=policy.document.reporting.targets,
            tickets=_tickets(policy),
            names=self._names(),
            counts=_counts(tx, period, as_of),
            before=[tx.daily_outcomes(p.first, p.last) for p in earlier],
            open=tx.open_now(until) if running else tx.open_after(period.last),
            paused=tx.paused_at(until),
            breaches=tx.latest_breaches(begin, until - running, _LISTED),
            excuses=tx.excuses_by_actor(begin, until),
            pauses=tx.pauses_by_actor(begin, until),
            downgrades=tx.downgrades_by_actor(begin, until),
            spent={metric: tx.spent(metric, begin, until) for metric in _DURATIONS},
            going_on={metric: tx.not_stopped(metric, until) for metric in _DURATIONS},
            escalations=[e for e in lasting if e.asked_at > begin],
            lasting=lasting,
            openings=[
                *(tx.openings(p.begin, p.end) for p in earlier),
                tx.openings(begin, until),
            ],
            disputes=disputes,
            deescalations=lower,
            partner_of_case={
                name: case.partner_id
                for name, case in tx.cases(s.case_id for s in (*disputes, *lower)).items()
            },
            events=tx.events_of_days(period.first, period.last),
        )

    def _names(self) -> Names:
        directory = self.world.recipients.directory
        roles: dict[str, str] = {}
        for filled in (directory.roles, *(p.roles for p in directory.partners.values())):
            for role, people in filled.items():
                for person in (people,) if isinstance(people, str) else people:
                    roles.setdefault(person, role.replace("_", " "))
        return Names(
            {name: partner.name or name for name, partner in directory.partners.items()},
            {name: person.name for name, person in directory.people.items()},
            self.world.policies.newest.document.reporting.name_people,
            roles,
        )


def _tickets(policy: CompiledPolicy) -> list[str]:
    """Which tickets are promised something of their own, as the policy lists them."""
    overrides = (o for tier in policy.document.commitments.values() for o in tier.overrides)
    return list(dict.fromkeys(tickets_of(override.when) for override in overrides))


def _counts(tx: Transaction, period: Days, as_of: Instant) -> Counts:
    """What fell due in the period, by now."""
    if as_of >= period.end:
        return tx.daily_outcomes(period.first, period.last)
    today = local_day(as_of, period.zone)
    counts: Counts = Counter()
    if today > period.first:
        counts += tx.daily_outcomes(period.first, today - timedelta(days=1))
    # What falls due at this very instant is not late yet.
    return counts + tx.outcomes_within(start_of_day(today, period.zone), as_of - 1)


# --- rows -----------------------------------------------------------------------------------------

_KINDS = (
    "instances", "paused", "stopped", "going on", "escalations", "lasting", "steps", "pauses",
    "downgrades", "asked",
)  # fmt: skip


def _all_rows(tx: Transaction, m: Material) -> dict[str, list[Mapping[str, Any]]]:
    return {kind: list(_rows(tx, m, kind)) for kind in _KINDS}


def _rows(tx: Transaction, m: Material, kind: str) -> Iterator[Mapping[str, Any]]:
    begin, until = m.period.begin, m.until
    match kind:
        case "instances":
            last = until - (m.as_of < m.period.end)
            yield from (_of_instance(m, row) for row in tx.instances_falling(begin, last))
        case "paused":
            yield from (_of_instance(m, row) for row in m.paused)
        case "stopped":
            for metric in _DURATIONS:
                found = tx.stopped_between(metric, begin, until)
                yield from (_of_instance(m, row) for row in found)
        case "going on":
            for metric in _DURATIONS:
                yield from (_of_instance(m, row) for row in tx.going_on(metric, until))
        case "pauses":
            for row, stop in tx.pauses_between(begin, until):
                yield {
                    "name": f"{row.clock_id} {iso(stop.started_at)}",
                    "partner": row.partner_id,
                    "metric": row.metric,
                    "actor": stop.actor,
                    "reason": stop.reason,
                    "from": iso(stop.started_at),
                    "until": _moment(stop.ended_at),
                    "not_counted_seconds": stop.counted // 1_000_000
                    if stop.ended_at is not None and stop.ended_at <= until
                    else None,
                }
        case "downgrades":
            for row, word in tx.downgrades_between(begin, until):
                yield {
                    "name": f"{row.clock_id} {iso(word.at)}",
                    "partner": row.partner_id,
                    "metric": row.metric,
                    "actor": word.actor,
                    "agreed_by": word.agreed_by,
                    "at": iso(word.at),
                    "promised": row.promised,
                    "outcome": str(row.outcome_at(until + 1)),
                }
        case "escalations":
            yield from (_of_escalation(m, e) for e in m.escalations)
        case "lasting":
            yield from (_of_escalation(m, e) for e in m.lasting)
        case "asked":
            for asked in asked_for(m):
                yield {
                    "name": f"{asked.what} {asked.about}",
                    "what": asked.what,
                    "partner": asked.partner_id,
                    "about": asked.about,
                    "question": asked.why,
                    "waits_seconds": asked.age // 1_000_000,
                }
        case _:
            yield from (_of_step(m, step) for step in (*m.disputes, *m.deescalations))


def _of_instance(m: Material, row: Instance) -> dict[str, Any]:
    outcome = row.outcome_at(m.until + 1)
    paused = paused_since(row, m.until)
    return {
        "name": row.clock_id,
        "about": about(row.subject),
        "partner": row.partner_id,
        "partner_tier": row.partner_tier,
        "metric": row.metric,
        "escalation_tier": row.escalation_tier,
        "promise": is_promise(row.metric, row.escalation_tier),
        "outcome": str(outcome),
        "promised": row.promised,
        "promised_for": row.promised_for or OTHERS,
        "started": iso(row.started_at),
        "due": _moment(row.falls_at),
        "stopped": _moment(row.stopped_at),
        "late_seconds": row.late_at(m.until) // 1_000_000,
        "counted_seconds": None if row.spent is None else row.spent // 1_000_000,
        "paused_since": iso(paused) if paused < m.until else None,
        "role": row.role,
        "holder": row.holder,
        "asked_again": row.asked_again,
        "retroactive": row.retroactive,
        "recorded": _moment(row.recorded_at),
        "excused_by": row.excused_by,
        "excuse": row.excuse_note,
        "reason": row.reason,
    }


def _of_escalation(m: Material, e: Escalation) -> dict[str, Any]:
    at_end = e.lasted_at(m.until) and not e.retracted
    return {
        "name": f"{e.case_id}/{e.n}",
        "case": e.case_id,
        "kind": e.kind,
        "partner": e.partner_id,
        "partner_tier": e.partner_tier,
        "tier": e.tier,
        "role": e.role,
        "rule": e.rule,
        "cause": e.cause,
        "because": e.because,
        "opened": iso(e.opened_at),
        "asked": iso(e.asked_at),
        "acknowledged": _moment(e.acknowledged_at),
        "acknowledged_by": e.acknowledged_by,
        "in_bulk": e.in_bulk,
        "ended": _moment(e.ended_at),
        "ended_as": e.ended_as,
        "retracted": e.retracted,
        "at_end": at_end,
        "age": age_name(m.until - e.opened_at) if at_end else None,
    }


def _of_step(m: Material, step: StepRow) -> dict[str, Any]:
    return {
        "name": f"{step.case_id} {step.key}",
        "case": step.case_id,
        "partner": m.partner_of_case.get(step.case_id, ""),
        "kind": str(step.kind),
        "at": iso(step.at),
        "actor": step.actor,
        "verdict": verdict_of(step) if step.kind is StepKind.DISPUTE_DECIDED else None,
        "summary": step.receipt.get("summary"),
        "note": step.receipt.get("note"),
        "within": step.at > m.period.begin,
    }


def _moment(at: int | None) -> str | None:
    return None if at is None else iso(at)


# --- frozen ---------------------------------------------------------------------------------------


def _pack(evidence: Evidence) -> bytes:
    questions = {name: [q.rows, q.where] for name, q in evidence.questions.items()}
    return zlib.compress(msgspec.json.encode({"questions": questions, "rows": evidence.rows}))


def _unpack(issued: IssuedReport) -> Issued:
    packed = msgspec.json.decode(zlib.decompress(issued.evidence))
    questions: dict[str, Question] = {
        name: Question(rows, where) for name, (rows, where) in packed["questions"].items()
    }
    rows: dict[str, Sequence[Mapping[str, Any]]] = packed["rows"]
    report = Report.model_validate_json(issued.document)
    return Issued(report, Evidence(questions, rows), issued.hash)
