"""Real tickets: the clocks of the incident log against a count of minutes that anybody can check.

The other count goes through the rows of an incident as the file has them, one minute after the
other, and knows nothing of intervals, deadlines or events.
"""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from detente.cli import cli
from detente.settings import EXAMPLES

UCI = EXAMPLES / "uci"
LOG = UCI / "incident_event_log_sample.csv.gz"
MINUTE = timedelta(minutes=1)
#: Of each priority the incidents that waited most often, and then every so many.
HARDEST, EVERY = 6, 40

Row = Mapping[str, str]


class Verdict(NamedTuple):
    """What became of an incident's promise."""

    state: str
    due: datetime
    settled: datetime


# --- the slow count ---


def at(text: str) -> datetime:
    return datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)


def is_open(minute: datetime) -> bool:
    return minute.weekday() < 5 and 8 <= minute.hour < 18


def always(_: datetime) -> bool:
    return True


#: Priority to the minutes that are promised, and which minutes count.
PROMISES: Mapping[str, tuple[int, Callable[[datetime], bool]]] = {
    "1 - Critical": (4 * 60, always),
    "2 - High": (24 * 60, always),
    "3 - Moderate": (40 * 60, is_open),
    "4 - Low": (80 * 60, is_open),
}


def count_minutes(rows: list[Row]) -> Verdict:
    """Go through an incident whose priority never changes, minute by minute."""
    budget, counts = PROMISES[rows[0]["priority"]]
    changes = {at(row["sys_updated_at"]): row["incident_state"] for row in rows}
    ends = ("Resolved", "Closed")
    stays_settled = min(
        time
        for time in changes
        if all(state in ends for later, state in changes.items() if later >= time)
    )
    minute, state, spent = at(rows[0]["opened_at"]), "New", 0
    due: datetime | None = None
    while minute < stays_settled or due is None:
        state = changes.get(minute, state) if minute < stays_settled else "Active"
        if not state.startswith("Awaiting") and state not in ends and counts(minute):
            spent += 1
            if spent == budget:
                due = minute + MINUTE
        minute += MINUTE
    return Verdict("breached" if due < stays_settled else "met", due, stays_settled)


def in_order(row: Row) -> tuple[datetime, str]:
    """As two rows of one minute are told apart: by the ids that the mapping gives them."""
    parts = ("number", "sys_mod_count", "incident_state", "sys_updated_at", "sys_updated_by")
    return at(row["sys_updated_at"]), "-".join(row[part] for part in parts)


def incidents() -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    with gzip.open(LOG, "rt", newline="") as log:
        for row in csv.DictReader(log):
            found[row["number"]].append(row)
    return {number: sorted(rows, key=in_order) for number, rows in found.items()}


def chosen() -> Iterator[tuple[str, list[Row]]]:
    """A few dozen incidents whose priority never changes."""
    plain = {
        number: rows
        for number, rows in incidents().items()
        if len({row["priority"] for row in rows}) == 1
    }
    for priority in PROMISES:
        of = [(number, rows) for number, rows in plain.items() if rows[0]["priority"] == priority]
        of.sort(key=lambda item: -sum(r["incident_state"].startswith("Awaiting") for r in item[1]))
        yield from of[:HARDEST]
        yield from of[HARDEST::EVERY]


# --- the log as Detente sees it ---


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of a replay of the log."""
    db = f"sqlite:///{tmp_path_factory.mktemp('uci') / 'uci.db'}"
    run(
        "replay", str(LOG), "--map", str(UCI / "incidents.yaml"),
        "--policy", str(UCI / "policy.yaml"), "--directory", str(UCI / "directory.yaml"),
        "--db", db,
    )  # fmt: skip
    return db


@pytest.fixture(scope="module")
def clocks(db: str) -> list[dict[str, Any]]:
    said = run("sla", "--metric", "resolution", "--state", "met", "--state", "breached",
               "--json", "--db", db)  # fmt: skip
    found: list[dict[str, Any]] = json.loads(said)["clocks"]
    return found


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_clocks_are_those_that_a_count_of_minutes_gives(clocks: list[dict[str, Any]]) -> None:
    by_name = {clock["subject"]["name"]: clock for clock in clocks}
    wrong, states = [], set()
    for number, rows in chosen():
        clock, counted = by_name[number], count_minutes(rows)
        due = clock["breached_at"] or clock["due"]
        found = Verdict(clock["state"], datetime.fromisoformat(due),
                        datetime.fromisoformat(clock["stopped_at"]))  # fmt: skip
        states.add((rows[0]["priority"], found.state))
        if found != counted:
            wrong.append((number, found, counted))
    assert not wrong
    assert len(states) > len(PROMISES), "some were kept and some were not"


def test_attainment_of_each_priority_counts_every_incident_once(
    clocks: list[dict[str, Any]],
) -> None:
    last = {number: rows[-1]["priority"] for number, rows in incidents().items()}
    kept: dict[str, list[bool]] = defaultdict(list)
    for clock in clocks:
        kept[last[clock["subject"]["name"]]].append(clock["state"] == "met")
    assert sum(map(len, kept.values())) == len(last)
    # Nothing is always kept, and nothing never.
    assert kept.keys() == PROMISES.keys()
    assert all(0 < sum(met) < len(met) for met in kept.values())


def test_a_digest_says_how_many_were_kept_of_each_priority(
    clocks: list[dict[str, Any]], db: str
) -> None:
    kept: dict[str, list[bool]] = defaultdict(list)
    for clock in clocks:
        if (clock["breached_at"] or clock["due"]).startswith("2016"):
            kept[clock["promised_in"]].append(clock["state"] == "met")
    said = json.loads(run("digest", "--year", "2016", "--json", "--db", db))
    [table] = [
        table for section in said["sections"] for table in section["tables"]
        if table["title"] == "By severity and category"
    ]  # fmt: skip
    shown = [[cell["text"] for cell in row][2:6] for row in table["rows"]]
    promises = ["overrides[0].", "overrides[1].", "overrides[2].", ""]
    names = ["severity critical", "severity high", "severity moderate", "all others"]
    expected = []
    for place, name in zip(promises, names, strict=True):
        met = kept.pop(f"commitments.standard.{place}resolution")
        share = f"{sum(met) * 1000 // len(met) / 10:.1f} %"
        expected.append([name, share, f"{len(met):,}", f"{len(met) - sum(met):,}"])
    assert shown == expected
    assert not kept

    high = "attainment-by-tickets/standard/resolution/severity high"
    behind = run("digest", "--year", "2016", "--explain", high, "--json", "--db", db)
    assert {row["promised"] for row in json.loads(behind)["rows"]} == {"24h"}
