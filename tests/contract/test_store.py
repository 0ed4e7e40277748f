"""What every store does, whichever database is behind it."""

import threading
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.decision import (
    Changes,
    EffectKind,
    JournalEntry,
    Kind,
    Occurrence,
    Parked,
    Rejected,
    State,
)
from schemas.time import DAY, HOUR, MINUTE, WEEK, Instant
from streams.store import (
    CaseCount,
    Counter,
    DeliveryRow,
    DeliveryStatus,
    Feed,
    FenceMove,
    LostRace,
    NextDue,
    OutboxEntry,
    OutboxStatus,
    RejectedState,
    Store,
    Token,
    Version,
    partner_guard,
    value_guard,
)
from tests.contract.rows import T0, at, case, effect, step, subject, write

# --- subjects ------------------------------------------------------------------------------------


def test_a_subject_comes_back_as_it_was_written(store: Store) -> None:
    full = subject(
        "order/acme/1",
        document=bytes(range(256)),
        began_at=at(-DAY),
        feeds_due=at(DAY),
        people_due=at(HOUR),
        has_case=True,
    )
    bare = subject("ticket/1", kind=Kind.TICKET, partner_id="")
    write(store, subjects=[full, bare])
    with store.reading() as tx:
        assert tx.load_subjects(["ticket/1", "order/acme/1", "order/acme/1", "none"]) == {
            "order/acme/1": full._replace(version=1),
            "ticket/1": bare._replace(version=1),
        }
        assert tx.subject("ticket/1") == bare._replace(version=1)
        assert tx.subject("none") is None
        assert tx.load_subjects([]) == {}


def test_every_write_moves_the_version(store: Store) -> None:
    write(store, subjects=[subject("a"), subject("b")])
    write(store, subjects=[subject("a", document=b"2", version=1)])
    changed = subject("a", document=b"3", version=2, began_at=T0, feeds_due=T0, people_due=T0)
    write(store, subjects=[changed])
    with store.reading() as tx:
        rows = tx.load_subjects(["a", "b"])
    assert rows["a"] == changed._replace(version=3)
    assert rows["b"] == subject("b", version=1)


def test_many_subjects_at_once(store: Store) -> None:
    rows = [subject(f"order/{(n * 7919) % 12_007:05}", document=b"%d" % n) for n in range(12_007)]
    write(store, subjects=rows)
    keys = [row.key for row in rows]
    with store.transaction() as tx:
        loaded = tx.load_subjects([*keys, *(f"new/{n}" for n in range(5_000))])
        assert loaded.keys() == set(keys)
        tx.write(Changes(subjects=list(loaded.values())))
    with store.reading() as tx:
        again = tx.load_subjects(keys)
    assert {row.version for row in again.values()} == {2}
    assert {key: row.document for key, row in again.items()} == {
        row.key: row.document for row in rows
    }


ODD_KEYS = [
    "",
    "'",
    '"',
    "%",
    "_",
    "?",
    ":a",
    "ß",
    "ẞ",
    "SS",
    "ss",
    "é",
    "e\u0301",
    "🚚",
    " a",
    "a ",
]


def test_keys_are_told_apart_to_the_letter(store: Store) -> None:
    rows = [subject(key, document=key.encode(), partner_id=key) for key in ODD_KEYS]
    write(store, subjects=rows)
    with store.reading() as tx:
        assert tx.load_subjects(ODD_KEYS) == {row.key: row._replace(version=1) for row in rows}


@settings(max_examples=30)
@given(keys=st.sets(st.text(st.characters(exclude_categories=["Cs", "Cc"])), max_size=20))
def test_any_text_is_a_key(tmp_path_factory: pytest.TempPathFactory, keys: set[str]) -> None:
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('keys') / 'store.db'}") as store:
        write(store, subjects=[subject(key) for key in keys])
        with store.reading() as tx:
            assert tx.load_subjects(keys).keys() == keys


def test_the_second_to_write_a_subject_loses(store: Store, other: Store) -> None:
    write(store, subjects=[subject("a"), subject("b")])
    with store.reading() as tx:
        mine = tx.load_subjects(["a", "b"])
    write(other, subjects=[subject("a", document=b"theirs", version=1)])
    with pytest.raises(LostRace):
        write(store, subjects=[mine["b"], mine["a"]], counts={("event", "", "x"): 1})
    with store.reading() as tx:
        assert tx.load_subjects(["a", "b"]) == {
            "a": subject("a", document=b"theirs", version=2),
            "b": subject("b", version=1),
        }
        assert tx.counters() == []


def test_the_second_to_make_a_subject_loses(store: Store, other: Store) -> None:
    write(other, subjects=[subject("a", document=b"theirs")])
    with pytest.raises(LostRace):
        write(store, subjects=[subject("b"), subject("a", document=b"mine")])
    with store.reading() as tx:
        assert tx.load_subjects(["a", "b"]) == {"a": subject("a", document=b"theirs", version=1)}


def test_a_subject_that_went_missing_is_a_lost_race(store: Store) -> None:
    with pytest.raises(LostRace):
        write(store, subjects=[subject("a", version=1)])


