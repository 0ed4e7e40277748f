"""Reports as they were issued: their documents, and the rows behind their figures."""

from dataclasses import dataclass

from sqlalchemy import select

from schemas.time import Instant
from streams.store.queries import Queries
from streams.store.tables import report


@dataclass(frozen=True, slots=True)
class IssuedReport:
    """One issue of a report. It never changes."""

    kind: str
    key: str
    """Its period: `2026-W47`, `2026-11`."""
    about: str
    """The partner's id; empty for a digest."""
    issue: int
    issued_at: Instant
    hash: str
    """SHA-256 of the document, in hex."""
    document: bytes
    """A `schemas.report.Report` as JSON."""
    evidence: bytes
    """The rows behind its figures as they were, packed by whoever issued it."""


_ALL = [report.c[name] for name in IssuedReport.__slots__]


class ReportQueries(Queries):
    """Statements about issued reports."""

    def issued_report(
        self, kind: str, key: str, about: str = "", issue: int | None = None
    ) -> IssuedReport | None:
        """The newest issue of a report, or the one of that number; None if there is none."""
        c = report.c
        query = select(*_ALL).where(c.kind == kind, c.key == key, c.about == about)
        if issue is not None:
            query = query.where(c.issue == issue)
        row = self.connection.execute(query.order_by(c.issue.desc()).limit(1)).one_or_none()
        return None if row is None else IssuedReport(*row)

    def issued_keys(self, kind: str, about: str = "") -> dict[str, int]:
        """Period to the number of the newest issue, for every report of a kind."""
        c = report.c
        query = select(c.key, c.issue).where(c.kind == kind, c.about == about)
        rows = self.connection.execute(query.order_by(c.key, c.issue))
        return {row.key: row.issue for row in rows}

    def issue_report(self, issued: IssuedReport) -> bool:
        """Freeze a report. False, with nothing changed, when somebody else issued it first."""
        row = {name: getattr(issued, name) for name in IssuedReport.__slots__}
        return self.count(self.insert(report).on_conflict_do_nothing(), [row]) == 1
