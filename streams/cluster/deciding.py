"""The handler of a worker, with the policy and directory that are in force in the store."""

from collections.abc import Callable, Collection, Sequence

from rules.world import Horizon
from schemas.time import Instant
from streams.announcements import announce
from streams.cluster.gaps import BROKERS, note_open
from streams.cluster.read_past import ClusterFeedWatch, Partition, ReadPast
from streams.feeds import learn
from streams.handler import DocumentsChanged, FenceMoved, Handler
from streams.knowledge import in_force
from streams.observed import Observe, observed
from streams.outcome import Outcome
from streams.records import Record
from streams.store import FenceMove, Store
from streams.writer import Clock


class Deciding:
    """Takes batches and decides deadlines. Owned by one thread at a time.

    When somebody puts another policy or directory in force, they are read anew and what was to be
    decided is decided with them. Raises StoreError when the store was never given any.
    """

    def __init__(
        self,
        store: Store,
        read_past: ReadPast,
        clock: Clock,
        observe: Observe = lambda tally, seconds: None,
        decided: Callable[[int], None] = lambda subjects: None,
    ) -> None:
        """`decided` is told how many subjects each look at the deadlines has decided."""
        self._store = store
        self._read_past = read_past
        self._clock = clock
        self._observe = observe
        self._decided = decided
        self._learn()

    def take(self, records: Sequence[Record], now: Instant) -> list[Outcome]:
        """Take records that did not come from a topic, such as a command given to this process."""
        while True:
            try:
                return self._handler.take(records, now)
            except DocumentsChanged:
                self._learn()

    def take_once(
        self, records: Sequence[Record], moves: Sequence[FenceMove]
    ) -> list[Outcome] | FenceMoved:
        """Take a batch, and move its fences with it."""
        return observed(lambda: self._take_once(records, moves), self._observe)

    def _take_once(
        self, records: Sequence[Record], moves: Sequence[FenceMove]
    ) -> list[Outcome] | FenceMoved:
        while True:
            try:
                return self._handler.take_once(records, moves, self._clock())
            except DocumentsChanged:
                self._learn()

    def tick(self) -> int:
        """Decide deadlines that are due and read past. Returns how many subjects were due."""
        while True:
            try:
                decided = self._handler.tick(self._clock())
            except DocumentsChanged:
                self._learn()
            else:
                self._decided(decided)
                return decided

    def horizon(self, now: Instant) -> Horizon:
        """Up to where deadlines may be decided at `now`."""
        return self._watch.horizon(now)

    def fences(self, topics: Collection[str]) -> dict[Partition, int]:
        """How far the topics were committed."""
        with self._store.reading() as tx:
            return tx.fences(topics)

    def look(self, topics: Collection[str], reached_at: Instant | None = None) -> None:
        """Note how far the topics were committed, and what was heard of each source.

        `reached_at` is when the brokers were asked for their ends, if they have answered.
        """
        if reached_at is not None:
            note_open(self._store, BROKERS, reached_at)
        with self._store.reading() as tx:
            fences = tx.fences(topics)
            learn(self._watch, tx)
        self._read_past.committed(fences)

    def _learn(self) -> None:
        with self._store.reading() as tx:
            knowledge, version = in_force(tx)
            self._watch = ClusterFeedWatch(knowledge.policy.document, read_past=self._read_past)
            learn(self._watch, tx)
        self._handler = Handler(
            self._store,
            knowledge.policies,
            knowledge.recipients,
            self._watch.horizon,
            documents=version,
            announce=announce,
        )
