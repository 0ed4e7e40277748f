"""The benchmarks run and print their table. What they measure is nobody's test."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import load
from benchmarks.__main__ import lines, table
from benchmarks.measures import MEASURES, TINY
from schemas.events import Malformed, UnknownType, parse_event

ROOT = Path(__file__).parents[2]


def test_every_measurement_runs_and_has_its_lines_in_the_table() -> None:
    found = {name: run(TINY) for name, run in MEASURES.items()}
    shown = table(list(lines(found)))
    for what in ("pipeline / parsing alone", "at most 1.5", "peak memory", "none due", "to Slack"):
        assert what in shown
    assert found["pipeline"]["events"] == found["memory"]["events"] == TINY.events
    assert found["deadlines"]["due"] == TINY.due


def test_each_measurement_runs_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "benchmarks", "--tiny", "--json", "--only", "deadlines"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["figures"]["deadlines"]["waiting"] == TINY.waiting


def test_the_load_is_the_same_every_time_and_of_the_promised_mix() -> None:
    first = load.first_event(100_000)
    types = []
    for index in range(first, first + 2_000):
        parsed = parse_event(load.event(index))
        assert not isinstance(parsed, Malformed | UnknownType)
        types.append(parsed.type)
    assert types.count("order.placed") == types.count("delivery.completed") == 900
    assert sum(name.startswith("ticket.") for name in types) == 200
    assert load.event(first) == load.event(first)
    trouble = [load.order(n) for n in range(10_000)]
    assert 150 < sum(order.is_late or order.is_short for order in trouble) < 250
