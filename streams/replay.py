"""Replay: events from files on a virtual clock, as if each had come at its own time.

Nothing depends on how long ago that was: the clock shows the time of the event that is being
read, and the deadlines between two events fire between them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from rules.policy import PolicyHistory
from rules.recipients import Recipients
from rules.subjects import command_target, is_command
from rules.world import Horizon
from schemas.events import Malformed, UnknownType, parse_event
from schemas.time import Instant, to_instant
from streams import outcome as out
from streams.handler import Handler
from streams.horizon import horizon_of_file
from streams.outcome import Outcome
from streams.records import Record, RejectedRecord
from streams.store import Store

#: More than a service takes at once: what many events say of one ticket is then looked at once.
BATCH = 20_000
#: What the bytes of every command have in them.
_COMMANDS = (b'"case.', b'"clock.')
#: Pieces of rejected input that a tally names.
_NAMED = 20


class RejectedInput(NamedTuple):
    """Where a record stood that was not taken, and why it was not."""

    input: str
    position: str
    reason: str


@dataclass(slots=True)
class Tally:
    """How many records were read, and what became of them."""

    read: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    first_rejected: list[RejectedInput] = field(default_factory=list)

    def count(self, records: Iterable[Record], outcomes: Iterable[Outcome]) -> None:
        """Add one batch."""
        for record, outcome in zip(records, outcomes, strict=True):
            self.read += 1
            match outcome:
                case out.Accepted() | out.Parked():
                    self.accepted += 1
                case out.Duplicate():
                    self.duplicate += 1
                case out.Conflict() | out.Refused() | out.SetAside():
                    self.rejected += 1
                    if len(self.first_rejected) < _NAMED:
                        self.first_rejected.append(
                            RejectedInput(record.input, record.position, outcome.reason)
                        )


class Replay:
    """Drives the handler over sorted records. `tell` False decides without telling anybody."""

    def __init__(
        self, store: Store, policies: PolicyHistory, recipients: Recipients, *, tell: bool = True
    ) -> None:
        self.tally = Tally()
        self.handler = Handler(
            store, policies, recipients, self._horizon, self._hear, tell=tell, virtual=True
        )
        self._policy = policies.newest.document
        self._newest = Instant(0)

    def _horizon(self, now: Instant) -> Horizon:
        # Sorted input: all that is stamped before `now` has been read.
        return horizon_of_file(self._policy, now - 1)

    def _hear(self, seen: dict[str, tuple[Instant, Instant]]) -> None:
        self._newest = max([self._newest, *(event_at for event_at, _ in seen.values())])

    def run(
        self,
        records: Iterable[Record],
        until: Instant | None = None,
        progress: Callable[[Tally], None] | None = None,
    ) -> Tally:
        """Read records that are sorted by (time, source, id); then let time pass until `until`.

        Without `until` the clock stops at the last event. What has no time that can be read came in
        when it ended.
        """
        for batch in _batches(records, BATCH):
            read_at = self._newest if until is None else until
            for piece in self._before_their_cases(batch):
                self.tally.count(piece, self.handler.take(piece, read_at))
            self.advance(self._newest)
            if progress is not None:
                progress(self.tally)
        if until is not None:
            self.advance(Instant(until + 1))
        return self.tally

    def _before_their_cases(self, batch: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """The batch, cut before each command whose case silence may open until it is given.

        Other commands find their case, and what is decided after them is decided with them.
        """
        begin = 0
        for place, record in enumerate(batch):
            if isinstance(record, RejectedRecord) or not any(map(record.value.count, _COMMANDS)):
                continue
            event = parse_event(record.value)
            if isinstance(event, Malformed | UnknownType) or not is_command(event):
                continue
            with self.handler.store.reading() as tx:
                if tx.case(command_target(event)) is not None:
                    continue
            if place > begin:
                yield batch[begin:place]
            begin = place
            self.advance(to_instant(event.time))
        yield batch[begin:]

    def advance(self, to: Instant) -> None:
        """Let the deadlines before an instant fire."""
        while self.handler.tick(to):
            pass


def _batches(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    iterator = iter(records)
    while batch := list(islice(iterator, size)):
        yield batch
