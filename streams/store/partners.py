"""What scorecards ask of the store: one partner's orders and cases of a stretch of time."""

from collections.abc import Iterator

from sqlalchemy import func, or_, select

from rules.decision import CaseRow, Kind, SubjectRow
from rules.subjects import split_key, subject_key
from schemas.time import WEEK, Instant
from streams.store import bulk
from streams.store.cases import CaseQueries
from streams.store.rows import STANDING
from streams.store.tables import conflict_case, subject

_COLUMNS = [subject.c[name] for name in bulk.COLUMNS]
#: Weeks of which the orders are read at a time.
_WEEKS = 13


class PartnerQueries(CaseQueries):
    """Statements about one partner."""

    def orders_begun(self, partner_id: str, since: Instant, until: Instant) -> Iterator[SubjectRow]:
        """A partner's orders that began at `since` or later and by `until`, a quarter at a time.

        One seek in the index for each week, however many orders other partners have.
        """
        c = subject.c
        for first in range(since // WEEK, until // WEEK + 1, _WEEKS):
            weeks = range(first, min(first + _WEEKS, until // WEEK + 1))
            query = (
                select(*_COLUMNS)
                .where(
                    c.began_week.in_(weeks),
                    c.partner_id == partner_id,
                    c.began_at >= since,
                    c.began_at <= until,
                )
                .order_by(c.began_at, c.key)
            )
            yield from map(bulk.subject_row, self.connection.execute(query).all())

    def cases_about(self, partner_id: str, since: Instant, until: Instant) -> list[CaseRow]:
        """A partner's cases opened by `until`, without those that were over before `since`."""
        c = conflict_case.c
        query = (
            select(c.case_id)
            .where(
                c.partner_id == partner_id,
                c.opened_at <= until,
                or_(c.opened_at > since, c.state.in_(STANDING), c.changed_at > since),
            )
            .order_by(c.opened_at, c.case_id)
        )
        found = self.cases(self.connection.execute(query).scalars().all())
        return sorted(found.values(), key=lambda case: (case.opened_at, case.case_id))

    def partners_with(self, kind: Kind) -> Iterator[str]:
        """Every partner that has a subject of a kind, in the order of their keys.

        One seek for each of them: keys begin with kind and partner.
        """
        key = subject.c.key
        begin, end = f"{kind}:", f"{kind};"  # the sign that follows a colon
        while True:
            query = select(func.min(key)).where(key >= begin, key < end)
            found = self.connection.execute(query).scalar_one()
            if found is None:
                return
            partner_id = split_key(found)[1]
            yield partner_id
            begin = subject_key(kind, partner_id, "")[:-1] + ";"