def test_writers_of_two_connections_lose_nothing(store: Store, other: Store) -> None:
    write(store, subjects=[subject("n", document=b"0")])

    def count_up(through: Store) -> None:
        for _ in range(25):
            with through.transaction() as tx:
                row = tx.load_subjects(["n"])["n"]
                tx.write(Changes(subjects=[row._replace(document=b"%d" % (int(row.document) + 1))]))

    threads = [threading.Thread(target=count_up, args=(s,)) for s in (store, other, store)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as tx:
        assert tx.load_subjects(["n"])["n"] == subject("n", document=b"75", version=76)


# --- what is due ---------------------------------------------------------------------------------


def test_due_subjects_come_longest_due_first_and_by_kind(store: Store) -> None:
    rows = [
        subject("late", feeds_due=at(-2)),
        subject("later", feeds_due=at(-3)),
        subject("now", feeds_due=at(0)),
        subject("soon", feeds_due=at(1)),
        subject("never"),
        subject("ticket", kind=Kind.TICKET, feeds_due=at(-9), people_due=at(-1)),
        subject("owed", people_due=at(-5)),
    ]
    write(store, subjects=rows)
    with store.reading() as tx:
        due = tx.due_feeds(Kind.ORDER, T0, 10)
        assert [row.key for row in due] == ["later", "late", "now"]
        assert due[0] == subject("later", feeds_due=at(-3), version=1)
        assert [row.key for row in tx.due_feeds(Kind.ORDER, T0, 2)] == ["later", "late"]
        assert [row.key for row in tx.due_feeds(Kind.TICKET, T0, 9)] == ["ticket"]
        assert tx.due_feeds(Kind.PATTERN, T0, 9) == []
        assert [row.key for row in tx.due_people(T0, 10)] == ["owed", "ticket"]
        assert [row.key for row in tx.due_people(T0, 1)] == ["owed"]
        assert tx.next_due() == NextDue({Kind.ORDER: at(-3), Kind.TICKET: at(-9)}, at(-5))
        assert tx.count_held(Kind.ORDER, at(-3), at(0)) == 2
        assert tx.count_held(Kind.ORDER, at(-4), at(9)) == 4
        assert tx.count_held(Kind.TICKET, at(-9), at(9)) == 0


def test_nothing_is_due_in_an_empty_store(store: Store) -> None:
    with store.reading() as tx:
        assert tx.next_due() == NextDue({}, None)
        assert tx.due_people(T0, 5) == []


def test_a_deadline_that_was_met_is_no_longer_due(store: Store) -> None:
    write(store, subjects=[subject("a", feeds_due=T0, people_due=T0)])
    write(store, subjects=[subject("a", version=1)])
    with store.reading() as tx:
        assert tx.next_due() == NextDue({}, None)


def test_a_new_policy_wakes_what_waits_beyond_its_beginning(store: Store) -> None:
    rows = [
        subject("before", feeds_due=at(-1)),
        subject("beyond", feeds_due=at(DAY)),
        subject("ticket", kind=Kind.TICKET, feeds_due=at(DAY)),
        subject("asleep"),
    ]
    write(store, subjects=rows)
    with store.reading() as tx:
        loaded = tx.load_subjects(["beyond"])["beyond"]
    with store.transaction() as tx:
        assert tx.arm_for_policy(T0) == 2
    with store.reading() as tx:
        due = {key: row.feeds_due for key, row in tx.load_subjects([r.key for r in rows]).items()}
    assert due == {"before": at(-1), "beyond": T0, "ticket": T0, "asleep": None}
    with pytest.raises(LostRace):
        write(store, subjects=[loaded])


def test_the_latest_orders_of_a_partner(store: Store) -> None:
    starts = [0, -HOUR, -HOUR, -3 * DAY, -5 * WEEK, -60 * WEEK, -500 * WEEK, HOUR]
    rows = [subject(f"o{n}", began_at=at(start)) for n, start in enumerate(starts)]
    rows += [
        subject("unknown"),
        subject("ticket", kind=Kind.TICKET, began_at=at(-1)),
        subject("theirs", partner_id="other", began_at=at(-900 * WEEK)),
    ]
    write(store, subjects=rows)
    with store.reading() as tx:
        assert tx.order_starts("acme", T0, 3) == [
            ("o0", T0),
            ("o2", at(-HOUR)),
            ("o1", at(-HOUR)),
        ]
        all_of_them = [key for key, _ in tx.order_starts("acme", T0, 50)]
        assert all_of_them == ["o0", "o2", "o1", "o3", "o4", "o5", "o6"]
        assert tx.order_starts("acme", at(-6 * WEEK), 1) == [("o5", at(-60 * WEEK))]
        assert tx.order_starts("acme", at(-1_000 * WEEK), 1) == []
        assert tx.order_starts("nobody", T0, 5) == []


def test_no_week_is_left_out_of_a_partners_orders(store: Store) -> None:
    weeks = range(200)
    write(store, subjects=[subject(f"o{n}", began_at=at(-n * WEEK)) for n in weeks])
    with store.reading() as tx:
        found = tx.order_starts("acme", T0, 1_000)
    assert found == [(f"o{n}", at(-n * WEEK)) for n in weeks]


def test_an_order_counts_once_its_beginning_is_known(store: Store) -> None:
    write(store, subjects=[subject("a")])
    write(store, subjects=[subject("a", began_at=at(-DAY), version=1)])
    with store.reading() as tx:
        assert tx.order_starts("acme", T0, 5) == [("a", at(-DAY))]
    write(store, subjects=[subject("a", version=2)])
    with store.reading() as tx:
        assert tx.order_starts("acme", T0, 5) == []


def test_the_beginning_of_what_was_loaded_is_stored_when_it_moves(store: Store) -> None:
    write(store, subjects=[subject("a", feeds_due=T0), subject("b"), subject("c", began_at=T0)])
    with store.transaction() as tx:
        rows = {row.key: row for row in tx.due_feeds(Kind.ORDER, T0, 5)}
        rows |= tx.load_subjects(["b", "c"])
        first = rows["c"]
        tx.write(Changes(subjects=[r._replace(began_at=at(-DAY)) for r in rows.values()]))
        tx.write(Changes(subjects=[first._replace(version=2)]))
    with store.reading() as tx:
        assert tx.order_starts("acme", T0, 5) == [("c", T0), ("b", at(-DAY)), ("a", at(-DAY))]


# --- occurrences ---------------------------------------------------------------------------------


def test_occurrences_of_one_partner_and_of_all(store: Store) -> None:
    mine = Occurrence("o1", "sku", "A-1", "acme", at(2))
    theirs = Occurrence("o2", "sku", "A-1", "other", at(1))
    write(
        store,
        occurrences_added=[
            mine,
            theirs,
            Occurrence("o1", "sku", "B-2", "acme", T0),
            Occurrence("o1", "category", "A-1", "acme", T0),
        ],
    )
    with store.reading() as tx:
        assert tx.occurrences("sku", "A-1") == [theirs, mine]
        assert tx.occurrences("sku", "A-1", "acme") == [mine]
        assert tx.occurrences("sku", "C-3") == []
    moved = replace(mine, at=at(0))
    write(store, occurrences_added=[moved], occurrences_removed=[theirs])
    with store.reading() as tx:
        assert tx.occurrences("sku", "A-1") == [moved]
        assert len(tx.occurrences("sku", "B-2")) == 1


def test_occurrences_of_each_partner_since_an_instant_of_its_own(store: Store) -> None:
    early = Occurrence("o1", "rule/category", "quality", "acme", at(1))
    late = replace(early, subject="o2", at=at(5))
    theirs = replace(early, subject="o3", partner_id='o"ther')
    of_another_rule = replace(early, subject="o4", dimension="rule/sku")
    strangers = replace(early, subject="o5", partner_id="nobody")
    write(store, occurrences_added=[late, early, theirs, of_another_rule, strangers])
    with store.reading() as tx:

        def found(since: dict[str, Instant], *more: str) -> list[Occurrence]:
            return tx.occurrences_since(["rule/category", *more], since)

        assert found({"acme": at(2)}) == [late]
        assert found({"acme": at(5)}) == [late]
        assert found({"acme": at(6)}) == []
        assert found({"acme": at(2), 'o"ther': at(0)}) == [theirs, late]
        assert found({"acme": at(1)}, "rule/sku") == [early, of_another_rule, late]
        assert found({}) == []


def test_an_occurrence_taken_out_and_put_in_at_once_stands(store: Store) -> None:
    before = Occurrence("o1", "sku", "A-1", "acme", at(2))
    after = replace(before, at=at(3))
    write(store, occurrences_added=[before])
    write(store, occurrences_removed=[before], occurrences_added=[after])
    with store.reading() as tx:
        assert tx.occurrences("sku", "A-1") == [after]


def test_each_change_of_occurrences_moves_the_version_of_its_partner(store: Store) -> None:
    one = Occurrence("o1", "sku", "A-1", "acme", T0)
    write(store, occurrences_added=[one, replace(one, subject="o2")])
    write(store, occurrences_removed=[one])
    with store.reading() as tx:
        assert tx.versions(["partner/acme", "partner/other"]) == {
            partner_guard("acme"): 2,
            partner_guard("other"): 0,
        }


def test_two_transactions_never_both_count_two_of_three(store: Store, other: Store) -> None:
    write(store, occurrences_added=[Occurrence("o1", "sku", "A-1", "acme", T0)])

    def add(through: Store, name: str, versions: dict[str, int]) -> None:
        with through.transaction() as tx:
            new = Occurrence(name, "sku", "A-1", "acme", T0)
            tx.write(Changes(occurrences_added=[new]), versions=versions)

    with store.reading() as mine, other.reading() as theirs:
        seen = mine.versions([partner_guard("acme")])
        assert theirs.versions([partner_guard("acme")]) == seen
    add(other, "o2", seen)
    with pytest.raises(LostRace):
        add(store, "o3", seen)
    with store.reading() as tx:
        assert [row.subject for row in tx.occurrences("sku", "A-1")] == ["o1", "o2"]


def test_a_partner_counted_for_the_first_time_can_be_lost_too(store: Store, other: Store) -> None:
    write(other, occurrences_added=[Occurrence("o1", "sku", "A-1", "acme", T0)])
    with pytest.raises(LostRace), store.transaction() as tx:
        tx.write(Changes(), versions={partner_guard("acme"): 0})


def test_two_partners_never_both_count_two_of_three(store: Store, other: Store) -> None:
    of_sku = value_guard("repeat/sku", "A-1")

    def add(through: Store, partner_id: str, versions: dict[str, int]) -> None:
        with through.transaction() as tx:
            new = Occurrence(f"order of {partner_id}", "repeat/sku", "A-1", partner_id, T0)
            tx.write(Changes(occurrences_added=[new]), versions=versions)

    add(store, "first", {of_sku: 0})
    with store.reading() as tx:
        seen = tx.versions([of_sku])
    add(other, "second", seen)
    with pytest.raises(LostRace):
        add(store, "third", seen)
    with store.reading() as tx:
        assert [row.partner_id for row in tx.occurrences("repeat/sku", "A-1")] == [
            "first",
            "second",
        ]


# --- cases ---------------------------------------------------------------------------------------


def test_a_case_comes_back_as_it_was_written_and_is_replaced(store: Store) -> None:
    full = case(
        "c1",
        owner="mia",
        disputed=True,
        shadow=True,
        parent="c0",
        due=at(HOUR),
        waits_for="acknowledge",
    )
    write(store, cases=[full, case("c2", rules=())])
    with store.reading() as tx:
        assert tx.case("c1") == full
        assert tx.case("c2") == case("c2", rules=())
        assert tx.case("c3") is None
        assert tx.cases(["c2", "c1", "c3"]).keys() == {"c1", "c2"}
        assert tx.case_of_subject("subject of c1") == full
        assert tx.case_of_subject("none") is None
        assert tx.attached_cases("c0") == [full]
    resolved = replace(full, state=State.RESOLVED, due=None, waits_for=None, parent=None)
    write(store, cases=[resolved])
    with store.reading() as tx:
        assert tx.case("c1") == resolved
        assert tx.attached_cases("c0") == []
        assert tx.count_cases() == 2


def test_cases_are_listed_by_filters_oldest_first(store: Store) -> None:
    write(
        store,
        cases=[
            case("c1", opened_at=at(3)),
            case("c2", opened_at=at(1), state=State.RESOLVED),
            case("c3", opened_at=at(2), tier="executive"),
            case("c4", opened_at=at(2), partner_id="other", state=State.WATCH, tier="watch"),
        ],
    )

    def ids(**filters: Any) -> list[str]:
        with store.reading() as tx:
            listed = [row.case_id for row in tx.list_cases(**filters)]
            filters.pop("limit", None)
            assert tx.count_cases(**filters) >= len(listed)
        return listed

    assert ids() == ["c2", "c3", "c4", "c1"]
    assert ids(limit=2) == ["c2", "c3"]
    assert ids(partner="acme") == ["c2", "c3", "c1"]
    assert ids(tier="executive") == ["c3"]
    assert ids(states=[State.OPEN, State.WATCH]) == ["c3", "c4", "c1"]
    assert ids(states=[]) == []
    assert ids(older_than=at(2)) == ["c2", "c3", "c4"]
    assert ids(partner="acme", states=[State.OPEN], older_than=at(2)) == ["c3"]
    with store.reading() as tx:
        assert tx.count_cases(partner="acme", states=[State.OPEN]) == 2


def test_a_case_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    write(store, cases=[case("ab12"), case("ab34"), case("a_34")])
    with store.reading() as tx:
        assert [row.case_id for row in tx.find_cases("ab")] == ["ab12", "ab34"]
        assert [row.case_id for row in tx.find_cases("ab3")] == ["ab34"]
        assert [row.case_id for row in tx.find_cases("a_")] == ["a_34"]
        assert len(tx.find_cases("a", limit=1)) == 1
        assert tx.find_cases("x") == []


def test_cases_are_in_time_until_their_deadline_comes(store: Store) -> None:
    due = {"past": at(-1), "now": T0, "ahead": at(1), "never": None}
    write(store, cases=[case(name, due=due[name]) for name in due])
    with store.reading() as tx:
        assert tx.cases_in_time([*due, "none"], T0) == tx.cases(["ahead", "never"])
        assert tx.cases_in_time(["past", "ahead"], at(-2)) == tx.cases(["past", "ahead"])
        assert tx.cases_in_time([], T0) == {}


def test_standing_cases_are_those_that_are_not_over(store: Store) -> None:
    over = {State.RESOLVED, State.CLOSED, State.RETRACTED}
    rows = [case(f"c{n}", state=state, opened_at=at(n)) for n, state in enumerate(State)]
    rows += [case("p", kind=Kind.PATTERN), case("theirs", partner_id="other", opened_at=at(99))]
    write(store, cases=rows)
    standing = [row.case_id for row in rows[: len(State)] if row.state not in over]
    with store.reading() as tx:
        assert [row.case_id for row in tx.standing_cases(Kind.ORDER)] == [*standing, "theirs"]
        assert [row.case_id for row in tx.standing_cases(Kind.ORDER, ["acme"])] == standing
        assert [row.case_id for row in tx.standing_cases(Kind.PATTERN)] == ["p"]
        assert tx.standing_cases(Kind.ORDER, []) == []


def test_cases_are_counted_by_what_reports_group_by(store: Store) -> None:
    late = ("late-delivery",)
    write(
        store,
        cases=[
            case("c1", rules=late),
            case("c2", rules=late),
            case("c3", rules=late, state=State.RETRACTED),
            case("c4", rules=late, highest_tier="executive"),
            case("c5", rules=()),
        ],
    )
    with store.reading() as tx:
        counted = tx.case_counts()
    assert sorted(counted, key=lambda c: (c.state, c.highest_tier, c.rules)) == [
        CaseCount(State.OPEN, "executive", late, 1),
        CaseCount(State.OPEN, "management", (), 1),
        CaseCount(State.OPEN, "management", late, 2),
        CaseCount(State.RETRACTED, "management", late, 1),
    ]


def test_steps_come_in_order_and_can_be_withdrawn(store: Store) -> None:
    first, second = step("c1", "opened", 1), step("c1", "raised", 2, due=None, actor="mia")
    write(store, steps=[second, first, step("c2", "opened", 1)])
    with store.reading() as tx:
        assert tx.steps("c1") == [first, second]
    gone = replace(second, withdrawn_at=at(DAY))
    write(store, steps=[gone])
    with store.reading() as tx:
        assert tx.steps("c1") == [first, gone]
        assert tx.steps("none") == []


def test_decimals_in_a_receipt_are_kept_as_text(store: Store) -> None:
    write(store, steps=[step("c1", "opened", 1, receipt={"facts": {"impact": Decimal("0.080")}})])
    with store.reading() as tx:
        assert tx.steps("c1")[0].receipt == {"facts": {"impact": "0.080"}}


def test_what_cannot_be_stored_in_a_receipt_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="complex"):
        write(store, steps=[step("c1", "opened", 1, receipt={"facts": 1j})])
    with store.reading() as tx:
        assert tx.steps("c1") == []


