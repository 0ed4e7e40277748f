"""Touchpoints are owed to every listed partner, also to one of whom no event ever speaks."""

from collections.abc import Iterable

from rules.decision import Changes, Kind, SubjectRow
from rules.subjects import Document, read_document, subject_key, write_document
from schemas.time import Instant
from streams.store import Transaction


def owe_touchpoints(tx: Transaction, partners: Iterable[str], since: Instant) -> None:
    """Begin to watch the touchpoints of partners that a directory lists, from an instant on.

    Each gets a subject, which the next look at the deadlines wakes. One that has its subject keeps
    the instant since when they are owed, and is woken too: its terms may have changed.
    """
    keys = {subject_key(Kind.TOUCHPOINTS, partner, ""): partner for partner in partners}
    known = tx.load_subjects(keys)
    rows: list[SubjectRow] = []
    for key, partner in keys.items():
        row = known.get(key)
        document = Document([], {}, []) if row is None else read_document(row.document)
        if document.since is None:
            document = document._replace(since=since)
        rows.append(
            SubjectRow(
                key,
                Kind.TOUCHPOINTS,
                partner,
                write_document(document),
                None if row is None else row.began_at,
                since,
                None if row is None else row.people_due,
                0 if row is None else row.version,
                has_case=row is not None and row.has_case,
            )
        )
    tx.write(Changes(subjects=rows))
