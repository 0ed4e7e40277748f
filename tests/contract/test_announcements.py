"""What is announced to other programs: with the batch that decided it, once, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.documents import load_directory, load_policy
from rules.policy import PolicyHistory
from rules.world import Horizon
from schemas.decisions import Decision
from schemas.time import DAY, HOUR, Instant
from streams import announcements
from streams.announcements import announce
from streams.handler import Handler
from streams.records import BrokerRecord, RawRecord, Record, RejectedRecord
from streams.store import Announcement, Store, Topic
from tests.acceptance.test_service import DIRECTORY, MONDAY, POLICY, event, placed, short
from tests.contract.rows import T0, at


@pytest.fixture
def handler(store: Store, tmp_path: Path) -> Handler:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "directory.yaml").write_text(DIRECTORY)
    policy = load_policy(tmp_path / "policy.yaml").compiled
    known = load_directory(tmp_path / "directory.yaml", policy).recipients
    return Handler(
        store,
        PolicyHistory(((Instant(0), policy),)),
        known,
        lambda now: Horizon.everything_until(now - 1),
        announce=announce,
    )


def take(handler: Handler, *events: dict[str, Any], now: int = MONDAY) -> None:
    records = [
        RawRecord("orders", f"partition 0 offset {n}", json.dumps(each).encode())
        for n, each in enumerate(events)
    ]
    handler.take(records, Instant(now))


def waiting(store: Store, topic: Topic = Topic.DECISIONS) -> list[Announcement]:
    with store.reading() as tx:
        return [row for row in tx.announcements(100) if row.topic is topic]


def decided(store: Store) -> list[Decision]:
    return [Decision.model_validate_json(row.value) for row in waiting(store)]


def types(store: Store) -> list[str]:
    return [decision.type.removeprefix("detente.case.") for decision in decided(store)]


ORDER, SHORT = placed(promised=Instant(MONDAY + DAY)), short()


def test_the_life_of_a_case_is_announced_step_by_step(store: Store, handler: Handler) -> None:
    take(handler, ORDER, SHORT)
    assert types(store) == ["opened"]
    handler.tick(Instant(MONDAY + 4 * HOUR + 2))
    [opened, *_] = found = decided(store)
    assert types(store) == ["opened", "breached", "escalated"]
    case_id = opened.data.case_id
    command: dict[str, Any] = {"case_id": case_id, "actor": "david"}
    later = Instant(MONDAY + 5 * HOUR)
    take(handler, event("a", "case.acknowledged", later, **command), now=later)
    solved = event("r", "case.resolved", later, **command, root_cause="short stock")
    take(handler, solved, now=MONDAY + 6 * HOUR)
    assert types(store)[3:] == ["acknowledged", "resolved"]
    assert decided(store)[:3] == found
    assert {(d.subject, d.partitionkey) for d in decided(store)} == {(case_id, "acme")}
    assert len({d.id for d in decided(store)}) == 5
    assert opened.data.why == ["order-impact: 8 of 100 units short = 8.0 % > 5 %"]
    assert opened.data.rules == ["order-impact"]
    assert (opened.data.tier, opened.data.state) == ("management", "open")
    assert decided(store)[3].data.actor == "david"
    rows = waiting(store)
    assert {row.key for row in rows} == {"acme"}
    assert [row.announcement_id for row in rows] == [d.id for d in decided(store)]


def test_a_case_that_later_truth_proves_wrong_is_announced_as_retracted(
    store: Store, handler: Handler
) -> None:
    def report(event_id: str, time: int, quantity: int) -> dict[str, Any]:
        return event(event_id, "order.impacted", Instant(time), order_id="PO-1", kind="short",
                     report_id="R-1", lines=[{"sku": "coffee", "quantity": quantity}])  # fmt: skip

    take(handler, ORDER, report("r1", MONDAY, 8))
    take(handler, report("r2", MONDAY + 1, 1), now=MONDAY + HOUR)
    assert types(store) == ["opened", "retracted"]


def test_what_is_folded_again_is_not_announced_again(store: Store, handler: Handler) -> None:
    take(handler, ORDER, SHORT)
    assert types(store) == ["opened"]
    with store.transaction() as tx:  # it has been sent
        tx.drop_announcements([row.seq for row in tx.announcements(9)])
    more = event("more", "order.impacted", order_id="PO-1", kind="damaged", report_id="R-9",
                 lines=[{"sku": "coffee", "quantity": 1}])  # fmt: skip
    take(handler, more, now=MONDAY + HOUR)
    take(handler, ORDER, SHORT, now=MONDAY + 2 * HOUR)
    assert types(store) == []


def test_nothing_is_announced_where_nobody_asks_for_it(store: Store, handler: Handler) -> None:
    quiet = Handler(store, handler.world.policies, handler.world.recipients, handler.horizon)
    take(quiet, ORDER, SHORT, {"specversion": "1.0"})
    with store.reading() as tx:
        assert tx.count_announcements() == 0


def test_what_is_not_committed_is_not_announced(store: Store, handler: Handler) -> None:
    class AwayError(Exception):
        pass

    def fails(*of: Any) -> None:
        announce(*of)
        raise AwayError

    handler._announce = fails
    with pytest.raises(AwayError):
        take(handler, ORDER, SHORT)
    assert waiting(store) == []
    handler._announce = announce
    take(handler, ORDER, SHORT)
    assert types(store) == ["opened"]


def test_input_that_was_not_taken_goes_on_with_its_reason_and_headers(
    store: Store, handler: Handler
) -> None:
    headers = (("trace", b"\x00\xff"), ("trace", b"again"))
    records: list[Record] = [
        BrokerRecord("orders", "partition 3 offset 17", b"no event", headers),
        RejectedRecord("orders", "partition 3 offset 18", b"", "a record without a value"),
        RawRecord("orders", "partition 3 offset 19", json.dumps(ORDER).encode()),
    ]
    handler.take(records, MONDAY)
    first, second = waiting(store, Topic.REJECTED)
    assert (first.value, second.value) == (b"no event", b"")
    assert first.key is None
    assert list(first.headers[:2]) == list(headers)
    said = dict(first.headers[2:])
    assert said[announcements.INPUT] == b"orders"
    assert said[announcements.POSITION] == b"partition 3 offset 17"
    assert said[announcements.KIND] == b"malformed"
    assert said[announcements.REASON]
    assert said[announcements.RECORDED_AT] == b"2026-11-02T10:00:00Z"
    assert dict(second.headers)[announcements.REASON] == b"a record without a value"


def test_what_was_sent_is_forgotten(store: Store) -> None:
    rows = [Announcement(Topic.DECISIONS, "acme", [], b"%d" % n, f"d{n}") for n in range(3)]
    with store.transaction() as tx:
        tx.add_announcements(rows)
        tx.add_announcements(rows[:1])
    with store.transaction() as tx:
        assert [row.value for row in tx.announcements(2)] == [b"0", b"1"]
        tx.drop_announcements([row.seq for row in tx.announcements(2)])
    assert [row.value for row in waiting(store)] == [b"2"]


# --- duties --------------------------------------------------------------------------------------


@pytest.fixture
def duty(store: Store, other: Store) -> Callable[[str, int, int], bool]:
    def take_duty(who: str, now: int, until: int) -> bool:
        with (store if who == "a" else other).transaction() as tx:
            return tx.take_duty("watch", who, at(now), at(until))

    return take_duty


def test_a_duty_is_one_process_s_until_it_ends(
    store: Store, duty: Callable[[str, int, int], bool]
) -> None:
    assert duty("a", 0, 10)
    assert not duty("b", 5, 15)
    assert duty("a", 9, 19)
    assert not duty("b", 18, 28)
    assert duty("b", 19, 29)
    assert not duty("a", 20, 30)
    with store.transaction() as tx:
        tx.leave_duty("watch", "a")  # not its own any more
        assert tx.take_duty("something else", "a", T0, at(1))
    assert not duty("a", 21, 31)
    with store.transaction() as tx:
        tx.leave_duty("watch", "b")
    assert duty("a", 22, 32)
