"""What the relay and those who look for news ask the store."""

from rules.decision import Changes, State
from streams.store import Attached, Store
from tests.contract.rows import case, effect


def test_what_is_late_under_a_disruption_is_counted(store: Store) -> None:
    cases = [
        case("port"),
        case("a1", parent="port", partner_id="acme"),
        case("a2", parent="port", partner_id="acme", state=State.RESOLVED),
        case("b1", parent="port", partner_id="borealis", state=State.SNOOZED),
        case("wrong", parent="port", partner_id="cosmo", state=State.RETRACTED),
        case("own", partner_id="acme"),
    ]
    with store.transaction() as tx:
        tx.write(Changes(cases=cases))
    with store.reading() as tx:
        assert tx.count_attached(["port", "own", "none"]) == {"port": Attached(3, 2, 2)}
        assert tx.count_attached([]) == {}


def test_something_new_to_tell_is_noticed(store: Store) -> None:
    with store.reading() as tx:
        assert tx.newest_effect() is None
    seen = []
    for name in ("e1", "e2", "e2"):
        with store.transaction() as tx:
            tx.write(Changes(effects=[effect(name)]))
        with store.reading() as tx:
            seen.append(tx.newest_effect())
    first, second, again = seen
    assert first is not None
    assert second is not None
    assert first < second == again  # the same effect once more is nothing new
