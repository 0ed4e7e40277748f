"""What the query classes share: one connection, and rows made from and into plain values."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, RowMapping, Select, Table
from sqlalchemy.dialects import postgresql, sqlite

from streams.store.tables import Json, Text, kept, to_json

T = TypeVar("T")

#: How many values one IN list names. Both databases take more; a statement this long is cheap.
IN_LIST = 1_000

Insert = sqlite.Insert | postgresql.Insert


class Queries:
    """Statements on one connection, inside the transaction that it is in."""

    def __init__(self, connection: Connection, *, writes: bool = False) -> None:
        self.connection = connection
        self.writes = writes
        self.is_postgres = connection.dialect.name == "postgresql"

    def one(self, query: Select[Any]) -> RowMapping | None:
        """The one row of a query, if there is any."""
        return self.connection.execute(query).mappings().one_or_none()

    def insert(self, table: Table) -> Insert:
        """An INSERT that knows ON CONFLICT, which both dialects spell alike."""
        if self.is_postgres:
            return postgresql.insert(table)
        return sqlite.insert(table)

    def insert_new(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows and leave those alone that are there already."""
        if rows and self.is_postgres:
            self.connection.execute(self.insert(table).on_conflict_do_nothing(), rows)
        elif rows:
            self._insert_text(table, rows, "DO NOTHING")

    def count(self, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> int:
        """How many rows the statement changed, over all its parameters."""
        return self.connection.execute(
            statement, rows, execution_options={"preserve_rowcount": True}
        ).rowcount

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows; those that are there already take the new values."""
        if not rows:
            return
        others = [c.name for c in table.columns if not c.primary_key]
        if not self.is_postgres:
            new_values = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
            key = _quoted(c.name for c in table.primary_key)
            self._insert_text(table, rows, f"({key}) DO UPDATE SET {new_values}")
            return
        statement = self.insert(table)
        new = {name: statement.excluded[name] for name in others}
        self.connection.execute(
            statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=new), rows
        )

    def _insert_text(self, table: Table, rows: Sequence[Mapping[str, Any]], conflict: str) -> None:
        # SQLAlchemy's own handling of parameters would cost more than SQLite does.
        columns = []
        for name in rows[0]:
            given = [row[name] for row in rows]
            keep = _KEPT_BY.get(type(table.c[name].type))
            columns.append(given if keep is None else [keep(value) for value in given])
        places = ", ".join("?" * len(columns))
        insert = f"INSERT INTO {table.name} ({_quoted(rows[0])}) VALUES ({places})"  # noqa: S608 - names
        self.connection.exec_driver_sql(
            f"{insert} ON CONFLICT {conflict}", list(zip(*columns, strict=True))
        )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


#: How a value is kept, for types of columns that do not take it as it is.
_KEPT_BY: Mapping[type[Any], Callable[[Any], Any]] = {Text: kept, Json: to_json}


#: Names of the fields of each row's class, looked up once.
_NAMES: dict[type[Any], tuple[str, ...]] = {}


def values(row: Any) -> dict[str, Any]:
    """The fields of a flat dataclass by name, as columns take them."""
    kind = type(row)
    names = _NAMES.get(kind)
    if names is None:
        names = _NAMES[kind] = tuple(field.name for field in fields(kind))
    return {name: getattr(row, name) for name in names}


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """The items without duplicates, in pieces that fit one IN list."""
    rest = iter(dict.fromkeys(items))
    while piece := list(islice(rest, IN_LIST)):
        yield piece
