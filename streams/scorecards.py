"""Scorecards of partners, made from what the store holds, and as they were issued."""

import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from rules.decision import Kind
from rules.digest.changes import changes_between
from rules.digest.sheet import Question
from rules.months import Month
from rules.orders import effective_at
from rules.partner_months import PartnerMonths
from rules.scorecard.scorecard import Scorecard, scorecard
from rules.scorecard.sheet import Behind
from rules.subjects import Document, read_document, split_key, subject_key
from rules.world import World
from schemas.report import Change, Report, ReportKind
from schemas.time import DAY, Instant, to_datetime, to_instant
from streams.ledger import first_listed
from streams.store import Store, Transaction
from streams.store.reports import IssuedReport

_NOTHING = Document([], {}, [])
_unpack = msgspec.json.Decoder(dict[str, Behind]).decode


def scorecard_of(
    tx: Transaction, world: World, partner_id: str, month: Month, as_of: Instant
) -> Scorecard:
    """The scorecard of a partner for a month, by what had happened up to `as_of`.

    The month is that of the partner's zone. Reads each of the partner's orders of the last one and
    a half years, and all its tickets, once. Raises ValueError for a month that has not begun.
    """
    months = PartnerMonths(partner_id, world, month, as_of)
    since = Instant(months.since)
    for row in tx.orders_begun(partner_id, since, as_of):
        months.add_order(split_key(row.key)[2], read_document(row.document).contributions)
    for row in tx.subjects_of_kind(Kind.TICKET, partner_id):
        months.add_ticket(row.key, read_document(row.document))
    sessions = tx.subject(subject_key(Kind.TOUCHPOINTS, partner_id, ""))
    said = _NOTHING if sessions is None else read_document(sessions.document)
    zone = months.zone
    times = [effective_at(c, zone) for c in said.contributions]
    # Written down where a service has looked; else every version of the directory is read for it.
    listed = first_listed(tx, world).get(partner_id) if said.since is None else said.since
    times += [] if listed is None else [listed]
    months.add_touchpoints(said, min(times, default=None))
    for row in tx.subjects_of_kind(Kind.METRIC, partner_id):
        months.add_figure(split_key(row.key)[2], read_document(row.document).contributions)
    # What was solved a month before the first one may come back in it.
    cases = tx.cases_about(partner_id, Instant(months.first.begin - 31 * DAY), as_of)
    steps = tx.steps_of_cases(case.case_id for case in cases)
    for case in cases:
        if not case.shadow:
            months.add_case(case.case_id, case.subject, case.rules, steps.get(case.case_id, []))
    known = world.recipients.directory.partners.get(partner_id)
    return scorecard(months, (known.name if known is not None else None) or partner_id)


@dataclass(frozen=True, slots=True)
class IssuedScorecard:
    """A scorecard as it was issued."""

    report: Report
    _evidence: bytes

    def behind(self, figure: str) -> Behind | None:
        """The rows behind a figure as they were; None if there is no such figure."""
        return self.all_rows().get(figure)

    def all_rows(self) -> dict[str, Behind]:
        """Figure to the rows behind it."""
        return _unpack(zlib.decompress(self._evidence))


def issued_scorecard(tx: Transaction, partner_id: str, month: Month) -> IssuedScorecard | None:
    """The newest issue of a scorecard; None if it was not issued."""
    found = tx.issued_report(ReportKind.SCORECARD, month.key, partner_id)
    if found is None:
        return None
    return IssuedScorecard(Report.model_validate_json(found.document), found.evidence)


def issue_scorecard(
    store: Store,
    world: World,
    partner_id: str,
    month: Month,
    now: Instant,
    *,
    restate: bool = False,
) -> IssuedScorecard | None:
    """Freeze the scorecard of a month that is over.

    One that was issued stays as it is. With `restate` it is issued anew, by what is known now of
    the time up to which it counted, if that changes a figure. None when there was nothing to
    issue. Raises ValueError for a month that still runs.
    """
    zone = world.zone(partner_id)
    if now < month.end(zone):
        raise ValueError(f"{month.label} is not over; it can be issued then")
    with store.reading() as tx:
        before = issued_scorecard(tx, partner_id, month)
        if before is not None and not restate:
            return None
        as_of = now if before is None else to_instant(before.report.as_of)
        made = scorecard_of(tx, world, partner_id, month, as_of)
    evidence = evidence_of(made)
    changes: tuple[Change, ...] = ()
    if before is not None:
        old, new = before.all_rows(), IssuedScorecard(made.report, evidence).all_rows()
        changes = changes_between(
            before.report, _questions(old), _named(old), made.report, _questions(new), _named(new)
        )
        if not changes:
            return None
    report = made.report.model_copy(
        update={
            "issue": 1 if before is None else before.report.issue + 1,
            "issued_at": to_datetime(now, zone),
            "changes": changes,
        }
    )
    document = report.model_dump_json().encode()
    issued = IssuedReport(
        str(report.kind),
        month.key,
        partner_id,
        report.issue,
        now,
        sha256(document).hexdigest(),
        document,
        evidence,
    )
    with store.transaction() as tx:
        if not tx.issue_report(issued):
            return None  # somebody else was first
    return IssuedScorecard(report, evidence)


def evidence_of(made: Scorecard) -> bytes:
    """The rows behind every figure, packed to be kept with the issued report."""
    found = {figure.id: made.behind(figure.id) for figure in made.report.all_figures()}
    kept = {name: rows for name, rows in found.items() if rows is not None}
    return zlib.compress(msgspec.json.encode(kept))


def _questions(rows: dict[str, Behind]) -> dict[str, Question]:
    return {name: Question(name) for name in rows}


def _named(rows: dict[str, Behind]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each figure under their names: what stands in their first two cells."""
    return {
        name: [{"name": " ".join(row[:2]), "cells": row} for row in behind.rows]
        for name, behind in rows.items()
    }


def partner_is_known(tx: Transaction, world: World, partner_id: str) -> bool:
    """Whether the directory lists the partner or anything was said of it."""
    return partner_id in world.recipients.directory.partners or any(
        next(iter(tx.subjects_of_kind(kind, partner_id)), None) is not None
        for kind in (Kind.ORDER, Kind.TICKET, Kind.TOUCHPOINTS, Kind.METRIC)
    )


def known_partners(tx: Transaction, world: World) -> list[str]:
    """Partners of the directory and those of whom something was said, sorted."""
    kinds = (Kind.ORDER, Kind.TICKET, Kind.TOUCHPOINTS, Kind.METRIC)
    said = {partner for kind in kinds for partner in tx.partners_with(kind)}
    return sorted({*said, *world.recipients.directory.partners})
