"""The relay: tells people what was decided, in order, at least once, and writes it down.

relay = Relay(store.reading, write, lambda: house, {"terminal": ...}, random.Random())
report = await relay.run_once(now)
"""

from streams.relay.backoff import Backoff
from streams.relay.house import House
from streams.relay.leases import Shift
from streams.relay.ports import Reading, Write
from streams.relay.reasons import Reason
from streams.relay.relay import Relay
from streams.relay.report import RelayReport

__all__ = ["Backoff", "House", "Reading", "Reason", "Relay", "RelayReport", "Shift", "Write"]