def test_the_subjects_of_cases(store: Store) -> None:
    write(
        store,
        subjects=[subject("s1"), subject("s2", has_case=True, document=b"2")],
        cases=[case("c2", subject="s2"), case("c9", subject="not stored")],
    )
    with store.reading() as tx:
        assert tx.subjects_of_cases(["c2", "c9", "none"]) == {
            "c2": subject("s2", has_case=True, document=b"2", version=1)
        }


def test_the_journal_keeps_an_event_once_in_order_of_time(store: Store) -> None:
    late = JournalEntry("s1", "/erp", "e1", "order.placed", at(2), at(9), b'{"id":"e1"}')
    early = JournalEntry("s1", "/erp", "e2", "order.amended", at(1), at(9), b"\xff\x00")
    other = replace(early, subject="s2")
    write(store, journal=[late, early, other])
    write(store, journal=[replace(late, recorded_at=at(99)), early])
    with store.reading() as tx:
        assert tx.journal("s1") == [early, late]
        assert tx.journal("s2") == [other]


# --- outbox --------------------------------------------------------------------------------------


def due(store: Store, now: Instant, limit: int = 100, **ranks: int) -> list[str]:
    with store.reading() as tx:
        return [entry.effect.effect_id for entry in tx.outbox_due(now, limit, ranks)]


