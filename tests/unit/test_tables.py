import gzip
import io
import sys
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pytest
import yaml
from pydantic import ValidationError

from schemas.events import Malformed, UnknownType, parse_event, unknown_fields
from schemas.mapping import Mapping
from schemas.time import DAY
from streams.records import InputError, RawRecord, Record, RejectedRecord
from streams.tables import preview, preview_table, read_table

SCMS = Path(__file__).parents[2] / "examples" / "scms"
SCMS_DATA = str(SCMS / "SCMS_Delivery_History_Dataset.csv.gz")

Written = Callable[..., str]

ORDERS = """
source: /erp
timezone: Europe/Berlin
group_by: Order
columns:
  Placed: {dates: ["%d.%m.%Y %H:%M", "%d.%m.%Y"]}
  Due: {dates: "%d.%m.%Y", empty: [tbd]}
  Price: {decimal_mark: ",", thousands_mark: "."}
events:
  - type: order.placed
    per: group
    id: "placed-{Order}"
    time: {time: Placed}
    data:
      partner_id: "{Customer}"
      order_id: "{Order}"
      promised_at: [{time: Due}, "2030-01-01"]
      currency: EUR
      lines:
        rows: {sku: "{Item}", quantity: {number: Qty}, unit_price: {number: Price}}
"""
HEADER = "Order,Customer,Placed,Due,Item,Qty,Price\n"


def mapping(text: str = ORDERS, **changes: Any) -> Mapping:
    return Mapping.model_validate(yaml.safe_load(text) | changes)


