"""The event catalogue: what is read, and what is answered to what cannot be read."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    CATALOGUE,
    MAX_EVENT_BYTES,
    Envelope,
    Event,
    Malformed,
    UnknownType,
    parse_event,
    unknown_fields,
)

LINE = {"sku": "A-1", "quantity": 10}
FULL_LINE = {"line_id": "1", "sku": "A-1", "quantity": "2.5"}
PRICED = {**FULL_LINE, "unit_price": "9.99", "promised_at": "2026-11-05"}
COMMAND = {"case_id": "c-1", "actor": "anna"}
NOTED = {**COMMAND, "partner_id": "acme", "note": "called them"}
MOMENT = "2026-11-05T12:00:00Z"

#: Per type: the data that just suffices, and data with every field (partner_id is added).
DATA: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "order.placed": (
        {"order_id": "o", "promised_at": "2026-11-05", "lines": [LINE]},
        {"order_id": "o", "promised_at": MOMENT, "currency": "EUR", "lines": [PRICED]},
    ),
    "order.amended": (
        {"order_id": "o", "agreed_by": "us", "lines": [LINE]},
        {"order_id": "o", "agreed_by": "partner", "promised_at": MOMENT, "lines": [PRICED]},
    ),
    "order.impacted": (
        {"order_id": "o", "kind": "short", "quantity": 0},
        {
            "order_id": "o",
            "report_id": "r",
            "kind": "damaged",
            "lines": [FULL_LINE],
            "note": "wet",
        },
    ),
    "order.cancelled": (
        {"order_id": "o", "by": "us"},
        {"order_id": "o", "by": "partner", "lines": [FULL_LINE], "reason": "r"},
    ),
    "delivery.dispatched": (
        {"order_id": "o", "delivery_id": "d"},
        {"order_id": "o", "delivery_id": "d", "carrier": "c", "lane": "l", "eta": MOMENT},
    ),
    "delivery.rescheduled": (
        {"order_id": "o", "eta": "2026-11-05"},
        {"order_id": "o", "delivery_id": "d", "eta": MOMENT, "reason": "storm"},
    ),
    "delivery.completed": (
        {"order_id": "o", "delivery_id": "d"},
        {
            "order_id": "o",
            "delivery_id": "d",
            "delivered_at": MOMENT,
            "lines": [{**FULL_LINE, "damaged": 1}],
            "final": True,
        },
    ),
    "delivery.failed": (
        {"order_id": "o", "delivery_id": "d"},
        {"order_id": "o", "delivery_id": "d", "reason": "lost"},
    ),
    "ticket.opened": (
        {"ticket_id": "t", "category": "quality"},
        {
            "ticket_id": "t",
            "order_id": "o",
            "category": "quality",
            "severity": "high",
            "channel": "phone",
            "urgent": True,
            "summary": "broken",
        },
    ),
    "ticket.message": (
        {"ticket_id": "t", "author": "us", "kind": "reply"},
        {"ticket_id": "t", "author": "system", "kind": "automatic"},
    ),
    "ticket.status": (
        {"ticket_id": "t", "status": "open"},
        {
            "ticket_id": "t",
            "status": "waiting_on_us",
            "category": "q",
            "severity": "low",
            "actor": "ida",
            "agreed_by": "ben",
        },
    ),
    "touchpoint.held": ({"kind": "call"}, {"kind": "call", "held_at": MOMENT, "note": "n"}),
    "touchpoint.skipped": (
        {"kind": "call", "agreed_by": "anna"},
        {"kind": "call", "agreed_by": "anna", "note": "n"},
    ),
    "disruption.declared": (
        {"disruption_id": "d", "severity": "high", "summary": "port closed", "scope": "all"},
        {"disruption_id": "d", "severity": "high", "summary": "s", "partner_ids": ["acme"]},
    ),
    "disruption.cleared": ({"disruption_id": "d"}, {"disruption_id": "d", "summary": "s"}),
    "metric.reported": (
        {"metric": "otif", "value": "-0.5"},
        {"metric": "otif", "value": 97.5, "unit": "%", "period": "2026-W45"},
    ),
    "case.acknowledged": (COMMAND, {**NOTED, "take_over": True, "bulk": True}),
    "case.assigned": ({**COMMAND, "to": "ben"}, {**NOTED, "to": "ben"}),
    "case.escalated": (COMMAND, {**NOTED, "to": "executive"}),
    "case.deescalated": (COMMAND, {**NOTED, "to": "frontline"}),
    "case.waiting": (COMMAND, {**NOTED, "until": MOMENT}),
    "case.snoozed": ({**COMMAND, "until": MOMENT}, {**NOTED, "until": MOMENT}),
    "case.commented": ({**COMMAND, "note": "n"}, NOTED),
    "case.resolved": (
        {**COMMAND, "root_cause": "r"},
        {**NOTED, "root_cause": "r", "action": "a", "prevention": "p"},
    ),
    "case.closed": (COMMAND, NOTED),
    "case.reopened": (COMMAND, NOTED),
    "case.moved": (COMMAND, NOTED),
    "case.disputed": ({**COMMAND, "evidence": "photo"}, {**NOTED, "evidence": "photo"}),
    "case.dispute_decided": (
        {**COMMAND, "verdict": "upheld"},
        {**NOTED, "verdict": "excused"},
    ),
    "clock.excused": (
        {"clock_id": "k", "actor": "anna"},
        {"clock_id": "k", "actor": "anna", "partner_id": "acme", "note": "n"},
    ),
}
WITHOUT_PARTNER = ("case.", "clock.", "disruption.")


def event(kind: str, data: Any, **envelope: Any) -> bytes:
    if isinstance(data, dict) and not kind.startswith(WITHOUT_PARTNER):
        data = {"partner_id": "acme", **data}
    whole = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/erp",
        "type": kind,
        "time": "2026-11-01T10:00:00+01:00",
        "data": data,
        **envelope,
    }
    return json.dumps(whole).encode()


def placed(**change: Any) -> bytes:
    return event("order.placed", {**DATA["order.placed"][0], **change})


def accepted(value: bytes) -> Event:
    parsed = parse_event(value)
    assert isinstance(parsed, Envelope), parsed
    return parsed


def problems(value: bytes) -> dict[str, str]:
    parsed = parse_event(value)
    assert isinstance(parsed, Malformed), parsed
    return {problem.path: problem.expected for problem in parsed.problems}


def test_every_type_of_the_catalogue_has_examples() -> None:
    assert DATA.keys() == CATALOGUE.keys()


@pytest.mark.parametrize("kind", CATALOGUE)
def test_a_minimal_and_a_full_event_of_each_type_are_read(kind: str) -> None:
    for data in DATA[kind]:
        parsed = accepted(event(kind, data))
        assert parsed.type == kind
        assert list(unknown_fields(parsed)) == []


@pytest.mark.parametrize("kind", CATALOGUE)
def test_a_full_event_has_every_field(kind: str) -> None:
    left_out = {
        "order.impacted": {"quantity", "impact_percent"},
        "disruption.declared": {"carrier", "lane", "order_ids", "scope"},
    }
    given_fields = accepted(event(kind, DATA[kind][1])).data.model_fields_set
    every = set(type(accepted(event(kind, DATA[kind][1])).data).model_fields)
    assert every - given_fields == left_out.get(kind, set())


@pytest.mark.parametrize("kind", CATALOGUE)
def test_each_required_field_is_named_when_it_is_missing(kind: str) -> None:
    minimal = json.loads(event(kind, DATA[kind][0]))
    model = type(accepted(json.dumps(minimal).encode()).data)
    for name, info in model.model_fields.items():
        if info.is_required():
            data = {key: value for key, value in minimal["data"].items() if key != name}
            found = problems(json.dumps({**minimal, "data": data}).encode())
            assert found == {f"data.{name}": "required, but missing"}
    for name in ("specversion", "id", "source", "time", "data"):
        whole = {key: value for key, value in minimal.items() if key != name}
        assert problems(json.dumps(whole).encode()) == {name: "required, but missing"}


def test_numbers_are_decimals_and_times_carry_their_offset() -> None:
    parsed = accepted(event("order.placed", DATA["order.placed"][1]))
    assert parsed.type == "order.placed"
    assert parsed.data.lines[0].quantity == Decimal("2.5")
    assert parsed.data.lines[0].unit_price == Decimal("9.99")
    assert parsed.data.lines[0].promised_at == date(2026, 11, 5)
    assert parsed.data.promised_at == datetime(2026, 11, 5, 12, tzinfo=UTC)
    assert parsed.time == datetime(2026, 11, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize("fraction", ["0.1", "19.99", "1234567.654321"])
def test_a_json_number_keeps_its_digits(fraction: str) -> None:
    value = placed(lines=[{**LINE, "quantity": 77777}]).replace(b"77777", fraction.encode())
    parsed = accepted(value)
    assert parsed.type == "order.placed"
    assert parsed.data.lines[0].quantity == Decimal(fraction)


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        (b"", "", "not valid JSON"),
        (b"{", "", "not valid JSON"),
        (b"\xff\xfe{}", "", "not valid JSON"),
        (placed(order_id="X").replace(b'"X"', b'"\xff"'), "", "not valid JSON"),
        (b"[" * 100_000, "", "not valid JSON"),
        (b'{"data":' * 20_000, "", "not valid JSON"),
        (b'{"type": "order.placed", "data": {"lines": ' + b"[" * 5_000, "", "not valid JSON"),
        (b" " * (MAX_EVENT_BYTES + 1), "", f"the most is {MAX_EVENT_BYTES}"),
        (b"17", "", "object"),
        (b"[]", "", "object"),
        (b"null", "", "object"),
        (b"{}", "type", "required"),
        (event("order.placed", []), "data", "object"),
        (event("order.placed", None), "data", "object"),
        (event("order.placed", {}, specversion="0.3"), "specversion", "'1.0'"),
        (placed(lines=[]), "data.lines", "needs at least 1 item; found []"),
        (placed(lines=[LINE, 5]), "data.lines[1]", "object"),
        (placed(lines=[LINE, {"sku": "A"}]), "data.lines[1].quantity", "required, but missing"),
        (placed(lines=[{**LINE, "quantity": -1}]), "data.lines[0].quantity", "found -1"),
        (placed(lines=[{**LINE, "quantity": "-0.5"}]), "data.lines[0].quantity", "'-0.5'"),
        (placed(lines=[{**LINE, "quantity": float("nan")}]), "data.lines[0].quantity", "finite"),
        (placed(lines=[{**LINE, "quantity": "NaN"}]), "data.lines[0].quantity", "finite"),
        (placed(lines=[{**LINE, "quantity": float("inf")}]), "data.lines[0].quantity", "finite"),
        (placed(lines=[{**LINE, "quantity": "Infinity"}]), "data.lines[0].quantity", "finite"),
        (placed(lines=[{**LINE, "quantity": "1E999999"}]), "data.lines[0].quantity", "digits"),
        (placed(lines=[{**LINE, "quantity": "0.1234567"}]), "data.lines[0].quantity", "decimal"),
        (placed(lines=[{**LINE, "quantity": "ten"}]), "data.lines[0].quantity", "'ten'"),
        (placed(lines=[{**LINE, "quantity": "1,5"}]), "data.lines[0].quantity", "such as 1250.5"),
        (placed(order_id=5), "data.order_id", "needs text in quotes; found 5"),
        (placed(order_id=""), "data.order_id", "at least 1 character"),
        (placed(order_id="x" * 201), "data.order_id", "at most 200 characters"),
        (placed(order_id="a\nb"), "data.order_id", "without line breaks or control characters"),
        (placed(order_id="a\x00b"), "data.order_id", "without line breaks or control characters"),
        (placed(currency="eur"), "data.currency", "three capital letters such as EUR"),
        (placed(currency="euro"), "data.currency", "'euro'"),
        (placed(promised_at="2026-11-05T10:00:00"), "data.promised_at", "UTC offset"),
        (placed(promised_at="soon"), "data.promised_at", "date"),
        (placed(promised_at=20261104), "data.promised_at", "needs text such as 2026-11-01T10:"),
        (placed(promised_at="9999-12-31"), "data.promised_at", "2099"),
        (placed(promised_at="9999-12-31T00:00:00Z"), "data.promised_at", "2099"),
        (placed(promised_at="2026-02-30"), "data.promised_at", "'2026-02-30'"),
        (placed(promised_at=1_700_000_000), "data.promised_at", "found 1700000000"),
        (placed(promised_at="202611011000"), "data.promised_at", "'202611011000'"),
        (event("order.placed", {}, time="2026-11-01T10:00:00"), "time", "UTC offset"),
        (event("order.placed", {}, time="2026-11-01"), "time", "'2026-11-01'"),
        (event("order.placed", {}, time="9999-01-01T00:00:00Z"), "time", "2099"),
        (event("order.placed", {}, time="1970-01-01T00:00:00Z"), "time", "1990"),
        (event("order.placed", {}, time=1_700_000_000), "time", "found 1700000000"),
        (
            event("case.snoozed", {**COMMAND, "until": "2026-11-05"}),
            "data.until",
            "'2026-11-05'",
        ),
        (
            event("order.impacted", {"order_id": "o", "kind": "lost", "quantity": 1}),
            "data.kind",
            "'short'",
        ),
        (
            event("order.impacted", {"order_id": "o", "kind": "short"}),
            "data",
            "exactly one of lines, quantity, impact_percent; found none",
        ),
        (
            event(
                "order.impacted",
                {"order_id": "o", "kind": "short", "quantity": 1, "impact_percent": 5},
            ),
            "data",
            "found quantity and impact_percent",
        ),
        (
            event("order.impacted", {"order_id": "o", "kind": "short", "impact_percent": 101}),
            "data.impact_percent",
            "100",
        ),
        (
            event(
                "order.impacted",
                {"order_id": "o", "kind": "short", "lines": [FULL_LINE, {"quantity": 1}]},
            ),
            "data.lines[1]",
            "line_id or by sku",
        ),
        (
            event("order.cancelled", {"order_id": "o", "by": "us", "lines": [{"quantity": 1}]}),
            "data.lines[0]",
            "line_id or by sku",
        ),
        (
            event(
                "delivery.completed",
                {"order_id": "o", "delivery_id": "d", "lines": [{"quantity": 1}]},
            ),
            "data.lines[0]",
            "line_id or by sku",
        ),
        (
            event("order.amended", {"order_id": "o", "agreed_by": "us"}),
            "data",
            "promised_at or lines",
        ),
        (
            event("disruption.declared", {"disruption_id": "d", "severity": "s", "summary": "s"}),
            "data",
            "for all partners say scope: all",
        ),
        (
            event(
                "disruption.declared",
                {**DATA["disruption.declared"][0], "carrier": "c"},
            ),
            "data",
            "found carrier and scope",
        ),
        (event("metric.reported", {"metric": "m", "value": float("nan")}), "data.value", "finite"),
        (event("case.commented", {**COMMAND, "note": ""}), "data.note", "at least 1 character"),
    ],
)
def test_what_cannot_be_read_is_answered_with_path_and_expectation(
    value: bytes, path: str, expected: str
) -> None:
    found = problems(value)
    assert path in found
    assert expected in found[path]
    assert len(str(parse_event(value))) < 2_000


def test_every_problem_of_an_event_is_named_up_to_ten() -> None:
    bad = event("order.placed", {"promised_at": "x", "currency": 1, "lines": [{"sku": ""}]})
    assert set(problems(bad)) == {
        "data.order_id",
        "data.promised_at",
        "data.currency",
        "data.lines[0].sku",
        "data.lines[0].quantity",
    }
    assert len(problems(placed(lines=[{"sku": ""}] * 2_000))) <= 10


def test_an_event_of_an_unknown_type_is_set_aside_by_its_name() -> None:
    assert parse_event(event("order.plaecd", {})) == UnknownType("order.plaecd")
    assert parse_event(b'{"type": 5}') == UnknownType("5")
    long = parse_event(event("x" * 10_000, {}))
    assert isinstance(long, UnknownType)
    assert len(long.type) == 200


def test_unknown_fields_are_ignored_and_named() -> None:
    line = {**LINE, "color": "red"}
    parsed = accepted(placed(orderid="x", lines=[line, {**line, "weight": 2}]))
    assert list(unknown_fields(parsed)) == [
        "orderid",
        "lines[].color",
        "lines[].color",
        "lines[].weight",
    ]


def test_extension_attributes_of_the_envelope_are_no_mistake() -> None:
    parsed = accepted(event("order.cancelled", DATA["order.cancelled"][0], traceparent="00-1"))
    assert list(unknown_fields(parsed)) == []


def test_an_epoch_in_quotes_is_the_instant_that_it_counts_to() -> None:
    # Refusing it costs 4 % of all parsing, and it can mean nothing else: it counts in UTC.
    parsed = accepted(event("order.cancelled", DATA["order.cancelled"][0], time="1700000000"))
    assert parsed.time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(value: bytes) -> None:
    assert isinstance(parse_event(value), Envelope | Malformed | UnknownType)


@st.composite
def _damaged_events(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(sorted(CATALOGUE)))
    whole = json.loads(event(kind, draw(st.sampled_from(DATA[kind]))))
    for _ in range(draw(st.integers(1, 3))):
        place = whole
        while True:
            keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if not (isinstance(place[key], dict | list) and place[key] and draw(st.booleans())):
                break
            place = place[key]
        place[key] = draw(JSON)
        if isinstance(place, dict) and draw(st.booleans()):
            place[draw(st.text())] = draw(JSON)
    return json.dumps(whole).encode("utf-8", "replace")


@given(_damaged_events())
def test_a_damaged_event_gets_an_answer_with_words(value: bytes) -> None:
    parsed = parse_event(value)
    assert isinstance(parsed, Envelope | Malformed | UnknownType)
    if isinstance(parsed, Malformed):
        assert parsed.problems
        assert all(problem.expected for problem in parsed.problems)
        assert all(
            branch not in problem.path
            for problem in parsed.problems
            for branch in ("constrained", "tuple[", "function-")
        )
    elif isinstance(parsed, Envelope):
        assert all(isinstance(name, str) for name in unknown_fields(parsed))
