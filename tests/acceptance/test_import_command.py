"""`detente import`: look first, take live or as history, and never twice."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from detente.cli import cli
from detente.occupancy import Lock
from streams.store import RejectedState, Store

MAPPING = """
source: /sheet
timezone: Europe/Berlin
columns:
  due: {dates: "%d.%m.%Y"}
  placed: {dates: "%d.%m.%Y"}
events:
  - type: order.placed
    id: "placed-{order}"
    time: {time: placed}
    data:
      partner_id: "{partner}"
      order_id: "{order}"
      promised_at: {time: due}
      lines: {rows: {sku: "{article}", quantity: {number: units}}}
  - type: order.impacted
    id: "short-{order}"
    time: {time: placed}
    when: [{column: state, in: [short, Awaiting Vendor]}]
    data:
      partner_id: "{partner}"
      order_id: "{order}"
      kind: {column: state, values: {short: short}, otherwise: other}
      lines: {rows: {sku: "{article}", quantity: 3}}
"""
TABLE = """order,partner,article,units,placed,due,state
PO-1,nordlicht,coffee,10,01.10.2025,05.10.2025,
PO-2,stranger,tea,10,01.10.2025,05.10.2025,short
PO-3,stranger,tea,many,01.10.2025,05.10.2025,
PO-4,nordlicht,tea,10,01.10.2025,05.10.2025,Awaiting Vendor
"""
DB = "sqlite:///detente.db"

Import = Callable[..., Result]


@pytest.fixture
def import_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "map.yaml").write_text(MAPPING)
    (tmp_path / "orders.csv").write_text(TABLE)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["import", *arguments])

    return run


def document(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_preview_shows_everything_and_takes_nothing(import_: Import, tmp_path: Path) -> None:
    result = import_("orders.csv", "--map", "map.yaml", "--preview")
    assert result.exit_code == 0
    said = result.output
    assert "Nothing is taken yet" in said
    assert '"id":"placed-PO-1"' in said
    assert "Column state: not covered by the mapping" in said
    assert "Awaiting Vendor" in said
    assert "Partners that are not in the directory, to be taken with the tier standard" in said
    assert "stranger" in said
    assert "'many'" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.yaml", "orders.csv"]
    found = document(import_("orders.csv", "--map", "map.yaml", "--preview", "--json"))
    assert found["events"] == {"order.placed": 3, "order.impacted": 2}
    assert found["first"][0]["id"] == "placed-PO-1"
    assert found["unmapped"] == {"state": {"Awaiting Vendor": 1}, "units": {"many": 1}}
    assert found["unknown_partners"] == {"stranger": 2}
    assert found["rejected"] == 1


def test_what_is_good_is_taken_what_is_bad_is_kept_and_twice_is_a_duplicate(
    import_: Import,
) -> None:
    found = document(import_("orders.csv", "--map", "map.yaml", "--json"), code=1)
    counts = {"read": 6, "accepted": 5, "duplicate": 0, "rejected": 1}
    assert found["events"] == counts | {"conflict": 0, "set_aside": 0, "parked": 0}
    [reason] = found["reasons"]
    assert (reason["input"], reason["position"]) == ("orders.csv", "row 4")
    with Store.open(DB) as store, store.reading() as tx:
        [row] = tx.list_rejected(RejectedState.KEPT)
        assert b"PO-3" in row.entry.value
        assert tx.list_outbox() != []  # the service will tell it when it starts
    again = import_("orders.csv", "--map", "map.yaml")
    assert "6 read: 0 taken, 5 duplicates, 1 rejected" in again.output


def test_history_is_taken_without_telling_and_shows_what_stands_open(import_: Import) -> None:
    found = document(import_("orders.csv", "--map", "map.yaml", "--history", "--json"), code=1)
    # All are late by now, since time goes on until today.
    by_rule = found["cases"]["by_rule"]
    assert by_rule == {
        "late-delivery": 3, "late-strategic": 2, "minor-shortfall": 2, "order-impact": 2,
    }  # fmt: skip
    assert found["cases"]["open"] == 3
    assert len(found["open_first"]) == 3
    with Store.open(DB) as store, store.reading() as tx:
        assert tx.list_outbox() == []
        assert all(case.opened_at < 1767225600_000000 for case in tx.list_cases())  # 2026
    again = import_("orders.csv", "--map", "map.yaml", "--history")
    assert "3 cases stand open. Nobody was told of them." in again.output


def test_history_tells_of_its_own_rejected_rows_and_when_they_came(import_: Import) -> None:
    import_("orders.csv", "--map", "map.yaml", "--history")
    found = document(import_("orders.csv", "--map", "map.yaml", "--history", "--json"), code=1)
    assert [row["position"] for row in found["first_rejected"]] == ["row 4"]
    listed = CliRunner().invoke(cli, ["rejected"])
    [row] = [line for line in listed.output.splitlines() if "orders.csv, row 4" in line]
    assert "row 4  just now      2  malformed" in row, "twice the same is one line"


def test_history_is_not_taken_while_a_service_runs(import_: Import) -> None:
    with Lock(DB, "detente serve").acquire(0):
        result = import_("orders.csv", "--map", "map.yaml", "--history")
    assert result.exit_code == 1
    assert "stop it first" in result.output


def test_events_come_from_standard_input(import_: Import) -> None:
    event = {
        "specversion": "1.0", "id": "1", "source": "/erp", "type": "order.cancelled",
        "time": "2026-11-02T10:00:00Z",
        "data": {"partner_id": "acme", "order_id": "PO-1", "by": "partner"},
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "detente", "import", "-"],
        input=json.dumps(event), text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 read: 1 taken, 0 duplicates, 0 rejected\n"


def test_a_preview_says_what_would_be_rejected(import_: Import, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(TABLE.replace("05.10.2025,\n", ",\n", 1))
    (tmp_path / "events.jsonl").write_text('garbage\n{"type": "order.lost", "id": "1"}\n')
    found = document(import_("orders.csv", "--map", "map.yaml", "--preview", "--json"))
    assert found["rejected"] == 2
    rejected = {row["position"]: row["reason"] for row in found["first_rejected"]}
    assert rejected["row 2"] == "data.promised_at: required, but missing"
    assert found["events"] == {"order.placed": 2, "order.impacted": 2}
    said = import_("events.jsonl", "--preview").output
    assert "2 would not be taken; the first:" in said
    assert "line 1: not valid JSON" in said
    assert "line 2: type: 'order.lost' is not an event type" in said
    assert "No events." in said


def test_a_damaged_file_is_taken_up_to_the_damage(import_: Import, tmp_path: Path) -> None:
    line = b'{"specversion":"1.0"}\n'
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(line * 5_000)[:-20])
    result = import_("cut.jsonl.gz")
    assert result.exit_code == 1
    assert "cut.jsonl.gz: the gzip data stops before its end" in result.output
    with Store.open(DB) as store, store.reading() as tx:
        assert tx.list_rejected(RejectedState.KEPT) != []


def test_a_preview_and_history_do_not_go_together(import_: Import) -> None:
    result = import_("orders.csv", "--map", "map.yaml", "--history", "--preview")
    assert result.exit_code == 2


def test_mistakes_in_the_mapping_have_their_lines(import_: Import, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(MAPPING.replace("order.impacted", "order.imapcted"))
    result = import_("orders.csv", "--map", "map.yaml")
    assert result.exit_code == 1
    assert "map.yaml:16:" in result.output
    assert "order.impacted" in result.output