def entries(store: Store) -> dict[str, OutboxEntry]:
    with store.reading() as tx:
        return {entry.effect.effect_id: entry for entry in tx.list_outbox()}


def change(store: Store, effect_id: str, **fields: Any) -> None:
    entry = entries(store)[effect_id]
    with store.transaction() as tx:
        tx.update_outbox([replace(entry, **fields)])


def test_an_effect_is_queued_once_under_its_id(store: Store) -> None:
    bare = effect(
        "e2",
        case_id=None,
        partner_id=None,
        state=None,
        due=None,
        remind_every=None,
        urgent=True,
        shadow=True,
        actor="mia",
    )
    write(store, effects=[effect("e1"), bare])
    write(store, effects=[effect("e1", tier="other"), effect("e3", kind=EffectKind.RETRACTION)])
    found = entries(store)
    assert [entry.effect for entry in found.values()] == [
        effect("e1"),
        bare,
        effect("e3", kind=EffectKind.RETRACTION),
    ]
    assert found["e1"] == OutboxEntry(found["e1"].seq, effect("e1"), OutboxStatus.QUEUED)
    assert found["e1"].seq < found["e2"].seq < found["e3"].seq


def test_only_the_oldest_of_a_case_and_role_is_offered(store: Store) -> None:
    write(
        store,
        effects=[
            effect("a1"),
            effect("a2"),
            effect("a3", role="partnership_manager"),
            effect("b1", case_id="c2"),
            effect("n1", case_id=None),
            effect("n2", case_id=None),
        ],
    )
    assert due(store, T0) == ["a1", "a3", "b1", "n1", "n2"]
    change(store, "a1", status=OutboxStatus.SENT, sent_at=T0)
    assert due(store, T0) == ["a2", "a3", "b1", "n1", "n2"]
    assert due(store, T0, limit=2) == ["a2", "a3"]


