"""`detente serve --example`: a real data set, replayed into a database of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from detente.documents import (
    SAMPLE_DIRECTORY,
    SAMPLE_POLICY,
    load_directory,
    load_mapping,
    load_policy,
)
from detente.embedded import wall_clock
from detente.inputs import display, read_inputs
from detente.output import RefusedError, print_table, say
from detente.past import (
    OPEN,
    findings,
    in_force,
    print_findings,
    relive,
    warn_of_strangers,
)
from detente.settings import EXAMPLES, Settings
from schemas.time import Instant, to_datetime
from streams.store import Store

FOLDER = Path(".detente-example")
LAG = "30d"
_SCMS = EXAMPLES / "scms"
_DATA = _SCMS / "SCMS_Delivery_History_Dataset.csv.gz"
_BY_DELIVERY = _SCMS / "by-delivery.yaml"
_BY_RECORDED = _SCMS / "by-recorded.yaml"
_DATABASE = "example.db"
_TRY = FOLDER / "try.json"


def prepare() -> dict[str, Any]:
    """The settings of the example. Raises RefusedError if its data is not installed."""
    if not _DATA.is_file():
        raise RefusedError(f"the example's data is not here: {_DATA}. Take it from the repository")
    FOLDER.mkdir(exist_ok=True)
    return {
        "db": f"sqlite:///{FOLDER / _DATABASE}",
        "policy": str(SAMPLE_POLICY),
        "directory": str(SAMPLE_DIRECTORY),
    }


def fill(settings: Settings, *, keep: bool) -> str:
    """Replay the data set, say what was found, and return what to try next."""
    if keep and (FOLDER / _DATABASE).exists():
        say(f"Going on with the database of last time in {FOLDER}.")
    else:
        _remove_database()
        _replay(settings)
    with Store.open(settings.db) as store, store.reading() as tx:
        cases = tx.list_cases(states=OPEN, limit=1)
    return _hints(settings, cases[0].case_id if cases else None)


def _remove_database() -> None:
    # The lock beside it is ours and stays.
    for suffix in ("", "-wal", "-shm"):
        (FOLDER / f"{_DATABASE}{suffix}").unlink(missing_ok=True)


def _replay(settings: Settings) -> None:
    policy = load_policy(SAMPLE_POLICY)
    directory = load_directory(SAMPLE_DIRECTORY, policy.compiled)
    say("Replaying real orders and deliveries of 2006 to 2015 (examples/scms) as if it were then.")
    say("Nobody is told.")
    with Store.open(settings.db) as store:
        with store.transaction() as tx:
            tx.add_policy(policy.digest, policy.body, Instant(0), wall_clock())
            tx.add_directory(directory.digest, directory.body, Instant(0), wall_clock())
        with display(in_lines=True) as shows:
            records = read_inputs([str(_DATA)], load_mapping(_BY_DELIVERY))
            tally = relive(store, in_force(policy, directory), records, shows, wall_clock())
        document = findings(store, tally)
    print_findings(document)
    warn_of_strangers(document, policy.compiled.default_tier)
    say()
    say("Now the same orders, if deliveries become known later. An order that nobody reported is")
    say("late by silence; when its report says that it came in time, the case is retracted.")
    with _reading(SAMPLE_POLICY) as recorded, _reading(_policy_with_lag()) as patient:
        _print_readings(document["cases"], _cases_of(recorded), _cases_of(patient))


def _print_readings(*readings: dict[str, int] | None) -> None:
    arrivals = (
        "on the day of the delivery",
        "on the day somebody recorded it",
        f"the same, with reporting_lag: {LAG} in the policy",
    )
    rows = [
        (name, *(("?",) * 3 if c is None else (c["opened"], c["retracted"], c["open"])))
        for name, c in zip(arrivals, readings, strict=True)
    ]
    columns = ("deliveries arrive", "opened", "false, retracted", "stand")
    print_table(columns, rows, numbers=columns[1:])


@contextmanager
def _reading(policy: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A replay in order of recording, with a policy, in a process of its own."""
    command = [sys.executable, "-m", "detente", "replay", str(_DATA), "--json"]
    command += ["--map", str(_BY_RECORDED), "--policy", str(policy)]
    with subprocess.Popen(  # noqa: S603 - our own command, with our own arguments
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _cases_of(process: "subprocess.Popen[bytes]") -> dict[str, int] | None:
    said, _ = process.communicate()
    if process.returncode != 0:
        return None
    cases: dict[str, int] = json.loads(said)["cases"]
    return cases


def _policy_with_lag() -> Path:
    """The sample policy, with a reporting lag for the source of the data."""
    document = yaml.safe_load(SAMPLE_POLICY.read_bytes())
    source = load_mapping(_BY_RECORDED).source
    document["sources"] = {source: {"reporting_lag": LAG}}
    path = FOLDER / f"policy-with-lag-{LAG}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def _hints(settings: Settings, case_id: str | None) -> str:
    called = Path(sys.argv[0])
    near = os.path.relpath(called) if called.name == "detente" else "python -m detente"
    detente = str(called) if near.startswith("..") else near
    _TRY.write_text(json.dumps(_trial_order(), indent=2), encoding="utf-8")
    explain = [f"  {detente} explain {case_id}"] if case_id else []
    return "\n".join(
        [
            "",
            "Try, in another terminal and this folder:",
            f"  export DETENTE_DB={settings.db}",
            f"  {detente} cases",
            *explain,
            "Send an order of which 12 of 150 units are short: 8 %, and the policy allows 5 %.",
            "  curl {url}/events -H 'Content-Type: application/cloudevents-batch+json' \\",
            f"    --data @{_TRY}",
            "",
        ]
    )


def _trial_order() -> list[dict[str, Any]]:
    now = to_datetime(wall_clock()).replace(microsecond=0)
    order = {"partner_id": "nordlicht", "order_id": f"PO-{now:%H%M%S}"}
    placed = {
        "promised_at": (now + timedelta(days=2)).isoformat(),
        "currency": "EUR",
        "lines": [{"sku": "coffee", "quantity": 150, "unit_price": "12.50"}],
    }
    short = {"kind": "short", "lines": [{"sku": "coffee", "quantity": 12}]}
    return [
        {
            "specversion": "1.0",
            "id": f"{order['order_id']}-{kind}",
            "source": "/try",
            "type": f"order.{kind}",
            "time": now.isoformat(),
            "data": order | data,
        }
        for kind, data in (("placed", placed), ("impacted", short))
    ]
