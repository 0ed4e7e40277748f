"""Freezing a report: it gets its number, its time and what changed, and never changes again."""

from hashlib import sha256
from zoneinfo import ZoneInfo

from schemas.report import Change, Report
from schemas.time import Instant, to_datetime
from streams.store import Store
from streams.store.reports import IssuedReport


def freeze(
    store: Store,
    draft: Report,
    evidence: bytes,
    now: Instant,
    *,
    before: Report | None,
    changes: tuple[Change, ...],
) -> IssuedReport | None:
    """Keep a draft as the first issue of a report, or as the one that follows `before`.

    `evidence` are the rows behind its figures, packed. None when somebody else was first.
    """
    report = draft.model_copy(
        update={
            "issue": 1 if before is None else before.issue + 1,
            "issued_at": to_datetime(now, ZoneInfo(draft.period.timezone)),
            "changes": changes,
        }
    )
    document = report.model_dump_json().encode()
    issued = IssuedReport(
        str(report.kind),
        report.period.key,
        report.about_id,
        report.issue,
        now,
        sha256(document).hexdigest(),
        document,
        evidence,
    )
    with store.transaction() as tx:
        return issued if tx.issue_report(issued) else None