def test_the_highest_tier_is_offered_first(store: Store) -> None:
    tiers = ["watch", "frontline", "executive", "management", "executive"]
    write(store, effects=[effect(f"e{n}", case_id=f"c{n}", tier=t) for n, t in enumerate(tiers)])
    ranks = {"frontline": 0, "management": 1, "executive": 2}
    assert due(store, T0, **ranks) == ["e2", "e4", "e3", "e1", "e0"]
    assert due(store, T0, limit=1, **ranks) == ["e2"]
    assert due(store, T0) == ["e0", "e1", "e2", "e3", "e4"]


def test_a_failed_entry_holds_back_the_later_ones_of_its_case(store: Store) -> None:
    write(store, effects=[effect("e1"), effect("e2"), effect("e3", role="operations")])
    change(store, "e1", attempts=1, not_before=at(HOUR), last_error="refused")
    assert due(store, T0) == ["e3"]
    assert due(store, at(HOUR - 1)) == ["e3"]
    assert due(store, at(HOUR)) == ["e1", "e3"]
    change(store, "e1", status=OutboxStatus.DEAD)
    assert due(store, T0) == ["e2", "e3"]


def test_what_the_relay_put_off_can_be_overtaken(store: Store) -> None:
    write(store, effects=[effect("e1"), effect("e2", urgent=True)])
    change(store, "e1", not_before=at(HOUR), reason="quiet hours")
    assert due(store, T0) == ["e2"]
    assert due(store, at(HOUR)) == ["e1"]
    with store.reading() as tx:
        waiting = [entry.effect.effect_id for entry in tx.outbox_queued(["c1", "c9"])]
    assert waiting == ["e1", "e2"]


