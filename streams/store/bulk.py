"""The statements that every event passes: load, insert and update subjects.

They go to the driver as text, prepared once: SQLAlchemy's own row and parameter handling would
cost more than SQLite does. Each dialect has a form of its own; this is SQLite's.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from rules.decision import Kind, SubjectRow
from schemas.time import WEEK
from streams.store.errors import LostRace

#: The columns of a subject in the order of SubjectRow's fields.
COLUMNS = (
    "key",
    "kind",
    "partner_id",
    "document",
    "began_at",
    "feeds_due",
    "people_due",
    "version",
    "has_case",
)

_KIND = {kind.value: kind for kind in Kind}

# A statement of one fixed length is prepared once; the last piece is filled up with its last key.
_PIECE = 1_000
_LOAD = (
    f"SELECT {', '.join(COLUMNS)} FROM subject "  # noqa: S608 - column names from above
    f"WHERE key IN ({', '.join('?' * _PIECE)})"
)
_LOAD_ONE = f"SELECT {', '.join(COLUMNS)} FROM subject WHERE key = ?"  # noqa: S608 - as above
_INSERT = (
    "INSERT INTO subject (key, kind, partner_id, document, began_at, began_week, feeds_due, "
    "people_due, version, has_case) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?) ON CONFLICT DO NOTHING"
)
_UPDATE = (
    "UPDATE subject SET document = ?, feeds_due = ?, people_due = ?, has_case = ?, "
    "version = version + 1 WHERE key = ? AND version = ?"
)
# Apart from the rest, for it hardly ever changes: SQLite writes an index anew for each column of
# it that is set, even to what it was.
_BEGIN = "UPDATE subject SET began_at = ?, began_week = ? WHERE key = ?"
_OWNERS = "INSERT INTO clock_owner (case_id, subject) VALUES (?, ?) ON CONFLICT DO NOTHING"


def subject_row(row: Any) -> SubjectRow:
    """A SubjectRow from its columns."""
    key, kind, partner_id, document, began_at, feeds_due, people_due, version, has_case = row
    return SubjectRow(
        key,
        _KIND[kind],
        partner_id,
        document,
        began_at,
        feeds_due,
        people_due,
        version,
        bool(has_case),
    )


def load(connection: Connection, keys: Collection[str]) -> dict[str, SubjectRow]:
    """The stored ones of these subjects, by key."""
    # In key order: neighbours in the index are then read together.
    wanted = sorted(set(keys))
    found: dict[str, SubjectRow] = {}
    for start in range(0, len(wanted), _PIECE):
        piece = wanted[start : start + _PIECE]
        if len(piece) == 1:
            rows = connection.exec_driver_sql(_LOAD_ONE, (piece[0],))
        else:
            piece += piece[-1:] * (_PIECE - len(piece))
            rows = connection.exec_driver_sql(_LOAD, tuple(piece))
        found |= {row[0]: subject_row(row) for row in rows.cursor.fetchall()}
    return found


def insert(connection: Connection, rows: Sequence[SubjectRow]) -> None:
    """Store new subjects. Raises LostRace when one of them is there already."""
    if not rows:
        return
    done = connection.exec_driver_sql(
        _INSERT,
        [
            (
                row.key,
                row.kind.value,
                row.partner_id,
                row.document,
                row.began_at,
                _week(row),
                row.feeds_due,
                row.people_due,
                row.has_case,
            )
            for row in sorted(rows, key=_by_key)
        ],
    )
    if done.rowcount != len(rows):
        raise LostRace("a subject that was new has been stored by another transaction")


def update(connection: Connection, rows: Sequence[SubjectRow]) -> None:
    """Replace stored subjects, but not when they began.

    Raises LostRace when one has moved on from its version.
    """
    if not rows:
        return
    done = connection.exec_driver_sql(
        _UPDATE,
        [
            (row.document, row.feeds_due, row.people_due, row.has_case, row.key, row.version)
            for row in sorted(rows, key=_by_key)
        ],
    )
    if done.rowcount != len(rows):
        raise LostRace("a subject has been changed by another transaction since it was loaded")


def update_beginnings(connection: Connection, rows: Sequence[SubjectRow]) -> None:
    """Store when these subjects began."""
    if rows:
        connection.exec_driver_sql(_BEGIN, [(row.began_at, _week(row), row.key) for row in rows])


def insert_owners(connection: Connection, subjects: Mapping[str, str]) -> None:
    """Store the subject of each case id, where it is not stored yet."""
    if subjects:
        connection.exec_driver_sql(_OWNERS, sorted(subjects.items()))


def _week(row: SubjectRow) -> int | None:
    began_at = row.began_at
    return None if began_at is None or row.kind is not Kind.ORDER else began_at // WEEK


def _by_key(row: SubjectRow) -> str:
    return row.key
