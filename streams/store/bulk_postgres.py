"""The statements that every event passes, as PostgreSQL takes them.

Each goes to the server once for thousands of rows: columns travel as arrays, which `unnest` turns
into rows again.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from rules.decision import Kind, SubjectRow
from schemas.time import WEEK
from streams.store.bulk import COLUMNS, subject_row
from streams.store.errors import LostRace

_T = TypeVar("_T")

#: How many rows one statement carries.
_PIECE = 5_000

_LOAD = (
    f"SELECT {', '.join(COLUMNS)} FROM subject "  # noqa: S608 - column names from above
    "WHERE key = ANY(%b::text[])"
)
# Locked in key order, so that two transactions that want the same subjects never wait crosswise.
_LOAD_AND_LOCK = f"{_LOAD} ORDER BY key FOR UPDATE"
_INSERT = """
INSERT INTO subject (key, kind, partner_id, document, began_at, began_week, feeds_due, people_due,
                     has_case, version)
SELECT new.*, 1
FROM unnest(%b::text[], %b::text[], %b::text[], %b::bytea[], %b::bigint[], %b::int[], %b::bigint[],
            %b::bigint[], %b::bool[]) AS new
ON CONFLICT DO NOTHING
"""
_UPDATE = """
UPDATE subject
SET document = new.document, began_at = new.began_at, began_week = new.began_week,
    feeds_due = new.feeds_due, people_due = new.people_due, has_case = new.has_case,
    version = new.version + 1
FROM unnest(%b::text[], %b::bytea[], %b::bigint[], %b::int[], %b::bigint[], %b::bigint[],
            %b::bool[], %b::int[])
     AS new (key, document, began_at, began_week, feeds_due, people_due, has_case, version)
WHERE subject.key = new.key AND subject.version = new.version
"""

_OWNERS = """
INSERT INTO clock_owner (case_id, subject)
SELECT * FROM unnest(%b::text[], %b::text[])
ON CONFLICT DO NOTHING
"""


def load(
    connection: Connection, keys: Collection[str], *, lock: bool = False
) -> dict[str, SubjectRow]:
    """The stored ones of these subjects, by key; locked until the transaction ends if asked to."""
    statement = _LOAD_AND_LOCK if lock else _LOAD
    found: dict[str, SubjectRow] = {}
    for piece in _pieces(sorted(set(keys))):
        rows = connection.exec_driver_sql(statement, (piece,))
        found |= {row[0]: subject_row(row) for row in rows.cursor.fetchall()}
    return found


def insert(connection: Connection, rows: Sequence[SubjectRow]) -> None:
    """Store new subjects. Raises LostRace when one of them is there already."""
    for piece in _pieces(sorted(rows, key=_by_key)):
        done = connection.exec_driver_sql(
            _INSERT,
            (
                [row.key for row in piece],
                [row.kind.value for row in piece],
                [row.partner_id for row in piece],
                *_changing(piece),
            ),
        )
        if done.rowcount != len(piece):
            raise LostRace("a subject that was new has been stored by another transaction")


def update(connection: Connection, rows: Sequence[SubjectRow]) -> None:
    """Replace stored subjects. Raises LostRace when one has moved on from its version."""
    for piece in _pieces(sorted(rows, key=_by_key)):
        columns = ([row.key for row in piece], *_changing(piece), [row.version for row in piece])
        done = connection.exec_driver_sql(_UPDATE, columns)
        if done.rowcount != len(piece):
            raise LostRace("a subject has been changed by another transaction since it was loaded")


def insert_owners(connection: Connection, subjects: Mapping[str, str]) -> None:
    """Store the subject of each case id, where it is not stored yet."""
    for piece in _pieces(sorted(subjects)):
        connection.exec_driver_sql(_OWNERS, (piece, [subjects[case_id] for case_id in piece]))


def _changing(rows: Sequence[SubjectRow]) -> tuple[list[Any], ...]:
    return (
        [row.document for row in rows],
        [row.began_at for row in rows],
        [_week(row) for row in rows],
        [row.feeds_due for row in rows],
        [row.people_due for row in rows],
        [row.has_case for row in rows],
    )


def _pieces(items: Sequence[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(items), _PIECE):
        yield list(items[start : start + _PIECE])


def _week(row: SubjectRow) -> int | None:
    began_at = row.began_at
    return None if began_at is None or row.kind is not Kind.ORDER else began_at // WEEK


def _by_key(row: SubjectRow) -> str:
    return row.key
