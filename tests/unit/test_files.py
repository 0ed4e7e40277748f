import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.events import UnknownType, parse_event
from streams.files import MAX_LINE, STANDARD_INPUT, read_events
from streams.records import KEPT_BYTES, InputError, RawRecord, RejectedRecord

Written = Callable[..., str]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(content: bytes, name: str = "events.jsonl") -> str:
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return write


def test_each_line_is_a_record_with_its_place(written: Written) -> None:
    path = written(b'\xef\xbb\xbf{"a":1}\r\n\n   \n{"b":2}')
    assert list(read_events(path)) == [
        RawRecord(path, "line 1", b'{"a":1}'),
        RawRecord(path, "line 4", b'{"b":2}'),
    ]


@pytest.mark.parametrize("name", ["events.jsonl.gz", "misnamed.jsonl"])
def test_gzip_is_known_by_its_content(written: Written, name: str) -> None:
    path = written(gzip.compress(b"{}\n{}\n"), name)
    assert [record.position for record in read_events(path)] == ["line 1", "line 2"]


def test_standard_input_is_read_and_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"{}\n")))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert list(read_events(STANDARD_INPUT)) == [RawRecord("-", "line 1", b"{}")]
    assert not stdin.closed


def test_a_line_that_is_not_utf8_is_rejected_and_its_neighbours_are_not(written: Written) -> None:
    path = written(b'{"a":1}\n{"name":"Caf\xe9"}\n{"b":2}\n')
    good, bad, after = read_events(path)
    assert (good, after) == (
        RawRecord(path, "line 1", b'{"a":1}'),
        RawRecord(path, "line 3", b'{"b":2}'),
    )
    assert isinstance(bad, RejectedRecord)
    assert (bad.position, bad.value) == ("line 2", b'{"name":"Caf\xe9"}\n')
    assert bad.reason == "not UTF-8: byte 0xe9 at offset 12 of the text; events are UTF-8"


def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_read(written: Written) -> None:
    longest = b'"' + b"x" * (MAX_LINE - 3) + b'"\n'
    path = written(longest + b"y" * (3 * MAX_LINE) + b"\n" + longest[:-1])
    fits, rejected, last = read_events(path)
    assert isinstance(fits, RawRecord)
    assert isinstance(rejected, RejectedRecord)
    assert rejected.position == "line 2"
    assert rejected.value == b"y" * KEPT_BYTES
    assert "longer than 1048576 bytes" in rejected.reason
    assert last == RawRecord(path, "line 3", longest.strip())


def test_a_file_that_was_cut_off_gives_its_good_lines_and_then_says_so(written: Written) -> None:
    lines = b"".join(
        b'{"n":%d,"salt":"%x"}\n' % (n, n * 11400714819323198485 % 2**64) for n in range(20_000)
    )
    path = written(gzip.compress(lines)[:-2_000], "cut.jsonl.gz")
    records = read_events(path)
    got = [next(records) for _ in range(10_000)]
    assert got[-1].position == "line 10000"
    with pytest.raises(InputError, match=r"cut\.jsonl\.gz: the gzip data stops before its end"):
        list(records)


def test_damaged_gzip_is_named(written: Written) -> None:
    packed = bytearray(gzip.compress(b"{}\n" * 10))
    packed[-6] ^= 0xFF  # the checksum
    path = written(bytes(packed))
    with pytest.raises(InputError, match=r"events\.jsonl: damaged gzip data"):
        list(read_events(path))


@pytest.mark.parametrize("name", ["absent.jsonl", "."])
def test_what_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"No such file|Is a directory"):
        list(read_events(str(tmp_path / name)))


def test_an_array_gives_the_very_bytes_of_its_items(written: Written) -> None:
    item = b'{"type":"x", "id":"1","source":"/s","specversion":"1.0", "n": 1.100}'
    path = written(b" [\n" + item + b" ,\n2.50]\n ", "events.json")
    first, second = read_events(path)
    assert (first.position, first.value) == ("item 1", item)
    assert isinstance(parse_event(first.value), UnknownType)
    assert (second.position, second.value) == ("item 2", b"2.50")


@pytest.mark.parametrize("content", [b"", b"[]", b" [ ] \n", b"\n\n"])
def test_an_empty_array_or_file_gives_nothing(written: Written, content: bytes) -> None:
    assert list(read_events(written(content, "events.json"))) == []


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        (b'[{"a":1}, {"b":}, {"c":3}]', 1),
        (b'[{"a":1} {"b":2}]', 0),
        (b'[{"a":1}]]', 0),
        (b'[{"a":1},', 1),
        (b'[{"a":1},{"b":2},]', 2),
        (b"[" * 100_000, 0),
    ],
)
def test_an_array_with_a_fault_is_taken_up_to_it(
    written: Written, content: bytes, taken: int
) -> None:
    *good, bad = read_events(written(content, "events.json"))
    assert len(good) == taken
    assert isinstance(bad, RejectedRecord)
    assert bad.position == f"item {taken + 1} and all after it"
    assert bad.reason.startswith("not a JSON array from here on")


def test_a_json_file_may_also_hold_lines(written: Written) -> None:
    path = written(b'{"a":1}\n{"b":2}\n', "events.json")
    assert [record.position for record in read_events(path)] == ["line 1", "line 2"]