def changed(old: str, new: str, text: str = ORDERS) -> Mapping:
    assert old in text
    return mapping(text.replace(old, new))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(content: str | bytes, name: str = "orders.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def split(records: list[Record]) -> tuple[list[dict[str, Any]], list[RejectedRecord]]:
    good = [
        msgspec.json.decode(record.value) for record in records if isinstance(record, RawRecord)
    ]
    return good, [record for record in records if isinstance(record, RejectedRecord)]


def only_event(records: list[Record]) -> dict[str, Any]:
    (event,), rejected = split(records)
    assert not rejected
    return event


def only_rejection(records: list[Record]) -> RejectedRecord:
    good, (rejected,) = split(records)
    assert not good
    return rejected


# --- the real data set ------------------------------------------------------------------------


def scms(name: str) -> Mapping:
    return mapping((SCMS / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["by-delivery.yaml", "by-recorded.yaml"])
def test_the_example_gives_every_order_line_and_delivery(name: str) -> None:
    records = list(read_table(SCMS_DATA, scms(name)))
    events = [parse_event(record.value) for record in records]
    assert not [e for e in events if isinstance(e, Malformed | UnknownType) or [*unknown_fields(e)]]
    placed = [e for e in split(records)[0] if e["type"] == "order.placed"]
    delivered = [e for e in split(records)[0] if e["type"] == "delivery.completed"]
    lines = {line["line_id"]: (e, line) for e in placed for line in e["data"]["lines"]}
    assert (len(placed), len(lines), len(delivered)) == (6_233, 10_324, 10_324)
    assert len(records) == 6_233 + 10_324
    assert len({e["data"]["partner_id"] for e in placed}) == 73
    assert len({e["id"] for e in placed + delivered}) == 6_233 + 10_324
    assert len({e["data"]["delivery_id"] for e in delivered}) == 10_324

    late_orders = Counter[str]()
    for event in delivered:
        (line,) = event["data"]["lines"]
        order, ordered = lines[line["line_id"]]
        assert order["data"]["order_id"] == event["data"]["order_id"]
        assert line["quantity"] == ordered["quantity"]
        promised = datetime.fromisoformat(ordered["promised_at"])
        arrived = datetime.fromisoformat(event["data"]["delivered_at"])
        if (arrived - promised).total_seconds() * 1_000_000 > 2 * DAY:
            late_orders[event["data"]["order_id"]] += 1
    assert (late_orders.total(), len(late_orders)) == (1_046, 597)


def test_the_examples_differ_in_the_time_of_deliveries_alone() -> None:
    def events(name: str) -> dict[str, dict[str, Any]]:
        return {e["id"]: e for e in split(list(read_table(SCMS_DATA, scms(name))))[0]}

    delivery, recorded = events("by-delivery.yaml"), events("by-recorded.yaml")
    for name, event in delivery.items():
        if event["type"] == "delivery.completed":
            assert event["time"] == event["data"]["delivered_at"]
            event["time"] = recorded[name]["time"]
    assert delivery == recorded
    # a PO date, a word instead of one, and an order of several lines with promises of their own
    assert delivery["placed-SCMS-199730"]["time"] == "2013-07-26T00:00:00Z"
    order = delivery["placed-SCMS-4"]
    assert (order["time"], order["data"]["promised_at"]) == (
        "2006-06-02T00:00:00Z",
        "2006-06-03T00:00:00Z",
    )
    for event in delivery.values():
        if event["type"] == "order.placed":
            promises = [line["promised_at"] for line in event["data"]["lines"]]
            assert event["data"]["promised_at"] == min(promises)
    assert sum(
        len({line["promised_at"] for line in event["data"]["lines"]}) > 1
        for event in delivery.values()
        if event["type"] == "order.placed"
    ) == 37  # fmt: skip


# --- reading cells ----------------------------------------------------------------------------


def test_rows_of_an_order_that_lie_apart_are_one_event(written: Written) -> None:
    path = written(
        HEADER
        + '7,ACME,01.11.2026 10:00,05.11.2026,bolt,10,"1.234,50"\n'
        + "8,ACME,01.11.2026,tbd,nut,1,2\n"
        + "\n"
        + "7,ACME,01.11.2026 10:00,05.11.2026, nut ,2.5,\n"
    )
    seven, eight = read_table(path, mapping())
    assert (seven.input, seven.position, eight.position) == (path, "rows 2, 5", "row 3")
    assert msgspec.json.decode(seven.value) == {
        "specversion": "1.0",
        "id": "placed-7",
        "source": "/erp",
        "type": "order.placed",
        "time": "2026-11-01T09:00:00Z",
        "data": {
            "partner_id": "ACME",
            "order_id": "7",
            "promised_at": "2026-11-05",  # no timezone of its own: the partner's zone decides
            "currency": "EUR",
            "lines": [
                {"sku": "bolt", "quantity": "10", "unit_price": "1234.50"},
                {"sku": "nut", "quantity": "2.5"},
            ],
        },
    }
    parsed = msgspec.json.decode(eight.value)
    assert parsed["time"] == "2026-11-01T23:00:00Z"  # a date: the end of that day in Berlin
    assert parsed["data"]["promised_at"] == "2030-01-01"
    assert list(read_table(path, mapping())) == [seven, eight]  # again: the very same events


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_line_ends_and_encodings(written: Written, end: str, encoding: str) -> None:
    row = '7;"Müller;\n""Söhne""";01.11.2026;05.11.2026;bolt;1;1'
    text = f"report of today\n{HEADER.replace(',', ';')}{row}\n{row.replace('7;', '8;')}"
    lines = text.replace("\n", end).encode(encoding)
    name = "utf-8-sig" if encoding == "utf-8" else encoding
    found = mapping(encoding=name, delimiter=";", header_row=2)
    events, rejected = split(list(read_table(written(lines), found)))
    assert not rejected
    assert [e["data"]["partner_id"] for e in events] == [f'Müller;{end}"Söhne"'] * 2


def test_a_column_with_a_timezone_turns_dates_into_instants(written: Written) -> None:
    path = written(HEADER + "7,ACME,01.11.2026,24.10.2026,bolt,1,1\n")
    found = changed("empty: [tbd]", "timezone: America/New_York")
    assert only_event([*read_table(path, found)])["data"]["promised_at"] == "2026-10-25T04:00:00Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.234,5", "1234.5"),
        ("1234,5", "1234.5"),
        ("-0,50", "-0.50"),
        ("+7", "7"),
        ("1.5", None),
        ("1,2,3", None),
        ("1.234.5", None),
        ("1e3", None),
        ("NaN", None),
        ("٣", None),
        ("12 pcs", None),
    ],
)
def test_numbers_with_marks(written: Written, text: str, expected: str | None) -> None:
    path = written(HEADER + f'7,ACME,01.11.2026,05.11.2026,bolt,1,"{text}"\n')
    records = list(read_table(path, mapping()))
    if expected is None:
        assert only_rejection(records).reason == (
            f"order.placed: column 'Price' holds {text!r}, which is no number; "
            "the decimal mark is ',' and '.' between thousands"
        )
    else:
        assert only_event(records)["data"]["lines"][0]["unit_price"] == expected


