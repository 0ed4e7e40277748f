"""The comparison with the peers runs and prints its table; its figures are no test of anything."""

from benchmarks.__main__ import table
from benchmarks.cluster.__main__ import PARTS, PEERS, lines, measure
from benchmarks.cluster.scene import TINY
from tests.rigs.kafka import KafkaServer
from tests.rigs.postgres import PostgresServer


def test_every_part_runs_and_has_its_lines_in_the_table(
    kafka: KafkaServer, postgres_server: PostgresServer
) -> None:
    # Three workers are measured as one is; Quix Streams lives where `make bench-cluster` put it.
    left_out = {"three"} if PEERS.exists() else {"three", "quix"}
    parts = [name for name in PARTS if name not in left_out]
    found = measure(kafka.brokers, postgres_server, TINY, parts)
    assert list(found) == parts
    assert found["bare"]["events"] == TINY.events - TINY.batch
    assert 0 < found["agents"]["events"] < TINY.events
    assert 0 < found["worker"]["events"] < TINY.events
    assert found["live"]["seen"] == found["live"]["opened"] > 0
    shown = table(list(lines(found)))
    for what in ("b / a", "b / c", "p99"):
        assert what in shown
    if "quix" in parts:
        assert 0 < found["quix"]["events"] <= TINY.events
        assert "b / d" in shown
