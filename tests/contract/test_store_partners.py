"""What scorecards ask of the store, in both databases."""

import pytest

from rules.decision import Kind, State
from schemas.time import DAY, WEEK, Instant
from streams.store import Store
from tests.contract.rows import T0, at, case, subject, write


def order(name: str, began: int | None, partner: str = "acme") -> dict[str, object]:
    return {"key": f"order:{partner}:{name}", "partner_id": partner, "began_at": began}


def test_orders_of_a_partner_that_began_in_a_stretch_of_time(store: Store) -> None:
    rows = [
        order("before", at(-1)),
        order("first", at(0)),
        order("a year on", at(53 * WEEK)),
        order("last", at(80 * WEEK)),
        order("after", at(80 * WEEK + 1)),
        order("never placed", None),
        order("of others", at(DAY), "acme2"),
        order("middle", at(20 * WEEK + 3)),
    ]
    tickets = [subject("ticket:acme:T", kind=Kind.TICKET, began_at=at(DAY))]
    write(store, subjects=[*(subject(**row) for row in rows), *tickets])  # type: ignore[arg-type]  # named fields
    with store.reading() as tx:
        found = [row.key for row in tx.orders_begun("acme", T0, at(80 * WEEK))]
        assert found == [f"order:acme:{x}" for x in ("first", "middle", "a year on", "last")]
        assert list(tx.orders_begun("nobody", T0, at(80 * WEEK))) == []
        assert list(tx.orders_begun("acme", at(80 * WEEK + 2), at(81 * WEEK))) == []


def test_cases_that_were_not_over_before(store: Store) -> None:
    over = {"state": State.RESOLVED, "opened_at": at(0)}
    write(
        store,
        cases=[
            case("standing", opened_at=at(0)),
            case("over before", changed_at=at(DAY), **over),
            case("over later", changed_at=at(3 * DAY), **over),
            case("opened later", opened_at=at(3 * DAY), state=State.CLOSED),
            case("opened too late", opened_at=at(9 * DAY)),
            case("of others", opened_at=at(3 * DAY), partner_id="other"),
        ],
    )
    with store.reading() as tx:
        found = [row.case_id for row in tx.cases_about("acme", at(2 * DAY), at(8 * DAY))]
    assert found == ["over later", "standing", "opened later"]


@pytest.mark.parametrize("partners", [
    [], ["acme"], ["acme", "acme corp", "acme!", "acme;b", "acme2", "a:b", "é", "Z%"],
])  # fmt: skip
def test_partners_are_found_by_their_keys(store: Store, partners: list[str]) -> None:
    keys = [
        f"order:{partner.replace('%', '%25').replace(':', '%3A')}:{n}"
        for partner in partners
        for n in range(3)
    ]
    write(
        store,
        subjects=[subject(key) for key in keys]
        + [subject("ticket:other:1", kind=Kind.TICKET, began_at=Instant(T0))],
    )
    with store.reading() as tx:
        assert sorted(tx.partners_with(Kind.ORDER)) == sorted(partners)
        assert list(tx.partners_with(Kind.METRIC)) == []