def test_any_space_separates_thousands(written: Written) -> None:
    found = changed('thousands_mark: "."', 'thousands_mark: " "')
    path = written(HEADER + '7,ACME,01.11.2026,05.11.2026,bolt,1,"1\u202f234\u00a0567,5"\n')
    assert only_event([*read_table(path, found)])["data"]["lines"][0]["unit_price"] == "1234567.5"


def test_without_formats_a_date_is_iso(written: Written) -> None:
    found = changed('  Placed: {dates: ["%d.%m.%Y %H:%M", "%d.%m.%Y"]}\n', "")
    for text, instant in [
        ("2026-11-01T10:00:00+02:00", "2026-11-01T08:00:00Z"),
        ("2026-11-01 10:00", "2026-11-01T09:00:00Z"),
        ("2026-11-01", "2026-11-01T23:00:00Z"),
    ]:
        path = written(HEADER + f"7,ACME,{text},05.11.2026,bolt,1,1\n")
        assert only_event([*read_table(path, found)])["time"] == instant


# --- bad rows ---------------------------------------------------------------------------------


def test_a_bad_row_is_rejected_with_its_bytes_and_its_group_is_not_taken_in_part(
    written: Written,
) -> None:
    path = written(
        HEADER
        + "7,ACME,01.11.2026,05.11.2026,bolt,1,1\n"
        + "8,ACME,01.11.2026,05.11.2026,bolt,1,1\n"
        + "7,ACME,01.11.2026,2026-11-05,nut,1,1\n"
    )
    events, (rejected,) = split(list(read_table(path, mapping())))
    assert [event["id"] for event in events] == ["placed-8"]
    assert rejected == RejectedRecord(
        path,
        "rows 2, 4",
        b"7,ACME,01.11.2026,05.11.2026,bolt,1,1\n7,ACME,01.11.2026,2026-11-05,nut,1,1\n",
        "order.placed: row 4: column 'Due' holds '2026-11-05': expected a date like %d.%m.%Y",
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("7,ACME,01.11.2026", "the row has 3 cells, the header 7"),
        ("7,ACME,01.11.2026,05.11.2026,bolt,1,1,,x", "the row has 9 cells, the header 7"),
        ('7,"AC"ME,01.11.2026,05.11.2026,bolt,1,1', "is a quote left open"),
        ("7,AC\udce9ME,01.11.2026,05.11.2026,bolt,1,1", "byte 0xe9 is not utf-8"),
        (",ACME,01.11.2026,05.11.2026,bolt,1,1", "group_by column 'Order' is empty"),
        ("7,ACME,,05.11.2026,bolt,1,1", "time: 'Placed' is empty, and the event needs a time"),
        ("7,ACME,01.11.9999,05.11.2026,bolt,1,1", None),
        ("7,ACME,31.12.9999,05.11.2026,bolt,1,1", "'31.12.9999': the date is out of range"),
        (f"7,{'x' * 200_000},01.11.2026,05.11.2026,bolt,1,1", "field larger than field limit"),
        (f"7,{'x' * 2_000_000},01.11.2026,05.11.2026,bolt,1,1", "longer than 1048576 characters"),
    ],
)
def test_the_reason_says_what_is_wrong_and_the_next_row_is_read(
    written: Written, row: str, reason: str | None
) -> None:
    text = f"{HEADER}{row}\n8,ACME,01.11.2026,05.11.2026,bolt,1,1\n"
    records = list(read_table(written(text.encode(errors="surrogateescape")), mapping()))
    events, rejected = split(records)
    assert events[-1]["id"] == "placed-8"
    assert [r.position for r in rejected] == ([] if reason is None else ["row 2"])
    assert all(reason in r.reason for r in rejected if reason)
    assert all(row.encode(errors="surrogateescape").startswith(r.value[:15]) for r in rejected)


def test_a_group_whose_rows_disagree_is_rejected(written: Written) -> None:
    path = written(
        HEADER
        + "7,ACME,01.11.2026,05.11.2026,bolt,1,1\n"
        + "7,Bolts Ltd,01.11.2026,05.11.2026,nut,1,1\n"
    )
    rejected = only_rejection([*read_table(path, mapping())])
    assert rejected.position == "rows 2-3"
    assert rejected.reason == (
        "order.placed: '{Customer}' differs within the group: 'ACME' in row 2, 'Bolts Ltd' in row 3"
    )


