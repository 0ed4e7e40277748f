"""What lists of clocks ask of the store: all of one kind by the page, and who stood open when."""

import pytest

from rules.decision import Kind, State
from schemas.time import DAY, HOUR, MINUTE
from streams.store import Store
from tests.contract.rows import at, case, step, subject, write


def test_all_of_a_kind_come_by_the_page_and_nothing_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.store.subjects._PAGE", 2)
    tickets = [
        subject(f"ticket:{partner}:{name}", kind=Kind.TICKET, partner_id=partner)
        for partner in ("acme", "acme2", "é")
        for name in ("", "T-1", "T-2", "ä:b", "~")
    ]
    strangers = [
        subject("order:acme:T-1"),
        subject("touchpoints:acme:", kind=Kind.TOUCHPOINTS),
        subject("tickets", kind=Kind.METRIC),
    ]
    write(store, subjects=[*tickets, *strangers])
    keys = sorted(row.key for row in tickets)
    with store.reading() as tx:
        assert [row.key for row in tx.subjects_of_kind(Kind.TICKET)] == keys
        for partner in ("acme", "acme2", "é"):
            found = [row.key for row in tx.subjects_of_kind(Kind.TICKET, partner)]
            assert found == [key for key in keys if key.startswith(f"ticket:{partner}:")]
        assert [row.key for row in tx.subjects_of_kind(Kind.TOUCHPOINTS)] == ["touchpoints:acme:"]
        assert list(tx.subjects_of_kind(Kind.PATTERN)) == []


def test_a_partner_whose_name_has_a_colon_has_its_own_subjects(store: Store) -> None:
    key = "ticket:a%3Ab:T-1"
    write(store, subjects=[subject(key, kind=Kind.TICKET, partner_id="a:b")])
    with store.reading() as tx:
        assert [row.key for row in tx.subjects_of_kind(Kind.TICKET, "a:b")] == [key]
        assert list(tx.subjects_of_kind(Kind.TICKET, "a")) == []


def test_cases_that_may_have_stood_open_then(store: Store) -> None:
    over = {"state": State.RESOLVED, "opened_at": at(0)}
    write(
        store,
        cases=[
            case("open", opened_at=at(0)),
            case("opened later", opened_at=at(2 * DAY)),
            case("over before", changed_at=at(HOUR), **over),
            case("over later", changed_at=at(2 * DAY), **over),
            case("decided later", changed_at=at(HOUR), **over),
            case("of others", opened_at=at(0), partner_id="other"),
        ],
        steps=[
            step("over before", "resolved", 1, decided_at=at(HOUR)),
            step("decided later", "resolved", 1, at=at(HOUR), decided_at=at(DAY + MINUTE)),
        ],
    )
    with store.reading() as tx:
        found = {row.case_id for row in tx.cases_at(at(DAY), "acme")}
        everybody = {row.case_id for row in tx.cases_at(at(DAY))}
    assert found == {"open", "over later", "decided later"}
    assert everybody == {*found, "of others"}


def test_steps_of_several_cases_come_in_their_order(store: Store) -> None:
    write(
        store,
        steps=[
            step("one", "b", 2), step("one", "a", 1), step("two", "c", 1), step("three", "d", 1)
        ],
    )  # fmt: skip
    with store.reading() as tx:
        found = tx.steps_of_cases(["one", "two", "nobody"])
    assert {name: [s.key for s in steps] for name, steps in found.items()} == {
        "one": ["a", "b"],
        "two": ["c"],
    }
