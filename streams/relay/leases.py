"""Several relays at one store: each leases what it is about to tell, and with it the case.

A relay that was frozen for longer than its lease finds that others went on, and writes nothing.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from schemas.time import MINUTE, Instant
from streams.relay.letters import Letter
from streams.relay.ports import Write
from streams.store import LostRace, OutboxEntry, Transaction


@dataclass(frozen=True, slots=True)
class Shift:
    """What a relay needs to work beside others at one store."""

    name: str
    """No other relay has it, nor had it before."""
    clock: Callable[[], Instant]
    lease: int = 2 * MINUTE
    """Microseconds for which it has what it took; so long what a dead relay held waits. At least
    twice what one attempt to send can take."""


class Leases:
    """What one relay of several has leased."""

    def __init__(self, shift: Shift, write: Write) -> None:
        self._shift, self._write = shift, write
        self._until = Instant(0)
        # Effects that another relay may have told already, and since when they are with this one.
        self._taken_over: dict[str, Instant] = {}

    @property
    def name(self) -> str:
        """The relay's."""
        return self._shift.name

    async def take(
        self, lease: Callable[[Transaction, str, Instant], list[OutboxEntry]]
    ) -> list[OutboxEntry]:
        """Entries for this relay alone; `lease` is given its name, and until when it has them."""
        shift = self._shift
        now = shift.clock()
        until = Instant(now + shift.lease)
        found: list[OutboxEntry] = []

        def work(tx: Transaction) -> None:
            if self._until:  # what it has from an earlier pass, and what is under way
                tx.extend_leases(shift.name, until)
            found.extend(lease(tx, shift.name, until))

        await self._write(work)
        if found or self._until:
            self._until = until
        self._taken_over |= {entry.effect.effect_id: now for entry in found if entry.taken_over}
        return found

    async def hold(self, letter: Letter) -> None:
        """Keep what is leased for long enough to send a letter. Raises LostRace when it is lost."""
        shift = self._shift
        if shift.clock() < self._until - shift.lease // 2:
            return
        until = Instant(shift.clock() + shift.lease)
        held: set[int] = set()

        def work(tx: Transaction) -> None:
            tx.extend_leases(shift.name, until)
            held.update(tx.leased_by(shift.name))

        await self._write(work)
        if not held.issuperset(job.seq for job in letter.jobs):
            raise LostRace(f"what {shift.name} was about to tell has been leased to another relay")
        self._until = until

    async def give_back(self, busy: Collection[int], *, done: bool) -> None:
        """Let others have what was leased, but for the entries that something is under way about.

        What was left half done is known to them as such.
        """
        shift = self._shift
        if not self._until:
            return
        if not busy:
            self._until = Instant(0)
        now = shift.clock()
        if done:
            await self._write(lambda tx: tx.release_leases(shift.name, busy))
        else:
            await self._write(lambda tx: tx.end_leases(shift.name, now, busy))

    def taken_over_at(self, effect_id: str) -> Instant | None:
        """Since when an effect that another relay may have told is with this one."""
        return self._taken_over.get(effect_id)