def test_one_fault_that_stops_several_events_is_told_once(written: Written) -> None:
    found = mapping("""
source: /erp
events:
  - {type: case.commented, id: "a{N}", time: {time: At}, data: {case_id: x, actor: y, note: "{N}"}}
  - {type: case.commented, id: "b{N}", time: {time: At}, data: {case_id: x, actor: y, note: "{N}"}}
""")
    rejected = only_rejection([*read_table(written("N,At\n1,soon\n"), found)])
    assert rejected.reason.startswith("case.commented, case.commented: column 'At' holds 'soon'")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER.replace("Customer", "Custommer"), "did you mean 'Custommer'"),
        (HEADER.replace("Qty", "Item"), "column 'Item' is there 2 times"),
        (HEADER.replace(",", ";"), "is the delimiter right?"),
        ("\n", "row 1 should name the columns; it is empty"),
        (",,,\n", "row 1 should name the columns; it is empty"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(written: Written, header: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        list(read_table(written(header + "1\n"), mapping()))
    assert message in str(refused.value)
    assert "orders.csv: row 1" in str(refused.value)


def test_a_table_that_was_cut_off_gives_no_half_orders(written: Written) -> None:
    row = "7,ACME,01.11.2026,05.11.2026,bolt,1,1\n"
    packed = gzip.compress((HEADER + row * 50).encode())[:-12]
    with pytest.raises(InputError, match="so the file is cut off"):
        list(read_table(written(packed, "orders.csv.gz"), mapping()))


def test_a_table_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEADER + "7,ACME,01.11.2026,05.11.2026,bolt,1,1\n"
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode())))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert only_event([*read_table("-", mapping())])["id"] == "placed-7"
    assert not stdin.buffer.closed
    with pytest.raises(InputError, match="a workbook cannot be read from standard input"):
        list(read_table("-", mapping(format="xlsx")))


