import tracemalloc
from pathlib import Path

import msgspec
import pytest

from streams.records import RawRecord, Record, RejectedRecord
from streams.sorting import event_key, sort_records


def event(time: object, source: str = "/erp", name: str = "1") -> bytes:
    return msgspec.json.encode({"time": time, "source": source, "id": name})


def ordered(*values: bytes) -> list[bytes]:
    return [r.value for r in sort_records(RawRecord("f", "line", value) for value in values)]


def test_times_are_compared_as_instants() -> None:
    berlin = event("2026-11-01T10:00:00+01:00")
    utc = event("2026-11-01T09:30:00Z")
    before_1970 = event("1969-12-31T23:59:59.5Z")
    assert ordered(utc, berlin, before_1970) == [before_1970, berlin, utc]


def test_source_and_id_order_what_happened_at_once() -> None:
    noon = "2026-11-01T12:00:00Z"
    events = [
        event(noon, "/a", "2"),
        event(noon, "/a", "é"),
        event(noon, "/a\0", "1"),
        event(noon, "/ab", "1"),
        event(noon, "/b", "1"),
    ]
    assert ordered(*reversed(events)) == events


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"time":NaN}',
        event(None),
        event(12),
        event("soon"),
        event("2026-11-01T10:00:00"),
        event("0001-01-01T00:00:00+14:00")[:-1],
        b'{"time":"2026-11-01T10:00:00Z","source":1,"id":"x"}',
        b'{"time":"2026-11-01T10:00:00Z","source":"/erp"}',
        b'{"time":"2026-11-01T10:00:00Z","source":"/erp","id":"\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_an_envelope_that_cannot_be_read_comes_first(value: bytes) -> None:
    early = event("1990-01-01T00:00:00Z")
    assert event_key(value) == b""
    assert ordered(early, value) == [value, early]


def test_rejected_records_pass_through_first() -> None:
    raw = RawRecord("a.csv", "row 2", event("2026-11-01T10:00:00Z"))
    rejected = RejectedRecord("b.csv", "row 3", b"x,y", "no date")
    assert list(sort_records([raw, rejected])) == [rejected, raw]


def test_a_small_memory_gives_the_same_order(tmp_path: Path) -> None:
    records: list[Record] = [
        RawRecord(f"file {n % 3}", f"line {n}", event(f"2026-11-{n * 7 % 28 + 1:02}T00:00:00Z"))
        for n in range(3_000)
    ]
    at_once = list(sort_records(records))
    # 1,500 runs of two records: merged over three levels
    assert list(sort_records(records, directory=tmp_path, memory=700)) == at_once
    assert sorted(at_once, key=lambda record: event_key(record.value)) == at_once
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_have_no_name_that_could_stay_behind(tmp_path: Path) -> None:
    records = [RawRecord("f", f"line {n}", event("2026-11-01T00:00:00Z")) for n in range(100)]
    sorting = sort_records(records, directory=tmp_path, memory=1_000)
    next(sorting)
    assert list(tmp_path.iterdir()) == []  # unnamed from the start: nothing is left after a kill


def test_memory_does_not_grow_with_the_input() -> None:
    def peak(count: int) -> int:
        records = (
            RawRecord(
                "f", f"line {n}", event("2026-11-01T00:00:00Z", name=f"{n * 7919 % count:08}")
            )
            for n in range(count)
        )
        tracemalloc.start()
        assert sum(1 for _ in sort_records(records, memory=500_000)) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(40_000) < 2 * peak(10_000)
