"""What a run of the relay did."""

from collections import Counter
from dataclasses import dataclass, field, fields, replace

from schemas.time import Instant
from streams.relay.reasons import Reason


@dataclass(slots=True)
class RelayReport:
    """What one run did, counted in effects and people."""

    sent: int = 0
    bundled: int = 0
    """Those of `sent` that went in a message with others."""
    messages: int = 0
    reminded: int = 0
    failed: int = 0
    """Attempts that did not arrive."""
    deferred: Counter[Reason] = field(default_factory=Counter)
    dropped: Counter[Reason] = field(default_factory=Counter)
    dead: int = 0
    next_wake: Instant | None = None
    """When there is something to do again, as far as is known now."""

    def take(self) -> "RelayReport":
        """What was counted since this was last asked."""
        taken, nothing = replace(self), RelayReport()
        for each in fields(self):
            setattr(self, each.name, getattr(nothing, each.name))
        return taken
