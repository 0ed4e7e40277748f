"""What workers decide with: the documents in force in the store, whoever put them there."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rules.decision import Kind, StepKind
from rules.subjects import case_id, subject_key
from schemas.time import HOUR, SECOND, Instant, to_instant
from streams.cluster.deciding import Deciding
from streams.cluster.read_past import ReadPast
from streams.handler import FenceMoved
from streams.knowledge import compile_body, read_directory
from streams.logs import set_up_logs
from streams.outcome import Accepted
from streams.records import RawRecord
from streams.store import DOCUMENTS, FenceMove, Store, StoreError
from tests.cluster.cluster import troubled
from tests.cluster.test_deadlines import Clock
from tests.cluster.trade import BEGIN, DIRECTORY, LATER, POLICY, event


def put_in_force(store: Store, body: bytes) -> None:
    policy = compile_body(body, "policy")
    directory = read_directory(DIRECTORY, "directory", policy.compiled)
    with store.transaction() as tx:
        tx.enter(alone=True)
        tx.add_policy(policy.digest, policy.body, Instant(len(tx.policies())), LATER)
        tx.add_directory(directory.digest, directory.body, LATER, LATER)
        tx.bump(DOCUMENTS)


def test_nobody_decides_with_a_policy_that_was_replaced(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        with pytest.raises(StoreError, match="no policy and directory are in force"):
            Deciding(store, ReadPast(), lambda: LATER)
        put_in_force(store, POLICY)
        deciding = Deciding(store, ReadPast(), lambda: LATER)
        records = [RawRecord("orders", str(n), value) for n in (1, 2) for value in troubled(n)]
        assert not isinstance(
            deciding.take_once(records[:2], [FenceMove("orders", 0, None, 2)]), FenceMoved
        )
        put_in_force(store, POLICY.replace(b"order-impact", b"order-hurt"))
        deciding.take_once(records[2:], [FenceMove("orders", 0, 2, 4)])
        cases = [case_id(subject_key(Kind.ORDER, f"partner-{n}", f"PO-{n}")) for n in (1, 2)]
        with store.reading() as tx:
            found = tx.cases(cases)
            assert tx.fences(["orders"]) == {("orders", 0): 4}
    assert ["order-impact" in found[case].rules for case in cases] == [True, False]
    assert ["order-hurt" in found[case].rules for case in cases] == [False, True]


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """The log from INFO up, as documents."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logs(json=True, level="info", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def test_what_is_logged_of_a_batch_bears_its_name(postgres_url: str, said: io.StringIO) -> None:
    with Store.open(postgres_url) as store:
        put_in_force(store, POLICY)
        deciding = Deciding(store, ReadPast(), lambda: LATER)
        for n in (0, 1):
            batch = [RawRecord("orders", str(n), value) for value in troubled(n)]
            moves = [FenceMove("orders", 0, 2 * n or None, 2 * n + 2)]
            assert not isinstance(deciding.take_once(batch, moves), FenceMoved)
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    opened = [line for line in lines if line["message"].startswith("opened")]
    assert [line["partner"] for line in opened] == ["partner-0", "partner-1"]
    names = [line["batch"] for line in opened]
    assert len(set(names)) == 2
    told = [line["batch"] for line in lines if line["message"].startswith("Took 2 records")]
    assert told == names


@pytest.mark.parametrize("is_read_past", [True, False], ids=["deadline first", "click first"])
def test_a_click_does_not_outrun_a_deadline_that_waits_for_its_input(
    tmp_path: Path, *, is_read_past: bool
) -> None:
    """Who clicks too late is too late, however far the workers have read when it is decided."""
    place, opened = ("commands", 0), to_instant(BEGIN)
    due, late = Instant(opened + 2 * HOUR), Instant(opened + 3 * HOUR)
    clock, read_past = Clock(opened), ReadPast()
    with Store.open(f"sqlite:///{tmp_path / 'late.db'}") as store:
        put_in_force(store, POLICY)
        deciding = Deciding(store, read_past, clock)

        def read_until(at: Instant) -> None:
            clock.now = at
            read_past.asked(at, {place: 0})
            deciding.look(["commands"])
            while deciding.tick():
                pass

        read_until(opened)
        deciding.take([RawRecord("orders", "1", value) for value in troubled(1)], clock.now)
        case = case_id(subject_key(Kind.ORDER, "partner-1", "PO-1"))
        if is_read_past:
            read_until(Instant(late - 1))
        clock.now = late
        seen = event("case.acknowledged", BEGIN + timedelta(hours=3), "seen", case_id=case,
                     actor="claire")  # fmt: skip
        [taken] = deciding.take([RawRecord("here", "1", seen)], clock.now)
        assert isinstance(taken, Accepted)
        read_until(Instant(late + SECOND))
        with store.reading() as tx:
            steps = [(step.kind, step.at) for step in tx.steps(case)]
    assert steps == [
        (StepKind.OPENED, opened),
        (StepKind.BREACHED, due),
        (StepKind.NOT_CLIMBED, due),
        (StepKind.ACKNOWLEDGED, late),
    ]
