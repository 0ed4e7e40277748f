"""Everything that one store holds, copied into another: from a file to a server, for a cluster."""

from collections.abc import Callable

from sqlalchemy import Integer, func, insert, select

from streams.store.errors import StoreError
from streams.store.store import Store
from streams.store.tables import metadata

_ROWS = 2_000


def copy_store(
    source: Store, target: Store, progress: Callable[[str, int], None] = lambda table, rows: None
) -> int:
    """Copy every row in one transaction; `progress` is told each table and how many it had.

    Both have the newest schema, and nobody may write to the source meanwhile. Raises StoreError
    when the target holds anything already. Returns how many rows there were.
    """
    total = 0
    with source.reading() as there, target.transaction() as here:
        for table in metadata.sorted_tables:
            if here.connection.execute(select(table).limit(1)).first() is not None:
                raise StoreError(f"the database to copy to is not empty: it has rows in {table}")
        for table in metadata.sorted_tables:
            rows = there.connection.execution_options(yield_per=_ROWS).execute(select(table))
            copied = 0
            for piece in rows.mappings().partitions(_ROWS):
                here.connection.execute(insert(table), [dict(row) for row in piece])
                copied += len(piece)
            total += copied
            progress(table.name, copied)
            key = list(table.primary_key)
            counts_by_itself = len(key) == 1 and isinstance(key[0].type, Integer)
            if here.is_postgres and counts_by_itself:
                # Rows came with their numbers; the next one must be given a new number.
                largest = select(func.max(key[0])).scalar_subquery()
                sequence = func.pg_get_serial_sequence(table.name, key[0].name)
                here.connection.execute(
                    select(func.setval(sequence, largest)).where(largest.is_not(None))
                )
    return total
