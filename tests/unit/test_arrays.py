"""Cutting an array: exactly the items, byte for byte, whatever the strings in them hold."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.arrays import Broken, split_array

MANY = 1_000_000

numbers = st.sampled_from(["0.10", "1E2", "-0.0", "12345678901234567890.123456", "1e-7", "7"])
strings = st.text(st.sampled_from('[]{},:"\\/ \n\té\U0001f600\ud800ab') | st.characters())
space = st.sampled_from(["", " ", "\n\t ", "\r\n"])


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 4) -> str:
    """JSON as people and libraries write it, with its own spacing, escapes and numbers."""
    kind = draw(st.sampled_from("nsla" if depth else "nsl"))
    if kind == "n":
        return draw(numbers)
    if kind == "s":
        ascii_only = draw(st.booleans())
        text = json.dumps(draw(strings), ensure_ascii=ascii_only)
        return text if ascii_only else text.encode(errors="replace").decode()
    if kind == "l":
        return draw(st.sampled_from(["true", "false", "null", "{}", "[]"]))
    inner = draw(st.lists(json_texts(depth - 1), max_size=4))
    before, after = draw(space), draw(space)
    if draw(st.booleans()):
        return "[" + f"{before},{after}".join(inner) + "]"
    pairs = [f"{json.dumps(draw(strings))}{before}:{after}{item}" for item in inner]
    return "{" + f"{before},{after}".join(pairs) + "}"


@given(st.lists(json_texts(), max_size=6), st.lists(space, min_size=4, max_size=4))
def test_items_come_out_as_the_bytes_that_they_were(items: list[str], around: list[str]) -> None:
    a, b, c, d = around
    text = f"{a}[{b}" + f"{c},{d}".join(items) + f"{b}]{d}"
    assert len(json.loads(text)) == len(items)
    assert split_array(text.encode(), MANY) == [item.encode() for item in items]


@given(json_texts(), st.integers(0, 12), st.sampled_from(["[]", "{}"]))
def test_items_may_be_nested_to_any_depth(item: str, depth: int, brackets: str) -> None:
    opening, closing = ("[", "]") if brackets == "[]" else ('{"a]}":', "}")
    nested = (opening * depth + item + closing * depth).encode()
    assert split_array(b"[1," + nested + b",2]", MANY) == [b"1", nested, b"2"]


@given(json_texts(depth=5).filter(lambda text: text.startswith("[")))
def test_it_agrees_with_the_json_library(text: str) -> None:
    items = split_array(text.encode(), MANY)
    assert isinstance(items, list)
    exact = [json.loads(item, parse_float=Decimal, parse_int=Decimal) for item in items]
    assert exact == json.loads(text, parse_float=Decimal, parse_int=Decimal)


@given(st.lists(json_texts(), min_size=1, max_size=4), st.data())
def test_a_truncated_array_is_never_cut_into_items(items: list[str], data: st.DataObject) -> None:
    text = ("[" + ",".join(items) + "]").encode()
    end = data.draw(st.integers(0, len(text) - 1))
    assert isinstance(split_array(text[:end], MANY), Broken)


@given(st.binary() | st.text('[]{},"\\ a').map(str.encode))
def test_any_bytes_give_items_or_a_place(text: bytes) -> None:
    match split_array(text, MANY):
        case Broken(offset):
            assert 0 <= offset <= len(text)
        case items:
            assert b"".join(items) in text or all(item in text for item in items)
            assert text.strip(b" \t\r\n")[:1] == b"["


def test_a_broken_item_leaves_its_neighbours_whole() -> None:
    text = rb'[{"a":1}, {"b":NaN,}, {"c" 2], {"d":"]\"}"}, , {"e":0.10}]'
    assert split_array(text, MANY) == [
        b'{"a":1}',
        b'{"b":NaN,}',
        b'{"c" 2]',
        rb'{"d":"]\"}"}',
        b"",
        b'{"e":0.10}',
    ]


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        (b"", 0, "begins with ["),
        (b' {"a":1}', 1, "begins with ["),
        (b"[1,2", 4, "ends before its ]"),
        (b'[1,"ab]', 3, "never closed"),
        (rb'[1,"ab\"]', 3, "never closed"),
        (b"[1]  [2]", 5, "something follows"),
        (b"[1}", 2, "ends with ]"),
        (b"[{", 2, "ends before its ]"),
    ],
)
def test_what_cannot_be_cut_names_the_place(text: bytes, offset: int, expected: str) -> None:
    broken = split_array(text, MANY)
    assert isinstance(broken, Broken)
    assert broken.offset == offset
    assert expected in broken.expected


@pytest.mark.parametrize(
    "hostile",
    [b"[" * 1_000_000, b'[{"a":' * 200_000, b'["' + b"\\" * 1_000_001, b'["' * 500_000],
    ids=["brackets", "objects", "backslashes", "quotes"],
)
def test_nesting_and_escapes_without_end_are_one_broken_array(hostile: bytes) -> None:
    assert isinstance(split_array(hostile, MANY), Broken)


def test_deep_nesting_is_one_item_between_two_others() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert split_array(b"[1," + deep + b",2]", MANY) == [b"1", deep, b"2"]


def test_it_stops_one_item_after_the_limit() -> None:
    assert split_array(b"[" + b"0," * 1_000 + b"0]", 10) == [b"0"] * 11
    assert split_array(b"[0,0,0]", 3) == [b"0"] * 3
    assert split_array(b"[ ]", 3) == []
