"""One transaction: every question to the store and the one way to change it."""

from collections.abc import Mapping

from rules.decision import Changes
from streams.store.administration import AdministrationQueries
from streams.store.announcements import AnnouncementQueries
from streams.store.cases import CaseQueries
from streams.store.fences import FenceQueries
from streams.store.intake import IntakeQueries
from streams.store.ledger import LedgerQueries
from streams.store.outbox import OutboxQueries
from streams.store.partners import PartnerQueries
from streams.store.reports import ReportQueries
from streams.store.subjects import SubjectQueries

_NOTHING_COUNTED: Mapping[str, int] = {}


class Transaction(
    SubjectQueries,
    PartnerQueries,
    CaseQueries,
    OutboxQueries,
    IntakeQueries,
    FenceQueries,
    LedgerQueries,
    ReportQueries,
    AdministrationQueries,
    AnnouncementQueries,
):
    """What one transaction can ask and write. It ends with the `with` block that gave it."""

    def write(self, changes: Changes, versions: Mapping[str, int] = _NOTHING_COUNTED) -> None:
        """Store all changes of a batch.

        `versions` holds the version of each guard of what was counted in order to decide (see
        `versions`). Raises LostRace when one of them, or a subject that is
        to be written, has moved since it was read; the transaction must then be given up.
        """
        self._write_subjects(changes.subjects)
        self.note_changed(changes.subjects)
        self._write_occurrences(changes.occurrences_added, changes.occurrences_removed, versions)
        self._write_cases(changes.cases)
        self._write_steps(changes.steps)
        self._withdraw_steps(changes.withdrawn)
        self._write_effects(changes.effects)
        if changes.called_off:
            self._call_off(changes.called_off)
        self._write_journal(changes.journal)
        self._write_rejected(changes.rejected)
        self._write_parked(changes.parked, changes.unparked)
        taken = {("accepted", "", ""): changes.accepted, ("duplicate", "", ""): changes.duplicates}
        self._add_counts(changes.counts | {what: n for what, n in taken.items() if n})
        self.add_daily_events(changes.days)
        self._write_feeds(changes.seen)