def test_reminders_are_due_for_what_was_sent(store: Store) -> None:
    write(store, effects=[effect(f"e{n}", case_id=f"c{n}") for n in range(4)])
    sent = {"status": OutboxStatus.SENT, "sent_at": T0}
    change(store, "e0", **sent, remind_at=at(2), reminders_sent=1)
    change(store, "e1", **sent, remind_at=at(1))
    change(store, "e2", **sent)
    change(store, "e3", status=OutboxStatus.DROPPED, remind_at=at(0))
    with store.reading() as tx:
        assert tx.reminders_due(at(0), 9) == []
        assert [e.effect.effect_id for e in tx.reminders_due(at(2), 9)] == ["e1", "e0"]
        assert [e.effect.effect_id for e in tx.reminders_due(at(2), 1)] == ["e1"]
        assert tx.reminders_due(at(2), 9)[1].reminders_sent == 1


def wake(store: Store, now: Instant = T0) -> Instant | None:
    with store.reading() as tx:
        return tx.next_relay_wake(now)


def test_when_the_relay_next_has_something_to_do(store: Store) -> None:
    assert wake(store) is None
    write(store, effects=[effect("e1"), effect("e2")])
    assert wake(store) == T0
    change(store, "e1", attempts=1, not_before=at(HOUR))
    # e2 waits behind e1: it is no reason to wake.
    assert wake(store) == at(HOUR)
    assert wake(store, at(2 * HOUR)) == at(2 * HOUR)
    change(store, "e1", status=OutboxStatus.SENT, remind_at=at(3 * HOUR))
    assert wake(store) == T0
    change(store, "e2", status=OutboxStatus.DROPPED, remind_at=at(MINUTE))
    assert wake(store) == at(3 * HOUR)


def test_what_the_relay_notes_is_kept(store: Store) -> None:
    write(store, effects=[effect("e1"), effect("e2", case_id="c2")])
    noted = {
        "status": OutboxStatus.SENT,
        "reason": "bundled",
        "not_before": at(1),
        "attempts": 3,
        "last_error": "timed out",
        "remind_at": at(2),
        "reminders_sent": 4,
        "sent_at": at(3),
    }
    change(store, "e1", **noted)
    found = entries(store)
    assert found["e1"] == OutboxEntry(
        seq=found["e1"].seq,
        effect=effect("e1"),
        status=OutboxStatus.SENT,
        reason="bundled",
        not_before=at(1),
        attempts=3,
        last_error="timed out",
        remind_at=at(2),
        reminders_sent=4,
        sent_at=at(3),
    )
    assert found["e2"] == OutboxEntry(
        found["e2"].seq, effect("e2", case_id="c2"), OutboxStatus.QUEUED
    )
    with store.reading() as tx:
        assert [e.effect.effect_id for e in tx.list_outbox([OutboxStatus.SENT])] == ["e1"]
        assert [e.effect.effect_id for e in tx.list_outbox(case_id="c2")] == ["e2"]
        assert len(tx.list_outbox(limit=1)) == 1
        assert tx.count_outbox() == {OutboxStatus.SENT: 1, OutboxStatus.QUEUED: 1}


def test_dead_entries_are_queued_again(store: Store) -> None:
    write(store, effects=[effect(f"e{n}", case_id=f"c{n}") for n in range(3)])
    for name in ("e0", "e1"):
        change(
            store, name, status=OutboxStatus.DEAD, attempts=9, not_before=at(DAY), last_error="no"
        )
    seqs = {name: entry.seq for name, entry in entries(store).items()}
    with store.transaction() as tx:
        assert tx.retry_dead([seqs["e1"], seqs["e2"], 999]) == 1
    again = entries(store)["e1"]
    assert (again.status, again.attempts, again.not_before) == (OutboxStatus.QUEUED, 0, None)
    assert again.last_error == "no"
    assert due(store, T0) == ["e1", "e2"]
    with store.transaction() as tx:
        assert tx.retry_dead() == 1
    assert due(store, T0) == ["e0", "e1", "e2"]


def test_deliveries_are_kept_with_their_case(store: Store) -> None:
    first = DeliveryRow(
        1, "e1", "e1:mia:0", "c1", "mia", "webhook", DeliveryStatus.FAILED, T0, detail="503"
    )
    second = replace(first, status=DeliveryStatus.SENT, attempt=2, bundle_id="b1", detail=None)
    third = replace(first, idempotency_key="e1:tom:0", person="tom", case_id=None)
    with store.transaction() as tx:
        tx.insert_deliveries([first, second, third])
        tx.insert_deliveries([])
    with store.reading() as tx:
        found = tx.deliveries_of("c1")
        assert [replace(row, id=0) for row in found] == [first, second]
        assert 0 < found[0].id < found[1].id
        assert tx.told(["e1:mia:0", "e1:tom:0", "never"]) == {"e1:mia:0"}


