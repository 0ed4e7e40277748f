"""Fences: how far each partition of a log has been taken, moved with what was taken.

Several workers may hold the same records, after a rebalance or a long freeze. Only the one that
moves the fence from where its records begin may commit what it made of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select, update

from streams.store.queries import Queries
from streams.store.tables import position


@dataclass(frozen=True, slots=True)
class FenceMove:
    """What one batch takes of one partition."""

    input: str
    partition: int
    old: int | None
    """The offset at which the batch begins; None when nothing was ever taken of the partition."""
    new: int
    """The offset of what is to be read next."""


class FenceQueries(Queries):
    """Statements about fences."""

    def fences(self, inputs: Collection[str]) -> dict[tuple[str, int], int]:
        """The fence of each partition, by input and partition, of which anything was ever taken."""
        c = position.c
        rows = self.connection.execute(select(position).where(c.input.in_(inputs)))
        return {(row.input, row.partition): row.offset for row in rows}

    def move_fences(self, moves: Sequence[FenceMove]) -> bool:
        """Move fences. False when one of them does not stand where its move begins.

        Nothing may be committed then: another transaction has taken these records. One that is
        moving a fence is waited for.
        """
        # In one order everywhere, so that two transactions never wait for each other.
        known = sorted(moves, key=lambda move: (move.input, move.partition))
        first = [
            {"input": move.input, "partition": move.partition, "offset": move.new}
            for move in known
            if move.old is None
        ]
        later = [
            {"_input": move.input, "_partition": move.partition, "_old": move.old, "_new": move.new}
            for move in known
            if move.old is not None
        ]
        c = position.c
        moved = 0
        if first:
            moved += self.count(self.insert(position).on_conflict_do_nothing(), first)
        if later:
            statement = update(position).where(
                c.input == bindparam("_input"),
                c.partition == bindparam("_partition"),
                c.offset == bindparam("_old"),
            )
            moved += self.count(statement.values(offset=bindparam("_new")), later)
        return moved == len(known)
