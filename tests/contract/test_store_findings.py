"""What reports and alarms ask of a store, beside the lists that people look at."""

from dataclasses import replace

import pytest

from rules.decision import CaseRow, Changes, Kind, Rejected, State, StepKind, StepRow
from schemas.time import Instant
from streams.store import Store

T0 = Instant(1_790_000_000_000_000)
CASE = CaseRow(
    case_id="c1", subject="order:acme:1", kind=Kind.ORDER, partner_id="acme",
    partner_tier="standard", state=State.OPEN, tier="management", highest_tier="management",
    owner=None, disputed=False, shadow=False, parent=None, rules=(), headline="late",
    opened_at=T0, changed_at=T0, due=None, waits_for=None,
)  # fmt: skip
STEP = StepRow("c1", "opened:1", 0, StepKind.OPENED, "management", T0, T0, None, None, "h", {})


def write(store: Store, changes: Changes) -> None:
    with store.transaction() as tx:
        tx.write(changes)


@pytest.mark.parametrize("kind", [StepKind.OPENED, StepKind.ATTACHED])
def test_what_was_never_more_than_a_watch_is_not_counted_as_opened(
    store: Store, kind: StepKind
) -> None:
    gone = replace(CASE, case_id="c2", subject="order:acme:2", state=State.RETRACTED)
    watch = replace(gone, case_id="c3", subject="order:acme:3")
    steps = [
        replace(STEP, kind=kind),
        replace(STEP, case_id="c2", kind=kind, withdrawn_at=T0),
        replace(STEP, case_id="c2", key="opened:2", kind=kind),
        replace(STEP, case_id="c3", key="watched:1", kind=StepKind.WATCHED, withdrawn_at=T0),
    ]
    write(store, Changes(cases=[CASE, gone, watch], steps=steps))
    with store.reading() as tx:
        assert tx.count_opened([State.RETRACTED]) == 1
        assert tx.count_opened(list(State)) == 2
        assert tx.count_opened([State.CLOSED]) == 0


def test_rejected_input_is_read_on_from_where_one_has_come(store: Store) -> None:
    rows = [Rejected("http", str(n), "not JSON", "malformed", b"{", T0) for n in range(3)]
    write(store, Changes(rejected=rows))
    with store.reading() as tx:
        first, second, third = tx.list_rejected()
        assert tx.list_rejected(after=first.id) == [second, third]
        assert tx.list_rejected(after=first.id, limit=1) == [second]
        assert tx.list_rejected(after=third.id) == []
