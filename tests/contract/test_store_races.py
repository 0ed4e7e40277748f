"""Several workers and relays at one store: who loses, who waits, and what nobody may get twice."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from random import Random

import pytest

from rules.decision import Changes, Kind, Rejected, SubjectRow
from schemas.time import Instant
from streams.store import LostRace, OutboxStatus, Store
from tests.contract.rows import T0, at, effect, subject, write

WORKERS = 4
ROUNDS = 30


@pytest.fixture
def workers(store_url: str, store: Store) -> Iterator[list[Store]]:
    """Stores of workers that run beside each other."""
    opened = [Store.open(store_url) for _ in range(WORKERS)]
    yield opened
    for one in opened:
        one.close()


def side_by_side(runs: list[Callable[[], None]]) -> None:
    """Run each in a thread of its own; raise what the first that failed raised."""
    failed: list[BaseException] = []

    def guarded(run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def test_whoever_loads_to_write_waits_for_the_others(store: Store, workers: list[Store]) -> None:
    keys = [f"s{n:02}" for n in range(40)]
    write(store, subjects=[subject(key, document=b"0") for key in keys])

    def count_up(through: Store, random: Random) -> None:
        for _ in range(ROUNDS):
            with through.transaction() as tx:
                rows = tx.load_subjects(random.sample(keys, 12))
                found = list(rows.values())
                random.shuffle(found)
                tx.write(
                    Changes(
                        subjects=[
                            row._replace(document=b"%d" % (int(row.document) + 1)) for row in found
                        ]
                    )
                )

    # Neither a lost race nor a deadlock is caught here: rows are locked in one order by all.
    side_by_side([partial(count_up, w, Random(n)) for n, w in enumerate(workers)])
    with store.reading() as tx:
        rows = tx.load_subjects(keys).values()
    assert sum(int(row.document) for row in rows) == WORKERS * ROUNDS * 12
    assert all(row.version == int(row.document) + 1 for row in rows)


def test_each_new_subject_is_made_once(store: Store, workers: list[Store]) -> None:
    keys = [f"s{n:03}" for n in range(200)]
    made: list[str] = []

    def make(through: Store, random: Random) -> None:
        for _ in range(ROUNDS):
            wanted = random.sample(keys, 5)
            try:
                with through.transaction() as tx:
                    known = tx.load_subjects(wanted)
                    new = [key for key in wanted if key not in known]
                    tx.write(Changes(subjects=[subject(key) for key in new]))
            except LostRace:
                continue
            made.extend(new)

    side_by_side([partial(make, w, Random(n)) for n, w in enumerate(workers)])
    with store.reading() as tx:
        assert sorted(made) == sorted(tx.load_subjects(keys))


def test_each_deadline_is_decided_once(store: Store, workers: list[Store]) -> None:
    keys = [f"s{n:03}" for n in range(120)]
    write(store, subjects=[subject(key, people_due=at(n)) for n, key in enumerate(keys)])
    decided: list[str] = []

    def decide(through: Store) -> None:
        while True:
            with through.transaction() as tx:
                due = tx.due_people(at(1_000), 7)
                tx.write(Changes(subjects=[row._replace(people_due=None) for row in due]))
            if not due:
                return
            decided.extend(row.key for row in due)

    side_by_side([partial(decide, w) for w in workers])
    # Whoever found nothing may have been early; the last one has decided the rest.
    assert sorted(decided) == keys


# --- leases --------------------------------------------------------------------------------------


def lease(store: Store, relay: str, now: Instant = T0, limit: int = 10) -> list[str]:
    with store.transaction() as tx:
        found = tx.lease_outbox(relay, now, Instant(now + 100), limit, {"executive": 1})
    return [entry.effect.effect_id for entry in found]


def test_a_lease_is_for_one_relay_until_it_ends(store: Store, other: Store) -> None:
    write(store, effects=[effect(f"e{n}", case_id=f"c{n}") for n in range(4)])
    assert lease(store, "a", limit=2) == ["e0", "e1"]
    assert lease(other, "b") == ["e2", "e3"]
    assert lease(store, "a") == ["e0", "e1"]
    assert lease(other, "b", at(99)) == ["e2", "e3"]
    # The first has died; what it held comes back when its lease is over.
    assert lease(other, "b", at(100)) == ["e0", "e1", "e2", "e3"]


def test_only_the_oldest_of_a_case_and_role_is_leased(store: Store, other: Store) -> None:
    tiers = {"e2": {"tier": "executive", "case_id": "c2"}, "e3": {"role": "executive_sponsor"}}
    write(store, effects=[effect(f"e{n}", **tiers.get(f"e{n}", {})) for n in range(4)])
    assert lease(store, "a") == ["e2", "e0", "e3"]
    assert lease(other, "b") == []
    with store.transaction() as tx:
        first = tx.list_outbox()[0]
        tx.update_outbox([replace(first, status=OutboxStatus.SENT)], "a")
    # Two roles may read the same channel: the case is one relay's until that one is done with it.
    assert lease(other, "b") == []
    with store.transaction() as tx:
        tx.release_leases("a")
    assert lease(other, "b") == ["e2", "e1", "e3"]


def test_a_case_is_with_one_relay_at_a_time(store: Store, other: Store) -> None:
    write(
        store, effects=[effect("e0"), effect("e1", role="operations"), effect("e2", case_id=None)]
    )
    assert lease(store, "a", limit=1) == ["e0"]
    assert lease(other, "b") == ["e2"]
    assert lease(store, "a") == ["e0", "e1"]
    with store.reading() as tx:
        held = {name: tx.leased_by(name) for name in "abc"}
    assert held == {"a": {1, 2}, "b": {3}, "c": set()}
    assert lease(other, "b", at(100)) == ["e0", "e1", "e2"]


def test_a_relay_that_came_too_late_writes_nothing(store: Store, other: Store) -> None:
    write(store, effects=[effect("e0"), effect("e1", case_id="c2")])
    lease(store, "a")
    with store.reading() as tx:
        entries = [replace(entry, status=OutboxStatus.SENT) for entry in tx.list_outbox()]
    assert lease(other, "b", at(100), limit=1) == ["e0"]
    with pytest.raises(LostRace, match="another relay"), store.transaction() as tx:
        tx.update_outbox(entries, "a")
    with store.reading() as tx:
        assert {entry.status for entry in tx.list_outbox()} == {OutboxStatus.QUEUED}


def test_a_lease_is_extended_and_given_back(store: Store, other: Store) -> None:
    write(store, effects=[effect("e0")])
    lease(store, "a")
    with store.transaction() as tx:
        assert tx.extend_leases("a", at(500)) == 1
        assert tx.extend_leases("b", at(900)) == 0
    assert lease(other, "b", at(499)) == []
    with store.reading() as tx:
        assert tx.next_relay_wake(at(1)) == at(500)
    with store.transaction() as tx:
        tx.release_leases("a")
    with store.reading() as tx:
        assert tx.next_relay_wake(at(1)) == at(1)
    assert lease(other, "b", at(2)) == ["e0"]


def test_reminders_are_leased_too(store: Store, other: Store) -> None:
    write(store, effects=[effect("e0"), effect("e1", case_id="c2")])
    with store.transaction() as tx:
        sent = [
            replace(entry, status=OutboxStatus.SENT, remind_at=at(5)) for entry in tx.list_outbox()
        ]
        tx.update_outbox(sent)
    with store.transaction() as tx:
        mine = tx.lease_reminders("a", at(5), at(50), 1)
    with other.transaction() as tx:
        theirs = tx.lease_reminders("b", at(5), at(50), 9)
        assert tx.lease_reminders("c", at(5), at(50), 9) == []
    assert [e.effect.effect_id for e in (*mine, *theirs)] == ["e0", "e1"]
    with store.reading() as tx:
        assert tx.next_relay_wake(at(6)) == at(50)


def test_no_effect_is_leased_by_two_relays(store: Store, workers: list[Store]) -> None:
    names = [f"e{n:03}" for n in range(90)]
    write(store, effects=[effect(name, case_id=f"c{n % 15}") for n, name in enumerate(names)])
    sent: list[str] = []

    def relay(through: Store, name: str) -> None:
        while True:
            with through.transaction() as tx:
                entries = tx.lease_outbox(name, T0, at(100), 4)
            with through.transaction() as tx:
                done = [replace(entry, status=OutboxStatus.SENT) for entry in entries]
                tx.update_outbox(done, name)
                sent.extend(entry.effect.effect_id for entry in entries)
                if not tx.count_outbox().get(OutboxStatus.QUEUED):
                    return

    side_by_side([partial(relay, w, f"relay {n}") for n, w in enumerate(workers)])
    assert sorted(sent) == names


# --- what only a server with several writers can show --------------------------------------------


def test_rows_that_somebody_holds_are_skipped(two_writers: tuple[Store, Store]) -> None:
    mine, theirs = two_writers
    rows = [subject("a", people_due=at(1)), subject("b", feeds_due=at(1)), subject("c")]
    write(mine, subjects=rows)
    with mine.transaction() as tx:
        assert [row.key for row in tx.due_people(at(1), 9)] == ["a"]
        with theirs.transaction() as beside:
            assert beside.due_people(at(1), 9) == []
            assert [row.key for row in beside.due_feeds(Kind.ORDER, at(1), 9)] == ["b"]


def test_relays_take_turns_to_lease(two_writers: tuple[Store, Store]) -> None:
    mine, theirs = two_writers
    # Of one case, but of two roles: the rows alone would not keep two relays apart.
    write(mine, effects=[effect("e0"), effect("e1", role="operations")])
    with mine.transaction() as tx:
        assert len(tx.lease_outbox("a", T0, at(9), 1)) == 1
        with theirs.transaction() as beside:
            assert beside.lease_outbox("b", T0, at(9), 9) == []
    assert lease(theirs, "b") == []
    assert lease(mine, "a") == ["e0", "e1"]


def test_a_deadlock_is_a_lost_race(two_writers: tuple[Store, Store]) -> None:
    mine, theirs = two_writers
    write(mine, subjects=[subject("a"), subject("b")])
    both_hold = threading.Barrier(2)
    lost: list[str] = []

    def cross(through: Store, first: str, second: str) -> None:
        try:
            with through.transaction() as tx:
                tx.load_subjects([first])
                both_hold.wait(60)
                tx.load_subjects([second])
        except LostRace as error:
            lost.append(str(error))

    side_by_side([partial(cross, mine, "a", "b"), partial(cross, theirs, "b", "a")])
    assert len(lost) == 1
    assert "crossed" in lost[0]


def test_alone_means_after_all_others(two_writers: tuple[Store, Store]) -> None:
    mine, theirs = two_writers
    seen: list[SubjectRow | None] = []

    def alone() -> None:
        with theirs.transaction() as tx:
            tx.enter(alone=True)
            seen.append(tx.subject("a"))

    thread = threading.Thread(target=alone)
    with mine.transaction() as tx:
        tx.enter(alone=False)
        assert not tx.is_alone
        tx.write(Changes(subjects=[subject("a")]))
        thread.start()
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not tx.connection.exec_driver_sql(waits).scalar_one():
            assert thread.is_alive(), "it must not get in beside us"
        assert seen == []
    thread.join()
    assert seen == [subject("a", version=1)]


def test_several_decide_together(two_writers: tuple[Store, Store]) -> None:
    mine, theirs = two_writers
    with mine.transaction() as one, theirs.transaction() as two:
        one.enter(alone=False)
        two.enter(alone=False)
        assert not one.is_alone
        assert not two.is_alone


# --- characters that a database cannot keep -----------------------------------------------------


def test_what_other_programs_write_can_be_any_text(store: Store) -> None:
    odd = "a\0b\ud800c"
    kept = "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    write(
        store,
        rejected=[Rejected("http", odd, odd, "malformed", b"\0\xff", T0)],
        counts={("unknown type", "", odd): 2},
        effects=[effect("e1", text={"note": "a\0b"})],
    )
    write(store, counts={("unknown type", "", odd): 1})
    with store.reading() as tx:
        [row] = tx.list_rejected()
        assert (row.entry.position, row.entry.reason, row.entry.value) == (kept, kept, b"\0\xff")
        assert [(c.name, c.n) for c in tx.counters()] == [(kept, 3)]
        assert tx.list_outbox()[0].effect.text == {"note": "a\0b"}
