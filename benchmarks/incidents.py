"""The replay of real tickets with a promise each: the incident log of UCI.

The repository has a sample of the log. DETENTE_INCIDENT_LOG names the whole file, which is too
large for it: `incident_event_log.csv`, packed with gzip or not, of UCI data set no. 498.
"""

import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from detente.documents import load_directory, load_mapping, load_policy
from detente.inputs import read_inputs
from detente.past import in_force
from detente.settings import EXAMPLES
from streams.records import RawRecord
from streams.replay import Replay
from streams.sorting import sort_records
from streams.store import Store

UCI = EXAMPLES / "uci"
SAMPLE = UCI / "incident_event_log_sample.csv.gz"
#: The rows of the whole log, and the seconds in which they are to be replayed.
ROWS, SECONDS = 141_712, 15.0


def replay_incidents(limit: int | None = None) -> dict[str, Any]:
    """Replay the log, or its first records, with everything told; reading it is not measured."""
    log = os.environ.get("DETENTE_INCIDENT_LOG") or str(SAMPLE)
    policy = load_policy(UCI / "policy.yaml")
    directory = load_directory(UCI / "directory.yaml", policy.compiled)
    mapping = load_mapping(UCI / "incidents.yaml")
    records = list(sort_records(read_inputs((log,), mapping)))[:limit]
    known = in_force(policy, directory)
    with (
        TemporaryDirectory() as folder,
        Store.open(f"sqlite:///{Path(folder) / 'replay.db'}") as store,
    ):
        replay = Replay(store, known.policies, known.recipients)
        start = perf_counter()
        replay.run(iter(records))
        took = perf_counter() - start
        with store.reading() as tx:
            cases, told = tx.count_cases(), sum(tx.count_outbox().values())
    kinds = Counter(b'"ticket.opened"' in r.value for r in records if isinstance(r, RawRecord))
    return {
        "rows": len(records) - kinds[True],
        "incidents": kinds[True],
        "seconds": took,
        "row_us": took / max(1, len(records) - kinds[True]) * 1e6,
        "cases": cases,
        "told": told,
        "is_whole": log != str(SAMPLE) and limit is None,
    }