def test_a_delivery_keeps_what_its_route_calls_the_message(store: Store) -> None:
    row = DeliveryRow(
        1, "e1", "k1", "c1", "mia", "1 slack C1", DeliveryStatus.SENT, T0, reference="C1/17.2"
    )
    with store.transaction() as tx:
        tx.insert_deliveries([row, replace(row, reference=None)])
    with store.reading() as tx:
        assert [found.reference for found in tx.deliveries_of("c1")] == ["C1/17.2", None]


def test_a_bundle_names_the_cases_that_it_told_of(store: Store) -> None:
    first = DeliveryRow(
        1, "e1", "k1", "c2", "mia", "1 slack C1", DeliveryStatus.BUNDLED, T0, bundle_id="b1"
    )
    rows = [
        replace(first, case_id="c9", status=DeliveryStatus.DEFERRED),  # left before it was sent
        first,
        replace(first, case_id="c1"),
        replace(first, case_id="c2"),
        replace(first, case_id=None),
        replace(first, case_id="c3", bundle_id="b2"),
    ]
    with store.transaction() as tx:
        tx.insert_deliveries(rows)
    with store.reading() as tx:
        assert tx.cases_of_bundle("b1") == ("c2", "c1")
        assert tx.cases_of_bundle("never") == ()


# --- what came in --------------------------------------------------------------------------------


def test_a_fence_moves_only_from_where_it_stands(store: Store, other: Store) -> None:
    def move(through: Store, *moves: tuple[int, int | None, int]) -> bool:
        with through.transaction() as tx:
            return tx.move_fences([FenceMove("orders", *move) for move in moves])

    def stand() -> dict[tuple[str, int], int]:
        with store.reading() as tx:
            return tx.fences(["orders", "tickets"])

    assert stand() == {}
    assert move(store)
    assert move(store, (1, None, 2**40), (0, None, 10))
    assert stand() == {("orders", 0): 10, ("orders", 1): 2**40}
    assert move(other, (0, 10, 20), (2, None, 0))
    for old in (None, 10, 30):
        assert not move(store, (0, old, 25))
    assert not move(store, (7, 0, 1))
    assert stand() == {("orders", 0): 20, ("orders", 1): 2**40, ("orders", 2): 0}


