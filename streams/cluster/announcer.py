"""Sends what was announced to the topics `decisions` and `rejected`, in order, at least once.

One process at a time does it (a duty): so the decisions about a case arrive in their order. What
was sent is forgotten once every replica has it; a process that dies in between leaves it to be sent
again, under the same id.
"""

from collections.abc import Callable

from schemas.time import SECOND, Instant
from streams.cluster.sending import Outgoing, Sender
from streams.cluster.settings import KafkaSettings
from streams.store import Announcement, Store, Topic
from streams.writer import Writer

DUTY = "announce"
#: So many are sent and waited for together.
BATCH = 500
#: Seconds that sending a batch may take, and microseconds that the duty is ours before each.
_WITHIN, _LEASE = 15.0, 30 * SECOND


class Announcer:
    """Drains the announcements of a store. `name` is this process's alone."""

    def __init__(
        self,
        kafka: KafkaSettings,
        store: Store,
        writer: Writer,
        name: str,
        clock: Callable[[], Instant],
    ) -> None:
        self._store = store
        self._writer = writer
        self._name = name
        self._clock = clock
        self._sender = Sender(kafka, "Decisions cannot be announced now", _WITHIN)
        self._topics = {
            Topic.DECISIONS: kafka.decisions_topic,
            Topic.REJECTED: kafka.rejected_topic,
        }

    async def run_once(self) -> int:
        """Send what waits, a batch at most. Returns how much there was.

        Raises what the store does; what Kafka does not take is sent again later.
        """
        rows = await self._writer.call(self._take_turn)
        if not rows:
            return 0
        outgoing = [
            Outgoing(
                self._topics[row.topic],
                None if row.key is None else row.key.encode(),
                row.value,
                list(row.headers),
            )
            for row in rows
        ]
        if not await self._sender.send(outgoing):
            await self._writer.call(self._leave)  # perhaps another reaches the brokers
            return 0
        await self._writer.call(self._forget, [row.seq for row in rows])
        return len(rows)

    async def stop(self) -> None:
        """Leave the duty to others and the brokers alone."""
        await self._sender.stop()
        await self._writer.call(self._leave)

    # -- on the writing thread -----------------------------------------------------------------

    def _take_turn(self) -> list[Announcement]:
        with self._store.reading() as tx:
            if not tx.announcements(1):
                return []  # nothing to write: do not make others wait for a transaction
        now = self._clock()
        with self._store.transaction() as tx:
            if not tx.take_duty(DUTY, self._name, now, Instant(now + _LEASE)):
                return []
            return tx.announcements(BATCH)

    def _forget(self, seqs: list[int]) -> None:
        with self._store.transaction() as tx:
            tx.drop_announcements(seqs)

    def _leave(self) -> None:
        with self._store.transaction() as tx:
            tx.leave_duty(DUTY, self._name)
