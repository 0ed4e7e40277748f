"""Quix Streams: the same screening and register, one event at a time, in its own state.

Runs in an environment of its own. State is Quix's own (RocksDB with a changelog topic) and is keyed
by partner, as the records are; below that a subject has its document, and a case its row, steps
and effects. Patterns over several subjects are left out, and so are deadlines, to Quix's advantage.
"""

import json
import sys
import tempfile
from time import perf_counter

import msgspec
from quixstreams import Application, State

from benchmarks.cluster.scene import Figures, Scene, now
from benchmarks.house import House
from rules.decide import Decider, Taken
from rules.decision import SubjectRow
from rules.subjects import Statement, state_subject
from rules.world import Horizon, World
from schemas.events import Malformed, UnknownType, parse_event


class Register:
    """Screens and folds one event at a time, with a document of each subject in the state."""

    def __init__(self) -> None:
        house = House()
        self._world = World(house.policies, house.recipients)
        self._nothing_read = Horizon.everything_until(0)

    def take(self, value: bytes, state: State) -> None:
        """Decide one event."""
        event = parse_event(value)
        assert not isinstance(event, Malformed | UnknownType)
        at = now()
        statement = state_subject(event, at)
        known = state.get_bytes(statement.key)
        rows = {} if known is None else {statement.key: _row(statement, known)}
        decider = Decider(self._world, self._nothing_read, at, tell=True)
        decider.take([Taken(statement, 0, value, "", "")], rows)
        decision = decider.decision
        for key, row in decision.subjects.items():
            state.set_bytes(key, row.document)
        for case in decision.cases.values():
            changes = decision.changes
            found = [case, changes.steps, changes.effects, changes.journal]
            state.set_bytes(case.case_id, msgspec.json.encode(found))


def _row(statement: Statement, document: bytes) -> SubjectRow:
    return SubjectRow(
        statement.key, statement.kind, statement.partner_id, document, None, None, None, 1,
        has_case=False,
    )  # fmt: skip


def run(scene: Scene) -> Figures:
    """Take the orders that are delivered later, then, measured, every event."""
    kafka = scene.kafka("quix")
    register = Register()
    earlier = len(scene.delivered_first())
    last = earlier + scene.scale.events
    taken, start, end = 0, 0.0, 0.0

    def decide(value: bytes, state: State) -> None:
        nonlocal taken, start, end
        register.take(value, state)
        taken += 1
        end = perf_counter()
        if taken == earlier:
            start = end
        elif start and end > start + scene.scale.patience_s:
            app.stop()

    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            kafka.brokers,
            consumer_group=kafka.group,
            auto_offset_reset="earliest",
            state_dir=folder,
            loglevel="WARNING",
        )
        topic = app.topic(scene.one_topic, key_deserializer="bytes", value_deserializer="bytes")
        app.dataframe(topic).apply(decide, stateful=True)
        app.run(count=last, timeout=scene.scale.patience_s, collect=False)
    # The commits on the way are counted, the last one is not.
    return {"events": taken - earlier, "per_s": (taken - earlier) / (end - start)}


if __name__ == "__main__":
    json.dump(run(Scene.read()), sys.stdout)