def test_a_group_without_end_is_refused(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.tables.MAX_GROUP", 3)
    row = "7,ACME,01.11.2026,05.11.2026,bolt,1,1\n"
    assert only_event([*read_table(written(HEADER + row * 3), mapping())])
    with pytest.raises(InputError, match="more than 3 rows belong to '7'"):
        list(read_table(written(HEADER + row * 4), mapping()))


def test_memory_does_not_grow_with_the_table(written: Written) -> None:
    def peak(rows: int) -> int:
        body = "".join(
            f"{n * 7919 % rows // 2},ACME,01.11.2026,05.11.2026,bolt,1,1\n" for n in range(rows)
        )
        path = written(HEADER + body)
        del body
        tracemalloc.start()
        count = sum(1 for _ in read_table(path, mapping(), memory=200_000))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == rows // 2
        return most

    assert peak(10_000) < 2 * peak(2_500)


# --- several events from one row --------------------------------------------------------------

INCIDENTS = """
source: /helpdesk
timezone: Europe/Lisbon
group_by: number
columns:
  opened_at: {dates: "%d/%m/%Y %H:%M"}
  sys_updated_at: {dates: "%d/%m/%Y %H:%M"}
  cmdb_ci: {empty: "?"}
events:
  - type: ticket.opened
    per: first
    id: "opened-{number}"
    time: {time: opened_at}
    data:
      partner_id: "{caller_id}"
      ticket_id: "{number}"
      category: ["{cmdb_ci}", "{category}"]
      severity: {column: priority, values: {1 - Critical: critical}, otherwise: normal}
      urgent: {column: priority, values: {1 - Critical: true}, otherwise: null}
      summary: "{subcategory} {{{symptom}}}"
  - type: ticket.status
    id: "{number}-{sys_mod_count}"
    time: {time: sys_updated_at}
    when: [{column: incident_state, not_in: [Draft]}]
    data:
      partner_id: "{caller_id}"
      ticket_id: "{number}"
      status:
        column: incident_state
        values: {New: open, Active: open, Awaiting Vendor: waiting_on_us, Resolved: resolved}
  - type: ticket.message
    per: last
    id: "closing-{number}"
    time: {latest_of: sys_updated_at, plus: 1h}
    when: [{column: incident_state, equals: Resolved}, {column: cmdb_ci, filled: false}]
    data: {partner_id: "{caller_id}", ticket_id: "{number}", author: us, kind: reply}
"""
INCIDENT_ROWS = (
    "number,incident_state,sys_mod_count,caller_id,opened_at,sys_updated_at,category,"
    "subcategory,symptom,cmdb_ci,priority\n"
    "INC45,New,0,Caller 2403,29/2/2016 01:16,29/2/2016 01:23,Cat 55,Sub 170,S 72,?,3 - Moderate\n"
    "INC47,New,0,Caller 2403,29/2/2016 04:40,29/2/2016 04:57,Cat 40,,S 471,Disk,1 - Critical\n"
    "INC47,Draft,1,Caller 2403,29/2/2016 04:40,29/2/2016 05:00,Cat 41,,S 471,Disk,1 - Critical\n"
    "INC45,Resolved,2,Caller 2403,29/2/2016 01:16,29/2/2016 08:53,Cat 5,Sub 1,S 72,?,3 - Moderate\n"
    "INC47,-100,3,Caller 2403,29/2/2016 04:40,29/2/2016 09:00,Cat 40,,S 471,Disk,1 - Critical\n"
)


def test_a_ticket_log_gives_an_opening_and_a_status_for_each_row(written: Written) -> None:
    unmapped = Counter[tuple[str, str]]()
    path = written(INCIDENT_ROWS)
    records = list(read_table(path, mapping(INCIDENTS), unmapped=unmapped))
    events, (rejected,) = split(records)
    assert not [r for r in records if isinstance(r, RawRecord) and not_parsed(r)]
    assert {event["id"]: (event["time"], event["data"]) for event in events} == {
        "opened-INC45": (
            "2016-02-29T01:16:00Z",
            ticket("INC45", category="Cat 55", severity="normal", summary="Sub 170 {S 72}"),
        ),
        "opened-INC47": (
            "2016-02-29T04:40:00Z",
            ticket("INC47", category="Disk", severity="critical", urgent=True),
        ),
        "INC45-0": ("2016-02-29T01:23:00Z", ticket("INC45", status="open")),
        "INC45-2": ("2016-02-29T08:53:00Z", ticket("INC45", status="resolved")),
        "INC47-0": ("2016-02-29T04:57:00Z", ticket("INC47", status="open")),
        "closing-INC45": ("2016-02-29T09:53:00Z", ticket("INC45", author="us", kind="reply")),
    }
    assert rejected.position == "row 6"
    assert rejected.reason == (
        "ticket.status: column 'incident_state' holds '-100', which its values do not have; "
        "there are: New, Active, Awaiting Vendor, Resolved"
    )
    assert unmapped == {("incident_state", "-100"): 1, ("priority", "3 - Moderate"): 2}


def ticket(ticket_id: str, **data: object) -> dict[str, object]:
    return {"partner_id": "Caller 2403", "ticket_id": ticket_id} | data


def not_parsed(record: RawRecord) -> bool:
    return isinstance(parse_event(record.value), Malformed | UnknownType)


# --- preview ----------------------------------------------------------------------------------


def test_a_preview_says_what_would_be_taken(written: Written) -> None:
    shown = preview_table(written(INCIDENT_ROWS), mapping(INCIDENTS), limit=2)
    assert [msgspec.json.decode(record.value)["id"] for record in shown.first] == [
        "opened-INC45",
        "INC45-0",
    ]
    assert shown.events == {"ticket.status": 3, "ticket.opened": 2, "ticket.message": 1}
    assert shown.partners == {"Caller 2403": 6}
    assert shown.unmapped == {"priority": {"3 - Moderate": 2}, "incident_state": {"-100": 1}}
    assert (len(shown.rejected), shown.rejected_count, shown.repeated_ids) == (1, 1, ())


def test_a_preview_shows_ids_that_several_events_have(written: Written) -> None:
    row = "7,ACME,01.11.2026,05.11.2026,bolt,1,1\n"
    found = changed("per: group", "per: row")
    assert preview_table(written(HEADER + row * 3), found).repeated_ids == ("placed-7",)


def test_a_preview_takes_any_records() -> None:
    held = (
        b'{"specversion":"1.0","id":"1","source":"/crm","type":"touchpoint.held",'
        b'"time":"2026-11-01T10:00:00Z","data":{"partner_id":"acme","kind":"call","colour":"red"}}'
    )
    records: list[Record] = [
        RawRecord("f", "line 1", b"{"),
        RawRecord("f", "line 2", b"[]"),
        RawRecord("f", "line 3", b'{"type":"x","id":"1","data":[]}'),
        *[RejectedRecord("f", f"line {n}", b"", "why") for n in range(4, 30)],
        RawRecord("f", "line 30", held),
    ]
    shown = preview(records, limit=3)
    assert shown.events == {"touchpoint.held": 1}
    assert shown.unknown_fields == {"touchpoint.held.colour": 1}
    assert [record.position for record in shown.rejected] == ["line 1", "line 2", "line 3"]
    assert "'x' is not an event type" in shown.rejected[2].reason
    assert shown.rejected_count == 29


# --- workbooks --------------------------------------------------------------------------------


def workbook(path: Path, rows: list[list[object]], title: str = "Orders") -> str:
    book = openpyxl.Workbook()
    book.create_sheet(title, 0)
    for row in rows:
        book[title].append(row)
    book.save(path)
    return str(path)


TITLES: list[object] = [*HEADER.strip().split(",")]
TEN = datetime(2026, 11, 1, 10)  # noqa: DTZ001 - a cell has no zone


def test_a_workbook_gives_dates_ids_and_numbers_as_they_are_shown(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "orders.xlsx",
        [
            ["a title"],
            TITLES,
            [1017.0, "ACME", TEN, date(2026, 11, 5), 4711, 0.1 + 0.2, 1e20],
            [],
            [1018, True, date(2026, 11, 1), "05.11.2026", "nut", "3", "1.234,5"],
        ],
    )
    first, second = split(list(read_table(path, mapping(header_row=2))))[0]
    assert first["time"] == "2026-11-01T09:00:00Z"
    assert first["data"]["order_id"] == "1017"
    assert first["data"]["promised_at"] == "2026-11-05"
    assert first["data"]["lines"] == [
        {"sku": "4711", "quantity": "0.3", "unit_price": "100000000000000000000"}
    ]
    assert second["time"] == "2026-11-01T23:00:00Z"
    assert second["data"]["partner_id"] == "TRUE"
    assert second["data"]["lines"][0]["unit_price"] == "1234.5"
    positions = [r.position for r in read_table(path, mapping(header_row=2, sheet="Orders"))]
    assert positions == ["row 3 (sheet Orders)", "row 5 (sheet Orders)"]


def test_a_sheets_error_is_no_value(tmp_path: Path) -> None:
    row: list[object] = [7, "#N/A", "01.11.2026", "05.11.2026", "bolt", 1, 1]
    path = workbook(tmp_path / "orders.xlsx", [TITLES, row])
    rejected = only_rejection([*read_table(path, mapping())])
    assert rejected.reason == "order.placed: column 'Customer' holds the sheet's error #N/A"
    assert msgspec.json.decode(rejected.value)[:3] == ["7", "#N/A", "01.11.2026"]


def rewritten(path: str, old: bytes, new: bytes) -> str:
    """The workbook with one text in its parts replaced, as other writers have it."""
    out = Path(path).with_name(f"rewritten-{Path(path).name}")
    with zipfile.ZipFile(path) as parts, zipfile.ZipFile(out, "w") as target:
        bodies = {part.filename: parts.read(part) for part in parts.infolist()}
        assert any(old in body for body in bodies.values())
        for name, body in bodies.items():
            target.writestr(name, body.replace(old, new))
    return str(out)


def test_a_formula_counts_by_the_value_that_was_saved(tmp_path: Path) -> None:
    row: list[object] = ["=3+4", "ACME", "01.11.2026", "05.11.2026", "bolt", 1, 1]
    path = workbook(tmp_path / "orders.xlsx", [TITLES, row])
    path = rewritten(path, b"<f>3+4</f><v />", b"<f>3+4</f><v>7</v>")
    assert only_event([*read_table(path, mapping())])["id"] == "placed-7"


def test_a_sheet_that_names_the_wrong_size_is_read_whole(tmp_path: Path) -> None:
    row: list[object] = [7, "ACME", "01.11.2026", "05.11.2026", "bolt", 1, 1]
    path = workbook(tmp_path / "orders.xlsx", [TITLES, row])
    path = rewritten(path, b'<dimension ref="A1:G2" />', b'<dimension ref="A1" />')
    assert only_event([*read_table(path, mapping())])["id"] == "placed-7"


def test_an_unknown_sheet_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = workbook(tmp_path / "orders.xlsx", [TITLES])
    with pytest.raises(InputError, match="sheet 'Order' is unknown; did you mean 'Orders'"):
        list(read_table(path, mapping(sheet="Order")))


def test_what_is_no_workbook_is_refused(written: Written, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a readable \.xlsx workbook"):
        list(read_table(written(HEADER, "orders.xlsx"), mapping()))
    with pytest.raises(InputError, match="No such file"):
        list(read_table(str(tmp_path / "absent.xlsx"), mapping()))
    with zipfile.ZipFile(tmp_path / "other.xlsx", "w") as other:
        other.writestr("hello.txt", "hello")
    with pytest.raises(InputError, match=r"not a readable \.xlsx workbook"):
        list(read_table(str(tmp_path / "other.xlsx"), mapping()))
    path = workbook(tmp_path / "orders.xlsx", [TITLES])
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "cut.xlsx", "w") as new:
        for part in old.infolist():
            body = old.read(part)
            new.writestr(part, body[: len(body) // 2] if "sheet1" in part.filename else body)
    with pytest.raises(InputError, match=r"cut\.xlsx: not a readable \.xlsx workbook"):
        list(read_table(str(tmp_path / "cut.xlsx"), mapping()))


def test_a_workbook_that_unpacks_to_far_more_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("xl/sharedStrings.xml", b"\0" * 70 * 2**20)
    with pytest.raises(InputError, match=r"sharedStrings\.xml unpacks from \d+ to 73400320 bytes"):
        list(read_table(str(path), mapping()))


# --- mapping documents ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: /erp", "source: /erp\nsauce: 1", "Extra inputs are not permitted"),
        ("order.placed", "order.place", "did you mean 'order.placed'"),
        ("order_id:", "oder_id:", "did you mean 'order_id'"),
        ("      currency: EUR\n      lines:", "      items:", "field 'items' is unknown"),
        ("sku:", "sqku:", "did you mean 'sku'"),
        ('      order_id: "{Order}"\n', "", "field 'order_id' is required"),
        ("currency: EUR", "currency: {rows: {a: 1}}", "no list of objects"),
        ("group_by: Order\n", "", "need group_by"),
        ('"placed-{Order}"', "placed", "names no column"),
        ('"placed-{Order}"', '"placed-{Order"', "literal braces"),
        ("time: {time: Placed}", 'time: "{Placed}"', "time is one of time, earliest_of, latest_of"),
        ("{number: Qty}", "{number: Qty, column: Qty}", "found column, number"),
        ("{number: Qty}", "{}", "found none"),
        ("{number: Qty}", "{number: Qty, minus: 1d}", "minus and plus go with"),
        ("{time: Placed}", "{time: Placed, minus: 1bd}", "depends on a calendar"),
        ("{number: Qty}", "{number: Qty, values: {a: 1}}", "values goes with column"),
        ("{number: Qty}", "{column: Qty, otherwise: 1}", "otherwise goes with values"),
        ("{number: Qty}", "{column: Qty, values: {Yes: 1}}", "put quotes around keys"),
        ("{number: Qty}", "[]", "is empty"),
        ('"%d.%m.%Y", empty', '"%d.%m", empty', "is no date format"),
        ('"%d.%m.%Y", empty', '"%d.%m.%Y %Z", empty', "%Z is not accepted"),
        ('"%d.%m.%Y", empty', '"%d.%m.%Y %Q", empty', "is no date format"),
        ("Europe/Berlin", "Europe/Berlinn", "is no time zone"),
        ("timezone: Europe/Berlin\n", "", "gives no instant without a timezone"),
        ("source: /erp", "source: /erp\nencoding: base64", "is no text encoding"),
        ("source: /erp", "source: /erp\nencoding: utf-88", "is no text encoding"),
        ("source: /erp", "source: /erp\nthousands_mark: .", "are both '.'"),
        ("source: /erp", "source: /erp\ndelimiter: '||'", "at most 1 character"),
        ("per: group", "per: order", "'row', 'first', 'last' or 'group'"),
        ("time: {time: Placed}", "time: {time: Placed}\n    when: [{column: Qty}]", "exactly one"),
    ],
)
def test_a_mistake_in_a_mapping_is_refused_by_name(old: str, new: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        changed(old, new)
    assert message in str(refused.value)


def test_two_events_may_not_share_their_ids() -> None:
    event = {
        "type": "case.commented",
        "id": "{N}",
        "time": {"time": "At"},
        "data": {"case_id": "x", "actor": "y", "note": "z"},
    }
    with pytest.raises(ValidationError, match="two events have the id"):
        Mapping.model_validate({"source": "/s", "events": [event, event]})