def test_several_fences_count_as_lost_when_one_is(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.move_fences([FenceMove("orders", 0, None, 5), FenceMove("orders", 1, None, 5)])
        assert not tx.move_fences([FenceMove("orders", 0, 5, 6), FenceMove("orders", 1, 4, 6)])
        assert not tx.move_fences([FenceMove("orders", 0, 6, 7), FenceMove("orders", 2, 0, 7)])


def test_a_lost_race_undoes_the_whole_batch(store: Store) -> None:
    def batch() -> None:
        with store.transaction() as tx:
            tx.write(Changes(subjects=[subject("a")], effects=[effect("e1")], accepted=1))
            tx.write(Changes(subjects=[subject("a", version=7)]))

    with pytest.raises(LostRace):
        batch()
    with store.reading() as tx:
        assert tx.subject("a") is None
        assert tx.list_outbox() == []
        assert tx.counters() == []


def test_rejected_input_is_kept_until_it_is_driven_again(store: Store) -> None:
    bad = Rejected("http", "3", "not JSON", "malformed", b"\xff{", T0)
    worse = Rejected("erp.jsonl", "7", "it raised", "deciding failed", b"{}", at(1), "s1")
    write(store, rejected=[bad, worse])
    with store.reading() as tx:
        first, second = tx.list_rejected()
        assert (first.entry, second.entry) == (bad, worse)
        assert first.state is RejectedState.KEPT
        assert tx.rejected(first.id) == first
        assert tx.rejected(999) is None
        assert tx.rejected_of_subjects(["s1", "s2"]) == {"s1"}
        assert tx.list_rejected(limit=1) == [first]
    with store.transaction() as tx:
        assert tx.mark_retried([second.id, 999], at(5)) == 1
        assert tx.mark_retried([second.id], at(6)) == 0
    with store.reading() as tx:
        assert tx.list_rejected() == [first]
        retried = replace(second, state=RejectedState.RETRIED, retried_at=at(5))
        assert tx.list_rejected(None) == [first, retried]
        assert tx.list_rejected(RejectedState.RETRIED) == [retried]
        assert tx.rejected_of_subjects(["s1"]) == set()


def test_commands_wait_for_their_case(store: Store) -> None:
    first = Parked("c1", "/slack", "e2", at(1), b"1")
    second = Parked("c1", "/slack", "e1", at(2), b"2")
    other = Parked("c2", "/slack", "e1", at(0), b"3")
    write(store, parked=[second, first, other])
    write(store, parked=[first])
    with store.reading() as tx:
        assert tx.parked_for(["c1", "none"]) == [first, second]
        assert tx.list_parked() == [other, first, second]
        assert tx.list_parked(limit=1) == [other]
    write(store, unparked=["c1"])
    with store.reading() as tx:
        assert tx.list_parked() == [other]


def test_counters_add_up(store: Store) -> None:
    placed = ("event", "/erp", "order.placed")
    write(store, counts={placed: 2, ("unknown field", "/erp", "colour"): 1}, accepted=3)
    write(store, counts={placed: 5}, duplicates=1)
    with store.reading() as tx:
        assert tx.counters() == [
            Counter("accepted", "", "", 3),
            Counter("duplicate", "", "", 1),
            Counter("event", "/erp", "order.placed", 7),
            Counter("unknown field", "/erp", "colour", 1),
        ]
        assert tx.counters("event") == [Counter("event", "/erp", "order.placed", 7)]


def test_a_feed_remembers_the_newest_of_each(store: Store) -> None:
    write(store, seen={"/erp": (at(5), at(6)), "/tms": (at(1), at(1))})
    write(store, seen={"/erp": (at(3), at(9))})
    write(store, seen={"/erp": (at(7), at(8))})
    with store.reading() as tx:
        assert tx.feeds() == {
            "/erp": Feed("/erp", at(7), at(9)),
            "/tms": Feed("/tms", at(1), at(1)),
        }


# --- administration ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["policy", "directory"])
def test_versions_are_kept_in_order_of_activation(store: Store, what: str) -> None:
    first = Version("h1", b"tiers: \xc3\xa4", at(0), at(0))
    second = Version("h2", b"2", at(5), at(1))
    back = replace(first, active_from=at(9), recorded_at=at(8))
    with store.transaction() as tx:
        add = tx.add_policy if what == "policy" else tx.add_directory
        for new in (back, second, first):
            assert add(new.hash, new.body, new.active_from, new.recorded_at)
        assert not add(first.hash, first.body, first.active_from, at(99))
    with store.reading() as tx:
        kept, others = tx.policies(), tx.directories()
    if what == "directory":
        kept, others = others, kept
    assert (kept, others) == ([first, second, back], [])


def test_tokens_can_be_revoked(store: Store) -> None:
    with store.transaction() as tx:
        first = tx.add_token("h1", "erp", T0)
        second = tx.add_token("h2", "erp", at(1))
    with store.transaction() as tx:
        assert tx.revoke_token(first, at(5))
        assert not tx.revoke_token(first, at(6))
        assert not tx.revoke_token(999, at(6))
    with store.reading() as tx:
        assert tx.tokens() == [
            Token(first, "h1", "erp", T0, at(5)),
            Token(second, "h2", "erp", at(1), None),
        ]
        assert tx.token_by_hash("h2") == Token(second, "h2", "erp", at(1), None)
        assert tx.token_by_hash("h3") is None


def test_a_setting_is_what_was_put_last(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.setting("last_alive") is None
        tx.put_setting("last_alive", "1")
        tx.put_setting("last_alive", "2")
    with store.reading() as tx:
        assert tx.setting("last_alive") == "2"


# --- transactions --------------------------------------------------------------------------------


EVERYTHING = Changes(
    subjects=[subject("s1")],
    cases=[case("c1", subject="s1")],
    steps=[step("c1", "opened", 1)],
    effects=[effect("e1")],
    occurrences_added=[Occurrence("s1", "sku", "A-1", "acme", T0)],
    journal=[JournalEntry("s1", "/erp", "e1", "order.placed", T0, T0, b"{}")],
    rejected=[Rejected("http", "1", "bad", "malformed", b"", T0)],
    parked=[Parked("c9", "/cli", "e1", T0, b"")],
    accepted=1,
    counts={("event", "/erp", "order.placed"): 1},
    seen={"/erp": (T0, T0)},
)


def contents(store: Store) -> list[Any]:
    with store.reading() as tx:
        return [
            tx.load_subjects(["s1"]),
            tx.list_cases(),
            tx.steps("c1"),
            tx.list_outbox(),
            tx.occurrences("sku", "A-1"),
            {name: n for name, n in tx.versions([partner_guard("acme")]).items() if n},
            tx.journal("s1"),
            tx.list_rejected(),
            tx.list_parked(),
            tx.counters(),
            tx.feeds(),
            tx.fences(["http"]),
            tx.setting("k") or [],
        ]


def write_everything(store: Store, then: BaseException | None = None) -> None:
    with store.transaction() as tx:
        tx.write(EVERYTHING)
        assert tx.move_fences([FenceMove("http", 0, None, 1)])
        tx.put_setting("k", "v")
        if then is not None:
            raise then


@pytest.mark.parametrize("failure", [RuntimeError("boom"), KeyboardInterrupt()])
def test_a_block_that_raises_leaves_nothing(store: Store, failure: BaseException) -> None:
    with pytest.raises(type(failure)):
        write_everything(store, failure)
    assert not any(contents(store))
    write_everything(store)
    assert all(contents(store))


def test_what_was_committed_is_there_for_who_opens_it_next(store: Store, store_url: str) -> None:
    write_everything(store)
    before = contents(store)
    store.close()
    with Store.open(store_url) as reopened:
        assert contents(reopened) == before


def test_nothing_is_seen_before_its_commit(store: Store, other: Store) -> None:
    with store.transaction() as tx:
        tx.write(EVERYTHING)
        assert not any(contents(other))
        assert tx.case("c1") is not None
    assert contents(other)[1]


def test_a_reader_sees_one_moment(store: Store, other: Store) -> None:
    with store.reading() as tx:
        assert tx.setting("k") is None
        with other.transaction() as theirs:
            theirs.put_setting("k", "v")
        assert tx.setting("k") is None
    with store.reading() as tx:
        assert tx.setting("k") == "v"


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(Exception, match=r"readonly|read-only"), store.reading() as tx:
        tx.put_setting("k", "v")
    with store.reading() as tx:
        assert tx.setting("k") is None


def test_writing_nothing_changes_nothing(store: Store) -> None:
    write(store)
    assert not any(contents(store))
