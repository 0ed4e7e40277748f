"""Scorecards of partners, made from what the store holds, and as they were issued."""

import zlib
from dataclasses import dataclass
from typing import Any

import msgspec

from rules.decision import Kind
from rules.months import Month
from rules.orders import effective_at
from rules.partner_months import PartnerMonths
from rules.report_changes import RowsBehind, changes_between
from rules.scorecard.scorecard import Scorecard, scorecard
from rules.scorecard.sheet import Behind
from rules.subjects import Document, read_document, split_key, subject_key
from rules.world import World
from schemas.report import Change, Report, ReportKind
from schemas.time import DAY, Instant
from streams.freezing import freeze
from streams.ledger import first_listed
from streams.store import Store, Transaction
from streams.store.reports import IssuedReport

_NOTHING = Document([], {}, [])
_rows_of = msgspec.json.Decoder(dict[str, Behind]).decode
#: What is said of a partner itself, and makes it known.
_SAID_OF = (Kind.ORDER, Kind.TICKET, Kind.TOUCHPOINTS, Kind.METRIC)


def scorecard_of(
    tx: Transaction, world: World, partner_id: str, month: Month, now: Instant
) -> Scorecard:
    """The scorecard of a partner for a month, by what is known now.

    What happened counts up to now, or up to when the month was first issued: what came later
    belongs to later months. The month is that of the partner's zone. Reads each of the partner's
    orders of the last one and a half years, and all its tickets, once. Raises ValueError for a
    month that has not begun.
    """
    first = tx.issued_report(ReportKind.SCORECARD, month.key, partner_id, issue=1)
    as_of = now if first is None else first.issued_at
    months = PartnerMonths(partner_id, world, month, as_of, now)
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
    hash: str
    _evidence: bytes

    @classmethod
    def of(cls, issued: IssuedReport) -> "IssuedScorecard":
        """The same, as the store has it."""
        report = Report.model_validate_json(issued.document)
        return cls(report, issued.hash, issued.evidence)

    def behind(self, figure: str) -> Behind | None:
        """The rows behind a figure as they were; None if there is no such figure."""
        return self.all_rows().get(figure)

    def all_rows(self) -> dict[str, Behind]:
        """Figure to the rows behind it."""
        return _unpack(self._evidence)


def issued_scorecard(
    tx: Transaction, partner_id: str, month: Month, issue: int | None = None
) -> IssuedScorecard | None:
    """A scorecard as it was issued: the newest issue, or the one of that number; None if not."""
    found = tx.issued_report(ReportKind.SCORECARD, month.key, partner_id, issue)
    return None if found is None else IssuedScorecard.of(found)


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

    One that was issued stays as it is. With `restate` it is issued anew if what is known now
    changes a figure. None when there was nothing to issue. Raises ValueError for a month that
    still runs.
    """
    if now < month.end(world.zone(partner_id)):
        raise ValueError(f"{month.label} is not over; it can be issued then")
    with store.reading() as tx:
        before = issued_scorecard(tx, partner_id, month)
        if before is not None and not restate:
            return None
        made = scorecard_of(tx, world, partner_id, month, now)
    evidence = _pack(made)
    changes: tuple[Change, ...] = ()
    if before is not None:
        changes = changes_between(
            before.report, _named(before.all_rows()), made.report, _named(_unpack(evidence))
        )
        if not changes:
            return None
    issued = freeze(
        store,
        made.report,
        evidence,
        now,
        before=None if before is None else before.report,
        changes=changes,
    )
    return None if issued is None else IssuedScorecard.of(issued)


def _pack(made: Scorecard) -> bytes:
    """The rows behind every figure."""
    found = {figure.id: made.behind(figure.id) for figure in made.report.all_figures()}
    kept = {name: rows for name, rows in found.items() if rows is not None}
    return zlib.compress(msgspec.json.encode(kept))


def _unpack(evidence: bytes) -> dict[str, Behind]:
    return _rows_of(zlib.decompress(evidence))


def _named(behind: dict[str, Behind]) -> RowsBehind:
    """The rows of each figure under their names: what stands in their first two cells."""

    def rows(figure: str) -> list[dict[str, Any]]:
        found = behind.get(figure)
        return [{"name": " ".join(r[:2]), "cells": r} for r in (found.rows if found else ())]

    return rows


def partner_is_known(tx: Transaction, world: World, partner_id: str) -> bool:
    """Whether the directory lists the partner or anything was said of it."""
    return partner_id in world.recipients.directory.partners or any(
        next(iter(tx.subjects_of_kind(kind, partner_id)), None) is not None for kind in _SAID_OF
    )


def known_partners(tx: Transaction, world: World) -> list[str]:
    """Partners of the directory and those of whom something was said, sorted."""
    said = {partner for kind in _SAID_OF for partner in tx.partners_with(kind)}
    return sorted({*said, *world.recipients.directory.partners})
