"""What is told of clocks, in the store: called off before it leaves, and found by a clock's id."""

from dataclasses import replace

from rules.decision import CalledOff, EffectKind, Kind
from rules.subjects import case_id
from streams.store import OutboxStatus, Store
from tests.contract.rows import effect, subject, write


def test_what_is_called_off_is_dropped_unless_it_has_left(store: Store) -> None:
    names = ("waits", "sent", "other")
    write(store, effects=[effect(name, kind=EffectKind.WARNING) for name in names])
    with store.transaction() as tx:
        entry = next(e for e in tx.list_outbox() if e.effect.effect_id == "sent")
        tx.update_outbox([replace(entry, status=OutboxStatus.SENT)])
    write(
        store,
        called_off=[
            CalledOff("waits", "kept meanwhile", effect("waits: no")),
            CalledOff("sent", "it was in time", effect("sent: no", kind=EffectKind.RETRACTION)),
            CalledOff("never queued", "kept meanwhile", effect("never: no")),
        ],
    )
    with store.reading() as tx:
        found = {e.effect.effect_id: (e.status, e.reason) for e in tx.list_outbox()}
    assert found == {
        "waits": (OutboxStatus.DROPPED, "kept meanwhile"),
        "sent": (OutboxStatus.SENT, None),
        "other": (OutboxStatus.QUEUED, None),
        "sent: no": (OutboxStatus.QUEUED, None),  # only those who were told hear that it was wrong
    }


def test_what_is_decided_and_called_off_at_once_never_leaves(store: Store) -> None:
    off = CalledOff("warned", "kept meanwhile", None)
    write(store, effects=[effect("warned", kind=EffectKind.WARNING)], called_off=[off])
    with store.reading() as tx:
        (entry,) = tx.list_outbox()
    assert entry.status is OutboxStatus.DROPPED


def test_a_clock_leads_to_its_ticket_without_a_case(store: Store) -> None:
    kinds = {"ticket:acme:T-1": Kind.TICKET, "touchpoints:acme:": Kind.TOUCHPOINTS,
             "order:acme:PO-1": Kind.ORDER}  # fmt: skip
    write(store, subjects=[subject(key, kind=kind) for key, kind in kinds.items()])
    ids = {case_id(key): key for key in kinds}
    with store.reading() as tx:
        found = tx.subjects_of_clocks([*ids, "C-000000000000"])
    assert {ids[name] for name in found} == {"ticket:acme:T-1", "touchpoints:acme:"}
    assert all(row.key == ids[name] for name, row in found.items())
