"""What waits to be announced to other programs, and whose turn it is to do what is done once."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, func, select, update

from schemas.time import Instant
from streams.store.queries import Queries, chunks
from streams.store.tables import announcement, setting

_DUTY = "duty."


class Topic(StrEnum):
    """Where an announcement goes."""

    DECISIONS = "decisions"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Announcement:
    """A record for other programs. `seq` is 0 until it is stored."""

    topic: Topic
    key: str | None
    headers: Sequence[tuple[str, bytes]]
    value: bytes
    announcement_id: str | None
    """One that waits already under the same id is not written again."""
    seq: int = 0


class AnnouncementQueries(Queries):
    """Statements about announcements and duties."""

    def add_announcements(self, rows: Iterable[Announcement]) -> None:
        """Keep announcements until they are sent."""
        self.insert_new(
            announcement,
            [
                {
                    "topic": row.topic,
                    "key": row.key,
                    "headers": [[name, value.hex()] for name, value in row.headers],
                    "value": row.value,
                    "announcement_id": row.announcement_id,
                }
                for row in rows
            ],
        )

    def announcements(self, limit: int) -> list[Announcement]:
        """The oldest of what waits."""
        query = select(announcement).order_by(announcement.c.seq).limit(limit)
        return [
            Announcement(
                Topic(row["topic"]),
                row["key"],
                [(name, bytes.fromhex(value)) for name, value in row["headers"]],
                row["value"],
                row["announcement_id"],
                row["seq"],
            )
            for row in self.connection.execute(query).mappings()
        ]

    def count_announcements(self) -> int:
        """How many wait."""
        return self.connection.execute(select(func.count()).select_from(announcement)).scalar_one()

    def drop_announcements(self, seqs: Collection[int]) -> None:
        """Forget what was sent."""
        for piece in chunks(seqs):
            self.connection.execute(delete(announcement).where(announcement.c.seq.in_(piece)))

    def take_duty(self, duty: str, name: str, now: Instant, until: Instant) -> bool:
        """Have a duty for oneself until then. False while it is somebody else's.

        Whoever has it takes it again before it ends, or leaves it to the next.
        """
        c, mine = setting.c, f"{until} {name}"
        key = _DUTY + duty
        query = select(c.value).where(c.key == key).with_for_update()
        found = self.connection.execute(query).scalar_one_or_none()
        if found is None:
            added = self.insert(setting).on_conflict_do_nothing()
            return self.count(added, [{"key": key, "value": mine}]) == 1
        ends, _, whose = found.partition(" ")
        if whose != name and int(ends) > now:
            return False
        self.connection.execute(update(setting).where(c.key == key).values(value=mine))
        return True

    def leave_duty(self, duty: str, name: str) -> None:
        """Leave a duty to the others at once."""
        c = setting.c
        mine = c.value.endswith(f" {name}", autoescape=True)
        self.connection.execute(delete(setting).where(c.key == _DUTY + duty, mine))
