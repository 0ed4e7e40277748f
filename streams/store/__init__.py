"""The store: everything that Detente knows, in one SQL database.

with Store.open("sqlite:///detente.db") as store:
    with store.transaction() as tx:
        subjects = tx.load_subjects(keys)
        tx.write(decide(subjects))
        assert tx.move_fences([FenceMove("orders", 0, old, new)])
"""

from streams.store.announcements import Announcement, Topic
from streams.store.errors import LostRace, SchemaError, StoreError, Unavailable
from streams.store.fences import FenceMove
from streams.store.rows import (
    STANDING,
    Attached,
    CaseCount,
    Counter,
    DeliveryRow,
    DeliveryStatus,
    Feed,
    NextDue,
    OutboxEntry,
    OutboxStatus,
    RejectedRow,
    RejectedState,
    Token,
    Version,
)
from streams.store.store import Store, migrate
from streams.store.subjects import (
    DISRUPTIONS,
    DOCUMENTS,
    partner_guard,
    value_guard,
)
from streams.store.transaction import Transaction

__all__ = [
    "DISRUPTIONS",
    "DOCUMENTS",
    "STANDING",
    "Announcement",
    "Attached",
    "CaseCount",
    "Counter",
    "DeliveryRow",
    "DeliveryStatus",
    "Feed",
    "FenceMove",
    "LostRace",
    "NextDue",
    "OutboxEntry",
    "OutboxStatus",
    "RejectedRow",
    "RejectedState",
    "SchemaError",
    "Store",
    "StoreError",
    "Token",
    "Topic",
    "Transaction",
    "Unavailable",
    "Version",
    "migrate",
    "partner_guard",
    "value_guard",
]
