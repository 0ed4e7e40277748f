"""What `make run` shows: the example replayed, in three readings, and what to try next."""

import gzip
import json
from pathlib import Path

import pytest

from detente import example
from detente.example import fill, prepare
from detente.settings import read_settings
from schemas.events import Malformed, UnknownType, parse_event
from streams.store import Store

EVERY = 12


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the data set: the whole is replayed elsewhere."""
    rows = gzip.decompress(example._DATA.read_bytes()).split(b"\r")
    data = tmp_path / example._DATA.name
    data.write_bytes(gzip.compress(b"\r".join([rows[0], *rows[1::EVERY]])))
    monkeypatch.setattr(example, "_DATA", data)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("small")
def test_it_is_replayed_counted_and_kept_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    settings = read_settings(prepare(), {})
    hints = fill(settings, keep=False)
    said = capsys.readouterr().out
    assert "Replaying: " in said
    rows = [line.split() for line in said.splitlines() if line.startswith(("on the", "the same"))]
    (opened, false, stand), recorded, patient = ([int(n) for n in row[-3:]] for row in rows)
    assert opened == stand > 0
    assert false == 0
    assert recorded[1] > patient[1]
    assert recorded[2] == patient[2] == stand
    with Store.open(settings.db) as store, store.reading() as tx:
        assert tx.list_outbox() == []
        shown = [case.case_id for case in tx.list_cases() if case.case_id in hints]
        assert len(shown) == 1
    assert "curl {url}/events" in hints
    for event in json.loads(example._TRY.read_text()):
        assert not isinstance(parse_event(json.dumps(event).encode()), Malformed | UnknownType)

    assert fill(settings, keep=True).splitlines()[:4] == hints.splitlines()[:4]
    assert "Going on with the database of last time" in capsys.readouterr().out
