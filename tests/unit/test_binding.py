"""From headers and body to the bytes of each event."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Malformed, parse_event
from streams.binding import Item, Mode, Unreadable, find_mode, split_body

CE = [("ce-specversion", "1.0"), ("Ce-Id", "a-1"), ("ce-source", "/erp"), ("ce-type", "x.y")]


@pytest.mark.parametrize(
    ("content_type", "headers", "mode"),
    [
        ("application/cloudevents+json", [], Mode.JSON),
        ("application/cloudevents-batch+json", [], Mode.JSON),
        ("application/x-ndjson", [], Mode.LINES),
        ("application/json", ["CE-SpecVersion"], Mode.BINARY),
        ("application/vnd.shop+json", ["ce-specversion"], Mode.BINARY),
    ],
)
def test_the_headers_say_how_to_read_the_body(
    content_type: str, headers: list[str], mode: Mode
) -> None:
    assert find_mode(content_type, None, headers) is mode
    assert find_mode(content_type, "UTF-8", headers) is mode


@pytest.mark.parametrize(
    ("content_type", "charset", "headers", "wrong"),
    [
        ("application/json", None, [], "without the header ce-specversion"),
        ("text/plain", None, ["ce-specversion"], "'text/plain'"),
        ("application/cloudevents+xml", None, [], "'application/cloudevents+xml'"),
        ("application/cloudevents+json", "latin-1", [], "'latin-1'"),
    ],
)
def test_other_headers_are_named(
    content_type: str, charset: str | None, headers: list[str], wrong: str
) -> None:
    mode = find_mode(content_type, charset, headers)
    assert isinstance(mode, str)
    assert wrong in mode


def test_the_body_shows_whether_it_is_an_array() -> None:
    assert split_body(Mode.JSON, [], b'\xef\xbb\xbf {"a":0.10}', 9) == [Item("", b' {"a":0.10}')]
    assert split_body(Mode.JSON, [], b" [{}, 1E2]", 9) == [
        Item("item 1", b"{}"),
        Item("item 2", b"1E2"),
    ]


def test_lines_keep_their_numbers() -> None:
    assert split_body(Mode.LINES, [], b'{"a":1}\r\n\n {"b":2}', 9) == [
        Item("line 1", b'{"a":1}'),
        Item("line 3", b'{"b":2}'),
    ]


@pytest.mark.parametrize("mode", [Mode.JSON, Mode.LINES])
def test_too_many_events_stop_one_after_the_limit(mode: Mode) -> None:
    body = b"[1,2,3,4,5]" if mode is Mode.JSON else b"1\n2\n3\n4\n5"
    assert len(split_body(mode, [], body, 2)) == 3  # type: ignore[arg-type]  # Items here


def test_binary_mode_puts_attributes_and_data_together() -> None:
    headers = [
        *CE,
        ("ce-subject", "M%C3%BCller%20%25"),
        ("Host", "here"),
        ("ce-note", r'"a \"b\""'),
    ]
    items = split_body(Mode.BINARY, headers, b'{"quantity": 0.10}\n', 9)
    assert isinstance(items, list)
    assert items[0].value.endswith(b',"data":{"quantity": 0.10}}')
    assert json.loads(items[0].value) == {
        "specversion": "1.0",
        "id": "a-1",
        "source": "/erp",
        "type": "x.y",
        "subject": "Müller %",
        "note": 'a "b"',
        "data": {"quantity": 0.1},
    }


def test_binary_mode_without_a_body_has_no_data() -> None:
    items = split_body(Mode.BINARY, CE, b"", 9)
    assert isinstance(items, list)
    assert "data" not in json.loads(items[0].value)


@pytest.mark.parametrize(
    ("headers", "body", "path"),
    [
        (CE, b'{}, "type": "case.closed"', "data"),
        (CE, b'{"a":', "data"),
        (CE, b'{"a": NaN}', "data"),
        (CE, b"\xff", "data"),
        ([*CE, ("ce-id", "a-2")], b"{}", "id"),
        ([*CE, ("ce-subject", "%FF")], b"{}", "subject"),
        ([*CE, ("ce-subject", "\udcff")], b"{}", "subject"),
    ],
)
def test_what_cannot_be_put_together_is_kept_and_refused(
    headers: list[tuple[str, str]], body: bytes, path: str
) -> None:
    found = split_body(Mode.BINARY, headers, body, 9)
    assert isinstance(found, Unreadable)
    assert found.problem.path == path
    assert json.loads(found.value)["type"] == "x.y"
    order = found.value.replace(b'"x.y"', b'"order.placed"')
    assert isinstance(parse_event(order), Malformed), "or the answer would be wrong"


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_an_attribute_survives_its_encoding(text: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in text.encode())
    items = split_body(Mode.BINARY, [*CE, ("ce-subject", encoded)], b"1", 9)
    assert isinstance(items, list)
    assert json.loads(items[0].value)["subject"] == text
