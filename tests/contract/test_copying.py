"""A store copied into another: from the file of an embedded service to the server of a cluster."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from detente.cli import cli
from detente.embedded import open_embedded
from detente.occupancy import Lock
from schemas.time import DAY, HOUR, Instant
from streams.records import RawRecord
from streams.store import Store
from streams.store.tables import metadata
from tests.acceptance.test_service import MONDAY, placed, settings_in, short
from tests.contract.rows import effect, write


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The database of an embedded service that has seen something."""
    import json

    settings = settings_in(tmp_path)
    events = [placed(promised=Instant(MONDAY + DAY)), short(), {"specversion": "1.0"}]
    with open_embedded(settings, MONDAY) as embedded:
        embedded.handler.take(
            [RawRecord("http", str(n), json.dumps(each).encode()) for n, each in enumerate(events)],
            MONDAY,
        )
        embedded.handler.tick(Instant(MONDAY + 5 * HOUR))
        with embedded.store.transaction() as tx:
            tx.add_token("hash", "erp", MONDAY)
    return settings.db


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    with Store.open(url, create=False) as store, store.reading() as tx:
        return {
            name: sorted((tuple(row) for row in tx.connection.execute(select(table))), key=repr)
            for name, table in metadata.tables.items()
        }


def migrate(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["migrate", *arguments])
    return done.exit_code, done.output


def test_everything_is_copied_and_goes_on_from_there(file: str, empty_postgres_url: str) -> None:
    code, said = migrate("--db", empty_postgres_url, "--from", file)
    assert code == 0, said
    assert "copied" in said
    there = contents(empty_postgres_url)
    assert there == contents(file)
    assert there["conflict_case"]
    assert there["token"]
    # What comes next gets numbers of its own.
    with Store.open(empty_postgres_url) as store:
        numbers = {row[0] for row in there["outbox"]}
        write(store, effects=[effect("new")])
        with store.reading() as tx:
            [new] = [entry.seq for entry in tx.list_outbox() if entry.effect.effect_id == "new"]
        assert new not in numbers


def test_a_database_with_anything_in_it_is_not_copied_over(
    file: str, empty_postgres_url: str
) -> None:
    assert migrate("--db", empty_postgres_url, "--from", file)[0] == 0
    code, said = migrate("--db", empty_postgres_url, "--from", file)
    assert code == 1
    assert "is not empty" in said


def test_a_database_that_is_in_use_is_not_copied(file: str, empty_postgres_url: str) -> None:
    with Lock(file, "detente serve").acquire(0):
        code, said = migrate("--db", empty_postgres_url, "--from", file)
    assert code == 1
    assert "is in use by detente serve" in said
    assert migrate("--db", empty_postgres_url, "--from", "sqlite:///nowhere.db")[0] == 1
