"""`detente replay`: past events on a virtual clock, counted, and nobody told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from detente.cli import cli
from detente.embedded import LAST_ALIVE
from detente.settings import EXAMPLES
from streams.store import Store

SCMS = EXAMPLES / "scms"
DATA = str(SCMS / "SCMS_Delivery_History_Dataset.csv.gz")

Replay = Callable[..., Result]


def event(n: int, type_: str, day: str, **data: Any) -> str:
    envelope = {"specversion": "1.0", "id": f"e{n}", "source": "/erp", "type": type_}
    time = {"time": f"2026-11-{day}T10:00:00Z"}
    return json.dumps(envelope | time | {"data": {"partner_id": "acme"} | data})


PLACED = event(
    1, "order.placed", "02", order_id="PO-1", promised_at="2026-11-03T10:00:00Z",
    lines=[{"sku": "coffee", "quantity": 10}],
)  # fmt: skip
CAME = event(
    2, "delivery.completed", "08", order_id="PO-1", delivery_id="D-1",
    delivered_at="2026-11-03T09:00:00Z", final=True,
)  # fmt: skip
SHORT = event(
    3, "order.impacted", "08", order_id="PO-1", kind="short",
    lines=[{"sku": "coffee", "quantity": 4}],
)  # fmt: skip


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["replay", *arguments])

    return run


def document(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def cases(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = document(result)["cases"]
    return found


@pytest.mark.parametrize(
    ("mapping", "opened", "retracted"), [("by-delivery", 597, 0), ("by-recorded", 1113, 516)]
)
def test_the_real_data_set_gives_its_597_late_orders(
    replay: Replay, tmp_path: Path, mapping: str, opened: int, retracted: int
) -> None:
    result = replay(DATA, "--map", str(SCMS / f"{mapping}.yaml"), "--json")
    found = document(result)
    assert found["events"] == {"read": 16557, "accepted": 16557, "duplicate": 0, "rejected": 0}
    assert (found["cases"]["opened"], found["cases"]["retracted"]) == (opened, retracted)
    assert found["cases"]["by_rule"] == {"late-delivery": 597}
    assert found["cases"]["by_tier"] == {"executive": 597}
    assert found["cases"]["open"] == 597
    # One warning, that names some of the 73 and says how many more there are.
    [warning] = result.stderr.splitlines()
    assert warning.startswith("Warning: 73 partners are not in the directory, taken with")
    assert warning.endswith("and 63 more")
    assert list(tmp_path.iterdir()) == []


def test_with_a_reporting_lag_declared_far_fewer_are_called_late_in_error(
    replay: Replay, tmp_path: Path
) -> None:
    sample = (EXAMPLES / "policy.yaml").read_text()
    lagging = sample.replace("sources: {}", "sources: {/scms: {reporting_lag: 30d}}")
    assert lagging != sample
    (tmp_path / "lag.yaml").write_text(lagging)
    mapping = str(SCMS / "by-recorded.yaml")
    found = cases(replay(DATA, "--map", mapping, "--policy", "lag.yaml", "--json"))
    assert (found["opened"], found["retracted"], found["open"]) == (673, 76, 597)


def test_deadlines_fire_between_events_and_later_truth_retracts(
    replay: Replay, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(f"{PLACED}\n")
    (tmp_path / "b.jsonl").write_text(f"{CAME}\n{PLACED}\nnonsense\n")
    found = document(replay("b.jsonl", "a.jsonl", "--json"))
    assert found["events"] == {"read": 4, "accepted": 2, "duplicate": 1, "rejected": 1}
    assert (found["cases"]["opened"], found["cases"]["retracted"]) == (1, 1)
    assert found["cases"]["open"] == 0
    assert found["first_rejected"][0]["position"] == "line 3"


def test_what_bears_no_time_is_listed_without_one(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f"nonsense\n{PLACED}\n")
    replay("a.jsonl", "--db", "sqlite:///kept.db")
    for arguments in ([], ["--show", "1"]):
        said = CliRunner().invoke(cli, ["rejected", "--db", "sqlite:///kept.db", *arguments])
        assert "line 1" in said.output
        assert " ago" not in said.output
        assert "1970" not in said.output


def test_the_clock_stops_at_the_last_event_or_at_until(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(PLACED)
    assert cases(replay("a.jsonl", "--json"))["open"] == 0
    assert cases(replay("a.jsonl", "--json", "--until", "2026-11-04"))["open"] == 0
    # Late from the 5th at 10:00 on; a day means its end.
    assert cases(replay("a.jsonl", "--json", "--until", "2026-11-05"))["open"] == 1
    assert cases(replay("a.jsonl", "--json", "--until", "2026-11-05T09:59:59Z"))["open"] == 0
    assert cases(replay("a.jsonl", "--json", "--until", "2026-11-05T12:00:00+01:00"))["open"] == 1
    result = replay("a.jsonl", "--until", "tomorrow")
    assert result.exit_code == 2
    assert "'tomorrow' is no time" in result.output


def test_a_watch_is_no_case(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        (EXAMPLES / "policy.yaml").read_text().replace('{impact: "> 5%"}', '{impact: "> 50%"}')
    )
    (tmp_path / "a.jsonl").write_text(f"{PLACED}\n{CAME}\n{SHORT}\n")
    found = cases(replay("a.jsonl", "--json"))
    assert found["watched"] == 1
    assert found["open"] == 0
    assert found["by_rule"] == {}
    sample = str(EXAMPLES / "policy.yaml")
    assert cases(replay("a.jsonl", "--policy", sample, "--json"))["by_rule"]["order-impact"] == 1


def test_the_rules_and_the_people_of_the_folder_count_as_everywhere(
    replay: Replay, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(f"{PLACED}\n")
    assert f"Policy: {EXAMPLES / 'policy.yaml'}" in replay("a.jsonl").stdout
    for name in ("policy.yaml", "directory.yaml"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text())
    said = replay("a.jsonl").stdout
    assert "Policy: policy.yaml\nDirectory: directory.yaml\n" in said
    (tmp_path / "directory.yaml").write_text("people: 7\n")
    assert "directory.yaml:1: people" in replay("a.jsonl").stderr


def test_with_a_database_the_cases_stay_and_nobody_will_be_told(
    replay: Replay, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(f"{PLACED}\n{SHORT}\n")
    url = f"sqlite:///{tmp_path / 'past.db'}"
    assert cases(replay("a.jsonl", "--db", url, "--json"))["open"] == 1
    again = document(replay("a.jsonl", "--db", url, "--json"))
    assert (again["events"]["duplicate"], again["cases"]["open"]) == (2, 1)
    with Store.open(url) as store, store.transaction() as tx:
        assert len(tx.list_cases()) == 1
        assert tx.list_outbox() == []
        assert len(tx.policies()) == 1
        tx.put_setting(LAST_ALIVE, "1")
    result = replay("a.jsonl", "--db", url)
    assert result.exit_code == 1
    assert "belongs to a service" in result.output


def test_in_the_database_of_a_replay_it_is_the_time_at_which_it_stopped(
    replay: Replay, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(f"{PLACED}\n{SHORT}\n")
    url = f"sqlite:///{tmp_path / 'past.db'}"
    replay("a.jsonl", "--db", url, "--until", "2026-11-09T09:00:00Z")

    def said(*arguments: str) -> str:
        result = CliRunner().invoke(cli, [*arguments, "--db", url])
        assert result.exit_code == 0, result.output
        return result.output

    assert "October 2026" in said("scorecard", "nordlicht")
    assert "week 45" in said("digest")
    [case] = json.loads(said("cases", "--json"))["cases"]
    assert json.loads(said("cases", "--json"))["at"] == "2026-11-09T09:00:00Z"
    assert "as of 2026-11-09 10:00 CET" in said("evidence", case["case"])
    with Store.open(url) as store, store.transaction() as tx:
        tx.put_setting(LAST_ALIVE, "1")  # a service went on from there
    assert json.loads(said("cases", "--json"))["at"] > "2026-11-10"


def test_without_json_the_same_is_said_for_people(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f"{PLACED}\n{SHORT}\n{{}}\n")
    result = replay("a.jsonl")
    assert result.exit_code == 0
    assert "by the rule order-impact" in result.stdout
    assert "a.jsonl, line 3" in result.stdout
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.jsonl"], "missing.jsonl does not exist"),
        (["."], ". is a folder"),
        (["table.csv"], "--map FILE must say what its columns mean"),
        (["events.jsonl", "--map", "m.yaml"], "--map is for tables"),
        (["-", "-"], "can be read only once"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_happens(
    replay: Replay, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "table.csv").touch()
    (tmp_path / "events.jsonl").touch()
    result = replay(*arguments)
    assert result.exit_code == 2
    assert said in result.output
