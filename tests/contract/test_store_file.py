"""Opening, making and migrating the file of a SQLite store."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from streams.store import SchemaError, Store, StoreError, Unavailable, migrate, schema
from streams.store.schema import NEWEST
from streams.store.tables import metadata


def url(file: Path) -> str:
    return f"sqlite:///{file}"


def run(file: Path, *statements: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(file)
    try:
        rows = [row for statement in statements for row in connection.execute(statement)]
        connection.commit()
        return rows
    finally:
        connection.close()


def tables_of(file: Path) -> set[tuple[object, ...]]:
    query = "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name != 'alembic_version'"
    return {(kind, name, sql and _laid_out(str(sql))) for kind, name, sql in run(file, query)}


def _laid_out(sql: str) -> str:
    """A statement without the line breaks: an added column stands on no line of its own."""
    return re.sub(r" (?=[,)])", "", " ".join(sql.split()))


def test_migrations_end_in_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    migrated, made = tmp_path / "migrated.db", tmp_path / "made.db"
    migrate(url(migrated))
    engine = create_engine(url(migrated))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()
    # The comparison above does not look into the conditions of partial indexes; the text does.
    engine = create_engine(url(made))
    try:
        metadata.create_all(engine)
    finally:
        engine.dispose()
    assert tables_of(migrated) == tables_of(made)


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "store.db"
    migrate(url(file))
    before = tables_of(file)
    migrate(url(file))
    assert tables_of(file) == before


def test_a_missing_file_is_made_only_if_asked_to(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "store.db"
    with pytest.raises(StoreError, match=r"there is no database at .*store\.db"):
        Store.open(url(file), create=False)
    assert not file.parent.exists()
    with Store.open(url(file)) as store:
        assert store.schema_version() == NEWEST
    with Store.open(url(file), create=False) as store:
        assert store.schema_version() == NEWEST


def test_an_older_schema_is_refused_until_it_is_migrated(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.touch()
    with pytest.raises(SchemaError, match="detente migrate"):
        Store.open(url(file), create=False)
    with Store.open(url(file), create=False, migrate=True) as store:
        assert store.schema_version() == NEWEST


def migrate_to(file: Path, version: str) -> None:
    engine = create_engine(url(file))
    try:
        with engine.begin() as connection:
            config = schema._config()
            config.attributes["connection"] = connection
            command.upgrade(config, version)
    finally:
        engine.dispose()


def test_what_was_posted_of_tickets_before_downgrades_were_counted_is_posted_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "store.db"
    migrate_to(file, "0006")
    subject = "INSERT INTO subject (key, kind, partner_id, document, version, has_case) VALUES "
    run(file, *(f"{subject} ('{kind}:acme:1', '{kind}', 'acme', x'', 1, 0)"
                for kind in ("order", "ticket", "touchpoints")),
        "INSERT INTO unposted VALUES ('ticket:acme:1', 77)")  # fmt: skip
    migrate(url(file))
    assert run(file, "SELECT key, due FROM unposted") == [("ticket:acme:1", 0)]


def test_a_ledger_that_did_not_know_which_tickets_a_promise_is_for_is_made_anew(
    tmp_path: Path,
) -> None:
    file = tmp_path / "store.db"
    migrate_to(file, "0007")
    run(file, "INSERT INTO daily VALUES (739000, 'acme', 'standard', 'resolution', '', 'met', 3)",
        "INSERT INTO setting VALUES ('ledger', 'as posted'), ('other', 'stays')")  # fmt: skip
    migrate(url(file))
    assert run(file, "SELECT count(*) FROM daily") == [(0,)]
    assert run(file, "SELECT key FROM setting") == [("other",)]


def test_a_schema_from_the_future_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    migrate(url(file))
    run(file, "UPDATE alembic_version SET version_num = '9999'")
    for open_it in (Store.open, migrate):
        with pytest.raises(SchemaError, match="9999, which this Detente does not know"):
            open_it(url(file))
    with pytest.raises(SchemaError, match="9999"):
        Store.open(url(file), migrate=True)
    assert run(file, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    run(file, "CREATE TABLE customer (id)")
    before = tables_of(file)
    for open_it in (Store.open, migrate):
        with pytest.raises(SchemaError, match="tables that Detente did not make"):
            open_it(url(file))
    assert tables_of(file) == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("orders of last year, and a line that makes it long enough\n" * 50)
    before = file.read_bytes()
    for open_it in (Store.open, migrate):
        with pytest.raises(StoreError, match=r"notes\.txt is not a database"):
            open_it(url(file))
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("detente.db", "not a database URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://host/db", "'mysql' databases are not supported"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(text: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        Store.open(text)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(StoreError, match="notes cannot be made: File exists"):
        Store.open(url(tmp_path / "notes" / "store.db"))


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="unable to open"):
        Store.open(url(tmp_path))


def test_an_answered_commit_is_on_disk(tmp_path: Path) -> None:
    with Store.open(url(tmp_path / "store.db")) as store:
        for block in (store.transaction, store.reading):
            with block() as tx:
                ask = tx.connection.exec_driver_sql
                assert ask("PRAGMA journal_mode").scalar_one() == "wal"
                assert ask("PRAGMA synchronous").scalar_one() == 2  # FULL


_KILLED = """
import os, signal, sys
from rules.decision import Changes, Kind, SubjectRow
from streams.store import FenceMove, Store

store = Store.open(sys.argv[1])
for n in range(3):
    with store.transaction() as tx:
        rows = [SubjectRow(f"{n}/{i}", Kind.ORDER, "p", bytes(500), None, None, None, 0, False)
                for i in range(20_000)]
        tx.write(Changes(subjects=rows))
        assert tx.move_fences([FenceMove("orders", 0, n or None, n + 1)])
        if n == 2:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_it_committed_and_nothing_else(tmp_path: Path) -> None:
    address = url(tmp_path / "store.db")
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, address], cwd=Path.cwd(), env=_here(), check=False
    )
    assert done.returncode == -signal.SIGKILL
    with Store.open(address) as store, store.reading() as tx:
        assert tx.fences(["orders"]) == {("orders", 0): 2}
        keys = [f"{n}/{i}" for n in range(3) for i in range(20_000)]
        assert len(tx.load_subjects(keys)) == 40_000


def _here() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ("subject_key", "key IN ('a', 'b')"),
        ("subject_feeds_due", "kind = ? AND feeds_due <= ? ORDER BY feeds_due LIMIT ?"),
        ("subject_people_due", "people_due <= ? ORDER BY people_due LIMIT ?"),
        ("subject_order_start", "began_week IN (?, ?) AND partner_id = ? AND began_at <= ?"),
    ],
)
def test_the_hot_questions_are_answered_from_their_index(
    tmp_path: Path, table: str, condition: str
) -> None:
    file = tmp_path / "store.db"
    migrate(url(file))
    connection = sqlite3.connect(file)
    try:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT * FROM subject WHERE {condition}",
            [None] * condition.count("?"),
        ).fetchall()
    finally:
        connection.close()
    assert len(plan) == 1
    assert f"USING INDEX {table} " in plan[0][3]


def test_the_version_that_stores_are_checked_for_is_that_of_the_last_migration() -> None:
    migrations = Path(schema.__file__).with_name("migrations")

    assert ScriptDirectory(str(migrations)).get_current_head() == NEWEST
